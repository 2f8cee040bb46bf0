//! `berth create`, and the options it shares with `berth run`.

use super::context::Context;
use super::exit::{Exit, Failure};
use super::size::Size;
use super::span::{Span, parse_seconds, span_text};
use super::wait::{Ended, Next, Progress};
use crate::client::keeper::JobWatch;
use crate::client::{Client, Request};
use clap::Args;
use serde_json::Value;
use std::time::{Duration, Instant};

/// The keepalive of a job unless another is asked for, as `create_job` has it.
const KEEPALIVE_S: f64 = 60.0;

/// What a job is asked for with.
#[derive(Args, Clone, Debug)]
pub struct JobOptions {
    /// Named boards of a pool, instead of a size.
    #[arg(long, value_name = "SERIAL", num_args = 1.., conflicts_with = "size")]
    serial: Vec<String>,
    /// Only this machine.
    #[arg(long, short, value_name = "NAME", conflicts_with = "tag")]
    machine: Option<String>,
    /// Only machines with this tag; may be given several times [default: default].
    #[arg(long, short, value_name = "TAG")]
    tag: Vec<String>,
    /// What the boards are prepared as.
    #[arg(long, short, value_name = "KIND")]
    kind: Option<String>,
    /// The kind's arguments, as JSON.
    #[arg(long, value_name = "JSON", value_parser = parse_json)]
    kind_args: Option<Value>,
    /// Boot the boards once they are on.
    #[arg(long)]
    boot: bool,
    /// How long the job lives without a sign of life: 30s, 5m, 1h30m, never [default: 60s].
    #[arg(long, short = 'K', value_name = "SPAN")]
    keepalive: Option<Span>,
    /// How long the boards are lent at most.
    #[arg(long, value_name = "SPAN", value_parser = parse_seconds)]
    lease: Option<f64>,
    /// How narrow a rectangle may be: 0 takes any, 1 only squares.
    #[arg(long, value_name = "RATIO")]
    min_ratio: Option<f64>,
    /// How many boards of the rectangle may be dead.
    #[arg(long, value_name = "N")]
    max_dead_boards: Option<u32>,
    /// How many links inside the rectangle may be dead.
    #[arg(long, value_name = "N")]
    max_dead_links: Option<u32>,
    /// Only a whole torus, with wrap-around links in both directions.
    #[arg(long)]
    require_torus: bool,
    /// Before whom in the queue; above 0 only for operators.
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    priority: Option<i64>,
    /// For whom; only for operators.
    #[arg(long, value_name = "USER")]
    owner: Option<String>,
    /// A line of text that stands beside the job.
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
    /// Give up waiting after this, and give the job back.
    #[arg(long, value_name = "SPAN", value_parser = parse_seconds)]
    pub wait_max: Option<f64>,
}

impl JobOptions {
    /// The call that creates the job.
    pub fn request(&self, size: Option<Size>) -> Request {
        let request = Request::new("create_job");
        let sized = match size {
            Some(size) => size.ask(request),
            None if self.serial.is_empty() => Size::Boards(1).ask(request),
            None => request.with("serials", self.serial.clone()),
        };
        let tags = (!self.tag.is_empty()).then(|| self.tag.clone());
        sized
            .with_some("machine", self.machine.clone())
            .with_some("tags", tags)
            .with_some("kind", self.kind.clone())
            .with_some("kind_args", self.kind_args.clone())
            .with_some("boot", self.boot.then_some(true))
            .with_some("keepalive", self.keepalive.map(Span::to_value))
            .with_some("lease", self.lease)
            .with_some("min_ratio", self.min_ratio)
            .with_some("max_dead_boards", self.max_dead_boards)
            .with_some("max_dead_links", self.max_dead_links)
            .with_some("require_torus", self.require_torus.then_some(true))
            .with_some("priority", self.priority)
            .with_some("owner", self.owner.clone())
            .with_some("note", self.note.clone())
    }

    /// The job's keepalive; none when it lives without signs of life.
    pub fn keepalive(&self) -> Option<Duration> {
        self.keepalive.unwrap_or(Span::Seconds(KEEPALIVE_S)).duration()
    }

    /// When to give up waiting, if ever.
    pub fn give_up_at(&self) -> Option<Instant> {
        let span = Duration::try_from_secs_f64(self.wait_max?).ok()?;
        Instant::now().checked_add(span)
    }
}

fn parse_json(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|error| format!("not JSON: {error}"))
}

