//! `berth list`, `show`, `release`, `power`, `explain`: what there is to say of jobs, and to do with them.

use super::answers::{DESTROYED, Explanation, Job, Past, READY, names_text};
use super::context::{ANSWER_MAX, Context, read};
use super::each::for_each_job;
use super::exit::{Exit, Failure};
use super::span::{keepalive_text, span_text};
use super::table::{Table, plain, time_text};
use super::wait::over;
use crate::client::{Answer, Client, Request};
use crate::clock::Clock;
use clap::{Args, ValueEnum};
use serde_json::Value;
use std::time::Duration;

/// One `wait_job` takes at most this long; then it is asked again.
const WAIT_S: f64 = 60.0;

/// `berth list`.
#[derive(Args, Debug)]
pub struct ListArgs {
    /// Also jobs that are destroyed.
    #[arg(long)]
    all: bool,
    /// Only your own.
    #[arg(long, conflicts_with = "owner")]
    mine: bool,
    /// Only this user's.
    #[arg(long, value_name = "USER")]
    owner: Option<String>,
    /// Only jobs that have boards of this machine, or wait for them.
    #[arg(long, short, value_name = "NAME")]
    machine: Option<String>,
    /// Only jobs in this state.
    #[arg(long, value_name = "STATE", conflicts_with = "all")]
    state: Option<String>,
}

/// Prints jobs, oldest first.
pub fn list(context: &Context, args: &ListArgs) -> Result<(), Failure> {
    let mut client = context.open()?;
    let owner = match args.mine {
        true => Some(client.ask(Request::new("whoami"))?["user"].as_str().unwrap_or_default().to_owned()),
        false => args.owner.clone(),
    };
    let live = Request::new("list_jobs").with_some("owner", owner).with_some("machine", args.machine.clone());
    let requests = match (&args.state, args.all) {
        (Some(state), _) => vec![live.with("state", state.as_str())],
        (None, true) => vec![live.clone(), live.with("state", "destroyed")],
        (None, false) => vec![live],
    };
    let answers: Result<Vec<Value>, _> = client.call_many(&requests)?.into_iter().collect();
    let mut jobs: Vec<_> = answers?.into_iter().flat_map(into_list).collect();
    jobs.sort_by_key(|job| job["job_id"].as_u64());
    context
        .print_answer(&Value::Array(jobs), |jobs: Vec<Job>| context.table_text(&jobs_table(&jobs, now_s())))
}

fn into_list(answer: Value) -> Vec<Value> {
    match answer {
        Value::Array(list) => list,
        _ => Vec::new(),
    }
}

fn now_s() -> f64 {
    Clock::system().now().unix_s()
}

fn jobs_table(jobs: &[Job], now_s: f64) -> Table {
    let mut table = Table::new(&[
        "JOB",
        "STATE",
        "OWNER",
        "WANT",
        "MACHINE",
        "BOARDS",
        "KEEPALIVE",
        "AGE",
        "NOTE/REASON",
    ]);
    for job in jobs {
        let note =
            if job.state == DESTROYED { job.reason.clone().unwrap_or_default() } else { job.note.clone() };
        table.push([
            job.job_id.to_string(),
            job.state_name.clone(),
            job.owner.clone(),
            job.want.clone(),
            job.allocated_machine_name.clone().unwrap_or_default(),
            job.boards.as_ref().map(|boards| boards.len().to_string()).unwrap_or_default(),
            keepalive_text(job.keepalive),
            span_text(now_s - job.start_time),
            note,
        ]);
    }
    table
}

/// `berth show`.
#[derive(Args, Debug)]
pub struct ShowArgs {
    /// The number of a job, or the word `server`.
    #[arg(value_name = "JOB|server")]
    what: What,
}

/// What can be shown.
#[derive(Clone, Debug, PartialEq)]
enum What {
    /// A job.
    Job(u64),
    /// The server.
    Server,
}

impl std::str::FromStr for What {
    type Err = String;

    fn from_str(text: &str) -> Result<What, String> {
        match text {
            "server" => Ok(What::Server),
            _ => text.parse().map(What::Job).map_err(|_| "the number of a job, or 'server'".to_owned()),
        }
    }
}

/// Prints all there is to know of a job, or of the server. As JSON a job is an object with `job` and `history`.
pub fn show(context: &Context, args: &ShowArgs) -> Result<(), Failure> {
    let What::Job(job) = args.what else {
        return context.show(Request::new("get_status"), |status: Value| fields_text(&status, ""));
    };
    let request = |fname| Request::new(fname).with("job_id", job);
    let answers = context.open()?.call_many(&[request("get_job"), request("job_history")])?;
    let [job, history] = both(answers)?;
    if context.shared.json {
        return context.print_json(&serde_json::json!({"job": job, "history": history}));
    }
    let (job, history): (Job, Vec<Past>) = (read(&job)?, read(&history)?);
    context.print(&(job_text(&job) + &history_text(&history)))
}

