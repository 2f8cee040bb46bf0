//! One connection of the stand door: bytes to the talk, what it says out in one write, images in and out, and its times.
//!
//! As at the other doors one future serves a connection, and all that it waits for is polled in one place. Files are read and written
//! on threads that may wait, a piece at a time, and nothing more is read from a peer whose piece is not written yet.

use super::super::bell::Bell;
use super::super::bucket::Bucket;
use super::super::house::House;
use super::super::listener::DoorKind;
use super::super::pipe::{Broken, LINGER_MS, OUT_BYTES_PAUSE, Pipe, READS_IN_A_ROW_MAX, with_buffer};
use super::super::sockets::Socket;
use super::images::{Arrival, NotKept};
use super::talk::{Came, Step, Talk, Wait};
use crate::clock::Moment;
use crate::stand::{ErrorCode, Hash, Piece, Reply, Splitter};
use async_std::task;
use std::fs::File;
use std::future::Future;
use std::io::Read;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

/// How long a peer has to take what it is told before we hang up.
const CLOSE_MS: u64 = 30_000;

/// So much of an image is written or read at once.
const PIECE_BYTES: usize = 256 * 1024;

/// After so many messages others have their turn.
const MESSAGES_IN_A_ROW_MAX: usize = 64;

/// See above.
pub struct StandConnection {
    house: Arc<House>,
    peer: SocketAddr,
    number: u64,
    pipe: Pipe,
    talk: Talk,
    bell: Arc<Bell>,
    splitter: Splitter,
    /// What was read and not looked at yet, from `looked_at` on.
    input: Vec<u8>,
    looked_at: usize,
    bucket: Bucket,
    /// There is a token for the next message.
    has_token: bool,
    /// Until when there is none.
    throttled: Option<Moment>,
    /// What must be waited for before anything else is done.
    wait: Option<Wait>,
    receiving: Option<Receiving>,
    sending: Option<Sending>,
    phase: Phase,
    /// The peer will say no more.
    heard_end: bool,
    /// Displays may have to be told something.
    notices_due: bool,
    /// How many bytes came so far.
    came: u64,
    /// How many bytes had come and been taken at the last look.
    moved: u64,
    deadline: Option<Deadline>,
    /// When it was accepted.
    opened: Moment,
}

/// An image that is coming.
struct Receiving {
    image: Hash,
    /// Where it goes; none while a piece is written.
    arrival: Option<Box<Arrival>>,
    /// What came and is not written yet.
    piece: Vec<u8>,
}

/// An image that is being sent.
struct Sending {
    file: Option<File>,
    bytes_left: u64,
}

/// How far the connection has come.
#[derive(Clone, Copy, PartialEq)]
enum Phase {
    /// Messages are taken.
    Open,
    /// Nothing more is taken; what was taken is answered.
    Closing,
    /// All is said; we wait for the peer to have read it.
    Lingering,
}

