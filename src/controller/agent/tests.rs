//! The roster, one rule after the other, and a long random walk.

use super::*;
use crate::allocator::BoardIndex;
use crate::clock::Moment;
use crate::controller::ORDERS_PER_BOARD_MAX;
use crate::lab::command::Consultation;
use crate::lab::effect::Order;
use crate::lab::fact::{BoardRef, Grant};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

fn serial(board: u32) -> Serial {
    format!("b{board}").into()
}

fn id(grant: u64, step: u32) -> OrderId {
    OrderId { grant: Grant(grant), step }
}

fn who(name: &str, boards: &[u32]) -> Introduction {
    let boards = boards
        .iter()
        .map(|board| Offered { serial: serial(*board), model: "iCE40".into(), holds: None })
        .collect();
    Introduction { name: name.into(), version: "1".into(), url: None, boards, draining: false }
}

fn order(id: OrderId, boards: &[u32]) -> Order {
    let boards: std::sync::Arc<[_]> = boards.iter().copied().map(BoardIndex).collect();
    Order {
        id,
        machine: "p".into(),
        action: Action::Clean,
        mates: boards.clone(),
        boards,
        job: Some(JobId(7)),
    }
}

fn failed(order: OrderId, boards: &[u32], why: &str) -> AgentNews {
    let failed = boards.iter().map(|board| (BoardIndex(*board), why.into())).collect();
    AgentNews::Report(Report::Outcome(Outcome { order, obeyed: Vec::new(), failed }))
}

fn obeyed(order: OrderId, boards: &[u32]) -> AgentNews {
    let obeyed = boards.iter().copied().map(BoardIndex).collect();
    AgentNews::Report(Report::Outcome(Outcome { order, obeyed, failed: Vec::new() }))
}

fn told(stay: Stay, id: OrderId, boards: &[u32]) -> AgentNews {
    let boards = boards.iter().copied().map(serial).collect();
    AgentNews::Tell { stay, told: Told::Order { id, action: Action::Clean, boards, job: Some(JobId(7)) } }
}

fn announced(boards: &[u32]) -> AgentNews {
    AgentNews::Report(Report::Announced(boards.iter().copied().map(serial).collect()))
}

fn lost(boards: &[u32], why: &str) -> AgentNews {
    AgentNews::Report(Report::Lost(boards.iter().copied().map(serial).collect(), why.into()))
}

fn draining(boards: &[u32], draining: bool) -> AgentNews {
    AgentNews::Report(Report::Draining(boards.iter().copied().map(serial).collect(), draining))
}

/// A roster with a clock.
struct Bench {
    roster: Roster,
    now: Moment,
    expected: BTreeMap<Serial, Expected>,
}

impl Bench {
    fn new() -> Bench {
        let roster = Roster::new(AgentSettings::default());
        Bench { roster, now: Moment(1_000), expected: BTreeMap::new() }
    }

    fn join(&mut self, who: Introduction) -> Result<Stay, AgentRefusal> {
        self.roster.join(self.now, who, &|board| self.expected.get(board).cloned())
    }

    /// Joins, and what came of it is of no interest.
    fn joined(&mut self, name: &str, boards: &[u32]) -> Stay {
        let stay = self.join(who(name, boards)).unwrap();
        self.news();
        stay
    }

    fn order(&mut self, id: OrderId, boards: &[u32]) {
        self.roster.handle_order(&order(id, boards), &|board| serial(board.0));
    }

    fn answer(&mut self, stay: Stay, id: OrderId, boards: &[u32]) -> Result<(), AgentRefusal> {
        let boards: Vec<_> = boards.iter().copied().map(serial).collect();
        self.roster.answer_order(self.now, stay, id, &boards, &[])
    }

    fn ask(&mut self, ticket: u64, order: OrderId, board: u32) {
        let at = Consultation {
            board: BoardRef { machine: "p".into(), board: BoardIndex(board) },
            order,
            held: None,
        };
        self.roster.handle_consult(self.now, ticket, &at, &serial(board), &Consult::ReadSensors);
    }

    fn wait(&mut self, ms: u64) {
        self.now = self.now.plus_ms(ms);
        self.roster.wake(self.now);
    }

    fn news(&mut self) -> Vec<AgentNews> {
        std::iter::from_fn(|| self.roster.poll()).collect()
    }
}

fn question(stay: Stay, ticket: u64, board: u32) -> AgentNews {
    AgentNews::Tell {
        stay,
        told: Told::Question { ticket, board: serial(board), what: Consult::ReadSensors },
    }
}

