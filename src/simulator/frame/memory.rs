//! Bytes that are mostly as they were made: pages exist from the first write to them on.

use std::collections::BTreeMap;

/// Bytes of a page.
const PAGE_BYTES: u32 = 4_096;

/// So many bytes, all the same at first.
#[derive(Debug)]
pub(super) struct Sparse {
    bytes: u32,
    fresh: u8,
    pages: BTreeMap<u32, Vec<u8>>,
}

impl Sparse {
    /// So many bytes of this value.
    pub fn new(bytes: u32, fresh: u8) -> Sparse {
        Sparse { bytes, fresh, pages: BTreeMap::new() }
    }

    /// How many bytes there are.
    pub fn bytes(&self) -> u32 {
        self.bytes
    }

    /// One byte, if there is one.
    pub fn byte(&self, offset: u32) -> Option<u8> {
        let in_page = (offset % PAGE_BYTES) as usize;
        let written = || self.pages.get(&(offset / PAGE_BYTES))?.get(in_page).copied();
        (offset < self.bytes).then(|| written().unwrap_or(self.fresh))
    }

    /// Writes one byte, if there is one.
    pub fn set(&mut self, offset: u32, byte: u8) {
        if offset >= self.bytes || self.byte(offset) == Some(byte) {
            return;
        }
        let fresh = self.fresh;
        let page = self.pages.entry(offset / PAGE_BYTES).or_insert_with(|| vec![fresh; PAGE_BYTES as usize]);
        if let Some(place) = page.get_mut((offset % PAGE_BYTES) as usize) {
            *place = byte;
        }
    }

    /// Bytes from an offset; there are none past the end.
    pub fn read(&self, offset: u32, length: u32) -> Vec<u8> {
        (offset..offset.saturating_add(length)).map_while(|at| self.byte(at)).collect()
    }

    /// Writes bytes from an offset; those past the end are lost.
    pub fn write(&mut self, offset: u32, bytes: &[u8]) {
        (offset..self.bytes).zip(bytes).for_each(|(at, byte)| self.set(at, *byte));
    }

    /// Bytes from an offset on, as if all were there again after the end.
    pub fn read_around(&self, offset: u32, length: u32) -> Vec<u8> {
        let place = |step| offset.wrapping_add(step) % self.bytes.max(1);
        (0..length).filter_map(|step| self.byte(place(step))).collect()
    }

    /// Writes bytes from an offset on, as if all were there again after the end.
    pub fn write_around(&mut self, offset: u32, bytes: &[u8]) {
        let size = self.bytes.max(1);
        (0..).zip(bytes).for_each(|(step, byte)| self.set(offset.wrapping_add(step) % size, *byte));
    }

    /// Makes bytes from an offset what they were at first.
    pub fn renew(&mut self, offset: u32, length: u32) {
        for at in offset..offset.saturating_add(length).min(self.bytes) {
            self.set(at, self.fresh);
        }
    }
}

/// Bytes of the flash of a BMP's processor.
pub(super) const FLASH_BYTES: u32 = 512 << 10;

/// Where its memory starts, 32 KiB.
pub(super) const RAM: u32 = 0x1000_0000;

/// Where its other memory starts, 32 KiB.
const RAM_HIGH: u32 = 0x2007_C000;

/// Bytes of either memory.
const RAM_BYTES: u32 = 32 << 10;

/// What a BMP's processor finds at its addresses.
#[derive(Debug)]
pub(super) struct Memory {
    /// From address 0 on: its program, erased but for what flash commands wrote.
    pub flash: Sparse,
    low: Sparse,
    high: Sparse,
}

impl Memory {
    /// Flash that is erased, and memory that is zero.
    pub fn new() -> Memory {
        Memory {
            flash: Sparse::new(FLASH_BYTES, 0xFF),
            low: Sparse::new(RAM_BYTES, 0),
            high: Sparse::new(RAM_BYTES, 0),
        }
    }

    /// Bytes from an address on, which wraps; where there is nothing they are zero.
    pub fn read(&self, address: u32, length: u32) -> Vec<u8> {
        (0..length).map(|offset| self.byte(address.wrapping_add(offset))).collect()
    }

    /// Writes bytes from an address on, which wraps; they stay where there is memory.
    pub fn write(&mut self, address: u32, bytes: &[u8]) {
        for (offset, byte) in (0..).zip(bytes) {
            self.set(address.wrapping_add(offset), *byte);
        }
    }

    /// Fills whole words from an address on, as far as there is memory.
    pub fn fill(&mut self, address: u32, word: u32, length: u32) {
        let end = u64::from(address) + u64::from(length / 4 * 4);
        for (start, memory) in [(RAM, &mut self.low), (RAM_HIGH, &mut self.high)] {
            let (from, to) = (address.max(start), end.min(u64::from(start) + u64::from(memory.bytes())));
            for at in u64::from(from)..to {
                let in_word = (at - u64::from(address)) as u32 % 4;
                let [byte, ..] = word.rotate_right(8 * in_word).to_le_bytes();
                memory.set((at - u64::from(start)) as u32, byte);
            }
        }
    }

    fn byte(&self, address: u32) -> u8 {
        let regions = [(0, &self.flash), (RAM, &self.low), (RAM_HIGH, &self.high)];
        let found = regions.iter().find_map(|(start, memory)| memory.byte(address.checked_sub(*start)?));
        found.unwrap_or(0)
    }

    fn set(&mut self, address: u32, byte: u8) {
        for (start, memory) in [(RAM, &mut self.low), (RAM_HIGH, &mut self.high)] {
            if let Some(offset) = address.checked_sub(start) {
                memory.set(offset, byte);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_pages_exist_than_have_been_written_to_nor_than_there_are() {
        let mut memory = Sparse::new(3 * PAGE_BYTES - 1, 0xFF);
        memory.write(0, &[0xFF; 100]);
        assert_eq!(memory.pages.len(), 0, "that is what they were");
        memory.write(PAGE_BYTES - 1, &[1, 2]);
        assert_eq!((memory.pages.len(), memory.read(PAGE_BYTES - 2, 4)), (2, vec![0xFF, 1, 2, 0xFF]));
        memory.write(3 * PAGE_BYTES - 2, &[1, 2, 3]);
        assert_eq!((memory.pages.len(), memory.read(3 * PAGE_BYTES - 2, 3)), (3, vec![1]));
        memory.set(u32::MAX, 1);
        assert_eq!(memory.pages.len(), 3);
        memory.renew(0, u32::MAX);
        assert_eq!(memory.read(PAGE_BYTES - 1, 2), [0xFF; 2]);
    }

    #[test]
    fn what_goes_around_comes_around() {
        let mut memory = Sparse::new(8, 0);
        memory.write_around(u32::MAX, &[1, 2, 3]);
        assert_eq!(memory.read_around(7, 10), [1, 2, 3, 0, 0, 0, 0, 0, 1, 2]);
    }
}
