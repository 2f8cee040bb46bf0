//! Boards set aside for a request that has to wait.

use super::BoardIndex;
use super::request::Region;
use super::torus::Torus;

/// The boards a waiting request is to get; searches for others stay clear of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    /// The boards, sorted.
    boards: Vec<BoardIndex>,
    /// The rectangle they lie in and the machine it is of; `None` for a lone board and for pools.
    region: Option<(Torus, Region)>,
}

impl Hold {
    /// A hold on these boards by themselves.
    pub fn on_boards(mut boards: Vec<BoardIndex>) -> Hold {
        boards.sort_unstable();
        Hold { boards, region: None }
    }

    /// A hold on a whole rectangle, of which the request would get these boards.
    pub(super) fn on_region(torus: Torus, region: Region, boards: Vec<BoardIndex>) -> Hold {
        Hold { boards, region: Some((torus, region)) }
    }

    /// Whether the board is set aside: for a rectangle also those of its boards that the request would not get.
    pub fn contains(&self, board: BoardIndex) -> bool {
        match self.region {
            Some((torus, region)) => region.covers(torus.triad(board)),
            None => self.boards.binary_search(&board).is_ok(),
        }
    }

    /// The boards that the request would get, sorted.
    pub fn boards(&self) -> impl Iterator<Item = BoardIndex> + '_ {
        self.boards.iter().copied()
    }

    /// The rectangle set aside; `None` for a lone board and for pools.
    pub fn region(&self) -> Option<Region> {
        self.region.map(|(_, region)| region)
    }

    /// The rectangles that no other rectangle may touch.
    pub(super) fn regions(&self, torus: Torus) -> impl Iterator<Item = Region> + '_ {
        let lone = self.region.is_none().then_some(&self.boards).into_iter().flatten();
        let around = move |board: &BoardIndex| {
            let at = torus.triad(*board);
            torus.index_within(at).map(|_| Region { x: at.x, y: at.y, width: 1, height: 1 })
        };
        self.region().into_iter().chain(lone.filter_map(around))
    }
}
