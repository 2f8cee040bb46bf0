//! Boards that obey, dawdle or lie, by seed: a small machine that is told what time it is.
//!
//! Bring news in with `handle_order` and `handle_consult`, take it out with `poll` until there is none, and come
//! back at `wake_at`. The same settings, tasks and times bring the same news.
//!
//! A board does one thing at a time. A newer order overtakes an older one still under way: the older fails at
//! once on that board, which then is as it was before it. An order given again while it is under way goes on;
//! given again later it is done again, with the same fate. Consultations are answered beside orders, except
//! that a power cycle must wait its turn: it is refused as busy during an order, and overtaken by the next one.
//!
//! What is deliberately not here: tasks and clocks (`driver`), and real boards.

mod fate;
#[cfg(test)]
mod tests;

use super::fence::{Admitted, Fence};
use super::{Boards, ControllerError, ORDERS_PER_BOARD_MAX, Outcome, Reading, SimulatedSettings};
use crate::allocator::BoardIndex;
use crate::clock::Moment;
use crate::lab::command::{Consult, Consultation};
use crate::lab::effect::{Action, Order};
use crate::lab::fact::OrderId;
#[cfg(test)]
pub(super) use fate::Chance;
use fate::Fate;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

/// How long a consultation waits for a board that never answers.
pub const SILENCE_MS_MAX: u64 = 10_000;

/// The reason of every failure that chance brings.
const FAULT: &str = "simulated fault";

/// Something that happened on simulated boards.
#[derive(Clone, Debug, PartialEq)]
pub enum SimulatedNews {
    /// An order came to an end on some boards.
    Outcome(Outcome),
    /// A consultation came to an end.
    Answer {
        /// Which one.
        ticket: u64,
        /// What the board said.
        answer: Result<Reading, ControllerError>,
    },
}

/// What a simulated board remembers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SimulatedBoard {
    /// Whether it is on.
    pub power: bool,
    /// As what it was prepared last, since it was cleaned.
    pub kind: Option<Arc<str>>,
    /// Whether its LED is on.
    pub led: bool,
}

/// The simulated boards of one machine. Memory is bounded by the number of boards.
#[derive(Debug)]
pub struct Simulated {
    settings: SimulatedSettings,
    boards: Boards,
    broken: BTreeSet<BoardIndex>,
    stuck: BTreeSet<BoardIndex>,
    fence: Fence,
    /// By board, as far up as boards were touched.
    touched: Vec<Touched>,
    /// Orders under way by when they end, with all boards on which they end then.
    due: BTreeMap<(Moment, OrderId), Batch>,
    /// Consultations under way, by when they are answered.
    asked: BTreeMap<(Moment, u64), Question>,
    /// The consultations under way at a board.
    asked_at: BTreeMap<BoardIndex, BTreeSet<(Moment, u64)>>,
    /// What is known already and was not polled yet.
    news: VecDeque<SimulatedNews>,
    /// The latest time it was told.
    seen: Moment,
}

/// A board that was touched.
#[derive(Clone, Debug, Default)]
struct Touched {
    state: SimulatedBoard,
    /// The order under way there, and when it ends.
    under_way: Option<(Moment, OrderId)>,
}

/// An order on the boards on which it ends at the same time.
#[derive(Debug)]
struct Batch {
    action: Action,
    /// Also boards that have left it since: another order is under way there, or none.
    boards: Vec<BoardIndex>,
    /// How many have not left it.
    left: usize,
}

/// A consultation that is not answered yet.
#[derive(Debug)]
struct Question {
    board: BoardIndex,
    what: Consult,
    fate: Fate,
}

impl Simulated {
    /// Boards that are all off.
    pub fn new(settings: SimulatedSettings, boards: Boards) -> Simulated {
        Simulated {
            broken: settings.broken_boards.iter().copied().collect(),
            stuck: settings.stuck_boards.iter().copied().collect(),
            fence: Fence::new(boards.count),
            settings,
            boards,
            touched: Vec::new(),
            due: BTreeMap::new(),
            asked: BTreeMap::new(),
            asked_at: BTreeMap::new(),
            news: VecDeque::new(),
            seen: Moment::default(),
        }
    }

    /// An order arrives.
    pub fn handle_order(&mut self, now: Moment, order: &Order) {
        self.seen = now;
        let Admitted { act, stale, unknown } = self.fence.admit(order);
        self.refuse(order.id, &stale, "the board has seen a newer order");
        self.refuse(order.id, &unknown, "the machine has no such board");
        let mut overtaken: BTreeMap<OrderId, Vec<BoardIndex>> = BTreeMap::new();
        for board in act {
            match self.under_way(board) {
                Some((_, older)) if older == order.id => continue,
                Some(older) => {
                    self.leave(board, older);
                    overtaken.entry(older.1).or_default().push(board);
                }
                None => {}
            }
            self.overtake_power_cycles(board);
            self.begin(now, order, board);
        }
        for (older, boards) in overtaken {
            self.refuse(older, &boards, &format!("overtaken by order {}", order.id));
        }
    }

