//! SC&MP, the monitor of every chip: what can be asked of it, and what it answers.
//!
//! `Command` is the meaning of a call; each variant says what its arguments hold. `tag` is about IP tags, `allocate` about
//! memory and the router, `neighbour` about packets that flood the machine, `chip` what a chip says of itself. Where a
//! variant says nothing of an argument, it is zero.

mod allocate;
mod chip;
mod neighbour;
mod tag;

pub use allocate::{Allocate, Router};
pub use chip::{ChipInfo, CoreState};
pub use neighbour::{Block, Neighbour, NeighbourPacket, Signal, SignalKind};
pub use tag::{TagCommand, TagEntry, TagFlags, TagId, TagTable};

pub(in crate::spinnaker) use tag::TimeoutPlace;

use super::scp::{Call, CommandCode, LedActions, Unit};

/// The number of an application, in whose name cores, memory and routes are held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct App(pub u8);

/// A set of cores of one chip: bit n for core n, 0 to 17.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cores(u32);

impl Cores {
    /// The bits that stand for cores.
    pub const MASK: u32 = (1 << 18) - 1;

    /// A set by its bits; those above 17 are dropped.
    pub fn of_bits(bits: u32) -> Cores {
        Cores(bits & Cores::MASK)
    }

    /// The bits.
    pub fn bits(self) -> u32 {
        self.0
    }

    /// The same and this core, unless it is above 17.
    pub fn and(self, core: u8) -> Cores {
        Cores::of_bits(self.0 | 1u32.checked_shl(u32::from(core)).unwrap_or(0))
    }
}

/// Which cores start an application: the word `app<<24, wait<<18, cores`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Start {
    /// The application they belong to from now on. Bits 24 to 31.
    pub app: App,
    /// Whether they wait for a signal before they start. Bit 18.
    pub wait: bool,
    /// The cores. Bits 0 to 17.
    pub cores: Cores,
}

impl Start {
    fn word(self) -> u32 {
        u32::from(self.app.0) << 24 | u32::from(self.wait) << 18 | self.cores.bits()
    }

    fn of_word(word: u32) -> Start {
        Start { app: App((word >> 24) as u8), wait: word & 1 << 18 != 0, cores: Cores::of_bits(word) }
    }
}

