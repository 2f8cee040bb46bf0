//! The list of calls in a message, and one function-data entry of the list of answers.
//!
//! The whole list is checked for its form before anything runs, so that a message is taken or refused as one. What the
//! arguments mean is the called function's business: they stay text. A list costs one reading and a few borrowed words
//! per call, in memory that is used again; nothing is copied out of the message.
//!
//! Deliberately not here: which functions there are, and the list around the entries (`answer`).

use super::json::{self, Raw, Text};
use super::scan::Scan;
use crate::error::{Code, Fault};
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde::ser::Serialize;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::cell::RefCell;
use std::fmt;

/// A call may have so many arguments.
pub const ARGUMENTS_MAX: usize = 64;
/// A function's name may have so many bytes.
pub const FNAME_BYTES_MAX: usize = 256;

/// A thread keeps the memory of so many lists that are not in use.
const POOLED_MAX: usize = 4;
/// Lists with room for more calls or arguments than this are not kept.
const POOLED_ENTRIES_MAX: usize = 4096;

/// An argument: its name, and its value as text.
pub type Argument<'a> = (Cow<'a, str>, Raw<'a>);

/// One call.
#[derive(Clone, Copy)]
pub struct Call<'c, 'a> {
    /// The function's name.
    pub fname: &'c Cow<'a, str>,
    /// The arguments by name, each name once, in the order in which the names first came.
    pub args: &'c [Argument<'a>],
}

impl<'a> Call<'_, 'a> {
    /// The argument of this name.
    pub fn argument(&self, name: &str) -> Option<Raw<'a>> {
        self.args.iter().find(|(key, _)| key == name).map(|(_, value)| *value)
    }
}

/// A list of calls, in memory on loan from the thread's pool, which goes back when this is dropped. A single call without
/// arguments needs none.
#[derive(Default)]
pub struct Calls<'a> {
    /// The first.
    first: Option<Head<'a>>,
    /// The others.
    heads: Vec<Head<'a>>,
    /// The arguments of all calls, call after call.
    args: Vec<Argument<'a>>,
}

/// A function's name, and where the arguments of its call end.
type Head<'a> = (Cow<'a, str>, usize);

thread_local! {
    static LISTS: RefCell<Vec<Calls<'static>>> = const { RefCell::new(Vec::new()) };
}

impl<'a> Calls<'a> {
    /// Borrows memory, unless that was done before.
    fn lend(&mut self) {
        if self.heads.capacity() > 0 || self.args.capacity() > 0 {
            return;
        }
        if let Some(mut pooled) = LISTS.try_with(|pool| pool.borrow_mut().pop()).ok().flatten() {
            (self.heads, self.args) = (emptied(&mut pooled.heads), emptied(&mut pooled.args));
        }
    }

    /// The same memory, for calls out of another message.
    fn emptied<'b>(&mut self) -> Calls<'b> {
        Calls { first: None, heads: emptied(&mut self.heads), args: emptied(&mut self.args) }
    }

    /// Adds a call of this function, with all arguments that are not an earlier call's.
    fn push(&mut self, fname: Cow<'a, str>) {
        let head = (fname, self.args.len());
        if self.first.is_none() {
            self.first = Some(head);
        } else {
            self.lend();
            self.heads.push(head);
        }
    }

    /// Sets an argument of the call whose arguments start there, over an earlier one of the same name; false when there
    /// are too many.
    fn set_argument(&mut self, start: usize, name: Cow<'a, str>, value: Raw<'a>) -> bool {
        self.lend();
        let own = self.args.get_mut(start..).unwrap_or_default();
        let full = own.len() == ARGUMENTS_MAX;
        match own.iter_mut().find(|(known, _)| *known == name) {
            Some((_, earlier)) => *earlier = value,
            None if full => return false,
            None => self.args.push((name, value)),
        }
        true
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.heads.len() + usize::from(self.first.is_some())
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    /// The call at this place, which begins at 0.
    pub fn at(&self, at: usize) -> Option<Call<'_, 'a>> {
        let (fname, end) = self.head(at)?;
        let start = at.checked_sub(1).and_then(|before| self.head(before)).map_or(0, |(_, end)| *end);
        Some(Call { fname, args: self.args.get(start..*end)? })
    }

    fn head(&self, at: usize) -> Option<&Head<'a>> {
        match at.checked_sub(1) {
            None => self.first.as_ref(),
            Some(at) => self.heads.get(at),
        }
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = Call<'_, 'a>> {
        (0..self.len()).filter_map(|at| self.at(at))
    }
}

impl fmt::Debug for Calls<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// An empty list in the memory of another: the standard library collects where it takes from, if the sizes are the same.
fn emptied<A, B>(list: &mut Vec<A>) -> Vec<B> {
    list.clear();
    std::mem::take(list).into_iter().filter_map(|_| None).collect()
}

impl Drop for Calls<'_> {
    fn drop(&mut self) {
        let room = self.heads.capacity().max(self.args.capacity());
        if room == 0 || room > POOLED_ENTRIES_MAX {
            return;
        }
        let _ = LISTS.try_with(|pool| {
            let mut pool = pool.borrow_mut();
            if pool.len() < POOLED_MAX {
                pool.push(self.emptied());
            }
        });
    }
}

