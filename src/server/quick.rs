//! What is done for a call on the spot: questions to the lab as last kept, signs of life, lists of sessions.

use super::archive::Archive;
use super::conversation::{Form, framed};
use super::house::House;
use super::post;
use crate::clock::Moment;
use crate::config::Config;
use crate::error::{Code, Fault};
use crate::journal::Counts;
use crate::lab::ask::{Ask, Reply};
use crate::lab::command::Caller;
use crate::lab::fact::JobId;
use crate::lab::view::{Query, ReservedView, View};
use crate::notice::Pending;
use crate::service::dispatch;
use crate::service::plan::{Came, JournalCounts};
use crate::service::{self, Asker, Door, Function, Outcome, Plan, Planned};
use crate::session::Session;
use crate::wire::answer::Envelope;
use crate::wire::call;
use serde::Serialize;
use std::sync::Arc;

/// Who calls, as functions see it.
pub fn asker<'a>(house: &'a House, config: &'a Config, session: &'a Session, now: Moment) -> Asker<'a> {
    Asker {
        caller: Caller { user: session.user.clone(), role: session.role() },
        session: session.id,
        client: &session.client,
        opened: session.opened,
        expires: session.expires(),
        now,
        door: Door {
            name: &config.name,
            uptime_ms: now.ms_since(house.opened),
            listen: house.listen(),
            connections: house.connections(),
            journal: journal_counts(house),
            book: &*house.hardware.book,
            workers: &*house.hardware,
        },
    }
}

fn journal_counts(house: &House) -> JournalCounts {
    let Counts { appends, facts, syncs, snapshots, expired, .. } = house.counter.counts();
    JournalCounts { appends, facts, syncs, snapshots, expired }
}

/// Whether a plan can be carried out on the spot. While earlier messages wait, questions to the lab wait too.
pub fn is_quick(house: &House, planned: &Planned, waiting: bool) -> bool {
    match &planned.plan {
        Plan::Ready(_) | Plan::Watch(_) | Plan::UseChannel(_) | Plan::Agent(_) | Plan::LogLevel(_) => true,
        Plan::Workers { .. } => true,
        Plan::Mention(_) | Plan::Sessions { .. } => !waiting,
        Plan::Ask(ask) => ask.only_reads() && !waiting,
        Plan::Past(job) => !waiting && archive_of(house, *job).is_none(),
        _ => false,
    }
}

/// Carries out a plan that is quick, but for what belongs to a connection. What is ready is taken out of it.
pub fn carry_out(house: &House, planned: &mut Planned, asker: &Asker<'_>) -> Came {
    if let Some(job) = planned.mentions {
        mention(house, job, asker);
    }
    match &mut planned.plan {
        Plan::Ready(result) => Ok(Outcome::Ready(std::mem::take(result))),
        Plan::Ask(Ask::Query(query)) => see(house, query).map(Outcome::Reply),
        Plan::Past(job) => past(house, *job),
        Plan::Workers { machine } => post::workers(house, machine.as_ref()),
        Plan::Mention(job) => keep_alive(house, *job, asker),
        Plan::Sessions { user } => Ok(Outcome::Sessions(sessions(house, user.as_ref()))),
        Plan::LogLevel(level) => log_level(house, *level),
        _ => Ok(Outcome::Nothing),
    }
}

/// An answer of the lab as last kept.
pub fn see(house: &House, query: &Query) -> Result<Reply, Fault> {
    house.counter.see(|lab| lab.see(query)).map(Reply::Seen).map_err(|refusal| refusal.fault())
}

/// The past of a job of which the lab remembered everything a moment ago.
fn past(house: &House, job: JobId) -> Came {
    see(house, &Query::JobHistory(job)).map(Outcome::Reply).map_err(|fault| match archive_of(house, job) {
        Some(_) => Fault::new(Code::TIME_OUT, format!("job {job} was forgotten this very moment; ask again")),
        None => fault,
    })
}

/// Where the past of a job must be looked up, if the lab does not remember all of it.
pub fn archive_of(house: &House, job: JobId) -> Option<&Archive> {
    house.archive.as_ref().filter(|_| !house.counter.see(|lab| lab.remembers_all_of(job)))
}

/// A sign of life, if the caller may give one for this job.
pub fn mention(house: &House, job: JobId, asker: &Asker<'_>) {
    if house.counter.see(|lab| dispatch::is_sign_of_life(lab, &asker.caller, job)) {
        house.counter.signs.note(job, house.clock.now());
    }
}

