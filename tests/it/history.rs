//! Who held what, when, and why it ended: from facts, over the wire, and on the command line.

mod account;
mod printed;

use crate::house::{House, LAB};
use crate::socket::Socket;
use account::{Account, Life};
use berth::clock::{Clock, Moment};
use berth::journal::{EmbeddedJournal, Journal, Keeping, MemoryJournal, Past};
use berth::lab::fact::{Event, JobId};
use berth::lab::history::History;
use berth::lab::job::{JOB_LOG_MAX, JobEvent};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::PathBuf;

/// How many random lives are led.
const LIVES: u64 = 40;

/// How long each is, in events.
const LIFE_STEPS: usize = 160;

/// A directory of a test's own; gone when dropped.
pub struct Dir(pub PathBuf);

impl Dir {
    pub fn new(name: &str) -> Dir {
        let dir = std::env::temp_dir().join(format!("berth-history-{}-{name}", std::process::id()));
        std::fs::remove_dir_all(&dir).ok();
        std::fs::create_dir_all(&dir).unwrap();
        Dir(dir)
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).ok();
    }
}

#[test]
fn rows_are_those_of_an_account_of_each_job_by_itself() {
    for seed in 0..LIVES {
        let life = Life::led(seed, LIFE_STEPS);
        let (mut history, mut rows) = (History::default(), Vec::new());
        for (fact, seq) in life.facts.iter().zip(1..) {
            history.take(seq, fact, &mut |row| rows.push(row));
        }
        let ended = rows.len();
        assert!(rows.is_sorted_by_key(|row| row.ended_at), "rows come in the order of their ends");
        history.finish(&mut |row| rows.push(row));
        assert!(rows[ended..].iter().all(|row| row.ended_at.is_none()), "those that last come last");
        let found: Vec<_> = rows.iter().map(Account::of_row).collect();
        assert_eq!(account::sorted(found), account::sorted(life.accounts()), "seed {seed}");
    }
}

#[test]
fn a_history_that_begins_late_tells_what_the_snapshot_and_the_facts_tell() {
    let mut named = 0;
    for seed in 0..LIVES {
        let life = Life::led(seed, LIFE_STEPS);
        let told = life.facts.len() * (1 + seed as usize % 3) / 4;
        for first in [1, told / 2 + 1, told] {
            let joined = life.facts[first - 1..told].iter().filter_map(|fact| match &fact.event {
                Event::MachineAdded { spec, .. } => Some(spec.name.clone()),
                _ => None,
            });
            let joined: BTreeSet<_> = joined.collect();
            let mut history = History::with_snapshot(told as u64, &life.pieces[told], &joined);
            let mut rows = Vec::new();
            for (fact, seq) in life.facts.iter().zip(1..).skip(first - 1) {
                history.take(seq, fact, &mut |row| rows.push(row));
            }
            assert!(rows.is_sorted_by_key(|row| row.ended_at), "seed {seed} from {first}");
            history.finish(&mut |row| rows.push(row));
            let found = account::sorted(rows.iter().map(Account::of_row).collect());
            let whole = account::sorted(life.accounts());
            assert_eq!(found.len(), whole.len(), "seed {seed} from {first}");
            for (found, whole) in found.iter().zip(&whole) {
                // Of earlier grants a snapshot knows no boards, and of machines that are gone no names.
                let nameless =
                    found.boards.is_empty() || found.boards.iter().all(|board| board.contains('#'));
                named += usize::from(!nameless);
                let boards = if nameless { found.boards.clone() } else { whole.boards.clone() };
                assert_eq!(*found, Account { boards, ..whole.clone() }, "seed {seed} from {first}");
            }
        }
    }
    assert!(named > 100, "{named} loans have names");
}

