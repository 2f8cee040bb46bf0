//! Any command and any question whatever: nothing panics, what is refused changes nothing, and the lab holds together.

use berth::allocator::BoardIndex;
use berth::allocator::link::Link;
use berth::allocator::torus::Triad;
use berth::clock::Moment;
use berth::lab::command::{Caller, Command, Pick, Reservation};
use berth::lab::fact::{Fact, Grant, JobId, Mark, OrderId, SessionEnd, SessionKey};
use berth::lab::job::{JobSpec, JobState, Want, Warning};
use berth::lab::machine::{MachineSpec, Physical, PlaceRule, Places, Shape, TriadsSpec};
use berth::lab::view::{BoardAddress, BoardFilter, JobFilter, Query, Reservable, Whereabouts};
use berth::lab::{Lab, Options};
use berth::user::{Phc, Role, UserName};
use proptest::collection::{btree_set, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What is tried on a lab, one after the other.
#[derive(Clone, Debug)]
enum Trial {
    /// Somebody wishes something.
    Wish(Caller, Command),
    /// Somebody asks something.
    Ask(Query),
    /// Somebody wants to put a question to a board.
    Consult(Caller, BoardAddress),
    /// Jobs are mentioned at some time.
    Note(JobId, Moment),
    /// Time passes.
    Wait(u64),
}

/// Small numbers mostly, and the ends of the range.
fn number() -> impl Strategy<Value = u32> {
    prop_oneof![8 => 0u32..6, 1 => Just(u32::MAX), 1 => any::<u32>()]
}

fn signed() -> impl Strategy<Value = i64> {
    prop_oneof![8 => -20i64..40, 1 => Just(i64::MIN), 1 => Just(i64::MAX), 1 => any::<i64>()]
}

fn time() -> impl Strategy<Value = u64> {
    prop_oneof![6 => 0u64..100_000, 1 => Just(u64::MAX), 1 => any::<u64>()]
}

fn text() -> impl Strategy<Value = Arc<str>> {
    let short = select(vec!["", "a", "b", "0", "1", "default", "red", "spinnaker", "burn", "ada"]);
    prop_oneof![20 => short.prop_map(Arc::from), 1 => Just(Arc::from("é".repeat(600)))]
}

fn machine_name() -> impl Strategy<Value = Arc<str>> {
    prop_oneof![9 => select(vec!["a", "b", "c"]).prop_map(Arc::from), 1 => text()]
}

fn user() -> impl Strategy<Value = UserName> {
    select(vec!["ada", "bob", "guest"]).prop_map(|name| UserName::parse_or_guest(name).expect("a good name"))
}

fn role() -> impl Strategy<Value = Role> {
    select(Role::ALL.to_vec())
}

fn caller() -> impl Strategy<Value = Caller> {
    prop_oneof![
        1 => (user(), role()).prop_map(|(user, role)| Caller { user, role }),
        2 => role().prop_map(|role| Caller { user: UserName::parse("ada").expect("a good name"), role }),
        1 => Just(Caller::server()),
    ]
}

fn job() -> impl Strategy<Value = JobId> {
    prop_oneof![8 => 0u64..12, 1 => any::<u64>()].prop_map(JobId)
}

fn physical() -> impl Strategy<Value = Physical> {
    (number(), number(), number()).prop_map(|(cabinet, frame, board)| Physical { cabinet, frame, board })
}

fn address() -> impl Strategy<Value = BoardAddress> {
    prop_oneof![
        (machine_name(), number(), number(), number()).prop_map(|(machine, x, y, z)| BoardAddress::Triad {
            machine,
            x,
            y,
            z
        }),
        (machine_name(), physical()).prop_map(|(machine, place)| BoardAddress::Place { machine, place }),
        (option::of(text()), text()).prop_map(|(machine, serial)| BoardAddress::Serial { machine, serial }),
    ]
}

fn want() -> impl Strategy<Value = Want> {
    prop_oneof![
        3 => number().prop_map(Want::Boards),
        2 => (number(), number()).prop_map(|(width, height)| Want::Triads { width, height }),
        1 => (number(), number(), number()).prop_map(|(x, y, z)| Want::Exact { x, y, z }),
        1 => vec(text(), 0..4).prop_map(Want::Serials),
    ]
}

fn spec() -> impl Strategy<Value = JobSpec> {
    let tags = prop_oneof![3 => Just(BTreeSet::from(["default".into()])), 1 => btree_set(text(), 0..3)];
    let kind = prop_oneof![3 => Just(None), 1 => option::of(text())];
    let size = (
        prop_oneof![Just("ada".into()), text()],
        want(),
        prop_oneof![2 => Just(None), 1 => option::of(machine_name())],
        tags,
        kind,
    );
    let ratio = prop_oneof![12 => Just(0.0), 3 => Just(1.0), 1 => Just(f64::NAN), 1 => any::<f64>()];
    let terms = (
        ratio,
        prop_oneof![3 => Just(None), 1 => option::of(number())],
        option::of(number()),
        prop_oneof![9 => Just(false), 1 => Just(true)],
    );
    let times = (option::of(time()), option::of(time()), any::<i32>(), text());
    (size, terms, times).prop_map(|((owner, want, machine, tags, kind), terms, times)| JobSpec {
        by: owner.clone(),
        echo: "".into(),
        reserved: false,
        owner: owner.clone(),
        want,
        machine,
        tags,
        min_ratio: terms.0,
        max_dead_boards: terms.1,
        max_dead_links: terms.2,
        require_torus: terms.3,
        keepalive_ms: times.0,
        lease_ms: times.1,
        kind,
        kind_args: times.3.clone(),
        priority: times.2,
        note: times.3,
    })
}

fn triad() -> impl Strategy<Value = Triad> {
    (number(), number(), number()).prop_map(|(x, y, z)| Triad::new(x, y, z))
}

fn shape() -> impl Strategy<Value = Shape> {
    let size = || prop_oneof![20 => 1u32..30, 1 => Just(0)];
    let rule = (size(), size(), any::<u32>(), any::<[u32; 3]>());
    let rule = rule.prop_map(|(boards_per_frame, frames_per_cabinet, base, strides)| PlaceRule {
        boards_per_frame,
        frames_per_cabinet,
        base,
        strides,
    });
    let inside = || (Just(0u32), Just(0u32), 0u32..3).prop_map(|(x, y, z)| Triad::new(x, y, z));
    let links = vec((inside(), select(Link::ALL.to_vec())), 0..3);
    let torus = (1u32..4, 1u32..4, vec(prop_oneof![20 => inside(), 1 => triad()], 0..2), links, rule);
    let torus = torus.prop_map(|(width, height, dead_boards, dead_links, rule)| TriadsSpec {
        width,
        height,
        dead_boards,
        dead_links,
        places: Places::Rule(rule),
        bmps: BTreeMap::new(),
    });
    prop_oneof![torus.prop_map(Shape::Triads), prop_oneof![9 => btree_set(text(), 1..5).prop_map(|set| set.into_iter().collect()), 1 => vec(text(), 0..4)]
            .prop_map(|serials| Shape::Pool { serials })]
}

fn machine() -> impl Strategy<Value = Arc<MachineSpec>> {
    (machine_name(), shape(), btree_set(text(), 0..3), vec(text(), 0..3), time(), time()).prop_map(
        |(name, shape, mut tags, mut kinds, settle_ms, order_ms_max)| {
            tags.insert("default".into());
            kinds.push("spinnaker".into());
            Arc::new(MachineSpec {
                name,
                shape,
                tags,
                kinds,
                settle_ms,
                order_ms_max,
                agents: false,
                boots: true,
            })
        },
    )
}

fn answer() -> impl Strategy<Value = Command> {
    let board = || prop_oneof![0u32..12, any::<u32>()].prop_map(BoardIndex);
    (0u64..12, 0u32..3, vec(board(), 0..5), vec((board(), text()), 0..3)).prop_map(
        |(grant, step, obeyed, failed)| Command::AnswerOrder {
            order: OrderId { grant: Grant(grant), step },
            obeyed,
            failed,
        },
    )
}

fn reservation() -> impl Strategy<Value = Reservation> {
    let pick = prop_oneof![
        2 => (0u32..4).prop_map(Pick::Any),
        1 => any::<u32>().prop_map(Pick::Any),
        2 => vec(text(), 0..4).prop_map(Pick::Serials)
    ];
    let kind = prop_oneof![4 => Just(Arc::from("spinnaker")), 1 => text()];
    let owner = prop_oneof![4 => Just(Arc::from("ada")), 1 => text()];
    let machine = prop_oneof![2 => Just(None), 1 => option::of(machine_name())];
    (owner, pick, machine, kind, text()).prop_map(|(owner, pick, machine, kind, kind_args)| Reservation {
        owner,
        pick,
        machine,
        kind,
        kind_args,
    })
}

fn command() -> impl Strategy<Value = Command> {
    let session = || (0u128..5).prop_map(SessionKey);
    prop_oneof![
        1 => vec(machine(), 0..4).prop_map(Command::Configure),
        17 => spec().prop_map(Command::CreateJob),
        3 => spec().prop_map(Command::CreateJobAnyway),
        8 => answer(),
        3 => (job(), any::<bool>()).prop_map(|(job, power)| Command::PowerJob { job, power }),
        2 => (job(), option::of(text())).prop_map(|(job, reason)| Command::DestroyJob { job, reason }),
        2 => (job(), option::of(time())).prop_map(|(job, lease_ms)| Command::ExtendJob { job, lease_ms }),
        8 => reservation().prop_map(Command::Reserve),
        2 => (text(), option::of(vec(text(), 0..4)))
            .prop_map(|(owner, serials)| Command::ExtendReserved { owner, serials }),
        2 => (text(), option::of(vec(text(), 0..4)))
            .prop_map(|(owner, serials)| Command::EndReserved { owner, serials }),
        1 => vec(text(), 0..4).prop_map(|serials| Command::RenewBoards { serials }),
        2 => (address(), text()).prop_map(|(board, reason)| Command::ReportBoard { board, reason }),
        3 => (address(), select(vec![Mark::Free, Mark::Maintenance, Mark::Dead]), text())
            .prop_map(|(board, mark, reason)| Command::MarkBoard { board, mark, reason }),
        2 => address().prop_map(|board| Command::RetestBoard { board }),
        1 => (user(), role()).prop_map(|(user, role)| Command::CreateUser { user, role, phc: Phc::dummy() }),
        1 => user().prop_map(|user| Command::SetPassword { user, phc: Phc::dummy() }),
        1 => (user(), role()).prop_map(|(user, role)| Command::SetRole { user, role }),
        1 => user().prop_map(|user| Command::DeleteUser { user }),
        2 => (session(), user(), role(), text(), time()).prop_map(|(session, user, role, client, span_ms)| {
            Command::OpenSession { session, user, role, client, span_ms }
        }),
        1 => session().prop_map(|session| Command::EndSession { session, why: SessionEnd::Ended }),
        1 => (prop_oneof![4 => Just(true), 1 => Just(false)], text()).prop_map(|(accept, reason)| Command::SetService { accept, reason }),
    ]
}

fn query() -> impl Strategy<Value = Query> {
    let whereabouts = prop_oneof![
        (machine_name(), signed(), signed(), signed()).prop_map(|(machine, x, y, z)| Whereabouts::Logical {
            machine,
            x,
            y,
            z
        }),
        (machine_name(), physical()).prop_map(|(machine, place)| Whereabouts::Physical { machine, place }),
        (machine_name(), signed(), signed()).prop_map(|(machine, x, y)| Whereabouts::Chip { machine, x, y }),
        (job(), signed(), signed()).prop_map(|(job, x, y)| Whereabouts::JobChip { job, x, y }),
    ];
    let boards = (option::of(text()), any::<usize>(), option::of(any::<usize>()));
    let jobs = (option::of(text()), option::of(text()), option::of(select(JobState::ALL.to_vec())));
    prop_oneof![
        Just(Query::Status),
        Just(Query::Machines),
        Just(Query::Users),
        text().prop_map(Query::Machine),
        address().prop_map(Query::Board),
        address().prop_map(Query::Position),
        address().prop_map(Query::AtPosition),
        whereabouts.prop_map(Query::WhereIs),
        boards.prop_map(|(machine, offset, limit)| {
            Query::Boards(BoardFilter { machine, state: None, offset, limit })
        }),
        jobs.prop_map(|(owner, machine, state)| Query::Jobs(JobFilter {
            owner,
            machine,
            state,
            limit: None
        })),
        job().prop_map(Query::Job),
        (option::of(machine_name()), option::of(text()), time()).prop_map(|(machine, kind, now)| {
            Query::Devices(Reservable { machine, kind, now: Moment(now) })
        }),
        vec(job(), 0..4).prop_map(Query::Reserved),
        job().prop_map(Query::JobMachine),
        job().prop_map(Query::Explain),
        job().prop_map(Query::JobHistory),
    ]
}

fn trial() -> impl Strategy<Value = Trial> {
    prop_oneof![
        12 => (caller(), command()).prop_map(|(caller, command)| Trial::Wish(caller, command)),
        4 => query().prop_map(Trial::Ask),
        1 => (caller(), address()).prop_map(|(caller, address)| Trial::Consult(caller, address)),
        1 => (job(), time()).prop_map(|(job, at)| Trial::Note(job, Moment(at))),
        2 => (0u64..1_000_000_000).prop_map(Trial::Wait),
    ]
}

/// All that a lab answers.
fn answers(lab: &Lab) -> String {
    crate::scripts::questions(lab).iter().map(|query| format!("{:?}\n", lab.see(query))).collect()
}

/// The most facts that may follow from one trial.
const FACTS_MAX: usize = 1000;

/// A lab, one that only hears its facts, as a restart does, and the present.
struct Stage {
    lab: Lab,
    heard: Lab,
    now: Moment,
}

impl Stage {
    fn apply(&mut self, fact: &Fact) {
        self.lab.apply(fact);
        self.lab.react(fact);
        self.heard.apply(fact);
    }

    fn settle(&mut self) {
        let mut count = 0;
        while let Some(fact) = self.lab.settle(self.now) {
            self.apply(&fact);
            count += 1;
            assert!(count < FACTS_MAX, "no rest: {fact:?}");
        }
    }

    fn play(&mut self, trial: &Trial) {
        match trial {
            Trial::Wish(caller, command) => match self.lab.decide(self.now, caller, command) {
                Ok(facts) => facts.iter().for_each(|fact| self.apply(fact)),
                Err(refusal) => {
                    let before = answers(&self.lab);
                    self.settle();
                    assert_eq!(before, answers(&self.lab), "refused, and something changed: {refusal:?}");
                    assert!(!refusal.fault().msg.is_empty());
                }
            },
            Trial::Ask(query) => drop(self.lab.see(query)),
            Trial::Consult(caller, address) => drop(self.lab.consult(caller, address)),
            Trial::Note(job, at) => self.lab.note(&[(*job, *at)]),
            Trial::Wait(ms) => self.now = self.now.plus_ms(*ms),
        }
        self.settle();
        self.lab.check().expect("the lab holds together");
    }

    /// A restart that puts the lab together of its pieces ends where one that hears all facts does.
    fn restart(mut self) {
        let pieces = self.lab.pieces();
        assert_eq!(self.heard.pieces(), pieces);
        assert_eq!(self.lab.restore(pieces.clone()), Ok(()));
        assert_eq!(self.lab.pieces(), pieces);
        assert_eq!(self.lab.resume(self.now), self.heard.resume(self.now));
        assert_eq!(answers(&self.lab), answers(&self.heard));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_wished_the_lab_holds_together(
        machines in vec(machine(), 1..3),
        trials in vec(trial(), 0..120),
        tight in any::<bool>(),
    ) {
        let (reservation_ms, warning) = (60_000, Warning { before_ms: 40_000, every_ms: 15_000 });
        let options = match tight {
            true => Options { retired_jobs_max: 0, jobs_max: 4, users_max: 1, sessions_per_user_max: 1, reservation_ms, warning, ..Options::default() },
            false => Options::default(),
        };
        let (lab, heard) = (Lab::new(options.clone()), Lab::new(options));
        let mut stage = Stage { lab, heard, now: Moment(1_000_000) };
        stage.play(&Trial::Wish(Caller::server(), Command::Configure(machines)));
        trials.iter().for_each(|trial| stage.play(trial));
        stage.restart();
    }
}
