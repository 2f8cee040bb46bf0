//! The engine that keeps facts in a file on this machine: SQLite, one row for each fact, one transaction and one sync
//! for each round of the desk.
//!
//! Read this file, then `schema` (the file and its tables), `row` (facts in it), `snapshot` (what was true at some
//! time), `read` and `hear` (replay), `reader` (for those who only look), `dir` (the data directory and its lock) and `wal` (damage
//! that SQLite would drop in silence). What operators ask for has a file each: `survey` (all damage there is), `compact`,
//! `copy`, `repair`; the last two put another journal in the place of one, which is `swap`. The format is described in protocol-spec/journal.md. How damage is found:
//!
//! - a fact carries a checksum over everything in its row, a snapshot one over all its parts;
//! - facts are numbered without gaps, so that a lost row in the middle shows;
//! - marks hold the first number that is kept, and one that was reached before the log was last copied into the
//!   file, so that lost rows at either end of the file show;
//! - the write-ahead log is looked at before SQLite reads it.
//!
//! What can wait (slices of a snapshot, old history, the copying of the log) is done in `tend`, a little at a time.
//!
//! Deliberately not here: what a fact looks like in its row (`record`).

mod compact;
mod copy;
mod dir;
mod hear;
mod read;
mod reader;
mod repair;
mod row;
mod schema;
mod snapshot;
mod survey;
mod swap;
#[cfg(test)]
mod tests;
mod wal;

pub use compact::{Compacted, compact};
pub use copy::{NUMBERS_SKIPPED, Restored, backup, restore};
pub use reader::JournalReader;
pub use repair::{Outcome, Remedy, Repaired, repair};
pub use row::Entry;
pub use survey::{Place, Problem, Report, SnapshotFound, survey, survey_file};

use super::record::{Record, RecordError};
use super::{Counts, History, Journal, JournalError, Kept};
use crate::clock::Moment;
use crate::lab::fact::Fact;
use crate::lab::snapshot::Piece;
use dir::DataDir;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, TransactionBehavior, ffi};
use schema::{Mark, PAGE_BYTES, Span, refused};
use snapshot::Writing;
use std::fs::File;
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

/// The file of facts, in the data directory.
const FILE: &str = "journal.sqlite3";

/// The log is copied into the file when nobody waits and it has so many pages.
const LOG_PAGES_IDLE: usize = 1000;

/// The log is copied into the file though somebody waits when it has so many pages.
const LOG_PAGES_MAX: usize = 4000;

/// About how many bytes a row needs beside its body.
const ROW_BYTES: usize = 40;

/// How many old facts are deleted at once.
const EXPIRED_AT_ONCE: u64 = 2000;

/// How long nothing of what can wait is done after there was no room for it.
const TEND_PAUSE_MS: u64 = 1000;

/// SQLite's codes for a write that failed before the end of the transaction was written.
const WRITE_FAILED: [i32; 2] = [ffi::SQLITE_IOERR_WRITE, ffi::SQLITE_IOERR_SHMSIZE];

/// How a journal is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keeping {
    /// A snapshot is wanted after so many facts.
    pub snapshot_facts: u64,
    /// Facts older than this are deleted once the older snapshot covers them; none keeps all.
    pub history_ms: Option<u64>,
}

impl Default for Keeping {
    fn default() -> Keeping {
        Keeping { snapshot_facts: 100_000, history_ms: None }
    }
}

/// Facts in a file.
pub struct EmbeddedJournal {
    /// The database; closed before the directory is let go.
    db: Connection,
    dir: Arc<DataDir>,
    path: PathBuf,
    keeping: Keeping,
    span: Span,
    /// The snapshot that is being written.
    writing: Option<Writing>,
    /// When the first fact that is kept was decided, once that matters.
    first_at: Option<Moment>,
    /// Nothing that can wait is done before this, because there was no room.
    tend_after: Moment,
    /// The log is not copied before this while nobody waits, because it could not be copied whole.
    copy_after: Moment,
    /// About how many pages were written since the log was last copied.
    log_pages: usize,
    /// How many are written at most before it is copied.
    log_pages_max: usize,
    counts: Counts,
    /// Why nothing is written any more.
    broken: Option<String>,
}

