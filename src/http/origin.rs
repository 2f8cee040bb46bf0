//! Which pages may speak with the server: browsers say on whose behalf they ask, programs say nothing and need not.
//!
//! A page of this very server may. But whoever owns a name can let it stand for any address, so where only this host can
//! come in, a name proves nothing about who serves the page: there the server must be called by its address or localhost.

use super::house::Limits;
use super::router::Arrival;
use super::tell;
use axum::http::header::{HOST, ORIGIN};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use std::net::{IpAddr, SocketAddr};

/// The refusal of a page from elsewhere, if this is one.
pub fn refusal(headers: &HeaderMap, arrival: Arrival, limits: &Limits) -> Option<Response> {
    let origin = headers.get(ORIGIN)?;
    let text = |value: &axum::http::HeaderValue| value.to_str().unwrap_or_default().to_owned();
    let host = headers.get(HOST).map(text).unwrap_or_default();
    if may_speak(&text(origin), &host, arrival.local, &limits.origins) {
        return None;
    }
    tracing::info!(peer = %arrival.peer, ?origin, "refused: a page of an origin that may not speak with us (web.origins)");
    Some(tell::line(
        StatusCode::FORBIDDEN,
        "pages of this origin may not speak with this server; web.origins lists those that may",
    ))
}

/// Whether a page of this origin may speak with a server that it calls `host` and that was reached at `local`.
fn may_speak(origin: &str, host: &str, local: Option<SocketAddr>, listed: &[String]) -> bool {
    if listed.iter().any(|other| other == origin) {
        return true;
    }
    let Some((scheme, authority)) = origin.split_once("://") else { return false };
    let own = !host.is_empty() && authority.eq_ignore_ascii_case(host) && matches!(scheme, "http" | "https");
    let local = local.is_none_or(|local| local.ip().to_canonical().is_loopback());
    own && (!local || is_no_name(host))
}

/// Whether nobody but this host itself can be meant.
fn is_no_name(host: &str) -> bool {
    let bare = match host.rsplit_once(':') {
        Some((bare, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => bare,
        _ => host,
    };
    let address = bare.strip_prefix('[').and_then(|bare| bare.strip_suffix(']')).unwrap_or(bare);
    address.parse::<IpAddr>().is_ok() || bare.eq_ignore_ascii_case("localhost")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_of_this_server_and_of_listed_origins_may_speak() {
        let listed = vec!["https://lab.example".to_owned()];
        let (inner, outer) = ("127.0.0.1:8080", "10.0.0.1:8080");
        for (origin, host, local, may) in [
            ("http://127.0.0.1:8080", "127.0.0.1:8080", inner, true),
            ("http://localhost:8080", "localhost:8080", inner, true),
            ("http://LOCALHOST:8080", "localhost:8080", inner, true),
            ("http://[::1]:8080", "[::1]:8080", "[::1]:8080", true),
            ("http://[::1]", "[::1]", "[::1]:80", true),
            ("https://127.0.0.1", "127.0.0.1", inner, true),
            ("http://127.0.0.1:8081", "127.0.0.1:8080", inner, false),
            ("http://localhost:8080", "127.0.0.1:8080", inner, false),
            ("http://evil.example:8080", "evil.example:8080", inner, false),
            ("http://evil.example:8080", "evil.example:8080", "[::ffff:127.0.0.1]:8080", false),
            ("http://berth.lab:8080", "berth.lab:8080", outer, true),
            ("http://evil.example", "berth.lab:8080", outer, false),
            ("https://lab.example", "127.0.0.1:8080", inner, true),
            ("http://lab.example", "127.0.0.1:8080", inner, false),
            ("https://lab.example.evil.example", "127.0.0.1:8080", inner, false),
            ("ftp://127.0.0.1:8080", "127.0.0.1:8080", inner, false),
            ("null", "127.0.0.1:8080", inner, false),
            ("", "", inner, false),
            ("http://", "", outer, false),
        ] {
            let local = local.parse().ok();
            assert_eq!(may_speak(origin, host, local, &listed), may, "{origin} at {host} by {local:?}");
        }
    }
}
