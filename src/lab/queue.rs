//! Who is next: the line of waiting jobs, and the scheduling pass over it.
//!
//! The order is priority, then arrival. Jobs that ask for the same thing form a class; only the first of a
//! class is ever tried, so ten thousand equal requests cost as much as one. The first job that does not fit
//! on a machine is that machine's head: boards are held for it, where it has the shortest wait, and later
//! jobs may only go where they touch none of them, or are over before the held boards could come together.
//! A job that has waited `patience` lets nobody past on the machines it could use.
//!
//! What is deliberately not here: a decision. `next_fit` says which job fits where; `lab` makes a fact of it.

use super::fact::JobId;
use super::job::{JobSpec, Want};
use super::machine::{Machine, Shape};
use crate::allocator::torus::Triad;
use crate::allocator::{Allocator, BoardIndex, Hold, Placement, Request, Size};
use crate::clock::Moment;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// How many classes of waiting jobs one scheduling pass looks at; later ones wait for earlier ones to go.
pub const CLASSES_TRIED_MAX: usize = 128;

/// A job's place in the line: the higher priority first, then the lower number. A job that lost its boards
/// keeps its number, so it stands in front again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place(Reverse<i32>, JobId);

impl Place {
    /// The place of a job.
    pub fn of(id: JobId, spec: &JobSpec) -> Place {
        Place(Reverse(spec.priority), id)
    }

    /// Whose place it is.
    pub fn job(self) -> JobId {
        self.1
    }
}

/// All that decides where a job fits. Jobs that are alike in it form a class.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Demand {
    want: Want,
    machine: Option<Arc<str>>,
    tags: BTreeSet<Arc<str>>,
    kind: Option<Arc<str>>,
    min_ratio_bits: u64,
    max_dead_boards: Option<u32>,
    max_dead_links: Option<u32>,
    require_torus: bool,
    lease_ms: Option<u64>,
}

impl Demand {
    /// The demand of a request.
    pub fn of(spec: &JobSpec) -> Demand {
        Demand {
            want: spec.want.clone(),
            machine: spec.machine.clone(),
            tags: spec.tags.clone(),
            kind: spec.kind.clone(),
            min_ratio_bits: spec.min_ratio.to_bits(),
            max_dead_boards: spec.max_dead_boards,
            max_dead_links: spec.max_dead_links,
            require_torus: spec.require_torus,
            lease_ms: spec.lease_ms,
        }
    }

    /// Whether a machine may be used, by its name or tags and by its kinds.
    pub fn admits(&self, machine: &Machine) -> bool {
        self.admits_name(machine) && self.admits_kind(machine)
    }

    /// Whether a machine may be used, by its name or tags alone.
    pub fn admits_name(&self, machine: &Machine) -> bool {
        match &self.machine {
            Some(name) => *name == machine.spec.name,
            None => self.tags.is_subset(&machine.spec.tags),
        }
    }

    fn admits_kind(&self, machine: &Machine) -> bool {
        match (&self.kind, &self.machine) {
            (Some(kind), _) => machine.spec.kinds.contains(kind),
            (None, Some(_)) => true,
            (None, None) => machine.spec.kinds.iter().any(|kind| **kind == *DEFAULT_KIND),
        }
    }

    /// The request as a machine's allocator understands it; an error says why the machine has no such boards.
    pub fn request(&self, machine: &Machine) -> Result<Request, String> {
        Ok(Request {
            size: self.size(machine)?,
            min_ratio: f64::from_bits(self.min_ratio_bits),
            max_dead_boards: self.max_dead_boards,
            max_dead_links: self.max_dead_links,
            require_torus: self.require_torus,
        })
    }

