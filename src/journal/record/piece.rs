//! The bodies of pieces: one struct for each kind, in the order of the pieces, with its way in and its way back.
//!
//! The rules are those of facts (see `record`): a struct that was ever released is not changed. Signs of life are no
//! facts, so a job comes back as if it had last been mentioned when it was queued.

use super::part::*;
use super::{RecordError, Written, read, write};
use crate::allocator::torus::Triad;
use crate::allocator::{BoardIndex, Region};
use crate::clock::Moment;
use crate::lab::board::{BoardState, Note, Tally, Trouble};
use crate::lab::effect::Action;
use crate::lab::fact::{Grant, JobId, MachineName, OrderId, SessionKey};
use crate::lab::job::{Extension, Job, JobEvent, JobState, Loan};
use crate::lab::snapshot::{BoardRun, BoardWords, Piece};
use crate::lab::view::BoardName;
use crate::lab::{Outstanding, Purpose, SessionRecord, User};
use crate::user::UserName;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The way back of a part, which may meet a value that cannot be.
type Read<T> = Result<T, RecordError>;

/// What is written of a piece: always the newest version of its kind.
pub fn body_of(piece: &Piece) -> Written {
    match piece {
        Piece::Counters { last_job, last_grant, accept, reason } => {
            write("counters", 1, &Counters::of(*last_job, *last_grant, *accept, reason))
        }
        Piece::Machine { spec } => write("machine", 2, &MachineIs { spec: (&**spec).into() }),
        Piece::Boards(runs) => write("boards", 1, &Boards { runs: runs.iter().map(Run::of).collect() }),
        Piece::Board(words) => write("board", 2, &BoardSaid::of(words)),
        Piece::Wear(boards) => write("wear", 1, &Wear { boards: boards.as_slice().into() }),
        Piece::User { name, user } => write("user", 1, &UserIs::of(name, user)),
        Piece::Session { key, record } => write("session", 1, &SessionIs::of(*key, record)),
        Piece::SessionsOver(over) => {
            write("sessions_over", 1, &SessionsOver { sessions: over.iter().map(|key| Key(*key)).collect() })
        }
        Piece::Job(job) => write("job", 3, &JobIs::of(job)?),
        Piece::Retired(jobs) => {
            write("retired", 1, &Retired { jobs: jobs.iter().map(|job| job.0).collect() })
        }
        Piece::Order { id, open } => write("order", 1, &OrderIs::of(*id, open)),
        Piece::Cooling { free_at, order, machine, boards } => {
            write("cooling", 1, &Cooling::of(*free_at, *order, machine, boards))
        }
    }
}

/// The piece of a body, for every version there ever was.
pub fn piece_of(kind: &str, version: u16, body: &str) -> Read<Piece> {
    match (kind, version) {
        ("counters", 1) => Ok(read::<Counters>(body)?.piece()),
        ("machine", 1 | 2) => Ok(Piece::Machine { spec: Arc::new(read::<MachineIs>(body)?.spec.spec()?) }),
        ("boards", 1) => read::<Boards>(body)?.piece(),
        // Version 2 may say what it offers, how it is called, and what became of jobs on it.
        ("board", 1 | 2) => read::<BoardSaid>(body)?.piece(),
        ("wear", 1) => Ok(Piece::Wear(read::<Wear>(body)?.boards.0)),
        ("user", 1) => read::<UserIs>(body)?.piece(),
        ("session", 1) => read::<SessionIs>(body)?.piece(),
        ("sessions_over", 1) => Ok(read::<SessionsOver>(body)?.piece()),
        // Version 2 may say that it is a reservation, and what became of its lease; version 3 that it was done.
        ("job", 1..=3) => read::<JobIs>(body)?.piece(),
        ("retired", 1) => Ok(read::<Retired>(body)?.piece()),
        ("order", 1) => read::<OrderIs>(body)?.piece(),
        ("cooling", 1) => Ok(read::<Cooling>(body)?.piece()),
        _ => Err(RecordError::Unknown { kind: kind.to_owned(), version: i64::from(version) }),
    }
}

/// Whether a number is left out.
fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// `Piece::Counters`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Counters {
    last_job: u64,
    last_grant: u64,
    accept: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<Text>,
}

