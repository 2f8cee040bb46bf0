//! A gRPC client reduced to its bytes: HTTP/2 frames made beforehand, so that the server is what is measured. Its headers are in the
//! server's table after the first call, as with a real client.

use super::{Talk, Then};
use crate::measure::Tally;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Instant;

/// The service that is called.
pub const SERVICE: &str = "limits.Notes";
const PATH: &str = "/limits.Notes/Echo";
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const HEADER_BYTES: usize = 9;
/// Streams are numbered in steps of two.
const STREAM_STEP: u32 = 2;
/// So many bytes the server may send us in all: more than a load makes it send.
const WINDOW_BYTES: u32 = 1 << 30;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
/// On settings and pings.
const ACK: u8 = 1;
/// On data and headers.
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// A call that has not ended.
struct Call {
    stream: u32,
    begun: Instant,
    /// Whether a message has come.
    answered: bool,
}

/// One connection with calls in flight.
pub struct Grpc {
    depth: usize,
    stream: u32,
    calls: VecDeque<Call>,
    /// With names and values that the server is to remember.
    first: Vec<u8>,
    /// By their places in the server's table.
    later: Vec<u8>,
    message: Vec<u8>,
}

impl Grpc {
    /// So many calls in flight.
    pub fn new(depth: usize, address: SocketAddr) -> Grpc {
        // POST and http have places of their own: 3 and 6.
        let mut first = vec![0x83, 0x86];
        push_remembered(4, PATH, &mut first);
        push_remembered(1, &address.to_string(), &mut first);
        first.push(0x40);
        push_text("te", &mut first);
        push_text("trailers", &mut first);
        push_remembered(31, "application/grpc", &mut first);
        // What is remembered is numbered from 62, the last one first.
        let later = vec![0x83, 0x86, 0x80 | 65, 0x80 | 64, 0x80 | 63, 0x80 | 62];
        Grpc { depth, stream: 1, calls: VecDeque::new(), first, later, message: message() }
    }

    fn begin(&mut self, say: &mut Vec<u8>) {
        let headers = if self.stream == 1 { &self.first } else { &self.later };
        push_frame(HEADERS, END_HEADERS, self.stream, headers, say);
        push_frame(DATA, END_STREAM, self.stream, &self.message, say);
        self.calls.push_back(Call { stream: self.stream, begun: Instant::now(), answered: false });
        self.stream += STREAM_STEP;
    }

    fn take(
        &mut self,
        kind: u8,
        flags: u8,
        stream: u32,
        payload: &[u8],
        say: &mut Vec<u8>,
        tally: &mut Tally,
    ) -> Result<(), String> {
        match kind {
            SETTINGS if flags & ACK == 0 => push_frame(SETTINGS, ACK, 0, &[], say),
            PING if flags & ACK == 0 => push_frame(PING, ACK, 0, payload, say),
            RST_STREAM | GOAWAY => return Err(format!("the server broke off: {kind} {payload:?}")),
            DATA | HEADERS => {
                let place =
                    self.calls.iter().position(|call| call.stream == stream).ok_or("an answer to nothing")?;
                self.calls[place].answered |= kind == DATA && !payload.is_empty();
                if flags & END_STREAM != 0 {
                    let call = self
                        .calls
                        .remove(place)
                        .filter(|call| call.answered)
                        .ok_or("a call without a result")?;
                    tally.done(call.begun);
                    if tally.goes_on() {
                        self.begin(say);
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }
}

impl Talk for Grpc {
    fn open(&mut self, say: &mut Vec<u8>) {
        say.extend_from_slice(PREFACE);
        push_frame(SETTINGS, 0, 0, &[], say);
        push_frame(WINDOW_UPDATE, 0, 0, &WINDOW_BYTES.to_be_bytes(), say);
        (0..self.depth).for_each(|_| self.begin(say));
    }

    fn hear(&mut self, heard: &[u8], say: &mut Vec<u8>, tally: &mut Tally) -> Result<(usize, Then), String> {
        let mut taken = 0;
        while let Some((header, rest)) = heard[taken..].split_at_checked(HEADER_BYTES) {
            let length = u32::from_be_bytes([0, header[0], header[1], header[2]]) as usize;
            let Some(payload) = rest.get(..length) else { break };
            let stream = u32::from_be_bytes([header[5], header[6], header[7], header[8]]);
            self.take(header[3], header[4], stream, payload, say, tally)?;
            taken += HEADER_BYTES + length;
        }
        Ok((taken, if self.calls.is_empty() { Then::Rest } else { Then::Listen }))
    }
}

fn push_frame(kind: u8, flags: u8, stream: u32, payload: &[u8], say: &mut Vec<u8>) {
    say.extend_from_slice(&(payload.len() as u32).to_be_bytes()[1..]);
    say.extend_from_slice(&[kind, flags]);
    say.extend_from_slice(&stream.to_be_bytes());
    say.extend_from_slice(payload);
}

/// A header whose name has a place below 64, to be remembered with this value.
fn push_remembered(name: u8, value: &str, out: &mut Vec<u8>) {
    out.push(0x40 | name);
    push_text(value, out);
}

/// A text shorter than 127 bytes.
fn push_text(text: &str, out: &mut Vec<u8>) {
    out.push(text.len() as u8);
    out.extend_from_slice(text.as_bytes());
}

/// What is sent back: about what a call of the native door says.
fn message() -> Vec<u8> {
    let mut note = Vec::new();
    for (tag, text) in [(0x0a, "0123456789abcdef0123456789abcdef"), (0x12, "get_version")] {
        note.push(tag);
        push_text(text, &mut note);
    }
    let mut message = vec![0];
    message.extend_from_slice(&(note.len() as u32).to_be_bytes());
    message.extend_from_slice(&note);
    message
}
