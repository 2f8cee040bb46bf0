//! How fast the embedded journal keeps facts and hands them back, and how large a lab is in pieces:
//! `cargo bench --bench journal [-- DIRECTORY]`.
//!
//! The directory decides which disk is measured; without one it is the system's place for temporary files.

use berth::allocator::BoardIndex;
use berth::clock::Moment;
use berth::journal::record::Record;
use berth::journal::{EmbeddedJournal, Journal};
use berth::lab::board::BoardState;
use berth::lab::command::{Caller, Command};
use berth::lab::effect::Effect;
use berth::lab::fact::{Event, Fact, Grant, JobId, OrderId};
use berth::lab::job::{JobSpec, Reason, Want};
use berth::lab::machine::{MachineSpec, PlaceRule, Places, Shape, TriadsSpec};
use berth::lab::snapshot::{BoardRun, Piece};
use berth::lab::{Lab, Options};
use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long each size of batch is appended.
const APPEND_TIME: Duration = Duration::from_secs(4);

/// How many facts are handed back.
const REPLAY_FACTS: u64 = 1_000_000;

fn main() -> Result<(), Box<dyn Error>> {
    let named = std::env::args().skip(1).find(|arg| !arg.starts_with("--"));
    let dir = named.map_or_else(std::env::temp_dir, PathBuf::from);
    let dir = dir.join(format!("berth-bench-journal-{}", std::process::id()));
    pieces("10,000 jobs, 10,092 boards", &busy()?)?;
    pieces("3,000,000 boards, idle", &idle(1)?)?;
    pieces("3,000,000 boards, each triad lent once", &idle(1_000_000)?)?;
    for size in [1, 8, 64] {
        append(&dir, size)?;
    }
    replay(&dir)
}

/// The facts of one job after the other: queued, granted, ready, destroyed, cleaned.
fn fact(number: u64) -> Fact {
    let (job, grant, machine) = (JobId(number / 5 + 1), Grant(number / 5 + 1), Arc::<str>::from("machine"));
    let first = (number / 5 % 900) as u32 * 3;
    let boards = [first, first + 1, first + 2].map(BoardIndex);
    let order = |step| OrderId { grant, step };
    let event = match number % 5 {
        0 => Event::JobQueued { job, spec: Arc::new(JobSpec::new("ada", Want::Boards(3))) },
        1 => Event::JobGranted { job, grant, machine, boards: boards.into(), region: None },
        2 => Event::JobReady { job, order: order(0), power: true },
        3 => {
            let reason = Reason::Asked { by: "ada".into(), text: None };
            Event::JobDestroyed { job, order: Some(order(1)), reason }
        }
        _ => {
            Event::BoardsCleaned { order: order(1), machine, boards: boards.into(), free_at: Moment(number) }
        }
    };
    Fact { at: Moment(1_790_000_000_000 + number), event }
}

/// Appends batches of one size for a while, each made durable before the next.
fn append(dir: &Path, size: u64) -> Result<(), Box<dyn Error>> {
    let mut journal = EmbeddedJournal::open(dir)?;
    let (start, mut next, mut times_us) = (Instant::now(), 0, Vec::new());
    while start.elapsed() < APPEND_TIME {
        let batch: Vec<_> = (next..next + size).map(fact).collect();
        next += size;
        let begin = Instant::now();
        journal.append(&batch)?;
        times_us.push(begin.elapsed().as_micros());
    }
    times_us.sort_unstable();
    let at = |part: usize| times_us[(times_us.len() - 1) * part / 1000];
    println!(
        "append {size:>2}: {:>7.0} batches/s {:>8.0} facts/s, p50 {} us, p99 {} us, p99.9 {} us, max {} us",
        times_us.len() as f64 / start.elapsed().as_secs_f64(),
        next as f64 / start.elapsed().as_secs_f64(),
        at(500),
        at(990),
        at(999),
        at(1000),
    );
    drop(journal);
    Ok(std::fs::remove_dir_all(dir)?)
}

