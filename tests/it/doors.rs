//! Stories told through the native door, against the whole house.

use crate::house::{House, LAB, Ticking};
use crate::socket::{Socket, framed};
use berth::journal::JournalError;
use berth::server::End;
use serde_json::{Value, json};

fn create(socket: &mut Socket, more: Value) -> u64 {
    let mut call = json!({"fname": "create_job"});
    call.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    socket.call(call).expect("a job").as_u64().expect("its number")
}

fn wait_ready(socket: &mut Socket, job: u64) -> Value {
    let held = socket.call(json!({"fname": "wait_job", "job_id": job, "timeout": 60})).expect("a job");
    assert_eq!(held["state_name"], "ready", "{held}");
    held
}

#[test]
fn two_sockets_share_a_session_and_a_job_lives_its_whole_life() {
    let house = House::open();
    let mut first = Socket::guest(house.address);
    let (mut second, _) = Socket::open(house.address);
    second.session = first.session.clone();
    let job = create(&mut first, json!({"width": 2, "height": 1}));
    assert_eq!(wait_ready(&mut second, job)["boards"].as_array().map(Vec::len), Some(6));
    assert_eq!(second.call(json!({"fname": "power_off_job_boards", "job_id": job})), Ok(json!(null)));
    assert_eq!(wait_ready(&mut second, job)["power"], false);
    drop(first);
    assert_eq!(
        second.call(json!({"fname": "destroy_job", "job_id": job, "reason": "done"})),
        Ok(json!(null))
    );
    assert_eq!(second.call(json!({"fname": "job_keepalive", "job_id": job})), Err(1002));
    let status = second.call(json!({"fname": "get_status"})).expect("the status");
    assert_eq!(status["boards"]["lent"], 0);
}

#[test]
fn whoever_was_answered_finds_the_write_counted() {
    let house = House::open();
    let mut socket = Socket::guest(house.address);
    let mut counts = || socket.call(json!({"fname": "get_status"})).expect("the status")["journal"].clone();
    let before = counts();
    create(&mut Socket::guest(house.address), json!({"boards": 1}));
    let after = counts();
    let grown = |key: &str| after[key].as_u64() > before[key].as_u64();
    assert!(grown("appends") && grown("facts"), "{before} then {after}");
    assert_eq!(after["expired"], 0);
}

#[test]
fn the_calls_of_one_message_see_each_other_and_one_failure_spoils_only_itself() {
    let house = House::open();
    let mut socket = Socket::guest(house.address);
    let answer = socket.ask(json!([
        {"fname": "create_job", "boards": 1}, {"fname": "nope"}, {"fname": "get_job_state", "job_id": 1},
        {"fname": "create_job", "boards": "many"}, {"fname": "destroy_job", "job_id": 1}, {"fname": "get_job_state", "job_id": 1}
    ]));
    let entries = answer["data"].as_array().expect("a list");
    let codes: Vec<_> = entries.iter().map(|entry| entry["error"]["code"].as_u64()).collect();
    assert_eq!(codes, [None, Some(403), None, Some(404), None, None]);
    assert_eq!(entries[0]["data"], 1);
    assert_eq!((&entries[2]["data"]["state"], &entries[5]["data"]["state"]), (&json!(2), &json!(4)));
    assert_eq!(socket.ask(json!([{"fname": "get_version"}, 5]))["error"]["code"], 403);
    assert_eq!(socket.ask(json!([]))["data"], json!([]));
}

#[test]
fn pipelined_messages_are_answered_in_order_and_see_what_came_before() {
    let house = House::open();
    let mut socket = Socket::guest(house.address);
    let message = |data: Value| framed(&json!({"session": socket.session, "name": "t", "data": data}));
    let mut bytes = Vec::new();
    for round in 1..=20 {
        bytes.extend(message(json!([{"fname": "create_job", "boards": 1}])));
        bytes.extend(message(json!([{"fname": "get_job", "job_id": round}])));
        bytes.extend(message(json!([{"fname": "get_version"}])));
    }
    socket.say_bytes(&bytes);
    for round in 1..=20 {
        assert_eq!(socket.hear().expect("an answer")["data"][0]["data"], round);
        assert_eq!(socket.hear().expect("an answer")["data"][0]["data"]["job_id"], round);
        assert_eq!(socket.hear().expect("an answer")["data"][0]["fname"], "get_version");
    }
}

