//! One connection of the native door: bytes in, frames to the conversation, answers out in one write.
//!
//! One future per connection, which `sockets` has polled, and none per message. All that a connection waits for (bytes, room to write, answers
//! that take time, somebody ringing its bell, a deadline) is polled in one place, `poll`; whatever can be
//! answered at once is answered within it, without an `await` between the read and the write. An idle
//! connection holds no buffer.

use super::bell::Bell;
use super::conversation::{Conversation, Form, Handled};
use super::house::{House, Poke};
use super::listener::DoorKind;
use super::pipe::{Broken, LINGER_MS, OUT_BYTES_PAUSE, Pipe, READS_IN_A_ROW_MAX, with_buffer};
use super::sockets::Socket;
use super::turns::Turns;
use crate::clock::Moment;
use crate::error::{Code, Fault};
use crate::wire::frame::Unframer;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

/// How long a frame may stand still at a marker before it counts as cut short: a peer that searches for the
/// marker alone would have ended it there.
const STALL_MS: u64 = 300;

/// How long a peer has to take in that the server ends: a client of old that finds the end of the stream right
/// behind a message drops the message.
const PART_MS: u64 = 250;

/// See above.
pub struct Connection {
    house: Arc<House>,
    number: u64,
    pipe: Pipe,
    unframer: Unframer,
    conversation: Conversation,
    bell: Arc<Bell>,
    /// Bytes that came while no frame could be taken.
    rest: Vec<u8>,
    /// Answers that take time.
    turns: Turns<()>,
    phase: Phase,
    /// The last thing to say is that the server ends.
    farewell: bool,
    /// Something that is watched may have changed.
    notices_due: bool,
    deadline: Option<Deadline>,
}

/// How far the connection has come.
#[derive(Clone, Copy, PartialEq)]
enum Phase {
    /// Messages are taken.
    Open,
    /// Nothing more is taken; what was taken is answered.
    Closing,
    /// All is said, and it was that the server ends: the peer has a moment to take that in before we hang up.
    Parting,
    /// All is said; we wait for the peer to have read it.
    Lingering,
}

/// What a connection is not given more time for.
#[derive(Clone, Copy, PartialEq)]
enum Why {
    /// It never named a session and says nothing.
    Idle,
    /// It never named a session and does not finish its frame.
    Handshake,
    /// Its frame stands still at a marker.
    Stall,
    /// It was told that the server ends.
    Part,
    /// Its last answer is not taken.
    Linger,
}

