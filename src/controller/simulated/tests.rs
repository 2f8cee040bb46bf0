//! Simulated boards against transcripts: `tests/scripts/controller/*.txt`.
//!
//! A script is blocks of commands, a rule `---`, and what happened, up to an empty line; `#` begins a comment.
//! With BERTH_WRITE_SCRIPTS=1 what happened is written into the script, to be read as a diff.
//!
//! ```text
//! boards 4 prepare_ms=100 broken=1,2     start anew with so many boards and these settings
//! order 1.0 prepare 0 1 as=burn          order 1.0 to boards 0 and 1; or off, clean, test
//! ask 1.0 sensors 0                      consult board 0 under order 1.0; or identify, cycle, send
//! wait 100                               milliseconds go by
//! show 0 1                               what boards remember
//! ```

use super::*;
use crate::lab::fact::{BoardRef, Grant};
use std::fmt::Write;
use std::path::Path;

/// Where time starts in every script.
const START: Moment = Moment(1_000_000);

#[test]
fn scripts() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts/controller");
    let mut paths: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "txt"));
    paths.sort();
    assert!(!paths.is_empty());
    let write = std::env::var_os("BERTH_WRITE_SCRIPTS").is_some();
    for path in paths {
        let script = std::fs::read_to_string(&path).unwrap();
        let played = play(&script);
        if write {
            std::fs::write(&path, played).unwrap();
        } else {
            assert_eq!(played, script, "{} differs; BERTH_WRITE_SCRIPTS=1 rewrites it", path.display());
        }
    }
}

/// The script with what really happened.
fn play(script: &str) -> String {
    let mut stage = Stage::new(1, SimulatedSettings::default());
    let mut played = String::new();
    for block in script.trim_end().split("\n\n") {
        let commands =
            block.split_once("---\n").map_or(block, |(commands, _)| commands).trim_end_matches("---");
        let commands = commands.trim_end();
        let happened: String = commands.lines().map(|line| stage.run(line)).collect();
        let gap = if played.is_empty() { "" } else { "\n" };
        write!(played, "{gap}{commands}\n---\n{happened}").unwrap();
    }
    played
}

/// The boards a script plays with.
struct Stage {
    boards: Simulated,
    now: Moment,
    tickets: u64,
}

impl Stage {
    fn new(count: u32, settings: SimulatedSettings) -> Stage {
        let boards = Boards::new(count, |board| format!("b{}", board.0).into());
        Stage { boards: Simulated::new(settings, boards), now: START, tickets: 0 }
    }

    /// One line of a script; what happened because of it.
    fn run(&mut self, line: &str) -> String {
        let line = line.split('#').next().unwrap_or_default();
        let (options, words): (Vec<_>, Vec<_>) = line.split_whitespace().partition(|word| word.contains('='));
        match words.as_slice() {
            [] => return String::new(),
            ["boards", count] => *self = Stage::new(count.parse().unwrap(), settings(&options)),
            ["order", id, action, boards @ ..] => self.order(id, action, boards, &options),
            ["ask", id, what, board] => self.ask(id, what, board, &options),
            ["wait", ms] => return self.wait(ms.parse().unwrap()),
            ["show", boards @ ..] => return boards.iter().map(|board| self.show(board)).collect(),
            _ => panic!("cannot read: {line}"),
        }
        self.news()
    }

    fn order(&mut self, number: &str, action: &str, boards: &[&str], options: &[&str]) {
        let kind = option(options, "as").unwrap_or("spinnaker").into();
        let action = match action {
            "prepare" => Action::Prepare { kind, args: "{}".into() },
            "off" => Action::PowerOff,
            "clean" => Action::Clean,
            "test" => Action::Test,
            other => panic!("no such action: {other}"),
        };
        let boards = boards.iter().map(|word| board(word)).collect();
        let order =
            Order { id: id(number), machine: "m".into(), action, boards, mates: [].into(), job: None };
        self.boards.handle_order(self.now, &order);
    }

    fn ask(&mut self, number: &str, what: &str, on: &str, options: &[&str]) {
        let what = match what {
            "identify" => Consult::Identify { on: option(options, "on").map(|on| on == "true") },
            "sensors" => Consult::ReadSensors,
            "cycle" => Consult::PowerCycle,
            "send" => Consult::Send {
                command: option(options, "command").unwrap_or_default().into(),
                args: option(options, "args").unwrap_or("[]").into(),
            },
            other => panic!("no such consultation: {other}"),
        };
        self.tickets += 1;
        let at = Consultation {
            board: BoardRef { machine: "m".into(), board: board(on) },
            order: id(number),
            held: None,
        };
        self.boards.handle_consult(self.now, self.tickets, &at, &what);
    }

    /// Goes from deadline to deadline, as a driver would.
    fn wait(&mut self, ms: u64) -> String {
        let until = self.now.plus_ms(ms);
        let mut happened = String::new();
        while let Some(next) = self.boards.wake_at().filter(|next| *next <= until) {
            assert!(next >= self.now, "a deadline lies behind");
            self.now = next;
            let news = self.news();
            assert!(!news.is_empty(), "woken for nothing at {next}");
            happened += &news;
        }
        self.now = until;
        happened
    }

