//! Whether a machine of triads could ever meet a request, and if not, which constraint is in the way.
//!
//! First what size and shape alone decide; then, on machines with faults, the rectangle that spalloc's server
//! would try in the four corners of the machine, then every other place. A refusal names the first constraint
//! without which there would be a place.

use super::BoardIndex;
use super::fabric::Fabric;
use super::request::{Impossible, Request, Size};
use super::search::{Found, Search, Terms};
use super::shape::{Shape, area_to_rect, below_ratio, shapes};
use super::torus::{TRIAD_BOARDS, Torus};
use super::triads::Triads;

/// Whether the request could be met if every board were free and in service.
pub fn possible(machine: &Triads, request: &Request) -> Result<(), Impossible> {
    match &request.size {
        Size::Count(0) => Err(Impossible::Nothing),
        Size::Board | Size::Count(1) => board_possible(machine, request),
        Size::Named(names) => named_possible(machine, request, names),
        Size::AnyOf(names) => Err(Impossible::NamedCount(names.len())),
        Size::Count(count) => {
            count_fits(machine.torus, request, *count)?;
            place_possible(machine, request, Wish::Count(*count))
        }
        Size::Triads { width, height } => {
            rectangle_fits(machine.torus, request, *width, *height)?;
            place_possible(machine, request, Wish::Rectangle(*width, *height))
        }
    }
}

/// Whether any board is alive.
fn board_possible(machine: &Triads, request: &Request) -> Result<(), Impossible> {
    if request.require_torus {
        return Err(Impossible::TorusOfBoards);
    }
    let alive = machine.alive.working.iter().any(|plane| plane.count() > 0);
    if alive { Ok(()) } else { Err(Impossible::Alive { asked: 1, alive: 0 }) }
}

/// Whether just one board is named, and is alive.
fn named_possible(machine: &Triads, request: &Request, names: &[BoardIndex]) -> Result<(), Impossible> {
    match names {
        _ if request.require_torus => Err(Impossible::TorusOfBoards),
        [] => Err(Impossible::Nothing),
        [board] if machine.inside(*board).is_none() => Err(Impossible::NamedUnknown(*board)),
        [board] if machine.is_dead(*board) => Err(Impossible::NamedDead(*board)),
        [_] => Ok(()),
        names => Err(Impossible::NamedCount(names.len())),
    }
}

/// Whether the machine, without faults, has room for a rectangle of just this size.
pub fn rectangle_fits(torus: Torus, request: &Request, width: u32, height: u32) -> Result<(), Impossible> {
    let Torus { width: machine_width, height: machine_height } = torus;
    if width == 0 || height == 0 || width > machine_width || height > machine_height {
        return Err(Impossible::Shape { width, height, machine_width, machine_height });
    }
    if request.require_torus && (width, height) != (machine_width, machine_height) {
        return Err(Impossible::TorusSize { machine_width, machine_height });
    }
    Ok(())
}

/// Whether the machine, without faults, has room for a rectangle of so many boards that is square enough.
pub fn count_fits(torus: Torus, request: &Request, count: u32) -> Result<(), Impossible> {
    let Torus { width: machine_width, height: machine_height } = torus;
    let (triads, boards) = (count.div_ceil(TRIAD_BOARDS), torus.board_count());
    if count == 0 {
        return Err(Impossible::Nothing);
    }
    if count > boards {
        return Err(Impossible::Count { asked: count, boards });
    }
    if request.require_torus && triads != machine_width * machine_height {
        return Err(Impossible::TorusSize { machine_width, machine_height });
    }
    let min_ratio = request.ratio();
    let square_enough = shapes(triads, min_ratio, machine_width, machine_height, false);
    let nearly = below_ratio(triads, machine_width, machine_height, min_ratio);
    if square_enough.is_empty() && nearly.is_none() {
        Err(Impossible::Ratio { triads, min_ratio, machine_width, machine_height })
    } else {
        Ok(())
    }
}

/// The shapes for so many boards on a machine of which these boards work, the best first.
///
/// Where none that is square enough will ever have a place, the one is taken that spalloc's server would take
/// because it rounds the ratio.
pub fn shapes_of(machine: &Triads, working: &Fabric, request: &Request, count: u32) -> Vec<Shape> {
    let (triads, ratio) = (count.div_ceil(TRIAD_BOARDS), request.ratio());
    let Torus { width, height } = machine.torus;
    let with_larger = working.faulty.count() > 0 && request.max_dead_boards.is_some();
    let square_enough = shapes(triads, ratio, width, height, with_larger);
    let Some(nearly) = below_ratio(triads, width, height, ratio) else { return square_enough };
    let mut ever = Search::new(machine.ground_ever(), &[], Terms::of(request, Some(count)));
    if ever.any_shape(&square_enough).is_some() { square_enough } else { vec![nearly] }
}

/// The one shape that spalloc's server would try for so many boards on an empty machine.
pub fn usual_shape(torus: Torus, request: &Request, count: u32) -> Option<(u32, u32)> {
    area_to_rect(count.div_ceil(TRIAD_BOARDS), torus.width, torus.height, request.ratio())
}

/// A wish for a rectangle.
#[derive(Clone, Copy)]
enum Wish {
    /// Of at least so many boards.
    Count(u32),
    /// Of just this size.
    Rectangle(u32, u32),
}

impl Wish {
    /// A place for it on the machine with every board free and in service.
    fn place<'a>(self, machine: &'a Triads, request: &Request) -> (Option<Found>, Search<'a>) {
        let wanted = if let Wish::Count(count) = self { Some(count) } else { None };
        let mut search = Search::new(machine.ground_ever(), &[], Terms::of(request, wanted));
        let mut found = self
            .usual_shape(machine.torus, request)
            .and_then(|(width, height)| search.in_machine_corner(machine.ground_ever().open, width, height));
        if found.is_none() {
            found = match self {
                Wish::Count(count) => search.any_shape(&shapes_of(machine, &machine.alive, request, count)),
                Wish::Rectangle(width, height) => search.rectangle(width, height),
            };
        }
        (found, search)
    }

    /// The one shape that spalloc's server would try on an empty machine.
    fn usual_shape(self, torus: Torus, request: &Request) -> Option<(u32, u32)> {
        match self {
            Wish::Rectangle(width, height) => Some((width, height)),
            Wish::Count(count) => usual_shape(torus, request, count),
        }
    }
}

/// Whether faults leave a place for a rectangle that would otherwise fit.
fn place_possible(machine: &Triads, request: &Request, wish: Wish) -> Result<(), Impossible> {
    if machine.alive.faulty.count() == 0 {
        return Ok(());
    }
    let (found, search) = wish.place(machine, request);
    if found.is_some() {
        return Ok(());
    }
    let (least_missing, least_dead_links) = (search.least_missing, search.least_dead_links);
    let without_links = Request { max_dead_links: None, ..request.clone() };
    if let (Some(allowed), true) = (request.max_dead_links, wish.place(machine, &without_links).0.is_some()) {
        return Err(Impossible::DeadLinks { allowed, least: least_dead_links });
    }
    let unlimited = Request { max_dead_boards: None, ..without_links };
    if let (Some(allowed), true) = (request.max_dead_boards, wish.place(machine, &unlimited).0.is_some()) {
        return Err(Impossible::DeadBoards { allowed, least: least_missing });
    }
    if request.require_torus && machine.alive.works(super::torus::Triad::new(0, 0, 0)) {
        return Err(Impossible::TorusBroken);
    }
    let (width, height) = wish.usual_shape(machine.torus, request).unwrap_or_default();
    Err(Impossible::Corner { width, height })
}
