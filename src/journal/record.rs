//! Facts as stored: what a record is, and the way from a fact to its record and back.
//!
//! A record is a moment, a kind (a word), a version of that kind (a number) and a body (JSON text). Read this file
//! first, then `shape` (the bodies, one struct each) and `part` (what bodies are made of). Pieces of snapshots are
//! records too, of no moment, and their bodies are in `piece`. The shapes are written and read by hand so that the
//! lab knows nothing of JSON and can be changed without touching what is on disk.
//! Deliberately not here: where records are kept, their numbers and their checksums (`embedded`).
//!
//! # When a fact changes shape
//!
//! Records are read for ever, so nothing that was ever written may change its meaning. The golden records in
//! `tests/vectors/journal/` hold every kind in every version; a line there is never edited and never removed.
//!
//! - **A new kind of fact**: a shape in `shape`, an arm in `body_of` and one in `event_of` with version 1, a strategy
//!   and a golden record in the tests. The compiler and the tests ask for each of them.
//! - **A field more, less or different** in a fact that was ever released:
//!   1. Leave the old struct alone, but for its name: `JobQueued` becomes `JobQueuedV1`. Only its way back to a fact
//!      stays; what the fact needs beyond it is filled in there, with the value that was true at the time.
//!   2. Write the new struct, let `body_of` use it with the next version number of this kind, and give `event_of` an arm
//!      for the new number beside the old one.
//!   3. Append golden records of the new version; the old lines must go on passing.
//! - **A kind that is no longer written** keeps its arm in `event_of`, and its fact either lives on or is turned into the
//!   facts that say the same.
//!
//! Shapes refuse fields they do not know: a field that an older Berth would drop in silence is a new version.
//! A Berth that meets a kind or a version it does not know refuses the journal, and says that a newer one wrote it.

mod part;
mod piece;
mod shape;
#[cfg(test)]
pub(super) mod tests;

use crate::clock::Moment;
use crate::lab::fact::{Event, Fact};
use crate::lab::snapshot::Piece;
use serde::{Deserialize, Serialize};
use shape::*;
use std::borrow::Cow;
use std::fmt;

/// One fact as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// When it was decided.
    pub at: Moment,
    /// Which kind of fact it is.
    pub kind: Cow<'a, str>,
    /// The version of the shape of its body, counted per kind from 1.
    pub version: u16,
    /// Everything else about it, as JSON.
    pub body: Cow<'a, str>,
}

/// Why a record is no fact this Berth can read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecordError {
    /// No such kind, or no such version of it, is known.
    Unknown {
        /// The kind it says it is.
        kind: String,
        /// The version it says it has.
        version: i64,
    },
    /// What surrounds the body was damaged.
    Row(String),
    /// The body is not of the shape its kind and version promise.
    Shape(String),
    /// A value in the body is none that can be.
    Value(&'static str),
}

impl fmt::Display for RecordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RecordError::Unknown { kind, version } => {
                write!(f, "it is of kind '{kind}' in version {version}, which only a newer Berth can read")
            }
            RecordError::Shape(why) => write!(f, "its body has the wrong shape: {why}"),
            RecordError::Row(what) => f.write_str(what),
            RecordError::Value(what) => f.write_str(what),
        }
    }
}

impl std::error::Error for RecordError {}

impl Record<'_> {
    /// The record of a fact, in the newest version.
    pub fn encode(fact: &Fact) -> Result<Record<'static>, RecordError> {
        let (kind, version, body) = body_of(&fact.event)?;
        Ok(Record { at: fact.at, kind: kind.into(), version, body: body.into() })
    }

    /// The fact of a record, in whichever version.
    pub fn decode(&self) -> Result<Fact, RecordError> {
        Ok(Fact { at: self.at, event: event_of(&self.kind, self.version, &self.body)? })
    }

    /// The record of a piece of a snapshot, in the newest version. It has no moment of its own.
    pub fn of_piece(piece: &Piece) -> Result<Record<'static>, RecordError> {
        let (kind, version, body) = piece::body_of(piece)?;
        Ok(Record { at: Moment(0), kind: kind.into(), version, body: body.into() })
    }

    /// The piece of a record, in whichever version.
    pub fn piece(&self) -> Result<Piece, RecordError> {
        piece::piece_of(&self.kind, self.version, &self.body)
    }
}

