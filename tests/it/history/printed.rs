//! `berth history` on the real binary: beside a server, without one, and on a journal whose beginning is gone.

use super::account::{self, Life};
use super::{Dir, LIFE_STEPS};
use crate::program::{Ran, Running, command, run};
use berth::lab::job::JobEvent;
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;

/// Runs the command on a data directory.
pub fn history(dir: &Path, args: &[&str]) -> Ran {
    let dir = dir.to_str().expect("text");
    run(command(&["history", "--data-dir", dir]).args(args))
}

fn rows(dir: &Path, args: &[&str]) -> Vec<Value> {
    let ran = history(dir, &[args, &["--json"]].concat());
    assert_eq!(ran.status, 0, "{}", ran.err);
    let Ok(Value::Array(rows)) = serde_json::from_str(&ran.out) else { panic!("no list: {}", ran.out) };
    rows
}

/// Reads CSV back: cells of lines.
fn csv(text: &str) -> Vec<Vec<String>> {
    let (mut lines, mut cells, mut cell) = (Vec::new(), Vec::new(), String::new());
    let (mut quoted, mut chars) = (false, text.chars().peekable());
    while let Some(char) = chars.next() {
        match (char, quoted) {
            ('"', true) if chars.peek() == Some(&'"') => cell.extend(chars.next()),
            ('"', _) => quoted = !quoted,
            (',', false) => cells.push(std::mem::take(&mut cell)),
            ('\r', false) => {
                assert_eq!(chars.next(), Some('\n'));
                cells.push(std::mem::take(&mut cell));
                lines.push(std::mem::take(&mut cells));
            }
            _ => cell.push(char),
        }
    }
    assert!(!quoted && cells.is_empty() && cell.is_empty(), "the last line has an end");
    lines
}

#[test]
fn it_is_printed_beside_a_server_and_without_one() {
    let dir = Dir::new("printed");
    let data_dir = dir.0.to_str().expect("text");
    let mut serve = command(&["serve", "--data-dir", data_dir, "--listen", "127.0.0.1:0"]);
    serve
        .env("RUST_LOG", "off")
        .env("BERTH_SPALLOC_LISTEN", "")
        .env("BERTH_STAND_LISTEN", "")
        .env("BERTH_WEB_LISTEN", "");
    let server = Running::spawn(&mut serve);
    let line = server.until_out("native: listening on ");
    let address = line.rsplit(' ').next().expect("an address").parse().expect("an address");
    let berth = |args: &[&str]| {
        let ran = crate::program::berth(address, args);
        assert_eq!(ran.status, 0, "{args:?}: {ran:?}");
    };
    berth(&["create", "1", "--keepalive", "never", "--note", "=1+1, \"quoted\"", "--wait"]);
    berth(&["create", "2x1", "--keepalive", "never", "--wait"]);
    berth(&["release", "1", "--reason", "done, really"]);
    let beside = rows(&dir.0, &[]);
    assert_eq!(beside.len(), 2, "{beside:?}");
    assert_eq!((&beside[0]["job_id"], &beside[0]["state"]), (&1.into(), &"destroyed".into()));
    assert_eq!((&beside[1]["job_id"], &beside[1]["state"]), (&2.into(), &"ready".into()));
    assert_eq!(beside[0]["reason"], "ended by guest: done, really");
    assert_eq!(beside[1]["board_count"], 6);
    assert!(beside[1]["ended_at"].is_null() && beside[1]["held"].is_number());
    let board = beside[0]["boards"][0].as_str().expect("a board");
    assert_eq!(rows(&dir.0, &["--board", board])[0]["job_id"], 1);
    berth(&["boards", "show", board]);
    assert_eq!(history(&dir.0, &["--job", "1", "--events"]).out.lines().count(), 5);

    server.signal(rustix::process::Signal::TERM);
    assert_eq!(server.ended(), 0);
    let lines = csv(&history(&dir.0, &["--csv"]).out);
    assert_eq!((lines.len(), lines[0].len(), lines[1].len()), (3, 20, 20));
    let cell = |name: &str| {
        let column = lines[0].iter().position(|heading| heading == name).expect("a column");
        lines[1][column].as_str()
    };
    assert_eq!(cell("note"), "'=1+1, \"quoted\"");
    assert_eq!(cell("boards"), board);
    assert!(cell("queued_at").ends_with('Z') && cell("queued_at").starts_with("20"));
    let table = history(&dir.0, &["--limit", "1"]);
    assert!(table.out.starts_with("JOB  OWNER") && table.out.lines().count() == 2, "{}", table.out);
    let events = rows(&dir.0, &["--job", "1", "--events"]);
    let words: Vec<_> = events.iter().map(|event| event["event"].as_str().unwrap()).collect();
    assert_eq!(words, ["queued", "granted", "ready", "destroyed"]);
}

