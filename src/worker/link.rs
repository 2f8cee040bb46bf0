//! The connection to the server: registers, is told, says, gives signs of life; and comes back by itself when it breaks.
//!
//! One thread waits for the socket and for news of the boards. What was to be said when a connection broke is not kept: whoever
//! registers again says which order each board stands by, and is told again what was not answered.

use super::bench::{Offered, Word};
use super::host::Host;
use super::task;
use crate::client::{Answer, Client, ClientError, Dial, Request};
use crate::error::Code;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde_json::{Map, Value, json};
use std::hash::{BuildHasher, Hasher};
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::{Duration, Instant};
use zeroize::Zeroizing;

/// The first pause before another connection; each one after it is twice as long.
const PAUSE_MIN: Duration = Duration::from_millis(200);
/// The longest.
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// When the server asks to come back later.
const BUSY_PAUSE: Duration = Duration::from_secs(1);
/// Signs of life in the time after which the server gives a worker up.
const BEATS: u32 = 3;
/// Words in one message.
const WORDS_PER_MESSAGE_MAX: usize = 64;
/// The longest reason the server takes, in bytes.
const REASON_BYTES_MAX: usize = 1_000;

/// Who a worker is.
pub struct Identity {
    /// The pool its boards are of.
    pub machine: String,
    /// Its name there.
    pub name: String,
    /// What proves that it may come.
    pub token: Zeroizing<String>,
    /// Where holders of its boards reach it.
    pub url: Option<String>,
}

/// News for the thread of the connection.
pub(super) enum News {
    /// To be said.
    Word(Word),
    /// A board came.
    Plugged(Offered),
    /// A board went.
    Unplugged(String),
    /// The stay is over.
    Over(String),
    /// To end.
    End(Ending),
}

/// How a worker is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// When no job has one of its boards.
    WhenFree,
    /// At once.
    Now,
}

/// Leaves news and wakes the thread.
#[derive(Clone)]
pub struct Teller {
    news: Sender<News>,
    wake: Arc<UnixStream>,
}

impl Teller {
    pub(super) fn tell(&self, news: News) {
        // The thread may be gone; a full pipe wakes as well.
        let _ = self.news.send(news);
        let _ = (&*self.wake).write(&[1]);
    }

    /// Asks the worker to end.
    pub fn end(&self, ending: Ending) {
        self.tell(News::End(ending));
    }
}

/// See above.
pub struct Link {
    dial: Dial,
    who: Identity,
    news: Receiver<News>,
    woken: UnixStream,
    ending: Option<Ending>,
    pause: Duration,
    /// When the server heard us last, and how long it waits for more.
    heard: Option<(Instant, Duration)>,
}

/// Why a stay came to its end.
enum Parted {
    /// The worker left.
    Left,
    /// Somebody else speaks for its name, or the server is done with it.
    Over(String),
    /// The connection broke, or the server refused.
    Broken(ClientError),
}

impl From<ClientError> for Parted {
    fn from(error: ClientError) -> Parted {
        Parted::Broken(error)
    }
}

impl From<std::io::Error> for Parted {
    fn from(error: std::io::Error) -> Parted {
        Parted::Broken(error.into())
    }
}

/// One registration.
struct Stay {
    client: Client,
    number: u64,
    beat_every: Duration,
    beat_at: Instant,
    /// Said again at `beat_at` at the latest: the server was busy.
    unsaid: Vec<Request>,
    draining: bool,
}

impl Link {
    /// One that is not connected, and what wakes it.
    pub fn new(dial: Dial, who: Identity) -> std::io::Result<(Link, Teller)> {
        let (wake, woken) = UnixStream::pair()?;
        wake.set_nonblocking(true)?;
        woken.set_nonblocking(true)?;
        let (sender, news) = mpsc::channel();
        let link = Link { dial, who, news, woken, ending: None, pause: PAUSE_MIN, heard: None };
        Ok((link, Teller { news: sender, wake: Arc::new(wake) }))
    }

    /// Speaks for the boards until asked to end.
    pub fn run(mut self, host: &Arc<Host>) {
        loop {
            match self.stay(host) {
                Parted::Left => return,
                Parted::Over(why) => {
                    tracing::error!("the server is done with this worker: {why}");
                    self.pause = PAUSE_MAX;
                }
                Parted::Broken(error) => tracing::warn!("not connected: {error}"),
            }
            if self.rests(host) {
                return;
            }
        }
    }

