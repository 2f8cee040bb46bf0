//! The other commands, against a real server: what they print, what they end with.

use crate::house::{House, LAB};
use crate::program::{Running, Wire, berth, command, run};
use crate::socket::Socket;
use rustix::process::Signal;
use serde_json::{Value, json};
use std::path::PathBuf;

/// A directory of a test's own; gone when dropped.
pub struct Dir(PathBuf);

impl Dir {
    /// A new one.
    pub fn new(name: &str) -> Dir {
        let dir = std::env::temp_dir().join(format!("berth-cli-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        Dir(dir)
    }

    /// A file in it with this text; its path.
    pub fn file(&self, name: &str, text: &str) -> String {
        std::fs::write(self.0.join(name), text).unwrap();
        self.path(name)
    }

    /// The path of a name in it.
    pub fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).ok();
    }
}

fn json_of(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error} in {text}"))
}

#[test]
fn a_job_from_its_creation_to_its_end() {
    let house = House::open();
    let berth = |args: &[&str]| berth(house.address, args);
    let created = berth(&["create", "2x1", "--keepalive", "never", "--note", "for a test", "--wait"]);
    assert_eq!((created.status, created.out.as_str()), (0, "1\n"), "{created:?}");
    let listed = berth(&["list"]);
    assert_eq!(listed.out.lines().count(), 2, "{listed:?}");
    assert!(listed.out.starts_with("JOB  STATE  OWNER  WANT"), "{listed:?}");
    assert!(!listed.out.contains('\x1b'), "no colours where nobody looks");
    for word in ["ready", "guest", "2x1 triads", "never", "for a test"] {
        assert!(listed.out.contains(word), "{word} is missing in {listed:?}");
    }
    let shown = berth(&["show", "1"]);
    assert!(shown.out.contains("history\n") && shown.out.contains("granted"), "{shown:?}");
    assert_eq!(berth(&["power", "off", "1", "--wait"]).status, 0);
    assert!(berth(&["show", "1"]).out.contains("power       off"));
    let boards = berth(&["boards", "--machine", "m", "--state", "lent"]);
    assert_eq!(boards.out.lines().count(), 7, "{boards:?}");
    let released = berth(&["release", "1", "--reason", "done with it"]);
    assert_eq!((released.status, released.out.as_str()), (0, ""), "{released:?}");
    assert!(berth(&["list", "--all"]).out.contains("done with it"));
    assert_eq!(berth(&["list"]).out.lines().count(), 1);
    let again = berth(&["release", "1", "99"]);
    assert_eq!(again.status, 3, "{again:?}");
    assert!(again.err.contains("1002") && again.err.contains("1001"), "{again:?}");
}

#[test]
fn a_job_without_wait_is_a_number_and_a_warning() {
    let house = House::open();
    let created = berth(house.address, &["create"]);
    assert_eq!((created.status, created.out.as_str()), (0, "1\n"));
    assert!(created.err.contains("--keepalive"), "{created:?}");
    assert_eq!(berth(house.address, &["create", "-q"]).err, "");
    assert_eq!(berth(house.address, &["create", "-K", "never"]).err, "");
}

#[test]
fn who_waits_for_a_job_sees_why() {
    let house = House::open();
    let mut socket = Socket::guest(house.address);
    let call = json!({"fname": "create_job", "boards": 8, "machine": "devices", "keepalive": null});
    assert_eq!(socket.call(call), Ok(json!(1)));
    let waiting = Running::start(house.address, &["create", "1", "-m", "devices", "--wait", "--json"]);
    waiting.until_err("queued");
    let explained = berth(house.address, &["explain", "2"]);
    assert!(explained.out.contains("first in the queue") && explained.out.contains("BOARD"), "{explained:?}");
    assert_eq!(socket.call(json!({"fname": "destroy_job", "job_id": 1})), Ok(json!(null)));
    assert!(waiting.until_out("\"job_id\"").contains("2"));
    assert_eq!(waiting.ended(), 0);
}