#[test]
fn a_journal_tells_the_past_of_every_job_as_the_lab_does() {
    for seed in 0..LIVES {
        let life = Life::led(seed, LIFE_STEPS);
        let specs: Vec<_> = life.lab.machine_specs().cloned().collect();
        let dir = Dir::new(&format!("past-{seed}"));
        let mut in_file = EmbeddedJournal::open(&dir.0).unwrap();
        let mut in_memory = MemoryJournal::default();
        for facts in life.facts.chunks(7) {
            in_file.append(facts).unwrap();
            in_memory.append(facts).unwrap();
        }
        for journal in [&in_file as &dyn Journal, &in_memory] {
            let history = journal.history().expect("a history");
            for job in life.jobs() {
                let log = life.log(job);
                let Past::Whole(past) = history.job(job, &specs).unwrap() else {
                    panic!("job {job} is lost")
                };
                match log.len() < JOB_LOG_MAX {
                    true => assert_eq!(past, log, "seed {seed}, job {job}"),
                    false => assert!(past.len() >= log.len()),
                }
            }
            let next = life.jobs().last().map_or(1, |job| job.0 + 1);
            for unknown in [0, next, next + 1, u64::MAX] {
                assert_eq!(history.job(JobId(unknown), &specs).unwrap(), Past::Nothing(None));
            }
        }
    }
}

#[test]
fn jobs_whose_facts_were_deleted_are_nothing_since_then() {
    let (life, dir) = (Life::led(3, LIFE_STEPS), Dir::new("expired"));
    let first = account::keep_late(&life, &dir.0);
    let journal = EmbeddedJournal::open(&dir.0).unwrap();
    let history = journal.history().expect("a history");
    let since = life.facts[first - 1].at;
    let queued_late: BTreeSet<_> = life.facts[first - 1..].iter().filter_map(account::queued).collect();
    let mut nothing = 0;
    for job in life.jobs() {
        match history.job(job, &[]).unwrap() {
            Past::Whole(past) => {
                assert!(queued_late.contains(&job) && past[0].1 == JobEvent::Queued);
            }
            Past::Nothing(Some(at)) => {
                nothing += 1;
                assert!(at == since && !queued_late.contains(&job), "job {job}");
            }
            other => panic!("{other:?} of job {job}"),
        }
    }
    assert!(nothing > 0 && !queued_late.is_empty(), "the test has both kinds of jobs");
}

fn create(socket: &mut Socket, extra: Value) -> u64 {
    let mut call = json!({"fname": "create_job", "keepalive": null});
    call.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    socket.call(call).expect("a job").as_u64().expect("a number")
}

fn wait_ready(socket: &mut Socket, job: u64) {
    let call = json!({"fname": "wait_job", "job_id": job, "state": "ready", "timeout": 30});
    assert_eq!(socket.call(call).expect("a job")["state_name"], "ready");
}

fn events(past: &Value) -> Vec<&str> {
    past.as_array().expect("a list").iter().map(|event| event["event"].as_str().unwrap()).collect()
}

#[test]
fn forgotten_jobs_are_looked_up() {
    let house = House::with(&format!("{LAB}[limits]\nretired_jobs = 1\n"));
    let mut socket = Socket::guest(house.address);
    let mut remembered = Vec::new();
    for number in 1..=5 {
        let job = create(&mut socket, json!({}));
        wait_ready(&mut socket, job);
        let past = socket.call(json!({"fname": "job_history", "job_id": job})).expect("a past");
        remembered.push(past);
        let call = json!({"fname": "destroy_job", "job_id": job, "reason": format!("end {number}")});
        assert_eq!(socket.call(call), Ok(json!(null)));
    }
    assert_eq!(socket.call(json!({"fname": "get_job", "job_id": 1})), Err(1001));
    for (job, before) in (1..).zip(&remembered) {
        let past = socket.call(json!({"fname": "job_history", "job_id": job})).expect("a past");
        assert_eq!(events(&past), ["queued", "granted", "ready", "destroyed"]);
        assert_eq!(past.as_array().unwrap()[..3], before.as_array().unwrap()[..]);
        assert_eq!(past[3]["reason"], format!("ended by guest: end {job}"));
    }
    for unknown in [0, 6, 1_u64 << 40] {
        assert_eq!(socket.call(json!({"fname": "job_history", "job_id": unknown})), Err(1001));
    }
}

