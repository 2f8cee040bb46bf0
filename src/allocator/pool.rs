//! Plain boards without neighbours: any free one is as good as another, so the wear is spread.
//!
//! Free boards stand in a queue; a board that comes back joins its end.

use std::collections::BTreeSet;

use super::request::{Impossible, Placement, Request, Size};
use super::{BoardIndex, Hold};

/// A pool of boards, known by their position in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pool {
    /// The boards, by position.
    boards: Vec<Slot>,
    /// The free boards, longest idle first.
    idle: BTreeSet<(u64, BoardIndex)>,
    /// How many boards are not dead.
    alive: u32,
    /// The number the next board to come back gets.
    next_return: u64,
}

/// What is known of one board.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Slot {
    /// When it was last given back, as a running number; 0 for never.
    returned: u64,
    /// It is lent.
    taken: bool,
    /// It is dead.
    dead: bool,
    /// It is out of service.
    out_of_service: bool,
}

impl Slot {
    /// Whether it can be lent now.
    fn is_free(self) -> bool {
        !self.taken && !self.dead && !self.out_of_service
    }
}

impl Pool {
    /// A pool of so many boards, all free.
    pub fn new(count: u32) -> Pool {
        let idle = (0..count).map(|at| (0, BoardIndex(at))).collect();
        Pool { boards: vec![Slot::default(); count as usize], idle, alive: count, next_return: 1 }
    }

    /// How many boards the pool has, dead ones too.
    pub fn board_count(&self) -> u32 {
        self.boards.len() as u32
    }

    /// How many boards can be lent now.
    pub fn free_count(&self) -> u32 {
        self.idle.len() as u32
    }

    /// Whether the request can be met once every board is back.
    pub fn possible(&self, request: &Request) -> Result<(), Impossible> {
        if request.require_torus {
            return Err(Impossible::TorusOfBoards);
        }
        match &request.size {
            Size::Triads { .. } => Err(Impossible::TriadsOfPool),
            Size::Named(names) if names.is_empty() => Err(Impossible::Nothing),
            Size::Named(names) => names.iter().try_for_each(|name| self.named_possible(*name)),
            Size::AnyOf(boards) => self.any_possible(boards),
            Size::Board => self.count_possible(1),
            Size::Count(0) => Err(Impossible::Nothing),
            Size::Count(count) => self.count_possible(*count),
        }
    }

    /// The free boards that are clear of all holds, longest idle first.
    pub fn idle_boards(&self, holds: &[&Hold]) -> impl Iterator<Item = BoardIndex> {
        let held = |board: &BoardIndex| holds.iter().any(|hold| hold.contains(*board));
        self.idle.iter().map(|(_, board)| *board).filter(move |board| !held(board))
    }

    /// Boards that meet the request now: named ones, or those longest idle.
    pub fn find(&self, request: &Request, holds: &[&Hold]) -> Option<Placement> {
        self.possible(request).ok()?;
        let held = |board: BoardIndex| holds.iter().any(|hold| hold.contains(board));
        let mut boards: Vec<BoardIndex> = match &request.size {
            Size::Named(names) => {
                let all_free = names.iter().all(|name| self.is_free(*name) && !held(*name));
                all_free.then(|| names.clone())?
            }
            Size::AnyOf(boards) => {
                let free = boards.iter().filter(|board| self.is_free(**board) && !held(**board));
                vec![*free.min_by_key(|board| (self.slot(**board).returned, **board))?]
            }
            size => {
                let count = wanted(size) as usize;
                let boards: Vec<_> = self.idle_boards(holds).take(count).collect();
                (boards.len() == count).then_some(boards)?
            }
        };
        boards.sort_unstable();
        boards.dedup();
        Some(Placement { boards, region: None })
    }

