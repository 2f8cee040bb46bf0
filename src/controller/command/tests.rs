//! The office with real programs: small shell scripts that wait for each other and for the test at named pipes.

use super::*;
use crate::controller::tests::{Answer, Bench, order, soon};
use crate::controller::{ControllerSettings, ORDERS_PER_BOARD_MAX};
use crate::lab::effect::{Action, Order};
use async_io::Async;
use async_std::io::prelude::BufReadExt;
use async_std::io::{BufReader, ReadExt};
use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

/// What Linux calls "do not wait".
const O_NONBLOCK: i32 = rustix::pipe::PipeFlags::NONBLOCK.bits() as i32;

/// A folder of named pipes that is gone when dropped.
struct Pipes(PathBuf);

impl Pipes {
    fn new(names: &[&str]) -> Pipes {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("berth-command-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir(&folder).unwrap();
        let mut command = std::process::Command::new("mkfifo");
        assert!(command.current_dir(&folder).args(names).status().unwrap().success());
        Pipes(folder)
    }

    /// Waits until somebody writes into a pipe.
    fn listen(&self, name: &str) -> Listener {
        // Opened so, it does not wait for a writer in the system, where nobody could give it up.
        let mut options = File::options();
        std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, O_NONBLOCK);
        let pipe = Async::new(options.read(true).open(self.0.join(name)).unwrap()).unwrap();
        soon(pipe.readable()).unwrap();
        Listener(BufReader::new(pipe))
    }

    /// Waits until somebody reads from a pipe, and closes it.
    fn release(&self, name: &str) {
        File::options().write(true).open(self.0.join(name)).unwrap().write_all(b"go\n").unwrap();
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.0.join(name)).unwrap()
    }

    /// A controller whose program is this script, run in the folder.
    fn bench(&self, script: &str, parallel_max: usize) -> Bench {
        let program = ["/bin/sh", "-c", script, "script", "{board}", "{kind}"].map(str::to_owned).to_vec();
        let directory = Some(self.0.clone());
        let settings = CommandSettings { program, directory, parallel_max, ..Default::default() };
        Bench::new(ControllerSettings::Command(settings), 40)
    }
}

impl Drop for Pipes {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).ok();
    }
}

fn bench(script: &str) -> Bench {
    let program = ["/bin/sh", "-c", script].map(str::to_owned).to_vec();
    Bench::new(ControllerSettings::Command(CommandSettings { program, ..Default::default() }), 4)
}

/// The reading end of a named pipe.
struct Listener(BufReader<Async<File>>);

impl Listener {
    /// The next line.
    fn line(&mut self) -> String {
        let mut line = String::new();
        soon(self.0.read_line(&mut line)).unwrap();
        line.trim_end().to_owned()
    }

    /// What comes until nobody has the other end open any more.
    fn rest(&mut self) -> String {
        let mut rest = String::new();
        soon(self.0.read_to_string(&mut rest)).unwrap();
        rest
    }
}

/// A later order of the same grant: to switch off.
fn off(grant: u64, step: u32, boards: &[u32]) -> Order {
    let mut order = order(grant, boards);
    (order.id.step, order.action) = (step, Action::PowerOff);
    order
}

/// Boards that failed, and all the reasons there were.
fn failed(outcome: &Outcome) -> Vec<(u32, &str)> {
    outcome.failed.iter().map(|(board, why)| (board.0, &**why)).collect()
}

/// All outcomes of so many boards, by board.
fn outcomes(bench: &Bench, count: usize) -> Vec<Outcome> {
    let mut seen = Vec::new();
    while seen.iter().map(|outcome: &Outcome| outcome.obeyed.len() + outcome.failed.len()).sum::<usize>()
        < count
    {
        seen.push(bench.outcome());
    }
    seen
}

#[test]
fn a_program_that_ends_well_has_made_its_board_obey() {
    let pipes = Pipes::new(&["unused"]);
    let bench =
        pipes.bench("echo \"$BERTH_ACTION $BERTH_GRANT.$BERTH_STEP $1 $2\" > done.$BERTH_BOARD_INDEX", 4);
    bench.order(order(7, &[2, 0]));
    let mut boards: Vec<_> = outcomes(&bench, 2).into_iter().flat_map(|outcome| outcome.obeyed).collect();
    boards.sort();
    assert_eq!(boards, [BoardIndex(0), BoardIndex(2)]);
    assert_eq!(pipes.read("done.0"), "prepare 7.0 b0 spinnaker\n");
    assert_eq!(pipes.read("done.2"), "prepare 7.0 b2 spinnaker\n");
}

