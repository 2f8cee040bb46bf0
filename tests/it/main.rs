//! The whole house, tested from outside: one binary, so that it is linked once.

mod doors;
mod house;
mod scripts;
mod simulator;
mod socket;
mod tidy;
mod transcripts;
