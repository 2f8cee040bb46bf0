//! Whoever started the server and wants to know how it does, such as systemd: what it is told, and when. How it is told
//! is not the server's to know (`cli::notify`).

use super::house::{End, House};
use crate::lab::ask::{Ask, Reply};
use crate::lab::command::Caller;
use crate::lab::view::{Query, View};
use std::collections::BTreeMap;
use std::sync::Arc;

/// How the life of a server goes.
#[derive(Clone, Debug, PartialEq)]
pub enum Life {
    /// The journal is replayed: so many facts so far.
    Replaying(u64),
    /// The doors are open, each of them here.
    Serving(BTreeMap<&'static str, String>),
    /// The configuration is read again.
    Reloading,
    /// The configuration was read again, or was refused for this reason.
    Reloaded(Result<(), String>),
    /// The desk has just answered.
    Alive {
        /// Who is connected.
        connections: usize,
        /// Jobs that have not ended.
        jobs: usize,
    },
    /// The end has begun.
    Ending(End),
}

/// Somebody who is told.
pub trait Supervisor: Send + Sync {
    /// Tells it. Must not block for long.
    fn tell(&self, life: &Life);

    /// How often it wants to hear that the desk answers; none for never.
    fn pulse_ms(&self) -> Option<u64> {
        None
    }
}

/// Nobody wants to know.
pub struct Nobody;

impl Supervisor for Nobody {
    fn tell(&self, _life: &Life) {}
}

/// Visits the desk again and again like any caller, and tells each time that it has answered. If it does not, nothing is
/// told.
pub async fn pulse(house: Arc<House>) {
    let Some(every_ms) = house.supervisor.pulse_ms() else { return };
    loop {
        let mut answers = house.counter.visit(Caller::server(), vec![Ask::Query(Query::Status)]).await;
        let Some(Ok(Reply::Seen(View::Status(status)))) = answers.pop() else { return };
        let (connections, jobs) = (house.connections(), status.jobs.values().sum());
        house.supervisor.tell(&Life::Alive { connections, jobs });
        house.clock.sleep_until(house.clock.now().plus_ms(every_ms)).await;
    }
}
