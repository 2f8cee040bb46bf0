//! Replay of facts on two threads: one reads rows and makes facts of them, the other hands them over meanwhile.
//!
//! Facts travel in batches, of which only a few are under way at a time. What is found first in the order of facts is told
//! first, whichever thread found it.

use super::read::Source;
use super::schema::Span;
use super::snapshot;
use crate::journal::record::RecordError;
use crate::journal::{JournalError, Kept};
use crate::lab::fact::Fact;
use rusqlite::Connection;
use std::ops::ControlFlow::{Break, Continue};
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

/// How many facts travel together.
const BATCH_FACTS_MAX: usize = 256;
/// How many bytes of rows the facts that travel together were made of, unless one row has more.
const BATCH_BYTES_MAX: usize = 1 << 20;
/// How many batches are under way.
const BATCHES_MAX: usize = 8;
/// With fewer facts than this another thread is not worth its start.
const FACTS_ALONE_MAX: u64 = 2048;

/// How much history before the snapshot is looked at in a start; `verify` looks at all of it.
const HISTORY_CHECKED_MAX: u64 = 2_000_000;

/// Who takes what is handed over.
type Take<'t> = &'t mut dyn FnMut(Kept) -> Result<(), String>;

/// Hands over the newest snapshot and every fact after it; looks also at the newest of the facts before it.
pub fn replay(db: &mut Connection, path: &Path, span: &Span, take: Take<'_>) -> Result<(), JournalError> {
    let told = span.snapshots.last().copied();
    if let Some(seq) = told {
        let pieces = snapshot::read(db, path, seq)?;
        take(Kept::Snapshot(pieces)).map_err(|why| {
            let path = path.display();
            JournalError::Damaged(format!(
                "the snapshot after fact {seq} in {path} contradicts itself: {why}"
            ))
        })?;
        let from = span.first.max((seq + 1).saturating_sub(HISTORY_CHECKED_MAX));
        Source { db, path }.scan(from, seq, &mut |_| Ok(Continue(())))?;
    }
    hear(db, path, told.map_or(1, |seq| seq + 1), span.last, take)
}

/// Hands over the facts with these numbers, all of which must be there. The database is lent to the thread that reads.
fn hear(db: &mut Connection, path: &Path, from: u64, to: u64, take: Take<'_>) -> Result<(), JournalError> {
    if to.saturating_sub(from) < FACTS_ALONE_MAX {
        return Source { db, path }.scan(from, to, &mut |entry| {
            take(Kept::Fact(entry.fact()?)).map_err(RecordError::Row).map(Continue)
        });
    }
    let lent = &mut *db;
    let (read, refused) = thread::scope(|scope| {
        let (out, batches) = sync_channel(BATCHES_MAX);
        let read = move || read(Source { db: lent, path }, from, to, &out);
        let reading = thread::Builder::new().name("replay".to_owned()).spawn_scoped(scope, read);
        let refused = hand_over(batches, from, take);
        (reading.map(|reading| reading.join()), refused)
    });
    // What was handed over before damage was met comes before it.
    if let Some((seq, why)) = refused {
        return Err(Source { db, path }.unread(seq, RecordError::Row(why)));
    }
    let read =
        read.map_err(|error| JournalError::Unusable(format!("no thread to read the journal: {error}")))?;
    read.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Reads facts and lets them travel, until nobody takes them any more.
fn read(source: Source<'_>, from: u64, to: u64, out: &SyncSender<Vec<Fact>>) -> Result<(), JournalError> {
    let (mut batch, mut bytes) = (Vec::with_capacity(BATCH_FACTS_MAX), 0);
    let scanned = source.scan(from, to, &mut |entry| {
        batch.push(entry.fact()?);
        bytes += entry.body().len();
        if batch.len() < BATCH_FACTS_MAX && bytes < BATCH_BYTES_MAX {
            return Ok(Continue(()));
        }
        bytes = 0;
        let full = std::mem::replace(&mut batch, Vec::with_capacity(BATCH_FACTS_MAX));
        Ok(if out.send(full).is_ok() { Continue(()) } else { Break(()) })
    });
    // Also what was read before the scan met damage.
    let _ = out.send(batch);
    scanned
}

/// Hands facts over as they arrive; says which of them was refused, if one was, and why.
fn hand_over(batches: Receiver<Vec<Fact>>, from: u64, take: Take<'_>) -> Option<(u64, String)> {
    let facts = batches.into_iter().flatten().map(|fact| take(Kept::Fact(fact)));
    (from..).zip(facts).find_map(|(seq, taken)| taken.err().map(|why| (seq, why)))
}
