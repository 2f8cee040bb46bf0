//! Leases: when they end, when their holders are told, and whose reservations live.

use crate::clock::Moment;
use crate::lab::Lab;
use crate::lab::fact::JobId;
use crate::lab::job::{Extension, Job, JobEvent, JobSpec};
use std::sync::Arc;

impl Lab {
    pub(super) fn extend_lease(&mut self, id: JobId, until: Moment, at: Moment) {
        self.change_lease(id, |job| {
            if let Some(loan) = &mut job.loan {
                (loan.extended, loan.warned) = (Some(Extension { at, until }), None);
            }
            job.remember(at, JobEvent::Extended { until });
        });
        // Who waits for its boards waits longer.
        let machine = self.jobs.get(&id).and_then(|job| job.live_loan()).map(|loan| loan.machine.clone());
        if let Some(number) = machine.and_then(|name| self.machine_number(&name)) {
            self.queue.reconsider(number);
        }
    }

    pub(super) fn note_warning(&mut self, id: JobId, at: Moment) {
        self.change_lease(id, |job| job.loan.iter_mut().for_each(|loan| loan.warned = Some(at)));
    }

    /// Changes what the lease of a job hangs on, and with it when it is due.
    pub(in crate::lab) fn change_lease(&mut self, id: JobId, change: impl FnOnce(&mut Job)) {
        self.unschedule_lease(id);
        if let Some(job) = self.jobs.get_mut(&id) {
            change(job);
        }
        self.schedule_lease(id);
    }

    /// The end of a job's lease, and the next warning before it, are due.
    pub(in crate::lab) fn schedule_lease(&mut self, id: JobId) {
        let Some(job) = self.jobs.get(&id) else { return };
        self.due.leases.extend(job.lease_ends_at().map(|at| (at, id)));
        self.due.warnings.extend(job.warns_at(self.options.warning).map(|at| (at, id)));
    }

    /// They are not due any more.
    pub(super) fn unschedule_lease(&mut self, id: JobId) {
        let Some(job) = self.jobs.get(&id) else { return };
        let (ends_at, warns_at) = (job.lease_ends_at(), job.warns_at(self.options.warning));
        if let Some(at) = ends_at {
            self.due.leases.remove(&(at, id));
        }
        if let Some(at) = warns_at {
            self.due.warnings.remove(&(at, id));
        }
    }

    /// Finds anew when holders are told that their lease ends.
    pub(in crate::lab) fn find_warnings(&mut self) {
        let reserved = self.reserved_of_owner.values().flatten();
        let jobs = reserved.filter_map(|id| self.jobs.get(id));
        let warnings = jobs.filter_map(|job| Some((job.warns_at(self.options.warning)?, job.id)));
        self.due.warnings = warnings.collect();
    }

    /// Counts a reservation that begins to live among those of its owner.
    pub(in crate::lab) fn count_reservation(&mut self, id: JobId, spec: &JobSpec) {
        if spec.reserved {
            self.reserved_of_owner.entry(spec.owner.clone()).or_default().insert(id);
        }
    }

    pub(super) fn discount_reservation(&mut self, id: JobId, owner: &Arc<str>) {
        let Some(own) = self.reserved_of_owner.get_mut(owner) else { return };
        own.remove(&id);
        if own.is_empty() {
            self.reserved_of_owner.remove(owner);
        }
    }
}
