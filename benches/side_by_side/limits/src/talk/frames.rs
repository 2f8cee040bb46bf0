//! The native door as its clients of old speak: frames compressed at level 5, answers searched for their marker.

use super::{Talk, Then};
use crate::frame::{Inflater, MARKER, push_classic};
use crate::measure::Tally;
use memchr::memmem;
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::time::Instant;

/// One answer of so many is read to see that it is right.
const CHECK_EVERY: u64 = 1000;

/// Where a conversation stands.
enum Stage {
    /// The server speaks first.
    Greeting,
    /// It is asked to let us in.
    HandShake,
    /// Calls.
    Calls,
}

/// A client of the native door.
pub struct Frames {
    depth: usize,
    batch: usize,
    apart: bool,
    stage: Stage,
    request: Vec<u8>,
    begun: VecDeque<Instant>,
    count: u64,
}

impl Frames {
    /// So many messages in flight of so many calls each; with frame and marker in two writes, or in one.
    pub fn new(depth: usize, batch: usize, apart: bool) -> Frames {
        Frames {
            depth,
            batch,
            apart,
            stage: Stage::Greeting,
            request: Vec::new(),
            begun: VecDeque::new(),
            count: 0,
        }
    }

    fn begin(&mut self, say: &mut Vec<u8>) {
        say.extend_from_slice(&self.request);
        (0..self.batch).for_each(|_| self.begun.push_back(Instant::now()));
    }

    fn take(&mut self, frame: &[u8], say: &mut Vec<u8>, tally: &mut Tally) -> Result<(), String> {
        match self.stage {
            Stage::Greeting => {
                push(json!({"session": "", "name": "load", "data": {}}), say);
                self.stage = Stage::HandShake;
            }
            Stage::HandShake => {
                let answer = read(frame)?;
                if answer["data"] != "Authenticated" {
                    return Err(format!("not let in: {answer}"));
                }
                let calls = vec![json!({"fname": "get_version"}); self.batch];
                push(json!({"session": answer["session"], "name": "load", "data": calls}), &mut self.request);
                self.stage = Stage::Calls;
                (0..self.depth).for_each(|_| self.begin(say));
            }
            Stage::Calls => {
                if self.count.is_multiple_of(CHECK_EVERY) {
                    self.check(&read(frame)?)?;
                }
                self.count += 1;
                for _ in 0..self.batch {
                    tally.done(self.begun.pop_front().ok_or("more answers than calls")?);
                }
                if tally.goes_on() {
                    self.begin(say);
                }
            }
        }
        Ok(())
    }

    fn check(&self, answer: &Value) -> Result<(), String> {
        let entries = answer["data"].as_array();
        let right = |entries: &Vec<Value>| {
            entries.len() == self.batch && entries.iter().all(|entry| entry["data"]["core"].is_array())
        };
        if entries.is_some_and(right) { Ok(()) } else { Err(format!("a wrong answer: {answer}")) }
    }
}

impl Talk for Frames {
    fn open(&mut self, _: &mut Vec<u8>) {}

    fn hear(&mut self, heard: &[u8], say: &mut Vec<u8>, tally: &mut Tally) -> Result<(usize, Then), String> {
        let mut taken = 0;
        while let Some(end) = memmem::find(&heard[taken..], MARKER) {
            self.take(&heard[taken..taken + end], say, tally)?;
            taken += end + MARKER.len();
        }
        let over = matches!(self.stage, Stage::Calls) && self.begun.is_empty();
        Ok((taken, if over { Then::Rest } else { Then::Listen }))
    }

    fn piece(&self, say: &[u8]) -> usize {
        if self.apart && say.len() > MARKER.len() { say.len() - MARKER.len() } else { say.len() }
    }
}

fn push(message: Value, say: &mut Vec<u8>) {
    push_classic(message.to_string().as_bytes(), say);
}

fn read(frame: &[u8]) -> Result<Value, String> {
    let mut inflater = Inflater::new();
    let text = inflater.inflate(frame).ok_or("a damaged frame")?;
    serde_json::from_slice(text).map_err(|error| error.to_string())
}
