//! Datagrams to and from one remote end, or from everybody.
//!
//! All other connections are made of this one, and can do what it can.

use super::ConnectionError;
use super::socket::{insist, is_weather, send};
use crate::clock::{Clock, Moment};
use async_channel::{Receiver, Sender};
use async_io::Async;
use async_std::net::ToSocketAddrs;
use futures_util::future::{Either, select};
use std::convert::Infallible;
use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The longest datagram there is. All of it is read; what comes is never cut.
const DATAGRAM_BYTES_MAX: usize = 65_536;

/// The room that the system is asked to keep for datagrams that nobody has read yet; it may give less.
const SYSTEM_BUFFER_BYTES: usize = 1 << 20;

/// Complaints of the system in a row that are passed over, as silence, while a datagram is waited for.
const COMPLAINTS_MAX: usize = 64;

/// The two ends of a connection. Hosts are names or addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ends {
    /// The interface to listen at; absent: all, or with a remote end the one that leads there.
    pub local_host: Option<String>,
    /// The port to listen at; absent or 0: any that is free.
    pub local_port: Option<u16>,
    /// The host to send to and to hear. Without a remote port it means nothing.
    pub remote_host: Option<String>,
    /// The port of the remote host. Without a host it means nothing.
    pub remote_port: Option<u16>,
}

impl Ends {
    /// Any end of ours, and this remote one.
    pub fn to(host: &str, port: u16) -> Ends {
        Ends { remote_host: Some(host.to_owned()), remote_port: Some(port), ..Ends::default() }
    }

    /// This end of ours, and no remote one.
    pub fn at(host: &str, port: u16) -> Ends {
        Ends { local_host: Some(host.to_owned()), local_port: Some(port), ..Ends::default() }
    }
}

/// Datagrams over IPv4. They may be lost, doubled and reordered, and nothing but an answer shows that there is another end.
///
/// ```
/// use berth::clock::Clock;
/// use berth::connections::{ConnectionError, Ends, UdpConnection};
/// use std::time::Duration;
///
/// # async_std::task::block_on(async {
/// let clock = Clock::system();
/// let here = UdpConnection::open(&Ends::at("127.0.0.1", 0), clock.clone()).await?;
/// let there = UdpConnection::open(&Ends::to("127.0.0.1", here.local_port()), clock).await?;
///
/// there.send(b"hello").await?;
/// let (hello, from) = here.receive_with_address(None).await?;
/// assert_eq!((&hello[..], from.port()), (&b"hello"[..], there.local_port()));
///
/// here.send_to(b"", from).await?;
/// assert_eq!(there.receive(Some(Duration::from_secs(10))).await?, b"");
///
/// let nothing = there.receive(Some(Duration::ZERO)).await;
/// assert!(matches!(nothing, Err(ConnectionError::Timeout { .. })));
/// # Ok::<(), ConnectionError>(())
/// # }).unwrap();
/// ```
pub struct UdpConnection {
    /// Gone once closed; calls that still run have their own hold on it.
    socket: Mutex<Option<Arc<Async<UdpSocket>>>>,
    /// Closing it wakes all that wait on `closed`; nothing is ever sent.
    closing: Sender<Infallible>,
    closed: Receiver<Infallible>,
    local: SocketAddrV4,
    remote: Option<SocketAddrV4>,
    clock: Clock,
    buffer: Mutex<Vec<u8>>,
}

