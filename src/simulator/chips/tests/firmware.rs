//! The conversation with the firmware's own code, replayed against the simulated chips.
//!
//! What lay under that code was a stand-in, which differs from a machine in two things. They are left out here, by name,
//! and held against the geometry or the firmware's source in other tests:
//!
//! - `chip info of ...`: the working links were all six and the parent's link was 7, for every chip;
//! - `get the fixed route`: a route was kept with bits above 23, which stand for no link and no core.

use super::hosts::{Bench, HOST};
use crate::allocator::BoardIndex;
use crate::simulator::chips::{ChipsSpec, Dialect, Firmware};
use crate::spinnaker::SCP_UDP_PORT;
use crate::spinnaker::scamp::CoreState;
use crate::spinnaker::scp::{Call, CommandCode};
use serde_json::Value;
use std::net::Ipv4Addr;
use std::path::Path;

fn vectors() -> Vec<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/spinnaker/firmware_scamp.json");
    let value: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    value["vectors"].as_array().unwrap().clone()
}

fn unhex(value: &Value) -> Vec<u8> {
    let text = value.as_str().unwrap();
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

/// A board as the first vector says it is. Its cores are of the application that is counted, and idle.
fn board(setup: &Value, dialect: Dialect) -> Bench {
    let number = |name: &str| setup[name].as_u64().unwrap() as u32;
    let mut bench = Bench::booted(
        ChipsSpec {
            present: vec![(BoardIndex(0), Ipv4Addr::LOCALHOST)],
            scamp: Firmware { dialect, release: [4, 0, 0], built_unix_s: number("build_date") },
            monitor_core: number("physical_core_of_monitor") as u8,
            sdram_heap_bytes: number("free_sdram"),
            system_ram_heap_bytes: number("free_sysram"),
            gateway_mac: [0x22; 6],
            started: CoreState::IDLE,
            ..ChipsSpec::default()
        },
        0,
    );
    for chip in setup["chips"].as_array().unwrap() {
        let [x, y] = [0, 1].map(|at| chip[at].as_u64().unwrap() as u8);
        let start = 30 << 24 | 0x3_FFFE;
        bench.done(0, x, y, Call::new(CommandCode::AR, [start, 0, 0]));
        for piece in (0..4096u32).step_by(256) {
            let byte = |at: u32| (7 * at + 13 * u32::from(x) + 29 * u32::from(y)) as u8;
            let data: Vec<u8> = (piece..piece + 256).map(byte).collect();
            let call = Call::new(CommandCode::WRITE, [0x6000_0000 + piece, 256, 0]);
            bench.done(0, x, y, call.with(&data));
        }
    }
    bench
}

/// The bytes of a reply that the stand-in under the firmware, or its stack, made up: ranges of the datagram.
fn not_compared(vector: &Value, reply: &Value) -> Vec<std::ops::Range<usize>> {
    let range = |range: &Value| {
        let [start, end] = [0, 1].map(|at| range[at].as_u64().unwrap() as usize);
        start..end
    };
    let mut ranges: Vec<_> = reply["not_compared"].as_array().unwrap().iter().map(range).collect();
    let description = vector["description"].as_str().unwrap();
    if description.starts_with("chip info of") {
        ranges.extend([15..16, 50..52]);
    }
    if description == "get the fixed route" {
        ranges.push(17..18);
    }
    ranges
}

fn replay(dialect: Dialect) {
    let vectors = vectors();
    let mut bench = board(&vectors[0]["fields"], dialect);
    let mut wrong = Vec::new();
    for vector in &vectors[1..] {
        let fields = &vector["fields"];
        let masked = fields.get("reply_4_0_0").filter(|_| dialect == Dialect::Masked);
        let expected = masked.unwrap_or(&fields["reply"]);
        let mut out = bench.send(0, SCP_UDP_PORT, &unhex(&vector["hex"]));
        out.extend(bench.wait(if out.is_empty() { 10 } else { 0 }));
        let heard: Vec<_> = out.iter().map(|(_, leaving)| leaving).collect();
        let agrees = match (&heard[..], expected.is_null()) {
            ([], true) => true,
            ([heard], false) => {
                let (mut mine, mut theirs) = (heard.bytes.clone(), unhex(&expected["hex"]));
                let blank = |bytes: &mut Vec<u8>| {
                    for range in not_compared(vector, expected) {
                        bytes.iter_mut().take(range.end).skip(range.start).for_each(|byte| *byte = 0);
                    }
                };
                blank(&mut mine);
                blank(&mut theirs);
                mine == theirs && (heard.to, heard.port) == (HOST, SCP_UDP_PORT)
            }
            _ => false,
        };
        if !agrees {
            wrong.push(format!("{} {}: {heard:02x?}", vector["id"], vector["description"]));
        }
    }
    assert_eq!(vectors.len(), 312);
    assert!(wrong.is_empty(), "{} of 311:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn answers_as_the_firmware_does_with_its_codes() {
    replay(Dialect::Codes);
}

#[test]
fn answers_as_4_0_0_does() {
    replay(Dialect::Masked);
}
