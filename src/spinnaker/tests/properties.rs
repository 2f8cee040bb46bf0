//! Random packets there and back, and random bytes into every decoder.

use super::super::bmp::{
    self, Board, Boards, CanStatus, DelayMs, Identity, InfoKind, IpTable, Restarts, Status,
};
use super::super::eieio::{self, Builder, Element, Kind, Prefix, ReadRow, ReadRows};
use super::super::ip_address::Hello;
use super::super::scamp::{self, Allocate, App, ChipInfo, Cores, Start, TagEntry, TagTable};
use super::super::scp::{Arguments, Call, CommandCode, Reply, Request, ResultCode, Sequence, Unit, pieces};
use super::super::sdp::{Chip, Core, Endpoint, Flags, Header, Message, Port, Tag};
use super::super::version::{Release, Version};
use super::super::{PacketError, boot};
use proptest::collection::vec;
use proptest::prelude::*;

fn endpoint() -> impl Strategy<Value = Endpoint> {
    (any::<u8>(), any::<u8>(), 0..32u8, 0..8u8).prop_map(|(x, y, core, port)| Endpoint {
        chip: Chip { x, y },
        core: Core::new(core).unwrap(),
        port: Port::new(port).unwrap(),
    })
}

fn header() -> impl Strategy<Value = Header> {
    (any::<u8>(), any::<u8>(), endpoint(), endpoint()).prop_map(|(flags, tag, destination, source)| Header {
        flags: Flags(flags),
        tag: Tag(tag),
        destination,
        source,
    })
}

/// Commands that exist, and some that do not, with arguments of which each byte is often plain.
fn call_parts() -> impl Strategy<Value = (u16, [u32; 3], Vec<u8>)> {
    let byte = prop_oneof![Just(0u8), 0..8u8, Just(0xFF), any::<u8>()];
    let word = vec(byte, 4).prop_map(|bytes| u32::from_le_bytes(bytes.try_into().unwrap()));
    let words = [word.clone().boxed(), word.clone().boxed(), prop_oneof![Just(0), word].boxed()];
    let data = prop_oneof![Just(Vec::new()), vec(any::<u8>(), 0..=256)];
    (prop_oneof![0..66u16, any::<u16>()], words, data)
}

fn encoded(encode: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::new();
    encode(&mut out);
    out
}

/// What every decoder makes of bytes, and whether what it made is those bytes again.
fn feed(bytes: &[u8]) {
    if let Ok(message) = Message::decode(bytes) {
        assert_eq!(encoded(|out| message.encode(out)), bytes);
    }
    for count in 0..5 {
        if let Ok(request) = Request::decode_with(count, bytes) {
            assert_eq!(encoded(|out| request.encode(out))[2..], bytes[2..]);
            assert_eq!(scamp::Command::of(request.call).call(), request.call);
            assert_eq!(bmp::Command::of(request.call).call(), request.call);
        }
    }
    if let Ok(reply) = Reply::decode(bytes) {
        assert_eq!(encoded(|out| reply.encode([bytes[0], bytes[1]], out)), bytes);
    }
    if let Ok(version) = Version::decode(bytes) {
        let again = encoded(|out| version.encode(out));
        assert_eq!(Version::decode(&again), Ok(version));
        version.release.numbers();
    }
    if let Ok(message) = boot::Message::decode(bytes) {
        assert_eq!(encoded(|out| message.encode(out)), bytes);
    }
    if let Ok(message) = eieio::Message::decode(bytes) {
        let again = encoded(|out| message.encode(out));
        assert_eq!(again.len(), bytes.len());
        assert_eq!(eieio::Message::decode(&again), Ok(message));
        if let eieio::Message::Data(data) = message {
            assert_eq!(data.elements().count(), usize::from(data.count()));
        }
    }
    if let Ok(info) = ChipInfo::decode(bytes) {
        let again = encoded(|out| info.encode(out));
        assert_eq!(again, bytes[..again.len()]);
    }
    if let Ok(entry) = TagEntry::decode(bytes) {
        assert_eq!(encoded(|out| entry.encode(out)), bytes[..TagEntry::BYTES]);
    }
    if let Ok(table) = TagTable::decode(bytes) {
        assert_eq!(encoded(|out| table.encode(out)), bytes[..TagTable::BYTES]);
    }
    if let Ok(status) = Status::decode(bytes) {
        assert_eq!(encoded(|out| status.encode(out)), bytes);
    }
    if let Ok(identity) = Identity::decode(bytes) {
        assert_eq!(encoded(|out| identity.encode(out)), bytes);
    }
    if let Ok(table) = IpTable::decode(bytes) {
        assert_eq!(encoded(|out| table.encode(out)), bytes);
    }
    if let Ok(restarts) = Restarts::decode(bytes) {
        assert_eq!(encoded(|out| restarts.encode(out)), bytes);
    }
    if let Ok(status) = CanStatus::decode(bytes) {
        assert_eq!(status.0, bytes);
        assert!(!status.is_present(24));
    }
    if let Ok(hello) = Hello::decode(bytes) {
        let again = encoded(|out| hello.encode(out));
        assert_eq!(Hello::decode(&again), Ok(hello));
    }
}

