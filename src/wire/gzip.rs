//! The parts of a gzip stream a receiver works with: a member's header, the inflate states and the buffer of the text.
//!
//! States and buffers are lent by small thread-local pools, so that a connection that waits for its next frame holds
//! neither and a busy one allocates nothing. Deliberately not here: in which order the parts follow (`frame`), and the
//! header's optional checksum, which protects nothing that is used here and is skipped.

use super::frame_error::FrameError;
use flate2::Decompress;
use std::cell::RefCell;
use std::ops::Deref;

/// The two bytes every gzip member begins with.
pub(super) const MAGIC: [u8; 2] = [0x1f, 0x8b];
/// The only compression method gzip has: deflate.
pub(super) const DEFLATE: u8 = 8;
/// The part of the header that every member has.
pub(super) const FIXED_BYTES: usize = 10;
/// A member's header may have so many bytes, its name, comment and extra field included.
pub(super) const HEADER_BYTES_MAX: usize = 4096;

/// A flag of the header: two bytes of checksum follow it.
const HAS_CHECKSUM: u8 = 0x02;
/// A flag of the header: an extra field with its length.
const HAS_EXTRA: u8 = 0x04;
/// A flag of the header: a file name, ended by zero.
const HAS_NAME: u8 = 0x08;
/// A flag of the header: a comment, ended by zero.
const HAS_COMMENT: u8 = 0x10;
/// Flags that mean nothing yet: what follows such a header cannot be known.
const RESERVED: u8 = 0xe0;

/// A member's header, read byte by byte as it arrives.
#[derive(Debug)]
pub(super) struct Header {
    /// The field the next byte belongs to.
    field: Field,
    /// The flags: which fields there are.
    flags: u8,
    /// Bytes read so far.
    bytes: usize,
    /// Bytes of the present field still to come, where its length is known.
    left: usize,
}

/// The fields of a header, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Field {
    /// Magic, method, flags, time, extra flags, system.
    Fixed,
    /// The low byte of the extra field's length.
    ExtraLow,
    /// The high byte of the extra field's length.
    ExtraHigh,
    /// The extra field.
    Extra,
    /// The file name.
    Name,
    /// The comment.
    Comment,
    /// The checksum of the header.
    Checksum,
    /// Nothing more: the next byte is deflate data.
    Over,
}

impl Header {
    /// A header of which nothing has been read.
    pub fn new() -> Header {
        Header { field: Field::Fixed, flags: 0, bytes: 0, left: 0 }
    }

    /// Reads one byte; true when it was the last one. A byte that is refused is not part of the header.
    pub fn take(&mut self, byte: u8) -> Result<bool, FrameError> {
        if self.bytes == HEADER_BYTES_MAX {
            return Err(FrameError::LongHeader);
        }
        match self.field {
            Field::Fixed => self.take_fixed(byte)?,
            Field::ExtraLow => (self.left, self.field) = (usize::from(byte), Field::ExtraHigh),
            Field::ExtraHigh => self.take_extra_high(byte),
            Field::Extra | Field::Checksum => self.take_counted(),
            Field::Name | Field::Comment if byte == 0 => self.enter_after(self.field),
            Field::Name | Field::Comment | Field::Over => {}
        }
        self.bytes += 1;
        Ok(self.field == Field::Over)
    }

    fn take_fixed(&mut self, byte: u8) -> Result<(), FrameError> {
        match self.bytes {
            0 | 1 if byte != MAGIC[self.bytes] => return Err(FrameError::NotGzip),
            2 if byte != DEFLATE => return Err(FrameError::BadHeader),
            3 if byte & RESERVED != 0 => return Err(FrameError::BadHeader),
            3 => self.flags = byte,
            9 => self.enter_after(Field::Fixed),
            _ => {}
        }
        Ok(())
    }

    fn take_extra_high(&mut self, byte: u8) {
        self.left |= usize::from(byte) << 8;
        self.field = Field::Extra;
        if self.left == 0 {
            self.enter_after(Field::Extra);
        }
    }

    fn take_counted(&mut self) {
        self.left -= 1;
        if self.left == 0 {
            self.enter_after(self.field);
        }
    }

