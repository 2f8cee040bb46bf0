//! The table of tags of one chip: eight that users set, eight for replies.
//!
//! The low bits of an entry's flags also hold its timeout, in ticks; from 256 ticks on it spills into the bits that mean
//! something, as it does in the firmware. Tags that have run out are noticed when the table is next looked at.

use crate::spinnaker::exchange::At;
use crate::spinnaker::scamp::{TagEntry, TagFlags, TagTable};
use crate::spinnaker::sdp::{Chip, Core, Endpoint, Port};
use std::net::{Ipv4Addr, SocketAddrV4};

/// Tags for users: 0 to 7.
pub const USER_TAGS: usize = 8;
/// All tags; from 8 on they are for replies.
pub const TAGS: usize = 16;
/// Milliseconds of a tick.
const TICK_MS: u64 = 10;
/// The setting of the timeout of tags for replies after a boot: 2.56 s.
const TRANSIENT_TIMEOUT: u8 = 9;

/// The bits of argument 1 that become flags, once shifted.
const FLAGS: u32 = 0x0F00;

/// One tag.
#[derive(Clone, Copy, Debug)]
pub struct Tag {
    /// To whom it leads out of the machine.
    pub host: SocketAddrV4,
    mac: [u8; 6],
    /// What it is.
    pub flags: TagFlags,
    expires: Option<At>,
    /// Messages that left through it.
    pub count: u32,
    /// At which UDP port it receives, if it is reverse.
    pub receive_port: u16,
    /// To whom it leads into the machine.
    pub target: Endpoint,
}

const NOBODY: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0);

/// A tag that was never set.
const NEVER_SET: Tag = Tag {
    host: NOBODY,
    mac: [0; 6],
    flags: TagFlags(0),
    expires: None,
    count: 0,
    receive_port: 0,
    target: Endpoint::system(Chip::ROOT, Core::MONITOR),
};

/// The table.
#[derive(Debug)]
pub struct Tags {
    tags: [Tag; TAGS],
    timeout: u8,
    mac: [u8; 6],
}

impl Tags {
    /// A table without tags, whose hosts all seem to have this network card.
    pub fn new(mac: [u8; 6]) -> Tags {
        Tags { tags: [NEVER_SET; TAGS], timeout: TRANSIENT_TIMEOUT, mac }
    }

    /// Forgets the tags that have run out.
    pub fn expire(&mut self, now: At) {
        for tag in &mut self.tags {
            if tag.expires.is_some_and(|expires| expires <= now) {
                (tag.flags, tag.expires) = (TagFlags(0), None);
            }
        }
    }

    /// A tag that is set.
    pub fn set_tag(&self, number: u8) -> Option<&Tag> {
        self.tags.get(usize::from(number)).filter(|tag| tag.flags != TagFlags(0))
    }

    /// The next free tag for replies.
    fn free(&self) -> Option<u8> {
        let free = self.tags.iter().skip(USER_TAGS).position(|tag| tag.flags == TagFlags(0));
        free.map(|at| (USER_TAGS + at) as u8)
    }

    /// Makes a tag for one reply; `None` if all are in use.
    pub fn for_reply(&mut self, now: At, host: SocketAddrV4) -> Option<u8> {
        let number = self.free()?;
        let flags = TagFlags::VALID.0 | TagFlags::TRANSIENT.0 | u16::from(self.timeout);
        let expires = expires(now, self.timeout);
        self.tags[usize::from(number)] =
            Tag { host, mac: self.mac, flags: TagFlags(flags), expires, ..NEVER_SET };
        Some(number)
    }

