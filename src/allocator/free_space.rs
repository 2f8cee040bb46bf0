//! The index of free triads, and the search for free rectangles in it.
//!
//! Nothing is scanned triad by triad. A place for w x h triads is found with whole words of a column:
//!
//! ```text
//!   free column   1 1 1 0 1 1 1 1 0      y to the right
//!   eroded by 3   1 0 0 0 1 1 0 0 0      bit y: y, y+1, y+2 are free          (doubling: log2 h steps)
//!   and of w      . . .                  bit y at column x: a w x h rectangle fits with its corner at (x, y)
//! ```
//!
//! The "and of w columns" is had with about two operations a column whatever w is: columns are cut into blocks
//! of w; a window is the tail of one block and the head of the next. Tails and heads stop where they become
//! empty, so that a machine without such a place is told after a few columns of each block, and columns whose
//! longest free stretch is too short are never eroded at all.

use std::ops::ControlFlow;

use super::plane::{Plane, WORD_BITS, span_words};
use super::request::Region;

/// What it costs to begin a search, in words gone through.
const SWEEP_EFFORT: u64 = 500;
/// Columns of one strip.
const STRIP: u32 = 8;

/// The triads that are free, with the longest free stretch of each column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FreeSpace {
    /// One bit for each free triad.
    plane: Plane,
    /// The longest run of free triads in each column.
    longest: Vec<u32>,
}

/// The corners of all free rectangles of the searched size that begin in one column.
#[derive(Clone, Copy)]
pub struct Corners<'a> {
    /// The column.
    pub x: u32,
    /// The same for the column before; empty at the west edge.
    before: &'a [u64],
    /// A bit for each row in which such a rectangle begins.
    here: &'a [u64],
    /// The same for the column behind; empty at the east edge.
    after: &'a [u64],
}

impl FreeSpace {
    /// An index of these free triads.
    pub fn new(plane: Plane) -> FreeSpace {
        let longest = (0..plane.width()).map(|x| longest_run(plane.column(x))).collect();
        FreeSpace { plane, longest }
    }

    /// Writes one word of a column; `settle` must follow when the column is complete. Says whether it changed.
    pub fn replace(&mut self, x: u32, word: usize, bits: u64) -> bool {
        self.plane.replace(x, word, bits)
    }

    /// Measures a column anew after it changed.
    pub fn settle(&mut self, x: u32) {
        self.longest[x as usize] = longest_run(self.plane.column(x));
    }

    /// Whether a region is free altogether.
    pub fn is_free(&self, region: Region) -> bool {
        let mut columns = region.x..region.x + region.width;
        columns.all(|x| self.plane.count_span(x, region.y, region.y + region.height) == region.height)
    }

    /// How much of the outline of a region touches what is not free or the machine's edge, in triads.
    pub fn contact(&self, region: Region) -> u32 {
        let Region { x, y, width, height } = region;
        let beside = |column: Option<u32>| match column {
            Some(x) if x < self.plane.width() => height - self.plane.count_span(x, y, y + height),
            _ => height,
        };
        let along = |row: Option<u32>| match row {
            Some(y) if y < self.plane.height() => {
                (x..x + width).map(|x| u32::from(!self.plane.has(x, y))).sum()
            }
            _ => width,
        };
        beside(x.checked_sub(1)) + beside(Some(x + width)) + along(y.checked_sub(1)) + along(Some(y + height))
    }

    /// Shows, column by column from the west, where free rectangles of this size begin that touch no closed
    /// region, until told to stop. Columns where none begins are left out. Says how many words it went through.
    pub fn each_corner(
        &self,
        width: u32,
        height: u32,
        closed: &[Region],
        visit: impl FnMut(Corners) -> ControlFlow<()>,
    ) -> u64 {
        let fits = width <= self.plane.width() && height <= self.plane.height();
        if width == 0 || height == 0 || !fits || self.plane.count() < width * height {
            return 0;
        }
        let mut sweep = Sweep::new(self, width, height, closed);
        let _ = sweep.run(visit);
        sweep.effort
    }

    /// The same machine seen in strips of `STRIP` columns: free where all of them are.
    pub fn strips(&self) -> FreeSpace {
        let mut strips = Plane::new(self.plane.width() / STRIP, self.plane.height(), false);
        for strip in 0..strips.width() {
            for word in 0..strips.stride() {
                let columns = strip * STRIP..(strip + 1) * STRIP;
                strips.replace(strip, word, columns.fold(u64::MAX, |all, x| all & self.plane.word(x, word)));
            }
        }
        FreeSpace::new(strips)
    }

