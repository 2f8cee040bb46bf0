//! Questions and answers: every list, page and metric is made of these, whichever door it leaves by.

use super::board::{BoardState, Tally};
use super::fact::{JobId, MachineName, Mark};
use super::job::{JobEvent, JobSpec, JobState, Loan, Reason};
use super::machine::{MachineSpec, Physical};
use crate::allocator::BoardIndex;
use crate::allocator::torus::{Chip, Triad};
use crate::clock::Moment;
use crate::user::{Role, UserName};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// How a caller names a board.
#[derive(Clone, Debug, PartialEq)]
pub enum BoardAddress {
    /// By its place in the torus.
    Triad {
        /// The machine.
        machine: MachineName,
        /// The triad in x.
        x: u32,
        /// The triad in y.
        y: u32,
        /// The board in the triad.
        z: u32,
    },
    /// By where it stands.
    Place {
        /// The machine.
        machine: MachineName,
        /// Cabinet, frame, board.
        place: Physical,
    },
    /// By its serial, in one machine or in any.
    Serial {
        /// The machine, if named.
        machine: Option<MachineName>,
        /// The serial.
        serial: Arc<str>,
    },
}

impl fmt::Display for BoardAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BoardAddress::Triad { machine, x, y, z } => {
                write!(f, "machine '{machine}' has no board [{x},{y},{z}]")
            }
            BoardAddress::Place { machine, place } => {
                let Physical { cabinet, frame, board } = place;
                write!(
                    f,
                    "machine '{machine}' has no board at cabinet {cabinet}, frame {frame}, board {board}"
                )
            }
            BoardAddress::Serial { machine: Some(machine), serial } => {
                write!(f, "machine '{machine}' has no board with the serial '{serial}'")
            }
            BoardAddress::Serial { machine: None, serial } => write!(f, "no board has the serial '{serial}'"),
        }
    }
}

/// The name of a board inside its machine.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum BoardName {
    /// Its place in the torus.
    Triad(Triad),
    /// Its serial.
    Serial(Arc<str>),
}

impl BoardName {
    /// A board as people write it: `m[3,1,2]` or `devices/devices-3`.
    pub fn text_in(&self, machine: &str) -> String {
        match self {
            BoardName::Triad(_) => format!("{machine}[{self}]"),
            BoardName::Serial(_) => format!("{machine}/{self}"),
        }
    }
}

impl fmt::Display for BoardName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BoardName::Triad(at) => write!(f, "{},{},{}", at.x, at.y, at.z),
            BoardName::Serial(serial) => serial.fmt(f),
        }
    }
}

/// Which jobs to list.
#[derive(Clone, Debug, Default)]
pub struct JobFilter {
    /// Of this owner.
    pub owner: Option<Arc<str>>,
    /// On this machine.
    pub machine: Option<MachineName>,
    /// In this state; destroyed ones are listed only when asked for.
    pub state: Option<JobState>,
    /// At most so many.
    pub limit: Option<usize>,
}

/// Which boards to list.
#[derive(Clone, Debug, Default)]
pub struct BoardFilter {
    /// Of this machine.
    pub machine: Option<MachineName>,
    /// In this state.
    pub state: Option<BoardState>,
    /// Skip so many.
    pub offset: usize,
    /// At most so many.
    pub limit: Option<usize>,
}

/// Where something is, in one of four ways of asking.
#[derive(Clone, Debug, PartialEq)]
pub enum Whereabouts {
    /// The board at a place in the torus; places beyond the edge are wrapped.
    Logical {
        /// The machine.
        machine: MachineName,
        /// The triad in x.
        x: i64,
        /// The triad in y.
        y: i64,
        /// The board in the triad.
        z: i64,
    },
    /// The board that stands there.
    Physical {
        /// The machine.
        machine: MachineName,
        /// Cabinet, frame, board.
        place: Physical,
    },
    /// The board that has this chip of the whole machine.
    Chip {
        /// The machine.
        machine: MachineName,
        /// The chip in x.
        x: i64,
        /// The chip in y.
        y: i64,
    },
    /// The board that has this chip of a job's own grid.
    JobChip {
        /// The job.
        job: JobId,
        /// The chip in x.
        x: i64,
        /// The chip in y.
        y: i64,
    },
}

/// Every question.
#[derive(Clone, Debug)]
pub enum Query {
    /// How the lab is.
    Status,
    /// All machines.
    Machines,
    /// One machine.
    Machine(MachineName),
    /// Boards.
    Boards(BoardFilter),
    /// One board.
    Board(BoardAddress),
    /// Where a board of a torus stands.
    Position(BoardAddress),
    /// Which board of a torus stands there.
    AtPosition(BoardAddress),
    /// Where something is.
    WhereIs(Whereabouts),
    /// Jobs.
    Jobs(JobFilter),
    /// One job.
    Job(JobId),
    /// The state of one job; an unknown one has state 0.
    JobState(JobId),
    /// The boards of one job and how to reach them.
    JobMachine(JobId),
    /// Why a job waits.
    Explain(JobId),
    /// What happened to a job.
    JobHistory(JobId),
    /// How many boards can be reserved.
    Available(Reservable),
    /// Which boards can be reserved.
    Devices(Reservable),
    /// Those of these jobs that are live reservations.
    Reserved(Vec<JobId>),
    /// All users.
    Users,
}

