//! The shape `triads`: which triads and boards are free, kept as planes of bits.
//!
//! A triad is *open* while none of its boards is lent: rectangles are made of open triads. It is *clean* when
//! it is open and all three boards work. Single boards are taken where they spoil least:
//!
//! 1. from a triad that is broken already and has one board left, or else two (`one_left`, `two_left`);
//! 2. from an open triad with a fault, which is no use to those who want whole rectangles (`odd`);
//! 3. from a clean triad that cannot slide and has the most neighbours in use.
//!
//! Everything kept here is 22 bits a triad, and 18 more on a machine with dead links: less than two bytes a
//! board (a column takes whole words of 64 triads).

use std::fmt;

use super::fabric::{DeadLinks, Fabric};
use super::feasibility;
use super::free_space::FreeSpace;
use super::link::Link;
use super::plane::{Plane, WORD_BITS, bits_of, span_words};
use super::request::{Impossible, Placement, Region, Request, Size};
use super::search::{Ground, Search, Terms};
use super::torus::{TRIAD_BOARDS, Torus, Triad};
use super::{BoardIndex, Hold};

/// The most triads along one side of a machine.
pub const SIDE_TRIADS_MAX: u32 = 1 << 14;
/// The most triads of a machine.
pub const TRIADS_MAX: u32 = 1 << 24;

/// Why a machine cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadMachine {
    /// A side is empty or too long, or there are too many triads.
    Size {
        /// Triads from west to east.
        width: u32,
        /// Triads from south to north.
        height: u32,
    },
    /// A dead board, or the board of a dead link, lies outside the machine.
    Outside(Triad),
}

impl fmt::Display for BadMachine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BadMachine::Size { width, height } => write!(
                f,
                "a machine of {width}x{height} triads: each side must have 1 to {SIDE_TRIADS_MAX}, and both together at most {TRIADS_MAX}"
            ),
            BadMachine::Outside(Triad { x, y, z }) => {
                write!(f, "the board ({x}, {y}, {z}) lies outside the machine")
            }
        }
    }
}

impl std::error::Error for BadMachine {}

/// A machine of triads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Triads {
    /// Its size.
    pub(super) torus: Torus,
    /// Its dead links.
    pub(super) links: DeadLinks,
    /// Boards that are not dead.
    pub(super) alive: Fabric,
    /// Boards that are neither dead nor out of service.
    pub(super) serving: Fabric,
    /// For each board of a triad, where it is out of service.
    out: [Plane; 3],
    /// For each board of a triad, where it is lent.
    pub(super) taken: [Plane; 3],
    /// Triads of which no board is lent.
    open: FreeSpace,
    /// Open triads of which all boards serve.
    clean: FreeSpace,
    /// All triads.
    everywhere: FreeSpace,
    /// Triads of which all boards are alive.
    whole: FreeSpace,
    /// Triads with one free board beside lent ones.
    one_left: Plane,
    /// Triads with two free boards beside a lent one.
    two_left: Plane,
    /// Open triads with a free board and one that does not serve.
    odd: Plane,
    /// Boards that can be lent now.
    free: u32,
}

impl Triads {
    /// A machine of this size with these faults, no board lent.
    pub fn new(
        width: u32,
        height: u32,
        dead_boards: &[Triad],
        dead_links: &[(Triad, Link)],
    ) -> Result<Triads, BadMachine> {
        let side = 1..=SIDE_TRIADS_MAX;
        if !side.contains(&width) || !side.contains(&height) || width * height > TRIADS_MAX {
            return Err(BadMachine::Size { width, height });
        }
        let torus = Torus { width, height };
        let named = dead_boards.iter().chain(dead_links.iter().map(|(board, _)| board));
        if let Some(outside) = named.into_iter().find(|board| torus.index_within(**board).is_none()) {
            return Err(BadMachine::Outside(*outside));
        }
        let mut machine = Triads::sound(torus, DeadLinks::new(torus, dead_links));
        for board in dead_boards {
            machine.set_dead(torus.index(*board), true);
        }
        Ok(machine)
    }

