//! What can go wrong between a client and a server, by what the caller should do about it.

use crate::error::Code;
use crate::wire::answer::Refusal;
use std::fmt;
use std::io;

/// Why a client got no result.
#[derive(Debug)]
pub enum ClientError {
    /// There was no connection: nothing has been asked.
    Connect {
        /// Whom we tried to reach.
        address: String,
        /// Why not.
        cause: io::Error,
    },
    /// The connection broke, or no answer came in time: what was asked may have been done.
    Io(io::Error),
    /// The server said something that cannot be understood.
    Protocol(String),
    /// The whole message was refused: none of its calls ran.
    Root(Refusal),
    /// This call was refused.
    Call(Refusal),
}

impl ClientError {
    /// What the server said, if it refused.
    pub fn refusal(&self) -> Option<&Refusal> {
        match self {
            ClientError::Root(refusal) | ClientError::Call(refusal) => Some(refusal),
            _ => None,
        }
    }

    /// Whether the server refused with this number.
    pub fn is(&self, code: Code) -> bool {
        self.refusal().is_some_and(|refusal| refusal.code == i64::from(code.number()))
    }

    /// Whether another connection could help: nobody answered, or nothing that makes sense.
    pub fn is_connection(&self) -> bool {
        self.refusal().is_none()
    }

    /// Whether no answer came in time, on a connection that may still be good.
    pub fn is_time_out(&self) -> bool {
        matches!(self, ClientError::Io(error) if error.kind() == io::ErrorKind::TimedOut)
    }

    /// Whether nothing ran because the session is over or not known, so that a new handshake and the same message
    /// are in order.
    pub fn is_session_over(&self) -> bool {
        let over = self.is(Code::SESSION_EXPIRED) || self.is(Code::AUTH_REQUIRED);
        over && matches!(self, ClientError::Root(_))
    }
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ClientError::Connect { address, cause } => write!(f, "no connection to {address}: {cause}"),
            ClientError::Io(error) => write!(f, "the connection broke: {error}"),
            ClientError::Protocol(what) => write!(f, "the server cannot be understood: {what}"),
            ClientError::Root(refusal) | ClientError::Call(refusal) => {
                write!(f, "[{}] {}", refusal.code, refusal.msg)
            }
        }
    }
}

impl std::error::Error for ClientError {}

impl From<io::Error> for ClientError {
    fn from(error: io::Error) -> ClientError {
        ClientError::Io(error)
    }
}
