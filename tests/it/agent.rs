//! Workers at the native door: scripted ones, on a clock that moves when it is told to.

use crate::house::House;
use crate::socket::Socket;
use serde_json::{Value, json};
use std::collections::VecDeque;

const LAB: &str = r#"
name = "agents"
[native]
listen = "127.0.0.1:0"
guests = "user"
[[machine]]
name = "usb"
shape = "pool"
serials = ["a"]
kinds = ["pulsecount"]
order_s_max = 600
controller = "agent"
[machine.agent]
token = "0123456789abcdef"
[[machine]]
name = "closed"
shape = "pool"
controller = "agent"
[[machine]]
name = "devices"
shape = "pool"
count = 1
controller = "simulated"
"#;

/// A worker that does what the test says.
struct Worker {
    socket: Socket,
    stay: u64,
    told: VecDeque<Value>,
}

impl Worker {
    /// Registers with boards; those with an order stand by it.
    fn come(house: &House, name: &str, boards: &[(&str, Option<&str>)]) -> Worker {
        Worker::try_come(house, name, boards).expect("a stay")
    }

    fn try_come(house: &House, name: &str, boards: &[(&str, Option<&str>)]) -> Result<Worker, u64> {
        let boards: Vec<_> = boards
            .iter()
            .map(|(serial, holds)| json!({"serial": serial, "model": "iCE40", "holds": holds}))
            .collect();
        let mut worker = Worker { socket: Socket::guest(house.address), stay: 0, told: VecDeque::new() };
        let call = json!({
            "fname": "register_worker", "machine": "usb", "worker": name, "token": "0123456789abcdef",
            "version": "1.0", "url": "http://127.0.0.1:8081", "boards": boards,
        });
        let registered = worker.call(call)?;
        assert_eq!(registered["timeout_s"], 60.0);
        worker.stay = registered["stay"].as_u64().expect("a number");
        Ok(worker)
    }

    /// Calls a function; what is told meanwhile is kept.
    fn call(&mut self, call: Value) -> Result<Value, u64> {
        self.socket.say(json!([call]));
        loop {
            let message = self.socket.hear().expect("an answer");
            if let Some(tasks) = message["data"]["worker_tasks"].as_array() {
                self.told.extend(tasks.iter().cloned());
                continue;
            }
            let entry = &message["data"][0];
            return match entry["error"]["code"].as_u64() {
                Some(code) => Err(code),
                None => Ok(entry["data"].clone()),
            };
        }
    }

    /// Says something under its stay.
    fn say(&mut self, fname: &str, more: Value) -> Result<Value, u64> {
        let mut call = json!({"fname": fname, "stay": self.stay});
        call.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        self.call(call)
    }

    /// The next thing it is told.
    fn task(&mut self) -> Value {
        while self.told.is_empty() {
            let message = self.socket.hear().expect("an event");
            assert_eq!(message["__event__"], "worker_tasks", "{message}");
            let tasks = message["data"]["worker_tasks"].as_array().expect("a list");
            self.told.extend(tasks.iter().cloned());
        }
        self.told.pop_front().expect("a task")
    }

    /// Carries out the next order, which must be of this kind.
    fn obey(&mut self, action: &str) -> Value {
        let task = self.task();
        assert_eq!(task["action"], action, "{task}");
        let done = self.say("answer_order", json!({"order": task["order"], "obeyed": task["boards"]}));
        assert_eq!(done, Ok(Value::Null));
        task
    }

    /// Nothing waits to be told: the answer to a question of its own comes first.
    fn is_told_nothing(&mut self) {
        assert_eq!(self.say("worker_heartbeat", json!({})), Ok(Value::Null));
        assert!(self.told.is_empty(), "{:?}", self.told);
    }
}

/// Somebody who borrows boards and sees how they do.
struct Borrower {
    socket: Socket,
    watching: Socket,
}

impl Borrower {
    fn new(house: &House) -> Borrower {
        let (socket, mut watching) = (Socket::guest(house.address), Socket::guest(house.address));
        watching.call(json!({"fname": "notify_machine"})).expect("watched");
        watching.call(json!({"fname": "notify_job"})).expect("watched");
        Borrower { socket, watching }
    }

    fn create(&mut self) -> u64 {
        let call = json!({"fname": "create_job", "machine": "usb", "kind_args": {"n": 1}, "keepalive": null});
        self.socket.call(call).expect("a job").as_u64().expect("a number")
    }

    fn job(&mut self, job: u64) -> Value {
        self.socket.call(json!({"fname": "get_job", "job_id": job})).expect("a job")
    }

