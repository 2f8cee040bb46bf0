//! What is wrong is wrong in the way that was asked for, and nothing else is.

use super::*;
use crate::spinnaker::bmp::fpga::{FLAGS, FLAGS_ID, Fpga};

/// Switches board 1 on, and says which FPGAs say the wrong number.
fn bad_after_power_on(bench: &mut Bench) -> Vec<u32> {
    bench.power(true, 0, &[1, 2]);
    bench.settle();
    bench.replies();
    let numbers = 0..3;
    numbers.filter(|fpga| bench.register(1, *fpga, FLAGS) & FLAGS_ID != *fpga).collect()
}

#[test]
fn bad_fpgas_stay_bad_for_as_many_power_ons_as_said() {
    let mut bench = Bench::new(spec());
    let bad = &mut bench.frame.faults_mut().bad_fpgas;
    bad.insert((board(1), Fpga::EastSouth), Some(2));
    bad.insert((board(1), Fpga::SouthWestWest), None);
    bad.insert((board(1), Fpga::NorthNorthEast), Some(1));
    assert_eq!(bad_after_power_on(&mut bench), [0, 1, 2]);
    assert_eq!(bad_after_power_on(&mut bench), [0, 1]);
    assert_eq!(bad_after_power_on(&mut bench), [1]);
    assert_eq!(bench.register(2, 1, FLAGS) & FLAGS_ID, 1);
    bench.write_register(1, 1, 0x5C, 1);
    assert_eq!(bench.register(1, 1, 0x5C), u32::MAX, "nothing is there to be written to");
    bench.frame.faults_mut().bad_fpgas.clear();
    assert!(bad_after_power_on(&mut bench).is_empty());
}

#[test]
fn dead_boards_answer_with_their_code_and_hear_no_broadcast() {
    let mut bench = Bench::new(spec());
    for code in [ResultCode::ROUTE, ResultCode::P2P_NOREPLY, ResultCode::P2P_REJECT, ResultCode::P2P_TIMEOUT]
    {
        bench.frame.faults_mut().dead.insert(board(1), code);
        assert_eq!(bench.ask(1, Command::Version), (code, vec![]));
        bench.power(true, 0, &[1, 2]);
        bench.settle();
        bench.replies();
        assert!(!bench.frame.is_on(board(1)) && bench.frame.is_on(board(2)));
    }
    bench.frame.faults_mut().dead.clear();
    assert_eq!(bench.ask(1, Command::Version).0, ResultCode::OK);
}

#[test]
fn dark_boards_say_they_are_on() {
    let mut bench = Bench::new(spec());
    bench.frame.faults_mut().dark = boards(&[0]);
    bench.power(true, 0, &[0, 1]);
    bench.settle();
    assert_eq!(bench.replies(), [(ResultCode::OK, vec![])]);
    assert!(!bench.frame.is_on(board(0)) && bench.frame.is_on(board(1)));
}

#[test]
fn busy_frames_say_so_as_often_as_said_and_do_nothing() {
    let mut bench = Bench::new(spec());
    bench.frame.faults_mut().busy = 2;
    for _ in 0..2 {
        assert_eq!(bench.call(2, raw(CommandCode::LED, [3, 0, 0])).0, ResultCode::P2P_BUSY);
    }
    assert_eq!(bench.frame.leds(board(2)), 0);
    assert_eq!(bench.call(2, raw(CommandCode::LED, [3, 0, 0])).0, ResultCode::OK);
    assert_eq!(bench.frame.leds(board(2)), 1);
}

#[test]
fn offline_frames_neither_hear_nor_speak_but_finish_what_they_began() {
    let mut bench = Bench::new(spec());
    bench.power(true, 0, &[0]);
    bench.frame.faults_mut().offline = true;
    bench.tell(0, Command::Version);
    bench.settle();
    assert_eq!((bench.replies(), bench.frame.is_on(board(0))), (vec![], true));
    bench.frame.faults_mut().offline = false;
    assert_eq!(bench.ask(0, Command::Version).0, ResultCode::OK);
}
