//! Asking one board many things over a network that loses, doubles, delays and reorders datagrams.
//!
//! A board answers a request if it gets it and if its answer gets through, and says whose answer it is only by a number of
//! 16 bits. It has room for eight conversations and drops what is beyond that without a word. So there is one `Exchange` for each
//! board: it numbers requests, keeps few of them in flight, sends again what is not answered in time or what
//! the board was too busy for, and ends each request exactly once.
//!
//! * Requests of one `Flow` are sent in order; flows take turns. Answers come in any order.
//! * Each request has its own timer, which only its own sending starts, and a bound on all its tries together.
//!   So strays can put nothing off.
//! * Copies are the same, bit by bit; an answer to any of them counts, and later ones are strays.
//! * A number rests after its request has ended, for as long as an answer to it may still be on its way.
//! * OK with fewer bytes than were asked for is a refusal: SC&MP 4.0.0 refuses so.
//!
//! Pure: time comes in, datagrams come in and go out. The owner of the socket calls `poll_send` until it has nothing,
//! waits for a datagram (`handle`) or `next_deadline` (`poll_expired`), and starts again. Deliberately not here: which
//! address a board has, and what an answer means.

mod retry;
mod wish;

pub use retry::{Failure, Verdict, judge};
pub use wish::{Flow, POWER_MS_MAX, Wish};

use super::scp::{self, Reply, Request, Sequence};
use super::sdp::{Chip, Core};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// A point in time, in milliseconds from any start; it never runs back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct At(pub u64);

impl At {
    /// So much later.
    pub fn plus_ms(self, ms: u64) -> At {
        At(self.0.saturating_add(ms))
    }
}

/// How long an answer may be on its way: boards give up the tag through which it leaves after 2.56 s.
pub const ANSWER_MS_LATE_MAX: u64 = 3_000;

/// How long the second copy of a datagram, which the network made, may come after the first.
pub const DOUBLE_MS_LATE_MAX: u64 = 1_000;

/// How many sequence numbers there are.
const SEQUENCES: usize = 1 << 16;

/// How hard a board is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The most requests in flight to the board; it has tags for eight.
    pub in_flight_max: usize,
    /// The most requests in flight to one of its cores.
    pub core_in_flight_max: usize,
    /// The most requests that wait to be sent.
    pub waiting_max: usize,
    /// How often a request is sent at most.
    pub tries_max: u32,
    /// How long an answer is waited for before a request is sent again.
    pub answer_ms_max: u64,
    /// How long a board that was busy is left alone.
    pub pause_ms: u64,
    /// How long all tries of a request may take together.
    pub total_ms_max: u64,
}

impl Limits {
    /// For SC&MP.
    pub const SCAMP: Limits = Limits {
        in_flight_max: 8,
        core_in_flight_max: 8,
        waiting_max: 4_096,
        tries_max: 11,
        answer_ms_max: 1_000,
        pause_ms: 100,
        total_ms_max: 15_000,
    };

    /// For a BMP, which does one thing at a time.
    pub const BMP: Limits = Limits {
        in_flight_max: 1,
        core_in_flight_max: 1,
        tries_max: 4,
        answer_ms_max: 2_000,
        ..Limits::SCAMP
    };
}

/// A request that was accepted. Never given out twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(u64);

/// Why a request was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unacceptable {
    /// As many wait as may.
    Full,
    /// It has more data than a board takes.
    TooLong,
    /// It wants no reply, so there is nothing to wait for.
    WantsNoReply,
}

/// The end of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Done {
    /// Which.
    pub ticket: Ticket,
    /// The datagram that answers it, or why there is none.
    pub outcome: Result<Vec<u8>, Failure>,
    /// How often it was sent.
    pub tries: u32,
}

/// What a request in flight waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wait {
    /// An answer to its last copy.
    Answer,
    /// The board, which was busy.
    Pause,
    /// Its turn to be sent again.
    Turn,
}

/// A request that waits to be sent for the first time.
#[derive(Debug)]
struct Waiting {
    ticket: Ticket,
    asked: Asked,
    datagram: Vec<u8>,
}

