//! How a program is called for an errand, and what its output says.
//!
//! Everything it may want to know stands in its environment, and each value may be put into its arguments by
//! the same word in braces, small. What does not belong to an errand is empty, never missing.
//!
//! | variable | braces | value |
//! |---|---|---|
//! | `BERTH_ACTION` | `{action}` | `prepare`, `power-off`, `clean`, `test`, `identify`, `sensors`, `power-cycle`, `send` |
//! | `BERTH_MACHINE` | `{machine}` | the machine's name |
//! | `BERTH_BOARD` | `{board}` | the board's serial, or where it stands |
//! | `BERTH_BOARD_INDEX` | `{board_index}` | its number in the machine, from 0 |
//! | `BERTH_KIND`, `BERTH_KIND_ARGS` | `{kind}`, `{kind_args}` | `prepare`: as what, and its arguments as JSON |
//! | `BERTH_GRANT`, `BERTH_STEP` | `{grant}`, `{step}` | the numbers of the order; they only grow |
//! | `BERTH_JOB` | `{job}` | the job it is for |
//! | `BERTH_COMMAND`, `BERTH_ARGS` | `{command}`, `{args}` | `send`: the command, and its arguments as JSON; `identify`: `true`, `false` or `null` |
//!
//! What is deliberately not here: running anything.

use super::lineup::Errand;
use crate::allocator::BoardIndex;
use crate::controller::{Boards, CommandSettings, ControllerError, Reading};
use crate::lab::command::Consult;
use crate::lab::effect::Action;
use crate::lab::fact::MachineName;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

/// How many sensors a board may have.
pub const SENSORS_MAX: usize = 1000;

/// What a program finds of the server's own environment. The rest may hold secrets.
pub const ENVIRONMENT_KEPT: [&str; 8] =
    ["PATH", "HOME", "USER", "LOGNAME", "LANG", "TZ", "TMPDIR", "SSH_AUTH_SOCK"];

/// A program, ready to be started.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// The program, if one is named.
    pub program: Option<String>,
    /// Its arguments.
    pub args: Vec<String>,
    /// Where it runs; where the server runs, if not set.
    pub directory: Option<PathBuf>,
    /// Its environment, beside `ENVIRONMENT_KEPT`.
    pub environment: Vec<(String, String)>,
}

/// What sensors read: the value, and its unit.
type Sensors = BTreeMap<Arc<str>, (f64, Arc<str>)>;

/// The word for an errand in `BERTH_ACTION`, and in the log.
pub fn action(errand: &Errand) -> &'static str {
    match errand {
        Errand::Order(order) => match order.action {
            Action::Prepare { .. } => "prepare",
            Action::PowerOff => "power-off",
            Action::Clean => "clean",
            Action::Test => "test",
        },
        Errand::Consult { what, .. } => match what {
            Consult::Identify { .. } => "identify",
            Consult::ReadSensors => "sensors",
            Consult::PowerCycle => "power-cycle",
            Consult::Send { .. } => "send",
        },
    }
}

impl Call {
    /// How the program is called for an errand at a board.
    pub fn new(
        settings: &CommandSettings,
        machine: &MachineName,
        boards: &Boards,
        board: BoardIndex,
        errand: &Errand,
    ) -> Call {
        let values = values(machine, boards, board, errand);
        let mut words = settings.program.iter().map(|word| filled(word, &values));
        let own = settings.environment.iter().map(|(name, value)| (name.clone(), value.clone()));
        let of_errand =
            values.iter().map(|(name, value)| (format!("BERTH_{}", name.to_uppercase()), value.clone()));
        Call {
            program: words.next(),
            args: words.collect(),
            directory: settings.directory.clone(),
            environment: own.chain(of_errand).collect(),
        }
    }
}

