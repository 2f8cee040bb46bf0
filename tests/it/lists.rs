//! Lists that many ask for are made once for each state of the lab: they must follow whatever happens to it.

use crate::house::House;
use crate::socket::Socket;
use serde_json::{Value, json};

/// So many jobs make a list that is deflated.
const JOBS: u64 = 12;

fn list(socket: &mut Socket) -> Vec<Value> {
    socket.call(json!({"fname": "list_jobs"})).unwrap().as_array().unwrap().clone()
}

#[test]
fn lists_follow_what_happens_whoever_asks() {
    let house = House::open();
    let (mut one, mut other) = (Socket::guest(house.address), Socket::guest(house.address));
    assert_eq!(list(&mut one), [] as [Value; 0]);
    for job in 1..=JOBS {
        let created = one.call(json!({"fname": "create_job", "note": "<EOF> of a name", "boards": 1}));
        assert_eq!(created, Ok(json!(job)));
        // What hardware does changes lists too.
        one.call(json!({"fname": "wait_job", "job_id": job})).unwrap();
        assert_eq!(list(&mut other).len() as u64, job);
        assert_eq!(list(&mut one), list(&mut other));
    }
    let single: Vec<_> =
        (1..=JOBS).map(|job| one.call(json!({"fname": "get_job", "job_id": job})).unwrap()).collect();
    assert_eq!(list(&mut one), single, "what a list shows of a job is what the job shows");
    assert_eq!(one.call(json!({"fname": "destroy_job", "job_id": 1})), Ok(Value::Null));
    assert_eq!(list(&mut other).len() as u64, JOBS - 1);
    let filtered = one.call(json!({"fname": "list_jobs", "limit": 2})).unwrap();
    assert_eq!(filtered.as_array().map(Vec::len), Some(2));
}

#[test]
fn a_list_shows_signs_of_life_which_are_no_facts() {
    let house = House::open();
    let mut socket = Socket::guest(house.address);
    let job = socket.call(json!({"fname": "create_job", "boards": 1})).unwrap();
    let before = list(&mut socket)[0]["lapses_at"].as_f64().unwrap();
    house.clock.advance(10_000);
    assert_eq!(socket.call(json!({"fname": "job_keepalive", "job_id": job})), Ok(Value::Null));
    // The desk takes signs in when it is visited.
    socket.call(json!({"fname": "create_job", "boards": 1})).unwrap();
    let after = list(&mut socket)[0]["lapses_at"].as_f64().unwrap();
    assert_eq!(after - before, 10.0);
}

#[test]
fn machines_are_listed_as_they_are_now_and_in_any_company() {
    let house = House::open();
    let mut socket = Socket::guest(house.address);
    let free = |machines: &Value| machines[1]["boards"]["free"].as_u64();
    let machines = |socket: &mut Socket| socket.call(json!({"fname": "list_machines"})).unwrap();
    let before = free(&machines(&mut socket)).unwrap();
    socket.call(json!({"fname": "create_job", "boards": 1, "machine": "devices"})).unwrap();
    let alone = machines(&mut socket);
    assert!(free(&alone).unwrap_or(0) < before, "{alone}");
    let message = json!([{"fname": "list_machines"}, {"fname": "get_version"}, {"fname": "list_machines"}]);
    let answer = socket.ask(message);
    assert_eq!((&answer["data"][0]["data"], &answer["data"][2]["data"]), (&alone, &alone));
}
