//! A whole house on a port of its own with simulated boards; gone when dropped. Its journal is in memory and
//! its clock moves when it is told to, so a house can be closed and opened again on what it kept.

use berth::clock::{Clock, Moment};
use berth::config::Config;
use berth::journal::MemoryJournal;
use berth::server::{End, Listeners, LogLevel, Nobody, Server, ServerError, ServerHandle, Setup};
use serde_json::json;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::socket::Socket;

/// When all stories begin.
const BEGINNING: Moment = Moment(1_800_000_000_000);

/// A house that is opened again begins with a snapshot and has a few facts to hear after it.
const SNAPSHOT_FACTS: usize = 7;

/// A lab of one torus with a dead board and a dead link, and one pool.
pub const LAB: &str = r#"
name = "house"
[native]
listen = "127.0.0.1:0"
guests = "user"
[[machine]]
name = "m"
shape = "triads"
width = 4
height = 2
dead_boards = [[3, 1, 2]]
dead_links = [[0, 0, 0, 3]]
controller = "simulated"
[[machine]]
name = "devices"
shape = "pool"
count = 8
kinds = ["pulsecount", "variance"]
controller = "simulated"
"#;

pub struct House {
    pub address: SocketAddr,
    /// Where the spalloc door is, if it is open.
    pub spalloc: Option<SocketAddr>,
    /// Where the stand door is, if it is open.
    pub stand: Option<SocketAddr>,
    /// Where the web door is, if it is open.
    pub web: Option<SocketAddr>,
    pub clock: Clock,
    pub journal: MemoryJournal,
    pub handle: ServerHandle,
    pub admin_password: Option<String>,
    config: String,
    served: Option<JoinHandle<Result<End, ServerError>>>,
}

/// A log that nobody reads.
pub struct Quiet;

impl LogLevel for Quiet {
    fn level(&self) -> String {
        "info".to_owned()
    }
    fn set_level(&self, _level: &str) -> Result<(), String> {
        Ok(())
    }
}

impl House {
    /// A house with the usual lab.
    pub fn open() -> House {
        House::with(LAB)
    }

    /// A house with this configuration.
    pub fn with(config: &str) -> House {
        House::on(config, MemoryJournal::with_snapshots(SNAPSHOT_FACTS), Clock::moved(BEGINNING))
    }

    /// A house on what another one kept.
    pub fn on(config: &str, journal: MemoryJournal, clock: Clock) -> House {
        let checked =
            Config::load(Some(config), &[], &[]).unwrap_or_else(|complaints| panic!("{complaints:?}"));
        let secret = std::env::temp_dir().join(format!(
            "berth-{}-{:?}",
            std::process::id(),
            std::thread::current().id()
        ));
        let setup = Setup {
            config: checked,
            source: None,
            journal: Box::new(journal.clone()),
            clock: clock.clone(),
            log: Arc::new(Quiet),
            first_password: Some(secret.clone()),
            local_access: None,
            listeners: Arc::new(Listeners::default()),
            supervisor: Arc::new(Nobody),
        };
        let server = async_std::task::block_on(Server::open(setup)).expect("the house opens");
        std::fs::remove_file(secret).ok();
        let (address, handle) = (server.native_address().expect("a native door"), server.handle());
        let (spalloc, stand, web) = (server.spalloc_address(), server.stand_address(), server.web_address());
        let admin_password = server.first_password.clone();
        let served = std::thread::spawn(move || async_std::task::block_on(server.serve()));
        House {
            address,
            spalloc,
            stand,
            web,
            clock,
            journal,
            handle,
            admin_password,
            config: config.to_owned(),
            served: Some(served),
        }
    }

    /// The administrator's socket.
    pub fn admin(&self) -> Socket {
        Socket::user(
            self.address,
            "admin",
            self.admin_password.as_deref().expect("a house with a first user"),
        )
    }

    /// The users the transcripts speak of.
    pub fn with_known_users(self) -> House {
        let mut admin = self.admin();
        let call = json!({"fname": "create_user", "user": "alice", "role": "user", "password": "wonder"});
        assert_eq!(admin.call(call), Ok(json!(null)));
        let call = json!({"fname": "set_password", "user": "admin", "password": "s3cret"});
        assert_eq!(admin.call(call), Ok(json!(null)));
        self
    }

    /// Waits until the house has ended by itself, and says how.
    pub fn ended(&mut self) -> Result<End, ServerError> {
        self.served.take().expect("it ends once").join().expect("no panic")
    }

    /// Closes the house and opens it again on what it kept.
    pub fn reopen(self) -> House {
        let config = self.config.clone();
        self.reopen_on(&config)
    }

    /// The same, with another configuration.
    pub fn reopen_on(mut self, config: &str) -> House {
        self.close();
        let mut house = House::on(config, self.journal.clone(), self.clock.clone());
        house.admin_password = self.admin_password.clone();
        house
    }

    fn close(&mut self) {
        if let Some(served) = self.served.take() {
            self.handle.end(End::Quit);
            let ticking = Ticking::start(&self.clock, 20);
            served.join().expect("no panic").ok();
            drop(ticking);
        }
    }
}

/// A clock that goes on by itself, for what is bounded by time, until this is dropped.
pub struct Ticking(Option<(Sender<()>, JoinHandle<()>)>);

impl Ticking {
    /// Moves the clock by so many milliseconds each five milliseconds.
    pub fn start(clock: &Clock, ms: u64) -> Ticking {
        let (clock, (stop, stopped)) = (clock.clone(), channel::<()>());
        let tick = move || {
            while stopped.recv_timeout(Duration::from_millis(5)) == Err(RecvTimeoutError::Timeout) {
                clock.advance(ms);
            }
        };
        Ticking(Some((stop, std::thread::spawn(tick))))
    }
}

impl Drop for Ticking {
    fn drop(&mut self) {
        if let Some((stop, ticking)) = self.0.take() {
            drop(stop);
            ticking.join().expect("the clock ticks");
        }
    }
}

impl Drop for House {
    fn drop(&mut self) {
        self.close();
    }
}
