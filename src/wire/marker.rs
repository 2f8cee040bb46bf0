//! The five bytes that end a frame, and looking for them in bytes that come piece by piece.

use memchr::memchr;

/// What ends a frame. No proper beginning of it is also an end of it, so a search never has to step back.
pub const MARKER: &[u8; 5] = b"<EOF>";

/// The marker as a `Tail` has it.
const TAIL_OF_MARKER: u64 = 0x3c_45_4f_46_3e;
/// The bits of a `Tail` in use.
const TAIL_MASK: u64 = 0xff_ff_ff_ff_ff;

/// The last five bytes of all that came, the newest lowest.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tail(u64);

impl Tail {
    /// The tail when some more bytes have come.
    pub fn after(self, bytes: &[u8]) -> Tail {
        let newest = &bytes[bytes.len().saturating_sub(MARKER.len())..];
        Tail(newest.iter().fold(self.0, |tail, byte| (tail << 8 | u64::from(*byte)) & TAIL_MASK))
    }

    /// Whether it is a marker.
    pub fn is_marker(self) -> bool {
        self.0 == TAIL_OF_MARKER
    }

    /// How many bytes of a marker it ends with.
    pub fn marker_bytes(self) -> usize {
        let ends_with = |bytes: &usize| {
            let mask = TAIL_MASK >> (40 - 8 * bytes);
            self.0 & mask == TAIL_OF_MARKER >> (40 - 8 * bytes)
        };
        (1..=MARKER.len()).rev().find(ends_with).unwrap_or(0)
    }
}

/// Looks for the end of the marker, `matched` bytes of which have been seen before the input.
pub(super) fn find_marker(matched: &mut usize, input: &[u8]) -> Option<usize> {
    let mut at = 0;
    while at < input.len() {
        if *matched == 0 {
            at += memchr(MARKER[0], &input[at..])?;
        }
        if input[at] == MARKER[*matched] {
            *matched += 1;
            at += 1;
            if *matched == MARKER.len() {
                *matched = 0;
                return Some(at);
            }
        } else {
            *matched = 0;
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marker_is_found_across_pieces() {
        for text in ["<EOF>", "x<EOF>", "<<EOF>", "<E<EO<EOF>", "<EOF<EOF>", ">FOE<EOF>"] {
            for at in 0..text.len() {
                let (front, back) = text.as_bytes().split_at(at);
                let mut matched = 0;
                assert_eq!(find_marker(&mut matched, front), None);
                assert_eq!(Tail::default().after(front).marker_bytes(), matched, "{text} {at}");
                assert_eq!(find_marker(&mut matched, back), Some(back.len()), "{text} {at}");
            }
        }
    }

    #[test]
    fn a_tail_is_the_last_five_bytes() {
        assert!(Tail::default().after(b"..<EO").after(b"").after(b"F>").is_marker());
        assert!(!Tail::default().after(b"<EOF>.").is_marker());
        assert_eq!(Tail::default().after(b"<EOF>").marker_bytes(), 5);
        assert_eq!(Tail::default().after(b"<EOF>").after(b"<").marker_bytes(), 1);
        assert_eq!(Tail::default().marker_bytes(), 0);
    }
}
