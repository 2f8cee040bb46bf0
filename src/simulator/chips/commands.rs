//! What SC&MP does with a request that has come to it, and what the other cores do.
//!
//! Where a reply is longer than what a command wrote into it, the bytes of the request are still there: firmware uses the
//! same buffer for both.

use super::booted::{Around, Booted};
use super::chip::Chip;
use super::flood;
use super::layout::{APPLICATION, APPLICATION_BYTES_MAX};
use super::mesh::Place;
use crate::allocator::link::Link;
use crate::spinnaker::scamp::{App, Cores, Start};
use crate::spinnaker::scp::{CommandCode as Code, DATA_BYTES_MAX, ResultCode};
use crate::spinnaker::sdp::Chip as Numbers;
use crate::spinnaker::version::{Release, Version};
use std::net::Ipv4Addr;

/// Bytes of a request from the command on, the least that is understood.
const REQUEST_BYTES_MIN: usize = 16;

/// A request as it lies in its buffer.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// From the command on.
    pub bytes: &'a [u8],
    /// The tag in its header.
    pub tag: u8,
    /// Who sent it to this very chip, if it came from outside.
    pub sender: Option<Ipv4Addr>,
}

/// What becomes of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Done; this is the body of the reply.
    Done(Vec<u8>),
    /// Refused, with what stands in the body all the same.
    Refused(ResultCode, Vec<u8>),
    /// The answer comes later: cores are counted.
    Counting,
}

/// A refusal without a body.
pub fn refused(code: ResultCode) -> Outcome {
    Outcome::Refused(code, Vec::new())
}

/// What a command says when it is content and has nothing to say.
pub const DONE: Outcome = Outcome::Done(Vec::new());

impl Asked<'_> {
    /// The command.
    pub fn code(&self) -> Code {
        Code(u16::from_le_bytes([self.byte(0), self.byte(1)]))
    }

    fn byte(&self, at: usize) -> u8 {
        self.bytes.get(at).copied().unwrap_or(0)
    }

    /// The three arguments.
    pub fn words(&self) -> [u32; 3] {
        [4, 8, 12].map(|at| u32::from_le_bytes(std::array::from_fn(|byte| self.byte(at + byte))))
    }

    /// What follows them.
    fn data(&self) -> &[u8] {
        self.bytes.get(REQUEST_BYTES_MIN..).unwrap_or(&[])
    }

    /// So many bytes of data, zeros where the request ends early.
    pub fn data_bytes(&self, bytes: usize) -> Vec<u8> {
        (0..bytes).map(|at| self.data().get(at).copied().unwrap_or(0)).collect()
    }

    /// A body of this length, with `new` at its start and what was in the buffer behind.
    pub fn over(&self, new: &[u8], bytes: usize) -> Outcome {
        let old = self.bytes.iter().skip(4).copied().chain(std::iter::repeat(0));
        Outcome::Done(new.iter().copied().chain(old.skip(new.len())).take(bytes).collect())
    }

    /// The body of the reply to a count, which is as long as the request.
    pub fn counted(&self, count: u32) -> Vec<u8> {
        let arguments = self.bytes.get(8..).unwrap_or(&[]);
        count.to_le_bytes().into_iter().chain(arguments.iter().copied()).collect()
    }
}

/// The machine in which a request is done, and where in it.
pub struct Act<'a, 'b> {
    /// The machine.
    pub booted: &'a mut Booted,
    /// What is around it.
    pub around: Around<'b>,
    /// The chip that was asked.
    pub here: Place,
    /// Its numbers.
    pub numbers: Numbers,
}

impl Act<'_, '_> {
    /// What a core that is not the monitor does: the little that every program does.
    pub fn ask_core(&mut self, core: u8, asked: &Asked<'_>) -> Outcome {
        if asked.bytes.len() < REQUEST_BYTES_MIN {
            return refused(ResultCode::LEN);
        }
        match asked.code() {
            Code::VER => self.version("SARK", core, self.numbers),
            Code::READ | Code::WRITE | Code::FILL => self.ask_memory(asked),
            _ => refused(ResultCode::CMD),
        }
    }

