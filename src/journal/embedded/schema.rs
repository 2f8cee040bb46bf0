//! The file: what says that it is ours, its tables, its marks, and how older formats are brought up to date.

use crate::journal::JournalError;
use rusqlite::{Connection, ErrorCode, OpenFlags};
use std::path::Path;
use std::time::Duration;

/// What says that a file is a journal of ours: "Brth".
const APPLICATION_ID: i64 = 0x4272_7468;

/// The format of the file. A newer one is refused; an older one is brought up to date.
pub const FORMAT: i64 = 2;

/// The first format with snapshots.
pub const FORMAT_WITH_SNAPSHOTS: i64 = 2;

/// How many bytes a page holds.
pub const PAGE_BYTES: usize = 4096;

/// How large the log stays at most when it begins anew; while somebody looks at the file as it was it grows beyond.
const LOG_BYTES_KEPT: usize = 8000 * PAGE_BYTES;

/// How long a program that writes into our file (none should) is waited for.
const BUSY_WAIT: Duration = Duration::from_secs(2);

/// The tables of format 1. `fact.at` and `fact.sum` are unsigned numbers in SQLite's signed ones.
const TABLES: &str = "
    CREATE TABLE fact (
        seq INTEGER PRIMARY KEY,
        at INTEGER NOT NULL,
        version INTEGER NOT NULL,
        kind TEXT NOT NULL,
        body TEXT NOT NULL,
        sum INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE mark (id INTEGER PRIMARY KEY, seq INTEGER NOT NULL, sum INTEGER NOT NULL) STRICT;";

/// What format 2 added.
const SNAPSHOT_TABLES: &str = "
    CREATE TABLE snapshot (
        seq INTEGER PRIMARY KEY,
        at INTEGER NOT NULL,
        version INTEGER NOT NULL,
        parts INTEGER NOT NULL,
        sum INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE snapshot_part (
        seq INTEGER NOT NULL,
        part INTEGER NOT NULL,
        body BLOB NOT NULL,
        PRIMARY KEY (seq, part)
    ) STRICT;";

/// How a mark is written.
const MARK: &str = "INSERT OR REPLACE INTO mark (id, seq, sum) VALUES (?1, ?2, ?3)";

/// A number that is kept beside the facts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// A number of facts that was reached.
    Reached,
    /// The first fact that is kept.
    First,
}

impl Mark {
    fn id(self) -> i64 {
        match self {
            Mark::Reached => 1,
            Mark::First => 2,
        }
    }

    /// The checksum of the mark at this number.
    fn sum(self, seq: u64) -> u32 {
        match self {
            Mark::Reached => crc32fast::hash(&seq.to_le_bytes()),
            Mark::First => crc32fast::hash(&[2u64.to_le_bytes(), seq.to_le_bytes()].concat()),
        }
    }

    /// Writes it.
    pub fn set(self, db: &Connection, seq: u64) -> rusqlite::Result<()> {
        db.prepare_cached(MARK)?.execute((self.id(), seq as i64, self.sum(seq)))?;
        Ok(())
    }

    /// Reads it; a word says what is wrong with it.
    pub fn read(self, db: &Connection, path: &Path) -> Result<u64, JournalError> {
        let read = |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?));
        let found = db.query_row("SELECT seq, sum FROM mark WHERE id = ?1", [self.id()], read);
        let (seq, sum) = found.map_err(|error| refused(path, error))?;
        match i64::from(self.sum(seq as u64)) == sum {
            true => Ok(seq as u64),
            false => Err(JournalError::Damaged(format!(
                "{}: the checksum of its mark does not fit",
                path.display()
            ))),
        }
    }
}

/// Which facts there are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// The number of the first fact that is kept.
    pub first: u64,
    /// The number of the last fact.
    pub last: u64,
    /// The number in `Mark::Reached`.
    pub marked: u64,
    /// After which facts there are snapshots, the oldest first.
    pub snapshots: Vec<u64>,
}

