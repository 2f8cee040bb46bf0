//! What is due by itself: consequences of failures, deadlines, releases, grants. One fact at a time.

use super::board::BoardState;
use super::effect::Action;
use super::fact::{BoardRef, Event, Fact, Grant};
use super::job::Reason;
use super::machine::Machine;
use super::queue::Surroundings;
use super::track::{NEVER, SOME_TIME, return_ms_max};
use super::{Lab, Purpose};
use crate::allocator::BoardIndex;
use crate::clock::Moment;
use std::sync::Arc;

/// What the next deadline is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// A keepalive lapses.
    Keepalive,
    /// A lease is over.
    Lease,
    /// The holder of a reservation is told that its lease ends soon.
    Warning,
    /// Hardware should have answered.
    Order,
    /// Boards have cooled down.
    CoolDown,
    /// A quarantined board is tested again.
    Retest,
}

impl Lab {
    /// The next thing that is due now. Each answer must be applied before the next question; none means that
    /// the lab is at rest until `wake_at` or the next wish. (It takes `&mut self` for the memo of the
    /// scheduling pass alone; nothing that is true changes.)
    pub fn settle(&mut self, now: Moment) -> Option<Fact> {
        let event = self
            .draw_consequence(now)
            .or_else(|| self.overdue_order(now))
            .or_else(|| self.cooled_boards(now))
            .or_else(|| self.lapsed_job(now))
            .or_else(|| self.lost_job())
            .or_else(|| self.ending_lease(now))
            .or_else(|| self.board_to_set_aside(now))
            .or_else(|| self.board_to_test(now))
            .or_else(|| self.next_grant(now))?;
        Some(Fact { at: now, event })
    }

    /// When something is due next if nobody says anything, and what.
    pub fn wake_at(&self) -> Option<(Moment, Why)> {
        let deadlines = [
            self.due.lapses.first().map(|(at, _)| (*at, Why::Keepalive)),
            self.due.leases.first().map(|(at, _)| (*at, Why::Lease)),
            self.due.warnings.first().map(|(at, _)| (*at, Why::Warning)),
            self.due.orders.first().map(|(at, _)| (*at, Why::Order)),
            self.due.cooled.first_key_value().map(|((at, _), _)| (*at, Why::CoolDown)),
            self.due.retests.first().map(|(at, ..)| (*at, Why::Retest)),
        ];
        deadlines.into_iter().flatten().min_by_key(|(at, _)| *at)
    }

    /// Failures: first the board is set aside, then the job it belonged to gets others or ends.
    fn draw_consequence(&self, now: Moment) -> Option<Event> {
        let id = *self.troubled.first()?;
        let open = self.orders.get(&id)?;
        if let Some((board, reason)) = open.failed.first_key_value() {
            let board = BoardRef { machine: open.machine.clone(), board: *board };
            let reason: Arc<str> = failure_text(&open.purpose, reason).into();
            let retest_at = self.retest_at(now, &board);
            return Some(Event::BoardQuarantined { board, reason, retest_at });
        }
        let Purpose::Switch { job, .. } = &open.purpose else { return None };
        let job = self.jobs.get(job)?;
        let reason: Arc<str> = Self::last_failure(job).into();
        let ready_once = job.loan.as_ref().is_some_and(|loan| loan.was_ready);
        Some(self.deprived(job, !ready_once, reason))
    }

    fn last_failure(job: &super::job::Job) -> String {
        let failure = job.log.iter().rev().find_map(|(_, event)| match event {
            super::job::JobEvent::BoardFailed { machine, board, reason } => {
                Some(format!("{} {reason}", board.text_in(machine)))
            }
            _ => None,
        });
        failure.unwrap_or_else(|| "a board failed".to_owned())
    }

    /// When a board that fails now is tested again: twice as long after each failure.
    pub(super) fn retest_at(&self, now: Moment, board: &BoardRef) -> Option<Moment> {
        let first_ms = Some(self.options.retest_after_ms).filter(|ms| *ms > 0)?;
        let machine = self.machine(&board.machine)?;
        let strikes = machine.board(board.board).trouble.map_or(0, |trouble| trouble.strikes + 1);
        Some(now.plus_ms(first_ms.saturating_mul(1 << strikes.min(RETEST_DOUBLINGS_MAX))))
    }

    fn overdue_order(&self, now: Moment) -> Option<Event> {
        let (_, order) = self.due.orders.first().filter(|(at, _)| *at <= now)?;
        Some(Event::OrderOverdue { order: *order })
    }

    fn cooled_boards(&self, now: Moment) -> Option<Event> {
        let (_, (machine, boards)) = self.due.cooled.first_key_value().filter(|((at, _), _)| *at <= now)?;
        Some(Event::BoardsFreed { machine: machine.clone(), boards: boards.clone() })
    }

