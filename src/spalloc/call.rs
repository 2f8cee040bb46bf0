//! One line: whether it is a call, of which command, and its arguments bound to the command's own names.
//!
//! Commands are functions of Python in the reference, so arguments are taken by place or by name, and whatever does not
//! fit raises what Python raises. What is no call at all ends the connection.

use super::value::{Value, parse, repr};
use super::wish::{self, Wish};

/// What a line was.
#[derive(Clone, Debug, PartialEq)]
pub enum Said {
    /// Nothing; nothing is answered.
    Blank,
    /// No call: the connection ends.
    Nonsense,
    /// A call that can be carried out, or the text of what it raises.
    Call(Result<Wish, String>),
}

/// Arguments by name, in the order of the call.
pub type Named = Vec<(String, Value)>;

/// A command and how it is called.
pub struct Command {
    /// Its name.
    pub name: &'static str,
    /// What follows its name.
    pub arguments: Arguments,
}

/// What a command takes, and what is made of it.
pub enum Arguments {
    /// Named places, of which the last few may be left out, which is null.
    Places {
        /// Their names.
        names: &'static [&'static str],
        /// How many must be given.
        needed: usize,
        /// What is made of them: as many values as there are names.
        plan: fn(&[Value]) -> Result<Wish, String>,
    },
    /// Names alone.
    Names(fn(Named) -> Result<Wish, String>),
    /// Whatever comes.
    Any(fn(Vec<Value>, Named) -> Result<Wish, String>),
}

/// The names of what Python passes before all others.
const HIDDEN: [&str; 2] = ["self", "_client"];

/// A name that the reference drops from each call.
const DROPPED: &str = "client";

/// Every command.
pub const COMMANDS: &[Command] = &[
    places("version", &[], 0, |_| Ok(Wish::Version)),
    Command { name: "create_job", arguments: Arguments::Any(wish::create_job) },
    places("job_keepalive", JOB, 1, wish::job_keepalive),
    places("get_job_state", JOB, 1, wish::job_state),
    places("get_job_machine_info", JOB, 1, wish::job_machine_info),
    places("power_on_job_boards", JOB, 1, |values| wish::power(values, true)),
    places("power_off_job_boards", JOB, 1, |values| wish::power(values, false)),
    places("destroy_job", &["job_id", "reason"], 1, wish::destroy_job),
    places("notify_job", JOB, 0, |values| wish::watch_job(values, true)),
    places("no_notify_job", JOB, 0, |values| wish::watch_job(values, false)),
    places("notify_machine", MACHINE, 0, |values| wish::watch_machine(values, true)),
    places("no_notify_machine", MACHINE, 0, |values| wish::watch_machine(values, false)),
    places("list_jobs", &[], 0, |_| Ok(Wish::ListJobs)),
    places("list_machines", &[], 0, |_| Ok(Wish::ListMachines)),
    places("get_board_position", BOARD, 4, wish::board_position),
    places("get_board_at_position", BOARD, 4, wish::board_at_position),
    Command { name: "where_is", arguments: Arguments::Names(wish::where_is) },
];

/// A job.
const JOB: &[&str] = &["job_id"];
/// A machine.
const MACHINE: &[&str] = &["machine_name"];
/// A board, by its place in the torus or, under the same names, by where it stands.
const BOARD: &[&str] = &["machine_name", "x", "y", "z"];

const fn places(
    name: &'static str,
    names: &'static [&'static str],
    needed: usize,
    plan: fn(&[Value]) -> Result<Wish, String>,
) -> Command {
    Command { name, arguments: Arguments::Places { names, needed, plan } }
}

/// What a line was, without its end.
pub fn read(line: &[u8]) -> Said {
    if line.is_empty() {
        return Said::Blank;
    }
    match called(line) {
        Some((command, args, kwargs)) => Said::Call(plan(command, args, kwargs)),
        None => Said::Nonsense,
    }
}

/// The command of a line and its arguments.
fn called(line: &[u8]) -> Option<(&'static Command, Vec<Value>, Named)> {
    let Value::Object(mut entries) = parse(std::str::from_utf8(line).ok()?)? else { return None };
    let mut take = |key: &str| {
        let at = entries.iter().position(|(name, _)| name == key)?;
        Some(entries.swap_remove(at).1)
    };
    let Value::Text(name) = take("command")? else { return None };
    let command = COMMANDS.iter().find(|command| command.name == name)?;
    let args = match take("args") {
        None => Vec::new(),
        Some(Value::List(args)) => args,
        Some(_) => return None,
    };
    let mut kwargs = match take("kwargs") {
        None => Vec::new(),
        Some(Value::Object(kwargs)) => kwargs,
        Some(_) => return None,
    };
    kwargs.retain(|(name, _)| name != DROPPED);
    Some((command, args, kwargs))
}

