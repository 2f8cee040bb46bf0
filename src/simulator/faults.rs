//! What may go wrong, as lines of text: for people at a terminal, for files, for tests.
//!
//! One line is one fault. `GRAMMAR` has them all; a line that is none of them is answered with a sentence that says what
//! was expected. Faults of the way (`loss`, `double`, `delay`, `reorder`, `silence`, `lose`) are carried out by `network`, the
//! others by `plant`.

use crate::spinnaker::bmp::Board;
use std::fmt;
use std::net::Ipv4Addr;
use std::str::{FromStr, SplitWhitespace};
use std::sync::Arc;

/// The longest line.
pub const LINE_BYTES_MAX: usize = 256;
/// The longest delay, in milliseconds.
pub const DELAY_MS_MAX: u64 = 60_000;
/// The greatest number of times that something happens.
pub const TIMES_MAX: u32 = 1_000_000;
/// The greatest number of a cabinet or a frame.
const PHYSICAL_MAX: u32 = 65_535;

/// Every line there is, and what it does.
pub const GRAMMAR: &[(&str, &str)] = &[
    ("loss SHARE [in|out] [at ADDRESS]", "this share of datagrams, from 0 to 1, is lost"),
    ("double SHARE [in|out] [at ADDRESS]", "this share arrives twice"),
    (
        "reorder SHARE [in|out] [at ADDRESS]",
        "this share is held back for up to 20 ms, so that others overtake it",
    ),
    ("delay MS [to MS] [in|out] [at ADDRESS]", "each datagram takes this long, or by chance between the two"),
    ("silence [in|out] [at ADDRESS]", "all datagrams are lost: loss 1"),
    ("lose TIMES [in|out] [at ADDRESS]", "the next so many datagrams are lost"),
    ("busy TIMES frame [MACHINE] CABINET FRAME", "the frame's BMP answers so many commands with P2P_BUSY"),
    (
        "bad-fpga [MACHINE] CABINET FRAME BOARD FPGA [for TIMES]",
        "this FPGA comes up wrong at the next so many power-ons, or at all",
    ),
    ("dead [MACHINE] CABINET FRAME BOARD", "this board no longer answers, and its frame cannot reach it"),
    ("alive [MACHINE] CABINET FRAME BOARD", "it is as it was before it died, and off"),
    (
        "offline [MACHINE] CABINET FRAME",
        "the network of this frame is unplugged: its BMP and its boards are silent, and stay as they are",
    ),
    ("online [MACHINE] CABINET FRAME", "it is plugged in again"),
    ("kill [MACHINE] CABINET FRAME", "this frame has no current: all in it is off and forgets"),
    (
        "restart [MACHINE] CABINET FRAME",
        "this frame has current again, or loses it for a moment: its BMP starts anew",
    ),
    ("clear", "all of the above ends; boards that lost their current stay off"),
];

/// A share of all datagrams, from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Share(f64);

impl Share {
    /// All of them.
    pub const ALL: Share = Share(1.0);

    /// This share, if it is one.
    pub fn new(share: f64) -> Option<Share> {
        (0.0..=1.0).contains(&share).then_some(Share(share))
    }

    /// As a number.
    pub fn number(self) -> f64 {
        self.0
    }
}

/// What befalls datagrams on their way.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Ill {
    /// This share is lost.
    Loss(Share),
    /// This share arrives twice.
    Double(Share),
    /// This share is overtaken.
    Reorder(Share),
    /// Each takes at least and at most so many milliseconds.
    Delay(u64, u64),
    /// The next so many are lost.
    Lose(u32),
}

/// Which way datagrams go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    /// To the hardware.
    In,
    /// From it.
    Out,
}

impl Way {
    /// Both.
    pub const BOTH: [Way; 2] = [Way::In, Way::Out];
}

/// A frame as a line names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrameName {
    /// The machine; it may be left out where there is only one that has such a frame.
    pub machine: Option<Arc<str>>,
    /// The cabinet.
    pub cabinet: u32,
    /// The frame in the cabinet.
    pub frame: u32,
}

/// A board as a line names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BoardName {
    /// Its frame.
    pub frame: FrameName,
    /// Its place there.
    pub board: Board,
}

