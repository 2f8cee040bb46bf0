//! Metrics, read by a checker that knows the format and nothing of us.

use super::{house, house_with};
use crate::socket::Socket;
use crate::web_socket::get;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

/// What one scrape says: values by series, and types by family.
struct Scraped {
    values: BTreeMap<String, f64>,
    types: BTreeMap<String, String>,
}

/// Reads OpenMetrics text, and is strict about it.
fn scrape(web: SocketAddr) -> Scraped {
    let answer = get(web, "/metrics");
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), "application/openmetrics-text; version=1.0.0; charset=utf-8");
    let text = answer.body.strip_suffix("# EOF\n").expect("the end is marked");
    let (mut values, mut types) = (BTreeMap::new(), BTreeMap::new());
    let (mut family, mut done) = (String::new(), BTreeSet::new());
    for line in text.lines() {
        if let Some(comment) = line.strip_prefix("# ") {
            let (word, rest) = comment.split_once(' ').expect("a word");
            let (name, said) = rest.split_once(' ').expect("a name");
            if name != family {
                assert!(done.insert(name.to_owned()), "{name} comes in one piece");
                family = name.to_owned();
            }
            match word {
                "HELP" => assert!(!said.is_empty(), "{line}"),
                "UNIT" => assert!(name.ends_with(&format!("_{said}")), "{line}"),
                "TYPE" => assert_eq!(types.insert(name.to_owned(), said.to_owned()), None, "{line}"),
                _ => panic!("{line}"),
            }
            continue;
        }
        let (series, value) = line.rsplit_once(' ').expect("a value");
        let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
        check_name(name, &family, &types[&family]);
        check_labels(labels.strip_suffix('}').expect("labels end"));
        let value: f64 = value.parse().expect("a number");
        assert_eq!(values.insert(series.to_owned(), value), None, "{series} comes once");
    }
    Scraped { values, types }
}

fn check_name(name: &str, family: &str, kind: &str) {
    let suffix = name.strip_prefix(family).unwrap_or_else(|| panic!("{name} is not of {family}"));
    let allowed: &[&str] = match kind {
        "gauge" => &[""],
        "counter" => &["_total"],
        "histogram" => &["_bucket", "_sum", "_count"],
        _ => panic!("{family} is a {kind}"),
    };
    assert!(allowed.contains(&suffix), "{name} of the {kind} {family}");
    assert!(
        name.starts_with("berth_") && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    );
}

fn check_labels(labels: &str) {
    for label in labels.split(',').filter(|label| !label.is_empty()) {
        let (name, value) = label.split_once('=').expect("a value");
        assert!(
            !name.is_empty() && value.len() >= 2 && value.starts_with('"') && value.ends_with('"'),
            "{label}"
        );
    }
}

#[test]
fn every_series_is_there_from_the_start() {
    let (_house, web) = house();
    let Scraped { values, types } = scrape(web);
    for series in [
        "berth_jobs{state=\"queued\"}",
        "berth_jobs{state=\"ready\"}",
        "berth_queue_length",
        "berth_jobs_queued_total",
        "berth_grants_total",
        "berth_jobs_ended_total{reason=\"lapsed\"}",
        "berth_job_wait_seconds_count",
        "berth_board_orders_total{order=\"prepare\",outcome=\"failed\"}",
        "berth_board_orders_total{order=\"power_off\",outcome=\"overdue\"}",
        "berth_boards_quarantined_total",
        "berth_boards{machine=\"devices\",state=\"quarantined\"}",
        "berth_connections{door=\"spalloc\"}",
        "berth_journal_syncs_total",
    ] {
        assert_eq!(values.get(series), Some(&0.0), "{series}");
    }
    for (series, value) in [
        ("berth_boards{machine=\"devices\",state=\"free\"}", 8.0),
        ("berth_boards{machine=\"m\",state=\"free\"}", 23.0),
        ("berth_boards{machine=\"m\",state=\"dead\"}", 1.0),
        ("berth_connections{door=\"web\"}", 1.0),
        ("berth_accepts_jobs", 1.0),
        ("berth_users", 1.0),
    ] {
        assert_eq!(values.get(series), Some(&value), "{series}");
    }
    assert!(values["berth_journal_facts_total"] > 0.0 && values["berth_desk_round_seconds_count"] > 0.0);
    assert_eq!(types["berth_job_wait_seconds"], "histogram");
    for family in types.keys().filter(|family| types[*family] == "histogram") {
        let last = values[&format!("{family}_bucket{{le=\"+Inf\"}}")];
        assert_eq!(last, values[&format!("{family}_count")], "{family}");
    }
}

