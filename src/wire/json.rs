//! Pieces of JSON text: strings out of raw text, ASCII-safe text out of values, and how deep a text is nested.
//!
//! Everything that comes is kept as raw text (`RawValue`) until somebody needs it, so that a number nobody asks for is
//! never converted and a broken string nobody reads spoils nothing. Everything that goes out is ASCII: whatever a peer
//! takes for its character set, it reads the same.

use memchr::memchr2;
use serde::de::{Deserialize, Deserializer, Error, Visitor};
use serde::ser::Serialize;
use serde_json::ser::Formatter;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;
use std::io;

/// A sentence quotes at most so many characters of what a peer sent.
const QUOTED_CHARS_MAX: usize = 64;

/// A JSON value as its text, which is known to be one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Raw<'a>(&'a str);

impl<'a> Raw<'a> {
    /// The value with this text, which has just been read.
    pub(super) fn read(text: &'a str) -> Raw<'a> {
        Raw(text)
    }

    /// The value with this text, which was read as JSON before.
    pub fn known(text: &'a str) -> Raw<'a> {
        debug_assert!(serde_json::from_str::<&RawValue>(text).is_ok_and(|raw| raw.get() == text));
        Raw(text)
    }

    /// Its text.
    pub fn get(self) -> &'a str {
        self.0
    }
}

impl<'a> From<&'a RawValue> for Raw<'a> {
    fn from(raw: &'a RawValue) -> Raw<'a> {
        Raw(raw.get())
    }
}

/// Does not show what it is: it may be a password.
impl fmt::Debug for Raw<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Raw({} bytes)", self.0.len())
    }
}

/// A JSON string as read: borrowed where the text has no escapes; halves of surrogate pairs become U+FFFD.
pub struct Text<'a>(pub Cow<'a, str>);

impl<'de> Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Text<'de>, D::Error> {
        // As bytes, because serde_json then accepts halves of surrogate pairs.
        deserializer.deserialize_bytes(TextVisitor)
    }
}

/// Takes the bytes of a string.
struct TextVisitor;

impl<'de> Visitor<'de> for TextVisitor {
    type Value = Text<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_borrowed_bytes<E: Error>(self, bytes: &'de [u8]) -> Result<Text<'de>, E> {
        Ok(Text(std::str::from_utf8(bytes).map_or_else(|_| String::from_utf8_lossy(bytes), Cow::Borrowed)))
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Text<'de>, E> {
        Ok(Text(Cow::Owned(String::from_utf8_lossy(bytes).into_owned())))
    }
}

/// The string a value is; none when it is no string.
pub fn text<'a>(raw: impl Into<Raw<'a>>) -> Option<Cow<'a, str>> {
    let raw = raw.into();
    let inside = raw.get().strip_prefix('"')?.strip_suffix('"')?;
    if !inside.contains('\\') {
        return Some(Cow::Borrowed(inside));
    }
    serde_json::from_str::<Text>(raw.get()).ok().map(|text| text.0)
}

/// The string a value is, if every character of it is one: for what is compared, such as a password.
pub fn exact_text(raw: &RawValue) -> Option<Cow<'_, str>> {
    let inside = raw.get().strip_prefix('"')?.strip_suffix('"')?;
    if !inside.contains('\\') {
        return Some(Cow::Borrowed(inside));
    }
    serde_json::from_str::<String>(raw.get()).ok().map(Cow::Owned)
}

/// Whether a value is an integer, of any size.
pub fn is_integer(raw: Raw<'_>) -> bool {
    let digits = raw.get().strip_prefix('-').unwrap_or(raw.get());
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

/// A word of a peer for a sentence: quoted, on one line, and not longer than a sentence bears.
pub fn quoted(word: &str) -> String {
    match word.char_indices().nth(QUOTED_CHARS_MAX) {
        Some((end, _)) => format!("{:?}...", &word[..end]),
        None => format!("{word:?}"),
    }
}

/// Whether lists and objects are nested deeper than `depth_max`. Any text may be asked about; only of JSON it is exact.
pub fn is_deeper(text: &str, depth_max: usize) -> bool {
    let bytes = text.as_bytes();
    // A short text has no room for so many brackets, and needs not be looked at.
    bytes.len() > depth_max && opened(bytes) > depth_max && scan_depth(bytes, depth_max)
}

/// How many brackets open, those in strings included. Counts of one byte let the compiler take many bytes at once.
fn opened(bytes: &[u8]) -> usize {
    let count = |chunk: &[u8]| chunk.iter().map(|byte| u8::from(byte | 0x20 == b'{')).sum::<u8>();
    bytes.chunks(usize::from(u8::MAX)).map(|chunk| usize::from(count(chunk))).sum()
}

/// The exact way, for texts with many brackets: strings are passed over.
fn scan_depth(bytes: &[u8], depth_max: usize) -> bool {
    let (mut at, mut depth) = (0, 0_usize);
    while let Some(byte) = bytes.get(at) {
        at += 1;
        match byte {
            b'"' => at = string_end(bytes, at),
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > depth_max {
            return true;
        }
    }
    false
}

/// Where the string ends whose inside begins at `at`.
fn string_end(bytes: &[u8], mut at: usize) -> usize {
    while let Some(found) = bytes.get(at..).and_then(|rest| memchr2(b'"', b'\\', rest)) {
        at += found;
        if bytes[at] == b'"' {
            return at + 1;
        }
        at += 2;
    }
    bytes.len()
}

/// Appends a string with its quotes, in ASCII.
pub fn push_string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    // Looking on after the first that is not plain lets the compiler take many bytes at once.
    let plain = |byte: u8| (0x20..0x80).contains(&byte) & (byte != b'"') & (byte != b'\\');
    if text.bytes().fold(true, |all, byte| all & plain(byte)) {
        out.extend_from_slice(text.as_bytes());
    } else {
        text.chars().for_each(|c| push_char(out, c));
    }
    out.push(b'"');
}

/// Appends one character as it stands inside a string.
fn push_char(out: &mut Vec<u8>, c: char) {
    match c {
        '"' => out.extend_from_slice(b"\\\""),
        '\\' => out.extend_from_slice(b"\\\\"),
        '\n' => out.extend_from_slice(b"\\n"),
        '\r' => out.extend_from_slice(b"\\r"),
        '\t' => out.extend_from_slice(b"\\t"),
        ' '..='\x7f' => out.push(c as u8),
        _ => c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| push_unit(out, *unit)),
    }
}

