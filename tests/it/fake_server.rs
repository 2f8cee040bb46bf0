//! A server that says what a test tells it to: frames and ids are right, everything else is the test's affair.

use berth::wire::answer::Envelope;
use berth::wire::envelope::{self, Message};
use berth::wire::json::Raw;
use berth::wire::{self, FrameLimits, Unframer};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// The session a fake server gives, unless told otherwise.
pub const SESSION: &str = "0123456789abcdef0123456789abcdef";

/// A listener on a port of its own. Each connection has a thread, which ends with the test's process.
pub struct FakeServer {
    address: String,
    connections: Arc<AtomicUsize>,
}

impl FakeServer {
    /// Serves every connection with `serve`, which is told how many came before it.
    pub fn start(serve: impl Fn(usize, Peer) + Send + Sync + 'static) -> FakeServer {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (serve, connections) = (Arc::new(serve), Arc::new(AtomicUsize::new(0)));
        let count = connections.clone();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (serve, before) = (serve.clone(), count.fetch_add(1, Ordering::SeqCst));
                let peer = Peer::new(stream.unwrap());
                thread::spawn(move || serve(before, peer));
            }
        });
        FakeServer { address, connections }
    }

    /// Where it listens.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// How many connections came.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

/// What came from a client.
#[derive(Clone, Debug)]
pub struct Asked {
    pub session: String,
    pub name: String,
    pub data: Value,
    pub id: Option<Box<RawValue>>,
}

impl Asked {
    /// The names of the functions that are called.
    pub fn fnames(&self) -> Vec<&str> {
        let calls = self.data.as_array().map(Vec::as_slice).unwrap_or_default();
        calls.iter().filter_map(|call| call["fname"].as_str()).collect()
    }
}

/// The client at the other end of a connection.
pub struct Peer {
    stream: TcpStream,
    unframer: Unframer,
    asked: VecDeque<Asked>,
}

impl Peer {
    fn new(stream: TcpStream) -> Peer {
        stream.set_nodelay(true).unwrap();
        Peer { stream, unframer: Unframer::new(FrameLimits::default()), asked: VecDeque::new() }
    }

    /// Another handle to say things by.
    pub fn other_mouth(&self) -> Peer {
        Peer::new(self.stream.try_clone().unwrap())
    }

    /// Greets.
    pub fn greet(&mut self) {
        self.say(
            &Envelope { name: "fake", ..Envelope::default() },
            &json!({
                "version": {"core": [9, 8, 7], "db": [0, 0, 0], "torrent": [0, 0, 0]},
                "guest_allowed": true, "protocol": 1, "capabilities": ["ids"], "limits": {"calls_max": 5},
            }),
        );
    }

    /// Greets and lets the client in, whoever it is.
    pub fn welcome(&mut self) {
        self.greet();
        let asked = self.hear().expect("a handshake");
        assert_eq!(asked.session, "", "{asked:?}");
        self.let_in(&asked, SESSION);
    }

    /// Answers a handshake.
    pub fn let_in(&mut self, asked: &Asked, session: &str) {
        self.say(&envelope(session, asked), &json!("Authenticated"));
    }

    /// The next message; none when the client has gone.
    pub fn hear(&mut self) -> Option<Asked> {
        let mut bytes = [0; 4096];
        while self.asked.is_empty() {
            let count = self.stream.read(&mut bytes).ok().filter(|count| *count > 0)?;
            let mut from = 0;
            while from < count {
                let (read, frame) = self.unframer.feed(&bytes[from..count]);
                from += read;
                if let Some(frame) = frame {
                    self.asked.push_back(read_message(&frame.unwrap()));
                }
            }
        }
        self.asked.pop_front()
    }

    /// Answers a list of calls with these results.
    pub fn answer(&mut self, asked: &Asked, results: &[Value]) {
        let entries: Vec<_> = asked
            .fnames()
            .iter()
            .zip(results)
            .map(|(fname, result)| match result.get("error") {
                Some(error) => json!({"fname": fname, "data": null, "error": error}),
                None => json!({"fname": fname, "data": result}),
            })
            .collect();
        self.say(&envelope(&asked.session, asked), &entries);
    }

    /// Refuses a whole message.
    pub fn refuse(&mut self, asked: &Asked, code: berth::error::Code, msg: &str) {
        let mut text = Vec::new();
        envelope(&asked.session, asked).push_error(&mut text, &berth::error::Fault::new(code, msg));
        self.send_text(&text);
    }

    /// Says that something happened.
    pub fn tell(&mut self, event: &str, data: &Value) {
        let mut text = Vec::new();
        Envelope { session: SESSION, name: "fake", id: None }.push_event(&mut text, event, data);
        self.send_text(&text);
    }

    /// Says anything.
    pub fn say(&mut self, envelope: &Envelope<'_>, data: &(impl serde::Serialize + ?Sized)) {
        let mut text = Vec::new();
        envelope.push_data(&mut text, data);
        self.send_text(&text);
    }

    fn send_text(&mut self, text: &[u8]) {
        let mut frame = Vec::new();
        wire::encode(text, &mut frame);
        self.send_bytes(&frame);
    }

    /// Says anything at all. A client that has gone hears nothing.
    pub fn send_bytes(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes);
    }

    /// Ends the connection.
    pub fn hang_up(&self) {
        let _ = self.stream.shutdown(Shutdown::Both);
    }
}

/// The envelope of an answer.
pub fn envelope<'a>(session: &'a str, asked: &'a Asked) -> Envelope<'a> {
    Envelope { session, name: "fake", id: asked.id.as_deref().map(Raw::from) }
}

fn read_message(body: &[u8]) -> Asked {
    let Message { session, name, data, id, .. } = envelope::decode(body, 128).unwrap();
    Asked {
        session: session.into_owned(),
        name: name.into_owned(),
        data: serde_json::from_str(data.get()).unwrap(),
        id: id.and_then(|id| RawValue::from_string(id.get().to_owned()).ok()),
    }
}
