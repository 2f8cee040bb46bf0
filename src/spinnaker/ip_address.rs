//! What a board says while nobody has booted it: hello, every 4.096 s, from UDP port 54321 to UDP port 54321.
//!
//! It goes to everybody until the board hears its first boot message, and from then on to who sent that. A message of
//! `boot`, 18 bytes, big-endian:
//!
//! | offset | bytes | field | order |
//! |---|---|---|---|
//! | 0 | 2 | protocol version, 1 | high byte first |
//! | 2 | 4 | opcode, 0x41 | high byte first |
//! | 6 | 4 | version of the ROM: major, minor, two bytes of zero | high byte first |
//! | 10 | 4 | 0 | |
//! | 14 | 4 | signature, 0x43505453 | high byte first |

use super::boot::{Message, Opcode};
use super::{BOOT_UDP_PORT, PacketError};
use std::net::{Ipv4Addr, SocketAddrV4};

/// What stands at the end of every hello.
pub const SIGNATURE: u32 = 0x4350_5453;

/// A board says where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hello {
    /// Version of its ROM, major in the highest byte.
    pub rom_version: u32,
}

impl Hello {
    /// Appends the datagram.
    pub fn encode(&self, out: &mut Vec<u8>) {
        Message::new(Opcode::HELLO, [self.rom_version, 0, SIGNATURE]).encode(out);
    }

    /// Reads a datagram. Who only wants to know the address need not: see `announced`.
    pub fn decode(datagram: &[u8]) -> Result<Hello, PacketError> {
        let message = Message::decode(datagram)?;
        let [rom_version, _, signature] = message.operands;
        match (message.opcode, signature) {
            (Opcode::HELLO, SIGNATURE) => Ok(Hello { rom_version }),
            (Opcode::HELLO, value) => Err(PacketError::WrongValue { field: "signature", value }),
            (Opcode(value), _) => Err(PacketError::WrongValue { field: "opcode", value }),
        }
    }
}

/// The address of a board that announced itself: whatever comes from the boot port does, with any content.
pub fn announced(from: SocketAddrV4) -> Option<Ipv4Addr> {
    (from.port() == BOOT_UDP_PORT).then(|| *from.ip())
}
