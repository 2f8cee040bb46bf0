//! All frames of a machine: orders and consultations come in, questions for BMPs go out, each board of an order is answered once.
//!
//! Bring news in with `handle_order`, `handle_consult`, `handle_reply` and `handle_boot`, take out what must be done with `poll`
//! until there is nothing, and come back at `wake_at`.
//!
//! A board does one thing at a time. A newer order overtakes what is under way there: the older one fails at once on that
//! board. An order that is given again while it is under way goes on. A power cycle is refused as busy during an order, and
//! overtaken by the next one.
//!
//! An order that boots waits until all boards of its job are on, in whatever frames they stand, and boots them through the
//! board at the job's corner. When a board fails before that there is no boot, and when the boot fails it fails on that board;
//! all others have obeyed, since nothing is wrong with them and the job is not ready anyway.
//!
//! What is deliberately not here: sockets and clocks.

use super::booting::{self, Booted};
use super::frame::{Ended, Frame};
use super::layout::{FrameId, Layout, Seat};
use super::question::{Question, Trouble};
use super::work::{Cause, Goal, Work};
use crate::allocator::{BoardIndex, Geometry, Link};
use crate::clock::Moment;
use crate::controller::fence::{Admitted, Fence};
use crate::controller::{BmpSettings, ControllerError, ORDERS_PER_BOARD_MAX, Outcome, Reading};
use crate::lab::command::{Consult, Consultation};
use crate::lab::effect::{Action, Order};
use crate::lab::fact::OrderId;
use crate::lab::job::asks_for_boot;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

/// How long a consultation that switches nothing may take; a BMP that loads FPGAs answers nobody meanwhile.
pub const CONSULT_MS_MAX: u64 = 20_000;

/// What must be done next.
#[derive(Debug)]
pub enum Step {
    /// Ask a BMP; what came of it goes to `handle_reply`.
    Ask {
        /// The number of the question.
        number: u64,
        /// The frame whose BMP it is.
        frame: FrameId,
        /// The host of the BMP.
        host: Arc<str>,
        /// What to ask.
        question: Question,
    },
    /// Boot the boards of a job; what came of it goes to `handle_boot`.
    Boot {
        /// The number of the boot.
        number: u64,
        /// The host of the board at the job's corner.
        host: Arc<str>,
        /// The job, as its chips are counted.
        job: Geometry,
    },
    /// Give a boot up; nobody wants to know what comes of it.
    StopBoot {
        /// The number of the boot.
        number: u64,
    },
    /// Tell what came of an order.
    Outcome(Outcome),
    /// Answer a consultation.
    Answer {
        /// Which one.
        ticket: u64,
        /// What came of it.
        answer: Result<Reading, ControllerError>,
    },
    /// Write something to the log.
    Say(String),
}

/// The boards of a job on their way to be booted together.
#[derive(Debug)]
struct Boot {
    /// All boards of the job.
    job: Arc<[BoardIndex]>,
    /// Boards that are not on yet.
    waiting: BTreeSet<BoardIndex>,
    /// Boards that are on.
    on: BTreeSet<BoardIndex>,
    /// Whether a board is missing, so that there will be no boot.
    called_off: bool,
    /// The number of the boot, once it runs.
    running: Option<u64>,
}

/// The boards of one machine. Memory is bounded by the number of boards.
#[derive(Debug)]
pub struct Floor {
    settings: Arc<BmpSettings>,
    layout: Option<Layout>,
    fence: Fence,
    /// Frames that were ever touched.
    frames: BTreeMap<FrameId, Frame>,
    /// Frames that may have something to say or to ask.
    touched: BTreeSet<FrameId>,
    /// When frames have something to do by themselves, by time and by frame.
    alarms: (BTreeSet<(Moment, FrameId)>, BTreeMap<FrameId, Moment>),
    /// Whose questions have these numbers.
    asked: BTreeMap<u64, FrameId>,
    /// What is under way at a board.
    under_way: BTreeMap<BoardIndex, Cause>,
    boots: BTreeMap<Cause, Boot>,
    /// The board of each consultation that switches nothing.
    consulted: BTreeMap<u64, BoardIndex>,
    /// How many consultations a board has.
    waiting: BTreeMap<BoardIndex, usize>,
    numbers: u64,
    steps: VecDeque<Step>,
    outcomes: BTreeMap<OrderId, Outcome>,
}

