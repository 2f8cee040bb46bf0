//! Everything that is wrong with a journal, not only the first thing: the log, the pages of the file, the marks, every
//! fact, both snapshots, and whether they tell the same story.
//!
//! The facts are walked over once, and a lab hears them. It begins empty when fact 1 is there, and anew at each
//! snapshot; where it has heard everything up to a snapshot, the two must agree. What depends on settings (which ended
//! jobs are remembered) and on starts (when orders are overdue) is left out of that.

use super::dir::DataDir;
use super::read::{Found, Pages, Source};
use super::row::Entry;
use super::schema::{self, Fault, Span, refused};
use super::swap::{self, suffixed, unusable};
use super::{FILE, check_log, snapshot};
use crate::clock::Moment;
use crate::journal::JournalError;
use crate::journal::record::{Record, RecordError};
use crate::lab::snapshot::Piece;
use crate::lab::{Lab, Options};
use rusqlite::Connection;
use std::collections::BTreeMap;
use std::ops::ControlFlow::Continue;
use std::path::{Path, PathBuf};

/// How many problems are told one by one.
pub const PROBLEMS_MAX: usize = 100;

/// How many problems of pages SQLite is asked for.
const PAGE_PROBLEMS_MAX: u32 = 20;

/// What a journal is, and what is wrong with it.
#[derive(Debug)]
pub struct Report {
    /// The file.
    pub path: PathBuf,
    /// Whether a server has it; then its log is not looked at.
    pub in_use: bool,
    /// The number of the first fact that is kept.
    pub first: u64,
    /// The number of the last fact that can be found.
    pub last: u64,
    /// When the first fact that can be read was decided.
    pub first_at: Option<Moment>,
    /// When the last one was.
    pub last_at: Option<Moment>,
    /// The snapshots, the oldest first.
    pub snapshots: Vec<SnapshotFound>,
    /// How large the file is.
    pub file_bytes: u64,
    /// How large the log beside it is.
    pub log_bytes: u64,
    /// How many facts there are of each kind.
    pub kinds: BTreeMap<String, u64>,
    /// What is wrong; at most `PROBLEMS_MAX`.
    pub problems: Vec<Problem>,
    /// How many more problems there are.
    pub problems_more: u64,
    /// The first and the last fact that cannot be had.
    pub lost: Option<(u64, u64)>,
}

/// A snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotFound {
    /// It tells what was true after this fact.
    pub seq: u64,
    /// When it was begun.
    pub at: Moment,
    /// How large it is.
    pub bytes: u64,
    /// Whether a lab can be made of it.
    pub whole: bool,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// With what.
    pub place: Place,
    /// The sentence.
    pub why: String,
}

/// What something can be wrong with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The write-ahead log: facts behind the damage are lost.
    Log,
    /// The pages of the file.
    Pages,
    /// A mark.
    Mark,
    /// The snapshot after this fact cannot be read.
    Snapshot(u64),
    /// The snapshot after this fact is not what the facts before it tell.
    Disagreement(u64),
    /// Facts, from the first to the last.
    Facts(u64, u64),
    /// What all of it tells contradicts itself.
    Story,
    /// Something only a newer version can read: no damage.
    Newer,
}

impl Place {
    /// Its word.
    pub fn word(self) -> &'static str {
        match self {
            Place::Log => "log",
            Place::Pages => "pages",
            Place::Mark => "mark",
            Place::Snapshot(_) => "snapshot",
            Place::Disagreement(_) => "disagreement",
            Place::Facts(..) => "facts",
            Place::Story => "story",
            Place::Newer => "newer",
        }
    }
}

/// Looks at everything in the journal of a data directory, whether or not a server has it. Only what makes looking
/// impossible is an error.
pub fn survey(data_dir: &Path, options: &Options) -> Result<Report, JournalError> {
    swap::refuse_none(data_dir)?;
    let path = data_dir.join(FILE);
    let in_use = DataDir::is_held(data_dir);
    Ok(Report { in_use, ..look(&path, options, !in_use)? })
}

/// Looks at everything in a copy.
pub fn survey_file(path: &Path, options: &Options) -> Result<Report, JournalError> {
    look(path, options, true)
}

