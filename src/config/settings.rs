//! The values of all keys outside of the machines, laid over each other: built in, file, environment, flags.

use super::complaint::{Complaints, Place, nearest};
use super::key::{KEYS, Key, Kind, VARIABLE_PREFIX, Value};
use super::machine::MACHINE_PATHS;
use super::network::Network;
use super::port::Ports;
use super::raw::{Body, Entry, Lines, Table, parse};
use std::collections::BTreeMap;
use std::fmt;

/// The shipped configuration: what is built in, and what is served when no file is named.
pub const BUILT_IN: &str = include_str!("../../config.toml");

/// The burners of the shipped file's lab to play with; a lab of one's own has its own.
const SIMULATED_BURNERS: &str = "stand.simulated_burners";

/// A variable that is this near to one of ours, and not it, is worth a warning.
const NEAR_STEPS_MAX: usize = 2;

/// A value given on the command line.
#[derive(Clone, Debug)]
pub struct Flag {
    /// The flag as it is written, as `--data-dir`.
    pub flag: String,
    /// The key it sets, as `data_dir`.
    pub key: String,
    /// The value.
    pub text: String,
}

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    /// Nobody said otherwise.
    BuiltIn,
    /// The file, the environment or a flag.
    Written(Place),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::BuiltIn => f.write_str("built in"),
            Source::Written(Place::Line { line, .. }) => write!(f, "line {line}"),
            Source::Written(place) => place.fmt(f),
        }
    }
}

/// A value and its source.
#[derive(Clone, Debug)]
pub struct Setting {
    /// The value.
    pub value: Value,
    /// Where it comes from.
    pub source: Source,
}

/// One value for every key of the schema.
#[derive(Clone, Debug)]
pub struct Settings(BTreeMap<&'static str, Setting>);

impl Settings {
    /// What holds when nobody says anything: every value of the shipped file, but closed doors, and nobody who is not there.
    pub fn built_in() -> Settings {
        let mut settings = Settings(BTreeMap::new());
        let lines = Lines::of(BUILT_IN);
        let mut complaints = Complaints::new(&lines);
        match parse(BUILT_IN) {
            Ok(table) => settings.read_file(&table, &mut complaints),
            Err(not_toml) => complaints.add(not_toml.at, "", not_toml.what),
        }
        if let Err(complaints) = complaints.finish() {
            panic!("the shipped config.toml is wrong: {complaints:?}");
        }
        for key in KEYS.iter().filter(|key| matches!(key.kind, Kind::Address)) {
            settings.put(key, Value::Text(String::new()), Source::BuiltIn);
        }
        find(SIMULATED_BURNERS)
            .into_iter()
            .for_each(|key| settings.put(key, Value::Count(0), Source::BuiltIn));
        settings.0.values_mut().for_each(|setting| setting.source = Source::BuiltIn);
        settings
    }

    /// Forgets where the values come from: they are part of the program.
    pub fn call_built_in(&mut self) {
        self.0.values_mut().for_each(|setting| setting.source = Source::BuiltIn);
    }

    /// Lays a file over what is known.
    pub fn read_file(&mut self, table: &Table, complaints: &mut Complaints) {
        for entry in &table.entries {
            if entry.key == "machine" {
                continue;
            }
            match find(&entry.key) {
                Some(key) => self.read_entry(key, entry, complaints),
                None if sections().any(|section| section == entry.key) => {
                    self.read_section(entry, complaints)
                }
                None => complaints.add_unknown(entry.at, &entry.key, || unknown_key("", &entry.key)),
            }
        }
    }

    fn read_section(&mut self, section: &Entry, complaints: &mut Complaints) {
        let Body::Table(table) = &section.node.body else {
            let what = format!("this is a section: write [{}] and its keys below", section.key);
            return complaints.add(section.node.at, &section.key, what);
        };
        for entry in &table.entries {
            let path = format!("{}.{}", section.key, entry.key);
            match find(&path) {
                Some(key) => self.read_entry(key, entry, complaints),
                None => complaints.add_unknown(entry.at, path, || unknown_key(&section.key, &entry.key)),
            }
        }
    }

    fn read_entry(&mut self, key: &'static Key, entry: &Entry, complaints: &mut Complaints) {
        match key.kind.read(&entry.node.body) {
            Ok(value) => self.put(key, value, Source::Written(complaints.lines().place(entry.node.at))),
            Err(what) => complaints.add(entry.node.at, key.path, what),
        }
    }

    /// Lays the environment over what is known.
    pub fn read_environment(&mut self, variables: &[(String, String)], complaints: &mut Complaints) {
        for (name, text) in variables.iter().filter(|(name, _)| name.starts_with(VARIABLE_PREFIX)) {
            let place = Place::Environment(name.clone());
            match KEYS.iter().find(|key| key.variable() == *name) {
                Some(key) => self.read_text(key, text, place, complaints),
                None => odd_variable(name, place, complaints),
            }
        }
    }

    /// Lays flags over what is known.
    pub fn read_flags(&mut self, flags: &[Flag], complaints: &mut Complaints) {
        for Flag { flag, key, text } in flags {
            let place = Place::Flag(flag.clone());
            match find(key) {
                Some(key) => self.read_text(key, text, place, complaints),
                None => complaints.add_at(place, key, unknown_path(key)),
            }
        }
    }

    fn read_text(&mut self, key: &'static Key, text: &str, at: Place, complaints: &mut Complaints) {
        match key.kind.read(&key.kind.body_of(text)) {
            Ok(value) => self.put(key, value, Source::Written(at)),
            Err(what) => complaints.add_at(at, key.path, what),
        }
    }

    fn put(&mut self, key: &'static Key, value: Value, source: Source) {
        self.0.insert(key.path, Setting { value, source });
    }

    /// The value of a key and its source.
    pub fn setting(&self, path: &str) -> &Setting {
        self.0
            .get(path)
            .unwrap_or_else(|| panic!("the schema has no key {path}, or config.toml no value for it"))
    }

    /// The value of a key that holds a text.
    pub fn text(&self, path: &str) -> &str {
        match &self.setting(path).value {
            Value::Text(text) => text,
            other => panic!("{path} is no text: {other:?}"),
        }
    }

    /// The value of a key that holds networks.
    pub fn networks(&self, path: &str) -> &[Network] {
        match &self.setting(path).value {
            Value::Networks(networks) => networks,
            other => panic!("{path} holds no networks: {other:?}"),
        }
    }

    /// The value of a key that holds origins.
    pub fn origins(&self, path: &str) -> &[String] {
        match &self.setting(path).value {
            Value::Origins(origins) => origins,
            other => panic!("{path} holds no origins: {other:?}"),
        }
    }

    /// The value of a key that holds ports.
    pub fn ports(&self, path: &str) -> &Ports {
        match &self.setting(path).value {
            Value::Ports(ports) => ports,
            other => panic!("{path} holds no ports: {other:?}"),
        }
    }

    /// The value of a key that is true or false.
    pub fn truth(&self, path: &str) -> bool {
        match &self.setting(path).value {
            Value::Truth(truth) => *truth,
            other => panic!("{path} is neither true nor false: {other:?}"),
        }
    }

    /// The value of a key that holds a count, or of one that holds a time in milliseconds.
    pub fn number(&self, path: &str) -> u64 {
        match &self.setting(path).value {
            Value::Count(number) | Value::Millis(number) => *number,
            other => panic!("{path} is no number: {other:?}"),
        }
    }
}

fn find(path: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.path == path)
}

