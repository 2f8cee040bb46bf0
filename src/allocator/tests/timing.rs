//! How long a search takes on a machine of 1,000 x 1,000 triads, and how well jobs are packed.
//!
//! Run by hand: `cargo test --release --lib allocator::tests::timing -- --ignored --nocapture --test-threads 1`.

use std::time::{Duration, Instant};

use crate::allocator::link::Link;
use crate::allocator::torus::Triad;
use crate::allocator::{BoardIndex, Request, Size, Triads};

/// Triads along each side of the machine that is measured.
const SIDE: u32 = 1000;
/// Searches of one kind.
const ROUNDS: usize = 400;

/// A small generator of numbers that look random (xorshift).
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: u32) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        ((self.0 >> 33) % u64::from(end)) as u32
    }
}

/// A machine in use and the jobs on it.
struct Busy {
    machine: Triads,
    jobs: Vec<Vec<BoardIndex>>,
    chance: Chance,
}

impl Busy {
    fn idle(dead_percent: u32) -> Busy {
        let mut chance = Chance(0x9E37_79B9_7F4A_7C15);
        let mut dead = Vec::new();
        let mut links = Vec::new();
        for at in 0..SIDE * SIDE * 3 {
            let board = Triad::new(at / 3 / SIDE, at / 3 % SIDE, at % 3);
            if chance.below(10_000) < dead_percent * 100 {
                dead.push(board);
            }
            if chance.below(10_000) < dead_percent * 100 {
                links.push((board, Link::ALL[chance.below(6) as usize]));
            }
        }
        Busy { machine: Triads::new(SIDE, SIDE, &dead, &links).unwrap(), jobs: Vec::new(), chance }
    }

    /// Half of the triads taken, each by itself.
    fn random(dead_percent: u32) -> Busy {
        let mut busy = Busy::idle(dead_percent);
        for triad in 0..SIDE * SIDE {
            if busy.chance.below(2) == 0 {
                let boards: Vec<_> = (0..3).map(|z| BoardIndex(triad * 3 + z)).collect();
                busy.machine.take(&boards);
                busy.jobs.push(boards);
            }
        }
        busy
    }

    /// Filled with rectangles of every size, then half of them gone.
    fn fragmented(dead_percent: u32, side_max: u32) -> Busy {
        let mut busy = Busy::idle(dead_percent);
        let mut refused = 0;
        while refused < 50 {
            let mut side = || 1 + busy.chance.below(side_max);
            let request = Request::of(Size::Triads { width: side(), height: side() });
            refused += u32::from(!busy.serve(&request));
        }
        while busy.machine.free_count() < SIDE * SIDE * 3 / 2 {
            busy.end_one();
        }
        busy
    }

    fn serve(&mut self, request: &Request) -> bool {
        let placement = self.machine.find(request, &[]);
        placement.is_some_and(|placement| {
            self.machine.take(&placement.boards);
            self.jobs.push(placement.boards);
            true
        })
    }

    fn end_one(&mut self) {
        let at = self.chance.below(self.jobs.len() as u32) as usize;
        let boards = self.jobs.swap_remove(at);
        self.machine.give_back(&boards);
    }

    /// Times searches while jobs come and go.
    fn measure(&mut self, name: &str, request: &Request) {
        let (mut finds, mut takes, mut found) = (Vec::new(), Vec::new(), 0);
        for _ in 0..ROUNDS {
            // The best of three: the answer is the same each time, the interruptions are not.
            let find = || {
                let start = Instant::now();
                (self.machine.find(request, &[]), start.elapsed())
            };
            let (placement, first) = find();
            finds.push(first.min(find().1).min(find().1));
            if let Some(placement) = placement {
                found += 1;
                let start = Instant::now();
                self.machine.take(&placement.boards);
                self.machine.give_back(&placement.boards);
                takes.push(start.elapsed() / 2);
                if found % 4 == 0 && placement.boards.len() < 10_000 {
                    self.machine.take(&placement.boards);
                    self.jobs.push(placement.boards);
                    self.end_one();
                }
            }
        }
        println!("{name:44} find {} take {} found {found}", show(&mut finds), show(&mut takes));
    }
}

/// Median, 99th percentile and maximum in microseconds.
fn show(times: &mut [Duration]) -> String {
    times.sort();
    let at = |part: usize| times.get(times.len().saturating_sub(1) * part / 100).copied().unwrap_or_default();
    let us = |time: Duration| time.as_nanos() as f64 / 1000.0;
    format!("p50 {:8.1} p99 {:8.1} max {:8.1} us", us(at(50)), us(at(99)), us(at(100)))
}

fn requests() -> Vec<(&'static str, Size)> {
    let square = |side| Size::Triads { width: side, height: side };
    vec![
        ("one board", Size::Board),
        ("1x1", square(1)),
        ("5x5", square(5)),
        ("50x50", square(50)),
        ("300x300", square(300)),
        ("7x200", Size::Triads { width: 7, height: 200 }),
        ("200x7", Size::Triads { width: 200, height: 7 }),
        ("1000 boards", Size::Count(1000)),
        ("30000 boards", Size::Count(30_000)),
    ]
}

