//! What a chip says of itself. Its place is not in the body: it is the source of the reply.

use super::super::PacketError;
use super::super::bytes::Reader;
use super::super::sdp::Chip;
use std::net::Ipv4Addr;

/// What a core does, in four bits; kept as it comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CoreState(pub u8);

impl CoreState {
    /// The names by number, as tools print them.
    pub const NAMES: [&'static str; 16] = [
        "dead",
        "power_down",
        "runtime_exception",
        "watchdog",
        "init",
        "wait",
        "c_main",
        "run",
        "sync0",
        "sync1",
        "pause",
        "exit",
        "state_12",
        "state_13",
        "state_14",
        "idle",
    ];

    /// Nothing runs there.
    pub const IDLE: CoreState = CoreState(15);
    /// An application runs there; also the monitor's.
    pub const RUN: CoreState = CoreState(7);

    /// The name, if it has one.
    pub fn name(self) -> Option<&'static str> {
        CoreState::NAMES.get(usize::from(self.0)).copied()
    }
}

/// The cores of a chip.
const CORES: usize = 18;

/// What a chip has.
///
/// | offset | bytes | field | unit and order |
/// |---|---|---|---|
/// | 0 | 4 | word: working cores in bits 0 to 4, working links in 8 to 13, free routes in 14 to 24, Ethernet up in 25 | low byte first |
/// | 4 | 4 | largest free block of SDRAM | bytes, low byte first |
/// | 8 | 4 | largest free block of system RAM | bytes, low byte first |
/// | 12 | 18 | state of each core | `CoreState` |
/// | 30 | 2 | nearest chip with an Ethernet plug | y, then x |
/// | 32 | 4 | IPv4 address, 0.0.0.0 for none | first number first |
/// | 36 | 2 | link to the parent, 7 at the root; may be missing | low byte first |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChipInfo {
    /// Cores that work.
    pub cores: u8,
    /// Links that work, a bit each.
    pub links: u8,
    /// Rows of the router that are free.
    pub free_routes: u16,
    /// Whether it has an Ethernet plug that works.
    pub ethernet: bool,
    /// The bits of the first word that mean nothing.
    pub unused: u32,
    /// Bytes of the largest free block of SDRAM.
    pub sdram_bytes: u32,
    /// Bytes of the largest free block of system RAM.
    pub system_ram_bytes: u32,
    /// What each core does.
    pub states: [CoreState; CORES],
    /// The nearest chip with an Ethernet plug.
    pub nearest_ethernet: Chip,
    /// Its IPv4 address; 0.0.0.0 for none.
    pub address: Ipv4Addr,
    /// The link over which it was woken, if it says so; 7 at the root.
    pub parent_link: Option<u16>,
}

impl ChipInfo {
    /// The fewest bytes of a body: without the parent.
    pub const BYTES_MIN: usize = 36;

    /// The bits of the first word that mean something.
    const USED: u32 = 0x1F | 0x3F << 8 | 0x7FF << 14 | 1 << 25;

    /// Appends the body of a reply.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let word = u32::from(self.cores & 0x1F)
            | u32::from(self.links & 0x3F) << 8
            | u32::from(self.free_routes & 0x7FF) << 14
            | u32::from(self.ethernet) << 25
            | self.unused & !ChipInfo::USED;
        for number in [word, self.sdram_bytes, self.system_ram_bytes] {
            out.extend(number.to_le_bytes());
        }
        out.extend(self.states.map(|state| state.0));
        out.extend([self.nearest_ethernet.y, self.nearest_ethernet.x]);
        out.extend(self.address.octets());
        out.extend(self.parent_link.into_iter().flat_map(u16::to_le_bytes));
    }

    /// Reads the body of a reply.
    pub fn decode(body: &[u8]) -> Result<ChipInfo, PacketError> {
        let mut reader = Reader::new(body);
        let [word, sdram_bytes, system_ram_bytes] = reader.u32s()?;
        let states = reader.array::<CORES>()?.map(CoreState);
        let [y, x] = reader.array()?;
        Ok(ChipInfo {
            cores: (word & 0x1F) as u8,
            links: (word >> 8 & 0x3F) as u8,
            free_routes: (word >> 14 & 0x7FF) as u16,
            ethernet: word & 1 << 25 != 0,
            unused: word & !ChipInfo::USED,
            sdram_bytes,
            system_ram_bytes,
            states,
            nearest_ethernet: Chip { x, y },
            address: Ipv4Addr::from(reader.array::<4>()?),
            parent_link: reader.u16().ok(),
        })
    }
}
