//! One message at a time: what is sent, what is received, time-outs and ends.

use super::super::{
    BootConnection, ConnectionError, EieioConnection, Ends, IpAddressesConnection, SdpConnection,
    UdpConnection, listen,
};
use super::{Board, host};
use crate::clock::{Clock, Moment};
use crate::spinnaker::boot::{Message as BootMessage, Opcode};
use crate::spinnaker::eieio;
use crate::spinnaker::sdp::{Chip, Endpoint, Flags, Header, Message, Tag};
use crate::spinnaker::{BOOT_UDP_PORT, PacketError};
use async_std::task::block_on;
use futures_util::StreamExt;
use futures_util::future::join;
use serde_json::Value;
use std::borrow::Cow;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::pin::pin;
use std::time::Duration;

/// A board, a clock that stands still, and a connection between them.
async fn opened() -> (Board, Clock, UdpConnection) {
    let (board, clock) = (Board::new(), Clock::moved(Moment(1_000_000)));
    let udp = UdpConnection::open(&to(&board), clock.clone()).await.unwrap();
    (board, clock, udp)
}

fn to(board: &Board) -> Ends {
    Ends::to(&board.address().ip().to_string(), board.address().port())
}

#[test]
fn datagrams_go_out_and_come_in_whole_also_empty_and_long_ones() {
    block_on(async {
        let (board, _clock, udp) = opened().await;
        for length in [0, 1, 300, 301, 1_500, 65_507] {
            let sent = vec![7; length];
            udp.send(&sent).await.unwrap();
            let (heard, from) = board.hears().await;
            assert_eq!(heard, sent);
            board.says(&heard, from).await;
            let (came, by) = udp.receive_with_address(None).await.unwrap();
            assert_eq!((came, by), (sent, board.address()));
        }
        let too_long = udp.send(&vec![0; 65_508]).await;
        assert!(matches!(too_long, Err(ConnectionError::Io { operation: "send", .. })));
    });
}

#[test]
fn a_connection_knows_both_its_ends() {
    block_on(async {
        let (board, clock, udp) = opened().await;
        assert_eq!(udp.remote_ip_address(), Some(*board.address().ip()));
        assert_eq!(udp.remote_port(), Some(board.address().port()));
        assert!(udp.local_ip_address().is_loopback(), "the interface that leads there");
        assert!(udp.is_connected());
        for ends in [
            Ends::default(),
            Ends { remote_host: Some("127.0.0.1".to_owned()), ..Ends::default() },
            Ends { remote_port: Some(17893), ..Ends::default() },
        ] {
            let deaf = UdpConnection::open(&ends, clock.clone()).await.unwrap();
            assert_eq!((deaf.remote_ip_address(), deaf.remote_port()), (None, None));
            assert_eq!(deaf.local_ip_address(), Ipv4Addr::UNSPECIFIED);
            assert_ne!(deaf.local_port(), 0);
            assert!(!deaf.is_connected());
            assert!(matches!(deaf.send(b"x").await, Err(ConnectionError::NoRemote)));
            deaf.send_to(b"to", board.address()).await.unwrap();
            assert_eq!(board.hears().await.0, b"to");
        }
    });
}

#[test]
fn names_are_looked_up_and_unknown_ones_refused() {
    block_on(async {
        let clock = Clock::moved(Moment(0));
        let local = UdpConnection::open(&Ends::to("localhost", 9), clock.clone()).await.unwrap();
        assert_eq!(local.remote_ip_address(), Some(Ipv4Addr::LOCALHOST));
        let nobody = UdpConnection::open(&Ends::to("no-such-host.invalid", 9), clock.clone()).await;
        assert!(matches!(nobody, Err(ConnectionError::UnknownHost(host)) if host.contains("invalid")));
        let taken = UdpConnection::open(&Ends::at("192.0.2.1", 0), clock).await;
        assert!(matches!(taken, Err(ConnectionError::Io { operation: "bind a socket", .. })));
    });
}

#[test]
fn a_timeout_names_what_was_waited_for_and_how_long() {
    block_on(async {
        let (board, clock, udp) = opened().await;
        let now = udp.receive(Some(Duration::ZERO)).await.unwrap_err();
        assert!(matches!(now, ConnectionError::Timeout { operation: "receive", seconds: 0.0 }));

        let mut receiving = pin!(udp.receive(Some(Duration::from_millis(1_500))));
        assert!(futures_util::poll!(&mut receiving).is_pending());
        clock.advance(1_499);
        assert!(futures_util::poll!(&mut receiving).is_pending());
        clock.advance(1);
        let late = receiving.await.unwrap_err();
        assert_eq!(late.to_string(), "operation receive timed out after 1.5 s");

        udp.send(b"here").await.unwrap();
        let (_, from) = board.hears().await;
        board.says(b"in time", from).await;
        assert_eq!(udp.receive(Some(Duration::ZERO)).await.unwrap(), b"in time");
    });
}

