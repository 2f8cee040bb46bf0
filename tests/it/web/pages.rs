//! Pages, probes, and what is said of them to browsers.

use super::{house, house_with};
use crate::house::Ticking;
use crate::socket::Socket;
use crate::web_socket::{ask, get};
use berth::journal::JournalError;
use berth::server::End;
use serde_json::json;

#[test]
fn pages_and_their_parts_are_plain_files_that_allow_nothing_from_elsewhere() {
    let (_house, web) = house();
    for (path, kind) in [
        ("/", "text/html; charset=utf-8"),
        ("/api", "text/html; charset=utf-8"),
        ("/static/style.css", "text/css; charset=utf-8"),
        ("/static/native.js", "text/javascript; charset=utf-8"),
        ("/static/events.js", "text/javascript; charset=utf-8"),
        ("/static/panel.js", "text/javascript; charset=utf-8"),
        ("/static/api.js", "text/javascript; charset=utf-8"),
    ] {
        let page = get(web, path);
        assert_eq!((page.status, page.header("content-type")), (200, kind), "{path}");
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("x-frame-options", "DENY"),
            ("cache-control", "no-cache"),
        ] {
            assert_eq!(page.header(name), value, "{path}");
        }
        let policy = page.header("content-security-policy");
        assert!(policy.starts_with("default-src 'self';") && policy.contains("frame-ancestors 'none'"));
        assert!(!policy.contains("unsafe"), "{policy}");
        if kind.starts_with("text/html") {
            let inline = page.body.matches("<script").count()
                != page.body.matches("<script type=\"module\" src=\"/static/").count();
            assert!(!inline && !page.body.contains("style=") && !page.body.contains("onclick"), "{path}");
        }
        assert!(!page.body.contains("http://") || path.ends_with(".js"), "{path}");
    }
}

#[test]
fn a_browser_that_has_a_file_is_not_sent_it_again() {
    let (_house, web) = house();
    let mark = get(web, "/static/native.js").header("etag").to_owned();
    assert!(mark.starts_with('"') && mark.len() > 4, "{mark}");
    let known = |line: &str| {
        let answer = ask(web, "GET", "/static/native.js", &[line], "");
        (answer.status, answer.body.is_empty())
    };
    assert_eq!(known(&format!("if-none-match: {mark}")), (304, true));
    assert_eq!(known(&format!("if-none-match: \"a\", W/{mark}")), (304, true));
    assert_eq!(known("if-none-match: *"), (304, true));
    assert_eq!(known("if-none-match: \"a\""), (200, false));
    assert_ne!(get(web, "/static/style.css").header("etag"), mark);
}

#[test]
fn paths_and_methods_that_do_not_exist_are_told_apart() {
    let (_house, web) = house();
    let all = [
        ("GET", "/nothing", 404, ""),
        ("GET", "/static/", 404, ""),
        ("GET", "/static/nothing.js", 404, ""),
        ("GET", "/static/..%2fnative.js", 404, ""),
        ("GET", "/static/../../Cargo.toml", 404, ""),
        ("HEAD", "/", 200, ""),
        ("HEAD", "/healthz", 200, ""),
        ("HEAD", "/static/native.js", 200, ""),
        ("POST", "/", 405, "GET,HEAD"),
        ("DELETE", "/healthz", 405, "GET,HEAD"),
        ("POST", "/metrics", 405, "GET,HEAD"),
        ("PUT", "/api", 405, "GET,HEAD,POST"),
        ("OPTIONS", "/api", 405, "GET,HEAD,POST"),
        ("POST", "/socket", 405, "GET,HEAD"),
    ];
    for (method, path, status, allow) in all {
        let answer = ask(web, method, path, &[], "");
        let mut allowed: Vec<_> = answer.header("allow").split(',').filter(|word| !word.is_empty()).collect();
        allowed.sort_unstable();
        assert_eq!((answer.status, allowed.join(",").as_str()), (status, allow), "{method} {path}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{method} {path}");
        assert_eq!(method == "HEAD", answer.body.is_empty(), "{method} {path}");
    }
    for path in ["/socket", "/events"] {
        let plain = get(web, path);
        assert!((400..500).contains(&plain.status), "{path} without an upgrade: {plain:?}");
    }
}

#[test]
fn probes_say_how_it_is() {
    let (house, web) = house();
    assert_eq!((get(web, "/healthz").status, get(web, "/healthz").body.as_str()), (200, "ok\n"));
    let ready = get(web, "/readyz");
    assert_eq!((ready.status, ready.json()), (200, json!({"ready": true, "reasons": []})));
    assert_eq!(
        (ready.header("content-type"), ready.header("cache-control")),
        ("application/json", "no-store")
    );
    drop(house);
}

#[test]
fn a_server_that_cannot_keep_anything_is_not_ready() {
    let (house, web) = house();
    house.journal.set_fault(Some(JournalError::Full("no room".into())));
    let (mut socket, _) = Socket::open(house.address);
    assert!(socket.ask(json!({}))["error"]["code"].is_u64(), "no session can be kept");
    let full = get(web, "/readyz");
    assert_eq!(full.status, 503);
    assert_eq!(
        full.json(),
        json!({"ready": false, "reasons": ["the journal has no room; changes are refused"]})
    );
    assert_eq!(get(web, "/healthz").status, 200);
}

#[test]
fn requests_follow_each_other_on_one_connection_and_the_end_lets_them_go() {
    use crate::web_socket::{connect, hear_answer};
    use std::io::{BufReader, Write};
    let (mut house, web) = house_with("");
    let mut stream = connect(web);
    let mut reader = BufReader::new(stream.try_clone().expect("a copy"));
    for _ in 0..3 {
        stream.write_all(format!("GET /healthz HTTP/1.1\r\nhost: {web}\r\n\r\n").as_bytes()).expect("write");
        assert_eq!(hear_answer(&mut reader, false).expect("an answer").status, 200);
    }
    house.handle.end(End::Quit);
    assert!(hear_answer(&mut reader, false).is_none(), "an idle connection is closed");
    drop(stream);
    let ticking = Ticking::start(&house.clock, 20);
    assert_eq!(house.ended().expect("a good end"), End::Quit);
    drop(ticking);
}
