//! iCEFARM's control server by HTTP/1.1, as its client asks: every method is GET, arguments are JSON in the body.

use super::{Talk, Then};
use crate::load::Plan;
use crate::measure::Tally;
use memchr::memmem;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// What was asked last.
enum Asked {
    /// How many devices are free.
    Available,
    /// A device.
    Reserve,
    /// That this device is given back.
    End(String),
}

/// One client.
pub struct Http {
    asked: Asked,
    fresh: bool,
    pause: Duration,
    name: String,
    begun: Instant,
}

impl Http {
    /// Asks how many devices are free; each request on a connection of its own, or all on one.
    pub fn available(plan: &Plan) -> Http {
        Http { asked: Asked::Available, ..Http::pairs(plan, 0) }
    }

    /// Reserves a device and gives it back.
    pub fn pairs(plan: &Plan, at: usize) -> Http {
        let name = format!("load-{}-{at}", std::process::id());
        Http { asked: Asked::Reserve, fresh: plan.fresh, pause: plan.pause, name, begun: Instant::now() }
    }

    fn ask(&self, say: &mut Vec<u8>) {
        let args = json!({"flush_interval_seconds": 10, "flush_at_bitstreams_remaining": 25});
        let (path, body) = match &self.asked {
            Asked::Available => ("/available", json!({})),
            Asked::Reserve => {
                ("/reserve", json!({"amount": 1, "name": self.name, "kind": "pulsecount", "args": args}))
            }
            Asked::End(serial) => ("/end", json!({"name": self.name, "serials": [serial]})),
        };
        let (body, connection) = (body.to_string(), if self.fresh { "close" } else { "keep-alive" });
        let head = format!(
            "GET {path} HTTP/1.1\r\nHost: lab\r\nConnection: {connection}\r\nContent-Type: application/json\r\n"
        );
        say.extend_from_slice(format!("{head}Content-Length: {}\r\n\r\n{body}", body.len()).as_bytes());
    }

    /// Whether an operation has ended with this answer, and what is asked next.
    fn take(&mut self, status: &str, body: &[u8], tally: &mut Tally) -> Result<bool, String> {
        let wrong = || format!("{status} {}", String::from_utf8_lossy(body));
        let told: Value = serde_json::from_slice(body).unwrap_or_default();
        self.asked = match (&self.asked, status) {
            (Asked::Available, "200") if told["amount"].is_u64() => Asked::Available,
            (Asked::Reserve, "200") => {
                self.asked = Asked::End(told[0]["serial"].as_str().ok_or_else(wrong)?.to_owned());
                // Pauses are nobody's latency.
                self.begun += self.pause;
                return Ok(false);
            }
            (Asked::Reserve, "500") => {
                tally.refused();
                self.begun = Instant::now() + self.pause;
                return Ok(!tally.goes_on());
            }
            (Asked::End(serial), "200") if told[0] == **serial => Asked::Reserve,
            _ => return Err(wrong()),
        };
        tally.done(self.begun);
        self.begun = Instant::now() + self.pause;
        Ok(!tally.goes_on())
    }
}

impl Talk for Http {
    fn open(&mut self, say: &mut Vec<u8>) {
        self.begun = Instant::now();
        self.ask(say);
    }

    fn hear(&mut self, heard: &[u8], say: &mut Vec<u8>, tally: &mut Tally) -> Result<(usize, Then), String> {
        let Some(head_bytes) = memmem::find(heard, b"\r\n\r\n").map(|end| end + 4) else {
            return Ok((0, Then::Listen));
        };
        let head = std::str::from_utf8(&heard[..head_bytes])
            .map_err(|error| error.to_string())?
            .to_ascii_lowercase();
        let rest = &heard[head_bytes..];
        let whole = match value(&head, "transfer-encoding") {
            Some("chunked") => chunks(rest)?,
            _ => {
                let length: usize = value(&head, "content-length")
                    .and_then(|length| length.parse().ok())
                    .ok_or("an answer without a length")?;
                rest.get(..length).map(|body| (body.to_vec(), length))
            }
        };
        let Some((body, length)) = whole else { return Ok((0, Then::Listen)) };
        let status = head.split(' ').nth(1).unwrap_or_default();
        let closes = self.fresh || value(&head, "connection") == Some("close");
        if self.take(status, &body, tally)? {
            return Ok((head_bytes + length, Then::Rest));
        }
        self.ask(say);
        let then = match closes {
            true => Then::Anew,
            false if self.pause.is_zero() => Then::Listen,
            false => Then::Pause,
        };
        Ok((head_bytes + length, then))
    }
}

/// A body in chunks, and how many bytes it had with all that is around it; nothing while it is not whole.
fn chunks(mut rest: &[u8]) -> Result<Option<(Vec<u8>, usize)>, String> {
    let (all, mut body) = (rest.len(), Vec::new());
    while let Some(line) = memmem::find(rest, b"\r\n") {
        let told = std::str::from_utf8(&rest[..line]).map_err(|error| error.to_string())?;
        let size = usize::from_str_radix(told.split(';').next().unwrap_or_default().trim(), 16)
            .map_err(|error| error.to_string())?;
        let Some(chunk) = rest[line + 2..].get(..size + 2) else { break };
        body.extend_from_slice(&chunk[..size]);
        rest = &rest[line + 2 + size + 2..];
        if size == 0 {
            return Ok(Some((body, all - rest.len())));
        }
    }
    Ok(None)
}

fn value<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
}
