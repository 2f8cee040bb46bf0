//! SDP, the envelope: who speaks to whom on a machine, and whether an answer is wanted.
//!
//! | offset | bytes | field | unit and order |
//! |---|---|---|---|
//! | 0 | 1 | flags | `Flags` |
//! | 1 | 1 | tag | `Tag`: 0xFF from a host |
//! | 2 | 1 | destination port and core | port in bits 5 to 7, core in bits 0 to 4 |
//! | 3 | 1 | source port and core | same |
//! | 4 | 2 | destination chip | **y, then x** |
//! | 6 | 2 | source chip | **y, then x** |
//! | 8 | 0 to 272 | data | |
//!
//! In a UDP datagram two bytes of padding stand before that. Hosts send zeros there; boards send what they find on
//! their stack, so nobody looks at them.

use super::PacketError;
use super::bytes::Reader;

/// The bytes of padding before a message in a datagram.
pub const PADDING_BYTES: usize = 2;

/// The bytes of a header.
pub const HEADER_BYTES: usize = 8;

/// The most bytes of data in a message: the three words and 4 bytes of SCP, and 256 bytes.
pub const DATA_BYTES_MAX: usize = 272;

/// The longest datagram a board reads; it drops longer ones without a word.
pub const DATAGRAM_BYTES_MAX: usize = PADDING_BYTES + HEADER_BYTES + DATA_BYTES_MAX;

/// Where a chip is on its machine, in chips from the root. 255,255 stands for the chip with the Ethernet plug that hears it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Chip {
    /// Eastwards.
    pub x: u8,
    /// Northwards.
    pub y: u8,
}

impl Chip {
    /// The chip that hears it first, while the host does not know its place.
    pub const NEAREST: Chip = Chip { x: 255, y: 255 };
    /// The root chip; BMPs are always addressed so.
    pub const ROOT: Chip = Chip { x: 0, y: 0 };

    /// Two bytes, y first.
    fn of_wire([y, x]: [u8; 2]) -> Chip {
        Chip { x, y }
    }

    /// Two bytes, y first.
    fn to_wire(self) -> [u8; 2] {
        [self.y, self.x]
    }
}

/// A core of a chip, 0 to 31; of a BMP, the number of a board in its frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Core(u8);

impl Core {
    /// The core that runs SC&MP.
    pub const MONITOR: Core = Core(0);
    /// The core a host claims to be.
    pub const HOST: Core = Core(31);

    /// A core by number, unless it has more than five bits.
    pub const fn new(number: u8) -> Option<Core> {
        if number < 32 { Some(Core(number)) } else { None }
    }

    /// The number, 0 to 31.
    pub const fn number(self) -> u8 {
        self.0
    }
}

/// A port of a core, 0 to 7: which part of its program is meant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Port(u8);

impl Port {
    /// The port of the system: SCP.
    pub const SYSTEM: Port = Port(0);
    /// The port a host claims to be.
    pub const HOST: Port = Port(7);

    /// A port by number, unless it has more than three bits.
    pub const fn new(number: u8) -> Option<Port> {
        if number < 8 { Some(Port(number)) } else { None }
    }

    /// The number, 0 to 7.
    pub const fn number(self) -> u8 {
        self.0
    }
}

/// One end of a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Endpoint {
    /// The chip.
    pub chip: Chip,
    /// The core of the chip.
    pub core: Core,
    /// The port of the core.
    pub port: Port,
}

impl Endpoint {
    /// What a host writes as the source, on behalf of a chip.
    pub const fn host(chip: Chip) -> Endpoint {
        Endpoint { chip, core: Core::HOST, port: Port::HOST }
    }

    /// SCP of a core.
    pub const fn system(chip: Chip, core: Core) -> Endpoint {
        Endpoint { chip, core, port: Port::SYSTEM }
    }

    fn of_wire(port_and_core: u8, chip: [u8; 2]) -> Endpoint {
        Endpoint {
            chip: Chip::of_wire(chip),
            core: Core(port_and_core & 0x1F),
            port: Port(port_and_core >> 5),
        }
    }

