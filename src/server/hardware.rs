//! The controllers of all machines: orders go out to them, what comes of them comes back to the desk as news. Machines whose
//! boards agents have are found here by the doors that agents come by.

use super::agents;
use super::book::Book;
use super::debts::Debts;
use super::desk::{Counter, News};
use crate::clock::{Clock, Moment};
use crate::config::MachineConfig;
use crate::controller::agent::{AgentCounts, Hub};
use crate::controller::driver::{self, Handle};
use crate::controller::{Boards, ControllerError, ControllerSettings, Outcome, Reading, Task};
use crate::lab::command::{Consult, Consultation};
use crate::lab::effect::{Effect, Order};
use crate::lab::fact::MachineName;
use crate::service::plan::{WorkerCounts, Workforce};
use async_channel::{Receiver, Sender};
use futures_channel::oneshot;
use futures_util::future::{self, select};
use std::collections::BTreeMap;
use std::pin::pin;
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
    machines: BTreeMap<MachineName, Controller>,
    leaving: BTreeMap<MachineName, Leaving>,
    /// The other ends see it go when all is to end, also what still waits for the end of something else.
    open: Option<(Sender<()>, Receiver<()>)>,
}

/// The controller of a machine.
struct Controller {
    config: MachineConfig,
    debts: Arc<Debts>,
    handle: Handle,
}

/// A controller whose machine is gone.
struct Leaving {
    controller: Controller,
    /// When nobody waits for it any more.
    until: Moment,
}

impl Hardware {
    /// No machines; outcomes go to the desk behind this counter.
    pub fn new(clock: Clock, counter: Arc<Counter>) -> Arc<Hardware> {
        Arc::new(Hardware { clock, counter, inside: Mutex::default(), book: Arc::default() })
    }

    /// Brings the controllers to the configuration: what did not change goes on undisturbed. Controllers of
    /// machines that are gone finish what they were told, for as long as an order may take. No board ever has two controllers:
    /// a new one begins when the one before it has ended, and takes over what that one owes if the boards are the same.
    pub fn configure(&self, machines: &[MachineConfig]) {
        let mut inside = self.inside();
        let now = self.clock.now();
        inside.leaving.retain(|_, leaving| leaving.until > now && !leaving.controller.debts.are_paid());
        let mut before = std::mem::take(&mut inside.machines);
        for machine in machines {
            let name = machine.spec.name.clone();
            let controller = match before.remove(&name) {
                Some(same) if is_same(&same.config, machine) => {
                    Controller { config: machine.clone(), ..same }
                }
                Some(other) => self.replace(&mut inside, other, now, machine),
                None => match inside.leaving.remove(&name) {
                    Some(Leaving { controller, .. }) => self.replace(&mut inside, controller, now, machine),
                    None => self.start(machine, future::ready(())),
                },
            };
            if let (Some(hub), ControllerSettings::Agent(settings)) =
                (&controller.handle.hub, &machine.controller)
            {
                hub.set_settings(settings.clone());
            }
            inside.machines.insert(name, controller);
        }
        for (name, controller) in before {
            let until = now.plus_ms(controller.config.spec.order_ms_max);
            inside.leaving.insert(name, Leaving { controller, until });
        }
        self.book.retain(|machine| inside.machines.contains_key(machine));
    }

    /// Another controller for a machine: the old one ends first, at once if it can be relieved of what it owes.
    fn replace(
        &self,
        inside: &mut Inside,
        old: Controller,
        now: Moment,
        machine: &MachineConfig,
    ) -> Controller {
        let Controller { config, debts, handle } = old;
        let same_boards = config.spec.same_boards(&machine.spec);
        if !same_boards {
            // Its boards have other numbers now. What the old ones come to yet is nobody's.
            self.book.retain(|name| *name != machine.spec.name);
        }
        let orders = if same_boards { debts.retire() } else { Vec::new() };
        let open = inside.open.get_or_insert_with(|| async_channel::bounded(1)).0.clone();
        let clock = self.clock.clone();
        let until = now.plus_ms(config.spec.order_ms_max);
        let after = async move {
            let given_up = async {
                _ = select(pin!(clock.sleep_until(until)), pin!(open.closed())).await;
            };
            _ = select(pin!(debts.settled()), pin!(given_up)).await;
            handle.stop().await;
        };
        let new = self.start(machine, after);
        for order in orders {
            new.debts.owe(&order);
            new.handle.give(Task::Order(order));
        }
        new
    }

