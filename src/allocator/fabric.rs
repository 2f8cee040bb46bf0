//! What of a machine works: boards, links, and which boards of a rectangle can be reached from its corner.
//!
//! Most rectangles touch no fault: then every board is reached and nothing is computed. Otherwise the
//! rectangle's bits are copied out and flooded whole words at a time:
//!
//! 1. a stretch of triads without any fault is reached as soon as one of its boards is;
//! 2. elsewhere each board's live links are followed, inside the column until nothing is new,
//!    then into the columns beside;
//! 3. columns that gained something are gone through again, up and down, until none does.

use super::BoardIndex;
use super::link::Link;
use super::plane::{Plane, WORD_BITS, ones_below};
use super::request::Region;
use super::torus::{TRIAD_BOARDS, Torus, Triad};

/// The links that are dead, each in the direction in which it is dead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLinks {
    /// A plane for each board of a triad and each link; none on a machine without dead links.
    planes: Vec<Plane>,
    /// Triads at either end of a dead link.
    pub touched: Plane,
}

impl DeadLinks {
    /// These links of a machine.
    pub fn new(torus: Torus, links: &[(Triad, Link)]) -> DeadLinks {
        let clear = Plane::new(torus.width, torus.height, false);
        let mut dead = DeadLinks { planes: Vec::new(), touched: clear.clone() };
        if !links.is_empty() {
            dead.planes = vec![clear; 18];
        }
        for (board, link) in links {
            let (other, _) = torus.neighbour(*board, *link);
            dead.planes[plane_of(board.z, *link)].set(board.x, board.y, true);
            dead.touched.set(board.x, board.y, true);
            dead.touched.set(other.x, other.y, true);
        }
        dead
    }
}

/// The number of the plane for a link of the board z.
fn plane_of(z: u32, link: Link) -> usize {
    (z * 6 + link.number()) as usize
}

/// The boards of a machine that count as working.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fabric {
    /// For each board of a triad, where it works.
    pub working: [Plane; 3],
    /// Triads with a board that does not work, or at either end of a dead link.
    pub faulty: Plane,
}

impl Fabric {
    /// A machine on which all boards work.
    pub fn new(torus: Torus, links: &DeadLinks) -> Fabric {
        let all = Plane::new(torus.width, torus.height, true);
        Fabric { working: [all.clone(), all.clone(), all], faulty: links.touched.clone() }
    }

    /// Says whether a board works.
    pub fn set(&mut self, links: &DeadLinks, board: Triad, works: bool) {
        let Triad { x, y, z } = board;
        self.working[z as usize].set(x, y, works);
        let whole = self.working.iter().all(|plane| plane.has(x, y));
        self.faulty.set(x, y, !whole || links.touched.has(x, y));
    }

    /// Whether a board works.
    pub fn works(&self, board: Triad) -> bool {
        self.working[board.z as usize].has(board.x, board.y)
    }

    /// Boards of a region that work, reached or not.
    pub fn count_working(&self, region: Region) -> u32 {
        self.working.iter().map(|plane| plane.count_region(region)).sum()
    }

    /// The triads of one word of a column of which all boards work.
    pub fn whole_word(&self, x: u32, word: usize) -> u64 {
        self.working[0].word(x, word) & self.working[1].word(x, word) & self.working[2].word(x, word)
    }
}

/// The boards of a region that can be reached from its lower-left board 0, one bit each.
pub struct Reach {
    /// The region.
    region: Region,
    /// Whether the region is as wide, or as high, as the machine, so that its own sides meet.
    closes: (bool, bool),
    /// Words of a column of the region.
    stride: usize,
    /// What works, in the region's own coordinates, by z.
    working: [Vec<u64>; 3],
    /// What was reached, by z.
    reached: [Vec<u64>; 3],
    /// Triads without any fault.
    sound: Vec<u64>,
    /// Dead links of the region by z and link; empty where there is none.
    dead: Vec<Vec<u64>>,
    /// Columns to be gone through, again.
    stale: Vec<bool>,
    /// Words looked at.
    pub effort: u64,
}

impl Reach {
    /// Floods a region.
    pub fn new(torus: Torus, fabric: &Fabric, links: &DeadLinks, region: Region) -> Reach {
        let copy = |plane: &Plane| copy_out(plane, region);
        let dead_plane = |at: usize| links.planes.get(at).filter(|plane| plane.any_in_region(region));
        let mut sound = copy(&fabric.faulty);
        let stride = region.height.div_ceil(WORD_BITS) as usize;
        for (at, word) in sound.iter_mut().enumerate() {
            *word = !*word & ones_below(region.height, at % stride);
        }
        let empty = || vec![0; sound.len()];
        let mut reach = Reach {
            region,
            closes: (region.width == torus.width, region.height == torus.height),
            stride,
            working: fabric.working.each_ref().map(copy),
            reached: [empty(), empty(), empty()],
            dead: (0..18).map(|at| dead_plane(at).map_or(Vec::new(), copy)).collect(),
            stale: vec![false; region.width as usize],
            effort: 4 * sound.len() as u64,
            sound,
        };
        reach.reached[0][0] = reach.working[0][0] & 1;
        reach.stale[0] = reach.reached[0][0] != 0;
        reach.flood();
        reach
    }

