//! Leases of ordinary jobs that are made longer.

use super::Decision;
use crate::clock::Moment;
use crate::lab::Lab;
use crate::lab::command::Caller;
use crate::lab::fact::{Event, JobId};
use crate::lab::job::Job;
use crate::lab::queue::Place;
use crate::lab::refusal::Refusal;
use crate::user::Role;

impl Lab {
    pub(super) fn extend_job(
        &self,
        now: Moment,
        caller: &Caller,
        id: JobId,
        lease_ms: Option<u64>,
    ) -> Decision {
        let job = self.live_job(id)?;
        self.require_owner(caller, job)?;
        job.live_loan().ok_or(Refusal::JobWithoutBoards(id))?;
        let Some(agreed_ms) = job.spec.lease_ms else {
            return Err(Refusal::BadArgument(format!("job {id} has no lease that could be extended")));
        };
        let lease_ms = lease_ms.unwrap_or(agreed_ms);
        if caller.role < Role::Operator {
            self.check_extension(job, agreed_ms, lease_ms)?;
        }
        Ok(vec![extended(job, now, lease_ms)])
    }

    /// Whether somebody below operator may have a lease last so long from now: not longer than was agreed, and not where an
    /// older job waits for the boards, which may have been lent only because they were to come back in time.
    fn check_extension(&self, job: &Job, agreed_ms: u64, lease_ms: u64) -> Result<(), Refusal> {
        if lease_ms > agreed_ms {
            let agreed_s = agreed_ms as f64 / 1000.0;
            let why = "only an operator may extend it by more";
            return Err(Refusal::BadArgument(format!("the lease was agreed for {agreed_s} seconds; {why}")));
        }
        match self.waits_for_boards_of(job).filter(|_| !job.spec.reserved) {
            Some(other) => Err(Refusal::NotAvailable(format!(
                "job {other} came before job {} and waits for its boards, so its lease stays as it is",
                job.id
            ))),
            None => Ok(()),
        }
    }

    /// The first of those who stood in the line before a job and could use some of its boards.
    fn waits_for_boards_of(&self, job: &Job) -> Option<JobId> {
        let loan = job.live_loan()?;
        let number = self.machine_number(&loan.machine)?;
        self.queue.waits_for_some(Place::of(job.id, &job.spec), number, &loan.boards, &self.machines)
    }
}

/// The lease of a job lasts so long from now, or as long as it did if that is longer.
pub(super) fn extended(job: &Job, now: Moment, lease_ms: u64) -> Event {
    let until = now.plus_ms(lease_ms);
    Event::LeaseExtended { job: job.id, until: job.lease_ends_at().map_or(until, |at| at.max(until)) }
}
