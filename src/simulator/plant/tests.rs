//! Plants with virtual time: boards with and without power, links that are cut, faults that come and go.

use super::*;
use crate::allocator::{Torus, Triad};
use crate::simulator::chips::{Dialect, Firmware};
use crate::simulator::tests::{
    bmp_request, board, boot_datagrams, chip_request, power, read_reply, stop, who,
};
use crate::spinnaker::bmp::fpga::Link;
use crate::spinnaker::bmp::{self, Boards};
use crate::spinnaker::scamp;
use crate::spinnaker::scp::CommandCode;
use crate::spinnaker::scp::Unit;
use crate::spinnaker::sdp::{Chip, Core, Endpoint, Header, Message, Port};
use crate::spinnaker::version::Version;

const HOST: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(127, 0, 0, 1), 40_000);

/// One triad, three boards, one frame, and a host.
struct Bench {
    plant: Plant,
    spec: PlantSpec,
    now: At,
    asked: u16,
    heard: Vec<Datagram>,
}

impl Bench {
    fn new() -> Bench {
        Bench::of(PlantSpec::small(Ipv4Addr::new(127, 50, 0, 1)))
    }

    fn of(spec: PlantSpec) -> Bench {
        Bench { plant: Plant::new(&spec).unwrap(), spec, now: At(1_000_000), asked: 0, heard: Vec::new() }
    }

    fn send(&mut self, to: SocketAddrV4, bytes: &[u8]) {
        self.plant.handle(self.now, to, HOST, bytes, &mut self.heard);
    }

    /// Time passes, and everything that is due in it happens.
    fn pass(&mut self, ms: u64) {
        self.now = self.now.plus_ms(ms);
        self.plant.wake(self.now, &mut self.heard);
    }

    /// Sends a request and tells what comes back within this time, as result and body.
    fn ask(&mut self, to: SocketAddrV4, bytes: &[u8], ms: u64) -> Option<(ResultCode, Vec<u8>)> {
        self.heard.clear();
        self.send(to, bytes);
        self.pass(ms);
        let reply = self.heard.iter().find(|datagram| datagram.from == to && datagram.to == HOST)?;
        let (sequence, result, body) = read_reply(&reply.bytes);
        assert_eq!(sequence, self.asked);
        Some((result, body))
    }

    fn ask_bmp(&mut self, number: u8, command: &bmp::Command<'_>) -> Option<(ResultCode, Vec<u8>)> {
        self.asked += 1;
        let request = bmp_request(number, self.asked, command);
        self.ask(self.spec.bmp(0, 0).unwrap(), &request, 1_000)
    }

    /// SC&MP's version, by the place of its board.
    fn ask_board(&mut self, z: u32) -> Option<(ResultCode, Vec<u8>)> {
        self.asked += 1;
        let request = chip_request(Chip::NEAREST, self.asked, &scamp::Command::Version);
        self.ask(self.at(z), &request, 10)
    }

    fn at(&self, z: u32) -> SocketAddrV4 {
        self.spec.board(Triad::new(0, 0, z)).unwrap()
    }

    fn is_up(&mut self, z: u32) -> bool {
        let reply = self.ask_board(z);
        reply.is_some_and(|(result, body)| {
            result == ResultCode::OK && Version::decode(&body).unwrap().chip != Chip::NEAREST
        })
    }

    fn boot(&mut self, z: u32) {
        let at = SocketAddrV4::new(*self.at(z).ip(), BOOT_UDP_PORT);
        for datagram in boot_datagrams() {
            self.send(at, &datagram);
            self.pass(10);
        }
        self.pass(5_000);
    }

    fn fault(&mut self, line: &str) -> Result<(), Wrong> {
        self.plant.suffer(self.now, &Fault::of_line(line).unwrap().unwrap())
    }

    fn deeds(&mut self) -> Vec<Deed> {
        std::iter::from_fn(|| self.plant.poll_event()).map(|event| event.deed).collect()
    }
}

fn ok(reply: Option<(ResultCode, Vec<u8>)>) -> Vec<u8> {
    let (result, body) = reply.expect("a reply");
    assert_eq!(result, ResultCode::OK);
    body
}