    fn board(&mut self, serial: &str) -> Value {
        self.socket.call(json!({"fname": "get_board", "machine": "usb", "serial": serial})).expect("a board")
    }

    /// Waits for changes until this is seen.
    fn until<T>(&mut self, mut see: impl FnMut(&mut Borrower) -> Option<T>) -> T {
        loop {
            if let Some(seen) = see(self) {
                return seen;
            }
            self.watching.hear().expect("a change");
        }
    }

    fn until_board(&mut self, serial: &str, state: &str) -> Value {
        self.until(|me| Some(me.board(serial)).filter(|board| board["state"] == state))
    }

    fn until_job(&mut self, job: u64, state: &str) -> Value {
        self.until(|me| Some(me.job(job)).filter(|job| job["state_name"] == state))
    }
}

/// A house, a worker with board a, a job that has it, and the order that prepared it.
fn lent() -> (House, Worker, Borrower, u64, String) {
    let house = House::with(LAB);
    let (mut worker, mut borrower) = (Worker::come(&house, "host-1", &[("a", None)]), Borrower::new(&house));
    worker.obey("test");
    let job = borrower.create();
    let prepared = worker.obey("prepare");
    borrower.until_job(job, "ready");
    let order = prepared["order"].as_str().expect("a text").to_owned();
    (house, worker, borrower, job, order)
}

#[test]
fn boards_are_tested_and_then_lent_and_prepared() {
    let house = House::with(LAB);
    let mut borrower = Borrower::new(&house);
    assert_eq!(borrower.board("a")["state"], "offline");
    let job = borrower.create();
    let mut worker = Worker::come(&house, "host-1", &[("a", None), ("b", None)]);
    let tested: Vec<_> =
        [worker.obey("test"), worker.obey("test")].map(|task| task["boards"][0].clone()).into();
    assert_eq!(tested, ["a", "b"]);
    let prepare = worker.obey("prepare");
    let shown = json!({
        "stay": worker.stay, "order": prepare["order"], "action": "prepare", "kind": "pulsecount",
        "args": {"n": 1}, "boards": ["a"], "job_id": job, "owner": "guest", "by": "guest",
    });
    assert_eq!(prepare, shown);
    borrower.until_job(job, "ready");
    let workers = borrower.socket.call(json!({"fname": "list_workers"})).expect("workers");
    assert_eq!((&workers[0]["worker"], &workers[0]["connected"]), (&json!("host-1"), &json!(true)));
    assert_eq!(workers[0]["boards"][1], json!({"serial": "b", "model": "iCE40"}));
    let status = borrower.socket.call(json!({"fname": "get_status"})).expect("a status");
    assert_eq!(status["workers"], json!({"connected": 1, "away": 0, "draining": 0}));
    borrower.socket.call(json!({"fname": "destroy_job", "job_id": job})).expect("ended");
    worker.obey("clean");
    borrower.until_board("a", "free");
}

#[test]
fn nobody_registers_without_the_token() {
    let house = House::with(LAB);
    let mut socket = Socket::guest(house.address);
    let mut register = |machine: &str, token: &str| {
        let call = json!({"fname": "register_worker", "machine": machine, "worker": "w", "token": token, "version": "1"});
        socket.call(call)
    };
    assert_eq!(register("nowhere", "0123456789abcdef"), Err(1010));
    assert_eq!(register("devices", "0123456789abcdef"), Err(1050));
    assert_eq!(register("closed", "0123456789abcdef"), Err(1050));
    for _ in 0..5 {
        assert_eq!(register("usb", "0123456789abcdeg"), Err(1051));
    }
    assert_eq!(
        register("usb", "0123456789abcdef"),
        Err(1113),
        "after five wrong ones the right one waits too"
    );
    house.clock.advance(1_000);
    assert!(register("usb", "0123456789abcdef").is_ok());
}

#[test]
fn a_stay_belongs_to_its_connection_and_session() {
    let house = House::with(LAB);
    let mut worker = Worker::come(&house, "host-1", &[("a", None)]);
    let mut stranger = Socket::guest(house.address);
    assert_eq!(stranger.call(json!({"fname": "worker_heartbeat", "stay": worker.stay})), Err(1052));
    stranger.session = worker.socket.session.clone();
    assert_eq!(stranger.call(json!({"fname": "worker_heartbeat", "stay": worker.stay})), Err(1052));
    assert_eq!(worker.say("worker_heartbeat", json!({})), Ok(Value::Null));
    let other = Socket::guest(house.address);
    worker.socket.session = other.session.clone();
    assert_eq!(worker.say("worker_heartbeat", json!({})), Err(1052));
}

