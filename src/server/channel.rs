//! One channel: a UDP socket that speaks to one port of one board, and what came through it and still waits.
//!
//! All of it is behind one lock, the gate. A datagram is sent, and one that came is kept, only by whoever holds the gate and
//! finds it open; `shut` takes the socket out of it. So when `shut` returns, nothing more is sent to the board, and nothing
//! it says later is told. The gate is held for one system call at most, so that the desk can shut it.
//!
//! Deliberately not here: who may open a channel and when it is shut (`channels`), and what its reader is told (`tunnel`).

use super::bell::Bell;
use super::bucket::Bucket;
use super::channels::Seat;
use crate::clock::{Clock, Moment};
use crate::lab::Reach;
use crate::service::plan::ChannelView;
use crate::session::SessionId;
use crate::user::UserName;
use async_io::Async;
use async_std::task;
use futures_util::future::{Either, select};
use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, UdpSocket};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A task takes so many datagrams before others have their turn.
const DATAGRAMS_IN_A_ROW_MAX: usize = 64;

/// A socket tells of an error that an earlier datagram met instead of sending; then it is asked once more.
const SENDS_MAX: usize = 2;

/// What limits a channel, as it was when the channel was opened.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Bytes of one datagram.
    pub datagram_bytes_max: usize,
    /// Datagrams that wait for the reader.
    pub waiting_max: usize,
    /// Datagrams a second in each direction; 0 for any number.
    pub rate_per_s: u64,
}

/// Who opened a channel, and to what.
#[derive(Clone, Debug)]
pub struct Terms {
    /// Its number on its connection.
    pub id: u64,
    /// Who may use it.
    pub session: SessionId,
    /// Whose session that is.
    pub user: UserName,
    /// The way to the board.
    pub reach: Reach,
    /// The board's address.
    pub remote: SocketAddr,
    /// Since when.
    pub opened: Moment,
    /// What limits it.
    pub bounds: Bounds,
}

/// See above.
pub struct Channel {
    /// Who opened it, and to what.
    pub terms: Terms,
    local: SocketAddr,
    gate: Mutex<Gate>,
    /// Rung when it is shut, for the task that listens.
    shut: Bell,
    /// Rung when there is something for the reader.
    reader: Arc<Bell>,
}

/// What is behind the lock.
struct Gate {
    /// The socket; none once the gate is shut.
    socket: Option<Arc<Async<UdpSocket>>>,
    /// The place it takes among all channels.
    seat: Option<Seat>,
    /// Why it was shut.
    reason: Option<String>,
    outward: Bucket,
    inward: Bucket,
    waiting: VecDeque<Box<[u8]>>,
    sent: u64,
    received: u64,
    dropped: u64,
    /// How many of those that were dropped the reader was not told of.
    untold: u64,
}

/// What came of sending a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// The network has it.
    Done,
    /// The rate does not allow it yet.
    TooSoon,
    /// The network takes no more for now.
    Full,
    /// The gate is shut.
    Shut,
}

/// What there is for the reader.
#[derive(Debug, Default)]
pub struct Taken {
    /// Datagrams, in the order they came.
    pub datagrams: Vec<Box<[u8]>>,
    /// How many were dropped before them and since the reader was told last.
    pub dropped: u64,
    /// Why the channel is over, once all that came before was taken.
    pub end: Option<String>,
    /// Whether there is more.
    pub more: bool,
}

impl Channel {
    /// A channel over a new socket that hears only the board's port.
    pub fn open(terms: Terms, seat: Seat, reader: Arc<Bell>) -> io::Result<Arc<Channel>> {
        let any = if terms.remote.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        let socket = UdpSocket::bind(any)?;
        socket.connect(terms.remote)?;
        let (local, now) = (socket.local_addr()?, terms.opened);
        let gate = Gate {
            socket: Some(Arc::new(Async::new(socket)?)),
            seat: Some(seat),
            reason: None,
            outward: Bucket::full(now),
            inward: Bucket::full(now),
            waiting: VecDeque::new(),
            sent: 0,
            received: 0,
            dropped: 0,
            untold: 0,
        };
        Ok(Arc::new(Channel { terms, local, gate: Mutex::new(gate), shut: Bell::default(), reader }))
    }

