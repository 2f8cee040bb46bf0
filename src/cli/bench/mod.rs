//! `berth bench`: a load for the native door or the spalloc door, and how well the server bore it.
//!
//! It is made to cost little, so that the server is what is measured: few threads with an epoll loop each, first messages
//! encoded once, answers known by their bytes, latencies in histograms of fixed size. `--calibrate` tells how much it can
//! measure at all, by loading a server that sends canned answers.
//!
//! An operation is a call; in the mixes `pairs` and `login` it is two messages, the second of which takes away what the first
//! made. Counted is what is begun between the warm-up and the end; all of it is waited for, and the rate is what was
//! done until the last answer. With `--rate` operations have moments of their own, and their latency counts from there whether or
//! not they could be begun: a stall is seen by all that it delays.
//!
//! Reading order: this file, `mix` (what is asked, as data), `script` (as bytes), `pace` (when), `tongue` (at which door), `line` (a socket), `crew` (a thread), `load`
//! (all threads), `tally` (what is counted), `report` and `place` (what is told), `canned`. Deliberately not here: other
//! programs to compare with.

mod canned;
mod crew;
mod line;
mod load;
mod mix;
mod pace;
mod place;
mod report;
mod script;
mod tally;
mod tongue;

use super::call::parse_argument;
use super::context::{ANSWER_MAX, Context};
use super::exit::{Exit, Failure, exit_of};
use super::run::signals;
use super::serve::raise_open_files;
use super::span::parse_seconds;
use crate::client::{Client, Credentials, Request};
use canned::{Canned, Labour};
use clap::Args;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use load::{Loaded, Plan, load};
use mix::{MIXES, Mix};
use pace::Amount;
use place::Place;
use report::{Ceiling, Counters, Report};
use serde_json::Value;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;
use tongue::Tongue;

/// The most sockets; more than that and the system runs out of ports for one address.
const CONNECTIONS_MAX: u64 = 20_000;
/// The most threads.
const THREADS_MAX: u64 = 64;
/// A calibration takes at most so many seconds.
const CALIBRATION_S_MAX: f64 = 3.0;

/// `berth bench`.
#[derive(Args, Debug)]
pub struct BenchArgs {
    /// What is asked.
    #[arg(long, value_name = "NAME", default_value = "version", value_parser = mixes())]
    mix: &'static Mix,
    /// Sockets.
    #[arg(long, short, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..=CONNECTIONS_MAX))]
    connections: u64,
    /// Messages in flight on each socket.
    #[arg(long, short, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    depth: u64,
    /// Calls in each message.
    #[arg(long, short, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    batch: u64,
    /// How long to measure.
    #[arg(long, short, value_name = "SPAN", default_value = "10", value_parser = parse_seconds)]
    seconds: f64,
    /// How long to run before that, uncounted.
    #[arg(long, value_name = "SPAN", default_value = "1", value_parser = parse_seconds)]
    warmup: f64,
    /// Measure so many operations instead of a time.
    #[arg(long, short = 'n', value_name = "N", conflicts_with_all = ["seconds", "warmup"])]
    operations: Option<u64>,
    /// Begin so many operations per second, whatever the server does, and count latencies from when each should have begun.
    #[arg(long, value_name = "OPS", value_parser = parse_rate)]
    rate: Option<f64>,
    /// Load the spalloc door at this address; counters are still read at --server, if somebody answers there.
    #[arg(long, value_name = "HOST:PORT", conflicts_with_all = ["own_sessions", "calibrate"])]
    spalloc: Option<String>,
    /// Give each socket a session of its own instead of one for all.
    #[arg(long)]
    own_sessions: bool,
    /// Threads.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=THREADS_MAX))]
    threads: u64,
    /// An argument of create_job in pairs; may be given several times [default: boards=1].
    #[arg(long, value_name = "NAME=VALUE", value_parser = parse_argument)]
    job: Vec<(String, Value)>,
    /// First find out what the generator reaches with the same sockets against a server of one thread that does nothing,
    /// or nothing but the framing, and tell it beside the result.
    #[arg(long, value_name = "LABOUR", num_args = 0..=1, require_equals = true, default_missing_value = "canned")]
    calibrate: Option<Labour>,
    /// Load nothing; be the server of --calibrate at this address until told to stop, so that it can be given a core.
    #[arg(long, value_name = "HOST:PORT")]
    be: Option<String>,
}

fn mixes() -> impl TypedValueParser<Value = &'static Mix> {
    let names = MIXES.iter().map(|mix| PossibleValue::new(mix.name).help(mix.about));
    PossibleValuesParser::new(names).try_map(|name| Mix::named(&name).ok_or("no such mix"))
}

fn parse_rate(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(rate) if rate > 0.0 && rate <= 1e9 => Ok(rate),
        _ => Err(format!("'{text}' is no number above 0")),
    }
}

impl BenchArgs {
    fn plan(&self, credentials: Credentials) -> Plan {
        let mut job = Request { fname: "create_job".to_owned(), args: self.job.clone() };
        if job.args.is_empty() {
            job = job.with("boards", 1).with("note", "berth bench");
        }
        Plan {
            mix: self.mix,
            tongue: if self.spalloc.is_some() { Tongue::Spalloc } else { Tongue::Native },
            connections: self.connections as usize,
            depth: self.depth as usize,
            batch: self.batch as usize,
            threads: self.threads.min(self.connections) as usize,
            own_sessions: self.own_sessions,
            amount: self.amount(self.warmup, self.seconds),
            rate: self.rate,
            job,
            credentials,
            timeout: ANSWER_MAX,
        }
    }

