//! config.toml as written, and as checked.
//!
//! Reading order: this file; `raw` (the text as a tree of values, each with its place); `key` (the schema, and what
//! may stand behind each key); `settings` (built in, file, environment and flags laid over each other); `form`,
//! `machine`, `places`, `controller`, `agent`, `command`, `bmp` (one `[[machine]]`); `complaint`; then `show` and `changes`, which print what was read;
//! and `spalloc_import`, which makes such a file of what spalloc_server is configured with.
//!
//! All complaints come at once, each with its place and its key, and while there is one there is no `Config`: it
//! applies wholly or not at all. The defaults are the values of the top-level `config.toml`, which is part of the
//! program, but that a door nobody opens is closed and a machine nobody describes is not there.
//!
//! What is deliberately not here: opening files and asking the environment. Their contents are arguments.

mod agent;
mod bmp;
mod changes;
mod command;
mod complaint;
mod controller;
mod form;
mod key;
mod machine;
mod network;
mod places;
mod port;
mod raw;
mod settings;
mod show;
mod spalloc_import;

#[cfg(test)]
mod tests;

pub use changes::{Change, changes};
pub use complaint::{Complaint, Place};
pub use key::{KEYS, Key, VARIABLE_PREFIX};
pub use machine::{MACHINES_MAX, MachineConfig, POOL_BOARDS_MAX, SIDE_TRIADS_MAX, TRIAD_BOARDS_MAX};
pub use network::Network;
pub use port::Ports;
pub use raw::TEXT_BYTES_MAX;
pub use settings::{BUILT_IN, Flag, Source};
pub use show::{report, show};
pub use spalloc_import::{Import, Unread, import_spalloc};

use crate::controller::{BootImage, ControllerSettings};
use crate::lab;
use crate::lab::fact::MachineName;
use crate::user::Role;
use complaint::Complaints;
use settings::Settings;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Opens a file and reads so many bytes of it at the most, and one more if it is longer.
pub type ReadFile<'a> = &'a dyn Fn(&Path, usize) -> Result<Vec<u8>, String>;

/// All doors.
const DOORS: &[&str] = &["native.listen", "spalloc.listen", "stand.listen", "web.listen"];

/// A configuration that has been checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// What the lab is called.
    pub name: String,
    /// Where the journal and the users' passwords are kept.
    pub data_dir: PathBuf,
    /// The native door.
    pub native: Native,
    /// The spalloc door.
    pub spalloc: Spalloc,
    /// Channels to boards.
    pub channel: Channel,
    /// The stand door.
    pub stand: Stand,
    /// The web door.
    pub web: Web,
    /// What clients of iCEFARM find there.
    pub icefarm: IceFarm,
    /// Every limit.
    pub limits: Limits,
    /// Who is next.
    pub queue: Queue,
    /// What becomes of boards that fail.
    pub quarantine: Quarantine,
    /// `[journal]`.
    pub journal: Journal,
    /// How long after a start leases last at least.
    pub restart_grace_ms: u64,
    /// `[reservation]`.
    pub reservation: Reservation,
    /// What is logged.
    pub log: Log,
    /// The machines, in the order in which they are tried.
    pub machines: Vec<MachineConfig>,
    /// What is allowed and yet odd.
    pub warnings: Vec<Complaint>,
    /// Every value with its source.
    settings: Settings,
}

/// The native door.
#[derive(Clone, Debug, PartialEq)]
pub struct Native {
    /// Where it listens, as host:port; None for a closed door.
    pub listen: Option<String>,
    /// The role of guests; None when they are refused.
    pub guests: Option<Role>,
    /// How long a session lives unused; 0 is for ever.
    pub session_span_ms: u64,
}

/// The spalloc door, whose protocol knows no users.
#[derive(Clone, Debug, PartialEq)]
pub struct Spalloc {
    /// Where it listens, as host:port; None for a closed door.
    pub listen: Option<String>,
    /// Who may come in; nobody else is answered.
    pub allow: Vec<Network>,
    /// Under which role the door acts.
    pub role: Role,
    /// Whether owners must be users of this server.
    pub known_owners: bool,
    /// Calls that one connection may make in a second; 0 for any number.
    pub rate_per_s: u64,
    /// Bytes of one line.
    pub line_bytes_max: usize,
}