fn plan(command: &Command, args: Vec<Value>, kwargs: Named) -> Result<Wish, String> {
    match &command.arguments {
        Arguments::Places { names, needed, plan } => plan(&bind(command.name, names, *needed, args, kwargs)?),
        Arguments::Names(plan) => {
            refuse_hidden(command.name, &kwargs)?;
            match args.len() {
                0 => plan(kwargs),
                more => Err(too_many(command.name, 0, 0, more)),
            }
        }
        Arguments::Any(plan) => {
            refuse_hidden(command.name, &kwargs)?;
            plan(args, kwargs)
        }
    }
}

/// Arguments in their places. The order of the complaints is Python's.
fn bind(
    command: &str,
    names: &[&str],
    needed: usize,
    args: Vec<Value>,
    kwargs: Named,
) -> Result<Vec<Value>, String> {
    let given = args.len();
    let mut places: Vec<Option<Value>> = args.into_iter().map(Some).take(names.len()).collect();
    places.resize(names.len(), None);
    refuse_hidden(command, &kwargs)?;
    for (name, value) in kwargs {
        let Some(at) = names.iter().position(|known| *known == name) else {
            return Err(format!("{} got an unexpected keyword argument {}", function(command), repr(&name)));
        };
        match places.get_mut(at) {
            Some(place @ None) => *place = Some(value),
            _ => return Err(twice(command, &name)),
        }
    }
    if given > names.len() {
        return Err(too_many(command, needed, names.len(), given));
    }
    let missing: Vec<_> = names
        .iter()
        .zip(&places)
        .take(needed)
        .filter(|(_, place)| place.is_none())
        .map(|(name, _)| *name)
        .collect();
    match missing.is_empty() {
        true => Ok(places.into_iter().map(|place| place.unwrap_or(Value::Null)).collect()),
        false => Err(lacks(command, &missing)),
    }
}

/// How Python calls a command.
fn function(command: &str) -> String {
    format!("SpallocServer.{command}()")
}

fn refuse_hidden(command: &str, kwargs: &Named) -> Result<(), String> {
    match kwargs.iter().find(|(name, _)| HIDDEN.contains(&name.as_str())) {
        Some((name, _)) => Err(twice(command, name)),
        None => Ok(()),
    }
}

fn twice(command: &str, name: &str) -> String {
    format!("{} got multiple values for argument {}", function(command), repr(name))
}

fn too_many(command: &str, least: usize, most: usize, given: usize) -> String {
    let hidden = HIDDEN.len();
    let takes = match least == most {
        true => format!("{}", most + hidden),
        false => format!("from {} to {}", least + hidden, most + hidden),
    };
    format!("{} takes {takes} positional arguments but {} were given", function(command), given + hidden)
}