    /// Waits before another try. True if the worker is to end instead.
    fn rests(&mut self, host: &Host) -> bool {
        let until = Instant::now() + jittered(self.pause);
        self.pause = (self.pause * 2).min(PAUSE_MAX);
        loop {
            // What boards have to say is told by the order they stand by, later.
            while let Ok(news) = self.news.try_recv() {
                self.note(&news);
            }
            let silent = self.heard.filter(|(at, patience)| at.elapsed() >= *patience);
            if silent.is_some() {
                self.heard = None;
                host.rest("the worker has lost its server");
            }
            if self.is_done(host) {
                return true;
            }
            if Instant::now() >= until {
                return false;
            }
            if let Err(error) = self.sleep(None, until) {
                tracing::error!(%error, "the worker cannot wait");
                return true;
            }
        }
    }

    /// Takes in news that is not for the server.
    fn note(&mut self, news: &News) {
        if let News::End(ending) = news {
            self.ending = Some(*ending);
        }
    }

    fn is_done(&self, host: &Host) -> bool {
        match self.ending {
            None => false,
            Some(Ending::Now) => true,
            Some(Ending::WhenFree) => !host.is_lent(),
        }
    }

    /// Waits for the server, for news, or until then.
    fn sleep(&mut self, client: Option<&Client>, until: Instant) -> std::io::Result<()> {
        let span = until.saturating_duration_since(Instant::now()).min(PAUSE_MAX);
        let timeout = Timespec { tv_sec: span.as_secs() as i64, tv_nsec: i64::from(span.subsec_nanos()) };
        let mut fds = vec![PollFd::new(&self.woken, PollFlags::IN)];
        let server = client.map(AsFd::as_fd);
        if let Some(server) = &server {
            fds.push(PollFd::new(server, PollFlags::IN));
        }
        match poll(&mut fds, Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let mut bytes = [0; 256];
        while matches!((&self.woken).read(&mut bytes), Ok(count) if count > 0) {}
        Ok(())
    }

    /// One stay, from the registration to its end.
    fn stay(&mut self, host: &Arc<Host>) -> Parted {
        match self.register(host).map_err(Parted::from).and_then(|stay| self.serve(host, stay)) {
            Ok(()) => Parted::Left,
            Err(parted) => parted,
        }
    }

    fn register(&mut self, host: &Host) -> Result<Stay, ClientError> {
        let mut client = self.dial.open()?;
        while let Ok(news) = self.news.try_recv() {
            self.note(&news);
        }
        let draining = self.ending.is_some();
        let boards: Vec<Value> = host.offered().iter().map(offer).collect();
        let request = Request::new("register_worker")
            .with("machine", self.who.machine.as_str())
            .with("worker", self.who.name.as_str())
            .with("token", self.who.token.as_str())
            .with("version", env!("CARGO_PKG_VERSION"))
            .with_some("url", self.who.url.clone())
            .with("boards", boards)
            .with("draining", draining);
        let registered = client.ask(request)?;
        let (number, timeout_s) = (registered["stay"].as_u64(), registered["timeout_s"].as_f64());
        let timeout = timeout_s.and_then(|span| Duration::try_from_secs_f64(span).ok());
        let (Some(number), Some(timeout)) = (number, timeout) else {
            return Err(ClientError::Protocol(format!("a worker was registered as {registered}")));
        };
        tracing::info!(machine = self.who.machine, "registered as {}", self.who.name);
        self.pause = PAUSE_MIN;
        self.heard = Some((Instant::now(), timeout));
        let beat_every = timeout / BEATS;
        let beat_at = Instant::now() + beat_every;
        Ok(Stay { client, number, beat_every, beat_at, unsaid: Vec::new(), draining })
    }

    /// Is told and says until the worker leaves.
    fn serve(&mut self, host: &Arc<Host>, mut stay: Stay) -> Result<(), Parted> {
        loop {
            let told = stay.hear(host)?;
            let said = self.say(&mut stay)?;
            if self.is_done(host) {
                let bye = stay.request("leave_worker").with("reason", "the worker was stopped");
                stay.client.ask(bye)?;
                return Ok(());
            }
            if !told && !said {
                self.sleep(Some(&stay.client), stay.beat_at)?;
            }
        }
    }

    /// Says what there is to say. False if there was nothing.
    fn say(&mut self, stay: &mut Stay) -> Result<bool, Parted> {
        let mut words = std::mem::take(&mut stay.unsaid);
        while words.len() < WORDS_PER_MESSAGE_MAX
            && let Ok(news) = self.news.try_recv()
        {
            self.note(&news);
            match news {
                News::Over(why) => return Err(Parted::Over(why)),
                news => words.extend(stay.word(news)),
            }
        }
        if self.ending.is_some() && !std::mem::replace(&mut stay.draining, true) {
            words.push(stay.request("drain_worker").with("draining", true));
        }
        if Instant::now() >= stay.beat_at {
            words.push(stay.request("worker_heartbeat"));
        }
        if words.is_empty() {
            return Ok(false);
        }
        let answers = stay.client.call_many(&words)?;
        let patience = self.heard.map_or(PAUSE_MAX, |(_, patience)| patience);
        self.heard = Some((Instant::now(), patience));
        stay.beat_at = Instant::now() + stay.beat_every;
        stay.judge(words, answers)?;
        // What is unsaid waits for its time.
        Ok(stay.unsaid.is_empty())
    }
}

impl Stay {
    fn request(&self, fname: &str) -> Request {
        Request::new(fname).with("stay", self.number)
    }

