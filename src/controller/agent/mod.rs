//! Boards that others have in their hands: workers with boards on USB, burners, whoever joins and says so.
//!
//! An agent comes by some door with a name and its boards, is told what they are to do, and says what came of it. `roster`
//! is who is there, pure: news goes in, what is to be told to agents, to the lab and to callers comes out. `hub` is the shell around
//! it that doors and the server share. Which bytes an agent hears, and over which connection, is its door's affair: a door
//! knows its agents by the number of their stay.
//!
//! An agent that hangs up may come back for as long as it could have been silent; what was asked of its boards waits for
//! it. One that is away for longer has lost its boards; one that says good-bye has lost them at once.

pub mod hub;
pub mod roster;

#[cfg(test)]
mod tests;

pub use hub::{Ears, Hub, Lab};
pub use roster::Roster;

use super::{ControllerError, Outcome, Reading};
use crate::lab::command::Consult;
use crate::lab::effect::Action;
use crate::lab::fact::{Grant, JobId, OrderId};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

/// What an agent calls itself; one machine has each name once.
pub type AgentName = Arc<str>;

/// What a board is called.
pub type Serial = Arc<str>;

/// So many agents one machine has at most, those counted that are away.
pub const AGENTS_MAX: usize = 1_000;

/// So many boards one agent has at most.
pub const AGENT_BOARDS_MAX: usize = 1_000;

/// The shortest and the longest token, in bytes.
pub const TOKEN_BYTES: std::ops::RangeInclusive<usize> = 16..=256;

/// What is set for a machine whose boards agents have.
#[derive(Clone, Debug, PartialEq)]
pub struct AgentSettings {
    /// How long an agent may be silent before its boards are lost.
    pub timeout_ms: u64,
    /// What an agent that comes by the native door must say; nobody may, if it is not set.
    pub token: Option<Token>,
    /// The file it was read from, if from one.
    pub token_file: Option<PathBuf>,
}

impl Default for AgentSettings {
    fn default() -> AgentSettings {
        AgentSettings { timeout_ms: 60_000, token: None, token_file: None }
    }
}

/// What agents prove themselves with. It is not printed.
#[derive(Clone, PartialEq)]
pub struct Token(Arc<str>);

impl Token {
    /// A token of a length that is allowed.
    pub fn new(text: &str) -> Option<Token> {
        let good = TOKEN_BYTES.contains(&text.len()) && !text.chars().any(char::is_control);
        good.then(|| Token(text.into()))
    }

