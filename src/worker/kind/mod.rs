//! Kinds: what a board is prepared as, and what then comes of the bitstreams it is given.
//!
//! A kind is a file of its own with a `Row`, and a line in `KINDS`. It says which arguments it takes and in which order, which
//! firmware it needs, what of the firmware's lines is a result, and what simulated firmware would say. Pure: where lines come
//! from and when results are told is not its affair (`device`, `board`).

mod pulsecount;
mod variance;

use serde_json::{Map, Value};
use std::sync::Arc;

/// All kinds there are.
pub static KINDS: &[&Row] = &[&pulsecount::ROW, &variance::ROW];

/// Results wait for no longer than this, whatever the arguments say, in seconds.
pub const FLUSH_INTERVAL_S_MAX: f64 = 86_400.0;

/// A kind, as it is found by name.
pub struct Row {
    /// Its name, as jobs spell it.
    pub name: &'static str,
    /// Its arguments in the order in which they may be given without names.
    pub args: &'static [ArgSpec],
    /// Makes one for a job.
    pub make: fn(&Args) -> Result<Arc<dyn Kind>, String>,
}

/// An argument of a kind.
pub struct ArgSpec {
    /// Its name.
    pub name: &'static str,
    /// What it may be.
    pub form: ArgForm,
    /// What it is if it is left out, in JSON.
    pub default: &'static str,
}

/// What an argument may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArgForm {
    /// A number of seconds that is not below zero; zero or null for never.
    Seconds,
    /// A number of things.
    Count,
    /// True or false.
    Flag,
}

/// A board's firmware in the service of one job. Pure.
pub trait Kind: Send + Sync {
    /// The row it was made from.
    fn row(&self) -> &'static Row;
    /// When results are told.
    fn flush(&self) -> FlushRule;
    /// Bytes that a bitstream must have, if it must.
    fn bitstream_bytes(&self) -> Option<usize>;
    /// What a line of the firmware says; none if it is no result.
    fn read(&self, line: &str) -> Option<Value>;
    /// The line that simulated firmware says, made of 64 bits that depend on the bitstream.
    fn simulate(&self, bits: u64) -> String;
}

/// When results that have come are told.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FlushRule {
    /// So long after they were told last, looked at with each result; none for never.
    pub interval_ms: Option<u64>,
    /// When exactly so many bitstreams remain. When none remains they are told in any case.
    pub remaining: usize,
}

impl FlushRule {
    /// Whether results are told now, after one has come.
    pub fn is_due(&self, remaining: usize, since_told_ms: u64) -> bool {
        let late = self.interval_ms.is_some_and(|interval| since_told_ms >= interval);
        remaining == 0 || remaining == self.remaining || late
    }

    /// The rule that two arguments make.
    fn of(args: &Args) -> FlushRule {
        let interval_s = args.number("flush_interval_seconds").min(FLUSH_INTERVAL_S_MAX);
        let interval_ms = (interval_s > 0.0).then_some((interval_s * 1000.0) as u64);
        FlushRule { interval_ms, remaining: args.number("flush_at_bitstreams_remaining") as usize }
    }
}

/// The arguments that all kinds have for it.
const FLUSH_INTERVAL: ArgSpec =
    ArgSpec { name: "flush_interval_seconds", form: ArgForm::Seconds, default: "10" };
/// See above.
const FLUSH_REMAINING: ArgSpec =
    ArgSpec { name: "flush_at_bitstreams_remaining", form: ArgForm::Count, default: "25" };

/// Arguments that were checked; each is there.
#[derive(Debug)]
pub struct Args(Map<String, Value>);

impl Args {
    /// Arguments as a job gives them: by name, or in a list in the declared order, or null for the defaults.
    pub fn check(row: &Row, given: &Value) -> Result<Args, String> {
        let mut given = named(row, given)?;
        let mut args = Map::new();
        for spec in row.args {
            let value = match given.remove(spec.name) {
                Some(value) => value,
                None => serde_json::from_str(spec.default).unwrap_or(Value::Null),
            };
            args.insert(spec.name.to_owned(), checked(spec, value)?);
        }
        match given.keys().next() {
            Some(odd) => Err(format!("kind '{}' has no argument '{odd}'", row.name)),
            None => Ok(Args(args)),
        }
    }

    fn number(&self, name: &str) -> f64 {
        self.0.get(name).and_then(Value::as_f64).unwrap_or(0.0)
    }

    fn flag(&self, name: &str) -> bool {
        self.0.get(name).and_then(Value::as_bool).unwrap_or(false)
    }
}