    /// Takes in what the server says. False if it said nothing.
    fn hear(&mut self, host: &Host) -> Result<bool, Parted> {
        let mut told = false;
        while let Some(event) = self.client.try_event()? {
            told = true;
            if event.is_farewell() {
                return Err(Parted::Broken(ClientError::Protocol(format!("it said {}", event.name))));
            }
            for task in task::decode(self.number, &event.data) {
                host.handle_task(task);
            }
        }
        if self.client.take_events_lost() > 0 {
            let why = "more was told at once than is kept".to_owned();
            return Err(Parted::Broken(ClientError::Protocol(why)));
        }
        Ok(told)
    }

    /// What is to be said of news.
    fn word(&self, news: News) -> Option<Request> {
        Some(match news {
            News::Word(Word::Order { id, serial, failed: None }) => {
                self.request("answer_order").with("order", id).with("obeyed", vec![serial])
            }
            News::Word(Word::Order { id, serial, failed: Some(why) }) => {
                let failed = Map::from_iter([(serial, Value::String(reason(&why)))]);
                self.request("answer_order").with("order", id).with("failed", failed)
            }
            News::Word(Word::Answer { ticket, answer }) => {
                let request = self.request("answer_question").with("question", ticket);
                match answer {
                    Ok(said) => request.with("answer", said),
                    Err(why) => request.with("error", reason(&why)),
                }
            }
            News::Word(Word::Break { serial, reason: why }) => {
                self.request("break_worker_boards").with("boards", vec![serial]).with("reason", reason(&why))
            }
            News::Plugged(board) => self.request("add_worker_boards").with("boards", vec![offer(&board)]),
            News::Unplugged(serial) => self
                .request("remove_worker_boards")
                .with("boards", vec![serial])
                .with("reason", "it was unplugged"),
            News::Over(_) | News::End(_) => return None,
        })
    }

    /// What the server answered to words.
    fn judge(&mut self, words: Vec<Request>, answers: Vec<Answer>) -> Result<(), Parted> {
        for (word, answer) in words.into_iter().zip(answers) {
            let Err(refusal) = answer else { continue };
            let is = |code: Code| refusal.code == i64::from(code.number());
            if is(Code::STAY_UNKNOWN) {
                return Err(Parted::Broken(ClientError::Call(refusal)));
            }
            if is(Code::AGENTS_BUSY) {
                self.beat_at = self.beat_at.min(Instant::now() + BUSY_PAUSE);
                self.unsaid.push(word);
            } else {
                tracing::error!("the server refused {}: [{}] {}", word.fname, refusal.code, refusal.msg);
            }
        }
        Ok(())
    }
}

/// A board as it is written.
fn offer(board: &Offered) -> Value {
    json!({"serial": board.serial, "model": board.model, "holds": board.holds})
}

/// A reason that is not too long.
fn reason(why: &str) -> String {
    let mut end = why.len().min(REASON_BYTES_MAX);
    while !why.is_char_boundary(end) {
        end -= 1;
    }
    why[..end].to_owned()
}

/// A pause between half of it and one and a half, so that workers do not come all at once.
fn jittered(pause: Duration) -> Duration {
    let chance = std::collections::hash_map::RandomState::new().build_hasher().finish();
    pause / 2 + pause.mul_f64((chance % 1024) as f64 / 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_differ_and_stay_within_bounds() {
        let pauses: Vec<_> = (0..32).map(|_| jittered(PAUSE_MAX)).collect();
        assert!(pauses.iter().all(|pause| (PAUSE_MAX / 2..PAUSE_MAX * 3 / 2).contains(pause)));
        assert!(pauses.windows(2).any(|pair| pair[0] != pair[1]));
    }

    #[test]
    fn reasons_are_cut_between_letters() {
        assert_eq!(reason("short"), "short");
        let long = "ä".repeat(REASON_BYTES_MAX);
        assert_eq!(reason(&long).len(), REASON_BYTES_MAX);
        assert_eq!(reason(&format!("x{long}")).len(), REASON_BYTES_MAX - 1);
    }
}
