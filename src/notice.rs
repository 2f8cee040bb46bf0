//! Who watches what, and what each watcher still has to hear: collected, not queued.
//!
//! A watcher has a register for jobs and one for machines; each watches nothing, a set, or all (`Watch`). A
//! change is gathered for whom it concerns and told once, however often it happens before the watcher asks (`take`).
//! So a slow reader costs no more than the set it watches. Those who watch all share one list of what changed
//! lately and each keep only their place in it: a thousand of them cost a change nothing but the wake-up. That list is
//! bounded too; who stays behind for longer than it reaches back hears how much was lost, and must list anew. `recall` keeps
//! another such list for those who go away and come back.
//!
//! Who watches a job is also told when it is a reservation whose lease ends soon; and the number of boards that can be
//! reserved is watched by itself: it is told as it is when the watcher asks, not as it was in between.
//!
//! `changed`, `are_ending` and `now_available` name whom to wake; waking twice is harmless, and `take` empties everything gathered so far. Deliberately not
//! here: how a watcher is woken and how a notice is written, which each door does its own way.

pub mod recall;

use crate::error::{Code, Fault};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What notices may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The most jobs and machines, together, that one watcher names.
    pub watches_max: usize,
    /// The most jobs, and the most machines, that changed lately and are remembered for those who watch all.
    pub changes_max: usize,
}

impl Limits {
    /// The limits unless the configuration has others.
    pub const DEFAULT: Limits = Limits { watches_max: 1_000, changes_max: 16_384 };
}

impl Default for Limits {
    fn default() -> Limits {
        Limits::DEFAULT
    }
}

/// One who watches: a connection, as a rule. Never given out twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WatcherId(u64);

/// What one register watches.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Watch<K> {
    /// Nothing.
    #[default]
    Nothing,
    /// These, at least one. They need not exist (yet).
    These(BTreeSet<K>),
    /// Everything there is or will be.
    All,
}

/// What a watcher has not heard yet, each thing once and in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pending {
    /// Jobs that changed.
    pub jobs: Vec<u64>,
    /// Machines that changed.
    pub machines: Vec<Arc<str>>,
    /// Reservations whose lease ends soon.
    pub ending: Vec<u64>,
    /// How many boards can be reserved now, if that number changed.
    pub available: Option<usize>,
    /// At most so many changes were forgotten unheard, and at least one unless this is 0: list anew.
    pub lost: u64,
}

impl Pending {
    /// Whether there is nothing to tell.
    pub fn is_empty(&self) -> bool {
        *self == Pending::default()
    }
}

/// One watch more than `Limits::watches_max`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooManyWatches {
    /// The limit.
    pub watches_max: usize,
}

impl From<TooManyWatches> for Fault {
    fn from(error: TooManyWatches) -> Fault {
        let msg = format!("a connection names at most {} jobs and machines to watch", error.watches_max);
        Fault::new(Code::TOO_MANY_WATCHES, msg)
    }
}

/// All watchers.
pub struct Notices {
    /// The limits.
    limits: Limits,
    /// The id of the next watcher.
    next: u64,
    /// The registers for jobs.
    jobs: Topic<u64>,
    /// The registers for machines.
    machines: Topic<Arc<str>>,
    /// The registers for jobs once more, for those whose lease ends soon: who watches a job hears of that too.
    ending: Topic<u64>,
    /// How many boards can be reserved, when that was told last to those who watch it.
    available: Option<usize>,
    /// Who watches that number, and whether it has to be told.
    available_to: BTreeMap<WatcherId, bool>,
}

impl Notices {
    /// No watchers.
    pub fn new(limits: Limits) -> Notices {
        let (jobs, machines) = (Topic::new(limits.changes_max), Topic::new(limits.changes_max));
        let (ending, available_to) = (Topic::new(limits.changes_max), BTreeMap::new());
        Notices { limits, next: 0, jobs, machines, ending, available: None, available_to }
    }

    /// A new watcher, which watches nothing so far.
    pub fn subscribe(&mut self) -> WatcherId {
        let id = WatcherId(self.next);
        self.next += 1;
        self.jobs.registers.insert(id, Register::default());
        self.machines.registers.insert(id, Register::default());
        self.ending.registers.insert(id, Register::default());
        id
    }

