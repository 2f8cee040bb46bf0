//! What is asked of a board, and how patiently.

use super::super::scp::Call;
use super::super::sdp::{Chip, Endpoint, Header};
use super::super::{bmp, scamp};
use super::{Asked, Limits};

/// Requests that are sent in order, as one caller makes them. Flows take turns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Flow(pub u64);

/// Power is switched for so long at most: boards are switched on, and FPGAs loaded, before the answer comes.
pub const POWER_MS_MAX: u64 = 10_000;

/// A request before it has a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wish<'a> {
    /// Whose turn it takes.
    pub flow: Flow,
    /// Who asks whom.
    pub header: Header,
    /// What is asked.
    pub call: Call<'a>,
    /// The fewest bytes that the body of a good reply has.
    pub reply_bytes_min: usize,
    /// Whether to ask once more could do what asking once does not.
    pub changes_state: bool,
    /// Whether it counts cores: a count that lacks some is better than none.
    pub counts: bool,
    /// How often it is sent at most, if not as the limits say.
    pub tries_max: Option<u32>,
    /// How long an answer is waited for, if not as the limits say. All tries together get at least that.
    pub answer_ms_max: Option<u64>,
}

impl<'a> Wish<'a> {
    /// A question to SC&MP or a core.
    pub fn scamp(to: Endpoint, command: &scamp::Command<'a>) -> Wish<'a> {
        Wish {
            flow: Flow::default(),
            header: Header::asking(to, Chip::ROOT),
            call: command.call(),
            reply_bytes_min: command.reply_bytes_min(),
            changes_state: command.changes_state(),
            counts: matches!(command, scamp::Command::Count { .. }),
            tries_max: None,
            answer_ms_max: None,
        }
    }

    /// A question to the BMP of a board, or of the board that the command itself names. Power is asked for once, and waited for.
    pub fn bmp(board: bmp::Board, command: &bmp::Command<'a>) -> Wish<'a> {
        let power = matches!(command, bmp::Command::Power { .. });
        Wish {
            flow: Flow::default(),
            header: bmp::header(command.addressee().unwrap_or(board)),
            call: command.call(),
            reply_bytes_min: command.reply_bytes_min(),
            changes_state: command.changes_state(),
            counts: false,
            tries_max: power.then_some(1),
            answer_ms_max: power.then_some(POWER_MS_MAX),
        }
    }

    /// The same in another flow.
    pub fn in_flow(self, flow: Flow) -> Wish<'a> {
        Wish { flow, ..self }
    }

    pub(super) fn asked(&self, limits: &Limits) -> Asked {
        let answer_ms_max = self.answer_ms_max.unwrap_or(limits.answer_ms_max);
        let to = self.header.destination;
        Asked {
            core: (to.chip, to.core),
            reply_bytes_min: self.reply_bytes_min,
            changes_state: self.changes_state,
            counts: self.counts,
            tries_max: self.tries_max.unwrap_or(limits.tries_max).max(1),
            answer_ms_max,
            total_ms_max: limits.total_ms_max.max(answer_ms_max),
        }
    }
}
