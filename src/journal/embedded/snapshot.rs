//! Snapshots: what was true after a fact, as gzipped lines `kind version body`, cut into parts of rows.
//!
//! A snapshot is written a slice at a time, so that no round of the desk waits long for it. It counts once its row
//! is there, which is written together with its last part. Two are kept: if the newer one is damaged, the older one and
//! the facts after it still tell everything.

use super::row::text;
use super::schema::refused;
use crate::clock::Moment;
use crate::journal::JournalError;
use crate::journal::record::{Record, RecordError};
use crate::lab::snapshot::Piece;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use rusqlite::{Connection, Transaction};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::Path;

/// How a snapshot is spelled.
const VERSION: i64 = 1;

/// How many snapshots are kept.
const SNAPSHOTS_KEPT: i64 = 2;

/// About how much text is encoded in one slice.
const SLICE_BYTES: usize = 64 * 1024;

/// A part is written when it has so many bytes.
const PART_BYTES: usize = 128 * 1024;

/// A snapshot on its way to the disk.
pub struct Writing {
    /// It tells what was true after this fact.
    pub seq: u64,
    at: Moment,
    pieces: std::vec::IntoIter<Piece>,
    /// None once everything is encoded.
    encoder: Option<GzEncoder<Vec<u8>>>,
    /// Encoded, and not written yet.
    ready: Vec<u8>,
    parts: u64,
    sum: crc32fast::Hasher,
}

impl Writing {
    /// Begins one.
    pub fn new(seq: u64, at: Moment, pieces: Vec<Piece>) -> Writing {
        let encoder = Some(GzEncoder::new(Vec::new(), Compression::fast()));
        let (pieces, sum) = (pieces.into_iter(), crc32fast::Hasher::new());
        Writing { seq, at, pieces, encoder, ready: Vec::new(), parts: 0, sum }
    }

    /// Encodes the next slice. What was encoded waits until it is written.
    pub fn encode(&mut self) -> Result<(), RecordError> {
        let Some(mut encoder) = self.encoder.take() else { return Ok(()) };
        let mut bytes = 0;
        while bytes < SLICE_BYTES {
            let Some(piece) = self.pieces.next() else {
                self.ready.extend(encoder.finish().map_err(unwritten)?);
                return Ok(());
            };
            let record = Record::of_piece(&piece)?;
            writeln!(encoder, "{} {} {}", record.kind, record.version, record.body).map_err(unwritten)?;
            bytes += record.body.len();
        }
        self.ready.append(encoder.get_mut());
        self.encoder = Some(encoder);
        Ok(())
    }

    /// Whether a part is full, or the rest waits.
    pub fn has_part(&self) -> bool {
        self.ready.len() >= PART_BYTES || self.encoder.is_none()
    }

    /// How many bytes wait.
    pub fn part_bytes(&self) -> usize {
        self.ready.len()
    }

    /// Writes what waits; with the last part comes the row that makes the snapshot count, and older ones go.
    pub fn write_part(&self, tx: &Transaction<'_>) -> rusqlite::Result<()> {
        if self.parts == 0 {
            // Parts of a snapshot that a crash cut short.
            tx.execute("DELETE FROM snapshot_part WHERE seq NOT IN (SELECT seq FROM snapshot)", [])?;
        }
        tx.prepare_cached("INSERT INTO snapshot_part (seq, part, body) VALUES (?1, ?2, ?3)")?.execute((
            self.seq as i64,
            self.parts as i64,
            &self.ready,
        ))?;
        if self.encoder.is_none() {
            let mut sum = self.sum.clone();
            sum.update(&self.ready);
            let (parts, body) = (self.parts + 1, sum.finalize());
            let sum = row_sum(self.seq, self.at.0, VERSION, parts, body);
            tx.execute(
                "INSERT INTO snapshot (seq, at, version, parts, sum) VALUES (?1, ?2, ?3, ?4, ?5)",
                (self.seq as i64, self.at.0 as i64, VERSION, parts as i64, sum),
            )?;
            tx.execute(
                "DELETE FROM snapshot WHERE seq NOT IN (SELECT seq FROM snapshot ORDER BY seq DESC LIMIT ?1)",
                [SNAPSHOTS_KEPT],
            )?;
            tx.execute("DELETE FROM snapshot_part WHERE seq NOT IN (SELECT seq FROM snapshot)", [])?;
        }
        Ok(())
    }

    /// What waited is written; true when that was all.
    pub fn part_written(&mut self) -> bool {
        self.sum.update(&self.ready);
        self.ready.clear();
        self.parts += 1;
        self.encoder.is_none()
    }
}

fn unwritten(error: io::Error) -> RecordError {
    RecordError::Row(error.to_string())
}

/// The checksum of a snapshot: everything in its row, and the checksum of all its parts together.
fn row_sum(seq: u64, at: u64, version: i64, parts: u64, body: u32) -> u32 {
    let mut sum = crc32fast::Hasher::new();
    for number in [seq, at, version as u64, parts, u64::from(body)] {
        sum.update(&number.to_le_bytes());
    }
    sum.finalize()
}

