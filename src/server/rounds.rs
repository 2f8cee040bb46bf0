//! The rounds of the desk, without the waiting: what is heard goes in, what came of it comes out, kept.
//!
//! In one round all that was heard is decided and applied, whatever is due by itself happens, and all facts of it
//! go to the journal in one write. Only what that write kept comes out as done: facts for the readers, effects for
//! hardware and watchers, answers for callers. A round that was not kept never happened: the lab goes back to what
//! was, and its callers are told so.
//!
//! What is deliberately not here: channels, threads, clocks and locks (`desk`). The same rounds from the same lab
//! with the same journal come to the same facts, which is how the simulator drives them.

use super::quick;
use crate::clock::Moment;
use crate::controller::Outcome;
use crate::error::{Code, Fault};
use crate::journal::{Counts, Journal, JournalError};
use crate::lab::ask::{Ask, Reply};
use crate::lab::command::{Caller, Command};
use crate::lab::effect::Effect;
use crate::lab::fact::{Fact, JobId, SessionEnd, SessionKey};
use crate::lab::view::{Query, View};
use crate::lab::{Lab, Options};

/// How many rows the questions of one message may come to; what asks for more is refused as too large.
const VISIT_ROWS_MAX: usize = 250_000;

/// A debug build checks the whole lab after each round, up to this many boards and jobs: a larger one would do
/// nothing else.
#[cfg(debug_assertions)]
const CHECKED_SIZE_MAX: usize = 10_000;

/// How long nothing is written after the journal had no room.
pub const FULL_PAUSE_MS: u64 = 1000;

/// How many slices of work a journal may do at the end, so that a stop stays quick.
const CLOSING_TENDS_MAX: usize = 1000;

/// What came of each ask of a visit.
pub type Answers = Vec<Result<Reply, Fault>>;

/// Everything the desk hears of. `T` is where answers go.
#[derive(Debug)]
pub enum News<T> {
    /// A caller with the asks of one message.
    Visit(Visit<T>),
    /// Hardware answered.
    Outcome(Outcome),
    /// The options of the lab changed.
    Options(Options),
    /// Nothing more will come.
    Stop,
}

/// The asks of one message: carried out in order, with nobody else's between them.
#[derive(Debug)]
pub struct Visit<T> {
    /// Who asks.
    pub caller: Caller,
    /// What.
    pub asks: Vec<Ask>,
    /// Where the answers go.
    pub answer: T,
}

/// What one round begins with.
pub struct Heard<T> {
    /// Signs of life.
    pub signs: Vec<(JobId, Moment)>,
    /// News, in the order in which it came.
    pub news: Vec<News<T>>,
    /// Sessions whose span ran out.
    pub expired: Vec<SessionKey>,
}

/// What one round came to. All of it may be told.
pub struct Done<T> {
    /// What happened, and is kept.
    pub facts: Vec<Fact>,
    /// What must be done outside because of it.
    pub effects: Vec<Effect>,
    /// What each visit is told, and where.
    pub answers: Vec<(T, Answers)>,
    /// Whether it was the last round.
    pub stop: bool,
    /// Why it was not kept, if it was not. After anything but `Full` there must be no other.
    pub fault: Option<JournalError>,
}

impl<T> Default for Done<T> {
    fn default() -> Done<T> {
        Done { facts: Vec::new(), effects: Vec::new(), answers: Vec::new(), stop: false, fault: None }
    }
}

/// The lab and its journal, between rounds equal.
pub struct Rounds {
    lab: Lab,
    journal: Box<dyn Journal>,
    /// Nothing is written before this, because there was no room.
    closed_until: Option<Moment>,
    /// What hardware said in rounds that were not kept, and in this one.
    outcomes: Vec<Ask>,
    /// When the journal wants to be tended.
    tend_at: Option<Moment>,
}

impl Rounds {
    /// Rounds on a lab that is what the journal has kept. The journal is tended as soon as nobody waits: it may have
    /// left something undone.
    pub fn new(lab: Lab, journal: Box<dyn Journal>) -> Rounds {
        Rounds { lab, journal, closed_until: None, outcomes: Vec::new(), tend_at: Some(Moment(0)) }
    }

    /// The lab between two rounds.
    pub fn lab(&self) -> &Lab {
        &self.lab
    }

    /// Whether something can be written now. While it cannot, signs and expired sessions are better left where they are.
    pub fn is_open(&self, now: Moment) -> bool {
        self.closed_until.is_none_or(|until| now >= until)
    }

    /// When the lab or, earlier, somebody else's deadline needs a round.
    pub fn due(&self, other: Option<Moment>) -> Option<Moment> {
        let lab = self.lab.wake_at().map(|(at, _)| at);
        let due = [lab, other].into_iter().flatten().min();
        match self.closed_until {
            Some(until) => Some(due.map_or(until, |due| due.max(until))),
            None => due,
        }
    }

