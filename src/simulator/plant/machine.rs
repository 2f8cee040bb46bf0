//! One machine of a plant: its frames, its chips, and the wires between them.
//!
//! ```text
//!   frame: power, reset, STOP --- follow() ---> chips: on or off, links open or cut
//! ```
//!
//! A board's chips have power when its frame says so, its frame has current, and the board is not dead.

use super::event::{Deed, Event};
use super::spec::{BoardPlan, FramePlan, MachinePlan, PlantSpec};
use crate::allocator::BoardIndex;
use crate::allocator::link::Link;
use crate::simulator::chips::{Chips, ChipsSpec};
use crate::simulator::frame::{Frame, FrameEvent, FrameSpec};
use crate::simulator::network::Datagram;
use crate::simulator::{Arrived, Leaving};
use crate::spinnaker::bmp::fpga::Link as FpgaLink;
use crate::spinnaker::bmp::{Board, Boards};
use crate::spinnaker::boot;
use crate::spinnaker::exchange::At;
use crate::spinnaker::scp::Request;
use crate::spinnaker::{BOOT_UDP_PORT, SCP_UDP_PORT};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::Arc;

/// Where hellos go that nobody wants; the plant keeps them to itself.
const NOWHERE: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0);

/// A frame of a machine.
#[derive(Debug)]
pub struct FrameUnit {
    /// Which one, and where its BMP answers.
    pub plan: FramePlan,
    /// Its BMPs.
    pub frame: Frame,
    /// What it is made of anew after it had no current.
    spec: FrameSpec,
    /// The number of each board on the torus.
    boards: BTreeMap<Board, BoardIndex>,
    /// Whether it has no current.
    killed: bool,
}

impl FrameUnit {
    /// Whether datagrams neither reach it nor leave it.
    fn is_cut_off(&mut self) -> bool {
        self.killed || self.frame.faults_mut().offline
    }
}

/// A board of a machine.
#[derive(Debug)]
struct BoardUnit {
    plan: BoardPlan,
    /// The number of its frame among those of the machine.
    frame: usize,
    /// Whether its chips have power.
    on: bool,
}

/// See above.
pub struct Machine {
    /// What it is called.
    pub name: Arc<str>,
    /// Its frames.
    pub frames: Vec<FrameUnit>,
    boards: BTreeMap<BoardIndex, BoardUnit>,
    chips: Chips,
    /// Boards that broke.
    dead: BTreeSet<BoardIndex>,
    /// Boards with power that are not up yet.
    sleeping: BTreeSet<BoardIndex>,
    wants_hellos: bool,
    /// What leaves a frame or a board, before it is addressed.
    leaving: Vec<Leaving>,
    leaving_boards: Vec<(BoardIndex, Leaving)>,
}

impl Machine {
    /// A machine as planned, with all boards off.
    pub fn new(plan: &MachinePlan, spec: &PlantSpec) -> Machine {
        let torus = plan.torus;
        let frames: Vec<_> = plan.frames.iter().map(|frame| frame_unit(frame, plan, spec)).collect();
        let board_unit = |board: &BoardPlan| {
            let place = (board.cabinet, board.frame);
            let frame = frames.iter().position(|unit| (unit.plan.cabinet, unit.plan.frame) == place)?;
            let unit = BoardUnit { plan: *board, frame, on: false };
            Some((torus.index(board.logical), unit))
        };
        Machine {
            name: plan.name.clone(),
            boards: plan.boards.iter().filter_map(board_unit).collect(),
            frames,
            chips: Chips::new(chips_spec(plan, spec)),
            dead: BTreeSet::new(),
            sleeping: BTreeSet::new(),
            wants_hellos: spec.hello_to.is_some(),
            leaving: Vec::new(),
            leaving_boards: Vec::new(),
        }
    }

    /// The number of a frame among those of the machine.
    pub fn frame_number(&self, cabinet: u32, frame: u32) -> Option<usize> {
        self.frames.iter().position(|unit| (unit.plan.cabinet, unit.plan.frame) == (cabinet, frame))
    }

    /// The board at a place of a frame.
    pub fn board_in(&self, frame: usize, board: Board) -> Option<BoardIndex> {
        self.frames.get(frame)?.boards.get(&board).copied()
    }

    /// The address of a board.
    pub fn board_address(&self, board: BoardIndex) -> Option<Ipv4Addr> {
        self.boards.get(&board).map(|unit| unit.plan.address)
    }

    /// Whether the chips of a board have power.
    pub fn is_on(&self, board: BoardIndex) -> bool {
        self.boards.get(&board).is_some_and(|unit| unit.on)
    }

    /// A datagram has come to the BMP of a frame.
    pub fn handle_bmp(&mut self, now: At, frame: usize, arrived: &Arrived<'_>, out: &mut Outbox) {
        let Some(unit) = self.frames.get_mut(frame) else { return };
        if unit.is_cut_off() {
            return;
        }
        unit.frame.handle(now, arrived, &mut self.leaving);
        self.follow(now, frame, out);
    }

