//! Boards that wake: alone, three at once, all of a torus; and what is left when power or a link goes.

use super::super::*;
use super::hosts::{Bench, HOST};
use crate::allocator::geometry::Geometry;
use crate::allocator::torus::Torus;
use crate::spinnaker::scamp::ChipInfo;
use crate::spinnaker::scp::{Call, CommandCode as Code, ResultCode};
use crate::spinnaker::version::Version;
use crate::spinnaker::{boot, ip_address, system_variables};
use serde_json::Value;
use std::net::SocketAddrV4;
use std::path::Path;

const VERSION: Call<'static> = Call::new(Code::VER, [0; 3]);
const INFO: Call<'static> = Call::new(Code::INFO, [0x5F, 0, 0]);

fn spec(width: u32, height: u32, boards: &[u32]) -> ChipsSpec {
    let mut spec = ChipsSpec::whole(width, height, Ipv4Addr::new(127, 1, 0, 1));
    spec.present.retain(|(board, _)| boards.contains(&board.0));
    spec
}

/// The whole boots of the vectors: their images and datagrams.
fn sequences() -> Vec<(Vec<u8>, Vec<Vec<u8>>)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/spinnaker/boot.json");
    let value: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let bytes = |value: &Value| {
        let text = value.as_str().unwrap().to_owned();
        (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
    };
    let whole = value["vectors"].as_array().unwrap().iter().filter(|vector| vector["kind"] == "BootSequence");
    whole
        .map(|vector| {
            let fields = &vector["fields"];
            (bytes(&fields["image"]), fields["datagrams"].as_array().unwrap().iter().map(bytes).collect())
        })
        .collect()
}

#[test]
fn a_board_says_hello_until_it_is_booted() {
    let mut bench = Bench::powered(spec(1, 1, &[0]));
    let everybody = SocketAddrV4::new(Ipv4Addr::new(127, 255, 255, 255), 54321);
    let hellos = bench.wait(2 * 4096);
    let said: Vec<_> = hellos.iter().map(|(_, hello)| (hello.port, hello.to, hello.bytes.len())).collect();
    assert_eq!(said, [(54321, everybody, 18); 2]);
    assert_eq!(ip_address::Hello::decode(&hellos[0].1.bytes).unwrap().rom_version, 0x0201_0000);
    let mut start = Vec::new();
    boot::Message::new(boot::Opcode::START, [0, 0, 40]).encode(&mut start);
    assert!(bench.send(0, 54321, &start).is_empty());
    assert_eq!(bench.wait(4096).first().map(|(_, hello)| hello.to), Some(HOST));
    bench.chips.set_power(bench.now, BoardIndex(0), false);
    bench.chips.set_power(bench.now, BoardIndex(0), true);
    assert_eq!(bench.wait(4096 + 100).len(), 1, "one hello at a time, after a while");
    bench.boot(0);
    assert!(bench.wait(60_000).is_empty());
}

#[test]
fn made_up_images_boot() {
    for (image, datagrams) in sequences() {
        let mut bench = Bench::powered(spec(1, 1, &[0]));
        assert!(bench.ask(0, 255, 255, VERSION).is_none(), "a ROM does not answer");
        // Twice over, but for the control: what came before is passed over.
        let (control, blocks) = datagrams.split_last().unwrap();
        for datagram in blocks.iter().chain(blocks).chain([control]) {
            assert!(bench.send(0, 54321, datagram).is_empty());
        }
        assert!(bench.ask(0, 255, 255, VERSION).is_none(), "not at once");
        bench.wait(200);
        let body = bench.done(0, 255, 255, VERSION);
        assert_eq!(Version::decode(&body).unwrap().chip, Chip::NEAREST, "it wakes");
        assert_eq!(bench.ask(0, 3, 3, VERSION).unwrap().result, ResultCode::ROUTE);
        assert!(!bench.chips.is_booted(BoardIndex(0)));
        bench.wait(2000);
        let version = bench.done(0, 255, 255, VERSION);
        let version = Version::decode(&version).unwrap();
        assert_eq!((version.chip, version.name), (Chip::ROOT, "SC&MP"));
        let read = bench.read(0, 7, 7, system_variables::ADDRESS, 128);
        let sent = {
            let mut image = image.clone();
            let variables = datagrams[1..datagrams.len() - 1]
                .iter()
                .flat_map(|datagram| boot::Message::decode(datagram).unwrap().data.into_owned());
            image = variables.take(image.len()).collect();
            boot_rom::variables(&image)
        };
        // Hardware version, LEDs, seed: what SC&MP leaves as the host sent it.
        for kept in [10..11, 12..16, 48..56, 92..96] {
            assert_eq!(read[kept.clone()], sent[kept]);
        }
    }
}

