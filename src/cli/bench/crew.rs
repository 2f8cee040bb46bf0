//! One thread of the load: many sockets, one epoll loop, no waiting but in `wait`.
//!
//! A socket has as many places as messages may be in flight on it. A free place waits in `idle` until something is due
//! (`pace`); then a work of the mix is begun on it, step after step, each answer before the next step. Answers are matched by their order.
//! All that is due on a socket leaves in one write. A last answer that is, but for its session, the same bytes as one that
//! was read in full before needs no second reading; any other is read as any client would.

use super::line::{Answer, Flight, Line};
use super::mix::Step;
use super::pace::Pace;
use super::script::{PerStep, Script, Sheet, StepAt};
use super::tally::Tally;
use super::tongue::{Said, Tongue};
use crate::wire::answer::{self, Entry, Heard, Refusal};
use crate::wire::handshake::ACCEPTED;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::fd::OwnedFd;
use rustix::time::{
    ClockId, Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, clock_gettime,
    timerfd_create, timerfd_settime,
};
use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Bytes read at once.
const READ_BYTES: usize = 64 * 1024;
/// Sockets told ready at once.
const EVENTS_MAX: usize = 1024;
/// So long at most it goes unnoticed that somebody wants an end.
const LOOK_UP: Duration = Duration::from_millis(50);
/// How long answers are waited for, and late operations still begun, when the time is over.
const LAST_ANSWER_MAX: Duration = Duration::from_secs(15);
/// The timer's place among the sockets.
const TIMER: u64 = u64::MAX;

/// See above.
pub struct Crew {
    script: Arc<Script>,
    tongue: Tongue,
    sheets: Vec<Sheet>,
    lines: Vec<Line>,
    /// Free places, by their socket.
    idle: VecDeque<usize>,
    /// Sockets with something to send.
    dirty: Vec<usize>,
    /// Unanswered messages.
    in_flight: usize,
    pace: Pace,
    tally: Tally,
    /// By step, an answer that was read in full and found good.
    known: PerStep<Known>,
    epoll: OwnedFd,
    timer: OwnedFd,
    began: Instant,
    stop: Arc<AtomicBool>,
}

/// An answer that need not be read again.
#[derive(Clone, Default)]
struct Known {
    calls: u64,
    /// What follows the session.
    rest: Vec<u8>,
}

/// Why a socket is of no more use.
type Lost = String;

