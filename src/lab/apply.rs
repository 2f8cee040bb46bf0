//! Facts into truth. The only writer, and the same at replay; it decides nothing.

use super::board::{BoardState, Note, Trouble};
use super::demand::{DEFAULT_KIND, Demand};
use super::effect::{Action, Effect, Order};
use super::fact::{BoardRef, Event, Fact, Grant, JobId, MachineName, Mark, OrderId, SessionKey};
use super::job::{Job, JobEvent, JobSpec, JobState, Loan, Reason};
use super::machine::{Machine, MachineSpec};
use super::queue::Place;
use super::{Lab, Outstanding, Purpose, SESSIONS_REMEMBERED_MAX, SessionRecord, User};
use crate::allocator::{BoardIndex, Region};
use crate::clock::Moment;
use crate::user::{Role, UserName};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

impl Lab {
    /// Makes a fact true. Facts come from `decide`, `settle` or the journal, in the order they were made.
    pub fn apply(&mut self, fact: &Fact) {
        let at = fact.at;
        match &fact.event {
            Event::MachineAdded { spec, position } => self.add_machine(spec, *position, at),
            Event::MachineChanged { spec, position } => self.change_machine(spec, *position, at),
            Event::MachineRemoved { machine } => self.remove_machine_named(machine),
            Event::JobQueued { job, spec } => self.queue_job(*job, spec, at),
            Event::JobGranted { job, grant, machine, boards, region } => {
                self.grant_job(*job, *grant, machine, boards, *region, at)
            }
            Event::JobReady { job, order, power } => self.ready_job(*job, *order, *power, at),
            Event::JobPowering { job, power, .. } => self.switch_job(*job, *power, at),
            Event::JobRequeued { job, order, reason } => self.requeue_job(*job, *order, reason, at),
            Event::JobDestroyed { job, order, reason } => self.end_job(*job, *order, reason, at),
            Event::OrderAnswered { order, obeyed, failed } => self.take_answer(*order, obeyed, failed),
            Event::OrderOverdue { order } => self.give_up_order(*order),
            Event::BoardsCleaned { order, machine, boards, free_at } => {
                self.cool_boards(*order, machine, boards, *free_at, at)
            }
            Event::BoardsFreed { machine, boards } => {
                self.end_cooling(machine, boards, at);
                self.free_boards(machine, boards, at);
            }
            Event::BoardQuarantined { board, reason, retest_at } => {
                self.quarantine(board, reason, *retest_at, at)
            }
            Event::BoardTested { board, order } => self.test_board(board, *order, at),
            Event::BoardReported { board, by, reason } => self.report(board, by, reason),
            Event::BoardMarked { board, mark, by, reason } => self.mark(board, *mark, by, reason),
            Event::BoardSet { board, mark, by, reason } => {
                let note = Note { mark: *mark, by: by.clone(), reason: reason.clone() };
                self.set_board(board, note, at);
            }
            Event::UserCreated { user, role, phc } => {
                self.users.insert(user.clone(), User { role: *role, phc: phc.clone(), created: at });
            }
            Event::PasswordSet { user, phc } => {
                if let Some(known) = self.users.get_mut(user) {
                    known.phc = phc.clone();
                }
            }
            Event::RoleSet { user, role } => self.set_user_role(user, *role),
            Event::UserDeleted { user } => {
                self.users.remove(user);
            }
            Event::SessionOpened { session, user, role, client, span_ms } => {
                let record = SessionRecord {
                    user: user.clone(),
                    role: *role,
                    client: client.clone(),
                    opened: at,
                    span_ms: *span_ms,
                };
                self.sessions.insert(*session, record);
                *self.sessions_of_user.entry(user.clone()).or_default() += 1;
            }
            Event::SessionEnded { session, .. } => self.forget_session(*session),
            Event::ServiceSet { accept, reason, .. } => {
                self.service = super::Service { accept: *accept, reason: reason.clone() };
            }
        }
    }

