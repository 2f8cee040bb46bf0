//! Everything that is true, in pieces, so that a start need not hear every fact again.
//!
//! `pieces` takes a lab at rest apart, `restore` makes an equal lab of them: it answers every question and
//! decides everything as one that heard all facts. What follows from something else (counts, deadlines, the line of
//! waiting jobs, what is free) is in no piece and is made anew. Signs of life are no facts, so they are not here, and
//! what `resume` gives anew is not either: the deadlines of open orders, grace.
//!
//! What is deliberately not here: how a piece is spelled (`journal::record`).

use super::board::{BoardState, Note, Tally, Trouble};
use super::demand::Demand;
use super::fact::{Grant, JobId, MachineName, OrderId, SessionKey};
use super::job::{Job, JobState};
use super::machine::{Machine, MachineSpec};
use super::queue::Place;
use super::{Lab, Outstanding, Purpose, Service, SessionRecord, User};
use crate::allocator::BoardIndex;
use crate::clock::Moment;
use crate::user::UserName;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// How many runs of boards one piece holds at most, so that no piece is large.
const RUNS_MAX: usize = 4096;

/// How many numbers of boards, ended jobs or sessions one piece holds at most.
const LIST_MAX: usize = 4096;

/// One thing that is true. Pieces stand in the order of these variants, with everything of one machine behind it.
#[derive(Clone, Debug, PartialEq)]
pub enum Piece {
    /// The last numbers that were given out, and whether new jobs are taken.
    Counters { last_job: JobId, last_grant: Grant, accept: bool, reason: Arc<str> },
    /// The next machine in their order; all its boards are free, or dead if its description says so.
    Machine { spec: Arc<MachineSpec> },
    /// The next boards of the machine before, as runs.
    Boards(Vec<BoardRun>),
    /// What only few boards of the machine before have.
    Board(BoardWords),
    /// The next boards of the machine before in the order in which they wear, longest idle first; left out when that is
    /// the order of their numbers.
    Wear(Vec<BoardIndex>),
    /// A user.
    User { name: UserName, user: User },
    /// A session.
    Session { key: SessionKey, record: SessionRecord },
    /// Sessions that ended, the longest ago first.
    SessionsOver(Vec<SessionKey>),
    /// A job that lives or is remembered.
    Job(Box<Job>),
    /// The jobs that ended, in the order in which they did.
    Retired(Vec<JobId>),
    /// An order that hardware has not answered yet.
    Order { id: OrderId, open: Outstanding },
    /// Boards that are clean and cool down.
    Cooling { free_at: Moment, order: OrderId, machine: MachineName, boards: Vec<BoardIndex> },
}

/// Neighbouring boards that are alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BoardRun {
    /// How many.
    pub count: u32,
    /// Their state.
    pub state: BoardState,
    /// The last grant under which they were touched.
    pub grant: Grant,
    /// Since when they are in that state.
    pub since: Moment,
}

/// What was said of one board.
#[derive(Clone, Debug, PartialEq)]
pub struct BoardWords {
    /// The board.
    pub board: BoardIndex,
    /// Why it is quarantined.
    pub trouble: Option<Trouble>,
    /// A mark that waits for it to come back.
    pub mark: Option<Note>,
    /// Why an operator put it where it is.
    pub note: Option<Note>,
    /// What holders said of it, by who said it.
    pub reports: BTreeMap<Arc<str>, Arc<str>>,
    /// What it offers, in order, each once.
    pub offers: Arc<[Arc<str>]>,
    /// How people call it; empty when nobody said.
    pub called: Arc<str>,
    /// What became of the jobs that were to be done on it.
    pub tally: Tally,
}

impl Lab {
    /// Everything that is true now.
    pub fn pieces(&self) -> Vec<Piece> {
        let mut pieces = vec![Piece::Counters {
            last_job: self.last_job,
            last_grant: self.last_grant,
            accept: self.service.accept,
            reason: self.service.reason.clone(),
        }];
        for machine in &self.machines {
            pieces.push(Piece::Machine { spec: machine.spec.clone() });
            pieces.extend(machine.runs().chunks(RUNS_MAX).map(|runs| Piece::Boards(runs.to_vec())));
            pieces.extend(machine.words().into_iter().map(Piece::Board));
            pieces.extend(machine.wear().chunks(LIST_MAX).map(|boards| Piece::Wear(boards.to_vec())));
        }
        let users = self.users.iter();
        pieces.extend(users.map(|(name, user)| Piece::User { name: name.clone(), user: user.clone() }));
        let sessions = self.sessions.iter();
        pieces.extend(sessions.map(|(key, record)| Piece::Session { key: *key, record: record.clone() }));
        let over: Vec<_> = self.sessions_over.iter().copied().collect();
        pieces.extend(over.chunks(LIST_MAX).map(|over| Piece::SessionsOver(over.to_vec())));
        pieces.extend(self.jobs.values().map(|job| Piece::Job(Box::new(job.without_signs()))));
        let retired: Vec<_> = self.retired.iter().copied().collect();
        pieces.extend(retired.chunks(LIST_MAX).map(|retired| Piece::Retired(retired.to_vec())));
        pieces.extend(self.orders.iter().map(|(id, open)| Piece::Order { id: *id, open: open.undated() }));
        pieces.extend(self.due.cooled.iter().map(|((free_at, order), (machine, boards))| Piece::Cooling {
            free_at: *free_at,
            order: *order,
            machine: machine.clone(),
            boards: boards.clone(),
        }));
        pieces
    }

