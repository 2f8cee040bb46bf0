//! The service `machine`: machines, and where their boards and chips are.

use super::arguments::NAME_BYTES_MAX;
use super::plan::{Asker, Plan};
use super::shape::{self, seen};
use super::{Arg, ArgType, Arguments, Function};
use crate::error::{Code, Fault};
use crate::lab::ask::Ask;
use crate::lab::fact::MachineName;
use crate::lab::machine::Physical;
use crate::lab::view::{BoardAddress, Query, View, Whereabouts};
use crate::user::Role;
use std::borrow::Cow;

/// The name of a machine.
const MACHINE: Arg = Arg::needed("machine", ArgType::Name(NAME_BYTES_MAX), "The machine.");

/// A place in a torus that may lie beyond its edge: it is wrapped around, but it stays a number to reckon
/// with.
const ANYWHERE: ArgType = ArgType::Int(i32::MIN as i64, i32::MAX as i64);

/// A place that must be one.
const PLACE: ArgType = ArgType::Int(0, u32::MAX as i64);

/// The ways to ask where something is.
const WAYS: &[&[&str]] = &[
    &["machine", "x", "y", "z"],
    &["machine", "cabinet", "frame", "board"],
    &["machine", "chip_x", "chip_y"],
    &["job_id", "chip_x", "chip_y"],
];

/// The functions of this service.
pub static FUNCTIONS: &[Function] = &[
    Function {
        name: "list_machines",
        service: "machine",
        doc: "All machines, in the order in which they are tried. A pool has neither size nor dead \
             boards or links.",
        args: &[],
        result: "[MACHINE]",
        role: Role::Guest,
        errors: &[],
        example: "{}",
        plan: |_, _| Ok(Plan::Ask(Ask::Query(Query::Machines))),
        answer: seen!(View::Machines(machines) => shape::Each(|| {
            machines.iter().map(|view| shape::machine::Machine { view, boards: None })
        })),
        null_for: &[],
    },
    Function {
        name: "get_machine",
        service: "machine",
        doc: "One machine with all its boards.",
        args: &[MACHINE],
        result: "MACHINE_WITH_BOARDS",
        role: Role::Guest,
        errors: &[Code::BAD_ARGUMENT, Code::MACHINE_UNKNOWN, Code::TEXT_TOO_LONG],
        example: r#"{"machine": "m"}"#,
        plan: |args, _| Ok(Plan::Ask(Ask::Query(Query::Machine(args.need("machine", Arguments::shared)?)))),
        answer: seen!(View::Machine(view, boards) => shape::machine::Machine {
            view,
            boards: Some(boards.as_slice()),
        }),
        null_for: &[],
    },
    Function {
        name: "get_board_position",
        service: "machine",
        doc: "Where a board of a torus stands: [cabinet, frame, board]. Null when the machine or the \
             board is unknown, or its place is.",
        args: &[
            MACHINE.or_named(&["machine_name"]),
            Arg::needed("x", ANYWHERE, "The triad's column."),
            Arg::needed("y", ANYWHERE, "The triad's row."),
            Arg::needed("z", ANYWHERE, "The board in the triad, 0 to 2."),
        ],
        result: "[int, int, int]|null",
        role: Role::Guest,
        errors: &[Code::BAD_ARGUMENT, Code::TEXT_TOO_LONG],
        example: r#"{"machine": "m", "x": 0, "y": 0, "z": 0}"#,
        plan: plan_board_position,
        answer: seen!(View::Position(found) => found.map(shape::place)),
        null_for: &[Code::MACHINE_UNKNOWN, Code::BOARD_UNKNOWN],
    },
    Function {
        name: "get_board_at_position",
        service: "machine",
        doc: "Which board of a torus stands at a place: [x, y, z]. Null when the machine is unknown or \
             nothing stands there.",
        args: &[
            MACHINE.or_named(&["machine_name"]),
            Arg::needed("cabinet", ANYWHERE, "The cabinet.").or_named(&["x"]),
            Arg::needed("frame", ANYWHERE, "The frame in the cabinet.").or_named(&["y"]),
            Arg::needed("board", ANYWHERE, "The board in the frame.").or_named(&["z"]),
        ],
        result: "[int, int, int]|null",
        role: Role::Guest,
        errors: &[Code::BAD_ARGUMENT, Code::TEXT_TOO_LONG],
        example: r#"{"machine": "m", "cabinet": 0, "frame": 0, "board": 0}"#,
        plan: plan_board_at_position,
        answer: seen!(View::AtPosition(found) => found.map(|at| [at.x, at.y, at.z])),
        null_for: &[Code::MACHINE_UNKNOWN, Code::BOARD_UNKNOWN],
    },
    Function {
        name: "where_is",
        service: "machine",
        doc: "Everything about one place of a torus: the board, where it stands, the chip, and the job \
             that has it. Give machine, x, y, z or machine, cabinet, frame, board or machine, chip_x, \
             chip_y or job_id, chip_x, chip_y (a chip of the job's own grid). Places beyond the edge of \
             a machine are wrapped around. Null when nothing is there.",
        args: &[
            Arg::with("machine", ArgType::Name(NAME_BYTES_MAX), "null", "The machine."),
            Arg::with("x", ANYWHERE, "null", "The triad's column."),
            Arg::with("y", ANYWHERE, "null", "The triad's row."),
            Arg::with("z", ANYWHERE, "null", "The board in the triad."),
            Arg::with("cabinet", PLACE, "null", "The cabinet."),
            Arg::with("frame", PLACE, "null", "The frame in the cabinet."),
            Arg::with("board", PLACE, "null", "The board in the frame."),
            Arg::with("chip_x", ANYWHERE, "null", "The chip's column."),
            Arg::with("chip_y", ANYWHERE, "null", "The chip's row."),
            Arg::with("job_id", ArgType::JobId, "null", "The job whose chips are meant."),
        ],
        result: "{machine:str, logical:[int, int, int], physical:[int, int, int], chip:[int, int], \
             board_chip:[int, int], job_id:int|null, job_chip:[int, int]|null}|null",
        role: Role::Guest,
        errors: &[Code::BAD_ARGUMENT, Code::TEXT_TOO_LONG],
        example: r#"{"machine": "m", "chip_x": 13, "chip_y": 5}"#,
        plan: |args, _| Ok(Plan::Ask(Ask::Query(Query::WhereIs(whereabouts(args)?)))),
        answer: seen!(View::WhereIs(found) => found.as_ref().map(shape::machine::Where)),
        null_for: &[],
    },
];

