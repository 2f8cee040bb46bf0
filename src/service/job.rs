//! The service `job`: requests for boards and, once granted, the loans.

use super::arguments::NAME_BYTES_MAX;
use super::plan::{Asker, Plan};
use super::shape::{self, seen};
use super::{Arg, ArgType, Arguments, Function, Outcome};
use crate::error::{Code, Fault};
use crate::lab::ask::{Ask, Reply};
use crate::lab::command::Command;
use crate::lab::demand::DEFAULT_KIND;
use crate::lab::fact::Event;
use crate::lab::job::{JOB_TEXT_BYTES_MAX, JobSpec, JobState, Want};
use crate::lab::view::{JobFilter, Query, View};
use crate::user::Role;
use std::collections::BTreeSet;
use std::sync::Arc;

/// The longest span of time that can be asked for: some thirty years.
const SECONDS_MAX: f64 = 1e9;

/// How long a call may wait for a job.
const WAIT_S_MAX: f64 = 3600.0;

/// How long a call waits for a job unless it says otherwise.
const WAIT_MS: u64 = 30_000;

/// How long a job may go unmentioned unless it says otherwise.
const KEEPALIVE_MS: u64 = 60_000;

/// How many boards can be asked for by serial.
const SERIALS_MAX: usize = 1000;

/// How many tags can be asked for.
const TAGS_MAX: usize = 64;

/// A number that counts something.
const COUNT: ArgType = ArgType::Int(0, u32::MAX as i64);

/// The job a call is about.
const JOB_ID: Arg = Arg::needed("job_id", ArgType::JobId, "The job.");

/// The errors of a function that changes a job.
const CHANGE_ERRORS: &[Code] =
    &[Code::BAD_ARGUMENT, Code::JOB_UNKNOWN, Code::JOB_OVER, Code::JOB_WITHOUT_BOARDS, Code::NOT_KEPT];

/// The ways to say how many boards.
const SIZES: &[&[&str]] =
    &[&[], &["boards"], &["width", "height"], &["x", "y", "z"], &["serials"], &["args"]];

