//! Own threads for password hashing, so that a flood of log-ins costs neither memory nor anybody's time.
//!
//! A hash takes 13 ms of pure work in 19 MiB. On the executor's threads it would hold up every connection, and
//! with a thread per log-in a few hundred of them would need gigabytes. Here are as many threads as half the cores, each
//! with its memory allocated once, behind one bounded queue; when it is full the answer is "busy" at once.
//!
//! Each of them has a spare thread (`spare`) that computes only while nobody else wants the processor, which is how log-ins are
//! checked as a rule: whoever else has something to do has the processor at once. A thread that merely steps back
//! keeps it for some milliseconds now and then, and with it all others. Where nothing is to spare the spare thread is not
//! waited for (`Sum::patience`): then the first one computes, at a lower priority, with memory of its own, so that log-ins go on
//! as quickly as that allows while all processors are busy. Deliberately not here: who may try how often (`user::lockout`).

use super::spare::Spare;
use crate::error::{Code, Fault};
use crate::user::password::{self, Memory, Password, Phc};
use async_channel::{Receiver, Sender};
use futures_channel::oneshot;
use std::io;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;
use uuid::Uuid;

/// Log-ins that may wait, unless the configuration says otherwise: about half a second's work for one thread.
pub const LOGINS_WAITING_MAX: usize = 64;

/// For how long a spare thread is waited for, for a hash of the present cost: some twenty times what it takes on an idle
/// processor.
const PATIENCE: Duration = Duration::from_millis(250);

/// How much the threads yield to others when they compute themselves.
#[cfg(target_os = "linux")]
const NICENESS: i32 = 10;

/// The queue is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Busy;

impl From<Busy> for Fault {
    fn from(_: Busy) -> Fault {
        Fault::new(Code::LOGIN_BUSY, "too many log-ins wait to be checked; try again in a second")
    }
}

/// The threads that hash. They end when this is dropped.
pub struct Hasher {
    /// The queue to the threads.
    queue: Sender<Work>,
    /// The threads.
    threads: Vec<JoinHandle<()>>,
}

/// What a thread is asked to do, and where the result goes.
enum Work {
    /// Is this the password?
    Verify(Arc<Sum>, oneshot::Sender<bool>),
    /// What is kept of this password?
    Hash(Arc<Sum>, oneshot::Sender<Phc>),
}

/// What is to be computed.
pub struct Sum {
    password: Password,
    /// The hash it is checked against; one that is made newly has the costs and the salt of this.
    like: Phc,
}

impl Hasher {
    /// Starts half as many threads as there are cores, at least one.
    pub fn open(logins_waiting_max: usize) -> io::Result<Hasher> {
        let cores = thread::available_parallelism().map_or(1, |cores| cores.get());
        let (queue, work) = async_channel::bounded(logins_waiting_max.max(1));
        let threads = (0..(cores / 2).max(1)).map(|number| start(number, work.clone()));
        Ok(Hasher { threads: threads.collect::<io::Result<_>>()?, queue })
    }

    /// Whether this is the password of which `kept` was made.
    pub async fn verify(&self, password: Password, kept: Phc) -> Result<bool, Busy> {
        let (result, arrival) = oneshot::channel();
        self.enqueue(Work::Verify(Arc::new(Sum::new(password, kept)), result))?;
        arrival.await.map_err(|_| Busy)
    }

    /// What is to be kept of a new password, with a salt from the operating system.
    pub async fn hash(&self, password: Password) -> Result<Phc, Busy> {
        let (result, arrival) = oneshot::channel();
        // 122 of the bits are random; a salt has only to be different each time.
        let like = Phc::salted(Uuid::new_v4().into_bytes());
        self.enqueue(Work::Hash(Arc::new(Sum::new(password, like)), result))?;
        arrival.await.map_err(|_| Busy)
    }

    /// Waits until the threads have ended. Nobody can be waiting for them any more, so they only finish what they are at.
    pub fn close(self) {
        self.queue.close();
        for thread in self.threads {
            thread.join().ok();
        }
    }

