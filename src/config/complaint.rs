//! What is wrong with a configuration, and where: a complaint each, all of them at once.

use super::raw::Lines;
use std::fmt;

/// So many complaints are listed; what comes after them is only counted.
pub const COMPLAINTS_MAX: usize = 100;

/// Letters of a word that are compared when the nearest known one is sought.
const COMPARED_CHARS_MAX: usize = 64;

/// Where a value was written.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// In the file.
    Line {
        /// The line, from 1.
        line: usize,
        /// The character in the line, from 1.
        column: usize,
    },
    /// In this variable of the environment.
    Environment(String),
    /// By this flag of the command line.
    Flag(String),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Line { line, column } => write!(f, "{line}:{column}"),
            Place::Environment(name) | Place::Flag(name) => f.pad(name),
        }
    }
}

/// One thing that is wrong, or worth a warning.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Complaint {
    /// Where it is written.
    pub at: Place,
    /// The key, with its section; empty when it is about the text as a whole.
    pub key: String,
    /// What is wrong, and what would be right.
    pub what: String,
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.key.as_str() {
            "" => write!(f, "{}: {}", self.at, self.what),
            key => write!(f, "{}: {key}: {}", self.at, self.what),
        }
    }
}

/// Gathers complaints and warnings while the text is walked.
pub struct Complaints<'a> {
    lines: &'a Lines,
    complaints: Vec<Complaint>,
    warnings: Vec<Complaint>,
    unlisted: usize,
}

impl<'a> Complaints<'a> {
    /// None yet, about a text with these lines.
    pub fn new(lines: &'a Lines) -> Complaints<'a> {
        Complaints { lines, complaints: Vec::new(), warnings: Vec::new(), unlisted: 0 }
    }

    /// The lines of the text.
    pub fn lines(&self) -> &'a Lines {
        self.lines
    }

    /// Something at this byte of the text is wrong.
    pub fn add(&mut self, at_byte: usize, key: impl Into<String>, what: impl Into<String>) {
        // The place is reckoned only for what is listed: counting columns in one endless line takes its time.
        if self.complaints.len() < COMPLAINTS_MAX {
            self.add_at(self.lines.place(at_byte), key, what);
        } else {
            self.unlisted += 1;
        }
    }

    /// A key at this byte is not known. What to say of it takes a search, which is made only for what is listed.
    pub fn add_unknown(&mut self, at_byte: usize, key: impl Into<String>, what: impl FnOnce() -> String) {
        let what = if self.complaints.len() < COMPLAINTS_MAX { what() } else { String::new() };
        self.add(at_byte, key, what);
    }

    /// Something at this place is wrong.
    pub fn add_at(&mut self, at: Place, key: impl Into<String>, what: impl Into<String>) {
        if self.complaints.len() < COMPLAINTS_MAX {
            self.complaints.push(Complaint { at, key: key.into(), what: what.into() });
        } else {
            self.unlisted += 1;
        }
    }

    /// Something at this byte of the text is allowed and yet odd.
    pub fn warn(&mut self, at_byte: usize, key: impl Into<String>, what: impl Into<String>) {
        if self.warnings.len() < COMPLAINTS_MAX {
            self.warn_at(self.lines.place(at_byte), key, what);
        }
    }

    /// Something at this place is allowed and yet odd.
    pub fn warn_at(&mut self, at: Place, key: impl Into<String>, what: impl Into<String>) {
        if self.warnings.len() < COMPLAINTS_MAX {
            self.warnings.push(Complaint { at, key: key.into(), what: what.into() });
        }
    }

    /// Hands out the warnings, or all complaints in the order of the text when there are any.
    pub fn finish(mut self) -> Result<Vec<Complaint>, Vec<Complaint>> {
        if self.complaints.is_empty() {
            self.warnings.sort();
            return Ok(self.warnings);
        }
        self.complaints.sort();
        if let Some(last) = self.complaints.last().filter(|_| self.unlisted > 0) {
            let what = format!("{} more complaints are not listed", self.unlisted);
            self.complaints.push(Complaint { at: last.at.clone(), key: String::new(), what });
        }
        Err(self.complaints)
    }
}

/// The known word that takes the fewest steps from this one, and how many; the first of several equal ones.
pub fn nearest<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> Option<(&'k str, usize)> {
    let steps = known.into_iter().map(|candidate| (candidate, distance(word, candidate)));
    steps.min_by_key(|(_, steps)| *steps)
}

/// In how many steps one word becomes the other; a step adds, drops or changes a letter, or swaps two neighbours.
pub fn distance(from: &str, to: &str) -> usize {
    let from: Vec<char> = from.chars().take(COMPARED_CHARS_MAX).collect();
    let to: Vec<char> = to.chars().take(COMPARED_CHARS_MAX).collect();
    let mut rows: Vec<Vec<usize>> = vec![(0..=to.len()).collect()];
    for (i, a) in from.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, b) in to.iter().enumerate() {
            let changed = rows[i][j] + usize::from(a != b);
            let mut least = changed.min(rows[i][j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *a == to[j - 1] && from[i - 1] == *b {
                least = least.min(rows[i - 1][j - 1] + 1);
            }
            row.push(least);
        }
        rows.push(row);
    }
    rows[from.len()][to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_between_words_are_counted() {
        let rows = [
            ("", "", 0),
            ("", "abc", 3),
            ("listen", "listen", 0),
            ("listn", "listen", 1),
            ("litsen", "listen", 1),
            ("width", "height", 4),
            ("ä", "a", 1),
        ];
        for (from, to, steps) in rows {
            assert_eq!(distance(from, to), steps, "{from} {to}");
            assert_eq!(distance(to, from), steps, "{to} {from}");
        }
    }

    #[test]
    fn the_nearest_of_several_is_the_first_of_the_best() {
        assert_eq!(nearest("shpae", ["name", "shape", "share"]), Some(("shape", 1)));
        assert_eq!(nearest("sha_e", ["share", "shape"]), Some(("share", 1)));
        assert_eq!(nearest("x", []), None);
    }

    #[test]
    fn complaints_beyond_the_most_are_counted() {
        let lines = Lines::of("a\nb\n");
        let mut complaints = Complaints::new(&lines);
        for _ in 0..COMPLAINTS_MAX + 7 {
            complaints.add(2, "b", "odd");
        }
        let listed = complaints.finish().unwrap_err();
        assert_eq!(listed.len(), COMPLAINTS_MAX + 1);
        assert_eq!(listed[0].to_string(), "2:1: b: odd");
        assert_eq!(listed[COMPLAINTS_MAX].to_string(), "2:1: 7 more complaints are not listed");
    }
}
