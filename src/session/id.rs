//! The id of a session: 128 random bits that whoever knows them may speak with, so they are guarded like a password.
//!
//! How an id may be looked up in a table although that takes a time that depends on the key:
//! - What is kept was made by this server from the operating system's randomness; nobody outside chooses where it lies.
//! - The place in the table depends on a hash with a seed that is drawn at each start (foldhash). The time of a look-up
//!   can at most tell whether some kept id shares a few bits of that hash, which says nothing about its other bits.
//! - Whole ids are compared without a branch on their bits, so no id can be guessed piece by piece.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::hint::black_box;
use std::str::FromStr;
use uuid::Uuid;

/// The id of a session.
#[derive(Clone, Copy)]
pub struct SessionId(u128);

impl SessionId {
    /// Digits of an id as text.
    pub const DIGITS: usize = 32;

    /// The id made of 128 bits, which the caller got from the operating system (a version 4 UUID).
    pub fn new(random: Uuid) -> SessionId {
        SessionId(random.as_u128())
    }

    /// The bits, for the journal and for lists in a fixed order; never for a comparison with what a caller sent.
    pub fn to_bits(self) -> u128 {
        self.0
    }

    /// The id with these bits, read back from the journal.
    pub fn from_bits(bits: u128) -> SessionId {
        SessionId(bits)
    }
}

impl PartialEq for SessionId {
    /// In constant time: the difference is built whole before anything is decided.
    fn eq(&self, other: &SessionId) -> bool {
        black_box(self.0 ^ other.0) == 0
    }
}

impl Eq for SessionId {}

impl Hash for SessionId {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u128(self.0);
    }
}

/// Text that is not a session id: 32 hexadecimal digits and nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoSessionId;

impl FromStr for SessionId {
    type Err = NoSessionId;

    /// Takes capital letters too, but no sign, dash, brace or space.
    fn from_str(text: &str) -> Result<SessionId, NoSessionId> {
        let well_formed = text.len() == Self::DIGITS && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !well_formed {
            return Err(NoSessionId);
        }
        u128::from_str_radix(text, 16).map(SessionId).map_err(|_| NoSessionId)
    }
}

impl fmt::Display for SessionId {
    /// 32 lower-case digits, as they go over the wire.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for SessionId {
    /// The first eight digits only: enough to follow a session through a log, too little to speak with.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}..", self.0 >> 96)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "00c0ffee123456789abcdef01234567f";

    #[test]
    fn an_id_is_read_and_written() {
        let id: SessionId = TEXT.parse().unwrap();
        assert_eq!(id.to_string(), TEXT);
        assert_eq!(TEXT.to_uppercase().parse(), Ok(id));
        assert_eq!(SessionId::new(Uuid::parse_str(TEXT).unwrap()), id);
        assert_eq!(SessionId::from_bits(id.to_bits()), id);
        assert_eq!(format!("{id:?}"), "00c0ffee..");
    }

    #[test]
    fn nearly_an_id_is_refused() {
        let rows = [
            "",
            " ",
            &TEXT[1..],
            &format!("{TEXT}0"),
            &format!("+{}", &TEXT[1..]),
            &format!(" {}", &TEXT[1..]),
            &format!("g{}", &TEXT[1..]),
            &format!("{}é", &TEXT[2..]),
            "00c0ffee-1234-5678-9abc-def01234567f",
            "0x00c0ffee123456789abcdef01234567f",
        ];
        for text in rows {
            assert_eq!(text.parse::<SessionId>(), Err(NoSessionId), "{text:?}");
        }
    }

    #[test]
    fn ids_that_differ_in_one_bit_differ() {
        let id = SessionId(0x1234);
        assert_eq!(id, SessionId(0x1234));
        for bit in 0..128 {
            assert_ne!(id, SessionId(0x1234 ^ (1 << bit)));
        }
    }
}
