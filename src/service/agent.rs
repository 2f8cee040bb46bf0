//! The service `agent`: workers come with boards of a pool, are told what the boards are to do, and say what came of it.
//!
//! Registering is asking for pushes: what a worker is told comes as events on the connection that registered it, and only
//! that connection speaks for it (`protocol-spec/agents.md`). Who is there, and what follows, is the server's affair.

use super::arguments::NAME_BYTES_MAX;
use super::plan::{AgentUse, AgentWord, Asker, Plan, WorkerBoard, WorkerRegistration, WorkerView};
use super::{Arg, ArgType, Arguments, Function, Outcome, shape};
use crate::error::{Code, Fault};
use crate::lab::fact::{Grant, OrderId};
use crate::lab::job::JOB_TEXT_BYTES_MAX;
use crate::lab::machine::is_serial;
use crate::user::Role;
use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};
use std::collections::BTreeMap;
use std::sync::Arc;

/// So many boards one call may name.
pub const BOARDS_NAMED_MAX: usize = 1_000;

/// The longest list of boards, and the longest answer to a question, in bytes of JSON.
const JSON_BYTES_MAX: usize = 1 << 18;

/// The longest version, model or address.
const WORDS_BYTES_MAX: usize = 256;

/// The stay that speaks.
const STAY: Arg = Arg::needed(
    "stay",
    ArgType::Int(0, 1 << 53),
    "Who speaks: the number register_worker gave, on this connection.",
);

/// Boards of the worker that speaks.
const SERIALS: Arg =
    Arg::needed("boards", ArgType::Names(BOARDS_NAMED_MAX), "Serials. Those of others are passed over.");

/// New boards.
const OFFERED_DOC: &str = "A list of {\"serial\", \"model\", \"holds\"}: the serial of each board; what it is, in \
     words (may be left out); the last order that the worker carried out for it and stands by, as \"grant.step\" \
     (may be left out).";

/// Why, in the worker's words.
const REASON: Arg = Arg::needed("reason", ArgType::Text(JOB_TEXT_BYTES_MAX), "Why, as holders are told.");

/// How a word of a worker can fail.
const WORD_ERRORS: &[Code] = &[Code::BAD_ARGUMENT, Code::STAY_UNKNOWN];

/// The same for words that the lab must hear.
const NEWS_ERRORS: &[Code] =
    &[Code::BAD_ARGUMENT, Code::STAY_UNKNOWN, Code::TEXT_TOO_LONG, Code::AGENTS_BUSY];