    /// What the monitor does.
    pub fn ask_monitor(&mut self, asked: &Asked<'_>) -> Outcome {
        if asked.bytes.len() < REQUEST_BYTES_MIN {
            return refused(ResultCode::LEN);
        }
        let [first, second, third] = asked.words();
        match asked.code() {
            Code::VER => {
                let known = self.booted.ready;
                self.version("SC&MP", 0, if known { self.numbers } else { Numbers::NEAREST })
            }
            Code::READ | Code::WRITE | Code::FILL => self.ask_memory(asked),
            Code::LINK_READ => self.link_read(asked),
            Code::LINK_WRITE => self.link_write(asked),
            Code::AR if first & 1 == 1 => refused(ResultCode::ARG),
            Code::AR => self.start(first),
            Code::AS => self.start(second),
            Code::APP_COPY_RUN => self.copy_and_run(first, second, third),
            Code::NNP => self.flood_packet(first, second, third),
            Code::FFD => self.flood_block(asked),
            Code::SIG => self.signal(first, second),
            Code::COUNT => self.begin_count(),
            Code::INFO => self.info(),
            Code::SYNC => DONE,
            _ => self.ask_own(asked),
        }
    }

    fn version(&mut self, name: &str, core: u8, numbers: Numbers) -> Outcome {
        let firmware = self.around.spec.scamp;
        let [major, minor, patch] = firmware.release;
        let physical_core = self.chip_or(0, |chip| chip.physical(core));
        let version = Version {
            core,
            physical_core,
            chip: numbers,
            buffer_bytes: DATA_BYTES_MAX as u16,
            built_s: firmware.built_unix_s,
            name,
            hardware: "SpiNNaker",
            release: Release::Words(&format!("{major}.{minor}.{patch}")),
        };
        let mut body = Vec::new();
        version.encode(&mut body);
        Outcome::Done(body)
    }

    fn chip_or<T>(&mut self, other: T, of: impl FnOnce(&mut Chip) -> T) -> T {
        self.booted.chip(&mut self.around, self.here).map_or(other, of)
    }

    fn ask_memory(&mut self, asked: &Asked<'_>) -> Outcome {
        let [address, length, unit] = asked.words();
        if asked.code() == Code::FILL {
            let (here, word) = (self.here, length);
            if let Some(chip) = self.booted.chip(&mut self.around, here) {
                chip.memory.fill(self.around.budget, address, word, unit);
            }
            return DONE;
        }
        if length as usize > DATA_BYTES_MAX || unit > 2 {
            return refused(ResultCode::ARG);
        }
        let moved = length >> unit << unit;
        if asked.code() == Code::READ {
            let read = self.booted.read(&mut self.around, self.here, address, moved);
            return asked.over(&read, length as usize);
        }
        self.write(self.here, address, &asked.data_bytes(moved as usize));
        DONE
    }

    /// Writes into the memory of a chip.
    pub fn write(&mut self, place: Place, address: u32, bytes: &[u8]) {
        if let Some(chip) = self.booted.chip(&mut self.around, place) {
            chip.memory.write(self.around.budget, address, bytes);
        }
    }

    /// The neighbour over a link, if there is such a link and somebody answers.
    fn neighbour(&self, link: u32) -> Result<Place, ResultCode> {
        let link = Link::from_number(link).ok_or(ResultCode::ARG)?;
        self.booted.across(self.around.mesh, self.here, link).ok_or(ResultCode::TIMEOUT)
    }

    fn link_read(&mut self, asked: &Asked<'_>) -> Outcome {
        let [address, length, link] = asked.words();
        match self.neighbour(link) {
            _ if length as usize > DATA_BYTES_MAX => refused(ResultCode::ARG),
            Ok(place) => {
                let read = self.booted.read(&mut self.around, place, address, length / 4 * 4);
                asked.over(&read, length as usize)
            }
            // Nothing was asked of the neighbour, so nobody missed it.
            Err(ResultCode::TIMEOUT) if length < 4 => asked.over(&[], length as usize),
            Err(code) => refused(code),
        }
    }

    fn link_write(&mut self, asked: &Asked<'_>) -> Outcome {
        let [address, length, link] = asked.words();
        match self.neighbour(link) {
            _ if length as usize > DATA_BYTES_MAX => refused(ResultCode::ARG),
            Ok(place) => {
                self.write(place, address, &asked.data_bytes(length as usize / 4 * 4));
                DONE
            }
            Err(ResultCode::TIMEOUT) if length < 4 => DONE,
            Err(code) => refused(code),
        }
    }