    /// A machine whose boards all work.
    fn sound(torus: Torus, links: DeadLinks) -> Triads {
        let plane = |set| Plane::new(torus.width, torus.height, set);
        let space = || FreeSpace::new(plane(true));
        let fabric = Fabric::new(torus, &links);
        Triads {
            torus,
            links,
            alive: fabric.clone(),
            serving: fabric,
            out: [plane(false), plane(false), plane(false)],
            taken: [plane(false), plane(false), plane(false)],
            open: space(),
            clean: space(),
            everywhere: space(),
            whole: space(),
            one_left: plane(false),
            two_left: plane(false),
            odd: plane(false),
            free: torus.board_count(),
        }
    }

    /// The machine's size and wrap-around.
    pub fn torus(&self) -> Torus {
        self.torus
    }

    /// How many boards the machine has places for, dead ones too.
    pub fn board_count(&self) -> u32 {
        self.torus.board_count()
    }

    /// How many boards can be lent now.
    pub fn free_count(&self) -> u32 {
        self.free
    }

    /// Whether the request could be met if every board were free and in service.
    pub fn possible(&self, request: &Request) -> Result<(), Impossible> {
        feasibility::possible(self, request)
    }

    /// A place for the request now, clear of all holds.
    pub fn find(&self, request: &Request, holds: &[&Hold]) -> Option<Placement> {
        if self.free == 0 {
            return None;
        }
        match &request.size {
            Size::Board | Size::Count(1) if request.require_torus => None,
            Size::Board | Size::Count(1) => self.find_board(holds).map(lone),
            Size::Named(names) => match names[..] {
                [board] if !request.require_torus => self.find_named(board, holds).map(lone),
                _ => None,
            },
            Size::AnyOf(_) => None,
            Size::Count(count) => self.find_count(request, *count, holds),
            Size::Triads { width, height } => self.find_rectangle(request, *width, *height, holds),
        }
    }

    /// A rectangle of at least so many boards.
    fn find_count(&self, request: &Request, count: u32, holds: &[&Hold]) -> Option<Placement> {
        feasibility::count_fits(self.torus, request, count).ok()?;
        let closed = self.closed(holds);
        let mut search = Search::new(self.ground_now(), &closed, Terms::of(request, Some(count)));
        let shapes = feasibility::shapes_of(self, &self.serving, request, count);
        let found = search.any_shape(&shapes).or_else(|| {
            // Effort may have run out before the shape that `possible` relies on had its turn.
            let (width, height) = feasibility::usual_shape(self.torus, request, count)?;
            search.in_machine_corner(&self.open, width, height).filter(|_| search.is_spent())
        });
        Some(found?.placement(self.torus))
    }

    /// A rectangle of just this size.
    fn find_rectangle(
        &self,
        request: &Request,
        width: u32,
        height: u32,
        holds: &[&Hold],
    ) -> Option<Placement> {
        feasibility::rectangle_fits(self.torus, request, width, height).ok()?;
        let closed = self.closed(holds);
        let mut search = Search::new(self.ground_now(), &closed, Terms::of(request, None));
        Some(search.rectangle(width, height)?.placement(self.torus))
    }

    /// The board with this number, if it can be lent now.
    fn find_named(&self, board: BoardIndex, holds: &[&Hold]) -> Option<BoardIndex> {
        (self.is_free(board) && !holds.iter().any(|hold| hold.contains(board))).then_some(board)
    }

    /// Any free board, where it spoils least.
    fn find_board(&self, holds: &[&Hold]) -> Option<BoardIndex> {
        let mut lone = holds.iter().filter(|hold| hold.region().is_none()).flat_map(|hold| hold.boards());
        let beside_hold = || lone.find_map(|board| self.find_in_triad(self.torus.triad(board), holds));
        let shelves = [&self.one_left, &self.two_left, &self.odd];
        let on_shelf = || shelves.into_iter().find_map(|shelf| self.find_on(shelf, holds));
        on_shelf().or_else(beside_hold).or_else(|| self.find_in_clean(holds))
    }

