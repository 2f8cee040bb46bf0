//! Why a job waits: its place in the line, the boards it waits for, who has them and until when.

use super::Lab;
use super::board::BoardState;
use super::demand::Demand;
use super::fact::JobId;
use super::job::{Job, JobState};
use super::machine::Machine;
use super::queue::Place;
use super::refusal::Refusal;
use super::track::{SOME_TIME, awaited};
use super::view::{BLOCKERS_NAMED_MAX, BlockerView, ExplainView, WaitView};
use crate::allocator::Hold;
use crate::clock::Moment;
use std::collections::BTreeSet;

impl Lab {
    /// Everything that keeps a job from starting.
    pub(super) fn explain(&self, id: JobId) -> Result<ExplainView, Refusal> {
        let job = self.jobs.get(&id).ok_or(Refusal::JobUnknown(id))?;
        let queued = job.state == JobState::Queued;
        let ahead = queued.then(|| self.queue.ahead_of(Place::of(id, &job.spec)));
        let machines = if queued { self.waits(job) } else { Vec::new() };
        let starts_by = machines.iter().filter_map(|wait| wait.free_by).min().filter(|_| ahead == Some(0));
        let sentence = self.explain_sentence(job, ahead, &machines);
        Ok(ExplainView { job: id, state: job.state, ahead, sentence, starts_by, machines })
    }

    fn waits(&self, job: &Job) -> Vec<WaitView> {
        let demand = Demand::of(&job.spec);
        self.machines
            .iter()
            .filter(|machine| demand.admits(machine))
            .map(|machine| self.wait(&demand, machine))
            .collect()
    }

    fn wait(&self, demand: &Demand, machine: &Machine) -> WaitView {
        let until = |board| self.available_at(machine, board);
        let hold = demand.request(machine).and_then(|request| {
            machine.allocator.possible(&request).map_err(|why| why.to_string())?;
            let request = demand.request_now(machine)?;
            let nothing = "the boards that fit are quarantined, in maintenance or offline".to_owned();
            machine.allocator.hold(&request, &until).ok_or(nothing)
        });
        let out_of_use = BoardState::ALL.into_iter().filter(|state| state.is_out_of_service());
        let out_of_use =
            out_of_use.map(|state| (state, machine.count(state))).filter(|(_, count)| *count > 0).collect();
        let (hold, obstacle) = match hold {
            Ok(hold) => (Some(hold), None),
            Err(why) => (None, Some(why)),
        };
        let free_by = hold.as_ref().and_then(|hold| {
            let latest = awaited(hold, machine).map(until).max().filter(|at| *at < SOME_TIME)?;
            Some(Moment(latest))
        });
        let waits_for = hold.as_ref().map_or_else(Vec::new, |hold| self.blockers(machine, hold));
        WaitView { machine: machine.spec.name.clone(), free_by, waits_for, out_of_use, obstacle }
    }

    fn blockers(&self, machine: &Machine, hold: &Hold) -> Vec<BlockerView> {
        let awaited: BTreeSet<_> = awaited(hold, machine).collect();
        (awaited.into_iter().take(BLOCKERS_NAMED_MAX))
            .map(|board| BlockerView {
                board: machine.spec.board_name(board),
                state: machine.state(board),
                holder: self.holder(machine, board).map(|job| (job.id, job.spec.owner.clone())),
                until: Some(self.available_at(machine, board)).filter(|at| *at < SOME_TIME).map(Moment),
            })
            .collect()
    }

    fn explain_sentence(&self, job: &Job, ahead: Option<usize>, machines: &[WaitView]) -> String {
        let Some(ahead) = ahead else {
            let reason = job.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
            return format!("job {} does not wait; it is {}{reason}", job.id, job.state.word());
        };
        let place = match ahead {
            0 => "first in the queue".to_owned(),
            1 => "second in the queue, behind one job".to_owned(),
            more => format!("number {} in the queue, behind {more} jobs", more + 1),
        };
        let nearest =
            machines.iter().filter(|wait| wait.obstacle.is_none()).min_by_key(|wait| wait.waits_for.len());
        let wait = match nearest {
            Some(wait) if wait.waits_for.is_empty() => {
                format!("boards on '{}' that jobs ahead of it may need", wait.machine)
            }
            Some(wait) => {
                let names: Vec<_> = wait.waits_for.iter().take(3).map(blocker_text).collect();
                let more = wait.waits_for.len().saturating_sub(3);
                let more = if more > 0 { format!(" and {more} more") } else { String::new() };
                format!("{}{more} on '{}'", names.join(", "), wait.machine)
            }
            None => {
                machines.iter().find_map(|wait| wait.obstacle.clone()).unwrap_or_else(|| "boards".to_owned())
            }
        };
        format!("job {} ({}) is {place}; it waits for {wait}", job.id, job.spec.want)
    }
}

fn blocker_text(blocker: &BlockerView) -> String {
    let until = blocker.until.map(|at| format!(" until {at} at the latest")).unwrap_or_default();
    match &blocker.holder {
        Some((job, owner)) => format!("{} (job {job} of {owner}{until})", blocker.board),
        None => format!("{} ({}{until})", blocker.board, blocker.state.word()),
    }
}
