//! The controllers of all machines: orders go out to them, what comes of them comes back to the desk as news. Machines whose
//! boards agents have are found here by the doors that agents come by.

use super::agents;
use super::book::Book;
use super::desk::{Counter, News};
use crate::clock::Clock;
use crate::config::MachineConfig;
use crate::controller::agent::{AgentCounts, Hub};
use crate::controller::driver::{self, Handle};
use crate::controller::{Boards, ControllerError, ControllerSettings, Outcome, Reading, Task};
use crate::lab::command::{Consult, Consultation};
use crate::lab::effect::{Effect, Order};
use crate::lab::fact::MachineName;
use crate::service::plan::{WorkerCounts, Workforce};
use futures_channel::oneshot;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// See above.
pub struct Hardware {
    clock: Clock,
    counter: Arc<Counter>,
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
    /// No machines; outcomes go to the desk behind this counter.
    pub fn new(clock: Clock, counter: Arc<Counter>) -> Arc<Hardware> {
        Arc::new(Hardware { clock, counter, inside: Mutex::default(), book: Arc::default() })
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
            inside.leave(gone);
            let handle = kept.unwrap_or_else(|| self.start(machine));
            if let (Some(hub), ControllerSettings::Agent(settings)) = (&handle.hub, &machine.controller) {
                hub.set_settings(settings.clone());
            }
            inside.machines.insert(name, (machine.clone(), handle));
        }
        inside.leave(before.into_values().map(|(_, handle)| handle));
        self.book.retain(|machine| inside.machines.contains_key(machine));
    }

    fn start(&self, machine: &MachineConfig) -> Handle {
        let (counter, clock, book) = (self.counter.clone(), self.clock.clone(), self.book.clone());
        if let ControllerSettings::Agent(settings) = &machine.controller {
            return agents::start(&machine.spec, settings.clone(), counter, clock, book);
        }
        let known = machine.spec.clone();
        let outcomes = move |outcome| {
            book.note_outcome(clock.now(), &known, &outcome);
            // A desk that has closed is told again after the next start.
            let _ = counter.tell(News::Outcome(outcome));
        };
        let (spec, count) = (machine.spec.clone(), machine.spec.board_count());
        let boards = Boards::new(count, move |board| spec.board_name(board).to_string().into());
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
            let _ = self.counter.tell(News::Outcome(Outcome { order: order.id, obeyed: Vec::new(), failed }));
        }
    }

    /// Where the agents of a machine come, if agents have its boards.
    pub fn agents(&self, machine: &str) -> Option<Arc<Hub>> {
        self.inside().machines.get(machine).and_then(|(_, handle)| handle.hub.clone())
    }

    /// The same for all machines that have such a place, by name.
    pub fn all_agents(&self) -> Vec<(MachineName, Arc<Hub>)> {
        let inside = self.inside();
        let all = inside.machines.iter();
        all.filter_map(|(name, (_, handle))| Some((name.clone(), handle.hub.clone()?))).collect()
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
            machine.spec.clone()
        };
        // Boards may have joined since.
        let now = self.counter.see(|lab| lab.spec_of_machine(&at.board.machine).cloned());
        let board = now.unwrap_or(board).board_name(at.board.board);
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

impl Workforce for Hardware {
    fn count(&self) -> WorkerCounts {
        let mut count = WorkerCounts::default();
        for (_, hub) in self.all_agents() {
            let AgentCounts { connected, away, draining } = hub.count();
            count.connected += connected;
            count.away += away;
            count.draining += draining;
        }
        count
    }
}

impl std::fmt::Debug for Hardware {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hardware").field("machines", &self.inside().machines.len()).finish()
    }
}

impl Inside {
    /// Controllers are not needed any more. Those with agents end at once: whoever is there must come to the next one, and
    /// puts boards to rest on the way.
    fn leave(&mut self, gone: impl IntoIterator<Item = Handle>) {
        self.leaving.extend(gone.into_iter().filter(|handle| handle.hub.is_none()));
    }
}

/// Whether a controller can go on under another configuration.
fn is_same(before: &MachineConfig, after: &MachineConfig) -> bool {
    let same = match (&before.controller, &after.controller) {
        (ControllerSettings::Agent(_), ControllerSettings::Agent(_)) => true,
        (before, after) => before == after,
    };
    same && before.spec.same_boards(&after.spec)
}
