//! `berth tunnel`: the boards of a job on addresses of this host, for programs that know nothing of Berth.
//!
//! Each board gets a loopback address of its own, with the same ports as the board; what a program says there goes through
//! a channel of the server to the board, and what the board answers comes back to that program. With a program behind `--`
//! the tunnel ends with it, and the program is told of the local addresses as `berth run` tells of the boards'.
//!
//! Reading order: this file (one thread that waits for all), `flows` (local sockets, and who speaks through which channel).

mod flows;

use super::answers::{Board, BoardName, DESTROYED, Job, JobMachine, READY};
use super::context::{Context, read};
use super::exit::{Exit, Failure};
use super::run::program::Program;
use super::run::signals;
use super::run::substitute::Told;
use super::table::Table;
use crate::client::{Client, ClientError, Event, Request};
use clap::Args;
use flows::Flows;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::Signal;
use serde_json::{Value, json};
use std::ffi::OsString;
use std::io::{Read, Write};
use std::net::Ipv4Addr;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::{Duration, Instant};

/// Where SC&MP listens on a board, and the boot ROM.
const PORTS: [u16; 2] = [17_893, 54_321];
/// So many boards are asked for in one message.
const BOARDS_PER_MESSAGE: usize = 100;
/// Between two looks at the job there is at most this, and at least that.
const LOOK_MAX: Duration = Duration::from_secs(30);
/// See above.
const LOOK_MIN: Duration = Duration::from_millis(100);
/// So many looks, which are signs of life, fit into one keepalive.
const LOOKS_PER_KEEPALIVE: u32 = 3;
/// A program whose boards are gone has this long to end before it is killed.
const KILL_AFTER: Duration = Duration::from_secs(5);

/// `berth tunnel`.
#[derive(Args, Debug)]
pub struct TunnelArgs {
    /// The job, which must be ready. It is kept alive meanwhile.
    #[arg(value_name = "JOB")]
    job: u64,
    /// A port of the boards; may be given several times [default: 17893 and 54321].
    #[arg(long = "port", short, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    ports: Vec<u16>,
    /// The address of the first board here, in 127.0.0.0/8; the others follow [default: one that is free].
    #[arg(long, value_name = "127.A.B.C", value_parser = parse_loopback)]
    address: Option<Ipv4Addr>,
    /// A program to be run with its arguments, in which {hostname}, {ethernet_ips} and the other words of `berth run` are
    /// replaced, with local addresses; the environment too is as there. The tunnel ends with it; the job does not.
    #[arg(last = true, value_name = "PROGRAM")]
    program: Vec<OsString>,
}

fn parse_loopback(text: &str) -> Result<Ipv4Addr, String> {
    let address: Ipv4Addr = text.parse().map_err(|_| "four numbers are needed, as 127.9.0.1".to_owned())?;
    if address.is_loopback() { Ok(address) } else { Err("it is not in 127.0.0.0/8".to_owned()) }
}

/// A board of the job, and where it is to be found.
#[derive(Debug)]
pub struct Place {
    machine: String,
    name: BoardName,
    /// Its Ethernet chip as the job counts.
    chip: Option<[u32; 2]>,
    /// The board's own host.
    host: String,
}

impl Place {
    /// A request with this board in it.
    fn ask(&self, request: Request) -> Request {
        named(request, &self.machine, &self.name)
    }
}

fn named(request: Request, machine: &str, name: &BoardName) -> Request {
    let request = request.with("machine", machine);
    match name {
        BoardName::Triad([x, y, z]) => request.with("x", *x).with("y", *y).with("z", *z),
        BoardName::Serial(serial) => request.with("serial", serial.as_str()),
    }
}

/// What wakes the one thread, beside sockets.
enum News {
    /// A signal came for us.
    Signal(Signal),
    /// The program ended.
    Exited,
}

/// Leaves news, and wakes who waits for sockets.
#[derive(Clone)]
struct Teller {
    news: Sender<News>,
    wake: Arc<UnixStream>,
}

impl Teller {
    fn tell(&self, news: News) {
        // Whoever should hear it may be gone; a full pipe wakes as well.
        let _ = self.news.send(news);
        let _ = (&*self.wake).write(&[1]);
    }
}

