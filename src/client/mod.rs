//! The other end of the native door: a blocking client, easy to use from threads.
//!
//! One `Client` is one connection. It asks and waits for the answer, matching answers by id, so that they may come in any
//! order; what the server says unasked is kept apart until `next_event`. Sessions belong to no connection: `join`
//! lets another client speak under the same one.
//!
//! Reading order: this file, `request` (what is asked), `error`, `credentials` (who asks, and `Dial`, which can connect
//! again), `socket` (bytes), `greeting`, `keeper` (a job kept alive and watched, over connections that break), `demo` (a
//! conversation to be looked at). Deliberately not here: what functions there are, and how their answers are printed (`cli`).

mod credentials;
pub mod demo;
mod error;
mod greeting;
pub mod keeper;
mod request;
mod socket;

pub use credentials::{Credentials, Dial};
pub use error::ClientError;
pub use greeting::{Greeting, Versions};
pub use request::{Event, Request};
pub use socket::HangUp;

use crate::wire::answer::{self, Envelope, Heard, Refusal};
use crate::wire::envelope::Command;
use crate::wire::handshake::ACCEPTED;
use crate::wire::json::Raw;
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;
use socket::{Received, Socket};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};
use zeroize::Zeroize;

/// So many events are kept for `next_event`; if more come, the oldest are dropped and counted.
pub const EVENTS_KEPT_MAX: usize = 1024;

/// The outcome of one call of a list.
pub type Answer = Result<Value, Refusal>;

/// A message that was sent and not yet answered.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "its answer is kept until `finish`"]
pub struct Ticket(u64);

/// Which way a message goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the client to the server.
    Sent,
    /// From the server to the client.
    Received,
}

/// Somebody who looks on: which way, the text of the message, and its bytes on the wire.
pub type Onlooker = Box<dyn FnMut(Direction, &[u8], usize) + Send>;

/// One connection to a server.
pub struct Client {
    socket: Socket,
    name: String,
    session: String,
    credentials: Option<Credentials>,
    greeting: Greeting,
    timeout: Duration,
    last_id: u64,
    /// Messages that are not answered yet.
    awaited: BTreeSet<u64>,
    /// Answers nobody has asked for yet.
    arrived: BTreeMap<u64, Arrived>,
    events: VecDeque<Event>,
    events_lost: u64,
    onlooker: Option<Onlooker>,
    /// Where messages are written.
    text: Vec<u8>,
}

/// An answer.
struct Arrived {
    /// The session it belongs to.
    session: String,
    /// The data, or why the message was refused.
    data: Result<Box<RawValue>, Refusal>,
}

impl Client {
    /// Connects to `host:port` and reads the greeting. The connection, and later each answer, may take so long.
    pub fn connect(address: &str, timeout: Duration) -> Result<Client, ClientError> {
        Client::connect_watched(address, timeout, None)
    }

    /// Connects, and lets somebody look on from the greeting on.
    pub fn connect_watched(
        address: &str,
        timeout: Duration,
        onlooker: Option<Onlooker>,
    ) -> Result<Client, ClientError> {
        let mut client = Client {
            socket: Socket::connect(address, timeout)?,
            name: "berth".to_owned(),
            session: String::new(),
            credentials: None,
            greeting: Greeting::default(),
            timeout,
            last_id: 0,
            awaited: BTreeSet::new(),
            arrived: BTreeMap::new(),
            events: VecDeque::new(),
            events_lost: 0,
            onlooker,
            text: Vec::new(),
        };
        client.read_greeting()?;
        Ok(client)
    }

    /// What the server said first.
    pub fn greeting(&self) -> &Greeting {
        &self.greeting
    }

    /// The session this client speaks under; empty before a handshake.
    pub fn session(&self) -> &str {
        &self.session
    }

    /// Sets what the client calls itself in its messages.
    pub fn call_myself(&mut self, name: &str) {
        name.clone_into(&mut self.name);
    }

    /// A handle by which another thread can end this connection.
    pub fn hang_up(&self) -> io::Result<HangUp> {
        self.socket.hang_up()
    }

    /// Opens a session as a guest that calls itself so.
    pub fn handshake_guest(&mut self, name: &str) -> Result<(), ClientError> {
        self.call_myself(name);
        self.handshake_as(Credentials::Guest)
    }

    /// Opens a session as a user.
    pub fn handshake(&mut self, user: &str, password: &str) -> Result<(), ClientError> {
        self.handshake_as(Credentials::user(user, password))
    }

