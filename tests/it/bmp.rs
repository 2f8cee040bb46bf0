//! The BMP controller against simulated frames over a bad network, all of it in virtual time: random orders, random faults.

use berth::allocator::BoardIndex;
use berth::clock::Moment;
use berth::controller::bmp::floor::{Floor, Step};
use berth::controller::bmp::layout::{FrameId, Layout, Seat};
use berth::controller::bmp::question::{Question, Trouble};
use berth::controller::{BmpSettings, Outcome};
use berth::lab::command::{Consult, Consultation};
use berth::lab::effect::{Action, Order};
use berth::lab::fact::{BoardRef, Grant, OrderId};
use berth::lab::machine::{MachineSpec, PlaceRule, Places, Shape, TriadsSpec};
use berth::simulator::frame::{Frame, FrameEvent, FrameSpec};
use berth::simulator::{Arrived, Leaving};
use berth::spinnaker::SCP_UDP_PORT;
use berth::spinnaker::bmp::fpga::{Fpga, Link};
use berth::spinnaker::bmp::{Board, Boards};
use berth::spinnaker::exchange::{At, Done, Exchange, Limits};
use berth::spinnaker::scp::{CommandCode, Reply, Request, ResultCode, Sequence};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::Arc;

/// Boards of one of the two frames.
const FRAME_BOARDS: u32 = 12;
/// Boards of the machine.
const BOARDS: u32 = 2 * FRAME_BOARDS;
/// Who asks.
const HOST: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, 1), 40_000);

/// Numbers that look like chance.
struct Chance(u64);

impl Chance {
    fn below(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % below
    }

    fn once_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }
}

/// A frame, the network before it, and the conversation with it.
struct Wire {
    exchange: Exchange,
    frame: Frame,
    /// The question under way, and its ticket.
    under_way: Option<(u64, Question, berth::spinnaker::exchange::Ticket)>,
    toward: BTreeMap<(At, u64), Vec<u8>>,
    back: BTreeMap<(At, u64), Vec<u8>>,
    sent: u64,
    /// Power commands that were sent, which are never sent twice.
    powers: BTreeSet<(u64, Sequence)>,
}

/// One run.
struct Play {
    seed: u64,
    chance: Chance,
    now: Moment,
    floor: Floor,
    layout: Layout,
    settings: Arc<BmpSettings>,
    wires: BTreeMap<FrameId, Wire>,
    /// One datagram in so many is lost, and as many come twice; 0 for none.
    loss: u64,
    orders: BTreeMap<OrderId, (Vec<u32>, Action)>,
    last: BTreeMap<u32, OrderId>,
    answered: BTreeSet<(OrderId, u32)>,
    obeyed: usize,
    failed: usize,
    tickets: u64,
    open: BTreeSet<u64>,
}

/// A whole machine of so many triads, whose first board has this address; its frames are controlled from there.
pub fn triads(
    (width, height): (u32, u32),
    first: Ipv4Addr,
    bmps: BTreeMap<(u32, u32), Arc<str>>,
    boots: bool,
) -> Arc<MachineSpec> {
    let (base, strides) = (first.into(), [5 << 8, 1 << 8, 8]);
    let places = PlaceRule { boards_per_frame: FRAME_BOARDS, frames_per_cabinet: 5, base, strides };
    let (dead_boards, dead_links, places) = (Vec::new(), Vec::new(), Places::Rule(places));
    Arc::new(MachineSpec {
        name: "m".into(),
        shape: Shape::Triads(TriadsSpec { width, height, dead_boards, dead_links, places, bmps }),
        tags: BTreeSet::new(),
        kinds: vec!["spinnaker".into()],
        settle_ms: 0,
        order_ms_max: 60_000,
        boots,
        agents: false,
    })
}

fn machine() -> Arc<MachineSpec> {
    let bmps = [((0, 0), "bmp-0".into()), ((0, 1), "bmp-1".into())].into();
    triads((4, 2), Ipv4Addr::new(10, 11, 0, 1), bmps, false)
}

