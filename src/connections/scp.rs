//! What connections that speak SCP have in common: requests, their numbers, and responses.

use super::sdp::update_sdp_header_for_udp_send;
use super::{AskError, ConnectionError, Pipeline};
use crate::clock::{Clock, Moment};
use crate::spinnaker::exchange::{ANSWER_MS_LATE_MAX, Failure, Limits, Wish};
use crate::spinnaker::scp::{BODY_OFFSET, Call, Reply, Request, ResultCode, Sequence};
use crate::spinnaker::sdp::{Chip, Endpoint, Flags, Header, PADDING_BYTES};
use crate::spinnaker::{bmp, scamp};
use std::collections::BTreeMap;
use std::net::SocketAddrV4;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long a response is waited for as a rule.
pub const RESPONSE_TIMEOUT: Option<Duration> = Some(Duration::from_secs(1));

/// How a board is asked whether it is there.
const PRESENCE: Limits = Limits { tries_max: 5, answer_ms_max: 1_200, total_ms_max: 6_000, ..Limits::BMP };

/// A request before it is sent. It has no source: that is always the host, and the connection knows the chip.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScpRequest<'a> {
    /// Whether an answer is wanted.
    pub flags: Flags,
    /// To whom.
    pub destination: Endpoint,
    /// Its number; if there is none, the one after the last.
    pub sequence: Option<Sequence>,
    /// What is asked.
    pub call: Call<'a>,
}

impl<'a> ScpRequest<'a> {
    /// A question to SC&MP or a core.
    pub fn scamp(to: Endpoint, command: &scamp::Command<'a>) -> ScpRequest<'a> {
        ScpRequest { flags: Flags::REPLY, destination: to, sequence: None, call: command.call() }
    }

    /// A question to the BMP of a board, or of the board that the command itself names.
    pub fn bmp(board: bmp::Board, command: &bmp::Command<'a>) -> ScpRequest<'a> {
        let header = bmp::header(command.addressee().unwrap_or(board));
        let call = command.call();
        ScpRequest { flags: header.flags, destination: header.destination, sequence: None, call }
    }

    /// The same with a number.
    pub fn numbered(self, sequence: Sequence) -> ScpRequest<'a> {
        ScpRequest { sequence: Some(sequence), ..self }
    }

    fn encode(&self, source: Chip, sequence: Sequence) -> Vec<u8> {
        let mut header = Header { flags: self.flags, ..Header::asking(self.destination, source) };
        update_sdp_header_for_udp_send(&mut header, source);
        let mut datagram = Vec::new();
        Request { header, sequence, call: self.call }.encode(&mut datagram);
        datagram
    }
}

/// A response to a request, good or bad.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScpResponse {
    /// Who answers whom.
    pub header: Header,
    /// How it ended; any number.
    pub result: ResultCode,
    /// That of the request.
    pub sequence: Sequence,
    /// All that came, padding first.
    pub datagram: Vec<u8>,
}

impl ScpResponse {
    /// Where the SDP header starts in the datagram.
    pub const OFFSET: usize = PADDING_BYTES;

    /// Reads a datagram.
    pub fn decode(datagram: Vec<u8>) -> Result<ScpResponse, ConnectionError> {
        let Reply { header, result, sequence, .. } = Reply::decode(&datagram)?;
        Ok(ScpResponse { header, result, sequence, datagram })
    }

    /// What was asked for; empty after a failure, as a rule.
    pub fn body(&self) -> &[u8] {
        self.datagram.get(BODY_OFFSET..).unwrap_or_default()
    }
}

/// The numbers of a connection's requests: always the one after the last, but never one that is in flight.
#[derive(Debug, Default)]
pub(super) struct Numbers {
    next: Sequence,
    /// Requests that are not answered, and when they were sent; at most as many as there are numbers.
    in_flight: BTreeMap<Sequence, Moment>,
}

