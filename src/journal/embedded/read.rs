//! What is in the file, for those who replay it and for those who only look.

use super::row::{Entry, SELECT, row_error};
use super::schema::{Span, refused};
use super::snapshot;
use crate::journal::record::RecordError;
use crate::journal::{JournalError, Kept};
use rusqlite::Connection;
use std::ops::ControlFlow::{self, Continue};
use std::path::Path;

/// How much history before the snapshot is looked at in a start; `verify` looks at all of it.
const HISTORY_CHECKED_MAX: u64 = 2_000_000;

/// A journal's file, open.
#[derive(Clone, Copy)]
pub struct Source<'a> {
    /// The database.
    pub db: &'a Connection,
    /// Where it lies.
    pub path: &'a Path,
}

impl Source<'_> {
    /// Hands over the newest snapshot and every fact after it; looks also at the newest of the facts before it.
    pub fn replay(
        self,
        span: &Span,
        take: &mut dyn FnMut(Kept) -> Result<(), String>,
    ) -> Result<(), JournalError> {
        let told = span.snapshots.last().copied();
        if let Some(seq) = told {
            let pieces = snapshot::read(self.db, self.path, seq)?;
            take(Kept::Snapshot(pieces)).map_err(|why| {
                let path = self.path.display();
                JournalError::Damaged(format!(
                    "the snapshot after fact {seq} in {path} contradicts itself: {why}"
                ))
            })?;
            let from = span.first.max((seq + 1).saturating_sub(HISTORY_CHECKED_MAX));
            self.scan(from, seq, &mut |_| Ok(Continue(())))?;
        }
        self.scan(told.map_or(1, |seq| seq + 1), span.last, &mut |entry| {
            take(Kept::Fact(entry.fact()?)).map_err(RecordError::Row).map(Continue)
        })
    }

    /// Walks over facts, all of which must be there, until `take` has enough; an error names the first that cannot
    /// be had.
    pub fn scan(
        self,
        from: u64,
        to: u64,
        take: &mut dyn FnMut(Entry<'_>) -> Result<ControlFlow<()>, RecordError>,
    ) -> Result<(), JournalError> {
        let mut seq = from;
        let mut select = self.db.prepare_cached(SELECT).map_err(|error| refused(self.path, error))?;
        let mut rows = select.query((from as i64, to as i64)).map_err(|error| refused(self.path, error))?;
        while let Some(row) = rows.next().map_err(|error| self.unread(seq, row_error(error)))? {
            let taken = Entry::of(seq, row).and_then(&mut *take);
            if taken.map_err(|error| self.unread(seq, error))?.is_break() {
                return Ok(());
            }
            seq += 1;
        }
        match seq > to {
            true => Ok(()),
            false => {
                let why = format!("it is missing, and {to} facts were kept");
                Err(self.unread(seq, RecordError::Row(why)))
            }
        }
    }

    /// Why a fact cannot be had, and where it should lie.
    pub fn unread(self, seq: u64, error: RecordError) -> JournalError {
        let place = match (&error, self.page_of(seq)) {
            (RecordError::Row(_), Ok(Some((from, bytes)))) => {
                format!(" (in the page at byte {from}, which has {bytes} bytes)")
            }
            _ => String::new(),
        };
        let why = format!("fact {seq} in {}{place}: {error}", self.path.display());
        match error {
            RecordError::Unknown { .. } => JournalError::Unusable(why),
            _ => JournalError::Damaged(why),
        }
    }

    /// The page in which a fact lies, or would: its first byte, and how many it has.
    fn page_of(self, seq: u64) -> rusqlite::Result<Option<(u64, u64)>> {
        let first: i64 = self.db.query_row("SELECT min(seq) FROM fact", [], |row| row.get(0))?;
        let mut before = seq.saturating_sub(first as u64);
        let sql = "SELECT ncell, pgoffset, pgsize FROM dbstat
                   WHERE name = 'fact' AND pagetype = 'leaf' ORDER BY path";
        let mut select = self.db.prepare(sql)?;
        let mut pages = select.query([])?;
        let mut last = None;
        while let Some(page) = pages.next()? {
            let (facts, from, bytes): (i64, i64, i64) = (page.get(0)?, page.get(1)?, page.get(2)?);
            last = Some((from as u64, bytes as u64));
            match before.checked_sub(facts as u64) {
                Some(rest) => before = rest,
                None => return Ok(last),
            }
        }
        Ok(last)
    }
}