/// The stand door, whose protocol knows no users: burners of discs, displays and command clients.
#[derive(Clone, Debug, PartialEq)]
pub struct Stand {
    /// Where it listens, as host:port; None for a closed door.
    pub listen: Option<String>,
    /// The pool whose boards are the burners that come.
    pub machine: MachineName,
    /// Who may come in; nobody else is answered.
    pub allow: Vec<Network>,
    /// Under which role command clients act.
    pub role: Role,
    /// Whether trays are opened once a burn is over.
    pub open: bool,
    /// Messages that one connection may send in a second; 0 for any number.
    pub rate_per_s: u64,
    /// Bytes of one message.
    pub message_bytes_max: usize,
    /// Bytes of one image that is kept.
    pub image_bytes_max: u64,
    /// Bytes of all images that are kept.
    pub images_bytes_max: u64,
    /// Images that something is known of.
    pub images_max: usize,
    /// How often displays are told at most of what changes.
    pub report_ms: u64,
    /// How long a peer may take nothing of what it is sent, or send nothing of what it announced.
    pub stall_ms: u64,
    /// Burners of the server's own that only play.
    pub simulated_burners: usize,
}

/// The web door.
#[derive(Clone, Debug, PartialEq)]
pub struct Web {
    /// Where it listens, as host:port; None for a closed door.
    pub listen: Option<String>,
    /// Pages from elsewhere that may speak with the server.
    pub origins: Vec<String>,
    /// Bytes of the body of one request.
    pub body_bytes_max: usize,
    /// How long a peer may take nothing of what it is sent.
    pub stall_ms: u64,
    /// How often a websocket is asked, and told, whether anybody is there.
    pub ping_ms: u64,
    /// Changes that are remembered for those who come back.
    pub changes_max: usize,
}

/// The routes of iCEFARM at the web door, whose protocol knows no users.
#[derive(Clone, Debug, PartialEq)]
pub struct IceFarm {
    /// Under which role they act; None where nobody is served.
    pub role: Option<Role>,
    /// Who may come in.
    pub allow: Vec<Network>,
    /// Where clients reach the web door, if not where they called it.
    pub url: Option<String>,
}

/// Channels through which holders reach their boards.
#[derive(Clone, Debug, PartialEq)]
pub struct Channel {
    /// The ports of boards to which they may be opened.
    pub ports: Ports,
    /// Datagrams a second in each direction of one channel; 0 for any number.
    pub rate_per_s: u64,
}

/// Every limit, by the name it has in the file and in the table of errors; times are in milliseconds.
#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    /// Compressed bytes of one frame.
    pub frame_bytes_max: usize,
    /// Bytes of one frame once inflated.
    pub body_bytes_max: usize,
    /// gzip members of one frame.
    pub members_max: usize,
    /// Calls in one message.
    pub calls_max: usize,
    /// Depth of nested JSON.
    pub json_depth_max: usize,
    /// Connections of all doors.
    pub connections_max: usize,
    /// Connections from one address.
    pub connections_per_address_max: usize,
    /// From the first byte of a frame to its last, before a session is named.
    pub handshake_ms: u64,
    /// Silence on a connection that never named a session.
    pub idle_ms: u64,
    /// Bytes waiting for a peer that reads slowly.
    pub output_bytes_max: usize,
    /// Bytes of one answer.
    pub answer_bytes_max: usize,
    /// Sessions of one user.
    pub sessions_per_user_max: usize,
    /// Log-ins that wait for their password to be checked.
    pub logins_waiting_max: usize,
    /// Live jobs.
    pub jobs_max: usize,
    /// Live jobs of one owner below operator.
    pub jobs_per_owner_max: usize,
    /// The longest keepalive below operator; 0 for any, never lapsing included.
    pub keepalive_ms_max: u64,
    /// Jobs and machines one connection watches.
    pub watches_max: usize,
    /// Jobs one connection waits for.
    pub waits_max: usize,
    /// Look-ups in the journal's history that wait.
    pub history_waiting_max: usize,
    /// Users.
    pub users_max: usize,
    /// Unanswered messages of one connection.
    pub in_flight_max: usize,
    /// Orders waiting for one board.
    pub board_orders_max: usize,
    /// Channels of one connection.
    pub channels_per_connection_max: usize,
    /// Channels of all connections.
    pub channels_max: usize,
    /// Bytes of one datagram.
    pub datagram_bytes_max: usize,
    /// Datagrams of one call.
    pub datagrams_per_call_max: usize,
    /// Datagrams of one channel that wait for their reader.
    pub datagrams_waiting_max: usize,
    /// Ended jobs that are remembered.
    pub retired_jobs: usize,
    /// Grants of one job that may come to nothing.
    pub grant_attempts: u32,
    /// How long a shutdown may take.
    pub stop_ms: u64,
    /// Threads that serve connections; 0 for as many as suit the host.
    pub threads: usize,
}