#[test]
fn an_answer_with_an_id_need_not_wait_for_a_slow_one() {
    let house = House::open();
    let mut socket = Socket::guest(house.address);
    let job = create(&mut socket, json!({"width": 4, "height": 2}));
    let blocked = create(&mut socket, json!({"width": 4, "height": 2}));
    let ask = |id: Value, data: Value| {
        framed(&json!({"__id__": id, "session": socket.session, "name": "t", "data": data}))
    };
    let mut bytes = ask(json!("slow"), json!([{"fname": "wait_job", "job_id": blocked, "timeout": 600}]));
    bytes.extend(ask(json!(7), json!([{"fname": "get_version"}])));
    bytes.extend(ask(json!(8), json!([{"fname": "destroy_job", "job_id": job}])));
    socket.say_bytes(&bytes);
    let ids: Vec<_> = (0..3).map(|_| socket.hear().expect("an answer")["__id__"].clone()).collect();
    assert_eq!(ids.len(), 3);
    assert_eq!(ids[2], "slow", "{ids:?}");
    assert!(ids.contains(&json!(7)) && ids.contains(&json!(8)));
}

#[test]
fn half_a_close_is_answered_in_full() {
    let house = House::open();
    let mut socket = Socket::guest(house.address);
    socket.say(json!([{"fname": "create_job", "boards": 1}]));
    socket.say(json!([{"fname": "get_version"}]));
    socket.hang_up();
    assert_eq!(socket.hear().expect("an answer")["data"][0]["data"], 1);
    assert_eq!(socket.hear().expect("an answer")["data"][0]["fname"], "get_version");
    assert_eq!(socket.hear(), None);
}

#[test]
fn only_who_asked_hears_of_changes() {
    let house = House::open();
    let (mut watcher, mut other) = (Socket::guest(house.address), Socket::guest(house.address));
    assert_eq!(watcher.call(json!({"fname": "notify_job"})), Ok(json!(null)));
    let job = create(&mut other, json!({"boards": 1}));
    let event = watcher.hear().expect("an event");
    assert_eq!(
        (&event["__event__"], &event["data"]),
        (&json!("jobs_changed"), &json!({"jobs_changed": [job]}))
    );
    assert_eq!(event["session"], watcher.session);
    assert!(event.get("__id__").is_none());
    wait_ready(&mut other, job);
    assert_eq!(other.call(json!({"fname": "get_version"})).map(|_| ()), Ok(()));
}

#[test]
fn a_keepalive_lapses_when_nobody_mentions_the_job() {
    let house = House::open();
    let (mut admin, mut socket) = (house.admin(), Socket::guest(house.address));
    let job = create(&mut socket, json!({"boards": 1, "keepalive": 10}));
    let lasting = create(&mut socket, json!({"boards": 1, "keepalive": null}));
    wait_ready(&mut socket, lasting);
    for _ in 0..5 {
        house.clock.advance(8_000);
        assert_eq!(socket.call(json!({"fname": "job_keepalive", "job_id": job})), Ok(json!(null)));
    }
    house.clock.advance(10_001);
    // Somebody else must look: when its owner waits for a job, that is a sign of life.
    let over = admin.call(json!({"fname": "wait_job", "job_id": job, "state": "destroyed"})).expect("a job");
    assert_eq!(over["reason"], "keepalive lapsed");
    assert_eq!(
        socket.call(json!({"fname": "get_job_state", "job_id": lasting})).expect("a state")["state"],
        3
    );
}

