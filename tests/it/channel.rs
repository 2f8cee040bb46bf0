//! Channels: datagrams between holders and their boards, through a real server and real UDP sockets.

use crate::house::House;
use crate::socket::{Socket, framed};
use berth::wire::base64;
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(20);

/// A loopback address that no other test here has, and that tests of another process hardly have.
pub fn address() -> Ipv4Addr {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = std::process::id().wrapping_mul(61).wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
    let [_, b, c, d] = number.to_be_bytes();
    Ipv4Addr::new(127, 10 + b % 50, c, d.clamp(1, 254))
}

/// The network end of a board.
pub struct Board(pub UdpSocket);

impl Board {
    /// One at a host of its own.
    pub fn new() -> Board {
        let bound = (0..100).find_map(|_| UdpSocket::bind((address(), 0)).ok());
        let socket = bound.expect("a free address");
        socket.set_read_timeout(Some(PATIENCE)).expect("a time-out");
        Board(socket)
    }

    /// Where it is.
    pub fn at(&self) -> SocketAddr {
        self.0.local_addr().expect("an address")
    }

    /// The next datagram, and from where.
    pub fn hear(&self) -> (Vec<u8>, SocketAddr) {
        let mut buffer = [0; 2048];
        let (bytes, from) = self.0.recv_from(&mut buffer).expect("a datagram");
        (buffer[..bytes].to_vec(), from)
    }

    /// Says something.
    pub fn say(&self, bytes: &[u8], to: SocketAddr) {
        self.0.send_to(bytes, to).expect("sent");
    }

    /// All that has come before this call; nothing may come from elsewhere meanwhile.
    fn heard_so_far(&self) -> Vec<Vec<u8>> {
        // First what there is, so that there is room for the mark.
        let mut all = Vec::new();
        self.0.set_nonblocking(true).expect("a mode");
        let mut buffer = [0; 2048];
        while let Ok(bytes) = self.0.recv(&mut buffer) {
            all.push(buffer[..bytes].to_vec());
        }
        self.0.set_nonblocking(false).expect("a mode");
        let mark = format!("mark {:?}", Instant::now()).into_bytes();
        UdpSocket::bind("127.0.0.1:0").and_then(|socket| socket.send_to(&mark, self.at())).expect("sent");
        all.extend(std::iter::from_fn(|| Some(self.hear().0).filter(|heard| *heard != mark)));
        all
    }
}

/// A lab of three boards, of which the last has no host; with what else there is to be set.
pub fn lab(boards: [&Board; 2], settings: &str) -> String {
    let [first, second] = boards.map(Board::at);
    let ports = format!("[{}, {}]", first.port(), second.port());
    let ports = if settings.contains("ports = ") { String::new() } else { format!("ports = {ports}") };
    format!(
        r#"
name = "house"
[native]
listen = "127.0.0.1:0"
guests = "user"
[channel]
{ports}
{settings}
[[machine]]
name = "m"
shape = "triads"
width = 1
height = 1
boards = [
    {{ logical = [0, 0, 0], physical = [0, 0, 0], host = "{}" }},
    {{ logical = [0, 0, 1], physical = [0, 0, 1], host = "{}" }},
]
controller = "simulated"
[[machine]]
name = "pool"
shape = "pool"
count = 1
controller = "simulated"
"#,
        first.ip(),
        second.ip()
    )
}

/// A connection on which events come between answers.
struct Peer {
    socket: Socket,
    events: VecDeque<Value>,
}

impl Peer {
    fn new(socket: Socket) -> Peer {
        Peer { socket, events: VecDeque::new() }
    }

    fn guest(house: &House) -> Peer {
        Peer::new(Socket::guest(house.address))
    }

    fn call(&mut self, call: Value) -> Result<Value, u64> {
        self.socket.say(json!([call]));
        loop {
            let heard = self.socket.hear().expect("an answer");
            if heard.get("__event__").is_some() {
                self.events.push_back(heard);
                continue;
            }
            let entry = &heard["data"][0];
            let code = heard["error"]["code"].as_u64().or(entry["error"]["code"].as_u64());
            return code.map_or_else(|| Ok(entry["data"].clone()), Err);
        }
    }

