//! A lab, its desk, its journal, its hardware and its people, all of them driven by one seed.

use super::chance::Chance;
use super::hardware::Hardware;
use super::model::Model;
use super::{people, rules};
use crate::scripts::questions;
use berth::clock::Moment;
use berth::lab::command::{Caller, Command};
use berth::lab::effect::Effect;
use berth::lab::fact::{Fact, JobId};
use berth::lab::machine::MachineSpec;
use berth::lab::{Lab, Options};
use std::sync::Arc;

/// How many facts may follow from one step before the lab is said to find no rest.
const FACTS_MAX: usize = 2000;

/// See above.
pub struct World {
    chance: Chance,
    now: Moment,
    options: Options,
    /// The lab of the desk.
    lab: Lab,
    /// The lab that readers see: it has the facts that were kept, and nothing else.
    shown: Lab,
    /// The second account of the kept facts.
    pub model: Model,
    /// What was kept, round by round.
    pub kept: Vec<Fact>,
    hardware: Hardware,
    machines: Vec<Arc<MachineSpec>>,
    restarted: Moment,
}

/// What one round has come to.
#[derive(Default)]
struct Round {
    facts: Vec<Fact>,
    effects: Vec<Effect>,
}

impl World {
    /// The world of a seed, with its first machines.
    pub fn new(seed: u64) -> World {
        let mut chance = Chance::new(seed);
        let options = Options {
            retired_jobs_max: 20,
            jobs_per_owner_max: chance.one_of(&[5, 100]),
            keepalive_ms_max: chance.one_of(&[0, 60_000]),
            patience_ms: chance.one_of(&[30_000, 600_000]),
            retest_after_ms: chance.one_of(&[0, 5000, 60_000]),
            reports_to_quarantine: chance.within(0, 2) as usize,
            ..Options::default()
        };
        let mut world = World {
            lab: Lab::new(options.clone()),
            shown: Lab::new(options.clone()),
            now: Moment(1_800_000_000_000),
            restarted: Moment(0),
            options,
            model: Model::default(),
            kept: Vec::new(),
            hardware: Hardware::new(&mut chance),
            machines: people::machines(&mut chance),
            chance,
        };
        world.configure();
        world
    }

    /// Something happens.
    pub fn step(&mut self) {
        match self.chance.below(100) {
            0..=39 => self.visits(),
            40..=76 => self.hear_hardware(),
            77..=84 => self.pass_time(),
            85..=93 => self.give_signs(),
            94..=95 => self.reconfigure(),
            96 => self.change_options(),
            97 => self.hardware.fall_silent(),
            _ => self.restart(),
        }
        self.check();
    }

    /// One round of the desk: everything that is heard at once, then whatever is due.
    fn round(&mut self, news: Vec<(Caller, Command)>) {
        let mut round = Round::default();
        for (caller, command) in news {
            let before = round.facts.len();
            if let Ok(facts) = self.lab.decide(self.now, &caller, &command) {
                facts.into_iter().for_each(|fact| self.apply(fact, &mut round));
            }
            self.settle(&mut round);
            assert!(round.facts.len() - before < FACTS_MAX);
        }
        self.settle(&mut round);
        match self.chance.below(100) {
            // The disk was full: the round never happened, and the desk goes back to what was kept.
            0..=1 => {
                self.lab = self.shown.clone();
                self.round_kept();
            }
            // The process died before the round was kept.
            2..=3 => self.replay(),
            _ => self.keep(round),
        }
    }

    /// Whatever is due happens. Often it is compared with what a lab would do that knows of no pass before.
    fn settle(&mut self, round: &mut Round) {
        let compared = self.chance.percent(30);
        loop {
            let afresh = compared.then(|| self.settled_afresh());
            let due = self.lab.settle(self.now);
            if let Some(afresh) = afresh {
                assert_eq!(due, afresh, "the memo of the pass told otherwise after {:#?}", round.facts);
            }
            let Some(fact) = due else { return };
            self.apply(fact, round);
            assert!(round.facts.len() < FACTS_MAX, "no rest: {:?}", round.facts.last());
        }
    }

    /// What would be next if every pass over the line began anew.
    fn settled_afresh(&self) -> Option<Fact> {
        let mut forgetful = self.lab.clone();
        forgetful.set_options(self.options.clone());
        forgetful.settle(self.now)
    }

    fn apply(&mut self, fact: Fact, round: &mut Round) {
        self.lab.apply(&fact);
        round.effects.extend(self.lab.react(&fact));
        round.facts.push(fact);
    }

