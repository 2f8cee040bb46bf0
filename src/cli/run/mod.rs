//! `berth run`: boards for as long as a program runs, and never longer.
//!
//! ```text
//!   create the job ──> wait (queue, power) ──> run the program ──> give the job back
//!          │                    │                    │                    ^
//!          │                    └── a signal, a time-out, the job is over │
//!          └── refused                               └───────────────────>┘
//! ```
//!
//! One thread decides; it hears from a thread for signals, from the keeper's and from one that waits for the program. The job
//! is held by a `Loan`, which gives it back when it is dropped, whatever ended us.
//!
//! Reading order: this file, `loan`, `program` (the child process), `signals`, `substitute` (what the program is told).

mod loan;
pub(super) mod program;
pub(super) mod signals;
pub(super) mod substitute;

use super::answers::JobMachine;
use super::context::{Context, read};
use super::create::{JobOptions, create_job};
use super::exit::{Exit, Failure};
use super::size::Size;
use super::span::parse_seconds;
use super::wait::{Ended, Next, Progress, over};
use crate::client::Request;
use crate::client::keeper::{JobNews, JobWatch, Keeper};
use clap::Args;
use loan::Loan;
use program::Program;
use rustix::process::Signal;
use std::ffi::OsString;
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::{Duration, Instant};
use substitute::Told;

/// A program whose boards are gone has this long to end before it is killed, in seconds.
const KILL_AFTER_S: &str = "5";

/// `berth run`.
#[derive(Args, Debug)]
pub struct RunArgs {
    /// N boards, WxH triads, or X,Y,Z for one board [default: 1].
    size: Option<Size>,
    #[command(flatten)]
    job: JobOptions,
    /// When the job ends before the program: how long after SIGTERM comes SIGKILL.
    #[arg(long, value_name = "SPAN", value_parser = parse_seconds, default_value = KILL_AFTER_S)]
    kill_after: f64,
    /// The program and its arguments, in which these words are replaced: {hostname} (of the first board), {ethernet_ips} (a
    /// file with lines x,y,hostname), {width}, {height} (in chips), {job}, {boards}. The environment has BERTH_JOB,
    /// BERTH_HOSTNAME, BERTH_WIDTH, BERTH_HEIGHT, BERTH_BOARDS, BERTH_MACHINE and BERTH_SERVER.
    #[arg(last = true, required = true, value_name = "PROGRAM")]
    program: Vec<OsString>,
}

/// What the deciding thread hears.
enum News {
    /// Of the job.
    Job(JobNews),
    /// A signal came for us.
    Signal(Signal),
    /// The program ended.
    Exited,
}

/// Runs a program on boards of its own; answers the status to end with.
pub fn run(context: &Context, args: &RunArgs) -> Result<u8, Failure> {
    let dial = context.dial()?;
    let mut client = dial.open()?;
    // From here on a signal must not end us before the job is given back.
    let (tell, news) = mpsc::channel();
    watch_signals(&tell)?;
    let job = create_job(&mut client, args.job.request(args.size))?;
    let watch = JobWatch::new(dial.clone(), client.session(), job, args.job.keepalive());
    let mut loan = Loan::new(dial, client, job);
    let hear = tell.clone();
    loan.keep(Keeper::start(watch, move |of_job| drop(hear.send(News::Job(of_job)))));
    let mut progress = Progress::new(&context.shared, job);
    if let Some(signal) = await_ready(&news, &mut progress, args.job.give_up_at(), &mut loan)? {
        return Ok(signals::status(signal));
    }
    let machine: JobMachine = read(&loan.ask(Request::new("get_job_machine_info").with("job_id", job))?)?;
    let told = Told::new(job, machine, context.address());
    let mut program = match start(&told, &args.program, &tell) {
        Ok(program) => program,
        Err((status, why)) => {
            loan.because(&why);
            context.error(&why);
            return Ok(status);
        }
    };
    let kill_after = Duration::try_from_secs_f64(args.kill_after).unwrap_or(Duration::MAX);
    attend(context, &news, &mut program, &mut loan, kill_after)
}

