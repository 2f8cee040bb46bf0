//! `berth watch`: what changes, as it changes.
//!
//! With `--json` each change is one line: `{"event":"job","at":..,"job":JOB}`, `{"event":"machine","at":..,"machine":MACHINE}`,
//! `{"event":"gone","at":..,"job_id":..}` for a job the server has forgotten. The first lines tell how things are at the start, and again
//! after a connection broke; what was told already is not told again.

use super::answers::{DESTROYED, Job, Machine, names_text};
use super::context::{Context, read};
use super::exit::Failure;
use super::table::{plain, time_text};
use crate::client::{Answer, Client, ClientError, Dial, Request};
use crate::clock::Clock;
use crate::error::Code;
use clap::Args;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::thread;
use std::time::Duration;

/// So many jobs are looked at in one message.
const JOBS_PER_MESSAGE: usize = 100;
/// How long to wait for an event before waiting anew.
const EVENT_MAX: Duration = Duration::from_secs(3600);
/// The first pause after a connection broke; it doubles.
const PAUSE_MIN: Duration = Duration::from_millis(100);
/// The longest pause.
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// `berth watch`.
#[derive(Args, Debug)]
pub struct WatchArgs {
    /// Only these jobs, until all of them are destroyed; without any, all jobs.
    #[arg(value_name = "JOB")]
    jobs: Vec<u64>,
    /// Machines instead of jobs.
    #[arg(long, conflicts_with = "jobs")]
    machines: bool,
}

/// Prints changes until there can be none, or it is interrupted.
pub fn watch(context: &Context, args: &WatchArgs) -> Result<(), Failure> {
    let dial = context.dial()?;
    let mut client = dial.open()?;
    let mut watch = Watch { context, args, told: BTreeMap::new(), over: BTreeSet::new() };
    let mut pause = PAUSE_MIN;
    loop {
        match watch.follow(&mut client) {
            Err(Failed::Client(error)) if error.is_connection() => {
                context.note(&format!("{error}; trying again"));
                client = reconnect(&dial, client.session(), &mut pause);
            }
            Err(Failed::Client(error)) => return Err(error.into()),
            Err(Failed::Here(failure)) => return Err(failure),
            Ok(()) => return Ok(()),
        }
    }
}

fn reconnect(dial: &Dial, session: &str, pause: &mut Duration) -> Client {
    loop {
        thread::sleep(*pause);
        match dial.join(session) {
            Ok(client) => {
                *pause = PAUSE_MIN;
                return client;
            }
            Err(_) => *pause = (*pause * 2).min(PAUSE_MAX),
        }
    }
}

/// Why following ended early.
enum Failed {
    /// The server.
    Client(ClientError),
    /// We ourselves.
    Here(Failure),
}

impl From<ClientError> for Failed {
    fn from(error: ClientError) -> Failed {
        Failed::Client(error)
    }
}

impl From<Failure> for Failed {
    fn from(failure: Failure) -> Failed {
        Failed::Here(failure)
    }
}

/// What is watched and what was told of it.
struct Watch<'a> {
    context: &'a Context,
    args: &'a WatchArgs,
    /// What was told last of each job or machine, by its number or name.
    told: BTreeMap<String, Value>,
    /// The jobs that will not change any more.
    over: BTreeSet<u64>,
}

