//! What a call comes to (`Plan`), who calls (`Asker`), and what came of the plan (`Outcome`).
//!
//! These are the words between the functions and whoever carries plans out. Every plan that is not
//! `Ready` needs the lab, the table of sessions, hardware or a thread of its own; none of that is here.

use super::Function;
use crate::clock::Moment;
use crate::error::Fault;
use crate::lab::Reach;
use crate::lab::ask::{Ask, Reply};
use crate::lab::command::{Caller, Command, Consult};
use crate::lab::fact::{BoardRef, JobId, MachineName, OrderId};
use crate::lab::job::JobState;
use crate::lab::view::{BoardAddress, Query};
use crate::session::{Session, SessionId};
use crate::user::password::Password;
use crate::user::{Phc, Role, UserName};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

/// Who calls, and through which door.
#[derive(Clone, Debug)]
pub struct Asker<'a> {
    /// The user and the role.
    pub caller: Caller,
    /// The session that speaks.
    pub session: SessionId,
    /// How the client called itself.
    pub client: &'a str,
    /// Since when the session lives.
    pub opened: Moment,
    /// When it ends if it is not used again; none means never.
    pub expires: Option<Moment>,
    /// The present.
    pub now: Moment,
    /// The server as it is at the moment.
    pub door: Door<'a>,
}

/// What a server knows of itself that the lab does not.
#[derive(Clone, Copy, Debug)]
pub struct Door<'a> {
    /// The name of the server.
    pub name: &'a str,
    /// How long it has been running.
    pub uptime_ms: u64,
    /// The doors that are open, and where each listens.
    pub listen: &'a BTreeMap<&'static str, String>,
    /// How many connections it has.
    pub connections: usize,
    /// What its journal did since it was opened.
    pub journal: JournalCounts,
    /// What it knows of its boards.
    pub book: &'a dyn BoardBook,
    /// Its workers.
    pub workers: &'a dyn Workforce,
}

/// What a journal did.
#[derive(Clone, Copy, Debug, Default)]
pub struct JournalCounts {
    /// Durable writes of facts.
    pub appends: u64,
    /// Facts in them.
    pub facts: u64,
    /// Times the disk was told to make sure.
    pub syncs: u64,
    /// Snapshots that were completed.
    pub snapshots: u64,
    /// Facts deleted because nobody wants history that old.
    pub expired: u64,
}

/// A call that was understood.
#[derive(Debug)]
pub struct Planned {
    /// The function that was called; it also writes the answer.
    pub function: &'static Function,
    /// What to do.
    pub plan: Plan,
    /// The job whose keepalive starts anew when the caller turns out to be its owner.
    pub mentions: Option<JobId>,
}