/// Something that goes wrong, or is put right.
#[derive(Clone, Debug, PartialEq)]
pub enum Fault {
    /// On the way to or from hardware.
    OnTheWay {
        /// What.
        ill: Ill,
        /// Which way; both if none is named.
        way: Option<Way>,
        /// To or from which address; all if none is named.
        at: Option<Ipv4Addr>,
    },
    /// A BMP is busy so many times.
    Busy(FrameName, u32),
    /// An FPGA comes up wrong for so many power-ons.
    BadFpga(BoardName, u8, u32),
    /// A board breaks.
    Dead(BoardName),
    /// It is mended.
    Alive(BoardName),
    /// A frame is unplugged from the network.
    Offline(FrameName),
    /// It is plugged in.
    Online(FrameName),
    /// A frame loses its current.
    Kill(FrameName),
    /// It gets it back.
    Restart(FrameName),
    /// All ends.
    Clear,
}

/// Why a line is no fault, or a fault cannot happen: a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong(pub String);

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for Wrong {}

/// The sentence as an error.
fn wrong<T>(sentence: impl Into<String>) -> Result<T, Wrong> {
    Err(Wrong(sentence.into()))
}

impl Fault {
    /// The fault that a line describes; none when it is empty or a comment, which begins with #.
    pub fn of_line(line: &str) -> Result<Option<Fault>, Wrong> {
        if line.len() > LINE_BYTES_MAX {
            return wrong(format!("the line has {} bytes; at most {LINE_BYTES_MAX} are read", line.len()));
        }
        let text = line.split('#').next().unwrap_or_default();
        let mut words = Words { words: text.split_whitespace(), ahead: None };
        let Some(first) = words.take() else { return Ok(None) };
        let fault = words.fault(first)?;
        match words.take() {
            None => Ok(Some(fault)),
            Some(more) => wrong(format!("'{}' is not expected here: {}", shown(more), form_of(first))),
        }
    }

    /// All faults of a text, or every line that is wrong with its number.
    pub fn of_text(text: &str) -> Result<Vec<Fault>, Wrong> {
        let (mut faults, mut sentences) = (Vec::new(), Vec::new());
        for (number, line) in (1..).zip(text.lines()) {
            match Fault::of_line(line) {
                Ok(fault) => faults.extend(fault),
                Err(Wrong(sentence)) => sentences.push(format!("line {number}: {sentence}")),
            }
        }
        if sentences.is_empty() { Ok(faults) } else { wrong(sentences.join("\n")) }
    }
}

/// The form of the line that begins with this word.
fn form_of(first: &str) -> String {
    let form = GRAMMAR.iter().find(|(form, _)| form.split(' ').next() == Some(first));
    form.map_or_else(String::new, |(form, _)| format!("the form is '{form}'"))
}

/// A word as it is repeated in a sentence.
fn shown(word: &str) -> String {
    let mut shown: String = word.chars().take(40).collect();
    if shown.len() < word.len() {
        shown.push_str("...");
    }
    shown
}

/// The words of a line, one of which may be looked at before it is taken.
struct Words<'a> {
    words: SplitWhitespace<'a>,
    ahead: Option<&'a str>,
}

