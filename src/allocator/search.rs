//! Which of the free rectangles to give: those that meet the terms, and of them the one that spoils least.
//!
//! A rectangle that cannot slide along either side leaves no useless gap, so only such are compared; the
//! one with the most of its outline against walls, taken or broken triads wins, which keeps the large free
//! squares whole. Rectangles in which every board works are tried before those that merely stay in the limits.
//!
//! Work is bounded (`LOOKS_MAX`, `EFFORT_MAX`). The bounds are far beyond what small machines need. On a large
//! machine a search that meets the second bound, trying many shapes or places full of faults, may miss a place,
//! but never the one that spalloc's server counts on: what that holds possible is found on an empty machine.

use std::ops::ControlFlow;

use super::fabric::{DeadLinks, Fabric, Reach};
use super::free_space::{Corners, FreeSpace};
use super::plane::{WORD_BITS, bits_of};
use super::request::{Region, Request};
use super::shape::Shape;
use super::torus::{TRIAD_BOARDS, Torus, Triad};
use super::{BoardIndex, Placement};

/// Triads and words looked at, at most, to compare places of one size.
const LOOKS_MAX: u32 = 16_384;
/// Effort of one search, at most, in words of free space gone through; spent on shapes beyond the first and on
/// judging places with faults. A search that may leave boards out has it twice.
const EFFORT_MAX: u64 = 1 << 19;
/// The same on machines of up to `SMALL_TRIADS_MAX` triads, which are gone through to the end if need be.
const SMALL_EFFORT_MAX: u64 = 1 << 24;
/// Machines with more triads are large.
const SMALL_TRIADS_MAX: u32 = 1 << 12;
/// What a word costs when a place is judged.
const JUDGED_WORD_EFFORT: u64 = 6;
/// With more shapes than this, strips are made first to rule shapes out.
const STRIPS_FROM_SHAPES: usize = 4;

/// A machine as one kind of search sees it.
#[derive(Clone, Copy)]
pub struct Ground<'a> {
    /// Its size.
    pub torus: Torus,
    /// Its dead links.
    pub links: &'a DeadLinks,
    /// The boards that count as working.
    pub fabric: &'a Fabric,
    /// Triads that may be used, and of which all boards work.
    pub whole: &'a FreeSpace,
    /// Triads that may be used.
    pub open: &'a FreeSpace,
}

/// What a rectangle must meet.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// Boards asked for; `None` is all of the rectangle.
    pub wanted: Option<u32>,
    /// How many of them may be missing.
    pub missing_max: Option<u32>,
    /// How many links between them may be dead.
    pub dead_links_max: Option<u32>,
    /// Whether some link must wrap, and dead links that wrap count.
    pub torus: bool,
}

impl Terms {
    /// The terms of a request for so many boards, or for all of a rectangle.
    pub fn of(request: &Request, wanted: Option<u32>) -> Terms {
        let Request { max_dead_boards, max_dead_links, require_torus, .. } = *request;
        Terms { wanted, missing_max: max_dead_boards, dead_links_max: max_dead_links, torus: require_torus }
    }

    /// Boards that a region should have.
    fn wanted_of(&self, region: Region) -> u32 {
        self.wanted.unwrap_or(region.triads() * TRIAD_BOARDS)
    }
}

/// A rectangle that meets the terms.
pub struct Found {
    /// The rectangle.
    pub region: Region,
    /// Boards asked for that it does not have.
    pub missing: u32,
    /// Triads of its outline that touch neither a wall nor what is in use.
    exposed: u32,
    /// The boards reached; `None` is all.
    reach: Option<Reach>,
}

impl Found {
    /// The boards and the rectangle.
    pub fn placement(&self, torus: Torus) -> Placement {
        let boards = match &self.reach {
            Some(reach) => reach.boards(torus),
            None => all_boards(torus, self.region),
        };
        Placement { boards, region: Some(self.region) }
    }

