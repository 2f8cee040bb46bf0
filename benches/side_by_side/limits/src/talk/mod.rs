//! What is said on a connection, to each kind of server.

mod echo;
mod frames;
pub mod grpc;
mod http;
mod spalloc;

use crate::load::Plan;
use crate::measure::Tally;

/// The talk whose frames and markers are sent apart, with Nagle's algorithm on, as py-client does.
pub const APART: &str = "frames-apart";

/// What comes after something was heard.
pub enum Then {
    /// More is expected on this connection.
    Listen,
    /// What is to be said next is said after the plan's pause.
    Pause,
    /// What is to be said next belongs on a new connection.
    Anew,
    /// All is said and answered.
    Rest,
}

/// One end of a conversation.
pub trait Talk {
    /// What is said first.
    fn open(&mut self, say: &mut Vec<u8>);

    /// Hears what has come so far; tells how much of it was whole, and what comes next.
    fn hear(&mut self, heard: &[u8], say: &mut Vec<u8>, tally: &mut Tally) -> Result<(usize, Then), String>;

    /// How much of what is to be said goes in the next write.
    fn piece(&self, say: &[u8]) -> usize {
        say.len()
    }
}

/// The talk of a plan's name for its connection with this number.
pub fn named(plan: &Plan, at: usize) -> Result<Box<dyn Talk>, String> {
    Ok(match plan.what.as_str() {
        "frames" | APART => Box::new(frames::Frames::new(plan.depth, plan.batch, plan.what == APART)),
        "echo" => Box::new(echo::Echo::new(plan.depth)),
        "grpc" => Box::new(grpc::Grpc::new(plan.depth, plan.address)),
        "http-available" => Box::new(http::Http::available(plan)),
        "http-pairs" => Box::new(http::Http::pairs(plan, at)),
        "spalloc-pairs" => Box::new(spalloc::Pairs::default()),
        other => return Err(format!("no talk is called {other}")),
    })
}
