//! Events for clients: told to every socket of a client, kept for a while for one that has none, and never told too early.
//!
//! A client that has just connected, or just asked for a reboot, does not listen for `initialized` yet; so that event waits until
//! the client's oldest socket is some time old, and everything behind it waits with it. Pure.

use crate::clock::Moment;
use serde_json::{Value, json};
use std::collections::{BTreeMap, VecDeque};

/// How long events are kept for a client without a socket, and a client is remembered that never had one.
pub const KEPT_MS: u64 = 60_000;
/// Events kept for one client; the oldest go first.
pub const EVENTS_MAX: usize = 1_000;
/// Events that share a packet.
pub const EVENTS_PER_PACKET_MAX: usize = 100;
/// Clients there are room for.
pub const CLIENTS_MAX: usize = 1_000;
/// Sockets one client may have.
pub const SOCKETS_MAX: usize = 64;

/// A socket by its number.
pub type Socket = u64;

/// A text for sockets.
#[derive(Clone, Debug, PartialEq)]
pub struct Packet {
    /// To whom.
    pub sockets: Vec<Socket>,
    /// What.
    pub text: String,
}

/// See above.
#[derive(Debug)]
pub struct Mailbox {
    initialized_delay_ms: u64,
    clients: BTreeMap<String, Client>,
}

/// A client by its own account.
#[derive(Debug)]
struct Client {
    sockets: BTreeMap<Socket, Moment>,
    events: VecDeque<Event>,
    /// Since when it has no socket.
    away: Moment,
}

/// Something to be told.
#[derive(Debug)]
struct Event {
    serial: String,
    contents: Value,
    /// When it happened, if it must not be told at once.
    held: Option<Moment>,
}

impl Mailbox {
    /// An empty one that holds `initialized` back for so long.
    pub fn new(initialized_delay_ms: u64) -> Mailbox {
        Mailbox { initialized_delay_ms, clients: BTreeMap::new() }
    }

    /// A client connects. False if there is no room for it.
    pub fn come(&mut self, now: Moment, name: &str, socket: Socket) -> bool {
        let Some(client) = self.client(now, name) else { return false };
        let room = client.sockets.len() < SOCKETS_MAX;
        if room {
            client.sockets.insert(socket, now);
        }
        room
    }

    /// A socket is gone; others of the client stay.
    pub fn go(&mut self, now: Moment, name: &str, socket: Socket) {
        if let Some(client) = self.clients.get_mut(name) {
            client.sockets.remove(&socket);
            client.away = now;
        }
    }

    /// Something happened to a board that a client should hear of.
    pub fn put(&mut self, now: Moment, name: &str, serial: &str, contents: Value) {
        let held = (contents["event"] == "initialized").then_some(now);
        let Some(client) = self.client(now, name) else { return };
        if client.events.len() == EVENTS_MAX {
            client.events.pop_front();
        }
        client.events.push_back(Event { serial: serial.to_owned(), contents, held });
    }

    /// The next packet that may be told by now.
    pub fn poll(&mut self, now: Moment) -> Option<Packet> {
        let delay_ms = self.initialized_delay_ms;
        self.clients.retain(|_, client| !client.is_forgotten(now));
        self.clients.values_mut().find_map(|client| client.poll(now, delay_ms))
    }

    /// When there is something to do next.
    pub fn wake_at(&self) -> Option<Moment> {
        let due = |client: &Client| match client.sockets.is_empty() {
            true => Some(client.away.plus_ms(KEPT_MS)),
            false => client.due(self.initialized_delay_ms),
        };
        self.clients.values().filter_map(due).min()
    }

    fn client(&mut self, now: Moment, name: &str) -> Option<&mut Client> {
        if !self.clients.contains_key(name) {
            if self.clients.len() == CLIENTS_MAX {
                return None;
            }
            let client = Client { sockets: BTreeMap::new(), events: VecDeque::new(), away: now };
            self.clients.insert(name.to_owned(), client);
        }
        self.clients.get_mut(name)
    }
}

impl Client {
    fn is_forgotten(&self, now: Moment) -> bool {
        self.sockets.is_empty() && now >= self.away.plus_ms(KEPT_MS)
    }

    /// When its first event may be told, given that there is a socket.
    fn due(&self, delay_ms: u64) -> Option<Moment> {
        let (first, there) = (self.events.front()?, self.sockets.values().min()?);
        Some(first.held.map_or(*there, |held| held.max(*there).plus_ms(delay_ms)))
    }