impl Play {
    fn new(seed: u64) -> Play {
        let mut chance = Chance(seed.wrapping_mul(0x9E37_79B9) + 1);
        let settings = Arc::new(BmpSettings::default());
        let layout = Layout::new(machine()).expect("a machine of triads");
        let loss = [0, 0, 40, 12][chance.below(4) as usize];
        let mut wires = BTreeMap::new();
        for number in 0..2 {
            let boards: Boards = (0..FRAME_BOARDS as u8).filter_map(Board::new).collect();
            let mut spec = FrameSpec::new(number, boards);
            spec.fpga_load_ms = [0, 300, 1_500, 2_400][chance.below(4) as usize];
            let wire = Wire {
                exchange: Exchange::new(Limits::BMP),
                frame: Frame::new(spec),
                under_way: None,
                toward: BTreeMap::new(),
                back: BTreeMap::new(),
                sent: 0,
                powers: BTreeSet::new(),
            };
            wires.insert(FrameId { cabinet: 0, frame: number.into() }, wire);
        }
        Play {
            seed,
            chance,
            now: Moment(1_000),
            floor: Floor::new(settings.clone(), Some(layout.clone()), BOARDS),
            layout,
            settings,
            wires,
            loss,
            orders: BTreeMap::new(),
            last: BTreeMap::new(),
            answered: BTreeSet::new(),
            obeyed: 0,
            failed: 0,
            tickets: 0,
            open: BTreeSet::new(),
        }
    }

    fn at(&self) -> At {
        At(self.now.0)
    }

    /// Gives a random order to boards that no other job has, as the lab would.
    fn order(&mut self) {
        let first = self.chance.below(BOARDS.into()) as u32;
        let boards: Vec<u32> = match self.chance.below(4) {
            0 => vec![first],
            1 => (0..3).map(|z| first / 3 * 3 + z).collect(),
            2 => (0..12).map(|board| board + 6).collect(),
            _ => vec![0, 1, 2, 6, 7, 8, 12, 13, 14],
        };
        let action = match self.chance.below(6) {
            0 => Action::PowerOff,
            1 | 2 => Action::Clean,
            3 => Action::Test,
            _ => Action::Prepare { kind: "spinnaker".into(), args: "".into() },
        };
        let id = OrderId { grant: Grant(self.orders.len() as u64 + 1), step: 0 };
        let all: Arc<[_]> = boards.iter().copied().map(BoardIndex).collect();
        self.last.extend(boards.iter().map(|board| (*board, id)));
        self.orders.insert(id, (boards, action.clone()));
        let order = Order { id, machine: "m".into(), action, boards: all.clone(), mates: all, job: None };
        self.floor.handle_order(self.now, &order);
    }

    fn consult(&mut self) {
        self.tickets += 1;
        let board =
            BoardRef { machine: "m".into(), board: BoardIndex(self.chance.below(BOARDS.into()) as u32) };
        let order = OrderId { grant: Grant(u64::MAX), step: 0 };
        let what =
            if self.chance.once_in(2) { Consult::ReadSensors } else { Consult::Identify { on: Some(true) } };
        self.open.insert(self.tickets);
        self.floor.handle_consult(self.now, self.tickets, &Consultation { board, order, held: None }, &what);
    }

    fn disturb(&mut self) {
        let frame = FrameId { cabinet: 0, frame: self.chance.below(2) as u32 };
        let board = Board::new(self.chance.below(FRAME_BOARDS.into()) as u8).expect("a board");
        let fpga = Fpga::ALL[self.chance.below(3) as usize];
        let faults = self.wires.get_mut(&frame).expect("a frame").frame.faults_mut();
        match self.chance.below(8) {
            0 => drop(faults.bad_fpgas.insert((board, fpga), Some(1))),
            1 => drop(faults.bad_fpgas.insert((board, fpga), None)),
            2 => drop(faults.dead.insert(board, ResultCode::ROUTE)),
            3 => drop(faults.dead.insert(board, ResultCode::P2P_BUSY)),
            4 => faults.dark = faults.dark.and(board),
            5 => faults.busy = 6,
            6 => faults.offline = true,
            _ => *faults = Default::default(),
        }
    }

    fn mend(&mut self) {
        self.loss = 0;
        self.wires.values_mut().for_each(|wire| *wire.frame.faults_mut() = Default::default());
    }

