//! Conversations with SpiNNaker hardware over UDP: sockets, time-outs and errors around the packets of `spinnaker`.
//!
//! `pipeline` is how Berth itself asks a board: many requests at once, each sent again until it is answered or given up.

pub mod pipeline;

mod error;

pub use error::ConnectionError;
pub use pipeline::{AskError, Pipeline};