    /// How many boards were reached.
    pub fn count(&self) -> u32 {
        self.reached.iter().flatten().map(|word| word.count_ones()).sum()
    }

    /// The boards reached, sorted.
    pub fn boards(&self, torus: Torus) -> Vec<BoardIndex> {
        let mut boards = Vec::with_capacity(self.count() as usize);
        for at in 0..self.sound.len() {
            let x = self.region.x + (at / self.stride) as u32;
            let row = self.region.y + (at % self.stride) as u32 * WORD_BITS;
            let reached = self.reached.each_ref().map(|plane| plane[at]);
            extend_with_word(&mut boards, torus.index(Triad::new(x, row, 0)), reached);
        }
        boards
    }

    /// Dead links from a reached board to a reached board, each direction by itself; those that cross the
    /// machine's edge only when `wrapping`.
    pub fn dead_links(&self, wrapping: bool) -> u32 {
        let closes = if wrapping { self.closes } else { (false, false) };
        let kinds = (0..3).flat_map(|z| Link::ALL.map(|link| (z, link)));
        kinds
            .map(|(z, link)| (z, link, &self.dead[plane_of(z, link)]))
            .filter(|(_, _, dead)| !dead.is_empty())
            .map(|(z, link, dead)| self.count_links(z, link, closes, |at| dead[at]))
            .sum()
    }

    /// Whether some link between reached boards, dead or alive, crosses the machine's edge.
    pub fn wraps(&self) -> bool {
        (0..3).any(|z| {
            Link::ALL.into_iter().any(|link| {
                let all = |_| u64::MAX;
                self.count_links(z, link, self.closes, all) > self.count_links(z, link, (false, false), all)
            })
        })
    }

    /// Counts links of one kind between reached boards, of those that `chosen` has bits for.
    fn count_links(&self, z: u32, link: Link, closes: (bool, bool), chosen: impl Fn(usize) -> u64) -> u32 {
        let step = link.step(z);
        let mut count = 0;
        for x in 0..self.region.width as usize {
            let Some(to) = self.column_beside(x, step.dx, closes.0) else { continue };
            let from = |at: usize| {
                let at = x * self.stride + at;
                self.reached[z as usize][at] & chosen(at)
            };
            for word in 0..self.stride {
                let arrived = self.shifted(&from, word, step.dy, closes.1);
                count += (arrived & self.reached[step.z as usize][to * self.stride + word]).count_ones();
            }
        }
        count
    }

    /// Goes through stale columns, up and down, until there is none.
    fn flood(&mut self) {
        let columns = self.stale.len();
        while self.stale.iter().any(|stale| *stale) {
            for x in (0..columns).chain((0..columns).rev()) {
                if std::mem::take(&mut self.stale[x]) {
                    self.close_column(x);
                    self.spread(x);
                }
            }
        }
    }

    /// Reaches all that can be reached inside a column.
    fn close_column(&mut self, x: usize) {
        loop {
            let mut gained = self.fill_sound(x);
            for z in 0..3 {
                for link in Link::ALL {
                    if link.step(z).dx == 0 {
                        gained |= self.follow(x, z, link);
                    }
                }
            }
            if !gained {
                return;
            }
        }
    }

    /// Follows the links into the columns beside.
    fn spread(&mut self, x: usize) {
        for z in 0..3 {
            for link in Link::ALL {
                let dx = link.step(z).dx;
                let Some(to) = self.column_beside(x, dx, self.closes.0) else { continue };
                if dx != 0 && self.follow(x, z, link) {
                    self.stale[to] = true;
                }
            }
        }
    }

    /// Follows one link of the boards z of a column; whether a board was reached for the first time.
    fn follow(&mut self, x: usize, z: u32, link: Link) -> bool {
        let step = link.step(z);
        let Some(to) = self.column_beside(x, step.dx, self.closes.0) else { return false };
        let mut gained = false;
        self.effort += self.stride as u64;
        for word in 0..self.stride {
            let from = |at: usize| {
                let at = x * self.stride + at;
                let dead = self.dead[plane_of(z, link)].get(at).copied().unwrap_or(0);
                self.reached[z as usize][at] & !dead
            };
            let arrived = self.shifted(&from, word, step.dy, self.closes.1);
            let (target, at) = (step.z as usize, to * self.stride + word);
            let fresh = arrived & self.working[target][at] & !self.reached[target][at];
            self.reached[target][at] |= fresh;
            gained |= fresh != 0;
        }
        gained
    }

