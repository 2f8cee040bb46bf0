//! The channels of one connection: opened, used, and read out as events.
//!
//! What comes through them waits in each channel until the connection has said all it had to say; then several datagrams go
//! out in one event. A peer that reads slowly delays only its own channels, which drop what is oldest.

use super::bell::Bell;
use super::channel::{Bounds, Channel, Sent, Taken, Terms};
use super::channels::{Seat, caller_of};
use super::conversation::{Form, framed};
use super::house::House;
use super::quick;
use crate::config::Limits;
use crate::error::{Code, Fault};
use crate::lab::Reach;
use crate::lab::fact::JobId;
use crate::lab::view::BoardAddress;
use crate::service::plan::{Came, ChannelUse};
use crate::service::{Asker, Outcome};
use crate::session::SessionId;
use crate::wire::answer::Envelope;
use crate::wire::base64;
use async_std::net::ToSocketAddrs;
use async_std::task;
use futures_util::future::{Either, select};
use serde::{Serialize, Serializer};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// So many bytes of datagrams go into one event; at least one does.
const EVENT_BYTES_MAX: usize = 64 * 1024;

/// A host that is not found so soon is not found.
const LOOKUP_MS: u64 = 5_000;

/// See above. All channels end with it.
pub struct Tunnel {
    house: Arc<House>,
    /// The number of the connection.
    connection: u64,
    bell: Arc<Bell>,
    inside: Mutex<Inside>,
}

/// The channels, by their numbers.
#[derive(Default)]
struct Inside {
    channels: BTreeMap<u64, Arc<Channel>>,
    /// The number that was given last.
    last: u64,
    /// How many are being opened.
    opening: usize,
    /// The channel that was read last, so that all have their turn.
    read_last: u64,
}

impl Tunnel {
    /// Without channels; the bell is rung when there is something to `push`.
    pub fn new(house: Arc<House>, connection: u64, bell: Arc<Bell>) -> Arc<Tunnel> {
        Arc::new(Tunnel { house, connection, bell, inside: Mutex::default() })
    }

    /// Opens a channel.
    pub async fn open(&self, asker: &Asker<'_>, job: JobId, board: BoardAddress, port: u16) -> Came {
        let config = self.house.config();
        let look = || self.house.counter.see(|lab| lab.reach(&asker.caller, job, &board));
        let reach = look().map_err(|refusal| refusal.fault())?;
        if !config.channel.ports.allow(port) {
            let msg =
                format!("port {port} of a board may not be reached; channel.ports names those that may");
            return Err(Fault::new(Code::PORT_REFUSED, msg));
        }
        let opening = self.begin(&config.limits)?;
        let seat = self.house.counter.channels.seat(config.limits.channels_max)?;
        let remote = self.address_of(&reach, port).await?;
        let bounds = Bounds {
            datagram_bytes_max: config.limits.datagram_bytes_max,
            waiting_max: config.limits.datagrams_waiting_max,
            rate_per_s: config.channel.rate_per_s,
        };
        let (session, user, opened) = (asker.session, asker.caller.user.clone(), self.house.clock.now());
        let terms = Terms { id: opening.id, session, user, reach, remote, opened, bounds };
        self.enter(terms, seat)
    }

    /// Opens the socket and enters the channel everywhere, if it may be still.
    fn enter(&self, terms: Terms, seat: Seat) -> Came {
        let channel = Channel::open(terms, seat, self.bell.clone()).map_err(|error| {
            tracing::warn!(%error, "a channel's socket cannot be opened");
            Fault::new(Code::BOARD_UNREACHABLE, format!("there is no way to the board: {error}"))
        })?;
        let counter = &self.house.counter;
        let entered = counter.see(|lab| {
            if caller_of(lab, channel.terms.session).is_none() {
                return Err(Fault::new(Code::SESSION_EXPIRED, "the session has ended"));
            }
            let ended = |why| Fault::new(Code::BOARD_NOT_HELD, why);
            counter.channels.enter(self.connection, &channel, lab).map_err(ended)
        });
        entered.inspect_err(|fault| channel.shut(&fault.msg))?;
        self.inside().channels.insert(channel.terms.id, channel.clone());
        if channel.end().is_some() {
            // The bell may have been heard before there was anything to read out.
            self.bell.ring();
        }
        channel.listen(self.house.clock.clone());
        Ok(Outcome::Channels(vec![channel.view()]))
    }

