//! A bench with two boards: what it says to the server and to clients.

use super::*;
use crate::worker::task::{Action, Ask, Order, Question};
use serde_json::json;

const NOW: Moment = Moment(5_000_000);

fn bench() -> Bench {
    let board = BoardSettings { flash_ms_max: 1_000, evaluate_ms_max: 1_000, sizes_matter: false };
    let mut bench = Bench::new(BenchSettings { board, initialized_delay_ms: 400 });
    bench.plug(NOW, "A", "sim");
    bench.plug(NOW, "B", "sim");
    bench
}

fn order(id: &str, action: Action, boards: &[&str], holder: &str) -> Task {
    let boards = boards.iter().map(|serial| (*serial).to_owned()).collect();
    Task::Order(Order { id: id.to_owned(), action, boards, holders: vec![holder.to_owned()] })
}

fn prepare(boards: &[&str]) -> Task {
    order("2.0", Action::Prepare { kind: "pulsecount".to_owned(), args: Value::Null }, boards, "ada")
}

/// All that follows by now; devices do what they are told at once.
fn carry_on(bench: &mut Bench, now: Moment) -> (Vec<Word>, Vec<String>) {
    let (mut words, mut texts) = (Vec::new(), Vec::new());
    while let Some(deed) = bench.poll(now) {
        match deed {
            Deed::Begin { serial, number, work } => {
                let value = matches!(work, Work::Evaluate { .. }).then(|| json!("7"));
                bench.handle_done(now, &serial, number, Ok(value));
            }
            Deed::Say(word) => words.push(word),
            Deed::Emit(packet) => texts.push(packet.text),
            Deed::Cancel { .. } | Deed::Over(_) => {}
        }
    }
    (words, texts)
}

fn obeyed(id: &str, serial: &str) -> Word {
    Word::Order { id: id.to_owned(), serial: serial.to_owned(), failed: None }
}

#[test]
fn one_order_for_several_boards_is_answered_for_each() {
    let mut bench = bench();
    bench.handle_task(NOW, prepare(&["A", "B", "C"]));
    let (words, _) = carry_on(&mut bench, NOW);
    let failed = Some("the worker does not have this board".to_owned());
    let missing = Word::Order { id: "2.0".to_owned(), serial: "C".to_owned(), failed };
    assert_eq!(words, [missing, obeyed("2.0", "A"), obeyed("2.0", "B")]);
    let holds = |serial: &str| Offered {
        serial: serial.to_owned(),
        model: "sim".to_owned(),
        holds: Some("2.0".to_owned()),
    };
    assert_eq!(bench.offered(), [holds("A"), holds("B")]);
    let question = Question { ticket: 1, board: "C".to_owned(), what: Ask::PowerCycle };
    bench.handle_task(NOW, Task::Question(question));
    let answer = Err("the worker does not have this board".to_owned());
    assert_eq!(carry_on(&mut bench, NOW).0, [Word::Answer { ticket: 1, answer }]);
}

#[test]
fn a_client_hears_of_its_board_when_it_is_time_and_of_results() {
    let mut bench = bench();
    bench.handle_task(NOW, prepare(&["A"]));
    assert!(bench.come(NOW, "ada", 1));
    assert_eq!(carry_on(&mut bench, NOW).1, Vec::<String>::new());
    assert_eq!(bench.wake_at(), Some(NOW.plus_ms(400)));
    let ready = r#"{"contents":[{"event":"initialized"}],"serial":"A"}"#;
    assert_eq!(carry_on(&mut bench, NOW.plus_ms(400)).1, [ready]);
    let request = |serial: &str| {
        let files = BTreeMap::from([("f", serde_bytes_of(b"bits"))]);
        let contents = BTreeMap::from([("files", Packed::Files(files)), ("batch_id", Packed::Text("b"))]);
        rmp_serde::to_vec_named(&Say { serial, event: "evaluate", contents }).expect("msgpack")
    };
    let later = NOW.plus_ms(500);
    assert_eq!(bench.handle_request(later, "ada", &request("A")), Vec::<String>::new());
    let results = r#"{"contents":[{"batch_id":"b","event":"results","results":[["f","7"]]}],"serial":"A"}"#;
    assert_eq!(carry_on(&mut bench, later).1, [results]);
    assert_eq!(bench.handle_request(later, "eve", &request("A")), ["A: does not hold the board"]);
    assert_eq!(bench.handle_request(later, "ada", &request("B")), ["B: does not hold the board"]);
    assert_eq!(bench.handle_request(later, "ada", &request("X")), ["X: no such board"]);
    assert_eq!(bench.handle_request(later, "ada", b"\xc1").len(), 1);
}

/// A request as a client writes it.
#[derive(serde::Serialize)]
struct Say<'a> {
    serial: &'a str,
    event: &'a str,
    contents: BTreeMap<&'a str, Packed<'a>>,
}

/// What is in it.
#[derive(serde::Serialize)]
#[serde(untagged)]
enum Packed<'a> {
    Text(&'a str),
    Files(BTreeMap<&'a str, Raw>),
}

/// Bytes as bytes, and not as a list of numbers.
struct Raw(&'static [u8]);

fn serde_bytes_of(bytes: &'static [u8]) -> Raw {
    Raw(bytes)
}

impl serde::Serialize for Raw {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0)
    }
}

#[test]
fn when_a_stay_is_over_or_a_board_unplugged_holders_hear_and_nothing_is_lent() {
    let mut bench = bench();
    bench.handle_task(NOW, prepare(&["A", "B"]));
    assert!(bench.come(NOW, "ada", 1));
    carry_on(&mut bench, NOW);
    carry_on(&mut bench, NOW.plus_ms(400));
    assert!(bench.is_lent());
    bench.unplug(NOW.plus_ms(500), "A");
    let gone = r#"{"contents":[{"event":"failure"}],"serial":"A"}"#;
    assert_eq!(carry_on(&mut bench, NOW.plus_ms(500)).1, [gone]);
    bench.handle_task(NOW.plus_ms(600), Task::Over("enough".to_owned()));
    assert!(!bench.is_lent() && bench.offered().len() == 1);
    let gone = r#"{"contents":[{"event":"failure"}],"serial":"B"}"#;
    assert_eq!(carry_on(&mut bench, NOW.plus_ms(600)).1, [gone]);
}

#[test]
fn a_device_that_is_late_is_found_by_time() {
    let mut bench = bench();
    bench.handle_task(NOW, order("1.0", Action::Test, &["A"], "ada"));
    while bench.poll(NOW).is_some() {}
    let due = bench.wake_at().expect("a bound");
    bench.handle_time(due);
    let why = "its device did not come back from its work in time".to_owned();
    let failed = Word::Order { id: "1.0".to_owned(), serial: "A".to_owned(), failed: Some(why) };
    assert_eq!(carry_on(&mut bench, due).0, [failed]);
}