    /// What must be done outside because of a fact that was just applied.
    pub fn react(&self, fact: &Fact) -> Vec<Effect> {
        let mut effects = Vec::new();
        match &fact.event {
            Event::MachineAdded { spec, .. } | Event::MachineChanged { spec, .. } => {
                effects.push(Effect::MachineChanged(spec.name.clone()));
            }
            Event::MachineRemoved { machine } => effects.push(Effect::MachineChanged(machine.clone())),
            Event::JobQueued { job, .. } | Event::JobReady { job, .. } => {
                effects.push(Effect::JobChanged(*job))
            }
            Event::JobGranted { job, grant, machine, .. } => {
                effects.extend(self.order(OrderId { grant: *grant, step: 0 }));
                effects.push(Effect::JobChanged(*job));
                effects.push(Effect::MachineChanged(machine.clone()));
            }
            Event::JobPowering { job, order, .. } => {
                effects.extend(self.order(*order));
                effects.push(Effect::JobChanged(*job));
            }
            Event::JobRequeued { job, order, .. } | Event::JobDestroyed { job, order, .. } => {
                effects.extend(order.and_then(|order| self.order(order)));
                effects.push(Effect::JobChanged(*job));
                let machine =
                    order.and_then(|order| self.orders.get(&order)).map(|open| open.machine.clone());
                effects.extend(machine.map(Effect::MachineChanged));
            }
            Event::BoardsCleaned { machine, free_at, .. } if *free_at <= fact.at => {
                effects.push(Effect::MachineChanged(machine.clone()));
            }
            Event::BoardsFreed { machine, .. } => effects.push(Effect::MachineChanged(machine.clone())),
            Event::BoardTested { order, .. } => effects.extend(self.order(*order)),
            Event::BoardQuarantined { board, .. }
            | Event::BoardSet { board, .. }
            | Event::BoardMarked { board, .. } => {
                effects.push(Effect::MachineChanged(board.machine.clone()));
            }
            _ => {}
        }
        effects
    }

    /// Asked once after replay: every live job gets its whole keepalive anew, every open order its whole time,
    /// and the orders that were in flight are given again.
    pub fn resume(&mut self, now: Moment) -> Vec<Effect> {
        let live: Vec<_> = self.live.iter().map(|job| (*job, now)).collect();
        self.note(&live);
        self.due.orders.clear();
        let open: Vec<_> = self.orders.keys().copied().collect();
        for id in &open {
            self.set_order_deadline(*id, now);
        }
        open.into_iter().filter_map(|id| self.order(id)).collect()
    }

    /// An open order as the controller gets it.
    fn order(&self, id: OrderId) -> Option<Effect> {
        let open = self.orders.get(&id)?;
        let (action, job) = match &open.purpose {
            Purpose::Switch { job, action } => (action.clone(), Some(*job)),
            Purpose::Clean { job } => (Action::Clean, Some(*job)),
            Purpose::Test => (Action::Test, None),
        };
        let left = open.boards.iter().filter(|board| !open.answered.contains(board)).copied();
        let boards = if open.answered.is_empty() { open.boards.clone() } else { left.collect() };
        Some(Effect::Order(Order { id, machine: open.machine.clone(), action, boards, job }))
    }

    fn add_machine(&mut self, spec: &Arc<MachineSpec>, position: usize, at: Moment) {
        let position = position.min(self.machines.len());
        self.machines.insert(position, Machine::new(spec.clone(), at));
        self.refit();
    }

    fn change_machine(&mut self, spec: &Arc<MachineSpec>, position: usize, at: Moment) {
        let Some(number) = self.machine_number(&spec.name) else { return };
        let mut machine = self.machines.remove(number);
        let died = machine.change_spec(spec.clone(), at);
        self.machines.insert(position.min(self.machines.len()), machine);
        for trouble in died {
            self.forget_trouble(&BoardRef { machine: spec.name.clone(), board: trouble.0 }, &trouble.1);
        }
        self.refit();
    }

    /// A board is no longer in trouble, or in another one: its retest and its test are off.
    fn forget_trouble(&mut self, at: &BoardRef, trouble: &Trouble) {
        if let Some(due) = trouble.retest_at {
            self.due.retests.remove(&(due, at.machine.clone(), at.board));
        }
        if let Some(test) = trouble.testing {
            self.close_order(test);
        }
    }

    fn remove_machine_named(&mut self, name: &MachineName) {
        self.machines.retain(|machine| machine.spec.name != *name);
        let gone: Vec<_> =
            self.orders.iter().filter(|(_, open)| open.machine == *name).map(|(id, _)| *id).collect();
        gone.into_iter().for_each(|id| self.close_order(id));
        self.due.cooled.retain(|_, (machine, _)| machine != name);
        self.due.retests.retain(|(_, machine, _)| machine != name);
        self.refit();
    }

