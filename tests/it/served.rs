//! The real `berth serve` on data of its own: started, killed, ended, started again; and a disk under it that fails
//! when it is told to.

use crate::program::{Running, command};
use berth::client::Client;
use berth::journal::{EmbeddedJournal, Journal, JournalError, JournalReader};
use berth::lab::fact::Fact;
use berth::server::LocalAccess;
use rustix::process::Signal;
use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How long an answer may take: far longer than it does, so that only a fault reaches it.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// The status of a process that SIGKILL ended, as a shell has it.
pub const KILLED: i32 = 128 + 9;

/// The status of a server that could not serve, or not any more.
pub const NOT_AVAILABLE: i32 = 4;

/// Everything the journal of a stopped server holds.
pub fn facts_of(data: &Path) -> Result<Vec<Fact>, JournalError> {
    // A start first, which puts the log in order and hears what it has to.
    EmbeddedJournal::open(data)?.replay(&mut |_| Ok(()))?;
    let (mut facts, journal) = (Vec::new(), JournalReader::open(data)?);
    journal.scan(journal.first(), journal.last(), &mut |entry| {
        facts.push(entry.fact()?);
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(facts)
}

/// A place for a server: its configuration, its data, and the orders of its disk. Gone when dropped, unless a
/// failing test wants it looked at.
pub struct Place {
    root: PathBuf,
}

impl Place {
    /// An empty one with this configuration.
    pub fn new(config: &str) -> Place {
        Place::below(&std::env::temp_dir(), config).expect("a new directory")
    }

    /// The same in memory if the system has room there: for many that are read once, and need no real disk.
    pub fn in_memory(config: &str) -> Place {
        Place::below(Path::new("/dev/shm"), config).unwrap_or_else(|_| Place::new(config))
    }

    fn below(folder: &Path, config: &str) -> std::io::Result<Place> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let root = folder.join(format!("berth-served-{}-{number}", std::process::id()));
        std::fs::create_dir(&root)?;
        let place = Place { root };
        std::fs::write(place.path("berth.toml"), config)?;
        Ok(place)
    }

    /// A file beside the data.
    pub fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// The data directory.
    pub fn data(&self) -> PathBuf {
        self.path("data")
    }

    /// The journal's file.
    pub fn journal(&self) -> PathBuf {
        self.data().join("journal.sqlite3")
    }

    /// The journal's write-ahead log.
    pub fn log(&self) -> PathBuf {
        self.data().join("journal.sqlite3-wal")
    }

    /// How the server is started here.
    pub fn serving(&self) -> Command {
        let mut command = command(&["serve"]);
        command.arg("--config").arg(self.path("berth.toml")).arg("--data-dir").arg(self.data());
        command
    }

    /// How it is started on a disk that obeys `order_disk`.
    pub fn serving_on_faulty_disk(&self) -> Command {
        // What stands before the C library must know the directory from its beginning.
        std::fs::create_dir_all(self.data()).expect("a data directory");
        let mut command = self.serving();
        command.env("LD_PRELOAD", faulty_disk());
        command.env("DISK_FAULTS", self.path("disk")).env("DISK_FAULTS_DIR", self.data());
        command
    }

    /// Says what the disk does from now on; see `tests/faults/disk.rs`. Nothing is a disk that works.
    pub fn order_disk(&self, line: &str) {
        std::fs::remove_file(self.path("disk.made")).ok();
        std::fs::write(self.path("disk.new"), line).expect("orders");
        std::fs::rename(self.path("disk.new"), self.path("disk")).expect("orders");
    }

    /// The faults the disk has made since it was told.
    pub fn disk_made(&self) -> String {
        std::fs::read_to_string(self.path("disk.made")).unwrap_or_default()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("what the server left is in {}", self.root.display());
        } else {
            std::fs::remove_dir_all(&self.root).ok();
        }
    }
}

/// A server that listens; killed when dropped.
pub struct Served {
    pub running: Running,
    pub address: SocketAddr,
}

impl Served {
    /// Starts one and waits until it listens.
    pub fn start(command: &mut Command) -> Served {
        Served::start_or_end(command).unwrap_or_else(|status| panic!("it ended with {status}"))
    }

    /// Starts one that may end before it listens: then its status.
    pub fn start_or_end(command: &mut Command) -> Result<Served, i32> {
        let running = Running::spawn(command);
        while let Some(line) = running.line_or_end() {
            if let Some(address) = line.strip_prefix("native: listening on ") {
                let address = address.parse().expect("an address");
                return Ok(Served { running, address });
            }
        }
        // Shown when the test fails.
        print!("{}", running.errors());
        Err(running.ended())
    }

    /// Kills it as nothing can prevent.
    pub fn kill(self) {
        // It may have ended by itself.
        self.running.try_signal(Signal::KILL);
        assert_eq!(self.running.ended(), KILLED);
    }

    /// Asks it to end, which must go well.
    pub fn stop(self) {
        self.running.signal(Signal::TERM);
        assert_eq!(self.running.ended(), 0);
    }

    /// A connection that has not said anything.
    pub fn connect(&self) -> Client {
        Client::connect(&self.address.to_string(), PATIENCE).expect("a server that listens answers")
    }

    /// A connection under the session of whoever may read the data: an administrator's.
    pub fn master(&self, place: &Place) -> Client {
        let mut client = self.connect();
        client.join(&LocalAccess::read(&place.data()).expect("a file for those who may read it").session);
        client
    }
}

/// The library that stands before the C library, compiled once.
fn faulty_disk() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/faults/disk.rs");
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let (fresh, library) =
            (folder.join(format!("disk-{}.so", std::process::id())), folder.join("disk.so"));
        let status = Command::new(rustc())
            .args(["--edition", "2024", "--crate-type", "cdylib", "-C", "opt-level=1", "-o"])
            .args([&fresh, &source])
            .status()
            .expect("rustc is there where cargo is");
        assert!(status.success(), "{source:?} does not compile");
        std::fs::rename(&fresh, &library).expect("a library");
        library
    })
}

/// The compiler: the one that cargo was told of, or the one beside cargo, or the one in the path.
fn rustc() -> PathBuf {
    let named = std::env::var_os("RUSTC").map(PathBuf::from);
    let beside = || {
        let cargo = PathBuf::from(std::env::var_os("CARGO")?);
        Some(cargo.with_file_name("rustc")).filter(|rustc| rustc.exists())
    };
    named.or_else(beside).unwrap_or_else(|| "rustc".into())
}
