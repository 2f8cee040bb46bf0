//! The hub of a machine's agents meets the lab: what boards are called and should be doing is read from the lab as last kept,
//! and what the lab must hear is brought to the desk, one thing after the other, each kept before the next is begun. So a
//! board is known before it can be lost, and is offline before what it was to do has failed.
//!
//! What is deliberately not here: how agents come (`post` for the native door), and what their boards do (`controller::agent`).

use super::book::Book;
use super::desk::{Counter, News};
use super::rounds::FULL_PAUSE_MS;
use crate::allocator::BoardIndex;
use crate::clock::Clock;
use crate::controller::agent::{self, AgentSettings, Expected, Hub, Report, Serial};
use crate::controller::driver::{self, Handle};
use crate::error::Code;
use crate::lab::command::{Caller, Command};
use crate::lab::effect::Order;
use crate::lab::fact::MachineName;
use crate::lab::machine::MachineSpec;
use async_channel::{Receiver, Sender};
use async_std::task;
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// Starts the hub of a machine, and whoever brings its reports to the desk.
pub fn start(
    spec: &Arc<MachineSpec>,
    settings: AgentSettings,
    counter: Arc<Counter>,
    clock: Clock,
    book: Arc<Book>,
) -> Handle {
    let (reports, written) = async_channel::unbounded();
    let (machine, known) = (spec.name.clone(), Mutex::new(spec.clone()));
    let (name, desk, time) = (machine.clone(), counter.clone(), clock.clone());
    let lab = KeptLab { machine: name, counter: desk, clock: time, book, known, reports };
    let hub = Hub::new(settings, clock.clone(), Arc::new(lab));
    let courier = Courier { machine, hub: Arc::downgrade(&hub), counter, clock };
    task::spawn(courier.run(written));
    driver::start_hub(hub)
}

/// The lab as last kept, as far as the hub of one machine must know it.
struct KeptLab {
    machine: MachineName,
    counter: Arc<Counter>,
    clock: Clock,
    /// What is known of boards beside the lab.
    book: Arc<Book>,
    /// The machine as it was seen last: its last orders come when it has left the lab already.
    known: Mutex<Arc<MachineSpec>>,
    reports: Sender<Report>,
}

impl KeptLab {
    /// The machine with all boards that joined it since.
    fn spec(&self) -> Arc<MachineSpec> {
        let now = self.counter.see(|lab| lab.spec_of_machine(&self.machine).cloned());
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        // One that does not begin with the same boards is another machine of that name.
        match now {
            Some(now) if !Arc::ptr_eq(&now, &known) && now.serials().starts_with(known.serials()) => {
                *known = now
            }
            _ => {}
        }
        known.clone()
    }
}

impl agent::Lab for KeptLab {
    fn serial(&self, board: BoardIndex) -> Serial {
        self.spec().serials().get(board.0 as usize).cloned().unwrap_or_else(|| "".into())
    }

    fn expected(&self, serial: &Serial) -> Option<Expected> {
        self.counter.see(|lab| {
            let Order { id, action, job, .. } = lab.standing_order(&self.machine, serial)?;
            Some(Expected { id, action, job, may_have_work: lab.may_have_work(&self.machine, serial) })
        })
    }

    fn awaited(&self) -> Vec<Serial> {
        self.counter.see(|lab| lab.boards_with_agents(&self.machine))
    }

    fn report(&self, report: Report) {
        if let Report::Outcome(outcome) = &report {
            self.book.note_outcome(self.clock.now(), outcome);
        }
        // Whoever took reports to the desk is gone only when the desk is.
        self.reports.try_send(report).ok();
    }

    fn waiting(&self) -> usize {
        self.reports.len()
    }
}

/// Brings the reports of one hub to the desk.
struct Courier {
    machine: MachineName,
    hub: Weak<Hub>,
    counter: Arc<Counter>,
    clock: Clock,
}

impl Courier {
    /// Until the hub is gone and all it said is brought, or the desk is gone.
    async fn run(self, reports: Receiver<Report>) {
        while let Ok(report) = reports.recv().await {
            if !self.bring(report).await {
                return;
            }
        }
    }

    /// Brings one report; false when the desk is gone.
    async fn bring(&self, report: Report) -> bool {
        let command = match &report {
            Report::Outcome(outcome) => return self.counter.tell(News::Outcome(outcome.clone())),
            _ => self.command(&report),
        };
        // A board that the lab has never heard of offers nothing.
        let Some(command) = command else { return true };
        loop {
            let Err(fault) = self.counter.command(Caller::server(), command.clone()).await else {
                return true;
            };
            match fault.code {
                Code::NOT_KEPT => self.clock.sleep_until(self.clock.now().plus_ms(FULL_PAUSE_MS)).await,
                Code::STOPPING | Code::INTERNAL => return false,
                _ => {
                    self.refuse(&report, &fault.msg);
                    return true;
                }
            }
        }
    }

    /// What the lab is told, with the boards in their places there.
    fn command(&self, report: &Report) -> Option<Command> {
        let machine = self.machine.clone();
        let boards = |serials: &[Serial]| -> Arc<[BoardIndex]> {
            self.counter.see(|lab| lab.boards_called(&machine, serials)).into()
        };
        Some(match report {
            Report::Outcome(outcome) => Command::AnswerOrder {
                order: outcome.order,
                obeyed: outcome.obeyed.clone(),
                failed: outcome.failed.clone(),
            },
            Report::Announced(serials) => {
                Command::AnnounceBoards { serials: serials.as_slice().into(), machine: machine.clone() }
            }
            Report::Lost(serials, reason) => Command::LoseBoards {
                boards: boards(serials),
                reason: reason.clone(),
                machine: machine.clone(),
            },
            Report::Broken(serials, reason) => Command::BreakBoards {
                boards: boards(serials),
                reason: reason.clone(),
                machine: machine.clone(),
            },
            Report::Draining(serials, draining) => Command::DrainBoards {
                boards: boards(serials),
                draining: *draining,
                machine: machine.clone(),
            },
            Report::Offers(serial, offers) => {
                let board = *boards(std::slice::from_ref(serial)).first()?;
                Command::OfferOnBoard { machine: machine.clone(), board, offers: offers.clone() }
            }
            Report::Finished(job, grant, words) => {
                Command::FinishJob { job: *job, grant: *grant, words: words.clone() }
            }
            Report::PutBack(job, grant, reason) => {
                Command::PutBackJob { job: *job, grant: *grant, reason: reason.clone() }
            }
        })
    }

    /// The lab does not want it: whoever brought boards that cannot be is sent away.
    fn refuse(&self, report: &Report, why: &str) {
        match report {
            // Somebody else was faster: the loan is over, or the board offline.
            Report::Offers(..) | Report::Finished(..) | Report::PutBack(..) => {
                tracing::debug!(machine = &*self.machine, ?report, why, "what an agent said was refused");
            }
            _ => tracing::warn!(machine = &*self.machine, ?report, why, "what an agent said was refused"),
        }
        if let (Report::Announced(serials), Some(hub)) = (report, self.hub.upgrade()) {
            hub.refuse_boards(serials, why);
        }
    }
}
