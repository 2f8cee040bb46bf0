//! The heart: what is true in the lab, and who gets which boards.
//!
//! `Lab` is a value in memory. No socket, file, clock, thread or chance is inside: the present comes in as an
//! argument and the same inputs give the same facts. Read `job` and `board` first (their lives are drawn
//! there), then `command`, `fact`, `effect`, `view`, then this file, then the verbs, one file or folder each:
//!
//! - `decide` turns a wish into facts or a refusal; it reads only.
//! - `settle` names the next thing that is due by itself: a consequence, a lapse, a release, a grant. It is
//!   asked until it says none, each fact applied before the next question.
//! - `apply` is the only writer of what is true, and the same line of code at replay.
//! - `react` lists what must be done outside because of a fact just applied; it is never asked at replay.
//! - `see` answers every question (`agents`: what those that come with boards must know); `reach` says who may speak to a board.
//! - `check` says what must always hold.
//!
//! What boards offer beside being there is in `offers`. Who is next is the business of `demand` (what a request asks of a machine), `queue` (the line) and `track` (the
//! pass over one machine); why somebody is not, of `explain`.
//!
//! Beside the facts stand signs of life (`note`): they move deadlines and are never journalled, which is why
//! `resume`, asked once after replay, gives every live job its whole keepalive anew.
//!
//! What is deliberately not here: JSON, users' clear-text passwords, sockets, and whether a fact is kept.

pub mod ask;
pub mod board;
pub mod command;
pub mod demand;
pub mod effect;
pub mod fact;
pub mod history;
pub mod job;
pub mod machine;
pub mod queue;
pub mod refusal;
pub mod snapshot;
pub mod view;

mod agents;
mod apply;
mod check;
mod decide;
mod explain;
mod offers;
mod reach;
mod react;
mod see;
mod settle;
mod track;

pub use reach::Reach;
pub use settle::Why;

use crate::allocator::BoardIndex;
use crate::clock::Moment;
use crate::user::{Phc, Role, UserName};
use effect::Action;
use fact::{Grant, JobId, MachineName, OrderId, SessionKey};
use job::{Job, JobState, Warning};
use machine::Machine;
use queue::Queue;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

/// How many ended sessions are remembered, so that their ids are told from unknown ones.
pub const SESSIONS_REMEMBERED_MAX: usize = 10_000;

/// The limits and habits of a lab. They steer decisions, never the meaning of facts.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// How many ended jobs are remembered.
    pub retired_jobs_max: usize,
    /// How many grants of a job may come to nothing before it is given up.
    pub grant_attempts_max: u32,
    /// How many live jobs the lab takes.
    pub jobs_max: usize,
    /// How many live jobs one owner below operator may have.
    pub jobs_per_owner_max: usize,
    /// The longest keepalive below operator; zero means any, never lapsing included.
    pub keepalive_ms_max: u64,
    /// How many users there may be.
    pub users_max: usize,
    /// How many sessions one user may have.
    pub sessions_per_user_max: usize,
    /// After this time in the queue nobody overtakes a job.
    pub patience_ms: u64,
    /// How long a quarantined board waits for its first retest; zero means for an operator.
    pub retest_after_ms: u64,
    /// How many owners must report a board before it is quarantined; zero means never.
    pub reports_to_quarantine: usize,
    /// How long after a restart leases last at least, because their holders could not be warned or extend them.
    pub restart_grace_ms: u64,
    /// How long a reservation lasts, and how long from then on when it is extended.
    pub reservation_ms: u64,
    /// How holders of reservations are told that their lease ends soon.
    pub warning: Warning,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            retired_jobs_max: 10_000,
            grant_attempts_max: 3,
            jobs_max: 100_000,
            jobs_per_owner_max: 50_000,
            keepalive_ms_max: 0,
            users_max: 10_000,
            sessions_per_user_max: 10_000,
            patience_ms: 600_000,
            retest_after_ms: 300_000,
            reports_to_quarantine: 2,
            restart_grace_ms: 60_000,
            reservation_ms: 3_600_000,
            warning: Warning { before_ms: 1_200_000, every_ms: 300_000 },
        }
    }
}

/// Everything that is true.
#[derive(Clone)]
pub struct Lab {
    options: Options,
    machines: Vec<Machine>,
    jobs: BTreeMap<JobId, Job>,
    queue: Queue,
    live: BTreeSet<JobId>,
    retired: VecDeque<JobId>,
    /// How many live jobs are in each state.
    jobs_in_state: BTreeMap<JobState, usize>,
    live_of_account: BTreeMap<Arc<str>, usize>,
    job_of_grant: BTreeMap<Grant, JobId>,
    /// The live reservations of each owner.
    reserved_of_owner: BTreeMap<Arc<str>, BTreeSet<JobId>>,
    orders: BTreeMap<OrderId, Outstanding>,
    /// Orders with failures whose consequences are not drawn yet.
    troubled: BTreeSet<OrderId>,
    users: BTreeMap<UserName, User>,
    sessions: BTreeMap<SessionKey, SessionRecord>,
    sessions_over: VecDeque<SessionKey>,
    sessions_of_user: BTreeMap<UserName, usize>,
    service: Service,
    last_job: JobId,
    last_grant: Grant,
    due: Due,
    /// Jobs that fit on no machine any more.
    lost: BTreeSet<JobId>,
    /// Free boards that an operator marked or that were reported often enough: they are to be set aside.
    condemned: BTreeSet<(MachineName, BoardIndex)>,
}

