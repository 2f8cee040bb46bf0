//! An operator and the journal: checked, printed, copied beside a server that runs; made small, repaired and put back when
//! none does.

use crate::cli::{Dir, serve};
use crate::house::LAB;
use crate::program::{Ran, Running, berth, command, run};
use crate::socket::Socket;
use rustix::process::Signal;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A lab on this host: its directory, and the options that name it.
struct Host {
    dir: Dir,
    config: String,
    data: String,
}

impl Host {
    fn new(name: &str) -> Host {
        let dir = Dir::new(name);
        let (config, data) = (dir.file("config.toml", LAB), dir.path("data"));
        Host { dir, config, data }
    }

    fn serve(&self) -> (Running, SocketAddr) {
        serve(&self.dir, &self.config)
    }

    /// A command beside the configuration.
    fn beside(&self, args: &[&str]) -> Ran {
        run(command(args).args(["--config", &self.config, "--data-dir", &self.data]))
    }

    /// The same with an answer for programs.
    fn json(&self, args: &[&str]) -> Value {
        let ran = self.beside(&[args, &["--json"]].concat());
        serde_json::from_str(&ran.out).unwrap_or_else(|error| panic!("{error}: {ran:?}"))
    }

    /// A server ran, this many jobs were created, and all but the last were given back.
    fn lived(name: &str, jobs: usize) -> Host {
        let host = Host::new(name);
        let (running, address) = host.serve();
        live(address, jobs);
        stop(running);
        host
    }

    /// Another program changes the file.
    fn tamper(&self, sql: &str) {
        let path = self.dir.path("data/journal.sqlite3");
        rusqlite::Connection::open(path).unwrap().execute_batch(sql).unwrap();
    }
}

fn live(address: SocketAddr, jobs: usize) {
    let mut socket = Socket::guest(address);
    for number in 1..=jobs {
        let job = socket.call(json!({"fname": "create_job", "keepalive": null})).unwrap();
        if number < jobs {
            socket.call(json!({"fname": "destroy_job", "job_id": job})).unwrap();
        }
    }
}

fn stop(running: Running) {
    running.signal(Signal::TERM);
    assert_eq!(running.ended(), 0);
}

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).expect(line)).collect()
}

#[test]
fn a_journal_is_checked_and_copied_while_the_server_changes_it() {
    let host = Host::new("journal-live");
    let (running, address) = host.serve();
    live(address, 2);
    let over = Arc::new(AtomicBool::new(false));
    let busy = std::thread::spawn({
        let over = over.clone();
        move || {
            while !over.load(Ordering::Acquire) {
                live(address, 3);
            }
        }
    });
    let mut last = 0;
    for number in 0..3 {
        let checked = host.json(&["journal", "verify"]);
        assert_eq!((&checked["sound"], &checked["in_use"]), (&json!(true), &json!(true)), "{checked}");
        assert!(checked["facts"]["last"].as_u64() > Some(last), "it changes: {checked}");
        last = checked["facts"]["last"].as_u64().unwrap();
        let copy = host.dir.path(&format!("copy-{number}"));
        let copied = host.json(&["backup", &copy]);
        assert!(copied["last"].as_u64() >= Some(last) && copied["bytes"].as_u64() > Some(0), "{copied}");
        let again = host.beside(&["journal", "verify", "--file", &copy]);
        assert!(again.status == 0 && again.out.contains("sound "), "{again:?}");
        assert_eq!(host.beside(&["backup", &copy]).status, 3, "it is there already");
    }
    over.store(true, Ordering::Release);
    busy.join().unwrap();
    for args in [vec!["journal", "compact"], vec!["journal", "repair"]] {
        let refused = host.beside(&args);
        assert!(refused.status == 4 && refused.err.contains("in use"), "{refused:?}");
    }
    let copy = host.dir.path("copy-0");
    assert_eq!(host.beside(&["restore", &copy, "--replace"]).status, 4);
    stop(running);
    let checked = host.json(&["journal", "verify"]);
    assert_eq!((&checked["sound"], &checked["in_use"]), (&json!(true), &json!(false)), "{checked}");
    let names = std::fs::read_dir(host.dir.path("")).unwrap();
    let names: Vec<_> = names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert!(names.iter().all(|name| !name.contains("partial")), "{names:?}");
}

