//! The oracle: a machine as plain sets, every place tried one by one, every rule written out.

use std::collections::BTreeSet;

use crate::allocator::link::Link;
use crate::allocator::shape::area_to_rect;
use crate::allocator::torus::{Torus, Triad, Wraps};
use crate::allocator::{BoardIndex, Region, Request, Size, Triads};

/// Boards as a set.
pub type Boards = BTreeSet<Triad>;

/// A machine as plain sets.
#[derive(Clone, Debug)]
pub struct Model {
    pub torus: Torus,
    pub dead: Boards,
    pub dead_links: BTreeSet<(Triad, Link)>,
    pub out: Boards,
    pub taken: Boards,
    /// Triads (z = 0) that rectangles must not touch.
    pub closed: Boards,
    /// Boards that must not be given.
    pub held: Boards,
}

impl Model {
    pub fn new(width: u32, height: u32) -> Model {
        let torus = Torus { width, height };
        Model {
            torus,
            dead: Boards::new(),
            dead_links: BTreeSet::new(),
            out: Boards::new(),
            taken: Boards::new(),
            closed: Boards::new(),
            held: Boards::new(),
        }
    }

    /// The real thing in the same state.
    pub fn build(&self) -> Triads {
        let dead: Vec<_> = self.dead.iter().copied().collect();
        let links: Vec<_> = self.dead_links.iter().copied().collect();
        let mut machine = Triads::new(self.torus.width, self.torus.height, &dead, &links).unwrap();
        self.out.iter().for_each(|board| machine.set_out_of_service(self.torus.index(*board), true));
        let taken: Vec<_> = self.taken.iter().map(|board| self.torus.index(*board)).collect();
        machine.take(&taken);
        machine
    }

    /// The same machine with every board free and in service.
    pub fn idle(&self) -> Model {
        Model {
            dead: self.dead.clone(),
            dead_links: self.dead_links.clone(),
            ..Model::new(self.torus.width, self.torus.height)
        }
    }

    pub fn all_boards(&self) -> impl Iterator<Item = Triad> + use<> {
        let torus = self.torus;
        (0..torus.board_count()).map(move |at| torus.triad(BoardIndex(at)))
    }

    pub fn is_free(&self, board: Triad) -> bool {
        self.works(board) && !self.taken.contains(&board)
    }

    fn works(&self, board: Triad) -> bool {
        !self.dead.contains(&board) && !self.out.contains(&board)
    }

    pub fn regions(&self, width: u32, height: u32) -> Vec<Region> {
        let Torus { width: w, height: h } = self.torus;
        if width == 0 || height == 0 || width > w || height > h {
            return Vec::new();
        }
        let columns = 0..=w - width;
        columns.flat_map(|x| (0..=h - height).map(move |y| Region { x, y, width, height })).collect()
    }

    /// The boards reached from the lower-left corner of a region.
    pub fn reach(&self, region: Region) -> Boards {
        let mut reached = Boards::new();
        let mut next = vec![Triad::new(region.x, region.y, 0)];
        while let Some(board) = next.pop() {
            if !self.works(board) || !reached.insert(board) {
                continue;
            }
            for link in Link::ALL {
                let other = self.torus.neighbour(board, link).0;
                if region.covers(other) && !self.dead_links.contains(&(board, link)) {
                    next.push(other);
                }
            }
        }
        reached
    }

    /// Whether a region, whoever has its boards now, meets the terms of a request.
    pub fn meets(&self, region: Region, request: &Request) -> bool {
        let boards = self.reach(region);
        let wanted = match request.size {
            Size::Count(count) => count,
            _ => region.triads() * 3,
        };
        let (mut dead, mut dead_wrapping, mut wraps) = (0, 0, Wraps::default());
        for (board, link) in boards.iter().flat_map(|board| Link::ALL.map(|link| (*board, link))) {
            let (other, crossed) = self.torus.neighbour(board, link);
            if boards.contains(&other) {
                wraps = wraps.and(crossed);
                let is_dead = u32::from(self.dead_links.contains(&(board, link)));
                *(if crossed.any() { &mut dead_wrapping } else { &mut dead }) += is_dead;
            }
        }
        let missing = wanted.saturating_sub(boards.len() as u32);
        let dead = if request.require_torus { dead + dead_wrapping } else { dead };
        !boards.is_empty()
            && request.max_dead_boards.is_none_or(|max| missing <= max)
            && request.max_dead_links.is_none_or(|max| dead <= max)
            && (!request.require_torus || wraps.any())
    }

    /// Whether a region is free of lent boards and of holds.
    pub fn is_open(&self, region: Region) -> bool {
        !self.taken.iter().any(|board| region.covers(*board))
            && !self.closed.iter().any(|triad| region.covers(*triad))
    }

