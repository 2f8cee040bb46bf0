//! Rows of facts: how they are written, checked and read. A row carries a checksum over everything in it.

use crate::clock::Moment;
use crate::journal::record::{Record, RecordError};
use crate::lab::fact::Fact;
use rusqlite::{CachedStatement, Row};

/// How a fact is written.
pub const INSERT: &str =
    "INSERT INTO fact (seq, at, version, kind, body, sum) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";

/// How facts are read.
pub const SELECT: &str =
    "SELECT seq, at, version, kind, body, sum FROM fact WHERE seq BETWEEN ?1 AND ?2 ORDER BY seq";

/// The checksum of a row: everything in it that is not the sum.
pub fn sum(seq: u64, at: u64, version: i64, kind: &[u8], body: &[u8]) -> u32 {
    let mut sum = crc32fast::Hasher::new();
    for number in [seq, at, version as u64, kind.len() as u64] {
        sum.update(&number.to_le_bytes());
    }
    sum.update(kind);
    sum.update(body);
    sum.finalize()
}

/// Writes one row.
pub fn insert(insert: &mut CachedStatement<'_>, seq: u64, record: &Record<'_>) -> rusqlite::Result<()> {
    let (at, version) = (record.at.0, i64::from(record.version));
    let sum = sum(seq, at, version, record.kind.as_bytes(), record.body.as_bytes());
    insert.execute((seq as i64, at as i64, version, &*record.kind, &*record.body, sum))?;
    Ok(())
}

/// A fact as it lies in the file; its number and its checksum are right.
pub struct Entry<'r> {
    /// Its number.
    pub seq: u64,
    /// When it was decided.
    pub at: Moment,
    version: i64,
    kind: &'r [u8],
    body: &'r [u8],
}

impl<'r> Entry<'r> {
    /// Looks at a row, which must be the one with this number.
    pub(super) fn of(seq: u64, row: &'r Row<'_>) -> Result<Entry<'r>, RecordError> {
        let number = |column| row.get::<_, i64>(column).map_err(row_error);
        let found = number(0)? as u64;
        if found != seq {
            return Err(RecordError::Row(format!("it is missing, the next one that is there is {found}")));
        }
        let (at, version, kind, body) = (number(1)? as u64, number(2)?, bytes(row, 3)?, bytes(row, 4)?);
        match i64::from(sum(seq, at, version, kind, body)) == number(5)? {
            true => Ok(Entry { seq, at: Moment(at), version, kind, body }),
            false => Err(RecordError::Row("its checksum does not fit".to_owned())),
        }
    }

    /// Which kind of fact it is.
    pub fn kind(&self) -> &'r [u8] {
        self.kind
    }

    /// Its body, unread.
    pub fn body(&self) -> &'r [u8] {
        self.body
    }

    /// The record it holds.
    pub fn record(&self) -> Result<Record<'r>, RecordError> {
        let (kind, body) = (text(self.kind)?, text(self.body)?);
        let unknown = |_| RecordError::Unknown { kind: kind.to_owned(), version: self.version };
        let version = u16::try_from(self.version).map_err(unknown)?;
        Ok(Record { at: self.at, kind: kind.into(), version, body: body.into() })
    }

    /// The fact it holds.
    pub fn fact(&self) -> Result<Fact, RecordError> {
        self.record()?.decode()
    }
}

/// A column of a row as it lies in the file.
fn bytes<'a>(row: &'a Row<'_>, column: usize) -> Result<&'a [u8], RecordError> {
    let value = row.get_ref(column).map_err(row_error)?;
    value.as_bytes().map_err(|error| RecordError::Row(error.to_string()))
}

/// Bytes that must be text.
pub fn text(bytes: &[u8]) -> Result<&str, RecordError> {
    std::str::from_utf8(bytes).map_err(|error| RecordError::Row(error.to_string()))
}

/// A row that SQLite cannot make sense of.
pub fn row_error(error: rusqlite::Error) -> RecordError {
    RecordError::Row(error.to_string())
}
