//! Exchanges against transcripts: `tests/scripts/exchange/*.txt`.
//!
//! A script is blocks of commands, a rule `---`, and what happened, up to an empty line; `#` begins a comment.
//! With BERTH_WRITE_SCRIPTS=1 what happened is written into the script, to be read as a diff.
//!
//! ```text
//! exchange window=2 tries=3 answer=1000 pause=100 total=5000 first=65535 core=1   start anew with these limits
//! ask a read 8 of=1 flow=2        request a: 8 bytes of core 1; also write N, count, version, power
//! ask f bmp power                 to a BMP
//! cancel a                        forget it
//! reply a ok 8                    the board answers a with 8 bytes; any result's name or number, in any case
//! rubbish 13                      bytes that are no reply
//! wait 100                        milliseconds go by, timer by timer
//! show                            how many are in flight, wait, and strayed
//! ```

use super::super::super::bmp::{self, Board, Boards, DelayMs};
use super::super::super::scamp::{App, Command, CoreState};
use super::super::super::scp::Unit;
use super::*;
use std::fmt::Write;
use std::path::Path;

#[test]
fn scripts() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts/exchange");
    let mut paths: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(paths.len() > 5);
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
    let mut stage = Stage::new(Exchange::new(Limits::SCAMP));
    let mut played = String::new();
    for block in script.trim_end().split("\n\n") {
        let commands = block.split("---").next().unwrap_or_default().trim_end();
        let happened: String = commands.lines().map(|line| stage.run(line)).collect();
        let gap = if played.is_empty() { "" } else { "\n" };
        write!(played, "{gap}{commands}\n---\n{happened}").unwrap();
    }
    played
}

/// One board, asked by a script.
struct Stage {
    exchange: Exchange,
    now: At,
    names: BTreeMap<Ticket, String>,
    /// What was last sent for each name.
    sent: BTreeMap<String, Vec<u8>>,
}

impl Stage {
    fn new(exchange: Exchange) -> Stage {
        Stage { exchange, now: At(0), names: BTreeMap::new(), sent: BTreeMap::new() }
    }

    /// One line of a script; what happened because of it.
    fn run(&mut self, line: &str) -> String {
        let line = line.split('#').next().unwrap_or_default();
        let (options, words): (Vec<_>, Vec<_>) = line.split_whitespace().partition(|word| word.contains('='));
        let option = |name: &str| {
            options
                .iter()
                .find_map(|option| option.strip_prefix(name)?.strip_prefix('=')?.parse::<u64>().ok())
        };
        let mut happened = String::new();
        match words.as_slice() {
            [] => return String::new(),
            ["exchange"] => *self = Stage::new(exchange(option)),
            ["ask", name, what @ ..] => self.ask(name, what, option, &mut happened),
            ["cancel", name] => {
                let ticket = *self.names.iter().find(|(_, other)| other == name).unwrap().0;
                let was = if self.exchange.cancel(ticket, self.now) { "" } else { "not " };
                writeln!(happened, "{} ms: {name} {was}cancelled", self.now.0).unwrap();
            }
            ["reply", name, result, bytes @ ..] => {
                let body = vec![0; bytes.first().map_or(0, |bytes| bytes.parse().unwrap())];
                let reply = reply_to(&self.sent[*name], result_code(result), &body);
                self.hear(&reply, &mut happened);
            }
            ["rubbish", bytes] => self.hear(&vec![0xA5; bytes.parse().unwrap()], &mut happened),
            ["wait", ms] => self.wait(ms.parse().unwrap(), &mut happened),
            ["show"] => {
                let (flying, waiting) = (self.exchange.in_flight(), self.exchange.waiting());
                let strays = self.exchange.strays();
                let now = self.now.0;
                writeln!(happened, "{now} ms: {flying} in flight, {waiting} waiting, {strays} strays")
                    .unwrap();
            }
            _ => panic!("cannot read: {line}"),
        }
        self.send(&mut happened);
        happened
    }