#[test]
fn an_agent_that_is_gone_for_too_long_loses_its_boards() {
    let (house, worker, mut borrower, job, _) = lent();
    drop(worker);
    borrower.until(|me| {
        let workers = me.socket.call(json!({"fname": "list_workers"})).expect("workers");
        (workers[0]["connected"] == false).then_some(()).or_else(|| {
            std::thread::yield_now();
            None
        })
    });
    house.clock.advance(59_000);
    assert_eq!(borrower.job(job)["state_name"], "ready");
    house.clock.advance(1_000);
    let over = borrower.until_job(job, "destroyed");
    assert_eq!(over["reason"], "boards failed: usb/a: agent 'host-1' was silent for 60 s");
    assert_eq!(borrower.until_board("a", "offline")["reason"], "agent 'host-1' was silent for 60 s");
    let mut worker = Worker::come(&house, "host-1", &[("a", None)]);
    worker.obey("test");
    borrower.until_board("a", "free");
}

#[test]
fn a_job_whose_agent_goes_before_it_is_ready_gets_other_boards() {
    let house = House::with(LAB);
    let mut borrower = Borrower::new(&house);
    let mut first = Worker::come(&house, "host-1", &[("a", None)]);
    first.obey("test");
    let job = borrower.create();
    assert_eq!(first.task()["action"], "prepare");
    let mut second = Worker::come(&house, "host-2", &[("b", None)]);
    second.obey("test");
    assert_eq!(first.say("leave_worker", json!({"reason": "shut down"})), Ok(Value::Null));
    assert_eq!(first.say("worker_heartbeat", json!({})), Err(1052));
    let prepare = second.obey("prepare");
    assert_eq!((&prepare["boards"], &prepare["job_id"]), (&json!(["b"]), &json!(job)));
    borrower.until_job(job, "ready");
    assert_eq!(borrower.until_board("a", "offline")["reason"], "shut down");
}

#[test]
fn an_agent_that_comes_back_goes_on_and_one_that_forgot_is_told_again() {
    let (house, worker, mut borrower, job, order) = lent();
    drop(worker);
    let mut worker = Worker::come(&house, "host-1", &[("a", Some(&order))]);
    worker.is_told_nothing();
    // It crashed: the same order again, which the lab does not wait for.
    let mut again = Worker::come(&house, "host-1", &[("a", None)]);
    assert_eq!(worker.task()["over"], "a worker of the same name registered");
    assert_eq!(again.obey("prepare")["order"], json!(order));
    again.is_told_nothing();
    assert_eq!(borrower.job(job)["state_name"], "ready");
    // It cannot be made again what it was.
    drop(again);
    let mut ill = Worker::come(&house, "host-1", &[("a", None)]);
    let told = ill.task();
    let failed = json!({"order": told["order"], "failed": {"a": "no serial port"}});
    assert_eq!(ill.say("answer_order", failed), Ok(Value::Null));
    assert_eq!(borrower.until_job(job, "destroyed")["reason"], "boards failed: usb/a: no serial port");
}

#[test]
fn lent_boards_stay_lent_over_a_restart() {
    let (house, worker, borrower, job, order) = lent();
    let session = borrower.socket.session.clone();
    drop((worker, borrower));
    let house = house.reopen();
    let mut borrower = Borrower::new(&house);
    borrower.socket.session = session;
    assert_eq!(borrower.job(job)["state_name"], "ready");
    house.clock.advance(59_000);
    let mut worker = Worker::come(&house, "host-1", &[("a", Some(&order))]);
    worker.is_told_nothing();
    house.clock.advance(2_000);
    worker.is_told_nothing();
    assert_eq!(borrower.job(job)["state_name"], "ready");
    let call = json!({"fname": "destroy_job", "job_id": job});
    borrower.socket.call(call).expect("ended");
    worker.obey("clean");
    borrower.until_board("a", "free");
}

#[test]
fn an_order_that_was_open_waits_over_a_restart_for_its_agent() {
    let house = House::with(LAB);
    let (mut worker, mut borrower) = (Worker::come(&house, "host-1", &[("a", None)]), Borrower::new(&house));
    worker.obey("test");
    let job = borrower.create();
    let order = worker.task()["order"].clone();
    let session = borrower.socket.session.clone();
    drop((worker, borrower));
    let house = house.reopen();
    let mut borrower = Borrower::new(&house);
    borrower.socket.session = session;
    let mut worker = Worker::come(&house, "host-1", &[("a", None)]);
    assert_eq!(worker.obey("prepare")["order"], order);
    borrower.until_job(job, "ready");
}