    /// Puts work at the end of the queue, if there is room.
    fn enqueue(&self, work: Work) -> Result<(), Busy> {
        self.queue.try_send(work).map_err(|_| Busy)
    }
}

/// Starts one thread and its spare one, which work until the queue is closed.
fn start(number: usize, work: Receiver<Work>) -> io::Result<JoinHandle<()>> {
    let mut pair = Pair { spare: Spare::start(number)?, memory: None };
    thread::Builder::new().name(format!("hasher-{number}")).spawn(move || {
        step_back();
        while let Ok(work) = work.recv_blocking() {
            // A fault in one hash fails that log-in; it must not end the thread and with it all that follow. The memory
            // is overwritten by the next hash in any case.
            panic::catch_unwind(AssertUnwindSafe(|| work.finish(|sum| pair.compute(sum)))).ok();
        }
    })
}

/// What one of the threads computes with.
struct Pair {
    /// Who computes as a rule.
    spare: Spare,
    /// What this thread computes in when it has to; allocated the first time.
    memory: Option<Memory>,
}

impl Pair {
    fn compute(&mut self, sum: &Arc<Sum>) -> Option<Phc> {
        match self.spare.compute(sum) {
            Some(result) => result,
            None => sum.compute(self.memory.get_or_insert_default()),
        }
    }
}

/// Lowers the priority of this thread. On Linux the call that is named after processes acts on one thread; elsewhere it
/// would slow down the whole server and is left out. A refusal changes nothing but the order of work.
fn step_back() {
    #[cfg(target_os = "linux")]
    rustix::process::setpriority_process(None, NICENESS).ok();
}

impl Work {
    /// Does the work, unless whoever asked has gone away: then it costs nothing.
    fn finish(self, compute: impl FnOnce(&Arc<Sum>) -> Option<Phc>) {
        match self {
            Work::Verify(sum, result) => {
                if !result.is_canceled() {
                    result.send(compute(&sum).is_some_and(|made| made == sum.like)).ok();
                }
            }
            Work::Hash(sum, result) => {
                if !result.is_canceled()
                    && let Some(made) = compute(&sum)
                {
                    result.send(made).ok();
                }
            }
        }
    }
}

impl Sum {
    /// The hash of a password, made as another one was.
    pub fn new(password: Password, like: Phc) -> Sum {
        Sum { password, like }
    }

    /// What is kept of the password, made as the hash it is checked against was; none if that cannot be computed.
    pub fn compute(&self, memory: &mut Memory) -> Option<Phc> {
        password::hash_like(&self.password, &self.like, memory)
    }

