//! What can go wrong with a connection.

use super::pipeline::AskError;
use crate::spinnaker::PacketError;
use std::{fmt, io};

/// Why a connection could not do what it was asked to.
#[derive(Debug)]
pub enum ConnectionError {
    /// Nothing came in time.
    Timeout {
        /// What was waited for.
        operation: &'static str,
        /// How long, in seconds.
        seconds: f64,
    },
    /// The connection is closed, perhaps since the call began.
    Closed,
    /// It cannot send: remote host, remote port or both are not set.
    NoRemote,
    /// It cannot ask for an answer: the chip at its other end is not set.
    NoChip,
    /// No IPv4 address belongs to this name.
    UnknownHost(String),
    /// The system refuses.
    Io {
        /// What was tried.
        operation: &'static str,
        /// What the system says.
        source: io::Error,
    },
    /// What came is no packet of the kind expected. The next one may be.
    Packet(PacketError),
    /// A board did not answer as it should.
    Ask(AskError),
}

impl ConnectionError {
    /// For `map_err`: what the system says of an operation.
    pub(super) fn io(operation: &'static str) -> impl FnOnce(io::Error) -> ConnectionError {
        move |source| ConnectionError::Io { operation, source }
    }
}

impl fmt::Display for ConnectionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ConnectionError::Timeout { operation, seconds } => {
                write!(f, "operation {operation} timed out after {seconds} s")
            }
            ConnectionError::Closed => f.write_str("the connection is closed"),
            ConnectionError::NoRemote => {
                f.write_str("cannot send: remote host and/or remote port are not set")
            }
            ConnectionError::NoChip => f.write_str("cannot ask: the chip at the other end is not set"),
            ConnectionError::UnknownHost(host) => write!(f, "no IPv4 address is known for {host:?}"),
            ConnectionError::Io { operation, source } => write!(f, "cannot {operation}: {source}"),
            ConnectionError::Packet(error) => error.fmt(f),
            ConnectionError::Ask(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for ConnectionError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            ConnectionError::Io { source, .. } => Some(source),
            ConnectionError::Packet(error) => Some(error),
            ConnectionError::Ask(error) => Some(error),
            _ => None,
        }
    }
}

impl From<PacketError> for ConnectionError {
    fn from(error: PacketError) -> ConnectionError {
        ConnectionError::Packet(error)
    }
}

impl From<AskError> for ConnectionError {
    fn from(error: AskError) -> ConnectionError {
        ConnectionError::Ask(error)
    }
}
