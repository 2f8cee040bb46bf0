//! What a killed server left, damaged: its log cut short at any byte, a bit flipped anywhere. It is read again by the
//! library, because that is quick, and a few times by the real server.
//!
//! `BERTH_ALL=1` takes every byte instead of some that chance chooses, `BERTH_SEED=n` makes it choose the same again.

use super::LAB;
use crate::served::{NOT_AVAILABLE, Place, Served, facts_of};
use crate::simulator::chance::Chance;
use crate::simulator::number_of;
use berth::client::Request;
use berth::journal::JournalError;
use berth::lab::fact::{Event, Fact};
use serde_json::Value;
use std::collections::BTreeSet;
use std::ops::Range;
use std::path::Path;

/// The length of the header of SQLite's log, and of the header of each frame in it.
const LOG_HEADER_BYTES: usize = 32;
const FRAME_HEADER_BYTES: usize = 24;

/// The length of a page, and of a frame.
const PAGE_BYTES: usize = 4096;
const FRAME_BYTES: usize = FRAME_HEADER_BYTES + PAGE_BYTES;

/// How many bytes are tried in each part of a file when nobody says that all are.
const SAMPLE: usize = 60;

/// What a killed server left: some facts in the file, and some in the log alone.
struct Crashed {
    file: Vec<u8>,
    log: Vec<u8>,
    /// All its facts.
    facts: Vec<Fact>,
    /// Where each transaction in the log ends, and how many facts there are then.
    ends: Vec<(usize, usize)>,
}

impl Crashed {
    /// A server has worked, stopped, worked on, and was killed.
    fn new() -> Crashed {
        let place = Place::new(LAB);
        let served = Served::start(&mut place.serving());
        work(&served, 0, 80);
        served.stop();
        let served = Served::start(&mut place.serving());
        work(&served, 100, 20);
        served.kill();
        let file = std::fs::read(place.journal()).expect("a file");
        let log = std::fs::read(place.log()).expect("a log");
        let read = |log: &[u8]| read(&file, log).expect("a whole journal");
        let ends = ends(&log).into_iter().map(|end| (end, read(&log[..end]).len())).collect();
        let facts = read(&log);
        Crashed { file, log, facts, ends }
    }

    /// How many facts there are when the last of these transactions are not.
    fn without(&self, transactions: usize) -> usize {
        self.ends[self.ends.len() - 1 - transactions].1
    }
}

/// So many jobs, half of them over again, each in a transaction of its own.
fn work(served: &Served, first: usize, count: usize) {
    let mut client = served.connect();
    client.handshake_guest("tester").expect("a session");
    for number in first..first + count {
        let create = Request::new("create_job").with("note", format!("note {number}"));
        let job = client.ask(create.with("keepalive", Value::Null)).expect("a job");
        if number % 2 == 0 {
            client.call("destroy_job", &[("job_id", job)]).expect("its end");
        }
    }
}

/// Where the transactions in a log end.
fn ends(log: &[u8]) -> Vec<usize> {
    let frames = log[LOG_HEADER_BYTES..].chunks_exact(FRAME_BYTES).enumerate();
    let ours = frames.take_while(|(_, frame)| frame[8..16] == log[16..24]);
    let last = ours.filter(|(_, frame)| frame[4..8] != [0; 4]);
    last.map(|(number, _)| LOG_HEADER_BYTES + (number + 1) * FRAME_BYTES).collect()
}

/// What a start on these two files finds.
fn read(file: &[u8], log: &[u8]) -> Result<Vec<Fact>, JournalError> {
    read_and_judge(file, log, |read| read)
}

/// The same, judged while the files are there: they stay when the judgement is that it must not be.
fn read_and_judge<T>(file: &[u8], log: &[u8], judge: impl FnOnce(Result<Vec<Fact>, JournalError>) -> T) -> T {
    let place = Place::in_memory(LAB);
    put(&place, file, log);
    judge(facts_of(&place.data()))
}

/// The chance of a test.
fn chance() -> Chance {
    let seed = number_of("BERTH_SEED").unwrap_or_else(|| u64::from(std::process::id()));
    println!("BERTH_SEED={seed}");
    Chance::new(seed)
}

fn put(place: &Place, file: &[u8], log: &[u8]) {
    std::fs::create_dir_all(place.data()).expect("a directory");
    std::fs::write(place.journal(), file).expect("a file");
    std::fs::write(place.log(), log).expect("a log");
}

/// Some bytes of a part of a file, its first and last ones among them; or all.
fn some(of: Range<usize>, count: usize, chance: &mut Chance) -> BTreeSet<usize> {
    if std::env::var_os("BERTH_ALL").is_some() {
        return of.collect();
    }
    let edges = [of.start, of.start + 1, of.end - 2, of.end - 1];
    (0..count).map(|_| chance.within(of.start as u64, of.end as u64 - 1) as usize).chain(edges).collect()
}

#[test]
fn a_torn_log_of_a_killed_server_keeps_all_whole_transactions() {
    let (crashed, mut chance) = (Crashed::new(), chance());
    let notes =
        |facts: &[Fact]| facts.iter().filter(|fact| matches!(fact.event, Event::JobQueued { .. })).count();
    assert_eq!(notes(&crashed.facts), 100, "all that was acknowledged");
    assert!(crashed.ends.len() > 20, "{:?}", crashed.ends);
    let (end, _) = *crashed.ends.last().expect("transactions");
    let from = crashed.ends[crashed.ends.len() - 3].0.min(end - 2 * FRAME_BYTES);
    for at in some(from..end + 1, 200, &mut chance) {
        let whole = crashed.ends.iter().rev().find(|(end, _)| *end <= at).expect("one that is whole");
        read_and_judge(&crashed.file, &crashed.log[..at], |read| {
            let found = read.unwrap_or_else(|error| panic!("cut at {at}: {error}"));
            assert!(found == crashed.facts[..whole.1], "cut at {at}: {} of {} facts", found.len(), whole.1);
        });
    }
}

