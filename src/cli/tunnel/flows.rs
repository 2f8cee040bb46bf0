//! The local sockets of a tunnel, and which program speaks to which board through which channel.
//!
//! A board answers whoever spoke to it, and does not say to which program of ours: so each program has a channel of its own
//! for each port of each board, opened when it speaks first and closed when it has been silent for long, or when another
//! one needs the place.

use super::Place;
use crate::cli::context::{Context, read};
use crate::cli::exit::{Exit, Failure};
use crate::client::{Client, ClientError, Request};
use crate::error::Code;
use crate::wire::base64;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket};
use std::time::{Duration, Instant};

/// The longest datagram there is.
const DATAGRAM_BYTES_MAX: usize = 65_535;
/// So many datagrams of one local port are passed on before it is another one's turn.
const DATAGRAMS_IN_A_ROW_MAX: usize = 64;
/// A channel through which nothing went for so long is closed.
const IDLE_MAX: Duration = Duration::from_secs(300);
/// So many addresses are tried before it is said that none is free.
const TRIES_MAX: u32 = 64;

/// A port of a board, here.
pub struct Local {
    /// Where programs speak to it.
    pub socket: UdpSocket,
    /// The number of the board.
    board: usize,
    /// The port.
    port: u16,
}

/// Opens all ports of all boards on addresses that follow each other; without a first one, somewhere they are free.
pub fn bind(
    first: Option<Ipv4Addr>,
    job: u64,
    boards: usize,
    ports: &[u16],
) -> Result<(Ipv4Addr, Vec<Local>), Failure> {
    let tries = if first.is_some() { 1 } else { TRIES_MAX };
    let mut last = io::Error::from(io::ErrorKind::AddrInUse);
    for number in 0..tries {
        let first = first.unwrap_or_else(|| candidate(job, number));
        match bind_at(first, boards, ports) {
            Ok(locals) => return Ok((first, locals)),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => last = error,
            Err(error) => return Err(cannot(first, &error)),
        }
    }
    Err(cannot(first.unwrap_or_else(|| candidate(job, 0)), &last))
}

fn cannot(first: Ipv4Addr, error: &io::Error) -> Failure {
    Failure::new(Exit::NotAvailable, format!("addresses from {first} on cannot be had: {error}"))
}

/// Where boards could be: each job begins somewhere else, and 127.0 is left to others.
fn candidate(job: u64, number: u32) -> Ipv4Addr {
    let [.., high, low] = (job % 63_000).to_be_bytes();
    let second = 64 + (number % 64) as u8;
    Ipv4Addr::new(127, second, high, low.max(1))
}

fn bind_at(first: Ipv4Addr, boards: usize, ports: &[u16]) -> io::Result<Vec<Local>> {
    let all = (0..boards).flat_map(|board| ports.iter().map(move |port| (board, *port)));
    let bind = |(board, port)| {
        let socket = UdpSocket::bind(SocketAddrV4::new(super::local_address(first, board), port))?;
        socket.set_nonblocking(true)?;
        Ok(Local { socket, board, port })
    };
    all.map(bind).collect()
}

/// Who speaks through a channel.
struct Flow {
    /// The number of the local socket.
    local: usize,
    /// The program.
    client: SocketAddr,
    /// When something went through it last.
    used: Instant,
}

/// See above.
pub struct Flows {
    job: u64,
    places: Vec<Place>,
    locals: Vec<Local>,
    /// By the number of the channel.
    flows: BTreeMap<u64, Flow>,
    /// The channels, by local socket and program.
    channels: BTreeMap<(usize, SocketAddr), u64>,
    /// Whether it was told that a channel cannot be had.
    refusal_told: bool,
    buffer: Vec<u8>,
}

impl Flows {
    /// None yet.
    pub fn new(job: u64, places: Vec<Place>, locals: Vec<Local>) -> Flows {
        Flows {
            job,
            places,
            locals,
            flows: BTreeMap::new(),
            channels: BTreeMap::new(),
            refusal_told: false,
            buffer: vec![0; DATAGRAM_BYTES_MAX],
        }
    }

    /// The job whose boards these are.
    pub fn job(&self) -> u64 {
        self.job
    }

    /// The local sockets.
    pub fn locals(&self) -> &[Local] {
        &self.locals
    }

    /// Passes on what programs said to a local port.
    pub fn send(&mut self, client: &mut Client, local: usize, context: &Context) -> Result<(), Failure> {
        let said = self.take_said(local);
        let mut requests = Vec::with_capacity(said.len());
        for (from, datagrams) in said {
            let Some(channel) = self.channel(client, local, from, context)? else { continue };
            let request = Request::new("send_datagrams").with("channel", channel);
            requests.push((channel, request.with("datagrams", datagrams)));
        }
        let (channels, requests): (Vec<_>, Vec<_>) = requests.into_iter().unzip();
        if requests.is_empty() {
            return Ok(());
        }
        for (channel, answer) in channels.into_iter().zip(client.call_many(&requests)?) {
            // What the rate or the size does not allow is lost, as a network may lose it.
            if answer.is_err_and(|refusal| refusal.code == i64::from(Code::CHANNEL_UNKNOWN.number())) {
                self.remove(channel);
            }
        }
        Ok(())
    }