/// Numbers that no place can have are places where nothing is.
fn nowhere() -> Plan {
    Plan::Ready(Cow::Borrowed(b"null"))
}

fn plan_board_position(args: &Arguments<'_>, _: &Asker<'_>) -> Result<Plan, Fault> {
    let machine = args.need("machine", Arguments::shared)?;
    let address = three(args, ["x", "y", "z"])?.map(|[x, y, z]| BoardAddress::Triad { machine, x, y, z });
    Ok(address.map_or_else(nowhere, |address| Plan::Ask(Ask::Query(Query::Position(address)))))
}

fn plan_board_at_position(args: &Arguments<'_>, _: &Asker<'_>) -> Result<Plan, Fault> {
    let machine = args.need("machine", Arguments::shared)?;
    let address = three(args, ["cabinet", "frame", "board"])?.map(|[cabinet, frame, board]| {
        BoardAddress::Place { machine, place: Physical { cabinet, frame, board } }
    });
    Ok(address.map_or_else(nowhere, |address| Plan::Ask(Ask::Query(Query::AtPosition(address)))))
}

/// Three numbers, unless one is negative.
fn three(args: &Arguments<'_>, names: [&str; 3]) -> Result<Option<[u32; 3]>, Fault> {
    let mut numbers = [0; 3];
    let mut is_place = true;
    for (number, name) in numbers.iter_mut().zip(names) {
        let given = args.need(name, Arguments::int)?;
        *number = u32::try_from(given).unwrap_or_default();
        is_place &= given >= 0;
    }
    Ok(is_place.then_some(numbers))
}

fn whereabouts(args: &Arguments<'_>) -> Result<Whereabouts, Fault> {
    let machine = || -> Result<MachineName, Fault> { args.need("machine", Arguments::shared) };
    let int = |name| args.need(name, Arguments::int);
    let u32 = |name| args.need(name, Arguments::u32);
    Ok(match args.form(WAYS, |name| args.is_given(name))? {
        0 => Whereabouts::Logical { machine: machine()?, x: int("x")?, y: int("y")?, z: int("z")? },
        1 => {
            let place = Physical { cabinet: u32("cabinet")?, frame: u32("frame")?, board: u32("board")? };
            Whereabouts::Physical { machine: machine()?, place }
        }
        2 => Whereabouts::Chip { machine: machine()?, x: int("chip_x")?, y: int("chip_y")? },
        _ => {
            let job = args.need("job_id", Arguments::job)?;
            Whereabouts::JobChip { job, x: int("chip_x")?, y: int("chip_y")? }
        }
    })
}