    /// The watcher is gone.
    pub fn unsubscribe(&mut self, watcher: WatcherId) {
        self.jobs.clear(watcher);
        self.jobs.registers.remove(&watcher);
        self.machines.clear(watcher);
        self.machines.registers.remove(&watcher);
        self.ending.clear(watcher);
        self.ending.registers.remove(&watcher);
        self.available_to.remove(&watcher);
    }

    /// Watches this job as well, or with None all jobs from now on, whatever was named before.
    pub fn watch_job(&mut self, watcher: WatcherId, job: Option<u64>) -> Result<(), TooManyWatches> {
        let room = self.room(watcher);
        if !self.jobs.add(watcher, job, room) {
            return Err(self.too_many());
        }
        self.ending.add(watcher, job, usize::MAX);
        Ok(())
    }

    /// Watches how many boards can be reserved.
    pub fn watch_available(&mut self, watcher: WatcherId) {
        if self.available_to.is_empty() {
            // Nobody has looked for a while.
            self.available = None;
        }
        if self.jobs.registers.contains_key(&watcher) {
            self.available_to.entry(watcher).or_insert(false);
        }
    }

    /// Watches that no more.
    pub fn unwatch_available(&mut self, watcher: WatcherId) {
        self.available_to.remove(&watcher);
    }

    /// Whether anybody watches how many boards can be reserved.
    pub fn is_available_watched(&self) -> bool {
        !self.available_to.is_empty()
    }

    /// Watches this machine as well, or with None all machines from now on, whatever was named before.
    pub fn watch_machine(
        &mut self,
        watcher: WatcherId,
        machine: Option<Arc<str>>,
    ) -> Result<(), TooManyWatches> {
        let room = self.room(watcher);
        if self.machines.add(watcher, machine, room) { Ok(()) } else { Err(self.too_many()) }
    }

    /// Watches this job no more, or with None no job at all. Who watches all jobs cannot leave out a single one.
    pub fn unwatch_job(&mut self, watcher: WatcherId, job: Option<u64>) {
        self.jobs.remove(watcher, job);
        self.ending.remove(watcher, job);
    }

    /// Watches this machine no more, or with None no machine at all. Who watches all cannot leave out a single one.
    pub fn unwatch_machine(&mut self, watcher: WatcherId, machine: Option<Arc<str>>) {
        self.machines.remove(watcher, machine);
    }

    /// What a watcher watches of the jobs.
    pub fn jobs_watched(&self, watcher: WatcherId) -> &Watch<u64> {
        self.jobs.watch(watcher)
    }

    /// What a watcher watches of the machines.
    pub fn machines_watched(&self, watcher: WatcherId) -> &Watch<Arc<str>> {
        self.machines.watch(watcher)
    }

    /// These jobs and machines have changed. Names everybody who now has something to hear, each once.
    pub fn changed(&mut self, jobs: &BTreeSet<u64>, machines: &BTreeSet<Arc<str>>) -> Vec<WatcherId> {
        let mut concerned = Vec::new();
        self.jobs.changed(jobs, &mut concerned);
        self.machines.changed(machines, &mut concerned);
        concerned.sort_unstable();
        concerned.dedup();
        concerned
    }

    /// The leases of these reservations end soon. Names everybody who now has something to hear, each once.
    pub fn are_ending(&mut self, jobs: &BTreeSet<u64>) -> Vec<WatcherId> {
        let mut concerned = Vec::new();
        self.ending.changed(jobs, &mut concerned);
        concerned.sort_unstable();
        concerned.dedup();
        concerned
    }

    /// So many boards can be reserved now. Names everybody who now has something to hear.
    pub fn now_available(&mut self, count: usize) -> Vec<WatcherId> {
        if self.available.replace(count) == Some(count) {
            return Vec::new();
        }
        self.available_to.values_mut().for_each(|untold| *untold = true);
        self.available_to.keys().copied().collect()
    }

