//! A message that takes time: it is taken to the desk as one visit, then whatever must be waited for is waited
//! for, then the whole list is answered.

use super::bell::Bell;
use super::conversation::{Form, Said, framed};
use super::herald::Watch;
use super::house::House;
use super::tunnel::Tunnel;
use super::{quick, reload};
use crate::clock::Moment;
use crate::config::Config;
use crate::controller::Reading;
use crate::error::{Code, Fault};
use crate::lab::ask::{Ask, Reply};
use crate::lab::command::{Caller, Command, Consult};
use crate::lab::fact::{JobId, SessionEnd, SessionKey};
use crate::lab::job::JobState;
use crate::lab::view::{BoardAddress, Query, View};
use crate::service::plan::{Came, Heard, SessionName};
use crate::service::{Asker, Function, Outcome, Plan, Planned};
use crate::session::Session;
use crate::wire::answer::Envelope;
use crate::wire::json::Raw;
use async_std::task;
use futures_util::future::{Either, join_all, select};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// The shortest time between two signs of life of somebody who waits for a job.
const SIGN_MS_MIN: u64 = 100;

/// What the waits of one connection share.
#[derive(Default)]
pub struct Waits {
    /// How many calls wait for a job.
    running: AtomicUsize,
    /// The peer will say no more, and may be gone.
    ended: AtomicBool,
}

impl Waits {
    /// The peer will say no more: its waits go on, but they are no signs of life.
    pub fn hear_end(&self) {
        self.ended.store(true, Ordering::Release);
    }
}

/// See above.
pub struct Errand {
    /// The house.
    pub house: Arc<House>,
    /// The configuration when the message came.
    pub config: Arc<Config>,
    /// Who speaks.
    pub session: Arc<Session>,
    /// The calls, by name, each understood or refused.
    pub entries: Vec<(String, Result<Begun, Fault>)>,
    /// Whether earlier messages of the connection are not answered yet.
    pub waiting: bool,
    /// The waits of the connection.
    pub waits: Arc<Waits>,
    /// How the answer leaves.
    pub form: Form,
    /// The channels of the connection.
    pub tunnel: Arc<Tunnel>,
}

/// A call that was understood.
pub enum Begun {
    /// It is to be carried out.
    Planned(Planned),
    /// The connection has done it: this came of it.
    Done(&'static Function, Came),
}

impl Begun {
    fn function(&self) -> &'static Function {
        match self {
            Begun::Planned(planned) => planned.function,
            Begun::Done(function, _) => function,
        }
    }
}

/// What is left to do for an entry after the visit.
enum Left {
    /// Nothing: this came of it.
    Came(Came),
    /// Something that must be waited for.
    Slow(Plan),
    /// So many answers of the visit; the last of them, or the first refusal, is what came of it.
    Asked(usize),
    /// Something quick that has to see what the asks before it changed.
    After(Planned),
}

impl Errand {
    /// Does it all and frames the answer.
    pub async fn run(self, named: String, id: Option<Box<str>>) -> Said {
        let Errand { house, config, session, entries, waiting, waits, form, tunnel } = self;
        let asker = quick::asker(&house, &config, &session, house.clock.now());
        let (mut asks, mut lefts, mut heads) =
            (Vec::new(), Vec::with_capacity(entries.len()), Vec::with_capacity(entries.len()));
        for (fname, plan) in entries {
            let function = plan.as_ref().ok().map(Begun::function);
            let left = match plan {
                Ok(Begun::Done(_, came)) => Left::Came(came),
                Ok(Begun::Planned(planned)) => prepare(&house, planned, &asker, waiting, &mut asks).await,
                Err(fault) => Left::Came(Err(fault)),
            };
            heads.push((fname, function));
            lefts.push(left);
        }
        // A visit that asks nothing only waits in line behind those of earlier messages.
        let mut answers = match asks.is_empty() && !waiting {
            true => Vec::new(),
            false => house.counter.visit(asker.caller.clone(), asks).await,
        }
        .into_iter();
        let slow = lefts.into_iter().map(|left| {
            let came = match left {
                Left::Came(came) => Either::Left(came),
                Left::Asked(count) => Either::Left(last_of(answers.by_ref().take(count))),
                Left::After(mut planned) => Either::Left(quick::carry_out(&house, &mut planned, &asker)),
                Left::Slow(plan) => Either::Right(plan),
            };
            finish(&house, came, &asker, &waits, &tunnel)
        });
        let came = join_all(slow.collect::<Vec<_>>()).await;
        let mut frame = Vec::new();
        framed(form, &mut frame, |text| {
            let envelope =
                Envelope { session: &named, name: &config.name, id: id.as_deref().map(Raw::known) };
            envelope.begin_list(text);
            for ((fname, function), came) in heads.iter().zip(came) {
                quick::push_entry(text, fname, *function, came, &asker, config.limits.answer_bytes_max);
            }
            envelope.end_list(text);
        });
        frame.into()
    }
}

