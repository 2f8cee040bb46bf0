//! All routes, put together. What another protocol adds to this door is merged, and wrapped around it, here and nowhere else.

use super::house::House;
use super::{api, events, icefarm, pages, probes, socket, tell};
use crate::error::Fault;
use axum::Router;
use axum::extract::Request;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use std::net::SocketAddr;
use std::sync::Arc;

/// What pages may do: use what this server itself serves, and be framed by nobody.
const POLICY: &str =
    "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'";

/// What each answer says to browsers, unless its route says otherwise.
const HEADERS: [(HeaderName, &str); 6] = [
    (CONTENT_SECURITY_POLICY, POLICY),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (REFERRER_POLICY, "no-referrer"),
    (CACHE_CONTROL, "no-store"),
    (HeaderName::from_static("x-frame-options"), "DENY"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

/// Whose request it is; every request carries it.
#[derive(Clone, Copy, Debug)]
pub struct Arrival {
    /// Who is at the other end.
    pub peer: SocketAddr,
    /// Where the connection came in, if the socket still knows.
    pub local: Option<SocketAddr>,
}

/// The routes of the web door.
pub fn router(house: &Arc<dyn House>) -> Router {
    Router::new()
        .merge(probes::routes(house))
        .merge(socket::routes(house))
        .merge(events::routes(house))
        .merge(api::routes(house))
        .merge(pages::routes())
        .merge(icefarm::routes(house))
        .fallback(tell::not_found)
        .method_not_allowed_fallback(tell::wrong_method)
        .layer(from_fn(say_headers))
}

/// What somebody finds for whom there is no room.
pub fn refusing(fault: &Fault) -> Router {
    let text = fault.to_string();
    Router::new().fallback(move || async move { tell::line(StatusCode::SERVICE_UNAVAILABLE, &text) })
}

async fn say_headers(request: Request, next: Next) -> Response {
    let mut answer = next.run(request).await;
    add_headers(answer.headers_mut());
    answer
}

fn add_headers(headers: &mut HeaderMap) {
    for (name, value) in HEADERS {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
}
