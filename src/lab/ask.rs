//! What every door brings and takes away, whatever its tongue: an ask, and what came of it.

use super::command::Command;
use super::fact::{Event, Fact, JobId};
use super::view::{Query, View};

/// One thing a caller asks of the lab.
#[derive(Clone, Debug)]
pub enum Ask {
    /// To change something.
    Command(Command),
    /// To change something about boards that are reserved or to be, and to be told which they were.
    Devices(Command),
    /// To know something.
    Query(Query),
}

impl Ask {
    /// Whether it only wants to know, and so can be answered without a visit to the desk.
    pub fn only_reads(&self) -> bool {
        matches!(self, Ask::Query(_))
    }
}

/// What came of an ask that was not refused.
#[allow(clippy::large_enum_variant, reason = "a reply is made once and moved a few times")]
#[derive(Clone, Debug)]
pub enum Reply {
    /// These facts, made true and kept; none when all was so already.
    Done(Vec<Fact>),
    /// This answer.
    Seen(View),
}

impl Reply {
    /// The job that was queued, if one was.
    pub fn queued_job(&self) -> Option<JobId> {
        let Reply::Done(facts) = self else { return None };
        facts.iter().find_map(|fact| match fact.event {
            Event::JobQueued { job, .. } => Some(job),
            _ => None,
        })
    }
}