    /// Does all that is to be done now.
    fn settle(&mut self) {
        while let Some(step) = self.floor.poll(self.now) {
            match step {
                Step::Ask { number, frame, question, .. } => {
                    let wire = self.wires.get_mut(&frame).expect("a frame");
                    assert!(wire.under_way.is_none(), "seed {}: two questions at once", self.seed);
                    let ticket = wire.exchange.push(&question.wish(&self.settings)).expect("room for one");
                    wire.under_way = Some((number, question, ticket));
                }
                Step::Outcome(outcome) => self.hear(outcome),
                Step::Answer { ticket, .. } => assert!(self.open.remove(&ticket), "seed {}", self.seed),
                Step::Boot { .. } | Step::StopBoot { .. } => panic!("nobody asked for a boot"),
                Step::Say(_) => {}
            }
        }
        let (now, loss) = (self.at(), self.loss);
        for wire in self.wires.values_mut() {
            wire.send(now, &mut self.chance, loss, self.seed);
        }
    }

    /// An outcome must be new, and true.
    fn hear(&mut self, outcome: Outcome) {
        let (boards, action) = self.orders[&outcome.order].clone();
        let job: Vec<_> = boards.iter().copied().map(BoardIndex).collect();
        let failed = outcome.failed.iter().map(|(board, _)| *board);
        for board in outcome.obeyed.iter().copied().chain(failed) {
            assert!(boards.contains(&board.0), "seed {}: {board:?}", self.seed);
            let new = self.answered.insert((outcome.order, board.0));
            assert!(new, "seed {}: {board:?} answered order {} twice", self.seed, outcome.order);
        }
        (self.obeyed, self.failed) = (self.obeyed + outcome.obeyed.len(), self.failed + outcome.failed.len());
        for board in outcome.obeyed.iter().filter(|board| self.last[&board.0] == outcome.order) {
            match action {
                Action::Prepare { .. } => self.check_parted(*board, &job),
                Action::Clean => assert!(!self.is_on(*board), "seed {}: {board:?} is on", self.seed),
                _ => {}
            }
        }
    }

    fn check_parted(&self, board: BoardIndex, job: &[BoardIndex]) {
        let Seat { frame, board: number } = self.layout.seat(board).expect("a seat");
        let wire = &self.wires[&frame];
        assert!(wire.frame.is_on(number), "seed {}: {board:?} is off", self.seed);
        let stopped: Vec<_> =
            (0..).zip(Link::ALL).filter(|(_, link)| wire.frame.stops(number, *link)).collect();
        let stopped: Vec<u32> = stopped.into_iter().map(|(number, _)| number).collect();
        let cuts = self.layout.cuts(job).remove(&board).unwrap_or_default();
        let wanted: Vec<_> = cuts.into_iter().map(|link| link.number()).collect();
        assert_eq!(stopped, wanted, "seed {}: {board:?}", self.seed);
    }

    fn is_on(&self, board: BoardIndex) -> bool {
        let Seat { frame, board } = self.layout.seat(board).expect("a seat");
        self.wires[&frame].frame.is_on(board)
    }

    /// The next thing that happens by itself; false when nothing does.
    fn step(&mut self) -> bool {
        self.settle();
        let wires = self.wires.values().filter_map(Wire::next).min().map(|at| Moment(at.0));
        let Some(next) = wires.into_iter().chain(self.floor.wake_at()).min() else { return false };
        self.now = self.now.max(next);
        let (now, loss) = (self.at(), self.loss);
        let mut done = Vec::new();
        for wire in self.wires.values_mut() {
            done.extend(wire.pass(now, &mut self.chance, loss));
        }
        for (number, reply) in done {
            self.floor.handle_reply(self.now, number, reply);
        }
        self.settle();
        true
    }
}

impl Wire {
    fn next(&self) -> Option<At> {
        let network = self.toward.keys().chain(self.back.keys()).map(|(at, _)| *at).min();
        [self.exchange.next_deadline(), self.frame.wake_at(), network].into_iter().flatten().min()
    }

