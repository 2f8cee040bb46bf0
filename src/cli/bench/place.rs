//! The machine a measurement was taken on, in a line: a figure without it means nothing.

use serde::Serialize;
use std::fmt;
use std::fs;

/// What the system tells of itself; what it does not tell is empty or zero.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Place {
    /// The processor.
    pub processor: String,
    /// How many of it we may use.
    pub cores: usize,
    /// Memory in bytes.
    pub memory_bytes: u64,
    /// The kernel.
    pub system: String,
    /// How many wanted a processor in the last minute, on average.
    pub load: f64,
    /// The version of this program.
    pub berth: &'static str,
}

impl Place {
    /// This machine, now.
    pub fn here() -> Place {
        let text = |path: &str| fs::read_to_string(path).unwrap_or_default();
        Place {
            processor: field(&text("/proc/cpuinfo"), "model name").to_owned(),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            memory_bytes: kib(field(&text("/proc/meminfo"), "MemTotal")) * 1024,
            system: format!("{} {}", std::env::consts::OS, text("/proc/sys/kernel/osrelease").trim()),
            load: first_number(&text("/proc/loadavg")),
            berth: env!("CARGO_PKG_VERSION"),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Place { processor, cores, memory_bytes, system, load, berth } = self;
        let gib = *memory_bytes as f64 / f64::from(1 << 30);
        write!(f, "{processor}, {cores} cores, {gib:.1} GiB, {system}, load {load} before, berth {berth}")
    }
}

/// The value of `name : value`.
fn field<'a>(text: &'a str, name: &str) -> &'a str {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.trim_start().strip_prefix(':'));
    line.unwrap_or_default().trim()
}

fn kib(text: &str) -> u64 {
    text.strip_suffix(" kB").and_then(|number| number.parse().ok()).unwrap_or(0)
}

fn first_number(text: &str) -> f64 {
    text.split(' ').next().and_then(|number| number.parse().ok()).unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_system_tells_is_read() {
        let text = "processor\t: 0\nmodel name\t: A: B\nmodel name\t: C\n";
        assert_eq!((field(text, "model name"), field(text, "model")), ("A: B", ""));
        assert_eq!((kib("8 kB"), kib("8"), first_number("0.25 1"), first_number("")), (8, 0, 0.25, 0.0));
        assert!(Place::here().cores > 0);
    }

    #[test]
    fn a_place_is_a_line() {
        let place = Place { processor: "P".to_owned(), memory_bytes: 3 << 29, ..Place::default() };
        assert_eq!(place.to_string(), "P, 0 cores, 1.5 GiB, , load 0 before, berth ");
    }
}
