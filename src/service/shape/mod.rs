//! Answers into JSON: what the lab saw, as callers read it.
//!
//! Everything is written by hand straight into the bytes of the answer; nothing of the lab can be
//! serialised by itself, so a field of the lab may change without a change on the wire. Here is what all
//! shapes share; `job` has jobs, `machine` has machines, boards and places, `people` has users, sessions
//! and the server itself. Times are Unix seconds, durations are seconds, a board is `[x, y, z]` in a
//! torus and its serial in a pool. Text outside ASCII goes out escaped, so that it is read the same
//! whatever a peer takes for its character set.

pub mod job;
pub mod machine;
pub mod people;

use super::Asker;
use super::plan::{Heard, Outcome};
use crate::error::{Code, Fault};
use crate::lab::ask::Reply;
use crate::lab::board::BoardState;
use crate::lab::machine::Physical;
use crate::lab::view::BoardName;
use crate::wire::json;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::fmt;

/// Appends a value as JSON.
pub fn write<T: Serialize + ?Sized>(out: &mut Vec<u8>, value: &T) -> Result<(), Fault> {
    let written = json::push_value(out, value);
    written.map_err(|error| Fault::new(Code::INTERNAL, format!("the result cannot be written: {error}")))
}

/// The answer of functions that have nothing to tell.
pub fn null(outcome: &Outcome, _: &Asker<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
    match outcome {
        Outcome::Nothing
        | Outcome::Reply(Reply::Done(_))
        | Outcome::Heard(Heard::Done)
        | Outcome::LogLevel(_) => {
            out.extend_from_slice(b"null");
            Ok(())
        }
        _ => Err(unexpected()),
    }
}

/// The answer of functions whose result is always known beforehand.
pub fn ready(_: &Outcome, _: &Asker<'_>, _: &mut Vec<u8>) -> Result<(), Fault> {
    Err(unexpected())
}

/// A plan was carried out and brought what its function does not understand.
pub fn unexpected() -> Fault {
    Fault::new(Code::INTERNAL, "the outcome of the call is of another kind than its function writes")
}

/// A function pointer that writes one kind of answer of the lab.
macro_rules! seen {
    ($view:pat => $shape:expr) => {
        |outcome, _, out| match outcome {
            $crate::service::plan::Outcome::Reply($crate::lab::ask::Reply::Seen($view)) => {
                $crate::service::shape::write(out, &$shape)
            }
            _ => Err($crate::service::shape::unexpected()),
        }
    };
}
pub(super) use seen;

/// A list that is made while it is written.
pub struct Each<F>(pub F);

impl<F, I> Serialize for Each<F>
where
    F: Fn() -> I,
    I: Iterator,
    I::Item: Serialize,
{
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq((self.0)())
    }
}

/// A text that is made while it is written.
pub struct Shown<T>(pub T);

impl<T: fmt::Display> Serialize for Shown<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

/// JSON text as it came, null for none. What is no JSON after all is written as a string.
pub struct JsonText<'a>(pub &'a str);

impl Serialize for JsonText<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0.is_empty() {
            return serializer.serialize_none();
        }
        match serde_json::from_str::<&RawValue>(self.0) {
            Ok(json) => json.serialize(serializer),
            Err(_) => serializer.serialize_str(self.0),
        }
    }
}

/// The name of a board.
pub struct Board<'a>(pub &'a BoardName);

impl Serialize for Board<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            BoardName::Triad(at) => [at.x, at.y, at.z].serialize(serializer),
            BoardName::Serial(serial) => serializer.serialize_str(serial),
        }
    }
}

/// How many boards are in each state.
pub struct Counts<'a>(pub &'a BTreeMap<BoardState, u32>);

impl Serialize for Counts<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.entries())
    }
}

impl Counts<'_> {
    fn entries(&self) -> impl Iterator<Item = (&'static str, u32)> + '_ {
        BoardState::ALL.into_iter().map(|state| (state.word(), self.0.get(&state).copied().unwrap_or(0)))
    }
}

/// Cabinet, frame and board.
pub fn place(place: Physical) -> [u32; 3] {
    [place.cabinet, place.frame, place.board]
}

/// Milliseconds as seconds.
pub fn seconds(ms: u64) -> f64 {
    ms as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written<T: Serialize>(value: T) -> String {
        let mut out = Vec::new();
        write(&mut out, &value).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn text_goes_out_in_ascii() {
        assert_eq!(written("zo\u{eb} \u{1f600} \"\n"), r#""zo\u00eb \ud83d\ude00 \"\n""#);
        assert_eq!(written(JsonText("{\"\u{eb}\": 1.50}")), r#"{"\u00eb": 1.50}"#);
    }

    #[test]
    fn json_that_came_as_text_is_json_again() {
        assert_eq!(written(JsonText("")), "null");
        assert_eq!(written(JsonText("[1, {}]")), "[1, {}]");
        assert_eq!(written(JsonText("{] no json")), r#""{] no json""#);
    }

    #[test]
    fn times_are_seconds_with_a_fraction() {
        assert_eq!(written(seconds(60_000)), "60.0");
        assert_eq!(written(seconds(1)), "0.001");
        assert_eq!(written(crate::clock::Moment(1_795_270_088_123).unix_s()), "1795270088.123");
    }
}
