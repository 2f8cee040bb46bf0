//! One chip that runs SC&MP: its memory, tags, heap, router and cores.
//!
//! The states of cores lie in their blocks in memory, where hosts read and change them. What is shown of the router cannot be
//! written there.

use super::heap::Heap;
use super::layout::{
    self, Birth, CLOCKS, CORE_BYTES, CORE_COUNT, CORE_MAPS, CORES, FIRST_FREE_ROW, FIXED_ROUTE,
};
use super::memory::{Budget, Memory, canonical};
use super::router::{Router, Row};
use super::tags::Tags;
use crate::spinnaker::scamp::{App, ChipInfo, CoreState, Start};
use crate::spinnaker::scp::{LedAction, LedActions};
use crate::spinnaker::sdp::Chip as Numbers;
use std::net::Ipv4Addr;

/// Cores of a chip, working or not.
pub const CORES_MAX: u8 = 18;

/// Where the state of a core is in its block.
const STATE: u32 = 46;
/// Where its application is.
const APP: u32 = 47;
/// The start of the words that users may write, which an application finds as it was left.
const USER_WORDS: u32 = 112;

/// The key and mask of signals, the first row of every router.
const SIGNAL_KEY: (u32, u32) = (0xFFFF_5554, 0xFFFF_FFFE);

/// A flood fill that a chip is in.
#[derive(Clone, Debug, Default)]
pub struct Fill {
    /// Which.
    pub id: u8,
    /// How many blocks it has.
    pub blocks: u8,
    /// Those that came.
    pub had: [u64; 4],
    /// How many that are.
    pub count: u8,
    /// Whether this chip was meant.
    pub load: bool,
    /// Cores chosen besides those of the end.
    pub cores: u32,
}

/// A chip.
#[derive(Debug)]
pub struct Chip {
    /// Its memory.
    pub memory: Memory,
    /// Its tags.
    pub tags: Tags,
    /// The heap of its SDRAM.
    pub heap: Heap,
    /// Its router.
    pub router: Router,
    /// The flood fill it is in.
    pub fill: Option<Fill>,
    /// Whether it counts cores at present.
    pub counting: bool,
    /// Which LEDs are on, a bit each.
    pub leds: u16,
    /// Messages that came to each core but the monitor.
    pub messages: [u64; CORES_MAX as usize],
    monitor: u8,
    working: u32,
    apps: [u8; CORES_MAX as usize],
    started: CoreState,
    system_ram_bytes: u32,
    address: Option<Ipv4Addr>,
}

impl Chip {
    /// A chip that has just booted.
    pub fn new(birth: &Birth<'_>, budget: &mut Budget) -> Chip {
        let mut memory = Memory::default();
        birth.write(&mut memory, budget);
        let (key, mask) = SIGNAL_KEY;
        let spec = birth.spec;
        let mut chip = Chip {
            memory,
            tags: Tags::new(spec.gateway_mac),
            heap: Heap::new(layout::heap_start(), spec.sdram_heap_bytes),
            router: Router::new(Row { route: 1 << 6, key, mask, app: App(0) }),
            fill: None,
            counting: false,
            leds: 1,
            messages: [0; CORES_MAX as usize],
            monitor: spec.monitor_core.min(CORES_MAX - 1),
            working: (1 << CORES_MAX) - 1,
            apps: [0; CORES_MAX as usize],
            started: spec.started,
            system_ram_bytes: spec.system_ram_heap_bytes,
            address: birth.address,
        };
        chip.set_core(budget, 0, App(0), CoreState::RUN);
        chip.idle(budget, u32::MAX);
        chip
    }

    /// How many cores work.
    pub fn core_count(&self) -> u8 {
        self.working.count_ones() as u8
    }

    /// The physical number of a core that works.
    pub fn physical(&self, core: u8) -> u8 {
        self.memory.byte(CORE_MAPS + 20 + u32::from(core))
    }

    fn block(core: u8) -> u32 {
        CORES + CORE_BYTES * u32::from(core)
    }

    /// What a core does.
    pub fn state(&self, core: u8) -> CoreState {
        CoreState(self.memory.byte(Chip::block(core) + STATE))
    }

    fn set_state(&mut self, budget: &mut Budget, core: u8, state: CoreState) {
        self.memory.write(budget, Chip::block(core) + STATE, &[state.0]);
    }

    /// Starts the block of a core anew.
    fn set_core(&mut self, budget: &mut Budget, core: u8, app: App, state: CoreState) {
        let (block, physical) = (Chip::block(core), self.physical(core));
        self.memory.fill(budget, block, 0, USER_WORDS);
        self.memory.write(budget, block + STATE - 1, &[physical, state.0]);
        self.memory.write(budget, block + APP, &[app.0]);
        self.apps[usize::from(core)] = app.0;
    }

    /// The cores for applications of a set.
    fn application_cores(&self, mask: u32) -> impl Iterator<Item = u8> + use<> {
        (1..self.core_count()).filter(move |core| mask >> core & 1 == 1)
    }

    /// Makes cores idle.
    pub fn idle(&mut self, budget: &mut Budget, mask: u32) {
        for core in self.application_cores(mask) {
            self.set_core(budget, core, App(0), CoreState::IDLE);
        }
    }

