//! What watchers hear: only what they asked for, each thing once, and answers first.

use super::{house, line};
use crate::spalloc_line::{Line, call};
use serde_json::{Value, json};

/// A line that is an answer, from a connection that could have heard a notice before it.
fn hears_nothing(line: &mut Line) {
    line.say(call("version", json!([]), json!({})));
    assert_eq!(line.hear_json(), json!({"return": "1.0.0"}));
}

/// Waits until a job's boards have obeyed.
fn ready(watcher: &mut Line, job: u64) {
    while watcher.state(job)["state"] != 3 {
        watcher.hear_of_job(job);
    }
}

#[test]
fn an_answer_comes_before_what_the_call_changed() {
    let house = house();
    let mut line = line(&house);
    line.get("notify_job", json!([]));
    line.get("notify_machine", json!([]));
    line.say(call("create_job", json!([]), json!({"owner": "x"})));
    let job = line.hear_json()["return"].clone();
    assert_eq!(line.hear_json(), json!({"jobs_changed": [job]}));
    assert_eq!(line.hear_json(), json!({"machines_changed": ["m"]}));
}

#[test]
fn changes_of_one_read_are_told_at_once() {
    let house = house();
    let (mut caller, mut watcher) = (line(&house), line(&house));
    watcher.get("notify_job", json!([]));
    let create = call("create_job", json!([]), json!({"owner": "x", "tags": ["nowhere"]}));
    caller.say(create.repeat(5));
    let jobs: Vec<_> = (0..5).map(|_| caller.answer()["return"].clone()).collect();
    assert_eq!(watcher.hear_json(), json!({"jobs_changed": jobs}));
    hears_nothing(&mut watcher);
    // Who asks in the same breath, before or behind, is told as well: all of it is one turn.
    let notify = call("notify_job", json!([]), json!({}));
    caller.say(format!("{create}{notify}"));
    let job = caller.hear_json()["return"].clone();
    assert_eq!(caller.hear_json(), json!({"return": null}));
    assert_eq!(caller.hear_json(), json!({"jobs_changed": [job]}));
}

#[test]
fn nobody_is_told_what_was_not_asked_for() {
    let house = house();
    let (mut caller, mut watcher) = (line(&house), line(&house));
    let mut others = line(&house);
    watcher.get("notify_job", json!([]));
    others.get("notify_job", json!([77]));
    others.get("notify_machine", json!(["s"]));
    others.get("notify_job", json!(["x"]));
    let job = caller.create(json!([]), json!({"owner": "x"}));
    ready(&mut watcher, job);
    hears_nothing(&mut caller);
    hears_nothing(&mut others);
    let last = caller.create(json!([]), json!({"owner": "x", "tags": ["nowhere"]}));
    watcher.hear_of_job(last);
    // Questions and signs of life change nothing.
    for command in ["job_keepalive", "get_job_state", "get_job_machine_info"] {
        caller.get(command, json!([job]));
    }
    caller.get("list_jobs", json!([]));
    // A state may be seen before it is told; behind this nothing old is left to tell.
    let last = caller.create(json!([]), json!({"owner": "x", "tags": ["nowhere"]}));
    watcher.hear_of_job(last);
    hears_nothing(&mut watcher);
    watcher.get("no_notify_job", json!([]));
    caller.get("destroy_job", json!([job]));
    hears_nothing(&mut watcher);
}

#[test]
fn registers_are_as_odd_as_the_references() {
    let house = house();
    let (mut caller, mut watcher) = (line(&house), line(&house));
    let refused = |caller: &mut Line| caller.create(json!([]), json!({"owner": "x", "tags": ["nowhere"]}));
    let first = refused(&mut caller);
    // A job may be watched before it exists.
    watcher.get("notify_job", json!([first + 1]));
    assert_eq!(refused(&mut caller), first + 1);
    assert_eq!(watcher.hear_json(), json!({"jobs_changed": [first + 1]}));
    refused(&mut caller);
    hears_nothing(&mut watcher);
    // Of all jobs a single one cannot be left out.
    watcher.get("notify_job", json!([]));
    watcher.get("no_notify_job", json!([first + 3]));
    refused(&mut caller);
    assert_eq!(watcher.hear_json(), json!({"jobs_changed": [first + 3]}));
    // One more is not added to all, so nothing is left when all is taken away.
    watcher.get("notify_job", json!([first + 4]));
    watcher.get("no_notify_job", Value::Array(vec![]));
    refused(&mut caller);
    hears_nothing(&mut watcher);
}

#[test]
fn power_is_told_when_asked_for_and_when_done() {
    let house = house();
    let mut line = line(&house);
    let job = line.create(json!([]), json!({"owner": "x"}));
    line.get("notify_job", json!([job]));
    ready(&mut line, job);
    line.notices.clear();
    line.get("power_off_job_boards", json!([job]));
    while line.state(job)["state"] != 3 {
        line.hear_of_job(job);
    }
    assert_eq!(line.state(job)["power"], false);
}

#[test]
fn a_thousand_watchers_hear_of_a_job() {
    let house = house();
    let mut caller = line(&house);
    let mut watchers: Vec<_> = (0..WATCHERS).map(|_| line(&house)).collect();
    for watcher in &mut watchers {
        watcher.get("notify_job", json!([]));
    }
    let job = caller.create(json!([]), json!({"owner": "x"}));
    for watcher in &mut watchers {
        watcher.hear_of_job(job);
        assert_eq!(watcher.get("list_jobs", json!([]))[0]["job_id"], job);
    }
}

/// How many watch at once.
const WATCHERS: usize = 1_000;