    /// The machines changed: who fits where is found anew.
    fn refit(&mut self) {
        self.lost = self.queue.refit(&self.machines).into_iter().collect();
        self.condemn_all();
    }

    /// Finds anew which free boards are to be set aside.
    pub(super) fn condemn_all(&mut self) {
        self.condemned.clear();
        for number in 0..self.machines.len() {
            let machine = &self.machines[number];
            let marked = machine.marks().keys().chain(machine.reports().keys());
            let boards: Vec<_> = marked.copied().collect();
            self.condemn(number, &boards);
        }
    }

    /// A board came back, or its mark or reports changed: it may have to be set aside.
    fn condemn(&mut self, number: usize, boards: &[BoardIndex]) {
        let machine = &self.machines[number];
        if machine.marks().is_empty() && machine.reports().is_empty() && self.condemned.is_empty() {
            return;
        }
        for board in boards {
            let key = (machine.spec.name.clone(), *board);
            let free = machine.state(*board) == BoardState::Free;
            match free && machine.is_unwanted(*board, self.options.reports_to_quarantine) {
                true => self.condemned.insert(key),
                false => self.condemned.remove(&key),
            };
        }
    }

    fn queue_job(&mut self, id: JobId, spec: &Arc<JobSpec>, at: Moment) {
        self.last_job = id;
        let job = Job::new(id, spec.clone(), at);
        self.due.lapses.extend(job.lapses_at().map(|lapses_at| (lapses_at, id)));
        self.jobs.insert(id, job);
        self.live.insert(id);
        *self.jobs_in_state.entry(JobState::Queued).or_default() += 1;
        *self.live_of_owner.entry(spec.owner.clone()).or_default() += 1;
        self.enter_queue(id, spec);
    }

    fn enter_queue(&mut self, id: JobId, spec: &JobSpec) {
        if !self.queue.enter(Place::of(id, spec), Demand::of(spec), &self.machines) {
            self.lost.insert(id);
        }
    }

    fn grant_job(
        &mut self,
        id: JobId,
        grant: Grant,
        machine: &MachineName,
        boards: &Arc<[BoardIndex]>,
        region: Option<Region>,
        at: Moment,
    ) {
        self.last_grant = grant;
        self.job_of_grant.insert(grant, id);
        let Some(number) = self.machine_number(machine) else { return };
        self.machines[number].lend(boards, grant, at);
        self.condemn(number, boards);
        let own_kind = self.machines[number].spec.kinds.first().cloned();
        let Some(job) = self.move_job(id, JobState::Power) else { return };
        let place = Place::of(id, &job.spec);
        let own_kind = own_kind.filter(|_| job.spec.machine.is_some());
        job.loan = Some(Loan {
            grant,
            machine: machine.clone(),
            boards: boards.clone(),
            region,
            since: at,
            next_step: 0,
            power: true,
            was_ready: false,
            kind: job.spec.kind.clone().or(own_kind).unwrap_or_else(|| DEFAULT_KIND.into()),
        });
        job.remember(at, JobEvent::Granted { grant, machine: machine.clone(), boards: boards.len() });
        let lease_ends_at = job.lease_ends_at();
        self.due.leases.extend(lease_ends_at.map(|ends_at| (ends_at, id)));
        self.queue.leave(place);
        self.queue.granted(place, number, boards);
        self.open_switch(id, true, at);
    }

    /// Brings a job to another state.
    fn move_job(&mut self, id: JobId, state: JobState) -> Option<&mut Job> {
        let job = self.jobs.get_mut(&id)?;
        if let Some(count) = self.jobs_in_state.get_mut(&job.state) {
            *count -= 1;
        }
        *self.jobs_in_state.entry(state).or_default() += 1;
        job.state = state;
        Some(job)
    }

    /// Opens the next order of a job's loan, to switch its boards; an order still open is overtaken.
    fn open_switch(&mut self, id: JobId, power: bool, at: Moment) {
        let Some(job) = self.jobs.get(&id) else { return };
        let boards = self.lent_boards(job).collect();
        let args = job.spec.kind_args.clone();
        let Some(loan) = self.next_step(id) else { return };
        let action = match power {
            true => Action::Prepare { kind: loan.1.kind.clone(), args },
            false => Action::PowerOff,
        };
        let (order, machine) = (loan.0, loan.1.machine.clone());
        self.open_order(order, machine, boards, Purpose::Switch { job: id, action }, at);
    }

