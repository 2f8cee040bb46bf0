//! The SpiNNaker chips of one machine, simulated: they wait for a boot image, boot, and then answer as SC&MP does.
//!
//! ```text
//!   datagram -> Chips::handle -+-> boot_rom     a board that was not booted
//!                              +-> delivery     tags, the way from chip to chip, the way out
//!                                    +-> commands (flood, own; chip: heap, router, tags, memory, layout)
//!
//!   mesh: links as they are now      machine: places and routes as one boot found them      booted: both, and its chips
//! ```
//!
//! Read `spec` first, then this file, then along the arrows. A board that is off, or not booted, is silent; it never refuses.
//! What takes time (hellos, booting, counting) waits in `due` until `wake`.
//!
//! Deliberately not here: sockets and clocks, and programs. A core has a state that signals change, and messages to it are
//! counted; only the core that `ChipsSpec::echo_core` names sends them back: what comes as SDP with source and destination
//! exchanged, what comes in through a reverse tag by way of IP tag 1, as an EIEIO program does.

mod boot_rom;
mod booted;
mod chip;
mod commands;
mod delivery;
mod flood;
mod heap;
mod layout;
mod machine;
mod memory;
mod mesh;
mod own;
mod router;
mod spec;
mod tags;

pub use memory::PAGES_MAX;
pub use spec::{ChipsSpec, Dialect, Firmware};

use super::{Arrived, Leaving};
use crate::allocator::BoardIndex;
use crate::allocator::link::Link;
use crate::spinnaker::exchange::At;
use crate::spinnaker::sdp::{Chip, Message};
use crate::spinnaker::{BOOT_UDP_PORT, SCP_UDP_PORT};
use boot_rom::{BootRom, HELLO_MS};
use booted::{Around, Booted};
use delivery::Parcel;
use machine::Machine;
use memory::Budget;
use mesh::{Mesh, Place};
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

/// Things that may be waiting for their time; a chip that would add one more drops it.
const DUE_MAX: usize = 65_536;

/// What a board does.
#[derive(Debug)]
enum Board {
    /// It has no power.
    Off,
    /// It waits for an image since the power-on of this number.
    Rom(BootRom, u64),
    /// Its chips are part of a machine.
    Booted(u32),
}

/// Something that happens later.
#[derive(Debug)]
enum Due {
    /// A board says hello, if it has had power all the time since its number of power-ons was this.
    Hello(BoardIndex, u64),
    /// The chips of a machine know their places.
    Ready(u32),
    /// Cores have been counted, at a chip, for a request.
    Count(u32, Place, Parcel),
    /// A message comes back to a chip that could not send it.
    Return(u32, Place, Parcel),
}

/// All the chips of a machine, and what they wait for.
#[derive(Debug)]
pub struct Chips {
    spec: ChipsSpec,
    mesh: Mesh,
    budget: Budget,
    addresses: BTreeMap<BoardIndex, Ipv4Addr>,
    boards: BTreeMap<BoardIndex, Board>,
    power_ons: u64,
    machines: BTreeMap<u32, Booted>,
    due: BTreeMap<(At, u64), Due>,
    next: u64,
    known_ports: BTreeMap<BoardIndex, Vec<u16>>,
    ports_changed: BTreeSet<BoardIndex>,
    rubbish: u64,
}

/// Everything that leaves, each with the board it leaves from.
type Out = Vec<(BoardIndex, Leaving)>;

impl Chips {
    /// A machine with all its boards switched off.
    pub fn new(spec: ChipsSpec) -> Chips {
        let mesh = Mesh::new(&spec);
        Chips {
            boards: mesh.boards().map(|board| (board, Board::Off)).collect(),
            addresses: spec.present.iter().copied().collect(),
            budget: Budget::full(),
            power_ons: 0,
            machines: BTreeMap::new(),
            due: BTreeMap::new(),
            next: 0,
            known_ports: BTreeMap::new(),
            ports_changed: BTreeSet::new(),
            rubbish: spec.seed | 1,
            mesh,
            spec,
        }
    }

