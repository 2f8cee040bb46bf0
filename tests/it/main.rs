//! Everything that is tested through the front door of the library: one binary, one module for each kind of test.

mod commands;
mod scripts;
mod simulator;
