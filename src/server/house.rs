//! What every connection shares: the configuration in force, the counter of the desk, who is connected, and
//! whether the house is closing.

use super::archive::Archive;
use super::bell::Bell;
use super::desk::Counter;
use super::hardware::Hardware;
use super::hasher::Hasher;
use super::listener::DoorKind;
use super::lists::Lists;
use super::sockets::Sockets;
use super::spalloc_door::Lists as SpallocLists;
use super::stand_door::Stand;
use super::supervisor::{Life, Supervisor};
use crate::clock::{Clock, Moment};
use crate::config::Config;
use crate::controller::agent::Hub;
use crate::error::{Code, Fault};
use crate::lab::ask::Ask;
use crate::lab::command::Caller;
use crate::lab::fact::MachineName;
use crate::lab::view::Query;
use crate::service::about::{CORE_VERSION, DATA_VERSION};
use crate::user::lockout::{self, Lockout};
use crate::wire::envelope::Command;
use crate::wire::frame::FrameLimits;
use crate::wire::handshake::{CAPABILITIES, Greeting, PROTOCOL, Versions};
use async_channel::{Receiver, Sender};
use dashmap::DashMap;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};

/// What a connection is told from outside.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Poke {
    /// Pass this command on to the peer, and close.
    Command(Command),
    /// Close.
    Close,
}

/// How the house is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// For good.
    Quit,
    /// To be started again.
    Restart,
}

/// See above.
pub struct House {
    /// Time.
    pub clock: Clock,
    /// Where the desk is met.
    pub counter: Arc<Counter>,
    /// The boards.
    pub hardware: Arc<Hardware>,
    /// The sockets of all connections that are served here.
    pub sockets: Sockets,
    /// Who checks passwords.
    pub hasher: Hasher,
    /// Where forgotten pasts are looked up, if the journal can tell them.
    pub archive: Option<Archive>,
    /// Who has to wait after wrong ones.
    pub lockout: Mutex<Lockout>,
    /// When the house was opened.
    pub opened: Moment,
    /// How the level of the log is read and set.
    pub log: Arc<dyn LogLevel>,
    /// Who is told how the house does.
    pub supervisor: Arc<dyn Supervisor>,
    config: RwLock<Arc<Config>>,
    /// Where the configuration came from, to be read again.
    source: Option<ConfigSource>,
    /// Held while the configuration is read again.
    pub(super) reloading: async_std::sync::Mutex<()>,
    peers: DashMap<u64, Peer>,
    per_address: DashMap<IpAddr, usize>,
    connections: AtomicUsize,
    per_door: [AtomicUsize; DoorKind::ALL.len()],
    next_number: AtomicU64,
    listen: OnceLock<BTreeMap<&'static str, String>>,
    end: Mutex<Option<End>>,
    closing: (Sender<()>, Receiver<()>),
    /// Lists that many ask for.
    pub lists: Lists,
    /// The same at the spalloc door.
    pub spalloc_lists: SpallocLists,
    /// Who came by the stand door, and what is known of images.
    pub stand: Stand,
    /// Rung whenever a connection leaves.
    pub emptied: Bell,
}

/// How the configuration is read again.
pub type ConfigSource = Box<dyn Fn() -> Result<Config, String> + Send + Sync>;

/// The level of the log, to be read and set while running.
pub trait LogLevel: Send + Sync {
    /// The level in force.
    fn level(&self) -> String;
    /// Sets another one; an error says what is allowed.
    fn set_level(&self, level: &str) -> Result<(), String>;
}

/// A connection as others see it.
struct Peer {
    bell: Arc<Bell>,
    pokes: Vec<Poke>,
}

/// What a house is made of.
pub struct Parts {
    /// Time.
    pub clock: Clock,
    /// Where the desk is met.
    pub counter: Arc<Counter>,
    /// The boards.
    pub hardware: Arc<Hardware>,
    /// The sockets of all connections that are served here.
    pub sockets: Sockets,
    /// Who checks passwords.
    pub hasher: Hasher,
    /// Where forgotten pasts are looked up.
    pub archive: Option<Archive>,
    /// The configuration.
    pub config: Config,
    /// Where it came from.
    pub source: Option<ConfigSource>,
    /// The log.
    pub log: Arc<dyn LogLevel>,
    /// Who is told how the house does.
    pub supervisor: Arc<dyn Supervisor>,
}