fn answer(ticket: u64, answer: Result<Reading, ControllerError>) -> AgentNews {
    AgentNews::Answer { ticket, answer }
}

#[test]
fn orders_go_to_whoever_has_the_board_and_answers_come_back_once() {
    let mut bench = Bench::new();
    let one = bench.join(who("one", &[1, 2])).unwrap();
    assert_eq!(bench.news(), [announced(&[1, 2]), draining(&[1, 2], false)]);
    let two = bench.joined("two", &[3]);
    bench.order(id(1, 0), &[1, 2, 3, 4]);
    let expected = [
        told(one, id(1, 0), &[1, 2]),
        told(two, id(1, 0), &[3]),
        failed(id(1, 0), &[4], "no agent has this board"),
    ];
    assert_eq!(bench.news(), expected);
    // Whatever is said twice, by a stranger, or of another order is passed over.
    bench.answer(one, id(1, 0), &[1, 3, 9]).unwrap();
    assert_eq!(bench.news(), [obeyed(id(1, 0), &[1])]);
    bench.answer(one, id(1, 0), &[1]).unwrap();
    bench.answer(one, id(1, 1), &[2]).unwrap();
    bench.answer(two, id(1, 0), &[2]).unwrap();
    assert_eq!(bench.news(), []);
    let stuck = [(serial(2), Arc::from("stuck"))];
    bench.roster.answer_order(bench.now, one, id(1, 0), &[serial(2)], &stuck).unwrap();
    assert_eq!(bench.news(), [failed(id(1, 0), &[2], "stuck")], "what failed did not obey as well");
    assert_eq!(bench.answer(Stay(99), id(1, 0), &[3]), Err(AgentRefusal::Over));
}

#[test]
fn a_newer_order_overtakes_and_an_older_one_is_refused() {
    let mut bench = Bench::new();
    let stay = bench.joined("one", &[1]);
    bench.order(id(1, 0), &[1]);
    bench.order(id(1, 1), &[1]);
    let expected = [
        told(stay, id(1, 0), &[1]),
        failed(id(1, 0), &[1], "overtaken by a newer order"),
        told(stay, id(1, 1), &[1]),
    ];
    assert_eq!(bench.news(), expected);
    bench.answer(stay, id(1, 0), &[1]).unwrap();
    assert_eq!(bench.news(), []);
    bench.order(id(1, 0), &[1]);
    assert_eq!(bench.news(), [failed(id(1, 0), &[1], "a newer order was given")]);
    // The same one again is told again, and answered once.
    bench.order(id(1, 1), &[1]);
    bench.answer(stay, id(1, 1), &[1]).unwrap();
    assert_eq!(bench.news(), [told(stay, id(1, 1), &[1]), obeyed(id(1, 1), &[1])]);
}

#[test]
fn an_agent_that_hung_up_may_come_back_in_time() {
    let mut bench = Bench::new();
    let before = bench.joined("one", &[1, 2]);
    bench.order(id(1, 0), &[1]);
    bench.roster.hang_up(bench.now, before);
    assert_eq!(bench.roster.beat(bench.now, before), Err(AgentRefusal::Over), "not under that stay");
    bench.news();
    bench.order(id(2, 0), &[2]);
    assert_eq!(bench.news(), [], "it waits");
    bench.wait(59_999);
    let after = bench.join(who("one", &[1])).unwrap();
    let expected = [
        lost(&[2], "agent 'one' came back without it"),
        failed(id(2, 0), &[2], "agent 'one' came back without it"),
        announced(&[1]),
        told(after, id(1, 0), &[1]),
        draining(&[1], false),
    ];
    assert_eq!(bench.news(), expected);
    bench.answer(after, id(1, 0), &[1]).unwrap();
    assert_eq!(bench.news(), [obeyed(id(1, 0), &[1])]);
    bench.roster.hang_up(bench.now, after);
    assert_eq!(bench.roster.wake_at(), Some(bench.now.plus_ms(60_000)));
    bench.wait(60_000);
    assert_eq!(bench.news(), [lost(&[1], "agent 'one' was silent for 60 s")]);
    assert_eq!((bench.roster.wake_at(), bench.roster.view()), (None, vec![]));
}

