//! Who may speak to a board by datagrams, and for how long: whoever may act on the job that holds it, while that loan lasts.

use super::Lab;
use super::command::Caller;
use super::fact::{Grant, JobId, MachineName};
use super::job::{Job, JobState};
use super::refusal::Refusal;
use super::view::{BoardAddress, BoardName};
use std::sync::Arc;

/// The way to a board that is lent, for as long as that loan lasts.
#[derive(Clone, Debug, PartialEq)]
pub struct Reach {
    /// The job that holds it.
    pub job: JobId,
    /// The loan.
    pub grant: Grant,
    /// The machine it stands in.
    pub machine: MachineName,
    /// The board.
    pub board: BoardName,
    /// Where it answers.
    pub host: Arc<str>,
}

impl Lab {
    /// The way to a board of a job that is ready, for a caller who may act on it.
    pub fn reach(&self, caller: &Caller, id: JobId, address: &BoardAddress) -> Result<Reach, Refusal> {
        let job = self.jobs.get(&id).ok_or(Refusal::JobUnknown(id))?;
        if !caller.may_act_on(&job.spec) {
            return Err(Refusal::NotYours { job: id, owner: job.spec.owner.clone() });
        }
        let grant = ready_grant(job)?;
        let (machine, board) = self.find_board(address)?;
        let name = machine.spec.board_name(board);
        if self.holder(machine, board).is_none_or(|holder| holder.id != id) {
            let board = name.text_in(&machine.spec.name);
            return Err(Refusal::BoardNotHeld { job: id, board });
        }
        let host = machine.spec.triads().map(|torus| torus.host(board)).filter(|host| !host.is_empty());
        let host = host.ok_or_else(|| Refusal::BoardWithoutHost(name.text_in(&machine.spec.name)))?;
        Ok(Reach { job: id, grant, machine: machine.spec.name.clone(), board: name, host })
    }

    /// Why a way that was open to a caller is so no longer; none while it is.
    pub fn cut_off(&self, caller: &Caller, reach: &Reach) -> Option<String> {
        let id = reach.job;
        let Some(job) = self.jobs.get(&id) else { return Some(format!("job {id} is over")) };
        match (&job.reason, job.live_loan()) {
            (_, Some(loan)) if loan.grant == reach.grant => {}
            (Some(reason), _) => return Some(format!("job {id} is over: {reason}")),
            _ => return Some(format!("job {id} lost its boards")),
        }
        let lost = || format!("{} may not act on job {id} any more", caller.user);
        (!caller.may_act_on(&job.spec)).then(lost)
    }
}

/// The loan of a job that is ready.
fn ready_grant(job: &Job) -> Result<Grant, Refusal> {
    let over = || job.reason.as_ref().map_or_else(|| "".into(), |reason| reason.to_string().into());
    match (job.state, &job.loan) {
        (JobState::Ready, Some(loan)) => Ok(loan.grant),
        (JobState::Power, _) => Err(Refusal::JobNotReady(job.id)),
        (JobState::Destroyed, _) => Err(Refusal::JobOver(job.id, over())),
        _ => Err(Refusal::JobWithoutBoards(job.id)),
    }
}
