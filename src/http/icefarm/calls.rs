//! The routes. What is refused has an empty body, because no client reads it: 400 for what nobody understands, 500 for
//! what the server does not do.

use super::Shared;
use super::arguments::{self, LogLine, Nonsense};
use super::farm::{Answer, Ask, Reserved};
use super::sockets::WORKER_QUERY;
use crate::http::api::{self, Cut};
use crate::http::router::Arrival;
use crate::http::tell;
use axum::Router;
use axum::extract::{Extension, RawQuery, Request, State};
use axum::http::header::HOST;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get};
use serde_json::{Map, Value, json};
use std::sync::Arc;
use tokio::time::timeout;

/// Lines of one `/log` that are passed on; the rest is left out.
const LOG_LINES_MAX: usize = 1000;

/// Characters of such a line.
const LOG_LINE_CHARS_MAX: usize = 1000;

/// What comes of what was said: a question to the farm, or none where the answer is known to be no.
type Read = fn(&Map<String, Value>) -> Result<Option<Ask>, Nonsense>;

/// The routes that are questions, and how what is said with them is read.
const CALLS: [(&str, Read); 8] = [
    ("/reserve", arguments::reserve),
    ("/reserveserials", |said| arguments::reserve_serials(said).map(Some)),
    ("/extend", |said| {
        Ok(Some(Ask::Extend { name: arguments::name(said)?, serials: Some(arguments::serials(said)?) }))
    }),
    ("/extendall", |said| Ok(Some(Ask::Extend { name: arguments::name(said)?, serials: None }))),
    ("/end", |said| {
        Ok(Some(Ask::End { name: arguments::name(said)?, serials: Some(arguments::serials(said)?) }))
    }),
    ("/endall", |said| Ok(Some(Ask::End { name: arguments::name(said)?, serials: None }))),
    ("/reboot", |said| Ok(Some(Ask::Reboot(arguments::serials(said)?)))),
    ("/delete", |said| Ok(Some(Ask::Delete(arguments::serials(said)?)))),
];

/// The routes that are questions without arguments; what is said with them is not looked at.
const PLAIN_CALLS: [(&str, Ask); 3] =
    [("/available", Ask::Available), ("/devices", Ask::Devices), ("/clear-workers", Ask::Clear)];

/// All of them, and `/log`.
pub fn routes(shared: Shared) -> Router {
    let mut router = Router::new().route("/log", only_get(get(log)));
    for (path, read) in CALLS {
        let call = move |state: State<Shared>, arrival: Extension<Arrival>, request: Request| {
            call(state, arrival, request, read)
        };
        router = router.route(path, only_get(get(call)));
    }
    for (path, ask) in PLAIN_CALLS {
        let call = async move |State(shared): State<Shared>| match shared.farm.ask(ask.clone()).await {
            Ok(answer) => written(&answer, ""),
            Err(_) => refused(),
        };
        router = router.route(path, only_get(get(call)));
    }
    router.with_state(shared)
}

/// These change something, so HEAD, which asks to look only, is none of theirs.
fn only_get(route: MethodRouter<Shared>) -> MethodRouter<Shared> {
    route.head(tell::wrong_method)
}

async fn call(
    State(shared): State<Shared>,
    Extension(arrival): Extension<Arrival>,
    request: Request,
    read: Read,
) -> Response {
    let base = shared.farm.own_url().unwrap_or_else(|| called(request.headers(), arrival));
    let said = match said(&shared, request).await {
        Ok(said) => said,
        Err(refused) => return refused,
    };
    let ask = match read(&said) {
        Ok(Some(ask)) => ask,
        Ok(None) => return refused(),
        Err(Nonsense) => return StatusCode::BAD_REQUEST.into_response(),
    };
    let rebooting = matches!(ask, Ask::Reboot(_));
    match shared.farm.ask(ask).await {
        Ok(answer) => {
            if let (true, Answer::Serials(serials)) = (rebooting, &answer) {
                shared.post.rebooted(serials);
            }
            written(&answer, &base)
        }
        Err(fault) => {
            tracing::debug!(peer = %arrival.peer, %fault, "a call of an iCEFARM client was refused");
            refused()
        }
    }
}

/// The arguments of a call.
async fn said(shared: &Shared, request: Request) -> Result<Map<String, Value>, Response> {
    let limits = shared.house.limits();
    let (head, body) = request.into_parts();
    let bytes = match api::is_json(&head.headers) {
        true => match timeout(limits.request_time_max, api::gather(body, limits.body_bytes_max)).await {
            Err(_) => return Err(StatusCode::REQUEST_TIMEOUT.into_response()),
            Ok(Err(Cut::TooLarge)) => return Err(StatusCode::PAYLOAD_TOO_LARGE.into_response()),
            Ok(Err(Cut::Broken)) => return Err(StatusCode::BAD_REQUEST.into_response()),
            Ok(Ok(bytes)) => bytes,
        },
        false => queried(&RawQuery(head.uri.query().map(str::to_owned))).unwrap_or_default(),
    };
    arguments::object(&bytes).map_err(|Nonsense| StatusCode::BAD_REQUEST.into_response())
}

