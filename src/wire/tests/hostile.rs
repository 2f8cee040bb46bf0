//! Hostile input: limits, bombs, mutations, random bytes. Never a panic, never endless, never more memory than allowed.

use super::*;
use crate::error::Code;
use crate::wire::envelope::{self, Data};
use crate::wire::{MARKER, call, gzip, handshake};
use flate2::{Compress, Compression, FlushCompress};
use memchr::memmem;
use proptest::prelude::*;

/// A gzip stream of so many MiB of zeros, made without deflating more than one of them.
fn bomb(mebibytes: usize) -> Vec<u8> {
    let mut deflate = Compress::new(Compression::best(), false);
    let zeros = vec![0; 1 << 20];
    let mut first = Vec::with_capacity(1 << 20);
    deflate.compress_vec(&zeros, &mut first, FlushCompress::Full).unwrap();
    let mut wire = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    (0..mebibytes).for_each(|_| wire.extend_from_slice(&first));
    wire.extend_from_slice(&[3, 0]);
    wire
}

#[test]
fn a_gibibyte_of_zeros_is_refused_at_the_limit() {
    let wire = bomb(1024);
    assert!(wire.len() < 2 << 20);
    for limit in [0, 1, 4095, 4096, 4097, 65_536, 1_000_000] {
        let limits = FrameLimits { body_bytes_max: limit, ..wide() };
        let mut unframer = Unframer::new(limits);
        let (read, event) = unframer.feed(&wire);
        assert_eq!(event.unwrap().unwrap_err(), FrameError::BodyTooLarge { bytes_max: limit });
        assert!(read < wire.len() / 100);
        assert!(!unframer.holds_memory() && !unframer.mid_frame());
        assert_eq!(feed(&mut unframer, [&wire[read..], &frame(b"{}")]), []);
    }
}

#[test]
fn a_buffer_never_grows_past_the_limit_and_large_ones_are_not_kept() {
    let mut body = gzip::Body::lend();
    let limit = 1_000_000;
    loop {
        let room = body.room(limit).len();
        body.fill(room);
        if body.len() > limit {
            break;
        }
    }
    assert_eq!(body.len(), limit + 1);
    assert!(body.occupied_bytes() <= 2 * limit);
    drop(body);
    let pooled: Vec<_> = (0..20).map(|_| gzip::Body::lend()).collect();
    assert!(pooled.iter().all(|body| body.occupied_bytes() <= 64 * 1024));
}

#[test]
fn an_idle_receiver_holds_nothing_and_a_busy_one_reuses() {
    let mut unframer = Unframer::new(wide());
    let wire = frame("x".repeat(5000).as_bytes());
    let mut places = Vec::new();
    for _ in 0..5 {
        assert!(unframer.feed(&wire[..wire.len() - 1]).1.is_none());
        assert!(unframer.mid_frame() && unframer.holds_memory());
        let body = unframer.feed(&wire[wire.len() - 1..]).1.unwrap().unwrap();
        places.push(body.as_ptr());
        drop(body);
        assert!(!unframer.mid_frame() && !unframer.holds_memory());
    }
    assert!(places.windows(2).all(|pair| pair[0] == pair[1]));
    assert!(size_of::<Unframer>() <= 320, "{}", size_of::<Unframer>());
}

#[test]
fn a_receiver_and_its_frames_may_change_threads() {
    fn is_send<T: Send + 'static>() {}
    is_send::<Unframer>();
    is_send::<gzip::Body>();
    let wire = frame("x".repeat(5000).as_bytes());
    let mut unframer = Unframer::new(wide());
    assert!(unframer.feed(&wire[..20]).1.is_none());
    let body = std::thread::spawn(move || unframer.feed(&wire[20..]).1).join().unwrap();
    assert_eq!(body.unwrap().unwrap().len(), 5000);
}

#[test]
fn limits_hold_to_the_byte() {
    for (level, text) in [(0, "{\"a\": 1}"), (6, "{\"a\": 1}"), (6, "")] {
        let wire = [member(text.as_bytes(), level), MARKER.to_vec()].concat();
        let exact = FrameLimits { frame_bytes_max: wire.len(), body_bytes_max: text.len(), members_max: 1 };
        for pieces in [wire.len(), 1] {
            let received = |limits| receive(limits, wire.chunks(pieces));
            assert_eq!(received(exact), [Ok(text.into())]);
            let bytes_max = wire.len() - 1;
            let error = FrameError::FrameTooLarge { bytes_max };
            assert_eq!(received(FrameLimits { frame_bytes_max: bytes_max, ..exact }), [Err(error)]);
            let error = FrameError::TooManyMembers { members_max: 0 };
            assert_eq!(received(FrameLimits { members_max: 0, ..exact }), [Err(error)]);
            if let Some(bytes_max) = text.len().checked_sub(1) {
                let error = FrameError::BodyTooLarge { bytes_max };
                assert_eq!(received(FrameLimits { body_bytes_max: bytes_max, ..exact }), [Err(error)]);
            }
        }
    }
}