/// What to do for a call. Each says which outcome its function understands.
#[derive(Debug)]
pub enum Plan {
    /// Nothing: this is the result. -> `Outcome::Ready`
    Ready(Cow<'static, [u8]>),
    /// Ask the lab. -> `Outcome::Reply`
    Ask(Ask),
    /// Change the lab and then, unless that was refused, look. -> `Outcome::Reply` with what was seen
    AskThenSee(Command, Query),
    /// Note a sign of life, if `dispatch::mention` allows it. -> `Outcome::Nothing`
    Mention(JobId),
    /// Wait until the job has come so far or has ended, or the time is up; then see `Query::Job`. ->
    /// `Outcome::Reply`
    Wait {
        /// The job.
        job: JobId,
        /// The state to wait for, or one after it.
        until: JobState,
        /// How long to wait.
        timeout_ms: u64,
    },
    /// Tell what happened to a job: as `Query::JobHistory` where the lab remembers all of it, else out of the journal. ->
    /// `Outcome::Reply`
    Past(JobId),
    /// Tell this connection of changes, or no longer. -> `Outcome::Nothing`
    Watch(WatchChange),
    /// Open a channel to a board on this connection. -> `Outcome::Channels` with this one
    OpenChannel {
        /// The job that holds the board.
        job: JobId,
        /// The board.
        board: BoardAddress,
        /// The port of the board.
        port: u16,
    },
    /// Do something with the channels of this connection. -> what each says
    UseChannel(ChannelUse),
    /// Take in what a worker says on this connection. -> `Outcome::Stay` of a registration, else `Outcome::Nothing`
    Agent(AgentUse),
    /// Tell which workers there are. -> `Outcome::Workers`
    Workers {
        /// Of this machine only.
        machine: Option<MachineName>,
    },
    /// Put a question to a board. -> `Outcome::Heard`
    Consult {
        /// The board.
        address: BoardAddress,
        /// The question.
        what: Consult,
    },
    /// Put a question to several boards at once, if it may be put to each of them. -> `Outcome::Obeyed`
    ConsultAll {
        /// The serials of the boards.
        serials: Vec<Arc<str>>,
        /// The question.
        what: Consult,
    },
    /// Hash a password, then ask the lab for `PasswordFor::command`. -> `Outcome::Reply`
    Hash {
        /// The password.
        password: Password,
        /// What it is for.
        then: PasswordFor,
    },
    /// List the living sessions, of one user or of all. -> `Outcome::Sessions`
    Sessions {
        /// Whose.
        user: Option<UserName>,
    },
    /// Find this session and ask the lab to end it. -> `Outcome::Reply` or `Outcome::Nothing`
    EndSession {
        /// Which.
        session: SessionName,
    },
    /// Read the configuration again. -> `Outcome::Changed`
    ReloadConfig,
    /// Set the log's level if one is given, and tell which it is. -> `Outcome::LogLevel` or
    /// `Outcome::Nothing`
    LogLevel(Option<&'static str>),
}

/// What a connection wants to hear of, or no longer.
#[derive(Clone, Debug, PartialEq)]
pub struct WatchChange {
    /// Of what.
    pub what: Watched,
    /// Whether to begin or to stop.
    pub on: bool,
}

/// What can be watched; none means all of them.
#[derive(Clone, Debug, PartialEq)]
pub enum Watched {
    /// A job. It may be watched before it exists.
    Job(Option<JobId>),
    /// A machine.
    Machine(Option<MachineName>),
    /// How many boards can be reserved.
    Available,
}

/// What can be done with channels that are open.
#[derive(Clone, Debug, PartialEq)]
pub enum ChannelUse {
    /// Send these, in this order. -> `Outcome::Sent`
    Send {
        /// Through which.
        channel: u64,
        /// The datagrams.
        datagrams: Vec<Vec<u8>>,
    },
    /// End one. -> `Outcome::Nothing`
    Close {
        /// Which.
        channel: u64,
    },
    /// Tell all. -> `Outcome::Channels`
    List,
}

/// What workers say.
#[derive(Debug)]
pub enum AgentUse {
    /// That one is there.
    Register(WorkerRegistration),
    /// Anything else.
    Speak {
        /// The number of its stay on this connection.
        stay: u64,
        /// What.
        word: AgentWord,
    },
}

/// A worker as it introduces itself.
pub struct WorkerRegistration {
    /// The pool.
    pub machine: MachineName,
    /// Its name.
    pub name: Arc<str>,
    /// What it proves itself with.
    pub token: String,
    /// Its version.
    pub version: Arc<str>,
    /// Where it is reached.
    pub url: Option<Arc<str>>,
    /// Its boards.
    pub boards: Vec<WorkerBoard>,
    /// It wants no new work.
    pub draining: bool,
}

impl fmt::Debug for WorkerRegistration {
    /// Without the token, which is nobody else's business.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WorkerRegistration({} of {}, {} boards)", self.name, self.machine, self.boards.len())
    }
}

/// A board that a worker has.
#[derive(Clone, Debug, PartialEq)]
pub struct WorkerBoard {
    /// Its serial.
    pub serial: Arc<str>,
    /// What it is.
    pub model: Arc<str>,
    /// The last order it stands by.
    pub holds: Option<OrderId>,
}

/// What a worker that is registered says.
#[derive(Debug)]
pub enum AgentWord {
    /// That it lives.
    Beat,
    /// What came of an order.
    Order {
        /// Which.
        order: OrderId,
        /// Boards that did it.
        obeyed: Vec<Arc<str>>,
        /// Boards that did not, and why.
        failed: Vec<(Arc<str>, Arc<str>)>,
    },
    /// What a board says to a question.
    Question {
        /// Which.
        ticket: u64,
        /// What, or why nothing.
        answer: Result<Heard, Arc<str>>,
    },
    /// It has more boards.
    Add(Vec<WorkerBoard>),
    /// It has these boards no more, and why.
    Remove(Vec<Arc<str>>, Arc<str>),
    /// These boards are broken, and how.
    Break(Vec<Arc<str>>, Arc<str>),
    /// Whether it wants no new work.
    Drain(bool),
    /// It leaves, and why.
    Leave(Arc<str>),
}

/// A worker as callers see it.
#[derive(Clone, Debug, PartialEq)]
pub struct WorkerView {
    /// The pool.
    pub machine: MachineName,
    /// Its name.
    pub name: Arc<str>,
    /// Its version.
    pub version: Arc<str>,
    /// Where it is reached.
    pub url: Option<Arc<str>>,
    /// Its boards, with what they are.
    pub boards: Vec<(Arc<str>, Arc<str>)>,
    /// It wants no new work.
    pub draining: bool,
    /// It is connected.
    pub connected: bool,
    /// When it was heard last.
    pub seen: Moment,
}

/// How many workers there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WorkerCounts {
    /// Connected.
    pub connected: usize,
    /// Not connected, but they may come back.
    pub away: usize,
    /// Those of both that want no new work.
    pub draining: usize,
}