    /// Whether this is what an agent said; how long that takes does not tell how much of it is right.
    pub fn is(&self, said: &str) -> bool {
        let (own, said) = (self.0.as_bytes(), said.as_bytes());
        let differ = own
            .iter()
            .zip(said.iter().chain(std::iter::repeat(&0)))
            .fold(0, |differ, (a, b)| differ | (a ^ b));
        std::hint::black_box(differ) == 0 && own.len() == said.len()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

/// One stay of an agent: from its introduction until it is introduced again, is lost, or leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stay(pub u64);

/// How an agent introduces itself.
#[derive(Clone, Debug, PartialEq)]
pub struct Introduction {
    /// Its name.
    pub name: AgentName,
    /// What it says of its version.
    pub version: Arc<str>,
    /// Where holders of its boards reach it, if they do.
    pub url: Option<Arc<str>>,
    /// Its boards.
    pub boards: Vec<Offered>,
    /// It wants no new work.
    pub draining: bool,
}

/// A board that an agent has.
#[derive(Clone, Debug, PartialEq)]
pub struct Offered {
    /// Its serial.
    pub serial: Serial,
    /// What it is, in the agent's words.
    pub model: Arc<str>,
    /// The last order it carried out and still stands by, if it remembers one.
    pub holds: Option<OrderId>,
}

/// What a board should be doing by the lab's account: the last order of the loan it belongs to.
#[derive(Clone, Debug, PartialEq)]
pub struct Expected {
    /// The order's number.
    pub id: OrderId,
    /// What it said.
    pub action: Action,
    /// For which job.
    pub job: Option<JobId>,
    /// Its holder may have given it work, which a board that forgot the order has forgotten too.
    pub may_have_work: bool,
}

/// What an agent is told.
#[derive(Clone, Debug, PartialEq)]
pub enum Told {
    /// Make boards obey, and say for each what came of it. It may be told twice; an older one never comes.
    Order {
        /// Its number; what the agent says of it names this.
        id: OrderId,
        /// What to do.
        action: Action,
        /// To which of its boards.
        boards: Vec<Serial>,
        /// For which job, if for one.
        job: Option<JobId>,
    },
    /// A question to one board; what the agent says of it names the ticket.
    Question {
        /// Its number.
        ticket: u64,
        /// The board.
        board: Serial,
        /// What is asked.
        what: Consult,
    },
    /// Somebody else came with this name: this stay is over, and nothing more will be told to it.
    Replaced,
    /// This stay is over, for this reason.
    Over(Arc<str>),
}

/// Something that follows from what was heard.
#[derive(Debug, PartialEq)]
pub enum AgentNews {
    /// Tell an agent.
    Tell {
        /// Which stay.
        stay: Stay,
        /// What.
        told: Told,
    },
    /// A question was answered.
    Answer {
        /// Which.
        ticket: u64,
        /// What was said.
        answer: Result<Reading, ControllerError>,
    },
    /// The lab must hear of this.
    Report(Report),
}

/// What the lab must hear, in the order in which it comes.
#[derive(Clone, Debug, PartialEq)]
pub enum Report {
    /// Boards obeyed an order or did not.
    Outcome(Outcome),
    /// An agent has these boards: the lab must know them.
    Announced(Vec<Serial>),
    /// These boards went with their agent.
    Lost(Vec<Serial>, Arc<str>),
    /// An agent says that these boards are broken.
    Broken(Vec<Serial>, Arc<str>),
    /// These boards are to be lent no more, or may be again.
    Draining(Vec<Serial>, bool),
    /// A board offers these labels now.
    Offers(Serial, Arc<[Arc<str>]>),
    /// What a job was for was done on its board, in these words.
    Finished(JobId, Grant, Arc<str>),
    /// It was not, for this reason.
    PutBack(JobId, Grant, Arc<str>),
}

/// Why an agent is not heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AgentRefusal {
    /// There are as many as may be.
    TooMany,
    /// It brings more boards than one may have.
    TooManyBoards,
    /// It names a board twice.
    Twice(Serial),
    /// Another agent has this board.
    Taken(Serial, AgentName),
    /// This stay is over: introduce yourself again.
    Over,
    /// The lab has not heard yet of all that agents said before.
    Busy,
    /// The machine has no agents any more.
    Closed,
}

impl fmt::Display for AgentRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AgentRefusal::TooMany => write!(f, "a machine has {AGENTS_MAX} agents at most"),
            AgentRefusal::TooManyBoards => write!(f, "an agent has {AGENT_BOARDS_MAX} boards at most"),
            AgentRefusal::Twice(board) => write!(f, "board '{board}' is named twice"),
            AgentRefusal::Taken(board, agent) => write!(f, "agent '{agent}' has board '{board}'"),
            AgentRefusal::Over => write!(f, "this agent is not known any more; register again"),
            AgentRefusal::Busy => write!(f, "the lab is behind with what agents say; try again in a second"),
            AgentRefusal::Closed => write!(f, "the machine is being configured anew; try again in a second"),
        }
    }
}

/// How many agents there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AgentCounts {
    /// Connected.
    pub connected: usize,
    /// Not connected, but they may come back.
    pub away: usize,
    /// Those of both that want no new work.
    pub draining: usize,
}

/// What is known of an agent.
#[derive(Clone, Debug, PartialEq)]
pub struct AgentView {
    /// Its name.
    pub name: AgentName,
    /// Its version.
    pub version: Arc<str>,
    /// Where it is reached.
    pub url: Option<Arc<str>>,
    /// Its boards, with what they are.
    pub boards: Vec<(Serial, Arc<str>)>,
    /// It wants no new work.
    pub draining: bool,
    /// It is connected.
    pub connected: bool,
    /// When it was last heard, in milliseconds since 1970.
    pub seen_ms: u64,
}