impl Crew {
    /// A crew on sockets that were greeted; each has so many places.
    pub fn new(
        script: Arc<Script>,
        tongue: Tongue,
        sheets: Vec<Sheet>,
        lines: Vec<Line>,
        depth: usize,
        pace: Pace,
        stop: Arc<AtomicBool>,
    ) -> io::Result<Crew> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        let timer =
            timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
        epoll::add(&epoll, &timer, EventData::new_u64(TIMER), EventFlags::IN)?;
        for (at, line) in lines.iter().enumerate() {
            line.stream.set_nonblocking(true)?;
            epoll::add(&epoll, &line.stream, EventData::new_u64(at as u64), EventFlags::IN)?;
        }
        let (steps, count) = (script.len(), lines.len());
        Ok(Crew {
            script,
            tongue,
            sheets,
            lines,
            idle: (0..count).cycle().take(count * depth).collect(),
            dirty: Vec::new(),
            in_flight: 0,
            pace,
            tally: Tally::new(steps),
            known: PerStep(vec![Known::default(); steps]),
            epoll,
            timer,
            began: Instant::now(),
            stop,
        })
    }

    /// Works until everything is done, and tells what was counted since `began`.
    pub fn work(mut self, began: Instant) -> io::Result<Tally> {
        self.began = began;
        let cpu_before = clock_gettime(ClockId::ThreadCPUTime);
        let mut input = vec![0; READ_BYTES];
        let mut events = Vec::with_capacity(EVENTS_MAX);
        let mut over_since: Option<u64> = None;
        loop {
            let now = self.now();
            self.begin_due(now);
            let over = self.is_over(now);
            if over || self.pace.is_past(now) {
                let waited = now - *over_since.get_or_insert(now);
                if (over && self.in_flight == 0) || waited > LAST_ANSWER_MAX.as_nanos() as u64 {
                    break;
                }
            }
            self.wait(now, &mut events)?;
            for event in &events {
                self.serve(event.data.u64(), event.flags, &mut input);
            }
        }
        self.tally.late = if self.stopped() { 0 } else { self.pace.late(self.now()) };
        self.tally.cpu_ns = nanos(clock_gettime(ClockId::ThreadCPUTime)) - nanos(cpu_before);
        Ok(self.tally)
    }

    fn now(&self) -> u64 {
        self.began.elapsed().as_nanos() as u64
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Whether nothing more is begun: by the pace, because somebody wants an end, or because no socket is left.
    fn is_over(&self, now: u64) -> bool {
        self.pace.is_over(now) || self.stopped() || self.tally.lost == self.lines.len() as u64
    }

    /// Waits for sockets, or for the next moment something is due and there is a place for it.
    fn wait(&mut self, now: u64, events: &mut Vec<Event>) -> io::Result<()> {
        let has_place = !self.idle.is_empty() && !self.is_over(now);
        if let Some(next) = self.pace.next_ns().filter(|_| has_place) {
            self.wake_in(next.saturating_sub(now).max(1))?;
        }
        events.clear();
        let look_up = Timespec { tv_sec: 0, tv_nsec: i64::from(LOOK_UP.subsec_nanos()) };
        match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(events), Some(&look_up)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Sets the timer, which is finer than the milliseconds of epoll.
    fn wake_in(&self, ns: u64) -> io::Result<()> {
        let it_value = Timespec { tv_sec: (ns / 1_000_000_000) as i64, tv_nsec: (ns % 1_000_000_000) as i64 };
        let once = Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value };
        timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &once)?;
        Ok(())
    }

    /// Begins what is due on free places, and sends it.
    fn begin_due(&mut self, now: u64) {
        while let Some(at) = self.idle.front().copied() {
            let turn = self.lines[at].turn;
            let first = self.script.first(turn);
            if self.lines[at].lost {
                self.idle.pop_front();
                continue;
            }
            let due =
                if self.stopped() { None } else { self.pace.claim(now, self.script.calls(first) as u64) };
            let Some(due) = due else { break };
            self.idle.pop_front();
            let line = &mut self.lines[at];
            line.turn += 1;
            let before = line.out().len();
            self.sheets[line.sheet].push_first(&self.script, first, due.operations as usize, line.out());
            let bytes = line.out().len() - before;
            let (calls, began_ns, counted) = (due.operations, due.at_ns, due.counted);
            if counted {
                self.tally.begun += calls;
            }
            self.sent(at, Flight { step: first, calls, began_ns, sent_ns: now, counted }, bytes);
        }
        self.flush_dirty();
    }

    /// Notes a message that was appended to a socket's output.
    fn sent(&mut self, at: usize, flight: Flight, bytes: usize) {
        if flight.counted {
            self.tally.bytes.sent += bytes as u64;
        }
        let line = &mut self.lines[at];
        line.flights.push_back(flight);
        self.in_flight += 1;
        if !std::mem::replace(&mut line.dirty, true) {
            self.dirty.push(at);
        }
    }

    fn flush_dirty(&mut self) {
        let mut dirty = std::mem::take(&mut self.dirty);
        for at in dirty.drain(..) {
            self.flush(at);
        }
        self.dirty = dirty;
    }

    fn flush(&mut self, at: usize) {
        let line = &mut self.lines[at];
        line.dirty = false;
        if line.lost {
            return;
        }
        match line.flush() {
            Ok(gone) if gone != line.blocked => {}
            Ok(gone) => {
                line.blocked = !gone;
                let wanted = if gone { EventFlags::IN } else { EventFlags::IN | EventFlags::OUT };
                if let Err(error) =
                    epoll::modify(&self.epoll, &line.stream, EventData::new_u64(at as u64), wanted)
                {
                    self.lose(at, &error.to_string());
                }
            }
            Err(error) => self.lose(at, &error.to_string()),
        }
    }

    /// Does what a socket is ready for.
    fn serve(&mut self, at: u64, flags: EventFlags, input: &mut [u8]) {
        if at == TIMER {
            // The count of expirations is of no interest; reading it quiets the timer.
            let _ = rustix::io::read(&self.timer, &mut [0; 8]);
            return;
        }
        let at = at as usize;
        if flags.contains(EventFlags::OUT) {
            self.flush(at);
        }
        if !self.lines[at].lost && flags.intersects(EventFlags::IN | EventFlags::HUP | EventFlags::ERR) {
            if let Err(why) = self.read(at, input) {
                self.lose(at, &why);
            }
            let now = self.now();
            self.begin_due(now);
        }
    }

    /// Reads once: whatever is left keeps the socket ready.
    fn read(&mut self, at: usize, input: &mut [u8]) -> Result<(), Lost> {
        let count = match self.lines[at].stream.read(input) {
            Ok(0) => return Err("the server closed the connection".to_owned()),
            Ok(count) => count,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
                return Ok(());
            }
            Err(error) => return Err(error.to_string()),
        };
        let now = self.now();
        let mut rest = &input[..count];
        while !rest.is_empty() {
            let (used, answer) = self.lines[at].feed(rest);
            rest = &rest[used..];
            if let Some(answer) = answer {
                let Answer { body, bytes } = answer?;
                self.hear(at, &body, bytes, now)?;
            }
        }
        Ok(())
    }

    /// Takes in the answer to the oldest message of a socket.
    fn hear(&mut self, at: usize, body: &[u8], bytes: u64, now: u64) -> Result<(), Lost> {
        let Some(flight) = self.lines[at].flights.front().copied() else {
            return Err("the server said something nobody asked for".to_owned());
        };
        if self.knows(flight, body) {
            self.land(at, flight, bytes, now);
            self.finish(at, flight, flight.calls, now);
            return Ok(());
        }
        if self.tongue == Tongue::Spalloc {
            return self.hear_line(at, flight, body, bytes, now);
        }
        let heard = answer::decode(body).map_err(|fault| fault.msg)?;
        let step = self.script.step(flight.step);
        let entries = read_entries(step, &heard, flight.calls)?;
        self.land(at, flight, bytes, now);
        if let Some(refusal) = &heard.error {
            self.fail(flight, flight.calls, refusal);
        }
        for refusal in entries.iter().filter_map(|entry| entry.error.as_ref()) {
            self.fail(flight, 1, refusal);
        }
        let mut results: Vec<&str> =
            entries.iter().filter(|entry| entry.error.is_none()).map(|entry| entry.data.get()).collect();
        if step.is_alone() && heard.error.is_none() {
            results.push(&heard.session);
        }
        if results.len() as u64 == flight.calls {
            self.remember(flight, body);
        }
        self.follow(at, flight, &results, now);
        Ok(())
    }

    /// The same for a line: a result, or an exception, which has no number.
    fn hear_line(
        &mut self,
        at: usize,
        flight: Flight,
        body: &[u8],
        bytes: u64,
        now: u64,
    ) -> Result<(), Lost> {
        let said: Said<'_> =
            serde_json::from_slice(body).map_err(|error| format!("the answer is no JSON: {error}"))?;
        self.land(at, flight, bytes, now);
        match (said.result, said.exception) {
            (Some(result), None) => {
                self.remember(flight, body);
                self.follow(at, flight, &[result.get()], now);
            }
            (_, exception) => {
                self.fail_with(flight, 1, None, &exception.unwrap_or_default());
                self.idle.push_back(at);
            }
        }
        Ok(())
    }

    /// Goes on with the results of a message, if there is a next one.
    fn follow(&mut self, at: usize, flight: Flight, results: &[&str], now: u64) {
        match self.script.next(flight.step) {
            _ if results.is_empty() => self.idle.push_back(at),
            Some(next) => self.go_on(at, flight, next, results, now),
            None => self.finish(at, flight, results.len() as u64, now),
        }
    }

    /// Whether an answer is the last of its work and was read before.
    fn knows(&mut self, flight: Flight, body: &[u8]) -> bool {
        let known = self.known.at(flight.step);
        known.calls == flight.calls && known.rest == after_session(body)
    }

    /// Keeps an answer that was good, if nothing in it is needed to go on.
    fn remember(&mut self, flight: Flight, body: &[u8]) {
        if self.script.next(flight.step).is_none() {
            let known = self.known.at(flight.step);
            known.calls = flight.calls;
            known.rest.clear();
            known.rest.extend_from_slice(after_session(body));
        }
    }

    /// Notes that a message was answered.
    fn land(&mut self, at: usize, flight: Flight, bytes: u64, now: u64) {
        self.lines[at].flights.pop_front();
        self.in_flight -= 1;
        if flight.counted {
            // Where there is a rate, a first message is late as its operation is.
            let since = if self.script.is_first(flight.step) { flight.began_ns } else { flight.sent_ns };
            self.tally.answered(flight.step, now.saturating_sub(since));
            self.tally.bytes.received += bytes;
            self.tally.ended_ns = now;
        }
    }

    /// Sends the next message of a work, made of the results of the one before.
    fn go_on(&mut self, at: usize, before: Flight, next: StepAt, results: &[&str], now: u64) {
        let line = &mut self.lines[at];
        let from = line.out().len();
        self.script.push_next(next, &self.sheets[line.sheet], results, line.out());
        let bytes = line.out().len() - from;
        let calls = results.len() as u64;
        self.sent(at, Flight { step: next, calls, sent_ns: now, ..before }, bytes);
    }

    /// Notes that a work has come to its end.
    fn finish(&mut self, at: usize, flight: Flight, operations: u64, now: u64) {
        self.tally.all += operations;
        if flight.counted {
            self.tally.finished(operations, now.saturating_sub(flight.began_ns));
        }
        self.idle.push_back(at);
    }

    fn fail(&mut self, flight: Flight, operations: u64, refusal: &Refusal) {
        self.fail_with(flight, operations, Some(refusal.code), &refusal.msg);
    }

    fn fail_with(&mut self, flight: Flight, operations: u64, code: Option<i64>, msg: &str) {
        self.tally.all += operations;
        match flight.counted {
            true => self.tally.failed(code, operations, msg),
            false => self.tally.failed_early += operations,
        }
    }

    /// Gives a socket up; what was unanswered on it failed.
    fn lose(&mut self, at: usize, why: &str) {
        let line = &mut self.lines[at];
        if std::mem::replace(&mut line.lost, true) {
            return;
        }
        self.tally.lost += 1;
        // It may be gone already.
        let _ = epoll::delete(&self.epoll, &line.stream);
        let _ = line.stream.shutdown(std::net::Shutdown::Both);
        let flights = std::mem::take(&mut line.flights);
        self.in_flight -= flights.len();
        for flight in flights {
            self.fail_with(flight, flight.calls, None, why);
        }
    }
}