/// What the server knows of its workers.
pub trait Workforce: fmt::Debug + Sync {
    /// How many there are.
    fn count(&self) -> WorkerCounts;
    /// Where the worker that has this board answers, if it said so.
    fn url_of(&self, serial: &str) -> Option<Arc<str>>;
}

/// A channel as callers see it.
#[derive(Clone, Debug, PartialEq)]
pub struct ChannelView {
    /// Its number on this connection.
    pub channel: u64,
    /// The way to the board.
    pub reach: Reach,
    /// The board's address, as it was looked up.
    pub remote: SocketAddr,
    /// Our own.
    pub local: SocketAddr,
    /// Since when it is open.
    pub opened: Moment,
    /// Datagrams handed to the network.
    pub sent: u64,
    /// Datagrams that came and were kept for the reader.
    pub received: u64,
    /// Datagrams that came and were not kept, or not for long enough.
    pub dropped: u64,
    /// Datagrams that wait for the reader.
    pub waiting: usize,
}

/// What a server knows of its boards beside the lab: no facts, and gone with the server.
pub trait BoardBook: fmt::Debug + Sync {
    /// What it knows of a board.
    fn record(&self, board: &BoardRef) -> BoardRecord;
}

/// What is known of a board beside the lab.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BoardRecord {
    /// What came of switching it last.
    pub power: Option<PowerResult>,
    /// What its sensors said last.
    pub sensors: Option<SensorReadings>,
}

/// What came of switching a board.
#[derive(Clone, Debug, PartialEq)]
pub struct PowerResult {
    /// What was to be done.
    pub action: &'static str,
    /// When it was heard of.
    pub at: Moment,
    /// Why it was not done; none when it was.
    pub failed: Option<Arc<str>>,
}

/// Sensors by name: the value, and its unit.
pub type SensorValues = BTreeMap<Arc<str>, (f64, Arc<str>)>;

/// What the sensors of a board said.
#[derive(Clone, Debug, PartialEq)]
pub struct SensorReadings {
    /// When.
    pub at: Moment,
    /// What.
    pub values: SensorValues,
}

/// What a password is for that is being hashed.
#[derive(Debug)]
pub enum PasswordFor {
    /// A user that is to be made.
    Create {
        /// The name.
        user: UserName,
        /// The role.
        role: Role,
    },
    /// A user that has one already.
    Set {
        /// The name.
        user: UserName,
    },
}

impl PasswordFor {
    /// What to ask of the lab, now that the hash is there.
    pub fn command(self, phc: Phc) -> Command {
        match self {
            PasswordFor::Create { user, role } => Command::CreateUser { user, role, phc },
            PasswordFor::Set { user } => Command::SetPassword { user, phc },
        }
    }
}

/// How a caller names a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionName {
    /// By its id.
    Id(SessionId),
    /// By the first 32 of its 128 bits, as lists show them; only administrators may, and only when no
    /// other begins so.
    Prefix(u32),
}

impl SessionName {
    /// Whether a session is called so.
    pub fn names(self, id: SessionId) -> bool {
        match self {
            SessionName::Id(known) => known == id,
            SessionName::Prefix(prefix) => id.to_bits() >> 96 == u128::from(prefix),
        }
    }
}

/// What came of a plan that was not refused.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "it is moved once; a box would be an allocation for every call"
)]
pub enum Outcome {
    /// The result was known beforehand.
    Ready(Cow<'static, [u8]>),
    /// It was done and there is nothing to say.
    Nothing,
    /// The lab's reply.
    Reply(Reply),
    /// Channels, by their numbers.
    Channels(Vec<ChannelView>),
    /// How many datagrams were sent.
    Sent(usize),
    /// A worker was registered.
    Stay {
        /// The number of its stay on this connection.
        stay: u64,
        /// How long it may be silent.
        timeout_ms: u64,
    },
    /// Workers, by machine and name.
    Workers(Vec<WorkerView>),
    /// What a board said.
    Heard(Heard),
    /// Serials of the boards that did as they were told.
    Obeyed(Vec<Arc<str>>),
    /// Sessions, in the order in which they are listed.
    Sessions(Vec<Arc<Session>>),
    /// What a new configuration changed, a sentence each.
    Changed(Vec<String>),
    /// The level of the log.
    LogLevel(Cow<'static, str>),
}

/// What a board said when it was asked.
#[derive(Clone, Debug, PartialEq)]
pub enum Heard {
    /// It did as it was told.
    Done,
    /// Its sensors, by name: the value, and its unit.
    Sensors(BTreeMap<Arc<str>, (f64, Arc<str>)>),
    /// Its agent's own words, as JSON text.
    Said(Arc<str>),
}

/// What came of a call: an outcome, or the reason why there is none.
pub type Came = Result<Outcome, Fault>;
