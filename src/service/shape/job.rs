//! Jobs as callers read them.

use super::{Board, Each, JsonText, Shown, seconds};
use crate::clock::Moment;
use crate::lab::job::{JobEvent, JobSpec, JobState, Loan, Reason, Want};
use crate::lab::view::{BlockerView, ExplainView, JobMachineView, JobView, WaitView};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use std::fmt;

/// A job with all that is known of it.
pub struct Job<'a>(pub &'a JobView);

impl Serialize for Job<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (job, spec) = (self.0, &*self.0.spec);
        let loan = job.loan.as_ref();
        let kind = loan.map(|loan| &loan.kind).or(spec.kind.as_ref());
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("job_id", &job.id.0)?;
        map.serialize_entry("owner", &*spec.owner)?;
        map.serialize_entry("state", &(job.state as u8))?;
        map.serialize_entry("state_name", job.state.word())?;
        map.serialize_entry("power", &power(job))?;
        map.serialize_entry("start_time", &job.created.unix_s())?;
        map.serialize_entry("keepalive", &spec.keepalive_ms.map(seconds))?;
        map.serialize_entry("lapses_at", &job.lapses_at.map(Moment::unix_s))?;
        map.serialize_entry("lease", &spec.lease_ms.map(seconds))?;
        map.serialize_entry("lease_ends_at", &job.lease_ends_at.map(Moment::unix_s))?;
        map.serialize_entry("priority", &spec.priority)?;
        map.serialize_entry("kind", &kind.map(|kind| &**kind))?;
        map.serialize_entry("kind_args", &JsonText(&spec.kind_args))?;
        map.serialize_entry("note", &*spec.note)?;
        map.serialize_entry("want", &Shown(&spec.want))?;
        map.serialize_entry("args", &Size(&spec.want))?;
        map.serialize_entry("kwargs", &Unusual(spec))?;
        map.serialize_entry("tags", &Each(|| spec.tags.iter().map(|tag| &**tag)))?;
        map.serialize_entry("machine", &spec.machine.as_deref())?;
        map.serialize_entry("allocated_machine_name", &loan.map(|loan| &*loan.machine))?;
        map.serialize_entry("boards", &loan.map(|_| Each(|| job.boards.iter().map(Board))))?;
        map.serialize_entry("grant", &loan.map(|loan| loan.grant.0))?;
        map.serialize_entry("granted_at", &loan.map(|loan| loan.since.unix_s()))?;
        map.serialize_entry("ahead", &job.ahead)?;
        map.serialize_entry("attempts", &job.attempts)?;
        map.serialize_entry("reason", &job.reason.as_ref().map(Shown))?;
        map.serialize_entry("ended_at", &job.ended.map(Moment::unix_s))?;
        map.end()
    }
}

/// Whether the boards of a job are on, or on their way there; none while it has none.
fn power(job: &JobView) -> Option<bool> {
    let on = |loan: &Loan| loan.power;
    job.loan.as_ref().filter(|_| matches!(job.state, JobState::Power | JobState::Ready)).map(on)
}

/// What was asked for, as `create_job` takes it in `args`.
struct Size<'a>(&'a Want);

impl Serialize for Size<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Want::Boards(count) => [count].serialize(serializer),
            Want::Triads { width, height } => [width, height].serialize(serializer),
            Want::Exact { x, y, z } => [x, y, z].serialize(serializer),
            Want::Serials(_) => <[u32; 0]>::serialize(&[], serializer),
        }
    }
}

/// The options that are not the default, as `create_job` takes them by name. As with spalloc, neither the
/// owner nor the keepalive is among them.
struct Unusual<'a>(&'a JobSpec);