    /// A job with this board, ready.
    fn job(&mut self, z: u32) -> u64 {
        let call = json!({"fname": "create_job", "machine": "m", "x": 0, "y": 0, "z": z, "keepalive": null});
        let job = self.call(call).expect("a job").as_u64().expect("a number");
        let ready = self.call(json!({"fname": "wait_job", "job_id": job})).expect("a job");
        assert_eq!(ready["state_name"], "ready", "{ready}");
        job
    }

    fn open(&mut self, job: u64, z: u32, port: u16) -> Result<Value, u64> {
        let (fname, machine) = ("open_channel", "m");
        self.call(
            json!({"fname": fname, "job_id": job, "machine": machine, "x": 0, "y": 0, "z": z, "port": port}),
        )
    }

    fn send(&mut self, channel: u64, datagrams: &[&[u8]]) -> Result<Value, u64> {
        let datagrams: Vec<_> = datagrams.iter().map(|bytes| base64::encode(bytes)).collect();
        self.call(json!({"fname": "send_datagrams", "channel": channel, "datagrams": datagrams}))
    }

    fn event(&mut self) -> Value {
        self.events.pop_front().unwrap_or_else(|| self.socket.hear().expect("an event"))
    }

    /// The next so many datagrams of a channel, and how many were dropped among them.
    fn datagrams(&mut self, channel: u64, count: usize) -> (Vec<Vec<u8>>, u64) {
        let (mut all, mut dropped) = (Vec::new(), 0);
        while all.len() < count {
            let event = self.event();
            assert_eq!(event["__event__"], "datagrams", "{event}");
            for part in event["data"]["datagrams"].as_array().expect("a list") {
                assert_eq!(part["channel"], channel, "{event}");
                dropped += part["dropped"].as_u64().unwrap_or(0);
                let data = part["data"].as_array().expect("a list").iter();
                all.extend(data.map(|text| base64::decode(text.as_str().expect("text")).expect("base64")));
            }
        }
        (all, dropped)
    }

    fn closed(&mut self) -> (u64, String) {
        let event = self.event();
        assert_eq!(event["__event__"], "channel_closed", "{event}");
        let reason = event["data"]["reason"].as_str().expect("a reason").to_owned();
        (event["data"]["channel"].as_u64().expect("a number"), reason)
    }

    fn list(&mut self) -> Vec<Value> {
        let list = self.call(json!({"fname": "list_channels"})).expect("a list");
        list.as_array().expect("a list").clone()
    }
}

/// Stops a thread when dropped, also by a test that fails.
struct Stops<'a>(&'a AtomicBool);

impl Drop for Stops<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

fn texts(datagrams: &[Vec<u8>]) -> Vec<&str> {
    datagrams.iter().map(|bytes| std::str::from_utf8(bytes).expect("text")).collect()
}

#[test]
fn datagrams_go_both_ways_in_their_order() {
    let boards = [Board::new(), Board::new()];
    let house = House::with(&lab([&boards[0], &boards[1]], ""));
    let mut peer = Peer::guest(&house);
    let job = peer.job(0);
    let port = boards[0].at().port();
    let channel = peer.open(job, 0, port).expect("a channel");
    let shown = [&channel["channel"], &channel["job_id"], &channel["board"], &channel["port"]];
    assert_eq!(shown, [&json!(1), &json!(job), &json!([0, 0, 0]), &json!(port)]);
    assert_eq!(channel["host"], boards[0].at().ip().to_string());
    assert_eq!(peer.send(1, &[b"one", b"", b"three"]), Ok(json!(3)));
    let heard: Vec<_> = (0..3).map(|_| boards[0].hear()).collect();
    assert_eq!(
        texts(&heard.iter().map(|(bytes, _)| bytes.clone()).collect::<Vec<_>>()),
        ["one", "", "three"]
    );
    let from = heard[0].1;
    assert_eq!(from.port(), channel["local_port"].as_u64().expect("a port") as u16);
    assert_eq!(from.ip().to_string(), channel["local_host"]);
    for said in ["a", "", "c"] {
        boards[0].say(said.as_bytes(), from);
    }
    let (came, dropped) = peer.datagrams(1, 3);
    assert_eq!((texts(&came), dropped), (vec!["a", "", "c"], 0));
    // Nobody else is heard on it.
    boards[1].say(b"stranger", from);
    boards[0].say(b"last", from);
    assert_eq!(texts(&peer.datagrams(1, 1).0), ["last"]);
    let listed = peer.list();
    let counts = [&listed[0]["sent"], &listed[0]["received"], &listed[0]["dropped"], &listed[0]["waiting"]];
    assert_eq!(counts, [&json!(3), &json!(4), &json!(0), &json!(0)]);
    assert_eq!(peer.call(json!({"fname": "close_channel", "channel": 1})), Ok(json!(null)));
    assert_eq!((peer.list(), peer.send(1, &[b"x"])), (vec![], Err(1040)));
    assert_eq!(peer.call(json!({"fname": "close_channel", "channel": 1})), Err(1040));
    assert_eq!(boards[0].heard_so_far(), Vec::<Vec<u8>>::new());
    assert_eq!(peer.open(job, 0, port).expect("another")["channel"], 2);
}

