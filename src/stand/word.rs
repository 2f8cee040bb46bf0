//! What fields are made of: hashes, names of burners, media, priorities, texts.
//!
//! A field cannot end a message, a record or itself, because no value of these types holds a TAB or a line end: what would is
//! replaced when the value is made. Only `Text` has lines, and an empty one is written as a space.

use std::borrow::Cow;
use std::fmt;
use std::ops::RangeInclusive;
use std::sync::Arc;

/// Makes a number of 128 bits that is written as 32 lower-case hex digits.
macro_rules! hex {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; 16]);

        impl $name {
            /// What is written so: 32 digits, letters small.
            pub fn of_text(text: &str) -> Option<$name> {
                hex_bytes(text).map($name)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({self})", stringify!($name))
            }
        }
    };
}

hex! {
    /// The md5 of an image.
    Hash
}

hex! {
    /// What a client calls itself; it names a burner over all its connections.
    Uid
}

fn hex_bytes(text: &str) -> Option<[u8; 16]> {
    let digits: &[u8; 32] = text.as_bytes().try_into().ok()?;
    let mut bytes = [0; 16];
    for (byte, [high, low]) in bytes.iter_mut().zip(digits.as_chunks().0) {
        *byte = hex_digit(*high)? << 4 | hex_digit(*low)?;
    }
    Some(bytes)
}

fn hex_digit(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

/// What can be burnt upon. The greater one comes last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Medium {
    /// A CD.
    Cdr,
    /// A DVD.
    Dvd,
}

impl Medium {
    /// Both.
    pub const ALL: [Medium; 2] = [Medium::Cdr, Medium::Dvd];

    /// How a disc is called.
    pub fn word(self) -> &'static str {
        match self {
            Medium::Cdr => "CDR",
            Medium::Dvd => "DVD",
        }
    }

    /// How a burner of these is called.
    pub fn burner_word(self) -> &'static str {
        match self {
            Medium::Cdr => "BURNCDR",
            Medium::Dvd => "BURNDVD",
        }
    }

    /// The disc that is called so.
    pub fn of_word(word: &str) -> Option<Medium> {
        Medium::ALL.into_iter().find(|medium| medium.word() == word)
    }

    /// The burner that is called so.
    pub fn of_burner_word(word: &str) -> Option<Medium> {
        Medium::ALL.into_iter().find(|medium| medium.burner_word() == word)
    }

    /// So many bytes fit on one at most.
    pub fn bytes_max(self) -> u64 {
        match self {
            Medium::Cdr => 737_280_000,
            Medium::Dvd => 4_707_319_808,
        }
    }

    /// Whether a burner of these can write such a disc: DVD burners write CDs too.
    pub fn writes(self, disc: Medium) -> bool {
        disc <= self
    }
}

/// What a client is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ClientType {
    /// It burns, at most these.
    Burner(Medium),
    /// It looks on.
    Display,
    /// It looks on and gives commands.
    Command,
}

impl ClientType {
    /// How it is called.
    pub fn word(self) -> &'static str {
        match self {
            ClientType::Burner(medium) => medium.burner_word(),
            ClientType::Display => "DISPLAY",
            ClientType::Command => "COMMAND",
        }
    }

    /// The type that is called so.
    pub fn of_word(word: &str) -> Option<ClientType> {
        match word {
            "DISPLAY" => Some(ClientType::Display),
            "COMMAND" => Some(ClientType::Command),
            _ => Medium::of_burner_word(word).map(ClientType::Burner),
        }
    }

    /// The burner it is, if it is one.
    pub fn burner(self) -> Option<Medium> {
        match self {
            ClientType::Burner(medium) => Some(medium),
            _ => None,
        }
    }
}

/// How urgent an image is: the lower number burns first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Priority(i32);

impl Priority {
    /// The numbers that are allowed.
    pub const RANGE: RangeInclusive<i32> = -1_000_000..=1_000_000;
    /// That of an image whose burning failed.
    pub const AGAIN: Priority = Priority(5);

    /// The priority with this number; none out of the range.
    pub fn new(number: i32) -> Option<Priority> {
        Priority::RANGE.contains(&number).then_some(Priority(number))
    }

