//! A machine and a whole configuration as spalloc_server has them: made from arguments, with its checks and with ours.
//!
//! What is wrong is written down and left out, so that the rest can be written. It matters once the machine is part of
//! the configuration.

use super::call::Argument;
use super::value::Value;
use super::{DoubtId, Doubts};
use crate::allocator::{Chip, Link, Torus, Triad};
use crate::config::key::{Kind, is_name, quoted};
use crate::config::machine::{MACHINES_MAX, SIDE_TRIADS_MAX, TRIAD_BOARDS_MAX};
use crate::config::raw::Body;
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::rc::Rc;

/// So many triads one side of a machine has at most.
pub const SIDE_MAX: u32 = SIDE_TRIADS_MAX;
/// The greatest number of a cabinet, a frame or a board in a frame.
const PHYSICAL_MAX: u32 = 65_535;
/// So many boards are named in one sentence.
const NAMED_MAX: usize = 3;

/// The parameters of `Machine`.
pub const MACHINE: [&str; 9] = [
    "name",
    "tags",
    "width",
    "height",
    "dead_boards",
    "dead_links",
    "board_locations",
    "bmp_ips",
    "spinnaker_ips",
];
/// The parameters of `Machine.single_board`.
pub const SINGLE_BOARD: [&str; 4] = ["name", "tags", "bmp_ip", "spinnaker_ip"];
/// The parameters of `Machine.with_standard_ips`.
pub const WITH_STANDARD_IPS: [&str; 13] = [
    "name",
    "tags",
    "width",
    "height",
    "dead_boards",
    "dead_links",
    "board_locations",
    "base_ip",
    "cabinet_stride",
    "frame_stride",
    "board_stride",
    "bmp_offset",
    "spinnaker_offset",
];
/// The addresses of `Machine.with_standard_ips` when nothing else is said, in the order of its parameters.
const STANDARD: [&str; 6] = ["192.168.0.0", "0.0.5.0", "0.0.1.0", "0.0.0.8", "0.0.0.0", "0.0.0.1"];

/// The cabinet, the frame in it, the board in that.
pub type Place = [u32; 3];

/// A machine.
#[derive(Clone, Debug, Default)]
pub struct Machine {
    /// The byte at which it is made.
    pub at: usize,
    /// What it is called.
    pub name: String,
    /// Its tags.
    pub tags: BTreeSet<String>,
    /// Triads in x.
    pub width: u32,
    /// Triads in y.
    pub height: u32,
    /// Boards that are dead.
    pub dead_boards: BTreeSet<Triad>,
    /// Links that are dead.
    pub dead_links: BTreeSet<(Triad, Link)>,
    /// Where boards stand.
    pub places: BTreeMap<Triad, Place>,
    /// The BMP of each cabinet and frame.
    pub bmps: BTreeMap<[u32; 2], String>,
    /// Where boards answer.
    pub hosts: BTreeMap<Triad, String>,
    /// What was not understood of it.
    pub doubts: Vec<DoubtId>,
}

/// A whole configuration.
#[derive(Clone, Debug, Default)]
pub struct Setup {
    /// The machines, in order.
    pub machines: Vec<Rc<Machine>>,
    /// The port, when one is named.
    pub port: Option<u16>,
    /// The address; empty for all.
    pub ip: String,
    /// How many ended jobs are remembered.
    pub retired_jobs: u32,
    /// How long freed boards cool down.
    pub settle_ms: u64,
    /// What was not understood of it.
    pub doubts: Vec<DoubtId>,
}

/// Reads arguments and writes down what is wrong with them.
struct Reader<'d> {
    at: usize,
    doubts: &'d mut Doubts,
    found: Vec<DoubtId>,
}

