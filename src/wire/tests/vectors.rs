//! Frames of other hands: whole, in two pieces at every place, byte by byte, back to back.

use super::*;
use crate::error::Code;
use crate::wire::envelope::{self, Command, Data};
use crate::wire::{MARKER, answer};
use memchr::memmem;

const DEPTH: usize = 128;

/// The same bytes in many pieces must come to the same.
fn receive_at_every_split(wire: &[u8]) -> Received {
    let whole = receive(wide(), [wire]);
    for at in 0..=wire.len() {
        let (front, back) = wire.split_at(at);
        assert_eq!(receive(wide(), [front, back]), whole, "split at {at}");
    }
    assert_eq!(receive(wide(), wire.chunks(1)), whole, "byte by byte");
    assert_eq!(receive(wide(), wire.chunks(3)), whole, "three bytes at a time");
    whole
}

#[test]
fn markers_inside_gzip_do_not_end_a_frame() {
    let file = json_file("tests/vectors/framing/eof_inside_gzip.json");
    let mut all = (Vec::new(), Vec::new());
    for vector in list_of(&file, "vectors") {
        let wire = bytes_of(vector, "wire_hex");
        let texts = list_of(vector, "decoded").iter().map(|text| Ok(text.as_str().unwrap().into()));
        let texts: Received = texts.collect();
        assert_eq!(receive_at_every_split(&wire), texts, "{}", vector["name"]);
        all.0.extend(wire);
        all.1.extend(texts);
    }
    assert!(all.1.len() > 15);
    assert_eq!(receive(wide(), [&all.0[..]]), all.1);
    assert_eq!(receive(wide(), all.0.chunks(7)), all.1);
}

#[test]
fn the_sender_emits_no_marker_inside() {
    let file = json_file("tests/vectors/framing/eof_inside_gzip.json");
    for vector in list_of(&file, "vectors") {
        for text in list_of(vector, "decoded") {
            let text = text.as_str().unwrap();
            let wire = frame(text.as_bytes());
            assert_eq!(memmem::find(&wire, MARKER), Some(wire.len() - MARKER.len()), "{text}");
            let received = receive(wide(), [&wire[..]]);
            let body = String::from_utf8(received[0].clone().unwrap()).unwrap();
            assert_eq!(body.trim_end(), text.trim_end());
        }
    }
}

#[test]
fn damaged_frames_are_refused_and_the_next_is_served() {
    let file = json_file("tests/vectors/framing/eof_inside_gzip.json");
    let mut seen = 0;
    for vector in list_of(&file, "negative") {
        let error = match text_of(vector, "name") {
            "garbage_then_frame" => FrameError::NotGzip,
            "bad_crc" => FrameError::BadChecksum,
            "bad_isize" => FrameError::BadLength,
            "trailing_junk" => FrameError::Junk,
            _ => continue,
        };
        assert!(error.goes_on());
        let next = list_of(vector, "decoded")[0].as_str().unwrap();
        let received = receive_at_every_split(&bytes_of(vector, "wire_hex"));
        assert_eq!(received, [Err(error), Ok(next.into())], "{}", vector["name"]);
        seen += 1;
    }
    assert_eq!(seen, 4);
}

#[test]
fn an_empty_frame_holds_no_json() {
    let received = receive_at_every_split(b"<EOF><EOF>");
    assert_eq!(received, [Ok(vec![]), Ok(vec![])]);
    assert_eq!(envelope::decode(b"", DEPTH).unwrap_err().fault.code, Code::BAD_JSON);
}

#[test]
fn the_bomb_of_the_vectors_stops_at_the_limit() {
    let file = json_file("tests/vectors/framing/eof_inside_gzip.json");
    let bomb = list_of(&file, "negative").iter().find(|vector| vector["name"] == "bomb_1MiB_in_1kB").unwrap();
    let (wire, bytes) = (bytes_of(bomb, "wire_hex"), bomb["decoded_len"].as_u64().unwrap() as usize);
    let limits = |body_bytes_max| FrameLimits { body_bytes_max, ..wide() };
    assert_eq!(receive(limits(bytes), [&wire[..]])[0].as_ref().unwrap().len(), bytes);
    let error = FrameError::BodyTooLarge { bytes_max: bytes - 1 };
    assert_eq!(receive(limits(bytes - 1), [&wire[..]]), [Err(error)]);
    assert_eq!(receive(limits(bytes - 1), wire.chunks(1)), [Err(error)]);
}

