//! The one task of a pipeline: it reads, sends again, and keeps the timer.

use super::state::{Shared, State};
use crate::clock::Moment;
use crate::spinnaker::exchange::At;
use std::future::{Future, poll_fn};
use std::net::UdpSocket;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// Datagrams read before others get their turn.
const DATAGRAMS_PER_TURN: usize = 64;

/// Complaints in a row after which a socket is not read before the next timer is over.
const COMPLAINTS_MAX: usize = 64;

/// Longer than any answer.
const DATAGRAM_BYTES: usize = 2048;

/// Why reading stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    /// There is nothing more.
    Empty,
    /// It was enough for one turn.
    Turn,
    /// The system only complains.
    Complaints,
}

/// What only the driver has.
struct Driver {
    buffer: [u8; DATAGRAM_BYTES],
    /// Set to the next deadline or earlier: answers put deadlines off all the time, and a timer that goes off too early costs less
    /// than one that is set anew for each.
    timer: Option<(At, Sleep)>,
}

/// Ends when a clock shows a time.
type Sleep = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Drives a pipeline until it is closed.
pub(super) async fn drive(shared: Arc<Shared>) {
    let mut driver = Driver { buffer: [0; DATAGRAM_BYTES], timer: None };
    poll_fn(|context| driver.poll(&shared, context)).await;
}

impl Driver {
    fn poll(&mut self, shared: &Shared, context: &mut Context<'_>) -> Poll<()> {
        loop {
            let Some((stop, armed)) = shared.with(|state, now| self.turn(state, shared, now, context)) else {
                return Poll::Ready(());
            };
            if self.poll_timer(shared, armed, context).is_ready() {
                continue;
            }
            match stop {
                Stop::Complaints => return Poll::Pending,
                Stop::Turn => {
                    context.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Stop::Empty if shared.socket.poll_readable(context).is_pending() => return Poll::Pending,
                Stop::Empty => {}
            }
        }
    }

    /// Does all there is to do. Why it stopped reading and when the timer is to go off; `None` once the pipeline is closed.
    fn turn(
        &mut self,
        state: &mut State,
        shared: &Shared,
        now: At,
        context: &Context<'_>,
    ) -> Option<(Stop, Option<At>)> {
        if state.is_closed() {
            return None;
        }
        let socket = shared.socket.get_ref();
        let stop = read(state, socket, &mut self.buffer, now);
        state.expire(now);
        state.send_due(socket, now);
        state.driver = Some(context.waker().clone());
        let set = self.timer.as_ref().map(|(at, _)| *at);
        state.armed = [set, state.next_deadline()].into_iter().flatten().min();
        Some((stop, state.armed))
    }

    /// Sets the timer if it is not set so early, and looks whether it is over.
    fn poll_timer(&mut self, shared: &Shared, armed: Option<At>, context: &mut Context<'_>) -> Poll<()> {
        let Some(at) = armed else { return Poll::Pending };
        if self.timer.as_ref().is_none_or(|(set, _)| *set != at) {
            let clock = shared.clock.clone();
            self.timer = Some((at, Box::pin(async move { clock.sleep_until(Moment(at.0)).await })));
        }
        let Some((_, timer)) = &mut self.timer else { return Poll::Pending };
        let over = timer.as_mut().poll(context);
        if over.is_ready() {
            self.timer = None;
        }
        over
    }
}

/// Reads what has come. An answer makes room in flight, so whatever waits is sent at once.
fn read(state: &mut State, socket: &UdpSocket, buffer: &mut [u8], now: At) -> Stop {
    let mut complaints = 0;
    for _ in 0..DATAGRAMS_PER_TURN {
        match socket.recv(buffer) {
            Ok(bytes) => {
                complaints = 0;
                state.handle(buffer.get(..bytes).unwrap_or_default(), now);
                state.send_due(socket, now);
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return Stop::Empty,
            // Such as a closed port at the other end: told once for each time, and no more than silence.
            Err(_) => {
                complaints += 1;
                state.complain();
            }
        }
    }
    if complaints >= COMPLAINTS_MAX { Stop::Complaints } else { Stop::Turn }
}
