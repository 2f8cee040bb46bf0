//! Which jobs changed lately, and when each did last, so that a list that was written before is brought up to date by writing
//! anew only what changed since.
//!
//! Times are numbers that grow with all that lists of jobs and machines show. Nothing is remembered before somebody asks
//! first, and not more than a fixed number of jobs; who comes with an older number is told so and writes everything.

use crate::lab::fact::{Event, Fact, JobId};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// How many jobs are remembered.
const JOBS_REMEMBERED_MAX: usize = 65_536;

/// See above.
#[derive(Default)]
pub struct Changes {
    number: AtomicU64,
    inside: Mutex<Inside>,
}

/// What is remembered.
#[derive(Default)]
struct Inside {
    /// Somebody has asked.
    wanted: bool,
    /// The number of the last change of each job.
    numbers: BTreeMap<JobId, u64>,
    /// The same, oldest first.
    jobs: BTreeSet<(u64, JobId)>,
    /// What changed up to here is not known any more.
    forgotten: u64,
}

impl Changes {
    /// The number of the latest change.
    pub fn number(&self) -> u64 {
        self.number.load(Ordering::Acquire)
    }

    /// Something else is shown of a job.
    pub fn note_job(&self, job: JobId) {
        let mut inside = self.inside();
        let number = self.number.fetch_add(1, Ordering::AcqRel) + 1;
        inside.note([job], number);
    }

    /// Everything may be shown otherwise.
    pub fn note_all(&self) {
        let mut inside = self.inside();
        let number = self.number.fetch_add(1, Ordering::AcqRel) + 1;
        inside.forget(number);
    }

    /// Facts became visible, by which jobs or machines may be shown otherwise.
    pub fn note_facts(&self, facts: &[Fact]) {
        let concerns = facts.iter().map(|fact| Concern::of(&fact.event));
        let (mut jobs, mut all, mut any) = (BTreeSet::new(), false, false);
        for concern in concerns {
            any |= concern != Concern::Nothing;
            all |= concern == Concern::All;
            if let Concern::Job(job) = concern {
                jobs.insert(job);
            }
        }
        if !any {
            return;
        }
        let mut inside = self.inside();
        let number = self.number.fetch_add(1, Ordering::AcqRel) + 1;
        match all {
            true => inside.forget(number),
            false => inside.note(jobs, number),
        }
    }

    /// The jobs that changed after the change with this number, in order; none when that is not known.
    pub fn since(&self, number: u64) -> Option<Vec<JobId>> {
        let mut inside = self.inside();
        if !std::mem::replace(&mut inside.wanted, true) {
            inside.forgotten = self.number();
        }
        if number < inside.forgotten {
            return None;
        }
        let behind = (number.saturating_add(1), JobId(0));
        let mut jobs: Vec<_> = inside.jobs.range(behind..).map(|(_, job)| *job).collect();
        jobs.sort_unstable();
        Some(jobs)
    }

    /// The two maps are brought to the same in one call, so a panic elsewhere does no harm.
    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inside {
    fn note(&mut self, jobs: impl IntoIterator<Item = JobId>, number: u64) {
        if !self.wanted {
            return;
        }
        for job in jobs {
            if let Some(before) = self.numbers.insert(job, number) {
                self.jobs.remove(&(before, job));
            }
            self.jobs.insert((number, job));
        }
        while self.jobs.len() > JOBS_REMEMBERED_MAX
            && let Some((number, job)) = self.jobs.pop_first()
        {
            self.numbers.remove(&job);
            self.forgotten = number;
        }
    }

    fn forget(&mut self, number: u64) {
        self.numbers.clear();
        self.jobs.clear();
        self.forgotten = number;
    }
}

/// What is shown otherwise after an event.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Concern {
    /// Nothing of jobs and machines.
    Nothing,
    /// One job.
    Job(JobId),
    /// A machine, and no job.
    Machine,
    /// The lab has other machines: any job.
    All,
}

