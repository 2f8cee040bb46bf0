//! A lab made of pieces is the lab they were taken from; pieces that contradict themselves are refused.

use super::*;
use crate::allocator::link::Link;
use crate::allocator::torus::Triad;
use crate::lab::Options;
use crate::lab::command::{Caller, Command};
use crate::lab::fact::{Fact, Mark, SessionEnd};
use crate::lab::job::{JobSpec, Want};
use crate::lab::machine::{PlaceRule, Places, Shape, TriadsSpec};
use crate::lab::view::{BoardAddress, BoardFilter, JobFilter, Query};
use crate::user::{Phc, Role};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

/// How many rounds of a lab's future are looked at.
const ROUNDS: usize = 40;

/// A lab, the present, and everything that happened.
struct Stage {
    lab: Lab,
    now: Moment,
    facts: Vec<Fact>,
}

impl Stage {
    fn new() -> Stage {
        let options = Options { retest_after_ms: 300_000, reports_to_quarantine: 2, ..Options::default() };
        Stage { lab: Lab::new(options), now: Moment(1_790_000_000_000), facts: Vec::new() }
    }

    fn apply(&mut self, fact: Fact) {
        self.lab.apply(&fact);
        self.facts.push(fact);
    }

    /// A wish that is granted, with all that follows from it.
    fn wish(&mut self, who: &str, command: Command) {
        let caller = Caller { user: UserName::parse(who).expect("a good name"), role: Role::Admin };
        let facts = self.lab.decide(self.now, &caller, &command).expect("a wish that can be granted");
        facts.into_iter().for_each(|fact| self.apply(fact));
        self.settle();
    }

    fn settle(&mut self) {
        while let Some(fact) = self.lab.settle(self.now) {
            self.apply(fact);
        }
    }

    fn pass(&mut self, ms: u64) {
        self.now = self.now.plus_ms(ms);
        self.settle();
    }

    /// Queues a job and answers its number.
    fn job(&mut self, owner: &str, spec: JobSpec) -> JobId {
        self.wish(owner, Command::CreateJob(JobSpec { owner: owner.into(), keepalive_ms: None, ..spec }));
        self.lab.last_job
    }

    /// The order that is open for a job.
    fn order(&self, job: JobId) -> OrderId {
        let about = |open: &Outstanding| match open.purpose {
            Purpose::Switch { job, .. } | Purpose::Clean { job } => Some(job),
            Purpose::Test => None,
        };
        let found = self.lab.orders.iter().find(|(_, open)| about(open) == Some(job));
        *found.expect("an open order").0
    }

    /// The first so many boards of a job's order obey, the next so many fail.
    fn answer(&mut self, job: JobId, obeyed: usize, failed: usize) {
        let order = self.order(job);
        let boards = self.lab.orders[&order].boards.clone();
        let failed = boards.iter().skip(obeyed).take(failed).map(|board| (*board, "no link".into()));
        let (obeyed, failed) = (boards.iter().take(obeyed).copied().collect(), failed.collect());
        self.wish("ada", Command::AnswerOrder { order, obeyed, failed });
    }
}

fn on(machine: &str, want: Want) -> JobSpec {
    JobSpec { machine: Some(machine.into()), tags: BTreeSet::new(), ..JobSpec::new("", want) }
}

fn serial(serial: &str) -> BoardAddress {
    BoardAddress::Serial { machine: Some("pool".into()), serial: serial.into() }
}

fn torus() -> MachineSpec {
    let rule = PlaceRule { boards_per_frame: 24, frames_per_cabinet: 5, base: 1, strides: [65_536, 256, 8] };
    let triads = TriadsSpec {
        width: 4,
        height: 4,
        dead_boards: vec![Triad::new(3, 3, 2)],
        dead_links: vec![(Triad::new(0, 0, 0), Link::West)],
        places: Places::Rule(rule),
        bmps: BTreeMap::new(),
    };
    MachineSpec {
        name: "torus".into(),
        shape: Shape::Triads(triads),
        tags: BTreeSet::from(["default".into()]),
        kinds: vec!["spinnaker".into()],
        settle_ms: 30_000,
        order_ms_max: 60_000,
        agents: false,
        boots: true,
    }
}

fn pool() -> MachineSpec {
    let serials = (0..8).map(|number| format!("s{number}").into()).collect();
    MachineSpec { name: "pool".into(), shape: Shape::Pool { serials }, settle_ms: 0, ..torus() }
}