    fn port_and_core(self) -> u8 {
        self.port.0 << 5 | self.core.0
    }
}

/// Bits that say how a message travels. Any value can be carried; four are in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Flags(pub u8);

impl Flags {
    /// No answer, please.
    pub const NO_REPLY: Flags = Flags(0x07);
    /// An answer, please.
    pub const REPLY: Flags = Flags(0x87);
    /// No answer; and it must not travel on between chips.
    pub const NO_REPLY_NO_ROUTE: Flags = Flags(0x27);
    /// An answer; and it must not travel on between chips.
    pub const REPLY_NO_ROUTE: Flags = Flags(0xA7);

    /// Whether an answer is wanted: bit 7.
    pub fn wants_reply(self) -> bool {
        self.0 & 0x80 != 0
    }

    /// Whether it is one of the four in use; a connection refuses others.
    pub fn is_in_use(self) -> bool {
        [Flags::NO_REPLY, Flags::REPLY, Flags::NO_REPLY_NO_ROUTE, Flags::REPLY_NO_ROUTE].contains(&self)
    }
}

/// Which way a message leaves the machine: 0 to 7 by arrangement, 8 to 15 for the reply to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tag(pub u8);

impl Tag {
    /// What a host writes.
    pub const HOST: Tag = Tag(0xFF);
}

/// The envelope of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// How it travels.
    pub flags: Flags,
    /// Which way it leaves the machine.
    pub tag: Tag,
    /// To whom.
    pub destination: Endpoint,
    /// From whom.
    pub source: Endpoint,
}

impl Header {
    /// What a host writes to ask a core something.
    pub const fn asking(destination: Endpoint, source: Chip) -> Header {
        Header { flags: Flags::REPLY, tag: Tag::HOST, destination, source: Endpoint::host(source) }
    }

    /// The same message as a connection to a chip sends it: tag, source port and source core are a host's. The source chip is
    /// the connection's only if an answer is wanted in the plain way; otherwise it is 0,0.
    pub fn sent_through(self, connection: Chip) -> Header {
        let chip = if self.flags == Flags::REPLY { connection } else { Chip::ROOT };
        Header { tag: Tag::HOST, source: Endpoint::host(chip), ..self }
    }

    /// Appends the eight bytes.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let (destination, source) = (self.destination, self.source);
        out.extend([self.flags.0, self.tag.0, destination.port_and_core(), source.port_and_core()]);
        out.extend(destination.chip.to_wire());
        out.extend(source.chip.to_wire());
    }

    fn read(reader: &mut Reader<'_>) -> Result<Header, PacketError> {
        let [flags, tag, destination, source] = reader.array()?;
        Ok(Header {
            flags: Flags(flags),
            tag: Tag(tag),
            destination: Endpoint::of_wire(destination, reader.array()?),
            source: Endpoint::of_wire(source, reader.array()?),
        })
    }
}

/// A message: the envelope and what is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// The envelope.
    pub header: Header,
    /// What is in it, not copied.
    pub data: &'a [u8],
}

impl<'a> Message<'a> {
    /// Appends the message without padding, as it leaves through a tag that strips nothing but a datagram.
    pub fn encode(&self, out: &mut Vec<u8>) {
        self.header.encode(out);
        out.extend_from_slice(self.data);
    }

    /// Appends the message as a datagram, with this padding. Hosts write zeros.
    pub fn encode_datagram(&self, padding: [u8; PADDING_BYTES], out: &mut Vec<u8>) {
        out.extend(padding);
        self.encode(out);
    }

    /// Reads a message without padding.
    pub fn decode(bytes: &'a [u8]) -> Result<Message<'a>, PacketError> {
        let mut reader = Reader::new(bytes);
        Ok(Message { header: Header::read(&mut reader)?, data: reader.rest() })
    }

    /// Reads a datagram; what the padding holds does not matter.
    pub fn decode_datagram(datagram: &'a [u8]) -> Result<Message<'a>, PacketError> {
        let mut reader = Reader::new(datagram);
        reader.take(PADDING_BYTES)?;
        Ok(Message { header: Header::read(&mut reader)?, data: reader.rest() })
    }
}
