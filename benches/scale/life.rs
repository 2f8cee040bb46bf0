//! The life of a lab as facts, and how long a start takes that hears them.

use berth::clock::Moment;
use berth::journal::{EmbeddedJournal, Journal, Keeping, replay_into};
use berth::lab::command::{Caller, Command};
use berth::lab::effect::{Effect, Order};
use berth::lab::fact::{Event, Fact, JobId};
use berth::lab::job::{JobSpec, Want};
use berth::lab::machine::{MachineSpec, PlaceRule, Places, Shape, TriadsSpec};
use berth::lab::{Lab, Options};
use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

/// How many jobs come at once, and go at once.
const JOBS: u64 = 500;
/// How often each start is timed.
const STARTS: usize = 3;

/// A lab that lives, and the journal of what it does.
struct Life {
    lab: Lab,
    journal: EmbeddedJournal,
    now: Moment,
    facts: u64,
}

impl Life {
    fn begin(dir: &Path) -> Result<Life, Box<dyn Error>> {
        let keeping = Keeping { snapshot_facts: u64::MAX, history_ms: None };
        let journal = EmbeddedJournal::open(dir)?.keeping(keeping);
        let lab = Lab::new(Options::default());
        let mut life = Life { lab, journal, now: Moment(1_790_000_000_000), facts: 0 };
        life.happen(vec![Command::Configure(vec![Arc::new(torus(20))])])?;
        Ok(life)
    }

    /// One round: wishes, and whatever follows; every order that hardware was given is obeyed in the next one. Answers the jobs
    /// that were queued.
    fn happen(&mut self, wishes: Vec<Command>) -> Result<Vec<JobId>, Box<dyn Error>> {
        let (mut wishes, mut queued) = (wishes, Vec::new());
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
            queued.extend(round.iter().filter_map(|fact| match fact.event {
                Event::JobQueued { job, .. } => Some(job),
                _ => None,
            }));
            self.facts += round.len() as u64;
            self.journal.append(&round)?;
            // The log would grow without end.
            self.journal.tend(self.now, true)?;
        }
        Ok(queued)
    }

    fn take(&mut self, fact: Fact, round: &mut Vec<Fact>, obeyed: &mut Vec<Command>) {
        self.lab.apply(&fact);
        for effect in self.lab.react(&fact) {
            if let Effect::Order(Order { id, boards, .. }) = effect {
                obeyed.push(Command::AnswerOrder { order: id, obeyed: boards.to_vec(), failed: Vec::new() });
            }
        }
        round.push(fact);
    }

    /// Many jobs come and go at once; more than fit, so that some wait.
    fn go_on(&mut self) -> Result<(), Box<dyn Error>> {
        let want = |n: u64| match n % 4 {
            0 => Want::Boards(1),
            1 => Want::Triads { width: 1, height: 1 },
            2 => Want::Boards(5),
            _ => Want::Triads { width: 2, height: 2 },
        };
        let specs = (0..JOBS).map(|n| JobSpec::new("ada", want(n)));
        let jobs = self.happen(specs.map(Command::CreateJob).collect())?;
        let ends = jobs.into_iter().map(|job| Command::DestroyJob { job, reason: None });
        self.happen(ends.collect()).map(drop)
    }
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

/// Seconds of processor that this process has spent, in all its threads that ever were.
fn cpu_s() -> f64 {
    let spent = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    spent.tv_sec as f64 + spent.tv_nsec as f64 / 1e9
}

/// Opens the journal and hears all of it; the least of some times, which is what it takes where nobody else works.
fn start(dir: &Path, lab: &Lab) -> Result<(EmbeddedJournal, f64, f64), Box<dyn Error>> {
    let mut best: Option<(EmbeddedJournal, f64, f64)> = None;
    for _ in 0..STARTS {
        let least = best.take().map(|(_, wall_s, cpu_s)| (wall_s, cpu_s));
        let (begun, before_s) = (Instant::now(), cpu_s());
        let (mut found, mut journal) = (Lab::new(Options::default()), EmbeddedJournal::open(dir)?);
        replay_into(&mut journal, &mut found, &mut |_| {})?;
        let (wall_s, spent_s) = (begun.elapsed().as_secs_f64(), cpu_s() - before_s);
        if found.last_numbers() != lab.last_numbers() || found.pieces() != lab.pieces() {
            return Err("the start found another lab".into());
        }
        let least = least.map_or((wall_s, spent_s), |(wall, cpu)| (wall.min(wall_s), cpu.min(spent_s)));
        best = Some((journal, least.0, least.1));
    }
    best.ok_or_else(|| "nothing was timed".into())
}

/// How long a start takes by the number of facts.
pub fn facts(dir: &Path, count: u64) -> Result<(), Box<dyn Error>> {
    let mut life = Life::begin(dir)?;
    while life.facts < count {
        life.go_on()?;
    }
    let Life { lab, journal, now, facts } = life;
    drop(journal);
    let bytes = dir.join("journal.sqlite3").metadata()?.len();
    let (mut journal, wall_s, cpu_s) = start(dir, &lab)?;
    journal.begin_snapshot(now, lab.pieces());
    while journal.counts().snapshots == 0 {
        journal.tend(now, true)?;
    }
    drop(journal);
    let (_, short_wall_s, short_cpu_s) = start(dir, &lab)?;
    let told = serde_json::json!({
        "facts": facts, "bytes": bytes, "wall_s": wall_s, "cpu_s": cpu_s,
        "snapshot_wall_s": short_wall_s, "snapshot_cpu_s": short_cpu_s,
    });
    println!("{told}");
    Ok(())
}
