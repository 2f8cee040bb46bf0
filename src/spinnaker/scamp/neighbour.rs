//! What floods the machine from chip to chip: packets, applications block by block, signals.

use super::super::sdp::Chip;
use super::{App, Start};

/// A nearest-neighbour packet as it is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NeighbourPacket {
    /// Argument 1: the packet's key.
    pub key: u32,
    /// Argument 2: the packet's data.
    pub data: u32,
    /// Argument 3, bit 31: whether an id is put into it, so that each chip passes it on once.
    pub mark: bool,
    /// Argument 3, bits 8 to 15: the links over which each chip passes it on.
    pub forward: u8,
    /// Argument 3, bits 0 to 7: how often it is repeated, and after how long.
    pub retry: u8,
}

/// What is asked by nearest-neighbour packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Neighbour {
    /// Key `6<<24, id<<16, blocks<<8`: a flood fill begins.
    FloodStart {
        /// Which fill.
        id: u8,
        /// In how many blocks.
        blocks: u8,
        /// The packet's data: which chips take it (`region_of`, `EVERYWHERE`).
        region: u32,
    },
    /// Key `15<<24` with the id: a flood fill is over, start.
    FloodEnd {
        /// Which fill.
        id: u8,
        /// The packet's data: as whose, and where.
        start: Start,
    },
    /// Key `0x3F<<16`, data `5<<28, 2<<16, 0xFF<<8` with the application: it stops everywhere.
    Stop {
        /// Which application.
        app: App,
    },
    /// Any other packet.
    Packet(NeighbourPacket),
}

/// All links forwarded, and the repeats that tools ask for in a flood fill.
const FORWARD: u8 = 0x3F;
const RETRY: u8 = 0x1A;
const STOP_KEY: u32 = 0x3F << 16;
const STOP_DATA: u32 = 5 << 28 | 2 << 16 | 0xFF << 8;

impl Neighbour {
    /// The region of all chips.
    pub const EVERYWHERE: u32 = 0xFFFF;

    /// The region of one chip: its block of 4 by 4 in bits 16 to 31 (x in the upper byte, y in the lower, with 3 in its low bits for
    /// the size), and a bit for the chip in the block.
    pub fn region_of(chip: Chip) -> u32 {
        let block = u32::from(chip.x & 0xFC) << 24 | u32::from(chip.y & 0xFC | 3) << 16;
        block | 1 << ((chip.y & 3) * 4 + (chip.x & 3))
    }

    /// The packet it is.
    pub fn packet(&self) -> NeighbourPacket {
        let sent = |key: u32, data: u32, mark: bool, retry: u8| NeighbourPacket {
            key,
            data,
            mark,
            forward: FORWARD,
            retry,
        };
        match *self {
            Neighbour::FloodStart { id, blocks, region } => {
                sent(6 << 24 | u32::from(id) << 16 | u32::from(blocks) << 8, region, true, RETRY)
            }
            Neighbour::FloodEnd { id, start } => sent(15 << 24 | u32::from(id), start.word(), false, RETRY),
            Neighbour::Stop { app } => sent(STOP_KEY, STOP_DATA | u32::from(app.0), true, 0),
            Neighbour::Packet(packet) => packet,
        }
    }

    pub(super) fn arguments(&self) -> [u32; 3] {
        let packet = self.packet();
        let how = u32::from(packet.mark) << 31 | u32::from(packet.forward) << 8 | u32::from(packet.retry);
        [packet.key, packet.data, how]
    }

    /// The nearest meaning, which may have lost unused bits of argument 3.
    pub(super) fn of_arguments([key, data, how]: [u32; 3]) -> Neighbour {
        let packet =
            NeighbourPacket { key, data, mark: how >> 31 != 0, forward: (how >> 8) as u8, retry: how as u8 };
        let (start, id) = (Start::of_word(data), (key >> 16) as u8);
        let meanings = [
            Neighbour::FloodStart { id, blocks: (key >> 8) as u8, region: data },
            Neighbour::FloodEnd { id: key as u8, start },
            Neighbour::Stop { app: App(data as u8) },
        ];
        let meant = meanings.into_iter().find(|meaning| meaning.packet() == packet);
        meant.unwrap_or(Neighbour::Packet(packet))
    }
}

