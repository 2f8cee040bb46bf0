//! Jobs and their loans.

use crate::allocator::{BoardIndex, Region};
use crate::clock::Moment;
use crate::lab::board::Tally;
use crate::lab::demand::{DEFAULT_KIND, Demand};
use crate::lab::fact::{Grant, JobId, MachineName, OrderId};
use crate::lab::job::{Job, JobEvent, JobSpec, JobState, Loan, Reason};
use crate::lab::queue::Place;
use crate::lab::{Lab, Purpose};
use std::sync::Arc;

impl Lab {
    pub(super) fn queue_job(&mut self, id: JobId, spec: &Arc<JobSpec>, at: Moment) {
        self.last_job = id;
        let job = Job::new(id, spec.clone(), at);
        self.due.lapses.extend(job.lapses_at().map(|lapses_at| (lapses_at, id)));
        self.jobs.insert(id, job);
        self.live.insert(id);
        *self.jobs_in_state.entry(JobState::Queued).or_default() += 1;
        *self.live_of_account.entry(spec.account()).or_default() += 1;
        self.count_reservation(id, spec);
        self.enter_queue(id, spec);
    }

    fn enter_queue(&mut self, id: JobId, spec: &JobSpec) {
        if !self.queue.enter(Place::of(id, spec), Demand::of(spec), &self.machines) {
            self.lost.insert(id);
        }
    }

    pub(super) fn grant_job(
        &mut self,
        id: JobId,
        grant: Grant,
        machine: &MachineName,
        boards: &Arc<[BoardIndex]>,
        region: Option<Region>,
        at: Moment,
    ) {
        self.last_grant = grant;
        self.job_of_grant.insert(grant, id);
        let Some(number) = self.machine_number(machine) else { return };
        self.machines[number].lend(boards, grant, at);
        if self.machines[number].has_words() {
            self.condemn(number, boards);
        }
        let own_kind = self.machines[number].spec.kinds.first().cloned();
        let Some(job) = self.move_job(id, JobState::Power) else { return };
        let place = Place::of(id, &job.spec);
        let own_kind = own_kind.filter(|_| job.spec.machine.is_some());
        job.loan = Some(Loan {
            grant,
            machine: machine.clone(),
            boards: boards.clone(),
            region,
            since: at,
            next_step: 0,
            power: true,
            was_ready: false,
            kind: job.spec.kind.clone().or(own_kind).unwrap_or_else(|| DEFAULT_KIND.into()),
            extended: None,
            warned: None,
        });
        job.remember(at, JobEvent::Granted { grant, machine: machine.clone(), boards: boards.len() });
        self.schedule_lease(id);
        self.queue.leave(place);
        self.queue.granted(place, number, boards);
        self.open_switch(id, true, at);
    }

    /// Brings a job to another state.
    fn move_job(&mut self, id: JobId, state: JobState) -> Option<&mut Job> {
        let job = self.jobs.get_mut(&id)?;
        if let Some(count) = self.jobs_in_state.get_mut(&job.state) {
            *count -= 1;
        }
        *self.jobs_in_state.entry(state).or_default() += 1;
        job.state = state;
        Some(job)
    }

    pub(super) fn ready_job(&mut self, id: JobId, order: OrderId, power: bool, at: Moment) {
        self.close_order(order);
        let Some(job) = self.move_job(id, JobState::Ready) else { return };
        if let Some(loan) = &mut job.loan {
            loan.power = power;
            loan.was_ready = true;
        }
        job.remember(at, JobEvent::Ready { power });
    }

    pub(super) fn switch_job(&mut self, id: JobId, power: bool, at: Moment) {
        let Some(job) = self.move_job(id, JobState::Power) else { return };
        job.loan.iter_mut().for_each(|loan| loan.power = power);
        job.remember(at, JobEvent::Powering { power });
        self.open_switch(id, power, at);
    }

