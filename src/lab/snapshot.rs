//! Everything that is true, in pieces, so that a start need not hear every fact again.
//!
//! `pieces` takes a lab at rest apart, `restore` makes an equal lab of them: it answers every question and
//! decides everything as one that heard all facts. What follows from something else (counts, deadlines, the line of
//! waiting jobs, what is free) is in no piece and is made anew. Signs of life are no facts, so they are not here, and
//! what `resume` gives anew is not either: the deadlines of open orders, grace.
//!
//! What is deliberately not here: how a piece is spelled (`journal::record`).

use super::board::{BoardState, Note, Trouble};
use super::demand::Demand;
use super::fact::{Grant, JobId, MachineName, OrderId, SessionKey};
use super::job::{Job, JobState};
use super::machine::{Machine, MachineSpec};
use super::queue::Place;
use super::{Lab, Outstanding, Service, SessionRecord, User};
use crate::allocator::BoardIndex;
use crate::clock::Moment;
use crate::user::UserName;
use std::collections::BTreeMap;
use std::sync::Arc;

/// How many runs of boards one piece holds at most, so that no piece is large.
const RUNS_MAX: usize = 4096;

/// How many numbers of boards, ended jobs or sessions one piece holds at most.
const LIST_MAX: usize = 4096;

/// One thing that is true. Pieces are in the order of these variants, and restored in any lab's own order.
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
        let mut boards_done = 0;
        for piece in pieces {
            if let Piece::Machine { .. } = piece {
                self.end_machine(boards_done)?;
                boards_done = 0;
            }
            self.take_piece(piece, &mut boards_done)?;
        }
        self.end_machine(boards_done)?;
        self.derive();
        self.check()
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
            Piece::Counters { last_job, last_grant, accept, reason } => {
                (self.last_job, self.last_grant) = (last_job, last_grant);
                self.service = Service { accept, reason };
            }
            Piece::Machine { spec } => {
                spec.fault().map_or(Ok(()), Err)?;
                self.machines.push(Machine::new(spec, Moment(0)));
            }
            Piece::Boards(runs) => {
                let machine = self.machines.last_mut().ok_or("boards of no machine")?;
                for run in runs {
                    machine.restore_run(*boards_done, run)?;
                    *boards_done += run.count;
                }
            }
            Piece::Board(words) => {
                self.machines.last_mut().ok_or("a board of no machine")?.restore_words(words)?
            }
            Piece::Wear(boards) => {
                self.machines.last_mut().ok_or("wear of no machine")?.restore_wear(&boards)?
            }
            Piece::User { name, user } => drop(self.users.insert(name, user)),
            Piece::Session { key, record } => {
                *self.sessions_of_user.entry(record.user.clone()).or_default() += 1;
                self.sessions.insert(key, record);
            }
            Piece::SessionsOver(over) => self.sessions_over.extend(over),
            Piece::Job(job) => self.restore_job(*job)?,
            Piece::Retired(retired) => self.retired.extend(retired),
            Piece::Order { id, open } => self.restore_order(id, open)?,
            Piece::Cooling { free_at, order, machine, boards } => {
                self.check_boards_of(&machine, &boards)?;
                self.due.cooled.insert((free_at, order), (machine, boards));
            }
        }
        Ok(())
    }

    /// These boards must be boards of that machine.
    fn check_boards_of(&self, machine: &MachineName, boards: &[BoardIndex]) -> Result<(), String> {
        let count = self.machine(machine).map_or(0, |machine| machine.spec.board_count());
        match boards.iter().all(|board| board.0 < count) {
            true => Ok(()),
            false => Err(format!("machine '{machine}' has {count} boards, and more are spoken of")),
        }
    }

    fn restore_job(&mut self, job: Job) -> Result<(), String> {
        let id = job.id;
        if job.is_live() {
            if let Some(loan) = job.live_loan() {
                self.check_boards_of(&loan.machine, &loan.boards)?;
                self.job_of_grant.insert(loan.grant, id);
            }
            self.live.insert(id);
            *self.live_of_owner.entry(job.spec.owner.clone()).or_default() += 1;
            self.due.lapses.extend(job.lapses_at().map(|lapses_at| (lapses_at, id)));
            self.due.leases.extend(job.lease_ends_at().map(|ends_at| (ends_at, id)));
        }
        *self.jobs_in_state.entry(job.state).or_default() += 1;
        self.jobs.insert(id, job);
        Ok(())
    }

    fn restore_order(&mut self, id: OrderId, open: Outstanding) -> Result<(), String> {
        self.check_boards_of(&open.machine, &open.boards)?;
        self.check_boards_of(&open.machine, &open.failed.keys().copied().collect::<Vec<_>>())?;
        match open.failed.is_empty() {
            true => drop(self.due.orders.insert((open.deadline, id))),
            false => drop(self.troubled.insert(id)),
        }
        self.orders.insert(id, open);
        Ok(())
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