impl Serialize for Unusual<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let spec = self.0;
        let mut map = serializer.serialize_map(None)?;
        if let Want::Serials(serials) = &spec.want {
            map.serialize_entry("serials", &Each(|| serials.iter().map(|serial| &**serial)))?;
        }
        let is_usual = spec.tags.len() == 1 && spec.tags.contains("default");
        match &spec.machine {
            Some(machine) => map.serialize_entry("machine", &**machine)?,
            None if is_usual => {}
            None => map.serialize_entry("tags", &Each(|| spec.tags.iter().map(|tag| &**tag)))?,
        }
        if let Some(kind) = &spec.kind {
            map.serialize_entry("kind", &**kind)?;
        }
        if !spec.kind_args.is_empty() {
            map.serialize_entry("kind_args", &JsonText(&spec.kind_args))?;
        }
        if let Some(lease_ms) = spec.lease_ms {
            map.serialize_entry("lease", &seconds(lease_ms))?;
        }
        if spec.min_ratio != 0.0 {
            map.serialize_entry("min_ratio", &spec.min_ratio)?;
        }
        if let Some(max) = spec.max_dead_boards {
            map.serialize_entry("max_dead_boards", &max)?;
        }
        if let Some(max) = spec.max_dead_links {
            map.serialize_entry("max_dead_links", &max)?;
        }
        if spec.require_torus {
            map.serialize_entry("require_torus", &true)?;
        }
        if spec.priority != 0 {
            map.serialize_entry("priority", &spec.priority)?;
        }
        if !spec.note.is_empty() {
            map.serialize_entry("note", &*spec.note)?;
        }
        map.end()
    }
}

/// The state of a job as spalloc tells it; of none when there is no such job.
pub struct State<'a>(pub Option<&'a JobView>);

impl Serialize for State<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let state = self.0.map_or(JobState::Unknown, |job| job.state);
        let live = self.0.filter(|job| job.state != JobState::Destroyed);
        let mut map = serializer.serialize_map(Some(6))?;
        map.serialize_entry("state", &(state as u8))?;
        map.serialize_entry("power", &live.and_then(power))?;
        map.serialize_entry("keepalive", &live.and_then(|job| job.spec.keepalive_ms).map(seconds))?;
        map.serialize_entry("reason", &self.0.and_then(|job| job.reason.as_ref()).map(Shown))?;
        map.serialize_entry("start_time", &live.map(|job| job.created.unix_s()))?;
        map.serialize_entry("keepalivehost", &None::<&str>)?;
        map.end()
    }
}

/// The boards of a job and how to reach them, as spalloc tells it; all null while it has none.
pub struct Machine<'a>(pub Option<&'a JobMachineView>);

impl Serialize for Machine<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let held = self.0;
        let mut map = serializer.serialize_map(Some(5))?;
        map.serialize_entry("width", &held.and_then(|held| held.width))?;
        map.serialize_entry("height", &held.and_then(|held| held.height))?;
        map.serialize_entry("connections", &held.map(|held| Each(move || connections(held))))?;
        map.serialize_entry("machine_name", &held.map(|held| &*held.machine))?;
        map.serialize_entry("boards", &held.map(|held| Each(move || held.boards.iter().map(Board))))?;
        map.end()
    }
}

fn connections(held: &JobMachineView) -> impl Iterator<Item = ([u32; 2], &str)> {
    held.connections.iter().map(|(chip, host)| ([chip.x, chip.y], &**host))
}

/// Why a job waits.
pub struct Explain<'a>(pub &'a ExplainView);

impl Serialize for Explain<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let explain = self.0;
        let mut map = serializer.serialize_map(Some(7))?;
        map.serialize_entry("job_id", &explain.job.0)?;
        map.serialize_entry("state", &(explain.state as u8))?;
        map.serialize_entry("state_name", explain.state.word())?;
        map.serialize_entry("ahead", &explain.ahead)?;
        map.serialize_entry("sentence", &explain.sentence)?;
        map.serialize_entry("starts_by", &explain.starts_by.map(Moment::unix_s))?;
        map.serialize_entry("machines", &Each(|| explain.machines.iter().map(Wait)))?;
        map.end()
    }
}

/// What a job waits for on one machine.
struct Wait<'a>(&'a WaitView);

