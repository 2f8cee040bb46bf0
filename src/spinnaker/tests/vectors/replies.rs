//! Replies: what is in them, and the same bytes again.

use super::super::super::bmp::{Rail, Status};
use super::super::super::scamp::{ChipInfo, TagEntry, TagFlags, TagTable};
use super::super::super::scp::{Reply, ResultCode};
use super::super::super::version::{Release, Version};
use super::json::Vector;
use super::{check_reply_bytes, encoded};
use crate::spinnaker::exchange::{Verdict, judge};

pub fn check(vector: &Vector) {
    let (fields, bytes) = (vector.at("fields"), vector.hex());
    check_reply_bytes(&fields, &bytes);
    let reply = Reply::decode(&bytes).unwrap();
    let name = reply.result.name().map(|name| format!("RC_{name}"));
    assert_eq!(name.as_deref(), Some(fields.text("result_name")), "{vector}");
    match vector.kind() {
        "BMPGetVersion" | "GetVersion" => check_version(vector, &fields, reply.body),
        "ReadADC" => check_status(vector, &fields, reply.body),
        "ReadFPGARegister" => assert_eq!(word(reply.body), fields.u32("value"), "{vector}"),
        "SDRAMAlloc" => assert_eq!(word(reply.body), fields.u32("base_address"), "{vector}"),
        "CountState" => assert_eq!(word(reply.body), fields.u32("count"), "{vector}"),
        "CheckOK" => check_result(vector, &fields, &reply),
        "GetChipInfo" => check_chip_info(vector, &fields, &reply),
        "IPTagGet" => check_tag(vector, &fields, reply.body),
        "IPTagGetInfo" => {
            let table = TagTable::decode(reply.body).unwrap();
            let said = ["transient_timeout", "pool_size", "fixed_size"].map(|name| fields.u8(name));
            assert_eq!([table.transient_timeout, table.pool, table.fixed], said, "{vector}");
            assert_eq!(encoded(|out| table.encode(out)), reply.body, "{vector}");
        }
        other => panic!("nobody checks {other}"),
    }
}

fn word(body: &[u8]) -> u32 {
    u32::from_le_bytes(body.try_into().unwrap())
}

fn check_version(vector: &Vector, fields: &Vector, body: &[u8]) {
    let version = Version::decode(body).unwrap();
    assert_eq!((version.name, version.hardware), (fields.text("name"), fields.text("hardware")), "{vector}");
    let places = [version.chip.x, version.chip.y, version.core];
    assert_eq!(places, ["x", "y", "p"].map(|name| fields.u8(name)), "{vector}");
    assert_eq!(version.built_s, fields.u32("build_date"), "{vector}");
    let numbers = version.release.numbers().unwrap();
    assert_eq!(numbers.to_vec(), fields.numbers("version_number"), "{vector}");
    if let Release::Words(words) = version.release {
        assert_eq!(words, fields.text("version_string"), "{vector}");
    }
    assert_eq!(encoded(|out| version.encode(out)), body, "{vector}");
}

fn check_status(vector: &Vector, fields: &Vector, body: &[u8]) {
    let status = Status::decode(body).unwrap();
    let rails = [
        (Rail::V12a, "voltage_1_2a"),
        (Rail::V12b, "voltage_1_2b"),
        (Rail::V12c, "voltage_1_2c"),
        (Rail::V18, "voltage_1_8"),
        (Rail::V33, "voltage_3_3"),
        (Rail::Supply, "voltage_supply"),
    ];
    for (rail, name) in rails {
        assert!((status.volts(rail) - fields.f64(name)).abs() < 1e-9, "{name} of {vector}");
    }
    let temperatures = [
        (status.internal[0], "temp_top"),
        (status.internal[1], "temp_btm"),
        (status.external[0], "temp_ext_0"),
        (status.external[1], "temp_ext_1"),
    ];
    for (reading, name) in temperatures {
        let said = fields.has(name).then(|| fields.f64(name));
        // That library takes a missing internal sensor for -128 degrees.
        let said = said.filter(|celsius| *celsius != -128.0);
        assert_eq!(Status::celsius(reading), said, "{name} of {vector}");
    }
    for (fan, name) in [(status.fans[0], "fan_0"), (status.fans[1], "fan_1")] {
        let said = fields.has(name).then(|| fields.f64(name));
        assert_eq!(said, (fan != Status::NO_FAN).then(|| f64::from(fan)), "{name} of {vector}");
    }
    assert_eq!(encoded(|out| status.encode(out)), body, "{vector}");
}

