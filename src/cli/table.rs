//! Text for people: aligned tables, colours where they are welcome, and nothing in it that could command a terminal.

use crate::clock::Moment;
use std::io::IsTerminal;

/// Lines of cells under a heading.
pub struct Table {
    columns: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these columns and no lines.
    pub fn new(columns: &'static [&'static str]) -> Table {
        Table { columns: columns.to_vec(), rows: Vec::new() }
    }

    /// Adds a line; a cell without text shows a dash.
    pub fn push<const N: usize>(&mut self, cells: [String; N]) {
        debug_assert_eq!(N, self.columns.len());
        let cells = cells.map(|cell| if cell.is_empty() { "-".to_owned() } else { plain(&cell) });
        self.rows.push(cells.into());
    }

    /// Keeps only some of the columns.
    pub fn keep(&mut self, is_kept: impl Fn(&str) -> bool) {
        let kept: Vec<_> = self.columns.iter().map(|column| is_kept(column)).collect();
        for row in &mut self.rows {
            let mut kept = kept.iter();
            row.retain(|_| kept.next().is_none_or(|kept| *kept));
        }
        self.columns.retain(|column| is_kept(column));
    }

    /// The table as text. The last column is not padded.
    pub fn render(&self, colours: bool) -> String {
        let mut widths: Vec<_> = self.columns.iter().map(|name| name.len()).collect();
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        let heading: Vec<_> = self.columns.iter().map(|name| (*name).to_owned()).collect();
        let mut text = line(&heading, &widths, |_| colours.then_some(BOLD));
        for row in &self.rows {
            text.push_str(&line(row, &widths, |cell| colour(cell).filter(|_| colours)));
        }
        text
    }
}

const BOLD: &str = "1";
const GREEN: &str = "32";
const YELLOW: &str = "33";
const RED: &str = "31";

/// The colour of a state.
fn colour(cell: &str) -> Option<&'static str> {
    match cell {
        "ready" | "free" => Some(GREEN),
        "queued" | "power" | "cleaning" | "maintenance" => Some(YELLOW),
        "destroyed" | "quarantined" | "dead" | "offline" => Some(RED),
        _ => None,
    }
}

fn line(cells: &[String], widths: &[usize], paint: impl Fn(&str) -> Option<&'static str>) -> String {
    let mut text = String::new();
    for (at, (cell, width)) in cells.iter().zip(widths).enumerate() {
        let last = at + 1 == cells.len();
        match paint(cell) {
            Some(colour) => text.push_str(&format!("\x1b[{colour}m{cell}\x1b[0m")),
            None => text.push_str(cell),
        }
        if !last {
            text.push_str(&" ".repeat(width.saturating_sub(cell.chars().count()) + 2));
        }
    }
    text.push('\n');
    text
}

/// Text on one line, with nothing in it that a terminal would obey: others wrote it.
pub fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() || is_steering(c) { '\u{fffd}' } else { c }).collect()
}

/// Characters that turn the direction of the text around them.
fn is_steering(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Whether colours are welcome on standard output.
pub fn colours_welcome() -> bool {
    let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let dumb = std::env::var_os("TERM").is_none_or(|value| value == "dumb");
    std::io::stdout().is_terminal() && !refused && !dumb
}

/// A time in seconds since 1970 as people read it: ISO 8601 in UTC, to the second.
pub fn time_text(unix_s: f64) -> String {
    let text = Moment((unix_s.max(0.0) * 1000.0) as u64).to_string();
    match text.split_once('.') {
        Some((seconds, _)) => format!("{seconds}Z"),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_cells_are_plain() {
        let mut table = Table::new(&["JOB", "STATE", "NOTE"]);
        table.push(["7".to_owned(), "ready".to_owned(), String::new()]);
        table.push(["12345".to_owned(), "queued".to_owned(), "a\x1b[2Jb\nc\u{202e}".to_owned()]);
        let text = table.render(false);
        assert_eq!(
            text,
            "JOB    STATE   NOTE\n7      ready   -\n12345  queued  a\u{fffd}[2Jb\u{fffd}c\u{fffd}\n"
        );
        let painted = table.render(true);
        assert!(painted.contains("\x1b[32mready\x1b[0m   -\n"), "{painted:?}");
        assert!(painted.starts_with("\x1b[1mJOB\x1b[0m    "));
    }

    #[test]
    fn times_are_iso_8601() {
        assert_eq!(time_text(1_795_270_088.9), "2026-11-21T14:08:08Z");
        assert_eq!(time_text(-1.0), "1970-01-01T00:00:00Z");
    }
}
