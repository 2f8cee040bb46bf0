//! `berth tunnel`: programs that know nothing of Berth speak to boards.

use crate::channel::{Board, address, lab};
use crate::house::House;
use crate::program::{Running, berth, command, run};
use crate::socket::Socket;
use rustix::process::Signal;
use serde_json::{Value, json};
use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(20);

/// A lab with both boards at one port, so that a tunnel can have that port for all.
struct Stage {
    boards: [Board; 2],
    house: House,
    socket: Socket,
}

impl Stage {
    /// Job 1 has board 0, job 2 board 1, and so on.
    fn new(jobs: u32) -> Stage {
        let first = Board::new();
        let second = (0..100).find_map(|_| UdpSocket::bind((address(), first.at().port())).ok());
        let second = second.expect("a free address");
        second.set_read_timeout(Some(PATIENCE)).expect("a time-out");
        let boards = [first, Board(second)];
        let house = House::with(&lab([&boards[0], &boards[1]], ""));
        let mut socket = Socket::guest(house.address);
        for z in 0..jobs {
            let call =
                json!({"fname": "create_job", "machine": "m", "x": 0, "y": 0, "z": z, "keepalive": null});
            let job = socket.call(call).expect("a job");
            let ready = socket.call(json!({"fname": "wait_job", "job_id": job})).expect("a job");
            assert_eq!(ready["state_name"], "ready");
        }
        Stage { boards, house, socket }
    }

    fn port(&self) -> String {
        self.boards[0].at().port().to_string()
    }

    fn destroy(&mut self, job: u64) {
        assert_eq!(self.socket.call(json!({"fname": "destroy_job", "job_id": job})), Ok(json!(null)));
    }
}

fn program() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    socket.set_read_timeout(Some(PATIENCE)).expect("a time-out");
    socket
}

fn heard(socket: &UdpSocket) -> (String, SocketAddr) {
    let mut buffer = [0; 2048];
    let (bytes, from) = socket.recv_from(&mut buffer).expect("a datagram");
    (String::from_utf8(buffer[..bytes].to_vec()).expect("text"), from)
}

#[test]
fn programs_reach_boards_and_each_has_its_own_answers() {
    let mut stage = Stage::new(1);
    let port = stage.port();
    let args = ["tunnel", "1", "--port", &port, "--json"];
    let running = Running::start(stage.house.address, &args);
    let told: Value = serde_json::from_str(&running.line()).expect("JSON");
    let board = &told["boards"][0];
    assert_eq!(
        (&told["job_id"], &board["board"], &board["chip"]),
        (&json!(1), &json!("m:0,0,0"), &json!([0, 0]))
    );
    assert_eq!(board["host"], stage.boards[0].at().ip().to_string());
    let at: SocketAddr =
        format!("{}:{port}", board["address"].as_str().expect("text")).parse().expect("an address");
    let (one, two) = (program(), program());
    one.send_to(b"from one", at).expect("sent");
    let (said, to_one) = stage.boards[0].hear();
    assert_eq!(said, b"from one");
    two.send_to(b"from two", at).expect("sent");
    let (said, to_two) = stage.boards[0].hear();
    assert_eq!(said, b"from two");
    assert_ne!(to_one, to_two);
    stage.boards[0].say(b"to two", to_two);
    stage.boards[0].say(b"to one", to_one);
    assert_eq!(heard(&one), ("to one".to_owned(), at));
    assert_eq!(heard(&two), ("to two".to_owned(), at));
    // In their order, many at once.
    for number in 0..200 {
        one.send_to(format!("{number}").as_bytes(), at).expect("sent");
    }
    for number in 0..200 {
        assert_eq!(stage.boards[0].hear(), (format!("{number}").into_bytes(), to_one));
    }
    stage.destroy(1);
    running.until_err("job 1 is over: ended by guest");
    assert_eq!(running.ended(), 4);
}

#[test]
fn a_signal_ends_a_tunnel_and_its_table_is_for_people() {
    let stage = Stage::new(1);
    let first = address().to_string();
    let port = stage.port();
    let running = Running::start(stage.house.address, &["tunnel", "1", "-p", &port, "--address", &first]);
    assert!(running.line().starts_with("BOARD    CHIP  HOST"));
    let row = running.line();
    let words: Vec<_> = row.split_whitespace().collect();
    assert_eq!(words, ["m:0,0,0", "0,0", &stage.boards[0].at().ip().to_string(), &first, &port]);
    running.signal(Signal::INT);
    assert_eq!(running.ended(), 130);
}

