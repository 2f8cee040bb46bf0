//! Some answers and complaints, read closely.

use super::house::House;
use crate::clock::Moment;
use crate::error::Code;
use crate::lab::ask::Ask;
use crate::lab::command::Command;
use crate::lab::fact::JobId;
use crate::lab::job::{JobSpec, JobState};
use crate::lab::view::{Query, View};
use crate::service::plan::{Plan, SessionName, WatchChange, Watched};
use crate::service::{Outcome, find, write_answer};
use crate::session::SessionId;
use proptest::prelude::*;
use serde_json::{Value, json};

fn value(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

fn complaint(fname: &str, args: &str) -> (u16, String) {
    let fault = House::new().plan(fname, "admin", args).unwrap_err();
    (fault.code.number(), fault.msg)
}

#[test]
fn complaints_name_the_argument_what_it_must_be_and_what_came() {
    let long = format!("{{\"job_id\": \"{}\"}}", "9".repeat(100_000));
    let rows = [
        (
            "get_job",
            "{}",
            403,
            "get_job needs the argument 'job_id', the number of a job, an integer of 0 or more",
        ),
        ("get_job", r#"{"jobid": 1}"#, 403, "get_job has no argument \"jobid\" (did you mean 'job_id'?)"),
        (
            "get_job",
            r#"{"job_id": "1"}"#,
            404,
            "argument 'job_id' must be the number of a job, an integer of 0 or more, and is \"1\"",
        ),
        (
            "get_job",
            r#"{"job_id": -0}"#,
            404,
            "argument 'job_id' must be the number of a job, an integer of 0 or more, and is -0",
        ),
        (
            "list_boards",
            r#"{"limit": 1e999}"#,
            404,
            "argument 'limit' must be an integer from 0 to 10000, and is 1e999",
        ),
        (
            "list_boards",
            r#"{"state": "fre"}"#,
            409,
            "argument 'state' is \"fre\", and is to be one of free, lent, cleaning, quarantined, maintenance, dead, offline (did you mean 'free'?)",
        ),
        (
            "create_job",
            r#"{"keepalive": {}}"#,
            404,
            "argument 'keepalive' must be a number of seconds above 0, at most 1000000000, and is an object",
        ),
        (
            "create_job",
            r#"{"width": 1}"#,
            404,
            "create_job takes boards | width, height | x, y, z | serials | args; it was called without height",
        ),
        (
            "create_job",
            r#"{"boards": 1, "x": 1}"#,
            404,
            "create_job takes boards | width, height | x, y, z | serials | args; it was called with boards, x, which do not go together",
        ),
        (
            "get_board",
            r#"{"machine": "m", "x": 1, "y": 1}"#,
            404,
            "get_board takes machine, x, y, z | machine, cabinet, frame, board | serial | machine, serial; it was called without z",
        ),
        (
            "create_user",
            r#"{"user": "eve", "password": 31415926}"#,
            404,
            "argument 'password' must be a string, and is something else",
        ),
        (
            "create_user",
            r#"{"user": "eve", "password": "se\ud800cret"}"#,
            404,
            "argument 'password' must be a string, and is a string that is no text",
        ),
        (
            "create_user",
            r#"{"user": "eve", "password": ""}"#,
            1024,
            "a new password has 1 to 1024 bytes, this one has 0",
        ),
        ("set_password", r#"{"password": ""}"#, 1024, "a new password has 1 to 1024 bytes, this one has 0"),
        (
            "get_job",
            &long,
            404,
            "argument 'job_id' must be the number of a job, an integer of 0 or more, and is \"99999999999999999999999999999999999999999999999...",
        ),
    ];
    for (fname, args, code, sentence) in rows {
        assert_eq!(complaint(fname, args), (code, sentence.to_owned()));
    }
}

#[test]
fn the_version_is_that_of_the_crate() {
    let version = value(&House::new().call("get_version", "guest", "{}").unwrap());
    let [major, minor, patch] = crate::service::about::CORE_VERSION;
    assert_eq!(format!("{major}.{minor}.{patch}"), env!("CARGO_PKG_VERSION"));
    let (core, db) = (crate::service::about::CORE_VERSION, crate::service::about::DATA_VERSION);
    assert_eq!(version, json!({"core": core, "db": db, "torrent": [0, 0, 0]}));
}

#[test]
fn the_state_of_a_job_is_told_as_spalloc_tells_it() {
    let mut house = House::new();
    let mut state =
        |job: u64| value(&house.call("get_job_state", "ada", &format!("{{\"job_id\": {job}}}")).unwrap());
    let none = Value::Null;
    let told = |state: u8, power: Value, keepalive: Value, reason: Value, start: Value| json!({"state": state, "power": power, "keepalive": keepalive, "reason": reason, "start_time": start, "keepalivehost": null});
    assert_eq!(state(1), told(3, json!(true), json!(60.0), none.clone(), json!(1000.0)));
    assert_eq!(state(2), told(1, none.clone(), json!(60.0), none.clone(), json!(1000.0)));
    assert_eq!(state(3), told(4, none.clone(), none.clone(), json!("ended by ada: done"), none.clone()));
    assert_eq!(state(4), told(2, json!(true), json!(60.0), none.clone(), json!(1000.0)));
    assert_eq!(state(99), told(0, none.clone(), none.clone(), none.clone(), none));
}

#[test]
fn the_boards_of_a_job_are_told_as_spalloc_tells_them() {
    let mut house = House::new();
    let mut info = |job: u64| {
        value(&house.call("get_job_machine_info", "ada", &format!("{{\"job_id\": {job}}}")).unwrap())
    };
    let one = info(1);
    assert_eq!((&one["width"], &one["height"], &one["machine_name"]), (&json!(8), &json!(8), &json!("m")));
    assert_eq!(one["connections"].as_array().map(Vec::len), Some(1));
    assert_eq!(one["connections"][0][0], json!([0, 0]));
    let pool = json!({"width": null, "height": null, "connections": [], "machine_name": "devices", "boards": ["devices-1"]});
    assert_eq!(info(4), pool);
    let nothing =
        json!({"width": null, "height": null, "connections": null, "machine_name": null, "boards": null});
    for job in [2, 3, 99] {
        assert_eq!(info(job), nothing);
    }
}

#[test]
fn a_job_is_told_wholly() {
    let mut house = House::new();
    let job = value(&house.call("get_job", "guest", r#"{"job_id": 2}"#).unwrap());
    let whole = json!({
        "job_id": 2, "owner": "ada", "state": 1, "state_name": "queued", "power": null, "start_time": 1000.0, "keepalive": 60.0,
        "lapses_at": 1060.0, "lease": 600.0, "lease_ends_at": null, "priority": 0, "kind": null, "kind_args": null, "note": "all \u{eb}",
        "want": "4x2 triads", "args": [4, 2], "kwargs": {"lease": 600.0, "note": "all \u{eb}"}, "tags": ["default"], "machine": null,
        "allocated_machine_name": null, "boards": null, "grant": null, "granted_at": null, "ahead": 0, "attempts": 0, "reason": null,
        "ended_at": null,
    });
    assert_eq!(job, whole);
    let job = value(&house.call("get_job", "guest", r#"{"job_id": 4}"#).unwrap());
    assert_eq!(job["kwargs"], json!({"serials": ["devices-1"], "kind": "pulsecount", "kind_args": {"n": 1}}));
    assert_eq!(
        (&job["args"], &job["boards"], &job["kind"]),
        (&json!([]), &json!(["devices-1"]), &json!("pulsecount"))
    );
}

#[test]
fn the_past_of_a_job_whose_board_failed_is_told() {
    let mut house = House::new();
    let past = value(&house.call("job_history", "guest", r#"{"job_id": 5}"#).unwrap());
    let events: Vec<_> =
        past.as_array().unwrap().iter().map(|event| event["event"].as_str().unwrap()).collect();
    assert_eq!(events, ["queued", "granted", "board_failed", "requeued"]);
    assert_eq!(past[1]["detail"], "granted 1 board of 'devices'");
    let quarantined = value(&house.call("list_boards", "guest", r#"{"state": "quarantined"}"#).unwrap());
    assert_eq!(quarantined.as_array().unwrap().len(), 1);
    assert!(quarantined[0]["reason"].as_str().unwrap().contains("it smokes"));
}

#[test]
fn status_counts_what_is_there() {
    let status = value(&House::new().call("get_status", "guest", "{}").unwrap());
    assert_eq!(status["jobs"], json!({"queued": 2, "power": 1, "ready": 1, "destroyed": 1}));
    assert_eq!(
        (&status["uptime"], &status["connections"], &status["sessions"]),
        (&json!(12.345), &json!(3), &json!(5))
    );
    let journal = json!({"appends": 5, "facts": 9, "syncs": 6, "snapshots": 1, "expired": 2});
    assert_eq!(status["journal"], journal);
    let boards = status["boards"].as_object().unwrap().values().map(|count| count.as_u64().unwrap());
    assert_eq!(boards.sum::<u64>(), 4 * 2 * 3 + 4);
}

#[test]
fn whole_ids_of_sessions_are_shown_to_their_users_alone() {
    let mut house = House::new();
    let ids = |text: String| -> Vec<String> {
        value(&text)
            .as_array()
            .unwrap()
            .iter()
            .map(|session| session["session"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(ids(house.call("list_sessions", "ada", "{}").unwrap()), ["00000ada000000000000000000000002"]);
    let seen = ids(house.call("list_sessions", "admin", "{}").unwrap());
    assert_eq!(
        seen,
        ["00c0ffee..", "00000ada..", "00000b0b..", "00000909..", "0000ad31000000000000000000000005"]
    );
}

#[test]
fn a_guest_is_not_shown_another_guests_session() {
    let house = House::new();
    let (mut asker, function) = (house.asker("guest"), find("list_sessions").unwrap());
    asker.caller.role = crate::user::Role::User;
    let session = |bits| {
        let (id, user) = (SessionId::from_bits(bits), crate::user::UserName::guest());
        std::sync::Arc::new(crate::session::Session::new(
            id,
            user,
            asker.caller.role,
            "x".into(),
            Moment(0),
            0,
        ))
    };
    let sessions = vec![session(asker.session.to_bits()), session(7)];
    let mut out = Vec::new();
    write_answer(function, Ok(Outcome::Sessions(sessions)), &asker, &mut out).unwrap();
    let told = value(std::str::from_utf8(&out).unwrap());
    assert_eq!(
        (&told[0]["session"], &told[1]["session"]),
        (&json!(asker.session.to_string()), &json!("00000000.."))
    );
}

#[test]
fn mentions_of_the_owner_keep_a_job_alive_and_nobody_elses_do() {
    let rows = [
        ("ada", "get_job_state", true),
        ("ada", "get_job_machine_info", true),
        ("ada", "power_on_job_boards", true),
        ("ada", "wait_job", true),
        ("ada", "job_keepalive", true),
        ("ada", "get_job", false),
        ("bob", "get_job_state", false),
        ("op", "get_job_state", false),
    ];
    for (who, fname, alive) in rows {
        let mut house = House::new();
        house.now = Moment(1_050_000);
        house.call(fname, who, r#"{"job_id": 1}"#).unwrap();
        let Ok(View::Job(job)) = house.lab.see(&Query::Job(JobId(1))) else { panic!("job 1 is gone") };
        let lapses_at = if alive { Moment(1_110_000) } else { Moment(1_060_000) };
        assert_eq!(job.lapses_at, Some(lapses_at), "{fname} by {who}");
    }
}

#[test]
fn plans_say_what_was_asked() {
    let house = House::new();
    let plan = |fname: &str, args: &str| house.plan(fname, "admin", args).unwrap().plan;
    let Plan::Wait { job: JobId(1), until: JobState::Power, timeout_ms: 1500 } =
        plan("wait_job", r#"{"job_id": 1, "state": 2, "timeout": 1.5}"#)
    else {
        panic!("another wait")
    };
    let Plan::Watch(change) = plan("no_notify_machine", r#"{"machine_name": "m"}"#) else {
        panic!("no watch")
    };
    assert_eq!(change, WatchChange { what: Watched::Machine(Some("m".into())), on: false });
    let Plan::Watch(change) = plan("notify_job", "{}") else { panic!("no watch") };
    assert_eq!(change, WatchChange { what: Watched::Job(None), on: true });
    let Plan::EndSession { session } = plan("end_session", r#"{"session": "00000ada"}"#) else {
        panic!("no end")
    };
    assert_eq!(session, SessionName::Prefix(0x0ada));
    assert!(
        session.names(SessionId::from_bits(0x0ada << 96 | 2)) && !session.names(SessionId::from_bits(0x0ada))
    );
    let Plan::AskThenSee(Command::RetestBoard { .. }, Query::Board(_)) =
        plan("set_board_state", r#"{"serial": "devices-0", "state": "retest"}"#)
    else {
        panic!("no retest")
    };
}

#[test]
fn an_outcome_of_another_kind_is_a_fault_and_writes_nothing() {
    let asker = House::new().asker("admin");
    for function in crate::service::all().filter(|function| function.name != "reload_config") {
        let mut out = b"{".to_vec();
        let fault = write_answer(function, Ok(Outcome::Changed(Vec::new())), &asker, &mut out).unwrap_err();
        assert_eq!((fault.code, out.as_slice()), (Code::INTERNAL, &b"{"[..]), "{}", function.name);
    }
}

/// The request that a call of `create_job` makes.
fn spec(args: &str) -> JobSpec {
    let planned =
        House::new().plan("create_job", "op", args).unwrap_or_else(|fault| panic!("{args}: {fault}"));
    match planned.plan {
        Plan::Ask(Ask::Command(Command::CreateJob(spec))) => spec,
        other => panic!("{args}: {other:?}"),
    }
}

/// A size, as arguments.
fn size() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(json!({})),
        any::<u32>().prop_map(|boards| json!({"boards": boards})),
        any::<(u32, u32)>().prop_map(|(width, height)| json!({"width": width, "height": height})),
        any::<(u32, u32, u32)>().prop_map(|(x, y, z)| json!({"args": [x, y, z]})),
        proptest::collection::btree_set("[a-z\u{e0}-\u{ef}\"]{1,8}", 1..4)
            .prop_map(|serials| json!({"serials": serials})),
    ]
}

/// Options, each perhaps.
fn options() -> impl Strategy<Value = Vec<(&'static str, Value)>> {
    let options = vec![
        ("tags", json!(["b", "a", "b"])),
        ("tags", json!([])),
        ("machine", json!("m")),
        ("kind", json!("burn")),
        ("kind_args", json!({"a": [1, "\u{1f600}"]})),
        ("kind_args", json!("text")),
        ("lease", json!(0.25)),
        ("min_ratio", json!(1.5)),
        ("max_dead_boards", json!(0)),
        ("max_dead_links", json!(7)),
        ("require_torus", json!(true)),
        ("priority", json!(-2)),
        ("note", json!("a \"note\"\n")),
    ];
    proptest::sample::subsequence(options.clone(), 0..options.len())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn args_and_kwargs_of_a_job_ask_for_the_same_again(size in size(), options in options()) {
        let mut args = size.as_object().unwrap().clone();
        let has_machine = options.iter().any(|(name, _)| *name == "machine");
        args.extend(options.into_iter().filter(|(name, _)| *name != "tags" || !has_machine).map(|(name, value)| (name.to_owned(), value)));
        let asked = spec(&Value::Object(args).to_string());
        let house = House::new();
        let Ok(View::Job(mut view)) = house.lab.see(&Query::Job(JobId(2))) else { panic!("job 2 is gone") };
        view.spec = std::sync::Arc::new(asked.clone());
        let mut out = Vec::new();
        let came = Ok(Outcome::Reply(crate::lab::ask::Reply::Seen(View::Job(view))));
        write_answer(find("get_job").unwrap(), came, &house.asker("op"), &mut out).unwrap();
        let told = value(std::str::from_utf8(&out).unwrap());
        let mut again = told["kwargs"].as_object().unwrap().clone();
        again.insert("args".to_owned(), told["args"].clone());
        prop_assert_eq!(spec(&Value::Object(again).to_string()), asked);
    }
}
