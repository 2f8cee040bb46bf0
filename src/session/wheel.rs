//! A lazy wheel: many deadlines, most of which move on before they are reached.
//!
//! A deadline that moves is not touched here. Its key waits in the second in which it was last known to be due; when that
//! second comes the owner is asked again, and only then the key moves on or comes out. So a sign of life costs
//! nothing here, and a key is looked at about once per lifespan.
//!
//! The seconds stand in one ordered set rather than in a ring of lists. Spans have no upper bound, so a ring would need a
//! second level; and a key can be taken out early, or else those who open and end sessions all day would fill the
//! memory with keys that nobody waits for. The price, half a microsecond, is paid once per lifespan.

use crate::clock::Moment;
use std::collections::BTreeSet;

/// The width of a bucket.
const BUCKET_MS: u64 = 1_000;

/// What the owner says of a key whose bucket is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// Not before this: keep it until then.
    Later(Moment),
    /// Nobody waits for it any more.
    Gone,
}

/// Keys by the second in which each is to be looked at. Deadlines may move on while a key is in it, never back.
pub struct Wheel<K> {
    /// The number of the bucket and the key. A bucket is due at its number times its width.
    places: BTreeSet<(u64, K)>,
}

impl<K: Copy + Ord> Wheel<K> {
    /// No deadlines.
    pub fn new() -> Wheel<K> {
        Wheel { places: BTreeSet::new() }
    }

    /// Looks at a key when `deadline` has passed, less than a second late.
    pub fn add(&mut self, key: K, deadline: Moment) {
        self.places.insert((bucket(deadline), key));
    }

    /// Takes a key out before it is due. `deadline` is the one it was last added or kept with.
    pub fn remove(&mut self, key: K, deadline: Moment) {
        self.places.remove(&(bucket(deadline), key));
    }

    /// When to call `turn` next.
    pub fn due_at(&self) -> Option<Moment> {
        self.places.first().map(|(bucket, _)| Moment(bucket.saturating_mul(BUCKET_MS)))
    }

    /// Asks `look` about at most `looks_max` keys that are due, about each of them once; what is left stays due.
    pub fn turn(&mut self, now: Moment, looks_max: usize, mut look: impl FnMut(K) -> Due) {
        let mut moved = Vec::new();
        for _ in 0..looks_max {
            let Some(key) = self.next_due(now) else { break };
            if let Due::Later(deadline) = look(key) {
                moved.push((key, deadline));
            }
        }
        moved.into_iter().for_each(|(key, deadline)| self.add(key, deadline));
    }

    /// Takes out one key that is due.
    fn next_due(&mut self, now: Moment) -> Option<K> {
        self.places.first().filter(|(bucket, _)| *bucket <= now.0 / BUCKET_MS)?;
        self.places.pop_first().map(|(_, key)| key)
    }
}

/// The bucket that is due when, or less than its width after, a deadline has passed.
fn bucket(deadline: Moment) -> u64 {
    deadline.0.div_ceil(BUCKET_MS)
}

impl<K: Copy + Ord> Default for Wheel<K> {
    fn default() -> Wheel<K> {
        Wheel::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    /// Turns the wheel over fixed deadlines and returns what came out, in order.
    fn turned(wheel: &mut Wheel<u32>, now: u64, looks_max: usize) -> Vec<u32> {
        let mut out = Vec::new();
        wheel.turn(Moment(now), looks_max, |key| {
            out.push(key);
            Due::Gone
        });
        out.sort();
        out
    }

    #[test]
    fn a_key_comes_out_after_its_deadline_within_a_second() {
        let mut wheel = Wheel::new();
        for (key, deadline) in [(1, 5_000), (2, 5_001), (3, 6_000), (4, u64::MAX)] {
            wheel.add(key, Moment(deadline));
        }
        assert_eq!(wheel.due_at(), Some(Moment(5_000)));
        assert_eq!(turned(&mut wheel, 4_999, 9), [0u32; 0]);
        assert_eq!(turned(&mut wheel, 5_000, 9), [1]);
        assert_eq!(turned(&mut wheel, 5_999, 9), [0u32; 0]);
        assert_eq!(turned(&mut wheel, 6_000, 9), [2, 3]);
        assert_eq!(turned(&mut wheel, u64::MAX - 1_000, 9), [0u32; 0]);
        assert_eq!(wheel.due_at(), Some(Moment(u64::MAX)));
    }

    #[test]
    fn a_turn_is_bounded_and_the_rest_stays_due() {
        let mut wheel = Wheel::new();
        (0..10).for_each(|key| wheel.add(key, Moment(1_000)));
        assert_eq!(turned(&mut wheel, 1_000, 4).len(), 4);
        assert_eq!(wheel.due_at(), Some(Moment(1_000)));
        assert_eq!(turned(&mut wheel, 1_000, 100).len(), 6);
        assert_eq!(wheel.due_at(), None);
    }

    #[test]
    fn a_key_that_was_taken_out_does_not_come() {
        let mut wheel = Wheel::new();
        wheel.add(1, Moment(4_001));
        wheel.add(2, Moment(4_001));
        wheel.remove(1, Moment(4_001));
        wheel.remove(2, Moment(9_001));
        assert_eq!(turned(&mut wheel, 5_000, 9), [2]);
    }

    #[test]
    fn a_key_that_is_still_due_is_asked_once_per_turn() {
        let mut wheel = Wheel::new();
        wheel.add(7, Moment(0));
        let mut looks = 0;
        wheel.turn(Moment(5_000), 100, |_| {
            looks += 1;
            Due::Later(Moment(0))
        });
        assert_eq!(looks, 1);
        assert_eq!(wheel.due_at(), Some(Moment(0)));
    }

    proptest! {
        /// Against a plain list of deadlines: the same keys come out of both, however often the deadlines moved.
        #[test]
        fn the_wheel_agrees_with_a_list(
            steps in proptest::collection::vec((0u32..40, 0u64..20_000, 0u64..1_500), 1..300),
        ) {
            let (mut wheel, mut list, mut now) = (Wheel::new(), BTreeMap::<u32, Moment>::new(), Moment(0));
            for (key, span_ms, pause_ms) in steps {
                now = now.plus_ms(pause_ms);
                // A key that is known only moves its deadline on, as a sign of life does.
                let deadline = list.get(&key).copied().unwrap_or_default().max(now.plus_ms(span_ms));
                if list.insert(key, deadline).is_none() {
                    wheel.add(key, deadline);
                }
                let mut out = Vec::new();
                wheel.turn(now, 1_000, |key| match list.get(&key) {
                    Some(deadline) if *deadline > now => Due::Later(*deadline),
                    _ => {
                        out.push(key);
                        Due::Gone
                    }
                });
                for key in &out {
                    prop_assert!(list.remove(key).is_some_and(|deadline| deadline <= now));
                }
                let late = list.values().filter(|deadline| deadline.0.div_ceil(1_000) <= now.0 / 1_000).count();
                prop_assert_eq!(late, 0);
                let next = list.values().map(|deadline| deadline.0.div_ceil(1_000) * 1_000).min();
                prop_assert!(wheel.due_at().map(|at| at.0) <= next, "never later than it must");
                prop_assert_eq!(wheel.due_at().is_some(), next.is_some());
            }
        }
    }
}
