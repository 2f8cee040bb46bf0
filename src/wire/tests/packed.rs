//! Texts that were deflated once: whatever stands around them, their frames read as those of `encode`, one member each.

use super::{hex, receive, wide};
use crate::wire::encode::STORED_BYTES_MAX;
use crate::wire::{MARKER, Packed, encode_around};

/// A text of about so many bytes, no two parts of which are alike.
fn text(bytes: usize) -> Vec<u8> {
    let numbers =
        (0_u64..).map(|n| format!("{{\"n\":{n},\"h\":\"{:x}\"}},", n.wrapping_mul(0x9e37_79b9_7f4a_7c15)));
    numbers.flat_map(String::into_bytes).take(bytes).collect()
}

fn around(head: &[u8], inside: &[u8], tail: &[u8]) -> Vec<u8> {
    let mut out = b"before".to_vec();
    encode_around(head, &Packed::new(inside.to_vec()), tail, &mut out);
    out.split_off(6)
}

/// The frame is one, holds its marker once, and its text is this, perhaps with spaces behind it.
fn check(frame: &[u8], parts: [&[u8]; 3]) {
    let (found, whole) = (receive(wide(), [frame]), parts.concat());
    assert_eq!(found.len(), 1, "{}", hex(frame));
    let body = found[0].as_ref().unwrap();
    assert!(body.starts_with(&whole) && body[whole.len()..].iter().all(|byte| *byte == b' '));
    let ends: Vec<_> = (0..frame.len()).filter(|at| frame[*at..].starts_with(MARKER)).collect();
    assert_eq!(ends, [frame.len() - MARKER.len()]);
}

#[test]
fn sizes_of_all_kinds() {
    for bytes in [0, 1, STORED_BYTES_MAX - 1, STORED_BYTES_MAX, 4_096, 33_000, 400_000] {
        let inside = text(bytes);
        for (head, tail) in [(&b"["[..], &b"]"[..]), (b"", b""), (&text(40_000), &text(70_000))] {
            check(&around(head, &inside, tail), [head, &inside, tail]);
        }
    }
}

#[test]
fn a_packed_text_saves_the_wire_what_deflate_saves() {
    let inside = text(100_000);
    assert!(around(b"[", &inside, b"]").len() < inside.len() * 2 / 3);
}

#[test]
fn a_marker_in_any_part_is_no_end() {
    let (marked, plain) = ([&text(2_000)[..], MARKER, &text(2_000)].concat(), text(4_000));
    let rows: [[&[u8]; 3]; 3] = [[MARKER, &plain, b"]"], [b"[", &marked, b"]"], [b"[", &plain, MARKER]];
    for parts in rows {
        let [head, inside, tail] = parts;
        check(&around(head, inside, tail), parts);
    }
}

#[test]
fn other_readers_of_gzip_agree() {
    let (inside, mut read) = (text(50_000), Vec::new());
    let frame = around(b"{\"data\":[", &inside, b"]}");
    let member = &frame[..frame.len() - MARKER.len()];
    std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(member), &mut read).unwrap();
    assert_eq!(read, [&b"{\"data\":["[..], &inside, b"]}"].concat());
}
