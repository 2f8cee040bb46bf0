//! Every kind of fact goes to its record and comes back exactly the same; records of old come back as they always did.

use super::*;
use crate::allocator::link::Link;
use crate::allocator::torus::Triad;
use crate::allocator::{BoardIndex, Region};
use crate::lab::fact::{BoardRef, Grant, JobId, Mark, OrderId, SessionEnd, SessionKey};
use crate::lab::job::{JobSpec, Reason, Want};
use crate::lab::machine::{MachineSpec, Physical, PlaceRule, PlaceTable, Places, Shape, TriadsSpec};
use crate::user::{Phc, Role, UserName};
use proptest::collection::{btree_map, btree_set, vec};
use proptest::option;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Builds a strategy for a struct-like value out of the strategies of its fields.
macro_rules! fields {
    ($($of:ident)::+ { $($field:ident: $strategy:expr),* $(,)? }) => {
        ($($strategy,)*).prop_map(|($($field,)*)| $($of)::+ { $($field),* }).boxed()
    };
}

mod pieces;

/// Writes the list of strategies, one for each variant, and the function that names a variant: a variant that is added
/// and has no row here does not compile.
macro_rules! variants {
    ($($name:ident { $($field:ident: $strategy:expr),* $(,)? })*) => {
        /// A strategy for each variant, under its name.
        fn strategies() -> Vec<(&'static str, BoxedStrategy<Event>)> {
            vec![$((stringify!($name), fields!(Event::$name { $($field: $strategy),* }))),*]
        }

        /// The name of a variant.
        fn variant(event: &Event) -> &'static str {
            match event { $(Event::$name { .. } => stringify!($name)),* }
        }
    };
}

variants! {
    MachineAdded { spec: machine().prop_map(Arc::new), position: any::<usize>() }
    MachineChanged { spec: machine().prop_map(Arc::new), position: any::<usize>() }
    MachineRemoved { machine: text() }
    JobQueued { job: job(), spec: job_spec().prop_map(Arc::new) }
    JobGranted { job: job(), grant: any::<u64>().prop_map(Grant), machine: text(), boards: boards().prop_map(Arc::from),
        region: option::of(any::<[u32; 4]>().prop_map(|[x, y, width, height]| Region { x, y, width, height })) }
    JobReady { job: job(), order: order(), power: any::<bool>() }
    JobPowering { job: job(), order: order(), power: any::<bool>() }
    JobRequeued { job: job(), order: option::of(order()), reason: text(), priority: option::of(any::<i32>()) }
    JobDestroyed { job: job(), order: option::of(order()), reason: reason() }
    LeaseExtended { job: job(), until: moment() }
    LeaseEnding { job: job(), ends_at: moment() }
    OrderAnswered { order: order(), obeyed: boards(), failed: vec((board(), text()), 0..4) }
    OrderOverdue { order: order() }
    BoardsCleaned { order: order(), machine: text(), boards: boards(), free_at: moment() }
    BoardsFreed { machine: text(), boards: boards() }
    BoardQuarantined { board: board_ref(), reason: text(), retest_at: option::of(moment()) }
    BoardsAnnounced { machine: text(), serials: vec(text(), 0..4).prop_map(Arc::from) }
    BoardOffline { board: board_ref(), reason: text() }
    BoardOffers { board: board_ref(), offers: vec(text(), 0..4).prop_map(Arc::from) }
    BoardNamed { board: board_ref(), name: text() }
    BoardTested { board: board_ref(), order: order() }
    BoardReported { board: board_ref(), by: text(), reason: text() }
    BoardMarked { board: board_ref(), mark: mark(), by: text(), reason: text() }
    BoardSet { board: board_ref(), mark: mark(), by: text(), reason: text() }
    UserCreated { user: user(), role: role(), phc: phc() }
    PasswordSet { user: user(), phc: phc() }
    RoleSet { user: user(), role: role() }
    UserDeleted { user: user() }
    SessionOpened { session: session(), user: user(), role: role(), client: text(), span_ms: any::<u64>() }
    SessionEnded { session: session(), why: session_end() }
    ServiceSet { accept: any::<bool>(), by: text(), reason: text() }
    NumbersSkipped { last_job: job(), last_grant: any::<u64>().prop_map(Grant) }
}

