//! The engine that keeps facts in a file on this machine: SQLite, one row for each fact, one transaction and one sync
//! for each round of the desk.
//!
//! Read this file, then `dir` (the data directory and its lock) and `wal` (damage that SQLite would drop in silence).
//! The format is described in protocol-spec/journal.md. How damage is found:
//!
//! - a fact carries a checksum over everything in its row;
//! - facts are numbered without gaps from 1, so that a lost row in the middle shows;
//! - `mark` holds a number that was reached before the log was last copied into the file, so that lost rows at
//!   the end of the file show;
//! - the write-ahead log is looked at before SQLite reads it.
//!
//! Deliberately not here: what a fact looks like in its row (`record`).

mod dir;
#[cfg(test)]
mod tests;
mod wal;

use super::record::{Record, RecordError};
use super::{Journal, JournalError};
use crate::clock::Moment;
use crate::lab::fact::Fact;
use dir::DataDir;
use rusqlite::config::DbConfig;
use rusqlite::{CachedStatement, Connection, ErrorCode, OpenFlags, Row, TransactionBehavior, ffi};
use std::fs::File;
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The file of facts, in the data directory.
const FILE: &str = "journal.sqlite3";

/// What says that a file is a journal of ours: "Brth".
const APPLICATION_ID: i64 = 0x4272_7468;

/// The format of the file. A newer one is refused; an older one, once there is one, is brought up to date.
const FORMAT: i64 = 1;

/// The log is copied into the file about every so many pages, so that a copy is short and the log stays small.
const LOG_PAGES_MAX: usize = 1000;

/// How many bytes a page holds.
const PAGE_BYTES: usize = 4096;

/// About how many bytes a row needs beside its body.
const ROW_BYTES: usize = 40;

/// How long a program that writes into our file (none should) is waited for.
const BUSY_WAIT: Duration = Duration::from_secs(2);

/// The tables. `fact.at` and `fact.sum` are unsigned numbers in SQLite's signed ones.
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

/// SQLite's codes for a write that failed before the end of the transaction was written.
const WRITE_FAILED: [i32; 2] = [ffi::SQLITE_IOERR_WRITE, ffi::SQLITE_IOERR_SHMSIZE];

/// How a fact is written.
const INSERT: &str = "INSERT INTO fact (seq, at, version, kind, body, sum) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";

/// How the mark is written.
const MARK: &str = "INSERT OR REPLACE INTO mark (id, seq, sum) VALUES (1, ?1, ?2)";

/// How all facts are read.
const SELECT: &str = "SELECT seq, at, version, kind, body, sum FROM fact ORDER BY seq";

/// Facts in a file.
pub struct EmbeddedJournal {
    /// The database; closed before the directory is let go.
    db: Connection,
    dir: DataDir,
    path: PathBuf,
    /// The number of the last fact.
    last: u64,
    /// The number in `mark`.
    marked: u64,
    /// About how many pages were written since the log was last copied.
    log_pages: usize,
    /// How many are written before it is copied.
    log_pages_max: usize,
    /// Why nothing is written any more.
    broken: Option<String>,
}

impl EmbeddedJournal {
    /// Opens the journal in this directory, or begins one. Nobody else can while this one is open.
    pub fn open(data_dir: &Path) -> Result<EmbeddedJournal, JournalError> {
        let dir = DataDir::claim(data_dir)?;
        let (path, len) = dir.file(FILE)?;
        let log_pages = check_log(&path, len)?;
        let db = connect(&path).map_err(|error| refused(&path, error))?;
        if is_new(&db).map_err(|error| refused(&path, error))? {
            create(&db).map_err(|error| refused(&path, error))?;
        }
        check_format(&db, &path)?;
        configure(&db, &path)?;
        let (last, marked) = ends(&db, &path)?;
        let log_pages_max = LOG_PAGES_MAX;
        Ok(EmbeddedJournal { db, dir, path, last, marked, log_pages, log_pages_max, broken: None })
    }

    /// Hands over all facts; the error names the first that cannot be had.
    fn read(&self, take: &mut dyn FnMut(Fact)) -> Result<(), JournalError> {
        let mut seq = 1;
        let mut select = self.db.prepare_cached(SELECT).map_err(|error| refused(&self.path, error))?;
        let mut rows = select.query([]).map_err(|error| refused(&self.path, error))?;
        while let Some(row) = rows.next().map_err(|error| self.unread(seq, row_error(error)))? {
            take(decode(seq, row).map_err(|error| self.unread(seq, error))?);
            seq += 1;
        }
        if seq != self.last + 1 {
            let why = format!("it is missing, and {} facts were kept", self.last);
            return Err(self.unread(seq, RecordError::Row(why)));
        }
        Ok(())
    }

    /// Why a fact cannot be had.
    fn unread(&self, seq: u64, error: RecordError) -> JournalError {
        let why = format!("fact {seq} in {}: {error}", self.path.display());
        match error {
            RecordError::Unknown { .. } => JournalError::Unusable(why),
            _ => JournalError::Damaged(why),
        }
    }

