//! The table of tags of a BMP: through 0 to 7 messages leave by arrangement, through 8 to 15 replies do.

use super::board::Answer;
use crate::spinnaker::exchange::At;
use crate::spinnaker::scamp::{TagFlags, TagTable};
use crate::spinnaker::scp::{DATA_BYTES_MAX, ResultCode};
use std::net::{Ipv4Addr, SocketAddrV4};

/// Tags that users arrange.
const FIXED: u8 = 8;

/// Tags for replies.
const POOL: u8 = 8;

/// Bytes of an entry as a BMP says it.
const ENTRY_BYTES: usize = 24;

/// The setting of the timeout of tags for replies at first: 2.56 s.
const TRANSIENT_TIMEOUT: u8 = 9;

/// Milliseconds of a tick.
const TICK_MS: u64 = 10;

/// One tag.
#[derive(Clone, Copy, Debug)]
struct Entry {
    host: SocketAddrV4,
    flags: TagFlags,
    timeout_ticks: u16,
    /// When it is forgotten.
    ends: Option<At>,
    count: u32,
    receive_udp_port: u16,
    /// Where a reverse tag leads: y, x.
    chip: [u8; 2],
}

impl Entry {
    const UNUSED: Entry = Entry {
        host: SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0),
        flags: TagFlags(0),
        timeout_ticks: 0,
        ends: None,
        count: 0,
        receive_udp_port: 0,
        chip: [0; 2],
    };

    fn is_valid(&self) -> bool {
        self.flags.has(TagFlags::VALID)
    }

    fn leads_out(&self) -> bool {
        self.is_valid() && !self.host.ip().is_unspecified() && self.host.port() != 0
    }

    /// A hardware address made from the other: nobody is asked for it.
    fn mac(&self) -> [u8; 6] {
        let [a, b, c, d] = self.host.ip().octets();
        if self.host.ip().is_unspecified() { [0; 6] } else { [0x02, 0, a, b, c, d] }
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.extend(self.host.ip().octets());
        out.extend(self.mac());
        for number in [self.host.port(), self.timeout_ticks, self.flags.0] {
            out.extend(number.to_le_bytes());
        }
        out.extend(self.count.to_le_bytes());
        out.extend(self.receive_udp_port.to_le_bytes());
        out.extend(self.chip);
    }
}

/// All tags of a BMP.
#[derive(Debug)]
pub(super) struct Tags {
    entries: [Entry; (FIXED + POOL) as usize],
    transient_timeout: u8,
}

/// Ticks that a setting stands for; 0 is for ever.
fn ticks(setting: u8) -> u16 {
    match setting {
        0 => 0,
        n => 1 << (n - 1).min(15),
    }
}

fn end(now: At, ticks: u16) -> Option<At> {
    (ticks > 0).then(|| now.plus_ms(u64::from(ticks) * TICK_MS))
}

impl Tags {
    /// None in use.
    pub fn new() -> Tags {
        Tags { entries: [Entry::UNUSED; (FIXED + POOL) as usize], transient_timeout: TRANSIENT_TIMEOUT }
    }

    /// A tag for the reply to somebody, unless all are in use.
    pub fn lend(&mut self, now: At, host: SocketAddrV4) -> Option<u8> {
        let timeout_ticks = ticks(self.transient_timeout);
        let free =
            (FIXED..FIXED + POOL).find(|tag| !self.entry(*tag).is_some_and(|entry| entry.is_valid()))?;
        *self.entries.get_mut(usize::from(free))? = Entry {
            host,
            flags: TagFlags(TagFlags::VALID.0 | TagFlags::TRANSIENT.0),
            timeout_ticks,
            ends: end(now, timeout_ticks),
            ..Entry::UNUSED
        };
        Some(free)
    }

    /// The tag for a reply is free again, unless it was given to somebody else meanwhile.
    pub fn take_back(&mut self, tag: u8, ends: Option<At>) {
        if let Some(entry) = self.entries.get_mut(usize::from(tag)).filter(|entry| entry.ends == ends) {
            entry.flags = TagFlags(0);
        }
    }

    /// When a tag ends by itself.
    pub fn ends(&self, tag: u8) -> Option<At> {
        self.entry(tag).and_then(|entry| entry.ends)
    }

    /// To whom a message leaves through a tag, if it leads to anybody, and whether without its header. It is counted, and the
    /// time starts anew.
    pub fn leave(&mut self, now: At, tag: u8) -> Option<(SocketAddrV4, bool)> {
        let entry = self.entries.get_mut(usize::from(tag)).filter(|entry| entry.leads_out())?;
        entry.count = entry.count.wrapping_add(1);
        entry.ends = end(now, entry.timeout_ticks);
        Some((entry.host, entry.flags.has(TagFlags::STRIP)))
    }

