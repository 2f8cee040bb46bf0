//! One `[[machine]]` after the other: from keys to what the lab takes, with every check the lab relies on.
//!
//! A value that is complained about is replaced by a harmless one and the walk goes on, so that all complaints
//! come at once. Nothing of such a walk survives: whoever asked for it gets the complaints instead.

use super::complaint::Complaints;
use super::controller;
use super::form::{Form, inside, read_numbers};
use super::key::{Kind, count, quoted, seconds};
use super::places;
use super::raw::{Body, Entry, Node, Table};
use super::{agent, command};
use crate::allocator::{Link, Torus, Triad};
use crate::controller::ControllerSettings;
use crate::lab::machine::{MachineSpec, Shape, TriadsSpec};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// So many machines a lab has at most.
pub const MACHINES_MAX: usize = 1_000;
/// So many boards all machines of triads have together at most.
pub const TRIAD_BOARDS_MAX: u64 = 10_000_000;
/// So many triads one side of a machine has at most.
pub const SIDE_TRIADS_MAX: u32 = 1_000;
/// So many boards all pools have together at most.
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
    "machine.agent",
    "machine.agent.timeout_s",
    "machine.agent.token",
    "machine.agent.token_file",
    "machine.command",
    "machine.command.program",
    "machine.command.directory",
    "machine.command.environment",
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
    pub controller: ControllerSettings,
    /// The line of each key that was written, without the first section.
    pub(super) written: BTreeMap<String, usize>,
}

/// Reads machines one after the other and remembers what must be unique among them.
struct Reader<'c, 'l> {
    complaints: &'c mut Complaints<'l>,
    triad_boards_left: u64,
    pool_boards_left: u64,
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
    let mut reader = Reader {
        complaints,
        triad_boards_left: TRIAD_BOARDS_MAX,
        pool_boards_left: POOL_BOARDS_MAX,
        names: BTreeMap::new(),
        serials: BTreeMap::new(),
    };
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
            agents: matches!(controller, ControllerSettings::Agent(_)),
        };
        if let Some(entry) = table.entry("kinds").filter(|_| spec.kinds.is_empty()) {
            form.complain(
                entry.node.at,
                "kinds",
                "at least one is needed: boards are always prepared as something",
            );
        }
        command::check_times(&mut form, &controller, spec.order_ms_max);
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
            self.take_triad_boards(torus.board_count().into(), at);
        }
        Shape::Triads(spec)
    }

    fn pool(&mut self, table: &Table, at: usize, name: &Arc<str>) -> Shape {
        let mut form = self.form(table, at);
        let both = (table.entry("count"), table.entry("serials"));
        let (serials, at) = match both {
            (Some(entry), None) => {
                let count = form.number("count", count(1, POOL_BOARDS_MAX)).unwrap_or(1);
                let count = if self.take_pool_boards(count, entry.node.at) { count } else { 1 };
                ((0..count).map(|number| counted_serial(name, number)).collect(), entry.node.at)
            }
            (None, Some(entry)) => {
                let serials = form.names("serials").unwrap_or_default();
                if serials.is_empty()
                    && !agent::brings_boards(table)
                    && matches!(&entry.node.body, Body::List(list) if list.is_empty())
                {
                    form.complain(entry.node.at, "serials", "a pool needs at least one board");
                }
                self.take_pool_boards(serials.len() as u64, entry.node.at);
                (serials, entry.node.at)
            }
            (Some(entry), Some(_)) => {
                form.complain(entry.at, "count", "either count or serials, not both");
                (Vec::new(), at)
            }
            (None, None) => {
                if !agent::brings_boards(table) {
                    form.complain(at, "count", "is missing: a pool needs either count or serials");
                }
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

    fn take_triad_boards(&mut self, count: u64, at: usize) {
        match self.triad_boards_left.checked_sub(count) {
            Some(left) => self.triad_boards_left = left,
            None => {
                let what = format!("machines of triads have at most {TRIAD_BOARDS_MAX} boards, all together");
                self.complaints.add(at, "machine", what);
            }
        }
    }

    /// False when there are too many; their serials had better not be made.
    fn take_pool_boards(&mut self, count: u64, at: usize) -> bool {
        let left = self.pool_boards_left.checked_sub(count);
        match left {
            Some(left) => self.pool_boards_left = left,
            None => {
                let what = format!("pools have at most {POOL_BOARDS_MAX} boards, all together");
                self.complaints.add(at, "machine", what);
            }
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
