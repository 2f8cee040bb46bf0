//! The life of one board: what it was ordered, what its device is at, and the bitstreams it was given. Pure.
//!
//! ```text
//!            test, clean                    prepare
//!   resting ------------> busy  <---------------------- any
//!      ^                   |  ^
//!      |      done         |  | power_cycle: queued and running bitstreams
//!      +-------------------+  | and results that were not told are kept
//!      |                   v  |
//!   broken <-- failed --- ready --- power_off ---> off
//! ```
//!
//! A newer order takes the place of an older one, whatever that has come to; the device is told to give up, and the new one
//! begins when it has. Work has a bound; a device that does not come back from it in time has failed.

use super::kind::{self, Kind};
use super::request::Batch;
use super::task::{Action, Ask, Order};
use crate::clock::Moment;
use serde_json::{Value, json};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// Bitstreams that wait for one board.
pub const QUEUED_MAX: usize = 10_000;
/// Their bytes.
pub const QUEUED_BYTES_MAX: usize = 256 << 20;
/// A bitstream that fails so often breaks the board; the board is made ready anew in between.
pub const TRIES_MAX: u32 = 3;
/// A question is answered within this, done or not: whoever asked does not wait for longer than half a minute.
pub const ANSWER_MS_MAX: u64 = 25_000;
/// Whoever asked for a reboot hears after this that it has begun, if it is not done.
pub const REBOOT_ANSWER_MS_MAX: u64 = 5_000;
/// Bitstreams in one command.
pub const FILES_PER_COMMAND_MAX: usize = 64;

/// How boards are treated.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BoardSettings {
    /// How long loading firmware may take, or a test, each with its settling.
    pub flash_ms_max: u64,
    /// How long a bitstream may take.
    pub evaluate_ms_max: u64,
    /// Whether bitstreams must have the size that the kind's firmware needs.
    pub sizes_matter: bool,
}

/// Something a device does.
#[derive(Clone)]
pub enum Work {
    /// Load firmware and wait until it runs.
    Flash(Image),
    /// See whether the default firmware runs.
    Test,
    /// Give a bitstream to the firmware of a kind.
    Evaluate {
        /// The kind.
        kind: Arc<dyn Kind>,
        /// The bitstream.
        bitstream: Arc<[u8]>,
    },
}

/// Firmware.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Image {
    /// What boards have between jobs.
    Default,
    /// A kind's, by its name.
    Kind(&'static str),
}

/// What follows for the outside.
pub enum Deed {
    /// The device begins something; what comes of it is told with this number.
    Begin {
        /// See above.
        number: u64,
        /// What.
        work: Work,
    },
    /// The device gives up what it does.
    Cancel,
    /// An order was carried out.
    Obeyed(String),
    /// An order failed, and why.
    Failed(String, String),
    /// The board broke while nobody waited for an order.
    Broken(String),
    /// What is said to a question.
    Answer(u64, Result<Value, String>),
    /// A holder hears of it.
    Event {
        /// Who.
        client: String,
        /// What.
        contents: Value,
    },
}

/// What a board is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// In nobody's service.
    Resting,
    /// Its device works on what was ordered, or on a reboot.
    Busy,
    /// It takes bitstreams.
    Ready,
    /// It was switched off; the job keeps it.
    Off,
    /// It failed.
    Broken,
}

/// The newest order.
#[derive(Debug)]
struct Current {
    order: Order,
    /// Nobody has been told yet what came of it.
    open: bool,
}

/// What the device is at.
struct AtWork {
    number: u64,
    work: Work,
    due: Moment,
    /// What comes of it is of no interest any more.
    stale: bool,
}

/// A bitstream.
#[derive(Clone)]
struct Bitstream {
    to: To,
    batch: String,
    id: String,
    bytes: Arc<[u8]>,
    tries: u32,
}

/// Who is told of a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum To {
    Holders,
    Question(u64),
}

/// A question that is not answered yet.
enum Open {
    /// Results are gathered.
    Results { batch: String, missing: usize, results: Vec<Value>, due: Moment },
    /// The board is made ready anew.
    Reboot { due: Moment },
}

