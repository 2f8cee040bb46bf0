//! The boot protocol, which wakes a board: an image, cut into blocks, to a ROM that never answers.
//!
//! A message, a whole datagram **without padding**, big-endian:
//!
//! | offset | bytes | field | order |
//! |---|---|---|---|
//! | 0 | 2 | protocol version, 1 | high byte first |
//! | 2 | 4 | opcode | high byte first |
//! | 6 | 4 | operand 1 | high byte first |
//! | 10 | 4 | operand 2 | high byte first |
//! | 14 | 4 | operand 3 | high byte first |
//! | 18 | 0 to 1024 | data, whole words | **each word high byte first**, though images hold them low byte first |

use super::PacketError;
use super::bytes::Reader;
use super::system_variables::{BOOT_BYTES, SystemVariables};
use std::borrow::Cow;
use std::ops::Range;

/// The only version there is.
pub const PROTOCOL_VERSION: u16 = 1;

/// Bytes before the data.
pub const HEADER_BYTES: usize = 18;

/// Bytes of a whole block.
pub const BLOCK_BYTES: usize = 1024;

/// The longest image a ROM takes.
pub const IMAGE_BYTES_MAX: usize = 32 * BLOCK_BYTES;

/// The bytes of an image that the system variables replace.
pub const VARIABLES: Range<usize> = 384..384 + BOOT_BYTES;

/// The words of a block, less one: what every block claims to have, also a shorter last one.
const WORDS_CLAIMED: u32 = 255;

/// What a message is. Any number can be carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Opcode(pub u32);

impl Opcode {
    /// A board that sleeps says where it is (`ip_address`).
    pub const HELLO: Opcode = Opcode(0x41);
    /// An image follows. Operand 3: its blocks, less one.
    pub const START: Opcode = Opcode(1);
    /// A block. Operand 1: 255 in bits 8 to 15, its number below.
    pub const BLOCK: Opcode = Opcode(3);
    /// Run the image, if every block is there. Operand 1: 1.
    pub const CONTROL: Opcode = Opcode(5);
}

/// A message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// What it is.
    pub opcode: Opcode,
    /// Its operands.
    pub operands: [u32; 3],
    /// Its data in the order of the image. Words that are not whole are filled with zeros when sent.
    pub data: Cow<'a, [u8]>,
}

impl<'a> Message<'a> {
    /// A message without data.
    pub const fn new(opcode: Opcode, operands: [u32; 3]) -> Message<'a> {
        Message { opcode, operands, data: Cow::Borrowed(&[]) }
    }

    /// Appends the datagram.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend(PROTOCOL_VERSION.to_be_bytes());
        out.extend(self.opcode.0.to_be_bytes());
        out.extend(self.operands.iter().flat_map(|operand| operand.to_be_bytes()));
        for word in self.data.chunks(4) {
            let at = |index: usize| word.get(index).copied().unwrap_or(0);
            out.extend([at(3), at(2), at(1), at(0)]);
        }
    }

    /// Reads a datagram. The data is copied, since its words are turned.
    pub fn decode(datagram: &[u8]) -> Result<Message<'static>, PacketError> {
        let bytes_max = HEADER_BYTES + BLOCK_BYTES;
        if datagram.len() > bytes_max {
            return Err(PacketError::TooLong { bytes: datagram.len(), bytes_max });
        }
        let mut reader = Reader::new(datagram);
        let version = u16::from_be_bytes(reader.array()?);
        if version != PROTOCOL_VERSION {
            return Err(PacketError::WrongValue { field: "boot protocol version", value: version.into() });
        }
        let mut word = || reader.array().map(u32::from_be_bytes);
        let (opcode, operands) = (Opcode(word()?), [word()?, word()?, word()?]);
        let (words, rest) = reader.rest().as_chunks::<4>();
        if !rest.is_empty() {
            let bytes_min = datagram.len() + 4 - rest.len();
            return Err(PacketError::TooShort { bytes: datagram.len(), bytes_min });
        }
        let data = words.iter().flat_map(|[a, b, c, d]| [*d, *c, *b, *a]).collect();
        Ok(Message { opcode, operands, data: Cow::Owned(data) })
    }
}

/// Everything that is sent to boot a board with an image, in order: start, blocks, control. The caller pauses after each, 10 ms at
/// least, and waits 2 s after the last.
pub fn messages(image: &[u8], variables: &SystemVariables) -> Result<Vec<Message<'static>>, PacketError> {
    if image.len() > IMAGE_BYTES_MAX {
        return Err(PacketError::TooLong { bytes: image.len(), bytes_max: IMAGE_BYTES_MAX });
    }
    let mut image = image.to_vec();
    let too_short = PacketError::TooShort { bytes: image.len(), bytes_min: VARIABLES.end };
    let place = image.get_mut(VARIABLES).ok_or(too_short)?;
    place.iter_mut().zip(variables.bytes()).for_each(|(byte, variable)| *byte = *variable);

    let blocks = image.chunks(BLOCK_BYTES);
    let start = Message::new(Opcode::START, [0, 0, blocks.len() as u32 - 1]);
    let blocks = blocks.zip(0..).map(|(block, number): (_, u32)| Message {
        opcode: Opcode::BLOCK,
        // Also the last one: the ROM finds a block's place by its number times the length it claims.
        operands: [WORDS_CLAIMED << 8 | number, 0, 0],
        data: Cow::Owned(block.to_vec()),
    });
    let control = Message::new(Opcode::CONTROL, [1, 0, 0]);
    Ok(std::iter::once(start).chain(blocks).chain(std::iter::once(control)).collect())
}
