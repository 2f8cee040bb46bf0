//! A disk that has no room, or that fails, under a server that serves.

use super::LAB;
use crate::served::{NOT_AVAILABLE, PATIENCE, Place, Served, facts_of};
use berth::client::{Client, ClientError, Request};
use berth::error::Code;
use berth::lab::fact::Event;
use serde_json::{Value, json};
use std::time::Instant;

/// So many pages the log has before it is copied into the file, and more.
const LOG_BYTES: usize = 1100 * 4096;

fn guest(served: &Served) -> Client {
    let mut client = served.connect();
    client.handshake_guest("tester").expect("a session");
    client
}

fn create(client: &mut Client, note: &str) -> Result<u64, ClientError> {
    let job = client.ask(Request::new("create_job").with("note", note).with("keepalive", Value::Null))?;
    Ok(job.as_u64().expect("the number of a job"))
}

/// A job whose boards have obeyed, so that nothing is written any more unless somebody asks.
fn create_ready(client: &mut Client, note: &str) -> u64 {
    let job = create(client, note).expect("a job");
    let ready = client.call("wait_job", &[("job_id", json!(job))]).expect("it is waited for");
    assert_eq!(ready["state_name"], "ready");
    job
}

/// The notes of all jobs that live.
fn notes(client: &mut Client) -> Vec<String> {
    let jobs = client.call("list_jobs", &[]).expect("reading goes on");
    jobs.as_array()
        .expect("a list")
        .iter()
        .map(|job| job["note"].as_str().expect("a note").to_owned())
        .collect()
}

/// The same after the server was killed and started again on a disk that works.
fn notes_after_a_crash(served: Served, place: &Place) -> Vec<String> {
    served.kill();
    place.order_disk("");
    let served = Served::start(&mut place.serving());
    let notes = notes(&mut guest(&served));
    served.stop();
    notes
}

/// Asks for a job again and again, until the server takes it. It waits for a second after it found no room; a call
/// that waits on the server's side passes the time.
fn create_in_time(client: &mut Client, note: &str, job: u64) -> u64 {
    let begun = Instant::now();
    loop {
        match create(client, note) {
            Ok(job) => return job,
            Err(error) => assert!(error.is(Code::NOT_KEPT), "{error}"),
        }
        assert!(begun.elapsed() < PATIENCE, "it does not recover");
        let wait =
            Request::new("wait_job").with("job_id", job).with("state", "destroyed").with("timeout", 0.2);
        client.ask(wait).expect("waiting goes on");
    }
}

#[test]
fn a_full_disk_refuses_changes_goes_on_reading_and_recovers_by_itself() {
    let place = Place::new(LAB);
    let served = Served::start(&mut place.serving_on_faulty_disk());
    let mut client = guest(&served);
    let first = create_ready(&mut client, "before");
    place.order_disk("write journal.sqlite3-wal ENOSPC");
    let full = create(&mut client, "refused").expect_err("no room");
    assert!(full.is(Code::NOT_KEPT), "{full}");
    let sentence = &full.refusal().expect("a refusal").msg;
    assert!(sentence.contains("journal.sqlite3") && sentence.contains("nothing was changed"), "{sentence}");
    assert!(place.disk_made().contains("journal.sqlite3-wal ENOSPC"), "the disk was really asked");
    served.running.until_err("the journal has no room");
    // Whatever reads goes on, and so do signs of life and sessions; whatever changes is refused.
    assert_eq!(notes(&mut client), ["before"]);
    for reading in ["get_version", "get_status", "whoami", "list_boards"] {
        client.call(reading, &[]).unwrap_or_else(|error| panic!("{reading}: {error}"));
    }
    client.call("job_keepalive", &[("job_id", json!(first))]).expect("a sign of life");
    let destroyed = client.call("destroy_job", &[("job_id", json!(first))]).expect_err("no room");
    assert!(destroyed.is(Code::NOT_KEPT), "{destroyed}");
    let mut stranger = served.connect();
    let opened = stranger.handshake_guest("stranger").expect_err("no room");
    assert!(opened.is(Code::NOT_KEPT), "{opened}");
    // It tries again by itself, in vain.
    while place.disk_made().lines().count() < 3 {
        let more = create(&mut client, "refused").expect_err("no room");
        assert!(more.is(Code::NOT_KEPT), "{more}");
        let wait =
            Request::new("wait_job").with("job_id", first).with("state", "destroyed").with("timeout", 0.3);
        client.ask(wait).expect("waiting goes on");
    }
    place.order_disk("");
    create_in_time(&mut client, "after", first);
    stranger.handshake_guest("stranger").expect("it recovered");
    assert_eq!(notes_after_a_crash(served, &place), ["before", "after"]);
}

