//! The whole house, tested from outside: one binary, so that it is linked once.

mod client;
mod doors;
mod fake_server;
mod house;
mod scripts;
mod socket;
mod tidy;
mod transcripts;