fn text() -> BoxedStrategy<Arc<str>> {
    prop_oneof!["[a-z0-9/-]{0,12}", "(?s:.){0,24}", Just("\"\\\u{0}\u{7f}\u{2028}\u{10ffff}".to_owned())]
        .prop_map(Arc::from)
        .boxed()
}

fn moment() -> impl Strategy<Value = Moment> {
    prop_oneof![any::<u64>(), 1_700_000_000_000..1_900_000_000_000u64, Just(u64::MAX)].prop_map(Moment)
}

fn job() -> impl Strategy<Value = JobId> {
    any::<u64>().prop_map(JobId)
}

fn order() -> impl Strategy<Value = OrderId> {
    any::<(u64, u32)>().prop_map(|(grant, step)| OrderId { grant: Grant(grant), step })
}

fn board() -> impl Strategy<Value = BoardIndex> {
    prop_oneof![any::<u32>(), 0..50u32, Just(u32::MAX)].prop_map(BoardIndex)
}

/// Some runs, upwards or downwards, and some boards by themselves.
fn boards() -> impl Strategy<Value = Vec<BoardIndex>> {
    let run = (0..u32::MAX - 300, 1..300u32, any::<bool>()).prop_map(|(first, count, up)| {
        let mut run: Vec<_> = (first..first + count).map(BoardIndex).collect();
        if !up {
            run.reverse();
        }
        run
    });
    vec(prop_oneof![run, board().prop_map(|board| vec![board])], 0..5).prop_map(|runs| runs.concat())
}

fn board_ref() -> BoxedStrategy<BoardRef> {
    fields!(BoardRef { machine: text(), board: board() })
}

fn user() -> impl Strategy<Value = UserName> {
    let named =
        "[A-Za-z0-9._-]{1,64}".prop_filter_map("a name for guests", |name| UserName::parse(&name).ok());
    prop_oneof![named, Just(UserName::guest()), Just(UserName::server())]
}

fn phc() -> impl Strategy<Value = Phc> {
    const KEPT: [&str; 2] = [
        "$argon2id$v=19$m=256,t=2,p=2$c29tZXNhbHQ$bQk8UB/VmZZF4Oo79iDXuL5/0ttZwg2f/5U52iv1cDc",
        "$argon2id$v=19$m=65536,t=1,p=1$c29tZXNhbHQ$9qWtwbpyPd3vm1rB1GThgPzZ3/ydHL92zKL+15XZypg",
    ];
    prop_oneof![Just(Phc::dummy()), prop::sample::select(&KEPT[..]).prop_map(|text| text.parse().unwrap())]
}

fn role() -> impl Strategy<Value = Role> {
    prop::sample::select(&Role::ALL[..])
}

fn mark() -> impl Strategy<Value = Mark> {
    prop::sample::select(&[Mark::Free, Mark::Maintenance, Mark::Dead][..])
}

fn session_end() -> impl Strategy<Value = SessionEnd> {
    use SessionEnd::*;
    prop::sample::select(&[Expired, LoggedOut, Ended, UserChanged][..])
}

fn session() -> impl Strategy<Value = SessionKey> {
    prop_oneof![any::<u128>(), Just(0), Just(u128::MAX), Just(0xabc)].prop_map(SessionKey)
}

fn reason() -> impl Strategy<Value = Reason> {
    prop_oneof![
        (text(), option::of(text())).prop_map(|(by, text)| Reason::Asked { by, text }),
        Just(Reason::Lapsed),
        Just(Reason::LeaseOver),
        text().prop_map(Reason::Impossible),
        text().prop_map(Reason::MachineRemoved),
        text().prop_map(Reason::BoardsFailed),
        text().prop_map(Reason::Done),
    ]
}

fn want() -> impl Strategy<Value = Want> {
    prop_oneof![
        any::<u32>().prop_map(Want::Boards),
        any::<[u32; 2]>().prop_map(|[width, height]| Want::Triads { width, height }),
        any::<[u32; 3]>().prop_map(|[x, y, z]| Want::Exact { x, y, z }),
        vec(text(), 0..4).prop_map(Want::Serials),
    ]
}

/// Every number with a fraction but those that equal nothing.
fn ratio() -> impl Strategy<Value = f64> {
    use proptest::num::f64::{INFINITE, NEGATIVE, NORMAL, POSITIVE, SUBNORMAL, ZERO};
    prop_oneof![0.0..1.0f64, POSITIVE | NEGATIVE | NORMAL | SUBNORMAL | ZERO | INFINITE]
}

