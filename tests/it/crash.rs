//! The real server, killed again and again at instants that chance chooses, under load from clients that keep a record
//! of all they asked. After each restart the records of all are held against what the server says, and in the
//! end against the journal itself.
//!
//! Read this file (how lives begin and end), `ledger` (what a client keeps), `patron` (what clients do), `auditor` (what
//! must be true after a restart), `past` (what the journal must hold).
//!
//! `BERTH_KILLS=n` kills more often, `BERTH_SEED=n` makes chance choose the same again; threads still run as they like.

mod auditor;
mod ledger;
mod past;
mod patron;

use crate::served::{KILLED, PATIENCE, Place, Served};
use crate::simulator::chance::Chance;
use crate::simulator::number_of;
use auditor::Auditor;
use ledger::Ledger;
use rustix::process::Signal;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Instant;

/// How many kills there are when nobody says otherwise.
const KILLS: u64 = 60;

/// So many kills one journal goes through; then another one begins, so that a long form does not grow slow.
const KILLS_OF_A_STORY: u64 = 60;

/// How many clients work at the same time.
const CLIENTS: u64 = 4;

/// A lab of boards that take a little time, and of some that fail at times.
const LAB: &str = r#"
name = "crash"
[native]
listen = "127.0.0.1:0"
guests = "user"
session_span_s = 0
[limits]
retired_jobs = 1_000_000
[quarantine]
retest_after_s = 0.05
reports = 0
[[machine]]
name = "m"
shape = "triads"
width = 4
height = 2
dead_boards = [[3, 1, 2]]
controller = "simulated"
[machine.simulated]
prepare_ms = 1
clean_ms = 1
jitter_ms = 3
[[machine]]
name = "devices"
shape = "pool"
count = 8
controller = "simulated"
[machine.simulated]
prepare_ms = 2
power_ms = 1
clean_ms = 2
jitter_ms = 4
fail_share = 0.05
"#;

/// What a run came to.
#[derive(Debug, Default)]
struct Figures {
    /// How many servers were killed: while they started, by a signal, by their disk.
    kills: BTreeMap<&'static str, u64>,
    /// How many ended in order.
    stops: u64,
    /// How many calls were acknowledged.
    acknowledged: u64,
    /// How many messages were cut off, and how many of these had been kept.
    cut_off: u64,
    kept: u64,
    /// How many facts the journals hold in the end, how many of them grants.
    facts: u64,
    grants: u64,
}

impl Figures {
    fn killed(&self) -> u64 {
        self.kills.values().sum()
    }

    fn kill(&mut self, how: &'static str) {
        *self.kills.entry(how).or_default() += 1;
    }
}

#[test]
fn nothing_acknowledged_is_lost_however_often_the_server_is_killed() {
    let (kills, begun) = (number_of("BERTH_KILLS").unwrap_or(KILLS), Instant::now());
    let first_seed = number_of("BERTH_SEED").unwrap_or_else(|| u64::from(std::process::id()));
    let mut figures = Figures::default();
    for seed in first_seed.. {
        let before = figures.killed();
        if before >= kills {
            break;
        }
        let story = AssertUnwindSafe(|| tell(seed, (kills - before).min(KILLS_OF_A_STORY), &mut figures));
        catch_unwind(story).unwrap_or_else(|panic| {
            eprintln!("BERTH_SEED={seed} makes chance choose the same again");
            resume_unwind(panic)
        });
    }
    println!("{figures:#?} in {:?}", begun.elapsed());
    // Few kills may all come before anybody has come in.
    assert!(kills < KILLS || figures.acknowledged > 5 * kills, "they had hardly anything to do: {figures:?}");
}

/// One journal, from its first start to its last stop.
fn tell(seed: u64, kills: u64, figures: &mut Figures) {
    let mut chance = Chance::new(seed);
    let (place, mut auditor) = (Place::new(LAB), Auditor::default());
    let mut ledgers: Vec<_> = (0..CLIENTS).map(|number| Ledger::new(number, chance.bits())).collect();
    let end = figures.killed() + kills;
    while figures.killed() < end {
        match chance.percent(30) {
            true => die_young(&place, &mut chance, figures),
            false => live(&place, &mut chance, &mut ledgers, &mut auditor, figures),
        }
    }
    place.order_disk("");
    let served = Served::start(&mut place.serving());
    auditor.audit(&served, &place, &mut ledgers, &mut chance, figures);
    served.stop();
    past::check(&place, &ledgers, figures);
    figures.acknowledged += ledgers.iter().map(|ledger| ledger.acknowledged).sum::<u64>();
}

/// A server that is killed while it starts: at one of its first writes, or at no particular instant.
fn die_young(place: &Place, chance: &mut Chance, figures: &mut Figures) {
    if chance.percent(60) {
        let how = chance.one_of(&["KILL", "TORN"]);
        place.order_disk(&format!("any * {how} after {}", chance.below(30)));
        match Served::start_or_end(&mut place.serving_on_faulty_disk()) {
            Ok(served) => served.kill(),
            Err(status) => assert_eq!(status, KILLED),
        }
    } else {
        let running = crate::program::Running::spawn(&mut place.serving());
        for _ in 0..chance.below(4000) {
            thread::yield_now();
        }
        running.try_signal(Signal::KILL);
        assert_eq!(running.ended(), KILLED);
    }
    figures.kill("while it started");
}

/// A server that starts, is audited, works for the clients, and comes to one of its ends.
fn live(
    place: &Place,
    chance: &mut Chance,
    ledgers: &mut [Ledger],
    auditor: &mut Auditor,
    figures: &mut Figures,
) {
    place.order_disk("");
    let served = Served::start(&mut place.serving_on_faulty_disk());
    auditor.audit(&served, place, ledgers, chance, figures);
    let (address, master) = (served.address, served.master(place).session().to_owned());
    thread::scope(|clients| {
        let (acknowledge, acknowledged) = channel();
        for ledger in ledgers {
            let (acknowledge, master) = (acknowledge.clone(), &master);
            clients.spawn(move || patron::work(ledger, address, master, &acknowledge));
        }
        drop(acknowledge);
        end(served, place, chance, &acknowledged, figures);
    });
}

/// Ends a server while clients work.
fn end(served: Served, place: &Place, chance: &mut Chance, work: &Receiver<()>, figures: &mut Figures) {
    let way = chance.below(100);
    if way < 35 {
        let (how, calls) = (chance.one_of(&["KILL", "TORN"]), 1 + chance.below(12).pow(2));
        place.order_disk(&format!("any * {how} after {calls}"));
        assert_eq!(served.running.ended(), KILLED);
        return figures.kill("by its disk");
    }
    for _ in 0..chance.below(10).pow(2) {
        work.recv_timeout(PATIENCE).expect("calls are acknowledged");
    }
    for _ in 0..chance.below(2000) {
        thread::yield_now();
    }
    if way < 85 {
        served.kill();
        return figures.kill("by a signal");
    }
    // Some die while they copy their log into the file.
    if chance.percent(50) {
        place.order_disk(&format!("any journal.sqlite3 KILL after {}", chance.below(6)));
    }
    served.running.signal(Signal::TERM);
    match served.running.ended() {
        0 => figures.stops += 1,
        status => {
            assert_eq!(status, KILLED);
            figures.kill("while it stopped");
        }
    }
}
