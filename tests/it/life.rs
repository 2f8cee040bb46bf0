//! The life of the server's process: what its supervisor hears, sockets handed to it, restarts, and how it ends.

use crate::cli::Dir;
use crate::house::{Quiet, Ticking};
use crate::program::{Running, command};
use crate::socket::{Socket, framed};
use crate::stand_line::Line;
use crate::web_socket::Web;
use berth::clock::{Clock, Moment};
use berth::config::Config;
use berth::journal::{Journal, JournalError, Kept, MemoryJournal};
use berth::lab::fact::{Event, Fact};
use berth::server::{End, Life, Listeners, Server, Setup, Supervisor};
use rustix::process::Signal;
use serde_json::{Value, json};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::UnixDatagram;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::Duration;

/// How long a test waits for what must come: far longer than it takes.
const PATIENCE: Duration = Duration::from_secs(30);

/// A lab in which everybody may do everything, with a board that keeps whoever asks it waiting for ten seconds.
const LAB: &str = r#"
name = "life"
[native]
listen = "127.0.0.1:0"
guests = "admin"
[limits]
stop_s = 60
[[machine]]
name = "m"
shape = "triads"
width = 1
height = 1
controller = "simulated"
[machine.simulated]
stuck_boards = [[0, 0, 1]]
"#;

/// Whoever would have started a server: hears what it says.
struct Supervised {
    /// What `NOTIFY_SOCKET` is to be.
    name: String,
    heard: Receiver<String>,
}

impl Supervised {
    /// Listens in the file system.
    fn at(dir: &Dir) -> Supervised {
        let name = dir.path("notify");
        Supervised::on(UnixDatagram::bind(&name).expect("a socket"), name)
    }

    /// Listens in the name space that has no files.
    fn without_a_file() -> Supervised {
        let name = format!("berth-life-{}", std::process::id());
        let address = std::os::unix::net::SocketAddr::from_abstract_name(&name).expect("a name");
        Supervised::on(UnixDatagram::bind_addr(&address).expect("a socket"), format!("@{name}"))
    }

    fn on(socket: UnixDatagram, name: String) -> Supervised {
        let (tell, heard) = mpsc::channel();
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(bytes) = socket.recv(&mut buffer) {
                if tell.send(String::from_utf8_lossy(&buffer[..bytes]).into_owned()).is_err() {
                    return;
                }
            }
        });
        Supervised { name, heard }
    }

    /// The next message but for signs of life.
    fn next(&self) -> String {
        loop {
            let message = self.heard.recv_timeout(PATIENCE).expect("a message");
            if !message.starts_with("WATCHDOG=1\n") {
                return message;
            }
        }
    }

    /// Waits for a sign of life.
    fn pulse(&self) -> String {
        loop {
            let message = self.heard.recv_timeout(PATIENCE).expect("a message");
            if message.starts_with("WATCHDOG=1\n") {
                return message;
            }
        }
    }
}

/// The real program, serving in this directory.
fn serve_command(dir: &Dir, config: &str) -> Command {
    command(&["serve", "--config", config, "--data-dir", &dir.path("data")])
}

