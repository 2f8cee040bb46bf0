//! The burners of the server's own, for a lab to play with: they come by the door like any other.

use super::super::house::House;
use crate::burner::live;
use crate::stand::simulate::{Settings, Simulated};
use futures_util::future::select;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;

/// Where chance begins: they are the same burners after each start.
const SEED: u64 = 0;

/// How long they write a disc, and how long they verify it: short enough to look on.
const BURN_MS: u64 = 4_000;
const VERIFY_MS: u64 = 1_000;

/// Has the burner with this number live until the house closes.
pub async fn serve(house: Arc<House>, door: SocketAddr, number: u64) {
    let settings = Settings { burn_ms: BURN_MS, verify_ms: VERIFY_MS, ..Settings::default() };
    let simulated = Simulated::new(settings, SEED, number, house.clock.now());
    let (uid, door) = (simulated.uid(), near(door).to_string());
    let life =
        live(&house.clock, &door, simulated, |_, event| tracing::trace!(burner = %uid, ?event, "simulated"));
    select(pin!(life), pin!(house.closing())).await;
}

/// Where a door is reached from this host.
fn near(door: SocketAddr) -> SocketAddr {
    let ip = match door.ip() {
        ip if !ip.is_unspecified() => ip,
        IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
    };
    SocketAddr::new(ip, door.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_door_that_listens_everywhere_is_reached_on_loopback() {
        let reached = |door: &str| near(door.parse().expect("an address")).to_string();
        assert_eq!(reached("0.0.0.0:1337"), "127.0.0.1:1337");
        assert_eq!(reached("[::]:1337"), "[::1]:1337");
        assert_eq!(reached("127.3.2.1:1337"), "127.3.2.1:1337");
    }
}
