//! One run of a program: started, read, waited for, and gone with all it has started.
//!
//! A program leads a process group of its own. When it ends, by itself or by force, the group is killed before
//! the program is reaped: only until then is the number of the group sure to be its own. So nothing it leaves
//! behind outlives it, except what has made itself a group or a session of its own on purpose.
//!
//! What is deliberately not here: what it was called for, and what its output means.

use super::call::{Call, ENVIRONMENT_KEPT};
use super::output::Output;
use async_io::Async;
use async_std::io::{Read, ReadExt};
use async_std::task::{JoinHandle, spawn_blocking, yield_now};
use futures_util::FutureExt;
use futures_util::future::{self, Either};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use std::convert::Infallible;
use std::io;
use std::os::unix::process::CommandExt;
use std::pin::pin;
use std::process::{Child, ChildStderr, ChildStdout, Command, ExitStatus, Stdio};

/// So many bytes are read at once.
const READ_BYTES: usize = 16 * 1024;

/// After so many reads others get their turn, however much a program writes.
const READS_PER_TURN_MAX: usize = 4;

/// What is still in a pipe when a program has ended is read up to so many bytes: as much as a pipe holds at most.
const DRAIN_BYTES_MAX: usize = 1024 * 1024;

/// Where lines of output go: which stream, and the line.
pub type Log<'a> = &'a (dyn Fn(Stream, &str) + Send + Sync);

/// The two streams of a program's output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// What it has to say.
    Out,
    /// What it complains about.
    Err,
}

/// How a run came to its end.
#[derive(Debug)]
pub enum End<T> {
    /// The program ended by itself.
    Exited(Exited),
    /// It was killed because of this, and may not be gone yet.
    Stopped(T, Remains),
    /// It could not be started or waited for.
    Broken(io::Error),
}

/// What is left of a program that ended by itself.
#[derive(Debug)]
pub struct Exited {
    /// How it ended.
    pub status: ExitStatus,
    /// What it said.
    pub stdout: Output,
    /// What it complained about.
    pub stderr: Output,
}

/// Runs a program until it ends, or until there is a reason to stop it. Dropping the run kills the program.
pub async fn run<T>(call: Call, stop: impl Future<Output = T>, log: Log<'_>) -> End<T> {
    let mut stop = pin!(stop);
    // Starting may wait for a disk, and is therefore done where waiting harms nobody.
    let started = match future::select(spawn_blocking(|| Program::start(call)), stop.as_mut()).await {
        Either::Left((started, _)) => started,
        Either::Right((reason, starting)) => return End::Stopped(reason, Remains::Starting(starting)),
    };
    let Program { mut leader, mut stdout, mut stderr } = match started {
        Ok(program) => program,
        Err(error) => return End::Broken(error),
    };
    let stopped = attend(&leader, &mut stdout, &mut stderr, stop, log).await;
    leader.kill();
    stdout.finish(&mut |line| log(Stream::Out, line));
    stderr.finish(&mut |line| log(Stream::Err, line));
    match stopped {
        Err(error) => End::Broken(error),
        Ok(Some(reason)) => End::Stopped(reason, Remains::Started(leader)),
        Ok(None) => match leader.reap().await {
            Ok(status) => End::Exited(Exited { status, stdout: stdout.output, stderr: stderr.output }),
            Err(error) => End::Broken(error),
        },
    }
}

/// Reads what a program writes until it ends, or until there is a reason to stop it. Its pipes may be closed
/// long before it ends, or be held open by others long after.
async fn attend<T>(
    leader: &Leader,
    stdout: &mut Pipe<ChildStdout>,
    stderr: &mut Pipe<ChildStderr>,
    stop: impl Future<Output = T>,
    log: Log<'_>,
) -> io::Result<Option<T>> {
    let reading = async {
        let mut out = |line: &str| log(Stream::Out, line);
        let mut err = |line: &str| log(Stream::Err, line);
        future::join(stdout.read(&mut out), stderr.read(&mut err)).await;
        future::pending::<Infallible>().await
    };
    let (ended, stop, reading) = (pin!(leader.until_ended()), pin!(stop), pin!(reading));
    match future::select(future::select(ended, stop), reading).await {
        Either::Left((Either::Left((ended, _)), _)) => ended.map(|()| None),
        Either::Left((Either::Right((reason, _)), _)) => Ok(Some(reason)),
        Either::Right((never, _)) => match never {},
    }
}

/// What there may still be of a program that was stopped. What is still starting when this is dropped is killed
/// as soon as it has.
#[derive(Debug)]
pub enum Remains {
    /// It was being started.
    Starting(JoinHandle<io::Result<Program>>),
    /// It was running.
    Started(Leader),
}

