//! One booted machine: its chips' places, counted from the lowest corner, and the way from each to each.
//!
//! A boot floods from the root over open links. A chip's place is the root's plus the links gone; where a way leads back to a
//! chip from the other side, that side closes on itself, and places are counted modulo what was gone around. Otherwise the
//! lowest place is made zero, so that the root need not lie at 0,0.
//!
//! The tables of routes are those of the boot: a chip lost later is still in them, and messages to it get no answer.

use super::mesh::{Mesh, Place};
use crate::allocator::link::Link;
use crate::spinnaker::sdp::Chip;
use std::collections::{BTreeMap, VecDeque};

/// The most chips along a side; places beyond have no number and are left out.
const SIDE_CHIPS_MAX: i32 = 256;

/// No such chip, in a table of distances.
const NOWHERE: u32 = u32::MAX;

/// What a table of routes says of a chip that is not there.
pub const ROUTE_NONE: u8 = 6;

/// What it says of the chip whose table it is.
pub const ROUTE_HERE: u8 = 7;

/// A machine as its boot found it.
#[derive(Debug)]
pub struct Machine {
    /// Chips from west to east.
    pub width: u32,
    /// Chips from south to north.
    pub height: u32,
    /// The chip that was booted.
    pub root: Chip,
    places: BTreeMap<Place, Chip>,
    grid: Vec<Option<Place>>,
    links: Vec<u8>,
    parents: Vec<u8>,
}

/// A place on the plane before it is brought in order.
type Point = (i32, i32);

impl Machine {
    /// Floods from a root over all links that are open, to all chips that may be taken.
    pub fn flood(mesh: &Mesh, root: Place, may_take: impl Fn(Place) -> bool) -> Machine {
        let (points, around) = explore(mesh, root, may_take);
        let ((low_x, wide), (low_y, high)) = (
            extent(points.values().map(|point| point.0), around.0),
            extent(points.values().map(|point| point.1), around.1),
        );
        let place = |point: &Point| Chip {
            x: (point.0 - low_x).rem_euclid(wide) as u8,
            y: (point.1 - low_y).rem_euclid(high) as u8,
        };
        let places: BTreeMap<Place, Chip> =
            points.iter().map(|(chip, point)| (*chip, place(point))).collect();
        let (width, height) = (wide as u32, high as u32);
        let mut machine = Machine {
            width,
            height,
            root: places.get(&root).copied().unwrap_or_default(),
            places,
            grid: vec![None; (width * height) as usize],
            links: vec![0; (width * height) as usize],
            parents: Vec::new(),
        };
        machine.enter(mesh);
        machine.parents = machine.towards(machine.root);
        machine
    }

    /// Enters every chip and its links into the grid.
    fn enter(&mut self, mesh: &Mesh) {
        for (place, chip) in self.places.clone() {
            let open = Link::ALL.into_iter().filter(|link| {
                mesh.across(place, *link).is_some_and(|other| self.places.contains_key(&other))
            });
            let links = open.fold(0, |links, link| links | 1 << link.number());
            if let Some(at) = self.at(chip) {
                (self.grid[at], self.links[at]) = (Some(place), links);
            }
        }
    }

    fn at(&self, chip: Chip) -> Option<usize> {
        let (x, y) = (u32::from(chip.x), u32::from(chip.y));
        (x < self.width && y < self.height).then_some((x * self.height + y) as usize)
    }

    /// The chip with these numbers, if the boot found one.
    pub fn place(&self, chip: Chip) -> Option<Place> {
        self.grid[self.at(chip)?]
    }

    /// The numbers of a chip.
    pub fn chip(&self, place: Place) -> Option<Chip> {
        self.places.get(&place).copied()
    }

