//! What came: one message out of the text of one frame.
//!
//! The root is an object with exactly `session`, `name` and `data`; keys that begin with `__` are reserved for what the
//! protocol has learned since: `__id__` is given back with the answer, `__caps__` says what a peer understands, others
//! are ignored. A key that is given twice has its last value. Everything stays text until somebody needs it.
//!
//! A refusal still carries the `__id__` where one was found, because a client that waits for it would wait for ever.
//! Deliberately not here: whose session it is and what the data asks for (`call`, `handshake`).

use super::json::{self, Raw, Text};
use super::scan::Scan;
use crate::error::{Code, Fault};
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;

/// An `__id__` may have so many bytes of JSON text.
pub const ID_BYTES_MAX: usize = 256;
/// A message may name so many capabilities.
pub const CAPS_MAX: usize = 64;

/// One message, borrowed from its frame.
pub struct Message<'a> {
    /// The session it belongs to; empty before the handshake.
    pub session: Cow<'a, str>,
    /// What the peer calls itself; empty when it gave something other than a string.
    pub name: Cow<'a, str>,
    /// What it wants.
    pub data: Raw<'a>,
    /// What its answer has to carry, a string or an integer.
    pub id: Option<Raw<'a>>,
    /// What the peer understands beyond the protocol of old.
    pub caps: Vec<Cow<'a, str>>,
}

impl<'a> Message<'a> {
    /// What kind of data it is.
    pub fn kind(&self) -> Data<'a> {
        Data::of(self.data)
    }
}

/// Shows neither the session nor the data: both may hold what lets somebody in.
impl fmt::Debug for Message<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Message {{ name: {:?}, data: {} bytes }}", self.name, self.data.get().len())
    }
}

/// A message that was refused.
#[derive(Debug)]
pub struct Refused<'a> {
    /// Why.
    pub fault: Fault,
    /// The `__id__` its answer has to carry, where one was found.
    pub id: Option<Raw<'a>>,
}

/// The kinds of data.
#[derive(Clone, Copy)]
pub enum Data<'a> {
    /// A list: calls.
    Calls(Raw<'a>),
    /// The name or number of a server command.
    Command(Command),
    /// Anything else: a handshake if the session is empty.
    Other(Raw<'a>),
}

impl<'a> Data<'a> {
    /// The kind of this data.
    pub fn of(data: Raw<'a>) -> Data<'a> {
        match data.get().as_bytes().first() {
            Some(b'[') => Data::Calls(data),
            Some(b'"' | b'1'..=b'4') => Command::of(data).map_or(Data::Other(data), Data::Command),
            _ => Data::Other(data),
        }
    }
}

/// What can be said to the server instead of calling a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Command {
    /// Shut down.
    ServerQuit,
    /// Shut down and start again.
    ServerRestart,
    /// Send the greeting again.
    RequestAuth,
    /// End the session.
    Logout,
}

impl Command {
    /// All of them, in the order of their numbers, which begin at 1.
    pub const ALL: [Command; 4] =
        [Command::ServerQuit, Command::ServerRestart, Command::RequestAuth, Command::Logout];

    /// Its name on the wire.
    pub fn word(self) -> &'static str {
        match self {
            Command::ServerQuit => "serverquit",
            Command::ServerRestart => "serverrestart",
            Command::RequestAuth => "requestauth",
            Command::Logout => "logout",
        }
    }

    /// The command a value names: a string in any case, or the integer itself. Booleans and fractions are none.
    fn of(data: Raw<'_>) -> Option<Command> {
        if let Some(word) = json::text(data) {
            return Command::ALL.into_iter().find(|command| command.word().eq_ignore_ascii_case(&word));
        }
        let numbers = ["1", "2", "3", "4"].into_iter().zip(Command::ALL);
        numbers.into_iter().find(|(number, _)| *number == data.get()).map(|(_, command)| command)
    }
}

/// Reads one message.
pub fn decode(body: &[u8], json_depth_max: usize) -> Result<Message<'_>, Refused<'_>> {
    let text = match std::str::from_utf8(body) {
        Ok(text) => text,
        Err(error) => return Err(not_utf8(body, error.valid_up_to())),
    };
    if let Some(after) = text.strip_prefix('\u{feff}') {
        let fault =
            Fault::new(Code::BAD_JSON, "the text begins with a byte order mark, which JSON does not have");
        return Err(Refused { fault, id: Root::read(after).0.id() });
    }
    if json::is_deeper(text, json_depth_max) {
        let fault = Fault::new(Code::TOO_DEEP, format!("the JSON is nested deeper than {json_depth_max}"));
        return Err(Refused { fault, id: Root::read(text).0.id() });
    }
    if let Some(message) = plain(text) {
        return Ok(message);
    }
    if !text.trim_ascii_start().starts_with('{') {
        return Err(Refused { fault: no_object(text), id: None });
    }
    let (root, end) = Root::read(text);
    let id = root.id();
    match end {
        Ok(()) => root.check().map_err(|fault| Refused { fault, id }),
        Err(error) => Err(Refused { fault: Fault::new(Code::BAD_JSON, format!("not JSON: {error}")), id }),
    }
}