impl Remains {
    /// Returns when the program is gone for good.
    pub async fn gone(self) {
        let leader = match self {
            Remains::Starting(starting) => starting.await.map(|program| program.leader),
            Remains::Started(leader) => Ok(leader),
        };
        if let Ok(mut leader) = leader {
            leader.reap().await.ok();
        }
    }
}

/// A program that was started, and its pipes.
#[derive(Debug)]
pub struct Program {
    leader: Leader,
    stdout: Pipe<ChildStdout>,
    stderr: Pipe<ChildStderr>,
}

impl Program {
    fn start(call: Call) -> io::Result<Program> {
        let program =
            call.program.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "no program is named"))?;
        let mut command = Command::new(program);
        command.args(call.args).env_clear();
        let kept = ENVIRONMENT_KEPT.iter().filter_map(|name| Some((name, std::env::var_os(name)?)));
        command.envs(kept).envs(call.environment);
        if let Some(directory) = call.directory {
            command.current_dir(directory);
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        let mut child = command.spawn()?;
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let leader = Leader { pid: Pid::from_child(&child), child: Some(child) };
        let stdout = Pipe { end: stdout.map(Async::new).transpose()?, output: Output::default() };
        let stderr = Pipe { end: stderr.map(Async::new).transpose()?, output: Output::default() };
        Ok(Program { leader, stdout, stderr })
    }
}

/// The first process of a group of its own; dropped, the whole group is killed.
#[derive(Debug)]
pub struct Leader {
    pid: Pid,
    /// Not there any more once it was reaped, and its number may be another's.
    child: Option<Child>,
}

impl Leader {
    /// Returns when the program has ended, which it may have done before; it is not reaped by that.
    async fn until_ended(&self) -> io::Result<()> {
        #[cfg(target_os = "linux")]
        if let Ok(fd) = rustix::process::pidfd_open(self.pid, rustix::process::PidfdFlags::empty()) {
            return Async::new(fd)?.readable().await;
        }
        until_ended_in_a_thread(self.pid).await
    }

    /// Kills the program and all of its group.
    fn kill(&self) {
        if self.child.is_some() {
            // It fails only when nobody is left to be killed.
            kill_process_group(self.pid, Signal::KILL).ok();
        }
    }

    /// Kills what is left of the group, and returns when the program is gone for good.
    async fn reap(&mut self) -> io::Result<ExitStatus> {
        self.kill();
        self.until_ended().await?;
        let mut child = self.child.take().ok_or_else(|| io::Error::other("it was reaped before"))?;
        child.wait()
    }
}

impl Drop for Leader {
    fn drop(&mut self) {
        self.kill();
        if let Some(mut child) = self.child.take() {
            spawn_blocking(move || child.wait());
        }
    }
}

/// Where the system cannot tell of a process's end otherwise, a thread waits for it.
async fn until_ended_in_a_thread(pid: Pid) -> io::Result<()> {
    let ended =
        spawn_blocking(move || waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT)).await;
    ended.map(drop).map_err(io::Error::from)
}

/// One of a program's streams, and what came through it.
#[derive(Debug)]
struct Pipe<P> {
    /// Not there any more once it was closed at the other end.
    end: Option<Async<P>>,
    output: Output,
}