/// Creates a job and answers its number.
pub fn create_job(client: &mut Client, request: Request) -> Result<u64, Failure> {
    let answer = client.ask(request)?;
    answer.as_u64().ok_or_else(|| Failure::unexpected(format!("create_job answered {answer}")))
}

/// `berth create`.
#[derive(Args, Debug)]
pub struct CreateArgs {
    /// N boards, WxH triads, or X,Y,Z for one board [default: 1].
    size: Option<Size>,
    #[command(flatten)]
    job: JobOptions,
    /// Wait until the boards are ready, keeping the job alive meanwhile.
    #[arg(long)]
    wait: bool,
}

/// Creates a job and prints its number.
pub fn create(context: &Context, args: &CreateArgs) -> Result<(), Failure> {
    let dial = context.dial()?;
    let mut client = dial.open()?;
    let job = create_job(&mut client, args.job.request(args.size))?;
    if !args.wait {
        if let Some(keepalive) = args.job.keepalive() {
            context.note(&lapse_note(job, keepalive));
        }
        return context.print(&format!("{job}\n"));
    }
    if !context.shared.json {
        context.print(&format!("{job}\n"))?;
    }
    let mut watch = JobWatch::new(dial, client.session(), job, args.job.keepalive());
    let mut progress = Progress::new(&context.shared, job);
    let ended =
        progress.wait(args.job.give_up_at(), |until| watch.next(until).map_or(Next::Nothing, Next::News));
    match ended {
        Ended::Ready(answer) if context.shared.json => context.print_json(&answer),
        Ended::Ready(_) => Ok(()),
        Ended::Over(reason) => Err(super::wait::over(job, &reason)),
        Ended::TimeOut => {
            let reason = "it was not ready in time";
            let request = Request::new("destroy_job").with("job_id", job).with("reason", reason);
            client.ask(request)?;
            Err(Failure::new(Exit::NotAvailable, format!("job {job} was given back: {reason}")))
        }
        Ended::Gone(why) => Err(Failure::new(Exit::Connection, why)),
        // Nobody stops this wait but the signal that ends the process.
        Ended::Stopped => Ok(()),
    }
}

fn lapse_note(job: u64, keepalive: Duration) -> String {
    let span = span_text(keepalive.as_secs_f64());
    format!("job {job} ends when it is not mentioned for {span}; --keepalive never or 1h lets it live longer")
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;
    use serde_json::json;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: CreateArgs,
    }

    fn asked(line: &str) -> Value {
        let words = std::iter::once("create").chain(line.split_whitespace());
        let args = Line::try_parse_from(words).unwrap().args;
        let request = args.job.request(args.size);
        let mut answer = serde_json::to_value(request).unwrap();
        assert_eq!(answer["fname"].take(), "create_job");
        answer.as_object_mut().unwrap().remove("fname");
        answer
    }

    #[test]
    fn options_become_arguments() {
        assert_eq!(asked(""), json!({"boards": 1}));
        assert_eq!(asked("3x2 --keepalive never"), json!({"width": 3, "height": 2, "keepalive": null}));
        assert_eq!(
            asked("0,1,2 -m m -K 1h30m"),
            json!({"x": 0, "y": 1, "z": 2, "machine": "m", "keepalive": 5400.0})
        );
        assert_eq!(asked("--boot"), json!({"boards": 1, "boot": true}));
        assert_eq!(asked("--serial a b --kind burn"), json!({"serials": ["a", "b"], "kind": "burn"}));
        let rest = "4 -t a --tag b --lease 2h --min-ratio 0.5 --max-dead-boards 0 --max-dead-links 3 \
                    --require-torus --priority -2 --owner ada --note x --kind-args {\"a\":[1]}";
        let expected = json!({
            "boards": 4, "tags": ["a", "b"], "lease": 7200.0, "min_ratio": 0.5, "max_dead_boards": 0,
            "max_dead_links": 3, "require_torus": true, "priority": -2, "owner": "ada", "note": "x",
            "kind_args": {"a": [1]},
        });
        assert_eq!(asked(rest), expected);
    }

    #[test]
    fn what_contradicts_itself_is_wrong() {
        for line in ["3 --serial a", "-m m -t t", "3y2", "--keepalive soon", "--kind-args {", "--lease never"]
        {
            let words = std::iter::once("create").chain(line.split_whitespace());
            assert!(Line::try_parse_from(words).is_err(), "{line}");
        }
    }
}
