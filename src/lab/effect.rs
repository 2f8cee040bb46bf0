//! What must be done outside once facts are kept: orders to hardware and notices to watchers.

use super::fact::{JobId, MachineName, OrderId};
use crate::allocator::BoardIndex;
use std::sync::Arc;

/// One thing to do outside.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Make boards obey.
    Order(Order),
    /// A job changed in a way its watchers want to hear of.
    JobChanged(JobId),
    /// The lease of a reservation ends soon: its watchers are told.
    LeaseEnding(JobId),
    /// Boards of a machine were lent or came back, or its shape or health changed.
    MachineChanged(MachineName),
}

/// An order to the controller of a machine. It may be given twice; a board that has seen a newer one refuses.
#[derive(Clone, Debug, PartialEq)]
pub struct Order {
    /// Its number, which fences.
    pub id: OrderId,
    /// The machine whose controller carries it out.
    pub machine: MachineName,
    /// What to do.
    pub action: Action,
    /// To which boards.
    pub boards: Arc<[BoardIndex]>,
    /// All boards the order was first given to, also those that have answered since: when it prepares, all boards of the job.
    pub mates: Arc<[BoardIndex]>,
    /// For which job, if for one.
    pub job: Option<JobId>,
}

/// What a board can be told to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Power on (off and on again, when it is on) and make ready as this kind, with arguments as JSON text.
    Prepare { kind: Arc<str>, args: Arc<str> },
    /// Power off, keeping the loan.
    PowerOff,
    /// Power off and wipe: after this the board may be lent to somebody else.
    Clean,
    /// Show that the board works again.
    Test,
}
