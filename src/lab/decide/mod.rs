//! Wishes into facts, or a refusal. Nothing here writes.
//!
//! Here is who decides what, and what all share: who may, and which board is meant. The files beside have one kind of
//! wish each: `jobs`, `burns`, `leases`, `reservations`, `boards` (with what hardware answers), `agents` that come and go, `machines`,
//! `users` with their sessions and the service.

mod agents;
mod boards;
mod burns;
mod jobs;
mod leases;
mod machines;
mod reservations;
mod users;

use super::Lab;
use super::board::BoardState;
use super::command::{Caller, Command, Consultation, Held};
use super::fact::{BoardRef, Event, Fact, JobId, MachineName, OrderId};
use super::job::{JOB_TEXT_BYTES_MAX, Job, JobState};
use super::machine::Machine;
use super::refusal::Refusal;
use super::view::BoardAddress;
use crate::allocator::BoardIndex;
use crate::allocator::torus::Triad;
use crate::clock::Moment;
use crate::user::Role;

/// Who may say what hardware does.
const SERVER_ONLY: &str = "only the server itself speaks for hardware";

/// What a wish comes to.
type Decision = Result<Vec<Event>, Refusal>;

impl Lab {
    /// What would happen if this wish were granted now; nothing changes.
    pub fn decide(&self, now: Moment, caller: &Caller, command: &Command) -> Result<Vec<Fact>, Refusal> {
        let events = match command {
            Command::Configure(specs) => self.configure(caller, specs),
            Command::CreateJob(spec) => self.create_job(caller, spec),
            Command::CreateJobAnyway(spec) => self.create_job_anyway(caller, spec),
            Command::PowerJob { job, power } => self.power_job(caller, *job, *power),
            Command::DestroyJob { job, reason } => self.destroy_job(caller, *job, reason),
            Command::ExtendJob { job, lease_ms } => self.extend_job(now, caller, *job, *lease_ms),
            Command::Reserve(reservation) => self.reserve(now, caller, reservation),
            Command::ExtendReserved { owner, serials } => {
                self.extend_reserved(now, caller, owner, serials.as_deref())
            }
            Command::EndReserved { owner, serials } => self.end_reserved(caller, owner, serials.as_deref()),
            Command::RenewBoards { serials } => self.renew_boards(now, caller, serials),
            Command::ReportBoard { board, reason } => self.report_board(caller, board, reason),
            Command::MarkBoard { board, mark, reason } => self.mark_board(caller, board, *mark, reason),
            Command::RetestBoard { board } => self.retest_board(caller, board),
            Command::NameBoard { board, name } => self.name_board(caller, board, name),
            Command::CreateUser { user, role, phc } => self.create_user(caller, user, *role, phc),
            Command::SetPassword { user, phc } => self.set_password(caller, user, phc),
            Command::SetRole { user, role } => self.set_role(caller, user, *role),
            Command::DeleteUser { user } => self.delete_user(caller, user),
            Command::OpenSession { session, user, role, client, span_ms } => {
                self.open_session(*session, user, *role, client, *span_ms)
            }
            Command::EndSession { session, why } => self.end_session(caller, *session, *why),
            Command::SetService { accept, reason } => self.set_service(caller, *accept, reason),
            Command::AnnounceBoards { machine, serials } => {
                require(caller, Role::Admin, SERVER_ONLY)?;
                self.announce_boards(now, machine, serials)
            }
            Command::LoseBoards { machine, boards, reason } => {
                require(caller, Role::Admin, SERVER_ONLY)?;
                self.lose_boards(machine, boards, reason)
            }
            Command::BreakBoards { machine, boards, reason } => {
                require(caller, Role::Admin, SERVER_ONLY)?;
                self.break_boards(now, machine, boards, reason)
            }
            Command::DrainBoards { machine, boards, draining } => {
                require(caller, Role::Admin, SERVER_ONLY)?;
                self.drain_boards(now, machine, boards, *draining)
            }
            Command::OfferOnBoard { machine, board, offers } => {
                require(caller, Role::Admin, SERVER_ONLY)?;
                self.offer_on_board(machine, *board, offers)
            }
            Command::PutBackJob { job, grant, reason } => {
                require(caller, Role::Admin, SERVER_ONLY)?;
                self.put_back_job(*job, *grant, reason)
            }
            Command::FinishJob { job, grant, words } => {
                require(caller, Role::Admin, SERVER_ONLY)?;
                self.finish_job(*job, *grant, words)
            }
            Command::AnswerOrder { order, obeyed, failed } => {
                require(caller, Role::Admin, SERVER_ONLY)?;
                Ok(self.answer_order(now, *order, obeyed, failed))
            }
        }?;
        Ok(events.into_iter().map(|event| Fact { at: now, event }).collect())
    }

