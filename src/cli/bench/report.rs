//! What is told of a load: as text for people, as JSON with keys that stay.

use super::canned::Labour;
use super::load::{Loaded, Plan};
use super::place::Place;
use super::tally::{Latencies, Tally};
use crate::cli::table::{Table, plain};
use serde::Serialize;
use serde_json::Value;
use std::fmt::Write;

/// All there is to tell. Its keys are those of `--json`.
#[derive(Serialize)]
pub struct Report {
    mix: &'static str,
    connections: usize,
    depth: usize,
    batch: usize,
    threads: usize,
    sessions: usize,
    rate: Option<f64>,
    seconds: f64,
    begun: u64,
    done: u64,
    failed: u64,
    unfinished: u64,
    failed_in_warmup: u64,
    connections_lost: u64,
    interrupted: bool,
    operations_per_second: f64,
    latency_us: Spread,
    messages: Vec<Message>,
    errors: Vec<Mishap>,
    bytes_sent_per_operation: f64,
    bytes_received_per_operation: f64,
    generator_us_per_operation: f64,
    journal: Option<JournalUse>,
    canned: Option<Ceiling>,
    machine: Place,
}

/// Latencies in microseconds.
#[derive(Clone, Copy, Serialize)]
pub struct Spread {
    count: u64,
    min: f64,
    mean: f64,
    p50: f64,
    p90: f64,
    p99: f64,
    p99_9: f64,
    max: f64,
}

/// A kind of message.
#[derive(Serialize)]
struct Message {
    name: &'static str,
    latency_us: Spread,
}

/// Operations that failed alike; without a code they had no answer.
#[derive(Serialize)]
struct Mishap {
    code: Option<i64>,
    count: u64,
    msg: String,
}

/// The counters of the server's journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counters {
    appends: u64,
    syncs: u64,
}

/// What the journal was used meanwhile, warm-up included.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct JournalUse {
    appends: u64,
    syncs: u64,
    operations: u64,
    operations_per_sync: f64,
    syncs_per_second: f64,
}

/// What the generator reaches where the server does nothing.
#[derive(Clone, Copy, Serialize)]
pub struct Ceiling {
    labour: Labour,
    operations_per_second: f64,
    latency_us: Spread,
    generator_us_per_operation: f64,
}

impl From<&Latencies> for Spread {
    fn from(latencies: &Latencies) -> Spread {
        Spread {
            count: latencies.count(),
            min: latencies.min_us(),
            mean: latencies.mean_us(),
            p50: latencies.quantile_us(0.5),
            p90: latencies.quantile_us(0.9),
            p99: latencies.quantile_us(0.99),
            p99_9: latencies.quantile_us(0.999),
            max: latencies.max_us(),
        }
    }
}

impl Ceiling {
    /// What a load came to against a server that does no more than this.
    pub fn new(labour: Labour, loaded: &Loaded) -> Ceiling {
        Ceiling {
            labour,
            operations_per_second: rounded(loaded.rate()),
            latency_us: Spread::from(&loaded.tally.whole),
            generator_us_per_operation: generator_us(&loaded.tally),
        }
    }
}

impl Counters {
    /// What `get_status` says of them, if the server counts.
    pub fn read(status: &Value) -> Option<Counters> {
        let journal = status.get("journal")?;
        let count = |name: &str| journal.get(name)?.as_u64();
        Some(Counters { appends: count("appends")?, syncs: count("syncs")? })
    }

    /// What was added since, in so many seconds for so many operations.
    pub fn since(self, before: Counters, operations: u64, seconds: f64) -> JournalUse {
        let syncs = self.syncs.saturating_sub(before.syncs);
        JournalUse {
            appends: self.appends.saturating_sub(before.appends),
            syncs,
            operations,
            operations_per_sync: ratio(operations as f64, syncs as f64),
            syncs_per_second: ratio(syncs as f64, seconds),
        }
    }
}

fn generator_us(tally: &Tally) -> f64 {
    rounded(tally.cpu_ns as f64 / 1e3 / tally.all.max(1) as f64)
}

fn ratio(of: f64, to: f64) -> f64 {
    if to > 0.0 { rounded(of / to) } else { 0.0 }
}

fn rounded(number: f64) -> f64 {
    (number * 1000.0).round() / 1000.0
}

impl Report {
    /// The report of a load.
    pub fn new(plan: &Plan, loaded: &Loaded, machine: Place) -> Report {
        let tally = &loaded.tally;
        let ended = (tally.done + tally.failures()) as f64;
        Report {
            mix: plan.mix.name,
            connections: plan.connections,
            depth: plan.depth,
            batch: plan.batch,
            threads: plan.threads,
            sessions: if plan.own_sessions { plan.connections } else { 1 },
            rate: plan.rate,
            seconds: rounded(loaded.seconds),
            begun: tally.begun,
            done: tally.done,
            failed: tally.failures(),
            unfinished: tally.unfinished(),
            failed_in_warmup: tally.failed_early,
            connections_lost: tally.lost,
            interrupted: false,
            operations_per_second: rounded(loaded.rate()),
            latency_us: Spread::from(&tally.whole),
            messages: messages(loaded),
            errors: mishaps(tally),
            bytes_sent_per_operation: ratio(tally.bytes.sent as f64, ended),
            bytes_received_per_operation: ratio(tally.bytes.received as f64, ended),
            generator_us_per_operation: generator_us(tally),
            journal: None,
            canned: None,
            machine,
        }
    }

