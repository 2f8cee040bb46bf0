//! Who held what, when, and why it ended: facts made into rows, one for each grant, and one for each wait that came
//! to nothing or still lasts.
//!
//! `Telling` says of each fact what it means to which job; it knows which boards each live loan has. `History` makes rows
//! of that. A row leaves when its loan ends, so only live jobs are held. When the oldest facts are gone, a history begins
//! with a snapshot: what that remembers of ended jobs are rows too, and facts before it that are still there tell all
//! of the jobs that were queued in them.
//!
//! What is deliberately not here: where facts come from, which rows are wanted, and how they are spelled.

use super::demand::DEFAULT_KIND;
use super::fact::{BoardRef, Event, Fact, Grant, JobId, MachineName};
use super::job::{Job, JobEvent, JobSpec, Loan};
use super::machine::MachineSpec;
use super::snapshot::{BoardRun, Piece};
use super::view::BoardName;
use crate::allocator::BoardIndex;
use crate::clock::Moment;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

/// What each machine is made of.
type Specs = BTreeMap<MachineName, Arc<MachineSpec>>;

/// The boards of a loan.
#[derive(Clone, Debug, PartialEq)]
struct Lent {
    /// The number of the grant.
    grant: Grant,
    /// On which machine.
    machine: MachineName,
    /// Which.
    boards: Arc<[BoardIndex]>,
}

/// What facts mean to jobs.
#[derive(Clone, Debug, Default)]
pub struct Telling {
    /// Only this job is of interest; none means all.
    only: Option<JobId>,
    specs: Specs,
    /// Machines of which a board had to be named and nobody knew what they are made of.
    unknown: BTreeSet<MachineName>,
    /// The boards of each live loan.
    lent: BTreeMap<JobId, Lent>,
    /// Boards that were set aside at some time, and under which loan they were touched last: its list says so no longer.
    aside: BTreeMap<MachineName, BTreeMap<BoardIndex, Option<(JobId, Grant)>>>,
}

impl Telling {
    /// About one job alone, where these machines are known beforehand.
    pub fn of(job: JobId, specs: impl IntoIterator<Item = Arc<MachineSpec>>) -> Telling {
        let specs = specs.into_iter().map(|spec| (spec.name.clone(), spec)).collect();
        Telling { only: Some(job), specs, ..Telling::default() }
    }

    /// Whether a fact about boards can matter at present.
    pub fn has_loans(&self) -> bool {
        !self.lent.is_empty()
    }

    /// Whether a grant to another job can matter at present.
    pub fn has_boards_aside(&self) -> bool {
        !self.aside.is_empty()
    }

    /// Machines of which a board had to be named and nobody knew what they are made of.
    pub fn unknown_machines(&self) -> &BTreeSet<MachineName> {
        &self.unknown
    }

    /// What a fact means, and to which job.
    pub fn take(&mut self, fact: &Fact) -> Option<(JobId, JobEvent)> {
        let told = match &fact.event {
            Event::MachineAdded { spec, .. } | Event::MachineChanged { spec, .. } => {
                self.specs.insert(spec.name.clone(), spec.clone());
                return None;
            }
            Event::MachineRemoved { machine } => {
                self.specs.remove(machine);
                return None;
            }
            Event::JobQueued { job, .. } => (*job, JobEvent::Queued),
            Event::JobGranted { job, grant, machine, boards, .. } => {
                self.lend(*job, *grant, machine, boards);
                (*job, JobEvent::Granted { grant: *grant, machine: machine.clone(), boards: boards.len() })
            }
            Event::JobReady { job, power, .. } => (*job, JobEvent::Ready { power: *power }),
            Event::JobPowering { job, power, .. } => (*job, JobEvent::Powering { power: *power }),
            Event::LeaseExtended { job, until } => (*job, JobEvent::Extended { until: *until }),
            Event::JobRequeued { job, reason, .. } => {
                self.lent.remove(job);
                (*job, JobEvent::Requeued(reason.clone()))
            }
            Event::JobDestroyed { job, reason, .. } => {
                self.lent.remove(job);
                (*job, JobEvent::Destroyed(reason.clone()))
            }
            Event::BoardQuarantined { board, reason, .. } => {
                let job = self.set_aside(board)?;
                let (machine, reason) = (board.machine.clone(), reason.clone());
                let board = self.board_name(&board.machine, board.board);
                (job, JobEvent::BoardFailed { machine, board, reason })
            }
            // A test touches the board under a grant of its own.
            Event::BoardTested { board, .. } => {
                self.aside.entry(board.machine.clone()).or_default().insert(board.board, None);
                return None;
            }
            _ => return None,
        };
        Some(told).filter(|(job, _)| self.only.is_none_or(|only| only == *job))
    }

