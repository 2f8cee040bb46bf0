//! The desk: the one thread that owns the lab, and the counter where everybody else meets it.
//!
//! The desk waits for news, takes all that is ready, and hands it to `rounds`, which works without waiting. Only when
//! a round is kept do readers see its facts, is hardware told, do watchers hear, and are callers answered. What the
//! journal can put off is done when nobody waits.

use super::changes::Changes;
use super::channels::Channels;
use super::ear::Ear;
use super::hardware::Hardware;
use super::herald::{Bells, Herald};
use super::rounds::{self, Done, Heard, Rounds};
use super::signs::{Hosts, Signs};
use super::tally::Tally;
use crate::clock::{Clock, Moment};
use crate::error::{Code, Fault};
use crate::journal::{Counts, Journal, JournalError};
use crate::lab::Lab;
use crate::lab::ask::{Ask, Reply};
use crate::lab::command::{Caller, Command};
use crate::lab::effect::Effect;
use crate::lab::fact::{Event, Fact, JobId, MachineName, SessionKey};
use crate::lab::job::JobState;
use crate::lab::view::{Query, Reservable, View};
use crate::session::{Session, SessionId, Sessions};
use async_channel::{Receiver, Sender};
use futures_channel::oneshot;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

/// How much news one round takes in, so that nobody waits long for an answer.
const ROUND_NEWS_MAX: usize = 4096;

/// What hardware said waits so long at most for news to be kept with.
const COMPANY_SPAN_MAX: Duration = Duration::from_millis(1);

/// For how long it is told that the journal had no room, unless it has been written to since.
const FULL_TOLD_MS: u64 = 10_000;

pub use rounds::Answers;

/// Everything the desk hears of.
pub type News = rounds::News<oneshot::Sender<Answers>>;

/// The asks of one message, and the caller who waits for what comes of them.
pub type Visit = rounds::Visit<oneshot::Sender<Answers>>;

/// The number of what lists show: while it is the same, so are they.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Number {
    version: u64,
    noted: u64,
}

/// Where everyone else finds what the desk knows and leaves news for it.
pub struct Counter {
    /// The lab as last kept.
    pub lab: RwLock<Lab>,
    /// Who speaks.
    pub sessions: Sessions,
    /// Who watches.
    pub herald: Arc<Herald>,
    /// Which jobs were mentioned.
    pub signs: Signs,
    /// Who speaks to boards.
    pub channels: Channels,
    /// From where.
    hosts: Hosts,
    /// What lists of jobs and machines show, by when it changed.
    changes: Changes,
    /// Grows when readers see signs of life.
    noted: AtomicU64,
    /// What the journal did so far.
    counts: RwLock<Counts>,
    /// What is counted as it happens.
    pub tally: Tally,
    /// When the journal last had no room, if nothing was written since; in milliseconds, 0 for never.
    full_ms: AtomicU64,
    news: Sender<News>,
}

impl Counter {
    /// A counter for a lab that was replayed, and the end at which the desk listens.
    pub fn new(lab: Lab, herald: Arc<Herald>, now: Moment) -> (Counter, Receiver<News>) {
        let (news, heard) = async_channel::unbounded();
        let (sessions, signs) = (Sessions::new(), Signs::default());
        let (lab, counts) = (RwLock::new(lab), RwLock::default());
        let (hosts, changes, noted) = (Hosts::default(), Changes::default(), AtomicU64::new(0));
        let channels = Channels::default();
        let (tally, full_ms) = (Tally::new(), AtomicU64::new(0));
        let counter = Counter {
            lab,
            sessions,
            herald,
            signs,
            channels,
            hosts,
            changes,
            noted,
            counts,
            tally,
            full_ms,
            news,
        };
        counter.find_sessions(now);
        (counter, heard)
    }

