//! JSON as Python reads and writes it: the values of a line, and text as the reference writes it.
//!
//! Python takes `NaN` and `Infinity`, keeps whole numbers of any size, lets the last of equal keys win, and writes a blank
//! behind commas and colons. It also keeps halves of surrogate pairs, which become U+FFFD here.

use std::fmt::Write;

/// How deeply lists and objects may be nested.
pub const DEPTH_MAX: usize = 100;

/// A value as it came.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// null, Python's None.
    Null,
    /// true or false, which Python counts as 1 and 0.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A whole number too large for that, by its digits.
    Big(Box<str>),
    /// A number with a point or an exponent; NaN and the infinities, too.
    Float(f64),
    /// A text.
    Text(String),
    /// A list.
    List(Vec<Value>),
    /// An object, each key once.
    Object(Vec<(String, Value)>),
}

impl Value {
    /// What Python calls its type.
    pub fn type_name(&self) -> &'static str {
        match self {
            Value::Null => "NoneType",
            Value::Bool(_) => "bool",
            Value::Int(_) | Value::Big(_) => "int",
            Value::Float(_) => "float",
            Value::Text(_) => "str",
            Value::List(_) => "list",
            Value::Object(_) => "dict",
        }
    }

    /// Whether it can be the key of a table; lists and objects cannot.
    pub fn is_hashable(&self) -> bool {
        !matches!(self, Value::List(_) | Value::Object(_))
    }

    /// Whether Python takes it for true.
    pub fn is_truthy(&self) -> bool {
        match self {
            Value::Null => false,
            Value::Bool(truth) => *truth,
            Value::Int(number) => *number != 0,
            Value::Big(_) => true,
            Value::Float(number) => *number != 0.0,
            Value::Text(text) => !text.is_empty(),
            Value::List(items) => !items.is_empty(),
            Value::Object(entries) => !entries.is_empty(),
        }
    }

    /// The number it is, if it is one.
    pub fn number(&self) -> Option<f64> {
        match self {
            Value::Bool(truth) => Some(f64::from(u8::from(*truth))),
            Value::Int(number) => Some(*number as f64),
            Value::Big(digits) => digits.parse().ok(),
            Value::Float(number) => Some(*number),
            _ => None,
        }
    }

    /// The whole number it equals: 1, 1.0 and true are the same.
    pub fn whole(&self) -> Option<i64> {
        match self {
            Value::Bool(truth) => Some(i64::from(*truth)),
            Value::Int(number) => Some(*number),
            // Beyond 2^53 not every whole number is a float, and none of them means anything here.
            Value::Float(number) if number.fract() == 0.0 && number.abs() < 9e15 => Some(*number as i64),
            _ => None,
        }
    }

    /// Its text as Python's `str()` has it.
    pub fn to_text(&self) -> String {
        match self {
            Value::Text(text) => text.clone(),
            other => other.shown(),
        }
    }

    /// Its text as Python's `repr()` has it.
    fn shown(&self) -> String {
        match self {
            Value::Null => "None".to_owned(),
            Value::Bool(true) => "True".to_owned(),
            Value::Bool(false) => "False".to_owned(),
            Value::Float(number) if number.is_nan() => "nan".to_owned(),
            Value::Float(number) if number.is_infinite() => {
                if *number > 0.0 { "inf" } else { "-inf" }.to_owned()
            }
            Value::Text(text) => quoted(text),
            Value::List(items) => {
                format!("[{}]", items.iter().map(Value::shown).collect::<Vec<_>>().join(", "))
            }
            Value::Object(entries) => {
                let entry = |(key, value): &(String, Value)| format!("{}: {}", quoted(key), value.shown());
                format!("{{{}}}", entries.iter().map(entry).collect::<Vec<_>>().join(", "))
            }
            number => {
                let mut out = String::new();
                number.push_json(&mut out);
                out
            }
        }
    }

    /// Appends it as the reference writes JSON.
    pub fn push_json(&self, out: &mut String) {
        match self {
            Value::Null => out.push_str("null"),
            Value::Bool(truth) => out.push_str(if *truth { "true" } else { "false" }),
            Value::Int(number) => push_int(out, *number),
            Value::Big(digits) => out.push_str(digits),
            Value::Float(number) => push_float(out, *number),
            Value::Text(text) => push_text(out, text),
            Value::List(items) => push_list(out, items, |out, item| item.push_json(out)),
            Value::Object(entries) => {
                out.push('{');
                for (index, (key, value)) in entries.iter().enumerate() {
                    out.push_str(if index > 0 { ", " } else { "" });
                    push_text(out, key);
                    out.push_str(": ");
                    value.push_json(out);
                }
                out.push('}');
            }
        }
    }
}