impl EmbeddedJournal {
    /// Opens the journal in this directory, or begins one. Nobody else can while this one is open.
    pub fn open(data_dir: &Path) -> Result<EmbeddedJournal, JournalError> {
        let dir = DataDir::claim(data_dir)?;
        swap::refuse_half_done(&dir)?;
        EmbeddedJournal::open_in(Arc::new(dir), FILE)
    }

    /// Opens a journal in a directory that is ours already.
    fn open_in(dir: Arc<DataDir>, name: &str) -> Result<EmbeddedJournal, JournalError> {
        let (path, len) = dir.file(name)?;
        let log_pages = check_log(&path, len)?;
        let opened = open_file(&path).map_err(|error| match error {
            // SQLite has no word for it where even the index of the log cannot be written.
            JournalError::Unusable(why) if dir.lacks_room() => JournalError::Unusable(format!(
                "{why}; there is no room in the data directory: make some and start again"
            )),
            other => other,
        });
        let (db, span) = opened?;
        Ok(EmbeddedJournal {
            db,
            dir,
            path,
            keeping: Keeping::default(),
            span,
            writing: None,
            first_at: None,
            tend_after: Moment(0),
            copy_after: Moment(0),
            log_pages,
            log_pages_max: LOG_PAGES_MAX,
            counts: Counts::default(),
            broken: None,
        })
    }

    /// The same journal, kept otherwise.
    pub fn keeping(mut self, keeping: Keeping) -> EmbeddedJournal {
        self.keeping = keeping;
        self
    }

