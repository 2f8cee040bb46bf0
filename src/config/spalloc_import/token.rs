//! Letters to words: a text of Python as logical lines of tokens, each with the byte at which it stands.
//!
//! A bracket that is open joins lines, as does a backslash; comments and empty lines are gone. What is no token of Python
//! is a token too, so that whoever reads the line can name it.

/// A token and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Token<'t> {
    /// The byte at which it begins.
    pub at: usize,
    /// What it is.
    pub word: Word<'t>,
}

/// What a token is.
#[derive(Clone, Debug, PartialEq)]
pub enum Word<'t> {
    /// A name or a keyword.
    Name(&'t str),
    /// A whole number.
    Whole(i64),
    /// A number with a fraction.
    Decimal(f64),
    /// A text, without its quotes and escapes.
    Text(String),
    /// An operator or a bracket.
    Mark(&'static str),
    /// Something that is understood by Python at best.
    Strange(&'static str),
}

/// A logical line.
#[derive(Debug, Default)]
pub struct Line<'t> {
    /// Columns before its first token.
    pub indent: usize,
    /// Its tokens, at least one.
    pub tokens: Vec<Token<'t>>,
}

/// Operators and brackets, longer ones before those they begin with.
const MARKS: &[&str] = &[
    "**=", "//=", "<<=", ">>=", "...", "**", "//", "<<", ">>", "<=", ">=", "==", "!=", "->", "+=", "-=",
    "*=", "/=", "%=", "&=", "|=", "^=", "@=", ":=", "(", ")", "[", "]", "{", "}", ",", ":", ".", ";", "@",
    "=", "+", "-", "*", "/", "%", "&", "|", "^", "~", "<", ">",
];

/// Columns between two stops of the tabulator.
const TAB_COLUMNS: usize = 8;

/// Reads a whole text.
pub fn lines(text: &str) -> Vec<Line<'_>> {
    let mut reader = Reader { text, at: 0, depth: 0, lines: Vec::new(), line: Line::default() };
    while reader.at < text.len() {
        reader.step();
    }
    reader.end_line();
    reader.lines
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
    /// Brackets that are open.
    depth: usize,
    lines: Vec<Line<'t>>,
    line: Line<'t>,
}

