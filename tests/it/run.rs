//! `berth run` with real programs, real signals and a real server: whatever happens, the boards come back.

use crate::house::House;
use crate::program::{Running, Wire, berth};
use crate::socket::Socket;
use rustix::process::Signal;
use serde_json::{Value, json};

/// All eight boards of the pool, so that whoever wants one has to wait.
fn take_all(socket: &mut Socket) -> u64 {
    let call = json!({"fname": "create_job", "boards": 8, "machine": "devices", "keepalive": null});
    socket.call(call).unwrap().as_u64().unwrap()
}

fn destroy(socket: &mut Socket, job: u64) {
    let call = json!({"fname": "destroy_job", "job_id": job, "reason": "needed elsewhere"});
    assert_eq!(socket.call(call), Ok(json!(null)));
}

/// The job as it ended: its reason. Waits until it has.
fn end_of(socket: &mut Socket, job: u64) -> String {
    let call = json!({"fname": "wait_job", "job_id": job, "state": "destroyed"});
    let job = socket.call(call).unwrap();
    assert_eq!(job["state_name"], "destroyed");
    job["reason"].as_str().unwrap().to_owned()
}

fn live_jobs(socket: &mut Socket) -> Vec<Value> {
    socket.call(json!({"fname": "list_jobs"})).unwrap().as_array().unwrap().clone()
}

#[test]
fn a_program_gets_its_boards_and_its_status_is_ours() {
    let house = House::open();
    let mut socket = Socket::guest(house.address);
    let script =
        "echo $BERTH_JOB $BERTH_MACHINE $BERTH_BOARDS $BERTH_WIDTH.$BERTH_HEIGHT; cat \"$0\"; exit 7";
    let ran = berth(house.address, &["run", "1x1", "-q", "--", "sh", "-c", script, "{ethernet_ips}"]);
    assert_eq!(ran.status, 7, "{ran:?}");
    let mut lines = ran.out.lines();
    let told: Vec<_> = lines.next().unwrap().split(' ').collect();
    assert_eq!((told[0], told[1], told.len(), told[5]), ("1", "m", 6, "16.16"), "{ran:?}");
    assert_eq!(lines.next(), Some("x,y,hostname"));
    assert_eq!(lines.count(), 3);
    assert_eq!(ran.err, "");
    assert!(end_of(&mut socket, 1).contains("the program ended with status 7"));
    assert_eq!(live_jobs(&mut socket), [] as [Value; 0]);
}

#[test]
fn a_pool_has_serials_and_no_size() {
    let house = House::open();
    let args = [
        "run",
        "--serial",
        "devices-3",
        "-m",
        "devices",
        "--",
        "sh",
        "-c",
        "echo $0 ${BERTH_WIDTH-none}",
        "{job}:{boards}:{width}",
    ];
    let ran = berth(house.address, &args);
    assert_eq!((ran.status, ran.out.as_str()), (0, "1:devices-3: none\n"), "{ran:?}");
}

#[test]
fn a_program_that_cannot_be_started_or_is_killed_gives_its_boards_back() {
    let house = House::open();
    let mut socket = Socket::guest(house.address);
    for (job, program, status, reason) in [
        (1, vec!["/nonexistent/program"], 127, "cannot be started"),
        (2, vec!["/"], 126, "cannot be started"),
        (3, vec!["sh", "-c", "kill -9 $$"], 137, "the program ended with status 137"),
    ] {
        let ran = berth(house.address, &[vec!["run", "1", "--"], program].concat());
        assert_eq!(ran.status, status, "{ran:?}");
        assert!(end_of(&mut socket, job).contains(reason), "job {job}");
    }
}

#[test]
fn who_waits_is_told_why_and_starts_when_its_turn_comes() {
    let house = House::open();
    let mut socket = Socket::guest(house.address);
    let first = take_all(&mut socket);
    let mut waiting =
        Running::start(house.address, &["run", "1", "-m", "devices", "--", "sh", "-c", "echo up; cat"]);
    let told = waiting.until_err("first in the queue");
    assert!(told.contains("devices-"), "{told}");
    destroy(&mut socket, first);
    waiting.until_err("is ready");
    assert_eq!(waiting.line(), "up");
    waiting.close_input();
    assert_eq!(waiting.ended(), 0);
    assert!(end_of(&mut socket, 2).contains("status 0"));
}

#[test]
fn progress_is_json_lines_where_json_is_wanted() {
    let house = House::open();
    let mut socket = Socket::guest(house.address);
    let first = take_all(&mut socket);
    let waiting = Running::start(house.address, &["run", "--json", "-m", "devices", "--", "true"]);
    let told: Value = serde_json::from_str(&waiting.until_err("queued")).unwrap();
    assert_eq!((&told["event"], &told["job_id"], &told["ahead"]), (&json!("queued"), &json!(2), &json!(0)));
    destroy(&mut socket, first);
    let told: Value = serde_json::from_str(&waiting.until_err("\"ready\"")).unwrap();
    assert_eq!(told, json!({"event": "ready", "job_id": 2}));
    assert_eq!(waiting.ended(), 0);
}

#[test]
fn a_signal_while_it_waits_gives_the_place_in_the_queue_back() {
    let house = House::open();
    let mut socket = Socket::guest(house.address);
    take_all(&mut socket);
    for (job, signal, status, name) in
        [(2, Signal::TERM, 143, "SIGTERM"), (3, Signal::INT, 130, "SIGINT"), (4, Signal::HUP, 129, "SIGHUP")]
    {
        let waiting = Running::start(house.address, &["run", "1", "-m", "devices", "--", "echo", "started"]);
        waiting.until_err("first in the queue");
        waiting.signal(signal);
        assert_eq!(waiting.ended(), status);
        assert!(end_of(&mut socket, job).contains(name));
    }
}