    fn lend(&mut self, job: JobId, grant: Grant, machine: &MachineName, boards: &Arc<[BoardIndex]>) {
        if let Some(aside) = self.aside.get_mut(machine) {
            for board in boards.iter() {
                aside.entry(*board).and_modify(|holder| *holder = Some((job, grant)));
            }
        }
        if self.only.is_none_or(|only| only == job) {
            self.lent.insert(job, Lent { grant, machine: machine.clone(), boards: boards.clone() });
        }
    }

    /// A board was set aside: whose it is.
    fn set_aside(&mut self, at: &BoardRef) -> Option<JobId> {
        let known = self.aside.get(&at.machine).and_then(|aside| aside.get(&at.board)).copied();
        let holder = known.unwrap_or_else(|| {
            let has = |lent: &Lent| lent.machine == at.machine && lent.boards.contains(&at.board);
            self.lent.iter().find(|(_, lent)| has(lent)).map(|(job, lent)| (*job, lent.grant))
        });
        self.aside.entry(at.machine.clone()).or_default().insert(at.board, holder);
        let lasts =
            |(job, grant): &(JobId, Grant)| self.lent.get(job).is_some_and(|lent| lent.grant == *grant);
        holder.filter(lasts).map(|(job, _)| job)
    }

    fn board_name(&mut self, machine: &MachineName, board: BoardIndex) -> BoardName {
        if !self.specs.contains_key(machine) {
            self.unknown.insert(machine.clone());
        }
        board_name(self.specs.get(machine), board)
    }
}

/// The name of a board; its number where nobody knows any more what its machine was made of.
fn board_name(spec: Option<&Arc<MachineSpec>>, board: BoardIndex) -> BoardName {
    match spec.filter(|spec| board.0 < spec.board_count()) {
        Some(spec) => spec.board_name(board),
        None => BoardName::Serial(format!("#{}", board.0).into()),
    }
}

/// How far what a row tells of has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RowState {
    /// The job waits.
    Queued,
    /// The boards are being switched.
    Power,
    /// The boards obeyed.
    Ready,
    /// The job lost the boards and waited again.
    Requeued,
    /// The job ended.
    Destroyed,
}

impl RowState {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            RowState::Queued => "queued",
            RowState::Power => "power",
            RowState::Ready => "ready",
            RowState::Requeued => "requeued",
            RowState::Destroyed => "destroyed",
        }
    }
}

/// A loan, or a wait without one.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// The job.
    pub job: JobId,
    /// What was asked for, and by whom.
    pub spec: Arc<JobSpec>,
    /// When the job was queued.
    pub queued_at: Moment,
    /// Since when it waited this time.
    pub waits_since: Moment,
    /// The boards it was given, if it was.
    pub loan: Option<LoanRow>,
    /// How far it has come.
    pub state: RowState,
    /// When it ended; none while it lasts.
    pub ended_at: Option<Moment>,
    /// Why.
    pub reason: Option<String>,
}

/// Boards that were given to a job.
#[derive(Clone, Debug, PartialEq)]
pub struct LoanRow {
    /// The number of the grant.
    pub grant: Grant,
    /// On which machine.
    pub machine: MachineName,
    /// As what they were prepared.
    pub kind: Arc<str>,
    /// How many boards.
    pub count: usize,
    /// When they were given.
    pub granted_at: Moment,
    /// When they first obeyed.
    pub ready_at: Option<Moment>,
    /// How many of them failed.
    pub failed: u32,
    /// How often power was asked for.
    pub powerings: u32,
    /// Which boards; empty when that is forgotten.
    boards: Arc<[BoardIndex]>,
    machine_spec: Option<Arc<MachineSpec>>,
}

