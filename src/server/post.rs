//! The workers of one connection of the native door: registered, heard, and told what they are told as events.
//!
//! A stay belongs to the connection that registered it and to the session it was registered under; with the connection's end
//! the worker has hung up. What it is told waits here until the connection has said all it had to say. A peer that does not
//! read for so long that too much waits is taken for one that hung up.

use super::bell::Bell;
use super::conversation::{Form, framed};
use super::house::House;
use crate::controller::Reading;
use crate::controller::agent::{AgentRefusal, Ears, Hub, Introduction, Offered, Serial, Stay, Told};
use crate::controller::{ControllerSettings, agent};
use crate::error::{Code, Fault};
use crate::lab::command::{Caller, Command, Consult};
use crate::lab::effect::Action;
use crate::lab::fact::{JobId, MachineName};
use crate::lab::refusal::Refusal;
use crate::service::plan::{AgentUse, AgentWord, Came, Heard, WorkerBoard, WorkerRegistration, WorkerView};
use crate::service::{Asker, Outcome, shape};
use crate::session::SessionId;
use crate::wire::answer::Envelope;
use serde::Serialize;
use serde::ser::SerializeMap;
use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// So many stays one connection may have.
pub const STAYS_PER_CONNECTION_MAX: usize = 64;

/// So much may wait for a peer to read it.
const LETTERS_MAX: usize = 20_000;

/// So much is told in one event.
const EVENT_TASKS_MAX: usize = 256;

/// Under this name, with a machine's behind it, wrong tokens are counted; no user's name can be like it.
const LOCKOUT_NAME: &str = "/agent/";

/// See above.
pub struct Post {
    house: Arc<House>,
    /// Where the peer is.
    address: IpAddr,
    stays: BTreeMap<u64, Held>,
    last: u64,
    mailbox: Arc<Mailbox>,
}

/// A stay of a worker.
struct Held {
    session: SessionId,
    machine: MachineName,
    hub: Arc<Hub>,
    stay: Stay,
}

/// What waits for the peer.
struct Mailbox {
    bell: Arc<Bell>,
    letters: Mutex<Letters>,
}

#[derive(Default)]
struct Letters {
    waiting: VecDeque<(u64, Told)>,
    /// So much waited that it was thrown away.
    overflown: bool,
}

impl Mailbox {
    /// The letters are whole between calls, so a panic elsewhere does no harm.
    fn letters(&self) -> MutexGuard<'_, Letters> {
        self.letters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The ears of one stay.
struct Slot {
    number: u64,
    mailbox: Arc<Mailbox>,
}

impl Ears for Slot {
    fn tell(&self, told: Told) {
        let mut letters = self.mailbox.letters();
        if letters.waiting.len() >= LETTERS_MAX {
            letters.waiting.clear();
            letters.overflown = true;
        }
        if !letters.overflown {
            letters.waiting.push_back((self.number, told));
        }
        drop(letters);
        self.mailbox.bell.ring();
    }
}

impl Post {
    /// Without workers; the bell is rung when there is something to `push`.
    pub fn new(house: Arc<House>, address: IpAddr, bell: Arc<Bell>) -> Post {
        let mailbox = Arc::new(Mailbox { bell, letters: Mutex::default() });
        Post { house, address, stays: BTreeMap::new(), last: 0, mailbox }
    }

    /// Takes in what a worker says.
    pub fn carry_out(&mut self, what: AgentUse, asker: &Asker<'_>) -> Came {
        match what {
            AgentUse::Register(who) => self.register(who, asker.session),
            AgentUse::Speak { stay, word } => self.hear(stay, word, asker.session).map(|()| Outcome::Nothing),
        }
    }