/// Appends `\u` and four hexadecimal digits.
fn push_unit(out: &mut Vec<u8>, unit: u16) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    out.extend_from_slice(b"\\u");
    for shift in [12, 8, 4, 0] {
        out.push(DIGITS[usize::from(unit >> shift & 15)]);
    }
}

/// Appends a value in ASCII; an error (a map whose keys are no strings) may leave part of it behind.
pub fn push_value<T: Serialize + ?Sized>(out: &mut Vec<u8>, value: &T) -> Result<(), serde_json::Error> {
    value.serialize(&mut serde_json::Serializer::with_formatter(out, Ascii))
}

/// Appends a value that came as text: the same text, but for characters outside ASCII, which are escaped.
pub fn push_raw(out: &mut Vec<u8>, raw: Raw<'_>) {
    push_ascii(out, raw.get());
}

/// Appends JSON text whose characters outside ASCII, all of them inside strings, are escaped.
fn push_ascii(out: &mut Vec<u8>, text: &str) {
    if text.is_ascii() {
        return out.extend_from_slice(text.as_bytes());
    }
    for c in text.chars() {
        if c.is_ascii() { out.push(c as u8) } else { push_char(out, c) }
    }
}

/// Compact JSON in ASCII.
struct Ascii;

impl Formatter for Ascii {
    fn write_string_fragment<W: io::Write + ?Sized>(&mut self, writer: &mut W, text: &str) -> io::Result<()> {
        self.write_raw_fragment(writer, text)
    }

    fn write_raw_fragment<W: io::Write + ?Sized>(&mut self, writer: &mut W, text: &str) -> io::Result<()> {
        if text.is_ascii() {
            return writer.write_all(text.as_bytes());
        }
        let mut escaped = Vec::with_capacity(text.len() * 2);
        push_ascii(&mut escaped, text);
        writer.write_all(&escaped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(text: &str) -> &RawValue {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn strings_come_out_whole_or_with_replacements() {
        assert!(matches!(text(raw("\"a b\"")), Some(Cow::Borrowed("a b"))));
        assert_eq!(text(raw(r#""a\n\u00e9\ud83d\ude00""#)).unwrap(), "a\n\u{e9}\u{1f600}");
        assert!(text(raw(r#""x\ud800y""#)).unwrap().contains('\u{fffd}'));
        assert_eq!(exact_text(raw(r#""x\ud800y""#)), None);
        assert_eq!(exact_text(raw(r#""\u0041""#)).unwrap(), "A");
        for other in ["1", "null", "[\"a\"]", "{\"a\":\"b\"}", "true"] {
            assert_eq!(text(raw(other)), None, "{other}");
        }
    }

    #[test]
    fn integers_of_any_size() {
        for yes in ["0", "-0", "17", "123456789012345678901234567890"] {
            assert!(is_integer(raw(yes).into()), "{yes}");
        }
        for no in ["1.0", "1e3", "\"1\"", "true", "null"] {
            assert!(!is_integer(raw(no).into()), "{no}");
        }
    }

    #[test]
    fn depth_counts_brackets_outside_strings() {
        assert!(!is_deeper("[[[]]]", 3));
        assert!(is_deeper("[[[]]]", 2));
        assert!(!is_deeper(r#"["[[[[[[","\"[[[[[","\\"]"#, 1));
        assert!(is_deeper(r#"["\\",[]]"#, 1));
        assert!(!is_deeper("[],[],[],[]", 1));
        assert!(!is_deeper("]]]]{", 1));
        assert!(!is_deeper("\"\\", 0));
        assert!(is_deeper(&"[".repeat(5_000_000), 128));
    }

    #[test]
    fn text_goes_out_in_ascii() {
        let nasty = "a\"\\\n\r\t\u{1}\u{7f}\u{e9}\u{2028}\u{1f600}";
        let mut out = Vec::new();
        push_string(&mut out, nasty);
        assert_eq!(out, br#""a\"\\\n\r\t\u0001"#.iter().copied().chain(*b"\x7f").chain(*br#"\u00e9\u2028\ud83d\ude00""#).collect::<Vec<_>>());
        let mut same = Vec::new();
        push_value(&mut same, nasty).unwrap();
        assert_eq!(same, out);
        out.clear();
        push_raw(&mut out, raw("{\"\u{e9}\": [1.50, \"\\u00e9\"]}").into());
        assert_eq!(out, br#"{"\u00e9": [1.50, "\u00e9"]}"#);
        out.clear();
        push_value(&mut out, &[raw("\"\u{e9}\"")]).unwrap();
        assert_eq!(out, br#"["\u00e9"]"#);
    }

    #[test]
    fn quotes_are_short() {
        assert_eq!(quoted("a\nb"), "\"a\\nb\"");
        assert_eq!(quoted(&"\u{e9}".repeat(100)).chars().filter(|c| *c == '\u{e9}').count(), 64);
    }
}
