//! Sending over sockets that remember: the system tells what became of earlier datagrams at the next call.

use std::io::{self, ErrorKind};
use std::net::UdpSocket;

/// How often a datagram is given to the system: each error that it has kept from earlier ones costs a try.
const SENDS_MAX: usize = 3;

/// Sends a datagram over a connected socket.
pub(super) fn send(socket: &UdpSocket, datagram: &[u8]) -> io::Result<()> {
    insist(|| socket.send(datagram))
}

/// Sends until the system speaks of this datagram, and not of earlier ones; those were not sent together with the error.
pub(super) fn insist(mut send: impl FnMut() -> io::Result<usize>) -> io::Result<()> {
    let mut said = Ok(0);
    for _ in 0..SENDS_MAX {
        said = send();
        match &said {
            Err(error) if is_weather(error.kind()) => {}
            _ => break,
        }
    }
    said.map(|_| ())
}

/// Whether an error is about the network or the other end, and no worse than silence.
pub(super) fn is_weather(kind: ErrorKind) -> bool {
    use ErrorKind as Kind;
    matches!(
        kind,
        Kind::ConnectionRefused
            | Kind::ConnectionReset
            | Kind::HostUnreachable
            | Kind::NetworkUnreachable
            | Kind::Interrupted
    )
}
