//! Every kind of piece goes to its record and comes back exactly the same; records of old come back as they always did.

use super::*;
use crate::lab::board::{BoardState, Note, Tally, Trouble};
use crate::lab::effect::Action;
use crate::lab::job::{Extension, Job, JobEvent, JobState, Loan};
use crate::lab::snapshot::{BoardRun, BoardWords};
use crate::lab::view::BoardName;
use crate::lab::{Outstanding, Purpose, SessionRecord, User};
use proptest::sample::{Index, select};
use serde_json::Value;

fn piece() -> BoxedStrategy<Piece> {
    prop_oneof![
        fields!(Piece::Counters {
            last_job: job(),
            last_grant: grant(),
            accept: any::<bool>(),
            reason: text(),
        }),
        fields!(Piece::Machine { spec: machine().prop_map(Arc::new) }),
        vec(run(), 0..6).prop_map(Piece::Boards),
        words().prop_map(Piece::Board),
        fields!(Piece::User {
            name: user(),
            user: fields!(User { role: role(), phc: phc(), created: moment() }),
        }),
        fields!(Piece::Session { key: session(), record: session_record() }),
        boards().prop_map(Piece::Wear),
        vec(session(), 0..6).prop_map(Piece::SessionsOver),
        live_or_not().prop_map(|job| Piece::Job(Box::new(job))),
        vec(job(), 0..6).prop_map(Piece::Retired),
        fields!(Piece::Order { id: order(), open: outstanding() }),
        fields!(Piece::Cooling { free_at: moment(), order: order(), machine: text(), boards: boards() }),
    ]
    .boxed()
}

/// The name of a variant: one that is added has no row here and does not compile.
fn variant(piece: &Piece) -> &'static str {
    match piece {
        Piece::Counters { .. } => "counters",
        Piece::Machine { .. } => "machine",
        Piece::Boards(_) => "boards",
        Piece::Board(_) => "board",
        Piece::Wear(_) => "wear",
        Piece::User { .. } => "user",
        Piece::Session { .. } => "session",
        Piece::SessionsOver(_) => "sessions_over",
        Piece::Job(_) => "job",
        Piece::Retired(_) => "retired",
        Piece::Order { .. } => "order",
        Piece::Cooling { .. } => "cooling",
    }
}

/// All of these.
const KINDS: [&str; 12] = [
    "counters",
    "machine",
    "boards",
    "board",
    "wear",
    "user",
    "session",
    "sessions_over",
    "job",
    "retired",
    "order",
    "cooling",
];

fn grant() -> impl Strategy<Value = Grant> {
    any::<u64>().prop_map(Grant)
}

fn run() -> BoxedStrategy<BoardRun> {
    fields!(BoardRun {
        count: 1..=u32::MAX,
        state: select(BoardState::ALL.to_vec()),
        grant: grant(),
        since: moment(),
    })
}

fn words() -> BoxedStrategy<BoardWords> {
    let note = || option::of(fields!(Note { mark: mark(), by: text(), reason: text() }));
    fields!(BoardWords {
        board: board(),
        trouble: option::of(fields!(Trouble {
            reason: text(),
            retest_at: option::of(moment()),
            strikes: any::<u32>(),
            testing: option::of(order()),
        })),
        mark: note(),
        note: note(),
        reports: btree_map(text(), text(), 0..3),
        offers: vec(text(), 0..3).prop_map(Arc::from),
        called: text(),
        tally: (any::<u64>(), any::<u64>()).prop_map(|(done, failed)| Tally { done, failed }),
    })
}

fn session_record() -> BoxedStrategy<SessionRecord> {
    fields!(SessionRecord {
        user: user(),
        role: role(),
        client: text(),
        opened: moment(),
        span_ms: any::<u64>()
    })
}

fn live_or_not() -> impl Strategy<Value = Job> {
    let past = fields!(Past {
        attempts: any::<u32>(),
        reason: option::of(reason()),
        ended: option::of(moment()),
        log: vec((moment(), event()), 0..5),
    });
    let state = select(JobState::ALL[1..].to_vec());
    let now = (job(), job_spec(), moment(), state, option::of(loan()));
    (now, past).prop_map(|((id, spec, created, state, loan), past)| Job {
        id,
        spec: Arc::new(spec),
        created,
        state,
        loan,
        attempts: past.attempts,
        last_seen: created,
        grace_until: None,
        reason: past.reason,
        ended: past.ended,
        log: past.log,
    })
}

