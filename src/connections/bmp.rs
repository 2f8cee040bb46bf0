//! SCP to the BMPs of a frame.

use super::scp::{Speech, is_present};
use super::{ConnectionError, Ends, ScpRequest, ScpResponse, UdpConnection};
use crate::clock::Clock;
use crate::spinnaker::SCP_UDP_PORT;
use crate::spinnaker::bmp::{Board, Boards, Command};
use crate::spinnaker::exchange::Wish;
use crate::spinnaker::sdp::Chip;
use std::ops::Deref;
use std::time::Duration;

/// What to connect to: the BMP of a frame that has the Ethernet plug.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BmpConnectionData {
    /// The cabinet, from 0.
    pub cabinet: u16,
    /// The frame of the cabinet, from 0.
    pub frame: u16,
    /// Its name or IPv4 address.
    pub address: String,
    /// The boards whose BMPs it reaches.
    pub boards: Boards,
    /// Its port; 17893 if there is none.
    pub port: Option<u16>,
}

/// Requests to BMPs and their responses, one by one and as they come; `Pipeline` is for who wants answers. It can do what a
/// `UdpConnection` can, too.
///
/// ```
/// use berth::clock::Clock;
/// use berth::connections::{BmpConnection, BmpConnectionData, RESPONSE_TIMEOUT, ScpRequest};
/// use berth::spinnaker::bmp::{Board, Boards, Command};
/// use berth::spinnaker::version::Version;
/// # use std::net::UdpSocket;
/// # // A BMP that knows its version only.
/// # let bmp = UdpSocket::bind("127.0.0.1:0")?;
/// # let port = bmp.local_addr()?.port();
/// # std::thread::spawn(move || {
/// #     let mut bytes = [0; 300];
/// #     while let Ok((_, from)) = bmp.recv_from(&mut bytes) {
/// #         let mut reply = bytes[..14].to_vec();
/// #         reply[10] = 0x80;
/// #         reply.extend([1, 0, 0, 0, 0, 1, 255, 255, 0, 0, 0, 0]);
/// #         reply.extend(b"BC&MP/Spin5-BMP\02.1.2\0");
/// #         bmp.send_to(&reply, from).unwrap();
/// #     }
/// # });
///
/// # async_std::task::block_on(async {
/// let board = Board::new(1).unwrap();
/// let boards = Boards::from_iter([Board::FIRST, board]);
/// let address = "127.0.0.1".to_owned();
/// let data = BmpConnectionData { cabinet: 0, frame: 0, address, boards, port: Some(port) };
/// let connection = BmpConnection::open(data, Clock::system()).await?;
///
/// connection.send_scp_request(&ScpRequest::bmp(board, &Command::Version)).await?;
/// let response = connection.receive_scp_response(RESPONSE_TIMEOUT).await?;
/// assert_eq!(Version::decode(response.body())?.core, board.number());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct BmpConnection {
    udp: UdpConnection,
    speech: Speech,
    data: BmpConnectionData,
}

impl BmpConnection {
    /// Opens a connection.
    pub async fn open(data: BmpConnectionData, clock: Clock) -> Result<BmpConnection, ConnectionError> {
        let ends = Ends::to(&data.address, data.port.unwrap_or(SCP_UDP_PORT));
        let udp = UdpConnection::open(&ends, clock).await?;
        Ok(BmpConnection { udp, speech: Speech::default(), data })
    }

    /// The boards whose BMPs it reaches.
    pub fn boards(&self) -> Boards {
        self.data.boards
    }

    /// The cabinet.
    pub fn cabinet(&self) -> u16 {
        self.data.cabinet
    }

    /// The frame of the cabinet.
    pub fn frame(&self) -> u16 {
        self.data.frame
    }

    /// Always 0: a BMP is no chip.
    pub fn chip_x(&self) -> u8 {
        Chip::ROOT.x
    }

    /// Always 0: a BMP is no chip.
    pub fn chip_y(&self) -> u8 {
        Chip::ROOT.y
    }

    /// The datagram that sending a request now would send. No number is used up.
    pub fn scp_data(&self, request: &ScpRequest<'_>) -> Vec<u8> {
        self.speech.preview(request, Chip::ROOT, self.clock())
    }

    /// Sends a request.
    pub async fn send_scp_request(&self, request: &ScpRequest<'_>) -> Result<(), ConnectionError> {
        self.send(&self.speech.say(request, Chip::ROOT, self.clock())).await
    }

    /// Receives a response, to any request.
    pub async fn receive_scp_response(
        &self,
        timeout: Option<Duration>,
    ) -> Result<ScpResponse, ConnectionError> {
        self.speech.hear(self.receive(timeout).await?)
    }

    /// Whether the BMP of the first board answers when it is asked for its version, five times at most and for 6 s.
    pub async fn is_connected(&self) -> Result<bool, ConnectionError> {
        if !self.udp.is_connected() {
            return Ok(false);
        }
        let board = self.boards().lowest().unwrap_or(Board::FIRST);
        is_present(self.remote(), &Wish::bmp(board, &Command::Version), self.clock()).await
    }
}

impl Deref for BmpConnection {
    type Target = UdpConnection;

    fn deref(&self) -> &UdpConnection {
        &self.udp
    }
}