    /// Counts one order up, closing the one before, and answers its number and the loan.
    fn next_step(&mut self, id: JobId) -> Option<(OrderId, Loan)> {
        let loan = self.jobs.get_mut(&id)?.loan.as_mut()?;
        let order = loan.next_order();
        loan.next_step += 1;
        let loan = loan.clone();
        if let Some(before) = order.step.checked_sub(1) {
            self.close_order(OrderId { grant: order.grant, step: before });
        }
        Some((order, loan))
    }

    fn open_order(
        &mut self,
        id: OrderId,
        machine: MachineName,
        boards: Arc<[BoardIndex]>,
        purpose: Purpose,
        at: Moment,
    ) {
        let open = Outstanding {
            machine,
            boards,
            purpose,
            answered: BTreeSet::new(),
            failed: BTreeMap::new(),
            deadline: at,
        };
        self.orders.insert(id, open);
        self.set_order_deadline(id, at);
    }

    fn set_order_deadline(&mut self, id: OrderId, now: Moment) {
        let Some(open) = self.orders.get(&id) else { return };
        let ms = self.machine(&open.machine).map_or(0, |machine| machine.spec.order_ms_max);
        let deadline = now.plus_ms(ms);
        if let Some(open) = self.orders.get_mut(&id) {
            self.due.orders.remove(&(open.deadline, id));
            open.deadline = deadline;
            self.due.orders.insert((deadline, id));
        }
    }

    fn close_order(&mut self, id: OrderId) {
        if let Some(open) = self.orders.remove(&id) {
            self.due.orders.remove(&(open.deadline, id));
        }
        self.troubled.remove(&id);
    }

    fn ready_job(&mut self, id: JobId, order: OrderId, power: bool, at: Moment) {
        self.close_order(order);
        let Some(job) = self.move_job(id, JobState::Ready) else { return };
        if let Some(loan) = &mut job.loan {
            loan.power = power;
            loan.was_ready = true;
        }
        job.remember(at, JobEvent::Ready { power });
    }

    fn switch_job(&mut self, id: JobId, power: bool, at: Moment) {
        let Some(job) = self.move_job(id, JobState::Power) else { return };
        job.loan.iter_mut().for_each(|loan| loan.power = power);
        job.remember(at, JobEvent::Powering { power });
        self.open_switch(id, power, at);
    }

    fn requeue_job(&mut self, id: JobId, order: Option<OrderId>, reason: &Arc<str>, at: Moment) {
        self.return_boards(id, order, at);
        let Some(job) = self.move_job(id, JobState::Queued) else { return };
        job.loan = None;
        job.attempts += 1;
        job.remember(at, JobEvent::Requeued(reason.clone()));
        let spec = job.spec.clone();
        self.enter_queue(id, &spec);
    }

    fn end_job(&mut self, id: JobId, order: Option<OrderId>, reason: &Reason, at: Moment) {
        self.return_boards(id, order, at);
        let Some(job) = self.jobs.get(&id) else { return };
        if let Some(lapses_at) = job.lapses_at() {
            self.due.lapses.remove(&(lapses_at, id));
        }
        if job.state == JobState::Queued {
            self.queue.leave(Place::of(id, &job.spec));
        }
        let Some(job) = self.move_job(id, JobState::Destroyed) else { return };
        job.reason = Some(reason.clone());
        job.ended = Some(at);
        job.remember(at, JobEvent::Destroyed(reason.clone()));
        let owner = job.spec.owner.clone();
        self.lost.remove(&id);
        self.retire(id, &owner);
    }

    /// Counts a job among the ended ones and forgets the oldest of them.
    fn retire(&mut self, id: JobId, owner: &Arc<str>) {
        if let Some(live) = self.live_of_owner.get_mut(owner) {
            *live -= 1;
            if *live == 0 {
                self.live_of_owner.remove(owner);
            }
        }
        self.live.remove(&id);
        self.retired.push_back(id);
        while self.retired.len() > self.options.retired_jobs_max {
            let oldest = self.retired.pop_front();
            oldest.and_then(|oldest| self.jobs.remove(&oldest));
            self.jobs_in_state.entry(JobState::Destroyed).and_modify(|count| *count -= 1);
        }
    }

