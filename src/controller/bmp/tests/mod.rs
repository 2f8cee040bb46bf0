//! Orders and consultations against BMPs that answer, dawdle and lie, in virtual time.

mod bench;
mod random;

use super::work::SETBACKS_MAX;
use crate::allocator::BoardIndex;
use crate::controller::{BmpSettings, ControllerError, Reading};
use crate::lab::command::Consult;
use crate::lab::effect::Action;
use bench::{Bench, boot, id, order, prepare};

fn obeyed(boards: &[u32]) -> (Vec<u32>, Vec<(u32, String)>) {
    (boards.to_vec(), Vec::new())
}

#[test]
fn a_board_is_switched_looked_at_and_parted() {
    let mut bench = Bench::new();
    bench.order(1, 0, prepare(), &[0]);
    bench.run();
    assert_eq!(bench.came(id(1, 0)), obeyed(&[0]));
    assert_eq!(
        bench.toy(0).asked,
        [
            "who it is",
            "to switch off board 0",
            "for the sensors of board 0",
            "to switch on board 0",
            "for the sensors of board 0",
            "for the number of FPGA 0 of board 0",
            "for the number of FPGA 1 of board 0",
            "for the number of FPGA 2 of board 0",
            "to stop the link east of board 0",
            "to stop the link north_east of board 0",
            "to stop the link north of board 0",
            "to stop the link west of board 0",
            "to stop the link south_west of board 0",
            "to stop the link south of board 0",
        ]
    );
    assert!(bench.is_parted(0, &[0]));
    assert_eq!(bench.toy(1).asked, [""; 0]);
    assert_eq!(bench.said, ["the BMP at bmp-0 (cabinet 0, frame 0) is BC&MP 2.1.2"]);
    // Settled before it was looked at.
    assert!(bench.now.0 - 1_000_000 >= BmpSettings::default().on_settle_ms);
}

#[test]
fn links_inside_a_job_stay_open_also_across_frames() {
    let mut bench = Bench::new();
    let job = [0, 1, 2, 6, 7, 8];
    bench.order(1, 0, prepare(), &job);
    bench.run();
    assert_eq!(bench.came(id(1, 0)), obeyed(&job));
    assert!(job.iter().all(|board| bench.is_parted(*board, &job)));
    let whole: Vec<u32> = (0..12).collect();
    bench.order(2, 0, prepare(), &whole);
    bench.run();
    assert_eq!(bench.came(id(2, 0)), obeyed(&whole));
    assert!(bench.toys.values().all(|toy| toy.stopped.is_empty()), "a whole machine has no edge");
}

#[test]
fn links_are_those_of_the_whole_job_when_an_order_is_given_again_for_the_rest() {
    let mut bench = Bench::new();
    let job = [0, 1, 2];
    let mut rest = order(1, 0, prepare(), &job);
    rest.boards = bench::boards(&[1]);
    bench.give(&rest);
    bench.run();
    assert_eq!(bench.came(id(1, 0)), obeyed(&[1]));
    assert!(bench.is_parted(1, &job));
}

#[test]
fn what_many_boards_want_is_asked_once() {
    let mut bench = Bench::new();
    for board in 0..6 {
        bench.order(1 + u64::from(board), 0, prepare(), &[board]);
    }
    bench.run();
    let toy = bench.toy(0);
    assert_eq!((toy.count("to switch off"), toy.count("to switch on"), toy.count("who")), (1, 1, 1));
    assert_eq!((toy.count("for the number"), toy.count("to stop")), (18, 36));
    for board in 0..6 {
        bench.order(10 + u64::from(board), 0, Action::Clean, &[board]);
    }
    bench.run();
    let toy = bench.toy(0);
    assert_eq!((toy.count("to switch off"), toy.count("who")), (2, 1));
    assert!(toy.on.is_empty());
}

#[test]
fn a_board_that_is_off_for_sure_is_not_switched_off_again() {
    let mut bench = Bench::new();
    bench.order(1, 0, Action::Clean, &[0]);
    bench.run();
    bench.order(2, 0, prepare(), &[0]);
    bench.run();
    let toy = bench.toy(0);
    assert_eq!((toy.count("to switch off"), toy.count("to switch on")), (1, 1));
    bench.order(2, 1, prepare(), &[0]);
    bench.run();
    assert_eq!(bench.toy(0).count("to switch off"), 2);
}

