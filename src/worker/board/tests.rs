//! The life of a board in virtual time.

use super::*;

const SETTINGS: BoardSettings =
    BoardSettings { flash_ms_max: 60_000, evaluate_ms_max: 30_000, sizes_matter: false };

/// A board, and the clock it goes by.
struct Bench {
    board: Board,
    now: Moment,
}

/// What a board did, in words.
fn told(deed: &Deed) -> String {
    match deed {
        Deed::Begin { number, work: Work::Flash(Image::Default) } => format!("{number}: flash default"),
        Deed::Begin { number, work: Work::Flash(Image::Kind(kind)) } => format!("{number}: flash {kind}"),
        Deed::Begin { number, work: Work::Test } => format!("{number}: test"),
        Deed::Begin { number, work: Work::Evaluate { bitstream, .. } } => {
            format!("{number}: evaluate {}", String::from_utf8_lossy(bitstream))
        }
        Deed::Cancel => "give up".to_owned(),
        Deed::Obeyed(order) => format!("obeyed {order}"),
        Deed::Failed(order, why) => format!("failed {order}: {why}"),
        Deed::Broken(why) => format!("broken: {why}"),
        Deed::Answer(ticket, Ok(said)) => format!("answer {ticket}: {said}"),
        Deed::Answer(ticket, Err(why)) => format!("answer {ticket} not: {why}"),
        Deed::Event { client, contents } => format!("{client} hears {contents}"),
    }
}

impl Bench {
    fn new() -> Bench {
        let now = Moment(1_000_000);
        Bench { board: Board::new(now, SETTINGS), now }
    }

