//! A lab, its desk, its journal, its hardware and its people, all of them driven by one seed.
//!
//! The rounds are those of the real desk, and so is the counter where readers and the table of sessions are. What is
//! missing of a server is what waits: threads, sockets and a clock that goes on by itself.

use super::chance::Chance;
use super::disk::{Disk, Fate};
use super::hardware::Hardware;
use super::model::Model;
use super::plain::Plain;
use super::{people, rules};
use crate::scripts::questions;
use berth::clock::Moment;
use berth::controller::Outcome;
use berth::error::Code;
use berth::journal::{JournalError, replay_into};
use berth::lab::ask::{Ask, Reply};
use berth::lab::command::{Caller, Command};
use berth::lab::effect::Effect;
use berth::lab::fact::{Event, Fact, JobId, SessionEnd};
use berth::lab::job::{JobState, Warning};
use berth::lab::machine::MachineSpec;
use berth::lab::snapshot::Piece;
use berth::lab::{Lab, Options};
use berth::notice::Limits;
use berth::server::desk::Counter;
use berth::server::herald::Herald;
use berth::server::rounds::{Done, Heard, News, Rounds, Visit};
use berth::session::{Found, SessionId};
use std::collections::BTreeMap;
use std::sync::Arc;

/// How many facts may follow from one step before the lab is said to find no rest.
const FACTS_MAX: usize = 2000;

/// The number of a visit, to which its answers go.
pub type Ticket = u64;

/// See above.
pub struct World {
    chance: Chance,
    now: Moment,
    options: Options,
    /// The real desk, but for the waiting.
    rounds: Rounds,
    /// Where the desk is met: the lab that readers see, who speaks, which jobs were mentioned.
    counter: Counter,
    disk: Disk,
    /// The second account of the kept facts.
    pub model: Model,
    /// What is kept, round by round, as it is read from the disk.
    pub kept: Vec<Fact>,
    /// What went wrong, and how often.
    pub faults: BTreeMap<&'static str, usize>,
    hardware: Hardware,
    machines: Vec<Arc<MachineSpec>>,
    restarted: Moment,
    /// When a round was last refused for lack of room.
    refused_at: Option<Moment>,
    /// What hardware said in rounds that were not kept.
    owed: Vec<Outcome>,
    next_ticket: Ticket,
    /// In how many of a hundred rounds something goes wrong.
    mishaps: u64,
    /// Whether everything has happened that was due.
    at_rest: bool,
    /// How many facts were kept when all was checked last.
    checked: usize,
}

/// What was asked in a round.
type Asked = Vec<(Ticket, Vec<Ask>)>;

/// Where a process dies, if it does.
#[derive(Clone, Copy, PartialEq)]
enum Death {
    /// It lives.
    None,
    /// When all is kept, before anybody is told.
    BeforeTelling,
    /// When half of the hardware is told.
    WhileTelling,
}

impl World {
    /// The world of a seed, with its first machines; its journal takes snapshots or does not.
    pub fn new(seed: u64, snapshots: bool) -> World {
        let mut chance = Chance::new(seed);
        let options = Options {
            retired_jobs_max: chance.one_of(&[3, 20]),
            jobs_per_owner_max: chance.one_of(&[5, 100]),
            keepalive_ms_max: chance.one_of(&[0, 60_000]),
            patience_ms: chance.one_of(&[30_000, 600_000]),
            retest_after_ms: chance.one_of(&[0, 5000, 60_000]),
            reports_to_quarantine: chance.within(0, 2) as usize,
            restart_grace_ms: chance.one_of(&[0, 20_000, 60_000]),
            reservation_ms: chance.one_of(&[20_000, 90_000, 400_000]),
            warning: Warning {
                before_ms: chance.one_of(&[0, 30_000, 100_000]),
                every_ms: chance.one_of(&[7_000, 20_000]),
            },
            ..Options::default()
        };
        let (disk, lab) = (Disk::new(seed, snapshots), Lab::new(options.clone()));
        let now = Moment(1_800_000_000_000);
        let mut world = World {
            counter: counter(&lab, now),
            rounds: Rounds::new(lab, Box::new(disk.open())),
            disk,
            now,
            restarted: Moment(0),
            refused_at: None,
            options,
            model: Model::default(),
            kept: Vec::new(),
            faults: BTreeMap::new(),
            hardware: Hardware::new(&mut chance),
            machines: people::machines(&mut chance),
            owed: Vec::new(),
            next_ticket: 0,
            mishaps: chance.one_of(&[0, 4, 4, 10]),
            at_rest: false,
            checked: 0,
            chance,
        };
        world.configure_calmly();
        world
    }