#[test]
fn a_bad_fpga_is_switched_again_and_given_up_in_the_end() {
    let mut bench = Bench::new();
    bench.toy(0).bad = [(1, 1), (2, 99)].into();
    bench.order(1, 0, prepare(), &[0, 1, 2]);
    bench.run();
    let (good, failed) = bench.came(id(1, 0));
    assert_eq!(good, [0, 1]);
    let why = "the board has an FPGA 0 that says it is number 3, though it was switched 3 times";
    assert_eq!(failed, [(2, why.to_owned())]);
    let toy = bench.toy(0);
    assert_eq!((toy.count("to switch on boards 0, 1, 2"), toy.count("to switch on boards 1, 2")), (1, 1));
    assert_eq!((toy.count("to switch on board 2"), toy.count("to switch on")), (1, 3));
    assert!(bench.is_parted(1, &[0, 1, 2]));
}

#[test]
fn a_silent_bmp_fails_its_own_boards_and_nobody_elses() {
    let mut bench = Bench::new();
    bench.toy(1).silent = true;
    bench.order(1, 0, prepare(), &[0, 6]);
    bench.order(2, 0, Action::Clean, &[7]);
    bench.run();
    let why = "the BMP at bmp-1 (cabinet 0, frame 1) does not answer; it was asked who it is";
    assert_eq!(bench.came(id(1, 0)), (vec![0], vec![(6, why.to_owned())]));
    assert_eq!(bench.came(id(2, 0)), (vec![], vec![(7, why.to_owned())]));
    assert!(bench.now.0 - 1_000_000 <= 10_000, "well below the machine's 60 s");
    assert_eq!(bench.toy(1).asked.len(), 1);
    // It comes back, and is asked who it is again.
    bench.toy(1).silent = false;
    bench.order(3, 0, prepare(), &[6]);
    bench.run();
    assert_eq!(bench.came(id(3, 0)), obeyed(&[6]));
    assert_eq!(bench.toy(1).count("who"), 2);
}

#[test]
fn a_bmp_that_falls_silent_mid_order_is_asked_who_it_is_and_goes_on() {
    let mut bench = Bench::new();
    bench.order(1, 0, prepare(), &[0]);
    bench.run_until(|bench| bench.toys[&bench::frame(0)].count("to stop") == 2);
    bench.toy(0).silent = true;
    bench.run_until(|bench| bench.toys[&bench::frame(0)].count("to stop") == 3);
    bench.toy(0).silent = false;
    bench.run();
    assert_eq!(bench.came(id(1, 0)), obeyed(&[0]));
    assert_eq!((bench.toy(0).count("who"), bench.toy(0).count("to switch on")), (2, 1));
    assert!(bench.is_parted(0, &[0]));
    bench.toy(0).silent = true;
    bench.order(1, 1, Action::PowerOff, &[0]);
    bench.run();
    let (_, failed) = bench.came(id(1, 1));
    assert_eq!(failed[0].1, "the BMP at bmp-0 (cabinet 0, frame 0) does not answer; it was asked who it is");
}

#[test]
fn power_that_was_not_answered_is_looked_at_before_it_is_asked_for_again() {
    for (done, powers_on) in [(true, 1), (false, 2)] {
        let mut bench = Bench::new();
        bench.order(1, 0, Action::Clean, &[0]);
        bench.run();
        bench.toy(0).lost_powers = vec![done];
        bench.order(2, 0, prepare(), &[0]);
        bench.run();
        assert_eq!(bench.came(id(2, 0)), obeyed(&[0]), "done: {done}");
        assert_eq!(bench.toy(0).count("to switch on"), powers_on);
        assert!(bench.is_parted(0, &[0]));
    }
    for (done, powers_off) in [(true, 1), (false, 2)] {
        let mut bench = Bench::new();
        bench.toy(0).on.insert(0);
        bench.toy(0).lost_powers = vec![done];
        bench.order(1, 0, Action::PowerOff, &[0]);
        bench.run();
        assert_eq!(bench.came(id(1, 0)), obeyed(&[0]));
        assert_eq!((bench.toy(0).count("to switch off"), bench.is_on(0)), (powers_off, false));
    }
}