#[test]
fn a_board_is_silent_until_it_has_power_and_an_image_and_when_it_has_none_again() {
    let mut bench = Bench::new();
    assert_eq!(bench.ask_board(0), None);
    bench.boot(0);
    assert_eq!(bench.ask_board(0), None, "an image for a board without power is nothing");
    ok(bench.ask_bmp(0, &power(true, &[0])));
    assert!(bench.plant.is_on(*bench.at(0).ip()) && !bench.plant.is_on(*bench.at(1).ip()));
    assert_eq!(bench.ask_board(0), None, "nobody answers before the boot");
    bench.boot(0);
    assert!(bench.is_up(0) && !bench.is_up(1));
    ok(bench.ask_bmp(0, &power(false, &[0])));
    assert_eq!(bench.ask_board(0), None);
    ok(bench.ask_bmp(0, &power(true, &[0])));
    assert_eq!(bench.ask_board(0), None, "power forgets the image");
}

#[test]
fn what_hardware_does_is_told_in_its_order() {
    let mut bench = Bench::new();
    ok(bench.ask_bmp(0, &bmp::Command::Version));
    ok(bench.ask_bmp(0, &power(true, &[0])));
    ok(bench.ask_bmp(0, &stop(Link::East)));
    bench.boot(0);
    let deeds = bench.deeds();
    let place = |wanted: &dyn Fn(&Deed) -> bool| deeds.iter().position(wanted).expect("it happened");
    let asked = place(&|deed| *deed == Deed::BmpAsked { board: board(0), command: CommandCode::VER });
    let powered = place(&|deed| *deed == Deed::Power { on: true, boards: Boards(1) });
    let stopped =
        place(&|deed| matches!(deed, Deed::FpgaWrite { register: 0x5C, words, .. } if *words == [1]));
    let told = place(&|deed| *deed == Deed::BootMessage { board: Triad::new(0, 0, 0), opcode: 1 });
    let booted = place(&|deed| *deed == Deed::Booted { board: Triad::new(0, 0, 0) });
    assert!(asked < powered && powered < stopped && stopped < told && told < booted, "{deeds:?}");
}

#[test]
fn one_image_is_enough_for_boards_that_hear_each_other() {
    let mut bench = Bench::new();
    ok(bench.ask_bmp(0, &power(true, &[0, 1, 2])));
    bench.boot(0);
    assert!(bench.is_up(0) && bench.is_up(1) && bench.is_up(2));
}

#[test]
fn stop_registers_part_boards_until_they_have_power_anew() {
    let mut bench = Bench::new();
    ok(bench.ask_bmp(0, &power(true, &[0, 1, 2])));
    for link in Link::ALL {
        ok(bench.ask_bmp(0, &stop(link)));
    }
    bench.boot(0);
    assert!(bench.is_up(0) && !bench.is_up(1) && !bench.is_up(2));
    ok(bench.ask_bmp(0, &power(true, &[0, 1, 2])));
    bench.boot(0);
    assert!(bench.is_up(0) && bench.is_up(1) && bench.is_up(2), "all links are open after power-on");
}

#[test]
fn a_dead_board_is_gone_from_the_bus_and_its_address_is_silent() {
    let mut bench = Bench::new();
    ok(bench.ask_bmp(0, &power(true, &[0, 1])));
    bench.boot(0);
    bench.fault("dead 0 0 1").unwrap();
    assert_eq!(bench.ask_board(1), None);
    assert_eq!(bench.ask_bmp(1, &bmp::Command::Version).unwrap().0, ResultCode::ROUTE);
    bench.fault("alive 0 0 1").unwrap();
    ok(bench.ask_bmp(1, &bmp::Command::Version));
    assert_eq!(bench.ask_board(1), None, "it forgot its image");
    ok(bench.ask_bmp(0, &power(true, &[1])));
    bench.boot(1);
    assert!(bench.is_up(1));
}

#[test]
fn an_unplugged_frame_is_silent_and_stays_as_it_is() {
    let mut bench = Bench::new();
    ok(bench.ask_bmp(0, &power(true, &[0])));
    bench.boot(0);
    bench.fault("offline 0 0").unwrap();
    assert_eq!(bench.ask_bmp(0, &bmp::Command::Version), None);
    assert_eq!(bench.ask_board(0), None);
    bench.fault("online 0 0").unwrap();
    ok(bench.ask_bmp(0, &bmp::Command::Version));
    assert!(bench.is_up(0));
}

