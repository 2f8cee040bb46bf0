//! IP tags: how messages leave the machine for the network, and how they come in. The BMP has them too.
//!
//! Argument 1 of the command, of 32 bits:
//!
//! | bit | field |
//! |---|---|
//! | 0 to 7 | tag |
//! | 8 to 12 | core that hears what comes in (reverse only) |
//! | 13 to 15 | its port (reverse only) |
//! | 16 to 18 | operation: 0 new, 1 set, 2 get, 3 clear, 4 transient timeout |
//! | 24 to 27 | timeout (of a BMP: argument 2, bits 16 to 19) |
//! | 28 | strip the SDP header |
//! | 29 | reverse |
//! | 30 | use the sender's address and port |
//!
//! Argument 2 is the UDP port, and of a reverse tag also `x<<24, y<<16`. Argument 3 is the IPv4 address, its first number in
//! the lowest byte, so that it lies in network order on the wire; 0 is the sender's.

use super::super::PacketError;
use super::super::bytes::Reader;
use super::super::sdp::{Chip, Core, Endpoint, Port};
use std::net::Ipv4Addr;

/// A tag: 0 to 7 for users, 8 to 15 for replies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TagId(pub u8);

/// Where the timeout of a tag is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::spinnaker) enum TimeoutPlace {
    /// Bits 24 to 27 of argument 1: SC&MP.
    Argument1,
    /// Bits 16 to 19 of argument 2: the BMP.
    Argument2,
}

/// What is asked of the table of tags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TagCommand {
    /// Operations 0 and 1: what leaves through a tag goes to a host. Answered with the tag, in a word.
    Set {
        /// The tag; any free one if absent.
        tag: Option<TagId>,
        /// To which UDP port.
        udp_port: u16,
        /// To which address; 0.0.0.0 is the sender's.
        address: Ipv4Addr,
        /// Whether the SDP header is left off.
        strip: bool,
        /// Whether it goes to the sender of this, whatever address and port say.
        use_sender: bool,
        /// When it is forgotten if unused, 0 to 15: 0 never, n after 10 ms times 2 to the n-1.
        timeout: u8,
    },
    /// Operations 0 and 1 with the reverse bit: what comes in at a UDP port goes to a core. Answered with the tag, in a word.
    SetReverse {
        /// The tag; any free one if absent.
        tag: Option<TagId>,
        /// At which UDP port; all but 17893 and 54321.
        udp_port: u16,
        /// To whom.
        target: Endpoint,
        /// Whether the SDP header is left off on the way back. Tools always ask for it.
        strip: bool,
    },
    /// Operation 2: entries. Answered with a `TagEntry` for each.
    Get {
        /// The first.
        tag: TagId,
        /// How many.
        count: u32,
    },
    /// Operation 3: forget a tag.
    Clear {
        /// Which.
        tag: TagId,
    },
    /// Operation 4: how long tags for replies live. Answered with a `TagTable` that says what was so before.
    TransientTimeout {
        /// 0 to 15: n stands for 10 ms times 2 to the n-1. Larger ones only ask; tools say 255.
        setting: u32,
    },
}

const NEW: u32 = 0;
const SET: u32 = 1;
const GET: u32 = 2;
const CLEAR: u32 = 3;
const TIMEOUT: u32 = 4;
const STRIP: u32 = 1 << 28;
const REVERSE: u32 = 1 << 29;
const USE_SENDER: u32 = 1 << 30;

impl TagCommand {
    /// What only asks for the sizes of the table.
    pub const SIZES: TagCommand = TagCommand::TransientTimeout { setting: 255 };