/// Of which boards to tell whether they can be reserved. What lent boards and patience leave for others changes with
/// time, so the present is part of the question.
#[derive(Clone, Debug, PartialEq)]
pub struct Reservable {
    /// Those of this machine; none for all pools.
    pub machine: Option<MachineName>,
    /// Those that can be prepared as this; none for any.
    pub kind: Option<Arc<str>>,
    /// The present.
    pub now: Moment,
}

/// Every answer.
#[derive(Clone, Debug)]
pub enum View {
    /// How the lab is.
    Status(StatusView),
    /// Machines.
    Machines(Vec<MachineView>),
    /// One machine with all its boards.
    Machine(MachineView, Vec<BoardView>),
    /// Boards.
    Boards(Vec<BoardView>),
    /// One board.
    Board(BoardView),
    /// Where a board stands, if that is known.
    Position(Option<Physical>),
    /// The board that stands there, if one does.
    AtPosition(Option<Triad>),
    /// Where something is, if it is anywhere.
    WhereIs(Option<WhereView>),
    /// Jobs.
    Jobs(Vec<JobView>),
    /// One job.
    Job(JobView),
    /// The state of a job, none for an unknown one.
    JobState(Option<JobView>),
    /// The boards of a job, none while it has none.
    JobMachine(Option<JobMachineView>),
    /// Why a job waits.
    Explain(ExplainView),
    /// What happened to a job.
    JobHistory(Vec<(Moment, JobEvent)>),
    /// How many boards can be reserved.
    Available(usize),
    /// Which boards can be reserved, machine by machine, longest idle first.
    Devices(Vec<Arc<str>>),
    /// Reservations.
    Reserved(Vec<ReservedView>),
    /// What was changed about boards that are reserved, or are to be.
    Changed(Devices),
    /// Users.
    Users(Vec<UserView>),
}

impl View {
    /// How many jobs, boards, machines or users it names.
    pub fn rows(&self) -> usize {
        match self {
            View::Machines(machines) => machines.len(),
            View::Machine(_, boards) | View::Boards(boards) => boards.len(),
            View::Jobs(jobs) => jobs.len(),
            View::Users(users) => users.len(),
            View::Devices(serials) => serials.len(),
            View::Reserved(reserved) => reserved.len(),
            View::Changed(devices) => devices.reserved.len() + devices.renewed.len(),
            View::JobMachine(Some(held)) => held.boards.len(),
            View::JobState(Some(job)) | View::Job(job) => job.boards.len().max(1),
            _ => 1,
        }
    }
}

/// How the lab is.
#[derive(Clone, Debug)]
pub struct StatusView {
    /// Whether new jobs are taken.
    pub accept: bool,
    /// Why not.
    pub reason: Arc<str>,
    /// Live jobs by state.
    pub jobs: BTreeMap<JobState, usize>,
    /// Ended jobs that are remembered.
    pub jobs_ended: usize,
    /// Boards by state.
    pub boards: BTreeMap<BoardState, u32>,
    /// Machines.
    pub machines: usize,
    /// Users.
    pub users: usize,
    /// Sessions.
    pub sessions: usize,
    /// Orders that hardware has not answered.
    pub orders_open: usize,
}

/// A machine and how its boards are.
#[derive(Clone, Debug)]
pub struct MachineView {
    /// What it is made of.
    pub spec: Arc<MachineSpec>,
    /// Its boards by state.
    pub boards: BTreeMap<BoardState, u32>,
}

/// A board.
#[derive(Clone, Debug)]
pub struct BoardView {
    /// Its machine.
    pub machine: MachineName,
    /// Its number there.
    pub index: BoardIndex,
    /// Its name there.
    pub name: BoardName,
    /// Its state.
    pub state: BoardState,
    /// Since when.
    pub since: Moment,
    /// Why it is in that state, where there is a reason.
    pub reason: Option<Arc<str>>,
    /// The job that holds it, and whose it is.
    pub holder: Option<(JobId, Arc<str>)>,
    /// Where it stands.
    pub physical: Option<Physical>,
    /// Where it answers; empty when unknown.
    pub host: Arc<str>,
    /// When it is tested again.
    pub retest_at: Option<Moment>,
    /// What an operator wants it to be when it comes back.
    pub marked: Option<Mark>,
    /// How many holders reported it.
    pub reports: usize,
    /// What it offers, in order.
    pub offers: Vec<Arc<str>>,
    /// How people call it; empty when nobody said.
    pub called: Arc<str>,
    /// What became of the jobs that were to be done on it.
    pub tally: Tally,
}

