//! Orders to hardware: opened, answered, overdue, closed.

use crate::allocator::BoardIndex;
use crate::clock::Moment;
use crate::lab::effect::Action;
use crate::lab::fact::{BoardRef, JobId, MachineName, OrderId};
use crate::lab::job::Loan;
use crate::lab::{Lab, Outstanding, Purpose};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

impl Lab {
    /// Opens the next order of a job's loan, to switch its boards; an order still open is overtaken.
    pub(super) fn open_switch(&mut self, id: JobId, power: bool, at: Moment) {
        let Some(job) = self.jobs.get(&id) else { return };
        let boards = self.lent_boards(job).collect();
        let args = job.spec.kind_args.clone();
        let Some(loan) = self.next_step(id) else { return };
        let action = match power {
            true => Action::Prepare { kind: loan.1.kind.clone(), args },
            false => Action::PowerOff,
        };
        let (order, machine) = (loan.0, loan.1.machine.clone());
        self.open_order(order, machine, boards, Purpose::Switch { job: id, action }, at);
    }

    /// Counts one order up, closing the one before, and answers its number and the loan.
    pub(super) fn next_step(&mut self, id: JobId) -> Option<(OrderId, Loan)> {
        let loan = self.jobs.get_mut(&id)?.loan.as_mut()?;
        let order = loan.next_order();
        loan.next_step += 1;
        let loan = loan.clone();
        if let Some(before) = order.step.checked_sub(1) {
            self.close_order(OrderId { grant: order.grant, step: before });
        }
        Some((order, loan))
    }

    pub(super) fn open_order(
        &mut self,
        id: OrderId,
        machine: MachineName,
        boards: Arc<[BoardIndex]>,
        purpose: Purpose,
        at: Moment,
    ) {
        let open = Outstanding {
            machine,
            boards,
            purpose,
            answered: BTreeSet::new(),
            failed: BTreeMap::new(),
            deadline: at,
        };
        self.orders.insert(id, open);
        self.set_order_deadline(id, at);
    }

    pub(in crate::lab) fn set_order_deadline(&mut self, id: OrderId, now: Moment) {
        let Some(open) = self.orders.get(&id) else { return };
        let ms = self.machine(&open.machine).map_or(0, |machine| machine.spec.order_ms_max);
        let deadline = now.plus_ms(ms);
        if let Some(open) = self.orders.get_mut(&id) {
            self.due.orders.remove(&(open.deadline, id));
            open.deadline = deadline;
            self.due.orders.insert((deadline, id));
        }
    }

    pub(super) fn close_order(&mut self, id: OrderId) {
        if let Some(open) = self.orders.remove(&id) {
            self.due.orders.remove(&(open.deadline, id));
        }
        self.troubled.remove(&id);
    }

    pub(super) fn take_answer(
        &mut self,
        id: OrderId,
        obeyed: &[BoardIndex],
        failed: &[(BoardIndex, Arc<str>)],
    ) {
        let Some(open) = self.orders.get_mut(&id) else { return };
        open.answered.extend(obeyed.iter().copied());
        open.answered.extend(failed.iter().map(|(board, _)| *board));
        open.failed.extend(failed.iter().cloned());
        if !open.failed.is_empty() {
            self.troubled.insert(id);
        }
    }

    pub(super) fn give_up_order(&mut self, id: OrderId) {
        let Some(open) = self.orders.get_mut(&id) else { return };
        let silent: Vec<_> =
            open.boards.iter().filter(|board| !open.answered.contains(board)).copied().collect();
        open.answered.extend(silent.iter().copied());
        open.failed.extend(silent.into_iter().map(|board| (board, "no answer in time".into())));
        self.due.orders.remove(&(open.deadline, id));
        self.troubled.insert(id);
    }

    /// Nothing is expected of a board any more that was to be cleaned.
    pub(super) fn drop_from_orders(&mut self, at: &BoardRef) {
        let Some(grant) = self.machine(&at.machine).map(|machine| machine.grant(at.board)) else { return };
        let of_grant = OrderId { grant, step: 0 }..=OrderId { grant, step: u32::MAX };
        let has =
            |open: &Outstanding| open.machine == at.machine && open.boards.binary_search(&at.board).is_ok();
        let Some((id, open)) = self.orders.range_mut(of_grant).find(|(_, open)| has(open)) else { return };
        let id = *id;
        open.answered.insert(at.board);
        open.failed.remove(&at.board);
        if open.failed.is_empty() {
            self.troubled.remove(&id);
            if open.answered.len() == open.boards.len() {
                self.close_order(id);
            }
        }
    }

    /// A failed board was set aside: it leaves the order it failed, which is closed when nothing is open in it.
    pub(super) fn drop_failed(&mut self, at: &BoardRef) {
        let found = self.troubled.iter().copied().find(|id| {
            self.orders
                .get(id)
                .is_some_and(|open| open.machine == at.machine && open.failed.contains_key(&at.board))
        });
        let Some(id) = found else { return };
        let Some(open) = self.orders.get_mut(&id) else { return };
        open.failed.remove(&at.board);
        let switching = matches!(open.purpose, Purpose::Switch { .. });
        if open.failed.is_empty() && !switching {
            self.troubled.remove(&id);
            if open.answered.len() == open.boards.len() {
                self.close_order(id);
            }
        }
    }
}
