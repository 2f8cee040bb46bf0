//! Random orders against random faults, over many seeds: what must hold whatever happens.

use super::bench::{Bench, TORUS, boot, frame, order, prepare};
use crate::controller::simulated::Chance;
use crate::lab::command::Consult;
use crate::lab::effect::Action;
use crate::lab::fact::OrderId;
use std::collections::{BTreeMap, BTreeSet};

/// What was asked of the boards, as the lab would have it: a board has one grant at a time.
#[derive(Default)]
struct Books {
    /// By order: its boards, and what it was.
    orders: BTreeMap<OrderId, (Vec<u32>, Action)>,
    /// By board: the last order.
    last: BTreeMap<u32, OrderId>,
    grants: u64,
}

fn some_boards(chance: &mut Chance) -> Vec<u32> {
    match chance.number() % 4 {
        0 => (0..3).map(|z| z + 3 * (chance_below(chance, 4))).take(1).collect(),
        1 => {
            let triad = chance_below(chance, 4);
            (0..3).map(|z| 3 * triad + z).collect()
        }
        2 => vec![0, 1, 2, 6, 7, 8],
        _ => vec![chance_below(chance, TORUS.board_count())],
    }
}

fn chance_below(chance: &mut Chance, below: u32) -> u32 {
    (chance.number() % u64::from(below)) as u32
}

fn disturb(bench: &mut Bench, chance: &mut Chance) {
    let board = chance_below(chance, 6);
    let on_ms = [0, 400, 4_000][chance.number() as usize % 3];
    let toy = bench.toys.get_mut(&frame(chance_below(chance, 2))).unwrap();
    match chance.number() % 9 {
        0 => toy.silent = true,
        1 => toy.busy = 3,
        2 => drop(toy.bad.insert(board, 1)),
        3 => drop(toy.bad.insert(board, 99)),
        4 => toy.lost_powers = vec![true],
        5 => toy.lost_powers = vec![false, true],
        6 => toy.on_ms = on_ms,
        7 => drop(toy.sticky.insert(board)),
        _ => (toy.silent, toy.busy) = (false, 0),
    }
}

fn mend(bench: &mut Bench) {
    for toy in bench.toys.values_mut() {
        (toy.silent, toy.busy) = (false, 0);
        toy.lost_powers.clear();
        toy.bad.clear();
    }
}

/// Gives a random order.
fn command(bench: &mut Bench, books: &mut Books, chance: &mut Chance) {
    let boards = some_boards(chance);
    books.grants += 1;
    let action = match chance.number() % 6 {
        0 => Action::PowerOff,
        1 => Action::Clean,
        2 => Action::Test,
        3 => boot(),
        _ => prepare(),
    };
    let order = order(books.grants, 0, action, &boards);
    books.orders.insert(order.id, (boards.clone(), order.action.clone()));
    books.last.extend(boards.iter().map(|board| (*board, order.id)));
    bench.give(&order);
    if chance.number().is_multiple_of(5) {
        bench.give(&order);
    }
}

/// Finishes boots, well or not.
fn finish_boots(bench: &mut Bench, chance: &mut Chance) {
    let numbers: Vec<_> = bench.boots.keys().copied().collect();
    for number in numbers {
        match chance.number() % 3 {
            0 => bench.finish_boot(number, Err("the boot failed")),
            _ => bench.finish_boot(number, Ok(every_chip())),
        }
    }
}

fn every_chip() -> Vec<(u32, u32)> {
    (0..64).flat_map(|x| (0..64).map(move |y| (x, y))).collect()
}

/// What must hold once an outcome is told.
fn check_new(
    bench: &Bench,
    books: &Books,
    seen: &mut usize,
    answered: &mut BTreeSet<(OrderId, u32)>,
    seed: u64,
) {
    for outcome in &bench.outcomes[*seen..] {
        let (boards, action) = &books.orders[&outcome.order];
        let failed = outcome.failed.iter().map(|(board, _)| board);
        for board in outcome.obeyed.iter().chain(failed) {
            assert!(boards.contains(&board.0), "seed {seed}: {board:?} is not of {}", outcome.order);
            assert!(
                answered.insert((outcome.order, board.0)),
                "seed {seed}: {board:?} answered {} twice",
                outcome.order
            );
        }
        for board in outcome.obeyed.iter().filter(|board| books.last[&board.0] == outcome.order) {
            match action {
                Action::Prepare { .. } => assert!(bench.is_parted(board.0, boards), "seed {seed}: {board:?}"),
                // Nobody looks whether a board that is only switched off is off.
                Action::PowerOff | Action::Test if bench.is_sticky(board.0) => {}
                _ => assert!(!bench.is_on(board.0), "seed {seed}: {board:?} is on after {action:?}"),
            }
        }
    }
    *seen = bench.outcomes.len();
}

fn play(seed: u64) {
    let mut chance = Chance::of(&[seed]);
    let (mut bench, mut books) = (Bench::new(), Books::default());
    let (mut seen, mut answered, mut asked) = (0, BTreeSet::new(), Vec::new());
    for _ in 0..150 {
        match chance.number() % 12 {
            0 => disturb(&mut bench, &mut chance),
            1 | 2 => command(&mut bench, &mut books, &mut chance),
            3 => {
                let board = chance_below(&mut chance, 12);
                let what = if chance.number().is_multiple_of(2) {
                    Consult::ReadSensors
                } else {
                    Consult::Identify { on: None }
                };
                asked.push(bench.ask(u64::MAX, board, what, None));
            }
            4 => finish_boots(&mut bench, &mut chance),
            _ => drop(bench.step()),
        }
        bench.poll();
        check_new(&bench, &books, &mut seen, &mut answered, seed);
    }
    mend(&mut bench);
    loop {
        bench.run();
        check_new(&bench, &books, &mut seen, &mut answered, seed);
        if bench.boots.is_empty() {
            break;
        }
        finish_boots(&mut bench, &mut chance);
    }
    let given: BTreeSet<_> = books
        .orders
        .iter()
        .flat_map(|(id, (boards, _))| boards.iter().map(move |board| (*id, *board)))
        .collect();
    assert_eq!(answered, given, "seed {seed}: each board answers each order once");
    assert!(asked.iter().all(|ticket| bench.answers.contains_key(ticket)), "seed {seed}");
}

#[test]
fn whatever_happens_each_board_answers_once_and_is_as_it_said() {
    (0..400).for_each(play);
}
