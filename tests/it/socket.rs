//! One raw connection to the native door: it says bytes and hears messages, and knows nothing of functions.

use berth::wire;
use berth::wire::frame::{FrameLimits, Unframer};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

/// How long a test waits for a message that must come: far longer than it takes, so that only a fault reaches it.
const PATIENCE: Duration = Duration::from_secs(20);

pub struct Socket {
    stream: TcpStream,
    unframer: Unframer,
    rest: Vec<u8>,
    pub session: String,
}

impl Socket {
    /// Connects and hears the greeting.
    pub fn open(address: SocketAddr) -> (Socket, Value) {
        let stream = TcpStream::connect(address).expect("connect");
        stream.set_read_timeout(Some(PATIENCE)).expect("time-out");
        stream.set_nodelay(true).expect("nodelay");
        let unframer = Unframer::new(FrameLimits::default());
        let mut socket = Socket { stream, unframer, rest: Vec::new(), session: String::new() };
        let greeting = socket.hear().expect("a greeting");
        (socket, greeting)
    }

    /// Connects and hand-shakes as a guest.
    pub fn guest(address: SocketAddr) -> Socket {
        let (mut socket, _) = Socket::open(address);
        assert_eq!(socket.ask(json!({}))["data"], "Authenticated");
        socket
    }

    /// Connects and hand-shakes as a user.
    pub fn user(address: SocketAddr, user: &str, password: &str) -> Socket {
        let (mut socket, _) = Socket::open(address);
        let answer = socket.ask(json!({"user": user, "password": password}));
        assert_eq!(answer["data"], "Authenticated", "{answer}");
        socket
    }

    /// Says bytes as they are.
    pub fn say_bytes(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("write");
    }

    /// Says a message with this data under the session of this socket.
    pub fn say(&mut self, data: Value) {
        let message = json!({"session": self.session, "name": "test", "data": data});
        self.say_bytes(&framed(&message));
    }

    /// The next message; none when the server has hung up.
    pub fn hear(&mut self) -> Option<Value> {
        let mut buffer = vec![0; 1 << 16];
        loop {
            while !self.rest.is_empty() {
                let (read, frame) = self.unframer.feed(&self.rest);
                self.rest.drain(..read);
                if let Some(body) = frame {
                    let body = body.expect("a frame of ours is well-formed");
                    return Some(serde_json::from_slice(&body).expect("JSON"));
                }
            }
            match self.stream.read(&mut buffer) {
                Ok(0) => return None,
                Ok(bytes) => self.rest.extend_from_slice(&buffer[..bytes]),
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("nothing was heard: {error}"),
            }
        }
    }

    /// Says a message, hears its answer and takes over the session in it.
    pub fn ask(&mut self, data: Value) -> Value {
        self.say(data);
        let answer = self.hear().expect("an answer");
        self.session = answer["session"].as_str().expect("a session").to_owned();
        answer
    }

    /// Calls a function: its data, or the code of its error.
    pub fn call(&mut self, call: Value) -> Result<Value, u64> {
        let answer = self.ask(json!([call]));
        if let Some(code) = answer["error"]["code"].as_u64() {
            return Err(code);
        }
        let entry = &answer["data"][0];
        match entry["error"]["code"].as_u64() {
            Some(code) => Err(code),
            None => Ok(entry["data"].clone()),
        }
    }

    /// Says that nothing more will be said.
    pub fn hang_up(&mut self) {
        self.stream.shutdown(Shutdown::Write).expect("shutdown");
    }
}

/// A message as a frame.
pub fn framed(message: &Value) -> Vec<u8> {
    let mut frame = Vec::new();
    wire::encode(message.to_string().as_bytes(), &mut frame);
    frame
}