#[test]
fn only_boards_of_ones_own_job_that_have_a_host_are_reached() {
    let boards = [Board::new(), Board::new()];
    let house = House::with(&lab([&boards[0], &boards[1]], "")).with_known_users();
    let mut alice = Peer::new(Socket::user(house.address, "alice", "wonder"));
    let mut guest = Peer::guest(&house);
    let (first, third) = (alice.job(0), alice.job(2));
    let port = boards[0].at().port();
    assert_eq!(guest.open(first, 0, port), Err(413));
    assert_eq!(alice.open(third, 2, port), Err(1042));
    assert_eq!(alice.open(first, 1, port), Err(1041));
    assert_eq!(alice.open(first, 0, 9), Err(1043));
    assert_eq!(alice.open(99, 0, port), Err(1001));
    let pool = json!({"fname": "create_job", "machine": "pool", "keepalive": null});
    let pooled = alice.call(pool).expect("a job").as_u64().expect("a number");
    alice.call(json!({"fname": "wait_job", "job_id": pooled})).expect("ready");
    let call = json!({"fname": "open_channel", "job_id": pooled, "serial": "pool-0", "port": port});
    assert_eq!(alice.call(call), Err(1042));
    // Operators act on all jobs, until they are none any more.
    let mut admin = Peer::new(Socket::user(house.address, "admin", "s3cret"));
    let call = json!({"fname": "create_user", "user": "bob", "role": "operator", "password": "builder"});
    assert_eq!(admin.call(call), Ok(json!(null)));
    let mut bob = Peer::new(Socket::user(house.address, "bob", "builder"));
    assert_eq!(bob.open(first, 0, port).expect("a channel")["channel"], 1);
    assert_eq!(admin.call(json!({"fname": "set_role", "user": "bob", "role": "user"})), Ok(json!(null)));
    assert_eq!(bob.closed(), (1, format!("bob may not act on job {first} any more")));
    assert_eq!((bob.send(1, &[b"x"]), bob.open(first, 0, port)), (Err(1040), Err(413)));
    assert_eq!(boards[0].heard_so_far(), Vec::<Vec<u8>>::new());
}

#[test]
fn a_channel_ends_with_its_job_and_not_with_the_power() {
    let boards = [Board::new(), Board::new()];
    let house = House::with(&lab([&boards[0], &boards[1]], ""));
    let mut peer = Peer::guest(&house);
    let job = peer.job(0);
    peer.open(job, 0, boards[0].at().port()).expect("a channel");
    for fname in ["power_off_job_boards", "power_on_job_boards"] {
        assert_eq!(peer.call(json!({"fname": fname, "job_id": job})), Ok(json!(null)));
        assert_eq!(peer.send(1, &[fname.as_bytes()]), Ok(json!(1)));
    }
    assert_eq!(texts(&boards[0].heard_so_far()), ["power_off_job_boards", "power_on_job_boards"]);
    let (_, from) = (peer.send(1, &[b"?"]), boards[0].hear().1);
    boards[0].say(b"last words", from);
    let (said, _) = peer.datagrams(1, 1);
    assert_eq!(texts(&said), ["last words"]);
    let mut other = Peer::guest(&house);
    let end = json!({"fname": "destroy_job", "job_id": job, "reason": "done"});
    assert_eq!(other.call(end), Ok(json!(null)));
    assert_eq!(peer.closed(), (1, format!("job {job} is over: ended by guest: done")));
    assert_eq!((peer.send(1, &[b"x"]), peer.list()), (Err(1040), vec![]));
    assert_eq!(peer.open(job, 0, boards[0].at().port()), Err(1002));
    assert_eq!(boards[0].heard_so_far(), Vec::<Vec<u8>>::new());
}

