//! Requests, power and the end of jobs.

use super::burns::check_burn;
use super::{Decision, require, require_short};
use crate::allocator::BoardIndex;
use crate::lab::Lab;
use crate::lab::board::BoardState;
use crate::lab::command::Caller;
use crate::lab::demand::{Demand, obstacle};
use crate::lab::fact::{Event, JobId, OrderId};
use crate::lab::job::{JOB_TEXT_BYTES_MAX, Job, JobSpec, Reason, SERIALS_NAMED_MAX, Want};
use crate::lab::refusal::Refusal;
use crate::user::Role;
use std::collections::BTreeSet;
use std::sync::Arc;

impl Lab {
    pub(super) fn create_job(&self, caller: &Caller, spec: &JobSpec) -> Decision {
        let spec = self.as_meant(asked_by(caller, spec));
        self.check_request(caller, &spec, 1)?;
        self.check_possible(&spec)?;
        check_burn(&spec)?;
        Ok(vec![self.queued(spec)])
    }

    pub(super) fn create_job_anyway(&self, caller: &Caller, spec: &JobSpec) -> Decision {
        let spec = self.as_meant(asked_by(caller, spec));
        self.check_request(caller, &spec, 1)?;
        let possible = self.check_possible(&spec);
        if possible.is_ok() {
            check_burn(&spec)?;
        }
        let mut events = vec![self.queued(spec)];
        if let Err(refusal) = possible {
            let reason = Reason::Impossible(refusal.fault().msg.into());
            events.push(Event::JobDestroyed { job: self.next_job(), order: None, reason });
        }
        Ok(events)
    }

    fn queued(&self, spec: JobSpec) -> Event {
        Event::JobQueued { job: self.next_job(), spec: Arc::new(spec) }
    }

    pub(in crate::lab) fn next_job(&self) -> JobId {
        JobId(self.last_job.0 + 1)
    }

    /// Whether the caller may ask for so many jobs like this at all.
    pub(super) fn check_request(&self, caller: &Caller, spec: &JobSpec, jobs: usize) -> Result<(), Refusal> {
        require(caller, Role::User, "only a user may create jobs; this caller is a guest")?;
        if !self.service.accept {
            return Err(Refusal::Draining(self.service.reason.clone()));
        }
        self.check_spec(caller, spec)?;
        self.check_job_counts(caller, spec, jobs)
    }

    fn check_spec(&self, caller: &Caller, spec: &JobSpec) -> Result<(), Refusal> {
        check_size(spec)?;
        if spec.priority > 0 && caller.role < Role::Operator {
            return Err(Refusal::NeedsRole("only an operator may ask for a priority above 0"));
        }
        if *spec.owner != *caller.user.as_str() && caller.role < Role::Operator && !caller.user.is_door() {
            return Err(Refusal::NeedsRole("only an operator may create jobs for somebody else"));
        }
        let max = self.options.keepalive_ms_max;
        // A reservation has no keepalive; its lease ends it.
        if max > 0
            && !spec.reserved
            && caller.role < Role::Operator
            && spec.keepalive_ms.is_none_or(|ms| ms > max)
        {
            return Err(Refusal::Keepalive { max_s: max / 1000 });
        }
        if !spec.min_ratio.is_finite() || spec.min_ratio < 0.0 {
            return Err(Refusal::BadArgument("min_ratio must be a number of 0 or more".to_owned()));
        }
        Ok(())
    }

    fn check_job_counts(&self, caller: &Caller, spec: &JobSpec, jobs: usize) -> Result<(), Refusal> {
        if self.jobs.len() - self.retired.len() + jobs > self.options.jobs_max {
            return Err(Refusal::TooManyJobs(self.options.jobs_max));
        }
        let own = self.live_of_account.get(&spec.account()).copied().unwrap_or(0);
        if caller.role < Role::Operator && own + jobs > self.options.jobs_per_owner_max {
            return Err(Refusal::TooManyOwnJobs(self.options.jobs_per_owner_max));
        }
        Ok(())
    }