    fn size(&self, machine: &Machine) -> Result<Size, String> {
        Ok(match (&self.want, &machine.spec.shape) {
            (Want::Boards(1), _) => Size::Board,
            (Want::Boards(count), _) => Size::Count(*count),
            (Want::Triads { width, height }, _) => Size::Triads { width: *width, height: *height },
            (Want::Exact { x, y, z }, Shape::Triads(torus)) => {
                let board = torus.torus().index_within(Triad { x: *x, y: *y, z: *z });
                Size::Named(vec![board.ok_or_else(|| format!("there is no board [{x},{y},{z}]"))?])
            }
            (Want::Exact { .. }, Shape::Pool { .. }) => {
                return Err("its boards have serials, not places".to_owned());
            }
            (Want::Serials(_), Shape::Triads(_)) => {
                return Err("its boards have places, not serials".to_owned());
            }
            (Want::Serials(wanted), Shape::Pool { serials }) => {
                let place = |serial: &Arc<str>| {
                    let at = serials.iter().position(|known| known == serial);
                    at.map(|at| BoardIndex(at as u32))
                        .ok_or_else(|| format!("no board has the serial '{serial}'"))
                };
                Size::Named(wanted.iter().map(place).collect::<Result<_, _>>()?)
            }
        })
    }
}

/// The kind of boards a request means that names neither a kind nor a machine.
pub const DEFAULT_KIND: &str = "spinnaker";

/// Jobs that ask for the same.
#[derive(Clone, Debug)]
struct Class {
    waiting: BTreeSet<Place>,
    /// The machines that could meet the demand, by their number in the lab, and how each is asked.
    fits: Arc<[(usize, Request)]>,
    lease_ms: Option<u64>,
}

/// A job that was tried and did not fit, and what is held for it.
#[derive(Clone)]
struct Blocked {
    place: Place,
    created: Moment,
    fits: Arc<[(usize, Request)]>,
    /// By machine: the boards held, and when they come together at the latest, if that is known.
    holds: Vec<(usize, Hold, Option<Moment>)>,
}

/// The waiting jobs.
#[derive(Clone, Default)]
pub struct Queue {
    line: BTreeMap<Place, Arc<Demand>>,
    classes: BTreeMap<Arc<Demand>, Class>,
    heads: BTreeMap<Place, Arc<Demand>>,
    pass: Pass,
}

/// How far the scheduling pass has come. It is a memo, no truth: forgetting it costs time, nothing else.
#[derive(Clone, Default)]
struct Pass {
    /// Heads up to here were tried; none means that the pass has not begun.
    tried: Option<Place>,
    /// The pass has seen every head it looks at.
    over: bool,
    /// Those that did not fit, in the order of the line.
    blocked: Vec<Blocked>,
    /// Jobs that came after the pass was over.
    fresh: BTreeSet<Place>,
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
    /// When a board is available at the latest; zero for now, the greatest number when nobody knows.
    pub until: &'a dyn Fn(usize, BoardIndex) -> u64,
}

impl Queue {
    /// Whether a request is known to be possible, because others like it wait.
    pub fn knows(&self, demand: &Demand) -> bool {
        self.classes.get(demand).is_some_and(|class| !class.fits.is_empty())
    }

    /// Puts a job into the line; false when it fits nowhere.
    pub fn enter(&mut self, place: Place, demand: Demand, machines: &[Machine]) -> bool {
        let demand = match self.classes.get_key_value(&demand) {
            Some((known, _)) => known.clone(),
            None => {
                let (fits, lease_ms) = (fits(&demand, machines), demand.lease_ms);
                let demand = Arc::new(demand);
                self.classes.insert(demand.clone(), Class { waiting: BTreeSet::new(), fits, lease_ms });
                demand
            }
        };
        self.line.insert(place, demand.clone());
        let Some(class) = self.classes.get_mut(&demand) else { return false };
        let before = class.waiting.first().copied();
        class.waiting.insert(place);
        let fits = !class.fits.is_empty();
        if before.is_none_or(|before| place < before) {
            before.map(|before| self.heads.remove(&before));
            self.heads.insert(place, demand);
            self.arrive(place);
        }
        fits
    }

