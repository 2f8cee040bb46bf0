//! The BMP, which watches over the boards of a frame: what can be asked of it.
//!
//! `Command` is the meaning of a call, as in `scamp`. `fpga` names the registers of a board's FPGAs, `info` is what a BMP
//! knows of itself and its board. The board is addressed by the **core** of the destination; chips mean nothing here. Where
//! a variant says nothing of an argument, it is zero.

pub mod fpga;
mod info;

pub use info::{CanStatus, Identity, InfoKind, IpSettings, IpTable, Rail, Restarts, Status};

use super::scamp::{TagCommand, TimeoutPlace};
use super::scp::{Call, CommandCode, LedActions, Unit};
use super::sdp::{Chip, Core, Endpoint, Header};

/// A board of a frame, 0 to 23.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Board(u8);

impl Board {
    /// The boards of a full frame.
    pub const COUNT: u8 = 24;

    /// The board that hears power commands for all.
    pub const FIRST: Board = Board(0);

    /// A board by number, unless no frame has it.
    pub const fn new(number: u8) -> Option<Board> {
        if number < Board::COUNT { Some(Board(number)) } else { None }
    }

    /// The number, 0 to 23.
    pub const fn number(self) -> u8 {
        self.0
    }
}

/// A set of boards of one frame: bit n for board n.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Boards(pub u32);

impl Boards {
    /// The same and this board.
    pub fn and(self, board: Board) -> Boards {
        Boards(self.0 | 1 << board.0)
    }

    /// Whether the board is in it.
    pub fn has(self, board: Board) -> bool {
        self.0 & 1 << board.0 != 0
    }

    /// The boards in it, in order; bits past the last board are none.
    pub fn iter(self) -> impl Iterator<Item = Board> {
        (0..Board::COUNT).map(Board).filter(move |board| self.has(*board))
    }

    /// The lowest: who is asked what concerns them all.
    pub fn lowest(self) -> Option<Board> {
        self.iter().next()
    }
}

impl FromIterator<Board> for Boards {
    fn from_iter<I: IntoIterator<Item = Board>>(boards: I) -> Boards {
        boards.into_iter().fold(Boards::default(), Boards::and)
    }
}

/// Where a board is in a room full of cabinets. Only frame and board are ever said to a BMP, which has an address of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Blade {
    /// The cabinet, from 0.
    pub cabinet: u16,
    /// The frame of the cabinet, from 0.
    pub frame: u16,
    /// The board of the frame.
    pub board: Board,
}

/// What a host writes to ask the BMP of a board.
pub fn header(board: Board) -> Header {
    let core = Core::new(board.0).unwrap_or(Core::MONITOR);
    Header::asking(Endpoint::system(Chip::ROOT, core), Chip::ROOT)
}

/// The time from one board to the next when power is switched: whole milliseconds in 16 bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DelayMs(pub u16);

impl DelayMs {
    /// As tools reckon: seconds times 1000, with what is less than a millisecond cut off. `None` below 0 and past 65.535 s.
    pub fn of_seconds(seconds: f64) -> Option<DelayMs> {
        let ms = (seconds * 1000.0).trunc();
        (0.0..=65_535.0).contains(&ms).then_some(DelayMs(ms as u16))
    }
}

/// How boards are reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reset {
    /// 0: let them go.
    Release,
    /// 1: hold them.
    Hold,
    /// 2: hold them for a moment.
    Pulse,
}

/// How the reset line of FPGAs is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Line {
    /// 0: low.
    Low,
    /// 1: high.
    High,
    /// 2: a pulse.
    Pulse,
}

