//! What must be true if the facts are: a second account of the lab, kept from the facts alone, in plain sets.

use super::rules;
use berth::allocator::BoardIndex;
use berth::clock::Moment;
use berth::lab::board::BoardState;
use berth::lab::fact::{BoardRef, Event, Fact, Grant, JobId, MachineName, Mark, SessionEnd, SessionKey};
use berth::lab::job::{JobSpec, JobState, Reason};
use berth::lab::machine::{MachineSpec, Shape};
use berth::lab::view::{BoardFilter, Query, View};
use berth::lab::{Lab, Options};
use berth::session::EXPIRED_AGAIN_MS;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// So late sessions may be ended after their span.
const SWEEP_MS: u64 = 1000;

/// A job as the facts tell it.
#[derive(Clone, Debug)]
pub struct Job {
    /// What it wants.
    pub spec: Arc<JobSpec>,
    /// Where it stands.
    pub state: JobState,
    /// When it was queued.
    pub created: Moment,
    /// When its present boards were lent to it.
    pub granted: Moment,
    /// Since when its boards are being switched.
    pub switching: Moment,
    /// Of which grant its boards are.
    pub grant: Grant,
    /// Whether its present boards obeyed.
    was_ready: bool,
    /// When it was mentioned last.
    seen: Moment,
    /// Its lease is not over before this, because the server was not there.
    grace: Option<Moment>,
    /// When its lease was extended last, and until when.
    extended: Option<(Moment, Moment)>,
    /// When its holder was warned last since.
    warned: Option<Moment>,
}

/// A session as the facts tell it.
#[derive(Clone, Debug)]
pub struct Session {
    /// How long it lives unused; zero for ever.
    span_ms: u64,
    /// When it was used last.
    used: Moment,
}

impl Job {
    /// When its present loan is over.
    pub fn lease_ends_at(&self) -> Option<Moment> {
        let agreed = self.granted.plus_ms(self.spec.lease_ms?);
        let agreed = self.extended.map_or(agreed, |(_, until)| until);
        Some(self.grace.map_or(agreed, |grace| grace.max(agreed)))
    }

    /// When its holder has to be warned next, once that is due.
    fn warns_at(&self, options: &Options) -> Option<Moment> {
        let ends_at = self.lease_ends_at().filter(|_| self.spec.reserved && self.holds())?;
        let begun = self.extended.map_or(self.granted, |(at, _)| at);
        let half_ms = ends_at.ms_since(begun) / 2;
        let not_before = match self.warned {
            Some(warned) => warned.plus_ms(options.warning.every_ms),
            None => begun.plus_ms(half_ms.min(options.warning.every_ms)),
        };
        let soon = ends_at.0 - options.warning.before_ms.min(ends_at.0);
        Some(not_before.max(Moment(soon))).filter(|at| *at < ends_at)
    }

    /// Whether it holds boards.
    pub fn holds(&self) -> bool {
        matches!(self.state, JobState::Power | JobState::Ready)
    }
}

/// A machine as the facts tell it.
#[derive(Clone, Debug)]
pub struct Machine {
    /// What it is made of.
    pub spec: Arc<MachineSpec>,
    /// Boards that count as dead.
    pub dead: BTreeSet<BoardIndex>,
    /// Boards an operator declared dead.
    dead_by_word: BTreeSet<BoardIndex>,
    /// Boards out of service, and since when they are being tested.
    pub out: BTreeMap<BoardIndex, Option<Moment>>,
    /// Boards that are lent, to whom.
    pub lent: BTreeMap<BoardIndex, JobId>,
    /// Boards on their way back: since when, and when they are cool.
    pub returning: BTreeMap<BoardIndex, (Moment, Option<Moment>)>,
    /// What operators and the configuration want of boards that are lent.
    pub marks: BTreeMap<BoardIndex, (Mark, Arc<str>)>,
    /// Who reported which boards.
    pub reports: BTreeMap<BoardIndex, BTreeSet<Arc<str>>>,
    /// What boards offer.
    pub offers: BTreeMap<BoardIndex, Vec<Arc<str>>>,
    /// How boards are called.
    names: BTreeMap<BoardIndex, Arc<str>>,
    /// How many jobs were done on boards, and how many were put back.
    tallies: BTreeMap<BoardIndex, (u64, u64)>,
    /// The longest that an order may have been allowed to take.
    order_ms_max: u64,
}