    /// Whether these strips leave room for a rectangle; when not, there is none. The second value is the words gone through.
    pub fn strips_may_hold(&self, width: u32, height: u32) -> (bool, u64) {
        // Wherever the rectangle begins, at most STRIP - 1 of its columns come before the first whole strip.
        let whole_strips = (width + 1).saturating_sub(STRIP) / STRIP;
        if whole_strips == 0 {
            return (true, 0);
        }
        let mut any = false;
        let effort = self.each_corner(whole_strips, height, &[], |_| {
            any = true;
            ControlFlow::Break(())
        });
        (any, effort)
    }
}

impl Corners<'_> {
    /// The rows in which a rectangle begins, as words.
    pub fn all(&self) -> impl Iterator<Item = u64> {
        self.here.iter().copied()
    }

    /// Only those that cannot slide on along x, and cannot slide on along y.
    pub fn tight(&self) -> impl Iterator<Item = u64> {
        self.here.iter().enumerate().map(|(at, word)| {
            if *word == 0 {
                return 0;
            }
            let below = word << 1 | at.checked_sub(1).map_or(0, |at| self.here[at] >> (WORD_BITS - 1));
            let above = word >> 1 | self.here.get(at + 1).map_or(0, |next| next << (WORD_BITS - 1));
            word & !(below & above) & !(self.before[at] & self.after[at])
        })
    }
}

/// One search: what has been computed of it.
struct Sweep<'a> {
    /// Where it looks.
    space: &'a FreeSpace,
    /// Size looked for.
    width: usize,
    /// Size looked for.
    height: u32,
    /// Regions that must not be touched.
    closed: &'a [Region],
    /// Every column eroded by `height`, where that was asked for already.
    eroded: Vec<u64>,
    /// What is known of each column of `eroded`.
    known: Vec<Known>,
    /// Words gone through.
    effort: u64,
}

/// What is known of a column.
#[derive(Clone, Copy, PartialEq)]
enum Known {
    /// Nothing yet.
    Unknown,
    /// Nothing begins there.
    Empty,
    /// Its bits have been computed.
    Bits,
}

impl<'a> Sweep<'a> {
    /// A search that has not begun.
    fn new(space: &'a FreeSpace, width: u32, height: u32, closed: &'a [Region]) -> Sweep<'a> {
        let columns = space.plane.width() as usize;
        let eroded = vec![0; columns * space.plane.stride()];
        let known = vec![Known::Unknown; columns];
        let effort = SWEEP_EFFORT + (columns + eroded.len() / 8) as u64;
        Sweep { space, width: width as usize, height, closed, eroded, known, effort }
    }

    /// Goes through all blocks of `width` columns.
    fn run(&mut self, visit: impl FnMut(Corners) -> ControlFlow<()>) -> ControlFlow<()> {
        let (columns, stride) = (self.known.len(), self.space.plane.stride());
        let mut shown = Shown::new(stride, visit);
        let mut tails = vec![0; self.width * stride];
        let mut head = vec![u64::MAX; stride];
        for block in (0..columns).step_by(self.width) {
            if block + self.width > columns {
                break;
            }
            let first = self.cut_tails(block, &mut tails);
            head.fill(u64::MAX);
            for offset in 0..self.width {
                let end = block + self.width + offset;
                if first == self.width || end > columns || offset > 0 && !self.and_column(end - 1, &mut head)
                {
                    break;
                }
                if offset < first {
                    continue;
                }
                let tail = &mut tails[offset * stride..(offset + 1) * stride];
                tail.iter_mut().zip(&head).for_each(|(tail, head)| *tail &= head);
                if tail.iter().any(|word| *word != 0) {
                    shown.push((block + offset) as u32, tail)?;
                }
            }
        }
        shown.finish()
    }

    /// Computes the ands of the last 1, 2, ... columns of a block, down to the first that is not empty.
    fn cut_tails(&mut self, block: usize, tails: &mut [u64]) -> usize {
        let stride = self.space.plane.stride();
        let mut tail = vec![u64::MAX; stride];
        for offset in (0..self.width).rev() {
            if !self.and_column(block + offset, &mut tail) {
                return offset + 1;
            }
            tails[offset * stride..(offset + 1) * stride].copy_from_slice(&tail);
        }
        0
    }

    /// Ands the eroded column into `bits`; false when nothing is left.
    fn and_column(&mut self, x: usize, bits: &mut [u64]) -> bool {
        if self.known[x] == Known::Unknown {
            self.known[x] = if self.erode(x) { Known::Bits } else { Known::Empty };
        }
        if self.known[x] == Known::Empty {
            return false;
        }
        let stride = bits.len();
        self.effort += stride as u64;
        let column = &self.eroded[x * stride..(x + 1) * stride];
        let mut left = 0;
        for (bits, column) in bits.iter_mut().zip(column) {
            *bits &= column;
            left |= *bits;
        }
        left != 0
    }

    /// Computes in which rows of a column `height` free triads begin; false when in none.
    fn erode(&mut self, x: usize) -> bool {
        if self.space.longest[x] < self.height {
            return false;
        }
        let stride = self.space.plane.stride();
        let column = &mut self.eroded[x * stride..(x + 1) * stride];
        column.copy_from_slice(self.space.plane.column(x as u32));
        for region in self.closed.iter().filter(|region| (x as u32).wrapping_sub(region.x) < region.width) {
            for (word, mask) in span_words(region.y, region.y + region.height) {
                column[word] &= !mask;
            }
        }
        let mut done = 1;
        while done < self.height {
            let step = done.min(self.height - done);
            and_shifted(column, step);
            self.effort += stride as u64;
            done += step;
        }
        column.iter().any(|word| *word != 0)
    }
}

