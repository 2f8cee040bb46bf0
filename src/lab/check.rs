//! What must always hold. Asked by tests, by the simulator after every step, and by debug builds.

use super::board::BoardState;
use super::job::{Job, JobState};
use super::queue::Place;
use super::{Lab, Purpose};
use std::collections::{BTreeMap, BTreeSet};

impl Lab {
    /// How many boards and jobs there are, which is what a check costs.
    pub fn size(&self) -> usize {
        let boards: usize = self.machines.iter().map(|machine| machine.spec.board_count() as usize).sum();
        boards + self.jobs.len()
    }

    /// The first thing that does not hold, if any.
    pub fn check(&self) -> Result<(), String> {
        self.machines.iter().try_for_each(|machine| machine.check())?;
        self.check_loans()?;
        self.check_boards()?;
        self.check_orders()?;
        self.check_jobs()?;
        self.check_counts()
    }

    /// No board has two holders, and every holder's boards know it.
    fn check_loans(&self) -> Result<(), String> {
        let mut lent = BTreeSet::new();
        for job in self.jobs.values() {
            let Some(loan) = job.live_loan() else { continue };
            if loan.grant > self.last_grant {
                return Err(format!("job {} has a grant from the future", job.id));
            }
            if self.job_of_grant.get(&loan.grant) != Some(&job.id) {
                return Err(format!("job {} is not known by its grant", job.id));
            }
            for board in self.lent_boards(job) {
                if !lent.insert((loan.machine.clone(), board)) {
                    return Err(format!("board {board:?} of {} is lent twice", loan.machine));
                }
            }
        }
        let held: u32 = self.machines.iter().map(|machine| machine.count(BoardState::Lent)).sum();
        match held as usize == lent.len() {
            true => Ok(()),
            false => Err(format!("{held} boards are lent, jobs hold {}", lent.len())),
        }
    }

    /// Every board that is being cleaned has an order that does it, or cools down: nothing leaks.
    fn check_boards(&self) -> Result<(), String> {
        let mut expected = Vec::new();
        for open in self.orders.values().filter(|open| matches!(open.purpose, Purpose::Clean { .. })) {
            let waiting = open
                .boards
                .iter()
                .filter(|board| !open.answered.contains(board) || open.failed.contains_key(board));
            expected.extend(waiting.map(|board| (open.machine.clone(), *board)));
        }
        for (machine, boards) in self.due.cooled.values() {
            expected.extend(boards.iter().map(|board| (machine.clone(), *board)));
        }
        let mut seen = BTreeSet::new();
        for (name, board) in &expected {
            let machine = self.machine(name).ok_or("boards come back to a machine that is gone")?;
            if machine.state(*board) != BoardState::Cleaning {
                return Err(format!("{} should be cleaning", machine.spec.board_text(*board)));
            }
            if !seen.insert((name, board)) {
                return Err(format!("{} comes back twice", machine.spec.board_text(*board)));
            }
        }
        let cleaning: u32 = self.machines.iter().map(|machine| machine.count(BoardState::Cleaning)).sum();
        match cleaning as usize == expected.len() {
            true => Ok(()),
            false => Err(format!("{cleaning} boards are cleaning, {} are on their way", expected.len())),
        }
    }

    /// Every open order has a deadline, and every state that is not final has one way out.
    fn check_orders(&self) -> Result<(), String> {
        for (id, open) in &self.orders {
            if !self.due.orders.contains(&(open.deadline, *id)) && !self.troubled.contains(id) {
                return Err(format!("order {id} has no deadline"));
            }
        }
        if self.due.orders.iter().any(|(_, id)| !self.orders.contains_key(id)) {
            return Err("a deadline for an order that is closed".to_owned());
        }
        for machine in &self.machines {
            for (board, trouble) in machine.troubles() {
                let tested = trouble.testing.is_none_or(|order| self.orders.contains_key(&order));
                if !tested {
                    return Err(format!("{} is tested by no order", machine.spec.board_text(*board)));
                }
            }
        }
        Ok(())
    }