    /// What is written so.
    pub fn of_text(text: &str) -> Option<Priority> {
        text.parse().ok().and_then(Priority::new)
    }

    /// Its number.
    pub fn number(self) -> i32 {
        self.0
    }

    /// The lab's, for which the greater number goes first.
    pub fn of_lab(number: i32) -> Priority {
        Priority(number.saturating_neg().clamp(*Priority::RANGE.start(), *Priority::RANGE.end()))
    }

    /// As the lab has it.
    pub fn in_lab(self) -> i32 {
        -self.0
    }
}

impl fmt::Display for Priority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A text of one line, without control characters.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Line(Arc<str>);

impl Line {
    /// This text with a space for each control character.
    pub fn new(text: &str) -> Line {
        Line(without_controls(text).as_ref().into())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A text of any number of lines, without control characters but `\n` between them.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Text(Arc<str>);

impl Text {
    /// This text with a space for each other control character. `\r\n` and `\r` end lines too; a line behind the first that is one
    /// space is empty, for it would be read so.
    pub fn new(text: &str) -> Text {
        let text = text.replace("\r\n", "\n").replace('\r', "\n");
        let lines = text.split('\n').enumerate().map(|(number, line)| match line {
            " " if number > 0 => Cow::Borrowed(""),
            _ => without_controls(line),
        });
        // A line that only becomes a space by what it loses is empty as well.
        let lines = lines.enumerate().map(|(number, line)| match &*line {
            " " if number > 0 => Cow::Borrowed(""),
            _ => line,
        });
        Text(lines.collect::<Vec<_>>().join("\n").into())
    }

    /// The text, with `\n` between its lines.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What arrived: lines between CRLFs, those behind the first that are one space being empty. None when it has other control
    /// characters.
    pub(super) fn of_wire(field: &str) -> Option<Text> {
        let mut lines = field.split("\r\n");
        let first = lines.next().unwrap_or_default();
        let rest = lines.map(|line| if line == " " { "" } else { line });
        let lines: Vec<_> = std::iter::once(first).chain(rest).collect();
        let plain = lines.iter().all(|line| !line.contains(char::is_control));
        plain.then(|| Text(lines.join("\n").into()))
    }

    /// As it is sent.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        for (number, line) in self.0.split('\n').enumerate() {
            if number > 0 {
                out.extend_from_slice(if line.is_empty() { b"\r\n " } else { b"\r\n" });
            }
            out.extend_from_slice(line.as_bytes());
        }
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn without_controls(text: &str) -> Cow<'_, str> {
    match text.contains(char::is_control) {
        true => text.replace(char::is_control, " ").into(),
        false => text.into(),
    }
}

/// The word that says what is wrong.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ErrorCode(Cow<'static, str>);

impl ErrorCode {
    /// A burner does not hold that image, or the server has no file of it.
    pub const NOISO: ErrorCode = ErrorCode(Cow::Borrowed("NOISO"));
    /// An unknown word, a wrong number of fields, or a field that makes no sense.
    pub const BADMSG: ErrorCode = ErrorCode(Cow::Borrowed("BADMSG"));
    /// Something was said before `ID`.
    pub const NOID: ErrorCode = ErrorCode(Cow::Borrowed("NOID"));
    /// Clients of this type do not say this.
    pub const NOTALLOWED: ErrorCode = ErrorCode(Cow::Borrowed("NOTALLOWED"));
    /// No hash, or not that of the bytes that came.
    pub const BADHASH: ErrorCode = ErrorCode(Cow::Borrowed("BADHASH"));
    /// More than is taken.
    pub const TOOBIG: ErrorCode = ErrorCode(Cow::Borrowed("TOOBIG"));
    /// A burner that is told to burn has no blank disc.
    pub const NODISC: ErrorCode = ErrorCode(Cow::Borrowed("NODISC"));

    /// The code with this word.
    pub fn of_word(word: &str) -> ErrorCode {
        ErrorCode(without_controls(word).into_owned().into())
    }

    /// Its word.
    pub fn word(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
