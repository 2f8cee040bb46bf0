//! What all who use a pipeline share: the exchange, who waits for what, and the socket.
//!
//! The state is locked for short, never across a wait; who is to be woken is woken after the lock is gone.

use super::super::socket;
use super::transfer::{Offset, Transfer};
use super::{AskError, Counts};
use crate::clock::Clock;
use crate::spinnaker::exchange::{At, Done, Exchange, Flow, Limits, Ticket, Unacceptable, Wish};
use async_io::Async;
use std::collections::BTreeMap;
use std::net::UdpSocket;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

/// The first flow of transfers; whoever asks by wish chooses lower ones.
const TRANSFERS: u64 = 1 << 63;

/// Somebody who waits for the end of a request or a transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct AskerId(u64);

/// Somebody who waits.
struct Asker {
    /// The transfer that was asked for, if it is none of a single request.
    transfer: Option<Transfer>,
    outcome: Option<Result<Vec<u8>, AskError>>,
    waker: Option<Waker>,
}

/// A pipeline, as its users and its driver have it.
pub(super) struct Shared {
    pub(super) socket: Async<UdpSocket>,
    pub(super) clock: Clock,
    state: Mutex<State>,
}

/// What changes.
pub(super) struct State {
    exchange: Exchange,
    limits: Limits,
    askers: BTreeMap<AskerId, Asker>,
    next_asker: u64,
    tickets: BTreeMap<Ticket, (AskerId, Option<Offset>)>,
    counts: Counts,
    closed: bool,
    /// When the driver wakes by itself.
    pub(super) armed: Option<At>,
    /// How to wake it earlier.
    pub(super) driver: Option<Waker>,
    /// Who is to be woken once the lock is gone.
    woken: Vec<Waker>,
}

impl Shared {
    pub(super) fn new(socket: Async<UdpSocket>, clock: Clock, limits: Limits, exchange: Exchange) -> Shared {
        let state = State {
            exchange,
            limits,
            askers: BTreeMap::new(),
            next_asker: 0,
            tickets: BTreeMap::new(),
            counts: Counts::default(),
            closed: false,
            armed: None,
            driver: None,
            woken: Vec::new(),
        };
        Shared { socket, clock, state: Mutex::new(state) }
    }

    /// Does something with the state, and then wakes whom that concerns.
    pub(super) fn with<T>(&self, act: impl FnOnce(&mut State, At) -> T) -> T {
        let now = At(self.clock.now().0);
        // The maps agree after each line, so a panic in another thread has left nothing half-done that matters.
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let result = act(&mut state, now);
        let woken = std::mem::take(&mut state.woken);
        drop(state);
        woken.into_iter().for_each(Waker::wake);
        result
    }

    /// Lets somebody ask, and sends what may be sent.
    pub(super) fn enter(
        &self,
        ask: impl FnOnce(&mut State, At) -> Result<AskerId, AskError>,
    ) -> Result<AskerId, AskError> {
        self.with(|state, now| {
            let asker = ask(state, now)?;
            state.send_due(self.socket.get_ref(), now);
            state.call_driver_if_late();
            Ok(asker)
        })
    }

    /// Whether it is over for an asker, and how.
    pub(super) fn poll_outcome(
        &self,
        id: AskerId,
        context: &mut Context<'_>,
    ) -> Poll<Result<Vec<u8>, AskError>> {
        self.with(|state, _| {
            let Some(asker) = state.askers.get_mut(&id) else { return Poll::Ready(Err(AskError::Closed)) };
            if let Some(outcome) = asker.outcome.take() {
                state.askers.remove(&id);
                return Poll::Ready(outcome);
            }
            match &mut asker.waker {
                Some(waker) => waker.clone_from(context.waker()),
                None => asker.waker = Some(context.waker().clone()),
            }
            Poll::Pending
        })
    }

    /// An asker goes, perhaps before its answer is there.
    pub(super) fn leave(&self, id: AskerId) {
        self.with(|state, now| {
            if state.askers.remove(&id).is_some() {
                state.take_back(id, now);
                state.send_due(self.socket.get_ref(), now);
                state.call_driver_if_late();
            }
        });
    }

    /// Ends everything.
    pub(super) fn close(&self) {
        self.with(|state, _| {
            state.closed = true;
            state.tickets.clear();
            state.woken.extend(state.driver.take());
            let ids: Vec<AskerId> = state.askers.keys().copied().collect();
            ids.into_iter().for_each(|id| state.end(id, Err(AskError::Closed)));
        });
    }

    pub(super) fn counts(&self) -> Counts {
        self.with(|state, _| Counts { strays: state.exchange.strays(), ..state.counts })
    }
}

