//! What the hardware did, for whoever wants to look behind the replies.

use crate::spinnaker::bmp::fpga::Fpga;
use crate::spinnaker::bmp::{Board, Boards, Reset};
use crate::spinnaker::exchange::At;
use crate::spinnaker::scp::CommandCode;
use std::collections::VecDeque;

/// Something the hardware did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FrameEvent {
    /// A board began with a command.
    Asked {
        /// Which board.
        board: Board,
        /// The command.
        command: CommandCode,
        /// When.
        at: At,
    },
    /// Boards came on, also such as were on before: their chips start anew. Or they went off.
    Power {
        /// On, or off.
        on: bool,
        /// Which boards.
        boards: Boards,
        /// When, which for boards that came on is when their FPGAs were loaded and their chips let go.
        at: At,
    },
    /// The chips of boards were reset.
    Reset {
        /// How.
        how: Reset,
        /// Whether the FPGAs were, too.
        fpgas: bool,
        /// Which boards.
        boards: Boards,
        /// When.
        at: At,
    },
    /// Registers of an FPGA were written.
    FpgaWrite {
        /// Of which board.
        board: Board,
        /// Which FPGA.
        fpga: Fpga,
        /// The first of them.
        register: u32,
        /// What was sent; registers keep what they can.
        words: Vec<u32>,
        /// When.
        at: At,
    },
    /// LEDs were switched.
    Led {
        /// Of which board.
        board: Board,
        /// How they are now, bit n for LED n.
        leds: u8,
        /// When.
        at: At,
    },
}

/// As many events wait at most; older ones are forgotten.
pub const EVENTS_MAX: usize = 4_096;

/// Events that nobody has asked for yet.
#[derive(Debug, Default)]
pub(super) struct Events(VecDeque<FrameEvent>);

impl Events {
    /// One more. Boards that do the same at the same time are one event.
    pub fn push(&mut self, event: FrameEvent) {
        if self.0.back_mut().is_some_and(|last| last.absorb(&event)) {
            return;
        }
        if self.0.len() >= EVENTS_MAX {
            self.0.pop_front();
        }
        self.0.push_back(event);
    }

    /// The oldest.
    pub fn pop(&mut self) -> Option<FrameEvent> {
        self.0.pop_front()
    }
}

impl FrameEvent {
    /// Takes another event into this one, if they differ in their boards only.
    fn absorb(&mut self, next: &FrameEvent) -> bool {
        match (self, next) {
            (
                FrameEvent::Power { on, boards, at },
                FrameEvent::Power { on: next_on, boards: more, at: next_at },
            ) if on == next_on && at == next_at => *boards = Boards(boards.0 | more.0),
            (
                FrameEvent::Reset { how, fpgas, boards, at },
                FrameEvent::Reset { how: next_how, fpgas: next_fpgas, boards: more, at: next_at },
            ) if (*how, *fpgas, *at) == (*next_how, *next_fpgas, *next_at) => {
                *boards = Boards(boards.0 | more.0);
            }
            _ => return false,
        }
        true
    }
}
