//! The service `board`: single boards.

use super::arguments::NAME_BYTES_MAX;
use super::plan::{Asker, Heard, Plan};
use super::shape::{self, seen};
use super::{Arg, ArgType, Arguments, Function, Outcome};
use crate::error::{Code, Fault};
use crate::lab::ask::{Ask, Reply};
use crate::lab::board::{BOARD_NAME_CHARS_MAX, BoardState};
use crate::lab::command::{Command, Consult};
use crate::lab::fact::{BoardRef, Mark};
use crate::lab::job::JOB_TEXT_BYTES_MAX;
use crate::lab::machine::Physical;
use crate::lab::view::{BoardAddress, BoardFilter, Query, View};
use crate::user::Role;
use serde::{Serialize, Serializer};

/// How many boards one call lists.
const BOARDS_MAX: i64 = 10_000;

/// How many boards one call lists unless it says otherwise.
const BOARDS: u32 = 1000;

/// So many bytes of arguments a command to a board's agent may have.
const COMMAND_BYTES_MAX: usize = 65_536;

/// So many bytes the longest name of a board can have.
const CALLED_BYTES_MAX: usize = 4 * BOARD_NAME_CHARS_MAX;

/// A number that counts something.
const COUNT: ArgType = ArgType::Int(0, u32::MAX as i64);

/// The words for the states of boards.
const STATES: &[&str] = &["free", "lent", "cleaning", "quarantined", "maintenance", "dead", "offline"];

/// What an operator can do with a board.
const WISHES: &[&str] = &["maintenance", "retest", "dead", "free"];

/// The ways to name a board.
const ADDRESSES: &[&[&str]] = &[
    &["machine", "x", "y", "z"],
    &["machine", "cabinet", "frame", "board"],
    &["serial"],
    &["machine", "serial"],
];

/// The errors of a function that asks a board something.
const CONSULT_ERRORS: &[Code] = &[
    Code::TIME_OUT,
    Code::BAD_ARGUMENT,
    Code::MACHINE_UNKNOWN,
    Code::BOARD_UNKNOWN,
    Code::BOARD_FAILED,
    Code::BOARD_STALE,
    Code::TEXT_TOO_LONG,
    Code::BOARD_BUSY,
];

/// The arguments of a function about one board: the three ways to name it, and what else there is.
macro_rules! addressed {
    ($($more:expr),*) => {
        &[
            Arg::with("machine", ArgType::Name(NAME_BYTES_MAX), "null", "The machine; not needed with a \
                 serial."),
            Arg::with("x", COUNT, "null", "The board by its place in the torus: the triad's column,"),
            Arg::with("y", COUNT, "null", "the triad's row,"),
            Arg::with("z", COUNT, "null", "and the board in the triad."),
            Arg::with("cabinet", COUNT, "null", "Or by where it stands: the cabinet,"),
            Arg::with("frame", COUNT, "null", "the frame in the cabinet,"),
            Arg::with("board", COUNT, "null", "and the board in the frame."),
            Arg::with("serial", ArgType::Name(NAME_BYTES_MAX), "null", "Or by its serial."),
            $($more),*
        ]
    };
}

pub(super) use addressed;

