//! Looking at a journal without writing: beside a server that runs, or when none does. Also copies of it, and the way
//! back from a copy.

use super::dir::DataDir;
use super::read::Source;
use super::row::Entry;
use super::schema::{self, Mark, Span, refused};
use super::snapshot;
use super::{FILE, check_log};
use crate::journal::history::{Facts, Seen, Take, past_of};
use crate::journal::record::RecordError;
use crate::journal::{History, JournalError, Kept, Past};
use crate::lab::fact::JobId;
use crate::lab::machine::MachineSpec;
use crate::lab::snapshot::Piece;
use rusqlite::Connection;
use std::fs::{self, File};
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What stands behind the name of a copy that is not whole yet.
const PARTIAL: &str = ".partial";

/// A journal as it was when it was opened.
pub struct JournalReader {
    db: Connection,
    path: PathBuf,
    span: Span,
}

impl JournalReader {
    /// Opens the journal of a data directory, whether or not a server has it.
    pub fn open(data_dir: &Path) -> Result<JournalReader, JournalError> {
        let path = data_dir.join(FILE);
        let len = path.metadata().map_err(|error| {
            JournalError::Unusable(format!("there is no journal in {}: {error}", data_dir.display()))
        })?;
        // The log of a server that runs changes while one looks, and is its own concern.
        if !DataDir::is_held(data_dir) {
            check_log(&path, len.len())?;
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
    pub fn replay(&self, take: &mut dyn FnMut(Kept) -> Result<(), String>) -> Result<(), JournalError> {
        self.source().replay(&self.span, take)
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

/// Copies the journal of a data directory into a file, as it is at one instant; a server may run. The copy is checked
/// before it gets its name.
pub fn backup(data_dir: &Path, to: &Path) -> Result<JournalReader, JournalError> {
    if to.exists() {
        return Err(JournalError::Unusable(format!("{} exists already", to.display())));
    }
    drop(JournalReader::open(data_dir)?);
    let (path, partial) = (data_dir.join(FILE), suffixed(to, PARTIAL));
    let unusable = |error: io::Error| JournalError::Unusable(format!("{}: {error}", partial.display()));
    // One that an interrupted copy left is of no use to anybody.
    match fs::remove_file(&partial) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(unusable(error)),
        _ => {}
    }
    let copied = copy(&path, &partial).and_then(|()| check(&partial));
    if copied.is_err() {
        let _ = fs::remove_file(&partial);
    }
    copied?;
    keep(&partial, to).map_err(unusable)?;
    JournalReader::open_file(to)
}

/// Writes the copy.
fn copy(path: &Path, partial: &Path) -> Result<(), JournalError> {
    let db = schema::connect_to_read(path).map_err(|error| refused(path, error))?;
    make_private(partial)
        .map_err(|error| JournalError::Unusable(format!("{} cannot be made: {error}", partial.display())))?;
    let text = partial.to_str().ok_or_else(|| {
        JournalError::Unusable(format!("{} is no name that can be written as text", partial.display()))
    })?;
    db.execute("VACUUM INTO ?1", [text]).map_err(|error| refused(partial, error))?;
    // The copy knows its own end, so that it can be told when it is cut short.
    let copy = schema::connect(partial).map_err(|error| refused(partial, error))?;
    let last = Span::of(&copy, partial)?.last;
    Mark::Reached.set(&copy, last).map_err(|error| refused(partial, error))
}

/// An empty file for its owner alone, which SQLite fills.
fn make_private(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    fs::OpenOptions::new().create_new(true).write(true).mode(0o600).open(path).map(drop)
}

/// Whether a copy is whole: every fact and every snapshot.
fn check(path: &Path) -> Result<(), JournalError> {
    let copy = JournalReader::open_file(path)?;
    copy.check_file()?;
    copy.snapshots().iter().try_for_each(|seq| copy.snapshot(*seq).map(drop))?;
    copy.scan(copy.first(), copy.last(), &mut |entry| entry.fact().map(|_| ControlFlow::Continue(())))
}

/// Sees to it that a file is on disk, and gives it its name.
fn keep(partial: &Path, to: &Path) -> io::Result<()> {
    File::open(partial)?.sync_all()?;
    fs::rename(partial, to)?;
    let dir = to.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(dir)?.sync_all()
}

/// Puts a copy in the place of the journal of a data directory that no server has. A journal that is there is only
/// replaced when that is wanted, and is kept beside; answers where.
pub fn restore(from: &Path, data_dir: &Path, replace: bool) -> Result<Option<PathBuf>, JournalError> {
    check(from)?;
    let dir = DataDir::claim(data_dir)?;
    let path = data_dir.join(FILE);
    let unusable = |error: io::Error| JournalError::Unusable(format!("{}: {error}", path.display()));
    let mut replaced = None;
    if path.exists() {
        if !replace {
            return Err(JournalError::Unusable(format!(
                "there is a journal in {} already; --replace puts it aside",
                data_dir.display()
            )));
        }
        replaced = Some(put_aside(data_dir).map_err(unusable)?);
    }
    let partial = suffixed(&path, PARTIAL);
    let copied = fs::copy(from, &partial).and_then(|_| {
        fs::set_permissions(&partial, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
        keep(&partial, &path)
    });
    copied.map_err(unusable)?;
    drop(dir);
    Ok(replaced)
}

/// Renames the files of a journal; answers what the first is called now.
fn put_aside(data_dir: &Path) -> io::Result<PathBuf> {
    let free = |number: &u32| !data_dir.join(format!("{FILE}.replaced-{number}")).exists();
    let number = (1..).find(free).unwrap_or_default();
    let aside = |tail: &str| data_dir.join(format!("{FILE}.replaced-{number}{tail}"));
    // The log first: a journal whose log is gone would seem whole and be old.
    for tail in ["-shm", "-wal", ""] {
        let named = data_dir.join(format!("{FILE}{tail}"));
        match fs::rename(&named, aside(tail)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    File::open(data_dir)?.sync_all()?;
    Ok(aside(""))
}

fn suffixed(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