    fn send(&mut self, now: At, chance: &mut Chance, loss: u64, seed: u64) {
        while let Some(datagram) = self.exchange.poll_send(now).map(<[u8]>::to_vec) {
            let request = Request::decode(&datagram).expect("a request");
            if request.call.command == CommandCode::BMP_POWER {
                let number = self.under_way.as_ref().map_or(0, |(number, ..)| *number);
                assert!(self.powers.insert((number, request.sequence)), "seed {seed}: power was sent twice");
            }
            self.sent += 1;
            carry(&mut self.toward, (now.plus_ms(1), self.sent), datagram, chance, loss);
        }
    }

    /// Lets everything happen that is due.
    fn pass(&mut self, now: At, chance: &mut Chance, loss: u64) -> Vec<(u64, Result<Vec<u8>, Trouble>)> {
        let mut leaving = Vec::new();
        self.frame.wake(now, &mut leaving);
        while let Some((key, bytes)) = self.toward.pop_first() {
            if key.0 > now {
                self.toward.insert(key, bytes);
                break;
            }
            let arrived = Arrived { from: HOST, port: SCP_UDP_PORT, bytes: &bytes };
            self.frame.handle(now, &arrived, &mut leaving);
        }
        for Leaving { bytes, to, .. } in leaving {
            assert_eq!(to, HOST);
            self.sent += 1;
            carry(&mut self.back, (now.plus_ms(1), self.sent), bytes, chance, loss);
        }
        while self.frame.poll_event().is_some_and(|event| !matches!(event, FrameEvent::Reset { .. })) {}
        let mut done: Vec<Done> = self.exchange.poll_expired(now);
        while let Some((key, bytes)) = self.back.pop_first() {
            if key.0 > now {
                self.back.insert(key, bytes);
                break;
            }
            done.extend(self.exchange.handle(&bytes, now));
        }
        done.into_iter().filter_map(|done| self.finish(done)).collect()
    }

    fn finish(&mut self, done: Done) -> Option<(u64, Result<Vec<u8>, Trouble>)> {
        let (number, _, ticket) = self.under_way.take()?;
        assert_eq!(ticket, done.ticket);
        let body = |datagram: Vec<u8>| Reply::decode(&datagram).expect("a reply").body.to_vec();
        Some((number, done.outcome.map(body).map_err(Trouble::Failed)))
    }
}

/// Puts a datagram on its way, unless it is lost; some come twice.
fn carry(
    way: &mut BTreeMap<(At, u64), Vec<u8>>,
    key: (At, u64),
    bytes: Vec<u8>,
    chance: &mut Chance,
    loss: u64,
) {
    if loss > 0 && chance.once_in(loss) {
        return;
    }
    if loss > 0 && chance.once_in(loss) {
        way.insert((key.0.plus_ms(1), key.1), bytes.clone());
    }
    way.insert(key, bytes);
}

fn play(seed: u64) -> (usize, usize) {
    let mut play = Play::new(seed);
    for _ in 0..400 {
        match play.chance.below(30) {
            0 => play.order(),
            1 if !seed.is_multiple_of(4) => play.disturb(),
            2 => play.consult(),
            _ => drop(play.step()),
        }
        play.settle();
    }
    play.mend();
    let mut steps = 0;
    while play.step() {
        steps += 1;
        assert!(steps < 1_000_000, "seed {seed}: it never ends");
    }
    let given =
        play.orders.iter().flat_map(|(id, (boards, _))| boards.iter().map(move |board| (*id, *board)));
    assert_eq!(play.answered, given.collect(), "seed {seed}: each board answers each order once");
    assert!(play.open.is_empty(), "seed {seed}: {:?} were never answered", play.open);
    (play.obeyed, play.failed)
}

#[test]
fn boards_of_simulated_frames_obey_or_say_why_not() {
    let (mut obeyed, mut failed) = (0, 0);
    for seed in 0..300 {
        let (did, did_not) = play(seed);
        (obeyed, failed) = (obeyed + did, failed + did_not);
    }
    assert!(obeyed > 1_000 && failed > 300, "{obeyed} obeyed and {failed} failed: the test has become dull");
}

#[test]
fn without_faults_all_boards_obey_but_those_that_were_overtaken() {
    let mut play = Play::new(4);
    play.mend();
    play.order();
    while play.step() {}
    assert_eq!(play.failed, 0);
    assert!(play.obeyed > 0);
}