/// One block of a flood fill. The words are counted less one: `block<<16, (words-1)<<8`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block<'a> {
    /// Argument 1, bits 0 to 7: which fill. Above it stand the links and repeats, `0x3F<<24, 0x1E<<16`.
    pub id: u8,
    /// Argument 2, bits 16 to 23: the block, from 0.
    pub number: u8,
    /// Argument 3: where it goes.
    pub address: u32,
    /// What goes there, 1 to 64 words.
    pub data: &'a [u8],
}

impl<'a> Block<'a> {
    pub(super) fn arguments(&self) -> [u32; 3] {
        let words = (self.data.len() / 4).wrapping_sub(1) as u8;
        let first = u32::from(FORWARD) << 24 | 0x1E << 16 | u32::from(self.id);
        [first, u32::from(self.number) << 16 | u32::from(words) << 8, self.address]
    }

    /// The nearest meaning, which may have lost something.
    pub(super) fn of_arguments([first, second, third]: [u32; 3], data: &'a [u8]) -> Block<'a> {
        Block { id: first as u8, number: (second >> 16) as u8, address: third, data }
    }
}

/// How a signal travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SignalKind {
    /// 0: by multicast.
    Multicast = 0,
    /// 1: from point to point; refused by today's firmware.
    PointToPoint = 1,
    /// 2: from neighbour to neighbour.
    NearestNeighbour = 2,
}

/// A signal to the cores of applications.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signal {
    /// Argument 1: how it travels.
    pub kind: SignalKind,
    /// Argument 2, bits 16 to 23: which signal.
    pub signal: u8,
    /// Argument 2, bits 8 to 15: which bits of the application are compared; all, as a rule.
    pub app_mask: u8,
    /// Argument 2, bits 0 to 7: which application.
    pub app: App,
    /// Argument 3: which cores of those that match; 0xFFFF is all.
    pub cores: u32,
}

impl Signal {
    /// Initialise.
    pub const INIT: u8 = 0;
    /// Power down.
    pub const POWER_DOWN: u8 = 1;
    /// Stop.
    pub const STOP: u8 = 2;
    /// Start.
    pub const START: u8 = 3;
    /// Pass the first barrier.
    pub const SYNC0: u8 = 4;
    /// Pass the second barrier.
    pub const SYNC1: u8 = 5;
    /// Pause.
    pub const PAUSE: u8 = 6;
    /// Go on.
    pub const CONTINUE: u8 = 7;
    /// End.
    pub const EXIT: u8 = 8;
    /// A tick.
    pub const TIMER: u8 = 9;
    /// The first of four that applications give a meaning: 10 to 13.
    pub const USER_0: u8 = 10;

    /// A signal to all cores of one application, by the way that suits it.
    pub fn to(app: App, signal: u8) -> Signal {
        let kind = if signal <= Signal::STOP { SignalKind::NearestNeighbour } else { SignalKind::Multicast };
        Signal { kind, signal, app_mask: 0xFF, app, cores: 0xFFFF }
    }

    pub(super) fn arguments(&self) -> [u32; 3] {
        let to = u32::from(self.signal) << 16 | u32::from(self.app_mask) << 8 | u32::from(self.app.0);
        [self.kind as u32, to, self.cores]
    }

    /// The nearest meaning, which may have lost something.
    pub(super) fn of_arguments([first, second, third]: [u32; 3]) -> Option<Signal> {
        let kind = match first {
            0 => SignalKind::Multicast,
            1 => SignalKind::PointToPoint,
            2 => SignalKind::NearestNeighbour,
            _ => return None,
        };
        let (signal, app_mask) = ((second >> 16) as u8, (second >> 8) as u8);
        Some(Signal { kind, signal, app_mask, app: App(second as u8), cores: third })
    }
}