#[test]
fn a_frame_without_current_forgets_all() {
    let mut bench = Bench::new();
    ok(bench.ask_bmp(0, &power(true, &[0])));
    bench.boot(0);
    bench.fault("kill 0 0").unwrap();
    assert_eq!(bench.ask_bmp(0, &bmp::Command::Version), None);
    assert_eq!(bench.ask_board(0), None);
    bench.fault("restart 0 0").unwrap();
    ok(bench.ask_bmp(0, &bmp::Command::Version));
    assert_eq!(bench.ask_board(0), None);
    assert!(!bench.plant.is_on(*bench.at(0).ip()));
}

#[test]
fn a_busy_bmp_and_a_bad_fpga_are_so_as_often_as_was_said() {
    let mut bench = Bench::new();
    bench.fault("busy 2 frame 0 0").unwrap();
    for _ in 0..2 {
        assert_eq!(bench.ask_bmp(0, &bmp::Command::Version).unwrap().0, ResultCode::P2P_BUSY);
    }
    ok(bench.ask_bmp(0, &bmp::Command::Version));
    bench.fault("bad-fpga 0 0 0 1 for 1").unwrap();
    let id = |bench: &mut Bench| ok(bench.ask_bmp(0, &who(Fpga::SouthWestWest)))[0] & 3;
    ok(bench.ask_bmp(0, &power(true, &[0])));
    assert_ne!(id(&mut bench), 1);
    ok(bench.ask_bmp(0, &power(true, &[0])));
    assert_eq!(id(&mut bench), 1);
}

#[test]
fn all_ends_with_clear() {
    let mut bench = Bench::new();
    for line in ["loss 1", "busy 9 frame 0 0", "dead 0 0 0", "offline 0 0", "kill 0 0"] {
        bench.fault(line).unwrap();
        assert!(bench.ask_bmp(0, &bmp::Command::Version).is_none_or(|(result, _)| result != ResultCode::OK));
    }
    bench.fault("clear").unwrap();
    ok(bench.ask_bmp(0, &bmp::Command::Version));
    ok(bench.ask_bmp(0, &power(true, &[0])));
    bench.boot(0);
    assert!(bench.is_up(0));
}

#[test]
fn the_way_there_and_back_may_be_bad() {
    let mut bench = Bench::new();
    let bmp = *bench.spec.bmp(0, 0).unwrap().ip();
    bench.fault(&format!("lose 1 out at {bmp}")).unwrap();
    assert_eq!(bench.ask_bmp(0, &power(true, &[0])), None);
    assert!(bench.plant.is_on(*bench.at(0).ip()), "the order came, the answer did not");
    bench.fault("delay 400").unwrap();
    ok(bench.ask_bmp(0, &bmp::Command::Version));
    bench.heard.clear();
    bench.send(SocketAddrV4::new(bmp, SCP_UDP_PORT), &bmp_request(0, 1, &bmp::Command::Version));
    assert_eq!(bench.plant.wake_at(), Some(bench.now.plus_ms(400)));
    bench.pass(799);
    assert!(bench.heard.is_empty());
    bench.pass(1);
    assert_eq!(bench.heard.len(), 1);
    bench.fault("clear").unwrap();
    bench.fault("double 1 out").unwrap();
    bench.heard.clear();
    bench.send(SocketAddrV4::new(bmp, SCP_UDP_PORT), &bmp_request(0, 2, &bmp::Command::Version));
    assert_eq!(bench.heard.len(), 2);
    assert_eq!(bench.heard[0], bench.heard[1]);
}

#[test]
fn boards_say_hello_only_where_they_were_told_to() {
    let silent = |hello_to| {
        let mut bench = Bench::of(PlantSpec { hello_to, ..PlantSpec::small(Ipv4Addr::new(127, 50, 0, 1)) });
        ok(bench.ask_bmp(0, &power(true, &[0])));
        bench.heard.clear();
        bench.pass(60_000);
        bench.heard.iter().map(|datagram| (datagram.from, datagram.to)).collect::<Vec<_>>()
    };
    assert!(silent(None).is_empty());
    let target = SocketAddrV4::new(Ipv4Addr::LOCALHOST, BOOT_UDP_PORT);
    let heard = silent(Some(target));
    let from = SocketAddrV4::new(Ipv4Addr::new(127, 50, 0, 1), BOOT_UDP_PORT);
    assert!((14..=15).contains(&heard.len()), "{}", heard.len());
    assert!(heard.iter().all(|hello| *hello == (from, target)), "{heard:?}");
}

