//! The BMP controller as it runs, over UDP on loopback, against simulated hardware: frames, boot ROMs and SC&MP.

use crate::bmp::triads;
use async_std::task::block_on;
use berth::allocator::{BoardIndex, Torus};
use berth::clock::Clock;
use berth::controller::driver::{self, Handle};
use berth::controller::{
    BmpSettings, Boards, BootImage, ControllerError, ControllerSettings, Outcome, Reading, Task,
};
use berth::lab::command::{Consult, Consultation, Held};
use berth::lab::effect::{Action, Order};
use berth::lab::fact::{BoardRef, Grant, OrderId};
use berth::lab::machine::MachineSpec;
use berth::simulator::plant::{MachinePlan, PlantSpec};
use berth::simulator::serve::{Options, Simulation};
use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// Far longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);
/// The whole machine: two triads in one frame.
const TORUS: Torus = Torus { width: 2, height: 1 };

/// A machine that is simulated, and its controller.
struct Bench {
    simulation: Simulation,
    handle: Handle,
    outcomes: async_channel::Receiver<Outcome>,
}

/// An address that nobody else here has, with room for a frame behind it.
fn address() -> Ipv4Addr {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = std::process::id().wrapping_mul(16).wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
    let [_, _, high, low] = number.to_be_bytes();
    Ipv4Addr::new(127, 201 + high % 50, low, 9)
}

fn machine(first: Ipv4Addr) -> Arc<MachineSpec> {
    let bmp = Ipv4Addr::from(u32::from(first) - 1).to_string();
    triads((TORUS.width, TORUS.height), first, [((0, 0), bmp.into())].into(), true)
}

impl Bench {
    fn new() -> Bench {
        let first = address();
        let machines = vec![MachinePlan::one_frame("m", TORUS, first)];
        let plant = PlantSpec { machines, ..PlantSpec::default() };
        let simulation = Simulation::start(plant, Options::default()).expect("free addresses");
        let mut image = BootImage::of_file("scamp.boot".into());
        image.take(&[7; 5_000]).expect("an image");
        let settings = BmpSettings {
            on_settle_ms: 60,
            fpga_ms_max: 200,
            boot_image: Some(image),
            ..BmpSettings::default()
        };
        let (left, outcomes) = async_channel::unbounded();
        let boards = Boards::of(machine(first));
        let leave = move |outcome| drop(left.try_send(outcome));
        let settings = ControllerSettings::Bmp(settings);
        let handle = driver::start("m".into(), settings, boards, Clock::system(), leave);
        Bench { simulation, handle, outcomes }
    }

    /// Gives an order, and waits for all that comes of it: boards that obeyed, boards that failed and why.
    fn order(&self, step: u32, action: Action, boards: &[u32]) -> (BTreeSet<u32>, Vec<String>) {
        let id = OrderId { grant: Grant(1), step };
        let all: Arc<[_]> = boards.iter().copied().map(BoardIndex).collect();
        let order = Order { id, machine: "m".into(), action, boards: all.clone(), mates: all, job: None };
        self.handle.give(Task::Order(order));
        let (mut obeyed, mut failed) = (BTreeSet::new(), Vec::new());
        while obeyed.len() + failed.len() < boards.len() {
            let came = block_on(async_std::future::timeout(PATIENCE, self.outcomes.recv()));
            let outcome = came.expect("an outcome in time").expect("the controller lives");
            assert_eq!(outcome.order, id);
            obeyed.extend(outcome.obeyed.iter().map(|board| board.0));
            failed.extend(outcome.failed.iter().map(|(board, why)| format!("{}: {why}", board.0)));
        }
        (obeyed, failed)
    }

    fn ask(&self, board: u32, what: Consult, held: Option<Held>) -> Result<Reading, ControllerError> {
        let (answer, answered) = futures_channel::oneshot::channel();
        let board = BoardRef { machine: "m".into(), board: BoardIndex(board) };
        let at = Consultation { board, order: OrderId { grant: Grant(1), step: 99 }, held };
        self.handle.give(Task::Consult { at, what, answer });
        let came = block_on(async_std::future::timeout(PATIENCE, answered));
        came.expect("an answer in time").expect("the controller lives")
    }
}

fn prepare(args: &str) -> Action {
    Action::Prepare { kind: "spinnaker".into(), args: args.into() }
}

fn all(boards: &[u32]) -> (BTreeSet<u32>, Vec<String>) {
    (boards.iter().copied().collect(), Vec::new())
}

#[test]
fn boards_are_switched_booted_read_and_cleaned_over_udp() {
    let bench = Bench::new();
    assert_eq!(bench.order(0, prepare(r#"{"boot": true}"#), &[0, 1, 2]), all(&[0, 1, 2]));
    let Ok(Reading::Sensors(sensors)) = bench.ask(1, Consult::ReadSensors, None) else {
        panic!("no sensors")
    };
    assert!((sensors["voltage_1v8"].0 - 1.8).abs() < 0.05, "{sensors:?}");
    assert_eq!(bench.ask(1, Consult::Identify { on: Some(true) }, None), Ok(Reading::Done));
    let boards: Arc<[_]> = [0, 1, 2].map(BoardIndex).into();
    let held = Held { boards, kind: "spinnaker".into(), args: "".into() };
    assert_eq!(bench.ask(2, Consult::PowerCycle, Some(held)), Ok(Reading::Done));
    assert_eq!(bench.order(1, Action::Clean, &[0, 1, 2]), all(&[0, 1, 2]));
    let Ok(Reading::Sensors(sensors)) = bench.ask(1, Consult::ReadSensors, None) else {
        panic!("no sensors")
    };
    assert!(sensors["voltage_1v8"].0 < 0.1, "{sensors:?}");
    block_on(bench.handle.stop());
}

#[test]
fn what_is_wrong_with_boards_is_found_over_a_bad_network() {
    let bench = Bench::new();
    bench
        .simulation
        .faults("bad-fpga 0 0 1 2\nbad-fpga 0 0 2 0 for 1\nbusy 3 frame 0 0\nlose 1 out")
        .expect("faults");
    let (obeyed, failed) = bench.order(0, prepare(""), &[0, 1, 2, 3, 4, 5]);
    assert_eq!(obeyed, [0, 2, 3, 4, 5].into());
    assert!(failed[0].starts_with("1: the board has an FPGA 2 that says"), "{failed:?}");
    block_on(bench.handle.stop());
}
