//! `berth bench`, run for a fixed number of operations: what it counts, what it leaves behind, what it says of refusals.

use crate::fake_server::FakeServer;
use crate::house::{House, LAB};
use crate::program::{Ran, Running, berth};
use crate::socket::Socket;
use berth::error::Code;
use rustix::process::Signal;
use serde_json::{Value, json};
use std::net::SocketAddr;

/// The mixes and their messages.
const MIXES: [(&str, &[&str]); 5] = [
    ("version", &["get_version"]),
    ("jobs", &["list_jobs"]),
    ("pairs", &["create_job", "destroy_job"]),
    ("login", &["handshake", "logout"]),
    (
        "mixed",
        &[
            "get_version",
            "get_status",
            "list_jobs",
            "list_machines",
            "create_job",
            "destroy_job",
            "handshake",
            "logout",
        ],
    ),
];

/// The keys of a report.
const KEYS: [&str; 25] = [
    "batch",
    "begun",
    "bytes_received_per_operation",
    "bytes_sent_per_operation",
    "canned",
    "connections",
    "connections_lost",
    "depth",
    "done",
    "errors",
    "failed",
    "failed_in_warmup",
    "generator_us_per_operation",
    "interrupted",
    "journal",
    "latency_us",
    "machine",
    "messages",
    "mix",
    "operations_per_second",
    "rate",
    "seconds",
    "sessions",
    "threads",
    "unfinished",
];

fn bench(server: SocketAddr, args: &str) -> Ran {
    let args: Vec<&str> = ["bench", "--json"].into_iter().chain(args.split_whitespace()).collect();
    berth(server, &args)
}

/// The report of a run that ended with this status.
fn report(server: SocketAddr, args: &str, status: i32) -> Value {
    let ran = bench(server, args);
    assert_eq!(ran.status, status, "{args}: {ran:?}");
    serde_json::from_str(&ran.out).unwrap_or_else(|error| panic!("{error} in {ran:?}"))
}

/// Begun, done, failed, unfinished.
fn counts(report: &Value) -> [u64; 4] {
    ["begun", "done", "failed", "unfinished"].map(|key| report[key].as_u64().expect(key))
}

fn names(report: &Value) -> Vec<&str> {
    report["messages"].as_array().unwrap().iter().map(|message| message["name"].as_str().unwrap()).collect()
}

#[test]
fn every_mix_does_what_it_was_told_and_leaves_nothing_behind() {
    let house = House::open();
    let mut admin = house.admin();
    let sessions = |admin: &mut Socket| {
        admin.call(json!({"fname": "list_sessions", "user": "guest"})).unwrap().as_array().unwrap().len()
    };
    let before = sessions(&mut admin);
    for (mix, steps) in MIXES {
        let told = report(house.address, &format!("--mix {mix} -n 250 -c 3 -d 2"), 0);
        assert_eq!(counts(&told), [250, 250, 0, 0], "{told}");
        assert_eq!((&told["mix"], names(&told)), (&json!(mix), steps.to_vec()));
        let messages: u64 = told["messages"]
            .as_array()
            .unwrap()
            .iter()
            .map(|m| m["latency_us"]["count"].as_u64().unwrap())
            .sum();
        let pairs = match mix {
            "pairs" | "login" => 250,
            "mixed" => messages - 250,
            _ => 0,
        };
        assert_eq!(messages, 250 + pairs, "{told}");
        assert!(mix != "mixed" || (15..=35).contains(&pairs), "{told}");
        assert_eq!(told["latency_us"]["count"], 250);
        let latency = |key: &str| told["latency_us"][key].as_f64().unwrap();
        let rising = ["min", "p50", "p90", "p99", "p99_9", "max"].map(latency);
        assert!(rising[0] > 0.0 && rising.is_sorted(), "{told}");
        assert!(told["bytes_sent_per_operation"].as_f64().unwrap() > 60.0, "{told}");
        assert_eq!(sessions(&mut admin), before, "{mix} leaves no session");
    }
    assert_eq!(admin.call(json!({"fname": "list_jobs"})), Ok(json!([])));
    let ended = admin.call(json!({"fname": "get_status"})).unwrap()["jobs"]["destroyed"].as_u64().unwrap();
    assert!(ended >= 250, "{ended} jobs were made and destroyed");
}

