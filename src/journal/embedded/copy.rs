//! Copies of a journal, and the way back from a copy.
//!
//! A copy is older than the world: jobs and grants may have been numbered since, and workers, clients and people may
//! remember them. So the way back skips numbers, in the same file that takes the old one's place.

use super::dir::DataDir;
use super::schema::{self, Mark, Span, refused};
use super::swap::{self, PARTIAL, PARTIAL_FILE, make_private, suffixed, unusable};
use super::{EmbeddedJournal, Entry, FILE, JournalReader};
use crate::clock::Moment;
use crate::journal::{Journal, JournalError, Kept};
use crate::lab::fact::{Event, Fact, Grant, JobId};
use crate::lab::snapshot::Piece;
use crate::lab::{Lab, Options};
use rusqlite::ErrorCode;
use std::fs::{self, File, TryLockError};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How many numbers of jobs, and of grants, are skipped when a journal is put back from a copy.
pub const NUMBERS_SKIPPED: u64 = 1_000_000;

/// The kinds of facts that give out numbers.
const NUMBERED: [&[u8]; 4] = [b"job_queued", b"job_granted", b"board_tested", b"numbers_skipped"];

/// Copies the journal of a data directory into a file, as it is at one instant; a server may run. The copy is checked
/// before it gets its name.
pub fn backup(data_dir: &Path, to: &Path) -> Result<JournalReader, JournalError> {
    refuse_present(to)?;
    drop(JournalReader::open(data_dir)?);
    let (path, partial) = (data_dir.join(FILE), suffixed(to, PARTIAL));
    let claim = claim(&partial)?;
    // Another copy may just have got this name.
    let copied = refuse_present(to).and_then(|()| copy(&path, &partial)).and_then(|()| check(&partial));
    if copied.is_err() {
        let _ = swap::clear(&partial);
    }
    copied?;
    swap::keep(&partial, to).map_err(unusable(&partial))?;
    drop(claim);
    JournalReader::open_file(to)
}

fn refuse_present(to: &Path) -> Result<(), JournalError> {
    match to.exists() {
        true => Err(JournalError::Unusable(format!("{} exists already", to.display()))),
        false => Ok(()),
    }
}

/// Makes the file that is to become a copy, for its owner alone; no other copy touches it as long as the answer is held.
fn claim(partial: &Path) -> Result<File, JournalError> {
    let held = |file: &File| matches!(file.try_lock(), Err(TryLockError::WouldBlock));
    if File::open(partial).is_ok_and(|other| held(&other)) {
        return Err(JournalError::Unusable(format!(
            "{} is being written by another backup",
            partial.display()
        )));
    }
    // One that an interrupted copy left is of no use to anybody.
    let made = swap::clear(partial).and_then(|()| make_private(partial)).and_then(|()| File::open(partial));
    let made = made.map_err(unusable(partial))?;
    made.lock().map_err(unusable(partial))?;
    Ok(made)
}

/// Writes the copy into an empty file.
fn copy(path: &Path, partial: &Path) -> Result<(), JournalError> {
    let db = schema::connect_to_read(path).map_err(|error| refused(path, error))?;
    let text = partial.to_str().ok_or_else(|| {
        JournalError::Unusable(format!("{} is no name that can be written as text", partial.display()))
    })?;
    let failed = |error: rusqlite::Error| match error.sqlite_error_code() {
        // Which of the two it was is not told.
        Some(
            ErrorCode::CannotOpen | ErrorCode::DiskFull | ErrorCode::ReadOnly | ErrorCode::SystemIoFailure,
        ) => {
            let (path, partial) = (path.display(), partial.display());
            JournalError::Unusable(format!(
                "{path} cannot be copied to {partial}: {error}; is there room for it?"
            ))
        }
        _ => refused(partial, error),
    };
    db.execute("VACUUM INTO ?1", [text]).map_err(failed)?;
    // The copy knows its own end, so that it can be told when it is cut short.
    let copy = schema::connect(partial).map_err(failed)?;
    let last = Span::of(&copy, partial)?.last;
    Mark::Reached.set(&copy, last).map_err(failed)
}

/// Whether a copy is whole: every fact and every snapshot.
fn check(path: &Path) -> Result<(), JournalError> {
    let copy = JournalReader::open_file(path)?;
    copy.check_file()?;
    copy.snapshots().iter().try_for_each(|seq| copy.snapshot(*seq).map(drop))?;
    copy.scan(copy.first(), copy.last(), &mut |entry| entry.fact().map(|_| ControlFlow::Continue(())))
}

/// What a journal that was put back is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restored {
    /// Where the journal is that was there before.
    pub aside: Option<PathBuf>,
    /// The number of the last fact, which skips the numbers.
    pub last: u64,
    /// When the fact before it was decided: what happened later is not known any more.
    pub known_until: Moment,
    /// No job up to this number will be made.
    pub last_job: JobId,
    /// No grant up to this number will be made.
    pub last_grant: Grant,
}

