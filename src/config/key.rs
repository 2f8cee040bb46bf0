//! The schema: every key there is, what may stand behind it, and whether a change of it needs a new start.
//!
//! The defaults are not here. They are the values of the top-level `config.toml`, which is part of the program;
//! a test holds both lists of keys equal.

use super::network::Network;
use super::port::Ports;
use super::raw::{Body, Node};
use std::fmt;
use std::ops::RangeInclusive;

/// A year in seconds; longer times are taken for mistakes.
const YEAR_S: u64 = 365 * 86_400;
/// A GiB.
const GIB: u64 = 1 << 30;

/// A key outside of the machines.
#[derive(Debug)]
pub struct Key {
    /// The key with its section, as `native.listen`.
    pub path: &'static str,
    /// What may stand behind it.
    pub kind: Kind,
    /// Whether a change of it waits for a new start of the server.
    pub needs_restart: bool,
}

impl Key {
    /// The section, empty at the top, and the key in it.
    pub fn section_and_name(&self) -> (&'static str, &'static str) {
        self.path.split_once('.').unwrap_or(("", self.path))
    }

    /// The variable of the environment that sets it.
    pub fn variable(&self) -> String {
        format!("{VARIABLE_PREFIX}{}", self.path.replace('.', "_").to_uppercase())
    }
}

/// How all our variables of the environment begin.
pub const VARIABLE_PREFIX: &str = "BERTH_";

/// What guests may be: refused, or a role.
pub const GUESTS: &[&str] = &["refused", "guest", "user", "operator", "admin"];
/// The roles that the spalloc door can act under.
pub const SPALLOC_ROLES: &[&str] = &["guest", "user", "operator"];
/// Whom callers of the spalloc door may name as the owner of a job.
pub const SPALLOC_OWNERS: &[&str] = &["any", "known"];
/// The roles that command clients of the stand door can act under.
pub const STAND_ROLES: &[&str] = &["guest", "user", "operator"];
/// What clients of iCEFARM may be: refused, or a role.
pub const ICEFARM_ROLES: &[&str] = &["refused", "guest", "user", "operator"];
/// The levels of the log, the quietest first.
pub const LOG_LEVELS: &[&str] = &["error", "warn", "info", "debug", "trace"];
/// The ways the log is written.
pub const LOG_FORMATS: &[&str] = &["text", "json"];