fn both(answers: Vec<Answer>) -> Result<[Value; 2], Failure> {
    let answers: Result<Vec<Value>, _> = answers.into_iter().collect();
    answers?.try_into().map_err(|_| Failure::unexpected("not as many answers as calls"))
}

fn job_text(job: &Job) -> String {
    let time = |at: Option<f64>| at.map(time_text);
    let number = |number: Option<u64>| number.map(|number| number.to_string());
    let power = job.power.map(|on| if on { "on" } else { "off" }.to_owned());
    let text = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    let lines = [
        ("job", Some(job.job_id.to_string())),
        ("state", text(&job.state_name)),
        ("reason", job.reason.clone()),
        ("owner", text(&job.owner)),
        ("note", text(&job.note)),
        ("want", text(&job.want)),
        ("tags", text(&job.tags.join(" "))),
        ("only on", job.machine.clone()),
        ("kind", job.kind.clone()),
        ("priority", Some(job.priority.to_string())),
        ("ahead", number(job.ahead)),
        ("machine", job.allocated_machine_name.clone()),
        ("boards", job.boards.as_deref().map(names_text)),
        ("power", power),
        ("created", time(Some(job.start_time))),
        ("granted", time(job.granted_at)),
        ("keepalive", Some(keepalive_text(job.keepalive))),
        ("lapses", time(job.lapses_at)),
        ("lease", job.lease.map(span_text)),
        ("lease ends", time(job.lease_ends_at)),
        ("ended", time(job.ended_at)),
    ];
    lines_text(lines.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))))
}

fn history_text(history: &[Past]) -> String {
    let lines = history.iter().map(|past| format!("  {}  {}\n", time_text(past.at), plain(&past.detail)));
    std::iter::once("history\n".to_owned()).chain(lines).collect()
}

fn lines_text(lines: impl Iterator<Item = (String, String)>) -> String {
    lines.map(|(name, value)| format!("{:<12}{}\n", plain(&name), plain(&value))).collect()
}

/// An object as lines, objects inside it as names with a point.
fn fields_text(value: &Value, before: &str) -> String {
    let Some(object) = value.as_object() else { return String::new() };
    let field = |(name, value): (&String, &Value)| match value {
        Value::Object(_) => fields_text(value, &format!("{before}{name}.")),
        Value::Null => String::new(),
        Value::String(text) if text.is_empty() => String::new(),
        Value::String(text) => field_text(before, name, text),
        Value::Number(seconds) if name == "uptime" => {
            field_text(before, name, &span_text(seconds.as_f64().unwrap_or_default()))
        }
        other => field_text(before, name, &other.to_string()),
    };
    object.iter().map(field).collect()
}

fn field_text(before: &str, name: &str, value: &str) -> String {
    format!("{:<20}{}\n", plain(&format!("{before}{name}")), plain(value))
}

/// `berth release`.
#[derive(Args, Debug)]
pub struct ReleaseArgs {
    /// The jobs.
    #[arg(required = true, value_name = "JOB")]
    jobs: Vec<u64>,
    /// Why, for the history.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

/// Gives jobs back. All are tried, whatever becomes of one.
pub fn release(context: &Context, args: &ReleaseArgs) -> Result<(), Failure> {
    let request =
        |job| Request::new("destroy_job").with("job_id", job).with_some("reason", args.reason.clone());
    for_each_job(context, &args.jobs, request, |job, _| format!("job {job} is given back"))
}

/// `berth power`.
#[derive(Args, Debug)]
pub struct PowerArgs {
    /// Whether the boards are to be on.
    on: Power,
    /// The job.
    job: u64,
    /// Wait until the boards have done it.
    #[arg(long)]
    wait: bool,
}

/// On or off.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Power {
    /// Switch the boards on; those that are on are switched off and on.
    On,
    /// Switch them off.
    Off,
}

/// Switches the boards of a job.
pub fn power(context: &Context, args: &PowerArgs) -> Result<(), Failure> {
    let (fname, word) = match args.on {
        Power::On => ("power_on_job_boards", "on"),
        Power::Off => ("power_off_job_boards", "off"),
    };
    let mut client = context.open()?;
    let answer = client.ask(Request::new(fname).with("job_id", args.job))?;
    if !args.wait {
        return match context.shared.json {
            true => context.print_json(&answer),
            false => {
                context.note(&format!("the boards of job {} are being switched {word}", args.job));
                Ok(())
            }
        };
    }
    let job = wait_ready(&mut client, args.job)?;
    context.print_answer(&job, |_: Value| String::new())?;
    if !context.shared.json {
        context.note(&format!("the boards of job {} are {word}", args.job));
    }
    Ok(())
}

