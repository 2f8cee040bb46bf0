//! Making a damaged journal one that a server starts with, without losing anything in silence.
//!
//! What is to be kept is copied into a new file, row by row, so that no damaged page is written to. The copy is surveyed
//! before it takes the old one's place, and the old one stays beside it. Only what loses nothing is done unasked: a
//! snapshot goes that the rest does not need, marks and pages are written anew. Everything else must be named.

use super::copy::{NUMBERS_SKIPPED, numbers_given, skip_numbers};
use super::dir::DataDir;
use super::read::Source;
use super::schema::{self, Mark, refused};
use super::survey::{Place, Report, look};
use super::swap::{self, PARTIAL_FILE, make_private, unusable};
use super::{FILE, row, snapshot};
use crate::clock::Moment;
use crate::journal::JournalError;
use crate::journal::record::RecordError;
use crate::lab::Options;
use rusqlite::Connection;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How many facts are copied in one transaction.
const FACTS_AT_ONCE: u64 = 50_000;

/// What may be lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// Nothing.
    Lossless,
    /// Everything from the first damaged fact on, which is this one: what was true before it is true again.
    DropFrom(u64),
    /// The history before this fact, which is the first behind the damage: what is true stays true.
    DropBefore(u64),
    /// The snapshot after this fact, which says something else than the facts do.
    DropSnapshot(u64),
}

impl Remedy {
    /// How it is asked for.
    fn flag(self) -> String {
        match self {
            Remedy::Lossless => "no option".to_owned(),
            Remedy::DropFrom(seq) => format!("--drop-from {seq}"),
            Remedy::DropBefore(seq) => format!("--drop-before {seq}"),
            Remedy::DropSnapshot(seq) => format!("--drop-snapshot {seq}"),
        }
    }
}

/// What is kept of a damaged journal.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Plan {
    /// The first fact.
    first: u64,
    /// The last fact.
    last: u64,
    /// The snapshots, the oldest first.
    snapshots: Vec<u64>,
}

/// What was done.
#[derive(Debug)]
pub struct Repaired {
    /// Where the damaged journal is now.
    pub aside: Option<PathBuf>,
    /// What was not kept, one sentence each.
    pub dropped: Vec<String>,
    /// The journal as it is now; nothing is wrong with it.
    pub report: Report,
}

/// What came of a wish to repair.
#[derive(Debug)]
pub enum Outcome {
    /// Nothing is wrong.
    Sound(Report),
    /// It was repaired.
    Repaired(Repaired),
    /// Nothing was done: what is wrong, and what could be done, one sentence each.
    Choices(Report, Vec<String>),
}

/// Repairs the journal of a data directory that no server has.
pub fn repair(
    data_dir: &Path,
    options: &Options,
    remedy: Remedy,
    now: Moment,
) -> Result<Outcome, JournalError> {
    swap::refuse_none(data_dir)?;
    let dir = Arc::new(DataDir::claim(data_dir)?);
    let path = dir.path().join(FILE);
    let before = look(&path, options, true)?;
    if before.problems.is_empty() {
        return Ok(Outcome::Sound(before));
    }
    let Some(plan) = plan(&before, remedy) else {
        let choices = choices(&before);
        return Ok(Outcome::Choices(before, choices));
    };
    let partial = dir.path().join(PARTIAL_FILE);
    let proved = rebuild(&path, &partial, &plan).and_then(|()| prove(&partial, options)).and_then(|()| {
        // As after putting back a copy: what is forgotten had numbers.
        match remedy {
            Remedy::DropFrom(_) => {
                skip_numbers(&dir, options.clone(), now, numbers_given(dir.path())).map(drop)
            }
            _ => Ok(()),
        }
    });
    if proved.is_err() {
        let _ = swap::clear(&partial);
    }
    proved?;
    let aside = swap::swap(dir.path(), swap::ASIDE[1])?;
    let report = look(&path, options, true)?;
    Ok(Outcome::Repaired(Repaired { aside, dropped: dropped(&before, &plan), report }))
}

/// What a remedy keeps; none if it does not help, or would lose more than it says.
fn plan(report: &Report, remedy: Remedy) -> Option<Plan> {
    let has = |wrong: fn(Place) -> bool| report.problems.iter().any(|problem| wrong(problem.place));
    if has(|place| place == Place::Newer) {
        return None;
    }
    let disputed = has(|place| matches!(place, Place::Disagreement(_) | Place::Story));
    let (first, last) = match (remedy, report.lost) {
        (Remedy::Lossless, None) if !disputed => (report.first, report.last),
        (Remedy::DropSnapshot(_), None) if disputed => (report.first, report.last),
        (Remedy::DropFrom(seq), Some((lost, _))) if seq == lost && seq > report.first => {
            (report.first, seq - 1)
        }
        (Remedy::DropBefore(seq), Some((_, lost))) if seq == lost + 1 && seq <= report.last => {
            (seq, report.last)
        }
        _ => return None,
    };
    let whole = report.snapshots.iter().filter(|found| found.whole).map(|found| found.seq);
    let kept = whole.filter(|seq| *seq <= last && seq + 1 >= first && Remedy::DropSnapshot(*seq) != remedy);
    let snapshots: Vec<_> = kept.collect();
    (first == 1 || !snapshots.is_empty()).then_some(Plan { first, last, snapshots })
}