impl LoanRow {
    /// The boards; none when it is forgotten which they were.
    pub fn boards(&self) -> impl Iterator<Item = BoardName> {
        self.boards.iter().map(|board| board_name(self.machine_spec.as_ref(), *board))
    }
}

impl Row {
    fn new(job: JobId, spec: Arc<JobSpec>, at: Moment) -> Row {
        Row {
            job,
            spec,
            queued_at: at,
            waits_since: at,
            loan: None,
            state: RowState::Queued,
            ended_at: None,
            reason: None,
        }
    }

    /// How long the job waited for these boards, or has been waiting.
    pub fn waited_ms(&self, now: Moment) -> u64 {
        let until = self.loan.as_ref().map(|loan| loan.granted_at).or(self.ended_at);
        until.unwrap_or(now).ms_since(self.waits_since)
    }

    /// How long the job had the boards, or has been having them.
    pub fn held_ms(&self, now: Moment) -> Option<u64> {
        let loan = self.loan.as_ref()?;
        Some(self.ended_at.unwrap_or(now).ms_since(loan.granted_at))
    }

    /// As what the boards are prepared, as far as that is said.
    pub fn kind(&self) -> Option<&Arc<str>> {
        self.loan.as_ref().map(|loan| &loan.kind).or(self.spec.kind.as_ref())
    }

    /// Takes in what happened to the job; answers a row when that ended it. `lent` are the boards of a grant.
    fn hear(
        &mut self,
        at: Moment,
        event: &JobEvent,
        lent: Option<&Arc<[BoardIndex]>>,
        specs: &Specs,
    ) -> Option<Row> {
        match event {
            JobEvent::Queued | JobEvent::Extended { .. } => {}
            JobEvent::Granted { grant, machine, boards } => {
                let machine_spec = specs.get(machine).cloned();
                self.state = RowState::Power;
                self.loan = Some(LoanRow {
                    grant: *grant,
                    machine: machine.clone(),
                    kind: self.kind_on(machine_spec.as_deref()),
                    count: *boards,
                    granted_at: at,
                    ready_at: None,
                    failed: 0,
                    powerings: 0,
                    boards: lent.cloned().unwrap_or_default(),
                    machine_spec,
                });
            }
            JobEvent::Ready { .. } => {
                self.state = RowState::Ready;
                self.loan.iter_mut().for_each(|loan| loan.ready_at = loan.ready_at.or(Some(at)));
            }
            JobEvent::Powering { .. } => {
                self.state = RowState::Power;
                self.loan.iter_mut().for_each(|loan| loan.powerings += 1);
            }
            JobEvent::BoardFailed { .. } => self.loan.iter_mut().for_each(|loan| loan.failed += 1),
            JobEvent::Requeued(reason) => {
                let over = self.over(at, RowState::Requeued, reason.to_string());
                (self.waits_since, self.loan, self.state) = (at, None, RowState::Queued);
                return Some(over);
            }
            JobEvent::Destroyed(reason) => {
                return Some(self.over(at, RowState::Destroyed, reason.to_string()));
            }
        }
        None
    }

    fn over(&self, at: Moment, state: RowState, reason: String) -> Row {
        Row { state, ended_at: Some(at), reason: Some(reason), ..self.clone() }
    }

    /// As what boards of a machine are prepared for the job.
    fn kind_on(&self, machine: Option<&MachineSpec>) -> Arc<str> {
        let own = machine.and_then(|machine| machine.kinds.first().cloned());
        let own = own.filter(|_| self.spec.machine.is_some());
        self.spec.kind.clone().or(own).unwrap_or_else(|| DEFAULT_KIND.into())
    }
}

/// A job that lives in a snapshot.
#[derive(Clone, Debug)]
struct Seed {
    row: Row,
    lent: Option<Lent>,
    /// Those of its boards that were set aside and touched since.
    lost: Vec<BoardIndex>,
}