    /// Asks the lab as last kept; never waits for a disk.
    pub fn see<T>(&self, look: impl FnOnce(&Lab) -> T) -> T {
        look(&self.lab.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The same, and the number of what was seen: while it is the same, so is what lists of jobs and machines show.
    pub fn see_numbered<T>(&self, look: impl FnOnce(&Lab) -> T) -> (u64, T) {
        let lab = self.lab.read().unwrap_or_else(PoisonError::into_inner);
        // Facts raise it while nobody can look; a host that is noted meanwhile makes what is seen here old at once.
        (self.version(), look(&lab))
    }

    /// The number of what lists of jobs and machines show now.
    pub fn version(&self) -> u64 {
        self.changes.number()
    }

    /// The jobs that are shown otherwise since then; none when that is not known any more.
    pub fn changed_since(&self, number: u64) -> Option<Vec<JobId>> {
        self.changes.since(number)
    }

    /// The number of all that lists show now, signs of life included.
    pub fn number(&self) -> Number {
        Number { version: self.version(), noted: self.noted.load(Ordering::Acquire) }
    }

    /// Asks the lab as last kept, and tells the number of what was seen.
    pub fn see_noted<T>(&self, look: impl FnOnce(&Lab) -> T) -> (Number, T) {
        let lab = self.lab.read().unwrap_or_else(PoisonError::into_inner);
        // Both grow while nobody can look.
        (self.number(), look(&lab))
    }

    /// A job was mentioned from a host. One that is over, or not known yet, has none.
    pub fn note_host(&self, job: JobId, host: IpAddr) {
        self.note_live(job, host, || {});
    }

    /// The same, by somebody who may keep the job alive. Numbers that are no live job's leave nothing behind, so that making
    /// them up costs no memory.
    pub fn note_sign(&self, job: JobId, host: IpAddr, now: Moment) {
        self.note_live(job, host, || self.signs.note(job, now));
    }

    fn note_live(&self, job: JobId, host: IpAddr, note: impl FnOnce()) {
        // The lab is held until it is noted, so that no job is forgotten before.
        let news = self.see(|lab| {
            if let JobState::Unknown | JobState::Destroyed = lab.state_of(job) {
                return false;
            }
            note();
            self.hosts.note(job, host)
        });
        if news {
            self.changes.note_job(job);
        }
    }

    /// From which host a job was mentioned last.
    pub fn host_of(&self, job: JobId) -> Option<IpAddr> {
        self.hosts.of(job)
    }

    /// What the journal did since the server was opened.
    pub fn counts(&self) -> Counts {
        *self.counts.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the journal had room when it was last written to, or that is too long ago to count.
    pub fn could_write(&self, now: Moment) -> bool {
        let full = Moment(self.full_ms.load(Ordering::Acquire));
        full == Moment(0) || now.ms_since(full) > FULL_TOLD_MS
    }

    /// Leaves news for the desk; false when it has closed.
    pub fn tell(&self, news: News) -> bool {
        self.news.try_send(news).is_ok()
    }

    /// Visits the desk and waits for what came of it, kept.
    pub async fn visit(&self, caller: Caller, asks: Vec<Ask>) -> Answers {
        let count = asks.len();
        let (answer, answered) = oneshot::channel();
        self.tell(News::Visit(Visit { caller, asks, answer }));
        match answered.await {
            Ok(answers) => answers,
            Err(_) => (0..count).map(|_| Err(stopping())).collect(),
        }
    }

    /// Visits the desk with one command.
    pub async fn command(&self, caller: Caller, command: Command) -> Result<Reply, Fault> {
        self.visit(caller, vec![Ask::Command(command)]).await.pop().unwrap_or_else(|| Err(stopping()))
    }

    /// Enters the sessions of the lab into the table; each has its whole span again.
    fn find_sessions(&self, now: Moment) {
        self.see(|lab| {
            for over in lab.sessions_over() {
                self.bury(over, now);
            }
            for (key, record) in lab.sessions() {
                let id = SessionId::from_bits(key.0);
                let session = Session::new(
                    id,
                    record.user.clone(),
                    record.role,
                    record.client.clone(),
                    record.opened,
                    record.span_ms,
                );
                session.renew(now);
                self.sessions.open(session);
            }
        });
    }

    /// Remembers a session that ended before this server started.
    fn bury(&self, key: SessionKey, now: Moment) {
        let id = SessionId::from_bits(key.0);
        let (user, role) = (crate::user::UserName::guest(), crate::user::Role::Guest);
        self.sessions.open(Session::new(id, user, role, "".into(), now, 0));
        self.sessions.end(&id, now);
    }

    /// What a round begins with when this is the news. Signs of life reach readers on the way, and options too: they are
    /// no facts, so nobody waits until they are kept.
    pub fn hear<T>(&self, now: Moment, news: Vec<rounds::News<T>>) -> Heard<T> {
        let signs = self.signs.take();
        if !signs.is_empty() {
            let mut shown = self.lab.write().unwrap_or_else(PoisonError::into_inner);
            shown.note(&signs);
            self.noted.fetch_add(1, Ordering::AcqRel);
        }
        self.hear_options(&news);
        Heard { signs, news, expired: self.expired(now) }
    }

    /// The same while nothing can be written: what is not news can wait.
    pub fn hear_closed<T>(&self, news: Vec<rounds::News<T>>) -> Heard<T> {
        self.hear_options(&news);
        Heard { signs: Vec::new(), news, expired: Vec::new() }
    }

    fn hear_options<T>(&self, news: &[rounds::News<T>]) {
        for item in news {
            if let rounds::News::Options(options) = item {
                let mut shown = self.lab.write().unwrap_or_else(PoisonError::into_inner);
                shown.set_options(options.clone());
                self.changes.note_all();
            }
        }
    }

    /// Sessions whose span ran out.
    fn expired(&self, now: Moment) -> Vec<SessionKey> {
        let mut expired = Vec::new();
        while self.sessions.next_expiry().is_some_and(|at| at <= now) {
            expired.extend(self.sessions.poll_expired(now).iter().map(|id| SessionKey(id.to_bits())));
        }
        expired
    }

    /// Makes kept facts visible to readers, and cuts the channels they end: before any order to hardware leaves.
    pub fn show(&self, facts: &[Fact]) {
        let mut shown = self.lab.write().unwrap_or_else(PoisonError::into_inner);
        for fact in facts {
            self.tally.count(fact, &shown);
            shown.apply(fact);
        }
        self.full_ms.store(0, Ordering::Release);
        self.changes.note_facts(facts);
        drop(shown);
        facts.iter().for_each(|fact| self.follow(fact));
        if self.channels.concern(facts) {
            self.see(|lab| self.channels.review(facts, lab));
        }
    }

    /// Brings the table of sessions to a fact that was kept.
    fn follow(&self, fact: &Fact) {
        match &fact.event {
            Event::SessionOpened { session, user, role, client, span_ms } => {
                let id = SessionId::from_bits(session.0);
                self.sessions.open(Session::new(id, user.clone(), *role, client.clone(), fact.at, *span_ms));
            }
            Event::SessionEnded { session, .. } => {
                self.sessions.end(&SessionId::from_bits(session.0), fact.at);
            }
            Event::JobDestroyed { job, .. } => self.hosts.forget(*job),
            Event::RoleSet { user, role } => self.sessions.role_changed(user, *role),
            _ => {}
        }
    }
}

/// What is said to whoever comes too late.
fn stopping() -> Fault {
    Fault::new(Code::STOPPING, "the server is shutting down; connect again later")
}

/// What watchers have to hear of a round.
#[derive(Default)]
struct Changed {
    jobs: BTreeSet<u64>,
    machines: BTreeSet<MachineName>,
    /// Reservations whose lease ends soon.
    ending: BTreeSet<u64>,
}

/// The desk itself.
pub struct Desk {
    rounds: Rounds,
    counter: Arc<Counter>,
    ear: Ear,
    hardware: Arc<Hardware>,
    clock: Clock,
    /// How long the last round that wrote to the journal took.
    write_span: Duration,
}

impl Desk {
    /// A desk for a lab that is equal to the counter's.
    pub fn new(
        lab: Lab,
        counter: Arc<Counter>,
        heard: Receiver<News>,
        journal: Box<dyn Journal>,
        hardware: Arc<Hardware>,
        clock: Clock,
    ) -> Desk {
        let (rounds, ear) = (Rounds::new(lab, journal), Ear::new(heard, clock.clone()));
        Desk { rounds, counter, ear, hardware, clock, write_span: Duration::ZERO }
    }

    /// Works until it is told to stop, or until the journal is broken: then says why.
    pub fn run(mut self) -> Result<(), JournalError> {
        let ended = self.work();
        if let Err(broken) = &ended {
            tracing::error!(%broken, "the desk stops");
        }
        ended
    }

    fn work(&mut self) -> Result<(), JournalError> {
        loop {
            let news = self.wait();
            if !self.round(news)? {
                return self.close();
            }
        }
    }

    /// Waits for the first news, or until something is due; takes all that is there then.
    fn wait(&self) -> Vec<News> {
        let first = self.ear.try_hear().or_else(|| self.ear.hear_until(self.due()));
        let mut news: Vec<_> = first.into_iter().collect();
        self.take_ready(&mut news);
        if !news.is_empty() && news.iter().all(|item| matches!(item, News::Outcome(_))) {
            self.wait_for_company(&mut news);
        }
        news
    }

    fn take_ready(&self, news: &mut Vec<News>) {
        while news.len() < ROUND_NEWS_MAX {
            match self.ear.try_hear() {
                Some(more) => news.push(more),
                None => return,
            }
        }
    }

    /// Nobody waits for an answer to what hardware said. It is kept together with what comes next, if that comes within about the
    /// time a write takes: whoever comes then waits for one write instead of two.
    fn wait_for_company(&self, news: &mut Vec<News>) {
        let (begun, span) = (Instant::now(), self.write_span.min(COMPANY_SPAN_MAX));
        while news.len() < ROUND_NEWS_MAX {
            let Some(more) = self.ear.hear_within(span.saturating_sub(begun.elapsed())) else { return };
            let alone = matches!(more, News::Outcome(_));
            news.push(more);
            if !alone {
                return self.take_ready(news);
            }
        }
    }

    /// When something is due next by itself.
    fn due(&self) -> Option<Moment> {
        let round = self.rounds.due(self.counter.sessions.next_expiry());
        [round, self.rounds.tend_at()].into_iter().flatten().min()
    }

    /// One round, and what the journal wants after it; false when it was the last.
    fn round(&mut self, news: Vec<News>) -> Result<bool, JournalError> {
        let now = self.clock.now();
        let heard = match self.rounds.is_open(now) {
            true => self.counter.hear(now, news),
            false => self.counter.hear_closed(news),
        };
        let begun = Instant::now();
        let done = self.rounds.round(now, heard, || self.counter.see(Lab::clone));
        if !done.facts.is_empty() {
            self.write_span = begun.elapsed();
            self.counter.tally.count_round(self.write_span);
        }
        let (wrote, go_on) = (!done.facts.is_empty(), !done.stop);
        self.tell(done)?;
        self.tend(wrote)?;
        Ok(go_on)
    }

    /// Lets everybody know what a round came to: readers, hardware, whoever asked; and then those who only watch are woken, who may be many.
    fn tell(&self, done: Done<oneshot::Sender<Answers>>) -> Result<(), JournalError> {
        let wrote = !done.facts.is_empty();
        if wrote {
            self.counter.show(&done.facts);
            self.tell_counts();
        }
        let changed = self.give_orders(done.effects);
        let bells = self.tell_watchers(&changed, wrote);
        for (answer, answers) in done.answers {
            // Whoever has gone meanwhile does not want the answer; the facts stand.
            let _ = answer.send(answers);
        }
        bells.ring();
        match done.fault {
            Some(JournalError::Full(why)) => {
                self.counter.full_ms.store(self.clock.now().0, Ordering::Release);
                tracing::error!(why, "the journal has no room; changes are refused, reading goes on");
                Ok(())
            }
            Some(broken) => Err(broken),
            None => Ok(()),
        }
    }

    /// Hardware hears of its orders; what watchers have to hear is gathered.
    fn give_orders(&self, effects: Vec<Effect>) -> Changed {
        let mut changed = Changed::default();
        for effect in effects {
            match effect {
                Effect::Order(order) => self.hardware.order(order),
                Effect::JobChanged(job) => drop(changed.jobs.insert(job.0)),
                Effect::LeaseEnding(job) => drop(changed.ending.insert(job.0)),
                Effect::MachineChanged(machine) => drop(changed.machines.insert(machine)),
            }
        }
        changed
    }

    /// What watchers have to hear, before anybody who is answered now can begin to watch; they are yet to be woken.
    fn tell_watchers(&self, changed: &Changed, wrote: bool) -> Bells {
        let (herald, mut bells) = (&self.counter.herald, Bells::default());
        if !changed.jobs.is_empty() || !changed.machines.is_empty() {
            herald.tell(&changed.jobs, &changed.machines, &mut bells);
        }
        if !changed.ending.is_empty() {
            herald.tell_ending(&changed.ending, &mut bells);
        }
        if wrote && herald.is_available_watched() {
            let (machine, kind, now) = (None, None, self.clock.now());
            let seen = self.rounds.lab().see(&Query::Available(Reservable { machine, kind, now }));
            if let Ok(View::Available(count)) = seen {
                herald.tell_available(count, &mut bells);
            }
        }
        bells
    }

    /// The journal gets a little time after each write, and more of it while nobody waits.
    fn tend(&mut self, wrote: bool) -> Result<(), JournalError> {
        let now = self.clock.now();
        let idle = !wrote && self.ear.is_silent() && self.rounds.tend_at().is_some_and(|at| at <= now);
        if !wrote && !idle {
            return Ok(());
        }
        let tended = self.rounds.tend(now, idle);
        self.tell_counts();
        put_off(tended)
    }

    /// The orderly end.
    fn close(&mut self) -> Result<(), JournalError> {
        let closed = self.rounds.close(self.clock.now());
        self.tell_counts();
        put_off(closed)
    }

    fn tell_counts(&self) {
        *self.counter.counts.write().unwrap_or_else(PoisonError::into_inner) = self.rounds.counts();
    }
}

/// What the journal had no room for is tried again later; anything else that fails ends the desk.
fn put_off(tended: Result<(), JournalError>) -> Result<(), JournalError> {
    match tended {
        Err(JournalError::Full(why)) => {
            tracing::warn!(why, "the journal has no room to be tended");
            Ok(())
        }
        other => other,
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        self.ear.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::MemoryJournal;
    use crate::lab::Options;
    use crate::lab::job::{JobSpec, Want};
    use crate::notice::Limits;
    use futures_util::FutureExt;

    fn desk_on(journal: MemoryJournal) -> (Desk, Arc<Counter>) {
        let clock = Clock::moved(Moment(1));
        let lab = Lab::new(Options::default());
        let (counter, heard) = Counter::new(lab.clone(), Herald::new(Limits::DEFAULT), clock.now());
        let counter = Arc::new(counter);
        let hardware = Hardware::new(clock.clone(), counter.clone());
        (Desk::new(lab, counter.clone(), heard, Box::new(journal), hardware, clock), counter)
    }

    fn drain() -> Command {
        Command::SetService { accept: false, reason: "lunch".into() }
    }

    #[test]
    fn a_desk_whose_journal_has_no_room_can_be_stopped() {
        let journal = MemoryJournal::default();
        journal.set_fault(Some(JournalError::Full("not a byte".to_owned())));
        let (desk, counter) = desk_on(journal.clone());
        let mut visit = Box::pin(counter.command(Caller::server(), drain()));
        assert!((&mut visit).now_or_never().is_none());
        assert!(counter.tell(News::Stop));
        desk.run().expect("a good end");
        let answer = visit.now_or_never().expect("an answer");
        assert_eq!(answer.map(drop).map_err(|fault| fault.code), Err(Code::NOT_KEPT));
        assert_eq!(journal.facts(), []);
    }

    #[test]
    fn numbers_of_no_job_leave_nothing_behind() {
        let (desk, counter) = desk_on(MemoryJournal::default());
        let (caller, spec) = (Caller::server(), JobSpec::new("ada", Want::Boards(1)));
        let visit = Box::pin(counter.command(caller, Command::CreateJobAnyway(spec.clone())));
        assert!(visit.now_or_never().is_none());
        assert!(counter.tell(News::Stop));
        desk.run().expect("a good end");
        // No machine could meet it, so it is over; the other numbers were never given to a job.
        for job in 1..1_000 {
            counter.note_sign(JobId(job), IpAddr::from([127, 0, 0, 1]), Moment(2));
        }
        assert_eq!((counter.signs.take(), counter.version()), (vec![], 1));
        let queued = Event::JobQueued { job: JobId(2), spec: Arc::new(spec) };
        counter.show(&[Fact { at: Moment(2), event: queued }]);
        counter.note_sign(JobId(2), IpAddr::from([127, 0, 0, 1]), Moment(3));
        assert_eq!((counter.signs.take(), counter.version()), (vec![(JobId(2), Moment(3))], 3));
    }

    #[test]
    fn what_was_kept_is_counted_and_taken_down() {
        let (desk, counter) = desk_on(MemoryJournal::with_snapshots(1));
        let visit = Box::pin(counter.command(Caller::server(), drain()));
        assert!(visit.now_or_never().is_none());
        assert!(counter.tell(News::Stop));
        desk.run().expect("a good end");
        let Counts { appends, facts, snapshots, .. } = counter.counts();
        assert_eq!((appends, facts, snapshots), (1, 1, 1));
    }

    #[test]
    fn what_hardware_said_waits_for_company_but_not_for_long() {
        use crate::controller::Outcome;
        use crate::lab::fact::{Grant, OrderId};
        let (mut desk, counter) = desk_on(MemoryJournal::default());
        desk.write_span = Duration::from_secs(3_600);
        let order = OrderId { grant: Grant(1), step: 0 };
        let tell = || {
            let outcome = Outcome { order, obeyed: Vec::new(), failed: Vec::new() };
            assert!(counter.tell(News::Outcome(outcome)));
        };
        tell();
        assert_eq!(desk.wait().len(), 1, "nobody came");
        tell();
        tell();
        let mut visit = Box::pin(counter.command(Caller::server(), drain()));
        assert!((&mut visit).now_or_never().is_none());
        tell();
        assert_eq!(desk.wait().len(), 4);
    }

    #[test]
    fn whoever_comes_behind_the_end_is_told() {
        let (desk, counter) = desk_on(MemoryJournal::default());
        assert!(counter.tell(News::Stop));
        let mut visits: Vec<_> = (0..=ROUND_NEWS_MAX)
            .map(|_| {
                let command = Command::SetService { accept: true, reason: "".into() };
                Box::pin(counter.visit(Caller::server(), vec![Ask::Command(command)]))
            })
            .collect();
        assert!(visits.iter_mut().all(|visit| visit.now_or_never().is_none()));
        desk.run().expect("a good end");
        let last = visits.pop().and_then(|mut visit| (&mut visit).now_or_never()).expect("an answer");
        assert_eq!(
            last.first().map(|answer| answer.as_ref().map_err(|fault| fault.code).err()),
            Some(Some(Code::STOPPING))
        );
    }
}
