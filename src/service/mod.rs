//! What can be asked by name: every function as one value, from which calls are checked, run and documented.
//!
//! Reading order: this file (what a function is, and the list of them all), `plan` (what a call comes to,
//! and who calls), `arguments` (out of JSON, named and checked), one file for each service (`about`
//! `machine` `job` `board` `reservation` `channel` `agent`
//! `notice` `user` `admin`: the functions themselves), `shape` (answers into JSON), `schema` (the little language that
//! says how answers look), `dispatch` (one call in, a plan out; what came of it in, bytes out) and
//! `render` (documents and help made of the list).
//!
//! A function changes nothing and waits for nothing: it translates. What a plan says is carried out
//! elsewhere, by whoever owns the lab, and its outcome comes back here to be written. Deliberately not
//! here: sockets, frames, the list of calls in a message, the lab's own rules (a plan may still be
//! refused), and the words of other doors.

pub mod about;
pub mod admin;
pub mod agent;
pub mod arguments;
pub mod board;
pub mod channel;
pub mod dispatch;
pub mod job;
pub mod machine;
mod nearest;
pub mod notice;
pub mod plan;
pub mod render;
pub mod reservation;
pub mod schema;
pub mod shape;
pub mod user;

pub use arguments::Arguments;
pub use dispatch::{plan, write_answer};
pub use plan::{Asker, Door, Outcome, Plan, Planned};

use crate::error::{Code, Fault};
use crate::user::Role;
use foldhash::fast::FixedState;
use std::collections::HashMap;
use std::fmt;
use std::sync::LazyLock;

/// Everything there is to know about one function.
pub struct Function {
    /// Its name on the wire.
    pub name: &'static str,
    /// The service it belongs to.
    pub service: &'static str,
    /// What it does, in a few sentences.
    pub doc: &'static str,
    /// Its arguments, in the order of the documents.
    pub args: &'static [Arg],
    /// What it answers, in the language of `schema`.
    pub result: &'static str,
    /// The least role that may call it.
    pub role: Role,
    /// How it can fail, apart from `COMMON_ERRORS`.
    pub errors: &'static [Code],
    /// Arguments of a call that makes sense, as JSON.
    pub example: &'static str,
    /// Its arguments into a plan.
    pub plan: fn(&Arguments<'_>, &Asker<'_>) -> Result<Plan, Fault>,
    /// What came of the plan into JSON.
    pub answer: Answer,
    /// Refusals that are no failure but the answer null.
    pub null_for: &'static [Code],
}

/// Writes the result of a function.
pub type Answer = fn(&Outcome, &Asker<'_>, &mut Vec<u8>) -> Result<(), Fault>;

impl fmt::Debug for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "function {}", self.name)
    }
}

/// One argument of a function.
#[derive(Debug)]
pub struct Arg {
    /// Its name.
    pub name: &'static str,
    /// Other names it goes by.
    pub aliases: &'static [&'static str],
    /// What it may be.
    pub kind: ArgType,
    /// What it is when it is left out, as JSON; none when it must be given.
    pub default: Option<&'static str>,
    /// What it means.
    pub doc: &'static str,
}

impl Arg {
    /// An argument that must be given.
    pub const fn needed(name: &'static str, kind: ArgType, doc: &'static str) -> Arg {
        Arg { name, aliases: &[], kind, default: None, doc }
    }

    /// An argument that may be left out.
    pub const fn with(name: &'static str, kind: ArgType, default: &'static str, doc: &'static str) -> Arg {
        Arg { name, aliases: &[], kind, default: Some(default), doc }
    }

    /// The same argument, which goes by other names too.
    pub const fn or_named(self, aliases: &'static [&'static str]) -> Arg {
        Arg { aliases, ..self }
    }
}

/// What an argument may be; its display is what documents and complaints say.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ArgType {
    /// True or false.
    Bool,
    /// A whole number from the first to the last.
    Int(i64, i64),
    /// A number from the first to the last.
    Number(f64, f64),
    /// A number of seconds above 0, at most so many.
    Seconds(f64),
    /// A name or other text of 1 to so many bytes.
    Name(usize),
    /// A text of at most so many bytes.
    Text(usize),
    /// A text that is never repeated in a complaint.
    Secret,
    /// A list of at most so many names.
    Names(usize),
    /// A list of at most so many whole numbers that are not negative.
    Ints(usize),
    /// Any JSON of at most so many bytes.
    Json(usize),
    /// A list of at most so many texts that stand for bytes.
    Blobs(usize),
    /// The number of a job.
    JobId,
    /// The state of a job, by its word or its number.
    JobState,
    /// One of these words.
    Word(&'static [&'static str]),
}

