//! Wishes: what somebody wants changed, in the imperative. `decide` turns a wish into facts or a refusal.

use super::fact::{BoardRef, Grant, JobId, MachineName, Mark, OrderId, SessionEnd, SessionKey};
use super::job::JobSpec;
use super::machine::MachineSpec;
use super::view::BoardAddress;
use crate::allocator::BoardIndex;
use crate::user::{Phc, Role, UserName};
use std::sync::Arc;

/// Who wishes something.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The user's name; `guest` for all guests, who are one and the same user.
    pub user: UserName,
    /// What the caller may do.
    pub role: Role,
}

impl Caller {
    /// The server itself, for what hardware, clocks and files bring about.
    pub fn server() -> Caller {
        Caller { user: UserName::server(), role: Role::Admin }
    }

    /// Whether the caller may act on a job: the owner, who asked for it, and operators.
    pub fn may_act_on(&self, job: &JobSpec) -> bool {
        self.role >= Role::Operator || [&*job.owner, &*job.by].contains(&self.user.as_str())
    }
}

/// Every change that can be wished for.
#[derive(Clone, Debug)]
pub enum Command {
    /// The machines of the lab are to be these, in this order.
    Configure(Vec<Arc<MachineSpec>>),
    /// Queue a request for boards.
    CreateJob(JobSpec),
    /// The same, but a request that no machine could ever meet is taken as well and ends at once with that reason.
    CreateJobAnyway(JobSpec),
    /// Switch all boards of a job on or off.
    PowerJob { job: JobId, power: bool },
    /// End a job, waiting or not.
    DestroyJob { job: JobId, reason: Option<Arc<str>> },
    /// Let the lease of a job's loan last so long from now, in milliseconds; none for as long as was agreed at first.
    ExtendJob { job: JobId, lease_ms: Option<u64> },
    /// Lend boards of pools at once, each to a job of its own; all of them or none.
    Reserve(Reservation),
    /// Let reservations of an owner last their whole span from now: those of these serials, or all. What is not reserved
    /// is passed over.
    ExtendReserved { owner: Arc<str>, serials: Option<Vec<Arc<str>>> },
    /// End reservations of an owner: those of these serials, or all. What is not reserved is passed over.
    EndReserved { owner: Arc<str>, serials: Option<Vec<Arc<str>>> },
    /// Set boards aside that nobody holds, until they have passed a test, which begins at once. Those that are held, or out
    /// of use for another reason, are passed over.
    RenewBoards { serials: Vec<Arc<str>> },
    /// Say that a board is faulty.
    ReportBoard { board: BoardAddress, reason: Arc<str> },
    /// Put a board into maintenance, declare it dead, bring it back.
    MarkBoard { board: BoardAddress, mark: Mark, reason: Arc<str> },
    /// Test a quarantined board now.
    RetestBoard { board: BoardAddress },
    /// Call a board by a name that people know; an empty one takes it away.
    NameBoard { board: BoardAddress, name: Arc<str> },
    /// Make a user.
    CreateUser { user: UserName, role: Role, phc: Phc },
    /// Give a user a new password; all sessions of the user end.
    SetPassword { user: UserName, phc: Phc },
    /// Give a user another role.
    SetRole { user: UserName, role: Role },
    /// Delete a user; all sessions of the user end.
    DeleteUser { user: UserName },
    /// Open a session for a user whose proof was accepted, or for a guest.
    OpenSession { session: SessionKey, user: UserName, role: Role, client: Arc<str>, span_ms: u64 },
    /// End a session.
    EndSession { session: SessionKey, why: SessionEnd },
    /// Take new jobs, or drain.
    SetService { accept: bool, reason: Arc<str> },
    /// An agent has these boards of its pool: those that nobody knows join it, and all that were offline are tested.
    AnnounceBoards { machine: MachineName, serials: Arc<[Arc<str>]> },
    /// An agent fell silent, or lost boards: their jobs get others or end, and they are offline.
    LoseBoards { machine: MachineName, boards: Arc<[BoardIndex]>, reason: Arc<str> },
    /// An agent says that boards it has are broken: their jobs get others or end, and those that nobody has are quarantined.
    BreakBoards { machine: MachineName, boards: Arc<[BoardIndex]>, reason: Arc<str> },
    /// The agent of boards wants no new work, or wants it again: then those that this kept out of use are tested.
    DrainBoards { machine: MachineName, boards: Arc<[BoardIndex]>, draining: bool },
    /// A board of an agents' pool offers these labels now, and no others.
    OfferOnBoard { machine: MachineName, board: BoardIndex, offers: Arc<[Arc<str>]> },
    /// The board of a job that needs an offer did not do it: the job is put back in the line, at `PUT_BACK_PRIORITY`.
    PutBackJob { job: JobId, grant: Grant, reason: Arc<str> },
    /// What a job was for is done; it ends.
    FinishJob { job: JobId, grant: Grant, words: Arc<str> },
    /// Hardware answered an order, wholly or in part.
    AnswerOrder { order: OrderId, obeyed: Vec<BoardIndex>, failed: Vec<(BoardIndex, Arc<str>)> },
}

/// What somebody wants to reserve.
#[derive(Clone, Debug, PartialEq)]
pub struct Reservation {
    /// Whose it is to be.
    pub owner: Arc<str>,
    /// Which boards.
    pub pick: Pick,
    /// On this machine only.
    pub machine: Option<MachineName>,
    /// As what they are prepared.
    pub kind: Arc<str>,
    /// Arguments of the kind, as JSON text; empty for none.
    pub kind_args: Arc<str>,
}

/// Which boards somebody wants to reserve.
#[derive(Clone, Debug, PartialEq)]
pub enum Pick {
    /// So many, whichever they are.
    Any(u32),
    /// Those with these serials.
    Serials(Vec<Arc<str>>),
}

/// A question to hardware that changes nothing in the lab: it is checked here, carried out outside, and its
/// outcome goes to the caller alone.
#[derive(Clone, Debug, PartialEq)]
pub enum Consult {
    /// Let the board's LED show which one it is.
    Identify { on: Option<bool> },
    /// Read temperatures, voltages and fans.
    ReadSensors,
    /// Off, then on again.
    PowerCycle,
    /// A command in the language of the board's own agent, with its arguments as JSON text.
    Send { command: Arc<str>, args: Arc<str> },
}

/// A consultation that was allowed: which board, under which number.
#[derive(Clone, Debug, PartialEq)]
pub struct Consultation {
    /// The board.
    pub board: BoardRef,
    /// The last order the board was given; a newer one overtakes this consultation.
    pub order: OrderId,
    /// The job that holds the board, if one does.
    pub held: Option<Held>,
}

/// What a controller has to know of the job whose board it is asked about; after a restart it may never have been told.
#[derive(Clone, Debug, PartialEq)]
pub struct Held {
    /// All boards of the job.
    pub boards: Arc<[BoardIndex]>,
    /// As what they are prepared.
    pub kind: Arc<str>,
    /// The arguments of that, as JSON text.
    pub args: Arc<str>,
}
