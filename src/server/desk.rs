//! The desk: the one thread that owns the lab.
//!
//! It waits for news, takes all that is ready, and then works without waiting: decide, apply, settle. All facts
//! of the round are kept in one write; only then do readers see them, is hardware told, do watchers hear, and
//! are callers answered. A round that could not be kept never happened: the lab goes back to what was kept.

use super::hardware::Hardware;
use super::herald::Herald;
use super::quick;
use super::signs::Signs;
use crate::clock::{Clock, Moment};
use crate::controller::Outcome;
use crate::error::{Code, Fault};
use crate::journal::{Journal, JournalError};
use crate::lab::ask::{Ask, Reply};
use crate::lab::command::{Caller, Command};
use crate::lab::effect::Effect;
use crate::lab::fact::{Event, Fact, SessionEnd, SessionKey};
use crate::lab::{Lab, Options};
use crate::session::{Session, SessionId, Sessions};
use async_channel::{Receiver, Sender};
use futures_channel::oneshot;
use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError, RwLock};

/// How much news one round takes in, so that nobody waits long for an answer.
const ROUND_NEWS_MAX: usize = 4096;

/// How many rows the questions of one message may come to; what asks for more is refused as too large.
const VISIT_ROWS_MAX: usize = 250_000;

/// A debug build checks the whole lab after each round, up to this many boards and jobs: a larger one would do
/// nothing else.
#[cfg(debug_assertions)]
const CHECKED_SIZE_MAX: usize = 10_000;

/// How long nothing is written after the journal had no room.
const FULL_PAUSE_MS: u64 = 1000;

/// What came of each ask of a visit.
pub type Answers = Vec<Result<Reply, Fault>>;

/// Everything the desk hears of.
#[derive(Debug)]
pub enum News {
    /// A caller with the asks of one message.
    Visit(Visit),
    /// Hardware answered.
    Outcome(Outcome),
    /// The options of the lab changed.
    Options(Options),
    /// Nothing more will come.
    Stop,
}

/// The asks of one message: carried out in order, with nobody else's between them.
#[derive(Debug)]
pub struct Visit {
    /// Who asks.
    pub caller: Caller,
    /// What.
    pub asks: Vec<Ask>,
    /// Where the answers go.
    pub answer: oneshot::Sender<Answers>,
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
    news: Sender<News>,
}

impl Counter {
    /// A counter for a lab that was replayed, the way news takes to the desk, and the end at which it listens.
    pub fn new(lab: Lab, herald: Arc<Herald>, now: Moment) -> (Counter, Sender<News>, Receiver<News>) {
        let (news, heard) = async_channel::unbounded();
        let (sessions, signs) = (Sessions::new(), Signs::default());
        let counter = Counter { lab: RwLock::new(lab), sessions, herald, signs, news: news.clone() };
        counter.find_sessions(now);
        (counter, news, heard)
    }

    /// Asks the lab as last kept; never waits for a disk.
    pub fn see<T>(&self, look: impl FnOnce(&Lab) -> T) -> T {
        look(&self.lab.read().unwrap_or_else(PoisonError::into_inner))
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
            Event::RoleSet { user, role } => self.sessions.role_changed(user, *role),
            _ => {}
        }
    }
}

/// What is said to whoever comes too late.
fn stopping() -> Fault {
    Fault::new(Code::STOPPING, "the server is shutting down; connect again later")
}

/// The desk itself.
pub struct Desk {
    lab: Lab,
    counter: Arc<Counter>,
    heard: Receiver<News>,
    journal: Box<dyn Journal>,
    hardware: Arc<Hardware>,
    clock: Clock,
    /// Nothing is written before this, because there was no room.
    closed_until: Option<Moment>,
    /// Outcomes that came in a round that was not kept.
    outcomes: Vec<Outcome>,
}