/// What is asked of SC&MP or of a core. Numbers are words of 32 bits, low byte first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command<'a> {
    /// 0: who are you? Answered with a `version::Version`.
    Version,
    /// 2: memory. Answered with the bytes.
    Read {
        /// Argument 1: where it starts.
        address: u32,
        /// Argument 2: bytes, at most 256.
        length: u32,
        /// Argument 3: how wide the accesses are.
        unit: Unit,
    },
    /// 3: write memory. Argument 2 is the length of the data.
    Write {
        /// Argument 1: where it starts.
        address: u32,
        /// Argument 3: how wide the accesses are.
        unit: Unit,
        /// The bytes, at most 256.
        data: &'a [u8],
    },
    /// 5: fill memory.
    Fill {
        /// Argument 1: where it starts.
        address: u32,
        /// Argument 2: what each word becomes.
        word: u32,
        /// Argument 3: bytes.
        length: u32,
    },
    /// 15: how many cores of an application are in a state? Answered with a word, after 10 ms; one at a time.
    Count {
        /// Argument 1: the application.
        app: App,
        /// Argument 2: the state.
        state: CoreState,
    },
    /// 16: do without a core from now on.
    Remap {
        /// Argument 1: its number.
        core: u32,
        /// Argument 2, bit 0: whether that number is the physical one.
        physical: bool,
    },
    /// 17: memory of the neighbour over a link. Answered with the bytes.
    LinkRead {
        /// Argument 1: where it starts.
        address: u32,
        /// Argument 2: bytes, at most 256.
        length: u32,
        /// Argument 3: the link, 0 to 5 from the east, counter-clockwise.
        link: u32,
    },
    /// 18: write memory of the neighbour over a link. Argument 2 is the length of the data.
    LinkWrite {
        /// Argument 1: where it starts.
        address: u32,
        /// Argument 3: the link, 0 to 5 from the east, counter-clockwise.
        link: u32,
        /// The bytes, at most 256.
        data: &'a [u8],
    },
    /// 19: start the application that is in memory.
    Run {
        /// Argument 1: as whose, and where.
        start: Start,
    },
    /// 20: send a nearest-neighbour packet.
    Neighbour(Neighbour),
    /// 21: take an application from the neighbour over a link, and start it.
    CopyRun {
        /// Argument 1, bits 0 to 2: the link, 0 to 5.
        link: u8,
        /// Argument 1, bits 3 to 31: the low 29 bits of the checksum.
        checksum: u32,
        /// Argument 2: bytes.
        size: u32,
        /// Argument 3: as whose, and where.
        start: Start,
    },
    /// 22: send a signal.
    Signal(Signal),
    /// 23: a block of a flood fill.
    Block(Block<'a>),
    /// 24: start an application that lies at an address.
    StartAt {
        /// Argument 1: where it lies.
        address: u32,
        /// Argument 2: as whose, and where.
        start: Start,
    },
    /// 25: LEDs of the chip.
    Led(LedActions),
    /// 26: the table of tags.
    Tag(TagCommand),
    /// 27: a transaction with the serial ROM. Answered with the bytes read.
    SerialRom {
        /// Argument 1, bits 16 to 31: bytes to read.
        length: u16,
        /// Argument 1, bits 0 to 15: bits to send.
        bits: u16,
        /// Argument 2: the ROM's command and address, as they are sent.
        word: u32,
    },
    /// 28: allocate and free.
    Allocate(Allocate),
    /// 29: the router.
    Router(Router),
    /// 31: what do you have? Answered with a `ChipInfo`.
    Info {
        /// Argument 1: what is wanted; firmware ignores it. Tools say 0x5F, or 0x7F if the sizes are wanted too.
        wanted: u32,
    },
    /// 32: beacons of synchronisation, on or off. Argument 1, 0 or 1.
    Sync(bool),
    /// Anything else, as its numbers.
    Other(Call<'a>),
}

impl<'a> Command<'a> {
    /// The meaning of a call. Turned into a call again, it is the same, bit by bit.
    pub fn of(call: Call<'a>) -> Command<'a> {
        // Whatever holds more than a variant can say would lose it there, and so stays numbers.
        interpret(&call).filter(|command| command.call() == call).unwrap_or(Command::Other(call))
    }

    /// The numbers of a meaning.
    pub fn call(&self) -> Call<'a> {
        use CommandCode as Code;
        match *self {
            Command::Version => Call::new(Code::VER, [0; 3]),
            Command::Read { address, length, unit } => {
                Call::new(Code::READ, [address, length, unit.number()])
            }
            Command::Write { address, unit, data } => {
                Call::new(Code::WRITE, [address, data.len() as u32, unit.number()]).with(data)
            }
            Command::Fill { address, word, length } => Call::new(Code::FILL, [address, word, length]),
            Command::Count { app, state } => Call::new(Code::COUNT, [app.0.into(), state.0.into(), 0]),
            Command::Remap { core, physical } => Call::new(Code::REMAP, [core, physical.into(), 0]),
            Command::LinkRead { address, length, link } => {
                Call::new(Code::LINK_READ, [address, length, link])
            }
            Command::LinkWrite { address, link, data } => {
                Call::new(Code::LINK_WRITE, [address, data.len() as u32, link]).with(data)
            }
            Command::Run { start } => Call::new(Code::AR, [start.word(), 0, 0]),
            Command::Neighbour(packet) => Call::new(Code::NNP, packet.arguments()),
            Command::CopyRun { link, checksum, size, start } => {
                Call::new(Code::APP_COPY_RUN, [checksum << 3 | u32::from(link & 7), size, start.word()])
            }
            Command::Signal(signal) => Call::new(Code::SIG, signal.arguments()),
            Command::Block(block) => Call::new(Code::FFD, block.arguments()).with(block.data),
            Command::StartAt { address, start } => Call::new(Code::AS, [address, start.word(), 0]),
            Command::Led(actions) => Call::new(Code::LED, [actions.0, 0, 0]),
            Command::Tag(tag) => Call::new(Code::IPTAG, tag.arguments(TimeoutPlace::Argument1)),
            Command::SerialRom { length, bits, word } => {
                Call::new(Code::SROM, [u32::from(length) << 16 | u32::from(bits), word, 0])
            }
            Command::Allocate(allocate) => Call::new(Code::ALLOC, allocate.arguments()),
            Command::Router(router) => Call::new(Code::RTR, router.arguments()),
            Command::Info { wanted } => Call::new(Code::INFO, [wanted, 0, 0]),
            Command::Sync(on) => Call::new(Code::SYNC, [on.into(), 0, 0]),
            Command::Other(call) => call,
        }
    }

    /// The fewest bytes that the body of a good reply has: fewer are a refusal, since SC&MP 4.0.0 says OK to everything.
    pub fn reply_bytes_min(&self) -> usize {
        match *self {
            Command::Version => super::version::Version::FIXED_BYTES,
            Command::Read { length, .. } | Command::LinkRead { length, .. } => length as usize,
            Command::Count { .. } => 4,
            Command::Tag(tag) => tag.reply_bytes_min(),
            Command::SerialRom { length, .. } => length.into(),
            Command::Allocate(allocate) => allocate.reply_bytes_min(),
            Command::Router(Router::FixedRoute { .. }) => 4,
            Command::Info { .. } => ChipInfo::BYTES_MIN,
            _ => 0,
        }
    }

    /// Whether to ask once more could do what asking once does not.
    pub fn changes_state(&self) -> bool {
        match self {
            Command::Version
            | Command::Read { .. }
            | Command::Count { .. }
            | Command::LinkRead { .. }
            | Command::Info { .. } => false,
            Command::Tag(tag) => tag.changes_state(),
            Command::Allocate(allocate) => allocate.changes_state(),
            Command::Router(router) => !matches!(router, Router::FixedRoute { .. }),
            _ => true,
        }
    }
}

/// The nearest meaning, which may have lost something.
fn interpret<'a>(call: &Call<'a>) -> Option<Command<'a>> {
    use CommandCode as Code;
    let ([first, second, third], data) = (call.arguments.padded(), call.data);
    Some(match call.command {
        Code::VER => Command::Version,
        Code::READ => Command::Read { address: first, length: second, unit: Unit::of_number(third)? },
        Code::WRITE => Command::Write { address: first, unit: Unit::of_number(third)?, data },
        Code::FILL => Command::Fill { address: first, word: second, length: third },
        Code::COUNT => Command::Count { app: App(first as u8), state: CoreState(second as u8) },
        Code::REMAP => Command::Remap { core: first, physical: second & 1 != 0 },
        Code::LINK_READ => Command::LinkRead { address: first, length: second, link: third },
        Code::LINK_WRITE => Command::LinkWrite { address: first, link: third, data },
        Code::AR => Command::Run { start: Start::of_word(first) },
        Code::NNP => Command::Neighbour(Neighbour::of_arguments([first, second, third])),
        Code::APP_COPY_RUN => Command::CopyRun {
            link: (first & 7) as u8,
            checksum: first >> 3,
            size: second,
            start: Start::of_word(third),
        },
        Code::SIG => Command::Signal(Signal::of_arguments([first, second, third])?),
        Code::FFD => Command::Block(Block::of_arguments([first, second, third], data)),
        Code::AS => Command::StartAt { address: first, start: Start::of_word(second) },
        Code::LED => Command::Led(LedActions(first)),
        Code::IPTAG => {
            Command::Tag(TagCommand::of_arguments([first, second, third], TimeoutPlace::Argument1)?)
        }
        Code::SROM => Command::SerialRom { length: (first >> 16) as u16, bits: first as u16, word: second },
        Code::ALLOC => Command::Allocate(Allocate::of_arguments([first, second, third])?),
        Code::RTR => Command::Router(Router::of_arguments([first, second, third])?),
        Code::INFO => Command::Info { wanted: first },
        Code::SYNC => Command::Sync(first & 1 != 0),
        _ => return None,
    })
}
