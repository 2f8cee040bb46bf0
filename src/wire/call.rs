//! The list of calls in a message, and one function-data entry of the list of answers.
//!
//! The whole list is checked for its form before anything runs, so that a message is taken or refused as one. What the
//! arguments mean is the called function's business: they stay text. A list costs one reading and a few borrowed words
//! per call; nothing is copied out of the message.
//!
//! Deliberately not here: which functions there are, and the list around the entries (`answer`).

use super::json::{self, Text};
use crate::error::{Code, Fault};
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde::ser::Serialize;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;

/// A call may have so many arguments.
pub const ARGUMENTS_MAX: usize = 64;
/// A function's name may have so many bytes.
pub const FNAME_BYTES_MAX: usize = 256;

/// A call usually has more bytes than this: room is made for a list of such calls.
const LIKELY_CALL_BYTES: usize = 32;

/// One call.
#[derive(Default)]
pub struct Call<'a> {
    /// The function's name.
    pub fname: Cow<'a, str>,
    /// The arguments by name, each name once, in the order in which the names first came.
    pub args: Vec<(Cow<'a, str>, &'a RawValue)>,
}

impl<'a> Call<'a> {
    /// The argument of this name.
    pub fn argument(&self, name: &str) -> Option<&'a RawValue> {
        self.args.iter().find(|(key, _)| key == name).map(|(_, value)| *value)
    }
}

/// Shows the arguments' names only: a value may be a password.
impl fmt::Debug for Call<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.args.iter().map(|(name, _)| name);
        f.debug_struct("Call").field("fname", &self.fname).field("args", &names.collect::<Vec<_>>()).finish()
    }
}

/// Reads the list of calls; a malformed entry is named by its place, which begins at 0.
pub fn parse(list: &RawValue, calls_max: usize) -> Result<Vec<Call<'_>>, Fault> {
    if !list.get().starts_with('[') {
        return Err(invalid("data is not a list of calls".to_string()));
    }
    let likely = calls_max.min(list.get().len() / LIKELY_CALL_BYTES);
    let mut reading = Reading { calls: Vec::with_capacity(likely), calls_max, fault: None };
    let mut deserializer = serde_json::Deserializer::from_str(list.get());
    match deserializer.deserialize_seq(&mut reading) {
        Ok(()) => Ok(reading.calls),
        Err(_) => Err(reading.fault.unwrap_or_else(|| {
            let at = reading.calls.len();
            invalid(format!("data[{at}] is not an object such as {{\"fname\": \"...\"}}"))
        })),
    }
}

fn invalid(msg: String) -> Fault {
    Fault::new(Code::INVALID_MESSAGE, msg)
}

/// The list as far as it has been read, and what is wrong with it.
struct Reading<'a> {
    /// The calls so far.
    calls: Vec<Call<'a>>,
    /// How many there may be.
    calls_max: usize,
    /// What ended the reading.
    fault: Option<Fault>,
}

impl<'de> Visitor<'de> for &mut Reading<'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of calls")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while let Some(call) =
            list.next_element_seed(Entry { at: self.calls.len(), fault: &mut self.fault })?
        {
            if self.calls.len() == self.calls_max {
                let msg = format!("the message has more than {} calls", self.calls_max);
                self.fault = Some(Fault::new(Code::TOO_MANY_CALLS, msg));
                return Err(A::Error::custom("too many"));
            }
            self.calls.push(call);
        }
        Ok(())
    }
}

/// One entry of the list and its place in it.
struct Entry<'f> {
    /// Its place, the first being 0.
    at: usize,
    /// Where to put what is wrong with it.
    fault: &'f mut Option<Fault>,
}

impl<'de> DeserializeSeed<'de> for Entry<'_> {
    type Value = Call<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Call<'de>, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Entry<'_> {
    type Value = Call<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with fname")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Call<'de>, A::Error> {
        let mut call = Call::default();
        let mut fname = None;
        while let Some(Text(key)) = map.next_key::<Text<'de>>()? {
            let value: &'de RawValue = map.next_value()?;
            if key == "fname" {
                fname = Some(value);
            } else if !set_argument(&mut call.args, key, value) {
                let msg = format!("data[{}] has more than {ARGUMENTS_MAX} arguments", self.at);
                return Err(self.refuse(msg));
            }
        }
        let Some(fname) = fname else {
            let msg = format!("data[{}] has no key \"fname\"", self.at);
            return Err(self.refuse(msg));
        };
        match json::text(fname).filter(|name| name.len() <= FNAME_BYTES_MAX) {
            Some(name) => call.fname = name,
            None => {
                let msg =
                    format!("data[{}].fname is not a string of at most {FNAME_BYTES_MAX} bytes", self.at);
                return Err(self.refuse(msg));
            }
        }
        Ok(call)
    }
}

impl Entry<'_> {
    /// Keeps the sentence and gives the error that ends the reading.
    fn refuse<E: Error>(self, msg: String) -> E {
        *self.fault = Some(invalid(msg));
        E::custom("malformed")
    }
}

/// Sets an argument, over an earlier one of the same name; false when there are too many.
fn set_argument<'a>(
    args: &mut Vec<(Cow<'a, str>, &'a RawValue)>,
    name: Cow<'a, str>,
    value: &'a RawValue,
) -> bool {
    let full = args.len() == ARGUMENTS_MAX;
    match args.iter_mut().find(|(known, _)| *known == name) {
        Some((_, earlier)) => *earlier = value,
        None if full => return false,
        None => args.push((name, value)),
    }
    true
}

/// Appends the entry of a call that went well. A value that cannot be written makes it an entry with error 100.
pub fn push_data<T: Serialize + ?Sized>(out: &mut Vec<u8>, fname: &str, data: &T) {
    let start = out.len();
    begin_data(out, fname);
    match json::push_value(out, data) {
        Ok(()) => end_data(out),
        Err(error) => {
            out.truncate(start);
            push_error(
                out,
                fname,
                &Fault::new(Code::INTERNAL, format!("the result cannot be written: {error}")),
            );
        }
    }
}

/// Appends an entry up to its data, which the caller writes as JSON text.
pub fn begin_data(out: &mut Vec<u8>, fname: &str) {
    begin_entry(out, fname);
    out.extend_from_slice(b",\"data\":");
}

/// Appends what follows the data of an entry.
pub fn end_data(out: &mut Vec<u8>) {
    out.push(b'}');
}

/// Appends the entry of a call that failed.
pub fn push_error(out: &mut Vec<u8>, fname: &str, fault: &Fault) {
    begin_entry(out, fname);
    out.extend_from_slice(b",\"data\":null,\"error\":");
    push_fault(out, fault);
    out.push(b'}');
}

/// Appends an error object.
pub fn push_fault(out: &mut Vec<u8>, fault: &Fault) {
    out.extend_from_slice(b"{\"code\":");
    out.extend_from_slice(fault.code.number().to_string().as_bytes());
    out.extend_from_slice(b",\"msg\":");
    json::push_string(out, &fault.msg);
    out.push(b'}');
}

/// An entry follows the bracket of the list or another entry.
fn begin_entry(out: &mut Vec<u8>, fname: &str) {
    if out.last() == Some(&b'}') {
        out.push(b',');
    }
    out.extend_from_slice(b"{\"fname\":");
    json::push_string(out, fname);
}
