//! Takes connections in at a door, each served by a task of its own, until the house closes.

use super::connection::Connection;
use super::house::House;
use super::spalloc_door::SpallocConnection;
use async_io::Async;
use async_std::task;
use futures_util::future::select;
use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::pin::pin;
use std::sync::Arc;

/// How long the door rests when the system has no room for another socket.
const NO_ROOM_PAUSE_MS: u64 = 50;

/// Which tongue is spoken at a door.
#[derive(Clone, Copy, Debug)]
pub enum Door {
    /// Ours.
    Native,
    /// That of spalloc.
    Spalloc,
}

/// Accepts until the house closes, and not one more: who connects later is left for whoever listens next.
pub async fn listen(house: Arc<House>, door: Door, listener: Async<TcpListener>) {
    let mut closing = pin!(house.closing());
    while let Some(accepted) = house.unless_ending(|| listener.get_ref().accept()) {
        match accepted.and_then(|(stream, peer)| Ok((Async::new(stream)?, peer))) {
            Ok((stream, peer)) => take_in(&house, door, stream, peer),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                // An error of the system's is found again by accepting.
                let _ = select(pin!(listener.readable()), closing.as_mut()).await;
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                let pause = house.clock.now().plus_ms(NO_ROOM_PAUSE_MS);
                house.clock.sleep_until(pause).await;
            }
        }
    }
}

fn take_in(house: &Arc<House>, door: Door, stream: Async<TcpStream>, peer: SocketAddr) {
    if let Door::Spalloc = door
        && !house.config().spalloc.allow.iter().any(|network| network.has(peer.ip()))
    {
        tracing::warn!(%peer, "hung up on: not of a network that may come in (spalloc.allow)");
        return;
    }
    match (house.admit(peer.ip()), door) {
        (Ok(number), Door::Native) => {
            drop(task::spawn(Connection::new(house.clone(), stream, peer, number).run()));
        }
        (Ok(number), Door::Spalloc) => {
            drop(task::spawn(SpallocConnection::new(house.clone(), stream, peer, number).run()));
        }
        (Err(fault), Door::Native) => {
            tracing::warn!(%peer, %fault, "a connection was refused");
            let connection = Connection::new(house.clone(), stream, peer, house.number());
            drop(task::spawn(async move { connection.refuse(&fault).await }));
        }
        (Err(fault), Door::Spalloc) => {
            // Its protocol has no words for it.
            tracing::warn!(%peer, %fault, "a connection was refused");
            house.leave(house.number(), peer.ip());
        }
    }
}
