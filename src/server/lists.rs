//! The lists that everybody asks for all the time, at the doors that speak in calls: written once for each state of what
//! they show, and deflated once, whoever asks. A list with a filter is not among them.

use super::desk::{Counter, Number};
use crate::lab::ask::{Ask, Reply};
use crate::lab::view::{JobFilter, Query};
use crate::service::{self, Asker, Outcome, Plan, Planned};
use crate::wire::Packed;
use std::sync::{Arc, Mutex, PoisonError};

/// Whole results, each with the number of what it shows.
#[derive(Default)]
pub struct Lists {
    jobs: Mutex<Kept>,
    machines: Mutex<Kept>,
}

/// A result and the number of what it shows; none was made yet.
type Kept = Option<(Number, Arc<Packed>)>;

impl Lists {
    /// The result of a plan, if many have it in common and it can be told.
    pub fn answer(&self, counter: &Counter, planned: &Planned, asker: &Asker<'_>) -> Option<Arc<Packed>> {
        let Plan::Ask(Ask::Query(query)) = &planned.plan else { return None };
        let kept = match (planned.function.name, query) {
            (
                "list_jobs",
                Query::Jobs(JobFilter { owner: None, machine: None, state: None, limit: None }),
            ) => &self.jobs,
            ("list_machines", Query::Machines) => &self.machines,
            _ => return None,
        };
        // What is kept is whole at any time, so a panic elsewhere does no harm. Whoever comes while one is made waits for it.
        let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, list)) = kept.as_ref().filter(|(number, _)| *number == counter.number()) {
            return Some(list.clone());
        }
        let (number, seen) = counter.see_noted(|lab| lab.see(query));
        let (outcome, mut text) = (Outcome::Reply(Reply::Seen(seen.ok()?)), Vec::new());
        service::write_answer(planned.function, Ok(outcome), asker, &mut text).ok()?;
        let list = Arc::new(Packed::new(text));
        *kept = Some((number, list.clone()));
        Some(list)
    }
}