impl Floor {
    /// Nothing to do yet, and nothing known of any BMP. Without a layout every order fails.
    pub fn new(settings: Arc<BmpSettings>, layout: Option<Layout>, board_count: u32) -> Floor {
        Floor {
            settings,
            layout,
            fence: Fence::new(board_count),
            frames: BTreeMap::new(),
            touched: BTreeSet::new(),
            alarms: Default::default(),
            asked: BTreeMap::new(),
            under_way: BTreeMap::new(),
            boots: BTreeMap::new(),
            consulted: BTreeMap::new(),
            waiting: BTreeMap::new(),
            numbers: 0,
            steps: VecDeque::new(),
            outcomes: BTreeMap::new(),
        }
    }

    /// An order arrives.
    pub fn handle_order(&mut self, now: Moment, order: &Order) {
        let Admitted { act, stale, unknown } = self.fence.admit(order);
        stale.iter().for_each(|board| self.fail(order.id, *board, "the board has seen a newer order".into()));
        unknown.iter().for_each(|board| self.fail(order.id, *board, "the machine has no such board".into()));
        let cause = Cause::Order(order.id);
        let new: Vec<_> = act.into_iter().filter(|board| self.under_way.get(board) != Some(&cause)).collect();
        for board in &new {
            self.overtake(*board, order.id);
        }
        let job = if order.mates.is_empty() { &order.boards } else { &order.mates };
        let (goal, mut cuts, boots) = match &order.action {
            Action::PowerOff => (Goal::Off, BTreeMap::new(), false),
            Action::Clean => (Goal::Dark, BTreeMap::new(), false),
            Action::Test => (Goal::Tested, BTreeMap::new(), false),
            Action::Prepare { kind, args } => (Goal::Ready, self.cuts(job), boots(kind, args)),
        };
        if boots {
            self.expect_boot(cause, job.clone(), &new);
        }
        for board in new {
            let links = cuts.remove(&board).unwrap_or_default();
            self.begin(now, cause, goal, board, links);
        }
        self.settle_boot(cause);
    }

    /// A consultation arrives; its answer will carry the ticket, which must be new.
    pub fn handle_consult(&mut self, now: Moment, ticket: u64, at: &Consultation, what: &Consult) {
        let board = at.board.board;
        if let Some(error) = self.objection(at, what) {
            return self.answer(ticket, Err(error));
        }
        let Some((seat, number)) = self.seat(board).map(|seat| (seat, seat.board)) else {
            return self.answer(ticket, Err(ControllerError::Unable(no_bmp(board, &self.layout))));
        };
        let question = match what {
            Consult::Identify { on } => Question::Light { board: number, on: *on },
            Consult::ReadSensors => Question::Sensors { board: number },
            Consult::PowerCycle => return self.cycle(now, ticket, at),
            // Refused above.
            Consult::Send { .. } => return,
        };
        self.consulted.insert(ticket, board);
        *self.waiting.entry(board).or_default() += 1;
        let deadline = now.plus_ms(CONSULT_MS_MAX);
        if let Some(frame) = self.frame(seat.frame) {
            frame.ask(now, deadline, ticket, question);
        }
    }

    /// What came of a question: the body of the reply, or why there is none.
    pub fn handle_reply(&mut self, now: Moment, number: u64, reply: Result<Vec<u8>, Trouble>) {
        let Some(id) = self.asked.remove(&number) else { return };
        if let Some(frame) = self.frames.get_mut(&id) {
            frame.handle(now, &self.settings, reply);
        }
        self.touched.insert(id);
    }