impl Watch<'_> {
    /// Follows changes over one connection until there can be none.
    fn follow(&mut self, client: &mut Client) -> Result<(), Failed> {
        self.subscribe(client)?;
        self.tell_all(client)?;
        while !self.is_over() {
            let Some(event) = client.next_event(EVENT_MAX)? else { continue };
            if event.is_farewell() {
                self.context.note("the server is shutting down");
            } else if client.take_events_lost() > 0 || event.data["lost"].as_u64().unwrap_or(0) > 0 {
                self.tell_all(client)?;
            } else if self.args.machines {
                self.tell_machines(client, &words(&event.data["machines_changed"]))?;
            } else {
                self.tell_jobs(client, &numbers(&event.data["jobs_changed"]))?;
            }
        }
        Ok(())
    }

    fn is_over(&self) -> bool {
        !self.args.jobs.is_empty() && self.args.jobs.iter().all(|job| self.over.contains(job))
    }

    fn subscribe(&self, client: &mut Client) -> Result<(), Failed> {
        let requests = match (self.args.machines, self.args.jobs.as_slice()) {
            (true, _) => vec![Request::new("notify_machine")],
            (false, []) => vec![Request::new("notify_job")],
            (false, jobs) => jobs.iter().map(|job| Request::new("notify_job").with("job_id", *job)).collect(),
        };
        for answer in client.call_many(&requests)? {
            answer.map_err(ClientError::Call)?;
        }
        Ok(())
    }

    /// Tells how everything watched is now.
    fn tell_all(&mut self, client: &mut Client) -> Result<(), Failed> {
        if self.args.machines {
            return self.tell_list(client.ask(Request::new("list_machines"))?);
        }
        if self.args.jobs.is_empty() {
            return self.tell_list(client.ask(Request::new("list_jobs"))?);
        }
        self.tell_jobs(client, &self.args.jobs.clone())
    }

    fn tell_list(&mut self, list: Value) -> Result<(), Failed> {
        for one in list.as_array().map(Vec::as_slice).unwrap_or_default() {
            self.tell(one)?;
        }
        Ok(())
    }

    fn tell_jobs(&mut self, client: &mut Client, jobs: &[u64]) -> Result<(), Failed> {
        for jobs in jobs.chunks(JOBS_PER_MESSAGE) {
            let requests: Vec<_> =
                jobs.iter().map(|job| Request::new("get_job").with("job_id", *job)).collect();
            for (job, answer) in jobs.iter().zip(client.call_many(&requests)?) {
                self.tell_job(*job, answer)?;
            }
        }
        Ok(())
    }

    fn tell_job(&mut self, number: u64, answer: Answer) -> Result<(), Failed> {
        match answer {
            Ok(job) => self.tell(&job),
            Err(refusal) if refusal.code == i64::from(Code::JOB_UNKNOWN.number()) => {
                self.over.insert(number);
                let line = format!("job {number} is not known");
                self.line(&json!({"event": "gone", "at": now_s(), "job_id": number}), &line)
            }
            Err(refusal) => Err(ClientError::Call(refusal).into()),
        }
    }

    fn tell_machines(&mut self, client: &mut Client, names: &BTreeSet<String>) -> Result<(), Failed> {
        // One list costs less than one machine with all its boards.
        let Value::Array(machines) = client.ask(Request::new("list_machines"))? else { return Ok(()) };
        for machine in machines
            .iter()
            .filter(|machine| machine["name"].as_str().is_some_and(|name| names.contains(name)))
        {
            self.tell(machine)?;
        }
        Ok(())
    }

    /// Tells of a job or machine, unless this was told last.
    fn tell(&mut self, one: &Value) -> Result<(), Failed> {
        let kind = if self.args.machines { "machine" } else { "job" };
        let key = if self.args.machines { one["name"].to_string() } else { one["job_id"].to_string() };
        let kept = lasting(one);
        if self.told.get(&key) == Some(&kept) {
            return Ok(());
        }
        let text = if self.args.machines { machine_text(&read(one)?) } else { job_text(&read(one)?) };
        if !self.args.machines && one["state"] == DESTROYED {
            // It changes no more, and there may be very many of them.
            self.told.remove(&key);
            self.over.extend(one["job_id"].as_u64().filter(|job| self.args.jobs.contains(job)));
        } else {
            self.told.insert(key, kept);
        }
        self.line(&json!({"event": kind, "at": now_s(), kind: one}), &text)
    }

    fn line(&self, value: &Value, text: &str) -> Result<(), Failed> {
        match self.context.shared.json {
            true => self.context.print_json_line(value)?,
            false => self.context.print(&format!("{}  {}\n", time_text(now_s()), plain(text)))?,
        }
        Ok(())
    }
}

/// What stays the same until something happens: without the end that each sign of life puts off.
fn lasting(one: &Value) -> Value {
    let mut kept = one.clone();
    if let Some(object) = kept.as_object_mut() {
        object.remove("lapses_at");
    }
    kept
}

fn job_text(job: &Job) -> String {
    let mut text = format!("job {} {} ({}, {})", job.job_id, job.state_name, job.owner, job.want);
    if let (Some(machine), Some(boards)) = (&job.allocated_machine_name, &job.boards) {
        text.push_str(&format!(" on {machine}: {}", names_text(boards)));
    }
    if let Some(reason) = &job.reason {
        text.push_str(&format!(": {reason}"));
    }
    text
}

fn machine_text(machine: &Machine) -> String {
    let counts: Vec<_> = machine.boards.iter().filter(|(_, count)| **count > 0).collect();
    let counts: Vec<_> = counts.into_iter().map(|(state, count)| format!("{count} {state}")).collect();
    format!("machine {}: {}", machine.name, counts.join(", "))
}

fn now_s() -> f64 {
    Clock::system().now().unix_s()
}

fn numbers(list: &Value) -> Vec<u64> {
    list.as_array().into_iter().flatten().filter_map(Value::as_u64).collect()
}

fn words(list: &Value) -> BTreeSet<String> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}