#[test]
fn faults_that_name_nothing_there_are_answered_with_a_sentence() {
    let mut bench = Bench::new();
    let mut sentence = |line: &str| bench.fault(line).expect_err(line).0;
    assert_eq!(sentence("offline 0 7"), "there is no frame 7 in cabinet 0");
    assert_eq!(sentence("offline m 0 0"), "there is no machine 'm'; there are small");
    assert_eq!(sentence("dead small 0 0 3"), "there is no board 3 in cabinet 0 frame 0");
    assert_eq!(sentence("loss 1 at 127.0.0.1"), "nothing simulated has the address 127.0.0.1");
}

#[test]
fn machines_with_the_same_frame_must_be_named() {
    let torus = Torus { width: 1, height: 1 };
    let machines = vec![
        MachinePlan::one_frame("a", torus, Ipv4Addr::new(127, 50, 0, 1)),
        MachinePlan::one_frame("b", torus, Ipv4Addr::new(127, 50, 1, 1)),
    ];
    let mut bench = Bench::of(PlantSpec { machines, ..PlantSpec::default() });
    let why = bench.fault("offline 0 0").unwrap_err().0;
    assert!(why.ends_with("name one, as in 'a 0 0'"), "{why}");
    bench.fault("offline b 0 0").unwrap();
    ok(bench.ask_bmp(0, &bmp::Command::Version));
    bench.fault("offline a 0 0").unwrap();
    assert_eq!(bench.ask_bmp(0, &bmp::Command::Version), None);
}

#[test]
fn plans_that_contradict_themselves_are_refused_with_a_sentence() {
    let refused = |change: &dyn Fn(&mut MachinePlan)| {
        let mut spec = PlantSpec::small(Ipv4Addr::new(127, 50, 0, 1));
        change(&mut spec.machines[0]);
        Plant::new(&spec).err().expect("a refusal").0
    };
    type Change<'a> = &'a dyn Fn(&mut MachinePlan);
    let cases: [(&str, Change<'_>); 6] = [
        ("have the same address 127.50.0.1", &|plan| plan.boards[1].address = plan.boards[0].address),
        ("has no BMP for cabinet 0 frame 1", &|plan| plan.boards[1].frame = 1),
        ("outside of it or named twice", &|plan| plan.boards[1].board = plan.boards[0].board),
        ("outside of it or named twice", &|plan| plan.boards[1].logical.x = 1),
        ("each side may have 1 to 21", &|plan| plan.torus.width = 22),
        ("a BMP can say 255 at most", &|plan| plan.frames[0].frame = 256),
    ];
    for (sentence, change) in cases {
        assert!(refused(change).contains(sentence), "{sentence}: {}", refused(change));
    }
}

#[test]
fn chips_are_what_the_spec_says_of_sc_mp_and_the_echo_core() {
    let scamp = Firmware { dialect: Dialect::Masked, release: [3, 4, 1], ..Firmware::default() };
    let spec = PlantSpec { scamp, echo_core: Some(5), ..PlantSpec::small(Ipv4Addr::new(127, 50, 0, 1)) };
    let mut bench = Bench::of(spec);
    ok(bench.ask_bmp(0, &power(true, &[0])));
    bench.boot(0);
    let body = ok(bench.ask_board(0));
    assert!(body.windows(5).any(|bytes| bytes == b"3.4.1"), "{body:?}");
    bench.asked += 1;
    let unknown = scamp::Command::Read { address: 0, length: 257, unit: Unit::Byte };
    let request = chip_request(Chip::ROOT, bench.asked, &unknown);
    let refused = ok(bench.ask(bench.at(0), &request, 10));
    assert!(refused.is_empty(), "an error in the manner of 4.0.0 has no body: {refused:?}");
    let core = Core::new(5).unwrap();
    let to = Endpoint { chip: Chip::ROOT, core, port: Port::new(1).unwrap() };
    let message = Message { header: Header::asking(to, Chip::ROOT), data: b"hello there" };
    let mut bytes = Vec::new();
    message.encode_datagram([0; 2], &mut bytes);
    bench.heard.clear();
    bench.send(bench.at(0), &bytes);
    assert!(bench.heard[0].bytes.ends_with(b"hello there"));
}
