//! What a BMP is asked, one thing at a time, and how it is said when that came to nothing.

use super::layout::FrameId;
use crate::allocator::Link;
use crate::controller::BmpSettings;
use crate::spinnaker::bmp::fpga::{FLAGS, Fpga};
use crate::spinnaker::bmp::{Board, Boards, Command, DelayMs, InfoKind};
use crate::spinnaker::exchange::{Failure, Wish};
use crate::spinnaker::scp::{LedAction, LedActions, ResultCode, Unit};
use std::fmt;
use std::sync::Arc;

/// The LED by which a board is told from its neighbours: number 7, the one that other tools take.
pub const LED: u8 = 7;

/// What stops a link, as it is written to its register.
static STOPPED: [u8; 4] = 1u32.to_le_bytes();

/// One thing to ask of the BMP of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question {
    /// Who are you? Asked first, and again after a silence.
    Version,
    /// Switch these boards.
    Power {
        /// On, or off.
        on: bool,
        /// Which.
        boards: Boards,
    },
    /// Which number has this FPGA of this board?
    WhoIs {
        /// The board.
        board: Board,
        /// The FPGA.
        fpga: Fpga,
    },
    /// Stop this link of this board.
    Stop {
        /// The board.
        board: Board,
        /// The link.
        link: Link,
    },
    /// Switch the LED of this board on or off, or to what it is not.
    Light {
        /// The board.
        board: Board,
        /// What it is to be.
        on: Option<bool>,
    },
    /// What do the sensors of this board read?
    Sensors {
        /// The board.
        board: Board,
    },
}

impl Question {
    /// As it is sent: to which board, how patiently. Power is asked for once.
    pub fn wish(&self, settings: &BmpSettings) -> Wish<'static> {
        let (board, command) = self.command();
        let answer_ms_max = match self {
            Question::Power { on: true, .. } => Some(settings.power_on_ms_max),
            Question::Power { on: false, .. } => Some(settings.power_off_ms_max),
            _ => None,
        };
        let wish = Wish::bmp(board, &command);
        Wish { answer_ms_max: answer_ms_max.or(wish.answer_ms_max), ..wish }
    }

    fn command(&self) -> (Board, Command<'static>) {
        match *self {
            Question::Version => (Board::FIRST, Command::Version),
            Question::Power { on, boards } => {
                (Board::FIRST, Command::Power { on, delay: DelayMs::default(), boards })
            }
            Question::WhoIs { board, fpga } => {
                let length = Unit::WORD_BYTES as u32;
                (board, Command::FpgaRead { register: FLAGS, length, fpga: fpga.number() })
            }
            Question::Stop { board, link } => {
                let register = link.stop_register();
                let (fpga, register) = (register.fpga.into(), register.address);
                (board, Command::FpgaWrite { register, fpga, data: &STOPPED })
            }
            Question::Light { board, on } => {
                let action = match on {
                    None => LedAction::Toggle,
                    Some(true) => LedAction::On,
                    Some(false) => LedAction::Off,
                };
                let actions = LedActions::default().and(LED, action);
                (board, Command::Led { actions, boards: Boards::default().and(board) })
            }
            Question::Sensors { board } => (board, Command::Info(InfoKind::STATUS)),
        }
    }
}

impl fmt::Display for Question {
    /// After "it was asked".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Question::Version => write!(f, "who it is"),
            Question::Power { on, boards } => {
                let numbers: Vec<_> = boards.iter().map(|board| board.number().to_string()).collect();
                let word = if numbers.len() == 1 { "board" } else { "boards" };
                let to = if *on { "on" } else { "off" };
                write!(f, "to switch {to} {word} {}", numbers.join(", "))
            }
            Question::WhoIs { board, fpga } => {
                write!(f, "for the number of FPGA {} of board {}", fpga.number(), board.number())
            }
            Question::Stop { board, link } => {
                write!(f, "to stop the link {} of board {}", link.name(), board.number())
            }
            Question::Light { board, .. } => write!(f, "to switch the LED of board {}", board.number()),
            Question::Sensors { board } => write!(f, "for the sensors of board {}", board.number()),
        }
    }
}

/// Why a question has no answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Trouble {
    /// The BMP did not answer, or not as it should.
    Failed(Failure),
    /// The question never left: the host has no address, or the system has no socket.
    Unreachable(Arc<str>),
}

impl Trouble {
    /// Whether the BMP said nothing at all.
    pub fn is_silence(&self) -> bool {
        matches!(self, Trouble::Failed(Failure::Silent) | Trouble::Unreachable(_))
    }

    /// Whether the same question may well be answered a little later.
    pub fn may_pass(&self) -> bool {
        self.is_silence() || matches!(self, Trouble::Failed(Failure::Unable(_)))
    }

    /// What is told of it: who, where, what was asked, what came.
    pub fn sentence(&self, who: &Bmp, question: &Question) -> Arc<str> {
        let name = |code: &ResultCode| match code.name() {
            Some(name) => format!("{name} ({:#x})", code.0),
            None => format!("{:#x}", code.0),
        };
        let text = match self {
            Trouble::Failed(Failure::Silent) => format!("{who} does not answer; it was asked {question}"),
            Trouble::Failed(Failure::Unable(code)) => {
                format!("{who} is not able to now: {}; it was asked {question}", name(code))
            }
            Trouble::Failed(Failure::Refused(code)) => {
                format!("{who} refuses with {}; it was asked {question}", name(code))
            }
            Trouble::Failed(Failure::TooShort { bytes, bytes_min }) => {
                format!("{who} answers with {bytes} bytes, not {bytes_min}; it was asked {question}")
            }
            Trouble::Unreachable(why) => {
                format!("{who} cannot be reached: {why}; it was to be asked {question}")
            }
        };
        text.into()
    }
}

/// A BMP as sentences name it.
#[derive(Clone, Debug, PartialEq)]
pub struct Bmp {
    /// Its host.
    pub host: Arc<str>,
    /// Its frame.
    pub frame: FrameId,
}

impl fmt::Display for Bmp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the BMP at {} ({})", self.host, self.frame)
    }
}
