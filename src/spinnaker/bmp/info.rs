//! What a BMP knows of itself and its board: the replies to `Command::Info`. All numbers low byte first.

use super::super::PacketError;
use super::super::bytes::Reader;
use std::net::Ipv4Addr;

/// What is asked for. Any number can be carried; others than these are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InfoKind(pub u32);

impl InfoKind {
    /// An `Identity`.
    pub const IDENTITY: InfoKind = InfoKind(0);
    /// The copy of the EEPROM, 256 bytes.
    pub const EEPROM: InfoKind = InfoKind(1);
    /// A `CanStatus`.
    pub const CAN_STATUS: InfoKind = InfoKind(2);
    /// A `Status`.
    pub const STATUS: InfoKind = InfoKind(3);
    /// An `IpTable`.
    pub const IP: InfoKind = InfoKind(4);
    /// `Restarts`.
    pub const RESTARTS: InfoKind = InfoKind(5);

    /// Bytes of the reply's body.
    pub fn bytes(self) -> usize {
        match self {
            InfoKind::IDENTITY | InfoKind::RESTARTS => 32,
            InfoKind::EEPROM => 256,
            InfoKind::CAN_STATUS => CanStatus::BYTES,
            InfoKind::STATUS => Status::BYTES,
            InfoKind::IP => 64,
            _ => 0,
        }
    }
}

/// Which board this is.
///
/// | offset | bytes | field |
/// |---|---|---|
/// | 0 | 4 | hardware version |
/// | 4 | 16 | serial number, four words |
/// | 20 | 4 | address of the flash buffer |
/// | 24 | 4 | address of the status |
/// | 28 | 4 | address of the boot vector |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Version of the hardware.
    pub hardware: u32,
    /// Serial number.
    pub serial: [u32; 4],
    /// Where the flash buffer is.
    pub flash_buffer: u32,
    /// Where the status is.
    pub status: u32,
    /// Where the boot vector is.
    pub boot_vector: u32,
}

impl Identity {
    /// Appends the body of a reply.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let words = [self.flash_buffer, self.status, self.boot_vector];
        for word in std::iter::once(self.hardware).chain(self.serial).chain(words) {
            out.extend(word.to_le_bytes());
        }
    }

    /// Reads the body of a reply.
    pub fn decode(body: &[u8]) -> Result<Identity, PacketError> {
        let mut reader = Reader::new(body);
        let (hardware, serial) = (reader.u32()?, reader.u32s()?);
        let [flash_buffer, status, boot_vector] = reader.u32s()?;
        reader.end()?;
        Ok(Identity { hardware, serial, flash_buffer, status, boot_vector })
    }
}

/// Who is on the bus: one byte for each of 24 positions. 0 is nobody, 1 is the one who answers, 5 has been heard of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CanStatus(pub [u8; CanStatus::BYTES]);

impl CanStatus {
    /// Bytes of the body.
    pub const BYTES: usize = 24;

    /// Reads the body of a reply.
    pub fn decode(body: &[u8]) -> Result<CanStatus, PacketError> {
        let mut reader = Reader::new(body);
        let states = reader.array()?;
        reader.end()?;
        Ok(CanStatus(states))
    }

    /// Whether anybody has been heard of at a position.
    pub fn is_present(&self, position: u8) -> bool {
        self.0.get(usize::from(position)).is_some_and(|state| *state != 0)
    }
}

/// Voltages, temperatures and fans, as they were measured.
///
/// | offset | bytes | field | unit |
/// |---|---|---|---|
/// | 0 | 16 | eight voltages: -, 1.2 V c, b, a, 1.8 V, -, 3.3 V, supply | unsigned; see `volts` |
/// | 16 | 8 | four internal temperatures: top, bottom, -, - | signed, 1/256 degree Celsius; -32768 for none |
/// | 24 | 8 | four external temperatures | signed, same |
/// | 32 | 8 | four fans | revolutions a minute; 0xFFFF for none |
/// | 40 | 4 | warnings | bits 0 to 7 voltages, 8 to 11 internal, 12 to 15 external, 16 to 19 fans |
/// | 44 | 4 | why it was shut down | same bits |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// Voltages, as numbers of 12 bits.
    pub voltages: [u16; 8],
    /// Temperatures on the board.
    pub internal: [i16; 4],
    /// Temperatures around it; only the board that runs the backplane has any.
    pub external: [i16; 4],
    /// Fans; only the board that runs the backplane has any.
    pub fans: [u16; 4],
    /// What is out of its range.
    pub warnings: u32,
    /// What was out of its range when it was shut down.
    pub shutdown: u32,
}

/// A supply of a board.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rail {
    /// 1.2 V, part c: index 1.
    V12c = 1,
    /// 1.2 V, part b: index 2.
    V12b = 2,
    /// 1.2 V, part a: index 3.
    V12a = 3,
    /// 1.8 V: index 4.
    V18 = 4,
    /// 3.3 V: index 6.
    V33 = 6,
    /// The supply, about 12 V: index 7.
    Supply = 7,
}