    /// Every size of rectangle that serves a request for triads or for a count.
    pub fn sizes(&self, request: &Request) -> Vec<(u32, u32)> {
        let Torus { width, height } = self.torus;
        let torus_size = |size: &(u32, u32)| !request.require_torus || *size == (width, height);
        let all = (1..=width).flat_map(|w| (1..=height).map(move |h| (w, h)));
        match request.size {
            Size::Triads { width, height } => {
                all.filter(|size| *size == (width, height)).filter(torus_size).collect()
            }
            Size::Count(count) if count > 1 => {
                let triads = count.div_ceil(3);
                if request.require_torus && triads != width * height {
                    return Vec::new();
                }
                let serving = all.filter(|(w, h)| serves(*w, *h, triads, request.min_ratio));
                let serving: Vec<_> = serving.filter(torus_size).collect();
                let nearly = area_to_rect(triads, width, height, request.min_ratio);
                let nearly = nearly.filter(|(w, h)| !serves(*w, *h, triads, request.min_ratio));
                match nearly {
                    Some((w, h)) if !self.idle().has_place_of(&serving, request) => [(w, h), (h, w)]
                        .into_iter()
                        .filter(|size| size.0 <= width && size.1 <= height)
                        .collect(),
                    _ => serving,
                }
            }
            _ => Vec::new(),
        }
    }

    /// Whether there is a place for a request now.
    pub fn has_place(&self, request: &Request) -> bool {
        let lendable = |board: &Triad| self.is_free(*board) && !self.held.contains(board);
        match &request.size {
            Size::Count(0) => false,
            Size::Board | Size::Count(1) => !request.require_torus && self.all_boards().any(|b| lendable(&b)),
            Size::Named(names) => {
                names.len() == 1
                    && !request.require_torus
                    && self.torus.index_within(self.torus.triad(names[0])).is_some()
                    && lendable(&self.torus.triad(names[0]))
            }
            _ => self.has_place_of(&self.sizes(request), request),
        }
    }

    /// Whether there is a place of one of these sizes now.
    fn has_place_of(&self, sizes: &[(u32, u32)], request: &Request) -> bool {
        let mut regions = sizes.iter().flat_map(|(w, h)| self.regions(*w, *h));
        regions.any(|region| self.is_open(region) && self.meets(region, request))
    }

    /// What spalloc's server answers when asked whether a request is possible: one shape, four corners.
    pub fn possible_for_the_reference(&self, request: &Request) -> bool {
        let Torus { width, height } = self.torus;
        let size = match request.size {
            Size::Triads { width, height } => Some((width, height)),
            Size::Count(count) if count > 1 => {
                area_to_rect(count.div_ceil(3), width, height, request.min_ratio)
            }
            _ => return self.idle().has_place(request),
        };
        let whole = match request.size {
            Size::Count(count) => count.div_ceil(3) == width * height,
            _ => size == Some((width, height)),
        };
        let Some((w, h)) = size.filter(|_| whole || !request.require_torus) else { return false };
        let corners = self.regions(w, h).into_iter().filter(|region| {
            (region.x == 0 || region.x == width - w) && (region.y == 0 || region.y == height - h)
        });
        let idle = self.idle();
        corners.into_iter().any(|region| idle.meets(region, request))
    }

    /// Asserts that a grant is right in every respect.
    pub fn check_grant(&self, request: &Request, boards: &[BoardIndex], region: Option<Region>) {
        assert!(boards.is_sorted() && !boards.is_empty());
        let set: Boards = boards.iter().map(|board| self.torus.triad(*board)).collect();
        assert_eq!(set.len(), boards.len(), "a board twice");
        for board in &set {
            assert!(self.torus.index_within(*board).is_some());
            assert!(self.is_free(*board), "{board:?} is not free");
            assert!(!self.held.contains(board), "{board:?} is held");
        }
        let Some(region) = region else {
            assert_eq!(set.len(), 1);
            if let Size::Named(names) = &request.size {
                assert_eq!(names, boards);
            }
            return;
        };
        assert!(region.x + region.width <= self.torus.width && region.y + region.height <= self.torus.height);
        assert!(self.is_open(region));
        assert!(self.meets(region, request));
        assert_eq!(set, self.reach(region));
        assert!(set.contains(&Triad::new(region.x, region.y, 0)));
        assert!(self.sizes(request).contains(&(region.width, region.height)), "{request:?} {region:?}");
    }
}

/// Whether a rectangle is large enough and square enough, and would not be with a shorter short side.
fn serves(width: u32, height: u32, triads: u32, min_ratio: f64) -> bool {
    let min_ratio = if min_ratio > 1.0 { 1.0 / min_ratio } else { min_ratio };
    let (long, short) = (width.max(height), width.min(height));
    let good = |short: u32| short * long >= triads && f64::from(short) / f64::from(long) >= min_ratio;
    long <= triads && good(short) && (short == 1 || !good(short - 1))
}
