//! The scheduling pass over one machine: whom it has tried, who did not fit, and which boards are kept for whom.
//!
//! Heads (the first of each class) are tried in the order of the line. The first that does not fit is the machine's
//! head: the boards it would get the earliest are held, and later jobs go only where they touch none of them, or
//! are over before the held boards could come together. A job that has waited `patience` lets nobody past; only
//! one that waits for boards by name, or for what only some boards offer, keeps no others from anybody. One that could not
//! be met with the boards in service waits for a repair, or for an offer, not for its turn: nothing is held for it, and it
//! stops nobody.
//!
//! Everything here but `heads` is a memo, no truth: forgetting it (`forget`) costs time, nothing else. It stays right
//! because whatever could let a job fit that did not fit before makes it forget: boards that come back, are set aside or
//! offer other things, a job that leaves for which boards were held or which let nobody past, a job that comes in front of the
//! one boards are held for. More jobs in the line, and time, only ever take room away.

use super::board::BoardState;
use super::demand::Demand;
use super::fact::JobId;
use super::machine::Machine;
use super::queue::{Place, Surroundings};
use crate::allocator::torus::{TRIAD_BOARDS, Triad};
use crate::allocator::{BoardIndex, Hold, Placement, Request, Size};
use crate::clock::Moment;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound::{Excluded, Unbounded};
use std::sync::Arc;

/// When a board is back of which nobody knows whether it will be: it is out of service, or is to be.
pub const NEVER: u64 = u64::MAX;
/// When a board is back that its holder may keep.
pub const SOME_TIME: u64 = u64::MAX - 1;

/// How many classes may wait for one machine before the pass over it looks no further: later ones wait for these.
pub const CLASSES_BLOCKED_MAX: usize = 128;

/// One machine's part of the queue.
#[derive(Clone, Default)]
pub struct Track {
    /// The first of each class that the machine could ever meet.
    heads: BTreeMap<Place, Arc<Demand>>,
    /// Heads up to here were tried; none means that the pass has not begun.
    tried: Option<Place>,
    /// Heads that came behind the pass's back.
    fresh: BTreeSet<Place>,
    /// Those that were tried and did not fit.
    blocked: BTreeMap<Place, Blocked>,
    /// What is kept for the first of them; found when somebody behind is tried.
    hold: Option<Held>,
    /// Somebody was not tried because somebody else has lost patience.
    turned_away: bool,
    /// When the first of those that did not fit was queued, or before: until patience is over for that one it is for nobody.
    oldest: Option<Moment>,
    /// One of them keeps boards from others.
    has_claims: bool,
}

/// A job that did not fit.
#[derive(Clone)]
struct Blocked {
    created: Moment,
    /// It cannot be met with the boards in service, so none are held for it.
    hopeless: bool,
    /// What nobody may take from it, once it has lost patience.
    claim: Option<Claim>,
}

/// What a job that has lost patience keeps from others.
#[derive(Clone)]
enum Claim {
    /// The machine: it has waited only because others came first.
    Machine,
    /// The boards it named, or that offer what it needs; it has no use for others.
    Boards(Hold),
    /// Nothing: it waits for boards that are out of service, not for its turn.
    Nothing,
}

impl Claim {
    fn of(demand: Option<&Arc<Demand>>, number: usize, lab: &Surroundings<'_>) -> Claim {
        let request = demand.and_then(|demand| demand.request_now(&lab.machines[number]).ok());
        let Some(request) = request else { return Claim::Nothing };
        match (best_wait(&request, number, lab), request.size) {
            (None, _) => Claim::Nothing,
            (Some((boards, _)), Size::Named(_)) => Claim::Boards(boards),
            (Some(_), Size::AnyOf(boards)) => Claim::Boards(Hold::on_boards(boards)),
            (Some(_), _) => Claim::Machine,
        }
    }
}