fn keep_alive(house: &House, job: JobId, asker: &Asker<'_>) -> Came {
    house.counter.see(|lab| dispatch::mention(lab, &asker.caller, job)).map_err(|refusal| refusal.fault())?;
    house.counter.signs.note(job, house.clock.now());
    Ok(Outcome::Nothing)
}

fn sessions(house: &House, user: Option<&crate::user::UserName>) -> Vec<Arc<Session>> {
    let now = house.clock.now();
    match user {
        Some(user) => house.counter.sessions.of_user(user, now),
        None => house.counter.sessions.snapshot(now),
    }
}

fn log_level(house: &House, level: Option<&'static str>) -> Came {
    match level {
        None => Ok(Outcome::LogLevel(house.log.level().into())),
        Some(level) => {
            house.log.set_level(level).map_err(|why| Fault::new(Code::UNKNOWN_NAME, why))?;
            tracing::info!(level, "the level of the log was set");
            Ok(Outcome::Nothing)
        }
    }
}

/// What is said instead of an answer that is too large.
pub fn too_large() -> Fault {
    Fault::new(Code::ANSWER_TOO_LARGE, Code::ANSWER_TOO_LARGE.row().meaning)
}

/// Appends one entry of the list of answers; one that is too large is refused alone.
pub fn push_entry(
    text: &mut Vec<u8>,
    fname: &str,
    function: Option<&'static Function>,
    came: Came,
    asker: &Asker<'_>,
    bytes_max: usize,
) {
    let start = text.len();
    call::begin_data(text, fname);
    let written = match function {
        Some(function) => service::write_answer(function, came, asker, text),
        None => came.map(drop),
    };
    call::end_data(text);
    if let Err(fault) = written.and_then(|()| if text.len() > bytes_max { Err(too_large()) } else { Ok(()) })
    {
        text.truncate(start);
        call::push_error(text, fname, &fault);
    }
}

/// What changed, as watchers read it.
#[derive(Serialize)]
struct JobsChanged<'a> {
    jobs_changed: &'a [u64],
    #[serde(skip_serializing_if = "is_zero")]
    lost: u64,
}

/// What changed, as watchers read it.
#[derive(Serialize)]
struct MachinesChanged<'a> {
    machines_changed: &'a [&'a str],
}

fn is_zero(lost: &u64) -> bool {
    *lost == 0
}

/// What ends soon, as watchers read it.
#[derive(Serialize)]
struct ReservationsEnding<'a> {
    reservations_ending: Vec<Ending<'a>>,
}

/// A reservation that ends soon.
#[derive(Serialize)]
struct Ending<'a> {
    job_id: u64,
    serial: &'a str,
    ends_at: f64,
}

impl Ending<'_> {
    fn of(reserved: &ReservedView) -> Ending<'_> {
        Ending { job_id: reserved.job.0, serial: &reserved.serial, ends_at: reserved.ends_at.unix_s() }
    }
}

/// How many boards can be reserved, as watchers read it.
#[derive(Serialize)]
struct DevicesAvailable {
    amount: usize,
}

/// Reservations whose lease ends soon, as they are now: one that has ended meanwhile is none any more.
fn push_ending(house: &House, form: Form, envelope: &Envelope<'_>, jobs: &[u64], out: &mut Vec<u8>) {
    let jobs = jobs.iter().map(|job| JobId(*job)).collect();
    let Ok(Reply::Seen(View::Reserved(reserved))) = see(house, &Query::Reserved(jobs)) else { return };
    let reservations_ending: Vec<_> = reserved.iter().map(Ending::of).collect();
    if !reservations_ending.is_empty() {
        let data = ReservationsEnding { reservations_ending };
        framed(form, out, |text| envelope.push_event(text, "reservations_ending", &data));
    }
}

/// Appends an event for the jobs, one for the machines that changed, and those about reservations.
pub fn push_notices(
    house: &House,
    form: Form,
    envelope: &Envelope<'_>,
    pending: &Pending,
    out: &mut Vec<u8>,
) {
    if !pending.jobs.is_empty() || pending.lost > 0 {
        let data = JobsChanged { jobs_changed: &pending.jobs, lost: pending.lost };
        framed(form, out, |text| envelope.push_event(text, "jobs_changed", &data));
    }
    if !pending.machines.is_empty() {
        let names: Vec<&str> = pending.machines.iter().map(|name| &**name).collect();
        let data = MachinesChanged { machines_changed: &names };
        framed(form, out, |text| envelope.push_event(text, "machines_changed", &data));
    }
    if !pending.ending.is_empty() {
        push_ending(house, form, envelope, &pending.ending, out);
    }
    if let Some(amount) = pending.available {
        let data = DevicesAvailable { amount };
        framed(form, out, |text| envelope.push_event(text, "devices_available", &data));
    }
}
