//! Where the boards of a machine of triads stand and answer: by a table or by a rule, and the BMPs.

use super::complaint::Complaints;
use super::form::{Form, read_numbers, read_triad};
use super::key::{Kind, Value, count};
use super::raw::{Body, Entry, Node, Table};
use crate::allocator::{BoardIndex, Torus};
use crate::lab::machine::{Physical, PlaceRule, PlaceTable, Places};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;

/// The greatest number of a cabinet, a frame or a board in a frame.
const PHYSICAL_MAX: u32 = 65_535;

/// The keys of the rule; they have no meaning beside a table.
const RULE_KEYS: &[&str] = &[
    "boards_per_frame",
    "frames_per_cabinet",
    "host_base",
    "cabinet_stride",
    "frame_stride",
    "board_stride",
];

/// The rule unless a machine says otherwise: full frames of 24 boards, five to a cabinet.
pub const RULE_DEFAULT: PlaceRule = PlaceRule {
    boards_per_frame: 24,
    frames_per_cabinet: 5,
    base: u32::from_be_bytes([10, 11, 0, 1]),
    strides: [5 << 8, 1 << 8, 8],
};

/// Reads the table of places, or the rule when there is none.
pub fn read_places(form: &mut Form, torus: Torus) -> Places {
    if form.table.entry("boards").is_none() {
        return Places::Rule(read_rule(form, torus));
    }
    for entry in form.table.entries.iter().filter(|entry| RULE_KEYS.contains(&entry.key.as_str())) {
        let what = "is not used: 'boards' says where the boards stand";
        form.complaints.warn(entry.at, format!("machine.{}", entry.key), what);
    }
    Places::Table(read_table(form, torus))
}

fn read_rule(form: &mut Form, torus: Torus) -> PlaceRule {
    let default = RULE_DEFAULT;
    let [cabinet, frame, board] = default.strides;
    let rule = PlaceRule {
        boards_per_frame: form.small("boards_per_frame", 1, PHYSICAL_MAX).unwrap_or(default.boards_per_frame),
        frames_per_cabinet: form
            .small("frames_per_cabinet", 1, PHYSICAL_MAX)
            .unwrap_or(default.frames_per_cabinet),
        base: ipv4(form, "host_base").unwrap_or(default.base),
        strides: [
            ipv4(form, "cabinet_stride").unwrap_or(cabinet),
            ipv4(form, "frame_stride").unwrap_or(frame),
            ipv4(form, "board_stride").unwrap_or(board),
        ],
    };
    check_rule(form, &rule, torus);
    rule
}

fn ipv4(form: &mut Form, key: &str) -> Option<u32> {
    form.text(key, Kind::Ipv4).and_then(|text| text.parse::<Ipv4Addr>().ok()).map(u32::from)
}

/// Every board must get an address, and should get one of its own.
fn check_rule(form: &mut Form, rule: &PlaceRule, torus: Torus) {
    let at = form.table.entry("host_base").map_or(form.at, |entry| entry.node.at);
    let boards = u64::from(torus.board_count());
    let frames = boards.div_ceil(rule.boards_per_frame.into());
    let board_last = boards.min(rule.boards_per_frame.into()) - 1;
    let frame_last = frames.min(rule.frames_per_cabinet.into()) - 1;
    let cabinet_last = frames.div_ceil(rule.frames_per_cabinet.into()) - 1;
    let [cabinet_step, frame_step, board_step] = rule.strides.map(u64::from);
    let in_frame = board_last * board_step;
    let in_cabinet = frame_last * frame_step + in_frame;
    if cabinet_last * cabinet_step + in_cabinet + u64::from(rule.base) > u32::MAX.into() {
        form.complain(at, "host_base", "the addresses of the boards go beyond 255.255.255.255");
    }
    let crowded = (board_last > 0 && board_step == 0)
        || (frame_last > 0 && frame_step <= in_frame)
        || (cabinet_last > 0 && cabinet_step <= in_cabinet);
    if crowded {
        form.complaints.warn(at, "machine.host_base", "with these strides boards share addresses");
    }
}

/// Reads the table; no board has two places, and no place two boards.
fn read_table(form: &mut Form, torus: Torus) -> PlaceTable {
    let (mut boards, mut places) = (BTreeMap::new(), BTreeMap::new());
    let mut table = PlaceTable::default();
    for node in form.list("boards") {
        let Some((board, place, host)) = read_board(form.complaints, node, torus) else { continue };
        let line = form.complaints.lines().line(node.at);
        let Physical { cabinet, frame, board: number } = place;
        if let Some(before) = boards.insert(board, line) {
            form.complain(node.at, "boards", format!("this board has a place on line {before} already"));
        } else if let Some(before) = places.insert(place, line) {
            let what = format!("the board of line {before} stands in [{cabinet}, {frame}, {number}] already");
            form.complain(node.at, "boards", what);
        } else {
            table.enter(board, place, host);
        }
    }
    table
}

