//! What peers of the web door may cost, and what becomes of those who cost more.

use super::{config, house, house_with};
use crate::house::{House, Ticking};
use crate::socket::Socket;
use crate::web_socket::{Web, ask, connect, get, hear_answer};
use berth::server::End;
use serde_json::{Value, json};
use std::io::{BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use tungstenite::Message;

/// A house with these keys of the web door and these limits.
fn limited(web: &str, limits: &str) -> (House, SocketAddr) {
    let house = House::with(&format!("{}[limits]\n{limits}", config(web)));
    let web = house.web.expect("a web door");
    (house, web)
}

/// How many have come by the web door, as the metrics have it; asked until it is so.
fn wait_for_connections(house: &House, wanted: u64) {
    let mut socket = Socket::guest(house.address);
    loop {
        let status = socket.call(json!({"fname": "get_status"})).expect("the status");
        // The one who asks is one of them.
        if status["connections"] == wanted + 1 {
            return;
        }
        std::thread::yield_now();
    }
}

/// What comes of bytes, and of nothing behind them.
fn answer_to(web: SocketAddr, bytes: &str) -> (Option<u16>, TcpStream) {
    let mut stream = connect(web);
    stream.write_all(bytes.as_bytes()).expect("write");
    let mut reader = BufReader::new(stream.try_clone().expect("a copy"));
    (hear_answer(&mut reader, false).map(|answer| answer.status), stream)
}

#[test]
fn a_body_is_bounded_however_it_comes() {
    let (_house, web) = house_with("body_bytes_max = 1024\n");
    let json = "content-type: application/json";
    assert_eq!(ask(web, "POST", "/api", &[json], &" ".repeat(1024)).status, 200);
    assert_eq!(ask(web, "POST", "/api", &[json], &" ".repeat(1025)).status, 413);
    let head = format!("POST /api HTTP/1.1\r\nhost: {web}\r\n{json}\r\ntransfer-encoding: chunked\r\n\r\n");
    assert_eq!(answer_to(web, &format!("{head}800\r\n{}\r\n0\r\n\r\n", " ".repeat(2048))).0, Some(413));
    assert_eq!(answer_to(web, &format!("{head}2\r\n{{}}\r\n0\r\n\r\n")).0, Some(200));
}

#[test]
fn a_head_is_bounded_in_bytes_and_lines() {
    let (_house, web) = house();
    let many: String = (0..200).map(|n| format!("x-{n}: y\r\n")).collect();
    assert_eq!(answer_to(web, &format!("GET / HTTP/1.1\r\nhost: h\r\n{many}\r\n")).0, Some(431));
    let long = "x".repeat(200_000);
    let mut stream = connect(web);
    // The server may hang up while this is still being said.
    let _ = stream.write_all(format!("GET / HTTP/1.1\r\nhost: h\r\nx: {long}\r\n\r\n").as_bytes());
    let mut reader = BufReader::new(stream);
    assert!(hear_answer(&mut reader, true).is_none_or(|answer| answer.status == 431));
    assert_eq!(answer_to(web, "nonsense\r\n\r\n").0, Some(400));
}

#[test]
fn who_dawdles_is_hung_up_on() {
    let (house, web) = limited("", "handshake_s = 1\n");
    let (silent, half) = (connect(web), connect(web));
    (&half).write_all(b"GET / HTTP/1.1\r\nho").expect("write");
    for stream in [silent, half] {
        let answer = hear_answer(&mut BufReader::new(stream), false);
        assert!(answer.as_ref().is_none_or(|answer| answer.status == 408), "{answer:?}");
    }
    let head = format!(
        "POST /api HTTP/1.1\r\nhost: {web}\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n{{"
    );
    assert_eq!(answer_to(web, &head).0, Some(408));
    let mut looking = Web::open(web, "/events");
    assert_eq!(looking.hear().expect("a refusal")["error"]["code"], 407);
    drop(looking);
    wait_for_connections(&house, 0);
}

#[test]
fn connections_of_all_doors_count_together() {
    let (house, web) = limited("", "connections_max = 2\n");
    let (_one, guest) = (Socket::guest(house.address), Web::guest(web));
    let refused = get(web, "/healthz");
    assert_eq!((refused.status, refused.header("connection")), (503, "close"), "{refused:?}");
    guest.close();
    // Whoever leaves makes room; that it has left is found out a moment later.
    while get(web, "/healthz").status != 200 {}
}

#[test]
fn a_message_is_bounded_in_each_form() {
    let (_house, web) = limited("", "frame_bytes_max = 4096\nbody_bytes_max = 8192\n");
    let mut guest = Web::guest(web);
    guest.say_message(Message::text(" ".repeat(4096)));
    assert_eq!(guest.hear().expect("an answer")["error"]["code"], 900);
    let mut packed = Vec::new();
    berth::wire::encode(" ".repeat(9000).as_bytes(), &mut packed);
    assert!(packed.len() < 4096);
    guest.say_message(Message::binary(packed));
    assert_eq!(guest.hear().expect("an answer")["error"]["code"], 1101);
    guest.say_message(Message::text(" ".repeat(4097)));
    assert_eq!(guest.hear(), None, "too large a message ends the connection");
}

#[test]
fn silence_before_a_session_is_bounded() {
    let (house, web) = house();
    let mut stranger = Web::open(web, "/socket");
    stranger.hear().expect("a greeting");
    let mut guest = Web::guest(web);
    house.clock.advance(3_600_000);
    assert!(stranger.hear().expect("a refusal")["error"]["code"].is_u64());
    assert_eq!(stranger.hear(), None);
    assert_eq!(guest.ask(json!([]))["session"].as_str().map(str::len), Some(32));
}

#[test]
fn who_takes_nothing_of_what_it_asks_for_is_hung_up_on() {
    let (house, web) = limited("stall_s = 1\n", "");
    let mut deaf = connect(web);
    let question = json!({"session": "", "name": "t", "data": "requestauth"}).to_string();
    let upgrade = format!(
        "GET /socket HTTP/1.1\r\nhost: {web}\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    );
    deaf.write_all(upgrade.as_bytes()).expect("write");
    let mut frame = vec![0x81, 0x80 | question.len() as u8, 0, 0, 0, 0];
    frame.extend_from_slice(question.as_bytes());
    assert!(question.len() < 126);
    let much = frame.repeat(1000);
    // It asks for as long as it is let, and never reads.
    while deaf.write_all(&much).is_ok() {}
    wait_for_connections(&house, 0);
}

#[test]
fn a_peer_that_answers_no_ping_is_gone() {
    let (house, web) = house_with("ping_s = 1\n");
    let mut guest = Web::guest(web);
    // The websocket below answers pings only while it reads, and it does not.
    wait_for_connections(&house, 0);
    while guest.hear().is_some() {}
}

#[test]
fn who_does_not_read_cannot_hold_up_the_end() {
    let (mut house, web) = house();
    let mut deaf = Web::guest(web);
    for _ in 0..50 {
        deaf.say_json(&deaf.message(json!([{"fname": "list_functions"}])));
    }
    let (half, waiting) = (connect(web), Web::guest(web));
    (&half).write_all(b"GET / HTTP/1.1\r\nho").expect("write");
    let mut admin = house.admin();
    assert_eq!(admin.ask(json!("serverquit"))["data"], "serverquit");
    drop(admin);
    let ticking = Ticking::start(&house.clock, 50);
    assert_eq!(house.ended().expect("a good end"), End::Quit);
    drop((ticking, deaf, half, waiting));
}

#[test]
fn a_question_whose_asker_left_is_given_up() {
    let (house, web) = house();
    let mut guest = Web::guest(web);
    let all = json!({"fname": "create_job", "machine": "devices", "boards": 8, "keepalive": null});
    guest.call(all).expect("a job");
    let call = json!({"fname": "create_job", "machine": "devices", "boards": 8, "keepalive": 60});
    let job = guest.call(call).expect("a job");
    let wait = json!({"session": guest.session, "name": "t", "data": [{"fname": "wait_job", "job_id": job, "timeout": 100_000}]});
    let body = wait.to_string();
    let mut stream = connect(web);
    let head = format!(
        "POST /api HTTP/1.1\r\nhost: {web}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(head.as_bytes()).expect("write");
    wait_for_connections(&house, 2);
    drop(stream);
    wait_for_connections(&house, 1);
    // Nobody waits any more, so nobody keeps it alive.
    house.clock.advance(61_000);
    let state =
        |guest: &mut Web| guest.call(json!({"fname": "list_jobs", "state": "destroyed"})).expect("a list");
    let ended =
        |list: Value| list.as_array().is_some_and(|jobs| jobs.iter().any(|known| known["job_id"] == job));
    while !ended(state(&mut guest)) {
        std::thread::yield_now();
    }
}
