//! Each command, also where the firmware's conversation has no example of it; and envelopes.

use super::*;
use crate::spinnaker::bmp::{InfoKind, IpTable, Rail, Status};
use crate::spinnaker::scamp::{TagCommand, TagFlags, TagId};
use crate::spinnaker::scp::{LedAction, LedActions, Unit};
use crate::spinnaker::version::{Release, Version};

/// Where the flash buffer is.
const BUFFER: u32 = 0x1000_0000;

#[test]
fn versions_are_said_in_both_ways() {
    for (version, release, numbers) in [
        (BmpVersion::Words("2.1.2".into()), Release::Words("2.1.2"), [2, 1, 2]),
        (BmpVersion::Words("1.9.0-beta".into()), Release::Words("1.9.0-beta"), [1, 9, 0]),
        (BmpVersion::Hundredths(136), Release::Hundredths(136), [1, 36, 0]),
    ] {
        let mut bench = Bench::new(FrameSpec { bmp_version: version, code_block: 3, ..spec() });
        let body = bench.body(5, Command::Version);
        let said = Version::decode(&body).unwrap();
        assert_eq!((said.release, said.release.numbers()), (release, Some(numbers)));
        assert_eq!((said.core, said.chip.y, said.chip.x), (5, 7, 3));
        assert_eq!((said.name, said.hardware), ("BC&MP", "Spin5-BMP"));
    }
}

#[test]
fn memory_is_there_where_a_bmp_has_it() {
    let mut bench = Bench::new(spec());
    let read = |address, length| Command::Read { address, length, unit: Unit::Byte };
    for address in [BUFFER + 5, 0x2007_C000] {
        bench.body(1, Command::Write { address, unit: Unit::Byte, data: b"here" });
        assert_eq!(bench.body(1, read(address, 4)), b"here");
        assert_eq!(bench.body(2, read(address, 4)), [0; 4], "another board's memory is another");
    }
    for address in [0x5000_0000, 0x1000_8000, 0xFFFF_FFFE, 0x1000] {
        let before = bench.body(1, read(address, 4));
        bench.body(1, Command::Write { address, unit: Unit::Byte, data: b"gone" });
        assert_eq!(bench.body(1, read(address, 4)), before);
    }
    bench.body(1, Command::Fill { address: BUFFER + 1, word: 0x4433_2211, length: 6 });
    assert_eq!(bench.body(1, read(BUFFER, 8)), [0, 0x11, 0x22, 0x33, 0x44, b'h', b'e', b'r']);
    bench.body(1, Command::Fill { address: 0, word: 0x0101_0101, length: u32::MAX });
    assert_eq!(bench.body(1, read(BUFFER + 0x7FFC, 8)), [1, 1, 1, 1, 0, 0, 0, 0]);
    assert_eq!(bench.call(1, raw(CommandCode::READ, [BUFFER, 257, 0])).0, ResultCode::ARG);
    assert_eq!(bench.call(1, raw(CommandCode::WRITE, [BUFFER, 257, 0])).0, ResultCode::ARG);
    assert_eq!(bench.call(1, raw(CommandCode::WRITE, [BUFFER, 4, 3])).0, ResultCode::ARG);
}

#[test]
fn words_that_a_request_lacks_are_zeros_and_those_it_has_too_many_are_nothing() {
    let mut bench = Bench::new(spec());
    bench.body(1, Command::Fill { address: BUFFER, word: u32::MAX, length: 16 });
    assert_eq!(bench.call(1, raw(CommandCode::WRITE, [BUFFER, 8, 0]).with(b"ab")).0, ResultCode::OK);
    assert_eq!(bench.call(1, raw(CommandCode::WRITE, [BUFFER + 8, 1, 0]).with(b"cd")).0, ResultCode::OK);
    let body = bench.body(1, Command::Read { address: BUFFER, length: 12, unit: Unit::Word });
    assert_eq!(body, b"ab\0\0\0\0\0\0c\xFF\xFF\xFF");
}

