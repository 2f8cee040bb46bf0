//! Any datagram: no decoder panics, requests give their bytes again, and an exchange ends what it was asked exactly once.
#![no_main]

use berth::spinnaker::exchange::{At, Exchange, Limits, Wish};
use berth::spinnaker::scp::{Reply, Request, Sequence};
use berth::spinnaker::sdp::{Chip, Core, Endpoint, Message};
use berth::spinnaker::{bmp, boot, eieio, ip_address, scamp, version};
use libfuzzer_sys::fuzz_target;

fn decode(bytes: &[u8]) {
    if let Ok(message) = Message::decode(bytes) {
        let mut again = Vec::new();
        message.encode(&mut again);
        assert_eq!(again, bytes);
    }
    if let Ok(request) = Request::decode(bytes) {
        let mut again = Vec::new();
        request.encode(&mut again);
        assert_eq!(again[2..], bytes[2..]);
        assert_eq!(scamp::Command::of(request.call).call(), request.call);
        assert_eq!(bmp::Command::of(request.call).call(), request.call);
    }
    if let Ok(reply) = Reply::decode(bytes) {
        let _ = version::Version::decode(reply.body).map(|version| version.release.numbers());
        let _ = scamp::ChipInfo::decode(reply.body);
        let _ = scamp::TagEntry::decode(reply.body);
        let _ = bmp::Status::decode(reply.body);
        let _ = bmp::IpTable::decode(reply.body);
    }
    let _ = boot::Message::decode(bytes);
    let _ = ip_address::Hello::decode(bytes);
    if let Ok(message) = eieio::Message::decode(bytes) {
        let mut again = Vec::new();
        message.encode(&mut again);
        assert_eq!(eieio::Message::decode(&again), Ok(message));
    }
}

/// Each byte is news to the exchange: time, a request, or a reply with a result and a number near those in flight.
fn exchange(news: &[u8]) {
    let mut exchange = Exchange::starting_at(Limits::SCAMP, Sequence(65_530));
    let (mut now, mut asked, mut ended) = (At(0), 0, 0);
    for byte in news {
        match byte >> 6 {
            0 => now = now.plus_ms(u64::from(byte & 63) * 20),
            1 => {
                let core = Core::new(byte & 31).unwrap_or(Core::MONITOR);
                let to = Endpoint::system(Chip::NEAREST, core);
                asked += usize::from(exchange.push(&Wish::scamp(to, &scamp::Command::Version)).is_ok());
            }
            _ => {
                let number = 65_530u16.wrapping_add(u16::from(byte & 7)).to_le_bytes();
                let mut datagram = vec![0; 40];
                datagram[10] = 0x80 + (byte >> 3 & 15);
                datagram[12..14].copy_from_slice(&number);
                ended += exchange.handle(&datagram, now).into_iter().count();
            }
        }
        ended += exchange.poll_expired(now).len();
        while exchange.poll_send(now).is_some() {}
        assert!(exchange.in_flight() <= Limits::SCAMP.in_flight_max);
        assert_eq!(asked, ended + exchange.in_flight() + exchange.waiting());
    }
    while let Some(deadline) = exchange.next_deadline() {
        ended += exchange.poll_expired(deadline).len();
        while exchange.poll_send(deadline).is_some() {}
    }
    assert_eq!(asked, ended);
}

fuzz_target!(|input: &[u8]| {
    decode(input);
    exchange(input);
});
