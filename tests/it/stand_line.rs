//! One raw connection to the stand door: it says bytes and hears messages.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

/// How long a test waits for a message that must come: far longer than it takes.
const PATIENCE: Duration = Duration::from_secs(30);

/// What ends a message.
pub const END: &str = "\r\n\r\n";

pub struct Line {
    stream: TcpStream,
    bytes: Vec<u8>,
}

impl Line {
    /// Connects; what the server says first is still to be heard.
    pub fn open(address: SocketAddr) -> Line {
        let stream = TcpStream::connect(address).expect("connect");
        stream.set_read_timeout(Some(PATIENCE)).expect("time-out");
        stream.set_nodelay(true).expect("nodelay");
        Line { stream, bytes: Vec::new() }
    }

    /// Connects and introduces itself.
    pub fn client(address: SocketAddr, client: &str, uid: &str) -> Line {
        let mut line = Line::open(address);
        line.expect("IDENT\tV1");
        line.say(&format!("ID\tV1\t{client}\t{uid}"));
        line.expect("CAPAB");
        line
    }

    /// Says bytes as they are.
    pub fn say_bytes(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("write");
    }

    /// The same; whether the server still takes them.
    pub fn try_say_bytes(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).is_ok()
    }

    /// Says a message.
    pub fn say(&mut self, message: &str) {
        self.say_bytes(format!("{message}{END}").as_bytes());
    }

    /// The next message; none when the server has hung up.
    pub fn hear(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.bytes.windows(4).position(|four| four == END.as_bytes()) {
                let message: Vec<_> = self.bytes.drain(..end + END.len()).collect();
                return Some(String::from_utf8(message[..end].to_vec()).expect("text"));
            }
            if !self.read() {
                return None;
            }
        }
    }

    /// The next so many bytes.
    pub fn hear_raw(&mut self, count: usize) -> Vec<u8> {
        while self.bytes.len() < count {
            assert!(self.read(), "the server hung up");
        }
        self.bytes.drain(..count).collect()
    }

    fn read(&mut self) -> bool {
        let mut buffer = vec![0; 1 << 16];
        match self.stream.read(&mut buffer) {
            Ok(0) => false,
            Ok(bytes) => {
                self.bytes.extend_from_slice(&buffer[..bytes]);
                true
            }
            Err(error) if error.kind() == ErrorKind::ConnectionReset => false,
            Err(error) => panic!("nothing was heard: {error}"),
        }
    }

    /// The next message must be this.
    pub fn expect(&mut self, message: &str) {
        assert_eq!(self.hear().as_deref(), Some(message));
    }

    /// Says a message and hears the next.
    pub fn ask(&mut self, message: &str) -> String {
        self.say(message);
        self.hear().expect("an answer")
    }

    /// The same of a command client, which is told of changes in between.
    pub fn command(&mut self, message: &str) -> String {
        self.say(message);
        self.answer()
    }

    /// The next message that is no list.
    pub fn answer(&mut self) -> String {
        loop {
            let message = self.hear().expect("an answer");
            if !message.starts_with("QLIST") && !message.starts_with("SLIST") {
                return message;
            }
        }
    }

    /// Another hold on the same connection, to say something while this one hears.
    pub fn twin(&self) -> Line {
        Line { stream: self.stream.try_clone().expect("a copy"), bytes: Vec::new() }
    }

    /// Whether nothing is there to be heard now.
    pub fn hear_is_pending(&mut self) -> bool {
        self.stream.set_nonblocking(true).expect("nonblocking");
        let pending = self.bytes.is_empty()
            && matches!(self.stream.peek(&mut [0]), Err(error) if error.kind() == ErrorKind::WouldBlock);
        self.stream.set_nonblocking(false).expect("blocking");
        pending
    }

    /// Says no more.
    pub fn hang_up(&mut self) {
        self.stream.shutdown(Shutdown::Write).expect("shut down");
    }

    /// Nothing more comes, and nothing is left.
    pub fn expect_end(&mut self) {
        assert_eq!(self.hear(), None);
        assert!(self.bytes.is_empty(), "{:?}", String::from_utf8_lossy(&self.bytes));
    }
}
