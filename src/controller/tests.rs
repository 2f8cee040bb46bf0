//! Controllers behind their handles: tasks in, outcomes and answers out, and what remains when the handle goes.

use super::*;
use crate::clock::{Clock, Moment};
use crate::lab::effect::Action;
use crate::lab::fact::{BoardRef, Grant};
use async_channel::Receiver;
use async_std::task::block_on;
use futures_channel::oneshot;
use std::time::Duration;

/// Order 0 of a grant, to prepare boards.
pub(super) fn order(grant: u64, boards: &[u32]) -> Order {
    let action = Action::Prepare { kind: "spinnaker".into(), args: "{}".into() };
    let id = OrderId { grant: Grant(grant), step: 0 };
    Order {
        id,
        machine: "m".into(),
        action,
        boards: boards.iter().copied().map(BoardIndex).collect(),
        mates: [].into(),
        job: None,
    }
}

/// Whoever waits longer than this for something that should come at once waits in vain.
const PATIENCE: Duration = Duration::from_secs(60);

/// Waits for something that should come at once.
pub(super) fn soon<T>(what: impl Future<Output = T>) -> T {
    block_on(async_std::future::timeout(PATIENCE, what)).expect("nothing came")
}

/// A controller under test, its clock and what it leaves.
pub(super) struct Bench {
    pub(super) handle: Option<Handle>,
    pub(super) clock: Clock,
    pub(super) outcomes: Receiver<Outcome>,
}

impl Bench {
    pub(super) fn new(settings: ControllerSettings, board_count: u32) -> Bench {
        let clock = Clock::moved(Moment(1_000_000));
        let (left, outcomes) = async_channel::unbounded();
        let boards = Boards::named((0..board_count).map(|number| format!("b{number}")));
        let leave = move |outcome| drop(left.try_send(outcome));
        let handle = Some(start("m".into(), settings, boards, clock.clone(), leave));
        Bench { handle, clock, outcomes }
    }

    fn give(&self, task: Task) {
        self.handle.as_ref().unwrap().give(task);
    }

    pub(super) fn order(&self, order: Order) {
        self.give(Task::Order(order));
    }

    pub(super) fn ask(&self, grant: u64, board: u32, what: Consult) -> oneshot::Receiver<Answer> {
        let (answer, answered) = oneshot::channel();
        let board = BoardRef { machine: "m".into(), board: BoardIndex(board) };
        let at = Consultation { board, order: OrderId { grant: Grant(grant), step: 0 }, held: None };
        self.give(Task::Consult { at, what, answer });
        answered
    }

    pub(super) fn answer(&self, grant: u64, board: u32, what: Consult) -> Answer {
        soon(self.ask(grant, board, what)).unwrap()
    }

    pub(super) fn outcome(&self) -> Outcome {
        soon(self.outcomes.recv()).unwrap()
    }
}

impl Drop for Bench {
    /// Waits until the controller has ended, and its programs with it.
    fn drop(&mut self) {
        if let Some(handle) = self.handle.take() {
            soon(handle.stop());
        }
    }
}

pub(super) type Answer = Result<Reading, ControllerError>;

const IDENTIFY: Consult = Consult::Identify { on: None };

fn simulated(settings: SimulatedSettings, board_count: u32) -> Bench {
    Bench::new(ControllerSettings::Simulated(settings), board_count)
}

fn obeyed(grant: u64, boards: &[u32]) -> Outcome {
    let order = order(grant, boards);
    Outcome { order: order.id, obeyed: order.boards.to_vec(), failed: vec![] }
}

#[test]
fn simulated_boards_obey_when_the_clock_says_so() {
    let bench = simulated(SimulatedSettings { prepare_ms: 100, ..Default::default() }, 4);
    bench.order(order(1, &[0, 1]));
    assert_eq!(bench.answer(1, 0, IDENTIFY), Ok(Reading::Done), "and by now the order was taken too");
    bench.clock.advance(99);
    assert_eq!(bench.answer(1, 0, IDENTIFY), Ok(Reading::Done));
    assert!(bench.outcomes.is_empty());
    bench.order(order(2, &[2]));
    assert_eq!(bench.answer(2, 2, IDENTIFY), Ok(Reading::Done));
    bench.clock.advance(1);
    assert_eq!(bench.outcome(), obeyed(1, &[0, 1]));
    bench.clock.advance(99);
    assert_eq!(bench.outcome(), obeyed(2, &[2]));
}

#[test]
fn a_controller_whose_boards_are_stuck_delays_no_other() {
    let stuck_boards = (0..100).map(BoardIndex).collect();
    let stuck = simulated(SimulatedSettings { stuck_boards, ..Default::default() }, 100);
    let slow = simulated(SimulatedSettings { prepare_ms: u64::MAX, ..Default::default() }, 100);
    let quick = simulated(SimulatedSettings::default(), 100);
    let all: Vec<u32> = (0..100).collect();
    let silent: Vec<_> = all.iter().map(|board| stuck.ask(0, *board, Consult::ReadSensors)).collect();
    stuck.order(order(1, &all));
    slow.order(order(1, &all));
    quick.order(order(1, &all));
    assert_eq!(quick.outcome(), obeyed(1, &all));
    assert!(stuck.outcomes.is_empty() && slow.outcomes.is_empty());
    let unknown = stuck.answer(0, 100, IDENTIFY);
    assert!(
        matches!(unknown, Err(ControllerError::Unable(_))),
        "and by now all before was taken: {unknown:?}"
    );
    stuck.clock.advance(simulated::SILENCE_MS_MAX);
    for answered in silent {
        assert_eq!(soon(answered).unwrap(), Err(ControllerError::Silent));
    }
}

#[test]
fn without_its_handle_a_controller_ends_and_leaves_nobody_waiting() {
    let mut bench =
        simulated(SimulatedSettings { stuck_boards: vec![BoardIndex(0)], ..Default::default() }, 1);
    let tasks = bench.handle.as_ref().unwrap().tasks.clone();
    let unanswered = bench.ask(0, 0, IDENTIFY);
    drop(bench.handle.take());
    assert!(soon(unanswered).is_err());
    assert!(soon(bench.outcomes.recv()).is_err(), "what came of orders goes nowhere any more");
    assert!(tasks.try_send(Task::Order(order(1, &[0]))).is_err());
}

#[test]
fn a_controller_can_be_stopped_and_waited_for() {
    let mut bench = simulated(SimulatedSettings::default(), 1);
    soon(bench.handle.take().unwrap().stop());
    assert!(bench.outcomes.is_closed());
}

#[test]
fn thirty_thousand_boards_are_one_order_and_one_outcome() {
    let bench = simulated(SimulatedSettings { prepare_ms: 10, ..Default::default() }, 30_000);
    let all: Vec<u32> = (0..30_000).collect();
    bench.order(order(1, &all));
    bench.order(order(1, &all));
    bench.order(order(2, &all));
    assert_eq!(bench.answer(2, 0, IDENTIFY), Ok(Reading::Done));
    bench.clock.advance(10);
    assert_eq!(bench.outcome().failed.len(), 30_000);
    assert_eq!(bench.outcome(), obeyed(2, &all));
}
