//! The native protocol at the web door: by websocket in both forms, and one message at a time.

use super::{config, house, house_with};
use crate::house::{House, Ticking};
use crate::socket::Socket;
use crate::web_socket::{Web, ask, framed, post, unframed};
use berth::server::End;
use serde_json::{Value, json};
use tungstenite::Message;

#[test]
fn a_job_lives_its_whole_life_over_text() {
    let (house, web) = house();
    let mut guest = Web::guest(web);
    let job = guest.call(json!({"fname": "create_job", "machine": "devices", "boards": 2})).expect("a job");
    let held = guest.call(json!({"fname": "wait_job", "job_id": job, "timeout": 60})).expect("a job");
    assert_eq!((&held["state_name"], held["boards"].as_array().map(Vec::len)), (&json!("ready"), Some(2)));
    assert_eq!(guest.call(json!({"fname": "destroy_job", "job_id": job})), Ok(json!(null)));
    assert_eq!(guest.call(json!({"fname": "job_keepalive", "job_id": job})), Err(1002));
    guest.close();
    drop(house);
}

#[test]
fn frames_are_answered_by_frames_and_texts_by_texts() {
    let (_house, web) = house();
    let mut guest = Web::guest(web);
    let question = guest.message(json!([{"fname": "get_version"}]));
    for _ in 0..3 {
        guest.say_message(Message::binary(framed(&question)));
        let Some(Message::Binary(frame)) = guest.hear_message() else { panic!("a frame") };
        let by_frame = unframed(&frame);
        guest.say_json(&question);
        let Some(Message::Text(text)) = guest.hear_message() else { panic!("a text") };
        assert_eq!(by_frame, serde_json::from_str::<Value>(&text).expect("JSON"));
        assert_eq!(by_frame["data"][0]["fname"], "get_version");
    }
}

#[test]
fn one_session_speaks_at_every_door_and_socket() {
    let (house, web) = house();
    let mut tcp = Socket::guest(house.address);
    let job = tcp.call(json!({"fname": "create_job", "boards": 1})).expect("a job");
    for _ in 0..2 {
        let mut other = Web::open(web, "/socket");
        other.hear().expect("a greeting");
        other.session = tcp.session.clone();
        assert_eq!(other.call(json!({"fname": "get_job", "job_id": job})).expect("a job")["job_id"], job);
    }
    let answer = post(web, &json!({"session": tcp.session, "name": "t", "data": [{"fname": "get_version"}]}));
    assert_eq!((answer.status, answer.header("content-type")), (200, "application/json"));
    assert_eq!(answer.json()["session"], tcp.session);
    assert_eq!(tcp.ask(json!("logout"))["data"], "logout");
    let over = post(web, &json!({"session": tcp.session, "name": "t", "data": [{"fname": "get_version"}]}));
    assert_eq!((over.status, over.json()["error"]["code"].as_u64()), (200, Some(408)));
}

#[test]
fn one_message_at_a_time_goes_all_the_way() {
    let (house, web) = house();
    let say = |session: &str, data: Value| {
        post(web, &json!({"session": session, "name": "t", "data": data, "__id__": "x"})).json()
    };
    let password = house.admin_password.as_deref().expect("a password");
    let hello = say("", json!({"user": "admin", "password": password}));
    assert_eq!((&hello["data"], &hello["__id__"]), (&json!("Authenticated"), &json!("x")));
    let session = hello["session"].as_str().expect("a session");
    let made =
        say(session, json!([{"fname": "create_job", "boards": 1}, {"fname": "get_job_state", "job_id": 1}]));
    assert_eq!((&made["data"][0]["data"], made["data"][1]["data"]["state"].is_u64()), (&json!(1), true));
    let waited = say(session, json!([{"fname": "wait_job", "job_id": 1, "timeout": 60}]));
    assert_eq!(waited["data"][0]["data"]["state_name"], "ready");
    assert_eq!(say("", json!({"user": "admin", "password": "wrong"}))["error"]["code"], 411);
    assert_eq!(say("nobody", json!([]))["error"]["code"], 407);
    assert_eq!(say("", json!("requestauth"))["data"]["version"]["core"][0], 0);
}