fn named(row: &Row, given: &Value) -> Result<Map<String, Value>, String> {
    match given {
        Value::Null => Ok(Map::new()),
        Value::Object(map) => Ok(map.clone()),
        Value::Array(list) if list.len() <= row.args.len() => {
            Ok(row.args.iter().zip(list).map(|(spec, value)| (spec.name.to_owned(), value.clone())).collect())
        }
        Value::Array(_) => Err(format!("kind '{}' has {} arguments", row.name, row.args.len())),
        _ => Err(format!("the arguments of kind '{}' are an object or a list", row.name)),
    }
}

fn checked(spec: &ArgSpec, value: Value) -> Result<Value, String> {
    let number = value.as_f64().filter(|number| *number >= 0.0);
    let (good, needed) = match spec.form {
        ArgForm::Seconds => (number.is_some() || value.is_null(), "a number of seconds, or null"),
        // Clients say 25.0 as well, and null for none.
        ArgForm::Count => {
            (number.is_some_and(|number| number.fract() == 0.0) || value.is_null(), "a whole number, or null")
        }
        ArgForm::Flag => (value.is_boolean(), "true or false"),
    };
    good.then_some(value).ok_or_else(|| format!("argument '{}': {needed} is needed", spec.name))
}

/// A kind for a job.
pub fn make(name: &str, args: &Value) -> Result<Arc<dyn Kind>, String> {
    let row = KINDS.iter().find(|row| row.name == name);
    let row = row.ok_or_else(|| format!("this worker has no kind '{name}'; it has {}", names()))?;
    (row.make)(&Args::check(row, args)?)
}

fn names() -> String {
    KINDS.iter().map(|row| row.name).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn refused(name: &str, args: Value) -> String {
        make(name, &args).err().expect("a refusal")
    }

    #[test]
    fn arguments_come_by_name_in_order_or_not_at_all() {
        for args in [
            json!({"flush_interval_seconds": 2, "flush_at_bitstreams_remaining": 3}),
            json!([2, 3]),
            json!([2.0, 3.0]),
        ] {
            let rule = make("pulsecount", &args).expect("a kind").flush();
            assert_eq!(rule, FlushRule { interval_ms: Some(2000), remaining: 3 });
        }
        let rule = make("pulsecount", &Value::Null).expect("a kind").flush();
        assert_eq!(rule, FlushRule { interval_ms: Some(10_000), remaining: 25 });
        let rule = make("variance", &json!([true, null, null])).expect("a kind").flush();
        assert_eq!(rule, FlushRule { interval_ms: None, remaining: 0 });
    }

    #[test]
    fn what_cannot_be_used_is_refused_with_a_reason() {
        assert_eq!(refused("oven", json!({})), "this worker has no kind 'oven'; it has pulsecount, variance");
        assert_eq!(refused("pulsecount", json!({"n": 1})), "kind 'pulsecount' has no argument 'n'");
        assert_eq!(refused("pulsecount", json!([1, 2, 3])), "kind 'pulsecount' has 2 arguments");
        assert_eq!(
            refused("pulsecount", json!("x")),
            "the arguments of kind 'pulsecount' are an object or a list"
        );
        let seconds = "argument 'flush_interval_seconds': a number of seconds, or null is needed";
        assert_eq!(refused("pulsecount", json!([-1])), seconds);
        assert_eq!(refused("pulsecount", json!(["1"])), seconds);
        let count = "argument 'flush_at_bitstreams_remaining': a whole number, or null is needed";
        assert_eq!(refused("pulsecount", json!([1, 1.5])), count);
        assert_eq!(
            refused("variance", json!({"send_waveform": 1})),
            "argument 'send_waveform': true or false is needed"
        );
    }

    #[test]
    fn results_are_told_when_none_or_exactly_so_many_remain_or_it_is_time() {
        let rule = FlushRule { interval_ms: Some(100), remaining: 2 };
        let due: Vec<_> = (0..4).map(|remaining| rule.is_due(remaining, 0)).collect();
        assert_eq!(due, [true, false, true, false]);
        assert!(rule.is_due(3, 100) && !rule.is_due(3, 99));
        assert!(!FlushRule { interval_ms: None, remaining: 0 }.is_due(1, u64::MAX));
    }

    #[test]
    fn what_simulated_firmware_says_is_a_result_that_is_never_zero() {
        for row in KINDS {
            let kind = make(row.name, &Value::Null).expect("defaults");
            for bits in [0, 1, u64::MAX, 0x1234_5678_9abc_def0] {
                let value = kind.read(&kind.simulate(bits)).expect("a result");
                assert_ne!(value, json!(0.0), "{}", row.name);
            }
            assert_eq!(kind.read("Waiting for bitstream transfer"), None);
            assert_eq!(kind.row().name, row.name);
        }
    }
}
