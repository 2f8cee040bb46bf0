//! EIEIO: events in and out of a running application, and commands about buffers of them.
//!
//! Little-endian, no padding, at most 256 bytes. The first two bytes as a number tell which it is: 01 in the top two bits is
//! a command, anything else is data. (Data would look like a command only with a prefix for the upper half and no
//! prefix, which cannot be built.)

mod command;
mod data;

pub use command::{Command, CommandId, Place, ReadRow, ReadRows, SpaceRow, SpaceRows};
pub use data::{Builder, Data, Element, Full, Kind, Prefix};

use super::PacketError;
use super::bytes::Reader;

/// The longest message.
pub const MESSAGE_BYTES_MAX: usize = 256;

/// A message of either sort.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// About buffers.
    Command(Command<'a>),
    /// Events.
    Data(Data<'a>),
}

impl<'a> Message<'a> {
    /// Appends the message.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Message::Command(command) => command.encode(out),
            Message::Data(data) => data.encode(out),
        }
    }

    /// Reads a message.
    pub fn decode(bytes: &'a [u8]) -> Result<Message<'a>, PacketError> {
        match Reader::new(bytes).u16()? >> 14 {
            1 => Command::decode(bytes).map(Message::Command),
            _ => Data::decode(bytes).map(Message::Data),
        }
    }
}