#[test]
fn the_last_complaint_is_the_reason() {
    let bench = bench("echo first >&2; test $BERTH_BOARD = b0 && echo 'no power' >&2 && exit 2; kill -9 $$");
    bench.order(order(1, &[0]));
    assert_eq!(failed(&bench.outcome()), [(0, "no power")]);
    bench.order(order(1, &[1]));
    assert_eq!(failed(&bench.outcome()), [(1, "first")]);
    bench.order(order(1, &[9]));
    assert_eq!(failed(&bench.outcome()), [(9, "the machine has no such board")]);
}

#[test]
fn a_silent_failure_has_its_status_as_the_reason() {
    let bench = bench("exit 9");
    bench.order(order(1, &[0]));
    assert_eq!(failed(&bench.outcome()), [(0, "the controller's program failed with exit status: 9")]);
}

#[test]
fn a_program_that_is_not_there_fails_its_boards() {
    let program = vec!["/nowhere/at/all".to_owned()];
    let settings = CommandSettings { program, ..Default::default() };
    let bench = Bench::new(ControllerSettings::Command(settings), 4);
    bench.order(order(1, &[0, 1]));
    let why = "the controller's program cannot be run: No such file or directory (os error 2)";
    let mut all: Vec<_> = outcomes(&bench, 2).into_iter().flat_map(|outcome| outcome.failed).collect();
    all.sort();
    assert_eq!(all, [(BoardIndex(0), why.into()), (BoardIndex(1), why.into())]);
    let answer = bench.answer(1, 0, Consult::ReadSensors);
    assert_eq!(answer, Err(ControllerError::Failed(why.into())));
}

#[test]
fn the_time_limit_kills_a_program_with_all_it_has_started() {
    let pipes = Pipes::new(&["up", "never"]);
    let bench = pipes.bench("(exec 3>up; echo up >&3; exec cat never) & wait", 4);
    bench.order(order(1, &[0]));
    let mut up = pipes.listen("up");
    assert_eq!(up.line(), "up");
    bench.clock.advance(59_999);
    assert_eq!(bench.answer(0, 0, Consult::ReadSensors), Err(ControllerError::Stale), "it still counts");
    assert!(bench.outcomes.is_empty());
    bench.clock.advance(1);
    let why = "the controller's program took longer than 60000 ms and was killed";
    assert_eq!(failed(&bench.outcome()), [(0, why)]);
    assert_eq!(up.rest(), "", "nobody has the pipe any more");
}

#[test]
fn what_a_program_leaves_behind_goes_with_it() {
    let pipes = Pipes::new(&["up", "go", "never"]);
    let bench = pipes.bench("(exec 3>up; echo up >&3; exec cat never) & read line < go; exit 0", 4);
    bench.order(order(1, &[0]));
    let mut up = pipes.listen("up");
    assert_eq!(up.line(), "up");
    pipes.release("go");
    assert_eq!(bench.outcome().obeyed, [BoardIndex(0)]);
    assert_eq!(up.rest(), "");
}

#[test]
fn who_keeps_its_output_open_in_another_session_does_not_hold_it_up() {
    let pipes = Pipes::new(&["up", "later"]);
    let bench = pipes.bench("setsid sh -c 'echo up > up; cat later' & read line < up; exit 0", 4);
    bench.order(order(1, &[0]));
    assert_eq!(bench.outcome().obeyed, [BoardIndex(0)]);
    pipes.release("later");
}

#[test]
fn a_newer_order_kills_the_older_and_begins_when_it_is_gone() {
    let pipes = Pipes::new(&["up", "never"]);
    let script = "
        case $BERTH_ACTION in
            prepare) exec 3>up; echo $BERTH_BOARD >&3; exec cat never;;
            *) echo $BERTH_GRANT.$BERTH_STEP >> ran;;
        esac";
    let bench = pipes.bench(script, 4);
    bench.order(order(1, &[0]));
    let mut up = pipes.listen("up");
    assert_eq!(up.line(), "b0");
    let asked = bench.ask(1, 0, Consult::ReadSensors);
    bench.order(order(1, &[0]));
    bench.order(off(1, 1, &[0]));
    assert_eq!(failed(&bench.outcome()), [(0, "overtaken by order 1.1")]);
    assert_eq!(soon(asked).unwrap(), Err(ControllerError::Stale));
    assert_eq!(up.rest(), "");
    assert_eq!(bench.outcome().obeyed, [BoardIndex(0)]);
    assert_eq!(pipes.read("ran"), "1.1\n");
    bench.order(order(1, &[0]));
    assert_eq!(failed(&bench.outcome()), [(0, "the board has seen a newer order")]);
}

