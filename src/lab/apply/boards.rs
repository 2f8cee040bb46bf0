//! Boards on their way back, set aside, tested, reported and marked.

use crate::allocator::BoardIndex;
use crate::clock::Moment;
use crate::lab::board::{BoardState, Note, Trouble};
use crate::lab::fact::{BoardRef, MachineName, Mark, OrderId};
use crate::lab::job::JobEvent;
use crate::lab::{Lab, Purpose};
use std::sync::Arc;

/// Who says that a board is offline; no user's name can be like it.
const AGENT: &str = "/agent";

impl Lab {
    pub(super) fn cool_boards(
        &mut self,
        order: OrderId,
        machine: &MachineName,
        boards: &[BoardIndex],
        free_at: Moment,
        at: Moment,
    ) {
        if let Some(open) = self.orders.get_mut(&order) {
            open.answered.extend(boards.iter().copied());
            if open.answered.len() == open.boards.len() && open.failed.is_empty() {
                self.close_order(order);
            }
        }
        if free_at <= at {
            self.free_boards(machine, boards, at);
        } else {
            let (_, cooling) =
                self.due.cooled.entry((free_at, order)).or_insert_with(|| (machine.clone(), Vec::new()));
            cooling.extend(boards);
        }
    }

    /// Boards have cooled down. Those whose turn it is stand among the first.
    pub(super) fn end_cooling(&mut self, machine: &MachineName, boards: &[BoardIndex], at: Moment) {
        let due = self.due.cooled.iter().take_while(|((free_at, _), _)| *free_at <= at);
        let mut theirs = due.filter(|(_, (name, cooling))| name == machine && cooling.as_slice() == boards);
        if let Some(key) = theirs.next().map(|(key, _)| *key) {
            self.due.cooled.remove(&key);
        }
    }

    pub(super) fn free_boards(&mut self, machine: &MachineName, boards: &[BoardIndex], at: Moment) {
        let Some(number) = self.machine_number(machine) else { return };
        self.machines[number].free(boards, at);
        if self.machines[number].has_words() {
            self.condemn(number, boards);
        }
        self.queue.reconsider(number);
    }

    pub(super) fn quarantine(
        &mut self,
        at: &BoardRef,
        reason: &Arc<str>,
        retest_at: Option<Moment>,
        now: Moment,
    ) {
        let Some(number) = self.machine_number(&at.machine) else { return };
        let machine = &mut self.machines[number];
        let before = machine.board(at.board).trouble.cloned();
        let strikes = before.as_ref().map_or(0, |trouble| trouble.strikes + 1);
        let holder = self.job_of_grant.get(&machine.grant(at.board)).copied();
        let trouble = Trouble { reason: reason.clone(), retest_at, strikes, testing: None };
        machine.set_note(at.board, None);
        machine.set_aside(at.board, BoardState::Quarantined, Some(trouble), now);
        machine.forget_reports(at.board);
        before.into_iter().for_each(|before| self.forget_trouble(at, &before));
        self.due.retests.extend(retest_at.map(|due| (due, at.machine.clone(), at.board)));
        self.condemn(number, &[at.board]);
        self.queue.reconsider(number);
        self.drop_failed(at);
        let board = self.machines[number].spec.board_name(at.board);
        if let Some(job) = holder.and_then(|job| self.jobs.get_mut(&job)) {
            let (machine, reason) = (at.machine.clone(), reason.clone());
            job.remember(now, JobEvent::BoardFailed { machine, board, reason });
        }
    }

    /// An agent brought boards that nobody knew.
    pub(super) fn join_boards(&mut self, machine: &MachineName, serials: &[Arc<str>], now: Moment) {
        let Some(number) = self.machine_number(machine) else { return };
        self.machines[number].announce(serials, now);
        self.refit();
    }

    /// A board went with its agent: out of the order it was in, out of the cool-down, out of use.
    pub(super) fn take_offline(&mut self, at: &BoardRef, reason: &Arc<str>, now: Moment) {
        let Some(number) = self.machine_number(&at.machine) else { return };
        if let Some(trouble) = self.machines[number].board(at.board).trouble.cloned() {
            self.forget_trouble(at, &trouble);
        }
        self.drop_from_orders(at);
        self.drop_from_cooling(at);
        let machine = &mut self.machines[number];
        machine.set_aside(at.board, BoardState::Offline, None, now);
        machine.set_offers(at.board, [].into());
        let note = Note { mark: Mark::Free, by: AGENT.into(), reason: reason.clone() };
        machine.set_note(at.board, Some(note));
        self.condemn(number, &[at.board]);
        self.queue.reconsider(number);
    }

