//! Which sockets have something to read, or room again: one epoll for all connections, told of each socket once.
//!
//! The runtime's own reactor forgets a socket whenever it has told of it, so that every message would cost a system call
//! to be told of the next. Here a socket is registered for edges when it comes and forgotten when it goes; the runtime
//! watches only the epoll itself, in the name of all. One task (`drive`) takes the news and wakes those it is for.
//! While news keeps coming it asks again without waiting, after those it woke have had their turn: a busy
//! server reads and writes and does little else.
//!
//! Where one thread serves all connections, the same task polls them, each once for each time it asks: that a socket's
//! news passes through the runtime's queue would serve nobody. Where there are several threads, each connection is a task of
//! its own, so that whoever has time takes the next.
//!
//! An edge is told once, so it is kept as a flag until somebody acts on it: the flag is taken first and the socket tried
//! then, and what happens in between raises it again.

use async_io::Async;
use futures_util::future::{AbortHandle, BoxFuture, FutureExt, abortable};
use futures_util::stream::{FuturesUnordered, StreamExt};
use futures_util::task::AtomicWaker;
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::fd::OwnedFd;
use std::cell::RefCell;
use std::collections::HashMap;
use std::future::{Future, poll_fn};
use std::io;
use std::net::TcpStream;
use std::panic::AssertUnwindSafe;
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
    /// Connections are polled by the driver.
    alone: bool,
    driver: AbortHandle,
}

/// A connection, which ends for itself alone however it ends.
type Served = BoxFuture<'static, std::thread::Result<()>>;

/// What sockets and their driver have in common.
struct Shared {
    /// Where the system keeps its news.
    epoll: Async<OwnedFd>,
    /// By keys that are never used again: late news of a socket that has gone is nobody's.
    signals: Mutex<Signals>,
    /// Connections the driver has not taken yet.
    newcomers: Mutex<Vec<Served>>,
    /// Wakes the driver for them.
    driver: AtomicWaker,
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
    /// No sockets, and a task that will drive them; so many threads will serve connections.
    pub fn open(threads: usize) -> io::Result<Sockets> {
        let epoll = Async::new_nonblocking(epoll::create(CreateFlags::CLOEXEC)?)?;
        let shared = Arc::new(Shared {
            epoll,
            signals: Mutex::default(),
            newcomers: Mutex::default(),
            driver: AtomicWaker::new(),
        });
        let (drive, driver) = abortable(drive(shared.clone()));
        async_std::task::spawn(drive);
        Ok(Sockets { shared, next_key: AtomicU64::new(0), alone: threads <= 1, driver })
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

    /// Serves a connection until it is over.
    pub fn serve(&self, connection: impl Future<Output = ()> + Send + 'static) {
        if !self.alone {
            async_std::task::spawn(connection);
            return;
        }
        // What a panic leaves behind is dropped with the connection; what it shares with others is whole at any time.
        let served = AssertUnwindSafe(connection).catch_unwind().boxed();
        self.shared.newcomers().push(served);
        self.shared.driver.wake();
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

    fn newcomers(&self) -> MutexGuard<'_, Vec<Served>> {
        self.newcomers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in connections that came.
    fn take_newcomers(&self, served: &mut FuturesUnordered<Served>, cx: &mut Context<'_>) {
        self.driver.register(cx.waker());
        served.extend(self.newcomers().drain(..));
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

/// Takes the system's news to the sockets, and polls the connections that are polled here, for ever.
async fn drive(shared: Arc<Shared>) {
    let (mut asleep, mut served) = (false, FuturesUnordered::new());
    poll_fn(|cx| {
        shared.take_newcomers(&mut served, cx);
        while !asleep || shared.epoll.poll_readable(cx).is_ready() {
            asleep = !shared.take_news();
            if !asleep {
                cx.waker().wake_by_ref();
                break;
            }
        }
        // It ends when nobody is woken, and when each had a turn: then the others of this thread have theirs.
        while let Poll::Ready(Some(_)) = served.poll_next_unpin(cx) {}
        Poll::<()>::Pending
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

#[cfg(test)]
mod tests {
    use super::*;
    use async_channel::{Receiver, Sender, bounded};
    use async_std::task::yield_now;
    use std::io::{Read, Write};
    use std::net::TcpListener;

    /// A socket that is watched, and its other end.
    fn pair(sockets: &Sockets) -> (Socket, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
        let peer = TcpStream::connect(listener.local_addr().expect("an address")).expect("a peer");
        let (stream, _) = listener.accept().expect("a stream");
        stream.set_nonblocking(true).expect("a mode");
        (sockets.watch(stream).expect("a socket"), peer)
    }

    /// Sends each byte back; panics when it is told to.
    async fn echo(socket: Socket, gone: Sender<()>) {
        let mut byte = [0];
        loop {
            poll_fn(|cx| socket.poll_readable(cx)).await;
            while let Ok(1) = socket.stream().read(&mut byte) {
                assert_ne!(byte, *b"!", "it was told to");
                socket.stream().write_all(&byte).expect("room");
            }
            if byte == *b"." {
                return drop(gone);
            }
        }
    }

    fn ask(peer: &mut TcpStream, byte: u8) -> u8 {
        let mut answer = [0];
        peer.write_all(&[byte]).expect("a way");
        peer.read_exact(&mut answer).map_or(0, |()| answer[0])
    }

    /// Returns when all that serve have dropped what they hold.
    fn gone(served: &Receiver<()>) {
        assert!(async_io::block_on(served.recv()).is_err());
    }

    #[test]
    fn a_connection_that_panics_or_never_rests_harms_no_other() {
        for threads in [1, 2] {
            let sockets = Sockets::open(threads).expect("an epoll");
            let (hold, held) = bounded(1);
            let (socket, mut peer) = pair(&sockets);
            sockets.serve(echo(socket, hold.clone()));
            let (other, mut doomed) = pair(&sockets);
            sockets.serve(echo(other, hold.clone()));
            let (stop, stopped) = bounded::<()>(1);
            let busy = hold.clone();
            sockets.serve(async move {
                while !stopped.is_closed() {
                    yield_now().await;
                }
                drop(busy);
            });
            drop(hold);
            assert_eq!((ask(&mut peer, b'a'), ask(&mut doomed, b'b')), (b'a', b'b'));
            assert_eq!((ask(&mut doomed, b'!'), ask(&mut peer, b'c')), (0, b'c'));
            // One that comes late is served as well.
            let (late, mut guest) = pair(&sockets);
            let (hold, late_held) = bounded(1);
            sockets.serve(echo(late, hold));
            assert_eq!((ask(&mut guest, b'.'), ask(&mut peer, b'.')), (b'.', b'.'));
            drop(stop);
            gone(&late_held);
            gone(&held);
        }
    }

    #[test]
    fn one_that_waits_for_something_else_is_woken_too() {
        for threads in [1, 2] {
            let sockets = Sockets::open(threads).expect("an epoll");
            let ((tell, told), (answer, answered)) = (bounded::<u8>(1), bounded(1));
            sockets.serve(async move {
                while let Ok(word) = told.recv().await {
                    answer.send(word + 1).await.expect("a listener");
                }
            });
            for word in 0..100 {
                tell.send_blocking(word).expect("a listener");
                assert_eq!(answered.recv_blocking(), Ok(word + 1));
            }
            drop(tell);
            assert!(answered.recv_blocking().is_err());
        }
    }
}