fn job_spec() -> impl Strategy<Value = JobSpec> {
    let limits = fields!(Limits {
        ratio: ratio(),
        dead_boards: option::of(any::<u32>()),
        dead_links: option::of(any::<u32>()),
        torus: any::<bool>(),
        keepalive_ms: option::of(any::<u64>()),
        lease_ms: option::of(any::<u64>()),
        priority: any::<i32>(),
    });
    let texts = (text(), option::of(text()), btree_set(text(), 0..4), option::of(text()), text(), text());
    let asked = (want(), text(), text(), any::<bool>());
    (asked, limits, texts).prop_map(
        |((want, by, echo, reserved), limits, (owner, machine, tags, kind, kind_args, note))| JobSpec {
            owner,
            by,
            echo,
            reserved,
            want,
            machine,
            tags,
            min_ratio: limits.ratio,
            max_dead_boards: limits.dead_boards,
            max_dead_links: limits.dead_links,
            require_torus: limits.torus,
            keepalive_ms: limits.keepalive_ms,
            lease_ms: limits.lease_ms,
            kind,
            kind_args,
            priority: limits.priority,
            note,
        },
    )
}

/// The numbers of a job's spec.
#[derive(Debug)]
struct Limits {
    ratio: f64,
    dead_boards: Option<u32>,
    dead_links: Option<u32>,
    torus: bool,
    keepalive_ms: Option<u64>,
    lease_ms: Option<u64>,
    priority: i32,
}

fn machine() -> BoxedStrategy<MachineSpec> {
    let pool = vec(text(), 0..5).prop_map(|serials| Shape::Pool { serials });
    fields!(MachineSpec {
        name: text(),
        shape: prop_oneof![pool, torus().prop_map(Shape::Triads)],
        tags: btree_set(text(), 0..4),
        kinds: vec(text(), 0..4),
        settle_ms: any::<u64>(),
        order_ms_max: any::<u64>(),
        agents: any::<bool>(),
        boots: any::<bool>(),
    })
}

fn torus() -> BoxedStrategy<TriadsSpec> {
    let triad = || any::<[u32; 3]>().prop_map(|[x, y, z]| Triad::new(x, y, z));
    fields!(TriadsSpec {
        width: any::<u32>(),
        height: any::<u32>(),
        dead_boards: vec(triad(), 0..4),
        dead_links: vec((triad(), prop::sample::select(&Link::ALL[..])), 0..4),
        places: places(),
        bmps: btree_map(any::<(u32, u32)>(), text(), 0..4),
    })
}

fn places() -> impl Strategy<Value = Places> {
    let rule = fields!(PlaceRule {
        boards_per_frame: any::<u32>(),
        frames_per_cabinet: any::<u32>(),
        base: any::<u32>(),
        strides: any::<[u32; 3]>(),
    });
    let rows = btree_map(board(), (any::<[u32; 3]>(), text()), 0..5);
    let table = rows.prop_map(|rows: BTreeMap<_, _>| {
        let mut table = PlaceTable::default();
        for (index, ([cabinet, frame, board], host)) in rows {
            table.enter(index, Physical { cabinet, frame, board }, host);
        }
        table
    });
    prop_oneof![rule.prop_map(Places::Rule), table.prop_map(Places::Table)]
}

/// Any fact at all; other tests of the journal use it too.
pub fn fact() -> BoxedStrategy<Fact> {
    let events = prop::strategy::Union::new(strategies().into_iter().map(|(_, events)| events));
    fields!(Fact { at: moment(), event: events })
}

/// A fact and its record say the same, to the bit.
fn there_and_back(fact: &Fact) -> Result<(), TestCaseError> {
    let record = Record::encode(fact).unwrap();
    prop_assert_eq!(&record.decode().unwrap(), fact, "{:?}", &record);
    if let (Event::JobQueued { spec, .. }, Ok(Event::JobQueued { spec: back, .. })) =
        (&fact.event, record.decode().map(|fact| fact.event))
    {
        prop_assert_eq!(spec.min_ratio.to_bits(), back.min_ratio.to_bits());
    }
    Ok(())
}

