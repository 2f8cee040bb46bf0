//! The client against a server that answers late, in another order, with news in between, or not at all.

use crate::fake_server::{FakeServer, Peer, SESSION, envelope};
use berth::client::keeper::{JobNews, JobWatch, Keeper};
use berth::client::{Client, ClientError, Credentials, Dial, EVENTS_KEPT_MAX, Request, demo};
use berth::error::Code;
use berth::wire::envelope::Command;
use serde_json::{Value, json};
use std::io::{ErrorKind, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

/// Longer than anything here takes.
const LONG: Duration = Duration::from_secs(30);

fn guest(server: &FakeServer) -> Client {
    let mut client = Client::connect(server.address(), LONG).unwrap();
    client.handshake_guest("test").unwrap();
    client
}

/// Answers every call with its own arguments until the client goes.
fn echo(peer: &mut Peer) {
    while let Some(asked) = peer.hear() {
        let results = asked.data.as_array().cloned().unwrap_or_default();
        peer.answer(&asked, &results);
    }
}

#[test]
fn the_greeting_is_read_and_a_guest_comes_in() {
    let server = FakeServer::start(|_, mut peer| {
        peer.greet();
        let asked = peer.hear().unwrap();
        assert_eq!((asked.session.as_str(), asked.name.as_str(), &asked.data), ("", "test", &json!({})));
        peer.let_in(&asked, SESSION);
        echo(&mut peer);
    });
    let mut client = guest(&server);
    let greeting = client.greeting();
    assert_eq!((greeting.server.as_str(), greeting.version.core, greeting.protocol), ("fake", [9, 8, 7], 1));
    assert!(greeting.guest_allowed && greeting.capabilities == ["ids"]);
    assert_eq!(greeting.limits["calls_max"], 5);
    assert_eq!(client.session(), SESSION);
    let answer = client.call("get_job", &[("job_id", json!(7)), ("note", json!("\u{e9}<EOF>"))]).unwrap();
    assert_eq!(answer, json!({"fname": "get_job", "job_id": 7, "note": "\u{e9}<EOF>"}));
}

#[test]
fn a_user_says_name_and_password_and_may_be_refused() {
    let server = FakeServer::start(|_, mut peer| {
        peer.greet();
        while let Some(asked) = peer.hear() {
            match asked.data == json!({"user": "ada", "password": "right"}) {
                true => peer.let_in(&asked, SESSION),
                false => peer.refuse(&asked, Code::WRONG_CREDENTIALS, "wrong"),
            }
        }
    });
    let mut client = Client::connect(server.address(), LONG).unwrap();
    let error = client.handshake("ada", "wrong").unwrap_err();
    assert!(matches!(&error, ClientError::Root(refusal) if refusal.code == 411), "{error}");
    client.handshake("ada", "right").unwrap();
    assert_eq!(client.session(), SESSION);
}

#[test]
fn one_refused_call_spoils_only_itself() {
    let server = FakeServer::start(|_, mut peer| {
        peer.welcome();
        let asked = peer.hear().unwrap();
        assert_eq!(asked.fnames(), ["get_version", "get_job", "whoami"]);
        peer.answer(&asked, &[json!(1), json!({"error": {"code": 1001, "msg": "no job 7"}}), json!(3)]);
        let asked = peer.hear().unwrap();
        peer.answer(&asked, &[json!({"error": {"code": 1001, "msg": "no job 7"}})]);
        let asked = peer.hear().unwrap();
        peer.refuse(&asked, Code::INVALID_MESSAGE, "data[0] has no fname");
    });
    let mut client = guest(&server);
    let requests = ["get_version", "get_job", "whoami"].map(Request::new);
    let answers = client.call_many(&requests).unwrap();
    assert_eq!(answers.len(), 3);
    assert_eq!((answers[0].as_ref().unwrap(), answers[2].as_ref().unwrap()), (&json!(1), &json!(3)));
    assert_eq!(answers[1].as_ref().unwrap_err().code, 1001);
    let error = client.call("get_job", &[]).unwrap_err();
    assert!(matches!(&error, ClientError::Call(refusal) if refusal.msg == "no job 7"), "{error}");
    let error = client.call("get_job", &[]).unwrap_err();
    assert!(matches!(&error, ClientError::Root(refusal) if refusal.code == 403), "{error}");
    assert!(!error.is_session_over());
}

#[test]
fn answers_may_come_in_any_order_with_events_between() {
    let server = FakeServer::start(|_, mut peer| {
        peer.welcome();
        let asked: Vec<_> = (0..3).map(|_| peer.hear().unwrap()).collect();
        for at in [2, 0, 1] {
            peer.tell("jobs_changed", &json!({"jobs_changed": [at]}));
            peer.answer(&asked[at], &[json!(at)]);
        }
        echo(&mut peer);
    });
    let mut client = guest(&server);
    let mut tickets: Vec<_> =
        (0..3).map(|at| client.begin(&[Request::new("wait_job").with("job_id", at)]).unwrap()).collect();
    for at in (0..3).rev() {
        let answers = client.finish(tickets.pop().unwrap(), LONG).unwrap();
        assert_eq!(answers, [Ok(json!(at))]);
    }
    for at in [2, 0, 1] {
        let event = client.next_event(LONG).unwrap().unwrap();
        assert_eq!((event.name.as_str(), event.data), ("jobs_changed", json!({"jobs_changed": [at]})));
    }
    assert_eq!(client.next_event(Duration::ZERO).unwrap(), None);
}

#[test]
fn events_nobody_takes_are_bounded_and_counted() {
    let more = 3;
    let server = FakeServer::start(move |_, mut peer| {
        peer.welcome();
        let asked = peer.hear().unwrap();
        for at in 0..EVENTS_KEPT_MAX + more {
            peer.tell("jobs_changed", &json!(at));
        }
        peer.answer(&asked, &[json!(null)]);
        echo(&mut peer);
    });
    let mut client = guest(&server);
    client.call("notify_job", &[]).unwrap();
    assert_eq!(client.next_event(LONG).unwrap().unwrap().data, json!(more));
    assert_eq!(client.take_events_lost(), more as u64);
    assert_eq!(client.take_events_lost(), 0);
}

#[test]
fn a_session_that_is_over_is_opened_anew_and_the_message_sent_again() {
    let server = FakeServer::start(|_, mut peer| {
        peer.welcome();
        for (code, next) in [(Code::SESSION_EXPIRED, "b"), (Code::AUTH_REQUIRED, "c")] {
            let asked = peer.hear().unwrap();
            peer.refuse(&asked, code, "over");
            let handshake = peer.hear().unwrap();
            assert_eq!((handshake.session.as_str(), &handshake.data), ("", &json!({})));
            peer.let_in(&handshake, &next.repeat(32));
            let repeated = peer.hear().unwrap();
            assert_eq!((&repeated.session, &repeated.data), (&next.repeat(32), &asked.data));
            peer.answer(&repeated, &[json!(next)]);
        }
    });
    let mut client = guest(&server);
    for next in ["b", "c"] {
        assert_eq!(client.call("whoami", &[]).unwrap(), json!(next));
        assert_eq!(client.session(), next.repeat(32));
    }
}

#[test]
fn only_who_knows_whom_to_be_opens_a_session_anew() {
    let server = FakeServer::start(|_, mut peer| {
        peer.greet();
        while let Some(asked) = peer.hear() {
            match asked.session.as_str() {
                "" => peer.let_in(&asked, SESSION),
                SESSION => peer.answer(&asked, &[json!(asked.data)]),
                _ => peer.refuse(&asked, Code::SESSION_EXPIRED, "over"),
            }
        }
    });
    let mut client = Client::connect(server.address(), LONG).unwrap();
    client.join("f00");
    let error = client.call("whoami", &[]).unwrap_err();
    assert!(error.is(Code::SESSION_EXPIRED) && error.is_session_over(), "{error}");
    client.remember(Credentials::Guest);
    assert_eq!(client.call("whoami", &[]).unwrap(), json!([{"fname": "whoami"}]));
    assert_eq!(client.session(), SESSION);
}

#[test]
fn a_connection_that_breaks_is_an_error_and_no_panic() {
    let server = FakeServer::start(|before, mut peer| match before {
        0 => peer.hang_up(),
        1 => {
            peer.welcome();
            peer.hear();
            peer.hang_up();
        }
        2 => peer.send_bytes(b"HTTP/1.1 400 Bad Request\r\n\r\n"),
        3 => peer.refuse(&no_request(), Code::TOO_MANY_CONNECTIONS, "full"),
        _ => {
            peer.welcome();
            peer.say(&Default::default(), "serverquit");
            peer.hang_up();
        }
    });
    let error = Client::connect(server.address(), LONG).err().unwrap();
    assert!(matches!(&error, ClientError::Io(_)), "{error}");
    let mut client = guest(&server);
    let error = client.call("whoami", &[]).unwrap_err();
    assert!(matches!(&error, ClientError::Io(_)) && error.is_connection(), "{error}");
    let error = Client::connect(server.address(), LONG).err().unwrap();
    assert!(matches!(&error, ClientError::Protocol(_)), "{error}");
    let error = Client::connect(server.address(), LONG).err().unwrap();
    assert!(error.is(Code::TOO_MANY_CONNECTIONS), "{error}");
    let mut client = guest(&server);
    let event = client.next_event(LONG).unwrap().unwrap();
    assert!(event.is_farewell() && event.name == "serverquit");
    assert!(matches!(client.next_event(LONG), Err(ClientError::Io(_))));
}

/// A message without an id, so that the refusal concerns the connection.
fn no_request() -> crate::fake_server::Asked {
    crate::fake_server::Asked { session: String::new(), name: String::new(), data: Value::Null, id: None }
}

#[test]
fn nobody_there_is_told_apart() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let error = Client::connect(&address, LONG).err().unwrap();
    let ClientError::Connect { address: told, cause } = &error else { panic!("{error}") };
    assert_eq!((told, cause.kind()), (&address, ErrorKind::ConnectionRefused));
}