/// The boards a request could get the earliest, and when the last of them is back; none when some of them are out
/// of service wherever it looks: nobody knows then whether there will ever be a place.
fn best_wait(request: &Request, number: usize, lab: &Surroundings<'_>) -> Option<(Hold, u64)> {
    let until = |board| (lab.until)(number, board);
    let machine = &lab.machines[number];
    let hold = machine.allocator.hold(request, &until)?;
    let latest = awaited(&hold, machine).map(until).max().unwrap_or(0);
    (latest != NEVER).then_some((hold, latest))
}

/// The boards that must be free before a request can have what is held for it, some perhaps twice. A rectangle must be
/// rid of all its holders, also of those whose boards the request would not get.
pub fn awaited(hold: &Hold, machine: &Machine) -> impl Iterator<Item = BoardIndex> {
    let wanted = hold.boards().filter(|board| machine.state(*board) != BoardState::Free);
    wanted.chain(boards_around(hold, machine).filter(|board| machine.state(*board).is_held()))
}

/// All boards of the rectangle that is held.
fn boards_around(hold: &Hold, machine: &Machine) -> impl Iterator<Item = BoardIndex> {
    let rectangle = hold.region().zip(machine.spec.triads().map(|triads| triads.torus()));
    rectangle.into_iter().flat_map(|(region, torus)| {
        let columns = region.x..region.x + region.width;
        let triads = columns.flat_map(move |x| (region.y..region.y + region.height).map(move |y| (x, y)));
        triads.flat_map(move |(x, y)| (0..TRIAD_BOARDS).map(move |z| torus.index(Triad::new(x, y, z))))
    })
}

/// Boards that are kept for a job.
#[derive(Clone)]
struct Held {
    place: Place,
    boards: Hold,
    /// When they come together at the latest, if that is known.
    until: Option<Moment>,
}

impl Track {
    /// The first of a class came, or became the first.
    pub fn enter(&mut self, place: Place, demand: Arc<Demand>) {
        self.heads.insert(place, demand);
        if self.tried.is_some_and(|tried| place <= tried) {
            self.fresh.insert(place);
        }
    }

    /// Another one of its class became the first.
    pub fn step_back(&mut self, place: Place) {
        self.heads.remove(&place);
        self.fresh.remove(&place);
    }

    /// A job left the line.
    pub fn leave(&mut self, place: Place) {
        self.step_back(place);
        let held = self.hold.as_ref().is_some_and(|held| held.place == place);
        let Some(blocked) = self.blocked.remove(&place) else { return };
        if held || self.turned_away || matches!(blocked.claim, Some(Claim::Boards(_))) {
            self.forget();
        }
    }

    /// Boards were lent to a job. If some of them were held, by one behind it or beyond the end of its lease, there
    /// may be a better place to wait for now.
    pub fn granted(&mut self, place: Place, boards: &[BoardIndex]) {
        let touches =
            |held: &Held| held.place > place || boards.iter().any(|board| held.boards.contains(*board));
        if self.hold.as_ref().is_some_and(touches) {
            self.forget();
        }
    }

    /// Forgets how far the pass has come: everybody may be tried again.
    pub fn forget(&mut self) {
        *self = Track { heads: std::mem::take(&mut self.heads), ..Track::default() };
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        *self = Track::default();
    }

    /// The next head to be tried. One that needs what nobody offers is passed by and blocks nothing; an offer makes the
    /// track forget.
    pub fn next_head(&mut self, machine: &Machine) -> Option<(Place, Arc<Demand>)> {
        while let Some(place) = self.fresh.pop_first() {
            if let Some(demand) = self.heads.get(&place).filter(|demand| demand.is_offered(machine)) {
                return Some((place, demand.clone()));
            }
        }
        if self.blocked.len() >= CLASSES_BLOCKED_MAX {
            return None;
        }
        let mut untried = self.heads.range((self.tried.map_or(Unbounded, Excluded), Unbounded));
        let found = untried.find(|(_, demand)| demand.is_offered(machine));
        let found = found.map(|(place, demand)| (*place, demand.clone()));
        let passed = found.as_ref().map(|(place, _)| *place);
        let passed = passed.or_else(|| self.heads.last_key_value().map(|(last, _)| *last));
        self.tried = self.tried.max(passed);
        found
    }