    /// Writes facts in one transaction; the mark goes with them when the log is to be copied after it.
    fn write(&mut self, records: &[Record<'_>]) -> rusqlite::Result<()> {
        let (last, mark) = (self.last + records.len() as u64, self.is_log_long(records));
        let tx = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        {
            let mut insert = tx.prepare_cached(INSERT)?;
            for (record, seq) in records.iter().zip(self.last + 1..) {
                insert_record(&mut insert, seq, record)?;
            }
            if mark {
                set_mark(&tx, last)?;
            }
        }
        tx.commit()?;
        self.last = last;
        self.log_pages += pages(records);
        if mark {
            self.marked = last;
            self.copy_log();
        }
        Ok(())
    }

    /// Whether the log will be long enough to be copied once these are in it.
    fn is_log_long(&self, records: &[Record<'_>]) -> bool {
        self.log_pages + pages(records) >= self.log_pages_max
    }

    /// Copies the log into the file. The facts are kept already: no room only means that the log goes on growing.
    fn copy_log(&mut self) {
        match self.db.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(())) {
            Ok(()) => self.log_pages = 0,
            Err(error) => match self.failure(error) {
                JournalError::Broken(why) => self.broken = Some(why),
                _ => self.log_pages = self.log_pages_max / 2,
            },
        }
    }

    /// What a failure to write means.
    fn failure(&self, error: rusqlite::Error) -> JournalError {
        use ErrorCode::{DatabaseBusy, DatabaseLocked, DiskFull};
        let why = format!("{}: {error}", self.path.display());
        match error.sqlite_error() {
            Some(e) if e.code == DiskFull => JournalError::Full(why),
            Some(e) if matches!(e.code, DatabaseBusy | DatabaseLocked) => {
                JournalError::Full(format!("{why}, by another program"))
            }
            // Where the system has more words for it than SQLite knows (a quota), a try of our own tells. A sync that
            // failed is never only want of room: what it was to keep may stand in the log nevertheless.
            Some(e) if WRITE_FAILED.contains(&e.extended_code) && self.dir.lacks_room() => {
                JournalError::Full(why)
            }
            _ => JournalError::Broken(why),
        }
    }
}

impl Journal for EmbeddedJournal {
    fn replay(&mut self, take: &mut dyn FnMut(Fact)) -> Result<(), JournalError> {
        let read = self.read(take);
        if let Err(why) = &read {
            self.broken = Some(why.to_string());
        }
        read
    }

    fn append(&mut self, facts: &[Fact]) -> Result<(), JournalError> {
        if let Some(why) = &self.broken {
            return Err(JournalError::Broken(why.clone()));
        }
        let records: Result<Vec<_>, RecordError> = facts.iter().map(Record::encode).collect();
        let records = records.map_err(|error| JournalError::Broken(error.to_string()))?;
        if records.is_empty() {
            return Ok(());
        }
        self.write(&records).map_err(|error| {
            let failure = self.failure(error);
            if let JournalError::Broken(why) = &failure {
                self.broken = Some(why.clone());
            }
            failure
        })
    }
}

impl Drop for EmbeddedJournal {
    /// SQLite copies the log into the file when it is closed, which must not be without the mark.
    fn drop(&mut self) {
        let sound = self.broken.is_none();
        if !sound || (self.marked != self.last && set_mark(&self.db, self.last).is_err()) {
            // The log stays beside the file and is read at the next start.
            let _ = self.db.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true);
        }
    }
}

/// About how many pages a transaction writes.
fn pages(records: &[Record<'_>]) -> usize {
    let bytes: usize = records.iter().map(|record| record.body.len() + ROW_BYTES).sum();
    1 + bytes / PAGE_BYTES
}

/// Refuses a log that was damaged, before SQLite reads it, because SQLite would drop what it cannot read. Says
/// about how many pages it has.
fn check_log(path: &Path, len: u64) -> Result<usize, JournalError> {
    let mut log_path = path.as_os_str().to_owned();
    log_path.push("-wal");
    let log_path = PathBuf::from(log_path);
    let read = || -> io::Result<(u64, Option<u64>)> {
        let log = File::open(&log_path)?;
        Ok((log.metadata()?.len(), wal::check(&mut BufReader::with_capacity(1 << 16, log))?))
    };
    let (path, log_path) = (path.display(), log_path.display());
    match read() {
        Ok((1.., _)) if len == 0 => Err(JournalError::Damaged(format!(
            "{path} is empty and {log_path} is not; they belong together and must be put back together"
        ))),
        Ok((log_len, None)) => Ok((log_len / PAGE_BYTES as u64) as usize),
        Ok((_, Some(at))) => Err(JournalError::Damaged(format!(
            "what stands at byte {at} of {log_path} was changed, and facts that were kept stand behind it"
        ))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
        Err(error) => Err(JournalError::Unusable(format!("{log_path} cannot be read: {error}"))),
    }
}

/// Opens the database; the file is there.
fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(path, flags)?;
    db.busy_timeout(BUSY_WAIT)?;
    Ok(db)
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
         BEGIN IMMEDIATE; {TABLES}
         PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {FORMAT};"
    ))?;
    set_mark(db, 0)?;
    db.execute_batch("COMMIT; PRAGMA wal_checkpoint(TRUNCATE);")
}

