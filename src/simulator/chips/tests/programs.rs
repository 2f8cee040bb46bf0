//! What hosts do for programs: load and start them, give them memory and routes, and talk to them through tags.

use super::super::*;
use super::hosts::{Bench, HOST};
use crate::spinnaker::scamp::{
    Allocate, App, Block, ChipInfo, Command, CoreState, Cores, Neighbour, NeighbourPacket, Router, Signal,
    Start, TagCommand, TagEntry, TagId,
};
use crate::spinnaker::scp::{Call, CommandCode as Code, ResultCode};
use crate::spinnaker::sdp::{Core, Endpoint, Flags, Header, Port, Tag};
use crate::spinnaker::version::Version;
use std::net::SocketAddrV4;

const APP: App = App(30);

fn bench() -> Bench {
    Bench::booted(ChipsSpec { echo_core: Some(3), ..ChipsSpec::whole(1, 1, Ipv4Addr::new(127, 3, 0, 1)) }, 0)
}

fn word(bytes: &[u8]) -> u32 {
    u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
}

fn states(bench: &mut Bench, x: u8, y: u8) -> [CoreState; 18] {
    ChipInfo::decode(&bench.done(0, x, y, Command::Info { wanted: 0x7F }.call())).unwrap().states
}

/// Cores of all three boards that are in a state.
fn count(bench: &mut Bench, state: u8) -> u32 {
    let call = Command::Count { app: APP, state: CoreState(state) }.call();
    [(0, 0), (8, 4), (4, 8)].into_iter().map(|(x, y)| word(&bench.done(0, x, y, call))).sum()
}

fn signal(bench: &mut Bench, signal: u8) {
    bench.done(0, 0, 0, Command::Signal(Signal::to(APP, signal)).call());
}

/// Floods an application of two blocks to where applications lie.
fn flood(bench: &mut Bench, region: u32, cores: Cores, second_block: bool) {
    let start = Neighbour::FloodStart { id: 2, blocks: 2, region };
    bench.done(0, 0, 0, Command::Neighbour(start).call());
    for number in 0..=u8::from(second_block) {
        let data = vec![number + 1; 256];
        let address = 0x6780_0000 + 256 * u32::from(number);
        let block = Block { id: 2, number, address, data: &data };
        // A second copy, as from a host that tries again, is passed over.
        bench.done(0, 0, 0, Command::Block(block).call());
        bench.done(0, 0, 0, Command::Block(block).call());
    }
    let end = Neighbour::FloodEnd { id: 2, start: Start { app: APP, wait: true, cores } };
    bench.done(0, 0, 0, Command::Neighbour(end).call());
}

#[test]
fn an_application_is_flooded_started_paused_and_ended() {
    let mut bench = bench();
    let cores = Cores::default().and(1).and(4);
    flood(&mut bench, Neighbour::EVERYWHERE, cores, false);
    assert_eq!(count(&mut bench, 5), 0, "a block is missing");
    flood(&mut bench, Neighbour::EVERYWHERE, cores, true);
    assert_eq!(count(&mut bench, 5), 2 * 144);
    assert_eq!(bench.read(0, 9, 9, 0x6780_00FC, 8), [1, 1, 1, 1, 2, 2, 2, 2]);
    for (sent, state) in [(Signal::START, 7), (Signal::PAUSE, 10), (Signal::CONTINUE, 7), (Signal::EXIT, 11)]
    {
        signal(&mut bench, sent);
        assert_eq!(count(&mut bench, state), 2 * 144);
    }
    assert_eq!(
        bench.read(0, 7, 7, 0xE500_7000 + 128 + 44, 4),
        [0, 0, 11, 30],
        "physical core 0 is virtual core 1"
    );
    signal(&mut bench, Signal::STOP);
    assert_eq!(count(&mut bench, 11), 0);
    assert_eq!(states(&mut bench, 7, 7)[1..], [CoreState::IDLE; 17]);
    let elsewhere = Command::Signal(Signal::to(APP, Signal::START)).call();
    assert_eq!(
        bench.ask(0, 1, 0, elsewhere).unwrap().result,
        ResultCode::ARG,
        "only the root signals by multicast"
    );
}

