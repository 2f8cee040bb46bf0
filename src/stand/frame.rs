//! Bytes into messages, however they are split or joined on the way, and the raw bytes of files behind the messages that
//! announce them.
//!
//! A message ends with CRLF CRLF. One that grows beyond the limit breaks the connection, for nothing tells where the next
//! begins. Raw bytes are handed on as they come and are kept nowhere.

/// What ends a message.
pub const END: &[u8; 4] = b"\r\n\r\n";

/// A buffer that grew beyond this is given back once its message is over.
const BYTES_KEPT: usize = 4 * 1024;

/// What the bytes were.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// A message without its end.
    Message(&'a [u8]),
    /// Some of the bytes that were announced; never empty.
    Raw(&'a [u8]),
}

/// A message is longer than allowed; nothing after it can be understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Broken;

/// What has come of a message that is not over yet, or how many raw bytes are still to come.
#[derive(Clone, Debug)]
pub struct Splitter {
    message_bytes_max: usize,
    /// The beginning of a message; all of it when `whole`.
    part: Vec<u8>,
    /// The message in `part` was handed on.
    whole: bool,
    raw_bytes: u64,
}

impl Splitter {
    /// Takes messages of so many bytes, their ends not counted.
    pub fn new(message_bytes_max: usize) -> Splitter {
        Splitter { message_bytes_max, part: Vec::new(), whole: false, raw_bytes: 0 }
    }

    /// Takes messages of so many bytes from now on.
    pub fn set_message_bytes_max(&mut self, bytes: usize) {
        self.message_bytes_max = bytes;
    }

    /// So many of the next bytes are no messages. To be said after the message that announces them, before the next `pull`.
    pub fn expect_raw(&mut self, bytes: u64) {
        self.raw_bytes = bytes;
    }

    /// How many raw bytes are still to come.
    pub fn raw_bytes(&self) -> u64 {
        self.raw_bytes
    }

    /// How many bytes of an unfinished message there are.
    pub fn waiting(&self) -> usize {
        if self.whole { 0 } else { self.part.len() }
    }

    /// Takes the next piece off the front of `input`; none when all of it is taken in and more must come.
    pub fn pull<'s, 'i: 's>(&'s mut self, input: &mut &'i [u8]) -> Option<Result<Piece<'s>, Broken>> {
        self.forget();
        if self.raw_bytes > 0 {
            return self.pull_raw(input).map(|raw| Ok(Piece::Raw(raw)));
        }
        if self.part.is_empty() {
            return self.pull_from_input(input);
        }
        self.pull_joined(input)
    }

    /// What was handed on is not needed any more.
    fn forget(&mut self) {
        if !self.whole {
            return;
        }
        self.whole = false;
        self.part.clear();
        self.part.shrink_to(BYTES_KEPT);
    }

    fn pull_raw<'i>(&mut self, input: &mut &'i [u8]) -> Option<&'i [u8]> {
        let bytes = usize::try_from(self.raw_bytes).unwrap_or(usize::MAX).min(input.len());
        let raw = input.split_off(..bytes)?;
        self.raw_bytes -= bytes as u64;
        (!raw.is_empty()).then_some(raw)
    }

    /// A message that begins in `input` and, if it ends there too, is not copied.
    fn pull_from_input<'s, 'i: 's>(&'s mut self, input: &mut &'i [u8]) -> Option<Result<Piece<'s>, Broken>> {
        let Some(found) = memchr::memmem::find(input, END) else {
            return self.keep(std::mem::take(input));
        };
        let message = input.split_off(..found + END.len())?.get(..found)?;
        Some(if found > self.message_bytes_max { Err(Broken) } else { Ok(Piece::Message(message)) })
    }

    /// A message that began in what is kept. Its end may lie across the seam.
    fn pull_joined(&mut self, input: &mut &[u8]) -> Option<Result<Piece<'_>, Broken>> {
        let kept = self.part.len();
        let searched = kept.saturating_sub(END.len() - 1);
        // The end lies in the tail and the first three bytes, or wholly in the input.
        let seam = input.get(..input.len().min(END.len() - 1)).unwrap_or_default();
        self.part.extend_from_slice(seam);
        let in_seam = memchr::memmem::find(self.part.get(searched..).unwrap_or_default(), END);
        let in_seam = in_seam.map(|found| searched + found);
        let Some(end) = in_seam.or_else(|| memchr::memmem::find(input, END).map(|found| kept + found)) else {
            self.part.truncate(kept);
            return self.keep(std::mem::take(input));
        };
        if end > self.message_bytes_max {
            return Some(Err(Broken));
        }
        self.part.truncate(kept);
        let taken = (end + END.len()).saturating_sub(kept);
        self.part.extend_from_slice(input.split_off(..taken).unwrap_or_default());
        self.whole = true;
        self.part.get(..end).map(|message| Ok(Piece::Message(message)))
    }

    /// Keeps the beginning of a message, unless it is too long already; some of it may be its end.
    fn keep(&mut self, bytes: &[u8]) -> Option<Result<Piece<'static>, Broken>> {
        if self.part.len() + bytes.len() >= self.message_bytes_max.saturating_add(END.len()) {
            return Some(Err(Broken));
        }
        self.part.extend_from_slice(bytes);
        None
    }
}
