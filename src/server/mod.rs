//! x
pub mod bell;
pub mod desk;
pub mod hasher;
pub mod herald;
mod signs;