/// Reads a message that is plain and in order, as nearly all are.
fn plain(text: &str) -> Option<Message<'_>> {
    let (mut session, mut name, mut data, mut id) = (None, None, None, None);
    let mut scan = Scan::new(text);
    scan.object(|scan, key| {
        match key {
            "session" => session = Some(scan.string()?),
            "name" => name = Some(scan.string()?),
            "data" => data = Some(scan.value()?),
            "__id__" => id = Some(scan.value().filter(is_id)?),
            _ => return None,
        }
        Some(())
    })?;
    scan.end()?;
    let (session, name) = (session?.into(), name?.into());
    Some(Message { session, name, data: data?, id, caps: Vec::new() })
}

fn not_utf8(body: &[u8], valid_bytes: usize) -> Refused<'_> {
    let fault = Fault::new(Code::BAD_JSON, format!("the text is not UTF-8 from byte {valid_bytes} on"));
    let valid = std::str::from_utf8(&body[..valid_bytes]).unwrap_or_default();
    Refused { fault, id: Root::read(valid).0.id() }
}

/// The fault of a text whose root is no object.
fn no_object(text: &str) -> Fault {
    if text.trim_ascii().is_empty() {
        return Fault::new(Code::BAD_JSON, "the frame holds no text");
    }
    match serde_json::from_str::<&RawValue>(text) {
        Ok(_) => Fault::new(
            Code::INVALID_MESSAGE,
            "the message is not an object; it has to be one, with the keys session, name and data",
        ),
        Err(error) => Fault::new(Code::BAD_JSON, format!("not JSON: {error}")),
    }
}

/// The root keys as found, the last of each.
#[derive(Default)]
struct Root<'a> {
    /// `session`.
    session: Option<&'a RawValue>,
    /// `name`.
    name: Option<&'a RawValue>,
    /// `data`.
    data: Option<&'a RawValue>,
    /// `__id__`.
    id: Option<&'a RawValue>,
    /// `__caps__`.
    caps: Option<&'a RawValue>,
    /// The first key that is none of the protocol's.
    unknown: Option<String>,
}

impl<'a> Root<'a> {
    /// What could be read of the root object, and whether all of the text is JSON.
    fn read(text: &'a str) -> (Root<'a>, serde_json::Result<()>) {
        let mut root = Root::default();
        let mut deserializer = serde_json::Deserializer::from_str(text);
        let read = root.deserialize(&mut deserializer).and_then(|()| deserializer.end());
        (root, read)
    }

    /// The `__id__`, if it is one that can be given back.
    fn id(&self) -> Option<Raw<'a>> {
        self.id.map(Raw::from).filter(is_id)
    }

    /// Every key in its place: what is missing first, then what does not belong, then what has the wrong type.
    fn check(self) -> Result<Message<'a>, Fault> {
        let name = self.name.ok_or_else(|| missing("name"))?;
        let data = self.data.ok_or_else(|| missing("data"))?;
        let session = self.session.ok_or_else(|| missing("session"))?;
        if let Some(key) = &self.unknown {
            return Err(invalid(format!("the message has the unknown key {key}")));
        }
        let session = json::text(session).ok_or_else(|| invalid("session has to be a string"))?;
        if self.id.is_some() && self.id().is_none() {
            let msg = format!("__id__ has to be a string or an integer of at most {ID_BYTES_MAX} bytes");
            return Err(invalid(msg));
        }
        let caps = self.caps.map_or(Ok(Vec::new()), read_caps)?;
        let name = json::text(name).unwrap_or_default();
        Ok(Message { session, name, data: data.into(), id: self.id.map(Raw::from), caps })
    }
}

/// Whether a value can be given back as `__id__`.
fn is_id(id: &Raw<'_>) -> bool {
    (id.get().starts_with('"') || json::is_integer(*id)) && id.get().len() <= ID_BYTES_MAX
}

fn missing(key: &str) -> Fault {
    invalid(format!("the message has no key \"{key}\""))
}

fn invalid(msg: impl Into<String>) -> Fault {
    Fault::new(Code::INVALID_MESSAGE, msg)
}

fn read_caps(raw: &RawValue) -> Result<Vec<Cow<'_, str>>, Fault> {
    let mut caps = Vec::new();
    let mut deserializer = serde_json::Deserializer::from_str(raw.get());
    let read = deserializer.deserialize_seq(Caps(&mut caps));
    let fault = || invalid(format!("__caps__ has to be a list of at most {CAPS_MAX} strings"));
    read.map_err(|_| fault()).map(|()| caps)
}

/// Collects the capabilities.
struct Caps<'c, 'a>(&'c mut Vec<Cow<'a, str>>);

impl<'de> Visitor<'de> for Caps<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at most {CAPS_MAX} strings")
    }

    fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while let Some(raw) = list.next_element::<&'de RawValue>()? {
            let cap = json::text(raw).filter(|_| self.0.len() < CAPS_MAX);
            self.0.push(cap.ok_or_else(|| serde::de::Error::invalid_length(self.0.len(), &self))?);
        }
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for &mut Root<'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

/// Fills the root in place, so that what was found before an error is still there after it.
impl<'de> Visitor<'de> for &mut Root<'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(Text(key)) = map.next_key::<Text<'de>>()? {
            match &*key {
                "session" => self.session = Some(map.next_value()?),
                "name" => self.name = Some(map.next_value()?),
                "data" => self.data = Some(map.next_value()?),
                "__id__" => self.id = Some(map.next_value()?),
                "__caps__" => self.caps = Some(map.next_value()?),
                reserved if reserved.starts_with("__") => drop(map.next_value::<IgnoredAny>()?),
                unknown => {
                    self.unknown.get_or_insert_with(|| json::quoted(unknown));
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }
}