/// What is asked of a BMP. Numbers are words of 32 bits, low byte first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command<'a> {
    /// 0: who are you? Answered with a `version::Version`.
    Version,
    /// 2: memory of the BMP. Answered with the bytes.
    Read {
        /// Argument 1: where it starts.
        address: u32,
        /// Argument 2: bytes, at most 256.
        length: u32,
        /// Argument 3: how wide the accesses are.
        unit: Unit,
    },
    /// 3: write memory of the BMP. Argument 2 is the length of the data.
    Write {
        /// Argument 1: where it starts.
        address: u32,
        /// Argument 3: how wide the accesses are.
        unit: Unit,
        /// The bytes, at most 256.
        data: &'a [u8],
    },
    /// 5: fill memory of the BMP.
    Fill {
        /// Argument 1: where it starts.
        address: u32,
        /// Argument 2: what each word becomes.
        word: u32,
        /// Argument 3: bytes.
        length: u32,
    },
    /// 17: registers of an FPGA, one after the other. Answered with the words.
    FpgaRead {
        /// Argument 1: the first register's address.
        register: u32,
        /// Argument 2: bytes, at most 256; only whole words are filled.
        length: u32,
        /// Argument 3: the FPGA, 0 to 2.
        fpga: u32,
    },
    /// 18: write registers of an FPGA, one after the other. Argument 2 is the length of the data.
    FpgaWrite {
        /// Argument 1: the first register's address.
        register: u32,
        /// Argument 3: the FPGA, 0 to 2.
        fpga: u32,
        /// The words, low byte first.
        data: &'a [u8],
    },
    /// 25: LEDs; only those of the board that is asked, whatever the mask says.
    Led {
        /// Argument 1: what is done to each of eight.
        actions: LedActions,
        /// Argument 2: of which boards.
        boards: Boards,
    },
    /// 26: the table of tags.
    Tag(TagCommand),
    /// 48: what do you know? Answered as the kind wants.
    Info(InfoKind),
    /// 49: copy flash.
    FlashCopy {
        /// Argument 1: to which address.
        to: u32,
        /// Argument 2: from which address.
        from: u32,
        /// Argument 3: bytes.
        length: u32,
    },
    /// 50: erase flash. Answered with the address of the buffer of 4 KiB, in a word.
    FlashErase {
        /// Argument 1: the first address.
        start: u32,
        /// Argument 2: the address past the last.
        end: u32,
    },
    /// 51: write the buffer to flash.
    FlashWrite {
        /// Argument 1: to which address.
        address: u32,
        /// Argument 2: bytes.
        length: u32,
        /// Argument 3: whether to erase it first, 1 or 0.
        erase: bool,
    },
    /// 53, argument 3 is 0: read the serial flash. Answered with the bytes.
    SerialFlashRead {
        /// Argument 1: where it starts.
        address: u32,
        /// Argument 2: bytes.
        length: u32,
    },
    /// 53, argument 3 is 1: write the serial flash. Argument 2 is the length of the data.
    SerialFlashWrite {
        /// Argument 1: where it starts.
        address: u32,
        /// The bytes.
        data: &'a [u8],
    },
    /// 53, argument 3 is 2: the CRC-32 of serial flash. Answered with a word.
    SerialFlashCrc {
        /// Argument 1: where it starts.
        address: u32,
        /// Argument 2: bytes.
        length: u32,
    },
    /// 54, argument 3 is 0: read the EEPROM. Answered with the bytes; only by the board that runs the backplane.
    EepromRead {
        /// Argument 1: where it starts.
        address: u32,
        /// Argument 2: bytes.
        length: u32,
    },
    /// 54, argument 3 is 1: write the EEPROM. Argument 2 is the length of the data.
    EepromWrite {
        /// Argument 1: where it starts.
        address: u32,
        /// The bytes.
        data: &'a [u8],
    },
    /// 55: reset boards.
    Reset {
        /// Argument 1, bits 0 and 1: how.
        how: Reset,
        /// Argument 1, bit 2: whether the FPGAs are reset too.
        fpgas: bool,
        /// Argument 1, bits 16 to 31: from one board to the next.
        delay: DelayMs,
        /// Argument 2: which.
        boards: Boards,
    },
    /// 56, argument 1 is 0: load the FPGAs. Argument 2 is the length of the data.
    FpgaLoad {
        /// A piece of the bit file.
        data: &'a [u8],
    },
    /// 56, argument 1 is 1: make FPGAs ready to be loaded.
    FpgaInit {
        /// Argument 2: which, a bit each.
        fpgas: u32,
    },
    /// 56, argument 1 is 2: the reset line of the FPGAs.
    FpgaLine {
        /// Argument 2: how it is set.
        line: Line,
    },
    /// 57: power. Said to board 0 whatever boards are meant (`Command::addressee`).
    Power {
        /// Argument 1, bits 0 to 7: on (1) or off (0).
        on: bool,
        /// Argument 1, bits 16 to 31: each board waits its number times this.
        delay: DelayMs,
        /// Argument 2: which.
        boards: Boards,
    },
    /// Anything else, as its numbers.
    Other(Call<'a>),
}

