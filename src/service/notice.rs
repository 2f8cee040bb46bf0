//! The service `notice`: being told of changes as they happen.
//!
//! What is told, and when, is the connection's affair; here is only who wants to hear of what.

use super::arguments::NAME_BYTES_MAX;
use super::plan::{Plan, WatchChange, Watched};
use super::{Arg, ArgType, Arguments, Function, shape};
use crate::error::{Code, Fault};
use crate::user::Role;

/// The job to be told of.
const JOB_ID: Arg =
    Arg::with("job_id", ArgType::JobId, "null", "The job, which need not exist yet; null means all jobs.");

/// The machine to be told of.
const MACHINE: Arg =
    Arg::with("machine", ArgType::Name(NAME_BYTES_MAX), "null", "The machine; null means all machines.")
        .or_named(&["machine_name"]);

/// The functions of this service.
pub static FUNCTIONS: &[Function] = &[
    Function {
        name: "notify_job",
        service: "notice",
        doc: "From now on this connection is told when the job changes: {\"jobs_changed\": [numbers]}, \
             each job once however often it changed. When it is a reservation that ends soon, it is told of that \
             too: {\"reservations_ending\": [{\"job_id\": number, \"serial\": serial, \"ends_at\": time}]}.",
        args: &[JOB_ID],
        result: "null",
        role: Role::Guest,
        errors: &[Code::BAD_ARGUMENT, Code::TOO_MANY_WATCHES],
        example: r#"{"job_id": 1}"#,
        plan: |args, _| watch_job(args, true),
        answer: shape::null,
        null_for: &[],
    },
    Function {
        name: "no_notify_job",
        service: "notice",
        doc: "This connection is no longer told when the job changes. One job does not end being told of \
             all.",
        args: &[JOB_ID],
        result: "null",
        role: Role::Guest,
        errors: &[Code::BAD_ARGUMENT],
        example: r#"{"job_id": 1}"#,
        plan: |args, _| watch_job(args, false),
        answer: shape::null,
        null_for: &[],
    },
    Function {
        name: "notify_machine",
        service: "notice",
        doc: "From now on this connection is told when boards of the machine are lent or come back, or \
             its shape or health changes: {\"machines_changed\": [names]}.",
        args: &[MACHINE],
        result: "null",
        role: Role::Guest,
        errors: &[Code::BAD_ARGUMENT, Code::TEXT_TOO_LONG, Code::TOO_MANY_WATCHES],
        example: r#"{"machine": "m"}"#,
        plan: |args, _| watch_machine(args, true),
        answer: shape::null,
        null_for: &[],
    },
    Function {
        name: "no_notify_machine",
        service: "notice",
        doc: "This connection is no longer told when the machine changes. One machine does not end being \
             told of all.",
        args: &[MACHINE],
        result: "null",
        role: Role::Guest,
        errors: &[Code::BAD_ARGUMENT, Code::TEXT_TOO_LONG],
        example: r#"{"machine": "m"}"#,
        plan: |args, _| watch_machine(args, false),
        answer: shape::null,
        null_for: &[],
    },
    Function {
        name: "notify_devices",
        service: "notice",
        doc: "From now on this connection is told how many boards can be reserved when that number has become larger \
             or smaller: {\"amount\": number}, under the name devices_available. Ask for the number as it is \
             (available) after this.",
        args: &[],
        result: "null",
        role: Role::Guest,
        errors: &[],
        example: "{}",
        plan: |_, _| Ok(watch_devices(true)),
        answer: shape::null,
        null_for: &[],
    },
    Function {
        name: "no_notify_devices",
        service: "notice",
        doc: "This connection is no longer told how many boards can be reserved.",
        args: &[],
        result: "null",
        role: Role::Guest,
        errors: &[],
        example: "{}",
        plan: |_, _| Ok(watch_devices(false)),
        answer: shape::null,
        null_for: &[],
    },
];

fn watch_devices(on: bool) -> Plan {
    Plan::Watch(WatchChange { what: Watched::Available, on })
}

fn watch_job(args: &Arguments<'_>, on: bool) -> Result<Plan, Fault> {
    Ok(Plan::Watch(WatchChange { what: Watched::Job(args.job("job_id")?), on }))
}

fn watch_machine(args: &Arguments<'_>, on: bool) -> Result<Plan, Fault> {
    Ok(Plan::Watch(WatchChange { what: Watched::Machine(args.shared("machine")?), on }))
}
