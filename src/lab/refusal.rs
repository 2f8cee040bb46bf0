//! Why not: the closed list of what the lab refuses, each with its code and a sentence.

use super::fact::{JobId, MachineName};
use crate::error::{Code, Fault};
use crate::user::UserName;
use std::sync::Arc;

/// A wish that was refused; nothing changed.
#[derive(Clone, Debug, PartialEq)]
pub enum Refusal {
    /// No such job.
    JobUnknown(JobId),
    /// The job ended, for this reason.
    JobOver(JobId, Arc<str>),
    /// The job waits and has no boards.
    JobWithoutBoards(JobId),
    /// The job's boards are being switched.
    JobNotReady(JobId),
    /// The job has other boards.
    BoardNotHeld { job: JobId, board: String },
    /// No host is known for the board.
    BoardWithoutHost(String),
    /// The job belongs to somebody else.
    NotYours { job: JobId, owner: Arc<str> },
    /// What the caller wants needs a higher role.
    NeedsRole(&'static str),
    /// No such machine.
    MachineUnknown(MachineName),
    /// No such board.
    BoardUnknown(String),
    /// The request can never be met; one sentence says why.
    Impossible(String),
    /// Nobody prepares boards as this kind.
    KindUnknown { kind: Arc<str>, offered: Vec<Arc<str>> },
    /// So many boards were to be reserved, and so many are available.
    TooFewAvailable { asked: usize, available: usize },
    /// A board that was to be reserved is not available; one sentence says why.
    NotAvailable(String),
    /// The board cannot be brought from its state to that one.
    BoardState(String),
    /// No such user.
    UserUnknown(UserName),
    /// The user exists.
    UserExists(UserName),
    /// The last administrator cannot go.
    LastAdmin(UserName),
    /// No such session.
    SessionUnknown,
    /// The service drains.
    Draining(Arc<str>),
    /// An argument is out of its range.
    BadArgument(String),
    /// A keepalive longer than the role allows.
    Keepalive { max_s: u64 },
    /// A text longer than allowed.
    TextTooLong { what: &'static str, max: usize },
    /// The lab has as many live jobs as it takes.
    TooManyJobs(usize),
    /// The owner has as many live jobs as allowed.
    TooManyOwnJobs(usize),
    /// The lab has as many users as it takes.
    TooManyUsers(usize),
    /// The user has as many sessions as allowed.
    TooManySessions(usize),
}

impl Refusal {
    /// The code and the sentence a caller reads.
    pub fn fault(&self) -> Fault {
        Fault::new(self.code(), self.sentence())
    }

    fn code(&self) -> Code {
        match self {
            Refusal::JobUnknown(_) => Code::JOB_UNKNOWN,
            Refusal::JobOver(..) => Code::JOB_OVER,
            Refusal::JobWithoutBoards(_) => Code::JOB_WITHOUT_BOARDS,
            Refusal::JobNotReady(_) => Code::JOB_NOT_READY,
            Refusal::BoardNotHeld { .. } => Code::BOARD_NOT_HELD,
            Refusal::BoardWithoutHost(_) => Code::BOARD_UNREACHABLE,
            Refusal::NotYours { .. } | Refusal::NeedsRole(_) => Code::NOT_PERMITTED,
            Refusal::MachineUnknown(_) => Code::MACHINE_UNKNOWN,
            Refusal::BoardUnknown(_) => Code::BOARD_UNKNOWN,
            Refusal::Impossible(_) => Code::IMPOSSIBLE,
            Refusal::KindUnknown { .. } => Code::KIND_UNKNOWN,
            Refusal::TooFewAvailable { .. } | Refusal::NotAvailable(_) => Code::NOT_AVAILABLE,
            Refusal::BoardState(_) => Code::BOARD_STATE,
            Refusal::UserUnknown(_) => Code::USER_UNKNOWN,
            Refusal::UserExists(_) => Code::USER_EXISTS,
            Refusal::LastAdmin(_) => Code::LAST_ADMIN,
            Refusal::SessionUnknown => Code::SESSION_UNKNOWN,
            Refusal::Draining(_) => Code::DRAINING,
            Refusal::BadArgument(_) => Code::BAD_ARGUMENT,
            Refusal::Keepalive { .. } => Code::KEEPALIVE_RANGE,
            Refusal::TextTooLong { .. } => Code::TEXT_TOO_LONG,
            Refusal::TooManyJobs(_) => Code::TOO_MANY_JOBS,
            Refusal::TooManyOwnJobs(_) => Code::TOO_MANY_OWN_JOBS,
            Refusal::TooManyUsers(_) => Code::TOO_MANY_USERS,
            Refusal::TooManySessions(_) => Code::TOO_MANY_SESSIONS,
        }
    }

    fn sentence(&self) -> String {
        match self {
            Refusal::JobUnknown(job) => format!("no job has the number {job}"),
            Refusal::JobOver(job, reason) => format!("job {job} is destroyed: {reason}"),
            Refusal::JobWithoutBoards(job) => format!("job {job} is queued and has no boards yet"),
            Refusal::JobNotReady(job) => {
                format!("the boards of job {job} are being switched; wait until it is ready")
            }
            Refusal::BoardNotHeld { job, board } => format!("job {job} does not hold the board {board}"),
            Refusal::BoardWithoutHost(board) => {
                format!("no host is configured for the board {board}, so no datagram can reach it")
            }
            Refusal::NotYours { job, owner } => {
                format!("job {job} belongs to {owner}; only the owner or an operator may do this")
            }
            Refusal::NeedsRole(what) => (*what).to_owned(),
            Refusal::MachineUnknown(name) => {
                format!("no machine is called '{name}'; list_machines names them all")
            }
            Refusal::BoardUnknown(what) => what.clone(),
            Refusal::Impossible(why) => format!("no machine could ever meet this request: {why}"),
            Refusal::KindUnknown { kind, offered } => {
                format!("no machine asked for prepares boards as '{kind}'; offered: {}", offered.join(", "))
            }
            Refusal::TooFewAvailable { asked, available } => {
                format!("{available} of {asked} boards are available; none was reserved")
            }
            Refusal::NotAvailable(why) | Refusal::BoardState(why) | Refusal::BadArgument(why) => why.clone(),
            Refusal::UserUnknown(user) => format!("no user is called '{user}'"),
            Refusal::UserExists(user) => format!("a user called '{user}' exists"),
            Refusal::LastAdmin(user) => format!("'{user}' is the last administrator; make another one first"),
            Refusal::SessionUnknown => "no living session has this id".to_owned(),
            Refusal::Draining(reason) => format!("new jobs are not taken at present: {reason}"),
            Refusal::Keepalive { max_s } => {
                format!(
                    "keepalive must be a number of seconds up to {max_s} for this role (limits.keepalive_s_max)"
                )
            }
            Refusal::TextTooLong { what, max } => format!("{what} may have at most {max} bytes"),
            Refusal::TooManyJobs(max) => format!("the lab has {max} live jobs already (limits.jobs_max)"),
            Refusal::TooManyOwnJobs(max) => {
                format!("you have {max} live jobs already (limits.jobs_per_owner_max)")
            }
            Refusal::TooManyUsers(max) => format!("there are {max} users already (limits.users_max)"),
            Refusal::TooManySessions(max) => {
                format!("this user has {max} sessions already (limits.sessions_per_user_max)")
            }
        }
    }
}