impl Reader<'_> {
    fn wrong(&mut self, at: usize, what: impl Into<String>) {
        let doubt = self.doubts.add(at, what);
        self.found.push(doubt);
    }

    /// The argument, unless it is absent or None; what was not understood in it is known from now on.
    fn present(&mut self, argument: Option<Argument>) -> Option<Argument> {
        let argument = argument.filter(|argument| !matches!(argument.value, Value::None))?;
        self.found.extend(doubts_in(&argument.value));
        (!matches!(argument.value, Value::Unknown(_))).then_some(argument)
    }

    fn text(&mut self, name: &str, argument: Option<Argument>) -> Option<String> {
        let Argument { at, value } = self.present(argument)?;
        match value {
            Value::Text(text) => Some(text.to_string()),
            other => {
                self.wrong(at, format!("'{name}' needs a text, not {}", other.noun()));
                None
            }
        }
    }

    fn host(&mut self, at: usize, value: &Value) -> Option<String> {
        let body = match value {
            Value::Text(text) => Body::Text(text.to_string()),
            Value::Unknown(_) => return None,
            other => {
                self.wrong(at, format!("a host is a text, not {}", other.noun()));
                return None;
            }
        };
        match (Kind::Host.read(&body), body) {
            (Ok(_), Body::Text(host)) => Some(host),
            (outcome, _) => {
                self.wrong(at, outcome.err().unwrap_or_default());
                None
            }
        }
    }

    /// The members of a container. `Machine` takes nothing but sets, `with_standard_ips` anything.
    fn members(
        &mut self,
        name: &str,
        argument: Option<Argument>,
        sets_only: bool,
    ) -> Option<(usize, Vec<Value>)> {
        let Argument { at, value } = self.present(argument)?;
        match (value.members(), &value) {
            (Some(members), Value::Set(_)) => Some((at, members)),
            (Some(members), _) if !sets_only => Some((at, members)),
            _ => {
                self.wrong(
                    at,
                    format!("'{name}' needs a set, not {}: its own server refuses this", value.noun()),
                );
                None
            }
        }
    }

    fn pairs(&mut self, name: &str, argument: Option<Argument>) -> Option<(usize, Vec<(Value, Value)>)> {
        let Argument { at, value } = self.present(argument)?;
        match value {
            Value::Dict(items) => {
                Some((at, items.pairs().map(|(key, value)| (key.clone(), value.clone())).collect()))
            }
            other => {
                self.wrong(at, format!("'{name}' needs a dict, not {}", other.noun()));
                None
            }
        }
    }

    /// A tuple of so many numbers.
    fn numbers<const N: usize>(&mut self, at: usize, value: &Value, what: &str) -> Option<[u32; N]> {
        if value.doubt().is_some() {
            return None;
        }
        let number = |value: &Value| match value {
            Value::Whole(number) => u32::try_from(*number).ok().filter(|number| *number <= PHYSICAL_MAX),
            _ => None,
        };
        let numbers: Option<Vec<u32>> = match value {
            Value::Tuple(items) | Value::List(items) => items.items.iter().map(number).collect(),
            _ => None,
        };
        let read = numbers.and_then(|numbers| numbers.try_into().ok());
        if read.is_none() {
            self.wrong(at, format!("{what} needed here, with numbers from 0 to {PHYSICAL_MAX}"));
        }
        read
    }

    fn board(&mut self, at: usize, value: &Value) -> Option<Triad> {
        self.numbers(at, value, "a board (x, y, z) is").map(|[x, y, z]| Triad { x, y, z })
    }
}

fn doubts_in(value: &Value) -> Vec<DoubtId> {
    match value {
        Value::Unknown(doubt) => vec![*doubt],
        Value::Tuple(items) | Value::List(items) | Value::Set(items) | Value::Dict(items) => {
            items.items.iter().flat_map(doubts_in).collect()
        }
        _ => Vec::new(),
    }
}

impl Machine {
    /// `Machine(...)`.
    pub fn plain(at: usize, args: [Option<Argument>; 9], doubts: &mut Doubts) -> Machine {
        let mut reader = Reader { at, doubts, found: Vec::new() };
        let [name, tags, width, height, dead_boards, dead_links, places, bmps, hosts] = args;
        let mut machine = Machine { at, ..Machine::default() };
        machine.read_common(&mut reader, name, tags, [dead_boards, dead_links], true);
        machine.read_places(&mut reader, places);
        machine.read_bmps(&mut reader, bmps);
        machine.read_hosts(&mut reader, hosts);
        machine.finish(reader, width, height)
    }

