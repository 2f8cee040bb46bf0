//! A pipeline: one board, one socket, many askers at once.
//!
//! Around an `Exchange` stands a state that all share (`state`): who waits for which request, and transfers of memory,
//! which go on by themselves (`transfer`). Who asks sends at once; a task for each pipeline reads what comes, sends
//! again what is due, and wakes those whose wait is over (`driver`).
//!
//! What the network says of itself is weather: a port that is closed, a host that is away and a full buffer are
//! silence, no matter how the system reports them, since a board that is off says nothing at all.
//!
//! Deliberately not here: what is sent again and when (`spinnaker::exchange`), and what an answer means.

mod driver;
mod state;
mod transfer;

use super::ConnectionError;
use crate::clock::Clock;
use crate::spinnaker::exchange::{Exchange, Failure, Limits, Unacceptable, Wish};
use crate::spinnaker::scp::Sequence;
use crate::spinnaker::sdp::Endpoint;
use async_io::Async;
use state::{AskerId, Shared};
use std::fmt;
use std::future::Future;
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use transfer::Transfer;

/// Asks one board many things at once. Copies share the socket; the last one that is dropped closes it.
///
/// ```
/// use berth::clock::Clock;
/// use berth::connections::Pipeline;
/// use berth::spinnaker::exchange::{Limits, Wish};
/// use berth::spinnaker::scp::Reply;
/// use berth::spinnaker::sdp::{Chip, Core, Endpoint};
/// use berth::spinnaker::{scamp, version::Version};
/// # use std::net::{SocketAddr, UdpSocket};
/// # // A board that knows its version only.
/// # let board = UdpSocket::bind("127.0.0.1:0")?;
/// # let SocketAddr::V4(address) = board.local_addr()? else { unreachable!() };
/// # std::thread::spawn(move || {
/// #     let mut bytes = [0; 300];
/// #     while let Ok((_, from)) = board.recv_from(&mut bytes) {
/// #         let mut reply = bytes[..14].to_vec();
/// #         reply[10] = 0x80;
/// #         reply.extend([0, 0, 0, 0, 0, 1, 255, 255, 0, 0, 0, 0]);
/// #         reply.extend(b"SC&MP/SpiNNaker\04.0.0\0");
/// #         board.send_to(&reply, from).unwrap();
/// #     }
/// # });
///
/// # async_std::task::block_on(async {
/// let board = Pipeline::connect(address, Limits::SCAMP, Clock::system()).await?;
/// let monitor = Endpoint::system(Chip::NEAREST, Core::MONITOR);
/// let answer = board.ask(&Wish::scamp(monitor, &scamp::Command::Version)).await?;
/// let version = Version::decode(Reply::decode(&answer)?.body)?;
/// assert_eq!(version.name, "SC&MP");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Pipeline(Arc<Handle>);

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AskError {
    /// The request was not accepted.
    Unacceptable(Unacceptable),
    /// Nobody answered, or with a refusal.
    Failed(Failure),
    /// The pipeline was closed.
    Closed,
}

/// What went through a pipeline.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Datagrams sent, copies too.
    pub sent: u64,
    /// Datagrams that came.
    pub received: u64,
    /// Datagrams that came and answered nothing.
    pub strays: u64,
    /// How often the system had something to complain of, such as a closed port at the other end.
    pub complaints: u64,
}

/// Closes the pipeline when the last copy of it goes.
struct Handle(Arc<Shared>);

impl Pipeline {
    /// Opens a socket to a board. Nothing is sent yet. The first sequence number is any.
    pub async fn connect(
        remote: SocketAddrV4,
        limits: Limits,
        clock: Clock,
    ) -> Result<Pipeline, ConnectionError> {
        let [low, high, ..] = *uuid::Uuid::new_v4().as_bytes();
        let first = Sequence(u16::from_le_bytes([low, high]));
        Pipeline::starting_at(first, remote, limits, clock)
    }

