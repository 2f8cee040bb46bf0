//! What goes out: envelopes around answers, errors, events and requests, written straight into a buffer; and how a client
//! reads what a server wrote.
//!
//! The keys stand in the order session, name, data, error, `__id__`; an event has `__event__` before its data and no
//! `__id__`. Text is ASCII. A list of answers is streamed: `begin_list`, entries by `call`, `end_list`.

use super::call;
use super::envelope::Command;
use super::json::{self, Raw};
use crate::error::{Code, Fault};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::borrow::Cow;

/// What stands around the data of every message we send.
#[derive(Clone, Copy, Default)]
pub struct Envelope<'a> {
    /// The session.
    pub session: &'a str,
    /// What we call ourselves.
    pub name: &'a str,
    /// The `__id__` of a request, or of the request this answers.
    pub id: Option<Raw<'a>>,
}

impl Envelope<'_> {
    /// Appends a message with any data. Data that cannot be written makes it an error 100.
    pub fn push_data<T: Serialize + ?Sized>(&self, out: &mut Vec<u8>, data: &T) {
        let start = out.len();
        self.begin(out);
        match json::push_value(out, data) {
            Ok(()) => self.end(out),
            Err(error) => {
                out.truncate(start);
                self.push_error(
                    out,
                    &Fault::new(Code::INTERNAL, format!("the data cannot be written: {error}")),
                );
            }
        }
    }

    /// Appends a message that refuses a whole message.
    pub fn push_error(&self, out: &mut Vec<u8>, fault: &Fault) {
        self.begin(out);
        out.extend_from_slice(b"null,\"error\":");
        call::push_fault(out, fault);
        self.end(out);
    }

    /// Appends a command: a client's order, or the news of it to everybody.
    pub fn push_command(&self, out: &mut Vec<u8>, command: Command) {
        self.begin(out);
        json::push_string(out, command.word());
        self.end(out);
    }

    /// Appends an event, which answers nothing and has no id. Data that cannot be written is null.
    pub fn push_event<T: Serialize + ?Sized>(&self, out: &mut Vec<u8>, event: &str, data: &T) {
        self.begin_keys(out);
        out.extend_from_slice(b",\"__event__\":");
        json::push_string(out, event);
        out.extend_from_slice(b",\"data\":");
        let start = out.len();
        if json::push_value(out, data).is_err() {
            out.truncate(start);
            out.extend_from_slice(b"null");
        }
        out.push(b'}');
    }

    /// Appends a message up to its list of entries, which follow one by one.
    pub fn begin_list(&self, out: &mut Vec<u8>) {
        self.begin(out);
        out.push(b'[');
    }

    /// Appends what follows the last entry.
    pub fn end_list(&self, out: &mut Vec<u8>) {
        out.push(b']');
        self.end(out);
    }

    /// Appends a message up to its data, which the caller writes as JSON text.
    pub fn begin(&self, out: &mut Vec<u8>) {
        self.begin_keys(out);
        out.extend_from_slice(b",\"data\":");
    }

    /// Appends what follows the data.
    pub fn end(&self, out: &mut Vec<u8>) {
        if let Some(id) = self.id {
            out.extend_from_slice(b",\"__id__\":");
            json::push_raw(out, id);
        }
        out.push(b'}');
    }

    fn begin_keys(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"session\":");
        json::push_string(out, self.session);
        out.extend_from_slice(b",\"name\":");
        json::push_string(out, self.name);
    }
}

/// What a client heard from a server. Keys a client does not know are ignored.
#[derive(Deserialize)]
pub struct Heard<'a> {
    /// The session.
    #[serde(borrow)]
    pub session: Cow<'a, str>,
    /// What the server calls itself.
    #[serde(borrow)]
    pub name: Cow<'a, str>,
    /// The data; null beside an error.
    #[serde(borrow)]
    pub data: &'a RawValue,
    /// Why the whole message was refused.
    pub error: Option<Refusal>,
    /// The id of the request this answers.
    #[serde(borrow, rename = "__id__")]
    pub id: Option<&'a RawValue>,
    /// The event this is, if it answers nothing.
    #[serde(borrow, rename = "__event__")]
    pub event: Option<Cow<'a, str>>,
}

/// One entry of a list of answers.
#[derive(Debug, Deserialize)]
pub struct Entry<'a> {
    /// The name of the function that was called.
    #[serde(borrow)]
    pub fname: Cow<'a, str>,
    /// The result; null beside an error.
    #[serde(borrow)]
    pub data: &'a RawValue,
    /// Why there is no result.
    pub error: Option<Refusal>,
}

/// An error object as it came; its code need not be in our table.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Refusal {
    /// The number.
    pub code: i64,
    /// The sentence.
    pub msg: String,
}

/// Reads what a server sent.
pub fn decode(body: &[u8]) -> Result<Heard<'_>, Fault> {
    serde_json::from_slice(body).map_err(unexpected)
}

/// Reads the list of answers in it.
pub fn decode_entries<'a>(heard: &Heard<'a>) -> Result<Vec<Entry<'a>>, Fault> {
    serde_json::from_str(heard.data.get()).map_err(unexpected)
}

fn unexpected(error: serde_json::Error) -> Fault {
    Fault::new(Code::BAD_JSON, format!("the server's answer cannot be read: {error}"))
}