    /// The boards that the request would get the earliest.
    pub fn hold(&self, request: &Request, until: &dyn Fn(BoardIndex) -> u64) -> Option<Hold> {
        self.possible(request).ok()?;
        let mut boards: Vec<BoardIndex> = match &request.size {
            Size::Named(names) => names.clone(),
            Size::AnyOf(boards) => {
                let known = boards.iter().filter(|board| board.0 < self.board_count());
                let alive = known.filter(|board| !self.is_dead(**board));
                vec![*alive.min_by_key(|board| self.wait(**board, until))?]
            }
            size => {
                let count = wanted(size) as usize;
                let alive = (0..self.board_count()).map(BoardIndex).filter(|board| !self.is_dead(*board));
                let mut waits: Vec<_> = alive.map(|board| self.wait(board, until)).collect();
                if waits.len() > count {
                    waits.select_nth_unstable(count);
                }
                waits.into_iter().take(count).map(|(_, _, _, board)| board).collect()
            }
        };
        boards.sort_unstable();
        boards.dedup();
        Some(Hold::on_boards(boards))
    }

    /// How long a board is to be waited for, to be compared with others; of those that are alike, the longest idle comes first.
    fn wait(&self, board: BoardIndex, until: &dyn Fn(BoardIndex) -> u64) -> (u64, bool, u64, BoardIndex) {
        let free = self.is_free(board);
        (if free { 0 } else { until(board) }, !free, self.slot(board).returned, board)
    }

    /// Marks boards as lent.
    pub fn take(&mut self, boards: &[BoardIndex]) {
        for board in boards {
            debug_assert!(!self.slot(*board).taken, "board {} is taken twice", board.0);
            self.change(*board, |slot| slot.taken = true);
        }
    }

    /// Marks boards as back; they join the end of the queue in this order.
    pub fn give_back(&mut self, boards: &[BoardIndex]) {
        for board in boards {
            debug_assert!(self.slot(*board).taken, "board {} is given back twice", board.0);
            let returned = self.next_return;
            self.next_return += 1;
            self.change(*board, |slot| (slot.taken, slot.returned) = (false, returned));
        }
    }

    /// All boards, longest idle first; those that are lent stand where they stood before.
    pub fn order(&self) -> Vec<BoardIndex> {
        let mut order: Vec<_> = (0..self.board_count()).map(BoardIndex).collect();
        order.sort_by_key(|board| self.boards[board.0 as usize].returned);
        order
    }

    /// Puts boards behind all others, in this order, as if they had just come back.
    pub fn put_last(&mut self, boards: &[BoardIndex]) {
        for board in boards {
            let returned = self.next_return;
            self.next_return += 1;
            self.change(*board, |slot| slot.returned = returned);
        }
    }

    /// Takes a board out of service, or back into it.
    pub fn set_out_of_service(&mut self, board: BoardIndex, out: bool) {
        self.change(board, |slot| slot.out_of_service = out);
    }

    /// Declares a board dead, or alive.
    pub fn set_dead(&mut self, board: BoardIndex, dead: bool) {
        let before = self.slot(board).dead;
        self.change(board, |slot| slot.dead = dead);
        if (board.0 as usize) < self.boards.len() {
            self.alive = self.alive + u32::from(before) - u32::from(dead);
        }
    }

    /// Whether a board can be lent now.
    pub fn is_free(&self, board: BoardIndex) -> bool {
        (board.0 as usize) < self.boards.len() && self.slot(board).is_free()
    }

    /// Whether a board is dead.
    pub fn is_dead(&self, board: BoardIndex) -> bool {
        self.slot(board).dead
    }

    /// What is known of a board; of one the pool has not, that it is as new.
    fn slot(&self, board: BoardIndex) -> Slot {
        self.boards.get(board.0 as usize).copied().unwrap_or_default()
    }

    /// Changes a board and its place in the queue.
    fn change(&mut self, board: BoardIndex, change: impl FnOnce(&mut Slot)) {
        let Some(slot) = self.boards.get_mut(board.0 as usize) else { return };
        self.idle.remove(&(slot.returned, board));
        change(slot);
        if slot.is_free() {
            self.idle.insert((slot.returned, board));
        }
    }