    pub(in crate::spinnaker) fn arguments(&self, place: TimeoutPlace) -> [u32; 3] {
        match *self {
            TagCommand::Set { tag, udp_port, address, strip, use_sender, timeout } => {
                let (flags, timeout) = (flag(strip, STRIP) | flag(use_sender, USE_SENDER), timeout & 0xF);
                let (first, second) = match place {
                    TimeoutPlace::Argument1 => (u32::from(timeout) << 24, 0),
                    TimeoutPlace::Argument2 => (0, u32::from(timeout) << 16),
                };
                let address = u32::from_le_bytes(address.octets());
                [operation(tag) | flags | first, u32::from(udp_port) | second, address]
            }
            TagCommand::SetReverse { tag, udp_port, target, strip } => {
                let core = u32::from(target.port.number()) << 13 | u32::from(target.core.number()) << 8;
                let chip = u32::from(target.chip.x) << 24 | u32::from(target.chip.y) << 16;
                let first = operation(tag) | REVERSE | flag(strip, STRIP) | core;
                [first, chip | u32::from(udp_port), 0]
            }
            TagCommand::Get { tag, count } => [GET << 16 | u32::from(tag.0), count, 0],
            TagCommand::Clear { tag } => [CLEAR << 16 | u32::from(tag.0), 0, 0],
            TagCommand::TransientTimeout { setting } => [TIMEOUT << 16, setting, 0],
        }
    }

    /// The nearest meaning, which may have lost something.
    pub(in crate::spinnaker) fn of_arguments(words: [u32; 3], place: TimeoutPlace) -> Option<TagCommand> {
        let [first, second, third] = words;
        let (tag, operation) = (TagId(first as u8), first >> 16 & 7);
        Some(match operation {
            NEW | SET if first & REVERSE == 0 => TagCommand::Set {
                tag: (operation == SET).then_some(tag),
                udp_port: second as u16,
                address: Ipv4Addr::from(third.to_le_bytes()),
                strip: first & STRIP != 0,
                use_sender: first & USE_SENDER != 0,
                timeout: match place {
                    TimeoutPlace::Argument1 => (first >> 24 & 0xF) as u8,
                    TimeoutPlace::Argument2 => (second >> 16 & 0xF) as u8,
                },
            },
            NEW | SET => TagCommand::SetReverse {
                tag: (operation == SET).then_some(tag),
                udp_port: second as u16,
                target: Endpoint {
                    chip: Chip { x: (second >> 24) as u8, y: (second >> 16) as u8 },
                    core: Core::new((first >> 8 & 0x1F) as u8)?,
                    port: Port::new((first >> 13 & 7) as u8)?,
                },
                strip: first & STRIP != 0,
            },
            GET => TagCommand::Get { tag, count: second },
            CLEAR => TagCommand::Clear { tag },
            TIMEOUT => TagCommand::TransientTimeout { setting: second },
            _ => return None,
        })
    }

    /// The fewest bytes that the body of a good reply has.
    pub fn reply_bytes_min(&self) -> usize {
        match self {
            TagCommand::Set { .. } | TagCommand::SetReverse { .. } => 4,
            // One at least; a BMP's entries are shorter, and no table is longer than its tags.
            TagCommand::Get { .. } => 24,
            TagCommand::Clear { .. } => 0,
            TagCommand::TransientTimeout { .. } => TagTable::BYTES,
        }
    }

    /// Whether asking changes the table.
    pub fn changes_state(&self) -> bool {
        match self {
            TagCommand::Get { .. } => false,
            TagCommand::TransientTimeout { setting } => *setting < 16,
            _ => true,
        }
    }
}

fn operation(tag: Option<TagId>) -> u32 {
    tag.map_or(NEW << 16, |tag| SET << 16 | u32::from(tag.0))
}

fn flag(set: bool, bit: u32) -> u32 {
    if set { bit } else { 0 }
}

/// What a tag is, in 16 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TagFlags(pub u16);

impl TagFlags {
    /// It is in use.
    pub const VALID: TagFlags = TagFlags(0x8000);
    /// It is for a reply.
    pub const TRANSIENT: TagFlags = TagFlags(0x4000);
    /// It waits for the hardware address of its host.
    pub const ARP: TagFlags = TagFlags(0x2000);
    /// It goes to whoever sent last.
    pub const USE_SENDER: TagFlags = TagFlags(0x0400);
    /// It leads into the machine.
    pub const REVERSE: TagFlags = TagFlags(0x0200);
    /// It leaves the SDP header off.
    pub const STRIP: TagFlags = TagFlags(0x0100);

    /// Whether all of these are set.
    pub fn has(self, flags: TagFlags) -> bool {
        self.0 & flags.0 == flags.0
    }
}

