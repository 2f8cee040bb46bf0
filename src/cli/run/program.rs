//! The child process: started, signalled, waited for, reaped.
//!
//! The program has a process group of its own, so that a signal reaches all of it and the terminal's signals reach us
//! alone. Only where standard input is a terminal it stays in ours: another group could not read from it. There the
//! terminal itself tells the program of Ctrl-C, and we do not tell it twice.

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, kill_process_group, waitid};
use std::ffi::OsString;
use std::io::{self, IsTerminal};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command};
use std::thread;

/// See above.
pub struct Program {
    child: Child,
    pid: Pid,
    own_group: bool,
}

impl Program {
    /// Starts it; `exited` is called when it has ended. Until `reap` its number belongs to it.
    pub fn start(
        words: &[OsString],
        environment: &[(&str, Option<String>)],
        exited: impl FnOnce() + Send + 'static,
    ) -> io::Result<Program> {
        let (program, args) = words.split_first().ok_or(io::ErrorKind::NotFound)?;
        let mut command = Command::new(program);
        command.args(args);
        for (name, value) in environment {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        let own_group = !io::stdin().is_terminal();
        if own_group {
            command.process_group(0);
        }
        let child = command.spawn()?;
        let pid = Pid::from_child(&child);
        thread::spawn(move || {
            // It is seen to have ended, but not reaped: so a signal sent meanwhile cannot reach a stranger.
            while let Err(rustix::io::Errno::INTR) =
                waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT)
            {}
            exited();
        });
        Ok(Program { child, pid, own_group })
    }

    /// Sends a signal. A program that has ended meanwhile needs none.
    pub fn signal(&self, signal: Signal) {
        let _ = if self.own_group {
            kill_process_group(self.pid, signal)
        } else {
            kill_process(self.pid, signal)
        };
    }

    /// Passes on a signal that came for us, unless the terminal has sent it to both.
    pub fn pass_on(&self, signal: Signal) {
        let by_terminal = matches!(signal, Signal::INT | Signal::QUIT);
        if self.own_group || !by_terminal {
            self.signal(signal);
        }
    }

    /// Takes its status after it has ended: its own, or 128 and the number of the signal that ended it.
    pub fn reap(&mut self) -> io::Result<u8> {
        let status = self.child.wait()?;
        let number = status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(1);
        Ok(u8::try_from(number).unwrap_or(u8::MAX))
    }
}