#[test]
fn a_late_answer_is_dropped_and_the_connection_goes_on() {
    let (late, is_late) = mpsc::channel::<()>();
    let is_late = Mutex::new(is_late);
    let server = FakeServer::start(move |_, mut peer| {
        peer.welcome();
        let first = peer.hear().unwrap();
        is_late.lock().unwrap().recv().unwrap();
        let second = peer.hear().unwrap();
        peer.answer(&first, &[json!("late")]);
        peer.answer(&second, &[json!("in time")]);
        echo(&mut peer);
    });
    let mut client = guest(&server);
    let error = client.ask_within(Request::new("slow"), Duration::from_millis(5)).unwrap_err();
    assert!(error.is_time_out(), "{error}");
    late.send(()).unwrap();
    assert_eq!(client.call("quick", &[]).unwrap(), json!("in time"));
}

#[test]
fn commands_are_answered_by_id() {
    let server = FakeServer::start(|_, mut peer| {
        peer.welcome();
        while let Some(asked) = peer.hear() {
            peer.say(&envelope(&asked.session, &asked), &asked.data);
        }
    });
    let mut client = guest(&server);
    assert_eq!(client.command(Command::ServerQuit).unwrap(), json!("serverquit"));
    assert_eq!(client.session(), SESSION);
    client.command(Command::Logout).unwrap();
    assert_eq!(client.session(), "");
}

