//! Jobs at this door from their request to their end, over a restart and beside the native door.

use super::{LAB, house, line};
use crate::house::House;
use crate::socket::Socket;
use crate::spalloc_line::{Line, call};
use serde_json::{Value, json};

fn ready(line: &mut Line, job: u64) {
    line.get("notify_job", json!([job]));
    while line.state(job)["state"] != 3 {
        line.hear_of_job(job);
    }
    line.get("no_notify_job", json!([job]));
}

fn reason(line: &mut Line, job: u64) -> Value {
    line.state(job)["reason"].clone()
}

#[test]
fn pipelined_lines_see_what_stands_before_them() {
    let house = house();
    let mut line = line(&house);
    let job = line.create(json!([]), json!({"owner": "x", "tags": ["nowhere"]})) + 1;
    let lines = [
        call("list_jobs", json!([]), json!({})),
        call("create_job", json!([1]), json!({"owner": "ada"})),
        call("get_job_state", json!([job]), json!({})),
        call("where_is", json!([]), json!({"job_id": job, "chip_x": 0, "chip_y": 0})),
        call("list_jobs", json!([]), json!({})),
        call("destroy_job", json!([job, "enough"]), json!({})),
        call("get_job_state", json!([job]), json!({})),
        call("list_jobs", json!([]), json!({})),
        call("version", json!([]), json!({})),
    ];
    line.say(lines.concat());
    line.hang_up();
    let answers: Vec<_> = (0..lines.len()).map(|_| line.hear_json()["return"].clone()).collect();
    assert_eq!(line.hear(), None);
    let [before, made, state, place, during, ended, over, after, version] = &answers[..] else {
        panic!("nine")
    };
    assert_eq!((before, made, ended, version), (&json!([]), &json!(job), &json!(null), &json!("1.0.0")));
    assert!(state["state"] == 2 || state["state"] == 3, "{state}");
    assert_eq!(
        (&place["job_id"], &during[0]["job_id"], &during[0]["owner"]),
        (&json!(job), &json!(job), &json!("ada"))
    );
    assert_eq!((&over["state"], &over["reason"], after), (&json!(4), &json!("enough"), &json!([])));
}

#[test]
fn a_request_is_repeated_as_it_was_sent() {
    let house = house();
    let mut line = line(&house);
    let kwargs = json!({"owner": "zo\u{eb}", "keepalive": null, "machine": null, "tags": ["default", "default"],
        "min_ratio": 0.333, "max_dead_boards": 0, "max_dead_links": null, "require_torus": false});
    let job = line.create(json!([4, null]), kwargs);
    let listed = line.get("list_jobs", json!([]))[0].clone();
    assert_eq!((&listed["job_id"], &listed["keepalive"]), (&json!(job), &json!(null)));
    assert_eq!((&listed["owner"], &listed["args"]), (&json!("zo\u{eb}"), &json!([4, null])));
    assert_eq!(
        listed["kwargs"],
        json!({"machine": null, "tags": ["default"], "min_ratio": 0.333, "max_dead_boards": 0,
            "max_dead_links": null, "require_torus": false})
    );
    let names: Vec<_> = listed.as_object().expect("a job").keys().cloned().collect();
    let mut expected = [
        "job_id",
        "owner",
        "start_time",
        "keepalive",
        "state",
        "power",
        "args",
        "kwargs",
        "allocated_machine_name",
        "boards",
        "keepalivehost",
    ];
    expected.sort_unstable();
    assert_eq!(names, expected);
}