/// A moment after which something is done.
struct Deadline {
    why: Why,
    sleep: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl Connection {
    /// A connection that was just accepted.
    pub fn new(house: Arc<House>, socket: Socket, peer: SocketAddr, number: u64) -> Connection {
        let bell = house.enter(number);
        let unframer = Unframer::new(house.frame_limits());
        let conversation = Conversation::new(house.clone(), peer, number, bell.clone(), Form::Frames);
        Connection {
            house,
            number,
            pipe: Pipe::new(socket),
            unframer,
            conversation,
            bell,
            rest: Vec::new(),
            turns: Turns::new(),
            phase: Phase::Open,
            farewell: false,
            notices_due: false,
            deadline: None,
        }
    }

    /// Greets, and serves until it is over.
    pub async fn run(mut self) {
        self.conversation.greet(&mut self.pipe.out);
        self.set_deadline(Some(Why::Idle));
        if self.house.end().is_some() {
            // Whoever was told to close was told before this one came.
            self.close();
        }
        std::future::poll_fn(|cx| self.poll(cx)).await;
    }

    /// Refuses a peer for whom there is no room: one error, then nothing.
    pub async fn refuse(mut self, fault: &Fault) {
        self.conversation.push_error(fault, &mut self.pipe.out);
        self.close();
        std::future::poll_fn(|cx| self.poll(cx)).await;
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        for _ in 0..READS_IN_A_ROW_MAX {
            self.take_answers(cx);
            if self.bell.poll_rung(cx).is_ready() {
                self.take_pokes();
            }
            self.push_notices();
            if self.poll_write(cx).is_err() || self.is_over() {
                return Poll::Ready(());
            }
            self.watch_time(cx);
            match self.poll_read(cx) {
                Poll::Pending if self.has_answers() => {}
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(Broken)) => return Poll::Ready(()),
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Whether something to say came up that is not on its way yet.
    fn has_answers(&self) -> bool {
        let due = self.notices_due && !self.has_said_all();
        !self.pipe.is_blocked() && (due || !self.pipe.out.is_empty())
    }

    /// Collects answers that took time.
    fn take_answers(&mut self, cx: &mut Context<'_>) {
        let barred = self.turns.is_barred();
        while let Poll::Ready(((), answer)) = self.turns.poll_next(cx) {
            self.conversation.finish(answer, &mut self.pipe.out);
        }
        if barred && !self.turns.is_barred() {
            self.set_frame_deadline();
        }
    }

    /// Takes in what others want of this connection.
    fn take_pokes(&mut self) {
        for poke in self.house.pokes_of(self.number) {
            match poke {
                Poke::Command(command) if self.phase == Phase::Open => {
                    self.conversation.push_command(command, &mut self.pipe.out);
                    self.bid_farewell();
                }
                Poke::Command(_) => {}
                Poke::Close => self.close(),
            }
        }
        self.notices_due = true;
    }

    /// Tells what changed, once the peer has taken in what was said before: until then changes coalesce.
    fn push_notices(&mut self) {
        if self.notices_due && self.pipe.out.is_empty() && !self.has_said_all() {
            self.notices_due = self.conversation.push_notices(&mut self.pipe.out);
        }
    }

    /// Takes no more messages; the last one said is that the server ends.
    fn bid_farewell(&mut self) {
        self.close();
        self.farewell = true;
    }

    /// Takes no more messages.
    fn close(&mut self) {
        if self.phase == Phase::Open {
            self.phase = Phase::Closing;
            self.rest = Vec::new();
        }
    }

    fn has_said_all(&self) -> bool {
        matches!(self.phase, Phase::Parting | Phase::Lingering)
    }

    fn is_answered(&self) -> bool {
        self.turns.is_empty() && self.pipe.out.is_empty()
    }

    /// Whether there is nothing left to do; on the way, says good-bye.
    fn is_over(&mut self) -> bool {
        if self.phase != Phase::Closing || !self.is_answered() {
            return false;
        }
        if self.farewell {
            self.phase = Phase::Parting;
            self.set_deadline(Some(Why::Part));
            return false;
        }
        self.hang_up()
    }

    /// Says that nothing more will come; whether even that is too late.
    fn hang_up(&mut self) -> bool {
        if !self.pipe.hang_up() {
            return true;
        }
        self.phase = Phase::Lingering;
        self.set_deadline(Some(Why::Linger));
        false
    }

    /// Sends what there is to send.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Result<(), Broken> {
        let (house, peer) = (&self.house, self.conversation.peer());
        self.pipe.poll_write(cx, peer, || house.config().limits.output_bytes_max)
    }

    /// Reads and takes every complete frame that is there.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        if self.phase == Phase::Open && !self.may_take() {
            return Poll::Pending;
        }
        if !self.rest.is_empty() && self.phase == Phase::Open {
            let rest = std::mem::take(&mut self.rest);
            self.take_bytes(&rest);
            return Poll::Ready(Ok(()));
        }
        if self.phase == Phase::Closing {
            return Poll::Pending;
        }
        with_buffer(|buffer| {
            match ready!(self.pipe.poll_read(cx, buffer)) {
                Err(Broken) => return Poll::Ready(Err(Broken)),
                Ok(0) if self.has_said_all() => return Poll::Ready(Err(Broken)),
                Ok(0) => self.take_end(),
                Ok(bytes) => self.take_bytes(buffer.get(..bytes).unwrap_or_default()),
            }
            Poll::Ready(Ok(()))
        })
    }

    /// The peer will say no more: what was taken is answered.
    fn take_end(&mut self) {
        self.conversation.hear_end();
        if self.unframer.stalled_at_marker() {
            let error = self.unframer.give_up();
            self.take_frame_error(error);
        }
        self.close();
        self.set_frame_deadline();
    }

    /// Whether another message may be taken now.
    fn may_take(&self) -> bool {
        !self.turns.is_barred()
            && self.pipe.unsent() < OUT_BYTES_PAUSE
            && self.turns.in_flight() < self.house.config().limits.in_flight_max
    }

    fn take_bytes(&mut self, mut input: &[u8]) {
        if self.has_said_all() {
            return;
        }
        let mut frames = 0;
        while !input.is_empty() && self.phase == Phase::Open {
            if frames > 0 && !self.may_take() {
                self.rest = input.to_vec();
                break;
            }
            let (read, frame) = self.unframer.feed(input);
            input = &input[read..];
            match frame {
                None => break,
                Some(Ok(body)) => self.take_frame(&body),
                Some(Err(error)) => self.take_frame_error(error),
            }
            frames += 1;
        }
        if frames == 0 {
            // A peer that sends its frame in two pieces waits for our acknowledgement in between.
            self.pipe.acknowledge();
        }
        self.set_frame_deadline();
    }