    /// Something happens.
    pub fn step(&mut self) {
        match self.chance.below(100) {
            0..=39 => self.visits(),
            40..=69 => self.hear_hardware(),
            75..=83 => self.pass_time(),
            84 | 88..=91 => self.give_signs(),
            92..=94 => self.reconfigure(),
            95 => self.change_options(),
            70..=74 | 85..=87 => self.hear_agents(),
            96 => self.hardware.fall_silent(),
            97 => self.stop(),
            _ => self.restart(),
        }
        self.check();
    }

    fn note_fault(&mut self, fault: &'static str) {
        *self.faults.entry(fault).or_default() += 1;
    }

    /// One round of the desk in which anything may go wrong.
    fn round(&mut self, news: Vec<News<Ticket>>) {
        let (mut append, mut tend, mut death) = (Fate::Kept, Fate::Kept, Death::None);
        if self.chance.percent(self.mishaps) {
            match self.chance.below(10) {
                0..=3 => append = Fate::Full,
                4 => append = self.chance.one_of(&[Fate::Lost, Fate::Torn]),
                5 => append = Fate::KeptUntold,
                6 => tend = Fate::Full,
                7 => tend = Fate::Lost,
                8 => death = Death::BeforeTelling,
                _ => death = Death::WhileTelling,
            }
        }
        self.disk.set_fates(append, tend);
        self.round_with(news, death);
    }

    /// One round of the desk: everything that is heard at once, then whatever is due.
    fn round_with(&mut self, news: Vec<News<Ticket>>, death: Death) {
        let (open, asked, outcomes) = (self.rounds.is_open(self.now), asked(&news), outcomes(&news));
        let heard = match open {
            true => self.counter.hear(self.now, news),
            false => self.counter.hear_closed(news),
        };
        let expected = (open && self.chance.percent(20)).then(|| self.plain_round(&heard));
        let pieces = self.disk.is_full().then(|| self.counter.see(Lab::pieces));
        let done = self.rounds.round(self.now, heard, || self.counter.see(Lab::clone));
        assert!(done.facts.len() < FACTS_MAX, "no rest: {:?}", done.facts.last());
        check_form(&asked, &done);
        if let Some(expected) = expected.filter(|_| done.fault.is_none()) {
            check_plain(&expected, &done);
        }
        self.at_rest = open && done.fault.is_none();
        if !self.at_rest {
            self.owed.extend(outcomes);
        }
        match &done.fault {
            Some(fault) => self.not_kept(&fault.clone(), &done, pieces),
            None if !open => self.refused(&asked, &done),
            None => {
                self.owed.clear();
                self.tell(done, death);
            }
        }
    }

    /// What the desk should make of this.
    fn plain_round(&self, heard: &Heard<Ticket>) -> Plain {
        let lab = self.counter.see(Lab::clone);
        Plain::round(lab, &self.options, self.now, &self.owed, heard)
    }

    /// A round that was not kept: nobody may believe it was. What comes next depends on why.
    fn not_kept(&mut self, fault: &JournalError, done: &Done<Ticket>, pieces: Option<Vec<Piece>>) {
        assert!(done.facts.is_empty() && done.effects.is_empty(), "what is not kept is not told");
        let full = matches!(fault, JournalError::Full(_));
        let code = if full { Code::NOT_KEPT } else { Code::INTERNAL };
        for answer in done.answers.iter().flat_map(|(_, answers)| answers) {
            assert_eq!(answer.as_ref().map(|_| ()).map_err(|fault| fault.code), Err(code));
        }
        if !full {
            let found = self.disk.facts_from(self.kept.len()).len();
            self.note_fault(if found > 0 { "broken, but kept" } else { "broken and lost" });
            return self.start();
        }
        self.note_fault("full");
        self.refused_at = Some(self.now);
        assert!(!self.rounds.is_open(self.now), "the desk waits until there may be room");
        assert_eq!(self.disk.facts_from(self.kept.len()), [], "there was no room");
        if let Some(pieces) = pieces {
            assert_eq!(self.rounds.lab().pieces(), pieces, "a refused round left something");
        }
    }

