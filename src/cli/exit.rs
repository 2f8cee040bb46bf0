//! How a command ends: the status the shell sees, and the sentence a person reads.
//!
//! | status | meaning |
//! |---|---|
//! | 0 | done |
//! | 1 | the output could not be written |
//! | 2 | the arguments are wrong, or a file they name cannot be read |
//! | 3 | refused: not permitted, no such job, a wrong argument, a damaged journal, any refusal that is not in the next row |
//! | 4 | not available: impossible here, draining or shutting down, a limit, a time-out, a job that ended while it was waited for or under a tunnel, a journal that a server has |
//! | 5 | no connection to the server, or it broke |
//! | 126, 127 | `run`, `tunnel`: the program could not be started, was not found |
//! | any | `run`, `tunnel`: the program's own status; 128 and the signal's number when a signal ended it, or us while we waited or had none |

use crate::client::ClientError;
use crate::error::Code;
use crate::wire::answer::Refusal;
use serde_json::{Value, json};
use std::fmt;
use std::io;

/// What `--help` says of it.
pub const EXIT_HELP: &str = "\
Exit status:
  0    done
  1    the output could not be written
  2    the arguments are wrong, or a file they name cannot be read
  3    refused: not permitted, no such job, a wrong argument, a damaged journal ...
  4    not available: impossible, draining, a limit, a time-out, the job ended while it was waited for, or a server
       has the journal
  5    no connection to the server
'berth run' and 'berth tunnel' pass on the status of their program: 128 and the signal's number when a signal ended it; 126 and 127
when it could not be started or was not found.";

/// The ends a command can come to, by their status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// The output could not be written.
    Output = 1,
    /// The command line, or a file it names, is wrong.
    Usage = 2,
    /// The server refused.
    Refused = 3,
    /// It cannot be had at present, or ever.
    NotAvailable = 4,
    /// Nobody answered.
    Connection = 5,
}

/// Why a command ended early.
#[derive(Debug)]
pub enum Failure {
    /// This is told.
    Told {
        /// The status.
        exit: Exit,
        /// The number of the refusal, if it is one.
        code: Option<i64>,
        /// The sentence.
        msg: String,
    },
    /// Whoever read the output wants no more of it. Nobody needs to be told.
    PipeClosed,
}

impl Failure {
    /// A failure of our own.
    pub fn new(exit: Exit, msg: impl Into<String>) -> Failure {
        Failure::Told { exit, code: None, msg: msg.into() }
    }

    /// A wrong command line.
    pub fn usage(msg: impl Into<String>) -> Failure {
        Failure::new(Exit::Usage, msg)
    }

    /// An answer with an unexpected shape.
    pub fn unexpected(what: impl fmt::Display) -> Failure {
        Failure::new(Exit::Connection, format!("the server's answer cannot be understood: {what}"))
    }

    /// The status the shell sees.
    pub fn status(&self) -> u8 {
        match self {
            Failure::Told { exit, .. } => *exit as u8,
            Failure::PipeClosed => 0,
        }
    }

    /// As `--json` tells it.
    pub fn to_json(&self) -> Value {
        match self {
            Failure::Told { code, msg, .. } => json!({"error": {"code": code, "msg": msg}}),
            Failure::PipeClosed => Value::Null,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Told { code: Some(code), msg, .. } => write!(f, "{msg} [{code}]"),
            Failure::Told { msg, .. } => f.write_str(msg),
            Failure::PipeClosed => f.write_str("the output was closed"),
        }
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Failure {
        let exit = exit_of(refusal.code);
        Failure::Told { exit, code: Some(refusal.code), msg: refusal.msg }
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Failure {
        match error {
            ClientError::Root(refusal) | ClientError::Call(refusal) => refusal.into(),
            other => Failure::new(Exit::Connection, other.to_string()),
        }
    }
}

/// An error of our own output; errors of sockets are `ClientError`.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Failure {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Failure::PipeClosed,
            _ => Failure::new(Exit::Output, format!("the output cannot be written: {error}")),
        }
    }
}

/// The numbers of limits.
const LIMITS: std::ops::Range<i64> = 1100..1200;
/// Refusals that say "not now" or "not here" rather than "no".
const NOT_AVAILABLE: [Code; 5] =
    [Code::TIME_OUT, Code::IMPOSSIBLE, Code::DRAINING, Code::STOPPING, Code::NOT_KEPT];

/// How a command ends that was refused with this number.
pub fn exit_of(code: i64) -> Exit {
    let not_now = NOT_AVAILABLE.iter().any(|known| i64::from(known.number()) == code);
    if not_now || LIMITS.contains(&code) { Exit::NotAvailable } else { Exit::Refused }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_has_a_status() {
        for row in crate::error::ROWS {
            let number = i64::from(row.code.number());
            let expected = match number {
                102 | 1012 | 1030 | 1031 | 1032 => 4,
                1100..=1199 => 4,
                _ => 3,
            };
            assert_eq!(exit_of(number) as u8, expected, "{}", row.name);
        }
        assert_eq!(exit_of(77_777) as u8, 3);
    }

    #[test]
    fn failures_end_as_documented() {
        let refusal = |code| Refusal { code, msg: "so".to_owned() };
        assert_eq!(Failure::from(ClientError::Call(refusal(413))).status(), 3);
        assert_eq!(Failure::from(ClientError::Root(refusal(1103))).status(), 4);
        assert_eq!(Failure::from(ClientError::Protocol("x".to_owned())).status(), 5);
        assert_eq!(Failure::usage("x").status(), 2);
        assert_eq!(Failure::from(io::Error::from(io::ErrorKind::BrokenPipe)).status(), 0);
        assert_eq!(Failure::from(io::Error::from(io::ErrorKind::StorageFull)).status(), 1);
        let failure = Failure::from(refusal(1001));
        assert_eq!(failure.to_string(), "so [1001]");
        assert_eq!(failure.to_json(), json!({"error": {"code": 1001, "msg": "so"}}));
    }
}
