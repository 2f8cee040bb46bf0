//! `POST /api`: one native message in, its answer out. The session is named in the message; there are no cookies, so no other
//! page can speak in anybody's name.

use super::house::{Form, Heard, House, Limits, Line};
use super::router::Arrival;
use super::{origin, pages, tell};
use axum::Router;
use axum::body::Body;
use axum::extract::{Extension, Request, State};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderName, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures_util::StreamExt;
use std::sync::Arc;
use tokio::time::timeout;

/// What a message is sent as.
const JSON: &str = "application/json";

/// The route. What a browser finds there when it only looks is the playground.
pub fn routes(house: &Arc<dyn House>) -> Router {
    Router::new().route("/api", get(pages::api).post(call)).with_state(house.clone())
}

async fn call(
    State(house): State<Arc<dyn House>>,
    Extension(arrival): Extension<Arrival>,
    request: Request,
) -> Response {
    let limits = house.limits();
    let (head, body) = request.into_parts();
    if let Some(refused) = refusal(&head.headers, arrival, &limits) {
        return refused;
    }
    match timeout(limits.request_time_max, gather(body, limits.body_bytes_max)).await {
        Err(_) => {
            tell::line(StatusCode::REQUEST_TIMEOUT, "the request took too long to come (limits.handshake_s)")
        }
        Ok(Err(Cut::Broken)) => tell::line(StatusCode::BAD_REQUEST, "the request broke off"),
        Ok(Err(Cut::TooLarge)) => too_large(&limits),
        Ok(Ok(bytes)) => answer(house.consult(arrival.peer), bytes).await,
    }
}

/// Why a request is refused before it is read.
fn refusal(headers: &HeaderMap, arrival: Arrival, limits: &Limits) -> Option<Response> {
    if let Some(refused) = origin::refusal(headers, arrival, limits) {
        return Some(refused);
    }
    if !is_json(headers) {
        return Some(tell::line(StatusCode::UNSUPPORTED_MEDIA_TYPE, "a message is sent as application/json"));
    }
    let length = text_of(headers, CONTENT_LENGTH).and_then(|length| length.parse::<u64>().ok());
    length.is_some_and(|length| length > limits.body_bytes_max as u64).then(|| too_large(limits))
}

/// Whether a body says of itself that it is JSON.
pub fn is_json(headers: &HeaderMap) -> bool {
    let kind = text_of(headers, CONTENT_TYPE).unwrap_or_default();
    kind.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(JSON)
}

fn text_of(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

fn too_large(limits: &Limits) -> Response {
    let text = format!("the message is larger than {} bytes (web.body_bytes_max)", limits.body_bytes_max);
    tell::line(StatusCode::PAYLOAD_TOO_LARGE, &text)
}

/// Why a body was not taken.
pub enum Cut {
    /// It did not come whole.
    Broken,
    /// There is too much of it.
    TooLarge,
}

/// The whole of a body, up to a limit.
pub async fn gather(body: Body, bytes_max: usize) -> Result<Vec<u8>, Cut> {
    let (mut pieces, mut bytes) = (body.into_data_stream(), Vec::new());
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(|_| Cut::Broken)?;
        if bytes.len() + piece.len() > bytes_max {
            return Err(Cut::TooLarge);
        }
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes)
}

/// Says one thing and hears one. The line is held until then: whoever hangs up meanwhile ends it.
async fn answer(line: Line, bytes: Vec<u8>) -> Response {
    // A server that hears no more says so by silence, just below.
    let _ = line.heard.send(Heard { form: Form::Text, bytes }).await;
    match line.said.recv().await {
        Ok(said) => ([(CONTENT_TYPE, JSON)], said.bytes).into_response(),
        Err(_) => tell::line(StatusCode::SERVICE_UNAVAILABLE, "the server is shutting down; try again later"),
    }
}