#[test]
fn silence_is_the_end_and_any_word_breaks_it() {
    let mut bench = Bench::new();
    let stay = bench.joined("one", &[1]);
    bench.order(id(1, 0), &[1]);
    bench.news();
    for _ in 0..3 {
        bench.wait(50_000);
        bench.roster.beat(bench.now, stay).unwrap();
    }
    assert_eq!(bench.news(), []);
    bench.wait(60_000);
    let why = "agent 'one' was silent for 60 s";
    let over = AgentNews::Tell { stay, told: Told::Over(why.into()) };
    assert_eq!(bench.news(), [over, lost(&[1], why), failed(id(1, 0), &[1], why)]);
    assert_eq!(bench.roster.beat(bench.now, stay), Err(AgentRefusal::Over));
}

#[test]
fn the_same_name_again_takes_the_place_of_the_one_before() {
    let mut bench = Bench::new();
    let before = bench.joined("one", &[1]);
    bench.order(id(1, 0), &[1]);
    bench.ask(5, id(1, 0), 1);
    bench.news();
    let after = bench.join(who("one", &[1])).unwrap();
    let expected = [
        AgentNews::Tell { stay: before, told: Told::Replaced },
        answer(5, Err(ControllerError::Silent)),
        announced(&[1]),
        told(after, id(1, 0), &[1]),
        draining(&[1], false),
    ];
    assert_eq!(bench.news(), expected);
    bench.roster.hang_up(bench.now, before);
    assert_eq!(bench.roster.view().len(), 1);
    assert!(bench.roster.view()[0].connected, "the old stay speaks for nobody");
    assert_eq!(bench.answer(before, id(1, 0), &[1]), Err(AgentRefusal::Over));
}

#[test]
fn a_board_that_forgot_what_it_was_is_told_again() {
    let mut bench = Bench::new();
    let wanted = Expected { id: id(4, 1), action: Action::Clean, job: Some(JobId(7)), may_have_work: false };
    bench.expected.insert(serial(1), wanted.clone());
    bench.expected.insert(serial(2), wanted);
    let mut one = who("one", &[1, 2]);
    one.boards[0].holds = Some(id(4, 1));
    one.boards[1].holds = Some(id(4, 0));
    let stay = bench.join(one).unwrap();
    assert_eq!(bench.news(), [announced(&[1, 2]), told(stay, id(4, 1), &[2]), draining(&[1, 2], false)]);
    // The lab does not wait for it, so nothing is said of it; but of a failure something is.
    bench.answer(stay, id(4, 1), &[2]).unwrap();
    assert_eq!(bench.news(), []);
    let stay = bench.join(who("one", &[1])).unwrap();
    bench.news();
    let stuck = [(serial(1), Arc::from("stuck"))];
    bench.roster.answer_order(bench.now, stay, id(4, 1), &[], &stuck).unwrap();
    let broken = AgentNews::Report(Report::Broken(vec![serial(1)], "stuck".into()));
    assert_eq!(bench.news(), [broken]);
    // What the lab says is behind what it has ordered since.
    bench.order(id(5, 0), &[1]);
    bench.answer(stay, id(5, 0), &[1]).unwrap();
    bench.news();
    bench.join(who("one", &[1])).unwrap();
    assert!(
        !bench.news().iter().any(|news| matches!(news, AgentNews::Tell { told: Told::Order { .. }, .. }))
    );
}

#[test]
fn a_board_that_forgot_work_is_lost_first() {
    let mut bench = Bench::new();
    let wanted = Expected { id: id(4, 1), action: Action::Clean, job: Some(JobId(7)), may_have_work: true };
    for number in [1, 2, 3] {
        bench.expected.insert(serial(number), wanted.clone());
    }
    bench.roster.expect_back(bench.now, vec![serial(3)]);
    bench.order(id(4, 1), &[3]);
    let mut one = who("one", &[1, 2, 3]);
    one.boards[0].holds = Some(id(4, 1));
    let stay = bench.join(one).unwrap();
    // The third had not answered, so nobody had given it work.
    let why = "its agent has forgotten what it was given to do";
    let told = told(stay, id(4, 1), &[3]);
    assert_eq!(bench.news(), [lost(&[2], why), announced(&[1, 2, 3]), told, draining(&[1, 2, 3], false)]);
}