impl<'t> Reader<'t> {
    fn rest(&self) -> &'t str {
        self.text.get(self.at..).unwrap_or_default()
    }

    /// Takes what satisfies a condition.
    fn take_while(&mut self, good: impl Fn(char) -> bool) -> &'t str {
        let rest = self.rest();
        let end = rest.find(|c| !good(c)).unwrap_or(rest.len());
        self.at += end;
        rest.get(..end).unwrap_or_default()
    }

    /// One token, one blank, or one end of a line.
    fn step(&mut self) {
        let rest = self.rest();
        let Some(first) = rest.chars().next() else { return };
        match first {
            '\n' => self.handle_newline(),
            ' ' | '\t' | '\r' | '\u{c}' | '\u{feff}' => self.at += first.len_utf8(),
            '#' => drop(self.take_while(|c| c != '\n')),
            '\\' if rest.starts_with("\\\n") => self.at += 2,
            '\\' if rest.starts_with("\\\r\n") => self.at += 3,
            '"' | '\'' => self.text_token(self.at, ""),
            _ if first == '_' || first.is_alphabetic() => self.name_token(),
            _ if first.is_ascii_digit() || is_fraction(rest) => self.number_token(),
            _ => self.mark_token(first),
        }
    }

    fn handle_newline(&mut self) {
        self.at += 1;
        if self.depth == 0 {
            self.end_line();
        }
    }

    fn end_line(&mut self) {
        let line = std::mem::take(&mut self.line);
        if !line.tokens.is_empty() {
            self.lines.push(line);
        }
    }

    fn push(&mut self, at: usize, word: Word<'t>) {
        if self.line.tokens.is_empty() {
            self.line.indent = self.indent(at);
        }
        self.line.tokens.push(Token { at, word });
    }

    /// The columns before a byte, as Python counts them.
    fn indent(&self, at: usize) -> usize {
        let before = self.text.get(..at).unwrap_or_default();
        let start = before.rfind('\n').map_or(0, |newline| newline + 1);
        before.get(start..).unwrap_or_default().chars().fold(0, |columns, c| match c {
            '\t' => (columns / TAB_COLUMNS + 1) * TAB_COLUMNS,
            ' ' => columns + 1,
            _ => columns,
        })
    }

    /// A name, or the letters in front of a text.
    fn name_token(&mut self) {
        let at = self.at;
        let name = self.take_while(|c| c == '_' || c.is_alphanumeric());
        let is_prefix = name.len() <= 2 && name.bytes().all(|b| b"rRbBuUfFtT".contains(&b));
        if is_prefix && self.rest().starts_with(['"', '\'']) {
            return self.text_token(at, name);
        }
        self.push(at, Word::Name(name));
    }

    fn number_token(&mut self) {
        let at = self.at;
        let letters = self.take_number().replace('_', "");
        let lower = letters.to_ascii_lowercase();
        let radix =
            [("0x", 16), ("0o", 8), ("0b", 2)].into_iter().find(|(prefix, _)| lower.starts_with(prefix));
        let word = match radix {
            Some((prefix, radix)) => {
                i64::from_str_radix(lower.trim_start_matches(prefix), radix).ok().map(Word::Whole)
            }
            None if lower.bytes().all(|b| b.is_ascii_digit()) => lower.parse().ok().map(Word::Whole),
            None => lower.parse().ok().filter(|number: &f64| number.is_finite()).map(Word::Decimal),
        };
        self.push(at, word.unwrap_or(Word::Strange("this number")));
    }

    /// Digits and letters, a point, and a sign that follows the e of an exponent.
    fn take_number(&mut self) -> &'t str {
        let start = self.at;
        let hex = self.rest().get(..2).is_some_and(|two| two.eq_ignore_ascii_case("0x"));
        loop {
            self.take_while(|c| c == '_' || c == '.' || c.is_ascii_alphanumeric());
            let so_far = self.text.get(start..self.at).unwrap_or_default();
            let exponent = !hex && so_far.ends_with(['e', 'E']) && self.rest().starts_with(['+', '-']);
            if !exponent {
                return so_far;
            }
            self.at += 1;
        }
    }

    fn mark_token(&mut self, first: char) {
        let (at, rest) = (self.at, self.rest());
        let Some(mark) = MARKS.iter().find(|mark| rest.starts_with(**mark)) else {
            self.at += first.len_utf8();
            return self.push(at, Word::Strange("this sign"));
        };
        self.at += mark.len();
        match *mark {
            "(" | "[" | "{" => self.depth += 1,
            ")" | "]" | "}" => self.depth = self.depth.saturating_sub(1),
            _ => {}
        }
        self.push(at, Word::Mark(mark));
    }

    /// A text behind its prefix, if it has one.
    fn text_token(&mut self, at: usize, prefix: &str) {
        let rest = self.rest();
        let quote =
            ["\"\"\"", "'''", "\"", "'"].into_iter().find(|quote| rest.starts_with(quote)).unwrap_or("\"");
        self.at += quote.len();
        let is_long = quote.len() == 3;
        let raw = prefix.contains(['r', 'R']);
        let (text, strange) = self.take_text(quote, is_long, raw);
        let strange = match prefix.to_ascii_lowercase() {
            prefix if prefix.contains('b') => Some("a text of bytes"),
            prefix if prefix.contains(['f', 't']) => Some("a text with values inside"),
            _ => strange,
        };
        self.push(at, strange.map_or(Word::Text(text), Word::Strange));
    }

    /// The inside of a text, and what is strange about it.
    fn take_text(&mut self, quote: &str, is_long: bool, raw: bool) -> (String, Option<&'static str>) {
        let (mut text, mut strange) = (String::new(), None);
        loop {
            let rest = self.rest();
            if rest.starts_with(quote) {
                self.at += quote.len();
                return (text, strange);
            }
            let Some(first) = rest.chars().next().filter(|c| is_long || *c != '\n') else {
                return (text, Some("a text without an end"));
            };
            self.at += first.len_utf8();
            if first != '\\' {
                text.push(first);
                continue;
            }
            let Some(second) = self.rest().chars().next() else { continue };
            self.at += second.len_utf8();
            if raw {
                text.extend([first, second]);
            } else if !self.escape(second, &mut text) {
                strange = Some("an escape in this text");
            }
        }
    }

    /// What a backslash and this letter stand for; false when that is not known here.
    fn escape(&mut self, letter: char, text: &mut String) -> bool {
        let digits = match letter {
            '\n' => return true,
            '\r' => {
                self.at += usize::from(self.rest().starts_with('\n'));
                return true;
            }
            'x' => 2,
            'u' => 4,
            'U' => 8,
            _ => 0,
        };
        if digits > 0 {
            let number = self.rest().get(..digits).and_then(|hex| u32::from_str_radix(hex, 16).ok());
            let Some(read) = number.and_then(char::from_u32) else { return false };
            self.at += digits;
            text.push(read);
            return true;
        }
        let simple = [('n', '\n'), ('t', '\t'), ('r', '\r'), ('\\', '\\'), ('\'', '\''), ('"', '"')];
        match simple.into_iter().find(|(name, _)| *name == letter) {
            Some((_, read)) => text.push(read),
            None => return false,
        }
        true
    }
}

fn is_fraction(rest: &str) -> bool {
    rest.strip_prefix('.').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<Vec<Word<'_>>> {
        lines(text)
            .into_iter()
            .map(|line| line.tokens.into_iter().map(|token| token.word).collect())
            .collect()
    }

    #[test]
    fn lines_end_where_python_ends_them() {
        let text = "a = 1  # one\n\n   # nothing\nb = (2,\n     3)\nc = \\\n  4\n\td\n";
        let found = lines(text);
        let shape: Vec<_> = found.iter().map(|line| (line.indent, line.tokens.len())).collect();
        assert_eq!(shape, [(0, 3), (0, 7), (0, 3), (8, 1)]);
    }

    #[test]
    fn numbers_and_texts_have_their_value() {
        let rows = [
            ("1_000", Word::Whole(1000)),
            ("0x1F", Word::Whole(31)),
            ("5.0", Word::Decimal(5.0)),
            (".5e-1", Word::Decimal(0.05)),
            ("99999999999999999999", Word::Strange("this number")),
            ("12ab", Word::Strange("this number")),
            ("'a\\'b'", Word::Text("a'b".into())),
            ("\"\"\"a\n\"b\"\"\"", Word::Text("a\n\"b".into())),
            ("r'\\d'", Word::Text("\\d".into())),
            ("u'\\x41\\u00e9'", Word::Text("Aé".into())),
            ("b'x'", Word::Strange("a text of bytes")),
            ("f'{x}'", Word::Strange("a text with values inside")),
            ("'a", Word::Strange("a text without an end")),
            ("'\\N{DASH}'", Word::Strange("an escape in this text")),
            ("?", Word::Strange("this sign")),
            ("//=", Word::Mark("//=")),
        ];
        for (text, word) in rows {
            assert_eq!(words(text), [[word]], "{text}");
        }
    }
}
