//! The engine that keeps facts in memory: as durable as the process, and shared so that a test can start a
//! second house on what the first one kept.

use super::{Journal, JournalError};
use crate::lab::fact::Fact;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A journal in memory. Copies share what is kept.
#[derive(Clone, Default)]
pub struct MemoryJournal(Arc<Mutex<Kept>>);

/// What is kept, and whether the next append is to fail.
#[derive(Default)]
struct Kept {
    facts: Vec<Fact>,
    fault: Option<JournalError>,
}

impl MemoryJournal {
    /// Makes every append fail with this error, until it is lifted.
    pub fn set_fault(&self, fault: Option<JournalError>) {
        self.kept().fault = fault;
    }

    /// Everything kept so far.
    pub fn facts(&self) -> Vec<Fact> {
        self.kept().facts.clone()
    }

    /// The list is only ever extended, so a panic elsewhere leaves it whole.
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Journal for MemoryJournal {
    fn replay(&mut self, take: &mut dyn FnMut(Fact)) -> Result<(), JournalError> {
        self.facts().into_iter().for_each(take);
        Ok(())
    }

    fn append(&mut self, facts: &[Fact]) -> Result<(), JournalError> {
        let mut kept = self.kept();
        match &kept.fault {
            Some(fault) => Err(fault.clone()),
            None => {
                kept.facts.extend_from_slice(facts);
                Ok(())
            }
        }
    }
}