impl<'a> Command<'a> {
    /// The meaning of a call. Turned into a call again, it is the same, bit by bit.
    pub fn of(call: Call<'a>) -> Command<'a> {
        // Whatever holds more than a variant can say would lose it there, and so stays numbers.
        interpret(&call).filter(|command| command.call() == call).unwrap_or(Command::Other(call))
    }

    /// The board to say it to, if the command itself decides.
    pub fn addressee(&self) -> Option<Board> {
        match self {
            Command::Power { .. } => Some(Board::FIRST),
            Command::Led { boards, .. } | Command::Reset { boards, .. } => boards.lowest(),
            _ => None,
        }
    }

    /// The numbers of a meaning.
    pub fn call(&self) -> Call<'a> {
        use CommandCode as Code;
        let sized = |code, first, data: &'a [u8], third| {
            Call::new(code, [first, data.len() as u32, third]).with(data)
        };
        match *self {
            Command::Version => Call::new(Code::VER, [0; 3]),
            Command::Read { address, length, unit } => {
                Call::new(Code::READ, [address, length, unit.number()])
            }
            Command::Write { address, unit, data } => sized(Code::WRITE, address, data, unit.number()),
            Command::Fill { address, word, length } => Call::new(Code::FILL, [address, word, length]),
            Command::FpgaRead { register, length, fpga } => {
                Call::new(Code::LINK_READ, [register, length, fpga])
            }
            Command::FpgaWrite { register, fpga, data } => sized(Code::LINK_WRITE, register, data, fpga),
            Command::Led { actions, boards } => Call::new(Code::LED, [actions.0, boards.0, 0]),
            Command::Tag(tag) => Call::new(Code::IPTAG, tag.arguments(TimeoutPlace::Argument2)),
            Command::Info(kind) => Call::new(Code::BMP_INFO, [kind.0, 0, 0]),
            Command::FlashCopy { to, from, length } => Call::new(Code::FLASH_COPY, [to, from, length]),
            Command::FlashErase { start, end } => Call::new(Code::FLASH_ERASE, [start, end, 0]),
            Command::FlashWrite { address, length, erase } => {
                Call::new(Code::FLASH_WRITE, [address, length, erase.into()])
            }
            Command::SerialFlashRead { address, length } => Call::new(Code::BMP_SF, [address, length, 0]),
            Command::SerialFlashWrite { address, data } => sized(Code::BMP_SF, address, data, 1),
            Command::SerialFlashCrc { address, length } => Call::new(Code::BMP_SF, [address, length, 2]),
            Command::EepromRead { address, length } => Call::new(Code::BMP_EE, [address, length, 0]),
            Command::EepromWrite { address, data } => sized(Code::BMP_EE, address, data, 1),
            Command::Reset { how, fpgas, delay, boards } => {
                let code = how as u32 | u32::from(fpgas) << 2;
                Call::new(Code::RESET, [u32::from(delay.0) << 16 | code, boards.0, 0])
            }
            Command::FpgaLoad { data } => sized(Code::XILINX, 0, data, 0),
            Command::FpgaInit { fpgas } => Call::new(Code::XILINX, [1, fpgas, 0]),
            Command::FpgaLine { line } => Call::new(Code::XILINX, [2, line as u32, 0]),
            Command::Power { on, delay, boards } => {
                Call::new(Code::BMP_POWER, [u32::from(delay.0) << 16 | u32::from(on), boards.0, 0])
            }
            Command::Other(call) => call,
        }
    }

    /// The fewest bytes that the body of a good reply has.
    pub fn reply_bytes_min(&self) -> usize {
        match *self {
            Command::Version => super::version::Version::FIXED_BYTES,
            Command::Read { length, .. }
            | Command::FpgaRead { length, .. }
            | Command::SerialFlashRead { length, .. }
            | Command::EepromRead { length, .. } => length as usize,
            Command::Tag(tag) => tag.reply_bytes_min(),
            Command::Info(kind) => kind.bytes(),
            Command::FlashErase { .. } | Command::SerialFlashCrc { .. } => Unit::WORD_BYTES,
            _ => 0,
        }
    }

    /// Whether to ask once more could do what asking once does not.
    pub fn changes_state(&self) -> bool {
        match self {
            Command::Version
            | Command::Read { .. }
            | Command::FpgaRead { .. }
            | Command::Info(_)
            | Command::SerialFlashRead { .. }
            | Command::SerialFlashCrc { .. }
            | Command::EepromRead { .. } => false,
            Command::Tag(tag) => tag.changes_state(),
            _ => true,
        }
    }
}

