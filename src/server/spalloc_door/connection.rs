//! One connection of the spalloc door: bytes to the talk, what it says out in one write, and its times.
//!
//! As at the native door one future serves a connection, and all that it waits for is polled in one place. Changes are told
//! when everything that was said is answered and while the peer takes what it is sent; until then they coalesce.

use super::super::bell::Bell;
use super::super::house::House;
use super::super::listener::DoorKind;
use super::super::pipe::{Broken, LINGER_MS, OUT_BYTES_PAUSE, Pipe, READS_IN_A_ROW_MAX, with_buffer};
use super::super::sockets::Socket;
use super::talk::{Answered, Talk};
use crate::clock::Moment;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

/// How long a peer has to take what it is told before we hang up.
const CLOSE_MS: u64 = 30_000;

/// See above.
pub struct SpallocConnection {
    house: Arc<House>,
    number: u64,
    pipe: Pipe,
    talk: Talk,
    bell: Arc<Bell>,
    /// The visit to the desk that is under way.
    visit: Option<Answered>,
    phase: Phase,
    /// The peer will say no more.
    heard_end: bool,
    /// Something that is watched may have changed.
    notices_due: bool,
    deadline: Option<Deadline>,
}

/// How far the connection has come.
#[derive(Clone, Copy, PartialEq)]
enum Phase {
    /// Lines are taken.
    Open,
    /// Nothing more is taken; what was taken is answered.
    Closing,
    /// All is said; we wait for the peer to have read it.
    Lingering,
}

/// What happens when a time is up.
#[derive(Clone, Copy, PartialEq)]
enum Why {
    /// It never called anything and says nothing, or does not finish its first line.
    Idle,
    /// The next call has its turn.
    Turn(Moment),
    /// It does not take its last answers.
    Close,
    /// It was told all and does not hang up.
    Linger,
}