impl Counters {
    fn of(last_job: JobId, last_grant: Grant, accept: bool, reason: &Arc<str>) -> Counters {
        let reason = Some(reason).filter(|reason| !reason.is_empty()).map(Text::from);
        Counters { last_job: last_job.0, last_grant: last_grant.0, accept, reason }
    }

    fn piece(self) -> Piece {
        Piece::Counters {
            last_job: JobId(self.last_job),
            last_grant: Grant(self.last_grant),
            accept: self.accept,
            reason: self.reason.map_or_else(|| "".into(), |reason| reason.0),
        }
    }
}

/// `Piece::Machine`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct MachineIs {
    spec: Made,
}

words! {
    /// The state of a board, by its word.
    BoardWord of BoardState { Free, Lent, Cleaning, Quarantined, Maintenance, Dead, Offline }
}

/// `Piece::Boards`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Boards {
    runs: Vec<Run>,
}

impl Boards {
    fn piece(self) -> Read<Piece> {
        Ok(Piece::Boards(self.runs.into_iter().map(Run::run).collect::<Read<_>>()?))
    }
}

/// A run of boards: how many, their state, the grant that touched them last, since when they are in that state.
#[derive(Serialize, Deserialize)]
struct Run(u32, BoardWord, u64, u64);

impl Run {
    fn of(run: &BoardRun) -> Run {
        Run(run.count, run.state.into(), run.grant.0, run.since.0)
    }

    fn run(self) -> Read<BoardRun> {
        let Run(count, state, grant, since) = self;
        match count {
            0 => Err(RecordError::Value("a run of boards is empty")),
            _ => Ok(BoardRun { count, state: state.into(), grant: Grant(grant), since: Moment(since) }),
        }
    }
}

/// `Piece::Board`; what holders said as pairs of who and what.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct BoardSaid {
    board: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    trouble: Option<TroubleIs>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mark: Option<NoteIs>,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<NoteIs>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    reports: Vec<(Text, Text)>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    offers: Vec<Text>,
    #[serde(skip_serializing_if = "Option::is_none")]
    called: Option<Text>,
    /// How many jobs were done on it, and how many put back.
    #[serde(skip_serializing_if = "Option::is_none")]
    tally: Option<(u64, u64)>,
}

impl BoardSaid {
    fn of(words: &BoardWords) -> BoardSaid {
        BoardSaid {
            board: words.board.0,
            trouble: words.trouble.as_ref().map(TroubleIs::of),
            mark: words.mark.as_ref().map(NoteIs::of),
            note: words.note.as_ref().map(NoteIs::of),
            reports: words.reports.iter().map(|(by, reason)| (by.into(), reason.into())).collect(),
            offers: texts(&*words.offers),
            called: Some(&words.called).filter(|name| !name.is_empty()).map(Text::from),
            tally: Some((words.tally.done, words.tally.failed)).filter(|tally| *tally != (0, 0)),
        }
    }

    fn piece(self) -> Read<Piece> {
        let said = self.reports.len();
        let reports: BTreeMap<_, _> = self.reports.into_iter().map(|(by, reason)| (by.0, reason.0)).collect();
        if reports.len() < said {
            return Err(RecordError::Value("somebody reported a board twice"));
        }
        Ok(Piece::Board(BoardWords {
            board: BoardIndex(self.board),
            trouble: self.trouble.map(TroubleIs::trouble),
            mark: self.mark.map(NoteIs::note),
            note: self.note.map(NoteIs::note),
            reports,
            offers: shared(self.offers),
            called: self.called.map_or_else(|| "".into(), |name| name.0),
            tally: self.tally.map(|(done, failed)| Tally { done, failed }).unwrap_or_default(),
        }))
    }
}

/// Why a board is quarantined.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct TroubleIs {
    reason: Text,
    #[serde(skip_serializing_if = "Option::is_none")]
    retest_at: Option<u64>,
    #[serde(default, skip_serializing_if = "is_zero")]
    strikes: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    testing: Option<Order>,
}

impl TroubleIs {
    fn of(trouble: &Trouble) -> TroubleIs {
        TroubleIs {
            reason: (&trouble.reason).into(),
            retest_at: trouble.retest_at.map(|at| at.0),
            strikes: trouble.strikes,
            testing: trouble.testing.map(Order::from),
        }
    }

    fn trouble(self) -> Trouble {
        Trouble {
            reason: self.reason.0,
            retest_at: self.retest_at.map(Moment),
            strikes: self.strikes,
            testing: self.testing.map(OrderId::from),
        }
    }
}

