//! What is in the file, for those who replay it and for those who only look.

use super::row::{Entry, SELECT, row_error};
use super::schema::refused;
use crate::journal::JournalError;
use crate::journal::record::RecordError;
use rusqlite::{Connection, Row};
use std::ops::ControlFlow;
use std::path::Path;

/// A journal's file, open.
#[derive(Clone, Copy)]
pub struct Source<'a> {
    /// The database.
    pub db: &'a Connection,
    /// Where it lies.
    pub path: &'a Path,
}

impl Source<'_> {
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
        // What lies behind the last one is not asked for: its page may be damaged.
        while seq <= to {
            let row = rows.next().map_err(|error| self.unread(seq, row_error(error)))?;
            let Some(row) = row else { break };
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

    /// Walks over facts and goes on after damage, until `take` has enough.
    pub fn survey(
        self,
        from: u64,
        to: u64,
        take: &mut dyn FnMut(Found<'_>) -> ControlFlow<()>,
    ) -> Result<(), JournalError> {
        let mut seq = from;
        while seq <= to {
            let mut select = self.db.prepare_cached(SELECT).map_err(|error| refused(self.path, error))?;
            let mut rows =
                select.query((seq as i64, to as i64)).map_err(|error| refused(self.path, error))?;
            // After an error of its own SQLite has to be asked anew.
            let mut sound = true;
            while sound && seq <= to {
                let row = rows.next();
                let there = match &row {
                    Ok(Some(row)) => row.get::<_, i64>(0).map_or(seq, |found| found as u64),
                    Ok(None) => to + 1,
                    Err(_) => seq,
                };
                if there > seq && take(Found::Lost(seq, there - 1, missing())).is_break() {
                    return Ok(());
                }
                seq = there + 1;
                let found = match row {
                    Ok(None) => return Ok(()),
                    Ok(Some(row)) => Entry::of(there, row),
                    Err(error) => {
                        sound = false;
                        Err(row_error(error))
                    }
                };
                let found = found.map_or_else(|why| Found::Lost(there, there, why), Found::Fact);
                if take(found).is_break() {
                    return Ok(());
                }
            }
        }
        Ok(())
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
        Ok(Pages::of(self.db)?.page_of_row(seq.saturating_sub(first as u64)))
    }
}

/// What a walk that goes on after damage finds.
pub enum Found<'r> {
    /// A fact whose number and checksum are right.
    Fact(Entry<'r>),
    /// Facts that cannot be had: the first, the last, and why.
    Lost(u64, u64, RecordError),
}

fn missing() -> RecordError {
    RecordError::Row("it is missing".to_owned())
}

/// The pages of facts, in the order of the facts in them.
pub struct Pages(Vec<(u64, u64, u64)>);

impl Pages {
    /// All of them: how many facts, the first byte, how many bytes.
    pub fn of(db: &Connection) -> rusqlite::Result<Pages> {
        let sql = "SELECT ncell, pgoffset, pgsize FROM dbstat
                   WHERE name = 'fact' AND pagetype = 'leaf' ORDER BY path";
        let mut select = db.prepare(sql)?;
        let numbers =
            |row: &Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get::<_, i64>(2)?));
        let pages = select
            .query_map([], numbers)?
            .map(|page| page.map(|(n, at, len)| (n as u64, at as u64, len as u64)));
        pages.collect::<rusqlite::Result<_>>().map(Pages)
    }

    /// The page with the row that has so many before it: its first byte, and how many it has.
    pub fn page_of_row(&self, mut before: u64) -> Option<(u64, u64)> {
        for (facts, from, bytes) in &self.0 {
            match before.checked_sub(*facts) {
                Some(rest) => before = rest,
                None => return Some((*from, *bytes)),
            }
        }
        self.0.last().map(|(_, from, bytes)| (*from, *bytes))
    }
}