/// The table of routes as a host reads it: the link towards each chip.
fn table(bench: &mut Bench, board: u32, at: Chip, width: u32, height: u32) -> Vec<Vec<u8>> {
    let column = |bench: &mut Bench, x: u32| -> Vec<u8> {
        let bytes = bench.read(board, at.x, at.y, 0xE101_0000 + 128 * x, 128);
        let words = bytes.as_chunks::<4>().0.iter().map(|word| u32::from_le_bytes(*word));
        words
            .flat_map(|word| (0..8).map(move |entry| (word >> (3 * entry) & 7) as u8))
            .take(height as usize)
            .collect()
    };
    (0..width).map(|x| column(bench, x)).collect()
}

/// Boots from the lowest board and holds all a host can read of the machine against the geometry of a job with these boards.
fn check(width: u32, height: u32, boards: &[u32]) {
    let torus = Torus { width, height };
    let indices: Vec<_> = boards.iter().copied().map(BoardIndex).collect();
    let geometry = Geometry::new(torus, &indices).unwrap();
    let mut bench = Bench::booted(spec(width, height, boards), boards[0]);
    let sizes = bench.read(boards[0], 0, 0, system_variables::ADDRESS + 2, 2);
    assert_eq!([u32::from(sizes[1]), u32::from(sizes[0])], [geometry.width_chips, geometry.height_chips]);
    let from = Chip { x: 3, y: 5 };
    let routes = table(&mut bench, boards[0], from, geometry.width_chips, geometry.height_chips);
    for (x, y) in (0..geometry.width_chips).flat_map(|x| (0..geometry.height_chips).map(move |y| (x, y))) {
        let chip = geometry.board_at_job_chip(x.into(), y.into());
        let route = routes[x as usize][y as usize];
        let Some((board, on_board)) = chip else {
            assert_eq!(route, 6, "{x},{y} is not there");
            continue;
        };
        assert_eq!(route == 7, (x, y) == (3, 5));
        if (x + 3 * y) % 7 > 0 {
            continue;
        }
        assert_eq!(length(&mut bench, boards[0], &geometry, from, (x, y)), distance(&geometry, from, (x, y)));
        let heard = bench.ask(boards[0], x as u8, y as u8, INFO).unwrap();
        assert_eq!(heard.header.source.chip, Chip { x: x as u8, y: y as u8 });
        let info = ChipInfo::decode(&heard.body).unwrap();
        let ethernet = geometry.job_chip(board, crate::allocator::torus::Chip::default());
        assert_eq!(
            (u32::from(info.nearest_ethernet.x), u32::from(info.nearest_ethernet.y)),
            (ethernet.x, ethernet.y)
        );
        assert_eq!(info.ethernet, on_board == crate::allocator::torus::Chip::default());
        assert_eq!(info.parent_link == Some(7), (x, y) == (0, 0), "the root has no parent");
        for link in Link::ALL {
            let (dx, dy) = link.chip_vector();
            let there = neighbour(&geometry, (x, y), (dx, dy)).is_some();
            assert_eq!(info.links >> link.number() & 1 == 1, there, "{x},{y} {link:?}");
        }
    }
    for (ethernet, index) in geometry.connections() {
        let version = bench.done(index.0, 255, 255, VERSION);
        assert_eq!(Version::decode(&version).unwrap().chip, Chip::ROOT, "255,255 is the root's");
        let info = bench.done(index.0, ethernet.x as u8, ethernet.y as u8, INFO);
        let address = ChipInfo::decode(&info).unwrap().address;
        assert_eq!(u32::from(address), u32::from(Ipv4Addr::new(127, 1, 0, 1)) + index.0);
    }
}

/// The chip of the job behind a link, if it has one there.
fn neighbour(geometry: &Geometry, (x, y): (u32, u32), (dx, dy): (i8, i8)) -> Option<(u32, u32)> {
    let step = |at: u32, by: i8, size: u32, wraps: bool| {
        let next = i64::from(at) + i64::from(by);
        if wraps {
            Some(next.rem_euclid(size.into()) as u32)
        } else {
            u32::try_from(next).ok().filter(|next| *next < size)
        }
    };
    let next = (
        step(x, dx, geometry.width_chips, geometry.wraps.x)?,
        step(y, dy, geometry.height_chips, geometry.wraps.y)?,
    );
    geometry.board_at_job_chip(next.0.into(), next.1.into()).map(|_| next)
}

/// How far it is from one chip of a job to another, found from the geometry alone.
fn distance(geometry: &Geometry, from: Chip, to: (u32, u32)) -> u32 {
    let (mut seen, mut ring, mut steps) =
        (BTreeSet::new(), BTreeSet::from([(u32::from(from.x), u32::from(from.y))]), 0);
    while !ring.contains(&to) {
        seen.extend(ring.iter().copied());
        let next =
            ring.iter().flat_map(|chip| Link::ALL.map(|link| neighbour(geometry, *chip, link.chip_vector())));
        ring = next.flatten().filter(|chip| !seen.contains(chip)).collect();
        steps += 1;
        assert!(!ring.is_empty(), "{to:?} is out of reach");
    }
    steps
}

