//! One `[[machine]]` after the other: from keys to what the lab takes, with every check the lab relies on.
//!
//! A value that is complained about is replaced by a harmless one and the walk goes on, so that all complaints
//! come at once. Nothing of such a walk survives: whoever asked for it gets the complaints instead.

use super::complaint::Complaints;
use super::controller::{self, ControllerChoice};
use super::key::{Kind, Value, count, quoted, seconds};
use super::places;
use super::raw::{Body, Entry, Node, Table};
use super::settings::unknown;
use crate::allocator::{Link, Torus, Triad};
use crate::lab::machine::{MachineSpec, Shape, TriadsSpec};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// So many machines a lab has at most.
pub const MACHINES_MAX: usize = 1_000;
/// So many boards all machines have together at most.
pub const BOARDS_MAX: u64 = 10_000_000;
/// So many triads one side of a machine has at most.
pub const SIDE_TRIADS_MAX: u32 = 1_000;
/// So many boards a pool has at most.
pub const POOL_BOARDS_MAX: u64 = 1_000_000;
/// So long freed boards cool down at most, in seconds.
const SETTLE_S_MAX: u64 = 86_400;
/// So long an order takes at most, in seconds.
const ORDER_S_MAX: u64 = 3_600;
/// How long an order may take unless the machine says otherwise, in milliseconds.
const ORDER_MS_DEFAULT: u64 = 60_000;

/// All keys of a machine, with their section.
pub const MACHINE_PATHS: &[&str] = &[
    "machine.name",
    "machine.shape",
    "machine.tags",
    "machine.kinds",
    "machine.settle_s",
    "machine.order_s_max",
    "machine.controller",
    "machine.width",
    "machine.height",
    "machine.dead_boards",
    "machine.dead_links",
    "machine.boards_per_frame",
    "machine.frames_per_cabinet",
    "machine.host_base",
    "machine.cabinet_stride",
    "machine.frame_stride",
    "machine.board_stride",
    "machine.bmps",
    "machine.boards",
    "machine.count",
    "machine.serials",
    "machine.simulated",
    "machine.simulated.seed",
    "machine.simulated.prepare_ms",
    "machine.simulated.power_ms",
    "machine.simulated.clean_ms",
    "machine.simulated.test_ms",
    "machine.simulated.jitter_ms",
    "machine.simulated.fail_share",
    "machine.simulated.silent_share",
    "machine.simulated.broken_boards",
    "machine.simulated.stuck_boards",
    "machine.command",
    "machine.command.program",
    "machine.command.time_limit_s",
    "machine.command.parallel_max",
];

/// Keys that only machines of triads have.
const TRIADS_ONLY: &[&str] = &[
    "width",
    "height",
    "dead_boards",
    "dead_links",
    "boards_per_frame",
    "frames_per_cabinet",
    "host_base",
    "cabinet_stride",
    "frame_stride",
    "board_stride",
    "bmps",
    "boards",
];
/// Keys that only pools have.
const POOL_ONLY: &[&str] = &["count", "serials"];

/// A machine as the lab takes it, and what makes its boards obey.
#[derive(Clone, Debug)]
pub struct MachineConfig {
    /// The machine.
    pub spec: Arc<MachineSpec>,
    /// Its controller.
    pub controller: ControllerChoice,
    /// The line of each key that was written, without the first section.
    pub(super) written: BTreeMap<String, usize>,
}

/// Reads the keys of one table, and complains.
pub struct Form<'t, 'c, 'l> {
    /// The section, for complaints.
    pub section: &'static str,
    /// The table.
    pub table: &'t Table,
    /// The byte at which the table begins, for what is missing.
    pub at: usize,
    /// Where complaints go.
    pub complaints: &'c mut Complaints<'l>,
}

impl<'t> Form<'t, '_, '_> {
    /// Complains about a place in the text.
    pub fn complain(&mut self, at: usize, key: &str, what: impl Into<String>) {
        self.complaints.add(at, format!("{}.{key}", self.section), what);
    }

    /// Complains about every key that is not in the schema.
    pub fn refuse_unknown(&mut self) {
        let (section, table) = (self.section, self.table);
        let here = |path: &&'static str| path.strip_prefix(section).and_then(|path| path.strip_prefix('.'));
        let known = || MACHINE_PATHS.iter().filter_map(here).filter(|name| !name.contains('.'));
        for entry in table.entries.iter().filter(|entry| !known().any(|known| known == entry.key)) {
            let what = unknown(&entry.key, known(), MACHINE_PATHS.iter().copied());
            self.complain(entry.at, &entry.key, what);
        }
    }