#[test]
fn boards_whose_agent_does_not_come_back_after_a_restart_are_lost() {
    let (house, worker, borrower, job, _) = lent();
    drop((worker, borrower));
    let house = house.reopen();
    let mut borrower = Borrower::new(&house);
    house.clock.advance(60_000);
    let reason = borrower.until_job(job, "destroyed")["reason"].clone();
    assert_eq!(reason, "boards failed: usb/a: no agent came back with it after the server was started");
    borrower.until_board("a", "offline");
}

#[test]
fn a_draining_worker_finishes_what_it_has() {
    let (_house, mut worker, mut borrower, job, _) = lent();
    assert_eq!(worker.say("add_worker_boards", json!({"boards": [{"serial": "b"}]})), Ok(Value::Null));
    worker.obey("test");
    borrower.until_board("b", "free");
    assert_eq!(worker.say("drain_worker", json!({"draining": true})), Ok(Value::Null));
    assert_eq!(borrower.until_board("b", "maintenance")["reason"], "its agent wants no new work");
    assert_eq!(borrower.job(job)["state_name"], "ready");
    borrower.socket.call(json!({"fname": "destroy_job", "job_id": job})).expect("ended");
    worker.obey("clean");
    borrower.until_board("a", "maintenance");
    assert_eq!(worker.say("drain_worker", json!({"draining": false})), Ok(Value::Null));
    worker.obey("test");
    worker.obey("test");
    borrower.until_board("a", "free");
    borrower.until_board("b", "free");
}

#[test]
fn a_drained_worker_that_left_and_comes_back_is_as_new() {
    let (house, mut worker, mut borrower, _, _) = lent();
    assert_eq!(worker.say("drain_worker", json!({"draining": true})), Ok(Value::Null));
    assert_eq!(worker.say("leave_worker", json!({"reason": "new cables"})), Ok(Value::Null));
    borrower.until_board("a", "offline");
    let mut worker = Worker::come(&house, "host-1", &[("a", None)]);
    worker.obey("test");
    borrower.until_board("a", "free");
}

#[test]
fn broken_and_unplugged_boards_are_taken_out_of_use() {
    let (_house, mut worker, mut borrower, job, _) = lent();
    let broken = json!({"boards": ["a", "x"], "reason": "no serial port"});
    assert_eq!(worker.say("break_worker_boards", broken), Ok(Value::Null));
    assert_eq!(borrower.until_job(job, "destroyed")["reason"], "boards failed: usb/a: no serial port");
    let clean = worker.task();
    let failed = json!({"order": clean["order"], "failed": {"a": "no serial port"}});
    assert_eq!(
        (clean["action"].clone(), worker.say("answer_order", failed)),
        (json!("clean"), Ok(Value::Null))
    );
    borrower.until_board("a", "quarantined");
    let gone = json!({"boards": ["a"], "reason": "unplugged"});
    assert_eq!(worker.say("remove_worker_boards", gone), Ok(Value::Null));
    assert_eq!(borrower.until_board("a", "offline")["reason"], "unplugged");
}

#[test]
fn one_board_has_one_agent() {
    let house = House::with(LAB);
    let _first = Worker::come(&house, "host-1", &[("a", None)]);
    assert_eq!(Worker::try_come(&house, "host-2", &[("a", None)]).err(), Some(1053));
    assert_eq!(Worker::try_come(&house, "host-2", &[("b", None), ("b", None)]).err(), Some(404));
    assert_eq!(
        Worker::try_come(&house, "host-2", &[("devices-0", None)]).err(),
        Some(404),
        "another machine's"
    );
}

#[test]
fn questions_reach_the_board_of_their_holder() {
    let (house, mut worker, mut borrower, _, _) = lent();
    let ask = json!([{"fname": "send_board_command", "serial": "a", "command": "count", "args": {"n": 2}}]);
    borrower.socket.say(ask.clone());
    let question = worker.task();
    let shown = json!({
        "stay": worker.stay, "question": question["question"], "board": "a", "what": "send", "command": "count",
        "args": {"n": 2},
    });
    assert_eq!(question, shown);
    let answer = json!({"question": question["question"], "answer": {"pulses": 7}});
    assert_eq!(worker.say("answer_question", answer), Ok(Value::Null));
    assert_eq!(borrower.socket.hear().expect("an answer")["data"][0]["data"], json!({"pulses": 7}));
    // One that is never answered is given up.
    borrower.socket.say(ask);
    worker.task();
    house.clock.advance(30_000);
    assert_eq!(borrower.socket.hear().expect("an answer")["data"][0]["error"]["code"], 102);
}