#[test]
fn what_is_no_message_is_refused_as_at_the_native_door() {
    let (_house, web) = house();
    for (body, code) in [("{", 900), ("[]", 403), ("{\"session\":\"\"}", 403), ("\u{feff}{}", 900)] {
        let answer = ask(web, "POST", "/api", &["content-type: application/json; charset=utf-8"], body);
        assert_eq!((answer.status, answer.json()["error"]["code"].as_u64()), (200, Some(code)), "{body}");
    }
    let mut guest = Web::guest(web);
    let good = framed(&guest.message(json!([{"fname": "get_version"}])));
    for (message, code) in [
        (Message::text("{"), 900),
        (Message::binary(b"<EOF>".to_vec()), 900),
        (Message::binary(b"junk<EOF>".to_vec()), 410),
        (Message::binary(good[..good.len() - 1].to_vec()), 410),
        (Message::binary([good.clone(), good.clone()].concat()), 403),
        (Message::binary([good.clone(), b"x".to_vec()].concat()), 403),
        (Message::binary(Vec::new()), 410),
    ] {
        let (binary, shown) = (message.is_binary(), format!("{message:?}"));
        guest.say_message(message);
        let answer = guest.hear_message().expect("an answer");
        assert_eq!(answer.is_binary(), binary, "{shown}");
        let answer = if binary {
            unframed(&answer.into_data())
        } else {
            serde_json::from_slice(&answer.into_data()).expect("JSON")
        };
        assert_eq!(answer["error"]["code"], code, "{shown}");
    }
    guest.say_message(Message::binary(good));
    assert_eq!(guest.hear().expect("it goes on")["data"][0]["fname"], "get_version");
}

#[test]
fn an_answer_with_an_id_need_not_wait_and_others_keep_their_order() {
    let (_house, web) = house();
    let mut guest = Web::guest(web);
    let all = json!({"fname": "create_job", "machine": "devices", "boards": 8});
    let job = guest.call(all.clone()).expect("a job");
    let queued = guest.call(all).expect("another");
    let mut say = |id: Value, data: Value| {
        let mut message = guest.message(data);
        if !id.is_null() {
            message["__id__"] = id;
        }
        guest.say_json(&message);
    };
    say(json!(1), json!([{"fname": "wait_job", "job_id": queued, "timeout": 3600}]));
    say(json!(2), json!([{"fname": "get_version"}]));
    say(json!(null), json!([{"fname": "destroy_job", "job_id": job}]));
    say(json!(null), json!([{"fname": "get_version"}]));
    let mut heard: Vec<Value> = (0..4).map(|_| guest.hear().expect("an answer")).collect();
    let at = |id: Value| heard.iter().position(|answer| answer["__id__"] == id).expect("it was answered");
    assert!(at(json!(2)) < at(json!(1)), "{heard:?}");
    heard.retain(|answer| answer["__id__"].is_null());
    let order: Vec<_> =
        heard.iter().map(|answer| answer["data"][0]["fname"].as_str().expect("a name")).collect();
    assert_eq!(order, ["destroy_job", "get_version"]);
}

#[test]
fn pushes_come_in_the_form_of_what_was_said_last() {
    let (house, web) = house();
    let mut guest = Web::guest(web);
    guest.call(json!({"fname": "notify_job"})).expect("watched");
    let mut other = Socket::guest(house.address);
    let job = other.call(json!({"fname": "create_job", "boards": 1})).expect("a job");
    let Some(Message::Text(text)) = guest.hear_message() else { panic!("a text") };
    let notice: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(
        (&notice["__event__"], &notice["data"]["jobs_changed"]),
        (&json!("jobs_changed"), &json!([job]))
    );
    other.call(json!({"fname": "wait_job", "job_id": job, "timeout": 60})).expect("a job");
    let question = framed(&guest.message(json!([{"fname": "get_version"}])));
    guest.say_message(Message::binary(question));
    // A push that was on its way before that is a text; the answer is the first frame.
    let answer = loop {
        match guest.hear_message() {
            Some(Message::Binary(frame)) => break unframed(&frame),
            Some(Message::Text(_)) => {}
            other => panic!("{other:?}"),
        }
    };
    assert!(answer["data"][0]["fname"] == "get_version" || answer["__event__"].is_string(), "{answer}");
    other.call(json!({"fname": "destroy_job", "job_id": job})).expect("it ends");
    match guest.hear_message() {
        Some(Message::Binary(frame)) => {
            let heard = unframed(&frame);
            let known = heard["data"][0]["fname"] == "get_version" || heard["__event__"].is_string();
            assert!(known, "{heard}");
        }
        other => panic!("texts end where frames begin: {other:?}"),
    }
}