/// Rows in the making.
#[derive(Clone, Debug, Default)]
pub struct History {
    telling: Telling,
    /// The snapshot knows everything up to this fact.
    told: u64,
    /// Rows that only the snapshot knows, in the order in which they ended.
    earlier: VecDeque<Row>,
    /// Jobs that live in the snapshot, until its fact has come.
    seeds: BTreeMap<JobId, Seed>,
    /// Jobs that live.
    open: BTreeMap<JobId, Row>,
    /// The job whose events are kept, and they.
    heard: Option<(JobId, Vec<(Moment, JobEvent)>)>,
    /// Whether a job was queued yet: it and all after it are told of by facts alone.
    began: bool,
}

impl History {
    /// A history that begins with a snapshot, of which `told` is the last fact it knows. Some facts before it may still be
    /// there; `joined` are the machines that joined in those.
    pub fn with_snapshot(told: u64, pieces: &[Piece], joined: &BTreeSet<MachineName>) -> History {
        let (mut specs, mut runs) = (Specs::new(), Vec::new());
        let mut runs_of: BTreeMap<MachineName, Vec<BoardRun>> = BTreeMap::new();
        let mut machine: Option<MachineName> = None;
        for piece in pieces {
            match piece {
                Piece::Machine { spec } => {
                    if let Some(before) = machine.replace(spec.name.clone()) {
                        runs_of.insert(before, std::mem::take(&mut runs));
                    }
                    specs.insert(spec.name.clone(), spec.clone());
                }
                Piece::Boards(more) => runs.extend(more.iter().copied()),
                _ => {}
            }
        }
        runs_of.extend(machine.map(|machine| (machine, runs)));
        let mut history = History { told, ..History::default() };
        let jobs = pieces.iter().filter_map(|piece| match piece {
            Piece::Job(job) => Some(job),
            _ => None,
        });
        jobs.for_each(|job| history.seed(job, &specs, &runs_of));
        history.earlier.make_contiguous().sort_by_key(|row| (row.ended_at, row.job));
        specs.retain(|name, _| !joined.contains(name));
        history.telling.specs = specs;
        history
    }

    /// The same history, which keeps what happens to this job. Nothing was taken in yet but these pieces.
    pub fn listening_to(mut self, job: JobId, pieces: &[Piece]) -> History {
        let past = pieces.iter().find_map(|piece| match piece {
            Piece::Job(told) if told.id == job => Some(told.log.clone()),
            _ => None,
        });
        self.heard = Some((job, past.unwrap_or_default()));
        self
    }

    /// What happened to the job that is listened to, the oldest first.
    pub fn heard(&self) -> &[(Moment, JobEvent)] {
        self.heard.as_ref().map_or(&[], |(_, past)| past)
    }

    /// Takes in what a snapshot remembers of a job.
    fn seed(&mut self, job: &Job, specs: &Specs, runs_of: &BTreeMap<MachineName, Vec<BoardRun>>) {
        let mut row = Row::new(job.id, job.spec.clone(), job.created);
        for (at, event) in whole_log(job) {
            let last = job.loan.as_ref().filter(|loan| is_grant(&event, loan));
            self.earlier.extend(row.hear(at, &event, last.map(|loan| &loan.boards), specs));
        }
        if job.is_live() {
            let loan = job.live_loan();
            let lost = loan.map_or_else(Vec::new, |loan| touched_since(loan, runs_of.get(&loan.machine)));
            let lent = loan.map(|loan| Lent {
                grant: loan.grant,
                machine: loan.machine.clone(),
                boards: loan.boards.clone(),
            });
            self.seeds.insert(job.id, Seed { row, lent, lost });
        }
    }

    /// Takes in the next fact, and hands over the rows that ended.
    pub fn take(&mut self, seq: u64, fact: &Fact, ended: &mut dyn FnMut(Row)) {
        if let (Event::JobQueued { job, .. }, false) = (&fact.event, self.began) {
            self.began = true;
            self.earlier.retain(|row| row.job < *job);
            self.seeds.split_off(job);
        }
        if seq > self.told {
            self.join(ended);
        }
        while self.earlier.front().is_some_and(|row| row.ended_at < Some(fact.at)) {
            self.earlier.pop_front().into_iter().for_each(&mut *ended);
        }
        if let Event::JobQueued { job, spec } = &fact.event {
            self.open.insert(*job, Row::new(*job, spec.clone(), fact.at));
        }
        let Some((job, event)) = self.telling.take(fact) else { return };
        self.listen(seq, fact.at, job, &event);
        let Some(row) = self.open.get_mut(&job) else { return };
        let lent = self.telling.lent.get(&job).map(|lent| &lent.boards);
        let over = row.hear(fact.at, &event, lent, &self.telling.specs);
        if let Event::JobRequeued { priority: Some(priority), .. } = fact.event {
            row.spec = Arc::new(JobSpec { priority, ..JobSpec::clone(&row.spec) });
        }
        if matches!(event, JobEvent::Destroyed(_)) {
            self.open.remove(&job);
        }
        over.into_iter().for_each(ended);
    }

