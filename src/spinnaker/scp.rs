//! SCP: requests and replies, as numbers. What the numbers mean to a chip is in `scamp`, to a BMP in `bmp`.
//!
//! A request, a whole datagram, little-endian:
//!
//! | offset | bytes | field | unit and order |
//! |---|---|---|---|
//! | 0 | 2 | padding | any |
//! | 2 | 8 | SDP header | `sdp::Header` |
//! | 10 | 2 | command | `CommandCode`, low byte first |
//! | 12 | 2 | sequence number | `Sequence`, low byte first; the reply repeats it |
//! | 14 | 4 | argument 1 | low byte first |
//! | 18 | 4 | argument 2 | low byte first |
//! | 22 | 4 | argument 3 | low byte first |
//! | 26 | 0 to 256 | data | bytes |
//!
//! A reply, a whole datagram, little-endian:
//!
//! | offset | bytes | field | unit and order |
//! |---|---|---|---|
//! | 0 | 2 | padding | any |
//! | 2 | 8 | SDP header | `sdp::Header` |
//! | 10 | 2 | result | `ResultCode`, low byte first |
//! | 12 | 2 | sequence number | that of the request |
//! | 14 | 0 to 256 and more | body | depends on the command; **no arguments** |

use super::PacketError;
use super::bytes::Reader;
use super::sdp::{self, Header, PADDING_BYTES};

/// The most bytes of data in a request, and of memory in a reply.
pub const DATA_BYTES_MAX: usize = 256;

/// Where the body of a reply starts in its datagram.
pub const BODY_OFFSET: usize = 14;

/// Where the sequence number is in a datagram.
pub const SEQUENCE_OFFSET: usize = 12;

