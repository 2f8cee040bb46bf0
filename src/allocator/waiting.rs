//! The place that a request which has to wait shall wait for: where all boards are back the earliest.
//!
//! Two readings of a board that is out of service are tried: as dead, so that nobody waits for it, and as a
//! board that comes back when `until` says. On machines of up to `GRID_TRIADS_MAX` triads every place is
//! compared, by maxima and sums over sliding windows; on larger ones a bounded number of places spread evenly.

use super::fabric::Fabric;
use super::request::{Region, Request, Size};
use super::search::{Found, Ground, Search, Terms};
use super::torus::{TRIAD_BOARDS, Torus, Triad};
use super::triads::Triads;
use super::{BoardIndex, Hold, feasibility};

/// Machines with more triads are sampled.
const GRID_TRIADS_MAX: u32 = 1 << 14;
/// Triads times shapes compared on a grid, at most.
const GRID_WORK_MAX: u32 = 1 << 18;
/// Places of one shape compared on a machine that is sampled, at most.
const SAMPLES_MAX: u32 = 64;
/// Shapes compared on a machine that is sampled, at most.
const SAMPLED_SHAPES_MAX: usize = 2;
/// Boards asked about on a machine that is sampled, at most, beyond one place.
const QUESTIONS_MAX: u32 = 1 << 16;

/// What waiting for a place costs: the latest board, boards of which nothing is known, boards not free now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Cost {
    /// When the last board is back.
    latest: u64,
    /// Boards that may never be.
    unknown: u32,
    /// Boards that are not free now.
    waiting: u32,
}

impl Cost {
    /// What one more board adds.
    fn add(&mut self, until: u64) {
        self.latest = self.latest.max(until);
        self.unknown += u32::from(until == u64::MAX);
        self.waiting += 1;
    }
}

/// A search for the place to wait for.
struct Waiting<'a> {
    /// The machine.
    machine: &'a Triads,
    /// The boards that count as working; others are not waited for.
    fabric: &'a Fabric,
    /// When a board that is not free will be.
    until: &'a dyn Fn(BoardIndex) -> u64,
    /// The best place so far.
    best: Option<(Cost, Found)>,
}

impl Triads {
    /// The place where the request could be met the earliest.
    pub fn hold(&self, request: &Request, until: &dyn Fn(BoardIndex) -> u64) -> Option<Hold> {
        match &request.size {
            Size::Named(_) | Size::Board | Size::Count(0 | 1) => {
                self.possible(request).ok()?;
                self.hold_board(request, until)
            }
            Size::AnyOf(_) => None,
            Size::Count(count) => {
                feasibility::count_fits(self.torus, request, *count).ok()?;
                let Torus { width, height } = self.torus;
                let shapes = feasibility::shapes_of(self, &self.serving, request, *count);
                let ways = shapes.into_iter().flat_map(|shape| shape.laid_in(width, height));
                self.hold_rectangle(Terms::of(request, Some(*count)), &ways.collect::<Vec<_>>(), until)
            }
            Size::Triads { width, height } => {
                feasibility::rectangle_fits(self.torus, request, *width, *height).ok()?;
                self.hold_rectangle(Terms::of(request, None), &[(*width, *height)], until)
            }
        }
    }

    /// The one board named, or the board that is back first.
    fn hold_board(&self, request: &Request, until: &dyn Fn(BoardIndex) -> u64) -> Option<Hold> {
        if let Size::Named(names) = &request.size {
            return Some(Hold::on_boards(names.clone()));
        }
        let step = self.board_count().div_ceil(QUESTIONS_MAX) as usize;
        let boards = (0..self.board_count()).step_by(step).map(BoardIndex);
        let cost = |board: &BoardIndex| if self.is_free(*board) { (0, false) } else { (until(*board), true) };
        let board = boards.filter(|board| !self.is_dead(*board)).min_by_key(cost)?;
        Some(Hold::on_boards(vec![board]))
    }

    /// The rectangle of one of these sizes that is back first.
    fn hold_rectangle(
        &self,
        terms: Terms,
        sizes: &[(u32, u32)],
        until: &dyn Fn(BoardIndex) -> u64,
    ) -> Option<Hold> {
        let as_dead = Waiting { machine: self, fabric: &self.serving, until, best: None };
        let mut best = as_dead.best_of(terms, sizes);
        if self.serving.working != self.alive.working {
            let as_late = Waiting { machine: self, fabric: &self.alive, until, best };
            best = as_late.best_of(terms, sizes);
        }
        let (_, found) = best?;
        Some(Hold::on_region(self.torus, found.region, found.placement(self.torus).boards))
    }
}

impl<'a> Waiting<'a> {
    /// The best place of all sizes, or the best so far.
    fn best_of(mut self, terms: Terms, sizes: &[(u32, u32)]) -> Option<(Cost, Found)> {
        let triads = self.machine.torus.width * self.machine.torus.height;
        let mut search = Search::new(self.ground(), &[], terms);
        if triads <= GRID_TRIADS_MAX {
            let grid = Grid::new(&self);
            let sizes_max = (GRID_WORK_MAX / triads) as usize;
            for (width, height) in sizes.iter().take(sizes_max) {
                self.compare_all(&grid, &mut search, *width, *height);
            }
        } else {
            for (width, height) in sizes.iter().take(SAMPLED_SHAPES_MAX) {
                self.compare_samples(&mut search, *width, *height);
            }
        }
        self.best
    }

