//! Questions into answers. Nothing here writes, and nothing here knows how an answer is spelled.

use super::board::BoardState;
use super::fact::{Event, Fact, JobId, MachineName, OrderId};
use super::job::{JOB_LOG_MAX, Job, JobSpec, JobState};
use super::machine::{DEAD_BY_CONFIGURATION, Machine, Physical, TriadsSpec};
use super::queue::Place;
use super::refusal::Refusal;
use super::view::*;
use super::{Lab, Outstanding};
use crate::allocator::BoardIndex;
use crate::allocator::geometry::Geometry;
use crate::allocator::torus::{Chip, Torus, Triad};
use crate::clock::Moment;
use std::collections::BTreeMap;
use std::sync::Arc;

impl Lab {
    /// The answer to a question.
    pub fn see(&self, query: &Query) -> Result<View, Refusal> {
        Ok(match query {
            Query::Status => View::Status(self.status()),
            Query::Machines => View::Machines(self.machines.iter().map(machine_view).collect()),
            Query::Machine(name) => {
                let machine = self.known_machine(name)?;
                View::Machine(
                    machine_view(machine),
                    machine.boards().map(|board| self.board_view(machine, board)).collect(),
                )
            }
            Query::Boards(filter) => View::Boards(self.boards(filter)?),
            Query::Board(address) => {
                let (machine, board) = self.find_board(address)?;
                View::Board(self.board_view(machine, board))
            }
            Query::Position(address) => {
                let (machine, board) = self.find_board(address)?;
                View::Position(machine.spec.triads().and_then(|torus| torus.place(board)))
            }
            Query::AtPosition(address) => View::AtPosition(self.at_position(address)?),
            Query::WhereIs(whereabouts) => View::WhereIs(self.where_is(whereabouts)),
            Query::Jobs(filter) => View::Jobs(self.list_jobs(filter)),
            Query::Job(id) => {
                View::Job(self.job_view(self.jobs.get(id).ok_or(Refusal::JobUnknown(*id))?, true))
            }
            Query::JobState(id) => View::JobState(self.jobs.get(id).map(|job| self.job_view(job, false))),
            Query::JobMachine(id) => View::JobMachine(self.job_machine(*id)),
            Query::Explain(id) => View::Explain(self.explain(*id)?),
            Query::JobHistory(id) => {
                View::JobHistory(self.jobs.get(id).ok_or(Refusal::JobUnknown(*id))?.log.clone())
            }
            Query::Available(which) => View::Available(self.reservable_serials(which)?.count()),
            Query::Devices(which) => View::Devices(self.reservable_serials(which)?.collect()),
            Query::Reserved(jobs) => View::Reserved(self.reserved_views(jobs)),
            Query::Users => View::Users(self.list_users()),
        })
    }

    /// What was asked for, and by whom, so that whoever mentions a job can be told from a stranger.
    pub fn spec_of(&self, job: JobId) -> Option<&Arc<JobSpec>> {
        self.jobs.get(&job).map(|job| &job.spec)
    }

    /// The state of a job; unknown when there is none.
    pub fn state_of(&self, job: JobId) -> JobState {
        self.jobs.get(&job).map_or(JobState::Unknown, |job| job.state)
    }

    /// When a job was queued.
    pub fn queued_at(&self, job: JobId) -> Option<Moment> {
        self.jobs.get(&job).map(|job| job.created)
    }

    /// An order that hardware has not answered yet.
    pub fn outstanding(&self, order: OrderId) -> Option<&Outstanding> {
        self.orders.get(&order)
    }

    /// Whether the lab knows all that happened to a job; also of a job that never was.
    pub fn remembers_all_of(&self, job: JobId) -> bool {
        match self.jobs.get(&job) {
            Some(job) => job.log.len() < JOB_LOG_MAX,
            None => job > self.last_job,
        }
    }

