//! The way of a datagram from the plug to a board, and of the reply back.

use super::Frame;
use super::board::{Answer, Asked};
use super::event::FrameEvent;
use crate::simulator::{Arrived, Leaving};
use crate::spinnaker::SCP_UDP_PORT;
use crate::spinnaker::bmp::Board;
use crate::spinnaker::exchange::At;
use crate::spinnaker::scp::{CommandCode, Reply, Request, ResultCode, Sequence};
use crate::spinnaker::sdp::{
    self, Chip, Core, Endpoint, Flags, HEADER_BYTES, Header, PADDING_BYTES, Port, Tag,
};
use std::net::SocketAddrV4;

/// Buffers for messages, also for the one that is being answered. A datagram beyond that is dropped.
pub const BUFFERS: usize = 8;

/// The longest datagram that has no answer at all.
const IGNORED_BYTES_MAX: usize = 10;

/// Flags that a reply has not: an answer is wanted; there is a checksum.
const FLAGS_CLEARED: u8 = 0xC0;

/// Where the command starts, and behind it the sequence number.
const COMMAND_OFFSET: usize = PADDING_BYTES + HEADER_BYTES;

/// Where the arguments start.
const ARGUMENTS_OFFSET: usize = COMMAND_OFFSET + 4;

/// How the reply to a message leaves.
#[derive(Clone, Copy, Debug)]
enum Way {
    /// None is wanted.
    Nowhere,
    /// Through a tag lent for it; and when that ends.
    Lent(u8, Option<At>),
    /// Through a tag that the request names.
    Named(u8),
}

/// A message in a buffer.
#[derive(Debug)]
pub(super) struct Held {
    bytes: Vec<u8>,
    from: SocketAddrV4,
    header: Header,
    way: Way,
}

/// What came of a request, and when the reply may leave.
#[derive(Debug)]
pub(super) struct Done {
    /// The reply.
    pub answer: Answer,
    /// When it leaves.
    pub until: At,
}

impl Done {
    /// Nothing to wait for.
    pub fn at_once(at: At, answer: Answer) -> Done {
        Done { answer, until: at }
    }
}

impl Held {
    fn sequence(&self) -> Sequence {
        let byte = |offset: usize| self.bytes.get(COMMAND_OFFSET + offset).copied().unwrap_or(0);
        Sequence(u16::from_le_bytes([byte(2), byte(3)]))
    }
}

/// Numbers that look like what is left on a stack; the same seed gives the same.
#[derive(Debug)]
pub(super) struct Rubbish(u64);

impl Rubbish {
    /// From a seed.
    pub fn new(seed: u64) -> Rubbish {
        Rubbish(seed)
    }

    /// The next two bytes.
    fn padding(&mut self) -> [u8; PADDING_BYTES] {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let [.., low, high] = self.0.to_le_bytes();
        [low, high]
    }
}

impl Frame {
    /// Puts a datagram into a buffer, if it is one, and there is a buffer and a tag for it.
    pub(super) fn admit(&mut self, now: At, arrived: &Arrived<'_>) -> Option<Held> {
        let length = IGNORED_BYTES_MAX + 1..=sdp::DATAGRAM_BYTES_MAX;
        if arrived.port != SCP_UDP_PORT || !length.contains(&arrived.bytes.len()) || self.pending() >= BUFFERS
        {
            return None;
        }
        let header = sdp::Message::decode_datagram(arrived.bytes).ok()?.header;
        let way = match (header.flags.wants_reply(), header.tag) {
            (false, _) => Way::Nowhere,
            (true, Tag::HOST) => {
                let tags = &mut self.boards.get_mut(&self.spec.ethernet_board)?.tags;
                let tag = tags.lend(now, arrived.from)?;
                Way::Lent(tag, tags.ends(tag))
            }
            (true, Tag(tag)) => Way::Named(tag),
        };
        Some(Held { bytes: arrived.bytes.to_vec(), from: arrived.from, header, way })
    }

    /// How many messages are in buffers.
    pub(super) fn pending(&self) -> usize {
        self.waiting.len() + usize::from(self.running.is_some())
    }

