//! Who is there, which boards each has, and what is asked of them. Pure: time comes in.
//!
//! A board that had an agent before the server stopped is awaited for as long as an agent may be silent, and what it is to do
//! waits with it.
//!
//! Bring news in with the functions named after it, take what follows out with `poll` until there is nothing, and call
//! `wake` at `wake_at`. Memory is bounded by agents, boards, and one order and a few questions for each board.
//!
//! The fence: a board's agent is told an order only if no newer one was given before, and what it says of an older one than
//! the last is not passed on. So whoever held a board before cannot reach it any more.

use super::{
    AGENT_BOARDS_MAX, AGENTS_MAX, AgentCounts, AgentName, AgentNews, AgentRefusal, AgentSettings, AgentView,
    Expected, Introduction, Offered, Report, Serial, Stay, Told,
};
use crate::allocator::BoardIndex;
use crate::clock::Moment;
use crate::controller::{ControllerError, ORDERS_PER_BOARD_MAX, Outcome, Reading};
use crate::lab::command::{Consult, Consultation};
use crate::lab::effect::{Action, Order};
use crate::lab::fact::{Grant, JobId, OrderId};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

/// How long an agent may take over a question.
pub const QUESTION_MS_MAX: u64 = 30_000;

/// What a board that was never touched has seen: grants are counted from 1.
const NEVER: OrderId = OrderId { grant: Grant(0), step: 0 };

/// See above.
#[derive(Debug)]
pub struct Roster {
    settings: AgentSettings,
    agents: BTreeMap<AgentName, Agent>,
    stays: BTreeMap<Stay, AgentName>,
    boards: BTreeMap<Serial, Seat>,
    questions: BTreeMap<u64, Question>,
    news: VecDeque<AgentNews>,
    last_stay: u64,
}

/// An agent that is there, or may come back.
#[derive(Debug)]
struct Agent {
    stay: Stay,
    connected: bool,
    seen: Moment,
    version: Arc<str>,
    url: Option<Arc<str>>,
    draining: bool,
    /// Its boards, with what they are.
    boards: BTreeMap<Serial, Arc<str>>,
}

/// What is known of a board.
#[derive(Debug)]
struct Seat {
    /// Who has it.
    agent: Option<AgentName>,
    /// Nobody has it, but somebody may come back with it until then.
    back_by: Option<Moment>,
    /// The newest order it was ever given.
    newest: OrderId,
    /// What it is doing.
    pending: Option<Pending>,
}

/// An order that a board has not answered.
#[derive(Clone, Debug)]
struct Pending {
    id: OrderId,
    action: Action,
    job: Option<JobId>,
    /// The board's place, for the outcome; none for an order given only so that the board is again what it was.
    board: Option<BoardIndex>,
}

/// A question that is not answered yet.
#[derive(Debug)]
struct Question {
    board: Serial,
    stay: Stay,
    due: Moment,
}

impl Roster {
    /// Nobody is there.
    pub fn new(settings: AgentSettings) -> Roster {
        Roster {
            settings,
            agents: BTreeMap::new(),
            stays: BTreeMap::new(),
            boards: BTreeMap::new(),
            questions: BTreeMap::new(),
            news: VecDeque::new(),
            last_stay: 0,
        }
    }

    /// Takes other settings; they hold from now on.
    pub fn set_settings(&mut self, settings: AgentSettings) {
        self.settings = settings;
    }

    /// Somebody had these boards before the server stopped, and may come back with them.
    pub fn expect_back(&mut self, now: Moment, serials: Vec<Serial>) {
        let until = now.plus_ms(self.settings.timeout_ms);
        for serial in serials {
            let seat = self.boards.entry(serial).or_insert_with(Seat::empty);
            seat.back_by = seat.agent.is_none().then_some(until);
        }
    }

    /// An agent comes, or comes back. `expected` says what a board should be doing by the lab's account: a board that
    /// does not stand by that is told again.
    pub fn join(
        &mut self,
        now: Moment,
        who: Introduction,
        expected: &dyn Fn(&Serial) -> Option<Expected>,
    ) -> Result<Stay, AgentRefusal> {
        self.check_boards(&who.name, &who.boards)?;
        if !self.agents.contains_key(&who.name) {
            self.make_room()?;
        }
        self.last_stay += 1;
        let stay = Stay(self.last_stay);
        self.forget_missing(&who);
        self.stays.insert(stay, who.name.clone());
        let agent = Agent {
            stay,
            connected: true,
            seen: now,
            version: who.version,
            url: who.url,
            draining: who.draining,
            boards: who.boards.iter().map(|board| (board.serial.clone(), board.model.clone())).collect(),
        };
        self.agents.insert(who.name.clone(), agent);
        self.take_boards(&who.name, stay, &who.boards, expected);
        self.set_draining(&who.name, who.draining);
        Ok(stay)
    }