    /// Writes facts in one transaction; the mark goes with them when the log is to be copied after it.
    fn write(&mut self, records: &[Record<'_>]) -> rusqlite::Result<()> {
        let last = self.span.last + records.len() as u64;
        let pages = pages(records);
        let mark = self.log_pages + pages >= self.log_pages_max;
        let tx = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        {
            let mut insert = tx.prepare_cached(row::INSERT)?;
            for (record, seq) in records.iter().zip(self.span.last + 1..) {
                row::insert(&mut insert, seq, record)?;
            }
            if mark {
                Mark::Reached.set(&tx, last)?;
            }
        }
        tx.commit()?;
        self.span.last = last;
        self.log_pages += pages;
        self.counts.syncs += 1;
        if mark {
            self.span.marked = last;
            self.copy_log();
        }
        Ok(())
    }

    /// Copies the log into the file. The facts are kept already: no room, or somebody who still looks at the file as it
    /// was, only means that the log goes on growing.
    fn copy_log(&mut self) {
        let numbers = |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>(1)?, row.get::<_, i64>(2)?));
        match self.db.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], numbers) {
            Ok((pages, copied)) => {
                let left = usize::try_from(pages - copied).unwrap_or_default();
                self.log_pages = left.min(self.log_pages_max / 2);
                self.counts.syncs += 2;
            }
            Err(error) => match self.failure(error) {
                JournalError::Broken(why) => self.broken = Some(why),
                _ => self.log_pages = self.log_pages_max / 2,
            },
        }
    }

    /// Copies the log while nobody waits. The mark is in it before.
    fn copy_log_idle(&mut self) -> rusqlite::Result<()> {
        if self.span.marked != self.span.last {
            Mark::Reached.set(&self.db, self.span.last)?;
            self.span.marked = self.span.last;
            self.counts.syncs += 1;
        }
        self.copy_log();
        Ok(())
    }

    /// Encodes the next slice of a snapshot, and writes it when it fills a part.
    fn write_slice(&mut self) -> Result<(), JournalError> {
        let Some(writing) = &mut self.writing else { return Ok(()) };
        if !writing.has_part() {
            writing.encode().map_err(|error| JournalError::Broken(error.to_string()))?;
        }
        if !writing.has_part() {
            return Ok(());
        }
        let written = (self.db.transaction_with_behavior(TransactionBehavior::Immediate))
            .and_then(|tx| writing.write_part(&tx).and_then(|()| tx.commit()));
        self.log_pages += 1 + writing.part_bytes() / PAGE_BYTES;
        if let Err(error) = written {
            return Err(self.failure(error));
        }
        self.counts.syncs += 1;
        if writing.part_written() {
            self.span.snapshots = schema::snapshots(&self.db).map_err(|error| self.failure(error))?;
            self.writing = None;
            self.counts.snapshots += 1;
        }
        Ok(())
    }

    /// When the first fact is old enough to go; none while it must stay.
    fn expires_at(&mut self) -> rusqlite::Result<Option<Moment>> {
        let Some(history_ms) = self.keeping.history_ms else { return Ok(None) };
        if self.span.snapshots.first().is_none_or(|seq| *seq <= self.span.first) {
            return Ok(None);
        }
        let first_at = match self.first_at {
            Some(at) => at,
            None => {
                let sql = "SELECT at FROM fact WHERE seq = ?1";
                Moment(self.db.query_row(sql, [self.span.first as i64], |row| row.get::<_, i64>(0))? as u64)
            }
        };
        self.first_at = Some(first_at);
        Ok(Some(first_at.plus_ms(history_ms)))
    }

    /// Deletes some facts that are too old. The fact of the older snapshot stays, and all after it.
    fn expire(&mut self, now: Moment) -> rusqlite::Result<()> {
        let (first, history_ms) = (self.span.first, self.keeping.history_ms.unwrap_or(u64::MAX));
        let Some(covered) = self.span.snapshots.first().copied() else { return Ok(()) };
        let until = covered.min(first + EXPIRED_AT_ONCE);
        let tx = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let young = "SELECT min(seq) FROM fact WHERE seq >= ?1 AND seq < ?2 AND at > ?3";
        let oldest_at = now.0.saturating_sub(history_ms) as i64;
        let young: Option<i64> =
            tx.query_row(young, (first as i64, until as i64, oldest_at), |row| row.get(0))?;
        let first_kept = young.map_or(until, |seq| seq as u64);
        tx.execute("DELETE FROM fact WHERE seq < ?1", [first_kept as i64])?;
        Mark::First.set(&tx, first_kept)?;
        tx.commit()?;
        self.span.first = first_kept;
        self.first_at = None;
        self.counts.expired += first_kept - first;
        self.counts.syncs += 1;
        self.log_pages += 1 + (first_kept - first) as usize * ROW_BYTES / PAGE_BYTES;
        Ok(())
    }

    /// One thing that can wait, if there is one; says when to go on.
    fn tend_once(&mut self, now: Moment, idle: bool) -> Result<Option<Moment>, JournalError> {
        if self.writing.is_some() {
            self.write_slice()?;
            return Ok(Some(now));
        }
        let long = self.log_pages >= LOG_PAGES_IDLE.min(self.log_pages_max);
        if long && self.copy_after <= now {
            if idle {
                self.copy_log_idle().map_err(|error| self.failure(error))?;
                self.copy_after = if self.log_pages > 0 { now.plus_ms(TEND_PAUSE_MS) } else { now };
            }
            return Ok(Some(now));
        }
        match self.expires_at().map_err(|error| self.failure(error))? {
            Some(at) if at <= now => {
                self.expire(now).map_err(|error| self.failure(error))?;
                Ok(Some(now))
            }
            later => Ok(later.into_iter().chain(long.then_some(self.copy_after)).min()),
        }
    }

    /// What a failure to write means.
    fn failure(&self, error: rusqlite::Error) -> JournalError {
        use ErrorCode::{DatabaseBusy, DatabaseLocked, DiskFull};
        let why = format!("{}: {error}", self.path.display());
        match error.sqlite_error() {
            Some(e) if e.code == DiskFull => JournalError::Full(why),
            Some(e) if matches!(e.code, DatabaseBusy | DatabaseLocked) => {
                JournalError::Full(format!("{why}, by another program"))
            }
            // Where the system has more words for it than SQLite knows (a quota), a try of our own tells. A sync that
            // failed is never only want of room: what it was to keep may stand in the log nevertheless.
            Some(e) if WRITE_FAILED.contains(&e.extended_code) && self.dir.lacks_room() => {
                JournalError::Full(why)
            }
            _ => JournalError::Broken(why),
        }
    }

    /// Remembers that nothing can be written any more.
    fn note(&mut self, failure: JournalError) -> JournalError {
        if let JournalError::Broken(why) = &failure {
            self.broken = Some(why.clone());
        }
        failure
    }
}

impl Journal for EmbeddedJournal {
    fn replay(&mut self, take: &mut dyn FnMut(Kept) -> Result<(), String>) -> Result<(), JournalError> {
        let read = hear::replay(&mut self.db, &self.path, &self.span, take);
        if let Err(why) = &read {
            self.broken = Some(why.to_string());
        }
        read
    }