/// The functions of this service.
pub static FUNCTIONS: &[Function] = &[
    Function {
        name: "register_worker",
        service: "agent",
        doc: "A worker comes, or comes back, with boards of a pool whose controller is \"agent\". Its boards join the pool \
             and are tested before they are lent. What they are to do comes to this connection as events: \
             {\"worker_tasks\": [...]}. A worker that says nothing for timeout_s loses its boards; one that hangs up has \
             as long to come back. One of the same name takes the place of the one before.",
        args: &[
            Arg::needed("machine", ArgType::Name(NAME_BYTES_MAX), "The pool."),
            Arg::needed(
                "worker",
                ArgType::Name(64),
                "The worker's name, of letters, digits, '.', '_' and '-'.",
            ),
            Arg::needed("token", ArgType::Secret, "The token of the pool, which its configuration sets."),
            Arg::needed("version", ArgType::Text(WORDS_BYTES_MAX), "The version of the worker, for people."),
            Arg::with("url", ArgType::Text(WORDS_BYTES_MAX), "null", "Where holders of its boards reach it."),
            Arg::with("boards", ArgType::Json(JSON_BYTES_MAX), "[]", OFFERED_DOC),
            Arg::with("draining", ArgType::Bool, "false", "It wants no new work."),
        ],
        result: "{stay:int, timeout_s:num}",
        role: Role::Guest,
        errors: &[
            Code::BAD_ARGUMENT,
            Code::MACHINE_UNKNOWN,
            Code::NO_AGENTS,
            Code::WRONG_TOKEN,
            Code::BOARD_TAKEN,
            Code::LOGIN_DELAYED,
            Code::TEXT_TOO_LONG,
            Code::TOO_MANY_AGENTS,
            Code::TOO_MANY_AGENT_BOARDS,
            Code::AGENTS_BUSY,
        ],
        example: r#"{"machine": "usb", "worker": "host-7", "token": "0123456789abcdef", "version": "1", "boards": []}"#,
        plan: plan_register,
        answer: |outcome, _, out| match outcome {
            Outcome::Stay { stay, timeout_ms } => {
                shape::write(out, &Registered { stay: *stay, timeout_s: shape::seconds(*timeout_ms) })
            }
            _ => Err(shape::unexpected()),
        },
        null_for: &[],
    },
    Function {
        name: "worker_heartbeat",
        service: "agent",
        doc: "A sign of life of a worker. Every other call that names its stay is one too; three in timeout_s are enough.",
        args: &[STAY],
        result: "null",
        role: Role::Guest,
        errors: WORD_ERRORS,
        example: r#"{"stay": 1}"#,
        plan: |args, _| speak(args, AgentWord::Beat),
        answer: shape::null,
        null_for: &[],
    },
    Function {
        name: "answer_order",
        service: "agent",
        doc: "What came of an order, for some of its boards or for all. Boards that are not the worker's, or that were \
             given a newer order since, are passed over.",
        args: &[
            STAY,
            Arg::needed("order", ArgType::Name(64), "The order, as \"grant.step\"."),
            Arg::with("obeyed", ArgType::Names(BOARDS_NAMED_MAX), "[]", "Boards that did it."),
            Arg::with(
                "failed",
                ArgType::Json(JSON_BYTES_MAX),
                "{}",
                "Boards that did not, each with the reason: {serial: reason}.",
            ),
        ],
        result: "null",
        role: Role::Guest,
        errors: &[Code::BAD_ARGUMENT, Code::STAY_UNKNOWN, Code::TEXT_TOO_LONG],
        example: r#"{"stay": 1, "order": "12.0", "obeyed": ["A7F2"], "failed": {"A7F3": "no answer"}}"#,
        plan: plan_answer_order,
        answer: shape::null,
        null_for: &[],
    },
    Function {
        name: "answer_question",
        service: "agent",
        doc: "What a board says to a question that a worker was told. One that was put to somebody else, or is over, is \
             passed over.",
        args: &[
            STAY,
            Arg::needed("question", ArgType::Int(0, 1 << 53), "The question, by its number."),
            Arg::with(
                "answer",
                ArgType::Json(JSON_BYTES_MAX),
                "null",
                "What is said to \"send\"; null says that it is done.",
            ),
            Arg::with(
                "sensors",
                ArgType::Json(JSON_BYTES_MAX),
                "null",
                "What is said to \"read_sensors\": {name: [value, unit]}.",
            ),
            Arg::with("error", ArgType::Text(JOB_TEXT_BYTES_MAX), "null", "Why it was not done."),
        ],
        result: "null",
        role: Role::Guest,
        errors: &[Code::BAD_ARGUMENT, Code::STAY_UNKNOWN, Code::TEXT_TOO_LONG],
        example: r#"{"stay": 1, "question": 3, "answer": {"level": 7}}"#,
        plan: plan_answer_question,
        answer: shape::null,
        null_for: &[],
    },
    Function {
        name: "add_worker_boards",
        service: "agent",
        doc: "More boards were plugged in. They join the pool and are tested before they are lent.",
        args: &[STAY, Arg::needed("boards", ArgType::Json(JSON_BYTES_MAX), OFFERED_DOC)],
        result: "null",
        role: Role::Guest,
        errors: &[
            Code::BAD_ARGUMENT,
            Code::STAY_UNKNOWN,
            Code::BOARD_TAKEN,
            Code::TEXT_TOO_LONG,
            Code::TOO_MANY_AGENT_BOARDS,
            Code::AGENTS_BUSY,
        ],
        example: r#"{"stay": 1, "boards": [{"serial": "A7F3"}]}"#,
        plan: |args, _| {
            let boards = offered(args)?;
            speak(args, AgentWord::Add(boards))
        },
        answer: shape::null,
        null_for: &[],
    },
    Function {
        name: "remove_worker_boards",
        service: "agent",
        doc: "Boards were unplugged: jobs that hold one end or get others, and the boards are offline.",
        args: &[STAY, SERIALS, REASON],
        result: "null",
        role: Role::Guest,
        errors: NEWS_ERRORS,
        example: r#"{"stay": 1, "boards": ["A7F3"], "reason": "unplugged"}"#,
        plan: |args, _| {
            let (boards, reason) = (args.need("boards", Arguments::names)?, reason(args)?);
            speak(args, AgentWord::Remove(boards, reason))
        },
        answer: shape::null,
        null_for: &[],
    },
    Function {
        name: "break_worker_boards",
        service: "agent",
        doc: "Boards are broken: jobs that hold one end or get others, and the boards are quarantined until they pass a test.",
        args: &[STAY, SERIALS, REASON],
        result: "null",
        role: Role::Guest,
        errors: NEWS_ERRORS,
        example: r#"{"stay": 1, "boards": ["A7F3"], "reason": "no serial port"}"#,
        plan: |args, _| {
            let (boards, reason) = (args.need("boards", Arguments::names)?, reason(args)?);
            speak(args, AgentWord::Break(boards, reason))
        },
        answer: shape::null,
        null_for: &[],
    },
    Function {
        name: "drain_worker",
        service: "agent",
        doc: "A worker wants no new work: boards that nobody has go into maintenance, others when they come back. Or it \
             wants work again: then they are tested before they are lent.",
        args: &[STAY, Arg::needed("draining", ArgType::Bool, "Whether it wants no new work.")],
        result: "null",
        role: Role::Guest,
        errors: &[Code::BAD_ARGUMENT, Code::STAY_UNKNOWN, Code::AGENTS_BUSY],
        example: r#"{"stay": 1, "draining": true}"#,
        plan: |args, _| {
            let draining = args.need("draining", Arguments::bool)?;
            speak(args, AgentWord::Drain(draining))
        },
        answer: shape::null,
        null_for: &[],
    },
    Function {
        name: "leave_worker",
        service: "agent",
        doc: "A worker leaves for good: its boards are lost at once.",
        args: &[STAY, REASON],
        result: "null",
        role: Role::Guest,
        errors: &[Code::BAD_ARGUMENT, Code::STAY_UNKNOWN, Code::TEXT_TOO_LONG],
        example: r#"{"stay": 1, "reason": "the host is shut down"}"#,
        plan: |args, _| {
            let reason = reason(args)?;
            speak(args, AgentWord::Leave(reason))
        },
        answer: shape::null,
        null_for: &[],
    },
    Function {
        name: "list_workers",
        service: "agent",
        doc: "The workers of a machine or of all: those that are connected, and those that hung up and may come back.",
        args: &[Arg::with("machine", ArgType::Name(NAME_BYTES_MAX), "null", "Only this machine's.")],
        result: "[WORKER]",
        role: Role::Guest,
        errors: &[Code::BAD_ARGUMENT, Code::MACHINE_UNKNOWN, Code::TEXT_TOO_LONG],
        example: r#"{"machine": "usb"}"#,
        plan: |args, _| Ok(Plan::Workers { machine: args.shared("machine")? }),
        answer: |outcome, _, out| match outcome {
            Outcome::Workers(workers) => shape::write(out, &shape::Each(|| workers.iter().map(Worker))),
            _ => Err(shape::unexpected()),
        },
        null_for: &[],
    },
];

