//! The server as the web door asks for it: `talk` holds native conversations over channels, `changes` tells those who look on
//! and come back, `icefarm` serves clients of another protocol, `metrics` writes how the server does. HTTP itself is the business of the room `http`.

mod changes;
mod icefarm;
mod metrics;
mod talk;

use super::house::House;
use crate::error::Fault;
use crate::http::icefarm::Farm;
use crate::http::{Changes, Later, Limits, Line, Readiness};
use async_std::task;
use changes::Looking;
use icefarm::IceFarm;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use talk::{Ends, Manner, Talk};

/// See above.
pub struct WebDoor {
    house: Arc<House>,
    farm: Arc<IceFarm>,
}

impl WebDoor {
    /// The door of this house.
    pub fn new(house: Arc<House>) -> WebDoor {
        WebDoor { farm: Arc::new(IceFarm::open(&house)), house }
    }
}

impl crate::http::House for WebDoor {
    fn limits(&self) -> Limits {
        let config = self.house.config();
        Limits {
            origins: config.web.origins.clone(),
            body_bytes_max: config.web.body_bytes_max,
            message_bytes_max: config.limits.frame_bytes_max,
            request_time_max: Duration::from_millis(config.limits.handshake_ms),
            stall_time_max: Duration::from_millis(config.web.stall_ms),
            ping_every: Duration::from_millis(config.web.ping_ms),
        }
    }

    fn converse(&self, peer: SocketAddr) -> Line {
        begin(&self.house, peer, Manner::Lasting)
    }

    fn consult(&self, peer: SocketAddr) -> Line {
        begin(&self.house, peer, Manner::AskedOnly)
    }

    fn changes(&self, session: &str, cursor: Option<&str>) -> Result<Box<dyn Changes>, Fault> {
        Ok(Box::new(Looking::begin(&self.house, session, cursor)?))
    }

    fn readiness(&self) -> Later<'static, Readiness> {
        let house = self.house.clone();
        Box::pin(async move { Readiness { reasons: house.reasons_not_ready().await } })
    }

    fn metrics(&self) -> String {
        metrics::write(&self.house)
    }

    fn farm(&self) -> Arc<dyn Farm> {
        self.farm.clone()
    }
}

/// Begins a conversation on a task of its own.
fn begin(house: &Arc<House>, peer: SocketAddr, manner: Manner) -> Line {
    // One message on its way in each direction: who does not take what is said is not heard.
    let (say, said) = async_channel::bounded(1);
    let (heard, hear) = async_channel::bounded(1);
    let (here, gone) = async_channel::bounded(1);
    drop(task::spawn(Talk::new(house.clone(), peer, manner, Ends { hear, say, gone }).run()));
    Line { said, heard, here }
}