#[test]
fn boards_that_had_an_agent_before_the_start_are_awaited() {
    let mut bench = Bench::new();
    bench.roster.expect_back(bench.now, vec![serial(1), serial(2)]);
    bench.order(id(1, 0), &[1, 2, 3]);
    assert_eq!(bench.news(), [failed(id(1, 0), &[3], "no agent has this board")]);
    assert_eq!(bench.roster.wake_at(), Some(bench.now.plus_ms(60_000)));
    let stay = bench.join(who("one", &[1])).unwrap();
    assert_eq!(bench.news()[1], told(stay, id(1, 0), &[1]));
    bench.wait(59_999);
    bench.roster.beat(bench.now, stay).unwrap();
    assert_eq!(bench.news(), []);
    bench.wait(1);
    let why = "no agent came back with it after the server was started";
    assert_eq!(bench.news(), [lost(&[2], why), failed(id(1, 0), &[2], why)]);
    bench.order(id(2, 0), &[2]);
    assert_eq!(bench.news(), [failed(id(2, 0), &[2], "no agent has this board")]);
}

#[test]
fn boards_come_go_and_break() {
    let mut bench = Bench::new();
    let stay = bench.joined("one", &[1]);
    bench.joined("two", &[9]);
    let now = bench.now;
    let offered = who("", &[2, 3]).boards;
    bench.roster.add_boards(now, stay, &offered, &|_| None).unwrap();
    assert_eq!(bench.news(), [announced(&[2, 3]), draining(&[1, 2, 3], false)]);
    bench.order(id(1, 0), &[2]);
    bench.news();
    bench.roster.remove_boards(now, stay, &[serial(2), serial(9), serial(4)], "unplugged").unwrap();
    assert_eq!(bench.news(), [lost(&[2], "unplugged"), failed(id(1, 0), &[2], "unplugged")]);
    bench.roster.break_boards(now, stay, &[serial(3), serial(9)], "burnt").unwrap();
    assert_eq!(bench.news(), [AgentNews::Report(Report::Broken(vec![serial(3)], "burnt".into()))]);
    bench.roster.break_boards(now, stay, &[serial(9)], "burnt").unwrap();
    bench.roster.remove_boards(now, stay, &[], "unplugged").unwrap();
    assert_eq!(bench.news(), []);
    bench.roster.leave(now, stay, "good night");
    let over = AgentNews::Tell { stay, told: Told::Over("good night".into()) };
    assert_eq!(bench.news(), [over, lost(&[1, 3], "good night")]);
    assert_eq!((bench.roster.agent_of("b1"), bench.roster.agent_of("b9")), (None, Some("two".into())));
}

#[test]
fn draining_is_said_once_for_all_boards_also_of_those_that_come_later() {
    let mut bench = Bench::new();
    let mut one = who("one", &[1]);
    one.draining = true;
    let stay = bench.join(one).unwrap();
    assert_eq!(bench.news(), [announced(&[1]), draining(&[1], true)]);
    bench.roster.drain(bench.now, stay, true).unwrap();
    assert_eq!(bench.news(), []);
    bench.roster.add_boards(bench.now, stay, &who("", &[2]).boards, &|_| None).unwrap();
    assert_eq!(bench.news(), [announced(&[2]), draining(&[1, 2], true)]);
    assert_eq!(bench.roster.count(), AgentCounts { connected: 1, away: 0, draining: 1 });
    bench.roster.drain(bench.now, stay, false).unwrap();
    assert_eq!(bench.news(), [draining(&[1, 2], false)]);
}

#[test]
fn who_is_away_longest_makes_way_when_there_are_as_many_as_may_be() {
    let mut bench = Bench::new();
    let stays: Vec<_> = (0..AGENTS_MAX as u32)
        .map(|board| {
            let stay = bench.joined(&format!("agent-{board}"), &[board]);
            bench.wait(1);
            stay
        })
        .collect();
    bench.order(id(1, 0), &[5]);
    bench.news();
    let now = bench.now;
    // It has something to do, so it is waited for.
    bench.roster.hang_up(now, stays[5]);
    assert_eq!(bench.join(who("new", &[])), Err(AgentRefusal::TooMany));
    bench.wait(1);
    let now = bench.now;
    bench.roster.hang_up(now, stays[9]);
    bench.wait(1);
    let now = bench.now;
    bench.roster.hang_up(now, stays[7]);
    bench.news();
    bench.join(who("new", &[])).unwrap();
    assert_eq!(bench.news(), [lost(&[9], "agent 'agent-9' was away while others came")]);
    bench.join(who("newer", &[])).unwrap();
    assert_eq!(bench.news(), [lost(&[7], "agent 'agent-7' was away while others came")]);
    assert_eq!(bench.join(who("one more", &[])), Err(AgentRefusal::TooMany));
}

