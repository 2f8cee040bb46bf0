//! Reads the configuration of spalloc_server, which is a program in Python, and writes a config.toml that says the same.
//!
//! The program is read and never run: literals, names, containers, comprehensions, a little arithmetic and the names that
//! its server puts in scope have a meaning here, and nothing else has. What has none is named with its place and the
//! reading goes on; what came of it is `Unknown` from then on, so that it is known in the end whether it mattered.
//!
//! Reading order: `token` (letters to words), `syntax` (words to expressions), `value`, `evaluate` (expressions to values),
//! `call` (the functions that are known), `program` (statement after statement), `machine` (what a machine is, with the
//! checks of its server and those of ours), `write` (the config.toml). Deliberately not here: opening files. The one
//! function that reads a file, a table of places, is given its contents by the caller.

mod call;
mod evaluate;
mod machine;
mod program;
mod syntax;
mod token;
mod value;
mod write;

#[cfg(test)]
mod tests;

use super::complaint::Place;
use super::raw::{Lines, TEXT_BYTES_MAX};
use std::fmt;

/// So many things that were not understood are remembered; what comes after them is only counted.
const UNREAD_MAX: usize = 100;

/// Something that was not understood, or that cannot be in a lab of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unread {
    /// Where it stands.
    pub at: Place,
    /// What it is.
    pub what: String,
    /// Whether the configuration needs it.
    pub matters: bool,
}

impl fmt::Display for Unread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let note = if self.matters { "" } else { "note: " };
        let end = if self.matters { "" } else { " (nothing in the configuration needs it)" };
        write!(f, "{}: {note}{}{end}", self.at, self.what)
    }
}

/// What came of reading a configuration.
#[derive(Clone, Debug)]
pub struct Import {
    /// The config.toml; as much of it as was understood.
    pub config: String,
    /// What was not understood, in the order of the text.
    pub unread: Vec<Unread>,
}

impl Import {
    /// Whether nothing that matters was left out.
    pub fn is_whole(&self) -> bool {
        !self.unread.iter().any(|unread| unread.matters)
    }
}

/// Reads a configuration of spalloc_server. `name` is what the text is called, for a comment; `file` answers the
/// contents of the files it names, or why there are none.
pub fn import_spalloc(text: &str, name: &str, file: &dyn Fn(&str) -> Result<String, String>) -> Import {
    if text.len() > TEXT_BYTES_MAX {
        let what = format!("{} bytes are too many; the longest text has {TEXT_BYTES_MAX}", text.len());
        let unread = Unread { at: Place::Line { line: 1, column: 1 }, what, matters: true };
        return Import { config: String::new(), unread: vec![unread] };
    }
    let mut doubts = Doubts::default();
    let outcome = program::run(text, file, &mut doubts);
    let config = write::write(&outcome, name);
    Import { config, unread: doubts.finish(&Lines::of(text)) }
}

/// The number of a doubt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct DoubtId(u32);

/// What was not understood so far.
#[derive(Default)]
struct Doubts {
    rows: Vec<(usize, String, bool)>,
    more: usize,
    /// Whether one of those that are only counted matters.
    more_matter: bool,
}

impl Doubts {
    /// Writes one down; it matters once somebody needs what it stands for.
    fn add(&mut self, at: usize, what: impl Into<String>) -> DoubtId {
        if self.rows.len() < UNREAD_MAX {
            self.rows.push((at, what.into(), false));
        } else {
            self.more += 1;
        }
        DoubtId((self.rows.len() + self.more - 1) as u32)
    }

    /// Writes one down that matters by itself.
    fn add_grave(&mut self, at: usize, what: impl Into<String>) {
        let id = self.add(at, what);
        self.need(id);
    }

    /// Somebody needs it.
    fn need(&mut self, id: DoubtId) {
        match self.rows.get_mut(id.0 as usize) {
            Some(row) => row.2 = true,
            None => self.more_matter = true,
        }
    }

    fn finish(mut self, lines: &Lines) -> Vec<Unread> {
        self.rows.sort();
        // One place can be walked several times, by a comprehension for one.
        self.rows.dedup_by(|b, a| {
            let same = (a.0, &a.1) == (b.0, &b.1);
            a.2 |= same && b.2;
            same
        });
        let last = self.rows.last().map_or(0, |row| row.0);
        let unread =
            |(at, what, matters): (usize, String, bool)| Unread { at: lines.place(at), what, matters };
        let mut all: Vec<Unread> = self.rows.into_iter().map(unread).collect();
        if self.more > 0 {
            let what = format!("and {} more things that were not understood", self.more);
            all.push(Unread { at: lines.place(last), what, matters: self.more_matter });
        }
        all
    }
}
