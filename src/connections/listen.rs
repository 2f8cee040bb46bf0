//! Listening: all that comes, until the connection is closed.

use super::{
    BmpConnection, BootConnection, ConnectionError, EieioConnection, EieioDatagram, ScampConnection,
    ScpResponse, SdpConnection, SdpDatagram, UdpConnection,
};
use crate::spinnaker::boot;
use futures_util::stream::{Stream, unfold};
use std::future::Future;
use std::time::Duration;

/// What receives messages of one kind: each connection has one method for that, and this names it for whoever does not care which.
pub trait Receive {
    /// What it receives.
    type Message: Send;

    /// Receives one. `None` waits for ever.
    fn receive_message(
        &self,
        timeout: Option<Duration>,
    ) -> impl Future<Output = Result<Self::Message, ConnectionError>> + Send;
}

/// All messages of a connection as they come, until it is closed. A packet of another kind is an error and not the end.
///
/// ```
/// use berth::clock::Clock;
/// use berth::connections::{ConnectionError, Ends, UdpConnection, listen};
/// use futures_util::StreamExt;
/// use std::net::{Ipv4Addr, SocketAddrV4};
///
/// # async_std::task::block_on(async {
/// let connection = UdpConnection::open(&Ends::at("127.0.0.1", 0), Clock::system()).await?;
/// let itself = SocketAddrV4::new(Ipv4Addr::LOCALHOST, connection.local_port());
/// let mut messages = std::pin::pin!(listen(&connection));
///
/// connection.send_to(b"one", itself).await?;
/// assert_eq!(messages.next().await.unwrap()?, b"one");
/// connection.close();
/// assert!(messages.next().await.is_none());
/// # Ok::<(), ConnectionError>(())
/// # }).unwrap();
/// ```
pub fn listen<R: Receive>(connection: &R) -> impl Stream<Item = Result<R::Message, ConnectionError>> {
    unfold(connection, |connection| async move {
        match connection.receive_message(None).await {
            Err(ConnectionError::Closed) => None,
            message => Some((message, connection)),
        }
    })
}

macro_rules! receives {
    ($($connection:ty: $message:ty, $method:ident;)*) => {
        $(impl Receive for $connection {
            type Message = $message;

            async fn receive_message(
                &self,
                timeout: Option<Duration>,
            ) -> Result<Self::Message, ConnectionError> {
                self.$method(timeout).await
            }
        })*
    };
}

receives! {
    UdpConnection: Vec<u8>, receive;
    SdpConnection: SdpDatagram, receive_sdp_message;
    ScampConnection: ScpResponse, receive_scp_response;
    BmpConnection: ScpResponse, receive_scp_response;
    BootConnection: boot::Message<'static>, receive_boot_message;
    EieioConnection: EieioDatagram, receive_eieio_message;
}
