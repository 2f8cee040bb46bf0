//! All channels of the server, so that those whose loan ends are cut before their boards are somebody else's.
//!
//! A channel is entered while the lab is held for reading and says that the loan is there (`enter`). The desk makes facts
//! visible while nobody can read, then calls `review`, and only then gives orders to hardware. So a channel was either
//! entered before its loan ended, and `review` shuts it, or it finds that the loan is over and is not entered: by the time
//! the first order to clean the boards leaves, nothing can be sent to them any more through a channel of that loan.

use super::channel::Channel;
use crate::error::{Code, Fault};
use crate::lab::Lab;
use crate::lab::command::Caller;
use crate::lab::fact::{Event, Fact, JobId, SessionKey};
use crate::session::SessionId;
use crate::user::UserName;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// So many names of boards' hosts are looked up at a time.
pub const LOOKUPS_MAX: usize = 16;

/// Where a channel stands in the list: the number of its connection, and its own.
pub type Key = (u64, u64);

/// See above.
#[derive(Default)]
pub struct Channels {
    open: Mutex<BTreeMap<Key, Arc<Channel>>>,
    seats: Arc<AtomicUsize>,
    lookups: Arc<AtomicUsize>,
}

/// One of a limited number of places, until dropped.
#[derive(Debug)]
pub struct Seat(Arc<AtomicUsize>);

impl Seat {
    fn take(seats: &Arc<AtomicUsize>, max: usize) -> Option<Seat> {
        let seat = Seat(seats.clone());
        (seats.fetch_add(1, Ordering::AcqRel) < max).then_some(seat)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// What facts touch that channels hang on.
#[derive(Default)]
struct Touched<'a> {
    jobs: BTreeSet<JobId>,
    sessions: BTreeSet<SessionKey>,
    users: BTreeSet<&'a UserName>,
}

impl<'a> Touched<'a> {
    fn by(facts: &'a [Fact]) -> Touched<'a> {
        let mut touched = Touched::default();
        for fact in facts {
            match &fact.event {
                Event::JobDestroyed { job, .. } | Event::JobRequeued { job, .. } => {
                    touched.jobs.insert(*job);
                }
                Event::SessionEnded { session, .. } => drop(touched.sessions.insert(*session)),
                Event::RoleSet { user, .. } => drop(touched.users.insert(user)),
                _ => {}
            }
        }
        touched
    }

    fn is_nothing(&self) -> bool {
        self.jobs.is_empty() && self.sessions.is_empty() && self.users.is_empty()
    }

    fn concerns(&self, channel: &Channel) -> bool {
        let terms = &channel.terms;
        self.jobs.contains(&terms.reach.job)
            || self.users.contains(&terms.user)
            || self.sessions.contains(&key_of(terms.session))
    }
}

/// How the lab names a session.
fn key_of(session: SessionId) -> SessionKey {
    SessionKey(session.to_bits())
}

/// Who speaks under a session, with which role, as the lab has it.
pub fn caller_of(lab: &Lab, session: SessionId) -> Option<Caller> {
    let record = lab.sessions().get(&key_of(session))?;
    Some(Caller { user: record.user.clone(), role: record.role })
}

impl Channels {
    /// A place for one more channel.
    pub fn seat(&self, max: usize) -> Result<Seat, Fault> {
        let code = Code::TOO_MANY_CHANNELS_IN_ALL;
        Seat::take(&self.seats, max).ok_or_else(|| Fault::new(code, code.row().meaning))
    }

    /// A place for one more look-up of a host.
    pub fn lookup(&self) -> Result<Seat, Fault> {
        let busy = || Fault::new(Code::TIME_OUT, "too many names of hosts are being looked up; try again");
        Seat::take(&self.lookups, LOOKUPS_MAX).ok_or_else(busy)
    }

    /// Enters a channel, unless what it was opened on has ended. The lab must be held by the caller meanwhile.
    pub fn enter(&self, connection: u64, channel: &Arc<Channel>, lab: &Lab) -> Result<(), String> {
        if let Some(why) = cut_off(lab, channel) {
            return Err(why);
        }
        self.open().insert((connection, channel.terms.id), channel.clone());
        Ok(())
    }

    /// Strikes a channel out.
    pub fn strike_out(&self, key: Key) {
        self.open().remove(&key);
    }

    /// Whether facts could end a channel.
    pub fn concern(&self, facts: &[Fact]) -> bool {
        self.seats.load(Ordering::Acquire) > 0 && !Touched::by(facts).is_nothing()
    }

    /// Shuts the channels that these facts have ended.
    pub fn review(&self, facts: &[Fact], lab: &Lab) {
        let touched = Touched::by(facts);
        self.open().retain(|_, channel| {
            let end = if touched.concerns(channel) { cut_off(lab, channel) } else { None };
            end.as_deref().inspect(|why| channel.shut(why)).is_none()
        });
    }

    /// The list is whole between calls, so a panic elsewhere does no harm.
    fn open(&self) -> MutexGuard<'_, BTreeMap<Key, Arc<Channel>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why a channel may not be any more.
fn cut_off(lab: &Lab, channel: &Channel) -> Option<String> {
    match caller_of(lab, channel.terms.session) {
        Some(caller) => lab.cut_off(&caller, &channel.terms.reach),
        None => Some("the session has ended".to_owned()),
    }
}
