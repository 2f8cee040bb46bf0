//! Bytes into lines, each read once, none longer than allowed.

/// A peer's bytes until they are lines.
#[derive(Debug, Default)]
pub struct Lines {
    bytes: Vec<u8>,
    /// Where the next line begins.
    start: usize,
    /// Up to here no line ends.
    searched: usize,
}

/// A line that is longer than allowed; nothing after it can be understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLong;

/// A buffer that grew beyond this is given back once it is empty.
const BYTES_KEPT: usize = 4 * 1024;

impl Lines {
    /// Takes in bytes that were read.
    pub fn feed(&mut self, bytes: &[u8]) {
        if self.start > 0 {
            self.bytes.drain(..self.start);
            self.searched -= self.start;
            self.start = 0;
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// The next whole line without its end; none until more bytes come.
    pub fn pop(&mut self, bytes_max: usize) -> Option<Result<&[u8], TooLong>> {
        let rest = self.bytes.get(self.searched..).unwrap_or_default();
        let Some(found) = memchr::memchr(b'\n', rest) else {
            self.searched = self.bytes.len();
            if self.waiting() > bytes_max {
                return Some(Err(TooLong));
            }
            if self.waiting() == 0 {
                self.clear();
            }
            return None;
        };
        let (start, end) = (self.start, self.searched + found);
        (self.start, self.searched) = (end + 1, end + 1);
        match end - start > bytes_max {
            true => Some(Err(TooLong)),
            false => self.bytes.get(start..end).map(Ok),
        }
    }

    /// Passes over lines in which nothing stands.
    pub fn skip_blank(&mut self) {
        let rest = self.bytes.get(self.start..).unwrap_or_default();
        self.start += rest.iter().take_while(|byte| **byte == b'\n').count();
        self.searched = self.searched.max(self.start);
    }

    /// Whether a whole line is there.
    pub fn has_line(&mut self) -> bool {
        let found = memchr::memchr(b'\n', self.bytes.get(self.searched..).unwrap_or_default());
        self.searched = found.map_or(self.bytes.len(), |found| self.searched + found);
        found.is_some()
    }

    /// How many bytes were not taken as lines.
    pub fn waiting(&self) -> usize {
        self.bytes.len() - self.start
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.bytes.clear();
        (self.start, self.searched) = (0, 0);
        if self.bytes.capacity() > BYTES_KEPT {
            self.bytes = Vec::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn popped(lines: &mut Lines, max: usize) -> Vec<Result<String, TooLong>> {
        let mut all = Vec::new();
        while let Some(line) = lines.pop(max) {
            all.push(line.map(|line| String::from_utf8_lossy(line).into_owned()));
            if all.last() == Some(&Err(TooLong)) {
                break;
            }
        }
        all
    }

    #[test]
    fn lines_come_out_however_the_bytes_come_in() {
        let text = b"one\n\ntwo\r\nthree\nrest";
        for step in 1..text.len() {
            let (mut lines, mut all) = (Lines::default(), Vec::new());
            for part in text.chunks(step) {
                lines.feed(part);
                all.extend(popped(&mut lines, 100));
            }
            assert_eq!(all, ["one", "", "two\r", "three"].map(|line| Ok(line.to_owned())), "{step}");
            assert_eq!(lines.waiting(), 4);
        }
    }

    #[test]
    fn a_line_is_never_longer_than_allowed() {
        let mut lines = Lines::default();
        lines.feed(b"1234\n12345\n");
        assert_eq!(popped(&mut lines, 4), [Ok("1234".to_owned()), Err(TooLong)]);
        let mut lines = Lines::default();
        lines.feed(b"1234");
        assert_eq!(popped(&mut lines, 4), []);
        assert!(!lines.has_line());
        lines.feed(b"5");
        assert_eq!(popped(&mut lines, 4), [Err(TooLong)]);
    }

    #[test]
    fn lines_with_nothing_in_them_are_passed_over() {
        let mut lines = Lines::default();
        lines.feed(b"\n\none\n\n");
        lines.skip_blank();
        assert_eq!(lines.pop(9), Some(Ok(&b"one"[..])));
        assert!(lines.has_line());
        lines.skip_blank();
        assert!(!lines.has_line());
        lines.feed(b"t\n");
        assert_eq!(popped(&mut lines, 9), [Ok("t".to_owned())]);
    }

    #[test]
    fn a_line_can_be_seen_before_it_is_taken() {
        let mut lines = Lines::default();
        lines.feed(b"ab");
        assert!(!lines.has_line());
        lines.feed(b"c\nd");
        assert!(lines.has_line() && lines.has_line());
        assert_eq!(popped(&mut lines, 9), [Ok("abc".to_owned())]);
        assert!(!lines.has_line());
    }
}