proptest! {
    #[test]
    fn random_bytes_never_panic(bytes in vec(any::<u8>(), 0..400)) {
        feed(&bytes);
    }

    #[test]
    fn bytes_of_the_lengths_in_use_never_panic(
        bytes in prop_oneof![Just(24usize), Just(32), Just(36), Just(38), Just(48), Just(64)]
            .prop_flat_map(|length| vec(any::<u8>(), length)),
    ) {
        feed(&bytes);
    }

    #[test]
    fn boot_and_hello_and_events_with_plausible_starts_never_panic(
        start in prop_oneof![Just(vec![0, 1]), Just(vec![0, 1, 0, 0, 0, 0x41]), (1..13u8).prop_map(|id| vec![id, 0x40])],
        rest in vec(prop_oneof![Just(0u8), any::<u8>()], 0..60),
    ) {
        feed(&[start, rest].concat());
    }

    #[test]
    fn messages_come_back(header in header(), data in vec(any::<u8>(), 0..=272), padding in any::<[u8; 2]>()) {
        let message = Message { header, data: &data };
        let datagram = encoded(|out| message.encode_datagram(padding, out));
        prop_assert_eq!(Message::decode_datagram(&datagram), Ok(message));
        prop_assert_eq!(Message::decode(&datagram[2..]), Ok(message));
    }

    #[test]
    fn requests_come_back_with_their_meaning(
        header in header(),
        sequence in any::<u16>(),
        (command, arguments, data) in call_parts(),
        kept in 0..=3usize,
    ) {
        let arguments = Arguments::first(kept, arguments);
        let call = Call { command: CommandCode(command), arguments, data: &data };
        let request = Request { header, sequence: Sequence(sequence), call };
        let datagram = encoded(|out| request.encode(out));
        prop_assert_eq!(Request::decode_with(kept, &datagram), Ok(request));
        let meant = scamp::Command::of(call);
        prop_assert_eq!(scamp::Command::of(meant.call()), meant);
        prop_assert_eq!(meant.call(), call);
        let meant = bmp::Command::of(call);
        prop_assert_eq!(bmp::Command::of(meant.call()), meant);
        prop_assert_eq!(meant.call(), call);
    }

    #[test]
    fn replies_come_back(header in header(), result in any::<u16>(), body in vec(any::<u8>(), 0..300)) {
        let reply = Reply { header, result: ResultCode(result), sequence: Sequence(result), body: &body };
        let datagram = encoded(|out| reply.encode([1, 2], out));
        prop_assert_eq!(Reply::decode(&datagram), Ok(reply));
    }

    #[test]
    fn what_is_asked_is_understood(app in any::<u8>(), number in any::<u32>(), flag in any::<bool>()) {
        let app = App(app);
        let start = Start { app, wait: flag, cores: Cores::of_bits(number) };
        for command in [
            scamp::Command::Run { start },
            scamp::Command::StartAt { address: number, start },
            scamp::Command::Allocate(Allocate::Sdram { app, size: number, tag: 3, retry: flag }),
            scamp::Command::Neighbour(scamp::Neighbour::FloodEnd { id: 7, start }),
        ] {
            prop_assert_eq!(scamp::Command::of(command.call()), command);
        }
        let delay = DelayMs(number as u16);
        let power = bmp::Command::Power { on: flag, delay, boards: Boards(number) };
        prop_assert_eq!(bmp::Command::of(power.call()), power);
        prop_assert_eq!(power.addressee(), Some(Board::FIRST));
    }

    #[test]
    fn versions_come_back(places in any::<[u8; 4]>(), name in "[A-Z&]{0,9}", words in "[ -~]{0,20}", old in any::<u16>()) {
        let release = if old == 0xFFFF || old % 2 == 0 { Release::Words(&words) } else { Release::Hundredths(old) };
        let version = Version {
            core: places[0],
            physical_core: places[1],
            chip: Chip { x: places[2], y: places[3] },
            buffer_bytes: 256,
            built_s: 7,
            name: &name,
            hardware: "SpiNNaker",
            release,
        };
        let body = encoded(|out| version.encode(out));
        prop_assert_eq!(Version::decode(&body), Ok(version));
        prop_assert!(Version::decode(&body[..body.len() - 1]).is_err());
    }

    #[test]
    fn events_come_back(
        kind in prop::sample::select(Kind::ALL.to_vec()),
        prefix in prop::option::of((any::<bool>(), any::<u16>())),
        base in prop::option::of(any::<u32>()),
        words in vec(any::<(u16, u16)>(), 0..140),
        tag in any::<u8>(),
    ) {
        let mut builder = Builder::new(kind).tag(tag);
        if let Some((upper, prefix)) = prefix {
            builder = builder.prefix(if upper { Prefix::Upper(prefix) } else { Prefix::Lower(prefix) });
        }
        if let Some(base) = base {
            builder = builder.payload_base(base);
        }
        let max = builder.count_max();
        for (at, (key, payload)) in words.iter().enumerate() {
            let payload = kind.has_payload().then_some(u32::from(*payload));
            let pushed = builder.push(Element { key: u32::from(*key), payload });
            prop_assert_eq!(pushed.is_ok(), at < max);
        }
        let bytes = encoded(|out| builder.data().encode(out));
        prop_assert!(bytes.len() <= eieio::MESSAGE_BYTES_MAX);
        prop_assert_eq!(eieio::Message::decode(&bytes), Ok(eieio::Message::Data(builder.data())));
        prop_assert_eq!(builder.data().sent().count(), words.len().min(max));
    }

    #[test]
    fn memory_is_cut_without_a_gap(address in any::<u32>(), length in 0..5_000u32) {
        let mut expected = address;
        let mut bytes = 0;
        for (start, length, unit) in pieces(address, length) {
            prop_assert_eq!(start, expected);
            prop_assert!((1..=256).contains(&length));
            prop_assert_eq!(unit, Unit::suiting(start, length));
            expected = start.wrapping_add(length);
            bytes += length;
        }
        prop_assert_eq!(bytes, length);
    }

    #[test]
    fn images_come_back(image in vec(any::<u8>(), 512..3000)) {
        let variables = Default::default();
        let messages = boot::messages(&image, &variables).unwrap();
        let received: Vec<u8> = messages[1..messages.len() - 1].iter().flat_map(|block| block.data.to_vec()).collect();
        prop_assert_eq!(&received[..384], &image[..384]);
        prop_assert_eq!(&received[384..512], &variables.bytes()[..128]);
        prop_assert_eq!(&received[512..], &image[512..]);
        prop_assert_eq!(messages[0].operands[2] as usize, messages.len() - 3);
    }
}

