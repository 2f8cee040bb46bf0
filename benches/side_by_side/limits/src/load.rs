//! The loop of the load: one thread, one epoll, many connections, each with its own talk.

use crate::measure::Tally;
use crate::talk::{self, Talk, Then};
use mio::event::Event;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use serde_json::Value;
use std::error::Error;
use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Bytes read at once.
const READ_BYTES: usize = 64 * 1024;
/// So long at most it goes unnoticed that the time is over.
const LOOK_UP: Duration = Duration::from_millis(100);
/// How exact pauses are.
const TICK: Duration = Duration::from_millis(1);
/// So long the last answers are waited for.
const PATIENCE: Duration = Duration::from_secs(10);
/// After so many mishaps nothing more is tried.
const ERRORS_MAX: u64 = 100;

/// What is to be done.
pub struct Plan {
    /// What is said: a name that `talk` knows.
    pub what: String,
    /// To whom.
    pub address: SocketAddr,
    /// Connections at the same time.
    pub connections: usize,
    /// Operations in flight on each.
    pub depth: usize,
    /// Calls in each message.
    pub batch: usize,
    /// How long operations are begun.
    pub time: Duration,
    /// How long a client waits between an answer and its next request, where the talk knows of that.
    pub pause: Duration,
    /// Whether each request has a connection of its own.
    pub fresh: bool,
}

/// One connection and what is said on it.
struct Lane {
    stream: TcpStream,
    talk: Box<dyn Talk>,
    heard: Vec<u8>,
    say: Vec<u8>,
    resting: bool,
    /// Nothing is said before then.
    silent_until: Option<Instant>,
}

/// Does it, and tells what was counted.
pub fn run(plan: &Plan) -> Result<Value, Box<dyn Error>> {
    let mut poll = Poll::new()?;
    let mut lanes = Vec::new();
    for at in 0..plan.connections {
        let stream = connect(plan, &poll, at)?;
        lanes.push(Lane {
            stream,
            talk: talk::named(plan, at)?,
            heard: Vec::new(),
            say: Vec::new(),
            resting: false,
            silent_until: None,
        });
    }
    let begun = Instant::now();
    let mut tally = Tally::new(plan.time);
    for lane in &mut lanes {
        lane.talk.open(&mut lane.say);
        lane.flush()?;
    }
    let (mut events, mut input, mut errors) = (Events::with_capacity(1024), vec![0; READ_BYTES], 0);
    while lanes.iter().any(|lane| !lane.resting)
        && Instant::now() < tally.until() + PATIENCE
        && errors < ERRORS_MAX
    {
        match poll.poll(&mut events, Some(if plan.pause.is_zero() { LOOK_UP } else { TICK })) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            other => other?,
        }
        for event in &events {
            let Some(lane) = lanes.get_mut(event.token().0) else { continue };
            match lane.attend(event, &mut input, &mut tally) {
                Ok(Then::Listen) => {}
                Ok(Then::Pause) => lane.silent_until = Some(Instant::now() + plan.pause),
                Ok(Then::Rest) => lane.resting = true,
                Ok(Then::Anew) => lane.open_anew(plan, &poll, event.token().0)?,
                Err(error) => {
                    tally.failed(error);
                    errors += 1;
                    if tally.goes_on() {
                        lane.start_over(plan, &poll, event.token().0)?
                    } else {
                        lane.resting = true
                    }
                }
            }
        }
        for lane in
            lanes.iter_mut().filter(|lane| lane.silent_until.is_some_and(|until| until <= Instant::now()))
        {
            lane.silent_until = None;
            lane.flush()?;
        }
    }
    for lane in lanes.iter().filter(|lane| !lane.resting) {
        tally.failed(format!("no answer for {PATIENCE:?}: {} bytes heard", lane.heard.len()));
    }
    Ok(tally.told(begun))
}

fn connect(plan: &Plan, poll: &Poll, at: usize) -> io::Result<TcpStream> {
    let stream = std::net::TcpStream::connect(plan.address)?;
    stream.set_nodelay(plan.what != talk::APART)?;
    stream.set_nonblocking(true)?;
    let mut stream = TcpStream::from_std(stream);
    poll.registry().register(&mut stream, Token(at), Interest::READABLE | Interest::WRITABLE)?;
    Ok(stream)
}

impl Lane {
    /// Hears what came and says what follows from it.
    fn attend(&mut self, event: &Event, input: &mut [u8], tally: &mut Tally) -> Result<Then, String> {
        let mut then = Then::Listen;
        while event.is_readable() && matches!(then, Then::Listen) && !self.resting {
            let count = match self.stream.read(input) {
                Ok(0) => return Err("the server closed the connection".to_owned()),
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error.to_string()),
            };
            self.heard.extend_from_slice(&input[..count]);
            let (taken, next) = self.talk.hear(&self.heard, &mut self.say, tally)?;
            self.heard.drain(..taken);
            then = next;
            if count < input.len() {
                break;
            }
        }
        if matches!(then, Then::Listen) && self.silent_until.is_none() {
            self.flush().map_err(|error| error.to_string())?;
        }
        Ok(then)
    }

    /// Sends what there is to say, in as many pieces as the talk wants.
    fn flush(&mut self) -> io::Result<()> {
        let mut sent = 0;
        while sent < self.say.len() {
            let piece = self.talk.piece(&self.say[sent..]);
            match self.stream.write(&self.say[sent..sent + piece]) {
                Ok(count) => sent += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        self.say.drain(..sent);
        Ok(())
    }

    /// Goes on with the same talk on a new connection.
    fn open_anew(&mut self, plan: &Plan, poll: &Poll, at: usize) -> io::Result<()> {
        self.heard.clear();
        // What is to be said next is kept: it goes to the new connection.
        self.stream = connect(plan, poll, at)?;
        self.flush()
    }

    /// Begins from nothing on a new connection.
    fn start_over(&mut self, plan: &Plan, poll: &Poll, at: usize) -> Result<(), Box<dyn Error>> {
        self.say.clear();
        self.talk = talk::named(plan, at)?;
        self.talk.open(&mut self.say);
        Ok(self.open_anew(plan, poll, at)?)
    }
}