/// What has to be known of a request when its answer comes.
#[derive(Clone, Copy, Debug)]
struct Asked {
    core: (Chip, Core),
    reply_bytes_min: usize,
    changes_state: bool,
    counts: bool,
    tries_max: u32,
    answer_ms_max: u64,
    total_ms_max: u64,
}

/// A request in flight.
#[derive(Debug)]
struct Flight {
    ticket: Ticket,
    asked: Asked,
    datagram: Vec<u8>,
    wait: Wait,
    /// Its timer, as it stands in `timers`.
    due: At,
    /// When it ends whatever happens.
    ends: At,
    last_sent: At,
    tries: u32,
    replies: u32,
    /// What the board said when it could not.
    last_refusal: Option<scp::ResultCode>,
}

/// One board, asked by everybody.
#[derive(Debug)]
pub struct Exchange {
    limits: Limits,
    next_ticket: u64,
    next_sequence: Sequence,
    waiting: BTreeMap<Flow, VecDeque<Waiting>>,
    waiting_count: usize,
    /// Flows with something waiting, whose turn it is first.
    turns: VecDeque<Flow>,
    in_flight: BTreeMap<Sequence, Flight>,
    timers: BTreeSet<(At, Sequence)>,
    /// Those whose `Wait` is `Turn`.
    again: VecDeque<Sequence>,
    resting: BTreeSet<Sequence>,
    rests: BTreeSet<(At, Sequence)>,
    strays: u64,
}

impl Exchange {
    /// Nothing asked yet; the first number is 0.
    pub fn new(limits: Limits) -> Exchange {
        Exchange::starting_at(limits, Sequence(0))
    }

    /// Nothing asked yet. Who asks a board that others asked before does well to start anywhere.
    pub fn starting_at(limits: Limits, first: Sequence) -> Exchange {
        Exchange {
            limits,
            next_ticket: 0,
            next_sequence: first,
            waiting: BTreeMap::new(),
            waiting_count: 0,
            turns: VecDeque::new(),
            in_flight: BTreeMap::new(),
            timers: BTreeSet::new(),
            again: VecDeque::new(),
            resting: BTreeSet::new(),
            rests: BTreeSet::new(),
            strays: 0,
        }
    }

    /// Accepts a request. Its time starts when it is first sent.
    pub fn push(&mut self, wish: &Wish<'_>) -> Result<Ticket, Unacceptable> {
        if self.waiting_count >= self.limits.waiting_max {
            return Err(Unacceptable::Full);
        }
        if wish.call.data.len() > scp::DATA_BYTES_MAX {
            return Err(Unacceptable::TooLong);
        }
        if !wish.header.flags.wants_reply() {
            return Err(Unacceptable::WantsNoReply);
        }
        let ticket = Ticket(self.next_ticket);
        self.next_ticket += 1;
        let mut datagram = Vec::new();
        Request { header: wish.header, sequence: Sequence(0), call: wish.call }.encode(&mut datagram);
        let queue = self.waiting.entry(wish.flow).or_default();
        if queue.is_empty() {
            self.turns.push_back(wish.flow);
        }
        queue.push_back(Waiting { ticket, asked: wish.asked(&self.limits), datagram });
        self.waiting_count += 1;
        Ok(ticket)
    }

    /// Forgets a request; whether it was there. It will not be `Done`, though the board may still do it.
    pub fn cancel(&mut self, ticket: Ticket, now: At) -> bool {
        let flying = self.in_flight.iter().find(|(_, flight)| flight.ticket == ticket);
        if let Some(sequence) = flying.map(|(sequence, _)| *sequence) {
            return self.land(sequence, now).is_some();
        }
        let waits = |queue: &VecDeque<Waiting>| queue.iter().position(|waiting| waiting.ticket == ticket);
        let found = self.waiting.iter().find_map(|(flow, queue)| Some((*flow, waits(queue)?)));
        let Some((flow, at)) = found else { return false };
        self.take_waiting(flow, at).is_some()
    }