    /// A round while nothing could be written: questions were answered by what is kept, wishes refused.
    fn refused(&mut self, asked: &Asked, done: &Done<Ticket>) {
        self.note_fault("refused without trying");
        assert!(done.facts.is_empty() && done.effects.is_empty());
        for ((_, asks), (_, answers)) in asked.iter().zip(&done.answers) {
            for (ask, answer) in asks.iter().zip(answers) {
                match ask {
                    Ask::Command(_) | Ask::Devices(_) => {
                        let code = answer.as_ref().map(|_| ()).map_err(|fault| fault.code);
                        assert_eq!(code, Err(Code::NOT_KEPT));
                    }
                    Ask::Query(query) => {
                        let seen = self.counter.see(|lab| lab.see(query)).map(Reply::Seen);
                        let seen = seen.map_err(|refusal| refusal.fault());
                        assert_eq!(format!("{answer:?}"), format!("{seen:?}"));
                    }
                }
            }
        }
    }

    /// The round is kept: the disk has it, and now everybody may know, if the process lives so long.
    fn tell(&mut self, done: Done<Ticket>, death: Death) {
        assert_eq!(self.disk.facts_from(self.kept.len()), done.facts, "what is told is what is kept");
        check_promises(&done);
        if death == Death::BeforeTelling {
            self.note_fault("killed before telling");
            return self.start();
        }
        let mut effects = done.effects;
        if death == Death::WhileTelling {
            effects.truncate(effects.len() / 2);
        }
        self.counter.show(&done.facts);
        done.facts.iter().for_each(|fact| self.take(fact));
        let wrote = !done.facts.is_empty();
        self.kept.extend(done.facts);
        self.give_orders(effects);
        if death == Death::WhileTelling {
            self.note_fault("killed while telling");
            return self.start();
        }
        if !done.stop {
            self.tend(wrote);
        }
    }

    fn take(&mut self, fact: &Fact) {
        self.model.take(fact, &self.options);
        if matches!(fact.event, Event::SessionEnded { why: SessionEnd::Expired, .. }) {
            self.note_fault("a session ran out");
        }
    }

    /// The journal gets its time: a little after a write, more when nobody waits.
    fn tend(&mut self, wrote: bool) {
        let mut tended = self.rounds.tend(self.now, !wrote);
        for _ in 0..self.disk.idly_below(3) {
            if tended.is_ok() && self.rounds.tend_at().is_some_and(|at| at <= self.now) {
                tended = self.rounds.tend(self.now, true);
            }
        }
        match tended {
            Ok(()) => {}
            Err(JournalError::Full(_)) => {
                self.note_fault("full while it is tended");
                assert!(self.rounds.tend_at().is_some_and(|at| at > self.now), "it is tended again later");
            }
            Err(_) => {
                self.note_fault("broken while it is tended");
                self.start();
            }
        }
    }