    /// Goes to the next field that this header has.
    fn enter_after(&mut self, field: Field) {
        let optional = [
            (Field::ExtraLow, HAS_EXTRA),
            (Field::Name, HAS_NAME),
            (Field::Comment, HAS_COMMENT),
            (Field::Checksum, HAS_CHECKSUM),
        ];
        let next = optional.iter().find(|(next, flag)| *next > field && self.flags & flag != 0);
        self.field = next.map_or(Field::Over, |(next, _)| *next);
        self.left = if self.field == Field::Checksum { 2 } else { 0 };
    }
}

/// A pool keeps so many idle states or buffers per thread; the rest is given back to the allocator.
const POOLED_MAX: usize = 16;
/// Buffers larger than this are not kept in the pool.
const POOLED_BYTES_MAX: usize = 64 * 1024;
/// The first size of a buffer.
const BODY_BYTES_MIN: usize = 4096;

thread_local! {
    static INFLATES: RefCell<Vec<Decompress>> = const { RefCell::new(Vec::new()) };
    static BODIES: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// An inflate state on loan from the thread's pool, fresh for one gzip member; it goes back when dropped.
pub(super) struct Inflate(Option<Decompress>);

impl Inflate {
    /// Takes a state from the pool, or makes one.
    pub fn lend() -> Inflate {
        let pooled = INFLATES.try_with(|pool| pool.borrow_mut().pop()).ok().flatten();
        Inflate(Some(pooled.unwrap_or_else(|| Decompress::new(false))))
    }

    /// The state itself.
    pub fn state(&mut self) -> &mut Decompress {
        self.0.get_or_insert_with(|| Decompress::new(false))
    }
}

impl Drop for Inflate {
    fn drop(&mut self) {
        let Some(mut state) = self.0.take() else { return };
        let _ = INFLATES.try_with(|pool| {
            let mut pool = pool.borrow_mut();
            if pool.len() < POOLED_MAX {
                state.reset(false);
                pool.push(state);
            }
        });
    }
}

/// The text of one frame, in a buffer on loan from the thread's pool; the buffer goes back when this is dropped.
#[derive(Default)]
pub struct Body {
    /// The buffer; all of it is initialised, so that a reused one is never cleared again.
    buffer: Vec<u8>,
    /// Bytes of text in the buffer.
    filled: usize,
}

impl Body {
    /// Takes a buffer from the pool, or makes one.
    pub(super) fn lend() -> Body {
        let pooled = BODIES.try_with(|pool| pool.borrow_mut().pop()).ok().flatten();
        Body { buffer: pooled.unwrap_or_else(|| vec![0; BODY_BYTES_MIN]), filled: 0 }
    }

    /// The free part of the buffer, which grows by doubling until the text could have one byte more than it may.
    pub(super) fn room(&mut self, bytes_max: usize) -> &mut [u8] {
        let end = bytes_max.saturating_add(1);
        if self.filled == self.buffer.len() {
            let grown = self.filled.saturating_mul(2).clamp(BODY_BYTES_MIN, end.max(BODY_BYTES_MIN));
            self.buffer.resize(grown, 0);
        }
        let end = end.min(self.buffer.len());
        &mut self.buffer[self.filled.min(end)..end]
    }

    /// Counts bytes written into the room as text.
    pub(super) fn fill(&mut self, bytes: usize) {
        self.filled = (self.filled + bytes).min(self.buffer.len());
    }

    /// Appends text that needs no inflating.
    pub(super) fn append(&mut self, text: &[u8]) {
        let end = self.filled + text.len();
        if end > self.buffer.len() {
            self.buffer.resize(end, 0);
        }
        self.buffer[self.filled..end].copy_from_slice(text);
        self.filled = end;
    }

    /// Bytes the buffer occupies.
    #[cfg(test)]
    pub(super) fn occupied_bytes(&self) -> usize {
        self.buffer.capacity()
    }
}

impl Deref for Body {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.buffer[..self.filled]
    }
}

/// Shows no text: it may hold what lets somebody in.
impl std::fmt::Debug for Body {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Body({} bytes)", self.filled)
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        let buffer = std::mem::take(&mut self.buffer);
        if buffer.is_empty() || buffer.len() > POOLED_BYTES_MAX {
            return;
        }
        let _ = BODIES.try_with(|pool| {
            let mut pool = pool.borrow_mut();
            if pool.len() < POOLED_MAX {
                pool.push(buffer);
            }
        });
    }
}
