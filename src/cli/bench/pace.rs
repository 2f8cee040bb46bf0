//! When operations are begun: as soon as there is room, or at moments fixed beforehand; for a time, or a number of times.

/// How much is to be done.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Amount {
    /// All that goes into this span, after a span that is not counted.
    Time {
        /// What is not counted.
        warmup_ns: u64,
        /// What is.
        span_ns: u64,
    },
    /// So many operations.
    Operations(u64),
}

/// The pace of one thread. Times count from its beginning.
#[derive(Clone, Debug)]
pub struct Pace {
    counted_from_ns: u64,
    until_ns: u64,
    left: u64,
    /// Between two operations; none when they are begun as soon as there is room.
    interval_ns: Option<f64>,
    /// Operations whose moments have been used up.
    used: u64,
}

/// Operations to be begun together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due {
    /// How many.
    pub operations: u64,
    /// When they should have been begun.
    pub at_ns: u64,
    /// Whether they are counted.
    pub counted: bool,
}

impl Pace {
    /// The pace of one of several threads that share an amount, and a rate in operations per second if there is one.
    pub fn new(amount: Amount, rate: Option<f64>, thread: u64, threads: u64) -> Pace {
        let (counted_from_ns, until_ns, left) = match amount {
            Amount::Time { warmup_ns, span_ns } => (warmup_ns, warmup_ns.saturating_add(span_ns), u64::MAX),
            Amount::Operations(count) => (0, u64::MAX, count / threads + u64::from(thread < count % threads)),
        };
        let interval_ns = rate.map(|rate| threads as f64 * 1e9 / rate);
        Pace { counted_from_ns, until_ns, left, interval_ns, used: 0 }
    }

    /// Operations to be begun now, at most so many.
    pub fn claim(&mut self, now_ns: u64, operations_max: u64) -> Option<Due> {
        let at_ns = self.next_ns().unwrap_or(now_ns);
        if self.is_over(now_ns) || at_ns > now_ns {
            return None;
        }
        let operations = operations_max.min(self.left);
        self.left -= operations;
        self.used += operations;
        Some(Due { operations, at_ns, counted: at_ns >= self.counted_from_ns })
    }

    /// Whether nothing more is to be begun. What is late is still begun when the time is over.
    pub fn is_over(&self, now_ns: u64) -> bool {
        self.left == 0 || self.next_ns().unwrap_or(now_ns) >= self.until_ns
    }

    /// Whether the time is over; what is late may still be begun.
    pub fn is_past(&self, now_ns: u64) -> bool {
        now_ns >= self.until_ns
    }

    /// The next moment an operation is due; none when there is no rate.
    pub fn next_ns(&self) -> Option<u64> {
        self.interval_ns.map(|interval| (self.used as f64 * interval) as u64)
    }

    /// How many operations should have been begun by now and were not: those of a rate whose moments have come, or what is
    /// left of a number.
    pub fn late(&self, now_ns: u64) -> u64 {
        if self.until_ns == u64::MAX {
            return self.left;
        }
        let Some(interval) = self.interval_ns else { return 0 };
        let due = (now_ns.min(self.until_ns) as f64 / interval).ceil() as u64;
        due.saturating_sub(self.used)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIME: Amount = Amount::Time { warmup_ns: 100, span_ns: 1000 };

    #[test]
    fn without_a_rate_there_is_always_something_due_until_the_time_is_over() {
        let mut pace = Pace::new(TIME, None, 0, 1);
        assert_eq!(pace.claim(99, 5), Some(Due { operations: 5, at_ns: 99, counted: false }));
        assert_eq!(pace.claim(1099, 5), Some(Due { operations: 5, at_ns: 1099, counted: true }));
        assert_eq!(pace.claim(1100, 5), None);
        assert!(pace.is_over(1100) && pace.late(1100) == 0);
    }

    #[test]
    fn a_number_of_operations_is_shared_between_threads() {
        let shares: Vec<u64> = (0..3).map(|at| Pace::new(Amount::Operations(11), None, at, 3).left).collect();
        assert_eq!(shares, [4, 4, 3]);
        let mut pace = Pace::new(Amount::Operations(5), None, 0, 1);
        let claimed: Vec<_> = std::iter::from_fn(|| pace.claim(0, 2)).map(|due| due.operations).collect();
        assert_eq!(claimed, [2, 2, 1]);
        assert!(pace.is_over(0));
        assert_eq!(Pace::new(Amount::Operations(5), None, 0, 1).late(9), 5);
    }

    #[test]
    fn a_rate_has_moments_of_its_own_and_forgets_none() {
        // Two threads at 20 million a second in all: one operation each 100 ns.
        let mut pace = Pace::new(TIME, Some(2e7), 0, 2);
        assert_eq!(pace.claim(0, 1), Some(Due { operations: 1, at_ns: 0, counted: false }));
        assert_eq!((pace.claim(99, 1), pace.next_ns()), (None, Some(100)));
        // A stall: everything that was due meanwhile is begun late and knows when it should have been.
        let late: Vec<_> = std::iter::from_fn(|| pace.claim(350, 1)).map(|due| due.at_ns).collect();
        assert_eq!(late, [100, 200, 300]);
        assert_eq!(pace.late(1050), 7);
        assert!(pace.is_past(1100) && !pace.is_over(1100), "what is late is still begun");
        assert_eq!(pace.claim(5000, 100).map(|due| due.at_ns), Some(400));
        assert!(pace.is_over(5000) && pace.late(5000) == 0);
    }
}
