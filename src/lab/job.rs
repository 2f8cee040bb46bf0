//! A job: one request for boards and, once granted, the loan.
//!
//! ```text
//!   queued(1) ----granted----> power(2) ----boards obey----> ready(3)
//!      ^                        |   ^                           |
//!      +---boards fail----------+   +---power_on, power_off-----+
//!
//!   any ----ended by its holder or an operator, lapsed, failed, done----> destroyed(4)
//! ```
//!
//! A job that needs what only some boards offer (an image to be burnt) also goes from ready back to queued: it is put
//! back when it was not done, with its number, at `PUT_BACK_PRIORITY`.

use super::demand::DEFAULT_KIND;
use super::fact::{Grant, JobId, MachineName, OrderId};
use super::view::BoardName;
use crate::allocator::{BoardIndex, Region};
use crate::clock::Moment;
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

/// The longest text a job can be given (reason, note, kind and its arguments), in bytes.
pub const JOB_TEXT_BYTES_MAX: usize = 1024;

/// How many boards one request can name.
pub const SERIALS_NAMED_MAX: usize = 4096;

/// How many boards one request can reserve.
pub const RESERVED_AT_ONCE_MAX: usize = 4096;

/// How many events of a live job are remembered; the journal has them all.
pub const JOB_LOG_MAX: usize = 64;

/// The kind of a board that writes images; its argument is `{"image": ...}`, and only a board that offers the image is lent.
pub const BURN_KIND: &str = "burn";

/// The priority at which a job waits again that was put back in the line.
pub const PUT_BACK_PRIORITY: i32 = -5;

/// How an image is called: so many digits, hexadecimal, in lower case.
pub const IMAGE_DIGITS: usize = 32;

/// What the name begins with under which a door acts; no user's name can.
const DOOR_MARK: char = '/';

/// What boards are asked for, before a machine is chosen.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Want {
    /// At least so many boards; one is any one board.
    Boards(u32),
    /// A rectangle of triads.
    Triads {
        /// Triads in x.
        width: u32,
        /// Triads in y.
        height: u32,
    },
    /// The board at this place.
    Exact {
        /// The triad in x.
        x: u32,
        /// The triad in y.
        y: u32,
        /// The board in the triad.
        z: u32,
    },
    /// The boards with these serials.
    Serials(Vec<Arc<str>>),
}

impl fmt::Display for Want {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Want::Boards(1) => write!(f, "1 board"),
            Want::Boards(count) => write!(f, "{count} boards"),
            Want::Triads { width, height } => write!(f, "{width}x{height} triads"),
            Want::Exact { x, y, z } => write!(f, "board [{x},{y},{z}]"),
            Want::Serials(serials) => write!(f, "boards {}", serials.join(", ")),
        }
    }
}

/// Everything a request says, as it was checked.
#[derive(Clone, Debug, PartialEq)]
pub struct JobSpec {
    /// Whose job it is.
    pub owner: Arc<str>,
    /// Who asked for it: the owner, an operator, or a door whose protocol knows no users and takes any owner it is told.
    /// Written down when it is taken into the queue, whatever stands here before.
    pub by: Arc<str>,
    /// Which boards.
    pub want: Want,
    /// On this machine only.
    pub machine: Option<MachineName>,
    /// On machines with all these tags.
    pub tags: BTreeSet<Arc<str>>,
    /// The least ratio of the short to the long side, for a number of boards.
    pub min_ratio: f64,
    /// How many boards may be missing; none means any number.
    pub max_dead_boards: Option<u32>,
    /// How many links inside may be dead; none means any number.
    pub max_dead_links: Option<u32>,
    /// Whether the boards must wrap around.
    pub require_torus: bool,
    /// How long the job may go unmentioned; none means for ever.
    pub keepalive_ms: Option<u64>,
    /// How long the loan may last at most once granted; none means as long as the holder wants.
    pub lease_ms: Option<u64>,
    /// As what the boards are prepared; none means the machine's first kind, or `spinnaker` where no machine is named.
    pub kind: Option<Arc<str>>,
    /// Arguments of the kind, as JSON text; empty for none.
    pub kind_args: Arc<str>,
    /// Higher goes first.
    pub priority: i32,
    /// Free text, shown in lists.
    pub note: Arc<str>,
    /// What the door it came by wants to be told again when it lists the job, in that door's own spelling; empty for nothing.
    pub echo: Arc<str>,
    /// Whether it is a reservation: one board of a pool, lent at once or not at all, whose holder is told before the
    /// lease ends and is never given another board.
    pub reserved: bool,
}