/// A job.
#[derive(Clone, Debug)]
pub struct JobView {
    /// Its number.
    pub id: JobId,
    /// What was asked for.
    pub spec: Arc<JobSpec>,
    /// Its state.
    pub state: JobState,
    /// When it was queued.
    pub created: Moment,
    /// When it lapses if nobody mentions it.
    pub lapses_at: Option<Moment>,
    /// When its lease is over.
    pub lease_ends_at: Option<Moment>,
    /// The boards it holds, or held last.
    pub loan: Option<Loan>,
    /// Their names.
    pub boards: Vec<BoardName>,
    /// How many jobs stand before it.
    pub ahead: Option<usize>,
    /// How many grants came to nothing.
    pub attempts: u32,
    /// Why it ended.
    pub reason: Option<Reason>,
    /// When it ended.
    pub ended: Option<Moment>,
}

/// The boards of a job and how to reach them.
#[derive(Clone, Debug)]
pub struct JobMachineView {
    /// The machine.
    pub machine: MachineName,
    /// Chips in x; none on a pool.
    pub width: Option<u32>,
    /// Chips in y; none on a pool.
    pub height: Option<u32>,
    /// For each board of a torus its Ethernet chip, seen from the job's own origin, and its host.
    pub connections: Vec<(Chip, Arc<str>)>,
    /// The boards.
    pub boards: Vec<BoardName>,
}

/// Where something is.
#[derive(Clone, Debug, PartialEq)]
pub struct WhereView {
    /// The machine.
    pub machine: MachineName,
    /// The board's place in the torus.
    pub logical: Triad,
    /// Where it stands.
    pub physical: Physical,
    /// The chip in the whole machine.
    pub chip: Chip,
    /// The chip on its board.
    pub board_chip: Chip,
    /// The job that has the board.
    pub job: Option<JobId>,
    /// The chip in that job's own grid.
    pub job_chip: Option<Chip>,
}

/// Why a job waits.
#[derive(Clone, Debug)]
pub struct ExplainView {
    /// The job.
    pub job: JobId,
    /// Its state.
    pub state: JobState,
    /// How many jobs stand before it.
    pub ahead: Option<usize>,
    /// One sentence.
    pub sentence: String,
    /// When it starts at the latest, if that is known.
    pub starts_by: Option<Moment>,
    /// On each machine that could take it: the boards it would have to wait for.
    pub machines: Vec<WaitView>,
}

/// What a job waits for on one machine.
#[derive(Clone, Debug)]
pub struct WaitView {
    /// The machine.
    pub machine: MachineName,
    /// When the boards come together at the latest, if that is known.
    pub free_by: Option<Moment>,
    /// The boards that are not free now.
    pub waits_for: Vec<BlockerView>,
    /// How many boards are out of use: quarantined, in maintenance, offline.
    pub out_of_use: Vec<(BoardState, u32)>,
    /// Why nothing can be held there at present, where that is so.
    pub obstacle: Option<String>,
}

/// A board that a job waits for.
#[derive(Clone, Debug)]
pub struct BlockerView {
    /// The board.
    pub board: BoardName,
    /// Its state.
    pub state: BoardState,
    /// Who holds it.
    pub holder: Option<(JobId, Arc<str>)>,
    /// When it is free at the latest, if that is known.
    pub until: Option<Moment>,
}

/// What a wish changed about boards that are reserved, or are to be.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Devices {
    /// Those that were reserved, extended or ended.
    pub reserved: Vec<ReservedView>,
    /// Serials of those that are found anew.
    pub renewed: Vec<Arc<str>>,
}

/// A board that is reserved, or was until just now.
#[derive(Clone, Debug, PartialEq)]
pub struct ReservedView {
    /// The job that it is lent to.
    pub job: JobId,
    /// Whose it is.
    pub owner: Arc<str>,
    /// The machine it stands in.
    pub machine: MachineName,
    /// Its serial.
    pub serial: Arc<str>,
    /// As what it is prepared.
    pub kind: Arc<str>,
    /// Until when.
    pub ends_at: Moment,
}

/// A user.
#[derive(Clone, Debug)]
pub struct UserView {
    /// The name.
    pub name: UserName,
    /// The role.
    pub role: Role,
    /// Since when.
    pub created: Moment,
    /// How many sessions.
    pub sessions: usize,
}

/// How many boards of a wait are named at the most.
pub const BLOCKERS_NAMED_MAX: usize = 64;

impl MachineSpec {
    /// The name of a board.
    pub fn board_name(&self, board: BoardIndex) -> BoardName {
        match &self.shape {
            super::machine::Shape::Triads(torus) => BoardName::Triad(torus.torus().triad(board)),
            super::machine::Shape::Pool { serials } => {
                BoardName::Serial(serials.get(board.0 as usize).cloned().unwrap_or_default())
            }
        }
    }
}