    /// Opens a session, and remembers as whom: if it is over one day, the client opens another by itself.
    pub fn handshake_as(&mut self, credentials: Credentials) -> Result<(), ClientError> {
        if let Credentials::Session(session) = &credentials {
            self.join(session);
            return Ok(());
        }
        let ticket = self.send(&credentials, "")?;
        let arrived = self.await_answer(ticket, self.timeout)?;
        let data = arrived.data.map_err(ClientError::Root)?;
        if serde_json::from_str::<&str>(data.get()).ok() != Some(ACCEPTED) {
            return Err(ClientError::Protocol(format!("a handshake was answered with {data}")));
        }
        self.session = arrived.session;
        self.credentials = Some(credentials);
        Ok(())
    }

    /// Speaks under a session that was opened elsewhere.
    pub fn join(&mut self, session: &str) {
        session.clone_into(&mut self.session);
    }

    /// Remembers who to be if the session turns out to be over.
    pub fn remember(&mut self, credentials: Credentials) {
        self.credentials = Some(credentials);
    }

    /// Makes one call.
    pub fn call(&mut self, fname: &str, args: &[(&str, Value)]) -> Result<Value, ClientError> {
        let request =
            args.iter().fold(Request::new(fname), |request, (name, value)| request.with(name, value.clone()));
        self.ask(request)
    }

    /// Makes one call.
    pub fn ask(&mut self, request: Request) -> Result<Value, ClientError> {
        self.ask_within(request, self.timeout)
    }

    /// Makes one call, whose answer may take so long.
    pub fn ask_within(&mut self, request: Request, timeout: Duration) -> Result<Value, ClientError> {
        let mut answers = self.call_many_within(&[request], timeout)?;
        match answers.pop() {
            Some(answer) => answer.map_err(ClientError::Call),
            None => Err(ClientError::Protocol("no answer in the list of answers".to_owned())),
        }
    }

    /// Makes several calls in one message; as many answers come back, in the same order.
    pub fn call_many(&mut self, requests: &[Request]) -> Result<Vec<Answer>, ClientError> {
        self.call_many_within(requests, self.timeout)
    }

    /// The same, where the answer may take so long. If the session is over and the client knows who to be, it opens
    /// another and asks again: a message that was refused for its session has not run.
    pub fn call_many_within(
        &mut self,
        requests: &[Request],
        timeout: Duration,
    ) -> Result<Vec<Answer>, ClientError> {
        let ticket = self.begin(requests)?;
        match (self.finish(ticket, timeout), &self.credentials) {
            (Err(error), Some(credentials)) if error.is_session_over() => {
                self.handshake_as(credentials.clone())?;
                let ticket = self.begin(requests)?;
                self.finish(ticket, timeout)
            }
            (answers, _) => answers,
        }
    }

    /// Sends several calls in one message and does not wait.
    pub fn begin(&mut self, requests: &[Request]) -> Result<Ticket, ClientError> {
        let session = std::mem::take(&mut self.session);
        let sent = self.send(requests, &session);
        self.session = session;
        sent
    }

    /// Waits for the answers to what `begin` sent, while others may come. After a time-out the answer is no longer
    /// waited for.
    pub fn finish(&mut self, ticket: Ticket, timeout: Duration) -> Result<Vec<Answer>, ClientError> {
        let data = self.await_answer(ticket, timeout)?.data.map_err(ClientError::Root)?;
        let unexpected = |error| ClientError::Protocol(format!("no list of answers: {error}"));
        let entries: Vec<answer::Entry> = serde_json::from_str(data.get()).map_err(unexpected)?;
        entries.into_iter().map(read_entry).collect()
    }

    /// Gives the server a command and tells what it answered.
    pub fn command(&mut self, command: Command) -> Result<Value, ClientError> {
        let session = self.session.clone();
        let ticket = self.send(command.word(), &session)?;
        let data = self.await_answer(ticket, self.timeout)?.data.map_err(ClientError::Root)?;
        if command == Command::Logout {
            self.session.clear();
            self.credentials = None;
        }
        read_value(&data)
    }

    /// The next thing the server says unasked; none if it says nothing for so long.
    pub fn next_event(&mut self, timeout: Duration) -> Result<Option<Event>, ClientError> {
        let deadline = Instant::now() + timeout;
        loop {
            if let Some(event) = self.events.pop_front() {
                return Ok(Some(event));
            }
            if !self.hear(deadline)? {
                return Ok(None);
            }
        }
    }

