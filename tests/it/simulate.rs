//! `berth simulate`: the program as a person would start it, and plain sockets that talk to what it simulates.

use crate::cli::Dir;
use crate::program::{Running, berth, command, run};
use berth::spinnaker::bmp::{self, Board};
use berth::spinnaker::scp::{Reply, Request, ResultCode, Sequence};
use berth::spinnaker::version::Version;
use rustix::process::Signal;
use serde_json::{Value, json};
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// How long silence is listened to.
const SILENCE: Duration = Duration::from_millis(60);
/// Far longer than any answer takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// An address that nobody else here has, with room for a frame behind it.
fn address() -> Ipv4Addr {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = std::process::id().wrapping_mul(64).wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
    let [_, _, high, low] = number.to_be_bytes();
    Ipv4Addr::new(127, 100 + high % 100, low, 9)
}

/// A lab of one triad at these addresses.
fn config(dir: &Dir, first: Ipv4Addr) -> String {
    let bmp = Ipv4Addr::from(u32::from(first) - 1);
    let text = format!(
        "[[machine]]\nname = \"m\"\nshape = \"triads\"\nwidth = 1\nheight = 1\ncontroller = \"simulated\"\n\
         host_base = \"{first}\"\nbmps = [{{ cabinet = 0, frame = 0, host = \"{bmp}\" }}]\n\
         [[machine]]\nname = \"far\"\nshape = \"triads\"\nwidth = 1\nheight = 1\ncontroller = \"simulated\"\n"
    );
    dir.file("lab.toml", &text)
}

fn socket_to(address: Ipv4Addr) -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect((address, 17_893)).unwrap();
    socket
}

/// Asks a BMP for its version.
fn version(socket: &UdpSocket, patience: Duration) -> Option<(ResultCode, String)> {
    let mut datagram = Vec::new();
    let call = bmp::Command::Version.call();
    Request { header: bmp::header(Board::FIRST), sequence: Sequence(7), call }.encode(&mut datagram);
    socket.set_read_timeout(Some(patience)).unwrap();
    socket.send(&datagram).unwrap();
    let mut buffer = [0; 512];
    let bytes = socket.recv(&mut buffer).ok()?;
    let reply = Reply::decode(&buffer[..bytes]).unwrap();
    assert_eq!(reply.sequence, Sequence(7));
    Some((reply.result, Version::decode(reply.body).map_or_else(|_| String::new(), |v| v.name.to_owned())))
}

fn json_line(line: &str) -> Value {
    serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in {line}"))
}

#[test]
fn hardware_of_a_configuration_answers_and_suffers_what_is_typed() {
    let dir = Dir::new("simulate");
    let first = address();
    let bmp = Ipv4Addr::from(u32::from(first) - 1);
    let args = ["simulate", "spinnaker", "--config", &config(&dir, first), "--trace", "--json"];
    let mut running = Running::spawn(&mut command(&args));
    let listening = json_line(&running.line());
    let places = listening["listening"].as_array().unwrap();
    assert_eq!(places.len(), 4, "{listening}");
    assert_eq!(places[0]["address"], json!(bmp.to_string()));
    assert_eq!(places[3]["logical"], json!([0, 0, 2]));
    assert!(running.until_err("far is left out").contains("it names no BMPs"));

    let socket = socket_to(bmp);
    assert_eq!(version(&socket, PATIENCE), Some((ResultCode::OK, "BC&MP".to_owned())));
    let event = json_line(&running.until_out("bmp_asked"));
    assert_eq!((&event["command"], &event["address"]), (&json!("VER"), &json!(bmp.to_string())));
    assert!(event["time"].as_f64().unwrap() > 1.7e9);

    running.type_line("# a comment, and an empty line, are not answered\n\noffline 0 0");
    assert_eq!(json_line(&running.until_out("\"ok\"")), json!({"line": "offline 0 0", "ok": true}));
    assert_eq!(version(&socket, SILENCE), None);
    running.type_line("online");
    let answer = json_line(&running.until_out("\"ok\""));
    assert!(
        answer["ok"] == json!(false) && answer["error"].as_str().unwrap().starts_with("cabinet is missing")
    );
    running.type_line("clear");
    running.until_out("\"ok\":true");
    assert!(version(&socket, PATIENCE).is_some());

    // The end of input is no end.
    running.close_input();
    assert!(version(&socket, PATIENCE).is_some());
    running.signal(Signal::TERM);
    assert_eq!(running.ended(), 0);
}

#[test]
fn a_table_for_people_and_an_end_with_the_input() {
    let dir = Dir::new("simulate-table");
    let first = address();
    let faults = dir.file("faults", "# from the beginning\nbusy 1 frame 0 0\n");
    let config = config(&dir, first);
    let args = ["simulate", "spinnaker", "--config", &config, "--faults", &faults, "--until-eof"];
    let mut running = Running::spawn(&mut command(&args));
    assert!(running.line().starts_with("MACHINE  WHAT   CABINET  FRAME  BOARD  X,Y,Z  ADDRESS"));
    let bmp = Ipv4Addr::from(u32::from(first) - 1);
    assert!(running.line().contains(&bmp.to_string()));
    assert!(running.line().contains(&format!("0,0,0  {first}")));
    running.line();
    assert!(running.line().ends_with("17893 54321"));
    assert_eq!(version(&socket_to(bmp), PATIENCE).unwrap().0, ResultCode::P2P_BUSY);
    running.type_line("loss 2");
    assert_eq!(running.line(), "error: '2' is no share: a number from 0 to 1");
    running.type_line("loss 1");
    assert_eq!(running.line(), "ok: loss 1");
    assert_eq!(version(&socket_to(bmp), SILENCE), None);
    running.close_input();
    assert_eq!(running.ended(), 0);
}