#[test]
fn an_answer_dripping_in_byte_by_byte_is_read() {
    let server = FakeServer::start(|_, mut peer| {
        peer.welcome();
        let asked = peer.hear().unwrap();
        let (mut text, mut frame) = (Vec::new(), Vec::new());
        let long = "x".repeat(100_000);
        envelope(SESSION, &asked).push_data(&mut text, &json!([{"fname": "f", "data": long}]));
        berth::wire::encode(&text, &mut frame);
        for piece in frame.chunks(7) {
            peer.send_bytes(piece);
        }
        peer.hear();
    });
    assert_eq!(guest(&server).call("f", &[]).unwrap().as_str().unwrap().len(), 100_000);
}

/// Tells the state of job 7 as `states` has it, the last one for ever; every look is told to the test.
fn look_at(peer: &mut Peer, states: &mut impl Iterator<Item = Value>, looks: &mpsc::Sender<Vec<String>>) {
    while let Some(asked) = peer.hear() {
        if asked.session.is_empty() {
            peer.let_in(&asked, SESSION);
            continue;
        }
        let mut results = Vec::new();
        for fname in asked.fnames() {
            results.push(match fname {
                "get_job" => states.next().unwrap(),
                "explain_job" => json!({"sentence": "it waits"}),
                _ => json!(null),
            });
        }
        let _ = looks.send(asked.fnames().into_iter().map(str::to_owned).collect());
        peer.answer(&asked, &results);
        if asked.fnames().contains(&"get_job") {
            peer.tell("jobs_changed", &json!({"jobs_changed": [7]}));
        }
    }
}