/// A lab in which everything is under way that can be.
fn busy() -> Stage {
    let mut stage = Stage::new();
    stage.wish("ada", Command::Configure(vec![Arc::new(torus()), Arc::new(pool())]));
    people(&mut stage);
    loans(&mut stage);
    troubles(&mut stage);
    for _ in 0..6 {
        let short = on("torus", Want::Triads { width: 2, height: 2 });
        stage.job("ada", JobSpec { lease_ms: Some(60_000), ..short });
    }
    stage.job("ada", on("torus", Want::Triads { width: 4, height: 3 }));
    let given_up = stage.job("bob", on("torus", Want::Boards(40)));
    stage.wish("bob", Command::DestroyJob { job: given_up, reason: Some("no time".into()) });
    stage.wish("ada", Command::SetService { accept: false, reason: "power work at noon".into() });
    stage
}

fn people(stage: &mut Stage) {
    let name = |name| UserName::parse(name).expect("a good name");
    for (user, role) in [("ada", Role::Admin), ("bob", Role::User)] {
        stage.wish("root", Command::CreateUser { user: name(user), role, phc: Phc::dummy() });
    }
    let users = [(name("ada"), Role::Admin), (name("ada"), Role::Admin), (UserName::guest(), Role::Guest)];
    for (number, (user, role)) in (1..).zip(users) {
        let session = SessionKey(number);
        stage.wish(
            "root",
            Command::OpenSession { session, user, role, client: "client".into(), span_ms: 60_000 },
        );
    }
    let session = SessionKey(1);
    stage.wish("root", Command::EndSession { session, why: SessionEnd::LoggedOut });
}

/// Jobs of the torus: ready, going off, half prepared, ended and half clean, half cool.
fn loans(stage: &mut Stage) {
    let lease = JobSpec { lease_ms: Some(120_000), ..on("torus", Want::Triads { width: 1, height: 2 }) };
    let ready = stage.job("ada", lease);
    stage.answer(ready, 6, 0);
    let going_off = stage.job("bob", on("torus", Want::Boards(1)));
    stage.answer(going_off, 1, 0);
    stage.wish("bob", Command::PowerJob { job: going_off, power: false });
    let half_prepared = stage.job("bob", on("torus", Want::Triads { width: 1, height: 1 }));
    stage.answer(half_prepared, 2, 0);
    let ended = stage.job("bob", on("torus", Want::Triads { width: 2, height: 1 }));
    stage.answer(ended, 6, 0);
    stage.wish("bob", Command::DestroyJob { job: ended, reason: None });
    stage.answer(ended, 4, 0);
    stage.pass(1_000);
}

/// Boards of the pool: quarantined, tested, reported, marked, dead.
fn troubles(stage: &mut Stage) {
    let unlucky = stage.job("bob", on("pool", Want::Boards(2)));
    stage.answer(unlucky, 0, 2);
    stage.wish("ada", Command::RetestBoard { board: serial("s0") });
    let report = |board: &str| Command::ReportBoard { board: serial(board), reason: "hot".into() };
    stage.answer(unlucky, 2, 0);
    stage.wish("bob", report("s2"));
    let mark = |board, mark| Command::MarkBoard { board: serial(board), mark, reason: "fan".into() };
    stage.wish("ada", mark("s3", Mark::Maintenance));
    stage.wish("ada", mark("s4", Mark::Maintenance));
    stage.wish("ada", mark("s5", Mark::Dead));
}

/// All that a lab answers.
fn answers(lab: &Lab) -> String {
    let mut queries = vec![
        Query::Status,
        Query::Machines,
        Query::Boards(BoardFilter::default()),
        Query::Jobs(JobFilter::default()),
        Query::Users,
    ];
    for id in lab.jobs.keys() {
        queries.extend([Query::Job(*id), Query::JobHistory(*id), Query::JobMachine(*id)]);
        queries.extend([Query::JobState(*id), Query::Explain(*id)]);
    }
    queries.iter().map(|query| format!("{:?}\n", lab.see(query))).collect()
}

/// What a lab does from a restart on when hardware always obeys: facts, and what is to be done outside.
fn future(mut lab: Lab, mut now: Moment) -> Vec<String> {
    let mut seen = vec![format!("{:?}", lab.resume(now))];
    for _ in 0..ROUNDS {
        while let Some(fact) = lab.settle(now) {
            lab.apply(&fact);
            seen.push(format!("{fact:?} {:?}", lab.react(&fact)));
            assert!(seen.len() < 10_000, "it never rests");
        }
        lab.check().expect("it holds together");
        let wishes = lab.orders.iter().next().map(|(order, open)| Command::AnswerOrder {
            order: *order,
            obeyed: open.boards.iter().filter(|board| !open.answered.contains(board)).copied().collect(),
            failed: Vec::new(),
        });
        let facts = wishes.map(|wish| lab.decide(now, &Caller::server(), &wish));
        for fact in facts.into_iter().flatten().flatten() {
            lab.apply(&fact);
            seen.push(format!("{fact:?} {:?}", lab.react(&fact)));
        }
        now = lab.wake_at().map_or(now, |(at, _)| now.max(Moment(at.0.min(now.0 + 5_000))));
    }
    seen.push(answers(&lab));
    seen
}