    fn status(&self) -> StatusView {
        let in_state = |state| (state, self.jobs_in_state.get(&state).copied().unwrap_or(0));
        let jobs: BTreeMap<_, _> = [JobState::Queued, JobState::Power, JobState::Ready].map(in_state).into();
        let count = |state| self.machines.iter().map(|machine| machine.count(state)).sum();
        StatusView {
            accept: self.service.accept,
            reason: self.service.reason.clone(),
            jobs,
            jobs_ended: self.retired.len(),
            boards: BoardState::ALL.into_iter().map(|state| (state, count(state))).collect(),
            machines: self.machines.len(),
            users: self.users.len(),
            sessions: self.sessions.len(),
            orders_open: self.orders.len(),
        }
    }

    fn known_machine(&self, name: &MachineName) -> Result<&Machine, Refusal> {
        self.machine(name).ok_or_else(|| Refusal::MachineUnknown(name.clone()))
    }

    fn boards(&self, filter: &BoardFilter) -> Result<Vec<BoardView>, Refusal> {
        let machines: Vec<_> = match &filter.machine {
            Some(name) => vec![self.known_machine(name)?],
            None => self.machines.iter().collect(),
        };
        let all =
            machines.into_iter().flat_map(|machine| machine.boards().map(move |board| (machine, board)));
        let wanted =
            all.filter(|(machine, board)| filter.state.is_none_or(|state| machine.state(*board) == state));
        let page = wanted.skip(filter.offset).take(filter.limit.unwrap_or(usize::MAX));
        Ok(page.map(|(machine, board)| self.board_view(machine, board)).collect())
    }

    fn board_view(&self, machine: &Machine, index: BoardIndex) -> BoardView {
        let board = machine.board(index);
        let torus = machine.spec.triads();
        let reason = board.trouble.map(|trouble| trouble.reason.clone());
        let by_configuration = (board.state == BoardState::Dead).then(|| DEAD_BY_CONFIGURATION.into());
        BoardView {
            machine: machine.spec.name.clone(),
            index,
            name: machine.spec.board_name(index),
            state: board.state,
            since: board.since,
            reason: reason
                .or_else(|| machine.note(index).map(|note| note.reason.clone()))
                .or(by_configuration),
            holder: self.holder(machine, index).map(|job| (job.id, job.spec.owner.clone())),
            physical: torus.and_then(|torus| torus.place(index)),
            host: torus.map_or_else(|| "".into(), |torus| torus.host(index)),
            retest_at: board.trouble.and_then(|trouble| trouble.retest_at),
            marked: board.mark.map(|note| note.mark),
            reports: board.reports.map_or(0, |reports| reports.len()),
            offers: board.offers.to_vec(),
            called: board.called.into(),
            tally: board.tally,
        }
    }

    fn at_position(&self, address: &BoardAddress) -> Result<Option<Triad>, Refusal> {
        let BoardAddress::Place { machine, place } = address else { return Ok(None) };
        let machine = self.known_machine(machine)?;
        let torus = machine.spec.triads();
        Ok(torus.and_then(|torus| Some(torus.torus().triad(torus.board_at(*place)?))))
    }

    fn list_jobs(&self, filter: &JobFilter) -> Vec<JobView> {
        let ended = filter.state == Some(JobState::Destroyed);
        let live = self.live.iter().filter(|_| !ended).filter_map(|id| self.jobs.get(id));
        let all = self.jobs.values().filter(|_| ended);
        let wanted = live.chain(all).filter(|job| {
            filter.state.is_none_or(|state| job.state == state)
                && filter.owner.as_ref().is_none_or(|owner| job.spec.owner == *owner)
                && (filter.machine.as_ref())
                    .is_none_or(|machine| job.loan.as_ref().is_some_and(|loan| loan.machine == *machine))
        });
        wanted.take(filter.limit.unwrap_or(usize::MAX)).map(|job| self.job_view(job, false)).collect()
    }