/// What could be done, and what it would cost.
fn choices(report: &Report) -> Vec<String> {
    let mut remedies = vec![Remedy::Lossless];
    if let Some((from, to)) = report.lost {
        remedies.extend([Remedy::DropFrom(from), Remedy::DropBefore(to + 1)]);
    }
    remedies.extend(report.problems.iter().filter_map(|problem| match problem.place {
        Place::Disagreement(seq) => Some(Remedy::DropSnapshot(seq)),
        _ => None,
    }));
    let open = remedies.into_iter().filter_map(|remedy| Some((remedy, plan(report, remedy)?)));
    let mut choices: Vec<_> = open
        .map(|(remedy, plan)| format!("{}: {}", remedy.flag(), dropped(report, &plan).join("; ")))
        .collect();
    if report.problems.iter().any(|problem| problem.place == Place::Newer) {
        choices.push("a newer berth wrote some of it: use that one".to_owned());
    } else {
        choices.push("berth restore FILE --replace: back to a copy, if there is one".to_owned());
    }
    choices
}

/// What a plan does not keep.
fn dropped(report: &Report, plan: &Plan) -> Vec<String> {
    let mut dropped = Vec::new();
    if plan.first > report.first {
        dropped.push(format!(
            "facts {} to {} of the history are lost; what is true now is kept by the snapshot after fact {}",
            report.first,
            plan.first - 1,
            plan.snapshots.first().copied().unwrap_or_default()
        ));
    }
    if report.lost.is_some() && plan.first == report.first {
        let lost = plan.last + 1;
        dropped.push(format!(
            "fact {lost} and everything after it is lost; {NUMBERS_SKIPPED} numbers of jobs and grants are skipped"
        ));
    }
    let gone = report.snapshots.iter().filter(|found| !plan.snapshots.contains(&found.seq));
    dropped.extend(gone.map(|found| format!("the snapshot after fact {} is dropped", found.seq)));
    if dropped.is_empty() {
        dropped.push("nothing is lost: pages and marks are written anew".to_owned());
    }
    dropped
}

/// Writes a new journal with what is kept of the old one.
fn rebuild(path: &Path, partial: &Path, plan: &Plan) -> Result<(), JournalError> {
    swap::clear(partial).and_then(|()| make_private(partial)).map_err(unusable(partial))?;
    let mut new = schema::connect(partial).map_err(|error| refused(partial, error))?;
    schema::prepare(&mut new, partial)?;
    let old = schema::connect_to_read(path).map_err(|error| refused(path, error))?;
    let mut from = plan.first;
    while from <= plan.last {
        let to = plan.last.min(from + FACTS_AT_ONCE - 1);
        copy_facts(Source { db: &old, path }, &mut new, partial, from, to)?;
        from = to + 1;
    }
    let finish = |new: &mut Connection| -> rusqlite::Result<()> {
        let tx = new.transaction()?;
        plan.snapshots.iter().try_for_each(|seq| snapshot::copy(&old, &tx, *seq))?;
        Mark::Reached.set(&tx, plan.last)?;
        Mark::First.set(&tx, plan.first)?;
        tx.commit()?;
        new.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
    };
    finish(&mut new).map_err(|error| refused(partial, error))
}

/// Copies some facts, all of which are whole.
fn copy_facts(
    old: Source<'_>,
    new: &mut Connection,
    partial: &Path,
    from: u64,
    to: u64,
) -> Result<(), JournalError> {
    let failed = |error| refused(partial, error);
    let tx = new.transaction().map_err(failed)?;
    {
        let mut insert = tx.prepare_cached(row::INSERT).map_err(failed)?;
        old.scan(from, to, &mut |entry| {
            let record = entry.record()?;
            row::insert(&mut insert, entry.seq, &record)
                .map_err(|error| RecordError::Row(error.to_string()))?;
            Ok(ControlFlow::Continue(()))
        })?;
    }
    tx.commit().map_err(failed)
}

/// Nothing may be wrong with what takes the old one's place.
fn prove(partial: &Path, options: &Options) -> Result<(), JournalError> {
    match look(partial, options, true)?.problems.first() {
        None => Ok(()),
        Some(problem) => Err(JournalError::Damaged(format!(
            "what would be kept is no journal either, and nothing was changed: {}",
            problem.why
        ))),
    }
}