/// Deadlines, each in order of time.
#[derive(Clone, Default)]
struct Due {
    lapses: BTreeSet<(Moment, JobId)>,
    leases: BTreeSet<(Moment, JobId)>,
    warnings: BTreeSet<(Moment, JobId)>,
    orders: BTreeSet<(Moment, OrderId)>,
    cooled: BTreeMap<(Moment, OrderId), (MachineName, Vec<BoardIndex>)>,
    retests: BTreeSet<(Moment, MachineName, BoardIndex)>,
}

/// An order that hardware has not answered yet.
#[derive(Clone, Debug, PartialEq)]
pub struct Outstanding {
    /// The machine the boards stand in.
    pub machine: MachineName,
    /// The boards it is about.
    pub boards: Arc<[BoardIndex]>,
    /// What it is for.
    pub purpose: Purpose,
    /// Boards that answered, well or badly.
    pub answered: BTreeSet<BoardIndex>,
    /// Boards that failed and are not set aside yet.
    pub failed: BTreeMap<BoardIndex, Arc<str>>,
    /// When hardware should have answered.
    pub deadline: Moment,
}

impl Outstanding {
    /// The order as facts alone have it: when it must be answered is said anew at each start.
    fn undated(&self) -> Outstanding {
        Outstanding { deadline: Moment(0), ..self.clone() }
    }
}

/// What an order is for.
#[derive(Clone, Debug, PartialEq)]
pub enum Purpose {
    /// A job's boards are being switched.
    Switch {
        /// The job.
        job: JobId,
        /// To what.
        action: Action,
    },
    /// Boards of an ended loan are being cleaned.
    Clean {
        /// The job that had them.
        job: JobId,
    },
    /// A quarantined board is being tested.
    Test,
}

/// A user as the lab knows one.
#[derive(Clone, Debug, PartialEq)]
pub struct User {
    /// What the user may do.
    pub role: Role,
    /// The hash of the password.
    pub phc: Phc,
    /// Since when the user exists.
    pub created: Moment,
}

/// A session as the lab knows it; its last use is not a fact and stands elsewhere.
#[derive(Clone, Debug, PartialEq)]
pub struct SessionRecord {
    /// Who speaks.
    pub user: UserName,
    /// With which rights.
    pub role: Role,
    /// How the client called itself.
    pub client: Arc<str>,
    /// Since when.
    pub opened: Moment,
    /// How long it lives unused; zero means for ever.
    pub span_ms: u64,
}

/// Whether new jobs are taken.
#[derive(Clone, Debug)]
struct Service {
    accept: bool,
    reason: Arc<str>,
}

impl Lab {
    /// An empty lab.
    pub fn new(options: Options) -> Lab {
        Lab {
            options,
            machines: Vec::new(),
            jobs: BTreeMap::new(),
            queue: Queue::default(),
            live: BTreeSet::new(),
            retired: VecDeque::new(),
            jobs_in_state: BTreeMap::new(),
            live_of_account: BTreeMap::new(),
            job_of_grant: BTreeMap::new(),
            reserved_of_owner: BTreeMap::new(),
            orders: BTreeMap::new(),
            troubled: BTreeSet::new(),
            users: BTreeMap::new(),
            sessions: BTreeMap::new(),
            sessions_over: VecDeque::new(),
            sessions_of_user: BTreeMap::new(),
            service: Service { accept: true, reason: "".into() },
            last_job: JobId(0),
            last_grant: Grant(0),
            due: Due::default(),
            lost: BTreeSet::new(),
            condemned: BTreeSet::new(),
        }
    }

    /// The numbers that were given out last.
    pub fn last_numbers(&self) -> (JobId, Grant) {
        (self.last_job, self.last_grant)
    }

    /// Takes other limits and habits, from the next decision on.
    pub fn set_options(&mut self, options: Options) {
        self.options = options;
        self.queue.reconsider_all();
        self.condemn_all();
        self.find_warnings();
    }

    /// Takes in signs of life: when jobs were last mentioned. No fact, and never a step back.
    pub fn note(&mut self, signs: &[(JobId, Moment)]) {
        signs.iter().for_each(|(job, at)| self.note_one(*job, *at));
    }

    fn note_one(&mut self, id: JobId, at: Moment) {
        let Some(job) = self.jobs.get_mut(&id).filter(|job| job.is_live() && job.last_seen < at) else {
            return;
        };
        if let Some(lapses_at) = job.lapses_at() {
            self.due.lapses.remove(&(lapses_at, id));
        }
        job.last_seen = at;
        self.due.lapses.extend(job.lapses_at().map(|lapses_at| (lapses_at, id)));
    }

    /// A user, by name.
    pub fn user(&self, name: &UserName) -> Option<&User> {
        self.users.get(name)
    }

    /// Whether anybody may do everything.
    pub fn has_admin(&self) -> bool {
        self.users.values().any(|user| user.role == Role::Admin)
    }

    /// All living sessions.
    pub fn sessions(&self) -> &BTreeMap<SessionKey, SessionRecord> {
        &self.sessions
    }

    /// Sessions that ended, the longest ago first.
    pub fn sessions_over(&self) -> impl Iterator<Item = SessionKey> {
        self.sessions_over.iter().copied()
    }

    /// What the machines are made of, in order.
    pub fn machine_specs(&self) -> impl Iterator<Item = &Arc<machine::MachineSpec>> {
        self.machines.iter().map(|machine| &machine.spec)
    }

    fn machine_number(&self, name: &str) -> Option<usize> {
        self.machines.iter().position(|machine| *machine.spec.name == *name)
    }

    fn machine(&self, name: &str) -> Option<&Machine> {
        self.machines.iter().find(|machine| *machine.spec.name == *name)
    }
}