impl fmt::Display for ArgType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ArgType::Bool => f.write_str("true or false"),
            ArgType::Int(min, max) => write!(f, "an integer from {min} to {max}"),
            ArgType::Number(min, max) if *max == f64::MAX => write!(f, "a number of {min} or more"),
            ArgType::Number(min, max) => write!(f, "a number from {min} to {max}"),
            ArgType::Seconds(max) => write!(f, "a number of seconds above 0, at most {max}"),
            ArgType::Name(max) => write!(f, "a string of 1 to {max} bytes"),
            ArgType::Text(max) => write!(f, "a string of at most {max} bytes"),
            ArgType::Secret => f.write_str("a string"),
            ArgType::Names(max) => {
                write!(f, "a list of at most {max} strings of 1 to {} bytes", arguments::NAME_BYTES_MAX)
            }
            ArgType::Ints(max) => write!(f, "a list of at most {max} integers from 0 to {}", u32::MAX),
            ArgType::Json(max) => write!(f, "any JSON of at most {max} bytes"),
            ArgType::Blobs(max) => write!(f, "a list of at most {max} strings in base64"),
            ArgType::JobId => f.write_str("the number of a job, an integer of 0 or more"),
            ArgType::JobState => f.write_str(
                "the state of a job: unknown, queued, power, ready, destroyed, or its number from 0 to 4",
            ),
            ArgType::Word(words) => write!(f, "one of \"{}\"", words.join("\", \"")),
        }
    }
}

/// The services, in the order of the documents.
pub static SERVICES: &[Service] = &[
    Service { name: "about", doc: "The server, and what can be asked of it.", functions: about::FUNCTIONS },
    Service {
        name: "machine",
        doc: "Machines, and where their boards and chips are.",
        functions: machine::FUNCTIONS,
    },
    Service {
        name: "job",
        doc: "Jobs: requests for boards and, once granted, the loans.",
        functions: job::FUNCTIONS,
    },
    Service { name: "board", doc: "Single boards.", functions: board::FUNCTIONS },
    Service {
        name: "reservation",
        doc: "Boards of pools that are lent at once or not at all, until a time that can be put off.",
        functions: reservation::FUNCTIONS,
    },
    Service {
        name: "channel",
        doc: "Datagrams between whoever holds a board and the board, on this connection.",
        functions: channel::FUNCTIONS,
    },
    Service {
        name: "agent",
        doc: "Workers that come with boards of a pool, on this connection.",
        functions: agent::FUNCTIONS,
    },
    Service { name: "notice", doc: "Being told of changes as they happen.", functions: notice::FUNCTIONS },
    Service { name: "user", doc: "Users and their sessions.", functions: user::FUNCTIONS },
    Service { name: "admin", doc: "Running the server.", functions: admin::FUNCTIONS },
];

/// Functions that belong together.
#[derive(Debug)]
pub struct Service {
    /// Its name.
    pub name: &'static str,
    /// What it is about, in a sentence.
    pub doc: &'static str,
    /// Its functions, in the order of the documents.
    pub functions: &'static [Function],
}

/// How every call can fail, whichever function it names.
pub const COMMON_ERRORS: &[Code] =
    &[Code::INTERNAL, Code::INVALID_MESSAGE, Code::NOT_PERMITTED, Code::STOPPING, Code::ANSWER_TOO_LARGE];

/// All functions, service by service.
pub fn all() -> impl Iterator<Item = &'static Function> {
    SERVICES.iter().flat_map(|service| service.functions)
}

/// Functions by name. The hash needs no seed: nobody outside puts anything into this table.
static BY_NAME: LazyLock<HashMap<&'static str, &'static Function, FixedState>> =
    LazyLock::new(|| all().map(|function| (function.name, function)).collect());

/// The function of this name.
pub fn find(name: &str) -> Option<&'static Function> {
    BY_NAME.get(name).copied()
}

#[cfg(test)]
mod tests;
