//! One thread, one epoll, as little as possible: what the kernel and the framing cost.

use crate::frame::{Inflater, MARKER, push_stored};
use memchr::memmem;
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use std::io::{self, ErrorKind, Read, Write};

/// Bytes read at once.
const READ_BYTES: usize = 64 * 1024;
/// The listener's place among the sockets.
const LISTENER: Token = Token(usize::MAX);
/// The session of everybody; as random as real ones, or clients' frames would deflate to less and cost less to inflate.
const SESSION: &str = "8d1ef0b39ac74e56b27f41c605d9e8a3";
/// An answer to a call of `get_version`.
const ENTRY: &[u8] = br#"{"fname":"get_version","data":{"core":[0,1,0],"db":[1,0,0],"torrent":[0,0,0]}}"#;

/// What a server does with what it is sent.
trait Answer {
    /// What is said to a new connection.
    fn greet(&mut self, out: &mut Vec<u8>);
    /// Answers what is whole; tells how much of the input that was.
    fn answer(&mut self, input: &[u8], out: &mut Vec<u8>) -> usize;
}

/// Sends back what comes.
struct Echo;

impl Answer for Echo {
    fn greet(&mut self, _: &mut Vec<u8>) {}

    fn answer(&mut self, input: &[u8], out: &mut Vec<u8>) -> usize {
        out.extend_from_slice(input);
        input.len()
    }
}

/// Answers hand-shakes and lists of `get_version`: inflates, finds the calls, sends stored blocks.
struct Frames {
    inflater: Inflater,
    text: Vec<u8>,
    marker: memmem::Finder<'static>,
    fname: memmem::Finder<'static>,
    number: memmem::Finder<'static>,
}

impl Frames {
    fn reply(text: &mut Vec<u8>, number: Option<&[u8]>, data: impl FnOnce(&mut Vec<u8>), out: &mut Vec<u8>) {
        text.clear();
        text.extend_from_slice(br#"{"session":""#);
        text.extend_from_slice(SESSION.as_bytes());
        text.extend_from_slice(br#"","name":"limits","data":"#);
        data(text);
        if let Some(number) = number {
            text.extend_from_slice(br#","__id__":"#);
            text.extend_from_slice(number);
        }
        text.push(b'}');
        push_stored(text, out);
    }
}

/// The number a message wants back, if it has one.
fn number<'a>(asked: &'a [u8], key: &memmem::Finder) -> Option<&'a [u8]> {
    let after = &asked[key.find(asked)? + key.needle().len()..];
    let end = after.iter().position(|byte| matches!(byte, b',' | b'}'))?;
    after[..end].strip_prefix(b":")
}

impl Answer for Frames {
    fn greet(&mut self, out: &mut Vec<u8>) {
        let version = br#"{"version":{"core":[0,1,0],"db":[1,0,0],"torrent":[0,0,0]},"guest_allowed":true}"#;
        Frames::reply(&mut self.text, None, |text| text.extend_from_slice(version), out);
    }

    fn answer(&mut self, input: &[u8], out: &mut Vec<u8>) -> usize {
        let mut taken = 0;
        while let Some(end) = self.marker.find(&input[taken..]) {
            let frame = &input[taken..taken + end];
            taken += end + MARKER.len();
            // A damaged frame is nobody's here: the load sends none.
            let Some(asked) = self.inflater.inflate(frame) else { continue };
            let calls = self.fname.find_iter(asked).count();
            let number = number(asked, &self.number);
            match calls {
                0 => Frames::reply(
                    &mut self.text,
                    number,
                    |text| text.extend_from_slice(br#""Authenticated""#),
                    out,
                ),
                _ => Frames::reply(&mut self.text, number, |text| push_entries(text, calls), out),
            }
        }
        taken
    }
}

fn push_entries(text: &mut Vec<u8>, calls: usize) {
    text.push(b'[');
    for at in 0..calls {
        if at > 0 {
            text.push(b',');
        }
        text.extend_from_slice(ENTRY);
    }
    text.push(b']');
}

/// Serves the native framing.
pub fn frames() -> io::Result<()> {
    let [marker, fname, number] = [MARKER, b"\"fname\"", b"\"__id__\""].map(memmem::Finder::new);
    serve(&mut Frames { inflater: Inflater::new(), text: Vec::new(), marker, fname, number })
}

/// Serves an echo.
pub fn echo() -> io::Result<()> {
    serve(&mut Echo)
}

/// A connection; what is left over waits in it.
struct Peer {
    stream: TcpStream,
    rest: Vec<u8>,
    out: Vec<u8>,
}

impl Peer {
    /// Reads until there is nothing more, and sends the answers.
    fn attend(&mut self, server: &mut impl Answer, input: &mut [u8]) -> io::Result<()> {
        loop {
            let count = match self.stream.read(input) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            };
            if self.rest.is_empty() {
                let taken = server.answer(&input[..count], &mut self.out);
                self.rest.extend_from_slice(&input[taken..count]);
            } else {
                self.rest.extend_from_slice(&input[..count]);
                let taken = server.answer(&self.rest, &mut self.out);
                self.rest.drain(..taken);
            }
            if count < input.len() {
                break;
            }
        }
        self.flush()
    }

    fn flush(&mut self) -> io::Result<()> {
        let mut sent = 0;
        while sent < self.out.len() {
            match self.stream.write(&self.out[sent..]) {
                Ok(count) => sent += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        match sent == self.out.len() {
            true => self.out.clear(),
            false => drop(self.out.drain(..sent)),
        }
        Ok(())
    }
}

fn serve(server: &mut impl Answer) -> io::Result<()> {
    let mut poll = Poll::new()?;
    let mut listener = TcpListener::bind("127.0.0.1:0".parse().map_err(io::Error::other)?)?;
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    println!("listening on {}", listener.local_addr()?);
    let (mut events, mut input, mut peers) =
        (Events::with_capacity(1024), vec![0; READ_BYTES], Vec::<Option<Peer>>::new());
    loop {
        match poll.poll(&mut events, None) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            other => other?,
        }
        for event in &events {
            if event.token() == LISTENER {
                accept(server, &listener, &poll, &mut peers)?;
                continue;
            }
            let Some(place) = peers.get_mut(event.token().0) else { continue };
            let Some(peer) = place else { continue };
            let went = if event.is_readable() { peer.attend(server, &mut input) } else { peer.flush() };
            if went.is_err() {
                *place = None;
            }
        }
    }
}

fn accept(
    server: &mut impl Answer,
    listener: &TcpListener,
    poll: &Poll,
    peers: &mut Vec<Option<Peer>>,
) -> io::Result<()> {
    loop {
        let mut stream = match listener.accept() {
            Ok((stream, _)) => stream,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        };
        stream.set_nodelay(true)?;
        let at = peers.iter().position(Option::is_none).unwrap_or(peers.len());
        poll.registry().register(&mut stream, Token(at), Interest::READABLE | Interest::WRITABLE)?;
        let mut peer = Peer { stream, rest: Vec::new(), out: Vec::new() };
        server.greet(&mut peer.out);
        let peer = peer.flush().is_ok().then_some(peer);
        match peers.get_mut(at) {
            Some(place) => *place = peer,
            None => peers.push(peer),
        }
    }
}