    /// Keeps what happened to the job that is listened to, unless the snapshot told it already.
    fn listen(&mut self, seq: u64, at: Moment, job: JobId, event: &JobEvent) {
        let Some((wanted, past)) = &mut self.heard else { return };
        if *wanted != job || (seq <= self.told && !self.open.contains_key(&job)) {
            return;
        }
        if *event == JobEvent::Queued {
            past.clear();
        }
        past.push((at, event.clone()));
    }

    /// All that the snapshot knows has happened.
    fn join(&mut self, ended: &mut dyn FnMut(Row)) {
        self.earlier.drain(..).for_each(ended);
        for (job, seed) in std::mem::take(&mut self.seeds) {
            self.open.insert(job, seed.row);
            let Some(lent) = seed.lent else {
                self.telling.lent.remove(&job);
                continue;
            };
            if let Some(aside) = self.telling.aside.get_mut(&lent.machine) {
                for board in lent.boards.iter() {
                    aside.entry(*board).and_modify(|holder| *holder = Some((job, lent.grant)));
                }
            }
            if !seed.lost.is_empty() {
                let aside = self.telling.aside.entry(lent.machine.clone()).or_default();
                aside.extend(seed.lost.into_iter().map(|board| (board, None)));
            }
            self.telling.lent.insert(job, lent);
        }
    }

    /// Hands over what lasts after the last fact, by the numbers of the jobs.
    pub fn finish(mut self, row: &mut dyn FnMut(Row)) {
        self.join(row);
        self.open.into_values().for_each(row);
    }
}

/// What a snapshot remembers of a job's past; the last grant is among it even if it was dropped from the log.
fn whole_log(job: &Job) -> Vec<(Moment, JobEvent)> {
    let mut log = job.log.clone();
    if let Some(loan) = &job.loan
        && !log.iter().any(|(_, event)| is_grant(event, loan))
    {
        let (grant, machine, boards) = (loan.grant, loan.machine.clone(), loan.boards.len());
        log.insert(log.len().min(1), (loan.since, JobEvent::Granted { grant, machine, boards }));
    }
    log
}

fn is_grant(event: &JobEvent, loan: &Loan) -> bool {
    matches!(event, JobEvent::Granted { grant, .. } if *grant == loan.grant)
}

