//! The service `reservation`: boards of pools that are lent at once or not at all, until a time that can be put off.
//!
//! Each reserved board is a job of its own, so everything that can be asked of jobs can be asked of it; what is here
//! speaks of serials instead.

use super::arguments::NAME_BYTES_MAX;
use super::plan::{Asker, Plan};
use super::shape::{self, seen};
use super::{Arg, ArgType, Arguments, Function, Outcome};
use crate::error::{Code, Fault};
use crate::lab::ask::{Ask, Reply};
use crate::lab::command::{Command, Consult, Pick, Reservation};
use crate::lab::job::{JOB_TEXT_BYTES_MAX, RESERVED_AT_ONCE_MAX};
use crate::lab::view::{Query, Reservable, ReservedView, View};
use crate::user::Role;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use std::sync::Arc;

/// What becomes of the arguments of a function.
type Planned = fn(&Arguments<'_>, &Asker<'_>) -> Result<Plan, Fault>;

/// How many boards one call names.
const SERIALS_MAX: usize = 1000;

/// The boards a call is about.
const SERIALS: Arg = Arg::needed("serials", ArgType::Names(SERIALS_MAX), "The boards.");

/// Whose reservations a call is about.
const NAME: Arg = Arg::with(
    "name",
    ArgType::Name(NAME_BYTES_MAX),
    "null",
    "Whose reservations: the caller's, unless an operator says otherwise.",
);

/// On which machine.
const MACHINE: Arg =
    Arg::with("machine", ArgType::Name(NAME_BYTES_MAX), "null", "Of this pool only; null means all pools.");

/// As what boards are prepared.
const KIND: Arg = Arg::needed("kind", ArgType::Name(NAME_BYTES_MAX), "As what the boards are prepared.");

/// What the kind needs to know.
const KIND_ARGS: Arg =
    Arg::with("args", ArgType::Json(JOB_TEXT_BYTES_MAX), "null", "What the kind needs to know.");

/// The kind of boards that are asked for.
const ANY_KIND: Arg = Arg::with(
    "kind",
    ArgType::Name(NAME_BYTES_MAX),
    "null",
    "Only boards that can be prepared as this; null means any.",
);

/// The errors of a question what can be reserved.
const LOOK_ERRORS: &[Code] =
    &[Code::BAD_ARGUMENT, Code::MACHINE_UNKNOWN, Code::IMPOSSIBLE, Code::KIND_UNKNOWN, Code::TEXT_TOO_LONG];

/// The errors of a function that reserves by name.
const NAMED_ERRORS: &[Code] = &[
    Code::BAD_ARGUMENT,
    Code::MACHINE_UNKNOWN,
    Code::BOARD_UNKNOWN,
    Code::IMPOSSIBLE,
    Code::KIND_UNKNOWN,
    Code::NOT_AVAILABLE,
    Code::DRAINING,
    Code::NOT_KEPT,
    Code::TOO_MANY_JOBS,
    Code::TOO_MANY_OWN_JOBS,
    Code::TEXT_TOO_LONG,
];

/// The errors of a function that reserves whatever there is.
const RESERVE_ERRORS: &[Code] = &[
    Code::BAD_ARGUMENT,
    Code::MACHINE_UNKNOWN,
    Code::IMPOSSIBLE,
    Code::KIND_UNKNOWN,
    Code::NOT_AVAILABLE,
    Code::DRAINING,
    Code::NOT_KEPT,
    Code::TOO_MANY_JOBS,
    Code::TOO_MANY_OWN_JOBS,
    Code::TEXT_TOO_LONG,
];

/// The errors of a function that changes reservations.
const CHANGE_ERRORS: &[Code] = &[Code::BAD_ARGUMENT, Code::NOT_KEPT, Code::TEXT_TOO_LONG];

