//! What makes the boards of a machine obey, and its settings.

use super::form::Form;
use super::key::{Kind, count, quoted};
use super::raw::{Body, Node};
use super::{agent, command};
use crate::allocator::{BoardIndex, Torus};
use crate::controller::{ControllerSettings, SimulatedSettings};
use crate::lab::machine::Shape;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// All words for controllers.
const CONTROLLERS: &[&str] = &["simulated", "command", "bmp", "agent"];
/// The controllers this build has.
const CONTROLLERS_BUILT: &[&str] = &["simulated", "command", "agent"];
/// The controllers that are words already and not in this build yet.
pub const CONTROLLERS_TO_COME: &[&str] = &["bmp"];
/// The longest time a simulated board is told to take, in milliseconds.
const SIMULATED_MS_MAX: u64 = 3_600_000;
/// Reads which controller the machine has, and its settings.
pub fn read(form: &mut Form, shape: &Shape) -> ControllerSettings {
    let listed = CONTROLLERS_BUILT.iter().map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join(", ");
    form.require("controller", &format!("is missing: what makes the boards obey; this build has {listed}"));
    let word = form.text("controller", Kind::Word(CONTROLLERS));
    let at = form.table.entry("controller").map_or(form.at, |entry| entry.node.at);
    if let Some(word) = word.as_deref().filter(|word| CONTROLLERS_TO_COME.contains(word)) {
        form.complain(at, "controller", format!("\"{word}\" is not in this build yet; it has {listed}"));
    }
    for name in CONTROLLERS_TO_COME.iter().filter(|name| Some(**name) != word.as_deref()) {
        if let Some(entry) = form.table.entry(name) {
            form.complain(
                entry.at,
                name,
                format!("this controller is not in this build yet; it has {listed}"),
            );
        }
    }
    warn_of_others(form, word.as_deref());
    // All sections are read whichever is chosen, so that what is wrong in any is told.
    let simulated = section(form, "simulated", "machine.simulated", |form| simulated(form, shape));
    let command = section(form, "command", "machine.command", command::read);
    let agent = section(form, "agent", "machine.agent", agent::read);
    if word.as_deref() == Some("agent") {
        if matches!(shape, Shape::Triads(_)) {
            form.complain(at, "controller", "agents bring boards to pools only");
        }
        return ControllerSettings::Agent(agent.unwrap_or_default());
    }
    if word.as_deref() == Some("command") {
        if command.is_none() && form.table.entry("command").is_none() {
            form.complain(at, "command.program", "is missing: write it below [machine.command]");
        }
        return ControllerSettings::Command(command.unwrap_or_default());
    }
    ControllerSettings::Simulated(simulated.unwrap_or_default())
}

fn warn_of_others(form: &mut Form, word: Option<&str>) {
    for name in CONTROLLERS_BUILT.iter().filter(|name| Some(**name) != word) {
        if let (Some(entry), Some(word)) = (form.table.entry(name), word) {
            let what = format!("is not used: the controller is \"{word}\"");
            form.complaints.warn(entry.at, format!("machine.{name}"), what);
        }
    }
}

/// Reads the settings of one controller, when they are written.
fn section<T>(
    form: &mut Form,
    key: &str,
    path: &'static str,
    read: impl FnOnce(&mut Form) -> T,
) -> Option<T> {
    let entry = form.table.entry(key)?;
    let Body::Table(table) = &entry.node.body else {
        let what = format!("needs a table below [{path}], not {}", entry.node.body.noun());
        form.complain(entry.node.at, key, what);
        return None;
    };
    let mut form = Form { section: path, table, at: entry.at, complaints: form.complaints };
    form.refuse_unknown();
    Some(read(&mut form))
}

fn simulated(form: &mut Form, shape: &Shape) -> SimulatedSettings {
    let millis = count(0, SIMULATED_MS_MAX);
    let mut ms = |key: &str| form.number(key, millis.clone()).unwrap_or(0);
    let (prepare_ms, power_ms, clean_ms) = (ms("prepare_ms"), ms("power_ms"), ms("clean_ms"));
    let (test_ms, jitter_ms) = (ms("test_ms"), ms("jitter_ms"));
    SimulatedSettings {
        seed: form.number("seed", count(0, i64::MAX as u64)).unwrap_or(0),
        prepare_ms,
        power_ms,
        clean_ms,
        test_ms,
        jitter_ms,
        fail_share: share(form, "fail_share"),
        silent_share: share(form, "silent_share"),
        broken_boards: boards(form, "broken_boards", shape),
        stuck_boards: boards(form, "stuck_boards", shape),
    }
}

fn share(form: &mut Form, key: &str) -> f64 {
    match form.value(key, Kind::Share) {
        Some(super::key::Value::Share(share)) => share,
        _ => 0.0,
    }
}

/// A list of boards of this machine: `[x, y, z]` in a torus, a serial in a pool.
fn boards(form: &mut Form, key: &str, shape: &Shape) -> Vec<BoardIndex> {
    match shape {
        Shape::Triads(triads) => {
            let torus: Torus = triads.torus();
            form.triads(key, torus).into_iter().map(|board| torus.index(board)).collect()
        }
        Shape::Pool { serials } => pool_boards(form, key, serials),
    }
}

fn pool_boards(form: &mut Form, key: &str, serials: &[Arc<str>]) -> Vec<BoardIndex> {
    let nodes = form.list(key);
    if nodes.is_empty() {
        return Vec::new();
    }
    let numbers: BTreeMap<&str, u32> = serials.iter().map(|serial| &**serial).zip(0..).collect();
    let read = |node: &Node| match &node.body {
        Body::Text(serial) => numbers
            .get(serial.as_str())
            .map(|number| BoardIndex(*number))
            .ok_or_else(|| format!("the pool has no board {}", quoted(serial))),
        other => Err(format!("needs the serial of a board in quotes, not {}", other.noun())),
    };
    let (mut boards, mut seen) = (Vec::new(), BTreeSet::new());
    for node in nodes {
        match read(node) {
            Ok(board) if seen.insert(board) => boards.push(board),
            Ok(_) => form.complain(node.at, key, "named twice"),
            Err(what) => form.complain(node.at, key, what),
        }
    }
    boards
}
