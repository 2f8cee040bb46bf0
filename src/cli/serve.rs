//! `berth serve` and `berth demo`: configuration, log, signals, and the server between them. Also what is done
//! to a server's data while it does not run.

use super::notify::NotifySocket;
use crate::clock::Clock;
use crate::config::{self, Config, Flag};
use crate::journal::{EmbeddedJournal, Journal, JournalError, Keeping, replay_into};
use crate::lab::Lab;
use crate::lab::command::{Caller, Command};
use crate::server::{
    ConfigSource, End, Listeners, LogLevel, Nobody, Server, ServerHandle, Setup, Supervisor, serving_threads,
};
use async_std::task;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::io::Read;
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::reload::Handle;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Registry, fmt, reload};

/// The file with the first administrator's password, in the data directory.
const FIRST_PASSWORD_FILE: &str = "admin-password";

/// Open files beside connections: the journal, controllers' programs, the log.
const OWN_FILES: u64 = 1_000;

/// A day.
const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// The levels of the log.
const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// Where a configuration comes from.
#[derive(Clone, Debug, Default)]
pub struct Origin {
    /// The file; none for the built-in one.
    pub file: Option<PathBuf>,
    /// A text that takes the place of a file.
    pub text: Option<String>,
    /// What flags say.
    pub flags: Vec<Flag>,
}