/// What an operator, or the configuration, decided on a board.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct NoteIs {
    mark: MarkWord,
    by: Text,
    reason: Text,
}

impl NoteIs {
    fn of(note: &Note) -> NoteIs {
        NoteIs { mark: note.mark.into(), by: (&note.by).into(), reason: (&note.reason).into() }
    }

    fn note(self) -> Note {
        Note { mark: self.mark.into(), by: self.by.0, reason: self.reason.0 }
    }
}

/// `Piece::User`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct UserIs {
    user: Name,
    role: RoleWord,
    phc: Hash,
    created: u64,
}

impl UserIs {
    fn of(name: &UserName, user: &User) -> UserIs {
        UserIs { user: name.into(), role: user.role.into(), phc: (&user.phc).into(), created: user.created.0 }
    }

    fn piece(self) -> Read<Piece> {
        let user = User { role: self.role.into(), phc: self.phc.phc()?, created: Moment(self.created) };
        Ok(Piece::User { name: self.user.user()?, user })
    }
}

/// `Piece::Session`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SessionIs {
    session: Key,
    user: Name,
    role: RoleWord,
    client: Text,
    opened: u64,
    span_ms: u64,
}

impl SessionIs {
    fn of(key: SessionKey, record: &SessionRecord) -> SessionIs {
        SessionIs {
            session: Key(key),
            user: (&record.user).into(),
            role: record.role.into(),
            client: (&record.client).into(),
            opened: record.opened.0,
            span_ms: record.span_ms,
        }
    }

    fn piece(self) -> Read<Piece> {
        let record = SessionRecord {
            user: self.user.user()?,
            role: self.role.into(),
            client: self.client.0,
            opened: Moment(self.opened),
            span_ms: self.span_ms,
        };
        Ok(Piece::Session { key: self.session.0, record })
    }
}

/// `Piece::SessionsOver`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SessionsOver {
    sessions: Vec<Key>,
}

impl SessionsOver {
    fn piece(self) -> Piece {
        Piece::SessionsOver(self.sessions.into_iter().map(|key| key.0).collect())
    }
}

words! {
    /// The state of a job, by its word.
    JobWord of JobState { Unknown, Queued, Power, Ready, Destroyed }
}

/// A job that is remembered is in some state.
fn known(state: JobState) -> Read<JobState> {
    match state {
        JobState::Unknown => Err(RecordError::Value("a job is in no state")),
        known => Ok(known),
    }
}

/// `Piece::Job`, without signs of life.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct JobIs {
    job: u64,
    spec: Asked,
    created: u64,
    state: JobWord,
    #[serde(skip_serializing_if = "Option::is_none")]
    loan: Option<LoanIs>,
    #[serde(default, skip_serializing_if = "is_zero")]
    attempts: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<Why>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ended: Option<u64>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    log: Vec<(u64, Past)>,
}

impl JobIs {
    fn of(job: &Job) -> Read<JobIs> {
        Ok(JobIs {
            job: job.id.0,
            spec: (&*job.spec).into(),
            created: job.created.0,
            state: known(job.state)?.into(),
            loan: job.loan.as_ref().map(LoanIs::of),
            attempts: job.attempts,
            reason: job.reason.as_ref().map(Why::from),
            ended: job.ended.map(|at| at.0),
            log: job.log.iter().map(|(at, event)| (at.0, Past::of(event))).collect(),
        })
    }

    fn piece(self) -> Read<Piece> {
        let created = Moment(self.created);
        let past = |(at, past): (u64, Past)| Ok((Moment(at), past.event()?));
        Ok(Piece::Job(Box::new(Job {
            id: JobId(self.job),
            spec: Arc::new(self.spec.into()),
            created,
            state: known(self.state.into())?,
            loan: self.loan.map(LoanIs::loan),
            attempts: self.attempts,
            last_seen: created,
            grace_until: None,
            reason: self.reason.map(Into::into),
            ended: self.ended.map(Moment),
            log: self.log.into_iter().map(past).collect::<Read<_>>()?,
        })))
    }
}

