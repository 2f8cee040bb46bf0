//! Deflate data that is short and whole, inflated at once.
//!
//! A short message pays more for its codes than for its text: zlib-rs makes tables that serve megabytes, and in ways that keep
//! for data that comes in pieces. Here a table is as long as its longest word needs, is made by doubling (every symbol is
//! written once), and nothing outlives the call. Whatever is odd (a stored block, an incomplete code, a word that is
//! too long, damage, no room) is nobody's here: `inflate` answers nothing and the caller goes the long way, which
//! knows what is wrong. So this has to be right about what it takes, and about nothing else.
//!
//! Reading order: `inflate`, `Codes`, `Table`, `Bits`. Deliberately not here: gzip around it (`frame`), and checksums.

use std::cell::RefCell;
use std::sync::LazyLock;

/// The longest word that has a table here; codes of short texts stay below.
const WORD_BITS_MAX: usize = 11;
/// Entries of the longest table.
const ENTRIES_MAX: usize = 1 << WORD_BITS_MAX;
/// Symbols for literals and lengths, the two of the fixed code that mean nothing included.
const LITERALS_MAX: usize = 288;
/// Symbols for literals and lengths that a block may describe.
const LITERALS_TOLD_MAX: usize = 286;
/// Symbols for distances that a block may describe.
const DISTANCES_TOLD_MAX: usize = 30;
/// The symbol that ends a block.
const END: u16 = 256;
/// So many bits are held before a symbol is read: a length and its distance need 48 at most.
const BITS_MIN: u32 = 48;
/// The order in which a block tells the lengths of the words its lengths are written in.
const LENGTHS_ORDER: [usize; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];
/// For each symbol of a length from 257: the least length, and how many bits tell how much longer it is.
const LENGTHS: [(u16, u32); 29] = [
    (3, 0),
    (4, 0),
    (5, 0),
    (6, 0),
    (7, 0),
    (8, 0),
    (9, 0),
    (10, 0),
    (11, 1),
    (13, 1),
    (15, 1),
    (17, 1),
    (19, 2),
    (23, 2),
    (27, 2),
    (31, 2),
    (35, 3),
    (43, 3),
    (51, 3),
    (59, 3),
    (67, 4),
    (83, 4),
    (99, 4),
    (115, 4),
    (131, 5),
    (163, 5),
    (195, 5),
    (227, 5),
    (258, 0),
];

thread_local! {
    static CODES: RefCell<Codes> = const { RefCell::new(Codes::new()) };
}

/// The codes of blocks that describe none.
static FIXED: LazyLock<Option<Codes>> = LazyLock::new(Codes::fixed);

/// Inflates what the input begins with, if all of it is there and fits the room; tells how many bytes were read and how many made.
/// The room may be written to in any case.
pub(super) fn inflate(input: &[u8], room: &mut [u8]) -> Option<(usize, usize)> {
    let mut bits = Bits { input, read: 0, held: 0, count: 0 };
    let mut made = 0;
    loop {
        bits.fill()?;
        let is_last = bits.take(1) == 1;
        made = match bits.take(2) {
            1 => inflate_block(&mut bits, FIXED.as_ref()?, room, made)?,
            2 => inflate_described(&mut bits, room, made)?,
            _ => return None,
        };
        if is_last {
            return Some((bits.end()?, made));
        }
    }
}

/// A block that describes its codes.
fn inflate_described(bits: &mut Bits<'_>, room: &mut [u8], made: usize) -> Option<usize> {
    let inflate = |codes: &RefCell<Codes>| {
        let codes = &mut *codes.borrow_mut();
        codes.read(bits)?;
        inflate_block(bits, codes, room, made)
    };
    CODES.try_with(inflate).ok()?
}

/// What a block says with its codes; so many bytes have been made when it has ended.
fn inflate_block(bits: &mut Bits<'_>, codes: &Codes, room: &mut [u8], mut made: usize) -> Option<usize> {
    let mut in_hand = *bits;
    loop {
        in_hand.fill()?;
        let symbol = in_hand.word(&codes.literals);
        match u8::try_from(symbol) {
            Ok(literal) => {
                *room.get_mut(made)? = literal;
                made += 1;
            }
            Err(_) if symbol == END => {
                *bits = in_hand;
                return Some(made);
            }
            Err(_) => {
                let (least, more_bits) = *LENGTHS.get(usize::from(symbol - END - 1))?;
                let length = usize::from(least) + in_hand.take(more_bits);
                let distance = read_distance(&mut in_hand, &codes.distances)?;
                repeat(room, made, distance, length)?;
                made += length;
            }
        }
    }
}

