//! Plays streams of requests through our packer, on a simulated clock: `cargo bench --bench packing -- FOLDER OUTPUT`.
//! `benches/packing/run` makes the streams, plays them through spalloc_server too, and compares.
//!
//! Each stream is played three times: by the allocator alone behind the plainest queue there is, strictly in order, which
//! is the queue spalloc_server has; by a whole lab with its queue, holds and backfill; and by a lab whose users say how long
//! they will stay at most (twice as long as they will). A line of JSON is written for each.

use berth::allocator::{Allocator, BoardIndex, Request, Size, Triad, Triads};
use berth::clock::Moment;
use berth::lab::command::{Caller, Command};
use berth::lab::effect::{Effect, Order};
use berth::lab::fact::{Event, Fact, JobId};
use berth::lab::job::{JobSpec, Want};
use berth::lab::machine::{MachineSpec, PlaceRule, Places, Shape, TriadsSpec};
use berth::lab::{Lab, Options};
use serde::{Deserialize, Serialize};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, VecDeque};
use std::error::Error;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

/// Where the simulated clock begins.
const START_MS: u64 = 1_000_000_000_000;

/// The first line of a stream.
#[derive(Deserialize)]
struct Head {
    /// Its name.
    stream: String,
    /// Triads in x.
    width: u32,
    /// Triads in y.
    height: u32,
    /// Boards that are dead.
    dead_boards: Vec<[u32; 3]>,
    /// So many requests wait at any time as long as there are any; 0 when they arrive at moments of their own.
    backlog: usize,
    /// How long freed boards cool down.
    settle_ms: u64,
}

/// One request.
#[derive(Clone, Deserialize)]
struct Asked {
    /// Its number.
    id: u64,
    /// When it arrives.
    arrive_ms: u64,
    /// How long its boards are used.
    run_ms: u64,
    /// At least so many boards.
    boards: Option<u32>,
    /// A rectangle of triads.
    triads: Option<[u32; 2]>,
    /// The least ratio of its sides.
    #[serde(default)]
    min_ratio: f64,
    /// How many boards may be missing.
    max_dead_boards: Option<u32>,
}

/// What became of a request.
#[derive(Clone, Default, Serialize)]
struct Outcome {
    /// Its number.
    id: u64,
    /// When it arrived.
    arrive_ms: u64,
    /// When it was granted.
    #[serde(skip_serializing_if = "Option::is_none")]
    start_ms: Option<u64>,
    /// When its boards were given back.
    #[serde(skip_serializing_if = "Option::is_none")]
    end_ms: Option<u64>,
    /// How many boards it got.
    #[serde(skip_serializing_if = "Option::is_none")]
    boards: Option<usize>,
    /// Whether it could never be met.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    impossible: bool,
}

/// What plays a stream: takes requests and lets time pass.
trait Lends {
    /// Takes a request; false when it can never be met.
    fn ask(&mut self, now_ms: u64, asked: &Asked) -> bool;
    /// Ends a loan.
    fn end(&mut self, now_ms: u64, id: u64);
    /// When something is due by itself.
    fn wake_ms(&self) -> Option<u64>;
    /// Lends what can be lent now: requests with how many boards they got.
    fn lend(&mut self, now_ms: u64) -> Vec<(u64, usize)>;
}

/// A stream being played.
struct Play<'s> {
    head: &'s Head,
    to_come: VecDeque<&'s Asked>,
    run_ms: BTreeMap<u64, u64>,
    ends: BinaryHeap<Reverse<(u64, u64)>>,
    waiting: usize,
    outcomes: BTreeMap<u64, Outcome>,
}

impl<'s> Play<'s> {
    fn new(head: &'s Head, requests: &'s [Asked]) -> Play<'s> {
        let mut to_come: Vec<_> = requests.iter().collect();
        to_come.sort_by_key(|asked| (asked.arrive_ms, asked.id));
        Play {
            head,
            to_come: to_come.into(),
            run_ms: requests.iter().map(|asked| (asked.id, asked.run_ms)).collect(),
            ends: BinaryHeap::new(),
            waiting: 0,
            outcomes: BTreeMap::new(),
        }
    }

    /// Plays to the end: until nobody waits and all boards are back.
    fn play(mut self, lender: &mut dyn Lends) -> Vec<Outcome> {
        let mut now_ms = 0;
        loop {
            self.settle(now_ms, lender);
            let arrival = self.to_come.front().filter(|_| self.head.backlog == 0);
            let moments = [
                self.ends.peek().map(|Reverse((at, _))| *at),
                lender.wake_ms().filter(|at| *at > now_ms),
                arrival.map(|asked| asked.arrive_ms),
            ];
            let Some(next_ms) = moments.into_iter().flatten().min() else { break };
            now_ms = now_ms.max(next_ms);
            while let Some(Reverse((at, id))) = self.ends.peek().copied()
                && at <= now_ms
            {
                self.ends.pop();
                lender.end(now_ms, id);
                self.note_lent(now_ms, lender);
            }
        }
        self.outcomes.into_values().collect()
    }

    /// Takes what arrives and lends what can be lent, until nothing more happens at this moment.
    fn settle(&mut self, now_ms: u64, lender: &mut dyn Lends) {
        self.note_lent(now_ms, lender);
        while let Some(asked) = self.to_come.front().copied() {
            let backlog = self.head.backlog;
            let due = if backlog > 0 { self.waiting < backlog } else { asked.arrive_ms <= now_ms };
            if !due {
                break;
            }
            self.to_come.pop_front();
            let impossible = !lender.ask(now_ms, asked);
            self.waiting += usize::from(!impossible);
            let outcome = Outcome { id: asked.id, arrive_ms: now_ms, impossible, ..Outcome::default() };
            self.outcomes.insert(asked.id, outcome);
            self.note_lent(now_ms, lender);
        }
    }

    fn note_lent(&mut self, now_ms: u64, lender: &mut dyn Lends) {
        for (id, boards) in lender.lend(now_ms) {
            let end_ms = now_ms + self.run_ms[&id];
            self.ends.push(Reverse((end_ms, id)));
            self.waiting -= 1;
            let outcome = self.outcomes.entry(id).or_default();
            (outcome.start_ms, outcome.end_ms, outcome.boards) = (Some(now_ms), Some(end_ms), Some(boards));
        }
    }
}