#[test]
fn rows_are_at_most_seven() {
    let (row, mut bytes) = (ReadRow { channel: 1, region: 2, address: 3, length: 4 }, Vec::new());
    assert!(ReadRows::write(&[row; 8], &mut bytes).is_none());
    let rows = ReadRows::write(&[row; 7], &mut bytes).unwrap();
    assert_eq!(rows.iter().collect::<Vec<_>>(), [row; 7]);
}

#[test]
fn images_have_a_length() {
    let variables = Default::default();
    let short = PacketError::TooShort { bytes: 511, bytes_min: 512 };
    assert_eq!(boot::messages(&[0; 511], &variables), Err(short));
    assert_eq!(boot::messages(&vec![0; 32 * 1024], &variables).unwrap().len(), 34);
    let long = PacketError::TooLong { bytes: 32 * 1024 + 1, bytes_max: 32 * 1024 };
    assert_eq!(boot::messages(&vec![0; 32 * 1024 + 1], &variables), Err(long));
}

#[test]
fn delays_are_cut_and_have_an_end() {
    assert_eq!(DelayMs::of_seconds(0.0019), Some(DelayMs(1)));
    assert_eq!(DelayMs::of_seconds(65.535), Some(DelayMs(65_535)));
    for outside in [65.536, -1.0, f64::NAN, f64::INFINITY] {
        assert_eq!(DelayMs::of_seconds(outside), None);
    }
}

#[test]
fn a_reply_to_info_has_the_length_of_its_kind() {
    assert_eq!([0, 1, 2, 3, 4, 5, 6].map(|kind| InfoKind(kind).bytes()), [32, 256, 24, 48, 64, 32, 0]);
}
