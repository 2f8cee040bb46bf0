//! What is counted while the load runs, one tally per thread, and added up afterwards.
//!
//! Latencies go into histograms of fixed size, so that counting allocates nothing; only errors do.

use super::script::{PerStep, StepAt};
use hdrhistogram::Histogram;
use std::collections::BTreeMap;

/// The least latency that is told from none, in nanoseconds.
const LATENCY_NS_MIN: u64 = 100;
/// The largest latency that is told from larger ones, in nanoseconds.
const LATENCY_NS_MAX: u64 = 200_000_000_000;
/// Latencies are kept to a thousandth of themselves.
const LATENCY_DIGITS: u8 = 3;

/// Latencies in nanoseconds.
#[derive(Clone)]
pub struct Latencies(Histogram<u64>);

impl Latencies {
    /// None yet.
    pub fn new() -> Latencies {
        let histogram = Histogram::new_with_bounds(LATENCY_NS_MIN, LATENCY_NS_MAX, LATENCY_DIGITS);
        Latencies(histogram.unwrap_or_else(|error| unreachable!("the bounds are sound: {error}")))
    }

    /// Counts one.
    pub fn record(&mut self, ns: u64) {
        self.0.saturating_record(ns);
    }

    /// Adds those of another thread.
    pub fn add(&mut self, other: &Latencies) {
        // Both have the same bounds, so this cannot fail.
        let _ = self.0.add(&other.0);
    }

    /// How many were counted.
    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// The latency that so large a share does not exceed, in microseconds.
    pub fn quantile_us(&self, share: f64) -> f64 {
        us(self.0.value_at_quantile(share))
    }

    /// The least one.
    pub fn min_us(&self) -> f64 {
        us(if self.count() == 0 { 0 } else { self.0.min() })
    }

    /// The largest one.
    pub fn max_us(&self) -> f64 {
        us(self.0.max())
    }

    /// Their mean.
    pub fn mean_us(&self) -> f64 {
        (self.0.mean() / 100.0).round() / 10.0
    }
}

/// Microseconds with one digit.
fn us(ns: u64) -> f64 {
    (ns as f64 / 100.0).round() / 10.0
}

/// Operations that failed alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failed {
    /// How many.
    pub count: u64,
    /// What the first one was told.
    pub msg: String,
}

/// See above.
#[derive(Clone)]
pub struct Tally {
    /// Operations that were begun.
    pub begun: u64,
    /// Operations that were done.
    pub done: u64,
    /// Operations that failed, by the number of the error; those without a number had no answer.
    pub failed: BTreeMap<Option<i64>, Failed>,
    /// Operations that failed before anything was measured.
    pub failed_early: u64,
    /// Operations whose time had come, but which could not be begun.
    pub late: u64,
    /// Operations that ended in any way, before anything was measured included.
    pub all: u64,
    /// Connections that broke.
    pub lost: u64,
    /// Latencies of whole operations, one for each message they were begun with.
    pub whole: Latencies,
    /// Latencies of single messages.
    pub steps: PerStep<Latencies>,
    /// Bytes sent and received for the operations that are counted.
    pub bytes: Bytes,
    /// When the last operation ended.
    pub ended_ns: u64,
    /// What the generator itself computed.
    pub cpu_ns: u64,
}

/// Bytes on the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bytes {
    /// To the server.
    pub sent: u64,
    /// From the server.
    pub received: u64,
}

impl Tally {
    /// Nothing yet, of so many steps.
    pub fn new(steps: usize) -> Tally {
        Tally {
            begun: 0,
            done: 0,
            failed: BTreeMap::new(),
            failed_early: 0,
            late: 0,
            all: 0,
            lost: 0,
            whole: Latencies::new(),
            steps: PerStep(vec![Latencies::new(); steps]),
            bytes: Bytes::default(),
            ended_ns: 0,
            cpu_ns: 0,
        }
    }

    /// Counts the answer to a message.
    pub fn answered(&mut self, at: StepAt, ns: u64) {
        self.steps.at(at).record(ns);
    }

    /// Counts operations that were done.
    pub fn finished(&mut self, operations: u64, ns: u64) {
        self.done += operations;
        self.whole.record(ns);
    }

    /// Counts operations that failed.
    pub fn failed(&mut self, code: Option<i64>, operations: u64, msg: &str) {
        let entry = self.failed.entry(code).or_insert_with(|| Failed { count: 0, msg: msg.to_owned() });
        entry.count += operations;
    }

    /// How many failed.
    pub fn failures(&self) -> u64 {
        self.failed.values().map(|failed| failed.count).sum()
    }

    /// How many were begun, or should have been, and came to no end.
    pub fn unfinished(&self) -> u64 {
        (self.begun + self.late).saturating_sub(self.done + self.failures())
    }

    /// Adds what another thread counted.
    pub fn add(&mut self, other: &Tally) {
        self.begun += other.begun;
        self.done += other.done;
        for (code, failed) in &other.failed {
            self.failed(*code, failed.count, &failed.msg);
        }
        self.failed_early += other.failed_early;
        self.late += other.late;
        self.all += other.all;
        self.lost += other.lost;
        self.whole.add(&other.whole);
        self.steps.0.iter_mut().zip(&other.steps.0).for_each(|(step, other)| step.add(other));
        self.bytes.sent += other.bytes.sent;
        self.bytes.received += other.bytes.received;
        self.ended_ns = self.ended_ns.max(other.ended_ns);
        self.cpu_ns += other.cpu_ns;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_true_to_a_thousandth() {
        let mut latencies = Latencies::new();
        (1..=10_000).for_each(|us| latencies.record(us * 1000));
        for (share, expected) in [(0.5, 5000.0), (0.9, 9000.0), (0.99, 9900.0), (0.999, 9990.0)] {
            let found = latencies.quantile_us(share);
            assert!((found / expected - 1.0_f64).abs() < 0.001, "{share}: {found}");
        }
        assert_eq!(latencies.count(), 10_000);
        assert!((latencies.mean_us() - 5000.5).abs() < 5.0 && (latencies.max_us() - 10_000.0).abs() < 10.0);
        assert!((latencies.min_us() - 1.0).abs() < 0.11, "{}", latencies.min_us());
    }

    #[test]
    fn no_latencies_are_zero_and_endless_ones_are_the_largest() {
        let mut latencies = Latencies::new();
        let zeros = [latencies.min_us(), latencies.max_us(), latencies.mean_us(), latencies.quantile_us(0.5)];
        assert_eq!(zeros, [0.0; 4]);
        latencies.record(u64::MAX);
        assert!(latencies.max_us() >= LATENCY_NS_MAX as f64 / 1000.0 * 0.999);
    }

    #[test]
    fn tallies_add_up() {
        let mut one = Tally::new(1);
        (one.begun, one.late) = (9, 1);
        one.finished(4, 1000);
        one.failed(Some(1001), 2, "no job 1");
        let mut other = one.clone();
        other.failed(None, 1, "gone");
        other.ended_ns = 7;
        one.add(&other);
        assert_eq!((one.begun, one.done, one.failures(), one.unfinished()), (18, 8, 5, 7));
        assert_eq!(one.failed[&Some(1001)], Failed { count: 4, msg: "no job 1".to_owned() });
        assert_eq!((one.whole.count(), one.ended_ns), (2, 7));
    }
}