/// The allocator behind a queue that is served strictly in order.
struct InOrder {
    allocator: Allocator,
    queue: VecDeque<(u64, Request)>,
    lent: BTreeMap<u64, Vec<BoardIndex>>,
    cooling: VecDeque<(u64, Vec<BoardIndex>)>,
    settle_ms: u64,
}

impl InOrder {
    fn new(head: &Head) -> Result<InOrder, Box<dyn Error>> {
        let machine =
            Triads::new(head.width, head.height, &dead(head), &[]).map_err(|why| why.to_string())?;
        Ok(InOrder {
            allocator: Allocator::Triads(machine),
            queue: VecDeque::new(),
            lent: BTreeMap::new(),
            cooling: VecDeque::new(),
            settle_ms: head.settle_ms,
        })
    }
}

impl Lends for InOrder {
    fn ask(&mut self, _now_ms: u64, asked: &Asked) -> bool {
        let size = match (asked.triads, asked.boards) {
            (Some([width, height]), _) => Size::Triads { width, height },
            (None, Some(1) | None) => Size::Board,
            (None, Some(count)) => Size::Count(count),
        };
        let (min_ratio, max_dead_boards) = (asked.min_ratio, asked.max_dead_boards);
        let request = Request { min_ratio, max_dead_boards, ..Request::of(size) };
        let possible = self.allocator.possible(&request).is_ok();
        if possible {
            self.queue.push_back((asked.id, request));
        }
        possible
    }

    fn end(&mut self, now_ms: u64, id: u64) {
        if let Some(boards) = self.lent.remove(&id) {
            self.cooling.push_back((now_ms + self.settle_ms, boards));
        }
    }

    fn wake_ms(&self) -> Option<u64> {
        self.cooling.front().map(|(at, _)| *at)
    }

    fn lend(&mut self, now_ms: u64) -> Vec<(u64, usize)> {
        while self.cooling.front().is_some_and(|(at, _)| *at <= now_ms)
            && let Some((_, boards)) = self.cooling.pop_front()
        {
            self.allocator.give_back(&boards);
        }
        let mut lent = Vec::new();
        while let Some((id, request)) = self.queue.front() {
            let Some(place) = self.allocator.find(request, &[]) else { break };
            self.allocator.take(&place.boards);
            lent.push((*id, place.boards.len()));
            self.lent.insert(*id, place.boards);
            self.queue.pop_front();
        }
        lent
    }
}

/// A whole lab whose hardware obeys at once.
struct WholeLab {
    lab: Lab,
    /// The job of each request, and the other way round.
    jobs: BTreeMap<u64, JobId>,
    requests: BTreeMap<JobId, u64>,
    lent: Vec<(u64, usize)>,
    /// Whether users say how long they stay at most.
    leases: bool,
}

impl WholeLab {
    fn new(head: &Head, leases: bool) -> Result<WholeLab, Box<dyn Error>> {
        let options = Options { retired_jobs_max: 10, ..Options::default() };
        let (jobs, requests) = (BTreeMap::new(), BTreeMap::new());
        let mut lab = WholeLab { lab: Lab::new(options), jobs, requests, lent: Vec::new(), leases };
        if !lab.happen(0, Command::Configure(vec![Arc::new(machine(head))])) {
            return Err("the lab refuses its machine".into());
        }
        Ok(lab)
    }

    /// A wish and all that follows from it; false when it is refused.
    fn happen(&mut self, now_ms: u64, wish: Command) -> bool {
        let now = Moment(START_MS + now_ms);
        let Ok(facts) = self.lab.decide(now, &Caller::server(), &wish) else { return false };
        let mut orders = VecDeque::new();
        facts.iter().for_each(|fact| self.take(fact, &mut orders));
        self.follow(now, orders);
        true
    }

