//! Requests that concern one chip alone: its tags, memory that is lent, routes, LEDs, cores, serial ROM.

use super::chip::Chip;
use super::commands::{Act, Asked, DONE, Outcome, refused};
use super::mesh::Place;
use super::router::{ROWS, Row};
use super::tags::TAGS;
use crate::spinnaker::exchange::At;
use crate::spinnaker::scamp::App;
use crate::spinnaker::scp::{CommandCode as Code, DATA_BYTES_MAX, ResultCode};

/// Bad arguments, if not so.
fn if_done(done: bool) -> Outcome {
    if done { DONE } else { refused(ResultCode::ARG) }
}

impl Act<'_, '_> {
    /// What concerns nothing but this chip.
    pub fn ask_own(&mut self, asked: &Asked<'_>) -> Outcome {
        let now = self.around.now;
        let Some(chip) = self.booted.chip(&mut self.around, self.here) else {
            return refused(ResultCode::CMD);
        };
        let [first, second, third] = asked.words();
        match asked.code() {
            Code::LED => {
                chip.switch_leds(first);
                DONE
            }
            Code::REMAP => if_done(chip.remap(self.around.budget, first, second & 1 == 1)),
            Code::ALLOC => allocate(chip, [first, second, third]),
            Code::IPTAG => {
                chip.tags.expire(now);
                tags(chip, now, asked)
            }
            Code::RTR => self.route(first, second, third),
            Code::SROM => serial_rom(self.here, first, second, asked),
            _ => refused(ResultCode::CMD),
        }
    }

    fn route(&mut self, first: u32, second: u32, third: u32) -> Outcome {
        let (app, count) = (App((first >> 8) as u8), first >> 16);
        if first & 0xFF == 2 {
            return if_done(self.load_routes(app, count, second, third));
        }
        let Some(chip) = self.booted.chip(&mut self.around, self.here) else {
            return refused(ResultCode::ARG);
        };
        match first & 0xFF {
            0 => chip.router.reset(),
            1 => return if_done(chip.router.clear(second, count)),
            3 if second >> 31 == 1 => return word(chip.router.fixed()),
            3 => chip.router.set_fixed(second),
            _ => return refused(ResultCode::ARG),
        }
        DONE
    }

    /// Takes rows from a table in memory: `next, free` (16 bits each), route, key, mask. A count of 0 is in the first row.
    fn load_routes(&mut self, app: App, count: u32, table: u32, offset: u32) -> bool {
        let Some(chip) = self.booted.chip(&mut self.around, self.here) else { return false };
        let count = if count == 0 { chip.memory.half_word(table.wrapping_add(2)).into() } else { count };
        if count > ROWS {
            return false;
        }
        (0..count).all(|number| {
            let at = table.wrapping_add(16 * number);
            let [route, key, mask] = [4, 8, 12].map(|offset| chip.memory.word(at.wrapping_add(offset)));
            let row = u32::from(chip.memory.half_word(at)).wrapping_add(offset);
            chip.router.set(row, Row { route, key, mask, app })
        })
    }
}

/// The body of one word.
fn word(word: u32) -> Outcome {
    Outcome::Done(word.to_le_bytes().to_vec())
}

fn allocate(chip: &mut Chip, [first, second, third]: [u32; 3]) -> Outcome {
    let app = App((first >> 8) as u8);
    word(match first & 0xFF {
        0 => chip.heap.take(app, second, third, first >> 16 & 4 != 0),
        1 => {
            chip.heap.free(second);
            return DONE;
        }
        2 => chip.heap.free_all(app),
        3 => chip.router.take(app, second),
        4 => {
            chip.router.free(second, third != 0);
            return DONE;
        }
        5 => chip.router.free_all(app, second != 0),
        6 => {
            let (free, largest) = chip.heap.space();
            return Outcome::Done([free.to_le_bytes(), largest.to_le_bytes()].concat());
        }
        7 => chip.heap.find(app, second),
        _ => return refused(ResultCode::ARG),
    })
}

fn tags(chip: &mut Chip, now: At, asked: &Asked<'_>) -> Outcome {
    let words = asked.words();
    let (tag, operation) = (words[0] as u8, words[0] >> 16 & 0xFF);
    if operation > 4 || usize::from(tag) >= TAGS {
        return refused(ResultCode::ARG);
    }
    let mut body = Vec::new();
    match operation {
        0 | 1 => return word(chip.tags.set(now, words, asked.tag, asked.sender)),
        2 if words[1].saturating_mul(32) as usize > DATA_BYTES_MAX => return refused(ResultCode::ARG),
        2 => chip.tags.entries(now, tag, words[1], &mut body),
        3 => chip.tags.clear(tag),
        _ => chip.tags.sizes(words[1]).encode(&mut body),
    }
    Outcome::Done(body)
}

/// A serial ROM is at every plug. It is blank: all bits of its cells are one, and none of its status.
fn serial_rom(here: Place, first: u32, command: u32, asked: &Asked<'_>) -> Outcome {
    const READ: u32 = 3;
    const WRITE: u32 = 0x100;
    let bytes = (first >> 16) as usize;
    let filler = if here.has_plug() && command >> 24 == READ { 0xFF } else { 0 };
    match first & WRITE {
        0 if bytes <= DATA_BYTES_MAX => Outcome::Done(vec![filler; bytes]),
        0 => refused(ResultCode::ARG),
        _ => asked.over(&[], bytes.min(DATA_BYTES_MAX)),
    }
}
