//! What changed lately, for those who come back: a cursor says up to where one has heard everything, and what changed since is
//! told as long as it is remembered. Each job and machine is remembered once, at its last change, so memory is bounded by a
//! limit and by what there is.

use super::Lately;
use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// See above.
pub struct Recall {
    run: u64,
    jobs: Lately<u64>,
    machines: Lately<Arc<str>>,
}

/// A place in what changed, in one run of the server. Clients keep its text and read nothing in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    run: u64,
    jobs: u64,
    machines: u64,
}

/// What changed since a cursor, each thing once and in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Since {
    /// Jobs.
    pub jobs: Vec<u64>,
    /// Machines.
    pub machines: Vec<Arc<str>>,
    /// Up to where this is everything.
    pub cursor: Cursor,
}

impl Recall {
    /// Nothing has changed yet. `run` tells this run of the server from all others; `changes_max` is how many jobs, and how
    /// many machines, are remembered.
    pub fn new(run: u64, changes_max: usize) -> Recall {
        Recall { run, jobs: Lately::new(changes_max), machines: Lately::new(changes_max) }
    }

    /// These have changed.
    pub fn changed(&mut self, jobs: &BTreeSet<u64>, machines: &BTreeSet<Arc<str>>) {
        jobs.iter().for_each(|job| self.jobs.add(job));
        machines.iter().for_each(|machine| self.machines.add(machine));
    }

    /// The place behind all that changed so far.
    pub fn cursor(&self) -> Cursor {
        Cursor { run: self.run, jobs: self.jobs.number, machines: self.machines.number }
    }

    /// A place that is none: what changed since is never known.
    pub fn nowhere(&self) -> Cursor {
        Cursor { run: !self.run, ..self.cursor() }
    }

    /// What changed since; none when that is not known, because it was forgotten or the cursor is not one of ours.
    pub fn since(&self, cursor: Cursor) -> Option<Since> {
        let known = |heard: u64, forgotten: u64, latest: u64| (forgotten..=latest).contains(&heard);
        let ours = cursor.run == self.run
            && known(cursor.jobs, self.jobs.forgotten, self.jobs.number)
            && known(cursor.machines, self.machines.forgotten, self.machines.number);
        ours.then(|| Since {
            jobs: sorted(self.jobs.since(cursor.jobs)),
            machines: sorted(self.machines.since(cursor.machines)),
            cursor: self.cursor(),
        })
    }
}

fn sorted<'a, K: Ord + Clone + 'a>(keys: impl Iterator<Item = &'a K>) -> Vec<K> {
    let mut sorted: Vec<K> = keys.cloned().collect();
    sorted.sort_unstable();
    sorted
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}-{:x}-{:x}", self.run, self.jobs, self.machines)
    }
}

/// It is no cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoCursor;

impl FromStr for Cursor {
    type Err = NoCursor;

    fn from_str(text: &str) -> Result<Cursor, NoCursor> {
        let mut numbers = text.split('-').map(|part| u64::from_str_radix(part, 16).map_err(|_| NoCursor));
        let mut next = || numbers.next().unwrap_or(Err(NoCursor));
        let cursor = Cursor { run: next()?, jobs: next()?, machines: next()? };
        if numbers.next().is_some() { Err(NoCursor) } else { Ok(cursor) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn change(recall: &mut Recall, jobs: &[u64], machines: &[&str]) {
        let machines = machines.iter().map(|name| Arc::from(*name)).collect();
        recall.changed(&jobs.iter().copied().collect(), &machines);
    }

    #[test]
    fn whoever_comes_back_hears_what_changed_meanwhile() {
        let mut recall = Recall::new(7, 4);
        let start = recall.cursor();
        change(&mut recall, &[3, 1], &["m"]);
        let middle = recall.cursor();
        change(&mut recall, &[3], &[]);
        let since = recall.since(start).expect("it is remembered");
        assert_eq!((since.jobs, since.machines), (vec![1, 3], vec![Arc::from("m")]));
        assert_eq!(recall.since(middle).expect("it is remembered").jobs, [3]);
        assert_eq!(recall.since(since.cursor).expect("it is the latest").jobs, [0; 0]);
    }

    #[test]
    fn what_is_forgotten_or_not_ours_is_not_known() {
        let mut recall = Recall::new(7, 2);
        let start = recall.cursor();
        change(&mut recall, &[1, 2], &[]);
        assert!(recall.since(start).is_some());
        change(&mut recall, &[3], &[]);
        assert_eq!(recall.since(start), None);
        assert_eq!(recall.since(Cursor { run: 8, ..recall.cursor() }), None);
        assert_eq!(recall.since(recall.nowhere()), None);
        assert_eq!(recall.since(Cursor { jobs: 99, ..recall.cursor() }), None);
        assert_eq!(recall.since(Cursor { machines: 1, ..recall.cursor() }), None);
    }

    #[test]
    fn a_cursor_is_what_was_written() {
        let cursor = Cursor { run: u64::MAX, jobs: 17, machines: 0 };
        assert_eq!(cursor.to_string().parse(), Ok(cursor));
        for text in ["", "1", "1-2", "1-2-3-4", "1-2-x", "1--3", "1-2-10000000000000000", "\u{e9}"] {
            assert_eq!(text.parse::<Cursor>(), Err(NoCursor), "{text}");
        }
    }

    proptest! {
        /// Whoever looks only now and then hears of every change, or that it is not known.
        #[test]
        fn nothing_is_missed(
            rounds in prop::collection::vec((prop::collection::btree_set(0_u64..20, 0..6), any::<bool>()), 0..60),
            max in 1_usize..12,
        ) {
            let mut recall = Recall::new(1, max);
            let (mut cursor, mut unheard) = (recall.cursor(), BTreeSet::new());
            for (jobs, looks) in rounds {
                recall.changed(&jobs, &BTreeSet::new());
                unheard.extend(jobs);
                if looks {
                    match recall.since(cursor) {
                        Some(since) => {
                            prop_assert_eq!(since.jobs.into_iter().collect::<BTreeSet<_>>(), unheard);
                            cursor = since.cursor;
                        }
                        None => {
                            prop_assert!(unheard.len() > max, "only what is too much is forgotten");
                            cursor = recall.cursor();
                        }
                    }
                    unheard = BTreeSet::new();
                }
            }
        }
    }
}