#[test]
fn a_disk_that_is_full_from_the_start_is_a_sentence() {
    let place = Place::new(LAB);
    place.order_disk("write * ENOSPC");
    let command = &mut place.serving_on_faulty_disk();
    let running = crate::program::Running::spawn(command);
    let errors = running.errors();
    assert_eq!(running.ended(), NOT_AVAILABLE, "{errors}");
    assert!(errors.contains("journal.sqlite3"), "{errors}");
    assert!(!errors.contains("damaged"), "nothing is damaged: {errors}");
    assert!(errors.contains("there is no room in the data directory"), "{errors}");
    place.order_disk("");
    Served::start(&mut place.serving()).stop();
}

/// What a failing disk does to a server: the caller is told, the log says where, the process ends, and at the next
/// start all that was acknowledged is there.
fn stops(order: &str) {
    let place = Place::new(LAB);
    let served = Served::start(&mut place.serving_on_faulty_disk());
    let mut client = guest(&served);
    for note in ["one", "two", "three"] {
        create_ready(&mut client, note);
    }
    place.order_disk(order);
    let broken = create(&mut client, "unknown").expect_err("the disk fails");
    assert!(broken.is(Code::INTERNAL), "{order}: {broken}");
    let sentence = &broken.refusal().expect("a refusal").msg;
    assert!(
        sentence.contains("journal.sqlite3") && sentence.contains("the server stops"),
        "{order}: {sentence}"
    );
    let log = served.running.until_err("the desk stops");
    assert!(log.contains("journal.sqlite3"), "{order}: {log}");
    assert_eq!(served.running.ended(), NOT_AVAILABLE, "{order}");
    assert!(!place.disk_made().is_empty(), "{order}");
    place.order_disk("");
    let served = Served::start(&mut place.serving());
    let notes = notes(&mut guest(&served));
    let known = ["one", "two", "three", "unknown"];
    assert!(notes == known || notes == known[..3], "{order}: {notes:?}");
    served.stop();
    let queued = facts_of(&place.data()).expect("a whole journal");
    let queued = queued.iter().filter(|fact| matches!(fact.event, Event::JobQueued { .. })).count();
    assert_eq!(queued, notes.len(), "{order}");
}

#[test]
fn a_sync_that_fails_stops_the_desk() {
    stops("sync journal.sqlite3-wal EIO");
    // What a sync was to keep may stand in the log nevertheless, so no room is no excuse.
    stops("sync journal.sqlite3-wal ENOSPC");
}

#[test]
fn a_write_that_fails_stops_the_desk() {
    stops("write journal.sqlite3-wal EIO");
    stops("write * EIO");
}

#[test]
fn a_quota_that_is_used_up_is_a_lack_of_room() {
    // SQLite knows only that a write failed; that there is no room, a write of the server's own finds out.
    let place = Place::new(LAB);
    let served = Served::start(&mut place.serving_on_faulty_disk());
    let mut client = guest(&served);
    let first = create_ready(&mut client, "before");
    place.order_disk("write * EDQUOT");
    let refused = create(&mut client, "refused").expect_err("no room");
    assert!(refused.is(Code::NOT_KEPT), "{refused}");
    assert!(place.disk_made().contains("journal.probe EDQUOT"), "{}", place.disk_made());
    place.order_disk("");
    create_in_time(&mut client, "after", first);
    assert_eq!(notes_after_a_crash(served, &place), ["before", "after"]);
}

/// Fills the log until it is copied into the file, and on: words on boards, which change nothing else.
fn fill(master: &mut Client, from: usize, reports: &mut Vec<String>) {
    let mut bytes = 0;
    while bytes < LOG_BYTES {
        let words: Vec<_> =
            (0..100).map(|number| format!("{from}.{}.{number} {}", reports.len(), "x".repeat(990))).collect();
        let report = |reason: &String| {
            Request::new("report_board").with("serial", "devices-1").with("reason", reason.as_str())
        };
        let requests: Vec<_> = words.iter().map(report).collect();
        for answer in master.call_many(&requests).expect("answers") {
            answer.expect("the log goes on growing");
        }
        bytes += words.iter().map(String::len).sum::<usize>();
        reports.extend(words);
    }
}

