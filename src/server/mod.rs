//! The shell.
pub mod bell;
pub mod hasher;
pub mod herald;