#[test]
fn facts_are_exported_without_their_secrets() {
    let host = Host::lived("journal-export", 4);
    let all = host.beside(&["journal", "export"]);
    assert_eq!((all.status, all.err.as_str()), (0, ""), "{all:?}");
    let facts = lines(&all.out);
    assert!(facts.iter().zip(1..).all(|(fact, seq)| fact["seq"] == json!(seq)));
    let of = |kind: &str| facts.iter().filter(|fact| fact["kind"] == kind).collect::<Vec<_>>();
    assert_eq!(of("job_queued").len(), 4);
    assert_eq!(of("job_queued")[0]["body"]["spec"]["owner"], "guest");
    assert_eq!(of("user_created")[0]["body"]["phc"], "***");
    assert!(of("session_opened").iter().all(|fact| fact["body"]["session"] == "***"));
    let whole = host.beside(&["journal", "export", "--secrets", "--kind", "user_created"]);
    assert!(whole.out.contains("$argon2id$") && whole.out.lines().count() == 1, "{whole:?}");
    let some = host.beside(&["journal", "export", "--kind", "job_queued", "--kind", "job_destroyed"]);
    assert_eq!(some.out.lines().count(), 7);
    let part = lines(&host.beside(&["journal", "export", "--from", "3", "--to", "5"]).out);
    assert_eq!(part.iter().map(|fact| fact["seq"].as_u64().unwrap()).collect::<Vec<_>>(), [3, 4, 5]);
    assert_eq!(lines(&host.beside(&["journal", "export", "--since", "1d"]).out), facts);
    assert_eq!(host.beside(&["journal", "export", "--since", "2999-01-01"]).out, "");
    assert_eq!(host.beside(&["journal", "export", "--since", "soon"]).status, 2);
    let file = host.dir.path("facts.jsonl");
    assert_eq!(host.beside(&["journal", "export", "--output", &file]).out, "");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), all.out);
    assert_eq!(host.beside(&["journal", "export", "--output", &file]).status, 2, "it is there already");
}