/// What one round has come to so far.
#[derive(Default)]
struct Round {
    facts: Vec<Fact>,
    effects: Vec<Effect>,
    answers: Vec<(oneshot::Sender<Answers>, Answers)>,
    stop: bool,
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
        Desk { lab, counter, heard, journal, hardware, clock, closed_until: None, outcomes: Vec::new() }
    }

    /// Works until it is told to stop, or until the journal is broken: then says why.
    pub fn run(mut self) -> Result<(), JournalError> {
        loop {
            let news = async_io::block_on(self.wait());
            match self.round(news) {
                Ok(true) => {}
                Ok(false) => return Ok(()),
                Err(JournalError::Full(why)) => self.pause(&why),
                Err(broken) => {
                    tracing::error!(%broken, "the desk stops");
                    return Err(broken);
                }
            }
        }
    }

    /// Waits for the first news, or until something is due.
    async fn wait(&self) -> Vec<News> {
        let mut news = Vec::new();
        if let Ok(first) = self.heard.try_recv() {
            news.push(first);
        } else {
            let due = self.due();
            let woken = async {
                match due {
                    Some(at) => self.clock.sleep_until(at).await,
                    None => std::future::pending().await,
                }
                None
            };
            // A closed channel is a desk nobody can reach any more.
            let heard = async { Some(self.heard.recv().await.unwrap_or(News::Stop)) };
            news.extend(
                futures_util::future::select(Box::pin(heard), Box::pin(woken)).await.factor_first().0,
            );
        }
        while news.len() < ROUND_NEWS_MAX {
            match self.heard.try_recv() {
                Ok(more) => news.push(more),
                Err(_) => break,
            }
        }
        news
    }

    /// When something is due next by itself.
    fn due(&self) -> Option<Moment> {
        let lab = self.lab.wake_at().map(|(at, _)| at);
        let due = [lab, self.counter.sessions.next_expiry()].into_iter().flatten().min();
        match self.closed_until {
            Some(until) => Some(due.map_or(until, |due| due.max(until))),
            None => due,
        }
    }

    /// One round; false when it was the last.
    fn round(&mut self, news: Vec<News>) -> Result<bool, JournalError> {
        let now = self.clock.now();
        if self.closed_until.is_some_and(|until| now < until) {
            return Ok(self.refuse_round(news));
        }
        self.closed_until = None;
        let mut round = Round::default();
        self.take_signs();
        for outcome in std::mem::take(&mut self.outcomes) {
            self.take_outcome(now, outcome, &mut round);
        }
        for item in news {
            self.take_news(now, item, &mut round);
        }
        self.end_expired_sessions(now, &mut round);
        self.settle(now, &mut round);
        self.keep(round)
    }

    /// Hands the signs of life that came since to both labs.
    fn take_signs(&mut self) {
        let signs = self.counter.signs.take();
        if !signs.is_empty() {
            self.lab.note(&signs);
            self.counter.lab.write().unwrap_or_else(PoisonError::into_inner).note(&signs);
        }
    }

    fn take_news(&mut self, now: Moment, news: News, round: &mut Round) {
        match news {
            News::Visit(visit) => {
                let answers = self.take_asks(now, &visit.caller, &visit.asks, round);
                round.answers.push((visit.answer, answers));
            }
            News::Outcome(outcome) => self.take_outcome(now, outcome, round),
            News::Options(options) => self.set_options(options),
            News::Stop => round.stop = true,
        }
    }

    /// The asks of one message, one after the other. Views that nobody could be sent are not made.
    fn take_asks(&mut self, now: Moment, caller: &Caller, asks: &[Ask], round: &mut Round) -> Answers {
        let mut rows = 0;
        let take = |ask: &Ask| {
            if ask.only_reads() && rows > VISIT_ROWS_MAX {
                return Err(quick::too_large());
            }
            let answer = self.take_ask(now, caller, ask, round);
            if let Ok(Reply::Seen(view)) = &answer {
                rows += view.rows();
            }
            answer
        };
        asks.iter().map(take).collect()
    }

    /// Options are no facts: both labs take them, whether or not the journal has room.
    fn set_options(&mut self, options: Options) {
        self.lab.set_options(options.clone());
        self.counter.lab.write().unwrap_or_else(PoisonError::into_inner).set_options(options);
    }

    fn take_ask(
        &mut self,
        now: Moment,
        caller: &Caller,
        ask: &Ask,
        round: &mut Round,
    ) -> Result<Reply, Fault> {
        match ask {
            Ask::Query(query) => self.lab.see(query).map(Reply::Seen).map_err(|refusal| refusal.fault()),
            Ask::Command(command) => {
                let facts = self.lab.decide(now, caller, command).map_err(|refusal| refusal.fault())?;
                facts.iter().for_each(|fact| self.apply(fact.clone(), round));
                self.settle(now, round);
                Ok(Reply::Done(facts))
            }
        }
    }

    fn take_outcome(&mut self, now: Moment, outcome: Outcome, round: &mut Round) {
        let Outcome { order, obeyed, failed } = outcome.clone();
        let command = Command::AnswerOrder { order, obeyed, failed };
        if self.take_ask(now, &Caller::server(), &Ask::Command(command), round).is_ok() {
            self.outcomes.push(outcome);
        }
    }

    fn end_expired_sessions(&mut self, now: Moment, round: &mut Round) {
        while self.counter.sessions.next_expiry().is_some_and(|at| at <= now) {
            for id in self.counter.sessions.poll_expired(now) {
                let command =
                    Command::EndSession { session: SessionKey(id.to_bits()), why: SessionEnd::Expired };
                // One that is gone already needs no end.
                let _ = self.take_ask(now, &Caller::server(), &Ask::Command(command), round);
            }
        }
    }

    /// Lets everything happen that is due by itself.
    fn settle(&mut self, now: Moment, round: &mut Round) {
        while let Some(fact) = self.lab.settle(now) {
            self.apply(fact, round);
        }
    }

    fn apply(&mut self, fact: Fact, round: &mut Round) {
        self.lab.apply(&fact);
        round.effects.extend(self.lab.react(&fact));
        round.facts.push(fact);
    }

    /// Keeps the round, then lets the world know.
    fn keep(&mut self, round: Round) -> Result<bool, JournalError> {
        if !round.facts.is_empty() {
            if let Err(error) = self.journal.append(&round.facts) {
                self.undo(round, &error);
                return Err(error);
            }
            self.show(&round.facts);
        }
        self.outcomes.clear();
        self.react(round.effects);
        for (answer, answers) in round.answers {
            // Whoever has gone meanwhile does not want the answer; the facts stand.
            let _ = answer.send(answers);
        }
        Ok(!round.stop)
    }

    /// Makes kept facts visible to readers.
    fn show(&self, facts: &[Fact]) {
        let mut shown = self.counter.lab.write().unwrap_or_else(PoisonError::into_inner);
        facts.iter().for_each(|fact| shown.apply(fact));
        drop(shown);
        facts.iter().for_each(|fact| self.counter.follow(fact));
        #[cfg(debug_assertions)]
        if self.lab.size() <= CHECKED_SIZE_MAX
            && let Err(why) = self.lab.check()
        {
            panic!("the lab contradicts itself: {why}");
        }
    }

    fn react(&self, effects: Vec<Effect>) {
        let (mut jobs, mut machines) = (BTreeSet::new(), BTreeSet::new());
        for effect in effects {
            match effect {
                Effect::Order(order) => self.hardware.order(order),
                Effect::JobChanged(job) => drop(jobs.insert(job.0)),
                Effect::MachineChanged(machine) => drop(machines.insert(machine)),
            }
        }
        if !jobs.is_empty() || !machines.is_empty() {
            self.counter.herald.tell(&jobs, &machines);
        }
    }

    /// A round that was not kept never happened: everything asked in it is refused.
    fn undo(&mut self, round: Round, error: &JournalError) {
        self.lab = self.counter.see(Lab::clone);
        for (answer, answers) in round.answers {
            let _ = answer.send(answers.into_iter().map(|_| Err(not_kept(error))).collect());
        }
    }

    /// After the journal had no room: nothing is written for a while, reading goes on.
    fn pause(&mut self, why: &str) {
        tracing::error!(why, "the journal has no room; changes are refused, reading goes on");
        self.closed_until = Some(self.clock.now().plus_ms(FULL_PAUSE_MS));
    }

    /// A round while nothing can be written: questions are answered, wishes are refused.
    fn refuse_round(&mut self, news: Vec<News>) -> bool {
        let mut go_on = true;
        for item in news {
            match item {
                News::Visit(visit) => {
                    let refused = |ask: &Ask| match ask {
                        Ask::Query(query) => {
                            self.lab.see(query).map(Reply::Seen).map_err(|refusal| refusal.fault())
                        }
                        Ask::Command(_) => {
                            Err(not_kept(&JournalError::Full("tried a moment ago".to_owned())))
                        }
                    };
                    let _ = visit.answer.send(visit.asks.iter().map(refused).collect());
                }
                News::Outcome(outcome) => self.outcomes.push(outcome),
                News::Options(options) => self.set_options(options),
                News::Stop => go_on = false,
            }
        }
        go_on
    }
}

impl Drop for Desk {
    /// What is still in the channel would stay there as long as anybody can send, and whoever waits for an answer with it.
    fn drop(&mut self) {
        self.heard.close();
        while self.heard.try_recv().is_ok() {}
    }
}

/// What is said of a wish that was not kept. After anything but a lack of room only the next start can tell
/// whether it was.
fn not_kept(error: &JournalError) -> Fault {
    match error {
        JournalError::Full(_) => {
            Fault::new(Code::NOT_KEPT, format!("{error}; nothing was changed, try again"))
        }
        _ => Fault::new(
            Code::INTERNAL,
            format!("{error}; the server stops, and whether this was kept is known at its next start"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::MemoryJournal;
    use crate::notice::Limits;
    use futures_util::FutureExt;

    #[test]
    fn whoever_comes_behind_the_end_is_told() {
        let clock = Clock::moved(Moment(1));
        let lab = Lab::new(Options::default());
        let (counter, news, heard) = Counter::new(lab.clone(), Herald::new(Limits::DEFAULT), clock.now());
        let (counter, hardware) = (Arc::new(counter), Hardware::new(clock.clone(), news));
        let desk =
            Desk::new(lab, counter.clone(), heard, Box::new(MemoryJournal::default()), hardware, clock);
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
