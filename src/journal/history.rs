//! What happened to one job, out of a journal that may be long: found by bisection, because the numbers of jobs grow
//! with those of facts, and followed from there to its end. Only facts that can concern the job are decoded, and no
//! look-up walks over more than `FACTS_MAX` of them.
//!
//! What is deliberately not here: the history of everything (`lab::history`), and who may ask.

use super::record::RecordError;
use super::{Entry, JournalError};
use crate::clock::Moment;
use crate::lab::fact::{Event, Fact, JobId, MachineName};
use crate::lab::history::Telling;
use crate::lab::job::JobEvent;
use crate::lab::machine::MachineSpec;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow::{self, Break, Continue};
use std::sync::Arc;

/// How many facts one look-up walks over at most: a few seconds' work.
const FACTS_MAX: u64 = 4_000_000;

/// How many events of a job one look-up gathers at most.
const EVENTS_MAX: usize = 100_000;

/// How many facts are looked at in one step back.
const BACK_AT_ONCE: u64 = 10_000;

/// A journal as it is asked for the past of jobs, beside the one that is written.
pub trait History: Send + Sync {
    /// What happened to a job. `specs` are the machines as they are now, for boards whose machine joined before it.
    fn job(&self, job: JobId, specs: &[Arc<MachineSpec>]) -> Result<Past, JournalError>;
}

/// What a journal has to say of a job.
#[derive(Clone, Debug, PartialEq)]
pub enum Past {
    /// Everything that happened to it so far, the oldest first.
    Whole(Vec<(Moment, JobEvent)>),
    /// Nothing. If facts were deleted, the first that is kept was decided then.
    Nothing(Option<Moment>),
    /// More than one look-up may walk over.
    TooLong,
}

/// Facts with numbers.
pub trait Facts {
    /// The first number that is kept.
    fn first(&self) -> u64;

    /// The last number.
    fn last(&self) -> u64;

    /// Walks over these facts, all of which must be there, until `take` has enough.
    fn walk(&self, from: u64, to: u64, take: Take<'_>) -> Result<(), JournalError>;
}

/// Who looks at facts, until enough were seen.
pub type Take<'a> = &'a mut dyn FnMut(Seen<'_>) -> Result<ControlFlow<()>, RecordError>;

/// A fact that may not be decoded yet.
pub enum Seen<'a> {
    /// As it lies in a file.
    Stored(Entry<'a>),
    /// As it is in memory, with its number.
    Known(u64, &'a Fact),
}

/// Whom a fact can concern.
enum Concern {
    /// This job.
    Job(JobId),
    /// Whoever has a certain board.
    Holder,
    /// Whoever has boards of a certain machine.
    Machine,
    /// No job.
    Nobody,
}

impl Seen<'_> {
    fn seq(&self) -> u64 {
        match self {
            Seen::Stored(entry) => entry.seq,
            Seen::Known(seq, _) => *seq,
        }
    }

    fn at(&self) -> Moment {
        match self {
            Seen::Stored(entry) => entry.at,
            Seen::Known(_, fact) => fact.at,
        }
    }

    fn fact(&self) -> Result<Fact, RecordError> {
        match self {
            Seen::Stored(entry) => entry.fact(),
            Seen::Known(_, fact) => Ok((*fact).clone()),
        }
    }

    fn is_queued(&self) -> bool {
        match self {
            Seen::Stored(entry) => entry.kind() == b"job_queued",
            Seen::Known(_, fact) => matches!(fact.event, Event::JobQueued { .. }),
        }
    }

    fn is_granted(&self) -> bool {
        match self {
            Seen::Stored(entry) => entry.kind() == b"job_granted",
            Seen::Known(_, fact) => matches!(fact.event, Event::JobGranted { .. }),
        }
    }

    /// Whom it can concern; decodes it only if its body begins otherwise than ours do.
    fn concern(&self) -> Result<Concern, RecordError> {
        match self {
            Seen::Known(_, fact) => Ok(concern_of(fact)),
            Seen::Stored(entry) => match entry.kind() {
                kind if kind.starts_with(b"job_") => match job_in(entry.body()) {
                    Some(job) => Ok(Concern::Job(job)),
                    None => Ok(concern_of(&entry.fact()?)),
                },
                b"board_quarantined" | b"board_tested" => Ok(Concern::Holder),
                kind if kind.starts_with(b"machine_") => Ok(Concern::Machine),
                _ => Ok(Concern::Nobody),
            },
        }
    }
}

fn concern_of(fact: &Fact) -> Concern {
    match &fact.event {
        Event::JobQueued { job, .. }
        | Event::JobGranted { job, .. }
        | Event::JobReady { job, .. }
        | Event::JobPowering { job, .. }
        | Event::JobRequeued { job, .. }
        | Event::JobDestroyed { job, .. } => Concern::Job(*job),
        Event::BoardQuarantined { .. } | Event::BoardTested { .. } => Concern::Holder,
        Event::MachineAdded { .. } | Event::MachineChanged { .. } | Event::MachineRemoved { .. } => {
            Concern::Machine
        }
        _ => Concern::Nobody,
    }
}

/// The number at the beginning of a body, if it begins as ours do.
fn job_in(body: &[u8]) -> Option<JobId> {
    let rest = body.strip_prefix(b"{\"job\":")?;
    let digits = rest.iter().position(|byte| !byte.is_ascii_digit())?;
    let (digits, rest) = rest.split_at(digits);
    let ends = rest.first().is_some_and(|byte| matches!(byte, b',' | b'}'));
    std::str::from_utf8(digits).ok().filter(|_| ends)?.parse().ok().map(JobId)
}

/// What happened to a job, out of these facts.
pub fn past_of(facts: &dyn Facts, job: JobId, specs: &[Arc<MachineSpec>]) -> Result<Past, JournalError> {
    let mut walk = Walk { facts, left: FACTS_MAX };
    match walk.find(job)? {
        Some(seq) => match walk.follow(seq, job, specs)? {
            (past, unknown) if unknown.is_empty() => Ok(past),
            (_, unknown) => {
                let found = walk.machines_before(seq, unknown)?;
                let specs: Vec<_> = specs.iter().cloned().chain(found).collect();
                Ok(walk.follow(seq, job, &specs)?.0)
            }
        },
        None if walk.left == 0 => Ok(Past::TooLong),
        None => Ok(Past::Nothing(walk.since()?)),
    }
}

/// A look-up, and how many facts it may still look at.
struct Walk<'a> {
    facts: &'a dyn Facts,
    left: u64,
}

impl Walk<'_> {
    /// Where a job was queued.
    fn find(&mut self, job: JobId) -> Result<Option<u64>, JournalError> {
        // If it is there, it is in `low..high`.
        let (mut low, mut high) = (self.facts.first(), self.facts.last() + 1);
        while low < high && self.left > 0 {
            let middle = low + (high - low) / 2;
            match self.next_queued(middle, high)? {
                Some((seq, found)) if found == job => return Ok(Some(seq)),
                Some((seq, found)) if found < job => low = seq + 1,
                _ => high = middle,
            }
        }
        Ok(None)
    }