#[test]
fn batches_threads_sessions_and_rates_change_no_count() {
    let house = House::open();
    for args in [
        "--mix version -n 1001 -c 4 -d 3 -b 10",
        "--mix jobs -n 101 -c 1 -d 1 -b 100",
        "--mix pairs -n 101 -c 5 -b 7 --threads 2",
        "--mix mixed -n 500 -c 6 -b 3 --threads 4 --own-sessions",
        "--mix version -n 64 -c 40 --own-sessions --rate 100000",
        "--mix pairs -n 30 -c 2 -d 8 --rate 20000 --threads 2 --job boards=2 --job machine=devices",
        "--mix version -n 3 -c 10 --threads 8",
    ] {
        let told = report(house.address, args, 0);
        let begun = told["begun"].as_u64().unwrap();
        assert!(args.contains(&format!("-n {begun} ")), "{args}: {told}");
        assert_eq!(counts(&told), [begun, begun, 0, 0], "{args}: {told}");
        assert_eq!(told["connections_lost"], 0);
    }
    let mut socket = Socket::guest(house.address);
    assert_eq!(socket.call(json!({"fname": "list_jobs"})), Ok(json!([])));
}

#[test]
fn a_report_has_its_keys_and_a_text() {
    let house = House::open();
    let told = report(house.address, "-n 100 -c 2 --calibrate", 0);
    let keys: Vec<&str> = told.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(keys, KEYS);
    let spec = concat!(env!("CARGO_MANIFEST_DIR"), "/protocol-spec/bench.md");
    let spec = std::fs::read_to_string(spec).unwrap();
    for key in KEYS {
        assert!(spec.contains(&format!("| `{key}` |")), "bench.md says nothing of {key}");
    }
    assert!(told["canned"]["operations_per_second"].as_f64().unwrap() > 0.0, "{told}");
    assert_eq!(told["canned"]["latency_us"]["count"], 100);
    assert!(told["machine"]["cores"].as_u64().unwrap() > 0);
    let text = berth(house.address, &["bench", "--mix", "pairs", "-n", "10", "-c", "1", "--calibrate"]);
    assert_eq!(text.status, 0, "{text:?}");
    for part in [
        "pairs: create_job, then",
        "10 done, 0 failed",
        "LATENCY us",
        "destroy_job",
        "bytes per operation",
        "canned answers:",
        "machine: ",
    ] {
        assert!(text.out.contains(part), "{part} is missing in {}", text.out);
    }
}

#[test]
fn the_framing_alone_can_be_measured_too() {
    let house = House::open();
    let told = report(house.address, "-n 100 -c 2 -b 3 --calibrate=framing", 0);
    assert_eq!(told["canned"]["labour"], "framing");
    assert!(told["canned"]["operations_per_second"].as_f64().unwrap() > 0.0, "{told}");
}

#[test]
fn the_spalloc_door_is_loaded_in_its_own_tongue() {
    let lab = LAB.replace("[native]", "[spalloc]\nlisten = \"127.0.0.1:0\"\n[native]");
    let house = House::with(&lab);
    let door = house.spalloc.unwrap();
    for (mix, messages) in [
        ("version", &["get_version"][..]),
        ("jobs", &["list_jobs"]),
        ("pairs", &["create_job", "destroy_job"]),
    ] {
        let told = report(house.address, &format!("--spalloc {door} --mix {mix} -n 30 -c 3 -d 2"), 0);
        assert_eq!(counts(&told), [30, 30, 0, 0], "{told}");
        let names: Vec<_> =
            told["messages"].as_array().unwrap().iter().map(|message| message["name"].clone()).collect();
        assert_eq!(names, messages, "{told}");
    }
    let mut socket = Socket::guest(house.address);
    assert_eq!(socket.call(json!({"fname": "list_jobs"})), Ok(json!([])));
    for refused in ["--mix login", "-b 2"] {
        let ran = bench(house.address, &format!("--spalloc {door} {refused} -n 1"));
        assert_eq!(ran.status, 2, "{ran:?}");
    }
}

#[test]
fn what_the_server_refuses_is_counted_by_its_code() {
    let house = House::with(&LAB.replace("guests = \"user\"", "guests = \"guest\""));
    let ran = bench(house.address, "--mix pairs -n 20 -c 2 -b 4");
    assert_eq!(ran.status, 3, "{ran:?}");
    let told: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(counts(&told), [20, 0, 20, 0], "{told}");
    assert_eq!((&told["errors"][0]["code"], &told["errors"][0]["count"]), (&json!(413), &json!(20)));
    assert_eq!(told["latency_us"]["count"], 0);
    assert!(ran.err.contains("413"), "{ran:?}");
    // Of a mix in which other things go well, the rest is measured.
    let told = report(house.address, "--mix mixed -n 100 -c 1", 0);
    assert_eq!(counts(&told), [100, 91, 9, 0], "{told}");
}

