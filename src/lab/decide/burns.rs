//! Jobs that need what only some boards offer: the offers themselves, jobs put back in the line, jobs that are done.

use super::{Decision, board_ref, require_short};
use crate::allocator::BoardIndex;
use crate::lab::Lab;
use crate::lab::board::{BoardState, OFFERS_MAX};
use crate::lab::fact::{Event, Grant, JobId, MachineName};
use crate::lab::job::{BURN_KIND, Job, JobSpec, PUT_BACK_PRIORITY, Reason};
use crate::lab::machine::is_serial;
use crate::lab::refusal::Refusal;
use std::collections::BTreeSet;
use std::sync::Arc;

/// What is wrong with a request of the kind `burn`.
const BURN_SAYS: &str = "a job of the kind 'burn' asks for one board, is no reservation, and names its image in kind_args: \
                         {\"image\": \"<the 32 lower-case hexadecimal digits of its md5>\"}";

impl Lab {
    /// What a board offers, if that is news.
    pub(super) fn offer_on_board(
        &self,
        name: &MachineName,
        board: BoardIndex,
        offers: &[Arc<str>],
    ) -> Decision {
        let machine = self.agents_machine(name)?;
        if board.0 >= machine.spec.board_count() {
            return Err(Refusal::BoardUnknown(format!("machine '{name}' has no board number {}", board.0)));
        }
        if machine.spec.triads().is_some() {
            return Err(Refusal::BadArgument(format!(
                "machine '{name}' is no pool; its boards offer nothing"
            )));
        }
        let offers: BTreeSet<_> = offers.iter().cloned().collect();
        if offers.len() > OFFERS_MAX || !offers.iter().all(|label| is_serial(label)) {
            let what = format!(
                "a board offers at most {OFFERS_MAX} labels of 1 to 64 letters, digits, '.', '_' and '-'"
            );
            return Err(Refusal::BadArgument(what));
        }
        if machine.state(board) == BoardState::Offline && !offers.is_empty() {
            let what = "the board is offline; it offers something once its agent has announced it";
            return Err(Refusal::BoardState(what.to_owned()));
        }
        let changed = !machine.board(board).offers.iter().eq(&offers);
        let offers: Arc<[_]> = offers.into_iter().collect();
        let news = changed.then(|| Event::BoardOffers { board: board_ref(machine, board), offers });
        Ok(news.into_iter().collect())
    }

    /// A job that was not done waits again.
    pub(super) fn put_back_job(&self, id: JobId, grant: Grant, reason: &Arc<str>) -> Decision {
        require_short("reason", reason)?;
        let job = self.job_under(id, grant)?;
        match job.spec.needs() {
            Some(_) => Ok(vec![self.put_back(job, reason.clone())]),
            None => Err(Refusal::BadArgument(format!("job {id} needs no offer, so it is not put back"))),
        }
    }

    /// A job that was done ends.
    pub(super) fn finish_job(&self, id: JobId, grant: Grant, words: &Arc<str>) -> Decision {
        require_short("words", words)?;
        let job = self.job_under(id, grant)?;
        Ok(vec![self.destroyed(job, Reason::Done(words.clone()))])
    }

    /// A job that holds boards under just this grant.
    fn job_under(&self, id: JobId, grant: Grant) -> Result<&Job, Refusal> {
        let job = self.live_job(id)?;
        let loan = job.live_loan().ok_or(Refusal::JobWithoutBoards(id))?;
        match loan.grant == grant {
            true => Ok(job),
            false => {
                let (held, named) = (loan.grant.0, grant.0);
                Err(Refusal::BoardState(format!("job {id} holds its boards under grant {held}, not {named}")))
            }
        }
    }

    /// The job waits again, in front of most.
    pub(in crate::lab) fn put_back(&self, job: &Job, reason: Arc<str>) -> Event {
        let order = self.cleaning_order(job);
        Event::JobRequeued { job: job.id, order, reason, priority: Some(PUT_BACK_PRIORITY) }
    }

    /// What becomes of a job that lost a board: it gets others if it may, or ends.
    pub(in crate::lab) fn deprived(&self, job: &Job, may_get_others: bool, reason: Arc<str>) -> Event {
        if job.spec.needs().is_some() {
            return self.put_back(job, reason);
        }
        if !may_get_others || job.spec.reserved || job.attempts + 1 >= self.options.grant_attempts_max {
            return self.destroyed(job, Reason::BoardsFailed(reason));
        }
        Event::JobRequeued { job: job.id, order: self.cleaning_order(job), reason, priority: None }
    }

    /// The request as it is meant: on a machine that is named for burning, without a kind, it is to burn.
    pub(super) fn as_meant(&self, spec: JobSpec) -> JobSpec {
        let named = spec.machine.as_ref().filter(|_| spec.kind.is_none());
        let first = named.and_then(|name| self.machine(name)?.spec.kinds.first().cloned());
        match first.filter(|kind| **kind == *BURN_KIND) {
            Some(kind) => JobSpec { kind: Some(kind), ..spec },
            None => spec,
        }
    }
}

/// Whether a request to burn says what.
pub(super) fn check_burn(spec: &JobSpec) -> Result<(), Refusal> {
    match spec.kind.as_deref() == Some(BURN_KIND) && spec.needs().is_none() {
        true => Err(Refusal::BadArgument(BURN_SAYS.to_owned())),
        false => Ok(()),
    }
}