impl Open {
    fn due(&self) -> Moment {
        match self {
            Open::Results { due, .. } | Open::Reboot { due } => *due,
        }
    }
}

/// See above.
pub struct Board {
    settings: BoardSettings,
    phase: Phase,
    current: Option<Current>,
    holds: Option<String>,
    kind: Option<Arc<dyn Kind>>,
    plan: VecDeque<Work>,
    at_work: Option<AtWork>,
    last_number: u64,
    queue: VecDeque<Bitstream>,
    queued_bytes: usize,
    /// At the device.
    running: Option<Bitstream>,
    /// Results that were not told, by batch, in the order in which batches began.
    results: Vec<(String, Vec<Value>)>,
    told: Moment,
    questions: BTreeMap<u64, Open>,
    deeds: VecDeque<Deed>,
}

impl Board {
    /// A board that was just found.
    pub fn new(now: Moment, settings: BoardSettings) -> Board {
        Board {
            settings,
            phase: Phase::Resting,
            current: None,
            holds: None,
            kind: None,
            plan: VecDeque::new(),
            at_work: None,
            last_number: 0,
            queue: VecDeque::new(),
            queued_bytes: 0,
            running: None,
            results: Vec::new(),
            told: now,
            questions: BTreeMap::new(),
            deeds: VecDeque::new(),
        }
    }

    /// The order it stands by.
    pub fn holds(&self) -> Option<&str> {
        self.holds.as_deref()
    }

    /// Whether a job has it.
    pub fn is_lent(&self) -> bool {
        self.current.as_ref().is_some_and(|current| match current.order.action {
            Action::Prepare { .. } | Action::PowerOff => true,
            Action::Clean => current.open,
            Action::Test => false,
        })
    }

    /// The next thing that follows.
    pub fn poll(&mut self) -> Option<Deed> {
        self.deeds.pop_front()
    }

    /// When something is due.
    pub fn wake_at(&self) -> Option<Moment> {
        let work = self.at_work.as_ref().filter(|work| !work.stale).map(|work| work.due);
        let questions = self.questions.values().map(Open::due);
        work.into_iter().chain(self.stuck_at()).chain(questions).min()
    }

    /// An order. The same one again is done again only if it failed.
    pub fn handle_order(&mut self, now: Moment, order: Order) {
        if let Some(current) = self.current.as_ref().filter(|current| current.order.id == order.id) {
            match (current.open, self.holds.as_deref() == Some(&order.id)) {
                (true, _) => return,
                (false, true) => return self.deeds.push_back(Deed::Obeyed(order.id)),
                (false, false) => {}
            }
        }
        self.drop_job("the board was given another order");
        let action = order.action.clone();
        self.current = Some(Current { order, open: true });
        match self.planned(action) {
            Ok(plan) => {
                self.plan = plan;
                self.phase = Phase::Busy;
                self.go_on(now);
            }
            Err(why) => self.fail(why),
        }
    }

    /// A question.
    pub fn handle_question(&mut self, now: Moment, ticket: u64, ask: &Ask) {
        let answer = match ask {
            Ask::PowerCycle => self.reboot_for(now, ticket),
            Ask::Send { command, args } => self.obey_command(now, ticket, command, args),
            Ask::Other(what) => Err(format!("boards of workers cannot do '{what}'")),
        };
        match answer {
            Ok(Some(said)) => self.deeds.push_back(Deed::Answer(ticket, Ok(said))),
            Ok(None) => {}
            Err(why) => self.deeds.push_back(Deed::Answer(ticket, Err(why))),
        }
        self.go_on(now);
    }

    /// Bitstreams of a client; an error says why they are not taken.
    pub fn handle_batch(&mut self, now: Moment, client: &str, batch: &Batch) -> Result<(), String> {
        let current = self.current.as_ref();
        if !current.is_some_and(|current| current.order.holders.iter().any(|holder| holder == client)) {
            return Err("does not hold the board".to_owned());
        }
        self.take_in(To::Holders, batch)?;
        self.go_on(now);
        Ok(())
    }

