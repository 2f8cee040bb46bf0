//! Packets against shared vectors (`vectors`), random ones (`properties`) and the document (`document`).

mod document;
mod properties;
pub(crate) mod vectors;
