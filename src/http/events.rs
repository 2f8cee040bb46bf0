//! `GET /events`: what changes, as ids, for pages that keep themselves up to date. Each message carries a cursor, and whoever
//! comes back with one hears everything since, or that nobody knows it any more.

use super::house::{Change, Changes, House};
use super::router::Arrival;
use super::{origin, socket};
use crate::error::Fault;
use axum::Router;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Extension, Query, State};
use axum::http::HeaderMap;
use axum::response::Response;
use axum::routing::get;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};

/// Bytes of what a page says.
const WORDS_BYTES_MAX: usize = 4 * 1024;

/// Whoever lets so many pings pass without a word is gone.
const PINGS_UNANSWERED_MAX: u32 = 3;

/// What may stand in the address.
#[derive(Deserialize)]
struct Asked {
    /// Up to where the page has heard everything.
    cursor: Option<String>,
}

/// The first message of a page.
#[derive(Deserialize)]
struct Hello {
    /// Its session. It does not stand in the address, because addresses are logged.
    session: String,
    /// Up to where it has heard everything; wins over the address.
    #[serde(default)]
    cursor: Option<String>,
}

/// The route.
pub fn routes(house: &Arc<dyn House>) -> Router {
    Router::new().route("/events", get(open)).with_state(house.clone())
}

async fn open(
    State(house): State<Arc<dyn House>>,
    Extension(arrival): Extension<Arrival>,
    Query(asked): Query<Asked>,
    headers: HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Response {
    let mut limits = house.limits();
    if let Some(refused) = origin::refusal(&headers, arrival, &limits) {
        return refused;
    }
    limits.message_bytes_max = limits.message_bytes_max.min(WORDS_BYTES_MAX);
    socket::bounded(upgrade, &limits).on_upgrade(move |socket| async move {
        let (mut sink, mut stream) = socket.split();
        let hello = timeout(limits.request_time_max, hello(&mut stream)).await;
        let begun = match hello {
            Ok(Some(Hello { session, cursor })) => {
                house.changes(&session, cursor.or(asked.cursor).as_deref())
            }
            _ => {
                Err(Fault::new(crate::error::Code::AUTH_REQUIRED, "the first message is {\"session\": ...}"))
            }
        };
        // The peer may be gone by now, which ends it as well.
        match begun {
            Ok(changes) => tell_all(&mut sink, &mut stream, changes, limits.ping_every).await,
            Err(fault) => drop(say(&mut sink, refused(&fault)).await),
        }
        socket::part(&mut sink, &mut stream).await;
    })
}

/// What a page begins with.
async fn hello(stream: &mut SplitStream<WebSocket>) -> Option<Hello> {
    loop {
        match stream.next().await?.ok()? {
            Message::Text(text) => return serde_json::from_str(&text).ok(),
            Message::Ping(_) | Message::Pong(_) => {}
            _ => return None,
        }
    }
}

/// Tells what changes until either side ends.
async fn tell_all(
    sink: &mut SplitSink<WebSocket, Message>,
    stream: &mut SplitStream<WebSocket>,
    changes: Box<dyn Changes>,
    ping_every: Duration,
) {
    let here = async {
        while let Ok(Some(Ok(_))) = timeout(ping_every * PINGS_UNANSWERED_MAX, stream.next()).await {}
    };
    tokio::select! {
        () = here => {}
        () = say_all(sink, changes, ping_every) => {}
    }
}

async fn say_all(
    sink: &mut SplitSink<WebSocket, Message>,
    mut changes: Box<dyn Changes>,
    ping_every: Duration,
) {
    let mut beats = interval_at(Instant::now() + ping_every, ping_every);
    beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    if say(sink, json!({"cursor": changes.cursor()})).await.is_err() {
        return;
    }
    loop {
        let news = tokio::select! {
            change = changes.next() => change.map(Some),
            _ = beats.tick() => Some(None),
        };
        let said = match news {
            None => return,
            Some(change) => tell(sink, changes.as_ref(), change).await,
        };
        if said.is_err() {
            return;
        }
    }
}

/// There is nobody to tell, or nothing more to be told.
struct Over;

/// Tells a change, or that there is none.
async fn tell(
    sink: &mut SplitSink<WebSocket, Message>,
    changes: &dyn Changes,
    change: Option<Change>,
) -> Result<(), Over> {
    if let Err(fault) = changes.touch() {
        // It is over in any case.
        let _ = say(sink, refused(&fault)).await;
        return Err(Over);
    }
    let cursor = changes.cursor();
    let beat = change.is_none();
    say(
        sink,
        match change {
            Some(Change::These { jobs, machines }) => {
                json!({"jobs_changed": jobs, "machines_changed": machines, "cursor": cursor})
            }
            Some(Change::Reset) => json!({"reset": true, "cursor": cursor}),
            None => json!({"heartbeat": true, "cursor": cursor}),
        },
    )
    .await?;
    match beat {
        // Browsers answer a ping without asking the page, which is how we know that they are there.
        true => sink.send(Message::Ping(Default::default())).await.map_err(|_| Over),
        false => Ok(()),
    }
}

async fn say(sink: &mut SplitSink<WebSocket, Message>, words: Value) -> Result<(), Over> {
    sink.send(Message::Text(words.to_string().into())).await.map_err(|_| Over)
}

fn refused(fault: &Fault) -> Value {
    json!({"error": {"code": fault.code.number(), "msg": fault.msg}})
}
