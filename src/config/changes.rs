//! What another configuration would change, in sentences.

use super::Config;
use super::key::KEYS;
use super::machine::MachineConfig;
use crate::lab::machine::MachineSpec;
use std::fmt;

/// One thing that another configuration changes.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// What changes, and how.
    pub sentence: String,
    /// Whether the server must be started anew before it takes effect.
    pub needs_restart: bool,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let when = if self.needs_restart { " (at the next start)" } else { "" };
        write!(f, "{}{when}", self.sentence)
    }
}

/// Everything that differs, in the order of the schema, then machine by machine. Empty when nothing does.
pub fn changes(old: &Config, new: &Config) -> Vec<Change> {
    let settings = KEYS.iter().filter_map(|key| {
        let (before, after) = (&old.settings.setting(key.path).value, &new.settings.setting(key.path).value);
        let sentence = format!("{}: {before} becomes {after}", key.path);
        (before != after).then_some(Change { sentence, needs_restart: key.needs_restart })
    });
    let machines = machine_changes(&old.machines, &new.machines);
    settings.chain(machines.into_iter().map(|sentence| Change { sentence, needs_restart: false })).collect()
}

fn machine_changes(old: &[MachineConfig], new: &[MachineConfig]) -> Vec<String> {
    let find =
        |machines: &[MachineConfig], name: &str| machines.iter().position(|other| *other.spec.name == *name);
    let mut sentences = Vec::new();
    for machine in old.iter().filter(|machine| find(new, &machine.spec.name).is_none()) {
        sentences.push(format!("machine '{}' is removed; jobs on its boards end", machine.spec.name));
    }
    for machine in new {
        match find(old, &machine.spec.name).and_then(|at| old.get(at)) {
            Some(before) => sentences.extend(machine_change(before, machine)),
            None => {
                let (name, count) = (&machine.spec.name, machine.spec.board_count());
                sentences.push(format!("machine '{name}' is added, with {count} boards"));
            }
        }
    }
    let kept = |machines: &[MachineConfig], others: &[MachineConfig]| -> Vec<_> {
        let names = machines.iter().map(|machine| machine.spec.name.clone());
        names.filter(|name| find(others, name).is_some()).collect()
    };
    if kept(old, new) != kept(new, old) {
        sentences.push("machines are tried in another order".into());
    }
    sentences
}

fn machine_change(old: &MachineConfig, new: &MachineConfig) -> Option<String> {
    let name = &new.spec.name;
    if !old.spec.same_boards(&new.spec) {
        return Some(format!("machine '{name}' gets other boards or places; jobs on its boards end"));
    }
    let mut parts = spec_changes(&old.spec, &new.spec);
    if old.controller != new.controller {
        parts.push("controller");
    }
    (!parts.is_empty()).then(|| format!("machine '{name}' changes its {}; loans go on", parts.join(", ")))
}

/// What differs between two machines of the same boards.
fn spec_changes(old: &MachineSpec, new: &MachineSpec) -> Vec<&'static str> {
    let dead = |spec: &MachineSpec| {
        spec.triads().map(|triads| (triads.dead_boards.clone(), triads.dead_links.clone()))
    };
    let (dead_boards, dead_links): (Option<_>, Option<_>) = (
        dead(old).zip(dead(new)).map(|(old, new)| old.0 != new.0),
        dead(old).zip(dead(new)).map(|(old, new)| old.1 != new.1),
    );
    let parts = [
        (old.tags != new.tags, "tags"),
        (old.kinds != new.kinds, "kinds"),
        (old.settle_ms != new.settle_ms, "settle_s"),
        (old.order_ms_max != new.order_ms_max, "order_s_max"),
        (old.boots != new.boots, "boot image"),
        (dead_boards == Some(true), "dead boards"),
        (dead_links == Some(true), "dead links"),
    ];
    parts.into_iter().filter(|(differs, _)| *differs).map(|(_, part)| part).collect()
}
