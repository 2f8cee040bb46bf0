//! The shell: the only room that waits.
//!
//! # The life of a call
//!
//! 1. `listener::listen` accepts a socket, which `sockets` watches; `connection::Connection`, which `sockets` polls as well where
//!    one thread serves all, greets and reads into a buffer that all connections of its thread share.
//! 2. `wire::frame::Unframer::feed` inflates as bytes come (short messages that are whole at once, `wire::inflate`) and hands
//!    over one frame when the gzip stream has ended and `<EOF>` follows.
//! 3. `conversation::Conversation::handle` decodes the envelope (`wire::envelope`; `wire::scan` where it is plain), finds the session in the
//!    table of `session`, and reads the list of calls (`wire::call`).
//! 4. `service::plan` turns each call into a plan: something known at once, an ask of the lab, or something
//!    that takes time outside.
//! 5. A message that only reads is answered from the lab as last kept (`desk::Counter::see`), on the spot; lists that many
//!    ask for are written and deflated once (`lists`).
//! 6. Any other goes to the desk as one visit (`desk::Counter::visit`) and the connection goes on.
//! 7. `desk::Desk` takes all news that is ready to `rounds::Rounds::round`: `Lab::decide` makes facts of wishes,
//!    `Lab::apply` makes them true, `Lab::settle` adds what follows (grants, lapses), `Lab::react` lists what is to be
//!    done.
//! 8. `journal::Journal::append` keeps all facts of the round in one write.
//! 9. Only now: readers' lab and the table of sessions follow, `hardware` gets its orders, the
//!    visit is answered, and `herald` wakes watchers.
//! 10. The connection renders the answers (`service::write_answer`), frames them (`wire::encode`) and sends all
//!     it has to say in one write.
//!
//! At the spalloc door `spalloc_door` stands for 1 to 4 and 10: lines instead of frames, one name for all callers instead of
//! sessions, and all wishes of one read as one visit.
//!
//! At the stand door `stand_door` does the same; the burners that come by it are agents, and what they report reaches the desk as
//! that of any agent does.
//!
//! At the web door the room `http` stands for 1 and 10, and `web_door::talk` for the connection: messages come and go whole, over
//! channels, because they are carried by a runtime of another kind.
//!
//! The server lives from `Server::open` (replay, desk, `doors`) over `Server::serve` to an end that `house` counts out; its
//! `supervisor` is told of each step.
//!
//! Agents that bring boards come by a door to the hub of their machine (`agents`, `post`); what the lab must hear of them is
//! brought to the desk in the order in which it happened.
//!
//! The past of a job that the lab has forgotten is looked up in the journal by the thread of `archive`, beside the desk.
//! A controller's outcome comes back to the desk as news and goes through 7 to 9 like a call.
//!
//! Datagrams between holders and their boards (`tunnel`, `channel`) pass by the desk, which ends their way in 9, before any
//! order to the boards leaves (`channels`). What is known of boards and no fact is in `book`.
//!
//! What the journal can put off (`rounds::Rounds::tend`: snapshots, history that is too old) waits until nobody does.
//!
//! Read `house`, `rounds`, `desk`, `connection`, `conversation`, then the rest.

pub mod archive;
pub mod bell;
pub mod desk;
pub mod hasher;
pub mod herald;
pub mod house;
pub mod rounds;

mod agents;
mod book;
mod bucket;
mod changes;
mod channel;
mod channels;
mod connection;
mod conversation;
mod debts;
mod doors;
mod ear;
mod errand;
mod hardware;
mod listener;
mod lists;
mod local_access;
mod login;
mod pipe;
mod post;
mod quick;
mod reload;
mod signs;
mod sockets;
mod spalloc_door;
mod spare;
mod stand_door;
mod supervisor;
mod tally;
mod tunnel;
mod turns;
mod web_door;

pub use doors::Listeners;
pub use house::{ConfigSource, End, LogLevel};
pub use local_access::LocalAccess;
pub use supervisor::{Life, Nobody, Supervisor};

use crate::clock::Clock;
use crate::config::Config;
use crate::http::Web;
use crate::journal::{Journal, JournalError, replay_into};
use crate::lab::Lab;
use crate::lab::command::{Caller, Command};
use crate::lab::effect::Effect;
use crate::user::password::Password;
use crate::user::{Role, UserName};
use archive::Archive;
use async_io::Async;
use async_std::task;
use desk::{Counter, Desk, News};
use futures_util::future::{Either, select};
use hardware::Hardware;
use hasher::Hasher;
use herald::Herald;
use house::{House, Parts, Poke};
use listener::{Door, DoorKind};
use sockets::Sockets;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use web_door::WebDoor;

