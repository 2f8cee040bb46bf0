//! A machine of four triads in two frames, whose BMPs answer from a few sets, in virtual time.

use crate::allocator::link::Link;
use crate::allocator::{BoardIndex, Torus};
use crate::clock::Moment;
use crate::controller::bmp::booting::Booted;
use crate::controller::bmp::floor::{Floor, Step};
use crate::controller::bmp::layout::{FrameId, Layout};
use crate::controller::bmp::question::{Question, Trouble};
use crate::controller::{BmpSettings, ControllerError, Outcome, Reading};
use crate::lab::command::{Consult, Consultation, Held};
use crate::lab::effect::{Action, Order};
use crate::lab::fact::{BoardRef, Grant, OrderId};
use crate::lab::machine::{MachineSpec, PlaceRule, Places, Shape, TriadsSpec};
use crate::spinnaker::bmp::Status;
use crate::spinnaker::exchange::Failure;
use crate::spinnaker::scp::ResultCode;
use crate::spinnaker::sdp::Chip;
use crate::spinnaker::version::{Release, Version};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Boards of a frame.
pub const FRAME_BOARDS: u32 = 6;
/// How long a question takes to be answered.
pub const ANSWER_MS: u64 = 5;
/// How long it takes to find out that nobody answers.
pub const SILENCE_MS: u64 = 8_000;

/// What comes of a question.
type Replied = Result<Vec<u8>, Trouble>;

/// A BMP and its boards.
#[derive(Default)]
pub struct Toy {
    pub on: BTreeSet<u32>,
    pub stopped: BTreeSet<(u32, Link)>,
    /// Boards whose FPGAs do not load so many times more.
    pub bad: BTreeMap<u32, u32>,
    /// Boards that stay on.
    pub sticky: BTreeSet<u32>,
    /// Whether it says nothing at all.
    pub silent: bool,
    /// How many requests it is too busy for.
    pub busy: u32,
    /// What becomes of the next power commands: whether each is done; its answer is lost.
    pub lost_powers: Vec<bool>,
    /// Its version.
    pub hundredths: Option<u16>,
    /// What it was asked.
    pub asked: Vec<String>,
    /// How long switching on takes.
    pub on_ms: u64,
}

impl Toy {
    /// What comes of a question, and after how long.
    fn answer(&mut self, question: Question) -> (u64, Replied) {
        self.asked.push(question.to_string());
        let silence = (SILENCE_MS, Err(Trouble::Failed(Failure::Silent)));
        if self.silent {
            return silence;
        }
        if self.busy > 0 {
            self.busy -= 1;
            return (400, Err(Trouble::Failed(Failure::Unable(ResultCode::P2P_BUSY))));
        }
        match question {
            Question::Power { on, boards } => {
                let lost = if self.lost_powers.is_empty() { None } else { Some(self.lost_powers.remove(0)) };
                if lost != Some(false) {
                    boards.iter().for_each(|board| self.switch(board.number().into(), on));
                }
                match lost {
                    Some(_) => (10_000, Err(Trouble::Failed(Failure::Silent))),
                    None => (ANSWER_MS + if on { self.on_ms } else { 0 }, Ok(Vec::new())),
                }
            }
            Question::Version => (ANSWER_MS, Ok(self.version())),
            Question::WhoIs { board, fpga } => {
                let board = u32::from(board.number());
                let good = self.on.contains(&board) && !self.bad.contains_key(&board);
                let number = if good { fpga.number() } else { 3 };
                // The other flags are of no interest.
                (ANSWER_MS, Ok((number | 0xF4).to_le_bytes().to_vec()))
            }
            Question::Stop { board, link } => {
                self.stopped.insert((board.number().into(), link));
                (ANSWER_MS, Ok(Vec::new()))
            }
            Question::Light { .. } => (ANSWER_MS, Ok(Vec::new())),
            Question::Sensors { board } => {
                let mut body = Vec::new();
                let none = [Status::NO_TEMPERATURE; 4];
                let on = if self.on.contains(&board.number().into()) { 1_966 } else { 30 };
                let (voltages, fans) = ([0, on, on, on, on, 0, 3_604, 3_277], [Status::NO_FAN; 4]);
                let status =
                    Status { voltages, internal: none, external: none, fans, warnings: 0, shutdown: 0 };
                status.encode(&mut body);
                (ANSWER_MS, Ok(body))
            }
        }
    }

    fn switch(&mut self, board: u32, on: bool) {
        if !on && self.sticky.contains(&board) {
            return;
        }
        if on {
            self.on.insert(board);
            self.stopped.retain(|(other, _)| *other != board);
            match self.bad.get_mut(&board) {
                Some(0) => drop(self.bad.remove(&board)),
                Some(times) => *times -= 1,
                None => {}
            }
        } else {
            self.on.remove(&board);
        }
    }