    fn poll(&mut self, now: Moment, delay_ms: u64) -> Option<Packet> {
        if self.due(delay_ms)? > now {
            return None;
        }
        let first = self.events.pop_front()?;
        let (serial, mut contents) = (first.serial, vec![first.contents]);
        while contents.len() < EVENTS_PER_PACKET_MAX {
            let same = |next: &Event| next.held.is_none() && next.serial == serial;
            match self.events.pop_front() {
                Some(next) if same(&next) => contents.push(next.contents),
                Some(other) => {
                    self.events.push_front(other);
                    break;
                }
                None => break,
            }
        }
        let text = json!({"serial": serial, "contents": contents}).to_string();
        Some(Packet { sockets: self.sockets.keys().copied().collect(), text })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Moment {
        Moment(1_000_000 + ms)
    }

    fn ready() -> Value {
        json!({"event": "initialized"})
    }

    fn failure() -> Value {
        json!({"event": "failure"})
    }

    fn packet(sockets: &[Socket], serial: &str, contents: &[Value]) -> Option<Packet> {
        let text = json!({"serial": serial, "contents": contents}).to_string();
        Some(Packet { sockets: sockets.to_vec(), text })
    }

    #[test]
    fn initialized_is_never_told_too_early() {
        let mut mailbox = Mailbox::new(400);
        mailbox.put(at(0), "ada", "A", ready());
        assert_eq!(mailbox.poll(at(900)), None, "nobody is there");
        assert!(mailbox.come(at(1_000), "ada", 1));
        assert_eq!((mailbox.poll(at(1_399)), mailbox.wake_at()), (None, Some(at(1_400))));
        assert_eq!(mailbox.poll(at(1_400)), packet(&[1], "A", &[ready()]));
        // Over an old socket: counted from when it happened; and what follows waits with it.
        mailbox.put(at(2_000), "ada", "A", ready());
        mailbox.put(at(2_001), "ada", "A", failure());
        assert_eq!(mailbox.poll(at(2_399)), None);
        assert_eq!(mailbox.poll(at(2_400)), packet(&[1], "A", &[ready(), failure()]));
        assert_eq!((mailbox.poll(at(2_400)), mailbox.wake_at()), (None, None));
    }

    #[test]
    fn every_socket_of_a_client_hears_and_one_that_leaves_takes_nothing_along() {
        let mut mailbox = Mailbox::new(400);
        assert!(
            mailbox.come(at(0), "ada", 1) && mailbox.come(at(0), "ada", 2) && mailbox.come(at(0), "bob", 3)
        );
        mailbox.put(at(1), "ada", "A", failure());
        mailbox.put(at(1), "ada", "B", failure());
        assert_eq!(mailbox.poll(at(1)), packet(&[1, 2], "A", &[failure()]));
        mailbox.go(at(2), "ada", 1);
        assert_eq!(mailbox.poll(at(2)), packet(&[2], "B", &[failure()]));
        assert_eq!(mailbox.poll(at(2)), None);
    }

    #[test]
    fn events_are_kept_for_a_minute_and_not_without_bound() {
        let mut mailbox = Mailbox::new(400);
        assert!(mailbox.come(at(0), "ada", 1));
        mailbox.go(at(10), "ada", 1);
        for number in 0..EVENTS_MAX + 2 {
            mailbox.put(at(20), "ada", &number.to_string(), failure());
        }
        assert_eq!(mailbox.wake_at(), Some(at(60_010)));
        assert!(mailbox.come(at(60_009), "ada", 2));
        assert_eq!(mailbox.poll(at(60_009)), packet(&[2], "2", &[failure()]), "the oldest two went");
        mailbox.go(at(60_009), "ada", 2);
        assert_eq!(mailbox.poll(at(120_009)), None);
        assert!(mailbox.come(at(120_010), "ada", 3));
        assert_eq!(mailbox.poll(at(120_010)), None, "it was forgotten");
        for number in 0..CLIENTS_MAX - 1 {
            assert!(mailbox.come(at(120_010), &format!("client {number}"), 4));
        }
        assert!(!mailbox.come(at(120_010), "one more", 5));
        for socket in 10..9 + SOCKETS_MAX as u64 {
            assert!(mailbox.come(at(120_010), "ada", socket));
        }
        assert!(!mailbox.come(at(120_010), "ada", 9));
    }
}