    /// A new head of a class came: try it alone, or the pass will come to it.
    fn arrive(&mut self, place: Place) {
        if self.pass.over {
            self.pass.fresh.insert(place);
        } else if self.pass.tried.is_some_and(|tried| place < tried) {
            self.reconsider();
        }
    }

    /// Takes a job out of the line; whether it stood there. What was held for it is free for others.
    pub fn leave(&mut self, place: Place) -> bool {
        let Some(demand) = self.line.remove(&place) else { return false };
        let Some(class) = self.classes.get_mut(&demand) else { return false };
        class.waiting.remove(&place);
        let next = class.waiting.first().copied();
        if next.is_none() {
            self.classes.remove(&demand);
        }
        if self.heads.remove(&place).is_some() {
            if let Some(next) = next {
                self.heads.insert(next, demand);
                if self.pass.over {
                    self.pass.fresh.insert(next);
                }
            }
        }
        self.pass.fresh.remove(&place);
        if self.pass.blocked.iter().any(|blocked| blocked.place == place) {
            self.reconsider();
        }
        true
    }

    /// Boards came back or the lab changed: everybody may be tried again.
    pub fn reconsider(&mut self) {
        self.pass = Pass::default();
    }

    /// Machines came, went, or can do other things: what fits where is found anew. Answers the jobs that
    /// fit nowhere any more.
    pub fn refit(&mut self, machines: &[Machine]) -> Vec<JobId> {
        for (demand, class) in &mut self.classes {
            class.fits = fits(demand, machines);
        }
        self.reconsider();
        let lost = self.classes.values().filter(|class| class.fits.is_empty());
        lost.flat_map(|class| class.waiting.iter().map(|place| place.job())).collect()
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
        self.line.range(..place).count()
    }

    /// The waiting jobs, first to last.
    pub fn jobs(&self) -> impl Iterator<Item = JobId> {
        self.line.keys().map(|place| place.job())
    }

    /// The next job that fits, if one does. Remembers whom it has tried.
    pub fn next_fit(&mut self, lab: &Surroundings<'_>) -> Option<Fit> {
        while let Some(place) = self.next_head() {
            let demand = self.heads.get(&place)?;
            let class = self.classes.get(demand)?;
            let (fits, lease_ms) = (class.fits.clone(), class.lease_ms);
            match self.try_one(place, &fits, lease_ms, lab) {
                Some(fit) => return Some(fit),
                None => self.block(place, fits, lab),
            }
        }
        None
    }

    /// The next head to try: in the order of the line, then those that came since.
    fn next_head(&mut self) -> Option<Place> {
        if self.pass.over {
            return self.pass.fresh.pop_first();
        }
        let next = match self.pass.tried {
            Some(tried) => {
                self.heads.range((std::ops::Bound::Excluded(tried), std::ops::Bound::Unbounded)).next()
            }
            None => self.heads.iter().next(),
        };
        match next.filter(|_| self.pass.blocked.len() < CLASSES_TRIED_MAX) {
            Some((place, _)) => {
                self.pass.tried = Some(*place);
                Some(*place)
            }
            None => {
                self.pass.over = true;
                self.pass.fresh.pop_first()
            }
        }
    }

    /// Looks for a place on each machine, leaving alone what is held for jobs further ahead.
    fn try_one(
        &self,
        place: Place,
        fits: &[(usize, Request)],
        lease_ms: Option<u64>,
        lab: &Surroundings<'_>,
    ) -> Option<Fit> {
        let ahead: Vec<_> = self.pass.blocked.iter().take_while(|blocked| blocked.place < place).collect();
        for (number, request) in fits {
            let machine = &lab.machines[*number];
            if machine.allocator.free_count() == 0 {
                continue;
            }
            let closed = ahead.iter().any(|blocked| {
                lab.now.ms_since(blocked.created) >= lab.patience_ms
                    && blocked.fits.iter().any(|(n, _)| n == number)
            });
            if closed {
                continue;
            }
            let over_by = lease_ms.map(|ms| lab.now.plus_ms(ms + return_ms_max(machine)));
            let holds: Vec<&Hold> = (ahead.iter().flat_map(|blocked| &blocked.holds))
                .filter(|(n, _, until)| n == number && !ends_before(over_by, *until))
                .map(|(_, hold, _)| hold)
                .collect();
            if let Some(placement) = machine.allocator.find(request, &holds) {
                return Some(Fit { job: place.job(), machine: *number, placement });
            }
        }
        None
    }