#[test]
fn roles_and_owners_are_respected() {
    let house = House::open().with_known_users();
    let mut admin = Socket::user(house.address, "admin", "s3cret");
    let (mut alice, mut guest) =
        (Socket::user(house.address, "alice", "wonder"), Socket::guest(house.address));
    let job = create(&mut alice, json!({"boards": 1}));
    assert_eq!(guest.call(json!({"fname": "destroy_job", "job_id": job})), Err(413));
    assert_eq!(guest.call(json!({"fname": "job_keepalive", "job_id": job})), Err(413));
    assert_eq!(alice.call(json!({"fname": "create_job", "priority": 1})), Err(413));
    assert_eq!(alice.call(json!({"fname": "list_users"})), Err(413));
    assert_eq!(alice.ask(json!("serverquit"))["error"]["code"], 413);
    assert_eq!(admin.call(json!({"fname": "delete_user", "user": "admin"})), Err(1022));
    assert_eq!(admin.call(json!({"fname": "destroy_job", "job_id": job})), Ok(json!(null)));
    assert_eq!(admin.call(json!({"fname": "delete_user", "user": "alice"})), Ok(json!(null)));
    assert_eq!(alice.call(json!({"fname": "get_version"})), Err(408));
}

#[test]
fn a_session_ends_by_logout_and_stays_ended() {
    let house = House::open();
    let mut socket = Socket::guest(house.address);
    let session = socket.session.clone();
    assert_eq!(socket.ask(json!("logout"))["data"], "logout");
    socket.session = session.clone();
    assert_eq!(socket.call(json!({"fname": "get_version"})), Err(408));
    let house = house.reopen();
    let (mut socket, _) = Socket::open(house.address);
    socket.session = session;
    assert_eq!(socket.call(json!({"fname": "get_version"})), Err(408));
    socket.session = "0123456789abcdef0123456789abcdef".to_owned();
    assert_eq!(socket.call(json!({"fname": "get_version"})), Err(407));
    socket.session = String::new();
    assert_eq!(socket.call(json!({"fname": "get_version"})), Err(407));
}

#[test]
fn everything_is_found_again_after_a_restart() {
    let house = House::open();
    let mut socket = Socket::guest(house.address);
    let (running, waiting) =
        (create(&mut socket, json!({"width": 4, "height": 2})), create(&mut socket, json!({"boards": 1})));
    wait_ready(&mut socket, running);
    let before = socket.call(json!({"fname": "get_job", "job_id": running})).expect("a job");
    let session = socket.session.clone();
    house.clock.advance(50_000);
    let house = house.reopen();
    let (mut socket, _) = Socket::open(house.address);
    socket.session = session;
    let after = socket.call(json!({"fname": "get_job", "job_id": running})).expect("a job");
    assert_eq!((&before["boards"], &before["grant"]), (&after["boards"], &after["grant"]));
    let queued = socket.call(json!({"fname": "get_job", "job_id": waiting})).expect("a job");
    assert_eq!(queued["state_name"], "queued", "{queued}");
    house.clock.advance(50_000);
    assert_eq!(
        socket.call(json!({"fname": "get_job_state", "job_id": running})).expect("a state")["state"],
        3
    );
    assert_eq!(socket.call(json!({"fname": "destroy_job", "job_id": running})), Ok(json!(null)));
    wait_ready(&mut socket, waiting);
}

#[test]
fn serverquit_is_told_to_all_and_keeps_the_boards_lent() {
    let mut house = House::open();
    let (mut silent, _) = Socket::open(house.address);
    let mut holder = Socket::guest(house.address);
    let job = create(&mut holder, json!({"boards": 1}));
    wait_ready(&mut holder, job);
    let mut admin = house.admin();
    assert_eq!(admin.ask(json!("ServerQuit"))["data"], "serverquit");
    assert_eq!(silent.hear().expect("the broadcast")["data"], "serverquit");
    let told = holder.hear().expect("the broadcast");
    assert_eq!((&told["data"], &told["session"]), (&json!("serverquit"), &json!(holder.session)));
    drop((admin, silent));
    let session = std::mem::take(&mut holder.session);
    drop(holder);
    assert_eq!(house.ended().expect("a good end"), End::Quit);
    let house = House::on(LAB, house.journal.clone(), house.clock.clone());
    let (mut socket, _) = Socket::open(house.address);
    socket.session = session;
    assert_eq!(socket.call(json!({"fname": "get_job_state", "job_id": job})).expect("a state")["state"], 3);
}