/// How far back what is repeated lies: each two symbols double what they can tell.
#[inline(always)]
fn read_distance(bits: &mut Bits<'_>, table: &Table) -> Option<usize> {
    let symbol = usize::from(bits.word(table));
    match symbol {
        0..4 => Some(symbol + 1),
        4..DISTANCES_TOLD_MAX => {
            let more_bits = symbol / 2 - 1;
            Some(1 + ((2 + symbol % 2) << more_bits) + bits.take(more_bits as u32))
        }
        _ => None,
    }
}

/// Appends so many bytes that lie so far back; they may be among those that are appended.
fn repeat(room: &mut [u8], made: usize, distance: usize, length: usize) -> Option<()> {
    let from = made.checked_sub(distance)?;
    let touched = room.get_mut(from..made + length)?;
    if distance >= length {
        touched.copy_within(..length, distance);
    } else {
        (distance..touched.len()).for_each(|at| touched[at] = touched[at - distance]);
    }
    Some(())
}

/// The two codes of a block.
struct Codes {
    /// For the lengths the others are described with, then for literals and lengths.
    literals: Table,
    /// For distances.
    distances: Table,
}

impl Codes {
    /// Codes that say nothing yet.
    const fn new() -> Codes {
        Codes { literals: Table::new(), distances: Table::new() }
    }

    /// The codes of blocks that describe none.
    fn fixed() -> Option<Codes> {
        let mut codes = Codes::new();
        for symbol in 0..LITERALS_MAX {
            let bits = match symbol {
                144..256 => 9,
                256..280 => 7,
                _ => 8,
            };
            codes.literals.push(symbol, bits)?;
        }
        (0..32).try_for_each(|symbol| codes.distances.push(symbol, 5))?;
        codes.make()?;
        Some(codes)
    }

    /// Reads how a block describes them.
    fn read(&mut self, bits: &mut Bits<'_>) -> Option<()> {
        bits.fill()?;
        let literals_told = 257 + bits.take(5);
        let all_told = literals_told + 1 + bits.take(5);
        if literals_told > LITERALS_TOLD_MAX || all_told - literals_told > DISTANCES_TOLD_MAX {
            return None;
        }
        self.read_lengths_code(bits)?;
        self.read_lengths(bits, literals_told, all_told)?;
        self.make()
    }

    /// Reads the code in which the lengths of words are written.
    fn read_lengths_code(&mut self, bits: &mut Bits<'_>) -> Option<()> {
        let told = 4 + bits.take(4);
        let mut lengths = [0; LENGTHS_ORDER.len()];
        for symbol in LENGTHS_ORDER.iter().take(told) {
            bits.fill()?;
            lengths[*symbol] = bits.take(3);
        }
        self.clear();
        for (symbol, bits) in lengths.into_iter().enumerate().filter(|(_, bits)| *bits > 0) {
            self.literals.push(symbol, bits)?;
        }
        self.literals.make()
    }

    /// Reads how long the words for all symbols are, those for distances behind the others.
    fn read_lengths(&mut self, bits: &mut Bits<'_>, literals_told: usize, all_told: usize) -> Option<()> {
        self.clear();
        let mut in_hand = *bits;
        let (mut symbol, mut last, mut has_end) = (0, None, false);
        while symbol < all_told {
            in_hand.fill()?;
            let (word_bits, times) = match in_hand.word(&self.literals) {
                16 => (last?, 3 + in_hand.take(2)),
                17 => (0, 3 + in_hand.take(3)),
                18 => (0, 11 + in_hand.take(7)),
                word_bits => (usize::from(word_bits), 1),
            };
            last = Some(word_bits);
            let end = symbol + times;
            if end > all_told {
                return None;
            }
            while word_bits > 0 && symbol < end {
                has_end |= symbol == usize::from(END);
                match symbol.checked_sub(literals_told) {
                    None => self.literals.push(symbol, word_bits)?,
                    Some(distance) => self.distances.push(distance, word_bits)?,
                }
                symbol += 1;
            }
            symbol = end;
        }
        *bits = in_hand;
        has_end.then_some(())
    }

    /// Forgets which symbols have words.
    fn clear(&mut self) {
        self.literals.counts = [0; WORD_BITS_MAX + 1];
        self.distances.counts = [0; WORD_BITS_MAX + 1];
    }

    fn make(&mut self) -> Option<()> {
        self.literals.make()?;
        self.distances.make()
    }
}