impl House {
    /// A house nobody has entered.
    pub fn new(parts: Parts) -> House {
        House {
            opened: parts.clock.now(),
            clock: parts.clock,
            counter: parts.counter,
            hardware: parts.hardware,
            sockets: parts.sockets,
            hasher: parts.hasher,
            archive: parts.archive,
            lockout: Mutex::new(Lockout::new(lockout::Limits::DEFAULT)),
            log: parts.log,
            supervisor: parts.supervisor,
            config: RwLock::new(Arc::new(parts.config)),
            source: parts.source,
            reloading: async_std::sync::Mutex::new(()),
            peers: DashMap::new(),
            per_address: DashMap::new(),
            connections: AtomicUsize::new(0),
            per_door: Default::default(),
            next_number: AtomicU64::new(1),
            listen: OnceLock::new(),
            end: Mutex::new(None),
            closing: async_channel::bounded(1),
            lists: Lists::default(),
            spalloc_lists: SpallocLists::default(),
            stand: Stand::default(),
            emptied: Bell::default(),
        }
    }

    /// The configuration in force.
    pub fn config(&self) -> Arc<Config> {
        self.config.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Puts another configuration in force.
    pub fn set_config(&self, config: Config) {
        *self.config.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(config);
    }

    /// Reads the configuration again from where it came.
    pub fn read_config(&self) -> Result<Config, String> {
        match &self.source {
            Some(read) => read(),
            None => Err("the server runs on its built-in configuration".to_owned()),
        }
    }

    /// What a frame may cost.
    pub fn frame_limits(&self) -> FrameLimits {
        let limits = &self.config().limits;
        FrameLimits {
            frame_bytes_max: limits.frame_bytes_max,
            body_bytes_max: limits.body_bytes_max,
            members_max: limits.members_max,
        }
    }

    /// What every client is told first.
    pub fn greeting(&self) -> Greeting {
        let config = self.config();
        let limits = &config.limits;
        Greeting {
            version: versions(),
            guest_allowed: config.native.guests.is_some(),
            protocol: PROTOCOL,
            capabilities: CAPABILITIES.to_vec(),
            limits: BTreeMap::from([
                ("frame_bytes_max", limits.frame_bytes_max as u64),
                ("body_bytes_max", limits.body_bytes_max as u64),
                ("members_max", limits.members_max as u64),
                ("calls_max", limits.calls_max as u64),
                ("json_depth_max", limits.json_depth_max as u64),
                ("in_flight_max", limits.in_flight_max as u64),
            ]),
        }
    }

    /// Says which doors are open, once.
    pub fn opened_at(&self, listen: BTreeMap<&'static str, String>) {
        // A second time changes nothing: doors do not move.
        let _ = self.listen.set(listen);
    }

    /// The doors that are open, and where each listens.
    pub fn listen(&self) -> &BTreeMap<&'static str, String> {
        static CLOSED: BTreeMap<&'static str, String> = BTreeMap::new();
        self.listen.get().unwrap_or(&CLOSED)
    }

    /// Where the agents of a machine come, if agents have its boards.
    pub fn agents(&self, machine: &str) -> Option<Arc<Hub>> {
        self.hardware.agents(machine)
    }

    /// The same for all machines that have such a place, by name.
    pub fn all_agents(&self) -> Vec<(MachineName, Arc<Hub>)> {
        self.hardware.all_agents()
    }

    /// Counts a connection in; an error says which limit it is over.
    pub fn admit(&self, door: DoorKind, address: IpAddr) -> Result<u64, Fault> {
        let limits = &self.config().limits;
        let count = self.connections.fetch_add(1, Ordering::AcqRel) + 1;
        self.at(door).fetch_add(1, Ordering::AcqRel);
        let mut own = self.per_address.entry(address).or_insert(0);
        *own += 1;
        let code = match () {
            _ if count > limits.connections_max => Code::TOO_MANY_CONNECTIONS,
            _ if *own > limits.connections_per_address_max => Code::TOO_MANY_FROM_ADDRESS,
            _ => return Ok(self.number()),
        };
        Err(Fault::new(code, code.row().meaning))
    }

