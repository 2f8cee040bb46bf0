//! Making a journal small: a snapshot now, then old history goes, then the file is written anew. It may be interrupted
//! anywhere: each step is a transaction after which the journal is whole.

use super::copy::replayed;
use super::schema;
use super::swap::{self, suffixed};
use super::{EmbeddedJournal, FILE, snapshot};
use crate::clock::Moment;
use crate::journal::{Journal, JournalError};
use crate::lab::{Lab, Options};
use std::path::Path;

/// What became of a journal that was made small.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compacted {
    /// The first fact that is kept.
    pub first: u64,
    /// The last fact, after which there is a snapshot; none if there are no facts.
    pub last: u64,
    /// How many facts were deleted.
    pub expired: u64,
    /// How large file and log were.
    pub bytes_before: u64,
    /// How large they are.
    pub bytes_after: u64,
}

/// Makes the journal of a data directory small that no server has. Facts older than `history_ms` go; none keeps all.
/// The last fact always stays.
pub fn compact(
    data_dir: &Path,
    options: Options,
    now: Moment,
    history_ms: Option<u64>,
) -> Result<Compacted, JournalError> {
    swap::refuse_none(data_dir)?;
    let bytes_before = bytes(data_dir);
    let mut journal = EmbeddedJournal::open(data_dir)?;
    let (lab, last_at) = replayed(&mut journal, options)?;
    // The present never lies before what happened.
    let now = now.max(last_at);
    journal.snapshot_now(now, &lab)?;
    if let Some(history_ms) = history_ms {
        journal.forget(now, history_ms)?;
    }
    journal.shrink().map_err(|error| journal.failure(error))?;
    let (first, last, expired) = (journal.span.first, journal.span.last, journal.counts.expired);
    drop(journal);
    Ok(Compacted { first, last, expired, bytes_before, bytes_after: bytes(data_dir) })
}

/// How large file and log are.
fn bytes(data_dir: &Path) -> u64 {
    let path = data_dir.join(FILE);
    [path.clone(), suffixed(&path, "-wal")]
        .iter()
        .map(|path| path.metadata().map_or(0, |meta| meta.len()))
        .sum()
}

impl EmbeddedJournal {
    /// Writes a snapshot of the lab, which has heard all facts, and reads it back; if there is one already, the lab was
    /// made of it.
    pub(super) fn snapshot_now(&mut self, now: Moment, lab: &Lab) -> Result<(), JournalError> {
        if self.span.last == 0 || self.span.snapshots.last() == Some(&self.span.last) {
            return Ok(());
        }
        self.begin_snapshot(now, lab.pieces());
        while self.writing.is_some() {
            self.write_slice()?;
        }
        match snapshot::read(&self.db, &self.path, self.span.last)? == lab.pieces() {
            true => Ok(()),
            false => Err(JournalError::Broken(format!(
                "the snapshot after fact {} in {} reads back differently; nothing was deleted",
                self.span.last,
                self.path.display()
            ))),
        }
    }

    /// Deletes facts older than this that the newest snapshot covers; older snapshots stand in the way and go first.
    pub(super) fn forget(&mut self, now: Moment, history_ms: u64) -> Result<(), JournalError> {
        let Some(newest) = self.span.snapshots.last().copied() else { return Ok(()) };
        let oldest_at = now.0.saturating_sub(history_ms);
        let young = "SELECT min(seq) FROM fact WHERE seq < ?1 AND at > ?2";
        let young =
            self.db.query_row(young, (newest as i64, oldest_at as i64), |row| row.get::<_, Option<i64>>(0));
        let young = young.map_err(|error| self.failure(error))?;
        let first_kept = young.map_or(newest, |seq| seq as u64);
        if first_kept <= self.span.first {
            return Ok(());
        }
        self.drop_snapshots_before(first_kept).map_err(|error| self.failure(error))?;
        self.keeping.history_ms = Some(history_ms);
        while self.expires_at().map_err(|error| self.failure(error))?.is_some_and(|at| at <= now) {
            self.expire(now).map_err(|error| self.failure(error))?;
            if self.log_pages >= self.log_pages_max {
                self.copy_log_idle().map_err(|error| self.failure(error))?;
            }
        }
        Ok(())
    }

    /// Drops snapshots that need facts which are to go; the newest covers them all.
    pub(super) fn drop_snapshots_before(&mut self, first_kept: u64) -> rusqlite::Result<()> {
        let tx = self.db.transaction()?;
        tx.execute("DELETE FROM snapshot WHERE seq < ?1", [first_kept as i64])?;
        tx.execute("DELETE FROM snapshot_part WHERE seq NOT IN (SELECT seq FROM snapshot)", [])?;
        tx.commit()?;
        self.span.snapshots = schema::snapshots(&self.db)?;
        Ok(())
    }

    /// Writes the file anew without its holes.
    fn shrink(&mut self) -> rusqlite::Result<()> {
        self.copy_log_idle()?;
        self.db.execute_batch("VACUUM")?;
        self.db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
    }
}
