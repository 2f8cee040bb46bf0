//! What is to be done to one board, stage by stage.
//!
//! ```text
//!   PowerOff   off
//!   Clean      off -> dark?
//!   Test       off -> dark? -> on -> settle -> lit? -> who are the FPGAs? -> off
//!   Prepare    off -> dark? -> on -> settle -> lit? -> who are the FPGAs? -> stop links
//!               ^                      |          | not themselves in time
//!               +----------------------+----------+   at most power_tries times
//! ```
//!
//! A power command that was not answered is never sent again blindly: nobody knows whether it was obeyed. Off leads to
//! "dark?", on to "lit?", and what the supplies of the board read decides. BMPs of version 1 have no way to FPGAs: there nothing
//! is looked at and no link is stopped, as older tools have it.
//!
//! What is deliberately not here: other boards, and the conversation with the BMP (`frame`).

use super::question::{Question, Trouble};
use crate::allocator::Link;
use crate::clock::Moment;
use crate::controller::BmpSettings;
use crate::lab::fact::OrderId;
use crate::spinnaker::bmp::fpga::{FLAGS_ID, Fpga};
use crate::spinnaker::bmp::{Board, Rail, Status};
use std::fmt;
use std::sync::Arc;

/// The supplies that go with the power of a board; 3.3 V and the 12 V before them are always there.
const SWITCHED: [Rail; 4] = [Rail::V12a, Rail::V12b, Rail::V12c, Rail::V18];

/// A supply that reads no more than this is down.
const DARK_VOLTS_MAX: f64 = 0.6;

/// How long a board that is not as it should be yet is left alone before it is looked at again.
pub const LOOK_PAUSE_MS: u64 = 250;

/// How long a BMP that was not able to is left alone by one board.
pub const SETBACK_PAUSE_MS: u64 = 500;

/// So often a board's questions may come to nothing before the board is given up.
pub const SETBACKS_MAX: u32 = 4;

/// What a board works for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// An order.
    Order(OrderId),
    /// A power cycle that somebody asked for; whose answer goes out under this ticket.
    Cycle(u64),
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cause::Order(order) => write!(f, "order {order}"),
            Cause::Cycle(_) => f.write_str("a power cycle"),
        }
    }
}

/// What a board is to become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Goal {
    /// Off.
    Off,
    /// Off, and seen to be off.
    Dark,
    /// On for a look, and off again.
    Tested,
    /// On, with its links stopped where they lead out of the job.
    Ready,
}

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// To be switched off.
    Off,
    /// To be seen with its supplies down.
    Dark { until: Moment },
    /// To be switched on.
    On,
    /// To be seen with its supplies up.
    Lit { until: Moment },
    /// To be seen with all FPGAs in order; the next is at this place.
    Check { next: usize, until: Moment },
    /// Links to be stopped from this place on.
    Cut { next: usize },
}

/// Where a board stands after an answer.
#[derive(Clone, Debug, PartialEq)]
pub enum After {
    /// There is more to do.
    More,
    /// It is what it should be.
    Done,
    /// It will not be.
    Failed(Arc<str>),
}

/// What may be asked of the BMPs of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Era {
    /// Version 1: power only.
    Old,
    /// Version 2 and later: FPGAs, too.
    New,
}

/// The work at one board.
#[derive(Clone, Debug)]
pub struct Work {
    /// What it is for.
    pub cause: Cause,
    /// What it is to become.
    goal: Goal,
    /// The links to stop.
    links: Vec<Link>,
    /// When it is given up.
    pub deadline: Moment,
    /// Nothing is asked before this.
    pub from: Moment,
    stage: Stage,
    /// How often the board was switched on.
    ons: u32,
    /// How often it was on after it was switched off.
    offs: u32,
    /// Questions that came to nothing.
    setbacks: u32,
    /// Whether the last power command was not answered.
    unsure: bool,
    /// Whether a test has seen all it wanted.
    seen: bool,
}

impl Work {
    /// Work that begins now. A board that is off for sure is not switched off before it is switched on.
    pub fn new(
        cause: Cause,
        goal: Goal,
        links: Vec<Link>,
        now: Moment,
        deadline: Moment,
        is_off: bool,
    ) -> Work {
        let on_at_once = is_off && matches!(goal, Goal::Tested | Goal::Ready);
        let stage = if on_at_once { Stage::On } else { Stage::Off };
        Work {
            cause,
            goal,
            links,
            deadline,
            from: now,
            stage,
            ons: 0,
            offs: 0,
            setbacks: 0,
            unsure: false,
            seen: false,
        }
    }

