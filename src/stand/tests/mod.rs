//! The room as a whole: conversations as raw bytes, cut anywhere; junk; whatever may be said, there and back.

mod burner;
mod junk;
mod properties;
mod simulated;
mod vectors;

use super::message::{Complaint, Reply, Said, Then};
use super::{ClientType, Piece, Splitter};

/// Who speaks, in tests where that does not matter.
const COMMAND: Option<ClientType> = Some(ClientType::Command);

/// A message that was read, raw bytes, or the end of all sense.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Heard<T> {
    Message(Result<T, Complaint>),
    Raw(Vec<u8>),
    Broken,
}

/// All that stands in these pieces of bytes. Raw bytes next to each other are one.
fn heard<T>(
    pieces: &[&[u8]],
    bytes_max: usize,
    mut read: impl FnMut(&[u8]) -> (Result<T, Complaint>, u64),
) -> Vec<Heard<T>> {
    let (mut splitter, mut all) = (Splitter::new(bytes_max), Vec::new());
    for piece in pieces {
        let mut input = *piece;
        while let Some(piece) = splitter.pull(&mut input) {
            match piece {
                Err(_) => {
                    all.push(Heard::Broken);
                    return all;
                }
                Ok(Piece::Raw(more)) => match all.last_mut() {
                    Some(Heard::Raw(raw)) => raw.extend_from_slice(more),
                    _ => all.push(Heard::Raw(more.to_vec())),
                },
                Ok(Piece::Message(message)) => {
                    let (message, raw) = read(message);
                    splitter.expect_raw(raw);
                    all.push(Heard::Message(message));
                }
            }
        }
        assert!(splitter.waiting() < bytes_max + 4);
    }
    all
}

/// What a client says, whose first message is its introduction.
fn heard_said(pieces: &[&[u8]]) -> Vec<Heard<Said>> {
    let mut who = None;
    heard(pieces, 4096, |message| {
        let said = Said::hear(message, who);
        if let Ok(Said::Id { client, .. }) = &said {
            who = Some(*client);
        }
        let raw = match &said {
            Ok(Said::Push { bytes, .. }) => *bytes,
            Err(Complaint { then: Then::Skip(bytes), .. }) => *bytes,
            _ => 0,
        };
        (said, raw)
    })
}

/// What a server says.
fn heard_reply(pieces: &[&[u8]]) -> Vec<Heard<Reply>> {
    heard(pieces, 4096, |message| {
        let reply = Reply::hear(message);
        let raw = if let Ok(Reply::Data { bytes, .. }) = reply { bytes } else { 0 };
        (reply, raw)
    })
}
