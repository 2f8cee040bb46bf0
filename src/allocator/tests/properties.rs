//! Random small machines with every kind of fault against the oracle.

use proptest::prelude::*;
use proptest::sample::Index;

use super::model::Model;
use crate::allocator::link::Link;
use crate::allocator::torus::{Torus, Triad};
use crate::allocator::{BoardIndex, Hold, Region, Request, Size, Triads};

/// How many of a hundred boards or links are in a state.
fn share() -> impl Strategy<Value = u32> {
    prop_oneof![3 => Just(0), 2 => 1..10u32, 1 => 10..50u32]
}

/// A choice of boards, that many of a hundred.
fn some(count: usize, percent: u32) -> impl Strategy<Value = Vec<bool>> {
    prop::collection::vec((0..100u32).prop_map(move |roll| roll < percent), count)
}

/// A machine up to 6 x 5 triads in any state.
pub fn models() -> impl Strategy<Value = Model> {
    models_of((1..=6u32, 1..=5u32))
}

/// A machine with columns of more than one word, or with strips of columns, in any state.
fn long_models() -> impl Strategy<Value = Model> {
    prop_oneof![models_of((1..=2u32, 60..=70u32)), models_of((15..=34u32, 1..=3u32))]
}

/// A machine of one of these sizes in any state.
fn models_of(sizes: impl Strategy<Value = (u32, u32)>) -> impl Strategy<Value = Model> {
    let shares = (share(), share(), share(), share());
    let states = (sizes, shares).prop_flat_map(|((width, height), (dead, links, out, taken))| {
        let boards = (width * height * 3) as usize;
        let states = (some(boards, dead), some(boards * 6, links), some(boards, out), some(boards, taken));
        (Just(Model::new(width, height)), states)
    });
    states.prop_map(|(mut model, (dead, links, out, taken))| {
        let chosen = |flags: &[bool]| {
            model.all_boards().zip(flags.to_vec()).filter(|(_, set)| *set).map(|(board, _)| board).collect()
        };
        (model.dead, model.out, model.taken) = (chosen(&dead), chosen(&out), chosen(&taken));
        let kinds = model.all_boards().flat_map(|board| Link::ALL.map(|link| (board, link)));
        model.dead_links = kinds.zip(links).filter(|(_, dead)| *dead).map(|(link, _)| link).collect();
        model
    })
}

/// Any request that a small machine may see.
pub fn requests() -> impl Strategy<Value = Request> {
    let size = prop_oneof![
        1 => Just(Size::Board),
        4 => (0..95u32).prop_map(Size::Count),
        6 => (0..=6u32, 0..=6u32).prop_map(|(width, height)| Size::Triads { width, height }),
        1 => prop::collection::vec((0..100u32).prop_map(BoardIndex), 0..=2).prop_map(Size::Named),
    ];
    let ratio = prop_oneof![Just(0.0), Just(0.333), Just(0.5), Just(0.75), Just(1.0), Just(1.5), Just(-1.0)];
    let limit = || prop_oneof![2 => Just(None), 2 => Just(Some(0)), 3 => (0..6u32).prop_map(Some)];
    (size, ratio, limit(), limit(), prop::bool::weighted(0.1)).prop_map(
        |(size, min_ratio, max_dead_boards, max_dead_links, require_torus)| Request {
            size,
            min_ratio,
            max_dead_boards,
            max_dead_links,
            require_torus,
        },
    )
}

/// Any request for a machine of this size, with a part of its width and height or of its boards in percent.
fn scaled(torus: Torus, request: Request, (width, height): (u32, u32)) -> Request {
    let part = |whole: u32, percent: u32| (whole * percent).div_ceil(100);
    let size = match request.size {
        Size::Triads { .. } => {
            Size::Triads { width: part(torus.width, width), height: part(torus.height, height) }
        }
        Size::Count(_) => Size::Count(part(torus.board_count(), width * height / 100)),
        size => size,
    };
    Request { size, ..request }
}