    /// Switches a board on or off. Off, it forgets everything; on, it waits for an image and says hello after a while.
    /// A board that is on already stays as it is.
    pub fn set_power(&mut self, now: At, board: BoardIndex, on: bool) {
        let Some(state) = self.boards.get_mut(&board) else { return };
        if on && matches!(state, Board::Off) {
            self.power_ons += 1;
            let power_on = self.power_ons;
            *state = Board::Rom(BootRom::new(self.spec.hello_to), power_on);
            self.later(now.plus_ms(HELLO_MS), Due::Hello(board, power_on));
        } else if !on {
            let before = std::mem::replace(state, Board::Off);
            self.mesh.clear_stops(board);
            if let Board::Booted(id) = before {
                self.lose(id, board);
            }
        }
    }

    /// A board of a machine has lost its power; a machine without boards is gone.
    fn lose(&mut self, id: u32, board: BoardIndex) {
        if let Some(booted) = self.machines.get_mut(&id) {
            booted.lose(&mut self.budget, board);
            if booted.boards.is_empty() {
                self.machines.remove(&id);
            }
        }
        self.note_ports(board);
    }

    /// Sets the STOP register of a board's side of a link. A link is open when neither side is stopped, dead or off.
    pub fn set_stop(&mut self, board: BoardIndex, link: Link, stop: bool) {
        if self.mesh.set_stop(board, link, stop) {
            self.machines.values_mut().for_each(|booted| booted.wounded = true);
        }
    }

    /// A datagram has come to a port of a board. What leaves at once is appended, each with the board it leaves from.
    pub fn handle(&mut self, now: At, board: BoardIndex, arrived: &Arrived<'_>, out: &mut Out) {
        self.wake(now, out);
        match self.boards.get_mut(&board) {
            Some(Board::Rom(rom, _))
                if arrived.port == BOOT_UDP_PORT && self.mesh.works(Place::ethernet(board)) =>
            {
                if let Some(image) = rom.hear(arrived.from, arrived.bytes) {
                    self.boot(now, board, &image);
                }
            }
            Some(Board::Booted(id)) => {
                let id = *id;
                self.receive(now, id, board, arrived, out);
                self.note_ports(board);
            }
            _ => {}
        }
    }

    /// An image is started: it floods to all boards that wait for one and can be reached.
    fn boot(&mut self, now: At, board: BoardIndex, image: &[u8]) {
        let may_take = |place: Place| matches!(self.boards.get(&place.board), Some(Board::Rom(..)));
        let machine = Machine::flood(&self.mesh, Place::ethernet(board), may_take);
        let booted = Booted::new(machine, now, boot_rom::variables(image));
        let id = self.number() as u32;
        for board in &booted.boards {
            self.boards.insert(*board, Board::Booted(id));
        }
        self.machines.insert(id, booted);
        self.later(now.plus_ms(self.spec.boot_ms), Due::Ready(id));
    }

    /// When `wake` has something to do, if ever.
    pub fn wake_at(&self) -> Option<At> {
        self.due.keys().next().map(|(at, _)| *at)
    }

    /// Does what is due: hellos, the end of a boot, answers that took time.
    pub fn wake(&mut self, now: At, out: &mut Out) {
        while let Some(entry) = self.due.first_entry().filter(|entry| entry.key().0 <= now) {
            match entry.remove() {
                Due::Hello(board, power_on) => self.say_hello(now, board, power_on, out),
                Due::Ready(id) => {
                    if let Some(booted) = self.machines.get_mut(&id) {
                        booted.ready = true;
                    }
                }
                Due::Count(id, place, parcel) => self.end_count(now, id, place, parcel, out),
                Due::Return(id, place, parcel) => self.carry(now, id, place, parcel, out),
            }
        }
    }

    fn say_hello(&mut self, now: At, board: BoardIndex, power_on: u64, out: &mut Out) {
        let Some(Board::Rom(rom, since)) = self.boards.get(&board) else { return };
        if *since == power_on && self.mesh.works(Place::ethernet(board)) {
            out.push((board, Leaving { port: BOOT_UDP_PORT, to: rom.hello_to, bytes: rom.hello() }));
            self.later(now.plus_ms(HELLO_MS), Due::Hello(board, power_on));
        }
    }

