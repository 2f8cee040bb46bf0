//! The bodies of records: one struct for each shape, in the order of the events, with its way in and its way back.
//!
//! A struct that was ever released is not changed; what to do instead stands in `record`.

use super::RecordError;
use super::part::*;
use crate::allocator::{BoardIndex, Region};
use crate::clock::Moment;
use crate::lab::fact::{BoardRef, Event, Grant, JobId, MachineName, Mark, OrderId, SessionEnd, SessionKey};
use crate::lab::job::{JobSpec, Reason};
use crate::lab::machine::MachineSpec;
use crate::user::{Phc, Role, UserName};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// The way back of a fact, which may meet a value that cannot be.
type Read = Result<Event, RecordError>;

/// A machine and its place in the order of machines.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MachineAt {
    spec: Made,
    position: u64,
}

impl MachineAt {
    /// What is kept of the event.
    pub fn of(spec: &MachineSpec, position: usize) -> MachineAt {
        MachineAt { spec: spec.into(), position: position as u64 }
    }

    /// The machine joined.
    pub fn added(self) -> Read {
        let (spec, position) = self.parts()?;
        Ok(Event::MachineAdded { spec, position })
    }

    /// The machine changed.
    pub fn changed(self) -> Read {
        let (spec, position) = self.parts()?;
        Ok(Event::MachineChanged { spec, position })
    }

    /// The machine and its place.
    fn parts(self) -> Result<(Arc<MachineSpec>, usize), RecordError> {
        let position =
            usize::try_from(self.position).map_err(|_| RecordError::Value("a position is too large"))?;
        Ok((Arc::new(self.spec.spec()?), position))
    }
}

/// `Event::MachineRemoved`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MachineRemoved {
    machine: Text,
}

impl MachineRemoved {
    /// What is kept of the event.
    pub fn of(machine: &MachineName) -> MachineRemoved {
        MachineRemoved { machine: machine.into() }
    }

    /// The event it is.
    pub fn event(self) -> Event {
        Event::MachineRemoved { machine: self.machine.0 }
    }
}

/// `Event::JobQueued`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JobQueued {
    job: u64,
    spec: Asked,
}

impl JobQueued {
    /// What is kept of the event.
    pub fn of(job: JobId, spec: &JobSpec) -> JobQueued {
        JobQueued { job: job.0, spec: spec.into() }
    }

    /// The event it is.
    pub fn event(self) -> Event {
        Event::JobQueued { job: JobId(self.job), spec: Arc::new(self.spec.into()) }
    }
}

/// `Event::JobGranted`; the region as x, y, width, height.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JobGranted {
    job: u64,
    grant: u64,
    machine: Text,
    boards: Runs,
    #[serde(skip_serializing_if = "Option::is_none")]
    region: Option<[u32; 4]>,
}

impl JobGranted {
    /// What is kept of the event.
    pub fn of(
        job: JobId,
        grant: Grant,
        machine: &MachineName,
        boards: &[BoardIndex],
        region: Option<Region>,
    ) -> JobGranted {
        JobGranted {
            job: job.0,
            grant: grant.0,
            machine: machine.into(),
            boards: boards.into(),
            region: region.map(|at| [at.x, at.y, at.width, at.height]),
        }
    }

    /// The event it is.
    pub fn event(self) -> Event {
        let region = self.region.map(|[x, y, width, height]| Region { x, y, width, height });
        Event::JobGranted {
            job: JobId(self.job),
            grant: Grant(self.grant),
            machine: self.machine.0,
            boards: self.boards.0.into(),
            region,
        }
    }
}

/// A job, the order that switches its boards, and whether to on.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JobPower {
    job: u64,
    order: Order,
    power: bool,
}

impl JobPower {
    /// What is kept of the event.
    pub fn of(job: JobId, order: OrderId, power: bool) -> JobPower {
        JobPower { job: job.0, order: order.into(), power }
    }

    /// The boards obeyed.
    pub fn ready(self) -> Event {
        Event::JobReady { job: JobId(self.job), order: self.order.into(), power: self.power }
    }

    /// They are to obey.
    pub fn powering(self) -> Event {
        Event::JobPowering { job: JobId(self.job), order: self.order.into(), power: self.power }
    }
}

/// `Event::JobRequeued`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JobRequeued {
    job: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    order: Option<Order>,
    reason: Text,
    #[serde(skip_serializing_if = "Option::is_none")]
    priority: Option<i32>,
}

impl JobRequeued {
    /// What is kept of the event.
    pub fn of(job: JobId, order: Option<OrderId>, reason: &Arc<str>, priority: Option<i32>) -> JobRequeued {
        JobRequeued { job: job.0, order: order.map(Order::from), reason: reason.into(), priority }
    }

