//! A network that loses, doubles, delays and reorders, and a board that is often busy: every request ends exactly once, with its
//! own answer or an honest failure, and never more are in flight than may be.

use super::super::super::scamp::Command;
use super::super::super::scp::Unit;
use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;

/// How bad it is; percentages.
#[derive(Clone, Copy, Debug)]
struct Weather {
    lost: u64,
    doubled: u64,
    busy: u64,
    delay_ms_max: u64,
}

/// Numbers that look random and are the same for the same seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides.max(1)
    }

    fn hits(&mut self, percentage: u64) -> bool {
        self.roll(100) < percentage
    }
}

/// What a datagram on its way is for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Way {
    ToBoard,
    ToHost,
}

struct World {
    exchange: Exchange,
    dice: Dice,
    weather: Weather,
    now: At,
    on_its_way: BTreeSet<(At, u64, Way, Vec<u8>)>,
    sent: u64,
}

impl World {
    fn post(&mut self, way: Way, datagram: Vec<u8>) {
        if self.dice.hits(self.weather.lost) {
            return;
        }
        let copies = 1 + u64::from(self.dice.hits(self.weather.doubled));
        for _ in 0..copies {
            let at = self.now.plus_ms(self.dice.roll(self.weather.delay_ms_max + 1));
            self.sent += 1;
            self.on_its_way.insert((at, self.sent, way.clone(), datagram.clone()));
        }
    }

    /// The board answers with what only this request can be answered with: its address.
    fn board(&mut self, datagram: &[u8]) {
        let Command::Read { address, length, .. } = Command::of(Request::decode(datagram).unwrap().call)
        else {
            panic!("nobody asked that");
        };
        let body = address.to_le_bytes().repeat(length as usize / 4);
        let answer = match self.dice.hits(self.weather.busy) {
            true => reply_to(datagram, ResultCode::P2P_BUSY, &[]),
            false => reply_to(datagram, ResultCode::OK, &body),
        };
        self.post(Way::ToHost, answer);
    }

    fn send_all(&mut self) {
        while let Some(datagram) = self.exchange.poll_send(self.now).map(<[u8]>::to_vec) {
            assert!(self.exchange.in_flight() <= self.exchange.limits.in_flight_max);
            self.post(Way::ToBoard, datagram);
        }
    }

    /// Time goes on to the next thing that happens.
    fn step(&mut self) -> Option<Vec<Done>> {
        self.send_all();
        let arrival = self.on_its_way.first().map(|(at, ..)| *at);
        self.now = [arrival, self.exchange.next_deadline()].into_iter().flatten().min()?.max(self.now);
        let mut done = Vec::new();
        while self.on_its_way.first().is_some_and(|(at, ..)| *at <= self.now) {
            let (_, _, way, datagram) = self.on_its_way.pop_first()?;
            match way {
                Way::ToBoard => self.board(&datagram),
                Way::ToHost => done.extend(self.exchange.handle(&datagram, self.now)),
            }
        }
        done.extend(self.exchange.poll_expired(self.now));
        Some(done)
    }
}

fn weather() -> impl Strategy<Value = Weather> {
    // Later than ANSWER_MS_LATE_MAX there and back nothing comes: that is what the limit promises.
    let delay = prop_oneof![Just(0), Just(30), 0..1_500u64];
    (0..60u64, 0..60u64, 0..40u64, delay).prop_map(|(lost, doubled, busy, delay_ms_max)| Weather {
        lost,
        doubled,
        busy,
        delay_ms_max,
    })
}

fn run(
    weather: Weather,
    seed: u64,
    first: u16,
    flows: u64,
    count: u32,
    limits: Limits,
) -> BTreeMap<Ticket, Done> {
    let mut world = World {
        exchange: Exchange::starting_at(limits, Sequence(first)),
        dice: Dice(seed),
        weather,
        now: At(5),
        on_its_way: BTreeSet::new(),
        sent: 0,
    };
    let mut asked = BTreeMap::new();
    for address in 0..count {
        let command = Command::Read { address, length: 8, unit: Unit::Byte };
        let wish = Wish::scamp(monitor(), &command).in_flow(Flow(u64::from(address) % flows));
        asked.insert(world.exchange.push(&wish).unwrap(), address);
    }
    let mut ended = BTreeMap::new();
    while let Some(done) = world.step() {
        for done in done {
            let address = asked[&done.ticket];
            if let Ok(datagram) = &done.outcome {
                assert_eq!(Reply::decode(datagram).unwrap().body, address.to_le_bytes().repeat(2));
            }
            assert!(done.tries >= 1 && done.tries <= limits.tries_max);
            assert!(ended.insert(done.ticket, done).is_none(), "ended twice");
        }
    }
    assert_eq!(ended.len(), asked.len());
    assert_eq!((world.exchange.in_flight(), world.exchange.waiting()), (0, 0));
    ended
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_request_ends_once_with_its_own_answer(
        weather in weather(),
        seed in any::<u64>(),
        first in prop_oneof![Just(65_530u16), any::<u16>()],
        flows in 1..4u64,
        count in 1..60u32,
        window in 1..=8usize,
    ) {
        let limits = Limits { in_flight_max: window, ..Limits::SCAMP };
        let ended = run(weather, seed, first, flows, count, limits);
        if weather.lost == 0 && weather.busy == 0 && weather.delay_ms_max < 500 {
            prop_assert!(ended.values().all(|done| done.outcome.is_ok() && done.tries == 1));
        }
    }
}