    /// A datagram has come to a board. One without power hears nothing.
    pub fn handle_board(&mut self, now: At, board: BoardIndex, arrived: &Arrived<'_>, out: &mut Outbox) {
        let Some(unit) = self.boards.get(&board) else { return };
        let cut_off = self.frames.get_mut(unit.frame).is_none_or(FrameUnit::is_cut_off);
        if !unit.on || cut_off {
            return;
        }
        let logical = unit.plan.logical;
        let deed = match arrived.port {
            SCP_UDP_PORT => Request::decode_with(0, arrived.bytes)
                .ok()
                .map(|asked| Deed::BoardAsked { board: logical, command: asked.call.command }),
            BOOT_UDP_PORT => boot::Message::decode(arrived.bytes)
                .ok()
                .map(|sent| Deed::BootMessage { board: logical, opcode: sent.opcode.0 }),
            _ => None,
        };
        if let Some(deed) = deed {
            out.events.push(self.event(now, unit.plan.address, deed));
        }
        self.chips.handle(now, board, arrived, &mut self.leaving_boards);
        self.send_from_boards(out);
        self.tell_booted(now, out);
    }

    /// When something happens next by itself.
    pub fn wake_at(&self) -> Option<At> {
        let frames = self.frames.iter().filter(|unit| !unit.killed).filter_map(|unit| unit.frame.wake_at());
        frames.chain(self.chips.wake_at()).min()
    }

    /// Does what is due.
    pub fn wake(&mut self, now: At, out: &mut Outbox) {
        for number in 0..self.frames.len() {
            let unit = &mut self.frames[number];
            if !unit.killed && unit.frame.wake_at().is_some_and(|at| at <= now) {
                unit.frame.wake(now, &mut self.leaving);
                self.follow(now, number, out);
            }
        }
        if self.chips.wake_at().is_some_and(|at| at <= now) {
            self.chips.wake(now, &mut self.leaving_boards);
            self.send_from_boards(out);
            self.tell_booted(now, out);
        }
    }

    /// The UDP ports of a board.
    pub fn ports(&self, board: BoardIndex) -> Vec<u16> {
        self.chips.ports(board)
    }

    /// The address of a board whose ports changed.
    pub fn poll_ports_changed(&mut self) -> Option<Ipv4Addr> {
        loop {
            let board = self.chips.poll_ports_changed()?;
            if let Some(address) = self.board_address(board) {
                return Some(address);
            }
        }
    }

    /// A board breaks, or is mended.
    pub fn set_dead(&mut self, now: At, board: BoardIndex, dead: bool) {
        let changed = if dead { self.dead.insert(board) } else { self.dead.remove(&board) };
        if changed {
            self.start_anew(now, board);
        }
    }

    /// A frame loses its current, or gets it back, also after a moment without: then all of it begins anew.
    pub fn set_current(&mut self, now: At, frame: usize, on: bool) {
        let Some(unit) = self.frames.get_mut(frame) else { return };
        let faults = unit.frame.faults_mut().clone();
        unit.frame = Frame::new(unit.spec.clone());
        *unit.frame.faults_mut() = faults;
        unit.killed = !on;
        let boards: Vec<_> = unit.boards.values().copied().collect();
        boards.into_iter().for_each(|board| self.start_anew(now, board));
    }

    /// All that is wrong ends.
    pub fn mend(&mut self, now: At) {
        for number in 0..self.frames.len() {
            *self.frames[number].frame.faults_mut() = Default::default();
            if self.frames[number].killed {
                self.set_current(now, number, true);
            }
        }
        for board in std::mem::take(&mut self.dead) {
            self.start_anew(now, board);
        }
    }

    /// What a frame did is felt by its boards and told; what left it goes out.
    fn follow(&mut self, now: At, frame: usize, out: &mut Outbox) {
        let unit = &mut self.frames[frame];
        let (address, cut_off) = (unit.plan.address, unit.is_cut_off());
        for leaving in self.leaving.drain(..).filter(|_| !cut_off) {
            out.datagrams.push(addressed(address, leaving));
        }
        while let Some(event) = self.frames[frame].frame.poll_event() {
            self.feel(now, frame, &event);
            let (at, deed) = told(event);
            out.events.push(self.event(at, address, deed));
        }
    }

    /// What a frame did, at its chips.
    fn feel(&mut self, now: At, frame: usize, event: &FrameEvent) {
        match event {
            FrameEvent::Power { boards, .. } | FrameEvent::Reset { boards, .. } => {
                for board in boards.iter().filter_map(|board| self.board_in(frame, board)).collect::<Vec<_>>()
                {
                    self.start_anew(now, board);
                }
            }
            FrameEvent::FpgaWrite { board, .. } => {
                if let Some(index) = self.board_in(frame, *board) {
                    self.follow_stops(index);
                }
            }
            FrameEvent::Asked { .. } | FrameEvent::Led { .. } => {}
        }
    }

