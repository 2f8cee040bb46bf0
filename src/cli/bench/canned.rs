//! A server that does nothing but send answers made beforehand: what the load generator reaches against it is the
//! ceiling of what it can measure. Or one that does the framing besides and nothing behind it: the ceiling of any
//! server of this protocol on one core.
//!
//! One thread, one epoll loop. Who only copies searches for markers and never inflates: our own encoder sends none inside a
//! frame, and stores short texts, so that a handshake is told by its empty session. Who does the framing follows, inflates and
//! checks each frame as the server does, reads its envelope (but not its calls), and encodes each answer anew.

use crate::service::about::{CORE_VERSION, DATA_VERSION};
use crate::wire::handshake::{ACCEPTED, CAPABILITIES, Greeting, PROTOCOL, Versions};
use crate::wire::{self, Envelope, FrameLimits, MARKER, Unframer, call, envelope};
use clap::ValueEnum;
use memchr::memmem;
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::fd::OwnedFd;
use serde::Serialize;
use std::collections::BTreeMap;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// The session of everybody.
const SESSION: &str = "00000000000000000000000000000000";
/// What a handshake has in its text and no other message.
const NO_SESSION: &[u8] = b"\"session\":\"\"";
/// What may be nested so deep is read.
const JSON_DEPTH_MAX: usize = 128;
/// Bytes read at once.
const READ_BYTES: usize = 64 * 1024;
/// Sockets told ready at once.
const EVENTS_MAX: usize = 1024;
/// So long at most it goes unnoticed that the server is to end.
const LOOK_UP: Duration = Duration::from_millis(50);
/// The listener's place among the sockets.
const LISTENER: u64 = u64::MAX;

/// What is done for each message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Labour {
    /// Nothing: frames are sent that were made beforehand
    Canned,
    /// The framing: each message is inflated, each answer encoded
    Framing,
}

/// The server; it ends when dropped.
pub struct Canned {
    address: SocketAddr,
    end: Arc<AtomicBool>,
    serving: Option<JoinHandle<()>>,
}

impl Canned {
    /// Answers lists of so many calls of `get_version`.
    pub fn open(address: &str, calls: usize, labour: Labour) -> io::Result<Canned> {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let (address, end) = (listener.local_addr()?, Arc::new(AtomicBool::new(false)));
        let mut bench = Bench::new(listener, calls, labour, end.clone())?;
        // An accident on our own loopback shows as lost connections at the other end.
        let serve = move || drop(bench.serve());
        let serving = thread::Builder::new().name("canned".to_owned()).spawn(serve)?;
        Ok(Canned { address, end, serving: Some(serving) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Canned {
    fn drop(&mut self) {
        self.end.store(true, Ordering::Relaxed);
        if let Some(serving) = self.serving.take() {
            let _ = serving.join();
        }
    }
}

/// The thread's own.
struct Bench {
    listener: TcpListener,
    epoll: OwnedFd,
    peers: Vec<Option<Peer>>,
    labour: Labour,
    /// A frame.
    greeting: Vec<u8>,
    accepted: Said,
    answer: Said,
    end: Arc<AtomicBool>,
}

/// An answer, made beforehand.
struct Said {
    /// Its data.
    data: Vec<u8>,
    /// The whole of it.
    frame: Vec<u8>,
}

/// A connection.
struct Peer {
    stream: TcpStream,
    /// Who does the framing has one.
    unframer: Option<Unframer>,
    /// The beginning of a frame whose end has not come.
    rest: Vec<u8>,
    /// Where an answer is put together.
    text: Vec<u8>,
    out: Vec<u8>,
    sent: usize,
    blocked: bool,
}

impl Bench {
    fn new(listener: TcpListener, calls: usize, labour: Labour, end: Arc<AtomicBool>) -> io::Result<Bench> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        epoll::add(&epoll, &listener, EventData::new_u64(LISTENER), EventFlags::IN)?;
        let versions = Versions { core: CORE_VERSION, db: DATA_VERSION, torrent: [0; 3] };
        let greeting = Greeting {
            version: versions,
            guest_allowed: true,
            protocol: PROTOCOL,
            capabilities: CAPABILITIES.to_vec(),
            limits: BTreeMap::new(),
        };
        Ok(Bench {
            listener,
            epoll,
            peers: Vec::new(),
            labour,
            greeting: said("", json(&greeting)).frame,
            accepted: said(SESSION, json(&ACCEPTED)),
            answer: said(SESSION, list(calls, &versions)),
            end,
        })
    }

    fn serve(&mut self) -> io::Result<()> {
        let mut input = vec![0; READ_BYTES];
        let mut events: Vec<Event> = Vec::with_capacity(EVENTS_MAX);
        let look_up = Timespec { tv_sec: 0, tv_nsec: i64::from(LOOK_UP.subsec_nanos()) };
        while !self.end.load(Ordering::Relaxed) {
            events.clear();
            epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut events), Some(&look_up))?;
            for event in &events {
                match event.data.u64() {
                    LISTENER => self.accept()?,
                    at => self.attend(at as usize, &mut input)?,
                }
            }
        }
        Ok(())
    }

    fn accept(&mut self) -> io::Result<()> {
        let stream = match self.listener.accept() {
            Ok((stream, _)) => stream,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        };
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let at = self.peers.iter().position(Option::is_none).unwrap_or(self.peers.len());
        epoll::add(&self.epoll, &stream, EventData::new_u64(at as u64), EventFlags::IN)?;
        let unframer = (self.labour == Labour::Framing).then(|| Unframer::new(FrameLimits::default()));
        let (out, rest) = (self.greeting.clone(), Vec::new());
        let peer = Peer { stream, unframer, rest, text: Vec::new(), out, sent: 0, blocked: false };
        match self.peers.get_mut(at) {
            Some(place) => *place = Some(peer),
            None => self.peers.push(Some(peer)),
        }
        self.flush(at)
    }

    /// Reads what came to a peer and answers it; one that has gone is forgotten.
    fn attend(&mut self, at: usize, input: &mut [u8]) -> io::Result<()> {
        let Some(Some(peer)) = self.peers.get_mut(at) else { return Ok(()) };
        match peer.stream.read(input) {
            Ok(0) => self.peers[at] = None,
            Ok(count) => peer.take(&input[..count], &self.accepted, &self.answer),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_) => self.peers[at] = None,
        }
        self.flush(at)
    }

