//! How a text becomes a frame: one gzip member with a fixed header, then the marker.
//!
//! Short texts go into stored blocks: below one TCP segment compression would save the wire nothing and costs fifty
//! times more on both sides. Longer ones are deflated at level 1 by a compressor of the thread, which is used again
//! and again because making one costs more than using it.
//!
//! **No frame holds the marker before its end**, so that a peer which searches for it naively reads us rightly. The
//! marker could get in by the text (stored), by an accident of the bits (deflated) or by checksum and length (both). A
//! deflated body that holds it is thrown away for stored blocks; stored blocks are cut inside every marker of the
//! text; and a space after the JSON changes the checksum. So the loop ends for every text, also for one that deflate
//! cannot compress and would store as it is.

use super::marker::{MARKER, find_marker};
use flate2::{Compress, Compression, FlushCompress, Status};
use std::cell::RefCell;

/// Texts shorter than this are stored, not deflated.
pub const STORED_BYTES_MAX: usize = 1400;

/// The header of every member we send: deflate, no flags, no time, no system.
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
/// A stored block we send has at most so many bytes. Its length and the length's complement stand before the text; from
/// 47,811 bytes on they and the text could together spell the marker.
const BLOCK_BYTES_MAX: usize = 32 * 1024;
/// Checksum and length after the last block.
const TRAILER_BYTES: usize = 8;
/// The least a deflated text is given to grow at a time.
const DEFLATE_STEP_BYTES: usize = 4096;

thread_local! {
    static DEFLATE: RefCell<Compress> = RefCell::new(Compress::new(Compression::fast(), false));
}

/// Appends one frame that holds the text to `out`. The text arrives as it is, but for spaces after it in the rare case
/// (once in 10^9 or so) that its own checksum spells the marker.
pub fn encode(json: &[u8], out: &mut Vec<u8>) {
    if json.len() < STORED_BYTES_MAX || !append_deflated(json, out) {
        append_stored(json, out);
    }
    out.extend_from_slice(MARKER);
}

/// Appends a member of stored blocks, with as many spaces after the text as it takes (hardly ever one).
fn append_stored(json: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    out.reserve(json.len() + HEADER.len() + 5 + TRAILER_BYTES + MARKER.len());
    for spaces in 0.. {
        out.truncate(start);
        append_member(json, spaces, out);
        // The blocks cannot hold the marker, so it would have to reach into the trailer.
        let tail = out.len() - TRAILER_BYTES - (MARKER.len() - 1);
        if !holds_marker(&out[tail.max(start)..]) {
            break;
        }
    }
    debug_assert!(!holds_marker(&out[start..]));
}

/// Appends header, stored blocks and trailer for a text and so many spaces after it.
fn append_member(json: &[u8], spaces: usize, out: &mut Vec<u8>) {
    out.extend_from_slice(&HEADER);
    append_blocks(json, spaces == 0, out);
    let mut crc = crc32fast::Hasher::new();
    crc.update(json);
    for left in (0..spaces).rev() {
        append_block(b" ", left == 0, out);
        crc.update(b" ");
    }
    append_trailer(crc.finalize(), json.len() + spaces, out);
}

/// Appends a text as stored blocks, the last of which may be the member's last.
fn append_blocks(text: &[u8], last: bool, out: &mut Vec<u8>) {
    let mut rest = text;
    loop {
        let (block, after) = rest.split_at(block_bytes(rest));
        append_block(block, after.is_empty() && last, out);
        rest = after;
        if rest.is_empty() {
            return;
        }
    }
}

/// How much of the text goes into the next block: up to the middle of the next marker in it.
fn block_bytes(text: &[u8]) -> usize {
    let window = &text[..text.len().min(BLOCK_BYTES_MAX)];
    find_marker(&mut 0, window).map_or(window.len(), |end| end - 3)
}

fn holds_marker(bytes: &[u8]) -> bool {
    find_marker(&mut 0, bytes).is_some()
}