/// The second account.
#[derive(Clone, Default)]
pub struct Model {
    /// The machines, in order.
    pub machines: Vec<Machine>,
    /// The jobs that were ever queued.
    pub jobs: BTreeMap<JobId, Job>,
    /// The sessions that live.
    pub sessions: BTreeMap<SessionKey, Session>,
    /// How many grants went past somebody who waits for the same machine.
    pub overtakings: usize,
    /// The boards each job was lent last.
    boards_of: BTreeMap<JobId, (MachineName, Arc<[BoardIndex]>)>,
    last_grant: Grant0,
}

/// The last grant number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Grant0(Grant);

impl Default for Grant0 {
    fn default() -> Grant0 {
        Grant0(Grant(0))
    }
}

impl Machine {
    fn new(spec: &Arc<MachineSpec>) -> Machine {
        let order_ms_max = spec.order_ms_max;
        let with_agents = (0..spec.board_count()).filter(|_| spec.agents).map(BoardIndex);
        Machine {
            dead: spec_dead(spec),
            spec: spec.clone(),
            dead_by_word: BTreeSet::new(),
            out: with_agents.map(|board| (board, None)).collect(),
            lent: BTreeMap::new(),
            returning: BTreeMap::new(),
            marks: BTreeMap::new(),
            reports: BTreeMap::new(),
            offers: BTreeMap::new(),
            names: BTreeMap::new(),
            tallies: BTreeMap::new(),
            order_ms_max,
        }
    }

    fn is_held(&self, board: BoardIndex) -> bool {
        self.lent.contains_key(&board) || self.returning.contains_key(&board)
    }

    /// Whether a board can be lent now.
    pub fn is_free(&self, board: BoardIndex) -> bool {
        !self.is_held(board) && !self.out.contains_key(&board) && !self.dead.contains(&board)
    }

    fn change(&mut self, spec: &Arc<MachineSpec>) {
        let (before, after) = (spec_dead(&self.spec), spec_dead(spec));
        self.spec = spec.clone();
        self.order_ms_max = self.order_ms_max.max(spec.order_ms_max);
        for board in before.difference(&after) {
            if self.marks.get(board).is_some_and(|(_, by)| by.starts_with('/')) {
                self.marks.remove(board);
            }
            if !self.dead_by_word.contains(board) {
                self.dead.remove(board);
            }
        }
        for board in after.difference(&before) {
            self.reports.remove(board);
            self.out.remove(board);
            match self.is_held(*board) {
                true => drop(self.marks.insert(*board, (Mark::Dead, "/".into()))),
                false => drop(self.dead.insert(*board)),
            }
        }
    }

    fn set(&mut self, board: BoardIndex, mark: Mark, by: &str) {
        assert!(!self.is_held(board), "{board:?} was set to {mark:?} while somebody had it");
        self.out.remove(&board);
        self.dead.remove(&board);
        self.dead_by_word.remove(&board);
        self.marks.remove(&board);
        self.reports.remove(&board);
        match mark {
            Mark::Free => {}
            Mark::Maintenance => drop(self.out.insert(board, None)),
            Mark::Dead => drop(self.dead.insert(board)),
        }
        if mark == Mark::Dead && !by.starts_with('/') {
            self.dead_by_word.insert(board);
        }
    }

    /// How long boards may take to come back.
    pub fn return_ms_max(&self) -> u64 {
        self.spec.order_ms_max + self.spec.settle_ms
    }
}

fn spec_dead(spec: &MachineSpec) -> BTreeSet<BoardIndex> {
    let dead =
        spec.triads().map(|torus| torus.dead_boards.iter().map(|dead| torus.torus().index(*dead)).collect());
    dead.unwrap_or_default()
}

