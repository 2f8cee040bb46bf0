//! Whatever comes in, in whatever order: nothing panics, nothing grows without end, and the same gives the same.

use super::*;
use proptest::collection::vec;
use proptest::prelude::*;

/// A datagram: any bytes, or a request with numbers near those that mean something.
fn datagram() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![Just(0u8), 0..8u8, Just(0xFF), any::<u8>()];
    let plain = vec(byte, 4).prop_map(|bytes| u32::from_le_bytes(bytes.try_into().unwrap()));
    let address = prop_oneof![0x1000_0000..0x1000_9000u32, 0..0x9_0000u32];
    let word = prop_oneof![4 => plain, 2 => address, 2 => 0..300u32, 1 => 0..8u32];
    let words = [word.clone().boxed(), word.clone().boxed(), word.boxed()];
    let code = prop_oneof![
        4 => proptest::sample::select(CommandCode::ALL).prop_map(|code| code.0),
        2 => Just(CommandCode::BMP_POWER.0),
        2 => Just(CommandCode::IPTAG.0),
        1 => any::<u16>(),
    ];
    let flags = prop_oneof![4 => Just(0x87u8), 1 => Just(0x07), 1 => any::<u8>()];
    let tag = prop_oneof![4 => Just(0xFFu8), 1 => 0..17u8];
    let asked = prop_oneof![4 => 0..3u8, 1 => any::<u8>()];
    let request = (flags, tag, asked, code, words, vec(any::<u8>(), 0..=256)).prop_map(
        |(flags, tag, asked, code, words, data)| {
            let mut bytes = Vec::new();
            let call = Call::new(CommandCode(code), words).with(&data);
            Request { header: bmp::header(Board::FIRST), sequence: Sequence(1), call }.encode(&mut bytes);
            bytes[2..5].copy_from_slice(&[flags, tag, asked]);
            bytes
        },
    );
    prop_oneof![6 => request, 1 => vec(any::<u8>(), 0..300)]
}

/// Datagrams and how long after the one before them they come.
fn steps() -> impl Strategy<Value = Vec<(u64, Vec<u8>)>> {
    let wait = prop_oneof![4 => Just(0u64), 2 => 0..100u64, 1 => 0..10_000u64];
    vec((wait, datagram()), 1..40)
}

fn run(steps: &[(u64, Vec<u8>)]) -> (Vec<Leaving>, Vec<FrameEvent>, Bench) {
    let mut bench = Bench::new(spec());
    bench.frame.faults_mut().busy = 2;
    bench.frame.faults_mut().dark = boards(&[2]);
    for (wait_ms, bytes) in steps {
        bench.pass_ms(*wait_ms);
        bench.send(bytes);
        assert!(bench.frame.pending() <= BUFFERS);
        assert!(bench.frame.wake_at().is_none_or(|at| at > bench.at), "all that was due is done");
    }
    bench.settle();
    assert_eq!(bench.frame.pending(), 0);
    (std::mem::take(&mut bench.out), bench.events(), bench)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn anything_is_survived_and_the_same_gives_the_same(steps in steps()) {
        let (out, events, mut bench) = run(&steps);
        let (again, events_again, _) = run(&steps);
        prop_assert_eq!(&out, &again);
        prop_assert_eq!(events, events_again);
        prop_assert!(out.len() <= steps.len());
        let wanted = steps.iter().filter(|(_, bytes)| bytes.get(2).is_some_and(|flags| flags & 0x80 != 0));
        prop_assert!(out.len() <= wanted.count());
        prop_assert!(out.iter().all(|leaving| leaving.bytes.len() <= 14 + 256));
        bench.tell(0, Command::Version);
        prop_assert!(bench.replies().len() <= 1);
    }
}

#[test]
fn events_that_nobody_asks_for_are_forgotten_from_the_oldest_on() {
    let mut bench = Bench::new(spec());
    for _ in 0..EVENTS_MAX {
        bench.body(0, Command::Version);
        bench.at = bench.at.plus_ms(1);
    }
    bench.body(0, Command::Version);
    let events = bench.events();
    assert_eq!(events.len(), EVENTS_MAX);
    let version = |at| FrameEvent::Asked { board: board(0), command: CommandCode::VER, at };
    assert_eq!((&events[0], &events[EVENTS_MAX - 1]), (&version(At(1)), &version(At(EVENTS_MAX as u64))));
}
