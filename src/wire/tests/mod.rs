//! The room as a whole: foreign frames at every split, golden bytes, and hostile input of every kind.

mod golden;
mod hostile;
mod messages;
mod packed;
mod short;
mod vectors;

use super::encode::encode;
use super::{FrameError, FrameLimits, Unframer};
use serde_json::Value;

/// What a receiver made of some bytes: the texts and refusals in their order.
type Received = Vec<Result<Vec<u8>, FrameError>>;

/// Limits that no honest test comes near.
fn wide() -> FrameLimits {
    FrameLimits { frame_bytes_max: 4 << 20, body_bytes_max: 4 << 20, members_max: 64 }
}

/// Feeds pieces as a connection does. At the end a peer that is silent after a marker is given up.
fn receive<'a>(limits: FrameLimits, pieces: impl IntoIterator<Item = &'a [u8]>) -> Received {
    let mut unframer = Unframer::new(limits);
    let mut received = feed(&mut unframer, pieces);
    if unframer.stalled_at_marker() {
        received.push(Err(unframer.give_up()));
        assert!(!unframer.mid_frame());
    }
    received
}

/// Feeds pieces and collects what comes of them.
fn feed<'a>(unframer: &mut Unframer, pieces: impl IntoIterator<Item = &'a [u8]>) -> Received {
    let mut received = Vec::new();
    for mut piece in pieces {
        while !piece.is_empty() {
            let (read, event) = unframer.feed(piece);
            assert!(read > 0 || event.is_some(), "no progress");
            piece = &piece[read..];
            received.extend(event.map(|event| event.map(|body| body.to_vec())));
        }
    }
    received
}

/// One frame.
fn frame(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    encode(text, &mut out);
    out
}

/// One gzip member at a level, without a marker.
fn member(text: &[u8], level: u32) -> Vec<u8> {
    use std::io::Write;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(level));
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

/// Bytes from hexadecimal digits.
fn unhex(digits: &str) -> Vec<u8> {
    let pair = |at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap();
    (0..digits.len()).step_by(2).map(pair).collect()
}

/// Hexadecimal digits of bytes.
fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The path of a file of the crate.
fn path(name: &str) -> String {
    format!("{}/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// A JSON file of the crate.
fn json_file(name: &str) -> Value {
    serde_json::from_slice(&std::fs::read(path(name)).unwrap()).unwrap()
}

/// The bytes a vector has under a key.
fn bytes_of(vector: &Value, key: &str) -> Vec<u8> {
    unhex(vector[key].as_str().unwrap())
}

/// The string a vector has under a key.
fn text_of<'a>(vector: &'a Value, key: &str) -> &'a str {
    vector[key].as_str().unwrap()
}

/// The list a vector has under a key.
fn list_of<'a>(vector: &'a Value, key: &str) -> &'a [Value] {
    vector[key].as_array().unwrap()
}