#[test]
fn every_kind_of_fact_comes_back_the_same() {
    let mut runner = proptest::test_runner::TestRunner::default();
    for (name, events) in strategies() {
        let facts = fields!(Fact { at: moment(), event: events });
        let outcome = runner.run(&facts, |fact| {
            prop_assert_eq!(variant(&fact.event), name);
            there_and_back(&fact)
        });
        outcome.unwrap_or_else(|why| panic!("{name}: {why}"));
    }
}

#[test]
fn what_is_no_number_is_kept_as_well() {
    let spec = JobSpec { min_ratio: f64::NAN, ..JobSpec::new("ada", Want::Boards(1)) };
    let fact = Fact { at: Moment(1), event: Event::JobQueued { job: JobId(1), spec: Arc::new(spec) } };
    let back = Record::encode(&fact).unwrap().decode().unwrap();
    let Event::JobQueued { spec, .. } = back.event else { panic!("{back:?}") };
    assert!(spec.min_ratio.is_nan());
}

#[test]
fn a_large_grant_has_a_small_record() {
    let boards: Vec<_> = (0..30_000).filter(|board| board % 1000 != 999).map(BoardIndex).collect();
    let event = Event::BoardsFreed { machine: "m".into(), boards: boards.clone() };
    let record = Record::encode(&Fact { at: Moment(1), event: event.clone() }).unwrap();
    assert!(record.body.len() < 500, "{} bytes", record.body.len());
    assert_eq!(record.decode().unwrap().event, event);
}

/// Golden records of one version, and the facts they have meant ever since.
fn golden(text: &'static str) -> Vec<Record<'static>> {
    #[derive(Deserialize)]
    struct Line<'a> {
        at: u64,
        kind: &'a str,
        version: u16,
        #[serde(borrow)]
        body: &'a serde_json::value::RawValue,
    }
    let lines = text.lines().map(|line| {
        let line: Line = serde_json::from_str(line).unwrap();
        Record {
            at: Moment(line.at),
            kind: line.kind.into(),
            version: line.version,
            body: line.body.get().into(),
        }
    });
    lines.collect()
}

/// The golden record of a fact that has none yet.
fn golden_line(fact: &Fact) -> String {
    let Record { at, kind, version, body } = Record::encode(fact).unwrap();
    format!(r#"{{"at":{},"kind":"{kind}","version":{version},"body":{body}}}"#, at.0)
}

/// The golden records of the first versions.
fn golden_v1() -> Vec<Record<'static>> {
    golden(include_str!("../../../tests/vectors/journal/v1.jsonl"))
}

#[test]
fn golden_records_mean_what_they_always_meant() {
    let (records, facts) = (golden_v1(), golden_facts());
    let missing: Vec<_> = facts.iter().skip(records.len()).map(golden_line).collect();
    assert_eq!(records.len(), facts.len(), "to be appended:\n{}", missing.join("\n"));
    for (record, fact) in records.iter().zip(&facts) {
        assert_eq!(record.decode().as_ref(), Ok(fact), "{record:?}");
    }
    // While version 1 is the newest of its kind it is also what is written, to the byte.
    for (record, fact) in records.iter().zip(&facts) {
        let written = Record::encode(fact).unwrap();
        assert!(written.version > record.version || written == *record, "{written:?}\n{record:?}");
    }
    for (name, _) in strategies() {
        assert!(facts.iter().any(|fact| variant(&fact.event) == name), "no golden record of {name}");
    }
}