/// The boards a job holds or held; the region as x, y, width, height.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct LoanIs {
    grant: u64,
    machine: Text,
    boards: Runs,
    #[serde(skip_serializing_if = "Option::is_none")]
    region: Option<[u32; 4]>,
    since: u64,
    next_step: u32,
    power: bool,
    was_ready: bool,
    kind: Text,
    /// When the lease was extended last, and until when.
    #[serde(skip_serializing_if = "Option::is_none")]
    extended: Option<(u64, u64)>,
    /// When the holder was warned last.
    #[serde(skip_serializing_if = "Option::is_none")]
    warned: Option<u64>,
}

impl LoanIs {
    fn of(loan: &Loan) -> LoanIs {
        LoanIs {
            grant: loan.grant.0,
            machine: (&loan.machine).into(),
            boards: (&*loan.boards).into(),
            region: loan.region.map(|at| [at.x, at.y, at.width, at.height]),
            since: loan.since.0,
            next_step: loan.next_step,
            power: loan.power,
            was_ready: loan.was_ready,
            kind: (&loan.kind).into(),
            extended: loan.extended.map(|Extension { at, until }| (at.0, until.0)),
            warned: loan.warned.map(|at| at.0),
        }
    }

    fn loan(self) -> Loan {
        Loan {
            grant: Grant(self.grant),
            machine: self.machine.0,
            boards: self.boards.0.into(),
            region: self.region.map(|[x, y, width, height]| Region { x, y, width, height }),
            since: Moment(self.since),
            next_step: self.next_step,
            power: self.power,
            was_ready: self.was_ready,
            kind: self.kind.0,
            extended: self.extended.map(|(at, until)| Extension { at: Moment(at), until: Moment(until) }),
            warned: self.warned.map(Moment),
        }
    }
}

/// What happened to a job.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Past {
    /// It was queued.
    Queued,
    /// It was lent boards: the grant, the machine, how many.
    Granted(u64, Text, u64),
    /// Its boards obeyed; whether they are on.
    Ready(bool),
    /// It asked for power, on or off.
    Powering(bool),
    /// Its lease was made longer, until then.
    Extended(u64),
    /// It waits again, and why.
    Requeued(Text),
    /// A board of it failed: the machine, the board, why.
    BoardFailed(Text, Named, Text),
    /// It ended.
    Destroyed(Why),
}

impl Past {
    fn of(event: &JobEvent) -> Past {
        match event {
            JobEvent::Queued => Past::Queued,
            JobEvent::Granted { grant, machine, boards } => {
                Past::Granted(grant.0, machine.into(), *boards as u64)
            }
            JobEvent::Ready { power } => Past::Ready(*power),
            JobEvent::Powering { power } => Past::Powering(*power),
            JobEvent::Extended { until } => Past::Extended(until.0),
            JobEvent::Requeued(reason) => Past::Requeued(reason.into()),
            JobEvent::BoardFailed { machine, board, reason } => {
                Past::BoardFailed(machine.into(), board.into(), reason.into())
            }
            JobEvent::Destroyed(reason) => Past::Destroyed(reason.into()),
        }
    }

    fn event(self) -> Read<JobEvent> {
        Ok(match self {
            Past::Queued => JobEvent::Queued,
            Past::Granted(grant, machine, boards) => {
                let boards = usize::try_from(boards).map_err(|_| RecordError::Value("too many boards"))?;
                JobEvent::Granted { grant: Grant(grant), machine: machine.0, boards }
            }
            Past::Ready(power) => JobEvent::Ready { power },
            Past::Powering(power) => JobEvent::Powering { power },
            Past::Extended(until) => JobEvent::Extended { until: Moment(until) },
            Past::Requeued(reason) => JobEvent::Requeued(reason.0),
            Past::BoardFailed(machine, board, reason) => {
                JobEvent::BoardFailed { machine: machine.0, board: board.into(), reason: reason.0 }
            }
            Past::Destroyed(why) => JobEvent::Destroyed(why.into()),
        })
    }
}

/// The name of a board in its machine.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Named {
    /// By its place x, y, z.
    Triad(u32, u32, u32),
    /// By its serial.
    Serial(Text),
}

impl From<&BoardName> for Named {
    fn from(name: &BoardName) -> Named {
        match name {
            BoardName::Triad(at) => Named::Triad(at.x, at.y, at.z),
            BoardName::Serial(serial) => Named::Serial(serial.into()),
        }
    }
}

