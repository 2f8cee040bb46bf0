//! Packets from neighbour to neighbour that reach all chips: flood fills of applications, signals, settings.

use super::chip::Fill;
use super::commands::{Act, Asked};
use super::layout::VARIABLES;
use super::mesh::Place;
use crate::spinnaker::sdp::Chip as Numbers;

/// Words of a block that a chip has room for.
const BLOCK_WORDS_MAX: u32 = 64;

/// The chips that a packet from here comes to.
fn reached(act: &Act<'_, '_>) -> Vec<Place> {
    act.booted.flooded(act.around.mesh, act.here)
}

/// A packet by its key and data.
pub fn packet(act: &mut Act<'_, '_>, key: u32, data: u32) {
    match key >> 24 & 15 {
        0 => setting(act, data),
        4 => poke(act, key, data),
        6 => begin(act, key, data),
        7 => choose(act, key, data),
        15 => end(act, key, data),
        _ => {}
    }
}

/// Packets of kind 0: what to do is in the top bits of the data.
fn setting(act: &mut Act<'_, '_>, data: u32) {
    const FORWARD: u32 = VARIABLES + 40;
    match data >> 28 {
        0 => each(act, |act, place| act.write(place, FORWARD, &[(data >> 8) as u8, data as u8])),
        1 => each(act, |act, place| {
            if let Some(chip) = act.booted.chip(&mut act.around, place) {
                chip.switch_leds(data);
            }
        }),
        5 => signal(act, data),
        _ => {}
    }
}

fn each(act: &mut Act<'_, '_>, mut work: impl FnMut(&mut Act<'_, '_>, Place)) {
    for place in reached(act) {
        work(act, place);
    }
}

/// A signal to the applications of all chips. A chip that nobody needed before has none.
pub fn signal(act: &mut Act<'_, '_>, data: u32) {
    each(act, |act, place| {
        let powers_idle_cores_down = data >> 16 & 15 == 1;
        if act.booted.seen(place).is_none() && !powers_idle_cores_down {
            return;
        }
        if let Some(chip) = act.booted.chip(&mut act.around, place) {
            chip.signal(act.around.budget, data);
        }
    });
}

/// Writes one small number into the system variables, or to where they point, of all chips.
fn poke(act: &mut Act<'_, '_>, key: u32, data: u32) {
    const POINTER: u32 = VARIABLES + 96;
    let bytes = match key >> 18 & 3 {
        0 => 1,
        1 => 2,
        _ => 4,
    };
    each(act, |act, place| {
        let base = match key >> 16 & 3 {
            0 => VARIABLES,
            1 => 0xE500_0000,
            2 => 0xE200_0000,
            _ => act.booted.chip(&mut act.around, place).map_or(0, |chip| chip.memory.word(POINTER)),
        };
        act.write(place, base.wrapping_add(key >> 8 & 0xFF), &data.to_le_bytes()[..bytes]);
    });
}

/// A fill begins: `6<<24, id<<17, blocks<<8`; the data says which chips take it.
fn begin(act: &mut Act<'_, '_>, key: u32, region: u32) {
    let (id, blocks) = ((key >> 17) as u8 & 127, (key >> 8) as u8);
    each(act, |act, place| {
        let load = act.booted.machine.chip(place).is_some_and(|numbers| is_in(region, numbers));
        if let Some(chip) = act.booted.chip(&mut act.around, place) {
            chip.fill = Some(Fill { id, blocks, load, ..Fill::default() });
        }
    });
}

/// Chooses cores of the chips of a region for the fill under way.
fn choose(act: &mut Act<'_, '_>, key: u32, region: u32) {
    each(act, |act, place| {
        let chosen = act.booted.machine.chip(place).is_some_and(|numbers| is_in(region, numbers));
        let fill = act.booted.chip(&mut act.around, place).and_then(|chip| chip.fill.as_mut());
        if let Some(fill) = fill.filter(|_| chosen) {
            fill.load = true;
            fill.cores |= key & 0x3_FFFF;
        }
    });
}

/// A block comes: the command's arguments say fill, number, length and address.
pub fn block(act: &mut Act<'_, '_>, asked: &Asked<'_>) {
    let [first, second, address] = asked.words();
    let (id, number) = (first as u8 >> 1, (second >> 16) as u8);
    let words = (second >> 8 & 0xFF) + 1;
    let data = asked.data_bytes(4 * words.min(BLOCK_WORDS_MAX) as usize);
    each(act, |act, place| {
        let fill = act.booted.chip(&mut act.around, place).and_then(|chip| chip.fill.as_mut());
        let Some(fill) = fill.filter(|fill| fill.id == id) else { return };
        let (word, bit) = (usize::from(number / 64), 1 << (number % 64));
        if fill.had[word] & bit == 0 {
            fill.had[word] |= bit;
            fill.count = fill.count.wrapping_add(1);
            act.write(place, address, &data);
        }
    });
}

/// A fill is over: chips that have all blocks start what lies where applications lie.
fn end(act: &mut Act<'_, '_>, key: u32, start: u32) {
    let id = (key >> 1) as u8 & 127;
    each(act, |act, place| {
        let Some(chip) = act.booted.chip(&mut act.around, place) else { return };
        let Some(fill) = chip.fill.take_if(|fill| fill.id == id) else { return };
        if fill.load && fill.count == fill.blocks {
            act.start_at(place, start | fill.cores);
        }
    });
}

/// Whether a chip is in a region: the corner of a square (x, y), its level in the low bits of y, and a bit for each sixteenth
/// of it. At level 0 the square has 256 chips a side, at level 3 it has four. 0xFFFF is everywhere.
fn is_in(region: u32, chip: Numbers) -> bool {
    let (x, y, level) = ((region >> 24) as u8, (region >> 16) as u8 & 0xFC, region >> 16 & 3);
    let shift = 6 - 2 * level;
    let square = !(((4u32 << shift) - 1) as u8);
    let bit = u32::from(chip.y >> shift & 3) * 4 + u32::from(chip.x >> shift & 3);
    chip.x & square == x & square && chip.y & square == y & square && region >> bit & 1 == 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spinnaker::scamp::Neighbour;

    #[test]
    fn regions_hold_the_chips_they_name() {
        for (x, y) in [(0, 0), (7, 3), (200, 99), (255, 255)] {
            let chip = Numbers { x, y };
            assert!(is_in(0xFFFF, chip));
            assert!(!is_in(0, chip));
            let region = Neighbour::region_of(chip);
            let inside: Vec<_> = (0..=255u8)
                .flat_map(|x| (0..=255u8).map(move |y| Numbers { x, y }))
                .filter(|other| is_in(region, *other))
                .collect();
            assert_eq!(inside, [chip]);
        }
    }
}