    /// Writes down that a job did not fit; where it is the first on a machine, boards are held for it.
    fn block(&mut self, place: Place, fits: Arc<[(usize, Request)]>, lab: &Surroundings<'_>) {
        let mut holds = Vec::new();
        for (number, request) in fits.iter() {
            let others = self.pass.blocked.iter().filter(|blocked| blocked.place < place);
            if others.flat_map(|blocked| &blocked.holds).any(|(n, ..)| n == number) {
                continue;
            }
            if let Some(hold) =
                lab.machines[*number].allocator.hold(request, &|board| (lab.until)(*number, board))
            {
                let until = hold.boards().map(|board| (lab.until)(*number, board)).max().unwrap_or(u64::MAX);
                holds.push((*number, hold, (until != u64::MAX).then_some(Moment(until))));
            }
        }
        let at = self.pass.blocked.partition_point(|blocked| blocked.place < place);
        let created = (lab.created)(place.job());
        self.pass.blocked.insert(at, Blocked { place, created, fits, holds });
    }

    /// After a grant: a job behind that was to get one of these boards must be given others to wait for.
    pub fn granted(&mut self, place: Place, machine: usize, boards: &[BoardIndex]) {
        let behind = self.pass.blocked.iter().filter(|blocked| blocked.place > place);
        let mut held = behind.flat_map(|blocked| &blocked.holds).filter(|(n, ..)| *n == machine);
        if held.any(|(_, hold, _)| boards.iter().any(|board| hold.contains(*board))) {
            self.reconsider();
        }
    }
}

/// Whether a loan that is over by one moment is over before the other; false where either is unknown.
fn ends_before(over_by: Option<Moment>, until: Option<Moment>) -> bool {
    matches!((over_by, until), (Some(over_by), Some(until)) if over_by <= until)
}

/// How long boards of a machine take at the most to be free again once their loan is over.
pub fn return_ms_max(machine: &Machine) -> u64 {
    machine.spec.order_ms_max + machine.spec.settle_ms
}

/// The machines that could ever meet a demand, in the order of the lab.
fn fits(demand: &Demand, machines: &[Machine]) -> Arc<[(usize, Request)]> {
    let admitted = machines.iter().enumerate().filter(|(_, machine)| demand.admits(machine));
    admitted
        .filter_map(|(number, machine)| {
            let request = demand.request(machine).ok()?;
            machine.allocator.possible(&request).is_ok().then_some((number, request))
        })
        .collect()
}

/// Why no machine could ever meet a demand; none when one could.
pub fn obstacle(demand: &Demand, machines: &[Machine]) -> Option<String> {
    let admitted: Vec<_> = machines.iter().filter(|machine| demand.admits(machine)).collect();
    let mut obstacles = Vec::new();
    for machine in &admitted {
        match demand.request(machine).and_then(|request| possible(&machine.allocator, &request)) {
            Ok(()) => return None,
            Err(why) => obstacles.push(format!("{}: {why}", machine.spec.name)),
        }
    }
    if admitted.is_empty() {
        obstacles.push(match &demand.machine {
            Some(name) => format!("no machine is called '{name}'"),
            None => format!("no machine has all the tags [{}]", tags_text(&demand.tags)),
        });
    }
    Some(obstacles.join("; "))
}

fn possible(allocator: &Allocator, request: &Request) -> Result<(), String> {
    allocator.possible(request).map_err(|why| why.to_string())
}

fn tags_text(tags: &BTreeSet<Arc<str>>) -> String {
    tags.iter().map(|tag| format!("'{tag}'")).collect::<Vec<_>>().join(", ")
}