    /// `Machine.single_board(...)`.
    pub fn single_board(at: usize, args: [Option<Argument>; 4], doubts: &mut Doubts) -> Machine {
        let mut reader = Reader { at, doubts, found: Vec::new() };
        let [name, tags, bmp, host] = args;
        let mut machine = Machine { at, ..Machine::default() };
        machine.read_common(&mut reader, name, tags, [None, None], true);
        let board = Triad::new(0, 0, 0);
        machine.dead_boards = [1, 2].map(|z| Triad::new(0, 0, z)).into();
        machine.places.insert(board, [0, 0, 0]);
        for (what, argument, slot) in [("bmp_ip", bmp, true), ("spinnaker_ip", host, false)] {
            if argument.is_none() {
                reader.wrong(at, format!("'{what}' is missing"));
            }
            let read =
                reader.present(argument).and_then(|argument| reader.host(argument.at, &argument.value));
            match (read, slot) {
                (Some(host), true) => drop(machine.bmps.insert([0, 0], host)),
                (Some(host), false) => drop(machine.hosts.insert(board, host)),
                (None, _) => {}
            }
        }
        machine.finish(reader, None, None)
    }

    /// `Machine.with_standard_ips(...)`.
    pub fn with_standard_ips(at: usize, args: [Option<Argument>; 13], doubts: &mut Doubts) -> Machine {
        let mut reader = Reader { at, doubts, found: Vec::new() };
        let [name, tags, width, height, dead_boards, dead_links, places, addresses @ ..] = args;
        let mut machine = Machine { at, ..Machine::default() };
        machine.read_common(&mut reader, name, tags, [dead_boards, dead_links], false);
        machine.read_places(&mut reader, places);
        let mut numbers = [0; 6];
        for (number, (argument, standard)) in numbers.iter_mut().zip(addresses.into_iter().zip(STANDARD)) {
            let argument_at = argument.as_ref().map_or(at, |argument| argument.at);
            let text = reader.text("an address", argument).unwrap_or_else(|| standard.to_owned());
            match text.parse::<Ipv4Addr>() {
                Ok(address) => *number = u32::from(address),
                Err(_) => reader.wrong(argument_at, format!("{} is no IPv4 address", quoted(&text))),
            }
        }
        let [base, cabinet_stride, frame_stride, board_stride, bmp_offset, board_offset] = numbers;
        // Addresses beyond the last one begin anew, as they do in its own server.
        let address = |[c, f, b]: Place, offset: u32| {
            let steps = [(c, cabinet_stride), (f, frame_stride), (b, board_stride)];
            let sum = steps.iter().fold(base.wrapping_add(offset), |sum, (n, stride)| {
                sum.wrapping_add(n.wrapping_mul(*stride))
            });
            Ipv4Addr::from(sum).to_string()
        };
        for (board, place) in &machine.places {
            let [cabinet, frame, _] = *place;
            machine.bmps.insert([cabinet, frame], address([cabinet, frame, 0], bmp_offset));
            machine.hosts.insert(*board, address(*place, board_offset));
        }
        machine.finish(reader, width, height)
    }

    fn read_common(
        &mut self,
        reader: &mut Reader,
        name: Option<Argument>,
        tags: Option<Argument>,
        [dead_boards, dead_links]: [Option<Argument>; 2],
        sets_only: bool,
    ) {
        self.read_name(reader, name);
        self.tags.insert("default".into());
        if let Some((at, tags)) = reader.members("tags", tags, sets_only) {
            self.tags = tags.iter().filter_map(|tag| read_tag(reader, at, tag)).collect();
        }
        if let Some((at, boards)) = reader.members("dead_boards", dead_boards, sets_only) {
            self.dead_boards = boards.iter().filter_map(|board| reader.board(at, board)).collect();
        }
        if let Some((at, links)) = reader.members("dead_links", dead_links, sets_only) {
            self.dead_links = links.iter().filter_map(|link| read_link(reader, at, link)).collect();
        }
    }

    fn read_name(&mut self, reader: &mut Reader, name: Option<Argument>) {
        let at = name.as_ref().map_or(reader.at, |name| name.at);
        if name.as_ref().is_none_or(|name| matches!(name.value, Value::None)) {
            reader.wrong(at, "a machine needs a name");
        }
        let Some(name) = reader.text("name", name) else { return };
        if !is_name(&name) {
            let what = format!("{}: a name has 1 to 64 letters, digits, '.', '_' and '-'", quoted(&name));
            reader.wrong(at, what);
            self.name =
                name.chars().map(|c| if is_name(&c.to_string()) { c } else { '-' }).take(48).collect();
        } else {
            self.name = name;
        }
    }

