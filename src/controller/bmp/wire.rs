//! One question over UDP: the host found, the way to it opened, the reply's body taken out.
//!
//! What is deliberately not here: what is asked, and what becomes of the answer.

use super::question::{Question, Trouble};
use crate::clock::Clock;
use crate::connections::{AskError, Pipeline};
use crate::controller::BmpSettings;
use crate::spinnaker::exchange::Limits;
use crate::spinnaker::scp::Reply;
use futures_util::future::{self, Either};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::pin::pin;
use std::sync::Arc;

/// How long a host's name may be looked up.
const LOOK_UP_MS_MAX: u64 = 5_000;

/// Asks a BMP, by a way that is known or by a new one. The way is given back if it may be used again.
pub(super) async fn ask(
    line: Option<Pipeline>,
    host: &str,
    settings: &BmpSettings,
    question: Question,
    clock: &Clock,
) -> (Option<Pipeline>, Result<Vec<u8>, Trouble>) {
    let line = match line {
        Some(line) => line,
        None => match open(host, settings.port, Limits::BMP, clock).await {
            Ok(line) => line,
            Err(why) => return (None, Err(Trouble::Unreachable(why))),
        },
    };
    let reply = body(line.ask(&question.wish(settings)).await);
    (Some(line), reply)
}

/// The body of a reply, or why there is none.
pub(super) fn body(asked: Result<Vec<u8>, AskError>) -> Result<Vec<u8>, Trouble> {
    match asked {
        Ok(datagram) => match Reply::decode(&datagram) {
            Ok(reply) => Ok(reply.body.to_vec()),
            Err(error) => Err(Trouble::Unreachable(error.to_string().into())),
        },
        Err(AskError::Failed(failure)) => Err(Trouble::Failed(failure)),
        Err(error) => Err(Trouble::Unreachable(error.to_string().into())),
    }
}

/// Opens a way to a host.
pub(super) async fn open(host: &str, port: u16, limits: Limits, clock: &Clock) -> Result<Pipeline, Arc<str>> {
    let address = look_up(host, port, clock).await?;
    let opened = Pipeline::connect(address, limits, clock.clone()).await;
    opened.map_err(|error| error.to_string().into())
}

/// The address of a host; the system looks up names on threads of its own, and may take its time.
pub(super) async fn look_up(host: &str, port: u16, clock: &Clock) -> Result<SocketAddrV4, Arc<str>> {
    if let Ok(address) = host.parse::<Ipv4Addr>() {
        return Ok(SocketAddrV4::new(address, port));
    }
    let found = async_std::net::ToSocketAddrs::to_socket_addrs(&(host, port));
    let late = clock.sleep_until(clock.now().plus_ms(LOOK_UP_MS_MAX));
    let found = match future::select(pin!(found), pin!(late)).await {
        Either::Left((found, _)) => found.map_err(|error| error.to_string())?,
        Either::Right(_) => return Err(format!("its name was not found within {LOOK_UP_MS_MAX} ms").into()),
    };
    let v4 = found.into_iter().find_map(|address| match address {
        SocketAddr::V4(address) => Some(address),
        SocketAddr::V6(_) => None,
    });
    v4.ok_or_else(|| "no IPv4 address belongs to its name".into())
}
