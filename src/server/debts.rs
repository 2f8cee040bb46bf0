//! What a controller still owes: the boards of its orders that have not answered.
//!
//! When another controller takes a machine over, the old one must not drive the same boards any more. Either it is retired:
//! what it owes is taken from it and given to the new one, and nothing it says counts from that moment on. Or it goes on to
//! what it owes, and the new one waits until it is `settled`.

use super::bell::Bell;
use crate::allocator::BoardIndex;
use crate::controller::Outcome;
use crate::lab::effect::Order;
use crate::lab::fact::OrderId;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// See above.
#[derive(Default)]
pub struct Debts {
    inside: Mutex<Inside>,
    /// Rung when nothing is owed any more.
    paid: Bell,
}

/// What is behind the lock. No board stands in two orders.
#[derive(Default)]
struct Inside {
    retired: bool,
    orders: BTreeMap<OrderId, Owed>,
    /// The order that each board has to answer, by board, as far up as boards were ordered; so that neither an order nor an
    /// answer costs more than its own boards. Orders name boards that exist.
    owing: Vec<Option<OrderId>>,
}

/// An order that some boards have to answer.
struct Owed {
    order: Order,
    /// How many of its boards.
    left: usize,
}

impl Debts {
    /// An order is given. Boards that owe an answer to an older one are done with that: nobody waits for it any more.
    pub fn owe(&self, order: &Order) {
        let mut inside = self.inside();
        order.boards.iter().for_each(|board| inside.release(*board));
        // If it was given before, nobody waits any more for boards that it does not name now.
        if let Some(before) = inside.orders.remove(&order.id) {
            before.order.boards.iter().for_each(|board| inside.forget(*board, order.id));
        }
        order.boards.iter().for_each(|board| inside.bind(*board, order.id));
        let mates = if order.mates.is_empty() { order.boards.clone() } else { order.mates.clone() };
        let owed = Owed { order: Order { mates, ..order.clone() }, left: order.boards.len() };
        if owed.left > 0 {
            inside.orders.insert(order.id, owed);
        }
    }

    /// Boards have answered. `tell` is called unless the controller is retired, in which case what it says means nothing.
    pub fn pay(&self, outcome: Outcome, tell: impl FnOnce(Outcome)) {
        let mut inside = self.inside();
        if inside.retired {
            return;
        }
        for board in outcome.obeyed.iter().chain(outcome.failed.iter().map(|(board, _)| board)) {
            if inside.owed_by(*board) == Some(outcome.order) {
                inside.release(*board);
            }
        }
        let is_paid = inside.orders.is_empty();
        tell(outcome);
        drop(inside);
        if is_paid {
            self.paid.ring();
        }
    }

    /// Whether nothing is owed.
    pub fn are_paid(&self) -> bool {
        self.inside().orders.is_empty()
    }

    /// Retires the controller: what it owes is somebody else's from now on.
    pub fn retire(&self) -> Vec<Order> {
        let mut inside = self.inside();
        inside.retired = true;
        let (orders, owing) = (std::mem::take(&mut inside.orders), std::mem::take(&mut inside.owing));
        drop(inside);
        self.paid.ring();
        let left = |Owed { order, .. }| {
            let owes = |board: &BoardIndex| owing.get(board.0 as usize) == Some(&Some(order.id));
            Order { boards: order.boards.iter().copied().filter(owes).collect(), ..order }
        };
        orders.into_values().map(left).collect()
    }

    /// Waits until nothing is owed.
    pub async fn settled(&self) {
        while !self.are_paid() {
            self.paid.heard().await;
        }
    }