#[test]
fn a_busy_bmp_is_asked_again_and_given_up_in_the_end() {
    let mut bench = Bench::new();
    bench.order(1, 0, prepare(), &[0]);
    bench.run_until(|bench| bench.toys[&bench::frame(0)].count("to switch off") == 1);
    bench.toy(0).busy = SETBACKS_MAX;
    bench.run();
    assert_eq!(bench.came(id(1, 0)), obeyed(&[0]));
    bench.toy(0).busy = u32::MAX;
    bench.order(1, 1, Action::PowerOff, &[0]);
    bench.run();
    let (_, failed) = bench.came(id(1, 1));
    assert_eq!(
        failed[0].1,
        "the BMP at bmp-0 (cabinet 0, frame 0) is not able to now: P2P_BUSY (0x8d); it was asked to switch off board 0"
    );
}

#[test]
fn work_that_takes_too_long_is_given_up() {
    let settings = BmpSettings { order_ms_max: 9_000, power_tries: 20, ..BmpSettings::default() };
    let mut bench = Bench::with(settings);
    bench.toy(0).bad = [(0, 99)].into();
    bench.order(1, 0, prepare(), &[0]);
    bench.run();
    let (_, failed) = bench.came(id(1, 0));
    let why = "the BMP at bmp-0 (cabinet 0, frame 0) did not get it done within 9 s";
    assert!(failed[0].1.starts_with(why), "{failed:?}");
    assert_eq!(bench.now.0, 1_009_000);
}

#[test]
fn a_newer_grant_overtakes_a_board_that_is_being_switched_on() {
    let mut bench = Bench::new();
    bench.toy(0).on_ms = 3_000;
    bench.order(1, 0, prepare(), &[0, 1]);
    bench.run_until(|bench| bench.toys[&bench::frame(0)].count("to switch on") == 1);
    bench.order(1, 1, Action::Clean, &[0]);
    bench.run();
    let (good, failed) = bench.came(id(1, 0));
    assert_eq!((good, failed), (vec![1], vec![(0, "overtaken by order 1.1".to_owned())]));
    assert_eq!(bench.came(id(1, 1)), obeyed(&[0]));
    assert!(!bench.is_on(0) && bench.is_parted(1, &[0, 1]));
    bench.order(1, 0, prepare(), &[0]);
    bench.run();
    assert_eq!(bench.came(id(1, 0)).1.last().unwrap().1, "the board has seen a newer order");
}

#[test]
fn a_board_that_comes_on_while_it_is_lent_anew_is_switched_off_first() {
    let mut bench = Bench::new();
    bench.order(1, 0, Action::Clean, &[0]);
    bench.run();
    bench.toy(0).on_ms = 3_000;
    bench.order(2, 0, prepare(), &[0]);
    bench.run_until(|bench| bench.toys[&bench::frame(0)].count("to switch on") == 1);
    bench.order(3, 0, prepare(), &[0]);
    bench.run();
    assert_eq!(bench.came(id(3, 0)), obeyed(&[0]));
    let toy = bench.toy(0);
    assert_eq!((toy.count("to switch off"), toy.count("to switch on")), (2, 2));
    assert!(bench.is_parted(0, &[0]));
}

#[test]
fn an_order_given_again_goes_on_and_given_again_later_is_done_again() {
    let mut bench = Bench::new();
    bench.order(1, 0, prepare(), &[0]);
    bench.run_until(|bench| bench.toys[&bench::frame(0)].count("to switch on") == 1);
    bench.order(1, 0, prepare(), &[0]);
    bench.run();
    assert_eq!(bench.came(id(1, 0)), obeyed(&[0]));
    bench.order(1, 0, prepare(), &[0]);
    bench.run();
    assert_eq!(bench.came(id(1, 0)), obeyed(&[0, 0]));
    assert!(bench.is_parted(0, &[0]));
}

