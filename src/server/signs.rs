//! Signs of life: which jobs were mentioned, and when last. Noted without a visit to the desk and without a
//! write to disk; the desk takes them in, coalesced, before it looks at deadlines.

use crate::clock::Moment;
use crate::lab::fact::JobId;
use dashmap::DashMap;
use std::sync::atomic::{AtomicBool, Ordering};

/// Signs that the desk has not taken in yet: at most one for each job.
#[derive(Default)]
pub struct Signs {
    latest: DashMap<JobId, Moment, foldhash::fast::RandomState>,
    any: AtomicBool,
}

impl Signs {
    /// A job was mentioned by somebody who may keep it alive.
    pub fn note(&self, job: JobId, now: Moment) {
        self.latest.insert(job, now);
        self.any.store(true, Ordering::Release);
    }

    /// All signs since the last time. One that comes meanwhile is in this answer or in the next.
    pub fn take(&self) -> Vec<(JobId, Moment)> {
        if !self.any.swap(false, Ordering::AcqRel) {
            return Vec::new();
        }
        let jobs: Vec<_> = self.latest.iter().map(|entry| *entry.key()).collect();
        jobs.into_iter().filter_map(|job| self.latest.remove(&job)).collect()
    }
}
