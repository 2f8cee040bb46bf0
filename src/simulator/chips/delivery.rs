//! How a message finds its way: in through a plug, from chip to chip, to a core, and out through a tag.

use super::booted::Around;
use super::commands::{Act, Asked, Outcome};
use super::mesh::Place;
use super::{Chips, Dialect, Due, Out};
use crate::allocator::BoardIndex;
use crate::simulator::{Arrived, Leaving};
use crate::spinnaker::SCP_UDP_PORT;
use crate::spinnaker::exchange::At;
use crate::spinnaker::scamp::{CoreState, TagFlags};
use crate::spinnaker::scp::ResultCode;
use crate::spinnaker::sdp::{
    Chip, Core, DATA_BYTES_MAX, DATAGRAM_BYTES_MAX, Endpoint, Flags, HEADER_BYTES, Header, Message,
    PADDING_BYTES, Port, Tag,
};
use std::net::Ipv4Addr;

/// Milliseconds in which cores are counted.
const COUNT_MS: u64 = 10;

/// Milliseconds after which a chip gives up on one that does not answer.
const GIVE_UP_MS: u64 = 5;

/// The checksum flag, which does not outlive the journey.
const CHECKSUM: u8 = 0x40;

/// The flag of a message that stays on the chip it came to.
const NO_ROUTE: u8 = 0x20;

/// Bytes of the result and the sequence number.
const RESULT_BYTES: usize = 4;

/// The tag through which the echo core answers what came in through a reverse tag.
const ECHO_TAG: Tag = Tag(1);

/// A message on its way.
#[derive(Clone, Debug)]
pub struct Parcel {
    header: Header,
    data: Vec<u8>,
    sender: Option<Ipv4Addr>,
    is_echo: bool,
    is_reverse: bool,
}

impl Parcel {
    /// A message of a core.
    pub fn of(message: &Message<'_>) -> Parcel {
        let data = message.data.iter().copied().take(DATA_BYTES_MAX).collect();
        Parcel { header: message.header, data, sender: None, is_echo: false, is_reverse: false }
    }

    /// The answer to it: source and destination exchanged, and no answer to that; what follows the sequence number is new.
    fn answered(mut self, code: ResultCode, body: &[u8]) -> Option<Parcel> {
        let Header { flags, source, destination, .. } = self.header;
        self.data.resize(RESULT_BYTES, 0);
        self.data[..2].copy_from_slice(&code.0.to_le_bytes());
        self.data.extend_from_slice(body);
        self.header.flags = Flags(flags.0 & !0x80);
        (self.header.source, self.header.destination) = (destination, source);
        self.sender = None;
        flags.wants_reply().then_some(self)
    }
}

impl Chips {
    /// A datagram has come to a board that was booted.
    pub(super) fn receive(
        &mut self,
        now: At,
        id: u32,
        board: BoardIndex,
        arrived: &Arrived<'_>,
        out: &mut Out,
    ) {
        let (place, silence_ms) = (Place::ethernet(board), self.spec.boot_silence_ms);
        let Some((booted, mut around)) = self.at_work(now, id) else { return };
        if now < booted.since.plus_ms(silence_ms) {
            return;
        }
        let here = numbers(booted.ready, booted.machine.chip(place));
        let Some(chip) = booted.chip(&mut around, place) else { return };
        chip.tags.expire(now);
        let parcel = if arrived.port == SCP_UDP_PORT {
            let Some(mut parcel) = unpack(arrived, here) else { return };
            if parcel.header.flags.wants_reply() {
                if parcel.header.tag == Tag::HOST {
                    let Some(tag) = chip.tags.for_reply(now, arrived.from) else { return };
                    parcel.header.tag = Tag(tag);
                }
                if chip.tags.set_tag(parcel.header.tag.0).is_none() {
                    return;
                }
            }
            parcel
        } else {
            if arrived.bytes.len() > DATA_BYTES_MAX {
                return;
            }
            let Some((tag, target)) = chip.tags.receive(arrived.port, arrived.from) else { return };
            let header = Header {
                flags: Flags::NO_REPLY,
                tag: Tag(tag),
                destination: target,
                source: Endpoint::host(here),
            };
            Parcel { header, data: arrived.bytes.to_vec(), sender: None, is_echo: false, is_reverse: true }
        };
        self.carry(now, id, place, parcel, out);
    }