#[test]
fn only_json_is_taken_and_only_from_pages_that_may() {
    let (_house, web) = house_with("origins = [\"https://lab.example\"]\n");
    let hello = json!({"session": "", "name": "t", "data": {}}).to_string();
    let own = format!("origin: http://{web}");
    for (lines, status) in [
        (vec!["content-type: application/json"], 200),
        (vec!["content-type: APPLICATION/JSON;charset=utf-8"], 200),
        (vec![], 415),
        (vec!["content-type: text/plain"], 415),
        (vec!["content-type: application/x-www-form-urlencoded"], 415),
        (vec!["content-type: application/jsonx"], 415),
        (vec!["content-type: application/json", own.as_str()], 200),
        (vec!["content-type: application/json", "origin: https://lab.example"], 200),
        (vec!["content-type: application/json", "origin: https://evil.example"], 403),
        (vec!["content-type: application/json", "origin: null"], 403),
        (vec!["content-type: application/json", "origin: https://lab.example.evil.example"], 403),
    ] {
        let answer = ask(web, "POST", "/api", &lines, &hello);
        assert_eq!(answer.status, status, "{lines:?}: {answer:?}");
        assert!(
            answer.header("access-control-allow-origin").is_empty() && answer.header("set-cookie").is_empty()
        );
    }
    for path in ["/socket", "/events"] {
        let open = |origin: &str| Web::open_for(web, path, Some(origin)).map(drop);
        assert_eq!(open(&format!("http://{web}")), Ok(()), "{path}");
        assert_eq!(open("https://lab.example"), Ok(()), "{path}");
        assert_eq!(open("https://evil.example"), Err(403), "{path}");
        assert_eq!(open("null"), Err(403), "{path}");
    }
}

#[test]
fn a_page_whose_host_is_a_name_cannot_come_in_by_loopback() {
    let (_house, web) = house();
    let hello = json!({"session": "", "name": "t", "data": {}}).to_string();
    let mut lines = vec!["content-type: application/json", "origin: http://evil.example"];
    assert_eq!(ask(web, "POST", "/api", &lines, &hello).status, 403);
    // The owner of the name lets it stand for our address: then host and origin agree.
    lines.push("host: evil.example");
    assert_ne!(ask(web, "POST", "/api", &lines, &hello).status, 200);
}

#[test]
fn the_end_is_told_to_all() {
    let (mut house, web) = house();
    let (mut guest, mut stranger) = (Web::guest(web), Web::open(web, "/socket"));
    stranger.hear().expect("a greeting");
    let (mut looking, _) = Web::events(web, &guest.session, None);
    let mut admin = house.admin();
    assert_eq!(admin.ask(json!("serverquit"))["data"], "serverquit");
    drop(admin);
    for web in [&mut guest, &mut stranger] {
        assert_eq!(web.hear().expect("the broadcast")["data"], "serverquit");
        assert_eq!(web.hear(), None);
    }
    assert_eq!(looking.hear(), None);
    drop((guest, stranger, looking));
    let ticking = Ticking::start(&house.clock, 20);
    assert_eq!(house.ended().expect("a good end"), End::Quit);
    drop(ticking);
}

#[test]
fn an_administrator_ends_the_server_from_a_page() {
    let (mut house, web) = house();
    let password = house.admin_password.clone().expect("a password");
    let mut guest = Web::guest(web);
    assert_eq!(guest.ask(json!("serverrestart"))["error"]["code"], 413);
    let mut admin = Web::open(web, "/socket");
    admin.hear().expect("a greeting");
    admin.ask(json!({"user": "admin", "password": password}));
    assert_eq!(admin.ask(json!("serverrestart"))["data"], "serverrestart");
    assert_eq!(admin.hear(), None);
    assert_eq!(guest.hear().expect("the broadcast")["data"], "serverrestart");
    drop((admin, guest));
    let ticking = Ticking::start(&house.clock, 20);
    assert_eq!(house.ended().expect("a good end"), End::Restart);
    drop(ticking);
}

#[test]
fn sessions_and_jobs_are_found_again_after_a_restart() {
    let (house, web) = house();
    let mut guest = Web::guest(web);
    let job = guest.call(json!({"fname": "create_job", "boards": 1, "keepalive": null})).expect("a job");
    let session = guest.session.clone();
    drop(guest);
    let house: House = house.reopen_on(&config(""));
    let mut guest = Web::open(house.web.expect("a web door"), "/socket");
    guest.hear().expect("a greeting");
    guest.session = session;
    assert_eq!(guest.call(json!({"fname": "get_job", "job_id": job})).expect("a job")["job_id"], job);
}