    /// The next thing the server has said unasked, if it is here; never waits.
    pub fn try_event(&mut self) -> Result<Option<Event>, ClientError> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Ok(Some(event));
            }
            let Some(received) = self.socket.try_receive()? else { return Ok(None) };
            self.take_in(&received)?;
        }
    }

    /// How many events were dropped since this was asked last, because too many came between two `next_event`.
    pub fn take_events_lost(&mut self) -> u64 {
        std::mem::take(&mut self.events_lost)
    }

    fn read_greeting(&mut self) -> Result<(), ClientError> {
        let deadline = Instant::now() + self.timeout;
        let Some(received) = self.socket.receive(deadline)? else { return Err(socket::no_answer().into()) };
        self.show(Direction::Received, &received.body, received.frame_bytes);
        let heard = decode(&received.body)?;
        if let Some(refusal) = heard.error {
            return Err(ClientError::Root(refusal));
        }
        let unexpected = |error| ClientError::Protocol(format!("no greeting: {error}"));
        let greeting: Greeting = serde_json::from_str(heard.data.get()).map_err(unexpected)?;
        self.greeting = Greeting { server: heard.name.into_owned(), ..greeting };
        Ok(())
    }

    /// Sends a message under a session.
    fn send<T: Serialize + ?Sized>(&mut self, data: &T, session: &str) -> Result<Ticket, ClientError> {
        self.last_id += 1;
        let id = self.last_id.to_string();
        let mut text = std::mem::take(&mut self.text);
        Envelope { session, name: &self.name, id: Some(Raw::known(&id)) }.push_data(&mut text, data);
        let sent = self.socket.send(&text, Instant::now() + self.timeout);
        if let Ok(frame_bytes) = sent {
            self.show(Direction::Sent, &text, frame_bytes);
        }
        // It may have been a password.
        text.zeroize();
        self.text = text;
        sent?;
        self.awaited.insert(self.last_id);
        Ok(Ticket(self.last_id))
    }

    fn await_answer(&mut self, ticket: Ticket, timeout: Duration) -> Result<Arrived, ClientError> {
        let deadline = Instant::now() + timeout;
        loop {
            if let Some(arrived) = self.arrived.remove(&ticket.0) {
                return Ok(arrived);
            }
            if !self.hear(deadline)? {
                self.awaited.remove(&ticket.0);
                return Err(socket::no_answer().into());
            }
        }
    }

    /// Takes in one message, if one comes in time.
    fn hear(&mut self, deadline: Instant) -> Result<bool, ClientError> {
        let Some(received) = self.socket.receive(deadline)? else { return Ok(false) };
        self.take_in(&received).map(|()| true)
    }

    fn take_in(&mut self, received: &Received) -> Result<(), ClientError> {
        self.show(Direction::Received, &received.body, received.frame_bytes);
        let heard = decode(&received.body)?;
        match heard.id {
            Some(id) => self.take_answer(id.get().parse().unwrap_or_default(), heard),
            None => self.take_unasked(heard)?,
        }
        Ok(())
    }

    /// An answer nobody waits for any more is dropped.
    fn take_answer(&mut self, id: u64, heard: Heard<'_>) {
        if self.awaited.remove(&id) {
            let session = heard.session.into_owned();
            let data = heard.error.map_or_else(|| Ok(heard.data.to_owned()), Err);
            self.arrived.insert(id, Arrived { session, data });
        }
    }

    /// What answers nothing: an event, the news of a command, or an error that concerns the whole connection.
    fn take_unasked(&mut self, heard: Heard<'_>) -> Result<(), ClientError> {
        if let Some(refusal) = heard.error {
            return Err(ClientError::Root(refusal));
        }
        let data = read_value(heard.data)?;
        let name = match (heard.event, &data) {
            (Some(name), _) => name.into_owned(),
            (None, Value::String(word)) => word.clone(),
            (None, _) => return Err(ClientError::Protocol("an answer without an id".to_owned())),
        };
        if self.events.len() == EVENTS_KEPT_MAX {
            self.events.pop_front();
            self.events_lost += 1;
        }
        self.events.push_back(Event { name, data });
        Ok(())
    }

    fn show(&mut self, direction: Direction, text: &[u8], frame_bytes: usize) {
        if let Some(onlooker) = &mut self.onlooker {
            onlooker(direction, text, frame_bytes);
        }
    }
}

/// To wait for it together with other sockets; it can be read when the server has said something.
impl AsFd for Client {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn decode(body: &[u8]) -> Result<Heard<'_>, ClientError> {
    answer::decode(body).map_err(|fault| ClientError::Protocol(fault.msg))
}

fn read_entry(entry: answer::Entry<'_>) -> Result<Answer, ClientError> {
    match entry.error {
        Some(refusal) => Ok(Err(refusal)),
        None => read_value(entry.data).map(Ok),
    }
}

fn read_value(raw: &RawValue) -> Result<Value, ClientError> {
    serde_json::from_str(raw.get()).map_err(|error| ClientError::Protocol(error.to_string()))
}