    fn append(&mut self, facts: &[Fact]) -> Result<(), JournalError> {
        if let Some(why) = &self.broken {
            return Err(JournalError::Broken(why.clone()));
        }
        let records: Result<Vec<_>, RecordError> = facts.iter().map(Record::encode).collect();
        let records = records.map_err(|error| JournalError::Broken(error.to_string()))?;
        if records.is_empty() {
            return Ok(());
        }
        let begun = Instant::now();
        if let Err(error) = self.write(&records) {
            let failure = self.failure(error);
            return Err(self.note(failure));
        }
        self.counts.append_us += begun.elapsed().as_micros() as u64;
        self.counts.appends += 1;
        self.counts.facts += records.len() as u64;
        Ok(())
    }

    fn wants_snapshot(&self) -> bool {
        let told = self.span.snapshots.last().copied().unwrap_or(0);
        self.broken.is_none()
            && self.writing.is_none()
            && self.span.last >= told.saturating_add(self.keeping.snapshot_facts)
    }

    fn begin_snapshot(&mut self, now: Moment, pieces: Vec<Piece>) {
        if self.writing.is_none() && self.span.snapshots.last() != Some(&self.span.last) {
            self.writing = Some(Writing::new(self.span.last, now, pieces));
        }
    }

    fn tend(&mut self, now: Moment, idle: bool) -> Result<Option<Moment>, JournalError> {
        if let Some(why) = &self.broken {
            return Err(JournalError::Broken(why.clone()));
        }
        if now < self.tend_after {
            return Ok(Some(self.tend_after));
        }
        match self.tend_once(now, idle) {
            Err(JournalError::Full(_)) => {
                self.tend_after = now.plus_ms(TEND_PAUSE_MS);
                Ok(Some(self.tend_after))
            }
            Err(failure) => Err(self.note(failure)),
            // A copy of the log may have broken it.
            Ok(_) if self.broken.is_some() => self.tend(now, idle),
            done => done,
        }
    }

    fn counts(&self) -> Counts {
        self.counts
    }

    fn history(&self) -> Option<Arc<dyn History>> {
        Some(Arc::new(reader::Shelf::of(&self.path)))
    }
}

impl Drop for EmbeddedJournal {
    /// SQLite copies the log into the file when it is closed, which must not be without the mark.
    fn drop(&mut self) {
        let marked = self.span.marked == self.span.last;
        let sound = self.broken.is_none();
        if !sound || (!marked && Mark::Reached.set(&self.db, self.span.last).is_err()) {
            // The log stays beside the file and is read at the next start.
            let _ = self.db.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true);
        }
    }
}

/// Opens the file, and looks at what there is.
fn open_file(path: &Path) -> Result<(Connection, Span), JournalError> {
    let mut db = schema::connect(path).map_err(|error| refused(path, error))?;
    schema::prepare(&mut db, path)?;
    let span = Span::of(&db, path)?;
    Ok((db, span))
}

/// About how many pages a transaction writes.
fn pages(records: &[Record<'_>]) -> usize {
    let bytes: usize = records.iter().map(|record| record.body.len() + ROW_BYTES).sum();
    1 + bytes / PAGE_BYTES
}

/// Refuses a log that was damaged, before SQLite reads it, because SQLite would drop what it cannot read. Says
/// about how many pages it has.
fn check_log(path: &Path, len: u64) -> Result<usize, JournalError> {
    let mut log_path = path.as_os_str().to_owned();
    log_path.push("-wal");
    let log_path = PathBuf::from(log_path);
    let read = || -> io::Result<(u64, Option<u64>)> {
        let log = File::open(&log_path)?;
        Ok((log.metadata()?.len(), wal::check(&mut BufReader::with_capacity(1 << 16, log))?))
    };
    let (path, log_path) = (path.display(), log_path.display());
    match read() {
        Ok((1.., _)) if len == 0 => Err(JournalError::Damaged(format!(
            "{path} is empty and {log_path} is not; they belong together and must be put back together"
        ))),
        Ok((log_len, None)) => Ok((log_len / PAGE_BYTES as u64) as usize),
        Ok((_, Some(at))) => Err(JournalError::Damaged(format!(
            "what stands at byte {at} of {log_path} was changed, and facts that were kept stand behind it"
        ))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
        Err(error) => Err(JournalError::Unusable(format!("{log_path} cannot be read: {error}"))),
    }
}
