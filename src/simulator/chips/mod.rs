//! The SpiNNaker chips of one machine, simulated: they wait for a boot image, boot, and then answer as SC&MP does.

mod spec;

pub use spec::{ChipsSpec, Dialect, Firmware};

use super::{Arrived, Leaving};
use crate::allocator::BoardIndex;
use crate::allocator::link::Link;
use crate::spinnaker::exchange::At;
use crate::spinnaker::sdp::{Chip, Message};

/// All the chips of a machine, and what they wait for.
pub struct Chips {
    spec: ChipsSpec,
}

impl Chips {
    /// A machine with all its boards switched off.
    pub fn new(spec: ChipsSpec) -> Chips {
        Chips { spec }
    }

    /// Switches a board on or off. Off, it forgets everything; on, it waits for an image and says hello after a while.
    pub fn set_power(&mut self, _now: At, _board: BoardIndex, _on: bool) {}

    /// Sets the STOP register of a board's side of a link. A link is open when neither side is stopped, dead or off.
    pub fn set_stop(&mut self, _board: BoardIndex, _link: Link, _stop: bool) {}

    /// A datagram has come to a port of a board. What leaves at once is appended, each with the board it leaves from.
    pub fn handle(
        &mut self,
        _now: At,
        _board: BoardIndex,
        _arrived: &Arrived<'_>,
        _out: &mut Vec<(BoardIndex, Leaving)>,
    ) {
    }

    /// When `wake` has something to do, if ever.
    pub fn wake_at(&self) -> Option<At> {
        None
    }

    /// Does what is due: hellos, the end of a boot, answers that took time.
    pub fn wake(&mut self, _now: At, _out: &mut Vec<(BoardIndex, Leaving)>) {}

    /// The UDP ports of a board: the two fixed ones, whether it is on or not, and those of its reverse tags.
    pub fn ports(&self, _board: BoardIndex) -> Vec<u16> {
        Vec::new()
    }

    /// A board whose ports are not what they were when they were last asked for here; call until there is none.
    pub fn poll_ports_changed(&mut self) -> Option<BoardIndex> {
        None
    }

    /// Whether SC&MP of this board answers with its place by now.
    pub fn is_booted(&self, _board: BoardIndex) -> bool {
        !self.spec.present.is_empty()
    }

    /// A core of the machine that a board is part of sends a message, as a program on it would: to another core, or out through
    /// the tag in its header when the destination is the host's port and core.
    pub fn send_sdp(
        &mut self,
        _now: At,
        _board: BoardIndex,
        _from: Chip,
        _message: &Message<'_>,
        _out: &mut Vec<(BoardIndex, Leaving)>,
    ) {
    }
}
