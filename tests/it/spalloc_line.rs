//! One raw connection to the spalloc door: it says bytes and hears lines.

use serde_json::{Value, json};
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

/// How long a test waits for a line that must come: far longer than it takes.
const PATIENCE: Duration = Duration::from_secs(20);

pub struct Line {
    stream: TcpStream,
    bytes: Vec<u8>,
    /// Notices that came while an answer was waited for.
    pub notices: Vec<Value>,
}

impl Line {
    pub fn open(address: SocketAddr) -> Line {
        let stream = TcpStream::connect(address).expect("connect");
        stream.set_read_timeout(Some(PATIENCE)).expect("time-out");
        stream.set_nodelay(true).expect("nodelay");
        Line { stream, bytes: Vec::new(), notices: Vec::new() }
    }

    /// Says bytes as they are.
    pub fn say(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).expect("write");
    }

    /// The next line; none when the server has hung up.
    pub fn hear(&mut self) -> Option<String> {
        let mut buffer = vec![0; 1 << 16];
        loop {
            if let Some(end) = self.bytes.iter().position(|byte| *byte == b'\n') {
                let line: Vec<_> = self.bytes.drain(..=end).collect();
                return Some(String::from_utf8(line[..end].to_vec()).expect("text"));
            }
            match self.stream.read(&mut buffer) {
                Ok(0) => return None,
                Ok(bytes) => self.bytes.extend_from_slice(&buffer[..bytes]),
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("nothing was heard: {error}"),
            }
        }
    }

    /// The next line as JSON.
    pub fn hear_json(&mut self) -> Value {
        serde_json::from_str(&self.hear().expect("a line")).expect("JSON")
    }

    /// The next answer, whatever it is; notices before it are kept.
    pub fn answer(&mut self) -> Value {
        loop {
            let line = self.hear_json();
            if line.get("return").is_some() || line.get("exception").is_some() {
                return line;
            }
            self.notices.push(line);
        }
    }

    /// Calls, and hears the answer.
    pub fn ask(&mut self, command: &str, args: Value, kwargs: Value) -> Value {
        self.say(call(command, args, kwargs));
        self.answer()
    }

    /// Calls something that must not raise, by place alone.
    pub fn get(&mut self, command: &str, args: Value) -> Value {
        let answer = self.ask(command, args, json!({}));
        answer.get("return").unwrap_or_else(|| panic!("{command}: {answer}")).clone()
    }

    /// Makes a job and answers its number.
    pub fn create(&mut self, args: Value, kwargs: Value) -> u64 {
        let answer = self.ask("create_job", args, kwargs);
        answer["return"].as_u64().unwrap_or_else(|| panic!("{answer}"))
    }

    /// The state of a job.
    pub fn state(&mut self, job: u64) -> Value {
        self.get("get_job_state", json!([job]))
    }

    /// What is raised.
    pub fn raised(&mut self, command: &str, args: Value, kwargs: Value) -> String {
        let answer = self.ask(command, args, kwargs);
        answer["exception"].as_str().unwrap_or_else(|| panic!("{command}: {answer}")).to_owned()
    }

    /// Hears notices until one names this job.
    pub fn hear_of_job(&mut self, job: u64) -> Value {
        loop {
            let line = if self.notices.is_empty() { self.hear_json() } else { self.notices.remove(0) };
            if line["jobs_changed"].as_array().is_some_and(|jobs| jobs.contains(&json!(job))) {
                return line;
            }
        }
    }

    /// Another hold on the socket.
    pub fn half(&self) -> TcpStream {
        self.stream.try_clone().expect("another hold")
    }

    /// Whether nothing comes for a moment.
    pub fn is_silent(&mut self) -> bool {
        const MOMENT: Duration = Duration::from_millis(30);
        self.stream.set_read_timeout(Some(MOMENT)).expect("time-out");
        let silent = self.bytes.is_empty() && self.stream.peek(&mut [0]).is_err();
        self.stream.set_read_timeout(Some(PATIENCE)).expect("time-out");
        silent
    }

    /// The version, unless the server hangs up.
    pub fn try_version(&mut self) -> Option<String> {
        // Whether it can be said at all shows in what is heard.
        let _ = self.stream.write_all(call("version", json!([]), json!({})).as_bytes());
        self.hear()
    }

    /// Says that nothing more will be said.
    pub fn hang_up(&mut self) {
        self.stream.shutdown(Shutdown::Write).expect("shutdown");
    }
}

/// A call as a line.
pub fn call(command: &str, args: Value, kwargs: Value) -> String {
    format!("{}\n", json!({"command": command, "args": args, "kwargs": kwargs}))
}