/// The same behind a shell that hands it its own standard input as socket 3, in the way of systemd.
fn with_socket(dir: &Dir, config: &str, names: &str) -> Command {
    let serve = serve_command(dir, config);
    let mut shell = Command::new("sh");
    shell
        .args(["-c", r#"exec 3<&0 0</dev/null; LISTEN_PID=$$ exec "$0" "$@""#])
        .arg(serve.get_program())
        .args(serve.get_args())
        .env("LISTEN_FDS", "1")
        .env("LISTEN_FDNAMES", names);
    for (name, value) in serve.get_envs() {
        assert!(value.is_none(), "{name:?} is only ever removed");
        if !name.to_string_lossy().starts_with("LISTEN_") {
            shell.env_remove(name);
        }
    }
    shell
}

/// Where it listens, once it does.
fn listening(running: &Running) -> SocketAddr {
    let line = running.until_out("native: listening on ");
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

/// Asks a board that does not answer, and is sure that the server has begun to wait for it.
fn ask_stuck_board(address: SocketAddr) -> Socket {
    let mut socket = Socket::guest(address);
    for (id, call) in [
        json!({"fname": "read_board_sensors", "machine": "m", "x": 0, "y": 0, "z": 1}),
        json!({"fname": "whoami"}),
    ]
    .iter()
    .enumerate()
    {
        let data = json!([call]);
        let message = json!({"session": socket.session, "name": "test", "data": data, "__id__": id});
        socket.say_bytes(&framed(&message));
    }
    assert_eq!(socket.hear().expect("an answer")["__id__"], 1);
    socket
}

fn data_of(answer: &Value) -> &Value {
    &answer["data"]
}

#[test]
fn a_supervisor_hears_how_the_server_does() {
    let dir = Dir::new("notify");
    let (config, supervised) = (dir.file("config.toml", LAB), Supervised::at(&dir));
    let mut serve = serve_command(&dir, &config);
    serve.env("NOTIFY_SOCKET", &supervised.name).env("WATCHDOG_USEC", "100000");
    let running = Running::spawn(&mut serve);
    let ready = supervised.heard.recv_timeout(PATIENCE).expect("a message");
    let pid = running.pid();
    let begins = format!("READY=1\nMAINPID={pid}\nSTATUS=Serving: native at ");
    let address = ready.strip_prefix(&begins).and_then(|rest| rest.strip_suffix('.'));
    let address: SocketAddr = address.unwrap_or_else(|| panic!("{ready:?}")).parse().expect("an address");
    let mut socket = Socket::guest(address);
    for _ in 0..3 {
        supervised.pulse();
    }
    assert_eq!(socket.call(json!({"fname": "create_job", "keepalive": null})), Ok(json!(1)));
    while !supervised.pulse().ends_with("STATUS=1 connections, 1 live jobs.") {}

    running.signal(Signal::HUP);
    let reloading = supervised.next();
    assert!(reloading.starts_with("RELOADING=1\nMONOTONIC_USEC="), "{reloading:?}");
    assert!(supervised.next().starts_with("READY=1\nSTATUS=Serving on the configuration"));
    dir.file("config.toml", "nmae = \"x\"\n");
    running.signal(Signal::HUP);
    assert!(supervised.next().starts_with("RELOADING=1\n"));
    let refused = supervised.next();
    assert!(refused.starts_with("READY=1\nSTATUS=Serving on the old configuration"), "{refused:?}");
    let code = u64::from(berth::error::Code::BAD_CONFIG.number());
    assert_eq!(socket.call(json!({"fname": "reload_config"})), Err(code));
    assert!(supervised.next().starts_with("RELOADING=1\n"));
    assert!(supervised.next().starts_with("READY=1\n"));
    running.signal(Signal::TERM);
    assert!(supervised.next().starts_with("STOPPING=1\n"));
    drop(socket);
    assert_eq!(running.ended(), 0);
}

#[test]
fn an_order_over_the_wire_is_an_end_like_any_other() {
    let dir = Dir::new("notify-abstract");
    let (config, supervised) = (dir.file("config.toml", LAB), Supervised::without_a_file());
    let mut serve = serve_command(&dir, &config);
    serve.env("NOTIFY_SOCKET", &supervised.name);
    let running = Running::spawn(&mut serve);
    assert!(supervised.next().starts_with("READY=1\n"));
    let mut socket = Socket::guest(listening(&running));
    assert_eq!(data_of(&socket.ask(json!("serverquit"))), "serverquit");
    assert!(supervised.next().starts_with("STOPPING=1\n"));
    drop(socket);
    assert_eq!(running.ended(), 0);
    assert!(supervised.heard.try_recv().is_err(), "nobody wanted signs of life");
}

/// What is seen of a server from both sides.
#[derive(Debug, PartialEq)]
enum Seen {
    Told(Life),
    Stuck,
}

/// A journal that is stuck in one write when it is told to, until it is told to go on.
struct Sticky {
    kept: MemoryJournal,
    stick: Arc<AtomicBool>,
    seen: Sender<Seen>,
    go_on: Receiver<()>,
}

impl Journal for Sticky {
    fn replay(&mut self, take: &mut dyn FnMut(Kept) -> Result<(), String>) -> Result<(), JournalError> {
        self.kept.replay(take)
    }

    fn append(&mut self, facts: &[Fact]) -> Result<(), JournalError> {
        if self.stick.swap(false, Ordering::AcqRel) {
            self.seen.send(Seen::Stuck).expect("the test looks");
            self.go_on.recv().expect("the test says so");
        }
        self.kept.append(facts)
    }
}

/// A supervisor that writes down what it hears.
struct Recorder(Sender<Seen>);

impl Supervisor for Recorder {
    fn tell(&self, life: &Life) {
        self.0.send(Seen::Told(life.clone())).ok();
    }

    fn pulse_ms(&self) -> Option<u64> {
        Some(1000)
    }
}

/// A server of this process that was opened and does not serve yet.
fn opened(journal: Box<dyn Journal>, clock: Clock, tell: Sender<Seen>) -> Server {
    let setup = Setup {
        config: Config::load(Some(LAB), &[], &[]).expect("a configuration"),
        source: None,
        journal,
        clock,
        log: Arc::new(Quiet),
        first_password: None,
        local_access: None,
        listeners: Arc::new(Listeners::default()),
        supervisor: Arc::new(Recorder(tell)),
    };
    async_std::task::block_on(Server::open(setup)).expect("the server opens")
}

#[test]
fn a_desk_that_is_stuck_gives_no_signs_of_life() {
    let (tell, seen) = mpsc::channel();
    let (release, go_on) = mpsc::channel();
    let (stick, clock) = (Arc::new(AtomicBool::new(false)), Clock::moved(Moment(1_800_000_000_000)));
    let sticky = Sticky { kept: MemoryJournal::default(), stick: stick.clone(), seen: tell.clone(), go_on };
    let server = opened(Box::new(sticky), clock.clone(), tell);
    let (address, handle) = (server.native_address().expect("a door"), server.handle());
    let served = thread::spawn(move || async_std::task::block_on(server.serve()));
    let until = |wanted: fn(&Seen) -> bool| {
        while !wanted(&seen.recv_timeout(PATIENCE).expect("something happens")) {}
    };
    let alive = |seen: &Seen| matches!(seen, Seen::Told(Life::Alive { .. }));
    until(|seen| matches!(seen, Seen::Told(Life::Serving(_))));
    let (mut reader, mut writer) = (Socket::guest(address), Socket::guest(address));
    let ticking = Ticking::start(&clock, 200);
    until(alive);
    until(alive);

    stick.store(true, Ordering::Release);
    writer.say(json!([{"fname": "create_job"}]));
    until(|seen| *seen == Seen::Stuck);
    let stuck = clock.now();
    while clock.now() < stuck.plus_ms(20_000) {
        reader.call(json!({"fname": "get_version"})).expect("reading goes on");
    }
    // The last answer before may have been told after.
    assert!(seen.try_iter().filter(alive).count() <= 1, "somebody else answered for the desk");

    release.send(()).expect("the journal waits");
    until(alive);
    handle.end(End::Quit);
    until(|seen| *seen == Seen::Told(Life::Ending(End::Quit)));
    drop((reader, writer));
    assert_eq!(served.join().expect("no panic").expect("a good end"), End::Quit);
    drop(ticking);
}

/// A journal of so many facts of no consequence.
struct Long(usize);

impl Journal for Long {
    fn replay(&mut self, take: &mut dyn FnMut(Kept) -> Result<(), String>) -> Result<(), JournalError> {
        let event = Event::ServiceSet { accept: true, by: "".into(), reason: "".into() };
        let mut facts = (0..self.0).map(|_| Kept::Fact(Fact { at: Moment(1), event: event.clone() }));
        facts.try_for_each(take).map_err(JournalError::Damaged)
    }

    fn append(&mut self, _facts: &[Fact]) -> Result<(), JournalError> {
        Ok(())
    }
}

#[test]
fn a_long_replay_is_told_as_it_goes() {
    let (tell, seen) = mpsc::channel();
    let server = opened(Box::new(Long(250_000)), Clock::moved(Moment(2)), tell);
    let told: Vec<_> = seen.try_iter().collect();
    assert_eq!(told, [Seen::Told(Life::Replaying(100_000)), Seen::Told(Life::Replaying(200_000))]);
    server.handle().end(End::Quit);
    async_std::task::block_on(server.serve()).expect("a good end");
}

#[test]
fn a_socket_that_is_handed_over_is_the_door() {
    let dir = Dir::new("activated");
    let config = dir.file("config.toml", &LAB.replace("127.0.0.1:0", "127.0.0.2:0"));
    for names in ["native", "", "berth.socket"] {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        // Who comes before the server runs waits for it.
        let early = thread::spawn(move || Socket::guest(address));
        let running =
            Running::spawn_on(&mut with_socket(&dir, &config, names), Stdio::from(OwnedFd::from(listener)));
        let line = running.until_err("handed over");
        assert!(line.contains("127.0.0.2:0") && line.contains(&address.to_string()), "{line}");
        assert_eq!(listening(&running), address);
        let mut socket = early.join().expect("it was served");
        assert_eq!(data_of(&socket.ask(json!("serverquit"))), "serverquit");
        drop(socket);
        assert_eq!(running.ended(), 0);
    }
}

#[test]
fn what_is_no_door_is_refused() {
    let dir = Dir::new("no-door");
    let config = dir.file("config.toml", LAB);
    let listener = || TcpListener::bind("127.0.0.1:0").expect("a port");
    let connected = {
        let listener = listener();
        TcpStream::connect(listener.local_addr().expect("an address")).expect("connect")
    };
    let datagrams = UdpSocket::bind("127.0.0.1:0").expect("a port");
    for (names, input, part) in [
        ("teapot", Stdio::from(OwnedFd::from(listener())), "'teapot', which does not exist"),
        ("native:native", Stdio::from(OwnedFd::from(listener())), "has 2 names"),
        ("native", Stdio::null(), "not a socket"),
        ("native", Stdio::from(OwnedFd::from(datagrams)), "not a valid tcp socket"),
        ("native", Stdio::from(OwnedFd::from(connected)), "is not listening"),
    ] {
        let running = Running::spawn_on(&mut with_socket(&dir, &config, names), input);
        running.until_err(part);
        assert_eq!(running.ended(), 4, "{names} {part}");
    }
}

#[test]
fn sockets_for_another_process_are_left_alone() {
    let dir = Dir::new("other-pid");
    let config = dir.file("config.toml", LAB);
    let mut serve = serve_command(&dir, &config);
    serve.env("LISTEN_PID", "1").env("LISTEN_FDS", "3").env("LISTEN_FDNAMES", "teapot");
    let running = Running::spawn(&mut serve);
    Socket::open(listening(&running));
    running.signal(Signal::TERM);
    assert_eq!(running.ended(), 0);
}

/// Orders a restart while others connect all the time; everyone is served, on the same port, and finds the old session.
fn restart_under_load(running: &Running, address: SocketAddr) {
    let mut admin = Socket::guest(address);
    let job = admin.call(json!({"fname": "create_job", "keepalive": null})).expect("a job");
    let (session, stop) = (admin.session.clone(), Arc::new(AtomicBool::new(false)));
    assert_eq!(data_of(&admin.ask(json!("serverrestart"))), "serverrestart");
    let connect = || {
        let (session, job, stop) = (session.clone(), job.clone(), stop.clone());
        thread::spawn(move || {
            let mut served = 0;
            while served == 0 || !stop.load(Ordering::Acquire) {
                let (mut socket, _) = Socket::open(address);
                socket.session = session.clone();
                let view = socket.call(json!({"fname": "get_job", "job_id": job})).expect("the job");
                assert_eq!(view["job_id"], job);
                served += 1;
            }
        })
    };
    let clients: Vec<_> = (0..4).map(|_| connect()).collect();
    assert!(admin.hear().is_none(), "the old server hangs up");
    drop(admin);
    assert_eq!(listening(running), address);
    stop.store(true, Ordering::Release);
    clients.into_iter().for_each(|client| client.join().expect("every connection was served"));
}

#[test]
fn a_restart_refuses_nobody_and_keeps_port_and_sessions() {
    let dir = Dir::new("restart");
    let config = dir.file("config.toml", LAB);
    let running = Running::spawn(&mut serve_command(&dir, &config));
    let address = listening(&running);
    restart_under_load(&running, address);
    restart_under_load(&running, address);
    running.signal(Signal::TERM);
    assert_eq!(running.ended(), 0);
}

#[test]
fn a_restart_keeps_the_socket_that_was_handed_over() {
    let dir = Dir::new("restart-activated");
    let (config, supervised) = (dir.file("config.toml", LAB), Supervised::at(&dir));
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let mut serve = with_socket(&dir, &config, "native");
    serve.env("NOTIFY_SOCKET", &supervised.name).env("WATCHDOG_USEC", "1000000");
    let running = Running::spawn_on(&mut serve, Stdio::from(OwnedFd::from(listener)));
    assert_eq!(listening(&running), address);
    let ready = supervised.next();
    assert!(ready.starts_with(&format!("READY=1\nMAINPID={}\n", running.pid())), "{ready:?}");
    for _ in 0..2 {
        // The configuration asks for another address each time, and it is the starter's to say.
        dir.file("config.toml", &LAB.replace("127.0.0.1:0", "127.0.0.2:0"));
        restart_under_load(&running, address);
        let restarting = supervised.next();
        assert!(restarting.starts_with("RELOADING=1\nMONOTONIC_USEC="), "{restarting:?}");
        assert_eq!(supervised.next(), ready, "the process is the same");
    }
    running.signal(Signal::INT);
    assert!(supervised.next().starts_with("STOPPING=1\n"));
    assert_eq!(running.ended(), 0);
}

#[test]
fn a_restart_keeps_the_web_door_where_it_is() {
    let dir = Dir::new("restart-web");
    let config = dir.file("config.toml", &format!("{LAB}[web]\nlisten = \"127.0.0.1:0\"\n"));
    let running = Running::spawn(&mut serve_command(&dir, &config));
    let mut socket = Socket::guest(listening(&running));
    let web_of =
        |line: String| line.trim_end_matches('/').rsplit('/').next().unwrap().parse::<SocketAddr>().unwrap();
    let web = web_of(running.until_out("web: listening on http://"));
    let mut page = Web::guest(web);
    assert_eq!(data_of(&socket.ask(json!("serverrestart"))), "serverrestart");
    assert_eq!(page.hear().expect("the broadcast")["data"], "serverrestart");
    let session = page.session.clone();
    drop((socket, page));
    // The port never closes: whoever connects meanwhile waits for the next server.
    let mut page = Web::open(web, "/socket");
    page.hear().expect("a greeting");
    page.session = session;
    assert!(page.call(json!({"fname": "get_version"})).is_ok());
    assert_eq!(web_of(running.until_out("web: listening on http://")), web);
    drop(page);
    running.signal(Signal::TERM);
    assert_eq!(running.ended(), 0);
}

#[test]
fn a_restart_keeps_the_stand_door_where_it_is_and_what_burns_burning() {
    const BURNERS: &str = "[stand]\nlisten = \"127.0.0.1:0\"\n[[machine]]\nname = \"burners\"\nshape = \"pool\"\n\
                           kinds = [\"burn\"]\ncontroller = \"agent\"\n";
    let (image, uid) = ("a".repeat(32), "1".repeat(32));
    let dir = Dir::new("restart-stand");
    let config = dir.file("config.toml", &format!("{LAB}{BURNERS}"));
    let running = Running::spawn(&mut serve_command(&dir, &config));
    let mut socket = Socket::guest(listening(&running));
    let stand_of = |line: String| line.rsplit(' ').next().unwrap().parse::<SocketAddr>().unwrap();
    let stand = stand_of(running.until_out("stand: listening on "));
    let mut burner = Line::client(stand, "BURNDVD", &uid);
    burner.say(&format!("CAP\tBURNDVD\t{image}"));
    burner.expect(&format!("WHATIS\t{image}"));
    let job = json!({"fname": "create_job", "machine": "burners", "kind": "burn", "kind_args": {"image": image},
                     "boards": 1, "keepalive": null});
    let job = socket.call(job).expect("a job");
    burner.say("STATUS\tDVD\tAVAIL");
    burner.expect(&format!("BURN\t{image}"));
    burner.say(&format!("STATUS\t{image}\t25"));
    let wait = json!({"fname": "wait_job", "job_id": job, "timeout": 60});
    assert_eq!(socket.call(wait.clone()).expect("a job")["state_name"], "ready");
    assert_eq!(data_of(&socket.ask(json!("serverrestart"))), "serverrestart");
    burner.expect_end();
    drop((socket, burner));
    // Whoever connects meanwhile waits for the next server.
    let mut burner = Line::client(stand, "BURNDVD", &uid);
    burner.say(&format!("CAP\tBURNDVD\t{image}"));
    burner.say(&format!("STATUS\t{image}\t75"));
    burner.say(&format!("STATUS\t{image}\tPASS"));
    let mut socket = Socket::guest(listening(&running));
    assert_eq!(stand_of(running.until_out("stand: listening on ")), stand);
    let ended = json!({"fname": "wait_job", "job_id": job, "state": "destroyed", "timeout": 60});
    let ended = socket.call(ended).expect("a job");
    assert_eq!(ended["reason"], format!("done: burnt by {uid}"), "{ended}");
    drop((socket, burner));
    running.signal(Signal::TERM);
    assert_eq!(running.ended(), 0);
}

#[test]
fn a_restart_goes_where_the_configuration_now_says() {
    let dir = Dir::new("restart-moved");
    let config = dir.file("config.toml", LAB);
    let running = Running::spawn(&mut serve_command(&dir, &config));
    let mut socket = Socket::guest(listening(&running));
    dir.file("config.toml", &LAB.replace("127.0.0.1:0", "127.0.0.2:0"));
    assert_eq!(data_of(&socket.ask(json!("serverrestart"))), "serverrestart");
    drop(socket);
    let moved = listening(&running);
    assert_eq!(moved.ip().to_string(), "127.0.0.2");
    Socket::open(moved);
    running.signal(Signal::TERM);
    assert_eq!(running.ended(), 0);
}

#[test]
fn a_restart_into_nothing_says_why() {
    let dir = Dir::new("restart-wrong");
    let config = dir.file("config.toml", LAB);
    let running = Running::spawn(&mut serve_command(&dir, &config));
    let mut socket = Socket::guest(listening(&running));
    dir.file("config.toml", "nmae = \"x\"\n");
    assert_eq!(data_of(&socket.ask(json!("serverrestart"))), "serverrestart");
    drop(socket);
    running.until_err("nmae");
    assert_eq!(running.ended(), 2);
}

#[test]
fn an_end_for_good_overrules_a_restart() {
    let dir = Dir::new("overruled");
    let config = dir.file("config.toml", &LAB.replace("stop_s = 60", "stop_s = 5"));
    let supervised = Supervised::at(&dir);
    let mut serve = serve_command(&dir, &config);
    serve.env("NOTIFY_SOCKET", &supervised.name);
    let running = Running::spawn(&mut serve);
    let address = listening(&running);
    let (waiting, mut admin) = (ask_stuck_board(address), Socket::guest(address));
    assert!(supervised.next().starts_with("READY=1\n"));
    assert_eq!(data_of(&admin.ask(json!("serverrestart"))), "serverrestart");
    assert!(supervised.next().starts_with("RELOADING=1\n"));
    running.signal(Signal::TERM);
    assert!(supervised.next().starts_with("STOPPING=1\n"));
    drop((waiting, admin));
    assert_eq!(running.ended(), 0);
}

#[test]
fn a_drain_is_bounded() {
    let dir = Dir::new("bounded");
    let config = dir.file("config.toml", &LAB.replace("stop_s = 60", "stop_s = 1"));
    for signal in [Some(Signal::TERM), Some(Signal::INT), None] {
        let running = Running::spawn(&mut serve_command(&dir, &config));
        let address = listening(&running);
        let (waiting, mut admin) = (ask_stuck_board(address), Socket::guest(address));
        match signal {
            Some(signal) => running.signal(signal),
            None => assert_eq!(data_of(&admin.ask(json!("serverquit"))), "serverquit"),
        }
        running.until_err("connections were cut off at the end");
        assert_eq!(running.ended(), 0);
        drop((waiting, admin));
    }
}

#[test]
fn a_second_signal_ends_at_once() {
    for (name, signal, status) in [("term", Signal::TERM, 143), ("int", Signal::INT, 130)] {
        let dir = Dir::new(name);
        let (config, supervised) = (dir.file("config.toml", LAB), Supervised::at(&dir));
        let mut serve = serve_command(&dir, &config);
        serve.env("NOTIFY_SOCKET", &supervised.name);
        let running = Running::spawn(&mut serve);
        let address = listening(&running);
        let waiting = ask_stuck_board(address);
        assert!(supervised.next().starts_with("READY=1\n"));
        running.signal(signal);
        assert!(supervised.next().starts_with("STOPPING=1\n"));
        // The door closes at once, however long good-bye takes.
        while TcpStream::connect(address).is_ok() {}
        running.signal(signal);
        assert_eq!(running.ended(), status);
        drop(waiting);
    }
}
