//! Boards that a program of the operator's makes obey: one run for each board of an order, and one for each
//! consultation.
//!
//! `call` says how the program is called. Exit status 0 means that the board obeyed; any other that it failed,
//! and the last line the program wrote to its standard error is the reason. What it writes goes to the log, line
//! by line. For `sensors` it prints a JSON object of numbers, for `send` what the board said. A program that
//! takes longer than its time limit is killed with all it has started, and so is one whose order is overtaken.
//! No shell is involved unless the operator names one.
//!
//! Read `lineup` first (who runs when), then `call` and `output`, then `program` (one run), then `Office` here.
//!
//! What is deliberately not here: what boards are, and what a failure means.

pub mod call;
mod lineup;
mod output;
mod program;
#[cfg(test)]
mod tests;

use super::driver::{Answers, Outcomes, Woken, wait};
use super::{Boards, CommandSettings, ControllerError, Outcome, Reading, Task};
use crate::allocator::BoardIndex;
use crate::clock::Clock;
use crate::lab::command::Consult;
use crate::lab::fact::{MachineName, OrderId};
use async_channel::Receiver;
use call::Call;
use futures_channel::oneshot;
use futures_util::future::{self, BoxFuture, Either, FutureExt};
use futures_util::stream::{FuturesUnordered, StreamExt};
use lineup::{Errand, Lineup, Step};
use program::{End, Exited, Stream};
use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;

/// So long a killed program may take to be gone, before its board goes on without it.
const GONE_MS_MAX: u64 = 5_000;

/// Where errands are given to programs, and their ends to those who wait for them.
pub(super) struct Office<F> {
    /// All runs; dropping one kills its program.
    runs: FuturesUnordered<BoxFuture<'static, (u64, Ended)>>,
    machine: MachineName,
    settings: CommandSettings,
    boards: Boards,
    clock: Clock,
    outcomes: F,
    answers: Answers,
    lineup: Lineup,
    /// How to stop each run.
    stops: BTreeMap<u64, oneshot::Sender<()>>,
}

/// How an errand ended: with what the program said, or not well.
type Ended = Result<Exited, NotExited>;

/// Why a program did not end by itself.
enum NotExited {
    /// A newer order overtook it, or the controller ends; nobody wants to know.
    Overtaken,
    /// It took too long.
    TookTooLong,
    /// It could not be started.
    NotStarted(Arc<str>),
}

impl NotExited {
    /// What the log says when a program is killed because of it.
    fn sentence(&self) -> &'static str {
        match self {
            NotExited::Overtaken => {
                "the program is killed: a newer order overtook it, or its controller ends"
            }
            NotExited::TookTooLong => "the program is killed: it took longer than its time limit",
            NotExited::NotStarted(_) => "the program was not started",
        }
    }
}

impl<F: Outcomes> Office<F> {
    /// An office without errands.
    pub(super) fn new(
        machine: MachineName,
        settings: CommandSettings,
        boards: Boards,
        clock: Clock,
        outcomes: F,
        answers: Answers,
    ) -> Office<F> {
        let lineup = Lineup::new(boards.count, settings.parallel_max);
        let (runs, stops) = (FuturesUnordered::new(), BTreeMap::new());
        Office { runs, machine, settings, boards, clock, outcomes, answers, lineup, stops }
    }

    /// Works until the handle is gone.
    pub(super) async fn run(mut self, tasks: Receiver<Task>) {
        loop {
            let mut ended = Vec::new();
            match wait(&tasks, next(&mut self.runs)).await {
                Woken::Task(task) => self.take(task),
                Woken::News(end) => ended.push(end),
                Woken::End => return self.end().await,
            }
            while let Some(Some(end)) = self.runs.next().now_or_never() {
                ended.push(end);
            }
            self.report(ended);
            while let Some(step) = self.lineup.poll() {
                self.follow(step);
            }
        }
    }

    /// Kills all programs, and waits until they are gone.
    async fn end(mut self) {
        self.stops.clear();
        while self.runs.next().await.is_some() {}
    }

    fn take(&mut self, task: Task) {
        match task {
            Task::Order(order) => self.lineup.handle_order(order),
            Task::Consult { at, what, answer } => {
                let ticket = self.answers.keep(answer);
                self.lineup.handle_consult(ticket, &at, what);
            }
        }
    }