    fn register(&mut self, who: WorkerRegistration, session: SessionId) -> Came {
        let timeout_ms = self.admit(&who)?;
        let hub = self.house.agents(&who.machine).ok_or_else(|| no_agents(&who.machine))?;
        if self.stays.len() >= STAYS_PER_CONNECTION_MAX {
            let msg = format!("one connection has {STAYS_PER_CONNECTION_MAX} workers at most");
            return Err(Fault::new(Code::TOO_MANY_AGENTS, msg));
        }
        check_new(&self.house, &who.machine, who.boards.iter().map(serial))?;
        self.last += 1;
        let number = self.last;
        let introduction = Introduction {
            name: who.name,
            version: who.version,
            url: who.url,
            boards: who.boards.into_iter().map(offered).collect(),
            draining: who.draining,
        };
        let slot = Arc::new(Slot { number, mailbox: self.mailbox.clone() });
        let stay = hub.join(introduction, slot).map_err(fault)?;
        self.stays.insert(number, Held { session, machine: who.machine, hub, stay });
        Ok(Outcome::Stay { stay: number, timeout_ms })
    }

    /// Checks the token; wrong ones are slowed down like wrong passwords.
    fn admit(&self, who: &WorkerRegistration) -> Result<u64, Fault> {
        let config = self.house.config();
        let machine = config.machines.iter().find(|machine| machine.spec.name == who.machine);
        let machine = machine.ok_or_else(|| Refusal::MachineUnknown(who.machine.clone()).fault())?;
        let ControllerSettings::Agent(settings) = &machine.controller else {
            return Err(no_agents(&who.machine));
        };
        let Some(token) = &settings.token else {
            let msg =
                format!("no token is set for machine '{}', so no worker may register here", who.machine);
            return Err(Fault::new(Code::NO_AGENTS, msg));
        };
        let (name, now) = (format!("{LOCKOUT_NAME}{}", who.machine), self.house.clock.now());
        let mut lockout = self.house.lockout.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(wait_ms) = lockout.check(now, &name, self.address) {
            let msg = format!("too many wrong tokens; try again in {} s", wait_ms.div_ceil(1000));
            return Err(Fault::new(Code::LOGIN_DELAYED, msg));
        }
        match token.is(&who.token) {
            true => lockout.succeeded(now, &name, self.address),
            false => {
                lockout.failed(now, &name, self.address);
                return Err(Fault::new(Code::WRONG_TOKEN, "this is not the token of the machine"));
            }
        }
        Ok(settings.timeout_ms)
    }

    fn hear(&mut self, number: u64, word: AgentWord, session: SessionId) -> Result<(), Fault> {
        let held = self.stays.get(&number).filter(|held| held.session == session);
        let Held { hub, stay, machine, .. } = held.ok_or_else(|| unknown(number))?;
        let (hub, stay) = (hub.clone(), *stay);
        match word {
            AgentWord::Beat => hub.beat(stay),
            AgentWord::Order { order, obeyed, failed } => hub.answer_order(stay, order, &obeyed, &failed),
            AgentWord::Question { ticket, answer } => hub.answer_question(stay, ticket, answer.map(reading)),
            AgentWord::Add(boards) => {
                match check_new(&self.house, machine, boards.iter().map(serial)) {
                    Err(gone) if gone.code == Code::MACHINE_UNKNOWN => {
                        return Err(fault(AgentRefusal::Closed));
                    }
                    checked => checked?,
                }
                hub.add_boards(stay, &boards.into_iter().map(offered).collect::<Vec<_>>())
            }
            AgentWord::Remove(boards, reason) => hub.remove_boards(stay, &boards, &reason),
            AgentWord::Break(boards, reason) => hub.break_boards(stay, &boards, &reason),
            AgentWord::Drain(draining) => hub.drain(stay, draining),
            AgentWord::Leave(reason) => {
                let there = hub.beat(stay);
                hub.leave(stay, &reason);
                self.stays.remove(&number);
                there
            }
        }
        .map_err(fault)
    }

