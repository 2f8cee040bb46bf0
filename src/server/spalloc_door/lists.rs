//! The lists that everybody asks for all the time: written once for each state of what they show, whoever asks. The list of jobs is
//! kept as rows, of which only those are written anew whose jobs changed.

use super::super::desk::Counter;
use crate::lab::Lab;
use crate::lab::fact::JobId;
use crate::lab::job::JobState;
use crate::lab::refusal::Refusal;
use crate::lab::view::{JobFilter, JobView, MachineView, Query, View};
use crate::spalloc::shape;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Whole answers, each with the number of what it shows. Whoever comes while one is written waits for it.
#[derive(Default)]
pub struct Lists {
    jobs: Mutex<Option<Jobs>>,
    machines: Mutex<Option<(u64, Arc<String>)>>,
}

/// The answer to `list_jobs`.
#[derive(Default)]
struct Jobs {
    /// The number of what it shows.
    number: u64,
    rows: BTreeMap<JobId, Box<str>>,
    /// The machines of the lab, by which jobs are listed or not.
    machines: Vec<MachineView>,
    answer: Arc<String>,
}

/// What has to be written.
struct Seen {
    /// Jobs as they are; none where one is over.
    jobs: Vec<(JobId, Option<JobView>)>,
    /// The machines, if the rows written before are of no use.
    anew: Option<Vec<MachineView>>,
}

impl Lists {
    /// The answer to `list_jobs`.
    pub fn jobs(&self, counter: &Counter) -> Result<Arc<String>, Refusal> {
        let mut kept = locked(&self.jobs);
        if let Some(jobs) = kept.as_ref().filter(|jobs| jobs.number == counter.version()) {
            return Ok(jobs.answer.clone());
        }
        let mut jobs = kept.take();
        let changed =
            |lab: &Lab| look(lab, jobs.as_ref().and_then(|jobs| counter.changed_since(jobs.number)));
        let (number, seen) = counter.see_numbered(changed);
        let seen = seen?;
        if let Some(machines) = seen.anew {
            jobs = Some(Jobs { machines, ..Jobs::default() });
        }
        let jobs = kept.insert(jobs.unwrap_or_default());
        jobs.number = number;
        jobs.write(seen.jobs, counter);
        Ok(jobs.answer.clone())
    }

    /// The answer to `list_machines`.
    pub fn machines(&self, counter: &Counter) -> Result<Arc<String>, Refusal> {
        let mut kept = locked(&self.machines);
        if let Some((_, answer)) = kept.as_ref().filter(|(number, _)| *number == counter.version()) {
            return Ok(answer.clone());
        }
        let (number, seen) = counter.see_numbered(machines);
        let (mut out, seen) = (String::new(), seen?);
        shape::push_return(&mut out, |out| shape::push_machines(out, &seen));
        let answer = Arc::new(out);
        *kept = Some((number, answer.clone()));
        Ok(answer)
    }
}

impl Jobs {
    /// Writes rows anew, and the answer of all rows.
    fn write(&mut self, jobs: Vec<(JobId, Option<JobView>)>, counter: &Counter) {
        let tori = shape::Tori::of(&self.machines);
        for (id, job) in jobs {
            match job.and_then(|job| shape::job_row(&job, &tori, counter.host_of(id))) {
                Some(row) => drop(self.rows.insert(id, row.into())),
                None => drop(self.rows.remove(&id)),
            }
        }
        let bytes: usize = self.rows.values().map(|row| row.len() + 2).sum();
        let mut out = String::with_capacity(bytes + shape::RETURN_BYTES);
        shape::push_return(&mut out, |out| shape::push_rows(out, self.rows.values()));
        self.answer = Arc::new(out);
    }
}

/// What is kept is whole at any time, so a panic elsewhere does no harm.
fn locked<T>(kept: &Mutex<T>) -> MutexGuard<'_, T> {
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The jobs that changed, or all if it is not known which.
fn look(lab: &Lab, changed: Option<Vec<JobId>>) -> Result<Seen, Refusal> {
    let Some(changed) = changed else {
        let jobs = jobs(lab)?.into_iter().map(|job| (job.id, Some(job))).collect();
        return Ok(Seen { jobs, anew: Some(machines(lab)?) });
    };
    let jobs = changed.into_iter().map(|id| Ok((id, live_job(lab, id)?)));
    Ok(Seen { jobs: jobs.collect::<Result<_, _>>()?, anew: None })
}