    fn lapsed_job(&self, now: Moment) -> Option<Event> {
        let lapsed =
            self.due.lapses.first().filter(|(at, _)| *at <= now).map(|(_, id)| (*id, Reason::Lapsed));
        let (id, reason) = lapsed.or_else(|| {
            self.due.leases.first().filter(|(at, _)| *at <= now).map(|(_, id)| (*id, Reason::LeaseOver))
        })?;
        self.jobs.get(&id).map(|job| self.destroyed(job, reason))
    }

    /// A reservation whose holder is to be told that its lease ends soon.
    fn ending_lease(&self, now: Moment) -> Option<Event> {
        let (_, job) = self.due.warnings.first().filter(|(at, _)| *at <= now)?;
        let ends_at = self.jobs.get(job)?.lease_ends_at()?;
        Some(Event::LeaseEnding { job: *job, ends_at })
    }

    /// A waiting job that fits nowhere since the lab changed.
    fn lost_job(&self) -> Option<Event> {
        let job = self.jobs.get(self.lost.first()?)?;
        let why = super::demand::obstacle(&super::demand::Demand::of(&job.spec), &self.machines);
        Some(self.destroyed(job, Reason::Impossible(why.unwrap_or_default().into())))
    }

    /// A free board that an operator marked or that was reported often enough.
    fn board_to_set_aside(&self, now: Moment) -> Option<Event> {
        let (name, board) = self.condemned.first()?;
        let known = self.machine(name)?.board(*board);
        let at = BoardRef { machine: name.clone(), board: *board };
        if let Some(note) = known.mark {
            let (by, reason) = (note.by.clone(), note.reason.clone());
            return Some(Event::BoardSet { board: at, mark: note.mark, by, reason });
        }
        let reports = known.reports?;
        let said = reports.values().last()?;
        let reason: Arc<str> = format!("reported by {} holders: {said}", reports.len()).into();
        let retest_at = self.retest_at(now, &at);
        Some(Event::BoardQuarantined { board: at, reason, retest_at })
    }

    fn board_to_test(&self, now: Moment) -> Option<Event> {
        let (_, machine, board) = self.due.retests.first().filter(|(at, ..)| *at <= now)?;
        Some(self.tested(BoardRef { machine: machine.clone(), board: *board }))
    }

    /// The first waiting job that fits, with the boards it gets.
    fn next_grant(&mut self, now: Moment) -> Option<Event> {
        if self.queue.is_empty() {
            return None;
        }
        let mut queue = std::mem::take(&mut self.queue);
        let fit = self.with_surroundings(now, |lab| queue.next_fit(lab));
        self.queue = queue;
        let fit = fit?;
        Some(Event::JobGranted {
            job: fit.job,
            grant: Grant(self.last_grant.0 + 1),
            machine: self.machines[fit.machine].spec.name.clone(),
            boards: fit.placement.boards.into(),
            region: fit.placement.region,
        })
    }

    /// Shows a pass over the queue what it needs to know of the lab.
    pub(super) fn with_surroundings<T>(&self, now: Moment, pass: impl FnOnce(&Surroundings<'_>) -> T) -> T {
        pass(&Surroundings {
            now,
            patience_ms: self.options.patience_ms,
            machines: &self.machines,
            created: &|id| self.jobs.get(&id).map_or(now, |job| job.created),
            until: &|number, board| self.available_at(&self.machines[number], board),
        })
    }

    /// When a board is available at the latest, in milliseconds: zero for now, `SOME_TIME` when its holder decides,
    /// `NEVER` when nobody can tell.
    pub(super) fn available_at(&self, machine: &Machine, board: BoardIndex) -> u64 {
        if machine.is_unwanted(board, self.options.reports_to_quarantine) {
            return NEVER;
        }
        let back = |from: Moment| from.plus_ms(return_ms_max(machine)).0.min(SOME_TIME);
        match machine.state(board) {
            BoardState::Free => 0,
            BoardState::Cleaning => back(machine.board(board).since),
            BoardState::Lent => {
                let ends_at = self.holder(machine, board).and_then(|job| job.lease_ends_at());
                ends_at.map_or(SOME_TIME, back)
            }
            _ => NEVER,
        }
    }
}

/// After so many failures the time to the next retest doubles no more.
const RETEST_DOUBLINGS_MAX: u32 = 8;

fn failure_text(purpose: &Purpose, reason: &str) -> String {
    match purpose {
        Purpose::Switch { action: Action::Prepare { .. }, .. } => format!("did not prepare: {reason}"),
        Purpose::Switch { .. } => format!("did not power off: {reason}"),
        Purpose::Clean { .. } => format!("did not come clean: {reason}"),
        Purpose::Test => format!("failed its test: {reason}"),
    }
}
