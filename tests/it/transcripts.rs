//! Conversations that real clients had with the real server, held again with ours. A server is judged by the
//! `accept` rule of each answer only.

use crate::house::{House, LAB, Ticking};
use crate::socket::Socket;
use berth::wire;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;

fn vector(name: &str) -> Value {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/hpx").join(name);
    serde_json::from_slice(&std::fs::read(file).expect("a vector")).expect("JSON")
}

/// The house a transcript wants.
fn house_for(transcript: &Value) -> House {
    let guests = if transcript["server"]["allow_guests"] == json!(true) { "user" } else { "refused" };
    let span_s = transcript["server"]["session_span_seconds"].as_u64().unwrap_or(0);
    let config =
        LAB.replace("guests = \"user\"", &format!("guests = \"{guests}\"\nsession_span_s = {span_s}"));
    House::with(&config).with_known_users()
}

/// Holds one conversation; an error says at which step it went another way.
fn replay(transcript: &Value) -> Result<(), String> {
    let house = house_for(transcript);
    let (mut sockets, mut greetings) = (BTreeMap::new(), BTreeMap::new());
    let mut sessions: BTreeMap<String, String> = BTreeMap::new();
    for (number, step) in transcript["steps"].as_array().expect("steps").iter().enumerate() {
        let conn = step["conn"].as_u64().unwrap_or(0);
        let failed = |why: String| format!("step {number} of {}: {why}", transcript["id"]);
        match step["op"].as_str().expect("an op") {
            "connect" => {
                let (socket, greeting) = Socket::open(house.address);
                sockets.insert(conn, socket);
                greetings.insert(conn, greeting);
            }
            "send" => {
                let socket: &mut Socket = sockets.get_mut(&conn).expect("connected");
                let bytes = sent_bytes(step, &sessions);
                let piece = step["split"].as_u64().map_or(bytes.len(), |split| split as usize).max(1);
                bytes.chunks(piece).for_each(|piece| socket.say_bytes(piece));
            }
            "recv" => {
                let greeting = greetings.remove(&conn);
                let heard = greeting.or_else(|| {
                    let socket = sockets.get_mut(&conn).expect("connected");
                    hear_with_time(socket, &house)
                });
                let heard = heard.ok_or_else(|| failed("the server hung up".to_owned()))?;
                judge(&heard, &step["accept"], &mut sessions).map_err(failed)?;
            }
            "recv_eof" => {
                let socket = sockets.get_mut(&conn).expect("connected");
                if let Some(more) = hear_with_time(socket, &house) {
                    return Err(failed(format!("expected the end, heard {more}")));
                }
            }
            "shutdown_wr" => sockets.get_mut(&conn).expect("connected").hang_up(),
            "close" => drop(sockets.remove(&conn)),
            "sleep" => house.clock.advance(step["seconds"].as_u64().expect("seconds") * 1000),
            other => return Err(failed(format!("unknown step {other}"))),
        }
    }
    Ok(())
}

/// Hears the next message while the clock of the house goes on, because some answers come after a short wait.
fn hear_with_time(socket: &mut Socket, house: &House) -> Option<Value> {
    let _ticking = Ticking::start(&house.clock, 20);
    socket.hear()
}

/// The bytes of a sent message, with our own session ids in it.
fn sent_bytes(step: &Value, sessions: &BTreeMap<String, String>) -> Vec<u8> {
    let Some(text) = step["text"].as_str().filter(|_| step["literal"] != json!(true)) else {
        return unhex(step["hex"].as_str().expect("hex"));
    };
    let text = named(text, sessions);
    let mut cuts: Vec<usize> = vec![0];
    cuts.extend(
        step["transform"]["members"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|at| at.as_u64())
            .map(|at| at as usize),
    );
    cuts.push(text.len());
    let mut bytes: Vec<u8> =
        cuts.windows(2).flat_map(|cut| member(&text.as_bytes()[cut[0]..cut[1]])).collect();
    bytes.extend(unhex(step["transform"]["append"].as_str().unwrap_or("")));
    bytes.extend_from_slice(b"<EOF>");
    bytes
}

/// One gzip member at the level the Python client uses.
fn member(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::new(5));
    encoder.write_all(text).expect("into memory");
    encoder.finish().expect("into memory")
}

fn named(text: &str, sessions: &BTreeMap<String, String>) -> String {
    sessions.iter().rev().fold(text.to_owned(), |text, (name, id)| text.replace(name, id))
}

fn unhex(text: &str) -> Vec<u8> {
    let digit = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).expect("hex digits");
    (0..text.len()).step_by(2).map(digit).collect()
}

fn is_version(data: &Value) -> bool {
    ["core", "db", "torrent"].iter().all(|key| data[key].as_array().is_some_and(|parts| parts.len() == 3))
}

fn check_code(error: &Value, codes: &Value) -> Result<(), String> {
    let known = codes.as_array().is_none_or(|codes| codes.contains(&error["code"]));
    match error["code"].is_u64() && error["msg"].is_string() && known {
        true => Ok(()),
        false => Err(format!("error {error}, expected one of {codes}")),
    }
}

