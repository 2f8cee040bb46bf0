//! SpiNNaker hardware that is not there: frames and boards that answer datagrams as the firmware does.
//!
//! `frame` is what the BMPs of a frame know and do: power, FPGAs, LEDs, sensors. `chips` is what the SpiNNaker chips of a
//! machine do: they wait for a boot image, boot, and then answer as SC&MP does. Both are values without sockets or clocks:
//! a datagram and the time come in, datagrams go out, so that the firmware's own conversations can be held against them.
//! `plant` is all frames and chips of several machines, wired; `faults` is what may go wrong with them, as lines of text, and
//! `network` the bad way there. `serve` puts a plant behind sockets: it alone waits.
//!
//! Deliberately not here: what neurons compute. A chip has memory, tags, a router's table and cores with states; nothing runs.

pub mod chips;
pub mod frame;

pub mod faults;
pub mod network;
pub mod plant;

pub mod serve;

#[cfg(test)]
mod tests;

use std::net::SocketAddrV4;

/// A datagram that came to one of the ports of something simulated.
#[derive(Clone, Copy, Debug)]
pub struct Arrived<'a> {
    /// Who sent it.
    pub from: SocketAddrV4,
    /// The port to which it came.
    pub port: u16,
    /// All of it.
    pub bytes: &'a [u8],
}

/// A datagram that something simulated sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leaving {
    /// The port of its own from which it leaves.
    pub port: u16,
    /// Where it goes.
    pub to: SocketAddrV4,
    /// All of it.
    pub bytes: Vec<u8>,
}
