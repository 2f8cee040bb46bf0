//! Takes connections in at a door, each served for itself (`sockets`), until the house closes.

use super::connection::Connection;
use super::house::House;
use super::sockets::Socket;
use super::spalloc_door::SpallocConnection;
use super::stand_door::StandConnection;
use crate::error::Fault;
use crate::http::Visitor;
use async_channel::Sender;
use async_io::Async;
use futures_util::future::select;
use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::pin::pin;
use std::sync::Arc;

/// How long the door rests when the system has no room for another socket.
const NO_ROOM_PAUSE_MS: u64 = 50;

/// Which tongue is spoken at a door.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DoorKind {
    /// Ours.
    Native,
    /// That of spalloc.
    Spalloc,
    /// That of 'buntustand.
    Stand,
    /// HTTP.
    Web,
}

impl DoorKind {
    /// All doors, in order.
    pub const ALL: [DoorKind; 4] = [DoorKind::Native, DoorKind::Spalloc, DoorKind::Stand, DoorKind::Web];

    /// What it is called.
    pub fn word(self) -> &'static str {
        match self {
            DoorKind::Native => "native",
            DoorKind::Spalloc => "spalloc",
            DoorKind::Stand => "stand",
            DoorKind::Web => "web",
        }
    }
}

/// A door, and where those who come are served.
pub enum Door {
    /// Here.
    Native,
    /// Here.
    Spalloc,
    /// Here.
    Stand,
    /// In the room of the web door.
    Web(Sender<Visitor>),
}

impl Door {
    /// Which it is.
    pub fn kind(&self) -> DoorKind {
        match self {
            Door::Native => DoorKind::Native,
            Door::Spalloc => DoorKind::Spalloc,
            Door::Stand => DoorKind::Stand,
            Door::Web(_) => DoorKind::Web,
        }
    }
}

/// Accepts until the house closes, and not one more: who connects later is left for whoever listens next.
pub async fn listen(house: Arc<House>, door: Door, listener: Async<TcpListener>) {
    let mut closing = pin!(house.closing());
    while let Some(accepted) = house.unless_ending(|| listener.get_ref().accept()) {
        match accepted.and_then(|(stream, peer)| stream.set_nonblocking(true).map(|()| (stream, peer))) {
            Ok((stream, peer)) => take_in(&house, &door, stream, peer).await,
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

async fn take_in(house: &Arc<House>, door: &Door, stream: TcpStream, peer: SocketAddr) {
    if !is_allowed(house, door, peer) {
        let door = door.kind().word();
        tracing::warn!(%peer, "hung up on: not of a network that may come in ({door}.allow)");
        return;
    }
    match house.admit(door.kind(), peer.ip()) {
        Ok(number) => serve(house, door, stream, peer, number).await,
        Err(fault) => {
            tracing::warn!(%peer, %fault, "a connection was refused");
            refuse(house, door, stream, peer, fault).await;
        }
    }
}

/// Whether a door serves hosts of the peer's network; those that know users serve all.
fn is_allowed(house: &House, door: &Door, peer: SocketAddr) -> bool {
    let config = house.config();
    let allow = match door {
        Door::Spalloc => &config.spalloc.allow,
        Door::Stand => &config.stand.allow,
        Door::Native | Door::Web(_) => return true,
    };
    allow.iter().any(|network| network.has(peer.ip()))
}

async fn serve(house: &Arc<House>, door: &Door, stream: TcpStream, peer: SocketAddr, number: u64) {
    match door {
        Door::Native => {
            let Some(socket) = watch(house, DoorKind::Native, stream, peer, number) else { return };
            house.sockets.serve(Connection::new(house.clone(), socket, peer, number).run());
        }
        Door::Spalloc => {
            let Some(socket) = watch(house, DoorKind::Spalloc, stream, peer, number) else { return };
            house.sockets.serve(SpallocConnection::new(house.clone(), socket, peer, number).run());
        }
        Door::Stand => {
            let Some(socket) = watch(house, DoorKind::Stand, stream, peer, number) else { return };
            house.sockets.serve(StandConnection::new(house.clone(), socket, peer, number).run());
        }
        Door::Web(entrance) => show_in(house, entrance, stream, peer, None).await,
    }
}

/// Watches the socket of somebody who was counted in; who cannot be watched is hung up on and counted out.
fn watch(house: &House, door: DoorKind, stream: TcpStream, peer: SocketAddr, number: u64) -> Option<Socket> {
    let watched = house.sockets.watch(stream);
    watched
        .inspect_err(|error| {
            tracing::warn!(%peer, %error, "a connection could not be watched");
            house.leave(door, number, peer.ip());
        })
        .ok()
}

async fn refuse(house: &Arc<House>, door: &Door, stream: TcpStream, peer: SocketAddr, fault: Fault) {
    match door {
        Door::Native => {
            let number = house.number();
            let Some(socket) = watch(house, DoorKind::Native, stream, peer, number) else { return };
            let connection = Connection::new(house.clone(), socket, peer, number);
            house.sockets.serve(async move { connection.refuse(&fault).await });
        }
        // Their protocols have no words for it.
        Door::Spalloc | Door::Stand => house.leave(door.kind(), house.number(), peer.ip()),
        Door::Web(entrance) => show_in(house, entrance, stream, peer, Some(fault)).await,
    }
}

/// Sends somebody to where the web door is served.
async fn show_in(
    house: &Arc<House>,
    entrance: &Sender<Visitor>,
    stream: TcpStream,
    peer: SocketAddr,
    refused: Option<Fault>,
) {
    let pass = Box::new(Counted { house: house.clone(), peer });
    // A door that has closed takes nobody in; the pass counts the visitor out again.
    let _ = entrance.send(Visitor { stream, peer, refused, pass }).await;
}

/// A connection of the web door that was counted in, until dropped.
struct Counted {
    house: Arc<House>,
    peer: SocketAddr,
}

impl Drop for Counted {
    fn drop(&mut self) {
        // It has no number of its own: nobody tells it anything.
        self.house.leave(DoorKind::Web, self.house.number(), self.peer.ip());
    }
}
