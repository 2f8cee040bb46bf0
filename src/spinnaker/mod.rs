//! What SpiNNaker boards say over UDP: packets as values, byte-exact both ways, and the art of asking.
//!
//! In reading order: `sdp` is the envelope, `scp` the request and the reply in it, still as numbers. `scamp` and `bmp`
//! give these numbers their meaning, for the chips and for the board's management processor; `version` is what both
//! answer. `boot` and `system_variables` wake a board, `ip_address` is what a sleeping one says, `eieio` carries
//! events. `exchange` asks one board many things at once and again, until each is answered or given up.
//!
//! Encoders write into the caller's `Vec` and cannot fail; what cannot be said cannot be built. Decoders take any
//! bytes and never panic. A command with bits that have no meaning here is kept as its numbers (`Other`), so that decoding
//! and encoding any request gives its bytes again. All tables count offsets from the start of what the decoder is given.
//!
//! Deliberately not here: sockets, clocks, threads. Who owns a socket drives `exchange` with datagrams and the time.

mod bytes;

pub mod scp;
pub mod sdp;
pub mod version;

pub mod bmp;
pub mod scamp;

pub mod boot;
pub mod eieio;
pub mod ip_address;
pub mod system_variables;

pub mod exchange;

use std::fmt;

/// The UDP port at which BMPs and SC&MP listen, and from which they answer.
pub const SCP_UDP_PORT: u16 = 17_893;

/// The UDP port of the boot protocol, at both ends.
pub const BOOT_UDP_PORT: u16 = 54_321;

/// The UDP port to which consoles listen for text.
pub const CONSOLE_UDP_PORT: u16 = 17_892;

/// Why bytes are no packet of the kind expected. It spoils the one packet only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PacketError {
    /// The bytes end before the packet does.
    TooShort {
        /// How many there are.
        bytes: usize,
        /// How many there would have to be, as far as is known.
        bytes_min: usize,
    },
    /// There are more bytes than such a packet ever has.
    TooLong {
        /// How many there are.
        bytes: usize,
        /// The most there may be.
        bytes_max: usize,
    },
    /// A field has a value that no such packet has.
    WrongValue {
        /// Which field.
        field: &'static str,
        /// Its value.
        value: u32,
    },
    /// A text is not UTF-8, or lacks the NUL at its end.
    NotText {
        /// Which field.
        field: &'static str,
    },
}

impl fmt::Display for PacketError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PacketError::TooShort { bytes, bytes_min } => {
                write!(f, "a packet of {bytes} bytes where at least {bytes_min} are needed")
            }
            PacketError::TooLong { bytes, bytes_max } => {
                write!(f, "a packet of {bytes} bytes where at most {bytes_max} are allowed")
            }
            PacketError::WrongValue { field, value } => write!(f, "{field} is {value:#x}"),
            PacketError::NotText { field } => write!(f, "{field} is not a text"),
        }
    }
}

impl std::error::Error for PacketError {}

#[cfg(test)]
pub(crate) mod tests;
