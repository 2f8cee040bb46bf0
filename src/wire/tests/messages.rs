//! Messages, calls and answers as text.

use crate::error::{Code, Fault};
use crate::wire::answer::{self, Envelope};
use crate::wire::call::{self, Call};
use crate::wire::envelope::{self, Command, Data};
use crate::wire::json::Raw;
use serde_json::Value;
use serde_json::value::RawValue;
use std::collections::BTreeMap;

const DEPTH: usize = 128;

fn raw(text: &str) -> Raw<'_> {
    serde_json::from_str::<&RawValue>(text).unwrap().into()
}

/// The number and sentence of a refusal, and the id it carries.
fn refusal(text: &str) -> (u16, String, Option<String>) {
    let refused = envelope::decode(text.as_bytes(), DEPTH).unwrap_err();
    (refused.fault.code.number(), refused.fault.msg, refused.id.map(|id| id.get().to_string()))
}

#[test]
fn a_whole_message() {
    let text = " {\"__id__\" : \"app_msg_1\", \"data\": [ ] , \"name\":\"n\\u00e9\",\"session\":\"s\", \"__caps__\":[\"push\",\"\\u0061\"]}\n ";
    let message = envelope::decode(text.as_bytes(), DEPTH).unwrap();
    assert_eq!((&*message.session, &*message.name), ("s", "n\u{e9}"));
    assert_eq!(message.data.get(), "[ ]");
    assert_eq!(message.id.unwrap().get(), "\"app_msg_1\"");
    assert_eq!(message.caps, ["push", "a"]);
    assert!(matches!(message.kind(), Data::Calls(_)));
}