#[test]
fn the_fast_way_keeps_the_limits_too() {
    let wire = frame(b"{\"a\": 1}");
    let exact = FrameLimits { frame_bytes_max: wire.len(), body_bytes_max: 8, members_max: 1 };
    assert_eq!(receive(exact, [&wire[..]]), [Ok(b"{\"a\": 1}".to_vec())]);
    let small = FrameLimits { body_bytes_max: 7, ..exact };
    assert_eq!(receive(small, [&wire[..]]), [Err(FrameError::BodyTooLarge { bytes_max: 7 })]);
    let short = FrameLimits { frame_bytes_max: wire.len() - 1, ..exact };
    let error = FrameError::FrameTooLarge { bytes_max: wire.len() - 1 };
    assert_eq!(receive(short, [&wire[..]]), [Err(error)]);
    let none = FrameLimits { members_max: 0, ..exact };
    assert_eq!(receive(none, [&wire[..]]), [Err(FrameError::TooManyMembers { members_max: 0 })]);
}

#[test]
fn members_are_counted_over_the_whole_frame() {
    let empty = member(b"", 6);
    let frame_of = |members| [empty.repeat(members), MARKER.to_vec()].concat();
    let limits = FrameLimits { members_max: 3, ..wide() };
    let wire = [frame_of(3), frame_of(3), frame_of(4)].concat();
    let error = FrameError::TooManyMembers { members_max: 3 };
    assert_eq!(receive(limits, [&wire[..]]), [Ok(vec![]), Ok(vec![]), Err(error)]);
}

#[test]
fn a_body_limit_covers_all_members() {
    let wire = [member(b"[1,", 6), member(b"2]", 6), MARKER.to_vec()].concat();
    let limits = |body_bytes_max| FrameLimits { body_bytes_max, ..wide() };
    assert_eq!(receive(limits(5), [&wire[..]]), [Ok(b"[1,2]".to_vec())]);
    assert_eq!(receive(limits(4), [&wire[..]]), [Err(FrameError::BodyTooLarge { bytes_max: 4 })]);
}

#[test]
fn zeros_may_pad_a_member_and_nothing_else_may() {
    let text = member(b"{}", 6);
    for (padding, accepted) in
        [(&b"\0"[..], true), (&[0; 600], true), (b"\n", false), (b"\0x", false), (b"<EO", false)]
    {
        let wire = [&text, padding, &text, padding, MARKER].concat();
        let expected = [if accepted { Ok(b"{}{}".to_vec()) } else { Err(FrameError::Junk) }];
        assert_eq!(receive(wide(), [&wire[..]]), expected, "{padding:?}");
        assert_eq!(receive(wide(), wire.chunks(1)), expected, "{padding:?}");
    }
}

#[test]
fn headers_may_be_long_but_not_longer() {
    let rest = &member(b"{}", 6)[10..];
    let with_name = |bytes: usize| {
        let mut wire = vec![0x1f, 0x8b, 8, 8, 0, 0, 0, 0, 0, 255];
        wire.extend(std::iter::repeat_n(b'n', bytes - 11).chain([0]));
        [&wire, rest, MARKER].concat()
    };
    assert_eq!(receive(wide(), [&with_name(4096)[..]]), [Ok(b"{}".to_vec())]);
    assert_eq!(receive(wide(), [&with_name(4097)[..]]), [Err(FrameError::LongHeader)]);
    assert_eq!(receive(wide(), with_name(4097).chunks(1)), [Err(FrameError::LongHeader)]);
    assert!(!FrameError::LongHeader.goes_on());
}

