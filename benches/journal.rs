//! How fast the embedded journal keeps facts and hands them back, and how large a lab is in pieces:
//! `cargo bench --bench journal [-- DIRECTORY]`.
//!
//! The directory decides which disk is measured; without one it is the system's place for temporary files.

use berth::allocator::BoardIndex;
use berth::clock::Moment;
use berth::journal::record::Record;
use berth::journal::{EmbeddedJournal, Journal, Keeping, replay_into};
use berth::lab::board::BoardState;
use berth::lab::command::{Caller, Command};
use berth::lab::effect::{Effect, Order};
use berth::lab::fact::{Event, Fact, Grant, JobId, OrderId};
use berth::lab::job::{JobSpec, Reason, Want};
use berth::lab::machine::{MachineSpec, PlaceRule, Places, Shape, TriadsSpec};
use berth::lab::snapshot::{BoardRun, Piece};
use berth::lab::view::{JobFilter, Query, View};
use berth::lab::{Lab, Options};
use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long each size of batch is appended.
const APPEND_TIME: Duration = Duration::from_secs(4);

/// After how many facts a start is timed.
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
        life.happen(vec![Command::Configure(vec![Arc::new(torus(58))])])?;
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
        replay_into(&mut journal, &mut found, &mut |_| {})?;
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
        settle_ms: 0,
        order_ms_max: 60_000,
        agents: false,
        boots: true,
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