    /// The event it is.
    pub fn event(self) -> Event {
        Event::JobRequeued {
            job: JobId(self.job),
            order: self.order.map(OrderId::from),
            reason: self.reason.0,
            priority: self.priority,
        }
    }
}

/// A job, and until when its lease lasts.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lease {
    job: u64,
    until: u64,
}

impl Lease {
    /// What is kept of the event.
    pub fn of(job: JobId, until: Moment) -> Lease {
        Lease { job: job.0, until: until.0 }
    }

    /// It lasts longer than before.
    pub fn extended(self) -> Event {
        Event::LeaseExtended { job: JobId(self.job), until: Moment(self.until) }
    }

    /// Its holder was told that it ends.
    pub fn ending(self) -> Event {
        Event::LeaseEnding { job: JobId(self.job), ends_at: Moment(self.until) }
    }
}

/// `Event::JobDestroyed`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JobDestroyed {
    job: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    order: Option<Order>,
    reason: Why,
}

impl JobDestroyed {
    /// What is kept of the event.
    pub fn of(job: JobId, order: Option<OrderId>, reason: &Reason) -> JobDestroyed {
        JobDestroyed { job: job.0, order: order.map(Order::from), reason: reason.into() }
    }

    /// The event it is.
    pub fn event(self) -> Event {
        Event::JobDestroyed {
            job: JobId(self.job),
            order: self.order.map(OrderId::from),
            reason: self.reason.into(),
        }
    }
}

/// `Event::OrderAnswered`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OrderAnswered {
    order: Order,
    obeyed: Runs,
    failed: Vec<(u32, Text)>,
}

impl OrderAnswered {
    /// What is kept of the event.
    pub fn of(order: OrderId, obeyed: &[BoardIndex], failed: &[(BoardIndex, Arc<str>)]) -> OrderAnswered {
        OrderAnswered {
            order: order.into(),
            obeyed: obeyed.into(),
            failed: failed.iter().map(|(board, why)| (board.0, why.into())).collect(),
        }
    }

    /// The event it is.
    pub fn event(self) -> Event {
        let failed = self.failed.into_iter().map(|(board, why)| (BoardIndex(board), why.0)).collect();
        Event::OrderAnswered { order: self.order.into(), obeyed: self.obeyed.0, failed }
    }
}

/// `Event::OrderOverdue`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OrderOverdue {
    order: Order,
}

impl OrderOverdue {
    /// What is kept of the event.
    pub fn of(order: OrderId) -> OrderOverdue {
        OrderOverdue { order: order.into() }
    }

    /// The event it is.
    pub fn event(self) -> Event {
        Event::OrderOverdue { order: self.order.into() }
    }
}

/// `Event::BoardsCleaned`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BoardsCleaned {
    order: Order,
    machine: Text,
    boards: Runs,
    free_at: u64,
}

impl BoardsCleaned {
    /// What is kept of the event.
    pub fn of(
        order: OrderId,
        machine: &MachineName,
        boards: &[BoardIndex],
        free_at: Moment,
    ) -> BoardsCleaned {
        BoardsCleaned {
            order: order.into(),
            machine: machine.into(),
            boards: boards.into(),
            free_at: free_at.0,
        }
    }

    /// The event it is.
    pub fn event(self) -> Event {
        Event::BoardsCleaned {
            order: self.order.into(),
            machine: self.machine.0,
            boards: self.boards.0,
            free_at: Moment(self.free_at),
        }
    }
}

/// `Event::BoardsFreed`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BoardsFreed {
    machine: Text,
    boards: Runs,
}

impl BoardsFreed {
    /// What is kept of the event.
    pub fn of(machine: &MachineName, boards: &[BoardIndex]) -> BoardsFreed {
        BoardsFreed { machine: machine.into(), boards: boards.into() }
    }

    /// The event it is.
    pub fn event(self) -> Event {
        Event::BoardsFreed { machine: self.machine.0, boards: self.boards.0 }
    }
}

/// `Event::BoardQuarantined`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BoardQuarantined {
    machine: Text,
    board: u32,
    reason: Text,
    #[serde(skip_serializing_if = "Option::is_none")]
    retest_at: Option<u64>,
}

impl BoardQuarantined {
    /// What is kept of the event.
    pub fn of(board: &BoardRef, reason: &Arc<str>, retest_at: Option<Moment>) -> BoardQuarantined {
        BoardQuarantined {
            machine: (&board.machine).into(),
            board: board.board.0,
            reason: reason.into(),
            retest_at: retest_at.map(|at| at.0),
        }
    }