    /// What came of a boot: who answers, and which chips of the job are there; or why there is nothing.
    pub fn handle_boot(&mut self, number: u64, came: Result<Booted, Arc<str>>) {
        let found = self.boots.iter().find(|(_, boot)| boot.running == Some(number));
        let Some(cause) = found.map(|(cause, _)| *cause) else { return };
        let Some(boot) = self.boots.remove(&cause) else { return };
        let Some(layout) = &self.layout else { return };
        let mut failures = BTreeMap::new();
        match came {
            // Without a board at the corner another one has to stand for it: a job that was not booted must not be ready.
            Err(why) => {
                let root = layout.root(&boot.job).filter(|root| boot.on.contains(root));
                failures.extend(root.or_else(|| boot.on.first().copied()).map(|board| (board, why)));
            }
            Ok(booted) => {
                self.steps.push_back(Step::Say(format!("{cause}: booted, {} answers", booted.release)));
                if let Some(geometry) = layout.geometry(&boot.job) {
                    let min = self.settings.chips_per_board_min;
                    failures = booting::boards_without_chips(&geometry, &booted.chips, min);
                }
            }
        }
        for board in boot.on {
            let outcome = failures.remove(&board).map_or(Ok(()), Err);
            self.conclude(board, cause, outcome);
        }
    }

    /// The next thing to do by now.
    pub fn poll(&mut self, now: Moment) -> Option<Step> {
        if let Some(step) = self.steps.pop_front() {
            return Some(step);
        }
        while let Some((_, id)) = self.alarms.0.first().copied().filter(|(at, _)| *at <= now) {
            self.set_alarm(id, None);
            self.touched.insert(id);
        }
        while let Some(id) = self.touched.pop_first() {
            self.visit(now, id);
        }
        let outcomes = std::mem::take(&mut self.outcomes).into_values().map(Step::Outcome);
        self.steps.extend(outcomes);
        self.steps.pop_front()
    }

    /// When `poll` has something next, if nothing comes before.
    pub fn wake_at(&self) -> Option<Moment> {
        self.alarms.0.first().map(|(at, _)| *at)
    }

    /// Lets time pass in a frame, takes what came to its end there, and asks what is next.
    fn visit(&mut self, now: Moment, id: FrameId) {
        if let Some(frame) = self.frames.get_mut(&id) {
            frame.expire(now, &self.settings);
        }
        let question = self.question(now, id);
        self.collect(id);
        self.steps.extend(question);
        let wake_at = self.frames.get(&id).and_then(Frame::wake_at);
        self.set_alarm(id, wake_at);
    }

    fn set_alarm(&mut self, id: FrameId, at: Option<Moment>) {
        let (by_time, by_frame) = &mut self.alarms;
        if let Some(before) = by_frame.remove(&id) {
            by_time.remove(&(before, id));
        }
        if let Some(at) = at {
            by_time.insert((at, id));
            by_frame.insert(id, at);
        }
    }

    fn question(&mut self, now: Moment, id: FrameId) -> Option<Step> {
        let frame = self.frames.get_mut(&id)?;
        let question = frame.next_question(now, &self.settings)?;
        let host = frame.host().clone();
        let number = self.number();
        self.asked.insert(number, id);
        Some(Step::Ask { number, frame: id, host, question })
    }

    fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    fn seat(&self, board: BoardIndex) -> Option<Seat> {
        self.layout.as_ref()?.seat(board)
    }

    fn cuts(&self, job: &[BoardIndex]) -> BTreeMap<BoardIndex, Vec<Link>> {
        self.layout.as_ref().map_or_else(BTreeMap::new, |layout| layout.cuts(job))
    }

    /// A frame, made when it is first needed.
    fn frame(&mut self, id: FrameId) -> Option<&mut Frame> {
        let host = self.layout.as_ref()?.bmp_host(id)?;
        self.touched.insert(id);
        Some(self.frames.entry(id).or_insert_with(|| Frame::new(host, id)))
    }

