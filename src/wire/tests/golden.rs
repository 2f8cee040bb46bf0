//! Golden bytes: what our encoder makes of the protocol's messages, for whoever writes another implementation.
//!
//! `BERTH_BLESS=1 cargo test --lib wire::tests::golden` writes the files anew; a change of them is a change of protocol.

use super::*;
use crate::error::{Code, Fault};
use crate::wire::answer::{self, Envelope};
use crate::wire::handshake::{self, Greeting, Versions};
use crate::wire::json::Raw;
use crate::wire::{Command, Data, Proof, call, envelope};
use serde_json::json;
use serde_json::value::RawValue;
use std::collections::BTreeMap;

const SESSION: &str = "0f8fad5bd9cb469fa16570867728950e";

fn raw(text: &str) -> &RawValue {
    serde_json::from_str(text).unwrap()
}

/// A message by its envelope and what writes its data.
fn message(
    session: &str,
    name: &str,
    id: Option<&str>,
    write: impl Fn(&Envelope<'_>, &mut Vec<u8>),
) -> String {
    let mut out = Vec::new();
    write(&Envelope { session, name, id: id.map(Raw::known) }, &mut out);
    String::from_utf8(out).unwrap()
}

fn greeting() -> Greeting {
    Greeting {
        version: Versions { core: [0, 1, 0], db: [0, 1, 0], torrent: [0, 0, 0] },
        guest_allowed: true,
        protocol: 1,
        capabilities: crate::wire::handshake::CAPABILITIES.to_vec(),
        limits: BTreeMap::from([("calls_max", 1000), ("frame_bytes_max", 16_777_216)]),
    }
}

/// The messages, each with its file, its name there and a word about it.
fn messages() -> Vec<(&'static str, &'static str, &'static str, String)> {
    let calls = |out: &mut Vec<u8>| {
        out.extend_from_slice(br#"[{"fname":"get_version"},{"fname":"get_job","job_id":7}]"#)
    };
    vec![
        (
            "handshake",
            "greeting",
            "server: the first message on every connection",
            message("", "berth", None, |envelope, out| {
                envelope.push_data(out, &greeting());
            }),
        ),
        (
            "handshake",
            "guest",
            "client: let me in as a guest",
            message("", "my-client", None, |envelope, out| {
                envelope.push_data(out, &json!({}));
            }),
        ),
        (
            "handshake",
            "user",
            "client: let me in as a user",
            message("", "my-client", Some("\"my-client_msg_1\""), |envelope, out| {
                envelope.push_data(out, raw(r#"{"user":"ada","password":"s3cret"}"#));
            }),
        ),
        (
            "handshake",
            "accepted",
            "server: the session to use from now on",
            message(SESSION, "berth", Some("\"my-client_msg_1\""), |envelope, out| {
                envelope.push_data(out, handshake::ACCEPTED);
            }),
        ),
        (
            "handshake",
            "refused",
            "server: a wrong password",
            message("", "berth", Some("\"my-client_msg_1\""), |envelope, out| {
                envelope.push_error(out, &Fault::new(Code::WRONG_CREDENTIALS, "wrong user or password"));
            }),
        ),
        (
            "call",
            "call",
            "client: two functions in one message",
            message(SESSION, "my-client", Some("2"), |envelope, out| {
                envelope.begin(out);
                calls(out);
                envelope.end(out);
            }),
        ),
        (
            "call",
            "answer",
            "server: one result and one refusal, in the order of the calls",
            message(SESSION, "berth", Some("2"), |envelope, out| {
                envelope.begin_list(out);
                call::push_data(out, "get_version", &greeting().version);
                call::push_error(out, "get_job", &Fault::new(Code::JOB_UNKNOWN, "no job 7"));
                envelope.end_list(out);
            }),
        ),
        (
            "call",
            "root_error",
            "server: a message that was refused as a whole",
            message(SESSION, "berth", None, |envelope, out| {
                envelope.push_error(out, &Fault::new(Code::INVALID_MESSAGE, "data[0] has no key \"fname\""));
            }),
        ),
        (
            "call",
            "marker_in_text",
            "client: a text that holds the marker goes out in two blocks",
            message(SESSION, "a<EOF>b", None, |envelope, out| {
                envelope.push_data(out, &json!([]));
            }),
        ),
        (
            "call",
            "marker_in_checksum",
            "client: this text's checksum and length spell the marker; one space behind the text and they do not",
            "{\"session\":\"\",\"name\":\"5456307323200000000000000000\",\"data\":[]}".to_string(),
        ),
        (
            "call",
            "not_ascii",
            "server: whatever is not ASCII is escaped",
            message("", "caf\u{e9} \u{1f600}", None, |envelope, out| {
                envelope.push_data(out, &json!(null));
            }),
        ),
        (
            "event",
            "event",
            "server: an event for a connection that asked for it",
            message(SESSION, "berth", None, |envelope, out| {
                envelope.push_event(out, "jobs_changed", &json!({"jobs_changed": [7, 12]}));
            }),
        ),
        (
            "event",
            "datagrams",
            "server: what boards said through two channels of this connection; before the second's one was dropped",
            message(SESSION, "berth", None, |envelope, out| {
                let data = raw(
                    r#"{"datagrams":[{"channel":1,"data":["AAAHcQ==","AAAHcg=="]},{"channel":2,"data":["Zm9v"],"dropped":1}]}"#,
                );
                envelope.push_event(out, "datagrams", data);
            }),
        ),
        (
            "event",
            "channel_closed",
            "server: a channel ended by itself",
            message(SESSION, "berth", None, |envelope, out| {
                let data = raw(r#"{"channel":1,"reason":"job 7 is over: ended by ada"}"#);
                envelope.push_event(out, "channel_closed", data);
            }),
        ),
        (
            "call",
            "send_datagrams",
            "client: two datagrams through a channel",
            message(SESSION, "my-client", Some("4"), |envelope, out| {
                let calls = r#"[{"fname":"send_datagrams","channel":1,"datagrams":["AAAHcQ==","AAAHcg=="]}]"#;
                envelope.push_data(out, raw(calls));
            }),
        ),
        (
            "command",
            "requestauth",
            "client: send the greeting again",
            message("", "my-client", None, |envelope, out| {
                envelope.push_command(out, Command::RequestAuth);
            }),
        ),
        (
            "command",
            "logout",
            "client: end my session",
            message(SESSION, "my-client", Some("3"), |envelope, out| {
                envelope.push_command(out, Command::Logout);
            }),
        ),
        (
            "command",
            "serverquit",
            "an administrator's order, and the server's news of it to everybody",
            message(SESSION, "berth", None, |envelope, out| {
                envelope.push_command(out, Command::ServerQuit);
            }),
        ),
    ]
}

/// The files as they have to be.
fn files() -> BTreeMap<&'static str, Value> {
    let mut files = BTreeMap::new();
    for (file, id, about, text) in messages() {
        let frames = files.entry(file).or_insert_with(|| json!([]));
        let entry = json!({"id": id, "about": about, "text": text, "hex": hex(&frame(text.as_bytes()))});
        frames.as_array_mut().unwrap().push(entry);
    }
    files
}

#[test]
fn our_bytes_are_the_golden_ones_and_are_read() {
    golden_bytes_are_written();
    golden_bytes_are_read();
}

fn golden_bytes_are_written() {
    for (file, frames) in files() {
        let name = format!("protocol-spec/bytes/{file}.json");
        if std::env::var_os("BERTH_BLESS").is_some() {
            let text = serde_json::to_string_pretty(&frames).unwrap() + "\n";
            std::fs::write(path(&name), text).unwrap();
        }
        assert_eq!(json_file(&name), frames, "{name}");
    }
}

fn golden_bytes_are_read() {
    for file in ["handshake", "call", "event", "command"] {
        for golden in json_file(&format!("protocol-spec/bytes/{file}.json")).as_array().unwrap() {
            let received = receive(wide(), [&bytes_of(golden, "hex")[..]]);
            let body = received[0].as_ref().unwrap();
            assert_eq!(String::from_utf8_lossy(body).trim_end_matches(' '), text_of(golden, "text"));
            check(text_of(golden, "id"), body);
        }
    }
}

#[test]
fn the_page_shows_golden_messages() {
    let page = std::fs::read_to_string(path("protocol-spec/native.md")).unwrap();
    let golden = messages();
    let blocks: Vec<&str> = page.split("```").skip(1).step_by(2).collect();
    let texts = blocks.iter().filter_map(|block| block.strip_prefix("json\n")).map(str::trim_end);
    let texts: Vec<&str> = texts.filter(|text| text.starts_with("{\"session\":\"")).collect();
    assert!(texts.len() >= 9, "{texts:#?}");
    for text in texts {
        assert!(golden.iter().any(|(.., known)| known == text), "{text}");
    }
    let channels = std::fs::read_to_string(path("protocol-spec/channels.md")).unwrap();
    let shown: Vec<&str> = channels.lines().filter(|line| line.starts_with("{\"session\":\"")).collect();
    assert_eq!(shown.len(), 2);
    for text in shown {
        assert!(golden.iter().any(|(.., known)| known == text), "{text}");
    }
    let frames: Vec<String> = golden.iter().map(|(.., text)| hex(&frame(text.as_bytes()))).collect();
    let shown: Vec<&str> =
        blocks.iter().map(|block| block.trim()).filter(|block| block.starts_with("1f8b")).collect();
    assert_eq!(shown.len(), 3);
    for hex in shown {
        assert!(frames.iter().any(|known| known == hex), "{hex}");
    }
}

/// The meaning of each golden message.
fn check(id: &str, body: &[u8]) {
    let sent = || envelope::decode(body, 128).unwrap();
    let heard = || answer::decode(body).unwrap();
    let error = || heard().error.unwrap().code;
    match id {
        "greeting" => assert!(heard().data.get().starts_with("{\"version\":{\"core\":[0,1,0]")),
        "guest" => assert_eq!(handshake::prove(sent().data, true).unwrap(), Proof::Guest),
        "user" => {
            let proof = Proof::Password { user: "ada".into(), password: "s3cret".into() };
            assert_eq!(handshake::prove(sent().data, false).unwrap(), proof);
        }
        "accepted" => assert_eq!((&*heard().session, heard().data.get()), (SESSION, "\"Authenticated\"")),
        "refused" => assert_eq!(error(), 411),
        "call" => {
            let calls = call::parse(sent().data, 2).unwrap();
            assert_eq!(calls.at(1).unwrap().argument("job_id").unwrap().get(), "7");
        }
        "answer" => {
            assert_eq!(answer::decode_entries(&heard()).unwrap()[1].error.as_ref().unwrap().code, 1001)
        }
        "root_error" => assert_eq!(error(), 403),
        "marker_in_text" => assert_eq!(sent().name, "a<EOF>b"),
        "marker_in_checksum" => assert_eq!(body.last(), Some(&b' ')),
        "not_ascii" => assert_eq!(heard().name, "caf\u{e9} \u{1f600}"),
        "event" => assert_eq!(heard().event.unwrap(), "jobs_changed"),
        "datagrams" | "channel_closed" => assert_eq!(heard().event.unwrap(), id),
        "send_datagrams" => {
            let calls = call::parse(sent().data, 1).unwrap();
            assert_eq!(
                calls.at(0).unwrap().argument("datagrams").unwrap().get(),
                r#"["AAAHcQ==","AAAHcg=="]"#
            );
        }
        "requestauth" | "logout" | "serverquit" => {
            assert!(matches!(sent().kind(), Data::Command(command) if command.word() == id));
        }
        other => panic!("{other} is not checked"),
    }
}