#[test]
fn after_a_restart_orders_are_done_from_the_beginning() {
    let mut bench = Bench::new();
    bench.order(1, 0, prepare(), &[0, 1, 2]);
    bench.run_until(|bench| bench.toys[&bench::frame(0)].count("to stop") == 1);
    bench.restart();
    bench.order(1, 0, prepare(), &[0, 1, 2]);
    bench.run();
    assert_eq!(bench.came(id(1, 0)), obeyed(&[0, 1, 2]));
    assert!([0, 1, 2].iter().all(|board| bench.is_parted(*board, &[0, 1, 2])));
}

#[test]
fn clean_sees_that_boards_are_off() {
    let mut bench = Bench::new();
    (bench.toy(0).on, bench.toy(0).sticky) = ([0, 1].into(), [1].into());
    bench.order(1, 0, Action::Clean, &[0, 1]);
    bench.order(2, 0, Action::PowerOff, &[6]);
    bench.run();
    let why = "the board is still on, though it was switched 3 times";
    assert_eq!(bench.came(id(1, 0)), (vec![0], vec![(1, why.to_owned())]));
    assert_eq!(bench.toy(0).count("to switch off"), 3);
    assert_eq!((bench.came(id(2, 0)), bench.toy(1).count("for")), (obeyed(&[6]), 0));
}

#[test]
fn a_test_leaves_the_board_off() {
    let mut bench = Bench::new();
    bench.toy(0).bad = [(1, 99)].into();
    bench.order(1, 0, Action::Test, &[0]);
    bench.order(2, 0, Action::Test, &[1]);
    bench.run();
    assert_eq!(bench.came(id(1, 0)), obeyed(&[0]));
    assert!(!bench.is_on(0) && bench.toy(0).stopped.is_empty());
    assert!(bench.came(id(2, 0)).1[0].1.contains("has an FPGA 0"));
}

#[test]
fn old_bmps_switch_and_nothing_else() {
    let mut bench = Bench::new();
    bench.toy(0).hundredths = Some(133);
    bench.order(1, 0, prepare(), &[0]);
    bench.run();
    assert_eq!(bench.came(id(1, 0)), obeyed(&[0]));
    assert!(bench.now.0 - 1_000_000 >= BmpSettings::default().on_settle_ms);
    bench.order(1, 1, Action::Clean, &[0]);
    bench.order(2, 0, Action::Test, &[1]);
    bench.run();
    assert_eq!((bench.came(id(1, 1)), bench.came(id(2, 0))), (obeyed(&[0]), obeyed(&[1])));
    let toy = bench.toy(0);
    assert_eq!((toy.count("for"), toy.count("to stop")), (0, 0));
    assert!(toy.on.is_empty());
    bench.toy(0).lost_powers = vec![false, true];
    bench.order(3, 0, prepare(), &[0]);
    bench.run();
    assert_eq!(bench.came(id(3, 0)), obeyed(&[0]), "{:?}", bench.toy(0).asked);
    assert!(bench.is_on(0));
    let note = "the BMP at bmp-0 (cabinet 0, frame 0) is BC&MP 1.33.0: FPGAs are not looked at, and no links are stopped";
    assert_eq!(bench.said[0], note);
}

#[test]
fn consultations_are_answered_beside_orders() {
    let mut bench = Bench::new();
    bench.order(1, 0, prepare(), &[0]);
    let (lit, read) =
        (bench.ask(1, 0, Consult::Identify { on: None }, None), bench.ask(1, 7, Consult::ReadSensors, None));
    let cycle = bench.ask(1, 0, Consult::PowerCycle, Some((&[0], "")));
    let sent = bench.ask(1, 0, Consult::Send { command: "x".into(), args: "{}".into() }, None);
    bench.run();
    assert_eq!(bench.answers[&lit], Ok(Reading::Done));
    let Ok(Reading::Sensors(sensors)) = &bench.answers[&read] else { panic!("{:?}", bench.answers[&read]) };
    assert_eq!(sensors["supply_12v"], (12.001, "V".into()));
    assert_eq!(bench.answers[&cycle], Err(ControllerError::Busy));
    assert!(matches!(&bench.answers[&sent], Err(ControllerError::Unable(_))));
    bench.order(2, 0, Action::Clean, &[0]);
    let late = bench.ask(1, 0, Consult::ReadSensors, None);
    bench.run();
    assert_eq!(bench.answers[&late], Err(ControllerError::Stale));
    bench.toy(0).silent = true;
    let unheard = bench.ask(2, 0, Consult::ReadSensors, None);
    bench.run();
    assert!(
        matches!(&bench.answers[&unheard], Err(ControllerError::Failed(why)) if why.contains("bmp-0 (cabinet 0, frame 0) does not answer"))
    );
}