    /// Whether a caller may put a question to a board, and under which number it goes out.
    pub fn consult(&self, caller: &Caller, address: &BoardAddress) -> Result<Consultation, Refusal> {
        let (machine, board) = self.find_board(address)?;
        let grant = machine.grant(board);
        let holder = self.holder(machine, board);
        match holder {
            Some(job) => self.require_owner(caller, job)?,
            None => require(
                caller,
                Role::Operator,
                "only an operator may do this to a board that is not lent to the caller",
            )?,
        }
        let step = holder
            .and_then(|job| job.loan.as_ref())
            .map_or(u32::MAX, |loan| loan.next_step.saturating_sub(1));
        let board = BoardRef { machine: machine.spec.name.clone(), board };
        let held = holder.and_then(|job| {
            let loan = job.loan.as_ref()?;
            let (kind, args) = (loan.kind.clone(), job.spec.kind_args.clone());
            Some(Held { boards: loan.boards.clone(), kind, args })
        });
        Ok(Consultation { board, order: OrderId { grant, step }, held })
    }

    /// Whether a caller may give a sign of life for a job.
    pub fn may_keep_alive(&self, caller: &Caller, job: JobId) -> Result<(), Refusal> {
        let job = self.live_job(job)?;
        self.require_owner(caller, job)
    }

    fn live_job(&self, id: JobId) -> Result<&Job, Refusal> {
        let job = self.jobs.get(&id).ok_or(Refusal::JobUnknown(id))?;
        match &job.reason {
            Some(reason) if job.state == JobState::Destroyed => {
                Err(Refusal::JobOver(id, reason.to_string().into()))
            }
            _ => Ok(job),
        }
    }

    /// The job that holds a board.
    pub(super) fn holder(&self, machine: &Machine, board: BoardIndex) -> Option<&Job> {
        if machine.state(board) != BoardState::Lent {
            return None;
        }
        self.jobs.get(self.job_of_grant.get(&machine.grant(board))?)
    }

    fn require_owner(&self, caller: &Caller, job: &Job) -> Result<(), Refusal> {
        match caller.may_act_on(&job.spec) {
            true => Ok(()),
            false => Err(Refusal::NotYours { job: job.id, owner: job.spec.owner.clone() }),
        }
    }

    /// The board at an address.
    pub(super) fn find_board(&self, address: &BoardAddress) -> Result<(&Machine, BoardIndex), Refusal> {
        let known =
            |name: &MachineName| self.machine(name).ok_or_else(|| Refusal::MachineUnknown(name.clone()));
        let found = match address {
            BoardAddress::Triad { machine, x, y, z } => {
                known(machine).map(|m| (m, triad_index(m, *x, *y, *z)))?
            }
            BoardAddress::Place { machine, place } => {
                known(machine).map(|m| (m, m.spec.triads().and_then(|torus| torus.board_at(*place))))?
            }
            BoardAddress::Serial { machine: Some(machine), serial } => {
                known(machine).map(|m| (m, serial_index(m, serial)))?
            }
            BoardAddress::Serial { machine: None, serial } => {
                let mut all = self.machines.iter().map(|m| (m, serial_index(m, serial)));
                all.find(|(_, board)| board.is_some())
                    .ok_or_else(|| Refusal::BoardUnknown(address.to_string()))?
            }
        };
        found.1.map(|board| (found.0, board)).ok_or_else(|| Refusal::BoardUnknown(address.to_string()))
    }
}

fn triad_index(machine: &Machine, x: u32, y: u32, z: u32) -> Option<BoardIndex> {
    machine.spec.triads()?.torus().index_within(Triad { x, y, z })
}

fn serial_index(machine: &Machine, serial: &str) -> Option<BoardIndex> {
    machine.board_with_serial(serial)
}

fn board_ref(machine: &Machine, board: BoardIndex) -> BoardRef {
    BoardRef { machine: machine.spec.name.clone(), board }
}

fn require(caller: &Caller, role: Role, sentence: &'static str) -> Result<(), Refusal> {
    match caller.role >= role {
        true => Ok(()),
        false => Err(Refusal::NeedsRole(sentence)),
    }
}

fn require_short(what: &'static str, text: &str) -> Result<(), Refusal> {
    match text.len() <= JOB_TEXT_BYTES_MAX {
        true => Ok(()),
        false => Err(Refusal::TextTooLong { what, max: JOB_TEXT_BYTES_MAX }),
    }
}