    fn read_places(&mut self, reader: &mut Reader, places: Option<Argument>) {
        let Some((at, pairs)) = reader.pairs("board_locations", places) else { return };
        let mut taken = BTreeMap::new();
        for (board, place) in pairs {
            let place = reader.numbers::<3>(at, &place, "a place (cabinet, frame, board) is");
            let (Some(board), Some(place)) = (reader.board(at, &board), place) else { continue };
            match taken.insert(place, board) {
                Some(other) => {
                    let what =
                        format!("{} and {} stand in the same place {place:?}", text(other), text(board));
                    reader.wrong(at, what);
                }
                None => drop(self.places.insert(board, place)),
            }
        }
    }

    fn read_bmps(&mut self, reader: &mut Reader, bmps: Option<Argument>) {
        let Some((at, pairs)) = reader.pairs("bmp_ips", bmps) else { return };
        for (frame, host) in pairs {
            let frame = reader.numbers::<2>(at, &frame, "a frame (cabinet, frame) is");
            if let (Some(frame), Some(host)) = (frame, reader.host(at, &host)) {
                self.bmps.insert(frame, host);
            }
        }
    }

    fn read_hosts(&mut self, reader: &mut Reader, hosts: Option<Argument>) {
        let Some((at, pairs)) = reader.pairs("spinnaker_ips", hosts) else { return };
        for (board, host) in pairs {
            if let (Some(board), Some(host)) = (reader.board(at, &board), reader.host(at, &host)) {
                self.hosts.insert(board, host);
            }
        }
    }

    /// Works the size out, checks that all belongs together, and leaves out what does not.
    fn finish(mut self, mut reader: Reader, width: Option<Argument>, height: Option<Argument>) -> Machine {
        self.read_size(&mut reader, width, height);
        let torus = Torus { width: self.width, height: self.height };
        let outside = |board: &Triad| torus.index_within(*board).is_none();
        let dead: Vec<_> = self.dead_boards.extract_if(.., |board| outside(board)).collect();
        let links: Vec<_> =
            self.dead_links.extract_if(.., |(board, _)| outside(board)).map(|(board, _)| board).collect();
        let places: Vec<_> =
            self.places.extract_if(.., |board, _| outside(board)).map(|(board, _)| board).collect();
        self.hosts.retain(|board, _| !outside(board));
        let size = format!("on a machine of {} x {} triads", self.width, self.height);
        for (what, boards) in
            [("dead boards", dead), ("boards with dead links", links), ("boards with a place", places)]
        {
            if !boards.is_empty() {
                reader.wrong(self.at, format!("{what} that are not {size}: {}", listed(&boards)));
            }
        }
        // What was not understood may be just what seems to be missing.
        if reader.found.is_empty() {
            self.check_live_boards(&mut reader, torus);
        }
        self.doubts = reader.found;
        self
    }

    fn read_size(&mut self, reader: &mut Reader, width: Option<Argument>, height: Option<Argument>) {
        let known = self.places.keys().chain(&self.dead_boards);
        let inferred = known.fold((0, 0), |(x, y), board| (x.max(board.x + 1), y.max(board.y + 1)));
        let at = width.as_ref().or(height.as_ref()).map_or(self.at, |argument| argument.at);
        let size = match (reader.present(width), reader.present(height)) {
            (None, None) => inferred,
            (Some(width), Some(height)) => {
                let side = |argument: &Argument| match argument.value {
                    Value::Whole(side) => u32::try_from(side).unwrap_or(0),
                    _ => 0,
                };
                (side(&width), side(&height))
            }
            _ => {
                reader.wrong(at, "both width and height are needed, or neither");
                inferred
            }
        };
        let good = |side: u32| (1..=SIDE_MAX).contains(&side);
        if !good(size.0) || !good(size.1) {
            reader.wrong(at, format!("a machine has 1 to {SIDE_MAX} triads on each side"));
        }
        (self.width, self.height) = (size.0.clamp(1, SIDE_MAX), size.1.clamp(1, SIDE_MAX));
    }