#[test]
fn filters_leave_what_they_say() {
    let (life, dir) = (Life::led(5, LIFE_STEPS), Dir::new("filters"));
    let mut journal = berth::journal::EmbeddedJournal::open(&dir.0).unwrap();
    berth::journal::Journal::append(&mut journal, &life.facts).unwrap();
    let all = rows(&dir.0, &[]);
    assert_eq!(all.len(), life.accounts().len());
    let check = |args: &[&str], is_wanted: &dyn Fn(&Value) -> bool| {
        let found = rows(&dir.0, args);
        let wanted: Vec<_> = all.iter().filter(|row| is_wanted(row)).map(key).collect();
        assert_eq!(found.iter().map(key).collect::<Vec<_>>(), wanted, "{args:?}");
        assert!(!found.is_empty() && found.len() < all.len(), "{args:?} leaves {}", found.len());
    };
    check(&["--owner", "ada"], &|row| row["owner"] == "ada");
    check(&["--user", "bob"], &|row| row["owner"] == "bob");
    check(&["--machine", "p"], &|row| row["machine"] == "p");
    check(&["--job", "3"], &|row| row["job_id"] == 3);
    let has =
        |row: &Value, board: &str| row["boards"].as_array().is_some_and(|all| all.contains(&board.into()));
    check(&["--board", "p-1"], &|row| has(row, "p-1"));
    check(&["--board", "p-1", "--board", "p/p-2"], &|row| has(row, "p-1") || has(row, "p-2"));
    let middle = life.facts[life.facts.len() / 2].at;
    let text = middle.to_string();
    check(&["--since", &text], &|row| row["ended_at"].as_f64().is_none_or(|at| at >= middle.unix_s()));
    let began = |row: &Value| row["granted_at"].as_f64().or(row["queued_at"].as_f64()).unwrap();
    let found = rows(&dir.0, &["--until", &text, "--since", "2027-01-15"]);
    assert!(!found.is_empty() && found.iter().all(|row| began(row) <= middle.unix_s()));
    let last = rows(&dir.0, &["--limit", "3"]);
    assert_eq!(
        last.iter().map(key).collect::<Vec<_>>(),
        all[all.len() - 3..].iter().map(key).collect::<Vec<_>>()
    );
    for (args, status) in [
        (&["--since", "yesterday"][..], 2),
        (&["--events"], 2),
        (&["--json", "--csv"], 2),
        (&["--job", "9999", "--events"], 3),
    ] {
        assert_eq!(history(&dir.0, args).status, status, "{args:?}");
    }
    assert_eq!(history(Path::new("/nonexistent/data"), &[]).status, 3);
}

/// What tells a row from others, and does not go on while it lasts.
fn key(row: &Value) -> String {
    format!("{} {} {} {}", row["job_id"], row["grant"], row["granted_at"], row["ended_at"])
}

#[test]
fn a_beginning_that_was_deleted_is_told_by_the_snapshot() {
    let (life, dir) = (Life::led(3, LIFE_STEPS), Dir::new("late"));
    let first = account::keep_late(&life, &dir.0);
    assert!(first > 1);
    let found: BTreeSet<_> = rows(&dir.0, &[]).iter().map(key_of_loan).collect();
    let wanted: BTreeSet<_> =
        life.accounts().iter().map(|account| (account.job, account.grant, account.reason.clone())).collect();
    assert_eq!(found, wanted);
    for job in life.jobs() {
        let past = rows(&dir.0, &["--job", &job.to_string(), "--events"]);
        let log = life.log(job);
        assert_eq!(past.len(), log.len(), "job {job}");
        assert_eq!(past[0]["event"], "queued");
        let over = matches!(log.last(), Some((_, JobEvent::Destroyed(_))));
        assert_eq!(past.last().unwrap()["event"] == "destroyed", over);
    }
}

fn key_of_loan(row: &Value) -> (u64, Option<u64>, Option<String>) {
    (row["job_id"].as_u64().unwrap(), row["grant"].as_u64(), row["reason"].as_str().map(str::to_owned))
}