/// The functions of this service.
pub static FUNCTIONS: &[Function] = &[
    Function {
        name: "list_boards",
        service: "board",
        doc: "Boards, machine by machine: all of them, or those of a machine or in a state.",
        args: &[
            Arg::with("machine", ArgType::Name(NAME_BYTES_MAX), "null", "Only this machine's."),
            Arg::with("state", ArgType::Word(STATES), "null", "Only those in this state."),
            Arg::with("offset", COUNT, "0", "Leave out so many at the beginning."),
            Arg::with("limit", ArgType::Int(0, BOARDS_MAX), "1000", "At most so many."),
        ],
        result: "[BOARD]",
        role: Role::Guest,
        errors: &[Code::BAD_ARGUMENT, Code::UNKNOWN_NAME, Code::MACHINE_UNKNOWN, Code::TEXT_TOO_LONG],
        example: r#"{"machine": "m", "state": "free", "limit": 100}"#,
        plan: plan_list_boards,
        answer: seen!(View::Boards(boards) => shape::Each(|| boards.iter().map(shape::machine::WholeBoard))),
        null_for: &[],
    },
    Function {
        name: "get_board",
        service: "board",
        doc: "One board with all that is known of it: also what came of the last time its power was \
             switched, and what its sensors said when they were read last. Of both nothing is known any \
             more after a restart.",
        args: addressed!(),
        result: "BOARD_WITH_READINGS",
        role: Role::Guest,
        errors: &[Code::BAD_ARGUMENT, Code::MACHINE_UNKNOWN, Code::BOARD_UNKNOWN, Code::TEXT_TOO_LONG],
        example: r#"{"machine": "m", "x": 0, "y": 0, "z": 0}"#,
        plan: |args, _| Ok(Plan::Ask(Ask::Query(Query::Board(address(args)?)))),
        answer: |outcome, asker, out| match outcome {
            Outcome::Reply(Reply::Seen(View::Board(board))) => {
                let record =
                    asker.door.book.record(&BoardRef { machine: board.machine.clone(), board: board.index });
                shape::write(out, &shape::machine::BoardWithReadings { board, record: &record })
            }
            _ => Err(shape::unexpected()),
        },
        null_for: &[],
    },
    Function {
        name: "report_board",
        service: "board",
        doc: "Says that a board is faulty. Its holder and operators may; when enough different owners \
             did, it is taken out of use as soon as it is free.",
        args: addressed!(Arg::needed("reason", ArgType::Text(JOB_TEXT_BYTES_MAX), "What is wrong with it.")),
        result: "null",
        role: Role::User,
        errors: &[
            Code::BAD_ARGUMENT,
            Code::MACHINE_UNKNOWN,
            Code::BOARD_UNKNOWN,
            Code::NOT_KEPT,
            Code::TEXT_TOO_LONG,
        ],
        example: r#"{"machine": "m", "x": 0, "y": 0, "z": 0, "reason": "link 3 loses packets"}"#,
        plan: |args, _| {
            let (board, reason) = (address(args)?, args.need("reason", Arguments::shared)?);
            Ok(Plan::Ask(Ask::Command(Command::ReportBoard { board, reason })))
        },
        answer: shape::null,
        null_for: &[],
    },
    Function {
        name: "set_board_state",
        service: "board",
        doc: "Puts a board into maintenance, declares it dead, brings it back (free), or has a \
             quarantined one tested now (retest). A board that is lent is only marked: it changes when \
             it comes back. Answers the board as it is then.",
        args: addressed!(
            Arg::needed("state", ArgType::Word(WISHES), "What the board is to be."),
            Arg::with(
                "reason",
                ArgType::Text(JOB_TEXT_BYTES_MAX),
                r#""""#,
                "Why, to be shown to whoever asks."
            )
        ),
        result: "BOARD",
        role: Role::Operator,
        errors: &[
            Code::BAD_ARGUMENT,
            Code::UNKNOWN_NAME,
            Code::MACHINE_UNKNOWN,
            Code::BOARD_UNKNOWN,
            Code::BOARD_STATE,
            Code::NOT_KEPT,
            Code::TEXT_TOO_LONG,
        ],
        example: r#"{"machine": "m", "x": 0, "y": 0, "z": 0, "state": "maintenance", "reason": "new fan"}"#,
        plan: plan_set_board_state,
        answer: seen!(View::Board(board) => shape::machine::WholeBoard(board)),
        null_for: &[],
    },
    Function {
        name: "name_board",
        service: "board",
        doc: "Calls a board by a name that people know, beside its place or serial. Answers the board.",
        args: addressed!(Arg::needed(
            "name",
            ArgType::Text(CALLED_BYTES_MAX),
            "The name, of at most 64 characters; an empty one takes it away."
        )),
        result: "BOARD",
        role: Role::Operator,
        errors: &[
            Code::BAD_ARGUMENT,
            Code::MACHINE_UNKNOWN,
            Code::BOARD_UNKNOWN,
            Code::NOT_KEPT,
            Code::TEXT_TOO_LONG,
        ],
        example: r#"{"serial": "devices-0", "name": "left of the door"}"#,
        plan: |args, _| {
            let (board, name) = (address(args)?, args.need("name", Arguments::shared)?);
            let look = Query::Board(board.clone());
            Ok(Plan::AskThenSee(Command::NameBoard { board, name }, look))
        },
        answer: seen!(View::Board(board) => shape::machine::WholeBoard(board)),
        null_for: &[],
    },
    Function {
        name: "power_cycle_board",
        service: "board",
        doc: "Switches a board off and on again. Its holder may, and operators.",
        args: addressed!(),
        result: "null",
        role: Role::User,
        errors: CONSULT_ERRORS,
        example: r#"{"serial": "devices-0"}"#,
        plan: |args, _| consult(args, Consult::PowerCycle),
        answer: shape::null,
        null_for: &[],
    },
    Function {
        name: "identify_board",
        service: "board",
        doc: "Lets the LED of a board show which one it is. Its holder may, and operators.",
        args: addressed!(Arg::with(
            "on",
            ArgType::Bool,
            "null",
            "Whether the LED is to be on; null means that it changes."
        )),
        result: "null",
        role: Role::User,
        errors: CONSULT_ERRORS,
        example: r#"{"machine": "m", "cabinet": 0, "frame": 0, "board": 3, "on": true}"#,
        plan: |args, _| consult(args, Consult::Identify { on: args.bool("on")? }),
        answer: shape::null,
        null_for: &[],
    },
    Function {
        name: "read_board_sensors",
        service: "board",
        doc: "Temperatures, voltages, fans and whatever else a board measures. Its holder may ask, and \
             operators.",
        args: addressed!(),
        result: "{*:{value:num|null, unit:str}}",
        role: Role::User,
        errors: CONSULT_ERRORS,
        example: r#"{"machine": "m", "x": 0, "y": 0, "z": 0}"#,
        plan: |args, _| consult(args, Consult::ReadSensors),
        answer: |outcome, _, out| match outcome {
            Outcome::Heard(heard @ Heard::Sensors(_)) => shape::write(out, &Told(heard)),
            _ => Err(shape::unexpected()),
        },
        null_for: &[],
    },
    Function {
        name: "send_board_command",
        service: "board",
        doc: "A command in the language of the board's own agent, whose answer is the result. The holder \
             may, and operators.",
        args: addressed!(
            Arg::needed("command", ArgType::Name(NAME_BYTES_MAX), "The command."),
            Arg::with("args", ArgType::Json(COMMAND_BYTES_MAX), "{}", "Its arguments.")
        ),
        result: "any",
        role: Role::User,
        errors: CONSULT_ERRORS,
        example: r#"{"serial": "devices-0", "command": "evaluate", "args": {"pulses": 100}}"#,
        plan: |args, _| {
            let command = args.need("command", Arguments::shared)?;
            consult(args, Consult::Send { command, args: args.json("args")?.unwrap_or("{}").into() })
        },
        answer: |outcome, _, out| match outcome {
            Outcome::Heard(heard @ (Heard::Said(_) | Heard::Done)) => shape::write(out, &Told(heard)),
            _ => Err(shape::unexpected()),
        },
        null_for: &[],
    },
];