/// A code: what the next bits of the input mean.
struct Table {
    /// For all values of as many bits as the longest word has: the symbol, and lowest the bits of its word.
    entries: [u16; ENTRIES_MAX],
    /// As many bits as the longest word has, all set.
    mask: usize,
    /// For each length of words how many there are; of the entries the table is made of next.
    counts: [u16; WORD_BITS_MAX + 1],
    /// For each length the entries, by symbol.
    words: [[u16; LITERALS_MAX]; WORD_BITS_MAX + 1],
}

impl Table {
    /// A code that says nothing yet.
    const fn new() -> Table {
        Table {
            entries: [0; ENTRIES_MAX],
            mask: 0,
            counts: [0; WORD_BITS_MAX + 1],
            words: [[0; LITERALS_MAX]; WORD_BITS_MAX + 1],
        }
    }

    /// Gives a word of so many bits to a symbol that is greater than all before.
    #[inline(always)]
    fn push(&mut self, symbol: usize, bits: usize) -> Option<()> {
        let count = self.counts.get_mut(bits)?;
        *self.words.get_mut(bits)?.get_mut(usize::from(*count))? = (symbol << 4 | bits) as u16;
        *count += 1;
        Some(())
    }

    /// Makes the table; nothing unless the code is complete. Words come with their first bit lowest, so that what a word of some
    /// bits means, all longer values that end in it mean as well: the table is copied behind itself when words get longer.
    fn make(&mut self) -> Option<()> {
        let bits_max = self.counts.iter().rposition(|count| *count > 0)?;
        let (mut word, mut is_complete) = (0_usize, false);
        for bits in 1..=bits_max {
            let size = 1 << bits;
            self.entries.copy_within(..size / 2, size / 2);
            for entry in self.words[bits].iter().take(usize::from(self.counts[bits])) {
                if is_complete {
                    return None;
                }
                self.entries[word & (ENTRIES_MAX - 1)] = *entry;
                is_complete = word == size - 1;
                word = after(word, size);
            }
        }
        self.mask = (1 << bits_max) - 1;
        is_complete.then_some(())
    }
}

/// The word after this one, counted from the first bit, which is the lowest, to the last: the last that is not set becomes set,
/// and those behind it are not any more.
#[inline(always)]
fn after(word: usize, size: usize) -> usize {
    let unset = word ^ (size - 1);
    match unset.checked_ilog2() {
        Some(bit) => word & ((1 << bit) - 1) | 1 << bit,
        None => 0,
    }
}

/// The bits of the input, the lowest of each byte first. Loops take a copy in hand, which stays in registers.
#[derive(Clone, Copy)]
struct Bits<'a> {
    /// All of it.
    input: &'a [u8],
    /// Bytes of it that are held, or were; zeros behind it count.
    read: usize,
    /// The next bits, the next of all lowest. Those behind `count` are zeros or those that follow.
    held: u64,
    /// So many are held.
    count: u32,
}

impl Bits<'_> {
    /// Holds enough bits for a symbol and all that belongs to it, and zeros where the input ends; nothing when these were read
    /// as well.
    #[inline(always)]
    fn fill(&mut self) -> Option<()> {
        if self.count >= BITS_MIN {
            return Some(());
        }
        let next = match self.input.get(self.read..).unwrap_or_default().first_chunk() {
            Some(bytes) => u64::from_le_bytes(*bytes),
            None => self.last()?,
        };
        let bytes = (63 - self.count) / 8;
        self.held |= next << self.count;
        self.read += bytes as usize;
        self.count += bytes * 8;
        Some(())
    }

    /// The last bytes of the input, less than eight, as if zeros followed; nothing when only these are left.
    #[cold]
    fn last(&self) -> Option<u64> {
        self.end()?;
        let rest = self.input.get(self.read..).unwrap_or_default();
        Some(rest.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }

    /// So many bits as a number.
    #[inline(always)]
    fn take(&mut self, bits: u32) -> usize {
        let value = self.held & ((1 << bits) - 1);
        self.count -= bits;
        self.held >>= bits;
        value as usize
    }

    /// A symbol.
    #[inline(always)]
    fn word(&mut self, table: &Table) -> u16 {
        let entry = table.entries[self.held as usize & table.mask & (ENTRIES_MAX - 1)];
        let bits = u32::from(entry & 15);
        self.count -= bits;
        self.held >>= bits;
        entry >> 4
    }

    /// Bytes of which at least one bit was taken; nothing if there are not as many.
    fn end(&self) -> Option<usize> {
        let bytes = self.read - (self.count / 8) as usize;
        (bytes <= self.input.len()).then_some(bytes)
    }
}