macro_rules! codes {
    ($(#[$doc:meta])* $code:ident { $($(#[$line:meta])* $name:ident = $number:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $code(pub u16);

        impl $code {
            $($(#[$line])* pub const $name: $code = $code($number);)*

            /// All that have a name, in order of their numbers.
            pub const ALL: &[$code] = &[$($code::$name),*];

            /// The name, if it has one.
            pub fn name(self) -> Option<&'static str> {
                match self {
                    $($code::$name => Some(stringify!($name)),)*
                    _ => None,
                }
            }
        }
    };
}

codes! {
    /// What a request asks for. Any number can be carried.
    CommandCode {
        /// Who are you?
        VER = 0,
        /// Gone from today's firmware.
        RUN = 1,
        /// Memory, please.
        READ = 2,
        /// Write memory.
        WRITE = 3,
        /// Gone from today's firmware.
        APLX = 4,
        /// Fill memory with a word.
        FILL = 5,
        /// Count cores in a state.
        COUNT = 15,
        /// Give up a core.
        REMAP = 16,
        /// SC&MP: memory of a neighbour. BMP: registers of an FPGA.
        LINK_READ = 17,
        /// SC&MP: write a neighbour's memory. BMP: write registers of an FPGA.
        LINK_WRITE = 18,
        /// Run an application that is in memory.
        AR = 19,
        /// Send a nearest-neighbour packet.
        NNP = 20,
        /// Copy an application from a neighbour and run it.
        APP_COPY_RUN = 21,
        /// Send a signal to applications.
        SIG = 22,
        /// A block of a flood fill.
        FFD = 23,
        /// Start an application from an address.
        AS = 24,
        /// Switch LEDs.
        LED = 25,
        /// The table of tags.
        IPTAG = 26,
        /// The serial ROM of the chip.
        SROM = 27,
        /// Allocate and free.
        ALLOC = 28,
        /// The router.
        RTR = 29,
        /// Reinjection of dropped packets; obsolete.
        DPRI = 30,
        /// What a chip has.
        INFO = 31,
        /// Beacons of synchronisation.
        SYNC = 32,
        /// What a BMP knows of its board.
        BMP_INFO = 48,
        /// Copy flash.
        FLASH_COPY = 49,
        /// Erase flash.
        FLASH_ERASE = 50,
        /// Write the buffer to flash.
        FLASH_WRITE = 51,
        /// The serial flash of a board.
        BMP_SF = 53,
        /// The EEPROM of the backplane.
        BMP_EE = 54,
        /// Reset boards.
        RESET = 55,
        /// Load and reset FPGAs.
        XILINX = 56,
        /// Power.
        BMP_POWER = 57,
        /// The I2C bus.
        I2C = 61,
        /// Pulse width of the fans.
        PWM = 62,
        /// Text for a console; only ever sent by a board.
        TUBE = 64,
    }
}

codes! {
    /// How a request ended. Any number can be carried.
    ResultCode {
        /// Done.
        OK = 0x80,
        /// Bad length.
        LEN = 0x81,
        /// Bad checksum.
        SUM = 0x82,
        /// No such command.
        CMD = 0x83,
        /// Bad argument.
        ARG = 0x84,
        /// Bad SDP port.
        PORT = 0x85,
        /// A link did not answer in time.
        TIMEOUT = 0x86,
        /// No way there.
        ROUTE = 0x87,
        /// No such core.
        CPU = 0x88,
        /// The destination is dead.
        DEAD = 0x89,
        /// No buffer.
        BUF = 0x8A,
        /// The destination does not answer.
        P2P_NOREPLY = 0x8B,
        /// The destination refuses.
        P2P_REJECT = 0x8C,
        /// The destination is busy.
        P2P_BUSY = 0x8D,
        /// The destination did not answer in time.
        P2P_TIMEOUT = 0x8E,
        /// A packet could not be sent.
        PKT_TX = 0x8F,
    }
}

/// The number by which a reply finds its request; after 65535 comes 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sequence(pub u16);

impl Sequence {
    /// The number after this one.
    pub fn next(self) -> Sequence {
        Sequence(self.0.wrapping_add(1))
    }
}

/// The arguments of a request: three for all firmware, though some tools leave the last ones out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Arguments {
    words: [u32; 3],
    count: usize,
}

impl Arguments {
    /// No arguments, which today's firmware says in zeros.
    pub const ZERO: Arguments = Arguments::three([0; 3]);

    /// Three arguments.
    pub const fn three(words: [u32; 3]) -> Arguments {
        Arguments { words, count: 3 }
    }

    /// The first so many of three; more than three are three.
    pub fn first(count: usize, words: [u32; 3]) -> Arguments {
        let kept = std::array::from_fn(|at| if at < count { words[at] } else { 0 });
        Arguments { words: kept, count: count.min(3) }
    }

    /// Those that are there.
    pub fn words(&self) -> &[u32] {
        self.words.get(..self.count).unwrap_or(&self.words)
    }

    /// All three, with zeros for those that are absent.
    pub fn padded(&self) -> [u32; 3] {
        self.words
    }
}

/// What is asked, without who asks whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call<'a> {
    /// The command.
    pub command: CommandCode,
    /// Its arguments.
    pub arguments: Arguments,
    /// Its data, not copied.
    pub data: &'a [u8],
}

impl<'a> Call<'a> {
    /// A call with three arguments and no data.
    pub const fn new(command: CommandCode, arguments: [u32; 3]) -> Call<'a> {
        Call { command, arguments: Arguments::three(arguments), data: &[] }
    }

    /// The same with data.
    pub const fn with(self, data: &'a [u8]) -> Call<'a> {
        Call { data, ..self }
    }
}

/// A request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request<'a> {
    /// Who asks whom.
    pub header: Header,
    /// By which the reply is known.
    pub sequence: Sequence,
    /// What is asked.
    pub call: Call<'a>,
}

impl<'a> Request<'a> {
    /// Appends the datagram, with zeros as padding.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend([0; PADDING_BYTES]);
        self.header.encode(out);
        out.extend(self.call.command.0.to_le_bytes());
        out.extend(self.sequence.0.to_le_bytes());
        out.extend(self.call.arguments.words().iter().flat_map(|word| word.to_le_bytes()));
        out.extend_from_slice(self.call.data);
    }

    /// Reads a datagram as firmware does: three arguments must be there.
    pub fn decode(datagram: &'a [u8]) -> Result<Request<'a>, PacketError> {
        Request::decode_with(3, datagram)
    }

    /// Reads a datagram with so many arguments, at most three; what follows is data.
    pub fn decode_with(arguments: usize, datagram: &'a [u8]) -> Result<Request<'a>, PacketError> {
        if datagram.len() > sdp::DATAGRAM_BYTES_MAX {
            let bytes_max = sdp::DATAGRAM_BYTES_MAX;
            return Err(PacketError::TooLong { bytes: datagram.len(), bytes_max });
        }
        let message = sdp::Message::decode_datagram(datagram)?;
        let mut reader = Reader::new(datagram);
        reader.take(PADDING_BYTES + sdp::HEADER_BYTES)?;
        let (command, sequence) = (CommandCode(reader.u16()?), Sequence(reader.u16()?));
        let mut words = [0; 3];
        for word in words.iter_mut().take(arguments) {
            *word = reader.u32()?;
        }
        let arguments = Arguments::first(arguments, words);
        let call = Call { command, arguments, data: reader.rest() };
        Ok(Request { header: message.header, sequence, call })
    }
}

/// A reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reply<'a> {
    /// Who answers whom. The source of an answer by SC&MP is the chip that answers.
    pub header: Header,
    /// How it ended.
    pub result: ResultCode,
    /// That of the request.
    pub sequence: Sequence,
    /// What was asked for, not copied; empty after a failure, as a rule.
    pub body: &'a [u8],
}

