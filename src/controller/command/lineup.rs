//! Who runs when: errands stand in line before their boards, and boards before the few places there are.
//!
//! Bring tasks in with `handle_order` and `handle_consult`, and say with `handle_end` when a run is over; take out
//! what must be done with `poll` until there is nothing. A board runs one errand at a time. A newer order
//! overtakes all that is older at its boards: what waits is refused, what runs is stopped and refused, and the
//! board's next errand begins when the stopped one is gone. So at most one order waits for a board.
//!
//! When places are short, boards with an order and boards with a consultation take turns, so that somebody who
//! asks for a temperature does not wait until a thousand boards are prepared.
//!
//! What is deliberately not here: programs and time.

use crate::allocator::BoardIndex;
use crate::controller::fence::{Admitted, Fence};
use crate::controller::{ControllerError, ORDERS_PER_BOARD_MAX};
use crate::lab::command::{Consult, Consultation};
use crate::lab::effect::Order;
use crate::lab::fact::OrderId;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// One thing to do to one board.
#[derive(Clone, Debug)]
pub enum Errand {
    /// An order, of which this board is a part.
    Order(Arc<Order>),
    /// A consultation.
    Consult {
        /// Its number among those who wait for answers.
        ticket: u64,
        /// The order under which it goes out.
        order: OrderId,
        /// What is asked.
        what: Consult,
    },
}

/// What must be done next.
#[derive(Debug)]
pub enum Step {
    /// Begin this errand, and say when it is over.
    Begin {
        /// The number of the run.
        run: u64,
        /// At which board.
        board: BoardIndex,
        /// What to do.
        errand: Errand,
    },
    /// Stop a run; it still ends, but nobody wants to know how.
    Stop {
        /// The number of the run.
        run: u64,
    },
    /// Boards do not carry out an order.
    Refuse {
        /// The order.
        order: OrderId,
        /// The boards.
        boards: Vec<BoardIndex>,
        /// Why.
        why: Arc<str>,
    },
    /// A consultation comes to nothing.
    Answer {
        /// Which one.
        ticket: u64,
        /// Why.
        error: ControllerError,
    },
}

/// The errands of one machine. Memory is bounded by the number of boards.
#[derive(Debug)]
pub struct Lineup {
    fence: Fence,
    /// How many may run at once.
    parallel_max: usize,
    /// Boards with anything to do.
    lines: BTreeMap<BoardIndex, Line>,
    /// Boards that could begin: those with an order next, and those with a consultation next when they came.
    ready: [VecDeque<BoardIndex>; 2],
    /// Which of the two goes first next time.
    turn: usize,
    /// The boards of the runs.
    runs: BTreeMap<u64, BoardIndex>,
    last_run: u64,
    /// What is known already and was not polled yet.
    steps: VecDeque<Step>,
}

/// What stands before one board.
#[derive(Debug, Default)]
struct Line {
    running: Option<Running>,
    waiting: VecDeque<Errand>,
    /// Whether the board stands in each of the two lists of `Lineup::ready`.
    listed: [bool; 2],
}

/// An errand under way.
#[derive(Debug)]
struct Running {
    run: u64,
    errand: Errand,
    /// Whether somebody still wants to know how it ends.
    counts: bool,
}

impl Errand {
    /// The order it is, or under which it goes out.
    pub fn order(&self) -> OrderId {
        match self {
            Errand::Order(order) => order.id,
            Errand::Consult { order, .. } => *order,
        }
    }

    /// Whether it is this very order.
    fn is_order(&self, id: OrderId) -> bool {
        matches!(self, Errand::Order(order) if order.id == id)
    }

    /// The place of its kind in `Lineup::ready`.
    fn kind(&self) -> usize {
        usize::from(matches!(self, Errand::Consult { .. }))
    }
}

impl Line {
    fn has_order(&self, id: OrderId) -> bool {
        let runs = self.running.as_ref().is_some_and(|running| running.counts && running.errand.is_order(id));
        runs || self.waiting.iter().any(|errand| errand.is_order(id))
    }

    fn is_ready(&self) -> bool {
        self.running.is_none() && !self.waiting.is_empty()
    }
}

impl Lineup {
    /// Nothing to do yet; no fewer than one may run at once.
    pub fn new(board_count: u32, parallel_max: usize) -> Lineup {
        Lineup {
            fence: Fence::new(board_count),
            parallel_max: parallel_max.max(1),
            lines: BTreeMap::new(),
            ready: Default::default(),
            turn: 0,
            runs: BTreeMap::new(),
            last_run: 0,
            steps: VecDeque::new(),
        }
    }

