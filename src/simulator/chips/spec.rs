//! What a machine of simulated chips is made of, before anything happens to it.

use crate::allocator::BoardIndex;
use crate::allocator::link::Link;
use crate::spinnaker::BOOT_UDP_PORT;
use crate::spinnaker::scamp::CoreState;
use std::net::{Ipv4Addr, SocketAddrV4};

/// How SC&MP tells that a command failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dialect {
    /// The reply has the code of the error.
    #[default]
    Codes,
    /// As 4.0.0 does: what a command finds wrong comes back as OK with nothing in it; only the codes of the way there survive.
    Masked,
}

/// Which SC&MP an image turns into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Firmware {
    /// How it tells of errors.
    pub dialect: Dialect,
    /// Major, minor and patch, as it says them.
    pub release: [u8; 3],
    /// When it was built, in seconds since 1970.
    pub built_unix_s: u32,
}

impl Default for Firmware {
    fn default() -> Firmware {
        Firmware { dialect: Dialect::Codes, release: [4, 0, 0], built_unix_s: 1_712_398_899 }
    }
}

/// A machine of simulated chips. All its boards begin switched off.
#[derive(Clone, Debug)]
pub struct ChipsSpec {
    /// Triads from west to east, 1 to 21.
    pub width: u32,
    /// Triads from south to north, 1 to 21.
    pub height: u32,
    /// The boards that are there, and the address of each.
    pub present: Vec<(BoardIndex, Ipv4Addr)>,
    /// Links between boards that do not work; one end is enough.
    pub dead_links: Vec<(BoardIndex, Link)>,
    /// Chips that do not work, by their place on the board.
    pub dead_chips: Vec<(BoardIndex, u8, u8)>,
    /// What an image turns into, whatever is in it.
    pub scamp: Firmware,
    /// From which numbers nobody relies on are made up: padding of replies, for example.
    pub seed: u64,
    /// Where hellos go until a board hears a boot message.
    pub hello_to: SocketAddrV4,
    /// Milliseconds between a boot and the first word of SC&MP, which is that it wakes.
    pub boot_silence_ms: u64,
    /// Milliseconds between a boot and a machine that knows its chips.
    pub boot_ms: u64,
    /// Bytes of the largest block that can be had of a fresh chip's SDRAM.
    pub sdram_heap_bytes: u32,
    /// Bytes of the largest block that can be had of a fresh chip's system RAM.
    pub system_ram_heap_bytes: u32,
    /// The physical core that runs SC&MP on every chip, 0 to 17.
    pub monitor_core: u8,
    /// Which network card the tables of tags show behind every address.
    pub gateway_mac: [u8; 6],
    /// Where a core of an application is once it has started: nothing runs, so nobody else moves it on.
    pub started: CoreState,
    /// The core of every chip that sends back what is sent to it, if there is one.
    pub echo_core: Option<u8>,
}

impl ChipsSpec {
    /// A machine of so many triads with all its boards, at addresses from this one on.
    pub fn whole(width: u32, height: u32, first: Ipv4Addr) -> ChipsSpec {
        let boards = (0..width * height * 3)
            .map(|board| (BoardIndex(board), Ipv4Addr::from(u32::from(first).wrapping_add(board))));
        ChipsSpec { width, height, present: boards.collect(), ..ChipsSpec::default() }
    }
}

impl Default for ChipsSpec {
    fn default() -> ChipsSpec {
        ChipsSpec {
            width: 1,
            height: 1,
            present: Vec::new(),
            dead_links: Vec::new(),
            dead_chips: Vec::new(),
            scamp: Firmware::default(),
            seed: 1,
            hello_to: SocketAddrV4::new(Ipv4Addr::new(127, 255, 255, 255), BOOT_UDP_PORT),
            boot_silence_ms: 100,
            boot_ms: 1_500,
            sdram_heap_bytes: 123_469_792,
            system_ram_heap_bytes: 22_232,
            monitor_core: 3,
            gateway_mac: [0x22; 6],
            started: CoreState::RUN,
            echo_core: None,
        }
    }
}