    /// The first board of the triads of a plane that is free and not held.
    fn find_on(&self, shelf: &Plane, holds: &[&Hold]) -> Option<BoardIndex> {
        if shelf.count() == 0 {
            return None;
        }
        let regions: Vec<Region> = holds.iter().filter_map(|hold| hold.region()).collect();
        let columns = (0..self.torus.width).filter(|x| shelf.column_count(*x) > 0);
        for x in columns {
            for word in 0..shelf.stride() {
                for bit in bits_of(shelf.word(x, word) & !covered_word(&regions, x, word)) {
                    let triad = Triad::new(x, word as u32 * WORD_BITS + bit, 0);
                    let board = self.find_in_triad(triad, holds);
                    if board.is_some() {
                        return board;
                    }
                }
            }
        }
        None
    }

    /// The lowest free board of a triad that is not held.
    fn find_in_triad(&self, triad: Triad, holds: &[&Hold]) -> Option<BoardIndex> {
        let mut boards = (0..TRIAD_BOARDS).map(|z| self.torus.index(Triad { z, ..triad }));
        boards.find(|board| self.find_named(*board, holds).is_some())
    }

    /// Board 0 of the clean triad that spoils least.
    fn find_in_clean(&self, holds: &[&Hold]) -> Option<BoardIndex> {
        let closed = self.closed(holds);
        let terms = Terms { wanted: Some(1), missing_max: Some(0), dead_links_max: None, torus: false };
        let found = Search::new(self.ground_now(), &closed, terms).rectangle(1, 1)?;
        Some(self.torus.index(Triad::new(found.region.x, found.region.y, 0)))
    }

    /// The regions that rectangles must not touch.
    fn closed(&self, holds: &[&Hold]) -> Vec<Region> {
        holds.iter().flat_map(|hold| hold.regions(self.torus)).collect()
    }

