//! What watches over the server asks: `/healthz`, `/readyz`, `/metrics`. However often it is asked, the server works out an
//! answer once in a while only.

use super::house::{House, Readiness};
use super::tell;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::json;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

/// How long an answer is given again.
const FRESH: Duration = Duration::from_secs(1);

/// How long the server may take to say that it is ready.
const READY_TIME_MAX: Duration = Duration::from_secs(2);

/// What OpenMetrics text calls itself.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What was answered last.
struct Probes {
    house: Arc<dyn House>,
    ready: Fresh<Readiness>,
    metrics: Fresh<String>,
}

/// The routes.
pub fn routes(house: &Arc<dyn House>) -> Router {
    let probes = Probes { house: house.clone(), ready: Fresh::default(), metrics: Fresh::default() };
    Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .with_state(Arc::new(probes))
}

/// The process lives. Nothing is asked of anybody.
async fn healthz() -> Response {
    tell::line(StatusCode::OK, "ok")
}

async fn readyz(State(probes): State<Arc<Probes>>) -> Response {
    let asked = async { timeout(READY_TIME_MAX, probes.house.readiness()).await };
    let slow = || Readiness { reasons: vec!["the desk does not answer".to_owned()] };
    let found = probes.ready.or_else(async { asked.await.unwrap_or_else(|_| slow()) }).await;
    let ready = found.reasons.is_empty();
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    tell::json(status, json!({"ready": ready, "reasons": found.reasons}))
}

async fn metrics(State(probes): State<Arc<Probes>>) -> Response {
    let text = probes.metrics.or_else(async { probes.house.metrics() }).await;
    ([(CONTENT_TYPE, OPEN_METRICS)], text).into_response()
}

/// An answer, and when it was found.
struct Fresh<T>(Mutex<Option<(Instant, T)>>);

impl<T> Default for Fresh<T> {
    fn default() -> Fresh<T> {
        Fresh(Mutex::new(None))
    }
}

impl<T: Clone> Fresh<T> {
    /// The answer found lately, or the one found now. Whoever asks meanwhile waits for it instead of asking again.
    async fn or_else(&self, find: impl Future<Output = T>) -> T {
        let mut known = self.0.lock().await;
        if let Some((at, answer)) = known.as_ref()
            && at.elapsed() < FRESH
        {
            return answer.clone();
        }
        let answer = find.await;
        *known = Some((Instant::now(), answer.clone()));
        answer
    }
}