#[test]
fn what_is_nearly_a_record_is_refused() {
    let record = |kind: &str, version, body: &str| {
        Record { at: Moment(1), kind: kind.to_owned().into(), version, body: body.to_owned().into() }.decode()
    };
    assert!(record("order_overdue", 1, r#"{"order":[1,2]}"#).is_ok());
    for (kind, version) in [("order_overdue", 0), ("order_overdue", 2), ("order_overduee", 1), ("", 1)] {
        let refused = record(kind, version, r#"{"order":[1,2]}"#);
        assert_eq!(refused, Err(RecordError::Unknown { kind: kind.into(), version: version.into() }));
    }
    let torus = |rest: &str| {
        format!(
            r#"{{"spec":{{"name":"m","shape":{{"triads":{{"width":1,"height":1,"dead_boards":[],"bmps":[],{rest}}}}},"tags":[],"kinds":[],"settle_ms":0,"order_ms_max":1}},"position":0}}"#
        )
    };
    assert!(record("machine_added", 1, &torus(r#""dead_links":[[0,0,0,5]],"places":{"table":[]}"#)).is_ok());
    let wrong = [
        ("order_overdue", r#"{"order":[1]}"#.to_owned()),
        ("order_overdue", r#"{"order":[1,2],"more":1}"#.to_owned()),
        ("order_overdue", r#"{"order":[1,4294967296]}"#.to_owned()),
        ("order_overdue", r#"{"order":[1,2]} {}"#.to_owned()),
        ("order_overdue", "".to_owned()),
        ("boards_freed", r#"{"machine":"m","boards":[[4294967295,2]]}"#.to_owned()),
        ("boards_freed", r#"{"machine":"m","boards":[[0,0]]}"#.to_owned()),
        ("boards_freed", r#"{"machine":"m","boards":[[0,4294967295]]}"#.to_owned()),
        ("session_ended", r#"{"session":"abc","why":"ended"}"#.to_owned()),
        ("session_ended", r#"{"session":"+0000000000000000000000000000abc","why":"ended"}"#.to_owned()),
        ("session_ended", r#"{"session":"00000000000000000000000000000abc","why":"endet"}"#.to_owned()),
        ("user_deleted", r#"{"user":"Guest"}"#.to_owned()),
        ("user_deleted", r#"{"user":"a/b"}"#.to_owned()),
        ("password_set", r#"{"user":"ada","phc":"plain"}"#.to_owned()),
        ("machine_added", torus(r#""dead_links":[[0,0,0,6]],"places":{"table":[]}"#)),
        ("machine_added", torus(r#""dead_links":[],"places":{"table":[[0,0,0,0,""],[0,0,0,1,""]]}"#)),
        ("machine_added", torus(r#""dead_links":[],"places":{"table":[[0,0,0,0,""],[1,0,0,0,""]]}"#)),
    ];
    for (kind, body) in wrong {
        assert!(record(kind, 1, &body).is_err(), "{kind} {body}");
    }
}

proptest! {
    #[test]
    fn no_body_panics(kind in prop::sample::select(golden_v1()), at in any::<prop::sample::Index>(), with in any::<u8>()) {
        let mut body = kind.body.as_bytes().to_vec();
        let at = at.index(body.len());
        body[at] = with;
        let Ok(body) = String::from_utf8(body) else { return Ok(()) };
        let _ = Record { body: body.into(), ..kind }.decode();
    }
}

/// The facts of which `v1.jsonl` was made, in its order. Neither is ever edited; more may follow.
fn golden_facts() -> Vec<Fact> {
    let (job, machine, text) = (JobId(17), || Arc::<str>::from("m"), |text: &str| Arc::<str>::from(text));
    let order = |step| OrderId { grant: Grant(9), step };
    let board = BoardRef { machine: machine(), board: BoardIndex(23) };
    let user = || UserName::parse("ada").unwrap();
    let phc = || -> Phc {
        "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4"
            .parse()
            .unwrap()
    };
    let (session, reason) =
        (SessionKey(0x00ff_0123_4567_89ab_cdef_0011_2233_4455), || text("FPGA id 3 \u{2192} \"7\""));
    let events = [
        Event::MachineAdded { spec: Arc::new(golden_torus()), position: 0 },
        Event::MachineAdded { spec: Arc::new(golden_pool()), position: 1 },
        Event::MachineChanged { spec: Arc::new(golden_rule()), position: 0 },
        Event::MachineRemoved { machine: machine() },
        Event::JobQueued { job, spec: Arc::new(JobSpec::new("ada", Want::Boards(1))) },
        Event::JobQueued { job: JobId(18), spec: Arc::new(golden_job()) },
        Event::JobQueued { job, spec: Arc::new(JobSpec::new("ada", Want::Exact { x: 3, y: 1, z: 2 })) },
        Event::JobQueued {
            job,
            spec: Arc::new(JobSpec::new("ada", Want::Serials(vec![text("s1"), text("s2")]))),
        },
        Event::JobGranted {
            job,
            grant: Grant(9),
            machine: machine(),
            boards: [0, 1, 2, 4, 5, 23].map(BoardIndex).into(),
            region: Some(Region { x: 0, y: 1, width: 2, height: 3 }),
        },
        Event::JobGranted {
            job,
            grant: Grant(9),
            machine: machine(),
            boards: [BoardIndex(7)].into(),
            region: None,
        },
        Event::JobReady { job, order: order(0), power: true },
        Event::JobPowering { job, order: order(1), power: false },
        Event::JobRequeued { job, order: Some(order(2)), reason: reason(), priority: None },
        Event::JobRequeued { job, order: None, reason: reason(), priority: None },
        Event::JobDestroyed {
            job,
            order: Some(order(3)),
            reason: Reason::Asked { by: text("ada"), text: None },
        },
        Event::JobDestroyed {
            job,
            order: None,
            reason: Reason::Asked { by: text("op"), text: Some(text("")) },
        },
        Event::JobDestroyed { job, order: None, reason: Reason::Lapsed },
        Event::JobDestroyed { job, order: None, reason: Reason::LeaseOver },
        Event::JobDestroyed { job, order: None, reason: Reason::Impossible(reason()) },
        Event::JobDestroyed { job, order: None, reason: Reason::MachineRemoved(machine()) },
        Event::JobDestroyed { job, order: None, reason: Reason::BoardsFailed(reason()) },
        Event::OrderAnswered {
            order: order(4),
            obeyed: vec![BoardIndex(0), BoardIndex(1)],
            failed: vec![(BoardIndex(2), reason())],
        },
        Event::OrderOverdue { order: order(5) },
        Event::BoardsCleaned {
            order: order(6),
            machine: machine(),
            boards: vec![BoardIndex(5), BoardIndex(4)],
            free_at: Moment(1_790_000_030_000),
        },
        Event::BoardsFreed { machine: machine(), boards: vec![] },
        Event::BoardQuarantined { board: board.clone(), reason: reason(), retest_at: Some(Moment(u64::MAX)) },
        Event::BoardQuarantined { board: board.clone(), reason: reason(), retest_at: None },
        Event::BoardTested { board: board.clone(), order: order(7) },
        Event::BoardReported { board: board.clone(), by: text("ada"), reason: reason() },
        Event::BoardMarked { board: board.clone(), mark: Mark::Free, by: text("op"), reason: reason() },
        Event::BoardMarked {
            board: board.clone(),
            mark: Mark::Maintenance,
            by: text("op"),
            reason: reason(),
        },
        Event::BoardSet { board: board.clone(), mark: Mark::Dead, by: text("op"), reason: reason() },
        Event::UserCreated { user: user(), role: Role::Admin, phc: phc() },
        Event::PasswordSet { user: user(), phc: phc() },
        Event::RoleSet { user: user(), role: Role::Operator },
        Event::UserDeleted { user: user() },
        Event::SessionOpened {
            session,
            user: user(),
            role: Role::User,
            client: text("client 1.0"),
            span_ms: 3_600_000,
        },
        Event::SessionOpened {
            session: SessionKey(5),
            user: UserName::guest(),
            role: Role::Guest,
            client: text(""),
            span_ms: 0,
        },
        Event::SessionEnded { session, why: SessionEnd::Expired },
        Event::SessionEnded { session, why: SessionEnd::LoggedOut },
        Event::SessionEnded { session, why: SessionEnd::Ended },
        Event::SessionEnded { session, why: SessionEnd::UserChanged },
        Event::ServiceSet { accept: false, by: text("op"), reason: text("power work at noon") },
        Event::NumbersSkipped { last_job: JobId(1_000_007), last_grant: Grant(1_000_012) },
        Event::JobQueued { job: JobId(19), spec: Arc::new(golden_job_of_a_door()) },
        Event::MachineAdded { spec: Arc::new(golden_agents()), position: 3 },
        Event::BoardsAnnounced { machine: text("burners"), serials: [text("b-0"), text("b.1")].into() },
        Event::BoardOffline { board, reason: text("worker w fell silent") },
        Event::JobQueued { job: JobId(20), spec: Arc::new(golden_reservation()) },
        Event::LeaseExtended { job: JobId(20), until: Moment(1_790_003_600_000) },
        Event::LeaseEnding { job: JobId(20), ends_at: Moment(1_790_003_600_000) },
        Event::BoardOffers {
            board: burner(0),
            offers: [text("d41d8cd98f00b204e9800998ecf8427e"), text("x.1")].into(),
        },
        Event::BoardOffers { board: burner(1), offers: [].into() },
        Event::BoardNamed { board: burner(0), name: text("left of the door \u{2192}") },
        Event::BoardNamed { board: burner(1), name: text("") },
        Event::JobRequeued {
            job: JobId(21),
            order: Some(order(7)),
            reason: text("FAIL"),
            priority: Some(-5),
        },
        Event::JobDestroyed {
            job: JobId(21),
            order: Some(order(8)),
            reason: Reason::Done(text("PASS in 151 s")),
        },
    ];
    events.into_iter().zip(1_790_000_000_123..).map(|(event, at)| Fact { at: Moment(at), event }).collect()
}

/// A board of the pool that agents have.
fn burner(board: u32) -> BoardRef {
    BoardRef { machine: "burners".into(), board: BoardIndex(board) }
}

/// A job that came by a door which takes any owner it is told.
fn golden_job_of_a_door() -> JobSpec {
    let echo = r#"{"args":[3],"kwargs":{"tags":null}}"#.into();
    JobSpec { by: "/spalloc".into(), echo, ..JobSpec::new("somebody else", Want::Boards(3)) }
}

/// A board of a pool that was reserved.
fn golden_reservation() -> JobSpec {
    let want = Want::Serials(vec!["devices-0".into()]);
    let (tags, kind) = (BTreeSet::new(), Some("variance".into()));
    let (keepalive_ms, lease_ms) = (None, Some(3_600_000));
    JobSpec { tags, kind, keepalive_ms, lease_ms, reserved: true, ..JobSpec::new("ada", want) }
}

/// A torus with everything a torus can have, its boards placed by a table.
fn golden_torus() -> MachineSpec {
    let mut table = PlaceTable::default();
    table.enter(BoardIndex(0), Physical { cabinet: 0, frame: 1, board: 2 }, "10.11.0.1".into());
    table.enter(BoardIndex(23), Physical { cabinet: 1, frame: 0, board: 5 }, "".into());
    MachineSpec {
        name: "m".into(),
        shape: Shape::Triads(TriadsSpec {
            width: 4,
            height: 2,
            dead_boards: vec![Triad::new(3, 1, 2), Triad::new(0, 0, 1)],
            dead_links: vec![(Triad::new(0, 0, 0), Link::West), (Triad::new(1, 0, 2), Link::East)],
            places: Places::Table(table),
            bmps: BTreeMap::from([((0, 0), "127.0.1.1".into()), ((1, 2), "bmp-1-2".into())]),
        }),
        tags: BTreeSet::from(["default".into(), "large".into()]),
        kinds: vec!["spinnaker".into(), "plain".into()],
        settle_ms: 30_000,
        order_ms_max: 60_000,
        agents: false,
        boots: true,
    }
}

/// A torus whose boards are placed by a rule.
fn golden_rule() -> MachineSpec {
    let (boards_per_frame, frames_per_cabinet, base) = (24, 5, 0x0a0b_0001);
    let rule = PlaceRule { boards_per_frame, frames_per_cabinet, base, strides: [65_536, 256, 8] };
    let bare = TriadsSpec {
        width: 1000,
        height: 1000,
        dead_boards: vec![],
        dead_links: vec![],
        places: Places::Rule(rule),
        bmps: BTreeMap::new(),
    };
    MachineSpec { shape: Shape::Triads(bare), tags: BTreeSet::new(), settle_ms: 0, ..golden_torus() }
}

/// A pool.
fn golden_pool() -> MachineSpec {
    let serials = vec!["devices-0".into(), "E46\u{b5}".into()];
    MachineSpec { name: "devices".into(), shape: Shape::Pool { serials }, ..golden_torus() }
}

/// A pool whose boards come with agents.
fn golden_agents() -> MachineSpec {
    MachineSpec {
        name: "burners".into(),
        shape: Shape::Pool { serials: vec![] },
        agents: true,
        ..golden_torus()
    }
}

/// A job with everything that can be asked for.
fn golden_job() -> JobSpec {
    JobSpec {
        machine: Some("m".into()),
        tags: BTreeSet::new(),
        min_ratio: 0.1 + 0.2,
        max_dead_boards: Some(0),
        max_dead_links: Some(4),
        require_torus: true,
        keepalive_ms: None,
        lease_ms: Some(7_200_000),
        kind: Some("burn".into()),
        kind_args: "{\"image\":\"a\\\\b\"}".into(),
        priority: -3,
        note: "nightly\n\u{1f980}".into(),
        ..JobSpec::new("ada", Want::Triads { width: 3, height: 2 })
    }
}
