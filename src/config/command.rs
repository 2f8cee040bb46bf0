//! `[machine.command]`: the program that makes the boards of a machine obey.

use super::form::Form;
use super::key::{Kind, count, quoted, seconds};
use super::raw::{Body, Entry, Node};
use crate::controller::{CommandSettings, ControllerSettings};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The longest time limit, in seconds.
const TIME_LIMIT_S_MAX: u64 = 3_600;
/// So many runs of one machine at the same time at most.
const PARALLEL_MAX: u64 = 1_000;
/// So many words a command line has at most, and so many variables an environment.
const WORDS_MAX: usize = 256;
/// So many bytes one word or variable has at most.
const WORD_BYTES_MAX: usize = 4_096;

/// Reads the settings.
pub fn read(form: &mut Form) -> CommandSettings {
    form.require("program", "is missing: the program and its arguments, as [\"/usr/bin/env\", \"true\"]");
    let default = CommandSettings::default();
    let parallel = form.number("parallel_max", count(1, PARALLEL_MAX));
    CommandSettings {
        program: program(form),
        directory: form.text("directory", Kind::Path).map(PathBuf::from),
        environment: environment(form),
        time_limit_ms: form
            .number("time_limit_s", seconds(1, TIME_LIMIT_S_MAX))
            .unwrap_or(default.time_limit_ms),
        parallel_max: parallel.map_or(default.parallel_max, |parallel| parallel as usize),
    }
}

fn program(form: &mut Form) -> Vec<String> {
    let nodes = form.list("program");
    let mut words = Vec::new();
    for node in nodes.iter().take(WORDS_MAX) {
        match word(node) {
            Ok(word) => words.push(word),
            Err(what) => form.complain(node.at, "program", what),
        }
    }
    check_program(form, nodes);
    words
}

fn check_program(form: &mut Form, nodes: &[Node]) {
    let is_list = |entry: &&Entry| matches!(entry.node.body, Body::List(_));
    let Some(entry) = form.table.entry("program").filter(is_list) else { return };
    let nameless = nodes.first().is_none_or(|node| matches!(&node.body, Body::Text(word) if word.is_empty()));
    if nameless {
        form.complain(entry.node.at, "program", "the first word names the program");
    }
    if nodes.len() > WORDS_MAX {
        form.complain(entry.node.at, "program", format!("at most {WORDS_MAX} words"));
    }
}

fn environment(form: &mut Form) -> BTreeMap<String, String> {
    let Some(entry) = form.table.entry("environment") else { return BTreeMap::new() };
    let Body::Table(table) = &entry.node.body else {
        let what = format!("needs a table, as {{ NAME = \"value\" }}, not {}", entry.node.body.noun());
        form.complain(entry.node.at, "environment", what);
        return BTreeMap::new();
    };
    if table.entries.len() > WORDS_MAX {
        form.complain(entry.node.at, "environment", format!("at most {WORDS_MAX} variables"));
    }
    let mut variables = BTreeMap::new();
    for entry in table.entries.iter().take(WORDS_MAX) {
        if !is_variable(&entry.key) {
            let what = format!(
                "{}: a variable has letters, digits and '_' and begins with no digit",
                quoted(&entry.key)
            );
            form.complain(entry.at, "environment", what);
        }
        match word(&entry.node) {
            Ok(value) => drop(variables.insert(entry.key.clone(), value)),
            Err(what) => form.complain(entry.node.at, "environment", what),
        }
    }
    variables
}

fn is_variable(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let first = name.bytes().next();
    name.len() <= 64 && first.is_some_and(|byte| !byte.is_ascii_digit()) && name.bytes().all(allowed)
}

fn word(node: &Node) -> Result<String, String> {
    match &node.body {
        Body::Text(word) if word.len() <= WORD_BYTES_MAX && !word.contains('\0') => Ok(word.clone()),
        Body::Text(_) => Err(format!("a text here has at most {WORD_BYTES_MAX} bytes, none of them 0")),
        other => Err(format!("needs a text in quotes, not {}", other.noun())),
    }
}

/// A program that may run longer than the lab waits for it is odd.
pub fn check_times(form: &mut Form, controller: &ControllerSettings, order_ms_max: u64) {
    let ControllerSettings::Command(command) = controller else { return };
    if command.time_limit_ms > order_ms_max {
        let what = "is longer than order_s_max, after which the boards are given up anyway";
        let at = form.table.entry("command").map_or(form.at, |entry| entry.at);
        form.complaints.warn(at, "machine.command.time_limit_s", what);
    }
}