/// Opens the tunnel and keeps it open; answers the status to end with.
pub fn tunnel(context: &Context, args: &TunnelArgs) -> Result<u8, Failure> {
    let mut client = context.open()?;
    let (teller, news, woken) = teller()?;
    let heard = teller.clone();
    signals::watch(move |signal| heard.tell(News::Signal(signal)))
        .map_err(|error| Failure::usage(format!("signals cannot be watched: {error}")))?;
    let job: Job = read(&client.ask(Request::new("get_job").with("job_id", args.job))?)?;
    if job.state != READY {
        let msg = format!("job {} is {}; a tunnel needs one that is ready", args.job, job.state_name);
        return Err(Failure::new(Exit::Refused, msg));
    }
    let machine: JobMachine =
        read(&client.ask(Request::new("get_job_machine_info").with("job_id", args.job))?)?;
    let places = places(&mut client, &machine)?;
    let ports = if args.ports.is_empty() { PORTS.to_vec() } else { args.ports.clone() };
    check(&mut client, args.job, &places, &ports)?;
    let (first, locals) = flows::bind(args.address, args.job, places.len(), &ports)?;
    client.ask(Request::new("notify_job").with("job_id", args.job))?;
    show(context, args.job, &places, first, &ports)?;
    let told = Told::new(args.job, here(machine, &places, first), context.address());
    let program = match start(&told, &args.program, &teller) {
        Ok(program) => program,
        Err((status, why)) => {
            context.error(&why);
            return Ok(status);
        }
    };
    let flows = Flows::new(args.job, places, locals);
    let look_every = look_every(job.keepalive);
    let kill_at = None;
    Tunnel { context, client, flows, news, woken, program, look_every, kill_at, over: None }.run()
}

fn teller() -> Result<(Teller, Receiver<News>, UnixStream), Failure> {
    let pair = UnixStream::pair().and_then(|(wake, woken)| {
        wake.set_nonblocking(true)?;
        woken.set_nonblocking(true)?;
        Ok((wake, woken))
    });
    let (wake, woken) = pair.map_err(|error| Failure::usage(format!("no pipe can be had: {error}")))?;
    let (tell, news) = mpsc::channel();
    Ok((Teller { news: tell, wake: Arc::new(wake) }, news, woken))
}

/// How long there may be between two signs of life.
fn look_every(keepalive_s: Option<f64>) -> Duration {
    let keepalive = keepalive_s.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    keepalive.map_or(LOOK_MAX, |all| (all / LOOKS_PER_KEEPALIVE).clamp(LOOK_MIN, LOOK_MAX))
}

/// The boards of a job that have a host; only those of a torus do.
fn places(client: &mut Client, machine: &JobMachine) -> Result<Vec<Place>, Failure> {
    let name = machine.machine_name.as_deref().unwrap_or_default();
    let boards: Vec<_> = machine.boards.iter().flatten().collect();
    let mut places = Vec::new();
    for boards in boards.chunks(BOARDS_PER_MESSAGE) {
        let pair = |board: &&BoardName| {
            ["get_board", "where_is"].map(|fname| named(Request::new(fname), name, board))
        };
        let torus = boards.iter().filter(|board| matches!(board, BoardName::Triad(_)));
        let requests: Vec<_> = torus.flat_map(pair).collect();
        let answers = client.call_many(&requests)?.into_iter().collect::<Result<Vec<_>, _>>();
        for pair in answers.map_err(ClientError::Call)?.chunks_exact(2) {
            let [board, whereabouts] = pair else { continue };
            let board: Board = read(board)?;
            let chip = serde_json::from_value(whereabouts["job_chip"].clone()).ok();
            if let Some(host) = board.host.filter(|host| !host.is_empty()) {
                places.push(Place { machine: board.machine, name: board.board, chip, host });
            }
        }
    }
    if places.is_empty() {
        return Err(Failure::new(Exit::Refused, "no board of the job has a host"));
    }
    Ok(places)
}

/// Opens a channel to each port of the first board, to hear of refusals before anything is promised.
fn check(client: &mut Client, job: u64, places: &[Place], ports: &[u16]) -> Result<(), Failure> {
    let Some(first) = places.first() else { return Ok(()) };
    for port in ports {
        let open = Request::new("open_channel").with("job_id", job).with("port", *port);
        let channel = client.ask(first.ask(open))?["channel"].clone();
        client.ask(Request::new("close_channel").with("channel", channel))?;
    }
    Ok(())
}

/// The address of a board here.
fn local_address(first: Ipv4Addr, board: usize) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(first).wrapping_add(board as u32))
}

