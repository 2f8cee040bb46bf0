//! Conversations with SpiNNaker hardware over UDP: sockets, time-outs and errors around the packets of `spinnaker`.
//!
//! `pipeline` is how Berth itself asks a board: many requests at once, each sent again until it is answered or given up.
//! The others send and receive one message at a time and leave the rest to the caller: `udp` is what all are made of, `sdp`,
//! `scamp` and `bmp` (whose common part is `scp`) speak to what runs, `boot` and `ip_addresses` to what sleeps, `eieio` carries
//! events; `listen` makes a stream of what comes. Each can do what the one it is made of can, by `Deref`.
//!
//! * A time-out of `None` waits for ever, and one of zero looks only once; both end when the connection is closed.
//! * A port that is closed at the other end is silence: a board that is off has nothing to refuse with.
//! * Nothing blocks the runtime; names are looked up elsewhere, and no program is run.
//!
//! Deliberately not here: what messages mean (`spinnaker`), and what boards are switched for (`controller`).

pub mod pipeline;

mod error;
mod socket;

mod udp;

mod scp;
mod sdp;

mod bmp;
mod scamp;

mod boot;
mod eieio;
mod ip_addresses;

mod listen;

pub use bmp::{BmpConnection, BmpConnectionData};
pub use boot::BootConnection;
pub use eieio::{EieioConnection, EieioDatagram};
pub use error::ConnectionError;
pub use ip_addresses::IpAddressesConnection;
pub use listen::{Receive, listen};
pub use pipeline::{AskError, Pipeline};
pub use scamp::ScampConnection;
pub use scp::{RESPONSE_TIMEOUT, ScpRequest, ScpResponse};
pub use sdp::{SdpConnection, SdpDatagram, update_sdp_header_for_udp_send};
pub use udp::{Ends, UdpConnection};

#[cfg(test)]
mod tests;
