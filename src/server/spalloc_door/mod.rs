//! The door for clients of spalloc: `connection` is the socket and its times, `talk` what lines come to, `server::bucket` how fast
//! they may come, `lists` what many ask for all the time, rendered once.

mod connection;
mod lists;
mod talk;

pub use connection::SpallocConnection;
pub use lists::Lists;