#[test]
fn a_flood_can_be_for_one_chip() {
    let mut bench = bench();
    let chip = Chip { x: 7, y: 6 };
    flood(&mut bench, Neighbour::region_of(chip), Cores::default().and(2), true);
    assert_eq!(count(&mut bench, 5), 1);
    assert_eq!(states(&mut bench, 7, 6)[2], CoreState(5));
    // Cores chosen region by region, with a start that names no chip.
    signal(&mut bench, Signal::STOP);
    let packet = |key, data| {
        let packet = NeighbourPacket { key, data, mark: true, forward: 0x3F, retry: 0 };
        Command::Neighbour(Neighbour::Packet(packet)).call()
    };
    bench.done(0, 0, 0, packet(6 << 24 | 4 << 16, 0));
    bench.done(0, 0, 0, packet(7 << 24 | 0x30, Neighbour::region_of(chip)));
    bench.done(0, 0, 0, packet(15 << 24 | 4, 30 << 24 | 1 << 18));
    assert_eq!(count(&mut bench, 5), 2);
}

#[test]
fn an_application_is_copied_from_chip_to_chip() {
    let mut bench = bench();
    let data: Vec<u8> = (0..64).collect();
    bench.done(0, 2, 2, Call::new(Code::WRITE, [0x6780_0000, 64, 2]).with(&data));
    let sum =
        data.as_chunks::<4>().0.iter().fold(0u32, |sum, word| sum.wrapping_add(u32::from_le_bytes(*word)));
    let start = Start { app: APP, wait: false, cores: Cores::default().and(9) };
    let copy = |link, checksum| Command::CopyRun { link, checksum, size: 64, start }.call();
    let wrong = bench.ask(0, 1, 1, copy(1, 5)).unwrap();
    assert_eq!((wrong.result, word(&wrong.body)), (ResultCode::SUM, sum));
    bench.done(0, 1, 1, copy(1, sum & 0x1FFF_FFFF));
    assert_eq!(bench.read(0, 1, 1, 0x6780_0000, 64), data);
    assert_eq!(states(&mut bench, 1, 1)[9], CoreState::RUN);
    assert_eq!(bench.ask(0, 1, 1, copy(6, 0)).unwrap().result, ResultCode::ARG);
}

#[test]
fn memory_and_routes_are_lent_by_application() {
    let mut bench = bench();
    let ask = |bench: &mut Bench, allocate| bench.done(0, 5, 5, Command::Allocate(allocate).call());
    let all = ChipInfo::decode(&bench.done(0, 5, 5, Command::Info { wanted: 0 }.call())).unwrap();
    let block = word(&ask(&mut bench, Allocate::Sdram { app: APP, size: 1000, tag: 3, retry: false }));
    assert_eq!(block, 0x6024_0018);
    assert_eq!(word(&ask(&mut bench, Allocate::Find { app: APP, tag: 3 })), block);
    let left = ask(&mut bench, Allocate::Space { heap: 0 });
    assert_eq!([word(&left), word(&left[4..])], [all.sdram_bytes - 1008; 2]);
    let first = word(&ask(&mut bench, Allocate::Routes { app: APP, count: 2 }));
    assert_eq!(first, 1);
    let rows: Vec<u8> = [[0u32, 1, 0x10, 0xF0], [1, 2, 0x20, 0xF0]]
        .into_iter()
        .flatten()
        .flat_map(u32::to_le_bytes)
        .collect();
    bench.done(0, 5, 5, Call::new(Code::WRITE, [block, 32, 2]).with(&rows));
    let load = Router::Load { app: APP, count: 2, table: block, offset: first };
    bench.done(0, 5, 5, Command::Router(load).call());
    let copy = word(&bench.read(0, 5, 5, 0xF500_7FD4, 4));
    let shown = bench.read(0, 5, 5, copy + 16, 32);
    assert_eq!([word(&shown[4..]), word(&shown[8..]), word(&shown[20..])], [1, 0x10, 2]);
    let too_far = Router::Load { app: APP, count: 2, table: block, offset: 1023 };
    assert_eq!(bench.ask(0, 5, 5, Command::Router(too_far).call()).unwrap().result, ResultCode::ARG);
    assert_eq!(word(&ask(&mut bench, Allocate::FreeRoutesOf { app: APP })), 1);
    assert_eq!(word(&ask(&mut bench, Allocate::FreeSdramOf { app: APP })), 1);
    let after = ChipInfo::decode(&bench.done(0, 5, 5, Command::Info { wanted: 0 }.call())).unwrap();
    assert_eq!((after.sdram_bytes, after.free_routes), (all.sdram_bytes, all.free_routes));
}

