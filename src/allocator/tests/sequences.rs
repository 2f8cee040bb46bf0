//! Streams of takes, returns and faults: the books stay equal to books written anew, and find to the oracle.

use proptest::prelude::*;
use proptest::sample::Index;

use super::model::Model;
use super::properties::{models, requests};
use crate::allocator::{Allocator, BoardIndex, Hold, Impossible, Pool, Request, Size};

/// One step of a stream.
#[derive(Clone, Debug)]
enum Step {
    Ask(Request),
    GiveBack(Index),
    SetOut(Index, bool),
    SetDead(Index, bool),
}

fn steps() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => requests().prop_map(Step::Ask),
        4 => any::<Index>().prop_map(Step::GiveBack),
        1 => (any::<Index>(), any::<bool>()).prop_map(|(at, set)| Step::SetOut(at, set)),
        1 => (any::<Index>(), any::<bool>()).prop_map(|(at, set)| Step::SetDead(at, set)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 120, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn books_stay_true(start in models(), steps in prop::collection::vec(steps(), 40)) {
        let mut model = Model { taken: Default::default(), ..start };
        let mut machine = model.build();
        let mut grants: Vec<Vec<BoardIndex>> = Vec::new();
        for step in steps {
            let count = machine.board_count() as usize;
            match step {
                Step::Ask(request) => {
                    let placement = machine.find(&request, &[]);
                    prop_assert_eq!(placement.is_some(), model.has_place(&request), "{:?}", request);
                    if let Some(placement) = placement {
                        model.check_grant(&request, &placement.boards, placement.region);
                        machine.take(&placement.boards);
                        model.taken.extend(placement.boards.iter().map(|board| model.torus.triad(*board)));
                        grants.push(placement.boards);
                    }
                }
                Step::GiveBack(_) if grants.is_empty() => {}
                Step::GiveBack(at) => {
                    let mut boards = grants.swap_remove(at.index(grants.len()));
                    boards.reverse();
                    machine.give_back(&boards);
                    boards.iter().for_each(|board| { model.taken.remove(&model.torus.triad(*board)); });
                }
                Step::SetOut(at, set) => {
                    let board = BoardIndex(at.index(count) as u32);
                    machine.set_out_of_service(board, set);
                    let at = model.torus.triad(board);
                    if set { model.out.insert(at) } else { model.out.remove(&at) };
                }
                Step::SetDead(at, set) => {
                    let board = BoardIndex(at.index(count) as u32);
                    machine.set_dead(board, set);
                    let at = model.torus.triad(board);
                    if set { model.dead.insert(at) } else { model.dead.remove(&at) };
                }
            }
            let free = model.all_boards().filter(|board| model.is_free(*board)).count();
            prop_assert_eq!(machine.free_count() as usize, free);
            for board in model.all_boards() {
                let index = model.torus.index(board);
                prop_assert_eq!(machine.is_free(index), model.is_free(board));
                prop_assert_eq!(machine.is_dead(index), model.dead.contains(&board));
            }
            prop_assert_eq!(&machine, &model.build());
        }
    }
}

#[test]
fn a_full_machine_has_no_place() {
    let mut machine = Allocator::Triads(Model::new(4, 2).build());
    let all = machine.find(&Request::of(Size::Triads { width: 4, height: 2 }), &[]).unwrap();
    machine.take(&all.boards);
    assert_eq!((machine.free_count(), machine.board_count()), (0, 24));
    assert_eq!(machine.find(&Request::default(), &[]), None);
    machine.give_back(&all.boards[..1]);
    assert_eq!(machine.find(&Request::default(), &[]).unwrap().boards, all.boards[..1]);
}

#[test]
#[should_panic(expected = "taken twice")]
#[cfg(debug_assertions)]
fn a_board_is_not_taken_twice() {
    let mut machine = Model::new(1, 1).build();
    machine.take(&[BoardIndex(1)]);
    machine.take(&[BoardIndex(0), BoardIndex(1)]);
}

