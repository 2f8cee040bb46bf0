//! What every core and every BMP answers to "who are you".
//!
//! | offset | bytes | field of a chip's core | of a BMP |
//! |---|---|---|---|
//! | 0 | 1 | virtual core | board number |
//! | 1 | 1 | physical core | position on the CAN bus |
//! | 2 | 1 | y of the chip | frame number |
//! | 3 | 1 | x of the chip | which 64 KiB block of flash it booted from |
//! | 4 | 2 | bytes of its buffers, low byte first: 256 | same |
//! | 6 | 2 | 0xFFFF, or in old firmware the version times 100, low byte first | same |
//! | 8 | 4 | when it was built, in seconds since 1970, low byte first | same |
//! | 12 | | name `/` hardware NUL, then version NUL (not in old firmware) | same |

use super::PacketError;
use super::bytes::Reader;
use super::sdp::Chip;

/// The version field of today's firmware, which says the version in words.
const IN_WORDS: u16 = 0xFFFF;

/// A version, and who has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Version<'a> {
    /// The virtual core that answers; of a BMP, the board's number in its frame.
    pub core: u8,
    /// The physical core that answers; of a BMP, its position on the CAN bus.
    pub physical_core: u8,
    /// The chip that answers, 255,255 while its machine wakes up; of a BMP, flash block (x) and frame (y).
    pub chip: Chip,
    /// Bytes of the largest piece of memory it sends or takes.
    pub buffer_bytes: u16,
    /// When it was built, in seconds since 1970.
    pub built_s: u32,
    /// What runs there, `SC&MP` for example.
    pub name: &'a str,
    /// On what hardware.
    pub hardware: &'a str,
    /// Which release.
    pub release: Release<'a>,
}

/// A release, as it was said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Release<'a> {
    /// In words: `4.0.0`, perhaps with a suffix.
    Words(&'a str),
    /// In hundredths, by old firmware: 133 is 1.33.
    Hundredths(u16),
}

impl Release<'_> {
    /// Major, minor and patch; `None` for words that have not three numbers in front.
    pub fn numbers(&self) -> Option<[u32; 3]> {
        match self {
            Release::Hundredths(number) => Some([u32::from(number / 100), u32::from(number % 100), 0]),
            Release::Words(words) => {
                let mut parts = words.splitn(3, '.').map(leading_number);
                Some([parts.next()??, parts.next()??, parts.next()??])
            }
        }
    }
}

fn leading_number(text: &str) -> Option<u32> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    text.get(..digits)?.parse().ok()
}

impl<'a> Version<'a> {
    /// Bytes before the words.
    pub const FIXED_BYTES: usize = 12;

    /// Appends the body of a reply.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let (number, words) = match self.release {
            Release::Words(words) => (IN_WORDS, Some(words)),
            Release::Hundredths(number) => (number, None),
        };
        out.extend([self.core, self.physical_core, self.chip.y, self.chip.x]);
        out.extend(self.buffer_bytes.to_le_bytes());
        out.extend(number.to_le_bytes());
        out.extend(self.built_s.to_le_bytes());
        for text in [self.name, "/", self.hardware, "\0"].into_iter().chain(words).chain(words.map(|_| "\0"))
        {
            out.extend(text.as_bytes());
        }
    }

    /// Reads the body of a reply.
    pub fn decode(body: &'a [u8]) -> Result<Version<'a>, PacketError> {
        let mut reader = Reader::new(body);
        let [core, physical_core, y, x] = reader.array()?;
        let (buffer_bytes, number, built_s) = (reader.u16()?, reader.u16()?, reader.u32()?);
        let (first, rest) = terminated(reader.rest(), "name and hardware")?;
        let (name, hardware) = first.split_once('/').ok_or(PacketError::NotText { field: "hardware" })?;
        let release = match number {
            IN_WORDS => Release::Words(terminated(rest, "version")?.0),
            number => Release::Hundredths(number),
        };
        let chip = Chip { x, y };
        Ok(Version { core, physical_core, chip, buffer_bytes, built_s, name, hardware, release })
    }
}

/// The text before the next NUL, and what follows that.
fn terminated<'a>(bytes: &'a [u8], field: &'static str) -> Result<(&'a str, &'a [u8]), PacketError> {
    let end = bytes.iter().position(|byte| *byte == 0).ok_or(PacketError::NotText { field })?;
    let (text, rest) = bytes.split_at(end);
    let text = std::str::from_utf8(text).map_err(|_| PacketError::NotText { field })?;
    Ok((text, rest.get(1..).unwrap_or_default()))
}
