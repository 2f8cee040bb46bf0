//! The whole house, tested from outside: one binary, so that it is linked once.

mod agent;
mod bench;
mod channel;
mod cli;
mod client;
mod commands;
mod crash;
mod doors;
mod fake_server;
mod faults;
mod history;
mod house;
mod journal_cli;
mod life;
mod program;
mod restart;
mod run;
mod scripts;
mod served;
mod simulator;
mod socket;
mod spalloc;
mod spalloc_line;
mod tidy;
mod transcripts;
mod tunnel;