#[test]
fn a_limit_of_the_lab_spoils_some_calls_of_a_message() {
    let house = House::with(&format!("{LAB}\n[limits]\njobs_max = 3\n"));
    let told = report(house.address, "--mix pairs -n 50 -c 1 -b 5", 0);
    assert_eq!(counts(&told), [50, 30, 20, 0], "{told}");
    assert_eq!((&told["errors"][0]["code"], &told["errors"][0]["count"]), (&json!(1114), &json!(20)));
    let mut socket = Socket::guest(house.address);
    assert_eq!(socket.call(json!({"fname": "list_jobs"})), Ok(json!([])));
}

#[test]
fn limits_of_the_server_are_kept() {
    let house = House::with(&format!("{LAB}\n[limits]\ncalls_max = 10\nin_flight_max = 5\n"));
    for (args, word) in [("-b 11", "calls_max"), ("-d 6", "in_flight_max")] {
        let ran = bench(house.address, &format!("-n 10 -c 1 {args}"));
        assert_eq!(ran.status, 2, "{ran:?}");
        assert!(ran.err.contains(word), "{ran:?}");
    }
    report(house.address, "-n 100 -c 1 -b 10 -d 5", 0);
    for args in ["-c 0", "-c 20001", "-d 0", "-b 0", "--rate 0", "--mix none", "-n 1 --seconds 1"] {
        assert_eq!(bench(house.address, args).status, 2, "{args}");
    }
}

#[test]
fn a_user_is_measured_as_that_user() {
    let house = House::open().with_known_users();
    let secret = std::env::temp_dir().join(format!("berth-bench-{}", std::process::id()));
    std::fs::write(&secret, "wonder\n").unwrap();
    let args = format!("--user alice --password-file {} --mix login -n 4 -c 2", secret.display());
    let told = report(house.address, &args, 0);
    std::fs::remove_file(&secret).ok();
    assert_eq!(counts(&told), [4, 4, 0, 0], "{told}");
    let mut admin = Socket::user(house.address, "admin", "s3cret");
    let sessions = admin.call(json!({"fname": "list_sessions", "user": "alice"}));
    assert_eq!(sessions, Ok(json!([])));
}

#[test]
fn connections_that_break_are_told() {
    // The control connection goes on; those that are measured are cut at the second message, unanswered.
    let server = FakeServer::start(|before, mut peer| {
        if before == 0 {
            peer.welcome();
            while let Some(asked) = peer.hear() {
                peer.answer(&asked, &[json!({"journal": {"appends": 1, "syncs": 1}})]);
            }
            return;
        }
        peer.greet();
        while let Some(asked) = peer.hear() {
            match asked.session.as_str() {
                "" => peer.let_in(&asked, crate::fake_server::SESSION),
                _ if asked.fnames().len() == 2 => peer.answer(&asked, &[json!(1), json!(2)]),
                _ => return peer.hang_up(),
            }
        }
    });
    let ran = bench(server.address().parse().unwrap(), "-n 5 -c 1 -b 2");
    assert_eq!(ran.status, 5, "{ran:?}");
    let told: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(counts(&told), [5, 4, 1, 0], "{told}");
    assert_eq!((&told["connections_lost"], &told["errors"][0]["code"]), (&json!(1), &Value::Null));
    assert_eq!(told["journal"]["syncs"], 0);
}

#[test]
fn a_message_that_is_refused_whole_fails_all_its_calls() {
    let server = FakeServer::start(|_, mut peer| {
        peer.greet();
        while let Some(asked) = peer.hear() {
            match asked.session.as_str() {
                "" => peer.let_in(&asked, crate::fake_server::SESSION),
                _ => peer.refuse(&asked, Code::SESSION_EXPIRED, "over"),
            }
        }
    });
    let ran = bench(server.address().parse().unwrap(), "-n 10 -c 2 -b 5");
    assert_eq!(ran.status, 3, "{ran:?}");
    let told: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(counts(&told), [10, 0, 10, 0], "{told}");
    assert_eq!(told["errors"], json!([{"code": 408, "count": 10, "msg": "over"}]));
}

#[test]
fn an_interrupt_ends_it_early_and_tells_what_was_measured() {
    let house = House::open();
    let mut watcher = Socket::guest(house.address);
    assert_eq!(watcher.call(json!({"fname": "notify_job"})), Ok(json!(null)));
    let running = Running::start(
        house.address,
        &["bench", "--json", "--mix", "pairs", "-c", "2", "--warmup", "0", "--seconds", "1d"],
    );
    let event = watcher.hear().expect("news of its first job");
    assert_eq!(event["__event__"], "jobs_changed");
    running.signal(Signal::INT);
    running.until_out("\"interrupted\": true");
    assert_eq!(running.ended(), 0);
    let mut socket = Socket::guest(house.address);
    assert_eq!(socket.call(json!({"fname": "list_jobs"})), Ok(json!([])));
}
