//! Events: keys, perhaps with payloads.
//!
//! | offset | bytes | field | order |
//! |---|---|---|---|
//! | 0 | 1 | number of elements | |
//! | 1 | 1 | bit 7: a prefix follows; bit 6: it is for the upper half; bit 5: a payload base follows; bit 4: payloads are times; bits 2 and 3: `Kind`; bits 0 and 1: tag | |
//! | 2 | 0 or 2 | prefix | low byte first |
//! | then | 0, 2 or 4 | payload base: 2 for kinds of 16 bits, 4 for those of 32 | low byte first |
//! | then | | elements: key, and payload if the kind has one, each 2 or 4 bytes | low byte first |

use super::super::PacketError;
use super::super::bytes::Reader;
use super::MESSAGE_BYTES_MAX;

/// What elements are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// 0: a key of 16 bits.
    Key16,
    /// 1: a key and a payload of 16 bits each.
    KeyPayload16,
    /// 2: a key of 32 bits.
    Key32,
    /// 3: a key and a payload of 32 bits each.
    KeyPayload32,
}

impl Kind {
    /// All, by number.
    pub const ALL: [Kind; 4] = [Kind::Key16, Kind::KeyPayload16, Kind::Key32, Kind::KeyPayload32];

    /// Bytes of a key, of a payload and of the payload base.
    pub fn word_bytes(self) -> usize {
        match self {
            Kind::Key16 | Kind::KeyPayload16 => 2,
            Kind::Key32 | Kind::KeyPayload32 => 4,
        }
    }

    /// Whether elements have a payload of their own.
    pub fn has_payload(self) -> bool {
        matches!(self, Kind::KeyPayload16 | Kind::KeyPayload32)
    }

    /// Bytes of an element.
    pub fn element_bytes(self) -> usize {
        self.word_bytes() * if self.has_payload() { 2 } else { 1 }
    }
}

/// What is put into all keys with a bitwise or.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prefix {
    /// Into bits 0 to 15.
    Lower(u16),
    /// Into bits 16 to 31.
    Upper(u16),
}

impl Prefix {
    fn bits(self) -> u32 {
        match self {
            Prefix::Lower(prefix) => prefix.into(),
            Prefix::Upper(prefix) => u32::from(prefix) << 16,
        }
    }
}

/// An event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Element {
    /// Its key.
    pub key: u32,
    /// Its payload.
    pub payload: Option<u32>,
}

/// A message of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Data<'a> {
    kind: Kind,
    tag: u8,
    prefix: Option<Prefix>,
    payload_base: Option<u32>,
    is_time: bool,
    count: u8,
    elements: &'a [u8],
}

const HAS_PREFIX: u8 = 1 << 7;
const UPPER: u8 = 1 << 6;
const HAS_BASE: u8 = 1 << 5;
const TIMES: u8 = 1 << 4;

impl<'a> Data<'a> {
    /// What its elements are.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Its tag, 0 to 3.
    pub fn tag(&self) -> u8 {
        self.tag
    }

    /// What is put into all keys.
    pub fn prefix(&self) -> Option<Prefix> {
        self.prefix
    }

    /// What is put into all payloads.
    pub fn payload_base(&self) -> Option<u32> {
        self.payload_base
    }

    /// Whether payloads are times.
    pub fn is_time(&self) -> bool {
        self.is_time
    }

    /// How many elements it has.
    pub fn count(&self) -> u8 {
        self.count
    }

    /// The elements as they were sent, without prefix and base.
    pub fn sent(&self) -> impl Iterator<Item = Element> + 'a {
        let kind = self.kind;
        self.elements.chunks_exact(kind.element_bytes()).map(move |element| {
            let (key, payload) = element.split_at(kind.word_bytes());
            Element { key: number(key), payload: kind.has_payload().then(|| number(payload)) }
        })
    }

    /// The elements as they are meant: prefix and base are in them, and keys without a payload have the base as theirs.
    pub fn elements(&self) -> impl Iterator<Item = Element> + 'a {
        let (prefix, base) = (self.prefix.map_or(0, Prefix::bits), self.payload_base);
        self.sent().map(move |Element { key, payload }| Element {
            key: key | prefix,
            payload: payload.map(|payload| payload | base.unwrap_or(0)).or(base),
        })
    }

    /// Appends the message.
    pub fn encode(&self, out: &mut Vec<u8>) {
        encode_header(self, out);
        out.extend_from_slice(self.elements);
    }

    /// Reads a message. Bytes past its last element are an error.
    pub fn decode(bytes: &'a [u8]) -> Result<Data<'a>, PacketError> {
        if bytes.len() > MESSAGE_BYTES_MAX {
            return Err(PacketError::TooLong { bytes: bytes.len(), bytes_max: MESSAGE_BYTES_MAX });
        }
        let mut reader = Reader::new(bytes);
        let (count, flags) = (reader.u8()?, reader.u8()?);
        let kind = Kind::ALL[usize::from(flags >> 2 & 3)];
        let prefix = match (flags & HAS_PREFIX != 0, flags & UPPER != 0) {
            (true, false) => Some(Prefix::Lower(reader.u16()?)),
            (true, true) => Some(Prefix::Upper(reader.u16()?)),
            (false, false) => None,
            (false, true) => {
                return Err(PacketError::WrongValue { field: "prefix flags", value: flags.into() });
            }
        };
        let payload_base = match flags & HAS_BASE != 0 {
            true => Some(number(reader.take(kind.word_bytes())?)),
            false => None,
        };
        let elements = reader.take(usize::from(count) * kind.element_bytes())?;
        reader.end()?;
        let (tag, is_time) = (flags & 3, flags & TIMES != 0);
        Ok(Data { kind, tag, prefix, payload_base, is_time, count, elements })
    }
}