    fn news(&mut self) -> String {
        let mut happened = String::new();
        while let Some(news) = self.boards.poll(self.now) {
            let after_ms = self.now.ms_since(START);
            writeln!(happened, "{after_ms} ms: {}", told(&news)).unwrap();
        }
        happened
    }

    fn show(&self, word: &str) -> String {
        let SimulatedBoard { power, kind, led } = self.boards.board(board(word));
        let (power, led) = (if power { "on" } else { "off" }, if led { ", led" } else { "" });
        format!("board {word}: {power}, {}{led}\n", kind.as_deref().unwrap_or("clean"))
    }
}

fn told(news: &SimulatedNews) -> String {
    match news {
        SimulatedNews::Answer { ticket, answer: Err(error) } => format!("ask {ticket}: {error:?}"),
        SimulatedNews::Answer { ticket, answer: Ok(Reading::Done) } => format!("ask {ticket}: done"),
        SimulatedNews::Answer { ticket, answer: Ok(Reading::Said(said)) } => format!("ask {ticket}: {said}"),
        SimulatedNews::Answer { ticket, answer: Ok(Reading::Sensors(values)) } => {
            let values: Vec<_> =
                values.iter().map(|(name, (value, unit))| format!("{name} {value} {unit}")).collect();
            format!("ask {ticket}: {}", values.join(", "))
        }
        SimulatedNews::Outcome(outcome) => {
            let obeyed: String = outcome.obeyed.iter().map(|board| format!(" {}", board.0)).collect();
            let failed = outcome.failed.iter().map(|(board, why)| format!("{} failed: {why}", board.0));
            let obeyed = Some(format!("obeyed by{obeyed}")).filter(|_| !outcome.obeyed.is_empty());
            let parts: Vec<_> = obeyed.into_iter().chain(failed).collect();
            format!("order {} {}", outcome.order, parts.join("; "))
        }
    }
}

fn settings(options: &[&str]) -> SimulatedSettings {
    let number = |name| option(options, name).map_or(0, |value| value.parse().unwrap());
    let share = |name| option(options, name).map_or(0.0, |value| value.parse().unwrap());
    let boards = |name| option(options, name).map_or(vec![], |value| value.split(',').map(board).collect());
    SimulatedSettings {
        seed: number("seed"),
        prepare_ms: number("prepare_ms"),
        power_ms: number("power_ms"),
        clean_ms: number("clean_ms"),
        test_ms: number("test_ms"),
        jitter_ms: number("jitter_ms"),
        fail_share: share("fail_share"),
        silent_share: share("silent_share"),
        broken_boards: boards("broken"),
        stuck_boards: boards("stuck"),
    }
}

fn option<'a>(options: &[&'a str], name: &str) -> Option<&'a str> {
    options
        .iter()
        .filter_map(|option| option.split_once('='))
        .find(|(key, _)| *key == name)
        .map(|(_, value)| value)
}

fn board(word: &str) -> BoardIndex {
    BoardIndex(word.parse().unwrap())
}

fn id(word: &str) -> OrderId {
    let (grant, step) = word.split_once('.').unwrap();
    OrderId { grant: Grant(grant.parse().unwrap()), step: step.parse().unwrap() }
}

/// The same tasks bring the same news whoever looks, and nothing is left behind when all is over.
#[test]
fn a_long_and_busy_life_repeats_and_leaves_nothing() {
    let settings = || SimulatedSettings {
        seed: 42,
        prepare_ms: 50,
        clean_ms: 20,
        jitter_ms: 30,
        fail_share: 0.1,
        silent_share: 0.1,
        ..Default::default()
    };
    let live = || {
        let mut stage = Stage::new(50, settings());
        let mut told = String::new();
        for grant in 1..400u64 {
            let boards: Vec<String> = (0..5).map(|n| ((grant * 7 + n * 11) % 50).to_string()).collect();
            let boards: Vec<&str> = boards.iter().map(String::as_str).collect();
            let action = if grant % 3 == 0 { "clean" } else { "prepare" };
            stage.order(&format!("{grant}.0"), action, &boards, &[]);
            stage.ask(&format!("{grant}.0"), ["cycle", "sensors"][grant as usize % 2], boards[0], &[]);
            told += &stage.wait(10);
        }
        told += &stage.wait(SILENCE_MS_MAX + 1_000);
        (told, stage.boards)
    };
    let (told, boards) = live();
    assert_eq!(told, live().0);
    for word in ["obeyed", "simulated fault", "overtaken", "Silent", "Stale", "Busy"] {
        assert!(told.contains(word), "no {word}");
    }
    assert!(
        boards.touched.iter().all(|board| board.under_way.is_none())
            && boards.due.is_empty()
            && boards.news.is_empty()
    );
    assert!(boards.asked.is_empty() && boards.asked_at.is_empty());
    assert_eq!((boards.wake_at(), boards.touched.len()), (None, 50));
}