/// What is behind a job.
#[derive(Debug)]
struct Past {
    attempts: u32,
    reason: Option<Reason>,
    ended: Option<Moment>,
    log: Vec<(Moment, JobEvent)>,
}

fn loan() -> BoxedStrategy<Loan> {
    fields!(Loan {
        grant: grant(),
        machine: text(),
        boards: boards().prop_map(Arc::from),
        region: option::of(any::<[u32; 4]>().prop_map(|[x, y, width, height]| Region {
            x,
            y,
            width,
            height
        })),
        since: moment(),
        next_step: any::<u32>(),
        power: any::<bool>(),
        was_ready: any::<bool>(),
        kind: text(),
        extended: option::of(fields!(Extension { at: moment(), until: moment() })),
        warned: option::of(moment()),
    })
}

fn event() -> impl Strategy<Value = JobEvent> {
    let name = prop_oneof![
        any::<[u32; 3]>().prop_map(|[x, y, z]| BoardName::Triad(Triad::new(x, y, z))),
        text().prop_map(BoardName::Serial),
    ];
    prop_oneof![
        Just(JobEvent::Queued),
        fields!(JobEvent::Granted { grant: grant(), machine: text(), boards: any::<usize>() }),
        fields!(JobEvent::Ready { power: any::<bool>() }),
        fields!(JobEvent::Powering { power: any::<bool>() }),
        fields!(JobEvent::Extended { until: moment() }),
        text().prop_map(JobEvent::Requeued),
        fields!(JobEvent::BoardFailed { machine: text(), board: name, reason: text() }),
        reason().prop_map(JobEvent::Destroyed),
    ]
}

fn outstanding() -> BoxedStrategy<Outstanding> {
    let action = prop_oneof![
        fields!(Action::Prepare { kind: text(), args: text() }),
        Just(Action::PowerOff),
        Just(Action::Clean),
        Just(Action::Test),
    ];
    let purpose = prop_oneof![
        fields!(Purpose::Switch { job: job(), action: action }),
        fields!(Purpose::Clean { job: job() }),
        Just(Purpose::Test),
    ];
    fields!(Outstanding {
        machine: text(),
        boards: boards().prop_map(Arc::from),
        purpose: purpose,
        answered: boards().prop_map(|boards| boards.into_iter().collect()),
        failed: btree_map(board(), text(), 0..4),
        deadline: moment(),
    })
}

proptest! {
    #[test]
    fn every_piece_comes_back_the_same(piece in piece()) {
        let record = Record::of_piece(&piece).unwrap();
        prop_assert_eq!(&record.kind, variant(&piece));
        prop_assert_eq!(record.at, Moment(0));
        prop_assert_eq!(record.piece(), Ok(piece), "{:?}", &record);
    }

    /// One value somewhere inside a golden record is another one, or gone, or there is one more.
    #[test]
    fn no_body_of_another_shape_panics(
        record in select(golden_v1()), path in vec(any::<Index>(), 8), with in select(strange()), how in 0..3
    ) {
        let mut body: Value = serde_json::from_str(&record.body).unwrap();
        twist(&mut body, &path, with, how);
        let changed = Record { body: body.to_string().into(), ..record };
        if let Ok(piece) = changed.piece() {
            let again = Record::of_piece(&piece).unwrap();
            prop_assert_eq!(again.piece(), Ok(piece));
        }
    }

    #[test]
    fn no_byte_panics(record in select(golden_v1()), at in any::<Index>(), with in any::<u8>()) {
        let mut body = record.body.as_bytes().to_vec();
        let at = at.index(body.len());
        body[at] = with;
        let Ok(body) = String::from_utf8(body) else { return Ok(()) };
        let _ = Record { body: body.into(), ..record }.piece();
    }
}