    /// When there are as many agents as may be, the one that is away longest is not waited for any more, so that names which come and
    /// go keep nobody out.
    fn make_room(&mut self) -> Result<(), AgentRefusal> {
        if self.agents.len() < AGENTS_MAX {
            return Ok(());
        }
        let away = self.agents.iter().filter(|(_, agent)| !agent.connected && !self.has_work(agent));
        let longest = away.min_by_key(|(_, agent)| agent.seen).map(|(name, _)| name.clone());
        let name = longest.ok_or(AgentRefusal::TooMany)?;
        self.dismiss(&name, &format!("agent '{name}' was away while others came"));
        Ok(())
    }

    /// Whether a board of an agent has something to do.
    fn has_work(&self, agent: &Agent) -> bool {
        agent.boards.keys().any(|board| self.boards.get(board).is_some_and(|seat| seat.pending.is_some()))
    }

    /// The same name may have come before: its questions are off, and boards that it no longer brings are lost.
    fn forget_missing(&mut self, who: &Introduction) {
        let Some(before) = self.agents.remove(&who.name) else { return };
        self.stays.remove(&before.stay);
        if before.connected {
            self.tell(before.stay, Told::Replaced);
        }
        self.drop_questions(before.stay);
        let brought: BTreeSet<_> = who.boards.iter().map(|board| &board.serial).collect();
        let gone: Vec<_> = before.boards.into_keys().filter(|board| !brought.contains(board)).collect();
        self.lose(gone, &format!("agent '{}' came back without it", who.name));
    }

    /// Boards belong to an agent from now on: they are announced, and told what is still to be done.
    fn take_boards(
        &mut self,
        name: &AgentName,
        stay: Stay,
        offered: &[Offered],
        expected: &dyn Fn(&Serial) -> Option<Expected>,
    ) {
        if offered.is_empty() {
            return;
        }
        let mut wanted: Vec<_> = offered.iter().map(|board| self.forgotten(board, expected)).collect();
        self.lose_work(offered, &mut wanted);
        self.report(Report::Announced(offered.iter().map(|board| board.serial.clone()).collect()));
        for (board, wanted) in offered.iter().zip(wanted) {
            let seat = self.boards.entry(board.serial.clone()).or_insert_with(Seat::empty);
            seat.agent = Some(name.clone());
            seat.back_by = None;
            seat.pending = seat.pending.take().or(wanted.map(Pending::again));
            let Some(pending) = seat.pending.clone() else { continue };
            seat.newest = seat.newest.max(pending.id);
            self.tell(stay, pending.told(vec![board.serial.clone()]));
        }
    }

    /// What a board should be doing and does not stand by, unless it is told so anyway.
    fn forgotten(&self, board: &Offered, expected: &dyn Fn(&Serial) -> Option<Expected>) -> Option<Expected> {
        let seat = self.boards.get(&board.serial);
        if seat.is_some_and(|seat| seat.pending.is_some()) {
            return None;
        }
        let newest = seat.map_or(NEVER, |seat| seat.newest);
        expected(&board.serial).filter(|wanted| board.holds != Some(wanted.id) && wanted.id >= newest)
    }

    /// Boards that forgot what their holders gave them are lost for those, who would wait for results for ever.
    fn lose_work(&mut self, offered: &[Offered], wanted: &mut [Option<Expected>]) {
        let mut lost = Vec::new();
        for (board, wanted) in offered.iter().zip(wanted) {
            if wanted.take_if(|wanted| wanted.may_have_work).is_some() {
                lost.push(board.serial.clone());
            }
        }
        self.lose(lost, "its agent has forgotten what it was given to do");
    }