/// The outcome of several asks: the first refusal, or the last reply.
fn last_of(answers: impl Iterator<Item = Result<Reply, Fault>>) -> Came {
    let mut last = Err(Fault::new(Code::STOPPING, "the server is shutting down; connect again later"));
    for answer in answers {
        last = answer.map(Outcome::Reply);
        if last.is_err() {
            break;
        }
    }
    last
}

/// What must be asked of the desk for a plan, and what is left to do.
async fn prepare(
    house: &House,
    planned: Planned,
    asker: &Asker<'_>,
    waiting: bool,
    asks: &mut Vec<Ask>,
) -> Left {
    if let Some(job) = planned.mentions {
        quick::mention(house, job, asker);
    }
    match planned.plan {
        Plan::Mention(_) | Plan::Sessions { .. } if waiting || !asks.is_empty() => Left::After(planned),
        Plan::Ask(ask) => asked(asks, [ask]),
        Plan::AskThenSee(command, query) => asked(asks, [Ask::Command(command), Ask::Query(query)]),
        Plan::Hash { password, then } => match house.hasher.hash(password).await {
            Ok(phc) => asked(asks, [Ask::Command(then.command(phc))]),
            Err(busy) => Left::Came(Err(busy.into())),
        },
        Plan::EndSession { session } => match find_session(house, session, asker) {
            Ok(key) => {
                asked(asks, [Ask::Command(Command::EndSession { session: key, why: SessionEnd::Ended })])
            }
            Err(fault) => Left::Came(Err(fault)),
        },
        slow @ (Plan::Wait { .. }
        | Plan::Past(_)
        | Plan::Consult { .. }
        | Plan::ConsultAll { .. }
        | Plan::OpenChannel { .. }
        | Plan::ReloadConfig) => Left::Slow(slow),
        _ => Left::Came(quick::carry_out(house, &mut Planned { mentions: None, ..planned }, asker)),
    }
}

fn asked<const N: usize>(asks: &mut Vec<Ask>, more: [Ask; N]) -> Left {
    asks.extend(more);
    Left::Asked(N)
}

/// The one session that is meant; whether the caller may end it is the lab's to say.
fn find_session(house: &House, name: SessionName, asker: &Asker<'_>) -> Result<SessionKey, Fault> {
    let unknown = || Fault::new(Code::SESSION_UNKNOWN, "no living session has this id");
    if let SessionName::Id(id) = name {
        return Ok(SessionKey(id.to_bits()));
    }
    let all = house.counter.sessions.snapshot(house.clock.now());
    let may_see = |session: &&Arc<Session>| {
        asker.caller.role == crate::user::Role::Admin || session.user == asker.caller.user
    };
    let mut named = all.iter().filter(|session| name.names(session.id)).filter(may_see);
    match (named.next(), named.next()) {
        (Some(one), None) => Ok(SessionKey(one.id.to_bits())),
        (Some(_), Some(_)) => {
            Err(Fault::new(Code::SESSION_UNKNOWN, "several sessions begin so; give the whole id"))
        }
        _ => Err(unknown()),
    }
}