#[test]
fn only_so_many_run_at_once_and_a_slow_one_delays_no_other() {
    let pipes = Pipes::new(&["up.b0", "up.b1", "up.b2", "go.b0", "go.b1", "go.b2"]);
    let script = "
        echo begin >> log
        if test -p up.$BERTH_BOARD; then echo up > up.$BERTH_BOARD; read line < go.$BERTH_BOARD; fi
        echo end >> log";
    let bench = pipes.bench(script, 3);
    bench.order(order(1, &(0..40).collect::<Vec<_>>()));
    for slow in ["up.b0", "up.b1", "up.b2"] {
        assert_eq!(pipes.listen(slow).line(), "up", "three run at the same time");
    }
    assert_eq!(pipes.read("log"), "begin\nbegin\nbegin\n");
    pipes.release("go.b2");
    let seen: Vec<_> = outcomes(&bench, 38).into_iter().flat_map(|outcome| outcome.obeyed).collect();
    assert!(
        (2..40).map(BoardIndex).all(|board| seen.contains(&board)),
        "all but the two slow ones: {seen:?}"
    );
    pipes.release("go.b0");
    pipes.release("go.b1");
    outcomes(&bench, 2);
    let mut running = 0;
    for line in pipes.read("log").lines() {
        running += if line == "begin" { 1 } else { -1 };
        assert!((0..=3).contains(&running));
    }
    assert_eq!(running, 0);
}

#[test]
fn a_controller_whose_programs_hang_delays_no_other() {
    let pipes = Pipes::new(&["up", "never"]);
    let stuck = pipes.bench("echo up > up; cat never", 1);
    stuck.order(order(1, &[0, 1, 2]));
    assert_eq!(pipes.listen("up").line(), "up");
    let quick = bench("exit 0");
    quick.order(order(1, &[0, 1, 2]));
    outcomes(&quick, 3);
    assert!(stuck.outcomes.is_empty());
}

#[test]
fn without_its_handle_a_controller_kills_its_programs() {
    let pipes = Pipes::new(&["up", "never"]);
    let mut bench = pipes.bench("exec 3>up; echo up >&3; cat never", 4);
    bench.order(order(1, &[0]));
    let mut up = pipes.listen("up");
    assert_eq!(up.line(), "up");
    let unanswered = bench.ask(1, 0, Consult::ReadSensors);
    soon(bench.handle.take().unwrap().stop());
    assert_eq!(up.rest(), "");
    assert!(soon(unanswered).is_err());
    assert!(soon(bench.outcomes.recv()).is_err());
}

#[test]
fn consultations_are_answered_by_the_program() {
    let script = r#"
        case $BERTH_ACTION in
            sensors) echo '{"top": 20.5, "supply": {"value": 12, "unit": "V"}}';;
            send) test "$BERTH_COMMAND" = loud && yes | head -c 100000; printf %s "$BERTH_ARGS";;
            identify) test "$BERTH_ARGS" = true || { echo 'no LED' >&2; exit 1; };;
            power-cycle) ;;
        esac"#;
    let bench = bench(script);
    let send = |command: &str| Consult::Send { command: command.into(), args: "{\"n\": [1]}".into() };
    let failed = |why: &str| Answer::Err(ControllerError::Failed(why.into()));
    assert_eq!(bench.answer(0, 1, Consult::Identify { on: Some(true) }), Ok(Reading::Done));
    assert_eq!(bench.answer(0, 1, Consult::Identify { on: None }), failed("no LED"));
    assert_eq!(bench.answer(0, 1, Consult::PowerCycle), Ok(Reading::Done));
    assert_eq!(bench.answer(0, 1, send("echo")), Ok(Reading::Said("{\"n\":[1]}".into())));
    assert_eq!(
        bench.answer(0, 1, send("loud")),
        failed("the controller's program said more than 65536 bytes")
    );
    let Ok(Reading::Sensors(sensors)) = bench.answer(0, 1, Consult::ReadSensors) else { panic!() };
    assert_eq!(sensors.len(), 2);
    assert_eq!(sensors["supply"], (12.0, "V".into()));
}

#[test]
fn who_asks_a_busy_board_waits_up_to_a_number_and_not_for_ever() {
    let pipes = Pipes::new(&["up", "never"]);
    let bench = pipes.bench("echo up > up; cat never", 4);
    let first = bench.ask(0, 0, Consult::PowerCycle);
    assert_eq!(pipes.listen("up").line(), "up");
    let waiting: Vec<_> = (0..ORDERS_PER_BOARD_MAX).map(|_| bench.ask(0, 0, Consult::PowerCycle)).collect();
    assert_eq!(bench.answer(0, 0, Consult::PowerCycle), Err(ControllerError::Busy));
    bench.clock.advance(60_000);
    assert_eq!(soon(first).unwrap(), Err(ControllerError::Silent));
    drop(waiting);
}