    /// The event it is.
    pub fn event(self) -> Event {
        let board = BoardRef { machine: self.machine.0, board: BoardIndex(self.board) };
        Event::BoardQuarantined { board, reason: self.reason.0, retest_at: self.retest_at.map(Moment) }
    }
}

/// `Event::BoardsAnnounced`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BoardsAnnounced {
    machine: Text,
    serials: Vec<Text>,
}

impl BoardsAnnounced {
    /// What is kept of the event.
    pub fn of(machine: &MachineName, serials: &[Arc<str>]) -> BoardsAnnounced {
        BoardsAnnounced { machine: machine.into(), serials: serials.iter().map(Text::from).collect() }
    }

    /// The event it is.
    pub fn event(self) -> Event {
        let serials = self.serials.into_iter().map(|serial| serial.0).collect();
        Event::BoardsAnnounced { machine: self.machine.0, serials }
    }
}

/// `Event::BoardOffline`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BoardOffline {
    machine: Text,
    board: u32,
    reason: Text,
}

impl BoardOffline {
    /// What is kept of the event.
    pub fn of(board: &BoardRef, reason: &Arc<str>) -> BoardOffline {
        BoardOffline { machine: (&board.machine).into(), board: board.board.0, reason: reason.into() }
    }

    /// The event it is.
    pub fn event(self) -> Event {
        let board = BoardRef { machine: self.machine.0, board: BoardIndex(self.board) };
        Event::BoardOffline { board, reason: self.reason.0 }
    }
}

/// `Event::BoardOffers`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BoardOffers {
    machine: Text,
    board: u32,
    offers: Vec<Text>,
}

impl BoardOffers {
    /// What is kept of the event.
    pub fn of(board: &BoardRef, offers: &[Arc<str>]) -> BoardOffers {
        BoardOffers { machine: (&board.machine).into(), board: board.board.0, offers: texts(offers) }
    }

    /// The event it is.
    pub fn event(self) -> Event {
        let board = BoardRef { machine: self.machine.0, board: BoardIndex(self.board) };
        Event::BoardOffers { board, offers: shared(self.offers) }
    }
}

/// `Event::BoardNamed`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BoardNamed {
    machine: Text,
    board: u32,
    name: Text,
}

impl BoardNamed {
    /// What is kept of the event.
    pub fn of(board: &BoardRef, name: &Arc<str>) -> BoardNamed {
        BoardNamed { machine: (&board.machine).into(), board: board.board.0, name: name.into() }
    }

    /// The event it is.
    pub fn event(self) -> Event {
        let board = BoardRef { machine: self.machine.0, board: BoardIndex(self.board) };
        Event::BoardNamed { board, name: self.name.0 }
    }
}

/// `Event::BoardTested`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BoardTested {
    machine: Text,
    board: u32,
    order: Order,
}

impl BoardTested {
    /// What is kept of the event.
    pub fn of(board: &BoardRef, order: OrderId) -> BoardTested {
        BoardTested { machine: (&board.machine).into(), board: board.board.0, order: order.into() }
    }

    /// The event it is.
    pub fn event(self) -> Event {
        let board = BoardRef { machine: self.machine.0, board: BoardIndex(self.board) };
        Event::BoardTested { board, order: self.order.into() }
    }
}

/// `Event::BoardReported`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BoardReported {
    machine: Text,
    board: u32,
    by: Text,
    reason: Text,
}

impl BoardReported {
    /// What is kept of the event.
    pub fn of(board: &BoardRef, by: &Arc<str>, reason: &Arc<str>) -> BoardReported {
        BoardReported {
            machine: (&board.machine).into(),
            board: board.board.0,
            by: by.into(),
            reason: reason.into(),
        }
    }

    /// The event it is.
    pub fn event(self) -> Event {
        let board = BoardRef { machine: self.machine.0, board: BoardIndex(self.board) };
        Event::BoardReported { board, by: self.by.0, reason: self.reason.0 }
    }
}

/// A board and what an operator wants it to be.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BoardMark {
    machine: Text,
    board: u32,
    mark: MarkWord,
    by: Text,
    reason: Text,
}

impl BoardMark {
    /// What is kept of the event.
    pub fn of(board: &BoardRef, mark: Mark, by: &Arc<str>, reason: &Arc<str>) -> BoardMark {
        BoardMark {
            machine: (&board.machine).into(),
            board: board.board.0,
            mark: mark.into(),
            by: by.into(),
            reason: reason.into(),
        }
    }

