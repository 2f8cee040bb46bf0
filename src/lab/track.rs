//! The scheduling pass over one machine: whom it has tried, who did not fit, and which boards are kept for whom.
//!
//! Heads (the first of each class) are tried in the order of the line. The first that does not fit is the machine's
//! head: the boards it would get the earliest are held, and later jobs go only where they touch none of them, or
//! are over before the held boards could come together. A job that has waited `patience` lets nobody past.
//!
//! Everything here but `heads` is a memo, no truth: forgetting it (`forget`) costs time, nothing else. It stays right
//! because whatever could let a job fit that did not fit before makes it forget: boards that come back or are set
//! aside, a job that leaves for which boards were held or which let nobody past, a job that comes in front of the
//! one boards are held for. More jobs in the line, and time, only ever take room away.

use super::demand::Demand;
use super::machine::Machine;
use super::queue::{Place, Surroundings};
use crate::allocator::{BoardIndex, Hold, Placement, Request};
use crate::clock::Moment;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound::{Excluded, Unbounded};
use std::sync::Arc;

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
}

/// A job that did not fit.
#[derive(Clone)]
struct Blocked {
    created: Moment,
    /// No boards can be held for it at present.
    hopeless: bool,
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
        if self.blocked.remove(&place).is_some() && (held || self.turned_away) {
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

    /// The next head to be tried.
    pub fn next_head(&mut self) -> Option<(Place, Arc<Demand>)> {
        if let Some(place) = self.fresh.pop_first() {
            return self.heads.get(&place).map(|demand| (place, demand.clone()));
        }
        if self.blocked.len() >= CLASSES_BLOCKED_MAX {
            return None;
        }
        let behind = self.tried.map_or(Unbounded, Excluded);
        let (place, demand) = self.heads.range((behind, Unbounded)).next()?;
        self.tried = Some(*place);
        Some((*place, demand.clone()))
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
        let impatient = |blocked: &Blocked| lab.now.ms_since(blocked.created) >= lab.patience_ms;
        if self.blocked.range(..place).any(|(_, blocked)| impatient(blocked)) {
            self.turned_away = true;
            return None;
        }
        self.hold_before(place, number, lab);
        let machine = &lab.machines[number];
        let over_by = lease_ms.map(|ms| lab.now.plus_ms(ms).plus_ms(return_ms_max(machine)));
        let hold = self.hold.as_ref().filter(|held| held.place < place && !ends_before(over_by, held.until));
        let holds: Vec<_> = hold.map(|held| &held.boards).into_iter().collect();
        machine.allocator.find(request, &holds)
    }

    /// Sees to it that boards are held for the first blocked job before a place for which any can be held.
    fn hold_before(&mut self, place: Place, number: usize, lab: &Surroundings<'_>) {
        if self.hold.is_some() {
            return;
        }
        for (blocked_at, blocked) in self.blocked.range_mut(..place).filter(|(_, blocked)| !blocked.hopeless)
        {
            let until = |board| (lab.until)(number, board);
            let request =
                self.heads.get(blocked_at).and_then(|demand| demand.request(&lab.machines[number]).ok());
            let boards = request.and_then(|request| lab.machines[number].allocator.hold(&request, &until));
            if let Some(boards) = boards {
                let latest = boards.boards().map(until).max().filter(|latest| *latest != u64::MAX);
                self.hold = Some(Held { place: *blocked_at, boards, until: latest.map(Moment) });
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
        self.blocked.insert(place, Blocked { created, hopeless: false });
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
