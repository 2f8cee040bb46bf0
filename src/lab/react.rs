//! What must be done outside because of facts, and what was in flight when the process last ended.

use super::effect::{Action, Effect, Order};
use super::fact::{Event, Fact, OrderId};
use super::{Lab, Purpose};
use crate::clock::Moment;

impl Lab {
    /// What must be done outside because of a fact that was just applied.
    pub fn react(&self, fact: &Fact) -> Vec<Effect> {
        let mut effects = Vec::new();
        match &fact.event {
            Event::MachineAdded { spec, .. } | Event::MachineChanged { spec, .. } => {
                effects.push(Effect::MachineChanged(spec.name.clone()));
            }
            Event::MachineRemoved { machine } => effects.push(Effect::MachineChanged(machine.clone())),
            Event::JobQueued { job, .. } | Event::JobReady { job, .. } | Event::LeaseExtended { job, .. } => {
                effects.push(Effect::JobChanged(*job))
            }
            Event::LeaseEnding { job, .. } => effects.push(Effect::LeaseEnding(*job)),
            Event::JobGranted { job, grant, machine, .. } => {
                effects.extend(self.order(OrderId { grant: *grant, step: 0 }));
                effects.push(Effect::JobChanged(*job));
                effects.push(Effect::MachineChanged(machine.clone()));
            }
            Event::JobPowering { job, order, .. } => {
                effects.extend(self.order(*order));
                effects.push(Effect::JobChanged(*job));
            }
            Event::JobRequeued { job, order, .. } | Event::JobDestroyed { job, order, .. } => {
                effects.extend(order.and_then(|order| self.order(order)));
                effects.push(Effect::JobChanged(*job));
                let machine =
                    order.and_then(|order| self.orders.get(&order)).map(|open| open.machine.clone());
                effects.extend(machine.map(Effect::MachineChanged));
            }
            Event::BoardsCleaned { machine, free_at, .. } if *free_at <= fact.at => {
                effects.push(Effect::MachineChanged(machine.clone()));
            }
            Event::BoardsFreed { machine, .. } | Event::BoardsAnnounced { machine, .. } => {
                effects.push(Effect::MachineChanged(machine.clone()))
            }
            Event::BoardTested { order, .. } => effects.extend(self.order(*order)),
            Event::BoardQuarantined { board, .. }
            | Event::BoardOffline { board, .. }
            | Event::BoardOffers { board, .. }
            | Event::BoardNamed { board, .. }
            | Event::BoardSet { board, .. }
            | Event::BoardMarked { board, .. } => {
                effects.push(Effect::MachineChanged(board.machine.clone()));
            }
            _ => {}
        }
        effects
    }

    /// Asked once after replay: every live job gets its whole keepalive anew, a lease that is over or nearly so lasts
    /// for the grace of a restart, every open order gets its whole time, and the orders that were in flight are given again.
    pub fn resume(&mut self, now: Moment) -> Vec<Effect> {
        let live: Vec<_> = self.live.iter().map(|job| (*job, now)).collect();
        self.note(&live);
        self.extend_leases(now.plus_ms(self.options.restart_grace_ms));
        self.due.orders.clear();
        let open: Vec<_> = self.orders.keys().copied().collect();
        for id in &open {
            self.set_order_deadline(*id, now);
        }
        open.into_iter().filter_map(|id| self.order(id)).collect()
    }

    /// No lease is over before this.
    fn extend_leases(&mut self, until: Moment) {
        let short: Vec<_> =
            self.due.leases.iter().take_while(|(ends_at, _)| *ends_at < until).copied().collect();
        for (_, id) in short {
            self.change_lease(id, |job| job.grace_until = Some(until));
        }
    }

    /// An open order as the controller gets it.
    fn order(&self, id: OrderId) -> Option<Effect> {
        let open = self.orders.get(&id)?;
        let (action, job) = match &open.purpose {
            Purpose::Switch { job, action } => (action.clone(), Some(*job)),
            Purpose::Clean { job } => (Action::Clean, Some(*job)),
            Purpose::Test => (Action::Test, None),
        };
        let left = open.boards.iter().filter(|board| !open.answered.contains(board)).copied();
        let boards = if open.answered.is_empty() { open.boards.clone() } else { left.collect() };
        Some(Effect::Order(Order {
            id,
            machine: open.machine.clone(),
            action,
            boards,
            mates: open.boards.clone(),
            job,
        }))
    }
}