    /// Whether a named board can ever be lent.
    fn named_possible(&self, board: BoardIndex) -> Result<(), Impossible> {
        match self.boards.get(board.0 as usize) {
            None => Err(Impossible::NamedUnknown(board)),
            Some(slot) if slot.dead => Err(Impossible::NamedDead(board)),
            Some(_) => Ok(()),
        }
    }

    /// Whether one of these boards can ever be lent.
    fn any_possible(&self, boards: &[BoardIndex]) -> Result<(), Impossible> {
        let mut first = None;
        for board in boards {
            match self.named_possible(*board) {
                Ok(()) => return Ok(()),
                Err(why) => first = first.or(Some(why)),
            }
        }
        Err(first.unwrap_or(Impossible::Nothing))
    }

    /// Whether so many boards are alive.
    fn count_possible(&self, asked: u32) -> Result<(), Impossible> {
        if asked > self.board_count() {
            return Err(Impossible::Count { asked, boards: self.board_count() });
        }
        let alive = self.alive;
        if asked > alive { Err(Impossible::Alive { asked, alive }) } else { Ok(()) }
    }
}

/// How many boards a size that names none asks for.
fn wanted(size: &Size) -> u32 {
    match size {
        Size::Count(count) => *count,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boards(numbers: &[u32]) -> Vec<BoardIndex> {
        numbers.iter().copied().map(BoardIndex).collect()
    }

    #[test]
    fn any_of_some_boards_is_the_one_longest_idle_and_else_the_first_to_come_back() {
        let mut pool = Pool::new(5);
        pool.take(&boards(&[0, 1, 2]));
        pool.give_back(&boards(&[1]));
        let any_of = |numbers: &[u32]| Request::of(Size::AnyOf(boards(numbers)));
        let found = |pool: &Pool, numbers: &[u32], holds: &[&Hold]| {
            pool.find(&any_of(numbers), holds).map(|placement| placement.boards[0].0)
        };
        assert_eq!(found(&pool, &[0, 1, 4], &[]), Some(4));
        assert_eq!(found(&pool, &[0, 1], &[]), Some(1));
        assert_eq!(found(&pool, &[0, 1], &[&Hold::on_boards(boards(&[1]))]), None);
        assert_eq!(found(&pool, &[0, 2], &[]), None);
        let held = |numbers: &[u32]| {
            let until = |board: BoardIndex| 10 - u64::from(board.0);
            pool.hold(&any_of(numbers), &until).map(|hold| hold.boards().collect::<Vec<_>>())
        };
        assert_eq!(held(&[0, 2]), Some(boards(&[2])));
        assert_eq!(held(&[0, 1, 2]), Some(boards(&[1])));
        assert_eq!((held(&[]), held(&[9])), (None, None));
        pool.set_dead(BoardIndex(0), true);
        assert_eq!(pool.possible(&any_of(&[0])), Err(Impossible::NamedDead(BoardIndex(0))));
        assert_eq!(pool.possible(&any_of(&[9, 2])), Ok(()));
        assert_eq!(pool.possible(&any_of(&[])), Err(Impossible::Nothing));
    }

    #[test]
    fn a_pool_that_is_put_in_order_lends_as_one_that_wore_so() {
        let mut worn = Pool::new(5);
        worn.take(&boards(&[0, 1, 2, 3]));
        worn.give_back(&boards(&[3]));
        worn.give_back(&boards(&[1]));
        let order = worn.order();
        assert_eq!(order, boards(&[0, 2, 4, 3, 1]));
        let mut made = Pool::new(5);
        made.put_last(&order);
        made.take(&boards(&[0, 2]));
        let request = Request::of(Size::Count(2));
        assert_eq!(made.find(&request, &[]), worn.find(&request, &[]));
        for pool in [&mut worn, &mut made] {
            pool.give_back(&boards(&[2]));
        }
        assert_eq!((made.order(), made.free_count()), (worn.order(), worn.free_count()));
    }
}
