//! Users, sessions and the server itself as callers read them.

use super::{Counts, Shown, seconds};
use crate::clock::Moment;
use crate::lab::job::JobState;
use crate::lab::view::{StatusView, UserView};
use crate::service::Asker;
use crate::service::plan::{JournalCounts, WorkerCounts};
use crate::session;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

/// A user.
pub struct User<'a>(pub &'a UserView);

impl Serialize for User<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(4))?;
        map.serialize_entry("user", self.0.name.as_str())?;
        map.serialize_entry("role", self.0.role.name())?;
        map.serialize_entry("created_at", &self.0.created.unix_s())?;
        map.serialize_entry("sessions", &self.0.sessions)?;
        map.end()
    }
}

/// A session, as one caller may see it. Whoever knows a whole id can speak with it, so it is shown only
/// to the session itself and to its user; guests are all one user and are shown none but their own.
pub struct Session<'a> {
    /// The session.
    pub session: &'a session::Session,
    /// Who looks.
    pub asker: &'a Asker<'a>,
}

impl Serialize for Session<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (session, caller) = (self.session, &self.asker.caller);
        let is_own =
            session.id == self.asker.session || (session.user == caller.user && !caller.user.is_guest());
        let mut map = serializer.serialize_map(Some(7))?;
        match is_own {
            true => map.serialize_entry("session", &Shown(session.id))?,
            false => map.serialize_entry("session", &Shown(format_args!("{:?}", session.id)))?,
        }
        map.serialize_entry("user", session.user.as_str())?;
        map.serialize_entry("role", session.role().name())?;
        map.serialize_entry("client", &*session.client)?;
        map.serialize_entry("opened_at", &session.opened.unix_s())?;
        map.serialize_entry("last_used_at", &session.last_used().unix_s())?;
        map.serialize_entry("expires_at", &session.expires().map(Moment::unix_s))?;
        map.end()
    }
}

/// Who is calling.
pub struct Myself<'a>(pub &'a Asker<'a>);

impl Serialize for Myself<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let asker = self.0;
        let mut map = serializer.serialize_map(Some(6))?;
        map.serialize_entry("user", asker.caller.user.as_str())?;
        map.serialize_entry("role", asker.caller.role.name())?;
        map.serialize_entry("session", &Shown(asker.session))?;
        map.serialize_entry("client", asker.client)?;
        map.serialize_entry("opened_at", &asker.opened.unix_s())?;
        map.serialize_entry("expires_at", &asker.expires.map(Moment::unix_s))?;
        map.end()
    }
}

/// The server and its lab in numbers.
pub struct Status<'a> {
    /// The lab.
    pub view: &'a StatusView,
    /// The server.
    pub asker: &'a Asker<'a>,
}

impl Serialize for Status<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (lab, door) = (self.view, &self.asker.door);
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("name", door.name)?;
        map.serialize_entry("version", env!("CARGO_PKG_VERSION"))?;
        map.serialize_entry("uptime", &seconds(door.uptime_ms))?;
        map.serialize_entry("accept", &lab.accept)?;
        map.serialize_entry("reason", &*lab.reason)?;
        map.serialize_entry("jobs", &Jobs(lab))?;
        map.serialize_entry("boards", &Counts(&lab.boards))?;
        map.serialize_entry("machines", &lab.machines)?;
        map.serialize_entry("users", &lab.users)?;
        map.serialize_entry("sessions", &lab.sessions)?;
        map.serialize_entry("connections", &door.connections)?;
        let workers = door.workers.count();
        map.serialize_entry("workers", &Workers(workers))?;
        map.serialize_entry("orders_open", &lab.orders_open)?;
        map.serialize_entry("listen", door.listen)?;
        map.serialize_entry("journal", &Journal(&door.journal))?;
        map.end()
    }
}

/// How many workers there are.
struct Workers(WorkerCounts);

impl Serialize for Workers {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let WorkerCounts { connected, away, draining } = self.0;
        serializer.collect_map([("connected", connected), ("away", away), ("draining", draining)])
    }
}

/// What the journal did.
struct Journal<'a>(&'a JournalCounts);

impl Serialize for Journal<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let counts = self.0;
        serializer.collect_map([
            ("appends", counts.appends),
            ("facts", counts.facts),
            ("syncs", counts.syncs),
            ("snapshots", counts.snapshots),
            ("expired", counts.expired),
        ])
    }
}

/// How many jobs are in each state.
struct Jobs<'a>(&'a StatusView);

impl Serialize for Jobs<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let live = [JobState::Queued, JobState::Power, JobState::Ready];
        let live = live.map(|state| (state.word(), self.0.jobs.get(&state).copied().unwrap_or(0)));
        serializer.collect_map(live.into_iter().chain([(JobState::Destroyed.word(), self.0.jobs_ended)]))
    }
}