    fn job_view(&self, job: &Job, with_place: bool) -> JobView {
        let machine = job.loan.as_ref().and_then(|loan| self.machine(&loan.machine));
        let name = |board: &BoardIndex| machine.map(|machine| machine.spec.board_name(*board));
        let boards =
            job.loan.as_ref().map_or_else(Vec::new, |loan| loan.boards.iter().filter_map(name).collect());
        let queued = with_place && job.state == JobState::Queued;
        JobView {
            id: job.id,
            spec: job.spec.clone(),
            state: job.state,
            created: job.created,
            lapses_at: job.lapses_at().filter(|_| job.is_live()),
            lease_ends_at: job.lease_ends_at(),
            loan: job.loan.clone(),
            boards,
            ahead: queued.then(|| self.queue.ahead_of(Place::of(job.id, &job.spec))),
            attempts: job.attempts,
            reason: job.reason.clone(),
            ended: job.ended,
        }
    }

    fn job_machine(&self, id: JobId) -> Option<JobMachineView> {
        let loan = self.jobs.get(&id)?.live_loan()?;
        let machine = self.machine(&loan.machine)?;
        let boards = loan.boards.iter().map(|board| machine.spec.board_name(*board)).collect();
        let geometry = machine
            .spec
            .triads()
            .and_then(|torus| Some((torus, Geometry::new(torus.torus(), &loan.boards)?)));
        let connections = geometry.as_ref().map_or_else(Vec::new, |(torus, geometry)| {
            geometry.connections().into_iter().map(|(chip, board)| (chip, torus.host(board))).collect()
        });
        Some(JobMachineView {
            machine: loan.machine.clone(),
            width: geometry.as_ref().map(|(_, geometry)| geometry.width_chips),
            height: geometry.as_ref().map(|(_, geometry)| geometry.height_chips),
            connections,
            boards,
        })
    }

    fn reservable_serials(&self, which: &Reservable) -> Result<impl Iterator<Item = Arc<str>>, Refusal> {
        let (now, pools) = (which.now, self.pools_for(which.machine.as_ref(), which.kind.as_ref())?);
        Ok(pools.into_iter().flat_map(move |number| {
            let spec = &self.machines[number].spec;
            self.reservable(now, number).into_iter().map(|board| spec.board_name(board).to_string().into())
        }))
    }

    fn reserved_views(&self, jobs: &[JobId]) -> Vec<ReservedView> {
        let known = jobs.iter().filter_map(|id| self.jobs.get(id));
        known.filter_map(|job| self.reserved_view(job)).collect()
    }

    /// A reservation that lives.
    fn reserved_view(&self, job: &Job) -> Option<ReservedView> {
        let loan = job.live_loan().filter(|_| job.spec.reserved)?;
        Some(ReservedView {
            job: job.id,
            owner: job.spec.owner.clone(),
            machine: loan.machine.clone(),
            serial: self.serial_of(job)?,
            kind: loan.kind.clone(),
            ends_at: job.lease_ends_at()?,
        })
    }

    /// The boards of reservations that facts are about, and of boards that are found anew: asked before they are applied.
    pub fn devices_in(&self, facts: &[Fact]) -> Devices {
        let mut devices = Devices::default();
        let mut spec = None;
        for fact in facts {
            match &fact.event {
                Event::JobQueued { spec: asked, .. } => spec = Some(asked),
                Event::JobGranted { job, machine, boards, .. } => {
                    let lent = spec.and_then(|spec| self.lent_now(fact.at, *job, spec, machine, boards));
                    devices.reserved.extend(lent);
                }
                Event::LeaseExtended { job, until } => {
                    let known = self.jobs.get(job).and_then(|job| self.reserved_view(job));
                    devices.reserved.extend(known.map(|known| ReservedView { ends_at: *until, ..known }));
                }
                Event::JobDestroyed { job, .. } => {
                    devices.reserved.extend(self.jobs.get(job).and_then(|job| self.reserved_view(job)));
                }
                Event::BoardQuarantined { board, .. } | Event::BoardTested { board, .. } => {
                    let machine = self.machine(&board.machine);
                    let name = machine.map(|machine| machine.spec.board_name(board.board).to_string());
                    devices.renewed.extend(name.map(Arc::from));
                }
                _ => {}
            }
        }
        devices
    }