#[test]
fn nothing_is_sent_once_the_end_of_a_loan_was_answered() {
    let boards = [Board::new(), Board::new()];
    let house = House::with(&lab([&boards[0], &boards[1]], "rate_per_s = 0"));
    let mut peer = Peer::guest(&house);
    let mut total = 0;
    for round in 0..20 {
        let job = peer.job(0);
        let mut sender = Peer::guest(&house);
        sender.open(job, 0, boards[0].at().port()).expect("a channel");
        let session = sender.socket.session.clone();
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            let _stops = Stops(&stop);
            let (stop, sender) = (&stop, &mut sender);
            scope.spawn(move || {
                let data = vec![base64::encode(b"late"); 50];
                let call = json!([{"fname": "send_datagrams", "channel": 1, "datagrams": data}]);
                let frame = framed(&json!({"session": session, "name": "test", "data": call}));
                while !stop.load(Ordering::Acquire) {
                    sender.socket.say_bytes(&frame);
                    sender.socket.hear().expect("an answer, or an event");
                }
            });
            for _ in 0..(round * 7 % 40) + 1 {
                boards[0].hear();
                total += 1;
            }
            let end = json!({"fname": "destroy_job", "job_id": job});
            assert_eq!(peer.call(end), Ok(json!(null)));
            boards[0].heard_so_far();
            // From here on the board may be another one's. The sender goes on for a while.
            for _ in 0..5 {
                peer.call(json!({"fname": "get_version"})).expect("a version");
            }
            assert_eq!(boards[0].heard_so_far(), Vec::<Vec<u8>>::new(), "round {round}");
        });
    }
    assert!(total >= 20);
}

#[test]
fn each_connection_has_its_own_channels() {
    let boards = [Board::new(), Board::new()];
    let house = House::with(&lab([&boards[0], &boards[1]], ""));
    let (mut one, mut two) = (Peer::guest(&house), Peer::guest(&house));
    let (first, second) = (one.job(0), one.job(1));
    one.open(first, 0, boards[0].at().port()).expect("a channel");
    // The same session on another connection, and another session on the same one, have none.
    let (mut joined, _) = Socket::open(house.address);
    joined.session = one.socket.session.clone();
    let mut joined = Peer::new(joined);
    assert_eq!((joined.list(), joined.send(1, &[b"x"])), (vec![], Err(1040)));
    let (own, other) = (one.socket.session.clone(), two.socket.session.clone());
    one.socket.session = other;
    assert_eq!((one.list(), one.send(1, &[b"x"])), (vec![], Err(1040)));
    one.socket.session = own;
    two.open(second, 1, boards[1].at().port()).expect("a channel");
    assert_eq!((one.send(1, &[b"to 0"]), two.send(1, &[b"to 1"])), (Ok(json!(1)), Ok(json!(1))));
    for (board, peer) in boards.iter().zip([&mut one, &mut two]) {
        let (bytes, from) = board.hear();
        board.say(&[&b"from "[..], &bytes[3..]].concat(), from);
        let (said, _) = peer.datagrams(1, 1);
        assert_eq!(said, [[&b"from "[..], &bytes[3..]].concat()]);
    }
}

#[test]
fn a_channel_ends_with_its_session_and_its_connection() {
    let boards = [Board::new(), Board::new()];
    let house = House::with(&lab([&boards[0], &boards[1]], "[limits]\nchannels_max = 1"));
    let mut owner = Peer::guest(&house);
    let job = owner.job(0);
    let port = boards[0].at().port();
    let mut peer = Peer::guest(&house);
    peer.open(job, 0, port).expect("a channel");
    assert_eq!(owner.open(job, 0, port), Err(1131));
    let session = peer.socket.session.clone();
    let end = json!({"fname": "end_session", "session": session});
    assert_eq!(house_admin(&house).call(end), Ok(json!(null)));
    assert_eq!(peer.closed(), (1, "the session has ended".to_owned()));
    // Its place is free; and it is free again when the connection of the next one has ended.
    let mut next = Peer::guest(&house);
    next.open(job, 0, port).expect("a channel");
    drop(next);
    let deadline = Instant::now() + PATIENCE;
    while owner.open(job, 0, port) == Err(1131) {
        assert!(Instant::now() < deadline, "the place is not given back");
    }
    assert_eq!(owner.list().len(), 1);
}