#[test]
fn single_boards_share_broken_triads() {
    let mut machine = Model::new(4, 4).build();
    let mut boards = Vec::new();
    for _ in 0..12 {
        let placement = machine.find(&Request::default(), &[]).unwrap();
        assert_eq!((placement.boards.len(), placement.region), (1, None));
        machine.take(&placement.boards);
        boards.extend(placement.boards);
    }
    assert!(machine.find(&Request::of(Size::Triads { width: 3, height: 4 }), &[]).is_some(), "{boards:?}");
    machine.give_back(&boards[4..6]);
    let first = machine.find(&Request::default(), &[]).unwrap();
    assert!(boards[4..6].contains(&first.boards[0]));
}

#[test]
fn pools_lend_what_was_idle_longest() {
    let mut pool = Allocator::Pool(Pool::new(4));
    let one = Request::default();
    let next = |pool: &Allocator| pool.find(&Request::default(), &[]).map(|placement| placement.boards[0].0);
    for expected in 0..4 {
        assert_eq!(next(&pool), Some(expected));
        pool.take(&[BoardIndex(expected)]);
    }
    assert_eq!((next(&pool), pool.free_count()), (None, 0));
    pool.give_back(&[BoardIndex(2), BoardIndex(0)]);
    assert_eq!(next(&pool), Some(2));
    pool.set_out_of_service(BoardIndex(2), true);
    assert_eq!((next(&pool), pool.free_count()), (Some(0), 1));
    assert!(pool.possible(&Request::of(Size::Count(4))).is_ok());
    pool.set_dead(BoardIndex(2), true);
    assert_eq!(pool.possible(&Request::of(Size::Count(4))), Err(Impossible::Alive { asked: 4, alive: 3 }));
    assert_eq!(pool.possible(&Request::of(Size::Count(5))), Err(Impossible::Count { asked: 5, boards: 4 }));
    pool.set_dead(BoardIndex(2), false);
    pool.set_out_of_service(BoardIndex(2), false);
    pool.give_back(&[BoardIndex(1)]);
    let three = pool.find(&Request::of(Size::Count(3)), &[]).unwrap();
    assert_eq!(three.boards, [0, 1, 2].map(BoardIndex));
    let hold = Hold::on_boards(vec![BoardIndex(2)]);
    assert_eq!(pool.find(&one, &[&hold]).unwrap().boards, [BoardIndex(0)]);
    assert_eq!(pool.find(&Request::of(Size::Count(3)), &[&hold]), None);
}

#[test]
fn pools_lend_named_boards_and_no_triads() {
    let mut pool = Pool::new(3);
    let named = |names: &[u32]| Request::of(Size::Named(names.iter().copied().map(BoardIndex).collect()));
    assert_eq!(pool.find(&named(&[2, 0]), &[]).unwrap().boards, [BoardIndex(0), BoardIndex(2)]);
    pool.take(&[BoardIndex(2)]);
    assert_eq!(pool.find(&named(&[2, 0]), &[]), None);
    assert!(pool.possible(&named(&[2, 0])).is_ok());
    assert_eq!(pool.possible(&named(&[3])), Err(Impossible::NamedUnknown(BoardIndex(3))));
    assert_eq!(pool.possible(&named(&[])), Err(Impossible::Nothing));
    let triads = Request::of(Size::Triads { width: 1, height: 1 });
    assert_eq!(pool.possible(&triads), Err(Impossible::TriadsOfPool));
    assert_eq!(pool.find(&triads, &[]), None);
    let torus = Request { require_torus: true, ..Request::default() };
    assert_eq!(pool.possible(&torus), Err(Impossible::TorusOfBoards));
}

#[test]
fn pools_hold_the_boards_that_are_back_first() {
    let mut pool = Pool::new(4);
    pool.take(&[0, 1, 2].map(BoardIndex));
    let until = |board: BoardIndex| [50, u64::MAX, 20, 0][board.0 as usize];
    let held = |request: &Request| pool.hold(request, &until).map(|hold| hold.boards().collect::<Vec<_>>());
    assert_eq!(held(&Request::of(Size::Count(2))), Some(vec![BoardIndex(2), BoardIndex(3)]));
    assert_eq!(held(&Request::of(Size::Count(4))), Some([0, 1, 2, 3].map(BoardIndex).to_vec()));
    assert_eq!(held(&Request::of(Size::Count(5))), None);
}
