//! The runtime of the web door, and the life of each connection in it.

use super::house::House;
use super::patience::Patient;
use super::router::{self, Arrival};
use crate::error::Fault;
use async_channel::{Receiver, Sender};
use axum::Router;
use axum::extract::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;

/// Threads that serve the web door.
const THREADS: usize = 2;

/// Bytes of the head of a request.
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// Lines of the head of a request.
const HEADERS_MAX: usize = 100;

/// Connections that were accepted and are not looked at yet; those behind wait with the listener.
const VISITORS_WAITING_MAX: usize = 256;

/// Kept as long as the connection lasts, whatever becomes of it; dropping it counts the connection out.
pub type Pass = Box<dyn Send + Sync>;

/// Somebody who was let in.
pub struct Visitor {
    /// The socket; it does not block.
    pub stream: std::net::TcpStream,
    /// Who is at the other end.
    pub peer: SocketAddr,
    /// Why it is not served, if it is not.
    pub refused: Option<Fault>,
    /// Kept until the connection is gone.
    pub pass: Pass,
}

/// The web door, served until dropped.
pub struct Web {
    visitors: Sender<Visitor>,
    closing: watch::Sender<bool>,
    runtime: Option<Runtime>,
}

impl Web {
    /// Starts the threads.
    pub fn open(house: Arc<dyn House>) -> std::io::Result<Web> {
        let mut threads = Builder::new_multi_thread();
        let runtime = threads.worker_threads(THREADS).thread_name("web").enable_io().enable_time().build()?;
        let (visitors, waiting) = async_channel::bounded(VISITORS_WAITING_MAX);
        let (closing, closed) = watch::channel(false);
        runtime.spawn(take_in(house, waiting, closed));
        Ok(Web { visitors, closing, runtime: Some(runtime) })
    }

    /// Where visitors are sent to be served. Sending may have to wait.
    pub fn entrance(&self) -> Sender<Visitor> {
        self.visitors.clone()
    }

    /// Requests that have come are answered, no more are taken. Websockets end when the server has said all.
    pub fn close(&self) {
        self.visitors.close();
        self.closing.send_replace(true);
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Dropping it here would wait, which a task must not.
            runtime.shutdown_background();
        }
    }
}

async fn take_in(house: Arc<dyn House>, waiting: Receiver<Visitor>, closed: watch::Receiver<bool>) {
    let router = router::router(&house);
    while let Ok(visitor) = waiting.recv().await {
        let router = match &visitor.refused {
            None => router.clone(),
            Some(fault) => router::refusing(fault),
        };
        tokio::spawn(serve(house.clone(), router, visitor, closed.clone()));
    }
}

/// Serves one connection, one request after the other.
async fn serve(house: Arc<dyn House>, router: Router, visitor: Visitor, mut closed: watch::Receiver<bool>) {
    let Visitor { stream, peer, refused, pass } = visitor;
    let (limits, local) = (house.limits(), stream.local_addr());
    let Ok(stream) = tokio::net::TcpStream::from_std(stream) else { return };
    // A socket without it only answers later.
    let _ = stream.set_nodelay(true);
    let arrival = Arrival { peer, local: local.ok() };
    let routes = TowerToHyperService::new(router);
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(arrival);
        routes.call(request)
    });
    let io = TokioIo::new(Patient::new(stream, limits.stall_time_max, pass));
    let mut http = head_limits(limits.request_time_max);
    let connection = http.keep_alive(refused.is_none()).serve_connection(io, service).with_upgrades();
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = told(&mut closed) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%peer, %error, "a connection of the web door broke off");
    }
}

/// Returns when the door is told to close, or is gone.
async fn told(closed: &mut watch::Receiver<bool>) {
    // Either way there is nothing to wait for.
    drop(closed.wait_for(|closed| *closed).await);
}

/// What the head of a request may cost, in bytes and in time; the time between two requests counts too.
pub(super) fn head_limits(time_max: Duration) -> http1::Builder {
    let mut limits = http1::Builder::new();
    limits.timer(TokioTimer::new()).header_read_timeout(time_max);
    limits.max_buf_size(HEAD_BYTES_MAX).max_headers(HEADERS_MAX);
    limits
}