    /// Looks for boards for a head, leaving alone what is held for one further ahead. One that finds none is
    /// written down as blocked.
    pub fn try_head(
        &mut self,
        place: Place,
        request: &Request,
        lease_ms: Option<u64>,
        number: usize,
        lab: &Surroundings<'_>,
    ) -> Option<Placement> {
        let found = self.find(place, request, lease_ms, number, lab);
        if found.is_none() {
            self.block(place, (lab.created)(place.job()));
        }
        found
    }

    fn find(
        &mut self,
        place: Place,
        request: &Request,
        lease_ms: Option<u64>,
        number: usize,
        lab: &Surroundings<'_>,
    ) -> Option<Placement> {
        let holds = self.holds_before(place, lease_ms, number, lab)?;
        lab.machines[number].allocator.find(request, &holds)
    }

    /// What is kept for those in front of a place, so that nobody there may have it; none when they leave nothing.
    fn holds_before(
        &mut self,
        place: Place,
        lease_ms: Option<u64>,
        number: usize,
        lab: &Surroundings<'_>,
    ) -> Option<Vec<&Hold>> {
        if !self.let_past(place, number, lab) {
            self.turned_away = true;
            return None;
        }
        self.hold_before(place, number, lab);
        let machine = &lab.machines[number];
        let over_by = lease_ms.map(|ms| lab.now.plus_ms(ms).plus_ms(return_ms_max(machine)));
        let held = self.hold.as_ref().filter(|held| held.place < place && !ends_before(over_by, held.until));
        let claiming = self.has_claims.then(|| self.blocked.range(..place)).into_iter().flatten();
        let claimed = claiming.filter_map(|(_, blocked)| match &blocked.claim {
            Some(Claim::Boards(boards)) => Some(boards),
            _ => None,
        });
        Some(held.map(|held| &held.boards).into_iter().chain(claimed).collect())
    }

    /// The free boards of a pool, longest idle first, that somebody could have who came to this place just now and may
    /// stay as long as he likes. Nothing is remembered; a pass that is not over is gone through here once more.
    pub fn left_for(&self, place: Place, number: usize, lab: &Surroundings<'_>) -> Vec<BoardIndex> {
        let Some(mut sketch) = self.sketch(place, number, lab) else { return Vec::new() };
        match sketch.holds_before(place, None, number, lab) {
            Some(holds) => lab.machines[number].allocator.idle_boards(&holds),
            None => Vec::new(),
        }
    }

    /// The pass as it is when all in front of a place were tried; none when somebody there is about to be lent boards, or
    /// when so many wait that it would not come to this place.
    fn sketch(&self, place: Place, number: usize, lab: &Surroundings<'_>) -> Option<Track> {
        let behind = self.tried.map_or(Unbounded, Excluded);
        let untried = self.tried.is_none_or(|tried| tried < place)
            && self.heads.range((behind, Excluded(place))).next().is_some();
        if self.fresh.is_empty() && !untried {
            let known = |at: &Place| Some((*at, self.heads.get(at)?.clone()));
            let heads = self.blocked.keys().filter_map(known).collect();
            let (blocked, hold) = (self.blocked.clone(), self.hold.clone());
            let (oldest, has_claims) = (self.oldest, self.has_claims);
            let sketch = Track { heads, blocked, hold, oldest, has_claims, ..Track::default() };
            return sketch.unless_full(place);
        }
        let machine = &lab.machines[number];
        let offered = self.heads.range(..place).filter(|(_, demand)| demand.is_offered(machine));
        let heads: BTreeMap<_, _> =
            offered.take(CLASSES_BLOCKED_MAX).map(|(at, demand)| (*at, demand.clone())).collect();
        let mut sketch = Track { heads, ..Track::default() };
        while let Some((at, demand)) = sketch.next_head(machine) {
            let Ok(request) = demand.request_now(machine) else { continue };
            if sketch.try_head(at, &request, demand.lease_ms(), number, lab).is_some() {
                return None;
            }
        }
        sketch.unless_full(place)
    }

