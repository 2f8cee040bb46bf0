//! How the native door speaks: the HappyPanda X protocol, as bytes and as text. protocol-spec/native.md describes it.
//!
//! A frame is a gzip stream of JSON text and the marker `<EOF>`; the text is an envelope with `session`, `name` and
//! `data`; the data is a handshake, a command's name or a list of calls. Reading order, from the bytes up:
//! `marker`, `gzip`, `inflate` (short messages at once), `frame` and `frame_error` (bytes in), `encode` (bytes out), `json` (pieces of text), `scan` (plain JSON, read at once), `envelope` (what came), `call` (what
//! is called), `handshake` (who speaks), `answer` (what goes out, and how a client reads it).
//!
//! Servers and clients use the same code: both ends unframe and encode, and an envelope is the same both ways.
//! Deliberately not here: sockets, time-outs, sessions, users and what the functions do. Nothing in this room waits.

pub mod answer;
pub mod base64;
pub mod call;
pub mod encode;
pub mod envelope;
pub mod frame;
pub mod frame_error;
mod gzip;
pub mod handshake;
mod inflate;
pub mod json;
pub mod marker;
mod scan;
#[cfg(test)]
mod tests;

pub use answer::Envelope;
pub use call::{Call, Calls};
pub use encode::{Packed, encode, encode_around};
pub use envelope::{Command, Data, Message};
pub use frame::{FrameLimits, Unframer};
pub use frame_error::FrameError;
pub use gzip::Body;
pub use handshake::{Greeting, Proof};
pub use marker::MARKER;
