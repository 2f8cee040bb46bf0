//! The pages and what they need: plain files, part of the program.

use super::tell;
use axum::Router;
use axum::extract::Path;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use std::sync::LazyLock;

/// A file.
struct File {
    /// Its name below `/static/`.
    name: &'static str,
    /// What is in it.
    text: &'static str,
    /// What it is.
    kind: &'static str,
}

/// A file of the folder `web`.
macro_rules! file {
    ($name:literal, $kind:expr) => {
        File { name: $name, text: include_str!(concat!("../../web/", $name)), kind: $kind }
    };
}

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const IMAGE: &str = "image/svg+xml";

/// The panel.
const PANEL: File = file!("index.html", HTML);
/// The playground.
const PLAYGROUND: File = file!("api.html", HTML);

/// What pages need. A file more in the folder is a line more here.
const STATIC: &[File] = &[
    file!("icon.svg", IMAGE),
    file!("style.css", CSS),
    file!("panel.css", CSS),
    file!("api.css", CSS),
    file!("native.js", SCRIPT),
    file!("events.js", SCRIPT),
    file!("elements.js", SCRIPT),
    file!("words.js", SCRIPT),
    file!("caller.js", SCRIPT),
    file!("login.js", SCRIPT),
    file!("ask.js", SCRIPT),
    file!("table.js", SCRIPT),
    file!("geometry.js", SCRIPT),
    file!("place.js", SCRIPT),
    file!("lab.js", SCRIPT),
    file!("map.js", SCRIPT),
    file!("board.js", SCRIPT),
    file!("machines.js", SCRIPT),
    file!("job.js", SCRIPT),
    file!("jobs.js", SCRIPT),
    file!("overview.js", SCRIPT),
    file!("panel.js", SCRIPT),
    file!("fields.js", SCRIPT),
    file!("hex.js", SCRIPT),
    file!("snippets.js", SCRIPT),
    file!("traffic.js", SCRIPT),
    file!("api.js", SCRIPT),
];

/// The routes.
pub fn routes() -> Router {
    Router::new().route("/", get(panel)).route("/static/{name}", get(part))
}

async fn panel(headers: HeaderMap) -> Response {
    serve(&PANEL, &headers)
}

/// The playground.
pub async fn api(headers: HeaderMap) -> Response {
    serve(&PLAYGROUND, &headers)
}

async fn part(Path(name): Path<String>, headers: HeaderMap) -> Response {
    match STATIC.iter().find(|file| file.name == name) {
        Some(file) => serve(file, &headers),
        None => tell::not_found().await,
    }
}

/// A file, unless the browser has it already. It asks each time, so that it never shows what an older server served.
fn serve(file: &File, headers: &HeaderMap) -> Response {
    let mark = mark_of(file);
    let said: [(HeaderName, HeaderValue); 2] =
        [(CACHE_CONTROL, HeaderValue::from_static("no-cache")), (ETAG, mark.clone())];
    let known = headers.get_all(IF_NONE_MATCH).iter().any(|known| names(known, &mark));
    match known {
        true => (StatusCode::NOT_MODIFIED, said).into_response(),
        false => (said, [(CONTENT_TYPE, file.kind)], file.text).into_response(),
    }
}

/// Whether a list of marks has this one, or stands for all.
fn names(known: &HeaderValue, mark: &HeaderValue) -> bool {
    let (Ok(known), Ok(mark)) = (known.to_str(), mark.to_str()) else { return false };
    known.split(',').map(str::trim).any(|one| one == "*" || one.trim_start_matches("W/") == mark)
}

/// A file's mark: another content has another one.
fn mark_of(file: &File) -> HeaderValue {
    static MARKS: LazyLock<Vec<(&'static str, HeaderValue)>> = LazyLock::new(|| {
        let all = [&PANEL, &PLAYGROUND].into_iter().chain(STATIC);
        all.map(|file| (file.name, reckoned(file))).collect()
    });
    let known = MARKS.iter().find(|(name, _)| *name == file.name);
    known.map_or_else(|| reckoned(file), |(_, mark)| mark.clone())
}

fn reckoned(file: &File) -> HeaderValue {
    let sum = crc32fast::hash(file.text.as_bytes());
    let text = format!("\"{:x}-{sum:08x}\"", file.text.len());
    HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static("\"\""))
}