fn house_admin(house: &House) -> Peer {
    Peer::new(house.admin())
}

#[test]
fn every_limit_of_channels_has_its_error() {
    let boards = [Board::new(), Board::new()];
    let settings = "rate_per_s = 3\n[limits]\nchannels_per_connection_max = 2\nchannels_max = 3\n\
                    datagram_bytes_max = 8\ndatagrams_per_call_max = 4";
    let house = House::with(&lab([&boards[0], &boards[1]], settings));
    let (mut peer, mut other) = (Peer::guest(&house), Peer::guest(&house));
    let job = peer.job(0);
    let port = boards[0].at().port();
    assert!(peer.open(job, 0, port).is_ok() && peer.open(job, 0, port).is_ok());
    assert_eq!(peer.open(job, 0, port), Err(1130));
    assert!(other.open(job, 0, port).is_ok());
    assert_eq!(other.open(job, 0, port), Err(1131));
    assert_eq!(peer.send(1, &[b"12345678", b"123456789"]), Err(1132));
    assert_eq!(peer.send(1, &[b"".as_slice(); 5]), Err(1133));
    // Three in a second: what is too much is left for later, and what cannot be sent at all is refused.
    assert_eq!(peer.send(1, &[b"1", b"2", b"3", b"4"]), Ok(json!(3)));
    assert_eq!(peer.send(1, &[b"4"]), Err(1134));
    assert_eq!(peer.send(2, &[b"another"]), Ok(json!(1)));
    house.clock.advance(400);
    assert_eq!(peer.send(1, &[b"4", b"5"]), Ok(json!(1)));
    assert_eq!(texts(&boards[0].heard_so_far()), ["1", "2", "3", "another", "4"]);
    // The same from the board: three are told, two are dropped, and so is one that is too long.
    let to = SocketAddr::new("127.0.0.1".parse().expect("an address"), local_port(&mut peer, 1));
    boards[0].say(b"too long!", to);
    for said in [b"a", b"b", b"c", b"d", b"e"] {
        boards[0].say(said, to);
    }
    let (said, _) = peer.datagrams(1, 3);
    assert_eq!(texts(&said), ["a", "b", "c"]);
    let deadline = Instant::now() + PATIENCE;
    while peer.list()[0]["dropped"] != 3 {
        assert!(Instant::now() < deadline, "{:?}", peer.list());
    }
}

fn local_port(peer: &mut Peer, channel: u64) -> u16 {
    let list = peer.list();
    let found = list.iter().find(|listed| listed["channel"] == channel).expect("a channel");
    found["local_port"].as_u64().expect("a port") as u16
}

#[test]
fn a_slow_reader_loses_the_oldest_and_is_told_how_many() {
    let boards = [Board::new(), Board::new()];
    let settings = "rate_per_s = 0\n[limits]\ndatagrams_waiting_max = 16";
    let house = House::with(&lab([&boards[0], &boards[1]], settings));
    let (mut slow, mut quick) = (Peer::guest(&house), Peer::guest(&house));
    let (first, second) = (slow.job(0), slow.job(1));
    slow.open(first, 0, boards[0].at().port()).expect("a channel");
    quick.open(second, 1, boards[1].at().port()).expect("a channel");
    slow.send(1, &[b"?"]).expect("sent");
    quick.send(1, &[b"?"]).expect("sent");
    let (to_slow, to_quick) = (boards[0].hear().1, boards[1].hear().1);
    // More than all buffers on the way hold, in bytes that cannot be packed.
    let mut noise = 1u64;
    let mut datagram = vec![0; 1400];
    for number in 0..30_000u32 {
        for bytes in datagram.chunks_mut(8) {
            noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            bytes.copy_from_slice(&noise.to_be_bytes()[..bytes.len()]);
        }
        datagram[..4].copy_from_slice(&number.to_be_bytes());
        boards[0].say(&datagram, to_slow);
        if number % 1000 == 0 {
            // Meanwhile another one's datagrams come as ever.
            boards[1].say(&number.to_be_bytes(), to_quick);
            assert_eq!(quick.datagrams(1, 1).0, [number.to_be_bytes()]);
        }
    }
    // The board repeats its last word until it is heard.
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let stops = Stops(&done);
        scope.spawn(|| {
            while !done.load(Ordering::Acquire) {
                boards[0].say(&u32::MAX.to_be_bytes(), to_slow);
                thread::yield_now();
            }
        });
        let (mut numbers, mut dropped) = (Vec::new(), 0);
        while numbers.last() != Some(&u32::MAX) {
            let (came, lost) = slow.datagrams(1, 1);
            numbers.extend(came.iter().map(|bytes| u32::from_be_bytes(bytes[..4].try_into().expect("4"))));
            dropped += lost;
        }
        drop(stops);
        numbers.retain(|number| *number != u32::MAX);
        assert!(dropped > 0, "{} came", numbers.len());
        assert!(numbers.windows(2).all(|pair| pair[0] < pair[1]), "they came out of order");
    });
}