/// The functions of this service.
pub static FUNCTIONS: &[Function] = &[
    Function {
        name: "create_job",
        service: "job",
        doc: "Asks for boards and answers the number of the job, which waits in the queue or has its \
             boards at once. How many is said in one way: boards, or width and height, or x, y and z, or \
             serials, or args; nothing means one board. A request that no machine of the lab could ever \
             meet is refused (1012).",
        args: &[
            Arg::with("boards", COUNT, "1", "At least so many boards; 1 is any one board."),
            Arg::with("width", COUNT, "null", "A rectangle of so many triads from west to east,"),
            Arg::with("height", COUNT, "null", "and so many from south to north."),
            Arg::with("x", COUNT, "null", "One board of a torus: the triad's column,"),
            Arg::with("y", COUNT, "null", "the triad's row,"),
            Arg::with("z", COUNT, "null", "and the board in the triad."),
            Arg::with(
                "serials",
                ArgType::Names(SERIALS_MAX),
                "null",
                "The boards of a pool that have these serials.",
            ),
            Arg::with(
                "args",
                ArgType::Ints(3),
                "null",
                "The size as a list: [], [boards], [width, height] or [x, y, z]. An empty list says nothing.",
            ),
            Arg::with("machine", ArgType::Name(NAME_BYTES_MAX), "null", "On this machine only."),
            Arg::with(
                "tags",
                ArgType::Names(TAGS_MAX),
                r#"["default"]"#,
                "On machines that have all these tags. Not together with machine, which makes tags needless.",
            ),
            Arg::with(
                "kind",
                ArgType::Name(NAME_BYTES_MAX),
                "null",
                "As what the boards are prepared; null means the machine's own kind.",
            ),
            Arg::with(
                "kind_args",
                ArgType::Json(JOB_TEXT_BYTES_MAX),
                "null",
                "What the kind needs to know. The kind 'burn' writes one disc on one board that offers the image: \
                 {\"image\": \"<the 32 lower-case hexadecimal digits of its md5>\"}. Such a job is never given up: \
                 when it was not done it waits again at priority -5.",
            ),
            Arg::with(
                "boot",
                ArgType::Bool,
                "false",
                "Whether SpiNNaker boards are booted once they are on: the kind 'spinnaker' with \
                 {\"boot\": true} among its arguments.",
            ),
            Arg::with(
                "keepalive",
                ArgType::Seconds(SECONDS_MAX),
                "60.0",
                "After so many seconds without a sign of life the job ends. Null means never.",
            ),
            Arg::with(
                "lease",
                ArgType::Seconds(SECONDS_MAX),
                "null",
                "So many seconds after the grant the job ends, whatever happens. Null means never.",
            ),
            Arg::with(
                "min_ratio",
                ArgType::Number(0.0, f64::MAX),
                "0.0",
                "For a number of boards: the least ratio of the short to the long side of their rectangle.",
            ),
            Arg::with(
                "max_dead_boards",
                COUNT,
                "null",
                "So many boards may be missing; null means any number.",
            ),
            Arg::with(
                "max_dead_links",
                COUNT,
                "null",
                "So many links between the boards may be dead; null means any number.",
            ),
            Arg::with("require_torus", ArgType::Bool, "false", "Whether the boards must wrap around."),
            Arg::with(
                "priority",
                ArgType::Int(i32::MIN as i64, i32::MAX as i64),
                "0",
                "Higher goes first. Only operators may ask for more than 0.",
            ),
            Arg::with(
                "owner",
                ArgType::Name(NAME_BYTES_MAX),
                "null",
                "Whose job it is: the caller's, unless an operator says otherwise.",
            ),
            Arg::with("note", ArgType::Text(JOB_TEXT_BYTES_MAX), r#""""#, "Free text, shown in lists."),
        ],
        result: "int",
        role: Role::User,
        errors: &[
            Code::BAD_ARGUMENT,
            Code::MACHINE_UNKNOWN,
            Code::IMPOSSIBLE,
            Code::KIND_UNKNOWN,
            Code::DRAINING,
            Code::NOT_KEPT,
            Code::TOO_MANY_JOBS,
            Code::TOO_MANY_OWN_JOBS,
            Code::TEXT_TOO_LONG,
            Code::KEEPALIVE_RANGE,
        ],
        example: r#"{"width": 2, "height": 1, "keepalive": 120.0, "note": "night run"}"#,
        plan: plan_create_job,
        answer: |outcome, _, out| match outcome {
            Outcome::Reply(reply @ Reply::Done(_)) => {
                let job = reply.queued_job().ok_or_else(shape::unexpected)?;
                shape::write(out, &job.0)
            }
            _ => Err(shape::unexpected()),
        },
        null_for: &[],
    },
    Function {
        name: "job_keepalive",
        service: "job",
        doc: "A sign of life: the keepalive of the job starts anew.",
        args: &[JOB_ID],
        result: "null",
        role: Role::User,
        errors: &[Code::BAD_ARGUMENT, Code::JOB_UNKNOWN, Code::JOB_OVER],
        example: r#"{"job_id": 1}"#,
        plan: |args, _| Ok(Plan::Mention(args.need("job_id", Arguments::job)?)),
        answer: shape::null,
        null_for: &[],
    },
    Function {
        name: "get_job_state",
        service: "job",
        doc: "The state of a job: 0 unknown, 1 queued, 2 power, 3 ready, 4 destroyed. power tells \
             whether its boards are on or are being switched on; keepalivehost is always null. When the \
             owner asks, it is a sign of life.",
        args: &[JOB_ID],
        result: "{state:int, power:bool|null, keepalive:num|null, reason:str|null, start_time:num|null, \
             keepalivehost:null}",
        role: Role::Guest,
        errors: &[Code::BAD_ARGUMENT],
        example: r#"{"job_id": 1}"#,
        plan: |args, _| Ok(Plan::Ask(Ask::Query(Query::JobState(args.need("job_id", Arguments::job)?)))),
        answer: seen!(View::JobState(job) => shape::job::State(job.as_ref())),
        null_for: &[],
    },
    Function {
        name: "get_job_machine_info",
        service: "job",
        doc: "The boards of a job and how to reach them; everything is null while it has none. width and \
             height are in chips, and the chips of connections are counted from the job's own origin; a \
             pool has neither. When the owner asks, it is a sign of life.",
        args: &[JOB_ID],
        result: "{width:int|null, height:int|null, connections:[[[int, int], str]]|null, \
             machine_name:str|null, boards:[BOARDNAME]|null}",
        role: Role::Guest,
        errors: &[Code::BAD_ARGUMENT],
        example: r#"{"job_id": 1}"#,
        plan: |args, _| Ok(Plan::Ask(Ask::Query(Query::JobMachine(args.need("job_id", Arguments::job)?)))),
        answer: seen!(View::JobMachine(held) => shape::job::Machine(held.as_ref())),
        null_for: &[],
    },
    Function {
        name: "power_on_job_boards",
        service: "job",
        doc: "Switches all boards of a job on; those that are on are reset. The job is ready again when \
             they have obeyed.",
        args: &[JOB_ID],
        result: "null",
        role: Role::User,
        errors: CHANGE_ERRORS,
        example: r#"{"job_id": 1}"#,
        plan: |args, _| plan_power(args, true),
        answer: shape::null,
        null_for: &[],
    },
    Function {
        name: "power_off_job_boards",
        service: "job",
        doc: "Switches all boards of a job off. The job keeps them, and is ready when they have obeyed.",
        args: &[JOB_ID],
        result: "null",
        role: Role::User,
        errors: CHANGE_ERRORS,
        example: r#"{"job_id": 1}"#,
        plan: |args, _| plan_power(args, false),
        answer: shape::null,
        null_for: &[],
    },
    Function {
        name: "destroy_job",
        service: "job",
        doc: "Ends a job, waiting or not. Its boards are switched off and cleaned before anybody else \
             gets them.",
        args: &[
            JOB_ID,
            Arg::with(
                "reason",
                ArgType::Text(JOB_TEXT_BYTES_MAX),
                "null",
                "Why, to be shown to whoever asks.",
            ),
        ],
        result: "null",
        role: Role::User,
        errors: &[Code::BAD_ARGUMENT, Code::JOB_UNKNOWN, Code::JOB_OVER, Code::NOT_KEPT, Code::TEXT_TOO_LONG],
        example: r#"{"job_id": 1, "reason": "done"}"#,
        plan: |args, _| {
            let (job, reason) = (args.need("job_id", Arguments::job)?, args.shared("reason")?);
            Ok(Plan::Ask(Ask::Command(Command::DestroyJob { job, reason })))
        },
        answer: shape::null,
        null_for: &[],
    },
    Function {
        name: "extend_job",
        service: "job",
        doc: "Lets the lease of a job last so long from now, and answers when it ends then (Unix seconds); it never \
             ends earlier than before. Below operator not longer than was agreed when the job was created, and \
             not while a job that was created before it waits for its boards (1017).",
        args: &[
            JOB_ID,
            Arg::with(
                "lease",
                ArgType::Seconds(SECONDS_MAX),
                "null",
                "So many seconds from now; null means as many as were agreed.",
            ),
        ],
        result: "num",
        role: Role::User,
        errors: &[
            Code::BAD_ARGUMENT,
            Code::JOB_UNKNOWN,
            Code::JOB_OVER,
            Code::JOB_WITHOUT_BOARDS,
            Code::NOT_AVAILABLE,
            Code::NOT_KEPT,
        ],
        example: r#"{"job_id": 4, "lease": 600.0}"#,
        plan: |args, _| {
            let job = args.need("job_id", Arguments::job)?;
            let lease_ms = args.seconds_ms("lease")?;
            Ok(Plan::Ask(Ask::Command(Command::ExtendJob { job, lease_ms })))
        },
        answer: |outcome, _, out| match outcome {
            Outcome::Reply(Reply::Done(facts)) => {
                let until = facts.iter().find_map(|fact| match fact.event {
                    Event::LeaseExtended { until, .. } => Some(until.unix_s()),
                    _ => None,
                });
                shape::write(out, &until.ok_or_else(shape::unexpected)?)
            }
            _ => Err(shape::unexpected()),
        },
        null_for: &[],
    },
    Function {
        name: "list_jobs",
        service: "job",
        doc: "Jobs, the oldest first: all that live, or those of a state, an owner, a machine. Ended \
             jobs are listed when their state is asked for.",
        args: &[
            Arg::with("owner", ArgType::Name(NAME_BYTES_MAX), "null", "Only this owner's."),
            Arg::with(
                "machine",
                ArgType::Name(NAME_BYTES_MAX),
                "null",
                "Only those that have boards of this machine.",
            ),
            Arg::with("state", ArgType::JobState, "null", "Only those in this state."),
            Arg::with("limit", COUNT, "null", "At most so many."),
        ],
        result: "[JOB]",
        role: Role::Guest,
        errors: &[Code::BAD_ARGUMENT, Code::UNKNOWN_NAME, Code::TEXT_TOO_LONG],
        example: r#"{"owner": "ada", "state": "queued"}"#,
        plan: plan_list_jobs,
        answer: seen!(View::Jobs(jobs) => shape::Each(|| jobs.iter().map(shape::job::Job))),
        null_for: &[],
    },
    Function {
        name: "get_job",
        service: "job",
        doc: "One job with all that is known of it. args and kwargs are what create_job would take to \
             ask for the same again.",
        args: &[JOB_ID],
        result: "JOB",
        role: Role::Guest,
        errors: &[Code::BAD_ARGUMENT, Code::JOB_UNKNOWN],
        example: r#"{"job_id": 1}"#,
        plan: |args, _| Ok(Plan::Ask(Ask::Query(Query::Job(args.need("job_id", Arguments::job)?)))),
        answer: seen!(View::Job(job) => shape::job::Job(job)),
        null_for: &[],
    },
    Function {
        name: "wait_job",
        service: "job",
        doc: "Waits until a job has come to a state, has gone past it or has ended, or until the time is \
             up, and answers the job as it is then. While the owner waits and has not closed its side of \
             the connection, the job shows signs of life.",
        args: &[
            JOB_ID,
            Arg::with("state", ArgType::JobState, r#""ready""#, "The state to wait for; not \"unknown\"."),
            Arg::with("timeout", ArgType::Number(0.0, WAIT_S_MAX), "30.0", "Wait at most so many seconds."),
        ],
        result: "JOB",
        role: Role::Guest,
        errors: &[Code::BAD_ARGUMENT, Code::UNKNOWN_NAME, Code::JOB_UNKNOWN, Code::TOO_MANY_WAITS],
        example: r#"{"job_id": 1, "state": "ready", "timeout": 60.0}"#,
        plan: plan_wait_job,
        answer: seen!(View::Job(job) => shape::job::Job(job)),
        null_for: &[],
    },
    Function {
        name: "explain_job",
        service: "job",
        doc: "Why a job waits: its place in the queue, and on each machine that could take it the boards \
             it would have to wait for, who has them and until when at the latest. starts_by is when it \
             starts at the latest, if that is known.",
        args: &[JOB_ID],
        result: "{job_id:int, state:int, state_name:str, ahead:int|null, sentence:str, starts_by:num|null, \
                 machines:[{machine:str, free_by:num|null, \
                 waits_for:[{board:BOARDNAME, state:str, job_id:int|null, owner:str|null, until:num|null}], \
                 out_of_use:{*:int}, obstacle:str|null}]}",
        role: Role::Guest,
        errors: &[Code::BAD_ARGUMENT, Code::JOB_UNKNOWN],
        example: r#"{"job_id": 1}"#,
        plan: |args, _| Ok(Plan::Ask(Ask::Query(Query::Explain(args.need("job_id", Arguments::job)?)))),
        answer: seen!(View::Explain(explain) => shape::job::Explain(explain)),
        null_for: &[],
    },
    Function {
        name: "job_history",
        service: "job",
        doc: "What happened to a job, the oldest first. Jobs that only the journal still knows are looked up in \
             it, as are long lives; a job of which its facts were deleted, because they were older than the \
             history that is kept, is unknown (1001).",
        args: &[JOB_ID],
        result: "[{at:num, event:EVENT, detail:str, grant?:int, machine?:str, boards?:int, power?:bool, \
             board?:BOARDNAME, reason?:str, by?:str}]",
        role: Role::Guest,
        errors: &[Code::TIME_OUT, Code::BAD_ARGUMENT, Code::JOB_UNKNOWN, Code::HISTORY_BUSY],
        example: r#"{"job_id": 1}"#,
        plan: |args, _| Ok(Plan::Past(args.need("job_id", Arguments::job)?)),
        answer: seen!(View::JobHistory(past) => shape::Each(|| past.iter().map(shape::job::Past))),
        null_for: &[],
    },
];

fn plan_create_job(args: &Arguments<'_>, asker: &Asker<'_>) -> Result<Plan, Fault> {
    let machine = args.shared("machine")?;
    let (kind, kind_args) = kind(args)?;
    let spec = JobSpec {
        owner: args.shared("owner")?.unwrap_or_else(|| asker.caller.user.as_str().into()),
        by: asker.caller.user.as_str().into(),
        want: want(args)?,
        tags: tags(args, machine.as_deref())?,
        machine,
        min_ratio: args.number("min_ratio")?.unwrap_or(0.0),
        max_dead_boards: args.u32("max_dead_boards")?,
        max_dead_links: args.u32("max_dead_links")?,
        require_torus: args.bool("require_torus")?.unwrap_or(false),
        keepalive_ms: keepalive_ms(args)?,
        lease_ms: args.seconds_ms("lease")?,
        kind,
        kind_args,
        priority: args.int("priority")?.and_then(|priority| i32::try_from(priority).ok()).unwrap_or(0),
        note: args.shared("note")?.unwrap_or_default(),
        echo: "".into(),
        reserved: false,
    };
    Ok(Plan::Ask(Ask::Command(Command::CreateJob(spec))))
}

/// As what the boards are prepared, and with which arguments. To boot is an argument of one kind.
fn kind(args: &Arguments<'_>) -> Result<(Option<Arc<str>>, Arc<str>), Fault> {
    let kind = args.shared("kind")?;
    let kind_args = args.json("kind_args")?.unwrap_or_default();
    if !args.bool("boot")?.unwrap_or(false) {
        return Ok((kind, kind_args.into()));
    }
    if let Some(other) = kind.as_deref().filter(|kind| *kind != DEFAULT_KIND) {
        let what = format!("boot is for boards of the kind '{DEFAULT_KIND}', not '{other}'");
        return Err(Fault::new(Code::BAD_ARGUMENT, what));
    }
    let said = if kind_args.is_empty() { "{}" } else { kind_args };
    let mut object: serde_json::Map<String, serde_json::Value> = serde_json::from_str(said)
        .map_err(|_| Fault::new(Code::BAD_ARGUMENT, "with boot, kind_args must be an object"))?;
    object.insert("boot".to_owned(), true.into());
    Ok((Some(DEFAULT_KIND.into()), serde_json::Value::Object(object).to_string().into()))
}

/// How many boards, in the one way in which it was said.
fn want(args: &Arguments<'_>) -> Result<Want, Fault> {
    let listed = args.u32s("args")?.filter(|list| !list.is_empty());
    let is_given = |name: &str| if name == "args" { listed.is_some() } else { args.is_given(name) };
    let number = |name| args.need(name, Arguments::u32);
    Ok(match args.form(SIZES, is_given)? {
        0 => Want::Boards(1),
        1 => Want::Boards(number("boards")?),
        2 => Want::Triads { width: number("width")?, height: number("height")? },
        3 => Want::Exact { x: number("x")?, y: number("y")?, z: number("z")? },
        4 => Want::Serials(serials(args)?),
        _ => match listed.unwrap_or_default().as_slice() {
            [boards] => Want::Boards(*boards),
            [width, height] => Want::Triads { width: *width, height: *height },
            [x, y, z] => Want::Exact { x: *x, y: *y, z: *z },
            _ => return Err(args.bad("args")),
        },
    })
}

/// At least one serial, none of them twice.
fn serials(args: &Arguments<'_>) -> Result<Vec<Arc<str>>, Fault> {
    let serials =
        args.names("serials")?.filter(|serials| !serials.is_empty()).ok_or_else(|| args.bad("serials"))?;
    let mut seen = BTreeSet::new();
    match serials.iter().find(|serial| !seen.insert(*serial)) {
        Some(twice) => {
            Err(Fault::new(Code::BAD_ARGUMENT, format!("argument 'serials' names '{twice}' twice")))
        }
        None => Ok(serials),
    }
}

fn tags(args: &Arguments<'_>, machine: Option<&str>) -> Result<BTreeSet<Arc<str>>, Fault> {
    match (args.names("tags")?, machine) {
        (Some(_), Some(_)) => {
            Err(Fault::new(Code::BAD_ARGUMENT, "create_job takes machine or tags, and was called with both"))
        }
        (Some(tags), None) => Ok(tags.into_iter().collect()),
        (None, Some(_)) => Ok(BTreeSet::new()),
        (None, None) => Ok(BTreeSet::from(["default".into()])),
    }
}

/// For this argument null is a value: never.
fn keepalive_ms(args: &Arguments<'_>) -> Result<Option<u64>, Fault> {
    match args.is_null("keepalive") {
        true => Ok(None),
        false => Ok(Some(args.seconds_ms("keepalive")?.unwrap_or(KEEPALIVE_MS))),
    }
}

fn plan_power(args: &Arguments<'_>, power: bool) -> Result<Plan, Fault> {
    let job = args.need("job_id", Arguments::job)?;
    Ok(Plan::Ask(Ask::Command(Command::PowerJob { job, power })))
}

fn plan_list_jobs(args: &Arguments<'_>, _: &Asker<'_>) -> Result<Plan, Fault> {
    let filter = JobFilter {
        owner: args.shared("owner")?,
        machine: args.shared("machine")?,
        state: args.job_state("state")?,
        limit: args.u32("limit")?.map(|limit| limit as usize),
    };
    Ok(Plan::Ask(Ask::Query(Query::Jobs(filter))))
}

fn plan_wait_job(args: &Arguments<'_>, _: &Asker<'_>) -> Result<Plan, Fault> {
    let job = args.need("job_id", Arguments::job)?;
    let until = args.job_state("state")?.unwrap_or(JobState::Ready);
    if until == JobState::Unknown {
        return Err(Fault::new(
            Code::BAD_ARGUMENT,
            "argument 'state' is \"unknown\", which no job ever comes to",
        ));
    }
    Ok(Plan::Wait { job, until, timeout_ms: args.seconds_ms("timeout")?.unwrap_or(WAIT_MS) })
}
