//! Waiting for a job, with its place in the queue and the reason shown live.
//!
//! On a terminal there is one line that changes; elsewhere a line for each change that matters; with `--json` a line of JSON
//! for each change. All of it on standard error.

use super::context::Shared;
use super::exit::{Exit, Failure};
use super::span::span_text;
use super::table::plain;
use crate::client::keeper::JobNews;
use serde_json::{Value, json};
use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

/// Without a connection a job is waited for at most this long.
const LOST_MAX: Duration = Duration::from_secs(60);
/// Off a terminal, a sentence that changed while the place in the queue did not is told this often at most.
const SENTENCE_EVERY: Duration = Duration::from_secs(30);
/// Waits are cut into pieces of at most this.
const WAIT_MAX: Duration = Duration::from_secs(3600);
/// The width of a terminal that does not say its own.
const COLUMNS: usize = 80;

/// How a wait ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Ended {
    /// The boards are ready; the job as `get_job` answers it.
    Ready(Value),
    /// The job is over; why.
    Over(String),
    /// Not in time.
    TimeOut,
    /// The server has not been there for too long.
    Gone(String),
    /// Whoever gives the news wanted it to end.
    Stopped,
}

/// What comes next to somebody who waits.
#[derive(Clone, Debug, PartialEq)]
pub enum Next {
    /// This.
    News(JobNews),
    /// Nothing in time.
    Nothing,
    /// The end of the wait.
    Stop,
}

/// The failure of a job that ended while somebody needed it.
pub fn over(job: u64, reason: &str) -> Failure {
    Failure::new(Exit::NotAvailable, format!("job {job} is over: {reason}"))
}

/// How progress is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    /// Not at all.
    Quiet,
    /// One line that changes.
    Line,
    /// A line for each change.
    Lines,
    /// A line of JSON for each change.
    Json,
}

/// See above.
pub struct Progress {
    manner: Manner,
    job: u64,
    since: Instant,
    /// The place in the queue and when it was told last.
    told: Option<(Option<u64>, Instant)>,
    /// What the changing line shows.
    line: Option<String>,
    /// Since when there is no connection, and why.
    lost: Option<(Instant, String)>,
}

impl Progress {
    /// The progress of a job.
    pub fn new(shared: &Shared, job: u64) -> Progress {
        let manner = match (shared.json, shared.quiet, io::stderr().is_terminal()) {
            (true, _, _) => Manner::Json,
            (_, true, _) => Manner::Quiet,
            (_, _, true) => Manner::Line,
            (_, _, false) => Manner::Lines,
        };
        Progress { manner, job, since: Instant::now(), told: None, line: None, lost: None }
    }

    /// Waits until the job is ready, or will not be. `next` gives the next news until then at the latest.
    pub fn wait(&mut self, give_up_at: Option<Instant>, mut next: impl FnMut(Instant) -> Next) -> Ended {
        let ended = loop {
            let now = Instant::now();
            if let Some(ended) = self.too_late(give_up_at, now) {
                break ended;
            }
            let ended = match next(self.wake_at(give_up_at, now)) {
                Next::News(news) => self.take(news),
                Next::Nothing => None,
                Next::Stop => Some(Ended::Stopped),
            };
            if let Some(ended) = ended {
                break ended;
            }
        };
        self.clear();
        ended
    }

    /// When to look at the time again.
    fn wake_at(&self, give_up_at: Option<Instant>, now: Instant) -> Instant {
        let lost_until = self.lost.as_ref().map(|(since, _)| *since + LOST_MAX);
        // The changing line counts seconds.
        let tick = (self.manner == Manner::Line).then(|| now + Duration::from_secs(1));
        let all = [give_up_at, lost_until, tick, Some(now + WAIT_MAX)];
        all.into_iter().flatten().min().unwrap_or(now)
    }

    /// Whether the wait is over for want of time.
    fn too_late(&mut self, give_up_at: Option<Instant>, now: Instant) -> Option<Ended> {
        if give_up_at.is_some_and(|at| at <= now) {
            return Some(Ended::TimeOut);
        }
        if let Some((since, why)) = &self.lost
            && *since + LOST_MAX <= now
        {
            return Some(Ended::Gone(why.clone()));
        }
        self.redraw();
        None
    }

    /// Shows news, and tells whether it ends the wait.
    fn take(&mut self, news: JobNews) -> Option<Ended> {
        self.show(&news);
        match news {
            JobNews::Ready(job) => return Some(Ended::Ready(job)),
            JobNews::Over(reason) => return Some(Ended::Over(reason)),
            JobNews::Lost(why) => self.lost = Some((Instant::now(), why)),
            JobNews::Back => self.lost = None,
            JobNews::Queued { .. } | JobNews::Power => {}
        }
        None
    }

    fn show(&mut self, news: &JobNews) {
        let text = news_text(self.job, news);
        match self.manner {
            Manner::Quiet => {}
            Manner::Json => say(&format!("{}\n", news_json(self.job, news))),
            Manner::Line => {
                self.line = Some(text);
                self.redraw();
            }
            Manner::Lines => {
                if self.is_worth_a_line(news) {
                    say(&format!("{}\n", plain(&text)));
                }
            }
        }
    }