    /// Whether its board is to be switched, and how.
    pub fn power(&self) -> Option<bool> {
        match self.stage {
            Stage::Off => Some(false),
            Stage::On => Some(true),
            _ => None,
        }
    }

    /// Whether its board is to be seen dark.
    pub fn looks_for_dark(&self) -> bool {
        matches!(self.stage, Stage::Dark { .. })
    }

    /// What is to be asked about its board alone, when it is not to be switched.
    pub fn question(&self, board: Board) -> Option<Question> {
        match self.stage {
            Stage::Off | Stage::On => None,
            Stage::Dark { .. } | Stage::Lit { .. } => Some(Question::Sensors { board }),
            Stage::Check { next, .. } => Some(Question::WhoIs { board, fpga: *Fpga::ALL.get(next)? }),
            Stage::Cut { next } => Some(Question::Stop { board, link: *self.links.get(next)? }),
        }
    }

    /// The board was switched as it should be.
    pub fn switched(&mut self, now: Moment, era: Era, settings: &BmpSettings) -> After {
        self.setbacks = 0;
        match self.stage {
            Stage::Off => self.is_off(now, era, settings),
            Stage::On => {
                self.unsure = false;
                self.begin_look(now, settings);
                After::More
            }
            _ => After::More,
        }
    }

    /// Nobody knows whether the board was switched. Looks before anything is done.
    pub fn maybe_switched(&mut self, now: Moment, settings: &BmpSettings, why: Arc<str>) -> After {
        self.unsure = true;
        match self.stage {
            Stage::Off => self.stage = Stage::Dark { until: now.plus_ms(settings.fpga_ms_max) },
            Stage::On => self.begin_look(now, settings),
            _ => {}
        }
        self.set_back(now, why)
    }

    /// What was asked came to nothing this time.
    pub fn set_back(&mut self, now: Moment, why: Arc<str>) -> After {
        self.setbacks += 1;
        self.from = self.from.max(now.plus_ms(SETBACK_PAUSE_MS));
        if self.setbacks > SETBACKS_MAX { After::Failed(why) } else { After::More }
    }

    /// A question that needs FPGAs turns out to be one that these BMPs cannot be asked.
    pub fn skip(&mut self, now: Moment, settings: &BmpSettings) -> After {
        match self.stage {
            Stage::Dark { .. } if self.unsure => self.off_again(settings, "was never said to be off"),
            Stage::Lit { .. } if self.unsure => {
                self.from = now;
                self.on_again(settings, Stage::On, "was never said to be on")
            }
            Stage::Dark { .. } => self.is_dark(),
            Stage::Lit { .. } | Stage::Check { .. } => self.is_checked(Era::Old),
            Stage::Cut { .. } => After::Done,
            Stage::Off | Stage::On => After::More,
        }
    }

    /// Supplies were read, an FPGA said which it is, or a link was stopped.
    pub fn answered(&mut self, now: Moment, body: &[u8], settings: &BmpSettings) -> After {
        self.setbacks = 0;
        match self.stage {
            Stage::Off | Stage::On => After::More,
            Stage::Dark { until } => self.saw_supplies(now, until, body, false, settings),
            Stage::Lit { until } => self.saw_supplies(now, until, body, true, settings),
            Stage::Check { next, until } => self.saw(now, next, until, number(body), settings),
            Stage::Cut { next } if next + 1 < self.links.len() => {
                self.stage = Stage::Cut { next: next + 1 };
                After::More
            }
            Stage::Cut { .. } => After::Done,
        }
    }

    /// The board's own question was refused, or will not pass.
    pub fn refused(&mut self, now: Moment, trouble: &Trouble, why: Arc<str>) -> After {
        if trouble.may_pass() { self.set_back(now, why) } else { After::Failed(why) }
    }