    fn give_orders(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            if let Effect::Order(order) = effect {
                self.hardware.take(order, self.now, &mut self.chance);
            }
        }
    }

    fn visits(&mut self) {
        let count = self.chance.within(1, 4);
        let news = (0..count).map(|_| self.visit()).collect();
        self.round(news);
    }

    /// A message of somebody with a few wishes and questions.
    fn visit(&mut self) -> News<Ticket> {
        let who = people::somebody(&mut self.chance);
        if self.chance.percent(14) {
            let who = if self.chance.percent(60) { Caller::server() } else { who };
            let command = people::office(&self.model.sessions, &mut self.chance);
            return self.message(who, vec![Ask::Command(command)]);
        }
        let count = self.chance.one_of(&[1, 1, 2, 4]);
        let asks = (0..count).map(|_| self.ask(&who)).collect();
        self.message(who, asks)
    }

    fn ask(&mut self, who: &Caller) -> Ask {
        let jobs = self.jobs();
        match self.chance.percent(20) {
            true => {
                let all = self.counter.see(questions);
                Ask::Query(self.chance.pick(&all).cloned().expect("there is always a question"))
            }
            false if self.chance.percent(12) => {
                Ask::Devices(people::reservation_wish(who, &self.machines, &mut self.chance))
            }
            false => Ask::Command(people::wish(who, &jobs, &self.machines, &mut self.chance)),
        }
    }

    fn message(&mut self, caller: Caller, asks: Vec<Ask>) -> News<Ticket> {
        self.next_ticket += 1;
        News::Visit(Visit { caller, asks, answer: self.next_ticket })
    }

    /// Living jobs, and some that never were.
    fn jobs(&self) -> Vec<JobId> {
        let live = self.model.jobs.iter().filter(|(_, job)| job.state != JobState::Destroyed);
        live.map(|(id, _)| *id).chain([JobId(0), JobId(1)]).collect()
    }

    fn hear_hardware(&mut self) {
        let count = self.chance.within(1, 5);
        if self.chance.percent(30) {
            self.now = self.hardware.speaks_at().map_or(self.now, |at| self.now.max(at));
        }
        let mut news: Vec<_> = (0..count)
            .map_while(|_| self.hardware.speak(self.now, &mut self.chance))
            .map(News::Outcome)
            .collect();
        if self.chance.percent(20) {
            let at = self.chance.below(news.len() as u64 + 1) as usize;
            let visit = self.visit();
            news.insert(at, visit);
        }
        self.round(news);
    }

    /// Agents bring boards, or are gone with some.
    fn hear_agents(&mut self) {
        let news = people::agent(&self.machines, &self.model.jobs, &mut self.chance)
            .map(|command| self.message(Caller::server(), vec![Ask::Command(command)]));
        self.round(news.into_iter().collect());
    }

    /// Time passes: a little, to the next deadline, just before it, or far beyond.
    fn pass_time(&mut self) {
        let sessions = self.counter.sessions.next_expiry();
        let deadline = self.rounds.due(sessions).unwrap_or(self.now);
        self.now = match self.chance.below(10) {
            0..=5 => self.now.plus_ms(self.chance.below(5000)),
            6..=7 => self.now.max(deadline),
            8 => self.now.max(Moment(deadline.0.saturating_sub(1))),
            _ => self.now.plus_ms(self.chance.below(100_000) * self.chance.within(0, 10)),
        };
        self.round(Vec::new());
    }

    /// Some jobs are mentioned, and some sessions used.
    fn give_signs(&mut self) {
        for job in self.jobs() {
            if self.chance.percent(60) {
                self.counter.signs.note(job, self.now);
                self.model.note(job, self.now);
            }
        }
        let sessions: Vec<_> = self.model.sessions.keys().copied().collect();
        for session in sessions {
            if self.chance.percent(30) {
                let found = self.counter.sessions.touch(&SessionId::from_bits(session.0), self.now);
                if let Found::Living(_) = found {
                    self.model.use_session(session, self.now);
                }
            }
        }
        self.round(Vec::new());
    }

    fn configure(&mut self) -> News<Ticket> {
        self.message(Caller::server(), vec![Ask::Command(Command::Configure(self.machines.clone()))])
    }

    /// The first thing a server does.
    fn configure_calmly(&mut self) {
        let configure = self.configure();
        self.disk.set_fates(Fate::Kept, Fate::Kept);
        self.round_with(vec![configure], Death::None);
    }

    fn reconfigure(&mut self) {
        self.machines = people::rearranged(&self.machines, &mut self.chance);
        let configure = self.configure();
        self.round(vec![configure]);
    }

    fn change_options(&mut self) {
        if !self.owed.is_empty() {
            // What is owed would be heard before the change, and the second account knows one set of options only.
            return;
        }
        self.options.patience_ms = self.chance.one_of(&[30_000, 600_000]);
        self.options.reports_to_quarantine = self.chance.within(0, 2) as usize;
        self.round(vec![News::Options(self.options.clone())]);
    }

    /// The server ends in good order, and what was asked just before is still answered.
    fn stop(&mut self) {
        let visit = self.visit();
        self.disk.set_fates(Fate::Kept, Fate::Kept);
        self.round_with(vec![visit, News::Stop], Death::None);
        assert_eq!(self.rounds.close(self.now), Ok(()));
        let (_, begun) = self.disk.snapshot();
        assert!(!begun, "a snapshot was left half written at an orderly end");
        self.note_fault("stopped in good order");
        self.start_otherwise();
    }

    /// The process is killed between two rounds.
    fn restart(&mut self) {
        self.note_fault("killed between two rounds");
        self.start_otherwise();
    }

    /// The server starts, perhaps at another time and with another configuration.
    fn start_otherwise(&mut self) {
        match self.chance.below(10) {
            // Signs of life lie ahead, which only the old process knew, and deadlines that are far away.
            0..=1 => {
                self.note_fault("the clock was set back");
                self.now = Moment(self.now.0 - self.chance.below(60_000));
            }
            2 => {
                self.note_fault("the clock was set forward");
                self.now = self.now.plus_ms(self.chance.below(50_000_000));
            }
            // An undisturbed reader sees the same before and after.
            3 if self.at_rest => return self.start_alike(),
            _ => {}
        }
        if self.chance.percent(30) {
            self.note_fault("another configuration at the start");
            self.machines = people::rearranged(&self.machines, &mut self.chance);
        }
        self.start();
    }

    /// A start after which the lab must be as the one readers saw before it.
    fn start_alike(&mut self) {
        let mut shown = self.counter.see(Lab::clone);
        shown.resume(self.now);
        let mut lab = self.replayed();
        lab.resume(self.now);
        assert_alike(&lab, &shown);
        self.start();
    }

    /// What is kept, as a lab that heard every fact.
    fn replayed(&self) -> Lab {
        let mut lab = Lab::new(self.options.clone());
        self.kept.iter().for_each(|fact| lab.apply(fact));
        lab
    }

    /// A process starts from what is on the disk. Its lab must be as one that heard every fact.
    fn start(&mut self) {
        let (snapshot, begun) = self.disk.snapshot();
        self.find_kept();
        let mut journal = self.disk.open();
        let mut lab = Lab::new(self.options.clone());
        replay_into(&mut journal, &mut lab, &mut |_| {}).expect("what was written can be read");
        lab.check().expect("what was read holds together");
        let mut replayed = self.replayed();
        assert_same(lab.pieces(), replayed.pieces());
        let effects = lab.resume(self.now);
        assert_eq!(format!("{effects:?}"), format!("{:?}", replayed.resume(self.now)));
        assert_alike(&lab, &replayed);
        snapshot.into_iter().for_each(|_| self.note_fault("started from a snapshot"));
        begun.then(|| self.note_fault("a snapshot was cut off"));
        self.counter = counter(&lab, self.now);
        self.rounds = Rounds::new(lab, Box::new(journal));
        self.owed.clear();
        self.model.restart(self.now, self.options.restart_grace_ms);
        self.restarted = self.now;
        self.give_orders(effects);
        if self.chance.percent(40) {
            self.read_torn_journal();
        }
        self.configure_calmly();
    }

    /// All that anybody was ever told is on the disk. What else is there nobody was told, and it is as true.
    fn find_kept(&mut self) {
        let untold = self.disk.facts_from(self.kept.len());
        untold.iter().for_each(|fact| self.take(fact));
        self.kept.extend(untold);
    }

    /// A journal that lost its end anywhere makes a lab that holds together and finds rest; the same from a snapshot.
    fn read_torn_journal(&mut self) {
        let length = self.chance.below(self.kept.len() as u64 + 1) as usize;
        let taken_at = self.chance.below(length as u64 + 1) as usize;
        let mut lab = Lab::new(self.options.clone());
        let mut restored = lab.clone();
        for (at, fact) in self.kept[..length].iter().enumerate() {
            if at == taken_at {
                restored.restore(lab.pieces()).expect("a lab can be put together again");
            }
            lab.apply(fact);
            if at >= taken_at {
                restored.apply(fact);
            }
        }
        if taken_at == length {
            restored.restore(lab.pieces()).expect("a lab can be put together again");
        }
        assert_same(restored.pieces(), lab.pieces());
        lab.resume(self.now);
        restored.resume(self.now);
        let mut count = 0;
        while let Some(fact) = lab.settle(self.now) {
            assert_eq!(restored.settle(self.now).as_ref(), Some(&fact), "a restored lab decides otherwise");
            lab.apply(&fact);
            restored.apply(&fact);
            count += 1;
            assert!(count < FACTS_MAX, "no rest after a torn journal: {fact:?}");
        }
        assert_eq!(restored.settle(self.now), None);
        lab.check().expect("a lab from a torn journal holds together");
    }

    fn check(&mut self) {
        let unchanged = std::mem::replace(&mut self.checked, self.kept.len()) == self.kept.len();
        if !unchanged || !self.at_rest {
            if let Err(why) = self.rounds.lab().check() {
                panic!("the lab contradicts itself: {why}");
            }
            self.model.compare(self.rounds.lab());
        }
        if self.chance.percent(5) {
            self.counter.see(|shown| assert_alike(self.rounds.lab(), shown));
        }
        if !self.at_rest {
            return;
        }
        let wake_at = self.rounds.lab().wake_at();
        assert!(wake_at.is_none_or(|(at, _)| at > self.now), "the lab rests and {wake_at:?} is due");
        self.model.check_deadlines(self.now, self.restarted, self.refused_at);
        if !unchanged {
            rules::check_rest(&self.model);
        }
    }
}

