//! Simulations over real sockets, with plain sockets at the other end.

use super::*;
use crate::simulator::plant::Deed;
use crate::simulator::tests::{bmp_request, boot_datagrams, chip_request, power, read_reply};
use crate::spinnaker::bmp::{self, Boards};
use crate::spinnaker::scp::{CommandCode, ResultCode};
use crate::spinnaker::sdp::Chip;
use crate::spinnaker::version::Version;
use crate::spinnaker::{BOOT_UDP_PORT, scamp};

/// Far longer than anything takes.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long silence is listened to.
const SILENCE: Duration = Duration::from_millis(60);

/// A host's socket, connected as those of real clients are: it would hear of a closed port.
fn socket_to(to: SocketAddrV4) -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(to).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

/// The next datagram; none if nothing comes.
fn received(socket: &UdpSocket) -> Option<Vec<u8>> {
    let mut buffer = [0; 2_048];
    match socket.recv(&mut buffer) {
        Ok(bytes) => Some(buffer[..bytes].to_vec()),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => None,
        Err(error) => panic!("a refusal where silence was to be: {error}"),
    }
}

fn asked(socket: &UdpSocket, request: &[u8]) -> (ResultCode, Vec<u8>) {
    socket.send(request).unwrap();
    let (_, result, body) = read_reply(&received(socket).expect("an answer"));
    (result, body)
}

fn is_silent(socket: &UdpSocket, request: &[u8]) -> bool {
    socket.set_read_timeout(Some(SILENCE)).unwrap();
    socket.send(request).unwrap();
    let silent = received(socket).is_none();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    silent
}

fn first() -> Triad {
    Triad::new(0, 0, 0)
}

#[test]
fn a_bmp_says_its_version_and_switches_a_board_that_boots_and_falls_silent_again() {
    let simulation = Simulation::small().unwrap();
    let events = simulation.events();
    let (bmp, board) = (socket_to(simulation.bmp(0, 0)), socket_to(simulation.board(first())));
    let (result, body) = asked(&bmp, &bmp_request(0, 7, &bmp::Command::Version));
    assert_eq!(result, ResultCode::OK);
    assert_eq!(Version::decode(&body).unwrap().name, "BC&MP");
    let asked_for = Deed::BmpAsked { board: bmp::Board::FIRST, command: CommandCode::VER };
    assert!(events.find_within(PATIENCE, |event| event.deed == asked_for).is_some());

    let version = chip_request(Chip::NEAREST, 8, &scamp::Command::Version);
    assert!(is_silent(&board, &version));
    assert_eq!(asked(&bmp, &bmp_request(0, 9, &power(true, &[0]))).0, ResultCode::OK);
    let powered = Deed::Power { on: true, boards: Boards(1) };
    assert!(events.find_within(PATIENCE, |event| event.deed == powered).is_some());
    assert!(is_silent(&board, &version));

    let rom = socket_to(SocketAddrV4::new(*simulation.board(first()).ip(), BOOT_UDP_PORT));
    for datagram in boot_datagrams() {
        rom.send(&datagram).unwrap();
    }
    let booted = Deed::Booted { board: first() };
    let event = events.find_within(PATIENCE, |event| event.deed == booted).expect("it boots");
    assert_eq!((event.address, &*event.machine), (*simulation.board(first()).ip(), "small"));
    let (result, body) = asked(&board, &version);
    assert_eq!((result, Version::decode(&body).unwrap().name), (ResultCode::OK, "SC&MP"));

    assert_eq!(asked(&bmp, &bmp_request(0, 10, &power(false, &[0]))).0, ResultCode::OK);
    assert!(is_silent(&board, &version));
}

#[test]
fn faults_are_in_force_when_they_are_acknowledged() {
    let simulation = Simulation::small().unwrap();
    let bmp = socket_to(simulation.bmp(0, 0));
    let request = bmp_request(0, 1, &bmp::Command::Version);
    simulation.faults("busy 1 frame 0 0\ndouble 1 out").unwrap();
    assert_eq!(asked(&bmp, &request).0, ResultCode::P2P_BUSY);
    assert!(received(&bmp).is_some(), "the second copy");
    simulation.faults("clear\noffline 0 0").unwrap();
    assert!(is_silent(&bmp, &request));
    simulation.faults("online 0 0").unwrap();
    assert_eq!(asked(&bmp, &request).0, ResultCode::OK);
    let why = simulation.faults("offline 0 0\nnonsense").unwrap_err().0;
    assert!(why.starts_with("line 2: there is no fault 'nonsense'"), "{why}");
    assert_eq!(asked(&bmp, &request).0, ResultCode::OK, "a text with a wrong line is not carried out");
    assert!(simulation.faults("offline 0 1").unwrap_err().0.contains("no frame 1"));
}

#[test]
fn what_is_late_comes_by_itself() {
    let simulation = Simulation::small().unwrap();
    let bmp = socket_to(simulation.bmp(0, 0));
    simulation.faults("delay 30").unwrap();
    let begun = Instant::now();
    assert_eq!(asked(&bmp, &bmp_request(0, 1, &bmp::Command::Version)).0, ResultCode::OK);
    assert!(begun.elapsed() >= Duration::from_millis(58), "{:?}", begun.elapsed());
}

#[test]
fn a_simulation_that_is_dropped_gives_its_addresses_back() {
    let simulation = Simulation::small().unwrap();
    let (spec, address) = (simulation.spec().clone(), simulation.bmp(0, 0));
    let events = simulation.events();
    assert_eq!(UdpSocket::bind(address).unwrap_err().kind(), io::ErrorKind::AddrInUse);
    let again = Simulation::start(spec.clone(), Options::default());
    assert!(again.err().expect("taken").to_string().contains(&address.ip().to_string()[..4]));
    drop(simulation);
    assert!(events.next_ever().is_none());
    let again = Simulation::start(spec, Options::default()).unwrap();
    assert_eq!(again.bmp(0, 0), address);
}

#[test]
fn addresses_of_other_hosts_are_found_out() {
    let spec = PlantSpec::small(Ipv4Addr::new(192, 0, 2, 9));
    let foreign = foreign_addresses(&spec);
    assert_eq!(foreign.len(), 4);
    assert_eq!(foreign[0], (Ipv4Addr::new(192, 0, 2, 8), "the BMP of small cabinet 0 frame 0".to_owned()));
    assert!(foreign_addresses(&PlantSpec::small(Ipv4Addr::new(127, 50, 0, 1))).is_empty());
}

#[test]
fn rubbish_is_survived_at_every_port() {
    let simulation = Simulation::small().unwrap();
    let bmp = socket_to(simulation.bmp(0, 0));
    let addresses: Vec<_> = simulation.spec().addresses().map(|(address, _)| address).collect();
    for bytes in [0, 1, 2, 9, 10, 11, 17, 25, 26, 300, 1_472, 9_000] {
        for address in &addresses {
            for port in crate::simulator::plant::PORTS {
                let rubbish: Vec<u8> = (0..bytes).map(|byte: u32| (byte * 37 + bytes) as u8).collect();
                socket_to(SocketAddrV4::new(*address, port)).send(&rubbish).unwrap();
            }
        }
    }
    assert_eq!(asked(&bmp, &bmp_request(0, 1, &bmp::Command::Version)).0, ResultCode::OK);
}