fn speak(args: &Arguments<'_>, word: AgentWord) -> Result<Plan, Fault> {
    Ok(Plan::Agent(AgentUse::Speak { stay: count(args, "stay")?, word }))
}

fn reason(args: &Arguments<'_>) -> Result<Arc<str>, Fault> {
    args.need("reason", Arguments::shared)
}

/// A number that is not below zero.
fn count(args: &Arguments<'_>, name: &str) -> Result<u64, Fault> {
    u64::try_from(args.need(name, Arguments::int)?).map_err(|_| args.bad(name))
}

fn plan_register(args: &Arguments<'_>, _: &Asker<'_>) -> Result<Plan, Fault> {
    let name = args.need("worker", Arguments::shared)?;
    if !is_serial(&name) {
        return Err(args.bad("worker"));
    }
    Ok(Plan::Agent(AgentUse::Register(WorkerRegistration {
        machine: args.need("machine", Arguments::shared)?,
        name,
        token: args.need("token", Arguments::text)?.into_owned(),
        version: args.need("version", Arguments::shared)?,
        url: args.shared("url")?,
        boards: if args.is_given("boards") { offered(args)? } else { Vec::new() },
        draining: args.bool("draining")?.unwrap_or(false),
    })))
}

/// A board as a worker offers it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Offered {
    serial: String,
    #[serde(default)]
    model: String,
    #[serde(default)]
    holds: Option<String>,
}

/// The boards that a worker brings.
fn offered(args: &Arguments<'_>) -> Result<Vec<WorkerBoard>, Fault> {
    let json = args.need("boards", Arguments::json)?;
    let boards: Vec<Offered> = serde_json::from_str(json).map_err(|_| wrong(args, "boards", OFFERED_DOC))?;
    if boards.len() > BOARDS_NAMED_MAX {
        return Err(wrong(args, "boards", "at most 1000 boards"));
    }
    let boards: Option<Vec<_>> = boards.into_iter().map(board).collect();
    boards.ok_or_else(|| {
        let what = "a serial has 1 to 64 letters, digits, '.', '_' and '-', a model at most 256 bytes, and an order is two numbers with a point between them";
        wrong(args, "boards", what)
    })
}