    /// When the journal wants to be tended, if nobody waits then.
    pub fn tend_at(&self) -> Option<Moment> {
        self.tend_at
    }

    /// What the journal did so far.
    pub fn counts(&self) -> Counts {
        self.journal.counts()
    }

    /// One round. `kept` is asked for the lab as last kept, with all signs, if this round is not.
    pub fn round<T>(&mut self, now: Moment, heard: Heard<T>, kept: impl FnOnce() -> Lab) -> Done<T> {
        self.lab.note(&heard.signs);
        if !self.is_open(now) {
            return self.refuse(heard.news);
        }
        self.closed_until = None;
        let mut done = Done::default();
        for outcome in std::mem::take(&mut self.outcomes) {
            self.take_outcome(now, outcome, &mut done);
        }
        for item in heard.news {
            self.take_news(now, item, &mut done);
        }
        for session in heard.expired {
            let command = Command::EndSession { session, why: SessionEnd::Expired };
            // One that is gone already needs no end.
            let _ = self.take_command(now, &Caller::server(), &command, &mut done);
        }
        self.settle(now, &mut done);
        self.keep(now, done, kept)
    }

    fn take_news<T>(&mut self, now: Moment, news: News<T>, done: &mut Done<T>) {
        match news {
            News::Visit(visit) => {
                let answers = self.take_asks(now, &visit.caller, &visit.asks, done);
                done.answers.push((visit.answer, answers));
            }
            News::Outcome(outcome) => self.take_outcome(now, answered(outcome), done),
            News::Options(options) => self.lab.set_options(options),
            News::Stop => done.stop = true,
        }
    }

    /// The asks of one message, one after the other. Views that nobody could be sent are not made.
    fn take_asks<T>(&mut self, now: Moment, caller: &Caller, asks: &[Ask], done: &mut Done<T>) -> Answers {
        let mut rows = 0;
        let take = |ask: &Ask| {
            if ask.only_reads() && rows > VISIT_ROWS_MAX {
                return Err(quick::too_large());
            }
            let answer = self.take_ask(now, caller, ask, done);
            if let Ok(Reply::Seen(view)) = &answer {
                rows += view.rows();
            }
            answer
        };
        asks.iter().map(take).collect()
    }

    fn take_ask<T>(
        &mut self,
        now: Moment,
        caller: &Caller,
        ask: &Ask,
        done: &mut Done<T>,
    ) -> Result<Reply, Fault> {
        match ask {
            Ask::Query(query) => self.see(query),
            Ask::Command(command) => self.take_command(now, caller, command, done).map(Reply::Done),
            Ask::Devices(command) => self.take_devices(now, caller, command, done),
        }
    }

    fn see(&self, query: &Query) -> Result<Reply, Fault> {
        self.lab.see(query).map(Reply::Seen).map_err(|refusal| refusal.fault())
    }

    fn take_command<T>(
        &mut self,
        now: Moment,
        caller: &Caller,
        command: &Command,
        done: &mut Done<T>,
    ) -> Result<Vec<Fact>, Fault> {
        let facts = self.lab.decide(now, caller, command).map_err(|refusal| refusal.fault())?;
        self.take_facts(now, &facts, done);
        Ok(facts)
    }

    /// A wish about reservations. Which boards it changed is found before it does: jobs that end may be forgotten at once.
    fn take_devices<T>(
        &mut self,
        now: Moment,
        caller: &Caller,
        command: &Command,
        done: &mut Done<T>,
    ) -> Result<Reply, Fault> {
        let facts = self.lab.decide(now, caller, command).map_err(|refusal| refusal.fault())?;
        let devices = self.lab.devices_in(&facts);
        self.take_facts(now, &facts, done);
        Ok(Reply::Seen(View::Changed(devices)))
    }

    fn take_facts<T>(&mut self, now: Moment, facts: &[Fact], done: &mut Done<T>) {
        facts.iter().for_each(|fact| self.apply(fact.clone(), done));
        self.settle(now, done);
    }

    /// Hardware says things once: whatever it said is remembered until a round with it is kept. Also what the lab
    /// refuses now, because what stands in its way may not be kept.
    fn take_outcome<T>(&mut self, now: Moment, outcome: Ask, done: &mut Done<T>) {
        let _ = self.take_ask(now, &Caller::server(), &outcome, done);
        self.outcomes.push(outcome);
    }

    /// Lets everything happen that is due by itself.
    fn settle<T>(&mut self, now: Moment, done: &mut Done<T>) {
        while let Some(fact) = self.lab.settle(now) {
            self.apply(fact, done);
        }
    }

    fn apply<T>(&mut self, fact: Fact, done: &mut Done<T>) {
        self.lab.apply(&fact);
        done.effects.extend(self.lab.react(&fact));
        done.facts.push(fact);
    }

