//! What is asked for, what is granted, and why something can never be.

use std::fmt;

use super::torus::Triad;
use super::{BoardIndex, shape};

/// How many boards, in which form.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Size {
    /// Any one board.
    #[default]
    Board,
    /// At least so many boards; 0 is impossible, 1 is any one board.
    Count(u32),
    /// A rectangle of triads, never turned round.
    Triads {
        /// Triads from west to east.
        width: u32,
        /// Triads from south to north.
        height: u32,
    },
    /// Exactly these: one board of a machine of triads, any number of a pool.
    Named(Vec<BoardIndex>),
    /// Any one of these boards of a pool.
    AnyOf(Vec<BoardIndex>),
}

/// A request for boards of one machine.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Request {
    /// How many boards, in which form.
    pub size: Size,
    /// For a count: the short side of the rectangle over its long side is at least this. Above 1 it is inverted.
    pub min_ratio: f64,
    /// How many of the boards asked for may be missing; `None` is any number short of all.
    pub max_dead_boards: Option<u32>,
    /// How many links between granted boards may be dead, each direction counted; `None` is any number.
    pub max_dead_links: Option<u32>,
    /// Whether the grant must be the whole machine with its wrap-around.
    pub require_torus: bool,
}

impl Request {
    /// A request of this size with no further terms.
    pub fn of(size: Size) -> Request {
        Request { size, ..Request::default() }
    }

    /// `min_ratio` brought into 0 to 1; what is no number counts as 0.
    pub(super) fn ratio(&self) -> f64 {
        shape::landscape_ratio(self.min_ratio)
    }
}

/// A rectangle of triads that does not cross the machine's edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Region {
    /// Its westernmost column.
    pub x: u32,
    /// Its southernmost row.
    pub y: u32,
    /// Triads from west to east.
    pub width: u32,
    /// Triads from south to north.
    pub height: u32,
}

impl Region {
    /// How many triads it covers.
    pub fn triads(self) -> u32 {
        self.width * self.height
    }

    /// Whether it covers this board.
    pub fn covers(self, board: Triad) -> bool {
        board.x.wrapping_sub(self.x) < self.width && board.y.wrapping_sub(self.y) < self.height
    }
}

/// Boards that meet a request and are free.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placement {
    /// The boards to take, sorted, at least one.
    pub boards: Vec<BoardIndex>,
    /// The rectangle they lie in; `None` for a lone board and for pools.
    pub region: Option<Region>,
}

/// The constraint because of which no state of the machine can ever meet a request.
#[derive(Clone, Debug, PartialEq)]
pub enum Impossible {
    /// No board was asked for.
    Nothing,
    /// More boards than the machine has places for them.
    Count {
        /// Boards asked for.
        asked: u32,
        /// Boards the machine has.
        boards: u32,
    },
    /// A rectangle with an empty side, or one that the machine is too small for.
    Shape {
        /// Triads asked for, west to east.
        width: u32,
        /// Triads asked for, south to north.
        height: u32,
        /// Triads of the machine, west to east.
        machine_width: u32,
        /// Triads of the machine, south to north.
        machine_height: u32,
    },
    /// No rectangle of so many triads that is square enough fits the machine.
    Ratio {
        /// Triads needed.
        triads: u32,
        /// The least short side over long side.
        min_ratio: f64,
        /// Triads of the machine, west to east.
        machine_width: u32,
        /// Triads of the machine, south to north.
        machine_height: u32,
    },
    /// A torus was required of a size that is not the whole machine.
    TorusSize {
        /// Triads of the machine, west to east.
        machine_width: u32,
        /// Triads of the machine, south to north.
        machine_height: u32,
    },
    /// A torus was required and no link between live boards wraps around the machine.
    TorusBroken,
    /// A torus was required of a single board or of a pool.
    TorusOfBoards,
    /// No place of the size has a live board in its lower-left corner.
    Corner {
        /// Triads of the last shape tried, west to east.
        width: u32,
        /// Triads of the last shape tried, south to north.
        height: u32,
    },
    /// Everywhere more boards are missing than allowed.
    DeadBoards {
        /// How many may be missing.
        allowed: u32,
        /// How many are missing in the best place that was looked at.
        least: Option<u32>,
    },
    /// Everywhere more links are dead than allowed.
    DeadLinks {
        /// How many may be dead.
        allowed: u32,
        /// How many are dead in the best place that was looked at.
        least: Option<u32>,
    },
    /// Fewer boards are alive than asked for.
    Alive {
        /// Boards asked for.
        asked: u32,
        /// Boards that are not dead.
        alive: u32,
    },
    /// The board that was named is dead.
    NamedDead(BoardIndex),
    /// The machine has no such board.
    NamedUnknown(BoardIndex),
    /// A machine of triads lends one named board at a time.
    NamedCount(usize),
    /// A pool knows no triads.
    TriadsOfPool,
}

impl fmt::Display for Impossible {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Impossible::Nothing => write!(f, "no board was asked for"),
            Impossible::Count { asked, boards } => {
                write!(f, "{asked} boards were asked for and the machine has {boards}")
            }
            Impossible::Shape { width, height, machine_width, machine_height } => write!(
                f,
                "a rectangle of {width}x{height} triads does not fit a machine of {machine_width}x{machine_height} triads"
            ),
            Impossible::Ratio { triads, min_ratio, machine_width, machine_height } => write!(
                f,
                "no rectangle of {triads} triads with a ratio of its sides of {min_ratio} or more fits a machine of {machine_width}x{machine_height} triads"
            ),
            Impossible::TorusSize { machine_width, machine_height } => {
                write!(f, "a torus is only the whole machine of {machine_width}x{machine_height} triads")
            }
            Impossible::TorusBroken => write!(f, "no link between live boards wraps around the machine"),
            Impossible::TorusOfBoards => write!(f, "single boards and boards of a pool make no torus"),
            Impossible::Corner { width, height } => {
                write!(f, "every place of {width}x{height} triads has a dead board in its lower-left corner")
            }
            Impossible::DeadBoards { allowed, least } => {
                write!(f, "at most {allowed} boards may be missing and every place lacks more")?;
                least.map_or(Ok(()), |least| write!(f, " (at best {least})"))
            }
            Impossible::DeadLinks { allowed, least } => {
                write!(f, "at most {allowed} links may be dead and every place has more")?;
                least.map_or(Ok(()), |least| write!(f, " (at best {least})"))
            }
            Impossible::Alive { asked, alive } => {
                write!(f, "{asked} boards were asked for and only {alive} of the machine are not dead")
            }
            Impossible::NamedDead(board) => write!(f, "board number {} is dead", board.0),
            Impossible::NamedUnknown(board) => write!(f, "the machine has no board number {}", board.0),
            Impossible::NamedCount(count) => {
                write!(f, "a machine of triads lends one named board at a time, not {count}")
            }
            Impossible::TriadsOfPool => write!(f, "a pool of boards has no triads"),
        }
    }
}

impl std::error::Error for Impossible {}
