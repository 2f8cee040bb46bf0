//! The thread that looks up what happened to jobs which the lab has forgotten, wholly or in part, in the journal.
//!
//! A look-up may read for a second, so it is made neither by the desk nor on the executor's threads. There is one
//! thread behind one bounded queue; when that is full the answer is "busy" at once. Deliberately not here: how a job
//! is found (`journal::History`), and which jobs are forgotten (`lab`).

use crate::clock::Moment;
use crate::error::{Code, Fault};
use crate::journal::{History, JournalError, Past};
use crate::lab::fact::JobId;
use crate::lab::job::JobEvent;
use crate::lab::machine::MachineSpec;
use async_channel::{Receiver, Sender};
use futures_channel::oneshot;
use std::io;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;
use std::thread;

/// Where pasts are looked up. The thread ends when this is dropped.
pub struct Archive {
    /// The queue to the thread.
    queue: Sender<LookUp>,
}

/// One look-up, and where the result goes.
struct LookUp {
    job: JobId,
    specs: Vec<Arc<MachineSpec>>,
    result: oneshot::Sender<Result<Past, JournalError>>,
}

impl Archive {
    /// Starts the thread.
    pub fn open(history: Arc<dyn History>, waiting_max: usize) -> io::Result<Archive> {
        let (queue, work) = async_channel::bounded(waiting_max.max(1));
        thread::Builder::new().name("archive".into()).spawn(move || serve(&*history, &work))?;
        Ok(Archive { queue })
    }

    /// What happened to a job; none if the journal has nothing of it. An error says why it cannot be told.
    pub async fn past(
        &self,
        job: JobId,
        specs: Vec<Arc<MachineSpec>>,
    ) -> Result<Vec<(Moment, JobEvent)>, Fault> {
        let (result, arrival) = oneshot::channel();
        let busy = || {
            Fault::new(Code::HISTORY_BUSY, "too many look-ups wait for the journal; try again in a second")
        };
        self.queue.try_send(LookUp { job, specs, result }).map_err(|_| busy())?;
        let found =
            arrival.await.map_err(|_| Fault::new(Code::INTERNAL, "the look-up failed; the log says why"))?;
        match found {
            Ok(Past::Whole(past)) => Ok(past),
            Ok(Past::Nothing(since)) => Err(nothing(job, since)),
            Ok(Past::TooLong) => Err(Fault::new(
                Code::TIME_OUT,
                format!(
                    "the history of job {job} is too long to look up; 'berth history --job {job} --events' reads it all"
                ),
            )),
            Err(error) => {
                tracing::error!(%error, %job, "the past of a job cannot be looked up");
                Err(Fault::new(Code::INTERNAL, format!("the past of job {job} cannot be looked up: {error}")))
            }
        }
    }
}

/// The journal has nothing of a job.
fn nothing(job: JobId, since: Option<Moment>) -> Fault {
    let msg = match since {
        Some(since) => format!("no job has the number {job}; history is kept since {since}"),
        None => format!("no job has the number {job}"),
    };
    Fault::new(Code::JOB_UNKNOWN, msg)
}

/// Looks up one after the other until the queue is closed, unless whoever asked has gone away.
fn serve(history: &dyn History, work: &Receiver<LookUp>) {
    while let Ok(LookUp { job, specs, result }) = work.recv_blocking() {
        if result.is_canceled() {
            continue;
        }
        // A fault in one look-up fails that one; the thread goes on.
        if let Ok(found) = panic::catch_unwind(AssertUnwindSafe(|| history.job(job, &specs))) {
            result.send(found).ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;
    use std::sync::mpsc;

    /// A history that answers when it is told to.
    struct Slow(std::sync::Mutex<mpsc::Receiver<Past>>);

    impl History for Slow {
        fn job(&self, job: JobId, _: &[Arc<MachineSpec>]) -> Result<Past, JournalError> {
            match job.0 {
                0 => panic!("a fault"),
                1 => Err(JournalError::Damaged("torn".to_owned())),
                _ => Ok(self.0.lock().unwrap().recv().unwrap()),
            }
        }
    }

    #[test]
    fn a_full_queue_is_busy_and_a_fault_is_one_callers_own() {
        let (tell, told) = mpsc::channel();
        let archive = Archive::open(Arc::new(Slow(std::sync::Mutex::new(told))), 1).unwrap();
        let code = |came: Result<_, Fault>| came.map_err(|fault| fault.code).unwrap_err();
        async_io::block_on(async {
            assert_eq!(code(archive.past(JobId(0), Vec::new()).await), Code::INTERNAL);
            assert_eq!(code(archive.past(JobId(1), Vec::new()).await), Code::INTERNAL);
            let mut first = Box::pin(archive.past(JobId(2), Vec::new()));
            assert!((&mut first).now_or_never().is_none());
            while !archive.queue.is_empty() {
                std::thread::yield_now();
            }
            let mut second = Box::pin(archive.past(JobId(3), Vec::new()));
            assert!((&mut second).now_or_never().is_none());
            assert_eq!(code(archive.past(JobId(4), Vec::new()).await), Code::HISTORY_BUSY);
            for past in [Past::Whole(vec![(Moment(1), JobEvent::Queued)]), Past::Nothing(Some(Moment(0)))] {
                tell.send(past).unwrap();
            }
            assert_eq!(first.await, Ok(vec![(Moment(1), JobEvent::Queued)]));
            let fault = second.await.unwrap_err();
            assert_eq!(fault.code, Code::JOB_UNKNOWN);
            assert!(fault.msg.ends_with("history is kept since 1970-01-01T00:00:00.000Z"), "{}", fault.msg);
            tell.send(Past::TooLong).unwrap();
            assert_eq!(code(archive.past(JobId(5), Vec::new()).await), Code::TIME_OUT);
        });
    }
}
