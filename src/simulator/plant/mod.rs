//! A plant: all frames and chips of several machines, wired, behind a network on which things go wrong.
//!
//! `spec` says what it is made of, `machine` wires the frames of one machine to its chips, `event` is what hardware did. A
//! datagram comes in with its address and the time; what leaves, now or later, comes out with the address it leaves from:
//!
//! ```text
//!   handle --> network (in) --> BMP of a frame, or board --> network (out) --> out
//!                  ^                     |
//!                faults            events (poll_event)
//! ```
//!
//! A board that is off is silent; its ports stay (`ports`), so that whoever asks it hears nothing rather than a refusal.
//!
//! Deliberately not here: sockets and clocks.

mod event;
mod machine;
mod spec;

#[cfg(test)]
mod tests;

pub use event::{Deed, EVENTS_MAX, Event};
pub use spec::{BOARDS_MAX, BoardPlan, FRAME_MAX, FramePlan, MachinePlan, PlantSpec, SIDE_TRIADS_MAX};

use super::Arrived;
use super::faults::{BoardName, Fault, FrameName, Ill, Way, Wrong};
use super::network::{Datagram, Network};
use crate::allocator::BoardIndex;
use crate::spinnaker::bmp::fpga::Fpga;
use crate::spinnaker::exchange::At;
use crate::spinnaker::scp::ResultCode;
use crate::spinnaker::{BOOT_UDP_PORT, SCP_UDP_PORT};
use machine::{Machine, Outbox};
use std::collections::{BTreeMap, VecDeque};
use std::net::{Ipv4Addr, SocketAddrV4};

/// The ports of every address.
pub const PORTS: [u16; 2] = [SCP_UDP_PORT, BOOT_UDP_PORT];

/// So many times something may be due within one call. More is left for the next.
const WAKES_MAX: usize = 100_000;

/// What is at an address.
#[derive(Clone, Copy, Debug)]
enum Place {
    /// The BMP of this frame of this machine.
    Bmp(usize, usize),
    /// This board of this machine.
    Board(usize, BoardIndex),
}

/// See above.
pub struct Plant {
    machines: Vec<Machine>,
    places: BTreeMap<Ipv4Addr, Place>,
    network: Network,
    outbox: Outbox,
    events: VecDeque<Event>,
    /// What arrived after the way in.
    arrived: Vec<Datagram>,
}

impl Plant {
    /// A plant with everything off.
    pub fn new(spec: &PlantSpec) -> Result<Plant, Wrong> {
        spec.check()?;
        let machines: Vec<_> = spec.machines.iter().map(|plan| Machine::new(plan, spec)).collect();
        let mut places = BTreeMap::new();
        for (number, plan) in spec.machines.iter().enumerate() {
            let bmps = plan.frames.iter().enumerate();
            places.extend(bmps.map(|(frame, plan)| (plan.address, Place::Bmp(number, frame))));
            let boards = plan.boards.iter();
            places.extend(
                boards.map(|board| (board.address, Place::Board(number, plan.torus.index(board.logical)))),
            );
        }
        Ok(Plant {
            machines,
            places,
            network: Network::new(spec.seed),
            outbox: Outbox::default(),
            events: VecDeque::new(),
            arrived: Vec::new(),
        })
    }

    /// Every address of the plant.
    pub fn addresses(&self) -> impl Iterator<Item = Ipv4Addr> {
        self.places.keys().copied()
    }

    /// The ports of an address.
    pub fn ports(&self, address: Ipv4Addr) -> Vec<u16> {
        match self.places.get(&address) {
            Some(Place::Board(machine, board)) => self.machines[*machine].ports(*board),
            Some(Place::Bmp(..)) => PORTS.to_vec(),
            None => Vec::new(),
        }
    }

    /// An address whose ports are not what they were; to be asked until there is none.
    pub fn poll_ports_changed(&mut self) -> Option<Ipv4Addr> {
        self.machines.iter_mut().find_map(Machine::poll_ports_changed)
    }

    /// Whether the chips of a board have power.
    pub fn is_on(&self, address: Ipv4Addr) -> bool {
        match self.places.get(&address) {
            Some(Place::Board(machine, board)) => self.machines[*machine].is_on(*board),
            _ => false,
        }
    }

    /// Takes a datagram that was sent to an address of the plant; whatever arrives at a host by now is appended to `out`.
    pub fn handle(
        &mut self,
        now: At,
        to: SocketAddrV4,
        from: SocketAddrV4,
        bytes: &[u8],
        out: &mut Vec<Datagram>,
    ) {
        self.wake(now, out);
        let datagram = Datagram { from, to, bytes: bytes.to_vec() };
        let mut arrived = std::mem::take(&mut self.arrived);
        self.network.send(now, Way::In, datagram, &mut arrived);
        for datagram in arrived.drain(..) {
            self.deliver(now, &datagram, out);
        }
        self.arrived = arrived;
    }

    /// When something happens next by itself.
    pub fn wake_at(&self) -> Option<At> {
        let machines = self.machines.iter().filter_map(Machine::wake_at);
        machines.chain(self.network.wake_at()).min()
    }

    /// Does all that happens by itself until now, each thing at its time; whatever arrives at a host by now is appended to `out`.
    pub fn wake(&mut self, now: At, out: &mut Vec<Datagram>) {
        for _ in 0..WAKES_MAX {
            let Some(at) = self.wake_at().filter(|at| *at <= now) else { return };
            while let Some((way, datagram)) = self.network.next_arrived(at) {
                match way {
                    Way::In => self.deliver(at, &datagram, out),
                    Way::Out => out.push(datagram),
                }
            }
            for number in 0..self.machines.len() {
                self.machines[number].wake(at, &mut self.outbox);
            }
            self.send(at, out);
        }
    }

