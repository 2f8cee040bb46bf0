//! `GET /socket`: the native protocol over a websocket. A text message is the JSON of one native message, a binary one is
//! exactly one native frame, and each is answered likewise.

use super::house::{Form, Heard, House, Limits, Line, Said};
use super::origin;
use super::router::Arrival;
use axum::Router;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code};
use axum::extract::{Extension, State};
use axum::http::HeaderMap;
use axum::response::Response;
use axum::routing::get;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{MissedTickBehavior, interval_at, timeout};

/// How long a peer has to take in our last words.
const LINGER: Duration = Duration::from_secs(1);

/// Whoever lets so many pings pass without a word is gone.
const PINGS_UNANSWERED_MAX: u32 = 3;

/// The route.
pub fn routes(house: &Arc<dyn House>) -> Router {
    Router::new().route("/socket", get(open)).with_state(house.clone())
}

async fn open(
    State(house): State<Arc<dyn House>>,
    Extension(arrival): Extension<Arrival>,
    headers: HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Response {
    let limits = house.limits();
    if let Some(refused) = origin::refusal(&headers, arrival, &limits) {
        return refused;
    }
    let ping_every = limits.ping_every;
    bounded(upgrade, &limits).on_upgrade(move |socket| async move {
        pass_on(socket, house.converse(arrival.peer), ping_every).await
    })
}

/// A websocket whose messages have a limit.
pub fn bounded(upgrade: WebSocketUpgrade, limits: &Limits) -> WebSocketUpgrade {
    upgrade.max_message_size(limits.message_bytes_max).max_frame_size(limits.message_bytes_max)
}

/// Passes on what both sides say, until one of them has said all.
async fn pass_on(socket: WebSocket, line: Line, ping_every: Duration) {
    let (mut sink, mut stream) = socket.split();
    let Line { said, heard, here } = line;
    let gone = tokio::select! {
        () = hear_all(&mut stream, &heard, ping_every) => true,
        () = say_all(&mut sink, &said, ping_every) => false,
    };
    drop(here);
    if !gone {
        part(&mut sink, &mut stream).await;
    }
}

/// Passes on what the peer says, until it leaves or falls silent.
async fn hear_all(
    stream: &mut SplitStream<WebSocket>,
    heard: &async_channel::Sender<Heard>,
    ping_every: Duration,
) {
    while let Ok(Some(Ok(message))) = timeout(ping_every * PINGS_UNANSWERED_MAX, stream.next()).await {
        let message = match message {
            Message::Text(text) => Heard { form: Form::Text, bytes: text.as_bytes().to_vec() },
            Message::Binary(bytes) => Heard { form: Form::Frame, bytes: bytes.to_vec() },
            Message::Ping(_) | Message::Pong(_) => continue,
            Message::Close(_) => return,
        };
        if heard.send(message).await.is_err() {
            // The server hears no more, but may still have something to say; that ends it.
            std::future::pending::<()>().await;
        }
    }
}

/// Passes on what the server says, and asks the peer now and then whether it is there.
async fn say_all(
    sink: &mut SplitSink<WebSocket, Message>,
    said: &async_channel::Receiver<Said>,
    ping_every: Duration,
) {
    let mut pings = interval_at(tokio::time::Instant::now() + ping_every, ping_every);
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let message = tokio::select! {
            message = said.recv() => match message {
                Ok(Said { form: Form::Text, bytes }) => text_of(bytes),
                Ok(Said { form: Form::Frame, bytes }) => Message::Binary(bytes.into()),
                Err(_) => return,
            },
            _ = pings.tick() => Message::Ping(Default::default()),
        };
        if sink.send(message).await.is_err() {
            return;
        }
    }
}

/// JSON as a message. What a server says is ASCII.
fn text_of(bytes: Vec<u8>) -> Message {
    Message::Text(String::from_utf8(bytes).unwrap_or_default().into())
}

/// Says good-bye, and waits a moment for the peer to do so.
pub async fn part(sink: &mut SplitSink<WebSocket, Message>, stream: &mut SplitStream<WebSocket>) {
    let frame = CloseFrame { code: close_code::AWAY, reason: Default::default() };
    if sink.send(Message::Close(Some(frame))).await.is_ok() {
        let left = async { while let Some(Ok(_)) = stream.next().await {} };
        // One who does not answer was told all the same.
        let _ = timeout(LINGER, left).await;
    }
}