    /// The lab that these pieces were of, with the options of this one. An error says what contradicts itself; this
    /// lab is of no use then.
    pub fn restore(&mut self, pieces: impl IntoIterator<Item = Piece>) -> Result<(), String> {
        *self = Lab::new(self.options.clone());
        let mut pieces = pieces.into_iter();
        self.take_counters(pieces.next())?;
        let mut boards_done = 0;
        for piece in pieces {
            if let Piece::Machine { .. } = piece {
                self.end_machine(boards_done)?;
                boards_done = 0;
            }
            self.take_piece(piece, &mut boards_done)?;
        }
        self.end_machine(boards_done)?;
        self.check_retired()?;
        self.derive();
        self.check()
    }

    /// The numbers come first: everything else is held against them.
    fn take_counters(&mut self, first: Option<Piece>) -> Result<(), String> {
        let Some(Piece::Counters { last_job, last_grant, accept, reason }) = first else {
            return Err("it does not begin with the last numbers".to_owned());
        };
        (self.last_job, self.last_grant) = (last_job, last_grant);
        self.service = Service { accept, reason };
        Ok(())
    }

    /// All boards of the last machine must have been told of.
    fn end_machine(&self, boards_done: u32) -> Result<(), String> {
        match self.machines.last() {
            Some(machine) if machine.spec.board_count() != boards_done => {
                Err(format!("{boards_done} of the boards of {} are there", machine.spec.name))
            }
            _ => Ok(()),
        }
    }

    fn take_piece(&mut self, piece: Piece, boards_done: &mut u32) -> Result<(), String> {
        match piece {
            Piece::Counters { .. } => return Err("the last numbers are there twice".to_owned()),
            Piece::Machine { spec } => self.restore_machine(spec)?,
            Piece::Boards(runs) => self.restore_runs(runs, boards_done)?,
            Piece::Board(words) => {
                self.machines.last_mut().ok_or("a board of no machine")?.restore_words(words)?
            }
            Piece::User { name, user } => {
                once(self.users.insert(name.clone(), user), || format!("user {name}"))?
            }
            Piece::Wear(boards) => {
                self.machines.last_mut().ok_or("wear of no machine")?.restore_wear(&boards)?
            }
            Piece::Session { key, record } => {
                *self.sessions_of_user.entry(record.user.clone()).or_default() += 1;
                once(self.sessions.insert(key, record), || format!("session {key:?}"))?
            }
            Piece::SessionsOver(over) => self.sessions_over.extend(over),
            Piece::Job(job) => self.restore_job(*job)?,
            Piece::Retired(retired) => self.retired.extend(retired),
            Piece::Order { id, open } => self.restore_order(id, open)?,
            Piece::Cooling { free_at, order, machine, boards } => {
                self.check_boards_of(&machine, &boards)?;
                let before = self.due.cooled.insert((free_at, order), (machine, boards));
                once(before, || format!("what cools down after order {order}"))?
            }
        }
        Ok(())
    }

    fn restore_machine(&mut self, spec: Arc<MachineSpec>) -> Result<(), String> {
        once(self.machine(&spec.name), || format!("machine '{}'", spec.name))?;
        spec.fault().map_or(Ok(()), Err)?;
        self.machines.push(Machine::new(spec, Moment(0)));
        Ok(())
    }

    fn restore_runs(&mut self, runs: Vec<BoardRun>, boards_done: &mut u32) -> Result<(), String> {
        let machine = self.machines.last_mut().ok_or("boards of no machine")?;
        for run in runs {
            check_grant(run.grant, self.last_grant)?;
            machine.restore_run(*boards_done, run)?;
            *boards_done += run.count;
        }
        Ok(())
    }

    /// These boards must be boards of that machine.
    fn check_boards_of(&self, machine: &MachineName, boards: &[BoardIndex]) -> Result<(), String> {
        let known = self.machine(machine).ok_or_else(|| format!("machine '{machine}' is not there"))?;
        let count = known.spec.board_count();
        match boards.iter().all(|board| board.0 < count) {
            true => Ok(()),
            false => Err(format!("machine '{machine}' has {count} boards, and more are spoken of")),
        }
    }

    fn restore_job(&mut self, job: Job) -> Result<(), String> {
        let id = job.id;
        if id > self.last_job {
            return Err(format!("job {id} comes after the last one, {}", self.last_job));
        }
        if job.is_live() {
            self.restore_loan(&job)?;
            self.live.insert(id);
            *self.live_of_account.entry(job.spec.account()).or_default() += 1;
            self.due.lapses.extend(job.lapses_at().map(|lapses_at| (lapses_at, id)));
            self.count_reservation(id, &job.spec);
        }
        *self.jobs_in_state.entry(job.state).or_default() += 1;
        once(self.jobs.insert(id, job), || format!("job {id}"))?;
        self.schedule_lease(id);
        Ok(())
    }

