//! The program itself, run as a person or a script would: its lines as they come, its status, its signals; and a wire to
//! the server that can be cut.

use rustix::process::{Pid, Signal, kill_process};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag::register_conditional_shutdown;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// How long a test waits for what must come: far longer than it takes.
const PATIENCE: Duration = Duration::from_secs(30);

/// The program with these arguments, and nothing of our environment that could mean something to it.
pub fn command(args: &[&str]) -> Command {
    heed_signals();
    let mut command = Command::new(env!("CARGO_BIN_EXE_berth"));
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if ["BERTH_", "LISTEN_", "NOTIFY_", "WATCHDOG_"].iter().any(|prefix| text.starts_with(prefix)) {
            command.env_remove(name);
        }
    }
    command.args(args).stdin(Stdio::null());
    command
}

/// Whoever started the tests may ignore signals, as `nohup` and scripts do for what runs in the background; the
/// program would inherit that. A signal that is handled here is at its default there.
fn heed_signals() {
    static HEEDED: std::sync::Once = std::sync::Once::new();
    HEEDED.call_once(|| {
        for signal in [SIGINT, SIGHUP, SIGTERM] {
            let always = Arc::new(AtomicBool::new(true));
            register_conditional_shutdown(signal, 128 + signal, always).expect("signals can be handled");
        }
    });
}

/// What a run of the program came to.
#[derive(Debug)]
pub struct Ran {
    pub status: i32,
    pub out: String,
    pub err: String,
}

/// Runs the program to its end against a server.
pub fn berth(server: SocketAddr, args: &[&str]) -> Ran {
    run(command(args).env("BERTH_SERVER", server.to_string()))
}

/// Runs it to its end.
pub fn run(command: &mut Command) -> Ran {
    let output = command.output().expect("the program starts");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    Ran { status: status_of(output.status), out: text(output.stdout), err: text(output.stderr) }
}

/// As a shell has it.
fn status_of(status: std::process::ExitStatus) -> i32 {
    status.code().or(status.signal().map(|signal| 128 + signal)).expect("it ended")
}

/// The program while it runs.
pub struct Running {
    child: Child,
    stdin: Option<ChildStdin>,
    out: Receiver<String>,
    err: Receiver<String>,
}

impl Running {
    /// Starts it against a server, with an input that stays open.
    pub fn start(server: SocketAddr, args: &[&str]) -> Running {
        let mut command = command(args);
        command.env("BERTH_SERVER", server.to_string());
        Running::spawn(&mut command)
    }

    /// Starts it, with an input that stays open.
    pub fn spawn(command: &mut Command) -> Running {
        Running::spawn_on(command, Stdio::piped())
    }

    /// Starts it on this input.
    pub fn spawn_on(command: &mut Command, input: Stdio) -> Running {
        command.stdin(input).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program starts");
        let (out, err) = (lines(child.stdout.take().unwrap()), lines(child.stderr.take().unwrap()));
        Running { stdin: child.stdin.take(), child, out, err }
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The next line of its output.
    pub fn line(&self) -> String {
        self.out.recv_timeout(PATIENCE).expect("a line of output")
    }

    /// The next line of its output; none when it has said all.
    pub fn line_or_end(&self) -> Option<String> {
        match self.out.recv_timeout(PATIENCE) {
            Ok(line) => Some(line),
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => panic!("neither a line of output nor its end"),
        }
    }

    /// All that it says on its errors until their end.
    pub fn errors(&self) -> String {
        let mut all = String::new();
        loop {
            match self.err.recv_timeout(PATIENCE) {
                Ok(line) => all = all + &line + "\n",
                Err(RecvTimeoutError::Disconnected) => return all,
                Err(RecvTimeoutError::Timeout) => panic!("no end of its errors after {all}"),
            }
        }
    }

    /// Waits for a line of its output with this in it.
    pub fn until_out(&self, part: &str) -> String {
        until(&self.out, part)
    }

    /// Waits for a line of its errors with this in it.
    pub fn until_err(&self, part: &str) -> String {
        until(&self.err, part)
    }

    /// Types a line at it.
    pub fn type_line(&mut self, line: &str) {
        let stdin = self.stdin.as_mut().expect("its input is open");
        writeln!(stdin, "{line}").and_then(|()| stdin.flush()).expect("it reads");
    }

    /// Ends its input.
    pub fn close_input(&mut self) {
        self.stdin = None;
    }

    /// The number of its process.
    pub fn process(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal, unless it has ended. Nobody else gets it: it was not waited for yet.
    pub fn try_signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).ok();
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("it runs");
    }

    /// Waits for its end: its status.
    pub fn ended(mut self) -> i32 {
        let (told, ended) = mpsc::channel();
        let stdin = self.stdin.take();
        let pid = Pid::from_child(&self.child);
        let child = std::mem::replace(&mut self.child, idle());
        let waiting = thread::spawn(move || {
            let mut child = child;
            told.send(status_of(child.wait().expect("it ends"))).ok();
        });
        let status = ended.recv_timeout(PATIENCE);
        if status.is_err() {
            kill_process(pid, Signal::KILL).ok();
        }
        waiting.join().expect("no panic");
        drop(stdin);
        status.expect("it ends in time")
    }
}

/// A child that ends at once, to stand where another one was.
fn idle() -> Child {
    Command::new("true").spawn().expect("true")
}

/// A test that fails must leave nothing running.
impl Drop for Running {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn lines(from: impl Read + Send + 'static) -> Receiver<String> {
    let (tell, lines) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            tell.send(line).ok();
        }
    });
    lines
}

fn until(lines: &Receiver<String>, part: &str) -> String {
    let mut before = Vec::new();
    loop {
        match lines.recv_timeout(PATIENCE) {
            Ok(line) if line.contains(part) => return line,
            Ok(line) => before.push(line),
            Err(_) => panic!("no line with {part:?} after {before:#?}"),
        }
    }
}

/// A wire between a program and a server: it can be cut, and laid to another server.
pub struct Wire {
    pub address: SocketAddr,
    server: Arc<Mutex<Option<SocketAddr>>>,
    ends: Arc<Mutex<Vec<TcpStream>>>,
}

impl Wire {
    /// A wire to this server.
    pub fn to(server: SocketAddr) -> Wire {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
        let address = listener.local_addr().expect("an address");
        let wire = Wire { address, server: Arc::new(Mutex::new(Some(server))), ends: Arc::default() };
        let (server, ends) = (wire.server.clone(), wire.ends.clone());
        thread::spawn(move || {
            for near in listener.incoming().map_while(Result::ok) {
                let far = server.lock().unwrap().map(TcpStream::connect);
                if let Some(Ok(far)) = far {
                    ends.lock().unwrap().extend([near.try_clone().unwrap(), far.try_clone().unwrap()]);
                    carry(near.try_clone().unwrap(), far.try_clone().unwrap());
                    carry(far, near);
                }
            }
        });
        wire
    }

    /// Cuts it; connections fail until it is laid anew.
    pub fn cut(&self) {
        *self.server.lock().unwrap() = None;
        for end in self.ends.lock().unwrap().drain(..) {
            end.shutdown(Shutdown::Both).ok();
        }
    }

    /// Lays it to this server.
    pub fn lay(&self, server: SocketAddr) {
        *self.server.lock().unwrap() = Some(server);
    }
}

fn carry(mut from: TcpStream, mut to: TcpStream) {
    thread::spawn(move || {
        io::copy(&mut from, &mut to).ok();
        to.shutdown(Shutdown::Both).ok();
    });
}