#[test]
fn registers_keep_what_they_can() {
    let mut bench = Bench::new(spec());
    for (register, first, kept) in [
        (0x00, 0, 0),
        (0x1_0004, 0, 0),
        (0x2_004C, 0, 0xFFFF),
        (0x2_005C, 0, 1),
        (0x3_005C, 0, 0),
        (0x4_0000, 0x0100_0000, 0x0100_0000),
        (0x4_0004, 0x32, 0x32),
        (0x4_0008, u32::MAX, u32::MAX),
        (0x4_000C, 0, u32::MAX),
        (0x4_0010, 0xF, 0xF),
        (0x4_0014, 0, u32::MAX),
        (0x4_0018, 0xF, 0xFF),
        (0x4_001C, 0x0A, u32::MAX),
        (0x5_0000, 0, 0),
    ] {
        assert_eq!(bench.register(1, 2, register), first, "{register:#x}");
        bench.write_register(1, 2, register, u32::MAX);
        assert_eq!(bench.register(1, 2, register), kept, "{register:#x}");
    }
    let written = bench.deeds();
    assert_eq!(written.len(), 14);
    assert!(
        matches!(&written[3], FrameEvent::FpgaWrite { register: 0x2_005C, words, .. } if words == &[u32::MAX])
    );
}

#[test]
fn fpgas_can_be_emptied_and_loaded_by_hand() {
    let mut bench = Bench::new(spec());
    let flags = |bench: &mut Bench| [0, 1, 2].map(|fpga| bench.register(1, fpga, 0x4_0004));
    bench.body(1, Command::FpgaInit { fpgas: 0b101 });
    assert_eq!(flags(&mut bench), [u32::MAX, 0x31, u32::MAX]);
    let pulse = Command::FpgaLine { line: bmp::Line::Pulse };
    bench.body(1, pulse);
    assert_eq!(flags(&mut bench), [u32::MAX, 0x31, u32::MAX], "nothing was sent yet");
    bench.body(1, Command::FpgaLoad { data: &[1; 256] });
    bench.body(1, pulse);
    assert_eq!(flags(&mut bench), [0x30, 0x31, 0x32]);
    for arguments in [[3, 0, 0], [2, 3, 0], [0, 257, 0]] {
        assert_eq!(bench.call(1, raw(CommandCode::XILINX, arguments)).0, ResultCode::ARG, "{arguments:?}");
    }
}

#[test]
fn leds_are_those_of_the_board_asked() {
    let mut bench = Bench::new(spec());
    let actions = LedActions::default().and(0, LedAction::On).and(7, LedAction::Toggle).and(9, LedAction::On);
    bench.body(1, Command::Led { actions, boards: boards(&[0, 1, 2]) });
    assert_eq!([0, 1, 2].map(|number| bench.frame.leds(board(number))), [0, 0x81, 0]);
    let actions = LedActions::default().and(0, LedAction::Off).and(7, LedAction::Toggle);
    bench.body(1, Command::Led { actions, boards: boards(&[1]) });
    let led = |leds| FrameEvent::Led { board: board(1), leds, at: At(0) };
    assert_eq!(bench.deeds(), [led(0x81), led(0)]);
}

#[test]
fn flash_is_erased_written_and_copied() {
    let mut bench = Bench::new(spec());
    let read = |address| Command::Read { address, length: 4, unit: Unit::Word };
    bench.body(0, Command::Write { address: BUFFER, unit: Unit::Word, data: &[1, 2, 3, 4] });
    bench.body(0, Command::FlashWrite { address: 0x2_0000, length: 4_096, erase: true });
    bench.body(0, Command::FlashCopy { to: 0x1000, from: 0x2_0000, length: 4_096 });
    assert_eq!(bench.body(0, read(0x1000)), [1, 2, 3, 4]);
    bench.body(0, Command::Write { address: BUFFER, unit: Unit::Word, data: &[3; 4] });
    bench.body(0, Command::FlashWrite { address: 0x2_0000, length: 256, erase: false });
    assert_eq!(bench.body(0, read(0x2_0000)), [1, 2, 3, 0], "bits only fall");
    assert_eq!(bench.body(0, Command::FlashErase { start: 0x2_0001, end: 0x2_0002 }), BUFFER.to_le_bytes());
    assert_eq!(bench.body(0, read(0x2_0000)), [0xFF; 4]);
    assert_eq!(bench.body(0, read(0x1000)), [1, 2, 3, 4], "another sector");
}

