//! Answers that are neither pages nor messages: one line for people, or JSON for programs.

use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};

/// One line, and why.
pub fn line(status: StatusCode, text: &str) -> Response {
    (status, [(CONTENT_TYPE, "text/plain; charset=utf-8")], format!("{text}\n")).into_response()
}

/// A value.
pub fn json(status: StatusCode, value: serde_json::Value) -> Response {
    (status, [(CONTENT_TYPE, "application/json")], value.to_string()).into_response()
}

/// There is nothing of this name.
pub async fn not_found() -> Response {
    line(StatusCode::NOT_FOUND, "there is no such page here; / is the panel")
}

/// It is there, but not for this method.
pub async fn wrong_method() -> Response {
    line(
        StatusCode::METHOD_NOT_ALLOWED,
        "this path does not have this method; the header Allow names those it has",
    )
}