/// A kind, its version and a body of it.
type Written = Result<(&'static str, u16, String), RecordError>;

/// Writes a body.
fn write(kind: &'static str, version: u16, shape: &impl Serialize) -> Written {
    let body = serde_json::to_string(shape).map_err(|error| RecordError::Shape(error.to_string()))?;
    Ok((kind, version, body))
}

/// Reads a body.
fn read<'a, S: Deserialize<'a>>(body: &'a str) -> Result<S, RecordError> {
    serde_json::from_str(body).map_err(|error| RecordError::Shape(error.to_string()))
}

/// What is written of an event: always the newest version of its kind.
fn body_of(event: &Event) -> Written {
    match event {
        Event::MachineAdded { spec, position } => write("machine_added", 2, &MachineAt::of(spec, *position)),
        Event::MachineChanged { spec, position } => {
            write("machine_changed", 2, &MachineAt::of(spec, *position))
        }
        Event::MachineRemoved { machine } => write("machine_removed", 1, &MachineRemoved::of(machine)),
        Event::JobQueued { job, spec } => write("job_queued", 3, &JobQueued::of(*job, spec)),
        Event::JobGranted { job, grant, machine, boards, region } => {
            write("job_granted", 1, &JobGranted::of(*job, *grant, machine, boards, *region))
        }
        Event::JobReady { job, order, power } => write("job_ready", 1, &JobPower::of(*job, *order, *power)),
        Event::JobPowering { job, order, power } => {
            write("job_powering", 1, &JobPower::of(*job, *order, *power))
        }
        Event::JobRequeued { job, order, reason, priority } => {
            write("job_requeued", 2, &JobRequeued::of(*job, *order, reason, *priority))
        }
        Event::LeaseExtended { job, until } => write("lease_extended", 1, &Lease::of(*job, *until)),
        Event::LeaseEnding { job, ends_at } => write("lease_ending", 1, &Lease::of(*job, *ends_at)),
        Event::JobDestroyed { job, order, reason } => {
            write("job_destroyed", 2, &JobDestroyed::of(*job, *order, reason))
        }
        Event::OrderAnswered { order, obeyed, failed } => {
            write("order_answered", 1, &OrderAnswered::of(*order, obeyed, failed))
        }
        Event::OrderOverdue { order } => write("order_overdue", 1, &OrderOverdue::of(*order)),
        Event::BoardsCleaned { order, machine, boards, free_at } => {
            write("boards_cleaned", 1, &BoardsCleaned::of(*order, machine, boards, *free_at))
        }
        Event::BoardsFreed { machine, boards } => write("boards_freed", 1, &BoardsFreed::of(machine, boards)),
        Event::BoardQuarantined { board, reason, retest_at } => {
            write("board_quarantined", 1, &BoardQuarantined::of(board, reason, *retest_at))
        }
        Event::BoardsAnnounced { machine, serials } => {
            write("boards_announced", 1, &BoardsAnnounced::of(machine, serials))
        }
        Event::BoardOffline { board, reason } => write("board_offline", 1, &BoardOffline::of(board, reason)),
        Event::BoardOffers { board, offers } => write("board_offers", 1, &BoardOffers::of(board, offers)),
        Event::BoardNamed { board, name } => write("board_named", 1, &BoardNamed::of(board, name)),
        Event::BoardTested { board, order } => write("board_tested", 1, &BoardTested::of(board, *order)),
        Event::BoardReported { board, by, reason } => {
            write("board_reported", 1, &BoardReported::of(board, by, reason))
        }
        Event::BoardMarked { board, mark, by, reason } => {
            write("board_marked", 1, &BoardMark::of(board, *mark, by, reason))
        }
        Event::BoardSet { board, mark, by, reason } => {
            write("board_set", 1, &BoardMark::of(board, *mark, by, reason))
        }
        Event::UserCreated { user, role, phc } => {
            write("user_created", 1, &UserCreated::of(user, *role, phc))
        }
        Event::PasswordSet { user, phc } => write("password_set", 1, &PasswordSet::of(user, phc)),
        Event::RoleSet { user, role } => write("role_set", 1, &RoleSet::of(user, *role)),
        Event::UserDeleted { user } => write("user_deleted", 1, &UserDeleted::of(user)),
        Event::SessionOpened { session, user, role, client, span_ms } => {
            write("session_opened", 1, &SessionOpened::of(*session, user, *role, client, *span_ms))
        }
        Event::SessionEnded { session, why } => write("session_ended", 1, &SessionEnded::of(*session, *why)),
        Event::ServiceSet { accept, by, reason } => {
            write("service_set", 1, &ServiceSet::of(*accept, by, reason))
        }
        Event::NumbersSkipped { last_job, last_grant } => {
            write("numbers_skipped", 1, &NumbersSkipped::of(*last_job, *last_grant))
        }
    }
}

/// The event of a body, for every version there ever was.
fn event_of(kind: &str, version: u16, body: &str) -> Result<Event, RecordError> {
    match (kind, version) {
        // Version 2 may say that agents have the boards.
        ("machine_added", 1 | 2) => read::<MachineAt>(body)?.added(),
        ("machine_changed", 1 | 2) => read::<MachineAt>(body)?.changed(),
        ("machine_removed", 1) => Ok(read::<MachineRemoved>(body)?.event()),
        // Version 2 may say who asked, and what the door wants to be told again; version 3 that it is a reservation.
        ("job_queued", 1..=3) => Ok(read::<JobQueued>(body)?.event()),
        ("job_granted", 1) => Ok(read::<JobGranted>(body)?.event()),
        ("job_ready", 1) => Ok(read::<JobPower>(body)?.ready()),
        ("job_powering", 1) => Ok(read::<JobPower>(body)?.powering()),
        // Version 2 may say at which priority it waits from now on.
        ("job_requeued", 1 | 2) => Ok(read::<JobRequeued>(body)?.event()),
        ("lease_extended", 1) => Ok(read::<Lease>(body)?.extended()),
        ("lease_ending", 1) => Ok(read::<Lease>(body)?.ending()),
        // Version 2 may say that it was done.
        ("job_destroyed", 1 | 2) => Ok(read::<JobDestroyed>(body)?.event()),
        ("order_answered", 1) => Ok(read::<OrderAnswered>(body)?.event()),
        ("order_overdue", 1) => Ok(read::<OrderOverdue>(body)?.event()),
        ("boards_cleaned", 1) => Ok(read::<BoardsCleaned>(body)?.event()),
        ("boards_freed", 1) => Ok(read::<BoardsFreed>(body)?.event()),
        ("board_quarantined", 1) => Ok(read::<BoardQuarantined>(body)?.event()),
        ("boards_announced", 1) => Ok(read::<BoardsAnnounced>(body)?.event()),
        ("board_offline", 1) => Ok(read::<BoardOffline>(body)?.event()),
        ("board_offers", 1) => Ok(read::<BoardOffers>(body)?.event()),
        ("board_named", 1) => Ok(read::<BoardNamed>(body)?.event()),
        ("board_tested", 1) => Ok(read::<BoardTested>(body)?.event()),
        ("board_reported", 1) => Ok(read::<BoardReported>(body)?.event()),
        ("board_marked", 1) => Ok(read::<BoardMark>(body)?.marked()),
        ("board_set", 1) => Ok(read::<BoardMark>(body)?.set()),
        ("user_created", 1) => read::<UserCreated>(body)?.event(),
        ("password_set", 1) => read::<PasswordSet>(body)?.event(),
        ("role_set", 1) => read::<RoleSet>(body)?.event(),
        ("user_deleted", 1) => read::<UserDeleted>(body)?.event(),
        ("session_opened", 1) => read::<SessionOpened>(body)?.event(),
        ("session_ended", 1) => Ok(read::<SessionEnded>(body)?.event()),
        ("service_set", 1) => Ok(read::<ServiceSet>(body)?.event()),
        ("numbers_skipped", 1) => Ok(read::<NumbersSkipped>(body)?.event()),
        _ => Err(RecordError::Unknown { kind: kind.to_owned(), version: i64::from(version) }),
    }
}