fn append_block(text: &[u8], last: bool, out: &mut Vec<u8>) {
    let bytes = text.len() as u16;
    out.push(u8::from(last));
    out.extend_from_slice(&bytes.to_le_bytes());
    out.extend_from_slice(&(!bytes).to_le_bytes());
    out.extend_from_slice(text);
}

fn append_trailer(crc: u32, bytes: usize, out: &mut Vec<u8>) {
    out.extend_from_slice(&crc.to_le_bytes());
    out.extend_from_slice(&(bytes as u32).to_le_bytes());
}

/// Appends a deflated member; false, and nothing appended, when it holds the marker.
fn append_deflated(json: &[u8], out: &mut Vec<u8>) -> bool {
    let start = out.len();
    out.extend_from_slice(&HEADER);
    let deflated = DEFLATE
        .try_with(|deflate| append_deflate(json, FlushCompress::Finish, &mut deflate.borrow_mut(), out));
    append_trailer(crc32fast::hash(json), json.len(), out);
    let sound = deflated == Ok(true) && !holds_marker(&out[start..]);
    if !sound {
        out.truncate(start);
    }
    sound
}

/// Appends the deflate data alone, up to a flush of this kind; false when the compressor failed.
fn append_deflate(text: &[u8], flush: FlushCompress, deflate: &mut Compress, out: &mut Vec<u8>) -> bool {
    deflate.reset();
    let start = out.len();
    loop {
        let (read, written) = (deflate.total_in() as usize, deflate.total_out() as usize);
        out.resize(start + written + DEFLATE_STEP_BYTES.max(text.len() / 4), 0);
        // Into an initialised slice: `compress_vec` would clear all spare capacity at each call.
        let room = out.len() - start;
        match deflate.compress(&text[read..], &mut out[start + written..], flush) {
            Ok(Status::StreamEnd) => break,
            // A flush is complete when there is room left behind it.
            Ok(_) if matches!(flush, FlushCompress::Sync) && (deflate.total_out() as usize) < room => break,
            Ok(_) => {}
            Err(_) => return false,
        }
    }
    out.truncate(start + deflate.total_out() as usize);
    true
}

/// A text that many frames have in them, deflated once.
pub struct Packed {
    text: Vec<u8>,
    /// The text as blocks none of which is a member's last; none for one that is stored.
    blocks: Option<Vec<u8>>,
    crc: crc32fast::Hasher,
}

impl Packed {
    /// Packs a text.
    pub fn new(text: Vec<u8>) -> Packed {
        let mut crc = crc32fast::Hasher::new();
        crc.update(&text);
        Packed { blocks: deflated_blocks(&text), text, crc }
    }

    /// The text itself.
    pub fn text(&self) -> &[u8] {
        &self.text
    }
}

/// A text as blocks that end at a byte and refer to nothing before them; none when it is not worth it, or fails.
fn deflated_blocks(text: &[u8]) -> Option<Vec<u8>> {
    if text.len() < STORED_BYTES_MAX {
        return None;
    }
    let mut blocks = Vec::new();
    let packed = DEFLATE.try_with(|deflate| {
        append_deflate(text, FlushCompress::Sync, &mut deflate.borrow_mut(), &mut blocks)
    });
    (packed == Ok(true)).then_some(blocks)
}

/// Appends one frame that holds a packed text between two others: the same text for its reader as that of `encode`.
pub fn encode_around(head: &[u8], packed: &Packed, tail: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    if let Some(blocks) = &packed.blocks {
        out.extend_from_slice(&HEADER);
        append_blocks(head, false, out);
        out.extend_from_slice(blocks);
        append_blocks(tail, true, out);
        let (mut crc, mut after) = (crc32fast::Hasher::new(), crc32fast::Hasher::new());
        crc.update(head);
        after.update(tail);
        crc.combine(&packed.crc);
        crc.combine(&after);
        append_trailer(crc.finalize(), head.len() + packed.text.len() + tail.len(), out);
        if !holds_marker(out.get(start..).unwrap_or_default()) {
            return out.extend_from_slice(MARKER);
        }
        out.truncate(start);
    }
    encode(&[head, &packed.text, tail].concat(), out);
}
