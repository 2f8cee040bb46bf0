//! The heap of SDRAM of one chip: blocks in a row, the first that is large enough is cut.
//!
//! As on a chip each block has a header of eight bytes before it, and sizes are rounded up to words; so what is left after an
//! allocation is what a chip would say. The headers themselves are not in the memory of the chip.

use crate::spinnaker::scamp::App;

/// Bytes of a header.
const HEADER_BYTES: u32 = 8;

/// Blocks that a heap may be cut into; a chip has room for more, but not a program that means well.
pub const BLOCKS_MAX: usize = 8192;

/// A tag for blocks has eight bits.
const TAG_MAX: u32 = 255;

/// One block with its header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Block {
    start: u32,
    bytes: u32,
    owner: Option<(App, u32)>,
}

/// The heap.
#[derive(Debug)]
pub struct Heap(Vec<Block>);

impl Heap {
    /// One free block, whose header lies there and that has room for so many bytes.
    pub fn new(start: u32, bytes: u32) -> Heap {
        Heap(vec![Block { start, bytes: bytes.saturating_add(HEADER_BYTES), owner: None }])
    }

    /// Takes a block. A tag other than 0 is its name within the application; taken twice, it fails, unless it is asked for
    /// `again` with the same size. Zero if there is none.
    pub fn take(&mut self, app: App, bytes: u32, tag: u32, again: bool) -> u32 {
        if bytes == 0 || tag > TAG_MAX || self.0.len() >= BLOCKS_MAX {
            return 0;
        }
        if let Some(block) = self.tagged(app, tag) {
            let same = again && block.bytes - HEADER_BYTES == bytes;
            return if same { block.start + HEADER_BYTES } else { 0 };
        }
        let Some(needed) =
            bytes.checked_next_multiple_of(4).and_then(|bytes| bytes.checked_add(HEADER_BYTES))
        else {
            return 0;
        };
        let Some(at) = self.0.iter().position(|block| block.owner.is_none() && block.bytes >= needed) else {
            return 0;
        };
        self.cut(at, needed);
        self.0[at].owner = Some((app, tag));
        self.0[at].start + HEADER_BYTES
    }

    /// Cuts what is not needed off a block, unless nothing but a header would be left.
    fn cut(&mut self, at: usize, needed: u32) {
        let Block { start, bytes, .. } = self.0[at];
        if bytes - needed > HEADER_BYTES {
            self.0[at].bytes = needed;
            self.0.insert(at + 1, Block { start: start + needed, bytes: bytes - needed, owner: None });
        }
    }

    fn tagged(&self, app: App, tag: u32) -> Option<&Block> {
        self.0.iter().find(|block| tag != 0 && block.owner == Some((app, tag)))
    }

    /// The block with a tag, zero if there is none.
    pub fn find(&self, app: App, tag: u32) -> u32 {
        self.tagged(app, tag & TAG_MAX).map_or(0, |block| block.start + HEADER_BYTES)
    }

    /// Gives a block back; an address that is no block's is passed over, while a chip would lose its heap.
    pub fn free(&mut self, address: u32) {
        for block in &mut self.0 {
            if address.checked_sub(HEADER_BYTES) == Some(block.start) {
                block.owner = None;
            }
        }
        self.join();
    }

    /// Gives all blocks of an application back; says how many they were.
    pub fn free_all(&mut self, app: App) -> u32 {
        let mut count = 0;
        for block in &mut self.0 {
            if block.owner.is_some_and(|(owner, _)| owner == app) {
                block.owner = None;
                count += 1;
            }
        }
        self.join();
        count
    }

    /// Makes one of free blocks that touch.
    fn join(&mut self) {
        self.0.dedup_by(|next, block| {
            let both_free = next.owner.is_none() && block.owner.is_none();
            if both_free {
                block.bytes += next.bytes;
            }
            both_free
        });
    }

    /// Bytes that are free, without the header of one block, and the most that one block can have.
    pub fn space(&self) -> (u32, u32) {
        let free = || self.0.iter().filter(|block| block.owner.is_none()).map(|block| block.bytes);
        (
            free().sum::<u32>().saturating_sub(HEADER_BYTES),
            free().max().unwrap_or(HEADER_BYTES) - HEADER_BYTES,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_taken_found_and_joined_again() {
        let (app, other) = (App(30), App(31));
        let mut heap = Heap::new(0x1000, 1000);
        assert_eq!(heap.space(), (1000, 1000));
        let first = heap.take(app, 10, 5, false);
        assert_eq!(first, 0x1008);
        assert_eq!(heap.space(), (980, 980));
        assert_eq!(heap.take(app, 10, 5, false), 0, "the tag is taken");
        assert_eq!(heap.take(app, 12, 5, true), first);
        assert_eq!(heap.take(other, 2000, 0, false), 0);
        let second = heap.take(other, 100, 5, false);
        assert_eq!((heap.find(app, 5), heap.find(other, 5), heap.find(other, 6)), (first, second, 0));
        heap.free(first);
        heap.free(0xDEAD);
        assert_eq!(heap.find(app, 5), 0);
        assert_eq!(heap.free_all(other), 1);
        assert_eq!(heap.space(), (1000, 1000));
        assert_eq!([heap.take(app, 0, 0, false), heap.take(app, 4, 256, false)], [0, 0]);
        assert_eq!(heap.take(app, u32::MAX, 0, false), 0);
    }
}