/// What is wrong with the ends of a journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A mark, or what stands in the place of deleted facts.
    Mark(String),
    /// Facts that were kept are gone from the end: the first and the last of them, and how that is known.
    Cut(u64, u64, String),
}

impl Span {
    /// Looks at the file, and refuses it when its ends are not right.
    pub fn of(db: &Connection, path: &Path) -> Result<Span, JournalError> {
        let (span, faults) = Span::look(db, path)?;
        match faults.into_iter().next() {
            None => Ok(span),
            Some(Fault::Mark(why)) => Err(JournalError::Damaged(why)),
            Some(Fault::Cut(_, _, why)) => Err(JournalError::Damaged(format!("{}: {why}", path.display()))),
        }
    }

    /// Looks at the file; says what is wrong with it, and goes by the facts that are there.
    pub fn look(db: &Connection, path: &Path) -> Result<(Span, Vec<Fault>), JournalError> {
        let number = |sql: &str| db.query_row(sql, [], |row| row.get::<_, i64>(0));
        let number = |sql| number(sql).map_err(|error| refused(path, error));
        let last = number("SELECT coalesce(max(seq), 0) FROM fact")?;
        let last = u64::try_from(last).map_err(|_| {
            JournalError::Damaged(format!("{}: the last fact has the number {last}", path.display()))
        })?;
        let mut faults = Vec::new();
        let marked = believe(Mark::Reached.read(db, path), last, &mut faults)?;
        let (first, snapshots) = match format(db, path)? < FORMAT_WITH_SNAPSHOTS {
            true => (1, Vec::new()),
            false => {
                let there = number("SELECT coalesce(min(seq), 1) FROM fact")?.max(1) as u64;
                let first = believe(Mark::First.read(db, path), there, &mut faults)?;
                (first, snapshots(db).map_err(|error| refused(path, error))?)
            }
        };
        let span = Span { first, last, marked, snapshots };
        faults.extend(span.faults(path));
        Ok((span, faults))
    }

    /// What its numbers say against each other.
    fn faults(&self, path: &Path) -> Vec<Fault> {
        let Span { first, last, marked, snapshots } = self;
        let (mut faults, next) = (Vec::new(), last + 1);
        if last < marked {
            let why = format!("fact {next} is missing, and {marked} facts were kept");
            faults.push(Fault::Cut(next, *marked, why));
        }
        if *first > 1 && snapshots.first().is_none_or(|seq| seq + 1 < *first) {
            faults.push(Fault::Mark(format!(
                "{}: facts before {first} were deleted and there is no snapshot in their place",
                path.display()
            )));
        }
        if let Some(seq) = snapshots.last().filter(|seq| *seq > last) {
            let why = format!("fact {next} is missing, and there is a snapshot after fact {seq}");
            faults.push(Fault::Cut(next, *seq, why));
        }
        faults
    }
}

/// A mark, or what the facts say when it is damaged.
fn believe(
    mark: Result<u64, JournalError>,
    otherwise: u64,
    faults: &mut Vec<Fault>,
) -> Result<u64, JournalError> {
    match mark {
        Err(JournalError::Damaged(why)) => {
            faults.push(Fault::Mark(why));
            Ok(otherwise)
        }
        read => read,
    }
}

/// After which facts there are whole snapshots.
pub fn snapshots(db: &Connection) -> rusqlite::Result<Vec<u64>> {
    let mut select = db.prepare("SELECT seq FROM snapshot ORDER BY seq")?;
    select.query_map([], |row| Ok(row.get::<_, i64>(0)? as u64))?.collect()
}

/// Opens the database; the file is there.
pub fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(path, flags)?;
    db.busy_timeout(BUSY_WAIT)?;
    Ok(db)
}

/// Opens the database to look at it.
pub fn connect_to_read(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(path, flags)?;
    db.busy_timeout(BUSY_WAIT)?;
    db.execute_batch("PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON;")?;
    Ok(db)
}