impl Origin {
    /// The configuration that a file, the environment and flags make together; an error lists all complaints.
    pub fn load(&self) -> Result<Config, String> {
        let text = self.file.as_deref().map(read_text).transpose()?.or_else(|| self.text.clone());
        let environment: Vec<(String, String)> = std::env::vars_os()
            .filter_map(|(key, value)| Some((key.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        let loaded = Config::load(text.as_deref(), &environment, &self.flags);
        let whole = loaded.and_then(|mut config| config.read_files(&read_bytes).map(|()| config));
        whole.map_err(|complaints| config::report(&Err(complaints), &self.name()))
    }

    /// What the source is called in complaints.
    pub fn name(&self) -> String {
        self.file
            .as_deref()
            .map_or_else(|| "built-in configuration".to_owned(), |file| file.display().to_string())
    }
}

/// What is in a file, and no more of it than one byte past the most that it may have.
fn read_bytes(file: &Path, bytes_max: usize) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let file = std::fs::File::open(file).map_err(|error| error.to_string())?;
    file.take(bytes_max as u64 + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    Ok(bytes)
}

fn read_text(file: &Path) -> Result<String, String> {
    std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))
}

/// Serves until told to end for good; an order to restart comes back only if that fails. `opened` is called once, when the
/// doors are open.
pub fn serve(origin: &Origin, listeners: Listeners, opened: impl FnOnce(SocketAddr)) -> Result<(), String> {
    let config = origin.load()?;
    start_runtime(config.limits.threads);
    let log = start_log(&config)?;
    let signals = Arc::new(SignalsHeard::default());
    SignalsHeard::watch(&signals).map_err(|error| error.to_string())?;
    warn(&config);
    let password_file = config.data_dir.join(FIRST_PASSWORD_FILE);
    let listeners = Arc::new(listeners);
    let setup = setup(origin, config, log, listeners.clone())?;
    let end = task::block_on(async {
        let server = Server::open(setup).await.map_err(|error| error.to_string())?;
        // Whoever reads that the doors are open may order the end at once. There is one server only.
        let _ = signals.server.set(server.handle());
        announce(&server, &password_file);
        if let Some(address) = server.native_address() {
            opened(address);
        }
        server.serve().await.map_err(|error| error.to_string())
    })?;
    match end {
        End::Restart if !signals.ending.load(Ordering::Acquire) => Err(restart(&listeners)),
        _ => Ok(()),
    }
}

/// Starts the threads that serve connections.
fn start_runtime(threads: usize) {
    let config = async_global_executor::GlobalExecutorConfig::default()
        .with_env_var("ASYNC_STD_THREAD_COUNT")
        .with_min_threads(serving_threads(threads))
        .with_thread_name_fn(|| "serve".to_owned());
    async_global_executor::init_with_config(config);
}

/// Says what is odd, and goes on.
fn warn(config: &Config) {
    let files = raise_open_files(config.limits.connections_max);
    if !files.suffice() {
        tracing::warn!(
            wanted = files.wanted,
            allowed = files.allowed,
            "the system allows fewer open files than limits.connections_max needs"
        );
    }
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
}

/// What the server is opened with.
fn setup(
    origin: &Origin,
    config: Config,
    log: Arc<dyn LogLevel>,
    listeners: Arc<Listeners>,
) -> Result<Setup, String> {
    let journal = EmbeddedJournal::open(&config.data_dir).map_err(|error| error.to_string())?;
    let again = origin.clone();
    Ok(Setup {
        journal: Box::new(journal.keeping(keeping(&config))),
        source: origin.file.is_some().then(|| Box::new(move || again.load()) as ConfigSource),
        clock: Clock::system(),
        log,
        first_password: Some(config.data_dir.join(FIRST_PASSWORD_FILE)),
        local_access: Some(config.data_dir.clone()),
        listeners,
        supervisor: supervisor(),
        config,
    })
}

/// Whoever started us and wants to know how we do.
fn supervisor() -> Arc<dyn Supervisor> {
    match NotifySocket::from_environment() {
        Ok(Some(socket)) => Arc::new(socket),
        Ok(None) => Arc::new(Nobody),
        Err(error) => {
            tracing::warn!(%error, "NOTIFY_SOCKET cannot be used");
            Arc::new(Nobody)
        }
    }
}

/// How the journal is kept.
fn keeping(config: &Config) -> Keeping {
    let history_ms = Some(config.journal.history_days).filter(|days| *days > 0).map(|days| days * DAY_MS);
    Keeping { snapshot_facts: config.journal.snapshot_facts, history_ms }
}

/// Says where the doors are, and the first administrator's password, once.
fn announce(server: &Server, password_file: &Path) {
    if let Some(password) = &server.first_password {
        println!("made the user 'admin' with the password {password} (kept in {})", password_file.display());
    }
    match server.native_address() {
        Some(address) => println!("native: listening on {address}"),
        None => println!("native: closed (native.listen is not set)"),
    }
    if let Some(address) = server.spalloc_address() {
        println!("spalloc: listening on {address}");
    }
    if let Some(address) = server.stand_address() {
        println!("stand: listening on {address}");
    }
    if let Some(address) = server.web_address() {
        println!("web: listening on http://{address}/");
    }
}

/// Takes the place of this process with a fresh one of the same program and arguments, which finds all doors still open;
/// returns only if that fails.
fn restart(listeners: &Listeners) -> String {
    let program = match std::env::current_exe() {
        Ok(program) => replaced(program),
        Err(error) => return format!("the program cannot be found again: {error}"),
    };
    let mut next = std::process::Command::new(&program);
    next.args(std::env::args_os().skip(1));
    match listeners.hand_on(&mut next) {
        // The sockets stay open until the other program has them.
        Ok(_handed) => format!("{} cannot be started again: {}", program.display(), next.exec()),
        Err(error) => format!("the sockets of the doors cannot be handed on: {error}"),
    }
}

/// Where a program is found whose file was replaced while it ran: the system says that the old one is deleted.
fn replaced(program: PathBuf) -> PathBuf {
    let now = program.to_str().and_then(|path| path.strip_suffix(" (deleted)"));
    now.map(PathBuf::from).filter(|now| now.exists()).unwrap_or(program)
}

/// What signals do to a server: SIGTERM and SIGINT end it, a second one at once; SIGHUP has it read its configuration again.
#[derive(Default)]
struct SignalsHeard {
    /// The server, once it is open.
    server: OnceLock<ServerHandle>,
    /// Whether one of them has ended it.
    ending: AtomicBool,
}

impl SignalsHeard {
    /// Hears signals from now on.
    fn watch(heard: &Arc<SignalsHeard>) -> std::io::Result<()> {
        let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP])?;
        let heard = heard.clone();
        let watch = move || signals.forever().for_each(|signal| heard.handle_signal(signal));
        std::thread::Builder::new().name("signals".into()).spawn(watch).map(drop)
    }

    fn handle_signal(self: &Arc<SignalsHeard>, signal: i32) {
        match self.server.get() {
            _ if signal == SIGHUP => self.reload(),
            Some(server) if !self.ending.swap(true, Ordering::AcqRel) => server.end(End::Quit),
            // What was answered is kept already, and before the doors are open nothing was.
            _ => std::process::exit(128 + signal),
        }
    }

    /// On a thread of its own: it may take long, or have to wait for the server to open, and an end must be heard meanwhile.
    fn reload(self: &Arc<SignalsHeard>) {
        let heard = self.clone();
        let reload = move || {
            if let Err(why) = task::block_on(heard.server.wait().reload()) {
                tracing::error!("the configuration was refused and the old one stays in force: {why}");
            }
        };
        if let Err(error) = std::thread::Builder::new().name("reload".into()).spawn(reload) {
            tracing::error!(%error, "the configuration was not read again");
        }
    }
}

