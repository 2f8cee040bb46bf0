//! Commands about buffers of events: between a host and the cores whose events it sends and fetches.
//!
//! | offset | bytes | field | order |
//! |---|---|---|---|
//! | 0 | 2 | bits 0 to 13: `CommandId`; bits 14 and 15: 01 | low byte first |
//! | 2 | | what the command wants, see `Command` | |

use super::super::PacketError;
use super::super::bytes::Reader;
use super::super::sdp::Chip;
use super::Data;

/// What a command is, in 14 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommandId(u16);

impl CommandId {
    /// Where the database is.
    pub const DATABASE: CommandId = CommandId(1);
    /// Nothing.
    pub const PADDING: CommandId = CommandId(2);
    /// No more events.
    pub const STOP: CommandId = CommandId(3);
    /// Stop asking for events.
    pub const STOP_REQUESTS: CommandId = CommandId(4);
    /// Start asking for events.
    pub const START_REQUESTS: CommandId = CommandId(5);
    /// Events, please.
    pub const REQUEST_BUFFERS: CommandId = CommandId(6);
    /// Events with a number.
    pub const SEQUENCED_DATA: CommandId = CommandId(7);
    /// Events can be fetched.
    pub const REQUEST_READ: CommandId = CommandId(8);
    /// Events were fetched.
    pub const DATA_READ: CommandId = CommandId(9);
    /// The simulation paused or ended.
    pub const PAUSED: CommandId = CommandId(10);
    /// The simulation starts or goes on.
    pub const RESUMED: CommandId = CommandId(11);
    /// The host knows what can be fetched.
    pub const READ_ACKNOWLEDGED: CommandId = CommandId(12);

    /// By number, unless it has more than 14 bits.
    pub const fn new(number: u16) -> Option<CommandId> {
        if number < 1 << 14 { Some(CommandId(number)) } else { None }
    }

    /// The number.
    pub const fn number(self) -> u16 {
        self.0
    }
}

/// Whose buffers: chip (y, then x) and core, which stands in bits 3 to 7 of its byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The chip.
    pub chip: Chip,
    /// The core; five bits are sent.
    pub core: u8,
}

/// A command. Offsets count from the start of the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command<'a> {
    /// 1: where the database is. Offset 2: a path in UTF-8, to the end; empty is an acknowledgement.
    Database {
        /// The path.
        path: &'a str,
    },
    /// 2: nothing.
    Padding,
    /// 3: no more events.
    Stop,
    /// 4: stop asking for events.
    StopRequests,
    /// 5: start asking for events.
    StartRequests,
    /// 6: events, please. Offset 2: y; 3: x; 4: core in bits 3 to 7; 5: unused; 6: region; 7: sequence; 8: space, 4 bytes.
    RequestBuffers {
        /// Who asks.
        place: Place,
        /// For which region of its memory.
        region: u8,
        /// Which request.
        sequence: u8,
        /// Bytes that are free there.
        space: u32,
    },
    /// 7: events with a number. Offset 2: region; 3: sequence; 4: a whole message of data.
    SequencedData {
        /// For which region.
        region: u8,
        /// Which message.
        sequence: u8,
        /// The events.
        data: Data<'a>,
    },
    /// 8: events can be fetched. Offset 2: y; 3: x; 4: core in bits 3 to 7, rows in 0 to 2; 5: sequence; 6: rows.
    RequestRead {
        /// Who has them.
        place: Place,
        /// Which request.
        sequence: u8,
        /// Where they lie.
        rows: ReadRows<'a>,
    },
    /// 9: events were fetched. Offset 2: rows in bits 0 to 2; 3: sequence; 4: rows.
    DataRead {
        /// Of which request.
        sequence: u8,
        /// How many bytes.
        rows: SpaceRows<'a>,
    },
    /// 10: the simulation paused or ended.
    Paused,
    /// 11: the simulation starts or goes on.
    Resumed,
    /// 12: the host knows what can be fetched. Offset 2: sequence.
    ReadAcknowledged {
        /// Of which request.
        sequence: u8,
    },
    /// Anything else.
    Other {
        /// Its number.
        id: CommandId,
        /// What follows.
        body: &'a [u8],
    },
}