impl Model {
    /// A machine by name.
    pub fn machine(&mut self, name: &MachineName) -> &mut Machine {
        let known = self.machines.iter_mut().find(|machine| machine.spec.name == *name);
        known.unwrap_or_else(|| panic!("a fact about the unknown machine {name}"))
    }

    fn job(&mut self, job: JobId) -> &mut Job {
        self.jobs.get_mut(&job).unwrap_or_else(|| panic!("a fact about the unknown job {job}"))
    }

    /// Takes a fact in, if it may follow those before.
    pub fn take(&mut self, fact: &Fact, options: &Options) {
        let at = fact.at;
        match &fact.event {
            Event::MachineAdded { spec, position } => self.machines.insert(*position, Machine::new(spec)),
            Event::MachineChanged { spec, position } => {
                let known = self.machines.iter().position(|machine| machine.spec.name == spec.name);
                let mut machine = self.machines.remove(known.expect("a machine that changed was there"));
                machine.change(spec);
                self.machines.insert(*position, machine);
            }
            Event::MachineRemoved { machine } => {
                assert!(self.machine(machine).lent.is_empty(), "{machine} left with jobs on it");
                self.machines.retain(|known| known.spec.name != *machine);
            }
            Event::JobQueued { job, spec } => {
                let last = self.jobs.last_key_value().map_or(0, |(id, _)| id.0);
                assert_eq!(job.0, last + 1, "numbers of jobs follow each other");
                let (spec, state) = (spec.clone(), JobState::Queued);
                let (created, granted, switching, seen) = (at, at, at, at);
                let grant = Grant(0);
                let (grace, extended, warned) = (None, None, None);
                let was_ready = false;
                self.jobs.insert(
                    *job,
                    Job {
                        spec,
                        state,
                        created,
                        granted,
                        switching,
                        grant,
                        was_ready,
                        seen,
                        grace,
                        extended,
                        warned,
                    },
                );
            }
            Event::JobGranted { job, grant, machine, boards, region } => {
                let overtakes = rules::check_grant(self, fact, *job, machine, boards, *region, options);
                self.overtakings += usize::from(overtakes);
                self.new_grant(*grant);
                self.boards_of.insert(*job, (machine.clone(), boards.clone()));
                let machine = self.machine(machine);
                for board in boards.iter() {
                    assert!(machine.is_free(*board), "{board:?} was lent and was not free");
                    machine.lent.insert(*board, *job);
                }
                let known = self.job(*job);
                assert_eq!(known.state, JobState::Queued);
                (known.state, known.granted, known.switching, known.grant) =
                    (JobState::Power, at, at, *grant);
                (known.extended, known.warned, known.was_ready) = (None, None, false);
            }
            Event::LeaseExtended { job, until } => {
                let known = self.job(*job);
                let before = known.lease_ends_at().expect("only a lease is extended");
                assert!(known.holds() && *until >= before, "job {job} is extended until {until}: {known:?}");
                (known.extended, known.warned) = (Some((at, *until)), None);
            }
            Event::LeaseEnding { job, ends_at } => {
                let known = self.job(*job);
                assert_eq!(known.lease_ends_at(), Some(*ends_at));
                let due = known.warns_at(options);
                assert!(due.is_some_and(|due| due <= at), "job {job} is warned of too early: {known:?}");
                known.warned = Some(at);
            }
            Event::JobReady { job, .. } => {
                assert_eq!(self.job(*job).state, JobState::Power);
                (self.job(*job).state, self.job(*job).was_ready) = (JobState::Ready, true);
            }
            Event::JobPowering { job, .. } => {
                assert!(matches!(self.job(*job).state, JobState::Power | JobState::Ready));
                (self.job(*job).state, self.job(*job).switching) = (JobState::Power, at);
            }
            Event::JobRequeued { job, priority, .. } => {
                let known = self.job(*job);
                let (reserved, needy, begun) =
                    (known.spec.reserved, known.spec.needs().is_some(), known.was_ready);
                assert!(!reserved, "reservation {job} waits");
                assert_eq!(*priority, needy.then_some(-5), "where job {job} waits again: {known:?}");
                assert!(needy || !begun, "job {job} had its boards and waits again: {known:?}");
                known.spec = Arc::new(JobSpec {
                    priority: priority.unwrap_or(known.spec.priority),
                    ..JobSpec::clone(&known.spec)
                });
                if begun {
                    self.count_on_board(*job, (0, 1));
                }
                self.end(*job, JobState::Queued, at)
            }
            Event::JobDestroyed { job, reason, .. } => {
                self.check_end(*job, reason, at);
                let given_up =
                    matches!(reason, Reason::BoardsFailed(_)) && self.job(*job).spec.needs().is_some();
                assert!(!given_up, "job {job} was given up: {reason}");
                if let Reason::Done(_) = reason {
                    assert!(self.job(*job).holds(), "job {job} was done without boards");
                    self.count_on_board(*job, (1, 0));
                }
                self.end(*job, JobState::Destroyed, at);
            }
            _ => self.take_board(fact),
        }
    }