impl Numbers {
    /// The number of the next request that has none.
    fn upcoming(&self, now: Moment) -> Sequence {
        let flies = |sequence: &Sequence| {
            let sent = self.in_flight.get(sequence);
            sent.is_some_and(|sent| now.ms_since(*sent) < ANSWER_MS_LATE_MAX)
        };
        let all = std::iter::successors(Some(self.next), |sequence| Some(sequence.next()));
        // If all are in flight, the oldest of them has waited longest.
        all.take(1 << 16).find(|sequence| !flies(sequence)).unwrap_or(self.next)
    }

    /// A request goes out.
    fn sent(&mut self, sequence: Sequence, now: Moment) {
        self.in_flight.insert(sequence, now);
        self.next = sequence.next();
    }

    /// A response came.
    fn answered(&mut self, sequence: Sequence) {
        self.in_flight.remove(&sequence);
    }
}

/// The part of a connection that speaks SCP.
#[derive(Debug, Default)]
pub(super) struct Speech(Mutex<Numbers>);

impl Speech {
    /// The datagram of a request as it would be sent now. Its number is not used up.
    pub(super) fn preview(&self, request: &ScpRequest<'_>, source: Chip, clock: &Clock) -> Vec<u8> {
        request.encode(source, request.sequence.unwrap_or_else(|| self.numbers().upcoming(clock.now())))
    }

    /// The datagram of a request that is sent now.
    pub(super) fn say(&self, request: &ScpRequest<'_>, source: Chip, clock: &Clock) -> Vec<u8> {
        let (mut numbers, now) = (self.numbers(), clock.now());
        let sequence = request.sequence.unwrap_or_else(|| numbers.upcoming(now));
        // What wants no reply is never in flight, but its number is used up.
        numbers.sent(sequence, now);
        if !request.flags.wants_reply() {
            numbers.answered(sequence);
        }
        request.encode(source, sequence)
    }

    /// A datagram that came.
    pub(super) fn hear(&self, datagram: Vec<u8>) -> Result<ScpResponse, ConnectionError> {
        let response = ScpResponse::decode(datagram)?;
        self.numbers().answered(response.sequence);
        Ok(response)
    }

    fn numbers(&self) -> MutexGuard<'_, Numbers> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Asks a board for its version, over a socket of its own, so that nothing is taken from those who receive. Any answer shows that it is
/// there.
pub(super) async fn is_present(
    remote: Option<SocketAddrV4>,
    wish: &Wish<'_>,
    clock: &Clock,
) -> Result<bool, ConnectionError> {
    let Some(remote) = remote else { return Ok(false) };
    let board = Pipeline::connect(remote, PRESENCE, clock.clone()).await?;
    match board.ask(wish).await {
        Err(AskError::Failed(Failure::Silent)) => Ok(false),
        Ok(_) | Err(AskError::Failed(_)) => Ok(true),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_the_one_after_the_last_unless_that_is_in_flight() {
        let (mut numbers, now) = (Numbers::default(), Moment(5_000));
        for number in [65_534, 0, 1] {
            numbers.sent(Sequence(number), now);
        }
        numbers.sent(Sequence(65_533), now);
        assert_eq!(numbers.upcoming(now), Sequence(65_535), "65534 is in flight");
        numbers.sent(Sequence(65_535), now);
        assert_eq!(numbers.upcoming(now), Sequence(2), "0 and 1 are in flight");
        numbers.answered(Sequence(0));
        assert_eq!(numbers.upcoming(now), Sequence(0));
        numbers.sent(Sequence(0), now);
        assert_eq!(numbers.upcoming(now.plus_ms(ANSWER_MS_LATE_MAX)), Sequence(1), "too late for answers");
    }

    #[test]
    fn all_numbers_in_flight_give_one_all_the_same() {
        let (mut numbers, now) = (Numbers::default(), Moment(0));
        (0..=u16::MAX).for_each(|number| numbers.sent(Sequence(number), now));
        assert_eq!(numbers.upcoming(now), Sequence(0));
    }
}
