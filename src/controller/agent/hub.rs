//! The shell around a roster: doors bring what agents say and leave ears for what they are told, the controller's task brings
//! orders and questions, and the lab hears what follows.
//!
//! Everything is done under one lock that is held for no longer than the work of it, and all that follows from one call has
//! been told when the call returns. Ears and the lab are called with the lock held: they must not wait, and not call back.
//!
//! What is deliberately not here: who is there and what follows from what (`roster`).

use super::super::driver::{Answers, Woken, sleep_until, wait};
use super::super::{Reading, Task};
use super::{
    AgentCounts, AgentRefusal, AgentSettings, AgentView, Expected, Introduction, Offered, Report, Roster,
    Serial, Stay, Told,
};
use super::{AgentName, AgentNews};
use crate::allocator::BoardIndex;
use crate::clock::{Clock, Moment};
use crate::lab::fact::OrderId;
use async_channel::{Receiver, Sender};
use futures_util::future::select;
use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// So much may wait for the lab to hear before agents are asked to come back later.
pub const REPORTS_WAITING_MAX: usize = 10_000;

/// The same for what boards offer, which may be much, and is worth nothing once it has changed.
pub const OFFERS_WAITING_MAX: usize = 1_000;

/// How an agent's door brings it what it is told.
pub trait Ears: Send + Sync {
    /// Takes it. Never waits, and never calls the hub.
    fn tell(&self, told: Told);
}

/// What a hub must know of the lab, and where it leaves what the lab must hear.
pub trait Lab: Send + Sync {
    /// What a board is called.
    fn serial(&self, board: BoardIndex) -> Serial;
    /// What a board should be doing.
    fn expected(&self, serial: &Serial) -> Option<Expected>;
    /// Boards that are not offline, so that an agent must have had them.
    fn awaited(&self) -> Vec<Serial>;
    /// Takes what the lab must hear; it hears all in this order. Never waits.
    fn report(&self, report: Report);
    /// How much of that it has not heard yet.
    fn waiting(&self) -> usize;
}

/// See above. There is one for each machine whose boards agents have.
pub struct Hub {
    clock: Clock,
    lab: Arc<dyn Lab>,
    inside: Mutex<Inside>,
    /// Nudges the controller's task: something may be due sooner.
    nudge: (Sender<()>, Receiver<()>),
}

/// What is behind the lock.
struct Inside {
    roster: Roster,
    ears: BTreeMap<Stay, Arc<dyn Ears>>,
    answers: Answers,
    closed: bool,
}

impl Hub {
    /// A hub without agents; those that the lab's boards had before may come back.
    pub fn new(settings: AgentSettings, clock: Clock, lab: Arc<dyn Lab>) -> Arc<Hub> {
        let mut roster = Roster::new(settings);
        let awaited = lab.awaited();
        // What they offered is theirs to say again.
        awaited.iter().for_each(|serial| lab.report(Report::Offers(serial.clone(), [].into())));
        roster.expect_back(clock.now(), awaited);
        let inside = Inside { roster, ears: BTreeMap::new(), answers: Answers::default(), closed: false };
        Arc::new(Hub { clock, lab, inside: Mutex::new(inside), nudge: async_channel::bounded(1) })
    }

    /// Takes other settings.
    pub fn set_settings(&self, settings: AgentSettings) {
        self.act(|inside, _| inside.roster.set_settings(settings));
    }

    /// An agent comes, or comes back. What it is told reaches its ears, the first of it before this returns.
    pub fn join(&self, who: Introduction, ears: Arc<dyn Ears>) -> Result<Stay, AgentRefusal> {
        self.heed(|inside, now| {
            let stay = inside.roster.join(now, who, &|board| self.lab.expected(board))?;
            inside.ears.insert(stay, ears);
            Ok(stay)
        })
    }

    /// More boards were plugged in.
    pub fn add_boards(&self, stay: Stay, offered: &[Offered]) -> Result<(), AgentRefusal> {
        let expected = |board: &Serial| self.lab.expected(board);
        self.heed(|inside, now| inside.roster.add_boards(now, stay, offered, &expected))
    }

    /// Boards were unplugged.
    pub fn remove_boards(&self, stay: Stay, serials: &[Serial], reason: &str) -> Result<(), AgentRefusal> {
        self.heed(|inside, now| inside.roster.remove_boards(now, stay, serials, reason))
    }

    /// Boards are broken, by the agent's account.
    pub fn break_boards(&self, stay: Stay, serials: &[Serial], reason: &str) -> Result<(), AgentRefusal> {
        self.heed(|inside, now| inside.roster.break_boards(now, stay, serials, reason))
    }

    /// A sign of life.
    pub fn beat(&self, stay: Stay) -> Result<(), AgentRefusal> {
        self.act(|inside, now| inside.roster.beat(now, stay))
    }

    /// The agent wants no new work, or wants it again.
    pub fn drain(&self, stay: Stay, draining: bool) -> Result<(), AgentRefusal> {
        self.heed(|inside, now| inside.roster.drain(now, stay, draining))
    }

    /// The agent's connection is gone; it may come back, but not under this stay.
    pub fn hang_up(&self, stay: Stay) {
        self.act(|inside, now| {
            inside.ears.remove(&stay);
            inside.roster.hang_up(now, stay);
        });
    }

    /// The agent leaves for good.
    pub fn leave(&self, stay: Stay, reason: &str) {
        self.act(|inside, now| {
            // It knows: it has said so.
            inside.ears.remove(&stay);
            inside.roster.leave(now, stay, reason);
        });
    }