/// A moment after which something is done.
struct Deadline {
    why: Why,
    sleep: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl SpallocConnection {
    /// A connection that was just accepted.
    pub fn new(house: Arc<House>, socket: Socket, peer: SocketAddr, number: u64) -> SpallocConnection {
        let bell = house.enter(number);
        let talk = Talk::new(house.clone(), peer, bell.clone());
        SpallocConnection {
            house,
            number,
            pipe: Pipe::new(socket),
            talk,
            bell,
            visit: None,
            phase: Phase::Open,
            heard_end: false,
            notices_due: false,
            deadline: None,
        }
    }

    /// Serves until it is over.
    pub async fn run(mut self) {
        if self.house.end().is_some() {
            // Whoever was told to close was told before this one came.
            self.close();
        }
        std::future::poll_fn(|cx| self.poll(cx)).await;
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        for _ in 0..READS_IN_A_ROW_MAX {
            if self.bell.poll_rung(cx).is_ready() {
                self.take_pokes();
            }
            self.converse(cx);
            self.push_notices();
            if self.write(cx).is_err() || self.is_over() {
                return Poll::Ready(());
            }
            self.watch_time(cx);
            if self.can_go_on() {
                continue;
            }
            match self.poll_read(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(Broken)) => return Poll::Ready(()),
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Answers what there is to answer, as far as nobody has to be waited for.
    fn converse(&mut self, cx: &mut Context<'_>) {
        loop {
            if let Some(visit) = &mut self.visit {
                match Pin::new(visit).poll(cx) {
                    Poll::Pending => return,
                    Poll::Ready(Ok(answers)) => self.talk.finish(answers, &mut self.pipe.out),
                    Poll::Ready(Err(_)) => self.talk.finish_unheard(&mut self.pipe.out),
                }
                self.visit = None;
            }
            if !self.has_turn() {
                return;
            }
            self.visit = self.talk.go_on(&mut self.pipe.out);
            if self.visit.is_none() {
                return;
            }
        }
    }

    /// Whether a line can be answered now.
    fn has_turn(&mut self) -> bool {
        self.phase == Phase::Open
            && self.pipe.unsent() < OUT_BYTES_PAUSE
            && self.turn_is_due()
            && self.has_work()
    }

    fn has_work(&mut self) -> bool {
        self.talk.has_work() || self.talk.mid_line()
    }

    fn turn_is_due(&self) -> bool {
        self.talk.throttled().is_none_or(|until| until <= self.house.clock.now())
    }

    /// Whether there is something to do before anything new is heard.
    fn can_go_on(&mut self) -> bool {
        let more = self.visit.is_none()
            && self.phase == Phase::Open
            && self.pipe.unsent() < OUT_BYTES_PAUSE
            && self.turn_is_due()
            && self.talk.has_work();
        more || (self.may_tell() && self.notices_due)
    }

    /// Takes in what others want of this connection: whatever it is, to end it.
    fn take_pokes(&mut self) {
        if !self.house.pokes_of(self.number).is_empty() {
            self.close();
        }
        self.notices_due = true;
    }

    /// Whether changes may be told: everything said before is answered, and taken.
    fn may_tell(&mut self) -> bool {
        self.phase == Phase::Open
            && self.visit.is_none()
            && !self.pipe.is_blocked()
            && (!self.talk.has_work() || self.talk.throttled().is_some())
    }

    fn push_notices(&mut self) {
        if self.notices_due && self.may_tell() {
            self.notices_due = false;
            self.talk.push_notices(&mut self.pipe.out);
        }
    }

    fn write(&mut self, cx: &mut Context<'_>) -> Result<(), Broken> {
        let (house, peer) = (&self.house, self.talk.peer());
        self.pipe.poll_write(cx, peer, || house.config().limits.output_bytes_max)
    }

    /// Takes no more lines.
    fn close(&mut self) {
        if self.phase == Phase::Open {
            self.phase = Phase::Closing;
            self.talk.close();
        }
    }

    /// Whether there is nothing left to do; on the way, says good-bye.
    fn is_over(&mut self) -> bool {
        let said_all = self.heard_end && !self.talk.has_work();
        if self.phase == Phase::Open && self.visit.is_none() && (self.talk.is_over() || said_all) {
            self.close();
        }
        if self.phase != Phase::Closing || self.visit.is_some() || self.pipe.unsent() > 0 {
            return false;
        }
        self.phase = Phase::Lingering;
        !self.pipe.hang_up() || self.heard_end
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        let may_take = self.visit.is_none() && self.pipe.unsent() < OUT_BYTES_PAUSE && self.turn_is_due();
        match self.phase {
            Phase::Open if self.heard_end || !may_take => return Poll::Pending,
            Phase::Closing => return Poll::Pending,
            Phase::Open | Phase::Lingering => {}
        }
        with_buffer(|buffer| {
            match ready!(self.pipe.poll_read(cx, buffer)) {
                Err(Broken) => return Poll::Ready(Err(Broken)),
                Ok(0) if self.phase == Phase::Lingering => return Poll::Ready(Err(Broken)),
                Ok(0) => self.heard_end = true,
                Ok(bytes) if self.phase == Phase::Open => {
                    self.talk.feed(buffer.get(..bytes).unwrap_or_default());
                    if !self.talk.has_work() {
                        self.pipe.acknowledge();
                    }
                }
                Ok(_) => {}
            }
            Poll::Ready(Ok(()))
        })
    }

    /// What must happen next, and by when.
    fn next_deadline(&mut self) -> Option<(Why, Moment)> {
        let after = |why, ms| Some((why, self.house.clock.now().plus_ms(ms)));
        match (self.phase, self.talk.throttled()) {
            (Phase::Lingering, _) => after(Why::Linger, LINGER_MS),
            (Phase::Closing, _) => after(Why::Close, CLOSE_MS),
            // While the peer takes nothing no call has a turn, however late it is.
            (Phase::Open, Some(until)) if self.visit.is_none() && self.pipe.unsent() < OUT_BYTES_PAUSE => {
                Some((Why::Turn(until), until))
            }
            (Phase::Open, None) if !self.talk.is_known() => {
                after(Why::Idle, self.house.config().limits.idle_ms)
            }
            _ => None,
        }
    }

    /// Acts when a time is up; the next look finds what there is to do then.
    fn watch_time(&mut self, cx: &mut Context<'_>) {
        let next = self.next_deadline();
        if next.map(|(why, _)| why) != self.deadline.as_ref().map(|deadline| deadline.why) {
            self.deadline = next.map(|(why, until)| {
                let clock = self.house.clock.clone();
                Deadline { why, sleep: Box::pin(async move { clock.sleep_until(until).await }) }
            });
        }
        let Some(deadline) = &mut self.deadline else { return };
        if deadline.sleep.as_mut().poll(cx).is_pending() {
            return;
        }
        match deadline.why {
            Why::Idle => {
                tracing::debug!(peer = %self.talk.peer(), "hung up on: it called nothing (limits.idle_s)");
                self.close();
            }
            Why::Turn(_) => {}
            Why::Close | Why::Linger => self.pipe.cut(),
        }
        self.deadline = None;
        cx.waker().wake_by_ref();
    }
}

impl Drop for SpallocConnection {
    fn drop(&mut self) {
        self.house.leave(DoorKind::Spalloc, self.number, self.talk.peer().ip());
    }
}
