//! Gives every controller a task of its own, so that a slow one delays nobody else.
//!
//! `start` is all there is to know: tasks go in through the handle and never wait, outcomes come out through
//! the function the caller gives, answers through the channel each consultation brings along. The end of the
//! handle is the end of the controller.
//!
//! What is deliberately not here: how each kind of controller obeys.

use super::agent::{self, Expected, Hub, Report, Serial};
use super::command::Office;
use super::simulated::{Simulated, SimulatedNews};
use super::{Boards, ControllerError, ControllerSettings, Outcome, Reading, Task};
use crate::allocator::BoardIndex;
use crate::clock::{Clock, Moment};
use crate::lab::fact::MachineName;
use async_channel::{Receiver, Sender};
use async_std::task::JoinHandle;
use futures_channel::oneshot;
use futures_util::future::{self, Either};
use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;

/// Where a controller leaves what came of its orders. It is called from the controller's task and must not wait.
pub trait Outcomes: Fn(Outcome) + Send + Sync + 'static {}

impl<F: Fn(Outcome) + Send + Sync + 'static> Outcomes for F {}

/// The way to a controller; when it is dropped the controller ends, and so do the programs it has started.
#[derive(Debug)]
pub struct Handle {
    /// Where tasks go in. It takes all and never waits: the controller takes them out at once and holds no more
    /// than it has boards, and a few consultations for each.
    pub tasks: Sender<Task>,
    /// The controller's task.
    ended: Option<JoinHandle<()>>,
    /// The hub of its agents, if agents have the boards.
    pub hub: Option<Arc<Hub>>,
}

impl Handle {
    /// Gives the controller something to do; after its end, nothing comes of it.
    pub fn give(&self, task: Task) {
        self.tasks.try_send(task).ok();
    }

    /// Ends the controller and waits until it has.
    pub async fn stop(mut self) {
        self.tasks.close();
        if let Some(ended) = self.ended.take() {
            ended.await;
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.tasks.close();
    }
}

/// Starts the controller of a machine whose boards agents have, around its hub.
pub fn start_hub(hub: Arc<Hub>) -> Handle {
    let (tasks, arriving) = async_channel::unbounded();
    let ended = async_std::task::spawn(hub.clone().run(arriving));
    Handle { tasks, ended: Some(ended), hub: Some(hub) }
}

/// Starts the controller of a machine. One whose boards agents have is started with `start_hub`: here nobody could join it,
/// and every order fails.
pub fn start(
    machine: MachineName,
    settings: ControllerSettings,
    boards: Boards,
    clock: Clock,
    outcomes: impl Outcomes,
) -> Handle {
    let (tasks, arriving) = async_channel::unbounded();
    let answers = Answers::default();
    let ended = match settings {
        ControllerSettings::Simulated(settings) => {
            let play = Play { boards: Simulated::new(settings, boards), clock, outcomes, answers };
            async_std::task::spawn(play.run(arriving))
        }
        ControllerSettings::Command(settings) => {
            let office = Office::new(machine, settings, boards, clock, outcomes, answers);
            async_std::task::spawn(office.run(arriving))
        }
        ControllerSettings::Agent(settings) => {
            let hub = Hub::new(settings, clock, Arc::new(Alone { boards, outcomes }));
            async_std::task::spawn(hub.run(arriving))
        }
    };
    Handle { tasks, ended: Some(ended), hub: None }
}

/// What a controller's task wakes up for.
pub(super) enum Woken<T> {
    /// There is something to do.
    Task(Task),
    /// What it waited for beside tasks has come.
    News(T),
    /// The handle is gone.
    End,
}

/// Waits for the next task or for other news. What still waits in the channel when the handle goes is left
/// undone.
pub(super) async fn wait<T>(tasks: &Receiver<Task>, news: impl Future<Output = T>) -> Woken<T> {
    match future::select(pin!(tasks.recv()), pin!(news)).await {
        Either::Left((Ok(task), _)) if !tasks.is_closed() => Woken::Task(task),
        Either::Left(_) => Woken::End,
        Either::Right((news, _)) => Woken::News(news),
    }
}

/// Returns at that moment; never, if there is none.
pub(super) async fn sleep_until(clock: &Clock, until: Option<Moment>) {
    match until {
        Some(until) => clock.sleep_until(until).await,
        None => future::pending().await,
    }
}

/// A lab that knows of no agents.
struct Alone<F> {
    boards: Boards,
    outcomes: F,
}

impl<F: Outcomes> agent::Lab for Alone<F> {
    fn serial(&self, board: BoardIndex) -> Serial {
        self.boards.text(board)
    }

    fn expected(&self, _: &Serial) -> Option<Expected> {
        None
    }

    fn awaited(&self) -> Vec<Serial> {
        Vec::new()
    }

    fn report(&self, report: Report) {
        if let Report::Outcome(outcome) = report {
            (self.outcomes)(outcome);
        }
    }

    fn waiting(&self) -> usize {
        0
    }
}

/// Simulated boards with a clock.
struct Play<F> {
    boards: Simulated,
    clock: Clock,
    outcomes: F,
    answers: Answers,
}

impl<F: Outcomes> Play<F> {
    async fn run(mut self, tasks: Receiver<Task>) {
        loop {
            match wait(&tasks, sleep_until(&self.clock, self.boards.wake_at())).await {
                Woken::Task(task) => self.take(task),
                Woken::News(()) => {}
                Woken::End => return,
            }
            self.give_news();
        }
    }

    fn take(&mut self, task: Task) {
        let now = self.clock.now();
        match task {
            Task::Order(order) => self.boards.handle_order(now, &order),
            Task::Consult { at, what, answer } => {
                let ticket = self.answers.keep(answer);
                self.boards.handle_consult(now, ticket, &at, &what);
            }
        }
    }

    fn give_news(&mut self) {
        let now = self.clock.now();
        while let Some(news) = self.boards.poll(now) {
            match news {
                SimulatedNews::Outcome(outcome) => (self.outcomes)(outcome),
                SimulatedNews::Answer { ticket, answer } => self.answers.give(ticket, answer),
            }
        }
    }
}

/// Who waits for an answer.
#[derive(Debug, Default)]
pub(super) struct Answers {
    waiting: BTreeMap<u64, oneshot::Sender<Result<Reading, ControllerError>>>,
    tickets: u64,
}

impl Answers {
    /// Enters one who waits, under a new ticket.
    pub(super) fn keep(&mut self, answer: oneshot::Sender<Result<Reading, ControllerError>>) -> u64 {
        self.tickets += 1;
        self.waiting.insert(self.tickets, answer);
        self.tickets
    }

    /// Gives an answer to the one with this ticket, if it still waits.
    pub(super) fn give(&mut self, ticket: u64, answer: Result<Reading, ControllerError>) {
        if let Some(waiting) = self.waiting.remove(&ticket) {
            waiting.send(answer).ok();
        }
    }
}