/// A hold somewhere on a machine: on a rectangle, or on a lone board.
fn add_hold(model: &mut Model, corner: (Index, Index), lone: bool) -> Hold {
    let Torus { width, height } = model.torus;
    let (x, y) = (corner.0.index(width as usize) as u32, corner.1.index(height as usize) as u32);
    if lone {
        let board = Triad::new(x, y, (x + y) % 3);
        model.held.insert(board);
        model.closed.insert(Triad { z: 0, ..board });
        return Hold::on_boards(vec![model.torus.index(board)]);
    }
    let region = Region { x, y, width: (width - x).min(2), height: (height - y).min(3) };
    for board in model.all_boards().filter(|board| region.covers(*board)) {
        model.held.insert(board);
        model.closed.insert(Triad { z: 0, ..board });
    }
    let boards = model.reach(region).into_iter().map(|board| model.torus.index(board)).collect();
    Hold::on_region(model.torus, region, boards)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_place_is_found_when_there_is_one(
        mut model in models(),
        requests in prop::collection::vec(requests(), 12),
        holds in prop::collection::vec(((any::<Index>(), any::<Index>()), any::<bool>()), 0..3),
    ) {
        let machine = model.build();
        let holds: Vec<Hold> = holds.into_iter().map(|(at, lone)| add_hold(&mut model, at, lone)).collect();
        let holds: Vec<&Hold> = holds.iter().collect();
        for request in requests {
            let placement = machine.find(&request, &holds);
            prop_assert_eq!(placement.is_some(), model.has_place(&request), "{:?}", request);
            if let Some(placement) = &placement {
                model.check_grant(&request, &placement.boards, placement.region);
            }
            prop_assert_eq!(placement, machine.find(&request, &holds));
        }
    }

    #[test]
    fn possible_is_what_an_idle_machine_grants(model in models(), requests in prop::collection::vec(requests(), 12)) {
        let machine = model.build();
        let idle = model.idle();
        for request in requests {
            let possible = machine.possible(&request);
            prop_assert_eq!(possible.is_ok(), idle.has_place(&request), "{:?} {:?}", request, possible);
            prop_assert!(possible.is_ok() || !model.possible_for_the_reference(&request), "{:?}", request);
            prop_assert_eq!(idle.build().find(&request, &[]).is_some(), possible.is_ok());
            if let Err(why) = possible {
                prop_assert!(!why.to_string().is_empty());
            }
        }
    }

    #[test]
    fn a_hold_is_the_place_that_is_back_first(
        model in models(),
        requests in prop::collection::vec(requests(), 6),
        untils in prop::collection::vec(prop_oneof![1 => Just(u64::MAX), 6 => 1..20u64], 90),
    ) {
        let machine = model.build();
        let until = |board: BoardIndex| untils[board.0 as usize];
        for request in requests {
            let hold = machine.hold(&request, &until);
            let best = best_wait(&model, &request, &until);
            prop_assert_eq!(hold.is_some(), best.is_some(), "{:?}", request);
            let (Some(hold), Some(best)) = (hold, best) else { continue };
            prop_assert!(costs_of(&model, &hold, &until).contains(&best), "{:?} {:?} {:?}", request, hold, best);
            let mut later = model.clone();
            later.taken.retain(|board| !hold.contains(model.torus.index(*board)));
            later.out.retain(|board| !hold.boards().any(|held| held == model.torus.index(*board)));
            prop_assert!(later.build().find(&request, &[]).is_some());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn long_machines_are_searched_as_well(
        mut model in long_models(),
        requests in prop::collection::vec((requests(), (1..=100u32, 1..=100u32)), 4),
        (corner, lone) in ((any::<Index>(), any::<Index>()), any::<bool>()),
    ) {
        let machine = model.build();
        let unheld = model.clone();
        let hold = add_hold(&mut model, corner, lone);
        for (request, parts) in requests {
            let request = scaled(model.torus, request, parts);
            for (model, holds) in [(&unheld, &[][..]), (&model, &[&hold])] {
                let placement = machine.find(&request, holds);
                prop_assert_eq!(placement.is_some(), model.has_place(&request), "{:?}", request);
                if let Some(placement) = placement {
                    model.check_grant(&request, &placement.boards, placement.region);
                }
            }
            prop_assert_eq!(machine.possible(&request).is_ok(), model.idle().has_place(&request), "{:?}", request);
        }
    }
}

/// Latest, unknown, not free now.
type Cost = (u64, usize, usize);

/// The cost of waiting for some boards.
fn cost(model: &Model, boards: impl Iterator<Item = Triad>, until: &dyn Fn(BoardIndex) -> u64) -> Cost {
    let waits: Vec<u64> = boards.map(|board| until(model.torus.index(board))).collect();
    let unknown = waits.iter().filter(|until| **until == u64::MAX).count();
    (waits.iter().max().copied().unwrap_or(0), unknown, waits.len())
}

/// What a hold may cost: its lent boards, with and without those that are out of service.
fn costs_of(model: &Model, hold: &Hold, until: &dyn Fn(BoardIndex) -> u64) -> [Cost; 2] {
    let covered = |board: &Triad| hold.contains(model.torus.index(*board));
    let lent = |board: &Triad| covered(board) && model.taken.contains(board);
    let late = |board: &Triad| covered(board) && model.out.contains(board) && !model.dead.contains(board);
    let all = |wanted: &dyn Fn(&Triad) -> bool| cost(model, model.all_boards().filter(wanted), until);
    [all(&lent), all(&|board: &Triad| lent(board) || late(board))]
}

/// The least cost of all places, by trying them.
fn best_wait(model: &Model, request: &Request, until: &dyn Fn(BoardIndex) -> u64) -> Option<Cost> {
    let alive = |board: &Triad| !model.dead.contains(board);
    let alone = |board: Triad| cost(model, Some(board).filter(|b| !model.is_free(*b)).into_iter(), until);
    match &request.size {
        Size::Count(0) => None,
        Size::Board | Size::Count(1) | Size::Named(_) if !model.idle().has_place(request) => None,
        Size::Board | Size::Count(1) => model.all_boards().filter(alive).map(alone).min(),
        Size::Named(names) => Some(alone(model.torus.triad(names[0]))),
        _ => {
            let all_serve = Model { out: Default::default(), ..model.clone() };
            let regions = model.sizes(request).into_iter().flat_map(|(w, h)| model.regions(w, h));
            let costs = regions.flat_map(|region| {
                let lent = |board: &Triad| region.covers(*board) && model.taken.contains(board);
                let late = |board: &Triad| {
                    lent(board) || region.covers(*board) && alive(board) && model.out.contains(board)
                };
                let as_dead =
                    model.meets(region, request).then(|| cost(model, model.all_boards().filter(lent), until));
                let as_late = all_serve
                    .meets(region, request)
                    .then(|| cost(model, model.all_boards().filter(late), until));
                [as_dead, as_late]
            });
            costs.flatten().min()
        }
    }
}

#[test]
fn machines_that_cannot_be_are_refused() {
    for (width, height) in [(0, 1), (1, 0), (1 << 14, 1 << 14), (u32::MAX, u32::MAX), (1, (1 << 14) + 1)] {
        assert!(Triads::new(width, height, &[], &[]).is_err());
    }
    let outside = Triad::new(0, 2, 0);
    assert!(Triads::new(4, 2, &[outside], &[]).unwrap_err().to_string().contains("(0, 2, 0)"));
    assert!(Triads::new(4, 2, &[], &[(outside, Link::East)]).is_err());
    assert!(Triads::new(4, 2, &[Triad::new(0, 0, 3)], &[]).is_err());
}
