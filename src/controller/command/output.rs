//! What a program writes: its lines for the log, its beginning for who asked, its last line as the reason of a
//! failure. However much it writes, only so much is kept.
//!
//! What is deliberately not here: the pipes it comes through.

/// So many bytes of what a program writes are kept to be answered.
pub const KEPT_BYTES_MAX: usize = 64 * 1024;

/// So many bytes of a line are kept; longer ones are cut.
pub const LINE_BYTES_MAX: usize = 400;

/// So many lines of one stream of one run go to the log.
pub const LINES_LOGGED_MAX: usize = 100;

/// One stream of a program's output, as it comes.
#[derive(Debug, Default)]
pub struct Output {
    /// Its beginning.
    kept: Vec<u8>,
    /// Whether there was more.
    cut: bool,
    /// The line that is not complete, up to `LINE_BYTES_MAX`.
    line: Vec<u8>,
    /// The last complete line that was not blank.
    last_line: Vec<u8>,
    /// How many lines there were.
    line_count: usize,
}

impl Output {
    /// Takes in what was read; each complete line that belongs into the log is given to `log`.
    pub fn handle_bytes(&mut self, bytes: &[u8], log: &mut (dyn FnMut(&str) + Send)) {
        let room = KEPT_BYTES_MAX - self.kept.len();
        self.kept.extend_from_slice(&bytes[..bytes.len().min(room)]);
        self.cut |= bytes.len() > room;
        let mut parts = bytes.split(|byte| matches!(byte, b'\n' | b'\r'));
        self.lengthen(parts.next().unwrap_or_default());
        for part in parts {
            self.end_line(log);
            self.lengthen(part);
        }
    }

    /// The stream is over; an incomplete line is complete now.
    pub fn handle_end(&mut self, log: &mut (dyn FnMut(&str) + Send)) {
        self.end_line(log);
    }

    /// All there was; none, if it was more than is kept.
    pub fn whole(&self) -> Option<&[u8]> {
        (!self.cut).then_some(&self.kept)
    }

    /// The last line that was not blank.
    pub fn last_line(&self) -> Option<String> {
        Some(printable(&self.last_line)).filter(|line| !line.is_empty())
    }

    fn lengthen(&mut self, part: &[u8]) {
        let room = LINE_BYTES_MAX - self.line.len();
        self.line.extend_from_slice(&part[..part.len().min(room)]);
    }

    fn end_line(&mut self, log: &mut (dyn FnMut(&str) + Send)) {
        let blank = self.line.iter().all(|byte| *byte <= b' ');
        if !blank {
            std::mem::swap(&mut self.line, &mut self.last_line);
            self.line_count = self.line_count.saturating_add(1);
        }
        self.line.clear();
        match self.line_count {
            _ if blank => {}
            count if count <= LINES_LOGGED_MAX => log(&printable(&self.last_line)),
            count if count == LINES_LOGGED_MAX + 1 => log("(it wrote more, which is left out)"),
            _ => {}
        }
    }
}

/// A line as it may be shown on any terminal: without blanks at its ends, without control characters.
fn printable(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line);
    let shown: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    shown.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The output after these pieces, and what was logged.
    fn read(pieces: &[&[u8]]) -> (Output, Vec<String>) {
        let (mut output, mut logged) = (Output::default(), Vec::new());
        let mut log = |line: &str| logged.push(line.to_owned());
        pieces.iter().for_each(|piece| output.handle_bytes(piece, &mut log));
        output.handle_end(&mut log);
        (output, logged)
    }

    #[test]
    fn lines_are_put_together_from_pieces() {
        let (output, logged) =
            read(&[b"fir", b"st\n\n  sec", b"ond \r", b"10%\r20%\r\n", b"\x1b[31mred", b"\n \n"]);
        assert_eq!(logged, ["first", "second", "10%", "20%", "[31mred"]);
        assert_eq!(output.last_line().as_deref(), Some("[31mred"));
        assert_eq!(output.whole(), Some(&b"first\n\n  second \r10%\r20%\r\n\x1b[31mred\n \n"[..]));
    }

    #[test]
    fn an_incomplete_last_line_is_a_line() {
        let (output, logged) = read(&[b"a\nb"]);
        assert_eq!(logged, ["a", "b"]);
        assert_eq!(output.last_line().as_deref(), Some("b"));
        assert!(read(&[]).0.last_line().is_none());
    }

    #[test]
    fn only_so_much_is_kept() {
        let line = [b"x".repeat(LINE_BYTES_MAX + 50), b"\n".to_vec()].concat();
        let pieces: Vec<&[u8]> = std::iter::repeat_n(line.as_slice(), 10_000).collect();
        let (output, logged) = read(&pieces);
        assert_eq!((output.kept.len(), output.whole()), (KEPT_BYTES_MAX, None));
        assert_eq!(logged.len(), LINES_LOGGED_MAX + 1);
        assert!(logged.iter().all(|line| line.len() <= LINE_BYTES_MAX));
        assert_eq!(output.last_line().unwrap().len(), LINE_BYTES_MAX);
        assert!(output.line.capacity() <= 2 * LINE_BYTES_MAX);
    }

    #[test]
    fn exactly_as_much_as_is_kept_is_whole() {
        let all = b"y".repeat(KEPT_BYTES_MAX);
        assert_eq!(read(&[&all]).0.whole(), Some(all.as_slice()));
        assert_eq!(read(&[&all, b"y"]).0.whole(), None);
    }
}
