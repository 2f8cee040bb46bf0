//! A job watched and kept alive, over a connection that may break and come back.
//!
//! ```text
//!   connect ──> look ──> hear (events) ──┐
//!      ^          ^                      │ the job changed, or it is time for a sign of life
//!      │          └──────────────────────┘
//!      └── pause, longer each time <── the connection broke
//! ```
//!
//! `JobWatch` does this step by step for whoever calls `next`; `Keeper` does it in a thread. A look is one message: a sign of
//! life, the job, and while it waits why. The job lives on the server, not in the connection, so a broken connection is
//! news but not the end: the watch comes back under the same session for as long as it is asked to.

use super::{Answer, Client, ClientError, Dial, HangUp, Request};
use crate::error::Code;
use serde_json::Value;
use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// Between two looks at a job that waits there is at most this, so that its place in the queue stays true.
const LOOK_QUEUED_MAX: Duration = Duration::from_secs(5);
/// Between two looks at any other job.
const LOOK_MAX: Duration = Duration::from_secs(30);
/// Between two looks there is at least this, however short the keepalive.
const LOOK_MIN: Duration = Duration::from_millis(10);
/// So many signs of life fit into one keepalive: two may get lost.
const SIGNS_PER_KEEPALIVE: u32 = 3;
/// The first pause after a connection broke; it doubles.
const PAUSE_MIN: Duration = Duration::from_millis(50);
/// The longest pause.
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// What became of a job.
#[derive(Clone, Debug, PartialEq)]
pub enum JobNews {
    /// It waits for boards.
    Queued {
        /// How many jobs stand before it.
        ahead: Option<u64>,
        /// Why it waits.
        sentence: String,
    },
    /// Its boards are being switched.
    Power,
    /// Its boards are ready; the job as `get_job` answers it.
    Ready(Value),
    /// It is destroyed, or the server does not know it any more; why.
    Over(String),
    /// The connection is gone; why.
    Lost(String),
    /// The connection is back.
    Back,
}

/// See above.
pub struct JobWatch {
    dial: Dial,
    session: String,
    job: u64,
    keepalive: Option<Duration>,
    stop: Arc<Stop>,
    client: Option<Client>,
    /// When to look next.
    look_at: Instant,
    /// When to connect next, while there is no connection.
    connect_at: Instant,
    pause: Duration,
    /// Whether it was told that the connection is gone.
    told_lost: bool,
    /// What was told of the job last.
    told: Option<JobNews>,
    news: VecDeque<JobNews>,
}

impl JobWatch {
    /// Watches a job under a session, and keeps it alive if it has a keepalive. Nothing is done before `next`.
    pub fn new(dial: Dial, session: &str, job: u64, keepalive: Option<Duration>) -> JobWatch {
        let now = Instant::now();
        JobWatch {
            dial,
            session: session.to_owned(),
            job,
            keepalive,
            stop: Arc::default(),
            client: None,
            look_at: now,
            connect_at: now,
            pause: PAUSE_MIN,
            told_lost: false,
            told: None,
            news: VecDeque::new(),
        }
    }

    /// The next news of the job; none if there is none by then, or none any more.
    pub fn next(&mut self, until: Instant) -> Option<JobNews> {
        loop {
            if let Some(news) = self.news.pop_front() {
                return Some(news);
            }
            if self.is_over() || self.stop.is_stopped() || Instant::now() >= until {
                return None;
            }
            self.step(until);
        }
    }

    /// Whether there will be no news any more.
    pub fn is_over(&self) -> bool {
        self.news.is_empty() && matches!(self.told, Some(JobNews::Over(_)))
    }

    /// Does the next thing that is due, or waits for it, but not for longer than until then.
    fn step(&mut self, until: Instant) {
        let now = Instant::now();
        let done = match &mut self.client {
            None if now < self.connect_at => return self.stop.wait(self.connect_at.min(until)),
            None => self.connect(),
            Some(_) if now >= self.look_at => self.look(),
            Some(client) => match client.next_event(self.look_at.min(until) - now) {
                Ok(Some(_)) => {
                    self.look_at = now;
                    Ok(())
                }
                Ok(None) => Ok(()),
                Err(error) => Err(error),
            },
        };
        if let Err(error) = done {
            self.lose(&error);
        }
    }

    fn connect(&mut self) -> Result<(), ClientError> {
        let mut client = self.dial.join(&self.session)?;
        self.stop.hang_up_with(client.hang_up()?);
        client.ask(Request::new("notify_job").with("job_id", self.job))?;
        // It may have had to open another session.
        client.session().clone_into(&mut self.session);
        self.client = Some(client);
        self.look_at = Instant::now();
        Ok(())
    }

    fn look(&mut self) -> Result<(), ClientError> {
        let Some(client) = &mut self.client else { return Ok(()) };
        let request = |fname| Request::new(fname).with("job_id", self.job);
        let mut requests = vec![request("job_keepalive"), request("get_job")];
        if !matches!(self.told, Some(JobNews::Power | JobNews::Ready(_))) {
            requests.push(request("explain_job"));
        }
        let mut answers = client.call_many(&requests)?.into_iter().skip(1);
        let (job, why) = (answers.next(), answers.next());
        self.pause = PAUSE_MIN;
        if std::mem::take(&mut self.told_lost) {
            self.news.push_back(JobNews::Back);
        }
        self.tell(read_job(job, why)?);
        self.look_at = Instant::now() + self.look_after();
        Ok(())
    }

    fn look_after(&self) -> Duration {
        let queued = matches!(self.told, Some(JobNews::Queued { .. }));
        let look_max = if queued { LOOK_QUEUED_MAX } else { LOOK_MAX };
        let sign = self.keepalive.map_or(look_max, |keepalive| keepalive / SIGNS_PER_KEEPALIVE);
        sign.clamp(LOOK_MIN, look_max)
    }