/// Ands a sequence of bits with itself moved down by `step`.
fn and_shifted(bits: &mut [u64], step: u32) {
    let (skip, shift) = ((step / WORD_BITS) as usize, step % WORD_BITS);
    let len = bits.len();
    for at in 0..len {
        let low = if at + skip < len { bits[at + skip] } else { 0 };
        let high = if at + skip + 1 < len { bits[at + skip + 1] } else { 0 };
        bits[at] &= if shift == 0 { low } else { low >> shift | high << (WORD_BITS - shift) };
    }
}

/// Holds a column back until the one behind it is known.
struct Shown<F> {
    /// Who is shown the columns.
    visit: F,
    /// The column before the one held back.
    before: Vec<u64>,
    /// The column held back.
    held: Vec<u64>,
    /// Its number, if there is one.
    held_x: Option<u32>,
    /// A column without any bit.
    empty: Vec<u64>,
}

impl<F: FnMut(Corners) -> ControlFlow<()>> Shown<F> {
    /// Nothing held back yet.
    fn new(stride: usize, visit: F) -> Shown<F> {
        let empty = vec![0; stride];
        Shown { visit, before: empty.clone(), held: empty.clone(), held_x: None, empty }
    }

    /// Takes the next column that is not empty; shows the one held back.
    fn push(&mut self, x: u32, column: &[u64]) -> ControlFlow<()> {
        let adjoins = self.held_x.is_some_and(|held| held + 1 == x);
        if let Some(held) = self.held_x {
            let after = if adjoins { column } else { &self.empty };
            (self.visit)(Corners { x: held, before: &self.before, here: &self.held, after })?;
        }
        std::mem::swap(&mut self.before, &mut self.held);
        if !adjoins {
            self.before.fill(0);
        }
        self.held.copy_from_slice(column);
        self.held_x = Some(x);
        ControlFlow::Continue(())
    }

    /// Shows the last column.
    fn finish(mut self) -> ControlFlow<()> {
        match self.held_x {
            Some(x) => {
                (self.visit)(Corners { x, before: &self.before, here: &self.held, after: &self.empty })
            }
            None => ControlFlow::Continue(()),
        }
    }
}

/// The longest run of set bits in a column.
fn longest_run(column: &[u64]) -> u32 {
    let (mut longest, mut run) = (0, 0);
    for word in column {
        let mut rest = *word;
        let mut left = WORD_BITS;
        while left > 0 {
            let ones = rest.trailing_ones().min(left);
            run += ones;
            longest = longest.max(run);
            left -= ones;
            if left == 0 {
                break;
            }
            run = 0;
            rest = rest.checked_shr(ones).unwrap_or(0);
            let zeros = rest.trailing_zeros().min(left);
            rest = rest.checked_shr(zeros).unwrap_or(0);
            left -= zeros;
        }
    }
    longest
}

#[cfg(test)]
mod tests {
    use super::super::plane::ones_below;
    use super::*;

    #[test]
    fn runs_cross_words() {
        assert_eq!(longest_run(&[0]), 0);
        assert_eq!(longest_run(&[u64::MAX, u64::MAX, 1]), 129);
        assert_eq!(longest_run(&[0b1011_1011]), 3);
        assert_eq!(longest_run(&[1 << 63 | 0b110, 0b11]), 3);
        assert_eq!(longest_run(&[1 << 63 | 1, 0]), 1);
        assert_eq!(longest_run(&[ones_below(10, 0), u64::MAX << 60]), 10);
    }

    #[test]
    fn erosion_is_the_same_bit_by_bit() {
        let bits: Vec<u64> = vec![0xFFFF_0F3F_FFFF_FF00, 0x0FFF_FFFF_FFFF_FFFF, 0xFFFF_FFFF_FFFF_FFFF];
        let has =
            |bits: &[u64], at: u32| bits.get((at / 64) as usize).is_some_and(|w| w >> (at % 64) & 1 == 1);
        for step in [1, 5, 63, 64, 65, 100, 128, 191] {
            let mut shifted = bits.clone();
            and_shifted(&mut shifted, step);
            for at in 0..192 {
                assert_eq!(has(&shifted, at), has(&bits, at) && has(&bits, at + step), "bit {at} by {step}");
            }
        }
    }
}