    /// What this watcher has to hear; from here on it counts as heard.
    pub fn take(&mut self, watcher: WatcherId) -> Pending {
        let (jobs, jobs_lost) = self.jobs.take(watcher);
        let (machines, machines_lost) = self.machines.take(watcher);
        let (ending, ending_lost) = self.ending.take(watcher);
        let untold = self.available_to.get_mut(&watcher).is_some_and(std::mem::take);
        let available = self.available.filter(|_| untold);
        Pending { jobs, machines, ending, available, lost: jobs_lost + machines_lost + ending_lost }
    }

    /// How many more things a watcher may name.
    fn room(&self, watcher: WatcherId) -> usize {
        let named = self.jobs.watch(watcher).named() + self.machines.watch(watcher).named();
        self.limits.watches_max.saturating_sub(named)
    }

    /// The refusal.
    fn too_many(&self) -> TooManyWatches {
        TooManyWatches { watches_max: self.limits.watches_max }
    }
}

impl<K> Watch<K> {
    /// How many things are named one by one.
    fn named(&self) -> usize {
        match self {
            Watch::These(these) => these.len(),
            Watch::Nothing | Watch::All => 0,
        }
    }
}

/// All registers for one sort of thing.
struct Topic<K> {
    /// The register of each watcher.
    registers: BTreeMap<WatcherId, Register<K>>,
    /// Who watches this very thing.
    by_key: BTreeMap<K, BTreeSet<WatcherId>>,
    /// Who watches all.
    all: BTreeSet<WatcherId>,
    /// What changed lately, for those who watch all.
    lately: Lately<K>,
}

/// The register of one watcher.
struct Register<K> {
    /// What it watches.
    watch: Watch<K>,
    /// What it has to hear of the things it named.
    pending: BTreeSet<K>,
    /// The last change it has heard, or that came before it watched all.
    heard: u64,
}

impl<K> Default for Register<K> {
    fn default() -> Register<K> {
        Register { watch: Watch::Nothing, pending: BTreeSet::new(), heard: 0 }
    }
}

impl<K: Ord + Clone> Topic<K> {
    /// No registers.
    fn new(changes_max: usize) -> Topic<K> {
        let lately = Lately::new(changes_max);
        Topic { registers: BTreeMap::new(), by_key: BTreeMap::new(), all: BTreeSet::new(), lately }
    }

    /// What a watcher watches.
    fn watch(&self, watcher: WatcherId) -> &Watch<K> {
        self.registers.get(&watcher).map_or(&Watch::Nothing, |register| &register.watch)
    }

    /// Watches a thing, or all. False when there is no room to name another.
    fn add(&mut self, watcher: WatcherId, key: Option<K>, room: usize) -> bool {
        match key {
            None => self.add_all(watcher),
            Some(key) => return self.add_one(watcher, key, room),
        }
        true
    }

    /// Watches all. What was gathered for the things named so far is still told.
    fn add_all(&mut self, watcher: WatcherId) {
        let heard = self.lately.number;
        let Some(register) = self.registers.get_mut(&watcher) else { return };
        match std::mem::replace(&mut register.watch, Watch::All) {
            Watch::All => return,
            Watch::These(these) => these.iter().for_each(|key| forget(&mut self.by_key, key, watcher)),
            Watch::Nothing => {}
        }
        register.heard = heard;
        self.all.insert(watcher);
    }

    /// Watches one thing more. Who watches all does so already.
    fn add_one(&mut self, watcher: WatcherId, key: K, room: usize) -> bool {
        let Some(register) = self.registers.get_mut(&watcher) else { return true };
        let known = match &register.watch {
            Watch::All => true,
            Watch::These(these) => these.contains(&key),
            Watch::Nothing => false,
        };
        if known || room == 0 {
            return known;
        }
        self.by_key.entry(key.clone()).or_default().insert(watcher);
        match &mut register.watch {
            Watch::These(these) => drop(these.insert(key)),
            watch => *watch = Watch::These(BTreeSet::from([key])),
        }
        true
    }

