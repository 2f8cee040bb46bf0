//! spalloc's v1 protocol, as clients of spalloc_server 7.0.0 and before speak it: lines in, wishes out; views in, lines out.
//!
//! Read `call` first (a line, its command, the binding of its arguments as Python does it), then `wish` (what each
//! command comes to) and `request` (the arguments of `create_job`); then `shape` (answers and notices as clients read them)
//! and `reason` (why a job ended, in the words clients know). `value` is JSON as Python has it, `line` the framing.
//!
//! Deliberately not here: sockets, watchers, who may do what, and the order of things: `server` has the door. Where we
//! differ from the reference on purpose, protocol-spec/spalloc.md says so.

pub mod call;
pub mod line;
pub mod reason;
pub mod request;
pub mod shape;
pub mod value;
pub mod wish;

pub use call::{Said, read};
pub use line::Lines;
pub use wish::{Anchor, Watched, Wish};

/// The version we claim: every release of the client takes it, and none takes the reference's own.
pub const VERSION: &str = "1.0.0";