    /// Starts what lies in memory: `app<<24, wait<<18, cores`.
    fn start(&mut self, word: u32) -> Outcome {
        self.start_at(self.here, word);
        DONE
    }

    /// Starts an application on a chip.
    pub fn start_at(&mut self, place: Place, word: u32) {
        let (app, wait) = (App((word >> 24) as u8), word >> 18 & 1 == 1);
        if let Some(chip) = self.booted.chip(&mut self.around, place) {
            chip.start(self.around.budget, Start { app, wait, cores: Cores::of_bits(word) });
        }
    }

    fn copy_and_run(&mut self, how: u32, bytes: u32, start: u32) -> Outcome {
        let neighbour = self.neighbour(how & 7);
        if start & 1 == 1 || how & 7 > 5 || !bytes.is_multiple_of(4) || bytes > APPLICATION_BYTES_MAX {
            return refused(ResultCode::ARG);
        }
        let place = match neighbour {
            Ok(place) => place,
            Err(_) if bytes == 0 => self.here,
            Err(code) => return refused(code),
        };
        let copy = self.booted.read(&mut self.around, place, APPLICATION, bytes);
        self.write(self.here, APPLICATION, &copy);
        let words = copy.as_chunks::<4>().0;
        let sum = words.iter().fold(0u32, |sum, word| sum.wrapping_add(u32::from_le_bytes(*word)));
        match how >> 3 {
            expected if expected != 0 && expected != sum & 0x1FFF_FFFF => {
                Outcome::Refused(ResultCode::SUM, sum.to_le_bytes().to_vec())
            }
            _ => self.start(start),
        }
    }

    /// A packet for all chips of the machine.
    fn flood_packet(&mut self, key: u32, data: u32, how: u32) -> Outcome {
        // Over no link at all it reaches nobody.
        if how >> 8 & 0x3F != 0 {
            flood::packet(self, key, data);
        }
        DONE
    }

    fn flood_block(&mut self, asked: &Asked<'_>) -> Outcome {
        flood::block(self, asked);
        DONE
    }

    fn signal(&mut self, kind: u32, data: u32) -> Outcome {
        match kind {
            0 if self.numbers == self.booted.machine.root => flood::signal(self, data),
            2 => flood::signal(self, data),
            _ => return refused(ResultCode::ARG),
        }
        DONE
    }

    fn begin_count(&mut self) -> Outcome {
        let busy = self.chip_or(true, |chip| std::mem::replace(&mut chip.counting, true));
        if busy { refused(ResultCode::P2P_BUSY) } else { Outcome::Counting }
    }

    fn info(&mut self) -> Outcome {
        let machine = &self.booted.machine;
        let (links, parent) = (machine.links(self.numbers), machine.parent_link(self.numbers));
        let ethernet = machine.chip(Place::ethernet(self.here.board)).unwrap_or(self.numbers);
        let mut body = Vec::new();
        if let Some(chip) = self.booted.chip(&mut self.around, self.here) {
            chip.info(links, parent, ethernet).encode(&mut body);
        }
        Outcome::Done(body)
    }

    /// Counts the cores of this board; and whether all its chips answered.
    pub fn count(&mut self, app: u32, state: u32) -> (u32, bool) {
        let (mut count, mut complete) = (0, true);
        let board = (0..8).flat_map(|x| (0..8).map(move |y| (x, y)));
        for (dx, dy) in board.filter(|(dx, dy)| crate::allocator::torus::board_has_chip(*dx, *dy)) {
            let machine = &self.booted.machine;
            let wrapped = |at: u8, by: u32, size: u32| ((u32::from(at) + by) % size.max(1)) as u8;
            let (x, y) =
                (wrapped(self.numbers.x, dx, machine.width), wrapped(self.numbers.y, dy, machine.height));
            let Some(place) = machine.place(Numbers { x, y }) else { continue };
            let reached = self.booted.reaches(self.around.mesh, self.numbers, Numbers { x, y });
            match self.booted.chip(&mut self.around, place).filter(|_| reached) {
                Some(chip) => count += chip.count(app, state),
                None => complete = false,
            }
        }
        (count, complete)
    }
}
