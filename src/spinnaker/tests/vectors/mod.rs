//! Every vector in `tests/vectors/spinnaker` is read, in both directions where it has two, and counted. A kind that nobody
//! checks fails, unless it stands in the list of what is left. What the firmware of BMPs answers is held against the frames of
//! `simulator` instead, packets and all.

mod eieio;
pub(crate) mod json;
mod replies;
mod requests;
mod tables;

use super::super::boot::{self, Opcode};
use super::super::ip_address::Hello;
use super::super::scp::{Reply, Request};
use super::super::sdp::{Chip, Endpoint, Flags, Header, Message, Tag};
use super::super::system_variables::SystemVariables;
use super::super::{bmp, scamp, sdp};
use json::{Vector, load};
use std::collections::{BTreeMap, BTreeSet};

/// All files, and how many vectors each has.
const FILES: [(&str, usize); 12] = [
    ("bmp_requests", 197),
    ("boot", 30),
    ("eieio_commands", 66),
    ("eieio_data", 110),
    ("enums", 35),
    ("firmware_scamp", 312),
    ("responses", 212),
    ("rig_requests", 85),
    ("scamp_requests", 264),
    ("sdp", 70),
    ("system_variables", 13),
    ("transcripts", 30),
];

/// What a check found.
enum Checked {
    /// All that the vector says holds.
    Wholly,
    /// Its bytes hold both ways; how a board behaves is for a simulator to show.
    BytesOnly,
    /// Nothing in it is a packet.
    NoPacket,
}

/// What is in no packet: how a firmware was set up and ended, and numbers that live in the memory of chips.
const NO_PACKETS: [&str; 7] = [
    "firmware_scamp Setup",
    "enums MailboxCommand",
    "enums P2PTableRoute",
    "enums RunTimeError",
    "enums SDP_PORTS",
    "enums SDP_RUNNING_MESSAGE_CODES",
    "enums rig.P2PTableEntry",
];

#[test]
fn every_vector_is_held_to() {
    let (mut wholly, mut bytes_only, mut none) = (0, 0, BTreeMap::<String, usize>::new());
    for (file, count) in FILES {
        let vectors = load(file);
        assert_eq!(vectors.len(), count, "{file}");
        for vector in &vectors {
            match check(file, vector) {
                Checked::Wholly => wholly += 1,
                Checked::BytesOnly => bytes_only += 1,
                Checked::NoPacket => *none.entry(format!("{file} {}", vector.kind())).or_default() += 1,
            }
        }
    }
    let skipped: usize = none.values().sum();
    println!("vectors held to: {wholly} wholly, {bytes_only} by their bytes, {skipped} are no packets");
    let left: BTreeSet<_> = none.keys().map(String::as_str).collect();
    assert_eq!(left, NO_PACKETS.into_iter().collect());
    assert_eq!((wholly, bytes_only, skipped), (1106, 311, 7));
    assert_eq!(wholly + bytes_only + skipped, 1424);
}

fn check(file: &str, vector: &Vector) -> Checked {
    if NO_PACKETS.contains(&format!("{file} {}", vector.kind()).as_str()) {
        return Checked::NoPacket;
    }
    match (file, vector.op()) {
        ("bmp_requests" | "scamp_requests" | "rig_requests", "encode") => requests::check(vector),
        ("responses", "decode") => replies::check(vector),
        ("sdp", "roundtrip") => check_message(vector),
        ("sdp", "encode") => check_sent_message(vector),
        ("eieio_data", "roundtrip") => eieio::check_data(vector),
        ("eieio_commands", "encode" | "decode") => eieio::check_command(vector),
        ("boot", _) => check_boot(vector),
        ("system_variables", "table") => tables::check_system_variables(vector),
        ("system_variables", "encode") => check_variables(vector),
        ("enums", "table") => tables::check(vector),
        // `exchange::tests` replays them.
        ("transcripts", "transcript") => check_transcript(vector),
        ("firmware_scamp", "exchange") => {
            check_exchange(file, vector);
            return Checked::BytesOnly;
        }
        other => panic!("nobody checks {other:?} {}", vector.kind()),
    }
    Checked::Wholly
}

fn endpoint(fields: &Vector, side: &str) -> Endpoint {
    let at = |name: &str| fields.u8(&format!("{side}_{name}"));
    Endpoint {
        chip: Chip { x: at("x"), y: at("y") },
        core: sdp::Core::new(at("cpu")).unwrap(),
        port: sdp::Port::new(at("port")).unwrap(),
    }
}

/// A header as a vector describes it.
fn header(fields: &Vector) -> Header {
    Header {
        flags: Flags(fields.u8("flags")),
        tag: Tag(fields.u8("tag")),
        destination: endpoint(fields, "dest"),
        source: endpoint(fields, "src"),
    }
}

fn encoded(encode: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::new();
    encode(&mut out);
    out
}

fn check_message(vector: &Vector) {
    let (fields, bytes) = (vector.at("fields"), vector.hex());
    let data = fields.bytes("data");
    let message = Message { header: header(&fields), data: &data };
    assert_eq!(Message::decode(&bytes), Ok(message), "{vector}");
    assert_eq!(encoded(|out| message.encode(out)), bytes, "{vector}");
}