impl Status {
    /// Bytes of the body, no more and no fewer.
    pub const BYTES: usize = 48;
    /// A temperature that nobody measures.
    pub const NO_TEMPERATURE: i16 = i16::MIN;
    /// A fan that is not there.
    pub const NO_FAN: u16 = 0xFFFF;

    /// A voltage in volts.
    pub fn volts(&self, rail: Rail) -> f64 {
        let full_scale = match rail {
            Rail::V33 => 3.75,
            Rail::Supply => 15.0,
            _ => 2.5,
        };
        f64::from(self.voltages[rail as usize]) * full_scale / 4096.0
    }

    /// A temperature in degrees Celsius, if it is measured.
    pub fn celsius(reading: i16) -> Option<f64> {
        (reading != Status::NO_TEMPERATURE).then(|| f64::from(reading) / 256.0)
    }

    /// Appends the body of a reply.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend(self.voltages.iter().flat_map(|number| number.to_le_bytes()));
        out.extend(self.internal.iter().chain(&self.external).flat_map(|number| number.to_le_bytes()));
        out.extend(self.fans.iter().flat_map(|number| number.to_le_bytes()));
        out.extend([self.warnings, self.shutdown].iter().flat_map(|number| number.to_le_bytes()));
    }

    /// Reads the body of a reply.
    pub fn decode(body: &[u8]) -> Result<Status, PacketError> {
        let mut reader = Reader::new(body);
        let voltages = reader.u16s()?;
        let (internal, external) =
            (reader.u16s()?.map(u16::cast_signed), reader.u16s()?.map(u16::cast_signed));
        let (fans, [warnings, shutdown]) = (reader.u16s()?, reader.u32s()?);
        reader.end()?;
        Ok(Status { voltages, internal, external, fans, warnings, shutdown })
    }
}

/// How one of the two Ethernet ports of a board is set.
///
/// | offset | bytes | field | order |
/// |---|---|---|---|
/// | 0 | 2 | flags | low byte first |
/// | 2 | 6 | MAC address | first byte first |
/// | 8 | 4 | IPv4 address | first number first |
/// | 12 | 4 | gateway | first number first |
/// | 16 | 4 | mask | first number first |
/// | 20 | 2 | UDP port | low byte first |
/// | 22 | 10 | unused | |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IpSettings {
    /// Flags.
    pub flags: u16,
    /// Hardware address.
    pub mac: [u8; 6],
    /// Address.
    pub address: Ipv4Addr,
    /// Gateway.
    pub gateway: Ipv4Addr,
    /// Mask of the network.
    pub mask: Ipv4Addr,
    /// UDP port.
    pub udp_port: u16,
    /// The rest of the block.
    pub unused: [u8; 10],
}

impl IpSettings {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend(self.flags.to_le_bytes());
        out.extend(self.mac);
        out.extend([self.address, self.gateway, self.mask].iter().flat_map(|address| address.octets()));
        out.extend(self.udp_port.to_le_bytes());
        out.extend(self.unused);
    }

    fn read(reader: &mut Reader<'_>) -> Result<IpSettings, PacketError> {
        let (flags, mac) = (reader.u16()?, reader.array()?);
        let mut address = || reader.array::<4>().map(Ipv4Addr::from);
        let (address, gateway, mask) = (address()?, address()?, address()?);
        let (udp_port, unused) = (reader.u16()?, reader.array()?);
        Ok(IpSettings { flags, mac, address, gateway, mask, udp_port, unused })
    }
}

/// Both Ethernet ports: two blocks of 32 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IpTable {
    /// Offset 0: the BMP's.
    pub bmp: IpSettings,
    /// Offset 32: that of the chip with the plug.
    pub spinnaker: IpSettings,
}

impl IpTable {
    /// Appends the body of a reply.
    pub fn encode(&self, out: &mut Vec<u8>) {
        self.bmp.encode(out);
        self.spinnaker.encode(out);
    }

    /// Reads the body of a reply.
    pub fn decode(body: &[u8]) -> Result<IpTable, PacketError> {
        let mut reader = Reader::new(body);
        let (bmp, spinnaker) = (IpSettings::read(&mut reader)?, IpSettings::read(&mut reader)?);
        reader.end()?;
        Ok(IpTable { bmp, spinnaker })
    }
}

/// Why and when the BMP started: eight words.
///
/// | offset | bytes | field |
/// |---|---|---|
/// | 0 | 4 | cause of the last reset |
/// | 4 | 4 | resets by the watchdog |
/// | 8 | 4 | time since |
/// | 12 | 20 | more of the like |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Restarts(pub [u32; 8]);

impl Restarts {
    /// Appends the body of a reply.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend(self.0.iter().flat_map(|word| word.to_le_bytes()));
    }

    /// Reads the body of a reply.
    pub fn decode(body: &[u8]) -> Result<Restarts, PacketError> {
        let mut reader = Reader::new(body);
        let words = reader.u32s()?;
        reader.end()?;
        Ok(Restarts(words))
    }
}