/// A board, where it stands and where it answers.
type BoardPlace = (BoardIndex, Physical, Arc<str>);

fn read_board(complaints: &mut Complaints, node: &Node, torus: Torus) -> Option<BoardPlace> {
    const FORM: &str = "{ logical = [x, y, z], physical = [cabinet, frame, board], host = \"...\" }";
    let mut row = Row::read(complaints, "machine.boards", node, &["logical", "physical"], &["host"], FORM)?;
    let board = row.read_with("logical", |node| read_triad(node, torus));
    let place = row.read_with("physical", |node| {
        let numbers = read_numbers(node, "[cabinet, frame, board]")?;
        let good = numbers.iter().all(|number| *number <= PHYSICAL_MAX);
        if good { Ok(numbers) } else { Err(format!("no number may be beyond {PHYSICAL_MAX}")) }
    });
    // A dead board may stand somewhere and answer nowhere.
    let host = if row.table.entry("host").is_some() { row.host() } else { Some("".into()) };
    let ([cabinet, frame, board_number], board) = (place?, board?);
    Some((torus.index(board), Physical { cabinet, frame, board: board_number }, host?))
}

/// Reads the BMPs, one for a frame.
pub fn read_bmps(form: &mut Form) -> BTreeMap<(u32, u32), Arc<str>> {
    let mut bmps = BTreeMap::new();
    for node in form.list("bmps") {
        let Some((frame, host)) = read_bmp(form.complaints, node) else { continue };
        if bmps.insert(frame, host).is_some() {
            let what = format!("cabinet {} frame {} has a BMP already", frame.0, frame.1);
            form.complain(node.at, "bmps", what);
        }
    }
    bmps
}

fn read_bmp(complaints: &mut Complaints, node: &Node) -> Option<((u32, u32), Arc<str>)> {
    const FORM: &str = "{ cabinet = 0, frame = 0, host = \"...\" }";
    let mut row = Row::read(complaints, "machine.bmps", node, &["cabinet", "frame", "host"], &[], FORM)?;
    let (cabinet, frame, host) = (row.number("cabinet"), row.number("frame"), row.host());
    Some(((cabinet?, frame?), host?))
}

/// One inline table of a list.
struct Row<'t, 'c, 'l> {
    complaints: &'c mut Complaints<'l>,
    section: &'static str,
    table: &'t Table,
}

impl<'t, 'c, 'l> Row<'t, 'c, 'l> {
    /// Takes a node that is a table of these keys: those that are needed, and those that may be left out.
    fn read(
        complaints: &'c mut Complaints<'l>,
        section: &'static str,
        node: &'t Node,
        keys: &[&str],
        more_keys: &[&str],
        form: &str,
    ) -> Option<Row<'t, 'c, 'l>> {
        let Body::Table(table) = &node.body else {
            complaints.add(node.at, section, format!("needs {form}, not {}", node.body.noun()));
            return None;
        };
        let is_known = |entry: &Entry| keys.iter().chain(more_keys).any(|key| *key == entry.key);
        for entry in table.entries.iter().filter(|entry| !is_known(entry)) {
            complaints.add(
                entry.at,
                format!("{section}.{}", entry.key),
                format!("unknown key; needs {form}"),
            );
        }
        for key in keys.iter().filter(|key| table.entry(key).is_none()) {
            complaints.add(node.at, format!("{section}.{key}"), format!("is missing; needs {form}"));
        }
        Some(Row { complaints, section, table })
    }

    fn read_with<T>(&mut self, key: &str, read: impl FnOnce(&Node) -> Result<T, String>) -> Option<T> {
        let node = &self.table.entry(key)?.node;
        read(node).map_err(|what| self.complaints.add(node.at, format!("{}.{key}", self.section), what)).ok()
    }

    fn host(&mut self) -> Option<Arc<str>> {
        self.read_with("host", |node| match Kind::Host.read(&node.body)? {
            Value::Text(host) => Ok(host.into()),
            _ => Err("needs a host".into()),
        })
    }

    fn number(&mut self, key: &str) -> Option<u32> {
        self.read_with(key, |node| match count(0, PHYSICAL_MAX.into()).read(&node.body)? {
            Value::Count(number) => u32::try_from(number).map_err(|_| "is too large".into()),
            _ => Err("needs a whole number".into()),
        })
    }
}
