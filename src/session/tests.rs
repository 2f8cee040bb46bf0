//! The table of sessions against single stories, against a naive model, and under many threads.

use super::*;
use proptest::prelude::*;

const START: Moment = Moment(1_000_000);
const SPAN_MS: u64 = 60_000;

fn id(number: u128) -> SessionId {
    SessionId::from_bits(number)
}

fn user(name: &str) -> UserName {
    UserName::parse_or_guest(name).unwrap()
}

fn session(number: u128, name: &str, opened: Moment, span_ms: u64) -> Session {
    Session::new(id(number), user(name), Role::User, "test".into(), opened, span_ms)
}

/// One letter for what an id leads to.
fn seen(sessions: &Sessions, number: u128, now: Moment) -> char {
    match sessions.find(&id(number), now) {
        Found::Living(_) => 'L',
        Found::Over => 'O',
        Found::Unknown => '?',
    }
}

fn bits(ids: Vec<SessionId>) -> Vec<u128> {
    ids.into_iter().map(SessionId::to_bits).collect()
}

#[test]
fn the_span_slides_with_use_and_ends_without_a_sweep() {
    let sessions = Sessions::new();
    sessions.open(session(1, "ada", START, SPAN_MS)).unwrap();
    let used = START.plus_ms(SPAN_MS - 1);
    assert!(matches!(sessions.touch(&id(1), used), Found::Living(s) if s.user == user("ada")));
    assert_eq!(seen(&sessions, 1, used.plus_ms(SPAN_MS - 1)), 'L');
    assert_eq!(seen(&sessions, 1, used.plus_ms(SPAN_MS)), 'O');
    assert!(matches!(sessions.touch(&id(1), used.plus_ms(SPAN_MS)), Found::Over));
    assert_eq!(seen(&sessions, 1, used.plus_ms(SPAN_MS)), 'O', "a use that came too late renews nothing");
    assert_eq!(seen(&sessions, 2, used), '?');
}

#[test]
fn without_a_span_a_session_lives_for_ever() {
    let sessions = Sessions::new();
    let session = sessions.open(session(1, "ada", START, 0)).unwrap();
    assert_eq!(session.expires(), None);
    assert_eq!(sessions.next_expiry(), None);
    assert_eq!(seen(&sessions, 1, Moment(u64::MAX)), 'L');
}

#[test]
fn an_ended_session_is_over_for_a_while_and_then_unknown() {
    let sessions = Sessions::new();
    sessions.open(session(1, "ada", START, SPAN_MS)).unwrap();
    assert!(sessions.end(&id(1), START).is_some());
    assert!(sessions.end(&id(1), START).is_none());
    assert!(sessions.end(&id(2), START).is_none());
    assert_eq!(seen(&sessions, 1, START.plus_ms(OVER_REMEMBERED_MS - 1)), 'O');
    assert_eq!(seen(&sessions, 1, START.plus_ms(OVER_REMEMBERED_MS)), '?');
    sessions.poll_expired(START.plus_ms(OVER_REMEMBERED_MS));
    assert_eq!(sessions.table.len(), 0, "and takes no room");
}

#[test]
fn an_id_is_never_given_to_a_second_session() {
    let sessions = Sessions::new();
    assert!(sessions.open(session(1, "ada", START, SPAN_MS)).is_some());
    assert!(sessions.open(session(1, "bob", START, SPAN_MS)).is_none());
    sessions.end(&id(1), START);
    assert!(sessions.open(session(1, "bob", START, SPAN_MS)).is_none());
    assert_eq!((sessions.count(), sessions.count_of(&user("bob"))), (0, 0));
}

#[test]
fn the_sessions_of_a_user_are_counted_listed_changed_and_ended_together() {
    let sessions = Sessions::new();
    for (number, name, age) in [(3, "ada", 0), (1, "ada", 5), (2, "bob", 0), (4, "guest", 0)] {
        sessions.open(session(number, name, START.plus_ms(age), SPAN_MS)).unwrap();
    }
    let numbers = |list: Vec<Arc<Session>>| bits(list.iter().map(|session| session.id).collect());
    let now = START.plus_ms(10);
    assert_eq!(numbers(sessions.of_user(&user("ada"), now)), [3, 1]);
    assert_eq!(numbers(sessions.snapshot(now)), [2, 3, 4, 1]);
    assert_eq!(numbers(sessions.snapshot(START.plus_ms(SPAN_MS))), [1], "those that ran out are not listed");
    assert_eq!(numbers(sessions.of_user(&user("ada"), START.plus_ms(SPAN_MS))), [1]);
    assert_eq!(["ada", "bob", "eve"].map(|name| sessions.count_of(&user(name))), [2, 1, 0]);

    sessions.role_changed(&user("ada"), Role::Admin);
    let roles: Vec<_> = sessions.snapshot(now).iter().map(|session| session.role()).collect();
    assert_eq!(roles, [Role::User, Role::Admin, Role::User, Role::Admin]);

    assert_eq!(bits(sessions.end_of_user(&user("ada"), now)), [3, 1]);
    assert_eq!(sessions.end_of_user(&user("ada"), now).len(), 0);
    assert_eq!((sessions.count(), sessions.count_of(&user("ada"))), (2, 0));
    assert_eq!([1, 2, 3, 4].map(|number| seen(&sessions, number, now)), ['O', 'L', 'O', 'L']);
}