#[test]
fn no_room_for_a_copy_of_the_log_loses_nothing() {
    for (order, fills) in [("write journal.sqlite3 ENOSPC after 20", 2), ("write journal.sqlite3 SHORT", 1)] {
        let place = Place::new(LAB);
        let served = Served::start(&mut place.serving_on_faulty_disk());
        let (mut client, mut reports) = (served.master(&place), Vec::new());
        place.order_disk(order);
        fill(&mut client, 0, &mut reports);
        assert!(!place.disk_made().is_empty(), "{order}: the log was never copied");
        create(&mut client, "in between").expect("a job");
        for more in 1..fills {
            place.order_disk("");
            fill(&mut client, more, &mut reports);
        }
        served.kill();
        let facts = facts_of(&place.data()).expect("a whole journal");
        let found = facts.iter().filter_map(|fact| match &fact.event {
            Event::BoardReported { reason, .. } => Some(reason.to_string()),
            _ => None,
        });
        assert!(found.eq(reports), "{order}");
    }
}

#[test]
fn nobody_is_made_whose_password_may_be_lost() {
    let place = Place::new(LAB);
    place.order_disk("sync admin-password EIO");
    let running = crate::program::Running::spawn(&mut place.serving_on_faulty_disk());
    let errors = running.errors();
    assert_eq!(running.ended(), NOT_AVAILABLE, "{errors}");
    assert!(errors.contains("admin-password"), "{errors}");
    let facts = facts_of(&place.data()).expect("a whole journal");
    assert!(!facts.iter().any(|fact| matches!(fact.event, Event::UserCreated { .. })), "{facts:?}");
    Served::start(&mut place.serving()).stop();
}

#[test]
fn a_log_that_cannot_be_copied_is_tried_again_now_and_then_not_all_the_time() {
    let place = Place::new(LAB);
    let served = Served::start(&mut place.serving_on_faulty_disk());
    let (mut client, mut reports) = (served.master(&place), Vec::new());
    let job = create_ready(&mut client, "one");
    place.order_disk("write journal.sqlite3 ENOSPC");
    fill(&mut client, 0, &mut reports);
    // Nobody asks for anything now, so the desk has time for the log.
    let wait = || Request::new("wait_job").with("job_id", job).with("state", "destroyed");
    while place.disk_made().is_empty() {
        client.ask(wait().with("timeout", 0.05)).expect("waiting goes on");
    }
    client.ask(wait().with("timeout", 2.5)).expect("waiting goes on");
    let tries = place.disk_made().lines().count();
    assert!((2..=5).contains(&tries), "{tries} tries in 2.5 seconds");
    place.order_disk("");
    served.stop();
}

#[test]
fn a_copy_of_the_log_that_fails_stops_the_desk_and_loses_nothing() {
    let place = Place::new(LAB);
    let served = Served::start(&mut place.serving_on_faulty_disk());
    let mut client = served.master(&place);
    create(&mut client, "before").expect("a job");
    place.order_disk("any journal.sqlite3 EIO after 3");
    let mut acknowledged = 0;
    // The log is copied between two messages, so nobody need be told: whoever comes next finds the server closing.
    loop {
        let report =
            Request::new("report_board").with("serial", "devices-1").with("reason", "x".repeat(1000));
        match client.call_many(&vec![report; 50]) {
            Ok(answers) if answers.iter().all(Result::is_ok) => acknowledged += 50,
            Ok(answers) => {
                let refused = answers[0].clone().expect_err("all or none");
                let told = [Code::INTERNAL, Code::STOPPING].map(|code| i64::from(code.number()));
                assert!(told.contains(&refused.code), "{refused:?}");
                break;
            }
            Err(_) => break,
        }
        assert!(acknowledged < 10_000, "the log was never copied");
    }
    assert_eq!(served.running.ended(), NOT_AVAILABLE);
    place.order_disk("");
    let facts = facts_of(&place.data()).expect("a whole journal");
    let found = facts.iter().filter(|fact| matches!(fact.event, Event::BoardReported { .. })).count();
    assert!(
        found == acknowledged || found == acknowledged + 50,
        "{acknowledged} were acknowledged, {found} are there"
    );
}

#[test]
fn a_disk_that_writes_a_half_at_a_time_is_no_accident() {
    let place = Place::new(LAB);
    place.order_disk("write * SHORT");
    let served = Served::start(&mut place.serving_on_faulty_disk());
    let mut client = guest(&served);
    for note in ["one", "two", "three"] {
        create(&mut client, note).expect("a job");
    }
    assert!(place.disk_made().contains("journal.sqlite3-wal SHORT"));
    served.kill();
    place.order_disk("write * SHORT");
    let served = Served::start(&mut place.serving_on_faulty_disk());
    assert_eq!(notes(&mut guest(&served)), ["one", "two", "three"]);
    served.stop();
    let served = Served::start(&mut place.serving());
    assert_eq!(notes_after_a_crash(served, &place), ["one", "two", "three"]);
}