    /// An order arrives. Given again while it waits or runs, it changes nothing.
    pub fn handle_order(&mut self, order: Order) {
        let order = Arc::new(order);
        let Admitted { act, stale, unknown } = self.fence.admit(&order);
        self.refuse(order.id, stale, "the board has seen a newer order");
        self.refuse(order.id, unknown, "the machine has no such board");
        let mut overtaken = BTreeMap::new();
        for board in act {
            if self.lines.get(&board).is_some_and(|line| line.has_order(order.id)) {
                continue;
            }
            self.overtake(board, order.id, &mut overtaken);
            self.enter(board, Errand::Order(order.clone()));
        }
        for (older, boards) in overtaken {
            self.refuse(older, boards, &format!("overtaken by order {}", order.id));
        }
    }

    /// A consultation arrives; what it comes to will carry the ticket, which must be new.
    pub fn handle_consult(&mut self, ticket: u64, at: &Consultation, what: Consult) {
        let board = at.board.board;
        match self.objection(at) {
            Some(error) => self.steps.push_back(Step::Answer { ticket, error }),
            None => self.enter(board, Errand::Consult { ticket, order: at.order, what }),
        }
    }

    /// A run is over. Returns where and what it was, if somebody still wants to know how it ended.
    pub fn handle_end(&mut self, run: u64) -> Option<(BoardIndex, Errand)> {
        let board = self.runs.remove(&run)?;
        let line = self.lines.get_mut(&board)?;
        let ended = line.running.take()?;
        match line.waiting.front().map(Errand::kind) {
            Some(kind) => self.list(board, kind),
            None => drop(self.lines.remove(&board)),
        }
        ended.counts.then_some((board, ended.errand))
    }

    /// The next thing to do.
    pub fn poll(&mut self) -> Option<Step> {
        self.steps.pop_front().or_else(|| self.begin())
    }

    fn objection(&self, at: &Consultation) -> Option<ControllerError> {
        let waiting = self.lines.get(&at.board.board).map_or(0, |line| line.waiting.len());
        if !self.fence.has(at.board.board) {
            return Some(ControllerError::Unable("the machine has no such board".into()));
        }
        if !self.fence.allows(at) {
            return Some(ControllerError::Stale);
        }
        (waiting >= ORDERS_PER_BOARD_MAX).then_some(ControllerError::Busy)
    }

    fn refuse(&mut self, order: OrderId, boards: Vec<BoardIndex>, why: &str) {
        if !boards.is_empty() {
            self.steps.push_back(Step::Refuse { order, boards, why: why.into() });
        }
    }

    /// Clears a board's line of all that is older than an order; what was ordered is entered in the list.
    fn overtake(
        &mut self,
        board: BoardIndex,
        newer: OrderId,
        overtaken: &mut BTreeMap<OrderId, Vec<BoardIndex>>,
    ) {
        let Some(line) = self.lines.get_mut(&board) else { return };
        let mut gone = Vec::new();
        if let Some(running) =
            line.running.as_mut().filter(|running| running.counts && running.errand.order() < newer)
        {
            running.counts = false;
            self.steps.push_back(Step::Stop { run: running.run });
            gone.push(running.errand.clone());
        }
        let (older, kept): (VecDeque<_>, _) =
            line.waiting.drain(..).partition(|errand| errand.order() < newer);
        line.waiting = kept;
        gone.extend(older);
        for errand in gone {
            match errand {
                Errand::Order(order) => overtaken.entry(order.id).or_default().push(board),
                Errand::Consult { ticket, .. } => {
                    self.steps.push_back(Step::Answer { ticket, error: ControllerError::Stale });
                }
            }
        }
    }

    /// An errand joins a board's line: an order at its head, a consultation at its end.
    fn enter(&mut self, board: BoardIndex, errand: Errand) {
        let kind = errand.kind();
        let line = self.lines.entry(board).or_default();
        match errand {
            Errand::Order(_) => line.waiting.push_front(errand),
            Errand::Consult { .. } => line.waiting.push_back(errand),
        }
        self.list(board, kind);
    }

    /// Lists a board as ready, unless it stands there already or is not.
    fn list(&mut self, board: BoardIndex, kind: usize) {
        let Some(line) = self.lines.get_mut(&board).filter(|line| line.is_ready() && !line.listed[kind])
        else {
            return;
        };
        line.listed[kind] = true;
        self.ready[kind].push_back(board);
    }