/// Flips a bit in a part of one of the two files and holds what is found against `judge`; how often it was refused.
fn flip(
    crashed: &Crashed,
    in_log: bool,
    of: Range<usize>,
    chance: &mut Chance,
    judge: impl Fn(usize, Result<Vec<Fact>, JournalError>) -> bool,
) -> usize {
    let mut refused = 0;
    for at in some(of, SAMPLE, chance) {
        let (mut file, mut log) = (crashed.file.clone(), crashed.log.clone());
        let damaged = if in_log { &mut log } else { &mut file };
        damaged[at] ^= 1 << chance.below(8);
        refused += usize::from(read_and_judge(&file, &log, |read| judge(at, read)));
    }
    refused
}

#[test]
fn a_flipped_bit_in_the_file_is_found_or_harmless() {
    let (crashed, mut chance) = (Crashed::new(), chance());
    let judge = |at: usize, read: Result<Vec<Fact>, JournalError>| match read {
        Ok(found) => {
            assert!(found == crashed.facts, "byte {at} changed what is remembered");
            false
        }
        Err(JournalError::Damaged(why) | JournalError::Unusable(why)) => {
            assert!(why.contains("journal.sqlite3"), "byte {at}: {why}");
            true
        }
        Err(other) => panic!("byte {at}: {other}"),
    };
    let len = crashed.file.len();
    let refused =
        [0..100, 100..PAGE_BYTES, PAGE_BYTES..len].map(|of| flip(&crashed, false, of, &mut chance, judge));
    println!("refused of the file's header, its first page, the others: {refused:?}");
    // The first page stands in the log too, which is what counts.
    assert!(refused[2] > SAMPLE / 4, "{refused:?}");
}

#[test]
fn a_flipped_bit_in_the_log_of_a_killed_server_loses_nothing_before_its_end() {
    let (crashed, mut chance) = (Crashed::new(), chance());
    let count = crashed.ends.len();
    let (last_end, before_last) = (crashed.ends[count - 1].0, crashed.ends[count - 2].0);
    let mark = before_last - FRAME_BYTES..before_last - PAGE_BYTES;
    let judge = |at: usize, read: Result<Vec<Fact>, JournalError>| match read {
        Ok(found) => {
            assert!(found == crashed.facts[..found.len()], "byte {at} changed what is remembered");
            // The last transaction may look torn; and so may the last two as one, where the end of the first is marked.
            let may_lose = if at >= last_end {
                0
            } else if at >= before_last {
                1
            } else {
                2 * usize::from(mark.contains(&at))
            };
            assert!(found.len() >= crashed.without(may_lose), "byte {at} lost more than a torn tail may");
            false
        }
        Err(JournalError::Damaged(why)) => {
            assert!(why.contains("journal.sqlite3-wal") && why.contains("byte "), "byte {at}: {why}");
            true
        }
        Err(other) => panic!("byte {at}: {other}"),
    };
    let frame = LOG_HEADER_BYTES + count / 2 * FRAME_BYTES;
    let parts = [
        0..LOG_HEADER_BYTES,
        frame..frame + FRAME_HEADER_BYTES,
        LOG_HEADER_BYTES..before_last,
        mark.clone(),
        before_last..last_end,
    ];
    let refused = parts.map(|of| flip(&crashed, true, of, &mut chance, judge));
    println!(
        "refused of the log's header, a frame's, all before the end, the last mark, the end: {refused:?}"
    );
    assert!(refused[1] > 0 && refused[2] > SAMPLE / 2, "{refused:?}");
}

#[test]
fn the_server_refuses_what_was_damaged_and_says_where() {
    let crashed = Crashed::new();
    let early = LOG_HEADER_BYTES + FRAME_HEADER_BYTES + PAGE_BYTES / 2;
    let flipped = |bytes: &[u8], at: usize| {
        let mut bytes = bytes.to_vec();
        bytes[at] ^= 1;
        bytes
    };
    // The text of a fact that only the file has; pages that the log has too do not matter.
    let job = b"note 7\"";
    let mut places = (0..crashed.file.len() - job.len()).filter(|at| crashed.file[*at..].starts_with(job));
    let body = places.find(|at| read(&flipped(&crashed.file, *at), &crashed.log).is_err());
    let body = body.expect("a job in the file");
    let cases = [
        (crashed.file.clone(), flipped(&crashed.log, early), "byte 32 of"),
        (flipped(&crashed.file, body), crashed.log.clone(), "fact "),
        (flipped(&crashed.file, 5), Vec::new(), "is not a database"),
    ];
    for (file, log, says) in cases {
        let place = Place::new(LAB);
        put(&place, &file, &log);
        let running = crate::program::Running::spawn(&mut place.serving());
        assert_eq!(running.line_or_end(), None, "it listens");
        let errors = running.errors();
        assert_eq!(running.ended(), NOT_AVAILABLE, "{errors}");
        assert!(errors.contains("damaged") && errors.contains("journal.sqlite3"), "{errors}");
        assert!(errors.contains(says), "{errors}");
        assert!(same(&place.journal(), &file) && same(&place.log(), &log), "{says}: the files were changed");
    }
}

fn same(path: &Path, bytes: &[u8]) -> bool {
    std::fs::read(path).is_ok_and(|found| found == bytes)
}