    /// Operations 0 and 1. `asked_through` is the tag of the request itself, `sender` where it came from, if it came to this
    /// chip. The number of the tag, or 255.
    pub fn set(&mut self, now: At, words: [u32; 3], asked_through: u8, sender: Option<Ipv4Addr>) -> u32 {
        let [first, second, third] = words;
        let number = if first >> 16 & 0xFF == 0 { self.free() } else { Some(first as u8) };
        let Some(number) = number else { return 255 };
        let setting = (first >> 24 & 0xF) as u8;
        let timeout = if setting == 0 { 0 } else { 1u16 << (setting - 1) };
        let flags = TagFlags((first >> 20 & FLAGS) as u16 | timeout);
        let asker = self.tags.get(usize::from(asked_through)).copied().unwrap_or(NEVER_SET);
        let (reverse, use_sender) = (flags.has(TagFlags::REVERSE), flags.has(TagFlags::USE_SENDER));
        let address = match third {
            0 if reverse => Ipv4Addr::UNSPECIFIED,
            0 if use_sender => *asker.host.ip(),
            0 => sender.unwrap_or(Ipv4Addr::UNSPECIFIED),
            _ => Ipv4Addr::from(third.to_le_bytes()),
        };
        let port = if reverse {
            0
        } else if use_sender {
            asker.host.port()
        } else {
            second as u16
        };
        if let Some(tag) = self.tags.get_mut(usize::from(number)) {
            *tag = Tag {
                host: SocketAddrV4::new(address, port),
                mac: if reverse { [0; 6] } else { self.mac },
                flags: TagFlags(flags.0 | TagFlags::VALID.0),
                expires: expires(now, setting),
                count: 0,
                receive_port: if reverse { second as u16 } else { 0 },
                target: target(first, second),
            };
        }
        number.into()
    }

    /// Operation 3.
    pub fn clear(&mut self, number: u8) {
        if let Some(tag) = self.tags.get_mut(usize::from(number)) {
            (tag.flags, tag.expires) = (TagFlags(0), None);
        }
    }

    /// Operation 4: says the sizes, and takes a new timeout for replies if it is one.
    pub fn sizes(&mut self, setting: u32) -> TagTable {
        let table = TagTable { transient_timeout: self.timeout, entry_bytes: 32, pool: 8, fixed: 8 };
        self.timeout = u8::try_from(setting).ok().filter(|setting| *setting < 16).unwrap_or(self.timeout);
        table
    }

    /// Entries as they lie in memory; those past the last are zero.
    pub fn entries(&self, now: At, first: u8, count: u32, out: &mut Vec<u8>) {
        let tags = self.tags.iter().copied().chain(std::iter::repeat(NEVER_SET));
        for tag in tags.skip(first.into()).take(count as usize) {
            let left_ms = tag.expires.map_or(0, |expires| expires.0.saturating_sub(now.0));
            let entry = TagEntry {
                address: *tag.host.ip(),
                mac: tag.mac,
                udp_port: tag.host.port(),
                timeout_ticks: left_ms.div_ceil(TICK_MS).try_into().unwrap_or(u16::MAX),
                flags: tag.flags,
                count: tag.count,
                receive_udp_port: tag.receive_port,
                target: tag.target,
                unused: [0; 7],
            };
            entry.encode(out);
        }
    }

    /// A message leaves: to whom, from which port, and whether stripped. A tag for a reply is free again.
    pub fn leave(&mut self, number: u8) -> Option<Tag> {
        let tag = self.tags.get_mut(usize::from(number)).filter(|tag| tag.flags.has(TagFlags::VALID))?;
        let used = *tag;
        if tag.flags.has(TagFlags::TRANSIENT) {
            (tag.flags, tag.expires) = (TagFlags(0), None);
        } else {
            tag.count = tag.count.wrapping_add(1);
        }
        Some(used)
    }

    /// A datagram has come to a port: the tag that receives there, which leads to its sender from now on.
    pub fn receive(&mut self, port: u16, from: SocketAddrV4) -> Option<(u8, Endpoint)> {
        let mac = self.mac;
        let receives = |(_, tag): &(u8, &mut Tag)| tag.flags != TagFlags(0) && tag.receive_port == port;
        let (number, tag) = (0..).zip(self.tags.iter_mut().take(USER_TAGS)).find(receives)?;
        (tag.host, tag.mac) = (from, mac);
        Some((number, tag.target))
    }

    /// The ports at which reverse tags receive.
    pub fn ports(&self) -> impl Iterator<Item = u16> + '_ {
        let set = self.tags.iter().take(USER_TAGS).filter(|tag| tag.flags != TagFlags(0));
        set.map(|tag| tag.receive_port).filter(|port| *port != 0)
    }
}

/// When a tag with this setting runs out.
fn expires(now: At, setting: u8) -> Option<At> {
    (setting > 0).then(|| now.plus_ms(TICK_MS << (setting - 1)))
}

/// To whom a tag leads: port and core in argument 1, x and y in argument 2.
fn target(first: u32, second: u32) -> Endpoint {
    Endpoint {
        chip: Chip { x: (second >> 24) as u8, y: (second >> 16) as u8 },
        core: Core::new((first >> 8 & 0x1F) as u8).unwrap_or_default(),
        port: Port::new((first >> 13 & 7) as u8).unwrap_or_default(),
    }
}
