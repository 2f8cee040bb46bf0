//! Where a request fits: boards by their position, and nothing of jobs, power, wires or time.
//!
//! Reading order: `torus` and `link` say where boards lie and what joins them; `request` says what can be
//! asked; `shape` which rectangles serve a number of boards. `plane` is a bit for each triad, `free_space` finds
//! free rectangles in such bits, `fabric` knows what is broken, `search` chooses, `feasibility` says never, and
//! `waiting` finds the place a blocked request shall wait for. `triads` and `pool` are the two shapes of a
//! machine and keep the books; `geometry` is how a job sees the boards it got.
//!
//! `find` reads only and gives the same answer to the same question on the same books; who takes what, and when,
//! is decided elsewhere.

mod fabric;
mod feasibility;
mod free_space;
pub mod geometry;
mod hold;
pub mod link;
mod plane;
mod pool;
mod request;
mod search;
pub mod shape;
pub mod torus;
mod triads;
mod waiting;

#[cfg(test)]
mod tests;

pub use geometry::Geometry;
pub use hold::Hold;
pub use link::Link;
pub use pool::Pool;
pub use request::{Impossible, Placement, Region, Request, Size};
pub use torus::{Chip, Torus, Triad};
pub use triads::{BadMachine, SIDE_TRIADS_MAX, TRIADS_MAX, Triads};

/// The dense number of a board inside its machine: `(x * height + y) * 3 + z` of triads, the position of a pool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BoardIndex(pub u32);

/// The books of one machine: which boards are free, and where a request fits.
#[allow(clippy::large_enum_variant, reason = "there is one for each machine, and it does not move")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Allocator {
    /// Boards in triads on a torus.
    Triads(Triads),
    /// Boards without neighbours.
    Pool(Pool),
}

/// Hands a call on to the machine's shape.
macro_rules! either {
    ($self:ident, $shape:ident => $call:expr) => {
        match $self {
            Allocator::Triads($shape) => $call,
            Allocator::Pool($shape) => $call,
        }
    };
}

impl Allocator {
    /// How many boards the machine has places for, dead ones too.
    pub fn board_count(&self) -> u32 {
        either!(self, shape => shape.board_count())
    }

    /// How many boards can be lent now: not taken, not dead, in service.
    pub fn free_count(&self) -> u32 {
        either!(self, shape => shape.free_count())
    }

    /// Whether the request could be met if every board were free and in service; only dead boards and links count.
    pub fn possible(&self, request: &Request) -> Result<(), Impossible> {
        either!(self, shape => shape.possible(request))
    }

    /// The free boards of a pool that are clear of all holds, longest idle first; none of a torus.
    pub fn idle_boards(&self, holds: &[&Hold]) -> Vec<BoardIndex> {
        match self {
            Allocator::Pool(pool) => pool.idle_boards(holds).collect(),
            Allocator::Triads(_) => Vec::new(),
        }
    }

    /// A place for the request now, clear of all holds.
    pub fn find(&self, request: &Request, holds: &[&Hold]) -> Option<Placement> {
        either!(self, shape => shape.find(request, holds))
    }

    /// Marks boards as taken.
    pub fn take(&mut self, boards: &[BoardIndex]) {
        either!(self, shape => shape.take(boards));
    }

    /// Marks boards as free again.
    pub fn give_back(&mut self, boards: &[BoardIndex]) {
        either!(self, shape => shape.give_back(boards));
    }

    /// What it remembers beside the states of boards: the order in which they wear. None when they stand as they were
    /// made, or when the shape knows no order.
    pub fn order(&self) -> Option<Vec<BoardIndex>> {
        match self {
            Allocator::Pool(pool) => Some(pool.order()).filter(|order| !order.is_sorted()),
            Allocator::Triads(_) => None,
        }
    }

    /// Puts boards behind all others in that order.
    pub fn put_last(&mut self, boards: &[BoardIndex]) {
        if let Allocator::Pool(pool) = self {
            pool.put_last(boards);
        }
    }

    /// Takes a board out of service, or back into it: `find` treats it as dead, `possible` does not mind.
    pub fn set_out_of_service(&mut self, board: BoardIndex, out: bool) {
        either!(self, shape => shape.set_out_of_service(board, out));
    }

    /// Declares a board dead, or alive.
    pub fn set_dead(&mut self, board: BoardIndex, dead: bool) {
        either!(self, shape => shape.set_dead(board, dead));
    }

    /// Whether a board can be lent now.
    pub fn is_free(&self, board: BoardIndex) -> bool {
        either!(self, shape => shape.is_free(board))
    }

    /// Whether a board is dead.
    pub fn is_dead(&self, board: BoardIndex) -> bool {
        either!(self, shape => shape.is_dead(board))
    }

    /// The place where the request could be met the earliest, to be kept clear for it.
    ///
    /// `until` says when a board that is not free will be: 0 for now, `u64::MAX` for unknown.
    pub fn hold(&self, request: &Request, until: &dyn Fn(BoardIndex) -> u64) -> Option<Hold> {
        either!(self, shape => shape.hold(request, until))
    }
}