#[test]
fn who_waits_too_long_gives_up() {
    let house = House::open();
    let mut socket = Socket::guest(house.address);
    take_all(&mut socket);
    let ran = berth(house.address, &["run", "-m", "devices", "--wait-max", "50ms", "--", "echo", "started"]);
    assert_eq!((ran.status, ran.out.as_str()), (4, ""), "{ran:?}");
    assert!(end_of(&mut socket, 2).contains("not ready in time"));
}

#[test]
fn a_signal_while_the_program_runs_reaches_all_of_it() {
    let house = House::open();
    let mut socket = Socket::guest(house.address);
    for (job, signal) in [(1, Signal::TERM), (2, Signal::INT), (3, Signal::HUP)] {
        // The shell is told and lives on; its child is told and dies of it.
        let script = "trap 'echo told' TERM INT HUP; sh -c 'echo up; exec cat'; exit 9";
        let running = Running::start(house.address, &["run", "1", "--", "sh", "-c", script]);
        assert_eq!(running.line(), "up");
        running.signal(signal);
        assert_eq!(running.line(), "told");
        assert_eq!(running.ended(), 9);
        assert!(end_of(&mut socket, job).contains("status 9"));
    }
}

#[test]
fn a_program_whose_job_is_destroyed_is_ended() {
    let house = House::open();
    let mut socket = Socket::guest(house.address);
    let running = Running::start(house.address, &["run", "1", "--", "sh", "-c", "echo up; cat"]);
    assert_eq!(running.line(), "up");
    destroy(&mut socket, 1);
    let told = running.until_err("is over");
    assert!(told.contains("needed elsewhere"), "{told}");
    assert_eq!(running.ended(), 4);
}

#[test]
fn a_program_that_does_not_end_is_killed() {
    let house = House::open();
    let mut socket = Socket::guest(house.address);
    let script = "trap '' TERM; echo up; cat";
    let running = Running::start(house.address, &["run", "--kill-after", "20ms", "--", "sh", "-c", script]);
    assert_eq!(running.line(), "up");
    destroy(&mut socket, 1);
    assert_eq!(running.ended(), 4);
}

#[test]
fn a_job_that_ends_while_it_waits_is_not_available() {
    let house = House::open();
    let mut socket = Socket::guest(house.address);
    take_all(&mut socket);
    let waiting = Running::start(house.address, &["run", "-m", "devices", "--", "echo", "started"]);
    waiting.until_err("first in the queue");
    destroy(&mut socket, 2);
    waiting.until_err("needed elsewhere");
    assert_eq!(waiting.ended(), 4);
}

#[test]
fn what_is_impossible_or_unreachable_is_told_at_once() {
    let house = House::open();
    let ran = berth(house.address, &["run", "9x9", "--", "echo", "started"]);
    assert_eq!((ran.status, ran.out.as_str()), (4, ""), "{ran:?}");
    assert!(ran.err.contains("1012"), "{ran:?}");
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let ran = berth(nobody, &["run", "--", "echo", "started"]);
    assert_eq!((ran.status, ran.out.as_str()), (5, ""), "{ran:?}");
}

#[test]
fn a_cut_wire_is_mended_while_the_program_goes_on() {
    let house = House::open();
    let wire = Wire::to(house.address);
    let mut running = Running::start(wire.address, &["run", "1", "--", "sh", "-c", "echo up; cat; exit 3"]);
    assert_eq!(running.line(), "up");
    wire.cut();
    running.until_err("the program goes on");
    wire.lay(house.address);
    running.until_err("connected again");
    running.close_input();
    assert_eq!(running.ended(), 3);
    assert!(end_of(&mut Socket::guest(house.address), 1).contains("status 3"));
}

#[test]
fn a_wire_cut_at_the_end_is_mended_to_give_the_boards_back() {
    let house = House::open();
    let wire = Wire::to(house.address);
    let mut running = Running::start(wire.address, &["run", "1", "--", "sh", "-c", "echo up; cat"]);
    assert_eq!(running.line(), "up");
    wire.cut();
    running.until_err("the program goes on");
    running.close_input();
    wire.lay(house.address);
    assert_eq!(running.ended(), 0);
    assert!(end_of(&mut Socket::guest(house.address), 1).contains("status 0"));
}

#[test]
fn a_server_that_restarts_finds_the_program_still_running() {
    let house = House::open();
    let wire = Wire::to(house.address);
    let mut running = Running::start(wire.address, &["run", "1", "--", "sh", "-c", "echo up; cat"]);
    assert_eq!(running.line(), "up");
    wire.cut();
    let house = house.reopen();
    wire.lay(house.address);
    running.until_err("connected again");
    let mut socket = Socket::guest(house.address);
    assert_eq!(live_jobs(&mut socket).len(), 1);
    running.close_input();
    assert_eq!(running.ended(), 0);
    assert!(end_of(&mut socket, 1).contains("status 0"));
}

#[test]
fn a_job_that_was_destroyed_while_the_wire_was_cut_ends_the_program() {
    let house = House::open();
    let wire = Wire::to(house.address);
    let running = Running::start(wire.address, &["run", "1", "--", "sh", "-c", "echo up; cat"]);
    assert_eq!(running.line(), "up");
    wire.cut();
    running.until_err("the program goes on");
    destroy(&mut Socket::guest(house.address), 1);
    wire.lay(house.address);
    running.until_err("needed elsewhere");
    assert_eq!(running.ended(), 4);
}