#[test]
fn flash_commands_that_leave_the_flash_are_refused_with_four_bytes_or_none() {
    let mut bench = Bench::new(spec());
    for (command, arguments, bytes) in [
        (CommandCode::FLASH_ERASE, [5, 5, 0], 4),
        (CommandCode::FLASH_ERASE, [0, 0x8_0001, 0], 4),
        (CommandCode::FLASH_WRITE, [0, 255, 1], 4),
        (CommandCode::FLASH_WRITE, [0x80, 256, 1], 4),
        (CommandCode::FLASH_WRITE, [0x8_0000, 256, 1], 4),
        (CommandCode::FLASH_WRITE, [0xFFFF_FF00, 256, 1], 4),
        (CommandCode::FLASH_COPY, [0, 0x7_FFFF, 2], 0),
        (CommandCode::FLASH_COPY, [0, 0, u32::MAX], 0),
    ] {
        let (result, body) = bench.call(0, raw(command, arguments));
        assert_eq!((result, body.len()), (ResultCode::ARG, bytes), "{arguments:x?}");
    }
}

#[test]
fn serial_flash_and_eeprom_are_there_again_after_their_ends() {
    let mut bench = Bench::new(spec());
    bench.body(1, Command::SerialFlashWrite { address: 0x2_FFFE, data: b"abcd" });
    assert_eq!(bench.body(1, Command::SerialFlashRead { address: 0xFFFE, length: 4 }), b"abcd");
    assert_eq!(bench.body(1, Command::SerialFlashRead { address: 0, length: 2 }), b"cd");
    let crc = bench.body(1, Command::SerialFlashCrc { address: 0xFFFE, length: 4 });
    assert_eq!(crc, 0xED82_CD11_u32.to_le_bytes());
    assert_eq!(bench.call(1, raw(CommandCode::BMP_SF, [0, 0x1_0001, 2])).0, ResultCode::ARG);
    assert_eq!(bench.call(1, raw(CommandCode::BMP_SF, [0, 4, 3])).0, ResultCode::ARG);
    assert_eq!(bench.body(0, Command::EepromRead { address: 0, length: 5 }), [0x96, 1, 0, 7, 0]);
    bench.body(0, Command::EepromWrite { address: 254, data: b"wxyz" });
    assert_eq!(bench.body(0, Command::EepromRead { address: 254, length: 4 }), b"wxyz");
    assert_eq!(bench.body(0, Command::Info(InfoKind::EEPROM))[..4], [0x96, 1, 0, 7], "the copy is older");
    assert_eq!(bench.ask(1, Command::EepromRead { address: 0, length: 4 }).0, ResultCode::ARG);
    assert_eq!(bench.call(0, raw(CommandCode::BMP_EE, [0, 4, 2])).0, ResultCode::ARG);
}

#[test]
fn sensors_follow_the_power() {
    let mut bench = Bench::new(spec());
    let status = |bench: &mut Bench| Status::decode(&bench.body(2, Command::Info(InfoKind::STATUS))).unwrap();
    let off = status(&mut bench);
    assert_eq!((off.volts(Rail::V12a), off.volts(Rail::V18)), (0.0, 0.0));
    bench.power(true, 0, &[2]);
    bench.settle();
    bench.replies();
    let on = status(&mut bench);
    for (rail, volts) in [(Rail::V12a, 1.2), (Rail::V12c, 1.2), (Rail::V18, 1.8)] {
        assert!((on.volts(rail) - volts).abs() < 0.01, "{rail:?}");
    }
    for (rail, volts) in [(Rail::V33, 3.3), (Rail::Supply, 12.0)] {
        assert!((on.volts(rail) - volts).abs() < 0.05 && (off.volts(rail) - volts).abs() < 0.05, "{rail:?}");
    }
    assert!(on.internal[0] > off.internal[0]);
    let (mut memory, mut told) = (Vec::new(), Vec::new());
    on.encode(&mut told);
    let identity = bmp::Identity::decode(&bench.body(2, Command::Info(InfoKind::IDENTITY))).unwrap();
    let read = Command::Read { address: identity.status, length: 48, unit: Unit::Word };
    memory.extend(bench.body(2, read));
    assert_eq!(memory, told);
}