#[test]
fn what_cannot_be_simulated_is_refused_with_a_way_out() {
    let dir = Dir::new("simulate-refused");
    let spinnaker = |more: &[&str]| run(&mut command(&[&["simulate", "spinnaker"], more].concat()));
    let foreign = spinnaker(&["--config", &config(&dir, Ipv4Addr::new(192, 0, 2, 9))]);
    assert_eq!(foreign.status, 2, "{foreign:?}");
    for part in ["192.0.2.8 (the BMP of m cabinet 0 frame 0)", "and 1 more", "host_base = \"127.11.0.1\""] {
        assert!(foreign.err.contains(part), "{part}: {foreign:?}");
    }
    let first = address();
    let config = config(&dir, first);
    let taken = UdpSocket::bind((first, 54_321)).unwrap();
    let refused = spinnaker(&["--config", &config]);
    assert_eq!(refused.status, 4, "{refused:?}");
    assert!(refused.err.contains(&format!("{first}:54321")), "{refused:?}");
    drop(taken);
    let faults = dir.file("faults", "loss 0.1\nlos 0.1\n");
    let wrong = spinnaker(&["--config", &config, "--faults", &faults]);
    assert!(wrong.status == 2 && wrong.err.contains("line 2: there is no fault 'los'"), "{wrong:?}");
    let nothing = dir.file(
        "empty.toml",
        "[[machine]]\nname = \"p\"\nshape = \"pool\"\ncount = 1\ncontroller = \"simulated\"\n",
    );
    let nothing = spinnaker(&["--config", &nothing]);
    assert!(nothing.status == 2 && nothing.err.contains("there is no machine of triads"), "{nothing:?}");
}

#[test]
fn without_a_configuration_the_built_in_lab_is_simulated_on_loopback() {
    let mut running = Running::spawn(&mut command(&["simulate", "spinnaker", "--json", "--until-eof"]));
    let listening = json_line(&running.line());
    let places = listening["listening"].as_array().unwrap();
    // One of the 24 boards is dead.
    assert_eq!(places.len(), 1 + 23, "{listening}");
    let bmp: Ipv4Addr = places[0]["address"].as_str().unwrap().parse().unwrap();
    assert!(bmp.is_loopback() && bmp.octets()[1] >= 11, "{bmp}");
    assert_eq!(version(&socket_to(bmp), PATIENCE).unwrap().0, ResultCode::OK);
    running.close_input();
    assert_eq!(running.ended(), 0);
}

#[test]
fn the_demonstration_goes_over_udp_when_it_is_told_to() {
    let dir = Dir::new("demo-udp");
    let mut demo = command(&["demo", "--udp", "--listen", "127.0.0.1:0", "--data-dir", &dir.path("data")]);
    let demo = Running::spawn(
        demo.env("BERTH_SPALLOC_LISTEN", "127.0.0.1:0").env("BERTH_STAND_LISTEN", "127.0.0.1:0"),
    );
    let line = demo.until_out("simulated: a BMP answers at ");
    let bmp: SocketAddrV4 = line.rsplit(' ').next().unwrap().parse().unwrap();
    assert!(bmp.ip().is_loopback());
    let line = demo.until_out("native: listening on ");
    let server = line.rsplit(' ').next().unwrap().parse().unwrap();
    for part in ["A <-- ", "A --> ", "B <-- ", "\"destroy_job\""] {
        demo.until_out(part);
    }
    // The board that the demonstration borrowed answers where this says.
    demo.until_out("The server goes on");
    assert_eq!(version(&socket_to(*bmp.ip()), PATIENCE).unwrap().1, "BC&MP");
    let jobs = berth(server, &["list", "--all"]);
    assert!(jobs.out.contains("the demonstration is over"), "{jobs:?}");
    let loan = berth(server, &["run", "1", "--", "echo", "{hostname}"]);
    let prefix = format!("127.{}.", bmp.ip().octets()[1]);
    assert!(loan.status == 0 && loan.out.starts_with(&prefix), "{loan:?}");
    let boards = berth(server, &["boards", "--machine", "m", "--state", "quarantined"]);
    assert_eq!(boards.out.lines().count(), 1, "{boards:?}");
    demo.signal(Signal::INT);
    assert_eq!(demo.ended(), 0);
}

#[test]
fn the_document_has_every_fault_and_every_event() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/protocol-spec/simulate.md");
    let document = std::fs::read_to_string(path).unwrap();
    for (form, meaning) in berth::simulator::faults::GRAMMAR {
        assert!(document.contains(&format!("| `{}` | {meaning} |", form.replace('|', "\\|"))), "{form}");
    }
    for event in ["bmp_asked", "power", "reset", "fpga_write", "led", "board_asked", "boot_message", "booted"]
    {
        assert!(document.contains(&format!("| `{event}` |")), "{event}");
    }
}
