//! How fast the embedded journal keeps facts and hands them back: `cargo bench --bench journal [-- DIRECTORY]`.
//!
//! The directory decides which disk is measured; without one it is the system's place for temporary files.

use berth::allocator::BoardIndex;
use berth::clock::Moment;
use berth::journal::{EmbeddedJournal, Journal};
use berth::lab::fact::{Event, Fact, Grant, JobId, OrderId};
use berth::lab::job::{JobSpec, Reason, Want};
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