/// A job, while it lives.
fn live_job(lab: &Lab, id: JobId) -> Result<Option<JobView>, Refusal> {
    match lab.see(&Query::JobState(id))? {
        View::JobState(job) => Ok(job.filter(|job| job.state != JobState::Destroyed)),
        _ => Ok(None),
    }
}

fn jobs(lab: &Lab) -> Result<Vec<JobView>, Refusal> {
    match lab.see(&Query::Jobs(JobFilter::default()))? {
        View::Jobs(jobs) => Ok(jobs),
        _ => Ok(Vec::new()),
    }
}

fn machines(lab: &Lab) -> Result<Vec<MachineView>, Refusal> {
    match lab.see(&Query::Machines)? {
        View::Machines(machines) => Ok(machines),
        _ => Ok(Vec::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Moment;
    use crate::config::Config;
    use crate::lab::Options;
    use crate::lab::command::{Caller, Command};
    use crate::lab::effect::Effect;
    use crate::lab::job::{JobSpec, Want};
    use crate::notice::Limits;
    use crate::server::herald::Herald;
    use proptest::prelude::*;

    /// A lab of which readers see every change at once.
    struct Shown {
        lab: Lab,
        counter: Counter,
        now: Moment,
    }

    impl Shown {
        fn new() -> Shown {
            let lab = Lab::new(Options::default());
            let (counter, _) = Counter::new(lab.clone(), Herald::new(Limits::DEFAULT), Moment(1));
            Shown { lab, counter, now: Moment(1) }
        }

        /// Carries out a wish and what follows; boards obey at once.
        fn wish(&mut self, command: Command) {
            self.now = self.now.plus_ms(1);
            let mut wishes = vec![command];
            while let Some(wish) = wishes.pop() {
                let mut facts = self.lab.decide(self.now, &Caller::server(), &wish).unwrap_or_default();
                facts.reverse();
                while let Some(fact) = facts.pop().or_else(|| self.lab.settle(self.now)) {
                    self.lab.apply(&fact);
                    for effect in self.lab.react(&fact) {
                        let Effect::Order(order) = effect else { continue };
                        let obeyed = order.boards.to_vec();
                        wishes.push(Command::AnswerOrder { order: order.id, obeyed, failed: Vec::new() });
                    }
                    self.counter.show(&[fact]);
                }
            }
        }

        fn configure(&mut self, width: u32) {
            let text = format!(
                "[[machine]]\nname = \"m\"\nshape = \"triads\"\nwidth = {width}\nheight = 1\nsettle_s = 0\ncontroller = \"simulated\"\n"
            );
            let config = Config::load(Some(&text), &[], &[]).expect("a configuration");
            self.wish(Command::Configure(config.machines.into_iter().map(|machine| machine.spec).collect()));
        }
    }

    proptest! {
        #[test]
        fn rows_written_one_by_one_are_the_list_written_at_once(
            acts in proptest::collection::vec((0..9u8, 1..12u64), 1..40)
        ) {
            let (mut shown, lists) = (Shown::new(), Lists::default());
            shown.configure(2);
            for (act, number) in acts {
                let job = JobId(number);
                match act {
                    0..=3 => {
                        let want = Want::Boards(number as u32 % 4 + 1);
                        shown.wish(Command::CreateJobAnyway(JobSpec::new("ada", want)));
                    }
                    4 | 5 => shown.wish(Command::DestroyJob { job, reason: None }),
                    6 => shown.wish(Command::PowerJob { job, power: number % 2 == 0 }),
                    7 => shown.counter.note_host(job, [127, 0, 0, number as u8].into()),
                    _ => shown.configure(number as u32 % 3 + 1),
                }
                // Now and then several changes are made up for at once.
                if number % 3 != 0 {
                    let anew = Lists::default().jobs(&shown.counter).unwrap();
                    prop_assert_eq!(&*lists.jobs(&shown.counter).unwrap(), &*anew);
                }
            }
        }
    }

    #[test]
    fn a_list_of_which_nothing_changed_is_the_same_one() {
        let (mut shown, lists) = (Shown::new(), Lists::default());
        shown.configure(2);
        shown.wish(Command::CreateJob(JobSpec::new("ada", Want::Boards(1))));
        let [first, again] = [(); 2].map(|()| lists.jobs(&shown.counter).unwrap());
        assert!(Arc::ptr_eq(&first, &again) && first.contains("\"job_id\": 1"), "{first}");
        let drained = Command::SetService { accept: false, reason: "lunch".into() };
        shown.wish(drained);
        assert!(Arc::ptr_eq(&first, &lists.jobs(&shown.counter).unwrap()));
    }
}
