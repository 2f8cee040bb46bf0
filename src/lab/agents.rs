//! What is asked of the lab when agents come and go: what their boards are called, and what they should be doing.

use super::board::BoardState;
use super::effect::{Action, Order};
use super::fact::{JobId, MachineName, OrderId};
use super::job::{JobSpec, JobState};
use super::machine::MachineSpec;
use super::{Lab, Machine};
use crate::allocator::BoardIndex;
use std::collections::BTreeSet;
use std::sync::Arc;

impl Lab {
    /// What a machine is made of, boards counted that agents added to it.
    pub fn spec_of_machine(&self, name: &str) -> Option<&Arc<MachineSpec>> {
        self.machine(name).map(|machine| &machine.spec)
    }

    /// The boards of a machine that are called so; others are passed over.
    pub fn boards_called(&self, machine: &str, serials: &[Arc<str>]) -> Vec<BoardIndex> {
        let Some(machine) = self.machine(machine) else { return Vec::new() };
        serials.iter().filter_map(|serial| machine.board_with_serial(serial)).collect()
    }

    /// The boards of a pool that are not offline: the agent of each was there a moment ago.
    pub fn boards_with_agents(&self, machine: &str) -> Vec<Arc<str>> {
        let Some(machine) = self.machine(machine) else { return Vec::new() };
        let is_there =
            |board: &BoardIndex| !matches!(machine.state(*board), BoardState::Offline | BoardState::Dead);
        let serials = machine.spec.serials();
        let there = machine.boards().filter(is_there);
        there.filter_map(|board| serials.get(board.0 as usize).cloned()).collect()
    }

    /// The boards of a pool and what people call them.
    pub fn boards_by_serial(&self, machine: &str) -> impl Iterator<Item = (&Arc<str>, &str)> {
        let machine = self.machine(machine);
        machine.into_iter().flat_map(|machine| {
            let serials = machine.spec.serials().iter();
            serials.zip(machine.boards()).map(|(serial, board)| (serial, machine.board(board).called))
        })
    }

    /// The jobs that wait for a board of a machine as this kind, in the order in which they are tried.
    pub fn waiting_for<'l>(
        &'l self,
        machine: &'l str,
        kind: &'l str,
    ) -> impl Iterator<Item = (JobId, &'l Arc<JobSpec>)> {
        let spec = |id| Some((id, &self.jobs.get(&id)?.spec));
        self.queue.jobs().filter_map(spec).filter(move |(_, spec)| self.is_for(spec, machine, kind))
    }

    /// Whether a job asks for a board of a machine as this kind.
    pub fn is_for(&self, spec: &JobSpec, machine: &str, kind: &str) -> bool {
        let named =
            |tags: &BTreeSet<_>| self.machine(machine).is_some_and(|at| tags.is_subset(&at.spec.tags));
        spec.kind.as_deref() == Some(kind)
            && spec.machine.as_ref().map_or_else(|| named(&spec.tags), |name| **name == *machine)
    }

    /// The last order to switch a board, as it would be given to this board alone; none for a board that is not lent.
    pub fn standing_order(&self, machine: &str, serial: &str) -> Option<Order> {
        let machine = self.machine(machine)?;
        let board = machine.board_with_serial(serial)?;
        self.standing_order_of(machine, board)
    }

    /// Whether somebody has reserved the board and knows that it is ready: he may have given it work, and wait for what
    /// comes of it.
    pub fn may_have_work(&self, machine: &str, serial: &str) -> bool {
        let Some(machine) = self.machine(machine) else { return false };
        let job = machine.board_with_serial(serial).and_then(|board| self.holder(machine, board));
        job.is_some_and(|job| job.spec.reserved && job.state == JobState::Ready)
    }

    fn standing_order_of(&self, machine: &Machine, board: BoardIndex) -> Option<Order> {
        let job = self.holder(machine, board)?;
        let loan = job.live_loan()?;
        let action = match loan.power {
            true => Action::Prepare { kind: loan.kind.clone(), args: job.spec.kind_args.clone() },
            false => Action::PowerOff,
        };
        let id = OrderId { grant: loan.grant, step: loan.next_step.checked_sub(1)? };
        let machine: MachineName = machine.spec.name.clone();
        Some(Order {
            id,
            machine,
            action,
            boards: [board].into(),
            mates: self.lent_boards(job).collect(),
            job: Some(job.id),
        })
    }
}
