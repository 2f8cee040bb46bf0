//! What a plant is made of, and what is wrong with such a list.

use super::super::chips::Firmware;
use super::super::faults::Wrong;
use crate::allocator::link::Link;
use crate::allocator::{Torus, Triad};
use crate::spinnaker::SCP_UDP_PORT;
use crate::spinnaker::bmp::Board;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::Arc;

/// So many triads one side of a simulated machine has at most: chips are counted in bytes.
pub const SIDE_TRIADS_MAX: u32 = 21;
/// So many boards a plant has at most, all machines together.
pub const BOARDS_MAX: usize = 8_192;
/// The greatest number of a frame: BMPs say it in a byte.
pub const FRAME_MAX: u32 = 255;

/// A plant: machines, and how fast they are.
#[derive(Clone, Debug)]
pub struct PlantSpec {
    /// The machines.
    pub machines: Vec<MachinePlan>,
    /// Where chance begins.
    pub seed: u64,
    /// Where boards that wait for an image say hello; nowhere if not set.
    pub hello_to: Option<SocketAddrV4>,
    /// How long a board needs for its FPGAs after power-on.
    pub fpga_load_ms: u64,
    /// How long a board says nothing after it was sent an image.
    pub boot_silence_ms: u64,
    /// How long it takes after an image until chips know their places.
    pub boot_ms: u64,
    /// The core of every chip that sends back what is sent to it, if there is one.
    pub echo_core: Option<u8>,
    /// Which SC&MP images turn into.
    pub scamp: Firmware,
}

impl Default for PlantSpec {
    /// No machine, and hardware in a hurry: fast enough for tests, slow enough that the order of things shows.
    fn default() -> PlantSpec {
        PlantSpec {
            machines: Vec::new(),
            seed: 0,
            hello_to: None,
            fpga_load_ms: 20,
            boot_silence_ms: 20,
            boot_ms: 100,
            echo_core: None,
            scamp: Firmware::default(),
        }
    }
}

/// A machine of triads.
#[derive(Clone, Debug)]
pub struct MachinePlan {
    /// What it is called.
    pub name: Arc<str>,
    /// Its size in triads.
    pub torus: Torus,
    /// Its frames.
    pub frames: Vec<FramePlan>,
    /// Its boards. Those that are not here do not exist.
    pub boards: Vec<BoardPlan>,
    /// Links that do not work, seen from one board.
    pub dead_links: Vec<(Triad, Link)>,
}

/// A frame and its BMP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FramePlan {
    /// The cabinet.
    pub cabinet: u32,
    /// The frame in the cabinet.
    pub frame: u32,
    /// The address of its BMP.
    pub address: Ipv4Addr,
}

/// A board.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BoardPlan {
    /// Where it is on the torus.
    pub logical: Triad,
    /// The cabinet in which it stands.
    pub cabinet: u32,
    /// The frame in the cabinet.
    pub frame: u32,
    /// Its place in the frame.
    pub board: Board,
    /// Its address.
    pub address: Ipv4Addr,
}

impl MachinePlan {
    /// One frame with all boards of a torus of at most eight triads, numbered with x slowest and z fastest, at addresses as in a
    /// real frame: board n at `first` plus 8 n, the BMP at `first` minus 1.
    pub fn one_frame(name: &str, torus: Torus, first: Ipv4Addr) -> MachinePlan {
        let first = u32::from(first);
        let boards = (0..Board::COUNT).zip(0..torus.board_count()).filter_map(|(number, index)| {
            let board = Board::new(number)?;
            let logical = torus.triad(crate::allocator::BoardIndex(index));
            let address = Ipv4Addr::from(first.wrapping_add(8 * u32::from(number)));
            Some(BoardPlan { logical, cabinet: 0, frame: 0, board, address })
        });
        MachinePlan {
            name: name.into(),
            torus,
            frames: vec![FramePlan { cabinet: 0, frame: 0, address: Ipv4Addr::from(first.wrapping_sub(1)) }],
            boards: boards.collect(),
            dead_links: Vec::new(),
        }
    }
}

