//! Messages of the boot protocol.

use super::{ConnectionError, Ends, UdpConnection};
use crate::clock::Clock;
use crate::spinnaker::BOOT_UDP_PORT;
use crate::spinnaker::boot::Message;
use std::ops::Deref;
use std::time::Duration;

/// How long a board is left alone after each message: its ROM is slow and answers nothing.
const PAUSE_MS: u64 = 100;

/// Wakes a board. It can do what a `UdpConnection` can, too.
///
/// ```
/// use berth::clock::Clock;
/// use berth::connections::{BootConnection, ConnectionError};
/// use berth::spinnaker::boot::{Message, Opcode};
///
/// # async_std::task::block_on(async {
/// let connection = BootConnection::open(Some("127.0.0.1"), Clock::system()).await?;
/// // Whoever is there or not: nothing of the boot protocol is ever acknowledged.
/// connection.send_boot_message(&Message::new(Opcode::CONTROL, [1, 0, 0])).await?;
/// assert_eq!(connection.remote_port(), Some(54321));
/// # Ok::<(), ConnectionError>(())
/// # }).unwrap();
/// ```
pub struct BootConnection(UdpConnection);

impl BootConnection {
    /// Opens a connection to the boot port of a host; without a host it can only listen.
    pub async fn open(remote_host: Option<&str>, clock: Clock) -> Result<BootConnection, ConnectionError> {
        let ends = remote_host.map(|host| Ends::to(host, BOOT_UDP_PORT)).unwrap_or_default();
        UdpConnection::open(&ends, clock).await.map(BootConnection)
    }

    /// Sends a message, and pauses for 0.1 s.
    pub async fn send_boot_message(&self, message: &Message<'_>) -> Result<(), ConnectionError> {
        let mut datagram = Vec::new();
        message.encode(&mut datagram);
        self.send(&datagram).await?;
        self.clock().sleep_until(self.clock().now().plus_ms(PAUSE_MS)).await;
        Ok(())
    }

    /// Receives a message.
    pub async fn receive_boot_message(
        &self,
        timeout: Option<Duration>,
    ) -> Result<Message<'static>, ConnectionError> {
        Ok(Message::decode(&self.receive(timeout).await?)?)
    }
}

impl Deref for BootConnection {
    type Target = UdpConnection;

    fn deref(&self) -> &UdpConnection {
        &self.0
    }
}