    /// The same with a first number.
    fn starting_at(
        first: Sequence,
        remote: SocketAddrV4,
        limits: Limits,
        clock: Clock,
    ) -> Result<Pipeline, ConnectionError> {
        let socket = Async::<UdpSocket>::bind((Ipv4Addr::UNSPECIFIED, 0))
            .map_err(ConnectionError::io("bind a socket"))?;
        socket.get_ref().connect(remote).map_err(ConnectionError::io("connect a socket"))?;
        let shared = Arc::new(Shared::new(socket, clock, limits, Exchange::starting_at(limits, first)));
        async_std::task::spawn(driver::drive(shared.clone()));
        Ok(Pipeline(Arc::new(Handle(shared))))
    }

    /// Asks, and waits for the datagram that answers, however often the request has to be sent. Dropped, it takes the request back,
    /// though the board may have heard it.
    pub async fn ask(&self, wish: &Wish<'_>) -> Result<Vec<u8>, AskError> {
        let asker = self.0.0.enter(|state, now| state.ask(wish, now))?;
        self.answer(asker).await
    }

    /// Reads memory through SC&MP, in as many pieces as it takes, with at most as many in flight as the limits allow.
    pub async fn read(&self, to: Endpoint, address: u32, length: u32) -> Result<Vec<u8>, AskError> {
        self.transfer(Transfer::reading(to, address, length)).await
    }

    /// Writes memory through SC&MP, likewise. After an error some pieces may be written.
    pub async fn write(&self, to: Endpoint, address: u32, data: &[u8]) -> Result<(), AskError> {
        self.transfer(Transfer::writing(to, address, data.to_vec())).await.map(|_| ())
    }

    /// Ends all that wait, and whatever is asked from now on, with `AskError::Closed`. Twice is fine.
    pub fn close(&self) {
        self.0.0.close();
    }

    /// What went through so far.
    pub fn counts(&self) -> Counts {
        self.0.0.counts()
    }

    async fn transfer(&self, transfer: Transfer) -> Result<Vec<u8>, AskError> {
        let asker = self.0.0.enter(|state, now| state.begin(transfer, now))?;
        self.answer(asker).await
    }

    fn answer(&self, asker: AskerId) -> Answer<'_> {
        Answer { shared: &self.0.0, asker }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// Waits for what was asked; dropped, it takes it back.
struct Answer<'a> {
    shared: &'a Shared,
    asker: AskerId,
}

impl Future for Answer<'_> {
    type Output = Result<Vec<u8>, AskError>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.shared.poll_outcome(self.asker, context)
    }
}

impl Drop for Answer<'_> {
    fn drop(&mut self) {
        self.shared.leave(self.asker);
    }
}

impl fmt::Display for AskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let code = |code: crate::spinnaker::scp::ResultCode| code.name().unwrap_or("an unknown result");
        match self {
            AskError::Unacceptable(Unacceptable::Full) => {
                f.write_str("too many requests wait for this board")
            }
            AskError::Unacceptable(Unacceptable::TooLong) => f.write_str("the request has too much data"),
            AskError::Unacceptable(Unacceptable::WantsNoReply) => f.write_str("the request wants no reply"),
            AskError::Failed(Failure::Silent) => f.write_str("the board does not answer"),
            AskError::Failed(Failure::Unable(result)) => {
                write!(f, "the board was not able to: {} ({:#x})", code(*result), result.0)
            }
            AskError::Failed(Failure::Refused(result)) => {
                write!(f, "the board refuses: {} ({:#x})", code(*result), result.0)
            }
            AskError::Failed(Failure::TooShort { bytes, bytes_min }) => {
                write!(f, "the board answers with {bytes} bytes where {bytes_min} are needed")
            }
            AskError::Closed => f.write_str("the connection is closed"),
        }
    }
}

impl std::error::Error for AskError {}

impl fmt::Debug for Pipeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pipeline").field("counts", &self.counts()).finish_non_exhaustive()
    }
}
