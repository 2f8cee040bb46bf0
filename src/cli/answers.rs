//! The answers of functions, as far as people get to see them. A key a server does not have is empty here.

use serde::Deserialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::fmt;

/// A board's name: its place in a torus, or its serial.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(untagged)]
pub enum BoardName {
    /// Its place.
    Triad([u32; 3]),
    /// Its serial.
    Serial(String),
}

impl fmt::Display for BoardName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BoardName::Triad([x, y, z]) => write!(f, "{x},{y},{z}"),
            BoardName::Serial(serial) => f.write_str(serial),
        }
    }
}

impl BoardName {
    /// The name as the command line takes it.
    pub fn on(&self, machine: &str) -> String {
        match self {
            BoardName::Triad(_) => format!("{machine}:{self}"),
            BoardName::Serial(serial) => serial.clone(),
        }
    }
}

/// Several boards, as a sentence has them.
pub fn names_text(boards: &[BoardName]) -> String {
    boards.iter().map(BoardName::to_string).collect::<Vec<_>>().join(" ")
}

/// `get_job` and `list_jobs`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Job {
    /// The number.
    pub job_id: u64,
    /// For whom.
    pub owner: String,
    /// The number of the state.
    pub state: u8,
    /// The word for the state.
    pub state_name: String,
    /// Whether its boards are on, or on their way there.
    pub power: Option<bool>,
    /// When it was created.
    pub start_time: f64,
    /// How long it lives without a sign of life, in seconds.
    pub keepalive: Option<f64>,
    /// When it ends without another sign of life.
    pub lapses_at: Option<f64>,
    /// How long its boards are lent at most, in seconds.
    pub lease: Option<f64>,
    /// When they are taken back.
    pub lease_ends_at: Option<f64>,
    /// Before whom in the queue.
    pub priority: i64,
    /// What its boards are prepared as.
    pub kind: Option<String>,
    /// A line of text.
    pub note: String,
    /// What was asked for, in words.
    pub want: String,
    /// The tags a machine had to have.
    pub tags: Vec<String>,
    /// The machine that was asked for.
    pub machine: Option<String>,
    /// The machine its boards are of.
    pub allocated_machine_name: Option<String>,
    /// Its boards.
    pub boards: Option<Vec<BoardName>>,
    /// When it had them.
    pub granted_at: Option<f64>,
    /// How many jobs stand before it.
    pub ahead: Option<u64>,
    /// Why it is over.
    pub reason: Option<String>,
    /// When it was over.
    pub ended_at: Option<f64>,
}

/// The number of a destroyed job's state.
pub const DESTROYED: u8 = 4;
/// The number of a ready job's state.
pub const READY: u8 = 3;

/// `get_job_machine_info`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct JobMachine {
    /// Chips along x.
    pub width: Option<u32>,
    /// Chips along y.
    pub height: Option<u32>,
    /// Chip and host of each board.
    pub connections: Option<Vec<([u32; 2], String)>>,
    /// The machine.
    pub machine_name: Option<String>,
    /// The boards.
    pub boards: Option<Vec<BoardName>>,
}

/// One entry of `job_history`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Past {
    /// When.
    pub at: f64,
    /// What happened.
    pub detail: String,
}

/// `explain_job`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Explanation {
    /// Everything in one sentence.
    pub sentence: String,
    /// When it starts at the latest.
    pub starts_by: Option<f64>,
    /// What it waits for, by machine.
    pub machines: Vec<Wait>,
}

/// What a job waits for on one machine.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Wait {
    /// The machine.
    pub machine: String,
    /// The boards that are not free.
    pub waits_for: Vec<Blocker>,
    /// How many boards are out of use, by state.
    pub out_of_use: BTreeMap<String, u64>,
    /// Why nothing can be had there.
    pub obstacle: Option<String>,
}

/// A board that a job waits for.
#[derive(Clone, Debug, Deserialize)]
pub struct Blocker {
    /// The board.
    pub board: BoardName,
    /// Its state.
    pub state: String,
    /// The job that has it.
    pub job_id: Option<u64>,
    /// Whose job that is.
    pub owner: Option<String>,
    /// When it is free at the latest.
    pub until: Option<f64>,
}

/// `list_boards` and `get_board`.
#[derive(Clone, Debug, Deserialize)]
pub struct Board {
    /// The machine.
    pub machine: String,
    /// The board.
    pub board: BoardName,
    /// Its state.
    pub state: String,
    /// Since when.
    #[serde(default)]
    pub since: Option<f64>,
    /// Why it is in this state.
    #[serde(default)]
    pub reason: Option<String>,
    /// The job that has it.
    #[serde(default)]
    pub job_id: Option<u64>,
    /// Whose job that is.
    #[serde(default)]
    pub owner: Option<String>,
    /// Where it answers.
    #[serde(default)]
    pub host: Option<String>,
    /// How people call it.
    #[serde(default)]
    pub name: String,
    /// What it offers.
    #[serde(default)]
    pub offers: Vec<String>,
    /// How many jobs were done on it.
    #[serde(default)]
    pub done: u64,
    /// How many jobs were put back that it had begun.
    #[serde(default)]
    pub failed: u64,
    /// What came of switching it last; `get_board` alone tells.
    #[serde(default)]
    pub power: Option<PowerResult>,
    /// What its sensors said last; `get_board` alone tells.
    #[serde(default)]
    pub sensors: Option<Sensors>,
}

/// What came of switching a board.
#[derive(Clone, Debug, Deserialize)]
pub struct PowerResult {
    /// What was to be done.
    pub action: String,
    /// When it was heard of.
    pub at: f64,
    /// Why it was not done.
    pub reason: Option<String>,
}

/// What the sensors of a board said.
#[derive(Clone, Debug, Deserialize)]
pub struct Sensors {
    /// When.
    pub at: f64,
    /// Each by its name.
    pub values: Map<String, Value>,
}

/// `list_machines` and `get_machine`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Machine {
    /// The name.
    pub name: String,
    /// `triads` or `pool`.
    pub shape: String,
    /// What jobs can ask for it by.
    pub tags: Vec<String>,
    /// What its boards can be prepared as.
    pub kinds: Vec<String>,
    /// Triads along x.
    pub width: Option<u32>,
    /// Triads along y.
    pub height: Option<u32>,
    /// Links that do not work: x, y, z, direction.
    pub dead_links: Vec<[u32; 4]>,
    /// How many boards there are, in all and by state.
    pub boards: BTreeMap<String, u64>,
    /// The boards, of one machine that was asked for.
    pub board_list: Vec<Board>,
}

/// `where_is`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Place {
    /// The machine.
    pub machine: String,
    /// The board: x, y, z.
    pub logical: Vec<u32>,
    /// Where it stands: cabinet, frame, board.
    pub physical: Vec<u32>,
    /// The chip in the machine.
    pub chip: Vec<u32>,
    /// The chip on its board.
    pub board_chip: Vec<u32>,
    /// The job that has the board.
    pub job_id: Option<u64>,
    /// The chip in the job.
    pub job_chip: Option<Vec<u32>>,
}

/// One entry of `list_users`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct UserRow {
    /// The name.
    pub user: String,
    /// What the user may do.
    pub role: String,
    /// Since when.
    pub created_at: Option<f64>,
    /// How many sessions.
    pub sessions: u64,
}

/// One entry of `list_functions`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct FunctionRow {
    /// The name.
    pub name: String,
    /// The service.
    pub service: String,
    /// What it does.
    pub doc: String,
    /// The least role that may call it.
    pub role: String,
}
