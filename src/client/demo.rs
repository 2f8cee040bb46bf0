//! A frontend played for people to look at: two sockets, one session, one job, and every message on paper.

use super::{Client, ClientError, Credentials, Direction, Onlooker};
use serde_json::{Value, json};
use std::fmt;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long an answer may take.
const ANSWER_MAX: Duration = Duration::from_secs(10);
/// How long the boards may take to be switched.
const READY_MAX: Duration = Duration::from_secs(60);
/// How long a burner may take to come.
const BURNER_MAX: Duration = Duration::from_secs(5);
/// How long a disc may take to be burnt.
const BURNT_MAX: Duration = Duration::from_secs(60);
/// How long the demonstration's job lives without a sign of life, should the demonstration die.
const KEEPALIVE_S: f64 = 60.0;

/// Why a demonstration ended early.
#[derive(Debug)]
pub enum DemoError {
    /// The server refused or could not be reached.
    Client(ClientError),
    /// The paper could not be written on.
    Paper(io::Error),
    /// The boards did not become ready; why.
    NotReady(String),
    /// The disc was not burnt; why.
    NotBurnt(String),
}

impl fmt::Display for DemoError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DemoError::Client(error) => error.fmt(f),
            DemoError::Paper(error) => write!(f, "the conversation cannot be printed: {error}"),
            DemoError::NotReady(why) => write!(f, "the boards did not become ready: {why}"),
            DemoError::NotBurnt(why) => write!(f, "the disc was not burnt: {why}"),
        }
    }
}

impl std::error::Error for DemoError {}

impl From<ClientError> for DemoError {
    fn from(error: ClientError) -> DemoError {
        DemoError::Client(error)
    }
}

impl From<io::Error> for DemoError {
    fn from(error: io::Error) -> DemoError {
        DemoError::Paper(error)
    }
}

/// Plays a frontend against the server there and prints the conversation. Returns the number of the job it had.
pub fn play(address: &str, out: impl Write + Send + 'static) -> Result<u64, DemoError> {
    let paper = Paper(Arc::new(Mutex::new(Sheet { out: Box::new(out), failed: None })));
    paper.note("A frontend opens a TCP connection, socket A. The server speaks first: it says what it is and what it can do.");
    let mut a = paper.connect(address, "A")?;
    paper.note("A introduces itself; as a guest it has nothing to prove. The answer carries the session for all further messages.");
    a.call_myself("berth-demo");
    a.handshake_as(Credentials::Guest)?;
    paper.note("A asks to be told of changes of jobs, and for one board, in a single message. Calls run in their order.");
    let job = begin_job(&mut a)?;
    paper.note("The board is being switched on. A does not ask again and again: the server says when something changed.");
    wait_ready(&mut a, job)?;
    paper.note("Job and board are A's: this is where its board answers.");
    a.call("get_job_machine_info", &[("job_id", json!(job))])?;
    paper.note("A second connection, socket B, joins the session by naming it. No second handshake; the server greets every connection.");
    let mut b = paper.connect(address, "B")?;
    b.call_myself("berth-demo");
    b.join(a.session());
    b.call("list_jobs", &[])?;
    paper.note("A switches its board off, waits until that is done, and switches it on again.");
    switch(&mut a, job, "power_off_job_boards")?;
    switch(&mut a, job, "power_on_job_boards")?;
    while a.next_event(Duration::ZERO)?.is_some() {}
    paper.note("B gives the board back. The session may do so on any of its connections.");
    let reason = json!("the demonstration is over");
    b.call("destroy_job", &[("job_id", json!(job)), ("reason", reason)])?;
    paper.note("A hears of it.");
    a.next_event(ANSWER_MAX)?;
    burn(&mut a, &paper)?;
    paper.finish().map(|()| job).map_err(DemoError::Paper)
}

fn begin_job(client: &mut Client) -> Result<u64, ClientError> {
    let notify = super::Request::new("notify_job");
    let create = super::Request::new("create_job").with("boards", 1).with("keepalive", KEEPALIVE_S);
    let answers = client.call_many(&[notify, create.with("note", "demonstration")])?;
    let mut job = None;
    for answer in answers {
        job = answer.map_err(ClientError::Call)?.as_u64();
    }
    job.ok_or_else(|| ClientError::Protocol("create_job answered no number".to_owned()))
}

