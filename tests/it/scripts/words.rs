//! The words of the lab's scripts, as commands.

use berth::allocator::BoardIndex;
use berth::allocator::link::Link;
use berth::allocator::torus::Triad;
use berth::lab::command::{Caller, Command, Pick, Reservation};
use berth::lab::fact::{JobId, Mark, SessionEnd, SessionKey};
use berth::lab::job::{JobSpec, Want};
use berth::lab::machine::{MachineSpec, PlaceRule, Places, Shape, TriadsSpec};
use berth::lab::view::BoardAddress;
use berth::user::{Phc, Role, UserName};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Who speaks: `root` is an administrator, `op` an operator, `guest` a guest, anybody else a user.
pub fn caller(name: &str) -> Caller {
    let role = match name {
        "root" => Role::Admin,
        "op" => Role::Operator,
        "guest" => Role::Guest,
        _ => Role::User,
    };
    match name.strip_prefix('/') {
        Some(door) => Caller { user: UserName::door(door), role },
        None => Caller { user: user_name(name), role },
    }
}

/// The name of a user.
pub fn user_name(name: &str) -> UserName {
    UserName::parse_or_guest(name).unwrap_or_else(|_| panic!("'{name}' is no user's name"))
}

/// `key=value` words by key.
pub struct Options<'a>(BTreeMap<&'a str, &'a str>);