#[test]
fn a_board_that_refuses_is_no_error_and_a_name_is_looked_up() {
    let boards = [Board::new(), Board::new()];
    let port = boards[0].at().port();
    let config = lab([&boards[0], &boards[1]], "ports = \"any\"");
    let config = config.replace(&format!("\"{}\"", boards[1].at().ip()), "\"localhost\"");
    let house = House::with(&config);
    let mut peer = Peer::guest(&house);
    let (first, second) = (peer.job(0), peer.job(1));
    drop(boards);
    peer.open(first, 0, port).expect("a channel");
    for _ in 0..5 {
        assert_eq!(peer.send(1, &[b"anybody?".as_slice(); 3]), Ok(json!(3)));
    }
    let named = Board(UdpSocket::bind("127.0.0.1:0").expect("a socket"));
    named.0.set_read_timeout(Some(PATIENCE)).expect("a time-out");
    let channel = peer.open(second, 1, named.at().port()).expect("a channel");
    if channel["local_host"] == "127.0.0.1" {
        assert_eq!(peer.send(2, &[b"by name"]), Ok(json!(1)));
        assert_eq!(named.hear().0, b"by name");
    }
    assert_eq!(channel["host"], "localhost");
}

#[test]
fn what_is_no_fact_of_a_board_is_told_with_it() {
    let boards = [Board::new(), Board::new()];
    let house = House::with(&lab([&boards[0], &boards[1]], ""));
    let mut peer = Peer::guest(&house);
    let board = |fname: &str| json!({"fname": fname, "machine": "m", "x": 0, "y": 0, "z": 0});
    let fresh = peer.call(board("get_board")).expect("a board");
    assert_eq!([&fresh["power"], &fresh["sensors"]], [&json!(null), &json!(null)]);
    let job = peer.job(0);
    let at = house.clock.now().unix_s();
    let power = |peer: &mut Peer| peer.call(board("get_board")).expect("a board")["power"].clone();
    assert_eq!(power(&mut peer), json!({"action": "prepare", "at": at, "ok": true, "reason": null}));
    assert_eq!(peer.call(board("identify_board")), Ok(json!(null)));
    let read = peer.call(board("read_board_sensors")).expect("sensors");
    assert!(read["temperature_top"]["value"].as_f64().is_some_and(|value| (30.0..50.0).contains(&value)));
    house.clock.advance(5_000);
    let later = peer.call(board("get_board")).expect("a board");
    assert_eq!(later["sensors"], json!({"at": at, "values": read}));
    assert_eq!(peer.call(board("power_cycle_board")), Ok(json!(null)));
    assert_eq!(power(&mut peer), json!({"action": "cycle", "at": at + 5.0, "ok": true, "reason": null}));
    let listed = peer.call(json!({"fname": "list_boards", "machine": "m"})).expect("boards");
    assert!(listed[0].get("power").is_none() && listed[0].get("sensors").is_none());
    peer.call(json!({"fname": "destroy_job", "job_id": job})).expect("ended");
    let deadline = Instant::now() + PATIENCE;
    while power(&mut peer)["action"] != "clean" {
        assert!(Instant::now() < deadline, "it is not cleaned");
    }
}
