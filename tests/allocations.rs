//! How often the server asks for memory to answer calls that change nothing, counted over the whole process: the same
//! socket, over and over, so that whatever is used again is there already. A message costs none. A binary of its own, because it counts everything.

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
const MESSAGES: usize = 4000;

/// So many of them are sent at once. Whoever waits and is woken costs the runtime memory each time (lists of whom to wake, blocks of queues),
/// and how often that happens for one message is chance; for many at once it is nothing beside one for each message.
const AT_ONCE: usize = 40;

/// So many allocations may be in a stretch of messages: for wakes, for a buffer that grows with the answers to all that was said at once and
/// goes when they have left, and for what the desk does in its own time. A single one for each message would be twice as many.
const ALLOCATIONS_MAX: usize = MESSAGES / 2;

/// So often a counted stretch is tried: what else the process does now and then is in some of them only.
const STRETCHES: usize = 10;

/// A connection that says the same all the time.
struct Echo {
    stream: TcpStream,
    /// What it says, as often as it is said at once.
    frames: Vec<u8>,
    /// The answers to that.
    answers: Vec<u8>,
}

impl Echo {
    fn of(house: &House, session: &str, data: &Value) -> Echo {
        let stream = TcpStream::connect(house.address).unwrap();
        stream.set_nodelay(true).unwrap();
        let mut frame = Vec::new();
        let message = json!({"session": session, "name": "counter", "data": data});
        wire::encode(message.to_string().as_bytes(), &mut frame);
        let mut echo = Echo { stream, frames: frame.repeat(AT_ONCE), answers: Vec::new() };
        echo.hear();
        echo.stream.write_all(&frame).unwrap();
        echo.answers = vec![0; echo.hear() * AT_ONCE];
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
        for _ in 0..messages / AT_ONCE {
            self.stream.write_all(&self.frames).unwrap();
            self.stream.read_exact(&mut self.answers).unwrap();
        }
        assert!(self.answers.ends_with(wire::MARKER), "answers of one length");
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
        println!("{name}: {allocations} allocations in {MESSAGES} messages");
        assert!(
            allocations <= ALLOCATIONS_MAX,
            "{name}: {allocations} allocations in {MESSAGES} messages, not {ALLOCATIONS_MAX}"
        );
    }
}
