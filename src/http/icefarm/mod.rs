//! The control server of iCEFARM on the web door: its routes, its Socket.IO, and for boards without an agent what its
//! workers say.
//!
//! Reading order: `farm` (what is asked of a server), `arguments` (what callers say), `calls` (the routes), `post` (who
//! is told what, and what waits for those who are away), `sockets` (Socket.IO itself).
//!
//! That protocol knows neither users nor passwords, and its GETs change things. So it is served to the networks that are
//! allowed in, and never to pages from elsewhere.

mod arguments;
mod calls;
mod farm;
mod post;
mod sockets;

pub use farm::{Admission, Answer, Ask, Boards, Farm, Held, News, Reserved};

use super::house::House;
use super::router::Arrival;
use super::{origin, tell};
use axum::Router;
use axum::extract::{Extension, Request, State};
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum::routing::any;
use post::{Post, Times};
use std::sync::Arc;

/// What the routes share.
#[derive(Clone)]
struct Shared {
    house: Arc<dyn House>,
    farm: Arc<dyn Farm>,
    post: Arc<Post>,
}

/// The routes, and the task that passes on what happens.
pub fn routes(house: &Arc<dyn House>) -> Router {
    let farm = house.farm();
    let post = Arc::new(Post::new(farm.clone(), Times::DEFAULT));
    let shared = Shared { house: house.clone(), farm: farm.clone(), post: post.clone() };
    let (layer, io) = sockets::layer(&post, house.limits().ping_every);
    tokio::spawn(sockets::pass_on(farm.news(), post, io));
    // Without the state, which there is none of, the layer would be laid anew for each request, and know no session.
    let sockets = Router::new().route(sockets::PATH, any(tell::not_found)).layer(layer).with_state(());
    calls::routes(shared.clone()).merge(sockets).layer(from_fn_with_state(shared, guard))
}

/// Lets in whom the farm admits, unless a page from elsewhere makes him ask.
async fn guard(
    State(shared): State<Shared>,
    Extension(arrival): Extension<Arrival>,
    request: Request,
    next: Next,
) -> Response {
    match shared.farm.admits(arrival.peer.ip()) {
        Admission::Welcome => {}
        Admission::Closed => return tell::not_found().await,
        Admission::Stranger => {
            tracing::warn!(peer = %arrival.peer, "refused: not of a network that may come in (icefarm.allow)");
            return tell::line(StatusCode::FORBIDDEN, "this network may not come in (icefarm.allow)");
        }
    }
    match origin::refusal_of_any(request.headers(), arrival, &shared.house.limits()) {
        Some(refused) => refused,
        None => next.run(request).await,
    }
}