#[test]
fn oddities_that_do_no_harm() {
    let read = |text: &str| {
        let message = envelope::decode(text.as_bytes(), DEPTH).unwrap();
        format!("{}|{}|{}", message.session, message.name, message.data.get())
    };
    for name in ["null", "5", "{\"a\":[]}", "[1]", "true"] {
        assert_eq!(read(&format!("{{\"session\":\"\",\"name\":{name},\"data\":1}}")), "||1");
    }
    let lone = read(r#"{"session":"a","name":"\udc00","data":1,"session":"b"}"#);
    assert!(lone.starts_with("b|\u{fffd}") && lone.ends_with("|1"), "{lone}");
    assert_eq!(read(r#"{"session":1,"session":"b","name":"","data":{},"data":2}"#), "b||2");
    assert_eq!(read(r#"{"sess\u0069on":"b","name":"","data":"\ud800"}"#), r#"b||"\ud800""#);
    let huge = format!("{{\"session\":\"\",\"name\":\"\",\"data\":[1e99999,-{}]}}", "9".repeat(10_000));
    assert!(read(&huge).starts_with("||[1e99999,-999"));
    let reserved = r#"{"__x":{"y":[1]},"__":0,"session":"","name":"","data":0}"#;
    assert_eq!(read(reserved), "||0");
}

#[test]
fn what_is_wrong_is_named_and_the_id_is_kept() {
    for (text, code, named, id) in [
        ("", 900, "no text", None),
        ("  \n", 900, "no text", None),
        ("null", 403, "not an object", None),
        ("[]", 403, "not an object", None),
        ("\"x\"", 403, "not an object", None),
        ("[1", 900, "EOF", None),
        ("{'session':''}", 900, "line 1 column 2", None),
        ("{}", 403, "\"name\"", None),
        (r#"{"name":""}"#, 403, "\"data\"", None),
        (r#"{"data":1,"session":""}"#, 403, "\"name\"", None),
        (r#"{"data":1,"name":"","__id__":4}"#, 403, "\"session\"", Some("4")),
        (
            r#"{"__id__":"a","data":1,"name":"","session":"","extra":1,"more":2}"#,
            403,
            "unknown key \"extra\"",
            Some("\"a\""),
        ),
        (r#"{"__id__":"a","data":1,"name":"","session":null}"#, 403, "session has to be", Some("\"a\"")),
        (r#"{"__id__":1.5,"data":1,"name":"","session":""}"#, 403, "__id__", None),
        (r#"{"__id__":null,"data":1,"name":"","session":""}"#, 403, "__id__", None),
        (r#"{"__caps__":"push","data":1,"name":"","session":""}"#, 403, "__caps__", None),
        (
            r#"{"__caps__":["push",1],"data":1,"name":"","session":"","__id__":"z"}"#,
            403,
            "__caps__",
            Some("\"z\""),
        ),
        (r#"{"__id__":"a","data":NaN}"#, 900, "column 22", Some("\"a\"")),
        (r#"{"__id__":"a","data":1,"name":"","session":""} x"#, 900, "trailing", Some("\"a\"")),
        (r#"{"data":1,"name":"","session":""}{}"#, 900, "trailing", None),
        (r#"{"data":01,"name":"","session":""}"#, 900, "number", None),
        ("\u{feff}{\"__id__\":8,\"data\":1}", 900, "byte order mark", Some("8")),
        ("{\"__id__\":8,\"data\":\"\n\"}", 900, "control character", Some("8")),
    ] {
        let (number, sentence, found) = refusal(text);
        assert_eq!((number, found.as_deref()), (code, id), "{text}");
        assert!(sentence.contains(named), "{text}: {sentence}");
    }
}

#[test]
fn ids_and_capabilities_are_bounded() {
    let long = "i".repeat(envelope::ID_BYTES_MAX - 1);
    let (number, _, id) = refusal(&format!(r#"{{"__id__":"{long}","data":1,"name":"","session":""}}"#));
    assert_eq!((number, id), (403, None));
    let caps =
        |count| format!(r#"{{"__caps__":[{}"a"],"data":1,"name":"","session":""}}"#, "\"b\",".repeat(count));
    assert_eq!(envelope::decode(caps(63).as_bytes(), DEPTH).unwrap().caps.len(), 64);
    assert_eq!(refusal(&caps(64)).0, 403);
    let (_, sentence, _) =
        refusal(&format!("{{\"{}\":1,\"data\":1,\"name\":1,\"session\":\"\"}}", "k".repeat(1 << 20)));
    assert!(sentence.len() < 200);
}

#[test]
fn text_that_is_not_utf8() {
    let body = b"{\"__id__\":\"a\",\"session\":\"\",\"name\":\"\xff\",\"data\":{}}";
    let refused = envelope::decode(body, DEPTH).unwrap_err();
    assert_eq!((refused.fault.code, refused.id.unwrap().get()), (Code::BAD_JSON, "\"a\""));
    assert!(refused.fault.msg.contains("byte 35"), "{}", refused.fault.msg);
}

#[test]
fn nothing_secret_is_printed() {
    let text = r#"{"session":"hidden","name":"n","data":[{"fname":"set_password","password":"hidden"}]}"#;
    let message = envelope::decode(text.as_bytes(), DEPTH).unwrap();
    let calls = call::parse(message.data, 1).unwrap();
    assert_eq!(format!("{message:?}"), "Message { name: \"n\", data: 46 bytes }");
    assert_eq!(format!("{calls:?}"), "[Call { fname: \"set_password\", args: [\"password\"] }]");
}

#[test]
fn commands_by_name_and_number() {
    let command = |text: &str| match Data::of(raw(text)) {
        Data::Command(command) => Some(command.word()),
        _ => None,
    };
    for (text, word) in [
        ("\"serverquit\"", "serverquit"),
        ("\"ServerQuit\"", "serverquit"),
        ("\"SERVERRESTART\"", "serverrestart"),
        ("\"request\\u0061uth\"", "requestauth"),
        ("\"logout\"", "logout"),
        ("1", "serverquit"),
        ("2", "serverrestart"),
        ("3", "requestauth"),
        ("4", "logout"),
    ] {
        assert_eq!(command(text), Some(word), "{text}");
    }
    for text in [
        "true",
        "0",
        "5",
        "1.0",
        "1e0",
        "11",
        "-1",
        "\"\"",
        "\" logout\"",
        "\"1\"",
        "null",
        "[]",
        "{}",
        "[1]",
    ] {
        assert_eq!(command(text), None, "{text}");
    }
    assert_eq!(Command::ALL.map(Command::word).len(), 4);
}

#[test]
fn calls_with_their_arguments() {
    let list =
        raw(r#"[{"fname":"a"},{"x":[1, 2],"fname":"b","y":"\u00e9","x":null},{"fname":1,"fname":"\u0063"}]"#);
    let calls = call::parse(list, 3).unwrap();
    let names: Vec<&str> = calls.iter().map(|call| &**call.fname).collect();
    assert_eq!(names, ["a", "b", "c"]);
    let at = |at| calls.at(at).unwrap();
    let args = |call: Call<'_, '_>| -> Vec<String> {
        call.args.iter().map(|(name, value)| format!("{name}={}", value.get())).collect()
    };
    assert_eq!(args(at(0)), [""; 0]);
    assert_eq!(args(at(1)), ["x=null", r#"y="\u00e9""#]);
    assert_eq!(at(1).argument("y").unwrap().get(), r#""\u00e9""#);
    assert!(at(1).argument("fname").is_none());
    assert!(calls.at(3).is_none());
    assert!(call::parse(raw("[]"), 0).unwrap().is_empty());
}

#[test]
fn malformed_lists_name_the_entry() {
    let many = format!(
        "[{{\"fname\":\"a\",{}\"z\":0}}]",
        (0..64).map(|n| format!("\"a{n}\":0,")).collect::<String>()
    );
    let long = format!("[{{\"fname\":\"{}\"}}]", "f".repeat(257));
    for (list, code, named) in [
        ("{}", 403, "not a list"),
        ("null", 403, "not a list"),
        ("[5]", 403, "data[0]"),
        ("[{\"fname\":\"a\"},[]]", 403, "data[1]"),
        ("[{\"fname\":\"a\"},null]", 403, "data[1]"),
        ("[1e999]", 403, "data[0]"),
        ("[{\"fname\":\"a\"},{\"fname\":\"b\"},{\"x\":1}]", 403, "data[2] has no key \"fname\""),
        ("[{\"fname\":[]}]", 403, "data[0].fname"),
        ("[{\"fname\":\"a\",\"fname\":2}]", 403, "data[0].fname"),
        (&long, 403, "data[0].fname"),
        (&many, 403, "64 arguments"),
        ("[{\"fname\":\"a\"},{\"fname\":\"a\"},{\"fname\":\"a\"},{\"fname\":\"a\"}]", 1103, "more than 3"),
    ] {
        let fault = call::parse(raw(list), 3).unwrap_err();
        assert_eq!(fault.code.number(), code, "{list}");
        assert!(fault.msg.contains(named), "{list}: {}", fault.msg);
    }
}

/// What a server writes, a client reads.
#[test]
fn answers_are_written_and_read() {
    let id = raw("\"\u{e9}1\"");
    let envelope = Envelope { session: "s", name: "berth \"x\"", id: Some(id) };
    let mut out = Vec::new();
    envelope.begin_list(&mut out);
    call::push_data(&mut out, "a", &[1, 2]);
    call::push_error(&mut out, "b", &Fault::new(Code::JOB_UNKNOWN, "no job 7"));
    call::begin_data(&mut out, "c\u{e9}");
    out.extend_from_slice(b"{}");
    call::end_data(&mut out);
    // A map whose keys are lists cannot be written; nothing of it may be left behind.
    call::push_data(&mut out, "d", &BTreeMap::from([(vec![1], 1)]));
    envelope.end_list(&mut out);
    assert!(out.is_ascii());
    let heard = answer::decode(&out).unwrap();
    assert_eq!((&*heard.session, &*heard.name), ("s", "berth \"x\""));
    assert_eq!(heard.id.unwrap().get(), "\"\\u00e91\"");
    let entries = answer::decode_entries(&heard).unwrap();
    let told: Vec<_> = entries
        .iter()
        .map(|entry| (&*entry.fname, entry.data.get(), entry.error.as_ref().map(|error| error.code)))
        .collect();
    assert_eq!(
        told,
        [("a", "[1,2]", None), ("b", "null", Some(1001)), ("c\u{e9}", "{}", None), ("d", "null", Some(100))]
    );
}

#[test]
fn an_empty_list_and_nested_ends_need_no_comma() {
    let envelope = Envelope { session: "", name: "n", id: None };
    let mut out = Vec::new();
    envelope.begin_list(&mut out);
    envelope.end_list(&mut out);
    assert_eq!(out, br#"{"session":"","name":"n","data":[]}"#);
}

#[test]
fn data_that_cannot_be_written_becomes_an_error() {
    let envelope = Envelope { session: "s", name: "n", id: Some(raw("7")) };
    let mut out = b"before".to_vec();
    envelope.push_data(&mut out, &BTreeMap::from([(vec![1], 1)]));
    let heard: Value = serde_json::from_slice(&out["before".len()..]).unwrap();
    assert_eq!((&heard["error"]["code"], &heard["__id__"]), (&100.into(), &7.into()));
    assert_eq!(heard["data"], Value::Null);
}