#[test]
fn every_board_has_addresses_of_its_own() {
    let mut bench = Bench::new(spec());
    let table = IpTable::decode(&bench.body(5, Command::Info(InfoKind::IP))).unwrap();
    assert_eq!(table.bmp.address, Ipv4Addr::new(192, 168, 7, 40));
    assert_eq!(table.spinnaker.address, Ipv4Addr::new(192, 168, 7, 41));
    assert_eq!(bench.body(1, Command::Info(InfoKind::CAN_STATUS))[..6], [1, 5, 5, 0, 0, 5]);
    assert_eq!(bench.ask(1, Command::Info(InfoKind(6))).0, ResultCode::ARG);
}

fn set(tag: u8, timeout: u8) -> Command<'static> {
    Command::Tag(TagCommand::Set {
        tag: Some(TagId(tag)),
        udp_port: 999,
        address: Ipv4Addr::new(10, 1, 2, 3),
        strip: true,
        use_sender: false,
        timeout,
    })
}

fn entry(bench: &mut Bench, tag: u8) -> Vec<u8> {
    bench.body(0, Command::Tag(TagCommand::Get { tag: TagId(tag), count: 1 }))
}

#[test]
fn tags_are_set_said_and_forgotten() {
    let mut bench = Bench::new(spec());
    assert_eq!(bench.body(0, set(3, 0)), [3, 0, 0, 0]);
    let strip = (TagFlags::VALID.0 | TagFlags::STRIP.0).to_le_bytes();
    let said = entry(&mut bench, 3);
    assert_eq!(
        (said.len(), &said[..4], &said[10..12], &said[14..16]),
        (24, &[10, 1, 2, 3][..], &[0xE7, 3][..], &strip[..])
    );
    let any = TagCommand::Set {
        tag: None,
        udp_port: 0,
        address: Ipv4Addr::UNSPECIFIED,
        strip: false,
        use_sender: true,
        timeout: 5,
    };
    assert_eq!(bench.body(0, Command::Tag(any)), [0; 4]);
    let said = entry(&mut bench, 0);
    assert_eq!((&said[..4], &said[10..14]), (&HOST.ip().octets()[..], &[0x67, 0x12, 16, 0][..]));
    assert_eq!(bench.frame.wake_at(), Some(At(160)));
    bench.pass_ms(160);
    assert_eq!(entry(&mut bench, 0)[15] & 0x80, 0, "its time is over");
    assert_eq!(entry(&mut bench, 3)[15] & 0x80, 0x80, "this one stays");
    assert_eq!(entry(&mut bench, 8)[14..16], (TagFlags::VALID.0 | TagFlags::TRANSIENT.0).to_le_bytes());
    bench.body(0, Command::Tag(TagCommand::Clear { tag: TagId(3) }));
    assert_eq!(entry(&mut bench, 3)[15] & 0x80, 0);
    for arguments in
        [[2 << 16, 11, 0], [2 << 16 | 15, 2, 0], [1 << 16 | 16, 0, 0], [3 << 16 | 255, 0, 0], [5 << 16, 0, 0]]
    {
        assert_eq!(bench.call(0, raw(CommandCode::IPTAG, arguments)).0, ResultCode::ARG, "{arguments:x?}");
    }
    assert_eq!(bench.call(0, raw(CommandCode::IPTAG, [2 << 16, 10, 0])).1.len(), 240);
}

#[test]
fn no_more_tags_than_there_are() {
    let mut bench = Bench::new(spec());
    let new = raw(CommandCode::IPTAG, [0, 1, 1]);
    let given: Vec<u8> = (0..8).map(|_| bench.call(0, new).1[0]).collect();
    assert_eq!(given, [0, 1, 2, 3, 4, 5, 6, 7]);
    assert_eq!(bench.call(0, new).0, ResultCode::BUF);
}

