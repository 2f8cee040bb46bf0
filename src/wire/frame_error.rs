//! Why bytes are not a frame, which number a caller is told, and whether the conversation goes on.

use super::gzip;
use crate::error::{Code, Fault};
use std::fmt;

/// Why bytes are not a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameError {
    /// The frame does not begin with the two bytes of gzip.
    NotGzip,
    /// A member's method is not deflate, or a reserved flag is set.
    BadHeader,
    /// A member's header is longer than it may be.
    LongHeader,
    /// The deflate data is damaged.
    Damaged,
    /// A member's checksum is not that of its text.
    BadChecksum,
    /// A member's length is not that of its text.
    BadLength,
    /// Neither a marker nor a member follows a member.
    Junk,
    /// The peer gave the marker before the gzip stream had ended, and nothing after it.
    Cut,
    /// The frame has more bytes than it may.
    FrameTooLarge {
        /// The limit.
        bytes_max: usize,
    },
    /// The text has more bytes than it may.
    BodyTooLarge {
        /// The limit.
        bytes_max: usize,
    },
    /// The frame has more members than it may.
    TooManyMembers {
        /// The limit.
        members_max: usize,
    },
}

impl FrameError {
    /// The number a caller is told.
    pub fn code(self) -> Code {
        match self {
            FrameError::FrameTooLarge { .. } => Code::FRAME_TOO_LARGE,
            FrameError::BodyTooLarge { .. } => Code::BODY_TOO_LARGE,
            FrameError::TooManyMembers { .. } => Code::TOO_MANY_MEMBERS,
            _ => Code::BAD_FRAME,
        }
    }

    /// Whether the receiver finds the next frame; if not, the connection has to be closed after the error is told.
    pub fn goes_on(self) -> bool {
        use FrameError::*;
        matches!(self, NotGzip | BadHeader | BadChecksum | BadLength | Junk | Cut)
    }
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FrameError::NotGzip => write!(f, "the frame does not begin as gzip does (1f 8b)"),
            FrameError::BadHeader => write!(f, "the gzip header has an unknown method or a reserved flag"),
            FrameError::LongHeader => {
                write!(f, "the gzip header has more than {} bytes", gzip::HEADER_BYTES_MAX)
            }
            FrameError::Damaged => write!(f, "the deflate data of the frame is damaged"),
            FrameError::BadChecksum => write!(f, "the gzip checksum does not fit the text"),
            FrameError::BadLength => write!(f, "the gzip length does not fit the text"),
            FrameError::Junk => write!(f, "there is something between the end of the gzip stream and <EOF>"),
            FrameError::Cut => write!(f, "the gzip stream had not ended when <EOF> came"),
            FrameError::FrameTooLarge { bytes_max } => write!(f, "the frame has more than {bytes_max} bytes"),
            FrameError::BodyTooLarge { bytes_max } => {
                write!(f, "the frame inflates to more than {bytes_max} bytes")
            }
            FrameError::TooManyMembers { members_max } => {
                write!(f, "the frame has more than {members_max} gzip members")
            }
        }
    }
}

impl std::error::Error for FrameError {}

impl From<FrameError> for Fault {
    fn from(error: FrameError) -> Fault {
        Fault::new(error.code(), error.to_string())
    }
}
