//! Power and reset, and what waits for them.

use super::*;
use crate::spinnaker::bmp::fpga::{BankRegister, FLAGS, Fpga, Link};
use crate::spinnaker::bmp::{DelayMs, Reset};

fn on(frame: &Frame) -> Boards {
    Boards(u32::MAX).iter().filter(|board| frame.is_on(*board)).collect()
}

#[test]
fn a_command_that_includes_board_0_is_answered_when_its_fpgas_are_loaded() {
    let mut bench = Bench::new(spec());
    bench.power(true, 0, &[0, 5]);
    assert_eq!((bench.replies(), on(&bench.frame)), (vec![], boards(&[])));
    assert_eq!(bench.frame.wake_at(), Some(At(2_560)), "its tag ends by itself");
    bench.pass_ms(ON_MS - 1);
    assert_eq!((bench.replies(), bench.frame.wake_at()), (vec![], Some(At(ON_MS))));
    bench.pass_ms(1);
    assert_eq!(bench.replies(), [(ResultCode::OK, vec![])]);
    assert_eq!(on(&bench.frame), boards(&[0, 5]));
    let power = FrameEvent::Power { on: true, boards: boards(&[0, 5]), at: At(ON_MS) };
    assert_eq!(bench.deeds(), [power]);
    assert_eq!(bench.frame.wake_at(), None);
}

#[test]
fn a_command_without_board_0_is_answered_before_the_boards_are_up() {
    let mut bench = Bench::new(spec());
    bench.power(true, 100, &[1, 5]);
    assert_eq!(bench.replies(), [(ResultCode::OK, vec![])]);
    bench.pass_ms(100);
    assert_eq!(bench.ask(1, Command::Version).0, ResultCode::P2P_BUSY, "it loads its FPGAs");
    assert_eq!(bench.ask(5, Command::Version).0, ResultCode::OK, "it waits five times the delay");
    assert_eq!(bench.ask(0, Command::Version).0, ResultCode::OK);
    bench.pass_ms(ON_MS);
    assert_eq!(on(&bench.frame), boards(&[1]));
    assert_eq!(bench.ask(1, Command::Version).0, ResultCode::OK);
    bench.settle();
    let power = |number: u8| {
        let at = At(100 * u64::from(number) + ON_MS);
        FrameEvent::Power { on: true, boards: boards(&[number]), at }
    };
    assert_eq!(bench.deeds(), [power(1), power(5)]);
}

#[test]
fn power_goes_off_board_by_board() {
    let mut bench = Bench::new(spec());
    bench.power(true, 0, &[0, 1, 2]);
    bench.settle();
    let start = bench.at;
    bench.power(false, 50, &[0, 1, 2]);
    assert_eq!(on(&bench.frame), boards(&[1, 2]));
    bench.pass_ms(50);
    assert_eq!(on(&bench.frame), boards(&[2]));
    bench.settle();
    assert_eq!((on(&bench.frame), bench.at), (boards(&[]), start.plus_ms(100)));
}

#[test]
fn what_comes_while_board_0_is_busy_waits_in_buffers_and_the_ninth_message_is_lost() {
    let mut bench = Bench::new(spec());
    bench.power(true, 0, &[0]);
    for _ in 0..12 {
        bench.tell(0, Command::Version);
    }
    assert_eq!((bench.replies(), bench.frame.pending()), (vec![], BUFFERS));
    bench.settle();
    let replies = bench.replies();
    assert_eq!(replies.len(), BUFFERS);
    assert!(replies.iter().all(|(result, _)| *result == ResultCode::OK));
    assert_eq!(bench.ask(0, Command::Version).0, ResultCode::OK, "all is free again");
}

#[test]
fn messages_that_want_no_reply_take_buffers_too() {
    let mut bench = Bench::new(spec());
    bench.power(true, 0, &[0]);
    for _ in 1..BUFFERS {
        let mut silent = bench.datagram(1, raw(CommandCode::LED, [0b11, 0, 0]));
        silent[2] = 0x07;
        bench.send(&silent);
    }
    bench.tell(1, Command::Version);
    bench.settle();
    assert_eq!(bench.replies(), [(ResultCode::OK, vec![])], "of the power command only");
    assert_eq!(bench.frame.leds(board(1)), 1);
}

#[test]
fn tags_for_replies_end_by_themselves_so_that_others_get_them() {
    let mut bench = Bench::new(spec());
    let tags = |frame: &mut Frame| {
        let tags = &mut frame.boards.get_mut(&Board::FIRST).unwrap().tags;
        std::iter::from_fn(|| tags.lend(At(9_000), HOST)).count()
    };
    bench.power(true, 0, &[0]);
    for _ in 0..BUFFERS {
        bench.tell(0, Command::Version);
    }
    assert_eq!(tags(&mut bench.frame), 0);
    bench.pass_ms(2_560);
    assert_eq!(tags(&mut bench.frame), BUFFERS);
    bench.settle();
    assert_eq!(bench.replies().len(), BUFFERS, "replies leave all the same");
}

