//! Reservations through the native door, with what is pushed of them.

use crate::house::{House, LAB};
use serde_json::{Value, json};

/// The usual lab, with short leases.
fn house() -> House {
    House::with(&format!("{LAB}[reservation]\nspan_s = 60\nwarn_s = 20\nwarn_every_s = 8\n"))
}

/// The next push of this name.
fn pushed(socket: &mut crate::socket::Socket, name: &str) -> Value {
    loop {
        let event = socket.hear().expect("an event");
        if event["__event__"] == name {
            return event["data"].clone();
        }
    }
}

#[test]
fn watchers_hear_how_many_boards_are_available_and_which_leases_end() {
    let house = house();
    let (mut ada, mut watcher) = (house.admin(), house.admin());
    assert_eq!(watcher.call(json!({"fname": "notify_devices"})), Ok(json!(null)));
    assert_eq!(watcher.call(json!({"fname": "available"})), Ok(json!({"amount": 8})));
    let args = json!({"fname": "reserve", "amount": 2, "kind": "variance", "args": {"send_waveform": true}});
    let reserved = ada.call(args).expect("two boards");
    assert_eq!(reserved[0]["serial"], "devices-0");
    let ends_at = 1_800_000_060.0;
    assert_eq!((&reserved[1]["job_id"], &reserved[1]["ends_at"]), (&json!(2), &json!(ends_at)));
    assert_eq!(pushed(&mut watcher, "devices_available"), json!({"amount": 6}));

    assert_eq!(watcher.call(json!({"fname": "notify_job", "job_id": 2})), Ok(json!(null)));
    house.clock.advance(40_000);
    let ending = json!([{"job_id": 2, "serial": "devices-1", "ends_at": ends_at}]);
    assert_eq!(pushed(&mut watcher, "reservations_ending"), json!({"reservations_ending": ending}));
    let extended = ada.call(json!({"fname": "extend", "serials": ["devices-1", "devices-7"]}));
    assert_eq!(extended, Ok(json!(["devices-1"])));
    house.clock.advance(20_000);
    assert_eq!(pushed(&mut watcher, "devices_available"), json!({"amount": 7}));
    assert_eq!(ada.call(json!({"fname": "get_job_state", "job_id": 1})).expect("a state")["state"], 4);

    assert_eq!(ada.call(json!({"fname": "reboot", "serials": ["devices-1"]})), Ok(json!(["devices-1"])));
    assert_eq!(ada.call(json!({"fname": "endall"})), Ok(json!(["devices-1"])));
    assert_eq!(pushed(&mut watcher, "devices_available"), json!({"amount": 8}));
    assert_eq!(watcher.call(json!({"fname": "no_notify_devices"})), Ok(json!(null)));
}

#[test]
fn reservations_outlive_the_server() {
    let house = house();
    let mut ada = house.admin();
    let args =
        json!({"fname": "reserveserials", "serials": ["devices-3", "devices-1"], "kind": "pulsecount"});
    assert_eq!(ada.call(args).expect("two boards").as_array().map(Vec::len), Some(2));
    let house = house.reopen();
    let mut ada = house.admin();
    assert_eq!(ada.call(json!({"fname": "available"})), Ok(json!({"amount": 6})));
    assert_eq!(ada.call(json!({"fname": "extendall"})), Ok(json!(["devices-3", "devices-1"])));
    let again = ada.call(json!({"fname": "reserveserials", "serials": ["devices-1"], "kind": "pulsecount"}));
    assert_eq!(again.expect_err("it is taken"), 1017);
    assert_eq!(ada.call(json!({"fname": "endall"})), Ok(json!(["devices-3", "devices-1"])));
}
