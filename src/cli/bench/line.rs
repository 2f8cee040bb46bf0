//! One socket of the load: opened and greeted while it may wait, then read and written without waiting.

use super::script::{NAME, StepAt};
use super::tongue::{Ear, Text, Tongue};
use crate::client::{ClientError, Credentials, Greeting};
use crate::wire::answer::{self, Heard};
use crate::wire::{self, Command, Envelope};
use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// A greeting, or another answer before the load begins, is read in pieces of this size.
const PIECE_BYTES: usize = 4096;

/// A message that was sent and not yet answered. Answers come in the order of messages.
#[derive(Clone, Copy, Debug)]
pub struct Flight {
    /// What it says.
    pub step: StepAt,
    /// How many calls it has.
    pub calls: u64,
    /// When the operation was begun, or should have been.
    pub began_ns: u64,
    /// When this message of it was sent.
    pub sent_ns: u64,
    /// Whether the operation is counted.
    pub counted: bool,
}

/// A message that came.
pub struct Answer {
    /// Its text.
    pub body: Text,
    /// Its bytes on the wire.
    pub bytes: u64,
}

/// See above.
pub struct Line {
    /// The socket.
    pub stream: TcpStream,
    /// What is unanswered, oldest first.
    pub flights: VecDeque<Flight>,
    /// Which work of the mix comes next.
    pub turn: usize,
    /// Which frames it sends.
    pub sheet: usize,
    /// Whether it waits for room to send.
    pub blocked: bool,
    /// Whether it waits to be flushed.
    pub dirty: bool,
    /// Whether it broke.
    pub lost: bool,
    ear: Ear,
    /// Bytes of the present answer so far.
    answer_bytes: u64,
    out: Vec<u8>,
    sent: usize,
}

impl Line {
    /// Connects.
    pub fn connect(address: SocketAddr, timeout: Duration, tongue: Tongue) -> Result<Line, ClientError> {
        let failed = |cause| ClientError::Connect { address: address.to_string(), cause };
        let stream = TcpStream::connect_timeout(&address, timeout).map_err(failed)?;
        stream.set_nodelay(true).and_then(|()| stream.set_read_timeout(Some(timeout))).map_err(failed)?;
        Ok(Line {
            stream,
            flights: VecDeque::new(),
            turn: 0,
            sheet: 0,
            blocked: false,
            dirty: false,
            lost: false,
            ear: Ear::of(tongue),
            answer_bytes: 0,
            out: Vec::new(),
            sent: 0,
        })
    }

    /// Connects and hears the greeting.
    pub fn open(address: SocketAddr, timeout: Duration) -> Result<(Line, Greeting), ClientError> {
        let mut line = Line::connect(address, timeout, Tongue::Native)?;
        let body = line.await_answer()?;
        let unexpected = |error: serde_json::Error| ClientError::Protocol(format!("no greeting: {error}"));
        let heard = decode(&body)?;
        let greeting: Greeting = serde_json::from_str(heard.data.get()).map_err(unexpected)?;
        Ok((line, Greeting { server: heard.name.into_owned(), ..greeting }))
    }

    /// Opens a session.
    pub fn shake_hands(&mut self, credentials: &Credentials) -> Result<String, ClientError> {
        let mut text = Vec::new();
        Envelope { session: "", name: NAME, id: None }.push_data(&mut text, credentials);
        let body = self.ask(&text)?;
        Ok(decode(&body)?.session.into_owned())
    }

    /// Ends a session.
    pub fn log_out(&mut self, session: &str) -> Result<(), ClientError> {
        let mut text = Vec::new();
        Envelope { session, name: NAME, id: None }.push_command(&mut text, Command::Logout);
        let body = self.ask(&text)?;
        decode(&body).map(drop)
    }

    fn ask(&mut self, text: &[u8]) -> Result<Text, ClientError> {
        let mut frame = Vec::new();
        wire::encode(text, &mut frame);
        self.stream.write_all(&frame)?;
        self.await_answer()
    }

    fn await_answer(&mut self) -> Result<Text, ClientError> {
        let mut piece = [0; PIECE_BYTES];
        loop {
            let count = self.stream.read(&mut piece)?;
            if count == 0 {
                return Err(io::Error::from(ErrorKind::UnexpectedEof).into());
            }
            // Nothing else is on its way: one message, one answer.
            if let (_, Some(text)) = self.ear.feed(&piece[..count]) {
                return text.map_err(ClientError::Protocol);
            }
        }
    }

    /// Takes bytes from the socket's input: how many were used, and the answer they completed, or what is wrong with it.
    pub fn feed(&mut self, input: &[u8]) -> (usize, Option<Result<Answer, String>>) {
        let (used, text) = self.ear.feed(input);
        self.answer_bytes += used as u64;
        let answer = text.map(|text| {
            let bytes = std::mem::take(&mut self.answer_bytes);
            text.map(|body| Answer { body, bytes })
        });
        (used, answer)
    }

    /// Where messages are appended that are to be sent.
    pub fn out(&mut self) -> &mut Vec<u8> {
        &mut self.out
    }

    /// Sends what there is to send, as far as the socket takes it; tells whether all has gone.
    pub fn flush(&mut self) -> io::Result<bool> {
        while self.sent < self.out.len() {
            match self.stream.write(&self.out[self.sent..]) {
                Ok(bytes) => self.sent += bytes,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        self.out.clear();
        self.sent = 0;
        Ok(true)
    }
}

fn decode(body: &[u8]) -> Result<Heard<'_>, ClientError> {
    let mut heard = answer::decode(body).map_err(|fault| ClientError::Protocol(fault.msg))?;
    match heard.error.take() {
        Some(refusal) => Err(ClientError::Root(refusal)),
        None => Ok(heard),
    }
}
