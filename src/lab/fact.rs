//! What happened: the facts that are journalled, and nothing else is.
//!
//! A fact carries everything that was decided (a grant names its boards), so that replaying it needs no
//! decision and a better packer never rewrites history. Facts are in the past tense; wishes are in `command`.

use super::job::{JobSpec, Reason};
use super::machine::MachineSpec;
use crate::allocator::{BoardIndex, Region};
use crate::clock::Moment;
use crate::user::{Phc, Role, UserName};
use std::fmt;
use std::sync::Arc;

/// The name of a machine; shared, because every grant, order and notice carries it.
pub type MachineName = Arc<str>;

/// The number of a job, from 1, never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobId(pub u64);

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The number of a grant. It only grows; hardware refuses an order that carries an older one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Grant(pub u64);

/// An order to hardware is known by its grant and by its place among the orders of that grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OrderId {
    /// The grant under which the boards are touched.
    pub grant: Grant,
    /// 0 for the first order of a grant, then one more for each.
    pub step: u32,
}

impl fmt::Display for OrderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.grant.0, self.step)
    }
}

/// The 128 random bits of a session's id.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionKey(pub u128);

impl fmt::Debug for SessionKey {
    /// Whoever reads the id can speak as its user, so logs get only its beginning.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SessionKey({:08x}..)", (self.0 >> 96) as u32)
    }
}

/// One board of one machine.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BoardRef {
    /// The machine it stands in.
    pub machine: MachineName,
    /// Its place there.
    pub board: BoardIndex,
}

/// A fact: when, and what.
#[derive(Clone, Debug, PartialEq)]
pub struct Fact {
    /// When it was decided.
    pub at: Moment,
    /// What happened.
    pub event: Event,
}

/// Everything that can happen in a lab.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A machine joined the lab at this place in the order of machines; its boards are free.
    MachineAdded { spec: Arc<MachineSpec>, position: usize },
    /// A machine kept its boards but changed tags, kinds, dead boards or links, places or times.
    MachineChanged { spec: Arc<MachineSpec>, position: usize },
    /// A machine left the lab; its jobs ended before.
    MachineRemoved { machine: MachineName },

    /// A request was taken into the queue.
    JobQueued { job: JobId, spec: Arc<JobSpec> },
    /// A waiting job was lent boards; order 0 of the grant prepares them.
    JobGranted {
        job: JobId,
        grant: Grant,
        machine: MachineName,
        boards: Arc<[BoardIndex]>,
        region: Option<Region>,
    },
    /// All boards of the job obeyed; `power` says whether they are on now.
    JobReady { job: JobId, order: OrderId, power: bool },
    /// The holder asked for power on or off; `order` carries it out.
    JobPowering { job: JobId, order: OrderId, power: bool },
    /// A job lost its boards, or they did not do what it was for, and it waits again: at its old place, or where this
    /// priority puts it from now on. `order` cleans the boards.
    JobRequeued { job: JobId, order: Option<OrderId>, reason: Arc<str>, priority: Option<i32> },
    /// The lease of a job's loan lasts until then.
    LeaseExtended { job: JobId, until: Moment },
    /// The holder of a reservation was told that its lease ends then.
    LeaseEnding { job: JobId, ends_at: Moment },
    /// A job ended; `order` cleans its boards if it had any.
    JobDestroyed { job: JobId, order: Option<OrderId>, reason: Reason },

    /// Hardware answered an order in part, or with failures; `settle` draws the consequences.
    OrderAnswered { order: OrderId, obeyed: Vec<BoardIndex>, failed: Vec<(BoardIndex, Arc<str>)> },
    /// Hardware did not answer an order in time: what was still open counts as failed.
    OrderOverdue { order: OrderId },

    /// These boards are off and clean; they are free from `free_at` on.
    BoardsCleaned { order: OrderId, machine: MachineName, boards: Vec<BoardIndex>, free_at: Moment },
    /// Boards whose cool-down is over became free.
    BoardsFreed { machine: MachineName, boards: Vec<BoardIndex> },
    /// A board was taken out of use until a retest or an operator brings it back.
    BoardQuarantined { board: BoardRef, reason: Arc<str>, retest_at: Option<Moment> },
    /// An agent said that it has boards of this pool which nobody knew; they are the last of it now, and offline.
    BoardsAnnounced { machine: MachineName, serials: Arc<[Arc<str>]> },
    /// The agent of a board that nobody has any more fell silent; the board is out of use until it comes back.
    BoardOffline { board: BoardRef, reason: Arc<str> },
    /// What a board offers changed: these labels, in order, each once.
    BoardOffers { board: BoardRef, offers: Arc<[Arc<str>]> },
    /// An operator gave a board a name, or took it away: then it is empty.
    BoardNamed { board: BoardRef, name: Arc<str> },
    /// A quarantined board is being tested; `order` does it.
    BoardTested { board: BoardRef, order: OrderId },
    /// A holder said that a board is faulty.
    BoardReported { board: BoardRef, by: Arc<str>, reason: Arc<str> },
    /// An operator decided on a board; it takes effect when the board is next free.
    BoardMarked { board: BoardRef, mark: Mark, by: Arc<str>, reason: Arc<str> },
    /// An operator's mark took effect, or a board was brought back.
    BoardSet { board: BoardRef, mark: Mark, by: Arc<str>, reason: Arc<str> },

    /// A user was made.
    UserCreated { user: UserName, role: Role, phc: Phc },
    /// A user's password was changed.
    PasswordSet { user: UserName, phc: Phc },
    /// A user's role was changed.
    RoleSet { user: UserName, role: Role },
    /// A user was deleted.
    UserDeleted { user: UserName },
    /// A hand-shake was accepted.
    SessionOpened { session: SessionKey, user: UserName, role: Role, client: Arc<str>, span_ms: u64 },
    /// A session ended.
    SessionEnded { session: SessionKey, why: SessionEnd },

    /// The service takes new jobs, or no longer does.
    ServiceSet { accept: bool, by: Arc<str>, reason: Arc<str> },

    /// A journal was put back from a copy: numbers up to these may have been given out since the copy was made, and
    /// are not given out again.
    NumbersSkipped { last_job: JobId, last_grant: Grant },
}

/// What an operator wants a board to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mark {
    /// Free to be lent again.
    Free,
    /// Out of use for work on it; it comes back when told.
    Maintenance,
    /// Gone for good, as if the configuration said so.
    Dead,
}

/// Why a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionEnd {
    /// Its lifespan ran out.
    Expired,
    /// Its holder logged out.
    LoggedOut,
    /// Somebody with the right ended it.
    Ended,
    /// Its user was deleted or has a new password.
    UserChanged,
}
