//! Short frames that are inflated at once must come to what they come to byte by byte, where nothing is whole.

use super::*;
use crate::wire::{MARKER, inflate::inflate};
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};
use proptest::prelude::*;

/// A gzip member whose header has all optional fields these flags name.
fn member_with(text: &[u8], level: u32, flags: u8) -> Vec<u8> {
    let plain = member(text, level);
    let mut wire = vec![0x1f, 0x8b, 8, flags, 1, 2, 3, 4, 0, 3];
    wire.extend((flags & 4 != 0).then_some(b"\x06\0<EOF>\0").into_iter().flatten());
    wire.extend((flags & 8 != 0).then_some(b"name\0").into_iter().flatten());
    wire.extend((flags & 16 != 0).then_some(b"<EOF>\0").into_iter().flatten());
    wire.extend((flags & 2 != 0).then_some(b"\0\0").into_iter().flatten());
    wire.extend_from_slice(&plain[10..]);
    wire
}

/// A raw deflate stream of these parts, a block or more for each.
fn deflate(parts: &[&[u8]], level: u32, flush: FlushCompress) -> Vec<u8> {
    let (mut state, mut out) = (Compress::new(Compression::new(level), false), Vec::with_capacity(1 << 16));
    for part in parts {
        state.compress_vec(part, &mut out, flush).unwrap();
    }
    state.compress_vec(b"", &mut out, FlushCompress::Finish).unwrap();
    out
}

/// Texts as clients send them, and others.
fn text() -> impl Strategy<Value = Vec<u8>> {
    let calls = prop::collection::vec((0..1_000_000_u32, "[a-z_]{1,12}"), 0..60).prop_map(|calls| {
        let calls = calls.iter().map(|(job, name)| format!("{{\"fname\": \"{name}\", \"job_id\": {job}}}"));
        format!(
            "{{\"session\": \"\", \"name\": \"me\", \"data\": [{}]}}",
            calls.collect::<Vec<_>>().join(", ")
        )
    });
    let session = any::<u128>().prop_map(|id| {
        format!("{{\"session\":\"{id:032x}\",\"name\":\"\",\"data\":[{{\"fname\":\"get_version\"}}]}}")
    });
    prop_oneof![
        session.prop_map(String::into_bytes),
        calls.prop_map(String::into_bytes),
        prop::collection::vec(any::<u8>(), 0..1500),
        (any::<u8>(), 0..6000_usize).prop_map(|(byte, len)| vec![byte; len]),
        "(<EOF>|[ -~]){0,300}".prop_map(String::into_bytes),
    ]
}

/// Byte by byte no member is whole, so that each goes the long way.
fn receive_the_long_way(limits: FrameLimits, wire: &[u8]) -> Received {
    receive(limits, wire.chunks(1))
}

#[test]
fn what_clients_send_is_inflated_at_once() {
    let session = "{\"session\":\"8d1ef0b39ac74e56b27f41c605d9e8a3\",\"name\":\"me\",\"data\":[{\"fname\":\"get_version\"}]}";
    let repeated = "abc".repeat(1000);
    for text in ["{}", "", session, &repeated] {
        for level in 1..=9 {
            let wire = member(text.as_bytes(), level);
            let mut room = [1; 4096];
            let data = &wire[10..];
            let wanted = Some((data.len() - 8, text.len()));
            assert_eq!(inflate(data, &mut room), wanted, "{text} {level}");
            assert_eq!(&room[..text.len()], text.as_bytes());
            assert_eq!(inflate(data, &mut room[..text.len()]), wanted, "no more room than is needed");
            if let Some(less) = text.len().checked_sub(1) {
                assert_eq!(inflate(data, &mut room[..less]), None);
            }
            for end in 0..data.len() - 8 {
                assert_eq!(inflate(&data[..end], &mut room), None, "{text} {level} cut at {end}");
            }
        }
    }
}

#[test]
fn several_blocks_go_together_and_stored_ones_are_left() {
    let parts = [&b"one "[..], b"two one two", &[b'x'; 700]];
    let mut room = [0; 4096];
    let data = deflate(&parts, 6, FlushCompress::Partial);
    assert_eq!(inflate(&data, &mut room), Some((data.len(), 715)));
    assert_eq!(room[..715], parts.concat());
    assert_eq!(inflate(&deflate(&parts, 6, FlushCompress::Sync), &mut room), None);
    assert_eq!(inflate(&deflate(&parts, 0, FlushCompress::None), &mut room), None);
}

#[test]
fn all_lengths_and_distances() {
    let mut seed = 1_u64;
    let mut noise = || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (seed >> 40) as usize
    };
    let (mut room, mut seen) = (vec![0; 1 << 16], 0);
    for round in 0..400 {
        let mut text: Vec<u8> = (0..40).map(|_| noise() as u8 % 64).collect();
        while text.len() < 30_000 {
            let (back, len) = (1 + noise() % text.len(), 3 + noise() % 300);
            let from = text.len() - back;
            (0..len).for_each(|at| text.push(text[from + at]));
            text.push(noise() as u8);
        }
        let data = deflate(&[&text], 1 + round % 9, FlushCompress::None);
        if let Some(read) = inflate(&data, &mut room) {
            assert_eq!((read, &room[..text.len()]), ((data.len(), text.len()), &text[..]));
            seen += 1;
        }
    }
    assert!(seen > 100, "{seen} of 400 had no word that is too long");
}