/// What a server is opened with.
pub struct Setup {
    /// The configuration.
    pub config: Config,
    /// How it is read again; none when it is built in.
    pub source: Option<ConfigSource>,
    /// Where facts are kept.
    pub journal: Box<dyn Journal>,
    /// Time.
    pub clock: Clock,
    /// The log.
    pub log: Arc<dyn LogLevel>,
    /// Where the password of the first administrator is written; none keeps it from being made.
    pub first_password: Option<PathBuf>,
    /// The data directory, in which `LocalAccess` is written; none for no such access.
    pub local_access: Option<PathBuf>,
    /// The sockets that were handed over, and in the end those of all open doors.
    pub listeners: Arc<Listeners>,
    /// Who is told how the server does.
    pub supervisor: Arc<dyn Supervisor>,
}

/// How many facts are replayed between two words about it.
const FACTS_TOLD: u64 = 100_000;

/// Processors for each thread that serves connections, unless the configuration says how many there are.
const PROCESSORS_PER_THREAD: usize = 4;

/// How many threads serve connections: so many as are configured, if that is not 0. They look for each other's work, so that
/// with several of them each message wakes one in vain: few are better until they have no time left.
pub fn serving_threads(configured: usize) -> usize {
    match configured {
        0 => std::thread::available_parallelism().map_or(1, usize::from).div_ceil(PROCESSORS_PER_THREAD),
        threads => threads,
    }
}

/// A server that listens.
pub struct Server {
    house: Arc<House>,
    /// Where each door is.
    addresses: [Option<SocketAddr>; DoorKind::ALL.len()],
    /// Those who serve behind the web door.
    web: Option<Web>,
    doors: Vec<task::JoinHandle<()>>,
    desk: std::thread::JoinHandle<Result<(), JournalError>>,
    /// The first administrator's password, when one was made just now.
    pub first_password: Option<String>,
    /// The file that lets those in who may read the data; gone with the server.
    local_access: Option<local_access::Granted>,
    /// The sockets of all open doors, held open until it is known how the server ends.
    listeners: Arc<Listeners>,
}

/// Why a server did not open, or did not end well.
#[derive(Debug)]
pub struct ServerError(pub String);

impl std::fmt::Display for ServerError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for ServerError {}

impl Server {
    /// Replays the journal, starts the desk and the controllers, and opens the doors.
    pub async fn open(mut setup: Setup) -> Result<Server, ServerError> {
        let (first_password, local_access) = (setup.first_password.take(), setup.local_access.take());
        let listeners = setup.listeners.clone();
        let (house, desk, resumed) = build(setup)?;
        let desk = start_desk(desk, &house)?;
        let mut server = Server {
            house,
            addresses: Default::default(),
            doors: Vec::new(),
            web: None,
            desk,
            first_password: None,
            local_access: None,
            listeners,
        };
        server.house.hardware.resume(resumed);
        server.configure().await?;
        server.first_password = server.make_first_user(first_password).await?;
        server.open_doors()?;
        server.local_access = server.grant_local_access(local_access);
        Ok(server)
    }

    /// The machines of the lab are those of the configuration.
    async fn configure(&self) -> Result<(), ServerError> {
        let config = self.house.config();
        let specs = config.machines.iter().map(|machine| machine.spec.clone()).collect();
        let done = self.house.counter.command(Caller::server(), Command::Configure(specs)).await;
        done.map(drop).map_err(|fault| ServerError(fault.msg))
    }

    /// Lets in whoever may read the data anyway, if there is a door for them.
    fn grant_local_access(&self, data_dir: Option<PathBuf>) -> Option<local_access::Granted> {
        let (data_dir, address) = (data_dir?, self.native_address()?);
        // Without it commands on this host must log in; that is no reason to close the doors to everybody.
        LocalAccess::open(&self.house, &data_dir, address)
            .inspect_err(
                |error| tracing::warn!(%error, "no access for those who may read the data directory"),
            )
            .ok()
    }

    /// A lab without an administrator gets one, with a password nobody could guess.
    async fn make_first_user(&self, file: Option<PathBuf>) -> Result<Option<String>, ServerError> {
        let Some(file) = file else { return Ok(None) };
        if self.house.counter.see(|lab| lab.has_admin()) {
            return Ok(None);
        }
        let text = uuid::Uuid::new_v4().simple().to_string();
        write_secret(&file, &text).map_err(|error| ServerError(format!("{}: {error}", file.display())))?;
        let user = UserName::parse("admin").map_err(|error| ServerError(error.to_string()))?;
        let password = Password::new(text.clone()).map_err(|error| ServerError(error.to_string()))?;
        let phc = self
            .house
            .hasher
            .hash(password)
            .await
            .map_err(|_| ServerError("passwords cannot be hashed".to_owned()))?;
        let command = Command::CreateUser { user, role: Role::Admin, phc };
        self.house
            .counter
            .command(Caller::server(), command)
            .await
            .map_err(|fault| ServerError(fault.msg))?;
        Ok(Some(text))
    }

