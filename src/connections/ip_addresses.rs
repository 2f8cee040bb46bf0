//! Boards that nobody has booted yet, and that say where they are.

use super::{ConnectionError, Ends, UdpConnection};
use crate::clock::Clock;
use crate::spinnaker::BOOT_UDP_PORT;
use crate::spinnaker::ip_address::announced;
use std::net::Ipv4Addr;
use std::ops::Deref;
use std::time::Duration;

/// Hears of boards. It can do what a `UdpConnection` can, too.
///
/// ```
/// use berth::clock::Clock;
/// use berth::connections::{ConnectionError, Ends, IpAddressesConnection, UdpConnection};
/// use std::net::{Ipv4Addr, SocketAddrV4};
///
/// # async_std::task::block_on(async {
/// let clock = Clock::system();
/// let listener = IpAddressesConnection::open(Some("127.0.0.1"), 0, clock.clone()).await?;
///
/// // A board that sleeps at 127.111.54.32 says hello from its boot port.
/// let board = UdpConnection::open(&Ends::at("127.111.54.32", 54321), clock).await?;
/// board.send_to(b"", SocketAddrV4::new(Ipv4Addr::LOCALHOST, listener.local_port())).await?;
/// assert_eq!(listener.receive_ip_address(None).await, Some(Ipv4Addr::new(127, 111, 54, 32)));
/// # Ok::<(), ConnectionError>(())
/// # }).unwrap();
/// ```
pub struct IpAddressesConnection(UdpConnection);

impl IpAddressesConnection {
    /// The port to which boards say hello.
    pub const PORT: u16 = BOOT_UDP_PORT;

    /// Listens at an interface, or at all, and at a port: `PORT`, unless somebody sends it on from there.
    pub async fn open(
        local_host: Option<&str>,
        local_port: u16,
        clock: Clock,
    ) -> Result<IpAddressesConnection, ConnectionError> {
        let local_host = local_host.map(str::to_owned);
        let ends = Ends { local_host, local_port: Some(local_port), ..Ends::default() };
        UdpConnection::open(&ends, clock).await.map(IpAddressesConnection)
    }

    /// The address of a board that said hello: of whoever sent something from port 54321. Nothing, if that does not come first
    /// and in time, or after any error.
    pub async fn receive_ip_address(&self, timeout: Option<Duration>) -> Option<Ipv4Addr> {
        let (_, from) = self.receive_with_address(timeout).await.ok()?;
        announced(from)
    }
}

impl Deref for IpAddressesConnection {
    type Target = UdpConnection;

    fn deref(&self) -> &UdpConnection {
        &self.0
    }
}