    fn ask(&mut self, name: &str, what: &[&str], option: impl Fn(&str) -> Option<u64>, out: &mut String) {
        let core = Core::new(option("of").unwrap_or(0) as u8).unwrap();
        let to = Endpoint::system(Chip::NEAREST, core);
        let length = || what[1].parse::<u32>().unwrap();
        let data = vec![1; if what[0] == "write" { length() as usize } else { 0 }];
        let power = bmp::Command::Power { on: true, delay: DelayMs(0), boards: Boards(3) };
        let wish = match what {
            ["read", _] => Wish::scamp(to, &Command::Read { address: 0, length: length(), unit: Unit::Byte }),
            ["write", _] => Wish::scamp(to, &Command::Write { address: 0, unit: Unit::Byte, data: &data }),
            ["count"] => Wish::scamp(to, &Command::Count { app: App(30), state: CoreState::RUN }),
            ["version"] => Wish::scamp(to, &Command::Version),
            ["power"] => Wish::bmp(Board::FIRST, &power),
            other => panic!("cannot ask {other:?}"),
        };
        match self.exchange.push(&wish.in_flow(Flow(option("flow").unwrap_or(0)))) {
            Ok(ticket) => drop(self.names.insert(ticket, name.to_owned())),
            Err(why) => writeln!(out, "{} ms: {name} not accepted: {why:?}", self.now.0).unwrap(),
        }
    }

    fn send(&mut self, out: &mut String) {
        while let Some(datagram) = self.exchange.poll_send(self.now).map(<[u8]>::to_vec) {
            let sequence = Request::decode(&datagram).unwrap().sequence;
            let flight = &self.exchange.in_flight[&sequence];
            let name = &self.names[&flight.ticket];
            writeln!(out, "{} ms: {name} sent as {}, try {}", self.now.0, sequence.0, flight.tries).unwrap();
            self.sent.insert(name.clone(), datagram);
        }
    }

    fn hear(&mut self, datagram: &[u8], out: &mut String) {
        let before = self.exchange.strays();
        let done = self.exchange.handle(datagram, self.now);
        if self.exchange.strays() > before {
            writeln!(out, "{} ms: a stray", self.now.0).unwrap();
        }
        self.tell(done, out);
    }

    fn tell(&self, done: impl IntoIterator<Item = Done>, out: &mut String) {
        for Done { ticket, outcome, tries } in done {
            let outcome = match outcome {
                Ok(reply) => format!("answered with {} bytes", Reply::decode(&reply).unwrap().body.len()),
                Err(Failure::Silent) => "no answer".to_owned(),
                Err(Failure::Unable(code)) => format!("given up: {}", code.name().unwrap_or("?")),
                Err(Failure::Refused(code)) => {
                    format!("refused: {}", code.name().map_or(format!("{:#x}", code.0), str::to_owned))
                }
                Err(Failure::TooShort { bytes, bytes_min }) => {
                    format!("refused: OK, but {bytes} of {bytes_min} bytes")
                }
            };
            writeln!(out, "{} ms: {} {outcome}, tries {tries}", self.now.0, self.names[&ticket]).unwrap();
        }
    }

    fn wait(&mut self, ms: u64, out: &mut String) {
        let end = self.now.plus_ms(ms);
        while let Some(deadline) = self.exchange.next_deadline().filter(|deadline| *deadline <= end) {
            self.now = deadline.max(self.now);
            let done = self.exchange.poll_expired(self.now);
            self.tell(done, out);
            self.send(out);
        }
        self.now = end;
    }
}

fn exchange(option: impl Fn(&str) -> Option<u64>) -> Exchange {
    let limits = Limits {
        in_flight_max: option("window").unwrap_or(8) as usize,
        core_in_flight_max: option("core").unwrap_or(8) as usize,
        waiting_max: option("waiting").unwrap_or(100) as usize,
        tries_max: option("tries").unwrap_or(3) as u32,
        answer_ms_max: option("answer").unwrap_or(1_000),
        pause_ms: option("pause").unwrap_or(100),
        total_ms_max: option("total").unwrap_or(60_000),
    };
    Exchange::starting_at(limits, Sequence(option("first").unwrap_or(0) as u16))
}

fn result_code(word: &str) -> ResultCode {
    let named = ResultCode::ALL.iter().find(|code| code.name() == Some(word.to_uppercase().as_str()));
    named.copied().unwrap_or_else(|| ResultCode(word.parse().unwrap()))
}
