//! Sockets that wait, and sockets that watch.

use berth::wire::{self, Body, Envelope, FrameLimits, Unframer};
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::fd::OwnedFd;
use std::error::Error;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// Whoever waits longer than this for an answer waits in vain.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks the watchers' reader sleeps. On a socket of the same host the sender would wake it for each notice, with an
/// interrupt to the reader's processor each time, which is work of the server that watchers elsewhere never make.
const NAP: Duration = Duration::from_micros(100);
/// What the sockets call themselves.
const NAME: &str = "bench";

/// Opens a socket that gives up after a while.
fn open(address: SocketAddr) -> Result<TcpStream, Box<dyn Error>> {
    let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// Reads one frame; nothing else is on its way.
fn frame(stream: &mut TcpStream) -> Result<Body, Box<dyn Error>> {
    let (mut unframer, mut piece) = (Unframer::new(FrameLimits::default()), [0; 4096]);
    loop {
        let count = stream.read(&mut piece)?;
        if count == 0 {
            return Err("the server closed a connection".into());
        }
        if let (_, Some(frame)) = unframer.feed(&piece[..count]) {
            return Ok(frame.map_err(|error| error.to_string())?);
        }
    }
}

fn ask(
    stream: &mut TcpStream,
    session: &str,
    data: &serde_json::Value,
) -> Result<serde_json::Value, Box<dyn Error>> {
    let (mut text, mut out) = (Vec::new(), Vec::new());
    Envelope { session, name: NAME, id: None }.push_data(&mut text, data);
    wire::encode(&text, &mut out);
    stream.write_all(&out)?;
    Ok(serde_json::from_slice(&frame(stream)?)?)
}

/// Opens sockets that have been used once, and keeps them until the input ends.
pub fn hold(address: SocketAddr, count: usize) -> Result<(), Box<dyn Error>> {
    let (mut held, mut session) = (Vec::with_capacity(count), String::new());
    let call = serde_json::json!([{"fname": "get_version"}]);
    for at in 0..count {
        let mut stream = open(address)?;
        frame(&mut stream)?;
        if at == 0 {
            let answer = ask(&mut stream, "", &serde_json::json!({}))?;
            session = answer["session"].as_str().ok_or("no session")?.to_owned();
        }
        let answer = ask(&mut stream, &session, &call)?;
        if answer["data"].as_array().is_none_or(|data| data.len() != 1) {
            return Err(format!("no answer: {answer}").into());
        }
        held.push(stream);
    }
    println!("ready");
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}

/// A line of the spalloc door.
fn line(stream: &mut TcpStream) -> Result<Vec<u8>, Box<dyn Error>> {
    let (mut line, mut piece) = (Vec::new(), [0; 4096]);
    while !line.ends_with(b"\n") {
        let count = stream.read(&mut piece)?;
        if count == 0 {
            return Err("the server closed a connection".into());
        }
        line.extend_from_slice(&piece[..count]);
    }
    Ok(line)
}

fn create(actor: &mut TcpStream) -> Result<u64, Box<dyn Error>> {
    actor.write_all(
        b"{\"command\": \"create_job\", \"kwargs\": {\"owner\": \"bench\", \"keepalive\": null}}\n",
    )?;
    let answer: serde_json::Value = serde_json::from_slice(&line(actor)?)?;
    answer["return"].as_u64().ok_or_else(|| format!("no job: {answer}").into())
}

fn destroy(actor: &mut TcpStream, job: u64) -> Result<(), Box<dyn Error>> {
    actor.write_all(format!("{{\"command\": \"destroy_job\", \"args\": [{job}]}}\n").as_bytes())?;
    line(actor).map(drop)
}

/// One who acts and many who watch.
pub fn watch(address: SocketAddr, count: usize, rounds: usize) -> Result<(), Box<dyn Error>> {
    let mut actor = open(address)?;
    let mut watchers = Watchers::open(address, count)?;
    let (mut from_wish_us, mut from_answer_us) = (Vec::new(), Vec::new());
    let spent = spent_us();
    for _ in 0..rounds {
        let begun = Instant::now();
        let job = create(&mut actor)?;
        let answered_us = begun.elapsed().as_micros() as u64;
        for heard_us in watchers.hear(begun)? {
            from_wish_us.push(heard_us);
            from_answer_us.push(heard_us.saturating_sub(answered_us));
        }
        destroy(&mut actor, job)?;
        watchers.drain()?;
    }
    let own_us = (spent_us() - spent) as f64 / (watchers.notices as f64).max(1.0);
    let notices = watchers.notices as f64 / (rounds * count).max(1) as f64;
    let (wish_us, answer_us) = (spread(from_wish_us), spread(from_answer_us));
    println!(
        "{}",
        serde_json::json!({"wish_us": wish_us, "answer_us": answer_us, "notices": notices, "own_us": own_us})
    );
    Ok(())
}

/// Those who watch, and read in one thread.
struct Watchers {
    streams: Vec<TcpStream>,
    ear: OwnedFd,
    /// How often one of them had something to read.
    notices: u64,
}

impl Watchers {
    /// They all watch all jobs.
    fn open(address: SocketAddr, count: usize) -> Result<Watchers, Box<dyn Error>> {
        let (ear, mut streams) = (epoll::create(CreateFlags::CLOEXEC)?, Vec::with_capacity(count));
        for at in 0..count {
            let mut stream = open(address)?;
            stream.write_all(b"{\"command\": \"notify_job\"}\n")?;
            line(&mut stream)?;
            stream.set_nonblocking(true)?;
            epoll::add(&ear, &stream, EventData::new_u64(at as u64), EventFlags::IN)?;
            streams.push(stream);
        }
        Ok(Watchers { streams, ear, notices: 0 })
    }

    /// Waits until everyone has heard something, and says when each did first.
    fn hear(&mut self, begun: Instant) -> Result<Vec<u64>, Box<dyn Error>> {
        let mut heard_us = vec![None; self.streams.len()];
        let mut left = self.streams.len();
        while left > 0 {
            for at in self.readable(PATIENCE)? {
                self.swallow(at)?;
                if heard_us[at].is_none() {
                    heard_us[at] = Some(begun.elapsed().as_micros() as u64);
                    left -= 1;
                }
            }
            std::thread::sleep(NAP);
        }
        Ok(heard_us.into_iter().flatten().collect())
    }

    /// Takes what comes until nothing does for a while.
    fn drain(&mut self) -> Result<(), Box<dyn Error>> {
        while !self.streams.is_empty() {
            let ready = self.readable(Duration::from_millis(20))?;
            if ready.is_empty() {
                break;
            }
            ready.into_iter().try_for_each(|at| self.swallow(at))?;
            std::thread::sleep(NAP);
        }
        Ok(())
    }

    fn swallow(&mut self, at: usize) -> Result<(), Box<dyn Error>> {
        self.notices += 1;
        match self.streams[at].read(&mut [0; 256])? {
            0 => Err("the server closed a connection".into()),
            _ => Ok(()),
        }
    }

    fn readable(&self, within: Duration) -> Result<Vec<usize>, Box<dyn Error>> {
        let mut events = Vec::with_capacity(256);
        let within = Timespec { tv_sec: within.as_secs() as i64, tv_nsec: within.subsec_nanos().into() };
        epoll::wait(&self.ear, rustix::buffer::spare_capacity(&mut events), Some(&within))?;
        Ok(events.iter().map(|event| event.data.u64() as usize).collect())
    }
}

/// Processor time of this process so far.
fn spent_us() -> u64 {
    let spent = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    spent.tv_sec as u64 * 1_000_000 + spent.tv_nsec as u64 / 1_000
}

fn spread(mut times_us: Vec<u64>) -> serde_json::Value {
    times_us.sort_unstable();
    let at = |part: usize| times_us.get(times_us.len().saturating_sub(1) * part / 1000).copied();
    serde_json::json!({"p50": at(500), "p99": at(990), "max": at(1000), "count": times_us.len()})
}