#[test]
fn every_optional_field_of_a_header_is_passed_over() {
    let rest = &member(b"{}", 6)[10..];
    for flags in 0..32_u8 {
        for extra in [&b"\0\0"[..], b"\x05\0<EOF>", &[[44, 1].as_slice(), &[7; 300]].concat()] {
            let mut wire = vec![0x1f, 0x8b, 8, flags, 0, 0, 0, 0, 0, 255];
            wire.extend((flags & 4 != 0).then_some(extra).into_iter().flatten());
            wire.extend((flags & 8 != 0).then_some(b"name<EOF>\0").into_iter().flatten());
            wire.extend((flags & 16 != 0).then_some(b"\0").into_iter().flatten());
            wire.extend((flags & 2 != 0).then_some(b"\0\0").into_iter().flatten());
            let wire = [&wire, rest, MARKER].concat();
            assert_eq!(receive(wide(), [&wire[..]]), [Ok(b"{}".to_vec())], "{flags:#x} {extra:?}");
            assert_eq!(receive(wide(), wire.chunks(1)), [Ok(b"{}".to_vec())], "{flags:#x} {extra:?}");
        }
    }
}

#[test]
fn damage_inside_deflate_data_closes_when_more_follows() {
    let mut wire = member(b"{\"session\": \"\", \"name\": \"n\", \"data\": {}}", 6);
    wire[10] = 0xff; // a block type that does not exist
    wire.extend_from_slice(MARKER);
    let mut unframer = Unframer::new(wide());
    assert_eq!(feed(&mut unframer, [&wire[..]]), []);
    assert!(unframer.stalled_at_marker());
    assert_eq!(feed(&mut unframer, [&frame(b"{}")[..]]), [Err(FrameError::Damaged)]);
    assert!(!FrameError::Damaged.goes_on() && !unframer.mid_frame());
    assert_eq!(feed(&mut unframer, [&frame(b"{}")[..]]), []);
    assert_eq!(receive(wide(), [&[wire, frame(b"{}")].concat()[..]]), [Err(FrameError::Damaged)]);
}

#[test]
fn a_frame_that_never_ends_is_bounded() {
    let limits = FrameLimits { frame_bytes_max: 10_000, ..wide() };
    let error = FrameError::FrameTooLarge { bytes_max: 10_000 };
    for junk in [&b"x"[..], b"<", b"<EO", b"\0"] {
        let wire = junk.repeat(20_000);
        assert_eq!(receive(limits, [&wire[..]]), [Err(FrameError::NotGzip), Err(error)], "{junk:?}");
    }
    let padded = [member(b"{}", 6), vec![0; 20_000]].concat();
    assert_eq!(receive(limits, [&padded[..]]), [Err(error)]);
}

#[test]
fn a_frame_cut_short_anywhere_costs_one_answer() {
    let good = frame(b"{}");
    for level in [0, 5] {
        let whole =
            member(b"{\"session\": \"\", \"name\": \"me\", \"data\": [{\"fname\": \"get_version\"}]}", level);
        for at in 1..whole.len() {
            let cut = [&whole[..at], MARKER].concat();
            let mut unframer = Unframer::new(wide());
            let mut received = feed(&mut unframer, [&cut[..]]);
            if unframer.stalled_at_marker() {
                received.push(Err(unframer.give_up()));
            }
            assert!(matches!(received[..], [Err(error)] if error.code() == Code::BAD_FRAME), "{at}");
            assert_eq!(feed(&mut unframer, [&good[..]]), [Ok(b"{}".to_vec())], "{at}");
        }
    }
}

#[test]
fn the_sender_keeps_its_promise_where_deflate_cannot_compress() {
    // Random bytes with markers: deflate stores them as they are, so the marker would go out in the clear.
    let mut seed = 1_u64;
    let mut noise = || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (seed >> 33) as u8
    };
    for bytes in [0, 1, 1399, 1400, 5000, 32_767, 32_768, 32_769, 100_000] {
        let mut text: Vec<u8> = (0..bytes).map(|_| noise()).collect();
        for at in [0, 700, 32_764, 32_766, 65_535] {
            if at + 5 <= bytes {
                text[at..at + 5].copy_from_slice(MARKER);
            }
        }
        text.extend_from_slice(MARKER);
        let wire = frame(&text);
        assert_eq!(memmem::find(&wire, MARKER), Some(wire.len() - 5), "{bytes}");
        assert_eq!(receive(wide(), [&wire[..]]), [Ok(text)], "{bytes}");
    }
}

