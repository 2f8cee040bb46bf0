//! EIEIO messages: what is said gives the bytes, and the bytes give what is said.

use super::super::super::eieio::{
    Builder, Command, CommandId, Data, Element, Kind, Message, Place, Prefix, ReadRow, ReadRows, SpaceRow,
    SpaceRows,
};
use super::super::super::sdp::Chip;
use super::encoded;
use super::json::Vector;

fn element(item: &Vector) -> Element {
    let [key, payload] = [0, 1].map(|index| item.item(index).as_u64().map(|word| word as u32));
    Element { key: key.unwrap(), payload }
}

pub fn check_data(vector: &Vector) {
    let (fields, bytes) = (vector.at("fields"), vector.hex());
    let mut builder = Builder::new(Kind::ALL[fields.u64("type_value") as usize]).tag(fields.u8("tag"));
    if fields.has("prefix") {
        let prefix = fields.u16("prefix");
        let is_upper = fields.u8("prefix_type_value") == 1;
        builder = builder.prefix(if is_upper { Prefix::Upper(prefix) } else { Prefix::Lower(prefix) });
    }
    if fields.has("payload_base") {
        builder = builder.payload_base(fields.u32("payload_base"));
    }
    if fields.bool("is_time") {
        builder = builder.times();
    }
    assert_eq!(builder.count_max() as u64, fields.u64("max_n_elements"), "{vector}");
    for item in fields.list("elements_as_added") {
        builder.push(element(&item)).unwrap();
    }
    let built = builder.data();
    assert_eq!(encoded(|out| built.encode(out)), bytes, "{vector}");
    let read = Data::decode(&bytes).unwrap();
    assert_eq!(read, built, "{vector}");
    assert_eq!(read.count(), fields.u8("count"), "{vector}");
    let meant: Vec<_> = fields.list("elements_as_read").map(|item| element(&item)).collect();
    assert_eq!(read.elements().collect::<Vec<_>>(), meant, "{vector}");
    assert_eq!(Message::decode(&bytes), Ok(Message::Data(read)), "{vector}");
}

pub fn check_command(vector: &Vector) {
    let (fields, bytes) = (vector.at("fields"), vector.hex());
    let (mut rows, inner) = (Vec::new(), inner(&fields));
    let path = if fields.has("database_path") { fields.text("database_path") } else { "" };
    let command = command(vector.kind(), &fields, path, &inner, &mut rows);
    assert_eq!(encoded(|out| command.encode(out)), bytes, "{vector}");
    assert_eq!(command.id().number(), fields.u16("command"), "{vector}");
    assert_eq!(Command::decode(&bytes).as_ref(), Ok(&command), "{vector}");
    assert_eq!(Message::decode(&bytes), Ok(Message::Command(command)), "{vector}");
    if let Command::RequestRead { rows, .. } = command {
        assert_eq!(rows.iter().collect::<Vec<_>>(), read_rows(&fields), "{vector}");
    }
    if let Command::DataRead { rows, .. } = command {
        assert_eq!(rows.iter().collect::<Vec<_>>(), space_rows(&fields), "{vector}");
    }
}

fn inner(fields: &Vector) -> Vec<u8> {
    if fields.has("eieio_data_message") { fields.bytes("eieio_data_message") } else { Vec::new() }
}

fn place(fields: &Vector) -> Place {
    Place { chip: Chip { x: fields.u8("x"), y: fields.u8("y") }, core: fields.u8("p") }
}

fn read_rows(fields: &Vector) -> Vec<ReadRow> {
    let row = |row: Vector| ReadRow {
        channel: row.u8("channel"),
        region: row.u8("region_id"),
        address: row.u32("start_address"),
        length: row.u32("space_to_be_read"),
    };
    fields.list("requests").map(row).collect()
}

fn space_rows(fields: &Vector) -> Vec<SpaceRow> {
    let columns = ["channel", "region_id", "space_read"].map(|name| fields.numbers(name));
    let row = |at: usize| SpaceRow {
        channel: columns[0][at] as u8,
        region: columns[1][at] as u8,
        length: columns[2][at],
    };
    (0..columns[0].len()).map(row).collect()
}

fn command<'a>(
    kind: &str,
    fields: &Vector,
    path: &'a str,
    inner: &'a [u8],
    rows: &'a mut Vec<u8>,
) -> Command<'a> {
    let sequence = || fields.u8("sequence_no");
    match kind {
        "PaddingRequest" => Command::Padding,
        "EventStopRequest" => Command::Stop,
        "StopRequests" => Command::StopRequests,
        "StartRequests" => Command::StartRequests,
        "NotificationProtocolPauseStop" => Command::Paused,
        "NotificationProtocolStartResume" => Command::Resumed,
        "NotificationProtocolDatabaseLocation" => Command::Database { path },
        "SpinnakerRequestBuffers" => Command::RequestBuffers {
            place: place(fields),
            region: fields.u8("region_id"),
            sequence: sequence(),
            space: fields.u32("space_available"),
        },
        "HostDataRead" => Command::DataRead {
            sequence: sequence(),
            rows: SpaceRows::write(&space_rows(fields), rows).unwrap(),
        },
        "HostDataReadAck" => Command::ReadAcknowledged { sequence: sequence() },
        "SpinnakerRequestReadData" => Command::RequestRead {
            place: place(fields),
            sequence: sequence(),
            rows: ReadRows::write(&read_rows(fields), rows).unwrap(),
        },
        "HostSendSequencedData" => Command::SequencedData {
            region: fields.u8("region_id"),
            sequence: sequence(),
            data: Data::decode(inner).unwrap(),
        },
        "EIEIOCommandMessage" => {
            Command::Other { id: CommandId::new(fields.u16("command")).unwrap(), body: &[] }
        }
        other => panic!("nobody checks {other}"),
    }
}
