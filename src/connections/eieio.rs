//! EIEIO messages: events and commands about them.

use super::{ConnectionError, Ends, UdpConnection};
use crate::clock::Clock;
use crate::spinnaker::PacketError;
use crate::spinnaker::eieio::Message;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::ops::Deref;
use std::time::Duration;

/// Events to and from a running application. It can do what a `UdpConnection` can, too.
///
/// ```
/// use berth::clock::Clock;
/// use berth::connections::{ConnectionError, EieioConnection, Ends};
/// use berth::spinnaker::eieio::{Command, Message};
/// use std::net::Ipv4Addr;
///
/// # async_std::task::block_on(async {
/// let clock = Clock::system();
/// let here = EieioConnection::open(&Ends::at("127.0.0.1", 0), clock.clone()).await?;
/// let there = EieioConnection::open(&Ends::default(), clock).await?;
///
/// let database = Message::Command(Command::Database { path: "/tmp/run.sqlite" });
/// there.send_eieio_message_to(&database, Ipv4Addr::LOCALHOST, here.local_port()).await?;
/// assert_eq!(here.receive_eieio_message(None).await?.message()?, database);
/// # Ok::<(), ConnectionError>(())
/// # }).unwrap();
/// ```
pub struct EieioConnection(UdpConnection);

impl EieioConnection {
    /// Opens a connection.
    pub async fn open(ends: &Ends, clock: Clock) -> Result<EieioConnection, ConnectionError> {
        UdpConnection::open(ends, clock).await.map(EieioConnection)
    }

    /// Sends a message.
    pub async fn send_eieio_message(&self, message: &Message<'_>) -> Result<(), ConnectionError> {
        self.send(&encoded(message)).await
    }

    /// Sends a message to any end.
    pub async fn send_eieio_message_to(
        &self,
        message: &Message<'_>,
        ip_address: Ipv4Addr,
        port: u16,
    ) -> Result<(), ConnectionError> {
        self.send_to(&encoded(message), SocketAddrV4::new(ip_address, port)).await
    }

    /// Receives a message, command or data.
    pub async fn receive_eieio_message(
        &self,
        timeout: Option<Duration>,
    ) -> Result<EieioDatagram, ConnectionError> {
        let received = EieioDatagram { datagram: self.receive(timeout).await? };
        received.message()?;
        Ok(received)
    }
}

impl Deref for EieioConnection {
    type Target = UdpConnection;

    fn deref(&self) -> &UdpConnection {
        &self.0
    }
}

fn encoded(message: &Message<'_>) -> Vec<u8> {
    let mut datagram = Vec::new();
    message.encode(&mut datagram);
    datagram
}

/// A datagram that holds an EIEIO message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EieioDatagram {
    /// All that came.
    pub datagram: Vec<u8>,
}

impl EieioDatagram {
    /// The message; never an error of one that was received.
    pub fn message(&self) -> Result<Message<'_>, PacketError> {
        Message::decode(&self.datagram)
    }
}