#[test]
fn who_does_not_read_cannot_hold_up_the_end() {
    let mut house = House::open();
    let mut deaf = Socket::guest(house.address);
    for _ in 0..200 {
        deaf.say(json!([{"fname": "list_functions"}]));
    }
    let mut admin = house.admin();
    assert_eq!(admin.ask(json!(1))["data"], "serverquit");
    drop(admin);
    let ticking = Ticking::start(&house.clock, 500);
    assert_eq!(house.ended().expect("a good end"), End::Quit);
    drop((ticking, deaf));
}

#[test]
fn a_full_journal_refuses_changes_and_answers_questions() {
    let house = House::open();
    let mut socket = Socket::guest(house.address);
    let job = create(&mut socket, json!({"boards": 1}));
    wait_ready(&mut socket, job);
    house.journal.set_fault(Some(JournalError::Full("no space left".to_owned())));
    assert_eq!(socket.call(json!({"fname": "create_job", "boards": 1})), Err(1032));
    assert_eq!(socket.call(json!({"fname": "destroy_job", "job_id": job})), Err(1032));
    assert_eq!(socket.call(json!({"fname": "get_job_state", "job_id": job})).expect("a state")["state"], 3);
    house.journal.set_fault(None);
    house.clock.advance(1_000);
    assert_eq!(socket.call(json!({"fname": "destroy_job", "job_id": job})), Ok(json!(null)));
    assert_eq!(create(&mut socket, json!({"boards": 1})), job + 1, "a refused creation uses no number");
}

#[test]
fn a_broken_journal_ends_the_house() {
    let mut house = House::open();
    let mut socket = Socket::guest(house.address);
    house.journal.set_fault(Some(JournalError::Broken("the disk is gone".to_owned())));
    // Whether it was kept is known at the next start only, so it is not said that nothing was changed.
    assert_eq!(socket.call(json!({"fname": "create_job", "boards": 1})), Err(100));
    drop(socket);
    let ended = house.ended().expect_err("a bad end");
    assert!(ended.to_string().contains("the disk is gone"), "{ended}");
}

/// Goes over a limit and answers the code of the error.
type Provoke = fn(&House) -> u64;

/// A house in which a limit is low.
fn limited(limit: &str) -> House {
    House::with(&format!("{LAB}\n[limits]\n{limit}\n"))
}