    fn begin(&mut self, now: Moment, cause: Cause, goal: Goal, board: BoardIndex, links: Vec<Link>) {
        self.under_way.insert(board, cause);
        let deadline = now.plus_ms(self.settings.order_ms_max);
        let seat = self.seat(board);
        let frame = seat.and_then(|seat| Some((seat.board, self.frame(seat.frame)?)));
        let Some((number, frame)) = frame else {
            let why = no_bmp(board, &self.layout);
            return self.board_ended(board, cause, Err(why));
        };
        let is_off = frame.is_off(number);
        frame.begin(number, Work::new(cause, goal, links, now, deadline, is_off));
    }

    /// Whatever is under way at a board gives way to an order.
    fn overtake(&mut self, board: BoardIndex, by: OrderId) {
        let Some(cause) = self.under_way.remove(&board) else { return };
        if let Some(seat) = self.seat(board)
            && let Some(frame) = self.frames.get_mut(&seat.frame)
        {
            frame.leave(seat.board);
            self.touched.insert(seat.frame);
        }
        match cause {
            Cause::Order(older) => self.fail(older, board, format!("overtaken by order {by}").into()),
            Cause::Cycle(ticket) => self.answer(ticket, Err(ControllerError::Stale)),
        }
        if let Some(boot) = self.boots.get_mut(&cause) {
            boot.waiting.remove(&board);
            boot.on.remove(&board);
            boot.called_off = true;
            let running = boot.running.take();
            self.steps.extend(running.map(|number| Step::StopBoot { number }));
            self.settle_boot(cause);
        }
    }

    /// Boards of an order that boots are on their way. An order that is given again without all boards of its job does not
    /// boot: the others have answered, so that something was wrong.
    fn expect_boot(&mut self, cause: Cause, job: Arc<[BoardIndex]>, boards: &[BoardIndex]) {
        if boards.is_empty() {
            return;
        }
        let called_off = boards.len() < job.len();
        let waiting = boards.iter().copied().collect();
        let boot = Boot { job, waiting, on: BTreeSet::new(), called_off, running: None };
        self.boots.insert(cause, boot);
    }

    /// Boots when all boards are on, or lets those that are go when there will be no boot.
    fn settle_boot(&mut self, cause: Cause) {
        let Some(boot) = self.boots.get_mut(&cause) else { return };
        if boot.called_off {
            let on = std::mem::take(&mut boot.on);
            if boot.waiting.is_empty() {
                self.boots.remove(&cause);
            }
            on.into_iter().for_each(|board| self.conclude(board, cause, Ok(())));
        } else if boot.waiting.is_empty() && boot.running.is_none() {
            self.begin_boot(cause);
        }
    }

    fn begin_boot(&mut self, cause: Cause) {
        let number = self.number();
        let (Some(boot), Some(layout)) = (self.boots.get_mut(&cause), &self.layout) else { return };
        boot.running = Some(number);
        let (root, geometry) = (layout.root(&boot.job), layout.geometry(&boot.job));
        let host = root.map_or_else(|| "".into(), |root| layout.board_host(root));
        match geometry.filter(|_| !host.is_empty()) {
            Some(job) => self.steps.push_back(Step::Boot { number, host, job }),
            None => self.handle_boot(
                number,
                Err("the board at the job's corner has no host, so it cannot be booted".into()),
            ),
        }
    }

    /// Takes what came to its end in a frame.
    fn collect(&mut self, id: FrameId) {
        while let Some(ended) = self.frames.get_mut(&id).and_then(Frame::poll) {
            match ended {
                Ended::Said(text) => self.steps.push_back(Step::Say(text)),
                Ended::Asked { ticket, answer } => self.consult_ended(ticket, answer),
                Ended::Work { board, cause, outcome } => {
                    let seat = Seat { frame: id, board };
                    let board = self.layout.as_ref().and_then(|layout| layout.board_at(seat));
                    if let Some(board) = board {
                        self.board_ended(board, cause, outcome);
                    }
                }
            }
        }
    }

    /// The work at a board is over; if it is to be booted, that comes next.
    fn board_ended(&mut self, board: BoardIndex, cause: Cause, outcome: Result<(), Arc<str>>) {
        let Some(boot) = self.boots.get_mut(&cause) else { return self.conclude(board, cause, outcome) };
        boot.waiting.remove(&board);
        match outcome {
            Ok(()) => drop(boot.on.insert(board)),
            Err(why) => {
                boot.called_off = true;
                self.conclude(board, cause, Err(why));
            }
        }
        self.settle_boot(cause);
    }

