//! A disk that fills up, and under a process that dies at any instant: the simulator's own engine behind the journal's
//! contract. What it keeps is what is spelled by `journal::record`, so that what is read at a start was written.

use super::chance::Chance;
use berth::clock::Moment;
use berth::journal::record::Record;
use berth::journal::{Counts, Journal, JournalError, Kept};
use berth::lab::fact::Fact;
use berth::lab::snapshot::Piece;
use std::sync::{Arc, Mutex, MutexGuard};

/// What becomes of the next write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fate {
    /// It is kept.
    #[default]
    Kept,
    /// There is no room.
    Full,
    /// It fails, and nothing of it is found later.
    Lost,
    /// It fails, and half of it lies there without an end.
    Torn,
    /// It fails, and is found later all the same.
    KeptUntold,
}

/// A disk. Copies share what is on it; `open` is what a new process makes of it.
#[derive(Clone)]
pub struct Disk(Arc<Mutex<Platter>>);

/// What is on it.
struct Platter {
    records: Vec<Record<'static>>,
    /// So many of them are whole.
    whole: usize,
    /// What was true after so many facts.
    snapshot: Option<(usize, Vec<Piece>)>,
    /// The same, with so many slices of it still to be written.
    begun: Option<(usize, Vec<Piece>, u64)>,
    /// Another look at what can wait is worth it then.
    tidy_at: Option<Moment>,
    /// So many facts until the next snapshot; none for never.
    snapshot_facts: Option<usize>,
    /// What becomes of the next write, and of the next slice.
    fates: (Fate, Fate),
    counts: Counts,
    /// Chance that nothing but snapshots depends on.
    chance: Chance,
}

impl Disk {
    /// An empty disk, on which snapshots are written or not.
    pub fn new(seed: u64, snapshots: bool) -> Disk {
        let mut chance = Chance::new(!seed);
        let snapshot_facts = snapshots.then(|| chance.within(1, 60) as usize);
        Disk(Arc::new(Mutex::new(Platter {
            records: Vec::new(),
            whole: 0,
            snapshot: None,
            begun: None,
            tidy_at: None,
            snapshot_facts,
            fates: (Fate::Kept, Fate::Kept),
            counts: Counts::default(),
            chance,
        })))
    }

    /// The disk as a new process finds it: whatever has no end is gone.
    pub fn open(&self) -> Disk {
        let mut platter = self.platter();
        let whole = platter.whole;
        platter.records.truncate(whole);
        (platter.begun, platter.tidy_at, platter.fates) = (None, None, (Fate::Kept, Fate::Kept));
        platter.counts = Counts::default();
        drop(platter);
        self.clone()
    }

    /// Says what becomes of the next write, and of the next slice of work.
    pub fn set_fates(&self, append: Fate, tend: Fate) {
        self.platter().fates = (append, tend);
    }

    /// Whether there is no room for the next write.
    pub fn is_full(&self) -> bool {
        self.platter().fates.0 == Fate::Full
    }

    /// The facts on it from this number on; there must be so many.
    pub fn facts_from(&self, first: usize) -> Vec<Fact> {
        let platter = self.platter();
        let read = |record: &Record<'_>| record.decode().expect("what was written can be read");
        platter.records[first..platter.whole].iter().map(read).collect()
    }

    /// After how many facts the snapshot was taken that a start would begin with, and whether a newer one is begun.
    pub fn snapshot(&self) -> (Option<usize>, bool) {
        let platter = self.platter();
        (platter.snapshot.as_ref().map(|(at, _)| *at), platter.begun.is_some())
    }

    /// Chance that facts do not depend on.
    pub fn idly_below(&self, end: u64) -> u64 {
        self.platter().chance.below(end)
    }

    fn platter(&self) -> MutexGuard<'_, Platter> {
        self.0.lock().expect("no world goes on after a panic")
    }
}

/// A piece as it is read after it was written.
fn stored(piece: &Piece) -> Piece {
    Record::of_piece(piece).expect("a piece can be written").piece().expect("a piece can be read")
}

fn full() -> JournalError {
    JournalError::Full("the disk is full".to_owned())
}

fn broken() -> JournalError {
    JournalError::Broken("the disk is gone".to_owned())
}

impl Platter {
    fn write(&mut self, facts: &[Fact]) {
        self.records.extend(facts.iter().map(|fact| Record::encode(fact).expect("a fact can be written")));
    }

    fn facts_since_snapshot(&self) -> usize {
        let told = self.begun.as_ref().map(|(at, ..)| *at).or(self.snapshot.as_ref().map(|(at, _)| *at));
        self.whole - told.unwrap_or(0)
    }
}

impl Journal for Disk {
    fn replay(&mut self, take: &mut dyn FnMut(Kept) -> Result<(), String>) -> Result<(), JournalError> {
        let snapshot = self.platter().snapshot.clone();
        let (told, pieces) = snapshot.map_or((0, None), |(at, pieces)| (at, Some(pieces)));
        let pieces = pieces.map(|pieces| Kept::Snapshot(pieces.iter().map(stored).collect()));
        let tail = self.facts_from(told).into_iter().map(Kept::Fact);
        pieces.into_iter().chain(tail).try_for_each(take).map_err(JournalError::Damaged)
    }

    fn append(&mut self, facts: &[Fact]) -> Result<(), JournalError> {
        let mut platter = self.platter();
        assert!(!facts.is_empty(), "nothing is worth no write");
        assert_eq!(platter.records.len(), platter.whole, "somebody writes after a failure");
        match std::mem::take(&mut platter.fates.0) {
            Fate::Full => return Err(full()),
            Fate::Lost => return Err(broken()),
            Fate::Torn => {
                platter.write(&facts[..facts.len() / 2]);
                return Err(broken());
            }
            fate => {
                platter.write(facts);
                platter.whole = platter.records.len();
                if fate == Fate::KeptUntold {
                    return Err(broken());
                }
            }
        }
        platter.counts.appends += 1;
        platter.counts.facts += facts.len() as u64;
        Ok(())
    }

    fn wants_snapshot(&self) -> bool {
        let platter = self.platter();
        platter.snapshot_facts.is_some_and(|facts| platter.facts_since_snapshot() >= facts)
    }

    fn begin_snapshot(&mut self, _now: Moment, pieces: Vec<Piece>) {
        let mut platter = self.platter();
        let (whole, slices) = (platter.whole, platter.chance.below(6));
        platter.begun = Some((whole, pieces, slices));
    }

    fn tend(&mut self, now: Moment, idle: bool) -> Result<Option<Moment>, JournalError> {
        let platter = &mut *self.platter();
        match std::mem::take(&mut platter.fates.1) {
            Fate::Kept => {}
            Fate::Full => return Err(full()),
            _ => return Err(broken()),
        }
        if let Some((at, pieces, slices)) = platter.begun.take() {
            match slices.checked_sub(if idle { 2 } else { 1 }) {
                Some(left) => platter.begun = Some((at, pieces, left)),
                None => {
                    platter.snapshot = Some((at, pieces));
                    platter.counts.snapshots += 1;
                    platter.tidy_at = Some(now.plus_ms(platter.chance.below(5000)));
                }
            }
            return Ok(Some(now));
        }
        platter.tidy_at = platter.tidy_at.filter(|at| *at > now);
        Ok(platter.tidy_at)
    }

    fn counts(&self) -> Counts {
        self.platter().counts
    }
}