#[test]
fn a_power_cycle_knows_the_job_also_after_a_restart() {
    let mut bench = Bench::new();
    bench.order(1, 0, prepare(), &[0, 1, 2]);
    bench.run();
    bench.restart();
    let cycle = bench.ask(1, 1, Consult::PowerCycle, Some((&[0, 1, 2], "")));
    bench.run();
    assert_eq!(bench.answers[&cycle], Ok(Reading::Done));
    assert!([0, 1, 2].iter().all(|board| bench.is_parted(*board, &[0, 1, 2])));
    // Nobody's board is parted from all others.
    let cycle = bench.ask(1, 7, Consult::PowerCycle, None);
    bench.run();
    assert_eq!(bench.answers[&cycle], Ok(Reading::Done));
    assert_eq!(bench.toy(1).stopped.len(), 6);
    let cycle = bench.ask(1, 1, Consult::PowerCycle, Some((&[0, 1, 2], "")));
    bench.poll();
    bench.order(2, 0, Action::Clean, &[1]);
    bench.run();
    assert_eq!(bench.answers[&cycle], Err(ControllerError::Stale));
}

/// All chips of a job.
fn chips(bench: &Bench, job: &[u32]) -> Vec<(u32, u32)> {
    let geometry = bench.layout.geometry(&bench::boards(job)).unwrap();
    let all = (0..geometry.width_chips).flat_map(|x| (0..geometry.height_chips).map(move |y| (x, y)));
    all.filter(|(x, y)| geometry.board_at_job_chip((*x).into(), (*y).into()).is_some()).collect()
}

#[test]
fn a_job_is_booted_when_all_its_frames_are_ready() {
    let mut bench = Bench::new();
    let job = [0, 1, 2, 6, 7, 8];
    bench.toy(1).on_ms = 5_000;
    bench.order(1, 0, boot(), &job);
    let cuts = bench.layout.cuts(&bench::boards(&job));
    let cuts: usize = cuts.iter().filter(|(board, _)| board.0 < 6).map(|(_, links)| links.len()).sum();
    bench.run_until(|bench| bench.toys[&bench::frame(0)].count("to stop") == cuts);
    assert!(bench.boots.is_empty() && bench.outcomes.is_empty());
    bench.run();
    assert_eq!(bench.outcomes, []);
    let (number, boot) = bench.boots.first_key_value().map(|(number, boot)| (*number, boot.clone())).unwrap();
    // The job is as wide as the machine, so that its east side meets its west side.
    assert_eq!(boot, ("10.11.0.1".into(), 24, 16));
    let all = chips(&bench, &job);
    bench.finish_boot(number, Ok(all));
    bench.run();
    assert_eq!(bench.came(id(1, 0)), obeyed(&job));
    assert_eq!(bench.said.last().unwrap(), "order 1.0: booted, SC&MP/SpiNNaker 4.0.0 answers");
}

#[test]
fn boards_without_their_chips_fail_and_others_obey() {
    let mut bench = Bench::new();
    bench.order(1, 0, boot(), &[0, 1, 2]);
    bench.run();
    let number = *bench.boots.keys().next().unwrap();
    let some = chips(&bench, &[0, 1, 2]).into_iter().filter(|chip| *chip != (0, 0)).collect();
    bench.finish_boot(number, Ok(some));
    bench.run();
    let why = "47 chips came up after the boot, where 48 are wanted";
    assert_eq!(bench.came(id(1, 0)), (vec![1, 2], vec![(0, why.to_owned())]));
    bench.order(1, 1, boot(), &[0, 1, 2]);
    bench.run();
    let number = *bench.boots.keys().next().unwrap();
    bench.finish_boot(number, Err("the boot failed"));
    bench.run();
    assert_eq!(bench.came(id(1, 1)), (vec![1, 2], vec![(0, "the boot failed".to_owned())]));
}

