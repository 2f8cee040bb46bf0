//! Tells watchers that something they watch has changed: what each has to hear is kept in `notice`, here is
//! how each is woken.

use super::bell::Bell;
use crate::lab::fact::{JobId, MachineName};
use crate::notice::recall::Recall;
use crate::notice::{Limits, Notices, Pending, TooManyWatches, WatcherId};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Everyone who watches.
pub struct Herald(Mutex<Inside>);

/// The registers, and the bell of each watcher.
struct Inside {
    notices: Notices,
    bells: BTreeMap<WatcherId, Arc<Bell>>,
    /// What changed lately, for those who come back; kept from when the first of them came.
    recall: Option<Recall>,
}

/// One who watches, until dropped.
pub struct Watcher {
    herald: Arc<Herald>,
    id: WatcherId,
}

/// The bells of those who have something to hear and were not woken yet: who begins to watch meanwhile hears nothing of what was before.
#[derive(Default)]
#[must_use]
pub struct Bells(Vec<Arc<Bell>>);

impl Bells {
    /// Wakes them.
    pub fn ring(self) {
        self.0.iter().for_each(|bell| bell.ring());
    }
}

/// What to begin or to end watching; no name means all.
#[derive(Clone, Debug, PartialEq)]
pub enum Watch {
    /// A job.
    Job(Option<JobId>),
    /// A machine.
    Machine(Option<MachineName>),
    /// How many boards can be reserved.
    Available,
}

impl Herald {
    /// Nobody watches.
    pub fn new(limits: Limits) -> Arc<Herald> {
        let inside = Inside { notices: Notices::new(limits), bells: BTreeMap::new(), recall: None };
        Arc::new(Herald(Mutex::new(inside)))
    }

    /// A new watcher, watching nothing yet. The bell is rung when there is something to `take`.
    pub fn subscribe(self: &Arc<Herald>, bell: Arc<Bell>) -> Watcher {
        let mut inside = self.inside();
        let id = inside.notices.subscribe();
        inside.bells.insert(id, bell);
        Watcher { herald: self.clone(), id }
    }

    /// Jobs and machines changed: whoever watches one of them has to hear of it.
    pub fn tell(&self, jobs: &BTreeSet<u64>, machines: &BTreeSet<MachineName>, bells: &mut Bells) {
        if let Some(recall) = &mut self.inside().recall {
            recall.changed(jobs, machines);
        }
        self.note(bells, |notices| notices.changed(jobs, machines));
    }

    /// The leases of these reservations end soon: whoever watches one of them has to hear of it.
    pub fn tell_ending(&self, jobs: &BTreeSet<u64>, bells: &mut Bells) {
        self.note(bells, |notices| notices.are_ending(jobs));
    }

    /// So many boards can be reserved now: whoever watches that has to hear of it, if it was another number before.
    pub fn tell_available(&self, count: usize, bells: &mut Bells) {
        self.note(bells, |notices| notices.now_available(count));
    }

    /// Whether anybody watches how many boards can be reserved.
    pub fn is_available_watched(&self) -> bool {
        self.inside().notices.is_available_watched()
    }

    fn note(&self, bells: &mut Bells, gather: impl FnOnce(&mut Notices) -> Vec<WatcherId>) {
        let mut inside = self.inside();
        let watchers = gather(&mut inside.notices);
        bells.0.extend(watchers.iter().filter_map(|watcher| inside.bells.get(watcher).cloned()));
    }

    /// Looks at what changed lately, which is remembered from the first look on.
    pub fn recall<T>(&self, begin: impl FnOnce() -> Recall, look: impl FnOnce(&Recall) -> T) -> T {
        look(self.inside().recall.get_or_insert_with(begin))
    }

    /// The registers stay whole between their calls, so a panic elsewhere does no harm.
    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watcher {
    /// Watches something from now on.
    pub fn watch(&self, what: Watch) -> Result<(), TooManyWatches> {
        let mut inside = self.herald.inside();
        match what {
            Watch::Job(job) => inside.notices.watch_job(self.id, job.map(|job| job.0)),
            Watch::Machine(machine) => inside.notices.watch_machine(self.id, machine),
            Watch::Available => {
                inside.notices.watch_available(self.id);
                Ok(())
            }
        }
    }

    /// Watches something no longer.
    pub fn unwatch(&self, what: Watch) {
        let mut inside = self.herald.inside();
        match what {
            Watch::Job(job) => inside.notices.unwatch_job(self.id, job.map(|job| job.0)),
            Watch::Machine(machine) => inside.notices.unwatch_machine(self.id, machine),
            Watch::Available => inside.notices.unwatch_available(self.id),
        }
    }

    /// What changed and was not heard yet.
    pub fn take(&self) -> Pending {
        self.herald.inside().notices.take(self.id)
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        let mut inside = self.herald.inside();
        inside.notices.unsubscribe(self.id);
        inside.bells.remove(&self.id);
    }
}
