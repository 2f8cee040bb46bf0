//! The way to tell systemd, or whatever else set `NOTIFY_SOCKET`, how the server does: datagrams as `sd_notify(3)` has them.
//!
//! One socket for the life of the process, so that a server without a free descriptor can still be heard.

use crate::server::{End, Life, Supervisor};
use rustix::time::{ClockId, clock_gettime};
use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// How long a word to a supervisor that does not listen may take.
const TELL_S_MAX: u64 = 1;

/// How much longer a start may take after each piece of the journal: a hundred times what a piece takes.
const REPLAY_USEC_MORE: u64 = 30_000_000;

/// A supervisor behind a socket.
pub struct NotifySocket {
    socket: UnixDatagram,
    address: SocketAddr,
    /// How often it wants to hear of us.
    pulse_ms: Option<u64>,
}

impl NotifySocket {
    /// The supervisor that the environment names; none when there is none.
    pub fn from_environment() -> io::Result<Option<NotifySocket>> {
        let Some(name) = std::env::var_os("NOTIFY_SOCKET").filter(|name| !name.is_empty()) else {
            return Ok(None);
        };
        let socket = UnixDatagram::unbound()?;
        socket.set_write_timeout(Some(Duration::from_secs(TELL_S_MAX)))?;
        let number = |name| std::env::var(name).ok()?.parse().ok();
        let pulse_ms = pulse_ms(number("WATCHDOG_USEC"), number("WATCHDOG_PID"));
        Ok(Some(NotifySocket { socket, address: address_of(&name)?, pulse_ms }))
    }
}

impl Supervisor for NotifySocket {
    fn tell(&self, life: &Life) {
        if let Err(error) = self.socket.send_to_addr(words(life).as_bytes(), &self.address) {
            tracing::warn!(%error, ?life, "NOTIFY_SOCKET did not take the news");
        }
    }

    fn pulse_ms(&self) -> Option<u64> {
        self.pulse_ms
    }
}

/// A socket in the file system, or one with `@` before its name in the system's own name space.
fn address_of(name: &OsStr) -> io::Result<SocketAddr> {
    match name.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name),
        [b'/', ..] => SocketAddr::from_pathname(name),
        _ => Err(io::Error::new(io::ErrorKind::Unsupported, "only paths and @names are known")),
    }
}

/// Half of the time after which we count as dead, if it is us who are watched.
fn pulse_ms(watchdog_usec: Option<u64>, watchdog_pid: Option<u64>) -> Option<u64> {
    let watched = watchdog_pid.is_none_or(|pid| pid == u64::from(std::process::id()));
    watchdog_usec.filter(|usec| watched && *usec > 0).map(|usec| (usec / 2000).max(1))
}

/// One message. A restart is a reload to a supervisor: the process stays, and will be ready again.
fn words(life: &Life) -> String {
    match life {
        // There is no desk yet; after a restart the watchdog runs already.
        Life::Replaying(facts) => format!(
            "EXTEND_TIMEOUT_USEC={REPLAY_USEC_MORE}\nWATCHDOG=1\nSTATUS=Replaying the journal: {facts} facts so far."
        ),
        Life::Serving(doors) => {
            let doors: Vec<_> = doors.iter().map(|(door, address)| format!("{door} at {address}")).collect();
            let (pid, doors) = (std::process::id(), doors.join(", "));
            format!("READY=1\nMAINPID={pid}\nSTATUS=Serving: {doors}.")
        }
        Life::Reloading => reloading("Reading the configuration again."),
        Life::Reloaded(Ok(())) => "READY=1\nSTATUS=Serving on the configuration read just now.".to_owned(),
        Life::Reloaded(Err(why)) => {
            let why = why.lines().next().unwrap_or_default();
            format!("READY=1\nSTATUS=Serving on the old configuration; the new one was refused: {why}")
        }
        Life::Alive { connections, jobs } => {
            format!("WATCHDOG=1\nSTATUS={connections} connections, {jobs} live jobs.")
        }
        Life::Ending(End::Quit) => "STOPPING=1\nSTATUS=Ending: saying good-bye.".to_owned(),
        Life::Ending(End::Restart) => reloading("Restarting: saying good-bye."),
    }
}

/// Not ready for a while, since now.
fn reloading(status: &str) -> String {
    let now = clock_gettime(ClockId::Monotonic);
    let usec = now.tv_sec * 1_000_000 + now.tv_nsec / 1000;
    format!("RELOADING=1\nMONOTONIC_USEC={usec}\nSTATUS={status}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_have_two_kinds_of_names() {
        let path = address_of(OsStr::new("/run/systemd/notify")).expect("a path");
        assert_eq!(path.as_pathname().and_then(|path| path.to_str()), Some("/run/systemd/notify"));
        let abstracted = address_of(OsStr::new("@berth")).expect("a name");
        assert_eq!(abstracted.as_abstract_name(), Some(b"berth".as_slice()));
        assert!(address_of(OsStr::new("vsock:2:1")).is_err());
    }

    #[test]
    fn the_pulse_is_twice_as_fast_as_it_must_be() {
        let own = Some(u64::from(std::process::id()));
        assert_eq!(pulse_ms(Some(30_000_000), None), Some(15_000));
        assert_eq!(pulse_ms(Some(30_000_000), own), Some(15_000));
        assert_eq!(pulse_ms(Some(30_000_000), Some(1)), None);
        assert_eq!(
            (pulse_ms(Some(1), None), pulse_ms(Some(0), None), pulse_ms(None, own)),
            (Some(1), None, None)
        );
    }

    #[test]
    fn a_refusal_is_told_in_one_line() {
        let words = words(&Life::Reloaded(Err("lab.toml:3: no\nREADY=0".to_owned())));
        assert!(words.ends_with("refused: lab.toml:3: no"), "{words}");
    }
}