    /// The first job that was queued from `from` on and before `end`.
    fn next_queued(&mut self, from: u64, end: u64) -> Result<Option<(u64, JobId)>, JournalError> {
        let (mut found, left) = (None, &mut self.left);
        self.facts.walk(from, end - 1, &mut |seen| {
            *left = left.saturating_sub(1);
            if seen.is_queued()
                && let Concern::Job(job) = seen.concern()?
            {
                found = Some((seen.seq(), job));
            }
            Ok(if found.is_some() || *left == 0 { Break(()) } else { Continue(()) })
        })?;
        Ok(found)
    }

    /// All that happened to a job from the fact that queued it on, and the machines of which boards could not be named.
    fn follow(
        &mut self,
        from: u64,
        job: JobId,
        specs: &[Arc<MachineSpec>],
    ) -> Result<(Past, BTreeSet<MachineName>), JournalError> {
        let (mut telling, mut past) = (Telling::of(job, specs.iter().cloned()), Vec::new());
        let (mut too_long, left) = (false, &mut self.left);
        self.facts.walk(from, self.facts.last(), &mut |seen| {
            if *left == 0 || past.len() >= EVENTS_MAX {
                too_long = true;
                return Ok(Break(()));
            }
            *left -= 1;
            let concerns = match seen.concern()? {
                Concern::Job(other) if other != job => seen.is_granted() && telling.has_boards_aside(),
                Concern::Job(_) | Concern::Machine => true,
                Concern::Holder => telling.has_loans(),
                Concern::Nobody => false,
            };
            if !concerns {
                return Ok(Continue(()));
            }
            if let Some((_, event)) = telling.take(&seen.fact()?) {
                past.push((seen.at(), event));
            }
            let over = matches!(past.last(), Some((_, JobEvent::Destroyed(_))));
            Ok(if over { Break(()) } else { Continue(()) })
        })?;
        let unknown = telling.unknown_machines().clone();
        Ok((if too_long { Past::TooLong } else { Past::Whole(past) }, unknown))
    }

    /// What machines that are gone now were made of before a fact, as far as that can be found.
    fn machines_before(
        &mut self,
        mut end: u64,
        mut wanted: BTreeSet<MachineName>,
    ) -> Result<Vec<Arc<MachineSpec>>, JournalError> {
        let (first, mut found) = (self.facts.first(), Vec::new());
        while end > first && self.left > 0 && !wanted.is_empty() {
            let from = first.max(end.saturating_sub(BACK_AT_ONCE));
            let (mut last, left) = (BTreeMap::new(), &mut self.left);
            self.facts.walk(from, end - 1, &mut |seen| {
                *left = left.saturating_sub(1);
                if let Concern::Machine = seen.concern()?
                    && let Event::MachineAdded { spec, .. } | Event::MachineChanged { spec, .. } =
                        seen.fact()?.event
                {
                    last.insert(spec.name.clone(), spec);
                }
                Ok(Continue(()))
            })?;
            last.retain(|name, _| wanted.remove(name));
            found.extend(last.into_values());
            end = from;
        }
        Ok(found)
    }

    /// When the first fact was decided that is kept, if there were others before.
    fn since(&self) -> Result<Option<Moment>, JournalError> {
        let (first, mut since) = (self.facts.first(), None);
        if first > 1 {
            self.facts.walk(first, first, &mut |seen| {
                since = Some(seen.at());
                Ok(Break(()))
            })?;
        }
        Ok(since)
    }
}