/// Who is next.
#[derive(Clone, Debug, PartialEq)]
pub struct Queue {
    /// After this time in the queue nobody overtakes a job.
    pub patience_ms: u64,
}

/// What becomes of boards that fail.
#[derive(Clone, Debug, PartialEq)]
pub struct Quarantine {
    /// The wait before the first retest; 0 leaves it to an operator.
    pub retest_after_ms: u64,
    /// So many owners must report a board; 0 is never enough.
    pub reports: usize,
}

/// What is kept for how long.
#[derive(Clone, Debug, PartialEq)]
pub struct Journal {
    /// A snapshot is taken after so many facts.
    pub snapshot_facts: u64,
    /// How many days facts are kept; 0 for ever.
    pub history_days: u64,
}

/// Boards of pools that are reserved.
#[derive(Clone, Debug, PartialEq)]
pub struct Reservation {
    /// How long a reservation lasts, and how long from then on when it is extended.
    pub span_ms: u64,
    /// So long before the end its holder is told first.
    pub warn_ms: u64,
    /// And so often again.
    pub warn_every_ms: u64,
}

/// What is logged.
#[derive(Clone, Debug, PartialEq)]
pub struct Log {
    /// The level: error, warn, info, debug or trace.
    pub level: String,
    /// How it is written.
    pub format: LogFormat,
}

/// How the log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// Lines for people.
    Text,
    /// One JSON object for each line.
    Json,
}

impl Config {
    /// Lays a file (None for the shipped one), the environment and flags over what is built in, and checks it all.
    pub fn load(
        file: Option<&str>,
        environment: &[(String, String)],
        flags: &[Flag],
    ) -> Result<Config, Vec<Complaint>> {
        let text = file.unwrap_or(BUILT_IN);
        let lines = raw::Lines::of(text);
        let mut complaints = Complaints::new(&lines);
        let mut settings = Settings::built_in();
        let mut machines = Vec::new();
        match raw::parse(text) {
            Ok(table) => {
                settings.read_file(&table, &mut complaints);
                machines = machine::read_machines(table.entry("machine"), &mut complaints);
            }
            Err(not_toml) => complaints.add(not_toml.at, "", not_toml.what),
        }
        if file.is_none() {
            settings.call_built_in();
            machines.iter_mut().for_each(|machine| machine.written.clear());
        }
        settings.read_environment(environment, &mut complaints);
        settings.read_flags(flags, &mut complaints);
        check_doors(&settings, &mut complaints);
        check_stand(&settings, &machines, &mut complaints);
        let warnings = complaints.finish()?;
        Ok(Config::of(settings, machines, warnings))
    }