/// The sections there are, but for the machines; some are named more than once.
fn sections() -> impl Iterator<Item = &'static str> {
    KEYS.iter().map(|key| key.section_and_name().0).filter(|section| !section.is_empty())
}

/// What to say of a key that this section does not have.
fn unknown_key(section: &str, name: &str) -> String {
    let here = KEYS.iter().map(Key::section_and_name).filter(|(at, _)| *at == section).map(|(_, name)| name);
    let elsewhere = KEYS.iter().map(|key| key.path).chain(MACHINE_PATHS.iter().copied());
    if section.is_empty() {
        return unknown(name, here.chain(sections()).chain(["machine"]), elsewhere);
    }
    unknown(name, here, elsewhere)
}

/// What to say of an unknown key where these are known, and those in other places.
pub fn unknown<'k>(
    name: &str,
    here: impl Iterator<Item = &'k str>,
    mut elsewhere: impl Iterator<Item = &'k str>,
) -> String {
    let moved = |path: &&str| path.rsplit_once('.').is_some_and(|(_, last)| last == name);
    if let Some(path) = elsewhere.find(moved) {
        return format!("unknown key here; there is a key '{path}'");
    }
    let nearest = nearest(name, here).map_or("", |(known, _)| known);
    format!("unknown key; the nearest is '{nearest}'")
}

fn unknown_path(path: &str) -> String {
    let nearest = nearest(path, KEYS.iter().map(|key| key.path)).map_or("", |(known, _)| known);
    format!("unknown key; the nearest is '{nearest}'")
}

/// A variable that begins as ours do. Clients have variables of their own, so only what can be none of theirs is wrong.
fn odd_variable(name: &str, place: Place, complaints: &mut Complaints) {
    let variables: Vec<String> = KEYS.iter().map(Key::variable).collect();
    let Some((nearest, steps)) = nearest(name, variables.iter().map(String::as_str)) else { return };
    let section = |section: &str| name.starts_with(&format!("{VARIABLE_PREFIX}{}_", section.to_uppercase()));
    if section("machine") {
        complaints.add_at(place, "", "machines are described in the file alone");
    } else if sections().any(section) {
        complaints.add_at(place, "", format!("unknown variable; the nearest is {nearest}"));
    } else if steps <= NEAR_STEPS_MAX {
        complaints.warn_at(place, "", format!("not a variable of the configuration; was {nearest} meant?"));
    }
}