#[test]
fn five_million_brackets_are_harmless() {
    let open = "[".repeat(5_000_000);
    let nested = open.clone() + &"]".repeat(5_000_000);
    for data in [&open, &nested, &"{\"a\":".repeat(1_000_000)] {
        for text in [data.clone(), format!("{{\"__id__\":7,\"session\":\"\",\"name\":\"\",\"data\":{data}}}")]
        {
            let refused = envelope::decode(text.as_bytes(), 128).unwrap_err();
            assert_eq!(refused.fault.code, Code::TOO_DEEP);
            assert_eq!(refused.id.map(|id| id.get()), text.starts_with("{\"__").then_some("7"));
            // With no limit at all it is still not a recursion.
            drop(envelope::decode(text.as_bytes(), usize::MAX));
        }
    }
}

/// Whatever the text is, reading all of it must end well.
fn read_everything(body: &[u8]) {
    let Ok(message) = envelope::decode(body, 64) else { return };
    match message.kind() {
        Data::Calls(list) => drop(call::parse(list, 100)),
        Data::Command(_) => {}
        Data::Other(data) => drop((handshake::prove(data, true), handshake::prove(data, false))),
    }
}

/// Pieces of messages, to be put together rightly or wrongly.
fn scrap() -> impl Strategy<Value = String> {
    const WORDS: &[&str] = &[
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\"",
        "\\",
        "\"session\":",
        "\"name\":",
        "\"data\":",
        "\"__id__\":",
        "\"\"",
        "\"fname\":",
        "\"a\"",
        "null",
        "true",
        "1e999",
        "-1",
        "\"\\ud800\"",
        "\u{e9}",
        " ",
        "\"user\":",
        "\"__caps__\":",
    ];
    prop::collection::vec(prop::sample::select(WORDS), 0..40).prop_map(|words| words.concat())
}

/// Sizes of pieces.
fn cuts() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(1..40_usize, 1..30)
}

/// The bytes in pieces of these sizes, over and over.
fn pieces<'a>(mut wire: &'a [u8], cuts: &'a [usize]) -> Vec<&'a [u8]> {
    let mut pieces = Vec::new();
    for cut in cuts.iter().cycle() {
        if wire.is_empty() {
            break;
        }
        let (piece, rest) = wire.split_at(wire.len().min(*cut));
        pieces.push(piece);
        wire = rest;
    }
    pieces
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_encoded_is_decoded(texts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..3000), 1..4), cuts in cuts()) {
        let wire: Vec<u8> = texts.iter().flat_map(|text| frame(text)).collect();
        let texts: Received = texts.into_iter().map(Ok).collect();
        prop_assert_eq!(memmem::find_iter(&wire, MARKER).count(), texts.len());
        prop_assert_eq!(&receive(wide(), [&wire[..]]), &texts);
        prop_assert_eq!(&receive(wide(), pieces(&wire, &cuts)), &texts);
    }

    #[test]
    fn random_bytes_come_to_the_same_in_any_pieces(bytes in prop::collection::vec(any::<u8>(), 0..300), cuts in cuts()) {
        let received = receive(wide(), [&bytes[..]]);
        prop_assert_eq!(receive(wide(), pieces(&bytes, &cuts)), received);
        read_everything(&bytes);
    }

    #[test]
    fn mutated_frames_come_to_the_same_in_any_pieces(
        text in "[ -~]{0,200}(<EOF>)?[ -~]{0,1500}", level in 0..=9_u32, second in any::<bool>(),
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4), cuts in cuts(),
    ) {
        let mut wire = member(text.as_bytes(), level);
        if second {
            wire.extend(member(b"}", level));
        }
        wire.extend_from_slice(MARKER);
        wire.extend(frame(b"{}"));
        for (at, value) in &flips {
            let at = at.index(wire.len());
            wire[at] = *value;
        }
        let limits = FrameLimits { frame_bytes_max: 3000, body_bytes_max: 3000, members_max: 3 };
        let received = receive(limits, [&wire[..]]);
        prop_assert_eq!(&receive(limits, pieces(&wire, &cuts)), &received);
        prop_assert_eq!(&receive(limits, wire.chunks(1)), &received);
        for body in received.iter().flatten() {
            prop_assert!(body.len() <= 3000);
        }
    }

    #[test]
    fn scraps_of_messages_are_read_without_panic(scrap in scrap(), inside in scrap()) {
        read_everything(scrap.as_bytes());
        read_everything(format!("{{\"session\":\"\",\"name\":1,\"data\":{inside}}}").as_bytes());
        read_everything(format!("{{\"session\":\"\",\"name\":1,\"data\":[{{{inside}}}]}}").as_bytes());
    }
}
