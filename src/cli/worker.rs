//! `berth worker`: brings the boards of this host to a pool of a server, and lets their holders speak with them.

use super::context::{Context, SERVER, with_port};
use super::exit::Failure;
use super::run::signals;
use super::span::parse_seconds;
use crate::client::{Credentials, Dial};
use crate::clock::Clock;
use crate::http::Workbench;
use crate::worker::bench::BenchSettings;
use crate::worker::board::BoardSettings;
use crate::worker::device::serial::Places;
use crate::worker::device::{Simulated, Times};
use crate::worker::{Ending, Host, Identity, Link, Plugs, REQUEST_BYTES_MAX};
use clap::{Args, CommandFactory, FromArgMatches, Parser};
use std::collections::{BTreeMap, BTreeSet};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use toml_edit::{DocumentMut, Item, Value};
use tracing_subscriber::EnvFilter;
use zeroize::Zeroizing;

/// Where holders find the worker, unless somebody says otherwise.
const LISTEN: &str = "127.0.0.1:8081";
/// Simulated boards at most.
const SIMULATED_MAX: u64 = 1_000;
/// What simulated boards are.
const SIMULATED_MODEL: &str = "simulated";
/// How long firmware may take, in seconds.
const FLASH_S_MAX: f64 = 60.0;
/// How long a bitstream may take, in seconds.
const EVALUATE_S_MAX: f64 = 30.0;
/// How long `initialized` is held back, in seconds.
const INITIALIZED_DELAY_S: f64 = 0.4;
/// How partitions are mounted.
const MOUNT: [&str; 3] = ["mount", "{device}", "{folder}"];
/// And unmounted.
const UNMOUNT: [&str; 2] = ["umount", "{folder}"];

