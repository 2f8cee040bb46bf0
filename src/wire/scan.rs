//! Plain JSON, read at once: what nearly every message is made of, looked at byte by byte and never copied.
//!
//! Plain is what has no escapes in its strings and is not nested deep. Whatever is not plain, not what was expected, or no
//! JSON at all comes to nothing here and is left to serde_json, which also says what is wrong with it. So this may refuse
//! too much, but never take what serde_json would refuse, nor read it otherwise.

use super::json::Raw;

/// What is nested deeper is not plain.
const DEPTH_MAX: usize = 16;

/// All bytes of a word set to 1.
const ONES: u64 = u64::MAX / 255;

/// A text and how far it has been read.
pub(super) struct Scan<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Scan<'a> {
    /// A text of which nothing has been read.
    pub fn new(text: &'a str) -> Scan<'a> {
        Scan { text, at: 0 }
    }

    /// The next byte that is no space; it is not read yet.
    fn peek(&mut self) -> Option<u8> {
        loop {
            match self.text.as_bytes().get(self.at)? {
                b' ' | b'\n' | b'\r' | b'\t' => self.at += 1,
                byte => return Some(*byte),
            }
        }
    }

    /// Reads this byte, which has to be the next.
    fn take(&mut self, byte: u8) -> Option<()> {
        self.has(byte).then_some(())
    }

    /// Whether this byte is the next; if so it is read.
    fn has(&mut self, byte: u8) -> bool {
        let has = self.peek() == Some(byte);
        self.at += usize::from(has);
        has
    }

    /// Nothing but spaces may be left.
    pub fn end(mut self) -> Option<()> {
        self.peek().is_none().then_some(())
    }

    /// Reads an object; `member` reads the value of each key.
    pub fn object(&mut self, mut member: impl FnMut(&mut Scan<'a>, &'a str) -> Option<()>) -> Option<()> {
        self.items(b'{', b'}', |scan| {
            let key = scan.string()?;
            scan.take(b':')?;
            member(scan, key)
        })
    }

    /// Reads a list; `item` reads each of its values.
    pub fn list(&mut self, item: impl FnMut(&mut Scan<'a>) -> Option<()>) -> Option<()> {
        self.items(b'[', b']', item)
    }

    /// Reads what stands between brackets, with commas in between.
    fn items(
        &mut self,
        open: u8,
        close: u8,
        mut item: impl FnMut(&mut Scan<'a>) -> Option<()>,
    ) -> Option<()> {
        self.take(open)?;
        if self.has(close) {
            return Some(());
        }
        loop {
            item(self)?;
            if !self.has(b',') {
                return self.take(close);
            }
        }
    }

    /// Reads a string and gives what it says.
    pub fn string(&mut self) -> Option<&'a str> {
        self.take(b'"')?;
        let start = self.at;
        let end = start + plain_bytes(self.text.as_bytes().get(start..)?);
        self.at = end;
        self.is_next(b'"').then_some(())?;
        self.text.get(start..end)
    }

    /// Reads any value.
    pub fn value(&mut self) -> Option<Raw<'a>> {
        self.peek()?;
        let start = self.at;
        self.pass(DEPTH_MAX)?;
        self.text.get(start..self.at).map(Raw::read)
    }

    /// Passes over a value in which so many brackets may be nested.
    fn pass(&mut self, depth_max: usize) -> Option<()> {
        match self.peek()? {
            b'"' => self.string().map(drop),
            b'{' => {
                let depth_max = depth_max.checked_sub(1)?;
                self.object(|scan, _| scan.pass(depth_max))
            }
            b'[' => {
                let depth_max = depth_max.checked_sub(1)?;
                self.list(|scan| scan.pass(depth_max))
            }
            b't' => self.pass_word("true"),
            b'f' => self.pass_word("false"),
            b'n' => self.pass_word("null"),
            _ => self.pass_number(),
        }
    }

    fn pass_word(&mut self, word: &str) -> Option<()> {
        let found = self.text.as_bytes().get(self.at..)?.starts_with(word.as_bytes());
        self.at += word.len();
        found.then_some(())
    }

    /// A whole number, perhaps with a fraction and an exponent.
    fn pass_number(&mut self) -> Option<()> {
        self.is_next(b'-');
        if !self.is_next(b'0') {
            self.pass_digits()?;
        }
        if self.is_next(b'.') {
            self.pass_digits()?;
        }
        if self.is_next(b'e') || self.is_next(b'E') {
            let _ = self.is_next(b'+') || self.is_next(b'-');
            self.pass_digits()?;
        }
        Some(())
    }

    /// Whether this very byte is the next, without spaces before it; if so it is read.
    fn is_next(&mut self, byte: u8) -> bool {
        let is_next = self.text.as_bytes().get(self.at) == Some(&byte);
        self.at += usize::from(is_next);
        is_next
    }

    /// Digits, at least one.
    fn pass_digits(&mut self) -> Option<()> {
        let digits = self.text.as_bytes().get(self.at..)?.iter().take_while(|byte| byte.is_ascii_digit());
        let digits = digits.count();
        self.at += digits;
        (digits > 0).then_some(())
    }
}