/// What `get_job_machine_info` would say if the boards stood here.
fn here(machine: JobMachine, places: &[Place], first: Ipv4Addr) -> JobMachine {
    let at = |(board, place): (usize, &Place)| Some((place.chip?, local_address(first, board).to_string()));
    JobMachine { connections: Some(places.iter().enumerate().filter_map(at).collect()), ..machine }
}

/// Prints which board is where.
fn show(
    context: &Context,
    job: u64,
    places: &[Place],
    first: Ipv4Addr,
    ports: &[u16],
) -> Result<(), Failure> {
    let ports_text = ports.iter().map(u16::to_string).collect::<Vec<_>>().join(" ");
    let mut table = Table::new(&["BOARD", "CHIP", "HOST", "ADDRESS", "PORTS"]);
    let mut list = Vec::new();
    for (board, place) in places.iter().enumerate() {
        let address = local_address(first, board).to_string();
        let chip = place.chip.map(|[x, y]| format!("{x},{y}")).unwrap_or_default();
        let name = place.name.on(&place.machine);
        list.push(json!({
            "board": name, "machine": place.machine, "chip": place.chip, "host": place.host,
            "address": address, "ports": ports,
        }));
        table.push([name, chip, place.host.clone(), address, ports_text.clone()]);
    }
    match context.shared.json {
        true => context.print_json_line(&json!({"job_id": job, "boards": list})),
        false => context.print(&context.table_text(&table)),
    }
}

/// Starts the program, if there is one, or answers the status to end with and the reason.
fn start(told: &Told, words: &[OsString], teller: &Teller) -> Result<Option<Program>, (u8, String)> {
    let Some(name) = words.first() else { return Ok(None) };
    let cannot = |error: std::io::Error| {
        let status = if error.kind() == std::io::ErrorKind::NotFound { 127 } else { 126 };
        (status, format!("'{}' cannot be started: {error}", name.to_string_lossy()))
    };
    let (words, exited) = (told.substitute(words).map_err(cannot)?, teller.clone());
    let started = Program::start(&words, &told.environment(), move || exited.tell(News::Exited));
    started.map(Some).map_err(cannot)
}

/// A tunnel that is open.
struct Tunnel<'a> {
    context: &'a Context,
    client: Client,
    flows: Flows,
    news: Receiver<News>,
    /// Can be read when there is news.
    woken: UnixStream,
    program: Option<Program>,
    look_every: Duration,
    /// When a program whose boards are gone is killed.
    kill_at: Option<Instant>,
    /// Why the job is over.
    over: Option<String>,
}

/// Which sockets can be read.
#[derive(Default)]
struct Ready {
    server: bool,
    news: bool,
    locals: Vec<usize>,
}

