//! The sockets that doors listen on: handed to us by whoever started us, kept by ourselves over a restart, or bound here.
//!
//! Sockets are handed over as `sd_listen_fds(3)` has it: `LISTEN_PID` says to whom, `LISTEN_FDS` how many,
//! `LISTEN_FDNAMES` for which doors. A server that restarts hands its own on in the same way, so that they never close
//! and whoever connects meanwhile waits instead of being refused; as descriptors from 3 on may be in use,
//! `LISTEN_FDS_FIRST_FD` then says where they begin.
//!
//! A socket from outside opens its door whatever the configuration says: where to listen is then the starter's to say. One
//! that we bound ourselves is handed on as `native.own` and used again only while the configuration asks for its address.

use listenfd::ListenFd;
use rustix::io::{FdFlags, fcntl_dupfd_cloexec, fcntl_setfd};
use rustix::net::sockopt::socket_acceptconn;
use std::collections::BTreeMap;
use std::io::{Error, ErrorKind};
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The doors there are, as their sockets are named.
const DOORS: [&str; 4] = ["native", "spalloc", "stand", "web"];

/// The door of a socket without a name.
const DOOR_UNNAMED: &str = "native";

/// What follows the door's name where we bound the socket ourselves.
const OWN: &str = ".own";

/// The first descriptor that may be handed over; those before it are input, output and errors.
const FD_FIRST: RawFd = 3;

/// The last one that may be: more open files no system allows.
const FD_LAST: RawFd = 1 << 30;

/// How many sockets may be handed over.
const FDS_MAX: usize = 16;

/// How often free descriptors in a row are looked for.
const ROW_TRIES_MAX: usize = 1000;