    /// The round is kept: readers see it, hardware hears of it.
    fn keep(&mut self, round: Round) {
        for fact in &round.facts {
            self.model.take(fact, &self.options);
            self.shown.apply(fact);
        }
        self.kept.extend(round.facts);
        self.give_orders(round.effects);
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

    fn visit(&mut self) -> (Caller, Command) {
        let who = people::somebody(&mut self.chance);
        if self.chance.percent(12) {
            let who = if self.chance.percent(60) { Caller::server() } else { who };
            return (who, people::office(&mut self.chance));
        }
        let jobs = self.jobs();
        let command = people::wish(&who, &jobs, &self.machines, &mut self.chance);
        (who, command)
    }

    /// Living jobs, and some that never were.
    fn jobs(&self) -> Vec<JobId> {
        let live =
            self.model.jobs.iter().filter(|(_, job)| job.state != berth::lab::job::JobState::Destroyed);
        live.map(|(id, _)| *id).chain([JobId(0), JobId(1)]).collect()
    }

    fn hear_hardware(&mut self) {
        let count = self.chance.within(1, 5);
        if self.chance.percent(30) {
            self.now = self.hardware.speaks_at().map_or(self.now, |at| self.now.max(at));
        }
        let news = (0..count).map_while(|_| self.hardware.speak(self.now, &mut self.chance));
        let news = news.map(|command| (Caller::server(), command)).collect();
        self.round(news);
    }

    /// Time passes: a little, to the next deadline, just before it, or far beyond.
    fn pass_time(&mut self) {
        let deadline = self.lab.wake_at().map_or(self.now, |(at, _)| at);
        self.now = match self.chance.below(10) {
            0..=5 => self.now.plus_ms(self.chance.below(5000)),
            6..=7 => self.now.max(deadline),
            8 => self.now.max(Moment(deadline.0.saturating_sub(1))),
            _ => self.now.plus_ms(self.chance.below(100_000) * self.chance.within(0, 10)),
        };
        self.round(Vec::new());
    }

    /// Some jobs are mentioned, at the desk and at the readers' lab.
    fn give_signs(&mut self) {
        let jobs = self.jobs();
        let signs: Vec<_> =
            jobs.into_iter().filter(|_| self.chance.percent(60)).map(|job| (job, self.now)).collect();
        self.lab.note(&signs);
        self.shown.note(&signs);
        self.round(Vec::new());
    }

    fn configure(&mut self) {
        let mut round = Round::default();
        let facts = self.lab.decide(self.now, &Caller::server(), &Command::Configure(self.machines.clone()));
        facts.expect("the configuration is right").into_iter().for_each(|fact| self.apply(fact, &mut round));
        self.settle(&mut round);
        self.keep(round);
    }

    fn reconfigure(&mut self) {
        self.machines = people::rearranged(&self.machines, &mut self.chance);
        self.configure();
    }

    fn change_options(&mut self) {
        self.options.patience_ms = self.chance.one_of(&[30_000, 600_000]);
        self.options.reports_to_quarantine = self.chance.within(0, 2) as usize;
        self.lab.set_options(self.options.clone());
        self.shown.set_options(self.options.clone());
        self.round(Vec::new());
    }

    fn restart(&mut self) {
        if self.chance.percent(20) {
            // The clock went back: signs of life lie ahead, which only the old process knew.
            self.now = Moment(self.now.0 - self.chance.below(60_000));
            self.shown = self.replayed();
        }
        self.replay();
    }

    /// What was kept, as a lab.
    fn replayed(&self) -> Lab {
        let mut lab = Lab::new(self.options.clone());
        self.kept.iter().for_each(|fact| lab.apply(fact));
        lab
    }

    /// The process starts again from what was kept. The new lab must be as the one that readers saw.
    fn replay(&mut self) {
        let mut lab = self.replayed();
        let effects = lab.resume(self.now);
        self.shown.resume(self.now);
        assert_alike(&lab, &self.shown);
        self.lab = lab;
        self.model.restart(self.now);
        self.restarted = self.now;
        self.give_orders(effects);
        self.round_kept();
        self.read_torn_journal();
    }

    /// A round in which nothing is heard and nothing goes wrong.
    fn round_kept(&mut self) {
        let mut round = Round::default();
        self.settle(&mut round);
        self.keep(round);
    }

    /// A journal that lost its end anywhere makes a lab that holds together and finds rest.
    fn read_torn_journal(&mut self) {
        let length = self.chance.below(self.kept.len() as u64 + 1) as usize;
        let mut lab = Lab::new(self.options.clone());
        self.kept[..length].iter().for_each(|fact| lab.apply(fact));
        lab.resume(self.now);
        let mut count = 0;
        while let Some(fact) = lab.settle(self.now) {
            lab.apply(&fact);
            count += 1;
            assert!(count < FACTS_MAX, "no rest after a torn journal: {fact:?}");
        }
        lab.check().expect("a lab from a torn journal holds together");
    }

    fn check(&mut self) {
        if let Err(why) = self.lab.check() {
            panic!("the lab contradicts itself: {why}");
        }
        let wake_at = self.lab.wake_at();
        assert!(wake_at.is_none_or(|(at, _)| at > self.now), "the lab rests and {wake_at:?} is due");
        self.model.compare(&self.lab);
        self.model.check_deadlines(self.now, self.restarted);
        rules::check_rest(&self.model);
        if self.chance.percent(5) {
            assert_alike(&self.lab, &self.shown);
        }
    }
}

/// Two labs that answer every question alike.
fn assert_alike(one: &Lab, other: &Lab) {
    assert_eq!(one.wake_at(), other.wake_at());
    for query in questions(one) {
        let (one, other) = (format!("{:?}", one.see(&query)), format!("{:?}", other.see(&query)));
        assert!(one == other, "the answers to {query:?} differ:\n{one}\n{other}");
    }
}
