//! What clients say (`said`), what the server says (`reply`), and what both have in common: the statuses of burners (`status`)
//! and fields (`field`). Each is read and written here, so that either end can be made of it.
//!
//! Reading is strict: a word that is not known, a field too many or too few, a control character, a line feed alone or bytes
//! that are not UTF-8 are complained of, and nothing of the message counts. What is written can always be read.

mod field;
mod reply;
mod said;
mod status;

pub use reply::{BurnerRow, QueueRow, Reply, Showing};
pub use said::Said;
pub use status::{Status, Tray, Verdict};

use super::word::{ErrorCode, Hash, Line, Text};
use field::{Fields, Wrong};

/// The version of the protocol, as it is said.
pub const VERSION: &str = "V1";
/// So many images one client may hold.
pub const IMAGES_MAX: usize = 4_096;
/// The longest name of a file, in bytes.
pub const FILE_NAME_BYTES_MAX: usize = 255;
/// The longest other text, in bytes.
pub const TEXT_BYTES_MAX: usize = 16 * 1024;
/// The longest text of an error that is written, in bytes.
pub const ERROR_BYTES_MAX: usize = 1024;

/// What is known of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Info {
    /// Nothing; which image was asked for is not said.
    NoIdea,
    /// This.
    Known {
        /// Which image.
        image: Hash,
        /// What its file is called. Not a path, and never to be used as one.
        file: Line,
        /// What it is, for people.
        description: Text,
    },
}

/// What is wrong with a message, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Complaint {
    /// What to answer: `ERROR`, or `QNO`.
    pub answer: Reply,
    /// How to go on.
    pub then: Then,
}

/// How to go on after a message that could not be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// Read the next message.
    GoOn,
    /// So many raw bytes follow, which are for nobody.
    Skip(u64),
    /// Raw bytes follow, and nobody knows how many: nothing after them can be understood.
    HangUp,
}

impl Then {
    /// What must follow a message that announces raw bytes but is not taken.
    fn after(message: &[u8], announcing: &str) -> Then {
        let mut fields = message.split(|byte| *byte == b'\t');
        if fields.next() != Some(announcing.as_bytes()) {
            return Then::GoOn;
        }
        let length = fields.nth(1).and_then(|field| std::str::from_utf8(field).ok());
        length.and_then(field::number).map_or(Then::HangUp, Then::Skip)
    }
}

/// Messages that are written one after the other.
trait Write {
    /// The first field of a message.
    fn word(&mut self, word: &str) -> &mut Self;
    /// A further field.
    fn field(&mut self, field: impl std::fmt::Display) -> &mut Self;
    /// A further field that may have lines.
    fn text(&mut self, text: &Text) -> &mut Self;
    /// The end.
    fn end(&mut self);
}

impl Write for Vec<u8> {
    fn word(&mut self, word: &str) -> &mut Self {
        self.extend_from_slice(word.as_bytes());
        self
    }

    fn field(&mut self, field: impl std::fmt::Display) -> &mut Self {
        use std::io::Write;
        // Writing into memory cannot fail.
        write!(self, "\t{field}").ok();
        self
    }

    fn text(&mut self, text: &Text) -> &mut Self {
        self.push(b'\t');
        text.write(self);
        self
    }

    fn end(&mut self) {
        self.extend_from_slice(super::frame::END);
    }
}

impl Info {
    fn read(fields: &mut Fields) -> Result<Info, Wrong> {
        if fields.rest() == ["ENOIDEA"] {
            return Ok(Info::NoIdea);
        }
        let image = fields.hash()?;
        let file = fields.line(FILE_NAME_BYTES_MAX)?;
        let description = fields.text(TEXT_BYTES_MAX)?;
        Ok(Info::Known { image, file, description })
    }

    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Info::NoIdea => out.word("INFO").field("ENOIDEA").end(),
            Info::Known { image, file, description } => {
                out.word("INFO").field(image).field(file).text(description).end();
            }
        }
    }
}

fn read_error(fields: &mut Fields) -> Result<(ErrorCode, Text), Wrong> {
    let code = ErrorCode::of_word(fields.line(FILE_NAME_BYTES_MAX)?.as_str());
    let text = if fields.rest().is_empty() { Text::default() } else { fields.text(TEXT_BYTES_MAX)? };
    Ok((code, text))
}

fn write_error(out: &mut Vec<u8>, code: &ErrorCode, text: &Text) {
    out.word("ERROR").field(code.word()).text(text).end();
}

fn write_cap(out: &mut Vec<u8>, burner: Option<&str>, images: &[Hash]) {
    out.word("CAP");
    if let Some(word) = burner {
        out.field(word);
    }
    images.iter().for_each(|image| {
        out.field(image);
    });
    out.end();
}
