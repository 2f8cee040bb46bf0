//! What a booted job shows: which chips found their way to each other, and on which boards chips are missing.
//!
//! After SC&MP has run for a moment, the chip at the corner has a table with a row of bits for each column of chips: 3 bits for
//! each chip, which say over which link it is reached.
//!
//! | bits | meaning |
//! |---|---|
//! | 0 to 5 | over the link of that number |
//! | 6 | not at all |
//! | 7 | it is this chip |
//!
//! What is deliberately not here: sending images and asking chips (`boot`).

use crate::allocator::torus::Triad;
use crate::allocator::{BoardIndex, Geometry};
use crate::spinnaker::version::Version;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Where the table lies in the memory of a chip.
const TABLE_ADDRESS: u32 = 0xE101_0000;

/// Chips in a column of the table.
const COLUMN_CHIPS: u32 = 256;

/// Chips in a word.
const WORD_CHIPS: u32 = 8;

/// Bits for a chip.
const CHIP_BITS: u32 = 3;

/// A chip that is not reached.
const NOT_REACHED: u32 = 6;

/// The SC&MP that may run on boards: its name and its first version number at the least.
const SCAMP: (&str, u32) = ("SC&MP", 1);

/// A job that was booted.
#[derive(Clone, Debug, PartialEq)]
pub struct Booted {
    /// Who answers, as it calls itself.
    pub release: String,
    /// The chips that are there, as the job counts chips.
    pub chips: Vec<(u32, u32)>,
}

/// Where the chips of a column are in memory, for a job of so many chips from south to north: address and bytes.
pub fn column(x: u32, height_chips: u32) -> (u32, u32) {
    let address = TABLE_ADDRESS + COLUMN_CHIPS * x / WORD_CHIPS * 4;
    (address, height_chips.min(COLUMN_CHIPS).div_ceil(WORD_CHIPS) * 4)
}

/// The chips of a column that are reached.
pub fn chips_of_column(x: u32, height_chips: u32, bytes: &[u8]) -> Vec<(u32, u32)> {
    let (words, _) = bytes.as_chunks::<4>();
    let rows = words.iter().flat_map(|word| {
        let word = u32::from_le_bytes(*word);
        (0..WORD_CHIPS).map(move |chip| word >> (CHIP_BITS * chip) & 7)
    });
    let reached = (0..height_chips).zip(rows).filter(|(_, route)| *route != NOT_REACHED);
    reached.map(|(y, _)| (x, y)).collect()
}

/// Who answers, when it is SC&MP and knows where it is; `None` while it wakes up.
pub fn awake(body: &[u8]) -> Result<Option<String>, Arc<str>> {
    let version = Version::decode(body).map_err(|error| format!("says no version: {error}"))?;
    let said = format!("{}/{}", version.name, version.hardware);
    let numbers = version.release.numbers();
    let (name, major_min) = SCAMP;
    let sane = version.name == name && numbers.is_some_and(|[major, ..]| major >= major_min);
    if !sane {
        return Err(format!("is not SC&MP but {said:?} {:?}", version.release).into());
    }
    let [major, minor, patch] = numbers.unwrap_or_default();
    let awake = (version.chip.x, version.chip.y) != (u8::MAX, u8::MAX);
    Ok(awake.then(|| format!("{said} {major}.{minor}.{patch}")))
}