    /// All is over at a board.
    fn conclude(&mut self, board: BoardIndex, cause: Cause, outcome: Result<(), Arc<str>>) {
        self.under_way.remove(&board);
        match (cause, outcome) {
            (Cause::Order(order), Ok(())) => self.outcome(order).obeyed.push(board),
            (Cause::Order(order), Err(why)) => self.fail(order, board, why),
            (Cause::Cycle(ticket), Ok(())) => self.answer(ticket, Ok(Reading::Done)),
            (Cause::Cycle(ticket), Err(why)) => self.answer(ticket, Err(ControllerError::Failed(why))),
        }
    }

    fn consult_ended(&mut self, ticket: u64, answer: Result<Reading, ControllerError>) {
        if let Some(board) = self.consulted.remove(&ticket)
            && let Some(count) = self.waiting.get_mut(&board)
        {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.waiting.remove(&board);
            }
        }
        self.answer(ticket, answer);
    }

    fn objection(&self, at: &Consultation, what: &Consult) -> Option<ControllerError> {
        let board = at.board.board;
        if !self.fence.has(board) {
            return Some(ControllerError::Unable("the machine has no such board".into()));
        }
        // Whoever asked for a power cycle knew of no newer order: after that one, even of the same grant, the board must not
        // come on again.
        let outdated = *what == Consult::PowerCycle && at.order < self.fence.newest(board);
        if outdated || !self.fence.allows(at) {
            return Some(ControllerError::Stale);
        }
        if matches!(what, Consult::Send { .. }) {
            let why = "a board behind a BMP has no agent that takes commands";
            return Some(ControllerError::Unable(why.into()));
        }
        let switching = *what == Consult::PowerCycle && self.under_way.contains_key(&board);
        let waiting = self.waiting.get(&board).copied().unwrap_or(0);
        (switching || waiting >= ORDERS_PER_BOARD_MAX).then_some(ControllerError::Busy)
    }

    /// Off, on, looked at, parted from the boards of others; and booted, if that is what the job's one board was.
    fn cycle(&mut self, now: Moment, ticket: u64, at: &Consultation) {
        let board = at.board.board;
        let (job, booted) = match &at.held {
            Some(held) => (held.boards.clone(), boots(&held.kind, &held.args)),
            None => (Arc::from([board]), false),
        };
        if booted && job.len() > 1 {
            let why = "the boards of this job were booted together, and one of them cannot be booted alone; switch the job \
                       off and on instead";
            return self.answer(ticket, Err(ControllerError::Unable(why.into())));
        }
        let cause = Cause::Cycle(ticket);
        let links = self.cuts(&job).remove(&board).unwrap_or_default();
        if booted {
            self.expect_boot(cause, job, &[board]);
        }
        self.begin(now, cause, Goal::Ready, board, links);
    }

    fn answer(&mut self, ticket: u64, answer: Result<Reading, ControllerError>) {
        self.steps.push_back(Step::Answer { ticket, answer });
    }

    fn fail(&mut self, order: OrderId, board: BoardIndex, why: Arc<str>) {
        self.outcome(order).failed.push((board, why));
    }

    /// What is known of an order and was not told yet.
    fn outcome(&mut self, order: OrderId) -> &mut Outcome {
        let new = || Outcome { order, obeyed: Vec::new(), failed: Vec::new() };
        self.outcomes.entry(order).or_insert_with(new)
    }
}

/// Whether boards that are prepared as this kind, with these arguments, are booted.
fn boots(kind: &str, args: &str) -> bool {
    kind == crate::lab::demand::DEFAULT_KIND && asks_for_boot(args)
}

fn no_bmp(board: BoardIndex, layout: &Option<Layout>) -> Arc<str> {
    let text = layout.as_ref().map_or_else(|| board.0.to_string(), |layout| layout.text(board));
    format!("no BMP is configured for the frame of the board {text}").into()
}
