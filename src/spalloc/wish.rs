//! What each command comes to: a wish that the door carries out, or the text of what the call raises.
//!
//! Values mean what they mean to Python: job 1.0 and job true are job 1, job "1" is no job and no error, a list cannot
//! be looked up at all. What cannot exist is planned as `Nothing`, which is answered with null.

use super::call::Named;
use super::request;
use super::value::Value;
use crate::lab::fact::{JobId, MachineName};
use crate::lab::job::{JOB_TEXT_BYTES_MAX, JobSpec};
use crate::lab::machine::Physical;
use crate::lab::view::{BoardAddress, Whereabouts};
use std::sync::Arc;

/// What a call wants. Where a job is none, no job can have the id that was given.
#[derive(Clone, Debug, PartialEq)]
pub enum Wish {
    /// The version.
    Version,
    /// Boards.
    Create(Box<JobSpec>),
    /// A sign of life.
    Mention(Option<JobId>),
    /// The state of a job.
    State(Option<JobId>),
    /// The boards of a job.
    MachineInfo(Option<JobId>),
    /// A job's boards on or off.
    Power {
        /// Which.
        job: Option<JobId>,
        /// On or off.
        on: bool,
    },
    /// The end of a job.
    Destroy {
        /// Which.
        job: Option<JobId>,
        /// Why.
        reason: Option<Arc<str>>,
    },
    /// To hear of changes, or not any more.
    Watch {
        /// Of what.
        what: Watched,
        /// Whether it begins.
        on: bool,
    },
    /// All live jobs.
    ListJobs,
    /// All machines.
    ListMachines,
    /// Where a board stands.
    Position(BoardAddress),
    /// Which board stands there.
    AtPosition(BoardAddress),
    /// Where something is.
    WhereIs(Whereabouts),
    /// Null.
    Nothing,
    /// What is raised if something exists, and null otherwise: Python would stumble only after it was found.
    RaiseIf(Anchor, String),
}

/// What can be watched; none means all.
#[derive(Clone, Debug, PartialEq)]
pub enum Watched {
    /// Jobs.
    Job(Option<JobId>),
    /// Machines.
    Machine(Option<MachineName>),
}

/// The longest name a machine can have, in bytes. What is longer is not remembered for whoever watches it.
const MACHINE_NAME_BYTES_MAX: usize = 64;

/// What must exist before anything else is looked at.
#[derive(Clone, Debug, PartialEq)]
pub enum Anchor {
    /// A machine.
    Machine(MachineName),
    /// A job that has boards.
    Job(JobId),
}

/// Python's complaint of a value that cannot be looked up.
pub(super) fn unhashable(value: &Value) -> String {
    format!("unhashable type: '{}'", value.type_name())
}

/// The job of this id; none when no job can have it.
fn job(value: &Value) -> Result<Option<JobId>, String> {
    match value.is_hashable() {
        true => Ok(value.whole().and_then(|id| u64::try_from(id).ok()).filter(|id| *id > 0).map(JobId)),
        false => Err(unhashable(value)),
    }
}

/// The machine of this name; none when no machine can have it.
fn machine(value: &Value) -> Result<Option<MachineName>, String> {
    match value {
        Value::Text(name) => Ok(Some(name.as_str().into())),
        value if value.is_hashable() => Ok(None),
        value => Err(unhashable(value)),
    }
}

/// The first argument of a command that has one.
fn first(values: &[Value]) -> &Value {
    values.first().unwrap_or(&Value::Null)
}

pub(super) fn create_job(args: Vec<Value>, kwargs: Named) -> Result<Wish, String> {
    request::read(&args, kwargs).map(|spec| Wish::Create(Box::new(spec)))
}

pub(super) fn job_keepalive(values: &[Value]) -> Result<Wish, String> {
    job(first(values)).map(Wish::Mention)
}

pub(super) fn job_state(values: &[Value]) -> Result<Wish, String> {
    job(first(values)).map(Wish::State)
}

pub(super) fn job_machine_info(values: &[Value]) -> Result<Wish, String> {
    job(first(values)).map(Wish::MachineInfo)
}

pub(super) fn power(values: &[Value], on: bool) -> Result<Wish, String> {
    Ok(Wish::Power { job: job(first(values))?, on })
}

pub(super) fn destroy_job(values: &[Value]) -> Result<Wish, String> {
    let reason = match values.get(1) {
        None | Some(Value::Null) => None,
        Some(reason) => Some(shortened(reason.to_text()).into()),
    };
    Ok(Wish::Destroy { job: job(first(values))?, reason })
}