    /// The next datagram to send now, if any.
    pub fn poll_send(&mut self, now: At) -> Option<&[u8]> {
        self.end_rests(now);
        let sequence = match self.again.pop_front() {
            Some(sequence) => sequence,
            None => self.take_off(now)?,
        };
        let flight = self.in_flight.get_mut(&sequence)?;
        flight.tries += 1;
        flight.last_sent = now;
        self.hold_until(sequence, Wait::Answer, |flight| now.plus_ms(flight.asked.answer_ms_max));
        self.in_flight.get(&sequence).map(|flight| flight.datagram.as_slice())
    }

    /// Takes a datagram that came from the board; the request that it ended, if it did.
    pub fn handle(&mut self, datagram: &[u8], now: At) -> Option<Done> {
        let reply = Reply::decode(datagram).ok();
        let Some((reply, flight)) =
            reply.and_then(|reply| Some((reply, self.in_flight.get_mut(&reply.sequence)?)))
        else {
            self.strays += 1;
            return None;
        };
        flight.replies = flight.replies.saturating_add(1);
        match judge(&reply, flight.asked.reply_bytes_min, flight.asked.changes_state, flight.asked.counts) {
            Verdict::Answer => self.finish(reply.sequence, now, |_| Ok(datagram.to_vec())),
            Verdict::Refusal(failure) => self.finish(reply.sequence, now, |_| Err(failure)),
            Verdict::Again => {
                flight.last_refusal = Some(reply.result);
                self.try_again_later(reply.sequence, now)
            }
        }
    }

    /// When to call `poll_expired` at the latest, whatever comes or does not.
    pub fn next_deadline(&self) -> Option<At> {
        let timer = self.timers.first().map(|(at, _)| *at);
        let out_of_numbers = self.waiting_count > 0 && self.occupied() >= SEQUENCES;
        let rest = self.rests.first().map(|(at, _)| *at).filter(|_| out_of_numbers);
        [timer, rest].into_iter().flatten().min()
    }

    /// Acts on all timers that are over: some requests are to be sent again, some end.
    pub fn poll_expired(&mut self, now: At) -> Vec<Done> {
        self.end_rests(now);
        let mut done = Vec::new();
        while let Some((_, sequence)) = self.timers.first().copied().filter(|(at, _)| *at <= now) {
            done.extend(self.expire(sequence, now));
        }
        done
    }

    /// How many requests are in flight.
    pub fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// How many requests wait to be sent.
    pub fn waiting(&self) -> usize {
        self.waiting_count
    }

    /// How many datagrams came that answered nothing: late, doubled, or no replies at all.
    pub fn strays(&self) -> u64 {
        self.strays
    }

    /// Numbers that cannot be given out.
    fn occupied(&self) -> usize {
        self.in_flight.len() + self.resting.len()
    }

    /// Puts the first request whose turn it is into flight.
    fn take_off(&mut self, now: At) -> Option<Sequence> {
        if self.in_flight.len() >= self.limits.in_flight_max || self.occupied() >= SEQUENCES {
            return None;
        }
        let flow = self.turns.iter().copied().find(|flow| self.may_fly(*flow))?;
        let waiting = self.take_waiting(flow, 0)?;
        // Whoever had a turn is behind all others now.
        if self.waiting.contains_key(&flow) {
            self.turns.retain(|other| *other != flow);
            self.turns.push_back(flow);
        }
        let sequence = self.free_sequence();
        let Waiting { ticket, asked, mut datagram } = waiting;
        let place = datagram.iter_mut().skip(scp::SEQUENCE_OFFSET);
        place.zip(sequence.0.to_le_bytes()).for_each(|(place, byte)| *place = byte);
        let ends = now.plus_ms(asked.total_ms_max);
        self.timers.insert((ends, sequence));
        self.in_flight.insert(
            sequence,
            Flight {
                ticket,
                asked,
                datagram,
                wait: Wait::Turn,
                due: ends,
                ends,
                last_sent: now,
                tries: 0,
                replies: 0,
                last_refusal: None,
            },
        );
        Some(sequence)
    }

    /// Whether the core that the next request of a flow is for has room.
    fn may_fly(&self, flow: Flow) -> bool {
        let Some(next) = self.waiting.get(&flow).and_then(VecDeque::front) else { return false };
        let same = self.in_flight.values().filter(|flight| flight.asked.core == next.asked.core);
        same.count() < self.limits.core_in_flight_max
    }