/// All keys outside of the machines, section by section.
pub const KEYS: &[Key] = &[
    key("name", Kind::Label),
    restart("data_dir", Kind::Path),
    restart("native.listen", Kind::Address),
    key("native.guests", Kind::Word(GUESTS)),
    key("native.session_span_s", seconds(0, 10 * YEAR_S)),
    restart("spalloc.listen", Kind::Address),
    key("spalloc.allow", Kind::Networks),
    key("spalloc.role", Kind::Word(SPALLOC_ROLES)),
    key("spalloc.owners", Kind::Word(SPALLOC_OWNERS)),
    key("spalloc.rate_per_s", count(0, 1_000_000)),
    key("spalloc.line_bytes_max", count(1 << 10, GIB)),
    key("channel.ports", Kind::Ports),
    key("channel.rate_per_s", count(0, 10_000_000)),
    restart("stand.listen", Kind::Address),
    restart("stand.machine", Kind::Name),
    key("stand.allow", Kind::Networks),
    key("stand.role", Kind::Word(STAND_ROLES)),
    key("stand.open", Kind::Truth),
    key("stand.rate_per_s", count(0, 1_000_000)),
    key("stand.message_bytes_max", count(1 << 10, GIB)),
    key("stand.image_bytes_max", count(1, 1 << 40)),
    key("stand.images_bytes_max", count(1, 1 << 50)),
    key("stand.images_max", count(1, 100_000)),
    key("stand.report_ms", count(0, 60_000)),
    key("stand.stall_s", seconds(1, 3_600)),
    restart("stand.simulated_burners", count(0, 1_000)),
    restart("web.listen", Kind::Address),
    key("web.origins", Kind::Origins),
    key("web.body_bytes_max", count(1 << 10, GIB)),
    key("web.stall_s", seconds(1, 3_600)),
    key("web.ping_s", seconds(1, 3_600)),
    restart("web.changes_max", count(16, 10_000_000)),
    key("icefarm.role", Kind::Word(ICEFARM_ROLES)),
    key("icefarm.allow", Kind::Networks),
    key("icefarm.url", Kind::Url),
    key("limits.frame_bytes_max", count(1 << 10, GIB)),
    key("limits.body_bytes_max", count(1 << 10, GIB)),
    key("limits.members_max", count(1, 1_000_000)),
    key("limits.calls_max", count(1, 1_000_000)),
    key("limits.json_depth_max", count(4, 1_000)),
    key("limits.connections_max", count(1, 1_000_000)),
    key("limits.connections_per_address_max", count(1, 1_000_000)),
    key("limits.handshake_s", seconds(1, 3_600)),
    key("limits.idle_s", seconds(1, YEAR_S)),
    key("limits.output_bytes_max", count(1 << 10, GIB)),
    key("limits.answer_bytes_max", count(1 << 10, GIB)),
    key("limits.sessions_per_user_max", count(1, 10_000_000)),
    key("limits.logins_waiting_max", count(1, 100_000)),
    key("limits.jobs_max", count(1, 10_000_000)),
    key("limits.jobs_per_owner_max", count(1, 10_000_000)),
    key("limits.keepalive_s_max", seconds(0, 10 * YEAR_S)),
    key("limits.watches_max", count(1, 10_000_000)),
    key("limits.waits_max", count(1, 10_000_000)),
    restart("limits.history_waiting_max", count(1, 100_000)),
    key("limits.users_max", count(1, 10_000_000)),
    key("limits.in_flight_max", count(1, 1_000_000)),
    key("limits.board_orders_max", count(1, 10_000)),
    key("limits.channels_per_connection_max", count(1, 100_000)),
    key("limits.channels_max", count(1, 100_000)),
    key("limits.datagram_bytes_max", count(1, 65_507)),
    key("limits.datagrams_per_call_max", count(1, 65_536)),
    key("limits.datagrams_waiting_max", count(1, 65_536)),
    key("limits.retired_jobs", count(0, 10_000_000)),
    key("limits.grant_attempts", count(1, 1_000)),
    key("limits.stop_s", seconds(1, 3_600)),
    restart("limits.threads", count(0, 1_024)),
    key("queue.patience_s", seconds(0, YEAR_S)),
    key("quarantine.retest_after_s", seconds(0, YEAR_S)),
    key("quarantine.reports", count(0, 1_000)),
    restart("journal.snapshot_facts", count(100, 100_000_000)),
    restart("journal.history_days", count(0, 36_500)),
    key("restart.grace_s", seconds(0, YEAR_S)),
    key("reservation.span_s", seconds(1, YEAR_S)),
    key("reservation.warn_s", seconds(0, YEAR_S)),
    key("reservation.warn_every_s", seconds(1, YEAR_S)),
    key("log.level", Kind::Word(LOG_LEVELS)),
    restart("log.format", Kind::Word(LOG_FORMATS)),
];

const fn key(path: &'static str, kind: Kind) -> Key {
    Key { path, kind, needs_restart: false }
}

const fn restart(path: &'static str, kind: Kind) -> Key {
    Key { path, kind, needs_restart: true }
}

/// A count of at least and at most so many.
pub const fn count(min: u64, max: u64) -> Kind {
    Kind::Count(min..=max)
}

/// A time of at least and at most so many seconds.
pub const fn seconds(min_s: u64, max_s: u64) -> Kind {
    Kind::Seconds(min_s * 1_000..=max_s * 1_000)
}