fn counter(lab: &Lab, now: Moment) -> Counter {
    Counter::new(lab.clone(), Herald::new(Limits::DEFAULT), now).0
}

fn asked(news: &[News<Ticket>]) -> Asked {
    let visits = news.iter().filter_map(|item| match item {
        News::Visit(visit) => Some((visit.answer, visit.asks.clone())),
        _ => None,
    });
    visits.collect()
}

fn outcomes(news: &[News<Ticket>]) -> Vec<Outcome> {
    let outcomes = news.iter().filter_map(|item| match item {
        News::Outcome(outcome) => Some(outcome.clone()),
        _ => None,
    });
    outcomes.collect()
}

/// Every visit is answered once, each of its asks, in order.
fn check_form(asked: &Asked, done: &Done<Ticket>) {
    let form = |(ticket, count): (&Ticket, usize)| (*ticket, count);
    let asked: Vec<_> = asked.iter().map(|(ticket, asks)| form((ticket, asks.len()))).collect();
    let answered: Vec<_> =
        done.answers.iter().map(|(ticket, answers)| form((ticket, answers.len()))).collect();
    assert_eq!(answered, asked);
}

/// What callers are told was done is among what is kept, in the order in which they asked.
fn check_promises(done: &Done<Ticket>) {
    let mut left = &done.facts[..];
    for answer in done.answers.iter().flat_map(|(_, answers)| answers) {
        let Ok(Reply::Done(facts)) = answer else { continue };
        let Some(first) = facts.first() else { continue };
        let at = left.iter().position(|fact| fact == first).expect("what was promised is kept");
        assert!(left[at..].starts_with(facts), "{facts:?} was promised");
        left = &left[at + facts.len()..];
    }
}

/// The desk did what a plain one does.
fn check_plain(plain: &Plain, done: &Done<Ticket>) {
    assert_eq!(done.facts, plain.facts, "a plain desk comes to other facts");
    let answers: Vec<_> =
        done.answers.iter().map(|(ticket, answers)| (*ticket, format!("{answers:?}"))).collect();
    assert_eq!(answers, plain.answers, "a plain desk gives other answers");
}

/// Two labs in pieces that are the same, piece by piece.
fn assert_same(one: Vec<Piece>, other: Vec<Piece>) {
    for (one, other) in one.iter().zip(&other) {
        assert_eq!(one, other);
    }
    assert_eq!(one.len(), other.len());
}

/// Two labs that answer every question alike.
fn assert_alike(one: &Lab, other: &Lab) {
    assert_eq!(one.wake_at(), other.wake_at());
    for query in questions(one) {
        let (one, other) = (format!("{:?}", one.see(&query)), format!("{:?}", other.see(&query)));
        assert!(one == other, "the answers to {query:?} differ:\n{one}\n{other}");
    }
}
