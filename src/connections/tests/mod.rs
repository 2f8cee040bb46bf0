//! Over real sockets of the loopback, with an end that does as the test says, and a clock that the test moves.

mod boards;
mod pipeline;
mod singles;

use async_io::Async;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket};
use std::sync::atomic::{AtomicU32, Ordering};

/// An address of the loopback that no other test uses, nor one that runs at the same time in another process.
fn host() -> Ipv4Addr {
    static USED: AtomicU32 = AtomicU32::new(0);
    let used = USED.fetch_add(1, Ordering::Relaxed);
    let place = std::process::id().wrapping_mul(251).wrapping_add(used) % (250 * 250 * 250);
    let byte = |number: u32| (number % 250) as u8 + 2;
    Ipv4Addr::new(127, byte(place / 62_500), byte(place / 250), byte(place))
}

/// The other end of a conversation.
struct Board(Async<UdpSocket>);

impl Board {
    /// Somewhere.
    fn new() -> Board {
        Board::at(SocketAddrV4::new(host(), 0))
    }

    fn at(address: SocketAddrV4) -> Board {
        Board(Async::<UdpSocket>::bind(address).unwrap())
    }

    fn address(&self) -> SocketAddrV4 {
        match self.0.get_ref().local_addr().unwrap() {
            SocketAddr::V4(address) => address,
            SocketAddr::V6(_) => unreachable!("bound to an IPv4 address"),
        }
    }

    /// The next datagram, and who sent it.
    async fn hears(&self) -> (Vec<u8>, SocketAddr) {
        let mut buffer = vec![0; 65_536];
        let (bytes, from) = self.0.recv_from(&mut buffer).await.unwrap();
        buffer.truncate(bytes);
        (buffer, from)
    }

    async fn says(&self, datagram: &[u8], to: SocketAddr) {
        self.0.send_to(datagram, to).await.unwrap();
    }

    /// Whether nothing came that it has not heard. Who sends over the loopback has delivered when the call returns.
    fn hears_nothing(&self) -> bool {
        self.0.get_ref().peek_from(&mut [0; 1]).is_err()
    }
}

/// The answer to a request, with rubbish for padding, as boards send it.
fn answer(request: &[u8], result: u16, body: &[u8]) -> Vec<u8> {
    let mut reply = vec![0x40, 0x01, 0x07];
    reply.extend(&request[3..10]);
    reply.extend(result.to_le_bytes());
    reply.extend(&request[12..14]);
    reply.extend(body);
    reply
}

fn word(request: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(request[at..at + 4].try_into().unwrap())
}

/// Memory that tells at each place where that is.
fn memory(address: u32, length: u32) -> Vec<u8> {
    (address..address + length).map(|at| (at ^ at >> 8 ^ at >> 16) as u8).collect()
}

/// The answer to a READ.
fn read_answer(request: &[u8]) -> Vec<u8> {
    assert_eq!(request[10], 2, "no READ");
    answer(request, 0x80, &memory(word(request, 14), word(request, 18)))
}
