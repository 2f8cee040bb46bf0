//! Where boards and chips lie on a SpiNNaker machine, and how the machine closes on itself.
//!
//! Three boards make a *triad*, a parallelogram of 12 x 12 chips; W x H triads tile a torus:
//!
//! ```text
//!      chips of one triad (x to the right, y up)        triads of a 4 x 2 machine
//!
//!   11  2 2 2 2 . . . . 1 1 1 1                     y
//!       .                                           1  | 0,1 | 1,1 | 2,1 | 3,1 |
//!    8  E2 at (4, 8)                                0  | 0,0 | 1,0 | 2,0 | 3,0 |
//!       .                                                 0     1     2     3   x
//!    4  E1 at (8, 4)
//!       .                                           east of (3, y) lies (0, y),
//!    0  E0 at (0, 0)                                north of (x, 1) lies (x, 0)
//!       0 . . . 4 . . . 8 . . 11
//! ```
//!
//! A board is 48 of the 64 chips of an 8 x 8 square that begins at its Ethernet chip: those with
//! `dy - dx <= 3` and `dx - dy <= 4`. Boards 1 and 2 stick out of their triad's square to the east and
//! north, into the hollows that the boards of the next triads leave; at the machine's edge they wrap.
//!
//! Not here: links ([`super::link`]), and how a job sees its own boards ([`super::geometry`]).

use super::BoardIndex;

/// Chips along one side of a triad.
pub const TRIAD_CHIPS: u32 = 12;
/// Chips along one side of the square that encloses a board.
pub const BOARD_CHIPS: u32 = 8;
/// Boards of one triad.
pub const TRIAD_BOARDS: u32 = 3;

/// Ethernet chips of the three boards of a triad, from the triad's own corner.
const ETHERNET_CHIPS: [(u32, u32); 3] = [(0, 0), (8, 4), (4, 8)];

/// The logical place of a board: which triad, and which of its three boards.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Triad {
    /// The triad's column, from the west.
    pub x: u32,
    /// The triad's row, from the south.
    pub y: u32,
    /// The board inside the triad: 0, 1 or 2.
    pub z: u32,
}

impl Triad {
    /// The board z of the triad in column x and row y.
    pub const fn new(x: u32, y: u32, z: u32) -> Triad {
        Triad { x, y, z }
    }

    /// The Ethernet (lower-left) chip of the board on an unbounded plane; a z beyond 2 is read as 0.
    pub fn chip(self) -> Chip {
        let (dx, dy) = ETHERNET_CHIPS.get(self.z as usize).copied().unwrap_or((0, 0));
        Chip { x: self.x * TRIAD_CHIPS + dx, y: self.y * TRIAD_CHIPS + dy }
    }
}

/// The place of a chip, on a machine, a job or a board.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Chip {
    /// Chips from the west.
    pub x: u32,
    /// Chips from the south.
    pub y: u32,
}

/// The size of a machine in triads, with its wrap-around.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Torus {
    /// Triads from west to east.
    pub width: u32,
    /// Triads from south to north.
    pub height: u32,
}

impl Torus {
    /// How many boards the machine has room for.
    pub fn board_count(self) -> u32 {
        self.width * self.height * TRIAD_BOARDS
    }

    /// The dense number of a board that lies inside the machine.
    pub fn index(self, board: Triad) -> BoardIndex {
        BoardIndex((board.x * self.height + board.y) * TRIAD_BOARDS + board.z)
    }

    /// The place of the board with this number; numbers beyond the last give places beyond the east edge.
    pub fn triad(self, board: BoardIndex) -> Triad {
        let column = board.0 / TRIAD_BOARDS;
        Triad { x: column / self.height, y: column % self.height, z: board.0 % TRIAD_BOARDS }
    }

    /// The board's number, if it lies inside the machine.
    pub fn index_within(self, board: Triad) -> Option<BoardIndex> {
        let inside = board.x < self.width && board.y < self.height && board.z < TRIAD_BOARDS;
        inside.then(|| self.index(board))
    }

