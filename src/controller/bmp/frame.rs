//! One frame: what its BMP is asked next. One conversation, one question at a time.
//!
//! Bring work in with `begin` and `ask`, take a question out with `next_question`, bring what came of it in with `handle`,
//! let time pass with `expire`, and take out what came to its end with `poll`. Whoever has waited longest is next; boards that
//! are all to be switched the same way when one of them has its turn are switched in one command.
//!
//! The first question is who the BMP is. After a silence it is asked that again before anything else, and when it is silent
//! then, too, all work of the frame fails at once: nothing would come of it but more waiting.
//!
//! What is deliberately not here: orders and their boards in other frames (`floor`).

use super::layout::FrameId;
use super::question::{Bmp, Question, Trouble};
use super::sensors;
use super::work::{After, Cause, Era, Work};
use crate::clock::Moment;
use crate::controller::{BmpSettings, ControllerError, Reading};
use crate::spinnaker::bmp::{Board, Boards, Status};
use crate::spinnaker::version::Version;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// The first version of BMPs that let FPGAs be asked.
const FPGA_VERSION_MIN: u32 = 2;

/// Something that came to its end.
#[derive(Debug)]
pub enum Ended {
    /// The work at a board.
    Work {
        /// The board.
        board: Board,
        /// What it was for.
        cause: Cause,
        /// Why it came to nothing, if it did.
        outcome: Result<(), Arc<str>>,
    },
    /// A consultation.
    Asked {
        /// Which one.
        ticket: u64,
        /// What came of it.
        answer: Result<Reading, ControllerError>,
    },
    /// Something for the log.
    Said(String),
}

/// A question that somebody asked for.
#[derive(Debug)]
struct Asked {
    ticket: u64,
    question: Question,
    deadline: Moment,
    from: Moment,
    turn: u64,
    setbacks: u32,
}

/// A board's work and its place in the line.
#[derive(Debug)]
struct Entry {
    work: Work,
    turn: u64,
    /// Tells work from the work that took its place.
    serial: u64,
}

/// For whom a question was asked.
#[derive(Debug)]
enum Whom {
    /// For all.
    All,
    /// For the work at these boards, by its serial.
    Works(Vec<(Board, u64)>),
    /// For a consultation.
    Ticket(u64),
}

/// The work of one frame. Memory is bounded by its boards, but for consultations, which whoever brings them counts.
#[derive(Debug)]
pub struct Frame {
    bmp: Bmp,
    era: Option<Era>,
    /// Boards that were seen to be off, and not switched on since.
    off: Boards,
    works: BTreeMap<Board, Entry>,
    asked: Vec<Asked>,
    asking: Option<(Question, Whom)>,
    turns: u64,
    ended: VecDeque<Ended>,
}

impl Frame {
    /// A frame of whose BMP nothing is known.
    pub fn new(host: Arc<str>, frame: FrameId) -> Frame {
        Frame {
            bmp: Bmp { host, frame },
            era: None,
            off: Boards::default(),
            works: BTreeMap::new(),
            asked: Vec::new(),
            asking: None,
            turns: 0,
            ended: VecDeque::new(),
        }
    }

    /// The host of the BMP.
    pub fn host(&self) -> &Arc<str> {
        &self.bmp.host
    }

    /// Whether a board is off for sure.
    pub fn is_off(&self, board: Board) -> bool {
        self.off.has(board)
    }

    /// Begins work at a board. Work that was under way there is gone; a question about it goes on and means nothing.
    pub fn begin(&mut self, board: Board, work: Work) {
        let turn = self.turn();
        self.works.insert(board, Entry { work, turn, serial: turn });
    }

    /// Gives up what was under way at a board.
    pub fn leave(&mut self, board: Board) {
        self.works.remove(&board);
    }

    /// Asks something for a consultation.
    pub fn ask(&mut self, now: Moment, deadline: Moment, ticket: u64, question: Question) {
        let turn = self.turn();
        self.asked.push(Asked { ticket, question, deadline, from: now, turn, setbacks: 0 });
    }

    /// What the BMP is to be asked now. It must be answered with `handle` before there is another question.
    pub fn next_question(&mut self, now: Moment, settings: &BmpSettings) -> Option<Question> {
        if self.asking.is_some() {
            return None;
        }
        self.skip_fpgas(now, settings);
        let work = self.works.iter().filter(|(_, entry)| entry.work.from <= now);
        let work = work.min_by_key(|(_, entry)| entry.turn).map(|(board, entry)| (entry.turn, *board));
        let asked = self.asked.iter().filter(|asked| asked.from <= now).min_by_key(|asked| asked.turn);
        let first_asked = match (&work, asked) {
            (None, None) => return None,
            (Some((turn, _)), Some(asked)) => asked.turn < *turn,
            (work, _) => work.is_none(),
        };
        let (question, whom) = match (self.era, work, asked) {
            (None, _, _) => (Question::Version, Whom::All),
            (_, _, Some(asked)) if first_asked => (asked.question, Whom::Ticket(asked.ticket)),
            (_, Some((_, board)), _) => self.question_of(board, now)?,
            _ => return None,
        };
        if let Question::Power { on: true, boards } = question {
            self.off = Boards(self.off.0 & !boards.0);
        }
        self.asking = Some((question, whom));
        Some(question)
    }