/// Has a disc burnt, where burners come: those of the shipped lab are simulated, and come by the stand door.
fn burn(client: &mut Client, paper: &Paper) -> Result<(), DemoError> {
    let machines = client.call("list_machines", &[])?;
    let burns =
        |machine: &&Value| machine["kinds"].as_array().is_some_and(|kinds| kinds.contains(&json!("burn")));
    let Some(pool) = machines.as_array().and_then(|machines| machines.iter().find(burns)) else {
        return Ok(());
    };
    paper.note("Some boards are burners of discs; they came by a door of their own, and say which images they could burn.");
    let Some(image) = offered(client, &pool["name"])? else { return Ok(()) };
    paper.note("A asks for a disc with one of them: a job like any other. It ends by itself when the burner has verified the disc.");
    let job = client.call(
        "create_job",
        &[
            ("machine", pool["name"].clone()),
            ("kind", json!("burn")),
            ("kind_args", json!({ "image": image })),
            ("keepalive", json!(null)),
            ("note", json!("demonstration")),
        ],
    )?;
    let deadline = Instant::now() + BURNT_MAX;
    loop {
        let seen = client.call("get_job", &[("job_id", job.clone())])?;
        if seen["state_name"] == "destroyed" {
            return Ok(());
        }
        if client.next_event(deadline.saturating_duration_since(Instant::now()))?.is_none() {
            return Err(DemoError::NotBurnt(format!("not within {} s", BURNT_MAX.as_secs())));
        }
    }
}

/// An image that some burner of a pool could burn now; none if none comes soon.
fn offered(client: &mut Client, pool: &Value) -> Result<Option<Value>, DemoError> {
    client.call("notify_machine", &[("machine", pool.clone())])?;
    let deadline = Instant::now() + BURNER_MAX;
    loop {
        let boards = client.call("list_boards", &[("machine", pool.clone()), ("state", json!("free"))])?;
        let image = |board: &Value| board["offers"].get(0).cloned();
        if let Some(image) = boards.as_array().and_then(|boards| boards.iter().find_map(image)) {
            return Ok(Some(image));
        }
        if client.next_event(deadline.saturating_duration_since(Instant::now()))?.is_none() {
            return Ok(None);
        }
    }
}

/// Switches and waits until the boards have done it.
fn switch(client: &mut Client, job: u64, fname: &str) -> Result<(), DemoError> {
    client.call(fname, &[("job_id", json!(job))])?;
    wait_ready(client, job)
}

/// Looks at the job whenever the server says that it changed.
fn wait_ready(client: &mut Client, job: u64) -> Result<(), DemoError> {
    let deadline = Instant::now() + READY_MAX;
    loop {
        let state = client.call("get_job_state", &[("job_id", json!(job))])?;
        match state["state"].as_u64() {
            Some(3) => return Ok(()),
            Some(1 | 2) => {}
            _ => return Err(DemoError::NotReady(state["reason"].to_string())),
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if client.next_event(left)?.is_none() {
            return Err(DemoError::NotReady(format!("not within {} s", READY_MAX.as_secs())));
        }
    }
}

/// Where both sockets' conversation is written.
#[derive(Clone)]
struct Paper(Arc<Mutex<Sheet>>);

/// The inside of it.
struct Sheet {
    out: Box<dyn Write + Send>,
    /// The first error of writing.
    failed: Option<io::Error>,
}

impl Paper {
    fn connect(&self, address: &str, label: &'static str) -> Result<Client, ClientError> {
        let paper = self.clone();
        let onlooker: Onlooker = Box::new(move |direction, text, bytes| {
            paper.write(&message_text(label, direction, text, bytes));
        });
        Client::connect_watched(address, ANSWER_MAX, Some(onlooker))
    }

    fn note(&self, sentence: &str) {
        self.write(&format!("\n# {sentence}\n"));
    }

    fn write(&self, text: &str) {
        let mut sheet = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let written = sheet.out.write_all(text.as_bytes()).and_then(|()| sheet.out.flush());
        if let (Err(error), None) = (written, &sheet.failed) {
            sheet.failed = Some(error);
        }
    }

    fn finish(&self) -> io::Result<()> {
        let mut sheet = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sheet.failed.take().map_or(Ok(()), Err)
    }
}

/// One message on paper: the socket, an arrow away from it or to it, the frame's bytes, and the text, with what is long
/// in it on lines of its own.
fn message_text(label: &str, direction: Direction, text: &[u8], frame_bytes: usize) -> String {
    let arrow = match direction {
        Direction::Sent => "-->",
        Direction::Received => "<--",
    };
    let text = String::from_utf8_lossy(text);
    format!("{label} {arrow} {text}   ({frame_bytes} bytes on the wire)\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_on_paper_names_socket_direction_and_size() {
        let line = message_text("A", Direction::Sent, br#"{"session":"","name":"x","data":{}}"#, 61);
        assert_eq!(line, "A --> {\"session\":\"\",\"name\":\"x\",\"data\":{}}   (61 bytes on the wire)\n");
        assert!(message_text("B", Direction::Received, b"{}", 9).starts_with("B <-- {}"));
    }
}
