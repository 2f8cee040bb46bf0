//! `berth worker`: boards on this host, lent by a server elsewhere.
//!
//! A worker registers with a server over the native door, obeys its orders and answers its questions, and has a door of its
//! own where holders of boards give them bitstreams and hear of results (`protocol-spec/worker.md`).
//!
//! Reading order, the pure part: `kind` (what boards are prepared as), `task` (what a server says), `request` and `command` (what
//! clients say), `board` (the life of one), `mailbox` (what clients hear, and when), `bench` (all of it). The shell: `device`
//! (what does the work), `host` (threads around the bench), `link` (the connection to the server), `plugs` (boards that come
//! and go). Deliberately not here: Socket.IO (`http::workbench`), the command line (`cli::worker`), and who gets which board.

pub mod bench;
pub mod board;
mod command;
pub mod device;
mod host;
pub mod kind;
mod link;
mod mailbox;
mod plugs;
mod request;
mod task;

pub use host::Host;
pub use link::{Ending, Identity, Link};
pub use plugs::Plugs;
pub use request::REQUEST_BYTES_MAX;