fn watch_of(server: &FakeServer, keepalive: Option<Duration>) -> JobWatch {
    let dial = Dial {
        address: server.address().to_owned(),
        name: "test".to_owned(),
        credentials: Credentials::Guest,
        timeout: LONG,
    };
    JobWatch::new(dial, SESSION, 7, keepalive)
}

#[test]
fn a_watch_tells_what_becomes_of_a_job() {
    let (tell, _looks) = mpsc::channel();
    let server = FakeServer::start(move |_, mut peer| {
        peer.greet();
        let (queued, ready) = (json!({"state": 1, "ahead": 2}), json!({"state": 3, "job_id": 7}));
        let over = json!({"state": 4, "reason": "enough"});
        let states = [queued.clone(), queued, json!({"state": 2}), ready.clone(), ready, over];
        look_at(&mut peer, &mut states.into_iter(), &tell);
    });
    let mut watch = watch_of(&server, None);
    let news: Vec<_> = std::iter::from_fn(|| watch.next(Instant::now() + LONG)).collect();
    assert_eq!(
        news,
        [
            JobNews::Queued { ahead: Some(2), sentence: "it waits".to_owned() },
            JobNews::Power,
            JobNews::Ready(json!({"state": 3, "job_id": 7})),
            JobNews::Over("enough".to_owned()),
        ]
    );
    assert!(watch.is_over());
}

#[test]
fn a_watch_comes_back_under_the_same_session_when_the_connection_breaks() {
    let (tell, _looks) = mpsc::channel();
    let server = FakeServer::start(move |before, mut peer| {
        peer.greet();
        match before {
            // One look, then the connection breaks; then one breaks at once.
            0 => {
                for _ in 0..2 {
                    let asked = peer.hear().unwrap();
                    assert_eq!(asked.session, SESSION);
                    peer.answer(&asked, &[json!(null), json!({"state": 2}), json!(null)]);
                }
                peer.hang_up();
            }
            1 => peer.hang_up(),
            _ => {
                let over = json!({"state": 4, "reason": "enough"});
                look_at(&mut peer, &mut [json!({"state": 2}), over].into_iter(), &tell);
            }
        }
    });
    let mut watch = watch_of(&server, None);
    let mut next = || watch.next(Instant::now() + LONG).unwrap();
    assert_eq!(next(), JobNews::Power);
    assert!(matches!(next(), JobNews::Lost(_)));
    assert_eq!(next(), JobNews::Back);
    assert_eq!(next(), JobNews::Over("enough".to_owned()));
    assert_eq!(server.connections(), 3);
}