    /// A number for one more channel, if there may be one.
    fn begin(&self, limits: &Limits) -> Result<Opening<'_>, Fault> {
        let mut inside = self.inside();
        let open = inside.channels.values().filter(|channel| channel.end().is_none()).count();
        if open + inside.opening >= limits.channels_per_connection_max {
            let code = Code::TOO_MANY_CHANNELS;
            return Err(Fault::new(code, code.row().meaning));
        }
        inside.opening += 1;
        inside.last += 1;
        Ok(Opening { tunnel: self, id: inside.last })
    }

    /// The address of a board's host, which may have to be looked up.
    async fn address_of(&self, reach: &Reach, port: u16) -> Result<SocketAddr, Fault> {
        if let Ok(ip) = reach.host.parse::<IpAddr>() {
            return Ok(SocketAddr::new(ip, port));
        }
        let (host, seat) = (reach.host.clone(), self.house.counter.channels.lookup()?);
        // It cannot be ended, so it keeps its place until it is over, whoever still waits for it.
        let looked_up = task::spawn(async move {
            let found = (&*host, port).to_socket_addrs().await.map(|mut all| all.next());
            drop(seat);
            found
        });
        let until = self.house.clock.now().plus_ms(LOOKUP_MS);
        let unknown = |why: String| {
            let msg = format!("the board's host '{}' has no address: {why}", reach.host);
            Fault::new(Code::BOARD_UNREACHABLE, msg)
        };
        match select(pin!(looked_up), pin!(self.house.clock.sleep_until(until))).await {
            Either::Left((Ok(Some(address)), _)) => Ok(address),
            Either::Left((Ok(None), _)) => Err(unknown("it is not known".to_owned())),
            Either::Left((Err(error), _)) => Err(unknown(error.to_string())),
            Either::Right(_) => Err(unknown("it was not found in time".to_owned())),
        }
    }

    /// Does something with open channels, at once.
    pub fn carry_out(&self, what: ChannelUse, asker: &Asker<'_>) -> Came {
        match what {
            ChannelUse::Send { channel, datagrams } => self.send(channel, &datagrams, asker),
            ChannelUse::Close { channel } => self.close(channel, asker.session),
            ChannelUse::List => {
                let inside = self.inside();
                let own = inside.channels.values().filter(|channel| channel.terms.session == asker.session);
                let open = own.filter(|channel| channel.end().is_none());
                Ok(Outcome::Channels(open.map(|channel| channel.view()).collect()))
            }
        }
    }

    fn send(&self, id: u64, datagrams: &[Vec<u8>], asker: &Asker<'_>) -> Came {
        let channel = self.find(id, asker.session)?;
        self.check(&channel, datagrams)?;
        quick::mention(&self.house, channel.terms.reach.job, asker);
        let now = self.house.clock.now();
        for (count, datagram) in datagrams.iter().enumerate() {
            match channel.send(now, datagram) {
                Sent::Done => {}
                Sent::TooSoon if count == 0 => {
                    return Err(Fault::new(Code::DATAGRAM_RATE, Code::DATAGRAM_RATE.row().meaning));
                }
                Sent::Shut if count == 0 => return Err(unknown(id, channel.end())),
                Sent::TooSoon | Sent::Full | Sent::Shut => return Ok(Outcome::Sent(count)),
            }
        }
        Ok(Outcome::Sent(datagrams.len()))
    }

    /// Whether all of a call may be sent at all.
    fn check(&self, channel: &Channel, datagrams: &[Vec<u8>]) -> Result<(), Fault> {
        let count_max = self.house.config().limits.datagrams_per_call_max;
        if datagrams.len() > count_max {
            let msg = format!(
                "{} datagrams in one call; limits.datagrams_per_call_max is {count_max}",
                datagrams.len()
            );
            return Err(Fault::new(Code::TOO_MANY_DATAGRAMS, msg));
        }
        let bytes_max = channel.terms.bounds.datagram_bytes_max;
        match datagrams.iter().position(|datagram| datagram.len() > bytes_max) {
            Some(at) => {
                let bytes = datagrams.get(at).map_or(0, Vec::len);
                let msg = format!(
                    "datagrams[{at}] has {bytes} bytes; limits.datagram_bytes_max was {bytes_max} when the channel was opened"
                );
                Err(Fault::new(Code::DATAGRAM_TOO_LARGE, msg))
            }
            None => Ok(()),
        }
    }

    fn close(&self, id: u64, session: SessionId) -> Came {
        let channel = self.find(id, session)?;
        self.house.counter.channels.strike_out((self.connection, id));
        self.inside().channels.remove(&id);
        channel.shut("it was closed");
        Ok(Outcome::Nothing)
    }

    /// A channel that is open under this session.
    fn find(&self, id: u64, session: SessionId) -> Result<Arc<Channel>, Fault> {
        let inside = self.inside();
        let own = inside.channels.get(&id).filter(|channel| channel.terms.session == session);
        match own.map(|channel| channel.end()) {
            Some(None) => own.cloned().ok_or_else(|| unknown(id, None)),
            Some(end) => Err(unknown(id, end)),
            None => Err(unknown(id, None)),
        }
    }

    /// Appends what came, in as few events as there are sessions, and the ends of channels. True if there is more.
    pub fn push(&self, form: Form, name: &str, out: &mut Vec<u8>) -> bool {
        let mut inside = self.inside();
        if inside.channels.is_empty() {
            return false;
        }
        let (mut room, mut more) = (EVENT_BYTES_MAX, false);
        let (mut parts, mut ends) = (BTreeMap::<u128, Vec<Part>>::new(), Vec::new());
        for channel in inside.in_turn() {
            if room == 0 {
                more = true;
                break;
            }
            let (id, session) = (channel.terms.id, channel.terms.session);
            inside.read_last = id;
            let Taken { datagrams, dropped, end, more: rest } = channel.take(&mut room);
            more |= rest;
            if !datagrams.is_empty() || dropped > 0 {
                let data = datagrams.into_iter().map(Base64).collect();
                parts.entry(session.to_bits()).or_default().push(Part { channel: id, data, dropped });
            }
            if let Some(reason) = end {
                inside.channels.remove(&id);
                ends.push((session, End { channel: id, reason }));
            }
        }
        drop(inside);
        for (session, datagrams) in parts {
            let session = SessionId::from_bits(session);
            push_event(form, name, session, "datagrams", &Datagrams { datagrams }, out);
        }
        for (session, end) in ends {
            push_event(form, name, session, "channel_closed", &end, out);
        }
        more
    }

    /// The channels are whole between calls, so a panic elsewhere does no harm.
    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inside {
    /// All channels, the one behind the one that was read last first.
    fn in_turn(&self) -> Vec<Arc<Channel>> {
        let behind = self.channels.range(self.read_last.saturating_add(1)..);
        behind.chain(self.channels.range(..=self.read_last)).map(|(_, channel)| channel.clone()).collect()
    }
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        let channels = std::mem::take(&mut self.inside().channels);
        for (id, channel) in channels {
            self.house.counter.channels.strike_out((self.connection, id));
            channel.shut("the connection has ended");
        }
    }
}

