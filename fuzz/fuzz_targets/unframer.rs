//! Any bytes, whole and in pieces: the same frames and refusals, within the limits.
#![no_main]

use berth::wire::{FrameError, FrameLimits, MARKER, Unframer, encode};
use libfuzzer_sys::fuzz_target;

const LIMITS: FrameLimits = FrameLimits { frame_bytes_max: 1 << 16, body_bytes_max: 1 << 16, members_max: 4 };

fn receive<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Vec<Result<Vec<u8>, FrameError>> {
    let mut unframer = Unframer::new(LIMITS);
    let mut received = Vec::new();
    for mut piece in pieces {
        while !piece.is_empty() {
            let (read, event) = unframer.feed(piece);
            assert!(read > 0 || event.is_some());
            piece = &piece[read..];
            received.extend(event.map(|event| event.map(|body| body.to_vec())));
        }
    }
    if unframer.stalled_at_marker() {
        received.push(Err(unframer.give_up()));
    }
    received
}

fuzz_target!(|input: &[u8]| {
    let Some((size, bytes)) = input.split_first() else { return };
    let whole = receive(std::iter::once(bytes));
    assert_eq!(receive(bytes.chunks(usize::from(*size).max(1))), whole);
    assert!(whole.iter().flatten().all(|body| body.len() <= LIMITS.body_bytes_max));

    let mut frame = Vec::new();
    encode(bytes, &mut frame);
    let markers = frame.windows(MARKER.len()).filter(|window| window == MARKER).count();
    assert_eq!(markers, 1);
    if frame.len() <= LIMITS.frame_bytes_max {
        let body = receive(std::iter::once(&frame[..])).remove(0).unwrap();
        assert!(body.starts_with(bytes) && body[bytes.len()..].iter().all(|byte| *byte == b' '));
    }
});
