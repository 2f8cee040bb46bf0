//! Exchanges: by script (`script`), as others did it (`transcripts`), over a bad network (`network`).

use super::super::scp::{Reply, Request, ResultCode};
use super::super::sdp::Endpoint;
use super::*;

mod network;
mod script;
mod transcripts;

/// A reply to a datagram that was sent.
fn reply_to(datagram: &[u8], result: ResultCode, body: &[u8]) -> Vec<u8> {
    let request = Request::decode(datagram).unwrap();
    let header = super::super::sdp::Header {
        flags: super::super::sdp::Flags::NO_REPLY,
        tag: super::super::sdp::Tag(8),
        destination: request.header.source,
        source: request.header.destination,
    };
    let mut out = Vec::new();
    // Boards never clear the padding.
    Reply { header, result, sequence: request.sequence, body }.encode([0x40, 0x17], &mut out);
    out
}

fn monitor() -> Endpoint {
    Endpoint::system(Chip::NEAREST, Core::MONITOR)
}