    /// Watches a thing no more, or nothing at all.
    fn remove(&mut self, watcher: WatcherId, key: Option<K>) {
        let Some(key) = key else { return self.clear(watcher) };
        let Some(register) = self.registers.get_mut(&watcher) else { return };
        let Watch::These(these) = &mut register.watch else { return };
        if these.remove(&key) {
            forget(&mut self.by_key, &key, watcher);
            register.pending.remove(&key);
        }
        if these.is_empty() {
            register.watch = Watch::Nothing;
        }
    }

    /// Watches nothing, and has nothing to hear.
    fn clear(&mut self, watcher: WatcherId) {
        let Some(register) = self.registers.get_mut(&watcher) else { return };
        if let Watch::These(these) = std::mem::take(register).watch {
            these.iter().for_each(|key| forget(&mut self.by_key, key, watcher));
        }
        self.all.remove(&watcher);
        if self.all.is_empty() {
            self.lately.clear();
        }
    }

    /// Gathers changes for everybody they concern.
    fn changed(&mut self, keys: &BTreeSet<K>, concerned: &mut Vec<WatcherId>) {
        for key in keys {
            for watcher in self.by_key.get(key).into_iter().flatten() {
                if let Some(register) = self.registers.get_mut(watcher) {
                    register.pending.insert(key.clone());
                    concerned.push(*watcher);
                }
            }
        }
        if !self.all.is_empty() && !keys.is_empty() {
            keys.iter().for_each(|key| self.lately.add(key));
            concerned.extend(&self.all);
        }
    }

    /// What a watcher has to hear, and how much was lost.
    fn take(&mut self, watcher: WatcherId) -> (Vec<K>, u64) {
        let Some(register) = self.registers.get_mut(&watcher) else { return (Vec::new(), 0) };
        let pending = std::mem::take(&mut register.pending);
        if register.watch != Watch::All {
            return (pending.into_iter().collect(), 0);
        }
        let lost = self.lately.forgotten.saturating_sub(register.heard);
        // Most who watch all never named anything, and hear of one or two changes: no set is made for these.
        let mut keys: Vec<K> = pending.into_iter().collect();
        if register.heard < self.lately.number {
            keys.extend(self.lately.since(register.heard).cloned());
            keys.sort_unstable();
            keys.dedup();
        }
        register.heard = self.lately.number;
        (keys, lost)
    }
}

/// Takes a watcher off the list of those who watch this thing.
fn forget<K: Ord>(by_key: &mut BTreeMap<K, BTreeSet<WatcherId>>, key: &K, watcher: WatcherId) {
    if let Some(watchers) = by_key.get_mut(key) {
        watchers.remove(&watcher);
        if watchers.is_empty() {
            by_key.remove(key);
        }
    }
}

/// What changed lately: each thing once, at the number of its last change; the oldest are forgotten.
struct Lately<K> {
    /// The things by the number of their last change.
    by_number: BTreeMap<u64, K>,
    /// The number of the last change of each.
    numbers: BTreeMap<K, u64>,
    /// The number of the latest change of all.
    number: u64,
    /// The number of the latest change that was forgotten.
    forgotten: u64,
    /// The most things.
    max: usize,
}

impl<K: Ord + Clone> Lately<K> {
    /// No changes yet.
    fn new(max: usize) -> Lately<K> {
        Lately {
            by_number: BTreeMap::new(),
            numbers: BTreeMap::new(),
            number: 0,
            forgotten: 0,
            max: max.max(1),
        }
    }

    /// One change.
    fn add(&mut self, key: &K) {
        self.number += 1;
        if let Some(before) = self.numbers.insert(key.clone(), self.number) {
            self.by_number.remove(&before);
        }
        self.by_number.insert(self.number, key.clone());
        if self.by_number.len() > self.max
            && let Some((number, oldest)) = self.by_number.pop_first()
        {
            self.numbers.remove(&oldest);
            self.forgotten = number;
        }
    }

    /// The things that changed after the change of this number.
    fn since(&self, heard: u64) -> impl Iterator<Item = &K> {
        self.by_number.range(heard.saturating_add(1)..).map(|(_, key)| key)
    }