    fn of(settings: Settings, machines: Vec<MachineConfig>, warnings: Vec<Complaint>) -> Config {
        let listen =
            |path: &str| Some(settings.text(path)).filter(|text| !text.is_empty()).map(str::to_owned);
        Config {
            name: settings.text("name").to_owned(),
            data_dir: settings.text("data_dir").into(),
            native: Native {
                listen: listen("native.listen"),
                guests: settings.text("native.guests").parse().ok(),
                session_span_ms: settings.number("native.session_span_s"),
            },
            spalloc: Spalloc {
                listen: listen("spalloc.listen"),
                allow: settings.networks("spalloc.allow").to_vec(),
                role: settings.text("spalloc.role").parse().unwrap_or(Role::Guest),
                known_owners: settings.text("spalloc.owners") == "known",
                rate_per_s: settings.number("spalloc.rate_per_s"),
                line_bytes_max: settings.number("spalloc.line_bytes_max") as usize,
            },
            channel: Channel {
                ports: settings.ports("channel.ports").clone(),
                rate_per_s: settings.number("channel.rate_per_s"),
            },
            stand: Stand {
                listen: listen("stand.listen"),
                machine: settings.text("stand.machine").into(),
                allow: settings.networks("stand.allow").to_vec(),
                role: settings.text("stand.role").parse().unwrap_or(Role::Guest),
                open: settings.truth("stand.open"),
                rate_per_s: settings.number("stand.rate_per_s"),
                message_bytes_max: settings.number("stand.message_bytes_max") as usize,
                image_bytes_max: settings.number("stand.image_bytes_max"),
                images_bytes_max: settings.number("stand.images_bytes_max"),
                images_max: settings.number("stand.images_max") as usize,
                report_ms: settings.number("stand.report_ms"),
                stall_ms: settings.number("stand.stall_s"),
                simulated_burners: settings.number("stand.simulated_burners") as usize,
            },
            web: Web {
                listen: listen("web.listen"),
                origins: settings.origins("web.origins").to_vec(),
                body_bytes_max: settings.number("web.body_bytes_max") as usize,
                stall_ms: settings.number("web.stall_s"),
                ping_ms: settings.number("web.ping_s"),
                changes_max: settings.number("web.changes_max") as usize,
            },
            icefarm: IceFarm {
                role: settings.text("icefarm.role").parse().ok(),
                allow: settings.networks("icefarm.allow").to_vec(),
                url: listen("icefarm.url"),
            },
            limits: Limits::of(&settings),
            queue: Queue { patience_ms: settings.number("queue.patience_s") },
            quarantine: Quarantine {
                retest_after_ms: settings.number("quarantine.retest_after_s"),
                reports: settings.number("quarantine.reports") as usize,
            },
            journal: Journal {
                snapshot_facts: settings.number("journal.snapshot_facts"),
                history_days: settings.number("journal.history_days"),
            },
            restart_grace_ms: settings.number("restart.grace_s"),
            reservation: Reservation {
                span_ms: settings.number("reservation.span_s"),
                warn_ms: settings.number("reservation.warn_s"),
                warn_every_ms: settings.number("reservation.warn_every_s"),
            },
            log: Log {
                level: settings.text("log.level").to_owned(),
                format: if settings.text("log.format") == "json" { LogFormat::Json } else { LogFormat::Text },
            },
            machines,
            warnings,
            settings,
        }
    }

    /// Reads the files that machines name, through what opens them for it; all that is wrong with them comes at once.
    pub fn read_files(&mut self, read: ReadFile<'_>) -> Result<(), Vec<Complaint>> {
        let wrong = [self.read_images(read), agent::read_tokens(&mut self.machines, read)];
        let complaints: Vec<_> = wrong.into_iter().filter_map(Result::err).flatten().collect();
        if complaints.is_empty() { Ok(()) } else { Err(complaints) }
    }

    /// Reads the boot images.
    fn read_images(&mut self, read: ReadFile<'_>) -> Result<(), Vec<Complaint>> {
        let mut complaints = Vec::new();
        for machine in &mut self.machines {
            let ControllerSettings::Bmp(settings) = &mut machine.controller else { continue };
            let Some(image) = &mut settings.boot_image else { continue };
            let path = image.path.clone();
            if let Err(what) = read(&path, BootImage::BYTES_MAX).and_then(|bytes| image.take(&bytes)) {
                let line = machine.written.get("bmp.boot_image").copied().unwrap_or(0);
                let what = format!("{}: {what}", path.display());
                let at = Place::Line { line, column: 1 };
                complaints.push(Complaint { at, key: "machine.bmp.boot_image".into(), what });
            }
        }
        if complaints.is_empty() { Ok(()) } else { Err(complaints) }
    }

    /// The part that steers the decisions of the lab.
    pub fn lab_options(&self) -> lab::Options {
        lab::Options {
            retired_jobs_max: self.limits.retired_jobs,
            grant_attempts_max: self.limits.grant_attempts,
            jobs_max: self.limits.jobs_max,
            jobs_per_owner_max: self.limits.jobs_per_owner_max,
            keepalive_ms_max: self.limits.keepalive_ms_max,
            users_max: self.limits.users_max,
            sessions_per_user_max: self.limits.sessions_per_user_max,
            patience_ms: self.queue.patience_ms,
            retest_after_ms: self.quarantine.retest_after_ms,
            reports_to_quarantine: self.quarantine.reports,
            restart_grace_ms: self.restart_grace_ms,
            reservation_ms: self.reservation.span_ms,
            warning: lab::job::Warning {
                before_ms: self.reservation.warn_ms,
                every_ms: self.reservation.warn_every_ms,
            },
        }
    }