/// What may stand behind a key.
#[derive(Clone, Debug)]
pub enum Kind {
    /// A name people read.
    Label,
    /// A name people type.
    Name,
    /// A path of the file system.
    Path,
    /// Where a door listens; the empty text for nowhere.
    Address,
    /// A host.
    Host,
    /// An IPv4 address, or a distance between two.
    Ipv4,
    /// True or false.
    Truth,
    /// One of these words.
    Word(&'static [&'static str]),
    /// A whole number in this range.
    Count(RangeInclusive<u64>),
    /// A time in seconds, fractions allowed; the range is in milliseconds.
    Seconds(RangeInclusive<u64>),
    /// A number from 0 to 1.
    Share,
    /// A list of networks, or the same in one text with commas between them.
    Networks,
    /// A list of origins of web pages, or the same in one text with commas between them.
    Origins,
    /// A list of ports, or the same in one text with commas between them, or "any".
    Ports,
    /// Where something answers over HTTP, without a path; the empty text for nowhere.
    Url,
}

/// A value that is allowed behind its key.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A text.
    Text(String),
    /// A count.
    Count(u64),
    /// A time.
    Millis(u64),
    /// True or false.
    Truth(bool),
    /// A share.
    Share(f64),
    /// Networks.
    Networks(Vec<Network>),
    /// Origins.
    Origins(Vec<String>),
    /// Ports.
    Ports(Ports),
}

impl fmt::Display for Value {
    /// As TOML writes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Text(text) => write!(f, "{}", toml_edit::Value::from(text.as_str())),
            Value::Count(count) => count.fmt(f),
            Value::Millis(ms) => f.write_str(&seconds_text(*ms)),
            Value::Truth(truth) => truth.fmt(f),
            Value::Share(share) => write!(f, "{share:?}"),
            Value::Networks(networks) => {
                let listed: Vec<_> = networks.iter().map(|network| format!("\"{network}\"")).collect();
                write!(f, "[{}]", listed.join(", "))
            }
            Value::Origins(origins) => {
                let listed: Vec<_> = origins.iter().map(|origin| format!("\"{origin}\"")).collect();
                write!(f, "[{}]", listed.join(", "))
            }
            Value::Ports(ports) => ports.fmt(f),
        }
    }
}

/// Milliseconds as seconds, with a fraction only where there is one.
fn seconds_text(ms: u64) -> String {
    let fraction = format!("{}.{:03}", ms / 1_000, ms % 1_000);
    fraction.trim_end_matches('0').trim_end_matches('.').to_owned()
}

impl Kind {
    /// Reads a value, or says in a sentence why it is none.
    pub fn read(&self, body: &Body) -> Result<Value, String> {
        match (self, body) {
            (Kind::Count(range), Body::Whole(number)) => read_count(range, *number).map(Value::Count),
            (Kind::Seconds(range), Body::Whole(number)) => read_seconds(range, *number as f64),
            (Kind::Seconds(range), Body::Decimal(number)) => read_seconds(range, *number),
            (Kind::Share, Body::Whole(number)) => read_share(*number as f64),
            (Kind::Share, Body::Decimal(number)) => read_share(*number),
            (Kind::Truth, Body::Truth(truth)) => Ok(Value::Truth(*truth)),
            (Kind::Count(_) | Kind::Seconds(_) | Kind::Share | Kind::Truth, other) => {
                Err(format!("needs {}, not {}", self.noun(), other.noun()))
            }
            (Kind::Networks, body) => read_networks(body).map(Value::Networks),
            (Kind::Origins, body) => read_origins(body).map(Value::Origins),
            (Kind::Ports, body) => Ports::read(body).map(Value::Ports),
            (_, Body::Text(text)) => self.read_text(text).map(|()| Value::Text(text.clone())),
            (_, other) => Err(format!("needs {} in quotes, not {}", self.noun(), other.noun())),
        }
    }

    /// Turns a text that came from outside of TOML into what TOML would have said.
    pub fn body_of(&self, text: &str) -> Body {
        let whole = || text.parse().ok().map(Body::Whole);
        let decimal = || text.parse().ok().map(Body::Decimal);
        let body = match self {
            Kind::Count(_) => whole(),
            Kind::Seconds(_) | Kind::Share => whole().or_else(decimal),
            Kind::Truth => text.parse().ok().map(Body::Truth),
            _ => None,
        };
        body.unwrap_or_else(|| Body::Text(text.to_owned()))
    }

