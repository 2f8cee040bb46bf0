//! Looking at a journal without writing: beside a server that runs, or when none does.

use super::dir::DataDir;
use super::read::{Found, Source};
use super::row::Entry;
use super::schema::{self, Span, refused};
use super::snapshot;
use super::{FILE, check_log, hear, swap};
use crate::journal::history::{Facts, Seen, Take, past_of};
use crate::journal::record::RecordError;
use crate::journal::{History, JournalError, Kept, Past};
use crate::lab::fact::JobId;
use crate::lab::machine::MachineSpec;
use crate::lab::snapshot::Piece;
use rusqlite::Connection;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A journal as it was when it was opened.
pub struct JournalReader {
    db: Connection,
    path: PathBuf,
    span: Span,
}

impl JournalReader {
    /// Opens the journal of a data directory, whether or not a server has it.
    pub fn open(data_dir: &Path) -> Result<JournalReader, JournalError> {
        swap::refuse_none(data_dir)?;
        let path = data_dir.join(FILE);
        let len = path.metadata().map_err(swap::unusable(&path))?.len();
        // The log of a server that runs changes while one looks, and is its own concern; one may start meanwhile.
        if !DataDir::is_held(data_dir) {
            check_log(&path, len).map(drop).or_else(|damaged| match DataDir::is_held(data_dir) {
                true => Ok(()),
                false => Err(damaged),
            })?;
        }
        JournalReader::open_file(&path)
    }

    /// Opens a copy.
    pub fn open_file(path: &Path) -> Result<JournalReader, JournalError> {
        let db = schema::connect_to_read(path).map_err(|error| refused(path, error))?;
        // Everything is seen as it is now, until this reader is gone.
        db.execute_batch("BEGIN").map_err(|error| refused(path, error))?;
        let span = Span::of(&db, path)?;
        Ok(JournalReader { db, path: path.to_owned(), span })
    }

    /// Opens the journal of a data directory though it is damaged: what can be read is there. Damage to the log means
    /// that facts at the end are not.
    pub fn open_damaged(data_dir: &Path) -> Result<JournalReader, JournalError> {
        swap::refuse_none(data_dir)?;
        let path = data_dir.join(FILE);
        let db = schema::connect_to_read(&path).map_err(|error| refused(&path, error))?;
        db.execute_batch("BEGIN").map_err(|error| refused(&path, error))?;
        let (span, _) = Span::look(&db, &path)?;
        Ok(JournalReader { db, path, span })
    }

    /// Walks over these facts and goes on after damage: what cannot be had is handed over as a sentence.
    pub fn survey(
        &self,
        from: u64,
        to: u64,
        take: &mut dyn FnMut(Result<Entry<'_>, JournalError>) -> ControlFlow<()>,
    ) -> Result<(), JournalError> {
        let source = self.source();
        source.survey(from, to, &mut |found| match found {
            Found::Fact(entry) => take(Ok(entry)),
            Found::Lost(from, to, why) if from == to => take(Err(source.unread(from, why))),
            Found::Lost(from, to, _) => take(Err(JournalError::Damaged(format!(
                "facts {from} to {to} in {} are missing",
                self.path.display()
            )))),
        })
    }

    /// The number of the first fact that is kept.
    pub fn first(&self) -> u64 {
        self.span.first
    }

    /// The number of the last fact.
    pub fn last(&self) -> u64 {
        self.span.last
    }

    /// After which facts there are snapshots, the oldest first.
    pub fn snapshots(&self) -> &[u64] {
        &self.span.snapshots
    }

    /// Hands over the newest snapshot and every fact after it.
    pub fn replay(&mut self, take: &mut dyn FnMut(Kept) -> Result<(), String>) -> Result<(), JournalError> {
        hear::replay(&mut self.db, &self.path, &self.span, take)
    }

    /// Walks over these facts, all of which must be there, until `take` has enough.
    pub fn scan(
        &self,
        from: u64,
        to: u64,
        take: &mut dyn FnMut(Entry<'_>) -> Result<ControlFlow<()>, RecordError>,
    ) -> Result<(), JournalError> {
        self.source().scan(from, to, take)
    }

    /// What was true after this fact, of which there must be a snapshot.
    pub fn snapshot(&self, seq: u64) -> Result<Vec<Piece>, JournalError> {
        snapshot::read(&self.db, &self.path, seq)
    }

    /// Whether the file itself is sound, page by page.
    pub fn check_file(&self) -> Result<(), JournalError> {
        let found: Result<String, _> = self.db.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0));
        match found {
            Ok(word) if word == "ok" => Ok(()),
            Ok(why) => Err(JournalError::Damaged(format!("{}: {why}", self.path.display()))),
            Err(error) => Err(refused(&self.path, error)),
        }
    }

    fn source(&self) -> Source<'_> {
        Source { db: &self.db, path: &self.path }
    }
}

impl Facts for JournalReader {
    fn first(&self) -> u64 {
        self.span.first
    }

    fn last(&self) -> u64 {
        self.span.last
    }

    fn walk(&self, from: u64, to: u64, take: Take<'_>) -> Result<(), JournalError> {
        self.scan(from, to, &mut |entry| take(Seen::Stored(entry)))
    }
}

/// Where a journal lies that somebody writes. It is opened for each look-up, so that its log can be copied in between.
pub struct Shelf {
    path: PathBuf,
}

impl Shelf {
    /// The journal in this file.
    pub fn of(path: &Path) -> Shelf {
        Shelf { path: path.to_owned() }
    }
}

impl History for Shelf {
    fn job(&self, job: JobId, specs: &[Arc<MachineSpec>]) -> Result<Past, JournalError> {
        past_of(&JournalReader::open_file(&self.path)?, job, specs)
    }
}
