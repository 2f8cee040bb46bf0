//! HTTP and websockets: the web door as its peers see it, on a runtime of its own.
//!
//! Reading order: `house` (what is asked of a server, and in what words), `open` (the threads, and the life of one connection),
//! `patience` (peers that take nothing), `router` (the routes, put together), `origin` (which pages may speak with us),
//! then the routes: `probes`, `api`, `socket`, `events`, `pages`, `icefarm` (another protocol, in a room of its own); and `tell` (answers that are no pages).
//! `workbench` is a door of another kind: a worker's.
//!
//! This is the only room that knows tokio, hyper and axum, and none of their types leave it: a server hands in sockets that
//! were accepted, and is asked through the trait `House` by channels and futures that any runtime can drive.
//!
//! Deliberately not here: what a message means, who may do what, which connections are admitted, TLS (a reverse proxy's
//! business), and trust in what proxies say of whom they speak for.

mod api;
mod events;
mod house;
pub mod icefarm;
mod open;
mod origin;
mod pages;
mod patience;
mod probes;
mod router;
mod socket;
mod tell;
mod workbench;

pub use house::{Change, Changes, Form, Heard, House, Later, Limits, Line, Readiness, Said};
pub use open::{Pass, Visitor, Web};
pub use workbench::{Callers, Ear, Workbench};