/// A reason as far as it can be kept: a job must not live on because of a long one.
fn shortened(mut text: String) -> String {
    let end = (0..=JOB_TEXT_BYTES_MAX.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    text.truncate(end.unwrap_or(0));
    text
}

/// What is not null and no job's id can be watched, and never changes.
pub(super) fn watch_job(values: &[Value], on: bool) -> Result<Wish, String> {
    let what = match first(values) {
        Value::Null => Some(None),
        id => job(id)?.map(Some),
    };
    Ok(what.map_or(Wish::Nothing, |what| Wish::Watch { what: Watched::Job(what), on }))
}

pub(super) fn watch_machine(values: &[Value], on: bool) -> Result<Wish, String> {
    let what = match first(values) {
        Value::Null => Some(None),
        name => machine(name)?.filter(|name| name.len() <= MACHINE_NAME_BYTES_MAX).map(Some),
    };
    Ok(what.map_or(Wish::Nothing, |what| Wish::Watch { what: Watched::Machine(what), on }))
}

/// A machine and three numbers, looked up as one key: none where nothing can stand.
fn key(name: &Value, numbers: [&Value; 3]) -> Result<Result<(MachineName, [u32; 3]), Wish>, String> {
    let Some(name) = machine(name)? else { return Ok(Err(Wish::Nothing)) };
    if let Some(number) = numbers.iter().find(|number| !number.is_hashable()) {
        return Ok(Err(Wish::RaiseIf(Anchor::Machine(name), unhashable(number))));
    }
    let mut key = [0; 3];
    for (number, value) in key.iter_mut().zip(numbers) {
        match value.whole().and_then(|whole| u32::try_from(whole).ok()) {
            Some(whole) => *number = whole,
            None => return Ok(Err(Wish::Nothing)),
        }
    }
    Ok(Ok((name, key)))
}

pub(super) fn board_position(values: &[Value]) -> Result<Wish, String> {
    let [name, x, y, z] = values else { return Ok(Wish::Nothing) };
    Ok(match key(name, [x, y, z])? {
        Ok((machine, [x, y, z])) => Wish::Position(BoardAddress::Triad { machine, x, y, z }),
        Err(other) => other,
    })
}

pub(super) fn board_at_position(values: &[Value]) -> Result<Wish, String> {
    let [name, cabinet, frame, board] = values else { return Ok(Wish::Nothing) };
    Ok(match key(name, [cabinet, frame, board])? {
        Ok((machine, [cabinet, frame, board])) => {
            Wish::AtPosition(BoardAddress::Place { machine, place: Physical { cabinet, frame, board } })
        }
        Err(other) => other,
    })
}

/// Places beyond this are nowhere; up to it they are wrapped around.
const FAR: u64 = 1 << 40;

/// A place that may lie beyond the edge; none when it lies too far beyond.
fn place(value: &Value) -> Result<Option<i64>, String> {
    match value {
        Value::Bool(_) | Value::Int(_) => Ok(value.whole().filter(|place| place.unsigned_abs() <= FAR)),
        Value::Big(_) => Ok(None),
        Value::Float(_) => Err("list indices must be integers or slices, not float".to_owned()),
        Value::Text(_) => Err("not all arguments converted during string formatting".to_owned()),
        other => Err(format!("unsupported operand type(s) for %: '{}' and 'int'", other.type_name())),
    }
}

/// Two places, or what comes of them where `anchor` exists.
fn two_places(x: &Value, y: &Value, anchor: Anchor) -> Result<(i64, i64), Wish> {
    match (place(x), place(y)) {
        (Ok(Some(x)), Ok(Some(y))) => Ok((x, y)),
        (Err(text), _) | (_, Err(text)) => Err(Wish::RaiseIf(anchor, text)),
        _ => Err(Wish::Nothing),
    }
}

pub(super) fn where_is(kwargs: Named) -> Result<Wish, String> {
    let values = |names: &[&str]| -> Option<Vec<&Value>> {
        let found =
            names.iter().map(|name| kwargs.iter().find(|(given, _)| given == name).map(|(_, value)| value));
        found.collect::<Option<Vec<_>>>().filter(|found| found.len() == kwargs.len())
    };
    if let Some([name, x, y, z]) = values(&["machine", "x", "y", "z"]).as_deref() {
        let Some(machine) = machine(name)? else { return Ok(Wish::Nothing) };
        let z = z.whole().unwrap_or(0);
        return Ok(match two_places(x, y, Anchor::Machine(machine.clone())) {
            Ok((x, y)) => Wish::WhereIs(Whereabouts::Logical { machine, x, y, z }),
            Err(other) => other,
        });
    }
    if let Some([name, cabinet, frame, board]) = values(&["machine", "cabinet", "frame", "board"]).as_deref()
    {
        return Ok(match key(name, [cabinet, frame, board])? {
            Ok((machine, [cabinet, frame, board])) => {
                Wish::WhereIs(Whereabouts::Physical { machine, place: Physical { cabinet, frame, board } })
            }
            Err(other) => other,
        });
    }
    if let Some([name, x, y]) = values(&["machine", "chip_x", "chip_y"]).as_deref() {
        let Some(machine) = machine(name)? else { return Ok(Wish::Nothing) };
        return Ok(match two_places(x, y, Anchor::Machine(machine.clone())) {
            Ok((x, y)) => Wish::WhereIs(Whereabouts::Chip { machine, x, y }),
            Err(other) => other,
        });
    }
    if let Some([id, x, y]) = values(&["job_id", "chip_x", "chip_y"]).as_deref() {
        let Some(job) = job(id)? else { return Ok(Wish::Nothing) };
        return Ok(match two_places(x, y, Anchor::Job(job)) {
            Ok((x, y)) => Wish::WhereIs(Whereabouts::JobChip { job, x, y }),
            Err(other) => other,
        });
    }
    let names: Vec<_> = kwargs.iter().map(|(name, _)| name.as_str()).collect();
    Err(format!("Invalid arguments: {}", names.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spalloc::value::parse;

    fn where_is_of(kwargs: &str) -> Result<Wish, String> {
        match parse(kwargs) {
            Some(Value::Object(kwargs)) => where_is(kwargs),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_place_is_asked_for_in_four_ways_and_no_other() {
        let m = || MachineName::from("m");
        for (kwargs, wish) in [
            (
                r#"{"machine": "m", "x": -1, "y": true, "z": 9}"#,
                Wish::WhereIs(Whereabouts::Logical { machine: m(), x: -1, y: 1, z: 9 }),
            ),
            (
                r#"{"board": 2.0, "frame": 1, "cabinet": 0, "machine": "m"}"#,
                Wish::WhereIs(Whereabouts::Physical {
                    machine: m(),
                    place: Physical { cabinet: 0, frame: 1, board: 2 },
                }),
            ),
            (
                r#"{"machine": "m", "chip_x": 1, "chip_y": 2}"#,
                Wish::WhereIs(Whereabouts::Chip { machine: m(), x: 1, y: 2 }),
            ),
            (
                r#"{"job_id": 1.0, "chip_x": 1, "chip_y": 2}"#,
                Wish::WhereIs(Whereabouts::JobChip { job: JobId(1), x: 1, y: 2 }),
            ),
            (r#"{"machine": null, "chip_x": 1.5, "chip_y": 2}"#, Wish::Nothing),
            (r#"{"job_id": "1", "chip_x": 1, "chip_y": 2}"#, Wish::Nothing),
            (r#"{"machine": "m", "cabinet": -1, "frame": 0, "board": 0}"#, Wish::Nothing),
            (r#"{"machine": "m", "x": 99999999999999, "y": 0, "z": 0}"#, Wish::Nothing),
            (r#"{"machine": "m", "x": -9223372036854775808, "y": 0, "z": 0}"#, Wish::Nothing),
            (
                r#"{"machine": "m", "chip_x": 1.5, "chip_y": 2}"#,
                Wish::RaiseIf(
                    Anchor::Machine(m()),
                    "list indices must be integers or slices, not float".to_owned(),
                ),
            ),
            (
                r#"{"job_id": 3, "chip_x": null, "chip_y": 2}"#,
                Wish::RaiseIf(
                    Anchor::Job(JobId(3)),
                    "unsupported operand type(s) for %: 'NoneType' and 'int'".to_owned(),
                ),
            ),
        ] {
            assert_eq!(where_is_of(kwargs), Ok(wish), "{kwargs}");
        }
        for (kwargs, text) in [
            ("{}", "Invalid arguments: "),
            (r#"{"machine": "m", "x": 1}"#, "Invalid arguments: machine, x"),
            (
                r#"{"machine": "m", "chip_x": 1, "chip_y": 0, "job_id": null}"#,
                "Invalid arguments: machine, chip_x, chip_y, job_id",
            ),
            (r#"{"machine": [], "chip_x": 1, "chip_y": 0}"#, "unhashable type: 'list'"),
        ] {
            assert_eq!(where_is_of(kwargs), Err(text.to_owned()), "{kwargs}");
        }
    }

    #[test]
    fn a_long_reason_is_cut_between_characters() {
        assert_eq!(shortened("x".repeat(JOB_TEXT_BYTES_MAX)).len(), JOB_TEXT_BYTES_MAX);
        assert_eq!(
            shortened(format!("x{}", "\u{e9}".repeat(JOB_TEXT_BYTES_MAX))).len(),
            JOB_TEXT_BYTES_MAX - 1
        );
        assert_eq!(shortened(String::new()), "");
    }

    #[test]
    fn a_name_that_no_machine_can_have_is_not_watched() {
        let watched = |length: usize| watch_machine(&[Value::Text("m".repeat(length))], true);
        assert!(matches!(watched(MACHINE_NAME_BYTES_MAX), Ok(Wish::Watch { .. })));
        assert_eq!(watched(MACHINE_NAME_BYTES_MAX + 1), Ok(Wish::Nothing));
    }

    #[test]
    fn what_no_job_can_be_called_is_no_job() {
        let job_of = |text: &str| job(&parse(text).unwrap());
        for (id, found) in [
            ("1", Some(1)),
            ("true", Some(1)),
            ("2.0", Some(2)),
            ("0", None),
            ("-1", None),
            ("1.5", None),
            ("\"1\"", None),
        ] {
            assert_eq!(job_of(id), Ok(found.map(JobId)), "{id}");
        }
        assert_eq!(job_of("{}"), Err("unhashable type: 'dict'".to_owned()));
        assert_eq!(watch_job(&[Value::Text("x".to_owned())], true), Ok(Wish::Nothing));
        assert_eq!(watch_job(&[Value::Null], true), Ok(Wish::Watch { what: Watched::Job(None), on: true }));
    }
}