#[test]
fn a_core_can_be_done_without() {
    let mut bench = bench();
    let remap = |core, physical| Command::Remap { core, physical }.call();
    assert_eq!(bench.read(0, 0, 0, 0xF500_7F94, 6), [1, 2, 3, 0, 4, 5]);
    assert_eq!(bench.ask(0, 0, 0, remap(3, true)).unwrap().result, ResultCode::ARG, "the monitor stays");
    bench.done(0, 0, 0, remap(4, true));
    assert_eq!(bench.read(0, 0, 0, 0xF500_7F94, 6), [1, 2, 3, 0, 255, 4]);
    assert_eq!(bench.read(0, 0, 0, 0xF500_7FBC, 1), [17]);
    let last =
        bench.ask_core(0, Endpoint::system(Chip::ROOT, Core::new(17).unwrap()), Command::Version.call());
    assert_eq!(last.unwrap().result, ResultCode::CPU);
    let one = bench.ask_core(0, Endpoint::system(Chip::ROOT, Core::new(4).unwrap()), Command::Version.call());
    let body = one.unwrap().body;
    let version = Version::decode(&body).unwrap();
    assert_eq!((version.name, version.core, version.physical_core), ("SARK", 4, 5));
}

#[test]
fn leds_are_switched() {
    let mut bench = bench();
    assert_eq!(bench.chips.leds(BoardIndex(0), 1, 1), 0, "nobody has looked at this chip");
    bench.done(0, 1, 1, Call::new(Code::LED, [0b11_01_10, 0, 0]));
    assert_eq!(bench.chips.leds(BoardIndex(0), 1, 1), 0b110);
}

fn set(bench: &mut Bench, tag: TagCommand) {
    bench.done(0, 0, 0, Command::Tag(tag).call());
}

#[test]
fn a_core_speaks_through_a_tag() {
    let mut bench = bench();
    let listener = SocketAddrV4::new(Ipv4Addr::new(127, 0, 0, 9), 5000);
    let tag = |strip, timeout| TagCommand::Set {
        tag: Some(TagId(2)),
        udp_port: 5000,
        address: *listener.ip(),
        strip,
        use_sender: false,
        timeout,
    };
    let header = Header {
        flags: Flags::NO_REPLY,
        tag: Tag(2),
        destination: Endpoint::host(Chip::ROOT),
        source: Endpoint { chip: Chip { x: 9, y: 9 }, core: Core::new(5).unwrap(), port: Port::SYSTEM },
    };
    let message = Message { header, data: b"spikes" };
    let speak = |bench: &mut Bench| {
        let mut out = Vec::new();
        bench.chips.send_sdp(bench.now, BoardIndex(1), Chip { x: 9, y: 9 }, &message, &mut out);
        out
    };
    assert_eq!(speak(&mut bench), []);
    set(&mut bench, tag(true, 0));
    let stripped = Leaving { port: 17893, to: listener, bytes: b"spikes".to_vec() };
    assert_eq!(speak(&mut bench), [(BoardIndex(0), stripped)]);
    set(&mut bench, tag(false, 1));
    let whole = speak(&mut bench);
    assert_eq!(Message::decode_datagram(&whole[0].1.bytes), Ok(message));
    let entry = bench.done(0, 0, 0, Command::Tag(TagCommand::Get { tag: TagId(2), count: 1 }).call());
    let entry = TagEntry::decode(&entry).unwrap();
    assert_eq!((entry.count, entry.timeout_ticks, entry.address), (1, 1, *listener.ip()));
    bench.wait(10);
    assert_eq!(speak(&mut bench), [], "the tag has run out");
}