impl State {
    /// Asks one thing.
    pub(super) fn ask(&mut self, wish: &Wish<'_>, _: At) -> Result<AskerId, AskError> {
        self.check_open()?;
        let ticket = self.exchange.push(wish).map_err(AskError::Unacceptable)?;
        let id = self.admit(None);
        self.tickets.insert(ticket, (id, None));
        Ok(id)
    }

    /// Begins a transfer.
    pub(super) fn begin(&mut self, transfer: Transfer, now: At) -> Result<AskerId, AskError> {
        self.check_open()?;
        let id = self.admit(Some(transfer));
        for _ in 0..self.limits.in_flight_max.max(1) {
            self.go_on(id, now);
        }
        Ok(id)
    }

    fn check_open(&self) -> Result<(), AskError> {
        if self.closed { Err(AskError::Closed) } else { Ok(()) }
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }

    fn admit(&mut self, transfer: Option<Transfer>) -> AskerId {
        let id = AskerId(self.next_asker);
        self.next_asker += 1;
        self.askers.insert(id, Asker { transfer, outcome: None, waker: None });
        id
    }

    /// The next piece of a transfer, or its end.
    fn go_on(&mut self, id: AskerId, now: At) {
        let Some(asker) = self.askers.get_mut(&id).filter(|asker| asker.outcome.is_none()) else { return };
        let Some(transfer) = &mut asker.transfer else { return };
        if let Some(memory) = transfer.finished() {
            return self.end(id, Ok(memory));
        }
        let exchange = &mut self.exchange;
        let push = |offset, wish: &Wish<'_>| exchange.push(wish).map(|ticket| (ticket, offset));
        match transfer.next(Flow(TRANSFERS | id.0), push) {
            Some(Ok((ticket, offset))) => _ = self.tickets.insert(ticket, (id, Some(offset))),
            // It goes on when one of its own pieces is answered.
            Some(Err(Unacceptable::Full)) if transfer.is_open() => {}
            Some(Err(why)) => {
                self.end(id, Err(AskError::Unacceptable(why)));
                self.take_back(id, now);
            }
            None => {}
        }
    }

    /// Takes back all requests of an asker.
    fn take_back(&mut self, id: AskerId, now: At) {
        let exchange = &mut self.exchange;
        self.tickets.retain(|ticket, (asker, _)| {
            let stays = *asker != id;
            if !stays {
                exchange.cancel(*ticket, now);
            }
            stays
        });
    }

    /// It is over for an asker.
    fn end(&mut self, id: AskerId, outcome: Result<Vec<u8>, AskError>) {
        let Some(asker) = self.askers.get_mut(&id) else { return };
        if asker.outcome.is_none() {
            asker.outcome = Some(outcome);
            self.woken.extend(asker.waker.take());
        }
    }

    /// A request has ended.
    fn conclude(&mut self, done: Done, now: At) {
        let Some((id, offset)) = self.tickets.remove(&done.ticket) else { return };
        let Some(asker) = self.askers.get_mut(&id) else { return };
        match (done.outcome, &mut asker.transfer, offset) {
            (Ok(datagram), Some(transfer), Some(offset)) => {
                transfer.take(offset, &datagram);
                self.go_on(id, now);
            }
            (outcome, transfer, _) => {
                let is_transfer = transfer.is_some();
                self.end(id, outcome.map_err(AskError::Failed));
                if is_transfer {
                    self.take_back(id, now);
                }
            }
        }
    }

    /// Takes a datagram that came.
    pub(super) fn handle(&mut self, datagram: &[u8], now: At) {
        self.counts.received += 1;
        if let Some(done) = self.exchange.handle(datagram, now) {
            self.conclude(done, now);
        }
    }

    /// Acts on timers that are over.
    pub(super) fn expire(&mut self, now: At) {
        if self.exchange.next_deadline().is_none_or(|deadline| deadline > now) {
            return;
        }
        for done in self.exchange.poll_expired(now) {
            self.conclude(done, now);
        }
    }

    /// Sends all that may be sent now.
    pub(super) fn send_due(&mut self, socket: &UdpSocket, now: At) {
        while let Some(datagram) = self.exchange.poll_send(now) {
            self.counts.sent += 1;
            if socket::send(socket, datagram).is_err() {
                self.counts.complaints += 1;
            }
        }
    }

    /// The system complained instead of giving a datagram.
    pub(super) fn complain(&mut self) {
        self.counts.complaints += 1;
    }

    /// When timers want to be looked at.
    pub(super) fn next_deadline(&self) -> Option<At> {
        self.exchange.next_deadline()
    }

    /// Wakes the driver if it would sleep past the next deadline.
    fn call_driver_if_late(&mut self) {
        let Some(deadline) = self.exchange.next_deadline() else { return };
        if self.armed.is_none_or(|armed| deadline < armed) {
            self.woken.extend(self.driver.take());
        }
    }
}