    /// Nobody's time is over before it is.
    fn check_end(&mut self, id: JobId, reason: &Reason, at: Moment) {
        let job = self.job(id);
        let due = match reason {
            Reason::Lapsed => job.spec.keepalive_ms.map(|ms| job.seen.plus_ms(ms)),
            Reason::LeaseOver => job.lease_ends_at().filter(|_| job.holds()),
            _ => return,
        };
        assert!(due.is_some_and(|due| due <= at), "job {id} ends at {at} ({reason}): {job:?}");
    }

    fn new_grant(&mut self, grant: Grant) {
        assert!(Grant0(grant) > self.last_grant, "grant {grant:?} after {:?}", self.last_grant);
        self.last_grant = Grant0(grant);
    }

    /// Counts what was done, and what was not, on the boards that were lent to a job, also those set aside since.
    fn count_on_board(&mut self, job: JobId, (done, failed): (u64, u64)) {
        let Some((machine, boards)) = self.boards_of.get(&job).cloned() else {
            panic!("job {job} had no boards")
        };
        for board in boards.iter() {
            let tally = self.machine(&machine).tallies.entry(*board).or_default();
            *tally = (tally.0 + done, tally.1 + failed);
        }
    }

    fn end(&mut self, job: JobId, state: JobState, at: Moment) {
        let known = self.job(job);
        assert_ne!(known.state, JobState::Destroyed, "job {job} ended twice");
        known.state = state;
        for machine in &mut self.machines {
            let boards: Vec<_> =
                machine.lent.iter().filter(|(_, holder)| **holder == job).map(|(b, _)| *b).collect();
            for board in boards {
                machine.lent.remove(&board);
                machine.returning.insert(board, (at, None));
            }
        }
    }