    /// What came of the work with this number.
    pub fn handle_done(&mut self, now: Moment, number: u64, outcome: Result<Option<Value>, String>) {
        if self.at_work.as_ref().is_none_or(|at_work| at_work.number != number) {
            return;
        }
        let Some(at_work) = self.at_work.take() else { return };
        match (at_work.stale, at_work.work, outcome) {
            (true, _, _) => {}
            (false, Work::Evaluate { kind, .. }, Ok(Some(value))) => self.take_result(now, &*kind, value),
            (false, Work::Evaluate { .. }, Ok(None)) => self.try_again("the firmware gave no result"),
            (false, Work::Evaluate { .. }, Err(why)) => self.try_again(&why),
            (false, _, Ok(_)) => {}
            (false, _, Err(why)) => self.fail(why),
        }
        self.go_on(now);
    }

    /// Time has passed.
    pub fn handle_time(&mut self, now: Moment) {
        let late = |at_work: &&mut AtWork| !at_work.stale && at_work.due <= now;
        if let Some(at_work) = self.at_work.as_mut().filter(late) {
            at_work.stale = true;
            let evaluates = matches!(at_work.work, Work::Evaluate { .. });
            self.deeds.push_back(Deed::Cancel);
            let why = "its device did not come back from its work in time";
            if evaluates { self.try_again(why) } else { self.fail(why.to_owned()) }
        }
        if self.stuck_at().is_some_and(|at| at <= now) {
            self.fail("its device is still at something else".to_owned());
        }
        let due: Vec<u64> =
            self.questions.iter().filter(|(_, open)| open.due() <= now).map(|(ticket, _)| *ticket).collect();
        for ticket in due {
            self.give_up(ticket);
        }
    }

    /// Nobody speaks for the board any more: whatever it did is over.
    pub fn rest(&mut self, why: &str) {
        if self.is_lent() {
            self.tell_holders(&json!({"event": "failure"}));
        }
        self.drop_job(why);
        (self.current, self.phase) = (None, Phase::Resting);
    }

    /// When what is next has waited too long for a device that does not give up.
    fn stuck_at(&self) -> Option<Moment> {
        let stuck = self.at_work.as_ref().filter(|at_work| at_work.stale && self.phase == Phase::Busy)?;
        Some(stuck.due.plus_ms(self.settings.flash_ms_max))
    }

    /// What an order comes to.
    fn planned(&mut self, action: Action) -> Result<VecDeque<Work>, String> {
        let plan = match action {
            Action::Test | Action::Clean => vec![Work::Flash(Image::Default), Work::Test],
            Action::PowerOff => Vec::new(),
            Action::Prepare { kind, args } => {
                let kind = kind::make(&kind, &args)?;
                let image = Image::Kind(kind.row().name);
                self.kind = Some(kind);
                vec![Work::Flash(image)]
            }
        };
        Ok(plan.into())
    }

    /// Forgets the job: its kind, its bitstreams, its results, what was asked.
    fn drop_job(&mut self, why: &str) {
        for ticket in std::mem::take(&mut self.questions).into_keys() {
            self.deeds.push_back(Deed::Answer(ticket, Err(why.to_owned())));
        }
        self.interrupt();
        (self.kind, self.holds, self.running) = (None, None, None);
        self.plan.clear();
        self.queue.clear();
        self.results.clear();
        self.queued_bytes = 0;
    }

    /// The device gives up; what comes of its work is of no interest.
    fn interrupt(&mut self) {
        if let Some(at_work) = self.at_work.as_mut().filter(|at_work| !at_work.stale) {
            at_work.stale = true;
            self.deeds.push_back(Deed::Cancel);
        }
    }

    /// Begins the next thing, if the device is free.
    fn go_on(&mut self, now: Moment) {
        if self.at_work.is_some() {
            return;
        }
        if self.phase == Phase::Busy {
            match self.plan.pop_front() {
                Some(work) => return self.begin(now, work, self.settings.flash_ms_max),
                None => self.complete(now),
            }
        }
        if let (Phase::Ready, Some(kind)) = (self.phase, self.kind.clone())
            && let Some(next) = self.queue.pop_front()
        {
            let bitstream = next.bytes.clone();
            self.running = Some(next);
            self.begin(now, Work::Evaluate { kind, bitstream }, self.settings.evaluate_ms_max);
        }
    }