    /// A live job waits, or it has a loan.
    fn restore_loan(&mut self, job: &Job) -> Result<(), String> {
        match (job.state, &job.loan) {
            (JobState::Queued, None) => Ok(()),
            (JobState::Power | JobState::Ready, Some(loan)) => {
                self.check_boards_of(&loan.machine, &loan.boards)?;
                check_grant(loan.grant, self.last_grant)?;
                let before = self.job_of_grant.insert(loan.grant, job.id);
                once(before, || format!("grant {}", loan.grant.0))
            }
            (state, _) => Err(format!("job {} is in state {} with the wrong loan", job.id, state.word())),
        }
    }

    fn restore_order(&mut self, id: OrderId, open: Outstanding) -> Result<(), String> {
        check_grant(id.grant, self.last_grant)?;
        self.check_boards_of(&open.machine, &open.boards)?;
        let boards: BTreeSet<_> = open.boards.iter().collect();
        let known = open.answered.iter().all(|board| boards.contains(board))
            && open.failed.keys().all(|board| open.answered.contains(board));
        if !known {
            return Err(format!("other boards than those of order {id} answered it"));
        }
        if !self.is_awaited(id, &open) {
            return Err(format!("nothing waits for order {id}"));
        }
        // A deadline that has passed already does no harm: consequences are drawn first, and close the order.
        self.due.orders.insert((open.deadline, id));
        if !open.failed.is_empty() || self.has_lost_boards(id, &open) {
            self.troubled.insert(id);
        }
        once(self.orders.insert(id, open), || format!("order {id}"))
    }

    /// Whether a job's order failed on a board that was set aside since, and the job has not heard of it yet.
    fn has_lost_boards(&self, id: OrderId, open: &Outstanding) -> bool {
        let Some(machine) = self.machine(&open.machine) else { return false };
        let is_lost = |board: &BoardIndex| {
            machine.state(*board) != BoardState::Lent || machine.grant(*board) != id.grant
        };
        matches!(open.purpose, Purpose::Switch { .. }) && open.boards.iter().any(is_lost)
    }

    /// Whether the job or the board that an order is for knows of it.
    fn is_awaited(&self, id: OrderId, open: &Outstanding) -> bool {
        match &open.purpose {
            Purpose::Switch { job, .. } => {
                let loan = self.jobs.get(job).and_then(|job| job.live_loan());
                loan.is_some_and(|loan| {
                    loan.grant == id.grant && loan.next_step.checked_sub(1) == Some(id.step)
                })
            }
            Purpose::Clean { .. } => true,
            Purpose::Test => self.machine(&open.machine).is_some_and(|machine| {
                let testing =
                    |board| machine.troubles().get(board).is_some_and(|trouble| trouble.testing == Some(id));
                open.boards.iter().all(testing)
            }),
        }
    }

    /// The jobs that are listed as ended are those that did, each once.
    fn check_retired(&self) -> Result<(), String> {
        let listed: BTreeSet<_> = self.retired.iter().collect();
        let ended = self.jobs.values().filter(|job| !job.is_live()).map(|job| &job.id);
        match listed.len() == self.retired.len() && ended.eq(listed) {
            true => Ok(()),
            false => Err("other jobs are listed as ended than those that did".to_owned()),
        }
    }

    /// Makes anew what follows from the rest.
    fn derive(&mut self) {
        for machine in &mut self.machines {
            machine.recount();
            let name = &machine.spec.name;
            let retests = machine.troubles().iter();
            let retests = retests.filter_map(|(board, trouble)| Some((trouble.retest_at?, *board)));
            self.due.retests.extend(retests.map(|(at, board)| (at, name.clone(), board)));
        }
        self.forget_oldest_jobs();
        self.queue.refit(&self.machines);
        let queued = self.live.iter().filter_map(|id| self.jobs.get(id));
        let queued: Vec<_> = queued
            .filter(|job| job.state == JobState::Queued)
            .map(|job| (job.id, job.spec.clone()))
            .collect();
        for (id, spec) in queued {
            if !self.queue.enter(Place::of(id, &spec), Demand::of(&spec), &self.machines) {
                self.lost.insert(id);
            }
        }
        self.condemn_all();
    }
}

/// Refuses what is there already.
fn once<T>(before: Option<T>, what: impl FnOnce() -> String) -> Result<(), String> {
    match before {
        None => Ok(()),
        Some(_) => Err(format!("{} is there twice", what())),
    }
}

/// No grant is from the future.
fn check_grant(grant: Grant, last: Grant) -> Result<(), String> {
    match grant <= last {
        true => Ok(()),
        false => Err(format!("grant {} comes after the last one, {}", grant.0, last.0)),
    }
}

#[cfg(test)]
mod tests;
