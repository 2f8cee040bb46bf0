//! A transfer: memory of any length, moved in pieces whose answers come in any order.

use crate::spinnaker::exchange::{Flow, Wish};
use crate::spinnaker::scamp::Command;
use crate::spinnaker::scp::{self, DATA_BYTES_MAX, Unit};
use crate::spinnaker::sdp::Endpoint;

/// Where a piece lies, in bytes from the start of its transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Offset(u32);

/// Memory that is read or written.
#[derive(Debug)]
pub(super) struct Transfer {
    to: Endpoint,
    address: u32,
    length: u32,
    /// What has been asked for or sent so far.
    begun: u32,
    /// Pieces that are not answered yet.
    open: u32,
    way: Way,
}

/// Which way the bytes go.
#[derive(Debug)]
enum Way {
    /// To us: what came so far, with zeros where a piece is missing. It grows with what comes, never with what was promised.
    Read(Vec<u8>),
    /// To the board.
    Write(Vec<u8>),
}

impl Transfer {
    pub(super) fn reading(to: Endpoint, address: u32, length: u32) -> Transfer {
        Transfer { to, address, length, begun: 0, open: 0, way: Way::Read(Vec::new()) }
    }

    pub(super) fn writing(to: Endpoint, address: u32, data: Vec<u8>) -> Transfer {
        // Longer than the address space is no memory; the part that could be meant is written.
        let length = u32::try_from(data.len()).unwrap_or(u32::MAX);
        Transfer { to, address, length, begun: 0, open: 0, way: Way::Write(data) }
    }

    /// Hands the next piece to `push`, if there is one, and counts it unless that fails.
    pub(super) fn next<T, E>(
        &mut self,
        flow: Flow,
        push: impl FnOnce(Offset, &Wish<'_>) -> Result<T, E>,
    ) -> Option<Result<T, E>> {
        let offset = Offset(self.begun);
        let bytes = (self.length - self.begun).min(DATA_BYTES_MAX as u32);
        if bytes == 0 {
            return None;
        }
        let address = self.address.wrapping_add(self.begun);
        let unit = Unit::suiting(address, bytes);
        let start = self.begun as usize;
        let command = match &self.way {
            Way::Read(_) => Command::Read { address, length: bytes, unit },
            Way::Write(data) => {
                Command::Write { address, unit, data: data.get(start..start + bytes as usize)? }
            }
        };
        let pushed = push(offset, &Wish::scamp(self.to, &command).in_flow(flow));
        if pushed.is_ok() {
            self.begun += bytes;
            self.open += 1;
        }
        Some(pushed)
    }

    /// Takes the datagram that answers a piece. Bytes that nobody asked for are dropped.
    pub(super) fn take(&mut self, Offset(offset): Offset, datagram: &[u8]) {
        self.open = self.open.saturating_sub(1);
        let Way::Read(memory) = &mut self.way else { return };
        let bytes = (self.length - offset).min(DATA_BYTES_MAX as u32) as usize;
        let (start, end) = (offset as usize, offset as usize + bytes);
        if memory.len() < end {
            memory.resize(end, 0);
        }
        let body = datagram.get(scp::BODY_OFFSET..).unwrap_or_default();
        memory.iter_mut().skip(start).zip(body.iter().take(bytes)).for_each(|(place, byte)| *place = *byte);
    }

    /// Whether pieces are asked for and not answered.
    pub(super) fn is_open(&self) -> bool {
        self.open > 0
    }

    /// What it brought, once all is done.
    pub(super) fn finished(&mut self) -> Option<Vec<u8>> {
        if self.open > 0 || self.begun < self.length {
            return None;
        }
        Some(match &mut self.way {
            Way::Read(memory) => std::mem::take(memory),
            Way::Write(_) => Vec::new(),
        })
    }
}
