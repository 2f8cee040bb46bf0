//! Fields, taken one after the other, and what is wrong with them.

use super::super::word::{ErrorCode, Hash, Line, Text, Uid};
use super::IMAGES_MAX;

/// So many fields are looked at: no message has more.
const FIELDS_MAX: usize = IMAGES_MAX + 4;

/// What is wrong with a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong {
    /// Its word.
    pub code: ErrorCode,
    /// What to do about it.
    pub text: String,
}

impl Wrong {
    /// Something that makes no sense.
    pub fn message(text: impl Into<String>) -> Wrong {
        Wrong { code: ErrorCode::BADMSG, text: text.into() }
    }

    fn hash() -> Wrong {
        Wrong { code: ErrorCode::BADHASH, text: "a hash is 32 hex digits, letters small".into() }
    }

    fn long(bytes_max: usize) -> Wrong {
        Wrong { code: ErrorCode::TOOBIG, text: format!("this text may have {bytes_max} bytes") }
    }
}

/// The fields of a message after its first, those not yet taken.
#[derive(Clone, Debug)]
pub struct Fields<'a> {
    word: &'a str,
    rest: Vec<&'a str>,
    taken: usize,
}

impl<'a> Fields<'a> {
    /// The fields of a message.
    pub fn of_message(message: &'a [u8]) -> Result<Fields<'a>, Wrong> {
        let text = std::str::from_utf8(message).map_err(|_| Wrong::message("a message is UTF-8"))?;
        Ok(Fields::of_text(text))
    }

    /// The fields of a message or a record.
    pub fn of_text(text: &'a str) -> Fields<'a> {
        let mut fields = text.split('\t');
        let word = fields.next().unwrap_or_default();
        Fields { word, rest: fields.take(FIELDS_MAX).collect(), taken: 0 }
    }

    /// The first field.
    pub fn word(&self) -> &'a str {
        self.word
    }

    /// What was not yet taken.
    pub fn rest(&self) -> &[&'a str] {
        self.rest.get(self.taken..).unwrap_or_default()
    }

    /// The next field, whatever it is.
    pub fn take(&mut self) -> Result<&'a str, Wrong> {
        let field = self.rest.get(self.taken).copied();
        self.taken += 1;
        field.ok_or_else(|| Wrong::message(format!("{} has more fields", self.word_shown())))
    }

    /// The next field, which has one line.
    pub fn line(&mut self, bytes_max: usize) -> Result<Line, Wrong> {
        let field = self.take()?;
        if field.len() > bytes_max {
            return Err(Wrong::long(bytes_max));
        }
        match field.contains(char::is_control) {
            true => Err(Wrong::message("a control character stands in a field")),
            false => Ok(Line::new(field)),
        }
    }

    /// The next field, which may have many.
    pub fn text(&mut self, bytes_max: usize) -> Result<Text, Wrong> {
        let field = self.take()?;
        if field.len() > bytes_max {
            return Err(Wrong::long(bytes_max));
        }
        Text::of_wire(field)
            .ok_or_else(|| Wrong::message("a control character, or half a CRLF, stands in a text"))
    }

    /// The next field, which is a hash.
    pub fn hash(&mut self) -> Result<Hash, Wrong> {
        Hash::of_text(self.take()?).ok_or_else(Wrong::hash)
    }

    /// The next field, which is what a client calls itself.
    pub fn uid(&mut self) -> Result<Uid, Wrong> {
        let uid = Uid::of_text(self.take()?);
        uid.ok_or_else(|| Wrong::message("a UID is 32 hex digits, letters small"))
    }

    /// The next field, which is a number.
    pub fn number(&mut self) -> Result<u64, Wrong> {
        number(self.take()?).ok_or_else(|| Wrong::message("a number is made of digits"))
    }

    /// All other fields, which are hashes. One empty field is none, as clients write it that have no images.
    pub fn hashes(&mut self) -> Result<Vec<Hash>, Wrong> {
        let rest = self.rest.get(self.taken..).unwrap_or_default();
        self.taken = self.rest.len();
        if rest == [""] {
            return Ok(Vec::new());
        }
        if rest.len() > IMAGES_MAX {
            let text = format!("a client has {IMAGES_MAX} images at most");
            return Err(Wrong { code: ErrorCode::TOOBIG, text });
        }
        rest.iter().map(|field| Hash::of_text(field).ok_or_else(Wrong::hash)).collect()
    }

    /// Nothing more may follow.
    pub fn finish(&self) -> Result<(), Wrong> {
        match self.rest().is_empty() {
            true => Ok(()),
            false => Err(Wrong::message(format!("{} has fewer fields", self.word_shown()))),
        }
    }

    /// The first field for people, cut.
    fn word_shown(&self) -> Line {
        Line::new(&self.word.chars().take(16).collect::<String>())
    }
}

/// A number that is written in digits alone.
pub fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}