impl<P> Pipe<P>
where
    Async<P>: Read + Unpin,
{
    /// Reads until the other end is closed.
    async fn read(&mut self, log: &mut (dyn FnMut(&str) + Send)) {
        let mut buffer = vec![0; READ_BYTES];
        for number in 1.. {
            let Some(end) = &mut self.end else { return };
            match end.read(&mut buffer).await {
                Ok(count) if count > 0 => {
                    self.output.handle_bytes(buffer.get(..count).unwrap_or_default(), log)
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                _ => self.end = None,
            }
            if number % READS_PER_TURN_MAX == 0 {
                yield_now().await;
            }
        }
    }

    /// Takes in what came through already, and closes this end.
    fn finish(&mut self, log: &mut (dyn FnMut(&str) + Send)) {
        let mut buffer = vec![0; READ_BYTES];
        for _ in 0..DRAIN_BYTES_MAX / READ_BYTES {
            let Some(end) = &mut self.end else { break };
            match end.read(&mut buffer).now_or_never() {
                Some(Ok(count)) if count > 0 => {
                    self.output.handle_bytes(buffer.get(..count).unwrap_or_default(), log);
                }
                Some(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                _ => break,
            }
        }
        self.end = None;
        self.output.handle_end(log);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controller::command::output::KEPT_BYTES_MAX;
    use async_std::task::block_on;
    use std::sync::Mutex;

    fn call(words: &[&str]) -> Call {
        let mut words = words.iter().map(|word| word.to_string());
        let (program, args) = (words.next(), words.collect());
        Call { program, args, directory: None, environment: vec![("BERTH_BOARD".into(), "b".into())] }
    }

    /// Runs a shell's script to its end.
    fn run_script(script: &str) -> (Exited, Vec<(Stream, String)>) {
        let logged = Mutex::new(Vec::new());
        let log = |stream, line: &str| logged.lock().unwrap().push((stream, line.to_owned()));
        match block_on(run(call(&["/bin/sh", "-c", script]), future::pending::<()>(), &log)) {
            End::Exited(exited) => (exited, logged.into_inner().unwrap()),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_program_says_and_complains_and_ends() {
        let (exited, logged) = run_script("echo one; echo two >&2; printf three >&2; exit 3");
        assert_eq!(exited.status.code(), Some(3));
        assert_eq!(exited.stdout.whole(), Some(&b"one\n"[..]));
        assert_eq!(exited.stderr.last_line().as_deref(), Some("three"));
        let of = |stream| {
            logged.iter().filter(|(of, _)| *of == stream).map(|(_, line)| &**line).collect::<Vec<_>>()
        };
        assert_eq!((of(Stream::Out), of(Stream::Err)), (vec!["one"], vec!["two", "three"]));
    }

    #[test]
    fn of_the_servers_environment_it_sees_little() {
        assert!(
            std::env::vars().any(|(name, _)| name.starts_with("CARGO")),
            "there is something to be hidden"
        );
        let (exited, _) = run_script("env");
        let text = String::from_utf8(exited.stdout.whole().unwrap().to_vec()).unwrap();
        let names = text.lines().filter_map(|line| line.split_once('=')).map(|(name, _)| name);
        let of_shell = ["PWD", "OLDPWD", "SHLVL", "_", "BERTH_BOARD"];
        for name in names {
            assert!(ENVIRONMENT_KEPT.contains(&name) || of_shell.contains(&name), "{name}");
        }
        assert!(text.contains("BERTH_BOARD=b\n"));
    }

    #[test]
    fn however_much_it_writes_it_ends_and_little_is_kept() {
        let (exited, logged) =
            run_script("yes out | head -c 5000000; yes err | head -c 5000000 >&2; echo last >&2");
        assert!(exited.status.success());
        assert_eq!(exited.stdout.whole(), None);
        assert_eq!(exited.stderr.last_line().as_deref(), Some("last"));
        assert!(logged.len() <= 2 * (super::super::output::LINES_LOGGED_MAX + 1));
        let (exited, _) = run_script(&format!("yes | head -c {KEPT_BYTES_MAX}"));
        assert_eq!(
            exited.stdout.whole().map(<[u8]>::len),
            Some(KEPT_BYTES_MAX),
            "what is in the pipe is not lost"
        );
    }

    #[test]
    fn closing_its_streams_is_not_its_end() {
        let (exited, _) = run_script("exec >&- 2>&-; sh -c 'exit 0'; exit 5");
        assert_eq!(exited.status.code(), Some(5));
    }

    #[test]
    fn a_program_that_cannot_be_started_says_why() {
        let failures = [
            (call(&[]), "no program is named"),
            (call(&["/nowhere/at/all"]), "No such file"),
            (call(&[concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")]), "ermission denied"),
            (call(&["/"]), "ermission denied"),
            (call(&["/bin/echo", "a\0b"]), "nul byte"),
            (call(&["/bin/echo", &"x".repeat(4_000_000)]), "too long"),
            (Call { directory: Some("/nowhere".into()), ..call(&["/bin/echo"]) }, "No such file"),
        ];
        for (call, why) in failures {
            match block_on(run(call, future::pending::<()>(), &|_, _| {})) {
                End::Broken(error) => assert!(error.to_string().contains(why), "{error}"),
                other => panic!("{why}: {other:?}"),
            }
        }
    }

    #[test]
    fn a_run_that_is_given_up_before_it_starts_is_stopped() {
        let end = block_on(run(call(&["/bin/sh", "-c", "read forever"]), future::ready(7), &|_, _| {}));
        assert!(matches!(end, End::Stopped(7, _)), "{end:?}");
    }

    #[test]
    fn a_thread_can_wait_for_the_end_too() {
        let mut child = Command::new("/bin/sh").args(["-c", "exit 4"]).spawn().unwrap();
        block_on(until_ended_in_a_thread(Pid::from_child(&child))).unwrap();
        assert_eq!(
            child.try_wait().unwrap().and_then(|status| status.code()),
            Some(4),
            "ended and not yet reaped"
        );
    }
}