/// How many bytes stand before the first that is a quote, a backslash or a control character.
fn plain_bytes(bytes: &[u8]) -> usize {
    let (words, rest) = bytes.as_chunks::<8>();
    for (at, word) in words.iter().enumerate() {
        let found = not_plain(u64::from_le_bytes(*word));
        if found != 0 {
            return 8 * at + found.trailing_zeros() as usize / 8;
        }
    }
    let is_plain = |byte: &&u8| !matches!(byte, b'"' | b'\\' | 0..=0x1f);
    8 * words.len() + rest.iter().take_while(is_plain).count()
}

/// The highest bits of those bytes of a word that are not plain; above the lowest of them there may be others.
fn not_plain(word: u64) -> u64 {
    // A byte below `than` borrows from its highest bit, which it does not have itself.
    let below = |word: u64, than: u8| word.wrapping_sub(ONES * u64::from(than)) & !word;
    let is = |byte: u8| below(word ^ (ONES * u64::from(byte)), 1);
    (below(word, 0x20) | is(b'"') | is(b'\\')) & (ONES << 7)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{call, envelope};
    use proptest::prelude::*;
    use serde_json::value::RawValue;

    /// The text of a value that is plain, with nothing behind it.
    fn plain(text: &str) -> Option<&str> {
        let mut scan = Scan::new(text);
        let value = scan.value()?;
        scan.end().map(|()| value.get())
    }

    #[test]
    fn plain_json_is_taken_whole() {
        for text in [
            "0",
            "-0",
            "10",
            "-1.50e+3",
            "1E-2",
            "2e9",
            "true",
            "false",
            "null",
            "\"\"",
            "\"plain \u{e9}\u{7f} text of some length\"",
            "[]",
            "{}",
            "[ ]",
            "{ }",
            "[1,[2, {\"a\" : [null]}] ]",
            "{\"a\":1,\"a\":\t{\"b\":\"\"}\r\n}",
        ] {
            assert_eq!(plain(text), Some(text));
            assert_eq!(plain(&format!(" {text}\n")), Some(text));
        }
    }

    #[test]
    fn what_is_no_json_or_not_plain_is_left_to_others() {
        for text in [
            "",
            " ",
            "01",
            "-",
            "+1",
            "1.",
            ".5",
            "1e",
            "1e+",
            "--1",
            "0x1",
            "tru",
            "nul",
            "True",
            "NaN",
            "\"",
            "\"a",
            "\"\\n\"",
            "\"a\nb\"",
            "\"\n\"",
            "\"12345678\u{1}\"",
            "[",
            "]",
            "[1",
            "[1,",
            "[1,]",
            "[,1]",
            "[1 2]",
            "{",
            "{\"a\"",
            "{\"a\":",
            "{\"a\":1",
            "{\"a\":1,}",
            "{a:1}",
            "{1:1}",
            "{\"a\" 1}",
            "1 2",
            "[]]",
            "\u{a0}1",
            "'a'",
        ] {
            assert_eq!(plain(text), None, "{text:?}");
        }
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert_eq!(plain(&nested(DEPTH_MAX)), Some(&*nested(DEPTH_MAX)));
        assert_eq!(plain(&nested(DEPTH_MAX + 1)), None);
        assert_eq!(plain(&"[".repeat(1_000_000)), None);
    }

    #[test]
    fn the_first_byte_that_is_not_plain_is_found_wherever_it_stands() {
        for odd in ['"', '\\', '\0', '\u{1f}'] {
            for at in 0..40 {
                for other in [' ', '!', '#', '[', ']', '\u{7f}', '\u{e9}', '\u{fffd}'] {
                    let text: String = std::iter::repeat_n(other, at).chain([odd, odd, other]).collect();
                    assert_eq!(Some(plain_bytes(text.as_bytes())), text.find(odd), "{text:?}");
                }
            }
        }
    }

    /// Pieces of which texts are made that are often JSON, and often nearly.
    fn nearly_json() -> impl Strategy<Value = String> {
        let piece = prop::sample::select(vec![
            "{",
            "}",
            "[",
            "]",
            ",",
            ":",
            "\"",
            "\\",
            " ",
            "\n",
            "0",
            "1",
            "-",
            ".",
            "e",
            "E+",
            "true",
            "null",
            "\"a\"",
            "\"fname\":\"f\"",
            "\"session\":\"s\"",
            "\"name\":\"n\"",
            "\"data\":[]",
            "\"__id__\":7",
            "\"data\":{\"fname\":\"f\"}",
            "\"\\u00e9\"",
            "\u{e9}",
            "\t",
            "{}",
            "[{\"fname\":\"g\",\"x\":1}]",
        ]);
        prop::collection::vec(piece, 0..14).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn nothing_is_taken_that_is_no_json(text in nearly_json()) {
            if let Some(value) = plain(&text) {
                let raw: &RawValue = serde_json::from_str(&text).expect("JSON");
                prop_assert_eq!(raw.get(), value);
            }
        }

        /// An escape in a key that nobody knows keeps a message from being plain.
        #[test]
        fn messages_and_calls_are_read_the_same_either_way(inside in nearly_json(), name in "[ -~]{0,9}") {
            let escaped = name.replace('\\', "\\\\").replace('"', "\\\"");
            for head in ["", "\"__x\":\"\\n\","] {
                let text = format!("{{{head}\"session\":\"s\",\"name\":\"{escaped}\",\"data\":[{{\"fname\":\"f\",{inside}}}],\"__id__\":5}}");
                let known = serde_json::from_str::<&RawValue>(&text).is_ok();
                let read = envelope::decode(text.as_bytes(), 64);
                prop_assert_eq!(read.is_ok(), known, "{}", text);
                let Ok(message) = read else { continue };
                prop_assert_eq!(&*message.name, &*name);
                prop_assert_eq!(message.id.map(Raw::get), Some("5"));
                // A space before the list's end is no news, an escape makes it one that is not plain.
                let again = message.data.get().replacen("{\"fname\":\"f\",", "{\"fname\":\"\\u0066\",", 1);
                let (one, other) = (call::parse(message.data, 9), call::parse(Raw::known(&again), 9));
                let shown = |calls: &call::Calls<'_>| calls.iter().map(|call| format!("{call:?}")).collect::<Vec<_>>();
                prop_assert_eq!(one.as_ref().ok().map(shown), other.as_ref().ok().map(shown));
            }
        }
    }
}