    /// With what was reached against canned answers.
    pub fn beside(mut self, canned: Option<Ceiling>) -> Report {
        self.canned = canned;
        self
    }

    /// With what the journal was used.
    pub fn with_journal(mut self, journal: Option<JournalUse>) -> Report {
        self.journal = journal;
        self
    }

    /// With word of whether somebody ended it early.
    pub fn cut_short(mut self, interrupted: bool) -> Report {
        self.interrupted = interrupted;
        self
    }

    /// As people read it.
    pub fn text(&self, about: &str) -> String {
        let mut text = format!("{}: {about}\n", self.mix);
        // Writing to a string cannot fail.
        let _ = self.write(&mut text);
        text
    }

    fn write(&self, text: &mut String) -> std::fmt::Result {
        self.write_plan(text)?;
        self.write_counts(text)?;
        text.push_str(&self.table().render(false));
        let (sent, received) = (self.bytes_sent_per_operation, self.bytes_received_per_operation);
        writeln!(text, "bytes per operation: {sent:.0} sent, {received:.0} received")?;
        for Mishap { code, count, msg } in &self.errors {
            let code = code.map_or_else(|| "no answer".to_owned(), |code| code.to_string());
            writeln!(text, "error {code}: {count} x {}", plain(msg))?;
        }
        self.write_surroundings(text)
    }

    fn write_plan(&self, text: &mut String) -> std::fmt::Result {
        let Report { connections, depth, batch, threads, sessions, seconds, .. } = self;
        let pace =
            self.rate.map_or_else(|| "as fast as it goes".to_owned(), |rate| format!("{rate} per second"));
        write!(text, "connections {connections}, in flight {depth}, batch {batch}, sessions {sessions}, ")?;
        writeln!(text, "threads {threads}, {pace}, {seconds:.2} s")
    }

    fn write_counts(&self, text: &mut String) -> std::fmt::Result {
        let Report { operations_per_second, done, failed, unfinished, .. } = self;
        write!(text, "{operations_per_second:.0} operations/s: {done} done, {failed} failed, ")?;
        write!(text, "{unfinished} unfinished")?;
        let more = [
            (self.failed_in_warmup, "failed in the warm-up"),
            (self.connections_lost, "connections lost"),
            (self.interrupted.into(), "ended early"),
        ];
        for (count, what) in more.iter().filter(|(count, _)| *count > 0) {
            write!(text, ", {count} {what}")?;
        }
        text.push('\n');
        Ok(())
    }

    fn table(&self) -> Table {
        let mut table = Table::new(&["LATENCY us", "COUNT", "MEAN", "P50", "P90", "P99", "P99.9", "MAX"]);
        let one = |name: &str, spread: &Spread| {
            let Spread { count, mean, p50, p90, p99, p99_9, max, .. } = *spread;
            let [mean, p50, p90, p99, p99_9, max] =
                [mean, p50, p90, p99, p99_9, max].map(|us| format!("{us:.1}"));
            [name.to_owned(), count.to_string(), mean, p50, p90, p99, p99_9, max]
        };
        table.push(one("operation", &self.latency_us));
        if self.messages.len() > 1 {
            self.messages.iter().for_each(|message| table.push(one(message.name, &message.latency_us)));
        }
        table
    }

    fn write_surroundings(&self, text: &mut String) -> std::fmt::Result {
        writeln!(text, "generator: {:.2} us of processor per operation", self.generator_us_per_operation)?;
        if let Some(canned) = &self.canned {
            let (rate, us) = (canned.operations_per_second, canned.generator_us_per_operation);
            let share = 100.0 * ratio(self.operations_per_second, rate);
            let what = match canned.labour {
                Labour::Canned => "canned answers",
                Labour::Framing => "the framing alone",
            };
            write!(text, "{what}: {rate:.0} get_version/s at {us:.2} us of processor each; ")?;
            writeln!(text, "the result is {share:.0} % of that")?;
        }
        if let Some(journal) = &self.journal {
            let JournalUse { appends, syncs, operations_per_sync, syncs_per_second, .. } = journal;
            write!(text, "journal: {appends} appends, {syncs} syncs, {syncs_per_second:.0} syncs/s, ")?;
            writeln!(text, "{operations_per_sync:.1} operations per sync")?;
        }
        writeln!(text, "machine: {}", self.machine)
    }
}

fn messages(loaded: &Loaded) -> Vec<Message> {
    let spreads = loaded.tally.steps.0.iter().map(Spread::from);
    loaded.steps.iter().zip(spreads).map(|(name, latency_us)| Message { name, latency_us }).collect()
}

fn mishaps(tally: &Tally) -> Vec<Mishap> {
    let told = tally.failed.iter();
    told.map(|(code, failed)| Mishap { code: *code, count: failed.count, msg: failed.msg.clone() }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_journal_is_counted_where_the_server_counts() {
        for status in [json!({}), json!({"journal": 7}), json!({"journal": {"appends": 1}})] {
            assert_eq!(Counters::read(&status), None);
        }
        let read = |appends, syncs| {
            Counters::read(&json!({"journal": {"appends": appends, "syncs": syncs, "more": "x"}})).unwrap()
        };
        let used = read(30, 14).since(read(10, 4), 25, 2.0);
        assert_eq!((used.appends, used.syncs, used.operations_per_sync), (20, 10, 2.5));
        assert_eq!(used.syncs_per_second, 5.0);
        let idle = read(1, 1).since(read(1, 1), 0, 0.0);
        assert_eq!((idle.operations_per_sync, idle.syncs_per_second), (0.0, 0.0));
    }
}
