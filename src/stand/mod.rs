//! 'buntustand's protocol, as its burners, displays and commands speak it: bytes in, messages out, and the other way round.
//!
//! Read `word` first (what fields are made of, and why no text can break a message), then `frame` (bytes into messages, and files
//! behind them), `message` (what clients and servers say), `burner` (one burner as the server sees it: what it could burn, what
//! follows from what it says) and `simulate` (a burner that is not there). Both directions are here, so that a burner and a
//! display can be made of the same words as the server. protocol-spec/stand.md is the whole of it for strangers.
//!
//! Deliberately not here: sockets, the queue, files, who may connect: `server` has the door, `burner` the way of a simulated
//! burner to it.

pub mod burner;
pub mod frame;
pub mod message;
pub mod simulate;
pub mod word;

pub use burner::{Burner, Follows};
pub use frame::{Broken, Piece, Splitter};
pub use message::{Complaint, Reply, Said, Status, Then, Tray, Verdict};
pub use word::{ClientType, ErrorCode, Hash, Line, Medium, Priority, Text, Uid};

/// The port of the old server.
pub const PORT: u16 = 1337;

#[cfg(test)]
mod tests;
