//! SDP messages to and from one chip's Ethernet plug.

use super::{ConnectionError, Ends, UdpConnection};
use crate::clock::Clock;
use crate::spinnaker::PacketError;
use crate::spinnaker::sdp::{Chip, Endpoint, HEADER_BYTES, Header, Message, PADDING_BYTES, Tag};
use std::ops::Deref;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// What a host writes into the header of a message before it goes out: tag, and itself as the source on behalf of a chip.
///
/// ```
/// use berth::connections::update_sdp_header_for_udp_send;
/// use berth::spinnaker::sdp::{Chip, Core, Endpoint, Header, Tag};
///
/// let to = Endpoint::system(Chip { x: 1, y: 2 }, Core::MONITOR);
/// let mut header = Header { tag: Tag(3), ..Header::asking(to, Chip::ROOT) };
/// update_sdp_header_for_udp_send(&mut header, Chip { x: 4, y: 5 });
/// assert_eq!(header, Header::asking(to, Chip { x: 4, y: 5 }));
/// ```
pub fn update_sdp_header_for_udp_send(header: &mut Header, source: Chip) {
    header.tag = Tag::HOST;
    header.source = Endpoint::host(source);
}

/// SDP messages. It can do what a `UdpConnection` can, too.
///
/// ```
/// use berth::clock::Clock;
/// use berth::connections::{ConnectionError, Ends, SdpConnection};
/// use berth::spinnaker::sdp::{Chip, Core, Endpoint, Header, Message};
///
/// # async_std::task::block_on(async {
/// let clock = Clock::system();
/// let board = SdpConnection::open(None, &Ends::at("127.0.0.1", 0), clock.clone()).await?;
/// let ends = Ends::to("127.0.0.1", board.local_port());
/// let host = SdpConnection::open(Some(Chip { x: 0, y: 0 }), &ends, clock).await?;
///
/// let core = Endpoint::system(Chip { x: 1, y: 2 }, Core::MONITOR);
/// let header = Header::asking(core, Chip::ROOT);
/// host.send_sdp_message(&Message { header, data: b"hello" }).await?;
///
/// let message = board.receive_sdp_message(None).await?;
/// assert_eq!((message.header, message.data()), (header, &b"hello"[..]));
/// # Ok::<(), ConnectionError>(())
/// # }).unwrap();
/// ```
pub struct SdpConnection {
    udp: UdpConnection,
    chip: Mutex<Option<Chip>>,
}

impl SdpConnection {
    /// Opens a connection to the plug of a chip. Without a chip it cannot send what wants an answer.
    pub async fn open(
        chip: Option<Chip>,
        ends: &Ends,
        clock: Clock,
    ) -> Result<SdpConnection, ConnectionError> {
        Ok(SdpConnection { udp: UdpConnection::open(ends, clock).await?, chip: Mutex::new(chip) })
    }

    /// Sends a message. Tag and source are a host's, whatever they were; the source chip is the connection's if an answer is wanted
    /// in the plain way, and 0,0 otherwise.
    pub async fn send_sdp_message(&self, message: &Message<'_>) -> Result<(), ConnectionError> {
        let wants_reply = message.header.flags.wants_reply();
        let chip = match self.chip() {
            None if wants_reply => return Err(ConnectionError::NoChip),
            chip => chip.unwrap_or_default(),
        };
        let sent = Message { header: message.header.sent_through(chip), ..*message };
        let mut datagram = Vec::new();
        sent.encode_datagram([0; PADDING_BYTES], &mut datagram);
        self.udp.send(&datagram).await
    }

    /// Receives a message; one whose flags are not in use is an error, and so is a datagram that is too short.
    pub async fn receive_sdp_message(
        &self,
        timeout: Option<Duration>,
    ) -> Result<SdpDatagram, ConnectionError> {
        let datagram = self.udp.receive(timeout).await?;
        let header = Message::decode_datagram(&datagram)?.header;
        if !header.flags.is_in_use() {
            let value = header.flags.0.into();
            return Err(PacketError::WrongValue { field: "flags", value }.into());
        }
        Ok(SdpDatagram { header, datagram })
    }

    /// The chip at the other end, if it is set.
    pub fn chip(&self) -> Option<Chip> {
        *self.chip.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets the chip at the other end.
    pub(super) fn set_chip(&self, chip: Chip) {
        *self.chip.lock().unwrap_or_else(PoisonError::into_inner) = Some(chip);
    }
}

impl Deref for SdpConnection {
    type Target = UdpConnection;

    fn deref(&self) -> &UdpConnection {
        &self.udp
    }
}

/// An SDP message that came, and the datagram that held it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SdpDatagram {
    /// The envelope.
    pub header: Header,
    /// All that came, padding first.
    pub datagram: Vec<u8>,
}

impl SdpDatagram {
    /// Where the data starts in the datagram.
    pub const OFFSET: usize = PADDING_BYTES + HEADER_BYTES;

    /// What is in the envelope.
    pub fn data(&self) -> &[u8] {
        self.datagram.get(SdpDatagram::OFFSET..).unwrap_or_default()
    }

    /// The message.
    pub fn message(&self) -> Message<'_> {
        Message { header: self.header, data: self.data() }
    }
}