/// The entries of an answer to a list of calls; none of any other, whose form is checked.
fn read_entries<'a>(step: Step, heard: &Heard<'a>, calls: u64) -> Result<Vec<Entry<'a>>, Lost> {
    if heard.error.is_some() {
        return Ok(Vec::new());
    }
    match step {
        Step::Handshake if heard.data.get() != format!("\"{ACCEPTED}\"") => {
            Err(format!("the server answered a handshake with {}", heard.data.get()))
        }
        step if step.is_alone() => Ok(Vec::new()),
        _ => {
            let entries = answer::decode_entries(heard).map_err(|fault| fault.msg)?;
            let count = entries.len();
            if count as u64 == calls { Ok(entries) } else { Err(format!("{count} answers to {calls} calls")) }
        }
    }
}

/// An answer from where its session ends. One that does not begin with its session is taken whole.
fn after_session(body: &[u8]) -> &[u8] {
    let Some(rest) = body.strip_prefix(b"{\"session\":\"") else { return body };
    let end = rest.iter().position(|byte| *byte == b'"').unwrap_or(0);
    &rest[end..]
}

fn nanos(time: Timespec) -> u64 {
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_of_two_sessions_are_compared_without_them() {
        let one = after_session(br#"{"session":"0f8f","name":"berth","data":[1]}"#);
        assert_eq!(one, after_session(br#"{"session":"aa","name":"berth","data":[1]}"#));
        assert_ne!(one, after_session(br#"{"session":"aa","name":"berth","data":[2]}"#));
        assert_eq!(after_session(br#"{ "session": "a"}"#), br#"{ "session": "a"}"#);
    }

    #[test]
    fn an_answer_has_as_many_entries_as_calls() {
        let read = |text: &str, step, calls| {
            let heard = answer::decode(text.as_bytes()).unwrap();
            read_entries(step, &heard, calls).map(|entries| entries.len())
        };
        let version = Step::Call { fname: "get_version" };
        let one = r#"{"session":"s","name":"n","data":[{"fname":"get_version","data":1}]}"#;
        assert_eq!(read(one, version, 1), Ok(1));
        assert!(read(one, version, 2).is_err());
        let refused = r#"{"session":"s","name":"n","data":null,"error":{"code":408,"msg":"over"}}"#;
        assert_eq!(read(refused, version, 2), Ok(0));
        assert_eq!(read(refused, Step::Handshake, 1), Ok(0));
        assert_eq!(read(r#"{"session":"s","name":"n","data":"Authenticated"}"#, Step::Handshake, 1), Ok(0));
        assert!(read(r#"{"session":"s","name":"n","data":"serverquit"}"#, Step::Handshake, 1).is_err());
        assert!(read(r#"{"session":"s","name":"n","data":"serverquit"}"#, version, 1).is_err());
    }
}