/// Reads the snapshot after a fact, which must be there and whole.
pub fn read(db: &Connection, path: &Path, seq: u64) -> Result<Vec<Piece>, JournalError> {
    let why = |error: RecordError| {
        let why = format!("the snapshot after fact {seq} in {}: {error}", path.display());
        match error {
            RecordError::Unknown { .. } => JournalError::Unusable(why),
            _ => JournalError::Damaged(why),
        }
    };
    let body = body(db, seq).map_err(|error| match error {
        BodyError::Sql(error) => refused(path, error),
        BodyError::Record(error) => why(error),
    })?;
    pieces(&body).map_err(why)
}

/// Why the bytes of a snapshot cannot be had.
enum BodyError {
    /// SQLite says so.
    Sql(rusqlite::Error),
    /// They were changed.
    Record(RecordError),
}

impl From<rusqlite::Error> for BodyError {
    fn from(error: rusqlite::Error) -> BodyError {
        BodyError::Sql(error)
    }
}

/// All parts of a snapshot, checked.
fn body(db: &Connection, seq: u64) -> Result<Vec<u8>, BodyError> {
    let row = "SELECT at, version, parts, sum FROM snapshot WHERE seq = ?1";
    let row = db.query_row(row, [seq as i64], |row| {
        Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get::<_, i64>(2)?, row.get::<_, i64>(3)?))
    });
    let (at, version, parts, sum) = row?;
    let mut body = Vec::new();
    let mut select = db.prepare("SELECT part, body FROM snapshot_part WHERE seq = ?1 ORDER BY part")?;
    let mut rows = select.query([seq as i64])?;
    let mut count = 0;
    while let Some(row) = rows.next()? {
        if row.get::<_, i64>(0)? != count {
            return Err(BodyError::Record(RecordError::Row(format!("its part {count} is missing"))));
        }
        let part = row.get_ref(1)?.as_blob().map_err(|error| RecordError::Row(error.to_string()));
        body.extend_from_slice(part.map_err(BodyError::Record)?);
        count += 1;
    }
    let found = row_sum(seq, at as u64, version, count as u64, crc32fast::hash(&body));
    if count != parts || i64::from(found) != sum {
        return Err(BodyError::Record(RecordError::Row("its checksum does not fit".to_owned())));
    }
    match version {
        VERSION => Ok(body),
        _ => Err(BodyError::Record(RecordError::Unknown { kind: "snapshot".to_owned(), version })),
    }
}

/// What the bytes say.
fn pieces(body: &[u8]) -> Result<Vec<Piece>, RecordError> {
    let mut lines = BufReader::new(GzDecoder::new(body));
    let (mut pieces, mut line) = (Vec::new(), Vec::new());
    loop {
        line.clear();
        let read = lines.read_until(b'\n', &mut line).map_err(unwritten)?;
        if read == 0 {
            break;
        }
        pieces.push(piece(text(&line)?)?);
    }
    // The checksum of the gzip stream itself is only looked at when its end is read.
    lines.read(&mut [0]).map_err(unwritten)?;
    Ok(pieces)
}

/// What one line says.
fn piece(line: &str) -> Result<Piece, RecordError> {
    let mut words = line.trim_end_matches('\n').splitn(3, ' ');
    let (Some(kind), Some(version), Some(body)) = (words.next(), words.next(), words.next()) else {
        return Err(RecordError::Row("a line of it is cut short".to_owned()));
    };
    let version = version.parse::<i64>().map_err(|_| RecordError::Value("a version is no number"))?;
    let unknown = |_| RecordError::Unknown { kind: kind.to_owned(), version };
    let version = u16::try_from(version).map_err(unknown)?;
    Record { at: Moment(0), kind: kind.into(), version, body: body.into() }.piece()
}

/// When a snapshot was begun, and how many bytes it has.
pub fn size(db: &Connection, seq: u64) -> rusqlite::Result<(u64, u64)> {
    let sql = "SELECT at, (SELECT coalesce(sum(length(body)), 0) FROM snapshot_part WHERE seq = ?1)
               FROM snapshot WHERE seq = ?1";
    db.query_row(sql, [seq as i64], |row| Ok((row.get::<_, i64>(0)? as u64, row.get::<_, i64>(1)? as u64)))
}

/// Writes a snapshot of one journal into another, as it is.
pub fn copy(from: &Connection, to: &Transaction<'_>, seq: u64) -> rusqlite::Result<()> {
    let row = "SELECT at, version, parts, sum FROM snapshot WHERE seq = ?1";
    let row: [i64; 4] =
        from.query_row(row, [seq as i64], |row| Ok([row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?]))?;
    let [at, version, parts, sum] = row;
    to.execute(
        "INSERT INTO snapshot (seq, at, version, parts, sum) VALUES (?1, ?2, ?3, ?4, ?5)",
        (seq as i64, at, version, parts, sum),
    )?;
    let mut insert = to.prepare("INSERT INTO snapshot_part (seq, part, body) VALUES (?1, ?2, ?3)")?;
    let mut select = from.prepare("SELECT part, body FROM snapshot_part WHERE seq = ?1 ORDER BY part")?;
    let mut rows = select.query([seq as i64])?;
    while let Some(row) = rows.next()? {
        insert.execute((seq as i64, row.get::<_, i64>(0)?, row.get::<_, Vec<u8>>(1)?))?;
    }
    Ok(())
}
