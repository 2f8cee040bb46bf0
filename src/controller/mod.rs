//! Making boards obey. The contract, then one file per kind of controller.
//!
//! A controller takes tasks and answers each board of an order once, in as many outcomes as it likes. It never
//! keeps its caller waiting; orders may be given twice (after a restart they are), so they are idempotent; and
//! a board that has seen an order of a newer grant, or a later one of the same grant, refuses older ones
//! (`Fence`). A board that is slow, or a controller that is stuck, delays nobody but its own.
//!
//! Read in the order of the `mod` lines: what may be set, which orders are refused, the boards that are only
//! simulated, and `driver`, which gives a controller its own task.
//!
//! What is deliberately not here: which boards to lend, and what a failure means for a job.

pub mod agent;
pub mod bmp;
pub mod command;
pub mod driver;
pub mod fence;
pub mod settings;
pub mod simulated;

#[cfg(test)]
mod tests;

pub use driver::{Handle, start};
pub use settings::{BmpSettings, Boards, BootImage, CommandSettings, ControllerSettings, SimulatedSettings};

use crate::allocator::BoardIndex;
use crate::error::{Code, Fault};
use crate::lab::command::{Consult, Consultation};
use crate::lab::effect::Order;
use crate::lab::fact::OrderId;
use std::collections::BTreeMap;
use std::sync::Arc;

/// How many orders and consultations may wait for one board.
pub const ORDERS_PER_BOARD_MAX: usize = 16;

/// What a controller is given to do.
#[derive(Debug)]
pub enum Task {
    /// Make boards obey; what came of it goes to the lab.
    Order(Order),
    /// Ask a board something; what it says goes to who asked.
    Consult {
        /// Which board, under which number.
        at: Consultation,
        /// What is asked.
        what: Consult,
        /// Where the answer goes; dropped unanswered when the controller ends.
        answer: futures_channel::oneshot::Sender<Result<Reading, ControllerError>>,
    },
}

/// What came of an order, for some or all of its boards.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// The order.
    pub order: OrderId,
    /// Boards that did it.
    pub obeyed: Vec<BoardIndex>,
    /// Boards that did not, and why.
    pub failed: Vec<(BoardIndex, Arc<str>)>,
}

/// What a board said when it was asked.
#[derive(Clone, Debug, PartialEq)]
pub enum Reading {
    /// It did as it was told.
    Done,
    /// Its sensors, by name: the value, and its unit.
    Sensors(BTreeMap<Arc<str>, (f64, Arc<str>)>),
    /// Its agent's own words, as JSON text.
    Said(Arc<str>),
}

/// Why a consultation came to nothing.
#[derive(Clone, Debug, PartialEq)]
pub enum ControllerError {
    /// The board has seen a newer grant.
    Stale,
    /// The board did not do it.
    Failed(Arc<str>),
    /// This kind of controller cannot do that.
    Unable(Arc<str>),
    /// Too many orders wait for the board.
    Busy,
    /// It did not answer in time.
    Silent,
}

impl ControllerError {
    /// The code and the sentence a caller reads.
    pub fn fault(&self) -> Fault {
        match self {
            ControllerError::Stale => {
                Fault::new(Code::BOARD_STALE, "the board has been given to somebody else since")
            }
            ControllerError::Failed(why) => {
                Fault::new(Code::BOARD_FAILED, format!("the board failed: {why}"))
            }
            ControllerError::Unable(why) => Fault::new(Code::BOARD_FAILED, why.to_string()),
            ControllerError::Busy => {
                Fault::new(Code::BOARD_BUSY, "too many orders wait for this board; try again")
            }
            ControllerError::Silent => {
                Fault::new(Code::TIME_OUT, "the board's controller did not answer in time")
            }
        }
    }
}