#[test]
fn the_sweep_names_those_that_ran_out_until_they_are_ended() {
    let sessions = Sessions::new();
    sessions.open(session(1, "ada", START, SPAN_MS)).unwrap();
    sessions.open(session(2, "ada", START, SPAN_MS)).unwrap();
    sessions.touch(&id(2), START.plus_ms(500));
    assert_eq!(sessions.next_expiry(), Some(START.plus_ms(SPAN_MS)));
    assert_eq!(bits(sessions.poll_expired(START.plus_ms(SPAN_MS - 1))), []);
    assert_eq!(bits(sessions.poll_expired(START.plus_ms(SPAN_MS))), [1]);
    assert_eq!(sessions.next_expiry(), Some(START.plus_ms(SPAN_MS + 1_000)));
    assert_eq!(bits(sessions.poll_expired(START.plus_ms(SPAN_MS + 1_000))), [2]);
    assert_eq!(bits(sessions.poll_expired(START.plus_ms(SPAN_MS + 2_000))), []);

    sessions.end(&id(2), START.plus_ms(SPAN_MS + 2_000));
    let again = START.plus_ms(SPAN_MS + 1_000 + EXPIRED_AGAIN_MS);
    assert_eq!(bits(sessions.poll_expired(again)), [1], "not ended, so named again");
    sessions.end(&id(1), again);
    assert_eq!(sessions.next_expiry(), None);
}

#[test]
fn a_restart_gives_every_session_its_whole_span() {
    let sessions = Sessions::new();
    let kept = session(1, "ada", START, SPAN_MS);
    let restart = START.plus_ms(1_000_000);
    kept.renew(restart);
    sessions.open(kept).unwrap();
    assert_eq!(sessions.next_expiry(), Some(restart.plus_ms(SPAN_MS)));
    assert_eq!(seen(&sessions, 1, restart.plus_ms(SPAN_MS - 1)), 'L');
}

#[test]
fn a_crowd_is_swept_in_bounded_steps_and_leaves_bounded_traces() {
    let sessions = Sessions::new();
    let crowd = OVER_REMEMBERED_MAX + LOOKS_PER_SWEEP_MAX / 2;
    for number in 0..crowd as u128 {
        sessions.open(session(number, "guest", START, SPAN_MS)).unwrap();
    }
    assert_eq!((sessions.count(), sessions.count_of(&UserName::guest())), (crowd, crowd));
    let now = START.plus_ms(SPAN_MS);
    let mut ended = 0;
    while sessions.next_expiry().is_some_and(|at| at <= now) {
        let expired = sessions.poll_expired(now);
        assert!(expired.len() <= LOOKS_PER_SWEEP_MAX);
        ended += expired.iter().filter(|id| sessions.end(id, now).is_some()).count();
    }
    assert_eq!((ended, sessions.count()), (crowd, 0));
    assert_eq!(sessions.table.len(), OVER_REMEMBERED_MAX);
    assert_eq!(sessions.next_expiry(), None, "and none in the wheel");
}

#[test]
fn many_threads_at_once_neither_stall_nor_disagree() {
    let sessions = Sessions::new();
    let names = ["ada", "bob", "eve", "guest"];
    std::thread::scope(|scope| {
        for (lane, name) in (0..).zip(names) {
            let sessions = &sessions;
            scope.spawn(move || {
                for n in 0..2_000u128 {
                    let (number, now) = (lane * 10_000 + n, START.plus_ms(n as u64));
                    sessions.open(session(number, name, now, SPAN_MS)).unwrap();
                    sessions.touch(&id((lane + 1) % 4 * 10_000 + n), now);
                    if n % 2 == 0 {
                        sessions.end(&id(number), now).unwrap();
                    }
                    if n % 100 == 0 {
                        sessions.snapshot(now);
                        sessions.role_changed(&user(name), Role::Operator);
                        assert_eq!(sessions.poll_expired(now).len(), 0);
                    }
                }
            });
        }
    });
    assert_eq!(sessions.count(), 4_000);
    for name in names {
        assert_eq!(sessions.count_of(&user(name)), 1_000);
        assert_eq!(sessions.of_user(&user(name), START).len(), 1_000);
    }
}