/// Where events lie. The first row has 10 bytes, the others have 2 unused bytes before them.
///
/// | offset | bytes | field | order |
/// |---|---|---|---|
/// | 0 | 1 | channel | |
/// | 1 | 1 | region | |
/// | 2 | 4 | start address | low byte first |
/// | 6 | 4 | bytes to be read | low byte first |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadRow {
    /// Channel.
    pub channel: u8,
    /// Region.
    pub region: u8,
    /// Where they start.
    pub address: u32,
    /// How many bytes they are.
    pub length: u32,
}

/// How many bytes were fetched.
///
/// | offset | bytes | field | order |
/// |---|---|---|---|
/// | 0 | 2 | unused | |
/// | 2 | 1 | channel | |
/// | 3 | 1 | region | |
/// | 4 | 4 | bytes | low byte first |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpaceRow {
    /// Channel.
    pub channel: u8,
    /// Region.
    pub region: u8,
    /// How many bytes.
    pub length: u32,
}

/// The most rows of a command: three bits count them.
pub const ROWS_MAX: usize = 7;

macro_rules! rows {
    ($(#[$doc:meta])* $rows:ident of $row:ident, $gap_first:literal, $row_bytes:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct $rows<'a> {
            /// So many of them are sent.
            count: u8,
            /// As they are sent.
            bytes: &'a [u8],
        }

        impl<'a> $rows<'a> {
            /// How many there are.
            pub fn count(&self) -> u8 {
                self.count
            }

            /// Writes rows into a buffer, which the command then borrows. `None` for more than seven.
            pub fn write(rows: &[$row], out: &'a mut Vec<u8>) -> Option<$rows<'a>> {
                let count = u8::try_from(rows.len()).ok().filter(|_| rows.len() <= ROWS_MAX)?;
                out.clear();
                for (at, row) in rows.iter().enumerate() {
                    let gap = if at > 0 || $gap_first { 2 } else { 0 };
                    out.extend(std::iter::repeat_n(0, gap));
                    row.encode(out);
                }
                Some($rows { count, bytes: out })
            }

            /// The rows.
            pub fn iter(&self) -> impl Iterator<Item = $row> + 'a {
                let mut reader = Reader::new(self.bytes);
                (0..self.count).map_while(move |at| {
                    reader.take(if at > 0 || $gap_first { 2 } else { 0 }).ok()?;
                    $row::read(&mut reader).ok()
                })
            }

            fn read(count: u8, reader: &mut Reader<'a>) -> Result<$rows<'a>, PacketError> {
                let rows = usize::from(count);
                let gaps = if $gap_first { rows } else { rows.saturating_sub(1) };
                Ok($rows { count, bytes: reader.take(rows * $row_bytes + gaps * 2)? })
            }
        }
    };
}

rows! {
    /// Rows that say where events lie, not copied.
    ReadRows of ReadRow, false, 10
}

rows! {
    /// Rows that say what was fetched, not copied.
    SpaceRows of SpaceRow, true, 6
}

impl ReadRow {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend([self.channel, self.region]);
        out.extend([self.address, self.length].iter().flat_map(|word| word.to_le_bytes()));
    }

    fn read(reader: &mut Reader<'_>) -> Result<ReadRow, PacketError> {
        let ([channel, region], [address, length]) = (reader.array()?, reader.u32s()?);
        Ok(ReadRow { channel, region, address, length })
    }
}

impl SpaceRow {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend([self.channel, self.region]);
        out.extend(self.length.to_le_bytes());
    }

    fn read(reader: &mut Reader<'_>) -> Result<SpaceRow, PacketError> {
        let ([channel, region], length) = (reader.array()?, reader.u32()?);
        Ok(SpaceRow { channel, region, length })
    }
}

/// The top two bits of a command.
const MARK: u16 = 1 << 14;