#[test]
fn json_is_what_the_functions_answered() {
    let house = House::open();
    let mut socket = Socket::guest(house.address);
    assert_eq!(socket.call(json!({"fname": "create_job", "keepalive": null})), Ok(json!(1)));
    socket.call(json!({"fname": "wait_job", "job_id": 1})).unwrap();
    for (args, call) in [
        (vec!["list"], json!({"fname": "list_jobs"})),
        (vec!["machines"], json!({"fname": "list_machines"})),
        (vec!["machines", "devices"], json!({"fname": "get_machine", "machine": "devices"})),
        (vec!["boards", "-m", "devices"], json!({"fname": "list_boards", "machine": "devices"})),
        (
            vec!["boards", "show", "m:0,1,0"],
            json!({"fname": "get_board", "machine": "m", "x": 0, "y": 1, "z": 0}),
        ),
        (
            vec!["where-is", "m", "1", "0", "2"],
            json!({"fname": "where_is", "machine": "m", "x": 1, "y": 0, "z": 2}),
        ),
        (vec!["explain", "1"], json!({"fname": "explain_job", "job_id": 1})),
        (vec!["call", "get_job", "job_id=1"], json!({"fname": "get_job", "job_id": 1})),
        (vec!["call", "--list"], json!({"fname": "list_functions"})),
    ] {
        let ran = berth(house.address, &[args.clone(), vec!["--json"]].concat());
        assert_eq!(ran.status, 0, "{args:?}: {ran:?}");
        assert_eq!(Ok(json_of(&ran.out)), socket.call(call), "{args:?}");
    }
    let shown = json_of(&berth(house.address, &["show", "1", "--json"]).out);
    assert_eq!((&shown["job"]["job_id"], &shown["history"][0]["event"]), (&json!(1), &json!("queued")));
    let refused = berth(house.address, &["show", "7", "--json"]);
    assert_eq!((refused.out.as_str(), &json_of(&refused.err)["error"]["code"]), ("", &json!(1001)));
}

#[test]
fn every_end_has_its_status() {
    let house = House::open();
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let missing = std::env::temp_dir().join("berth-no-such-file").display().to_string();
    for (args, status) in [
        (vec!["list"], 0),
        (vec!["list", "--nonsense"], 2),
        (vec!["create", "3y2"], 2),
        (vec!["list", "--user", "ada", "--password-file", &missing], 2),
        (vec!["show", "99"], 3),
        (vec!["boards", "set", "m:0,0,0", "maintenance"], 3),
        (vec!["call", "no_such_function"], 3),
        (vec!["call", "get_job"], 3),
        (vec!["where-is", "--job-chip", "99", "0", "0"], 3),
        (vec!["create", "9x9"], 4),
        (vec!["create", "--keepalive", "99999999999999"], 3),
        (vec!["list", "--server", &nobody], 5),
    ] {
        let ran = berth(house.address, &args);
        assert_eq!(ran.status, status, "{args:?}: {ran:?}");
        assert_eq!(ran.err.is_empty(), status == 0, "{args:?}: {ran:?}");
    }
}

#[test]
fn places_and_machines_are_printed() {
    let house = House::open();
    let machines = berth(house.address, &["machines"]);
    assert!(machines.out.contains("m        triads  4x2   24"), "{machines:?}");
    assert!(berth(house.address, &["machines", "m"]).out.contains("dead links: 0,0,0/3\n"));
    let place = berth(house.address, &["where-is", "--physical", "m", "0", "0", "0"]);
    assert!(place.out.contains("board      0,0,0\n"), "{place:?}");
    let status = berth(house.address, &["show", "server"]);
    assert!(status.out.contains("boards.dead         1\n"), "{status:?}");
}

#[test]
fn functions_describe_themselves() {
    let house = House::open();
    let help = berth(house.address, &["call", "create_job", "--help"]);
    assert!(
        help.out.starts_with("create_job - job (least role: user)")
            && help.out.contains("  keepalive (default"),
        "{help:?}"
    );
    let same = json_of(&berth(house.address, &["--json", "call", "create_job", "--help"]).out);
    assert_eq!(same["name"], "create_job");
    let own = berth(house.address, &["call", "--help"]);
    assert!(own.out.contains("NAME=VALUE"), "{own:?}");
    assert_eq!(berth(house.address, &["call", "creat_job", "--help"]).status, 3);
}

#[test]
fn changes_are_printed_as_they_come() {
    let house = House::open();
    let mut socket = Socket::guest(house.address);
    assert_eq!(socket.call(json!({"fname": "create_job", "keepalive": null})), Ok(json!(1)));
    socket.call(json!({"fname": "wait_job", "job_id": 1})).unwrap();
    let one = Running::start(house.address, &["watch", "1", "--json"]);
    let all = Running::start(house.address, &["watch"]);
    let machines = Running::start(house.address, &["watch", "--machines", "--json"]);
    let told = json_of(&one.line());
    assert_eq!((&told["event"], &told["job"]["state_name"]), (&json!("job"), &json!("ready")));
    all.until_out("job 1 ready (guest, 1 board)");
    machines.until_out("\"devices\"");
    let call = json!({"fname": "destroy_job", "job_id": 1, "reason": "so\u{1b}[2J"});
    assert_eq!(socket.call(call), Ok(json!(null)));
    assert_eq!(json_of(&one.line())["job"]["state_name"], "destroyed");
    assert_eq!(one.ended(), 0);
    let line = all.until_out("job 1 destroyed");
    assert!(line.contains("so\u{fffd}[2J"), "{line:?}");
    assert_eq!(json_of(&machines.until_out("\"m\""))["event"], "machine");
}