/// A text in Python's quotes, for what is shown to people only.
fn quoted(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    let mut out = String::from(quote);
    for c in text.chars() {
        match c {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\\' => out.push_str("\\\\"),
            c if c == quote => out.extend(['\\', c]),
            c if c.is_control() => {
                let _ = write!(out, "\\x{:02x}", c as u32);
            }
            c => out.push(c),
        }
    }
    out.push(quote);
    out
}

/// A name as Python's complaints quote it.
pub fn repr(text: &str) -> String {
    quoted(text)
}

/// Appends a whole number.
pub fn push_int(out: &mut String, number: impl std::fmt::Display) {
    // Writing to a text cannot fail.
    let _ = write!(out, "{number}");
}

/// Appends a number as Python's `repr()` has it: always with a point or an exponent, and that below 1e-4 and from 1e16 on.
pub fn push_float(out: &mut String, number: f64) {
    if !number.is_finite() {
        return out.push_str(match number {
            _ if number.is_nan() => "NaN",
            _ if number > 0.0 => "Infinity",
            _ => "-Infinity",
        });
    }
    if number == 0.0 || (1e-4..1e16).contains(&number.abs()) {
        let _ = write!(out, "{number:?}");
        return;
    }
    let text = format!("{number:e}");
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (sign, exponent) = exponent.strip_prefix('-').map_or(('+', exponent), |exponent| ('-', exponent));
    let _ = write!(out, "{digits}e{sign}{exponent:0>2}");
}

/// Appends a text with its quotes, in ASCII.
pub fn push_text(out: &mut String, text: &str) {
    out.push('"');
    if text.bytes().all(|byte| (0x20..0x7f).contains(&byte) && byte != b'"' && byte != b'\\') {
        out.push_str(text);
    } else {
        text.chars().for_each(|c| push_char(out, c));
    }
    out.push('"');
}

fn push_char(out: &mut String, c: char) {
    match c {
        '"' => out.push_str("\\\""),
        '\\' => out.push_str("\\\\"),
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        '\u{8}' => out.push_str("\\b"),
        '\u{c}' => out.push_str("\\f"),
        ' '..='\x7f' => out.push(c),
        _ => c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| {
            let _ = write!(out, "\\u{unit:04x}");
        }),
    }
}

/// Appends a list of anything.
pub fn push_list<T>(
    out: &mut String,
    items: impl IntoIterator<Item = T>,
    mut push: impl FnMut(&mut String, T),
) {
    out.push('[');
    for (index, item) in items.into_iter().enumerate() {
        out.push_str(if index > 0 { ", " } else { "" });
        push(out, item);
    }
    out.push(']');
}

/// Reads one JSON text; none when it is none.
pub fn parse(text: &str) -> Option<Value> {
    let mut reader = Reader { text, at: 0 };
    reader.skip_blanks();
    let value = reader.value(0)?;
    reader.skip_blanks();
    (reader.at == text.len()).then_some(value)
}