    /// Appends what workers are told, an event for each session. True if there is more.
    pub fn push(&mut self, form: Form, name: &str, out: &mut Vec<u8>) -> bool {
        if self.stays.is_empty() {
            return false;
        }
        let mut letters = self.mailbox.letters();
        let overflown = std::mem::take(&mut letters.overflown);
        let count = letters.waiting.len().min(EVENT_TASKS_MAX);
        let told: Vec<_> = letters.waiting.drain(..count).collect();
        let more = !letters.waiting.is_empty();
        drop(letters);
        let mut tasks = BTreeMap::<u128, Vec<Task>>::new();
        for (number, told) in told {
            let Some(held) = self.stays.get(&number) else { continue };
            let (session, over) = (held.session.to_bits(), matches!(told, Told::Over(_) | Told::Replaced));
            tasks.entry(session).or_default().push(self.task(number, told));
            if over {
                self.stays.remove(&number);
            }
        }
        if overflown {
            self.cut_off(&mut tasks);
        }
        for (session, worker_tasks) in tasks {
            let session = SessionId::from_bits(session).to_string();
            let envelope = Envelope { session: &session, name, id: None };
            framed(form, out, |text| envelope.push_event(text, "worker_tasks", &Tasks { worker_tasks }));
        }
        more
    }

    /// The peer did not read: all its workers have hung up.
    fn cut_off(&mut self, tasks: &mut BTreeMap<u128, Vec<Task>>) {
        for (number, held) in std::mem::take(&mut self.stays) {
            held.hub.hang_up(held.stay);
            let over = Told::Over("too much waited to be read on this connection; register again".into());
            let task = Task { stay: number, told: over, people: None };
            tasks.entry(held.session.to_bits()).or_default().push(task);
        }
    }