impl PlantSpec {
    /// Every address, with a word for what is there.
    pub fn addresses(&self) -> impl Iterator<Item = (Ipv4Addr, String)> {
        self.machines.iter().flat_map(|machine| {
            let name = &machine.name;
            let frames = machine.frames.iter().map(move |frame| {
                (frame.address, format!("the BMP of {name} cabinet {} frame {}", frame.cabinet, frame.frame))
            });
            let boards = machine.boards.iter().map(move |board| {
                let Triad { x, y, z } = board.logical;
                (board.address, format!("board [{x}, {y}, {z}] of {name}"))
            });
            frames.chain(boards)
        })
    }

    /// Where the BMP of a frame answers, of the first machine that has such a frame.
    pub fn bmp(&self, cabinet: u32, frame: u32) -> Option<SocketAddrV4> {
        let mut frames = self.machines.iter().flat_map(|machine| &machine.frames);
        let plan = frames.find(|plan| (plan.cabinet, plan.frame) == (cabinet, frame))?;
        Some(SocketAddrV4::new(plan.address, SCP_UDP_PORT))
    }

    /// Where SC&MP of a board answers, of the first machine that has such a board.
    pub fn board(&self, logical: Triad) -> Option<SocketAddrV4> {
        let mut boards = self.machines.iter().flat_map(|machine| &machine.boards);
        let plan = boards.find(|plan| plan.logical == logical)?;
        Some(SocketAddrV4::new(plan.address, SCP_UDP_PORT))
    }

    /// What is wrong with it, if anything is.
    pub fn check(&self) -> Result<(), Wrong> {
        let mut taken = BTreeMap::new();
        for (address, what) in self.addresses() {
            if let Some(before) = taken.insert(address, what.clone()) {
                return Err(Wrong(format!("{before} and {what} have the same address {address}")));
            }
        }
        let boards: usize = self.machines.iter().map(|machine| machine.boards.len()).sum();
        if boards > BOARDS_MAX {
            return Err(Wrong(format!("{boards} boards are too many to simulate; at most {BOARDS_MAX}")));
        }
        self.machines.iter().try_for_each(check_machine)
    }
}

fn check_machine(machine: &MachinePlan) -> Result<(), Wrong> {
    let MachinePlan { name, torus, .. } = machine;
    let sides = [torus.width, torus.height];
    if sides.iter().any(|side| !(1..=SIDE_TRIADS_MAX).contains(side)) {
        let what = format!(
            "{name} has {} x {} triads; each side may have 1 to {SIDE_TRIADS_MAX}",
            sides[0], sides[1]
        );
        return Err(Wrong(what));
    }
    let (mut frames, mut places, mut logical) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for FramePlan { cabinet, frame, .. } in &machine.frames {
        if *frame > FRAME_MAX {
            return Err(Wrong(format!("{name} has a frame {frame}; a BMP can say {FRAME_MAX} at most")));
        }
        if !frames.insert((*cabinet, *frame)) {
            return Err(Wrong(format!("{name} has two BMPs for cabinet {cabinet} frame {frame}")));
        }
    }
    for board in &machine.boards {
        let place = (board.cabinet, board.frame);
        let number = board.board.number();
        if !frames.contains(&place) {
            return Err(Wrong(format!("{name} has no BMP for cabinet {} frame {}", place.0, place.1)));
        }
        let inside = torus.index_within(board.logical).is_some();
        if !inside || !places.insert((place, number)) || !logical.insert(board.logical) {
            let Triad { x, y, z } = board.logical;
            return Err(Wrong(format!(
                "board [{x}, {y}, {z}] of {name}, in cabinet {} frame {} at {number}, is outside of it or named twice",
                place.0, place.1
            )));
        }
    }
    Ok(())
}
