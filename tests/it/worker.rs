//! The real `berth worker` with simulated boards, and the real `berth serve` that lends them.

use crate::program::{Running, command};
use crate::served::{Place, Served};
use crate::socket::Socket;
use rustix::process::Signal;
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

const LAB: &str = r#"
[native]
listen = "127.0.0.1:0"
guests = "user"
[spalloc]
listen = ""
[web]
listen = ""
[[machine]]
name = "usb"
shape = "pool"
kinds = ["pulsecount", "variance"]
controller = "agent"
[machine.agent]
token = "0123456789abcdef"
"#;

/// A lab, its server, and somebody who borrows and looks on.
struct Lab {
    place: Place,
    server: Served,
    socket: Socket,
    watching: Socket,
}

impl Lab {
    fn new() -> Lab {
        let place = Place::new(LAB);
        std::fs::write(place.path("token"), "0123456789abcdef\n").expect("a file");
        let server = Served::start(&mut place.serving());
        let (socket, mut watching) = (Socket::guest(server.address), Socket::guest(server.address));
        watching.call(json!({"fname": "notify_machine"})).expect("watched");
        watching.call(json!({"fname": "notify_job"})).expect("watched");
        Lab { place, server, socket, watching }
    }

    /// A worker with four boards, and where its own door is.
    fn worker(&self) -> (Running, SocketAddr) {
        let mut worker = command(&["worker", "--machine", "usb", "--name", "host-1", "--simulate", "4"]);
        worker.args(["--listen", "127.0.0.1:0", "--token-file"]).arg(self.place.path("token"));
        let running = Running::spawn(worker.env("BERTH_SERVER", self.server.address.to_string()));
        let line = running.until_out("workbench: listening on http://");
        let address = line.trim_end_matches('/').rsplit('/').next().expect("an address");
        (running, address.parse().expect("an address"))
    }

    fn call(&mut self, call: Value) -> Result<Value, u64> {
        self.socket.call(call)
    }

    /// Waits for changes until this is seen.
    fn until<T>(&mut self, mut see: impl FnMut(&mut Lab) -> Option<T>) -> T {
        loop {
            if let Some(seen) = see(self) {
                return seen;
            }
            self.watching.hear().expect("a change");
        }
    }

    fn until_boards(&mut self, count: usize, state: &str) {
        self.until(|lab| {
            let boards = lab.call(json!({"fname": "list_boards", "machine": "usb"})).expect("boards");
            let boards = boards.as_array().expect("a list");
            (boards.iter().filter(|board| board["state"] == state).count() == count).then_some(())
        });
    }

    /// A job that is ready, and the serial of its board.
    fn lent(&mut self) -> (Value, String) {
        let call = json!({"fname": "create_job", "machine": "usb", "kind": "pulsecount", "kind_args": {"flush_interval_seconds": 1}, "keepalive": null});
        let job = self.call(call).expect("a job");
        self.until(|lab| {
            let seen = lab.call(json!({"fname": "get_job", "job_id": job})).expect("the job");
            (seen["state_name"] == "ready").then_some(())
        });
        let boards = self.call(json!({"fname": "list_boards", "machine": "usb"})).expect("boards");
        let own = boards.as_array().expect("a list").iter().find(|board| board["job_id"] == job);
        (job, own.expect("a board")["board"].as_str().expect("a serial").to_owned())
    }

    fn send(&mut self, serial: &str, name: &str, args: Value) -> Result<Value, u64> {
        self.call(json!({
            "fname": "send_board_command", "machine": "usb", "serial": serial, "command": name, "args": args,
        }))
    }

    fn evaluate(&mut self, serial: &str) -> Result<Value, u64> {
        self.send(serial, "evaluate", json!({"files": {"a": "AQID", "b": "BAUG"}, "batch_id": "x"}))
    }
}