impl Tunnel<'_> {
    /// Passes datagrams until it ends; answers the status to end with. A program does not outlive its tunnel.
    fn run(mut self) -> Result<u8, Failure> {
        let ended = self.pass();
        if ended.is_err() {
            self.end_program();
        }
        ended
    }

    fn end_program(&mut self) {
        let Some(program) = &mut self.program else { return };
        program.signal(Signal::TERM);
        let until = Instant::now() + KILL_AFTER;
        while let Ok(news) = self.news.recv_timeout(until.saturating_duration_since(Instant::now())) {
            if matches!(news, News::Exited) {
                break;
            }
        }
        program.signal(Signal::KILL);
        // It has ended, or is ending; what it ended with is of no use any more.
        let _ = program.reap();
    }

    fn pass(&mut self) -> Result<u8, Failure> {
        let mut look_at = Instant::now() + self.look_every;
        loop {
            let ready = self.wait(self.kill_at.map_or(look_at, |kill| kill.min(look_at)))?;
            if ready.news
                && let Some(status) = self.take_news()?
            {
                return Ok(status);
            }
            if ready.server {
                self.take_events()?;
            }
            for local in ready.locals {
                self.flows.send(&mut self.client, local, self.context)?;
            }
            // Answers may have brought events with them.
            self.take_events()?;
            let now = Instant::now();
            if now >= look_at {
                look_at = now + self.look_every;
                self.look()?;
                self.flows.close_idle(&mut self.client, now)?;
            }
            if let Some(status) = self.end_if_over(now) {
                return Ok(status);
            }
        }
    }

    /// Waits until something can be read or it is time.
    fn wait(&self, until: Instant) -> Result<Ready, Failure> {
        let left = until.saturating_duration_since(Instant::now());
        let left = Timespec { tv_sec: left.as_secs() as i64, tv_nsec: left.subsec_nanos().into() };
        let client = self.client.as_fd();
        let fixed = [client, self.woken.as_fd()];
        let sockets = self.flows.locals().iter().map(|local| local.socket.as_fd());
        let mut polled: Vec<_> =
            fixed.into_iter().chain(sockets).map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)).collect();
        match poll(&mut polled, Some(&left)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(Failure::usage(format!("sockets cannot be waited for: {error}"))),
        }
        let mut readable = polled.iter().map(|fd| !fd.revents().is_empty());
        let (server, news) = (readable.next() == Some(true), readable.next() == Some(true));
        let locals = readable.enumerate().filter_map(|(local, ready)| ready.then_some(local)).collect();
        Ok(Ready { server, news, locals })
    }

    /// Hears signals, and that the program has ended; the status to end with, if that is it.
    fn take_news(&mut self) -> Result<Option<u8>, Failure> {
        let mut bytes = [0; 64];
        while matches!((&self.woken).read(&mut bytes), Ok(1..)) {}
        while let Ok(news) = self.news.try_recv() {
            match (news, &mut self.program) {
                (News::Signal(signal), None) => return Ok(Some(signals::status(signal))),
                (News::Signal(signal), Some(program)) => program.pass_on(signal),
                (News::Exited, Some(program)) => {
                    let lost = |error| Failure::usage(format!("the program is lost: {error}"));
                    let status = program.reap().map_err(lost)?;
                    let over = self.over.is_some();
                    return Ok(Some(if over { Exit::NotAvailable as u8 } else { status }));
                }
                (News::Exited, None) => {}
            }
        }
        Ok(None)
    }

    fn take_events(&mut self) -> Result<(), Failure> {
        while let Some(event) = self.client.try_event()? {
            self.take_event(&event)?;
        }
        Ok(())
    }

    fn take_event(&mut self, event: &Event) -> Result<(), Failure> {
        match event.name.as_str() {
            "datagrams" => self.flows.deliver(&event.data),
            "channel_closed" => self.flows.forget(&event.data),
            "jobs_changed" => self.look()?,
            _ if event.is_farewell() => self.context.note("the server is shutting down"),
            _ => {}
        }
        Ok(())
    }

    /// Looks whether the job is over; a sign of life of its owner.
    fn look(&mut self) -> Result<(), Failure> {
        let job = self.flows.job();
        let ask = |fname| Request::new(fname).with("job_id", job);
        let state = self.client.ask(ask("get_job_state"))?;
        if state["state"] == READY || state["state"] == 2 || self.over.is_some() {
            return Ok(());
        }
        let over = state["state"] == DESTROYED || state["state"] == 0;
        let why = if over { words(&state["reason"], "it is forgotten") } else { "it lost its boards".into() };
        self.over = Some(why);
        Ok(())
    }

    /// Ends the program, if there is one, when the job is over; the status to end with without one.
    fn end_if_over(&mut self, now: Instant) -> Option<u8> {
        let why = self.over.as_ref()?;
        let told = self.kill_at.is_some();
        if !told {
            self.context.error(&format!("job {} is over: {why}", self.flows.job()));
        }
        let Some(program) = &self.program else { return Some(Exit::NotAvailable as u8) };
        match self.kill_at {
            None => program.signal(Signal::TERM),
            Some(at) if now >= at => program.signal(Signal::KILL),
            Some(_) => return None,
        }
        self.kill_at = Some(now + KILL_AFTER);
        None
    }
}

/// A text of an answer, or something else where there is none.
fn words(value: &Value, otherwise: &str) -> String {
    value.as_str().unwrap_or(otherwise).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_follow_each_other_and_are_loopback() {
        let first: Ipv4Addr = "127.9.0.254".parse().unwrap();
        let addresses: Vec<_> = (0..3).map(|board| local_address(first, board).to_string()).collect();
        assert_eq!(addresses, ["127.9.0.254", "127.9.0.255", "127.9.1.0"]);
        assert_eq!(parse_loopback("127.9.0.254"), Ok(first));
        assert!(parse_loopback("10.0.0.1").is_err() && parse_loopback("localhost").is_err());
    }

    #[test]
    fn signs_of_life_fit_the_keepalive() {
        assert_eq!(look_every(None), LOOK_MAX);
        assert_eq!(look_every(Some(6.0)), Duration::from_secs(2));
        assert_eq!((look_every(Some(0.01)), look_every(Some(1e300))), (LOOK_MIN, LOOK_MAX));
    }
}
