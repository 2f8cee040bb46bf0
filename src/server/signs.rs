//! Signs of life: which jobs were mentioned, and when last. Noted without a visit to the desk and without a
//! write to disk; the desk takes them in, coalesced, before it looks at deadlines. Beside them stands from which host a
//! job was mentioned last, for doors that tell.

use crate::clock::Moment;
use crate::lab::fact::JobId;
use dashmap::DashMap;
use std::net::IpAddr;
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

/// From which host each live job was mentioned last. Not kept over a restart.
#[derive(Default)]
pub struct Hosts(DashMap<JobId, IpAddr, foldhash::fast::RandomState>);

impl Hosts {
    /// A live job was mentioned from there; whether that is news.
    pub fn note(&self, job: JobId, host: IpAddr) -> bool {
        if self.of(job) == Some(host) {
            return false;
        }
        self.0.insert(job, host) != Some(host)
    }

    /// From where a job was mentioned last.
    pub fn of(&self, job: JobId) -> Option<IpAddr> {
        self.0.get(&job).map(|host| *host)
    }

    /// The job is over.
    pub fn forget(&self, job: JobId) {
        self.0.remove(&job);
    }
}
