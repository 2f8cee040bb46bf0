//! Facts into truth. The only writer, and the same at replay; it decides nothing.
//!
//! Here is who writes what; the files beside have one kind of thing each: `machines`, `jobs` and their loans, `leases`,
//! `orders` to hardware, `boards` on their way, `users` with their sessions.

mod boards;
mod jobs;
mod leases;
mod machines;
mod orders;
mod users;

use super::Lab;
use super::board::Note;
use super::fact::{Event, Fact};

impl Lab {
    /// Makes a fact true. Facts come from `decide`, `settle` or the journal, in the order they were made.
    pub fn apply(&mut self, fact: &Fact) {
        let at = fact.at;
        match &fact.event {
            Event::MachineAdded { spec, position } => self.add_machine(spec, *position, at),
            Event::MachineChanged { spec, position } => self.change_machine(spec, *position, at),
            Event::MachineRemoved { machine } => self.remove_machine_named(machine),
            Event::JobQueued { job, spec } => self.queue_job(*job, spec, at),
            Event::JobGranted { job, grant, machine, boards, region } => {
                self.grant_job(*job, *grant, machine, boards, *region, at)
            }
            Event::JobReady { job, order, power } => self.ready_job(*job, *order, *power, at),
            Event::JobPowering { job, power, .. } => self.switch_job(*job, *power, at),
            Event::JobRequeued { job, order, reason, priority } => {
                self.requeue_job(*job, *order, reason, *priority, at)
            }
            Event::JobDestroyed { job, order, reason } => self.end_job(*job, *order, reason, at),
            Event::LeaseExtended { job, until } => self.extend_lease(*job, *until, at),
            Event::LeaseEnding { job, .. } => self.note_warning(*job, at),
            Event::OrderAnswered { order, obeyed, failed } => self.take_answer(*order, obeyed, failed),
            Event::OrderOverdue { order } => self.give_up_order(*order),
            Event::BoardsCleaned { order, machine, boards, free_at } => {
                self.cool_boards(*order, machine, boards, *free_at, at)
            }
            Event::BoardsFreed { machine, boards } => {
                self.end_cooling(machine, boards, at);
                self.free_boards(machine, boards, at);
            }
            Event::BoardQuarantined { board, reason, retest_at } => {
                self.quarantine(board, reason, *retest_at, at)
            }
            Event::BoardsAnnounced { machine, serials } => self.join_boards(machine, serials, at),
            Event::BoardOffline { board, reason } => self.take_offline(board, reason, at),
            Event::BoardOffers { board, offers } => self.offer(board, offers),
            Event::BoardNamed { board, name } => self.name_of_board(board, name),
            Event::BoardTested { board, order } => self.test_board(board, *order, at),
            Event::BoardReported { board, by, reason } => self.report(board, by, reason),
            Event::BoardMarked { board, mark, by, reason } => self.mark(board, *mark, by, reason),
            Event::BoardSet { board, mark, by, reason } => {
                let note = Note { mark: *mark, by: by.clone(), reason: reason.clone() };
                self.set_board(board, note, at);
            }
            Event::ServiceSet { accept, reason, .. } => {
                self.service = super::Service { accept: *accept, reason: reason.clone() };
            }
            Event::NumbersSkipped { last_job, last_grant } => {
                self.last_job = self.last_job.max(*last_job);
                self.last_grant = self.last_grant.max(*last_grant);
            }
            _ => self.apply_to_users(fact),
        }
    }
}