/// The code a frame is answered with; none for a command that asks for the greeting again.
fn code_of(received: &Result<Vec<u8>, FrameError>) -> Option<Code> {
    match received {
        Err(error) => Some(error.code()),
        Ok(body) => match envelope::decode(body, DEPTH) {
            Err(refused) => Some(refused.fault.code),
            Ok(message) => {
                assert!(matches!(message.kind(), Data::Command(Command::RequestAuth)), "{message:?}");
                None
            }
        },
    }
}

#[test]
fn single_frames_have_their_verdicts() {
    let file = json_file("tests/vectors/hpx/frames.json");
    for vector in list_of(&file, "frames") {
        let received = receive_at_every_split(&bytes_of(vector, "hex"));
        assert_eq!(received.len(), 1, "{}", vector["id"]);
        let code = code_of(&received[0]).map(Code::number);
        match text_of(vector, "verdict") {
            "ok" => assert_eq!(code, None, "{}", vector["id"]),
            "error" => {
                let codes = list_of(vector, "codes");
                assert!(codes.contains(&code.into()), "{}: {code:?} is not in {codes:?}", vector["id"]);
            }
            _ => {}
        }
    }
}

#[test]
fn damage_that_ends_before_the_marker_leaves_the_connection_usable() {
    let file = json_file("tests/vectors/hpx/frames.json");
    let good = frame(b"{}");
    for vector in list_of(&file, "frames") {
        let id = text_of(vector, "id");
        let mut unframer = Unframer::new(wide());
        let mut received = feed(&mut unframer, [&bytes_of(vector, "hex")[..]]);
        if unframer.stalled_at_marker() {
            assert!(["cut_middle", "header_only"].contains(&id), "{id}");
            received.push(Err(unframer.give_up()));
        }
        assert!(matches!(received[..], [Ok(_)] | [Err(_)]), "{id}: {received:?}");
        assert_eq!(feed(&mut unframer, [&good[..]]), [Ok(b"{}".to_vec())], "{id}");
    }
}

#[test]
fn transcripts_of_real_clients_and_servers_are_read() {
    let mut frames = 0;
    for file in std::fs::read_dir(path("tests/vectors/hpx")).unwrap() {
        let name = file.unwrap().file_name().into_string().unwrap();
        if !name.ends_with(".json") || name == "frames.json" {
            continue;
        }
        let file = json_file(&format!("tests/vectors/hpx/{name}"));
        for step in list_of(&file, "steps").iter().filter(|step| step.get("hex").is_some()) {
            let received = receive_at_every_split(&bytes_of(step, "hex"));
            assert_eq!(received.len(), 1, "{name}");
            match (text_of(step, "op"), received[0].as_ref()) {
                ("send", Ok(body)) if step["literal"] != true => check_sent(body, &step["json"]),
                ("recv", Ok(body)) => check_heard(body, &step["json"]),
                ("send", _) if step["literal"] == true => {
                    let code = code_of(&received[0]).unwrap();
                    assert!([Code::BAD_FRAME, Code::BAD_JSON].contains(&code), "{name}: {code:?}");
                }
                other => panic!("{name}: {other:?}"),
            }
            frames += 1;
        }
    }
    assert!(frames > 150, "{frames}");
}

/// A message a client sent means what the transcript says; session ids there are replaced by names.
fn check_sent(body: &[u8], json: &Value) {
    match envelope::decode(body, DEPTH) {
        Ok(message) => {
            assert_eq!(message.name, text_of(json, "name"));
            assert_eq!(serde_json::from_str::<Value>(message.data.get()).unwrap(), json["data"]);
            let id = message.id.map(|id| serde_json::from_str::<Value>(id.get()).unwrap());
            assert_eq!(id.as_ref(), json.get("__id__"));
            assert_eq!(message.session.is_empty(), json["session"] == "");
        }
        Err(refused) => {
            assert_eq!(refused.fault.code, Code::INVALID_MESSAGE);
            let sound = ["session", "name", "data"].iter().all(|key| json.get(key).is_some());
            assert!(!sound || json.get("extra").is_some(), "{json}: {:?}", refused.fault);
        }
    }
}

/// A message a server sent means what the transcript says.
fn check_heard(body: &[u8], json: &Value) {
    let heard = answer::decode(body).unwrap();
    assert_eq!(heard.name, text_of(json, "name"));
    assert_eq!(heard.session.is_empty(), json["session"] == "");
    let error = heard.error.map(|error| error.code);
    assert_eq!(error, json.get("error").map(|error| error["code"].as_i64().unwrap()));
    assert_eq!(heard.id.map(|id| id.get().len() > 2), json.get("__id__").map(|_| true));
    if let Some(entries) = json["data"].as_array() {
        let heard = answer::decode_entries(&answer::decode(body).unwrap()).unwrap().len();
        assert_eq!(heard, entries.len());
    }
}
