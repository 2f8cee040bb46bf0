//! A machine that runs: its chips, made when they are first needed, and which of them can still be reached.

use super::chip::Chip;
use super::layout::{Birth, P2P_BYTES, P2P_TABLE};
use super::machine::{Machine, ROUTE_NONE};
use super::memory::{Budget, canonical};
use super::mesh::{Mesh, Place};
use super::{ChipsSpec, layout};
use crate::allocator::BoardIndex;
use crate::allocator::link::Link;
use crate::spinnaker::exchange::At;
use crate::spinnaker::sdp::Chip as Numbers;
use crate::spinnaker::system_variables::{BOOT_BYTES, SystemVariables};
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

/// A machine that was booted at once.
#[derive(Debug)]
pub struct Booted {
    /// Its chips' places and ways, as the boot found them.
    pub machine: Machine,
    /// When the image was started.
    pub since: At,
    /// Whether its chips know their places.
    pub ready: bool,
    /// Its boards that still have power.
    pub boards: BTreeSet<BoardIndex>,
    /// Whether power or links changed since the boot, so that ways must be looked at before they are gone.
    pub wounded: bool,
    variables: [u8; BOOT_BYTES],
    chips: BTreeMap<Place, Chip>,
    routes: Option<(Numbers, Vec<u8>)>,
}

/// What there is besides a machine: what it is made of, its links, the memory left.
pub struct Around<'a> {
    /// What the machine is made of.
    pub spec: &'a ChipsSpec,
    /// The links as they are now.
    pub mesh: &'a Mesh,
    /// The memory that is left.
    pub budget: &'a mut Budget,
    /// The addresses of boards.
    pub addresses: &'a BTreeMap<BoardIndex, Ipv4Addr>,
    /// The present.
    pub now: At,
}

impl Booted {
    /// A machine whose image was just started.
    pub fn new(machine: Machine, since: At, variables: [u8; BOOT_BYTES]) -> Booted {
        let boards = machine.places().map(|(place, _)| place.board).collect();
        let (chips, routes) = (BTreeMap::new(), None);
        Booted { machine, since, ready: false, boards, wounded: false, variables, chips, routes }
    }

    /// Whether a chip is of this machine and still has power.
    pub fn is_alive(&self, place: Place) -> bool {
        self.boards.contains(&place.board) && self.machine.chip(place).is_some()
    }

    /// A chip, made if nobody needed it before. `None` if it is not of this machine, or has no power.
    pub fn chip(&mut self, around: &mut Around<'_>, place: Place) -> Option<&mut Chip> {
        if !self.is_alive(place) {
            return None;
        }
        if !self.chips.contains_key(&place) {
            let birth = Birth {
                spec: around.spec,
                machine: &self.machine,
                place,
                chip: self.machine.chip(place)?,
                address: around.addresses.get(&place.board).copied().filter(|_| place.has_plug()),
                variables: self.variables,
            };
            let chip = Chip::new(&birth, around.budget);
            self.chips.insert(place, chip);
        }
        self.chips.get_mut(&place)
    }

    /// A chip that somebody needed before.
    pub fn seen(&self, place: Place) -> Option<&Chip> {
        self.chips.get(&place)
    }

    /// A board has lost its power, and with it all its chips knew.
    pub fn lose(&mut self, budget: &mut Budget, board: BoardIndex) {
        self.boards.remove(&board);
        self.wounded = true;
        let lost: Vec<Place> = self.chips.keys().copied().filter(|place| place.board == board).collect();
        for place in lost {
            if let Some(chip) = self.chips.remove(&place) {
                budget.refund(&chip.memory);
            }
        }
    }

    /// Whether a message still gets from one chip to another along the routes of the boot.
    pub fn reaches(&self, mesh: &Mesh, from: Numbers, to: Numbers) -> bool {
        if !self.wounded {
            return true;
        }
        let Some(way) = self.machine.way(from, to) else { return false };
        let places: Option<Vec<Place>> = way.into_iter().map(|chip| self.machine.place(chip)).collect();
        places.is_some_and(|places| {
            places.iter().all(|place| self.is_alive(*place))
                && places.windows(2).all(|step| touches(mesh, step[0], step[1]))
        })
    }

