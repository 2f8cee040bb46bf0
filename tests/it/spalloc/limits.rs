//! Peers that say too much, too fast, too slowly or listen to nothing: they harm nobody else.

use super::{LAB, house, line};
use crate::house::{House, Ticking};
use crate::spalloc_line::{Line, call};
use serde_json::json;
use std::io::Write;

fn house_with(more: &str) -> House {
    House::with(&LAB.replace("[spalloc]\n", &format!("[spalloc]\n{more}\n")))
}

#[test]
fn an_endless_line_is_hung_up_on() {
    let house = house_with("line_bytes_max = 1024");
    let mut line = super::line(&house);
    let mut long = call("version", json!([]), json!({"client": "x".repeat(900)}));
    line.say(&long);
    assert_eq!(line.hear_json(), json!({"return": "1.0.0"}));
    long = call("version", json!([]), json!({"client": "x".repeat(1024)}));
    line.say(&long);
    assert_eq!(line.hear(), None);
    let mut line = super::line(&house);
    line.say("x".repeat(1025));
    assert_eq!(line.hear(), None);
}

#[test]
fn who_does_not_read_keeps_nobody_waiting() {
    const CALLS: usize = 20_000;
    let house = house();
    let (mut deaf, mut other) = (line(&house), line(&house));
    deaf.hang_up_later(call("list_machines", json!([]), json!({})).repeat(CALLS));
    for _ in 0..100 {
        other.get("version", json!([]));
    }
    // Nothing is lost when it reads after all.
    for _ in 0..CALLS {
        assert_eq!(deaf.hear_json()["return"][0]["name"], "m");
    }
}

impl Line {
    /// Says something while nothing is read, on a thread of its own.
    fn hang_up_later(&self, text: String) {
        let mut stream = self.half();
        std::thread::spawn(move || stream.write_all(text.as_bytes()));
    }
}

#[test]
fn calls_beyond_the_rate_wait_their_turn() {
    let house = house_with("rate_per_s = 2");
    let mut line = super::line(&house);
    line.say(call("version", json!([]), json!({})).repeat(6));
    assert_eq!((line.answer(), line.answer()), (json!({"return": "1.0.0"}), json!({"return": "1.0.0"})));
    assert!(line.is_silent());
    // Nobody else waits with it.
    assert_eq!(super::line(&house).get("version", json!([])), "1.0.0");
    house.clock.advance(500);
    assert_eq!(line.answer(), json!({"return": "1.0.0"}));
    assert!(line.is_silent());
    let _ticking = Ticking::start(&house.clock, 20);
    for _ in 0..3 {
        line.answer();
    }
}

#[test]
fn who_never_calls_is_hung_up_on_and_who_watches_is_not() {
    let house = House::with(
        &LAB.replace("[[machine]]\nname = \"m\"", "[limits]\nidle_s = 60\n[[machine]]\nname = \"m\""),
    );
    let (mut silent, mut halting, mut watcher) = (line(&house), line(&house), line(&house));
    halting.say("{\"command\"");
    watcher.get("notify_job", json!([]));
    let _ticking = Ticking::start(&house.clock, 1_000);
    assert_eq!((silent.hear(), halting.hear()), (None, None));
    let job = line(&house).create(json!([]), json!({"owner": "x", "keepalive": null}));
    watcher.hear_of_job(job);
}

#[test]
fn blank_lines_are_no_calls_and_use_up_no_rate() {
    let house = House::with(
        &LAB.replace("[spalloc]\n", "[spalloc]\nrate_per_s = 1\n")
            .replace("[[machine]]\nname = \"m\"", "[limits]\nidle_s = 60\n[[machine]]\nname = \"m\""),
    );
    let (mut blank, mut caller) = (line(&house), line(&house));
    caller.say("\n".repeat(1_000) + &call("version", json!([]), json!({})));
    assert_eq!(caller.answer(), json!({"return": "1.0.0"}));
    blank.say("\n".repeat(60_000));
    let _ticking = Ticking::start(&house.clock, 1_000);
    assert_eq!(blank.hear(), None);
}

#[test]
fn connections_are_counted_with_those_of_other_doors() {
    let house = House::with(&LAB.replace(
        "[[machine]]\nname = \"m\"",
        "[limits]\nconnections_per_address_max = 2\n[[machine]]\nname = \"m\"",
    ));
    let (mut first, mut second, mut third) = (line(&house), line(&house), line(&house));
    assert_eq!(first.get("version", json!([])), second.get("version", json!([])));
    assert_eq!(third.hear(), None);
    drop(second);
    // Its place is free once the server has seen that it is gone.
    while line(&house).try_version().is_none() {}
}

#[test]
fn requests_too_long_to_be_kept_are_refused() {
    let house = house();
    let mut line = line(&house);
    for kwargs in [
        json!({"owner": "x".repeat(2_000)}),
        json!({"owner": "x", "machine": "x".repeat(2_000)}),
        json!({"owner": "x", "tags": (0..2_000).map(|tag| tag.to_string()).collect::<Vec<_>>()}),
    ] {
        assert!(line.raised("create_job", json!([]), kwargs).contains("1024 bytes"));
    }
    let job = line.create(json!([]), json!({"owner": "x"}));
    line.get("destroy_job", json!([job, "\u{e9}".repeat(2_000)]));
    assert_eq!(line.state(job)["reason"].as_str().map(|text| text.chars().count()), Some(512));
}

#[test]
fn invented_owners_have_one_account_and_natives_their_own() {
    let house = House::with(&LAB.replace("[spalloc]\n", "[limits]\njobs_per_owner_max = 2\n[spalloc]\n"));
    let mut line = line(&house);
    for owner in ["ada", "grace"] {
        line.create(json!([]), json!({"owner": owner}));
    }
    let refused = line.raised("create_job", json!([]), json!({"owner": "nobody yet"}));
    assert!(refused.contains("2"), "{refused}");
    let mut native = crate::socket::Socket::guest(house.address);
    assert!(native.call(json!({"fname": "create_job", "boards": 1})).is_ok(), "others have room");
}

#[test]
fn a_watcher_names_so_many_and_no_more() {
    let house = House::with(
        &LAB.replace("[[machine]]\nname = \"m\"", "[limits]\nwatches_max = 3\n[[machine]]\nname = \"m\""),
    );
    let mut line = line(&house);
    for job in 1..=3 {
        line.get("notify_job", json!([job]));
    }
    assert!(line.raised("notify_job", json!([4]), json!({})).contains("at most 3"));
    line.get("notify_job", json!([]));
}

#[test]
fn rubbish_harms_nobody() {
    let house = house();
    let mut other = line(&house);
    let mut seed = 7_u64;
    for _ in 0..200 {
        let mut line = line(&house);
        let rubbish: Vec<u8> = (0..300)
            .map(|_| {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (seed >> 33) as u8
            })
            .collect();
        line.say(&rubbish);
        line.say(b"\n");
        assert_eq!(line.hear(), None);
        assert_eq!(other.get("version", json!([])), "1.0.0");
    }
}