    /// Keeps the round, or has it never happened.
    fn keep<T>(&mut self, now: Moment, done: Done<T>, kept: impl FnOnce() -> Lab) -> Done<T> {
        if !done.facts.is_empty()
            && let Err(error) = self.journal.append(&done.facts)
        {
            return self.undo(now, done, error, kept);
        }
        self.outcomes.clear();
        #[cfg(debug_assertions)]
        if !done.facts.is_empty()
            && self.lab.size() <= CHECKED_SIZE_MAX
            && let Err(why) = self.lab.check()
        {
            panic!("the lab contradicts itself: {why}");
        }
        done
    }

    /// A round that was not kept never happened: everything asked in it is refused, and after a lack of room
    /// nothing is written for a while.
    fn undo<T>(
        &mut self,
        now: Moment,
        done: Done<T>,
        error: JournalError,
        kept: impl FnOnce() -> Lab,
    ) -> Done<T> {
        self.lab = kept();
        if let JournalError::Full(_) = error {
            self.closed_until = Some(now.plus_ms(FULL_PAUSE_MS));
        }
        let refused = |answers: Answers| answers.into_iter().map(|_| Err(not_kept(&error))).collect();
        let answers = done.answers.into_iter().map(|(to, answers)| (to, refused(answers))).collect();
        Done { answers, stop: done.stop, fault: Some(error), ..Done::default() }
    }

    /// A round while nothing can be written: questions are answered, wishes are refused.
    fn refuse<T>(&mut self, news: Vec<News<T>>) -> Done<T> {
        let mut done = Done::default();
        for item in news {
            match item {
                News::Visit(visit) => {
                    let answers = visit.asks.iter().map(|ask| self.refuse_ask(ask)).collect();
                    done.answers.push((visit.answer, answers));
                }
                News::Outcome(outcome) => self.outcomes.push(answered(outcome)),
                News::Options(options) => self.lab.set_options(options),
                News::Stop => done.stop = true,
            }
        }
        done
    }

    fn refuse_ask(&self, ask: &Ask) -> Result<Reply, Fault> {
        match ask {
            Ask::Query(query) => self.see(query),
            Ask::Command(_) | Ask::Devices(_) => {
                Err(not_kept(&JournalError::Full("tried a moment ago".to_owned())))
            }
        }
    }

    /// Lets the journal do a little of what can wait, between two rounds; more of it when nobody waits (`idle`). After
    /// `Full` it may be asked again a while later, after anything else there must be no other round.
    pub fn tend(&mut self, now: Moment, idle: bool) -> Result<(), JournalError> {
        if !idle {
            self.begin_snapshot(now);
        }
        match self.journal.tend(now, idle) {
            Ok(at) => self.tend_at = at,
            Err(error) => {
                self.tend_at = Some(now.plus_ms(FULL_PAUSE_MS));
                return Err(error);
            }
        }
        Ok(())
    }

    /// What can wait is done now, as far as that is quick: there will be no other round.
    pub fn close(&mut self, now: Moment) -> Result<(), JournalError> {
        self.begin_snapshot(now);
        for _ in 0..CLOSING_TENDS_MAX {
            self.tend(now, true)?;
            if self.tend_at.is_none_or(|at| at > now) {
                break;
            }
        }
        Ok(())
    }

    /// Between two rounds the lab is what is kept, so it can be taken down.
    fn begin_snapshot(&mut self, now: Moment) {
        if self.journal.wants_snapshot() {
            self.journal.begin_snapshot(now, self.lab.pieces());
        }
    }
}

/// What hardware said, as an ask.
fn answered(outcome: Outcome) -> Ask {
    let Outcome { order, obeyed, failed } = outcome;
    Ask::Command(Command::AnswerOrder { order, obeyed, failed })
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
    use crate::journal::Kept;
    use crate::lab::snapshot::Piece;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// A journal that always has something else to do, and counts how often it is let.
    #[derive(Clone, Default)]
    struct Busy(Arc<AtomicUsize>);

    impl Journal for Busy {
        fn replay(&mut self, _: &mut dyn FnMut(Kept) -> Result<(), String>) -> Result<(), JournalError> {
            Ok(())
        }

        fn append(&mut self, _: &[Fact]) -> Result<(), JournalError> {
            Ok(())
        }

        fn wants_snapshot(&self) -> bool {
            false
        }

        fn begin_snapshot(&mut self, _: Moment, _: Vec<Piece>) {}

        fn tend(&mut self, now: Moment, _: bool) -> Result<Option<Moment>, JournalError> {
            self.0.fetch_add(1, Ordering::Relaxed);
            Ok(Some(now))
        }

        fn counts(&self) -> Counts {
            Counts::default()
        }
    }

    #[test]
    fn a_journal_that_is_never_done_does_not_hold_up_the_end() {
        let journal = Busy::default();
        let mut rounds = Rounds::new(Lab::new(Options::default()), Box::new(journal.clone()));
        assert_eq!(rounds.close(Moment(7)), Ok(()));
        assert_eq!(journal.0.load(Ordering::Relaxed), CLOSING_TENDS_MAX);
    }
}