#[test]
fn changes_are_followed_over_a_cut_wire() {
    let house = House::open();
    let mut socket = Socket::guest(house.address);
    assert_eq!(socket.call(json!({"fname": "create_job", "keepalive": null})), Ok(json!(1)));
    socket.call(json!({"fname": "wait_job", "job_id": 1})).unwrap();
    let wire = Wire::to(house.address);
    let watching = Running::start(wire.address, &["watch"]);
    watching.until_out("job 1 ready");
    wire.cut();
    watching.until_err("trying again");
    assert_eq!(socket.call(json!({"fname": "create_job", "keepalive": null})), Ok(json!(2)));
    wire.lay(house.address);
    // Job 1 has not changed and is not told again.
    assert!(watching.line().contains("job 2 "));
}

#[test]
fn output_nobody_reads_any_more_is_no_accident() {
    let house = House::open();
    let mut command = command(&["call", "--list"]);
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    command
        .env("BERTH_SERVER", house.address.to_string())
        .stdout(writer)
        .stderr(std::process::Stdio::piped());
    let output = command.spawn().unwrap().wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr), (Some(0), Vec::new()));
}

#[test]
fn users_are_changed_over_the_wire() {
    let (house, dir) = (House::open(), Dir::new("users"));
    let admin = dir.file("admin", house.admin_password.as_deref().unwrap());
    let (old, new) = (dir.file("old", "first\n"), dir.file("new", "second\n"));
    let as_admin = |args: &[&str]| {
        let asked = run(command(args)
            .env("BERTH_SERVER", house.address.to_string())
            .env("BERTH_USER", "admin")
            .env("BERTH_PASSWORD_FILE", &admin));
        assert_eq!(asked.status, 0, "{args:?}: {asked:?}");
        asked
    };
    as_admin(&["user", "add", "ada", "--role", "operator", "--password-file", &old]);
    let users = as_admin(&["user", "list"]);
    assert!(users.out.contains("ada    operator"), "{users:?}");
    let as_ada = |password: &str, args: &[&str]| {
        berth(house.address, &[&["--user", "ada", "--password-file", password], args].concat())
    };
    assert_eq!(as_ada(&old, &["create", "-q"]).out, "1\n");
    assert!(as_ada(&old, &["list", "--mine"]).out.contains("ada"));
    let changed = berth(
        house.address,
        &["user", "passwd", "--user", "ada", "--own-password-file", &old, "--password-file", &new],
    );
    assert_eq!(changed.status, 0, "{changed:?}");
    assert_eq!(as_ada(&old, &["list"]).status, 3);
    assert_eq!(as_ada(&new, &["list"]).status, 0);
    as_admin(&["user", "role", "ada", "user"]);
    assert!(as_admin(&["user", "list"]).out.contains("ada    user"));
    as_admin(&["user", "rm", "ada"]);
    assert_eq!(as_ada(&new, &["list"]).status, 3);
}

/// A server of the real program, in a directory of its own; where it listens.
pub fn serve(dir: &Dir, config: &str) -> (Running, std::net::SocketAddr) {
    let running =
        Running::spawn(&mut command(&["serve", "--config", config, "--data-dir", &dir.path("data")]));
    let line = running.until_out("native: listening on ");
    let address = line.rsplit(' ').next().unwrap().parse().unwrap();
    (running, address)
}

#[test]
fn users_are_changed_while_the_server_is_stopped_and_while_it_runs() {
    let dir = Dir::new("offline");
    let config = dir.file("config.toml", LAB);
    let password = dir.file("password", "secret");
    let (running, _) = serve(&dir, &config);
    let data = dir.path("data");
    // Neither the server's address nor an administrator is named.
    let beside = |args: &[&str]| run(command(args).args(["--config", &config, "--data-dir", &data]));
    let added = beside(&["user", "add", "ada", "--password-file", &password]);
    assert_eq!(added.status, 0, "{added:?}");
    running.signal(Signal::TERM);
    assert_eq!(running.ended(), 0);
    let added = beside(&["user", "add", "bob", "--role", "admin", "--password-file", &password]);
    assert_eq!(added.status, 0, "{added:?}");
    let again = beside(&["user", "add", "bob", "--password-file", &password]);
    assert_eq!(again.status, 3, "{again:?}");
    let users = beside(&["user", "list"]);
    assert!(users.out.contains("ada    user") && users.out.contains("bob    admin"), "{users:?}");
    let (running, address) = serve(&dir, &config);
    for user in ["ada", "bob"] {
        let ran = berth(address, &["list", "--user", user, "--password-file", &password]);
        assert_eq!(ran.status, 0, "{user}: {ran:?}");
    }
    running.signal(Signal::TERM);
    assert_eq!(running.ended(), 0);
}

