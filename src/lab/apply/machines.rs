//! Machines that come, change and go, and what follows for those who wait.

use crate::allocator::BoardIndex;
use crate::clock::Moment;
use crate::lab::Lab;
use crate::lab::board::BoardState;
use crate::lab::fact::{BoardRef, MachineName};
use crate::lab::machine::{Machine, MachineSpec};
use std::sync::Arc;

impl Lab {
    pub(super) fn add_machine(&mut self, spec: &Arc<MachineSpec>, position: usize, at: Moment) {
        let position = position.min(self.machines.len());
        self.machines.insert(position, Machine::new(spec.clone(), at));
        self.refit();
    }

    pub(super) fn change_machine(&mut self, spec: &Arc<MachineSpec>, position: usize, at: Moment) {
        let Some(number) = self.machine_number(&spec.name) else { return };
        let mut machine = self.machines.remove(number);
        let died = machine.change_spec(spec.clone(), at);
        self.machines.insert(position.min(self.machines.len()), machine);
        for trouble in died {
            self.forget_trouble(&BoardRef { machine: spec.name.clone(), board: trouble.0 }, &trouble.1);
        }
        self.refit();
    }

    pub(super) fn remove_machine_named(&mut self, name: &MachineName) {
        self.machines.retain(|machine| machine.spec.name != *name);
        let gone: Vec<_> =
            self.orders.iter().filter(|(_, open)| open.machine == *name).map(|(id, _)| *id).collect();
        gone.into_iter().for_each(|id| self.close_order(id));
        self.due.cooled.retain(|_, (machine, _)| machine != name);
        self.due.retests.retain(|(_, machine, _)| machine != name);
        self.refit();
    }

    /// The machines changed: who fits where is found anew.
    pub(super) fn refit(&mut self) {
        self.lost = self.queue.refit(&self.machines).into_iter().collect();
        self.condemn_all();
    }

    /// Finds anew which free boards are to be set aside.
    pub(in crate::lab) fn condemn_all(&mut self) {
        self.condemned.clear();
        for number in 0..self.machines.len() {
            let machine = &self.machines[number];
            let marked = machine.marks().keys().chain(machine.reports().keys());
            let boards: Vec<_> = marked.copied().collect();
            self.condemn(number, &boards);
        }
    }

    /// Boards came back, or their marks or reports changed: they may have to be set aside.
    pub(super) fn condemn(&mut self, number: usize, boards: &[BoardIndex]) {
        let machine = &self.machines[number];
        for board in boards {
            let unwanted = machine.is_unwanted(*board, self.options.reports_to_quarantine);
            let key = (machine.spec.name.clone(), *board);
            match unwanted && machine.state(*board) == BoardState::Free {
                true => self.condemned.insert(key),
                false => self.condemned.remove(&key),
            };
        }
    }
}