    /// Reaches all boards of every stretch of sound triads of which one board is reached.
    fn fill_sound(&mut self, x: usize) -> bool {
        let columns = x * self.stride..(x + 1) * self.stride;
        let mut gained = false;
        let mut carried = false;
        self.effort += 8 * self.stride as u64;
        for at in columns.clone() {
            gained |= self.fill_word(at, carried, false);
            carried = self.reached[0][at] & self.sound[at] & 1 << (WORD_BITS - 1) != 0;
        }
        carried = false;
        for at in columns.rev() {
            gained |= self.fill_word(at, carried, true);
            carried = self.reached[0][at] & self.sound[at] & 1 != 0;
        }
        gained
    }

    /// The same inside one word, both ways; `carried`: the stretch goes on from the neighbouring word, which was reached.
    fn fill_word(&mut self, at: usize, carried: bool, from_above: bool) -> bool {
        let sound = self.sound[at];
        let carried = u64::from(carried) << if from_above { WORD_BITS - 1 } else { 0 };
        let any = self.reached[0][at] | self.reached[1][at] | self.reached[2][at];
        let seeds = (any | carried) & sound;
        if seeds == 0 {
            return false;
        }
        let filled = fill_runs(seeds, sound);
        let fresh = self.reached.iter().any(|plane| filled & !plane[at] != 0);
        self.reached.iter_mut().for_each(|plane| plane[at] |= filled);
        fresh
    }

    /// The column one step beside, if the region has it; across the machine's edge only when `closes`.
    fn column_beside(&self, x: usize, dx: i8, closes: bool) -> Option<usize> {
        let width = self.region.width as usize;
        match dx {
            1 if x + 1 < width => Some(x + 1),
            1 => closes.then_some(0),
            -1 if x > 0 => Some(x - 1),
            -1 => closes.then_some(width - 1),
            _ => Some(x),
        }
    }

    /// One word of a column moved along y by at most one, across the machine's edge only when `closes`.
    fn shifted(&self, column: &impl Fn(usize) -> u64, word: usize, dy: i8, closes: bool) -> u64 {
        let last = self.region.height - 1;
        let (last_word, last_bit) = ((last / WORD_BITS) as usize, last % WORD_BITS);
        match dy {
            1 => {
                let low = match word {
                    0 if closes => column(last_word) >> last_bit & 1,
                    0 => 0,
                    _ => column(word - 1) >> (WORD_BITS - 1),
                };
                (column(word) << 1 | low) & ones_below(self.region.height, word)
            }
            -1 => {
                let high = if word < last_word { column(word + 1) << (WORD_BITS - 1) } else { 0 };
                let wrapped = if word == last_word && closes { (column(0) & 1) << last_bit } else { 0 };
                column(word) >> 1 | high | wrapped
            }
            _ => column(word),
        }
    }
}

/// Adds the boards of one word of a column, of which `first` is the first; whole stretches of triads at once.
fn extend_with_word(boards: &mut Vec<BoardIndex>, first: BoardIndex, reached: [u64; 3]) {
    let whole = reached[0] & reached[1] & reached[2];
    let mut rest = reached[0] | reached[1] | reached[2];
    while rest != 0 {
        let bit = rest.trailing_zeros();
        let run = (whole >> bit).trailing_ones();
        let triad = first.0 + bit * TRIAD_BOARDS;
        if run > 0 {
            boards.extend((triad..triad + run * TRIAD_BOARDS).map(BoardIndex));
            rest &= !ones_below(bit + run, 0);
        } else {
            boards.extend(
                (0..3).filter(|z| reached[*z as usize] >> bit & 1 == 1).map(|z| BoardIndex(triad + z)),
            );
            rest &= rest - 1;
        }
    }
}

/// The bits of a plane inside a region, columns one after the other.
fn copy_out(plane: &Plane, region: Region) -> Vec<u64> {
    let stride = region.height.div_ceil(WORD_BITS) as usize;
    let mut words = vec![0; stride * region.width as usize];
    for (x, column) in (region.x..).zip(words.chunks_exact_mut(stride)) {
        plane.extract(x, region.y, region.height, column);
    }
    words
}

/// The runs of `mask` that hold a bit of `seeds`, which lie in `mask`.
fn fill_runs(seeds: u64, mask: u64) -> u64 {
    let (mut up, mut up_mask) = (seeds, mask);
    let (mut down, mut down_mask) = (seeds, mask);
    for step in [1, 2, 4, 8, 16, 32] {
        up |= up_mask & (up << step);
        up_mask &= up_mask << step;
        down |= down_mask & (down >> step);
        down_mask &= down_mask >> step;
    }
    up | down
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_fill_both_ways() {
        assert_eq!(fill_runs(0b0001_0000, 0b0111_1011), 0b0111_1000);
        assert_eq!(fill_runs(1, u64::MAX), u64::MAX);
        assert_eq!(fill_runs(1 << 63, u64::MAX), u64::MAX);
        assert_eq!(fill_runs(0, u64::MAX), 0);
        assert_eq!(fill_runs(1 << 20, u64::MAX ^ 1 << 10 ^ 1 << 40), (1 << 40) - (1 << 11));
    }
}
