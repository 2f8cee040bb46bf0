//! A board and its life.
//!
//! ```text
//!           granted          ended            off and clean, cooled down
//!   free -----------> lent --------> cleaning ---------------------------> free
//!    |                 |                |
//!    |                 | did not        | did not come
//!    |                 v prepare        v clean
//!    |<------------ quarantined <-------+      (a retest or an operator brings it back)
//!    |
//!    +--> maintenance, dead       (an operator, or the configuration; brought back by an operator)
//!    +--> offline                 (its agent fell silent; comes back with it)
//! ```

use super::fact::{Grant, Mark, OrderId};
use crate::clock::Moment;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The state of a board.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum BoardState {
    /// It can be lent.
    Free,
    /// A job has it.
    Lent,
    /// It is being switched off and cleaned, or cools down.
    Cleaning,
    /// It failed, and waits for a retest or an operator.
    Quarantined,
    /// An operator works on it.
    Maintenance,
    /// It does not work, or is not there.
    Dead,
    /// Its agent is silent.
    Offline,
}

impl BoardState {
    /// How many states there are.
    pub const COUNT: usize = 7;

    /// All states, in order.
    pub const ALL: [BoardState; BoardState::COUNT] = [
        BoardState::Free,
        BoardState::Lent,
        BoardState::Cleaning,
        BoardState::Quarantined,
        BoardState::Maintenance,
        BoardState::Dead,
        BoardState::Offline,
    ];

    /// The word for it on every wire.
    pub fn word(self) -> &'static str {
        match self {
            BoardState::Free => "free",
            BoardState::Lent => "lent",
            BoardState::Cleaning => "cleaning",
            BoardState::Quarantined => "quarantined",
            BoardState::Maintenance => "maintenance",
            BoardState::Dead => "dead",
            BoardState::Offline => "offline",
        }
    }

    /// The state that is called so.
    pub fn from_word(word: &str) -> Option<BoardState> {
        BoardState::ALL.into_iter().find(|state| state.word() == word)
    }

    /// Whether a job has it, or it is on its way back from one.
    pub fn is_held(self) -> bool {
        matches!(self, BoardState::Lent | BoardState::Cleaning)
    }

    /// Whether it counts as dead for the time being.
    pub fn is_out_of_service(self) -> bool {
        matches!(self, BoardState::Quarantined | BoardState::Maintenance | BoardState::Offline)
    }
}

/// Why a board is quarantined, and how it comes back.
#[derive(Clone, Debug, PartialEq)]
pub struct Trouble {
    /// What was wrong.
    pub reason: Arc<str>,
    /// When it is tested again by itself; none means an operator must ask.
    pub retest_at: Option<Moment>,
    /// How many times in a row it failed; each doubles the time to the next test.
    pub strikes: u32,
    /// The test that is running.
    pub testing: Option<OrderId>,
}

/// Who decided what the configuration decided; no user's name can be like it.
const CONFIGURATION: &str = "/configuration";

/// What an operator decided on a board, who and why.
#[derive(Clone, Debug, PartialEq)]
pub struct Note {
    /// What the board is to be.
    pub mark: Mark,
    /// Who decided.
    pub by: Arc<str>,
    /// Why.
    pub reason: Arc<str>,
}

impl Note {
    /// What the configuration decided.
    pub fn of_config(mark: Mark, reason: &str) -> Note {
        Note { mark, by: CONFIGURATION.into(), reason: reason.into() }
    }

    /// Whether the configuration decided it.
    pub fn is_of_config(&self) -> bool {
        *self.by == *CONFIGURATION
    }
}

/// The longest name an operator can give a board, in characters.
pub const BOARD_NAME_CHARS_MAX: usize = 64;

/// How many labels a board may offer.
pub const OFFERS_MAX: usize = 4096;

/// What became of the jobs that were to be done on a board.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// So many were done.
    pub done: u64,
    /// So many were put back once their board had obeyed.
    pub failed: u64,
}

/// Everything known of one board.
pub struct Board<'a> {
    /// Its state.
    pub state: BoardState,
    /// The last grant under which it was touched.
    pub grant: Grant,
    /// Since when it is in that state.
    pub since: Moment,
    /// Why it is quarantined.
    pub trouble: Option<&'a Trouble>,
    /// A mark that waits for it to come back.
    pub mark: Option<&'a Note>,
    /// What holders said of it, by who said it.
    pub reports: Option<&'a BTreeMap<Arc<str>, Arc<str>>>,
    /// What it offers, in order.
    pub offers: &'a [Arc<str>],
    /// How people call it; empty when nobody said.
    pub called: &'a str,
    /// What became of the jobs that were to be done on it.
    pub tally: Tally,
}
