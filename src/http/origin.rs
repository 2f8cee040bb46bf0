//! Which pages may speak with the server: browsers say on whose behalf they ask, programs say nothing and need not.
//!
//! A page of this very server may. But whoever owns a name can let it stand for any address, so where only this host can
//! come in, a name proves nothing about who serves the page: there the server must be called by its address or localhost.

use super::house::Limits;
use super::router::Arrival;
use super::tell;
use axum::http::header::{HOST, ORIGIN, REFERER};
use axum::http::{HeaderMap, HeaderName, StatusCode};
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

/// The refusal of whatever a page from elsewhere makes a browser fetch, also where it says no origin: for addresses that
/// change something by being looked at. Who is no browser says nothing of this and passes.
pub fn refusal_of_any(headers: &HeaderMap, arrival: Arrival, limits: &Limits) -> Option<Response> {
    if headers.contains_key(ORIGIN) {
        return refusal(headers, arrival, limits);
    }
    let text = |name: HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    let site = text(HeaderName::from_static("sec-fetch-site"));
    let referrer = text(REFERER);
    let host = text(HOST).unwrap_or_default();
    let elsewhere = site.is_some_and(|site| !matches!(site, "same-origin" | "none"))
        || referrer.is_some_and(|page| !may_speak(origin_of(page), host, arrival.local, &limits.origins));
    // A name that somebody lets stand for this host makes his pages ours, in a browser's eyes.
    let renamed = site.is_some() && is_own_host_only(arrival.local) && !is_no_name(host);
    let listed = || limits.origins.iter().any(|origin| origin_host(origin) == Some(host));
    if !elsewhere && (!renamed || listed()) {
        return None;
    }
    tracing::info!(peer = %arrival.peer, ?site, ?referrer, "refused: a page from elsewhere asked for something (web.origins)");
    Some(tell::line(StatusCode::FORBIDDEN, "pages from elsewhere may not ask for this"))
}

/// The origin of a page.
fn origin_of(page: &str) -> &str {
    let start = page.find("://").map_or(0, |at| at + 3);
    let end = page.get(start..).and_then(|rest| rest.find(['/', '?', '#']));
    end.and_then(|end| page.get(..start + end)).unwrap_or(page)
}

fn origin_host(origin: &str) -> Option<&str> {
    origin.split_once("://").map(|(_, host)| host)
}

/// Whether a connection came in where only this host can.
fn is_own_host_only(local: Option<SocketAddr>) -> bool {
    local.is_none_or(|local| local.ip().to_canonical().is_loopback())
}

/// Whether a page of this origin may speak with a server that it calls `host` and that was reached at `local`.
fn may_speak(origin: &str, host: &str, local: Option<SocketAddr>, listed: &[String]) -> bool {
    if listed.iter().any(|other| other == origin) {
        return true;
    }
    let Some((scheme, authority)) = origin.split_once("://") else { return false };
    let own = !host.is_empty() && authority.eq_ignore_ascii_case(host) && matches!(scheme, "http" | "https");
    own && (!is_own_host_only(local) || is_no_name(host))
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
    fn what_changes_by_being_looked_at_is_not_for_pages_from_elsewhere() {
        let limits = Limits {
            origins: vec!["https://lab.example".to_owned()],
            body_bytes_max: 0,
            message_bytes_max: 0,
            request_time_max: std::time::Duration::ZERO,
            stall_time_max: std::time::Duration::ZERO,
            ping_every: std::time::Duration::ZERO,
        };
        let (inner, outer) = ("127.0.0.1:8080", "10.0.0.1:8080");
        for (host, local, said, may) in [
            (inner, inner, &[][..], true),
            ("lab", inner, &[], true),
            (inner, inner, &[("sec-fetch-site", "none")], true),
            (
                inner,
                inner,
                &[("sec-fetch-site", "same-origin"), ("referer", "http://127.0.0.1:8080/x?y")],
                true,
            ),
            (inner, inner, &[("sec-fetch-site", "cross-site")], false),
            (inner, inner, &[("sec-fetch-site", "same-site")], false),
            (inner, inner, &[("referer", "http://evil.example/")], false),
            (inner, inner, &[("referer", "http://evil.example/http://127.0.0.1:8080/")], false),
            (inner, inner, &[("origin", "http://evil.example")], false),
            (inner, inner, &[("origin", "http://127.0.0.1:8080")], true),
            ("evil.example", inner, &[("sec-fetch-site", "same-origin")], false),
            ("lab.example", inner, &[("sec-fetch-site", "same-origin")], true),
            ("lab:8080", outer, &[("sec-fetch-site", "same-origin"), ("referer", "http://lab:8080/")], true),
            ("lab:8080", outer, &[("referer", "http://lab:8080.evil.example/")], false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(HOST, host.parse().expect("a host"));
            for (name, value) in said {
                headers.insert(*name, value.parse().expect("a value"));
            }
            let arrival =
                Arrival { peer: "127.0.0.1:1".parse().expect("an address"), local: local.parse().ok() };
            assert_eq!(refusal_of_any(&headers, arrival, &limits).is_none(), may, "{host} {local} {said:?}");
        }
    }

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