    fn noun(&self) -> &'static str {
        match self {
            Kind::Label | Kind::Name => "a name",
            Kind::Path => "a path",
            Kind::Address => "host:port",
            Kind::Host => "a host",
            Kind::Ipv4 => "an IPv4 address",
            Kind::Truth => "true or false",
            Kind::Word(_) => "a word",
            Kind::Count(_) => "a whole number",
            Kind::Seconds(_) => "a number of seconds",
            Kind::Share => "a number from 0 to 1",
            Kind::Networks => "a list of networks",
            Kind::Origins => "a list of origins",
            Kind::Ports => "a list of ports",
            Kind::Url => "an address",
        }
    }

    fn read_text(&self, text: &str) -> Result<(), String> {
        let (good, want) = match self {
            Kind::Label => (is_label(text), "a name has 1 to 64 characters that can be printed"),
            Kind::Name => (is_name(text), "a name has 1 to 64 letters, digits, '.', '_' and '-'"),
            Kind::Path => (is_path(text), "a path has 1 to 4096 bytes, none of them 0"),
            Kind::Address => (is_address(text), "host:port is needed, as 127.0.0.1:7007 or [::1]:7007"),
            Kind::Host => (is_host(text), "a host name or an IP address is needed"),
            Kind::Ipv4 => {
                (text.parse::<std::net::Ipv4Addr>().is_ok(), "four numbers are needed, as 10.11.0.1")
            }
            Kind::Url => (
                text.is_empty() || is_origin(text),
                "an address is needed, as http://lab.example:8080 or https://lab.example",
            ),
            Kind::Word(words) => {
                return if words.contains(&text) { Ok(()) } else { Err(not_a_word(text, words)) };
            }
            _ => return Ok(()),
        };
        if good { Ok(()) } else { Err(format!("{}: {want}", quoted(text))) }
    }
}

/// A word that is none of those allowed.
fn not_a_word(text: &str, words: &[&str]) -> String {
    let listed: Vec<String> = words.iter().map(|word| format!("\"{word}\"")).collect();
    format!("{} is not one of {}", quoted(text), listed.join(", "))
}

/// A text as it is repeated in a complaint: without control characters, and not all of it when it is long.
pub fn quoted(text: &str) -> String {
    const SHOWN_CHARS_MAX: usize = 80;
    let shown: String = text.chars().take(SHOWN_CHARS_MAX).collect();
    let dots = if shown.len() < text.len() { "..." } else { "" };
    format!("{shown:?}{dots}")
}

fn read_count(range: &RangeInclusive<u64>, number: i64) -> Result<u64, String> {
    let count = u64::try_from(number).ok().filter(|count| range.contains(count));
    count.ok_or_else(|| format!("{number} is out of range: {} to {}", range.start(), range.end()))
}

fn read_seconds(range: &RangeInclusive<u64>, seconds: f64) -> Result<Value, String> {
    let ms = (seconds * 1_000.0).round();
    // A number beyond u64, below zero or not a number at all becomes one of the ends, which are then out of range.
    let in_range = ms >= 0.0 && range.contains(&(ms as u64));
    let (min, max) = (seconds_text(*range.start()), seconds_text(*range.end()));
    if in_range {
        Ok(Value::Millis(ms as u64))
    } else {
        Err(format!("{seconds} is out of range: {min} to {max} seconds"))
    }
}

fn read_share(share: f64) -> Result<Value, String> {
    if (0.0..=1.0).contains(&share) {
        Ok(Value::Share(share))
    } else {
        Err(format!("{share} is not from 0 to 1"))
    }
}

/// Networks from a list of texts, or from one text with commas between them, as variables and flags have it.
fn read_networks(body: &Body) -> Result<Vec<Network>, String> {
    read_texts(body, "networks")?.iter().map(|text| read_network(text)).collect()
}