    /// Starts an application on cores.
    pub fn start(&mut self, budget: &mut Budget, start: Start) {
        let state = if start.wait { WAIT } else { self.started };
        for core in self.application_cores(start.cores.bits()) {
            self.set_core(budget, core, start.app, state);
        }
    }

    /// A signal to the cores of applications: `signal<<16, mask<<8, app`.
    pub fn signal(&mut self, budget: &mut Budget, data: u32) {
        let (app, mask) = (data as u8, (data >> 8) as u8);
        let meant = |core: &u8| self.apps[usize::from(*core)] & mask == app;
        let cores = (1..self.core_count()).filter(meant).fold(0u32, |cores, core| cores | 1 << core);
        match data >> 16 & 15 {
            0 => self.idle(budget, cores),
            1 => self.power_down(budget, cores),
            2 => self.stop(budget, app, mask, cores),
            signal => self.application_cores(cores).for_each(|core| {
                let state = after(signal, self.state(core), self.started);
                self.set_state(budget, core, state);
            }),
        }
    }

    fn power_down(&mut self, budget: &mut Budget, cores: u32) {
        for core in self.application_cores(cores) {
            self.set_core(budget, core, App(0), POWER_DOWN);
        }
    }

    /// Ends applications, and gives back what they had.
    fn stop(&mut self, budget: &mut Budget, app: u8, mask: u8, cores: u32) {
        for app in (app..=u8::MAX).take_while(|candidate| candidate & mask == app).map(App) {
            self.heap.free_all(app);
            self.router.free_all(app, true);
        }
        self.idle(budget, cores);
    }

    /// How many cores of an application are in a state.
    pub fn count(&self, app: u32, state: u32) -> u32 {
        let counted = |core: &u8| {
            u32::from(self.apps[usize::from(*core)]) == app && u32::from(self.state(*core).0) == state
        };
        (1..self.core_count()).filter(counted).count() as u32
    }

    /// Does without a core from now on; false if there is no such core for applications.
    pub fn remap(&mut self, budget: &mut Budget, core: u32, physical: bool) -> bool {
        let Some(core) = u8::try_from(core).ok().filter(|core| *core <= CORES_MAX) else { return false };
        let number = if physical { self.memory.byte(CORE_MAPS + u32::from(core)) } else { core };
        if number == 0 || number >= self.core_count() {
            return false;
        }
        self.working &= !(1 << self.physical(number));
        let working = self.working;
        let (to_virtual, to_physical) = layout::core_maps(self.monitor, |core| working >> core & 1 == 1);
        self.memory.write(budget, CORE_MAPS, &to_virtual);
        self.memory.write(budget, CORE_MAPS + 20, &to_physical);
        self.memory.write(budget, CORE_COUNT, &[self.core_count()]);
        self.idle(budget, u32::MAX);
        self.memory.fill(budget, Chip::block(self.core_count()), 0, CORE_BYTES);
        true
    }

    /// Switches LEDs.
    pub fn switch_leds(&mut self, actions: u32) {
        for led in 0..16 {
            let bit = 1 << led;
            match LedActions(actions).of(led) {
                Some(LedAction::Toggle) => self.leds ^= bit,
                Some(LedAction::Off) => self.leds &= !bit,
                Some(LedAction::On) => self.leds |= bit,
                None => {}
            }
        }
    }

    /// What it says of itself.
    pub fn info(&self, links: u8, parent: u8, nearest_ethernet: Numbers) -> ChipInfo {
        ChipInfo {
            cores: self.core_count(),
            links,
            free_routes: self.router.free_rows_max(),
            ethernet: self.address.is_some(),
            unused: 0,
            sdram_bytes: self.heap.space().1,
            system_ram_bytes: self.system_ram_bytes,
            states: std::array::from_fn(|core| self.state(core as u8)),
            nearest_ethernet,
            address: self.address.unwrap_or(Ipv4Addr::UNSPECIFIED),
            parent_link: Some(parent.into()),
        }
    }

    /// A word of what can only be read, if that lies there: all but the routes from point to point.
    pub fn shown(&self, address: u32) -> Option<u32> {
        self.router.word(canonical(address) & !3)
    }

    /// Brings up to date what changes in the system variables by itself: the counters of time, the first free row of the
    /// router, the route of packets without a key.
    pub fn refresh(&mut self, budget: &mut Budget, since_boot_ms: u64, booted_unix_s: u32) {
        let seconds = (since_boot_ms / 1000) as u32;
        self.memory.write(budget, CLOCKS, &since_boot_ms.to_le_bytes());
        self.memory.write(budget, CLOCKS + 12, &booted_unix_s.wrapping_add(seconds).to_le_bytes());
        let (free, fixed) = (self.router.first_free() as u16, self.router.fixed());
        self.memory.write(budget, FIRST_FREE_ROW, &free.to_le_bytes());
        self.memory.write(budget, FIXED_ROUTE, &fixed.to_le_bytes());
    }
}

/// An application that waits to be started.
const WAIT: CoreState = CoreState(5);
/// A core without power.
const POWER_DOWN: CoreState = CoreState(1);

/// What a core does after a signal, in the states that a well-behaved application would go through.
fn after(signal: u32, state: CoreState, started: CoreState) -> CoreState {
    match (signal, state.0) {
        (3, 5) => started,
        (4, 8) | (5, 9) | (7, 10) => CoreState::RUN,
        (6, 7) => CoreState(10),
        (8, _) => CoreState(11),
        _ => state,
    }
}