    /// A consultation arrives; its answer will carry the ticket, which must be new.
    pub fn handle_consult(&mut self, now: Moment, ticket: u64, at: &Consultation, what: &Consult) {
        self.seen = now;
        let board = at.board.board;
        if let Some(error) = self.objection(at, what) {
            return self.news.push_back(SimulatedNews::Answer { ticket, answer: Err(error) });
        }
        let draw = fate::draw(&self.settings, at.order, board, Some(ticket));
        let fate = if self.stuck.contains(&board) { Fate::Silent } else { draw.fate };
        let span_ms = match (fate, what) {
            (Fate::Silent, _) => SILENCE_MS_MAX,
            (_, Consult::PowerCycle) => self.settings.power_ms.saturating_add(draw.jitter_ms),
            _ => 0,
        };
        let key = (now.plus_ms(span_ms), ticket);
        self.asked.insert(key, Question { board, what: what.clone(), fate });
        self.asked_at.entry(board).or_default().insert(key);
    }

    /// The next thing that happened by now, oldest first.
    pub fn poll(&mut self, now: Moment) -> Option<SimulatedNews> {
        self.seen = now;
        if let Some(news) = self.news.pop_front() {
            return Some(news);
        }
        let order = self.due.keys().next().copied().filter(|(at, _)| *at <= now);
        let consult = self.asked.keys().next().copied().filter(|(at, _)| *at <= now);
        match (order, consult) {
            (Some(order), Some(consult)) if consult.0 < order.0 => self.answer(consult),
            (Some(order), _) => self.finish(order),
            (None, Some(consult)) => self.answer(consult),
            (None, None) => None,
        }
    }

    /// When `poll` has something next; never, if nothing is under way.
    pub fn wake_at(&self) -> Option<Moment> {
        if !self.news.is_empty() {
            return Some(self.seen);
        }
        let order = self.due.keys().next().map(|(at, _)| *at);
        let consult = self.asked.keys().next().map(|(at, _)| *at);
        order.into_iter().chain(consult).min()
    }

    /// What a board remembers.
    pub fn board(&self, board: BoardIndex) -> SimulatedBoard {
        self.touched.get(board.0 as usize).map(|board| board.state.clone()).unwrap_or_default()
    }

    fn refuse(&mut self, order: OrderId, boards: &[BoardIndex], why: &str) {
        if boards.is_empty() {
            return;
        }
        let why: Arc<str> = why.into();
        let failed = boards.iter().map(|board| (*board, why.clone())).collect();
        self.news.push_back(SimulatedNews::Outcome(Outcome { order, obeyed: Vec::new(), failed }));
    }

    /// An order begins on a board; a board that stays silent only forgets what it did before.
    fn begin(&mut self, now: Moment, order: &Order, board: BoardIndex) {
        let draw = fate::draw(&self.settings, order.id, board, None);
        if self.stuck.contains(&board) || draw.fate == Fate::Silent {
            return;
        }
        let ends = now.plus_ms(self.span_ms(&order.action).saturating_add(draw.jitter_ms));
        let key = (ends, order.id);
        let new = || Batch { action: order.action.clone(), boards: Vec::new(), left: 0 };
        let batch = self.due.entry(key).or_insert_with(new);
        batch.boards.push(board);
        batch.left += 1;
        touch(&mut self.touched, board).under_way = Some(key);
    }

    /// The order under way on a board, and when it ends.
    fn under_way(&self, board: BoardIndex) -> Option<(Moment, OrderId)> {
        self.touched.get(board.0 as usize)?.under_way
    }

    fn span_ms(&self, action: &Action) -> u64 {
        match action {
            Action::Prepare { .. } => self.settings.prepare_ms,
            Action::PowerOff => self.settings.power_ms,
            Action::Clean => self.settings.clean_ms,
            Action::Test => self.settings.test_ms,
        }
    }

    /// A board leaves the order it was under way with.
    fn leave(&mut self, board: BoardIndex, key: (Moment, OrderId)) {
        touch(&mut self.touched, board).under_way = None;
        let Some(batch) = self.due.get_mut(&key) else { return };
        batch.left -= 1;
        if batch.left == 0 {
            self.due.remove(&key);
        }
    }