/// Whether an answer is one of those the rule accepts.
fn judge(heard: &Value, accept: &Value, sessions: &mut BTreeMap<String, String>) -> Result<(), String> {
    let (data, error) = (&heard["data"], &heard["error"]);
    let wrong = || Err(format!("heard {heard}, expected {accept}"));
    if accept["id"] != json!(null) && heard["__id__"] != accept["id"] {
        return wrong();
    }
    let kind = accept["kind"].as_str().expect("a kind");
    if kind.starts_with("error") {
        return match kind {
            "error_or_ok" | "error_or_auth" | "error_or_welcome" if error.is_null() => Ok(()),
            "error_any" if error.is_null() => check_code(&data[0]["error"], &accept["codes"]),
            _ => check_code(error, &accept["codes"]),
        };
    }
    if !error.is_null() {
        return wrong();
    }
    match kind {
        "auth" => {
            let id = heard["session"].as_str().unwrap_or("").to_owned();
            let bound = accept["bind"].as_str().expect("a name for the session").to_owned();
            let fresh =
                data == "Authenticated" && id.len() == 32 && sessions.values().all(|known| *known != id);
            sessions.insert(bound, id);
            if fresh { Ok(()) } else { wrong() }
        }
        "welcome" if is_version(&data["version"]) && data["guest_allowed"] == accept["guest_allowed"] => {
            Ok(())
        }
        "command" if accept["data"].as_array().is_some_and(|words| words.contains(data)) => Ok(()),
        "list" => judge_list(heard, accept, sessions),
        _ => wrong(),
    }
}

fn judge_list(heard: &Value, accept: &Value, sessions: &BTreeMap<String, String>) -> Result<(), String> {
    let items = accept["items"].as_array().expect("items");
    let entries = heard["data"].as_array().ok_or("the data is no list")?;
    if heard["session"] != named(accept["session"].as_str().expect("a session"), sessions)
        || entries.len() != items.len()
    {
        return Err(format!("heard {heard}, expected {accept}"));
    }
    for (entry, item) in entries.iter().zip(items) {
        let right = match &item["codes"] {
            Value::Null if item["data"]["$version"] == json!(true) => is_version(&entry["data"]),
            Value::Null => item["data"]["$any"] == json!(true) || entry["data"] == item["data"],
            codes => check_code(&entry["error"], codes).is_ok(),
        };
        if entry["fname"] != item["fname"] || !right {
            return Err(format!("entry {entry}, expected {item}"));
        }
    }
    Ok(())
}

#[test]
fn every_transcript_is_held_as_recorded() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/hpx");
    let names = std::fs::read_dir(folder).expect("vectors").map(|file| file.expect("a file").file_name());
    let mut names: Vec<_> = names
        .map(|name| name.to_string_lossy().into_owned())
        .filter(|name| name.ends_with(".json"))
        .collect();
    names.sort();
    let (mut held, mut failures) = (0, Vec::new());
    for name in names.iter().filter(|name| *name != "frames.json") {
        let transcript = vector(name);
        let negative =
            transcript["authority"].as_str().is_some_and(|authority| authority.contains("negative"));
        // Functions of a manga library are not ours: protocol-spec/native.md lists them.
        let ours = transcript["requires"]
            .as_array()
            .is_none_or(|needed| needed.iter().all(|name| name == "get_version"));
        if negative || !ours {
            continue;
        }
        match replay(&transcript) {
            Ok(()) => held += 1,
            Err(why) => failures.push(why),
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert_eq!(held, 17, "transcripts that apply");
}

#[test]
fn every_single_frame_gets_its_verdict() {
    let house = House::open();
    for frame in vector("frames.json")["frames"].as_array().expect("frames") {
        let (mut socket, _) = Socket::open(house.address);
        socket.say_bytes(&unhex(frame["hex"].as_str().expect("hex")));
        let heard = hear_with_time(&mut socket, &house).unwrap_or_else(|| panic!("{}: hung up", frame["id"]));
        let verdict = frame["verdict"].as_str().expect("a verdict");
        if heard["error"].is_null() {
            assert!(verdict != "error" && is_version(&heard["data"]["version"]), "{}: {heard}", frame["id"]);
        } else {
            assert!(verdict != "ok", "{}: {heard}", frame["id"]);
            check_code(&heard["error"], &frame["codes"])
                .unwrap_or_else(|why| panic!("{}: {why}", frame["id"]));
        }
    }
}

#[test]
fn what_we_send_is_read_by_a_peer_that_searches_for_the_marker() {
    let mut frame = Vec::new();
    wire::encode(br#"{"session":"","name":"<EOF><EOF>","data":"<EOF>"}"#, &mut frame);
    let end = frame.len() - 5;
    assert_eq!(&frame[end..], b"<EOF>");
    assert_eq!(frame.windows(5).filter(|bytes| bytes == b"<EOF>").count(), 1);
}