#[test]
fn each_limit_has_its_error() {
    let rows: &[(&str, u64, Provoke)] = &[
        ("frame_bytes_max = 1024", 1100, |house| root(house, &json!([{"fname": "a", "x": scrambled(4000)}]))),
        ("body_bytes_max = 1024", 1101, |house| root(house, &json!([{"fname": "a", "x": "x".repeat(4000)}]))),
        ("calls_max = 2", 1103, |house| {
            root(house, &json!([{"fname": "a"}, {"fname": "a"}, {"fname": "a"}]))
        }),
        ("json_depth_max = 8", 1104, |house| root(house, &json!([{"fname": "a", "x": [[[[[[[[1]]]]]]]]}]))),
        ("connections_max = 1", 1105, |house| refused_greeting(house)),
        ("connections_per_address_max = 1", 1106, |house| refused_greeting(house)),
        ("answer_bytes_max = 2000", 1111, |house| entry(house, json!({"fname": "list_functions"}))),
        ("sessions_per_user_max = 1", 1110, |house| second_guest(house)),
        ("jobs_max = 1", 1114, |house| second_job(house)),
        ("jobs_per_owner_max = 1", 1115, |house| second_job(house)),
        ("keepalive_s_max = 100", 1117, |house| {
            entry(house, json!({"fname": "create_job", "keepalive": 101}))
        }),
        ("watches_max = 1", 1118, |house| {
            let mut socket = Socket::guest(house.address);
            assert_eq!(socket.call(json!({"fname": "notify_job", "job_id": 1})), Ok(json!(null)));
            socket.call(json!({"fname": "notify_job", "job_id": 2})).expect_err("one too many")
        }),
        ("waits_max = 1", 1119, |house| {
            let mut socket = Socket::guest(house.address);
            let whole = json!({"width": 4, "height": 2, "keepalive": null});
            create(&mut socket, whole.clone());
            let wait = json!({"fname": "wait_job", "job_id": create(&mut socket, whole), "timeout": 60});
            let _ticking = Ticking::start(&house.clock, 1_000);
            let data = socket.ask(json!([wait, wait]))["data"].clone();
            data[1]["error"]["code"].as_u64().unwrap_or(0)
        }),
        ("users_max = 1", 1120, |house| {
            let call = json!({"fname": "create_user", "user": "bob", "password": "secret"});
            house.admin().call(call).expect_err("one too many")
        }),
    ];
    for (limit, code, provoke) in rows {
        let house = limited(limit);
        assert_eq!(provoke(&house), *code, "{limit}");
    }
}

/// A text that does not get smaller by compressing it.
fn scrambled(bytes: u64) -> String {
    let mixed = |at: u64| {
        (at ^ (at >> 5))
            .wrapping_mul(0x9e37_79b9_7f4a_7c15)
            .rotate_left(29)
            .wrapping_mul(0xbf58_476d_1ce4_e5b9)
            >> 58
    };
    let digit = |at: u64| char::from(b'!' + mixed(at) as u8);
    (0..bytes).map(digit).filter(|char| !matches!(char, '"' | '\\')).collect()
}

/// The code of the root error that a message gets.
fn root(house: &House, data: &Value) -> u64 {
    let (mut socket, _) = Socket::open(house.address);
    socket.ask(json!({}));
    socket.ask(data.clone())["error"]["code"].as_u64().unwrap_or(0)
}

/// The code of the error that a call gets.
fn entry(house: &House, call: Value) -> u64 {
    Socket::guest(house.address).call(call).expect_err("over the limit")
}

fn refused_greeting(house: &House) -> u64 {
    let _first = Socket::open(house.address);
    let (mut second, greeting) = Socket::open(house.address);
    assert_eq!(second.hear(), None, "a connection that is refused is closed");
    greeting["error"]["code"].as_u64().unwrap_or(0)
}

fn second_guest(house: &House) -> u64 {
    let _first = Socket::guest(house.address);
    let (mut second, _) = Socket::open(house.address);
    second.ask(json!({}))["error"]["code"].as_u64().unwrap_or(0)
}

fn second_job(house: &House) -> u64 {
    let mut socket = Socket::guest(house.address);
    create(&mut socket, json!({"boards": 1}));
    socket.call(json!({"fname": "create_job", "boards": 1})).expect_err("one too many")
}

#[test]
fn silence_before_a_session_is_bounded() {
    let house = House::open();
    let (mut idle, _) = Socket::open(house.address);
    let (mut begun, _) = Socket::open(house.address);
    begun.say_bytes(&framed(&json!({"session": "", "name": "t", "data": {}}))[..20]);
    let mut codes = Vec::new();
    for socket in [&mut begun, &mut idle] {
        let _ticking = Ticking::start(&house.clock, 5_000);
        codes.push(socket.hear().expect("an error")["error"]["code"].clone());
        assert_eq!(socket.hear(), None);
    }
    assert_eq!(codes, [json!(1107), json!(1108)]);
}