/// How many links a message goes along that follows the tables, chip by chip.
fn length(bench: &mut Bench, board: u32, geometry: &Geometry, from: Chip, to: (u32, u32)) -> u32 {
    let (mut at, mut steps) = ((u32::from(from.x), u32::from(from.y)), 0);
    while at != to {
        let word = 32 * to.0 + to.1 / 8;
        let bytes = bench.read(board, at.0 as u8, at.1 as u8, 0xE101_0000 + 4 * word, 4);
        let route = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]) >> (3 * (to.1 % 8)) & 7;
        let link = Link::from_number(route).expect("a link");
        at = neighbour(geometry, at, link.chip_vector()).expect("a chip");
        steps += 1;
        assert!(steps < 200, "in circles");
    }
    steps
}

#[test]
fn one_board() {
    check(3, 3, &[0]);
}

#[test]
fn three_boards_that_do_not_close() {
    check(3, 3, &[12, 13, 14]);
}

#[test]
fn three_boards_that_close_on_themselves() {
    check(1, 1, &[0, 1, 2]);
}

#[test]
fn a_row_that_closes_one_way() {
    check(2, 2, &[0, 1, 2, 6, 7, 8]);
}

#[test]
fn a_torus_of_twelve_boards() {
    check(2, 2, &(0..12).collect::<Vec<_>>());
}

#[test]
fn a_root_that_is_not_the_lowest_board() {
    let mut bench = Bench::booted(spec(3, 3, &[12, 13, 14]), 13);
    let version = bench.done(14, 255, 255, VERSION);
    assert_eq!(Version::decode(&version).unwrap().chip, Chip { x: 8, y: 4 });
    let root = bench.read(12, 0, 0, system_variables::ADDRESS + 46, 2);
    assert_eq!(root, [4, 8]);
}

#[test]
fn a_board_without_power_leaves_the_rest_running() {
    let mut bench = Bench::booted(spec(3, 3, &[12, 13, 14]), 12);
    assert!(bench.ask(12, 9, 5, INFO).is_some());
    bench.chips.set_power(bench.now, BoardIndex(13), false);
    assert!(bench.ask(13, 255, 255, VERSION).is_none());
    assert_eq!(bench.ask(12, 9, 5, INFO).unwrap().result, ResultCode::P2P_NOREPLY);
    assert_eq!(bench.ask(12, 5, 9, INFO).unwrap().result, ResultCode::OK);
    bench.chips.set_power(bench.now, BoardIndex(13), true);
    assert!(bench.ask(13, 255, 255, VERSION).is_none());
    bench.boot(13);
    let version = bench.done(13, 255, 255, VERSION);
    assert_eq!(Version::decode(&version).unwrap().chip, Chip::ROOT, "a machine of its own");
    assert_eq!(bench.ask(12, 9, 5, INFO).unwrap().result, ResultCode::P2P_NOREPLY);
}

#[test]
fn stopped_links_part_machines_and_cut_those_that_run() {
    let mut parted = Bench::powered(spec(3, 3, &[12, 13, 14]));
    for link in Link::ALL {
        parted.chips.set_stop(BoardIndex(12), link, true);
    }
    parted.boot(12);
    assert!(!parted.chips.is_booted(BoardIndex(13)));
    parted.boot(13);
    assert!(parted.chips.is_booted(BoardIndex(14)), "the other two hang together");
    assert_eq!(parted.ask(12, 9, 5, INFO).unwrap().result, ResultCode::ROUTE);

    let mut cut = Bench::booted(spec(3, 3, &[12, 13, 14]), 12);
    for link in Link::ALL {
        cut.chips.set_stop(BoardIndex(12), link, true);
    }
    assert_eq!(cut.ask(12, 9, 5, INFO).unwrap().result, ResultCode::P2P_NOREPLY);
    let read = Call::new(Code::LINK_READ, [0x6000_0000, 4, 0]);
    assert_eq!(cut.ask(12, 4, 0, read).unwrap().result, ResultCode::TIMEOUT);
    for link in Link::ALL {
        cut.chips.set_stop(BoardIndex(12), link, false);
    }
    assert_eq!(cut.ask(12, 9, 5, INFO).unwrap().result, ResultCode::OK);
    assert_eq!(cut.ask(12, 4, 0, read).unwrap().result, ResultCode::TIMEOUT, "no board there");
    assert_eq!(cut.ask(12, 7, 4, read).unwrap().result, ResultCode::OK);
}

#[test]
fn dead_chips_and_links_are_gone_around() {
    let mut spec = spec(3, 3, &[12, 13, 14]);
    spec.dead_chips = vec![(BoardIndex(12), 1, 1)];
    spec.dead_links = vec![(BoardIndex(13), Link::SouthWest)];
    let mut bench = Bench::booted(spec, 12);
    assert_eq!(bench.ask(12, 1, 1, INFO).unwrap().result, ResultCode::ROUTE);
    let info = ChipInfo::decode(&bench.done(12, 0, 0, INFO)).unwrap();
    assert_eq!(info.links, 0b101);
    let info = ChipInfo::decode(&bench.done(12, 8, 4, INFO)).unwrap();
    assert_eq!(info.links & 0b11_1000, 0, "the way to the first board is dead");
}
