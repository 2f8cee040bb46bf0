//! What a configuration may say of a controller, and of the boards it is given.
//!
//! What is deliberately not here: how a file spells it.

use super::agent::AgentSettings;
use crate::allocator::BoardIndex;
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

/// What kind of controller a machine has, and what is set for it.
#[derive(Clone, Debug, PartialEq)]
pub enum ControllerSettings {
    /// Boards that are only simulated.
    Simulated(SimulatedSettings),
    /// Boards that a program of the operator's makes obey.
    Command(CommandSettings),
    /// Boards that agents bring and make obey.
    Agent(AgentSettings),
}

/// How simulated boards behave. By default they obey at once.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SimulatedSettings {
    /// Where chance starts; the same seed and the same tasks bring the same outcomes.
    pub seed: u64,
    /// How long preparing a board takes.
    pub prepare_ms: u64,
    /// How long switching a board off takes, or off and on.
    pub power_ms: u64,
    /// How long cleaning a board takes.
    pub clean_ms: u64,
    /// How long testing a board takes.
    pub test_ms: u64,
    /// Up to this much is added by chance to each of them, for each board.
    pub jitter_ms: u64,
    /// The share of tasks in which a board fails, from 0 to 1.
    pub fail_share: f64,
    /// The share of tasks to which a board never answers, from 0 to 1.
    pub silent_share: f64,
    /// Boards that always fail to prepare, and therefore every test.
    pub broken_boards: Vec<BoardIndex>,
    /// Boards that never answer anything.
    pub stuck_boards: Vec<BoardIndex>,
}

/// Which program makes boards obey, and how much it may take. `command` says how it is called.
#[derive(Clone, Debug, PartialEq)]
pub struct CommandSettings {
    /// The program and its arguments; in each of them, words in braces stand for what is asked (`{board}`).
    pub program: Vec<String>,
    /// Where it runs; where the server runs, if not set.
    pub directory: Option<PathBuf>,
    /// Variables it finds in its environment beside the few it always has.
    pub environment: BTreeMap<String, String>,
    /// After so long it is killed, with all it has started.
    pub time_limit_ms: u64,
    /// So many run at once for the whole machine. When all of them hang, its other boards wait for the time limit.
    pub parallel_max: usize,
}

impl Default for CommandSettings {
    fn default() -> CommandSettings {
        CommandSettings {
            program: Vec::new(),
            directory: None,
            environment: BTreeMap::new(),
            time_limit_ms: 60_000,
            parallel_max: 8,
        }
    }
}

/// The boards of a machine as programs and people name them.
#[derive(Clone)]
pub struct Boards {
    /// How many there are.
    pub count: u32,
    /// What a board is called: a serial, or where it stands.
    text: Arc<dyn Fn(BoardIndex) -> Arc<str> + Send + Sync>,
}

impl Boards {
    /// Boards whose names are made when they are needed, because a machine may have millions.
    pub fn new(count: u32, text: impl Fn(BoardIndex) -> Arc<str> + Send + Sync + 'static) -> Boards {
        Boards { count, text: Arc::new(text) }
    }

    /// Boards with these names.
    pub fn named(names: impl IntoIterator<Item = impl Into<Arc<str>>>) -> Boards {
        let names: Vec<Arc<str>> = names.into_iter().map(Into::into).collect();
        let count = names.len() as u32;
        Boards::new(count, move |board| names.get(board.0 as usize).cloned().unwrap_or_else(|| "".into()))
    }

    /// What a board is called.
    pub fn text(&self, board: BoardIndex) -> Arc<str> {
        (self.text)(board)
    }
}

impl fmt::Debug for Boards {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Boards({})", self.count)
    }
}