    /// Keeps something for later, unless too much is kept already.
    fn later(&mut self, at: At, due: Due) -> bool {
        let room = self.due.len() < DUE_MAX;
        if room {
            let number = self.number();
            self.due.insert((at, number), due);
        }
        room
    }

    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// The UDP ports of a board: the two fixed ones, whether it is on or not, and those of its reverse tags.
    pub fn ports(&self, board: BoardIndex) -> Vec<u16> {
        let mut ports = vec![SCP_UDP_PORT, BOOT_UDP_PORT];
        if let Some(Board::Booted(id)) = self.boards.get(&board) {
            let chip = self.machines.get(id).and_then(|booted| booted.seen(Place::ethernet(board)));
            ports.extend(chip.into_iter().flat_map(|chip| chip.tags.ports()));
        }
        ports.sort_unstable();
        ports.dedup();
        ports
    }

    /// Notes whether the ports of a board are others than before.
    fn note_ports(&mut self, board: BoardIndex) {
        let ports = self.ports(board);
        let fixed = vec![SCP_UDP_PORT, BOOT_UDP_PORT];
        if *self.known_ports.get(&board).unwrap_or(&fixed) != ports {
            self.known_ports.insert(board, ports);
            self.ports_changed.insert(board);
        }
    }

    /// A board whose ports are not what they were when it was last named here; call until there is none. A tag that ran out is
    /// noticed at the next datagram.
    pub fn poll_ports_changed(&mut self) -> Option<BoardIndex> {
        self.ports_changed.pop_first()
    }

    /// Whether SC&MP of this board answers with its place by now.
    pub fn is_booted(&self, board: BoardIndex) -> bool {
        let Some(Board::Booted(id)) = self.boards.get(&board) else { return false };
        let booted = self.machines.get(id);
        booted.is_some_and(|booted| booted.ready && booted.is_alive(Place::ethernet(board)))
    }

    /// A core of the machine that a board is part of sends a message, as a program on it would: to another core, or out through
    /// the tag in its header when the destination is port 7 of core 31 of a chip with a plug.
    pub fn send_sdp(&mut self, now: At, board: BoardIndex, from: Chip, message: &Message<'_>, out: &mut Out) {
        let Some(Board::Booted(id)) = self.boards.get(&board) else { return };
        let id = *id;
        let place = self.machines.get(&id).and_then(|booted| booted.machine.place(from));
        if let Some(place) = place {
            self.carry(now, id, place, Parcel::of(message), out);
        }
    }

    /// How many messages came to a core of a board since it was booted; commands to the monitor are not counted.
    pub fn messages(&self, board: BoardIndex, x: u8, y: u8, core: u8) -> u64 {
        let seen = self.seen(board, x, y).and_then(|chip| chip.messages.get(usize::from(core)));
        seen.copied().unwrap_or(0)
    }

    /// Which LEDs of a chip of a board are on, a bit each.
    pub fn leds(&self, board: BoardIndex, x: u8, y: u8) -> u16 {
        self.seen(board, x, y).map_or(0, |chip| chip.leds)
    }

    /// Pages of memory in use, at most `PAGES_MAX`.
    pub fn pages_used(&self) -> usize {
        self.budget.used()
    }

    fn seen(&self, board: BoardIndex, x: u8, y: u8) -> Option<&chip::Chip> {
        let Some(Board::Booted(id)) = self.boards.get(&board) else { return None };
        self.machines.get(id)?.seen(Place { board, x, y })
    }

    /// A machine, and what is around it.
    fn at_work(&mut self, now: At, id: u32) -> Option<(&mut Booted, Around<'_>)> {
        let (spec, mesh, budget, addresses) = (&self.spec, &self.mesh, &mut self.budget, &self.addresses);
        self.machines.get_mut(&id).map(|booted| (booted, Around { spec, mesh, budget, addresses, now }))
    }

    /// Two bytes of rubbish, other each time.
    fn padding(&mut self) -> [u8; 2] {
        // A shift register: what it gives looks like nothing, and the same seed gives the same.
        self.rubbish ^= self.rubbish << 13;
        self.rubbish ^= self.rubbish >> 7;
        self.rubbish ^= self.rubbish << 17;
        let [.., low, high] = self.rubbish.to_be_bytes();
        [low, high]
    }
}

#[cfg(test)]
mod tests;