/// Looks at everything in a file, and at its log when nobody writes it.
pub(super) fn look(path: &Path, options: &Options, log: bool) -> Result<Report, JournalError> {
    let file_bytes = path.metadata().map_err(unusable(path))?.len();
    let log_bytes = suffixed(path, "-wal").metadata().map_or(0, |meta| meta.len());
    let log_fault = match log.then(|| check_log(path, file_bytes)) {
        Some(Err(JournalError::Damaged(why))) if file_bytes > 0 => Some(why),
        Some(Err(error)) => return Err(error),
        _ => None,
    };
    let db = schema::connect_to_read(path).map_err(|error| refused(path, error))?;
    db.execute_batch("BEGIN").map_err(|error| refused(path, error))?;
    let (span, faults) = Span::look(&db, path)?;
    let report = Report {
        path: path.to_owned(),
        in_use: false,
        first: span.first,
        last: span.last,
        first_at: None,
        last_at: None,
        snapshots: Vec::new(),
        file_bytes,
        log_bytes,
        kinds: BTreeMap::new(),
        problems: Vec::new(),
        problems_more: 0,
        lost: None,
    };
    let source = Source { db: &db, path };
    let mut walk = Walk { source, options, report, lab: None, pages: None, rows: 0, losing: None };
    walk.take_log_fault(log_fault);
    walk.check_pages();
    walk.check_snapshots(&span);
    walk.walk(&span)?;
    walk.take_faults(faults);
    Ok(walk.report)
}

/// A walk over a journal.
struct Walk<'a> {
    source: Source<'a>,
    options: &'a Options,
    report: Report,
    /// What the facts so far tell, unless something was lost since the last snapshot.
    lab: Option<Lab>,
    /// Where facts lie, once that matters.
    pages: Option<Pages>,
    /// How many rows were passed.
    rows: u64,
    /// Neighbouring facts that are lost for the same reason: the first, the last, the row of the first, why.
    losing: Option<(u64, u64, u64, RecordError)>,
}