#[test]
#[ignore = "takes a release build and a quiet machine"]
fn searches_are_quick() {
    type Make = fn(u32) -> Busy;
    let states: [(&str, Make); 4] = [
        ("idle", Busy::idle),
        ("random", Busy::random),
        ("fragmented 40", |dead| Busy::fragmented(dead, 40)),
        ("fragmented 120", |dead| Busy::fragmented(dead, 120)),
    ];
    for (state, make) in states {
        let mut busy = make(0);
        println!("-- {state}, free {}", busy.machine.free_count());
        for (name, size) in requests() {
            busy.measure(name, &Request::of(size));
        }
        let ratio = Request { min_ratio: 0.333, max_dead_boards: Some(0), ..Request::of(Size::Count(1000)) };
        busy.measure("1000 boards, ratio 0.333", &ratio);
    }
    for (state, make) in states {
        let mut busy = make(1);
        println!("-- {state}, 1 % dead boards and links, free {}", busy.machine.free_count());
        for (name, size) in requests() {
            let limits: &[Option<u32>] =
                if size == Size::Board { &[None] } else { &[None, Some(0), Some(5)] };
            for limit in limits {
                let request = Request { max_dead_boards: *limit, ..Request::of(size.clone()) };
                busy.measure(&format!("{name}, dead {limit:?}"), &request);
                time(&format!("{name}, dead {limit:?} possible?"), || {
                    busy.machine.possible(&request).is_ok()
                });
            }
        }
    }
    let busy = Busy::fragmented(0, 120);
    for (name, size) in requests() {
        let until = |board: BoardIndex| u64::from(board.0) * 7919 % 10_007;
        time(&format!("hold {name}"), || busy.machine.hold(&Request::of(size.clone()), &until).is_some());
    }
}

fn time(name: &str, mut work: impl FnMut() -> bool) {
    let mut times = Vec::new();
    let mut yes = false;
    for _ in 0..5 {
        let start = Instant::now();
        yes = work();
        times.push(start.elapsed());
    }
    println!("{name:44} {} {yes}", show(&mut times));
}

/// The lower-left free place, triad by triad.
fn first_fit(busy: &[Vec<bool>], width: usize, height: usize) -> Option<(usize, usize)> {
    let (columns, rows) = (busy.len(), busy[0].len());
    let free =
        |x: usize, y: usize| busy[x..x + width].iter().all(|column| !column[y..y + height].contains(&true));
    let places = (0..=columns.checked_sub(width)?)
        .flat_map(|x| (0..=rows.saturating_sub(height)).map(move |y| (x, y)));
    places.into_iter().filter(|_| height <= rows).find(|(x, y)| free(*x, *y))
}

/// The share of triads in use with a saturated strict queue, by our search or by first fit.
fn share_in_use(side: (u32, u32), ours: bool, seed: u64) -> f64 {
    let mut machine = Triads::new(side.0, side.1, &[], &[]).unwrap();
    let mut busy = vec![vec![false; side.1 as usize]; side.0 as usize];
    let mut chance = Chance(seed);
    let mut running: Vec<(u64, Vec<BoardIndex>)> = Vec::new();
    let (mut now, mut used) = (0u64, 0u64);
    for _ in 0..3000 {
        let (w, h) = (1 + chance.below(side.0 / 2), 1 + chance.below(side.1 / 2));
        let span = u64::from(1 + chance.below(100));
        let boards = loop {
            let boards = if ours {
                machine.find(&Request::of(Size::Triads { width: w, height: h }), &[]).map(|p| p.boards)
            } else {
                first_fit(&busy, w as usize, h as usize).map(|(x, y)| {
                    let columns = x..x + w as usize;
                    let triads = columns.flat_map(|x| (y..y + h as usize).map(move |y| (x, y)));
                    let first = triads.map(|(x, y)| machine.torus().index(Triad::new(x as u32, y as u32, 0)));
                    first.flat_map(|b| (0..3).map(move |z| BoardIndex(b.0 + z))).collect()
                })
            };
            if let Some(boards) = boards {
                break boards;
            }
            let next = (0..running.len()).min_by_key(|at| running[*at].0).unwrap();
            let (end, boards) = running.swap_remove(next);
            now = now.max(end);
            machine.give_back(&boards);
            boards
                .iter()
                .map(|b| machine.torus().triad(*b))
                .for_each(|t| busy[t.x as usize][t.y as usize] = false);
        };
        machine.take(&boards);
        boards
            .iter()
            .map(|b| machine.torus().triad(*b))
            .for_each(|t| busy[t.x as usize][t.y as usize] = true);
        used += u64::from(w * h) * span;
        running.push((now + span, boards));
    }
    used as f64 / (now as f64 * f64::from(side.0 * side.1))
}

#[test]
#[ignore = "takes a release build"]
fn packing_beats_first_fit() {
    for side in [(8, 8), (20, 12), (20, 20), (40, 40)] {
        let mean = |ours| (1..=8).map(|seed| share_in_use(side, ours, seed * 7919)).sum::<f64>() / 8.0;
        let (first, ours) = (mean(false), mean(true));
        println!("{side:?}: first fit {first:.3}, ours {ours:.3}");
        assert!(ours > first);
    }
}