    /// The machine as it is now.
    fn ground_now(&self) -> Ground<'_> {
        Ground {
            torus: self.torus,
            links: &self.links,
            fabric: &self.serving,
            whole: &self.clean,
            open: &self.open,
        }
    }

    /// The machine with every board free and in service.
    pub(super) fn ground_ever(&self) -> Ground<'_> {
        Ground {
            torus: self.torus,
            links: &self.links,
            fabric: &self.alive,
            whole: &self.whole,
            open: &self.everywhere,
        }
    }

    /// Marks boards as lent.
    pub fn take(&mut self, boards: &[BoardIndex]) {
        self.mark(boards, true);
    }

    /// Marks boards as back.
    pub fn give_back(&mut self, boards: &[BoardIndex]) {
        self.mark(boards, false);
    }

    /// Takes a board out of service, or back into it.
    pub fn set_out_of_service(&mut self, board: BoardIndex, out: bool) {
        if let Some(at) = self.inside(board) {
            self.out[at.z as usize].set(at.x, at.y, out);
            self.renew_triad(at);
        }
    }

    /// Declares a board dead, or alive.
    pub fn set_dead(&mut self, board: BoardIndex, dead: bool) {
        if let Some(at) = self.inside(board) {
            self.alive.set(&self.links, at, !dead);
            self.renew_triad(at);
        }
    }

    /// Whether a board can be lent now.
    pub fn is_free(&self, board: BoardIndex) -> bool {
        self.inside(board).is_some_and(|at| self.serving.works(at) && !self.is_taken(at))
    }

    /// Whether a board is dead.
    pub fn is_dead(&self, board: BoardIndex) -> bool {
        self.inside(board).is_some_and(|at| !self.alive.works(at))
    }

    /// Whether a board is lent.
    pub(super) fn is_taken(&self, at: Triad) -> bool {
        self.taken[at.z as usize].has(at.x, at.y)
    }

    /// The place of a board the machine has.
    pub(super) fn inside(&self, board: BoardIndex) -> Option<Triad> {
        (board.0 < self.board_count()).then(|| self.torus.triad(board))
    }

    /// Brings what follows from a board's condition up to date.
    fn renew_triad(&mut self, at: Triad) {
        let serves = self.alive.works(at) && !self.out[at.z as usize].has(at.x, at.y);
        let was_free = u32::from(self.serving.works(at) && !self.is_taken(at));
        self.serving.set(&self.links, at, serves);
        self.free = self.free + u32::from(serves && !self.is_taken(at)) - was_free;
        let word = (at.y / WORD_BITS) as usize;
        if self.whole.replace(at.x, word, self.alive.whole_word(at.x, word)) {
            self.whole.settle(at.x);
        }
        self.renew_column(at.x, at.y, at.y + 1);
    }

    /// Marks boards as lent or not, one stretch of numbers inside a column at a time.
    fn mark(&mut self, boards: &[BoardIndex], lent: bool) {
        debug_assert!(
            boards.iter().all(|board| self.inside(*board).is_none_or(|at| self.is_taken(at) != lent)),
            "a board is {} twice",
            if lent { "taken" } else { "given back" }
        );
        let column_boards = self.torus.height * TRIAD_BOARDS;
        let mut rest = boards;
        while let Some(first) = rest.first() {
            let column = first.0 / column_boards;
            let numbers = column * column_boards..(column * column_boards).saturating_add(column_boards);
            let here = rest.iter().take_while(|board| numbers.contains(&board.0)).count();
            let (mut from, mut to) = (u32::MAX, 0);
            for stretch in rest[..here].chunk_by(|a, b| a.0 + 1 == b.0) {
                let Some(first) = self.inside(stretch[0]) else { break };
                let last = self.torus.triad(stretch[stretch.len() - 1]);
                self.mark_stretch(first, stretch.len() as u32, lent);
                (from, to) = (from.min(first.y), to.max(last.y + 1));
            }
            if from < to {
                self.renew_column(column, from, to);
            }
            rest = &rest[here..];
        }
    }

    /// Marks boards with consecutive numbers inside one column.
    fn mark_stretch(&mut self, at: Triad, count: u32, lent: bool) {
        let from = at.y * TRIAD_BOARDS + at.z;
        let to = from + count;
        for (z, plane) in (0..).zip(&mut self.taken) {
            // Board z of row y has number 3 y + z in its column.
            let row_from = (from + TRIAD_BOARDS - 1 - z) / TRIAD_BOARDS;
            let row_to = (to + TRIAD_BOARDS - 1 - z) / TRIAD_BOARDS;
            let serving = &self.serving.working[z as usize];
            let free_before = free_under(serving, plane, at.x, row_from, row_to);
            let free_after = if lent { 0 } else { serving.count_span(at.x, row_from, row_to) };
            plane.set_span(at.x, row_from, row_to, lent);
            self.free = self.free + free_after - free_before;
        }
    }

    /// Brings what follows from boards lent and working up to date for some rows of a column.
    fn renew_column(&mut self, x: u32, from: u32, to: u32) {
        let (mut open_changed, mut clean_changed) = (false, false);
        for (word, _) in span_words(from, to) {
            let taken = self.taken.each_ref().map(|plane| plane.word(x, word));
            let serving = self.serving.working.each_ref().map(|plane| plane.word(x, word));
            let free: [u64; 3] = std::array::from_fn(|z| serving[z] & !taken[z]);
            let broken = taken[0] | taken[1] | taken[2];
            let whole = serving[0] & serving[1] & serving[2];
            let any = free[0] | free[1] | free[2];
            let two = free[0] & free[1] | free[0] & free[2] | free[1] & free[2];
            open_changed |= self.open.replace(x, word, !broken);
            clean_changed |= self.clean.replace(x, word, !broken & whole);
            self.one_left.replace(x, word, broken & any & !two);
            self.two_left.replace(x, word, broken & two);
            self.odd.replace(x, word, !broken & any & !whole);
        }
        if open_changed {
            self.open.settle(x);
        }
        if clean_changed {
            self.clean.settle(x);
        }
    }
}

/// How many boards of some rows of a column serve and are not lent.
fn free_under(serving: &Plane, taken: &Plane, x: u32, from: u32, to: u32) -> u32 {
    span_words(from, to)
        .map(|(word, mask)| (serving.word(x, word) & !taken.word(x, word) & mask).count_ones())
        .sum()
}

/// The triads of one word of a column that some region covers.
fn covered_word(regions: &[Region], x: u32, word: usize) -> u64 {
    let covering = regions.iter().filter(|region| x.wrapping_sub(region.x) < region.width);
    let masks = covering.flat_map(|region| span_words(region.y, region.y + region.height));
    masks.filter(|(at, _)| *at == word).fold(0, |covered, (_, mask)| covered | mask)
}

/// The grant of one board.
fn lone(board: BoardIndex) -> Placement {
    Placement { boards: vec![board], region: None }
}