    fn take_board(&mut self, fact: &Fact) {
        let at = fact.at;
        match &fact.event {
            Event::BoardsCleaned { machine, boards, free_at, .. } => {
                let machine = self.machine(machine);
                for board in boards {
                    let (_, cool) =
                        machine.returning.get_mut(board).expect("what was cleaned was on its way back");
                    assert_eq!(*cool, None, "{board:?} was cleaned twice");
                    *cool = Some(*free_at);
                    if *free_at <= at {
                        machine.returning.remove(board);
                    }
                }
            }
            Event::BoardsFreed { machine, boards } => {
                for board in boards {
                    let back = self.machine(machine).returning.remove(board);
                    assert!(
                        back.is_some_and(|(_, cool)| cool.is_some_and(|cool| cool <= at)),
                        "{board:?} is hot"
                    );
                }
            }
            Event::BoardQuarantined { board, .. } => {
                let machine = self.machine(&board.machine);
                machine.lent.remove(&board.board);
                machine.returning.remove(&board.board);
                machine.reports.remove(&board.board);
                machine.out.insert(board.board, None);
            }
            Event::BoardsAnnounced { machine, serials } => {
                let machine = self.machine(machine);
                let Shape::Pool { serials: known } = &machine.spec.shape else { panic!("{machine:?} grew") };
                assert!(machine.spec.agents && serials.iter().all(|serial| !known.contains(serial)));
                let first = known.len() as u32;
                let all = known.iter().chain(serials.iter()).cloned().collect();
                let spec =
                    MachineSpec { shape: Shape::Pool { serials: all }, ..MachineSpec::clone(&machine.spec) };
                machine.spec = Arc::new(spec);
                machine
                    .out
                    .extend((first..machine.spec.board_count()).map(|board| (BoardIndex(board), None)));
            }
            Event::BoardOffline { board: BoardRef { machine, board }, .. } => {
                let machine = self.machine(machine);
                assert!(
                    machine.spec.agents && !machine.lent.contains_key(board),
                    "{board:?} went with its holder"
                );
                machine.returning.remove(board);
                machine.offers.remove(board);
                machine.out.insert(*board, None);
            }
            Event::BoardOffers { board: BoardRef { machine, board }, offers } => {
                let machine = self.machine(machine);
                assert!(machine.spec.agents && board.0 < machine.spec.board_count());
                assert!(offers.is_sorted_by(|one, next| one < next), "{offers:?} are in no order");
                let before = machine.offers.insert(*board, offers.to_vec()).unwrap_or_default();
                assert_ne!(before, offers.to_vec(), "{board:?} offers what it offered before");
            }
            Event::BoardNamed { board: BoardRef { machine, board }, name } => {
                let before = self.machine(machine).names.insert(*board, name.clone()).unwrap_or_default();
                assert_ne!(before, *name, "{board:?} has its name already");
            }
            Event::BoardTested { board, order } => {
                self.new_grant(order.grant);
                let testing = self.machine(&board.machine).out.get_mut(&board.board);
                let testing = testing.expect("only a board that is out of use is tested");
                assert_eq!(testing.replace(at), None, "{board:?} was tested twice at a time");
            }
            _ => self.take_word(fact),
        }
    }

    fn take_word(&mut self, fact: &Fact) {
        match &fact.event {
            Event::BoardReported { board: BoardRef { machine, board }, by, .. } => {
                self.machine(machine).reports.entry(*board).or_default().insert(by.clone());
            }
            Event::BoardMarked { board: BoardRef { machine, board }, mark, by, .. } => {
                let machine = self.machine(machine);
                match mark {
                    Mark::Free => {
                        machine.marks.remove(board);
                        machine.reports.remove(board);
                    }
                    _ => drop(machine.marks.insert(*board, (*mark, by.clone()))),
                }
            }
            Event::BoardSet { board: BoardRef { machine, board }, mark, by, .. } => {
                self.machine(machine).set(*board, *mark, by);
            }
            Event::SessionOpened { session, span_ms, .. } => {
                let new = self.sessions.insert(*session, Session { span_ms: *span_ms, used: fact.at });
                assert!(new.is_none(), "{session:?} was opened twice");
            }
            Event::SessionEnded { session, why } => {
                let ended = self.sessions.remove(session).expect("a session that ends was there");
                let over = ended.span_ms > 0 && ended.used.plus_ms(ended.span_ms) <= fact.at;
                assert!(over || *why != SessionEnd::Expired, "{session:?} ran out too early: {ended:?}");
            }
            _ => {}
        }
    }

    /// Somebody mentioned a job.
    pub fn note(&mut self, job: JobId, now: Moment) {
        let live = self.jobs.get_mut(&job).filter(|job| job.state != JobState::Destroyed);
        live.into_iter().for_each(|job| job.seen = job.seen.max(now));
    }

    /// Somebody used a session.
    pub fn use_session(&mut self, session: SessionKey, now: Moment) {
        self.sessions.get_mut(&session).into_iter().for_each(|session| session.used = now);
    }

    /// After a restart every order, keepalive and session has its whole time again, and leases have at least the grace:
    /// whoever was mentioned or used when is forgotten.
    pub fn restart(&mut self, now: Moment, grace_ms: u64) {
        self.sessions.values_mut().for_each(|session| session.used = now);
        for job in self.jobs.values_mut() {
            (job.switching, job.seen, job.grace) = (now, now.max(job.created), None);
            let until = now.plus_ms(grace_ms);
            job.grace = Some(until).filter(|_| job.holds() && job.lease_ends_at() < Some(until));
        }
        for machine in &mut self.machines {
            machine.order_ms_max = machine.order_ms_max.max(machine.spec.order_ms_max);
            machine.out.values_mut().flatten().for_each(|since| *since = now);
        }
    }