#[test]
fn a_keeper_gives_signs_of_life_until_it_is_dropped() {
    let (tell, looks) = mpsc::channel();
    let server = FakeServer::start(move |_, mut peer| {
        peer.greet();
        while let Some(asked) = peer.hear() {
            let fnames: Vec<_> = asked.fnames().into_iter().map(str::to_owned).collect();
            peer.answer(&asked, &[json!(null), json!({"state": 3}), json!(null)]);
            let _ = tell.send(fnames);
        }
        let _ = tell.send(vec!["gone".to_owned()]);
    });
    let keeper = Keeper::start(watch_of(&server, Some(Duration::from_millis(30))), |_| {});
    assert_eq!(looks.recv_timeout(LONG).unwrap(), ["notify_job"]);
    assert_eq!(looks.recv_timeout(LONG).unwrap(), ["job_keepalive", "get_job", "explain_job"]);
    for _ in 0..3 {
        assert_eq!(looks.recv_timeout(LONG).unwrap(), ["job_keepalive", "get_job"]);
    }
    drop(keeper);
    while looks.recv_timeout(LONG).unwrap() != ["gone"] {}
}

#[test]
fn a_keeper_tells_all_news_to_the_last() {
    let (tell, _looks) = mpsc::channel();
    let server = FakeServer::start(move |before, mut peer| {
        peer.greet();
        match before {
            0 => peer.hang_up(),
            _ => {
                let over = json!({"state": 4, "reason": "enough"});
                look_at(&mut peer, &mut [over].into_iter(), &tell);
            }
        }
    });
    let (tell, news) = mpsc::channel();
    let _keeper = Keeper::start(watch_of(&server, None), move |one| drop(tell.send(one)));
    let next = || news.recv_timeout(LONG);
    assert!(matches!(next(), Ok(JobNews::Lost(_))));
    assert_eq!(next(), Ok(JobNews::Back));
    assert_eq!(next(), Ok(JobNews::Over("enough".to_owned())));
    assert!(matches!(next(), Err(mpsc::RecvTimeoutError::Disconnected)));
}

/// Paper a test can read.
#[derive(Clone, Default)]
struct Paper(Arc<Mutex<Vec<u8>>>);

impl Write for Paper {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn the_demonstration_prints_a_conversation_on_two_sockets() {
    let mouths = Mutex::new(Vec::new());
    let server = FakeServer::start(move |_, mut peer| {
        peer.greet();
        mouths.lock().unwrap().push(peer.other_mouth());
        let mut looks = 0;
        while let Some(asked) = peer.hear() {
            if asked.session.is_empty() {
                peer.let_in(&asked, SESSION);
                continue;
            }
            looks += usize::from(asked.fnames() == ["get_job_state"]);
            let result = |fname: &&str| match *fname {
                "create_job" => json!(7),
                "get_job_state" => json!({"state": 2 + looks % 2}),
                _ => json!(null),
            };
            let results: Vec<_> = asked.fnames().iter().map(result).collect();
            peer.answer(&asked, &results);
            for mouth in mouths.lock().unwrap().iter_mut().take(1) {
                mouth.tell("jobs_changed", &json!({"jobs_changed": [7]}));
            }
        }
    });
    let paper = Paper::default();
    assert_eq!(demo::play(server.address(), paper.clone()).unwrap(), 7);
    let text = String::from_utf8(paper.0.lock().unwrap().clone()).unwrap();
    for part in [
        "A <-- ",
        "A --> ",
        "B <-- ",
        "B --> ",
        "create_job",
        "power_off_job_boards",
        "jobs_changed",
        "bytes on the wire",
    ] {
        assert!(text.contains(part), "{part} is missing in:\n{text}");
    }
    let b: Vec<_> = text.lines().filter(|line| line.starts_with("B --> ")).collect();
    assert_eq!(b.len(), 2);
    assert!(b.iter().all(|line| line.contains(SESSION)));
}