/// The lab of some pieces.
fn restored(pieces: Vec<Piece>) -> Result<Lab, String> {
    let mut lab = Lab::new(Stage::new().lab.options);
    lab.restore(pieces).map(|()| lab)
}

#[test]
fn a_lab_made_of_pieces_is_the_same_lab() {
    let stage = busy();
    let pieces = stage.lab.pieces();
    let lab = restored(pieces.clone()).expect("good pieces");
    assert_eq!(lab.pieces(), pieces);
    assert_eq!(lab.check(), Ok(()));
    assert_eq!(answers(&lab), answers(&stage.lab));
    let mut heard = Stage::new().lab;
    stage.facts.iter().for_each(|fact| heard.apply(fact));
    assert_eq!(heard.pieces(), pieces);
    let ahead = future(lab, stage.now);
    assert_eq!(ahead, future(heard, stage.now));
    assert_eq!(ahead, future(stage.lab, stage.now));
    for event in ["JobGranted", "JobReady", "BoardsCleaned", "BoardsFreed", "BoardSet", "JobDestroyed"] {
        assert!(ahead.iter().any(|seen| seen.contains(event)), "no {event} ahead");
    }
}

#[test]
fn a_busy_lab_has_pieces_of_every_kind() {
    let pieces = busy().lab.pieces();
    let has = |what: &str, found: &dyn Fn(&Piece) -> bool| assert!(pieces.iter().any(found), "no {what}");
    has("job that waits", &|piece| matches!(piece, Piece::Job(job) if job.state == JobState::Queued));
    has("job that is switched", &|piece| matches!(piece, Piece::Job(job) if job.state == JobState::Power));
    has("job that is ready", &|piece| matches!(piece, Piece::Job(job) if job.state == JobState::Ready));
    has("retired job", &|piece| matches!(piece, Piece::Retired(jobs) if !jobs.is_empty()));
    has("session", &|piece| matches!(piece, Piece::Session { .. }));
    has("session that is over", &|piece| matches!(piece, Piece::SessionsOver(over) if !over.is_empty()));
    has("trouble", &|piece| matches!(piece, Piece::Board(words) if words.trouble.is_some()));
    has("mark", &|piece| matches!(piece, Piece::Board(words) if words.mark.is_some()));
    has("note", &|piece| matches!(piece, Piece::Board(words) if words.note.is_some()));
    has("report", &|piece| matches!(piece, Piece::Board(words) if !words.reports.is_empty()));
    has("half an answer", &|piece| matches!(piece, Piece::Order { open, .. } if !open.answered.is_empty()));
    has(
        "cleaning",
        &|piece| matches!(piece, Piece::Order { open, .. } if matches!(open.purpose, Purpose::Clean { .. })),
    );
    has("test", &|piece| matches!(piece, Piece::Order { open, .. } if open.purpose == Purpose::Test));
    has("cooling", &|piece| matches!(piece, Piece::Cooling { .. }));
}

#[test]
fn an_empty_lab_has_pieces_too() {
    let pieces = Stage::new().lab.pieces();
    assert_eq!(restored(pieces.clone()).expect("good pieces").pieces(), pieces);
}

/// Changes the pieces of a busy lab, and answers why they are refused.
fn refused(change: impl Fn(&mut Vec<Piece>)) -> String {
    let mut pieces = busy().lab.pieces();
    change(&mut pieces);
    restored(pieces).err().expect("a contradiction")
}

/// Changes every piece of a busy lab that can be changed so, and answers why they are refused.
fn refused_each(change: impl Fn(&mut Piece)) -> String {
    refused(|pieces| pieces.iter_mut().for_each(&change))
}

