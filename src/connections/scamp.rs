//! SCP to SC&MP, over the plug of one chip.

use super::scp::{Speech, is_present};
use super::{ConnectionError, Ends, ScpRequest, ScpResponse, SdpConnection};
use crate::clock::Clock;
use crate::spinnaker::SCP_UDP_PORT;
use crate::spinnaker::exchange::Wish;
use crate::spinnaker::scamp::Command;
use crate::spinnaker::sdp::{Chip, Core, Endpoint};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::ops::Deref;
use std::time::Duration;

/// Requests to SC&MP and their responses, one by one and as they come; `Pipeline` is for who wants answers. It can do what an
/// `SdpConnection` can, too.
///
/// ```
/// use berth::clock::Clock;
/// use berth::connections::{Ends, RESPONSE_TIMEOUT, ScampConnection, ScpRequest};
/// use berth::spinnaker::scp::ResultCode;
/// use berth::spinnaker::sdp::{Chip, Core, Endpoint};
/// use berth::spinnaker::{scamp::Command, version::Version};
/// # use std::net::UdpSocket;
/// # // A board that knows its version only.
/// # let board = UdpSocket::bind("127.0.0.1:0")?;
/// # let port = board.local_addr()?.port();
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
/// let ends = Ends { remote_port: Some(port), ..ScampConnection::ends("127.0.0.1") };
/// let connection = ScampConnection::open(Chip::NEAREST, &ends, Clock::system()).await?;
/// assert!(connection.is_connected().await?);
///
/// let monitor = Endpoint::system(Chip::NEAREST, Core::MONITOR);
/// connection.send_scp_request(&ScpRequest::scamp(monitor, &Command::Version)).await?;
/// let response = connection.receive_scp_response(RESPONSE_TIMEOUT).await?;
/// assert_eq!(response.result, ResultCode::OK);
/// assert_eq!(Version::decode(response.body())?.hardware, "SpiNNaker");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct ScampConnection {
    sdp: SdpConnection,
    speech: Speech,
}

impl ScampConnection {
    /// The ends of a connection to a board at its usual port.
    pub fn ends(remote_host: &str) -> Ends {
        Ends::to(remote_host, SCP_UDP_PORT)
    }

    /// Opens a connection to the plug of a chip; `Chip::NEAREST` where its place is not known. The remote port is 17893 unless given.
    pub async fn open(chip: Chip, ends: &Ends, clock: Clock) -> Result<ScampConnection, ConnectionError> {
        let remote_port = ends.remote_port.or(Some(SCP_UDP_PORT));
        let ends = Ends { remote_port, ..ends.clone() };
        let sdp = SdpConnection::open(Some(chip), &ends, clock).await?;
        Ok(ScampConnection { sdp, speech: Speech::default() })
    }

    /// The chip to whose plug it leads.
    pub fn chip(&self) -> Chip {
        self.sdp.chip().unwrap_or(Chip::NEAREST)
    }

    /// Its x.
    pub fn chip_x(&self) -> u8 {
        self.chip().x
    }

    /// Its y.
    pub fn chip_y(&self) -> u8 {
        self.chip().y
    }

    /// Says which chip it is, once that is known.
    pub fn update_chip_coordinates(&self, chip: Chip) {
        self.sdp.set_chip(chip);
    }

    /// The datagram that sending a request now would send, on behalf of a chip, or of the connection's. No number is used up.
    pub fn scp_data(&self, request: &ScpRequest<'_>, source: Option<Chip>) -> Vec<u8> {
        self.speech.preview(request, source.unwrap_or(self.chip()), self.clock())
    }

    /// Sends a request.
    pub async fn send_scp_request(&self, request: &ScpRequest<'_>) -> Result<(), ConnectionError> {
        self.send(&self.speech.say(request, self.chip(), self.clock())).await
    }

    /// Sends a request on behalf of a chip to any address, always to port 17893.
    pub async fn send_scp_request_to(
        &self,
        request: &ScpRequest<'_>,
        source: Chip,
        address: Ipv4Addr,
    ) -> Result<(), ConnectionError> {
        let datagram = self.speech.say(request, source, self.clock());
        self.send_to(&datagram, SocketAddrV4::new(address, SCP_UDP_PORT)).await
    }

    /// Receives a response, to any request.
    pub async fn receive_scp_response(
        &self,
        timeout: Option<Duration>,
    ) -> Result<ScpResponse, ConnectionError> {
        self.speech.hear(self.receive(timeout).await?)
    }

    /// The same, and who sent it.
    pub async fn receive_scp_response_with_address(
        &self,
        timeout: Option<Duration>,
    ) -> Result<(ScpResponse, SocketAddrV4), ConnectionError> {
        let (datagram, from) = self.receive_with_address(timeout).await?;
        Ok((self.speech.hear(datagram)?, from))
    }

    /// Whether something answers there when it is asked for its version, five times at most and for 6 s.
    pub async fn is_connected(&self) -> Result<bool, ConnectionError> {
        if !self.sdp.is_connected() {
            return Ok(false);
        }
        let monitor = Endpoint::system(Chip::NEAREST, Core::MONITOR);
        is_present(self.remote(), &Wish::scamp(monitor, &Command::Version), self.clock()).await
    }
}

impl Deref for ScampConnection {
    type Target = SdpConnection;

    fn deref(&self) -> &SdpConnection {
        &self.sdp
    }
}
