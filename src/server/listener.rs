//! Takes connections in at the native door, each served by a task of its own, until the house closes.

use super::connection::Connection;
use super::house::House;
use async_io::Async;
use async_std::task;
use futures_util::future::{Either, select};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::pin::pin;
use std::sync::Arc;

/// How long the door rests when the system has no room for another socket.
const NO_ROOM_PAUSE_MS: u64 = 50;

/// Accepts until the house closes.
pub async fn listen(house: Arc<House>, listener: Async<TcpListener>) {
    let mut closing = pin!(house.closing());
    loop {
        match select(pin!(listener.accept()), closing.as_mut()).await {
            Either::Left((Ok((stream, peer)), _)) => take_in(&house, stream, peer),
            Either::Left((Err(error), _)) => {
                tracing::warn!(%error, "a connection could not be accepted");
                let pause = house.clock.now().plus_ms(NO_ROOM_PAUSE_MS);
                house.clock.sleep_until(pause).await;
            }
            Either::Right(_) => return,
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