    fn check_jobs(&self) -> Result<(), String> {
        let queued = self.jobs.values().filter(|job| job.state == JobState::Queued).count();
        if queued != self.queue.len() {
            return Err(format!("{queued} jobs are queued, the line has {}", self.queue.len()));
        }
        if let Some(job) = self.jobs.keys().next_back().filter(|job| **job > self.last_job) {
            return Err(format!("job {job} has a number from the future"));
        }
        for job in self.jobs.values() {
            let switching = job.loan.as_ref().is_some_and(|loan| {
                let order =
                    loan.next_step.checked_sub(1).map(|step| super::OrderId { grant: loan.grant, step });
                order.is_some_and(|order| self.orders.contains_key(&order))
            });
            if job.state == JobState::Power && !switching {
                return Err(format!("job {} is switched by no order", job.id));
            }
            if job.is_live() && job.lapses_at().is_some_and(|at| !self.due.lapses.contains(&(at, job.id))) {
                return Err(format!("job {} has no deadline for its keepalive", job.id));
            }
            if job.state == JobState::Queued && !self.queue.has(Place::of(job.id, &job.spec)) {
                return Err(format!("job {} is not at its place in the line", job.id));
            }
            if !job.is_live() && job.reason.is_none() {
                return Err(format!("job {} ended without a reason", job.id));
            }
        }
        let ended = self.jobs.values().filter(|job| !job.is_live()).count();
        if ended != self.retired.len() {
            return Err(format!("{ended} jobs ended, {} are counted as such", self.retired.len()));
        }
        Ok(())
    }

    /// Whatever is counted beside is counted right.
    fn check_counts(&self) -> Result<(), String> {
        let live: Vec<_> = self.jobs.values().filter(|job| job.is_live()).collect();
        if !live.iter().map(|job| &job.id).eq(&self.live) {
            return Err(format!("{} jobs are live, {} are listed as such", live.len(), self.live.len()));
        }
        let states = counted(self.jobs.values().map(|job| job.state));
        if !states.iter().eq(self.jobs_in_state.iter().filter(|(_, count)| **count > 0)) {
            return Err(format!("jobs are {states:?}, counted are {:?}", self.jobs_in_state));
        }
        let accounts = counted(live.iter().map(|job| job.spec.account()));
        if accounts != self.live_of_account {
            return Err(format!(
                "accounts have {accounts:?} live jobs, counted are {:?}",
                self.live_of_account
            ));
        }
        let users = counted(self.sessions.values().map(|session| session.user.clone()));
        if users != self.sessions_of_user {
            return Err(format!("users have {users:?} sessions, counted are {:?}", self.sessions_of_user));
        }
        self.check_reservations(&live)?;
        let due = self.due.lapses.len() + self.due.leases.len();
        let lapses = live.iter().filter(|job| job.lapses_at().is_some()).count();
        let leases = live.iter().filter(|job| job.lease_ends_at().is_some()).count();
        match due == lapses + leases {
            true => Ok(()),
            false => Err(format!("{due} deadlines of jobs, {lapses} keepalives and {leases} leases")),
        }
    }

    /// Whose reservations live, and when they are warned of.
    fn check_reservations(&self, live: &[&Job]) -> Result<(), String> {
        let mut of_owner: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
        for job in live.iter().filter(|job| job.spec.reserved) {
            of_owner.entry(job.spec.owner.clone()).or_default().insert(job.id);
        }
        if of_owner != self.reserved_of_owner {
            return Err(format!("reserved are {of_owner:?}, listed are {:?}", self.reserved_of_owner));
        }
        let warnings = live.iter().filter_map(|job| Some((job.warns_at(self.options.warning)?, job.id)));
        let warnings: BTreeSet<_> = warnings.collect();
        match warnings == self.due.warnings {
            true => Ok(()),
            false => Err(format!("warnings are due at {warnings:?}, awaited are {:?}", self.due.warnings)),
        }
    }
}

/// How often each occurs.
fn counted<T: Ord>(all: impl Iterator<Item = T>) -> BTreeMap<T, usize> {
    let mut counts = BTreeMap::new();
    all.for_each(|one| *counts.entry(one).or_default() += 1);
    counts
}