/// Which results are asked again: what either library does, but for those that change anything not after LEN and SUM.
fn check_result(vector: &Vector, fields: &Vector, reply: &Reply<'_>) {
    let judged = |changes_state| judge(reply, 0, changes_state, false);
    assert_eq!(judged(true) == Verdict::Answer, fields.bool("accepted"), "{vector}");
    let retried = fields.bool("retried_by_spinnman") || fields.bool("retried_by_rig");
    assert_eq!(judged(false) == Verdict::Again, retried, "{vector}");
    let spoiled = [ResultCode::LEN, ResultCode::SUM].contains(&reply.result);
    assert_eq!(judged(true) == Verdict::Again, retried && !spoiled, "{vector}");
}

fn check_chip_info(vector: &Vector, fields: &Vector, reply: &Reply<'_>) {
    let info = ChipInfo::decode(reply.body).unwrap();
    let chip = reply.header.source.chip;
    assert_eq!([chip.x, chip.y], ["x", "y"].map(|name| fields.u8(name)), "{vector}");
    assert_eq!(info.cores, fields.u8("n_cores"), "{vector}");
    let links: Vec<_> = (0..6).filter(|link| info.links >> link & 1 == 1).collect();
    assert_eq!(links, fields.numbers("working_links"), "{vector}");
    let states: Vec<_> = info.states.iter().map(|state| u32::from(state.0)).collect();
    assert_eq!(states, fields.numbers("core_states"), "{vector}");
    assert_eq!(info.ethernet, fields.bool("is_ethernet_available"), "{vector}");
    assert_eq!(info.free_routes, fields.u16("n_free_multicast_routing_entries"), "{vector}");
    assert_eq!(info.sdram_bytes, fields.u32("largest_free_sdram_block"), "{vector}");
    assert_eq!(info.system_ram_bytes, fields.u32("largest_free_sram_block"), "{vector}");
    let nearest = [info.nearest_ethernet.x, info.nearest_ethernet.y];
    assert_eq!(nearest, ["nearest_ethernet_x", "nearest_ethernet_y"].map(|name| fields.u8(name)));
    let address = (!info.address.is_unspecified()).then(|| info.address.to_string());
    let said = fields.has("ethernet_ip_address").then(|| fields.text("ethernet_ip_address").to_owned());
    assert_eq!(address, said, "{vector}");
    // That library shows the root's parent, 7, as none.
    let parent = info.parent_link.filter(|link| *link != 7);
    assert_eq!(parent, fields.has("parent_link").then(|| fields.u16("parent_link")), "{vector}");
    assert_eq!(encoded(|out| info.encode(out)), reply.body, "{vector}");
}

fn check_tag(vector: &Vector, fields: &Vector, body: &[u8]) {
    let entry = TagEntry::decode(body).unwrap();
    assert_eq!(entry.address.octets().to_vec(), fields.bytes("ip_address"), "{vector}");
    assert_eq!(entry.mac.to_vec(), fields.bytes("mac_address"), "{vector}");
    let numbers = [entry.udp_port, entry.timeout_ticks, entry.flags.0, entry.receive_udp_port];
    assert_eq!(numbers, ["port", "timeout", "flags", "rx_port"].map(|name| fields.u16(name)), "{vector}");
    let flags = [
        (TagFlags::VALID, "in_use"),
        (TagFlags::TRANSIENT, "is_temporary"),
        (TagFlags::ARP, "is_arp"),
        (TagFlags::REVERSE, "is_reverse"),
        (TagFlags::STRIP, "strip_sdp"),
    ];
    for (flag, name) in flags {
        assert_eq!(entry.flags.has(flag), fields.bool(name), "{name} of {vector}");
    }
    assert_eq!(entry.count, fields.u32("count"), "{vector}");
    let (to, said) = (entry.target, ["spin_chip_x", "spin_chip_y", "spin_cpu", "spin_port"]);
    let place = [to.chip.x, to.chip.y, to.core.number(), to.port.number()];
    assert_eq!(place, said.map(|name| fields.u8(name)), "{vector}");
    assert_eq!(encoded(|out| entry.encode(out)), body, "{vector}");
}
