//! What the parts of a call cost, each alone: `cargo bench --bench micro [-- FILTER]`. Columns of allocations come with it.
//!
//! From the bytes up: frames, envelopes and lists of calls, dispatch, the lab's decisions, the allocator's search, the
//! journal, and the text of a long list. `berth bench` measures the whole; `benches/journal.rs` the disk for longer.

use berth::allocator::{Allocator, BoardIndex, Request, Size, Triads};
use berth::clock::Moment;
use berth::journal::{EmbeddedJournal, Journal};
use berth::lab::ask::{Ask, Reply};
use berth::lab::command::{Caller, Command};
use berth::lab::effect::Effect;
use berth::lab::fact::{BoardRef, Event, Fact, JobId};
use berth::lab::job::{JobSpec, Want};
use berth::lab::machine::{MachineSpec, PlaceRule, Places, Shape, TriadsSpec};
use berth::lab::{Lab, Options};
use berth::service::plan::{
    Asker, BoardBook, BoardRecord, Door, JournalCounts, Outcome, Plan, WorkerCounts, Workforce,
};
use berth::service::{plan, write_answer};
use berth::session::SessionId;
use berth::user::{Role, UserName};
use berth::wire::{self, Envelope, FrameLimits, Packed, Unframer, call, envelope};
use divan::{AllocProfiler, Bencher, black_box};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

#[global_allocator]
static ALLOCATOR: AllocProfiler = AllocProfiler::system();

/// The present of all labs here.
const NOW: Moment = Moment(1_790_000_000_000);

/// JSON texts of these sizes, in bytes.
const TEXT_BYTES: [usize; 5] = [60, 200, 1_000, 10_000, 100_000];

/// So many calls in a message.
const CALLS: [usize; 3] = [1, 10, 100];

/// Machines so many triads wide and high.
const SIDES: [u32; 2] = [100, 1000];

fn main() {
    tails();
    divan::main();
}