    /// Answers messages, one after the other, until one takes time.
    pub(super) fn work(&mut self, at: At, out: &mut Vec<Leaving>) {
        while self.running.is_none()
            && let Some(held) = self.waiting.pop_front()
        {
            let done = self.act(at, &held);
            match done.until > at {
                true => self.running = Some((held, done)),
                false => self.reply(at, &held, &done.answer, out),
            }
        }
    }

    /// Does what a message asks for.
    fn act(&mut self, at: At, held: &Held) -> Done {
        let board = match self.addressee(at, held) {
            Ok(board) => board,
            Err(result) => return Done::at_once(at, Err(result.into())),
        };
        let Ok(request) = Request::decode(&held.bytes) else {
            return Done::at_once(at, Err(ResultCode::LEN.into()));
        };
        let asked = Asked {
            command: request.call.command,
            arguments: request.call.arguments.padded(),
            over: held.bytes.get(ARGUMENTS_OFFSET..).unwrap_or_default(),
            data: request.call.data,
            from: held.from,
            at,
        };
        self.events.push(FrameEvent::Asked { board, command: asked.command, at });
        match asked.command {
            CommandCode::BMP_POWER => self.power(board, &asked),
            CommandCode::RESET => self.reset(board, &asked),
            _ => Done::at_once(at, self.obey(board, &asked)),
        }
    }

    fn obey(&mut self, board: Board, asked: &Asked<'_>) -> Answer {
        let state = self.boards.get_mut(&board).ok_or(ResultCode::ROUTE)?;
        state.obey(asked, &self.spec, &mut self.events)
    }

    /// The board that a message is for, if it can be brought there.
    fn addressee(&mut self, at: At, held: &Held) -> Result<Board, ResultCode> {
        if Request::decode(&held.bytes).is_err() {
            return Err(ResultCode::LEN);
        }
        let Endpoint { core, port, .. } = held.header.destination;
        if port != Port::SYSTEM {
            return Err(ResultCode::PORT);
        }
        if let Some(left) = self.faults.busy.checked_sub(1) {
            self.faults.busy = left;
            return Err(ResultCode::P2P_BUSY);
        }
        let board = Board::new(core.number()).ok_or(ResultCode::ROUTE)?;
        let state = self.boards.get(&board).ok_or(ResultCode::ROUTE)?;
        match self.faults.dead.get(&board) {
            Some(result) => Err(*result),
            None if state.switches.is_busy(at) => Err(ResultCode::P2P_BUSY),
            None => Ok(board),
        }
    }

    /// Sends the reply to a message, if one is wanted, and frees its tag.
    pub(super) fn reply(&mut self, at: At, held: &Held, answer: &Answer, out: &mut Vec<Leaving>) {
        let plug = self.spec.ethernet_board;
        let Some(tags) = self.boards.get_mut(&plug).map(|state| &mut state.tags) else { return };
        let (tag, to, strip) = match held.way {
            Way::Nowhere => return,
            Way::Lent(tag, ends) => {
                tags.take_back(tag, ends);
                (tag, held.from, false)
            }
            Way::Named(tag) => match tags.leave(at, tag) {
                Some((to, strip)) => (tag, to, strip),
                None => return,
            },
        };
        if self.faults.offline {
            return;
        }
        let mut bytes = Vec::new();
        let padding = self.rubbish.padding();
        written(held, answer, self.reply_header(&held.header, tag)).encode(padding, &mut bytes);
        if strip {
            bytes.drain(..COMMAND_OFFSET);
        }
        out.push(Leaving { port: SCP_UDP_PORT, to, bytes });
    }

    /// Who answers whom: the request's source is overwritten before both are swapped.
    fn reply_header(&self, asked: &Header, tag: u8) -> Header {
        let plug = Core::new(self.spec.ethernet_board.number()).unwrap_or_default();
        let chip = Chip { x: 0, y: self.spec.frame };
        Header {
            flags: Flags(asked.flags.0 & !FLAGS_CLEARED),
            tag: Tag(tag),
            destination: Endpoint { chip, core: plug, port: Port::HOST },
            source: asked.destination,
        }
    }
}

fn written<'a>(held: &Held, answer: &'a Answer, header: Header) -> Reply<'a> {
    let (result, body) = match answer {
        Ok(body) => (ResultCode::OK, body),
        Err(refusal) => (refusal.result, &refusal.body),
    };
    Reply { header, result, sequence: held.sequence(), body }
}