impl Concern {
    fn of(event: &Event) -> Concern {
        match event {
            Event::JobQueued { job, .. }
            | Event::JobGranted { job, .. }
            | Event::JobReady { job, .. }
            | Event::JobPowering { job, .. }
            | Event::JobRequeued { job, .. }
            | Event::LeaseExtended { job, .. }
            | Event::LeaseEnding { job, .. }
            | Event::JobDestroyed { job, .. } => Concern::Job(*job),
            Event::MachineAdded { .. }
            | Event::MachineChanged { .. }
            | Event::MachineRemoved { .. }
            | Event::BoardsAnnounced { .. } => Concern::All,
            Event::OrderAnswered { .. } | Event::OrderOverdue { .. } => Concern::Machine,
            Event::BoardsCleaned { .. }
            | Event::BoardsFreed { .. }
            | Event::BoardQuarantined { .. }
            | Event::BoardOffline { .. }
            | Event::BoardOffers { .. }
            | Event::BoardNamed { .. }
            | Event::BoardTested { .. }
            | Event::BoardReported { .. }
            | Event::BoardMarked { .. }
            | Event::BoardSet { .. } => Concern::Machine,
            Event::UserCreated { .. }
            | Event::PasswordSet { .. }
            | Event::RoleSet { .. }
            | Event::UserDeleted { .. }
            | Event::SessionOpened { .. }
            | Event::SessionEnded { .. }
            | Event::ServiceSet { .. }
            | Event::NumbersSkipped { .. } => Concern::Nothing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Moment;
    use crate::lab::fact::{Grant, OrderId};

    fn ready(job: u64) -> Fact {
        let order = OrderId { grant: Grant(job), step: 0 };
        Fact { at: Moment(1), event: Event::JobReady { job: JobId(job), order, power: true } }
    }

    fn jobs(changes: &Changes, number: u64) -> Option<Vec<u64>> {
        changes.since(number).map(|jobs| jobs.into_iter().map(|job| job.0).collect())
    }

    #[test]
    fn what_changed_since_is_told_once_each_from_the_first_question_on() {
        let changes = Changes::default();
        changes.note_facts(&[ready(7)]);
        assert_eq!((changes.number(), jobs(&changes, 0), jobs(&changes, 1)), (1, None, Some(vec![])));
        changes.note_facts(&[ready(9), ready(8), ready(9)]);
        changes.note_job(JobId(9));
        assert_eq!(
            (changes.number(), jobs(&changes, 1), jobs(&changes, 2)),
            (3, Some(vec![8, 9]), Some(vec![9]))
        );
        assert_eq!(jobs(&changes, 3), Some(vec![]));
    }

    #[test]
    fn users_change_nothing_and_machines_everything() {
        let changes = Changes::default();
        assert_eq!(jobs(&changes, 0), Some(vec![]));
        let gone = |event| changes.note_facts(&[ready(1), Fact { at: Moment(1), event }]);
        let quiet = Event::NumbersSkipped { last_job: JobId(1), last_grant: Grant(1) };
        changes.note_facts(&[Fact { at: Moment(1), event: quiet }]);
        assert_eq!(changes.number(), 0);
        gone(Event::BoardsFreed { machine: "m".into(), boards: vec![] });
        assert_eq!(jobs(&changes, 0), Some(vec![1]));
        gone(Event::MachineRemoved { machine: "m".into() });
        assert_eq!((jobs(&changes, 0), jobs(&changes, 1), jobs(&changes, 2)), (None, None, Some(vec![])));
    }

    #[test]
    fn only_so_many_are_remembered() {
        let changes = Changes::default();
        assert_eq!(jobs(&changes, 0), Some(vec![]));
        (0..=JOBS_REMEMBERED_MAX as u64).for_each(|job| changes.note_job(JobId(job)));
        assert_eq!(jobs(&changes, 0), None);
        assert_eq!(jobs(&changes, 1).map(|jobs| jobs.len()), Some(JOBS_REMEMBERED_MAX));
    }
}
