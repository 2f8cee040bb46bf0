//! Rows of the service `reservation`, and of leases; and what their answers say.
//!
//! In the house devices-0 is quarantined, devices-1 is bob's, devices-2 and devices-3 are free.

use super::house::House;
use super::table::{Rows, long};
use crate::error::Code as C;
use crate::lab::Options;

/// A house in which ada has reserved devices-2, as job 6, and job 7 of bob has a lease.
fn reserved() -> House {
    let mut house = House::new();
    house.call("reserveserials", "ada", r#"{"serials": ["devices-2"], "kind": "variance"}"#).unwrap();
    let args = r#"{"machine": "devices", "serials": ["devices-3"], "lease": 600}"#;
    house.call("create_job", "bob", args).unwrap();
    house.obey();
    house
}

/// The same, where job 7 is over.
fn over() -> House {
    let mut house = reserved();
    house.call("destroy_job", "bob", r#"{"job_id": 7}"#).unwrap();
    house
}

/// Job 7 waits for two boards of the pool, and job 8, with a lease, went past it.
fn overtaken() -> House {
    let mut house = House::new();
    house.call("create_job", "ada", r#"{"machine": "devices", "boards": 1, "lease": 600}"#).unwrap();
    house.call("create_job", "bob", r#"{"machine": "devices", "boards": 2}"#).unwrap();
    house.call("create_job", "ada", r#"{"machine": "devices", "lease": 60}"#).unwrap();
    house
}

fn drained() -> House {
    let mut house = House::new();
    house.call("set_service", "admin", r#"{"accept": false, "reason": "move"}"#).unwrap();
    house
}

fn full() -> House {
    House::with(Options { jobs_max: 4, ..Options::default() })
}

fn scarce() -> House {
    House::with(Options { jobs_per_owner_max: 2, ..Options::default() })
}

/// Questions what can be reserved.
fn looking(name: &'static str) -> Rows {
    Rows::of(name)
        .good("guest", &["{}", r#"{"machine": "devices"}"#, r#"{"kind": "variance", "machine": null}"#])
        .bad("guest", C::BAD_ARGUMENT, &[r#"{"machine": 1}"#])
        .bad("guest", C::MACHINE_UNKNOWN, &[r#"{"machine": "device"}"#])
        .bad("guest", C::IMPOSSIBLE, &[r#"{"machine": "m"}"#])
        .bad("guest", C::KIND_UNKNOWN, &[r#"{"kind": "spinnaker"}"#])
        .bad("guest", C::TEXT_TOO_LONG, &[&long(r#"{"kind": ""#, 257, r#""}"#)])
}

/// What is refused whichever boards are to be reserved; `pick` says which.
fn reserving(name: &'static str, pick: &str) -> Rows {
    let with = |more: &str| format!("{{{pick}{more}}}");
    let good = with(r#", "kind": "variance", "args": {"send_waveform": true}, "machine": "devices""#);
    let kind = with(r#", "kind": "variance""#);
    Rows::of(name)
        .good("ada", &[&good, &kind])
        .good("op", &[&with(r#", "kind": "variance", "name": "ada""#)])
        .bad("ada", C::NOT_PERMITTED, &[&with(r#", "kind": "variance", "name": "bob""#)])
        .bad("guest", C::NOT_PERMITTED, &[&kind])
        .bad("ada", C::INVALID_MESSAGE, &[&with(""), r#"{"kind": "variance"}"#])
        .bad("ada", C::BAD_ARGUMENT, &[&with(r#", "kind": """#)])
        .bad("ada", C::MACHINE_UNKNOWN, &[&with(r#", "kind": "variance", "machine": "device""#)])
        .bad("ada", C::IMPOSSIBLE, &[&with(r#", "kind": "spinnaker", "machine": "m""#)])
        .bad("ada", C::KIND_UNKNOWN, &[&with(r#", "kind": "spinnaker""#)])
        .bad("ada", C::TEXT_TOO_LONG, &[&with(&long(r#", "kind": ""#, 257, r#"""#))])
        .bad_in(drained, "ada", C::DRAINING, &kind)
        .bad_in(full, "ada", C::TOO_MANY_JOBS, &kind)
        .bad_in(scarce, "ada", C::TOO_MANY_OWN_JOBS, &kind)
}

/// Functions that change what is reserved for somebody.
fn changing(name: &'static str, which: &str) -> Rows {
    let with = |more: &str| format!("{{{which}{more}}}");
    let sep = if which.is_empty() { "" } else { ", " };
    let rows = Rows::of(name)
        .good("ada", &[&with("")])
        .row("ada", &with(""), None, reserved)
        .row("op", &with(&format!(r#"{sep}"name": "ada""#)), None, reserved)
        .bad("guest", C::NOT_PERMITTED, &[&with("")])
        .bad("bob", C::NOT_PERMITTED, &[&with(&format!(r#"{sep}"name": "ada""#))])
        .bad("ada", C::BAD_ARGUMENT, &[&with(&format!(r#"{sep}"name": """#))])
        .bad("ada", C::TEXT_TOO_LONG, &[&with(&long(&format!(r#"{sep}"name": ""#), 257, r#"""#))]);
    match which {
        "" => rows.bad("ada", C::INVALID_MESSAGE, &[r#"{"serials": []}"#]),
        _ => rows.bad("ada", C::INVALID_MESSAGE, &["{}"]),
    }
}

/// All of them.
pub fn rows() -> Vec<Rows> {
    let serials = r#""serials": ["devices-2"]"#;
    vec![
        looking("available"),
        looking("devices"),
        reserving("reserve", r#""amount": 1"#)
            .good("ada", &[r#"{"amount": 0, "kind": "variance"}"#, r#"{"amount": 2.0, "kind": "variance"}"#])
            .bad("ada", C::NOT_AVAILABLE, &[r#"{"amount": 3, "kind": "variance"}"#])
            .bad("ada", C::BAD_ARGUMENT, &[r#"{"amount": -1, "kind": "variance"}"#])
            .bad("ada", C::BAD_ARGUMENT, &[r#"{"amount": "1", "kind": "variance"}"#]),
        reserving("reserveserials", serials)
            .good("ada", &[r#"{"serials": [], "kind": "variance"}"#])
            .bad("ada", C::NOT_AVAILABLE, &[r#"{"serials": ["devices-2", "devices-1"], "kind": "variance"}"#])
            .bad("ada", C::NOT_AVAILABLE, &[r#"{"serials": ["devices-0"], "kind": "variance"}"#])
            .bad("ada", C::BOARD_UNKNOWN, &[r#"{"serials": ["devices-4"], "kind": "variance"}"#])
            .bad("ada", C::BAD_ARGUMENT, &[r#"{"serials": ["devices-2", "devices-2"], "kind": "variance"}"#]),
        changing("extend", serials),
        changing("extendall", ""),
        changing("end", serials),
        changing("endall", ""),
        Rows::of("reboot")
            .good("bob", &[r#"{"serials": ["devices-1"]}"#, r#"{"serials": []}"#])
            .good("op", &[r#"{"serials": ["devices-3", "devices-1"]}"#])
            .bad("ada", C::NOT_PERMITTED, &[r#"{"serials": ["devices-1"]}"#])
            .bad("op", C::BOARD_UNKNOWN, &[r#"{"serials": ["devices-4"]}"#])
            .bad("op", C::BAD_ARGUMENT, &[r#"{"serials": "devices-1"}"#])
            .bad("op", C::BAD_ARGUMENT, &[&long(r#"{"serials": [""#, 257, r#""]}"#)])
            .bad("op", C::INVALID_MESSAGE, &["{}"]),
        Rows::of("delete")
            .good("op", &[r#"{"serials": ["devices-3", "devices-1", "devices-0"]}"#])
            .bad("bob", C::NOT_PERMITTED, &[r#"{"serials": ["devices-1"]}"#])
            .bad("op", C::BOARD_UNKNOWN, &[r#"{"serials": ["devices-4"]}"#])
            .bad("op", C::BAD_ARGUMENT, &[r#"{"serials": [1]}"#])
            .bad("op", C::BAD_ARGUMENT, &[&long(r#"{"serials": [""#, 257, r#""]}"#)])
            .bad("op", C::INVALID_MESSAGE, &["{}"]),
        Rows::of("extend_job")
            .row("bob", r#"{"job_id": 7}"#, None, reserved)
            .row("op", r#"{"job_id": 7, "lease": 6000}"#, None, reserved)
            .bad_in(reserved, "bob", C::BAD_ARGUMENT, r#"{"job_id": 7, "lease": 601}"#)
            .bad_in(reserved, "ada", C::NOT_PERMITTED, r#"{"job_id": 7}"#)
            .bad_in(over, "bob", C::JOB_OVER, r#"{"job_id": 7}"#)
            .bad_in(overtaken, "ada", C::NOT_AVAILABLE, r#"{"job_id": 8}"#)
            .bad("ada", C::JOB_WITHOUT_BOARDS, &[r#"{"job_id": 2}"#])
            .bad("ada", C::JOB_UNKNOWN, &[r#"{"job_id": 99}"#])
            .bad("ada", C::INVALID_MESSAGE, &["{}"]),
    ]
}

#[test]
fn reservations_are_told_by_serial() {
    let mut house = House::new();
    let mut call = |name: &str, who: &str, args: &str| house.call(name, who, args).unwrap();
    assert_eq!(call("available", "guest", "{}"), r#"{"amount":2}"#);
    let two = call("reserve", "ada", r#"{"amount": 2, "kind": "variance"}"#);
    let row = |serial: &str, job: u32, url: &str| {
        format!(
            r#"{{"serial":"{serial}","job_id":{job},"owner":"ada","machine":"devices","kind":"variance","url":{url},"ends_at":4600.0}}"#
        )
    };
    assert_eq!(
        two,
        format!("[{},{}]", row("devices-2", 6, "null"), row("devices-3", 7, r#""http://worker:8081""#))
    );
    assert_eq!(call("devices", "guest", "{}"), "[]");
    let named = r#"{"serials": ["devices-3", "devices-1", "devices-2", "none"]}"#;
    assert_eq!(call("extend", "ada", named), r#"["devices-3","devices-2"]"#);
    assert_eq!(call("extendall", "ada", "{}"), r#"["devices-2","devices-3"]"#);
    assert_eq!(call("end", "bob", named), "[]");
    assert_eq!(call("end", "ada", r#"{"serials": ["devices-2"]}"#), r#"["devices-2"]"#);
    assert_eq!(call("endall", "op", r#"{"name": "ada"}"#), r#"["devices-3"]"#);
    assert_eq!(call("endall", "ada", "{}"), "[]");
    assert_eq!(call("delete", "op", r#"{"serials": ["devices-0", "devices-1"]}"#), r#"["devices-0"]"#);
}