    fn begin(&mut self, now: Moment, work: Work, ms_max: u64) {
        self.last_number += 1;
        let number = self.last_number;
        self.deeds.push_back(Deed::Begin { number, work: work.clone() });
        self.at_work = Some(AtWork { number, work, due: now.plus_ms(ms_max), stale: false });
    }

    /// All that was ordered is done.
    fn complete(&mut self, now: Moment) {
        let Some(current) = &mut self.current else {
            self.phase = Phase::Resting;
            return;
        };
        self.phase = match current.order.action {
            Action::Prepare { .. } => Phase::Ready,
            Action::PowerOff => Phase::Off,
            Action::Clean | Action::Test => Phase::Resting,
        };
        if std::mem::take(&mut current.open) {
            self.holds = Some(current.order.id.clone());
            self.deeds.push_back(Deed::Obeyed(current.order.id.clone()));
        }
        if self.phase == Phase::Ready {
            self.told = now;
            self.answer_reboots();
            self.tell_holders(&json!({"event": "initialized"}));
        }
    }

    /// The board is of no use.
    fn fail(&mut self, why: String) {
        self.phase = Phase::Broken;
        let order = self
            .current
            .as_mut()
            .and_then(|current| std::mem::take(&mut current.open).then(|| current.order.id.clone()));
        self.tell_holders(&json!({"event": "failure"}));
        self.drop_job(&why);
        self.deeds.push_back(match order {
            Some(order) => Deed::Failed(order, why),
            None => Deed::Broken(why),
        });
    }

    /// Made ready anew, the same bitstream first.
    fn try_again(&mut self, why: &str) {
        let Some(mut bitstream) = self.running.take() else { return };
        bitstream.tries += 1;
        if bitstream.tries == TRIES_MAX {
            return self.fail(format!("{why} ({TRIES_MAX} times)"));
        }
        self.queue.push_front(bitstream);
        self.reboot();
    }

    fn reboot(&mut self) {
        let Some(kind) = &self.kind else { return };
        self.plan = VecDeque::from([Work::Flash(Image::Kind(kind.row().name))]);
        self.phase = Phase::Busy;
        self.interrupt();
        if let Some(running) = self.running.take() {
            self.queue.push_front(running);
        }
    }

    fn reboot_for(&mut self, now: Moment, ticket: u64) -> Result<Option<Value>, String> {
        if self.kind.is_none() || self.current.as_ref().is_none_or(|current| current.open) {
            return Err("the board is not in use".to_owned());
        }
        self.reboot();
        self.questions.insert(ticket, Open::Reboot { due: now.plus_ms(REBOOT_ANSWER_MS_MAX) });
        Ok(None)
    }

    fn answer_reboots(&mut self) {
        let reboots = self.questions.iter().filter(|(_, open)| matches!(open, Open::Reboot { .. }));
        for ticket in reboots.map(|(ticket, _)| *ticket).collect::<Vec<_>>() {
            self.questions.remove(&ticket);
            self.deeds.push_back(Deed::Answer(ticket, Ok(Value::Null)));
        }
    }

    /// A question's time is up.
    fn give_up(&mut self, ticket: u64) {
        let answer = match self.questions.remove(&ticket) {
            Some(Open::Reboot { .. }) => Ok(Value::Null),
            _ => Err(format!("not done within {} s; what was not begun is dropped", ANSWER_MS_MAX / 1000)),
        };
        self.queue.retain(|bitstream| bitstream.to != To::Question(ticket));
        self.queued_bytes = self.queue.iter().map(|bitstream| bitstream.bytes.len()).sum();
        self.deeds.push_back(Deed::Answer(ticket, answer));
    }

    fn obey_command(
        &mut self,
        now: Moment,
        ticket: u64,
        command: &str,
        args: &Value,
    ) -> Result<Option<Value>, String> {
        match command {
            "status" => Ok(Some(self.status())),
            "queue" => Ok(Some(self.listed())),
            "evaluate" => {
                let batch = super::command::batch(args)?;
                let missing = batch.files.len();
                self.take_in(To::Question(ticket), &batch)?;
                let due = now.plus_ms(ANSWER_MS_MAX);
                let open = Open::Results { batch: batch.id, missing, results: Vec::new(), due };
                self.questions.insert(ticket, open);
                Ok(None)
            }
            _ => Err(format!("there is no command '{command}'; there are evaluate, queue, status")),
        }
    }