#[test]
fn what_cannot_be_is_refused_and_changes_nothing() {
    let mut bench = Bench::new();
    let stay = bench.joined("one", &[1]);
    let taken = || Err(AgentRefusal::Taken(serial(1), "one".into()));
    assert_eq!(bench.join(who("two", &[2, 1])), taken());
    assert_eq!(bench.join(who("two", &[2, 2])), Err(AgentRefusal::Twice(serial(2))));
    let many: Vec<u32> = (10..11 + AGENT_BOARDS_MAX as u32).collect();
    assert_eq!(bench.join(who("two", &many)), Err(AgentRefusal::TooManyBoards));
    let now = bench.now;
    // As many as there may be: one is there already, and is offered again.
    let all: Vec<u32> = (1..1 + AGENT_BOARDS_MAX as u32).collect();
    bench.roster.add_boards(now, stay, &who("", &all).boards, &|_| None).unwrap();
    let more = who("", &[5_000]).boards;
    assert_eq!(bench.roster.add_boards(now, stay, &more, &|_| None), Err(AgentRefusal::TooManyBoards));
    bench.news();
    for other in 1..AGENTS_MAX {
        bench.join(who(&format!("other-{other}"), &[])).unwrap();
    }
    assert_eq!(bench.join(who("one more", &[])), Err(AgentRefusal::TooMany));
    assert!(bench.join(who("other-7", &[])).is_ok(), "whoever is known may come again");
    assert!(!bench.news().iter().any(|news| matches!(news, AgentNews::Report(_))));
}

#[test]
fn made_up_boards_leave_nothing_behind() {
    let mut bench = Bench::new();
    for round in 0..100 {
        let boards: Vec<u32> = (round * 10..round * 10 + 10).collect();
        bench.joined("one", &boards);
    }
    bench.order(id(1, 0), &[990]);
    bench.join(who("one", &[])).unwrap();
    assert_eq!(bench.roster.boards_known(), 1, "only what was given an order");
}

#[test]
fn questions_are_answered_or_given_up() {
    let mut bench = Bench::new();
    bench.ask(1, id(1, 0), 1);
    assert_eq!(bench.news(), [answer(1, Err(ControllerError::Failed("no agent has this board".into())))]);
    let stay = bench.joined("one", &[1, 2]);
    bench.order(id(3, 0), &[1]);
    bench.news();
    bench.ask(2, id(2, 9), 1);
    assert_eq!(bench.news(), [answer(2, Err(ControllerError::Stale))]);
    bench.ask(3, id(3, 0), 1);
    assert_eq!(bench.news(), [question(stay, 3, 1)]);
    let two = bench.joined("two", &[]);
    bench.roster.answer_question(bench.now, two, 3, Ok(Reading::Done)).unwrap();
    assert_eq!(bench.news(), [], "it was put to somebody else");
    bench.roster.answer_question(bench.now, stay, 3, Err("no port".into())).unwrap();
    bench.roster.answer_question(bench.now, stay, 3, Ok(Reading::Done)).unwrap();
    assert_eq!(bench.news(), [answer(3, Err(ControllerError::Failed("no port".into())))]);
    for ticket in 10..10 + ORDERS_PER_BOARD_MAX as u64 {
        bench.ask(ticket, id(3, 0), 2);
    }
    bench.news();
    bench.ask(50, id(3, 0), 2);
    assert_eq!(bench.news(), [answer(50, Err(ControllerError::Busy))]);
    bench.wait(roster::QUESTION_MS_MAX);
    let news = bench.news();
    assert_eq!(news.len(), ORDERS_PER_BOARD_MAX);
    assert_eq!(news[0], answer(10, Err(ControllerError::Silent)));
    bench.ask(60, id(3, 0), 2);
    bench.roster.hang_up(bench.now, stay);
    bench.ask(61, id(3, 0), 2);
    let silent = |ticket| answer(ticket, Err(ControllerError::Silent));
    assert_eq!(bench.news()[1..], [silent(60), silent(61)]);
}

#[test]
fn boards_that_the_lab_refuses_take_their_agent_with_them() {
    let mut bench = Bench::new();
    let stay = bench.joined("one", &[1, 2]);
    bench.roster.refuse_boards(&[serial(2), serial(3)], "no room");
    let over = AgentNews::Tell { stay, told: Told::Over("no room".into()) };
    assert_eq!(bench.news(), [over, lost(&[1, 2], "no room")]);
}