    /// The value of a key, when it is written and right.
    pub fn value(&mut self, key: &str, kind: Kind) -> Option<Value> {
        let node = &self.table.entry(key)?.node;
        kind.read(&node.body).map_err(|what| self.complain(node.at, key, what)).ok()
    }

    /// A text.
    pub fn text(&mut self, key: &str, kind: Kind) -> Option<String> {
        self.value(key, kind).and_then(|value| match value {
            Value::Text(text) => Some(text),
            _ => None,
        })
    }

    /// A count, or a time in milliseconds.
    pub fn number(&mut self, key: &str, kind: Kind) -> Option<u64> {
        self.value(key, kind).and_then(|value| match value {
            Value::Count(number) | Value::Millis(number) => Some(number),
            _ => None,
        })
    }

    /// A number that fits 32 bits by its kind.
    pub fn small(&mut self, key: &str, min: u32, max: u32) -> Option<u32> {
        self.number(key, count(min.into(), max.into())).and_then(|number| u32::try_from(number).ok())
    }

    /// Complains when a key is not written.
    pub fn require(&mut self, key: &str, why: &str) {
        if self.table.entry(key).is_none() {
            self.complain(self.at, key, why);
        }
    }

    /// A list, empty when it is not written or is none.
    pub fn list(&mut self, key: &str) -> &'t [Node] {
        let Some(entry) = self.table.entry(key) else { return &[] };
        match &entry.node.body {
            Body::List(list) => list,
            other => {
                self.complain(entry.node.at, key, format!("needs a list, not {}", other.noun()));
                &[]
            }
        }
    }

    /// A list of names, none of them twice.
    pub fn names(&mut self, key: &str) -> Option<Vec<Arc<str>>> {
        let entry = self.table.entry(key)?;
        let (mut names, mut seen) = (Vec::new(), BTreeSet::new());
        for node in self.list(key) {
            match Kind::Name.read(&node.body) {
                Ok(Value::Text(name)) if seen.insert(name.clone()) => names.push(name.into()),
                Ok(_) => self.complain(node.at, key, "named twice"),
                Err(what) => self.complain(node.at, key, what),
            }
        }
        matches!(entry.node.body, Body::List(_)).then_some(names)
    }

    /// A list of boards of a machine of triads, none of them twice.
    pub fn triads(&mut self, key: &str, torus: Torus) -> Vec<Triad> {
        let (mut boards, mut seen) = (Vec::new(), BTreeSet::new());
        for node in self.list(key) {
            match read_triad(node, torus) {
                Ok(board) if seen.insert(board) => boards.push(board),
                Ok(_) => self.complain(node.at, key, "named twice"),
                Err(what) => self.complain(node.at, key, what),
            }
        }
        boards
    }
}

/// A list of exactly so many numbers.
pub fn read_numbers<const N: usize>(node: &Node, form: &str) -> Result<[u32; N], String> {
    let wrong = || format!("needs {form}");
    let Body::List(list) = &node.body else { return Err(format!("{}, not {}", wrong(), node.body.noun())) };
    let number = |node: &Node| match node.body {
        Body::Whole(number) => u32::try_from(number).ok(),
        _ => None,
    };
    let numbers: Option<Vec<u32>> = list.iter().take(N + 1).map(number).collect();
    numbers.and_then(|numbers| numbers.try_into().ok()).ok_or_else(wrong)
}

/// A board of a machine, as `[x, y, z]`.
pub fn read_triad(node: &Node, torus: Torus) -> Result<Triad, String> {
    read_numbers(node, "[x, y, z]").and_then(|[x, y, z]| inside(Triad { x, y, z }, torus))
}

fn inside(board: Triad, torus: Torus) -> Result<Triad, String> {
    let Triad { x, y, z } = board;
    let Torus { width, height } = torus;
    match torus.index_within(board) {
        Some(_) => Ok(board),
        None => Err(format!("[{x}, {y}, {z}] is not on a machine of {width} x {height} triads of 3 boards")),
    }
}

/// Reads machines one after the other and remembers what must be unique among them.
struct Reader<'c, 'l> {
    complaints: &'c mut Complaints<'l>,
    boards_left: u64,
    /// The line of each name.
    names: BTreeMap<String, usize>,
    /// The line of each serial.
    serials: BTreeMap<Arc<str>, usize>,
}