/// The boards of a job that have fewer chips than they should, and what is said of them.
pub fn boards_without_chips(
    job: &Geometry,
    chips: &[(u32, u32)],
    chips_min: u32,
) -> BTreeMap<BoardIndex, Arc<str>> {
    let mut counts: BTreeMap<Triad, u32> = BTreeMap::new();
    for (x, y) in chips {
        if let Some((board, _)) = job.board_at_job_chip((*x).into(), (*y).into()) {
            *counts.entry(board).or_default() += 1;
        }
    }
    let count = |board: BoardIndex| counts.get(&job.machine().triad(board)).copied().unwrap_or(0);
    let short =
        job.boards().iter().map(|board| (*board, count(*board))).filter(|(_, count)| *count < chips_min);
    short
        .map(|(board, count)| {
            (board, format!("{count} chips came up after the boot, where {chips_min} are wanted").into())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::allocator::Torus;
    use crate::spinnaker::sdp::Chip;
    use crate::spinnaker::version::Release;

    #[test]
    fn columns_lie_one_after_the_other() {
        assert_eq!(column(0, 8), (0xE101_0000, 4));
        assert_eq!(column(1, 9), (0xE101_0080, 8));
        assert_eq!(column(7, 256), (0xE101_0380, 128));
        assert_eq!(column(2, 1_000).1, 128);
    }

    #[test]
    fn a_chip_is_there_unless_it_is_not_reached() {
        // From the south: itself, link 2, not reached, link 0, not reached for the rest.
        let word: u32 = 0o6666_0627;
        assert_eq!(chips_of_column(3, 8, &word.to_le_bytes()), [(3, 0), (3, 1), (3, 3)]);
        assert_eq!(chips_of_column(3, 2, &word.to_le_bytes()), [(3, 0), (3, 1)]);
        assert_eq!(chips_of_column(3, 8, &[7]), []);
    }

    fn said(name: &str, hardware: &str, release: Release<'_>, chip: Chip) -> Vec<u8> {
        let mut body = Vec::new();
        let version = crate::spinnaker::version::Version {
            core: 0,
            physical_core: 0,
            chip,
            buffer_bytes: 256,
            built_s: 0,
            name,
            hardware,
            release,
        };
        version.encode(&mut body);
        body
    }

    #[test]
    fn only_scamp_that_knows_where_it_is_is_awake() {
        let at = Chip { x: 0, y: 0 };
        let awake = |body: Vec<u8>| super::awake(&body).map_err(|why| why.to_string());
        let new = Release::Words("4.0.0");
        assert_eq!(awake(said("SC&MP", "SpiNNaker", new, at)), Ok(Some("SC&MP/SpiNNaker 4.0.0".into())));
        let old = Release::Hundredths(133);
        assert_eq!(awake(said("SC&MP", "SpiNNaker", old, at)), Ok(Some("SC&MP/SpiNNaker 1.33.0".into())));
        assert_eq!(awake(said("SC&MP", "SpiNNaker", new, Chip::NEAREST)), Ok(None));
        assert!(awake(said("SARK", "SpiNNaker", new, at)).unwrap_err().contains("is not SC&MP"));
        assert!(awake(said("SC&MP", "SpiNNaker", Release::Words("x"), at)).is_err());
        assert!(awake(vec![0; 3]).unwrap_err().contains("says no version"));
    }

    #[test]
    fn boards_are_short_of_chips_by_their_own_count() {
        let job = Geometry::new(Torus { width: 4, height: 4 }, &[3, 4, 5].map(BoardIndex)).unwrap();
        let mut chips = Vec::new();
        for x in 0..job.width_chips {
            for y in 0..job.height_chips {
                chips.extend(job.board_at_job_chip(x.into(), y.into()).map(|_| (x, y)));
            }
        }
        assert_eq!(chips.len(), 3 * 48);
        assert_eq!(boards_without_chips(&job, &chips, 48), BTreeMap::new());
        let all_but_one: Vec<_> = chips.iter().copied().filter(|chip| *chip != (0, 0)).collect();
        let short = boards_without_chips(&job, &all_but_one, 48);
        let text = "47 chips came up after the boot, where 48 are wanted";
        assert_eq!(short, BTreeMap::from([(BoardIndex(3), text.into())]));
        assert_eq!(boards_without_chips(&job, &all_but_one, 47), BTreeMap::new());
        assert_eq!(boards_without_chips(&job, &[], 1).len(), 3);
    }
}
