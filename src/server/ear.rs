//! How the desk's thread waits: parked, until there is news or a time is up.
//!
//! The thread that would be woken through the runtime's reactor wakes the reactor first, once for the news and once for each
//! deadline it leaves there; parked it costs one system call to be woken and none to be told of a deadline.

use super::desk::News;
use crate::clock::{Clock, Moment};
use async_channel::Receiver;
use futures_util::future::{Either, select};
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

/// Where the desk hears news.
pub struct Ear {
    heard: Receiver<News>,
    clock: Clock,
}

impl Ear {
    /// The ear at this end of the counter's channel.
    pub fn new(heard: Receiver<News>, clock: Clock) -> Ear {
        Ear { heard, clock }
    }

    /// The next news, if there is some already.
    pub fn try_hear(&self) -> Option<News> {
        self.heard.try_recv().ok()
    }

    /// Whether there is none.
    pub fn is_silent(&self) -> bool {
        self.heard.is_empty()
    }

    /// The next news; none when that moment comes first.
    pub fn hear_until(&self, due: Option<Moment>) -> Option<News> {
        let alarm = async {
            match due {
                Some(due) => self.clock.moved_to(due).await,
                None => std::future::pending().await,
            }
        };
        let either = async {
            match select(pin!(self.hear()), pin!(alarm)).await {
                Either::Left((news, _)) => Some(news),
                Either::Right(_) => None,
            }
        };
        wait_parked(either, || due.and_then(|due| self.clock.left_until(due))).flatten()
    }

    /// The next news; none when so much time has passed.
    pub fn hear_within(&self, span: Duration) -> Option<News> {
        let begun = Instant::now();
        wait_parked(self.hear(), || Some(span.saturating_sub(begun.elapsed())))
    }

    /// A closed channel is a desk nobody can reach any more.
    async fn hear(&self) -> News {
        self.heard.recv().await.unwrap_or(News::Stop)
    }

    /// Hears no more. What is still in the channel would stay there as long as anybody can send, and whoever waits for an
    /// answer with it.
    pub fn close(&self) {
        self.heard.close();
        while self.heard.try_recv().is_ok() {}
    }
}

/// Wakes a parked thread.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.unpark();
    }
}

/// Waits for a future on this thread; gives up when nothing is `left`, which is asked before each sleep.
fn wait_parked<T>(future: impl Future<Output = T>, left: impl Fn() -> Option<Duration>) -> Option<T> {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let (mut cx, mut future) = (Context::from_waker(&waker), pin!(future));
    loop {
        if let Poll::Ready(done) = future.as_mut().poll(&mut cx) {
            return Some(done);
        }
        match left() {
            None => thread::park(),
            Some(Duration::ZERO) => return None,
            Some(left) => thread::park_timeout(left),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::Options;

    fn ear(clock: &Clock) -> (async_channel::Sender<News>, Ear) {
        let (news, heard) = async_channel::unbounded();
        (news, Ear::new(heard, clock.clone()))
    }

    #[test]
    fn news_is_heard_before_and_while_it_is_waited_for() {
        let (news, ear) = ear(&Clock::system());
        assert!(ear.try_hear().is_none() && ear.is_silent());
        news.try_send(News::Stop).unwrap();
        assert!(matches!(ear.hear_until(None), Some(News::Stop)));
        let teller = thread::spawn(move || {
            news.send_blocking(News::Options(Options::default())).unwrap();
            news
        });
        assert!(matches!(ear.hear_until(None), Some(News::Options(_))));
        drop(teller.join().unwrap());
        assert!(matches!(ear.hear_until(None), Some(News::Stop)), "nobody can come any more");
    }

    #[test]
    fn a_time_that_is_up_ends_the_wait_by_either_clock() {
        let system = Clock::system();
        let (_news, ear) = self::ear(&system);
        assert!(ear.hear_until(Some(system.now().plus_ms(2))).is_none());
        assert!(ear.hear_within(Duration::from_millis(1)).is_none());
        assert!(ear.hear_until(Some(Moment(0))).is_none());
        let moved = Clock::moved(Moment(5));
        let (_news, ear) = self::ear(&moved);
        assert!(ear.hear_until(Some(Moment(5))).is_none());
        let waiter = thread::spawn(move || ear.hear_until(Some(Moment(9))).is_none());
        while !moved.has_sleepers() {
            thread::yield_now();
        }
        moved.advance(4);
        assert!(waiter.join().unwrap());
    }
}
