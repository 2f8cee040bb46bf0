//! The desk once more, as plainly as can be: what one round must come to, by a lab that forgets every pass it made.

use super::world::Ticket;
use berth::clock::Moment;
use berth::controller::Outcome;
use berth::lab::ask::{Ask, Reply};
use berth::lab::command::{Caller, Command};
use berth::lab::fact::{Fact, SessionEnd};
use berth::lab::view::View;
use berth::lab::{Lab, Options};
use berth::server::rounds::{Heard, News};

/// A round in the making.
pub struct Plain {
    lab: Lab,
    options: Options,
    now: Moment,
    /// What happened.
    pub facts: Vec<Fact>,
    /// What each visit is answered, as text.
    pub answers: Vec<(Ticket, String)>,
}

impl Plain {
    /// What must come of this, on a lab as readers see it. `owed` are outcomes of rounds before that were not kept.
    pub fn round(lab: Lab, options: &Options, now: Moment, owed: &[Outcome], heard: &Heard<Ticket>) -> Plain {
        let (facts, answers) = (Vec::new(), Vec::new());
        let mut plain = Plain { lab, options: options.clone(), now, facts, answers };
        owed.iter().for_each(|outcome| plain.outcome(outcome));
        for item in &heard.news {
            match item {
                News::Visit(visit) => {
                    let answers: Vec<_> =
                        visit.asks.iter().map(|ask| plain.ask(&visit.caller, ask)).collect();
                    plain.answers.push((visit.answer, format!("{answers:?}")));
                }
                News::Outcome(outcome) => plain.outcome(outcome),
                News::Options(_) | News::Stop => {}
            }
        }
        for session in &heard.expired {
            let command = Command::EndSession { session: *session, why: SessionEnd::Expired };
            plain.ask(&Caller::server(), &Ask::Command(command)).ok();
        }
        plain.rest();
        plain
    }

    fn outcome(&mut self, outcome: &Outcome) {
        let Outcome { order, obeyed, failed } = outcome.clone();
        let command = Command::AnswerOrder { order, obeyed, failed };
        self.ask(&Caller::server(), &Ask::Command(command)).ok();
    }

    fn ask(&mut self, caller: &Caller, ask: &Ask) -> Result<Reply, berth::error::Fault> {
        match ask {
            Ask::Query(query) => self.lab.see(query).map(Reply::Seen).map_err(|refusal| refusal.fault()),
            Ask::Command(command) => {
                let facts = self.lab.decide(self.now, caller, command).map_err(|refusal| refusal.fault())?;
                facts.iter().for_each(|fact| self.apply(fact.clone()));
                self.rest();
                Ok(Reply::Done(facts))
            }
            Ask::Devices(command) => {
                let facts = self.lab.decide(self.now, caller, command).map_err(|refusal| refusal.fault())?;
                let devices = self.lab.devices_in(&facts);
                facts.iter().for_each(|fact| self.apply(fact.clone()));
                self.rest();
                Ok(Reply::Seen(View::Changed(devices)))
            }
        }
    }

    fn rest(&mut self) {
        loop {
            // Whoever takes options forgets what the passes before have shown.
            self.lab.set_options(self.options.clone());
            let Some(fact) = self.lab.settle(self.now) else { return };
            self.apply(fact);
        }
    }

    fn apply(&mut self, fact: Fact) {
        self.lab.apply(&fact);
        self.facts.push(fact);
    }
}