    /// The maps are whole between calls, so a panic elsewhere does no harm.
    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inside {
    /// The order a board has to answer.
    fn owed_by(&self, board: BoardIndex) -> Option<OrderId> {
        *self.owing.get(board.0 as usize)?
    }

    /// A board has to answer an order.
    fn bind(&mut self, board: BoardIndex, order: OrderId) {
        let at = board.0 as usize;
        if at >= self.owing.len() {
            self.owing.resize(at + 1, None);
        }
        self.owing[at] = Some(order);
    }

    /// A board owes nothing any more.
    fn release(&mut self, board: BoardIndex) {
        let Some(order) = self.owing.get_mut(board.0 as usize).and_then(Option::take) else { return };
        let Some(owed) = self.orders.get_mut(&order) else { return };
        owed.left -= 1;
        if owed.left == 0 {
            self.orders.remove(&order);
        }
    }

    /// A board owes nothing any more to an order that is gone.
    fn forget(&mut self, board: BoardIndex, order: OrderId) {
        if self.owed_by(board) == Some(order) {
            self.owing[board.0 as usize] = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::effect::Action;
    use crate::lab::fact::Grant;

    fn order(grant: u64, boards: &[u32]) -> Order {
        Order {
            id: OrderId { grant: Grant(grant), step: 0 },
            machine: "m".into(),
            action: Action::Clean,
            boards: boards.iter().copied().map(BoardIndex).collect(),
            mates: [].into(),
            job: None,
        }
    }

    fn outcome(grant: u64, obeyed: &[u32], failed: &[u32]) -> Outcome {
        let failed = failed.iter().map(|board| (BoardIndex(*board), "broke".into())).collect();
        let obeyed = obeyed.iter().copied().map(BoardIndex).collect();
        Outcome { order: order(grant, &[]).id, obeyed, failed }
    }

    #[test]
    fn what_has_not_answered_is_owed_with_its_mates_and_what_was_overtaken_is_not() {
        let debts = Debts::default();
        debts.owe(&order(1, &[0, 1, 2, 3]));
        debts.owe(&order(2, &[3, 4]));
        let mut told = Vec::new();
        debts.pay(outcome(1, &[0], &[1]), |outcome| told.push(outcome));
        assert_eq!(told, [outcome(1, &[0], &[1])]);
        let first = Order { mates: order(1, &[0, 1, 2, 3]).boards, ..order(1, &[2]) };
        let second = Order { mates: order(2, &[3, 4]).boards, ..order(2, &[3, 4]) };
        assert_eq!(debts.retire(), [first, second]);
        assert!(debts.are_paid());
        debts.pay(outcome(1, &[2], &[]), |_| panic!("a retired controller was heard"));
    }

    #[test]
    fn an_order_that_is_given_again_is_owed_once() {
        let debts = Debts::default();
        debts.owe(&order(1, &[0, 1, 2]));
        debts.owe(&order(1, &[1, 2]));
        debts.pay(outcome(1, &[0, 1], &[]), drop);
        assert!(!debts.are_paid());
        debts.pay(outcome(1, &[2, 2], &[2]), drop);
        assert!(debts.are_paid() && debts.retire().is_empty());
    }

    #[test]
    fn many_boards_that_answer_one_by_one_cost_no_more_than_their_number() {
        let (debts, boards) = (Debts::default(), (0..100_000).collect::<Vec<_>>());
        debts.owe(&order(1, &boards));
        debts.owe(&order(2, &boards[1..]));
        boards.iter().rev().for_each(|board| debts.pay(outcome(2, &[*board], &[]), drop));
        assert!(!debts.are_paid());
        debts.pay(outcome(1, &boards, &[]), drop);
        assert!(debts.are_paid());
    }

    #[test]
    fn it_is_settled_when_the_last_board_has_answered() {
        use futures_util::FutureExt;
        let debts = Debts::default();
        assert!(debts.settled().now_or_never().is_some());
        debts.owe(&order(1, &[0, 1]));
        debts.pay(outcome(1, &[0], &[]), drop);
        let mut settled = Box::pin(debts.settled());
        assert!((&mut settled).now_or_never().is_none());
        debts.pay(outcome(1, &[], &[1]), drop);
        assert!(settled.now_or_never().is_some());
    }
}