    /// What came of the last question: the body of the reply, or why there is none.
    pub fn handle(&mut self, now: Moment, settings: &BmpSettings, reply: Result<Vec<u8>, Trouble>) {
        let Some((question, whom)) = self.asking.take() else { return };
        let silent = reply.as_ref().is_err_and(Trouble::is_silence);
        if silent {
            // Whatever made it fall silent may have switched boards, too.
            (self.era, self.off) = (None, Boards::default());
        }
        match (question, whom) {
            (Question::Version, _) => self.handle_version(&reply),
            (Question::Power { on, boards }, Whom::Works(works)) => {
                self.handle_power(now, settings, on, boards, &works, reply);
            }
            (_, Whom::Works(works)) => self.handle_work(now, settings, &question, &works, reply),
            (_, Whom::Ticket(ticket)) => self.handle_asked(now, ticket, &question, reply),
            (_, Whom::All) => {}
        }
    }

    /// Gives up what has lasted too long.
    pub fn expire(&mut self, now: Moment, settings: &BmpSettings) {
        let late: Vec<_> = self.works.iter().filter(|(_, entry)| entry.work.deadline <= now).collect();
        let late: Vec<_> = late.into_iter().map(|(board, _)| *board).collect();
        let last = self
            .asking
            .as_ref()
            .map_or(String::new(), |(question, _)| format!("; it was asked last {question}"));
        for board in late {
            let took = settings.order_ms_max / 1_000;
            self.end(board, Err(format!("{} did not get it done within {took} s{last}", self.bmp).into()));
        }
        let late: Vec<_> =
            self.asked.iter().filter(|asked| asked.deadline <= now).map(|asked| asked.ticket).collect();
        for ticket in late {
            self.answer(ticket, Err(ControllerError::Silent));
        }
    }

    /// When `expire` or `next_question` has something to do at the latest, if nothing comes before.
    pub fn wake_at(&self) -> Option<Moment> {
        let deadlines = self.works.values().map(|entry| entry.work.deadline);
        let deadlines = deadlines.chain(self.asked.iter().map(|asked| asked.deadline));
        let starts = self.works.values().map(|entry| entry.work.from);
        let starts = starts.chain(self.asked.iter().map(|asked| asked.from));
        let next = if self.asking.is_none() { starts.min() } else { None };
        deadlines.chain(next).min()
    }

    /// The next thing that came to its end.
    pub fn poll(&mut self) -> Option<Ended> {
        self.ended.pop_front()
    }

    fn turn(&mut self) -> u64 {
        self.turns += 1;
        self.turns
    }

    /// What the work at a board wants, together with all that want the same.
    fn question_of(&mut self, board: Board, now: Moment) -> Option<(Question, Whom)> {
        let entry = self.works.get(&board)?;
        if let Some(on) = entry.work.power() {
            let same = |entry: &&Entry| entry.work.power() == Some(on) && entry.work.from <= now;
            let works: Vec<_> = self.works.iter().filter(|(_, entry)| same(entry)).collect();
            let boards = works.iter().map(|(board, _)| **board).collect();
            let works = works.into_iter().map(|(board, entry)| (*board, entry.serial)).collect();
            return Some((Question::Power { on, boards }, Whom::Works(works)));
        }
        let whom = Whom::Works(vec![(board, entry.serial)]);
        Some((entry.work.question(board)?, whom))
    }

    fn handle_version(&mut self, reply: &Result<Vec<u8>, Trouble>) {
        let era = match reply {
            Err(trouble) => Err(trouble.sentence(&self.bmp, &Question::Version)),
            Ok(body) => self.read_version(body),
        };
        match era {
            Ok(era) => self.era = Some(era),
            Err(why) => self.fail_all(&why),
        }
    }

    fn read_version(&mut self, body: &[u8]) -> Result<Era, Arc<str>> {
        let version =
            Version::decode(body).map_err(|error| format!("{} does not say who it is: {error}", self.bmp))?;
        let numbers = version.release.numbers();
        let [major, minor, patch] =
            numbers.ok_or_else(|| format!("{} says a version without numbers", self.bmp))?;
        let era = if major < FPGA_VERSION_MIN { Era::Old } else { Era::New };
        let note = match era {
            Era::Old => ": FPGAs are not looked at, and no links are stopped",
            Era::New => "",
        };
        let name = version.name;
        self.ended.push_back(Ended::Said(format!("{} is {name} {major}.{minor}.{patch}{note}", self.bmp)));
        Ok(era)
    }