    fn overtake_power_cycles(&mut self, board: BoardIndex) {
        let Some(keys) = self.asked_at.get(&board) else { return };
        let is_cycle =
            |key: &&(Moment, u64)| self.asked.get(key).is_some_and(|q| q.what == Consult::PowerCycle);
        let keys: Vec<_> = keys.iter().filter(is_cycle).copied().collect();
        for key in keys {
            self.forget_question(key);
            self.news.push_back(SimulatedNews::Answer { ticket: key.1, answer: Err(ControllerError::Stale) });
        }
    }

    fn objection(&self, at: &Consultation, what: &Consult) -> Option<ControllerError> {
        let board = at.board.board;
        let waiting = self.asked_at.get(&board).map_or(0, BTreeSet::len);
        if !self.fence.has(board) {
            return Some(ControllerError::Unable("the machine has no such board".into()));
        }
        if !self.fence.allows(at) {
            return Some(ControllerError::Stale);
        }
        let switching = *what == Consult::PowerCycle && self.under_way(board).is_some();
        (switching || waiting >= ORDERS_PER_BOARD_MAX).then_some(ControllerError::Busy)
    }

    /// The first of the orders that are due comes to its end.
    fn finish(&mut self, key: (Moment, OrderId)) -> Option<SimulatedNews> {
        let batch = self.due.remove(&key)?;
        let mut outcome = Outcome { order: key.1, obeyed: Vec::new(), failed: Vec::new() };
        for board in batch.boards {
            if self.under_way(board) != Some(key) {
                continue;
            }
            touch(&mut self.touched, board).under_way = None;
            match self.obey(key.1, board, &batch.action) {
                Ok(()) => outcome.obeyed.push(board),
                Err(why) => outcome.failed.push((board, why)),
            }
        }
        Some(SimulatedNews::Outcome(outcome))
    }

    /// A board does what it was told, or fails, which leaves it off.
    fn obey(&mut self, order: OrderId, board: BoardIndex, action: &Action) -> Result<(), Arc<str>> {
        let broken = matches!(action, Action::Prepare { .. } | Action::Test) && self.broken.contains(&board);
        let fails = fate::draw(&self.settings, order, board, None).fate == Fate::Fails;
        let state = &mut touch(&mut self.touched, board).state;
        state.power = false;
        if broken {
            return Err("simulated: the board is broken".into());
        }
        if fails {
            return Err(FAULT.into());
        }
        match action {
            Action::Prepare { kind, .. } => {
                state.power = true;
                state.kind = Some(kind.clone());
            }
            Action::Clean => *state = SimulatedBoard::default(),
            Action::PowerOff | Action::Test => {}
        }
        Ok(())
    }

    /// The first of the consultations that are due is answered.
    fn answer(&mut self, key: (Moment, u64)) -> Option<SimulatedNews> {
        let question = self.forget_question(key)?;
        let answer = match question.fate {
            Fate::Obeys => self.reply(question.board, &question.what),
            Fate::Fails => Err(ControllerError::Failed(FAULT.into())),
            Fate::Silent => Err(ControllerError::Silent),
        };
        Some(SimulatedNews::Answer { ticket: key.1, answer })
    }

    fn forget_question(&mut self, key: (Moment, u64)) -> Option<Question> {
        let question = self.asked.remove(&key)?;
        if let Some(keys) = self.asked_at.get_mut(&question.board) {
            keys.remove(&key);
            if keys.is_empty() {
                self.asked_at.remove(&question.board);
            }
        }
        Some(question)
    }

    fn reply(&mut self, board: BoardIndex, what: &Consult) -> Result<Reading, ControllerError> {
        let state = &mut touch(&mut self.touched, board).state;
        match what {
            Consult::Identify { on } => state.led = on.unwrap_or(!state.led),
            Consult::PowerCycle => state.power = true,
            Consult::ReadSensors => {
                return Ok(Reading::Sensors(fate::sensors(self.settings.seed, board, state)));
            }
            Consult::Send { .. } if !state.power => {
                return Err(ControllerError::Failed("the board is off".into()));
            }
            Consult::Send { command, args } => {
                return Ok(Reading::Said(echo(&self.boards.text(board), state, command, args)));
            }
        }
        Ok(Reading::Done)
    }
}

/// What is kept of a board that exists.
fn touch(touched: &mut Vec<Touched>, board: BoardIndex) -> &mut Touched {
    let at = board.0 as usize;
    if at >= touched.len() {
        touched.resize_with(at + 1, Touched::default);
    }
    &mut touched[at]
}

/// What the agent of a simulated board says to any command: who it is, and what it was told.
fn echo(name: &str, state: &SimulatedBoard, command: &str, args: &str) -> Arc<str> {
    let args = serde_json::from_str(args).unwrap_or_else(|_| serde_json::Value::from(args));
    let said =
        serde_json::json!({ "board": name, "kind": state.kind.as_deref(), "command": command, "args": args });
    said.to_string().into()
}
