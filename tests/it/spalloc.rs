//! The spalloc door, as clients of spalloc meet it.

mod limits;
mod notices;
mod places;
mod story;
mod wire;

use crate::house::House;
use crate::spalloc_line::Line;
use serde_json::json;

/// The lab of the reference's runs: torus `m` with one dead board, and the lone board `s`.
pub const LAB: &str = r#"
name = "house"
[native]
listen = "127.0.0.1:0"
[spalloc]
listen = "127.0.0.1:0"
[[machine]]
name = "m"
shape = "triads"
width = 4
height = 2
dead_boards = [[3, 1, 2]]
boards_per_frame = 12
host_base = "10.11.0.1"
cabinet_stride = "0.0.5.0"
frame_stride = "0.0.1.0"
board_stride = "0.0.0.8"
controller = "simulated"
[[machine]]
name = "s"
shape = "triads"
width = 1
height = 1
dead_boards = [[0, 0, 1], [0, 0, 2]]
tags = ["single"]
boards = [{ logical = [0, 0, 0], physical = [0, 0, 0], host = "10.12.0.1" }]
controller = "simulated"
"#;

pub fn house() -> House {
    House::with(LAB)
}

pub fn line(house: &House) -> Line {
    Line::open(house.spalloc.expect("a spalloc door"))
}

#[test]
fn a_job_lives_and_ends() {
    let house = house();
    let mut line = line(&house);
    assert_eq!(line.get("version", json!([])), "1.0.0");
    line.get("notify_job", json!([]));
    let job = line.create(json!([]), json!({"owner": "ada", "keepalive": 60}));
    while line.state(job)["state"] != 3 {
        line.hear_of_job(job);
    }
    let info = line.get("get_job_machine_info", json!([job]));
    assert_eq!((&info["width"], &info["height"]), (&json!(8), &json!(8)));
    assert_eq!(line.get("list_jobs", json!([]))[0]["keepalivehost"], "127.0.0.1");
    line.get("destroy_job", json!([job, "done"]));
    assert_eq!(
        line.state(job),
        json!({"state": 4, "power": null, "keepalive": null, "reason": "done", "start_time": null, "keepalivehost": null})
    );
}
