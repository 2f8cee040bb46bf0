//! The shell: the only room that waits.
pub mod hasher;
