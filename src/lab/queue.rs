//! Who is next: the line of waiting jobs, and the scheduling pass over it.
//!
//! The order is priority, then arrival. Jobs that ask for the same thing form a class; only the first of a class is
//! ever tried, so ten thousand equal requests cost as much as one. Machines do not wait for each other: each has a
//! track of its own, with the heads of the classes it could meet and how far the pass over them has come (`track`).
//! A job that could use several machines stands on the track of each and takes the first that has room.
//!
//! What is deliberately not here: a decision. `next_fit` says which job fits where; `settle` makes a fact of it.

use super::demand::{Demand, Fits, fits};
use super::fact::JobId;
use super::job::JobSpec;
use super::machine::Machine;
use super::track::Track;
use crate::allocator::{BoardIndex, Placement};
use crate::clock::Moment;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// How many neighbouring job numbers are counted together, so that a place in a long line is found by leaps.
const LEAP: u64 = 256;

/// A job's place in the line: the higher priority first, then the lower number. A job that lost its boards
/// keeps its number, so it stands in front again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place(Reverse<i32>, JobId);

impl Place {
    /// The place of a job.
    pub fn of(id: JobId, spec: &JobSpec) -> Place {
        Place(Reverse(spec.priority), id)
    }

    /// The place of a job of the usual priority that comes with this number.
    pub fn last_before(id: JobId) -> Place {
        Place(Reverse(0), id)
    }

    /// Whose place it is.
    pub fn job(self) -> JobId {
        self.1
    }

    /// The first place of the stretch of the line it lies in.
    fn stretch(self) -> Place {
        Place(self.0, JobId(self.1.0 / LEAP * LEAP))
    }
}

/// Jobs that ask for the same.
#[derive(Clone, Debug)]
struct Class {
    waiting: BTreeSet<Place>,
    fits: Fits,
}

/// The waiting jobs.
#[derive(Clone, Default)]
pub struct Queue {
    line: BTreeMap<Place, Arc<Demand>>,
    /// How many jobs stand in each stretch of the line, by its first place.
    stretches: BTreeMap<Place, usize>,
    classes: BTreeMap<Arc<Demand>, Class>,
    /// One for each machine, in the order of the lab.
    tracks: Vec<Track>,
    /// Tracks on which somebody may be tried.
    awake: BTreeSet<usize>,
}

/// A job that fits, and where.
pub struct Fit {
    /// The job.
    pub job: JobId,
    /// The machine, by its number in the lab.
    pub machine: usize,
    /// Its boards.
    pub placement: Placement,
}

/// What the pass needs to know of the lab.
pub struct Surroundings<'a> {
    /// The present.
    pub now: Moment,
    /// After this time in the line nobody overtakes a job.
    pub patience_ms: u64,
    /// The machines, in order.
    pub machines: &'a [Machine],
    /// When a job was queued.
    pub created: &'a dyn Fn(JobId) -> Moment,
    /// When a board is available at the latest; zero for now, and `SOME_TIME` or `NEVER`.
    pub until: &'a dyn Fn(usize, BoardIndex) -> u64,
}

impl Queue {
    /// Whether a request is known to be possible, because others like it wait.
    pub fn knows(&self, demand: &Demand) -> bool {
        self.classes.get(demand).is_some_and(|class| !class.fits.is_empty())
    }

    /// Puts a job into the line; false when it fits nowhere.
    pub fn enter(&mut self, place: Place, demand: Demand, machines: &[Machine]) -> bool {
        let demand = self.class_of(demand, machines);
        self.line.insert(place, demand.clone());
        *self.stretches.entry(place.stretch()).or_default() += 1;
        let Some(class) = self.classes.get_mut(&demand) else { return false };
        let before = class.waiting.first().copied();
        class.waiting.insert(place);
        let fits = class.fits.clone();
        if before.is_none_or(|before| place < before) {
            self.lead(&fits, before, place, demand);
        }
        !fits.is_empty()
    }

    /// The class of a demand, made where there is none.
    fn class_of(&mut self, demand: Demand, machines: &[Machine]) -> Arc<Demand> {
        if let Some((known, _)) = self.classes.get_key_value(&demand) {
            return known.clone();
        }
        let fits = fits(&demand, machines);
        let demand = Arc::new(demand);
        self.classes.insert(demand.clone(), Class { waiting: BTreeSet::new(), fits });
        demand
    }

    /// A job is now the first of its class, in the place of another one.
    fn lead(&mut self, fits: &Fits, before: Option<Place>, place: Place, demand: Arc<Demand>) {
        for (number, _) in fits.iter() {
            if let Some(before) = before {
                self.tracks[*number].step_back(before);
            }
            self.tracks[*number].enter(place, demand.clone());
            self.awake.insert(*number);
        }
    }