    /// A board offers other labels than before: who waits for one of them may have his turn now.
    pub(super) fn offer(&mut self, at: &BoardRef, offers: &Arc<[Arc<str>]>) {
        let Some(number) = self.machine_number(&at.machine) else { return };
        self.machines[number].set_offers(at.board, offers.clone());
        self.queue.reconsider(number);
    }

    pub(super) fn name_of_board(&mut self, at: &BoardRef, name: &Arc<str>) {
        let Some(number) = self.machine_number(&at.machine) else { return };
        self.machines[number].set_name(at.board, name.clone());
    }

    /// A board does not cool down any more.
    fn drop_from_cooling(&mut self, at: &BoardRef) {
        self.due.cooled.retain(|_, (machine, boards)| {
            if *machine == at.machine {
                boards.retain(|board| *board != at.board);
            }
            !boards.is_empty()
        });
    }

    pub(super) fn test_board(&mut self, at: &BoardRef, order: OrderId, now: Moment) {
        self.last_grant = self.last_grant.max(order.grant);
        let Some(number) = self.machine_number(&at.machine) else { return };
        let machine = &mut self.machines[number];
        machine.touch(at.board, order.grant);
        if let Some(trouble) = machine.trouble_mut(at.board) {
            trouble.testing = Some(order);
            let due = trouble.retest_at.take();
            due.map(|due| self.due.retests.remove(&(due, at.machine.clone(), at.board)));
        }
        self.open_order(order, at.machine.clone(), [at.board].into(), Purpose::Test, now);
    }

    pub(super) fn report(&mut self, at: &BoardRef, by: &Arc<str>, reason: &Arc<str>) {
        let Some(number) = self.machine_number(&at.machine) else { return };
        self.machines[number].report(at.board, by.clone(), reason.clone());
        self.condemn(number, &[at.board]);
        self.queue.reconsider(number);
    }

    pub(super) fn mark(&mut self, at: &BoardRef, mark: Mark, by: &Arc<str>, reason: &Arc<str>) {
        let Some(number) = self.machine_number(&at.machine) else { return };
        let note = Note { mark, by: by.clone(), reason: reason.clone() };
        self.machines[number].set_mark(at.board, (mark != Mark::Free).then_some(note));
        if mark == Mark::Free {
            self.machines[number].forget_reports(at.board);
        }
        self.condemn(number, &[at.board]);
        self.queue.reconsider(number);
    }

    pub(super) fn set_board(&mut self, at: &BoardRef, note: Note, now: Moment) {
        let Some(number) = self.machine_number(&at.machine) else { return };
        let before = self.machines[number].state(at.board);
        if let Some(trouble) = self.machines[number].board(at.board).trouble.cloned() {
            self.forget_trouble(at, &trouble);
        }
        let state = match note.mark {
            Mark::Free => BoardState::Free,
            Mark::Maintenance => BoardState::Maintenance,
            Mark::Dead => BoardState::Dead,
        };
        let machine = &mut self.machines[number];
        machine.set_aside(at.board, state, None, now);
        machine.set_mark(at.board, None);
        machine.set_note(at.board, (note.mark != Mark::Free).then_some(note));
        machine.forget_reports(at.board);
        self.condemn(number, &[at.board]);
        // Only a death, or a resurrection, changes what is possible.
        match before == BoardState::Dead || state == BoardState::Dead {
            true => self.lost = self.queue.refit(&self.machines).into_iter().collect(),
            false => self.queue.reconsider(number),
        }
    }

    /// A board is no longer in trouble, or in another one: its retest and its test are off.
    pub(super) fn forget_trouble(&mut self, at: &BoardRef, trouble: &Trouble) {
        if let Some(due) = trouble.retest_at {
            self.due.retests.remove(&(due, at.machine.clone(), at.board));
        }
        if let Some(test) = trouble.testing {
            self.close_order(test);
        }
    }
}
