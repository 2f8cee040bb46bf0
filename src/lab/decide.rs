//! Wishes into facts, or a refusal. Nothing here writes.

use super::board::{BoardState, Note};
use super::command::{Caller, Command, Consultation};
use super::demand::{Demand, obstacle};
use super::fact::{BoardRef, Event, Fact, Grant, JobId, MachineName, Mark, OrderId, SessionEnd, SessionKey};
use super::job::{JOB_TEXT_BYTES_MAX, Job, JobSpec, JobState, Reason, SERIALS_NAMED_MAX, Want};
use super::machine::{Machine, MachineSpec};
use super::refusal::Refusal;
use super::view::BoardAddress;
use super::{Lab, Purpose};
use crate::allocator::BoardIndex;
use crate::allocator::torus::Triad;
use crate::clock::Moment;
use crate::user::{Phc, Role, UserName};
use std::collections::BTreeSet;
use std::sync::Arc;

/// What a wish comes to.
type Decision = Result<Vec<Event>, Refusal>;

impl Lab {
    /// What would happen if this wish were granted now; nothing changes.
    pub fn decide(&self, now: Moment, caller: &Caller, command: &Command) -> Result<Vec<Fact>, Refusal> {
        let events = match command {
            Command::Configure(specs) => self.configure(caller, specs),
            Command::CreateJob(spec) => self.create_job(caller, spec),
            Command::PowerJob { job, power } => self.power_job(caller, *job, *power),
            Command::DestroyJob { job, reason } => self.destroy_job(caller, *job, reason),
            Command::ReportBoard { board, reason } => self.report_board(caller, board, reason),
            Command::MarkBoard { board, mark, reason } => self.mark_board(caller, board, *mark, reason),
            Command::RetestBoard { board } => self.retest_board(caller, board),
            Command::CreateUser { user, role, phc } => self.create_user(caller, user, *role, phc),
            Command::SetPassword { user, phc } => self.set_password(caller, user, phc),
            Command::SetRole { user, role } => self.set_role(caller, user, *role),
            Command::DeleteUser { user } => self.delete_user(caller, user),
            Command::OpenSession { session, user, role, client, span_ms } => {
                self.open_session(*session, user, *role, client, *span_ms)
            }
            Command::EndSession { session, why } => self.end_session(caller, *session, *why),
            Command::SetService { accept, reason } => self.set_service(caller, *accept, reason),
            Command::AnswerOrder { order, obeyed, failed } => {
                require(caller, Role::Admin, "only the server itself speaks for hardware")?;
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
        Ok(Consultation { board, order: OrderId { grant, step } })
    }

    /// Whether a caller may give a sign of life for a job.
    pub fn may_keep_alive(&self, caller: &Caller, job: JobId) -> Result<(), Refusal> {
        let job = self.live_job(job)?;
        self.require_owner(caller, job)
    }

    fn create_job(&self, caller: &Caller, spec: &JobSpec) -> Decision {
        require(caller, Role::User, "only a user may create jobs; this caller is a guest")?;
        if !self.service.accept {
            return Err(Refusal::Draining(self.service.reason.clone()));
        }
        self.check_spec(caller, spec)?;
        self.check_job_counts(caller, spec)?;
        self.check_possible(spec)?;
        Ok(vec![Event::JobQueued { job: JobId(self.last_job.0 + 1), spec: Arc::new(spec.clone()) }])
    }

    fn check_spec(&self, caller: &Caller, spec: &JobSpec) -> Result<(), Refusal> {
        check_size(spec)?;
        if spec.priority > 0 && caller.role < Role::Operator {
            return Err(Refusal::NeedsRole("only an operator may ask for a priority above 0"));
        }
        if *spec.owner != *caller.user.as_str() && caller.role < Role::Operator {
            return Err(Refusal::NeedsRole("only an operator may create jobs for somebody else"));
        }
        let max = self.options.keepalive_ms_max;
        if max > 0 && caller.role < Role::Operator && spec.keepalive_ms.is_none_or(|ms| ms > max) {
            return Err(Refusal::Keepalive { max_s: max / 1000 });
        }
        if !spec.min_ratio.is_finite() || spec.min_ratio < 0.0 {
            return Err(Refusal::BadArgument("min_ratio must be a number of 0 or more".to_owned()));
        }
        Ok(())
    }

    fn check_job_counts(&self, caller: &Caller, spec: &JobSpec) -> Result<(), Refusal> {
        if self.jobs.len() - self.retired.len() >= self.options.jobs_max {
            return Err(Refusal::TooManyJobs(self.options.jobs_max));
        }
        let own = self.live_of_owner.get(&spec.owner).copied().unwrap_or(0);
        if caller.role < Role::Operator && own >= self.options.jobs_per_owner_max {
            return Err(Refusal::TooManyOwnJobs(self.options.jobs_per_owner_max));
        }
        Ok(())
    }

    fn check_possible(&self, spec: &JobSpec) -> Result<(), Refusal> {
        let demand = Demand::of(spec);
        if self.queue.knows(&demand) {
            return Ok(());
        }
        if let Some(name) = &spec.machine {
            self.machine(name).ok_or_else(|| Refusal::MachineUnknown(name.clone()))?;
        }
        let named: Vec<_> = self.machines.iter().filter(|machine| demand.admits_name(machine)).collect();
        if let (Some(kind), false) = (&spec.kind, named.is_empty()) {
            if !named.iter().any(|machine| machine.spec.kinds.contains(kind)) {
                let offered: BTreeSet<_> =
                    named.iter().flat_map(|machine| machine.spec.kinds.iter().cloned()).collect();
                return Err(Refusal::KindUnknown {
                    kind: kind.clone(),
                    offered: offered.into_iter().collect(),
                });
            }
        }
        obstacle(&demand, &self.machines).map_or(Ok(()), |why| Err(Refusal::Impossible(why)))
    }

    fn power_job(&self, caller: &Caller, id: JobId, power: bool) -> Decision {
        let job = self.live_job(id)?;
        self.require_owner(caller, job)?;
        let loan = job.live_loan().ok_or(Refusal::JobWithoutBoards(id))?;
        Ok(vec![Event::JobPowering { job: id, order: loan.next_order(), power }])
    }

    fn destroy_job(&self, caller: &Caller, id: JobId, reason: &Option<Arc<str>>) -> Decision {
        let job = self.live_job(id)?;
        self.require_owner(caller, job)?;
        require_short("reason", reason.as_deref().unwrap_or(""))?;
        let by = caller.user.as_str().into();
        Ok(vec![self.destroyed(job, Reason::Asked { by, text: reason.clone() })])
    }

    /// The end of a job, for whatever reason.
    pub(super) fn destroyed(&self, job: &Job, reason: Reason) -> Event {
        Event::JobDestroyed { job: job.id, order: self.cleaning_order(job), reason }
    }

    /// The order that cleans what a job still holds, if it holds anything.
    pub(super) fn cleaning_order(&self, job: &Job) -> Option<OrderId> {
        let loan = job.live_loan()?;
        self.lent_boards(job).next().map(|_| loan.next_order())
    }

    /// The boards a job holds that were not set aside since.
    pub(super) fn lent_boards(&self, job: &Job) -> impl Iterator<Item = BoardIndex> {
        let held = job.live_loan().and_then(|loan| Some((loan, self.machine(&loan.machine)?)));
        held.into_iter().flat_map(|(loan, machine)| {
            let lent = |board: &BoardIndex| {
                machine.state(*board) == BoardState::Lent && machine.grant(*board) == loan.grant
            };
            loan.boards.iter().copied().filter(lent)
        })
    }

    fn report_board(&self, caller: &Caller, address: &BoardAddress, reason: &Arc<str>) -> Decision {
        require_short("reason", reason)?;
        let (machine, board) = self.find_board(address)?;
        let holds = self.holder(machine, board).is_some_and(|job| caller.may_act_for(&job.spec.owner));
        if !holds && caller.role < Role::Operator {
            return Err(Refusal::NeedsRole("only the holder of a board or an operator may report it"));
        }
        let by = caller.user.as_str().into();
        Ok(vec![Event::BoardReported { board: board_ref(machine, board), by, reason: reason.clone() }])
    }

    fn mark_board(&self, caller: &Caller, address: &BoardAddress, mark: Mark, reason: &Arc<str>) -> Decision {
        require(caller, Role::Operator, "only an operator may set the state of a board")?;
        require_short("reason", reason)?;
        let (machine, board) = self.find_board(address)?;
        let state = machine.state(board);
        let by = caller.user.as_str().into();
        let at = board_ref(machine, board);
        if state.is_held() || (mark == Mark::Free && state == BoardState::Free) {
            return Ok(vec![Event::BoardMarked { board: at, mark, by, reason: reason.clone() }]);
        }
        if state == BoardState::Offline && mark == Mark::Free {
            return Err(Refusal::BoardState("the board is offline; it comes back with its agent".to_owned()));
        }
        Ok(vec![Event::BoardSet { board: at, mark, by, reason: reason.clone() }])
    }

    fn retest_board(&self, caller: &Caller, address: &BoardAddress) -> Decision {
        require(caller, Role::Operator, "only an operator may have a board tested")?;
        let (machine, board) = self.find_board(address)?;
        match machine.board(board).trouble {
            Some(trouble) if trouble.testing.is_none() => Ok(vec![self.tested(board_ref(machine, board))]),
            Some(_) => Err(Refusal::BoardState("the board is being tested already".to_owned())),
            None => {
                let state = machine.state(board).word();
                Err(Refusal::BoardState(format!(
                    "only a quarantined board can be tested; this one is {state}"
                )))
            }
        }
    }

    /// The test of a board, under a grant number of its own.
    pub(super) fn tested(&self, board: BoardRef) -> Event {
        Event::BoardTested { board, order: OrderId { grant: Grant(self.last_grant.0 + 1), step: 0 } }
    }

    fn create_user(&self, caller: &Caller, user: &UserName, role: Role, phc: &Phc) -> Decision {
        require(caller, Role::Admin, "only an administrator may create users")?;
        if self.users.contains_key(user) {
            return Err(Refusal::UserExists(user.clone()));
        }
        if self.users.len() >= self.options.users_max {
            return Err(Refusal::TooManyUsers(self.options.users_max));
        }
        Ok(vec![Event::UserCreated { user: user.clone(), role, phc: phc.clone() }])
    }

    fn set_password(&self, caller: &Caller, user: &UserName, phc: &Phc) -> Decision {
        if caller.user != *user {
            require(caller, Role::Admin, "only an administrator may set another user's password")?;
        }
        self.known_user(user)?;
        let mut events = self.ends_of(user);
        events.push(Event::PasswordSet { user: user.clone(), phc: phc.clone() });
        Ok(events)
    }

    fn set_role(&self, caller: &Caller, user: &UserName, role: Role) -> Decision {
        require(caller, Role::Admin, "only an administrator may set roles")?;
        self.known_user(user)?;
        if role < Role::Admin {
            self.require_other_admin(user)?;
        }
        Ok(vec![Event::RoleSet { user: user.clone(), role }])
    }

    fn delete_user(&self, caller: &Caller, user: &UserName) -> Decision {
        require(caller, Role::Admin, "only an administrator may delete users")?;
        self.known_user(user)?;
        self.require_other_admin(user)?;
        let mut events = self.ends_of(user);
        events.push(Event::UserDeleted { user: user.clone() });
        Ok(events)
    }

    /// The ends of all sessions of a user.
    fn ends_of(&self, user: &UserName) -> Vec<Event> {
        let own = self.sessions.iter().filter(|(_, session)| session.user == *user);
        own.map(|(key, _)| Event::SessionEnded { session: *key, why: SessionEnd::UserChanged }).collect()
    }

    fn open_session(
        &self,
        session: SessionKey,
        user: &UserName,
        role: Role,
        client: &Arc<str>,
        span_ms: u64,
    ) -> Decision {
        if self.sessions.contains_key(&session) {
            return Err(Refusal::BadArgument("a session has this id already".to_owned()));
        }
        require_short("client", client)?;
        // The user may have got another role while the password was being checked.
        let role = match self.users.get(user) {
            Some(known) => role.min(known.role),
            None if user.is_guest() => role,
            None => return Err(Refusal::UserUnknown(user.clone())),
        };
        let have = self.sessions_of_user.get(user).copied().unwrap_or(0);
        if have >= self.options.sessions_per_user_max {
            return Err(Refusal::TooManySessions(self.options.sessions_per_user_max));
        }
        Ok(vec![Event::SessionOpened { session, user: user.clone(), role, client: client.clone(), span_ms }])
    }

    fn end_session(&self, caller: &Caller, session: SessionKey, why: SessionEnd) -> Decision {
        let record = self.sessions.get(&session).ok_or(Refusal::SessionUnknown)?;
        if record.user != caller.user {
            require(caller, Role::Admin, "only an administrator may end another user's session")?;
        }
        Ok(vec![Event::SessionEnded { session, why }])
    }

    fn set_service(&self, caller: &Caller, accept: bool, reason: &Arc<str>) -> Decision {
        require(caller, Role::Admin, "only an administrator may open or drain the service")?;
        require_short("reason", reason)?;
        Ok(vec![Event::ServiceSet { accept, by: caller.user.as_str().into(), reason: reason.clone() }])
    }

    /// What an answer of hardware comes to. Answers to orders that are over or overtaken change nothing.
    fn answer_order(
        &self,
        now: Moment,
        order: OrderId,
        obeyed: &[BoardIndex],
        failed: &[(BoardIndex, Arc<str>)],
    ) -> Vec<Event> {
        let Some(open) = self.orders.get(&order) else { return Vec::new() };
        let is_open =
            |board: &BoardIndex| open.boards.binary_search(board).is_ok() && !open.answered.contains(board);
        let failed: Vec<_> = failed.iter().filter(|(board, _)| is_open(board)).cloned().collect();
        let ill: BTreeSet<_> = failed.iter().map(|(board, _)| *board).collect();
        let obeyed: BTreeSet<_> =
            obeyed.iter().filter(|board| is_open(board) && !ill.contains(board)).copied().collect();
        let obeyed: Vec<_> = obeyed.into_iter().collect();
        if obeyed.is_empty() && failed.is_empty() {
            return Vec::new();
        }
        let complete = open.answered.len() + obeyed.len() == open.boards.len() && open.failed.is_empty();
        let failed: Vec<_> = failed.into_iter().map(|(board, why)| (board, shortened(why))).collect();
        match &open.purpose {
            Purpose::Switch { job, action } if failed.is_empty() && complete => {
                let power = matches!(action, super::effect::Action::Prepare { .. });
                vec![Event::JobReady { job: *job, order, power }]
            }
            Purpose::Test if failed.is_empty() => {
                vec![self.test_passed(&open.machine, obeyed[0])]
            }
            Purpose::Clean { .. } => {
                let mut events = Vec::new();
                if !obeyed.is_empty() {
                    events.push(self.cleaned(now, order, &open.machine, obeyed));
                }
                if !failed.is_empty() {
                    events.push(Event::OrderAnswered { order, obeyed: Vec::new(), failed });
                }
                events
            }
            _ => vec![Event::OrderAnswered { order, obeyed, failed }],
        }
    }

    /// A quarantined board works again: it is free, unless an operator marked it while it was lent.
    fn test_passed(&self, machine: &MachineName, board: BoardIndex) -> Event {
        let passed = || Note { mark: Mark::Free, by: "/retest".into(), reason: "passed its test".into() };
        let marked = self.machine(machine).and_then(|machine| machine.board(board).mark.cloned());
        let Note { mark, by, reason } = marked.unwrap_or_else(passed);
        let board = BoardRef { machine: machine.clone(), board };
        Event::BoardSet { board, mark, by, reason }
    }

    fn cleaned(&self, now: Moment, order: OrderId, machine: &MachineName, boards: Vec<BoardIndex>) -> Event {
        let settle_ms = self.machine(machine).map_or(0, |machine| machine.spec.settle_ms);
        Event::BoardsCleaned { order, machine: machine.clone(), boards, free_at: now.plus_ms(settle_ms) }
    }

    /// What must happen for the machines to be these, in this order.
    fn configure(&self, caller: &Caller, specs: &[Arc<MachineSpec>]) -> Decision {
        require(caller, Role::Admin, "only the server itself configures the lab")?;
        let names: BTreeSet<_> = specs.iter().map(|spec| &spec.name).collect();
        let fault = specs.iter().find_map(|spec| spec.fault());
        let fault =
            fault.or_else(|| (names.len() < specs.len()).then(|| "two machines have one name".to_owned()));
        fault.map_or(Ok(()), |why| Err(Refusal::BadArgument(why)))?;

        let mut events = Vec::new();
        let stays = |machine: &&Machine| {
            specs.iter().any(|spec| spec.name == machine.spec.name && spec.same_boards(&machine.spec))
        };
        let (staying, going): (Vec<_>, Vec<_>) = self.machines.iter().partition(stays);
        going.into_iter().for_each(|machine| self.remove_machine(machine, &mut events));
        // The order of the machines while the events are applied.
        let mut order: Vec<_> = staying.iter().map(|machine| machine.spec.clone()).collect();
        for (position, spec) in specs.iter().enumerate() {
            match order.iter().position(|known| known.name == spec.name) {
                None => events.push(Event::MachineAdded { spec: spec.clone(), position }),
                Some(at) => {
                    let known = order.remove(at);
                    if known != *spec || at != position {
                        events.push(Event::MachineChanged { spec: spec.clone(), position });
                    }
                }
            }
            order.insert(position, spec.clone());
        }
        Ok(events)
    }

    /// A machine goes: its jobs end first, with that reason.
    fn remove_machine(&self, machine: &Machine, events: &mut Vec<Event>) {
        let name = &machine.spec.name;
        let live = self.live.iter().filter_map(|id| self.jobs.get(id));
        let on_it = live.filter(|job| job.live_loan().is_some_and(|loan| loan.machine == *name));
        events.extend(on_it.map(|job| self.destroyed(job, Reason::MachineRemoved(name.clone()))));
        events.push(Event::MachineRemoved { machine: name.clone() });
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
        match caller.may_act_for(&job.spec.owner) {
            true => Ok(()),
            false => Err(Refusal::NotYours { job: job.id, owner: job.spec.owner.clone() }),
        }
    }

    fn known_user(&self, user: &UserName) -> Result<(), Refusal> {
        self.users.get(user).map(|_| ()).ok_or_else(|| Refusal::UserUnknown(user.clone()))
    }

    fn require_other_admin(&self, user: &UserName) -> Result<(), Refusal> {
        let other = self.users.iter().any(|(name, known)| name != user && known.role == Role::Admin);
        match other || self.users.get(user).is_some_and(|known| known.role < Role::Admin) {
            true => Ok(()),
            false => Err(Refusal::LastAdmin(user.clone())),
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

/// Whether a request is not larger than one may be, whatever it asks for.
fn check_size(spec: &JobSpec) -> Result<(), Refusal> {
    let texts = [
        ("owner", &*spec.owner),
        ("note", &*spec.note),
        ("kind", spec.kind.as_deref().unwrap_or("")),
        ("kind_args", &*spec.kind_args),
    ];
    texts.into_iter().try_for_each(|(what, text)| require_short(what, text))?;
    if spec.tags.iter().map(|tag| tag.len() + 1).sum::<usize>() > JOB_TEXT_BYTES_MAX {
        return Err(Refusal::TextTooLong { what: "the list of tags", max: JOB_TEXT_BYTES_MAX });
    }
    match &spec.want {
        Want::Serials(serials) if serials.len() > SERIALS_NAMED_MAX => Err(Refusal::BadArgument(format!(
            "at most {SERIALS_NAMED_MAX} boards can be named in one request"
        ))),
        _ => Ok(()),
    }
}

/// The words of hardware, cut where they are longer than a text may be.
fn shortened(text: Arc<str>) -> Arc<str> {
    match text.len() > JOB_TEXT_BYTES_MAX {
        true => text[..text.floor_char_boundary(JOB_TEXT_BYTES_MAX)].into(),
        false => text,
    }
}

fn require_short(what: &'static str, text: &str) -> Result<(), Refusal> {
    match text.len() <= JOB_TEXT_BYTES_MAX {
        true => Ok(()),
        false => Err(Refusal::TextTooLong { what, max: JOB_TEXT_BYTES_MAX }),
    }
}