/// Shows the arguments' names only: a value may be a password.
impl fmt::Debug for Call<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.args.iter().map(|(name, _)| name);
        f.debug_struct("Call").field("fname", &self.fname).field("args", &names.collect::<Vec<_>>()).finish()
    }
}

/// Reads the list of calls; a malformed entry is named by its place, which begins at 0.
pub fn parse(list: Raw<'_>, calls_max: usize) -> Result<Calls<'_>, Fault> {
    if let Some(calls) = plain(list, calls_max) {
        return Ok(calls);
    }
    if !list.get().starts_with('[') {
        return Err(invalid("data is not a list of calls".to_string()));
    }
    let mut reading = Reading { calls: Calls::default(), calls_max, fault: None };
    let mut deserializer = serde_json::Deserializer::from_str(list.get());
    match deserializer.deserialize_seq(&mut reading) {
        Ok(()) => Ok(reading.calls),
        Err(_) => Err(reading.fault.unwrap_or_else(|| {
            let at = reading.calls.len();
            invalid(format!("data[{at}] is not an object such as {{\"fname\": \"...\"}}"))
        })),
    }
}

/// Reads a list that is plain and in order, as nearly all are.
fn plain(list: Raw<'_>, calls_max: usize) -> Option<Calls<'_>> {
    let (mut calls, mut scan) = (Calls::default(), Scan::new(list.get()));
    scan.list(|scan| {
        let (mut fname, start) = (None, calls.args.len());
        scan.object(|scan, key| {
            if key == "fname" {
                fname = Some(scan.string()?);
                return Some(());
            }
            let value = scan.value()?;
            calls.set_argument(start, key.into(), value).then_some(())
        })?;
        let fname = fname.filter(|name| name.len() <= FNAME_BYTES_MAX && calls.len() < calls_max)?;
        calls.push(fname.into());
        Some(())
    })?;
    scan.end()?;
    Some(calls)
}

fn invalid(msg: String) -> Fault {
    Fault::new(Code::INVALID_MESSAGE, msg)
}

/// The list as far as it has been read, and what is wrong with it.
struct Reading<'a> {
    /// The calls so far.
    calls: Calls<'a>,
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
        while list.next_element_seed(Entry(self))?.is_some() {}
        Ok(())
    }
}

/// The next entry of the list.
struct Entry<'r, 'a>(&'r mut Reading<'a>);

impl<'de> DeserializeSeed<'de> for Entry<'_, 'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Entry<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with fname")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let (at, start) = (self.0.calls.len(), self.0.calls.args.len());
        let mut fname = None;
        while let Some(Text(key)) = map.next_key::<Text<'de>>()? {
            let value: &'de RawValue = map.next_value()?;
            if key == "fname" {
                fname = Some(value);
            } else if !self.0.calls.set_argument(start, key, value.into()) {
                return Err(self.refuse(format!("data[{at}] has more than {ARGUMENTS_MAX} arguments")));
            }
        }
        let Some(fname) = fname else {
            return Err(self.refuse(format!("data[{at}] has no key \"fname\"")));
        };
        let Some(fname) = json::text(fname).filter(|name| name.len() <= FNAME_BYTES_MAX) else {
            let msg = format!("data[{at}].fname is not a string of at most {FNAME_BYTES_MAX} bytes");
            return Err(self.refuse(msg));
        };
        if at == self.0.calls_max {
            let msg = format!("the message has more than {at} calls");
            self.0.fault = Some(Fault::new(Code::TOO_MANY_CALLS, msg));
            return Err(A::Error::custom("too many"));
        }
        self.0.calls.push(fname);
        Ok(())
    }
}

impl Entry<'_, '_> {
    /// Keeps the sentence and gives the error that ends the reading.
    fn refuse<E: Error>(self, msg: String) -> E {
        self.0.fault = Some(invalid(msg));
        E::custom("malformed")
    }
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