/// Does what must be waited for.
async fn finish(
    house: &Arc<House>,
    left: Either<Came, Plan>,
    asker: &Asker<'_>,
    waits: &Arc<Waits>,
    tunnel: &Tunnel,
) -> Came {
    match left {
        Either::Left(came) => came,
        Either::Right(Plan::Wait { job, until, timeout_ms }) => {
            let running = waits.running.fetch_add(1, Ordering::AcqRel);
            let counted = Counted(waits.clone());
            if running >= house.config().limits.waits_max {
                return Err(Fault::new(Code::TOO_MANY_WAITS, Code::TOO_MANY_WAITS.row().meaning));
            }
            let came = wait(house, job, until, timeout_ms, asker, waits).await;
            drop(counted);
            came
        }
        Either::Right(Plan::Past(job)) => past(house, job).await,
        Either::Right(Plan::OpenChannel { job, board, port }) => tunnel.open(asker, job, board, port).await,
        Either::Right(Plan::Consult { address, what }) => {
            let at = house
                .counter
                .see(|lab| lab.consult(&asker.caller, &address))
                .map_err(|refusal| refusal.fault())?;
            let reading = house.hardware.consult(at, what).await.map_err(|error| error.fault())?;
            Ok(Outcome::Heard(match reading {
                Reading::Done => Heard::Done,
                Reading::Sensors(sensors) => Heard::Sensors(sensors),
                Reading::Said(words) => Heard::Said(words),
            }))
        }
        Either::Right(Plan::ConsultAll { serials, what }) => {
            let obeyed = consult_all(house, serials, what, &asker.caller).await;
            obeyed.map(Outcome::Obeyed)
        }
        Either::Right(_) => {
            // Whoever ordered it may hang up meanwhile; it is done wholly all the same.
            let house = house.clone();
            task::spawn(async move { reload::reload(&house).await }).await.map(Outcome::Changed)
        }
    }
}

/// Puts a question to several boards, or to none if it may not be put to all. Those that fail are left out of the answer.
pub async fn consult_all(
    house: &House,
    serials: Vec<Arc<str>>,
    what: Consult,
    caller: &Caller,
) -> Result<Vec<Arc<str>>, Fault> {
    let allowed = house.counter.see(|lab| {
        let address = |serial: &Arc<str>| BoardAddress::Serial { machine: None, serial: serial.clone() };
        serials.iter().map(|serial| lab.consult(caller, &address(serial))).collect::<Result<Vec<_>, _>>()
    });
    let allowed = allowed.map_err(|refusal| refusal.fault())?;
    let asked = join_all(allowed.into_iter().map(|at| house.hardware.consult(at, what.clone()))).await;
    let obeyed = serials.into_iter().zip(asked).filter(|(_, said)| said.is_ok());
    Ok(obeyed.map(|(serial, _)| serial).collect())
}

/// What happened to a job, from wherever all of it is known; what the lab remembers if the journal knows no more.
async fn past(house: &House, job: JobId) -> Came {
    let remembered = || quick::see(house, &Query::JobHistory(job)).map(Outcome::Reply);
    let Some(archive) = quick::archive_of(house, job) else { return remembered() };
    let specs = house.counter.see(|lab| lab.machine_specs().cloned().collect());
    match archive.past(job, specs).await {
        Ok(past) => Ok(Outcome::Reply(Reply::Seen(View::JobHistory(past)))),
        Err(fault) if fault.code == Code::JOB_UNKNOWN => remembered().map_err(|_| fault),
        Err(fault) => Err(fault),
    }
}

/// A wait that is counted until it is over, however it ends.
struct Counted(Arc<Waits>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Waits until a job has come so far, or is over, or the time is up. Its owner keeps it alive meanwhile.
async fn wait(
    house: &Arc<House>,
    job: JobId,
    until: JobState,
    timeout_ms: u64,
    asker: &Asker<'_>,
    waits: &Waits,
) -> Came {
    let bell = Arc::new(Bell::default());
    let watcher = house.counter.herald.subscribe(bell.clone());
    watcher.watch(Watch::Job(Some(job)))?;
    let time_up = house.clock.now().plus_ms(timeout_ms);
    loop {
        watcher.take();
        if !waits.ended.load(Ordering::Acquire) {
            quick::mention(house, job, asker);
        }
        let seen = quick::see(house, &Query::Job(job))?;
        let Reply::Seen(View::Job(view)) = &seen else { return Ok(Outcome::Reply(seen)) };
        let now = house.clock.now();
        if view.state >= until || now >= time_up || house.end().is_some() {
            return Ok(Outcome::Reply(seen));
        }
        let sign_ms = view.spec.keepalive_ms.map_or(timeout_ms, |ms| (ms / 3).max(SIGN_MS_MIN));
        sleep(house, &bell, time_up.min(now.plus_ms(sign_ms))).await;
    }
}

/// Sleeps until the bell rings, the moment comes, or the house closes.
async fn sleep(house: &House, bell: &Bell, until: Moment) {
    let rung = pin!(bell.heard());
    let due = pin!(house.clock.sleep_until(until));
    select(rung, select(due, pin!(house.closing()))).await;
}