    fn flush(&mut self, at: usize) -> io::Result<()> {
        let Some(Some(peer)) = self.peers.get_mut(at) else { return Ok(()) };
        let Ok(gone) = peer.flush() else {
            self.peers[at] = None;
            return Ok(());
        };
        if gone == peer.blocked {
            peer.blocked = !gone;
            let wanted = if gone { EventFlags::IN } else { EventFlags::IN | EventFlags::OUT };
            epoll::modify(&self.epoll, &peer.stream, EventData::new_u64(at as u64), wanted)?;
        }
        Ok(())
    }
}

impl Peer {
    /// Appends an answer for every frame that ends in the input.
    fn take(&mut self, input: &[u8], accepted: &Said, answer: &Said) {
        match &mut self.unframer {
            None => self.copy(input, accepted, answer),
            Some(unframer) => {
                let mut rest = input;
                while !rest.is_empty() {
                    let (read, frame) = unframer.feed(rest);
                    rest = &rest[read..];
                    // Our own generator sends no frame that would be refused.
                    let Some(Ok(body)) = frame else { continue };
                    let Ok(message) = envelope::decode(&body, JSON_DEPTH_MAX) else { continue };
                    let said = if message.session.is_empty() { accepted } else { answer };
                    self.text.clear();
                    let envelope = Envelope { id: message.id, ..envelope(SESSION) };
                    envelope.begin(&mut self.text);
                    self.text.extend_from_slice(&said.data);
                    envelope.end(&mut self.text);
                    wire::encode(&self.text, &mut self.out);
                }
            }
        }
    }

    /// The same, without looking into the frames.
    fn copy(&mut self, input: &[u8], accepted: &Said, answer: &Said) {
        let joined;
        let mut rest = if self.rest.is_empty() {
            input
        } else {
            self.rest.extend_from_slice(input);
            joined = std::mem::take(&mut self.rest);
            &joined
        };
        while let Some(end) = memmem::find(rest, MARKER) {
            let (frame, after) = rest.split_at(end + MARKER.len());
            let is_handshake = memmem::find(frame, NO_SESSION).is_some();
            self.out.extend_from_slice(if is_handshake { &accepted.frame } else { &answer.frame });
            rest = after;
        }
        self.rest = rest.to_vec();
    }

    fn flush(&mut self) -> io::Result<bool> {
        while self.sent < self.out.len() {
            match self.stream.write(&self.out[self.sent..]) {
                Ok(bytes) => self.sent += bytes,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        self.out.clear();
        self.sent = 0;
        Ok(true)
    }
}

fn envelope(session: &str) -> Envelope<'_> {
    Envelope { session, name: "canned", id: None }
}

/// Data of ours can always be written.
fn json(data: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(data).unwrap_or_else(|_| b"null".to_vec())
}

/// A list of as many answers.
fn list(calls: usize, versions: &Versions) -> Vec<u8> {
    let mut text = b"[".to_vec();
    (0..calls).for_each(|_| call::push_data(&mut text, "get_version", versions));
    text.push(b']');
    text
}

fn said(session: &str, data: Vec<u8>) -> Said {
    let (mut text, mut frame) = (Vec::new(), Vec::new());
    envelope(session).begin(&mut text);
    text.extend_from_slice(&data);
    envelope(session).end(&mut text);
    wire::encode(&text, &mut frame);
    Said { data, frame }
}
