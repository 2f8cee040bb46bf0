//! What the house remembers. The contract, then facts as stored (`record`), then one file per engine: `memory`
//! forgets with the process, `embedded` keeps facts in a file on this machine. `history` finds the past of one job.
//!
//! The desk appends all facts of a round in one write and tells nobody of them before `append` has returned.
//!
//! What is deliberately not here: what facts mean.

mod embedded;
mod history;
mod memory;
pub mod record;

pub use embedded::{
    Compacted, EmbeddedJournal, Entry, JournalReader, Keeping, NUMBERS_SKIPPED, Outcome, Place, Problem,
    Remedy, Repaired, Report, Restored, SnapshotFound, backup, compact, repair, restore, survey, survey_file,
};
pub use history::{History, Past};
pub use memory::MemoryJournal;

use crate::clock::Moment;
use crate::lab::Lab;
use crate::lab::fact::Fact;
use crate::lab::snapshot::Piece;
use std::fmt;
use std::sync::Arc;

/// Where facts are kept.
pub trait Journal: Send {
    /// Hands over what is kept: the last snapshot, if there is one, and every fact after it in the order in which they
    /// happened. What `take` refuses is damage.
    fn replay(&mut self, take: &mut dyn FnMut(Kept) -> Result<(), String>) -> Result<(), JournalError>;

    /// Keeps facts; when it returns they are as durable as this engine makes them. All of them are kept or none: after
    /// `Full` none is; after `Broken` only the next replay tells.
    fn append(&mut self, facts: &[Fact]) -> Result<(), JournalError>;

    /// Whether so much has happened since the last snapshot that another one is worth its cost. An engine without
    /// snapshots never wants one.
    fn wants_snapshot(&self) -> bool {
        false
    }

    /// Begins to keep what is true after the last fact that was appended; `tend` carries on with it.
    fn begin_snapshot(&mut self, _now: Moment, _pieces: Vec<Piece>) {}

    /// Does a little of what can wait: a slice of a snapshot, of old history to be deleted, of the log to be copied.
    /// More of it when nobody waits (`idle`). Answers when it wants to be asked again; none for not before the next
    /// append. `Full` leaves everything as it was; `Broken` is as for `append`.
    fn tend(&mut self, _now: Moment, _idle: bool) -> Result<Option<Moment>, JournalError> {
        Ok(None)
    }

    /// What was done since the start.
    fn counts(&self) -> Counts {
        Counts::default()
    }

    /// A way to the past of jobs that is independent of the writing; none if this engine has none.
    fn history(&self) -> Option<Arc<dyn History>> {
        None
    }
}

/// One thing a journal hands over.
#[expect(
    clippy::large_enum_variant,
    reason = "handed over one at a time and never stored; a box for each fact costs"
)]
#[derive(Clone, Debug, PartialEq)]
pub enum Kept {
    /// What was true at some time; comes first or not at all.
    Snapshot(Vec<Piece>),
    /// What happened then.
    Fact(Fact),
}

/// What a journal did since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Durable writes of facts: rounds of the desk that changed anything.
    pub appends: u64,
    /// Facts in them.
    pub facts: u64,
    /// Times the disk was told to make sure, as far as the engine knows.
    pub syncs: u64,
    /// Snapshots that were completed.
    pub snapshots: u64,
    /// Microseconds that these writes took, together.
    pub append_us: u64,
    /// Facts deleted because they were older than the history that is wanted.
    pub expired: u64,
}

/// Brings a lab to what a journal has kept. `tell` hears how many facts were replayed so far.
pub fn replay_into(
    journal: &mut dyn Journal,
    lab: &mut Lab,
    tell: &mut dyn FnMut(u64),
) -> Result<(), JournalError> {
    let mut facts = 0;
    journal.replay(&mut |kept| match kept {
        Kept::Snapshot(pieces) => lab.restore(pieces),
        Kept::Fact(fact) => {
            lab.apply(&fact);
            facts += 1;
            tell(facts);
            Ok(())
        }
    })
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