#[test]
fn what_cannot_be_reached_is_said_before_anything_is_promised() {
    let mut stage = Stage::new(3);
    let port = stage.port();
    let tunnel = |more: &[&str]| berth(stage.house.address, &[&["tunnel"], more].concat());
    let refused = tunnel(&["1"]);
    assert_eq!((refused.status, refused.out.as_str()), (3, ""), "{refused:?}");
    assert!(refused.err.contains("[1043]"), "{refused:?}");
    let refused = tunnel(&["3", "-p", &port]);
    assert!(refused.status == 3 && refused.err.contains("no board of the job has a host"), "{refused:?}");
    assert_eq!(tunnel(&["99", "-p", &port]).status, 3);
    assert_eq!(tunnel(&["1", "-p", "0"]).status, 2);
    assert_eq!(tunnel(&["1", "--address", "10.0.0.1"]).status, 2);
    let taken = program();
    let at = taken.local_addr().expect("an address");
    let _here = UdpSocket::bind((at.ip(), stage.boards[0].at().port())).expect("a free port");
    let refused = tunnel(&["1", "-p", &port, "--address", &at.ip().to_string()]);
    assert!(refused.status == 4 && refused.err.contains("cannot be had"), "{refused:?}");
    stage.destroy(1);
    let refused = berth(stage.house.address, &["tunnel", "1", "-p", &port]);
    assert!(refused.status == 3 && refused.err.contains("destroyed"), "{refused:?}");
}

#[test]
fn a_program_is_told_of_local_addresses_and_ends_the_tunnel() {
    let stage = Stage::new(1);
    let (first, port) = (address().to_string(), stage.port());
    let tunnel = ["tunnel", "1", "-p", &port, "--address", &first, "-q", "--"];
    let shell = ["sh", "-c", "cat $0; echo {hostname} $BERTH_HOSTNAME $BERTH_JOB; exit 7", "{ethernet_ips}"];
    let mut line = command(&[&tunnel[..], &shell[..]].concat());
    let ran = run(line.env("BERTH_SERVER", stage.house.address.to_string()));
    assert_eq!(ran.status, 7, "{ran:?}");
    assert!(ran.out.ends_with(&format!("x,y,hostname\n0,0,{first}\n{first} {first} 1\n")), "{ran:?}");
    let ran = berth(stage.house.address, &[&tunnel[..], &["/nonexistent/program"]].concat());
    assert_eq!(ran.status, 127, "{ran:?}");
}

#[test]
fn a_program_ends_when_the_job_is_over() {
    let mut stage = Stage::new(1);
    let port = stage.port();
    let args = ["tunnel", "1", "-p", &port, "--", "sh", "-c", "echo begun; read nothing"];
    let running = Running::start(stage.house.address, &args);
    running.until_out("begun");
    stage.destroy(1);
    running.until_err("job 1 is over");
    assert_eq!(running.ended(), 4);
}

#[test]
fn boards_are_asked_by_hand() {
    let stage = Stage::new(1);
    let boards = |more: &[&str]| berth(stage.house.address, &[&["boards"], more].concat());
    for action in ["identify", "cycle"] {
        assert_eq!(boards(&[action, "m:0,0,0"]).status, 0);
    }
    let sensors = boards(&["sensors", "m:0,0,0"]);
    assert!(sensors.out.contains("temperature_top") && sensors.out.contains("supply_12v"), "{sensors:?}");
    let shown = boards(&["show", "m:0,0,0"]);
    assert!(shown.out.contains("cycle") && shown.out.contains("temperature_top"), "{shown:?}");
    let json = boards(&["show", "m:0,0,0", "--json"]);
    let told: Value = serde_json::from_str(&json.out).expect("JSON");
    assert_eq!((&told["power"]["action"], &told["power"]["ok"]), (&json!("cycle"), &json!(true)));
    assert_eq!(boards(&["cycle", "m:0,0,1"]).status, 3);
}