/// What happens when a time is up.
#[derive(Clone, Copy, PartialEq)]
enum Why {
    /// It does not say who it is.
    Handshake,
    /// It is a burner that is lost to the lab and says nothing.
    Idle,
    /// It takes nothing of what it is sent, or sends nothing of what it announced; so many bytes have passed.
    Stall(u64),
    /// The next message has its turn.
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

impl StandConnection {
    /// A connection that was just accepted.
    pub fn new(house: Arc<House>, socket: Socket, peer: SocketAddr, number: u64) -> StandConnection {
        let bell = house.enter(number);
        let mut pipe = Pipe::new(socket);
        Reply::Ident.encode(&mut pipe.out);
        StandConnection {
            talk: Talk::new(house.clone(), number, bell.clone()),
            splitter: Splitter::new(house.config().stand.message_bytes_max),
            bucket: Bucket::full(house.clock.now()),
            opened: house.clock.now(),
            house,
            peer,
            number,
            pipe,
            bell,
            input: Vec::new(),
            looked_at: 0,
            has_token: false,
            throttled: None,
            wait: None,
            receiving: None,
            sending: None,
            phase: Phase::Open,
            heard_end: false,
            notices_due: false,
            came: 0,
            moved: 0,
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
        // What is left of an image is removed where waiting is allowed, also when that is still being written.
        let (wait, receiving) = (self.wait.take(), self.receiving.take());
        drop(self);
        if let Some(wait) = wait {
            let came = wait.await;
            task::spawn_blocking(move || drop(came)).await;
        }
        if receiving.is_some() {
            task::spawn_blocking(move || drop(receiving)).await;
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        for _ in 0..READS_IN_A_ROW_MAX {
            if self.bell.poll_rung(cx).is_ready() {
                self.take_pokes();
            }
            let has_more = self.converse(cx);
            self.push_notices();
            if self.write(cx).is_err() || self.is_over() {
                return Poll::Ready(());
            }
            self.watch_moving();
            self.watch_time(cx);
            if has_more {
                break;
            }
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

    /// Does what there is to do, as far as nobody has to be waited for; true when it was enough for once, and there may be more.
    fn converse(&mut self, cx: &mut Context<'_>) -> bool {
        for _ in 0..MESSAGES_IN_A_ROW_MAX {
            if let Some(wait) = &mut self.wait {
                let Poll::Ready(came) = wait.as_mut().poll(cx) else { return false };
                self.wait = None;
                self.take_in(came);
            }
            if !self.may_speak() {
                return false;
            }
            if self.sending.is_some() {
                self.read_on();
            } else {
                self.talk.open_letters(&mut self.pipe.out);
                if !self.go_on() {
                    return false;
                }
            }
        }
        true
    }

    /// Whether something may be said: all that was said before is nearly taken, and nothing is waited for.
    fn may_speak(&self) -> bool {
        self.phase == Phase::Open
            && self.wait.is_none()
            && !self.pipe.is_sharing()
            && self.pipe.unsent() < OUT_BYTES_PAUSE
    }

    /// Looks at what was read next; false when there is nothing to look at, or it has no turn.
    fn go_on(&mut self) -> bool {
        if self.talk.is_over() {
            self.close();
            return false;
        }
        if self.splitter.raw_bytes() == 0 && !self.take_token() {
            return false;
        }
        let mut input = self.input.get(self.looked_at..).unwrap_or_default();
        let piece = self.splitter.pull(&mut input);
        let left = input.len();
        let step = match piece {
            None => None,
            Some(Err(_)) => {
                let max = self.house.config().stand.message_bytes_max;
                tracing::info!(peer = %self.peer, "hung up on: a message is too long (stand.message_bytes_max = {max})");
                Reply::error(
                    ErrorCode::TOOBIG,
                    "this message is too long, and where the next begins is not known",
                )
                .encode(&mut self.pipe.out);
                Some(Step::HangUp)
            }
            Some(Ok(Piece::Message(message))) => {
                self.has_token = false;
                Some(self.talk.handle(message, &mut self.pipe.out))
            }
            Some(Ok(Piece::Raw(bytes))) => {
                if let Some(receiving) = &mut self.receiving {
                    receiving.piece.extend_from_slice(bytes);
                }
                Some(Step::GoOn)
            }
        };
        self.looked_at = self.input.len() - left;
        if left == 0 {
            (self.input, self.looked_at) = (Vec::new(), 0);
        }
        let goes_on = step.is_some();
        step.into_iter().for_each(|step| self.step(step));
        self.write_on();
        goes_on || self.wait.is_some()
    }

    /// Takes a token for the next message, if anything was read that may be one.
    fn take_token(&mut self) -> bool {
        self.throttled = None;
        if self.has_token || self.looked_at == self.input.len() {
            return true;
        }
        let rate = self.house.config().stand.rate_per_s;
        match self.bucket.take(self.house.clock.now(), rate) {
            Ok(()) => self.has_token = true,
            Err(until) => self.throttled = Some(until),
        }
        self.has_token
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::GoOn => {}
            Step::Share(bytes) => self.pipe.share(bytes),
            Step::Wait(wait) => self.wait = Some(wait),
            Step::Receive(arrival, bytes) => {
                self.splitter.expect_raw(bytes);
                self.receiving =
                    Some(Receiving { image: arrival.image(), arrival: Some(arrival), piece: Vec::new() });
            }
            // It could go on for ever, and be nobody all the time.
            Step::Skip(_) if !self.talk.is_known() => self.close(),
            Step::Skip(bytes) => self.splitter.expect_raw(bytes),
            Step::HangUp => self.close(),
        }
    }

    /// Has what came of an image written, once it is enough or all.
    fn write_on(&mut self) {
        let is_all = self.splitter.raw_bytes() == 0;
        let Some(receiving) = &mut self.receiving else { return };
        if receiving.piece.len() < PIECE_BYTES && !is_all {
            return;
        }
        let Some(mut arrival) = receiving.arrival.take() else { return };
        let piece = std::mem::take(&mut receiving.piece);
        self.wait = Some(Box::pin(task::spawn_blocking(move || {
            // Dropped here, a part of an image is removed here.
            Came::Wrote(match arrival.take(&piece) {
                Ok(()) if is_all => arrival.keep().map(|()| None),
                Ok(()) => Ok(Some(arrival)),
                Err(why) => Err(why),
            })
        })));
    }

    /// Has more of an image read that is sent.
    fn read_on(&mut self) {
        let Some(sending) = &mut self.sending else { return };
        let Some(mut file) = sending.file.take() else { return };
        let bytes = sending.bytes_left.min(PIECE_BYTES as u64);
        self.wait = Some(Box::pin(task::spawn_blocking(move || {
            let mut piece = vec![0; bytes as usize];
            let read = file.read_exact(&mut piece).map(|()| piece);
            Came::Read(file, read)
        })));
    }

    fn take_in(&mut self, came: Came) {
        match came {
            Came::Said(reply) => reply.encode(&mut self.pipe.out),
            Came::Found(image, Ok((file, bytes))) => {
                Reply::Data { image, bytes }.encode(&mut self.pipe.out);
                self.sending = (bytes > 0).then_some(Sending { file: Some(file), bytes_left: bytes });
            }
            Came::Found(_, Err(_)) => {
                Reply::error(ErrorCode::NOISO, "that image is not kept here").encode(&mut self.pipe.out);
            }
            Came::Read(file, Ok(piece)) => self.send_on(file, &piece),
            Came::Read(_, Err(error)) => {
                // So much was announced that cannot be sent; nothing after it would be understood.
                tracing::error!(%error, "an image could not be read to its end");
                self.sending = None;
                self.pipe.cut();
            }
            Came::Wrote(Ok(Some(arrival))) => {
                if let Some(receiving) = &mut self.receiving {
                    receiving.arrival = Some(arrival);
                }
            }
            Came::Wrote(Ok(None)) => {
                Reply::QOk.encode(&mut self.pipe.out);
                if let Some(Receiving { image, .. }) = self.receiving.take() {
                    self.talk.ask_what(image, &mut self.pipe.out);
                }
            }
            Came::Wrote(Err(why)) => {
                // What is still to come of it is passed over.
                self.receiving = None;
                if let NotKept::Disk(error) = &why {
                    tracing::error!(error, "an image was not kept");
                }
                why.reply().encode(&mut self.pipe.out);
            }
        }
    }

    fn send_on(&mut self, file: File, piece: &[u8]) {
        self.pipe.out.extend_from_slice(piece);
        let Some(sending) = &mut self.sending else { return };
        sending.bytes_left -= piece.len() as u64;
        sending.file = Some(file);
        if sending.bytes_left == 0 {
            self.sending = None;
        }
    }

    fn turn_is_due(&self) -> bool {
        self.throttled.is_none_or(|until| until <= self.house.clock.now())
    }

    /// Whether there is something to do before anything new is heard.
    fn can_go_on(&self) -> bool {
        let has_work = self.sending.is_some()
            || self.talk.has_letters()
            || self.talk.is_over()
            || (self.looked_at < self.input.len() && self.turn_is_due());
        self.may_speak() && (has_work || (self.notices_due && self.may_tell()))
    }

    /// Takes in what others want of this connection: whatever it is, to end it.
    fn take_pokes(&mut self) {
        if !self.house.pokes_of(self.number).is_empty() {
            self.close();
        }
        self.notices_due = true;
    }

    /// Whether a display may be told of changes: it has taken all that was said before.
    fn may_tell(&self) -> bool {
        self.may_speak() && self.sending.is_none() && self.pipe.unsent() == 0
    }

    fn push_notices(&mut self) {
        if self.notices_due && self.may_tell() {
            self.notices_due = false;
            self.talk.news().into_iter().for_each(|news| self.pipe.share(news));
        }
    }

    fn write(&mut self, cx: &mut Context<'_>) -> Result<(), Broken> {
        let house = &self.house;
        self.pipe.poll_write(cx, self.peer, || house.config().limits.output_bytes_max)
    }

    /// Whoever takes or sends a file cannot say that it lives, but shows it.
    fn watch_moving(&mut self) {
        let moved = self.pipe.taken() + self.came;
        let is_file = self.sending.is_some() || self.receiving.is_some();
        if std::mem::replace(&mut self.moved, moved) != moved && is_file {
            self.talk.see_moving();
        }
    }

    /// Takes no more messages.
    fn close(&mut self) {
        if self.phase == Phase::Open {
            self.phase = Phase::Closing;
            (self.input, self.looked_at) = (Vec::new(), 0);
        }
    }

    /// Whether there is nothing left to do; on the way, says good-bye.
    fn is_over(&mut self) -> bool {
        let all_heard = self.heard_end && self.looked_at == self.input.len() && self.sending.is_none();
        if self.phase == Phase::Open && self.wait.is_none() && all_heard {
            self.close();
        }
        if self.phase != Phase::Closing || self.wait.is_some() || self.pipe.unsent() > 0 {
            return false;
        }
        self.phase = Phase::Lingering;
        !self.pipe.hang_up() || self.heard_end
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        match self.phase {
            Phase::Open if self.heard_end || !self.may_read() => return Poll::Pending,
            Phase::Closing => return Poll::Pending,
            Phase::Open | Phase::Lingering => {}
        }
        with_buffer(|buffer| {
            match ready!(self.pipe.poll_read(cx, buffer)) {
                Err(Broken) => return Poll::Ready(Err(Broken)),
                Ok(0) if self.phase == Phase::Lingering => return Poll::Ready(Err(Broken)),
                Ok(0) => self.heard_end = true,
                Ok(bytes) if self.phase == Phase::Open => {
                    self.came += bytes as u64;
                    self.input.extend_from_slice(buffer.get(..bytes).unwrap_or_default());
                }
                Ok(_) => {}
            }
            Poll::Ready(Ok(()))
        })
    }

    /// Whether more is read: all that was read before is looked at, and what was asked is answered.
    fn may_read(&self) -> bool {
        self.may_speak() && self.sending.is_none() && self.looked_at == self.input.len()
    }

    /// What must happen first, and by when.
    fn next_deadline(&self) -> Option<(Why, Moment)> {
        let is_nobody = self.phase == Phase::Open && !self.talk.is_known();
        let known_by = self.opened.plus_ms(self.house.config().limits.handshake_ms);
        let handshake = is_nobody.then_some((Why::Handshake, known_by));
        [handshake, self.next_pause_end()].into_iter().flatten().min_by_key(|(_, until)| *until)
    }

    /// The same for whoever has said who it is.
    fn next_pause_end(&self) -> Option<(Why, Moment)> {
        let config = self.house.config();
        let after = |why, ms| Some((why, self.house.clock.now().plus_ms(ms)));
        let is_stalled = self.pipe.is_blocked() || (self.splitter.raw_bytes() > 0 && self.wait.is_none());
        match (self.phase, self.throttled) {
            (Phase::Lingering, _) => after(Why::Linger, LINGER_MS),
            (Phase::Closing, _) => after(Why::Close, CLOSE_MS),
            (Phase::Open, _) if is_stalled => {
                after(Why::Stall(self.pipe.taken() + self.came), config.stand.stall_ms)
            }
            (Phase::Open, Some(until)) if self.may_speak() => Some((Why::Turn(until), until)),
            (Phase::Open, None) if self.talk.is_idle() => after(Why::Idle, config.limits.idle_ms),
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
        let hang_up =
            |limit: &str| tracing::debug!(peer = %self.peer, "hung up on: silent for too long ({limit})");
        match deadline.why {
            Why::Handshake => hang_up("limits.handshake_s"),
            Why::Idle => hang_up("limits.idle_s"),
            Why::Stall(_) => hang_up("stand.stall_s"),
            Why::Turn(_) | Why::Close | Why::Linger => {}
        }
        match deadline.why {
            Why::Handshake | Why::Idle => self.close(),
            Why::Stall(_) | Why::Close | Why::Linger => self.pipe.cut(),
            Why::Turn(_) => {}
        }
        self.deadline = None;
        cx.waker().wake_by_ref();
    }
}

impl Drop for StandConnection {
    fn drop(&mut self) {
        self.house.leave(DoorKind::Stand, self.number, self.peer.ip());
    }
}
