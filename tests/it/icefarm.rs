//! iCEFARM's control server on the web door: what its routes answer and refuse, and what its sockets hear.

use crate::house::House;
use crate::web::{config, house, house_with};
use crate::web_socket::{Answer, Web, ask, get};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use tungstenite::Message;

/// A GET with a JSON body, as clients send it.
fn call(web: SocketAddr, path: &str, arguments: &Value) -> Answer {
    ask(web, "GET", path, &["content-type: application/json"], &arguments.to_string())
}

/// The same where it is done.
fn done(web: SocketAddr, path: &str, arguments: &Value) -> Value {
    let answer = call(web, path, arguments);
    assert_eq!(answer.status, 200, "{path} {arguments}: {answer:?}");
    answer.json()
}

/// The same where it is refused; there is nothing to read then.
fn refused(web: SocketAddr, path: &str, arguments: &Value) -> u16 {
    let answer = call(web, path, arguments);
    assert_eq!(answer.body, "", "{path} {arguments}");
    answer.status
}

/// What reserves so many boards.
fn amount(name: &str, amount: Value) -> Value {
    json!({"amount": amount, "name": name, "kind": "pulsecount", "args": {}})
}

/// What reserves these boards.
fn these(name: &str, serials: &[&str]) -> Value {
    json!({"serials": serials, "name": name, "kind": "pulsecount", "args": {"send_waveform": true}})
}

/// A client's socket: Engine.IO over a websocket from the start.
struct Client(Web);

impl Client {
    /// Opens one; it is connected when this returns.
    fn open(web: SocketAddr, name: &str, query: &str) -> Client {
        let mut client = Client(Web::open(web, &format!("/socket.io/?{query}EIO=4&transport=websocket")));
        let open = client.packet();
        let terms: Value = serde_json::from_str(&open[1..]).expect("terms");
        assert!(
            open.starts_with('0') && terms["sid"].is_string() && terms["pingInterval"].is_u64(),
            "{open}"
        );
        client.say(&format!("40{}", json!({"client_id": name})));
        let connected = client.packet();
        assert!(connected.starts_with("40{"), "{connected}");
        client
    }

    fn say(&mut self, packet: &str) {
        self.0.say_message(Message::text(packet));
    }

    /// The next packet that is not a ping; pings are answered.
    fn packet(&mut self) -> String {
        loop {
            match self.0.hear_message().expect("a packet") {
                Message::Text(text) if &*text == "2" => self.say("3"),
                Message::Text(text) => return text.to_string(),
                other => panic!("no packet: {other:?}"),
            }
        }
    }

    /// The next event: a JSON text in an event of JSON.
    fn hear(&mut self) -> Value {
        let packet = self.packet();
        let event: Value = serde_json::from_str(packet.strip_prefix("42").expect("an event")).expect("JSON");
        assert_eq!((&event[0], event.as_array().map(Vec::len)), (&json!("event"), Some(2)), "{event}");
        serde_json::from_str(event[1].as_str().expect("a text")).expect("JSON in it")
    }

    /// Hears until this of a board, or of all of them, comes.
    fn hear_of(&mut self, serial: &str, event: &str) -> Value {
        loop {
            let heard = self.hear();
            if heard["serial"] == serial && heard["contents"][0]["event"] == event {
                return heard["contents"][0].clone();
            }
        }
    }

    /// Hears until this of each of these boards came, in whatever order.
    fn hear_of_each(&mut self, serials: &[&str], event: &str) {
        let mut open: Vec<_> = serials.to_vec();
        while !open.is_empty() {
            let heard = self.hear();
            if heard["contents"][0]["event"] == event {
                open.retain(|serial| heard["serial"] != *serial);
            }
        }
    }

    /// Hears until so many boards are available.
    fn hear_amount(&mut self, amount: u64) {
        while self.hear_of("meta", "devices_available")["amount"] != amount {}
    }
}