impl JobSpec {
    /// A request for `want` and nothing special, lapsing after a minute of silence.
    pub fn new(owner: &str, want: Want) -> JobSpec {
        JobSpec {
            owner: owner.into(),
            by: owner.into(),
            want,
            machine: None,
            tags: BTreeSet::from(["default".into()]),
            min_ratio: 0.0,
            max_dead_boards: None,
            max_dead_links: None,
            require_torus: false,
            keepalive_ms: Some(60_000),
            lease_ms: None,
            kind: None,
            kind_args: "".into(),
            priority: 0,
            note: "".into(),
            echo: "".into(),
            reserved: false,
        }
    }

    /// Whether the boards are to be booted once they are on: `{"boot": true}` as an argument of the kind `spinnaker`.
    pub fn wants_boot(&self) -> bool {
        self.kind.as_deref().is_none_or(|kind| kind == DEFAULT_KIND) && asks_for_boot(&self.kind_args)
    }

    /// What a board must offer to be lent for it: the image that the kind `burn` is to write. Boards that such a job loses are
    /// no fault of its own, so it is put back in the line as often as it takes.
    pub fn needs(&self) -> Option<Arc<str>> {
        let one_board = match &self.want {
            Want::Boards(count) => *count == 1,
            Want::Serials(serials) => serials.len() == 1,
            _ => false,
        };
        let burns = self.kind.as_deref() == Some(BURN_KIND) && !self.reserved;
        if burns && one_board { image_of(&self.kind_args) } else { None }
    }

    /// On whose account it counts. What people tell a door about themselves is no proof, so all whom it lets in have
    /// one account together: they use up nobody else's, and do not fill the lab under invented names.
    pub fn account(&self) -> Arc<str> {
        if self.by.starts_with(DOOR_MARK) { self.by.clone() } else { self.owner.clone() }
    }
}

/// How holders of reservations are told that their lease ends soon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Warning {
    /// So long before the end they are told first.
    pub before_ms: u64,
    /// And so often again; at least a millisecond.
    pub every_ms: u64,
}

/// Whether the arguments of the kind `spinnaker` ask for a boot.
pub fn asks_for_boot(kind_args: &str) -> bool {
    // Most jobs have no arguments; those of others are read by what they are for.
    let args = || serde_json::from_str::<serde_json::Value>(kind_args).ok();
    !kind_args.is_empty()
        && args().is_some_and(|args| args.get("boot") == Some(&serde_json::Value::Bool(true)))
}

/// The image that the arguments of the kind `burn` name.
pub fn image_of(kind_args: &str) -> Option<Arc<str>> {
    let args = serde_json::from_str::<serde_json::Value>(kind_args).ok()?;
    let image = args.get("image")?.as_str()?;
    let is_digit = |digit: u8| digit.is_ascii_digit() || (b'a'..=b'f').contains(&digit);
    (image.len() == IMAGE_DIGITS && image.bytes().all(is_digit)).then(|| image.into())
}

/// The state of a job, with spalloc's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum JobState {
    /// No such job.
    Unknown = 0,
    /// It waits for boards.
    Queued = 1,
    /// Its boards are being switched.
    Power = 2,
    /// Its boards obeyed.
    Ready = 3,
    /// It is over.
    Destroyed = 4,
}