/// A text of calls, as long as wanted.
fn text(bytes: usize) -> Vec<u8> {
    let calls = (0..).map(|n| format!(r#"{{"fname":"get_job_state","job_id":{n}}},"#));
    calls.flat_map(String::into_bytes).take(bytes).collect()
}

/// A message of so many calls, half of them with an argument.
fn message(calls: usize) -> Vec<u8> {
    let call = |n| match n % 2 {
        0 => r#"{"fname":"get_version"}"#.to_owned(),
        _ => r#"{"fname":"get_job_state","job_id":1}"#.to_owned(),
    };
    let list = (0..calls).map(call).collect::<Vec<_>>().join(",");
    let session = "0123456789abcdef0123456789abcdef";
    format!(r#"{{"session":"{session}","name":"bench","data":[{list}]}}"#).into_bytes()
}

#[divan::bench(args = TEXT_BYTES)]
fn frame_encode(bencher: Bencher, bytes: usize) {
    let (text, mut out) = (text(bytes), Vec::new());
    bencher.bench_local(|| {
        out.clear();
        wire::encode(black_box(&text), &mut out);
    });
}

#[divan::bench(args = TEXT_BYTES)]
fn frame_decode(bencher: Bencher, bytes: usize) {
    let (mut frame, mut unframer) = (Vec::new(), Unframer::new(FrameLimits::default()));
    wire::encode(&text(bytes), &mut frame);
    bencher.bench_local(|| unframer.feed(black_box(&frame)).1.map(|body| body.map(|body| body.len())));
}

/// The frame of a text that was deflated before.
#[divan::bench(args = TEXT_BYTES)]
fn frame_encode_packed(bencher: Bencher, bytes: usize) {
    let (packed, mut out) = (Packed::new(text(bytes)), Vec::new());
    bencher.bench_local(|| {
        out.clear();
        wire::encode_around(b"{\"data\":[", black_box(&packed), b"]}", &mut out);
    });
}

#[divan::bench(args = CALLS)]
fn message_parse(bencher: Bencher, calls: usize) {
    let body = message(calls);
    bencher.bench_local(|| {
        let message = envelope::decode(black_box(&body), 128).ok()?;
        call::parse(message.data, 1000).ok().map(|calls| calls.len())
    });
}

/// From the text of a message to the text of its answer, without socket, session and frame.
#[divan::bench(args = CALLS)]
fn message_dispatch(bencher: Bencher, calls: usize) {
    let (body, lab, asker, mut out) = (message(calls), lab_with(10, 1), asker(), Vec::new());
    bencher.bench_local(|| {
        out.clear();
        answer(black_box(&body), &lab, &asker, &mut out);
    });
    assert!(!out.windows(7).any(|found| found == b"\"error\""), "{}", String::from_utf8_lossy(&out));
}

fn answer(body: &[u8], lab: &Lab, asker: &Asker<'_>, out: &mut Vec<u8>) -> Option<()> {
    let message = envelope::decode(body, 128).ok()?;
    let calls = call::parse(message.data, 1000).ok()?;
    let envelope = Envelope { session: &message.session, name: "berth", id: message.id };
    envelope.begin_list(out);
    for call in calls.iter() {
        let planned = plan(call.fname, call.args, asker).ok()?;
        let outcome = match planned.plan {
            Plan::Ready(text) => Outcome::Ready(text),
            Plan::Ask(Ask::Query(query)) => Outcome::Reply(Reply::Seen(lab.see(&query).ok()?)),
            _ => return None,
        };
        call::begin_data(out, call.fname);
        write_answer(planned.function, Ok(outcome), asker, out).ok()?;
        call::end_data(out);
    }
    envelope.end_list(out);
    Some(())
}

/// A job is asked for, granted and ended; hardware obeys at once.
#[divan::bench(args = [10, 100])]
fn create_and_destroy(bencher: Bencher, side: u32) {
    let mut lab = lab_with(side, 0);
    bencher.bench_local(|| {
        let job = happen(&mut lab, Command::CreateJob(JobSpec::new("ada", Want::Boards(1))));
        happen(&mut lab, Command::DestroyJob { job: job.unwrap_or(JobId(0)), reason: None })
    });
}

#[divan::bench(args = SIDES)]
fn allocator_find_empty(bencher: Bencher, side: u32) {
    let machine = machine(side);
    bencher.bench_local(|| machine.find(black_box(&rectangle(5, 5)), &[]));
}

#[divan::bench(args = SIDES)]
fn allocator_find_half_full(bencher: Bencher, side: u32) {
    let machine = half_full(side);
    bencher.bench_local(|| machine.find(black_box(&rectangle(5, 5)), &[]));
}

#[divan::bench(args = SIDES)]
fn allocator_find_fragmented(bencher: Bencher, side: u32) {
    let machine = fragmented(side);
    bencher.bench_local(|| machine.find(black_box(&rectangle(3, 3)), &[]));
}

#[divan::bench(args = [1, 20, 200], sample_count = 50, sample_size = 4)]
fn journal_append(bencher: Bencher, facts: u64) {
    let dir = std::env::temp_dir().join(format!("berth-micro-{}-{facts}", std::process::id()));
    let mut journal = EmbeddedJournal::open(&dir).expect("a journal");
    let spec = Arc::new(JobSpec::new("ada", Want::Boards(3)));
    let fact = |n| Fact { at: NOW, event: Event::JobQueued { job: JobId(n), spec: spec.clone() } };
    let mut next = 0;
    bencher.bench_local(|| {
        let round: Vec<_> = (next..next + facts).map(fact).collect();
        next += facts;
        journal.append(&round).is_ok()
    });
    drop(journal);
    std::fs::remove_dir_all(dir).ok();
}

#[divan::bench(args = [10, 1_000])]
fn list_jobs_text(bencher: Bencher, jobs: u32) {
    let (lab, asker, mut out) = (lab_with(100, jobs), asker(), Vec::new());
    let body = br#"{"session":"","name":"bench","data":[{"fname":"list_jobs"}]}"#;
    bencher.bench_local(|| {
        out.clear();
        answer(black_box(body), &lab, &asker, &mut out);
    });
    assert!(out.len() > 100 * jobs as usize, "{} bytes", out.len());
}

/// The worst of many searches, each on a machine that the ones before changed.
fn tails() {
    println!("allocator, p50 and p99 of 2000 searches with boards taken and given back in between:");
    for side in SIDES {
        for (name, mut machine) in
            [("half full", half_full(side)), ("fragmented", fragmented(side)), ("empty", machine(side))]
        {
            let (mut times, mut lent) = (Vec::new(), Vec::new());
            for n in 0..2000_u32 {
                let request = rectangle(1 + n % 7, 1 + n % 5);
                let begun = Instant::now();
                let place = machine.find(&request, &[]);
                times.push(begun.elapsed());
                lent.extend(place.map(|place| place.boards).inspect(|boards| machine.take(boards)));
                if n % 3 == 2 {
                    let given = lent.swap_remove(n as usize * 7919 % lent.len().max(1));
                    machine.give_back(&given);
                }
            }
            times.sort_unstable();
            let us = |at: usize| times.get(at).map_or(0.0, |time: &Duration| time.as_nanos() as f64 / 1000.0);
            println!("  {side:>4} x {side:<4} {name:<10} {:>8.1} us {:>8.1} us", us(1000), us(1980));
        }
    }
}

fn rectangle(width: u32, height: u32) -> Request {
    Request::of(Size::Triads { width, height })
}

fn machine(side: u32) -> Allocator {
    Allocator::Triads(Triads::new(side, side, &[], &[]).expect("a machine"))
}

/// The boards of a rectangle of triads.
fn boards(side: u32, x: u32, y: u32, width: u32, height: u32) -> Vec<BoardIndex> {
    let triads = (x..x + width).flat_map(|x| (y..y + height).map(move |y| x * side + y));
    triads.flat_map(|triad| (0..3).map(move |z| BoardIndex(triad * 3 + z))).collect()
}

/// Every second block of ten by ten is lent.
fn half_full(side: u32) -> Allocator {
    let mut machine = machine(side);
    for (x, y) in (0..side / 10).flat_map(|x| (0..side / 10).map(move |y| (x, y))) {
        if (x + y) % 2 == 0 {
            machine.take(&boards(side, x * 10, y * 10, 10, 10));
        }
    }
    machine
}

/// One triad of each four by four is lent, so that nothing larger than three by three is free, but for the last rows.
fn fragmented(side: u32) -> Allocator {
    let mut machine = machine(side);
    for (x, y) in (0..side / 4).flat_map(|x| (0..side / 4).map(move |y| (x, y))) {
        machine.take(&boards(side, x * 4, y * 4, 1, 1));
    }
    machine
}

/// A lab of one torus with so many jobs.
fn lab_with(side: u32, jobs: u32) -> Lab {
    let mut lab = Lab::new(Options::default());
    happen(&mut lab, Command::Configure(vec![Arc::new(torus(side))]));
    for _ in 0..jobs {
        happen(&mut lab, Command::CreateJob(JobSpec::new("ada", Want::Boards(1))));
    }
    lab
}

/// Takes a wish and all that follows; hardware obeys at once. The job that was queued, if one was.
fn happen(lab: &mut Lab, command: Command) -> Option<JobId> {
    let (mut wishes, mut queued) = (vec![command], None);
    while let Some(wish) = wishes.pop() {
        let mut facts = lab.decide(NOW, &Caller::server(), &wish).expect("it is not refused");
        facts.reverse();
        while let Some(fact) = facts.pop().or_else(|| lab.settle(NOW)) {
            if let Event::JobQueued { job, .. } = fact.event {
                queued = Some(job);
            }
            lab.apply(&fact);
            for effect in lab.react(&fact) {
                if let Effect::Order(order) = effect {
                    let (order, obeyed) = (order.id, order.boards.to_vec());
                    wishes.push(Command::AnswerOrder { order, obeyed, failed: Vec::new() });
                }
            }
        }
    }
    queued
}

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

/// A server that knows nothing beside its lab.
#[derive(Debug)]
struct Bare;

impl BoardBook for Bare {
    fn record(&self, _board: &BoardRef) -> BoardRecord {
        BoardRecord::default()
    }
}

impl Workforce for Bare {
    fn count(&self) -> WorkerCounts {
        WorkerCounts::default()
    }
    fn url_of(&self, _serial: &str) -> Option<Arc<str>> {
        None
    }
}

fn asker() -> Asker<'static> {
    static CLOSED: BTreeMap<&str, String> = BTreeMap::new();
    Asker {
        caller: Caller { user: UserName::guest(), role: Role::User },
        session: SessionId::from_bits(7),
        client: "bench",
        opened: NOW,
        expires: None,
        now: NOW,
        door: Door {
            name: "berth",
            uptime_ms: 1,
            listen: &CLOSED,
            connections: 1,
            journal: JournalCounts::default(),
            book: &Bare,
            workers: &Bare,
        },
    }
}