impl From<Named> for BoardName {
    fn from(named: Named) -> BoardName {
        match named {
            Named::Triad(x, y, z) => BoardName::Triad(Triad::new(x, y, z)),
            Named::Serial(serial) => BoardName::Serial(serial.0),
        }
    }
}

/// `Piece::Wear`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wear {
    boards: Runs,
}

/// `Piece::Retired`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Retired {
    jobs: Vec<u64>,
}

impl Retired {
    fn piece(self) -> Piece {
        Piece::Retired(self.jobs.into_iter().map(JobId).collect())
    }
}

/// `Piece::Order`; failures as pairs of board and reason.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct OrderIs {
    order: Order,
    machine: Text,
    boards: Runs,
    purpose: For,
    #[serde(skip_serializing_if = "Option::is_none")]
    answered: Option<Runs>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    failed: Vec<(u32, Text)>,
    deadline: u64,
}

impl OrderIs {
    fn of(id: OrderId, open: &Outstanding) -> OrderIs {
        let answered: Vec<_> = open.answered.iter().copied().collect();
        OrderIs {
            order: id.into(),
            machine: (&open.machine).into(),
            boards: (&*open.boards).into(),
            purpose: For::of(&open.purpose),
            answered: Some(answered).filter(|boards| !boards.is_empty()).map(Runs),
            failed: open.failed.iter().map(|(board, why)| (board.0, why.into())).collect(),
            deadline: open.deadline.0,
        }
    }

    fn piece(self) -> Read<Piece> {
        let said = self.failed.len();
        let failed: BTreeMap<_, _> =
            self.failed.into_iter().map(|(board, why)| (BoardIndex(board), why.0)).collect();
        if failed.len() < said {
            return Err(RecordError::Value("a board failed twice under one order"));
        }
        let open = Outstanding {
            machine: self.machine.0,
            boards: self.boards.0.into(),
            purpose: self.purpose.purpose(),
            answered: self.answered.into_iter().flat_map(|boards| boards.0).collect(),
            failed,
            deadline: Moment(self.deadline),
        };
        Ok(Piece::Order { id: self.order.into(), open })
    }
}

/// What an order is for.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum For {
    /// A job's boards are being switched.
    Switch { job: u64, action: Told },
    /// Boards of an ended loan are being cleaned.
    Clean { job: u64 },
    /// A quarantined board is being tested.
    Test,
}

impl For {
    fn of(purpose: &Purpose) -> For {
        match purpose {
            Purpose::Switch { job, action } => For::Switch { job: job.0, action: Told::of(action) },
            Purpose::Clean { job } => For::Clean { job: job.0 },
            Purpose::Test => For::Test,
        }
    }

    fn purpose(self) -> Purpose {
        match self {
            For::Switch { job, action } => Purpose::Switch { job: JobId(job), action: action.action() },
            For::Clean { job } => Purpose::Clean { job: JobId(job) },
            For::Test => Purpose::Test,
        }
    }
}

/// What boards were told to do.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Told {
    /// To be made ready.
    Prepare { kind: Text, args: Text },
    /// To go off.
    PowerOff,
    /// To be wiped.
    Clean,
    /// To show that they work.
    Test,
}

impl Told {
    fn of(action: &Action) -> Told {
        match action {
            Action::Prepare { kind, args } => Told::Prepare { kind: kind.into(), args: args.into() },
            Action::PowerOff => Told::PowerOff,
            Action::Clean => Told::Clean,
            Action::Test => Told::Test,
        }
    }

    fn action(self) -> Action {
        match self {
            Told::Prepare { kind, args } => Action::Prepare { kind: kind.0, args: args.0 },
            Told::PowerOff => Action::PowerOff,
            Told::Clean => Action::Clean,
            Told::Test => Action::Test,
        }
    }
}

/// `Piece::Cooling`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Cooling {
    free_at: u64,
    order: Order,
    machine: Text,
    boards: Runs,
}

impl Cooling {
    fn of(free_at: Moment, order: OrderId, machine: &MachineName, boards: &[BoardIndex]) -> Cooling {
        Cooling { free_at: free_at.0, order: order.into(), machine: machine.into(), boards: boards.into() }
    }

    fn piece(self) -> Piece {
        Piece::Cooling {
            free_at: Moment(self.free_at),
            order: self.order.into(),
            machine: self.machine.0,
            boards: self.boards.0,
        }
    }
}