impl JobState {
    /// All states, in order.
    pub const ALL: [JobState; 5] =
        [JobState::Unknown, JobState::Queued, JobState::Power, JobState::Ready, JobState::Destroyed];

    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            JobState::Unknown => "unknown",
            JobState::Queued => "queued",
            JobState::Power => "power",
            JobState::Ready => "ready",
            JobState::Destroyed => "destroyed",
        }
    }

    /// The state that is called so.
    pub fn from_word(word: &str) -> Option<JobState> {
        JobState::ALL.into_iter().find(|state| state.word() == word)
    }
}

/// Why a job ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Reason {
    /// Somebody ended it: who, and the words that were given.
    Asked {
        /// Who.
        by: Arc<str>,
        /// Why.
        text: Option<Arc<str>>,
    },
    /// Its keepalive ran out.
    Lapsed,
    /// Its lease was over.
    LeaseOver,
    /// After a change of the lab no machine could ever meet it.
    Impossible(Arc<str>),
    /// Its machine left the lab, or changed its boards.
    MachineRemoved(MachineName),
    /// Boards failed once too often.
    BoardsFailed(Arc<str>),
    /// What it was for is done; the words of whoever did it.
    Done(Arc<str>),
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::Asked { by, text: None } => write!(f, "ended by {by}"),
            Reason::Asked { by, text: Some(text) } => write!(f, "ended by {by}: {text}"),
            Reason::Lapsed => write!(f, "keepalive lapsed"),
            Reason::LeaseOver => write!(f, "lease over"),
            Reason::Impossible(why) => write!(f, "no machine can meet it any more: {why}"),
            Reason::MachineRemoved(machine) => {
                write!(f, "machine '{machine}' was removed, or has other boards now")
            }
            Reason::BoardsFailed(why) => write!(f, "boards failed: {why}"),
            Reason::Done(words) if words.is_empty() => write!(f, "done"),
            Reason::Done(words) => write!(f, "done: {words}"),
        }
    }
}

/// The boards a job holds, or held last.
#[derive(Clone, Debug, PartialEq)]
pub struct Loan {
    /// The number that fences.
    pub grant: Grant,
    /// On which machine.
    pub machine: MachineName,
    /// Which boards.
    pub boards: Arc<[BoardIndex]>,
    /// The rectangle of triads they fill, if one was asked for.
    pub region: Option<Region>,
    /// Since when.
    pub since: Moment,
    /// The number of the next order.
    pub next_step: u32,
    /// What the boards are, or are being switched to.
    pub power: bool,
    /// Whether they obeyed once: from then on the holder is never given others.
    pub was_ready: bool,
    /// As what they are prepared.
    pub kind: Arc<str>,
    /// The last extension of its lease.
    pub extended: Option<Extension>,
    /// When the holder was told last, since then, that the lease ends soon.
    pub warned: Option<Moment>,
}

/// A lease that was made longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extension {
    /// When.
    pub at: Moment,
    /// Until when it lasts now.
    pub until: Moment,
}

impl Loan {
    /// The number of the next order under this loan.
    pub fn next_order(&self) -> OrderId {
        OrderId { grant: self.grant, step: self.next_step }
    }
}

/// A job as it is now.
#[derive(Clone, Debug, PartialEq)]
pub struct Job {
    /// Its number.
    pub id: JobId,
    /// What was asked for.
    pub spec: Arc<JobSpec>,
    /// When it was queued.
    pub created: Moment,
    /// Its state.
    pub state: JobState,
    /// Its boards; kept after the end, to be shown.
    pub loan: Option<Loan>,
    /// How many grants came to nothing.
    pub attempts: u32,
    /// The last sign of life.
    pub last_seen: Moment,
    /// Before this its lease is not over, whatever was agreed: the server was not there.
    pub grace_until: Option<Moment>,
    /// Why it ended.
    pub reason: Option<Reason>,
    /// When it ended.
    pub ended: Option<Moment>,
    /// What happened to it, oldest first.
    pub log: Vec<(Moment, JobEvent)>,
}