    /// Nobody is left to hear of these. The numbers go on, so that nobody who comes later takes them for news.
    fn clear(&mut self) {
        self.by_number.clear();
        self.numbers.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Job changes only.
    fn jobs(notices: &mut Notices, jobs: &[u64]) -> Vec<WatcherId> {
        notices.changed(&jobs.iter().copied().collect(), &BTreeSet::new())
    }

    #[test]
    fn who_watches_a_job_hears_of_the_end_of_its_lease_and_of_available_boards_who_asked() {
        let mut notices = Notices::new(Limits::DEFAULT);
        let [one, all, other] = [(); 3].map(|()| notices.subscribe());
        notices.watch_job(one, Some(7)).unwrap();
        notices.watch_job(all, None).unwrap();
        notices.watch_available(other);
        assert_eq!(notices.are_ending(&[7, 8].into()), [one, all]);
        assert_eq!(notices.take(one).ending, [7]);
        assert_eq!(notices.take(all).ending, [7, 8]);
        assert!(notices.take(one).is_empty() && notices.take(other).is_empty());
        // Each number is told once, the last one only.
        assert_eq!(notices.now_available(0), [other]);
        assert_eq!(notices.now_available(4), [other]);
        assert_eq!(notices.now_available(4), []);
        assert_eq!(notices.take(other).available, Some(4));
        assert!(notices.take(other).is_empty());
        notices.unwatch_job(one, Some(7));
        notices.unwatch_available(other);
        assert_eq!(notices.are_ending(&[7].into()), [all]);
        assert_eq!(notices.now_available(3), []);
        assert!(!notices.is_available_watched());
    }

    /// The registers after a line of words: `+7` watches job 7, `-7` no more, `+` all, `-` nothing.
    fn after(line: &str) -> String {
        let mut notices = Notices::new(Limits { watches_max: 2, ..Limits::DEFAULT });
        let me = notices.subscribe();
        let mut refused = 0;
        for word in line.split_whitespace() {
            let (sign, job) = word.split_at(1);
            let job = job.parse().ok();
            match sign {
                "+" => refused += usize::from(notices.watch_job(me, job).is_err()),
                _ => notices.unwatch_job(me, job),
            }
        }
        let woken = jobs(&mut notices, &[1, 2, 3]).len();
        let heard = notices.take(me).jobs;
        assert_eq!(woken, usize::from(!heard.is_empty()));
        match (notices.jobs_watched(me), refused) {
            (Watch::Nothing, 0) => format!("nothing, hears {heard:?}"),
            (Watch::All, 0) => format!("all, hears {heard:?}"),
            (Watch::These(these), 0) => format!("{these:?}, hears {heard:?}"),
            (watch, refused) => format!("{watch:?}, hears {heard:?}, refused {refused}"),
        }
    }

    #[test]
    fn the_registers_follow_their_table() {
        let rows = [
            ("", "nothing, hears []"),
            ("+1", "{1}, hears [1]"),
            ("+1 +3", "{1, 3}, hears [1, 3]"),
            ("+9", "{9}, hears []"),
            ("+1 +1", "{1}, hears [1]"),
            ("+", "all, hears [1, 2, 3]"),
            ("+1 +", "all, hears [1, 2, 3]"),
            ("+1 + +2", "all, hears [1, 2, 3]"),
            ("+ +1", "all, hears [1, 2, 3]"),
            ("+ +", "all, hears [1, 2, 3]"),
            ("+ -1", "all, hears [1, 2, 3]"),
            ("+1 + -1", "all, hears [1, 2, 3]"),
            ("+ -", "nothing, hears []"),
            ("+1 + -", "nothing, hears []"),
            ("+1 + - +2", "{2}, hears [2]"),
            ("-", "nothing, hears []"),
            ("-1", "nothing, hears []"),
            ("+1 +2 -1", "{2}, hears [2]"),
            ("+1 -2", "{1}, hears [1]"),
            ("+1 -1", "nothing, hears []"),
            ("+1 +2 -", "nothing, hears []"),
            ("+1 +2 +2", "{1, 2}, hears [1, 2]"),
            ("+1 +2 +3", "These({1, 2}), hears [1, 2], refused 1"),
            ("+1 +2 +3 -1 +3", "These({2, 3}), hears [2, 3], refused 1"),
            ("+1 +2 +", "all, hears [1, 2, 3]"),
            ("+1 +2 + - +3", "{3}, hears [3]"),
        ];
        for (line, expected) in rows {
            assert_eq!(after(line), expected, "{line:?}");
        }
    }

    #[test]
    fn changes_are_gathered_and_told_once() {
        let mut notices = Notices::new(Limits::DEFAULT);
        let (one, all) = (notices.subscribe(), notices.subscribe());
        notices.watch_job(one, Some(5)).unwrap();
        notices.watch_machine(one, Some("m".into())).unwrap();
        notices.watch_job(all, None).unwrap();
        assert_eq!(jobs(&mut notices, &[5]), [one, all]);
        assert_eq!(jobs(&mut notices, &[6]), [all]);
        assert_eq!(jobs(&mut notices, &[5]), [one, all]);
        let machines = BTreeSet::from(["m".into(), "other".into()]);
        assert_eq!(notices.changed(&BTreeSet::from([5]), &machines), [one, all]);
        assert_eq!(
            notices.take(one),
            Pending { jobs: vec![5], machines: vec!["m".into()], ..Pending::default() }
        );
        assert_eq!(notices.take(all), Pending { jobs: vec![5, 6], ..Pending::default() });
        assert!(notices.take(one).is_empty() && notices.take(all).is_empty());
        assert!(jobs(&mut notices, &[]).is_empty());
    }

    #[test]
    fn what_was_gathered_is_still_told_when_all_is_watched_and_not_after_one_looks_away() {
        let mut notices = Notices::new(Limits::DEFAULT);
        let me = notices.subscribe();
        notices.watch_job(me, Some(5)).unwrap();
        jobs(&mut notices, &[5, 6]);
        notices.watch_job(me, None).unwrap();
        jobs(&mut notices, &[7]);
        assert_eq!(notices.take(me).jobs, [5, 7]);
        jobs(&mut notices, &[8]);
        notices.unwatch_job(me, None);
        assert!(notices.take(me).is_empty());
        notices.watch_job(me, None).unwrap();
        assert!(notices.take(me).is_empty(), "what changed before is no news");
    }

    #[test]
    fn jobs_and_machines_share_the_limit() {
        let mut notices = Notices::new(Limits { watches_max: 2, ..Limits::DEFAULT });
        let (me, other) = (notices.subscribe(), notices.subscribe());
        notices.watch_job(me, Some(1)).unwrap();
        notices.watch_machine(me, Some("a".into())).unwrap();
        let refusal = notices.watch_machine(me, Some("b".into())).unwrap_err();
        assert_eq!(Fault::from(refusal).code, Code::TOO_MANY_WATCHES);
        assert_eq!(notices.watch_job(me, Some(2)), Err(refusal));
        assert_eq!(notices.watch_machine(me, Some("a".into())), Ok(()));
        assert_eq!(notices.watch_machine(other, Some("b".into())), Ok(()));
        assert_eq!(notices.machines_watched(me), &Watch::These(BTreeSet::from(["a".into()])));
        notices.watch_job(me, None).unwrap();
        assert_eq!(notices.watch_machine(me, Some("b".into())), Ok(()), "who watches all names none");
    }

    #[test]
    fn who_falls_behind_hears_how_much_was_lost() {
        let mut notices = Notices::new(Limits { changes_max: 3, ..Limits::DEFAULT });
        let (slow, quick) = (notices.subscribe(), notices.subscribe());
        notices.watch_job(slow, None).unwrap();
        notices.watch_job(quick, None).unwrap();
        jobs(&mut notices, &[1, 2]);
        assert_eq!(notices.take(quick), Pending { jobs: vec![1, 2], ..Pending::default() });
        for _ in 0..100 {
            jobs(&mut notices, &[2]);
        }
        jobs(&mut notices, &[3]);
        assert_eq!(notices.take(quick), Pending { jobs: vec![2, 3], ..Pending::default() });
        jobs(&mut notices, &[4, 5]);
        assert_eq!(notices.take(quick), Pending { jobs: vec![4, 5], ..Pending::default() });
        let late = notices.take(slow);
        assert_eq!(late.jobs, [3, 4, 5]);
        assert!(late.lost >= 2, "jobs 1 and 2 were forgotten: {}", late.lost);
        assert!(notices.take(slow).is_empty());
    }

    #[test]
    fn a_watcher_that_is_gone_leaves_nothing_behind() {
        let mut notices = Notices::new(Limits::DEFAULT);
        for round in 0..100 {
            let me = notices.subscribe();
            notices.watch_job(me, Some(round)).unwrap();
            notices.watch_machine(me, None).unwrap();
            notices.changed(&BTreeSet::from([round]), &BTreeSet::from(["m".into()]));
            notices.unsubscribe(me);
            assert!(notices.take(me).is_empty());
            notices.watch_job(me, Some(round)).unwrap();
            notices.unwatch_job(me, None);
        }
        assert!(notices.jobs.registers.is_empty() && notices.machines.registers.is_empty());
        assert!(notices.jobs.by_key.is_empty() && notices.machines.all.is_empty());
        assert!(notices.machines.lately.by_number.is_empty());
    }

    #[test]
    fn a_change_costs_only_those_it_concerns() {
        let mut notices = Notices::new(Limits::DEFAULT);
        let watchers: Vec<_> = (0..1000).map(|_| notices.subscribe()).collect();
        for (job, watcher) in (0..).zip(&watchers) {
            notices.watch_job(*watcher, Some(job)).unwrap();
        }
        assert_eq!(jobs(&mut notices, &[7, 993]), [watchers[7], watchers[993]]);
        assert_eq!(notices.jobs.registers.values().filter(|r| !r.pending.is_empty()).count(), 2);
    }

    /// The same as one register, as plainly as possible: what is watched, what is to be heard.
    #[derive(Default)]
    struct Model {
        all: bool,
        these: BTreeSet<u64>,
        pending: BTreeSet<u64>,
    }

    proptest! {
        /// Two watchers against the plain model: nothing is missed, nothing told twice or to the wrong one.
        #[test]
        fn nobody_misses_anything(
            steps in prop::collection::vec((0usize..2, 0u8..8, prop::option::of(0u64..6)), 1..200),
        ) {
            let mut notices = Notices::new(Limits { watches_max: 4, changes_max: 6 });
            let ids = [notices.subscribe(), notices.subscribe()];
            let mut models = [Model::default(), Model::default()];
            for (who, what, job) in steps {
                let (id, model) = (ids[who], &mut models[who]);
                match (what, job) {
                    (0 | 1, Some(job)) => {
                        let fits = model.all || model.these.contains(&job) || model.these.len() < 4;
                        prop_assert_eq!(notices.watch_job(id, Some(job)).is_ok(), fits);
                        if fits && !model.all {
                            model.these.insert(job);
                        }
                    }
                    (0, None) => {
                        notices.watch_job(id, None).unwrap();
                        model.all = true;
                        model.these.clear();
                    }
                    (2, Some(job)) => {
                        notices.unwatch_job(id, Some(job));
                        if model.these.remove(&job) {
                            model.pending.remove(&job);
                        }
                    }
                    (2, None) => {
                        notices.unwatch_job(id, None);
                        *model = Model::default();
                    }
                    (3, _) => {
                        let pending = std::mem::take(&mut model.pending);
                        let expected = Pending { jobs: pending.into_iter().collect(), ..Pending::default() };
                        prop_assert_eq!(notices.take(id), expected);
                    }
                    (_, Some(job)) => {
                        let woken = jobs(&mut notices, &[job]);
                        for (id, model) in ids.iter().zip(&mut models) {
                            let concerned = model.all || model.these.contains(&job);
                            prop_assert_eq!(woken.contains(id), concerned);
                            if concerned {
                                model.pending.insert(job);
                            }
                        }
                    }
                    (_, None) => {}
                }
                for (id, model) in ids.iter().zip(&models) {
                    let expected = match (model.all, model.these.is_empty()) {
                        (true, _) => Watch::All,
                        (false, true) => Watch::Nothing,
                        (false, false) => Watch::These(model.these.clone()),
                    };
                    prop_assert_eq!(notices.jobs_watched(*id), &expected);
                }
            }
        }
    }
}