/// A text and how far it is read.
struct Reader<'t> {
    text: &'t str,
    at: usize,
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn skip_blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    /// Takes a word if it comes next.
    fn take(&mut self, word: &str) -> Option<()> {
        self.text.get(self.at..)?.starts_with(word).then(|| self.at += word.len())
    }

    fn value(&mut self, depth: usize) -> Option<Value> {
        match self.peek()? {
            b'"' => self.string().map(Value::Text),
            b'[' if depth < DEPTH_MAX => self.list(depth),
            b'{' if depth < DEPTH_MAX => self.object(depth),
            b'n' => self.take("null").map(|()| Value::Null),
            b't' => self.take("true").map(|()| Value::Bool(true)),
            b'f' => self.take("false").map(|()| Value::Bool(false)),
            b'N' => self.take("NaN").map(|()| Value::Float(f64::NAN)),
            b'I' => self.take("Infinity").map(|()| Value::Float(f64::INFINITY)),
            b'-' if self.take("-Infinity").is_some() => Some(Value::Float(f64::NEG_INFINITY)),
            b'-' | b'0'..=b'9' => self.number(),
            _ => None,
        }
    }

    fn list(&mut self, depth: usize) -> Option<Value> {
        self.at += 1;
        let mut items = Vec::new();
        self.skip_blanks();
        if self.take("]").is_some() {
            return Some(Value::List(items));
        }
        loop {
            self.skip_blanks();
            items.push(self.value(depth + 1)?);
            self.skip_blanks();
            if self.take(",").is_none() {
                self.take("]")?;
                return Some(Value::List(items));
            }
        }
    }

    fn object(&mut self, depth: usize) -> Option<Value> {
        self.at += 1;
        let mut entries = Vec::new();
        self.skip_blanks();
        if self.take("}").is_some() {
            return Some(Value::Object(entries));
        }
        loop {
            self.skip_blanks();
            let key = self.string()?;
            self.skip_blanks();
            self.take(":")?;
            self.skip_blanks();
            entries.push((key, self.value(depth + 1)?));
            self.skip_blanks();
            if self.take(",").is_none() {
                self.take("}")?;
                return Some(Value::Object(last_of_each(entries)));
            }
        }
    }

    fn number(&mut self) -> Option<Value> {
        let start = self.at;
        let _ = self.take("-");
        let whole = self.digits();
        // Python takes no zero in front of other digits; it reads the zero and stumbles over the rest.
        if whole == 0 || (whole > 1 && self.text.as_bytes().get(self.at - whole) == Some(&b'0')) {
            return None;
        }
        let mut is_whole = true;
        if self.take(".").is_some() {
            is_whole = false;
            (self.digits() > 0).then_some(())?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            is_whole = false;
            self.at += 1;
            let _ = self.take("+").or_else(|| self.take("-"));
            (self.digits() > 0).then_some(())?;
        }
        let text = self.text.get(start..self.at)?;
        match is_whole {
            true => Some(text.parse().map_or_else(|_| Value::Big(text.into()), Value::Int)),
            false => text.parse().ok().map(Value::Float),
        }
    }

    /// Passes over digits; how many there were.
    fn digits(&mut self) -> usize {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        self.at - start
    }

    fn string(&mut self) -> Option<String> {
        self.take("\"")?;
        let mut out = String::new();
        loop {
            let rest = self.text.get(self.at..)?;
            let end = rest.bytes().position(|byte| byte < 0x20 || byte == b'"' || byte == b'\\')?;
            out.push_str(rest.get(..end)?);
            self.at += end + 1;
            match rest.as_bytes().get(end)? {
                b'"' => return Some(out),
                b'\\' => self.escape(&mut out)?,
                _ => return None,
            }
        }
    }

    fn escape(&mut self, out: &mut String) -> Option<()> {
        let c = self.peek()?;
        self.at += 1;
        out.push(match c {
            b'"' | b'\\' | b'/' => c as char,
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => self.unicode()?,
            _ => return None,
        });
        Some(())
    }

    /// The character after `\u`, which may take a second escape.
    fn unicode(&mut self) -> Option<char> {
        let first = self.unit()?;
        if (0xD800..0xDC00).contains(&first) && self.text.get(self.at..)?.starts_with("\\u") {
            let before = self.at;
            self.at += 2;
            let second = self.unit()?;
            if (0xDC00..0xE000).contains(&second) {
                return char::from_u32(0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00));
            }
            self.at = before;
        }
        Some(char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER))
    }

    fn unit(&mut self) -> Option<u32> {
        let digits = self.text.get(self.at..self.at + 4)?;
        self.at += 4;
        let plain = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        plain.then(|| u32::from_str_radix(digits, 16).ok())?
    }
}

