//! Anything may come in: nothing panics, and nothing grows without end.

use super::super::*;
use super::hosts::{Bench, HOST};
use crate::spinnaker::scp::{Call, CommandCode as Code, Request, ResultCode, Sequence};
use crate::spinnaker::sdp::{Core, Endpoint, Header};
use proptest::prelude::*;

fn spec() -> ChipsSpec {
    ChipsSpec { echo_core: Some(3), ..ChipsSpec::whole(1, 1, Ipv4Addr::new(127, 2, 0, 1)) }
}

/// A request with numbers that are often meant for something.
fn request() -> impl Strategy<Value = Vec<u8>> {
    let address = prop_oneof![
        any::<u32>(),
        (0u32..8192).prop_map(|low| 0x6000_0000 + low),
        (0u32..4096).prop_map(|low| 0xF500_7000 + low),
        (0u32..0x2_0000).prop_map(|low| 0xE100_0000 + low),
        (0u32..65_536).prop_map(|low| low << 16),
        0u32..600,
    ];
    let words = prop::array::uniform3(address);
    let place = (0u8..14, 0u8..14, 0u8..32, 0u8..8);
    let data = prop::collection::vec(any::<u8>(), 0..260);
    (any::<u8>(), place, 0u16..70, words, data).prop_map(|(flags, (x, y, core, port), code, words, data)| {
        let mut header = Header::asking(
            Endpoint {
                chip: Chip { x, y },
                core: if core < 20 { Core::MONITOR } else { Core::new(core - 12).unwrap() },
                port: crate::spinnaker::sdp::Port::new(if port < 6 { 0 } else { port }).unwrap(),
            },
            Chip::NEAREST,
        );
        header.flags.0 = flags;
        let mut bytes = Vec::new();
        let call = Call::new(crate::spinnaker::scp::CommandCode(code), words).with(&data);
        Request { header, sequence: Sequence(1), call }.encode(&mut bytes);
        bytes
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn nothing_panics_and_nothing_grows_without_end(
        datagrams in prop::collection::vec((0u32..4, any::<bool>(), request(), prop::collection::vec(any::<u8>(), 0..300)), 1..60),
        events in prop::collection::vec((0u32..4, 0u32..6, 0u8..12), 0..6),
    ) {
        let mut bench = Bench::booted(spec(), 0);
        let mut events = events.into_iter();
        for (board, plain, meant, rubbish) in datagrams {
            let bytes = if plain { &rubbish } else { &meant };
            for port in [17893, 54321, 4000] {
                bench.send(board, port, bytes);
            }
            bench.wait(3);
            match events.next() {
                Some((board, _, 0)) => bench.chips.set_power(bench.now, BoardIndex(board), false),
                Some((board, _, 1)) => bench.chips.set_power(bench.now, BoardIndex(board), true),
                Some((board, link, stop)) => {
                    let link = Link::from_number(link).unwrap();
                    bench.chips.set_stop(BoardIndex(board), link, stop % 2 == 0);
                }
                None => {}
            }
            prop_assert!(bench.chips.pages_used() <= PAGES_MAX);
            prop_assert!(bench.chips.due.len() <= DUE_MAX);
        }
    }
}

#[test]
fn memory_ends_where_the_budget_does() {
    let mut bench = Bench::booted(spec(), 0);
    let fill = |word: u32| Call::new(Code::FILL, [0x6000_0000, word, 0x0800_0000]);
    for (x, y) in [(0, 0), (1, 0), (2, 0), (3, 0)] {
        bench.done(0, x, y, fill(0x0102_0304));
        assert!(bench.chips.pages_used() <= PAGES_MAX);
    }
    assert_eq!(bench.chips.pages_used(), PAGES_MAX);
    assert_eq!(bench.read(0, 1, 0, 0x67FF_FFFC, 4), [4, 3, 2, 1]);
    assert_eq!(bench.read(0, 3, 0, 0x6000_0000, 4), [0; 4], "no room for this");
    assert_eq!(bench.ask(0, 3, 0, Call::new(Code::VER, [0; 3])).unwrap().result, ResultCode::OK);
    bench.chips.set_power(bench.now, BoardIndex(0), false);
    assert_eq!(bench.chips.pages_used(), 0);
}

#[test]
fn only_eight_requests_have_a_tag_at_a_time() {
    let mut bench = Bench::booted(spec(), 0);
    let count = |x: u8, y: u8| {
        let header = Header::asking(Endpoint::system(Chip { x, y }, Core::MONITOR), Chip::NEAREST);
        let mut bytes = Vec::new();
        let call = Call::new(Code::COUNT, [30, 7, 0]);
        Request { header, sequence: Sequence(1), call }.encode(&mut bytes);
        bytes
    };
    for number in 0..12 {
        assert!(bench.send(0, 17893, &count(number % 4, number / 4)).is_empty());
    }
    assert_eq!(bench.wait(9).len(), 0);
    let answers = bench.wait(1);
    assert_eq!(answers.len(), 8, "the others were dropped");
    assert!(answers.iter().all(|(_, leaving)| leaving.to == HOST));
    assert!(bench.send(0, 17893, &count(0, 0)).is_empty());
    let busy = bench.ask(0, 0, 0, Call::new(Code::COUNT, [30, 7, 0])).unwrap();
    assert_eq!(busy.result, ResultCode::P2P_BUSY);
}