    /// It was decided.
    pub fn marked(self) -> Event {
        let board = BoardRef { machine: self.machine.0, board: BoardIndex(self.board) };
        Event::BoardMarked { board, mark: self.mark.into(), by: self.by.0, reason: self.reason.0 }
    }

    /// It took effect.
    pub fn set(self) -> Event {
        let board = BoardRef { machine: self.machine.0, board: BoardIndex(self.board) };
        Event::BoardSet { board, mark: self.mark.into(), by: self.by.0, reason: self.reason.0 }
    }
}

/// `Event::UserCreated`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UserCreated {
    user: Name,
    role: RoleWord,
    phc: Hash,
}

impl UserCreated {
    /// What is kept of the event.
    pub fn of(user: &UserName, role: Role, phc: &Phc) -> UserCreated {
        UserCreated { user: user.into(), role: role.into(), phc: phc.into() }
    }

    /// The event it is.
    pub fn event(self) -> Read {
        Ok(Event::UserCreated { user: self.user.user()?, role: self.role.into(), phc: self.phc.phc()? })
    }
}

/// `Event::PasswordSet`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PasswordSet {
    user: Name,
    phc: Hash,
}

impl PasswordSet {
    /// What is kept of the event.
    pub fn of(user: &UserName, phc: &Phc) -> PasswordSet {
        PasswordSet { user: user.into(), phc: phc.into() }
    }

    /// The event it is.
    pub fn event(self) -> Read {
        Ok(Event::PasswordSet { user: self.user.user()?, phc: self.phc.phc()? })
    }
}

/// `Event::RoleSet`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RoleSet {
    user: Name,
    role: RoleWord,
}

impl RoleSet {
    /// What is kept of the event.
    pub fn of(user: &UserName, role: Role) -> RoleSet {
        RoleSet { user: user.into(), role: role.into() }
    }

    /// The event it is.
    pub fn event(self) -> Read {
        Ok(Event::RoleSet { user: self.user.user()?, role: self.role.into() })
    }
}

/// `Event::UserDeleted`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UserDeleted {
    user: Name,
}

impl UserDeleted {
    /// What is kept of the event.
    pub fn of(user: &UserName) -> UserDeleted {
        UserDeleted { user: user.into() }
    }

    /// The event it is.
    pub fn event(self) -> Read {
        Ok(Event::UserDeleted { user: self.user.user()? })
    }
}

/// `Event::SessionOpened`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SessionOpened {
    session: Key,
    user: Name,
    role: RoleWord,
    client: Text,
    span_ms: u64,
}

impl SessionOpened {
    /// What is kept of the event.
    pub fn of(
        session: SessionKey,
        user: &UserName,
        role: Role,
        client: &Arc<str>,
        span_ms: u64,
    ) -> SessionOpened {
        SessionOpened {
            session: Key(session),
            user: user.into(),
            role: role.into(),
            client: client.into(),
            span_ms,
        }
    }

    /// The event it is.
    pub fn event(self) -> Read {
        Ok(Event::SessionOpened {
            session: self.session.0,
            user: self.user.user()?,
            role: self.role.into(),
            client: self.client.0,
            span_ms: self.span_ms,
        })
    }
}

/// `Event::SessionEnded`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SessionEnded {
    session: Key,
    why: EndWord,
}

impl SessionEnded {
    /// What is kept of the event.
    pub fn of(session: SessionKey, why: SessionEnd) -> SessionEnded {
        SessionEnded { session: Key(session), why: why.into() }
    }

    /// The event it is.
    pub fn event(self) -> Event {
        Event::SessionEnded { session: self.session.0, why: self.why.into() }
    }
}

/// `Event::ServiceSet`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceSet {
    accept: bool,
    by: Text,
    reason: Text,
}

impl ServiceSet {
    /// What is kept of the event.
    pub fn of(accept: bool, by: &Arc<str>, reason: &Arc<str>) -> ServiceSet {
        ServiceSet { accept, by: by.into(), reason: reason.into() }
    }

    /// The event it is.
    pub fn event(self) -> Event {
        Event::ServiceSet { accept: self.accept, by: self.by.0, reason: self.reason.0 }
    }
}

/// `Event::NumbersSkipped`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NumbersSkipped {
    last_job: u64,
    last_grant: u64,
}

impl NumbersSkipped {
    /// What is kept of the event.
    pub fn of(last_job: JobId, last_grant: Grant) -> NumbersSkipped {
        NumbersSkipped { last_job: last_job.0, last_grant: last_grant.0 }
    }

    /// The event it is.
    pub fn event(self) -> Event {
        Event::NumbersSkipped { last_job: JobId(self.last_job), last_grant: Grant(self.last_grant) }
    }
}