#[test]
fn wrong_passwords_are_slowed_down() {
    let house = House::open().with_known_users();
    let (mut socket, _) = Socket::open(house.address);
    let mut codes = Vec::new();
    for _ in 0..12 {
        codes.push(socket.ask(json!({"user": "alice", "password": "wrong"}))["error"]["code"].as_u64());
    }
    assert_eq!(codes[0], Some(411));
    assert_eq!(codes[11], Some(1113), "{codes:?}");
    house.clock.advance(24 * 3_600_000);
    Socket::user(house.address, "alice", "wonder");
}

#[test]
fn a_drained_service_takes_no_jobs_and_says_why() {
    let house = House::open();
    let (mut admin, mut guest) = (house.admin(), Socket::guest(house.address));
    let call = json!({"fname": "set_service", "accept": false, "reason": "moving house"});
    assert_eq!(admin.call(call), Ok(json!(null)));
    assert_eq!(guest.call(json!({"fname": "create_job"})), Err(1030));
    assert_eq!(guest.call(json!({"fname": "get_status"})).expect("the status")["reason"], "moving house");
    assert_eq!(admin.call(json!({"fname": "set_service", "accept": true})), Ok(json!(null)));
    create(&mut guest, json!({}));
}

#[test]
fn boards_can_be_asked_and_taken_out_of_use() {
    let house = House::open();
    let (mut admin, mut guest) = (house.admin(), Socket::guest(house.address));
    let job = create(&mut guest, json!({"serials": ["devices-3"], "machine": "devices"}));
    wait_ready(&mut guest, job);
    let board = |fname: &str| json!({"fname": fname, "serial": "devices-3"});
    assert_eq!(guest.call(board("identify_board")), Ok(json!(null)));
    assert!(
        guest
            .call(board("read_board_sensors"))
            .expect("sensors")
            .as_object()
            .is_some_and(|all| !all.is_empty())
    );
    assert_eq!(guest.call(json!({"fname": "identify_board", "serial": "devices-4"})), Err(413));
    let mut call = board("set_board_state");
    call["state"] = "maintenance".into();
    call["reason"] = "new firmware".into();
    let marked = admin.call(call).expect("a board");
    assert_eq!((&marked["state"], &marked["marked"]), (&json!("lent"), &json!("maintenance")));
    assert_eq!(guest.call(json!({"fname": "destroy_job", "job_id": job})), Ok(json!(null)));
    while admin.call(board("get_board")).expect("a board")["state"] != "maintenance" {}
    let mut call = board("set_board_state");
    call["state"] = "free".into();
    assert_eq!(admin.call(call).expect("a board")["state"], "free");
}

#[test]
fn many_lists_in_one_message_cannot_fill_the_memory() {
    let house = House::with(&format!("{LAB}\n[limits]\nanswer_bytes_max = 65536\n"));
    let mut socket = Socket::guest(house.address);
    for _ in 0..20 {
        create(&mut socket, json!({"boards": 1, "keepalive": null}));
    }
    let mut calls = vec![json!({"fname": "list_jobs"}); 500];
    for first in [json!({"fname": "get_version"}), json!({"fname": "create_job"})] {
        calls[0] = first;
        let answer = socket.ask(json!(calls));
        let entries = answer["data"].as_array().expect("a list");
        let refused = entries.iter().filter(|entry| entry["error"]["code"] == 1111).count();
        assert!(entries.len() == 500 && refused > 400 && entries[1]["error"].is_null(), "{refused} refused");
    }
}

#[test]
fn silence_after_a_refused_hand_shake_is_bounded() {
    let house = House::open();
    let (mut socket, _) = Socket::open(house.address);
    assert_eq!(socket.ask(json!({"user": "nobody", "password": "wrong"}))["error"]["code"], 411);
    let _ticking = Ticking::start(&house.clock, 5_000);
    assert_eq!(socket.hear().expect("an error")["error"]["code"], 1108);
    assert_eq!(socket.hear(), None);
}