/// One entry of the table of SC&MP. (A BMP has entries of 24 bytes, which are left as bytes.)
///
/// | offset | bytes | field | order |
/// |---|---|---|---|
/// | 0 | 4 | IPv4 address | first number first |
/// | 4 | 6 | MAC address | first byte first |
/// | 10 | 2 | UDP port | low byte first |
/// | 12 | 2 | timeout, in ticks of 10 ms | low byte first |
/// | 14 | 2 | flags | low byte first |
/// | 16 | 4 | messages so far | low byte first |
/// | 20 | 2 | UDP port at which it receives | low byte first |
/// | 22 | 2 | chip it leads to | y, then x |
/// | 24 | 1 | core it leads to | port in bits 5 to 7, core in bits 0 to 4 |
/// | 25 | 7 | unused | |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TagEntry {
    /// The host's address.
    pub address: Ipv4Addr,
    /// The host's hardware address.
    pub mac: [u8; 6],
    /// The host's UDP port.
    pub udp_port: u16,
    /// Ticks of 10 ms until it is forgotten.
    pub timeout_ticks: u16,
    /// What it is.
    pub flags: TagFlags,
    /// Messages so far.
    pub count: u32,
    /// The UDP port at which it receives.
    pub receive_udp_port: u16,
    /// To whom it leads.
    pub target: Endpoint,
    /// Rubbish, as a rule.
    pub unused: [u8; 7],
}

impl TagEntry {
    /// Bytes of an entry.
    pub const BYTES: usize = 32;

    /// Appends an entry.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend(self.address.octets());
        out.extend(self.mac);
        for number in [self.udp_port, self.timeout_ticks, self.flags.0] {
            out.extend(number.to_le_bytes());
        }
        out.extend(self.count.to_le_bytes());
        out.extend(self.receive_udp_port.to_le_bytes());
        out.extend([self.target.chip.y, self.target.chip.x]);
        out.push(self.target.port.number() << 5 | self.target.core.number());
        out.extend(self.unused);
    }

    /// Reads the first entry of a body.
    pub fn decode(body: &[u8]) -> Result<TagEntry, PacketError> {
        let mut reader = Reader::new(body);
        let (address, mac) = (Ipv4Addr::from(reader.array::<4>()?), reader.array()?);
        let [udp_port, timeout_ticks, flags] = reader.u16s()?;
        let (count, receive_udp_port) = (reader.u32()?, reader.u16()?);
        let [y, x, core] = reader.array()?;
        let wrong = PacketError::WrongValue { field: "core", value: core.into() };
        let target = Endpoint {
            chip: Chip { x, y },
            core: Core::new(core & 0x1F).ok_or(wrong)?,
            port: Port::new(core >> 5).ok_or(wrong)?,
        };
        let (flags, unused) = (TagFlags(flags), reader.array()?);
        Ok(TagEntry { address, mac, udp_port, timeout_ticks, flags, count, receive_udp_port, target, unused })
    }
}

/// The sizes of the table, one byte each.
///
/// | offset | bytes | field |
/// |---|---|---|
/// | 0 | 1 | setting of the transient timeout |
/// | 1 | 1 | bytes of an entry; 0 by a BMP |
/// | 2 | 1 | tags for replies |
/// | 3 | 1 | tags for users |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TagTable {
    /// 10 ms times 2 to the power of one less.
    pub transient_timeout: u8,
    /// Bytes of an entry.
    pub entry_bytes: u8,
    /// Tags for replies.
    pub pool: u8,
    /// Tags for users.
    pub fixed: u8,
}

impl TagTable {
    /// Bytes of the body.
    pub const BYTES: usize = 4;

    /// Appends the body.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend([self.transient_timeout, self.entry_bytes, self.pool, self.fixed]);
    }

    /// Reads a body.
    pub fn decode(body: &[u8]) -> Result<TagTable, PacketError> {
        let [transient_timeout, entry_bytes, pool, fixed] = Reader::new(body).array()?;
        Ok(TagTable { transient_timeout, entry_bytes, pool, fixed })
    }
}
