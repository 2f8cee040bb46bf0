//! What the reference answered to bytes on a fresh connection, and what we answer to the same.

use super::{house, line};
use crate::spalloc_line::call;
use serde_json::{Value, json};

/// Where we differ on purpose, and why.
const DIFFERENT: &[(&str, &str)] = &[
    (
        "create require_torus null single",
        "null is the default everywhere: clients send it for what they leave out",
    ),
    (
        "create min_ratio null multi",
        "null is the default everywhere: clients send it for what they leave out",
    ),
];

/// Texts of exceptions that differ: which call raised is the same, and no client reads more.
const OTHER_TEXT: &[(&str, &str)] = &[(
    "where_is extra null",
    "the reference names the arguments in the order of a set, we in the order of the call",
)];

fn cases() -> Vec<Value> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/spalloc/wire_cases.json");
    let all: Value = serde_json::from_str(&std::fs::read_to_string(path).expect("vectors")).expect("JSON");
    all["cases"].as_array().expect("cases").clone()
}

/// A line without what differs from run to run: the version, times, and numbers of jobs that were just made.
fn masked(line: &str, is_create: bool) -> Value {
    let mut value: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"));
    if value["return"].as_str().is_some_and(|text| text.contains('.')) {
        value["return"] = json!("a version");
    }
    if is_create && value["return"].is_u64() {
        value["return"] = json!("a job");
    }
    let whole = value.clone();
    for job in [&mut value["return"]].into_iter().flat_map(|value| match value {
        Value::Array(jobs) => jobs.iter_mut().collect::<Vec<_>>(),
        other => vec![other],
    }) {
        if job.get("start_time").is_some_and(Value::is_number) {
            job["start_time"] = json!(0.0);
        }
    }
    if whole.get("return").is_none() {
        return whole;
    }
    value
}

#[test]
fn bytes_are_answered_as_the_reference_answers_them() {
    let house = house();
    // Where a board is found is the packer's choice, and the reference chose this one.
    set_all_but_the_first(&house, "maintenance");
    let (mut wrong, mut compared) = (Vec::new(), 0);
    for case in cases() {
        let name = case["case"].as_str().expect("a name");
        let text = case["send_latin1"].as_str().expect("bytes");
        let mut bytes: Vec<u8> = text.chars().map(|c| c as u8).collect();
        if name == "50KB line" {
            // The file has its beginning alone.
            bytes =
                format!(r#"{{"command":"version","args":[],"kwargs":{{}},"pad":"{}"}}"#, "x".repeat(50_000))
                    .into();
            bytes.push(b'\n');
        }
        let expected: Vec<&str> = case["v7.0.0"]
            .as_array()
            .expect("lines")
            .iter()
            .map(|line| line.as_str().expect("a line"))
            .collect();
        let mut line = line(&house);
        let closes = expected.contains(&"<CLOSED>");
        // What is not closed goes on: a call of ours is answered as well.
        if !closes && name != "partial" {
            bytes.extend_from_slice(call("version", json!([]), json!({})).as_bytes());
        }
        line.say(&bytes);
        if !closes {
            line.hang_up();
        }
        // All that ever comes.
        let mut heard = Vec::new();
        while let Some(line) = line.hear() {
            heard.push(line);
        }
        if !closes && name != "partial" {
            assert_eq!(heard.pop().as_deref(), Some("{\"return\": \"1.0.0\"}"), "{name}");
        }
        let is_create = text.contains("create_job");
        let lines: Vec<_> = expected.iter().filter(|line| !line.starts_with('<')).collect();
        let want: Vec<_> = lines.iter().map(|line| masked(line, is_create)).collect();
        let mut came: Vec<_> = heard.iter().map(|line| masked(line, is_create)).collect();
        if OTHER_TEXT.iter().any(|(other, _)| *other == name) {
            for (came, want) in came.iter_mut().zip(&want) {
                assert_ne!(came, want, "{name} no longer differs");
                assert!(came["exception"].is_string() && want["exception"].is_string(), "{name}: {came}");
                *came = want.clone();
            }
        }
        let differs = DIFFERENT.iter().any(|(other, _)| *other == name);
        if (came == want) == differs {
            wrong.push(format!("{name}: {heard:?} instead of {expected:?}"));
        }
        if !differs {
            // The style of writing, too; with another version and time.
            for (heard, expected) in heard.iter().zip(&lines).filter(|(_, line)| !line.contains("start_time"))
            {
                let style = |line: &str| line.chars().filter(|c| " :,{}[]".contains(*c)).collect::<String>();
                if !heard.contains("exception") && !heard.contains("1.0.0") {
                    assert_eq!(style(heard), style(expected), "{name}: {heard}");
                }
            }
        }
        compared += 1;
        // As in the runs of the reference, nothing but what is told happens between two cases.
        settle(&house, is_create);
        if name == "kwarg client to create" {
            set_all_but_the_first(&house, "free");
        }
    }
    assert!(wrong.is_empty(), "{} of {compared}:\n{}", wrong.len(), wrong.join("\n"));
    assert!(compared > 90, "{compared}");
}

/// Sets all boards of `m` but [0, 0, 0].
fn set_all_but_the_first(house: &crate::house::House, state: &str) {
    let mut admin = house.admin();
    let boards = (0..4).flat_map(|x| (0..2).flat_map(move |y| (0..3).map(move |z| (x, y, z))));
    for (x, y, z) in boards.filter(|board| ![(0, 0, 0), (3, 1, 2)].contains(board)) {
        let set = json!({"fname": "set_board_state", "machine": "m", "x": x, "y": y, "z": z, "state": state});
        admin.call(set).expect("it is set");
    }
}

/// Waits until no job's boards are being switched.
fn settle(house: &crate::house::House, made: bool) {
    if !made {
        return;
    }
    let mut line = line(house);
    line.get("notify_job", json!([]));
    loop {
        let jobs = line.get("list_jobs", json!([]));
        if jobs.as_array().expect("jobs").iter().all(|job| job["state"] != 2) {
            return;
        }
        line.hear_json();
    }
}

#[test]
fn lines_before_a_bad_one_are_answered_though_they_went_to_the_desk() {
    let house = house();
    let mut line = line(&house);
    let create = call("create_job", json!([]), json!({"owner": "x"}));
    line.say(format!("{create}{create}nonsense\n{create}"));
    assert!(line.hear_json()["return"].is_u64());
    assert!(line.hear_json()["return"].is_u64());
    assert_eq!(line.hear(), None);
    assert_eq!(super::line(&house).get("list_jobs", json!([])).as_array().map(Vec::len), Some(2));
}