    /// Where the value of a key comes from; None for a key that is not in the schema, and for those of machines.
    pub fn source(&self, path: &str) -> Option<&Source> {
        KEYS.iter().find(|key| key.path == path).map(|key| &self.settings.setting(key.path).source)
    }
}

impl Limits {
    fn of(settings: &Settings) -> Limits {
        // The schema bounds every limit to what fits 32 bits.
        let ms = |name: &str| settings.number(&format!("limits.{name}"));
        let count = |name: &str| ms(name) as usize;
        Limits {
            frame_bytes_max: count("frame_bytes_max"),
            body_bytes_max: count("body_bytes_max"),
            members_max: count("members_max"),
            calls_max: count("calls_max"),
            json_depth_max: count("json_depth_max"),
            connections_max: count("connections_max"),
            connections_per_address_max: count("connections_per_address_max"),
            handshake_ms: ms("handshake_s"),
            idle_ms: ms("idle_s"),
            output_bytes_max: count("output_bytes_max"),
            answer_bytes_max: count("answer_bytes_max"),
            sessions_per_user_max: count("sessions_per_user_max"),
            logins_waiting_max: count("logins_waiting_max"),
            jobs_max: count("jobs_max"),
            jobs_per_owner_max: count("jobs_per_owner_max"),
            keepalive_ms_max: ms("keepalive_s_max"),
            watches_max: count("watches_max"),
            waits_max: count("waits_max"),
            history_waiting_max: count("history_waiting_max"),
            users_max: count("users_max"),
            in_flight_max: count("in_flight_max"),
            board_orders_max: count("board_orders_max"),
            channels_per_connection_max: count("channels_per_connection_max"),
            channels_max: count("channels_max"),
            datagram_bytes_max: count("datagram_bytes_max"),
            datagrams_per_call_max: count("datagrams_per_call_max"),
            datagrams_waiting_max: count("datagrams_waiting_max"),
            retired_jobs: count("retired_jobs"),
            grant_attempts: count("grant_attempts") as u32,
            stop_ms: ms("stop_s"),
            threads: count("threads"),
        }
    }
}

impl Default for Limits {
    /// The limits that are built in.
    fn default() -> Limits {
        Limits::of(&Settings::built_in())
    }
}

/// No two doors can share an address, and a lab without a door is odd.
fn check_doors(settings: &Settings, complaints: &mut Complaints) {
    let mut taken: BTreeMap<&str, &str> = BTreeMap::new();
    for path in DOORS.iter().copied().filter(|path| !settings.text(path).is_empty()) {
        let address = settings.text(path);
        let other = taken.insert(address, path).filter(|_| !is_any_port(address));
        let Source::Written(place) = &settings.setting(path).source else { continue };
        if let Some(other) = other {
            complaints.add_at(place.clone(), path, format!("{other} listens at {address} already"));
        }
    }
    if DOORS.iter().all(|path| settings.text(path).is_empty()) {
        let place = Place::Line { line: 1, column: 1 };
        complaints.warn_at(place, "native.listen", "is not set, so the door is closed and nobody can call");
    }
}

/// Burners are boards of a pool: without it the stand door serves displays, and nobody can burn.
fn check_stand(settings: &Settings, machines: &[MachineConfig], complaints: &mut Complaints) {
    let Source::Written(place) = &settings.setting("stand.listen").source else { return };
    let name = settings.text("stand.machine");
    let takes_burners = |machine: &&MachineConfig| {
        matches!(machine.controller, ControllerSettings::Agent(_))
            && machine.spec.kinds.iter().any(|kind| **kind == *lab::job::BURN_KIND)
    };
    let named = machines.iter().find(|machine| *machine.spec.name == *name);
    if settings.text("stand.listen").is_empty() || named.filter(takes_burners).is_some() {
        return;
    }
    let what = format!(
        "no burner can come: there is no pool '{name}' (stand.machine) with controller = \"agent\" and the kind \"burn\""
    );
    complaints.warn_at(place.clone(), "stand.listen", what);
}

/// Whether the system chooses the port, so that two doors may well say the same.
fn is_any_port(address: &str) -> bool {
    address.rsplit_once(':').is_some_and(|(_, port)| port.parse() == Ok(0))
}