    /// The lab says of every job and every board what the facts say.
    pub fn compare(&self, lab: &Lab) {
        for (id, job) in &self.jobs {
            let state = lab.state_of(*id);
            let forgotten = state == JobState::Unknown && job.state == JobState::Destroyed;
            assert!(state == job.state || forgotten, "job {id} is {state:?} and should be {:?}", job.state);
        }
        let Ok(View::Boards(boards)) = lab.see(&Query::Boards(BoardFilter::default())) else {
            panic!("no boards")
        };
        let mut seen = boards.iter();
        for machine in &self.machines {
            for board in (0..machine.spec.board_count()).map(BoardIndex) {
                let view = seen.next().expect("the lab lists all boards");
                assert_eq!(
                    (&view.machine, &view.name),
                    (&machine.spec.name, &machine.spec.board_name(board))
                );
                let right = match view.state {
                    BoardState::Free => machine.is_free(board),
                    BoardState::Lent => machine.lent.get(&board) == view.holder.as_ref().map(|(job, _)| job),
                    BoardState::Cleaning => machine.returning.contains_key(&board),
                    BoardState::Dead => machine.dead.contains(&board),
                    _ => machine.out.contains_key(&board),
                };
                let offers = machine.offers.get(&board).cloned().unwrap_or_default();
                let called = machine.names.get(&board).cloned().unwrap_or_default();
                assert_eq!((&view.offers, &view.called), (&offers, &called), "{board:?}");
                let tally = machine.tallies.get(&board).copied().unwrap_or_default();
                assert_eq!((view.tally.done, view.tally.failed), tally, "{board:?} counts otherwise");
                assert!(
                    right,
                    "{} is {:?}; the facts say {machine:?}",
                    machine.spec.board_text(board),
                    view.state
                );
            }
        }
    }

    /// Nothing has been on its way for longer than it may. `restarted` is when orders were last given anew; sessions whose
    /// end was `refused` for lack of room are ended a while after that.
    pub fn check_deadlines(&self, now: Moment, restarted: Moment, refused: Option<Moment>) {
        let again = refused.map_or(Moment(0), |at| at.plus_ms(EXPIRED_AGAIN_MS + SWEEP_MS));
        for (key, session) in self.sessions.iter().filter(|(_, session)| session.span_ms > 0) {
            let late = now >= session.used.plus_ms(session.span_ms).max(again).plus_ms(SWEEP_MS);
            assert!(!late, "{key:?} has outlived its span: {session:?}");
        }
        for (id, job) in self.jobs.iter().filter(|(_, job)| job.state != JobState::Destroyed) {
            let lapsed = job.spec.keepalive_ms.is_some_and(|ms| now >= job.seen.plus_ms(ms));
            assert!(!lapsed, "job {id} has outlived its keepalive");
        }
        let late = |since: Moment, ms: u64| now > since.max(restarted).plus_ms(ms);
        for machine in &self.machines {
            let ms = machine.order_ms_max;
            for (board, (since, cool)) in &machine.returning {
                let late = cool.map_or(late(*since, ms), |cool| now >= cool);
                assert!(!late, "{board:?} of {} never comes back", machine.spec.name);
            }
            for (board, since) in machine.out.iter().filter_map(|(board, since)| Some((board, (*since)?))) {
                assert!(!late(since, ms), "the test of {board:?} of {} never ends", machine.spec.name);
            }
            for job in machine.lent.values() {
                let known = &self.jobs[job];
                let late = known.state == JobState::Power && late(known.switching, ms);
                assert!(!late, "job {job} is switched for ever");
                let over = known.lease_ends_at().is_some_and(|ends_at| now >= ends_at);
                assert!(!over, "job {job} has outlived its lease");
            }
        }
    }
}