fn board(offered: Offered) -> Option<WorkerBoard> {
    let holds = match &offered.holds {
        Some(text) => Some(order(text)?),
        None => None,
    };
    let good = is_serial(&offered.serial) && offered.model.len() <= WORDS_BYTES_MAX;
    good.then(|| WorkerBoard { serial: offered.serial.into(), model: offered.model.into(), holds })
}

/// An order by its number, as `12.0`.
fn order(text: &str) -> Option<OrderId> {
    let (grant, step) = text.split_once('.')?;
    Some(OrderId { grant: Grant(grant.parse().ok()?), step: step.parse().ok()? })
}

fn wrong(_: &Arguments<'_>, name: &str, what: &str) -> Fault {
    Fault::new(Code::BAD_ARGUMENT, format!("argument '{name}': {what}"))
}

fn plan_answer_order(args: &Arguments<'_>, _: &Asker<'_>) -> Result<Plan, Fault> {
    let text = args.need("order", Arguments::text)?;
    let order = order(&text)
        .ok_or_else(|| wrong(args, "order", "an order is two numbers with a point between them"))?;
    let obeyed = args.names("obeyed")?.unwrap_or_default();
    let failed = failed(args)?;
    speak(args, AgentWord::Order { order, obeyed, failed })
}

/// Boards that did not obey, and why.
fn failed(args: &Arguments<'_>) -> Result<Vec<(Arc<str>, Arc<str>)>, Fault> {
    let Some(json) = args.json("failed")? else { return Ok(Vec::new()) };
    let failed: BTreeMap<String, String> = serde_json::from_str(json)
        .map_err(|_| wrong(args, "failed", "{serial: reason} is needed, both strings"))?;
    if failed.len() > BOARDS_NAMED_MAX {
        return Err(wrong(args, "failed", "at most 1000 boards"));
    }
    if failed.values().any(|why| why.len() > JOB_TEXT_BYTES_MAX) {
        let msg = format!("argument 'failed' has a reason of more than {JOB_TEXT_BYTES_MAX} bytes");
        return Err(Fault::new(Code::TEXT_TOO_LONG, msg));
    }
    Ok(failed.into_iter().map(|(serial, why)| (serial.into(), why.into())).collect())
}

fn plan_answer_question(args: &Arguments<'_>, _: &Asker<'_>) -> Result<Plan, Fault> {
    let (ticket, said) = (count(args, "question")?, args.json("answer")?);
    let answer = match (args.shared("error")?, sensors(args)?, said) {
        (Some(why), _, _) => Err(why),
        (None, Some(sensors), _) => Ok(super::plan::Heard::Sensors(sensors)),
        (None, None, Some(said)) => Ok(super::plan::Heard::Said(said.into())),
        (None, None, None) => Ok(super::plan::Heard::Done),
    };
    speak(args, AgentWord::Question { ticket, answer })
}

/// What sensors said.
fn sensors(args: &Arguments<'_>) -> Result<Option<super::plan::SensorValues>, Fault> {
    let Some(json) = args.json("sensors")? else { return Ok(None) };
    let sensors: BTreeMap<String, (f64, String)> =
        serde_json::from_str(json).map_err(|_| wrong(args, "sensors", "{name: [value, unit]} is needed"))?;
    Ok(Some(sensors.into_iter().map(|(name, (value, unit))| (name.into(), (value, unit.into()))).collect()))
}

/// What a worker that registered is told.
#[derive(Serialize)]
struct Registered {
    stay: u64,
    timeout_s: f64,
}

/// A worker as callers read it.
struct Worker<'a>(&'a WorkerView);

impl Serialize for Worker<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let worker = self.0;
        let mut map = serializer.serialize_map(Some(8))?;
        map.serialize_entry("machine", &*worker.machine)?;
        map.serialize_entry("worker", &*worker.name)?;
        map.serialize_entry("version", &*worker.version)?;
        map.serialize_entry("url", &worker.url.as_deref())?;
        map.serialize_entry("boards", &shape::Each(|| worker.boards.iter().map(ListedBoard)))?;
        map.serialize_entry("draining", &worker.draining)?;
        map.serialize_entry("connected", &worker.connected)?;
        map.serialize_entry("seen", &worker.seen.unix_s())?;
        map.end()
    }
}

/// A board of a worker: its serial, and what it is.
struct ListedBoard<'a>(&'a (Arc<str>, Arc<str>));

impl Serialize for ListedBoard<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry("serial", &*self.0.0)?;
        map.serialize_entry("model", &*self.0.1)?;
        map.end()
    }
}