impl UdpConnection {
    /// Opens a socket at the local end, and connects it if host and port of the remote end are both given: then it hears that end
    /// only. Names are looked up without holding up other tasks.
    pub async fn open(ends: &Ends, clock: Clock) -> Result<UdpConnection, ConnectionError> {
        let local = match &ends.local_host {
            Some(host) => resolve(host, ends.local_port.unwrap_or(0)).await?,
            None => SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, ends.local_port.unwrap_or(0)),
        };
        let remote = match (&ends.remote_host, ends.remote_port) {
            (Some(host), Some(port)) => Some(resolve(host, port).await?),
            _ => None,
        };
        let socket = Async::<UdpSocket>::bind(local).map_err(ConnectionError::io("bind a socket"))?;
        if let Err(error) = rustix::net::sockopt::set_socket_recv_buffer_size(&socket, SYSTEM_BUFFER_BYTES) {
            tracing::warn!(%error, "the system keeps less room for datagrams than asked for");
        }
        if let Some(remote) = remote {
            socket.get_ref().connect(remote).map_err(ConnectionError::io("connect a socket"))?;
        }
        let local = address(socket.get_ref().local_addr()).map_err(ConnectionError::io("name a socket"))?;
        let (closing, closed) = async_channel::bounded(1);
        let (socket, buffer) = (Mutex::new(Some(Arc::new(socket))), Mutex::new(Vec::new()));
        Ok(UdpConnection { socket, closing, closed, local, remote, clock, buffer })
    }

    /// Sends a datagram to the remote end; an empty one, too. That nobody listens there is no error.
    pub async fn send(&self, data: &[u8]) -> Result<(), ConnectionError> {
        let socket = self.socket()?;
        if self.remote.is_none() {
            return Err(ConnectionError::NoRemote);
        }
        when_writable(&socket, |socket| send(socket, data)).await
    }

    /// Sends a datagram to any end, connected or not.
    pub async fn send_to(&self, data: &[u8], address: SocketAddrV4) -> Result<(), ConnectionError> {
        let socket = self.socket()?;
        when_writable(&socket, |socket| insist(|| socket.send_to(data, address))).await
    }

    /// Receives a datagram, all of it. Without a time-out it waits until the connection is closed; zero means now or never.
    pub async fn receive(&self, timeout: Option<Duration>) -> Result<Vec<u8>, ConnectionError> {
        self.receive_with_address(timeout).await.map(|(datagram, _)| datagram)
    }

    /// The same, and who sent it.
    pub async fn receive_with_address(
        &self,
        timeout: Option<Duration>,
    ) -> Result<(Vec<u8>, SocketAddrV4), ConnectionError> {
        self.when_readable("receive", timeout, |socket| {
            let mut buffer = lock(&self.buffer);
            buffer.resize(DATAGRAM_BYTES_MAX, 0);
            let (bytes, from) = socket.recv_from(&mut buffer)?;
            Ok((buffer.get(..bytes).unwrap_or_default().to_vec(), address(Ok(from))?))
        })
        .await
    }

    /// Whether a datagram can be received at once, now or before the time is over. True of a closed connection, so that who waits
    /// for it finds out.
    pub async fn is_ready_to_receive(&self, timeout: Duration) -> bool {
        let peeked = self.when_readable("wait", Some(timeout), |socket| socket.peek_from(&mut [0; 1]));
        matches!(peeked.await, Ok(_) | Err(ConnectionError::Closed))
    }

    /// Whether it can send: open, with a remote end. What is there, plain datagrams cannot tell; `ScampConnection` and
    /// `BmpConnection` ask.
    pub fn is_connected(&self) -> bool {
        self.remote.is_some() && self.socket().is_ok()
    }

    /// Closes it and frees its port, also under those who wait for something. Twice is fine.
    pub fn close(&self) {
        lock(&self.socket).take();
        self.closing.close();
    }

    /// The address at which it listens: 0.0.0.0 for all, before there is a remote end.
    pub fn local_ip_address(&self) -> Ipv4Addr {
        *self.local.ip()
    }

    /// The port at which it listens.
    pub fn local_port(&self) -> u16 {
        self.local.port()
    }

    /// The address to which it sends, if it can.
    pub fn remote_ip_address(&self) -> Option<Ipv4Addr> {
        self.remote.map(|remote| *remote.ip())
    }

    /// The port to which it sends, if it can.
    pub fn remote_port(&self) -> Option<u16> {
        self.remote.map(|remote| remote.port())
    }

    /// Both.
    pub(super) fn remote(&self) -> Option<SocketAddrV4> {
        self.remote
    }

    /// Its clock.
    pub(super) fn clock(&self) -> &Clock {
        &self.clock
    }

    fn socket(&self) -> Result<Arc<Async<UdpSocket>>, ConnectionError> {
        lock(&self.socket).clone().ok_or(ConnectionError::Closed)
    }

    /// Attempts something each time when there is something to read, until it succeeds.
    async fn when_readable<T>(
        &self,
        operation: &'static str,
        timeout: Option<Duration>,
        mut attempt: impl FnMut(&UdpSocket) -> io::Result<T>,
    ) -> Result<T, ConnectionError> {
        let socket = self.socket()?;
        let until = timeout.map(|timeout| self.clock.now().plus_ms(whole_ms(timeout)));
        let mut complaints = 0;
        loop {
            match attempt(socket.get_ref()) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => complaints = 0,
                Err(error) if is_weather(error.kind()) && complaints < COMPLAINTS_MAX => {
                    complaints += 1;
                    continue;
                }
                attempted => return attempted.map_err(ConnectionError::io(operation)),
            }
            match select(pin!(socket.readable()), pin!(self.closed_or(until))).await {
                Either::Left((readable, _)) => readable.map_err(ConnectionError::io(operation))?,
                Either::Right((Ended::Closed, _)) => return Err(ConnectionError::Closed),
                Either::Right((Ended::Late, _)) => {
                    let seconds = timeout.unwrap_or_default().as_secs_f64();
                    return Err(ConnectionError::Timeout { operation, seconds });
                }
            }
        }
    }

    /// Waits until the connection is closed, or for so long.
    async fn closed_or(&self, until: Option<Moment>) -> Ended {
        let closed = pin!(self.closed.recv());
        let Some(until) = until else {
            closed.await.ok();
            return Ended::Closed;
        };
        match select(closed, pin!(self.clock.sleep_until(until))).await {
            Either::Left(_) => Ended::Closed,
            Either::Right(_) => Ended::Late,
        }
    }
}