    /// All chips, by board.
    pub fn places(&self) -> impl Iterator<Item = (Place, Chip)> + '_ {
        self.places.iter().map(|(place, chip)| (*place, *chip))
    }

    /// The links of a chip that worked at the boot, a bit each.
    pub fn links(&self, chip: Chip) -> u8 {
        self.at(chip).map_or(0, |at| self.links[at])
    }

    /// The link by which a chip sends to the root; 7 at the root.
    pub fn parent_link(&self, chip: Chip) -> u8 {
        self.at(chip).and_then(|at| self.parents.get(at).copied()).unwrap_or(ROUTE_NONE)
    }

    /// For every chip of the grid, the lowest link by which a shortest way to this chip begins.
    fn towards(&self, to: Chip) -> Vec<u8> {
        let distances = self.distances(to);
        let mut first = vec![ROUTE_NONE; self.grid.len()];
        for chip in self.places.values().copied() {
            let Some(at) = self.at(chip) else { continue };
            let nearer = |link: &Link| {
                let there = self.at(self.next(chip, *link));
                self.links[at] >> link.number() & 1 == 1
                    && there.is_some_and(|there| distances[there] < distances[at])
            };
            let link = Link::ALL.into_iter().find(nearer).map(|link| link.number() as u8);
            first[at] = if chip == to { ROUTE_HERE } else { link.unwrap_or(ROUTE_NONE) };
        }
        first
    }

    /// The chip behind a link, whether the link works or not.
    fn next(&self, chip: Chip, link: Link) -> Chip {
        let (dx, dy) = link.chip_vector();
        let step = |at: u8, by: i8, size: u32| (i32::from(at) + i32::from(by)).rem_euclid(size as i32) as u8;
        Chip { x: step(chip.x, dx, self.width), y: step(chip.y, dy, self.height) }
    }

    /// How far every chip is from one, in links.
    fn distances(&self, from: Chip) -> Vec<u32> {
        let mut distances = vec![NOWHERE; self.grid.len()];
        let mut due = VecDeque::new();
        if let Some(at) = self.at(from).filter(|at| self.grid[*at].is_some()) {
            distances[at] = 0;
            due.push_back((from, at));
        }
        while let Some((chip, at)) = due.pop_front() {
            for link in Link::ALL.into_iter().filter(|link| self.links[at] >> link.number() & 1 == 1) {
                let next = self.next(chip, link);
                match self.at(next) {
                    Some(there) if distances[there] == NOWHERE => {
                        distances[there] = distances[at] + 1;
                        due.push_back((next, there));
                    }
                    _ => {}
                }
            }
        }
        distances
    }

    /// The way from a chip to another, both included, over the links that the boot found; `None` if there is none.
    pub fn way(&self, from: Chip, to: Chip) -> Option<Vec<Chip>> {
        let distances = self.distances(to);
        let (mut way, mut here) = (vec![from], from);
        let mut left = distances.get(self.at(from)?).copied().filter(|left| *left != NOWHERE)?;
        while left > 0 {
            let nearer = |chip: &Chip| self.at(*chip).is_some_and(|at| distances[at] == left - 1);
            here = self.neighbours(here).find(nearer)?;
            way.push(here);
            left -= 1;
        }
        Some(way)
    }

    /// The chips behind the links of a chip that work, by link.
    fn neighbours(&self, chip: Chip) -> impl Iterator<Item = Chip> + '_ {
        let links = self.links(chip);
        Link::ALL
            .into_iter()
            .filter(move |link| links >> link.number() & 1 == 1)
            .map(move |link| self.next(chip, link))
    }

    /// The table of routes of a chip: for every chip of the grid, x by x, the link that leads there.
    pub fn routes(&self, from: Chip) -> Vec<u8> {
        let distances = self.distances(from);
        let mut routes = vec![ROUTE_NONE; self.grid.len()];
        let mut order: Vec<usize> = (0..routes.len()).filter(|at| distances[*at] != NOWHERE).collect();
        order.sort_unstable_by_key(|at| distances[*at]);
        for at in order {
            routes[at] = self.first_link(from, at, &distances, &routes);
        }
        routes
    }

    /// The lowest link by which a shortest way begins, the nearer chips being done.
    fn first_link(&self, from: Chip, at: usize, distances: &[u32], routes: &[u8]) -> u8 {
        let chip = Chip { x: (at as u32 / self.height) as u8, y: (at as u32 % self.height) as u8 };
        if chip == from {
            return ROUTE_HERE;
        }
        let links = Link::ALL.into_iter().filter(|link| self.links[at] >> link.number() & 1 == 1);
        let first = links.filter_map(|link| {
            let before = self.next(chip, link);
            let there = self.at(before).filter(|there| distances[*there] + 1 == distances[at])?;
            Some(if before == from { link.opposite().number() as u8 } else { routes[there] })
        });
        first.min().unwrap_or(ROUTE_NONE)
    }
}

/// Goes everywhere from the root: where each chip lies if ways are gone straight on, and how far it is around the machine.
fn explore(
    mesh: &Mesh,
    root: Place,
    may_take: impl Fn(Place) -> bool,
) -> (BTreeMap<Place, Point>, (Option<i32>, Option<i32>)) {
    let (mut points, mut around) = (BTreeMap::from([(root, (0, 0))]), (None, None));
    let mut due = VecDeque::from([root]);
    while let Some(chip) = due.pop_front() {
        let (x, y) = points.get(&chip).copied().unwrap_or_default();
        for link in Link::ALL {
            let (dx, dy) = link.chip_vector();
            let point = (x + i32::from(dx), y + i32::from(dy));
            let Some(other) = mesh.across(chip, link).filter(|other| may_take(*other)) else { continue };
            match points.get(&other) {
                Some((seen_x, seen_y)) => {
                    around.0 = around.0.or(gone_around(point.0 - seen_x));
                    around.1 = around.1.or(gone_around(point.1 - seen_y));
                }
                None if point.0.abs() < SIDE_CHIPS_MAX && point.1.abs() < SIDE_CHIPS_MAX => {
                    points.insert(other, point);
                    due.push_back(other);
                }
                None => {}
            }
        }
    }
    (points, around)
}

/// The way around a side, if it was gone.
fn gone_around(difference: i32) -> Option<i32> {
    (difference != 0).then_some(difference.abs())
}

/// The lowest number of a side and its size. A side that closes is counted from the root.
fn extent(numbers: impl Iterator<Item = i32> + Clone, around: Option<i32>) -> (i32, i32) {
    match around {
        Some(size) => (0, size.min(SIDE_CHIPS_MAX)),
        None => {
            let low = numbers.clone().min().unwrap_or(0);
            (low, (numbers.max().unwrap_or(0) - low + 1).min(SIDE_CHIPS_MAX))
        }
    }
}