    /// Begins to listen to the board.
    pub fn listen(self: &Arc<Channel>, clock: Clock) {
        let Some(socket) = self.gate().socket.clone() else { return };
        task::spawn(listen(self.clone(), socket, clock));
    }

    /// Sends a datagram, if the gate is open and the rate allows it.
    pub fn send(&self, now: Moment, datagram: &[u8]) -> Sent {
        let mut gate = self.gate();
        let Some(socket) = gate.socket.clone() else { return Sent::Shut };
        if gate.outward.take(now, self.terms.bounds.rate_per_s).is_err() {
            return Sent::TooSoon;
        }
        for _ in 0..SENDS_MAX {
            match socket.get_ref().send(datagram) {
                Ok(_) => {
                    gate.sent += 1;
                    return Sent::Done;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                // A board that refuses is not an error: it may be off.
                Err(_) => {}
            }
        }
        Sent::Full
    }

    /// Takes in what the board said; false once the gate is shut.
    fn take_in(&self, now: Moment, datagram: &[u8]) -> bool {
        let bounds = self.terms.bounds;
        let mut gate = self.gate();
        if gate.socket.is_none() {
            return false;
        }
        let fits = datagram.len() <= bounds.datagram_bytes_max;
        if !fits || gate.inward.take(now, bounds.rate_per_s).is_err() {
            gate.drop_one();
        } else {
            if gate.waiting.len() >= bounds.waiting_max {
                gate.waiting.pop_front();
                gate.drop_one();
            }
            gate.waiting.push_back(datagram.into());
            gate.received += 1;
        }
        drop(gate);
        self.reader.ring();
        true
    }

    /// What there is for the reader, up to so many bytes; they are taken off.
    pub fn take(&self, room_bytes: &mut usize) -> Taken {
        let mut gate = self.gate();
        let mut taken = Taken { dropped: std::mem::take(&mut gate.untold), ..Taken::default() };
        while *room_bytes > 0
            && let Some(datagram) = gate.waiting.pop_front()
        {
            *room_bytes = room_bytes.saturating_sub(datagram.len().max(1));
            taken.datagrams.push(datagram);
        }
        taken.more = !gate.waiting.is_empty();
        if !taken.more {
            taken.end = gate.reason.clone();
        }
        taken
    }

    /// Shuts the gate for a reason, which the reader is told; the first one counts. From now on nothing is sent.
    pub fn shut(&self, reason: &str) {
        let mut gate = self.gate();
        let Some(socket) = gate.socket.take() else { return };
        gate.reason = Some(reason.to_owned());
        gate.seat = None;
        drop(gate);
        drop(socket);
        self.shut.ring();
        self.reader.ring();
    }

    /// Why the gate is shut; none while it is open.
    pub fn end(&self) -> Option<String> {
        self.gate().reason.clone()
    }

    /// The channel as callers see it.
    pub fn view(&self) -> ChannelView {
        let gate = self.gate();
        ChannelView {
            channel: self.terms.id,
            reach: self.terms.reach.clone(),
            remote: self.terms.remote,
            local: self.local,
            opened: self.terms.opened,
            sent: gate.sent,
            received: gate.received,
            dropped: gate.dropped,
            waiting: gate.waiting.len(),
        }
    }

    /// What is behind the lock is whole between calls, so a panic elsewhere does no harm.
    fn gate(&self) -> MutexGuard<'_, Gate> {
        self.gate.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Gate {
    fn drop_one(&mut self) {
        self.dropped += 1;
        self.untold += 1;
    }
}

/// Listens until the gate is shut.
async fn listen(channel: Arc<Channel>, socket: Arc<Async<UdpSocket>>, clock: Clock) {
    // One byte more than may come, so that what is too long is seen to be.
    let mut buffer = vec![0; channel.terms.bounds.datagram_bytes_max + 1];
    loop {
        match select(pin!(channel.shut.heard()), pin!(socket.readable())).await {
            Either::Left(_) => return,
            Either::Right((Err(error), _)) => return channel.shut(&format!("its socket broke: {error}")),
            Either::Right(_) => {}
        }
        if !take_ready(&channel, socket.get_ref(), &mut buffer, clock.now()) {
            return;
        }
        task::yield_now().await;
    }
}

/// Takes in what is there, but not without end; false once the gate is shut.
fn take_ready(channel: &Channel, socket: &UdpSocket, buffer: &mut [u8], now: Moment) -> bool {
    for _ in 0..DATAGRAMS_IN_A_ROW_MAX {
        match socket.recv(buffer) {
            Ok(bytes) => {
                if !channel.take_in(now, buffer.get(..bytes).unwrap_or_default()) {
                    return false;
                }
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            // The board refused what was sent to it: it may be off.
            Err(_) => {}
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::fact::{Grant, JobId};
    use crate::lab::view::BoardName;
    use crate::server::channels::Channels;

    /// A channel to a board, with these bounds, and the board.
    fn channel(waiting_max: usize, rate_per_s: u64) -> (Arc<Channel>, UdpSocket) {
        let board = UdpSocket::bind("127.0.0.1:0").expect("a board");
        let reach = Reach {
            job: JobId(1),
            grant: Grant(1),
            machine: "m".into(),
            board: BoardName::Serial("s".into()),
            host: "127.0.0.1".into(),
        };
        let terms = Terms {
            id: 1,
            session: SessionId::from_bits(1),
            user: UserName::guest(),
            reach,
            remote: board.local_addr().expect("an address"),
            opened: Moment(0),
            bounds: Bounds { datagram_bytes_max: 4, waiting_max, rate_per_s },
        };
        let seat = Channels::default().seat(1).expect("a seat");
        (Channel::open(terms, seat, Arc::default()).expect("a channel"), board)
    }

    fn texts(taken: &Taken) -> Vec<&str> {
        taken.datagrams.iter().map(|bytes| std::str::from_utf8(bytes).expect("text")).collect()
    }

    #[test]
    fn the_oldest_gives_way_and_what_was_dropped_is_told_once() {
        let (channel, _board) = channel(3, 0);
        for said in ["1", "2", "3", "long!", "4", "5"] {
            assert!(channel.take_in(Moment(0), said.as_bytes()));
        }
        let taken = channel.take(&mut 2);
        assert_eq!((texts(&taken), taken.dropped, taken.more), (vec!["3", "4"], 3, true));
        let taken = channel.take(&mut 100);
        assert_eq!((texts(&taken), taken.dropped, taken.more), (vec!["5"], 0, false));
        let view = channel.view();
        assert_eq!((view.received, view.dropped, view.waiting), (5, 3, 0));
    }

    #[test]
    fn each_direction_has_its_rate() {
        let (channel, _board) = channel(9, 2);
        let send = |at| channel.send(Moment(at), b"x");
        assert_eq!(
            [send(0), send(0), send(0), send(499)],
            [Sent::Done, Sent::Done, Sent::TooSoon, Sent::TooSoon]
        );
        assert_eq!([send(500), send(500)], [Sent::Done, Sent::TooSoon]);
        for at in [0, 0, 0, 500, 500] {
            channel.take_in(Moment(at), b"x");
        }
        let taken = channel.take(&mut 100);
        assert_eq!((taken.datagrams.len(), taken.dropped), (3, 2));
    }

    #[test]
    fn behind_a_shut_gate_nothing_is_sent_or_heard_and_what_came_before_is_told() {
        let (channel, board) = channel(9, 0);
        assert_eq!(channel.send(Moment(0), b"in"), Sent::Done);
        assert!(channel.take_in(Moment(0), b"time"));
        channel.shut("enough");
        channel.shut("again");
        assert_eq!(channel.send(Moment(0), b"late"), Sent::Shut);
        assert!(!channel.take_in(Moment(0), b"late"));
        let taken = channel.take(&mut 1);
        assert_eq!((texts(&taken), taken.end.as_deref()), (vec!["time"], Some("enough")));
        let mut buffer = [0; 9];
        assert_eq!(board.recv(&mut buffer).ok(), Some(2));
        board.set_nonblocking(true).expect("a mode");
        assert!(board.recv(&mut buffer).is_err());
    }
}
