//! The memory of one chip: pages that come into being when something is written, within what the whole machine may have.
//!
//! ```text
//!   0x00000000  32 KiB  ITCM        0x60000000  128 MiB  SDRAM (also at 0x70000000)
//!   0x00400000  64 KiB  DTCM        0xE0000000 to 0xE4FFFFFF  registers (also from 0xF0000000)
//!                                   0xE5000000   32 KiB  system RAM (also at 0xF5000000)
//! ```
//!
//! What was never written reads as zero; where nothing is, writes are lost, while a real monitor would die of it.
//! A page full of one word takes no room for its bytes, so that filling all of SDRAM costs little.

use std::collections::BTreeMap;

/// Bytes of a page.
pub const PAGE_BYTES: u32 = 4096;

/// The page of the system variables, which every chip has besides.
const SYSTEM_PAGE: u32 = 0xE500_7000 / PAGE_BYTES;

/// Pages that all chips of a machine may have together, 256 MiB; further writes are lost.
pub const PAGES_MAX: usize = 65_536;

/// Where things lie that can be written: the first address, and bytes.
const REGIONS: [(u32, u32); 4] =
    [(0, 0x8000), (0x0040_0000, 0x1_0000), (0x6000_0000, 0x0800_0000), (0xE000_0000, 0x0500_8000)];

/// The one address of a byte that may have two.
pub fn canonical(address: u32) -> u32 {
    match address >> 28 {
        0x7 => address & 0x0FFF_FFFF | 0x6000_0000,
        0xF if address < 0xF500_8000 => address & 0x0FFF_FFFF | 0xE000_0000,
        _ => address,
    }
}

/// Whether there is something at a canonical address.
fn is_there(address: u32) -> bool {
    REGIONS.iter().any(|(start, bytes)| address.wrapping_sub(*start) < *bytes)
}

/// How many pages a machine has left.
#[derive(Debug)]
pub struct Budget(usize);

impl Budget {
    /// All of them.
    pub fn full() -> Budget {
        Budget(PAGES_MAX)
    }

    /// Takes a page, if there is one.
    fn take(&mut self) -> bool {
        let taken = self.0 > 0;
        self.0 -= usize::from(taken);
        taken
    }

    /// Pages that are used.
    pub fn used(&self) -> usize {
        PAGES_MAX - self.0
    }

    /// Gives all pages of a chip back.
    pub fn refund(&mut self, memory: &Memory) {
        self.0 += memory.pages.keys().filter(|page| **page != SYSTEM_PAGE).count();
    }
}

/// What a page holds.
#[derive(Debug)]
enum Page {
    /// This word all over.
    Filled([u8; 4]),
    /// Its bytes.
    Bytes(Box<[u8; PAGE_BYTES as usize]>),
}

/// The memory of a chip.
#[derive(Debug, Default)]
pub struct Memory {
    pages: BTreeMap<u32, Page>,
}

impl Memory {
    /// One byte.
    pub fn byte(&self, address: u32) -> u8 {
        let address = canonical(address);
        let offset = (address % PAGE_BYTES) as usize;
        match self.pages.get(&(address / PAGE_BYTES)) {
            Some(Page::Bytes(bytes)) => bytes[offset],
            Some(Page::Filled(word)) => word[offset % 4],
            None => 0,
        }
    }

    /// So many bytes.
    pub fn read(&self, address: u32, bytes: u32) -> Vec<u8> {
        (0..bytes).map(|offset| self.byte(address.wrapping_add(offset))).collect()
    }

    /// Two bytes, the low one first.
    pub fn half_word(&self, address: u32) -> u16 {
        u16::from_le_bytes([self.byte(address), self.byte(address.wrapping_add(1))])
    }

    /// Four bytes, the low one first.
    pub fn word(&self, address: u32) -> u32 {
        u32::from_le_bytes(std::array::from_fn(|offset| self.byte(address.wrapping_add(offset as u32))))
    }

    /// Writes bytes, as far as there is something and the budget lasts.
    pub fn write(&mut self, budget: &mut Budget, address: u32, bytes: &[u8]) {
        for (offset, byte) in (0..).zip(bytes) {
            let address = canonical(address.wrapping_add(offset));
            if let Some(page) = self.page(budget, address) {
                page[(address % PAGE_BYTES) as usize] = *byte;
            }
        }
    }

    /// Fills whole words from an address on with one word.
    pub fn fill(&mut self, budget: &mut Budget, address: u32, word: u32, bytes: u32) {
        let (pattern, mut left) = (word.to_le_bytes(), bytes / 4 * 4);
        let mut address = canonical(address) & !3;
        while left > 0 && is_there(address) {
            let step = left.min(PAGE_BYTES - address % PAGE_BYTES);
            if step == PAGE_BYTES {
                self.fill_page(budget, address / PAGE_BYTES, pattern);
            } else {
                let part: Vec<u8> = pattern.iter().copied().cycle().take(step as usize).collect();
                self.write(budget, address, &part);
            }
            address = canonical(address.wrapping_add(step));
            left -= step;
        }
    }

    /// Whether there may be one more page.
    fn grant(budget: &mut Budget, number: u32) -> bool {
        number == SYSTEM_PAGE || budget.take()
    }

    /// Makes a page one word all over.
    fn fill_page(&mut self, budget: &mut Budget, number: u32, pattern: [u8; 4]) {
        if self.pages.contains_key(&number) || (pattern != [0; 4] && Self::grant(budget, number)) {
            self.pages.insert(number, Page::Filled(pattern));
        }
    }

    /// The bytes of a page that is to be written.
    fn page(&mut self, budget: &mut Budget, address: u32) -> Option<&mut [u8; PAGE_BYTES as usize]> {
        let number = address / PAGE_BYTES;
        if !is_there(address) || (!self.pages.contains_key(&number) && !Self::grant(budget, number)) {
            return None;
        }
        let page = self.pages.entry(number).or_insert(Page::Filled([0; 4]));
        if let Page::Filled(word) = page {
            let word = *word;
            *page = Page::Bytes(Box::new(std::array::from_fn(|offset| word[offset % 4])));
        }
        match page {
            Page::Bytes(bytes) => Some(bytes),
            Page::Filled(_) => None,
        }
    }
}
