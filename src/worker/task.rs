//! What a server tells a worker, out of JSON: orders, questions, and the end of a stay (`protocol-spec/agents.md`).

use serde::Deserialize;
use serde_json::Value;

/// Something a worker is told.
#[derive(Clone, Debug, PartialEq)]
pub enum Task {
    /// Make boards obey.
    Order(Order),
    /// Answer for a board.
    Question(Question),
    /// The stay is over, and why.
    Over(String),
}

/// Make boards obey.
#[derive(Clone, Debug, PartialEq)]
pub struct Order {
    /// Its number, as it is answered.
    pub id: String,
    /// What to do.
    pub action: Action,
    /// Which boards.
    pub boards: Vec<String>,
    /// Whose job it is, and who asked: they may speak to the boards.
    pub holders: Vec<String>,
}

/// What boards are to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Be ready as a kind.
    Prepare {
        /// Its name.
        kind: String,
        /// Its arguments.
        args: Value,
    },
    /// Be off; the job keeps the board.
    PowerOff,
    /// Keep nothing of the job.
    Clean,
    /// Show that they work.
    Test,
}

/// Answer for a board.
#[derive(Clone, Debug, PartialEq)]
pub struct Question {
    /// Its number, as it is answered.
    pub ticket: u64,
    /// The board.
    pub board: String,
    /// What is asked.
    pub what: Ask,
}

/// What is asked of a board.
#[derive(Clone, Debug, PartialEq)]
pub enum Ask {
    /// A command of its kind.
    Send {
        /// Its name.
        command: String,
        /// Its arguments.
        args: Value,
    },
    /// Off and on again.
    PowerCycle,
    /// Something these boards cannot do, by its name.
    Other(String),
}

/// A task as it is written.
#[derive(Deserialize)]
struct Written {
    order: Option<String>,
    action: Option<String>,
    kind: Option<String>,
    #[serde(default)]
    args: Value,
    #[serde(default)]
    boards: Vec<String>,
    owner: Option<String>,
    by: Option<String>,
    question: Option<u64>,
    board: Option<String>,
    what: Option<String>,
    command: Option<String>,
    over: Option<String>,
}

/// The tasks of an event, each of its stay; what cannot be understood is left out, for a newer server may know more.
pub fn decode(stay: u64, data: &Value) -> Vec<Task> {
    let tasks = data["worker_tasks"].as_array().map(Vec::as_slice).unwrap_or_default();
    let own = tasks.iter().filter(|task| task["stay"].as_u64() == Some(stay));
    own.filter_map(|task| read(Written::deserialize(task).ok()?)).collect()
}

fn read(task: Written) -> Option<Task> {
    if let Some(why) = task.over {
        return Some(Task::Over(why));
    }
    if let Some(ticket) = task.question {
        let what = match task.what?.as_str() {
            "send" => Ask::Send { command: task.command?, args: task.args },
            "power_cycle" => Ask::PowerCycle,
            other => Ask::Other(other.to_owned()),
        };
        return Some(Task::Question(Question { ticket, board: task.board?, what }));
    }
    let action = match task.action?.as_str() {
        "prepare" => Action::Prepare { kind: task.kind?, args: task.args },
        "power_off" => Action::PowerOff,
        "clean" => Action::Clean,
        "test" => Action::Test,
        _ => return None,
    };
    let mut holders: Vec<String> = task.owner.into_iter().chain(task.by).collect();
    holders.dedup();
    Some(Task::Order(Order { id: task.order?, action, boards: task.boards, holders }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn tasks_of_the_own_stay_are_read_and_others_left() {
        let data = json!({"worker_tasks": [
            {"stay": 1, "order": "12.0", "action": "prepare", "kind": "pulsecount", "args": {"n": 1},
             "boards": ["A"], "job_id": 7, "owner": "ada", "by": "bob"},
            {"stay": 2, "order": "12.1", "action": "clean", "boards": ["A"], "owner": "ada", "by": "ada"},
            {"stay": 1, "order": "13.0", "action": "test", "boards": ["B"], "owner": null, "by": null},
            {"stay": 1, "order": "13.1", "action": "sing", "boards": ["B"]},
            {"stay": 1, "question": 3, "board": "A", "what": "send", "command": "status", "args": null},
            {"stay": 1, "question": 4, "board": "A", "what": "identify", "on": true},
            {"stay": 1, "question": 5, "board": "A", "what": "power_cycle"},
            {"stay": 1, "over": "enough"},
            {"stay": 1, "order": 5, "action": "test"},
        ]});
        let order = |id: &str, action, board: &str, holders: &[&str]| {
            let holders = holders.iter().map(|name| (*name).to_owned()).collect();
            Task::Order(Order { id: id.to_owned(), action, boards: vec![board.to_owned()], holders })
        };
        let question = |ticket, what| Task::Question(Question { ticket, board: "A".to_owned(), what });
        let prepare = Action::Prepare { kind: "pulsecount".to_owned(), args: json!({"n": 1}) };
        let expected = [
            order("12.0", prepare, "A", &["ada", "bob"]),
            order("13.0", Action::Test, "B", &[]),
            question(3, Ask::Send { command: "status".to_owned(), args: Value::Null }),
            question(4, Ask::Other("identify".to_owned())),
            question(5, Ask::PowerCycle),
            Task::Over("enough".to_owned()),
        ];
        assert_eq!(decode(1, &data), expected);
        assert_eq!(decode(1, &json!("what?")), []);
        assert_eq!(decode(2, &data), [order("12.1", Action::Clean, "A", &["ada"])]);
    }
}
