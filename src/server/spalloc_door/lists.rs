//! The lists that everybody asks for all the time: written once for each state of what they show, whoever asks.

use super::super::desk::Counter;
use crate::lab::Lab;
use crate::lab::refusal::Refusal;
use crate::lab::view::{JobFilter, JobView, MachineView, Query, View};
use crate::spalloc::shape;
use std::sync::{Arc, Mutex, PoisonError};

/// Whole answers, each with the number of what it shows.
#[derive(Default)]
pub struct Lists {
    jobs: Mutex<Kept>,
    machines: Mutex<Kept>,
}

/// An answer and the number of what it shows; none was made yet.
type Kept = Option<(u64, Arc<str>)>;

impl Lists {
    /// The answer to `list_jobs`.
    pub fn jobs(&self, counter: &Counter) -> Result<Arc<str>, Refusal> {
        kept(
            &self.jobs,
            counter,
            |lab| Ok((jobs(lab)?, machines(lab)?)),
            |out, (jobs, machines)| {
                shape::push_jobs(out, &jobs, &machines, |job| counter.host_of(job));
            },
        )
    }

    /// The answer to `list_machines`.
    pub fn machines(&self, counter: &Counter) -> Result<Arc<str>, Refusal> {
        kept(&self.machines, counter, machines, |out, machines| shape::push_machines(out, &machines))
    }
}

/// The answer as it is kept, if what it shows is the same still. Whoever comes while one is made waits for it.
fn kept<T>(
    kept: &Mutex<Kept>,
    counter: &Counter,
    look: impl FnOnce(&Lab) -> Result<T, Refusal>,
    push: impl FnOnce(&mut String, T),
) -> Result<Arc<str>, Refusal> {
    // What is kept is whole at any time, so a panic elsewhere does no harm.
    let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((number, answer)) = kept.as_ref().filter(|(number, _)| *number == counter.version()) {
        debug_assert!(*number <= counter.version());
        return Ok(answer.clone());
    }
    let (number, seen) = counter.see_numbered(look);
    let (mut out, seen) = (String::new(), seen?);
    shape::push_return(&mut out, |out| push(out, seen));
    let answer: Arc<str> = out.into();
    *kept = Some((number, answer.clone()));
    Ok(answer)
}

fn jobs(lab: &Lab) -> Result<Vec<JobView>, Refusal> {
    match lab.see(&Query::Jobs(JobFilter::default()))? {
        View::Jobs(jobs) => Ok(jobs),
        _ => Ok(Vec::new()),
    }
}

fn machines(lab: &Lab) -> Result<Vec<MachineView>, Refusal> {
    match lab.see(&Query::Machines)? {
        View::Machines(machines) => Ok(machines),
        _ => Ok(Vec::new()),
    }
}
