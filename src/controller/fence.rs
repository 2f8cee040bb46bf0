//! The fence: per board the newest order it has seen, so that whoever held it before cannot reach it any more.
//!
//! What is deliberately not here: what becomes of an older order that still runs when a newer one is admitted.

use crate::allocator::BoardIndex;
use crate::lab::command::Consultation;
use crate::lab::effect::Order;
use crate::lab::fact::{Grant, OrderId};

/// What a board that was never touched has seen: grants are counted from 1.
const NEVER: OrderId = OrderId { grant: Grant(0), step: 0 };

/// The newest order of every board of one machine.
#[derive(Clone, Debug)]
pub struct Fence {
    /// By board, as far up as boards were touched.
    newest: Vec<OrderId>,
    /// How many boards the machine has.
    board_count: u32,
}

/// An order's boards, sorted by what they may do about it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Admitted {
    /// Boards that have seen nothing newer: they must act.
    pub act: Vec<BoardIndex>,
    /// Boards that have seen a newer order: they refuse.
    pub stale: Vec<BoardIndex>,
    /// Boards the machine does not have.
    pub unknown: Vec<BoardIndex>,
}

impl Fence {
    /// A fence before any order.
    pub fn new(board_count: u32) -> Fence {
        Fence { newest: Vec::new(), board_count }
    }

    /// Sorts an order's boards and remembers it as the newest of those that must act. An order seen before is
    /// admitted again, as long as none newer came between.
    pub fn admit(&mut self, order: &Order) -> Admitted {
        self.make_room(&order.boards);
        let mut admitted = Admitted::default();
        for board in order.boards.iter() {
            let list = match self.newest.get_mut(board.0 as usize) {
                None => &mut admitted.unknown,
                Some(newest) if *newest > order.id => &mut admitted.stale,
                Some(newest) => {
                    *newest = order.id;
                    &mut admitted.act
                }
            };
            list.push(*board);
        }
        admitted
    }

    /// Whether a consultation may reach its board: its grant is not older than any the board has seen.
    pub fn allows(&self, at: &Consultation) -> bool {
        at.order.grant >= self.newest(at.board.board).grant
    }

    /// Whether the machine has such a board.
    pub fn has(&self, board: BoardIndex) -> bool {
        board.0 < self.board_count
    }

    /// The newest order a board has seen; its grant is 0 when it has seen none.
    pub fn newest(&self, board: BoardIndex) -> OrderId {
        self.newest.get(board.0 as usize).copied().unwrap_or(NEVER)
    }

    /// Grows the table to the highest of the boards that exists, once for an order.
    fn make_room(&mut self, boards: &[BoardIndex]) {
        let highest = boards.iter().map(|board| board.0).filter(|number| *number < self.board_count).max();
        let needed = highest.map_or(0, |number| number as usize + 1);
        if needed > self.newest.len() {
            self.newest.resize(needed, NEVER);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::effect::Action;
    use crate::lab::fact::BoardRef;

    fn id(grant: u64, step: u32) -> OrderId {
        OrderId { grant: Grant(grant), step }
    }

    fn order(grant: u64, step: u32, boards: &[u32]) -> Order {
        let boards = boards.iter().copied().map(BoardIndex).collect();
        Order {
            id: id(grant, step),
            machine: "m".into(),
            action: Action::PowerOff,
            boards,
            mates: [].into(),
            job: None,
        }
    }

    fn consultation(board: u32, grant: u64) -> Consultation {
        let board = BoardRef { machine: "m".into(), board: BoardIndex(board) };
        Consultation { board, order: id(grant, 0), held: None }
    }

    /// The boards that act, that are stale and that are unknown.
    fn sorted(fence: &mut Fence, order: &Order) -> [Vec<u32>; 3] {
        let Admitted { act, stale, unknown } = fence.admit(order);
        [act, stale, unknown].map(|boards| boards.iter().map(|board| board.0).collect())
    }

    #[test]
    fn an_older_grant_or_step_is_stale_and_an_equal_order_is_not() {
        let mut fence = Fence::new(4);
        assert_eq!(sorted(&mut fence, &order(5, 1, &[0, 1])), [vec![0, 1], vec![], vec![]]);
        assert_eq!(sorted(&mut fence, &order(5, 1, &[0, 1])), [vec![0, 1], vec![], vec![]]);
        assert_eq!(sorted(&mut fence, &order(5, 0, &[0, 1])), [vec![], vec![0, 1], vec![]]);
        assert_eq!(sorted(&mut fence, &order(4, 9, &[0, 2])), [vec![2], vec![0], vec![]]);
        assert_eq!(sorted(&mut fence, &order(6, 0, &[1, 2])), [vec![1, 2], vec![], vec![]]);
        assert_eq!(sorted(&mut fence, &order(5, 2, &[0, 1, 2, 3])), [vec![0, 3], vec![1, 2], vec![]]);
        let newest = [0, 1, 2, 3].map(|board| fence.newest(BoardIndex(board)));
        assert_eq!(newest, [id(5, 2), id(6, 0), id(6, 0), id(5, 2)]);
    }

    #[test]
    fn a_refused_order_leaves_no_trace() {
        let mut fence = Fence::new(1);
        fence.admit(&order(5, 0, &[0]));
        fence.admit(&order(4, 7, &[0]));
        assert_eq!(fence.newest(BoardIndex(0)), id(5, 0));
    }

    #[test]
    fn a_board_that_does_not_exist_takes_no_memory() {
        let mut fence = Fence::new(2);
        assert_eq!(sorted(&mut fence, &order(1, 0, &[1, 2, u32::MAX])), [vec![1], vec![], vec![2, u32::MAX]]);
        assert_eq!(fence.newest.len(), 2);
        assert_eq!([1, 2].map(|board| fence.has(BoardIndex(board))), [true, false]);
    }

    #[test]
    fn a_consultation_needs_the_newest_grant_and_not_the_newest_step() {
        let mut fence = Fence::new(2);
        assert!(fence.allows(&consultation(1, 0)), "a board that was never lent answers operators");
        fence.admit(&order(5, 3, &[0]));
        let allowed = [4, 5, 6].map(|grant| fence.allows(&consultation(0, grant)));
        assert_eq!(allowed, [false, true, true]);
    }
}
