//! The whole house, tested from outside: one binary, so that it is linked once.

mod cli;
mod client;
mod doors;
mod fake_server;
mod house;
mod program;
mod run;
mod socket;
mod transcripts;
