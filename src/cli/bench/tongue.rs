//! The two tongues a load can speak: frames of the native door, or lines of the spalloc door, as real clients of each do.
//!
//! At the spalloc door a call is a line and its answer another; there are neither lists of calls nor sessions, so that
//! a message has one call, and nobody logs in.

use super::mix::{Mix, Step};
use crate::client::Request;
use crate::wire::{Body, FrameLimits, Unframer};
use memchr::memchr;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use std::ops::Deref;

/// An answer of the spalloc door has at most so many bytes.
const LINE_BYTES_MAX: usize = 64 << 20;

/// Which tongue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tongue {
    /// Frames.
    Native,
    /// Lines.
    Spalloc,
}

impl Tongue {
    /// Why a mix cannot be spoken, if it cannot.
    pub fn lacks(self, mix: &Mix) -> Option<&'static str> {
        let spoken = |step: &Step| self == Tongue::Native || command(*step).is_some();
        let missing = mix.parts.iter().flat_map(|part| part.work.steps).find(|step| !spoken(step));
        missing.map(|step| step.name())
    }
}

/// What a step is called at the spalloc door.
fn command(step: Step) -> Option<&'static str> {
    match step {
        Step::Call { fname: "get_version" } => Some("version"),
        Step::Call { fname: name @ ("list_jobs" | "list_machines") } => Some(name),
        Step::Create => Some("create_job"),
        Step::CallOn { fname: name @ "destroy_job", .. } => Some(name),
        _ => None,
    }
}

/// A step as a line, cut in two where an earlier result belongs.
pub fn line(step: Step, job: &Request) -> (Vec<u8>, Vec<u8>) {
    let name = command(step).unwrap_or_default();
    let (args, kwargs) = match step {
        Step::Create => create(job),
        _ => (Vec::new(), Map::new()),
    };
    let text = json!({"command": name, "args": args, "kwargs": kwargs}).to_string();
    match step {
        Step::CallOn { .. } => {
            let (head, tail) = text.split_once("[]").unwrap_or((&text, ""));
            (format!("{head}[").into_bytes(), format!("]{tail}\n").into_bytes())
        }
        _ => (format!("{text}\n").into_bytes(), Vec::new()),
    }
}

/// The arguments of `create_job` here: sizes by their place, the rest by name, and an owner, without whom there is no job.
fn create(job: &Request) -> (Vec<Value>, Map<String, Value>) {
    let (mut args, mut kwargs) = (Vec::new(), Map::new());
    kwargs.insert("owner".to_owned(), "berth bench".into());
    for (name, value) in &job.args {
        match name.as_str() {
            "boards" | "width" | "height" | "x" | "y" | "z" => args.push(value.clone()),
            "note" => {}
            _ => drop(kwargs.insert(name.clone(), value.clone())),
        }
    }
    (args, kwargs)
}

/// What a server says to a line.
#[derive(Deserialize)]
pub struct Said<'a> {
    /// The result.
    #[serde(borrow, default, rename = "return", deserialize_with = "present")]
    pub result: Option<&'a RawValue>,
    /// Why there is none.
    pub exception: Option<String>,
}

/// A value that is there, null too.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

/// The text of an answer.
pub enum Text {
    /// Out of a frame.
    Framed(Body),
    /// A line.
    Line(Vec<u8>),
}

impl Deref for Text {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Text::Framed(body) => body,
            Text::Line(line) => line,
        }
    }
}

/// Cuts what comes into answers.
pub enum Ear {
    /// Frames.
    Native(Box<Unframer>),
    /// Lines; the beginning of one that has not ended.
    Spalloc(Vec<u8>),
}

impl Ear {
    /// An ear for a tongue.
    pub fn of(tongue: Tongue) -> Ear {
        match tongue {
            Tongue::Native => Ear::Native(Box::new(Unframer::new(FrameLimits::default()))),
            Tongue::Spalloc => Ear::Spalloc(Vec::new()),
        }
    }

    /// Takes bytes: how many were used, and the answer they completed, or what is wrong with it.
    pub fn feed(&mut self, input: &[u8]) -> (usize, Option<Result<Text, String>>) {
        match self {
            Ear::Native(unframer) => {
                let (used, frame) = unframer.feed(input);
                (used, frame.map(|frame| frame.map(Text::Framed).map_err(|error| error.to_string())))
            }
            Ear::Spalloc(begun) => {
                let end = memchr(b'\n', input);
                let used = end.map_or(input.len(), |end| end + 1);
                begun.extend_from_slice(&input[..end.unwrap_or(used)]);
                match end {
                    Some(_) => (used, Some(Ok(Text::Line(std::mem::take(begun))))),
                    None if begun.len() > LINE_BYTES_MAX => {
                        (used, Some(Err("a line without end".to_owned())))
                    }
                    None => (used, None),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_lines() {
        let job = Request::new("create_job").with("boards", 2).with("keepalive", 9).with("note", "n");
        let text = |step| {
            let (head, tail) = line(step, &job);
            let whole = [head, b"7".to_vec(), tail].concat();
            let whole = String::from_utf8(whole).unwrap();
            assert!(whole.ends_with('\n') || whole.ends_with("\n7"), "{whole}");
            whole.replace("\n7", "").trim_end().to_owned()
        };
        let read = |step| serde_json::from_str::<Value>(&text(step)).unwrap();
        let version = json!({"command": "version", "args": [], "kwargs": {}});
        assert_eq!(read(Step::Call { fname: "get_version" }), version);
        let create =
            json!({"command": "create_job", "args": [2], "kwargs": {"owner": "berth bench", "keepalive": 9}});
        assert_eq!(read(Step::Create), create);
        let destroy = json!({"command": "destroy_job", "args": [7], "kwargs": {}});
        assert_eq!(read(Step::CallOn { fname: "destroy_job", arg: "job_id" }), destroy);
    }

    #[test]
    fn null_is_a_result() {
        let read = |text| serde_json::from_str::<Said<'_>>(text).map(|said| said.result.is_some()).unwrap();
        assert!(read(r#"{"return": null}"#));
        assert!(!read(r#"{"exception": "no such job"}"#));
    }

    #[test]
    fn answers_are_cut_at_line_ends() {
        let mut ear = Ear::of(Tongue::Spalloc);
        assert!(ear.feed(b"{\"ret").1.is_none());
        let (used, said) = ear.feed(b"urn\": 1}\n{");
        assert_eq!((used, &*said.unwrap().unwrap()), (9, &b"{\"return\": 1}"[..]));
        assert_eq!(ear.feed(b"{}\n").1.unwrap().unwrap().len(), 2);
    }

    #[test]
    fn nobody_logs_in_at_the_spalloc_door() {
        let lacks = |tongue: Tongue, mix| tongue.lacks(Mix::named(mix).unwrap());
        assert_eq!(lacks(Tongue::Spalloc, "pairs"), None);
        assert_eq!(lacks(Tongue::Spalloc, "login"), Some("handshake"));
        assert_eq!(lacks(Tongue::Native, "mixed"), None);
    }
}