    /// At the spalloc door not everything can be said.
    fn check(&self) -> Result<(), Failure> {
        if self.spalloc.is_none() {
            return Ok(());
        }
        if self.batch != 1 {
            return Err(Failure::usage(
                "--batch: a message of the spalloc door has one call; use --depth".to_owned(),
            ));
        }
        match Tongue::Spalloc.lacks(self.mix) {
            Some(step) => {
                Err(Failure::usage(format!("--mix {}: the spalloc door has no {step}", self.mix.name)))
            }
            None => Ok(()),
        }
    }

    fn amount(&self, warmup_s: f64, span_s: f64) -> Amount {
        let ns = |seconds: f64| (seconds * 1e9) as u64;
        match self.operations {
            Some(count) => Amount::Operations(count),
            None => Amount::Time { warmup_ns: ns(warmup_s), span_ns: ns(span_s) },
        }
    }
}

/// Loads the server, and prints how it bore it.
pub fn bench(context: &Context, args: &BenchArgs) -> Result<(), Failure> {
    if let Some(address) = &args.be {
        return be(context, args, address);
    }
    let machine = Place::here();
    args.check()?;
    let dial = context.dial()?;
    let mut client = match args.spalloc {
        // Other servers of this tongue have no native door.
        Some(_) => dial.open().ok(),
        None => Some(dial.open()?),
    };
    // A calibration has both ends of every socket in this process.
    let files = raise_open_files(args.connections as usize * if args.calibrate.is_some() { 2 } else { 1 });
    if !files.suffice() {
        context.note(&format!("the system allows {} open files; {} are wanted", files.allowed, files.wanted));
    }
    let plan = args.plan(dial.credentials);
    let stop = stop_on_signal()?;
    let canned = args.calibrate.map(|labour| calibrate(args, labour, &plan, &stop)).transpose()?;
    let (before, since) = (client.as_mut().and_then(counters), Instant::now());
    let address = args.spalloc.clone().unwrap_or_else(|| context.address());
    let loaded = load(&address, &plan, &stop)?;
    let seconds = since.elapsed().as_secs_f64();
    let journal = client.as_mut().and_then(counters).zip(before);
    let journal = journal.map(|(after, before)| after.since(before, loaded.tally.all, seconds));
    // It ends by itself if not so.
    let _ = client.map(|mut client| client.command(crate::wire::Command::Logout));
    let report = Report::new(&plan, &loaded, machine).beside(canned).with_journal(journal);
    let report = report.cut_short(stop.load(Ordering::Relaxed));
    match context.shared.json {
        true => context.print_json(&serde_json::to_value(&report).map_err(Failure::unexpected)?)?,
        false => context.print(&report.text(plan.mix.about))?,
    }
    judge(&loaded, &plan)
}

/// A load of which nothing was done has failed.
fn judge(loaded: &Loaded, plan: &Plan) -> Result<(), Failure> {
    let tally = &loaded.tally;
    if tally.lost == plan.connections as u64 {
        return Err(Failure::new(Exit::Connection, "every connection was lost"));
    }
    match tally.failed.first_key_value() {
        Some((code, failed)) if tally.done == 0 => {
            let exit = code.map_or(Exit::Connection, exit_of);
            Err(Failure::Told {
                exit,
                code: *code,
                msg: format!("every operation failed, the first with: {}", failed.msg),
            })
        }
        _ => Ok(()),
    }
}

/// Ctrl-C and the like end the load early; a second one ends the process.
fn stop_on_signal() -> Result<Arc<AtomicBool>, Failure> {
    let stop = Arc::new(AtomicBool::new(false));
    let told = stop.clone();
    let watched = signals::watch(move |signal| {
        if told.swap(true, Ordering::Relaxed) {
            std::process::exit(signals::status(signal).into());
        }
    });
    watched.map_err(|error| Failure::usage(format!("signals cannot be watched: {error}")))?;
    Ok(stop)
}

/// What the generator reaches with the same sockets where the server has nothing to do.
fn calibrate(
    args: &BenchArgs,
    labour: Labour,
    plan: &Plan,
    stop: &Arc<AtomicBool>,
) -> Result<Ceiling, Failure> {
    let canned = Canned::open("127.0.0.1:0", plan.batch, labour).map_err(no_server)?;
    let plan = Plan {
        mix: &MIXES[0],
        own_sessions: false,
        rate: None,
        credentials: Credentials::Guest,
        amount: args.amount(args.warmup.min(1.0), args.seconds.min(CALIBRATION_S_MAX)),
        ..plan.clone()
    };
    Ok(Ceiling::new(labour, &load(&canned.address().to_string(), &plan, stop)?))
}

fn no_server(error: std::io::Error) -> Failure {
    Failure::new(Exit::NotAvailable, format!("there is no server to measure against: {error}"))
}

/// Answers as the server of `--calibrate` does, until told to stop.
fn be(context: &Context, args: &BenchArgs, address: &str) -> Result<(), Failure> {
    let (stop, stopped) = std::sync::mpsc::channel();
    let watched = signals::watch(move |_| {
        let _ = stop.send(());
    });
    watched.map_err(|error| Failure::usage(format!("signals cannot be watched: {error}")))?;
    raise_open_files(args.connections as usize);
    let labour = args.calibrate.unwrap_or(Labour::Framing);
    let canned = Canned::open(address, args.batch as usize, labour).map_err(no_server)?;
    context.print(&format!("listening on {}\n", canned.address()))?;
    // It only fails when nobody can tell any more, which is an end too.
    let _ = stopped.recv();
    Ok(())
}

/// How often the server's journal was written, if the server counts that.
fn counters(client: &mut Client) -> Option<Counters> {
    Counters::read(&client.ask(Request::new("get_status")).ok()?)
}