impl<'a> Words<'a> {
    fn take(&mut self) -> Option<&'a str> {
        self.ahead.take().or_else(|| self.words.next())
    }

    fn peek(&mut self) -> Option<&'a str> {
        self.ahead = self.take();
        self.ahead
    }

    /// Takes the next word if it is this one.
    fn take_if(&mut self, word: &str) -> bool {
        let is_it = self.peek() == Some(word);
        if is_it {
            self.ahead = None;
        }
        is_it
    }

    fn fault(&mut self, first: &str) -> Result<Fault, Wrong> {
        match first {
            "loss" => self.share(first).and_then(|share| self.on_the_way(Ill::Loss(share))),
            "double" => self.share(first).and_then(|share| self.on_the_way(Ill::Double(share))),
            "reorder" => self.share(first).and_then(|share| self.on_the_way(Ill::Reorder(share))),
            "silence" => self.on_the_way(Ill::Loss(Share::ALL)),
            "lose" => self.times(first).and_then(|times| self.on_the_way(Ill::Lose(times))),
            "delay" => self.delay(),
            "busy" => self.busy(),
            "bad-fpga" => self.bad_fpga(),
            "dead" => self.board(first).map(Fault::Dead),
            "alive" => self.board(first).map(Fault::Alive),
            "offline" => self.frame(first).map(Fault::Offline),
            "online" => self.frame(first).map(Fault::Online),
            "kill" => self.frame(first).map(Fault::Kill),
            "restart" => self.frame(first).map(Fault::Restart),
            "clear" => Ok(Fault::Clear),
            other => {
                let known: Vec<_> = GRAMMAR.iter().filter_map(|(form, _)| form.split(' ').next()).collect();
                wrong(format!("there is no fault '{}'; there are {}", shown(other), known.join(", ")))
            }
        }
    }

    /// A number within bounds.
    fn number<T>(&mut self, first: &str, what: &str, least: T, most: T) -> Result<T, Wrong>
    where
        T: FromStr + PartialOrd + fmt::Display,
    {
        let Some(word) = self.take() else {
            return wrong(format!("{what} is missing: {}", form_of(first)));
        };
        match word.parse::<T>() {
            Ok(number) if number >= least && number <= most => Ok(number),
            _ => wrong(format!("'{}' is no {what}: a number from {least} to {most}", shown(word))),
        }
    }

    fn share(&mut self, first: &str) -> Result<Share, Wrong> {
        self.number(first, "share", 0.0, 1.0).map(Share)
    }

    fn times(&mut self, first: &str) -> Result<u32, Wrong> {
        self.number(first, "number of times", 1, TIMES_MAX)
    }

    fn delay(&mut self) -> Result<Fault, Wrong> {
        let least = self.number("delay", "delay in milliseconds", 0, DELAY_MS_MAX)?;
        let most = if self.take_if("to") {
            self.number("delay", "greatest delay in milliseconds", least, DELAY_MS_MAX)?
        } else {
            least
        };
        self.on_the_way(Ill::Delay(least, most))
    }

    fn on_the_way(&mut self, ill: Ill) -> Result<Fault, Wrong> {
        let way = match (self.take_if("in"), self.take_if("out")) {
            (true, false) => Some(Way::In),
            (false, true) => Some(Way::Out),
            (true, true) => return wrong("'in' or 'out', not both: without either it is both"),
            (false, false) => None,
        };
        let at = if self.take_if("at") { Some(self.address()?) } else { None };
        Ok(Fault::OnTheWay { ill, way, at })
    }

    fn address(&mut self) -> Result<Ipv4Addr, Wrong> {
        let word = self.take().unwrap_or_default();
        let read = word.parse();
        read.or_else(|_| wrong(format!("'{}' is no address: four numbers, such as 127.11.0.1", shown(word))))
    }

    fn busy(&mut self) -> Result<Fault, Wrong> {
        let times = self.times("busy")?;
        if !self.take_if("frame") {
            return wrong(format!("'frame' is missing: {}", form_of("busy")));
        }
        Ok(Fault::Busy(self.frame("busy")?, times))
    }

    fn bad_fpga(&mut self) -> Result<Fault, Wrong> {
        let board = self.board("bad-fpga")?;
        let fpga = self.number("bad-fpga", "FPGA", 0, 2)?;
        let times = if self.take_if("for") { self.times("bad-fpga")? } else { u32::MAX };
        Ok(Fault::BadFpga(board, fpga, times))
    }

    fn frame(&mut self, first: &str) -> Result<FrameName, Wrong> {
        let is_name =
            |word: &&str| !word.starts_with(|first: char| first.is_ascii_digit()) && !word.starts_with('-');
        let machine = self.peek().filter(is_name).map(Arc::from);
        if machine.is_some() {
            self.ahead = None;
        }
        let cabinet = self.number(first, "cabinet", 0, PHYSICAL_MAX)?;
        let frame = self.number(first, "frame", 0, PHYSICAL_MAX)?;
        Ok(FrameName { machine, cabinet, frame })
    }

    fn board(&mut self, first: &str) -> Result<BoardName, Wrong> {
        let frame = self.frame(first)?;
        let number = self.number(first, "board", 0, Board::COUNT - 1)?;
        Ok(BoardName { frame, board: Board::new(number).unwrap_or(Board::FIRST) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(line: &str) -> Fault {
        Fault::of_line(line).unwrap_or_else(|why| panic!("{line}: {why}")).expect("a fault")
    }

    fn sentence(line: &str) -> String {
        Fault::of_line(line).expect_err(line).0
    }

    fn frame(machine: Option<&str>, cabinet: u32, frame: u32) -> FrameName {
        FrameName { machine: machine.map(Arc::from), cabinet, frame }
    }

    #[test]
    fn faults_of_the_way_are_for_all_or_one_and_both_or_one_way() {
        let share = Share::new(0.25).unwrap();
        let at = Some(Ipv4Addr::new(127, 0, 1, 1));
        let cases = [
            ("loss 0.25", Ill::Loss(share), None, None),
            ("  double 0.25 in # hm", Ill::Double(share), Some(Way::In), None),
            ("reorder 0.25 at 127.0.1.1", Ill::Reorder(share), None, at),
            ("delay 5", Ill::Delay(5, 5), None, None),
            ("delay 5 to 9 out at 127.0.1.1", Ill::Delay(5, 9), Some(Way::Out), at),
            ("silence", Ill::Loss(Share::ALL), None, None),
            ("lose 3 in", Ill::Lose(3), Some(Way::In), None),
        ];
        for (line, ill, way, at) in cases {
            assert_eq!(fault(line), Fault::OnTheWay { ill, way, at }, "{line}");
        }
    }

    #[test]
    fn faults_of_hardware_name_their_place() {
        let board =
            |machine, number| BoardName { frame: frame(machine, 0, 1), board: Board::new(number).unwrap() };
        let cases = [
            ("busy 3 frame 0 1", Fault::Busy(frame(None, 0, 1), 3)),
            ("busy 3 frame m 0 1", Fault::Busy(frame(Some("m"), 0, 1), 3)),
            ("bad-fpga 0 1 5 1 for 2", Fault::BadFpga(board(None, 5), 1, 2)),
            ("bad-fpga m 0 1 5 1", Fault::BadFpga(board(Some("m"), 5), 1, u32::MAX)),
            ("dead 0 1 23", Fault::Dead(board(None, 23))),
            ("alive 0 1 0", Fault::Alive(board(None, 0))),
            ("offline 0 1", Fault::Offline(frame(None, 0, 1))),
            ("online 0 1", Fault::Online(frame(None, 0, 1))),
            ("kill 0 1", Fault::Kill(frame(None, 0, 1))),
            ("restart big-1 0 1", Fault::Restart(frame(Some("big-1"), 0, 1))),
            ("clear", Fault::Clear),
        ];
        for (line, expected) in cases {
            assert_eq!(fault(line), expected, "{line}");
        }
        assert_eq!(Fault::of_line(" "), Ok(None));
        assert_eq!(Fault::of_line("# loss 1"), Ok(None));
    }

    #[test]
    fn every_wrong_line_is_answered_with_a_sentence() {
        let cases = [
            ("los 0.1", "there is no fault 'los'; there are loss, double,"),
            ("loss", "share is missing: the form is 'loss SHARE [in|out] [at ADDRESS]'"),
            ("loss 1.5", "'1.5' is no share: a number from 0 to 1"),
            ("loss NaN", "'NaN' is no share"),
            ("loss 0.1 both", "'both' is not expected here: the form is 'loss"),
            ("loss 0.1 in out", "'in' or 'out', not both"),
            ("loss 0.1 at lab", "'lab' is no address"),
            ("loss 0.1 at", "'' is no address"),
            ("delay -1", "'-1' is no delay in milliseconds: a number from 0 to 60000"),
            ("delay 9 to 5", "'5' is no greatest delay in milliseconds: a number from 9 to 60000"),
            ("lose 0", "'0' is no number of times: a number from 1 to 1000000"),
            ("busy 3 0 0", "'frame' is missing: the form is 'busy"),
            ("busy 3 frame 0", "frame is missing: the form is 'busy"),
            ("bad-fpga 0 0 5 3", "'3' is no FPGA: a number from 0 to 2"),
            ("bad-fpga 0 0 5 1 for", "number of times is missing"),
            ("dead 0 0 24", "'24' is no board: a number from 0 to 23"),
            ("dead -1 0 0", "'-1' is no cabinet: a number from 0 to 65535"),
            ("offline m", "cabinet is missing: the form is 'offline"),
            ("clear all", "'all' is not expected here: the form is 'clear'"),
        ];
        for (line, beginning) in cases {
            let told = sentence(line);
            assert!(told.starts_with(beginning), "{line}: {told}");
        }
        let long = "x".repeat(LINE_BYTES_MAX + 1);
        assert!(sentence(&long).contains("at most 256"));
        assert!(sentence(&"y".repeat(200)).len() < 300);
    }

    #[test]
    fn the_grammar_names_every_fault_and_nothing_else() {
        for (form, _) in GRAMMAR {
            let first = form.split(' ').next().unwrap();
            assert!(
                !matches!(Fault::of_line(first), Err(Wrong(why)) if why.starts_with("there is no")),
                "{form}"
            );
        }
    }

    #[test]
    fn a_text_tells_all_its_wrong_lines() {
        assert_eq!(Fault::of_text("# none\n\nloss 0\nclear").unwrap().len(), 2);
        let Wrong(why) = Fault::of_text("loss 2\nclear\nnothing").unwrap_err();
        let lines: Vec<_> = why.lines().collect();
        assert!(
            lines[0].starts_with("line 1: '2' is no share") && lines[1].starts_with("line 3: there is no")
        );
    }
}