fn plan_list_boards(args: &Arguments<'_>, _: &Asker<'_>) -> Result<Plan, Fault> {
    let filter = BoardFilter {
        machine: args.shared("machine")?,
        state: args.word("state")?.and_then(BoardState::from_word),
        offset: args.u32("offset")?.unwrap_or(0) as usize,
        limit: Some(args.u32("limit")?.unwrap_or(BOARDS) as usize),
    };
    Ok(Plan::Ask(Ask::Query(Query::Boards(filter))))
}

fn plan_set_board_state(args: &Arguments<'_>, _: &Asker<'_>) -> Result<Plan, Fault> {
    let board = address(args)?;
    let reason = args.shared("reason")?.unwrap_or_default();
    let look = Query::Board(board.clone());
    let mark = match args.need("state", Arguments::word)? {
        "maintenance" => Mark::Maintenance,
        "dead" => Mark::Dead,
        "free" => Mark::Free,
        _ => return Ok(Plan::AskThenSee(Command::RetestBoard { board }, look)),
    };
    Ok(Plan::AskThenSee(Command::MarkBoard { board, mark, reason }, look))
}

fn consult(args: &Arguments<'_>, what: Consult) -> Result<Plan, Fault> {
    Ok(Plan::Consult { address: address(args)?, what })
}

/// The board that a call names in one of the ways.
pub(super) fn address(args: &Arguments<'_>) -> Result<BoardAddress, Fault> {
    let way = args.form(ADDRESSES, |name| args.is_given(name))?;
    let machine = || args.need("machine", Arguments::shared);
    let number = |name| args.need(name, Arguments::u32);
    Ok(match way {
        0 => BoardAddress::Triad { machine: machine()?, x: number("x")?, y: number("y")?, z: number("z")? },
        1 => {
            let place =
                Physical { cabinet: number("cabinet")?, frame: number("frame")?, board: number("board")? };
            BoardAddress::Place { machine: machine()?, place }
        }
        _ => BoardAddress::Serial {
            machine: args.shared("machine")?,
            serial: args.need("serial", Arguments::shared)?,
        },
    })
}

/// What a board said, as callers read it.
struct Told<'a>(&'a Heard);

impl Serialize for Told<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Heard::Done => serializer.serialize_none(),
            Heard::Said(json) => shape::JsonText(json).serialize(serializer),
            Heard::Sensors(sensors) => shape::machine::Sensors(sensors).serialize(serializer),
        }
    }
}