    /// Takes a message on from a chip, until it is where it belongs; answers go the same way back.
    pub(super) fn carry(&mut self, now: At, id: u32, place: Place, parcel: Parcel, out: &mut Out) {
        let mut next = Some((place, parcel));
        while let Some((place, parcel)) = next {
            next = self.step(now, id, place, parcel, out);
        }
    }

    /// One step of a message: what goes on from where.
    fn step(
        &mut self,
        now: At,
        id: u32,
        place: Place,
        mut parcel: Parcel,
        out: &mut Out,
    ) -> Option<(Place, Parcel)> {
        let (booted, around) = self.at_work(now, id)?;
        if !booted.is_alive(place) {
            return None;
        }
        let here = numbers(booted.ready, booted.machine.chip(place));
        let root = numbers(booted.ready, Some(booted.machine.root));
        parcel.header.flags.0 &= !CHECKSUM;
        for end in [&mut parcel.header.destination, &mut parcel.header.source] {
            if end.chip == Chip::NEAREST {
                end.chip = root;
            }
        }
        let Header { destination, source, flags, .. } = parcel.header;
        if destination.chip != source.chip && destination.chip != here && flags.0 & NO_ROUTE == 0 {
            let known = booted.machine.place(destination.chip).filter(|_| booted.ready);
            let Some(there) = known else { return back(place, parcel, ResultCode::ROUTE) };
            if booted.reaches(around.mesh, here, destination.chip) {
                parcel.sender = None;
                return Some((there, parcel));
            }
            let answer = parcel.answered(ResultCode::P2P_NOREPLY, &[])?;
            self.later(now.plus_ms(GIVE_UP_MS), Due::Return(id, place, answer));
            return None;
        }
        if (destination.core, destination.port) == (Core::HOST, Port::HOST) {
            self.leave(now, id, place, &parcel, out);
            return None;
        }
        self.deliver(now, id, place, parcel)
    }

    /// A message has come to its chip.
    fn deliver(&mut self, now: At, id: u32, place: Place, parcel: Parcel) -> Option<(Place, Parcel)> {
        let (booted, mut around) = self.at_work(now, id)?;
        let Endpoint { core, port, .. } = parcel.header.destination;
        let cores = booted.chip(&mut around, place)?.core_count();
        if core.number() >= cores {
            return back(place, parcel, ResultCode::CPU);
        }
        if core != Core::MONITOR {
            return self.deliver_to_core(now, id, place, parcel);
        }
        if port != Port::SYSTEM {
            return back(place, parcel, ResultCode::PORT);
        }
        let outcome = self.ask(now, id, place, &parcel, |act, asked| act.ask_monitor(asked))?;
        let masked = self.spec.scamp.dialect == Dialect::Masked;
        let (code, body) = match outcome {
            Outcome::Done(body) => (ResultCode::OK, body),
            Outcome::Refused(_, body) if masked => (ResultCode::OK, body),
            Outcome::Refused(code, body) => (code, body),
            Outcome::Counting => {
                self.begin_count(now, id, place, parcel);
                return None;
            }
        };
        Some((place, parcel.answered(code, &body)?))
    }

    /// A message has come to a core that is not the monitor.
    fn deliver_to_core(
        &mut self,
        now: At,
        id: u32,
        place: Place,
        mut parcel: Parcel,
    ) -> Option<(Place, Parcel)> {
        let echo_core = self.spec.echo_core;
        let (booted, mut around) = self.at_work(now, id)?;
        let ethernet = booted.machine.chip(Place::ethernet(place.board));
        let chip = booted.chip(&mut around, place)?;
        let Endpoint { core, port, .. } = parcel.header.destination;
        let number = core.number();
        if let Some(messages) = chip.messages.get_mut(usize::from(number)) {
            *messages += 1;
        }
        // A core that is dead or has no power takes nothing from the mailbox.
        if chip.state(number) < CoreState(4) {
            return back(place, parcel, ResultCode::TIMEOUT);
        }
        if echo_core == Some(number) && !parcel.is_echo {
            if parcel.is_reverse {
                (parcel.header.tag, parcel.header.source.chip) = (ECHO_TAG, ethernet?);
            }
            let Header { source, destination, flags, .. } = parcel.header;
            (parcel.header.source, parcel.header.destination) = (destination, source);
            parcel.header.flags = Flags(flags.0 & !0x80);
            return Some((place, Parcel { is_echo: true, ..parcel }));
        }
        if port != Port::SYSTEM {
            return None;
        }
        let (code, body) =
            match self.ask(now, id, place, &parcel, |act, asked| act.ask_core(number, asked))? {
                Outcome::Done(body) => (ResultCode::OK, body),
                Outcome::Refused(code, body) => (code, body),
                Outcome::Counting => return None,
            };
        Some((place, parcel.answered(code, &body)?))
    }