/// The boards of a loan that were touched under another grant since.
fn touched_since(loan: &Loan, runs: Option<&Vec<BoardRun>>) -> Vec<BoardIndex> {
    let mut ends = Vec::new();
    for run in runs.into_iter().flatten() {
        ends.push((ends.last().map_or(0, |(end, _)| *end) + u64::from(run.count), run.grant));
    }
    let grant = |board: &BoardIndex| {
        ends.get(ends.partition_point(|(end, _)| *end <= u64::from(board.0))).map(|(_, grant)| *grant)
    };
    loan.boards.iter().filter(|board| grant(board) != Some(loan.grant)).copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::fact::OrderId;
    use crate::lab::job::{Reason, Want};
    use crate::lab::machine::Shape;

    fn told(events: Vec<Event>) -> Vec<Row> {
        let (mut history, mut rows) = (History::default(), Vec::new());
        for (seq, event) in (1..).zip(events) {
            history.take(seq, &Fact { at: Moment(seq * 1000), event }, &mut |row| rows.push(row));
        }
        history.finish(&mut |row| rows.push(row));
        rows
    }

    fn joined() -> Event {
        let shape = Shape::Pool { serials: vec!["s-0".into(), "s-1".into()] };
        let (tags, kinds) = (["default".into()].into(), vec!["burn".into()]);
        let spec = MachineSpec {
            name: "p".into(),
            shape,
            tags,
            kinds,
            settle_ms: 0,
            order_ms_max: 1,
            agents: false,
            boots: true,
        };
        Event::MachineAdded { spec: Arc::new(spec), position: 0 }
    }

    fn queued(job: u64) -> Event {
        Event::JobQueued { job: JobId(job), spec: Arc::new(JobSpec::new("ada", Want::Boards(1))) }
    }

    fn granted(job: u64, grant: u64, board: u32) -> Event {
        let boards = [BoardIndex(board)].into();
        Event::JobGranted { job: JobId(job), grant: Grant(grant), machine: "p".into(), boards, region: None }
    }

    fn failed(board: u32) -> Event {
        let board = BoardRef { machine: "p".into(), board: BoardIndex(board) };
        Event::BoardQuarantined { board, reason: "silent".into(), retest_at: None }
    }

    fn tested(board: u32) -> Event {
        let board = BoardRef { machine: "p".into(), board: BoardIndex(board) };
        Event::BoardTested { board, order: OrderId { grant: Grant(99), step: 0 } }
    }

    fn requeued(job: u64) -> Event {
        Event::JobRequeued { job: JobId(job), order: None, reason: "a board failed".into(), priority: None }
    }

    fn destroyed(job: u64) -> Event {
        Event::JobDestroyed { job: JobId(job), order: None, reason: Reason::Lapsed }
    }

    #[test]
    fn a_job_has_a_row_for_each_grant_and_for_the_wait_in_which_it_ended() {
        let rows = told(vec![
            joined(),
            queued(1),
            granted(1, 1, 0),
            failed(0),
            requeued(1),
            granted(1, 2, 1),
            requeued(1),
            destroyed(1),
            queued(2),
        ]);
        let states: Vec<_> =
            rows.iter().map(|row| (row.job.0, row.state.word(), row.loan.is_some())).collect();
        let wanted =
            [(1, "requeued", true), (1, "requeued", true), (1, "destroyed", false), (2, "queued", false)];
        assert_eq!(states, wanted);
        let loan = rows[0].loan.as_ref().unwrap();
        assert_eq!((loan.failed, &*loan.kind), (1, DEFAULT_KIND));
        assert_eq!(loan.boards().collect::<Vec<_>>(), [BoardName::Serial("s-0".into())]);
        assert_eq!((rows[0].waited_ms(Moment(0)), rows[0].held_ms(Moment(0))), (1000, Some(2000)));
        assert_eq!((rows[1].waited_ms(Moment(0)), rows[2].waited_ms(Moment(0))), (1000, 1000));
        assert_eq!(rows[2].reason.as_deref(), Some("keepalive lapsed"));
        assert_eq!((rows[3].waited_ms(Moment(10_000)), rows[3].held_ms(Moment(10_000))), (1000, None));
    }

    #[test]
    fn a_board_fails_for_whoever_it_was_touched_for_last() {
        let failures = |events: Vec<Event>| {
            let rows =
                told([vec![joined(), queued(1), queued(2), granted(1, 1, 0), failed(0)], events].concat());
            rows.iter().map(|row| row.loan.as_ref().map_or(0, |loan| loan.failed)).collect::<Vec<_>>()
        };
        assert_eq!(failures(vec![failed(0)]), [2, 0]);
        assert_eq!(failures(vec![tested(0), failed(0)]), [1, 0]);
        assert_eq!(failures(vec![tested(0), granted(2, 2, 0), failed(0)]), [1, 1]);
        assert_eq!(failures(vec![destroyed(1), failed(0)]), [1, 0]);
        assert_eq!(failures(vec![requeued(1), granted(1, 2, 1), failed(0), failed(1)]), [1, 1, 0]);
    }

    #[test]
    fn boards_of_machines_nobody_knows_have_numbers() {
        let rows = told(vec![queued(1), granted(1, 1, 7)]);
        let boards: Vec<_> = rows[0].loan.as_ref().unwrap().boards().collect();
        assert_eq!(boards, [BoardName::Serial("#7".into())]);
    }
}