/// Reads all machines.
pub fn read_machines(entry: Option<&Entry>, complaints: &mut Complaints) -> Vec<MachineConfig> {
    let Some(entry) = entry else {
        complaints.warn(0, "machine", "no machine is described, so there is nothing to lend");
        return Vec::new();
    };
    let Body::List(nodes) = &entry.node.body else {
        complaints.add(entry.at, "machine", "each machine is written below [[machine]], with two brackets");
        return Vec::new();
    };
    if nodes.len() > MACHINES_MAX {
        complaints.add(entry.at, "machine", format!("{} are too many; at most {MACHINES_MAX}", nodes.len()));
        return Vec::new();
    }
    let (names, serials) = (BTreeMap::new(), BTreeMap::new());
    let mut reader = Reader { complaints, boards_left: BOARDS_MAX, names, serials };
    nodes.iter().filter_map(|node| reader.machine(node)).collect()
}

impl<'l> Reader<'_, 'l> {
    fn machine(&mut self, node: &Node) -> Option<MachineConfig> {
        let Body::Table(table) = &node.body else {
            self.complaints.add(node.at, "machine", format!("needs a table, not {}", node.body.noun()));
            return None;
        };
        self.form(table, node.at).refuse_unknown();
        let name: Arc<str> = self.name(table, node.at).into();
        let shape = self.shape(table, node.at, &name)?;
        let mut form = self.form(table, node.at);
        let controller = controller::read(&mut form, &shape);
        let default_kind = if matches!(shape, Shape::Triads(_)) { "spinnaker" } else { "board" };
        let spec = MachineSpec {
            name,
            tags: form
                .names("tags")
                .map_or_else(|| ["default".into()].into(), |tags| tags.into_iter().collect()),
            kinds: form.names("kinds").unwrap_or_else(|| vec![default_kind.into()]),
            settle_ms: form.number("settle_s", seconds(0, SETTLE_S_MAX)).unwrap_or(0),
            order_ms_max: form.number("order_s_max", seconds(1, ORDER_S_MAX)).unwrap_or(ORDER_MS_DEFAULT),
            shape,
        };
        if let Some(entry) = table.entry("kinds").filter(|_| spec.kinds.is_empty()) {
            form.complain(
                entry.node.at,
                "kinds",
                "at least one is needed: boards are always prepared as something",
            );
        }
        controller::check_times(&mut form, &controller, spec.order_ms_max);
        Some(MachineConfig { spec: Arc::new(spec), controller, written: self.written(table, "") })
    }

    fn form<'s, 't>(&'s mut self, table: &'t Table, at: usize) -> Form<'t, 's, 'l> {
        Form { section: "machine", table, at, complaints: self.complaints }
    }

    /// The name; it must be the only one of its kind.
    fn name(&mut self, table: &Table, at: usize) -> String {
        let mut form = self.form(table, at);
        form.require("name", "every machine needs a name");
        let Some(name) = form.text("name", Kind::Name) else { return "unnamed".into() };
        let at = table.entry("name").map_or(at, |entry| entry.node.at);
        let line = self.complaints.lines().line(at);
        if let Some(before) = self.names.insert(name.clone(), line) {
            let what = format!("the machine of line {before} is called {} too", quoted(&name));
            self.complaints.add(at, "machine.name", what);
        }
        name
    }

    fn shape(&mut self, table: &Table, at: usize, name: &Arc<str>) -> Option<Shape> {
        let mut form = self.form(table, at);
        form.require("shape", "is missing: \"triads\" or \"pool\"");
        let shape = form.text("shape", Kind::Word(&["triads", "pool"]));
        let foreign = match shape.as_deref() {
            Some("pool") => TRIADS_ONLY,
            Some(_) => POOL_ONLY,
            None => &[],
        };
        for entry in table.entries.iter().filter(|entry| foreign.contains(&entry.key.as_str())) {
            let what = format!("has no meaning for the shape \"{}\"", shape.as_deref().unwrap_or_default());
            form.complain(entry.at, &entry.key, what);
        }
        // Without a shape, the keys tell which one was meant; all else can then be checked all the same.
        let shape = shape.or_else(|| {
            let telling = table
                .entries
                .iter()
                .find(|entry| matches!(entry.key.as_str(), "width" | "count" | "serials"));
            telling.map(|entry| if entry.key == "width" { "triads".into() } else { "pool".into() })
        })?;
        Some(if shape == "pool" { self.pool(table, at, name) } else { self.triads(table, at) })
    }

    fn triads(&mut self, table: &Table, at: usize) -> Shape {
        let mut form = self.form(table, at);
        form.require("width", "is missing: how many triads from west to east");
        form.require("height", "is missing: how many triads from south to north");
        let width = form.small("width", 1, SIDE_TRIADS_MAX);
        let height = form.small("height", 1, SIDE_TRIADS_MAX);
        // With a side missing, boards are checked against the largest machine there could be.
        let side = |side: Option<u32>| side.unwrap_or(SIDE_TRIADS_MAX);
        let torus = Torus { width: side(width), height: side(height) };
        let spec = TriadsSpec {
            width: torus.width,
            height: torus.height,
            dead_boards: form.triads("dead_boards", torus),
            dead_links: dead_links(&mut form, torus),
            places: places::read_places(&mut form, torus),
            bmps: places::read_bmps(&mut form),
        };
        if width.is_some() && height.is_some() {
            self.take_boards(torus.board_count().into(), at);
        }
        Shape::Triads(spec)
    }

    fn pool(&mut self, table: &Table, at: usize, name: &Arc<str>) -> Shape {
        let mut form = self.form(table, at);
        let both = (table.entry("count"), table.entry("serials"));
        let (serials, at) = match both {
            (Some(entry), None) => {
                let count = form.number("count", count(1, POOL_BOARDS_MAX)).unwrap_or(1);
                let count = if self.take_boards(count, entry.node.at) { count } else { 1 };
                ((0..count).map(|number| counted_serial(name, number)).collect(), entry.node.at)
            }
            (None, Some(entry)) => {
                let serials = form.names("serials").unwrap_or_default();
                if serials.is_empty() && matches!(&entry.node.body, Body::List(list) if list.is_empty()) {
                    form.complain(entry.node.at, "serials", "a pool needs at least one board");
                }
                self.take_boards(serials.len() as u64, entry.node.at);
                (serials, entry.node.at)
            }
            (Some(entry), Some(_)) => {
                form.complain(entry.at, "count", "either count or serials, not both");
                (Vec::new(), at)
            }
            (None, None) => {
                form.complain(at, "count", "is missing: a pool needs either count or serials");
                (Vec::new(), at)
            }
        };
        self.enter_serials(&serials, at);
        Shape::Pool { serials }
    }

    /// Boards are asked for by serial, whatever their pool, so each serial is given once.
    fn enter_serials(&mut self, serials: &[Arc<str>], at: usize) {
        let line = self.complaints.lines().line(at);
        for serial in serials {
            if let Some(before) = self.serials.insert(serial.clone(), line) {
                let what = format!("the board {} is in the pool of line {before} already", quoted(serial));
                self.complaints.add(at, "machine.serials", what);
            }
        }
    }

    fn take_boards(&mut self, count: u64, at: usize) -> bool {
        let left = self.boards_left.checked_sub(count);
        match left {
            Some(left) => self.boards_left = left,
            None => self.complaints.add(
                at,
                "machine",
                format!("a lab has at most {BOARDS_MAX} boards, all together"),
            ),
        }
        left.is_some()
    }

    fn written(&self, table: &Table, section: &str) -> BTreeMap<String, usize> {
        let mut written = BTreeMap::new();
        for entry in &table.entries {
            let path = format!("{section}{}", entry.key);
            if let Body::Table(table) = &entry.node.body {
                written.extend(self.written(table, &format!("{path}.")));
            }
            written.insert(path, self.complaints.lines().line(entry.at));
        }
        written
    }
}

fn dead_links(form: &mut Form, torus: Torus) -> Vec<(Triad, Link)> {
    let (mut links, mut seen) = (Vec::new(), BTreeSet::new());
    for node in form.list("dead_links") {
        match read_link(node, torus) {
            Ok(link) if seen.insert(link) => links.push(link),
            Ok(_) => form.complain(node.at, "dead_links", "named twice"),
            Err(what) => form.complain(node.at, "dead_links", what),
        }
    }
    links
}

fn read_link(node: &Node, torus: Torus) -> Result<(Triad, Link), String> {
    let [x, y, z, number] = read_numbers(node, "[x, y, z, link]")?;
    let board = inside(Triad { x, y, z }, torus)?;
    let link = Link::from_number(number);
    let names = || Link::ALL.map(|link| format!("{} {}", link.number(), link.name())).join(", ");
    link.map(|link| (board, link)).ok_or_else(|| format!("there is no link {number}: {}", names()))
}

/// The serial of a board of a pool that only says how many it has.
pub fn counted_serial(pool: &str, number: u64) -> Arc<str> {
    format!("{pool}-{number}").into()
}