#[test]
fn a_power_cycle_that_comes_after_the_board_was_cleaned_does_not_switch_it_on() {
    let mut bench = Bench::new();
    bench.order(1, 0, prepare(), &[0]);
    bench.run();
    bench.order(1, 1, Action::Clean, &[0]);
    bench.run();
    let cycle = bench.ask(1, 0, Consult::PowerCycle, Some((&[0], "")));
    bench.run();
    assert_eq!(bench.answers[&cycle], Err(ControllerError::Stale));
    assert!(bench.toy(0).on.is_empty());
}

#[test]
fn a_job_without_a_board_at_its_corner_is_not_said_to_be_booted() {
    let mut bench = Bench::new();
    bench.order(1, 0, boot(), &[3, 6]);
    bench.run();
    assert!(bench.boots.is_empty());
    let (good, failed) = bench.came(id(1, 0));
    assert_eq!((good, failed.len()), (vec![6], 1));
    assert!(failed[0].0 == 3 && failed[0].1.contains("cannot be booted"), "{failed:?}");
}

#[test]
fn nothing_is_booted_when_a_board_fails_or_is_taken_away() {
    let mut bench = Bench::new();
    bench.toy(0).bad = [(1, 99)].into();
    bench.order(1, 0, boot(), &[0, 1, 2]);
    bench.run();
    let (good, failed) = bench.came(id(1, 0));
    assert_eq!((good, failed.len(), bench.boots.len()), (vec![0, 2], 1, 0));
    bench.toy(0).bad.clear();
    bench.order(2, 0, boot(), &[0, 1, 2]);
    bench.run();
    assert_eq!(bench.boots.len(), 1);
    bench.order(2, 1, Action::Clean, &[0, 1, 2]);
    bench.run();
    assert_eq!((bench.boots.len(), bench.stopped_boots.len()), (0, 1));
    let (good, failed) = bench.came(id(2, 0));
    assert_eq!(good.len() + failed.len(), 3);
    assert_eq!(bench.came(id(2, 1)), obeyed(&[0, 1, 2]));
}

#[test]
fn a_cycled_board_is_booted_alone_or_not_at_all() {
    let mut bench = Bench::new();
    let boots = r#"{"boot": true}"#;
    let alone = bench.ask(1, 4, Consult::PowerCycle, Some((&[4], boots)));
    let together = bench.ask(1, 0, Consult::PowerCycle, Some((&[0, 1, 2], boots)));
    bench.run();
    assert!(
        matches!(&bench.answers[&together], Err(ControllerError::Unable(why)) if why.contains("booted together"))
    );
    let (number, boot) = bench.boots.first_key_value().map(|(number, boot)| (*number, boot.clone())).unwrap();
    assert_eq!(boot, ("10.11.0.33".into(), 8, 8));
    assert!(!bench.answers.contains_key(&alone) && !bench.is_on(0));
    let all = chips(&bench, &[4]);
    bench.finish_boot(number, Ok(all));
    bench.run();
    assert_eq!(bench.answers[&alone], Ok(Reading::Done));
}

#[test]
fn boards_without_a_bmp_say_so() {
    let settings = std::sync::Arc::new(BmpSettings::default());
    let mut bench = Bench::new();
    bench.floor = super::floor::Floor::new(settings, None, 12);
    bench.order(1, 0, prepare(), &[3, 40]);
    bench.run();
    let (good, failed) = bench.came(id(1, 0));
    let why = "no BMP is configured for the frame of the board 3".to_owned();
    assert_eq!((good, failed), (vec![], vec![(3, why), (40, "the machine has no such board".into())]));
    assert_eq!(bench.layout.seat(BoardIndex(99)), None);
}