    /// The machine with the boards that count as working, whoever has them.
    fn ground(&self) -> Ground<'a> {
        Ground { fabric: self.fabric, ..self.machine.ground_ever() }
    }

    /// Compares every place of one size.
    fn compare_all(&mut self, grid: &Grid, search: &mut Search, width: u32, height: u32) {
        let latest = grid.window_latest(width, height);
        let Torus { width: machine_width, height: machine_height } = self.machine.torus;
        for x in 0..=machine_width - width {
            for y in 0..=machine_height - height {
                let region = Region { x, y, width, height };
                let cost = Cost {
                    latest: latest[(x * machine_height + y) as usize],
                    unknown: grid.unknown.sum(region),
                    waiting: grid.waiting.sum(region),
                };
                self.keep_better(search, region, cost);
            }
        }
    }

    /// Compares places of one size spread over the machine, those with the fewest lent boards first.
    fn compare_samples(&mut self, search: &mut Search, width: u32, height: u32) {
        let taken = |region: &Region| self.machine.taken.iter().map(|p| p.count_region(*region)).sum::<u32>();
        let mut samples = samples(self.machine.torus, width, height);
        samples.sort_by_cached_key(taken);
        let mut questions = 0;
        for region in samples {
            let cost = self.cost(region);
            questions += cost.waiting;
            self.keep_better(search, region, cost);
            if questions > QUESTIONS_MAX {
                break;
            }
        }
    }

    /// Keeps a place that is better than the best so far and meets the terms.
    fn keep_better(&mut self, search: &mut Search, region: Region, cost: Cost) {
        let better = self.best.as_ref().is_none_or(|(best, _)| cost < *best);
        if better && let Some(found) = search.judge(region) {
            self.best = Some((cost, found));
        }
    }

    /// What waiting for a region costs.
    fn cost(&self, region: Region) -> Cost {
        let mut cost = Cost::default();
        for x in region.x..region.x + region.width {
            for y in region.y..region.y + region.height {
                self.add_triad(&mut cost, x, y);
            }
        }
        cost
    }

    /// Adds what waiting for one triad costs.
    fn add_triad(&self, cost: &mut Cost, x: u32, y: u32) {
        for board in (0..TRIAD_BOARDS).map(|z| Triad::new(x, y, z)) {
            let comes_back = self.fabric.works(board) && !self.machine.serving.works(board);
            if self.machine.is_taken(board) || comes_back {
                cost.add((self.until)(self.machine.torus.index(board)));
            }
        }
    }
}

/// Places of one size, spread evenly, the machine's corners among them.
fn samples(torus: Torus, width: u32, height: u32) -> Vec<Region> {
    let side = SAMPLES_MAX.isqrt();
    let spread = |free: u32| {
        let steps = (side - 1).min(free);
        (0..=steps).map(move |at| (u64::from(free) * u64::from(at) / u64::from(steps.max(1))) as u32)
    };
    let columns = spread(torus.width - width);
    columns.flat_map(|x| spread(torus.height - height).map(move |y| Region { x, y, width, height })).collect()
}

/// What waiting costs for every triad of a machine.
struct Grid {
    /// The machine's size.
    torus: Torus,
    /// When each triad is back.
    latest: Vec<u64>,
    /// Boards that may never be back.
    unknown: Sums,
    /// Boards that are not free now.
    waiting: Sums,
}

impl Grid {
    /// Asks about every board once.
    fn new(waiting: &Waiting) -> Grid {
        let torus = waiting.machine.torus;
        let mut costs = vec![Cost::default(); (torus.width * torus.height) as usize];
        for (at, cost) in (0..).zip(&mut costs) {
            waiting.add_triad(cost, at / torus.height, at % torus.height);
        }
        Grid {
            torus,
            latest: costs.iter().map(|cost| cost.latest).collect(),
            unknown: Sums::new(torus, |at| costs[at].unknown),
            waiting: Sums::new(torus, |at| costs[at].waiting),
        }
    }

    /// For every triad the latest of the window that begins there; meaningless where the window sticks out.
    fn window_latest(&self, width: u32, height: u32) -> Vec<u64> {
        let mut latest = self.latest.clone();
        widen(&mut latest, 1, height as usize);
        widen(&mut latest, self.torus.height as usize, width as usize);
        latest
    }
}

/// Replaces each value by the greatest of `length` values, `stride` apart, that begin with it.
fn widen(values: &mut [u64], stride: usize, length: usize) {
    let mut done = 1;
    while done < length {
        let step = done.min(length - done);
        for at in 0..values.len().saturating_sub(step * stride) {
            values[at] = values[at].max(values[at + step * stride]);
        }
        done += step;
    }
}

/// Sums over rectangles, by sums over all rectangles that begin in the corner.
struct Sums {
    /// Entries of a column: one more than the machine's rows.
    stride: usize,
    /// The sum of everything left of and below an entry.
    sums: Vec<u32>,
}

impl Sums {
    /// Sums of one value for each triad.
    fn new(torus: Torus, value: impl Fn(usize) -> u32) -> Sums {
        let (width, height) = (torus.width as usize, torus.height as usize);
        let stride = height + 1;
        let mut sums = vec![0; (width + 1) * stride];
        for x in 0..width {
            let mut column = 0;
            for y in 0..height {
                column += value(x * height + y);
                sums[(x + 1) * stride + y + 1] = sums[x * stride + y + 1] + column;
            }
        }
        Sums { stride, sums }
    }

    /// The sum over a region.
    fn sum(&self, region: Region) -> u32 {
        let at = |x: u32, y: u32| self.sums[x as usize * self.stride + y as usize];
        let (east, north) = (region.x + region.width, region.y + region.height);
        at(east, north) + at(region.x, region.y) - at(region.x, north) - at(east, region.y)
    }
}