    /// Takes the boards of a job back; the order, where there is one, cleans them.
    fn return_boards(&mut self, id: JobId, order: Option<OrderId>, at: Moment) {
        let Some(job) = self.jobs.get(&id) else { return };
        let Some(loan) = job.live_loan() else { return };
        if let Some(ends_at) = job.lease_ends_at() {
            self.due.leases.remove(&(ends_at, id));
        }
        self.job_of_grant.remove(&loan.grant);
        let (machine, boards) = (loan.machine.clone(), self.lent_boards(job).collect::<Arc<[_]>>());
        let Some((next, _)) = self.next_step(id) else { return };
        let Some(order) = order else { return };
        debug_assert_eq!(order, next);
        if let Some(number) = self.machine_number(&machine) {
            self.machines[number].take_back(&boards, at);
            self.queue.reconsider(number);
        }
        self.open_order(order, machine, boards, Purpose::Clean { job: id }, at);
    }

    fn take_answer(&mut self, id: OrderId, obeyed: &[BoardIndex], failed: &[(BoardIndex, Arc<str>)]) {
        let Some(open) = self.orders.get_mut(&id) else { return };
        open.answered.extend(obeyed.iter().copied());
        open.answered.extend(failed.iter().map(|(board, _)| *board));
        open.failed.extend(failed.iter().cloned());
        if !open.failed.is_empty() {
            self.troubled.insert(id);
        }
    }

    fn give_up_order(&mut self, id: OrderId) {
        let Some(open) = self.orders.get_mut(&id) else { return };
        let silent: Vec<_> =
            open.boards.iter().filter(|board| !open.answered.contains(board)).copied().collect();
        open.answered.extend(silent.iter().copied());
        open.failed.extend(silent.into_iter().map(|board| (board, "no answer in time".into())));
        self.due.orders.remove(&(open.deadline, id));
        self.troubled.insert(id);
    }

    fn cool_boards(
        &mut self,
        order: OrderId,
        machine: &MachineName,
        boards: &[BoardIndex],
        free_at: Moment,
        at: Moment,
    ) {
        if let Some(open) = self.orders.get_mut(&order) {
            open.answered.extend(boards.iter().copied());
            if open.answered.len() == open.boards.len() && open.failed.is_empty() {
                self.close_order(order);
            }
        }
        if free_at <= at {
            self.free_boards(machine, boards, at);
        } else {
            let (_, cooling) =
                self.due.cooled.entry((free_at, order)).or_insert_with(|| (machine.clone(), Vec::new()));
            cooling.extend(boards);
        }
    }

    /// Boards have cooled down. Those whose turn it is stand among the first.
    fn end_cooling(&mut self, machine: &MachineName, boards: &[BoardIndex], at: Moment) {
        let due = self.due.cooled.iter().take_while(|((free_at, _), _)| *free_at <= at);
        let mut theirs = due.filter(|(_, (name, cooling))| name == machine && cooling.as_slice() == boards);
        if let Some(key) = theirs.next().map(|(key, _)| *key) {
            self.due.cooled.remove(&key);
        }
    }

    fn free_boards(&mut self, machine: &MachineName, boards: &[BoardIndex], at: Moment) {
        let Some(number) = self.machine_number(machine) else { return };
        self.machines[number].free(boards, at);
        self.condemn(number, boards);
        self.queue.reconsider(number);
    }

    fn quarantine(&mut self, at: &BoardRef, reason: &Arc<str>, retest_at: Option<Moment>, now: Moment) {
        let Some(number) = self.machine_number(&at.machine) else { return };
        let machine = &mut self.machines[number];
        let before = machine.board(at.board).trouble.cloned();
        let strikes = before.as_ref().map_or(0, |trouble| trouble.strikes + 1);
        let holder = self.job_of_grant.get(&machine.grant(at.board)).copied();
        let trouble = Trouble { reason: reason.clone(), retest_at, strikes, testing: None };
        machine.set_aside(at.board, BoardState::Quarantined, Some(trouble), now);
        machine.forget_reports(at.board);
        before.into_iter().for_each(|before| self.forget_trouble(at, &before));
        self.due.retests.extend(retest_at.map(|due| (due, at.machine.clone(), at.board)));
        self.condemn(number, &[at.board]);
        self.queue.reconsider(number);
        self.drop_failed(at);
        if let Some(job) = holder.and_then(|job| self.jobs.get_mut(&job)) {
            job.remember(now, JobEvent::BoardFailed(at.clone(), reason.clone()));
        }
    }