/// Refuses files of others, and of newer versions of us.
fn check_format(db: &Connection, path: &Path) -> Result<(), JournalError> {
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
    Ok(())
}

/// Makes every commit durable, and leaves the copying of the log to us.
fn configure(db: &Connection, path: &Path) -> Result<(), JournalError> {
    let mode = db.query_row("PRAGMA journal_mode = WAL", [], |row| row.get::<_, String>(0));
    let mode = mode.map_err(|error| refused(path, error))?;
    if mode != "wal" {
        let why = format!("{} cannot have a write-ahead log here (SQLite gives '{mode}')", path.display());
        return Err(JournalError::Unusable(why));
    }
    db.execute_batch(
        "PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0;
         PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON;",
    )
    .map_err(|error| refused(path, error))
}

/// The number of the last fact, and the mark.
fn ends(db: &Connection, path: &Path) -> Result<(u64, u64), JournalError> {
    let read = |sql| db.query_row(sql, [], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)));
    let (last, _) =
        read("SELECT coalesce(max(seq), 0), 0 FROM fact").map_err(|error| refused(path, error))?;
    let (mark, sum) = read("SELECT seq, sum FROM mark WHERE id = 1").map_err(|error| refused(path, error))?;
    let damaged = |why: String| JournalError::Damaged(format!("{}: {why}", path.display()));
    let mark = mark as u64;
    let last = u64::try_from(last).map_err(|_| damaged(format!("the last fact has the number {last}")))?;
    if i64::from(mark_sum(mark)) != sum {
        return Err(damaged("the checksum of its mark does not fit".to_owned()));
    }
    if last < mark {
        return Err(damaged(format!("fact {} is missing, and {mark} facts were kept", last + 1)));
    }
    Ok((last, mark))
}

/// A pragma that is a number.
fn number(db: &Connection, name: &str) -> rusqlite::Result<i64> {
    db.pragma_query_value(None, name, |row| row.get(0))
}

/// Writes the number of the last fact beside the facts.
fn set_mark(db: &Connection, last: u64) -> rusqlite::Result<()> {
    db.prepare_cached(MARK)?.execute((last as i64, mark_sum(last)))?;
    Ok(())
}

/// The checksum of the mark.
fn mark_sum(mark: u64) -> u32 {
    crc32fast::hash(&mark.to_le_bytes())
}

/// The checksum of a row: everything in it that is not the sum.
fn sum(seq: u64, at: u64, version: i64, kind: &[u8], body: &[u8]) -> u32 {
    let mut sum = crc32fast::Hasher::new();
    for number in [seq, at, version as u64, kind.len() as u64] {
        sum.update(&number.to_le_bytes());
    }
    sum.update(kind);
    sum.update(body);
    sum.finalize()
}

/// Writes one row.
fn insert_record(insert: &mut CachedStatement<'_>, seq: u64, record: &Record<'_>) -> rusqlite::Result<()> {
    let (at, version) = (record.at.0, i64::from(record.version));
    let sum = sum(seq, at, version, record.kind.as_bytes(), record.body.as_bytes());
    insert.execute((seq as i64, at as i64, version, &*record.kind, &*record.body, sum))?;
    Ok(())
}

/// Reads one row, which must be the one with this number.
fn decode(seq: u64, row: &Row<'_>) -> Result<Fact, RecordError> {
    let number = |column| row.get::<_, i64>(column).map_err(row_error);
    let found = number(0)? as u64;
    if found != seq {
        return Err(RecordError::Row(format!("it is missing, the next one that is there is {found}")));
    }
    let (at, version, kind, body) = (number(1)? as u64, number(2)?, bytes(row, 3)?, bytes(row, 4)?);
    if i64::from(sum(seq, at, version, kind, body)) != number(5)? {
        return Err(RecordError::Row("its checksum does not fit".to_owned()));
    }
    let (kind, body) = (text(kind)?, text(body)?);
    let unknown = |_| RecordError::Unknown { kind: kind.to_owned(), version };
    let version = u16::try_from(version).map_err(unknown)?;
    Record { at: Moment(at), kind: kind.into(), version, body: body.into() }.decode()
}

/// A column of a row as it lies in the file.
fn bytes<'a>(row: &'a Row<'_>, column: usize) -> Result<&'a [u8], RecordError> {
    let value = row.get_ref(column).map_err(row_error)?;
    value.as_bytes().map_err(|error| RecordError::Row(error.to_string()))
}

/// Bytes that must be text.
fn text(bytes: &[u8]) -> Result<&str, RecordError> {
    std::str::from_utf8(bytes).map_err(|error| RecordError::Row(error.to_string()))
}

/// A row that SQLite cannot make sense of.
fn row_error(error: rusqlite::Error) -> RecordError {
    RecordError::Row(error.to_string())
}

/// Why the file cannot be used.
fn refused(path: &Path, error: rusqlite::Error) -> JournalError {
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