impl Walk<'_> {
    fn note(&mut self, place: Place, why: String) {
        match self.report.problems.len() < PROBLEMS_MAX {
            true => self.report.problems.push(Problem { place, why }),
            false => self.report.problems_more += 1,
        }
    }

    fn take_log_fault(&mut self, fault: Option<String>) {
        let Some(why) = fault else { return };
        let last = self.report.last;
        self.lose(last + 1, last + 1);
        self.note(Place::Log, format!("{why}; what can be read without them ends with fact {last}"));
    }

    /// Remembers the ends of what is lost.
    fn lose(&mut self, from: u64, to: u64) {
        let (first, last) = self.report.lost.unwrap_or((from, to));
        self.report.lost = Some((first.min(from), last.max(to)));
    }

    /// What SQLite has to say of the file.
    fn check_pages(&mut self) {
        let path = self.source.path.display();
        let ask = |db: &Connection| -> rusqlite::Result<Vec<String>> {
            let mut select = db.prepare(&format!("PRAGMA integrity_check({PAGE_PROBLEMS_MAX})"))?;
            select.query_map([], |row| row.get(0))?.collect()
        };
        let words = ask(self.source.db).unwrap_or_else(|error| vec![error.to_string()]);
        let words: Vec<_> =
            words.iter().filter(|word| *word != "ok").map(|word| format!("{path}: {word}")).collect();
        words.into_iter().for_each(|why| self.note(Place::Pages, why));
    }

    /// Which snapshots there are, and which of them a lab can be made of.
    fn check_snapshots(&mut self, span: &Span) {
        for seq in &span.snapshots {
            let (at, bytes) = snapshot::size(self.source.db, *seq).unwrap_or_default();
            let restored = self.restored(*seq);
            let (whole, at) = (restored.is_ok(), Moment(at));
            self.report.snapshots.push(SnapshotFound { seq: *seq, at, bytes, whole });
            match restored {
                Ok(_) => {}
                Err(JournalError::Unusable(why)) => self.note(Place::Newer, why),
                Err(JournalError::Damaged(why)) => self.note(Place::Snapshot(*seq), why),
                Err(error) => self.note(Place::Snapshot(*seq), error.to_string()),
            }
        }
    }

    /// The lab that a snapshot tells of.
    fn restored(&self, seq: u64) -> Result<Lab, JournalError> {
        let pieces = snapshot::read(self.source.db, self.source.path, seq)?;
        let mut lab = Lab::new(self.options.clone());
        lab.restore(pieces).map_err(|why| {
            let path = self.source.path.display();
            JournalError::Damaged(format!(
                "the snapshot after fact {seq} in {path} contradicts itself: {why}"
            ))
        })?;
        Ok(lab)
    }

    /// All facts, and what they tell.
    fn walk(&mut self, span: &Span) -> Result<(), JournalError> {
        if span.first == 1 {
            self.lab = Some(Lab::new(self.options.clone()));
        }
        self.arrive(0, span.first.saturating_sub(1));
        let source = self.source;
        source.survey(span.first, span.last, &mut |found| {
            match found {
                Found::Fact(entry) => self.take(&entry),
                Found::Lost(from, to, why) => self.take_loss(from, to, why),
            }
            Continue(())
        })?;
        self.tell_loss();
        if let Some(Err(why)) = self.lab.as_ref().map(Lab::check) {
            let path = source.path.display();
            self.note(Place::Story, format!("what the facts in {path} tell contradicts itself: {why}"));
        }
        Ok(())
    }

    fn take(&mut self, entry: &Entry<'_>) {
        let fact = match entry.fact() {
            Ok(fact) => fact,
            Err(why) => return self.take_loss(entry.seq, entry.seq, why),
        };
        self.tell_loss();
        self.rows += 1;
        let kind = String::from_utf8_lossy(entry.kind());
        match self.report.kinds.get_mut(&*kind) {
            Some(count) => *count += 1,
            None => drop(self.report.kinds.insert(kind.into_owned(), 1)),
        }
        self.report.first_at.get_or_insert(entry.at);
        self.report.last_at = Some(entry.at);
        if let Some(lab) = &mut self.lab {
            lab.apply(&fact);
        }
        self.arrive(entry.seq, entry.seq);
    }

    /// Some facts cannot be had: what follows from them is unknown until the next snapshot.
    fn take_loss(&mut self, from: u64, to: u64, why: RecordError) {
        self.lab = None;
        self.lose(from, to);
        match &mut self.losing {
            Some((_, last, _, same)) if *same == why && *last + 1 == from => *last = to,
            _ => {
                self.tell_loss();
                self.losing = Some((from, to, self.rows, why.clone()));
            }
        }
        if !matches!(&why, RecordError::Row(why) if why == "it is missing") {
            self.rows += to - from + 1;
        }
        self.arrive(from, to);
    }

    /// Notes the loss that was found.
    fn tell_loss(&mut self) {
        let Some((from, to, row, why)) = self.losing.take() else { return };
        let path = self.source.path.display();
        let facts = match from == to {
            true => format!("fact {from} in {path}"),
            false => format!("facts {from} to {to} in {path}"),
        };
        if matches!(why, RecordError::Unknown { .. }) {
            return self.note(Place::Newer, format!("{facts}: {why}"));
        }
        if self.pages.is_none() {
            self.pages = Pages::of(self.source.db).ok();
        }
        let page = self.pages.as_ref().and_then(|pages| pages.page_of_row(row));
        let page = page.map(|(at, bytes)| format!(" (in the page at byte {at}, which has {bytes} bytes)"));
        self.note(Place::Facts(from, to), format!("{facts}{}: {why}", page.unwrap_or_default()));
    }

    /// Compares what the facts tell with the snapshots after these facts, or begins with the last of them.
    fn arrive(&mut self, from: u64, to: u64) {
        let here = |found: &&SnapshotFound| found.whole && (from..=to).contains(&found.seq);
        let here: Vec<_> = self.report.snapshots.iter().filter(here).map(|found| found.seq).collect();
        for seq in here {
            let Ok(told) = self.restored(seq) else { continue };
            let differs = self.lab.as_ref().and_then(|lab| difference(&told.pieces(), &lab.pieces()));
            if let Some(what) = differs {
                let path = self.source.path.display();
                self.note(
                    Place::Disagreement(seq),
                    format!(
                        "the snapshot after fact {seq} in {path} is not what the facts before it tell: {what}"
                    ),
                );
            }
            self.lab = Some(told);
        }
    }

    /// What the ends of the journal say.
    fn take_faults(&mut self, faults: Vec<Fault>) {
        let path = self.source.path.display().to_string();
        for fault in faults {
            match fault {
                Fault::Mark(why) => self.note(Place::Mark, why),
                Fault::Cut(from, to, why) => {
                    self.lose(from, to);
                    self.note(Place::Facts(from, to), format!("{path}: {why}"));
                }
            }
        }
    }
}

/// The first thing in which two labs differ.
fn difference(told: &[Piece], heard: &[Piece]) -> Option<String> {
    let (mut told, mut heard) = (told.iter().filter_map(lasting), heard.iter().filter_map(lasting));
    loop {
        let (one, other) = (told.next(), heard.next());
        if one == other {
            one?;
            continue;
        }
        let piece = one.or(other)?;
        let kind = Record::of_piece(&piece).map_or("a piece".into(), |record| record.kind);
        return Some(format!("they differ in a piece of kind '{kind}'"));
    }
}

/// A piece without what settings and starts change.
fn lasting(piece: &Piece) -> Option<Piece> {
    match piece {
        Piece::Retired(_) => None,
        Piece::Job(job) if !job.is_live() => None,
        Piece::Order { id, open } => {
            let open = crate::lab::Outstanding { deadline: Moment(0), ..open.clone() };
            Some(Piece::Order { id: *id, open })
        }
        piece => Some(piece.clone()),
    }
}
