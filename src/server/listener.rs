//! Takes connections in at the native door, each served by a task of its own, until the house closes.

use super::connection::Connection;
use super::house::House;
use async_io::Async;
use async_std::task;
use futures_util::future::select;
use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::pin::pin;
use std::sync::Arc;

/// How long the door rests when the system has no room for another socket.
const NO_ROOM_PAUSE_MS: u64 = 50;

/// Accepts until the house closes, and not one more: who connects later is left for whoever listens next.
pub async fn listen(house: Arc<House>, listener: Async<TcpListener>) {
    let mut closing = pin!(house.closing());
    while let Some(accepted) = house.unless_ending(|| listener.get_ref().accept()) {
        match accepted.and_then(|(stream, peer)| Ok((Async::new(stream)?, peer))) {
            Ok((stream, peer)) => take_in(&house, stream, peer),
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

fn take_in(house: &Arc<House>, stream: Async<TcpStream>, peer: SocketAddr) {
    match house.admit(peer.ip()) {
        Ok(number) => drop(task::spawn(Connection::new(house.clone(), stream, peer, number).run())),
        Err(fault) => {
            tracing::warn!(%peer, %fault, "a connection was refused");
            let connection = Connection::new(house.clone(), stream, peer, house.number());
            drop(task::spawn(async move { connection.refuse(&fault).await }));
        }
    }
}