fn check_sent_message(vector: &Vector) {
    let (fields, bytes) = (vector.at("fields"), vector.hex());
    let data = fields.bytes("data");
    let chip = vector.at("connection_chip");
    let asked = header(&vector.at("asked"));
    let sent = asked.sent_through(Chip { x: chip.item_u8(0), y: chip.item_u8(1) });
    assert_eq!(sent, header(&fields), "{vector}");
    let message = Message { header: sent, data: &data };
    assert_eq!(encoded(|out| message.encode_datagram([0; 2], out)), bytes, "{vector}");
    assert_eq!(Message::decode_datagram(&bytes), Ok(message), "{vector}");
}

fn check_boot(vector: &Vector) {
    let fields = vector.at("fields");
    match vector.kind() {
        "SpinnakerBootMessage" => {
            let message = boot::Message {
                opcode: Opcode(fields.u32("opcode")),
                operands: [fields.u32("operand_1"), fields.u32("operand_2"), fields.u32("operand_3")],
                // Vectors of messages have their data as it is sent, we in the order of the image.
                data: fields.bytes("data").chunks(4).flat_map(|word| word.iter().rev().copied()).collect(),
            };
            assert_eq!(encoded(|out| message.encode(out)), vector.hex(), "{vector}");
            assert_eq!(boot::Message::decode(&vector.hex()), Ok(message), "{vector}");
        }
        "Hello" => {
            let hello = Hello { rom_version: fields.u32("operand_1") };
            assert_eq!(Hello::decode(&vector.hex()), Ok(hello), "{vector}");
            assert_eq!(encoded(|out| hello.encode(out)), vector.hex(), "{vector}");
        }
        "BootSequence" => check_boot_sequence(vector, &fields),
        other => panic!("nobody checks {other}"),
    }
}

fn check_boot_sequence(vector: &Vector, fields: &Vector) {
    let mut variables =
        SystemVariables::for_boot(fields.u8("hardware_version"), fields.u32("unix_time"), fields.u32("led0"));
    // Where the defaults of that library differ from ours.
    for (name, value) in [
        ("link_peek_timeout_microseconds", 100),
        ("nearest_neighbour_delay_us", 10),
        ("software_watchdog_count", 3),
        ("sdram_heap_address", 0x10_0000),
    ] {
        variables.set(name, value).unwrap();
    }
    let messages = boot::messages(&fields.bytes("image"), &variables).unwrap();
    let datagrams: Vec<_> = messages.iter().map(|message| encoded(|out| message.encode(out))).collect();
    assert_eq!(datagrams, fields.list("datagrams").map(|item| item.as_bytes()).collect::<Vec<_>>());
    for (message, datagram) in messages.iter().zip(&datagrams) {
        assert_eq!(boot::Message::decode(datagram).as_ref(), Ok(message), "{vector}");
    }
}

fn check_variables(vector: &Vector) {
    let mut variables = SystemVariables::default();
    let changed = vector.at("fields").at("changed");
    for (name, value) in changed.entries() {
        variables.set(&name, value).unwrap();
    }
    assert_eq!(tables::as_that_library_writes(&variables), vector.hex(), "{vector}");
    let read = SystemVariables::of_bytes(*variables.bytes());
    assert!(changed.entries().all(|(name, value)| read.value(&name) == Some(value)), "{vector}");
}

/// Any request and any reply, as bytes and back, through the meaning of the request.
pub(crate) fn check_exchange(file: &str, vector: &Vector) {
    let bytes = vector.hex();
    match Request::decode(&bytes) {
        Ok(request) => check_request_bytes(file, &request, &bytes),
        // Firmware calls it too short, or too long, as well: a refusal or silence.
        Err(_) => {
            let reply = vector.at("fields").at("reply");
            assert!(reply.is_null() || reply.u32("result") == 0x81, "{vector}");
        }
    }
    for name in ["reply", "reply_4_0_0"] {
        let reply = vector.at("fields").at(name);
        if !reply.is_null() {
            check_reply_bytes(&reply, &reply.bytes("hex"));
        }
    }
}

fn check_request_bytes(file: &str, request: &Request<'_>, bytes: &[u8]) {
    assert_eq!(encoded(|out| request.encode(out))[2..], bytes[2..]);
    let again = match file {
        "firmware_bmp" | "bmp_requests" => bmp::Command::of(request.call).call(),
        _ => scamp::Command::of(request.call).call(),
    };
    assert_eq!(again, request.call);
}

/// A reply is what the vector says, and the same bytes again, padding and all.
fn check_reply_bytes(fields: &Vector, bytes: &[u8]) {
    let reply = Reply::decode(bytes).unwrap();
    assert_eq!(reply.header, header(&fields.at("sdp")));
    assert_eq!((reply.result.0, reply.sequence.0), (fields.u16("result"), fields.u16("sequence")));
    assert_eq!(reply.body, fields.bytes("data"));
    assert_eq!(encoded(|out| reply.encode([bytes[0], bytes[1]], out)), bytes);
}

/// The datagrams of a transcript, as packets.
fn check_transcript(vector: &Vector) {
    for datagram in vector.at("fields").list("datagrams") {
        let bytes = datagram.bytes("hex");
        let request = Request::decode(&bytes).unwrap();
        assert_eq!(request.sequence.0, datagram.u16("sequence"), "{vector}");
        check_request_bytes("transcripts", &request, &bytes);
        for answer in datagram.list("answers") {
            let bytes = answer.bytes("hex");
            match Reply::decode(&bytes) {
                Ok(reply) => assert_eq!(encoded(|out| reply.encode([bytes[0], bytes[1]], out)), bytes),
                Err(_) => assert!(bytes.len() < 14, "{vector}"),
            }
        }
    }
}