fn watch_signals(tell: &Sender<News>) -> Result<(), Failure> {
    let tell = tell.clone();
    signals::watch(move |signal| drop(tell.send(News::Signal(signal))))
        .map_err(|error| Failure::usage(format!("signals cannot be watched: {error}")))
}

/// Waits until the boards are ready; a signal ends the wait.
fn await_ready(
    news: &Receiver<News>,
    progress: &mut Progress,
    give_up_at: Option<Instant>,
    loan: &mut Loan,
) -> Result<Option<Signal>, Failure> {
    let mut signal = None;
    let ended = progress.wait(give_up_at, |until| match hear(news, Some(until)) {
        Some(News::Job(news)) => Next::News(news),
        Some(News::Signal(came)) => {
            signal = Some(came);
            Next::Stop
        }
        Some(News::Exited) | None => Next::Nothing,
    });
    if let Some(signal) = signal {
        loan.because(&format!("{} came while the job waited", signals::name(signal)));
    }
    match ended {
        Ended::Ready(_) | Ended::Stopped => Ok(signal),
        Ended::Over(reason) => {
            loan.is_over();
            Err(over(loan.job(), &reason))
        }
        Ended::TimeOut => {
            loan.because("it was not ready in time");
            Err(Failure::new(Exit::NotAvailable, format!("job {} was not ready in time", loan.job())))
        }
        Ended::Gone(why) => Err(Failure::new(Exit::Connection, why)),
    }
}

/// The next news; none if there is none by then.
fn hear(news: &Receiver<News>, until: Option<Instant>) -> Option<News> {
    match until {
        // The senders live as long as we do, so an error cannot be.
        None => news.recv().ok(),
        Some(until) => news.recv_timeout(until.saturating_duration_since(Instant::now())).ok(),
    }
}

/// Starts the program, or answers the status to end with and the reason.
fn start(told: &Told, words: &[OsString], tell: &Sender<News>) -> Result<Program, (u8, String)> {
    let cannot = |error: std::io::Error| {
        let status = if error.kind() == std::io::ErrorKind::NotFound { 127 } else { 126 };
        let program = words.first().map(|word| word.to_string_lossy()).unwrap_or_default();
        (status, format!("'{program}' cannot be started: {error}"))
    };
    let exited = tell.clone();
    let words = told.substitute(words).map_err(cannot)?;
    Program::start(&words, &told.environment(), move || drop(exited.send(News::Exited))).map_err(cannot)
}

/// Stays with the program until it ends. Signals are passed on; if the job is over, the program is ended.
fn attend(
    context: &Context,
    news: &Receiver<News>,
    program: &mut Program,
    loan: &mut Loan,
    kill_after: Duration,
) -> Result<u8, Failure> {
    let mut job_is_over = false;
    let mut kill_at = None;
    loop {
        match hear(news, kill_at) {
            None => {
                program.signal(Signal::KILL);
                kill_at = None;
            }
            Some(News::Exited) => break,
            Some(News::Signal(signal)) => program.pass_on(signal),
            Some(News::Job(JobNews::Over(reason))) => {
                loan.is_over();
                context.error(&format!("job {} is over: {reason}; ending the program", loan.job()));
                program.signal(Signal::TERM);
                kill_at = Instant::now().checked_add(kill_after);
                job_is_over = true;
            }
            Some(News::Job(JobNews::Lost(why))) => {
                context.note(&format!("{why}; the program goes on while the server is tried again"));
            }
            Some(News::Job(JobNews::Back)) => context.note("connected again"),
            Some(News::Job(_)) => {}
        }
    }
    let status = program.reap().map_err(|error| Failure::usage(format!("the program is lost: {error}")))?;
    loan.because(&format!("the program ended with status {status}"));
    Ok(if job_is_over { Exit::NotAvailable as u8 } else { status })
}