    /// None when so many wait in front of a place that the pass looks no further.
    fn unless_full(self, place: Place) -> Option<Track> {
        let full = self.blocked.range(..place).nth(CLASSES_BLOCKED_MAX - 1).is_some();
        (!full).then_some(self)
    }

    /// The first in front of a place that could use some of these boards.
    pub fn waits_for_some(&self, place: Place, boards: &[BoardIndex], machine: &Machine) -> Option<JobId> {
        let could_use = |demand: &Demand| match demand.request_now(machine).map(|request| request.size) {
            Ok(Size::Named(named) | Size::AnyOf(named)) => named.iter().any(|board| boards.contains(board)),
            Ok(_) => true,
            Err(_) => false,
        };
        self.heads.range(..place).find(|(_, demand)| could_use(demand)).map(|(at, _)| at.job())
    }

    /// Whether those in front of a place that have lost patience leave anything for it.
    fn let_past(&mut self, place: Place, number: usize, lab: &Surroundings<'_>) -> bool {
        let is_over = |created| lab.now.ms_since(created) >= lab.patience_ms;
        if !self.oldest.is_some_and(is_over) {
            return true;
        }
        let impatient = |blocked: &Blocked| is_over(blocked.created);
        for (at, blocked) in self.blocked.range_mut(..place).filter(|(_, blocked)| impatient(blocked)) {
            let demand = self.heads.get(at);
            let claim = blocked.claim.get_or_insert_with(|| Claim::of(demand, number, lab));
            match claim {
                Claim::Machine => return false,
                Claim::Boards(_) => self.has_claims = true,
                Claim::Nothing => {}
            }
        }
        true
    }

    /// Sees to it that boards are held for the first blocked job before a place for which any can be held.
    fn hold_before(&mut self, place: Place, number: usize, lab: &Surroundings<'_>) {
        if self.hold.is_some() {
            return;
        }
        for (blocked_at, blocked) in self.blocked.range_mut(..place).filter(|(_, blocked)| !blocked.hopeless)
        {
            let demand = self.heads.get(blocked_at);
            let request = demand.and_then(|demand| demand.request_now(&lab.machines[number]).ok());
            if let Some((boards, latest)) = request.and_then(|request| best_wait(&request, number, lab)) {
                let until = Some(latest).filter(|latest| *latest != SOME_TIME).map(Moment);
                self.hold = Some(Held { place: *blocked_at, boards, until });
                return;
            }
            blocked.hopeless = true;
        }
    }

    /// Writes down that a job did not fit. In front of the one boards are held for, it is the one to hold for.
    fn block(&mut self, place: Place, created: Moment) {
        if self.hold.as_ref().is_some_and(|held| held.place > place) {
            self.forget();
            return;
        }
        self.blocked.insert(place, Blocked { created, hopeless: false, claim: None });
        self.oldest = Some(self.oldest.map_or(created, |oldest| oldest.min(created)));
        if self.blocked.len() > CLASSES_BLOCKED_MAX {
            self.blocked.pop_last();
            self.tried = self.blocked.last_key_value().map(|(last, _)| *last);
            self.fresh.retain(|fresh| Some(*fresh) <= self.tried);
        }
    }
}

/// Whether a loan that is over by one moment is over before the other; false where either is unknown.
fn ends_before(over_by: Option<Moment>, until: Option<Moment>) -> bool {
    matches!((over_by, until), (Some(over_by), Some(until)) if over_by <= until)
}

/// How long boards of a machine take at the most to be free again once their loan is over.
pub fn return_ms_max(machine: &Machine) -> u64 {
    machine.spec.order_ms_max.saturating_add(machine.spec.settle_ms)
}
