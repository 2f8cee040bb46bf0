//! The native door's framing as lean as it can be done: a gzip stream of JSON, then `<EOF>`.

use flate2::{Compression, Decompress, FlushDecompress, GzBuilder};
use std::io::Write;

/// What ends a frame.
pub const MARKER: &[u8] = b"<EOF>";
/// The fixed part of a gzip stream before the data, no file name in it.
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
/// The sum and the length after the data.
const TRAILER_BYTES: usize = 8;
/// The longest stored block.
const STORED_MAX: usize = 65_535;
/// The longest text that is taken.
const TEXT_MAX: usize = 1 << 20;

/// Appends a frame as Berth sends short ones: stored, not compressed.
pub fn push_stored(text: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&HEADER);
    let mut blocks = text.chunks(STORED_MAX).peekable();
    while let Some(block) = blocks.next() {
        let length = block.len() as u16;
        out.push(u8::from(blocks.peek().is_none()));
        out.extend_from_slice(&length.to_le_bytes());
        out.extend_from_slice(&(!length).to_le_bytes());
        out.extend_from_slice(block);
    }
    out.extend_from_slice(&crc32fast::hash(text).to_le_bytes());
    out.extend_from_slice(&(text.len() as u32).to_le_bytes());
    out.extend_from_slice(MARKER);
}

/// Appends a frame as the clients of old send it: compressed at level 5.
pub fn push_classic(text: &[u8], out: &mut Vec<u8>) {
    let mut gzip = GzBuilder::new().write(&mut *out, Compression::new(5));
    // Writing to memory cannot fail.
    let _ = gzip.write_all(text);
    let _ = gzip.finish();
    out.extend_from_slice(MARKER);
}

/// Inflates frames one after the other with the same state.
pub struct Inflater {
    state: Decompress,
    text: Vec<u8>,
}

impl Inflater {
    /// One that has seen nothing.
    pub fn new() -> Inflater {
        Inflater { state: Decompress::new(false), text: vec![0; TEXT_MAX] }
    }

    /// The text of a gzip stream; nothing when it is damaged or too long.
    pub fn inflate(&mut self, stream: &[u8]) -> Option<&[u8]> {
        let flags = *stream.get(3)?;
        let data = stream.get(HEADER.len()..stream.len().checked_sub(TRAILER_BYTES)?)?;
        self.state.reset(false);
        self.state.decompress(data, &mut self.text, FlushDecompress::Finish).ok()?;
        let text = self.text.get(..self.state.total_out() as usize)?;
        let told = stream.get(stream.len() - TRAILER_BYTES..stream.len() - 4)?;
        (flags == 0 && crc32fast::hash(text).to_le_bytes() == *told).then_some(text)
    }
}