    /// Opens all doors, or none.
    fn open_doors(&mut self) -> Result<(), ServerError> {
        let config = self.house.config();
        let mut open = Vec::new();
        let listens =
            [&config.native.listen, &config.spalloc.listen, &config.stand.listen, &config.web.listen];
        for (kind, listen) in DoorKind::ALL.into_iter().zip(listens) {
            let listener = self.listeners.open(kind.word(), listen.as_deref()).map_err(ServerError)?;
            let Some(listener) = listener else { continue };
            self.addresses[kind as usize] = listener.local_addr().ok();
            open.push((kind, Async::new(listener).map_err(|error| ServerError(error.to_string()))?));
        }
        let address = |kind: &DoorKind| Some((kind.word(), self.addresses[*kind as usize]?.to_string()));
        self.house.opened_at(DoorKind::ALL.iter().filter_map(address).collect());
        if let Some(address) = self.stand_address() {
            // What is kept is found before anybody comes in.
            stand_door::open(&self.house, address).map_err(ServerError)?;
        }
        for (kind, listener) in open {
            let door = self.door(kind)?;
            self.doors.push(task::spawn(listener::listen(self.house.clone(), door, listener)));
        }
        Ok(())
    }

    /// A door, with those who serve behind it.
    fn door(&mut self, kind: DoorKind) -> Result<Door, ServerError> {
        Ok(match kind {
            DoorKind::Native => Door::Native,
            DoorKind::Spalloc => Door::Spalloc,
            DoorKind::Stand => Door::Stand,
            DoorKind::Web => {
                let web = Web::open(Arc::new(WebDoor::new(self.house.clone())));
                let web =
                    web.map_err(|error| ServerError(format!("the web door does not start: {error}")))?;
                Door::Web(self.web.insert(web).entrance())
            }
        })
    }

    /// Where the native door is.
    pub fn native_address(&self) -> Option<SocketAddr> {
        self.addresses[DoorKind::Native as usize]
    }

    /// Where the spalloc door is.
    pub fn spalloc_address(&self) -> Option<SocketAddr> {
        self.addresses[DoorKind::Spalloc as usize]
    }

    /// Where the stand door is.
    pub fn stand_address(&self) -> Option<SocketAddr> {
        self.addresses[DoorKind::Stand as usize]
    }

    /// Where the web door is.
    pub fn web_address(&self) -> Option<SocketAddr> {
        self.addresses[DoorKind::Web as usize]
    }

    /// The shared state, for those who stop or reload the server from outside.
    pub fn handle(&self) -> ServerHandle {
        ServerHandle(self.house.clone())
    }

    /// Waits until everybody has left, within a bound.
    async fn empty(&self) {
        let until = self.house.clock.now().plus_ms(self.house.config().limits.stop_ms);
        let empty = async {
            while self.house.connections() > 0 {
                self.house.emptied.heard().await;
            }
        };
        if let Either::Right(_) = select(pin!(empty), pin!(self.house.clock.sleep_until(until))).await {
            tracing::warn!(left = self.house.connections(), "connections were cut off at the end");
        }
    }

    /// Serves until somebody ends it; then says good-bye to everybody within a bound, and tells how it ended.
    pub async fn serve(self) -> Result<End, ServerError> {
        self.house.supervisor.tell(&Life::Serving(self.house.listen().clone()));
        let pulse = task::spawn(supervisor::pulse(self.house.clone()));
        self.house.closing().await;
        if self.house.end() != Some(End::Restart) {
            self.listeners.close();
        }
        self.house.poke_all(Poke::Close, None);
        self.web.iter().for_each(Web::close);
        self.empty().await;
        for door in self.doors {
            door.await;
        }
        drop(self.web);
        let end = self.house.end().unwrap_or(End::Quit);
        pulse.cancel().await;
        self.house.counter.tell(News::Stop);
        let kept =
            self.desk.join().map_err(|_| ServerError("the desk panicked; the log says why".to_owned()))?;
        self.house.hardware.close();
        kept.map(|()| end).map_err(|error| ServerError(error.to_string()))
    }
}

