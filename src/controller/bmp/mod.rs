//! SpiNNaker boards, switched through the BMPs of their frames. `protocol-spec/controllers.md` says what goes over the wire.
//!
//! In reading order: `layout` is where boards stand, `question` what a BMP can be asked. `work` is what is to be done to one
//! board, stage by stage; `frame` has one conversation with one BMP for all its boards; `floor` takes orders and consultations
//! and has all frames of the machine. `sensors` names readings. `booting` counts the chips of a booted job. All that is pure:
//! time and replies come in. `wire` and `boot` carry it to real hosts, and `Room` here runs it.
//!
//! A BMP that says nothing delays nobody but its own boards: each frame has its own socket and its own question under way.
//!
//! What is deliberately not here: packets (`spinnaker`), and sending them again (`connections`).

mod boot;
pub mod booting;
pub mod floor;
pub mod frame;
pub mod layout;
pub mod question;
pub mod sensors;
mod wire;
pub mod work;

#[cfg(test)]
mod tests;

use super::driver::{Answers, Outcomes, Woken, sleep_until, wait};
use super::{BmpSettings, Boards, Task};
use crate::clock::Clock;
use crate::connections::Pipeline;
use crate::lab::fact::MachineName;
use async_channel::Receiver;
use booting::Booted;
use floor::{Floor, Step};
use futures_channel::oneshot;
use futures_util::future::{self, BoxFuture, Either, FutureExt};
use futures_util::stream::{FuturesUnordered, StreamExt};
use layout::{FrameId, Layout};
use question::Trouble;
use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;

/// Where the frames of one machine meet the network.
pub(super) struct Room<F> {
    /// All questions and boots under way.
    runs: FuturesUnordered<BoxFuture<'static, Came>>,
    machine: MachineName,
    settings: Arc<BmpSettings>,
    floor: Floor,
    /// The ways to BMPs that answered, or were not asked yet; one that fell silent is looked up anew.
    lines: BTreeMap<FrameId, Pipeline>,
    /// How to give up each boot.
    stops: BTreeMap<u64, oneshot::Sender<()>>,
    clock: Clock,
    outcomes: F,
    answers: Answers,
}

/// What came from outside.
enum Came {
    /// The end of a question.
    Reply {
        number: u64,
        frame: FrameId,
        /// The way by which it went.
        line: Option<Pipeline>,
        reply: Result<Vec<u8>, Trouble>,
    },
    /// The end of a boot.
    Boot { number: u64, came: Result<Booted, Arc<str>> },
}

impl<F: Outcomes> Room<F> {
    /// Nothing under way.
    pub(super) fn new(
        machine: MachineName,
        settings: BmpSettings,
        boards: Boards,
        clock: Clock,
        outcomes: F,
        answers: Answers,
    ) -> Room<F> {
        let settings = Arc::new(settings);
        let floor = Floor::new(settings.clone(), boards.spec.and_then(Layout::new), boards.count);
        let (runs, lines, stops) = (FuturesUnordered::new(), BTreeMap::new(), BTreeMap::new());
        Room { runs, machine, settings, floor, lines, stops, clock, outcomes, answers }
    }

    /// Works until the handle is gone. Questions under way are then forgotten.
    pub(super) async fn run(mut self, tasks: Receiver<Task>) {
        loop {
            let wake_at = self.floor.wake_at();
            let news = async {
                match future::select(pin!(next(&mut self.runs)), pin!(sleep_until(&self.clock, wake_at)))
                    .await
                {
                    Either::Left((came, _)) => Some(came),
                    Either::Right(_) => None,
                }
            };
            match wait(&tasks, news).await {
                Woken::Task(task) => self.take(task),
                Woken::News(came) => came.into_iter().for_each(|came| self.hear(came)),
                Woken::End => return,
            }
            // All that is there is taken first, so that boards of one frame are switched together.
            while let Ok(task) = tasks.try_recv() {
                self.take(task);
            }
            while let Some(Some(came)) = self.runs.next().now_or_never() {
                self.hear(came);
            }
            while let Some(step) = self.floor.poll(self.clock.now()) {
                self.follow(step);
            }
        }
    }

    fn take(&mut self, task: Task) {
        let now = self.clock.now();
        match task {
            Task::Order(order) => self.floor.handle_order(now, &order),
            Task::Consult { at, what, answer } => {
                let ticket = self.answers.keep(answer);
                self.floor.handle_consult(now, ticket, &at, &what);
            }
        }
    }

    fn hear(&mut self, came: Came) {
        match came {
            Came::Reply { number, frame, line, reply } => {
                match line.filter(|_| !reply.as_ref().is_err_and(Trouble::is_silence)) {
                    Some(line) => drop(self.lines.insert(frame, line)),
                    None => drop(self.lines.remove(&frame)),
                }
                self.floor.handle_reply(self.clock.now(), number, reply);
            }
            Came::Boot { number, came } => {
                self.stops.remove(&number);
                self.floor.handle_boot(number, came);
            }
        }
    }

    fn follow(&mut self, step: Step) {
        match step {
            Step::Ask { number, frame, host, question } => {
                let (settings, clock) = (self.settings.clone(), self.clock.clone());
                let line = self.lines.get(&frame).cloned();
                let asked = async move {
                    let (line, reply) = wire::ask(line, &host, &settings, question, &clock).await;
                    Came::Reply { number, frame, line, reply }
                };
                self.runs.push(asked.boxed());
            }
            Step::Boot { number, host, job } => {
                let (stop, stopped) = oneshot::channel();
                self.stops.insert(number, stop);
                let (settings, clock) = (self.settings.clone(), self.clock.clone());
                let booted = async move {
                    let boot = boot::boot(&settings, &host, &job, &clock);
                    match future::select(pin!(boot), stopped).await {
                        Either::Left((came, _)) => Came::Boot { number, came },
                        Either::Right(_) => Came::Boot { number, came: Err("given up".into()) },
                    }
                };
                self.runs.push(booted.boxed());
            }
            Step::StopBoot { number } => drop(self.stops.remove(&number)),
            Step::Outcome(outcome) => (self.outcomes)(outcome),
            Step::Answer { ticket, answer } => self.answers.give(ticket, answer),
            Step::Say(text) => tracing::info!(machine = %self.machine, "{text}"),
        }
    }
}

/// The next run that ends; never, if there is none.
async fn next<T>(runs: &mut FuturesUnordered<BoxFuture<'static, T>>) -> T {
    match runs.next().await {
        Some(ended) => ended,
        None => future::pending().await,
    }
}
