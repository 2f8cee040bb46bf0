//! Replay of facts on two threads: one reads rows and hands over facts, the other makes facts of rows meanwhile.
//!
//! Rows travel in batches, of which only a few are under way at a time. What is found first in the order of facts is told
//! first, whichever thread found it.

use super::read::Source;
use super::row::Entry;
use crate::clock::Moment;
use crate::journal::record::RecordError;
use crate::journal::{JournalError, Kept};
use crate::lab::fact::Fact;
use std::ops::ControlFlow::{Break, Continue};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

/// How many rows travel together.
const BATCH_ROWS_MAX: usize = 1024;
/// How many bytes of rows travel together, unless one row has more.
const BATCH_BYTES_MAX: usize = 1 << 20;
/// How many batches are under way.
const BATCHES_MAX: usize = 4;
/// With fewer facts than this another thread is not worth its start.
const FACTS_ALONE_MAX: u64 = 2 * BATCH_ROWS_MAX as u64;

/// Who takes what is handed over.
type Take<'t> = &'t mut dyn FnMut(Kept) -> Result<(), String>;

/// Facts with their numbers, or why there is none.
type Facts = Vec<(u64, Result<Fact, RecordError>)>;

/// Rows whose checksums are right, out of the file.
#[derive(Default)]
struct Batch {
    text: Vec<u8>,
    rows: Vec<Place>,
}

/// Where a row stands in the text of its batch.
struct Place {
    seq: u64,
    at: Moment,
    version: i64,
    kind_bytes: usize,
    body_bytes: usize,
}

impl Batch {
    fn push(&mut self, entry: &Entry<'_>) {
        let (kind_bytes, body_bytes) = (entry.kind().len(), entry.body().len());
        self.text.extend_from_slice(entry.kind());
        self.text.extend_from_slice(entry.body());
        let (seq, at, version) = (entry.seq, entry.at, entry.version());
        self.rows.push(Place { seq, at, version, kind_bytes, body_bytes });
    }

    fn is_full(&self) -> bool {
        self.rows.len() >= BATCH_ROWS_MAX || self.text.len() >= BATCH_BYTES_MAX
    }

    fn facts(&self) -> Facts {
        let mut rest = self.text.as_slice();
        let mut cut = |bytes| {
            let (piece, behind) = rest.split_at(bytes);
            rest = behind;
            piece
        };
        let fact = |place: &Place| {
            let (kind, body) = (cut(place.kind_bytes), cut(place.body_bytes));
            (place.seq, Entry::from_parts(place.seq, place.at, place.version, kind, body).fact())
        };
        self.rows.iter().map(fact).collect()
    }
}

/// The end that reads and hands over.
struct Hearing<'a, 't> {
    source: Source<'a>,
    take: Take<'t>,
    batch: Batch,
    out: SyncSender<Batch>,
    back: Receiver<Facts>,
    under_way: usize,
}

impl Hearing<'_, '_> {
    /// Another row; hands over what has come back when enough is under way.
    fn push(&mut self, entry: &Entry<'_>) -> Result<(), JournalError> {
        self.batch.push(entry);
        if !self.batch.is_full() {
            return Ok(());
        }
        self.send();
        match self.under_way >= BATCHES_MAX {
            true => self.hand_over(),
            false => Ok(()),
        }
    }

    fn send(&mut self) {
        // The other end is there as long as this one.
        let _ = self.out.send(std::mem::take(&mut self.batch));
        self.under_way += 1;
    }

    fn hand_over(&mut self) -> Result<(), JournalError> {
        self.under_way -= 1;
        for (seq, fact) in self.back.recv().unwrap_or_default() {
            let taken = fact.and_then(|fact| (self.take)(Kept::Fact(fact)).map_err(RecordError::Row));
            taken.map_err(|error| self.source.unread(seq, error))?;
        }
        Ok(())
    }

    /// Hands over all that was read.
    fn finish(&mut self) -> Result<(), JournalError> {
        self.send();
        while self.under_way > 0 {
            self.hand_over()?;
        }
        Ok(())
    }
}

impl Source<'_> {
    /// Hands over facts, all of which must be there; an error names the first that cannot be had.
    pub fn hear(self, from: u64, to: u64, take: Take<'_>) -> Result<(), JournalError> {
        if to.saturating_sub(from) < FACTS_ALONE_MAX {
            return self.scan(from, to, &mut |entry| {
                take(Kept::Fact(entry.fact()?)).map_err(RecordError::Row).map(Continue)
            });
        }
        let (out, rows) = sync_channel::<Batch>(BATCHES_MAX);
        let (facts, back) = sync_channel(BATCHES_MAX);
        thread::scope(|scope| {
            let decode = move || rows.iter().try_for_each(|batch| facts.send(batch.facts()));
            let started = thread::Builder::new().name("replay".to_owned()).spawn_scoped(scope, decode);
            started
                .map_err(|error| JournalError::Unusable(format!("no thread to read the journal: {error}")))?;
            let batch = Batch::default();
            Hearing { source: self, take, batch, out, back, under_way: 0 }.run(from, to)
        })
    }
}

impl Hearing<'_, '_> {
    fn run(mut self, from: u64, to: u64) -> Result<(), JournalError> {
        let mut heard = Ok(());
        let source = self.source;
        let scanned = source.scan(from, to, &mut |entry| {
            heard = self.push(&entry);
            Ok(if heard.is_ok() { Continue(()) } else { Break(()) })
        });
        // What was read before the scan met damage comes before it.
        heard.and_then(|()| self.finish()).and(scanned)
    }
}
