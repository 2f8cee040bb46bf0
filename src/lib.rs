//! Berth lends the boards of a lab to people, programs and CI jobs.
//!
//! One heart, many doors: `lab` decides and never waits, the doors translate, and only `server` touches the
//! world. The rooms in reading order; a room uses only what stands above it in ARCHITECTURE.md's table of
//! arrows, and `tests/it/tidy.rs` holds it to that.

pub mod clock;
pub mod error;

pub mod allocator;
pub mod user;

pub mod lab;
pub mod notice;
pub mod session;

pub mod service;
pub mod spalloc;
pub mod stand;
pub mod wire;

pub mod connections;
pub mod simulator;
pub mod spinnaker;

pub mod burner;
pub mod controller;
pub mod journal;

pub mod config;

pub mod http;

pub mod server;

pub mod cli;
pub mod client;
pub mod worker;