/// The nearest meaning, which may have lost something.
fn interpret<'a>(call: &Call<'a>) -> Option<Command<'a>> {
    use CommandCode as Code;
    let ([first, second, third], data) = (call.arguments.padded(), call.data);
    let delay = DelayMs((first >> 16) as u16);
    Some(match (call.command, third) {
        (Code::VER, _) => Command::Version,
        (Code::READ, _) => Command::Read { address: first, length: second, unit: Unit::of_number(third)? },
        (Code::WRITE, _) => Command::Write { address: first, unit: Unit::of_number(third)?, data },
        (Code::FILL, _) => Command::Fill { address: first, word: second, length: third },
        (Code::LINK_READ, fpga) => Command::FpgaRead { register: first, length: second, fpga },
        (Code::LINK_WRITE, fpga) => Command::FpgaWrite { register: first, fpga, data },
        (Code::LED, _) => Command::Led { actions: LedActions(first), boards: Boards(second) },
        (Code::IPTAG, _) => {
            Command::Tag(TagCommand::of_arguments([first, second, third], TimeoutPlace::Argument2)?)
        }
        (Code::BMP_INFO, _) => Command::Info(InfoKind(first)),
        (Code::FLASH_COPY, length) => Command::FlashCopy { to: first, from: second, length },
        (Code::FLASH_ERASE, _) => Command::FlashErase { start: first, end: second },
        (Code::FLASH_WRITE, erase) => {
            Command::FlashWrite { address: first, length: second, erase: erase != 0 }
        }
        (Code::BMP_SF, 0) => Command::SerialFlashRead { address: first, length: second },
        (Code::BMP_SF, 1) => Command::SerialFlashWrite { address: first, data },
        (Code::BMP_SF, 2) => Command::SerialFlashCrc { address: first, length: second },
        (Code::BMP_EE, 0) => Command::EepromRead { address: first, length: second },
        (Code::BMP_EE, 1) => Command::EepromWrite { address: first, data },
        (Code::RESET, _) => {
            let how = [Reset::Release, Reset::Hold, Reset::Pulse].get(first as usize & 3).copied()?;
            Command::Reset { how, fpgas: first & 4 != 0, delay, boards: Boards(second) }
        }
        (Code::XILINX, _) => match first {
            0 => Command::FpgaLoad { data },
            1 => Command::FpgaInit { fpgas: second },
            2 => {
                let line = [Line::Low, Line::High, Line::Pulse].get(second as usize).copied()?;
                Command::FpgaLine { line }
            }
            _ => return None,
        },
        (Code::BMP_POWER, _) => Command::Power { on: first & 1 != 0, delay, boards: Boards(second) },
        _ => return None,
    })
}