#[test]
fn boards_are_reserved_extended_and_ended_by_serial() {
    let (_house, web) = house();
    assert_eq!(done(web, "/available", &json!({})), json!({"amount": 8}));
    assert_eq!(get(web, "/available").json(), json!({"amount": 8}), "no arguments are needed");
    assert_eq!(done(web, "/devices", &json!({})).as_array().map(Vec::len), Some(8));
    let rows = done(web, "/reserve", &amount("me", json!(2)));
    let url = format!("http://{web}/?berth=worker");
    let row = |serial: &str| json!({"serial": serial, "url": url, "ip": web.ip(), "serverport": web.port()});
    assert_eq!(rows, json!([row("devices-0"), row("devices-1")]));
    assert_eq!(done(web, "/reserveserials", &these("me", &["devices-7"])), json!([row("devices-7")]));
    assert_eq!(done(web, "/available", &json!({})), json!({"amount": 5}));
    for empty in [amount("me", json!(0)), these("me", &[])] {
        let path = if empty["amount"].is_null() { "/reserveserials" } else { "/reserve" };
        assert_eq!(done(web, path, &empty), json!([]));
    }
    let named = json!({"name": "me", "serials": ["devices-7", "devices-0", "devices-5"]});
    assert_eq!(done(web, "/extend", &named), json!(["devices-7", "devices-0"]));
    let mut all = done(web, "/extendall", &json!({"name": "me"}));
    all.as_array_mut().expect("serials").sort_by_key(|serial| serial.to_string());
    assert_eq!(all, json!(["devices-0", "devices-1", "devices-7"]));
    // Nothing to do is no failure, and nobody acts on what another reserved.
    for path in ["/extend", "/end"] {
        assert_eq!(done(web, path, &json!({"name": "you", "serials": ["devices-7"]})), json!([]));
        assert_eq!(done(web, &format!("{path}all"), &json!({"name": "you"})), json!([]));
    }
    // A board that is still being prepared has no time for it.
    Client::open(web, "me", "berth=worker&").hear_of("devices-0", "initialized");
    assert_eq!(done(web, "/reboot", &json!({"serials": ["devices-0", "devices-0"]})), json!(["devices-0"]));
    assert_eq!(done(web, "/end", &named), json!(["devices-7", "devices-0"]));
    assert_eq!(done(web, "/endall", &json!({"name": "me"})), json!(["devices-1"]));
    // Those that were lent have to be cleaned first.
    Client::open(web, "you", "").hear_amount(8);
    assert_eq!(done(web, "/available", &json!({})), json!({"amount": 8}));
}

#[test]
fn reservations_are_jobs_like_any_other() {
    let (house, web) = house();
    done(web, "/reserve", &amount("me", json!(1)));
    let mut admin = house.admin();
    let job = admin.call(json!({"fname": "get_job", "job_id": 1})).expect("a job");
    assert_eq!((&job["owner"], &job["kind"]), (&json!("me"), &json!("pulsecount")), "{job}");
    admin.call(json!({"fname": "destroy_job", "job_id": 1})).expect("it ends");
    assert_eq!(done(web, "/endall", &json!({"name": "me"})), json!([]));
}

