//! The spalloc protocol: a job is created and destroyed.

use super::{Talk, Then};
use crate::measure::Tally;
use serde_json::Value;
use std::time::Instant;

const CREATE: &[u8] =
    b"{\"command\": \"create_job\", \"args\": [], \"kwargs\": {\"owner\": \"load\", \"keepalive\": null}}\n";

/// One client with a job at most.
#[derive(Default)]
pub struct Pairs {
    begun: Option<Instant>,
    created: bool,
}

impl Pairs {
    fn begin(&mut self, say: &mut Vec<u8>) {
        self.begun = Some(Instant::now());
        self.created = false;
        say.extend_from_slice(CREATE);
    }
}

impl Talk for Pairs {
    fn open(&mut self, say: &mut Vec<u8>) {
        self.begin(say);
    }

    fn hear(&mut self, heard: &[u8], say: &mut Vec<u8>, tally: &mut Tally) -> Result<(usize, Then), String> {
        let Some(end) = memchr::memchr(b'\n', heard) else { return Ok((0, Then::Listen)) };
        let line: Value = serde_json::from_slice(&heard[..end]).map_err(|error| error.to_string())?;
        let result = line.get("return").ok_or_else(|| format!("a refusal: {line}"))?;
        if !self.created {
            self.created = true;
            say.extend_from_slice(
                format!("{{\"command\": \"destroy_job\", \"args\": [{result}], \"kwargs\": {{}}}}\n")
                    .as_bytes(),
            );
            return Ok((end + 1, Then::Listen));
        }
        tally.done(self.begun.take().ok_or("an answer to nothing")?);
        if !tally.goes_on() {
            return Ok((end + 1, Then::Rest));
        }
        self.begin(say);
        Ok((end + 1, Then::Listen))
    }
}