/// The same as `Sessions`, as plainly as possible.
#[derive(Default)]
struct Model {
    /// User and last use of every session that was not ended.
    living: BTreeMap<u128, (String, Moment)>,
    /// When the others ended.
    over: BTreeMap<u128, Moment>,
}

impl Model {
    fn seen(&self, number: u128, now: Moment) -> char {
        match (self.living.get(&number), self.over.get(&number)) {
            (Some((_, used)), _) if now < used.plus_ms(SPAN_MS) => 'L',
            (Some(_), _) => 'O',
            (None, Some(at)) if now.ms_since(*at) < OVER_REMEMBERED_MS => 'O',
            _ => '?',
        }
    }

    fn count_of(&self, name: &str) -> usize {
        self.living.values().filter(|(user, _)| user == name).count()
    }
}

/// What may happen to the sessions.
#[derive(Clone, Debug)]
enum Step {
    Open(u128, &'static str),
    Touch(u128),
    End(u128),
    EndOfUser(&'static str),
    Wait(u64),
    Sweep,
}

fn step() -> impl Strategy<Value = Step> {
    let (number, name) = (0u128..30, prop::sample::select(vec!["ada", "bob", "guest"]));
    prop_oneof![
        4 => (number.clone(), name.clone()).prop_map(|(number, name)| Step::Open(number, name)),
        4 => number.clone().prop_map(Step::Touch),
        1 => number.prop_map(Step::End),
        1 => name.prop_map(Step::EndOfUser),
        4 => prop_oneof![0..SPAN_MS / 2, Just(OVER_REMEMBERED_MS / 3)].prop_map(Step::Wait),
        4 => Just(Step::Sweep),
    ]
}

/// Ends what ran out, in both.
fn sweep(sessions: &Sessions, model: &mut Model, now: Moment) -> Result<(), TestCaseError> {
    for number in bits(sessions.poll_expired(now)) {
        prop_assert_eq!(model.seen(number, now), 'O');
        prop_assert!(model.living.remove(&number).is_some());
        model.over.insert(number, now);
        sessions.end(&id(number), now);
    }
    let late = |used: &Moment| used.plus_ms(SPAN_MS + 1_000) <= now;
    prop_assert!(!model.living.values().any(|(_, used)| late(used)));
    Ok(())
}

proptest! {
    #[test]
    fn the_table_agrees_with_the_model(steps in prop::collection::vec(step(), 1..200)) {
        let (sessions, mut model, mut now) = (Sessions::new(), Model::default(), START);
        for step in steps {
            match step {
                Step::Open(number, name) => {
                    // The model forgets ended sessions by time alone, the table only when it is swept.
                    sweep(&sessions, &mut model, now)?;
                    model.over.retain(|_, at| now.ms_since(*at) < OVER_REMEMBERED_MS);
                    let opened = sessions.open(session(number, name, now, SPAN_MS)).is_some();
                    let free = !model.living.contains_key(&number) && !model.over.contains_key(&number);
                    prop_assert_eq!(opened, free);
                    if free {
                        model.living.insert(number, (name.into(), now));
                    }
                }
                Step::Touch(number) => {
                    sessions.touch(&id(number), now);
                    if model.seen(number, now) == 'L' {
                        model.living.get_mut(&number).unwrap().1 = now;
                    }
                }
                Step::End(number) => {
                    let ended = sessions.end(&id(number), now).is_some();
                    prop_assert_eq!(ended, model.living.remove(&number).is_some());
                    if ended {
                        model.over.insert(number, now);
                    }
                }
                Step::EndOfUser(name) => {
                    for number in bits(sessions.end_of_user(&user(name), now)) {
                        prop_assert_eq!(&model.living.remove(&number).unwrap().0, name);
                        model.over.insert(number, now);
                    }
                    prop_assert_eq!(model.count_of(name), 0);
                }
                Step::Wait(ms) => now = now.plus_ms(ms),
                Step::Sweep => sweep(&sessions, &mut model, now)?,
            }
            for number in 0..30 {
                prop_assert_eq!(seen(&sessions, number, now), model.seen(number, now));
            }
            prop_assert_eq!(sessions.count(), model.living.len());
            for name in ["ada", "bob", "guest"] {
                prop_assert_eq!(sessions.count_of(&user(name)), model.count_of(name));
            }
            prop_assert_eq!(sessions.next_expiry().is_some(), !model.living.is_empty());
            if let Some((_, used)) = model.living.values().min_by_key(|(_, used)| *used) {
                let bound = sessions.next_expiry().unwrap();
                prop_assert!(bound.0 <= used.plus_ms(SPAN_MS).0.div_ceil(1_000) * 1_000);
            }
        }
    }
}