#[test]
fn a_job_that_waits_has_nothing_and_ends_cancelled() {
    let house = house();
    let mut line = line(&house);
    let first = line.create(json!([]), json!({"owner": "x", "machine": "s"}));
    let waiting = line.create(json!([]), json!({"owner": "x", "machine": "s"}));
    assert_eq!(
        (line.state(waiting)["state"].clone(), line.state(waiting)["power"].clone()),
        (json!(1), json!(null))
    );
    let info = line.get("get_job_machine_info", json!([waiting]));
    assert!(info.as_object().expect("an object").values().all(Value::is_null), "{info}");
    assert_eq!(line.get("power_on_job_boards", json!([waiting])), json!(null));
    assert_eq!(line.get("power_off_job_boards", json!([waiting])), json!(null));
    line.get("destroy_job", json!([waiting]));
    assert_eq!(reason(&mut line, waiting), "Cancelled: ");
    let waiting = line.create(json!([]), json!({"owner": "x", "machine": "s"}));
    line.get("destroy_job", json!([waiting, "Keyboard interrupt."]));
    line.get("destroy_job", json!([waiting, "later"]));
    assert_eq!(reason(&mut line, waiting), "Cancelled: Keyboard interrupt.");
    line.get("destroy_job", json!([first]));
    assert_eq!(reason(&mut line, first), json!(null));
    for impossible in [json!({"machine": "no"}), json!({"tags": ["no"]}), json!({"machine": 5})] {
        let mut kwargs = impossible.clone();
        kwargs["owner"] = json!("x");
        let job = line.create(json!([]), kwargs);
        assert_eq!(reason(&mut line, job), "Cancelled: No suitable machines available.", "{impossible}");
    }
    for size in [
        json!([0]),
        json!([-3]),
        json!([0, 0]),
        json!([9, 9]),
        json!([3, 1, 2]),
        json!([1_000_000_000_000_i64]),
    ] {
        let job = line.create(size.clone(), json!({"owner": "x"}));
        assert_eq!(reason(&mut line, job), "Cancelled: No suitable machines available.", "{size}");
    }
}

#[test]
fn signs_of_life_count_and_say_from_where() {
    let house = house();
    let mut line = line(&house);
    let job = line.create(json!([]), json!({"owner": "x", "keepalive": 10}));
    ready(&mut line, job);
    for command in ["job_keepalive", "get_job_state", "get_job_machine_info", "power_on_job_boards"] {
        house.clock.advance(8_000);
        line.get(command, json!([job]));
    }
    assert_eq!(line.state(job)["keepalivehost"], "127.0.0.1");
    line.get("notify_job", json!([job]));
    while line.get("list_jobs", json!([]))[0]["state"] == 2 {
        line.hear_of_job(job);
    }
    house.clock.advance(8_000);
    // These are none.
    line.get("list_jobs", json!([]));
    line.ask("where_is", json!([]), json!({"job_id": job, "chip_x": 0, "chip_y": 0}));
    house.clock.advance(2_001);
    while line.get("list_jobs", json!([])) != json!([]) {
        line.hear_of_job(job);
    }
    assert_eq!(reason(&mut line, job), "Job timed out.");
    let waits = line.create(json!([]), json!({"owner": "x", "keepalive": 0}));
    assert_eq!(line.state(waits)["state"], 4);
}

#[test]
fn a_restart_keeps_jobs_and_their_requests() {
    let house = house();
    let mut line = line(&house);
    let job = line.create(json!([2, 1]), json!({"owner": "ada", "keepalive": 33, "require_torus": null}));
    ready(&mut line, job);
    let mut before = line.get("list_jobs", json!([]))[0].clone();
    let house = house.reopen();
    let mut line = super::line(&house);
    let after = line.get("list_jobs", json!([]))[0].clone();
    before["keepalivehost"] = json!("");
    assert_eq!(after, before);
    line.get("job_keepalive", json!([job]));
    assert_eq!(line.get("list_jobs", json!([]))[0]["keepalivehost"], "127.0.0.1");
    line.get("destroy_job", json!([job, "over"]));
    assert_eq!(reason(&mut line, job), "over");
}

/// The lab with a pool, and with this in the section of the door.
fn house_with(more: &str) -> House {
    let pool = "[[machine]]\nname = \"devices\"\nshape = \"pool\"\ncount = 2\nkinds = [\"pulsecount\"]\ncontroller = \"simulated\"\n";
    House::with(&format!("{}{pool}", LAB.replace("[spalloc]\n", &format!("[spalloc]\n{more}\n"))))
}