    fn status(&self) -> Value {
        let state = match self.phase {
            Phase::Resting => "resting",
            Phase::Busy => "busy",
            Phase::Ready => "ready",
            Phase::Off => "off",
            Phase::Broken => "broken",
        };
        let unsent: usize = self.results.iter().map(|(_, results)| results.len()).sum();
        json!({
            "state": state,
            "kind": self.kind.as_ref().map(|kind| kind.row().name),
            "queued": self.queue.len(),
            "running": self.running.is_some(),
            "unsent": unsent,
        })
    }

    fn listed(&self) -> Value {
        let all = self.running.iter().chain(&self.queue).take(FILES_PER_COMMAND_MAX);
        all.map(|bitstream| json!([bitstream.batch, bitstream.id])).collect()
    }

    /// Queues bitstreams, all or none.
    fn take_in(&mut self, to: To, batch: &Batch) -> Result<(), String> {
        let Some(kind) = self.kind.as_ref().filter(|_| self.holds.is_some()) else {
            return Err("the board is not ready".to_owned());
        };
        let size = kind.bitstream_bytes().filter(|_| self.settings.sizes_matter);
        if let Some((id, _)) =
            batch.files.iter().find(|(_, bytes)| size.is_some_and(|size| bytes.len() != size))
        {
            return Err(format!("'{id}' has not the {} bytes of a bitstream", size.unwrap_or(0)));
        }
        let bytes: usize = batch.files.iter().map(|(_, bytes)| bytes.len()).sum();
        if self.queue.len() + batch.files.len() > QUEUED_MAX || self.queued_bytes + bytes > QUEUED_BYTES_MAX {
            return Err("too many bitstreams wait for the board".to_owned());
        }
        self.queued_bytes += bytes;
        self.queue.extend(batch.files.iter().map(|(id, bytes)| Bitstream {
            to,
            batch: batch.id.clone(),
            id: id.clone(),
            bytes: bytes.clone(),
            tries: 0,
        }));
        Ok(())
    }

    fn take_result(&mut self, now: Moment, kind: &dyn Kind, value: Value) {
        let Some(Bitstream { to, batch, id, bytes, .. }) = self.running.take() else { return };
        self.queued_bytes = self.queued_bytes.saturating_sub(bytes.len());
        let result = json!([id, value]);
        match to {
            To::Question(ticket) => self.answer_result(ticket, result),
            To::Holders => match self.results.iter_mut().find(|(known, _)| *known == batch) {
                Some((_, results)) => results.push(result),
                None => self.results.push((batch, vec![result])),
            },
        }
        let remaining = self.queue.iter().filter(|bitstream| bitstream.to == To::Holders).count();
        if kind.flush().is_due(remaining, now.ms_since(self.told)) {
            self.tell_results(now);
        }
    }

    fn answer_result(&mut self, ticket: u64, result: Value) {
        let Some(Open::Results { batch, missing, results, .. }) = self.questions.get_mut(&ticket) else {
            return;
        };
        results.push(result);
        *missing -= 1;
        if *missing == 0 {
            let answer = json!({"batch_id": batch, "results": results});
            self.questions.remove(&ticket);
            self.deeds.push_back(Deed::Answer(ticket, Ok(answer)));
        }
    }

    fn tell_results(&mut self, now: Moment) {
        self.told = now;
        for (batch, results) in std::mem::take(&mut self.results) {
            self.tell_holders(&json!({"event": "results", "batch_id": batch, "results": results}));
        }
    }

    fn tell_holders(&mut self, contents: &Value) {
        let holders = self.current.iter().flat_map(|current| &current.order.holders);
        let events = holders.map(|client| Deed::Event { client: client.clone(), contents: contents.clone() });
        self.deeds.extend(events);
    }
}

#[cfg(test)]
mod tests;
