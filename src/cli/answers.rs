//! The answers of functions, as far as people get to see them. A key a server does not have is empty here.

use serde::Deserialize;
use serde_json::Value;
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
#[allow(missing_docs)]
pub struct Job {
    pub job_id: u64,
    pub owner: String,
    pub state: u8,
    pub state_name: String,
    pub power: Option<bool>,
    pub start_time: f64,
    pub keepalive: Option<f64>,
    pub lapses_at: Option<f64>,
    pub lease: Option<f64>,
    pub lease_ends_at: Option<f64>,
    pub priority: i64,
    pub kind: Option<String>,
    pub kind_args: Value,
    pub note: String,
    pub want: String,
    pub tags: Vec<String>,
    pub machine: Option<String>,
    pub allocated_machine_name: Option<String>,
    pub boards: Option<Vec<BoardName>>,
    pub grant: Option<u64>,
    pub granted_at: Option<f64>,
    pub ahead: Option<u64>,
    pub attempts: u64,
    pub reason: Option<String>,
    pub ended_at: Option<f64>,
}

/// The number of a destroyed job's state.
pub const DESTROYED: u8 = 4;
/// The number of a ready job's state.
pub const READY: u8 = 3;

/// `get_job_machine_info`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
#[allow(missing_docs)]
pub struct JobMachine {
    pub width: Option<u32>,
    pub height: Option<u32>,
    pub connections: Option<Vec<([u32; 2], String)>>,
    pub machine_name: Option<String>,
    pub boards: Option<Vec<BoardName>>,
}

/// One entry of `job_history`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
#[allow(missing_docs)]
pub struct Past {
    pub at: f64,
    pub event: String,
    pub detail: String,
}

/// `explain_job`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
#[allow(missing_docs)]
pub struct Explanation {
    pub sentence: String,
    pub starts_by: Option<f64>,
    pub machines: Vec<Wait>,
}

/// What a job waits for on one machine.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
#[allow(missing_docs)]
pub struct Wait {
    pub machine: String,
    pub free_by: Option<f64>,
    pub waits_for: Vec<Blocker>,
    pub out_of_use: BTreeMap<String, u64>,
    pub obstacle: Option<String>,
}

/// A board that a job waits for.
#[derive(Clone, Debug, Deserialize)]
#[allow(missing_docs)]
pub struct Blocker {
    pub board: BoardName,
    pub state: String,
    pub job_id: Option<u64>,
    pub owner: Option<String>,
    pub until: Option<f64>,
}

/// `list_boards` and `get_board`.
#[derive(Clone, Debug, Deserialize)]
#[allow(missing_docs)]
pub struct Board {
    pub machine: String,
    pub board: BoardName,
    pub state: String,
    #[serde(default)]
    pub since: Option<f64>,
    #[serde(default)]
    pub reason: Option<String>,
    #[serde(default)]
    pub job_id: Option<u64>,
    #[serde(default)]
    pub owner: Option<String>,
    #[serde(default)]
    pub host: Option<String>,
}

/// `list_machines` and `get_machine`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
#[allow(missing_docs)]
pub struct Machine {
    pub name: String,
    pub shape: String,
    pub tags: Vec<String>,
    pub kinds: Vec<String>,
    pub width: Option<u32>,
    pub height: Option<u32>,
    pub dead_boards: Vec<[u32; 3]>,
    pub dead_links: Vec<[u32; 4]>,
    pub boards: BTreeMap<String, u64>,
    pub board_list: Vec<Board>,
}

/// `where_is`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
#[allow(missing_docs)]
pub struct Place {
    pub machine: String,
    pub logical: Vec<u32>,
    pub physical: Vec<u32>,
    pub chip: Vec<u32>,
    pub board_chip: Vec<u32>,
    pub job_id: Option<u64>,
    pub job_chip: Option<Vec<u32>>,
}

/// One entry of `list_users`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
#[allow(missing_docs)]
pub struct UserRow {
    pub user: String,
    pub role: String,
    pub created_at: Option<f64>,
    pub sessions: u64,
}

/// One entry of `list_functions`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
#[allow(missing_docs)]
pub struct FunctionRow {
    pub name: String,
    pub service: String,
    pub doc: String,
    pub role: String,
    pub args: Vec<ArgRow>,
    pub result: Value,
    pub errors: Vec<Value>,
}

/// One argument of a function.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
#[allow(missing_docs)]
pub struct ArgRow {
    pub name: String,
    #[serde(rename = "type")]
    pub kind: String,
    pub default: Value,
    pub required: bool,
    pub doc: String,
}