/// Values that stand where others are expected.
fn strange() -> Vec<Value> {
    let text = r#"[null, true, -1, 0, 4294967295, 4294967296, 18446744073709551615, 1.5, 1e300, "", "x", "free",
        [], [[]], [[4294967295, 2]], [[0, 4294967295]], [[0, 0]], {}, {"more": 1}, {"boards": 3}]"#;
    serde_json::from_str(text).unwrap()
}

/// Goes down the path and replaces, removes or adds.
fn twist(value: &mut Value, path: &[Index], with: Value, how: i32) {
    let Some((step, path)) = path.split_first() else { return };
    match value {
        Value::Array(items) if !items.is_empty() => {
            let at = step.index(items.len());
            match (how, items[at].is_array() || items[at].is_object()) {
                (_, true) => twist(&mut items[at], path, with, how),
                (0, _) => items[at] = with,
                (1, _) => drop(items.remove(at)),
                _ => items.push(with),
            }
        }
        Value::Object(fields) if !fields.is_empty() => {
            let key = fields.keys().nth(step.index(fields.len())).unwrap().clone();
            match (how, fields[&key].is_array() || fields[&key].is_object()) {
                (_, true) => twist(&mut fields[&key], path, with, how),
                (0, _) => drop(fields.insert(key, with)),
                (1, _) => drop(fields.remove(&key)),
                _ => drop(fields.insert("more".into(), with)),
            }
        }
        other => *other = with,
    }
}

/// The golden records of the first versions.
fn golden_v1() -> Vec<Record<'static>> {
    golden(include_str!("../../../../tests/vectors/journal/pieces-v1.jsonl"))
}