/// Begins the journal if nothing was ever written, refuses what is not ours, and brings an older format up to date.
pub fn prepare(db: &mut Connection, path: &Path) -> Result<(), JournalError> {
    if is_new(db).map_err(|error| refused(path, error))? {
        create(db).map_err(|error| refused(path, error))?;
    }
    let format = format(db, path)?;
    configure(db, path)?;
    if format < FORMAT {
        add_snapshots(db).map_err(|error| refused(path, error))?;
    }
    Ok(())
}

/// Whether nothing was ever written into the database.
fn is_new(db: &Connection) -> rusqlite::Result<bool> {
    let tables: i64 = db.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    Ok(tables == 0 && number(db, "application_id")? == 0 && number(db, "user_version")? == 0)
}

/// Begins a journal, and sees to it that the file itself says what it is.
fn create(db: &Connection) -> rusqlite::Result<()> {
    db.execute_batch(&format!(
        "PRAGMA page_size = {PAGE_BYTES}; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
         BEGIN IMMEDIATE; {TABLES} {SNAPSHOT_TABLES}
         PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {FORMAT};"
    ))?;
    Mark::Reached.set(db, 0)?;
    Mark::First.set(db, 1)?;
    db.execute_batch("COMMIT; PRAGMA wal_checkpoint(TRUNCATE);")
}

/// From format 1 to format 2.
fn add_snapshots(db: &mut Connection) -> rusqlite::Result<()> {
    let tx = db.transaction()?;
    tx.execute_batch(&format!("{SNAPSHOT_TABLES} PRAGMA user_version = 2;"))?;
    Mark::First.set(&tx, 1)?;
    tx.commit()
}

/// The format of the file. Refuses files of others, and of newer versions of us.
pub fn format(db: &Connection, path: &Path) -> Result<i64, JournalError> {
    let number = |name| number(db, name).map_err(|error| refused(path, error));
    let (application, format, path) = (number("application_id")?, number("user_version")?, path.display());
    if application != APPLICATION_ID {
        return Err(JournalError::Unusable(format!(
            "{path} is no journal of berth (its application id is {application:#x}); give berth a directory of its own"
        )));
    }
    if format > FORMAT {
        return Err(JournalError::Unusable(format!(
            "{path} has format {format} and this berth knows formats up to {FORMAT}; start the berth that wrote it, or a newer one"
        )));
    }
    if format < 1 {
        return Err(JournalError::Damaged(format!(
            "{path} says it has format {format}, which there never was"
        )));
    }
    Ok(format)
}

/// Makes every commit durable, and leaves the copying of the log to us.
fn configure(db: &Connection, path: &Path) -> Result<(), JournalError> {
    let mode = db.query_row("PRAGMA journal_mode = WAL", [], |row| row.get::<_, String>(0));
    let mode = mode.map_err(|error| refused(path, error))?;
    if mode != "wal" {
        let why = format!("{} cannot have a write-ahead log here (SQLite gives '{mode}')", path.display());
        return Err(JournalError::Unusable(why));
    }
    db.execute_batch(&format!(
        "PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0; PRAGMA journal_size_limit = {LOG_BYTES_KEPT};
         PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON;"
    ))
    .map_err(|error| refused(path, error))
}

/// A pragma that is a number.
pub fn number(db: &Connection, name: &str) -> rusqlite::Result<i64> {
    db.pragma_query_value(None, name, |row| row.get(0))
}

/// Why the file cannot be used.
pub fn refused(path: &Path, error: rusqlite::Error) -> JournalError {
    use ErrorCode::{CannotOpen, DatabaseBusy, DiskFull, PermissionDenied, ReadOnly, SystemIoFailure};
    let why = format!("{}: {error}", path.display());
    match error.sqlite_error_code() {
        Some(PermissionDenied | ReadOnly) => JournalError::Unusable(format!(
            "the journal cannot be opened: {why}; berth needs a directory in which it may write"
        )),
        Some(CannotOpen | DatabaseBusy | DiskFull | SystemIoFailure) => {
            JournalError::Unusable(format!("the journal cannot be opened: {why}"))
        }
        _ => JournalError::Damaged(why),
    }
}
