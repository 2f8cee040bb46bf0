//! The engine that keeps facts in memory: as durable as the process, and shared so that a test can start a
//! second house on what the first one kept.

use super::history::{Facts, Seen, Take, past_of};
use super::{Counts, History, Journal, JournalError, Kept, Past};
use crate::clock::Moment;
use crate::lab::fact::{Fact, JobId};
use crate::lab::machine::MachineSpec;
use crate::lab::snapshot::Piece;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A journal in memory. Copies share what is kept.
#[derive(Clone, Default)]
pub struct MemoryJournal(Arc<Mutex<Memory>>);

/// What is kept, and whether the next append is to fail.
#[derive(Default)]
struct Memory {
    facts: Vec<Fact>,
    /// What was true after so many facts.
    snapshot: Option<(usize, Vec<Piece>)>,
    /// A snapshot is wanted after so many facts; none for never.
    snapshot_facts: Option<usize>,
    counts: Counts,
    fault: Option<JournalError>,
}

impl MemoryJournal {
    /// A journal that wants a snapshot after so many facts.
    pub fn with_snapshots(snapshot_facts: usize) -> MemoryJournal {
        let journal = MemoryJournal::default();
        journal.memory().snapshot_facts = Some(snapshot_facts);
        journal
    }

    /// Makes every append fail with this error, until it is lifted.
    pub fn set_fault(&self, fault: Option<JournalError>) {
        self.memory().fault = fault;
    }

    /// Everything kept so far.
    pub fn facts(&self) -> Vec<Fact> {
        self.memory().facts.clone()
    }

    /// The list is only ever extended, so a panic elsewhere leaves it whole.
    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Journal for MemoryJournal {
    fn replay(&mut self, take: &mut dyn FnMut(Kept) -> Result<(), String>) -> Result<(), JournalError> {
        let memory = self.memory();
        let (told, pieces) = memory.snapshot.clone().map_or((0, None), |(at, pieces)| (at, Some(pieces)));
        let tail = memory.facts[told..].to_vec();
        drop(memory);
        let mut kept = pieces.map(Kept::Snapshot).into_iter().chain(tail.into_iter().map(Kept::Fact));
        kept.try_for_each(take).map_err(JournalError::Damaged)
    }

    fn append(&mut self, facts: &[Fact]) -> Result<(), JournalError> {
        let mut memory = self.memory();
        match &memory.fault {
            Some(fault) => Err(fault.clone()),
            None => {
                memory.facts.extend_from_slice(facts);
                memory.counts.appends += 1;
                memory.counts.facts += facts.len() as u64;
                Ok(())
            }
        }
    }

    fn wants_snapshot(&self) -> bool {
        let memory = self.memory();
        let told = memory.snapshot.as_ref().map_or(0, |(at, _)| *at);
        memory.snapshot_facts.is_some_and(|every| memory.facts.len() >= told + every)
    }

    fn begin_snapshot(&mut self, _now: Moment, pieces: Vec<Piece>) {
        let mut memory = self.memory();
        memory.snapshot = Some((memory.facts.len(), pieces));
        memory.counts.snapshots += 1;
    }

    fn counts(&self) -> Counts {
        self.memory().counts
    }

    fn history(&self) -> Option<Arc<dyn History>> {
        Some(Arc::new(self.clone()))
    }
}

impl History for MemoryJournal {
    fn job(&self, job: JobId, specs: &[Arc<MachineSpec>]) -> Result<Past, JournalError> {
        past_of(&*self.memory(), job, specs)
    }
}

impl Facts for Memory {
    fn first(&self) -> u64 {
        1
    }

    fn last(&self) -> u64 {
        self.facts.len() as u64
    }

    fn walk(&self, from: u64, to: u64, take: Take<'_>) -> Result<(), JournalError> {
        let wanted = self.facts.iter().zip(1..).skip(from.saturating_sub(1) as usize);
        for (fact, seq) in wanted.take_while(|(_, seq)| *seq <= to) {
            let taken = take(Seen::Known(seq, fact));
            if taken.map_err(|error| JournalError::Damaged(error.to_string()))?.is_break() {
                break;
            }
        }
        Ok(())
    }
}
