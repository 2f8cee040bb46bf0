//! The links between chips: which chip lies behind which link, and whether packets pass.
//!
//! On a board all links hold but those of dead chips. A link that leaves its board passes through one of six cables; a cable
//! is cut by a STOP register at either end, or dead from the start.

use super::ChipsSpec;
use crate::allocator::BoardIndex;
use crate::allocator::link::Link;
use crate::allocator::torus::{Torus, board_has_chip};
use std::collections::BTreeSet;

/// A chip of the machine: its board and its place on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The board.
    pub board: BoardIndex,
    /// From the Ethernet chip eastwards.
    pub x: u8,
    /// From the Ethernet chip northwards.
    pub y: u8,
}

impl Place {
    /// The chip of a board that has the plug.
    pub fn ethernet(board: BoardIndex) -> Place {
        Place { board, x: 0, y: 0 }
    }

    /// Whether it has the plug.
    pub fn has_plug(self) -> bool {
        (self.x, self.y) == (0, 0)
    }
}

/// Where the Ethernet chips of the six neighbours lie, by link, from a board's own.
const NEIGHBOURS: [(i8, i8); 6] = [(4, -4), (8, 4), (4, 8), (-4, 4), (-8, -4), (-4, -8)];

/// All links of a machine.
#[derive(Debug)]
pub struct Mesh {
    torus: Torus,
    present: BTreeSet<BoardIndex>,
    dead_chips: BTreeSet<Place>,
    dead: BTreeSet<(BoardIndex, Link)>,
    stopped: BTreeSet<(BoardIndex, Link)>,
}

impl Mesh {
    /// The links as they are described, none of them stopped.
    pub fn new(spec: &ChipsSpec) -> Mesh {
        let torus = Torus { width: spec.width.clamp(1, 21), height: spec.height.clamp(1, 21) };
        let there = |board: &BoardIndex| board.0 < torus.board_count();
        Mesh {
            torus,
            present: spec.present.iter().map(|(board, _)| *board).filter(there).collect(),
            dead_chips: spec
                .dead_chips
                .iter()
                .map(|(board, x, y)| Place { board: *board, x: *x, y: *y })
                .collect(),
            dead: spec.dead_links.iter().copied().collect(),
            stopped: BTreeSet::new(),
        }
    }

    /// The boards that are there.
    pub fn boards(&self) -> impl Iterator<Item = BoardIndex> + '_ {
        self.present.iter().copied()
    }

    /// Sets or clears STOP at this end of a cable; says whether that changed anything.
    pub fn set_stop(&mut self, board: BoardIndex, link: Link, stop: bool) -> bool {
        if stop { self.stopped.insert((board, link)) } else { self.stopped.remove(&(board, link)) }
    }

    /// Clears the STOP registers of a board, which come up clear.
    pub fn clear_stops(&mut self, board: BoardIndex) {
        self.stopped.retain(|(stopped, _)| *stopped != board);
    }

    /// Whether there is a chip that works.
    pub fn works(&self, chip: Place) -> bool {
        self.present.contains(&chip.board)
            && board_has_chip(chip.x.into(), chip.y.into())
            && !self.dead_chips.contains(&chip)
    }

    /// The chip at the other end of a link and, if the link leaves the board, the cable's end on this side. The chip may
    /// be dead or absent.
    pub fn behind(&self, chip: Place, link: Link) -> (Place, Option<Link>) {
        let (dx, dy) = link.chip_vector();
        let (x, y) = (chip.x as i8 + dx, chip.y as i8 + dy);
        if on_board(x, y) {
            return (Place { x: x as u8, y: y as u8, ..chip }, None);
        }
        let triad = self.torus.triad(chip.board);
        let crossing = Link::ALL.into_iter().zip(NEIGHBOURS).find(|(_, (ox, oy))| on_board(x - ox, y - oy));
        let (cable, (ox, oy)) = crossing.unwrap_or((link, (dx, dy)));
        let board = self.torus.index(self.torus.neighbour(triad, cable).0);
        (Place { board, x: (x - ox) as u8, y: (y - oy) as u8 }, Some(cable))
    }

    /// The working chip at the other end of a link over which packets pass.
    pub fn across(&self, chip: Place, link: Link) -> Option<Place> {
        let (other, cable) = self.behind(chip, link);
        let open = cable.is_none_or(|cable| self.is_open(chip.board, cable, other.board));
        (open && self.works(other)).then_some(other)
    }

    /// Whether a cable is neither dead nor stopped, at either end.
    fn is_open(&self, near: BoardIndex, cable: Link, far: BoardIndex) -> bool {
        let ends = [(near, cable), (far, cable.opposite())];
        !ends.iter().any(|end| self.dead.contains(end) || self.stopped.contains(end))
    }
}

/// Whether a board has a chip there, counted from its Ethernet chip.
fn on_board(x: i8, y: i8) -> bool {
    x >= 0 && y >= 0 && board_has_chip(x as u32, y as u32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::allocator::torus::Chip;
    use std::net::Ipv4Addr;

    #[test]
    fn links_lead_where_the_torus_says() {
        let torus = Torus { width: 2, height: 3 };
        let mesh = Mesh::new(&ChipsSpec::whole(2, 3, Ipv4Addr::LOCALHOST));
        let on_machine = |place: Place| {
            let corner = torus.chip_of_board(torus.triad(place.board));
            torus.wrap_chip((corner.x + u32::from(place.x)).into(), (corner.y + u32::from(place.y)).into())
        };
        for (x, y) in (0..24).flat_map(|x| (0..36).map(move |y| (x, y))) {
            let (triad, on_board) = torus.board_at_chip(Chip { x, y });
            let chip = Place { board: torus.index(triad), x: on_board.x as u8, y: on_board.y as u8 };
            for link in Link::ALL {
                let (dx, dy) = link.chip_vector();
                let expected = torus.wrap_chip(i64::from(x) + i64::from(dx), i64::from(y) + i64::from(dy));
                let other = mesh.across(chip, link).unwrap();
                assert_eq!(on_machine(other), expected);
                assert_eq!(mesh.across(other, link.opposite()), Some(chip));
            }
        }
    }

    #[test]
    fn a_stop_at_either_end_cuts_the_eight_links_of_a_cable() {
        let mut mesh = Mesh::new(&ChipsSpec::whole(2, 2, Ipv4Addr::LOCALHOST));
        let all = (0..8).flat_map(|x| (0..8).map(move |y| Place { board: BoardIndex(4), x, y }));
        let chips: Vec<_> = all.filter(|chip| mesh.works(*chip)).collect();
        let open = |mesh: &Mesh| {
            let ends = chips.iter().flat_map(|chip| Link::ALL.map(|link| mesh.across(*chip, link)));
            ends.flatten().count()
        };
        for link in Link::ALL {
            let far = mesh.torus.index(mesh.torus.neighbour(mesh.torus.triad(BoardIndex(4)), link).0);
            for (board, link) in [(BoardIndex(4), link), (far, link.opposite())] {
                assert!(mesh.set_stop(board, link, true));
                assert!(!mesh.set_stop(board, link, true), "it is set already");
                assert_eq!(open(&mesh), 6 * 48 - 8);
                assert!(mesh.set_stop(board, link, false));
                assert_eq!(open(&mesh), 6 * 48);
            }
        }
    }
}