    /// Gives the next free place to a board that is ready; one that is listed may be so no longer.
    fn begin(&mut self) -> Option<Step> {
        while self.runs.len() < self.parallel_max {
            let kind = if self.ready[self.turn].is_empty() { 1 - self.turn } else { self.turn };
            let board = self.ready[kind].pop_front()?;
            let Some(line) = self.lines.get_mut(&board) else { continue };
            line.listed[kind] = false;
            if !line.is_ready() {
                continue;
            }
            let Some(errand) = line.waiting.pop_front() else { continue };
            self.last_run += 1;
            let run = self.last_run;
            line.running = Some(Running { run, errand: errand.clone(), counts: true });
            self.turn = 1 - errand.kind();
            self.runs.insert(run, board);
            return Some(Step::Begin { run, board, errand });
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::effect::Action;
    use crate::lab::fact::{BoardRef, Grant};
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn id(grant: u64, step: u32) -> OrderId {
        OrderId { grant: Grant(grant), step }
    }

    /// A line-up, and what it said to do, one letter and a few numbers each.
    struct Stage {
        lineup: Lineup,
        tickets: u64,
    }

    impl Stage {
        fn new(board_count: u32, parallel_max: usize) -> Stage {
            Stage { lineup: Lineup::new(board_count, parallel_max), tickets: 0 }
        }

        fn order(&mut self, id: OrderId, boards: &[u32]) -> String {
            let boards = boards.iter().copied().map(BoardIndex).collect();
            self.lineup.handle_order(Order {
                id,
                machine: "m".into(),
                action: Action::Clean,
                boards,
                mates: [].into(),
                job: None,
            });
            self.steps()
        }

        fn ask(&mut self, order: OrderId, board: u32) -> String {
            self.tickets += 1;
            let at = Consultation {
                board: BoardRef { machine: "m".into(), board: BoardIndex(board) },
                order,
                held: None,
            };
            self.lineup.handle_consult(self.tickets, &at, Consult::ReadSensors);
            self.steps()
        }

        fn end(&mut self, run: u64) -> String {
            let counted = if self.lineup.handle_end(run).is_some() { "" } else { "nobody asks; " };
            format!("{counted}{}", self.steps())
        }

        fn steps(&mut self) -> String {
            let steps: Vec<_> = std::iter::from_fn(|| self.lineup.poll()).map(|step| told(&step)).collect();
            steps.join("; ")
        }
    }

    fn told(step: &Step) -> String {
        match step {
            Step::Begin { run, board, errand: Errand::Order(order) } => {
                format!("run {run}: {} at {}", order.id, board.0)
            }
            Step::Begin { run, board, errand: Errand::Consult { ticket, .. } } => {
                format!("run {run}: ask {ticket} at {}", board.0)
            }
            Step::Stop { run } => format!("stop {run}"),
            Step::Refuse { order, boards, .. } => {
                format!("refuse {order} at {:?}", boards.iter().map(|board| board.0).collect::<Vec<_>>())
            }
            Step::Answer { ticket, error } => format!("ask {ticket}: {error:?}"),
        }
    }

    #[test]
    fn few_places_are_given_in_the_order_of_arrival() {
        let mut stage = Stage::new(9, 2);
        assert_eq!(stage.order(id(1, 0), &[4, 2, 7]), "run 1: 1.0 at 4; run 2: 1.0 at 2");
        assert_eq!(stage.order(id(2, 0), &[3]), "");
        assert_eq!(stage.end(2), "run 3: 1.0 at 7");
        assert_eq!(stage.end(1), "run 4: 2.0 at 3");
        assert_eq!((stage.end(3), stage.end(4)), (String::new(), String::new()));
        assert!(stage.lineup.lines.is_empty());
    }

    #[test]
    fn a_newer_order_stops_what_runs_and_begins_when_that_is_gone() {
        let mut stage = Stage::new(9, 8);
        assert_eq!(stage.order(id(1, 0), &[0, 1]), "run 1: 1.0 at 0; run 2: 1.0 at 1");
        assert_eq!(stage.order(id(1, 1), &[1, 2]), "stop 2; refuse 1.0 at [1]; run 3: 1.1 at 2");
        assert_eq!(stage.order(id(1, 2), &[1]), "refuse 1.1 at [1]", "it was not even begun");
        assert_eq!(stage.end(2), "nobody asks; run 4: 1.2 at 1");
        assert_eq!(stage.order(id(1, 0), &[1]), "refuse 1.0 at [1]");
        assert_eq!(stage.end(1), "");
    }

    #[test]
    fn an_order_given_again_goes_on() {
        let mut stage = Stage::new(9, 1);
        assert_eq!(stage.order(id(1, 0), &[0, 1]), "run 1: 1.0 at 0");
        assert_eq!(stage.order(id(1, 0), &[0, 1]), "");
        assert_eq!(stage.end(1), "run 2: 1.0 at 1");
        assert_eq!(stage.order(id(1, 0), &[0]), "", "that was over, so it waits to be done again");
        assert_eq!(stage.end(2), "run 3: 1.0 at 0");
    }

    #[test]
    fn consultations_wait_for_their_board_and_are_overtaken_with_it() {
        let mut stage = Stage::new(9, 8);
        assert_eq!(stage.order(id(1, 0), &[0]), "run 1: 1.0 at 0");
        assert_eq!((stage.ask(id(1, 0), 0), stage.ask(id(1, 0), 0)), (String::new(), String::new()));
        assert_eq!(stage.end(1), "run 2: ask 1 at 0");
        assert_eq!(stage.order(id(1, 1), &[0]), "stop 2; ask 1: Stale; ask 2: Stale");
        assert_eq!(stage.end(2), "nobody asks; run 3: 1.1 at 0");
        assert_eq!(stage.ask(id(0, 9), 0), "ask 3: Stale");
        assert_eq!(stage.ask(id(1, 1), 9), "ask 4: Unable(\"the machine has no such board\")");
    }

    #[test]
    fn so_many_wait_for_a_board_and_the_next_is_refused() {
        let mut stage = Stage::new(1, 8);
        assert_eq!(stage.ask(id(0, 0), 0), "run 1: ask 1 at 0");
        for _ in 0..ORDERS_PER_BOARD_MAX {
            assert_eq!(stage.ask(id(0, 0), 0), "");
        }
        assert_eq!(stage.ask(id(0, 0), 0), format!("ask {}: Busy", ORDERS_PER_BOARD_MAX + 2));
    }

    #[test]
    fn who_asks_takes_turns_with_a_thousand_orders() {
        let mut stage = Stage::new(1001, 1);
        assert_eq!(stage.order(id(1, 0), &(0..1000).collect::<Vec<_>>()), "run 1: 1.0 at 0");
        stage.ask(id(1, 0), 1000);
        stage.ask(id(1, 0), 500);
        assert_eq!(stage.end(1), "run 2: ask 1 at 1000");
        assert_eq!(stage.end(2), "run 3: 1.0 at 1");
        assert_eq!(
            stage.end(3),
            "run 4: 1.0 at 500",
            "the board's own order comes before what is asked of it"
        );
    }

    /// What may happen to a line-up.
    #[derive(Clone, Debug)]
    enum Move {
        Order(u64, u32, Vec<u32>),
        Ask(u64, u32),
        End(usize),
    }

    fn moves() -> impl Strategy<Value = Vec<Move>> {
        let boards = proptest::collection::vec(0..7u32, 1..4);
        let order =
            (1..8u64, 0..3u32, boards).prop_map(|(grant, step, boards)| Move::Order(grant, step, boards));
        let ask = (0..8u64, 0..7u32).prop_map(|(grant, board)| Move::Ask(grant, board));
        proptest::collection::vec(prop_oneof![order, ask, (0..3usize).prop_map(Move::End)], 1..120)
    }

    proptest! {
        /// Never more runs than places, never two at a board; every ticket is answered once; a run that was
        /// stopped does not count; and in the end nothing is left.
        #[test]
        fn whatever_happens(moves in moves()) {
            let mut stage = Stage::new(6, 2);
            let (mut running, mut open, mut stopped) = (BTreeMap::new(), BTreeSet::new(), BTreeSet::new());
            let ends = std::iter::repeat_n(Move::End(0), 2_000);
            for (number, step) in moves.into_iter().chain(ends).enumerate() {
                match step {
                    Move::Order(grant, step, boards) => {
                        let boards = boards.into_iter().map(BoardIndex).collect();
                        let order = Order { id: id(grant, step), machine: "m".into(), action: Action::Clean, boards, mates: [].into(), job: None };
                        stage.lineup.handle_order(order);
                    }
                    Move::Ask(grant, board) => {
                        let board = BoardRef { machine: "m".into(), board: BoardIndex(board) };
                        let at = Consultation { board, order: id(grant, 0), held: None };
                        stage.lineup.handle_consult(number as u64, &at, Consult::PowerCycle);
                        open.insert(number as u64);
                    }
                    Move::End(place) => {
                        let Some(run) = running.keys().nth(place).copied() else { continue };
                        running.remove(&run);
                        let ended = stage.lineup.handle_end(run);
                        prop_assert_eq!(ended.is_none(), stopped.contains(&run));
                        if let Some((_, Errand::Consult { ticket, .. })) = ended {
                            prop_assert!(open.remove(&ticket));
                        }
                    }
                }
                while let Some(step) = stage.lineup.poll() {
                    match step {
                        Step::Begin { run, board, .. } => {
                            prop_assert!(running.values().all(|other| *other != board));
                            running.insert(run, board);
                        }
                        Step::Stop { run } => prop_assert!(stopped.insert(run)),
                        Step::Answer { ticket, .. } => prop_assert!(open.remove(&ticket)),
                        Step::Refuse { .. } => {}
                    }
                }
                prop_assert!(running.len() <= 2);
                prop_assert!(stage.lineup.ready.iter().all(|list| list.len() <= 12));
            }
            prop_assert!(running.is_empty() && open.is_empty() && stage.lineup.lines.is_empty());
        }
    }
}
