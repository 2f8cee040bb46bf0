//! What is said to several boards at once, and takes time: power and reset.
//!
//! The board that is asked tells the others without waiting for them, does its own part, and answers then. Each board
//! waits its number times the delay first, and does one thing after the other.

use super::Frame;
use super::board::{Asked, BoardState};
use super::event::FrameEvent;
use super::fpga::Registers;
use super::message::Done;
use crate::spinnaker::bmp::fpga::Fpga;
use crate::spinnaker::bmp::{Board, Boards, Reset};
use crate::spinnaker::exchange::At;
use crate::spinnaker::scp::ResultCode;
use std::collections::VecDeque;

/// From power on to the loading of FPGAs.
const POWER_ON_MS: u64 = 25;

/// What a board is told to do later, at most; what it is told beyond that is lost.
const SWITCHES_MAX: usize = 8;

/// What is done to a board's chips.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// Power on, FPGAs loaded, reset released.
    On,
    /// Power off.
    Off,
    /// Reset.
    Reset {
        /// How.
        how: Reset,
        /// Whether the FPGAs are reset, too.
        fpgas: bool,
    },
}

/// One thing that a board will do.
#[derive(Clone, Copy, Debug)]
struct Switch {
    what: What,
    begins: At,
    ends: At,
}

/// All that a board will do, in order.
#[derive(Debug, Default)]
pub(super) struct Switches {
    waiting: VecDeque<Switch>,
}

impl Switches {
    /// One more thing to do, from then on and for so long; when it is done. `None` if it was lost.
    fn push(&mut self, what: What, from: At, ms: u64) -> Option<At> {
        let begins = self.waiting.back().map_or(from, |last| last.ends.max(from));
        let ends = begins.plus_ms(ms);
        let room = self.waiting.len() < SWITCHES_MAX;
        room.then(|| self.waiting.push_back(Switch { what, begins, ends }))?;
        Some(ends)
    }

    /// When the next is done.
    pub fn wake_at(&self) -> Option<At> {
        self.waiting.front().map(|switch| switch.ends)
    }

    /// The next that is done by then.
    fn pop(&mut self, now: At) -> Option<(What, At)> {
        self.wake_at().filter(|ends| *ends <= now)?;
        self.waiting.pop_front().map(|switch| (switch.what, switch.ends))
    }

    /// Whether one is being done, which leaves no time for requests.
    pub fn is_busy(&self, now: At) -> bool {
        self.waiting.front().is_some_and(|switch| switch.begins <= now && now < switch.ends)
    }
}

/// How boards are reset, and whether their FPGAs are, too.
fn reset_of(first: u32) -> Option<What> {
    let ways = [Reset::Release, Reset::Hold, Reset::Pulse];
    let (low, fpgas) = (first & 0xFF, first & 4 != 0);
    let how = ways.get((low & !4) as usize).copied()?;
    Some(What::Reset { how, fpgas })
}

impl Frame {
    /// Power of boards. The first argument's low byte says on or off.
    pub(super) fn power(&mut self, board: Board, asked: &Asked<'_>) -> Done {
        let what = match asked.arguments[0] & 0xFF {
            0 => Some(What::Off),
            1 => Some(What::On),
            _ => None,
        };
        self.tell(board, asked, what)
    }

    /// Reset of boards.
    pub(super) fn reset(&mut self, board: Board, asked: &Asked<'_>) -> Done {
        self.tell(board, asked, reset_of(asked.arguments[0]))
    }

    /// Tells all boards; it is done when the board asked and the one with the plug are done with their own parts.
    fn tell(&mut self, asked_board: Board, asked: &Asked<'_>, what: Option<What>) -> Done {
        let [first, mask, _] = asked.arguments;
        let Some(what) = what else { return Done::at_once(asked.at, Err(ResultCode::ARG.into())) };
        let mut until = asked.at;
        for board in Boards(mask).iter().filter(|board| !self.faults.dead.contains_key(board)) {
            let Some(state) = self.boards.get_mut(&board) else { continue };
            let begins = asked.at.plus_ms(u64::from(first >> 16) * u64::from(board.number()));
            let ms = if what == What::On { POWER_ON_MS.saturating_add(self.spec.fpga_load_ms) } else { 0 };
            let ends = state.switches.push(what, begins, ms);
            if state.plug || board == asked_board {
                until = until.max(ends.unwrap_or(until));
            }
        }
        self.switch(asked.at);
        Done { answer: Ok(Vec::new()), until }
    }

    /// Does what boards are done with by now.
    pub(super) fn switch(&mut self, now: At) {
        let boards: Vec<Board> = self.boards.keys().copied().collect();
        for board in boards {
            while let Some((what, at)) = self.boards.get_mut(&board).and_then(|state| state.switches.pop(now))
            {
                self.switch_board(board, what, at);
            }
        }
    }

    fn switch_board(&mut self, board: Board, what: What, at: At) {
        let Some(state) = self.boards.get_mut(&board) else { return };
        let boards = Boards::default().and(board);
        let event = match what {
            What::On if self.faults.dark.has(board) => None,
            What::On => {
                state.on_with(|fpga| !self.faults.spoils(board, fpga));
                Some(FrameEvent::Power { on: true, boards, at })
            }
            What::Off => {
                state.on = false;
                if !self.spec.fpgas_outlive_power {
                    state.fpgas.iter_mut().for_each(|fpga| fpga.load(false));
                }
                Some(FrameEvent::Power { on: false, boards, at })
            }
            What::Reset { how, fpgas } => {
                state.reset(how, fpgas);
                Some(FrameEvent::Reset { how, fpgas, boards, at })
            }
        };
        if self.faults.dark.has(board) {
            state.on = false;
        }
        state.note_status(&self.spec);
        event.into_iter().for_each(|event| self.events.push(event));
    }
}

impl BoardState {
    /// Power on; each FPGA loads well or not.
    fn on_with(&mut self, mut loads_well: impl FnMut(Fpga) -> bool) {
        (self.on, self.held, self.design_sent) = (true, false, false);
        for fpga in &mut self.fpgas {
            fpga.load(loads_well(fpga.fpga()));
        }
    }

    fn reset(&mut self, how: Reset, fpgas: bool) {
        self.held = how == Reset::Hold;
        if fpgas && how != Reset::Release {
            self.fpgas.iter_mut().for_each(Registers::reset);
        }
    }
}