    /// Every board that is not dead needs a place and a host, and its frame a BMP.
    fn check_live_boards(&self, reader: &mut Reader, torus: Torus) {
        let (mut placeless, mut mute) = (Vec::new(), Vec::new());
        let boards = (0..torus.board_count()).map(|number| torus.triad(crate::allocator::BoardIndex(number)));
        for board in boards.filter(|board| !self.dead_boards.contains(board)) {
            if !self.places.contains_key(&board) {
                placeless.push(board);
            }
            if !self.hosts.contains_key(&board) {
                mute.push(board);
            }
        }
        let frames: BTreeSet<_> =
            self.places.values().map(|[cabinet, frame, _]| [*cabinet, *frame]).collect();
        let bare: Vec<_> = frames.iter().filter(|frame| !self.bmps.contains_key(*frame)).collect();
        if !placeless.is_empty() {
            reader.wrong(self.at, format!("boards without a place: {}", listed(&placeless)));
        }
        if !mute.is_empty() {
            reader.wrong(self.at, format!("boards without a host: {}", listed(&mute)));
        }
        if let Some(frame) = bare.first() {
            reader.wrong(
                self.at,
                format!("{} frames without a BMP, as (cabinet, frame) {frame:?}", bare.len()),
            );
        }
    }
}

fn read_tag(reader: &mut Reader, at: usize, tag: &Value) -> Option<String> {
    match tag {
        Value::Text(tag) if is_name(tag) => Some(tag.to_string()),
        Value::Unknown(_) => None,
        Value::Text(tag) => {
            let what =
                format!("the tag {}: a tag has 1 to 64 letters, digits, '.', '_' and '-'", quoted(tag));
            reader.wrong(at, what);
            None
        }
        other => {
            reader.wrong(at, format!("a tag is a text, not {}", other.noun()));
            None
        }
    }
}

fn read_link(reader: &mut Reader, at: usize, value: &Value) -> Option<(Triad, Link)> {
    let [x, y, z, link] = reader.numbers(at, value, "a link (x, y, z, link) is")?;
    let read = Link::from_number(link);
    if read.is_none() {
        reader.wrong(at, format!("there is no link {link}"));
    }
    read.map(|link| (Triad { x, y, z }, link))
}

fn text(board: Triad) -> String {
    format!("({}, {}, {})", board.x, board.y, board.z)
}

/// The first few boards, and how many there are.
fn listed(boards: &[Triad]) -> String {
    let named: Vec<_> = boards.iter().take(NAMED_MAX).map(|board| text(*board)).collect();
    let more = boards.len().saturating_sub(NAMED_MAX);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    named.join(", ") + &more
}

impl Setup {
    /// `Configuration(...)`.
    pub fn of(at: usize, args: [Option<Argument>; 6], doubts: &mut Doubts) -> Setup {
        let mut reader = Reader { at, doubts, found: Vec::new() };
        let [machines, port, ip, interval, retired_jobs, settle] = args;
        let mut setup = Setup { retired_jobs: 1200, settle_ms: 30_000, ..Setup::default() };
        // Deadlines are kept to the millisecond here, so nothing corresponds to the interval.
        reader.present(interval);
        if let Some((at, machines)) = reader.members("machines", machines, false) {
            setup.read_machines(&mut reader, at, machines);
        }
        setup.port = reader.whole("port", port, u16::MAX.into()).and_then(|port| u16::try_from(port).ok());
        let ip_at = ip.as_ref().map_or(at, |ip| ip.at);
        setup.ip = reader.text("ip", ip).unwrap_or_default();
        if !setup.ip.is_empty() && reader.host(ip_at, &Value::text(&setup.ip)).is_none() {
            setup.ip = "127.0.0.1".into();
        }
        if let Some(count) = reader.whole("max_retired_jobs", retired_jobs, 10_000_000) {
            setup.retired_jobs = count as u32;
        }
        if let Some(settle) = reader.present(settle) {
            setup.read_settle(&mut reader, &settle);
        }
        setup.doubts = reader.found;
        setup
    }

