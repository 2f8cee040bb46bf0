//! What is counted of a load: operations that ended, how long each took, what went wrong.

use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// The counts of one load.
pub struct Tally {
    /// After this nothing more is begun.
    until: Instant,
    /// Of each operation, in tenths of microseconds.
    spans: Vec<u32>,
    /// When the last operation ended.
    last: Instant,
    /// How many the server declined, for want of something to lend.
    refused: u64,
    /// How many went wrong.
    errors: u64,
    /// What went wrong first.
    first_error: Option<String>,
}

impl Tally {
    /// Nothing yet, and so long to go.
    pub fn new(time: Duration) -> Tally {
        let now = Instant::now();
        Tally { until: now + time, spans: Vec::new(), last: now, refused: 0, errors: 0, first_error: None }
    }

    /// Whether more is to be begun.
    pub fn goes_on(&self) -> bool {
        Instant::now() < self.until
    }

    /// When nothing more is begun.
    pub fn until(&self) -> Instant {
        self.until
    }

    /// An operation that was begun then has ended.
    pub fn done(&mut self, begun: Instant) {
        self.last = Instant::now();
        self.spans.push((self.last - begun).as_nanos().div_ceil(100).try_into().unwrap_or(u32::MAX));
    }

    /// The server declined.
    pub fn refused(&mut self) {
        self.refused += 1;
    }

    /// Something went wrong.
    pub fn failed(&mut self, error: String) {
        self.errors += 1;
        self.first_error.get_or_insert(error);
    }

    /// All of it, for a load that began then.
    pub fn told(mut self, begun: Instant) -> Value {
        self.spans.sort_unstable();
        let seconds = (self.last - begun).as_secs_f64();
        let at = |share: f64| {
            let place = ((self.spans.len() as f64 * share) as usize).min(self.spans.len().saturating_sub(1));
            self.spans.get(place).map(|span| f64::from(*span) / 10.0)
        };
        let mean = self.spans.iter().map(|span| f64::from(*span) / 10.0).sum::<f64>()
            / self.spans.len().max(1) as f64;
        json!({
            "done": self.spans.len(), "seconds": seconds, "refused": self.refused, "errors": self.errors, "first_error": self.first_error,
            "per_second": if seconds > 0.0 { self.spans.len() as f64 / seconds } else { 0.0 },
            "mean_us": mean, "p50_us": at(0.5), "p99_us": at(0.99), "max_us": at(1.0),
        })
    }
}