/// The functions of this service.
pub static FUNCTIONS: &[Function] = &[
    Function {
        name: "available",
        service: "reservation",
        doc: "How many boards of pools could be reserved now: they are free, and not kept for a job that waits.",
        args: &[MACHINE, ANY_KIND],
        result: "{amount:int}",
        role: Role::Guest,
        errors: LOOK_ERRORS,
        example: r#"{"kind": "pulsecount"}"#,
        plan: |args, asker| Ok(Plan::Ask(Ask::Query(Query::Available(reservable(args, asker)?)))),
        answer: seen!(View::Available(amount) => Amount { amount: *amount }),
        null_for: &[],
    },
    Function {
        name: "devices",
        service: "reservation",
        doc: "The serials of the boards that could be reserved now, pool by pool, those first that were idle longest.",
        args: &[MACHINE, ANY_KIND],
        result: "[str]",
        role: Role::Guest,
        errors: LOOK_ERRORS,
        example: r#"{"machine": "devices"}"#,
        plan: |args, asker| Ok(Plan::Ask(Ask::Query(Query::Devices(reservable(args, asker)?)))),
        answer: seen!(View::Devices(serials) => Serials(serials)),
        null_for: &[],
    },
    Function {
        name: "reserve",
        service: "reservation",
        doc: "Lends so many boards at once, or refuses (1017): it never waits, and takes nothing that is kept for a \
             job that waits. Each board goes to a job of its own, which has no keepalive and ends when the \
             reservation does (reservation.span_s). Amount 0 gives an empty list.",
        args: &[
            Arg::needed("amount", ArgType::Int(0, RESERVED_AT_ONCE_MAX as i64), "How many boards."),
            NAME,
            KIND,
            KIND_ARGS,
            MACHINE,
        ],
        result: "[RESERVED]",
        role: Role::User,
        errors: RESERVE_ERRORS,
        example: r#"{"amount": 2, "kind": "pulsecount"}"#,
        plan: |args, asker| {
            let amount = args.need("amount", Arguments::u32)?;
            plan_reserve(args, asker, Pick::Any(amount))
        },
        answer: reserved,
        null_for: &[],
    },
    Function {
        name: "reserveserials",
        service: "reservation",
        doc: "The same for boards by name: all of them or none. A serial that is listed twice is refused (404), one \
             that no board has too (1011), and one that is taken (1017).",
        args: &[SERIALS, NAME, KIND, KIND_ARGS, MACHINE],
        result: "[RESERVED]",
        role: Role::User,
        errors: NAMED_ERRORS,
        example: r#"{"serials": ["devices-3"], "kind": "variance", "args": {"send_waveform": true}}"#,
        plan: |args, asker| {
            let serials = args.need("serials", Arguments::names)?;
            plan_reserve(args, asker, Pick::Serials(serials))
        },
        answer: reserved,
        null_for: &[],
    },
    of_reservations(
        "extend",
        "Lets reservations last their whole span from now on, and answers the serials of all that do. Boards \
             that are not reserved for that name are passed over.",
        &[SERIALS, NAME],
        r#"{"serials": ["devices-3"]}"#,
        |args, asker| {
            let serials = Some(args.need("serials", Arguments::names)?);
            Ok(devices(Command::ExtendReserved { owner: owner(args, asker)?, serials }))
        },
    ),
    of_reservations(
        "extendall",
        "The same for all reservations of that name.",
        &[NAME],
        "{}",
        |args, asker| Ok(devices(Command::ExtendReserved { owner: owner(args, asker)?, serials: None })),
    ),
    of_reservations(
        "end",
        "Ends reservations, and answers the serials of all that ended. Boards that are not reserved for that \
             name are passed over.",
        &[SERIALS, NAME],
        r#"{"serials": ["devices-3"]}"#,
        |args, asker| {
            let serials = Some(args.need("serials", Arguments::names)?);
            Ok(devices(Command::EndReserved { owner: owner(args, asker)?, serials }))
        },
    ),
    of_reservations("endall", "The same for all reservations of that name.", &[NAME], "{}", |args, asker| {
        Ok(devices(Command::EndReserved { owner: owner(args, asker)?, serials: None }))
    }),
    Function {
        name: "reboot",
        service: "reservation",
        doc: "Switches boards off and on again, and answers the serials of those that obeyed. Their holder may, and \
             operators; a board that is unknown or somebody else's refuses the whole call, and none is switched.",
        args: &[SERIALS],
        result: "[str]",
        role: Role::User,
        errors: &[Code::BAD_ARGUMENT, Code::BOARD_UNKNOWN],
        example: r#"{"serials": ["devices-1"]}"#,
        plan: |args, _| {
            let serials = once_each(args.need("serials", Arguments::names)?);
            Ok(Plan::ConsultAll { serials, what: Consult::PowerCycle })
        },
        answer: |outcome, _, out| match outcome {
            Outcome::Obeyed(serials) => shape::write(out, &Serials(serials)),
            _ => Err(shape::unexpected()),
        },
        null_for: &[],
    },
    Function {
        name: "delete",
        service: "reservation",
        doc: "Forgets that boards work: those that nobody holds are set aside, and are free again when they have \
             passed a test, which begins at once. Answers their serials. Boards that are held, or are in \
             maintenance, dead or offline, are passed over.",
        args: &[SERIALS],
        result: "[str]",
        role: Role::Operator,
        errors: &[Code::BAD_ARGUMENT, Code::BOARD_UNKNOWN, Code::NOT_KEPT],
        example: r#"{"serials": ["devices-3"]}"#,
        plan: |args, _| {
            Ok(devices(Command::RenewBoards { serials: args.need("serials", Arguments::names)? }))
        },
        answer: seen!(View::Changed(devices) => Serials(&devices.renewed)),
        null_for: &[],
    },
];