    /// Less is better: complete before incomplete, snug before exposed.
    fn rank(&self) -> (u32, u32) {
        (self.missing, self.exposed)
    }
}

/// All boards of a region, sorted.
fn all_boards(torus: Torus, region: Region) -> Vec<BoardIndex> {
    let mut boards = Vec::with_capacity((region.triads() * TRIAD_BOARDS) as usize);
    for x in region.x..region.x + region.width {
        let first = torus.index(Triad::new(x, region.y, 0)).0;
        boards.extend((first..first + region.height * TRIAD_BOARDS).map(BoardIndex));
    }
    boards
}

/// Places of one size, with what is against each: boards missing at least, triads of the outline exposed.
struct Places {
    /// The places.
    list: Vec<(u32, u32, Region)>,
    /// Triads and words that may still be looked at to find more.
    looks_left: u32,
}

/// One search on one ground.
pub struct Search<'a> {
    /// Where.
    ground: Ground<'a>,
    /// Regions that must not be touched.
    closed: &'a [Region],
    /// What must be met.
    pub terms: Terms,
    /// What is left of `EFFORT_MAX`.
    effort_left: u64,
    /// The fewest boards missing in a place that was refused for it.
    pub least_missing: Option<u32>,
    /// The fewest dead links in a place that had boards enough.
    pub least_dead_links: Option<u32>,
}

