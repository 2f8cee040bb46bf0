//! The controllers of all machines: orders go out to them, what comes of them comes back to the desk as news.

use super::book::Book;
use super::desk::News;
use crate::clock::Clock;
use crate::config::MachineConfig;
use crate::controller::driver::{self, Handle};
use crate::controller::{Boards, ControllerError, Outcome, Reading, Task};
use crate::lab::command::{Consult, Consultation};
use crate::lab::effect::{Effect, Order};
use crate::lab::fact::MachineName;
use async_channel::Sender;
use futures_channel::oneshot;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// See above.
pub struct Hardware {
    clock: Clock,
    news: Sender<News>,
    inside: Mutex<Inside>,
    /// What is known of boards beside the lab.
    pub book: Arc<Book>,
}

/// The controllers in use, and those whose machines are gone but whose last orders may still run.
#[derive(Default)]
struct Inside {
    machines: BTreeMap<MachineName, (MachineConfig, Handle)>,
    leaving: Vec<Handle>,
}

impl Hardware {
    /// No machines; outcomes go to the desk that hears this channel.
    pub fn new(clock: Clock, news: Sender<News>) -> Arc<Hardware> {
        Arc::new(Hardware { clock, news, inside: Mutex::default(), book: Arc::default() })
    }

    /// Brings the controllers to the configuration: what did not change goes on undisturbed. Controllers of
    /// machines that are gone finish what they were told; they end at the next change.
    pub fn configure(&self, machines: &[MachineConfig]) {
        let mut inside = self.inside();
        inside.leaving.clear();
        let mut before = std::mem::take(&mut inside.machines);
        for machine in machines {
            let name = machine.spec.name.clone();
            let same = before.remove(&name);
            let (kept, gone) = match same {
                Some((config, handle)) if is_same(&config, machine) => (Some(handle), None),
                Some((_, handle)) => (None, Some(handle)),
                None => (None, None),
            };
            inside.leaving.extend(gone);
            let handle = kept.unwrap_or_else(|| self.start(machine));
            inside.machines.insert(name, (machine.clone(), handle));
        }
        inside.leaving.extend(before.into_values().map(|(_, handle)| handle));
        self.book.retain(|machine| inside.machines.contains_key(machine));
    }

    fn start(&self, machine: &MachineConfig) -> Handle {
        let news = self.news.clone();
        let (book, clock, known) = (self.book.clone(), self.clock.clone(), machine.spec.clone());
        let outcomes = move |outcome| {
            book.note_outcome(clock.now(), &known, &outcome);
            // A desk that has closed is told again after the next start.
            let _ = news.try_send(News::Outcome(outcome));
        };
        let boards = Boards::of(machine.spec.clone());
        let (name, settings) = (machine.spec.name.clone(), machine.controller.clone());
        driver::start(name, settings, boards, self.clock.clone(), outcomes)
    }

    /// Gives an order to the controller of its machine.
    pub fn order(&self, order: Order) {
        let inside = self.inside();
        let sent = match inside.machines.get(&order.machine) {
            Some((_, handle)) => {
                self.book.note_order(&order);
                handle.give(Task::Order(order.clone()));
                true
            }
            None => false,
        };
        drop(inside);
        if !sent {
            let failed =
                order.boards.iter().map(|board| (*board, "the machine has no controller".into())).collect();
            let _ =
                self.news.try_send(News::Outcome(Outcome { order: order.id, obeyed: Vec::new(), failed }));
        }
    }

    /// Asks a board something and waits for what it says.
    pub async fn consult(&self, at: Consultation, what: Consult) -> Result<Reading, ControllerError> {
        let (answer, answered) = oneshot::channel();
        let board = {
            let inside = self.inside();
            let Some((machine, handle)) = inside.machines.get(&at.board.machine) else {
                return Err(ControllerError::Silent);
            };
            handle.give(Task::Consult { at: at.clone(), what: what.clone(), answer });
            machine.spec.board_name(at.board.board)
        };
        let said = answered.await.unwrap_or(Err(ControllerError::Silent));
        self.book.note_consult(self.clock.now(), board, &at, &what, &said);
        said
    }

    /// Gives the orders again that were in flight when the last server stopped.
    pub fn resume(&self, effects: Vec<Effect>) {
        for effect in effects {
            if let Effect::Order(order) = effect {
                self.order(order);
            }
        }
    }

    /// Ends all controllers.
    pub fn close(&self) {
        *self.inside() = Inside::default();
    }

    /// The maps are whole between calls, so a panic elsewhere does no harm.
    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a controller can go on under another configuration.
fn is_same(before: &MachineConfig, after: &MachineConfig) -> bool {
    before.controller == after.controller && before.spec.same_boards(&after.spec)
}