#[test]
fn a_calm_network_answers_everything() {
    let weather = Weather { lost: 20, doubled: 20, busy: 10, delay_ms_max: 40 };
    let ended = run(weather, 7, 65_500, 3, 500, Limits::SCAMP);
    assert!(ended.values().all(|done| done.outcome.is_ok()));
    assert!(ended.values().any(|done| done.tries > 1));
}

/// All 65536 numbers are used up while answers to them may still come: the next request waits until one may be used again.
#[test]
fn numbers_run_out_and_come_back() {
    let mut exchange = Exchange::starting_at(
        Limits { waiting_max: 70_000, tries_max: 1, ..Limits::SCAMP },
        Sequence(40_000),
    );
    let command = Command::Version;
    let mut given = BTreeSet::new();
    let version = [0; 20];
    for _ in 0..=65_536 {
        exchange.push(&Wish::scamp(monitor(), &command)).unwrap();
    }
    while let Some(datagram) = exchange.poll_send(At(0)).map(<[u8]>::to_vec) {
        assert!(given.insert(Request::decode(&datagram).unwrap().sequence), "a number given twice");
        assert!(exchange.handle(&reply_to(&datagram, ResultCode::OK, &version), At(0)).is_some());
    }
    assert_eq!((given.len(), exchange.waiting()), (65_536, 1));
    assert_eq!(exchange.next_deadline(), Some(At(DOUBLE_MS_LATE_MAX)));
    assert!(exchange.poll_expired(At(DOUBLE_MS_LATE_MAX)).is_empty());
    assert!(exchange.poll_send(At(DOUBLE_MS_LATE_MAX)).is_some());
}

/// One request is in flight for very long, while all numbers are given out once and again: nobody else gets its number. And
/// one that was given up gets its answer late: nobody has its number then.
#[test]
fn numbers_in_use_are_passed_over() {
    let mut exchange = Exchange::starting_at(Limits { tries_max: 1, ..Limits::SCAMP }, Sequence(65_000));
    let wish = Wish::scamp(monitor(), &Command::Version);
    let slow = Wish { answer_ms_max: Some(1_000_000), ..wish };
    exchange.push(&slow).unwrap();
    let held = Request::decode(exchange.poll_send(At(0)).unwrap()).unwrap().sequence;
    let mut given_up = None;
    for at in 1..140_000 {
        // Thirty numbers in a millisecond, so that they come round within the time that an answer may be late.
        let now = At(at / 30);
        exchange.push(&wish).unwrap();
        let datagram = exchange.poll_send(now).unwrap().to_vec();
        let sequence = Request::decode(&datagram).unwrap().sequence;
        assert_ne!(sequence, held);
        let late =
            given_up.filter(|(_, ended): &(Sequence, At)| now < ended.plus_ms(ANSWER_MS_LATE_MAX - 1_000));
        assert!(late.is_none_or(|(number, _)| number != sequence), "at {at}");
        if at == 10 {
            given_up = Some((sequence, now.plus_ms(1_000)));
            continue;
        }
        exchange.handle(&reply_to(&datagram, ResultCode::OK, &[0; 20]), now).unwrap();
        exchange.poll_expired(now);
    }
    assert_eq!(exchange.in_flight(), 1);
}

#[test]
fn what_cannot_be_asked_is_refused() {
    let mut exchange = Exchange::new(Limits { waiting_max: 1, ..Limits::SCAMP });
    let long = [0; 257];
    let command = Command::Write { address: 0, unit: Unit::Byte, data: &long };
    assert_eq!(exchange.push(&Wish::scamp(monitor(), &command)), Err(Unacceptable::TooLong));
    let mut silent = Wish::scamp(monitor(), &Command::Version);
    silent.header.flags = super::super::super::sdp::Flags::NO_REPLY;
    assert_eq!(exchange.push(&silent), Err(Unacceptable::WantsNoReply));
    assert!(exchange.push(&Wish::scamp(monitor(), &Command::Version)).is_ok());
    assert_eq!(exchange.push(&Wish::scamp(monitor(), &Command::Version)), Err(Unacceptable::Full));
}