#[test]
fn a_message_sees_the_past_of_what_it_ended_itself() {
    let house = House::with(&format!("{LAB}[limits]\nretired_jobs = 0\n"));
    let mut socket = Socket::guest(house.address);
    let job = create(&mut socket, json!({}));
    let answer = socket.ask(json!([
        {"fname": "destroy_job", "job_id": job},
        {"fname": "job_history", "job_id": job},
        {"fname": "job_history", "job_id": job + 1},
    ]));
    assert_eq!(events(&answer["data"][1]["data"]).last(), Some(&"destroyed"), "{answer}");
    assert_eq!(answer["data"][2]["error"]["code"], 1001);
}

#[test]
fn a_long_life_is_told_in_full() {
    let house = House::open();
    let mut socket = Socket::guest(house.address);
    let job = create(&mut socket, json!({}));
    wait_ready(&mut socket, job);
    for turn in 0..JOB_LOG_MAX {
        let fname = if turn % 2 == 0 { "power_off_job_boards" } else { "power_on_job_boards" };
        assert_eq!(socket.call(json!({"fname": fname, "job_id": job})), Ok(json!(null)));
        wait_ready(&mut socket, job);
    }
    let past = socket.call(json!({"fname": "job_history", "job_id": job})).expect("a past");
    assert_eq!(past.as_array().unwrap().len(), 3 + 2 * JOB_LOG_MAX);
    assert_eq!(events(&past)[..4], ["queued", "granted", "ready", "powering"]);
}

/// The journal of a long time: jobs of two boards, one after the other.
fn long_journal(dir: &std::path::Path, facts_max: u64) -> (EmbeddedJournal, u64) {
    let mut journal =
        EmbeddedJournal::open(dir).unwrap().keeping(Keeping { snapshot_facts: u64::MAX, history_ms: None });
    let (mut written, mut jobs) = (0, 0);
    while written < facts_max {
        let facts = account::round_of_jobs(jobs, Moment(1_800_000_000_000 + jobs * 1000), 500);
        jobs += 500;
        written += facts.len() as u64;
        journal.append(&facts).unwrap();
    }
    (journal, jobs)
}

/// How long looking back takes in a journal of a million facts. `cargo test --release --test it -- --ignored looking_back
/// --nocapture`.
#[test]
#[ignore = "a measurement"]
fn looking_back_over_a_million_facts() {
    let dir = Dir::new("million");
    let (journal, jobs) = long_journal(&dir.0, 1_000_000);
    let (history, clock) = (journal.history().expect("a history"), Clock::system());
    let begun = clock.now();
    let look_ups = 1000;
    for number in 0..look_ups {
        let job = JobId(1 + number * (jobs / look_ups));
        let Past::Whole(past) = history.job(job, &[]).unwrap() else { panic!("job {job} is lost") };
        assert_eq!(past.len(), 4);
    }
    println!("a look-up: {} us", clock.now().ms_since(begun) * 1000 / look_ups);
    let begun = clock.now();
    assert_eq!(history.job(JobId(jobs + 1), &[]).unwrap(), Past::Nothing(None));
    println!("of a job that never was: {} ms", clock.now().ms_since(begun));
    for form in ["--csv", "--json", "--job=7", "--limit=10"] {
        let begun = clock.now();
        let ran = printed::history(&dir.0, &[form]);
        println!(
            "berth history {form}: {} ms, {} lines",
            clock.now().ms_since(begun),
            ran.out.lines().count()
        );
        assert_eq!(ran.status, 0, "{}", ran.err);
    }
}