/// Of equal keys the last value, in the place of the first.
fn last_of_each(entries: Vec<(String, Value)>) -> Vec<(String, Value)> {
    let mut places = std::collections::BTreeMap::new();
    let mut kept: Vec<(String, Value)> = Vec::with_capacity(entries.len());
    for (key, value) in entries {
        match places.get(&key) {
            Some(place) => {
                if let Some(entry) = kept.get_mut(*place) {
                    let entry: &mut (String, Value) = entry;
                    entry.1 = value;
                }
            }
            None => {
                places.insert(key.clone(), kept.len());
                kept.push((key, value));
            }
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn again(text: &str) -> Option<String> {
        let mut out = String::new();
        parse(text)?.push_json(&mut out);
        Some(out)
    }

    #[test]
    fn what_python_reads_is_written_as_python_writes_it() {
        for (text, written) in [
            (
                " [1,2.50,-0.0,1e3,1e16,1E-5,1.5e-7,-1e22] ",
                "[1, 2.5, -0.0, 1000.0, 1e+16, 1e-05, 1.5e-07, -1e+22]",
            ),
            ("{\"a\":1,\"b\":{},\"a\":null}", "{\"a\": null, \"b\": {}}"),
            ("[NaN,Infinity,-Infinity]", "[NaN, Infinity, -Infinity]"),
            ("123456789012345678901234567890", "123456789012345678901234567890"),
            ("\"zo\u{eb}\\u00e9\\ud83d\\ude00\\/\\n\u{7f}\"", "\"zo\\u00eb\\u00e9\\ud83d\\ude00/\\n\u{7f}\""),
            ("\"\\ud83dx\"", "\"\\ufffdx\""),
            ("9007199254740993", "9007199254740993"),
            ("1e400", "Infinity"),
            ("0.1", "0.1"),
            ("1795270088.123", "1795270088.123"),
        ] {
            assert_eq!(again(text).as_deref(), Some(written), "{text}");
        }
    }

    #[test]
    fn what_python_does_not_read_is_refused() {
        for text in [
            "",
            "01",
            "-",
            "1.",
            ".5",
            "1e",
            "+1",
            "nul",
            "nan",
            "[1,]",
            "[1 2]",
            "{1:2}",
            "{\"a\" 1}",
            "\"\n\"",
            "\"\\x\"",
            "\"\\u12g4\"",
            "\"\\u+123\"",
            "\"abc",
            "[",
            "{\"a\":1",
            "1 2",
            "\u{feff}1",
            "\u{0}1",
            "'a'",
            "\"\\ud83d\\u1\"",
        ] {
            assert_eq!(parse(text), None, "{text:?}");
        }
        assert!(parse(&("[".repeat(DEPTH_MAX) + &"]".repeat(DEPTH_MAX))).is_some());
        assert!(parse(&("[".repeat(DEPTH_MAX + 1) + &"]".repeat(DEPTH_MAX + 1))).is_none());
        assert!(parse(&"[".repeat(1_000_000)).is_none());
    }

    #[test]
    fn numbers_compare_as_in_python() {
        let whole = |text: &str| parse(text).unwrap().whole();
        assert_eq!(["1", "1.0", "true", "-0.0"].map(whole), [Some(1), Some(1), Some(1), Some(0)]);
        assert_eq!(["1.5", "\"1\"", "null", "NaN", "1e300"].map(whole), [None; 5]);
    }

    #[test]
    fn owners_are_text_as_python_has_it() {
        for (value, text) in [
            ("5", "5"),
            ("1.5", "1.5"),
            ("true", "True"),
            ("[null,\"a'b\",{\"k\":1e16}]", "[None, \"a'b\", {'k': 1e+16}]"),
            ("\"x\"", "x"),
            ("NaN", "nan"),
        ] {
            assert_eq!(parse(value).unwrap().to_text(), text);
        }
    }
}
