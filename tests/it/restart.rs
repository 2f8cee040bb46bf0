//! Houses that are closed and opened again: on what they kept, and on another configuration.

use crate::house::{House, LAB};
use crate::socket::Socket;
use serde_json::{Value, json};

fn create(socket: &mut Socket, more: Value) -> u64 {
    let mut call = json!({"fname": "create_job", "keepalive": null});
    call.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    socket.call(call).expect("a job").as_u64().expect("its number")
}

fn held(socket: &mut Socket, job: u64) -> Value {
    socket.call(json!({"fname": "wait_job", "job_id": job, "timeout": 60})).expect("a job")
}

/// The lab with this in the place of that.
fn lab_with(changes: &[(&str, &str)]) -> String {
    changes.iter().fold(LAB.to_owned(), |lab, (that, this)| {
        assert!(lab.contains(that), "{that}");
        lab.replace(that, this)
    })
}

/// A house with these jobs, closed and opened again on another configuration; what became of each.
fn moved(jobs: &[Value], config: &str) -> (House, Vec<Value>) {
    let house = House::open();
    let mut socket = Socket::guest(house.address);
    let numbers: Vec<_> = jobs.iter().map(|job| create(&mut socket, job.clone())).collect();
    numbers.iter().for_each(|job| assert_eq!(held(&mut socket, *job)["state_name"], "ready"));
    let session = socket.session.clone();
    let house = house.reopen_on(config);
    let (mut socket, _) = Socket::open(house.address);
    socket.session = session;
    let mut job = |job: &u64| socket.call(json!({"fname": "get_job", "job_id": job})).expect("a job");
    let found = numbers.iter().map(&mut job).collect();
    (house, found)
}

#[test]
fn jobs_end_with_their_machines_and_others_go_on() {
    let pool = LAB.rfind("[[machine]]").expect("the pool");
    let jobs = [json!({"width": 1, "height": 1}), json!({"serials": ["devices-3"], "kind": "variance"})];
    let (_house, found) = moved(&jobs, &LAB[..pool]);
    assert_eq!(found[0]["state_name"], "ready");
    assert_eq!(
        (&found[1]["state_name"], &found[1]["reason"]),
        (&json!("destroyed"), &json!("machine 'devices' was removed, or has other boards now"))
    );
}

#[test]
fn a_machine_of_another_size_is_another_machine() {
    let jobs = [json!({"width": 1, "height": 1}), json!({"serials": ["devices-3"], "kind": "variance"})];
    let (house, found) = moved(&jobs, &lab_with(&[("width = 4", "width = 5")]));
    assert_eq!(found[0]["reason"], "machine 'm' was removed, or has other boards now");
    assert_eq!(found[1]["state_name"], "ready");
    let mut socket = Socket::guest(house.address);
    let job = create(&mut socket, json!({"width": 5, "height": 1}));
    assert_eq!(held(&mut socket, job)["boards"].as_array().map(Vec::len), Some(15), "the new one is whole");
}

#[test]
fn boards_of_a_pool_that_are_gone_end_their_jobs() {
    let jobs = [json!({"serials": ["devices-7"], "kind": "variance"})];
    let (_house, found) = moved(&jobs, &lab_with(&[("count = 8", "count = 7")]));
    assert_eq!(found[0]["reason"], "machine 'devices' was removed, or has other boards now");
}

#[test]
fn a_board_that_died_meanwhile_stays_with_its_job_and_goes_after_it() {
    let dead = lab_with(&[("dead_boards = [[3, 1, 2]]", "dead_boards = [[3, 1, 2], [0, 0, 1]]")]);
    let (house, found) = moved(&[json!({"x": 0, "y": 0, "z": 1})], &dead);
    assert_eq!(found[0]["state_name"], "ready");
    let mut socket = Socket::guest(house.address);
    let board = json!({"fname": "get_board", "machine": "m", "x": 0, "y": 0, "z": 1});
    assert_eq!(socket.call(board.clone()).expect("a board")["state"], "lent");
    let mut admin = house.admin();
    let job = found[0]["job_id"].clone();
    assert_eq!(admin.call(json!({"fname": "destroy_job", "job_id": job})), Ok(json!(null)));
    // Its cleaning takes no time, but is answered by another thread.
    let mut is_dead = |_| socket.call(board.clone()).expect("a board")["state"] == "dead";
    assert!((0..10_000).any(&mut is_dead), "it is not lent again");
}

#[test]
fn whoever_waits_for_what_is_gone_is_told_what_is_missing() {
    let house = House::open();
    let mut socket = Socket::guest(house.address);
    let holder = create(&mut socket, json!({"width": 4, "height": 2, "max_dead_boards": 1}));
    assert_eq!(held(&mut socket, holder)["state_name"], "ready");
    let waits = create(&mut socket, json!({"width": 4, "height": 1}));
    let house = house
        .reopen_on(&lab_with(&[("width = 4\nheight = 2", "width = 2\nheight = 2"), ("[[3, 1, 2]]", "[]")]));
    let mut socket = Socket::guest(house.address);
    let job = socket.call(json!({"fname": "get_job", "job_id": waits})).expect("a job");
    assert_eq!(job["state_name"], "destroyed");
    let reason = job["reason"].as_str().expect("a reason");
    assert!(reason.starts_with("no machine can meet it any more: ") && reason.contains('m'), "{reason}");
}