    /// Runs ended: says so to those who wait, once for all boards of an order.
    fn report(&mut self, ended: Vec<(u64, Ended)>) {
        let mut outcomes: BTreeMap<OrderId, Outcome> = BTreeMap::new();
        for (run, end) in ended {
            self.stops.remove(&run);
            let Some((board, errand)) = self.lineup.handle_end(run) else { continue };
            match errand {
                Errand::Consult { ticket, what, .. } => self.answers.give(ticket, self.read(&what, end)),
                Errand::Order(order) => {
                    let new = || Outcome { order: order.id, obeyed: Vec::new(), failed: Vec::new() };
                    let outcome = outcomes.entry(order.id).or_insert_with(new);
                    match self.failure(end) {
                        None => outcome.obeyed.push(board),
                        Some(why) => outcome.failed.push((board, why)),
                    }
                }
            }
        }
        outcomes.into_values().for_each(&self.outcomes);
    }

    /// What a consultation came to.
    fn read(&self, what: &Consult, end: Ended) -> Result<Reading, ControllerError> {
        match end {
            Err(NotExited::TookTooLong) => Err(ControllerError::Silent),
            Err(NotExited::Overtaken) => Err(ControllerError::Stale),
            Ok(exited) if exited.status.success() => match exited.stdout.whole() {
                Some(output) => call::reading(what, output),
                None => Err(ControllerError::Failed(too_much())),
            },
            end => Err(ControllerError::Failed(self.failure(end).unwrap_or_default())),
        }
    }

    /// Why the board did not obey, if it did not.
    fn failure(&self, end: Ended) -> Option<Arc<str>> {
        match end {
            Ok(exited) if exited.status.success() => None,
            Ok(exited) => Some(match exited.stderr.last_line() {
                Some(line) => line.into(),
                None => format!("the controller's program failed with {}", exited.status).into(),
            }),
            Err(NotExited::Overtaken) => Some("overtaken".into()),
            Err(NotExited::TookTooLong) => {
                let limit_ms = self.settings.time_limit_ms;
                Some(format!("the controller's program took longer than {limit_ms} ms and was killed").into())
            }
            Err(NotExited::NotStarted(why)) => Some(why),
        }
    }

    fn follow(&mut self, step: Step) {
        match step {
            Step::Begin { run, board, errand } => self.begin(run, board, errand),
            Step::Stop { run } => {
                if let Some(stop) = self.stops.remove(&run) {
                    stop.send(()).ok();
                }
            }
            Step::Refuse { order, boards, why } => {
                let failed = boards.into_iter().map(|board| (board, why.clone())).collect();
                (self.outcomes)(Outcome { order, obeyed: Vec::new(), failed });
            }
            Step::Answer { ticket, error } => self.answers.give(ticket, Err(error)),
        }
    }

    fn begin(&mut self, run: u64, board: BoardIndex, errand: Errand) {
        let (stop, stopped) = oneshot::channel();
        self.stops.insert(run, stop);
        let call = Call::new(&self.settings, &self.machine, &self.boards, board, &errand);
        let label = Label {
            machine: self.machine.clone(),
            board: self.boards.text(board),
            order: errand.order(),
            action: call::action(&errand),
        };
        let ended = attend(call, label, self.settings.time_limit_ms, self.clock.clone(), stopped);
        self.runs.push(ended.map(move |ended| (run, ended)).boxed());
    }
}

/// What every line of the log says about a run.
struct Label {
    machine: MachineName,
    board: Arc<str>,
    order: OrderId,
    action: &'static str,
}

impl Label {
    fn log(&self, stream: Stream, line: &str) {
        let Label { machine, board, order, action } = self;
        match stream {
            Stream::Out => tracing::info!(%machine, %board, %order, action, "{line}"),
            Stream::Err => tracing::warn!(%machine, %board, %order, action, "{line}"),
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

/// One errand from its beginning to its end.
async fn attend(
    call: Call,
    label: Label,
    limit_ms: u64,
    clock: Clock,
    stopped: oneshot::Receiver<()>,
) -> Ended {
    let limit = clock.sleep_until(clock.now().plus_ms(limit_ms));
    let stop = async {
        match future::select(stopped, pin!(limit)).await {
            Either::Left(_) => NotExited::Overtaken,
            Either::Right(_) => NotExited::TookTooLong,
        }
    };
    match program::run(call, stop, &|stream, line| label.log(stream, line)).await {
        End::Exited(exited) => Ok(exited),
        End::Stopped(reason, remains) => {
            label.log(Stream::Err, reason.sentence());
            let patience = clock.sleep_until(clock.now().plus_ms(GONE_MS_MAX));
            if let Either::Right(_) = future::select(pin!(remains.gone()), pin!(patience)).await {
                label.log(Stream::Err, "the program was killed, and is not gone");
            }
            Err(reason)
        }
        End::Broken(error) => {
            label.log(Stream::Err, &format!("the program cannot be run: {error}"));
            Err(NotExited::NotStarted(format!("the controller's program cannot be run: {error}").into()))
        }
    }
}

fn too_much() -> Arc<str> {
    format!("the controller's program said more than {} bytes", output::KEPT_BYTES_MAX).into()
}
