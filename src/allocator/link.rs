//! The six links of a board: where they lead, and how to cut them.
//!
//! ```text
//!        N(2)  NE(1)
//!          \   /
//!   W(3) -- o -- E(0)        opposite = (link + 3) mod 6
//!          /   \
//!      SW(4)  S(5)
//! ```
//!
//! Boards are hexagons, so the board a link leads to depends on z; `STEPS` is that table.

use super::torus::{Torus, Triad, Wraps};

/// One of the six directions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Link {
    /// Towards (1, 0).
    East = 0,
    /// Towards (1, 1).
    NorthEast = 1,
    /// Towards (0, 1).
    North = 2,
    /// Towards (-1, 0).
    West = 3,
    /// Towards (-1, -1).
    SouthWest = 4,
    /// Towards (0, -1).
    South = 5,
}

/// Where a link of a board leads, before wrapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// Triads to the east.
    pub dx: i8,
    /// Triads to the north.
    pub dy: i8,
    /// The board inside that triad.
    pub z: u8,
}

/// One row of `STEPS`, shortened.
const fn step(dx: i8, dy: i8, z: u8) -> Step {
    Step { dx, dy, z }
}

/// Where each link (column) of each board of a triad (row) leads.
const STEPS: [[Step; 6]; 3] = [
    [step(0, -1, 2), step(0, 0, 1), step(0, 0, 2), step(-1, 0, 1), step(-1, -1, 2), step(-1, -1, 1)],
    [step(1, 0, 0), step(1, 0, 2), step(1, 1, 0), step(0, 0, 2), step(0, 0, 0), step(0, -1, 2)],
    [step(0, 0, 1), step(1, 1, 0), step(0, 1, 1), step(0, 1, 0), step(-1, 0, 1), step(0, 0, 0)],
];

/// The register that stops a link, on one of a board's three FPGAs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StopRegister {
    /// The FPGA that drives the link.
    pub fpga: u8,
    /// The register's address; writing 1 cuts the link until the next power-on.
    pub address: u32,
}

impl Link {
    /// All six, by number.
    pub const ALL: [Link; 6] =
        [Link::East, Link::NorthEast, Link::North, Link::West, Link::SouthWest, Link::South];

    /// The link with this number.
    pub fn from_number(number: u32) -> Option<Link> {
        Link::ALL.get(usize::try_from(number).ok()?).copied()
    }

    /// Its number, 0 to 5.
    pub fn number(self) -> u32 {
        self as u32
    }

    /// Its name, as configuration files spell it.
    pub fn name(self) -> &'static str {
        ["east", "north_east", "north", "west", "south_west", "south"][self as usize]
    }

    /// The link back from the board it leads to.
    pub fn opposite(self) -> Link {
        Link::ALL[(self as usize + 3) % 6]
    }

    /// The step from chip to chip along this link.
    pub fn chip_vector(self) -> (i8, i8) {
        [(1, 0), (1, 1), (0, 1), (-1, 0), (-1, -1), (0, -1)][self as usize]
    }

    /// Where this link of the board z of a triad leads; a z beyond 2 is read as 0.
    pub fn step(self, z: u32) -> Step {
        STEPS.get(z as usize).unwrap_or(&STEPS[0])[self as usize]
    }

    /// The register that stops this link.
    pub fn stop_register(self) -> StopRegister {
        const NEAR: u32 = 0x5C;
        const FAR: u32 = 0x1005C;
        let (fpga, address) = [(0, NEAR), (2, FAR), (2, NEAR), (1, FAR), (1, NEAR), (0, FAR)][self as usize];
        StopRegister { fpga, address }
    }
}

impl Torus {
    /// The board at the other end of a link, and the sides of the machine the link crosses.
    pub fn neighbour(self, board: Triad, link: Link) -> (Triad, Wraps) {
        let step = link.step(board.z);
        let (x, wraps_x) = moved(board.x, step.dx, self.width);
        let (y, wraps_y) = moved(board.y, step.dy, self.height);
        (Triad { x, y, z: u32::from(step.z) }, Wraps { x: wraps_x, y: wraps_y })
    }
}

/// A coordinate moved by at most one, and whether that crossed the edge.
fn moved(at: u32, by: i8, size: u32) -> (u32, bool) {
    match by {
        1 if at + 1 == size => (0, true),
        1 => (at + 1, false),
        -1 if at == 0 => (size - 1, true),
        -1 => (at - 1, false),
        _ => (at, false),
    }
}
