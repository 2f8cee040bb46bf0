//! Bytes that come back: as many as a frame with one call has.

use super::{Talk, Then};
use crate::measure::Tally;
use std::collections::VecDeque;
use std::time::Instant;

/// The bytes of one message.
const MESSAGE: [u8; 120] = [b'x'; 120];

/// Sends messages of one length and waits until as many bytes have come back.
pub struct Echo {
    depth: usize,
    begun: VecDeque<Instant>,
}

impl Echo {
    /// So many in flight.
    pub fn new(depth: usize) -> Echo {
        Echo { depth, begun: VecDeque::new() }
    }

    fn begin(&mut self, say: &mut Vec<u8>) {
        say.extend_from_slice(&MESSAGE);
        self.begun.push_back(Instant::now());
    }
}

impl Talk for Echo {
    fn open(&mut self, say: &mut Vec<u8>) {
        (0..self.depth).for_each(|_| self.begin(say));
    }

    fn hear(&mut self, heard: &[u8], say: &mut Vec<u8>, tally: &mut Tally) -> Result<(usize, Then), String> {
        let whole = heard.len() / MESSAGE.len();
        for _ in 0..whole {
            tally.done(self.begun.pop_front().ok_or("more came back than was sent")?);
            if tally.goes_on() {
                self.begin(say);
            }
        }
        Ok((whole * MESSAGE.len(), if self.begun.is_empty() { Then::Rest } else { Then::Listen }))
    }
}
