//! The whole house, tested from outside: one binary, so that it is linked once.

mod cli;
mod client;
mod commands;
mod doors;
mod fake_server;
mod history;
mod house;
mod program;
mod run;
mod scripts;
mod simulator;
mod socket;
mod tidy;
mod transcripts;
