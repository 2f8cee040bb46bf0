//! What is wrong with a frame, on demand.

use crate::spinnaker::bmp::fpga::Fpga;
use crate::spinnaker::bmp::{Board, Boards};
use crate::spinnaker::scp::ResultCode;
use std::collections::BTreeMap;

/// What is wrong with a frame. Nothing, at first; each can be changed at any time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FrameFaults {
    /// FPGAs that do not load when their board is switched on, which then shows in every register they are asked for; and for how
    /// many times more (`None`: for ever).
    pub bad_fpgas: BTreeMap<(Board, Fpga), Option<u32>>,
    /// Boards that answer every request with this code, and that no broadcast reaches: `ROUTE` for those that are gone from the bus,
    /// one of the four `P2P_` codes for those that are on it but do not take messages.
    pub dead: BTreeMap<Board, ResultCode>,
    /// Boards that say they are switched on, but stay dark.
    pub dark: Boards,
    /// How many more requests are answered with `P2P_BUSY`, whatever they are.
    pub busy: u32,
    /// Whether nothing is heard and nothing said at all. What goes on inside goes on.
    pub offline: bool,
}

impl FrameFaults {
    /// Whether an FPGA fails to load this time, which counts.
    pub(super) fn spoils(&mut self, board: Board, fpga: Fpga) -> bool {
        match self.bad_fpgas.get_mut(&(board, fpga)) {
            None => false,
            Some(None) => true,
            Some(Some(0)) => {
                self.bad_fpgas.remove(&(board, fpga));
                false
            }
            Some(Some(times)) => {
                *times -= 1;
                true
            }
        }
    }
}