    /// Where FPGAs cannot be asked, work that is to look at them now goes on without.
    fn skip_fpgas(&mut self, now: Moment, settings: &BmpSettings) {
        if self.era != Some(Era::Old) {
            return;
        }
        let looks = |entry: &&Entry| entry.work.power().is_none() && entry.work.from <= now;
        let looking = self.works.iter().filter(|(_, entry)| looks(entry));
        let looking: Vec<_> = looking.map(|(board, _)| *board).collect();
        for board in looking {
            let Some(entry) = self.works.get_mut(&board) else { continue };
            let after = entry.work.skip(now, settings);
            self.go_on(board, after);
        }
    }

    fn handle_power(
        &mut self,
        now: Moment,
        settings: &BmpSettings,
        on: bool,
        boards: Boards,
        works: &[(Board, u64)],
        reply: Result<Vec<u8>, Trouble>,
    ) {
        let question = Question::Power { on, boards };
        let era = self.era.unwrap_or(Era::New);
        for (board, serial) in works {
            let why = || reply.as_ref().err().map(|trouble| trouble.sentence(&self.bmp, &question));
            let why = why().unwrap_or_default();
            let Some(entry) = self.works.get_mut(board).filter(|entry| entry.serial == *serial) else {
                continue;
            };
            let after = match &reply {
                Ok(_) => entry.work.switched(now, era, settings),
                Err(trouble) if trouble.is_silence() => entry.work.maybe_switched(now, settings, why),
                Err(trouble) => entry.work.refused(now, trouble, why),
            };
            self.go_on(*board, after);
        }
    }

    fn handle_work(
        &mut self,
        now: Moment,
        settings: &BmpSettings,
        question: &Question,
        works: &[(Board, u64)],
        reply: Result<Vec<u8>, Trouble>,
    ) {
        for (board, serial) in works {
            let why = reply.as_ref().err().map(|trouble| trouble.sentence(&self.bmp, question));
            let Some(entry) = self.works.get_mut(board).filter(|entry| entry.serial == *serial) else {
                continue;
            };
            let for_dark = entry.work.looks_for_dark();
            let after = match &reply {
                Ok(body) => entry.work.answered(now, body, settings),
                Err(trouble) => entry.work.refused(now, trouble, why.unwrap_or_default()),
            };
            if for_dark && (after == After::Done || entry.work.power() == Some(true)) {
                self.off = self.off.and(*board);
            }
            self.go_on(*board, after);
        }
    }

    fn handle_asked(
        &mut self,
        now: Moment,
        ticket: u64,
        question: &Question,
        reply: Result<Vec<u8>, Trouble>,
    ) {
        let answer = match reply {
            Ok(body) => Ok(self.read_asked(question, &body)),
            Err(trouble) => Err(trouble),
        };
        match answer {
            Ok(answer) => self.answer(ticket, answer),
            Err(trouble) if trouble.may_pass() && self.set_back(now, ticket) => {}
            Err(trouble) => {
                let why = trouble.sentence(&self.bmp, question);
                self.answer(ticket, Err(ControllerError::Failed(why)));
            }
        }
    }

    /// Whether a consultation may try again.
    fn set_back(&mut self, now: Moment, ticket: u64) -> bool {
        let Some(asked) = self.asked.iter_mut().find(|asked| asked.ticket == ticket) else { return false };
        asked.setbacks += 1;
        asked.from = now.plus_ms(super::work::SETBACK_PAUSE_MS);
        asked.setbacks <= super::work::SETBACKS_MAX
    }

    fn read_asked(&self, question: &Question, body: &[u8]) -> Result<Reading, ControllerError> {
        let Question::Sensors { .. } = question else { return Ok(Reading::Done) };
        match Status::decode(body) {
            Ok(status) => Ok(Reading::Sensors(sensors::readings(&status))),
            Err(error) => {
                let why = format!("{} answers with no readings: {error}", self.bmp);
                Err(ControllerError::Failed(why.into()))
            }
        }
    }

    /// The work at a board goes on, at the end of the line, or is over.
    fn go_on(&mut self, board: Board, after: After) {
        match after {
            After::More => {
                let turn = self.turn();
                if let Some(entry) = self.works.get_mut(&board) {
                    entry.turn = turn;
                }
            }
            After::Done => self.end(board, Ok(())),
            After::Failed(why) => self.end(board, Err(why)),
        }
    }

    fn fail_all(&mut self, why: &Arc<str>) {
        let boards: Vec<_> = self.works.keys().copied().collect();
        boards.into_iter().for_each(|board| self.end(board, Err(why.clone())));
        let tickets: Vec<_> = self.asked.iter().map(|asked| asked.ticket).collect();
        for ticket in tickets {
            self.answer(ticket, Err(ControllerError::Failed(why.clone())));
        }
    }

    fn end(&mut self, board: Board, outcome: Result<(), Arc<str>>) {
        if let Some(entry) = self.works.remove(&board) {
            self.ended.push_back(Ended::Work { board, cause: entry.work.cause, outcome });
        }
    }

    fn answer(&mut self, ticket: u64, answer: Result<Reading, ControllerError>) {
        let asked = self.asked.len();
        self.asked.retain(|asked| asked.ticket != ticket);
        if self.asked.len() < asked {
            self.ended.push_back(Ended::Asked { ticket, answer });
        }
    }
}
