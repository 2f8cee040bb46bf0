//! One bit for every triad of a machine, kept as columns of 64-bit words.
//!
//! ```text
//!   column x = 0        column x = 1          bit y of column x: words[x * stride + y / 64] >> (y % 64)
//!   word 0: y 0..64     word 0: y 0..64
//!   word 1: y 64..128   word 1: y 64..128
//! ```
//!
//! Columns, not rows, because boards are numbered along y: a stretch of numbers is a stretch of bits.

use super::request::Region;

/// Bits of one word.
pub const WORD_BITS: u32 = u64::BITS;

/// A bit for each triad, with the number of set bits of each column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plane {
    /// Columns.
    width: u32,
    /// Bits of a column.
    height: u32,
    /// Words of a column.
    stride: usize,
    /// All columns, one after the other.
    words: Vec<u64>,
    /// Set bits of each column.
    column_counts: Vec<u32>,
    /// Set bits of all columns.
    count: u32,
}

impl Plane {
    /// A plane with every bit set or every bit clear.
    pub fn new(width: u32, height: u32, set: bool) -> Plane {
        let stride = height.div_ceil(WORD_BITS) as usize;
        let words = vec![0; stride * width as usize];
        let mut plane =
            Plane { width, height, stride, words, column_counts: vec![0; width as usize], count: 0 };
        if set {
            for x in 0..width {
                for word in 0..stride {
                    plane.replace(x, word, u64::MAX);
                }
            }
        }
        plane
    }

    /// Columns.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Bits of a column.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// Words of a column.
    pub fn stride(&self) -> usize {
        self.stride
    }

    /// Set bits of all columns.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// Set bits of one column.
    pub fn column_count(&self, x: u32) -> u32 {
        self.column_counts[x as usize]
    }

    /// The words of one column.
    pub fn column(&self, x: u32) -> &[u64] {
        let start = x as usize * self.stride;
        &self.words[start..start + self.stride]
    }

    /// One word of a column.
    pub fn word(&self, x: u32, word: usize) -> u64 {
        self.words[x as usize * self.stride + word]
    }

    /// One bit.
    pub fn has(&self, x: u32, y: u32) -> bool {
        self.word(x, (y / WORD_BITS) as usize) >> (y % WORD_BITS) & 1 == 1
    }

    /// Writes one word of a column, less what lies beyond its end; says whether that changed it.
    pub fn replace(&mut self, x: u32, word: usize, bits: u64) -> bool {
        let bits = bits & self.valid(word);
        let place = &mut self.words[x as usize * self.stride + word];
        let (before, after) = (place.count_ones(), bits.count_ones());
        let changed = *place != bits;
        *place = bits;
        let column = &mut self.column_counts[x as usize];
        *column = *column + after - before;
        self.count = self.count + after - before;
        changed
    }

    /// Writes one bit.
    pub fn set(&mut self, x: u32, y: u32, set: bool) {
        self.set_span(x, y, y + 1, set);
    }

    /// Writes the bits `from..to` of a column.
    pub fn set_span(&mut self, x: u32, from: u32, to: u32, set: bool) {
        for (word, mask) in span_words(from, to) {
            let bits = self.word(x, word);
            self.replace(x, word, if set { bits | mask } else { bits & !mask });
        }
    }

    /// How many of the bits `from..to` of a column are set.
    pub fn count_span(&self, x: u32, from: u32, to: u32) -> u32 {
        let column = self.column(x);
        span_words(from, to).map(|(word, mask)| (column[word] & mask).count_ones()).sum()
    }

    /// How many bits of a region are set.
    pub fn count_region(&self, region: Region) -> u32 {
        let columns = region.x..region.x + region.width;
        columns
            .filter(|x| self.column_count(*x) > 0)
            .map(|x| self.count_span(x, region.y, region.y + region.height))
            .sum()
    }

    /// Whether any bit of a region is set.
    pub fn any_in_region(&self, region: Region) -> bool {
        if self.count == 0 {
            return false;
        }
        let any_in_column = |x| {
            let column = self.column(x);
            span_words(region.y, region.y + region.height).any(|(word, mask)| column[word] & mask != 0)
        };
        (region.x..region.x + region.width).any(|x| self.column_count(x) > 0 && any_in_column(x))
    }

    /// Copies the bits `from..from + bits` of a column to the start of `into`; what follows them there is cleared.
    pub fn extract(&self, x: u32, from: u32, bits: u32, into: &mut [u64]) {
        let column = self.column(x);
        let (skip, shift) = ((from / WORD_BITS) as usize, from % WORD_BITS);
        for (at, word) in into.iter_mut().enumerate() {
            let low = column.get(skip + at).copied().unwrap_or(0) >> shift;
            let high = column.get(skip + at + 1).copied().unwrap_or(0);
            let high = if shift == 0 { 0 } else { high << (WORD_BITS - shift) };
            *word = (low | high) & ones_below(bits, at);
        }
    }

    /// The bits of this word that lie on the machine.
    fn valid(&self, word: usize) -> u64 {
        ones_below(self.height, word)
    }
}

/// The bits of word number `word` that come before bit number `end` of the whole sequence.
pub fn ones_below(end: u32, word: usize) -> u64 {
    let before = (word as u32).saturating_mul(WORD_BITS);
    match end.saturating_sub(before) {
        0 => 0,
        rest if rest >= WORD_BITS => u64::MAX,
        rest => (1 << rest) - 1,
    }
}

/// The words that hold the bits `from..to`, each with a mask of those bits.
pub fn span_words(from: u32, to: u32) -> impl Iterator<Item = (usize, u64)> {
    let words = if from < to { from / WORD_BITS..to.div_ceil(WORD_BITS) } else { 0..0 };
    words.map(move |word| {
        let word = word as usize;
        (word, ones_below(to, word) & !ones_below(from, word))
    })
}

/// The positions of the set bits of a word, lowest first.
pub fn bits_of(mut word: u64) -> impl Iterator<Item = u32> {
    std::iter::from_fn(move || {
        let bit = (word != 0).then(|| word.trailing_zeros())?;
        word &= word - 1;
        Some(bit)
    })
}