fn encode_header(data: &Data<'_>, out: &mut Vec<u8>) {
    let prefix = match data.prefix {
        Some(Prefix::Lower(_)) => HAS_PREFIX,
        Some(Prefix::Upper(_)) => HAS_PREFIX | UPPER,
        None => 0,
    };
    let base = if data.payload_base.is_some() { HAS_BASE } else { 0 };
    let times = if data.is_time { TIMES } else { 0 };
    out.extend([data.count, prefix | base | times | (data.kind as u8) << 2 | data.tag]);
    if let Some(Prefix::Lower(prefix) | Prefix::Upper(prefix)) = data.prefix {
        out.extend(prefix.to_le_bytes());
    }
    if let Some(base) = data.payload_base {
        out.extend(base.to_le_bytes().iter().take(data.kind.word_bytes()));
    }
}

/// Two or four bytes, the low one first.
fn number(bytes: &[u8]) -> u32 {
    bytes.iter().rev().fold(0, |number, byte| number << 8 | u32::from(*byte))
}

/// An element that does not go into a message: no room, a number too large for the kind, or a payload too many or too few.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// A message while elements are added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Builder {
    kind: Kind,
    tag: u8,
    prefix: Option<Prefix>,
    payload_base: Option<u32>,
    is_time: bool,
    elements: Vec<u8>,
}

impl Builder {
    /// A message of a kind, so far without elements.
    pub fn new(kind: Kind) -> Builder {
        Builder { kind, tag: 0, prefix: None, payload_base: None, is_time: false, elements: Vec::new() }
    }

    /// With this tag, of which the low two bits are kept.
    pub fn tag(self, tag: u8) -> Builder {
        Builder { tag: tag & 3, ..self }
    }

    /// With this in all keys.
    pub fn prefix(self, prefix: Prefix) -> Builder {
        Builder { prefix: Some(prefix), ..self }
    }

    /// With this in all payloads, of which as many bits are kept as payloads of this kind have.
    pub fn payload_base(self, base: u32) -> Builder {
        Builder { payload_base: Some(base & word_max(self.kind)), ..self }
    }

    /// With payloads that are times.
    pub fn times(self) -> Builder {
        Builder { is_time: true, ..self }
    }

    /// How many elements go in.
    pub fn count_max(&self) -> usize {
        let prefix = if self.prefix.is_some() { 2 } else { 0 };
        let base = if self.payload_base.is_some() { self.kind.word_bytes() } else { 0 };
        ((MESSAGE_BYTES_MAX - 2 - prefix - base) / self.kind.element_bytes()).min(255)
    }

    /// Adds an element as it is sent: without prefix and base.
    pub fn push(&mut self, element: Element) -> Result<(), Full> {
        let (bytes, max) = (self.kind.word_bytes(), word_max(self.kind));
        let words = [Some(element.key), element.payload];
        let fits = words.iter().flatten().all(|word| *word <= max)
            && element.payload.is_some() == self.kind.has_payload()
            && self.elements.len() / self.kind.element_bytes() < self.count_max();
        if !fits {
            return Err(Full);
        }
        for word in words.into_iter().flatten() {
            self.elements.extend(word.to_le_bytes().iter().take(bytes));
        }
        Ok(())
    }

    /// The message.
    pub fn data(&self) -> Data<'_> {
        Data {
            kind: self.kind,
            tag: self.tag,
            prefix: self.prefix,
            payload_base: self.payload_base,
            is_time: self.is_time,
            count: (self.elements.len() / self.kind.element_bytes()) as u8,
            elements: &self.elements,
        }
    }
}

fn word_max(kind: Kind) -> u32 {
    if kind.word_bytes() == 2 { u32::from(u16::MAX) } else { u32::MAX }
}
