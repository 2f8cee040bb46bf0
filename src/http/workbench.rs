//! A worker's own door: Socket.IO for the holders of its boards, and a sign of life.
//!
//! Clients say who they are by `{"client_id": ...}` when they connect; what they say is an event `request` with one binary
//! argument, what they hear an event `event` with one text.

use super::open::head_limits;
use super::tell;
use async_channel::{Receiver, Sender};
use axum::Router;
use axum::body::Bytes;
use axum::http::StatusCode;
use axum::routing::get;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use serde::Deserialize;
use socketioxide::extract::{Data, SocketRef, TryData};
use socketioxide::handler::ConnectHandler;
use socketioxide::{SendError, SocketError, SocketIo};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Semaphore;

/// Threads that serve the door.
const THREADS: usize = 2;
/// Connections at a time.
const CONNECTIONS_MAX: usize = 1_000;
/// How long the head of a request may take, and the time between two.
const HEAD_TIME_MAX: Duration = Duration::from_secs(60);
/// How long a client may take to say who it is.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(10);
/// How often clients are pinged.
const PING_EVERY: Duration = Duration::from_secs(25);
/// How long they may take to answer that.
const PING_TIME_MAX: Duration = Duration::from_secs(60);
/// Events that wait for one socket.
const EVENTS_WAITING_MAX: usize = 1_024;
/// When a socket takes no more at present.
const FULL_PAUSE: Duration = Duration::from_millis(50);
/// After a connection that could not be accepted.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// The longest name of a client, in bytes.
const CLIENT_BYTES_MAX: usize = 255;

/// Where texts for one socket go. When it is dropped the socket is closed.
pub type Ear = Sender<String>;

/// A worker, as its door sees it. Nothing here blocks.
pub trait Callers: Send + Sync + 'static {
    /// A client connects. False if there is no room for it.
    fn come(&self, client: &str, socket: u64, ear: Ear) -> bool;
    /// One of its sockets is gone.
    fn go(&self, client: &str, socket: u64);
    /// It says something.
    fn hear(&self, client: &str, request: &[u8]);
}

/// The door, served until dropped.
pub struct Workbench {
    runtime: Option<Runtime>,
    /// Where it is.
    pub address: SocketAddr,
}

impl Workbench {
    /// Opens it; messages may have so many bytes.
    pub fn open(
        callers: Arc<dyn Callers>,
        listener: TcpListener,
        message_bytes_max: usize,
    ) -> std::io::Result<Workbench> {
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let mut threads = Builder::new_multi_thread();
        let runtime = threads.worker_threads(THREADS).thread_name("workbench").enable_all().build()?;
        let listener = runtime.block_on(async { tokio::net::TcpListener::from_std(listener) })?;
        runtime.spawn(accept(listener, callers, message_bytes_max));
        Ok(Workbench { runtime: Some(runtime), address })
    }
}

impl Drop for Workbench {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn accept(listener: tokio::net::TcpListener, callers: Arc<dyn Callers>, message_bytes_max: usize) {
    let (router, room) = (router(callers, message_bytes_max), Arc::new(Semaphore::new(CONNECTIONS_MAX)));
    while let Ok(pass) = room.clone().acquire_owned().await {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "a connection was not accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        // A socket without it only answers later.
        let _ = stream.set_nodelay(true);
        let service = TowerToHyperService::new(router.clone());
        tokio::spawn(async move {
            let http = head_limits(HEAD_TIME_MAX);
            let served = http.serve_connection(TokioIo::new(stream), service).with_upgrades().await;
            if let Err(error) = served {
                tracing::debug!(%error, "a connection of the worker's door broke off");
            }
            drop(pass);
        });
    }
}

fn router(callers: Arc<dyn Callers>, message_bytes_max: usize) -> Router {
    let (layer, io) = SocketIo::builder()
        .max_payload(message_bytes_max as u64)
        .max_buffer_size(EVENTS_WAITING_MAX)
        .ping_interval(PING_EVERY)
        .ping_timeout(PING_TIME_MAX)
        .connect_timeout(CONNECT_TIME_MAX)
        .build_layer();
    let numbers = Arc::new(AtomicU64::new(0));
    let connect = move |socket: SocketRef, Data(Client { client_id }): Data<Client>| {
        let (callers, number) = (callers.clone(), numbers.fetch_add(1, Ordering::Relaxed));
        async move { connect(&callers, socket, number, client_id) }
    };
    io.ns("/", connect.with(check));
    Router::new()
        .route("/heartbeat", get(async || StatusCode::OK))
        .fallback(tell::not_found)
        .method_not_allowed_fallback(tell::wrong_method)
        .layer(layer)
        // Without it the layer is put around the fallback anew for each request, and each has sessions of its own.
        .with_state(())
}

/// Who a client says it is.
#[derive(Clone, Deserialize)]
struct Client {
    client_id: String,
}

async fn check(TryData(client): TryData<Client>) -> Result<(), &'static str> {
    match client {
        Ok(client) if client.client_id.len() <= CLIENT_BYTES_MAX => Ok(()),
        Ok(_) => Err("client_id is too long"),
        Err(_) => Err("client_id is needed"),
    }
}

fn connect(callers: &Arc<dyn Callers>, socket: SocketRef, number: u64, client: String) {
    let (ear, texts) = async_channel::bounded(EVENTS_WAITING_MAX);
    let (heard, gone, name) = (callers.clone(), callers.clone(), client.clone());
    socket.on("request", move |Data(request): Data<Bytes>| {
        let (heard, name) = (heard.clone(), name.clone());
        async move { heard.hear(&name, &request) }
    });
    let name = client.clone();
    socket.on_disconnect(move || {
        let (gone, name) = (gone.clone(), name.clone());
        async move { gone.go(&name, number) }
    });
    if !callers.come(&client, number, ear) {
        tracing::warn!(client, "there is no room for another socket");
    }
    tokio::spawn(speak(socket, texts));
}

/// Tells a socket what there is to tell it, and closes it when there will be nothing more.
async fn speak(socket: SocketRef, texts: Receiver<String>) {
    while let Ok(text) = texts.recv().await {
        while let Err(error) = socket.emit("event", &text) {
            match error {
                SendError::Socket(SocketError::InternalChannelFull) => tokio::time::sleep(FULL_PAUSE).await,
                _ => return,
            }
        }
    }
    // It may be gone already.
    let _ = socket.disconnect();
}
