//! The load as a whole: sockets are opened, threads work on them, what they counted is added up, sessions are ended.

use super::crew::Crew;
use super::line::Line;
use super::mix::Mix;
use super::pace::{Amount, Pace};
use super::script::{Script, Sheet};
use super::tally::Tally;
use super::tongue::Tongue;
use crate::cli::exit::{Exit, Failure};
use crate::client::{ClientError, Credentials, Greeting, Request};
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::{Duration, Instant};

/// Sockets begin a mix at places so far apart, so that they do not all ask for the same at once.
const TURNS_APART: usize = 37;

/// What is to be done.
#[derive(Clone)]
pub struct Plan {
    /// What is asked.
    pub mix: &'static Mix,
    /// How.
    pub tongue: Tongue,
    /// Sockets.
    pub connections: usize,
    /// Unanswered messages on each.
    pub depth: usize,
    /// Calls in a message.
    pub batch: usize,
    /// Threads.
    pub threads: usize,
    /// Whether every socket has a session of its own.
    pub own_sessions: bool,
    /// How much.
    pub amount: Amount,
    /// Operations per second; none for as many as possible.
    pub rate: Option<f64>,
    /// Which jobs are created.
    pub job: Request,
    /// Who asks.
    pub credentials: Credentials,
    /// How long a connection, and each answer before the load begins, may take.
    pub timeout: Duration,
}

/// What came of it.
pub struct Loaded {
    /// What was counted.
    pub tally: Tally,
    /// The names of the steps.
    pub steps: Vec<&'static str>,
    /// How long it was counted, in seconds.
    pub seconds: f64,
}

impl Loaded {
    /// Operations done per second.
    pub fn rate(&self) -> f64 {
        if self.seconds > 0.0 { self.tally.done as f64 / self.seconds } else { 0.0 }
    }
}

/// Loads a server until the plan is fulfilled or `stop` is set.
pub fn load(address: &str, plan: &Plan, stop: &Arc<AtomicBool>) -> Result<Loaded, Failure> {
    let address = resolve(address, plan.timeout)?;
    let (lines, sessions) = open_lines(address, plan)?;
    let script = Arc::new(Script::new(plan.mix, plan.tongue, &plan.credentials, &plan.job, plan.batch));
    let threads = plan.threads.min(lines.len());
    let mut shares: Vec<Vec<Line>> = (0..threads).map(|_| Vec::new()).collect();
    lines.into_iter().enumerate().for_each(|(at, line)| shares[at % threads].push(line));
    let mut crews = Vec::new();
    for (thread, share) in shares.into_iter().enumerate() {
        let pace = Pace::new(plan.amount, plan.rate, thread as u64, threads as u64);
        let crew = crew(&script, plan.tongue, share, &sessions, plan.depth, pace, stop.clone());
        crews.push(crew.map_err(no_load)?);
    }
    let tally = work(crews, script.len()).map_err(no_load)?;
    if plan.tongue == Tongue::Native {
        end_sessions(address, plan.timeout, &sessions);
    }
    let counted_from_ns = match plan.amount {
        Amount::Time { warmup_ns, .. } => warmup_ns,
        Amount::Operations(_) => 0,
    };
    let seconds = tally.ended_ns.saturating_sub(counted_from_ns) as f64 / 1e9;
    Ok(Loaded { tally, steps: script.names().collect(), seconds })
}

fn no_load(error: io::Error) -> Failure {
    Failure::new(Exit::NotAvailable, format!("the load cannot be made: {error}"))
}

/// The first address of a host that answers; of several that do not, the first, which then tells why.
fn resolve(address: &str, timeout: Duration) -> Result<SocketAddr, Failure> {
    let failed = |cause| Failure::from(ClientError::Connect { address: address.to_owned(), cause });
    let found: Vec<SocketAddr> = address.to_socket_addrs().map_err(failed)?.collect();
    match found.as_slice() {
        [] => Err(failed(io::Error::new(io::ErrorKind::NotFound, "the name has no address"))),
        [only] => Ok(*only),
        [first, ..] => {
            let answers = |at: &&SocketAddr| Line::connect(**at, timeout, Tongue::Native).is_ok();
            Ok(*found.iter().find(answers).unwrap_or(first))
        }
    }
}

/// Opens the sockets, and one session or as many as there are sockets.
fn open_lines(address: SocketAddr, plan: &Plan) -> Result<(Vec<Line>, Vec<String>), Failure> {
    let (mut lines, mut sessions) = (Vec::new(), Vec::new());
    for at in 0..plan.connections {
        let mut line = match plan.tongue {
            Tongue::Spalloc => {
                if at == 0 {
                    sessions.push(String::new());
                }
                Line::connect(address, plan.timeout, plan.tongue)?
            }
            Tongue::Native => open_line(address, plan, at, &mut sessions)?,
        };
        line.turn = at * TURNS_APART;
        lines.push(line);
    }
    Ok((lines, sessions))
}

/// Opens a socket and, if it is the first or has its own, a session.
fn open_line(
    address: SocketAddr,
    plan: &Plan,
    at: usize,
    sessions: &mut Vec<String>,
) -> Result<Line, Failure> {
    let (mut line, greeting) = Line::open(address, plan.timeout)?;
    if at == 0 {
        keep_limits(&greeting, plan)?;
    }
    if at == 0 || plan.own_sessions {
        line.sheet = sessions.len();
        sessions.push(line.shake_hands(&plan.credentials)?);
    }
    Ok(line)
}

/// A load that the server would have to refuse measures nothing.
fn keep_limits(greeting: &Greeting, plan: &Plan) -> Result<(), Failure> {
    for (option, value, limit) in
        [("--batch", plan.batch, "calls_max"), ("--depth", plan.depth, "in_flight_max")]
    {
        match greeting.limits.get(limit) {
            Some(max) if value as u64 > *max => {
                return Err(Failure::usage(format!(
                    "{option} {value}: limits.{limit} of the server is {max}"
                )));
            }
            _ => {}
        }
    }
    Ok(())
}

/// A crew with the sessions its sockets use.
fn crew(
    script: &Arc<Script>,
    tongue: Tongue,
    mut lines: Vec<Line>,
    sessions: &[String],
    depth: usize,
    pace: Pace,
    stop: Arc<AtomicBool>,
) -> io::Result<Crew> {
    let mut sheets: Vec<(usize, Sheet)> = Vec::new();
    for line in &mut lines {
        if sheets.last().is_none_or(|(session, _)| *session != line.sheet) {
            sheets.push((line.sheet, Sheet::new(script, sessions[line.sheet].clone())));
        }
        line.sheet = sheets.len() - 1;
    }
    let sheets = sheets.into_iter().map(|(_, sheet)| sheet).collect();
    Crew::new(script.clone(), tongue, sheets, lines, depth, pace, stop)
}

/// Lets all crews work at once, and adds up what they counted.
fn work(crews: Vec<Crew>, steps: usize) -> io::Result<Tally> {
    let began = Instant::now();
    let mut total = Tally::new(steps);
    thread::scope(|scope| {
        let working: Vec<_> = crews.into_iter().map(|crew| scope.spawn(move || crew.work(began))).collect();
        for crew in working {
            let counted = crew.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
            total.add(&counted);
        }
        Ok(total)
    })
}

/// Sessions that cannot be ended end by themselves.
fn end_sessions(address: SocketAddr, timeout: Duration, sessions: &[String]) {
    if let Ok((mut line, _)) = Line::open(address, timeout) {
        let _ = sessions.iter().try_for_each(|session| line.log_out(session));
    }
}
