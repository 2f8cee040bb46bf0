//! What the lines of a peer come to: answers in their order, one visit to the desk for all wishes that stand together,
//! and what of the changes it asked to hear of.
//!
//! A line that only asks is answered on the spot from the lab as last kept; behind a wish it joins the wish's visit, so that it sees
//! what that changed. Long lists do not travel to the desk: they wait until the visit is over and are answered then,
//! from what is kept for everybody.

use super::super::bell::Bell;
use super::super::desk::{News, Visit};
use super::super::herald::{Watch, Watcher};
use super::super::house::House;
use super::super::pipe::OUT_BYTES_PAUSE;
use super::super::{quick, rounds::Answers};
use crate::clock::Moment;
use crate::config::Config;
use crate::error::{Code, Fault};
use crate::lab::ask::{Ask, Reply};
use crate::lab::command::{Caller, Command};
use crate::lab::fact::{JobId, MachineName};
use crate::lab::job::{JobSpec, JobState};
use crate::lab::refusal::Refusal;
use crate::lab::view::{JobFilter, Query, View};
use crate::server::bucket::Bucket;
use crate::service::dispatch;
use crate::spalloc::{self, Anchor, Lines, Said, Watched, Wish, shape};
use crate::user::{Role, UserName};
use futures_channel::oneshot;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;

/// How many asks one visit takes; more lines wait for the next.
const ASKS_MAX: usize = 512;

/// What is said to callers of a door for looking only.
const LOOK_ONLY: &str = "this door is for looking only (spalloc.role = \"guest\")";

/// Where the answers of a visit come from.
pub type Answered = oneshot::Receiver<Answers>;

/// See above.
pub struct Talk {
    house: Arc<House>,
    peer: SocketAddr,
    bell: Arc<Bell>,
    watcher: Option<Watcher>,
    /// Whether all jobs, and all machines, are watched.
    watches_all: (bool, bool),
    lines: Lines,
    /// A list that comes behind wishes.
    held: Option<Wish>,
    /// What is said when the visit under way is over.
    slots: Vec<Slot>,
    bucket: Bucket,
    /// Until when there is no token for another call.
    throttled: Option<Moment>,
    /// Something was called.
    is_known: bool,
    /// What came is no call; nothing after it is looked at.
    is_over: bool,
}

/// One piece of what is said after a visit.
enum Slot {
    /// These lines.
    Said(String),
    /// What came of the next ask.
    Came(Kind),
}

/// How an answer of the desk is told.
enum Kind {
    /// The number of a job that was made.
    Created,
    /// The state of a job.
    State,
    /// The boards of a job.
    MachineInfo,
    /// Where something is.
    WhereIs,
    /// Nothing; also when there was nothing to do.
    Null,
}

/// What one turn gathers.
#[derive(Default)]
struct Turn {
    /// What is said behind everything in `slots`.
    text: String,
    slots: Vec<Slot>,
    asks: Vec<Ask>,
}

impl Turn {
    fn ask(&mut self, ask: Ask, kind: Kind) {
        if !self.text.is_empty() {
            self.slots.push(Slot::Said(std::mem::take(&mut self.text)));
        }
        self.asks.push(ask);
        self.slots.push(Slot::Came(kind));
    }
}

impl Talk {
    /// A talk with somebody who has said nothing yet.
    pub fn new(house: Arc<House>, peer: SocketAddr, bell: Arc<Bell>) -> Talk {
        let bucket = Bucket::full(house.clock.now());
        Talk {
            house,
            peer,
            bell,
            watcher: None,
            watches_all: (false, false),
            lines: Lines::default(),
            held: None,
            slots: Vec::new(),
            bucket,
            throttled: None,
            is_known: false,
            is_over: false,
        }
    }