#[test]
fn readiness_takes_nothing_away() {
    block_on(async {
        let (board, clock, udp) = opened().await;
        assert!(!udp.is_ready_to_receive(Duration::ZERO).await);
        let waits = udp.is_ready_to_receive(Duration::from_secs(1));
        let (ready, ()) = join(waits, async { clock.advance(1_000) }).await;
        assert!(!ready);
        udp.send(b"here").await.unwrap();
        let (_, from) = board.hears().await;
        let waits = udp.is_ready_to_receive(Duration::from_secs(1));
        let (ready, ()) = join(waits, board.says(b"there", from)).await;
        assert!(ready);
        assert_eq!(udp.receive(Some(Duration::ZERO)).await.unwrap(), b"there");
    });
}

#[test]
fn closing_wakes_who_waits_and_frees_the_port() {
    block_on(async {
        let (board, clock, udp) = opened().await;
        let waits = udp.receive(None);
        let (received, ()) = join(waits, async { udp.close() }).await;
        assert!(matches!(received, Err(ConnectionError::Closed)));
        udp.close();
        assert!(udp.is_ready_to_receive(Duration::ZERO).await, "or else nobody finds out");
        assert!(!udp.is_connected());
        assert!(matches!(udp.send(b"x").await, Err(ConnectionError::Closed)));
        assert!(matches!(udp.send_to(b"x", board.address()).await, Err(ConnectionError::Closed)));
        assert!(matches!(udp.receive(Some(Duration::ZERO)).await, Err(ConnectionError::Closed)));
        let again = Ends::at(&udp.local_ip_address().to_string(), udp.local_port());
        UdpConnection::open(&again, clock).await.unwrap();
    });
}

#[test]
fn a_closed_port_at_the_other_end_is_silence() {
    block_on(async {
        let (board, clock, udp) = opened().await;
        let address = board.address();
        drop(board);
        for _ in 0..5 {
            udp.send(b"anybody?").await.unwrap();
            let nothing = udp.receive(Some(Duration::ZERO)).await;
            assert!(matches!(nothing, Err(ConnectionError::Timeout { .. })));
        }
        let (received, ()) =
            join(udp.receive(Some(Duration::from_secs(1))), async { clock.advance(1_000) }).await;
        assert!(matches!(received, Err(ConnectionError::Timeout { .. })));
        let board = Board::at(address);
        udp.send(b"you?").await.unwrap();
        assert_eq!(board.hears().await.0, b"you?");
    });
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

#[test]
fn sdp_goes_out_as_recorded() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/spinnaker/sdp.json");
    let file: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let vectors = file["vectors"].as_array().unwrap();
    let sent: Vec<_> =
        vectors.iter().filter(|vector| vector["kind"] == "SDPConnection.send_sdp_message").collect();
    assert_eq!(sent.len(), 30);
    block_on(async {
        let (board, clock) = (Board::new(), Clock::moved(Moment(0)));
        for vector in sent {
            let bytes = unhex(vector["hex"].as_str().unwrap());
            let Message { header, data } = Message::decode_datagram(&bytes).unwrap();
            // What the connection puts in, it must not find there; what it is not asked to tell, it must not tell.
            let plain = header.flags == Flags::REPLY;
            let chip = if plain { header.source.chip } else { Chip { x: 9, y: 8 } };
            let source = Endpoint::system(Chip { x: 3, y: 4 }, header.destination.core);
            let header = Header { tag: Tag(5), source, ..header };
            let sdp = SdpConnection::open(Some(chip), &to(&board), clock.clone()).await.unwrap();
            sdp.send_sdp_message(&Message { header, data }).await.unwrap();
            assert_eq!(board.hears().await.0, bytes, "{}", vector["id"]);
        }
    });
}

#[test]
fn sdp_that_wants_an_answer_needs_a_chip() {
    block_on(async {
        let (board, clock) = (Board::new(), Clock::moved(Moment(0)));
        let sdp = SdpConnection::open(None, &to(&board), clock).await.unwrap();
        let header = Header::asking(Endpoint::default(), Chip::ROOT);
        let message = Message { header, data: b"" };
        assert!(matches!(sdp.send_sdp_message(&message).await, Err(ConnectionError::NoChip)));
        let header = Header { flags: Flags::NO_REPLY, ..header };
        sdp.send_sdp_message(&Message { header, ..message }).await.unwrap();
        let (heard, from) = board.hears().await;

        board.says(&heard, from).await;
        assert_eq!(sdp.receive_sdp_message(None).await.unwrap().message(), Message { header, data: b"" });
        let strange = [&[0, 0, 0x47][..], &heard[3..]].concat();
        board.says(&strange, from).await;
        let flags = PacketError::WrongValue { field: "flags", value: 0x47 };
        assert!(matches!(sdp.receive_sdp_message(None).await, Err(ConnectionError::Packet(e)) if e == flags));
        board.says(&heard[..9], from).await;
        assert!(matches!(
            sdp.receive_sdp_message(None).await,
            Err(ConnectionError::Packet(PacketError::TooShort { .. }))
        ));
    });
}