    /// What waits at a local port, by program, as text; each program's in its order.
    fn take_said(&mut self, local: usize) -> Vec<(SocketAddr, Vec<String>)> {
        let mut said: Vec<(SocketAddr, Vec<String>)> = Vec::new();
        let Some(Local { socket, .. }) = self.locals.get(local) else { return said };
        for _ in 0..DATAGRAMS_IN_A_ROW_MAX {
            // A program that is gone makes an error of what was sent to it; that is no reason to stop.
            let Ok((bytes, from)) = socket.recv_from(&mut self.buffer) else { break };
            let datagram = base64::encode(self.buffer.get(..bytes).unwrap_or_default());
            match said.iter_mut().find(|(program, _)| *program == from) {
                Some((_, datagrams)) => datagrams.push(datagram),
                None => said.push((from, vec![datagram])),
            }
        }
        said
    }

    /// The channel of a program, opened if there is none; none if it cannot be had.
    fn channel(
        &mut self,
        client: &mut Client,
        local: usize,
        from: SocketAddr,
        context: &Context,
    ) -> Result<Option<u64>, Failure> {
        if let Some(channel) = self.channels.get(&(local, from)) {
            if let Some(flow) = self.flows.get_mut(channel) {
                flow.used = Instant::now();
            }
            return Ok(Some(*channel));
        }
        let opened = match self.open(client, local) {
            Err(error) if is_full(&error) && self.make_room(client)? => self.open(client, local),
            opened => opened,
        };
        match opened {
            Ok(channel) => {
                self.flows.insert(channel, Flow { local, client: from, used: Instant::now() });
                self.channels.insert((local, from), channel);
                Ok(Some(channel))
            }
            Err(ClientError::Call(refusal)) => {
                if !std::mem::replace(&mut self.refusal_told, true) {
                    context.note(&format!("a program is not heard: {} [{}]", refusal.msg, refusal.code));
                }
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    fn open(&self, client: &mut Client, local: usize) -> Result<u64, ClientError> {
        let none = || ClientError::Protocol("there is no such local port".to_owned());
        let Local { board, port, .. } = self.locals.get(local).ok_or_else(none)?;
        let request = Request::new("open_channel").with("job_id", self.job).with("port", *port);
        let channel = client.ask(self.places.get(*board).ok_or_else(none)?.ask(request))?;
        let unexpected = || ClientError::Protocol("open_channel answered no number".to_owned());
        channel["channel"].as_u64().ok_or_else(unexpected)
    }

    /// Closes the channel that was silent for longest; false when there is none.
    fn make_room(&mut self, client: &mut Client) -> Result<bool, Failure> {
        let oldest = self.flows.iter().min_by_key(|(_, flow)| flow.used).map(|(channel, _)| *channel);
        let Some(channel) = oldest else { return Ok(false) };
        self.close(client, channel)?;
        Ok(true)
    }

    /// Closes the channels that were silent for long.
    pub fn close_idle(&mut self, client: &mut Client, now: Instant) -> Result<(), Failure> {
        let is_idle = |flow: &Flow| now.saturating_duration_since(flow.used) >= IDLE_MAX;
        let idle: Vec<_> =
            self.flows.iter().filter(|(_, flow)| is_idle(flow)).map(|(channel, _)| *channel).collect();
        idle.into_iter().try_for_each(|channel| self.close(client, channel))
    }

    fn close(&mut self, client: &mut Client, channel: u64) -> Result<(), Failure> {
        self.remove(channel);
        match client.ask(Request::new("close_channel").with("channel", channel)) {
            // It may have ended meanwhile.
            Ok(_) | Err(ClientError::Call(_)) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn remove(&mut self, channel: u64) {
        if let Some(flow) = self.flows.remove(&channel) {
            self.channels.remove(&(flow.local, flow.client));
        }
    }

    /// Passes on what boards said, as an event tells it.
    pub fn deliver(&mut self, data: &Value) {
        let parts: Vec<Part> = read(&data["datagrams"]).unwrap_or_default();
        for part in parts {
            let Some(flow) = self.flows.get_mut(&part.channel) else { continue };
            flow.used = Instant::now();
            let Some(local) = self.locals.get(flow.local) else { continue };
            for datagram in part.data.iter().filter_map(|text| base64::decode(text)) {
                // A program that does not listen any more, or not fast enough, loses it.
                let _ = local.socket.send_to(&datagram, flow.client);
            }
        }
    }

    /// A channel has ended, as an event tells it.
    pub fn forget(&mut self, data: &Value) {
        data["channel"].as_u64().into_iter().for_each(|channel| self.remove(channel));
    }
}

/// Whether there is no place for another channel.
fn is_full(error: &ClientError) -> bool {
    error.is(Code::TOO_MANY_CHANNELS) || error.is(Code::TOO_MANY_CHANNELS_IN_ALL)
}

/// What came through one channel.
#[derive(Deserialize)]
struct Part {
    channel: u64,
    data: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn candidates_are_loopback_and_differ() {
        let first = candidate(7, 0);
        assert_eq!(first, Ipv4Addr::new(127, 64, 0, 7));
        assert_ne!(first, candidate(8, 0));
        assert_ne!(first, candidate(7, 1));
        for (job, number) in [(0, 0), (u64::MAX, 63), (62_999, 5)] {
            assert!(candidate(job, number).is_loopback());
        }
    }

    #[test]
    fn taken_addresses_are_left_alone() {
        let job = u64::from(std::process::id());
        let (first, locals) = bind(None, job, 2, &[47_893]).unwrap();
        let (second, _others) = bind(None, job, 2, &[47_893]).unwrap();
        assert_ne!(first, second);
        assert!(bind(Some(first), job, 1, &[47_893]).is_err_and(|failure| failure.status() == 4));
        drop(locals);
        assert_eq!(bind(Some(first), job, 1, &[47_893]).unwrap().0, first);
    }
}
