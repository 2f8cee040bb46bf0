//! Socket.IO: the sockets of clients, and a task for each that sends what the post has for it.

use super::arguments::cut;
use super::farm::News;
use super::post::{self, Mail, Mailbox, Post, Sort};
use async_channel::Receiver;
use serde::Deserialize;
use socketioxide::extract::{SocketRef, TryData};
use socketioxide::handler::ConnectHandler;
use socketioxide::layer::SocketIoLayer;
use socketioxide::{SendError, SocketError, SocketIo};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::sleep;

/// Where sockets are opened.
pub const PATH: &str = "/socket.io/";

/// What stands in the address of a socket that is opened to a worker for which this door speaks.
pub const WORKER_QUERY: &str = "berth=worker";

/// The one event there is.
const EVENT: &str = "event";

/// Sockets of all clients.
const SOCKETS_MAX: usize = 10_000;

/// Bytes of what a client may say in one request.
const PAYLOAD_BYTES_MAX: u64 = 1_000_000;

/// How long a client that was let in may take to say who it is.
const NAMING_TIME_MAX: Duration = Duration::from_secs(5);

/// Packets that were handed to a socket and that its client has not taken.
const PACKETS_MAX: usize = 128;

/// How long a socket that has no room for another packet is left alone.
const NO_ROOM_PAUSE: Duration = Duration::from_millis(20);

/// Who a client says it is.
#[derive(Deserialize)]
struct Hello {
    client_id: String,
}

/// What serves the sockets, and a hold on all of them.
pub fn layer(post: &Arc<Post>, ping_every: Duration) -> (SocketIoLayer, SocketIo) {
    let (layer, io) = SocketIo::builder()
        .max_payload(PAYLOAD_BYTES_MAX)
        .max_buffer_size(PACKETS_MAX)
        .connect_timeout(NAMING_TIME_MAX)
        .ping_interval(ping_every)
        .ping_timeout(ping_every * 2)
        .build_layer();
    let (post, door) = (post.clone(), post.clone());
    let admit = move |hello: TryData<Hello>| {
        let full = door.sockets() >= SOCKETS_MAX;
        async move {
            match (hello.0, full) {
                (Ok(_), false) => Ok(()),
                (Ok(_), true) => Err("there are too many sockets"),
                (Err(_), _) => Err("a client says who it is: {\"client_id\": name}"),
            }
        }
    };
    let open = async move |socket: SocketRef, TryData(hello): TryData<Hello>| {
        if let Ok(Hello { client_id }) = hello {
            join(&post, socket, cut(&client_id));
        }
    };
    io.ns("/", open.with(admit));
    (layer, io)
}

/// Lets a socket hear what concerns its client, until either is gone.
fn join(post: &Arc<Post>, socket: SocketRef, name: Arc<str>) {
    let query = socket.req_parts().uri.query().unwrap_or_default();
    let sort = match query.split('&').any(|pair| pair == WORKER_QUERY) {
        true => Sort::Worker,
        false => Sort::Control,
    };
    let mail = post.join(&name, sort);
    let (post, number) = (post.clone(), mail.number);
    socket.on_disconnect(async move || post.leave(&name, number));
    drop(tokio::spawn(deliver(socket, sort, mail)));
}

async fn deliver(socket: SocketRef, sort: Sort, mut mail: Mailbox) {
    let mut counting = sort == Sort::Control;
    loop {
        let text = tokio::select! {
            biased;
            text = mail.mail.recv() => text,
            changed = mail.amount.changed(), if counting => {
                counting = changed.is_ok();
                let amount = *mail.amount.borrow_and_update();
                match amount {
                    Some(amount) => Some(post::available(amount)),
                    None => continue,
                }
            }
        };
        let Some(text) = text else { break };
        if !send(&socket, &text).await {
            break;
        }
    }
    // It may have gone by itself.
    let _ = socket.disconnect();
}

/// Sends an event as soon as there is room; false when the socket is gone.
async fn send(socket: &SocketRef, text: &Mail) -> bool {
    loop {
        match socket.emit(EVENT, &**text) {
            Ok(()) => return true,
            Err(SendError::Socket(SocketError::InternalChannelFull)) => sleep(NO_ROOM_PAUSE).await,
            Err(_) => return false,
        }
    }
}

/// Passes on what happens until the server ends; then all sockets end.
pub async fn pass_on(news: Receiver<News>, post: Arc<Post>, io: SocketIo) {
    while let Ok(news) = news.recv().await {
        post.hear(news);
    }
    io.close().await;
}