/// A function that changes reservations and answers the serials of those it changed.
const fn of_reservations(
    name: &'static str,
    doc: &'static str,
    args: &'static [Arg],
    example: &'static str,
    plan: Planned,
) -> Function {
    Function {
        name,
        service: "reservation",
        doc,
        args,
        result: "[str]",
        role: Role::User,
        errors: CHANGE_ERRORS,
        example,
        plan,
        answer: changed,
        null_for: &[],
    }
}

fn devices(command: Command) -> Plan {
    Plan::Ask(Ask::Devices(command))
}

/// Whose reservations are meant.
fn owner(args: &Arguments<'_>, asker: &Asker<'_>) -> Result<Arc<str>, Fault> {
    Ok(args.shared("name")?.unwrap_or_else(|| asker.caller.user.as_str().into()))
}

fn reservable(args: &Arguments<'_>, asker: &Asker<'_>) -> Result<Reservable, Fault> {
    Ok(Reservable { machine: args.shared("machine")?, kind: args.shared("kind")?, now: asker.now })
}

fn plan_reserve(args: &Arguments<'_>, asker: &Asker<'_>, pick: Pick) -> Result<Plan, Fault> {
    Ok(devices(Command::Reserve(Reservation {
        owner: owner(args, asker)?,
        pick,
        machine: args.shared("machine")?,
        kind: args.need("kind", Arguments::shared)?,
        kind_args: args.json("args")?.unwrap_or_default().into(),
    })))
}

fn once_each(serials: Vec<Arc<str>>) -> Vec<Arc<str>> {
    let mut seen = std::collections::BTreeSet::new();
    serials.into_iter().filter(|serial| seen.insert(serial.clone())).collect()
}

/// Boards that were reserved.
fn reserved(outcome: &Outcome, asker: &Asker<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
    match outcome {
        Outcome::Reply(Reply::Seen(View::Changed(devices))) => {
            let row = |known| Reserved { known, url: asker.door.workers.url_of(&known.serial) };
            shape::write(out, &shape::Each(|| devices.reserved.iter().map(row)))
        }
        _ => Err(shape::unexpected()),
    }
}

/// Serials of reservations that were changed.
fn changed(outcome: &Outcome, _: &Asker<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
    match outcome {
        Outcome::Reply(Reply::Seen(View::Changed(devices))) => {
            shape::write(out, &shape::Each(|| devices.reserved.iter().map(|known| &*known.serial)))
        }
        _ => Err(shape::unexpected()),
    }
}

/// How many boards there are.
#[derive(Serialize)]
struct Amount {
    amount: usize,
}

/// Serials, as callers read them.
struct Serials<'a>(&'a [Arc<str>]);

impl Serialize for Serials<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|serial| &**serial))
    }
}

/// A board that is reserved, and where its worker answers, as callers read it.
struct Reserved<'a> {
    known: &'a ReservedView,
    url: Option<Arc<str>>,
}

impl Serialize for Reserved<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let known = self.known;
        let mut map = serializer.serialize_map(Some(7))?;
        map.serialize_entry("serial", &*known.serial)?;
        map.serialize_entry("job_id", &known.job.0)?;
        map.serialize_entry("owner", &*known.owner)?;
        map.serialize_entry("machine", &*known.machine)?;
        map.serialize_entry("kind", &*known.kind)?;
        map.serialize_entry("url", &self.url.as_deref())?;
        map.serialize_entry("ends_at", &known.ends_at.unix_s())?;
        map.end()
    }
}
