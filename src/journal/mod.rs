//! What the house remembers. The contract, then facts as stored (`record`), then one file per engine: `memory`
//! forgets with the process, `embedded` keeps facts in a file on this machine.
//!
//! The desk appends all facts of a round in one write and tells nobody of them before `append` has returned.
//!
//! What is deliberately not here: what facts mean.

mod embedded;
mod memory;
pub mod record;

pub use embedded::EmbeddedJournal;
pub use memory::MemoryJournal;

use crate::lab::fact::Fact;
use std::fmt;

/// Where facts are kept.
pub trait Journal: Send {
    /// Hands over every fact that is kept, in the order in which they happened.
    fn replay(&mut self, take: &mut dyn FnMut(Fact)) -> Result<(), JournalError>;

    /// Keeps facts; when it returns they are as durable as this engine makes them. All of them are kept or none: after
    /// `Full` none is; after `Broken` only the next replay tells.
    fn append(&mut self, facts: &[Fact]) -> Result<(), JournalError>;
}

/// Why facts were not kept, or cannot be had. Every sentence stands for itself and says where and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JournalError {
    /// Nothing can be written at present, and nothing was; it may be tried again.
    Full(String),
    /// The journal cannot be trusted any more; the desk must stop.
    Broken(String),
    /// Another server has the data.
    Locked(String),
    /// What is kept was damaged.
    Damaged(String),
    /// The directory or the file cannot be used: rights, owner, format.
    Unusable(String),
}

impl fmt::Display for JournalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            JournalError::Full(why) => write!(f, "the journal cannot be written at present: {why}"),
            JournalError::Broken(why) => write!(f, "the journal cannot be written: {why}"),
            JournalError::Locked(why) | JournalError::Unusable(why) => f.write_str(why),
            JournalError::Damaged(why) => write!(f, "the journal is damaged: {why}"),
        }
    }
}

impl std::error::Error for JournalError {}