/// Waits until a job is ready again.
fn wait_ready(client: &mut Client, job: u64) -> Result<Value, Failure> {
    loop {
        let request =
            Request::new("wait_job").with("job_id", job).with("state", "ready").with("timeout", WAIT_S);
        let answer = client.ask_within(request, Duration::from_secs_f64(WAIT_S) + ANSWER_MAX)?;
        match read::<Job>(&answer)? {
            Job { state: READY, .. } => return Ok(answer),
            Job { state: DESTROYED, reason, .. } => return Err(over(job, &reason.unwrap_or_default())),
            _ => {}
        }
    }
}

/// `berth explain`.
#[derive(Args, Debug)]
pub struct ExplainArgs {
    /// The job.
    job: u64,
}

/// Prints why a job waits.
pub fn explain(context: &Context, args: &ExplainArgs) -> Result<(), Failure> {
    let request = Request::new("explain_job").with("job_id", args.job);
    context.show(request, |explanation: Explanation| explanation_text(context, &explanation))
}

fn explanation_text(context: &Context, explanation: &Explanation) -> String {
    let mut text = format!("{}\n", plain(&explanation.sentence));
    if let Some(at) = explanation.starts_by {
        text.push_str(&format!("it starts by {}\n", time_text(at)));
    }
    let mut table = Table::new(&["MACHINE", "BOARD", "STATE", "JOB", "OWNER", "UNTIL"]);
    let mut rows = 0;
    for wait in &explanation.machines {
        if let Some(obstacle) = &wait.obstacle {
            text.push_str(&format!("{}: {}\n", plain(&wait.machine), plain(obstacle)));
        }
        for (state, count) in &wait.out_of_use {
            text.push_str(&format!("{}: {count} {}\n", plain(&wait.machine), plain(state)));
        }
        for blocker in &wait.waits_for {
            rows += 1;
            table.push([
                wait.machine.clone(),
                blocker.board.to_string(),
                blocker.state.clone(),
                blocker.job_id.map(|job| job.to_string()).unwrap_or_default(),
                blocker.owner.clone().unwrap_or_default(),
                blocker.until.map(time_text).unwrap_or_default(),
            ]);
        }
    }
    if rows > 0 {
        text.push_str(&context.table_text(&table));
    }
    text
}

/// The failure of a job that is not there.
pub fn no_such(what: &str) -> Failure {
    Failure::new(Exit::Refused, format!("{what} is not there"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn jobs_are_a_table() {
        let jobs: Vec<Job> = read(&json!([
            {"job_id": 1, "state": 4, "state_name": "destroyed", "owner": "ada", "want": "1 board", "keepalive": 60.0,
             "start_time": 1000.0, "boards": [[0, 0, 0]], "allocated_machine_name": "m", "reason": "enough", "note": "n"},
            {"job_id": 2, "state": 1, "state_name": "queued", "owner": "bob", "want": "2x1 triads", "keepalive": null,
             "start_time": 4600.0, "boards": null, "note": ""},
        ]))
        .unwrap();
        let text = jobs_table(&jobs, 4660.0).render(false);
        assert_eq!(
            text,
            "JOB  STATE      OWNER  WANT        MACHINE  BOARDS  KEEPALIVE  AGE   NOTE/REASON\n\
             1    destroyed  ada    1 board     m        1       1m         1h1m  enough\n\
             2    queued     bob    2x1 triads  -        -       never      1m    -\n"
        );
    }

    #[test]
    fn a_job_is_shown_in_full() {
        let job: Job = read(&json!({"job_id": 7, "state_name": "ready", "owner": "ada", "power": true,
            "boards": [[0, 0, 0], [0, 0, 1]], "lease": 7200.0, "start_time": 0.0}))
        .unwrap();
        let text = job_text(&job);
        for line in ["job         7\n", "power       on\n", "boards      0,0,0 0,0,1\n", "lease       2h\n"] {
            assert!(text.contains(line), "{line:?} is missing in {text}");
        }
        assert!(!text.contains("reason"));
    }

    #[test]
    fn an_object_is_shown_as_lines() {
        let status =
            json!({"name": "berth", "uptime": 61.0, "jobs": {"ready": 2}, "reason": null, "doors": ["a"]});
        assert_eq!(
            fields_text(&status, ""),
            "doors               [\"a\"]\njobs.ready          2\nname                berth\nuptime              1m1s\n"
        );
    }

    #[test]
    fn what_can_be_shown() {
        assert_eq!("server".parse(), Ok(What::Server));
        assert_eq!("7".parse(), Ok(What::Job(7)));
        assert!("seven".parse::<What>().is_err());
    }
}