#[test]
fn the_demonstration_goes_on_serving() {
    let dir = Dir::new("demo");
    let mut demo = command(&["demo", "--listen", "127.0.0.1:0", "--data-dir", &dir.path("data")]);
    // The ports of the shipped file may be somebody else's.
    demo.env("BERTH_SPALLOC_LISTEN", "127.0.0.1:0").env("BERTH_WEB_LISTEN", "127.0.0.1:0");
    demo.env("BERTH_STAND_LISTEN", "127.0.0.1:0");
    let demo = Running::spawn(&mut demo);
    let line = demo.until_out("native: listening on ");
    let address = line.rsplit(' ').next().unwrap().parse().unwrap();
    for part in
        ["A <-- ", "A --> ", "B <-- ", "\"destroy_job\"", "\"burn\"", "done: burnt by", "The server goes on"]
    {
        demo.until_out(part);
    }
    let jobs = berth(address, &["list", "--all"]);
    assert!(jobs.out.contains("the demonstration is over"), "{jobs:?}");
    demo.signal(Signal::INT);
    assert_eq!(demo.ended(), 0);
}

#[test]
fn a_configuration_is_checked_and_shown() {
    let dir = Dir::new("config");
    let (good, bad) = (dir.file("good.toml", LAB), dir.file("bad.toml", "nmae = \"x\"\n"));
    let checked = run(&mut command(&["config", "check", "--config", &good]));
    assert_eq!((checked.status, checked.out.as_str()), (0, "ok\n"), "{checked:?}");
    let checked = run(&mut command(&["config", "check", "--config", &bad]));
    assert_eq!(checked.status, 2);
    assert!(checked.err.contains("bad.toml:1") && checked.err.contains("name"), "{checked:?}");
    let shown = run(&mut command(&["config", "show", "--config", &good]));
    assert!(shown.out.contains("name = \"house\""), "{shown:?}");
    let served = run(&mut command(&["serve", "--config", &bad]));
    assert_eq!(served.status, 2, "{served:?}");
}

#[test]
fn the_configuration_of_spalloc_server_is_imported() {
    let dir = Dir::new("import");
    let good = dir.file(
        "good.py",
        "places = board_locations_from_spinner('places.csv')\n\
         configuration = Configuration([Machine.with_standard_ips('m', board_locations=places)], ip='127.0.0.1')\n",
    );
    dir.file("places.csv", "cabinet,frame,board,x,y\n0,0,5,0,0\n0,0,6,8,4\n0,0,7,4,8\n");
    let printed = run(&mut command(&["config", "import-spalloc", &good]));
    assert_eq!((printed.status, printed.err.as_str()), (0, ""), "{printed:?}");
    let output = dir.path("lab.toml");
    let written = run(&mut command(&["config", "import-spalloc", &good, "--output", &output]));
    assert_eq!((written.status, written.out.as_str()), (0, ""), "{written:?}");
    assert_eq!(std::fs::read_to_string(&output).unwrap(), printed.out);
    let shown = run(&mut command(&["config", "show", "--config", &output]));
    assert!(shown.out.contains("physical = [0, 0, 6], host = \"192.168.0.49\""), "{shown:?}");
    let again = run(&mut command(&["config", "import-spalloc", &good, "--output", &output]));
    assert_eq!(again.status, 2, "{again:?}");

    let bad = dir.file("bad.py", "configuration = Configuration(max_retired_jobs=8,\n  ip=find())\n");
    let refused = run(&mut command(&["config", "import-spalloc", &bad]));
    assert_eq!((refused.status, refused.out.as_str()), (3, ""), "{refused:?}");
    assert!(refused.err.contains("bad.py:2:6: the name 'find' is not known"), "{refused:?}");
    let partial = run(&mut command(&["config", "import-spalloc", &bad, "--partial"]));
    assert!(partial.status == 3 && partial.out.contains("retired_jobs = 8"), "{partial:?}");
    let missing = run(&mut command(&["config", "import-spalloc", &dir.path("none.py")]));
    assert_eq!(missing.status, 2, "{missing:?}");
}

#[test]
fn shells_and_manuals_are_served() {
    for shell in ["bash", "zsh", "fish"] {
        let ran = run(&mut command(&["completions", shell]));
        assert!(ran.status == 0 && ran.out.contains("where-is"), "{shell}");
    }
    assert!(run(&mut command(&["man"])).out.contains(".TH berth"));
    let dir = Dir::new("man");
    assert_eq!(run(&mut command(&["man", "--dir", dir.0.to_str().unwrap()])).status, 0);
    assert!(dir.0.join("berth-where-is.1").exists());
    let help = run(&mut command(&["--help"]));
    assert!(help.out.contains("Exit status:") && help.out.contains("BERTH_SERVER"), "{help:?}");
}