    /// The chip behind a link of a chip, if it still answers there.
    pub fn across(&self, mesh: &Mesh, place: Place, link: Link) -> Option<Place> {
        let was_open = self.machine.links(self.machine.chip(place)?) >> link.number() & 1 == 1;
        mesh.across(place, link).filter(|other| was_open && self.is_alive(*other))
    }

    /// All chips that a flood from here reaches.
    pub fn flooded(&self, mesh: &Mesh, from: Place) -> Vec<Place> {
        if !self.wounded {
            return self.machine.places().map(|(place, _)| place).collect();
        }
        let (mut reached, mut due) = (BTreeSet::from([from]), vec![from]);
        while let Some(place) = due.pop() {
            for link in Link::ALL {
                if let Some(other) = self.across(mesh, place, link).filter(|other| reached.insert(*other)) {
                    due.push(other);
                }
            }
        }
        reached.into_iter().collect()
    }

    /// Memory as a chip sees it, with what is not memory.
    pub fn read(&mut self, around: &mut Around<'_>, place: Place, address: u32, bytes: u32) -> Vec<u8> {
        let (since_ms, booted_s) = (around.now.0.saturating_sub(self.since.0), self.booted_unix_s());
        let Some(numbers) = self.machine.chip(place) else { return vec![0; bytes as usize] };
        let touches_p2p = p2p_offset(address).is_some() || p2p_offset(address.wrapping_add(bytes)).is_some();
        if touches_p2p && self.routes.as_ref().is_none_or(|(of, _)| *of != numbers) {
            self.routes = Some((numbers, self.machine.routes(numbers)));
        }
        let Some(chip) = self.chip(around, place) else { return vec![0; bytes as usize] };
        if canonical(address) >= layout::CORES {
            chip.refresh(around.budget, since_ms, booted_s);
        }
        let mut read = chip.memory.read(address, bytes);
        let Some(chip) = self.chips.get(&place) else { return read };
        for (byte, at) in read.iter_mut().zip(0..) {
            let at = address.wrapping_add(at);
            let shown = match p2p_offset(at) {
                Some(offset) => Some(self.p2p_word(offset / 4)),
                None => chip.shown(at),
            };
            if let Some(word) = shown {
                *byte = word.to_le_bytes()[at as usize % 4];
            }
        }
        read
    }

    /// A word of the table of routes that was asked for last: eight chips, 3 bits each.
    fn p2p_word(&self, number: u32) -> u32 {
        let (height, width) = (self.machine.height, self.machine.width);
        let routes = self.routes.as_ref().map_or(&[][..], |(_, routes)| routes);
        (0..8).fold(0, |word, entry| {
            let (x, y) = ((number * 8 + entry) >> 8, (number * 8 + entry) & 0xFF);
            let at = (x < width && y < height).then_some((x * height + y) as usize);
            let route = at.and_then(|at| routes.get(at).copied()).unwrap_or(ROUTE_NONE);
            word | u32::from(route) << (3 * entry)
        })
    }

    /// When the host said that it is.
    fn booted_unix_s(&self) -> u32 {
        let mut bytes = [0; 256];
        bytes[..BOOT_BYTES].copy_from_slice(&self.variables);
        SystemVariables::of_bytes(bytes).value("unix_timestamp").unwrap_or(0) as u32
    }
}

/// Where in the table of routes from point to point an address lies.
fn p2p_offset(address: u32) -> Option<u32> {
    canonical(address).checked_sub(P2P_TABLE).filter(|offset| *offset < P2P_BYTES)
}

/// Whether some link leads from one chip to another.
fn touches(mesh: &Mesh, from: Place, to: Place) -> bool {
    Link::ALL.into_iter().any(|link| mesh.across(from, link) == Some(to))
}