#[test]
fn what_cannot_be_done_and_what_cannot_be_understood_have_their_status() {
    let (_house, web) = house();
    done(web, "/reserveserials", &these("me", &["devices-3"]));
    for wish in [json!(9), json!(-1), json!(5_000_000_000_u64)] {
        assert_eq!(refused(web, "/reserve", &amount("me", wish)), 500);
    }
    let kind = json!({"amount": 1, "name": "me", "kind": "teapot", "args": {}});
    assert_eq!(refused(web, "/reserve", &kind), 500);
    for serials in [&["devices-3"][..], &["devices-1", "devices-1"], &["devices-1", "nobody"]] {
        assert_eq!(refused(web, "/reserveserials", &these("me", serials)), 500, "{serials:?}");
    }
    assert_eq!(done(web, "/available", &json!({})), json!({"amount": 7}), "all or nothing");
    for path in ["/reboot", "/delete"] {
        assert_eq!(refused(web, path, &json!({"serials": ["nobody"]})), 500);
    }
    assert_eq!(refused(web, "/reboot", &json!({"serials": ["devices-1"]})), 500, "nobody holds it");
    assert_eq!(get(web, "/clear-workers").status, 500, "the role is user");
    for wish in [json!("1"), json!(1.0), json!(1.5), json!(null), json!(true)] {
        assert_eq!(refused(web, "/reserve", &amount("me", wish)), 400);
    }
    for (path, arguments) in [
        ("/reserve", json!({"name": "me", "kind": "pulsecount", "args": {}})),
        ("/reserve", json!([])),
        ("/reserveserials", json!({"serials": "devices-1", "name": "me", "kind": "pulsecount", "args": {}})),
        ("/reserveserials", json!({"serials": [1], "name": "me", "kind": "pulsecount", "args": {}})),
        ("/reserve", json!({"amount": 1, "name": "me", "kind": "pulsecount", "args": []})),
        ("/extend", json!({"name": "me"})),
        ("/extendall", json!({"name": 7})),
        ("/end", json!({"serials": []})),
        ("/endall", json!({})),
        ("/reboot", json!({})),
        ("/delete", json!({"serials": null})),
        ("/log", json!({"name": "w", "logs": [1]})),
    ] {
        assert_eq!(refused(web, path, &arguments), 400, "{path} {arguments}");
        assert_eq!(get(web, path).status, 400, "{path}");
        for method in ["POST", "HEAD", "DELETE"] {
            assert_eq!(ask(web, method, path, &[], "").status, 405, "{method} {path}");
        }
    }
    assert_eq!(ask(web, "GET", "/endall", &["content-type: application/json"], "{").status, 400);
}

