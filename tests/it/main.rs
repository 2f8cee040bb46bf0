//! Everything that takes more than one room, in one binary.

mod client;
mod fake_server;