#[test]
fn contradictions_are_refused_in_words() {
    let says = |why: String, words: &str| assert!(why.contains(words), "{why}");
    says(restored(Vec::new()).err().expect("nothing"), "does not begin with the last numbers");
    says(refused(|pieces| drop(pieces.remove(0))), "does not begin with the last numbers");
    says(refused(|pieces| pieces.push(pieces[0].clone())), "the last numbers are there twice");
    says(refused(|pieces| pieces.retain(|piece| !matches!(piece, Piece::Boards(_)))), "0 of the boards of");
    says(refused(|pieces| pieces.retain(|piece| !matches!(piece, Piece::Retired(_)))), "listed as ended");
    says(refused(|pieces| pieces.retain(|piece| !matches!(piece, Piece::Machine { .. }))), "of no machine");
    says(refused(|pieces| pieces.retain(|piece| !matches!(piece, Piece::Cooling { .. }))), "on their way");
    says(refused(|pieces| pieces.retain(|piece| !matches!(piece, Piece::Order { .. }))), "are on their way");
    let other = |machine: &mut MachineName| *machine = "gone".into();
    says(
        refused_each(|piece| match piece {
            Piece::Cooling { machine, .. } => other(machine),
            Piece::Order { open, .. } => other(&mut open.machine),
            _ => {}
        }),
        "machine 'gone' is not there",
    );
    let grown = |run: &mut BoardRun| run.count = u32::MAX;
    says(
        refused_each(|piece| {
            if let Piece::Boards(runs) = piece {
                runs.iter_mut().for_each(grown)
            }
        }),
        "torus has fewer boards",
    );
    says(
        refused_each(|piece| {
            if let Piece::Board(words) = piece {
                words.board = BoardIndex(u32::MAX)
            }
        }),
        "has no board number",
    );
    says(
        refused_each(|piece| {
            if let Piece::Cooling { boards, .. } = piece {
                boards.push(BoardIndex(u32::MAX))
            }
        }),
        "has 48 boards, and more are spoken of",
    );
    says(
        refused_each(|piece| {
            if let Piece::Cooling { boards, .. } = piece {
                boards.push(boards[0])
            }
        }),
        "comes back twice",
    );
    says(
        refused_each(|piece| {
            if let Piece::Order { open, .. } = piece {
                open.answered.insert(BoardIndex(47));
            }
        }),
        "other boards than those of order",
    );
    says(
        refused_each(|piece| {
            if let Piece::Order { id, .. } = piece {
                id.step += 1
            }
        }),
        "nothing waits for order",
    );
    says(
        refused_each(|piece| {
            if let Piece::Counters { last_grant, .. } = piece {
                *last_grant = Grant(1)
            }
        }),
        "comes after the last one, 1",
    );
    says(
        refused_each(|piece| {
            if let Piece::Counters { last_job, .. } = piece {
                *last_job = JobId(1)
            }
        }),
        "comes after the last one, 1",
    );
    says(
        refused_each(|piece| {
            if let Piece::Job(job) = piece {
                job.state = JobState::Unknown
            }
        }),
        "is in state unknown with the wrong loan",
    );
}

#[test]
fn two_holders_of_a_board_are_refused() {
    let mut pieces = busy().lab.pieces();
    let held = pieces.iter().position(|piece| matches!(piece, Piece::Job(job) if job.live_loan().is_some()));
    let at = held.expect("a loan");
    let Piece::Job(job) = &pieces[at] else { panic!() };
    let mut second = job.clone();
    second.id = JobId(0);
    pieces.insert(at, Piece::Job(second));
    let why = restored(pieces).err().expect("two holders");
    assert!(why.contains("is there twice"), "{why}");
}

#[test]
fn nothing_is_there_twice() {
    let pieces = busy().lab.pieces();
    for (at, piece) in pieces.iter().enumerate() {
        let mut twice = pieces.clone();
        twice.insert(at, piece.clone());
        // Said twice, these are as true as said once.
        if let Piece::SessionsOver(_) | Piece::Wear(_) = piece {
            continue;
        }
        assert!(restored(twice).is_err(), "{piece:?}");
    }
}

/// One thing done to a list of pieces.
#[derive(Clone, Debug)]
enum Slip {
    Swap(Index, Index),
    Copy(Index, Index),
    Drop(Index),
}

fn slip() -> impl Strategy<Value = Slip> {
    let index = any::<Index>;
    prop_oneof![
        (index(), index()).prop_map(|(a, b)| Slip::Swap(a, b)),
        (index(), index()).prop_map(|(from, to)| Slip::Copy(from, to)),
        index().prop_map(Slip::Drop),
    ]
}

proptest! {
    #[test]
    fn no_list_of_pieces_panics(slips in vec(slip(), 1..4), shuffled in any::<bool>(), order in vec(any::<u64>(), 200)) {
        let stage = busy();
        let mut pieces = stage.lab.pieces();
        for slip in slips {
            let len = pieces.len();
            match slip {
                Slip::Swap(a, b) => pieces.swap(a.index(len), b.index(len)),
                Slip::Copy(from, to) => pieces.insert(to.index(len), pieces[from.index(len)].clone()),
                Slip::Drop(at) => drop(pieces.remove(at.index(len))),
            }
        }
        if shuffled {
            let mut keyed: Vec<_> = order.into_iter().zip(pieces).collect();
            keyed[1..].sort_by_key(|(key, _)| *key);
            pieces = keyed.into_iter().map(|(_, piece)| piece).collect();
        }
        if let Ok(lab) = restored(pieces) {
            let again = restored(lab.pieces()).expect("pieces of a good lab");
            prop_assert_eq!(again.pieces(), lab.pieces());
            prop_assert_eq!(future(again, stage.now), future(lab, stage.now));
        }
    }
}