/// All that may be said of an errand, by name.
fn values(
    machine: &MachineName,
    boards: &Boards,
    board: BoardIndex,
    errand: &Errand,
) -> [(&'static str, String); 11] {
    let (id, job) = match errand {
        Errand::Order(order) => (order.id, order.job),
        Errand::Consult { order, .. } => (*order, None),
    };
    let (kind, kind_args) = match errand {
        Errand::Order(order) => match &order.action {
            Action::Prepare { kind, args } => (&**kind, &**args),
            _ => ("", ""),
        },
        Errand::Consult { .. } => ("", ""),
    };
    let (command, args) = match errand {
        Errand::Consult { what: Consult::Send { command, args }, .. } => (&**command, args.to_string()),
        Errand::Consult { what: Consult::Identify { on }, .. } => {
            ("", on.map_or("null".to_owned(), |on| on.to_string()))
        }
        _ => ("", String::new()),
    };
    [
        ("action", action(errand).to_owned()),
        ("machine", machine.to_string()),
        ("board", boards.text(board).to_string()),
        ("board_index", board.0.to_string()),
        ("kind", kind.to_owned()),
        ("kind_args", kind_args.to_owned()),
        ("grant", id.grant.0.to_string()),
        ("step", id.step.to_string()),
        ("job", job.map_or(String::new(), |job| job.to_string())),
        ("command", command.to_owned()),
        ("args", args),
    ]
}

/// A word of the settings with its braces filled, in one go: a value that has braces itself stays as it is, and
/// so do braces around any other word.
fn filled(word: &str, values: &[(&'static str, String)]) -> String {
    let mut text = String::new();
    let mut rest = word;
    while let Some(start) = rest.find('{') {
        text.push_str(&rest[..start]);
        rest = &rest[start..];
        let found = values.iter().find_map(|(name, value)| {
            let after = rest[1..].strip_prefix(name)?.strip_prefix('}')?;
            Some((value, after))
        });
        match found {
            Some((value, after)) => {
                text.push_str(value);
                rest = after;
            }
            None => {
                text.push('{');
                rest = &rest[1..];
            }
        }
    }
    text + rest
}

/// What the output of a program that ended well says about what was asked.
pub fn reading(what: &Consult, output: &[u8]) -> Result<Reading, ControllerError> {
    match what {
        Consult::Identify { .. } | Consult::PowerCycle => Ok(Reading::Done),
        Consult::ReadSensors => sensors(output).map(Reading::Sensors).map_err(ControllerError::Failed),
        Consult::Send { .. } => Ok(Reading::Said(said(output))),
    }
}

/// Sensors as `{"name": 21.5}` or `{"name": {"value": 21.5, "unit": "C"}}`.
fn sensors(output: &[u8]) -> Result<Sensors, Arc<str>> {
    let Ok(Value::Object(sensors)) = serde_json::from_slice(output) else {
        return Err("the controller's program did not print its sensors as a JSON object".into());
    };
    if sensors.len() > SENSORS_MAX {
        return Err(format!("the controller's program printed more than {SENSORS_MAX} sensors").into());
    }
    sensors.iter().map(|(name, value)| Ok((name.as_str().into(), sensor(name, value)?))).collect()
}

fn sensor(name: &str, reading: &Value) -> Result<(f64, Arc<str>), Arc<str>> {
    let value = reading.get("value").unwrap_or(reading).as_f64();
    let unit = reading.get("unit").and_then(Value::as_str).unwrap_or_default();
    let value =
        value.ok_or_else(|| format!("the controller's program printed no number for the sensor {name:?}"))?;
    Ok((value, unit.into()))
}

/// What was said, as JSON: as it was printed, if it was printed so, otherwise as a string.
fn said(output: &[u8]) -> Arc<str> {
    match serde_json::from_slice::<Value>(output) {
        Ok(said) => said.to_string().into(),
        Err(_) => Value::from(String::from_utf8_lossy(output).trim_end()).to_string().into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::effect::Order;
    use crate::lab::fact::{Grant, JobId, OrderId};

    const ID: OrderId = OrderId { grant: Grant(12), step: 3 };

    fn call(program: &[&str], errand: &Errand) -> Call {
        let settings = CommandSettings {
            program: program.iter().map(|word| word.to_string()).collect(),
            environment: [("TOOL".to_owned(), "x".to_owned())].into(),
            ..Default::default()
        };
        Call::new(&settings, &"bench".into(), &Boards::named(["a{kind}", "b"]), BoardIndex(0), errand)
    }

    fn prepare() -> Errand {
        let action = Action::Prepare { kind: "burn".into(), args: r#"{"image":"{board}"}"#.into() };
        let boards = [BoardIndex(0)].into();
        Errand::Order(Arc::new(Order {
            id: ID,
            machine: "bench".into(),
            action,
            boards,
            mates: [].into(),
            job: Some(JobId(7)),
        }))
    }

    fn ask(what: Consult) -> Errand {
        Errand::Consult { ticket: 1, order: ID, what }
    }

    fn send(args: &str) -> Consult {
        Consult::Send { command: "go".into(), args: args.into() }
    }

    #[test]
    fn the_environment_says_it_all() {
        let environment: Vec<_> = call(&[], &prepare())
            .environment
            .into_iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let expected = [
            "TOOL=x",
            "BERTH_ACTION=prepare",
            "BERTH_MACHINE=bench",
            "BERTH_BOARD=a{kind}",
            "BERTH_BOARD_INDEX=0",
            "BERTH_KIND=burn",
            r#"BERTH_KIND_ARGS={"image":"{board}"}"#,
            "BERTH_GRANT=12",
            "BERTH_STEP=3",
            "BERTH_JOB=7",
            "BERTH_COMMAND=",
            "BERTH_ARGS=",
        ];
        assert_eq!(environment, expected);
    }

    #[test]
    fn consultations_bring_their_arguments() {
        let args = |errand: &Errand| call(&["{action}", "{command}", "{args}", "{job}"], errand);
        let told = |what| args(&ask(what)).args;
        assert_eq!(told(send("[1]")), ["go", "[1]", ""]);
        assert_eq!(told(Consult::Identify { on: Some(true) }), ["", "true", ""]);
        assert_eq!(told(Consult::Identify { on: None }), ["", "null", ""]);
        let words = [Consult::ReadSensors, Consult::PowerCycle].map(|what| args(&ask(what)).program.unwrap());
        assert_eq!(words, ["sensors", "power-cycle"]);
    }

    #[test]
    fn braces_are_filled_once_and_never_make_two_words() {
        let errand = prepare();
        let filled =
            call(&["/bin/flash", "-b{board}:{kind}", "{kind_args}", "{nothing} {", "{{kind}}"], &errand);
        assert_eq!(filled.program.as_deref(), Some("/bin/flash"));
        assert_eq!(filled.args, ["-ba{kind}:burn", r#"{"image":"{board}"}"#, "{nothing} {", "{burn}"]);
        assert_eq!(call(&[], &errand).program, None);
    }

    #[test]
    fn sensors_come_with_or_without_units() {
        let output = br#" {"top": 21.5, "supply": {"value": 12, "unit": "V"}, "fan": {"value": 0}} "#;
        let Ok(Reading::Sensors(sensors)) = reading(&Consult::ReadSensors, output) else { panic!() };
        let told: Vec<_> =
            sensors.iter().map(|(name, (value, unit))| format!("{name} {value}{unit}")).collect();
        assert_eq!(told, ["fan 0", "supply 12V", "top 21.5"]);
    }

    #[test]
    fn readings_that_make_no_sense_are_failures() {
        let many: String = (0..=SENSORS_MAX).map(|number| format!("\"s{number}\": 1,")).collect();
        let many = format!("{{{}}}", many.trim_end_matches(','));
        let failures = [
            ("", "did not print its sensors as a JSON object"),
            ("[1]", "did not print its sensors as a JSON object"),
            ("{\"a\": 1} {", "did not print its sensors as a JSON object"),
            ("{\"a\": \"hot\"}", "no number for the sensor \"a\""),
            ("{\"a\": {\"unit\": \"C\"}}", "no number for the sensor \"a\""),
            (&many, "more than 1000 sensors"),
        ];
        for (output, why) in failures {
            match reading(&Consult::ReadSensors, output.as_bytes()) {
                Err(ControllerError::Failed(reason)) => assert!(reason.contains(why), "{reason}"),
                other => panic!("{output}: {other:?}"),
            }
        }
    }

    #[test]
    fn what_an_agent_says_is_json_or_becomes_it() {
        let said = |output: &[u8]| match reading(&send("{}"), output) {
            Ok(Reading::Said(said)) => said.to_string(),
            other => panic!("{other:?}"),
        };
        assert_eq!(said(b" {\"a\": [1, null]}\n"), r#"{"a":[1,null]}"#);
        assert_eq!(said(b"all \"well\"\n"), r#""all \"well\"""#);
        assert_eq!(said(b""), r#""""#);
        assert_eq!(said(b"\xff!"), "\"\u{fffd}!\"");
        assert_eq!(reading(&Consult::PowerCycle, b"noise"), Ok(Reading::Done));
    }
}