    fn version(&self) -> Vec<u8> {
        let mut body = Vec::new();
        let release = self.hundredths.map_or(Release::Words("2.1.2"), Release::Hundredths);
        let (name, hardware, chip) = ("BC&MP", "Spin5-BMP", Chip { x: 1, y: 0 });
        let version = Version {
            core: 0,
            physical_core: 0,
            chip,
            buffer_bytes: 256,
            built_s: 0,
            name,
            hardware,
            release,
        };
        version.encode(&mut body);
        body
    }

    /// How often it was asked something that begins so.
    pub fn count(&self, beginning: &str) -> usize {
        self.asked.iter().filter(|asked| asked.starts_with(beginning)).count()
    }
}

/// The floor, its BMPs, and what has come of it all.
pub struct Bench {
    pub now: Moment,
    pub floor: Floor,
    pub layout: Layout,
    settings: Arc<BmpSettings>,
    pub toys: BTreeMap<FrameId, Toy>,
    /// Replies under way.
    flights: BTreeMap<(Moment, u64), (FrameId, Replied)>,
    pub outcomes: Vec<Outcome>,
    pub answers: BTreeMap<u64, Result<Reading, ControllerError>>,
    /// Boots under way, with the host and the size in chips.
    pub boots: BTreeMap<u64, (Arc<str>, u32, u32)>,
    /// Boots that were given up.
    pub stopped_boots: Vec<u64>,
    pub said: Vec<String>,
    tickets: u64,
}

/// Two triads by two: frame 0 has the boards 0 to 5, frame 1 the boards 6 to 11.
pub fn machine() -> Arc<MachineSpec> {
    let rule = PlaceRule {
        boards_per_frame: FRAME_BOARDS,
        frames_per_cabinet: 5,
        base: u32::from_be_bytes([10, 11, 0, 1]),
        strides: [5 << 8, 1 << 8, 8],
    };
    let bmps = [((0, 0), "bmp-0".into()), ((0, 1), "bmp-1".into())].into();
    let shape = Shape::Triads(TriadsSpec {
        width: 2,
        height: 2,
        dead_boards: Vec::new(),
        dead_links: Vec::new(),
        places: Places::Rule(rule),
        bmps,
    });
    let (tags, kinds) = (BTreeSet::new(), vec!["spinnaker".into()]);
    Arc::new(MachineSpec {
        name: "m".into(),
        shape,
        tags,
        kinds,
        settle_ms: 0,
        order_ms_max: 60_000,
        boots: true,
        agents: false,
    })
}

pub const TORUS: Torus = Torus { width: 2, height: 2 };

pub fn frame(number: u32) -> FrameId {
    FrameId { cabinet: 0, frame: number }
}

pub fn boards(numbers: &[u32]) -> Arc<[BoardIndex]> {
    numbers.iter().copied().map(BoardIndex).collect()
}

pub fn id(grant: u64, step: u32) -> OrderId {
    OrderId { grant: Grant(grant), step }
}

pub fn order(grant: u64, step: u32, action: Action, numbers: &[u32]) -> Order {
    let boards = boards(numbers);
    Order { id: id(grant, step), machine: "m".into(), action, mates: boards.clone(), boards, job: None }
}

pub fn prepare() -> Action {
    Action::Prepare { kind: "spinnaker".into(), args: "".into() }
}