impl<'a> Command<'a> {
    /// What it is.
    pub fn id(&self) -> CommandId {
        match self {
            Command::Database { .. } => CommandId::DATABASE,
            Command::Padding => CommandId::PADDING,
            Command::Stop => CommandId::STOP,
            Command::StopRequests => CommandId::STOP_REQUESTS,
            Command::StartRequests => CommandId::START_REQUESTS,
            Command::RequestBuffers { .. } => CommandId::REQUEST_BUFFERS,
            Command::SequencedData { .. } => CommandId::SEQUENCED_DATA,
            Command::RequestRead { .. } => CommandId::REQUEST_READ,
            Command::DataRead { .. } => CommandId::DATA_READ,
            Command::Paused => CommandId::PAUSED,
            Command::Resumed => CommandId::RESUMED,
            Command::ReadAcknowledged { .. } => CommandId::READ_ACKNOWLEDGED,
            Command::Other { id, .. } => *id,
        }
    }

    /// Appends the message.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend((MARK | self.id().0).to_le_bytes());
        match self {
            Command::Database { path } => out.extend(path.as_bytes()),
            Command::RequestBuffers { place, region, sequence, space } => {
                out.extend([place.chip.y, place.chip.x, place.core << 3, 0, *region, *sequence]);
                out.extend(space.to_le_bytes());
            }
            Command::SequencedData { region, sequence, data } => {
                out.extend([*region, *sequence]);
                data.encode(out);
            }
            Command::RequestRead { place, sequence, rows } => {
                out.extend([place.chip.y, place.chip.x, place.core << 3 | rows.count, *sequence]);
                out.extend_from_slice(rows.bytes);
            }
            Command::DataRead { sequence, rows } => {
                out.extend([rows.count, *sequence]);
                out.extend_from_slice(rows.bytes);
            }
            Command::ReadAcknowledged { sequence } => out.push(*sequence),
            Command::Other { body, .. } => out.extend_from_slice(body),
            _ => (),
        }
    }

    /// Reads a message. Bytes past its end are an error, except in commands nobody knows.
    pub fn decode(bytes: &'a [u8]) -> Result<Command<'a>, PacketError> {
        let mut reader = Reader::new(bytes);
        let first = reader.u16()?;
        if first >> 14 != MARK >> 14 {
            return Err(PacketError::WrongValue { field: "command mark", value: first.into() });
        }
        let command = match CommandId(first & (MARK - 1)) {
            CommandId::DATABASE => {
                let path = std::str::from_utf8(reader.take(bytes.len() - 2)?);
                Command::Database { path: path.map_err(|_| PacketError::NotText { field: "path" })? }
            }
            CommandId::PADDING => Command::Padding,
            CommandId::STOP => Command::Stop,
            CommandId::STOP_REQUESTS => Command::StopRequests,
            CommandId::START_REQUESTS => Command::StartRequests,
            CommandId::PAUSED => Command::Paused,
            CommandId::RESUMED => Command::Resumed,
            CommandId::READ_ACKNOWLEDGED => Command::ReadAcknowledged { sequence: reader.u8()? },
            CommandId::REQUEST_BUFFERS => read_request_buffers(&mut reader)?,
            CommandId::SEQUENCED_DATA => {
                let [region, sequence] = reader.array()?;
                let data = Data::decode(reader.rest())?;
                return Ok(Command::SequencedData { region, sequence, data });
            }
            CommandId::REQUEST_READ => {
                let [y, x, core, sequence] = reader.array()?;
                let place = Place { chip: Chip { x, y }, core: core >> 3 };
                Command::RequestRead { place, sequence, rows: ReadRows::read(core & 7, &mut reader)? }
            }
            CommandId::DATA_READ => {
                let [count, sequence] = reader.array()?;
                if usize::from(count) > ROWS_MAX {
                    return Err(PacketError::WrongValue { field: "rows", value: count.into() });
                }
                Command::DataRead { sequence, rows: SpaceRows::read(count, &mut reader)? }
            }
            id => return Ok(Command::Other { id, body: reader.rest() }),
        };
        reader.end()?;
        Ok(command)
    }
}

fn read_request_buffers<'a>(reader: &mut Reader<'_>) -> Result<Command<'a>, PacketError> {
    let [y, x, core, _unused, region, sequence] = reader.array()?;
    let place = Place { chip: Chip { x, y }, core: core >> 3 };
    Ok(Command::RequestBuffers { place, region, sequence, space: reader.u32()? })
}