#[test]
fn arguments_come_in_the_body_or_in_the_address() {
    let (_house, web) = house();
    let json = "%7B%22name%22%3A%22me%22,%22serials%22:[%22devices-1%22],%22kind%22:%22pulsecount%22,%22args%22:%7B%7D%7D";
    let rows = get(web, &format!("/reserveserials?json={json}"));
    assert_eq!(rows.json()[0]["serial"], "devices-1");
    let charset = ask(
        web,
        "GET",
        "/extendall",
        &["content-type: application/json; charset=utf-8"],
        r#"{"name": "me"}"#,
    );
    assert_eq!(charset.json(), json!(["devices-1"]));
    assert_eq!(ask(web, "GET", "/extendall", &["content-type: text/plain"], r#"{"name": "me"}"#).status, 400);
    let (_house, web) = house_with("body_bytes_max = 1024\n");
    assert_eq!(refused(web, "/endall", &json!({"name": "x".repeat(2000)})), 413);
}

#[test]
fn logs_of_workers_are_taken() {
    let (_house, web) = house();
    let answer =
        call(web, "/log", &json!({"name": "w", "logs": [[10, "a"], [20, "b"], [30, "c"], [40, "d"]]}));
    assert_eq!((answer.status, answer.body.as_str()), (200, ""));
}

#[test]
fn it_is_for_networks_that_may_come_in_and_never_for_pages_from_elsewhere() {
    let farm = |keys: &str| House::with(&format!("{}[icefarm]\n{keys}", config("")));
    let closed = farm("role = \"refused\"\n");
    let web = closed.web.expect("a web door");
    assert_eq!(
        (get(web, "/available").status, get(web, "/socket.io/?EIO=4&transport=polling").status),
        (404, 404)
    );
    let strange = farm("allow = [\"10.0.0.0/8\"]\n");
    let web = strange.web.expect("a web door");
    assert_eq!(
        (get(web, "/available").status, get(web, "/socket.io/?EIO=4&transport=polling").status),
        (403, 403)
    );
    assert_eq!(get(web, "/healthz").status, 200);
    let looking = farm("role = \"guest\"\nurl = \"https://lab.example\"\n");
    let web = looking.web.expect("a web door");
    assert_eq!(done(web, "/available", &json!({})), json!({"amount": 8}));
    assert_eq!(refused(web, "/reserve", &amount("me", json!(1))), 500);
    let (_house, web) = house();
    let arguments = "/reserve?json=%7B%22amount%22:1,%22name%22:%22me%22,%22kind%22:%22pulsecount%22,%22args%22:%7B%7D%7D";
    for line in [
        "origin: http://evil.example",
        "sec-fetch-site: cross-site",
        "sec-fetch-site: same-site",
        "referer: http://evil.example/",
    ] {
        assert_eq!(ask(web, "GET", arguments, &[line], "").status, 403, "{line}");
        assert_eq!(ask(web, "GET", "/socket.io/?EIO=4&transport=polling", &[line], "").status, 403, "{line}");
    }
    assert_eq!(done(web, "/available", &json!({})), json!({"amount": 8}), "nothing came of it");
    assert_eq!(ask(web, "GET", arguments, &[&format!("origin: http://{web}")], "").status, 200);
}

#[test]
fn operators_find_boards_anew_and_clear_everything() {
    let house = House::with(&format!(
        "{}[icefarm]\nrole = \"operator\"\nurl = \"https://lab.example\"\n",
        config("")
    ));
    let web = house.web.expect("a web door");
    let rows = done(web, "/reserve", &amount("me", json!(2)));
    let row = json!({"serial": "devices-0", "url": "https://lab.example/?berth=worker", "ip": "lab.example", "serverport": 443});
    assert_eq!(rows[0], row);
    done(web, "/reserve", &amount("you", json!(1)));
    assert_eq!(done(web, "/delete", &json!({"serials": ["devices-0", "devices-5"]})), json!(["devices-5"]));
    // What others borrowed is not cleared.
    house
        .admin()
        .call(json!({"fname": "reserveserials", "serials": ["devices-7"], "kind": "variance"}))
        .expect("a board");
    assert_eq!(get(web, "/clear-workers").json(), json!({"status": "ok"}));
    Client::open(web, "you", "").hear_amount(7);
    let free = done(web, "/devices", &json!({}));
    let free: BTreeSet<_> = free.as_array().expect("serials").iter().filter_map(Value::as_str).collect();
    assert!(
        ["devices-0", "devices-1", "devices-2"].iter().all(|serial| free.contains(serial))
            && !free.contains("devices-7")
    );
}

#[test]
fn sockets_hear_what_becomes_of_their_reservations() {
    let leases = "[reservation]\nspan_s = 60\nwarn_s = 20\nwarn_every_s = 8\n";
    let house = House::with(&format!("{}{leases}", config("")));
    let web = house.web.expect("a web door");
    let (mut control, mut other) = (Client::open(web, "me", ""), Client::open(web, "you", "t=1&"));
    control.hear_amount(8);
    done(web, "/reserve", &amount("me", json!(2)));
    // Less is told as well as more, to everybody.
    other.hear_amount(6);
    // The board is ready when the socket to the worker is there.
    let mut worker = Client::open(web, "me", "berth=worker&");
    worker.hear_of_each(&["devices-0", "devices-1"], "initialized");
    done(web, "/reserveserials", &these("me", &["devices-2"]));
    worker.hear_of("devices-2", "initialized");
    assert_eq!(done(web, "/reboot", &json!({"serials": ["devices-2"]})), json!(["devices-2"]));
    worker.hear_of("devices-2", "initialized");
    done(web, "/end", &json!({"name": "me", "serials": ["devices-2"]}));
    control.hear_of("devices-2", "reservation end");
    house.clock.advance(40_000);
    control.hear_of("devices-0", "reservation ending soon");
    done(web, "/extend", &json!({"name": "me", "serials": ["devices-1"]}));
    house.clock.advance(20_000);
    control.hear_of("devices-0", "reservation end");
    other.hear_amount(7);
    // Those who look at it natively end it natively.
    house.admin().call(json!({"fname": "destroy_job", "job_id": 2})).expect("it ends");
    control.hear_of("devices-1", "reservation end");
    other.hear_amount(8);
}

#[test]
fn several_sockets_of_a_client_hear_and_who_was_away_hears_later() {
    let (_house, web) = house();
    let (old, mut new) = (Client::open(web, "me", ""), Client::open(web, "me", ""));
    done(web, "/reserve", &amount("me", json!(2)));
    old.0.close();
    done(web, "/end", &json!({"name": "me", "serials": ["devices-0"]}));
    new.hear_of("devices-0", "reservation end");
    done(web, "/reserveserials", &these("away", &["devices-5"]));
    done(web, "/endall", &json!({"name": "away"}));
    let mut back = Client::open(web, "away", "");
    back.hear_of("devices-5", "reservation end");
}

#[test]
fn a_board_that_fails_its_holder_says_so() {
    let odd = "[[machine]]\nname = \"odd\"\nshape = \"pool\"\nserials = [\"BROKEN\"]\nkinds = [\"odd\"]\ncontroller = \"simulated\"\n\
               [machine.simulated]\nbroken_boards = [\"BROKEN\"]\n";
    let house = House::with(&format!("{}{odd}", config("")));
    let web = house.web.expect("a web door");
    let mut control = Client::open(web, "me", "");
    let rows = done(web, "/reserve", &json!({"amount": 1, "name": "me", "kind": "odd", "args": {}}));
    assert_eq!(rows[0]["serial"], "BROKEN");
    control.hear_of("BROKEN", "failure");
    control.hear_of("BROKEN", "reservation end");
}

#[test]
fn reservations_of_before_a_restart_are_known_after_it() {
    let (house, web) = house();
    done(web, "/reserve", &amount("me", json!(1)));
    let house = house.reopen();
    let web = house.web.expect("a web door");
    let mut worker = Client::open(web, "me", "berth=worker&");
    worker.hear_of("devices-0", "initialized");
    let mut control = Client::open(web, "me", "");
    assert_eq!(done(web, "/endall", &json!({"name": "me"})), json!(["devices-0"]));
    control.hear_of("devices-0", "reservation end");
}

#[test]
fn sockets_are_for_clients_that_say_who_they_are_and_end_with_the_server() {
    let (mut house, web) = house();
    let terms = get(web, "/socket.io/?EIO=4&transport=polling");
    assert!(terms.status == 200 && terms.body.starts_with("0{"), "{terms:?}");
    assert_eq!(get(web, "/socket.io/?EIO=3&transport=polling").status, 400);
    assert_eq!(get(web, "/socket.io/?EIO=4&transport=polling&sid=AAAAAAAAAAAAAAAA").status, 400);
    for auth in ["40", "40{}", "40{\"client_id\":7}"] {
        let mut nobody = Client(Web::open(web, "/socket.io/?EIO=4&transport=websocket"));
        nobody.packet();
        nobody.say(auth);
        assert!(nobody.packet().starts_with("44{"), "{auth}");
    }
    let mut elsewhere = Client(Web::open(web, "/socket.io/?EIO=4&transport=websocket"));
    elsewhere.packet();
    elsewhere.say("40/other,{\"client_id\":\"me\"}");
    assert!(elsewhere.packet().starts_with("44/other,"));
    // One that is nobody's is kept for a while, and the server would wait for it.
    drop(elsewhere);
    let mut client = Client::open(web, "me", "");
    house.handle.end(berth::server::End::Quit);
    while client.0.hear_message().is_some() {}
    house.ended().expect("it ends well");
}