    /// Who is at the other end.
    pub fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// Takes in bytes.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.lines.feed(bytes);
    }

    /// Whether something was ever called here.
    pub fn is_known(&self) -> bool {
        self.is_known
    }

    /// Whether what came was no call.
    pub fn is_over(&self) -> bool {
        self.is_over
    }

    /// Until when the next call has to wait.
    pub fn throttled(&self) -> Option<Moment> {
        self.throttled
    }

    /// Whether there is something to answer.
    pub fn has_work(&mut self) -> bool {
        !self.is_over && (self.held.is_some() || self.lines.has_line())
    }

    /// Whether part of a line is there.
    pub fn mid_line(&self) -> bool {
        self.lines.waiting() > 0
    }

    /// Forgets what was not answered yet.
    pub fn close(&mut self) {
        self.is_over = true;
        self.held = None;
        self.lines.clear();
    }

    /// Answers lines until none is left, there is enough to say, or the desk is needed: then answers where its word comes from.
    pub fn go_on(&mut self, out: &mut Vec<u8>) -> Option<Answered> {
        let (config, mut turn) = (self.house.config(), Turn::default());
        let role = config.spalloc.role;
        let caller = Caller { user: UserName::door(shape::DOOR), role };
        self.throttled = None;
        while out.len() + turn.text.len() < OUT_BYTES_PAUSE && turn.asks.len() < ASKS_MAX {
            match self.next(&config) {
                None => break,
                Some(Err(text)) => shape::push_exception(&mut turn.text, &text),
                Some(Ok(Wish::ListJobs | Wish::ListMachines)) if self.must_hold(&turn) => break,
                Some(Ok(list @ (Wish::ListJobs | Wish::ListMachines))) => {
                    self.say_list(&list, &config, &mut turn.text, out);
                }
                Some(Ok(wish)) => self.carry_out(wish, &caller, &config, &mut turn),
            }
            self.held = None;
        }
        if turn.asks.is_empty() {
            out.extend_from_slice(turn.text.as_bytes());
            return None;
        }
        turn.slots.push(Slot::Said(turn.text));
        self.slots = turn.slots;
        let (answer, answered) = oneshot::channel();
        self.house.counter.tell(visit(caller, turn.asks, answer));
        Some(answered)
    }

    /// Lists are long: they are copied once, straight to what is sent.
    fn say_list(&self, wish: &Wish, config: &Config, text: &mut String, out: &mut Vec<u8>) {
        let (lists, counter) = (&self.house.spalloc_lists, &self.house.counter);
        let list = match wish {
            Wish::ListJobs => lists.jobs(counter),
            _ => lists.machines(counter),
        };
        match list.map_err(|refusal| refusal.fault().msg) {
            Ok(list) if list.len() <= bytes_max(config) => {
                out.extend_from_slice(text.as_bytes());
                out.extend_from_slice(list.as_bytes());
                text.clear();
            }
            Ok(_) => shape::push_exception(text, &quick::too_large().msg),
            Err(why) => shape::push_exception(text, &why),
        }
    }

    /// A list stays in `held` while wishes before it are not carried out.
    fn must_hold(&self, turn: &Turn) -> bool {
        !turn.asks.is_empty()
    }

    /// The next call; a list stays held until it is answered.
    fn next(&mut self, config: &Config) -> Option<Result<Wish, String>> {
        if let Some(held) = &self.held {
            return Some(Ok(held.clone()));
        }
        loop {
            if self.is_over {
                return None;
            }
            // They are no calls, so they need no token: who says nothing else is not known, and not waited for.
            self.lines.skip_blank();
            if self.lines.has_line()
                && let Err(until) = self.bucket.take(self.house.clock.now(), config.spalloc.rate_per_s)
            {
                self.throttled = Some(until);
                return None;
            }
            let said = match self.lines.pop(config.spalloc.line_bytes_max)? {
                Ok(line) => spalloc::read(line),
                Err(_) => {
                    let max = config.spalloc.line_bytes_max;
                    tracing::info!(peer = %self.peer, "hung up on: a line is too long (spalloc.line_bytes_max = {max})");
                    Said::Nonsense
                }
            };
            match said {
                Said::Blank => {}
                Said::Nonsense => self.close(),
                Said::Call(call) => {
                    self.is_known = true;
                    if let Ok(wish @ (Wish::ListJobs | Wish::ListMachines)) = &call {
                        self.held = Some(wish.clone());
                    }
                    return Some(call);
                }
            }
        }
    }

    fn carry_out(&mut self, wish: Wish, caller: &Caller, config: &Config, turn: &mut Turn) {
        match wish {
            Wish::Create(spec) => self.create(*spec, config, turn),
            Wish::Power { job: Some(job), on } => {
                self.change(Command::PowerJob { job, power: on }, job, caller, turn);
            }
            Wish::Destroy { job: Some(job), reason } => {
                self.change(Command::DestroyJob { job, reason }, job, caller, turn);
            }
            Wish::State(Some(job)) => {
                self.mention(job, caller);
                self.ask(Query::JobState(job), Kind::State, turn);
            }
            Wish::MachineInfo(Some(job)) => {
                self.mention(job, caller);
                self.ask(Query::JobMachine(job), Kind::MachineInfo, turn);
            }
            Wish::WhereIs(whereabouts) => self.ask(Query::WhereIs(whereabouts), Kind::WhereIs, turn),
            local => {
                let answer = self.answer_alone(local, caller);
                push_answer(&mut turn.text, answer);
            }
        }
    }

    /// What needs no desk, whatever was wished before.
    fn answer_alone(&mut self, wish: Wish, caller: &Caller) -> Result<String, String> {
        let mut out = String::new();
        match wish {
            Wish::Version => shape::push_return(&mut out, |out| {
                spalloc::value::push_text(out, spalloc::VERSION);
            }),
            Wish::State(_) => shape::push_return(&mut out, |out| shape::push_state(out, None, None)),
            Wish::MachineInfo(_) => shape::push_return(&mut out, |out| shape::push_machine_info(out, None)),
            Wish::Mention(Some(job)) => {
                self.refused(job, caller).map_or(Ok(()), Err)?;
                self.keep_alive(job);
                null(&mut out);
            }
            Wish::Watch { what, on } => {
                self.watch(what, on)?;
                null(&mut out);
            }
            Wish::Position(address) => match quick::see(&self.house, &Query::Position(address)) {
                Ok(Reply::Seen(View::Position(Some(place)))) => {
                    shape::push_return(&mut out, |out| shape::push_place(out, place));
                }
                _ => null(&mut out),
            },
            Wish::AtPosition(address) => match quick::see(&self.house, &Query::AtPosition(address)) {
                Ok(Reply::Seen(View::AtPosition(Some(at)))) => {
                    shape::push_return(&mut out, |out| shape::push_triad(out, at));
                }
                _ => null(&mut out),
            },
            Wish::RaiseIf(anchor, text) if self.exists(&anchor) => return Err(text),
            _ => null(&mut out),
        }
        Ok(out)
    }

    fn exists(&self, anchor: &Anchor) -> bool {
        self.house.counter.see(|lab| match anchor {
            Anchor::Machine(name) => lab.machine_specs().any(|spec| spec.name == *name),
            Anchor::Job(job) => matches!(lab.state_of(*job), JobState::Power | JobState::Ready),
        })
    }

    fn create(&mut self, spec: JobSpec, config: &Config, turn: &mut Turn) {
        let known = || {
            UserName::parse(&spec.owner)
                .is_ok_and(|name| self.house.counter.see(|lab| lab.user(&name).is_some()))
        };
        if config.spalloc.known_owners && !known() {
            let text = format!("'{}' is not a user of this server (spalloc.owners = \"known\")", spec.owner);
            return shape::push_exception(&mut turn.text, &text);
        }
        turn.ask(Ask::Command(Command::CreateJobAnyway(spec)), Kind::Created);
    }

    /// A wish about a job that is there, or will be when its turn comes.
    fn change(&mut self, command: Command, job: JobId, caller: &Caller, turn: &mut Turn) {
        if caller.role < Role::User
            && let Some(text) = self.refused(job, caller)
        {
            return shape::push_exception(&mut turn.text, &text);
        }
        if let Command::PowerJob { .. } = command {
            self.mention(job, caller);
        }
        turn.ask(Ask::Command(command), Kind::Null);
    }

    /// A question: behind a wish it goes with it, alone it is answered at once.
    fn ask(&mut self, query: Query, kind: Kind, turn: &mut Turn) {
        if !turn.asks.is_empty() {
            return turn.ask(Ask::Query(query), kind);
        }
        let came = quick::see(&self.house, &query);
        self.push_came(&mut turn.text, &kind, came);
    }

    /// Why a job that lives may not be acted on.
    fn refused(&self, job: JobId, caller: &Caller) -> Option<String> {
        self.house.counter.see(|lab| {
            let spec = lab.spec_of(job).filter(|_| lab.state_of(job) != JobState::Destroyed)?;
            match () {
                _ if caller.role < Role::User => Some(LOOK_ONLY.to_owned()),
                _ if caller.may_act_on(spec) => None,
                _ => Some(Refusal::NotYours { job, owner: spec.owner.clone() }.fault().msg),
            }
        })
    }

    /// A sign of life, if asking for this job is one.
    fn mention(&self, job: JobId, caller: &Caller) {
        let sign = || self.house.counter.see(|lab| dispatch::is_sign_of_life(lab, caller, job));
        if caller.role >= Role::User && sign() {
            self.keep_alive(job);
        }
    }

    fn keep_alive(&self, job: JobId) {
        self.house.counter.note_sign(job, self.peer.ip(), self.house.clock.now());
    }

    fn watch(&mut self, what: Watched, on: bool) -> Result<(), String> {
        let what = match what {
            Watched::Job(job) => {
                self.watches_all.0 = (job.is_none() && on) || (self.watches_all.0 && job.is_some());
                Watch::Job(job)
            }
            Watched::Machine(machine) => {
                self.watches_all.1 = (machine.is_none() && on) || (self.watches_all.1 && machine.is_some());
                Watch::Machine(machine)
            }
        };
        if !on {
            self.watcher.iter().for_each(|watcher| watcher.unwatch(what.clone()));
            return Ok(());
        }
        let herald = &self.house.counter.herald;
        let watcher = self.watcher.get_or_insert_with(|| herald.subscribe(self.bell.clone()));
        watcher.watch(what).map_err(|error| Fault::from(error).msg)
    }

    /// Says what the visit that is over came to.
    pub fn finish(&mut self, answers: Answers, out: &mut Vec<u8>) {
        let (mut text, mut answers) = (String::new(), answers.into_iter());
        for slot in std::mem::take(&mut self.slots) {
            match slot {
                Slot::Said(said) => text.push_str(&said),
                Slot::Came(kind) => {
                    let stopping = || Err(Fault::new(Code::STOPPING, Code::STOPPING.row().meaning));
                    self.push_came(&mut text, &kind, answers.next().unwrap_or_else(stopping));
                }
            }
        }
        out.extend_from_slice(text.as_bytes());
    }

    /// The same of a visit that was never answered: the server ends.
    pub fn finish_unheard(&mut self, out: &mut Vec<u8>) {
        self.finish(Answers::new(), out);
    }

    /// Says what came of an ask; what is too long to be told is refused alone.
    fn push_came(&self, out: &mut String, kind: &Kind, came: Result<Reply, Fault>) {
        let start = out.len();
        self.push_any(out, kind, came);
        if out.len() - start > bytes_max(&self.house.config()) {
            out.truncate(start);
            shape::push_exception(out, &quick::too_large().msg);
        }
    }

    fn push_any(&self, out: &mut String, kind: &Kind, came: Result<Reply, Fault>) {
        match (kind, came) {
            (Kind::Created, Ok(reply)) => {
                let job = reply.queued_job();
                job.into_iter().for_each(|job| self.house.counter.note_host(job, self.peer.ip()));
                shape::push_return(out, |out| match job {
                    Some(job) => spalloc::value::push_int(out, job.0),
                    None => shape::push_null(out),
                });
            }
            (Kind::State, Ok(Reply::Seen(View::JobState(job)))) => {
                let host = job.as_ref().and_then(|job| self.house.counter.host_of(job.id));
                shape::push_return(out, |out| shape::push_state(out, job.as_ref(), host));
            }
            (Kind::MachineInfo, Ok(Reply::Seen(View::JobMachine(held)))) => {
                shape::push_return(out, |out| shape::push_machine_info(out, held.as_ref()));
            }
            (Kind::WhereIs, Ok(Reply::Seen(View::WhereIs(found)))) => {
                shape::push_return(out, |out| shape::push_where(out, found.as_ref()));
            }
            (Kind::Null, Err(fault)) if is_nothing_to_do(&fault) => null(out),
            (_, Err(fault)) => shape::push_exception(out, &fault.msg),
            (_, Ok(_)) => null(out),
        }
    }

    /// Says what changed, if that was asked for.
    pub fn push_notices(&mut self, out: &mut Vec<u8>) {
        let Some(watcher) = &self.watcher else { return };
        let pending = watcher.take();
        let (mut jobs, mut machines, mut text) = (pending.jobs, pending.machines, String::new());
        if pending.lost > 0 {
            // Who was told too little is told everything.
            let (all_jobs, all_machines) = self.everything();
            jobs = jobs.into_iter().chain(all_jobs).collect::<BTreeSet<_>>().into_iter().collect();
            machines =
                machines.into_iter().chain(all_machines).collect::<BTreeSet<_>>().into_iter().collect();
        }
        if !jobs.is_empty() {
            shape::push_jobs_changed(&mut text, &jobs);
        }
        if !machines.is_empty() {
            shape::push_machines_changed(&mut text, &machines);
        }
        out.extend_from_slice(text.as_bytes());
    }

    /// All jobs that live and all machines, where all are watched.
    fn everything(&self) -> (Vec<u64>, Vec<MachineName>) {
        let (jobs, machines) = self.watches_all;
        self.house.counter.see(|lab| {
            let jobs = jobs.then(|| lab.see(&Query::Jobs(JobFilter::default())));
            let jobs = match jobs {
                Some(Ok(View::Jobs(jobs))) => jobs.iter().map(|job| job.id.0).collect(),
                _ => Vec::new(),
            };
            let machines = lab.machine_specs().filter(|_| machines).map(|spec| spec.name.clone());
            (jobs, machines.collect())
        })
    }
}

/// How long an answer may be: as long as is kept for a peer that takes nothing at first.
fn bytes_max(config: &Config) -> usize {
    let limits = &config.limits;
    limits.answer_bytes_max.min(limits.output_bytes_max.saturating_sub(OUT_BYTES_PAUSE).max(OUT_BYTES_PAUSE))
}

/// The news that a visit is.
fn visit(caller: Caller, asks: Vec<Ask>, answer: oneshot::Sender<Answers>) -> News {
    News::Visit(Visit { caller, asks, answer })
}

/// Whether a job is unknown, over, or waits without boards: then there was nothing to do, and nobody is told so.
fn is_nothing_to_do(fault: &Fault) -> bool {
    [Code::JOB_UNKNOWN, Code::JOB_OVER, Code::JOB_WITHOUT_BOARDS].contains(&fault.code)
}

fn null(out: &mut String) {
    shape::push_return(out, shape::push_null);
}

/// Appends a whole answer, or what was raised instead.
fn push_answer(out: &mut String, answer: Result<String, String>) {
    match answer {
        Ok(line) => out.push_str(&line),
        Err(text) => shape::push_exception(out, &text),
    }
}