/// A channel that is being opened, counted until it is or is not.
struct Opening<'a> {
    tunnel: &'a Tunnel,
    id: u64,
}

impl Drop for Opening<'_> {
    fn drop(&mut self) {
        self.tunnel.inside().opening -= 1;
    }
}

fn unknown(id: u64, end: Option<String>) -> Fault {
    let msg = match end {
        Some(why) => format!("channel {id} is closed: {why}"),
        None => format!("this session has no channel {id} on this connection"),
    };
    Fault::new(Code::CHANNEL_UNKNOWN, msg)
}

fn push_event<T: Serialize>(
    form: Form,
    name: &str,
    session: SessionId,
    event: &str,
    data: &T,
    out: &mut Vec<u8>,
) {
    let session = session.to_string();
    let envelope = Envelope { session: &session, name, id: None };
    framed(form, out, |text| envelope.push_event(text, event, data));
}

/// What came, as its reader sees it.
#[derive(Serialize)]
struct Datagrams {
    datagrams: Vec<Part>,
}

/// What came through one channel.
#[derive(Serialize)]
struct Part {
    channel: u64,
    data: Vec<Base64>,
    /// How many were dropped before these, since it was told last.
    #[serde(skip_serializing_if = "is_zero")]
    dropped: u64,
}

/// How a channel ended.
#[derive(Serialize)]
struct End {
    channel: u64,
    reason: String,
}

/// Bytes as text.
struct Base64(Box<[u8]>);

impl Serialize for Base64 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&base64::encode(&self.0))
    }
}

fn is_zero(dropped: &u64) -> bool {
    *dropped == 0
}
