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
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

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
    orders: BTreeMap<OrderId, Order>,
}

impl Debts {
    /// An order is given. Boards that owe an answer to an older one are done with that: nobody waits for it any more.
    pub fn owe(&self, order: &Order) {
        let mut inside = self.inside();
        inside.orders.retain(|_, older| remains(older, |board| !order.boards.contains(board)));
        let mates = if order.mates.is_empty() { order.boards.clone() } else { order.mates.clone() };
        inside.orders.insert(order.id, Order { mates, ..order.clone() });
    }

    /// Boards have answered. `tell` is called unless the controller is retired, in which case what it says means nothing.
    pub fn pay(&self, outcome: Outcome, tell: impl FnOnce(Outcome)) {
        let mut inside = self.inside();
        if inside.retired {
            return;
        }
        if let Some(order) = inside.orders.get_mut(&outcome.order) {
            let failed = |board: &BoardIndex| outcome.failed.iter().any(|(other, _)| other == board);
            if !remains(order, |board| !outcome.obeyed.contains(board) && !failed(board)) {
                inside.orders.remove(&outcome.order);
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
        let orders = std::mem::take(&mut inside.orders).into_values().collect();
        drop(inside);
        self.paid.ring();
        orders
    }

    /// Waits until nothing is owed.
    pub async fn settled(&self) {
        while !self.are_paid() {
            self.paid.heard().await;
        }
    }

    /// The map is whole between calls, so a panic elsewhere does no harm.
    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Leaves an order these boards only; whether there are any.
fn remains(order: &mut Order, stays: impl Fn(&BoardIndex) -> bool) -> bool {
    if !order.boards.iter().all(&stays) {
        order.boards = order.boards.iter().copied().filter(|board| stays(board)).collect::<Arc<[_]>>();
    }
    !order.boards.is_empty()
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