/// `berth worker`.
#[derive(Args, Clone, Debug, Default)]
pub struct WorkerArgs {
    /// The pool whose boards these are; its controller must be "agent".
    #[arg(long, value_name = "POOL")]
    machine: Option<String>,
    /// What the worker is called there [default: the name of this host].
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// A file whose first line is the token of the pool.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Where holders of boards find the worker [default: 127.0.0.1:8081].
    #[arg(long, value_name = "HOST:PORT")]
    listen: Option<String>,
    /// What holders are told to find it at [default: http:// and where it listens].
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// Bring so many simulated boards instead of real ones.
    #[arg(long, value_name = "N", conflicts_with = "serials", value_parser = clap::value_parser!(u64).range(..=SIMULATED_MAX))]
    simulate: Option<u64>,
    /// Bring simulated boards with these serials; with --usb, only these real ones.
    #[arg(long, value_name = "SERIAL,...", value_delimiter = ',')]
    serials: Option<Vec<String>>,
    /// With --serials: they are real.
    #[arg(long, requires = "serials")]
    usb: bool,
    /// Simulated boards that break with the first bitstream they are given.
    #[arg(long, value_name = "SERIAL,...", value_delimiter = ',')]
    breaking: Option<Vec<String>>,
    /// Where the results of simulated boards begin.
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// How long simulated boards take to be given firmware [default: 0].
    #[arg(long, value_name = "SPAN", value_parser = parse_seconds)]
    flash_s: Option<f64>,
    /// How long they take for a test [default: 0].
    #[arg(long, value_name = "SPAN", value_parser = parse_seconds)]
    test_s: Option<f64>,
    /// How long they take for a bitstream [default: 0].
    #[arg(long, value_name = "SPAN", value_parser = parse_seconds)]
    evaluate_s: Option<f64>,
    /// How long firmware, or a test, may take [default: 60].
    #[arg(long, value_name = "SPAN", value_parser = parse_seconds)]
    flash_s_max: Option<f64>,
    /// How long a bitstream may take [default: 30].
    #[arg(long, value_name = "SPAN", value_parser = parse_seconds)]
    evaluate_s_max: Option<f64>,
    /// How long after a client connects, or a board is ready, it is told so [default: 0.4].
    #[arg(long, value_name = "SPAN", value_parser = parse_seconds)]
    initialized_delay_s: Option<f64>,
    /// Firmware of real boards, once for "default" and for each kind.
    #[arg(long = "firmware", value_name = "NAME=FILE", value_parser = parse_firmware)]
    firmware: Vec<(String, PathBuf)>,
    /// Below this the partitions of boot loaders are mounted, unless the system mounts them by itself.
    #[arg(long, value_name = "DIR")]
    mount_folder: Option<PathBuf>,
    /// A command that mounts one, with {device} and {folder} [default: mount {device} {folder}].
    #[arg(long, value_name = "COMMAND")]
    mount: Option<String>,
    /// A command that unmounts it [default: umount {folder}].
    #[arg(long, value_name = "COMMAND")]
    unmount: Option<String>,
    /// A file with these options, by their names, and "server"; [firmware] is a table. The command line comes first.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

fn parse_firmware(text: &str) -> Result<(String, PathBuf), String> {
    let (name, file) = text.split_once('=').ok_or("a name and a file are needed, as pulsecount=FILE")?;
    Ok((name.to_owned(), file.into()))
}

/// The options of a file, as if they had been typed.
#[derive(Parser)]
#[command(name = "worker")]
struct Line {
    #[command(flatten)]
    args: WorkerArgs,
    #[arg(long)]
    server: Option<String>,
}

/// Brings boards until told to end.
pub fn worker(context: &Context, args: &WorkerArgs) -> Result<(), Failure> {
    let (args, server) = match &args.config {
        None => (args.clone(), None),
        Some(file) => {
            let Line { args: kept, server } = read_file(file).map_err(Failure::usage)?;
            (args.clone().or(kept), server)
        }
    };
    start_log();
    let mut dial = Dial { credentials: Credentials::Guest, ..context.dial_as_guest() };
    if let Some(server) = server.filter(|_| context.shared.server == SERVER) {
        dial.address = with_port(&server);
    }
    let listen = args.listen.as_deref().unwrap_or(LISTEN);
    let listener = TcpListener::bind(listen).map_err(|error| Failure::usage(format!("{listen}: {error}")))?;
    let address = listener.local_addr().map_err(failed)?;
    let who = args.identity(&format!("http://{address}"))?;
    let (link, teller) = Link::new(dial, who).map_err(failed)?;
    let host = Host::start(args.settings(), Clock::system(), teller.clone()).map_err(failed)?;
    args.bring_boards(&host)?;
    let ended = AtomicBool::new(false);
    signals::watch(move |_| {
        teller.end(if ended.swap(true, Ordering::AcqRel) { Ending::Now } else { Ending::WhenFree });
    })
    .map_err(failed)?;
    let workbench = Workbench::open(host.clone(), listener, REQUEST_BYTES_MAX).map_err(failed)?;
    println!("workbench: listening on http://{}/", workbench.address);
    link.run(&host);
    Ok(())
}

fn failed(error: std::io::Error) -> Failure {
    Failure::usage(error.to_string())
}

fn start_log() {
    let filter = EnvFilter::try_from_env("BERTH_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false).with_writer(std::io::stderr);
    // Somebody who embeds us may have one.
    let _ = log.try_init();
}

impl WorkerArgs {
    /// These, and others where these say nothing.
    fn or(self, other: WorkerArgs) -> WorkerArgs {
        WorkerArgs {
            machine: self.machine.or(other.machine),
            name: self.name.or(other.name),
            token_file: self.token_file.or(other.token_file),
            listen: self.listen.or(other.listen),
            url: self.url.or(other.url),
            usb: self.usb || (self.serials.is_none() && other.usb),
            simulate: self.simulate.or(other.simulate.filter(|_| self.serials.is_none())),
            serials: self.serials.or(other.serials.filter(|_| self.simulate.is_none())),
            breaking: self.breaking.or(other.breaking),
            seed: self.seed.or(other.seed),
            flash_s: self.flash_s.or(other.flash_s),
            test_s: self.test_s.or(other.test_s),
            evaluate_s: self.evaluate_s.or(other.evaluate_s),
            flash_s_max: self.flash_s_max.or(other.flash_s_max),
            evaluate_s_max: self.evaluate_s_max.or(other.evaluate_s_max),
            initialized_delay_s: self.initialized_delay_s.or(other.initialized_delay_s),
            firmware: other.firmware.into_iter().chain(self.firmware).collect(),
            mount_folder: self.mount_folder.or(other.mount_folder),
            mount: self.mount.or(other.mount),
            unmount: self.unmount.or(other.unmount),
            config: self.config,
        }
    }

    fn is_simulated(&self) -> bool {
        self.simulate.is_some() || (self.serials.is_some() && !self.usb)
    }

    fn identity(&self, url: &str) -> Result<Identity, Failure> {
        let need = |what: &Option<String>, option: &str| {
            what.clone().ok_or_else(|| Failure::usage(format!("--{option} is needed")))
        };
        let file = self.token_file.as_deref().ok_or_else(|| Failure::usage("--token-file is needed"))?;
        let name = match &self.name {
            Some(name) => name.clone(),
            None => std::fs::read_to_string("/proc/sys/kernel/hostname").map_err(failed)?.trim().to_owned(),
        };
        let url = self.url.clone().unwrap_or_else(|| url.to_owned());
        Ok(Identity { machine: need(&self.machine, "machine")?, name, token: token(file)?, url: Some(url) })
    }

    fn settings(&self) -> BenchSettings {
        let board = BoardSettings {
            flash_ms_max: milliseconds(self.flash_s_max.unwrap_or(FLASH_S_MAX)),
            evaluate_ms_max: milliseconds(self.evaluate_s_max.unwrap_or(EVALUATE_S_MAX)),
            sizes_matter: !self.is_simulated(),
        };
        let delay_s = self.initialized_delay_s.unwrap_or(INITIALIZED_DELAY_S);
        BenchSettings { board, initialized_delay_ms: milliseconds(delay_s) }
    }

    fn bring_boards(&self, host: &Arc<Host>) -> Result<(), Failure> {
        if !self.is_simulated() {
            let serials: BTreeSet<String> = self.serials.iter().flatten().cloned().collect();
            return Plugs::new(self.places(), serials).watch(host).map_err(failed);
        }
        let (seed, times) = (self.seed.unwrap_or(0), self.times());
        for serial in self.simulated_serials() {
            let device = Simulated::new(&serial, seed, times);
            let breaks = self.breaking.iter().flatten().any(|breaking| *breaking == serial);
            let device = if breaks { device.breaking() } else { device };
            host.plug(&serial, SIMULATED_MODEL, Box::new(device)).map_err(failed)?;
        }
        Ok(())
    }

    fn simulated_serials(&self) -> BTreeSet<String> {
        match &self.serials {
            Some(serials) => serials.iter().cloned().collect(),
            None => (1..=self.simulate.unwrap_or(0)).map(|number| format!("sim-{number}")).collect(),
        }
    }

    fn times(&self) -> Times {
        let span = |seconds: Option<f64>| Duration::from_millis(milliseconds(seconds.unwrap_or(0.0)));
        Times { flash: span(self.flash_s), test: span(self.test_s), evaluate: span(self.evaluate_s) }
    }

    fn places(&self) -> Places {
        let words = |command: &Option<String>, default: &[&str]| match command {
            Some(command) => command.split_whitespace().map(str::to_owned).collect(),
            None => default.iter().map(|word| (*word).to_owned()).collect(),
        };
        Places {
            sys: "/sys".into(),
            dev: "/dev".into(),
            mounts: "/proc/self/mounts".into(),
            folder: self.mount_folder.clone().unwrap_or_else(|| std::env::temp_dir().join("berth-worker")),
            mount: words(&self.mount, &MOUNT),
            unmount: words(&self.unmount, &UNMOUNT),
            firmware: self.firmware.iter().cloned().collect::<BTreeMap<_, _>>(),
        }
    }
}

fn milliseconds(seconds: f64) -> u64 {
    (seconds * 1000.0) as u64
}

/// The first line of a file.
fn token(file: &Path) -> Result<Zeroizing<String>, Failure> {
    let failed = |error| Failure::usage(format!("{}: {error}", file.display()));
    let text = Zeroizing::new(std::fs::read_to_string(file).map_err(failed)?);
    Ok(Zeroizing::new(text.lines().next().unwrap_or_default().trim().to_owned()))
}

/// The options of a file.
fn read_file(file: &Path) -> Result<Line, String> {
    let failed = |why: &dyn std::fmt::Display| format!("{}: {why}", file.display());
    let text = std::fs::read_to_string(file).map_err(|error| failed(&error))?;
    let words = words(&text).map_err(|why| failed(&why))?;
    let matches = Line::command().disable_help_flag(true).try_get_matches_from(words);
    matches.and_then(|matches| Line::from_arg_matches(&matches)).map_err(|error| failed(&error))
}

/// The same as a command line.
fn words(text: &str) -> Result<Vec<String>, String> {
    let document: DocumentMut = text.parse().map_err(|error: toml_edit::TomlError| error.to_string())?;
    let mut words = vec!["worker".to_owned()];
    for (key, item) in document.iter() {
        match item {
            Item::Table(table) if key == "firmware" => {
                for (name, file) in table.iter() {
                    let file = file.as_str().ok_or_else(|| format!("firmware.{name}: a file is needed"))?;
                    words.push(format!("--firmware={name}={file}"));
                }
            }
            Item::Value(Value::Boolean(on)) => {
                words.extend(on.value().then(|| format!("--{}", key.replace('_', "-"))));
            }
            Item::Value(value) => {
                let value = plain(value).ok_or_else(|| format!("{key}: a text or a number is needed"))?;
                words.push(format!("--{}={value}", key.replace('_', "-")));
            }
            _ => return Err(format!("there is no table '{key}'")),
        }
    }
    Ok(words)
}

fn plain(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.value().clone()),
        Value::Integer(number) => Some(number.value().to_string()),
        Value::Float(number) => Some(number.value().to_string()),
        Value::Array(items) => Some(items.iter().map(plain).collect::<Option<Vec<_>>>()?.join(",")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_says_what_a_command_line_says() {
        let text = "server = 'lab'\nmachine = 'usb'\nserials = ['a', 'b']\nusb = true\nflash_s = 1.5\nseed = 7\n\
                    [firmware]\ndefault = '/f/d.uf2'\n";
        let line = Line::try_parse_from(words(text).expect("words")).expect("options");
        assert_eq!((line.server.as_deref(), line.args.machine.as_deref()), (Some("lab"), Some("usb")));
        assert_eq!(line.args.serials, Some(vec!["a".to_owned(), "b".to_owned()]));
        assert_eq!((line.args.flash_s, line.args.seed, line.args.usb), (Some(1.5), Some(7), true));
        assert_eq!(line.args.firmware, [("default".to_owned(), "/f/d.uf2".into())]);
        for wrong in ["[other]\na = 1", "name = 1979-05-27", "firmware = {a = 1}", "name ="] {
            assert!(words(wrong).is_err(), "{wrong}");
        }
        assert!(Line::try_parse_from(words("nome = 'x'").expect("words")).is_err());
    }

    #[test]
    fn the_command_line_comes_before_the_file() {
        let typed = WorkerArgs { simulate: Some(2), name: Some("a".into()), ..WorkerArgs::default() };
        let kept = WorkerArgs {
            serials: Some(vec!["x".into()]),
            name: Some("b".into()),
            machine: Some("usb".into()),
            ..WorkerArgs::default()
        };
        let both = typed.or(kept);
        assert_eq!((both.name.as_deref(), both.machine.as_deref()), (Some("a"), Some("usb")));
        assert!(both.is_simulated());
        assert_eq!(both.simulated_serials().into_iter().collect::<Vec<_>>(), ["sim-1", "sim-2"]);
    }
}
