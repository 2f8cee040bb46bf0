//! A plant behind sockets: one thread, one loop, one socket for each address and port.
//!
//! A datagram that a socket receives goes to the plant, and what the plant sends leaves from the socket of its address and
//! port, as hosts with connected sockets demand. A socket that always has something to read is left after
//! `TURN_DATAGRAMS` for the others. Sockets of reverse tags open and close as the tags do.
//!
//! ```
//! use berth::simulator::serve::Simulation;
//! use berth::spinnaker::bmp::{self, Board};
//! use berth::spinnaker::scp::{Call, CommandCode, Reply, Request, ResultCode, Sequence};
//! use std::net::UdpSocket;
//!
//! let simulation = Simulation::small()?;
//! let socket = UdpSocket::bind("127.0.0.1:0")?;
//! socket.connect(simulation.bmp(0, 0))?;
//! let call = Call::new(CommandCode::VER, [0; 3]);
//! let mut datagram = Vec::new();
//! Request { header: bmp::header(Board::FIRST), sequence: Sequence(1), call }.encode(&mut datagram);
//! socket.send(&datagram)?;
//! let mut buffer = [0; 512];
//! let bytes = socket.recv(&mut buffer)?;
//! assert_eq!(Reply::decode(&buffer[..bytes])?.result, ResultCode::OK);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use super::faults::{Fault, Wrong};
use super::network::Datagram;
use super::plant::{Event, MachinePlan, Plant, PlantSpec};
use crate::allocator::{Torus, Triad};
use crate::clock::Clock;
use crate::spinnaker::exchange::At;
use async_channel::{Receiver, Sender};
use async_io::{Async, Timer};
use futures_util::StreamExt;
use futures_util::future::{AbortHandle, Either, abortable, pending, select};
use futures_util::stream::FuturesUnordered;
use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::mpsc::{self, SyncSender, TrySendError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// So many datagrams of one socket are taken before it is the others' turn.
const TURN_DATAGRAMS: usize = 32;
/// The largest datagram that is told from one that is larger: no board takes half as much.
const DATAGRAM_BYTES_MAX: usize = 1_536;
/// So many events wait for one who watches; more are lost to him.
const EVENTS_WAITING_MAX: usize = 8_192;
/// So many wishes wait for the loop; whoever has one more waits with it.
const WISHES_MAX: usize = 16;
/// So many times an address is drawn by lot before `small` gives up.
const DRAWS_MAX: usize = 32;

/// How a simulation begins, beside what it is made of.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// What is wrong from the beginning.
    pub faults: Vec<Fault>,
}

/// A plant that answers at its addresses until it is dropped.
pub struct Simulation {
    spec: PlantSpec,
    wishes: Option<Sender<Wish>>,
    thread: Option<JoinHandle<()>>,
}

/// What a simulation is asked for while it runs.
enum Wish {
    /// Things go wrong, in this order.
    Suffer(Vec<Fault>, SyncSender<Result<(), Wrong>>),
    /// Somebody wants to know what hardware does from now on.
    Watch(SyncSender<Event>, SyncSender<()>),
}

/// What hardware does, from the moment somebody began to watch.
pub struct Events(mpsc::Receiver<Event>);

impl Events {
    /// The next thing, if it happens in time and the simulation lives.
    pub fn next_within(&self, patience: Duration) -> Option<Event> {
        self.0.recv_timeout(patience).ok()
    }

    /// The next thing that is of this kind, if it happens in time.
    pub fn find_within(&self, patience: Duration, wanted: impl Fn(&Event) -> bool) -> Option<Event> {
        let deadline = Instant::now() + patience;
        loop {
            let event = self.next_within(deadline.saturating_duration_since(Instant::now()))?;
            if wanted(&event) {
                return Some(event);
            }
        }
    }

    /// The next thing, whenever it happens; none when the simulation has ended.
    pub fn next_ever(&self) -> Option<Event> {
        self.0.recv().ok()
    }
}

impl Simulation {
    /// Opens all sockets and begins to answer. Each address must be one of this host, as all of 127.0.0.0/8 are.
    pub fn start(spec: PlantSpec, options: Options) -> io::Result<Simulation> {
        let clock = Clock::system();
        let mut plant = Plant::new(&spec).map_err(invalid)?;
        for fault in &options.faults {
            plant.suffer(now(&clock), fault).map_err(invalid)?;
        }
        let mut sockets = Sockets::default();
        let addresses: Vec<_> = plant.addresses().collect();
        for address in addresses {
            for port in plant.ports(address) {
                sockets.open(SocketAddrV4::new(address, port))?;
            }
        }
        let (wishes, wished) = async_channel::bounded(WISHES_MAX);
        let looping = Loop { plant, sockets, clock, watchers: Vec::new(), leaving: Vec::new() };
        let thread = std::thread::Builder::new()
            .name("simulation".into())
            .spawn(move || async_io::block_on(looping.run(wished)))?;
        Ok(Simulation { spec, wishes: Some(wishes), thread: Some(thread) })
    }