/// Why a wait ended before there was anything to read.
enum Ended {
    Closed,
    Late,
}

/// Attempts to send something each time when there is room, until it is sent or the system refuses.
async fn when_writable(
    socket: &Async<UdpSocket>,
    attempt: impl Fn(&UdpSocket) -> io::Result<()>,
) -> Result<(), ConnectionError> {
    loop {
        match attempt(socket.get_ref()) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                socket.writable().await.map_err(ConnectionError::io("send"))?;
            }
            // Said of an earlier datagram, or of this one to somebody who is not there.
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => return Ok(()),
            sent => return sent.map_err(ConnectionError::io("send")),
        }
    }
}

/// The first IPv4 address of a host.
async fn resolve(host: &str, port: u16) -> Result<SocketAddrV4, ConnectionError> {
    if let Ok(ip) = host.parse::<Ipv4Addr>() {
        return Ok(SocketAddrV4::new(ip, port));
    }
    let found = (host, port).to_socket_addrs().await.ok();
    let first = found.and_then(|mut found| found.find_map(|found| address(Ok(found)).ok()));
    first.ok_or_else(|| ConnectionError::UnknownHost(host.to_owned()))
}

fn address(address: io::Result<SocketAddr>) -> io::Result<SocketAddrV4> {
    match address? {
        SocketAddr::V4(address) => Ok(address),
        SocketAddr::V6(_) => Err(ErrorKind::Unsupported.into()),
    }
}

/// In milliseconds, and never shorter.
fn whole_ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}

/// What these locks guard is whole after each line.
fn lock<T>(guarded: &Mutex<T>) -> MutexGuard<'_, T> {
    guarded.lock().unwrap_or_else(PoisonError::into_inner)
}
