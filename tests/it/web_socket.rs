//! Raw requests to the web door, and websockets that say and hear JSON.

use berth::wire;
use berth::wire::frame::{FrameLimits, Unframer};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;
use tungstenite::client::IntoClientRequest;
use tungstenite::http::HeaderValue;
use tungstenite::{Error, Message, WebSocket};

/// How long a test waits for what must come: far longer than it takes, so that only a fault reaches it.
const PATIENCE: Duration = Duration::from_secs(20);

/// How a connection looks from which the server has gone.
const GONE: [ErrorKind; 2] = [ErrorKind::ConnectionReset, ErrorKind::BrokenPipe];

/// What was answered.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    /// By their names in small letters.
    pub headers: BTreeMap<String, String>,
    pub body: String,
}

impl Answer {
    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// A header, or nothing.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }
}

/// A connection that does not speak yet.
pub fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("connect");
    stream.set_read_timeout(Some(PATIENCE)).expect("time-out");
    stream.set_nodelay(true).expect("nodelay");
    stream
}

/// Asks, with these further lines of the head, and hears the answer.
pub fn ask(address: SocketAddr, method: &str, path: &str, lines: &[&str], body: &str) -> Answer {
    let mut stream = connect(address);
    let mut head = format!("{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n");
    lines.iter().for_each(|line| head.push_str(&format!("{line}\r\n")));
    if !body.is_empty() {
        head.push_str(&format!("content-length: {}\r\n", body.len()));
    }
    stream.write_all(format!("{head}\r\n{body}").as_bytes()).expect("write");
    hear_answer(&mut BufReader::new(stream), method == "HEAD").expect("an answer")
}

/// Asks for a page.
pub fn get(address: SocketAddr, path: &str) -> Answer {
    ask(address, "GET", path, &[], "")
}

/// Sends a native message.
pub fn post(address: SocketAddr, message: &Value) -> Answer {
    ask(address, "POST", "/api", &["content-type: application/json"], &message.to_string())
}

/// The answer that comes, unless the server hangs up instead.
pub fn hear_answer(reader: &mut BufReader<TcpStream>, without_body: bool) -> Option<Answer> {
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let status = line.split(' ').nth(1)?.parse().expect("a status");
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).expect("a line of the head");
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        headers.insert(name.to_ascii_lowercase(), value.to_owned());
    }
    let length = headers.get("content-length").map_or(0, |length| length.parse().expect("a length"));
    let mut body = vec![0; if without_body || status == 304 { 0 } else { length }];
    reader.read_exact(&mut body).expect("the whole body");
    Some(Answer { status, headers, body: String::from_utf8(body).expect("text") })
}

/// A websocket.
pub struct Web {
    socket: WebSocket<TcpStream>,
    pub session: String,
}

impl Web {
    /// Opens one on behalf of a page, or of a program; the status where it is refused.
    pub fn open_for(address: SocketAddr, path: &str, origin: Option<&str>) -> Result<Web, u16> {
        let mut request = format!("ws://{address}{path}").into_client_request().expect("a request");
        if let Some(origin) = origin {
            request.headers_mut().insert("origin", HeaderValue::from_str(origin).expect("a header"));
        }
        match tungstenite::client(request, connect(address)) {
            Ok((socket, _)) => Ok(Web { socket, session: String::new() }),
            Err(tungstenite::HandshakeError::Failure(Error::Http(answer))) => Err(answer.status().as_u16()),
            Err(error) => panic!("no websocket: {error}"),
        }
    }

    /// Opens one on behalf of a program.
    pub fn open(address: SocketAddr, path: &str) -> Web {
        Web::open_for(address, path, None).expect("a websocket")
    }

    /// A native conversation of a guest.
    pub fn guest(address: SocketAddr) -> Web {
        let mut web = Web::open(address, "/socket");
        assert!(web.hear().expect("a greeting")["data"]["version"].is_object());
        assert_eq!(web.ask(json!({}))["data"], "Authenticated");
        web
    }

    /// Looks on at what changes; hears the first cursor or refusal.
    pub fn events(address: SocketAddr, session: &str, cursor: Option<&str>) -> (Web, Value) {
        let mut web = Web::open(address, "/events");
        web.say_json(&json!({"session": session, "cursor": cursor}));
        let first = web.hear().expect("a first word");
        (web, first)
    }

    pub fn say_message(&mut self, message: Message) {
        self.socket.send(message).expect("said");
    }

    pub fn say_json(&mut self, message: &Value) {
        self.say_message(Message::text(message.to_string()));
    }

    /// A native message with this data.
    pub fn message(&self, data: Value) -> Value {
        json!({"session": self.session, "name": "test", "data": data})
    }

    /// The next message; none when the server has closed.
    pub fn hear_message(&mut self) -> Option<Message> {
        loop {
            match self.socket.read() {
                Ok(Message::Ping(_) | Message::Pong(_)) => {}
                Ok(Message::Close(_)) | Err(Error::ConnectionClosed | Error::AlreadyClosed) => return None,
                Err(Error::Io(error)) if GONE.contains(&error.kind()) => return None,
                Err(Error::Protocol(_)) => return None,
                Ok(message) => return Some(message),
                Err(error) => panic!("nothing was heard: {error}"),
            }
        }
    }

    /// The next message as JSON, in whichever form it comes.
    pub fn hear(&mut self) -> Option<Value> {
        match self.hear_message()? {
            Message::Text(text) => Some(serde_json::from_str(&text).expect("JSON")),
            Message::Binary(frame) => Some(unframed(&frame)),
            other => panic!("{other:?}"),
        }
    }

    /// Says a message, hears its answer and takes over the session in it.
    pub fn ask(&mut self, data: Value) -> Value {
        self.say_json(&self.message(data));
        let answer = self.hear().expect("an answer");
        self.session = answer["session"].as_str().expect("a session").to_owned();
        answer
    }

    /// Calls a function: its data, or the code of its error.
    pub fn call(&mut self, call: Value) -> Result<Value, u64> {
        let answer = self.ask(json!([call]));
        let entry = &answer["data"][0];
        match entry["error"]["code"].as_u64().or(answer["error"]["code"].as_u64()) {
            Some(code) => Err(code),
            None => Ok(entry["data"].clone()),
        }
    }

    /// Says good-bye and goes.
    pub fn close(mut self) {
        self.socket.close(None).expect("said");
        while self.hear_message().is_some() {}
    }
}

/// The text of exactly one frame.
pub fn unframed(frame: &[u8]) -> Value {
    let mut unframer = Unframer::new(FrameLimits::default());
    let (read, body) = unframer.feed(frame);
    assert_eq!(read, frame.len(), "one frame and nothing behind it");
    serde_json::from_slice(&body.expect("a whole frame").expect("a good frame")).expect("JSON")
}

/// A message as a frame.
pub fn framed(message: &Value) -> Vec<u8> {
    let mut frame = Vec::new();
    wire::encode(message.to_string().as_bytes(), &mut frame);
    frame
}
