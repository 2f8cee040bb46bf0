//! The service `about`: the server, and what can be asked of it.

use super::plan::{Asker, Plan};
use super::schema::expanded;
use super::shape;
use super::{Arg, ArgType, Arguments, Function, SERVICES, Service, all};
use crate::error::{Code, Fault};
use crate::lab::ask::Ask;
use crate::lab::view::{Query, View};
use crate::user::Role;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::sync::LazyLock;

/// The version of this server: major, minor, patch.
pub const CORE_VERSION: [u32; 3] = [
    decimal(env!("CARGO_PKG_VERSION_MAJOR")),
    decimal(env!("CARGO_PKG_VERSION_MINOR")),
    decimal(env!("CARGO_PKG_VERSION_PATCH")),
];

/// The version of the records this server keeps.
pub const DATA_VERSION: [u32; 3] = [1, 0, 0];

/// Both versions, and the one that clients of old expect, as JSON.
const VERSIONS: &str = concat!(
    "{\"core\":[",
    env!("CARGO_PKG_VERSION_MAJOR"),
    ",",
    env!("CARGO_PKG_VERSION_MINOR"),
    ",",
    env!("CARGO_PKG_VERSION_PATCH"),
    "],\"db\":[1,0,0],\"torrent\":[0,0,0]}"
);

/// The names of the services, for those who ask about one of them.
const SERVICE_NAMES: &[&str] =
    &["about", "machine", "job", "board", "reservation", "channel", "agent", "notice", "user", "admin"];

/// The functions of this service.
pub static FUNCTIONS: &[Function] = &[
    Function {
        name: "get_version",
        service: "about",
        doc: "The versions of the server (core) and of its records (db); torrent is always zero. The \
             greeting has the same.",
        args: &[],
        result: "VERSION",
        role: Role::Guest,
        errors: &[],
        example: "{}",
        plan: |_, _| Ok(Plan::Ready(Cow::Borrowed(VERSIONS.as_bytes()))),
        answer: shape::ready,
        null_for: &[],
    },
    Function {
        name: "list_functions",
        service: "about",
        doc: "All functions, or those of one service: what they do, take and answer, who may call them, \
             how they fail.",
        args: &[Arg::with(
            "service",
            ArgType::Word(SERVICE_NAMES),
            "null",
            "The service; null means all of them.",
        )],
        result: "[{name:str, service:str, doc:str, role:str, args:[ARG], result:str, errors:[int]}]",
        role: Role::Guest,
        errors: &[Code::BAD_ARGUMENT, Code::UNKNOWN_NAME],
        example: r#"{"service": "job"}"#,
        plan: plan_list_functions,
        answer: shape::ready,
        null_for: &[],
    },
    Function {
        name: "get_status",
        service: "about",
        doc: "The server and its lab in numbers. jobs.destroyed counts the ended jobs that are still \
             remembered; workers.away those that hung up and may come back, workers.draining those of both that want \
             no new work; listen names the open doors and where each is; journal \
             counts since the start: durable writes (appends), facts in them, syncs of the disk, snapshots, and \
             facts deleted for their age (expired).",
        args: &[],
        result: "{name:str, version:str, uptime:num, accept:bool, reason:str, jobs:{queued:int, \
             power:int, ready:int, destroyed:int}, boards:COUNTS, machines:int, users:int, sessions:int, \
             connections:int, workers:{connected:int, away:int, draining:int}, orders_open:int, listen:{*:str}, journal:{appends:int, facts:int, syncs:int, \
             snapshots:int, expired:int}}",
        role: Role::Guest,
        errors: &[],
        example: "{}",
        plan: |_, _| Ok(Plan::Ask(Ask::Query(Query::Status))),
        answer: |outcome, asker, out| match outcome {
            super::Outcome::Reply(crate::lab::ask::Reply::Seen(View::Status(view))) => {
                shape::write(out, &shape::people::Status { view, asker })
            }
            _ => Err(shape::unexpected()),
        },
        null_for: &[],
    },
    Function {
        name: "whoami",
        service: "about",
        doc: "The user, role and session under which the call came. expires_at is when the session ends \
             if nothing more is said.",
        args: &[],
        result: "{user:str, role:str, session:str, client:str, opened_at:num, expires_at:num|null}",
        role: Role::Guest,
        errors: &[],
        example: "{}",
        plan: |_, asker| ready(&shape::people::Myself(asker)),
        answer: shape::ready,
        null_for: &[],
    },
];

/// A plan whose result is known.
fn ready<T: Serialize + ?Sized>(result: &T) -> Result<Plan, Fault> {
    let mut out = Vec::new();
    shape::write(&mut out, result)?;
    Ok(Plan::Ready(Cow::Owned(out)))
}

/// The list of all functions as JSON, which never changes.
static LIST: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut out = Vec::new();
    let written = shape::write(&mut out, &shape::Each(|| all().map(Described)));
    written.map_or_else(|_| b"null".to_vec(), |()| out)
});

fn plan_list_functions(args: &Arguments<'_>, _: &Asker<'_>) -> Result<Plan, Fault> {
    let Some(wanted) = args.word("service")? else { return Ok(Plan::Ready(Cow::Borrowed(&LIST))) };
    let functions = || {
        SERVICES
            .iter()
            .filter(|service| service.name == wanted)
            .flat_map(|service: &Service| service.functions)
    };
    ready(&shape::Each(|| functions().map(Described)))
}

/// A function as it is described to callers.
struct Described(&'static Function);

impl Serialize for Described {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let function = self.0;
        let mut map = serializer.serialize_map(Some(7))?;
        map.serialize_entry("name", function.name)?;
        map.serialize_entry("service", function.service)?;
        map.serialize_entry("doc", function.doc)?;
        map.serialize_entry("role", function.role.name())?;
        map.serialize_entry("args", &shape::Each(|| function.args.iter().map(DescribedArg)))?;
        map.serialize_entry("result", &expanded(function.result))?;
        map.serialize_entry("errors", &shape::Each(|| function.errors.iter().map(|code| code.number())))?;
        map.end()
    }
}

/// An argument as it is described to callers.
struct DescribedArg(&'static Arg);

impl Serialize for DescribedArg {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let arg = self.0;
        let default = arg.default.and_then(|default| serde_json::from_str::<&RawValue>(default).ok());
        let mut map = serializer.serialize_map(Some(5))?;
        map.serialize_entry("name", arg.name)?;
        map.serialize_entry("type", &shape::Shown(arg.kind))?;
        map.serialize_entry("default", &default)?;
        map.serialize_entry("required", &arg.default.is_none())?;
        map.serialize_entry("doc", &arg.full_doc())?;
        map.end()
    }
}

/// A decimal number of a version, read while compiling.
const fn decimal(text: &str) -> u32 {
    let (digits, mut at, mut number) = (text.as_bytes(), 0, 0);
    while at < digits.len() {
        number = number * 10 + (digits[at] - b'0') as u32;
        at += 1;
    }
    number
}