    /// Chips from west to east.
    pub fn chips_wide(self) -> u32 {
        self.width * TRIAD_CHIPS
    }

    /// Chips from south to north.
    pub fn chips_high(self) -> u32 {
        self.height * TRIAD_CHIPS
    }

    /// Any place, also a negative one, brought inside the machine; a z beyond 2 is read as 0.
    pub fn wrap_board(self, x: i64, y: i64, z: i64) -> Triad {
        let z = u32::try_from(z).ok().filter(|z| *z < TRIAD_BOARDS).unwrap_or(0);
        Triad { x: modulo(x, self.width), y: modulo(y, self.height), z }
    }

    /// Any chip, also a negative one, brought inside the machine.
    pub fn wrap_chip(self, x: i64, y: i64) -> Chip {
        Chip { x: modulo(x, self.chips_wide()), y: modulo(y, self.chips_high()) }
    }

    /// The Ethernet chip of a board of the machine.
    pub fn chip_of_board(self, board: Triad) -> Chip {
        let chip = board.chip();
        self.wrap_chip(i64::from(chip.x), i64::from(chip.y))
    }

    /// The board that has this chip, and the chip's place on it. Chips beyond the edge are wrapped.
    pub fn board_at_chip(self, chip: Chip) -> (Triad, Chip) {
        let Chip { x, y } = self.wrap_chip(i64::from(chip.x), i64::from(chip.y));
        let (inner_x, inner_y) = (x % TRIAD_CHIPS, y % TRIAD_CHIPS);
        let (z, on_board) = board_of_cell(inner_x, inner_y);
        // The board began in this triad, or in the one before when the chip lies left of or below its Ethernet chip.
        let triad_x = (x / TRIAD_CHIPS + self.width - u32::from(inner_x < on_board.x)) % self.width;
        let triad_y = (y / TRIAD_CHIPS + self.height - u32::from(inner_y < on_board.y)) % self.height;
        (Triad { x: triad_x, y: triad_y, z }, on_board)
    }
}

/// The board of a chip of one 12 x 12 cell, and the chip's place on that board.
fn board_of_cell(x: u32, y: u32) -> (u32, Chip) {
    for (z, (ethernet_x, ethernet_y)) in (0..).zip(ETHERNET_CHIPS) {
        let dx = (x + TRIAD_CHIPS - ethernet_x) % TRIAD_CHIPS;
        let dy = (y + TRIAD_CHIPS - ethernet_y) % TRIAD_CHIPS;
        if board_has_chip(dx, dy) {
            return (z, Chip { x: dx, y: dy });
        }
    }
    unreachable!("the three boards of a triad cover every chip of its cell")
}

/// Whether a board has a chip so far from its Ethernet chip.
pub fn board_has_chip(dx: u32, dy: u32) -> bool {
    dx < BOARD_CHIPS && dy < BOARD_CHIPS && dy <= dx + 3 && dx <= dy + 4
}

/// The remainder that is never negative.
fn modulo(value: i64, size: u32) -> u32 {
    value.rem_euclid(i64::from(size)) as u32
}

/// Which sides of a region close on themselves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Wraps {
    /// Its east side meets its west side.
    pub x: bool,
    /// Its north side meets its south side.
    pub y: bool,
}

impl Wraps {
    /// As a bit set: 1 for x, 2 for y.
    pub fn bits(self) -> u8 {
        u8::from(self.x) | u8::from(self.y) << 1
    }

    /// Whether any side closes.
    pub fn any(self) -> bool {
        self.x || self.y
    }

    /// Both together.
    pub fn and(self, other: Wraps) -> Wraps {
        Wraps { x: self.x || other.x, y: self.y || other.y }
    }
}

/// The size in chips of a rectangle of triads: sides that do not wrap keep their ragged edge of 4 chips.
pub fn chips_of_triads(width: u32, height: u32, wraps: Wraps) -> (u32, u32) {
    let side = |triads: u32, wraps: bool| triads * TRIAD_CHIPS + if wraps { 0 } else { 4 };
    (side(width, wraps.x), side(height, wraps.y))
}