/// Sockets by door: at first those that were handed over, in the end those of all open doors.
#[derive(Default)]
pub struct Listeners(Mutex<BTreeMap<&'static str, Held>>);

/// A socket that listens.
struct Held {
    listener: TcpListener,
    /// Whether we bound it ourselves, now or before a restart.
    own: bool,
}

impl Listeners {
    /// The sockets that were handed to this process. To be called once, before any thread is started and any file opened.
    pub fn inherited() -> Result<Listeners, String> {
        let Some(doors) = handed_doors(&|name| std::env::var(name).ok())? else {
            return Ok(Listeners::default());
        };
        let (mut passed, mut held) = (ListenFd::from_env(), BTreeMap::new());
        for (index, (door, own)) in doors.into_iter().enumerate() {
            let listener = taken(&mut passed, index)
                .map_err(|why| format!("the socket handed over for the door '{door}' is not used: {why}"))?;
            held.insert(door, Held { listener, own });
        }
        Ok(Listeners(Mutex::new(held)))
    }

    /// The socket of a door: the one handed over, or one bound where `listen` says; none for a closed door.
    pub fn open(&self, door: &'static str, listen: Option<&str>) -> Result<Option<TcpListener>, String> {
        let handed = self.held().remove(door);
        let handed = handed.filter(|held| !held.own || listen.is_some_and(|listen| held.is_at(listen)));
        let held = match (handed, listen) {
            (Some(held), _) => held,
            (None, Some(listen)) => {
                let listener =
                    TcpListener::bind(listen).map_err(|error| cannot_listen(door, listen, &error))?;
                Held { listener, own: true }
            }
            (None, None) => return Ok(None),
        };
        if !held.own {
            let used = held.listener.local_addr().map(|address| address.to_string()).unwrap_or_default();
            let configured = listen.unwrap_or("nowhere");
            tracing::info!(
                door,
                used,
                configured,
                "the socket that was handed over is used, not the configured address"
            );
        }
        let listener = held.listener.try_clone().map_err(|error| error.to_string())?;
        self.held().insert(door, held);
        Ok(Some(listener))
    }

    /// Lets go of all sockets: whoever connects from now on is refused.
    pub fn close(&self) {
        self.held().clear();
    }

    /// Hands all sockets on to a program that is to take the place of this one. They stay open for it as long as the answer
    /// is kept.
    pub fn hand_on(&self, program: &mut Command) -> std::io::Result<Vec<OwnedFd>> {
        let held = self.held();
        let row = in_a_row(&held.values().map(|held| &held.listener).collect::<Vec<_>>())?;
        for copy in &row {
            fcntl_setfd(copy, FdFlags::empty())?;
        }
        let name = |(door, held): (&&str, &Held)| format!("{door}{}", if held.own { OWN } else { "" });
        program
            .env("LISTEN_PID", std::process::id().to_string())
            .env("LISTEN_FDS", row.len().to_string())
            .env("LISTEN_FDNAMES", held.iter().map(name).collect::<Vec<_>>().join(":"))
            .env("LISTEN_FDS_FIRST_FD", row.first().map_or(FD_FIRST, AsRawFd::as_raw_fd).to_string());
        Ok(row)
    }

    /// The map stays whole between calls, so a panic elsewhere does no harm.
    fn held(&self) -> MutexGuard<'_, BTreeMap<&'static str, Held>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    /// Whether this is what binding to `listen` would have led to.
    fn is_at(&self, listen: &str) -> bool {
        let Ok(own) = self.listener.local_addr() else { return false };
        let same = |wanted: SocketAddr| {
            wanted.ip() == own.ip() && (wanted.port() == 0 || wanted.port() == own.port())
        };
        listen.to_socket_addrs().is_ok_and(|mut wanted| wanted.any(same))
    }
}

/// What the environment says was handed to this process: for each socket its door, and whether it is one of our own.
fn handed_doors(
    variable: &dyn Fn(&str) -> Option<String>,
) -> Result<Option<Vec<(&'static str, bool)>>, String> {
    if variable("LISTEN_PID") != Some(std::process::id().to_string()) {
        return Ok(None);
    }
    let count = variable("LISTEN_FDS").unwrap_or_default();
    let count: usize = match count.parse() {
        Ok(count) if count <= FDS_MAX => count,
        _ => return Err(format!("LISTEN_FDS is '{count}'; it must be a number up to {FDS_MAX}")),
    };
    let first = variable("LISTEN_FDS_FIRST_FD");
    if let Some(first) =
        first.filter(|first| !first.parse().is_ok_and(|fd| (FD_FIRST..FD_LAST).contains(&fd)))
    {
        return Err(format!("LISTEN_FDS_FIRST_FD is '{first}'; it must be a number from {FD_FIRST} on"));
    }
    let names = variable("LISTEN_FDNAMES").filter(|names| !names.is_empty());
    let names = names.unwrap_or_else(|| vec![""; count].join(":"));
    let names: Vec<_> = names.split(':').take(if count == 0 { 0 } else { usize::MAX }).collect();
    if names.len() != count {
        return Err(format!("LISTEN_FDS is {count}, but LISTEN_FDNAMES has {} names", names.len()));
    }
    let mut doors: Vec<(&'static str, bool)> = Vec::new();
    for name in names {
        let (door, own) = door_named(name, count)?;
        if doors.iter().any(|(other, _)| *other == door) {
            return Err(format!(
                "the door '{door}' was handed two sockets and takes one; [::]:port listens for IPv4 too"
            ));
        }
        doors.push((door, own));
    }
    Ok(Some(doors))
}

/// The door that a socket's name means. systemd calls a socket without a name after its unit.
fn door_named(name: &str, count: usize) -> Result<(&'static str, bool), String> {
    let (name, own) = name.strip_suffix(OWN).map_or((name, false), |door| (door, true));
    let unnamed = name.is_empty() || name == "unknown" || name.ends_with(".socket");
    let name = if unnamed && count == 1 { DOOR_UNNAMED } else { name };
    match DOORS.iter().find(|door| **door == name) {
        Some(door) => Ok((door, own)),
        None => Err(format!(
            "a socket was handed over for the door '{name}', which does not exist; FileDescriptorName= can be: {}",
            DOORS.join(", ")
        )),
    }
}

/// One of the sockets handed over, if it is what a door needs.
fn taken(passed: &mut ListenFd, index: usize) -> Result<TcpListener, String> {
    let listener = passed.take_tcp_listener(index).map_err(|error| error.to_string())?;
    let listener = listener.ok_or("it is not there")?;
    match socket_acceptconn(&listener) {
        Ok(true) => Ok(listener),
        _ => Err(format!("descriptor {} is not listening", listener.as_raw_fd())),
    }
}

/// Copies of sockets under numbers without a gap, as they have to be handed on.
fn in_a_row(listeners: &[&TcpListener]) -> std::io::Result<Vec<OwnedFd>> {
    let mut first = FD_FIRST;
    for _ in 0..ROW_TRIES_MAX {
        let mut row: Vec<OwnedFd> = Vec::with_capacity(listeners.len());
        for listener in listeners {
            let next = row.last().map_or(first, |last| last.as_raw_fd() + 1);
            row.push(fcntl_dupfd_cloexec(listener, next)?);
        }
        let numbers = || row.iter().map(AsRawFd::as_raw_fd);
        match numbers().zip(numbers().skip(1)).find(|(one, next)| one + 1 != *next) {
            None => return Ok(row),
            Some((_, behind_gap)) => first = behind_gap,
        }
    }
    Err(Error::new(ErrorKind::QuotaExceeded, "no descriptors in a row are free"))
}

/// Why a door did not open, and what to do about it.
fn cannot_listen(door: &str, listen: &str, error: &Error) -> String {
    let with = match door {
        "native" => "--listen".to_owned(),
        door => format!("BERTH_{}_LISTEN, or \"\" to keep the door closed", door.to_uppercase()),
    };
    let hint = match error.kind() {
        ErrorKind::AddrInUse => {
            format!("; another program listens there: end it, or choose another address with {with}")
        }
        ErrorKind::PermissionDenied => {
            format!("; ports below 1024 need a privilege: choose another with {with}")
        }
        _ => String::new(),
    };
    format!("{door}.listen = {listen}: {error}{hint}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is understood of these variables, with our own number in front.
    fn handed(fds: &str, names: Option<&str>) -> Result<Option<Vec<(&'static str, bool)>>, String> {
        handed_doors(&|name| match name {
            "LISTEN_PID" => Some(std::process::id().to_string()),
            "LISTEN_FDS" => Some(fds.to_owned()),
            "LISTEN_FDNAMES" => names.map(str::to_owned),
            _ => None,
        })
    }

    #[test]
    fn a_socket_is_for_the_door_it_names() {
        for (names, own) in [
            (Some("native"), false),
            (None, false),
            (Some(""), false),
            (Some("unknown"), false),
            (Some("berth.socket"), false),
            (Some("native.own"), true),
        ] {
            assert_eq!(handed("1", names), Ok(Some(vec![("native", own)])), "{names:?}");
        }
        assert_eq!(handed("0", None), Ok(Some(vec![])));
        assert_eq!(handed("0", Some("")), Ok(Some(vec![])));
    }

    #[test]
    fn what_was_handed_to_another_process_is_not_ours() {
        let other = |name: &str| (name == "LISTEN_PID").then(|| "1".to_owned());
        assert_eq!(handed_doors(&other), Ok(None));
        assert_eq!(handed_doors(&|_| None), Ok(None));
    }

    #[test]
    fn what_cannot_be_used_is_refused_by_name() {
        for (fds, names, part) in [
            ("", None, "LISTEN_FDS is ''"),
            ("17", None, "LISTEN_FDS is '17'"),
            ("-1", None, "LISTEN_FDS is '-1'"),
            ("1", Some("native:native"), "has 2 names"),
            ("2", Some("native"), "has 1 names"),
            ("2", Some("native:native"), "two sockets"),
            ("2", Some("native:native.own"), "two sockets"),
            ("1", Some("backdoor"), "'backdoor', which does not exist"),
            ("2", None, "'', which does not exist"),
            ("2", Some("native:berth.socket"), "'berth.socket', which does not exist"),
        ] {
            let why = handed(fds, names).expect_err("a refusal");
            assert!(why.contains(part), "{fds:?} {names:?}: {why}");
        }
    }

    #[test]
    fn what_we_bound_is_used_again_only_while_it_is_asked_for() {
        let bound = |port: u16| TcpListener::bind(("127.0.0.1", port)).expect("a port");
        let held = |own| {
            let listener = bound(0);
            let port = listener.local_addr().expect("an address").port();
            let held = BTreeMap::from([("native", Held { listener, own })]);
            (Listeners(Mutex::new(held)), port)
        };
        let port_of = |listeners: &Listeners, listen: Option<&str>| {
            let listener = listeners.open("native", listen).expect("a door")?;
            Some(listener.local_addr().expect("an address").port())
        };
        let (own, port) = held(true);
        assert_eq!(port_of(&own, Some("127.0.0.1:0")), Some(port));
        assert_eq!(port_of(&own, Some(&format!("127.0.0.1:{port}"))), Some(port));
        assert_ne!(port_of(&own, Some("0.0.0.0:0")), Some(port));
        let (own, _) = held(true);
        assert_eq!(port_of(&own, None), None);
        let (outside, port) = held(false);
        assert_eq!(port_of(&outside, None), Some(port));
        assert_eq!(port_of(&outside, Some("0.0.0.0:0")), Some(port));
    }

    #[test]
    fn descriptors_are_handed_on_without_a_gap() {
        let sockets: Vec<_> = (0..4).map(|_| TcpListener::bind("127.0.0.1:0").expect("a port")).collect();
        let row = in_a_row(&sockets.iter().collect::<Vec<_>>()).expect("a row");
        let first = row[0].as_raw_fd();
        let numbers: Vec<_> = row.iter().map(AsRawFd::as_raw_fd).collect();
        assert_eq!(numbers, (first..first + 4).collect::<Vec<_>>());
        assert!(in_a_row(&[]).expect("no row").is_empty());
    }
}