#[test]
fn a_second_power_command_queues_behind_the_first() {
    let mut bench = Bench::new(spec());
    bench.power(true, 0, &[0]);
    bench.power(false, 0, &[0]);
    bench.pass_ms(ON_MS);
    assert_eq!(bench.replies().len(), 2);
    let power = |on| FrameEvent::Power { on, boards: boards(&[0]), at: At(ON_MS) };
    assert_eq!(bench.deeds(), [power(true), power(false)]);
    // Boards that are told by broadcast do one thing after the other, too.
    bench.power(true, 0, &[1]);
    bench.power(true, 0, &[1]);
    bench.settle();
    assert_eq!((bench.replies().len(), bench.at), (2, At(3 * ON_MS)));
}

#[test]
fn boards_forget_what_they_are_told_beyond_all_measure() {
    let mut bench = Bench::new(spec());
    for _ in 0..100 {
        bench.power(true, 0, &[1]);
        assert_eq!(bench.replies().len(), 1);
    }
    bench.settle();
    assert_eq!(bench.deeds().len(), 8);
}

#[test]
fn bad_power_commands_are_refused() {
    let mut bench = Bench::new(spec());
    for low in [2, 3, 0x10, 0xFF] {
        let (result, body) = bench.call(0, raw(CommandCode::BMP_POWER, [50 << 16 | low, 1, 0]));
        assert_eq!((result, body), (ResultCode::ARG, vec![]), "{low}");
    }
    for low in [3, 7, 8, 0xFF] {
        assert_eq!(bench.call(0, raw(CommandCode::RESET, [low, 1, 0])).0, ResultCode::ARG, "{low}");
    }
    assert_eq!(bench.deeds(), []);
}

#[test]
fn registers_are_as_made_after_every_power_on_and_links_are_open() {
    let mut bench = Bench::new(spec());
    bench.power(true, 0, &[1]);
    bench.settle();
    bench.replies();
    let (fpga, stop) = Link::West.register(BankRegister::STOP);
    bench.write_register(1, fpga.number(), stop, 0xFFFF_FFFF);
    assert_eq!(bench.register(1, fpga.number(), stop), 1, "one bit");
    let stopped =
        |frame: &Frame| Link::ALL.into_iter().filter(|link| frame.stops(board(1), *link)).collect::<Vec<_>>();
    assert_eq!(stopped(&bench.frame), [Link::West]);
    for power in [false, true] {
        bench.power(power, 0, &[1]);
        bench.settle();
        bench.replies();
    }
    assert_eq!(bench.register(1, fpga.number(), stop), 0);
    assert_eq!(stopped(&bench.frame), []);
    for fpga in Fpga::ALL {
        assert_eq!(bench.register(1, fpga.number(), FLAGS) & 3, fpga.number());
    }
}

#[test]
fn resets_are_carried_and_hold_chips_until_they_are_let_go() {
    let mut bench = Bench::new(spec());
    let reset = |how, fpgas| Command::Reset { how, fpgas, delay: DelayMs(0), boards: boards(&[1, 2]) };
    let held = |frame: &Frame| [0, 1, 2].map(|number| frame.is_held(board(number)));
    bench.write_register(2, 0, BankRegister::STOP.0, 1);
    bench.body(0, reset(Reset::Hold, false));
    assert_eq!(held(&bench.frame), [false, true, true]);
    assert!(bench.frame.stops(board(2), Link::East));
    bench.body(0, reset(Reset::Pulse, true));
    assert_eq!(held(&bench.frame), [false; 3]);
    assert!(!bench.frame.stops(board(2), Link::East));
    let reset = |how, fpgas| FrameEvent::Reset { how, fpgas, boards: boards(&[1, 2]), at: At(0) };
    assert_eq!(bench.deeds()[1..], [reset(Reset::Hold, false), reset(Reset::Pulse, true)]);
}

#[test]
fn a_power_command_to_another_board_waits_for_that_one_and_for_the_plug() {
    let mut bench = Bench::new(spec());
    let power = |numbers| Command::Power { on: true, delay: DelayMs(10), boards: boards(numbers) };
    bench.tell(5, power(&[5]));
    bench.pass_ms(50 + ON_MS - 1);
    assert_eq!(bench.replies(), []);
    bench.pass_ms(1);
    assert_eq!(bench.replies().len(), 1);
    bench.tell(5, power(&[0]));
    bench.pass_ms(ON_MS - 1);
    assert_eq!(bench.replies(), []);
    bench.pass_ms(1);
    assert_eq!(bench.replies().len(), 1);
}

#[test]
fn fpgas_without_power_say_nothing_and_forget() {
    use crate::spinnaker::bmp::fpga::{FLAGS, FLAGS_ID};
    let mut bench = Bench::new(FrameSpec { fpgas_outlive_power: false, ..spec() });
    assert_eq!(bench.register(1, 0, FLAGS), u32::MAX);
    bench.power(true, 0, &[1]);
    bench.settle();
    bench.replies();
    assert_eq!(bench.register(1, 0, FLAGS) & FLAGS_ID, 0);
    bench.write_register(1, 0, 0x5C, 1);
    assert!(bench.frame.stops(board(1), Link::East));
    bench.power(false, 0, &[1]);
    bench.settle();
    bench.replies();
    assert_eq!(bench.register(1, 0, FLAGS), u32::MAX);
    assert!(!bench.frame.stops(board(1), Link::East));
}