/// What stands behind `json=` in an address.
fn queried(RawQuery(query): &RawQuery) -> Option<Vec<u8>> {
    let query = query.as_deref()?;
    let value = query.split('&').find_map(|pair| pair.strip_prefix("json="))?;
    let (mut bytes, mut rest) = (Vec::with_capacity(value.len()), value.bytes());
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
                (digit(rest.next())? * 16 + digit(rest.next())?) as u8
            }
            plain => plain,
        });
    }
    Some(bytes)
}

/// This door, as somebody called it.
fn called(headers: &HeaderMap, arrival: Arrival) -> String {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()).filter(|host| !host.is_empty());
    match (host, arrival.local) {
        (Some(host), _) => format!("http://{host}"),
        (None, Some(local)) => format!("http://{local}"),
        (None, None) => "http://localhost".to_owned(),
    }
}

fn refused() -> Response {
    StatusCode::INTERNAL_SERVER_ERROR.into_response()
}

fn written(answer: &Answer, base: &str) -> Response {
    let value = match answer {
        Answer::Amount(amount) => json!({"amount": amount}),
        Answer::Serials(serials) => serials.iter().map(|serial| Value::from(&**serial)).collect(),
        Answer::Reserved(reserved) => reserved.iter().map(|board| row(board, base)).collect(),
        Answer::Done => json!({"status": "ok"}),
    };
    tell::json(StatusCode::OK, value)
}

/// A board as clients of all versions read it: older ones put the address together themselves.
fn row(board: &Reserved, base: &str) -> Value {
    let url = board.url.clone().unwrap_or_else(|| format!("{}/?{WORKER_QUERY}", base.trim_end_matches('/')));
    let parsed = url.parse::<Uri>().ok();
    let host = parsed.as_ref().and_then(Uri::host).unwrap_or_default();
    let secure = parsed.as_ref().and_then(Uri::scheme_str) == Some("https");
    let port = parsed.as_ref().and_then(Uri::port_u16).unwrap_or(if secure { 443 } else { 80 });
    json!({"serial": &*board.serial, "url": url, "ip": host, "serverport": port})
}

/// Lines of a worker for our log.
async fn log(State(shared): State<Shared>, request: Request) -> Response {
    let said = match said(&shared, request).await {
        Ok(said) => said,
        Err(refused) => return refused,
    };
    match arguments::log(&said) {
        Err(Nonsense) => StatusCode::BAD_REQUEST.into_response(),
        Ok((name, lines)) => {
            lines.iter().take(LOG_LINES_MAX).for_each(|line| note(&name, line));
            StatusCode::OK.into_response()
        }
    }
}

/// What strangers say is quoted, so that it cannot look like words of ours.
fn note(name: &Arc<str>, line: &LogLine) {
    let said: String = line.text.chars().take(LOG_LINE_CHARS_MAX).collect();
    match line.level {
        40.. => tracing::error!(?name, ?said, "a worker of iCEFARM says"),
        30.. => tracing::warn!(?name, ?said, "a worker of iCEFARM says"),
        20.. => tracing::info!(?name, ?said, "a worker of iCEFARM says"),
        _ => tracing::debug!(?name, ?said, "a worker of iCEFARM says"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::header::CONTENT_TYPE;

    #[test]
    fn arguments_may_stand_in_the_address() {
        let query = |text: &str| queried(&RawQuery(Some(text.to_owned())));
        assert_eq!(query("json=%7B%22a%22:+1%7D").as_deref(), Some(&br#"{"a": 1}"#[..]));
        assert_eq!(query("x=1&json={}").as_deref(), Some(&b"{}"[..]));
        for text in ["", "x=1", "json=%", "json=%7", "json=%zz"] {
            assert_eq!(query(text), None, "{text}");
        }
        assert_eq!(queried(&RawQuery(None)), None);
    }

    #[test]
    fn bodies_are_json_also_with_a_charset() {
        for (kind, is) in [
            ("application/json", true),
            ("application/json; charset=utf-8", true),
            ("Application/JSON", true),
            ("text/plain", false),
        ] {
            let headers = HeaderMap::from_iter([(CONTENT_TYPE, kind.parse().expect("a kind"))]);
            assert_eq!(api::is_json(&headers), is, "{kind}");
        }
    }

    #[test]
    fn rows_serve_clients_of_all_versions() {
        let board = |url: Option<&str>| Reserved { serial: "a".into(), url: url.map(str::to_owned) };
        for (url, base, wanted) in [
            (
                None,
                "http://lab:8080",
                json!({"url": "http://lab:8080/?berth=worker", "ip": "lab", "serverport": 8080}),
            ),
            (
                None,
                "http://[::1]:80/",
                json!({"url": "http://[::1]:80/?berth=worker", "ip": "[::1]", "serverport": 80}),
            ),
            (
                None,
                "https://lab",
                json!({"url": "https://lab/?berth=worker", "ip": "lab", "serverport": 443}),
            ),
            (Some("http://w:1"), "http://lab", json!({"url": "http://w:1", "ip": "w", "serverport": 1})),
        ] {
            let mut row = row(&board(url), base);
            assert_eq!(row.as_object_mut().and_then(|row| row.remove("serial")), Some(json!("a")));
            assert_eq!(row, wanted);
        }
    }
}