impl Serialize for Wait<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let wait = self.0;
        let out_of_use: std::collections::BTreeMap<_, _> =
            wait.out_of_use.iter().map(|(state, count)| (state.word(), count)).collect();
        let mut map = serializer.serialize_map(Some(5))?;
        map.serialize_entry("machine", &*wait.machine)?;
        map.serialize_entry("free_by", &wait.free_by.map(Moment::unix_s))?;
        map.serialize_entry("waits_for", &Each(|| wait.waits_for.iter().map(Blocker)))?;
        map.serialize_entry("out_of_use", &out_of_use)?;
        map.serialize_entry("obstacle", &wait.obstacle)?;
        map.end()
    }
}

/// A board that a job waits for.
struct Blocker<'a>(&'a BlockerView);

impl Serialize for Blocker<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let holder = self.0.holder.as_ref();
        let mut map = serializer.serialize_map(Some(5))?;
        map.serialize_entry("board", &Board(&self.0.board))?;
        map.serialize_entry("state", self.0.state.word())?;
        map.serialize_entry("job_id", &holder.map(|(job, _)| job.0))?;
        map.serialize_entry("owner", &holder.map(|(_, owner)| &**owner))?;
        map.serialize_entry("until", &self.0.until.map(Moment::unix_s))?;
        map.end()
    }
}

/// One thing that happened to a job.
pub struct Past<'a>(pub &'a (Moment, JobEvent));

impl Serialize for Past<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (at, event) = self.0;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("at", &at.unix_s())?;
        map.serialize_entry("event", word(event))?;
        map.serialize_entry("detail", &Shown(Sentence(event)))?;
        match event {
            JobEvent::Queued => {}
            JobEvent::Granted { grant, machine, boards } => {
                map.serialize_entry("grant", &grant.0)?;
                map.serialize_entry("machine", &**machine)?;
                map.serialize_entry("boards", boards)?;
            }
            JobEvent::Ready { power } | JobEvent::Powering { power } => {
                map.serialize_entry("power", power)?
            }
            JobEvent::Extended { until } => map.serialize_entry("until", &until.unix_s())?,
            JobEvent::Requeued(reason) => map.serialize_entry("reason", &**reason)?,
            JobEvent::BoardFailed { machine, board, reason } => {
                map.serialize_entry("machine", &**machine)?;
                map.serialize_entry("board", &Board(board))?;
                map.serialize_entry("reason", &**reason)?;
            }
            JobEvent::Destroyed(reason) => {
                map.serialize_entry("reason", &Shown(reason))?;
                if let Reason::Asked { by, .. } = reason {
                    map.serialize_entry("by", &**by)?;
                }
            }
        }
        map.end()
    }
}

/// The word for an event.
fn word(event: &JobEvent) -> &'static str {
    match event {
        JobEvent::Queued => "queued",
        JobEvent::Granted { .. } => "granted",
        JobEvent::Ready { .. } => "ready",
        JobEvent::Powering { .. } => "powering",
        JobEvent::Extended { .. } => "extended",
        JobEvent::Requeued(_) => "requeued",
        JobEvent::BoardFailed { .. } => "board_failed",
        JobEvent::Destroyed(_) => "destroyed",
    }
}

/// An event as people read it.
struct Sentence<'a>(&'a JobEvent);

impl fmt::Display for Sentence<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let on = |power: bool| if power { "on" } else { "off" };
        match self.0 {
            JobEvent::Queued => f.write_str("queued"),
            JobEvent::Granted { machine, boards: 1, .. } => write!(f, "granted 1 board of '{machine}'"),
            JobEvent::Granted { machine, boards, .. } => write!(f, "granted {boards} boards of '{machine}'"),
            JobEvent::Ready { power } => write!(f, "ready, boards {}", on(*power)),
            JobEvent::Powering { power } => write!(f, "switching its boards {}", on(*power)),
            JobEvent::Extended { until } => write!(f, "its lease lasts until {until}"),
            JobEvent::Requeued(reason) => write!(f, "waits again: {reason}"),
            JobEvent::BoardFailed { machine, board, reason } => {
                write!(f, "{} {reason}", board.text_in(machine))
            }
            JobEvent::Destroyed(reason) => write!(f, "destroyed: {reason}"),
        }
    }
}