#[test]
fn golden_pieces_mean_what_they_always_meant() {
    let (records, pieces) = (golden_v1(), golden_pieces());
    let line = |piece: &Piece| {
        let Record { at, kind, version, body } = Record::of_piece(piece).unwrap();
        format!(r#"{{"at":{},"kind":"{kind}","version":{version},"body":{body}}}"#, at.0)
    };
    let missing: Vec<_> = pieces.iter().skip(records.len()).map(line).collect();
    assert_eq!(records.len(), pieces.len(), "to be appended:\n{}", missing.join("\n"));
    for (record, piece) in records.iter().zip(&pieces) {
        assert_eq!(record.piece().as_ref(), Ok(piece), "{record:?}");
        // While version 1 is the newest of its kind it is also what is written, to the byte.
        let written = Record::of_piece(piece).unwrap();
        assert!(written.version > record.version || written == *record, "{written:?}\n{record:?}");
    }
    for kind in KINDS {
        assert!(pieces.iter().any(|piece| variant(piece) == kind), "no golden record of {kind}");
    }
}

#[test]
fn a_piece_is_no_fact_and_a_fact_no_piece() {
    for record in golden_v1() {
        assert!(matches!(record.decode(), Err(RecordError::Unknown { .. })), "{record:?}");
    }
    for record in super::golden_v1() {
        assert!(matches!(record.piece(), Err(RecordError::Unknown { .. })), "{record:?}");
    }
}

#[test]
fn what_is_nearly_a_piece_is_refused() {
    let record = |kind: &str, version, body: &str| {
        Record { at: Moment(0), kind: kind.to_owned().into(), version, body: body.to_owned().into() }.piece()
    };
    for golden in golden_v1() {
        for (kind, version) in [(&*golden.kind, 0), (&*golden.kind, 4), ("machines", 1), ("", 1)] {
            let refused = Err(RecordError::Unknown { kind: kind.into(), version: version.into() });
            assert_eq!(record(kind, version, &golden.body), refused);
        }
        let more = golden.body.replacen('{', r#"{"more":1,"#, 1);
        assert!(matches!(record(&golden.kind, golden.version, &more), Err(RecordError::Shape(_))), "{more}");
    }
    let wrong = [
        ("counters", r#"{"last_job":1,"last_grant":2}"#),
        ("counters", r#"{"last_job":-1,"last_grant":2,"accept":true}"#),
        ("boards", r#"{"runs":[[0,"free",0,0]]}"#),
        ("boards", r#"{"runs":[[4294967296,"free",0,0]]}"#),
        ("boards", r#"{"runs":[[1,"fre",0,0]]}"#),
        ("boards", r#"{"runs":[[1,"free",0]]}"#),
        ("boards", r#"{"runs":[[1,"free",0,0,0]]}"#),
        ("board", r#"{"board":1,"reports":[["ada","hot"],["ada","cold"]]}"#),
        ("board", r#"{"board":1,"mark":{"mark":"fine","by":"ada","reason":""}}"#),
        ("user", r#"{"user":"ada","role":"admin","phc":"plain","created":1}"#),
        ("sessions_over", r#"{"sessions":["abc"]}"#),
        ("retired", r#"{"jobs":[1.5]}"#),
        ("wear", r#"{"boards":[[1,0]]}"#),
        ("order", r#"{"order":[1,2],"machine":"m","boards":[],"purpose":"lend","deadline":1}"#),
        (
            "order",
            r#"{"order":[1,2],"machine":"m","boards":[],"purpose":"test","failed":[[1,"a"],[1,"b"]],"deadline":1}"#,
        ),
        ("cooling", r#"{"free_at":1,"order":[1,2],"machine":"m","boards":[[4294967295,2]]}"#),
    ];
    for (kind, body) in wrong {
        assert!(record(kind, 1, body).is_err(), "{kind} {body}");
    }
    let job = Job::new(JobId(1), Arc::new(JobSpec::new("ada", Want::Boards(1))), Moment(5));
    let body = Record::of_piece(&Piece::Job(Box::new(job.clone()))).unwrap().body;
    let unknown = body.replace(r#""state":"queued""#, r#""state":"unknown""#);
    assert!(matches!(record("job", 1, &unknown), Err(RecordError::Value(_))), "{unknown}");
    let unknown = Job { state: JobState::Unknown, ..job };
    assert!(Record::of_piece(&Piece::Job(Box::new(unknown))).is_err());
}

#[test]
fn signs_of_life_are_not_kept() {
    let job = Job::new(JobId(1), Arc::new(JobSpec::new("ada", Want::Boards(1))), Moment(5));
    let seen = Job { last_seen: Moment(77_777), grace_until: Some(Moment(99_999)), ..job.clone() };
    let record = Record::of_piece(&Piece::Job(Box::new(seen))).unwrap();
    assert_eq!(record.piece(), Ok(Piece::Job(Box::new(job))));
    assert!(!record.body.contains("77777") && !record.body.contains("99999"), "{}", record.body);
}

#[test]
fn what_is_not_there_is_not_written() {
    let body = |piece| Record::of_piece(&piece).unwrap().body.into_owned();
    let idle = BoardRun { count: 3_000_000, state: BoardState::Free, grant: Grant(0), since: Moment(5) };
    assert_eq!(body(Piece::Boards(vec![idle])), r#"{"runs":[[3000000,"free",0,5]]}"#);
    assert_eq!(body(Piece::Board(bare(7))), r#"{"board":7}"#);
}

/// The pieces of which `pieces-v1.jsonl` was made, in its order. Neither is ever edited; more may follow.
fn golden_pieces() -> Vec<Piece> {
    let text = |text: &str| Arc::<str>::from(text);
    let counters = |accept, reason| Piece::Counters {
        last_job: JobId(17),
        last_grant: Grant(9),
        accept,
        reason: text(reason),
    };
    let machines = [golden_torus(), golden_rule(), golden_pool()];
    let mut pieces = vec![counters(true, ""), counters(false, "power work at noon")];
    pieces.extend(machines.map(|spec| Piece::Machine { spec: Arc::new(spec) }));
    pieces.extend(golden_boards());
    pieces.extend(golden_people());
    pieces.extend(golden_jobs().into_iter().map(|job| Piece::Job(Box::new(job))));
    pieces.extend([Piece::Retired(vec![JobId(3), JobId(1)]), Piece::Retired(vec![])]);
    pieces.extend(golden_orders());
    pieces.push(Piece::Cooling {
        free_at: Moment(1_790_000_030_000),
        order: OrderId { grant: Grant(8), step: 2 },
        machine: text("m"),
        boards: [5, 6, 7, 1].map(BoardIndex).to_vec(),
    });
    pieces.push(Piece::Wear([4, 0, 1, 2, 7].map(BoardIndex).to_vec()));
    pieces.push(Piece::Job(Box::new(golden_reserved_job())));
    pieces.push(Piece::Board(BoardWords {
        offers: [text("d41d8cd98f00b204e9800998ecf8427e"), text("x.1")].into(),
        called: text("left of the door"),
        tally: Tally { done: 12, failed: 3 },
        ..bare(2)
    }));
    pieces.push(Piece::Job(Box::new(Job {
        state: JobState::Destroyed,
        reason: Some(Reason::Done(text("PASS"))),
        ended: Some(Moment(1_790_000_000_009)),
        ..Job::new(JobId(21), Arc::new(JobSpec::new("ada", Want::Boards(1))), Moment(1_790_000_000_000))
    })));
    pieces
}

/// A reservation that was extended, and whose holder was warned again since.
fn golden_reserved_job() -> Job {
    let at = |ms: u64| Moment(1_790_000_000_000 + ms);
    let loan = Loan {
        grant: Grant(9),
        machine: "devices".into(),
        boards: [BoardIndex(0)].into(),
        region: None,
        since: at(0),
        next_step: 1,
        power: true,
        was_ready: true,
        kind: "variance".into(),
        extended: Some(Extension { at: at(100), until: at(3_600_100) }),
        warned: Some(at(2_400_100)),
    };
    Job {
        state: JobState::Ready,
        loan: Some(loan),
        log: vec![(at(0), JobEvent::Queued), (at(100), JobEvent::Extended { until: at(3_600_100) })],
        ..Job::new(JobId(20), Arc::new(golden_reservation()), at(0))
    }
}

/// A board of which nothing was said.
fn bare(board: u32) -> BoardWords {
    BoardWords {
        board: BoardIndex(board),
        trouble: None,
        mark: None,
        note: None,
        reports: BTreeMap::new(),
        offers: [].into(),
        called: "".into(),
        tally: Tally::default(),
    }
}

fn golden_boards() -> Vec<Piece> {
    let (since, grants) = (Moment(1_790_000_000_123), [0, 1, 2, 3, 4, 5, u64::MAX]);
    let run = |(state, grant)| BoardRun { count: 3, state, grant: Grant(grant), since };
    let all = BoardState::ALL.into_iter().zip(grants).map(run).collect();
    let note = |mark| Note { mark, by: "op".into(), reason: "fan \u{2192} \"7\"".into() };
    let trouble = |retest_at, strikes, testing| Trouble {
        reason: "did not prepare: no link".into(),
        retest_at,
        strikes,
        testing,
    };
    let testing = Some(OrderId { grant: Grant(9), step: 0 });
    vec![
        Piece::Boards(vec![]),
        Piece::Boards(all),
        Piece::Board(bare(0)),
        Piece::Board(BoardWords { trouble: Some(trouble(Some(Moment(u64::MAX)), 0, None)), ..bare(1) }),
        Piece::Board(BoardWords { trouble: Some(trouble(None, 2, testing)), ..bare(2) }),
        Piece::Board(BoardWords { mark: Some(note(Mark::Maintenance)), ..bare(3) }),
        Piece::Board(BoardWords { note: Some(note(Mark::Dead)), ..bare(4) }),
        Piece::Board(BoardWords {
            mark: Some(note(Mark::Free)),
            note: Some(Note::of_config(Mark::Dead, "dead in the configuration")),
            reports: BTreeMap::from([("ada".into(), "hot".into()), ("bob".into(), "".into())]),
            ..bare(5)
        }),
    ]
}

fn golden_people() -> Vec<Piece> {
    let phc: Phc = "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4"
        .parse()
        .unwrap();
    let mut people: Vec<_> = (1u64..)
        .zip(Role::ALL)
        .map(|(number, role)| Piece::User {
            name: UserName::parse(&format!("u{number}")).unwrap(),
            user: User { role, phc: phc.clone(), created: Moment(1_790_000_000_000 + number) },
        })
        .collect();
    let session = |key, user, role, span_ms| Piece::Session {
        key: SessionKey(key),
        record: SessionRecord { user, role, client: "client 1.0".into(), opened: Moment(7), span_ms },
    };
    let ada = UserName::parse("ada").unwrap();
    people.push(session(0x00ff_0123_4567_89ab_cdef_0011_2233_4455, ada, Role::User, 3_600_000));
    people.push(session(5, UserName::guest(), Role::Guest, 0));
    people.push(Piece::SessionsOver(vec![SessionKey(u128::MAX), SessionKey(1)]));
    people
}

fn golden_jobs() -> Vec<Job> {
    let at = |ms: u64| Moment(1_790_000_000_000 + ms);
    let boards: Arc<[_]> = [0, 1, 2, 4, 5, 23].map(BoardIndex).into();
    let loan = Loan {
        grant: Grant(9),
        machine: "m".into(),
        boards,
        region: Some(Region { x: 0, y: 1, width: 2, height: 3 }),
        since: at(1),
        next_step: 2,
        power: true,
        was_ready: false,
        kind: "burn".into(),
        extended: None,
        warned: None,
    };
    let failed = |board| JobEvent::BoardFailed { machine: "m".into(), board, reason: "no link".into() };
    let plain = |want| Job::new(JobId(17), Arc::new(JobSpec::new("ada", want)), at(0));
    let switched = Job {
        state: JobState::Power,
        loan: Some(loan.clone()),
        attempts: 1,
        log: vec![
            (at(0), JobEvent::Queued),
            (at(1), JobEvent::Granted { grant: Grant(8), machine: "m".into(), boards: 6 }),
            (at(2), failed(BoardName::Triad(Triad::new(3, 1, 2)))),
            (at(3), failed(BoardName::Serial("s1".into()))),
            (at(4), JobEvent::Requeued("a board failed".into())),
            (at(5), JobEvent::Ready { power: true }),
            (at(6), JobEvent::Powering { power: false }),
        ],
        ..Job::new(JobId(18), Arc::new(golden_job()), at(0))
    };
    let bare = Loan { region: None, power: false, was_ready: true, ..loan };
    let mut jobs = vec![
        plain(Want::Boards(1)),
        plain(Want::Exact { x: 3, y: 1, z: 2 }),
        plain(Want::Serials(vec!["s1".into(), "s2".into()])),
        switched,
        Job { state: JobState::Ready, loan: Some(bare), log: vec![], ..plain(Want::Boards(6)) },
    ];
    let reasons = [
        Reason::Asked { by: "ada".into(), text: None },
        Reason::Asked { by: "op".into(), text: Some("".into()) },
        Reason::Lapsed,
        Reason::LeaseOver,
        Reason::Impossible("m: too large".into()),
        Reason::MachineRemoved("m".into()),
        Reason::BoardsFailed("no link".into()),
    ];
    jobs.extend(reasons.map(|reason| Job {
        state: JobState::Destroyed,
        reason: Some(reason.clone()),
        ended: Some(at(9)),
        log: vec![(at(0), JobEvent::Queued), (at(9), JobEvent::Destroyed(reason))],
        ..plain(Want::Boards(1))
    }));
    jobs
}

fn golden_orders() -> Vec<Piece> {
    let switch = |action| Purpose::Switch { job: JobId(17), action };
    let purposes = [
        switch(Action::Prepare { kind: "burn".into(), args: "{\"image\":\"a\\\\b\"}".into() }),
        switch(Action::PowerOff),
        switch(Action::Clean),
        switch(Action::Test),
        Purpose::Clean { job: JobId(17) },
        Purpose::Test,
    ];
    let open = |purpose| Outstanding {
        machine: "m".into(),
        boards: [0, 1, 2, 23].map(BoardIndex).into(),
        purpose,
        answered: BTreeSet::new(),
        failed: BTreeMap::new(),
        deadline: Moment(1_790_000_060_000),
    };
    let order = |(step, open)| Piece::Order { id: OrderId { grant: Grant(9), step }, open };
    let half = Outstanding {
        answered: [0, 1, 23].map(BoardIndex).into(),
        failed: BTreeMap::from([(BoardIndex(1), "no link".into()), (BoardIndex(23), "".into())]),
        ..open(Purpose::Test)
    };
    (0..).zip(purposes.map(open).into_iter().chain([half])).map(order).collect()
}