    fn check_boards(&self, name: &AgentName, offered: &[Offered]) -> Result<(), AgentRefusal> {
        if offered.len() > AGENT_BOARDS_MAX {
            return Err(AgentRefusal::TooManyBoards);
        }
        let mut seen = BTreeSet::new();
        for board in offered {
            if !seen.insert(&board.serial) {
                return Err(AgentRefusal::Twice(board.serial.clone()));
            }
            match self.boards.get(&board.serial).and_then(|seat| seat.agent.as_ref()) {
                Some(other) if other != name => {
                    return Err(AgentRefusal::Taken(board.serial.clone(), other.clone()));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// More boards were plugged in.
    pub fn add_boards(
        &mut self,
        now: Moment,
        stay: Stay,
        offered: &[Offered],
        expected: &dyn Fn(&Serial) -> Option<Expected>,
    ) -> Result<(), AgentRefusal> {
        let name = self.heard(now, stay)?;
        self.check_boards(&name, offered)?;
        let Some(agent) = self.agents.get_mut(&name) else { return Err(AgentRefusal::Over) };
        let new = offered.iter().filter(|board| !agent.boards.contains_key(&board.serial)).count();
        if agent.boards.len() + new > AGENT_BOARDS_MAX {
            return Err(AgentRefusal::TooManyBoards);
        }
        agent.boards.extend(offered.iter().map(|board| (board.serial.clone(), board.model.clone())));
        let draining = agent.draining;
        self.take_boards(&name, stay, offered, expected);
        self.set_draining(&name, draining);
        Ok(())
    }

    /// Boards were unplugged.
    pub fn remove_boards(
        &mut self,
        now: Moment,
        stay: Stay,
        serials: &[Serial],
        reason: &str,
    ) -> Result<(), AgentRefusal> {
        let gone = self.own(now, stay, serials)?;
        let name = self.heard(now, stay)?;
        if let Some(agent) = self.agents.get_mut(&name) {
            gone.iter().for_each(|board| drop(agent.boards.remove(board)));
        }
        self.lose(gone, reason);
        Ok(())
    }

    /// Boards are broken, by the agent's account.
    pub fn break_boards(
        &mut self,
        now: Moment,
        stay: Stay,
        serials: &[Serial],
        reason: &str,
    ) -> Result<(), AgentRefusal> {
        let broken = self.own(now, stay, serials)?;
        if !broken.is_empty() {
            self.report(Report::Broken(broken, reason.into()));
        }
        Ok(())
    }

    /// What a board of the agent's offers from now on.
    pub fn offer(
        &mut self,
        now: Moment,
        stay: Stay,
        serial: &Serial,
        offers: Arc<[Arc<str>]>,
    ) -> Result<(), AgentRefusal> {
        for serial in self.own(now, stay, std::slice::from_ref(serial))? {
            self.report(Report::Offers(serial, offers.clone()));
        }
        Ok(())
    }

    /// A sign of life.
    pub fn beat(&mut self, now: Moment, stay: Stay) -> Result<(), AgentRefusal> {
        self.heard(now, stay).map(drop)
    }

    /// The agent wants no new work, or wants it again.
    pub fn drain(&mut self, now: Moment, stay: Stay, draining: bool) -> Result<(), AgentRefusal> {
        let name = self.heard(now, stay)?;
        let agent = self.agents.get(&name).ok_or(AgentRefusal::Over)?;
        if agent.draining != draining {
            self.set_draining(&name, draining);
        }
        Ok(())
    }

    /// Also said when nothing changed: after a start of the server only the lab knows what was said before.
    fn set_draining(&mut self, name: &AgentName, draining: bool) {
        let Some(agent) = self.agents.get_mut(name) else { return };
        agent.draining = draining;
        let boards: Vec<_> = agent.boards.keys().cloned().collect();
        if !boards.is_empty() {
            self.report(Report::Draining(boards, draining));
        }
    }

    /// The agent's connection is gone; it may come back.
    pub fn hang_up(&mut self, now: Moment, stay: Stay) {
        let Ok(name) = self.heard(now, stay) else { return };
        self.agents.get_mut(&name).into_iter().for_each(|agent| agent.connected = false);
        self.drop_questions(stay);
    }

    /// The agent leaves for good.
    pub fn leave(&mut self, now: Moment, stay: Stay, reason: &str) {
        if let Ok(name) = self.heard(now, stay) {
            self.dismiss(&name, reason);
        }
    }

    /// An order for boards, which `serial` names.
    pub fn handle_order(&mut self, order: &Order, serial: &dyn Fn(BoardIndex) -> Serial) {
        let mut told: BTreeMap<Stay, Vec<Serial>> = BTreeMap::new();
        let mut failed = Vec::new();
        for board in order.boards.iter() {
            let name = serial(*board);
            match self.admit(order, *board, &name) {
                Ok(Some(stay)) => told.entry(stay).or_default().push(name),
                Ok(None) => {}
                Err(why) => failed.push((*board, why)),
            }
        }
        for (stay, boards) in told {
            let Order { id, action, job, .. } = order;
            self.tell(stay, Told::Order { id: *id, action: action.clone(), boards, job: *job });
        }
        self.fail(order.id, failed);
    }

    /// Gives an order to a board; whom to tell, if its agent is connected.
    fn admit(&mut self, order: &Order, board: BoardIndex, serial: &Serial) -> Result<Option<Stay>, Arc<str>> {
        let seat = self.boards.entry(serial.clone()).or_insert_with(Seat::empty);
        if seat.newest > order.id {
            return Err("a newer order was given".into());
        }
        seat.newest = order.id;
        let pending =
            Pending { id: order.id, action: order.action.clone(), job: order.job, board: Some(board) };
        let before = seat.pending.replace(pending);
        let agent = seat.agent.as_ref().and_then(|agent| self.agents.get(agent));
        let stay = agent.map(|agent| Some(agent.stay).filter(|_| agent.connected));
        if let Some(Pending { id, board: Some(board), .. }) = before.filter(|before| before.id != order.id) {
            self.fail(id, vec![(board, "overtaken by a newer order".into())]);
        }
        let awaited = self.boards.get(serial).is_some_and(|seat| seat.back_by.is_some());
        stay.or(awaited.then_some(None)).ok_or_else(|| {
            self.boards.get_mut(serial).into_iter().for_each(|seat| seat.pending = None);
            "no agent has this board".into()
        })
    }

    /// The lab does not take these boards: the agents that brought them are over.
    pub fn refuse_boards(&mut self, serials: &[Serial], reason: &str) {
        let agents: BTreeSet<_> =
            serials.iter().filter_map(|board| self.boards.get(board)?.agent.clone()).collect();
        agents.iter().for_each(|agent| self.dismiss(agent, reason));
    }

    /// What an agent says came of an order. Boards that are not its own, or were given a newer order, are passed over.
    pub fn answer_order(
        &mut self,
        now: Moment,
        stay: Stay,
        id: OrderId,
        obeyed: &[Serial],
        failed: &[(Serial, Arc<str>)],
    ) -> Result<(), AgentRefusal> {
        let name = self.heard(now, stay)?;
        let mut outcome = Outcome { order: id, obeyed: Vec::new(), failed: Vec::new() };
        let mut broken = Vec::new();
        for (serial, why) in failed {
            match self.answered(&name, serial, id) {
                Some(Pending { board: Some(board), .. }) => outcome.failed.push((board, why.clone())),
                Some(_) => broken.push((serial.clone(), why.clone())),
                None => {}
            }
        }
        for serial in obeyed {
            let done = self.answered(&name, serial, id);
            outcome.obeyed.extend(done.and_then(|pending| pending.board));
        }
        if !outcome.obeyed.is_empty() || !outcome.failed.is_empty() {
            self.report(Report::Outcome(outcome));
        }
        // A board that could not be made again what it was is of no use to its holder.
        broken.into_iter().for_each(|(board, why)| self.report(Report::Broken(vec![board], why)));
        Ok(())
    }

    /// Takes the order off a board of this agent that is carrying it out.
    fn answered(&mut self, name: &AgentName, serial: &Serial, id: OrderId) -> Option<Pending> {
        let seat = self.boards.get_mut(serial).filter(|seat| seat.agent.as_ref() == Some(name))?;
        seat.pending.take_if(|pending| pending.id == id)
    }

    /// A question for a board.
    pub fn handle_consult(
        &mut self,
        now: Moment,
        ticket: u64,
        at: &Consultation,
        serial: &Serial,
        what: &Consult,
    ) {
        match self.stay_for(at, serial) {
            Ok(stay) => {
                let (board, due) = (serial.clone(), now.plus_ms(QUESTION_MS_MAX));
                self.questions.insert(ticket, Question { board: board.clone(), stay, due });
                self.tell(stay, Told::Question { ticket, board, what: what.clone() });
            }
            Err(error) => self.news.push_back(AgentNews::Answer { ticket, answer: Err(error) }),
        }
    }

    fn stay_for(&self, at: &Consultation, serial: &Serial) -> Result<Stay, ControllerError> {
        let seat = self.boards.get(serial);
        if seat.is_some_and(|seat| at.order.grant < seat.newest.grant) {
            return Err(ControllerError::Stale);
        }
        let agent = seat.and_then(|seat| self.agents.get(seat.agent.as_ref()?));
        let agent = agent.ok_or_else(|| ControllerError::Failed("no agent has this board".into()))?;
        if !agent.connected {
            return Err(ControllerError::Silent);
        }
        let waiting = self.questions.values().filter(|question| question.board == *serial).count();
        match waiting < ORDERS_PER_BOARD_MAX {
            true => Ok(agent.stay),
            false => Err(ControllerError::Busy),
        }
    }

    /// What an agent says to a question. One that is over, or was put to somebody else, is passed over.
    pub fn answer_question(
        &mut self,
        now: Moment,
        stay: Stay,
        ticket: u64,
        answer: Result<Reading, Arc<str>>,
    ) -> Result<(), AgentRefusal> {
        self.heard(now, stay)?;
        if self.questions.get(&ticket).is_some_and(|question| question.stay == stay) {
            self.questions.remove(&ticket);
            let answer = answer.map_err(ControllerError::Failed);
            self.news.push_back(AgentNews::Answer { ticket, answer });
        }
        Ok(())
    }

    /// What follows from all that was heard, first things first.
    pub fn poll(&mut self) -> Option<AgentNews> {
        self.news.pop_front()
    }

    /// When to call `wake`.
    pub fn wake_at(&self) -> Option<Moment> {
        let silent = self.agents.values().map(|agent| agent.seen.plus_ms(self.settings.timeout_ms)).min();
        let asked = self.questions.values().map(|question| question.due).min();
        let awaited = self.boards.values().filter_map(|seat| seat.back_by).min();
        [silent, asked, awaited].into_iter().flatten().min()
    }

    /// Time passed: agents that were silent for too long are lost, and so are questions nobody answered.
    pub fn wake(&mut self, now: Moment) {
        let timeout_ms = self.settings.timeout_ms;
        let silent = |agent: &Agent| agent.seen.plus_ms(timeout_ms) <= now;
        let lost: Vec<_> =
            self.agents.iter().filter(|(_, agent)| silent(agent)).map(|(name, _)| name.clone()).collect();
        for name in lost {
            self.dismiss(&name, &format!("agent '{name}' was silent for {} s", timeout_ms / 1000));
        }
        let missing = |seat: &Seat| seat.back_by.is_some_and(|until| until <= now);
        let missing = self.boards.iter().filter(|(_, seat)| missing(seat));
        let missing: Vec<_> = missing.map(|(serial, _)| serial.clone()).collect();
        self.lose(missing, "no agent came back with it after the server was started");
        let over: Vec<_> =
            self.questions.iter().filter(|(_, asked)| asked.due <= now).map(|(ticket, _)| *ticket).collect();
        over.into_iter().for_each(|ticket| self.give_up(ticket));
    }

    /// Everybody, by name.
    pub fn view(&self) -> Vec<AgentView> {
        let view = |(name, agent): (&AgentName, &Agent)| AgentView {
            name: name.clone(),
            version: agent.version.clone(),
            url: agent.url.clone(),
            boards: agent.boards.iter().map(|(board, model)| (board.clone(), model.clone())).collect(),
            draining: agent.draining,
            connected: agent.connected,
            seen_ms: agent.seen.0,
        };
        self.agents.iter().map(view).collect()
    }

    /// How many there are.
    pub fn count(&self) -> AgentCounts {
        let count = |is: fn(&Agent) -> bool| self.agents.values().filter(|agent| is(agent)).count();
        let connected = count(|agent| agent.connected);
        AgentCounts {
            connected,
            away: self.agents.len() - connected,
            draining: count(|agent| agent.draining),
        }
    }

    /// Where the agent that has this board is reached.
    pub fn url_of(&self, serial: &str) -> Option<Arc<str>> {
        self.agents.get(self.boards.get(serial)?.agent.as_ref()?)?.url.clone()
    }

    /// Who has this board.
    pub fn agent_of(&self, serial: &str) -> Option<AgentName> {
        self.boards.get(serial)?.agent.clone()
    }

    /// How many boards something is known of.
    #[cfg(test)]
    pub(super) fn boards_known(&self) -> usize {
        self.boards.len()
    }

    /// An agent is gone, and its boards with it.
    fn dismiss(&mut self, name: &AgentName, reason: &str) {
        let Some(agent) = self.agents.remove(name) else { return };
        self.stays.remove(&agent.stay);
        if agent.connected {
            self.tell(agent.stay, Told::Over(reason.into()));
        }
        self.drop_questions(agent.stay);
        self.lose(agent.boards.into_keys().collect(), reason);
    }

    /// Boards are gone: what they were to do failed.
    fn lose(&mut self, serials: Vec<Serial>, reason: &str) {
        let mut failed: BTreeMap<OrderId, Vec<(BoardIndex, Arc<str>)>> = BTreeMap::new();
        for serial in &serials {
            let Some(seat) = self.boards.get_mut(serial) else { continue };
            (seat.agent, seat.back_by) = (None, None);
            if let Some(Pending { id, board: Some(board), .. }) = seat.pending.take() {
                failed.entry(id).or_default().push((board, reason.into()));
            }
            // The lab has a bounded number of boards; of others, which never had an order, nothing is remembered.
            if seat.newest == NEVER {
                self.boards.remove(serial);
            }
        }
        // The lab hears of the loss first, so that the boards are offline and not set aside for failing.
        if !serials.is_empty() {
            self.report(Report::Lost(serials, reason.into()));
        }
        failed.into_iter().for_each(|(id, failed)| self.fail(id, failed));
    }

    fn fail(&mut self, order: OrderId, failed: Vec<(BoardIndex, Arc<str>)>) {
        if !failed.is_empty() {
            self.report(Report::Outcome(Outcome { order, obeyed: Vec::new(), failed }));
        }
    }

    fn drop_questions(&mut self, stay: Stay) {
        let theirs = self.questions.iter().filter(|(_, question)| question.stay == stay);
        let tickets: Vec<_> = theirs.map(|(ticket, _)| *ticket).collect();
        tickets.into_iter().for_each(|ticket| self.give_up(ticket));
    }

    fn give_up(&mut self, ticket: u64) {
        if self.questions.remove(&ticket).is_some() {
            self.news.push_back(AgentNews::Answer { ticket, answer: Err(ControllerError::Silent) });
        }
    }

    fn report(&mut self, report: Report) {
        self.news.push_back(AgentNews::Report(report));
    }

    fn tell(&mut self, stay: Stay, told: Told) {
        self.news.push_back(AgentNews::Tell { stay, told });
    }

    /// Which agent speaks; its silence is over. One that hung up speaks again only when it has introduced itself again.
    fn heard(&mut self, now: Moment, stay: Stay) -> Result<AgentName, AgentRefusal> {
        let name = self.stays.get(&stay).cloned().ok_or(AgentRefusal::Over)?;
        let agent = self.agents.get_mut(&name).filter(|agent| agent.connected).ok_or(AgentRefusal::Over)?;
        agent.seen = agent.seen.max(now);
        Ok(name)
    }

    /// Those of the boards that this agent has.
    fn own(&mut self, now: Moment, stay: Stay, serials: &[Serial]) -> Result<Vec<Serial>, AgentRefusal> {
        let name = self.heard(now, stay)?;
        let agent = self.agents.get(&name).ok_or(AgentRefusal::Over)?;
        let serials: BTreeSet<_> =
            serials.iter().filter(|serial| agent.boards.contains_key(*serial)).collect();
        Ok(serials.into_iter().cloned().collect())
    }
}

impl Seat {
    fn empty() -> Seat {
        Seat { agent: None, back_by: None, newest: NEVER, pending: None }
    }
}

impl Pending {
    /// What a board should be doing already.
    fn again(wanted: Expected) -> Pending {
        Pending { id: wanted.id, action: wanted.action, job: wanted.job, board: None }
    }

    fn told(self, boards: Vec<Serial>) -> Told {
        Told::Order { id: self.id, action: self.action, boards, job: self.job }
    }
}