    fn check_possible(&self, spec: &JobSpec) -> Result<(), Refusal> {
        let demand = Demand::of(spec);
        if self.queue.knows(&demand) {
            return Ok(());
        }
        if let Some(name) = &spec.machine {
            self.machine(name).ok_or_else(|| Refusal::MachineUnknown(name.clone()))?;
        }
        let named: Vec<_> = self.machines.iter().filter(|machine| demand.admits_name(machine)).collect();
        let kinds = || named.iter().flat_map(|machine| &machine.spec.kinds);
        let unknown = |kind: &&Arc<str>| !named.is_empty() && !kinds().any(|known| known == *kind);
        if let Some(kind) = spec.kind.as_ref().filter(unknown) {
            let offered: BTreeSet<_> = kinds().cloned().collect();
            return Err(Refusal::KindUnknown { kind: kind.clone(), offered: offered.into_iter().collect() });
        }
        obstacle(&demand, &self.machines).map_or(Ok(()), |why| Err(Refusal::Impossible(why)))
    }

    pub(super) fn power_job(&self, caller: &Caller, id: JobId, power: bool) -> Decision {
        let job = self.live_job(id)?;
        self.require_owner(caller, job)?;
        let loan = job.live_loan().ok_or(Refusal::JobWithoutBoards(id))?;
        Ok(vec![Event::JobPowering { job: id, order: loan.next_order(), power }])
    }

    pub(super) fn destroy_job(&self, caller: &Caller, id: JobId, reason: &Option<Arc<str>>) -> Decision {
        let job = self.live_job(id)?;
        self.require_owner(caller, job)?;
        require_short("reason", reason.as_deref().unwrap_or(""))?;
        let by = caller.user.as_str().into();
        Ok(vec![self.destroyed(job, Reason::Asked { by, text: reason.clone() })])
    }

    /// The end of a job, for whatever reason.
    pub(in crate::lab) fn destroyed(&self, job: &Job, reason: Reason) -> Event {
        Event::JobDestroyed { job: job.id, order: self.cleaning_order(job), reason }
    }

    /// The order that cleans what a job still holds, if it holds anything.
    pub(in crate::lab) fn cleaning_order(&self, job: &Job) -> Option<OrderId> {
        let loan = job.live_loan()?;
        self.lent_boards(job).next().map(|_| loan.next_order())
    }

    /// The boards a job holds that were not set aside since.
    pub(in crate::lab) fn lent_boards(&self, job: &Job) -> impl Iterator<Item = BoardIndex> {
        let held = job.live_loan().and_then(|loan| Some((loan, self.machine(&loan.machine)?)));
        held.into_iter().flat_map(|(loan, machine)| {
            let lent = |board: &BoardIndex| {
                machine.state(*board) == BoardState::Lent && machine.grant(*board) == loan.grant
            };
            loan.boards.iter().copied().filter(lent)
        })
    }
}

/// The request as it is kept: it says who asked.
pub(super) fn asked_by(caller: &Caller, spec: &JobSpec) -> JobSpec {
    let by = match *spec.owner == *caller.user.as_str() {
        true => spec.owner.clone(),
        false => caller.user.as_str().into(),
    };
    JobSpec { by, ..spec.clone() }
}

/// Whether a request is not larger than one may be, whatever it asks for.
fn check_size(spec: &JobSpec) -> Result<(), Refusal> {
    let texts = [
        ("owner", &*spec.owner),
        ("note", &*spec.note),
        ("the request as it was sent", &*spec.echo),
        ("kind", spec.kind.as_deref().unwrap_or("")),
        ("kind_args", &*spec.kind_args),
    ];
    texts.into_iter().try_for_each(|(what, text)| require_short(what, text))?;
    if spec.tags.iter().map(|tag| tag.len() + 1).sum::<usize>() > JOB_TEXT_BYTES_MAX {
        return Err(Refusal::TextTooLong { what: "the list of tags", max: JOB_TEXT_BYTES_MAX });
    }
    match &spec.want {
        Want::Serials(serials) if serials.len() > SERIALS_NAMED_MAX => Err(Refusal::BadArgument(format!(
            "at most {SERIALS_NAMED_MAX} boards can be named in one request"
        ))),
        _ => Ok(()),
    }
}
