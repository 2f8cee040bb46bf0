//! Which sockets have something to read, or room again: one epoll for all connections, told of each socket once.
//!
//! The runtime's own reactor forgets a socket whenever it has told of it, so that every message would cost a system call
//! to be told of the next. Here a socket is registered for edges when it comes and forgotten when it goes; the runtime
//! watches only the epoll itself, in the name of all. One task (`drive`) takes the news and wakes the tasks it is for.
//! While news keeps coming it asks again without waiting, after those it woke have had their turn: a busy
//! server reads and writes and does little else.
//!
//! An edge is told once, so it is kept as a flag until somebody acts on it: the flag is taken first and the socket tried
//! then, and what happens in between raises it again.

use async_io::Async;
use futures_util::future::{AbortHandle, abortable};
use futures_util::task::AtomicWaker;
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::fd::OwnedFd;
use std::cell::RefCell;
use std::collections::HashMap;
use std::future::poll_fn;
use std::io;
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

/// News taken at once.
const EVENTS_MAX: usize = 256;

/// Not to wait.
const AT_ONCE: Timespec = Timespec { tv_sec: 0, tv_nsec: 0 };

/// All sockets of a server; who drives them stops when this is dropped.
pub struct Sockets {
    shared: Arc<Shared>,
    next_key: AtomicU64,
    driver: AbortHandle,
}

/// What sockets and their driver have in common.
struct Shared {
    /// Where the system keeps its news.
    epoll: Async<OwnedFd>,
    /// By keys that are never used again: late news of a socket that has gone is nobody's.
    signals: Mutex<Signals>,
}

/// Signals by the keys of their sockets.
type Signals = HashMap<u64, Arc<Signal>, foldhash::fast::RandomState>;

/// What is known of one socket since somebody last acted on it.
#[derive(Default)]
struct Signal {
    /// Something came.
    readable: AtomicBool,
    /// There is room.
    writable: AtomicBool,
    /// The peer will say no more, or all is over: reading shows which.
    ended: AtomicBool,
    waker: AtomicWaker,
}

impl Sockets {
    /// No sockets, and a task that will drive them.
    pub fn open() -> io::Result<Sockets> {
        let epoll = Async::new_nonblocking(epoll::create(CreateFlags::CLOEXEC)?)?;
        let shared = Arc::new(Shared { epoll, signals: Mutex::default() });
        let (drive, driver) = abortable(drive(shared.clone()));
        async_std::task::spawn(drive);
        Ok(Sockets { shared, next_key: AtomicU64::new(0), driver })
    }

    /// Watches a socket that does not block, for the task that polls it.
    pub fn watch(&self, stream: TcpStream) -> io::Result<Socket> {
        let key = self.next_key.fetch_add(1, Ordering::Relaxed);
        let signal = Arc::<Signal>::default();
        let socket = Socket { stream, key, signal: signal.clone(), shared: self.shared.clone() };
        self.shared.signals().insert(key, signal);
        let all = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
        epoll::add(&self.shared.epoll, &socket.stream, EventData::new_u64(key), all)?;
        Ok(socket)
    }
}

impl Drop for Sockets {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Shared {
    fn signals(&self) -> MutexGuard<'_, Signals> {
        self.signals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks the system, without waiting; whether there was any news.
    fn take_news(&self) -> bool {
        EVENTS.with_borrow_mut(|events| {
            events.clear();
            // It is asked again whatever went wrong: there is nothing here that could be mended.
            let _ = epoll::wait(&self.epoll, rustix::buffer::spare_capacity(events), Some(&AT_ONCE));
            self.spread(events);
            !events.is_empty()
        })
    }

    /// Tells the sockets what the system says of them.
    fn spread(&self, events: &[Event]) {
        if events.is_empty() {
            return;
        }
        let signals = self.signals();
        for event in events {
            if let Some(signal) = signals.get(&event.data.u64()) {
                signal.take(event.flags);
            }
        }
    }
}

impl Signal {
    fn take(&self, flags: EventFlags) {
        if flags.intersects(EventFlags::RDHUP | EventFlags::HUP | EventFlags::ERR) {
            self.ended.store(true, Ordering::Release);
        }
        if flags.intersects(EventFlags::IN | EventFlags::RDHUP | EventFlags::HUP | EventFlags::ERR) {
            self.readable.store(true, Ordering::Release);
        }
        if flags.intersects(EventFlags::OUT | EventFlags::HUP | EventFlags::ERR) {
            self.writable.store(true, Ordering::Release);
        }
        self.waker.wake();
    }

    /// Takes a flag; if it is down, the task is woken when it is raised.
    fn poll_flag(&self, flag: &AtomicBool, cx: &mut Context<'_>) -> Poll<()> {
        if flag.swap(false, Ordering::AcqRel) {
            return Poll::Ready(());
        }
        self.waker.register(cx.waker());
        match flag.swap(false, Ordering::AcqRel) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    }
}

thread_local! {
    /// Where news is put on its way. It may hold pointers, as far as the compiler knows, and so stays on its thread.
    static EVENTS: RefCell<Vec<Event>> = RefCell::new(Vec::with_capacity(EVENTS_MAX));
}

/// Takes the system's news to the sockets, for ever.
async fn drive(shared: Arc<Shared>) {
    let mut asleep = false;
    poll_fn(|cx| {
        loop {
            if asleep && shared.epoll.poll_readable(cx).is_pending() {
                return Poll::<()>::Pending;
            }
            asleep = !shared.take_news();
            if !asleep {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
        }
    })
    .await
}

/// A socket that is watched until it is dropped.
pub struct Socket {
    stream: TcpStream,
    key: u64,
    signal: Arc<Signal>,
    shared: Arc<Shared>,
}

impl Socket {
    /// The socket itself, which does not block.
    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Whether something came since this was last answered with yes.
    pub fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<()> {
        match self.signal.ended.load(Ordering::Acquire) {
            true => Poll::Ready(()),
            false => self.signal.poll_flag(&self.signal.readable, cx),
        }
    }

    /// There was nothing to read after all.
    pub fn clear_ended(&self) {
        self.signal.ended.store(false, Ordering::Release);
    }

    /// Whether there was room again since this was last answered with yes.
    pub fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.signal.poll_flag(&self.signal.writable, cx)
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // The system forgets it when it is closed, which happens next.
        self.shared.signals().remove(&self.key);
    }
}
