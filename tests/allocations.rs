//! How often the server asks for memory to answer calls that change nothing, counted over the whole process: the same
//! socket, over and over, so that whatever is used again is there already. Of ours there is nothing; the number says what others make. A binary of its own, because it counts everything.

#[allow(dead_code, reason = "it is made for other tests")]
#[path = "it/house.rs"]
mod house;
#[allow(dead_code, reason = "it is made for other tests")]
#[path = "it/socket.rs"]
mod socket;

use berth::wire;
use house::House;
use serde_json::{Value, json};
use socket::Socket;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use std::alloc::System;
use std::io::{Read, Write};
use std::net::TcpStream;

#[global_allocator]
static COUNTED: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Messages between two counts.
const MESSAGES: usize = 400;

/// The runtime's reactor makes a list of whom to wake whenever it slept.
const PER_WAKE: usize = 1;

/// The runtime keeps tasks that are ready in a queue of blocks of 31, and makes a block whenever one is full.
const WAKES_PER_BLOCK: usize = 31;

/// So many others may be in a stretch of messages: the desk takes note of signs of life in its own time. One more for each message would be
/// ten times as many.
const OTHERS_MAX: usize = MESSAGES / 10;

/// So often a counted stretch is tried: what else the process does now and then is in some of them only.
const STRETCHES: usize = 10;

/// A connection that says the same all the time.
struct Echo {
    stream: TcpStream,
    frame: Vec<u8>,
    answer_bytes: usize,
}

impl Echo {
    fn of(house: &House, session: &str, data: &Value) -> Echo {
        let stream = TcpStream::connect(house.address).unwrap();
        stream.set_nodelay(true).unwrap();
        let mut frame = Vec::new();
        let message = json!({"session": session, "name": "counter", "data": data});
        wire::encode(message.to_string().as_bytes(), &mut frame);
        let mut echo = Echo { stream, frame, answer_bytes: 0 };
        echo.hear();
        echo.stream.write_all(&echo.frame.clone()).unwrap();
        echo.answer_bytes = echo.hear();
        echo
    }

    /// Reads one frame, whatever its length.
    fn hear(&mut self) -> usize {
        let (mut heard, mut byte) = (Vec::new(), [0]);
        while !heard.ends_with(wire::MARKER) {
            self.stream.read_exact(&mut byte).unwrap();
            heard.push(byte[0]);
        }
        heard.len()
    }

    /// Says it so often, and hears each answer.
    fn talk(&mut self, messages: usize) {
        let mut answer = [0; 16_384];
        for _ in 0..messages {
            self.stream.write_all(&self.frame).unwrap();
            self.stream.read_exact(&mut answer[..self.answer_bytes]).unwrap();
        }
        assert!(answer[..self.answer_bytes].ends_with(wire::MARKER), "answers of one length");
    }

    /// The fewest allocations of all stretches.
    fn count(&mut self) -> usize {
        self.talk(MESSAGES);
        let stretch = |_| {
            let region = Region::new(COUNTED);
            self.talk(MESSAGES);
            let change = region.change();
            change.allocations + change.reallocations
        };
        (0..STRETCHES).map(stretch).min().unwrap_or_default()
    }
}

/// One call or ten, with arguments or without: calls themselves cost nothing.
#[test]
fn a_call_that_changes_nothing_asks_for_no_memory() {
    let house = House::open();
    let mut socket = Socket::guest(house.address);
    let created = socket.call(json!({"fname": "create_job", "boards": 1})).unwrap();
    let session = socket.session.clone();
    let (version, alive) =
        (json!({"fname": "get_version"}), json!({"fname": "job_keepalive", "job_id": created}));
    let messages = [
        ("get_version", json!([version])),
        ("job_keepalive", json!([alive])),
        ("ten of both", (0..5).flat_map(|_| [version.clone(), alive.clone()]).collect()),
    ];
    for (name, data) in messages {
        let allocations = Echo::of(&house, &session, &data).count();
        // Two wakes a message: of the task that hears of sockets, and of a connection that is a task of its own.
        let blocks = 2 * MESSAGES / WAKES_PER_BLOCK + 1;
        let allocations_max = PER_WAKE * MESSAGES + blocks + OTHERS_MAX;
        println!("{name}: {allocations} allocations in {MESSAGES} messages");
        assert!(
            allocations <= allocations_max,
            "{name}: {allocations} allocations in {MESSAGES} messages, not {allocations_max}"
        );
    }
}