    /// One triad of three boards in one frame, on loopback addresses drawn by lot.
    pub fn small() -> io::Result<Simulation> {
        let mut refused = io::Error::from(io::ErrorKind::AddrInUse);
        for _ in 0..DRAWS_MAX {
            match Simulation::start(PlantSpec::small(drawn_address()), Options::default()) {
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => refused = error,
                other => return other,
            }
        }
        Err(refused)
    }

    /// What it is made of.
    pub fn spec(&self) -> &PlantSpec {
        &self.spec
    }

    /// Where the BMP of a frame answers.
    ///
    /// # Panics
    /// When there is no such frame.
    pub fn bmp(&self, cabinet: u32, frame: u32) -> SocketAddrV4 {
        let address = self.spec.bmp(cabinet, frame);
        address.unwrap_or_else(|| panic!("no frame {frame} in cabinet {cabinet} is simulated"))
    }

    /// Where SC&MP of a board answers, once it is up.
    ///
    /// # Panics
    /// When there is no such board.
    pub fn board(&self, logical: Triad) -> SocketAddrV4 {
        self.spec.board(logical).unwrap_or_else(|| panic!("no board {logical:?} is simulated"))
    }

    /// Things go wrong, as each line of a text says, in their order; when this returns, they have. If a line is wrong, none
    /// is carried out; if one cannot be carried out, none behind it is.
    pub fn faults(&self, text: &str) -> Result<(), Wrong> {
        self.suffer(Fault::of_text(text)?)
    }

    /// The same, for faults that were read already.
    pub fn suffer(&self, faults: Vec<Fault>) -> Result<(), Wrong> {
        let (done, answer) = mpsc::sync_channel(1);
        self.wish(Wish::Suffer(faults, done));
        answer.recv().unwrap_or_else(|_| Err(Wrong("the simulation has ended".to_owned())))
    }

    /// What hardware does from now on.
    pub fn events(&self) -> Events {
        let (watcher, events) = mpsc::sync_channel(EVENTS_WAITING_MAX);
        let (done, answer) = mpsc::sync_channel(1);
        self.wish(Wish::Watch(watcher, done));
        answer.recv().ok();
        Events(events)
    }

    /// A wish that a simulation no longer hears is dropped, and with it the way of its answer.
    fn wish(&self, wish: Wish) {
        if let Some(wishes) = &self.wishes {
            wishes.send_blocking(wish).ok();
        }
    }
}

impl Drop for Simulation {
    fn drop(&mut self) {
        self.wishes = None;
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

impl PlantSpec {
    /// One machine `small` of one triad, three boards in one frame: the first at this address, the BMP just before it.
    pub fn small(first: Ipv4Addr) -> PlantSpec {
        let torus = Torus { width: 1, height: 1 };
        PlantSpec { machines: vec![MachinePlan::one_frame("small", torus, first)], ..PlantSpec::default() }
    }
}

/// The addresses of a plant that this host does not have, each with what was to be there.
pub fn foreign_addresses(spec: &PlantSpec) -> Vec<(Ipv4Addr, String)> {
    let is_foreign = |address: Ipv4Addr| {
        let bound = UdpSocket::bind(SocketAddrV4::new(address, 0));
        bound.is_err_and(|error| error.kind() == io::ErrorKind::AddrNotAvailable)
    };
    spec.addresses().filter(|(address, _)| is_foreign(*address)).collect()
}

/// An address in 127.16.0.0 to 127.239.255.255 behind which there is room for a frame.
fn drawn_address() -> Ipv4Addr {
    let [a, b, c, ..] = *uuid::Uuid::new_v4().as_bytes();
    Ipv4Addr::new(127, 16 + a % 224, b, 9 + c % 16 * 8)
}

fn invalid(wrong: Wrong) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, wrong)
}

fn now(clock: &Clock) -> At {
    At(clock.now().0)
}

/// A socket that has something to read, or none any more.
type Ready = Pin<Box<dyn Future<Output = Option<SocketAddrV4>> + Send>>;

/// All sockets, by where they listen.
struct Sockets {
    open: BTreeMap<SocketAddrV4, (Arc<Async<UdpSocket>>, AbortHandle)>,
    /// Each waits to be read.
    ready: FuturesUnordered<Ready>,
}

impl Default for Sockets {
    fn default() -> Sockets {
        let ready = FuturesUnordered::new();
        // A set without a member would say that it has come to its end.
        ready.push(Box::pin(pending()) as Ready);
        Sockets { open: BTreeMap::new(), ready }
    }
}

impl Sockets {
    fn open(&mut self, at: SocketAddrV4) -> io::Result<()> {
        let named = |error: io::Error| io::Error::new(error.kind(), format!("{at}: {error}"));
        let socket = Arc::new(Async::<UdpSocket>::bind(at).map_err(named)?);
        let (waiting, handle) = abortable(pending::<()>());
        drop(waiting);
        self.open.insert(at, (socket, handle));
        self.await_datagrams(at);
        Ok(())
    }