/// Puts a copy in the place of the journal of a data directory that no server has. A journal that is there is only
/// replaced when that is wanted, and is kept beside. The copy is replayed and its numbers are skipped before it gets
/// its name.
pub fn restore(
    from: &Path,
    data_dir: &Path,
    replace: bool,
    options: Options,
    now: Moment,
) -> Result<Restored, JournalError> {
    let log = suffixed(from, "-wal");
    if log.metadata().is_ok_and(|meta| meta.len() > 0) {
        return Err(JournalError::Unusable(format!(
            "{} has a log beside it, so it is a journal in use and no copy; make one with 'berth backup'",
            from.display()
        )));
    }
    check(from)?;
    let dir = Arc::new(DataDir::claim(data_dir)?);
    if dir.path().join(FILE).exists() && !replace {
        return Err(JournalError::Unusable(format!(
            "there is a journal in {} already; --replace puts it aside",
            data_dir.display()
        )));
    }
    let partial = dir.path().join(PARTIAL_FILE);
    let given = numbers_given(dir.path());
    let proved = begin(from, &partial).and_then(|()| skip_numbers(&dir, options, now, given));
    if proved.is_err() {
        let _ = swap::clear(&partial);
    }
    let restored = proved?;
    Ok(Restored { aside: swap::swap(dir.path(), swap::ASIDE[0])?, ..restored })
}

/// The last numbers that the journal of a directory knows of, as far as it can be read: it may have been put back from the
/// same copy before, and have given out numbers since.
pub(super) fn numbers_given(data_dir: &Path) -> (JobId, Grant) {
    let mut given = (JobId(0), Grant(0));
    let mut hear = |job: JobId, grant: Grant| given = (given.0.max(job), given.1.max(grant));
    // A damaged journal is the best reason to put back a copy: what can be read of it counts.
    let Ok(before) = JournalReader::open_damaged(data_dir) else { return given };
    for seq in before.snapshots() {
        if let Ok(Some(Piece::Counters { last_job, last_grant, .. })) =
            before.snapshot(*seq).map(|pieces| pieces.into_iter().next())
        {
            hear(last_job, last_grant);
        }
    }
    let _ = before.survey(before.first(), before.last(), &mut |found| {
        let numbered = |entry: &Entry<'_>| NUMBERED.contains(&entry.kind());
        match found.ok().filter(numbered).and_then(|entry| entry.fact().ok()).map(|fact| fact.event) {
            Some(Event::JobQueued { job, .. }) => hear(job, Grant(0)),
            Some(Event::JobGranted { job, grant, .. }) => hear(job, grant),
            Some(Event::BoardTested { order, .. }) => hear(JobId(0), order.grant),
            Some(Event::NumbersSkipped { last_job, last_grant }) => hear(last_job, last_grant),
            _ => {}
        }
        ControlFlow::Continue(())
    });
    given
}

/// A file of the owner's alone with the same bytes.
fn begin(from: &Path, partial: &Path) -> Result<(), JournalError> {
    let copied = swap::clear(partial).and_then(|()| {
        make_private(partial)?;
        // The rights of the copy go with its bytes.
        fs::copy(from, partial)?;
        fs::set_permissions(partial, std::os::unix::fs::PermissionsExt::from_mode(0o600))
    });
    copied.map_err(unusable(partial))
}

/// Replays the new journal of a directory as a start would, and keeps in it that numbers are skipped: behind its own last
/// ones and these.
pub(super) fn skip_numbers(
    dir: &Arc<DataDir>,
    options: Options,
    now: Moment,
    given: (JobId, Grant),
) -> Result<Restored, JournalError> {
    let mut journal = EmbeddedJournal::open_in(dir.clone(), PARTIAL_FILE)?;
    let (lab, known_until) = replayed(&mut journal, options)?;
    let (job, grant) = lab.last_numbers();
    let last_job = JobId(job.max(given.0).0.saturating_add(NUMBERS_SKIPPED));
    let last_grant = Grant(grant.max(given.1).0.saturating_add(NUMBERS_SKIPPED));
    let event = Event::NumbersSkipped { last_job, last_grant };
    journal.append(&[Fact { at: now.max(known_until), event }])?;
    Ok(Restored { aside: None, last: journal.span.last, known_until, last_job, last_grant })
}

/// The lab that a journal tells of, checked, and when its last fact was decided.
pub(super) fn replayed(
    journal: &mut EmbeddedJournal,
    options: Options,
) -> Result<(Lab, Moment), JournalError> {
    let mut lab = Lab::new(options);
    journal.replay(&mut |kept| match kept {
        Kept::Snapshot(pieces) => lab.restore(pieces),
        Kept::Fact(fact) => {
            lab.apply(&fact);
            Ok(())
        }
    })?;
    lab.check()
        .map_err(|why| JournalError::Damaged(format!("what its facts tell contradicts itself: {why}")))?;
    let sql = "SELECT coalesce(max(at), 0) FROM fact WHERE seq = ?1";
    let at = journal.db.query_row(sql, [journal.span.last as i64], |row| row.get::<_, i64>(0));
    Ok((lab, Moment(at.map_err(|error| refused(&journal.path, error))? as u64)))
}