    /// Takes a job out of the line; whether it stood there. What was held for it is free for others.
    pub fn leave(&mut self, place: Place) -> bool {
        let Some(demand) = self.line.remove(&place) else { return false };
        self.count_out(place);
        let Some(class) = self.classes.get_mut(&demand) else { return false };
        let was_first = class.waiting.first() == Some(&place);
        class.waiting.remove(&place);
        let (next, fits) = (class.waiting.first().copied(), class.fits.clone());
        for (number, _) in fits.iter() {
            self.tracks[*number].leave(place);
            self.awake.insert(*number);
        }
        match next {
            Some(next) if was_first => self.lead(&fits, None, next, demand),
            Some(_) => {}
            None => drop(self.classes.remove(&demand)),
        }
        true
    }

    fn count_out(&mut self, place: Place) {
        if let Some(count) = self.stretches.get_mut(&place.stretch()) {
            *count -= 1;
            if *count == 0 {
                self.stretches.remove(&place.stretch());
            }
        }
    }

    /// Boards of a machine came back, or will come at another time: everybody may be tried again there.
    pub fn reconsider(&mut self, machine: usize) {
        if let Some(track) = self.tracks.get_mut(machine) {
            track.forget();
            self.awake.insert(machine);
        }
    }

    /// The same for all machines.
    pub fn reconsider_all(&mut self) {
        (0..self.tracks.len()).for_each(|machine| self.reconsider(machine));
    }

    /// Machines came, went, or can do other things: what fits where is found anew. Answers the jobs that
    /// fit nowhere any more.
    pub fn refit(&mut self, machines: &[Machine]) -> Vec<JobId> {
        self.tracks.iter_mut().for_each(Track::clear);
        self.tracks.resize_with(machines.len(), Track::default);
        self.awake = (0..machines.len()).collect();
        let mut lost = Vec::new();
        for (demand, class) in &mut self.classes {
            class.fits = fits(demand, machines);
            if class.fits.is_empty() {
                lost.extend(class.waiting.iter().map(|place| place.job()));
            }
            let Some(first) = class.waiting.first() else { continue };
            for (number, _) in class.fits.iter() {
                self.tracks[*number].enter(*first, demand.clone());
            }
        }
        lost
    }

    /// Whether a job stands in the line at this place.
    pub fn has(&self, place: Place) -> bool {
        self.line.contains_key(&place)
    }

    /// How many jobs wait.
    pub fn len(&self) -> usize {
        self.line.len()
    }

    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.line.is_empty()
    }

    /// How many jobs stand before this one.
    pub fn ahead_of(&self, place: Place) -> usize {
        let stretches = self.stretches.range(..place.stretch()).map(|(_, count)| *count).sum::<usize>();
        stretches + self.line.range(place.stretch()..place).count()
    }

    /// The waiting jobs, first to last.
    pub fn jobs(&self) -> impl Iterator<Item = JobId> {
        self.line.keys().map(|place| place.job())
    }

    /// The next job that fits, if one does. Remembers whom it has tried.
    pub fn next_fit(&mut self, lab: &Surroundings<'_>) -> Option<Fit> {
        while let Some(number) = self.awake.first().copied() {
            if let Some(fit) = self.next_fit_on(number, lab) {
                return Some(fit);
            }
            self.awake.remove(&number);
        }
        None
    }

    /// The next job that fits on one machine.
    fn next_fit_on(&mut self, number: usize, lab: &Surroundings<'_>) -> Option<Fit> {
        // Where nothing is free there is nothing to try; when that changes, the track is awake again.
        while lab.machines[number].allocator.free_count() > 0 {
            let (place, demand) = self.tracks[number].next_head(&lab.machines[number])?;
            let class = self.classes.get(&demand)?;
            let Some((_, request)) = class.fits.iter().find(|(machine, _)| *machine == number) else {
                continue;
            };
            let Some(request) = demand.narrowed(request, &lab.machines[number]) else { continue };
            if let Some(placement) =
                self.tracks[number].try_head(place, &request, demand.lease_ms(), number, lab)
            {
                return Some(Fit { job: place.job(), machine: number, placement });
            }
        }
        None
    }

    /// The free boards of a pool that somebody could have who came to this place just now and stays as long as he likes:
    /// those that are not kept for anybody in front.
    pub fn left_for(&self, place: Place, machine: usize, lab: &Surroundings<'_>) -> Vec<BoardIndex> {
        if lab.machines[machine].allocator.free_count() == 0 {
            return Vec::new();
        }
        self.tracks.get(machine).map_or_else(Vec::new, |track| track.left_for(place, machine, lab))
    }

    /// The first in front of a place that waits for a machine and could use some of these boards of it.
    pub fn waits_for_some(
        &self,
        place: Place,
        machine: usize,
        boards: &[BoardIndex],
        machines: &[Machine],
    ) -> Option<JobId> {
        self.tracks.get(machine)?.waits_for_some(place, boards, &machines[machine])
    }

    /// After a grant: a job that was to get one of these boards may have a better place to wait for.
    pub fn granted(&mut self, place: Place, machine: usize, boards: &[BoardIndex]) {
        if let Some(track) = self.tracks.get_mut(machine) {
            track.granted(place, boards);
            self.awake.insert(machine);
        }
    }
}
