//! The conversation that the firmware's own code had, replayed in order.

use super::*;
use crate::spinnaker::bmp::{IpSettings, IpTable, Restarts, Status};
use crate::spinnaker::tests::vectors::check_exchange;
use crate::spinnaker::tests::vectors::json::{Vector, load};
use std::collections::BTreeSet;

const FILE: &str = "firmware_bmp";

/// Of all vectors, those that cannot be matched, by their ids, and why.
const UNMATCHED: [(&str, &str); 0] = [];

#[test]
fn every_exchange_of_the_firmware_is_had_here_too() {
    let vectors = load(FILE);
    let [setup, exchanges @ .., state] = vectors.as_slice() else { panic!("{FILE}") };
    assert_eq!((setup.kind(), exchanges.len(), state.kind()), ("Setup", 285, "State"));
    let mut bench = Bench::new(spec_of(&setup.at("fields")));
    assert!((0..Board::COUNT).all(|number| !bench.frame.is_on(board(number))), "{}", setup.kind());
    let wrong: Vec<String> =
        exchanges.iter().filter_map(|vector| exchange(&mut bench, vector).err()).collect();
    assert_eq!(wrong.len(), UNMATCHED.len(), "{}", wrong.join("\n"));
    assert_state(&bench.frame, &state.at("fields"));
}

/// What the one who made the vectors chose.
fn spec_of(fields: &Vector) -> FrameSpec {
    let [present, absent] = ["boards_present", "boards_absent"].map(|name| fields.numbers(name));
    let present: Boards = present.iter().map(|number| board(*number as u8)).collect();
    assert!(absent.iter().all(|number| !present.has(board(*number as u8))));
    assert_eq!(fields.u32("hardware_version"), HARDWARE);
    let serial: Vec<u32> = fields.text("serial_words").split(", ").map(leading_number).collect();
    let first = leading_number(fields.text("uninitialised_vector").trim_start_matches("words "));
    let sensors = fields.at("adc");
    let of_each = |board: Board| (board, status_of(&sensors.at(&board.number().to_string())));
    FrameSpec {
        ethernet_board: board(fields.u8("reached_over_ethernet")),
        build_unix_s: fields.u32("build_date"),
        code_block: fields.u8("code_block"),
        serial: serial.try_into().unwrap(),
        restarts: Restarts(std::array::from_fn(|word| first + word as u32)),
        sensors: present.iter().map(of_each).collect(),
        networks: present.iter().map(|board| (board, network_of(fields))).collect(),
        fpgas_outlive_power: true,
        ..FrameSpec::new(fields.u8("frame_id"), present)
    }
}

/// The number that a text starts with.
fn leading_number(text: &str) -> u32 {
    let digits = text.trim_start_matches("0x").split(' ').next().unwrap();
    u32::from_str_radix(digits, 16).unwrap()
}

fn status_of(fields: &Vector) -> Status {
    let signed = |name: &str| fields.integers(name).iter().map(|number| *number as i16).collect::<Vec<_>>();
    let unsigned = |name: &str| fields.integers(name).iter().map(|number| *number as u16).collect::<Vec<_>>();
    Status {
        voltages: unsigned("adc").try_into().unwrap(),
        internal: signed("t_int").try_into().unwrap(),
        external: signed("t_ext").try_into().unwrap(),
        fans: unsigned("fan").try_into().unwrap(),
        warnings: fields.u32("warning"),
        shutdown: fields.u32("shutdown"),
    }
}

/// Hardware address, gateway and mask are not told, but are those of every reply.
fn network_of(fields: &Vector) -> IpTable {
    let port = |name: &str, flags| IpSettings {
        flags,
        mac: [2, 0, 0, 0, 0, 1],
        address: fields.text(name).parse().unwrap(),
        gateway: Ipv4Addr::new(192, 168, 240, 254),
        mask: Ipv4Addr::new(255, 255, 255, 0),
        udp_port: SCP_UDP_PORT,
        unused: [0; 10],
    };
    IpTable { bmp: port("bmp_ip", 0x8000), spinnaker: port("spinnaker_ip", 0x8059) }
}

/// One exchange; what is wrong, if anything is.
fn exchange(bench: &mut Bench, vector: &Vector) -> Result<(), String> {
    check_exchange(FILE, vector);
    bench.send(&vector.hex());
    bench.settle();
    let (left, said) = (std::mem::take(&mut bench.out), vector.at("fields").at("reply"));
    match left.as_slice() {
        [] if said.is_null() => Ok(()),
        [leaving] if !said.is_null() => {
            assert_eq!((leaving.port, leaving.to), (SCP_UDP_PORT, HOST));
            compare(&leaving.bytes, &said).map_err(|wrong| format!("{vector}: {wrong}"))
        }
        other => Err(format!("{vector}: {} replies", other.len())),
    }
}

/// Holds a reply to what was said, but for the bytes that depend on chance.
fn compare(bytes: &[u8], said: &Vector) -> Result<(), String> {
    let ranges: Vec<_> = said.list("not_compared").map(|range| range.item_u8(0)..range.item_u8(1)).collect();
    let expected = said.bytes("hex");
    let compared = |at: &usize| !ranges.iter().any(|range| range.contains(&(*at as u8)));
    assert!(ranges.iter().all(|range| usize::from(range.end) <= expected.len()));
    let differing = (0..expected.len()).filter(compared).find(|at| expected.get(*at) != bytes.get(*at));
    assert!((8..16).contains(&bytes[3]), "{} is no tag for replies", bytes[3]);
    match differing {
        None if expected.len() == bytes.len() => Ok(()),
        _ => Err(format!("{bytes:02x?} instead of {expected:02x?}, differs at {differing:?}")),
    }
}

/// How it must have ended.
fn assert_state(frame: &Frame, fields: &Vector) {
    let on: BTreeSet<u32> = fields.numbers("powered_on").into_iter().collect();
    let all = || (0..Board::COUNT).map(board);
    let found: BTreeSet<u32> =
        all().filter(|board| frame.is_on(*board)).map(|board| board.number().into()).collect();
    assert_eq!(found, on);
    let leds: Vec<u32> = all().map(|board| frame.leds(board).into()).collect();
    assert_eq!(leds, fields.numbers("led_bits"));
}