impl<'a> Options<'a> {
    /// Sorts words.
    pub fn of(words: &[&'a str]) -> Options<'a> {
        Options(words.iter().map(|word| word.split_once('=').unwrap_or((word, ""))).collect())
    }

    /// The value of a key, once.
    pub fn take(&mut self, key: &str) -> Option<&'a str> {
        self.0.remove(key)
    }

    /// The number of a key, once.
    pub fn number<T: std::str::FromStr>(&mut self, key: &str) -> Option<T> {
        self.take(key).map(number)
    }

    /// The time of a key, once, in milliseconds.
    pub fn ms(&mut self, key: &str) -> Option<u64> {
        self.take(key).map(ms)
    }

    /// Says so when a key was not understood.
    pub fn end(self) {
        assert!(self.0.is_empty(), "not understood: {:?}", self.0);
    }
}

/// A number.
pub fn number<T: std::str::FromStr>(text: &str) -> T {
    text.parse().unwrap_or_else(|_| panic!("'{text}' is not such a number"))
}

/// A length of time with its unit: ms, s, m or h.
pub fn ms(text: &str) -> u64 {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let unit = match &text[digits..] {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        other => panic!("'{other}' is no unit of time"),
    };
    number::<u64>(&text[..digits]) * unit
}

fn list(text: &str) -> Vec<Arc<str>> {
    text.split(',').filter(|word| !word.is_empty()).map(long_text).collect()
}

fn numbers<const N: usize>(text: &str, between: char) -> [u32; N] {
    let parts: Vec<_> = text.split(between).map(number).collect();
    parts.try_into().unwrap_or_else(|_| panic!("'{text}' does not have {N} parts"))
}

fn triad(text: &str) -> Triad {
    let [x, y, z] = numbers(text, ',');
    Triad::new(x, y, z)
}

/// `machine NAME 4x2 ...`, `pool NAME 8 ...`, or `agents NAME 8 ...` for a pool whose boards come with agents.
pub fn machine(kind: &str, name: &str, size: &str, words: &[&str]) -> MachineSpec {
    let mut options = Options::of(words);
    let shape = match kind {
        "machine" => Shape::Triads(triads(size, &mut options)),
        _ => Shape::Pool { serials: serials(size) },
    };
    let kinds = options.take("kinds").map_or_else(|| vec!["spinnaker".into()], list);
    let spec = MachineSpec {
        name: name.into(),
        shape,
        tags: options
            .take("tags")
            .map_or_else(|| BTreeSet::from(["default".into()]), |tags| list(tags).into_iter().collect()),
        kinds,
        settle_ms: options.ms("settle").unwrap_or(0),
        order_ms_max: options.ms("order").unwrap_or(20_000),
        agents: kind == "agents",
        boots: options.take("boots") != Some("no"),
    };
    options.end();
    spec
}

/// So many boards called 0, 1, 2 or those with the names that are listed.
fn serials(size: &str) -> Vec<Arc<str>> {
    match size.parse::<u32>() {
        Ok(count) => (0..count).map(|n| n.to_string().into()).collect(),
        Err(_) => list(size),
    }
}

fn triads(size: &str, options: &mut Options<'_>) -> TriadsSpec {
    let [width, height] = numbers(size, 'x');
    let dead_boards = options.take("dead").map_or_else(Vec::new, |text| text.split('+').map(triad).collect());
    let dead_links =
        options.take("dead_links").map_or_else(Vec::new, |text| text.split('+').map(dead_link).collect());
    TriadsSpec {
        width,
        height,
        dead_boards,
        dead_links,
        places: Places::Rule(PlaceRule {
            boards_per_frame: options.number("frame").unwrap_or(24),
            frames_per_cabinet: 5,
            base: 0x0a0b_0000,
            strides: [0x500, 0x100, 8],
        }),
        bmps: BTreeMap::new(),
    }
}

fn dead_link(text: &str) -> (Triad, Link) {
    let [x, y, z, link] = numbers(text, ',');
    (Triad::new(x, y, z), Link::from_number(link).unwrap_or_else(|| panic!("{link} is no link")))
}

/// `create boards=3 keepalive=60s ...`
pub fn create(owner: &str, words: &[&str]) -> Command {
    let mut options = Options::of(words);
    let mut spec = JobSpec::new(owner, want(&mut options));
    spec.machine = options.take("machine").map(Arc::from);
    if let Some(tags) = options.take("tags") {
        spec.tags = list(tags).into_iter().collect();
    }
    spec.min_ratio = options.number("min_ratio").unwrap_or(spec.min_ratio);
    spec.max_dead_boards = options.number("max_dead_boards");
    spec.max_dead_links = options.number("max_dead_links");
    spec.require_torus = options.take("torus").is_some();
    spec.keepalive_ms = match options.take("keepalive") {
        Some("never") => None,
        Some(text) => Some(ms(text)),
        None => spec.keepalive_ms,
    };
    spec.lease_ms = options.ms("lease");
    spec.kind = options.take("kind").map(long_text);
    spec.kind_args = options.take("args").unwrap_or("").into();
    if let Some(label) = options.take("image") {
        spec.kind_args = format!(r#"{{"image":"{}"}}"#, image(label)).into();
    }
    spec.priority = options.number("priority").unwrap_or(0);
    spec.note = options.take("note").map_or_else(|| "".into(), long_text);
    if let Some(owner) = options.take("owner") {
        spec.owner = long_text(owner);
    }
    options.end();
    Command::CreateJob(spec)
}

/// An image by a digit, of which all of its digits are; any other text is itself.
pub fn image(text: &str) -> Arc<str> {
    if text.len() == 1 { text.repeat(32).into() } else { long_text(text) }
}

/// A text; `*N` stands for one of N letters.
pub fn long_text(text: &str) -> Arc<str> {
    match text.strip_prefix('*') {
        Some(count) => "x".repeat(number(count)).into(),
        None => text.into(),
    }
}

fn want(options: &mut Options<'_>) -> Want {
    if let Some(size) = options.take("triads") {
        let [width, height] = numbers(size, 'x');
        return Want::Triads { width, height };
    }
    if let Some(board) = options.take("board") {
        let Triad { x, y, z } = triad(board);
        return Want::Exact { x, y, z };
    }
    if let Some(serials) = options.take("serials") {
        return Want::Serials(list(serials));
    }
    Want::Boards(options.number("boards").unwrap_or(1))
}

/// A board as scripts name it: `m[3,1,2]`, `bench/0`, `m@0.0.5` (cabinet, frame, board) or `/0` in any pool.
pub fn address(text: &str) -> BoardAddress {
    if let Some((machine, rest)) = text.split_once('[') {
        let Triad { x, y, z } = triad(rest.trim_end_matches(']'));
        return BoardAddress::Triad { machine: machine.into(), x, y, z };
    }
    if let Some((machine, place)) = text.split_once('@') {
        let [cabinet, frame, board] = numbers(place, '.');
        let place = berth::lab::machine::Physical { cabinet, frame, board };
        return BoardAddress::Place { machine: machine.into(), place };
    }
    let (machine, serial) = text.split_once('/').unwrap_or_else(|| panic!("'{text}' is no board"));
    let machine = Some(machine).filter(|name| !name.is_empty()).map(Arc::from);
    BoardAddress::Serial { machine, serial: serial.into() }
}

/// The place of a board in its machine, by its name there.
pub fn board_index(spec: &MachineSpec, text: &str) -> BoardIndex {
    let mut all = (0..spec.board_count()).map(BoardIndex);
    all.find(|board| spec.board_text(*board) == text)
        .unwrap_or_else(|| panic!("{} has no board {text}", spec.name))
}

/// What a person wishes.
pub fn wish(who: &str, words: &[&str]) -> Command {
    match words {
        ["create", rest @ ..] => create(who, rest),
        ["power", power @ ("on" | "off"), job] => {
            Command::PowerJob { job: JobId(number(job)), power: *power == "on" }
        }
        ["destroy", job, reason @ ..] => {
            let reason = (!reason.is_empty()).then(|| long_text(&reason.join(" ")));
            Command::DestroyJob { job: JobId(number(job)), reason }
        }
        ["report", board, reason @ ..] => {
            Command::ReportBoard { board: address(board), reason: long_text(&reason.join(" ")) }
        }
        ["mark", board, mark, reason @ ..] => {
            let mark = match *mark {
                "free" => Mark::Free,
                "maintenance" => Mark::Maintenance,
                "dead" => Mark::Dead,
                other => panic!("'{other}' is no mark"),
            };
            Command::MarkBoard { board: address(board), mark, reason: long_text(&reason.join(" ")) }
        }
        ["extend_job", job, rest @ ..] => {
            let lease_ms = rest.first().map(|time| ms(time));
            Command::ExtendJob { job: JobId(number(job)), lease_ms }
        }
        ["reserve", rest @ ..] => Command::Reserve(reservation(who, rest)),
        [verb @ ("extend" | "release"), rest @ ..] => {
            let mut options = Options::of(rest);
            let owner = options.take("owner").unwrap_or(who).into();
            let serials = options.take("serials").map(list);
            options.end();
            match *verb {
                "extend" => Command::ExtendReserved { owner, serials },
                _ => Command::EndReserved { owner, serials },
            }
        }
        ["name", board, name @ ..] => {
            Command::NameBoard { board: address(board), name: long_text(&name.join(" ")) }
        }
        ["renew", serials] => Command::RenewBoards { serials: list(serials) },
        ["retest", board] => Command::RetestBoard { board: address(board) },
        _ => office(words),
    }
}

/// `reserve amount=2 kind=burn ...` or `reserve serials=a,b ...`
fn reservation(who: &str, words: &[&str]) -> Reservation {
    let mut options = Options::of(words);
    let pick = match options.take("serials") {
        Some(serials) => Pick::Serials(list(serials)),
        None => Pick::Any(options.number("amount").unwrap_or(1)),
    };
    let reservation = Reservation {
        owner: options.take("owner").map_or_else(|| who.into(), long_text),
        pick,
        machine: options.take("machine").map(Arc::from),
        kind: options.take("kind").map_or_else(|| "spinnaker".into(), long_text),
        kind_args: options.take("args").map_or_else(|| "".into(), long_text),
    };
    options.end();
    reservation
}

/// What a person wishes of users, sessions and the service.
fn office(words: &[&str]) -> Command {
    match words {
        ["user", name, role] => {
            Command::CreateUser { user: user_name(name), role: self::role(role), phc: Phc::dummy() }
        }
        ["password", name] => Command::SetPassword { user: user_name(name), phc: Phc::dummy() },
        ["role", name, role] => Command::SetRole { user: user_name(name), role: self::role(role) },
        ["delete", name] => Command::DeleteUser { user: user_name(name) },
        ["open", session, name, role] => Command::OpenSession {
            session: SessionKey(number(session)),
            user: user_name(name),
            role: self::role(role),
            client: "script".into(),
            span_ms: 3_600_000,
        },
        ["end", session] => {
            Command::EndSession { session: SessionKey(number(session)), why: SessionEnd::Ended }
        }
        ["drain", reason @ ..] => Command::SetService { accept: false, reason: long_text(&reason.join(" ")) },
        ["accept"] => Command::SetService { accept: true, reason: "".into() },
        other => panic!("not understood: {other:?}"),
    }
}

fn role(text: &str) -> Role {
    text.parse().unwrap_or_else(|_| panic!("'{text}' is no role"))
}
