//! A look at SQLite's write-ahead log before SQLite reads it.
//!
//! SQLite takes the log up to the first frame whose checksum does not fit and drops the rest in silence. That is
//! right for a torn tail: the last transaction was being written when the power went, and nobody was told of it. It
//! is wrong for a flipped bit further up, because every transaction behind it was acknowledged. The two can be told
//! apart: a transaction only begins once the one before it is on disk, so whatever stands before the beginning of a
//! later transaction must be whole.
//!
//! ```text
//!   header 32: magic, version, page bytes, checkpoint, salt, salt, sum, sum            all words big-endian
//!   frame  24: page, pages of the file if this ends a transaction or 0, salt, salt, sum, sum   then the page
//!   sum of a frame = over its first 8 bytes and its page, beginning with the sum of the frame before
//! ```
//!
//! Frames behind a damaged one are of two kinds. Those that were written after it carry its sum on, each that of the one
//! before, and have the salts of this round of the log (other salts are leftovers of an earlier round). Those of a
//! transaction that was cut off once, and is being written over, have these salts too, but carry on a sum that is
//! gone. So the proof of a later transaction is a frame that carries on the sum of one that ends a transaction.
//!
//! What cannot be told from a torn tail is damage to the very last transaction. And what cannot be told from damage is
//! a write over such a cut-off transaction that was torn between the first word of a frame's header and its sums, so
//! that the old sums stand behind a new end: a loss of power can do that to the few headers that lie across
//! the edge of a sector, a killed process cannot.

use std::io::{self, BufRead, ErrorKind, Read};

/// The length of the log's header.
pub const HEADER_BYTES: usize = 32;

/// The length of a frame's header.
pub const FRAME_BYTES: usize = 24;

/// The magic number, but for its last bit, which says how sums are reckoned.
const MAGIC: u32 = 0x377f_0682;

/// A running sum over pairs of words.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Sum(u32, u32);

/// How the log reckons its sums.
#[derive(Clone, Copy)]
struct Reckoning {
    /// Words are read with the largest byte first.
    big_endian: bool,
}

impl Reckoning {
    /// Carries a sum on over more bytes; a multiple of eight.
    fn add(self, sum: Sum, bytes: &[u8]) -> Sum {
        let (pairs, _) = bytes.as_chunks::<8>();
        pairs.iter().fold(sum, |Sum(a, b), [b0, b1, b2, b3, b4, b5, b6, b7]| {
            let (x, y) = ([*b0, *b1, *b2, *b3], [*b4, *b5, *b6, *b7]);
            let word =
                |bytes| if self.big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) };
            let a = a.wrapping_add(word(x)).wrapping_add(b);
            Sum(a, b.wrapping_add(word(y)).wrapping_add(a))
        })
    }
}

/// The word at a place, largest byte first.
fn word(bytes: &[u8], at: usize) -> u32 {
    bytes[at..at + 4].iter().fold(0, |word, byte| word << 8 | u32::from(*byte))
}

/// Says at which byte the log was damaged, if it was. A torn tail is none.
pub fn check(log: &mut impl BufRead) -> io::Result<Option<u64>> {
    let mut header = [0; HEADER_BYTES];
    if !fill(log, &mut header)? {
        return Ok(None);
    }
    let reckoning = Reckoning { big_endian: word(&header, 0) & 1 == 1 };
    let (page_bytes, sum) = (word(&header, 8) as usize, Sum(word(&header, 24), word(&header, 28)));
    let whole = word(&header, 0) & !1 == MAGIC && reckoning.add(Sum(0, 0), &header[..24]) == sum;
    if !whole || !page_bytes.is_power_of_two() || !(512..=65_536).contains(&page_bytes) {
        // The header is on disk before any frame is written: torn, it has none behind it.
        return Ok(if is_blank(log)? { None } else { Some(0) });
    }
    let mut tail = Tail { carried: sum, reckoned: sum, ended: false, broken_at: None };
    let (mut frame, mut at) = (vec![0; FRAME_BYTES + page_bytes], HEADER_BYTES as u64);
    while fill(log, &mut frame)? {
        if tail.take(&frame, &header[16..24], reckoning, at) {
            return Ok(tail.broken_at);
        }
        at += frame.len() as u64;
    }
    Ok(None)
}

/// What has been seen of the log so far.
struct Tail {
    /// The sum that the last frame carries.
    carried: Sum,
    /// The sum that it should carry; it is another one when the frame was damaged.
    reckoned: Sum,
    /// Whether the last frame ended a transaction.
    ended: bool,
    /// Where the first frame stands that is not whole.
    broken_at: Option<u64>,
}

impl Tail {
    /// Takes the next frame; true when it proves that a broken one before it was whole once.
    fn take(&mut self, frame: &[u8], salts: &[u8], reckoning: Reckoning, at: u64) -> bool {
        let carried = Sum(word(frame, 16), word(frame, 20));
        let after = |sum| reckoning.add(reckoning.add(sum, &frame[..8]), &frame[FRAME_BYTES..]);
        let reckoned = after(self.carried);
        // In a frame that was damaged, either what the sum is over is still right, or the sum itself.
        let links = reckoned == carried || (self.reckoned != self.carried && after(self.reckoned) == carried);
        let whole = links && frame[8..16] == *salts;
        if whole && self.ended && self.broken_at.is_some() {
            return true;
        }
        if !whole && self.broken_at.is_none() {
            self.broken_at = Some(at);
        }
        (self.carried, self.reckoned, self.ended) = (carried, reckoned, word(frame, 4) != 0);
        false
    }
}

/// Whether nothing but zeros follows.
fn is_blank(log: &mut impl BufRead) -> io::Result<bool> {
    log.bytes().try_fold(true, |blank, byte| Ok(blank && byte? == 0))
}

/// Fills the buffer; false when the log ends before.
fn fill(log: &mut impl Read, buffer: &mut [u8]) -> io::Result<bool> {
    match log.read_exact(buffer) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}