    /// A number for another connection.
    pub fn number(&self) -> u64 {
        self.next_number.fetch_add(1, Ordering::Relaxed)
    }

    /// A connection that was counted in gets its bell.
    pub fn enter(&self, number: u64) -> Arc<Bell> {
        let bell = Arc::new(Bell::default());
        self.peers.insert(number, Peer { bell: bell.clone(), pokes: Vec::new() });
        bell
    }

    /// A connection is gone.
    pub fn leave(&self, door: DoorKind, number: u64, address: IpAddr) {
        self.part(number);
        self.at(door).fetch_sub(1, Ordering::AcqRel);
        self.per_address.entry(address).and_modify(|count| *count -= 1);
        self.per_address.remove_if(&address, |_, count| *count == 0);
        self.connections.fetch_sub(1, Ordering::AcqRel);
        self.emptied.ring();
    }

    /// Nobody listens to this bell any more.
    pub fn part(&self, number: u64) {
        self.peers.remove(&number);
    }

    /// How many came by this door.
    pub fn connections_of(&self, door: DoorKind) -> usize {
        self.at(door).load(Ordering::Acquire)
    }

    fn at(&self, door: DoorKind) -> &AtomicUsize {
        &self.per_door[door as usize]
    }

    /// How many are connected.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Acquire)
    }

    /// What others want of a connection.
    pub fn pokes_of(&self, number: u64) -> Vec<Poke> {
        self.peers.get_mut(&number).map_or_else(Vec::new, |mut peer| std::mem::take(&mut peer.pokes))
    }

    /// Tells all connections something, but for one.
    pub fn poke_all(&self, poke: Poke, but: Option<u64>) {
        for mut peer in self.peers.iter_mut() {
            if Some(*peer.key()) != but {
                peer.pokes.push(poke);
                peer.bell.ring();
            }
        }
    }

    /// Begins to close: who waits is told, nobody new comes in. The first wish counts, but that an end for good
    /// overrules a restart.
    pub fn begin_end(&self, end: End) {
        let mut wish = self.end.lock().unwrap_or_else(PoisonError::into_inner);
        if *wish == Some(end) || *wish == Some(End::Quit) {
            return;
        }
        *wish = Some(end);
        self.supervisor.tell(&Life::Ending(end));
        self.closing.0.close();
    }

    /// Tells the supervisor something that is of no use once the house closes.
    pub fn tell_serving(&self, life: Life) {
        self.unless_ending(|| self.supervisor.tell(&life));
    }

    /// Does something quick, unless the house closes; it does not begin to close meanwhile.
    pub fn unless_ending<T>(&self, act: impl FnOnce() -> T) -> Option<T> {
        let wish = self.end.lock().unwrap_or_else(PoisonError::into_inner);
        wish.is_none().then(act)
    }

    /// How the house is to end, once that is known.
    pub fn end(&self) -> Option<End> {
        *self.end.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why the house does not serve as it should; nothing when it does.
    pub async fn reasons_not_ready(&self) -> Vec<String> {
        if self.end().is_some() {
            return vec!["the server is shutting down".to_owned()];
        }
        let asked = vec![Ask::Query(Query::Status)];
        let mut reasons = Vec::new();
        if let Some(Err(fault)) = self.counter.visit(Caller::server(), asked).await.pop() {
            reasons.push(fault.msg);
        }
        if !self.counter.could_write(self.clock.now()) {
            reasons.push("the journal has no room; changes are refused".to_owned());
        }
        reasons
    }

    /// Returns when the house begins to close.
    pub async fn closing(&self) {
        // Nothing is ever sent; the channel only closes.
        let _ = self.closing.1.recv().await;
    }
}

/// The versions every client is told.
pub fn versions() -> Versions {
    Versions { core: CORE_VERSION, db: DATA_VERSION, torrent: [0, 0, 0] }
}