pub fn boot() -> Action {
    Action::Prepare { kind: "spinnaker".into(), args: r#"{"boot": true}"#.into() }
}

impl Bench {
    pub fn new() -> Bench {
        Bench::with(BmpSettings::default())
    }

    pub fn with(settings: BmpSettings) -> Bench {
        let settings = Arc::new(settings);
        let layout = Layout::new(machine()).unwrap();
        let floor = Floor::new(settings.clone(), Some(layout.clone()), TORUS.board_count());
        Bench {
            now: Moment(1_000_000),
            floor,
            layout,
            settings,
            toys: [(frame(0), Toy::default()), (frame(1), Toy::default())].into(),
            flights: BTreeMap::new(),
            outcomes: Vec::new(),
            answers: BTreeMap::new(),
            boots: BTreeMap::new(),
            stopped_boots: Vec::new(),
            said: Vec::new(),
            tickets: 0,
        }
    }

    /// The server starts anew: what it knew and waited for is gone, boards stay as they are.
    pub fn restart(&mut self) {
        self.floor = Floor::new(self.settings.clone(), Some(self.layout.clone()), TORUS.board_count());
        self.flights.clear();
        self.boots.clear();
    }

    pub fn toy(&mut self, number: u32) -> &mut Toy {
        self.toys.get_mut(&frame(number)).unwrap()
    }

    pub fn give(&mut self, order: &Order) {
        self.floor.handle_order(self.now, order);
    }

    pub fn order(&mut self, grant: u64, step: u32, action: Action, numbers: &[u32]) {
        self.give(&order(grant, step, action, numbers));
    }

    /// Asks a board of the job that has these boards.
    pub fn ask(&mut self, grant: u64, board: u32, what: Consult, held: Option<(&[u32], &str)>) -> u64 {
        self.tickets += 1;
        let board = BoardRef { machine: "m".into(), board: BoardIndex(board) };
        let held = held.map(|(numbers, args)| Held {
            boards: boards(numbers),
            kind: "spinnaker".into(),
            args: args.into(),
        });
        let at = Consultation { board, order: id(grant, 0), held };
        self.floor.handle_consult(self.now, self.tickets, &at, &what);
        self.tickets
    }

    pub fn finish_boot(&mut self, number: u64, came: Result<Vec<(u32, u32)>, &str>) {
        self.boots.remove(&number).expect("such a boot");
        let came = came.map(|chips| Booted { release: "SC&MP/SpiNNaker 4.0.0".into(), chips });
        self.floor.handle_boot(number, came.map_err(Arc::from));
    }

    /// Does what is to be done now.
    pub fn poll(&mut self) {
        while let Some(step) = self.floor.poll(self.now) {
            match step {
                Step::Ask { number, frame, question, .. } => {
                    let under_way = self.flights.values().any(|(other, _)| *other == frame);
                    assert!(!under_way, "two questions at once for {frame}");
                    let (after_ms, reply) = self.toys.get_mut(&frame).unwrap().answer(question);
                    self.flights.insert((self.now.plus_ms(after_ms), number), (frame, reply));
                }
                Step::Boot { number, host, job } => {
                    self.boots.insert(number, (host, job.width_chips, job.height_chips));
                }
                Step::StopBoot { number } => {
                    self.boots.remove(&number);
                    self.stopped_boots.push(number);
                }
                Step::Outcome(outcome) => self.outcomes.push(outcome),
                Step::Answer { ticket, answer } => {
                    assert!(self.answers.insert(ticket, answer).is_none(), "ticket {ticket} answered twice");
                }
                Step::Say(text) => self.said.push(text),
            }
        }
    }

    /// The next thing that happens by itself; false when nothing does.
    pub fn step(&mut self) -> bool {
        self.poll();
        let flight = self.flights.keys().next().copied();
        let next = [flight.map(|(at, _)| at), self.floor.wake_at()].into_iter().flatten().min();
        let Some(next) = next else { return false };
        self.now = self.now.max(next);
        if let Some(key) = flight.filter(|(at, _)| *at <= self.now)
            && let Some((_, reply)) = self.flights.remove(&key)
        {
            self.floor.handle_reply(self.now, key.1, reply);
        }
        self.poll();
        true
    }

    /// Goes on until nothing happens by itself any more.
    pub fn run(&mut self) {
        let mut steps = 0;
        while self.step() {
            steps += 1;
            assert!(steps < 100_000, "it never ends");
        }
    }

    pub fn run_until(&mut self, done: impl Fn(&Bench) -> bool) {
        self.poll();
        while !done(self) {
            assert!(self.step(), "nothing happens any more");
        }
    }

    /// All that came of an order so far: boards that obeyed, boards that failed with their reasons.
    pub fn came(&self, order: OrderId) -> (Vec<u32>, Vec<(u32, String)>) {
        let all = || self.outcomes.iter().filter(move |outcome| outcome.order == order);
        let mut obeyed: Vec<_> = all().flat_map(|outcome| &outcome.obeyed).map(|board| board.0).collect();
        let mut failed: Vec<_> = all()
            .flat_map(|outcome| &outcome.failed)
            .map(|(board, why)| (board.0, why.to_string()))
            .collect();
        obeyed.sort_unstable();
        failed.sort();
        (obeyed, failed)
    }

    /// Whether a board is on with just the links stopped that lead out of its job.
    pub fn is_parted(&self, board: u32, job: &[u32]) -> bool {
        let seat = self.layout.seat(BoardIndex(board)).unwrap();
        let toy = &self.toys[&seat.frame];
        let number = u32::from(seat.board.number());
        let mine = toy.stopped.iter().filter(|(other, _)| *other == number).map(|(_, link)| *link);
        let wanted = self.layout.cuts(&boards(job)).remove(&BoardIndex(board)).unwrap_or_default();
        toy.on.contains(&number) && mine.collect::<Vec<_>>() == wanted
    }

    pub fn is_sticky(&self, board: u32) -> bool {
        let seat = self.layout.seat(BoardIndex(board)).unwrap();
        self.toys[&seat.frame].sticky.contains(&seat.board.number().into())
    }

    pub fn is_on(&self, board: u32) -> bool {
        let seat = self.layout.seat(BoardIndex(board)).unwrap();
        self.toys[&seat.frame].on.contains(&seat.board.number().into())
    }
}