    pub(super) fn requeue_job(
        &mut self,
        id: JobId,
        order: Option<OrderId>,
        reason: &Arc<str>,
        priority: Option<i32>,
        at: Moment,
    ) {
        if self.jobs.get(&id).and_then(|job| job.live_loan()).is_some_and(|loan| loan.was_ready) {
            self.count_on_boards(id, |tally| tally.failed = tally.failed.saturating_add(1));
        }
        self.return_boards(id, order, at);
        let Some(job) = self.move_job(id, JobState::Queued) else { return };
        job.loan = None;
        job.attempts = job.attempts.saturating_add(1);
        job.remember(at, JobEvent::Requeued(reason.clone()));
        if let Some(priority) = priority {
            job.spec = Arc::new(JobSpec { priority, ..JobSpec::clone(&job.spec) });
        }
        let spec = job.spec.clone();
        self.enter_queue(id, &spec);
    }

    /// Counts what became of a job on the boards that it has.
    fn count_on_boards(&mut self, id: JobId, count: impl Fn(&mut Tally)) {
        let loan = self.jobs.get(&id).and_then(|job| job.live_loan());
        let Some((machine, boards)) = loan.map(|loan| (loan.machine.clone(), loan.boards.clone())) else {
            return;
        };
        if let Some(number) = self.machine_number(&machine) {
            boards.iter().for_each(|board| count(self.machines[number].tally_mut(*board)));
        }
    }

    pub(super) fn end_job(&mut self, id: JobId, order: Option<OrderId>, reason: &Reason, at: Moment) {
        if matches!(reason, Reason::Done(_)) {
            self.count_on_boards(id, |tally| tally.done = tally.done.saturating_add(1));
        }
        self.return_boards(id, order, at);
        let Some(job) = self.jobs.get(&id) else { return };
        if let Some(lapses_at) = job.lapses_at() {
            self.due.lapses.remove(&(lapses_at, id));
        }
        if job.state == JobState::Queued {
            self.queue.leave(Place::of(id, &job.spec));
        }
        let Some(job) = self.move_job(id, JobState::Destroyed) else { return };
        job.reason = Some(reason.clone());
        job.ended = Some(at);
        job.remember(at, JobEvent::Destroyed(reason.clone()));
        let (account, owner) = (job.spec.account(), job.spec.owner.clone());
        self.lost.remove(&id);
        self.discount_reservation(id, &owner);
        self.retire(id, &account);
    }

    /// Counts a job among the ended ones and forgets the oldest of them.
    fn retire(&mut self, id: JobId, account: &Arc<str>) {
        if let Some(live) = self.live_of_account.get_mut(account) {
            *live -= 1;
            if *live == 0 {
                self.live_of_account.remove(account);
            }
        }
        self.live.remove(&id);
        self.retired.push_back(id);
        self.forget_oldest_jobs();
    }

    /// Not more ended jobs are remembered than are wanted.
    pub(in crate::lab) fn forget_oldest_jobs(&mut self) {
        while self.retired.len() > self.options.retired_jobs_max {
            let oldest = self.retired.pop_front();
            if oldest.and_then(|oldest| self.jobs.remove(&oldest)).is_some() {
                let ended = self.jobs_in_state.entry(JobState::Destroyed);
                ended.and_modify(|count| *count = count.saturating_sub(1));
            }
        }
    }

    /// Takes the boards of a job back; the order, where there is one, cleans them.
    fn return_boards(&mut self, id: JobId, order: Option<OrderId>, at: Moment) {
        self.unschedule_lease(id);
        let Some(job) = self.jobs.get(&id) else { return };
        let Some(loan) = job.live_loan() else { return };
        self.job_of_grant.remove(&loan.grant);
        let (machine, boards) = (loan.machine.clone(), self.lent_boards(job).collect::<Arc<[_]>>());
        let Some((next, _)) = self.next_step(id) else { return };
        let Some(order) = order else { return };
        debug_assert_eq!(order, next);
        if let Some(number) = self.machine_number(&machine) {
            self.machines[number].take_back(&boards, at);
            self.queue.reconsider(number);
        }
        self.open_order(order, machine, boards, Purpose::Clean { job: id }, at);
    }
}