#[test]
fn a_frame_cut_short_is_refused_when_nothing_can_follow() {
    let house = House::open();
    let mut socket = Socket::guest(house.address);
    let whole = framed(&json!({"session": socket.session, "name": "t", "data": [{"fname": "get_version"}]}));
    socket.say_bytes(&[&whole[..30], b"<EOF>"].concat());
    socket.hang_up();
    assert_eq!(socket.hear().expect("an error")["error"]["code"], 410);
    assert_eq!(socket.hear(), None);
}

#[test]
fn who_was_not_let_in_hears_of_no_changes() {
    let house = House::open();
    let (mut stranger, _) = Socket::open(house.address);
    let claim = json!({"user": "nobody", "password": "wrong"});
    stranger.say_bytes(&framed(&json!({"session": "", "name": "t", "data": claim, "__caps__": ["notices"]})));
    assert_eq!(stranger.hear().expect("a refusal")["error"]["code"], 411);
    let mut guest = Socket::guest(house.address);
    let job = create(&mut guest, json!({"boards": 1}));
    wait_ready(&mut guest, job);
    let answer = stranger.ask(json!("requestauth"));
    assert!(answer.get("__event__").is_none(), "{answer}");
}

#[test]
fn signs_of_life_and_lists_of_sessions_see_what_came_before_them() {
    let house = House::open();
    let mut socket = Socket::guest(house.address);
    let (create, keep) =
        (json!({"fname": "create_job", "boards": 1}), json!({"fname": "job_keepalive", "job_id": 1}));
    let answer = socket.ask(json!([keep, create, keep]));
    let codes: Vec<_> = (0..3).map(|at| answer["data"][at]["error"]["code"].as_u64()).collect();
    assert_eq!(codes, [Some(1001), None, None], "{answer}");
    let message = |data: Value| framed(&json!({"session": socket.session, "name": "t", "data": data}));
    let keep = json!({"fname": "job_keepalive", "job_id": 2});
    let bytes = [message(json!([create])), message(json!([keep]))].concat();
    socket.say_bytes(&bytes);
    assert_eq!(socket.hear().expect("an answer")["data"][0]["data"], 2);
    assert_eq!(socket.hear().expect("an answer")["data"][0].get("error"), None);
    let mut other = Socket::guest(house.address);
    let answer =
        other.ask(json!([{"fname": "end_session", "session": socket.session}, {"fname": "list_sessions"}]));
    assert_eq!(answer["data"][1]["data"].as_array().map(Vec::len), Some(1), "{answer}");
}

#[test]
fn a_wait_of_a_peer_that_may_be_gone_keeps_no_job_alive() {
    let house = House::open();
    let mut socket = Socket::guest(house.address);
    let job = create(&mut socket, json!({"boards": 1, "keepalive": 10}));
    socket.say(json!([{"fname": "wait_job", "job_id": job, "state": "destroyed", "timeout": 600}]));
    socket.hang_up();
    let _ticking = Ticking::start(&house.clock, 1_000);
    let answer = socket.hear().expect("an answer");
    assert_eq!(answer["data"][0]["data"]["reason"], "keepalive lapsed", "{answer}");
}

#[test]
fn a_password_that_was_changed_while_it_was_checked_opens_nothing() {
    let house = House::open().with_known_users();
    let mut admin = Socket::user(house.address, "admin", "s3cret");
    for round in 0..6 {
        let password = |number: u32| format!("wonder-{number}");
        let set = |number| json!({"fname": "set_password", "user": "alice", "password": password(number)});
        assert_eq!(admin.call(set(round)), Ok(json!(null)));
        let (mut alice, _) = Socket::open(house.address);
        alice.say(json!({"user": "alice", "password": password(round)}));
        assert_eq!(admin.call(set(round + 1)), Ok(json!(null)));
        // Whether she came before or after: the old password gives no session that lives.
        let answer = alice.hear().expect("an answer");
        alice.session = answer["session"].as_str().expect("a session").to_owned();
        let living = answer["data"] == "Authenticated" && alice.call(json!({"fname": "whoami"})).is_ok();
        assert!(!living, "{answer}");
    }
}
