//! A frame: up to 24 boards whose BMPs hear each other over a bus, and one of which has the Ethernet plug.
//!
//! In reading order: `spec` is what a frame is made of, `faults` what is wrong with it, `event` what it did. `message` is the way
//! of a datagram from the plug to a board and back; `tag` is the table through which replies leave. `board` is one board and
//! what it does when asked, with its `memory`, its `fpga` registers, its flash and EEPROM (`store`), and what it knows (`info`).
//! `power` is what concerns several boards at once and takes time.
//!
//! ```text
//!   datagram --> buffers (8) --> one at a time --> board --> reply, or nothing
//!                   |                  |             |
//!              a tag each      waits for FPGAs    events
//! ```
//!
//! What the firmware does is taken from conversations with its own code (`tests/vectors/spinnaker/firmware_bmp.json`), of which
//! every one is replayed. Where they say nothing, and nobody wrote it down, this is what is done here:
//!
//! * A board that loads its FPGAs answers `P2P_BUSY`, but for the one that was asked to: that one says nothing until it is done,
//!   and what comes meanwhile waits in the buffers.
//! * The reply to a command that outlives the timeout of its tag leaves all the same.
//! * What a request should hold but does not reads as zeros.
//! * Memory that a BMP has not reads as zeros and forgets what is written to it. Its flash can be changed by flash commands only.
//! * The registers that count what happens on links stay zero: links are not simulated.
//! * I2C and PWM are refused with `ARG`, as no device and no fan listens.
//!
//! Deliberately not here: chips. Whoever simulates them asks `is_on` and `stops`, and hears of power and reset by `poll_event`.

mod event;
mod faults;
mod spec;

mod message;
mod tag;

mod board;
mod fpga;
mod info;
mod memory;
mod power;
mod store;

pub use event::{EVENTS_MAX, FrameEvent};
pub use faults::FrameFaults;
pub use message::BUFFERS;
pub use spec::{BmpVersion, FrameSpec, HARDWARE};

use super::{Arrived, Leaving};
use crate::spinnaker::bmp::Board;
use crate::spinnaker::bmp::fpga::Link;
use crate::spinnaker::exchange::At;
use board::BoardState;
use event::Events;
use message::{Done, Held, Rubbish};
use std::collections::{BTreeMap, VecDeque};

/// The boards of one frame and their BMPs.
#[derive(Debug)]
pub struct Frame {
    spec: FrameSpec,
    faults: FrameFaults,
    boards: BTreeMap<Board, BoardState>,
    /// Messages that wait until the one before them is answered.
    waiting: VecDeque<Held>,
    /// The message that is being answered, and what will be the reply.
    running: Option<(Held, Done)>,
    events: Events,
    rubbish: Rubbish,
}

impl Frame {
    /// A frame with all boards off.
    pub fn new(spec: FrameSpec) -> Frame {
        let present = spec.boards.and(spec.ethernet_board);
        let boards = present.iter().map(|board| (board, BoardState::new(board, &spec))).collect();
        let rubbish = Rubbish::new(spec.seed);
        Frame {
            spec,
            faults: FrameFaults::default(),
            boards,
            waiting: VecDeque::new(),
            running: None,
            events: Events::default(),
            rubbish,
        }
    }

    /// Takes a datagram that came to the plug; what leaves because of it now is appended, after what was due before.
    pub fn handle(&mut self, now: At, arrived: &Arrived<'_>, out: &mut Vec<Leaving>) {
        self.wake(now, out);
        if self.faults.offline {
            return;
        }
        let admitted = self.admit(now, arrived);
        self.waiting.extend(admitted);
        self.work(now, out);
    }

    /// When something happens next by itself.
    pub fn wake_at(&self) -> Option<At> {
        let running = self.running.as_ref().map(|(_, done)| done.until);
        let boards = self.boards.values();
        let of_boards = boards.flat_map(|state| [state.switches.wake_at(), state.tags.wake_at()]);
        of_boards.chain([running]).flatten().min()
    }

    /// Does all that happens by itself until now, in order; what leaves because of it is appended.
    pub fn wake(&mut self, now: At, out: &mut Vec<Leaving>) {
        while let Some(at) = self.wake_at().filter(|at| *at <= now) {
            self.pass(at, out);
        }
    }

    /// Does what happens at one time: boards first, so that nobody hears of it before it is so.
    fn pass(&mut self, at: At, out: &mut Vec<Leaving>) {
        self.switch(at);
        if let Some((held, done)) = self.running.take_if(|(_, done)| done.until <= at) {
            self.reply(at, &held, &done.answer, out);
            self.work(at, out);
        }
        self.boards.values_mut().for_each(|state| state.tags.wake(at));
    }

    /// Whether the chips of a board have power, as of the last `handle` or `wake`.
    pub fn is_on(&self, board: Board) -> bool {
        self.boards.get(&board).is_some_and(|state| state.on)
    }

    /// Whether the chips of a board are held in reset.
    pub fn is_held(&self, board: Board) -> bool {
        self.boards.get(&board).is_some_and(|state| state.held)
    }

    /// The LEDs of a board, bit n for LED n.
    pub fn leds(&self, board: Board) -> u8 {
        self.boards.get(&board).map_or(0, |state| state.leds)
    }

    /// Whether a board was told to send no data over a link.
    pub fn stops(&self, board: Board, link: Link) -> bool {
        self.boards.get(&board).is_some_and(|state| state.fpgas.iter().any(|fpga| fpga.stops(link)))
    }

    /// What is wrong with it, to be changed.
    pub fn faults_mut(&mut self) -> &mut FrameFaults {
        &mut self.faults
    }

    /// What the hardware did, the oldest first; of more than `EVENTS_MAX` that nobody asked for, the last.
    pub fn poll_event(&mut self) -> Option<FrameEvent> {
        self.events.pop()
    }
}

#[cfg(test)]
mod tests;