fn lacks(command: &str, missing: &[&str]) -> String {
    let quoted: Vec<_> = missing.iter().map(|name| repr(name)).collect();
    let listed = match quoted.as_slice() {
        [one] => one.clone(),
        [one, other] => format!("{one} and {other}"),
        [first @ .., last] => format!("{}, and {last}", first.join(", ")),
        [] => String::new(),
    };
    let plural = if missing.len() == 1 { "" } else { "s" };
    format!("{} missing {} required positional argument{plural}: {listed}", function(command), missing.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::fact::JobId;
    use proptest::prelude::*;

    fn call(text: &str) -> Result<Wish, String> {
        match read(text.as_bytes()) {
            Said::Call(call) => call,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn what_is_no_call_is_told_from_one() {
        assert_eq!(read(b""), Said::Blank);
        for nonsense in [
            "\r",
            "5",
            "[]",
            "null",
            "{}",
            "{\"command\":5}",
            "{\"command\":\"_run\"}",
            "{\"command\":\"Version\"}",
            "{\"command\":\"version\",\"args\":null}",
            "{\"command\":\"version\",\"kwargs\":[]}",
            "{\"command\":\"version\"} x",
        ] {
            assert_eq!(read(nonsense.as_bytes()), Said::Nonsense, "{nonsense}");
        }
        assert_eq!(read(b"{\"command\":\"version\xff\"}"), Said::Nonsense);
        assert_eq!(call(" {\"id\":7,\"command\":\"x\",\"command\":\"version\"}\r"), Ok(Wish::Version));
        assert_eq!(call(r#"{"command":"version","kwargs":{"client":1}}"#), Ok(Wish::Version));
    }

    #[test]
    fn arguments_are_bound_by_place_and_by_name() {
        let job = Some(JobId(1));
        let state = Ok(Wish::State(job));
        assert_eq!(call(r#"{"command":"get_job_state","args":[1]}"#), state);
        assert_eq!(call(r#"{"command":"get_job_state","kwargs":{"job_id":1.0}}"#), state);
        assert_eq!(call(r#"{"command":"get_job_state","args":[true]}"#), state);
        for (line, text) in [
            (
                r#"{"command":"version","args":[1]}"#,
                "SpallocServer.version() takes 2 positional arguments but 3 were given",
            ),
            (
                r#"{"command":"notify_job","args":[1,2]}"#,
                "SpallocServer.notify_job() takes from 2 to 3 positional arguments but 4 were given",
            ),
            (
                r#"{"command":"destroy_job","args":[1,2,3]}"#,
                "SpallocServer.destroy_job() takes from 3 to 4 positional arguments but 5 were given",
            ),
            (
                r#"{"command":"get_board_position","kwargs":{"x":1}}"#,
                "SpallocServer.get_board_position() missing 3 required positional arguments: 'machine_name', 'y', and 'z'",
            ),
            (
                r#"{"command":"get_board_position","args":["m",1]}"#,
                "SpallocServer.get_board_position() missing 2 required positional arguments: 'y' and 'z'",
            ),
            (
                r#"{"command":"get_job_state","args":[1],"kwargs":{"job_id":1}}"#,
                "SpallocServer.get_job_state() got multiple values for argument 'job_id'",
            ),
            (
                r#"{"command":"where_is","kwargs":{"_client":1}}"#,
                "SpallocServer.where_is() got multiple values for argument '_client'",
            ),
        ] {
            assert_eq!(call(line), Err(text.to_owned()), "{line}");
        }
    }

    /// JSON that is nearly a call.
    fn nearly_calls() -> impl Strategy<Value = String> {
        let leaf = prop_oneof![
            Just("null".to_owned()),
            Just("true".to_owned()),
            Just("NaN".to_owned()),
            Just("-Infinity".to_owned()),
            any::<i64>().prop_map(|n| n.to_string()),
            (-5i64..10).prop_map(|n| n.to_string()),
            any::<f64>().prop_filter("JSON", |n| n.is_finite()).prop_map(|n| format!("{n:e}")),
            "[ -~]{0,8}".prop_map(|text| format!("{text:?}")),
            Just("123456789012345678901234567890".to_owned()),
        ];
        let value = leaf.prop_recursive(2, 8, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(|items| format!("[{}]", items.join(","))),
                inner.prop_map(|item| format!("{{\"a\":{item}}}")),
            ]
        });
        let names = prop::sample::select(vec![
            "owner",
            "keepalive",
            "machine",
            "tags",
            "min_ratio",
            "max_dead_boards",
            "max_dead_links",
            "require_torus",
            "job_id",
            "reason",
            "machine_name",
            "x",
            "y",
            "z",
            "chip_x",
            "chip_y",
            "cabinet",
            "frame",
            "board",
            "bogus",
        ]);
        let kwargs = prop::collection::vec((names, value.clone()), 0..6);
        let command = prop::sample::select(COMMANDS.iter().map(|command| command.name).collect::<Vec<_>>());
        (command, prop::collection::vec(value, 0..5), kwargs).prop_map(|(command, args, kwargs)| {
            let kwargs: Vec<_> = kwargs.iter().map(|(name, value)| format!("{name:?}:{value}")).collect();
            format!(
                r#"{{"command":"{command}","args":[{}],"kwargs":{{{}}}}}"#,
                args.join(","),
                kwargs.join(",")
            )
        })
    }

    proptest! {
        #[test]
        fn no_line_makes_it_panic(line in prop::collection::vec(any::<u8>(), 0..200)) {
            read(&line);
        }

        #[test]
        fn every_near_call_is_planned_or_raises(line in nearly_calls()) {
            prop_assert!(matches!(read(line.as_bytes()), Said::Call(_)), "{line}");
        }
    }
}