    /// Waits until a socket has something to read.
    fn await_datagrams(&mut self, at: SocketAddrV4) {
        let Some((socket, handle)) = self.open.get_mut(&at) else { return };
        let socket = socket.clone();
        let (waiting, new_handle) = abortable(async move { socket.readable().await });
        *handle = new_handle;
        self.ready.push(Box::pin(async move { waiting.await.ok().map(|_| at) }));
    }

    /// Opens and closes sockets until an address has these ports.
    fn follow(&mut self, address: Ipv4Addr, ports: &[u16]) {
        let all = SocketAddrV4::new(address, 0)..=SocketAddrV4::new(address, u16::MAX);
        let open: Vec<_> = self.open.range(all).map(|(at, _)| *at).collect();
        for at in open.iter().filter(|at| !ports.contains(&at.port())) {
            if let Some((_, handle)) = self.open.remove(at) {
                handle.abort();
            }
        }
        for port in ports.iter().filter(|port| open.iter().all(|at| at.port() != **port)) {
            if let Err(error) = self.open(SocketAddrV4::new(address, *port)) {
                tracing::warn!(%error, "the port of a reverse tag cannot be opened");
            }
        }
    }

    /// A datagram leaves; one for which the system has no room is lost, as on any network.
    fn send(&self, datagram: &Datagram) {
        if let Some((socket, _)) = self.open.get(&datagram.from) {
            socket.get_ref().send_to(&datagram.bytes, datagram.to).ok();
        }
    }
}

/// What the thread of a simulation does.
struct Loop {
    plant: Plant,
    sockets: Sockets,
    clock: Clock,
    watchers: Vec<SyncSender<Event>>,
    leaving: Vec<Datagram>,
}

/// Why the loop goes on.
enum News {
    /// A wish; none when nobody has any more.
    Wish(Option<Wish>),
    /// A socket has something to read.
    Ready(Option<SocketAddrV4>),
    /// Something is due.
    Due,
}

impl Loop {
    async fn run(mut self, wishes: Receiver<Wish>) {
        loop {
            let news = self.next_news(&wishes).await;
            match news {
                News::Wish(None) => return,
                News::Wish(Some(wish)) => self.grant(wish),
                News::Ready(Some(at)) => self.read(at),
                News::Ready(None) | News::Due => {}
            }
            self.plant.wake(now(&self.clock), &mut self.leaving);
            self.send();
            self.tell();
        }
    }

    /// Wishes are few and go first; what is due next was done a moment ago, so that sockets have their turn.
    async fn next_news(&mut self, wishes: &Receiver<Wish>) -> News {
        let wake_in = self.plant.wake_at().map(|at| at.0.saturating_sub(now(&self.clock).0));
        let due = async {
            match wake_in {
                Some(ms) => drop(Timer::after(Duration::from_millis(ms)).await),
                None => pending().await,
            }
        };
        let (wish, due) = (pin!(wishes.recv()), pin!(due));
        match select(wish, select(due, self.sockets.ready.next())).await {
            Either::Left((wish, _)) => News::Wish(wish.ok()),
            Either::Right((Either::Left(_), _)) => News::Due,
            Either::Right((Either::Right((ready, _)), _)) => News::Ready(ready.flatten()),
        }
    }

    fn grant(&mut self, wish: Wish) {
        match wish {
            Wish::Suffer(faults, done) => {
                let at = now(&self.clock);
                let suffered = faults.iter().try_for_each(|fault| self.plant.suffer(at, fault));
                done.try_send(suffered).ok();
            }
            Wish::Watch(watcher, done) => {
                self.watchers.push(watcher);
                done.try_send(()).ok();
            }
        }
    }

    /// Takes what came to a socket, up to its turn.
    fn read(&mut self, at: SocketAddrV4) {
        let Some((socket, _)) = self.sockets.open.get(&at) else { return };
        let socket = socket.clone();
        let mut buffer = [0; DATAGRAM_BYTES_MAX];
        for _ in 0..TURN_DATAGRAMS {
            match socket.get_ref().recv_from(&mut buffer) {
                Ok((bytes, SocketAddr::V4(from))) => {
                    let datagram = buffer.get(..bytes).unwrap_or_default();
                    self.plant.handle(now(&self.clock), at, from, datagram, &mut self.leaving);
                    self.send();
                }
                Ok((_, SocketAddr::V6(_))) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        self.sockets.await_datagrams(at);
    }

    /// What the plant sends leaves; then sockets follow the tags.
    fn send(&mut self) {
        for datagram in self.leaving.drain(..) {
            self.sockets.send(&datagram);
        }
        while let Some(address) = self.plant.poll_ports_changed() {
            self.sockets.follow(address, &self.plant.ports(address));
        }
    }

    /// What hardware did is told to all who watch, and those who no longer do are forgotten.
    fn tell(&mut self) {
        while let Some(event) = self.plant.poll_event() {
            self.watchers.retain(|watcher| {
                let told = watcher.try_send(event.clone());
                !matches!(told, Err(TrySendError::Disconnected(_)))
            });
        }
    }
}

#[cfg(test)]
mod tests;
