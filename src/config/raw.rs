//! The configuration as written: a tree of values, each with the byte at which it stands. No meaning yet.
//!
//! The several ways TOML has to write one thing (a header, an inline table, a dotted key; a list of tables or
//! `[[machine]]`) become one here, so that nothing after this has to know them apart.

use super::complaint::Place;
use toml_edit::{Document, Item, TableLike, Value};

/// The longest text that is read, in bytes.
pub const TEXT_BYTES_MAX: usize = 16 << 20;

/// Where the lines of a text begin.
pub struct Lines {
    text: String,
    starts: Vec<usize>,
}

impl Lines {
    /// The lines of a text.
    pub fn of(text: &str) -> Lines {
        let ends = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        let starts = std::iter::once(0).chain(ends.map(|(at, _)| at + 1)).collect();
        Lines { text: text.to_owned(), starts }
    }

    /// The number of the line of a byte, from 1.
    pub fn line(&self, at_byte: usize) -> usize {
        self.starts.partition_point(|start| *start <= at_byte)
    }

    /// Line and column of a byte.
    pub fn place(&self, at_byte: usize) -> Place {
        let line = self.line(at_byte);
        let start = self.starts.get(line.saturating_sub(1)).copied().unwrap_or(0);
        let before = self.text.as_bytes().get(start..at_byte.min(self.text.len())).unwrap_or_default();
        // A character is counted by its first byte, so that a byte inside of one does no harm.
        let column = 1 + before.iter().filter(|byte| **byte & 0xC0 != 0x80).count();
        Place::Line { line, column }
    }
}

/// A value and where it stands.
#[derive(Debug)]
pub struct Node {
    /// The byte at which it begins.
    pub at: usize,
    /// The value.
    pub body: Body,
}

/// A value.
#[derive(Debug)]
pub enum Body {
    /// A text in quotes.
    Text(String),
    /// A whole number.
    Whole(i64),
    /// A number with a fraction.
    Decimal(f64),
    /// true or false.
    Truth(bool),
    /// A date or a time; no key takes one.
    Date,
    /// A list.
    List(Vec<Node>),
    /// A table.
    Table(Table),
}

impl Body {
    /// What it is, for a complaint.
    pub fn noun(&self) -> &'static str {
        match self {
            Body::Text(_) => "a text",
            Body::Whole(_) => "a whole number",
            Body::Decimal(_) => "a number with a fraction",
            Body::Truth(_) => "true or false",
            Body::Date => "a date",
            Body::List(_) => "a list",
            Body::Table(_) => "a table",
        }
    }
}

/// Keys with their values, in the order of the text.
#[derive(Debug, Default)]
pub struct Table {
    /// One entry for each key.
    pub entries: Vec<Entry>,
}

impl Table {
    /// The entry of a key.
    pub fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.key == key)
    }
}

/// A key with its value.
#[derive(Debug)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// The byte at which the key begins.
    pub at: usize,
    /// The value.
    pub node: Node,
}

/// A text that is no TOML.
#[derive(Debug)]
pub struct NotToml {
    /// The byte at which it stops being TOML.
    pub at: usize,
    /// What is wrong there.
    pub what: String,
}

/// Reads a text. TOML that is broken is told by its first fault: what follows one can seldom be trusted.
pub fn parse(text: &str) -> Result<Table, NotToml> {
    if text.len() > TEXT_BYTES_MAX {
        let what =
            format!("{} bytes are too many; the longest configuration has {TEXT_BYTES_MAX}", text.len());
        return Err(NotToml { at: 0, what });
    }
    let document = Document::parse(text).map_err(|error| NotToml {
        at: error.span().map_or(0, |span| span.start),
        what: format!("this is not TOML: {}", error.message().trim().replace('\n', "; ")),
    })?;
    Ok(table_of(document.as_table(), 0))
}

/// The parser bounds the depth, so this may call itself.
fn table_of(table: &dyn TableLike, around: usize) -> Table {
    let entry = |(key, item): (&str, &Item)| {
        let span = table.key(key).and_then(toml_edit::Key::span);
        let at = span.or_else(|| item.span()).map_or(around, |span| span.start);
        Entry { key: key.to_owned(), at, node: node_of(item, at) }
    };
    Table { entries: table.iter().map(entry).collect() }
}

fn node_of(item: &Item, around: usize) -> Node {
    let at = item.span().map_or(around, |span| span.start);
    let body = match item {
        Item::Value(value) => return node_of_value(value, around),
        Item::Table(table) => Body::Table(table_of(table, at)),
        Item::ArrayOfTables(tables) => {
            Body::List(tables.iter().map(|table| node_of_table(table, at)).collect())
        }
        Item::None => Body::Table(Table::default()),
    };
    Node { at, body }
}

fn node_of_table(table: &toml_edit::Table, around: usize) -> Node {
    let at = table.span().map_or(around, |span| span.start);
    Node { at, body: Body::Table(table_of(table, at)) }
}

fn node_of_value(value: &Value, around: usize) -> Node {
    let at = value.span().map_or(around, |span| span.start);
    let body = match value {
        Value::String(text) => Body::Text(text.value().clone()),
        Value::Integer(number) => Body::Whole(*number.value()),
        Value::Float(number) => Body::Decimal(*number.value()),
        Value::Boolean(truth) => Body::Truth(*truth.value()),
        Value::Datetime(_) => Body::Date,
        Value::Array(array) => Body::List(array.iter().map(|value| node_of_value(value, at)).collect()),
        Value::InlineTable(table) => Body::Table(table_of(table, at)),
    };
    Node { at, body }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_have_lines_and_columns() {
        let lines = Lines::of("ab\nä = 1\n\nx");
        let rows = [(0, 1, 1), (2, 1, 3), (3, 2, 1), (6, 2, 3), (10, 3, 1), (11, 4, 1), (99, 4, 2)];
        for (byte, line, column) in rows {
            assert_eq!(lines.place(byte), Place::Line { line, column }, "byte {byte}");
        }
    }

    #[test]
    fn all_ways_to_write_a_table_are_one() {
        let ways = ["[a]\nb = 1", "a.b = 1", "a = { b = 1 }", "[a]\n\"b\" = 1"];
        for way in ways {
            let table = parse(way).unwrap();
            let Body::Table(a) = &table.entry("a").unwrap().node.body else { panic!("{way}") };
            assert!(matches!(a.entry("b").unwrap().node.body, Body::Whole(1)), "{way}");
        }
        for way in ["[[a]]\nb = 1\n[[a]]", "a = [{ b = 1 }, {}]"] {
            let table = parse(way).unwrap();
            let Body::List(list) = &table.entry("a").unwrap().node.body else { panic!("{way}") };
            assert!(list.iter().all(|node| matches!(node.body, Body::Table(_))), "{way}");
            assert_eq!(list.len(), 2);
        }
    }

    #[test]
    fn depth_is_bounded() {
        for deep in ["[".repeat(100_000), "a.".repeat(100_000), format!("[{}a]", "a.".repeat(100_000))] {
            assert!(parse(&format!("x = {deep}")).is_err());
            assert!(parse(&deep).is_err());
        }
        assert!(parse(&"#".repeat(TEXT_BYTES_MAX + 1)).unwrap_err().what.contains("too many"));
    }
}