/// Fills a journal and hands it back.
fn replay(dir: &Path) -> Result<(), Box<dyn Error>> {
    let mut journal = EmbeddedJournal::open(dir)?;
    for first in (0..REPLAY_FACTS).step_by(5000) {
        journal.append(&(first..first + 5000).map(fact).collect::<Vec<_>>())?;
    }
    drop(journal);
    let bytes = dir.join("journal.sqlite3").metadata()?.len();
    let start = Instant::now();
    let mut journal = EmbeddedJournal::open(dir)?;
    let (open_s, mut count) = (start.elapsed().as_secs_f64(), 0u64);
    journal.replay(&mut |_| {
        count += 1;
        Ok(())
    })?;
    let all_s = start.elapsed().as_secs_f64();
    println!(
        "replay: {count} facts, {} bytes each, opened in {open_s:.4} s, all in {all_s:.3} s",
        bytes / count
    );
    drop(journal);
    Ok(std::fs::remove_dir_all(dir)?)
}

/// A torus of triads.
fn torus(side: u32) -> MachineSpec {
    let rule = PlaceRule { boards_per_frame: 24, frames_per_cabinet: 5, base: 1, strides: [65_536, 256, 8] };
    let triads = TriadsSpec {
        width: side,
        height: side,
        dead_boards: Vec::new(),
        dead_links: Vec::new(),
        places: Places::Rule(rule),
        bmps: BTreeMap::new(),
    };
    MachineSpec {
        name: "torus".into(),
        shape: Shape::Triads(triads),
        tags: BTreeSet::from(["default".into()]),
        kinds: vec!["spinnaker".into()],
        settle_ms: 30_000,
        order_ms_max: 60_000,
    }
}

/// Decides, applies, and lets hardware obey every second order.
fn play(lab: &mut Lab, command: Command) -> Result<(), String> {
    let now = Moment(1_790_000_000_000);
    let mut wishes = vec![command];
    while let Some(wish) = wishes.pop() {
        let mut facts = lab.decide(now, &Caller::server(), &wish).map_err(|why| format!("{why:?}"))?;
        facts.reverse();
        while let Some(fact) = facts.pop().or_else(|| lab.settle(now)) {
            lab.apply(&fact);
            for effect in lab.react(&fact) {
                let Effect::Order(order) = effect else { continue };
                if order.id.grant.0 % 2 == 0 {
                    let (order, obeyed) = (order.id, order.boards.to_vec());
                    wishes.push(Command::AnswerOrder { order, obeyed, failed: Vec::new() });
                }
            }
        }
    }
    Ok(())
}

/// A lab of ten thousand boards, a third of ten thousand jobs on them and the others waiting.
fn busy() -> Result<Lab, String> {
    let mut lab = Lab::new(Options::default());
    play(&mut lab, Command::Configure(vec![Arc::new(torus(58))]))?;
    for _ in 0..10_000 {
        play(&mut lab, Command::CreateJob(JobSpec::new("ada", Want::Boards(3))))?;
    }
    Ok(lab)
}

/// A lab of three million free boards, in so many runs that are not alike.
fn idle(runs: u32) -> Result<Lab, String> {
    let mut lab = Lab::new(Options::default());
    let run = |number: u32| BoardRun {
        count: 3_000_000 / runs,
        state: BoardState::Free,
        grant: Grant(number.into()),
        since: Moment(1_790_000_000_000 + u64::from(number)),
    };
    let counters = Piece::Counters {
        last_job: JobId(0),
        last_grant: Grant(runs.into()),
        accept: true,
        reason: "".into(),
    };
    let boards = Piece::Boards((0..runs).map(run).collect());
    lab.restore([counters, Piece::Machine { spec: Arc::new(torus(1000)) }, boards])?;
    Ok(lab)
}

/// Takes a lab apart, writes the pieces down, reads them back and puts them together.
fn pieces(what: &str, lab: &Lab) -> Result<(), Box<dyn Error>> {
    let start = Instant::now();
    let pieces = lab.pieces();
    let apart = start.elapsed();
    let records = pieces.iter().map(Record::of_piece).collect::<Result<Vec<_>, _>>()?;
    let written = start.elapsed();
    let bytes: usize = records.iter().map(|record| record.body.len()).sum();
    let largest = records.iter().map(|record| record.body.len()).max().unwrap_or(0);
    let start = Instant::now();
    let back = records.iter().map(Record::piece).collect::<Result<Vec<_>, _>>()?;
    let read = start.elapsed();
    Lab::new(Options::default()).restore(back)?;
    println!(
        "{what}: {} pieces of {bytes} bytes, the largest of {largest}; taken apart in {apart:.1?}, written in {:.1?}; read in {read:.1?}, put together in {:.1?}",
        pieces.len(),
        written - apart,
        start.elapsed() - read,
    );
    Ok(())
}