impl<'a> Search<'a> {
    /// A search that has not begun.
    pub fn new(ground: Ground<'a>, closed: &'a [Region], terms: Terms) -> Search<'a> {
        let effort_left = effort_max(ground.torus);
        Search { ground, closed, terms, effort_left, least_missing: None, least_dead_links: None }
    }

    /// A place for exactly this rectangle.
    pub fn rectangle(&mut self, width: u32, height: u32) -> Option<Found> {
        self.complete(width, height).or_else(|| self.incomplete(width, height))
    }

    /// A place for the first of these shapes that has one with all boards wanted; else with boards missing.
    pub fn any_shape(&mut self, shapes: &[Shape]) -> Option<Found> {
        let Torus { width, height } = self.ground.torus;
        let strips = (shapes.len() > STRIPS_FROM_SHAPES)
            .then(|| (self.ground.whole.strips(), self.ground.open.strips()));
        let (whole, open) =
            (strips.as_ref().map(|strips| &strips.0), strips.as_ref().map(|strips| &strips.1));
        let missing_max = self.terms.missing_max.replace(0);
        for shape in shapes {
            let ways: Vec<_> = shape.laid_in(width, height).collect();
            let complete =
                ways.iter().filter_map(|way| self.complete_if(whole, *way)).min_by_key(Found::rank);
            if complete.is_some() {
                return complete;
            }
            let enough = ways.iter().filter_map(|way| self.enough_if(open, *way)).min_by_key(Found::rank);
            if enough.is_some() {
                return enough;
            }
        }
        self.terms.missing_max = missing_max;
        if missing_max == Some(0) || self.ground.fabric.faulty.count() == 0 {
            return None;
        }
        self.effort_left = effort_max(self.ground.torus);
        let mut ways = shapes.iter().flat_map(|shape| shape.laid_in(width, height));
        ways.find_map(|way| if self.may_hold(open, way) { self.incomplete(way.0, way.1) } else { None })
    }

    /// The best place in which every board works, unless the strips tell that there is none.
    fn complete_if(&mut self, strips: Option<&FreeSpace>, way: (u32, u32)) -> Option<Found> {
        if self.may_hold(strips, way) { self.complete(way.0, way.1) } else { None }
    }

    /// A place with all boards that are wanted thanks to the rectangle's surplus, unless the strips tell that there is none.
    fn enough_if(&mut self, strips: Option<&FreeSpace>, way: (u32, u32)) -> Option<Found> {
        let faultless = self.ground.fabric.faulty.count() == 0;
        if faultless || self.surplus(way.0, way.1) == 0 || !self.may_hold(strips, way) {
            return None;
        }
        self.incomplete(way.0, way.1)
    }

    /// Whether a rectangle of this size may have a place at all, as far as strips and effort tell.
    fn may_hold(&mut self, strips: Option<&FreeSpace>, (width, height): (u32, u32)) -> bool {
        if self.effort_left == 0 {
            return false;
        }
        let (may, effort) = strips.map_or((true, 0), |strips| strips.strips_may_hold(width, height));
        self.spend(effort);
        may
    }

    /// The best place in which every board works.
    fn complete(&mut self, width: u32, height: u32) -> Option<Found> {
        self.best_in(self.ground.whole, width, height)
    }

    /// The best place with faults inside the limits.
    fn incomplete(&mut self, width: u32, height: u32) -> Option<Found> {
        let tolerant = self.surplus(width, height) > 0 || self.terms.missing_max != Some(0);
        if !tolerant || self.ground.fabric.faulty.count() == 0 {
            return None;
        }
        self.best_in(self.ground.open, width, height)
    }

    /// How many boards more than wanted a rectangle would have.
    fn surplus(&self, width: u32, height: u32) -> u32 {
        let rectangle = width * height * TRIAD_BOARDS;
        rectangle.saturating_sub(self.terms.wanted.unwrap_or(rectangle))
    }

    /// The best of the places that cannot slide, or else any.
    fn best_in(&mut self, space: &FreeSpace, width: u32, height: u32) -> Option<Found> {
        let mut places = Places { list: Vec::new(), looks_left: LOOKS_MAX };
        let effort = space.each_corner(width, height, self.closed, |corners| {
            self.list_column(corners, width, height, &mut places)
        });
        self.spend(effort);
        places.list.sort_unstable();
        let mut best: Option<Found> = None;
        for (missing, exposed, region) in &places.list {
            // What is against a place is at least what it was listed with.
            if best.as_ref().is_some_and(|best| best.rank() <= (*missing, *exposed)) {
                break;
            }
            let found = self.judge(*region).map(|found| Found { exposed: *exposed, ..found });
            best = best.into_iter().chain(found).min_by_key(Found::rank);
        }
        if best.is_none() && !places.list.is_empty() { self.first_in(space, width, height) } else { best }
    }

    /// Lists the places that begin in one column, with what is against each.
    fn list_column(&self, corners: Corners, width: u32, height: u32, places: &mut Places) -> ControlFlow<()> {
        for (word, bits) in (0..).zip(corners.tight()) {
            for bit in bits_of(bits) {
                let region = Region { x: corners.x, y: word * WORD_BITS + bit, width, height };
                let exposed = 2 * (width + height) - self.ground.whole.contact(region);
                let (missing, looks) = self.missing_at_least(region);
                places.list.push((missing, exposed, region));
                places.looks_left = places.looks_left.saturating_sub(looks + 4 + width + height / WORD_BITS);
                if places.looks_left == 0 || (missing, exposed) == (0, 0) {
                    return ControlFlow::Break(());
                }
            }
        }
        ControlFlow::Continue(())
    }

    /// How many boards a region lacks even if all that work are reached; and the words looked at for it.
    fn missing_at_least(&self, region: Region) -> (u32, u32) {
        let fabric = self.ground.fabric;
        if fabric.faulty.count() == 0 {
            return (0, 0);
        }
        let missing = self.terms.wanted_of(region).saturating_sub(fabric.count_working(region));
        (missing, region.width * (1 + region.height / WORD_BITS) * 3)
    }

    /// The first place that meets the terms: in a corner of the machine, then anywhere.
    fn first_in(&mut self, space: &FreeSpace, width: u32, height: u32) -> Option<Found> {
        if let Some(found) = self.in_machine_corner(space, width, height) {
            return Some(found);
        }
        let mut first = None;
        space.each_corner(width, height, self.closed, |corners| {
            for (word, bits) in (0..).zip(corners.all()) {
                for bit in bits_of(bits) {
                    let region = Region { x: corners.x, y: word * WORD_BITS + bit, width, height };
                    first = self.judge(region);
                    if first.is_some() || self.effort_left == 0 {
                        return ControlFlow::Break(());
                    }
                }
            }
            ControlFlow::Continue(())
        });
        first
    }

    /// A place in one of the machine's four corners; judged whatever effort it takes.
    pub fn in_machine_corner(&mut self, space: &FreeSpace, width: u32, height: u32) -> Option<Found> {
        let Torus { width: machine_width, height: machine_height } = self.ground.torus;
        let (far_x, far_y) = (machine_width.checked_sub(width)?, machine_height.checked_sub(height)?);
        let effort_left = std::mem::replace(&mut self.effort_left, u64::MAX);
        let corners = [(0, 0), (0, far_y), (far_x, 0), (far_x, far_y)];
        let found = corners.into_iter().find_map(|(x, y)| {
            let region = Region { x, y, width, height };
            let clear = self.closed.iter().all(|closed| !overlap(*closed, region));
            if clear && space.is_free(region) { self.judge(region) } else { None }
        });
        self.effort_left = effort_left;
        found
    }

    /// Whether a free rectangle meets the terms.
    pub fn judge(&mut self, region: Region) -> Option<Found> {
        let fabric = self.ground.fabric;
        if !fabric.faulty.any_in_region(region) {
            return Some(Found { region, missing: 0, exposed: 0, reach: None });
        }
        let corner = Triad::new(region.x, region.y, 0);
        if self.effort_left == 0 || !fabric.works(corner) {
            return None;
        }
        let wanted = self.terms.wanted_of(region);
        self.spend(
            JUDGED_WORD_EFFORT * u64::from(region.width) * u64::from(4 + region.height / WORD_BITS * 4),
        );
        self.missing(wanted, fabric.count_working(region))?;
        let reach = Reach::new(self.ground.torus, fabric, self.ground.links, region);
        self.spend(JUDGED_WORD_EFFORT * reach.effort);
        let missing = self.missing(wanted, reach.count())?;
        if self.terms.torus && !reach.wraps() {
            return None;
        }
        self.check_links(&reach)?;
        Some(Found { region, missing, exposed: 0, reach: Some(reach) })
    }

    /// How many boards are missing when there are so many; nothing, and a note of it, when that is too many.
    fn missing(&mut self, wanted: u32, there: u32) -> Option<u32> {
        let missing = wanted.saturating_sub(there);
        if self.terms.missing_max.is_none_or(|max| missing <= max) {
            return Some(missing);
        }
        self.least_missing = Some(self.least_missing.unwrap_or(u32::MAX).min(missing));
        None
    }

    /// Nothing when too many links between the boards are dead.
    fn check_links(&mut self, reach: &Reach) -> Option<()> {
        let Some(max) = self.terms.dead_links_max else { return Some(()) };
        let dead = reach.dead_links(self.terms.torus);
        self.least_dead_links = Some(self.least_dead_links.unwrap_or(u32::MAX).min(dead));
        (dead <= max).then_some(())
    }

    /// Whether the effort allowed is used up, so that places may have been missed.
    pub fn is_spent(&self) -> bool {
        self.effort_left == 0
    }

    /// Counts effort.
    fn spend(&mut self, words: u64) {
        self.effort_left = self.effort_left.saturating_sub(words);
    }
}

/// The effort of a search on a machine of this size.
fn effort_max(torus: Torus) -> u64 {
    if torus.width * torus.height <= SMALL_TRIADS_MAX { SMALL_EFFORT_MAX } else { EFFORT_MAX }
}

/// Whether two regions share a triad.
pub fn overlap(a: Region, b: Region) -> bool {
    a.x < b.x + b.width && b.x < a.x + a.width && a.y < b.y + b.height && b.y < a.y + a.height
}