/// Every connection is an open file: as many are asked of the system, beside a few of our own. Tells how many it allows.
pub(super) fn raise_open_files(connections_max: usize) -> OpenFiles {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let wanted = connections_max as u64 + OWN_FILES;
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let allowed = maximum.map_or(wanted, |maximum| wanted.min(maximum));
    let raised = current.is_none_or(|current| current >= allowed)
        || setrlimit(Resource::Nofile, Rlimit { current: Some(allowed), maximum }).is_ok();
    let allowed = if raised { allowed } else { current.unwrap_or(allowed) };
    OpenFiles { wanted, allowed }
}

/// How many open files there may be.
pub(super) struct OpenFiles {
    /// So many are needed for all connections.
    pub wanted: u64,
    /// So many the system allows of these.
    pub allowed: u64,
}

impl OpenFiles {
    /// Whether there may be enough.
    pub fn suffice(&self) -> bool {
        self.allowed >= self.wanted
    }
}

/// The log's filter, to be changed while running.
struct Filter {
    handle: Handle<EnvFilter, Registry>,
}

impl LogLevel for Filter {
    fn level(&self) -> String {
        self.handle.with_current(|filter| filter.to_string()).unwrap_or_default()
    }

    fn set_level(&self, level: &str) -> Result<(), String> {
        let known = LEVELS.contains(&level).then(|| EnvFilter::new(level));
        let filter =
            known.ok_or_else(|| format!("'{level}' is no level; there are {}", LEVELS.join(", ")))?;
        self.handle.reload(filter).map_err(|error| error.to_string())
    }
}

/// Starts the log on standard error, for people or for programs as the configuration says.
fn start_log(config: &Config) -> Result<Arc<dyn LogLevel>, String> {
    let (filter, handle) = reload::Layer::new(EnvFilter::new(&config.log.level));
    let registry = tracing_subscriber::registry().with(filter);
    let started = match config.log.format {
        config::LogFormat::Json => registry.with(fmt::layer().json().with_writer(std::io::stderr)).try_init(),
        config::LogFormat::Text => {
            let colour = std::io::IsTerminal::is_terminal(&std::io::stderr())
                && std::env::var_os("NO_COLOR").is_none();
            registry.with(fmt::layer().with_ansi(colour).with_writer(std::io::stderr)).try_init()
        }
    };
    started.map_err(|error| error.to_string())?;
    Ok(Arc::new(Filter { handle }))
}

/// What came of a wish to a server that does not run.
pub enum Offline {
    /// It was granted and kept.
    Done,
    /// A server runs on the data: it must be asked instead.
    Running,
}

/// Carries out a command on the data of a server that does not run.
pub fn act_offline(config: &Config, command: &Command) -> Result<Offline, String> {
    let mut journal = match EmbeddedJournal::open(&config.data_dir) {
        Ok(journal) => journal,
        Err(JournalError::Locked(_)) => return Ok(Offline::Running),
        Err(error) => return Err(error.to_string()),
    };
    let lab = replayed(&mut journal, config)?;
    let facts = lab.decide(Clock::system().now(), &Caller::server(), command);
    let facts = facts.map_err(|refusal| refusal.fault().to_string())?;
    journal.append(&facts).map_err(|error| error.to_string())?;
    Ok(Offline::Done)
}

/// What is known of a server that does not run; none when it does.
pub fn see_offline<T>(config: &Config, look: impl FnOnce(&Lab) -> T) -> Result<Option<T>, String> {
    match EmbeddedJournal::open(&config.data_dir) {
        Ok(mut journal) => replayed(&mut journal, config).map(|lab| Some(look(&lab))),
        Err(JournalError::Locked(_)) => Ok(None),
        Err(error) => Err(error.to_string()),
    }
}

fn replayed(journal: &mut EmbeddedJournal, config: &Config) -> Result<Lab, String> {
    let mut lab = Lab::new(config.lab_options());
    replay_into(journal, &mut lab, &mut |_| {}).map_err(|error| error.to_string())?;
    Ok(lab)
}
