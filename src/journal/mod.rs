//! What the house remembers. The contract, then one file per engine.
//!
//! The desk appends all facts of a round in one write and tells nobody of them before `append` has returned.
//! An append that fails has kept nothing of its batch.
//!
//! What is deliberately not here: what facts mean.

mod memory;
pub mod record;

pub use memory::MemoryJournal;

use crate::lab::fact::Fact;
use std::fmt;

/// Where facts are kept.
pub trait Journal: Send {
    /// Hands over every fact that is kept, in the order in which they happened.
    fn replay(&mut self, take: &mut dyn FnMut(Fact)) -> Result<(), JournalError>;

    /// Keeps facts; when it returns they are as durable as this engine makes them.
    fn append(&mut self, facts: &[Fact]) -> Result<(), JournalError>;
}

/// Why facts were not kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JournalError {
    /// There is no room at present; it may be tried again.
    Full(String),
    /// The journal cannot be trusted any more; the desk must stop.
    Broken(String),
}

impl fmt::Display for JournalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            JournalError::Full(why) => write!(f, "the journal has no room: {why}"),
            JournalError::Broken(why) => write!(f, "the journal cannot be written: {why}"),
        }
    }
}

impl std::error::Error for JournalError {}