impl<'a> Reply<'a> {
    /// Appends the datagram with this padding, of which nobody may expect that it is zero.
    pub fn encode(&self, padding: [u8; PADDING_BYTES], out: &mut Vec<u8>) {
        out.extend(padding);
        self.header.encode(out);
        out.extend(self.result.0.to_le_bytes());
        out.extend(self.sequence.0.to_le_bytes());
        out.extend_from_slice(self.body);
    }

    /// Reads a datagram.
    pub fn decode(datagram: &'a [u8]) -> Result<Reply<'a>, PacketError> {
        let mut reader = Reader::new(datagram);
        reader.take(PADDING_BYTES)?;
        let header = sdp::Message::decode(reader.take(sdp::HEADER_BYTES)?)?.header;
        let (result, sequence) = (ResultCode(reader.u16()?), Sequence(reader.u16()?));
        Ok(Reply { header, result, sequence, body: reader.rest() })
    }
}

/// How wide the accesses are that move memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Unit {
    /// One byte: 0.
    Byte,
    /// Two bytes: 1.
    HalfWord,
    /// Four bytes: 2.
    Word,
}

impl Unit {
    /// Bytes of a word.
    pub const WORD_BYTES: usize = 4;

    /// The widest that suits address and length, in bytes.
    pub fn suiting(address: u32, length: u32) -> Unit {
        match (address | length) % 4 {
            0 => Unit::Word,
            2 => Unit::HalfWord,
            _ => Unit::Byte,
        }
    }

    /// By its number; firmware refuses others.
    pub fn of_number(number: u32) -> Option<Unit> {
        [Unit::Byte, Unit::HalfWord, Unit::Word].into_iter().find(|unit| unit.number() == number)
    }

    /// Its number.
    pub fn number(self) -> u32 {
        self as u32
    }
}

/// Cuts memory of any length into pieces of at most 256 bytes, in order: address, length in bytes and unit of each. An end
/// beyond the address space wraps, as addresses do on a chip.
pub fn pieces(address: u32, length: u32) -> impl Iterator<Item = (u32, u32, Unit)> {
    (0..length).step_by(DATA_BYTES_MAX).map(move |offset| {
        let (start, bytes) = (address.wrapping_add(offset), (length - offset).min(DATA_BYTES_MAX as u32));
        (start, bytes, Unit::suiting(start, bytes))
    })
}

/// What is done to one LED.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LedAction {
    /// The other way: 1.
    Toggle = 1,
    /// Off: 2.
    Off = 2,
    /// On: 3.
    On = 3,
}

/// What is done to LEDs 0 to 15: two bits for each, LED n at bit 2n, 0 to leave it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LedActions(pub u32);

impl LedActions {
    /// The same, and this for one LED; an LED past the fifteenth is none.
    pub fn and(self, led: u8, action: LedAction) -> LedActions {
        match led {
            0..=15 => LedActions(self.0 & !(3 << (2 * led)) | (action as u32) << (2 * led)),
            _ => self,
        }
    }

    /// What is done to one LED.
    pub fn of(self, led: u8) -> Option<LedAction> {
        match self.0.checked_shr(2 * u32::from(led)).unwrap_or(0) & 3 {
            1 => Some(LedAction::Toggle),
            2 => Some(LedAction::Off),
            3 => Some(LedAction::On),
            _ => None,
        }
    }
}
