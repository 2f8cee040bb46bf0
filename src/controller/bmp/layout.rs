//! Where the boards of a machine stand, who switches them, and which links part a job from everybody else.

use crate::allocator::{BoardIndex, Geometry, Link};
use crate::lab::machine::{MachineSpec, Physical, TriadsSpec};
use crate::spinnaker::bmp;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// A frame: the boards that one BMP switches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FrameId {
    /// The cabinet it stands in.
    pub cabinet: u32,
    /// Its number in the cabinet.
    pub frame: u32,
}

impl fmt::Display for FrameId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cabinet {}, frame {}", self.cabinet, self.frame)
    }
}

/// Where a board stands, as its BMP counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seat {
    /// The frame.
    pub frame: FrameId,
    /// The board in the frame.
    pub board: bmp::Board,
}

/// The boards of one machine of triads.
#[derive(Clone, Debug)]
pub struct Layout {
    spec: Arc<MachineSpec>,
}

impl Layout {
    /// The layout of a machine; none for a pool.
    pub fn new(spec: Arc<MachineSpec>) -> Option<Layout> {
        spec.triads()?;
        Some(Layout { spec })
    }

    /// Where a board stands, if a BMP is there to switch it.
    pub fn seat(&self, board: BoardIndex) -> Option<Seat> {
        let place = self.triads()?.place(board)?;
        let frame = FrameId { cabinet: place.cabinet, frame: place.frame };
        self.bmp_host(frame)?;
        let number = u8::try_from(place.board).ok()?;
        Some(Seat { frame, board: bmp::Board::new(number)? })
    }

    /// Which board stands there.
    pub fn board_at(&self, seat: Seat) -> Option<BoardIndex> {
        let Seat { frame: FrameId { cabinet, frame }, board } = seat;
        self.triads()?.board_at(Physical { cabinet, frame, board: board.number().into() })
    }

    /// The host of the BMP of a frame.
    pub fn bmp_host(&self, frame: FrameId) -> Option<Arc<str>> {
        self.triads()?.bmps.get(&(frame.cabinet, frame.frame)).cloned()
    }

    /// The host at which the chips of a board answer; empty when none is known.
    pub fn board_host(&self, board: BoardIndex) -> Arc<str> {
        self.triads().map_or_else(|| "".into(), |triads| triads.host(board))
    }

    /// How a job sees these boards.
    pub fn geometry(&self, boards: &[BoardIndex]) -> Option<Geometry> {
        Geometry::new(self.triads()?.torus(), boards)
    }

    /// By board of a job, the links that lead out of the job: to boards of others, to dead ones, to none at all.
    pub fn cuts(&self, job: &[BoardIndex]) -> BTreeMap<BoardIndex, Vec<Link>> {
        let mut cuts: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for (board, link) in self.geometry(job).iter().flat_map(Geometry::periphery) {
            cuts.entry(board).or_default().push(link);
        }
        cuts
    }

    /// The board at the job's corner, whose first chip is 0,0: through it the job is booted.
    pub fn root(&self, job: &[BoardIndex]) -> Option<BoardIndex> {
        let (chip, board) = self.geometry(job)?.connections().first().copied()?;
        ((chip.x, chip.y) == (0, 0)).then_some(board)
    }

    /// A board as people write it.
    pub fn text(&self, board: BoardIndex) -> String {
        self.spec.board_name(board).to_string()
    }

    fn triads(&self) -> Option<&TriadsSpec> {
        self.spec.triads()
    }
}