/// Inflates both ways, where the short one takes it at all; whether it did.
fn compare(data: &[u8], room: &mut [u8; 4096]) -> bool {
    let Some((read, made)) = inflate(data, room) else { return false };
    let (mut state, mut wanted) = (Decompress::new(false), [0; 4096]);
    let status = state.decompress(data, &mut wanted, FlushDecompress::None);
    assert_eq!(status.unwrap(), Status::StreamEnd);
    assert_eq!((state.total_in(), state.total_out()), (read as u64, made as u64));
    assert_eq!(room[..made], wanted[..made]);
    true
}

#[test]
fn bits_at_random_are_no_more_than_they_are_to_zlib() {
    let (mut seed, mut room, mut seen) = (7_u64, [0; 4096], 0);
    for kind in [0b101, 0b011, 0b100, 0b010] {
        for _ in 0..20_000 {
            let mut data: [u8; 64] = std::array::from_fn(|_| {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                (seed >> 56) as u8
            });
            data[0] = data[0] & !7 | kind;
            seen += usize::from(compare(&data, &mut room));
        }
    }
    assert!(seen > 500, "only {seen} were sound");
}

#[test]
fn blocks_with_flipped_bits_are_no_more_than_they_are_to_zlib() {
    let ids = ["8d1ef0b39ac74e56b27f41c605d9e8a3", "00112233445566778899aabbccddeeff"];
    let (mut room, mut seen, mut described) = ([0; 4096], 0, 0);
    for text in ids.map(|id| format!("{{\"session\":\"{id}\",\"name\":\"me\",\"data\":[1,2,3,4,5,6]}}")) {
        let data = deflate(&[text.as_bytes(), &[b'-'; 300]], 5, FlushCompress::None);
        described += usize::from(data[0] & 7 == 0b101);
        for (first, second) in (0..data.len() * 8).flat_map(|first| [(first, None), (first, Some(first / 3))])
        {
            let mut data = data.clone();
            data[first / 8] ^= 1 << (first % 8);
            second.into_iter().for_each(|second| data[second / 8] ^= 1 << (second % 8));
            data.extend_from_slice(&[0; 16]);
            seen += usize::from(compare(&data, &mut room));
        }
    }
    assert!(seen > 300 && described > 0, "only {seen} were sound, {described} described");
}

#[test]
fn a_member_without_its_marker_holds_no_state() {
    let wire = [member(b"{\"a\": [1, 2, 3]}", 5), MARKER.to_vec()].concat();
    let (front, back) = wire.split_at(wire.len() - MARKER.len());
    let mut unframer = Unframer::new(wide());
    assert_eq!(feed(&mut unframer, [front]), []);
    assert!(unframer.mid_frame() && !unframer.stalled_at_marker());
    assert_eq!(feed(&mut unframer, [back]), [Ok(b"{\"a\": [1, 2, 3]}".to_vec())]);
    assert!(!unframer.mid_frame() && !unframer.holds_memory());
}

#[test]
fn every_limit_is_the_same_both_ways() {
    let one = member(b"{\"a\": 1, \"b\": 1, \"c\": 1}", 5);
    let wire = [&one[..], MARKER, &one, &one, MARKER].concat();
    for bytes_max in 0..wire.len() + 1 {
        for members_max in 0..3 {
            for body_bytes_max in [0, 23, 24, 25, 47, 48, 4096] {
                let limits = FrameLimits { frame_bytes_max: bytes_max, body_bytes_max, members_max };
                assert_eq!(receive(limits, [&wire[..]]), receive_the_long_way(limits, &wire), "{limits:?}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn frames_come_to_what_they_come_to_byte_by_byte(
        texts in prop::collection::vec((text(), 0..=9_u32, any::<u8>(), 0..4_u8), 1..5),
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3),
        cut in prop::option::of(any::<prop::sample::Index>()),
        (frame_bytes_max, body_bytes_max) in (1..4000_usize, 0..4000_usize), limited in any::<bool>(),
        at in any::<prop::sample::Index>(),
    ) {
        let mut wire = Vec::new();
        for (text, level, flags, what) in &texts {
            // Most clients set no flags.
            let flags = if flags % 4 == 0 { flags / 8 } else { 0 };
            wire.extend(member_with(text, *level, flags));
            match what {
                0 => {}
                1 => wire.extend_from_slice(b"\0\0<EOF>"),
                _ => wire.extend_from_slice(MARKER),
            }
        }
        for (at, value) in &flips {
            let at = at.index(wire.len());
            wire[at] ^= *value;
        }
        wire.truncate(cut.map_or(wire.len(), |cut| cut.index(wire.len())));
        let narrow = FrameLimits { frame_bytes_max, body_bytes_max, members_max: 2 };
        let limits = if limited { narrow } else { wide() };
        let long = receive_the_long_way(limits, &wire);
        prop_assert_eq!(&receive(limits, [&wire[..]]), &long);
        let (front, back) = wire.split_at(at.index(wire.len() + 1));
        prop_assert_eq!(&receive(limits, [front, back]), &long);
    }

    #[test]
    fn damage_is_told_as_it_is_byte_by_byte(
        text in text(), level in 1..=9_u32, bit in any::<prop::sample::Index>(), next in any::<bool>(),
    ) {
        let mut wire = [member(&text, level), MARKER.to_vec()].concat();
        let bit = bit.index(wire.len() * 8);
        wire[bit / 8] ^= 1 << (bit % 8);
        wire.extend(if next { frame(b"{}") } else { Vec::new() });
        prop_assert_eq!(receive(wide(), [&wire[..]]), receive_the_long_way(wide(), &wire));
    }
}
