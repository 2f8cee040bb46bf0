//! The signals that ask us to end.

use rustix::process::Signal;
use signal_hook::iterator::Signals;
use std::io;
use std::thread;

/// The signals that are watched for, and their names.
const WATCHED: [(Signal, &str); 4] =
    [(Signal::HUP, "SIGHUP"), (Signal::INT, "SIGINT"), (Signal::QUIT, "SIGQUIT"), (Signal::TERM, "SIGTERM")];

/// From now on calls `tell` with each of these signals instead of being ended by it. One that we were started to ignore,
/// as under `nohup`, stays ignored.
pub fn watch(tell: impl Fn(Signal) + Send + 'static) -> io::Result<()> {
    let ignored = std::fs::read_to_string("/proc/self/status").map_or(0, |status| ignored(&status));
    let watched = WATCHED.iter().map(|(signal, _)| signal.as_raw());
    let mut signals = Signals::new(watched.filter(|number| ignored >> (number - 1) & 1 == 0))?;
    thread::spawn(move || {
        for number in signals.forever() {
            WATCHED
                .iter()
                .filter(|(signal, _)| signal.as_raw() == number)
                .for_each(|(signal, _)| tell(*signal));
        }
    });
    Ok(())
}

/// The set of ignored signals as the system tells it of a process, the first signal lowest.
fn ignored(status: &str) -> u64 {
    let set = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    set.and_then(|set| u64::from_str_radix(set.trim(), 16).ok()).unwrap_or(0)
}

/// The name of a watched signal.
pub fn name(signal: Signal) -> &'static str {
    WATCHED.iter().find(|(watched, _)| *watched == signal).map_or("a signal", |(_, name)| name)
}

/// The status of a process that a signal ended.
pub fn status(signal: Signal) -> u8 {
    128 + u8::try_from(signal.as_raw()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ignored_signals_are_read_from_the_system() {
        assert_eq!(ignored("SigBlk:\t0000000000000000\nSigIgn:\t0000000000001001\n"), 0x1001);
        assert_eq!(ignored("Name: x\n"), 0);
    }

    #[test]
    fn signals_have_names_and_statuses() {
        assert_eq!((name(Signal::INT), status(Signal::INT)), ("SIGINT", 130));
        assert_eq!((name(Signal::TERM), status(Signal::TERM)), ("SIGTERM", 143));
    }
}
