//! The web door, against the whole house: what each route answers, and what it refuses.

mod events;
mod limits;
mod metrics;
mod native;
mod pages;

use crate::house::{House, LAB};
use std::net::SocketAddr;

/// The usual lab with an open web door and these keys.
pub fn config(keys: &str) -> String {
    // A test's door is nobody else's: another address for each process, another port for each house.
    let octets = std::process::id().to_le_bytes();
    let address = format!("127.{}.{}.1:0", octets[0] | 1, octets[1]);
    format!("{LAB}[web]\nlisten = \"{address}\"\n{keys}")
}

/// A house with these keys of the web door.
pub fn house_with(keys: &str) -> (House, SocketAddr) {
    let house = House::with(&config(keys));
    let web = house.web.expect("a web door");
    (house, web)
}

/// A house with a web door.
pub fn house() -> (House, SocketAddr) {
    house_with("")
}