    /// Tells something unless it was told last. A ready job is told once, whatever changes in it.
    fn tell(&mut self, news: JobNews) {
        let told = match (&self.told, &news) {
            (Some(JobNews::Ready(_)), JobNews::Ready(_)) => true,
            (Some(told), news) => told == news,
            (None, _) => false,
        };
        if !told {
            self.told = Some(news.clone());
            self.news.push_back(news);
        }
    }

    fn lose(&mut self, error: &ClientError) {
        self.client = None;
        self.connect_at = Instant::now() + self.pause;
        self.pause = (self.pause * 2).min(PAUSE_MAX);
        if !self.told_lost && !self.stop.is_stopped() {
            self.told_lost = true;
            self.news.push_back(JobNews::Lost(error.to_string()));
        }
    }
}

/// What the answers of a look come to.
fn read_job(job: Option<Answer>, why: Option<Answer>) -> Result<JobNews, ClientError> {
    let job = match job {
        Some(Ok(job)) => job,
        Some(Err(refusal)) if refusal.code == i64::from(Code::JOB_UNKNOWN.number()) => {
            return Ok(JobNews::Over(refusal.msg));
        }
        Some(Err(refusal)) => return Err(ClientError::Call(refusal)),
        None => return Err(ClientError::Protocol("an answer is missing".to_owned())),
    };
    let text = |key: &str| job[key].as_str().map(str::to_owned);
    match job["state"].as_u64() {
        Some(1) => {
            let why = why.and_then(Result::ok).unwrap_or_default();
            let sentence = why["sentence"].as_str().unwrap_or("it waits for boards").to_owned();
            Ok(JobNews::Queued { ahead: job["ahead"].as_u64(), sentence })
        }
        Some(2) => Ok(JobNews::Power),
        Some(3) => Ok(JobNews::Ready(job)),
        Some(4) => Ok(JobNews::Over(text("reason").unwrap_or_else(|| "it was destroyed".to_owned()))),
        _ => Err(ClientError::Protocol(format!("a job in the state {}", job["state"]))),
    }
}

/// A watch in a thread of its own, until this is dropped or the job is over.
pub struct Keeper {
    stop: Arc<Stop>,
}

impl Keeper {
    /// Starts it; `tell` is given all news.
    pub fn start(mut watch: JobWatch, mut tell: impl FnMut(JobNews) + Send + 'static) -> Keeper {
        let stop = watch.stop.clone();
        thread::spawn(move || {
            while !watch.is_over() && !watch.stop.is_stopped() {
                if let Some(news) = watch.next(Instant::now() + LOOK_MAX) {
                    tell(news);
                }
            }
        });
        Keeper { stop }
    }
}

/// The thread is told to end but not waited for: it may be connecting, which cannot be cut short.
impl Drop for Keeper {
    fn drop(&mut self) {
        self.stop.stop();
    }
}

/// How a watch is told to end, whatever it waits for.
#[derive(Default)]
struct Stop {
    inside: Mutex<Stopping>,
    changed: Condvar,
}

/// The inside of it.
#[derive(Default)]
struct Stopping {
    stopped: bool,
    connection: Option<HangUp>,
}

impl Stop {
    fn stop(&self) {
        let mut inside = self.lock();
        inside.stopped = true;
        if let Some(connection) = inside.connection.take() {
            connection.hang_up();
        }
        self.changed.notify_all();
    }

    fn is_stopped(&self) -> bool {
        self.lock().stopped
    }

    /// Names the connection that is to be ended; at once if it is late.
    fn hang_up_with(&self, connection: HangUp) {
        let mut inside = self.lock();
        if inside.stopped {
            connection.hang_up();
        }
        inside.connection = Some(connection);
    }

    /// Returns when it is stopped, or then.
    fn wait(&self, until: Instant) {
        let span = until.saturating_duration_since(Instant::now());
        // A wait that ends early only means another step.
        drop(self.changed.wait_timeout_while(self.lock(), span, |inside| !inside.stopped));
    }

    fn lock(&self) -> MutexGuard<'_, Stopping> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::answer::Refusal;
    use serde_json::json;

    fn refused(code: Code) -> Option<Answer> {
        Some(Err(Refusal { code: i64::from(code.number()), msg: "so".to_owned() }))
    }

    #[test]
    fn answers_become_news() {
        let queued = json!({"state": 1, "ahead": 2});
        let why = json!({"sentence": "it waits for (0, 0, 0)"});
        let news = JobNews::Queued { ahead: Some(2), sentence: "it waits for (0, 0, 0)".to_owned() };
        assert_eq!(read_job(Some(Ok(queued.clone())), Some(Ok(why))).unwrap(), news);
        let news = JobNews::Queued { ahead: Some(2), sentence: "it waits for boards".to_owned() };
        assert_eq!(read_job(Some(Ok(queued)), refused(Code::INTERNAL)).unwrap(), news);
        assert_eq!(read_job(Some(Ok(json!({"state": 2}))), None).unwrap(), JobNews::Power);
        let over = json!({"state": 4, "reason": "its keepalive lapsed"});
        assert_eq!(read_job(Some(Ok(over)), None).unwrap(), JobNews::Over("its keepalive lapsed".to_owned()));
        assert_eq!(read_job(refused(Code::JOB_UNKNOWN), None).unwrap(), JobNews::Over("so".to_owned()));
        assert!(read_job(refused(Code::INTERNAL), None).unwrap_err().is(Code::INTERNAL));
        assert!(matches!(read_job(Some(Ok(json!({"state": 9}))), None), Err(ClientError::Protocol(_))));
    }
}