    /// Asks something of a chip.
    fn ask(
        &mut self,
        now: At,
        id: u32,
        place: Place,
        parcel: &Parcel,
        what: impl FnOnce(&mut Act<'_, '_>, &Asked<'_>) -> Outcome,
    ) -> Option<Outcome> {
        let (booted, around): (_, Around<'_>) = self.at_work(now, id)?;
        let numbers = booted.machine.chip(place)?;
        let asked = Asked { bytes: &parcel.data, tag: parcel.header.tag.0, sender: parcel.sender };
        Some(what(&mut Act { booted, around, here: place, numbers }, &asked))
    }

    fn begin_count(&mut self, now: At, id: u32, place: Place, parcel: Parcel) {
        let kept = self.later(now.plus_ms(COUNT_MS), Due::Count(id, place, parcel));
        if !kept {
            self.stop_counting(now, id, place);
        }
    }

    fn stop_counting(&mut self, now: At, id: u32, place: Place) {
        if let Some((booted, mut around)) = self.at_work(now, id)
            && let Some(chip) = booted.chip(&mut around, place)
        {
            chip.counting = false;
        }
    }

    /// Cores have been counted. What did not answer in time is missing, and the code says so.
    pub(super) fn end_count(&mut self, now: At, id: u32, place: Place, parcel: Parcel, out: &mut Out) {
        self.stop_counting(now, id, place);
        let Some((booted, around)) = self.at_work(now, id) else { return };
        let Some(numbers) = booted.machine.chip(place) else { return };
        let asked = Asked { bytes: &parcel.data, tag: parcel.header.tag.0, sender: None };
        let [app, state, _] = asked.words();
        let (count, complete) = Act { booted, around, here: place, numbers }.count(app, state);
        let answer = if complete {
            let body = asked.counted(count);
            parcel.answered(ResultCode::OK, &body)
        } else {
            parcel.answered(ResultCode::P2P_NOREPLY, &count.to_le_bytes())
        };
        if let Some(answer) = answer {
            self.carry(now, id, place, answer, out);
        }
    }

    /// A message leaves through a tag of a chip that has a plug; without one it is lost.
    fn leave(&mut self, now: At, id: u32, place: Place, parcel: &Parcel, out: &mut Out) {
        let padding = self.padding();
        let Some((booted, mut around)) = self.at_work(now, id) else { return };
        let Some(chip) = booted.chip(&mut around, place).filter(|_| place.has_plug()) else { return };
        chip.tags.expire(now);
        let Some(tag) = chip.tags.leave(parcel.header.tag.0) else { return };
        let mut bytes = Vec::new();
        if tag.flags.has(TagFlags::STRIP) {
            bytes.extend_from_slice(&parcel.data);
        } else {
            Message { header: parcel.header, data: &parcel.data }.encode_datagram(padding, &mut bytes);
        }
        let port = if tag.flags.has(TagFlags::REVERSE) { tag.receive_port } else { SCP_UDP_PORT };
        if tag.host.port() != 0 && !tag.host.ip().is_unspecified() {
            out.push((place.board, Leaving { port, to: tag.host, bytes }));
        }
    }
}

/// A datagram as a message; the source is this chip, whatever it says.
fn unpack(arrived: &Arrived<'_>, here: Chip) -> Option<Parcel> {
    let bytes = arrived.bytes.len();
    if bytes > DATAGRAM_BYTES_MAX || bytes <= PADDING_BYTES + HEADER_BYTES {
        return None;
    }
    let message = Message::decode_datagram(arrived.bytes).ok()?;
    let mut parcel = Parcel::of(&message);
    parcel.header.source.chip = here;
    parcel.sender = Some(*arrived.from.ip());
    Some(parcel)
}

/// What a chip takes for its numbers; none but zeros until it knows its place.
fn numbers(ready: bool, chip: Option<Chip>) -> Chip {
    chip.filter(|_| ready).unwrap_or(Chip::ROOT)
}

/// An error goes back from a chip.
fn back(place: Place, parcel: Parcel, code: ResultCode) -> Option<(Place, Parcel)> {
    Some((place, parcel.answered(code, &[])?))
}