/// What a server is made of: the house, the desk that is not at work yet, and the orders to hardware that were under way.
fn build(setup: Setup) -> Result<(Arc<House>, Desk, Vec<Effect>), ServerError> {
    let Setup { config, source, mut journal, clock, log, supervisor, .. } = setup;
    let mut lab = replayed(journal.as_mut(), &config, supervisor.as_ref())?;
    let resumed = lab.resume(clock.now());
    let watches_max = config.limits.watches_max;
    let herald = Herald::new(crate::notice::Limits { watches_max, ..crate::notice::Limits::DEFAULT });
    let (counter, heard) = Counter::new(lab.clone(), herald, clock.now());
    let counter = Arc::new(counter);
    let hardware = Hardware::new(clock.clone(), counter.clone());
    hardware.configure(&config.machines);
    let failed = |error: std::io::Error| ServerError(error.to_string());
    let hasher = Hasher::open(config.limits.logins_waiting_max).map_err(failed)?;
    let archive = journal.history().map(|history| Archive::open(history, config.limits.history_waiting_max));
    let archive = archive.transpose().map_err(failed)?;
    let desk = Desk::new(lab, counter.clone(), heard, journal, hardware.clone(), clock.clone());
    let sockets = Sockets::open(serving_threads(config.limits.threads)).map_err(failed)?;
    let parts = Parts { clock, counter, hardware, sockets, hasher, archive, config, source, log, supervisor };
    Ok((Arc::new(House::new(parts)), desk, resumed))
}

/// A hold on a server, to end it or to have it read its configuration again.
#[derive(Clone)]
pub struct ServerHandle(Arc<House>);

impl ServerHandle {
    /// Ends the server; clients are told by the command that does it.
    pub fn end(&self, end: End) {
        let command = match end {
            End::Quit => crate::wire::envelope::Command::ServerQuit,
            End::Restart => crate::wire::envelope::Command::ServerRestart,
        };
        self.0.poke_all(Poke::Command(command), None);
        self.0.begin_end(end);
    }

    /// Reads the configuration again: wholly or not at all. Answers what changed, in sentences.
    pub async fn reload(&self) -> Result<Vec<String>, String> {
        reload::reload(&self.0).await.map_err(|fault| fault.msg)
    }
}

/// The lab as the journal has it.
fn replayed(
    journal: &mut dyn Journal,
    config: &Config,
    supervisor: &dyn Supervisor,
) -> Result<Lab, ServerError> {
    let mut lab = Lab::new(config.lab_options());
    let taken = replay_into(journal, &mut lab, &mut |facts| {
        if facts % FACTS_TOLD == 0 {
            supervisor.tell(&Life::Replaying(facts));
        }
    });
    taken.map(|()| lab).map_err(|error| ServerError(error.to_string()))
}

fn start_desk(
    desk: Desk,
    house: &Arc<House>,
) -> Result<std::thread::JoinHandle<Result<(), JournalError>>, ServerError> {
    let house = house.clone();
    let run = move || {
        // Also when the desk panics the house must close, or everybody would wait for ever.
        let closes = Closes(house);
        let kept = desk.run();
        drop(closes);
        kept
    };
    std::thread::Builder::new().name("desk".into()).spawn(run).map_err(|error| ServerError(error.to_string()))
}

/// Closes the house when the desk is gone, however it went.
struct Closes(Arc<House>);

impl Drop for Closes {
    fn drop(&mut self) {
        if self.0.end().is_none() {
            self.0.begin_end(End::Quit);
        }
    }
}

/// Writes a secret that only its owner may read.
fn write_secret(file: &std::path::Path, secret: &str) -> std::io::Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    if let Some(parent) = file.parent() {
        std::fs::create_dir_all(parent)?;
    }
    // One that is there already would keep its mode, and lead elsewhere if it is a link.
    match std::fs::remove_file(file) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut made = std::fs::OpenOptions::new().create_new(true).write(true).mode(0o600).open(file)?;
    writeln!(made, "{secret}")?;
    // What it is the secret of may be kept next, and must not outlive it.
    made.sync_all()?;
    let parent = file.parent().filter(|parent| !parent.as_os_str().is_empty());
    std::fs::File::open(parent.unwrap_or(std::path::Path::new(".")))?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_secret_is_for_its_owner_whatever_was_there_before() {
        let file = std::env::temp_dir().join(format!("berth-secret-{}", std::process::id()));
        std::fs::write(&file, "open to all").expect("a file");
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).expect("a mode");
        write_secret(&file, "s3cret").expect("a secret");
        let mode = std::fs::metadata(&file).expect("a file").permissions().mode();
        let text = std::fs::read_to_string(&file).expect("a text");
        std::fs::remove_file(&file).expect("it is ours");
        assert_eq!((mode & 0o777, text.as_str()), (0o600, "s3cret\n"));
    }
}
