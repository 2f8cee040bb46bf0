//! Where boards and chips are, through the door: every case the reference answered, on jobs that hold the very boards
//! they held there.

use crate::house::House;
use crate::socket::Socket;
use crate::spalloc_line::Line;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use std::fmt::Write;

fn vectors(name: &str) -> Value {
    let path = format!("{}/tests/vectors/spalloc/{name}", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).expect("vectors")).expect("JSON")
}

/// The machines of the vectors as a configuration.
fn lab(machines: &Value) -> String {
    let mut text = "[native]\nlisten = \"127.0.0.1:0\"\n[spalloc]\nlisten = \"127.0.0.1:0\"\n".to_owned();
    for machine in machines.as_array().expect("machines") {
        let boards: Vec<_> = machine["boards"].as_array().expect("boards").iter().map(table_row).collect();
        writeln!(
            text,
            "[[machine]]\nname = {}\nshape = \"triads\"\nwidth = {}\nheight = {}\ntags = {}\ndead_boards = {}\n\
             dead_links = {}\nboards = [{}]\ncontroller = \"simulated\"",
            machine["name"],
            machine["width"],
            machine["height"],
            machine["tags"],
            machine["dead_boards"],
            machine["dead_links"],
            boards.join(", ")
        )
        .expect("text");
    }
    text
}

fn table_row(board: &Value) -> String {
    format!("{{ logical = {}, physical = {}, host = {} }}", board["logical"], board["physical"], board["ip"])
}

/// Has a job hold these boards and no others: those that are left when all others are out of use.
fn hold(admin: &mut Socket, line: &mut Line, machine: &Value, case: &Value) -> u64 {
    let others = others(machine, &case["boards"]);
    set(admin, &machine["name"], &others, "maintenance");
    let job = line
        .create(case["args"].clone(), json!({"owner": "x", "machine": machine["name"], "keepalive": null}));
    set(admin, &machine["name"], &others, "free");
    job
}

/// The live boards that are not among these.
fn others(machine: &Value, boards: &Value) -> Vec<Value> {
    let listed = |list: &Value| list.as_array().expect("boards").clone();
    let (held, dead) = (listed(boards), listed(&machine["dead_boards"]));
    let (width, height) =
        (machine["width"].as_u64().expect("a width"), machine["height"].as_u64().expect("a height"));
    let all = (0..width).flat_map(|x| (0..height).flat_map(move |y| (0..3).map(move |z| json!([x, y, z]))));
    all.filter(|board| !held.contains(board) && !dead.contains(board)).collect()
}

fn set(admin: &mut Socket, machine: &Value, boards: &[Value], state: &str) {
    let calls: Vec<_> = boards
        .iter()
        .map(|at| {
            json!({"fname": "set_board_state", "machine": machine, "x": at[0], "y": at[1], "z": at[2], "state": state})
        })
        .collect();
    if !calls.is_empty() {
        let answer = admin.ask(Value::Array(calls));
        assert!(
            answer["data"].as_array().expect("answers").iter().all(|entry| entry["error"].is_null()),
            "{answer}"
        );
    }
}

/// Ends a job and waits until its boards can be lent again.
fn let_go(admin: &mut Socket, line: &mut Line, machine: &Value, job: u64) {
    line.get("destroy_job", json!([job]));
    while admin.call(json!({"fname": "get_machine", "machine": machine["name"]})).expect("a machine")["boards"]
        ["cleaning"]
        != 0
    {}
}

fn set_of(list: &Value) -> BTreeSet<String> {
    list.as_array().expect("a list").iter().map(Value::to_string).collect()
}

#[test]
fn everything_is_where_the_reference_says_it_is() {
    let (jobs, places) = (vectors("job_geometry.json"), vectors("where_is.json"));
    let house = House::with(&lab(&jobs["machines"]));
    let (mut admin, mut line) = (house.admin(), super::line(&house));
    let machine = |name: &Value| {
        let machines = jobs["machines"].as_array().expect("machines");
        machines.iter().find(|machine| machine["name"] == *name).expect("a machine")
    };
    let mut asked = 0;
    let mut ask = |line: &mut Line, index: Value, job: Option<u64>| {
        for case in places["cases"].as_array().expect("cases").iter().filter(|case| case["geometry"] == index)
        {
            let mut query: Map<String, Value> = case["query"].as_object().expect("a query").clone();
            if !query.contains_key("machine") {
                query.insert("job_id".to_owned(), json!(job.expect("a job")));
            }
            let mut result = case["result"].clone();
            if result["job_id"] == "this" {
                result["job_id"] = json!(job.expect("a job"));
            }
            assert_eq!(line.ask("where_is", json!([]), query.into()), json!({"return": result}), "{case}");
            asked += 1;
        }
    };
    ask(&mut line, Value::Null, None);
    for (index, case) in jobs["cases"].as_array().expect("cases").iter().enumerate() {
        let machine = machine(&case["machine"]);
        let job = hold(&mut admin, &mut line, machine, case);
        let info = line.get("get_job_machine_info", json!([job]));
        assert_eq!(set_of(&info["boards"]), set_of(&case["boards"]), "{case}");
        assert_eq!(set_of(&info["connections"]), set_of(&case["connections"]), "{case}");
        assert_eq!((&info["width"], &info["height"]), (&case["width"], &case["height"]), "{case}");
        assert_eq!(info["machine_name"], case["machine"]);
        ask(&mut line, json!(index), Some(job));
        let_go(&mut admin, &mut line, machine, job);
    }
    assert_eq!(asked, places["cases"].as_array().map_or(0, Vec::len));
}