    /// Who may speak to a board is looked up now, when the worker is told.
    fn task(&self, number: u64, told: Told) -> Task {
        let job = match &told {
            Told::Order { job, .. } => *job,
            _ => None,
        };
        let spec = job.and_then(|job| self.house.counter.see(|lab| lab.spec_of(job).cloned()));
        let people = spec.map(|spec| (spec.owner.clone(), spec.by.clone()));
        Task { stay: number, told, people }
    }
}

impl Drop for Post {
    fn drop(&mut self) {
        for held in self.stays.values() {
            held.hub.hang_up(held.stay);
        }
    }
}

/// The workers of one machine or of all.
pub fn workers(house: &House, machine: Option<&MachineName>) -> Came {
    let hubs = match machine {
        Some(machine) if house.counter.see(|lab| lab.spec_of_machine(machine).is_none()) => {
            return Err(Refusal::MachineUnknown(machine.clone()).fault());
        }
        Some(machine) => house.agents(machine).map(|hub| (machine.clone(), hub)).into_iter().collect(),
        None => house.all_agents(),
    };
    let of_hub = |(machine, hub): (MachineName, Arc<Hub>)| {
        hub.view().into_iter().map(move |agent| worker(machine.clone(), agent))
    };
    Ok(Outcome::Workers(hubs.into_iter().flat_map(of_hub).collect()))
}

fn worker(machine: MachineName, agent: agent::AgentView) -> WorkerView {
    let agent::AgentView { name, version, url, boards, draining, connected, seen_ms } = agent;
    WorkerView {
        machine,
        name,
        version,
        url,
        boards,
        draining,
        connected,
        seen: crate::clock::Moment(seen_ms),
    }
}

/// Boards that the lab would not take are refused before anybody hears of them.
pub fn check_new(
    house: &House,
    machine: &MachineName,
    serials: impl Iterator<Item = Serial>,
) -> Result<(), Fault> {
    let announce = Command::AnnounceBoards { machine: machine.clone(), serials: serials.collect() };
    let decided =
        house.counter.see(|lab| lab.decide(house.clock.now(), &Caller::server(), &announce).map(drop));
    decided.map_err(|refusal| refusal.fault())
}

fn serial(board: &WorkerBoard) -> Serial {
    board.serial.clone()
}

fn offered(board: WorkerBoard) -> Offered {
    Offered { serial: board.serial, model: board.model, holds: board.holds }
}

fn reading(heard: Heard) -> Reading {
    match heard {
        Heard::Done => Reading::Done,
        Heard::Sensors(sensors) => Reading::Sensors(sensors),
        Heard::Said(words) => Reading::Said(words),
    }
}

fn no_agents(machine: &str) -> Fault {
    Fault::new(Code::NO_AGENTS, format!("the boards of machine '{machine}' have no agents"))
}

fn unknown(number: u64) -> Fault {
    let msg = format!("this session has no worker with the stay {number} on this connection; register again");
    Fault::new(Code::STAY_UNKNOWN, msg)
}

fn fault(refusal: AgentRefusal) -> Fault {
    let code = match &refusal {
        AgentRefusal::TooMany => Code::TOO_MANY_AGENTS,
        AgentRefusal::TooManyBoards => Code::TOO_MANY_AGENT_BOARDS,
        AgentRefusal::Twice(_) => Code::BAD_ARGUMENT,
        AgentRefusal::Taken(..) => Code::BOARD_TAKEN,
        AgentRefusal::Over => Code::STAY_UNKNOWN,
        AgentRefusal::Busy | AgentRefusal::Closed => Code::AGENTS_BUSY,
    };
    Fault::new(code, refusal.to_string())
}

/// What workers are told, as they read it.
#[derive(Serialize)]
struct Tasks {
    worker_tasks: Vec<Task>,
}

/// One thing a worker is told.
struct Task {
    stay: u64,
    told: Told,
    /// Whose job it is for, and who asked for that.
    people: Option<(Arc<str>, Arc<str>)>,
}

impl Serialize for Task {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("stay", &self.stay)?;
        match &self.told {
            Told::Order { id, action, boards, job } => {
                map.serialize_entry("order", &shape::Shown(id))?;
                push_action(&mut map, action)?;
                map.serialize_entry("boards", &shape::Each(|| boards.iter().map(|board| &**board)))?;
                map.serialize_entry("job_id", &job.map(|JobId(job)| job))?;
                map.serialize_entry("owner", &self.people.as_ref().map(|(owner, _)| &**owner))?;
                map.serialize_entry("by", &self.people.as_ref().map(|(_, by)| &**by))?;
            }
            Told::Question { ticket, board, what } => {
                map.serialize_entry("question", ticket)?;
                map.serialize_entry("board", &**board)?;
                push_question(&mut map, what)?;
            }
            Told::Replaced => map.serialize_entry("over", "a worker of the same name registered")?,
            Told::Over(reason) => map.serialize_entry("over", &**reason)?,
        }
        map.end()
    }
}

fn push_action<M: SerializeMap>(map: &mut M, action: &Action) -> Result<(), M::Error> {
    let word = match action {
        Action::Prepare { .. } => "prepare",
        Action::PowerOff => "power_off",
        Action::Clean => "clean",
        Action::Test => "test",
    };
    map.serialize_entry("action", word)?;
    if let Action::Prepare { kind, args } = action {
        map.serialize_entry("kind", &**kind)?;
        map.serialize_entry("args", &shape::JsonText(args))?;
    }
    Ok(())
}

fn push_question<M: SerializeMap>(map: &mut M, what: &Consult) -> Result<(), M::Error> {
    match what {
        Consult::Identify { on } => {
            map.serialize_entry("what", "identify")?;
            map.serialize_entry("on", on)
        }
        Consult::ReadSensors => map.serialize_entry("what", "read_sensors"),
        Consult::PowerCycle => map.serialize_entry("what", "power_cycle"),
        Consult::Send { command, args } => {
            map.serialize_entry("what", "send")?;
            map.serialize_entry("command", &**command)?;
            map.serialize_entry("args", &shape::JsonText(args))
        }
    }
}