    fn take_frame_error(&mut self, error: crate::wire::FrameError) {
        let fault = Fault::new(error.code(), error.to_string());
        self.answer_in_order(|conversation, out| conversation.push_error(&fault, out));
        if !error.goes_on() {
            self.close();
        }
    }

    fn take_frame(&mut self, body: &[u8]) {
        let waiting = self.turns.in_flight() > 0;
        let start = self.pipe.out.len();
        match self.conversation.handle(body, waiting, &mut self.pipe.out) {
            Handled::Answered { has_id } => {
                if !has_id && !self.turns.is_free() {
                    let answer = self.pipe.out.split_off(start);
                    self.turns.add_known((), answer.into());
                }
            }
            Handled::Later { has_id, answer } => self.turns.add(has_id, (), answer),
            Handled::Handshake { has_id, answer } => self.turns.bar(has_id, (), answer),
            Handled::Quit => self.bid_farewell(),
        }
    }

    /// Says something in its turn, after the answers that are still to come.
    fn answer_in_order(&mut self, say: impl FnOnce(&mut Conversation, &mut Vec<u8>)) {
        if self.turns.is_free() {
            say(&mut self.conversation, &mut self.pipe.out);
        } else {
            let mut answer = Vec::new();
            say(&mut self.conversation, &mut answer);
            self.turns.add_known((), answer.into());
        }
    }

    /// What the peer must do next, and by when.
    fn set_frame_deadline(&mut self) {
        let why = match self.phase {
            // It is our turn, not the peer's.
            Phase::Open if self.turns.is_barred() || !self.rest.is_empty() => None,
            Phase::Open if self.unframer.stalled_at_marker() => Some(Why::Stall),
            Phase::Open if self.conversation.is_known() => None,
            Phase::Open if self.unframer.mid_frame() => Some(Why::Handshake),
            Phase::Open => Some(Why::Idle),
            Phase::Closing => None,
            Phase::Parting | Phase::Lingering => return,
        };
        self.set_deadline(why);
    }

    fn set_deadline(&mut self, why: Option<Why>) {
        let running = self.deadline.as_ref().map(|deadline| deadline.why);
        if running == why && why != Some(Why::Idle) && why != Some(Why::Stall) {
            return;
        }
        let limits = self.house.config().limits.clone();
        self.deadline = why.map(|why| {
            let ms = match why {
                Why::Idle => limits.idle_ms,
                Why::Handshake => limits.handshake_ms,
                Why::Stall => STALL_MS,
                Why::Part => PART_MS,
                Why::Linger => LINGER_MS,
            };
            let (clock, until) = (self.house.clock.clone(), self.house.clock.now().plus_ms(ms));
            Deadline { why, sleep: Box::pin(async move { sleep(clock, until).await }) }
        });
    }

    /// Acts when the time is up; what that sets a new deadline for is watched as well.
    fn watch_time(&mut self, cx: &mut Context<'_>) {
        while let Some(deadline) = &mut self.deadline {
            if deadline.sleep.as_mut().poll(cx).is_pending() {
                return;
            }
            let why = deadline.why;
            self.deadline = None;
            self.act_on_time(why);
        }
    }

    fn act_on_time(&mut self, why: Why) {
        match why {
            // What follows the marker may be there, unread because it is not its turn.
            Why::Stall if !self.may_take() => self.set_deadline(Some(Why::Stall)),
            Why::Stall => {
                let error = self.unframer.give_up();
                self.take_frame_error(error);
                self.set_frame_deadline();
            }
            Why::Idle => self.time_out(Code::IDLE_TIME),
            Why::Handshake => self.time_out(Code::HANDSHAKE_TIME),
            Why::Part => {
                self.hang_up();
            }
            Why::Linger => self.pipe.cut(),
        }
    }

    fn time_out(&mut self, code: Code) {
        self.conversation.push_error(&Fault::new(code, code.row().meaning), &mut self.pipe.out);
        self.close();
    }
}

async fn sleep(clock: crate::clock::Clock, until: Moment) {
    clock.sleep_until(until).await
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.house.leave(DoorKind::Native, self.number, self.conversation.peer().ip());
    }
}