    fn take_waiting(&mut self, flow: Flow, at: usize) -> Option<Waiting> {
        let queue = self.waiting.get_mut(&flow)?;
        let taken = queue.remove(at)?;
        if queue.is_empty() {
            self.waiting.remove(&flow);
            self.turns.retain(|other| *other != flow);
        }
        self.waiting_count -= 1;
        Some(taken)
    }

    /// A number that nobody can mistake for another. There is one: `take_off` has seen to that.
    fn free_sequence(&mut self) -> Sequence {
        let mut sequence = self.next_sequence;
        while self.in_flight.contains_key(&sequence) || self.resting.contains(&sequence) {
            sequence = sequence.next();
        }
        self.next_sequence = sequence.next();
        sequence
    }

    /// Sets what a flight waits for and its timer, which never goes past its end.
    fn hold_until(&mut self, sequence: Sequence, wait: Wait, due: impl FnOnce(&Flight) -> At) {
        let Some(flight) = self.in_flight.get_mut(&sequence) else { return };
        self.timers.remove(&(flight.due, sequence));
        flight.wait = wait;
        flight.due = due(flight).min(flight.ends);
        self.timers.insert((flight.due, sequence));
    }

    /// After a board could not: once more, after a pause, if there are tries left.
    fn try_again_later(&mut self, sequence: Sequence, now: At) -> Option<Done> {
        let flight = self.in_flight.get(&sequence)?;
        if flight.wait != Wait::Answer {
            return None;
        }
        if flight.tries < flight.asked.tries_max {
            let until = now.plus_ms(self.limits.pause_ms);
            self.hold_until(sequence, Wait::Pause, |_| until);
            return None;
        }
        // An earlier copy may still be answered better, but for no longer than the timer runs.
        if flight.replies < flight.tries {
            return None;
        }
        self.finish(sequence, now, Flight::failed)
    }

    /// The timer of a flight is over.
    fn expire(&mut self, sequence: Sequence, now: At) -> Option<Done> {
        let flight = self.in_flight.get(&sequence)?;
        if flight.ends <= now || flight.tries >= flight.asked.tries_max {
            return self.finish(sequence, now, Flight::failed);
        }
        self.again.push_back(sequence);
        self.hold_until(sequence, Wait::Turn, |flight| flight.ends);
        None
    }

    fn finish(
        &mut self,
        sequence: Sequence,
        now: At,
        outcome: impl FnOnce(&Flight) -> Result<Vec<u8>, Failure>,
    ) -> Option<Done> {
        let flight = self.land(sequence, now)?;
        Some(Done { ticket: flight.ticket, outcome: outcome(&flight), tries: flight.tries })
    }

    /// Takes a request out of flight; its number rests.
    fn land(&mut self, sequence: Sequence, now: At) -> Option<Flight> {
        let flight = self.in_flight.remove(&sequence)?;
        self.timers.remove(&(flight.due, sequence));
        self.again.retain(|other| *other != sequence);
        // One copy and one answer: all that can still come is that answer again.
        let answered = flight.tries == 1 && flight.replies > 0;
        let late = flight.last_sent.plus_ms(ANSWER_MS_LATE_MAX.max(flight.asked.answer_ms_max));
        let double = now.plus_ms(DOUBLE_MS_LATE_MAX);
        let until = if answered { double } else { late.plus_ms(DOUBLE_MS_LATE_MAX).max(double) };
        self.resting.insert(sequence);
        self.rests.insert((until, sequence));
        Some(flight)
    }

    fn end_rests(&mut self, now: At) {
        while let Some((at, sequence)) = self.rests.first().copied().filter(|(at, _)| *at <= now) {
            self.rests.remove(&(at, sequence));
            self.resting.remove(&sequence);
        }
    }
}

impl Flight {
    fn failed(&self) -> Result<Vec<u8>, Failure> {
        Err(self.last_refusal.map_or(Failure::Silent, Failure::Unable))
    }
}

#[cfg(test)]
mod tests;
