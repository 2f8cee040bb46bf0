//! A thread that computes in the time nobody else wants.
//!
//! It is of the scheduling class SCHED_IDLE, which every thread of the usual class takes the processor from as soon as it
//! has something to do, however long the other has had it. Where that class is refused, or there is none, it steps back as far
//! as niceness goes. The price is that nobody knows when it is done: on a processor that is always busy it gets a few
//! thousandths of the time. So it is waited for within bounds, what it brings later is thrown away, and it shares no lock
//! with anybody but the thread it works for: who waited for that lock would wait as long.

use super::hasher::Sum;
use crate::user::Phc;
use crate::user::password::Memory;
use std::io;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

/// What comes back: what was to be computed, so that it is not the spare thread that gives back its memory, and the result.
type Came = (Arc<Sum>, Option<Phc>);

/// The thread, as it is seen by the one it works for. It ends when this is dropped.
pub struct Spare {
    /// The way to the thread.
    sums: Sender<Arc<Sum>>,
    /// The way back.
    came: Receiver<Came>,
    /// It is still at something that nobody waits for any more.
    is_late: bool,
}

impl Spare {
    /// Starts a thread.
    pub fn start(number: usize) -> io::Result<Spare> {
        let ((sums, asked), (back, came)) = (channel(), channel());
        thread::Builder::new().name(format!("spare-{number}")).spawn(move || {
            give_way();
            serve(&asked, &back);
        })?;
        Ok(Spare { sums, came, is_late: false })
    }

    /// One whose thread has ended.
    #[cfg(test)]
    pub fn gone() -> Spare {
        let ((sums, _), (_, came)) = (channel(), channel());
        Spare { sums, came, is_late: false }
    }

    /// Has something computed, if there is time to spare for it; none if there is not, or if it cannot be computed at all.
    pub fn compute(&mut self, sum: &Arc<Sum>) -> Option<Option<Phc>> {
        self.compute_within(sum, sum.patience())
    }

    fn compute_within(&mut self, sum: &Arc<Sum>, patience: Duration) -> Option<Option<Phc>> {
        if self.is_late && self.came.try_recv().is_err() {
            return None;
        }
        self.is_late = false;
        self.sums.send(sum.clone()).ok()?;
        match self.came.recv_timeout(patience) {
            Ok((_, result)) => Some(result),
            Err(_) => {
                self.is_late = true;
                None
            }
        }
    }
}

/// Computes what comes until nothing does. A fault in one hash fails that one.
fn serve(asked: &Receiver<Arc<Sum>>, back: &Sender<Came>) {
    let mut memory = Memory::new();
    while let Ok(sum) = asked.recv() {
        let result = panic::catch_unwind(AssertUnwindSafe(|| sum.compute(&mut memory)));
        if back.send((sum, result.unwrap_or_default())).is_err() {
            return;
        }
    }
}

/// This thread computes only when nobody else wants to, or else as little as niceness can bring about.
fn give_way() {
    #[cfg(target_os = "linux")]
    {
        use thread_priority::{NormalThreadSchedulePolicy, ThreadPriority, ThreadSchedulePolicy};
        let idle = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle);
        let this = thread_priority::thread_native_id();
        if thread_priority::set_thread_priority_and_policy(this, ThreadPriority::Min, idle).is_err() {
            // Also when the class was taken on, but not the niceness, which means nothing there.
            rustix::process::setpriority_process(None, NICENESS_MAX).ok();
        }
    }
}

/// The lowest priority within the usual class.
#[cfg(target_os = "linux")]
const NICENESS_MAX: i32 = 19;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::user::password::Password;

    /// The reference implementation's "password" at 0.1 ms.
    const QUICK: &str =
        "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4";
    /// Longer than a test may take.
    const LONG: Duration = Duration::from_secs(600);

    fn sum(text: &str) -> Arc<Sum> {
        Arc::new(Sum::new(Password::attempt(text.into()).unwrap(), QUICK.parse().unwrap()))
    }

    #[test]
    fn what_it_has_time_for_is_computed() {
        let mut spare = Spare::start(0).unwrap();
        let same = spare.compute_within(&sum("password"), LONG).unwrap().unwrap();
        assert_eq!(same.to_string(), QUICK);
        let other = spare.compute_within(&sum("passwort"), LONG).unwrap().unwrap();
        assert_ne!(other.to_string(), QUICK);
    }

    #[test]
    fn one_that_gets_no_time_is_not_waited_for_and_asked_again_when_it_had() {
        let ((sums, asked), (back, came)) = (channel(), channel());
        let mut spare = Spare { sums, came, is_late: false };
        let [first, second, third] = ["first", "second", "password"].map(sum);
        assert!(spare.compute_within(&first, Duration::from_millis(1)).is_none());
        assert!(spare.compute_within(&second, LONG).is_none(), "it is still at the first");
        let late = asked.try_recv().unwrap();
        assert!(Arc::ptr_eq(&late, &first) && asked.try_recv().is_err());
        back.send((late, None)).unwrap();
        let serving = thread::spawn(move || serve(&asked, &back));
        let made = spare.compute_within(&third, LONG).unwrap().unwrap();
        assert_eq!(made.to_string(), QUICK, "what came late is nobody's");
        drop(spare);
        serving.join().unwrap();
    }

    #[test]
    fn one_that_is_gone_is_done_without() {
        assert!(Spare::gone().compute_within(&sum("password"), LONG).is_none());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn it_gives_way_and_nobody_else_does() {
        use thread_priority::{NormalThreadSchedulePolicy, ThreadSchedulePolicy, thread_schedule_policy};
        let ways = || {
            let niceness = rustix::process::getpriority_process(None).unwrap();
            (thread_schedule_policy().unwrap(), niceness)
        };
        let before = ways();
        let stepped = thread::spawn(move || {
            give_way();
            ways()
        });
        let (policy, niceness) = stepped.join().unwrap();
        let idle = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle);
        assert!(policy == idle || niceness == NICENESS_MAX, "{policy:?}, {niceness}");
        assert_eq!(ways(), before);
    }
}