    /// Starts the controller of a machine, which waits for the end of something before it takes its first order.
    fn start(&self, machine: &MachineConfig, after: impl Future<Output = ()> + Send + 'static) -> Controller {
        let debts: Arc<Debts> = Arc::default();
        let (counter, owed) = (self.counter.clone(), debts.clone());
        let (book, clock) = (self.book.clone(), self.clock.clone());
        if let ControllerSettings::Agent(settings) = &machine.controller {
            // Agents owe nothing: whoever is there must come to the next hub, and puts boards to rest on the way.
            let handle = agents::start(&machine.spec, settings.clone(), counter, clock, book);
            return Controller { config: machine.clone(), debts, handle };
        }
        let tell = move |outcome| {
            book.note_outcome(clock.now(), &outcome);
            // A desk that has closed is told again after the next start.
            let _ = counter.tell(News::Outcome(outcome));
        };
        let outcomes = move |outcome| owed.pay(outcome, &tell);
        let boards = Boards::of(machine.spec.clone());
        let (name, settings) = (machine.spec.name.clone(), machine.controller.clone());
        let handle = driver::start_after(after, name, settings, boards, self.clock.clone(), outcomes);
        Controller { config: machine.clone(), debts, handle }
    }

    /// Gives an order to the controller of its machine.
    pub fn order(&self, order: Order) {
        let inside = self.inside();
        let sent = match inside.machines.get(&order.machine) {
            Some(Controller { debts, handle, .. }) => {
                self.book.note_order(&order);
                if handle.hub.is_none() {
                    debts.owe(&order);
                }
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
        self.inside().machines.get(machine).and_then(|machine| machine.handle.hub.clone())
    }

    /// The same for all machines that have such a place, by name.
    pub fn all_agents(&self) -> Vec<(MachineName, Arc<Hub>)> {
        let inside = self.inside();
        let all = inside.machines.iter();
        all.filter_map(|(name, machine)| Some((name.clone(), machine.handle.hub.clone()?))).collect()
    }

    /// Asks a board something and waits for what it says.
    pub async fn consult(&self, at: Consultation, what: Consult) -> Result<Reading, ControllerError> {
        let (answer, answered) = oneshot::channel();
        match self.inside().machines.get(&at.board.machine) {
            Some(Controller { handle, .. }) => {
                handle.give(Task::Consult { at: at.clone(), what: what.clone(), answer });
            }
            None => return Err(ControllerError::Silent),
        }
        let said = answered.await.unwrap_or(Err(ControllerError::Silent));
        self.book.note_consult(self.clock.now(), &at, &what, &said);
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

    fn url_of(&self, serial: &str) -> Option<Arc<str>> {
        self.all_agents().iter().find_map(|(_, hub)| hub.url_of(serial))
    }
}

impl std::fmt::Debug for Hardware {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hardware").field("machines", &self.inside().machines.len()).finish()
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::allocator::BoardIndex;
    use crate::config::Config;
    use crate::lab::effect::Action;
    use crate::lab::fact::{BoardRef, Grant, OrderId};
    use crate::lab::{Lab, Options};
    use crate::server::herald::Herald;
    use async_std::task::block_on;
    use std::time::Duration;

    /// Whoever waits longer than this for something that should come at once waits in vain.
    const PATIENCE: Duration = Duration::from_secs(60);

    struct Bench {
        clock: Clock,
        hardware: Arc<Hardware>,
        heard: Receiver<News>,
    }

    impl Bench {
        /// Hardware of one machine of so many boards, whose cleaning takes that long.
        fn new(boards: u32, clean_ms: u32) -> Bench {
            let clock = Clock::moved(Moment(1_000_000));
            let herald = Herald::new(crate::notice::Limits::DEFAULT);
            let (counter, heard) = Counter::new(Lab::new(Options::default()), herald, clock.now());
            let bench = Bench { hardware: Hardware::new(clock.clone(), Arc::new(counter)), clock, heard };
            bench.hardware.configure(&machine(boards, clean_ms));
            bench
        }

        fn clean(&self, grant: u64, boards: &[u32]) {
            self.hardware.order(Order {
                id: id(grant),
                machine: "m".into(),
                action: Action::Clean,
                boards: boards.iter().copied().map(BoardIndex).collect(),
                mates: [].into(),
                job: None,
            });
        }

        /// Waits until the controller has taken all it was given so far.
        fn catch_up(&self) {
            let board = BoardRef { machine: "m".into(), board: BoardIndex(0) };
            let at = Consultation { board, order: id(99), held: None };
            let asked = self.hardware.consult(at, Consult::Identify { on: None });
            let answer = block_on(async_std::future::timeout(PATIENCE, asked)).expect("nothing came");
            assert_eq!(answer, Ok(Reading::Done));
        }

        /// The next order that all its boards obeyed.
        fn obeyed(&self) -> (OrderId, usize) {
            let news = block_on(async_std::future::timeout(PATIENCE, self.heard.recv()));
            match news.expect("nothing came").expect("an open channel") {
                News::Outcome(Outcome { order, obeyed, failed }) if failed.is_empty() => {
                    (order, obeyed.len())
                }
                _ => panic!("something else came"),
            }
        }
    }

    fn id(grant: u64) -> OrderId {
        OrderId { grant: Grant(grant), step: 0 }
    }

    fn machine(boards: u32, clean_ms: u32) -> Vec<MachineConfig> {
        let serials: Vec<_> = (0..boards).map(|number| format!("\"b{number}\"")).collect();
        let text = format!(
            "[[machine]]\nname = \"m\"\nshape = \"pool\"\nserials = [{}]\ncontroller = \"simulated\"\n\
             [machine.simulated]\nclean_ms = {clean_ms}\n",
            serials.join(", ")
        );
        Config::load(Some(&text), &[], &[]).expect("a configuration").machines
    }

    #[test]
    fn what_is_known_of_boards_is_forgotten_when_they_have_other_numbers() {
        use crate::service::plan::BoardBook;
        let bench = Bench::new(3, 0);
        bench.clean(1, &[0, 2]);
        assert_eq!(bench.obeyed(), (id(1), 2));
        let board = BoardRef { machine: "m".into(), board: BoardIndex(2) };
        let knows = || bench.hardware.book.record(&board).power.is_some();
        assert!(knows());
        bench.hardware.configure(&machine(3, 10));
        assert!(knows(), "they are the same boards");
        bench.hardware.configure(&machine(4, 10));
        assert!(!knows());
    }

    #[test]
    fn a_controller_with_other_settings_takes_over_what_is_owed_and_the_old_one_is_not_heard() {
        let bench = Bench::new(3, 1_000);
        bench.clean(1, &[0, 1]);
        bench.catch_up();
        bench.hardware.configure(&machine(3, 10));
        bench.catch_up();
        bench.clock.advance(10);
        assert_eq!(bench.obeyed(), (id(1), 2));
        bench.clock.advance(10_000);
        bench.clean(2, &[0]);
        bench.catch_up();
        bench.clock.advance(10);
        assert_eq!(bench.obeyed(), (id(2), 1), "each board of each order answers once");
    }

    #[test]
    fn a_machine_with_other_boards_waits_until_its_old_boards_have_answered() {
        let bench = Bench::new(3, 1_000);
        bench.clean(1, &[0, 1]);
        bench.catch_up();
        bench.hardware.configure(&machine(4, 0));
        bench.clean(2, &[0]);
        // Whoever drives the new boards already answers now.
        block_on(async { async_std::future::timeout(Duration::from_millis(50), bench.heard.recv()).await })
            .expect_err("two controllers at once");
        bench.clock.advance(1_000);
        assert_eq!([bench.obeyed(), bench.obeyed()], [(id(1), 2), (id(2), 1)]);
    }

    #[test]
    fn a_machine_that_comes_back_waits_for_its_own_past_but_not_for_ever() {
        let bench = Bench::new(3, 3_600_000);
        bench.clean(1, &[0]);
        bench.catch_up();
        bench.hardware.configure(&[]);
        let back = machine(4, 0);
        let order_ms_max = back[0].spec.order_ms_max;
        bench.hardware.configure(&back);
        bench.clean(2, &[0]);
        bench.clock.advance(order_ms_max - 1);
        assert!(bench.heard.is_empty());
        bench.clock.advance(1);
        assert_eq!(bench.obeyed(), (id(2), 1));
    }
}