#[test]
fn tokens_are_compared_whole_and_not_shown() {
    let token = Token::new("0123456789abcdef").unwrap();
    assert!(token.is("0123456789abcdef"));
    for wrong in ["", "0123456789abcde", "0123456789abcdef0", "0123456789abcdeF", "0123456789abcdef\0"] {
        assert!(!token.is(wrong), "{wrong:?}");
    }
    assert_eq!(format!("{token:?}"), "Token(..)");
    assert_eq!((Token::new("short"), Token::new(&"x".repeat(257))), (None, None));
    assert_eq!(Token::new("0123456789abcdef\n"), None);
}

/// One step of the walk: who, what, which board, which order.
type Step = (usize, u8, u32, u64);

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever happens, each board of each order is answered at most once; and once, when in the end all agents have come
    /// back and answered or are gone. Nobody is told of a board that is not his, nor of an order older than one told before.
    #[test]
    fn every_order_is_answered_once(steps in prop::collection::vec((0usize..3, 0u8..9, 0u32..6, 1u64..4), 1..120)) {
        let mut bench = Bench::new();
        let names = ["one", "two", "three"];
        let mut stays: BTreeMap<usize, Stay> = BTreeMap::new();
        let mut grant = 0;
        let mut open: BTreeSet<(OrderId, BoardIndex)> = BTreeSet::new();
        let mut has: BTreeMap<Stay, BTreeSet<Serial>> = BTreeMap::new();
        let mut newest: BTreeMap<Serial, OrderId> = BTreeMap::new();
        let mut told: BTreeMap<Stay, Vec<(OrderId, Vec<Serial>)>> = BTreeMap::new();
        let last: [Step; 6] = [(0, 9, 0, 0), (1, 9, 0, 0), (2, 9, 0, 0), (0, 10, 0, 0), (1, 10, 0, 0), (2, 10, 0, 0)];
        for (agent, what, board, more) in steps.into_iter().chain(last) {
            let (stay, now) = (stays.get(&agent).copied(), bench.now);
            match (what, stay) {
                (0, _) => {
                    let boards: Vec<_> = (board..6.min(board + more as u32)).collect();
                    if let Ok(stay) = bench.join(who(names[agent], &boards)) {
                        stays.insert(agent, stay);
                        has.insert(stay, boards.iter().copied().map(serial).collect());
                    }
                }
                (1 | 2, _) => {
                    grant += more % 2;
                    let id = id(grant, more as u32);
                    let boards: Vec<_> = (board..6.min(board + more as u32)).collect();
                    open.extend(boards.iter().map(|board| (id, BoardIndex(*board))));
                    bench.order(id, &boards);
                }
                (3 | 9, Some(stay)) => {
                    for (id, boards) in told.remove(&stay).unwrap_or_default() {
                        let done = bench.roster.answer_order(now, stay, id, &boards, &[]);
                        prop_assert!(done.is_ok() || done == Err(AgentRefusal::Over));
                    }
                }
                (4, Some(stay)) => bench.roster.hang_up(now, stay),
                (5, Some(stay)) => {
                    let gone = [serial(board)];
                    if bench.roster.remove_boards(now, stay, &gone, "gone").is_ok() {
                        has.entry(stay).or_default().remove(&gone[0]);
                    }
                }
                (6, Some(stay)) => {
                    let added = bench.roster.add_boards(now, stay, &who("", &[board]).boards, &|_| None);
                    has.entry(stay).or_default().extend(added.is_ok().then(|| serial(board)));
                }
                (7, Some(stay)) => bench.roster.leave(now, stay, "gone"),
                (8, _) => bench.wait(more * 9_000),
                (10, _) => bench.wait(60_000),
                _ => {}
            }
            for news in bench.news() {
                match news {
                    AgentNews::Report(Report::Outcome(outcome)) => {
                        let failed = outcome.failed.iter().map(|(board, _)| board);
                        for board in outcome.obeyed.iter().chain(failed) {
                            prop_assert!(open.remove(&(outcome.order, *board)), "{:?} {board:?}", outcome.order);
                        }
                    }
                    AgentNews::Tell { stay, told: Told::Order { id, boards, .. } } => {
                        for board in &boards {
                            prop_assert!(has.get(&stay).is_some_and(|has| has.contains(board)));
                            prop_assert!(newest.insert(board.clone(), id).is_none_or(|before| before <= id));
                        }
                        told.entry(stay).or_default().push((id, boards));
                    }
                    _ => {}
                }
            }
        }
        prop_assert_eq!(open, BTreeSet::new());
        prop_assert_eq!(bench.roster.wake_at(), None);
    }
}