#[test]
fn what_happens_is_counted() {
    let (house, web) = house();
    let mut socket = Socket::guest(house.address);
    let all = json!({"fname": "create_job", "machine": "devices", "boards": 8});
    let first = socket.call(all.clone()).expect("a job");
    socket.call(json!({"fname": "wait_job", "job_id": first, "timeout": 60})).expect("a job");
    let second = socket.call(all).expect("a job");
    house.clock.advance(5_000);
    socket.call(json!({"fname": "destroy_job", "job_id": first})).expect("it ends");
    socket.call(json!({"fname": "wait_job", "job_id": second, "timeout": 60})).expect("a job");
    let Scraped { values, .. } = scrape(web);
    for (series, value) in [
        ("berth_jobs{state=\"ready\"}", 1.0),
        ("berth_jobs_queued_total", 2.0),
        ("berth_grants_total", 2.0),
        ("berth_jobs_ended_total{reason=\"asked\"}", 1.0),
        ("berth_job_wait_seconds_count", 2.0),
        ("berth_job_wait_seconds_bucket{le=\"0.01\"}", 1.0),
        ("berth_board_orders_total{order=\"prepare\",outcome=\"obeyed\"}", 16.0),
        ("berth_board_orders_total{order=\"clean\",outcome=\"obeyed\"}", 8.0),
        ("berth_boards{machine=\"devices\",state=\"lent\"}", 8.0),
        ("berth_sessions", 1.0),
        ("berth_connections{door=\"native\"}", 1.0),
    ] {
        assert_eq!(values.get(series), Some(&value), "{series}");
    }
    assert!(values["berth_job_wait_seconds_sum"] >= 5.0);
    assert!(values["berth_uptime_seconds"] >= 5.0);
}

/// A pool whose boards workers bring.
const USB: &str = r#"
[[machine]]
name = "usb"
shape = "pool"
controller = "agent"
[machine.agent]
token = "0123456789abcdef"
"#;

#[test]
fn workers_are_counted_and_their_silence_is_measured() {
    let (house, web) = house_with(USB);
    let workers = |scraped: &Scraped| {
        let state =
            |state: &str| scraped.values[&format!("berth_workers{{machine=\"usb\",state=\"{state}\"}}")];
        let draining = scraped.values["berth_workers_draining{machine=\"usb\"}"];
        (state("connected"), state("away"), draining)
    };
    let silence = |scraped: &Scraped, name: &str| {
        let series = format!("berth_worker_silence_seconds{{machine=\"usb\",worker=\"{name}\"}}");
        scraped.values.get(&series).copied()
    };
    // An answer is as old as a second.
    let until = |wanted: (f64, f64, f64)| loop {
        let scraped = scrape(web);
        if workers(&scraped) == wanted {
            return scraped;
        }
    };
    assert_eq!(silence(&until((0.0, 0.0, 0.0)), "one"), None);
    let register = |name: &str| {
        let mut socket = Socket::guest(house.address);
        let call = json!({"fname": "register_worker", "machine": "usb", "worker": name, "version": "1",
            "token": "0123456789abcdef", "draining": name == "two"});
        let stay = socket.call(call).expect("registered")["stay"].clone();
        (socket, stay)
    };
    let ((mut one, stay), (two, _)) = (register("one"), register("two"));
    until((2.0, 0.0, 1.0));
    house.clock.advance(7_000);
    one.call(json!({"fname": "worker_heartbeat", "stay": stay})).expect("heard");
    drop(two);
    let scraped = until((1.0, 1.0, 1.0));
    // Hanging up is the last that was heard of it.
    assert_eq!((silence(&scraped, "one"), silence(&scraped, "two")), (Some(0.0), Some(0.0)));
    house.clock.advance(20_000);
    one.call(json!({"fname": "worker_heartbeat", "stay": stay})).expect("heard");
    house.clock.advance(2_500);
    loop {
        let scraped = scrape(web);
        match (silence(&scraped, "one"), silence(&scraped, "two")) {
            (Some(2.5), Some(22.5)) => break,
            // The answer before, or one of the moment between.
            (Some(before), Some(_)) => assert!(before == 0.0 || before == 20.0, "{before}"),
            other => panic!("{other:?}"),
        }
    }
    house.clock.advance(40_000);
    one.call(json!({"fname": "worker_heartbeat", "stay": stay})).expect("heard");
    let scraped = until((1.0, 0.0, 0.0));
    assert_eq!(silence(&scraped, "two"), None, "nobody waits for it any more");
}

#[test]
fn asking_often_costs_little() {
    let (house, web) = house();
    let before = scrape(web);
    let mut socket = Socket::guest(house.address);
    socket.call(json!({"fname": "create_job", "boards": 1})).expect("a job");
    // Within a second the same answer is given; after it a new one.
    let mut after = scrape(web);
    assert!(after.values["berth_jobs_queued_total"] >= before.values["berth_jobs_queued_total"]);
    while after.values["berth_jobs_queued_total"] == 0.0 {
        after = scrape(web);
    }
    assert_eq!(after.values["berth_jobs_queued_total"], 1.0);
}