    /// The chips of a board begin anew, if they have power.
    fn start_anew(&mut self, now: At, board: BoardIndex) {
        let Some(unit) = self.boards.get_mut(&board) else { return };
        let Some(FrameUnit { frame, killed, .. }) = self.frames.get(unit.frame) else { return };
        let place = unit.plan.board;
        let fed = !killed && frame.is_on(place) && !frame.is_held(place);
        unit.on = fed && !self.dead.contains(&board);
        self.chips.set_power(now, board, false);
        self.sleeping.remove(&board);
        if unit.on {
            self.chips.set_power(now, board, true);
            self.sleeping.insert(board);
        }
        self.follow_stops(board);
    }

    /// The STOP registers of a board, at its chips.
    fn follow_stops(&mut self, board: BoardIndex) {
        let Some(unit) = self.boards.get(&board) else { return };
        let frame = &self.frames[unit.frame].frame;
        // Both number links alike.
        for (link, fpga_link) in Link::ALL.into_iter().zip(FpgaLink::ALL) {
            self.chips.set_stop(board, link, frame.stops(unit.plan.board, fpga_link));
        }
    }

    /// What boards sent goes out, unless their frame is unplugged or nobody wants it.
    fn send_from_boards(&mut self, out: &mut Outbox) {
        for (board, leaving) in self.leaving_boards.drain(..) {
            let Some(unit) = self.boards.get(&board) else { continue };
            let cut_off = self.frames.get_mut(unit.frame).is_none_or(FrameUnit::is_cut_off);
            let unwanted = leaving.to.port() == 0 || (leaving.to == NOWHERE && !self.wants_hellos);
            if !cut_off && !unwanted {
                out.datagrams.push(addressed(unit.plan.address, leaving));
            }
        }
    }

    /// Tells of boards that are up now.
    fn tell_booted(&mut self, now: At, out: &mut Outbox) {
        let up: Vec<_> = self.sleeping.iter().copied().filter(|board| self.chips.is_booted(*board)).collect();
        for board in up {
            self.sleeping.remove(&board);
            let Some(unit) = self.boards.get(&board) else { continue };
            let (address, deed) = (unit.plan.address, Deed::Booted { board: unit.plan.logical });
            out.events.push(self.event(now, address, deed));
        }
    }

    fn event(&self, at: At, address: Ipv4Addr, deed: Deed) -> Event {
        Event { at, machine: self.name.clone(), address, deed }
    }
}

/// What comes out of a machine.
#[derive(Debug, Default)]
pub struct Outbox {
    /// Datagrams, before anything befalls them on their way.
    pub datagrams: Vec<Datagram>,
    /// What the hardware did.
    pub events: Vec<Event>,
}

/// A datagram with the address from which it leaves.
fn addressed(from: Ipv4Addr, leaving: Leaving) -> Datagram {
    Datagram { from: SocketAddrV4::new(from, leaving.port), to: leaving.to, bytes: leaving.bytes }
}

fn frame_unit(plan: &FramePlan, machine: &MachinePlan, spec: &PlantSpec) -> FrameUnit {
    let here = |board: &&BoardPlan| (board.cabinet, board.frame) == (plan.cabinet, plan.frame);
    let boards: BTreeMap<_, _> = machine
        .boards
        .iter()
        .filter(here)
        .map(|board| (board.board, machine.torus.index(board.logical)))
        .collect();
    let present = boards.keys().fold(Boards(0), |boards, board| boards.and(*board));
    let number = u8::try_from(plan.frame).unwrap_or(u8::MAX);
    let frame_spec = FrameSpec {
        cabinet: plan.cabinet,
        fpga_load_ms: spec.fpga_load_ms,
        seed: spec.seed ^ u64::from(u32::from(plan.address)),
        ..FrameSpec::new(number, present.and(Board::FIRST))
    };
    let frame = Frame::new(frame_spec.clone());
    FrameUnit { plan: *plan, frame, spec: frame_spec, boards, killed: false }
}

fn chips_spec(machine: &MachinePlan, spec: &PlantSpec) -> ChipsSpec {
    let torus = machine.torus;
    ChipsSpec {
        width: torus.width,
        height: torus.height,
        present: machine.boards.iter().map(|board| (torus.index(board.logical), board.address)).collect(),
        dead_links: machine.dead_links.iter().map(|(board, link)| (torus.index(*board), *link)).collect(),
        seed: spec.seed,
        hello_to: spec.hello_to.unwrap_or(NOWHERE),
        boot_silence_ms: spec.boot_silence_ms,
        echo_core: spec.echo_core,
        scamp: spec.scamp,
        boot_ms: spec.boot_ms,
        ..ChipsSpec::default()
    }
}

/// An event of a frame as one of the plant, and its time.
fn told(event: FrameEvent) -> (At, Deed) {
    match event {
        FrameEvent::Asked { board, command, at } => (at, Deed::BmpAsked { board, command }),
        FrameEvent::Power { on, boards, at } => (at, Deed::Power { on, boards }),
        FrameEvent::Reset { how, fpgas, boards, at } => (at, Deed::Reset { how, fpgas, boards }),
        FrameEvent::FpgaWrite { board, fpga, register, words, at } => {
            (at, Deed::FpgaWrite { board, fpga, register, words })
        }
        FrameEvent::Led { board, leds, at } => (at, Deed::Led { board, leds }),
    }
}