    /// The next thing that hardware did.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// A datagram is where it was sent to.
    fn deliver(&mut self, now: At, datagram: &Datagram, out: &mut Vec<Datagram>) {
        let arrived = Arrived { from: datagram.from, port: datagram.to.port(), bytes: &datagram.bytes };
        match self.places.get(datagram.to.ip()) {
            Some(Place::Bmp(machine, frame)) => {
                self.machines[*machine].handle_bmp(now, *frame, &arrived, &mut self.outbox);
            }
            Some(Place::Board(machine, board)) => {
                self.machines[*machine].handle_board(now, *board, &arrived, &mut self.outbox);
            }
            None => {}
        }
        self.send(now, out);
    }

    /// What hardware sent goes its way, and what it did is kept for whoever asks.
    fn send(&mut self, now: At, out: &mut Vec<Datagram>) {
        for datagram in self.outbox.datagrams.drain(..) {
            self.network.send(now, Way::Out, datagram, out);
        }
        for event in self.outbox.events.drain(..) {
            if self.events.len() >= EVENTS_MAX {
                self.events.pop_front();
            }
            self.events.push_back(event);
        }
    }

    /// Something goes wrong, or is put right.
    pub fn suffer(&mut self, now: At, fault: &Fault) -> Result<(), Wrong> {
        match fault {
            Fault::OnTheWay { ill, way, at } => return self.suffer_on_the_way(*ill, *way, *at),
            Fault::Busy(frame, times) => self.frame_mut(frame)?.faults_mut().busy = *times,
            Fault::Offline(frame) => self.frame_mut(frame)?.faults_mut().offline = true,
            Fault::Online(frame) => self.frame_mut(frame)?.faults_mut().offline = false,
            Fault::BadFpga(board, fpga, times) => {
                let (machine, frame, _) = self.find_board(board)?;
                let faults = self.machines[machine].frames[frame].frame.faults_mut();
                let fpga = Fpga::ALL.get(usize::from(*fpga)).copied().unwrap_or(Fpga::ALL[0]);
                let times = Some(*times).filter(|times| *times < u32::MAX);
                faults.bad_fpgas.insert((board.board, fpga), times);
            }
            Fault::Dead(board) => self.set_dead(now, board, true)?,
            Fault::Alive(board) => self.set_dead(now, board, false)?,
            Fault::Kill(frame) => {
                let (machine, frame) = self.find_frame(frame)?;
                self.machines[machine].set_current(now, frame, false);
            }
            Fault::Restart(frame) => {
                let (machine, frame) = self.find_frame(frame)?;
                self.machines[machine].set_current(now, frame, true);
            }
            Fault::Clear => {
                self.network.clear();
                self.machines.iter_mut().for_each(|machine| machine.mend(now));
            }
        }
        Ok(())
    }

    fn suffer_on_the_way(&mut self, ill: Ill, way: Option<Way>, at: Option<Ipv4Addr>) -> Result<(), Wrong> {
        if let Some(address) = at.filter(|address| !self.places.contains_key(address)) {
            return Err(Wrong(format!("nothing simulated has the address {address}")));
        }
        let set = self.network.set(ill, way, at);
        if set { Ok(()) } else { Err(Wrong("too many addresses have faults of their own".to_owned())) }
    }

    fn set_dead(&mut self, now: At, name: &BoardName, dead: bool) -> Result<(), Wrong> {
        let (number, frame, board) = self.find_board(name)?;
        let machine = &mut self.machines[number];
        let faults = machine.frames[frame].frame.faults_mut();
        if dead {
            faults.dead.insert(name.board, ResultCode::ROUTE);
        } else {
            faults.dead.remove(&name.board);
        }
        machine.set_dead(now, board, dead);
        Ok(())
    }

    fn frame_mut(&mut self, name: &FrameName) -> Result<&mut super::frame::Frame, Wrong> {
        let (machine, frame) = self.find_frame(name)?;
        Ok(&mut self.machines[machine].frames[frame].frame)
    }

    /// The numbers of a machine and of its frame.
    fn find_frame(&self, name: &FrameName) -> Result<(usize, usize), Wrong> {
        let FrameName { machine, cabinet, frame } = name;
        if let Some(machine) =
            machine.as_ref().filter(|name| self.machines.iter().all(|one| one.name != **name))
        {
            let names: Vec<_> = self.machines.iter().map(|machine| &*machine.name).collect();
            return Err(Wrong(format!("there is no machine '{machine}'; there are {}", names.join(", "))));
        }
        let named = self
            .machines
            .iter()
            .enumerate()
            .filter(|(_, one)| machine.as_ref().is_none_or(|name| one.name == *name));
        let found: Vec<_> =
            named.filter_map(|(number, one)| Some((number, one.frame_number(*cabinet, *frame)?))).collect();
        match found[..] {
            [one] => Ok(one),
            [] => Err(Wrong(format!("there is no frame {frame} in cabinet {cabinet}"))),
            [(first, _), ..] => Err(Wrong(format!(
                "several machines have a frame {frame} in cabinet {cabinet}: name one, as in '{} {cabinet} {frame}'",
                self.machines[first].name
            ))),
        }
    }

    /// The numbers of a machine, of its frame, and of the board.
    fn find_board(&self, name: &BoardName) -> Result<(usize, usize, BoardIndex), Wrong> {
        let (machine, frame) = self.find_frame(&name.frame)?;
        let board = self.machines[machine].board_in(frame, name.board);
        let board = board.ok_or_else(|| {
            let FrameName { cabinet, frame, .. } = name.frame;
            Wrong(format!("there is no board {} in cabinet {cabinet} frame {frame}", name.board.number()))
        })?;
        Ok((machine, frame, board))
    }
}