    /// What a board of the agent's offers from now on.
    pub fn offer(&self, stay: Stay, serial: &Serial, offers: Arc<[Arc<str>]>) -> Result<(), AgentRefusal> {
        self.heed(|inside, now| match !offers.is_empty() && self.lab.waiting() >= OFFERS_WAITING_MAX {
            true => Err(AgentRefusal::Busy),
            false => inside.roster.offer(now, stay, serial, offers),
        })
    }

    /// The lab must hear this of a board whose agent may be gone already, so it is taken however far behind the lab is. To be said
    /// once at the end of a connection, or of what its board did.
    pub fn pass_on(&self, report: Report) {
        self.lab.report(report);
    }

    /// The lab does not take these boards: whoever brought them is told so, and is over.
    pub fn refuse_boards(&self, serials: &[Serial], reason: &str) {
        self.act(|inside, _| inside.roster.refuse_boards(serials, reason));
    }

    /// What an agent says came of an order.
    pub fn answer_order(
        &self,
        stay: Stay,
        id: OrderId,
        obeyed: &[Serial],
        failed: &[(Serial, Arc<str>)],
    ) -> Result<(), AgentRefusal> {
        self.act(|inside, now| inside.roster.answer_order(now, stay, id, obeyed, failed))
    }

    /// What an agent says to a question.
    pub fn answer_question(
        &self,
        stay: Stay,
        ticket: u64,
        answer: Result<Reading, Arc<str>>,
    ) -> Result<(), AgentRefusal> {
        self.act(|inside, now| inside.roster.answer_question(now, stay, ticket, answer))
    }

    /// Everybody, by name.
    pub fn view(&self) -> Vec<AgentView> {
        self.inside().roster.view()
    }

    /// How many there are.
    pub fn count(&self) -> AgentCounts {
        self.inside().roster.count()
    }

    /// Where the agent that has this board is reached.
    pub fn url_of(&self, serial: &str) -> Option<Arc<str>> {
        self.inside().roster.url_of(serial)
    }

    /// Who has this board.
    pub fn agent_of(&self, serial: &str) -> Option<AgentName> {
        self.inside().roster.agent_of(serial)
    }

    /// The controller's task: takes orders and questions, and wakes when something is due, until the handle is gone.
    pub(in crate::controller) async fn run(self: Arc<Hub>, tasks: Receiver<Task>) {
        loop {
            let due = sleep_until(&self.clock, self.wake_at());
            let news = async {
                select(pin!(due), pin!(self.nudge.1.recv())).await;
            };
            match wait(&tasks, news).await {
                Woken::Task(task) => self.take(task),
                Woken::News(()) => self.follow(|inside, now| inside.roster.wake(now)),
                Woken::End => return self.close(),
            }
        }
    }

    fn wake_at(&self) -> Option<Moment> {
        self.inside().roster.wake_at()
    }

    fn take(&self, task: Task) {
        self.follow(|inside, now| match task {
            Task::Order(order) => inside.roster.handle_order(&order, &|board| self.lab.serial(board)),
            Task::Consult { at, what, answer } => {
                let (ticket, serial) = (inside.answers.keep(answer), self.lab.serial(at.board.board));
                inside.roster.handle_consult(now, ticket, &at, &serial, &what);
            }
        });
    }

    /// Nobody is heard any more. The lab hears nothing of it: the boards may be found again.
    fn close(&self) {
        let mut inside = self.inside();
        inside.closed = true;
        inside.answers = Answers::default();
        for (_, ears) in std::mem::take(&mut inside.ears) {
            ears.tell(Told::Over(AgentRefusal::Closed.to_string().into()));
        }
    }

    /// What an agent says that the lab will hear: not while it is far behind.
    fn heed<T>(
        &self,
        act: impl FnOnce(&mut Inside, Moment) -> Result<T, AgentRefusal>,
    ) -> Result<T, AgentRefusal> {
        self.act(|inside, now| match () {
            () if inside.closed => Err(AgentRefusal::Closed),
            () if self.lab.waiting() >= REPORTS_WAITING_MAX => Err(AgentRefusal::Busy),
            () => act(inside, now),
        })
    }

    /// Does something, tells everybody what follows, and has the controller's task look again when it must wake.
    fn act<T>(&self, act: impl FnOnce(&mut Inside, Moment) -> T) -> T {
        let done = self.follow(act);
        self.nudge.0.try_send(()).ok();
        done
    }

    /// The same for the controller's task itself, which looks anyway.
    fn follow<T>(&self, act: impl FnOnce(&mut Inside, Moment) -> T) -> T {
        let mut inside = self.inside();
        let done = act(&mut inside, self.clock.now());
        while let Some(news) = inside.roster.poll() {
            self.give(&mut inside, news);
        }
        done
    }

    fn give(&self, inside: &mut Inside, news: AgentNews) {
        match news {
            AgentNews::Report(report) => self.lab.report(report),
            AgentNews::Answer { ticket, answer } => inside.answers.give(ticket, answer),
            AgentNews::Tell { stay, told } => {
                let over = matches!(told, Told::Replaced | Told::Over(_));
                if let Some(ears) = inside.ears.get(&stay) {
                    ears.tell(told);
                }
                if over {
                    inside.ears.remove(&stay);
                }
            }
        }
    }

    /// The roster is whole between calls, so a panic elsewhere does no harm.
    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Hub {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hub").field("agents", &self.view().len()).finish()
    }
}