/// Texts from a list, or from one text with commas between them.
fn read_texts(body: &Body, nouns: &str) -> Result<Vec<String>, String> {
    let text = |node: &Node| match &node.body {
        Body::Text(text) => Ok(text.clone()),
        other => Err(format!("needs {nouns} in quotes, not {}", other.noun())),
    };
    match body {
        Body::List(items) => items.iter().map(text).collect(),
        Body::Text(text) => {
            let parts = text.split(',').map(|part| part.trim().to_owned());
            Ok(parts.filter(|part| !part.is_empty()).collect())
        }
        other => Err(format!("needs a list of {nouns}, not {}", other.noun())),
    }
}

/// Origins as browsers write them: a scheme, a host, a port unless it is the scheme's own, and nothing behind.
fn read_origins(body: &Body) -> Result<Vec<String>, String> {
    let texts = read_texts(body, "origins")?;
    match texts.iter().find(|text| !is_origin(text)) {
        None => Ok(texts),
        Some(text) => Err(format!(
            "{}: an origin is needed, as https://lab.example or http://lab.example:8080",
            quoted(text)
        )),
    }
}

fn is_origin(text: &str) -> bool {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let lower = !text.bytes().any(|byte| byte.is_ascii_uppercase());
    rest.is_some_and(|rest| {
        lower && ((is_host(rest) && !rest.contains(':')) || (rest.contains(':') && is_address(rest)))
    })
}

fn read_network(text: &str) -> Result<Network, String> {
    text.parse().map_err(|why| format!("{}: {why}", quoted(text)))
}

fn is_label(text: &str) -> bool {
    (1..=64).contains(&text.chars().count()) && !text.chars().any(char::is_control)
}

/// Whether this is a name for something people type: a machine, a board, a kind.
pub fn is_name(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    (1..=64).contains(&text.len()) && text.bytes().all(allowed)
}

fn is_path(text: &str) -> bool {
    (1..=4096).contains(&text.len()) && !text.contains('\0')
}

fn is_address(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else { return text.is_empty() };
    let inner = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let host_good = match inner {
        Some(inner) => inner.parse::<std::net::Ipv6Addr>().is_ok(),
        None => is_host(host) && !host.contains(':'),
    };
    let digits = port.bytes().all(|byte| byte.is_ascii_digit());
    host_good && digits && port.parse::<u16>().is_ok()
}