    /// A reservation that begins.
    fn lent_now(
        &self,
        now: Moment,
        job: JobId,
        spec: &JobSpec,
        machine: &MachineName,
        boards: &[BoardIndex],
    ) -> Option<ReservedView> {
        let serial = self.machine(machine)?.spec.board_name(*boards.first()?).to_string().into();
        Some(ReservedView {
            job,
            owner: spec.owner.clone(),
            machine: machine.clone(),
            serial,
            kind: spec.kind.clone()?,
            ends_at: now.plus_ms(spec.lease_ms?),
        })
    }

    fn where_is(&self, whereabouts: &Whereabouts) -> Option<WhereView> {
        match whereabouts {
            Whereabouts::Logical { machine, x, y, z } => {
                let (machine, torus) = self.torus(machine)?;
                self.place_of(machine, torus, torus.torus().wrap_board(*x, *y, *z), Chip::default())
            }
            Whereabouts::Physical { machine, place } => {
                let (machine, torus) = self.torus(machine)?;
                let board = torus.torus().triad(torus.board_at(*place)?);
                self.place_of(machine, torus, board, Chip::default())
            }
            Whereabouts::Chip { machine, x, y } => {
                let (machine, torus) = self.torus(machine)?;
                let (board, on_board) = torus.torus().board_at_chip(torus.torus().wrap_chip(*x, *y));
                self.place_of(machine, torus, board, on_board)
            }
            Whereabouts::JobChip { job, x, y } => {
                let loan = self.jobs.get(job)?.live_loan()?;
                let (machine, torus) = self.torus(&loan.machine)?;
                let (board, on_board) =
                    Geometry::new(torus.torus(), &loan.boards)?.board_at_job_chip(*x, *y)?;
                self.place_of(machine, torus, board, on_board)
            }
        }
    }

    fn torus(&self, name: &MachineName) -> Option<(&Machine, &TriadsSpec)> {
        let machine = self.machine(name)?;
        Some((machine, machine.spec.triads()?))
    }

    fn place_of(
        &self,
        machine: &Machine,
        torus: &TriadsSpec,
        logical: Triad,
        on_board: Chip,
    ) -> Option<WhereView> {
        let index = torus.torus().index(logical);
        let physical: Physical = torus.place(index)?;
        let job = self.holder(machine, index);
        let geometry = job.and_then(|job| Geometry::new(torus.torus(), &job.live_loan()?.boards));
        Some(WhereView {
            machine: machine.spec.name.clone(),
            logical,
            physical,
            chip: chip_on_machine(torus.torus(), logical, on_board),
            board_chip: on_board,
            job: job.map(|job| job.id),
            job_chip: geometry.map(|geometry| geometry.job_chip(logical, on_board)),
        })
    }

    fn list_users(&self) -> Vec<UserView> {
        let view = |(name, user): (&crate::user::UserName, &super::User)| UserView {
            name: name.clone(),
            role: user.role,
            created: user.created,
            sessions: self.sessions_of_user.get(name).copied().unwrap_or(0),
        };
        self.users.iter().map(view).collect()
    }
}

fn machine_view(machine: &Machine) -> MachineView {
    let boards = BoardState::ALL.into_iter().map(|state| (state, machine.count(state))).collect();
    MachineView { spec: machine.spec.clone(), boards }
}

fn chip_on_machine(torus: Torus, board: Triad, on_board: Chip) -> Chip {
    let ethernet = torus.chip_of_board(board);
    torus.wrap_chip(i64::from(ethernet.x + on_board.x), i64::from(ethernet.y + on_board.y))
}