    /// Every change is, but for a sentence that changes often while the place in the queue stays.
    fn is_worth_a_line(&mut self, news: &JobNews) -> bool {
        let JobNews::Queued { ahead, .. } = news else {
            self.told = None;
            return true;
        };
        let now = Instant::now();
        let same = self.told.is_some_and(|(told, at)| told == *ahead && now - at < SENTENCE_EVERY);
        if !same {
            self.told = Some((*ahead, now));
        }
        !same
    }

    fn redraw(&self) {
        if let Some(line) = &self.line {
            let waited = span_text(self.since.elapsed().as_secs_f64().floor());
            say(&format!("\r\x1b[K{}", fit(&plain(&format!("[{waited}] {line}")), columns())));
        }
    }

    /// Takes the changing line away.
    fn clear(&mut self) {
        if self.line.take().is_some() {
            say("\r\x1b[K");
        }
    }
}

fn news_text(job: u64, news: &JobNews) -> String {
    match news {
        JobNews::Queued { sentence, .. } => sentence.clone(),
        JobNews::Power => format!("job {job} has its boards; they are being switched"),
        JobNews::Ready(_) => format!("job {job} is ready"),
        JobNews::Over(reason) => format!("job {job} is over: {reason}"),
        JobNews::Lost(why) => format!("{why}; trying again"),
        JobNews::Back => "connected again".to_owned(),
    }
}

fn news_json(job: u64, news: &JobNews) -> Value {
    match news {
        JobNews::Queued { ahead, sentence } => {
            json!({"event": "queued", "job_id": job, "ahead": ahead, "sentence": sentence})
        }
        JobNews::Power => json!({"event": "power", "job_id": job}),
        JobNews::Ready(_) => json!({"event": "ready", "job_id": job}),
        JobNews::Over(reason) => json!({"event": "destroyed", "job_id": job, "reason": reason}),
        JobNews::Lost(why) => json!({"event": "connection_lost", "job_id": job, "reason": why}),
        JobNews::Back => json!({"event": "connected", "job_id": job}),
    }
}

/// Progress nobody can see harms nobody.
fn say(text: &str) {
    let mut out = io::stderr().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// A line that does not wrap.
fn fit(line: &str, columns: usize) -> String {
    if line.chars().count() < columns {
        return line.to_owned();
    }
    let kept = columns.saturating_sub(4);
    line.chars().take(kept).chain("...".chars()).collect()
}

fn columns() -> usize {
    let said = rustix::termios::tcgetwinsize(io::stderr()).map_or(0, |size| usize::from(size.ws_col));
    if said == 0 { COLUMNS } else { said }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn progress(manner: Manner) -> Progress {
        Progress { manner, job: 7, since: Instant::now(), told: None, line: None, lost: None }
    }

    fn queued(ahead: u64, sentence: &str) -> JobNews {
        JobNews::Queued { ahead: Some(ahead), sentence: sentence.to_owned() }
    }

    #[test]
    fn a_wait_ends_with_ready_or_over() {
        let ready = json!({"job_id": 7});
        let mut news = vec![JobNews::Ready(ready.clone()), JobNews::Power, queued(1, "x")];
        let next = |news: &mut Vec<JobNews>| news.pop().map_or(Next::Stop, Next::News);
        assert_eq!(progress(Manner::Quiet).wait(None, |_| next(&mut news)), Ended::Ready(ready));
        let mut news = vec![JobNews::Over("enough".to_owned()), JobNews::Back, JobNews::Lost("x".to_owned())];
        assert_eq!(progress(Manner::Quiet).wait(None, |_| next(&mut news)), Ended::Over("enough".to_owned()));
        assert_eq!(progress(Manner::Quiet).wait(None, |_| next(&mut news)), Ended::Stopped);
    }

    #[test]
    fn a_wait_ends_in_time() {
        let now = Instant::now();
        let mut waits = progress(Manner::Quiet);
        assert_eq!(waits.too_late(Some(now), now), Some(Ended::TimeOut));
        assert_eq!(waits.too_late(Some(now + WAIT_MAX), now), None);
        assert_eq!(waits.wake_at(Some(now + SENTENCE_EVERY), now), now + SENTENCE_EVERY);
        waits.lost = Some((now, "gone".to_owned()));
        assert_eq!(waits.wake_at(None, now), now + LOST_MAX);
        assert_eq!(waits.too_late(None, now + LOST_MAX), Some(Ended::Gone("gone".to_owned())));
    }

    #[test]
    fn only_changes_that_matter_are_worth_a_line() {
        let mut lines = progress(Manner::Lines);
        let worth: Vec<_> = [queued(2, "a"), queued(2, "b"), queued(1, "c"), JobNews::Power, queued(1, "c")]
            .iter()
            .map(|news| lines.is_worth_a_line(news))
            .collect();
        assert_eq!(worth, [true, false, true, true, true]);
    }

    #[test]
    fn a_changing_line_never_wraps() {
        assert_eq!(fit("abc", 4), "abc");
        assert_eq!(fit("abcdefgh", 8), "abcd...");
        assert_eq!(fit("abcdefgh", 2), "...");
    }
}