/// What is remembered of a job's past.
#[derive(Clone, Debug, PartialEq)]
pub enum JobEvent {
    /// It was queued.
    Queued,
    /// It was lent boards.
    Granted {
        /// The number of the grant.
        grant: Grant,
        /// On which machine.
        machine: MachineName,
        /// How many boards.
        boards: usize,
    },
    /// Its boards obeyed.
    Ready {
        /// Whether they are on.
        power: bool,
    },
    /// It asked for power.
    Powering {
        /// On or off.
        power: bool,
    },
    /// It lost its boards and waits again.
    Requeued(Arc<str>),
    /// Its lease was made longer.
    Extended {
        /// Until when it lasts.
        until: Moment,
    },
    /// A board of it failed.
    BoardFailed {
        /// The machine the board stands in.
        machine: MachineName,
        /// The board.
        board: BoardName,
        /// What was wrong.
        reason: Arc<str>,
    },
    /// It ended.
    Destroyed(Reason),
}

impl Job {
    /// A job that was queued just now.
    pub fn new(id: JobId, spec: Arc<JobSpec>, at: Moment) -> Job {
        Job {
            id,
            spec,
            created: at,
            state: JobState::Queued,
            loan: None,
            attempts: 0,
            last_seen: at,
            grace_until: None,
            reason: None,
            ended: None,
            log: vec![(at, JobEvent::Queued)],
        }
    }

    /// Whether it waits or holds boards.
    pub fn is_live(&self) -> bool {
        self.state != JobState::Destroyed
    }

    /// The loan, while it lasts.
    pub fn live_loan(&self) -> Option<&Loan> {
        self.loan.as_ref().filter(|_| matches!(self.state, JobState::Power | JobState::Ready))
    }

    /// When it lapses if nobody mentions it.
    pub fn lapses_at(&self) -> Option<Moment> {
        self.spec.keepalive_ms.map(|ms| self.last_seen.plus_ms(ms))
    }

    /// When its lease is over, once it has one.
    pub fn lease_ends_at(&self) -> Option<Moment> {
        let (loan, lease_ms) = (self.live_loan()?, self.spec.lease_ms?);
        let agreed = loan.extended.map_or(loan.since.plus_ms(lease_ms), |extended| extended.until);
        Some(self.grace_until.map_or(agreed, |until| agreed.max(until)))
    }

    /// When the holder of a reservation is told next that its lease ends soon: from `warning.before_ms` before the end on,
    /// then again and again. A lease too short for that has its first warning when half of it is over; nobody is told
    /// twice within `warning.every_ms`.
    pub fn warns_at(&self, warning: Warning) -> Option<Moment> {
        let ends_at = self.lease_ends_at().filter(|_| self.spec.reserved)?;
        let loan = self.live_loan()?;
        let agreed = loan.extended.map_or(loan.since, |extended| extended.at);
        let earliest = match loan.warned {
            Some(warned) => warned.plus_ms(warning.every_ms.max(1)),
            None => agreed.plus_ms(warning.every_ms.min(ends_at.ms_since(agreed) / 2)),
        };
        let soon = Moment(ends_at.0.saturating_sub(warning.before_ms));
        Some(soon.max(earliest)).filter(|at| *at < ends_at)
    }

    /// The job as facts alone have it: signs of life and grace are none.
    pub fn without_signs(&self) -> Job {
        Job { last_seen: self.created, grace_until: None, ..self.clone() }
    }

    /// Adds to its past; the oldest is forgotten first, but never how it began.
    pub fn remember(&mut self, at: Moment, event: JobEvent) {
        if self.log.len() >= JOB_LOG_MAX {
            self.log.remove(1);
        }
        self.log.push((at, event));
    }
}
