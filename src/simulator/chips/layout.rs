//! Where SC&MP keeps its things in a chip's memory, and what it writes there when it starts.
//!
//! | address | what |
//! |---|---|
//! | 0x60240000 | the heap of SDRAM |
//! | 0x67800000 | the application that was loaded last, 256 KiB |
//! | 0x67840000 | distances, copy of the router's table, tags of blocks, applications |
//! | 0xE1004000, 8000, C000 | routes, keys, masks of the router |
//! | 0xE1010000 | routes from point to point: 8 a word, 3 bits each, word (256x + y) / 8 |
//! | 0xE5007000 | 18 blocks of 128 bytes, one for each core |
//! | 0xE5007F00 | the system variables |

use super::machine::Machine;
use super::memory::{Budget, Memory};
use super::{ChipsSpec, mesh::Place};
use crate::spinnaker::sdp::Chip;
use crate::spinnaker::system_variables::{BOOT_BYTES, BYTES as VARIABLES_BYTES, SystemVariables};
use std::net::Ipv4Addr;

/// Where SDRAM begins.
pub const SDRAM: u32 = 0x6000_0000;
/// The buffers that SC&MP keeps at the start of SDRAM.
const SDRAM_HEAP: u32 = 0x6024_0000;
/// Where an application is loaded, and where the heap ends.
pub const APPLICATION: u32 = 0x6780_0000;
/// The most bytes of an application.
pub const APPLICATION_BYTES_MAX: u32 = 0x4_0000;
/// Distances of chips.
const HOPS: u32 = 0x6784_0018;
/// The copy of the router's table, 16 bytes a row.
pub const ROUTER_COPY: u32 = 0x6788_0020;
/// Tags of blocks.
const TAGS: u32 = 0x6788_4038;
/// What SC&MP knows of applications.
const APPLICATIONS: u32 = 0x678C_4040;
/// The router's registers.
pub const ROUTER: u32 = 0xE100_0000;
/// Routes from point to point.
pub const P2P_TABLE: u32 = 0xE101_0000;
/// Bytes of them.
pub const P2P_BYTES: u32 = 0x8000;
/// The heap of system RAM.
const SYSTEM_RAM: u32 = 0xE500_0100;
/// The blocks of the cores.
pub const CORES: u32 = 0xE500_7000;
/// Bytes of the block of a core.
pub const CORE_BYTES: u32 = 128;
/// The system variables.
pub const VARIABLES: u32 = 0xE500_7F00;
/// The two counters of time in them: milliseconds since the boot, seconds since 1970.
pub const CLOCKS: u32 = VARIABLES + 16;
/// The map of cores from physical to virtual, and 20 bytes on the one back.
pub const CORE_MAPS: u32 = VARIABLES + 148;
/// How many cores work.
pub const CORE_COUNT: u32 = VARIABLES + 188;

/// The first free row of the router.
pub const FIRST_FREE_ROW: u32 = VARIABLES + 224;
/// The route of packets without a key.
pub const FIXED_ROUTE: u32 = VARIABLES + 244;

/// The first block of the heap of SDRAM.
pub fn heap_start() -> u32 {
    SDRAM_HEAP + 16
}

/// What a chip learns when its machine boots.
pub struct Birth<'a> {
    /// What its machine is made of.
    pub spec: &'a ChipsSpec,
    /// Its machine.
    pub machine: &'a Machine,
    /// Where it is.
    pub place: Place,
    /// Its numbers.
    pub chip: Chip,
    /// The address of its own plug.
    pub address: Option<Ipv4Addr>,
    /// The first variables, as they came with the image.
    pub variables: [u8; BOOT_BYTES],
}

impl Birth<'_> {
    /// Writes what SC&MP writes.
    pub fn write(&self, memory: &mut Memory, budget: &mut Budget) {
        memory.write(budget, VARIABLES, &self.system_variables());
        let monitor = self.spec.monitor_core.min(17);
        let (physical, virtual_) = core_maps(monitor, |_| true);
        memory.write(budget, CORE_MAPS, &physical);
        memory.write(budget, CORE_MAPS + 20, &virtual_);
    }

    fn system_variables(&self) -> [u8; VARIABLES_BYTES] {
        let mut bytes = [0; VARIABLES_BYTES];
        bytes[..BOOT_BYTES].copy_from_slice(&self.variables);
        let mut block = SystemVariables::of_bytes(bytes);
        for (name, value) in self.values() {
            // A name or a number that the table has not is a mistake of this file; its test would show it.
            block.set(name, value).ok();
        }
        *block.bytes()
    }

    /// The variables that depend on the chip, or that SC&MP itself sets.
    fn values(&self) -> Vec<(&'static str, u64)> {
        let (machine, root) = (self.machine, self.machine.root);
        let ethernet = machine.chip(Place::ethernet(self.place.board)).unwrap_or(self.chip);
        let address = self.address.map_or(0, |address| u32::from_le_bytes(address.octets()));
        let low = |size: u32| u64::from(size.min(255));
        vec![
            ("x", self.chip.x.into()),
            ("y", self.chip.y.into()),
            ("x_size", low(machine.width)),
            ("y_size", low(machine.height)),
            ("debug_x", ethernet.x.into()),
            ("debug_y", ethernet.y.into()),
            ("is_peer_to_peer_available", 1),
            ("nearest_ethernet_x", ethernet.x.into()),
            ("nearest_ethernet_y", ethernet.y.into()),
            ("is_ethernet_available", self.address.is_some().into()),
            ("netinit_phase", NETINIT_DONE),
            ("p2p_root_x", root.x.into()),
            ("p2p_root_y", root.y.into()),
            ("is_root_chip", (self.chip == root).into()),
            ("links_available", machine.links(self.chip).into()),
            ("n_working_cores", 18),
            ("system_ram_heap_address", (SYSTEM_RAM + 0x1000).into()),
            ("sdram_heap_address", SDRAM_HEAP.into()),
            ("iobuf_size", 16384),
            ("system_sdram_bytes", SDRAM.into()),
            ("sdram_base_address", SDRAM_HEAP.into()),
            ("system_ram_base_address", SYSTEM_RAM.into()),
            ("system_sdram_base_address", APPLICATION.into()),
            ("cpu_information_base_address", CORES.into()),
            ("system_sdram_heap_address", (APPLICATION + APPLICATION_BYTES_MAX).into()),
            ("router_table_copy_address", ROUTER_COPY.into()),
            ("peer_to_peer_hop_table_address", HOPS.into()),
            ("allocated_tag_table_address", TAGS.into()),
            ("first_free_router_entry", 1),
            ("n_active_peer_to_peer_addresses", machine.places().count() as u64),
            ("app_data_table_address", APPLICATIONS.into()),
            ("ethernet_ip_address", address.into()),
        ]
    }
}

/// The phase of a machine that knows its chips.
const NETINIT_DONE: u64 = 0xFF;

/// The maps of cores, physical to virtual and back, 20 bytes each: the monitor is core 0, those that work follow in order.
pub fn core_maps(monitor: u8, works: impl Fn(u8) -> bool) -> ([u8; 20], [u8; 20]) {
    let (mut to_virtual, mut to_physical) = ([255; 20], [255; 20]);
    let others = (0..18).filter(|core| *core != monitor && works(*core));
    for (number, core) in (0..).zip(std::iter::once(monitor).chain(others)) {
        to_virtual[usize::from(core)] = number;
        to_physical[usize::from(number)] = core;
    }
    (to_virtual, to_physical)
}
