//! What the web door asks of a server.

use super::icefarm::Farm;
use crate::error::Fault;
use async_channel::{Receiver, Sender};
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

/// Something that takes time, whoever drives it.
pub type Later<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A server, as the web door sees it. Nothing here blocks.
pub trait House: Send + Sync + 'static {
    /// The limits in force.
    fn limits(&self) -> Limits;

    /// Begins a native conversation: the server greets, hears messages, answers them, and tells what changed.
    fn converse(&self, peer: SocketAddr) -> Line;

    /// Begins one of which only answers are wanted: no greeting, and nothing that was not asked for.
    fn consult(&self, peer: SocketAddr) -> Line;

    /// What changes from now on, or since a cursor, for the holder of a session.
    fn changes(&self, session: &str, cursor: Option<&str>) -> Result<Box<dyn Changes>, Fault>;

    /// Whether the server is ready to serve, and if not, why.
    fn readiness(&self) -> Later<'static, Readiness>;

    /// How the server does, in OpenMetrics text.
    fn metrics(&self) -> String;

    /// What clients of iCEFARM speak with.
    fn farm(&self) -> Arc<dyn Farm>;
}

/// What peers may cost; read anew for each connection and request.
#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    /// Origins of pages from elsewhere that may speak with the server.
    pub origins: Vec<String>,
    /// Bytes of the body of one request.
    pub body_bytes_max: usize,
    /// Bytes of one message of a websocket.
    pub message_bytes_max: usize,
    /// How long a request may take to come.
    pub request_time_max: Duration,
    /// How long a peer may take nothing of what it is sent.
    pub stall_time_max: Duration,
    /// How often websockets are pinged.
    pub ping_every: Duration,
}

/// The ends of a conversation that the web door holds. Letting go of them ends it, whatever is under way.
pub struct Line {
    /// What the server says, message by message; closed when it has said all.
    pub said: Receiver<Said>,
    /// What the peer says.
    pub heard: Sender<Heard>,
    /// Held as long as the peer is there; nothing is ever sent.
    pub here: Sender<()>,
}

/// How a message travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// As the JSON text alone.
    Text,
    /// As one native frame.
    Frame,
}

/// A message of a peer.
#[derive(Clone, Debug, PartialEq)]
pub struct Heard {
    /// How it came; it is answered likewise.
    pub form: Form,
    /// Its bytes, in this form.
    pub bytes: Vec<u8>,
}

/// A message of the server.
#[derive(Clone, Debug, PartialEq)]
pub struct Said {
    /// How it is to travel.
    pub form: Form,
    /// Its bytes, in this form.
    pub bytes: Vec<u8>,
}

/// What changes, for one who looks on.
pub trait Changes: Send + Sync {
    /// Waits until something has changed and tells it, all at once; none when the server ends. Giving up waiting loses
    /// nothing.
    fn next(&mut self) -> Later<'_, Option<Change>>;

    /// Up to where everything was told.
    fn cursor(&self) -> String;

    /// Says that somebody still looks on, which keeps the session alive; an error when it is over.
    fn touch(&self) -> Result<(), Fault>;
}

/// What one who looks on has to hear.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// These changed.
    These {
        /// Jobs.
        jobs: Vec<u64>,
        /// Machines.
        machines: Vec<String>,
    },
    /// Nobody knows any more what changed since the cursor: all must be listed anew.
    Reset,
}

/// Whether a server serves.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Readiness {
    /// Why it does not; empty when it does.
    pub reasons: Vec<String>,
}
