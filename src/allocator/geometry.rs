//! How a job sees the boards it was given: size in chips, torus, the chips its hosts answer at, the links to cut.
//!
//! A job counts chips from its own lowest corner, taken per axis. A lone board is 8 x 8 chips; anything else
//! is 12 chips a triad and 4 more on each side that does not wrap. A side wraps when some link between two
//! boards of the job, dead or alive, crosses the machine's edge there.

use super::BoardIndex;
use super::link::Link;
use super::torus::{BOARD_CHIPS, Chip, Torus, Triad, Wraps, chips_of_triads};

/// A granted set of boards, as its job sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// The machine the boards are of.
    machine: Torus,
    /// The boards, sorted.
    boards: Vec<BoardIndex>,
    /// One bit for each board of the smallest rectangle of triads around them, numbered as on a machine of that size.
    members: Vec<u64>,
    /// The size of that rectangle.
    bounds: Torus,
    /// The job's lowest corner on the machine, per axis.
    pub origin: Triad,
    /// Which sides wrap.
    pub wraps: Wraps,
    /// Chips from west to east.
    pub width_chips: u32,
    /// Chips from south to north.
    pub height_chips: u32,
}

impl Geometry {
    /// The geometry of these boards of a machine; nothing for no board or a board the machine has not.
    pub fn new(machine: Torus, boards: &[BoardIndex]) -> Option<Geometry> {
        let mut boards = boards.to_vec();
        boards.sort_unstable();
        boards.dedup();
        let last = boards.last().filter(|last| last.0 < machine.board_count())?;
        let (mut low, mut high) = (machine.triad(*last), machine.triad(*last));
        for board in boards.iter().map(|board| machine.triad(*board)) {
            low = Triad { x: low.x.min(board.x), y: low.y.min(board.y), z: low.z.min(board.z) };
            high = Triad { x: high.x.max(board.x), y: high.y.max(board.y), z: high.z.max(board.z) };
        }
        let bounds = Torus { width: high.x - low.x + 1, height: high.y - low.y + 1 };
        let members = vec![0; bounds.board_count().div_ceil(64) as usize];
        let (wraps, width_chips, height_chips) = (Wraps::default(), BOARD_CHIPS, BOARD_CHIPS);
        let mut geometry =
            Geometry { machine, boards, members, bounds, origin: low, wraps, width_chips, height_chips };
        geometry.enter_members();
        geometry.wraps = geometry.measure_wraps();
        if geometry.boards.len() > 1 {
            (geometry.width_chips, geometry.height_chips) =
                chips_of_triads(bounds.width, bounds.height, geometry.wraps);
        }
        Some(geometry)
    }

    /// The machine the boards are of.
    pub fn machine(&self) -> Torus {
        self.machine
    }

    /// The boards, sorted.
    pub fn boards(&self) -> &[BoardIndex] {
        &self.boards
    }

    /// Whether the job has this board.
    pub fn has(&self, board: Triad) -> bool {
        self.member(board).is_some_and(|bit| self.members[bit / 64] >> (bit % 64) & 1 == 1)
    }

    /// Each board's Ethernet chip as the job counts chips, sorted by chip.
    pub fn connections(&self) -> Vec<(Chip, BoardIndex)> {
        let mut connections: Vec<_> =
            self.boards.iter().map(|board| (self.own_chip(self.machine.triad(*board)), *board)).collect();
        connections.sort_unstable();
        connections
    }

    /// The links that lead out of the job, to be cut while it has its boards; sorted by board and link.
    pub fn periphery(&self) -> Vec<(BoardIndex, Link)> {
        let mut links = Vec::new();
        for index in &self.boards {
            let board = self.machine.triad(*index);
            let leads_out = |link: &Link| !self.has(self.machine.neighbour(board, *link).0);
            links.extend(Link::ALL.into_iter().filter(leads_out).map(|link| (*index, link)));
        }
        links
    }

    /// A chip of a board of the job, given by its place on the board, as the job counts chips.
    pub fn job_chip(&self, board: Triad, on_board: Chip) -> Chip {
        let ethernet = self.own_chip(board);
        Chip {
            x: (ethernet.x + on_board.x) % self.width_chips,
            y: (ethernet.y + on_board.y) % self.height_chips,
        }
    }

    /// A chip as the job counts chips, on the machine: its board, its place on the board. None when it is not the job's.
    pub fn board_at_job_chip(&self, x: i64, y: i64) -> Option<(Triad, Chip)> {
        let corner = self.origin.chip();
        let x = x.checked_add(i64::from(corner.x))?;
        let y = y.checked_add(i64::from(corner.y))?;
        let (board, on_board) = self.machine.board_at_chip(self.machine.wrap_chip(x, y));
        self.has(board).then_some((board, on_board))
    }

    /// The Ethernet chip of one of the job's boards as the job counts chips.
    fn own_chip(&self, board: Triad) -> Chip {
        let Triad { x, y, z } = self.origin;
        Triad::new(board.x.saturating_sub(x), board.y.saturating_sub(y), board.z.saturating_sub(z)).chip()
    }

    /// The bit of a board in `members`, if it lies inside the bounds.
    fn member(&self, board: Triad) -> Option<usize> {
        let (x, y) = (board.x.checked_sub(self.origin.x)?, board.y.checked_sub(self.origin.y)?);
        Some(self.bounds.index_within(Triad::new(x, y, board.z))?.0 as usize)
    }

    /// Sets the bit of every board.
    fn enter_members(&mut self) {
        for at in 0..self.boards.len() {
            if let Some(bit) = self.member(self.machine.triad(self.boards[at])) {
                self.members[bit / 64] |= 1 << (bit % 64);
            }
        }
    }

    /// Which sides some link of the job crosses. Only a job as wide or high as the machine can wrap at all.
    fn measure_wraps(&self) -> Wraps {
        let able = Wraps {
            x: self.bounds.width == self.machine.width,
            y: self.bounds.height == self.machine.height,
        };
        let mut wraps = Wraps::default();
        for board in self.boards.iter().map(|board| self.machine.triad(*board)) {
            if wraps == able {
                break;
            }
            for link in Link::ALL {
                let (other, crossed) = self.machine.neighbour(board, link);
                if crossed.any() && self.has(other) {
                    wraps = wraps.and(crossed);
                }
            }
        }
        wraps
    }
}