    fn follow(&mut self, now: Moment, mut orders: VecDeque<Command>) {
        loop {
            while let Some(fact) = self.lab.settle(now) {
                self.take(&fact, &mut orders);
            }
            let Some(answer) = orders.pop_front() else { break };
            // An order that a newer one overtook is refused; nobody minds.
            let facts = self.lab.decide(now, &Caller::server(), &answer).unwrap_or_default();
            facts.iter().for_each(|fact| self.take(fact, &mut orders));
        }
    }

    fn take(&mut self, fact: &Fact, orders: &mut VecDeque<Command>) {
        match &fact.event {
            Event::JobQueued { job, spec } => {
                let id = spec.note.parse().unwrap_or(0);
                self.jobs.insert(id, *job);
                self.requests.insert(*job, id);
            }
            Event::JobGranted { job, boards, .. } => self.lent.push((self.requests[job], boards.len())),
            _ => {}
        }
        self.lab.apply(fact);
        for effect in self.lab.react(fact) {
            if let Effect::Order(Order { id, boards, .. }) = effect {
                let obeyed = boards.to_vec();
                orders.push_back(Command::AnswerOrder { order: id, obeyed, failed: Vec::new() });
            }
        }
    }
}

impl Lends for WholeLab {
    fn ask(&mut self, now_ms: u64, asked: &Asked) -> bool {
        let want = match (asked.triads, asked.boards) {
            (Some([width, height]), _) => Want::Triads { width, height },
            (None, count) => Want::Boards(count.unwrap_or(1)),
        };
        let spec = JobSpec {
            note: asked.id.to_string().into(),
            min_ratio: asked.min_ratio,
            max_dead_boards: asked.max_dead_boards,
            keepalive_ms: None,
            lease_ms: self.leases.then_some(2 * asked.run_ms),
            ..JobSpec::new("ada", want)
        };
        self.happen(now_ms, Command::CreateJob(spec))
    }

    fn end(&mut self, now_ms: u64, id: u64) {
        self.happen(now_ms, Command::DestroyJob { job: self.jobs[&id], reason: None });
    }

    fn wake_ms(&self) -> Option<u64> {
        self.lab.wake_at().map(|(at, _)| at.0.saturating_sub(START_MS))
    }

    fn lend(&mut self, now_ms: u64) -> Vec<(u64, usize)> {
        self.follow(Moment(START_MS + now_ms), VecDeque::new());
        std::mem::take(&mut self.lent)
    }
}

fn dead(head: &Head) -> Vec<Triad> {
    head.dead_boards.iter().map(|[x, y, z]| Triad::new(*x, *y, *z)).collect()
}

fn machine(head: &Head) -> MachineSpec {
    let rule = PlaceRule { boards_per_frame: 24, frames_per_cabinet: 5, base: 1, strides: [65_536, 256, 8] };
    let triads = TriadsSpec {
        width: head.width,
        height: head.height,
        dead_boards: dead(head),
        dead_links: Vec::new(),
        places: Places::Rule(rule),
        bmps: BTreeMap::new(),
    };
    MachineSpec {
        name: "m".into(),
        shape: Shape::Triads(triads),
        tags: BTreeSet::from(["default".into()]),
        kinds: vec!["spinnaker".into()],
        settle_ms: head.settle_ms,
        order_ms_max: 60_000,
        agents: false,
        boots: true,
    }
}

fn read(path: &Path) -> Result<(Head, Vec<Asked>), Box<dyn Error>> {
    let text = std::fs::read_to_string(path)?;
    let mut lines = text.lines();
    let head = serde_json::from_str(lines.next().ok_or("an empty stream")?)?;
    let requests = lines.map(serde_json::from_str).collect::<Result<_, _>>()?;
    Ok((head, requests))
}

fn main() -> Result<(), Box<dyn Error>> {
    let paths: Vec<_> = std::env::args().skip(1).filter(|arg| !arg.starts_with("--")).collect();
    let [folder, output] = paths.as_slice() else {
        return Err("needs a folder of streams and an output".into());
    };
    let mut streams: Vec<PathBuf> =
        std::fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<Result<_, std::io::Error>>()?;
    streams.sort();
    let mut out = BufWriter::new(File::create(output)?);
    for stream in streams {
        let (head, requests) = read(&stream)?;
        let players: [(&str, Box<dyn Lends>); 3] = [
            ("packer", Box::new(InOrder::new(&head)?)),
            ("lab", Box::new(WholeLab::new(&head, false)?)),
            ("leases", Box::new(WholeLab::new(&head, true)?)),
        ];
        for (player, mut lender) in players {
            let begun = Instant::now();
            let jobs = Play::new(&head, &requests).play(&mut *lender);
            let took_s = begun.elapsed().as_secs_f64();
            eprintln!("{} {player}: {took_s:.1} s", head.stream);
            let row =
                serde_json::json!({"stream": head.stream, "player": player, "took_s": took_s, "jobs": jobs});
            writeln!(out, "{row}")?;
        }
    }
    Ok(out.flush()?)
}
