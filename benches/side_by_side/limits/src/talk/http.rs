//! iCEFARM's control server by HTTP/1.1, as its client asks: every method is GET, arguments are JSON in the body.

use super::{Talk, Then};
use crate::measure::Tally;
use memchr::memmem;
use serde_json::{Value, json};
use std::time::Instant;

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
    name: String,
    begun: Instant,
}

impl Http {
    /// Asks how many devices are free; each request on a connection of its own, or all on one.
    pub fn available(fresh: bool) -> Http {
        Http { asked: Asked::Available, fresh, name: String::new(), begun: Instant::now() }
    }

    /// Reserves a device and gives it back.
    pub fn pairs(fresh: bool, at: usize) -> Http {
        Http {
            asked: Asked::Reserve,
            fresh,
            name: format!("load-{}-{at}", std::process::id()),
            begun: Instant::now(),
        }
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
                return Ok(false);
            }
            (Asked::Reserve, "500") => {
                tally.refused();
                self.begun = Instant::now();
                return Ok(!tally.goes_on());
            }
            (Asked::End(serial), "200") if told[0] == **serial => Asked::Reserve,
            _ => return Err(wrong()),
        };
        tally.done(self.begun);
        self.begun = Instant::now();
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
        let length = value(&head, "content-length")
            .and_then(|length| length.parse().ok())
            .ok_or("an answer without a length")?;
        let Some(body) = heard[head_bytes..].get(..length) else { return Ok((0, Then::Listen)) };
        let status = head.split(' ').nth(1).unwrap_or_default();
        let closes = self.fresh || value(&head, "connection") == Some("close");
        if self.take(status, body, tally)? {
            return Ok((head_bytes + length, Then::Rest));
        }
        self.ask(say);
        Ok((head_bytes + length, if closes { Then::Anew } else { Then::Listen }))
    }
}

fn value<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
}