    fn is_off(&mut self, now: Moment, era: Era, settings: &BmpSettings) -> After {
        match (self.goal, era) {
            (Goal::Off, _) | (Goal::Dark, Era::Old) => After::Done,
            (Goal::Tested, _) if self.seen => After::Done,
            // Boards hear of power by a broadcast that nobody acknowledges: one that missed it would keep its links stopped, and
            // what its last job left.
            (_, Era::New) => {
                self.stage = Stage::Dark { until: now.plus_ms(settings.fpga_ms_max) };
                After::More
            }
            (Goal::Tested | Goal::Ready, Era::Old) => {
                self.stage = Stage::On;
                After::More
            }
        }
    }

    /// The board is seen to be off.
    fn is_dark(&mut self) -> After {
        self.unsure = false;
        match self.goal {
            Goal::Off | Goal::Dark => After::Done,
            Goal::Tested if self.seen => After::Done,
            Goal::Tested | Goal::Ready => {
                self.stage = Stage::On;
                After::More
            }
        }
    }

    /// What the supplies of a board read that should be on, or off. Readings may be a little old.
    fn saw_supplies(
        &mut self,
        now: Moment,
        until: Moment,
        body: &[u8],
        wanted: bool,
        settings: &BmpSettings,
    ) -> After {
        let lit = match Status::decode(body) {
            Ok(status) => SWITCHED.iter().any(|rail| status.volts(*rail) > DARK_VOLTS_MAX),
            Err(error) => {
                return After::Failed(format!("the readings of the board cannot be read: {error}").into());
            }
        };
        match (lit == wanted, lit) {
            (true, true) => {
                self.unsure = false;
                self.stage = Stage::Check { next: 0, until };
                After::More
            }
            (true, false) => self.is_dark(),
            (false, _) if now < until => {
                self.from = now.plus_ms(LOOK_PAUSE_MS);
                After::More
            }
            (false, true) => self.off_again(settings, "is still on"),
            (false, false) => self.on_again(settings, Stage::On, "stays dark"),
        }
    }

    /// An FPGA of a board that should be on.
    fn saw(
        &mut self,
        now: Moment,
        next: usize,
        until: Moment,
        number: Option<u32>,
        settings: &BmpSettings,
    ) -> After {
        let Some(fpga) = Fpga::ALL.get(next).copied() else { return self.is_checked(Era::New) };
        if number == Some(fpga.number()) {
            self.stage = Stage::Check { next: next + 1, until };
            return if next + 1 < Fpga::ALL.len() { After::More } else { self.is_checked(Era::New) };
        }
        if now < until {
            self.from = now.plus_ms(LOOK_PAUSE_MS);
            return After::More;
        }
        let says = number.map_or("nothing".into(), |number| format!("it is number {number}"));
        let what = format!("has an FPGA {} that says {says}", fpga.number());
        self.on_again(settings, Stage::Off, &what)
    }

    /// The board is on, and its FPGAs are themselves.
    fn is_checked(&mut self, era: Era) -> After {
        self.unsure = false;
        if self.goal == Goal::Tested {
            (self.seen, self.stage) = (true, Stage::Off);
            return After::More;
        }
        if self.links.is_empty() || era == Era::Old {
            return After::Done;
        }
        self.stage = Stage::Cut { next: 0 };
        After::More
    }

    /// Switched on once more, from there, if there are tries left.
    fn on_again(&mut self, settings: &BmpSettings, stage: Stage, what: &str) -> After {
        self.again(stage, self.ons, settings, what)
    }

    /// Switched off once more, if there are tries left.
    fn off_again(&mut self, settings: &BmpSettings, what: &str) -> After {
        self.offs += 1;
        self.again(Stage::Off, self.offs, settings, what)
    }

    fn again(&mut self, stage: Stage, tries: u32, settings: &BmpSettings, what: &str) -> After {
        if tries >= settings.power_tries {
            let times = if tries == 1 { "once".to_owned() } else { format!("{tries} times") };
            return After::Failed(format!("the board {what}, though it was switched {times}").into());
        }
        (self.stage, self.unsure) = (stage, false);
        After::More
    }

    fn begin_look(&mut self, now: Moment, settings: &BmpSettings) {
        self.ons += 1;
        self.from = now.plus_ms(settings.on_settle_ms);
        self.stage = Stage::Lit { until: self.from.plus_ms(settings.fpga_ms_max) };
    }
}

/// The number that an FPGA says it has.
fn number(body: &[u8]) -> Option<u32> {
    body.first_chunk().map(|word| u32::from_le_bytes(*word) & FLAGS_ID)
}