#[test]
fn boards_of_a_worker_are_lent_evaluate_bitstreams_and_outlive_worker_and_server() {
    let mut lab = Lab::new();
    let (worker, door) = lab.worker();
    lab.until_boards(4, "free");
    let (job, serial) = lab.lent();
    let results = lab.evaluate(&serial).expect("results");
    assert_eq!((&results["batch_id"], &results["results"][0][0]), (&json!("x"), &json!("a")));
    assert!(results["results"][1][1].as_str().expect("a text").parse::<u32>().is_ok(), "{results}");
    assert_eq!(lab.evaluate(&serial), Ok(results.clone()), "the same bitstreams, the same results");
    assert_eq!(
        lab.call(json!({"fname": "power_cycle_board", "machine": "usb", "serial": serial})),
        Ok(Value::Null)
    );
    assert_eq!(lab.send(&serial, "status", Value::Null).expect("a status")["state"], "ready");
    assert_eq!(lab.send(&serial, "sing", Value::Null), Err(1015));
    let mut http = TcpStream::connect(door).expect("its own door");
    http.write_all(b"GET /heartbeat HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").expect("written");
    let mut answer = String::new();
    http.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    // Another one of its name, after it was killed: the board is prepared again for the same job.
    worker.signal(Signal::KILL);
    worker.ended();
    let (worker, _) = lab.worker();
    worker.until_err("registered as host-1");
    let ready = |lab: &mut Lab| {
        let status = lab.send(&serial, "status", Value::Null).unwrap_or_default();
        (status["state"] == "ready").then_some(()).or_else(|| {
            std::thread::yield_now();
            None
        })
    };
    while ready(&mut lab).is_none() {}
    assert_eq!(lab.evaluate(&serial), Ok(results.clone()));
    // The server is killed: the worker comes back by itself, and its boards stand by what they were.
    let Lab { place, server, socket, .. } = lab;
    let (address, session) = (server.address, socket.session.clone());
    server.kill();
    worker.until_err("not connected");
    let server = Served::start(place.serving().arg("--listen").arg(address.to_string()));
    worker.until_err("registered as host-1");
    let (mut socket, watching) = (Socket::guest(address), Socket::guest(address));
    socket.session = session;
    let mut lab = Lab { place, server, socket, watching };
    assert_eq!(lab.evaluate(&serial), Ok(results));
    lab.watching.call(json!({"fname": "notify_machine"})).expect("watched");
    // Draining: it stays for the job, and leaves when that is over.
    worker.signal(Signal::TERM);
    lab.until_boards(3, "maintenance");
    assert!(lab.evaluate(&serial).is_ok());
    lab.call(json!({"fname": "destroy_job", "job_id": job})).expect("ended");
    assert_eq!(worker.ended(), 0);
    let workers = lab.call(json!({"fname": "list_workers"})).expect("workers");
    assert_eq!(workers, json!([]));
    lab.server.stop();
}

#[test]
fn a_second_signal_ends_a_worker_whose_boards_are_lent() {
    let mut lab = Lab::new();
    let (worker, _) = lab.worker();
    lab.until_boards(4, "free");
    let (job, _) = lab.lent();
    worker.signal(Signal::INT);
    lab.until_boards(3, "maintenance");
    worker.signal(Signal::INT);
    assert_eq!(worker.ended(), 0);
    let over = lab.call(json!({"fname": "get_job", "job_id": job})).expect("the job");
    lab.until_boards(4, "offline");
    assert!(over["state_name"] == "destroyed" || over["state_name"] == "ready", "{over}");
    lab.until(|lab| {
        let seen = lab.call(json!({"fname": "get_job", "job_id": job})).expect("the job");
        (seen["state_name"] == "destroyed").then_some(())
    });
    lab.server.stop();
}

#[test]
fn a_worker_says_what_it_lacks() {
    for (args, why) in [
        (vec!["worker", "--machine", "usb", "--simulate", "1"], "--token-file is needed"),
        (vec!["worker", "--simulate", "1001"], "1001"),
        (vec!["worker", "--config", "/nowhere"], "/nowhere: "),
    ] {
        let ran = crate::program::run(&mut command(&[&args[..], &["--listen", "127.0.0.1:0"]].concat()));
        assert_eq!(ran.status, 2, "{ran:?}");
        assert!(ran.err.contains(why), "{ran:?}");
    }
}
