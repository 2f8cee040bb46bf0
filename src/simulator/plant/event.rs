//! What simulated hardware did, for whoever wants to look behind its replies.

use crate::allocator::Triad;
use crate::spinnaker::bmp::fpga::Fpga;
use crate::spinnaker::bmp::{Board, Boards, Reset};
use crate::spinnaker::exchange::At;
use crate::spinnaker::scp::CommandCode;
use std::net::Ipv4Addr;
use std::sync::Arc;

/// As many events wait for `poll_event` at most; of more the last.
pub const EVENTS_MAX: usize = 65_536;

/// Something that hardware did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// When.
    pub at: At,
    /// Its machine.
    pub machine: Arc<str>,
    /// Its address.
    pub address: Ipv4Addr,
    /// What.
    pub deed: Deed,
}

/// What hardware does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deed {
    /// A board of a frame began with a command to its BMP; `CommandCode::VER` is the question for the version.
    BmpAsked {
        /// Which board.
        board: Board,
        /// The command.
        command: CommandCode,
    },
    /// Boards of a frame came on or went off.
    Power {
        /// On, or off.
        on: bool,
        /// Which boards.
        boards: Boards,
    },
    /// The chips of boards of a frame were reset.
    Reset {
        /// How.
        how: Reset,
        /// Whether the FPGAs were, too.
        fpgas: bool,
        /// Which boards.
        boards: Boards,
    },
    /// Registers of an FPGA were written.
    FpgaWrite {
        /// Of which board.
        board: Board,
        /// Which FPGA.
        fpga: Fpga,
        /// The first register.
        register: u32,
        /// What was written.
        words: Vec<u32>,
    },
    /// LEDs of a board were switched.
    Led {
        /// Which board.
        board: Board,
        /// How they are now, bit n for LED n.
        leds: u8,
    },
    /// A board that has power was sent a command.
    BoardAsked {
        /// Which board.
        board: Triad,
        /// The command.
        command: CommandCode,
    },
    /// A board was sent a message of the boot protocol.
    BootMessage {
        /// Which board.
        board: Triad,
        /// Its opcode.
        opcode: u32,
    },
    /// SC&MP of a board is up and knows its place.
    Booted {
        /// Which board.
        board: Triad,
    },
}