#[test]
fn a_reply_leaves_through_the_tag_that_the_request_names() {
    let mut bench = Bench::new(spec());
    bench.body(0, set(3, 0));
    let reverse = raw(CommandCode::IPTAG, [1 << 16 | 1 << 29 | 2, 0x0101_03E7, 0]);
    assert_eq!(bench.call(0, reverse), (ResultCode::OK, vec![2, 0, 0, 0]));
    assert_eq!(entry(&mut bench, 2)[14..], [0, 0x82, 0, 0, 0, 0, 0xE7, 3, 1, 1]);
    for tag in [3, 2, 4, 200] {
        let mut named = bench.datagram(1, Command::Version.call());
        named[3] = tag;
        bench.send(&named);
        assert_eq!(bench.out.len(), 1, "only the first leads to anybody: {tag}");
    }
    let stripped = bench.out.remove(0);
    assert_eq!(stripped.to, SocketAddrV4::new(Ipv4Addr::new(10, 1, 2, 3), 999));
    assert_eq!(stripped.bytes[..2], ResultCode::OK.0.to_le_bytes());
    assert_eq!(entry(&mut bench, 3)[16..20], [1, 0, 0, 0], "it was counted");
}

#[test]
fn replies_are_addressed_as_the_firmware_does() {
    let mut bench = Bench::new(spec());
    let mut odd = bench.datagram(5, Command::Version.call());
    // Checksum and no routing; from port 2, core 4 of 9,8; to 6,5.
    odd[2] = 0xE7;
    odd[5..10].copy_from_slice(&[2 << 5 | 4, 5, 6, 8, 9]);
    bench.send(&odd);
    let reply = bench.out.remove(0).bytes;
    assert_eq!(reply[2..10], [0x27, 8, 7 << 5, 5, 7, 0, 5, 6]);
    assert_eq!(reply[12..14], odd[12..14]);
}

#[test]
fn datagrams_that_are_no_requests_are_refused_or_dropped() {
    let mut bench = Bench::new(spec());
    let whole = bench.datagram(1, raw(CommandCode::WRITE, [BUFFER, 256, 0]).with(&[7; 256]));
    assert_eq!(whole.len(), 282);
    for (length, result) in [
        (0, None),
        (10, None),
        (11, Some(ResultCode::LEN)),
        (25, Some(ResultCode::LEN)),
        (26, Some(ResultCode::OK)),
        (282, Some(ResultCode::OK)),
    ] {
        bench.send(&whole[..length]);
        let replies: Vec<_> = bench.replies().into_iter().map(|(result, _)| result).collect();
        assert_eq!(replies, result.into_iter().collect::<Vec<_>>(), "{length}");
    }
    bench.send(&[whole.as_slice(), &[0]].concat());
    assert_eq!(bench.replies(), []);
    let elsewhere = Arrived { from: HOST, port: 54_321, bytes: &whole };
    bench.frame.handle(At(0), &elsewhere, &mut bench.out);
    assert_eq!(bench.replies(), []);
}

#[test]
fn what_a_bmp_has_not_is_refused() {
    let mut bench = Bench::new(spec());
    assert_eq!(bench.call(1, raw(CommandCode::COUNT, [0; 3])).0, ResultCode::CMD);
    assert_eq!(bench.call(1, raw(CommandCode(999), [0; 3])).0, ResultCode::CMD);
    assert_eq!(bench.call(1, raw(CommandCode::I2C, [0; 3])).0, ResultCode::ARG);
    assert_eq!(bench.call(1, raw(CommandCode::PWM, [0; 3])).0, ResultCode::ARG);
    assert_eq!(bench.ask(3, Command::Version).0, ResultCode::ROUTE);
    for (place, result) in [(24, ResultCode::ROUTE), (31, ResultCode::ROUTE), (1 << 5 | 1, ResultCode::PORT)]
    {
        let mut astray = bench.datagram(0, Command::Version.call());
        astray[4] = place;
        bench.send(&astray);
        assert_eq!(bench.replies(), [(result, vec![])], "{place}");
    }
}

#[test]
fn padding_is_rubbish_and_the_same_rubbish_from_the_same_seed() {
    let padding = |seed| {
        let mut bench = Bench::new(FrameSpec { seed, ..spec() });
        for _ in 0..8 {
            bench.tell(0, Command::Version);
        }
        bench.out.iter().flat_map(|leaving| leaving.bytes[..2].to_vec()).collect::<Vec<u8>>()
    };
    assert_eq!(padding(1), padding(1));
    assert_ne!(padding(1), padding(2));
    assert!(padding(1).iter().any(|byte| *byte != 0));
}