#[test]
fn what_comes_in_through_a_reverse_tag_reaches_its_core() {
    let mut bench = bench();
    assert_eq!(bench.chips.ports(BoardIndex(0)), [17893, 54321]);
    let target =
        Endpoint { chip: Chip { x: 4, y: 4 }, core: Core::new(3).unwrap(), port: Port::new(1).unwrap() };
    let reverse = TagCommand::SetReverse { tag: Some(TagId(4)), udp_port: 12_345, target, strip: true };
    set(&mut bench, reverse);
    assert_eq!(bench.chips.ports(BoardIndex(0)), [12_345, 17893, 54321]);
    assert_eq!(bench.chips.poll_ports_changed(), Some(BoardIndex(0)));
    assert_eq!(bench.chips.poll_ports_changed(), None);
    assert_eq!(bench.send(0, 12_345, b"one"), [], "no tag leads back");
    assert_eq!(bench.chips.messages(BoardIndex(0), 4, 4, 3), 1);
    let back = TagCommand::Set {
        tag: Some(TagId(1)),
        udp_port: 0,
        address: Ipv4Addr::UNSPECIFIED,
        strip: true,
        use_sender: true,
        timeout: 0,
    };
    set(&mut bench, back);
    let echoed = Leaving { port: 17893, to: HOST, bytes: b"two".to_vec() };
    assert_eq!(bench.send(0, 12_345, b"two"), [(BoardIndex(0), echoed)]);
    assert_eq!(bench.send(0, 12_345, &[0; 273]), [], "too long");
    assert_eq!(bench.send(0, 12_346, b"three"), []);
    set(&mut bench, TagCommand::Clear { tag: TagId(4) });
    assert_eq!(bench.chips.poll_ports_changed(), Some(BoardIndex(0)));
    assert_eq!(bench.send(0, 12_345, b"four"), []);
    assert_eq!(
        bench.chips.messages(BoardIndex(0), 4, 4, 3),
        2,
        "what was too long or came elsewhere did not"
    );
}

#[test]
fn the_echo_core_sends_messages_back_and_other_cores_do_not() {
    let mut bench = bench();
    let send = |bench: &mut Bench, core: u8| {
        let to = Endpoint {
            chip: Chip { x: 6, y: 6 },
            core: Core::new(core).unwrap(),
            port: Port::new(2).unwrap(),
        };
        let mut bytes = Vec::new();
        let header = Header::asking(to, Chip::NEAREST);
        Message { header, data: b"hello there" }.encode_datagram([0; 2], &mut bytes);
        bench.send(0, 17893, &bytes)
    };
    let echoed = send(&mut bench, 3);
    let message = Message::decode_datagram(&echoed[0].1.bytes).unwrap();
    assert_eq!((message.data, message.header.source.chip), (&b"hello there"[..], Chip { x: 6, y: 6 }));
    assert_eq!(message.header.flags, Flags::NO_REPLY);
    assert_eq!(send(&mut bench, 5), []);
    assert_eq!(bench.chips.messages(BoardIndex(0), 6, 6, 5), 1);
}