fn is_host(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-' | b':');
    (1..=255).contains(&text.len()) && text.bytes().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ROWS;
    use std::collections::BTreeSet;

    #[test]
    fn paths_and_variables_are_unique() {
        let paths: BTreeSet<_> = KEYS.iter().map(|key| key.path).collect();
        let variables: BTreeSet<_> = KEYS.iter().map(Key::variable).collect();
        assert_eq!((paths.len(), variables.len()), (KEYS.len(), KEYS.len()));
        assert!(variables.contains("BERTH_NATIVE_LISTEN") && variables.contains("BERTH_DATA_DIR"));
    }

    #[test]
    fn every_limit_that_the_table_of_errors_names_is_a_key() {
        let mut named = 0;
        for row in ROWS {
            let Some(at) = row.meaning.find("limits.") else { continue };
            let limit: String = row.meaning[at..]
                .chars()
                .take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_'))
                .collect();
            assert!(KEYS.iter().any(|key| key.path == limit), "{} names {limit}", row.name);
            named += 1;
        }
        assert!(named >= 20, "{named} limits are named");
    }

    #[test]
    fn values_are_read_or_refused() {
        let text = |text: &str| Body::Text(text.into());
        let rows: Vec<(Kind, Body, Result<Value, &str>)> = vec![
            (count(1, 9), Body::Whole(9), Ok(Value::Count(9))),
            (count(1, 9), Body::Whole(10), Err("10 is out of range: 1 to 9")),
            (count(0, 9), Body::Whole(-1), Err("-1 is out of range: 0 to 9")),
            (count(0, 9), Body::Decimal(1.0), Err("needs a whole number, not a number with a fraction")),
            (seconds(0, 9), Body::Whole(9), Ok(Value::Millis(9_000))),
            (seconds(0, 9), Body::Decimal(0.25), Ok(Value::Millis(250))),
            (seconds(1, 9), Body::Decimal(0.25), Err("0.25 is out of range: 1 to 9 seconds")),
            (seconds(0, 9), Body::Decimal(f64::NAN), Err("NaN is out of range: 0 to 9 seconds")),
            (seconds(0, 9), Body::Decimal(f64::INFINITY), Err("inf is out of range: 0 to 9 seconds")),
            (seconds(0, 9), text("9"), Err("needs a number of seconds, not a text")),
            (Kind::Share, Body::Whole(1), Ok(Value::Share(1.0))),
            (Kind::Share, Body::Decimal(1.01), Err("1.01 is not from 0 to 1")),
            (Kind::Share, Body::Decimal(-0.1), Err("-0.1 is not from 0 to 1")),
            (Kind::Word(LOG_FORMATS), text("json"), Ok(Value::Text("json".into()))),
            (Kind::Word(LOG_FORMATS), text("Json"), Err("\"Json\" is not one of \"text\", \"json\"")),
            (Kind::Truth, Body::Truth(true), Ok(Value::Truth(true))),
            (Kind::Truth, text("true"), Err("needs true or false, not a text")),
            (Kind::Label, Body::Truth(true), Err("needs a name in quotes, not true or false")),
        ];
        for (kind, body, expected) in rows {
            assert_eq!(kind.read(&body), expected.map_err(str::to_owned), "{kind:?} {body:?}");
        }
    }

    #[test]
    fn texts_of_each_kind_and_nearly_the_same_refused() {
        let long = "x".repeat(65);
        let rows: Vec<(Kind, Vec<&str>, Vec<&str>)> = vec![
            (Kind::Label, vec!["b", "Our Lab", "Büro"], vec!["", "a\n", &long]),
            (Kind::Name, vec!["m", "a.b_c-9"], vec!["", "a b", "a/b", "ä", &long]),
            (Kind::Path, vec!["x", "/a b/c"], vec!["", "a\0b"]),
            (
                Kind::Address,
                vec!["", "127.0.0.1:0", "localhost:7007", "[::1]:65535", "0.0.0.0:1"],
                vec!["7007", ":7007", "h:", "h:65536", "h:+1", "::1:7007", "[::1]", "[h]:1", "a b:1"],
            ),
            (
                Kind::Origins,
                vec!["", "https://lab.example", "http://[::1]:8080, http://10.0.0.1:8080"],
                vec!["*", "lab.example", "https://", "https://Lab", "https://lab/", "http://lab:x", "null"],
            ),
            (Kind::Host, vec!["10.0.0.1", "bmp-1.lab", "fe80::1"], vec!["", "a b", "a\n"]),
            (Kind::Ipv4, vec!["10.11.0.1"], vec!["10.11.0", "10.11.0.256", "h"]),
        ];
        for (kind, good, bad) in rows {
            for text in good {
                assert!(kind.read(&Body::Text(text.into())).is_ok(), "{kind:?} {text:?}");
            }
            for text in bad {
                assert!(kind.read(&Body::Text(text.into())).is_err(), "{kind:?} {text:?}");
            }
        }
    }

    #[test]
    fn values_are_shown_as_toml_reads_them() {
        let rows = [
            (Value::Text("a\"b\\\n".into()), "'''a\"b\\\n'''"),
            (Value::Count(7), "7"),
            (Value::Millis(1_000), "1"),
            (Value::Millis(1_250), "1.25"),
            (Value::Millis(0), "0"),
            (Value::Millis(10_000), "10"),
            (Value::Share(0.1), "0.1"),
            (Value::Share(1.0), "1.0"),
        ];
        for (value, shown) in rows {
            let read = super::super::raw::parse(&format!("x = {value}")).unwrap();
            assert_eq!(read.entries.len(), 1, "{value}");
            if !matches!(value, Value::Text(_)) {
                assert_eq!(value.to_string(), shown);
            }
        }
    }
}
