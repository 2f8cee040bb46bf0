//! How fast the embedded journal keeps facts and hands them back: `cargo bench --bench journal [-- DIRECTORY]`.
//!
//! The directory decides which disk is measured; without one it is the system's place for temporary files.

use berth::allocator::BoardIndex;
use berth::clock::Moment;
use berth::config::Config;
use berth::journal::{EmbeddedJournal, Journal, Keeping, replay_into};
use berth::lab::command::{Caller, Command};
use berth::lab::effect::{Effect, Order};
use berth::lab::fact::{Event, Fact, Grant, JobId, OrderId};
use berth::lab::job::{JobSpec, Reason, Want};
use berth::lab::view::{JobFilter, Query, View};
use berth::lab::{Lab, Options};
use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long each size of batch is appended.
const APPEND_TIME: Duration = Duration::from_secs(4);

/// After how many facts a start is timed.
const REPLAY_FACTS: u64 = 1_000_000;

/// The lab that lives through them: 10,080 boards.
const LAB: &str = "name = \"bench\"\n[[machine]]\nname = \"m\"\nshape = \"triads\"\nwidth = 60\nheight = 56\ncontroller = \"simulated\"\n";

fn main() -> Result<(), Box<dyn Error>> {
    let named = std::env::args().skip(1).find(|arg| !arg.starts_with("--"));
    let dir = named.map_or_else(std::env::temp_dir, PathBuf::from);
    let dir = dir.join(format!("berth-bench-journal-{}", std::process::id()));
    for size in [1, 8, 64] {
        append(&dir, size)?;
    }
    start(&dir)
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

/// A lab that lives, and the journal of what it does.
struct Life {
    lab: Lab,
    journal: EmbeddedJournal,
    now: Moment,
    facts: u64,
}

impl Life {
    /// A lab of one torus.
    fn begin(dir: &Path) -> Result<Life, Box<dyn Error>> {
        let keeping = Keeping { snapshot_facts: u64::MAX, history_ms: None };
        let journal = EmbeddedJournal::open(dir)?.keeping(keeping);
        let lab = Lab::new(Options::default());
        let mut life = Life { lab, journal, now: Moment(1_790_000_000_000), facts: 0 };
        let config = Config::load(Some(LAB), &[], &[]).map_err(|complaints| format!("{complaints:?}"))?;
        let specs = config.machines.iter().map(|machine| machine.spec.clone()).collect();
        life.happen(vec![Command::Configure(specs)])?;
        Ok(life)
    }

    /// One round: wishes, and whatever follows; every order that hardware was given is obeyed in the next one.
    fn happen(&mut self, wishes: Vec<Command>) -> Result<(), Box<dyn Error>> {
        let mut wishes = wishes;
        while !wishes.is_empty() {
            self.now = self.now.plus_ms(7);
            let mut round = Vec::new();
            for wish in std::mem::take(&mut wishes) {
                let facts = self.lab.decide(self.now, &Caller::server(), &wish);
                for fact in facts.map_err(|refusal| refusal.fault().to_string())? {
                    self.take(fact, &mut round, &mut wishes);
                }
                while let Some(fact) = self.lab.settle(self.now) {
                    self.take(fact, &mut round, &mut wishes);
                }
            }
            self.facts += round.len() as u64;
            self.journal.append(&round)?;
        }
        Ok(())
    }

    fn take(&mut self, fact: Fact, round: &mut Vec<Fact>, obeyed: &mut Vec<Command>) {
        self.lab.apply(&fact);
        for effect in self.lab.react(&fact) {
            if let Effect::Order(Order { id, boards, .. }) = effect {
                let boards = boards.to_vec();
                obeyed.push(Command::AnswerOrder { order: id, obeyed: boards, failed: Vec::new() });
            }
        }
        round.push(fact);
    }

    /// Many jobs come and go at once.
    fn go_on(&mut self) -> Result<(), Box<dyn Error>> {
        let first = self.facts;
        let want = |n: u64| match n % 4 {
            0 => Want::Boards(1),
            1 => Want::Triads { width: 1, height: 1 },
            2 => Want::Boards(5),
            _ => Want::Triads { width: 2, height: 2 },
        };
        let spec = |n: u64| JobSpec::new("ada", want(first + n));
        self.happen((0..500).map(|n| Command::CreateJob(spec(n))).collect())?;
        let View::Jobs(jobs) = self
            .lab
            .see(&Query::Jobs(JobFilter::default()))
            .map_err(|refusal| refusal.fault().to_string())?
        else {
            return Err("no jobs".into());
        };
        let ends = jobs.iter().map(|job| Command::DestroyJob { job: job.id, reason: None });
        self.happen(ends.collect())
    }
}

/// How long a start takes that hears a million facts of a lab's life, and one that hears a snapshot.
fn start(dir: &Path) -> Result<(), Box<dyn Error>> {
    let mut life = Life::begin(dir)?;
    while life.facts < REPLAY_FACTS {
        life.go_on()?;
    }
    let Life { lab, journal, now, facts } = life;
    drop(journal);
    let bytes = dir.join("journal.sqlite3").metadata()?.len();
    let time = |what: &str| -> Result<EmbeddedJournal, Box<dyn Error>> {
        let begun = Instant::now();
        let (mut found, mut journal) = (Lab::new(Options::default()), EmbeddedJournal::open(dir)?);
        replay_into(&mut journal, &mut found)?;
        println!("start {what}: {:.3} s", begun.elapsed().as_secs_f64());
        if found.pieces() != lab.pieces() {
            return Err("the start found another lab".into());
        }
        Ok(journal)
    };
    println!("{facts} facts, {} bytes each", bytes / facts);
    let mut journal = time("that hears all of them")?;
    let begun = Instant::now();
    let pieces = lab.pieces();
    let (taken_us, mut longest_us, mut slices) = (begun.elapsed().as_micros(), 0, 0);
    journal.begin_snapshot(now, pieces);
    while journal.counts().snapshots == 0 {
        let begun = Instant::now();
        journal.tend(now, false)?;
        longest_us = longest_us.max(begun.elapsed().as_micros());
        slices += 1;
    }
    println!("snapshot: taken in {taken_us} us, written in {slices} slices, the longest {longest_us} us");
    drop(journal);
    drop(time("that hears a snapshot, and checks them")?);
    Ok(std::fs::remove_dir_all(dir)?)
}