    fn read_settle(&mut self, reader: &mut Reader, settle: &Argument) {
        let seconds = match settle.value {
            Value::Whole(seconds) => seconds as f64,
            Value::Decimal(seconds) => seconds,
            _ => f64::NAN,
        };
        if (0.0..=86_400.0).contains(&seconds) {
            self.settle_ms = (seconds * 1000.0).round() as u64;
        } else {
            reader.wrong(settle.at, "'seconds_before_free' needs 0 to 86400 seconds");
        }
    }

    fn read_machines(&mut self, reader: &mut Reader, at: usize, machines: Vec<Value>) {
        let mut taken: BTreeSet<String> = BTreeSet::new();
        let mut boards_left = TRIAD_BOARDS_MAX;
        for machine in machines {
            let machine = match machine {
                Value::Machine(machine) => machine,
                Value::Unknown(_) => continue,
                other => {
                    reader.wrong(at, format!("'machines' needs machines, not {}", other.noun()));
                    continue;
                }
            };
            reader.found.extend(&machine.doubts);
            let boards = u64::from(machine.width) * u64::from(machine.height) * 3;
            if boards > boards_left || self.machines.len() >= MACHINES_MAX {
                reader.wrong(machine.at, "with this there are too many machines or boards");
                continue;
            }
            boards_left -= boards;
            let own: Vec<String> = [format!("the name {}", machine.name)]
                .into_iter()
                .chain(machine.bmps.values().map(|host| format!("the BMP {host}")))
                .chain(machine.hosts.values().map(|host| format!("the host {host}")))
                .collect();
            let mut twice = own.into_iter().filter(|thing| !taken.insert(thing.clone()));
            if let Some(thing) = twice.by_ref().next() {
                let count = twice.count();
                let more = if count > 0 { format!(", and {count} more things") } else { String::new() };
                reader.wrong(machine.at, format!("{thing} is used twice{more}"));
            }
            self.machines.push(machine);
        }
    }
}

impl Reader<'_> {
    fn whole(&mut self, name: &str, argument: Option<Argument>, max: i64) -> Option<i64> {
        let Argument { at, value } = self.present(argument)?;
        match value {
            Value::Whole(number) if (0..=max).contains(&number) => Some(number),
            _ => {
                self.wrong(at, format!("'{name}' needs a whole number from 0 to {max}"));
                None
            }
        }
    }
}

/// A table of places as `spinner-ethernet-chips` writes it: columns cabinet, frame, board, x and y, in any order.
pub fn read_spinner(text: &str) -> Result<BTreeMap<Triad, Place>, String> {
    let mut rows =
        text.lines().map(|line| line.split(',').map(|cell| cell.trim().trim_matches('"')).collect());
    let header: Vec<&str> = rows.next().unwrap_or_default();
    let mut columns = [0; 5];
    for (column, name) in columns.iter_mut().zip(["cabinet", "frame", "board", "x", "y"]) {
        let found = header.iter().position(|cell| cell.trim_start_matches('\u{feff}') == name);
        *column = found.ok_or_else(|| format!("there is no column '{name}'"))?;
    }
    let mut chips = BTreeMap::new();
    for (line, row) in (2..).zip(rows) {
        if row.iter().all(|cell| cell.is_empty()) {
            continue;
        }
        let number =
            |column: usize| row.get(column).and_then(|cell| cell.parse().ok()).filter(|n| *n <= PHYSICAL_MAX);
        let numbers: Option<Vec<u32>> = columns.iter().map(|column| number(*column)).collect();
        let [cabinet, frame, board, x, y] = numbers
            .and_then(|numbers| numbers.try_into().ok())
            .ok_or_else(|| format!("line {line} is not understood"))?;
        if chips.insert((x, y), [cabinet, frame, board]).is_some() {
            return Err(format!("line {line}: chip ({x}, {y}) is there twice"));
        }
    }
    let side = |most: Option<u32>| most.unwrap_or(0) / 12 + 1;
    let width = side(chips.keys().map(|(x, _)| *x).max());
    let height = side(chips.keys().map(|(_, y)| *y).max());
    if width.max(height) > SIDE_MAX {
        return Err(format!("a machine has at most {SIDE_MAX} triads on each side"));
    }
    let torus = Torus { width, height };
    Ok(chips.into_iter().map(|((x, y), place)| (torus.board_at_chip(Chip { x, y }).0, place)).collect())
}