#[test]
fn boot_messages_pause_and_come_back_as_they_were() {
    block_on(async {
        let board = Board::at(SocketAddrV4::new(host(), BOOT_UDP_PORT));
        let clock = Clock::moved(Moment(0));
        let address = board.address().ip().to_string();
        let boot = BootConnection::open(Some(&address), clock.clone()).await.unwrap();
        let data = Cow::Owned((0..=255).cycle().take(1024).collect());
        let message = BootMessage { opcode: Opcode::BLOCK, operands: [255 << 8, 0, 0], data };
        let (heard, from) = {
            let mut sending = pin!(boot.send_boot_message(&message));
            assert!(futures_util::poll!(&mut sending).is_pending());
            let heard = board.hears().await;
            clock.advance(99);
            assert!(futures_util::poll!(&mut sending).is_pending(), "the ROM is slow");
            clock.advance(1);
            sending.await.unwrap();
            heard
        };
        assert_eq!(heard.len(), 18 + 1024);
        board.says(&heard, from).await;
        assert_eq!(boot.receive_boot_message(None).await.unwrap(), message);
        board.says(&heard[..17], from).await;
        assert!(matches!(boot.receive_boot_message(None).await, Err(ConnectionError::Packet(_))));

        let deaf = BootConnection::open(None, clock).await.unwrap();
        assert!(matches!(deaf.send_boot_message(&message).await, Err(ConnectionError::NoRemote)));
    });
}

#[test]
fn only_the_boot_port_announces_a_board() {
    block_on(async {
        let clock = Clock::moved(Moment(0));
        let here = host();
        let listener = IpAddressesConnection::open(Some(&here.to_string()), 0, clock).await.unwrap();
        let there = SocketAddrV4::new(here, listener.local_port()).into();
        let board = Board::at(SocketAddrV4::new(host(), BOOT_UDP_PORT));
        let stranger = Board::new();

        board.says(b"", there).await;
        stranger.says(b"", there).await;
        board.says(b"anything", there).await;
        let at = Some(*board.address().ip());
        assert_eq!(listener.receive_ip_address(None).await, at);
        assert_eq!(listener.receive_ip_address(None).await, None, "from another port");
        assert_eq!(listener.receive_ip_address(None).await, at);
        assert_eq!(listener.receive_ip_address(Some(Duration::ZERO)).await, None, "too late");
        listener.close();
        assert_eq!(listener.receive_ip_address(None).await, None, "closed");
    });
}

#[test]
fn eieio_comes_as_command_or_data() {
    block_on(async {
        let (board, clock) = (Board::new(), Clock::moved(Moment(0)));
        let eieio = EieioConnection::open(&to(&board), clock).await.unwrap();
        eieio.send_eieio_message(&eieio::Message::Command(eieio::Command::Stop)).await.unwrap();
        let (heard, from) = board.hears().await;
        assert_eq!(heard, [3, 0x40]);

        // One key of 16 bits; then a second key that is not there.
        board.says(&[1, 0, 0x34, 0x12], from).await;
        let received = eieio.receive_eieio_message(None).await.unwrap();
        assert!(matches!(received.message(), Ok(eieio::Message::Data(_))));
        board.says(&[2, 0, 0x34, 0x12], from).await;
        assert!(matches!(eieio.receive_eieio_message(None).await, Err(ConnectionError::Packet(_))));
    });
}

#[test]
fn a_listener_hears_all_until_the_end_also_what_is_wrong() {
    block_on(async {
        let (board, clock) = (Board::new(), Clock::moved(Moment(0)));
        let eieio = EieioConnection::open(&to(&board), clock).await.unwrap();
        eieio.send(b"").await.unwrap();
        let (_, from) = board.hears().await;
        for datagram in [&[3, 0x40][..], &[3], &[4, 0x40]] {
            board.says(datagram, from).await;
        }
        let mut messages = pin!(listen(&eieio));
        assert_eq!(messages.next().await.unwrap().unwrap().datagram, [3, 0x40]);
        assert!(messages.next().await.unwrap().is_err());
        assert_eq!(messages.next().await.unwrap().unwrap().datagram, [4, 0x40]);
        let (end, ()) = join(messages.next(), async { eieio.close() }).await;
        assert!(end.is_none());
    });
}