    /// When the next tag ends by itself.
    pub fn wake_at(&self) -> Option<At> {
        self.entries.iter().filter(|entry| entry.is_valid()).filter_map(|entry| entry.ends).min()
    }

    /// Forgets the tags whose time is over.
    pub fn wake(&mut self, now: At) {
        for entry in self.entries.iter_mut().filter(|entry| entry.ends.is_some_and(|ends| ends <= now)) {
            entry.flags = TagFlags(0);
        }
    }

    fn entry(&self, tag: u8) -> Option<&Entry> {
        self.entries.get(usize::from(tag))
    }

    /// The command for tags.
    pub fn obey(&mut self, now: At, [first, second, third]: [u32; 3], from: SocketAddrV4) -> Answer {
        let tag = first as u8;
        let known = || (tag < FIXED + POOL).then_some(tag).ok_or(ResultCode::ARG);
        match first >> 16 & 0xF {
            0 => {
                let free = (0..FIXED).find(|tag| !self.entry(*tag).is_some_and(Entry::is_valid));
                self.set(now, free.ok_or(ResultCode::BUF)?, [first, second, third], from)
            }
            1 => self.set(now, known()?, [first, second, third], from),
            2 => self.entries_from(known()?, second),
            3 => self.clear(known()?),
            4 => Ok(self.time_out(second)),
            _ => Err(ResultCode::ARG.into()),
        }
    }

    fn set(&mut self, now: At, tag: u8, arguments: [u32; 3], from: SocketAddrV4) -> Answer {
        let place = self.entries.get_mut(usize::from(tag)).ok_or(ResultCode::ARG)?;
        *place =
            if arguments[0] & REVERSE == 0 { outwards(now, arguments, from) } else { inwards(arguments) };
        Ok(u32::from(tag).to_le_bytes().to_vec())
    }

    /// As many as fit into a reply, and are there.
    fn entries_from(&self, tag: u8, count: u32) -> Answer {
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        let asked = self.entries.get(usize::from(tag)..).and_then(|entries| entries.get(..count));
        let asked = asked.filter(|entries| entries.len() * ENTRY_BYTES <= DATA_BYTES_MAX);
        let mut body = Vec::new();
        asked.ok_or(ResultCode::ARG)?.iter().for_each(|entry| entry.encode(&mut body));
        Ok(body)
    }

    fn clear(&mut self, tag: u8) -> Answer {
        if let Some(entry) = self.entries.get_mut(usize::from(tag)) {
            entry.flags = TagFlags(0);
        }
        Ok(Vec::new())
    }

    /// Says the setting, and changes it then.
    fn time_out(&mut self, setting: u32) -> Vec<u8> {
        let transient_timeout = self.transient_timeout;
        if let Some(setting) = u8::try_from(setting).ok().filter(|setting| *setting < 16) {
            self.transient_timeout = setting;
        }
        let mut body = Vec::new();
        TagTable { transient_timeout, entry_bytes: 0, pool: POOL, fixed: FIXED }.encode(&mut body);
        body
    }
}

/// In the first argument: leave the SDP header off.
const STRIP: u32 = 1 << 28;

/// In the first argument: it leads into the machine.
const REVERSE: u32 = 1 << 29;

/// In the first argument: it leads to whoever asks.
const USE_SENDER: u32 = 1 << 30;

/// A tag through which messages leave for a host.
fn outwards(now: At, [first, second, third]: [u32; 3], from: SocketAddrV4) -> Entry {
    let said = Ipv4Addr::from(third.to_le_bytes());
    let address = if said.is_unspecified() { *from.ip() } else { said };
    let use_sender = first & USE_SENDER != 0;
    let timeout_ticks = ticks((second >> 16 & 0xF) as u8);
    let flag = |bit, flag: TagFlags| if first & bit != 0 { flag.0 } else { 0 };
    Entry {
        host: if use_sender { from } else { SocketAddrV4::new(address, second as u16) },
        flags: TagFlags(
            TagFlags::VALID.0 | flag(STRIP, TagFlags::STRIP) | flag(USE_SENDER, TagFlags::USE_SENDER),
        ),
        timeout_ticks,
        ends: end(now, timeout_ticks),
        ..Entry::UNUSED
    }
}

/// A tag through which messages would come in. A BMP has no cores that could hear them.
fn inwards([first, second, _]: [u32; 3]) -> Entry {
    let strip = if first & STRIP != 0 { TagFlags::STRIP.0 } else { 0 };
    let [low, high, y, x] = second.to_le_bytes();
    Entry {
        flags: TagFlags(TagFlags::VALID.0 | TagFlags::REVERSE.0 | strip),
        receive_udp_port: u16::from_le_bytes([low, high]),
        chip: [y, x],
        ..Entry::UNUSED
    }
}