    /// For how long a spare thread is waited for.
    pub fn patience(&self) -> Duration {
        PATIENCE.mul_f64(self.like.cost_ratio().max(1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;
    use futures_util::future::join_all;

    /// The reference implementation's "password" at 0.1 ms, so that the tests are quick.
    const QUICK: &str =
        "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4";

    fn quick() -> Phc {
        QUICK.parse().unwrap()
    }

    fn password(text: &str) -> Password {
        Password::attempt(text.into()).unwrap()
    }

    #[test]
    fn passwords_are_hashed_and_verified() {
        let hasher = Hasher::open(LOGINS_WAITING_MAX).unwrap();
        async_io::block_on(async {
            let kept = hasher.hash(password("correct horse")).await.unwrap();
            assert_eq!(hasher.verify(password("correct horse"), kept.clone()).await, Ok(true));
            assert_eq!(hasher.verify(password("correct house"), kept.clone()).await, Ok(false));
            let again = hasher.hash(password("correct horse")).await.unwrap();
            assert_ne!(again, kept, "each time another salt");
        });
        hasher.close();
    }

    /// A hasher whose queue nobody serves, and the queue's other end.
    fn unserved(logins_waiting_max: usize) -> (Hasher, Receiver<Work>) {
        let (queue, work) = async_channel::bounded(logins_waiting_max);
        (Hasher { queue, threads: Vec::new() }, work)
    }

    #[test]
    fn a_full_queue_says_busy_at_once_and_takes_more_when_there_is_room() {
        let (hasher, work) = unserved(2);
        let mut waiting: Vec<_> =
            (0..2).map(|_| Box::pin(hasher.verify(password("password"), quick()))).collect();
        for attempt in &mut waiting {
            assert_eq!(attempt.as_mut().now_or_never(), None);
        }
        assert_eq!(hasher.verify(password("password"), quick()).now_or_never(), Some(Err(Busy)));
        assert_eq!(hasher.hash(password("password")).now_or_never(), Some(Err(Busy)));
        assert_eq!(Fault::from(Busy).code, Code::LOGIN_BUSY);

        let mut memory = Memory::new();
        work.try_recv().unwrap().finish(|sum| sum.compute(&mut memory));
        assert_eq!(waiting.remove(0).now_or_never(), Some(Ok(true)));
        assert_eq!(hasher.verify(password("password"), quick()).now_or_never(), None);
    }

    #[test]
    fn who_went_away_costs_nothing_and_holds_up_nobody() {
        let (hasher, work) = unserved(8);
        // Each would take seconds if it were computed.
        let slow: Phc = QUICK.replace("m=256,t=2", "m=262144,t=16").parse().unwrap();
        for _ in 0..5 {
            assert_eq!(hasher.verify(password("password"), slow.clone()).now_or_never(), None);
        }
        let mut patient = Box::pin(hasher.verify(password("password"), quick()));
        assert_eq!(patient.as_mut().now_or_never(), None);
        let mut memory = Memory::new();
        let started = std::time::Instant::now();
        while let Ok(work) = work.try_recv() {
            work.finish(|sum| sum.compute(&mut memory));
        }
        assert_eq!(patient.now_or_never(), Some(Ok(true)));
        assert!(started.elapsed().as_secs() < 5, "the five are not computed");
    }

    #[test]
    fn where_there_is_no_time_to_spare_log_ins_go_on() {
        let mut pair = Pair { spare: Spare::gone(), memory: None };
        let sum = |text| Arc::new(Sum::new(password(text), quick()));
        assert_eq!(pair.compute(&sum("password")), Some(quick()));
        assert_ne!(pair.compute(&sum("passwort")), Some(quick()));
    }

    #[test]
    fn what_costs_more_is_waited_for_longer() {
        let patience = |like: Phc| Sum::new(password("password"), like).patience();
        assert_eq!((patience(quick()), patience(Phc::dummy())), (PATIENCE, PATIENCE));
        let large = QUICK.replace("m=256,t=2", "m=77824,t=4").parse().unwrap();
        assert_eq!(patience(large), PATIENCE * 8);
    }

    #[test]
    fn a_crowd_is_answered_each_with_its_own_result() {
        let hasher = Hasher::open(200).unwrap();
        let attempts = (0..100).map(|n| {
            let text = if n % 3 == 0 { "password" } else { "passwort" };
            hasher.verify(password(text), quick())
        });
        let answers = async_io::block_on(join_all(attempts));
        for (n, answer) in answers.into_iter().enumerate() {
            assert_eq!(answer, Ok(n % 3 == 0), "{n}");
        }
    }

    #[test]
    fn the_threads_end_when_the_hasher_is_dropped() {
        let mut hasher = Hasher::open(LOGINS_WAITING_MAX).unwrap();
        let threads = std::mem::take(&mut hasher.threads);
        assert!(!threads.is_empty());
        drop(hasher);
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    }

    #[test]
    fn whoever_loses_the_answer_is_told() {
        let (hasher, work) = unserved(2);
        let mut waiting = Box::pin(hasher.verify(password("password"), quick()));
        assert_eq!(waiting.as_mut().now_or_never(), None);
        drop(work.try_recv().unwrap());
        assert_eq!(waiting.now_or_never(), Some(Err(Busy)));
        drop(work);
        assert_eq!(hasher.verify(password("password"), quick()).now_or_never(), Some(Err(Busy)));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_threads_step_back_and_nobody_else_does() {
        let niceness = || rustix::process::getpriority_process(None).unwrap();
        let before = niceness();
        let stepped = std::thread::spawn(move || {
            step_back();
            niceness()
        });
        assert_eq!(stepped.join().unwrap(), NICENESS.max(before));
        assert_eq!(niceness(), before);
    }
}
