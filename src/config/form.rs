//! Reads the keys of one table of a machine and complains of what is wrong with them.

use super::complaint::Complaints;
use super::key::{Kind, Value, count};
use super::machine::MACHINE_PATHS;
use super::raw::{Body, Entry, Node, Table};
use super::settings::unknown;
use crate::allocator::{Torus, Triad};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Reads the keys of one table, and complains.
pub struct Form<'t, 'c, 'l> {
    /// The section, for complaints.
    pub section: &'static str,
    /// The table.
    pub table: &'t Table,
    /// The byte at which the table begins, for what is missing.
    pub at: usize,
    /// Where complaints go.
    pub complaints: &'c mut Complaints<'l>,
}

impl<'t> Form<'t, '_, '_> {
    /// Complains about a place in the text.
    pub fn complain(&mut self, at: usize, key: &str, what: impl Into<String>) {
        self.complaints.add(at, format!("{}.{key}", self.section), what);
    }

    /// Complains about every key that is not in the schema.
    pub fn refuse_unknown(&mut self) {
        let (section, table) = (self.section, self.table);
        let here = |path: &&'static str| path.strip_prefix(section).and_then(|path| path.strip_prefix('.'));
        let known = || MACHINE_PATHS.iter().filter_map(here).filter(|name| !name.contains('.'));
        let is_known = |entry: &Entry| known().any(|known| known == entry.key);
        for entry in table.entries.iter().filter(|entry| !is_known(entry)) {
            let what = || unknown(&entry.key, known(), MACHINE_PATHS.iter().copied());
            self.complaints.add_unknown(entry.at, format!("{section}.{}", entry.key), what);
        }
    }

    /// The value of a key, when it is written and right.
    pub fn value(&mut self, key: &str, kind: Kind) -> Option<Value> {
        let node = &self.table.entry(key)?.node;
        kind.read(&node.body).map_err(|what| self.complain(node.at, key, what)).ok()
    }

    /// A text.
    pub fn text(&mut self, key: &str, kind: Kind) -> Option<String> {
        self.value(key, kind).and_then(|value| match value {
            Value::Text(text) => Some(text),
            _ => None,
        })
    }

    /// A count, or a time in milliseconds.
    pub fn number(&mut self, key: &str, kind: Kind) -> Option<u64> {
        self.value(key, kind).and_then(|value| match value {
            Value::Count(number) | Value::Millis(number) => Some(number),
            _ => None,
        })
    }

    /// A number that fits 32 bits by its kind.
    pub fn small(&mut self, key: &str, min: u32, max: u32) -> Option<u32> {
        self.number(key, count(min.into(), max.into())).and_then(|number| u32::try_from(number).ok())
    }

    /// Complains when a key is not written.
    pub fn require(&mut self, key: &str, why: &str) {
        if self.table.entry(key).is_none() {
            self.complain(self.at, key, why);
        }
    }

    /// A list, empty when it is not written or is none.
    pub fn list(&mut self, key: &str) -> &'t [Node] {
        let Some(entry) = self.table.entry(key) else { return &[] };
        match &entry.node.body {
            Body::List(list) => list,
            other => {
                self.complain(entry.node.at, key, format!("needs a list, not {}", other.noun()));
                &[]
            }
        }
    }

    /// A list of names, none of them twice.
    pub fn names(&mut self, key: &str) -> Option<Vec<Arc<str>>> {
        let entry = self.table.entry(key)?;
        let (mut names, mut seen) = (Vec::new(), BTreeSet::new());
        for node in self.list(key) {
            match Kind::Name.read(&node.body) {
                Ok(Value::Text(name)) if seen.insert(name.clone()) => names.push(name.into()),
                Ok(_) => self.complain(node.at, key, "named twice"),
                Err(what) => self.complain(node.at, key, what),
            }
        }
        matches!(entry.node.body, Body::List(_)).then_some(names)
    }

    /// A list of boards of a machine of triads, none of them twice.
    pub fn triads(&mut self, key: &str, torus: Torus) -> Vec<Triad> {
        let (mut boards, mut seen) = (Vec::new(), BTreeSet::new());
        for node in self.list(key) {
            match read_triad(node, torus) {
                Ok(board) if seen.insert(board) => boards.push(board),
                Ok(_) => self.complain(node.at, key, "named twice"),
                Err(what) => self.complain(node.at, key, what),
            }
        }
        boards
    }
}

/// A list of exactly so many numbers.
pub fn read_numbers<const N: usize>(node: &Node, form: &str) -> Result<[u32; N], String> {
    let wrong = || format!("needs {form}");
    let Body::List(list) = &node.body else { return Err(format!("{}, not {}", wrong(), node.body.noun())) };
    let number = |node: &Node| match node.body {
        Body::Whole(number) => u32::try_from(number).ok(),
        _ => None,
    };
    let numbers: Option<Vec<u32>> = list.iter().take(N + 1).map(number).collect();
    numbers.and_then(|numbers| numbers.try_into().ok()).ok_or_else(wrong)
}

/// A board of a machine, as `[x, y, z]`.
pub fn read_triad(node: &Node, torus: Torus) -> Result<Triad, String> {
    read_numbers(node, "[x, y, z]").and_then(|[x, y, z]| inside(Triad { x, y, z }, torus))
}

/// The board, when the machine has it.
pub fn inside(board: Triad, torus: Torus) -> Result<Triad, String> {
    let Triad { x, y, z } = board;
    let Torus { width, height } = torus;
    match torus.index_within(board) {
        Some(_) => Ok(board),
        None => Err(format!("[{x}, {y}, {z}] is not on a machine of {width} x {height} triads of 3 boards")),
    }
}
