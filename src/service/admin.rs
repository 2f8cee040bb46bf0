//! The service `admin`: running the server.

use super::plan::Plan;
use super::{Arg, ArgType, Arguments, Function, Outcome, shape};
use crate::error::Code;
use crate::lab::ask::Ask;
use crate::lab::command::Command;
use crate::lab::job::JOB_TEXT_BYTES_MAX;
use crate::user::Role;

/// The levels of the log, the quietest first.
pub const LOG_LEVELS: &[&str] = &["error", "warn", "info", "debug", "trace"];

/// The functions of this service.
pub static FUNCTIONS: &[Function] = &[
    Function {
        name: "reload_config",
        service: "admin",
        doc: "Reads the configuration file again and applies it wholly or not at all. Jobs go on; those \
             on boards that are gone end with that reason. Answers what changed, a sentence each.",
        args: &[],
        result: "{changed:[str]}",
        role: Role::Admin,
        errors: &[Code::NOT_KEPT, Code::BAD_CONFIG],
        example: "{}",
        plan: |_, _| Ok(Plan::ReloadConfig),
        answer: |outcome, _, out| match outcome {
            Outcome::Changed(changed) => shape::write(out, &Changes { changed }),
            _ => Err(shape::unexpected()),
        },
        null_for: &[],
    },
    Function {
        name: "set_service",
        service: "admin",
        doc: "Whether new jobs are taken. Those that wait or run go on.",
        args: &[
            Arg::needed("accept", ArgType::Bool, "Whether to take new jobs."),
            Arg::with(
                "reason",
                ArgType::Text(JOB_TEXT_BYTES_MAX),
                r#""""#,
                "Why not, to be told to whoever asks for boards.",
            ),
        ],
        result: "null",
        role: Role::Admin,
        errors: &[Code::BAD_ARGUMENT, Code::NOT_KEPT, Code::TEXT_TOO_LONG],
        example: r#"{"accept": false, "reason": "power cut at noon"}"#,
        plan: |args, _| {
            let accept = args.need("accept", Arguments::bool)?;
            let reason = args.shared("reason")?.unwrap_or_default();
            Ok(Plan::Ask(Ask::Command(Command::SetService { accept, reason })))
        },
        answer: shape::null,
        null_for: &[],
    },
    Function {
        name: "get_log_level",
        service: "admin",
        doc: "How much the server writes to its log.",
        args: &[],
        result: "str",
        role: Role::Admin,
        errors: &[],
        example: "{}",
        plan: |_, _| Ok(Plan::LogLevel(None)),
        answer: |outcome, _, out| match outcome {
            Outcome::LogLevel(level) => shape::write(out, level),
            _ => Err(shape::unexpected()),
        },
        null_for: &[],
    },
    Function {
        name: "set_log_level",
        service: "admin",
        doc: "Makes the server write more or less to its log, until it is started again.",
        args: &[Arg::needed("level", ArgType::Word(LOG_LEVELS), "The level.")],
        result: "null",
        role: Role::Admin,
        errors: &[Code::BAD_ARGUMENT, Code::UNKNOWN_NAME],
        example: r#"{"level": "debug"}"#,
        plan: |args, _| Ok(Plan::LogLevel(Some(args.need("level", Arguments::word)?))),
        answer: shape::null,
        null_for: &[],
    },
];

/// What a new configuration changed.
#[derive(serde::Serialize)]
struct Changes<'a> {
    changed: &'a [String],
}
