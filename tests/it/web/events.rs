//! What changed, with a cursor: nothing is missed by who goes away and comes back, or that is said.

use super::{config, house, house_with};
use crate::socket::Socket;
use crate::web_socket::Web;
use serde_json::{Value, json};
use std::collections::BTreeSet;

fn create(socket: &mut Socket) -> u64 {
    let made = socket.call(json!({"fname": "create_job", "boards": 1, "keepalive": null}));
    made.expect("a job").as_u64().expect("its number")
}

fn cursor_of(message: &Value) -> String {
    message["cursor"].as_str().unwrap_or_else(|| panic!("a cursor: {message}")).to_owned()
}

fn jobs_of(message: &Value) -> BTreeSet<u64> {
    message["jobs_changed"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|job| job.as_u64().expect("a number"))
        .collect()
}

/// Hears until all of these jobs changed; the last cursor.
fn hear_of(web: &mut Web, mut jobs: BTreeSet<u64>) -> String {
    loop {
        let message = web.hear().expect("a change");
        assert!(message["reset"].is_null(), "{message}");
        jobs_of(&message).iter().for_each(|job| {
            jobs.remove(job);
        });
        if jobs.is_empty() {
            return cursor_of(&message);
        }
    }
}

#[test]
fn changes_come_as_ids_with_a_cursor() {
    let (house, web) = house();
    let mut socket = Socket::guest(house.address);
    let (mut looking, first) = Web::events(web, &socket.session, None);
    assert_eq!(first.as_object().map(|all| all.len()), Some(1), "{first}");
    let job = create(&mut socket);
    let change = looking.hear().expect("a change");
    assert_eq!(jobs_of(&change), BTreeSet::from([job]), "{change}");
    assert!(change["machines_changed"].is_array() && cursor_of(&change) != cursor_of(&first));
}

#[test]
fn what_changed_while_nobody_looked_is_heard_afterwards() {
    let (house, web) = house();
    let mut socket = Socket::guest(house.address);
    let (looking, first) = Web::events(web, &socket.session, None);
    let mut cursor = cursor_of(&first);
    looking.close();
    let mut alive = Vec::new();
    // Each absence is another mixture of beginnings and ends; some are empty.
    for round in 0..12_u64 {
        let mut changed = BTreeSet::new();
        for step in 0..round % 4 {
            if (round + step) % 3 == 2 && !alive.is_empty() {
                let job = alive.remove(0);
                socket.call(json!({"fname": "destroy_job", "job_id": job})).expect("it ends");
                changed.insert(job);
            } else {
                let job = create(&mut socket);
                alive.push(job);
                changed.insert(job);
            }
        }
        let (mut looking, first) = Web::events(web, &socket.session, Some(&cursor));
        assert_eq!(cursor_of(&first), cursor, "it goes on where it stopped");
        // While it looks it hears at once.
        let job = create(&mut socket);
        alive.push(job);
        changed.insert(job);
        cursor = hear_of(&mut looking, changed);
        match round % 2 {
            0 => looking.close(),
            _ => drop(looking),
        }
    }
}

#[test]
fn the_cursor_may_stand_in_the_address() {
    let (house, web) = house();
    let mut socket = Socket::guest(house.address);
    let (looking, first) = Web::events(web, &socket.session, None);
    looking.close();
    let job = create(&mut socket);
    let mut looking = Web::open(web, &format!("/events?cursor={}", cursor_of(&first)));
    looking.say_json(&json!({"session": socket.session}));
    hear_of(&mut looking, BTreeSet::from([job]));
}

#[test]
fn what_is_not_known_any_more_is_said() {
    let (house, web) = house_with("changes_max = 16\n");
    let mut socket = Socket::guest(house.address);
    let reset = |session: &str, cursor: &str| {
        let (mut looking, _) = Web::events(web, session, Some(cursor));
        let message = looking.hear().expect("an answer");
        assert_eq!(message["reset"], true, "{message}");
        // From there on it goes on as ever.
        (cursor_of(&message), looking)
    };
    for cursor in ["", "x", "0-0-0", "ffffffffffffffff-1-1"] {
        let (cursor, mut looking) = reset(&socket.session, cursor);
        let (_, first) = Web::events(web, &socket.session, Some(&cursor));
        assert_eq!(cursor_of(&first), cursor);
        let job = create(&mut socket);
        hear_of(&mut looking, BTreeSet::from([job]));
    }
    let (_, first) = Web::events(web, &socket.session, None);
    for _ in 0..17 {
        create(&mut socket);
    }
    reset(&socket.session, &cursor_of(&first));
}

#[test]
fn another_run_of_the_server_knows_nothing_of_the_cursors_of_the_last() {
    let (house, web) = house();
    let socket = Socket::guest(house.address);
    let (looking, first) = Web::events(web, &socket.session, None);
    looking.close();
    let session = socket.session.clone();
    drop(socket);
    let house = house.reopen_on(&config(""));
    let (mut looking, _) = Web::events(house.web.expect("a web door"), &session, Some(&cursor_of(&first)));
    let message = looking.hear().expect("an answer");
    assert_eq!(message["reset"], true, "{message}");
    assert_ne!(cursor_of(&message), cursor_of(&first));
}

#[test]
fn only_who_has_a_session_looks_on_and_only_while_it_lasts() {
    let (house, web) = house();
    for session in ["", "nobody", "00000000000000000000000000000000"] {
        let (mut looking, first) = Web::events(web, session, None);
        assert_eq!(first["error"]["code"], 407, "{first}");
        assert_eq!(looking.hear(), None);
    }
    let mut silly = Web::open(web, "/events");
    silly.say_json(&json!(["nonsense"]));
    assert_eq!(silly.hear().expect("a refusal")["error"]["code"], 407);
    let (mut leaving, mut staying) = (Socket::guest(house.address), Socket::guest(house.address));
    let (mut looking, _) = Web::events(web, &leaving.session, None);
    leaving.ask(json!("logout"));
    create(&mut staying);
    assert_eq!(looking.hear().expect("a refusal")["error"]["code"], 408);
    assert_eq!(looking.hear(), None);
}

#[test]
fn it_says_now_and_then_that_it_lives() {
    let (house, web) = house_with("ping_s = 1\n");
    let socket = Socket::guest(house.address);
    let (mut looking, first) = Web::events(web, &socket.session, None);
    for _ in 0..2 {
        assert_eq!(looking.hear().expect("a beat"), json!({"heartbeat": true, "cursor": cursor_of(&first)}));
    }
}
