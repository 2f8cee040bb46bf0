//! What is counted as it happens, for `/metrics`: facts that were kept, and the rounds of the desk. What can be looked up
//! when somebody asks is not counted here (`web_door::metrics`).

use crate::lab::effect::Action;
use crate::lab::fact::{Event, Fact, OrderId};
use crate::lab::job::Reason;
use crate::lab::{Lab, Outstanding, Purpose};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use std::time::Duration;

/// Bounds of how long jobs wait, in seconds: from at once to days.
const WAIT_S: [f64; 12] =
    [0.01, 0.1, 1.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3_600.0, 14_400.0, 86_400.0, 604_800.0];

/// Bounds of how long a round of the desk takes, in seconds.
const ROUND_S: [f64; 12] = [0.0001, 0.000_25, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 2.0];

/// Who passes a board that works again, as the lab writes it.
const RETEST: &str = "/retest";

/// A label and its value, both out of lists that are fixed.
type Labels = [(&'static str, &'static str); 2];

/// See above.
pub struct Tally {
    registry: Registry,
    queued: Counter,
    granted: Counter,
    requeued: Counter,
    ended: Family<[(&'static str, &'static str); 1], Counter>,
    wait: Histogram,
    answers: Family<Labels, Counter>,
    quarantined: Counter,
    rounds: Histogram,
}

/// What orders to boards are called.
const ORDERS: [&str; 4] = ["prepare", "power_off", "clean", "test"];

/// What becomes of them.
const OUTCOMES: [&str; 3] = ["obeyed", "failed", "overdue"];

/// Why jobs end.
const REASONS: [&str; 6] =
    ["asked", "lapsed", "lease_over", "impossible", "machine_removed", "boards_failed"];

impl Tally {
    /// Nothing has happened; every series is there and is zero.
    pub fn new() -> Tally {
        let tally = Tally {
            registry: Registry::with_prefix("berth"),
            queued: Counter::default(),
            granted: Counter::default(),
            requeued: Counter::default(),
            ended: Family::default(),
            wait: Histogram::new(WAIT_S),
            answers: Family::default(),
            quarantined: Counter::default(),
            rounds: Histogram::new(ROUND_S),
        };
        REASONS.iter().for_each(|reason| drop(tally.ended.get_or_create(&[("reason", reason)])));
        for order in ORDERS {
            for outcome in OUTCOMES {
                drop(tally.answers.get_or_create(&[("order", order), ("outcome", outcome)]));
            }
        }
        tally.registered()
    }

    fn registered(mut self) -> Tally {
        let registry = &mut self.registry;
        registry.register("jobs_queued", "Requests taken into the queue", self.queued.clone());
        registry.register("grants", "Times a job was lent boards", self.granted.clone());
        registry.register(
            "jobs_requeued",
            "Times a job lost its boards before they were ready",
            self.requeued.clone(),
        );
        registry.register("jobs_ended", "Jobs that ended, by reason", self.ended.clone());
        let help = "From the queueing of a job to each time it was lent boards";
        registry.register_with_unit("job_wait", help, Unit::Seconds, self.wait.clone());
        registry.register(
            "board_orders",
            "Boards ordered to do something, by what came of it",
            self.answers.clone(),
        );
        registry.register(
            "boards_quarantined",
            "Times a board was taken out of use because it failed",
            self.quarantined.clone(),
        );
        let help = "Rounds of the desk that changed something: deciding and keeping it";
        registry.register_with_unit("desk_round", help, Unit::Seconds, self.rounds.clone());
        self
    }

    /// All that was counted.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// A round changed something.
    pub fn count_round(&self, took: Duration) {
        self.rounds.observe(took.as_secs_f64());
    }

    /// A fact was kept; `before` is the lab to which it is about to happen.
    pub fn count(&self, fact: &Fact, before: &Lab) {
        match &fact.event {
            Event::JobQueued { .. } => drop(self.queued.inc()),
            Event::JobGranted { job, .. } => {
                self.granted.inc();
                let since = before.queued_at(*job).unwrap_or(fact.at);
                self.wait.observe(fact.at.ms_since(since) as f64 / 1000.0);
            }
            Event::JobRequeued { .. } => drop(self.requeued.inc()),
            Event::JobDestroyed { reason, .. } => {
                self.ended.get_or_create(&[("reason", word_of(reason))]).inc();
            }
            Event::BoardQuarantined { .. } => drop(self.quarantined.inc()),
            _ => self.count_answers(&fact.event, before),
        }
    }

    /// What boards did.
    fn count_answers(&self, event: &Event, before: &Lab) {
        let open = |order: &OrderId| before.outstanding(*order);
        let rest = |open: &Outstanding| open.boards.len().saturating_sub(open.answered.len());
        match event {
            Event::JobReady { order, .. } => {
                open(order).into_iter().for_each(|open| self.answered(order_of(open), "obeyed", rest(open)));
            }
            Event::BoardsCleaned { boards, .. } => self.answered("clean", "obeyed", boards.len()),
            Event::BoardSet { by, .. } if **by == *RETEST => self.answered("test", "obeyed", 1),
            Event::OrderAnswered { order, obeyed, failed } => {
                let Some(open) = open(order) else { return };
                self.answered(order_of(open), "obeyed", obeyed.len());
                self.answered(order_of(open), "failed", failed.len());
            }
            Event::OrderOverdue { order } => {
                open(order).into_iter().for_each(|open| self.answered(order_of(open), "overdue", rest(open)));
            }
            _ => {}
        }
    }

    fn answered(&self, order: &'static str, outcome: &'static str, boards: usize) {
        self.answers.get_or_create(&[("order", order), ("outcome", outcome)]).inc_by(boards as u64);
    }
}

/// What an order is called.
fn order_of(open: &Outstanding) -> &'static str {
    match &open.purpose {
        Purpose::Switch { action: Action::Prepare { .. }, .. } => "prepare",
        Purpose::Switch { .. } => "power_off",
        Purpose::Clean { .. } => "clean",
        Purpose::Test => "test",
    }
}

fn word_of(reason: &Reason) -> &'static str {
    match reason {
        Reason::Asked { .. } => "asked",
        Reason::Lapsed => "lapsed",
        Reason::LeaseOver => "lease_over",
        Reason::Impossible(_) => "impossible",
        Reason::MachineRemoved(_) => "machine_removed",
        Reason::BoardsFailed(_) => "boards_failed",
        Reason::Done(_) => "done",
    }
}