    /// A failed board was set aside: it leaves the order it failed, which is closed when nothing is open in it.
    fn drop_failed(&mut self, at: &BoardRef) {
        let found = self.troubled.iter().copied().find(|id| {
            self.orders
                .get(id)
                .is_some_and(|open| open.machine == at.machine && open.failed.contains_key(&at.board))
        });
        let Some(id) = found else { return };
        let Some(open) = self.orders.get_mut(&id) else { return };
        open.failed.remove(&at.board);
        let switching = matches!(open.purpose, Purpose::Switch { .. });
        if open.failed.is_empty() && !switching {
            self.troubled.remove(&id);
            if open.answered.len() == open.boards.len() {
                self.close_order(id);
            }
        }
    }

    fn test_board(&mut self, at: &BoardRef, order: OrderId, now: Moment) {
        self.last_grant = self.last_grant.max(order.grant);
        let Some(number) = self.machine_number(&at.machine) else { return };
        let machine = &mut self.machines[number];
        machine.touch(at.board, order.grant);
        if let Some(trouble) = machine.trouble_mut(at.board) {
            trouble.testing = Some(order);
            let due = trouble.retest_at.take();
            due.map(|due| self.due.retests.remove(&(due, at.machine.clone(), at.board)));
        }
        self.open_order(order, at.machine.clone(), [at.board].into(), Purpose::Test, now);
    }

    fn report(&mut self, at: &BoardRef, by: &Arc<str>, reason: &Arc<str>) {
        let Some(number) = self.machine_number(&at.machine) else { return };
        self.machines[number].report(at.board, by.clone(), reason.clone());
        self.condemn(number, &[at.board]);
        self.queue.reconsider(number);
    }

    fn mark(&mut self, at: &BoardRef, mark: Mark, by: &Arc<str>, reason: &Arc<str>) {
        let Some(number) = self.machine_number(&at.machine) else { return };
        let note = Note { mark, by: by.clone(), reason: reason.clone() };
        self.machines[number].set_mark(at.board, (mark != Mark::Free).then_some(note));
        if mark == Mark::Free {
            self.machines[number].forget_reports(at.board);
        }
        self.condemn(number, &[at.board]);
        self.queue.reconsider(number);
    }

    fn set_board(&mut self, at: &BoardRef, note: Note, now: Moment) {
        let Some(number) = self.machine_number(&at.machine) else { return };
        let before = self.machines[number].state(at.board);
        if let Some(trouble) = self.machines[number].board(at.board).trouble.cloned() {
            self.forget_trouble(at, &trouble);
        }
        let state = match note.mark {
            Mark::Free => BoardState::Free,
            Mark::Maintenance => BoardState::Maintenance,
            Mark::Dead => BoardState::Dead,
        };
        let machine = &mut self.machines[number];
        machine.set_aside(at.board, state, None, now);
        machine.set_mark(at.board, None);
        machine.set_note(at.board, (note.mark != Mark::Free).then_some(note));
        machine.forget_reports(at.board);
        self.condemn(number, &[at.board]);
        // Only a death, or a resurrection, changes what is possible.
        match before == BoardState::Dead || state == BoardState::Dead {
            true => self.lost = self.queue.refit(&self.machines).into_iter().collect(),
            false => self.queue.reconsider(number),
        }
    }

    fn set_user_role(&mut self, user: &UserName, role: Role) {
        if let Some(known) = self.users.get_mut(user) {
            known.role = role;
        }
        let own = self.sessions.values_mut().filter(|session| session.user == *user);
        own.for_each(|session| session.role = role);
    }

    fn forget_session(&mut self, session: SessionKey) {
        let Some(record) = self.sessions.remove(&session) else { return };
        if let Some(count) = self.sessions_of_user.get_mut(&record.user) {
            *count -= 1;
            if *count == 0 {
                self.sessions_of_user.remove(&record.user);
            }
        }
        self.sessions_over.push_back(session);
        if self.sessions_over.len() > SESSIONS_REMEMBERED_MAX {
            self.sessions_over.pop_front();
        }
    }
}