#[test]
fn jobs_of_the_native_door_are_shown_and_are_not_ours_to_end() {
    let house = house_with("");
    let (mut line, mut admin) = (super::line(&house), house.admin());
    let own = admin
        .call(json!({"fname": "create_job", "width": 1, "height": 1, "min_ratio": 0.5, "max_dead_links": 3}));
    let own = own.expect("a job").as_u64().expect("a number");
    let pool = admin.call(json!({"fname": "create_job", "kind": "pulsecount"})).expect("a job");
    let pool = pool.as_u64().expect("a number");
    let listed = line.get("list_jobs", json!([]));
    assert_eq!(listed.as_array().map(Vec::len), Some(1), "{listed}");
    assert_eq!((&listed[0]["job_id"], &listed[0]["owner"]), (&json!(own), &json!("admin")));
    assert_eq!((&listed[0]["args"], &listed[0]["keepalivehost"]), (&json!([1, 1]), &json!("")));
    assert_eq!(listed[0]["kwargs"], json!({"min_ratio": 0.5, "max_dead_links": 3}));
    assert!(line.state(pool)["state"].as_u64() > Some(0));
    let machines = line.get("list_machines", json!([]));
    let names: Vec<_> =
        machines.as_array().expect("machines").iter().map(|machine| machine["name"].clone()).collect();
    assert_eq!(names, ["m", "s"]);
    for command in ["destroy_job", "power_off_job_boards", "job_keepalive"] {
        let text = line.raised(command, json!([own]), json!({}));
        assert!(text.contains("belongs to admin"), "{command}: {text}");
    }
    // And back: what is made here is seen there, and can be ended there.
    let job = line.create(json!([]), json!({"owner": "ada"}));
    let seen = admin.call(json!({"fname": "get_job", "job_id": job})).expect("a job");
    assert_eq!((&seen["owner"], &seen["kind"]), (&json!("ada"), &json!("spinnaker")));
    assert_eq!(
        admin.call(json!({"fname": "destroy_job", "job_id": job, "reason": "maintenance"})),
        Ok(json!(null))
    );
    assert_eq!(reason(&mut line, job), "maintenance");
    let status = admin.call(json!({"fname": "get_status"})).expect("a status");
    assert_eq!(status["listen"]["spalloc"], json!(house.spalloc.expect("a door").to_string()));
}

#[test]
fn an_operators_door_acts_on_every_job() {
    let house = house_with("role = \"operator\"");
    let (mut line, mut guest) = (super::line(&house), Socket::guest(house.address));
    let job = guest.call(json!({"fname": "create_job"})).expect("a job").as_u64().expect("a number");
    line.get("job_keepalive", json!([job]));
    line.get("power_off_job_boards", json!([job]));
    line.get("destroy_job", json!([job, "cleared"]));
    assert_eq!(reason(&mut line, job), "cleared");
}

#[test]
fn a_guests_door_is_for_looking() {
    let house = house_with("role = \"guest\"");
    let (mut line, mut admin) = (super::line(&house), house.admin());
    let job = admin.call(json!({"fname": "create_job"})).expect("a job");
    assert!(line.raised("create_job", json!([]), json!({"owner": "x"})).contains("guest"));
    for command in ["job_keepalive", "power_on_job_boards", "destroy_job"] {
        assert!(line.raised(command, json!([job]), json!({})).contains("looking only"), "{command}");
        assert_eq!(line.get(command, json!([99])), json!(null));
    }
    assert_eq!(line.get("list_jobs", json!([]))[0]["job_id"], job);
    assert_eq!(line.state(job.as_u64().expect("a number"))["keepalivehost"], "");
}

#[test]
fn owners_can_be_held_to_be_known() {
    let house = house_with("owners = \"known\"").with_known_users();
    let mut line = super::line(&house);
    assert!(line.raised("create_job", json!([]), json!({"owner": "nobody"})).contains("not a user"));
    line.create(json!([]), json!({"owner": "alice"}));
}

#[test]
fn who_is_of_no_allowed_network_is_hung_up_on() {
    let house = house_with("allow = [\"10.0.0.0/8\"]");
    let mut line = super::line(&house);
    assert_eq!(line.hear(), None);
    Socket::guest(house.address);
}

#[test]
fn a_job_cannot_be_made_while_the_lab_drains() {
    let house = house();
    let mut line = line(&house);
    assert_eq!(
        house.admin().call(json!({"fname": "set_service", "accept": false, "reason": "lunch"})),
        Ok(json!(null))
    );
    assert!(line.raised("create_job", json!([]), json!({"owner": "x"})).contains("lunch"));
}