#[test]
fn whoever_has_read_enough_may_leave() {
    let host = Host::lived("journal-pipe", 300);
    let mut command = command(&["journal", "export", "--config", &host.config, "--data-dir", &host.data]);
    let mut export = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    // The rest is more than a pipe holds.
    BufReader::with_capacity(64, export.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert!(line.starts_with("{\"seq\":1,"), "{line}");
    let ended = export.wait_with_output().unwrap();
    assert_eq!((ended.status.code(), ended.stderr.as_slice()), (Some(0), &b""[..]), "{ended:?}");
}

#[test]
fn damage_is_named_passed_over_and_repaired_when_told_what_to_lose() {
    let host = Host::lived("journal-damage", 6);
    let last = host.json(&["journal", "verify"])["facts"]["last"].as_u64().unwrap();
    host.tamper("UPDATE fact SET body = '{}' WHERE seq IN (12, 15)");
    let refused = host.beside(&["serve"]);
    assert!(refused.status == 4 && refused.err.contains("fact 12 "), "{refused:?}");
    let checked = host.beside(&["journal", "verify"]);
    assert_eq!(checked.status, 3);
    for part in ["wrong      fact 12 in ", "wrong      fact 15 in ", "in the page at byte "] {
        assert!(checked.out.contains(part), "{checked:?}");
    }
    assert!(checked.err.contains("2 problems"), "{checked:?}");
    assert_eq!(host.json(&["journal", "verify"])["facts"]["lost"], json!([12, 15]));
    let stopped = host.beside(&["journal", "export"]);
    assert!(stopped.status == 3 && stopped.err.contains("fact 12 "), "{stopped:?}");
    assert_eq!(stopped.out.lines().count(), 11);
    let rest = host.beside(&["journal", "export", "--skip-damaged"]);
    assert!(rest.status == 0 && rest.err.contains("fact 15 "), "{rest:?}");
    assert_eq!(rest.out.lines().count() as u64, last - 2);
    for wrong in [vec![], vec!["--drop-from", "11"], vec!["--drop-from", "15"], vec!["--drop-before", "16"]] {
        let refused = host.beside(&[vec!["journal", "repair"], wrong].concat());
        assert!(refused.status == 3 && refused.out.contains("choice     --drop-from 12: "), "{refused:?}");
    }
    let both = host.beside(&["journal", "repair", "--drop-from", "12", "--drop-before", "16"]);
    assert_eq!(both.status, 2, "{both:?}");
    let repaired = host.beside(&["journal", "repair", "--drop-from", "12"]);
    assert!(repaired.status == 0 && repaired.out.contains("fact 12 and everything after it"), "{repaired:?}");
    assert!(std::fs::exists(host.dir.path("data/journal.sqlite3.damaged-1")).unwrap());
    let checked = host.json(&["journal", "verify"]);
    assert_eq!((&checked["sound"], &checked["facts"]["last"]), (&json!(true), &json!(12)), "{checked}");
    let (running, address) = host.serve();
    assert!(berth(address, &["create", "-q"]).out.trim().parse::<u64>().unwrap() > 1_000_000);
    stop(running);
    assert_eq!(host.beside(&["journal", "repair"]).status, 0, "nothing is wrong any more");
}

#[test]
fn a_damaged_snapshot_is_repaired_unasked() {
    let host = Host::lived("journal-snapshot", 5);
    assert_eq!(host.beside(&["journal", "compact"]).status, 0);
    let (running, address) = host.serve();
    live(address, 2);
    stop(running);
    let jobs = || host.beside(&["journal", "export", "--kind", "job_queued"]).out;
    let before = jobs();
    host.tamper("UPDATE snapshot_part SET body = x'0102'");
    let refused = host.beside(&["serve"]);
    assert!(refused.status == 4 && refused.err.contains("the snapshot after fact "), "{refused:?}");
    let repaired = host.beside(&["journal", "repair"]);
    assert!(repaired.status == 0 && repaired.out.contains("the snapshot after fact "), "{repaired:?}");
    assert_eq!(jobs(), before);
    let (running, address) = host.serve();
    assert!(berth(address, &["list", "--all"]).out.lines().count() >= 7);
    stop(running);
}

#[test]
fn a_journal_is_made_small_and_nothing_true_is_lost() {
    let host = Host::lived("journal-compact", 40);
    let (running, address) = host.serve();
    // What is told of the last job does not follow the clock.
    let shown = |address| berth(address, &["call", "get_job_state", "job_id=40"]).out;
    berth(address, &["call", "wait_job", "job_id=40"]);
    let before = shown(address);
    stop(running);
    let all = host.json(&["journal", "compact", "--keep-days", "30"]);
    assert_eq!((&all["deleted"], &all["first"]), (&json!(0), &json!(1)), "{all}");
    assert_eq!(host.beside(&["journal", "compact", "--keep-days", "0"]).status, 2);
    let small = host.json(&["journal", "compact", "--keep-days", "none"]);
    assert_eq!(small["first"], small["last"], "{small}");
    assert!(small["bytes_after"].as_u64() < small["bytes_before"].as_u64(), "{small}");
    let checked = host.json(&["journal", "verify"]);
    assert_eq!((&checked["sound"], &checked["facts"]["whole"]), (&json!(true), &json!(1)), "{checked}");
    let exported = host.beside(&["journal", "export", "--from", "1"]);
    assert!(exported.out.lines().count() == 1 && exported.err.contains("were deleted"), "{exported:?}");
    let (running, address) = host.serve();
    assert_eq!(shown(address), before);
    assert_eq!(berth(address, &["create", "-q"]).out, "41\n");
    stop(running);
}

#[test]
fn a_copy_is_put_back_and_no_number_is_given_twice() {
    let host = Host::new("journal-restore");
    let (running, address) = host.serve();
    live(address, 3);
    let mut holder = Socket::guest(address);
    assert_eq!(holder.call(json!({"fname": "create_job", "keepalive": null})), Ok(json!(4)));
    let copy = host.dir.path("copy");
    let copied = host.beside(&["backup", &copy, "--verify", "false"]);
    assert!(copied.status == 0 && copied.out.contains("facts, "), "{copied:?}");
    live(address, 2);
    stop(running);
    let refused = host.beside(&["restore", &copy]);
    assert!(refused.status == 3 && refused.err.contains("--replace"), "{refused:?}");
    let restored = host.beside(&["restore", &copy, "--replace"]);
    assert!(restored.status == 0 && restored.out.contains("the next job is 1000007"), "{restored:?}");
    assert!(restored.err.contains("sessions"), "{restored:?}");
    assert!(std::fs::exists(host.dir.path("data/journal.sqlite3.replaced-1")).unwrap());
    assert_eq!(host.json(&["journal", "verify"])["kinds"]["numbers_skipped"], 1);
    let (running, address) = host.serve();
    assert_eq!(berth(address, &["create", "-q"]).out, "1000007\n");
    let listed = berth(address, &["list", "--all"]).out;
    assert!(listed.contains("\n4 ") && !listed.contains("\n5 ") && !listed.contains("\n6 "), "{listed}");
    stop(running);
    // A directory of its own needs no --replace; what is no copy is refused.
    let elsewhere = host.dir.path("elsewhere");
    let there = |file: &str| run(&mut command(&["restore", file, "--data-dir", &elsewhere, "-q"]));
    let (config, missing) = (host.config.clone(), host.dir.path("missing"));
    for file in [&config, &missing] {
        let refused = there(file);
        assert!(refused.status == 3 && !refused.err.is_empty(), "{file}: {refused:?}");
    }
    assert_eq!(there(&copy).status, 0);
    assert!(!std::fs::exists(host.dir.path("elsewhere/journal.sqlite3.partial")).unwrap());
}

#[test]
fn where_there_is_no_journal_there_is_a_sentence() {
    let host = Host::new("journal-none");
    let file = host.dir.path("copy");
    for args in [
        vec!["journal", "verify"],
        vec!["journal", "export"],
        vec!["journal", "export", "--skip-damaged"],
        vec!["journal", "repair"],
        vec!["journal", "compact"],
        vec!["backup", &file],
    ] {
        let refused = host.beside(&args);
        assert!(refused.status == 3 && refused.err.contains("data"), "{args:?}: {refused:?}");
    }
    assert!(!std::fs::exists(&host.data).unwrap(), "looking makes nothing");
}
