//! What a reply means for the request: an answer, a refusal, or that it should be asked again.
//!
//! | result | asked again | why |
//! |---|---|---|
//! | OK | no | an answer; a refusal if bytes are missing |
//! | TIMEOUT, P2P_NOREPLY, P2P_BUSY, P2P_TIMEOUT | yes | somebody on the way was busy |
//! | LEN, SUM | only what changes nothing | a datagram was spoiled on its way; if it truly is wrong, tries run out |
//! | all others, also unknown ones | no | it would be refused again |
//!
//! A count that lacks the answers of some chips comes as P2P_NOREPLY with a body, and is taken.

use super::super::scp::{Reply, ResultCode};

/// Why a request has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Nobody answered in time, however often it was sent.
    Silent,
    /// The board could not, this was its last word, and the tries ran out.
    Unable(ResultCode),
    /// The board refuses.
    Refused(ResultCode),
    /// The board says OK, but not what was asked.
    TooShort {
        /// Bytes of the body.
        bytes: usize,
        /// The fewest that a good reply has.
        bytes_min: usize,
    },
}

/// What a reply means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is the answer.
    Answer,
    /// It will never be answered.
    Refusal(Failure),
    /// It should be asked again.
    Again,
}

/// Judges a reply to a request that wants so many bytes, does or does not change anything, and does or does not count.
pub fn judge(reply: &Reply<'_>, bytes_min: usize, changes_state: bool, counts: bool) -> Verdict {
    let bytes = reply.body.len();
    match reply.result {
        ResultCode::OK if bytes < bytes_min => Verdict::Refusal(Failure::TooShort { bytes, bytes_min }),
        ResultCode::OK => Verdict::Answer,
        ResultCode::P2P_NOREPLY if counts && bytes >= bytes_min => Verdict::Answer,
        ResultCode::TIMEOUT | ResultCode::P2P_NOREPLY | ResultCode::P2P_BUSY | ResultCode::P2P_TIMEOUT => {
            Verdict::Again
        }
        ResultCode::LEN | ResultCode::SUM if !changes_state => Verdict::Again,
        code => Verdict::Refusal(Failure::Refused(code)),
    }
}