    /// One that is ready as a kind for ada, by order 2.0.
    fn ready() -> Bench {
        let mut bench = Bench::new();
        bench.order("2.0", prepare(), &["ada"]);
        assert_eq!(bench.deeds(), ["1: flash pulsecount"]);
        bench.done(1);
        assert_eq!(bench.deeds(), ["obeyed 2.0", r#"ada hears {"event":"initialized"}"#]);
        bench
    }

    fn order(&mut self, id: &str, action: Action, holders: &[&str]) {
        let holders = holders.iter().map(|name| (*name).to_owned()).collect();
        let order = Order { id: id.to_owned(), action, boards: vec!["A".to_owned()], holders };
        self.board.handle_order(self.now, order);
    }

    fn ask(&mut self, ticket: u64, command: &str, args: Value) {
        let ask = Ask::Send { command: command.to_owned(), args };
        self.board.handle_question(self.now, ticket, &ask);
    }

    fn done(&mut self, number: u64) {
        self.board.handle_done(self.now, number, Ok(None));
    }

    fn result(&mut self, number: u64, value: &str) {
        self.board.handle_done(self.now, number, Ok(Some(json!(value))));
    }

    fn failed(&mut self, number: u64, why: &str) {
        self.board.handle_done(self.now, number, Err(why.to_owned()));
    }

    fn batch(&mut self, client: &str, id: &str, files: &[&str]) -> Result<(), String> {
        let files = files.iter().map(|file| ((*file).to_owned(), file.as_bytes().into())).collect();
        self.board.handle_batch(self.now, client, &Batch { id: id.to_owned(), files })
    }

    fn wait(&mut self, ms: u64) {
        self.now = self.now.plus_ms(ms);
        self.board.handle_time(self.now);
    }

    fn deeds(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.board.poll()).map(|deed| told(&deed)).collect()
    }
}

/// As pulsecount; results are told when one bitstream remains, or none.
fn prepare() -> Action {
    Action::Prepare { kind: "pulsecount".to_owned(), args: json!([0, 1]) }
}

fn results(batch: &str, results: &[[&str; 2]]) -> String {
    format!("ada hears {}", json!({"event": "results", "batch_id": batch, "results": results}))
}

#[test]
fn a_new_board_is_given_the_default_firmware_and_tested() {
    let mut bench = Bench::new();
    bench.order("1.0", Action::Test, &[]);
    assert_eq!(bench.deeds(), ["1: flash default"]);
    assert_eq!((bench.board.holds(), bench.board.is_lent()), (None, false));
    bench.done(1);
    assert_eq!(bench.deeds(), ["2: test"]);
    bench.done(2);
    assert_eq!(bench.deeds(), ["obeyed 1.0"]);
    assert_eq!(bench.board.holds(), Some("1.0"));
    bench.order("1.0", Action::Test, &[]);
    assert_eq!(bench.deeds(), ["obeyed 1.0"], "said again, not done again");
}

#[test]
fn a_board_is_prepared_gives_results_and_is_cleaned() {
    let mut bench = Bench::ready();
    assert!(bench.board.is_lent());
    assert_eq!(bench.batch("ada", "x", &["a", "b", "c"]), Ok(()));
    assert_eq!(bench.deeds(), ["2: evaluate a"]);
    bench.result(2, "1");
    assert_eq!(bench.deeds(), ["3: evaluate b"], "two remain");
    bench.result(3, "2");
    assert_eq!(bench.deeds(), [results("x", &[["a", "1"], ["b", "2"]]), "4: evaluate c".to_owned()]);
    bench.batch("ada", "y", &[]).expect("nothing");
    bench.result(4, "3");
    assert_eq!(bench.deeds(), [results("x", &[["c", "3"]])]);
    bench.order("2.1", Action::Clean, &["ada"]);
    assert!(bench.board.is_lent(), "until it is clean");
    assert_eq!(bench.deeds(), ["5: flash default"]);
    bench.done(5);
    bench.done(6);
    assert_eq!(bench.deeds(), ["6: test", "obeyed 2.1"]);
    assert!(!bench.board.is_lent());
    assert_eq!(bench.batch("ada", "x", &["a"]), Err("the board is not ready".to_owned()));
}

#[test]
fn results_of_several_batches_are_an_event_each() {
    let mut bench = Bench::new();
    let args = json!({"flush_interval_seconds": 0, "flush_at_bitstreams_remaining": 0});
    bench.order("2.0", Action::Prepare { kind: "pulsecount".to_owned(), args }, &["ada"]);
    bench.done(1);
    bench.batch("ada", "x", &["a"]).expect("taken");
    bench.batch("ada", "y", &["b"]).expect("taken");
    bench.deeds();
    bench.result(2, "1");
    bench.result(3, "2");
    let expected = ["3: evaluate b".to_owned(), results("x", &[["a", "1"]]), results("y", &[["b", "2"]])];
    assert_eq!(bench.deeds(), expected);
}

#[test]
fn only_holders_give_bitstreams() {
    let mut bench = Bench::ready();
    assert_eq!(bench.batch("eve", "x", &["a"]), Err("does not hold the board".to_owned()));
    assert_eq!(bench.deeds(), Vec::<String>::new());
    bench.order("3.0", prepare(), &["bob", "ops"]);
    bench.done(2);
    assert_eq!(bench.batch("ada", "x", &["a"]), Err("does not hold the board".to_owned()));
    assert_eq!(bench.batch("ops", "x", &["a"]), Ok(()));
}

#[test]
fn a_reboot_keeps_what_waits_runs_and_was_not_told() {
    let mut bench = Bench::ready();
    bench.batch("ada", "x", &["a", "b", "c", "d"]).expect("taken");
    bench.result(2, "1");
    bench.deeds();
    bench.board.handle_question(bench.now, 7, &Ask::PowerCycle);
    assert_eq!(bench.deeds(), ["give up"], "b runs");
    bench.batch("ada", "y", &["e"]).expect("taken during a reboot");
    bench.failed(3, "it was told to give up");
    assert_eq!(bench.deeds(), ["4: flash pulsecount"]);
    bench.wait(REBOOT_ANSWER_MS_MAX);
    assert_eq!(bench.deeds(), ["answer 7: null"], "not done, but begun");
    bench.done(4);
    assert_eq!(bench.deeds(), [r#"ada hears {"event":"initialized"}"#, "5: evaluate b"]);
    for (number, value) in [(5, "2"), (6, "3"), (7, "4")] {
        bench.result(number, value);
    }
    let kept = results("x", &[["a", "1"], ["b", "2"], ["c", "3"], ["d", "4"]]);
    assert_eq!(
        bench.deeds(),
        ["6: evaluate c".to_owned(), "7: evaluate d".into(), kept, "8: evaluate e".into()]
    );
}

#[test]
fn a_reboot_that_is_quick_is_answered_when_it_is_done() {
    let mut bench = Bench::ready();
    bench.board.handle_question(bench.now, 7, &Ask::PowerCycle);
    bench.done(2);
    let expected = ["2: flash pulsecount", "answer 7: null", r#"ada hears {"event":"initialized"}"#];
    assert_eq!(bench.deeds(), expected);
    let mut idle = Bench::new();
    idle.board.handle_question(idle.now, 8, &Ask::PowerCycle);
    idle.board.handle_question(idle.now, 9, &Ask::Other("identify".to_owned()));
    let refused =
        ["answer 8 not: the board is not in use", "answer 9 not: boards of workers cannot do 'identify'"];
    assert_eq!(idle.deeds(), refused);
}

#[test]
fn a_newer_order_takes_the_place_of_an_older_one() {
    let mut bench = Bench::new();
    bench.order("2.0", prepare(), &["ada"]);
    bench.order("2.1", Action::Clean, &["ada"]);
    assert_eq!(bench.deeds(), ["1: flash pulsecount", "give up"]);
    bench.done(1);
    assert_eq!(bench.deeds(), ["2: flash default"], "nobody hears of the older one");
    bench.done(2);
    bench.done(3);
    assert_eq!(bench.deeds(), ["3: test", "obeyed 2.1"]);
    bench.done(3);
    assert_eq!(bench.deeds(), Vec::<String>::new(), "what was said twice");
}

#[test]
fn what_fails_or_takes_too_long_is_told_with_its_reason() {
    let mut bench = Bench::new();
    bench.order("1.0", Action::Test, &[]);
    bench.failed(1, "no boot loader");
    assert_eq!(bench.deeds(), ["1: flash default", "failed 1.0: no boot loader"]);
    bench.order("1.0", Action::Test, &[]);
    assert_eq!(bench.deeds(), ["2: flash default"], "one that failed is done again");
    assert_eq!(bench.board.wake_at(), Some(bench.now.plus_ms(60_000)));
    bench.wait(60_000);
    let late = "failed 1.0: its device did not come back from its work in time";
    assert_eq!(bench.deeds(), ["give up", late]);
    // It still does not come back: what is ordered then fails too, and what it says at last is of no interest.
    bench.order("1.1", Action::Test, &[]);
    assert_eq!(bench.deeds(), Vec::<String>::new());
    bench.wait(60_000);
    assert_eq!(bench.deeds(), ["failed 1.1: its device is still at something else"]);
    bench.done(2);
    assert_eq!((bench.deeds(), bench.board.wake_at()), (Vec::new(), None));
    bench.order("1.2", Action::Test, &[]);
    assert_eq!(bench.deeds(), ["3: flash default"]);
}

#[test]
fn a_kind_that_cannot_be_made_fails_the_order_and_nothing_is_flashed() {
    let mut bench = Bench::new();
    bench.order("2.0", Action::Prepare { kind: "oven".to_owned(), args: Value::Null }, &["ada"]);
    let failed = "failed 2.0: this worker has no kind 'oven'; it has pulsecount, variance";
    assert_eq!(bench.deeds(), [r#"ada hears {"event":"failure"}"#, failed]);
}

#[test]
fn a_bitstream_is_tried_again_after_a_reboot_and_breaks_the_board_at_last() {
    let mut bench = Bench::ready();
    bench.batch("ada", "x", &["a"]).expect("taken");
    for number in [2, 4] {
        bench.failed(number, "watchdog");
        bench.done(number + 1);
    }
    let expected = [
        "2: evaluate a",
        "3: flash pulsecount",
        r#"ada hears {"event":"initialized"}"#,
        "4: evaluate a",
        "5: flash pulsecount",
        r#"ada hears {"event":"initialized"}"#,
        "6: evaluate a",
    ];
    assert_eq!(bench.deeds(), expected);
    bench.wait(30_000);
    let why = "broken: its device did not come back from its work in time (3 times)";
    assert_eq!(bench.deeds(), ["give up", r#"ada hears {"event":"failure"}"#, why]);
    assert_eq!(bench.board.holds(), None);
}

#[test]
fn a_board_that_is_off_takes_nothing_and_is_prepared_anew() {
    let mut bench = Bench::ready();
    bench.batch("ada", "x", &["a", "b"]).expect("taken");
    bench.order("2.1", Action::PowerOff, &["ada"]);
    assert_eq!(bench.deeds(), ["2: evaluate a", "give up"]);
    bench.failed(2, "it was told to give up");
    assert_eq!(bench.deeds(), ["obeyed 2.1"]);
    assert!(bench.board.is_lent() && bench.batch("ada", "x", &["a"]).is_err());
    bench.order("2.2", prepare(), &["ada"]);
    bench.done(3);
    let expected = ["3: flash pulsecount", "obeyed 2.2", r#"ada hears {"event":"initialized"}"#];
    assert_eq!(bench.deeds(), expected, "what waited before is gone");
}

#[test]
fn commands_of_the_native_door_reach_the_same_states() {
    let mut bench = Bench::ready();
    bench.ask(1, "evaluate", json!({"files": {"p": "cA==", "q": "cQ=="}, "batch_id": "z"}));
    bench.batch("ada", "x", &["a"]).expect("taken");
    assert_eq!(bench.deeds(), ["2: evaluate p"]);
    bench.ask(2, "status", Value::Null);
    bench.ask(3, "queue", Value::Null);
    bench.ask(4, "export", Value::Null);
    let expected = [
        r#"answer 2: {"kind":"pulsecount","queued":2,"running":true,"state":"ready","unsent":0}"#,
        r#"answer 3: [["z","p"],["z","q"],["x","a"]]"#,
        "answer 4 not: there is no command 'export'; there are evaluate, queue, status",
    ];
    assert_eq!(bench.deeds(), expected);
    bench.result(2, "1");
    bench.result(3, "2");
    let answer = r#"answer 1: {"batch_id":"z","results":[["p","1"],["q","2"]]}"#;
    assert_eq!(bench.deeds(), ["3: evaluate q", answer, "4: evaluate a"]);
    bench.ask(5, "evaluate", json!({"files": {"r": "cg=="}}));
    bench.wait(ANSWER_MS_MAX);
    let late = "answer 5 not: not done within 25 s; what was not begun is dropped";
    assert_eq!(bench.deeds(), [late]);
    bench.result(4, "3");
    assert_eq!(bench.deeds(), [results("x", &[["a", "3"]])]);
    bench.ask(6, "evaluate", json!({"files": {"s": "cg=="}}));
    bench.board.rest("the stay is over");
    let over =
        ["5: evaluate r", r#"ada hears {"event":"failure"}"#, "answer 6 not: the stay is over", "give up"];
    assert_eq!(bench.deeds(), over);
    assert_eq!((bench.board.holds(), bench.board.is_lent()), (None, false));
}

#[test]
fn a_board_takes_so_many_bitstreams_and_of_the_right_size() {
    let mut bench = Bench::ready();
    let many: Vec<String> = (0..=QUEUED_MAX).map(|number| number.to_string()).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let full = Err("too many bitstreams wait for the board".to_owned());
    assert_eq!(bench.batch("ada", "x", &many), full);
    assert_eq!(bench.batch("ada", "x", &many[1..]), Ok(()));
    assert_eq!(bench.batch("ada", "y", &["a", "b"]), full, "one runs");
    let mut strict = Bench::new();
    strict.board = Board::new(strict.now, BoardSettings { sizes_matter: true, ..SETTINGS });
    strict.order("2.0", prepare(), &["ada"]);
    strict.done(1);
    let wrong = "'a' has not the 104090 bytes of a bitstream".to_owned();
    assert_eq!(strict.batch("ada", "x", &["a"]), Err(wrong));
    let files = vec![("a".to_owned(), Arc::from(vec![0; 104_090]))];
    let batch = Batch { id: "x".to_owned(), files };
    assert_eq!(strict.board.handle_batch(strict.now, "ada", &batch), Ok(()));
}
