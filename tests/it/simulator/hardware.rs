//! Hardware that obeys, dawdles, lies, fails and is silent. It keeps its own notes of which order each board saw.

use super::chance::Chance;
use berth::allocator::BoardIndex;
use berth::clock::Moment;
use berth::controller::Outcome;
use berth::lab::effect::Order;
use berth::lab::fact::{Grant, MachineName, OrderId};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What hardware says.
#[derive(Clone)]
struct Answer {
    due: Moment,
    order: OrderId,
    obeyed: Vec<BoardIndex>,
    failed: Vec<(BoardIndex, Arc<str>)>,
}

/// All boards of the world.
pub struct Hardware {
    /// In how many of a hundred orders a board fails, and in how many it says nothing.
    fails: u64,
    silent: u64,
    answers: Vec<Answer>,
    seen: BTreeMap<(MachineName, BoardIndex), Order>,
}

impl Hardware {
    /// Boards of some temper.
    pub fn new(chance: &mut Chance) -> Hardware {
        let (fails, silent) = (chance.one_of(&[0, 1, 3, 12]), chance.one_of(&[0, 0, 1, 4]));
        Hardware { fails, silent, answers: Vec::new(), seen: BTreeMap::new() }
    }

    /// Takes an order and decides on its answers. An order may come twice, an older one must never come.
    pub fn take(&mut self, order: Order, now: Moment, chance: &mut Chance) {
        for board in order.boards.iter() {
            let before = self.seen.insert((order.machine.clone(), *board), order.clone());
            if let Some(before) = before {
                assert!(before.id <= order.id, "{board:?} saw {before:?}, then the older {order:?}");
                assert!(
                    before.id < order.id || before.action == order.action,
                    "{before:?} and {order:?} have one number"
                );
            }
        }
        self.decide(&order, now, chance);
    }

    fn decide(&mut self, order: &Order, now: Moment, chance: &mut Chance) {
        // Mostly soon; sometimes later than anybody waits; some boards never.
        let slow_ms = chance.one_of(&[0, 0, 0, 500, 500, 3000, 40_000]);
        let whole = chance.percent(50);
        let (mut together, mut failed) = (Vec::new(), Vec::new());
        for board in order.boards.iter().copied() {
            match chance.below(100) {
                dice if dice < self.silent => {}
                dice if dice < self.silent + self.fails => failed.push((board, "it smells burnt".into())),
                _ if whole => together.push(board),
                _ => self.promise(order.id, vec![board], Vec::new(), now.plus_ms(chance.within(0, slow_ms))),
            }
        }
        self.promise(order.id, together, failed, now.plus_ms(slow_ms));
        if chance.percent(10) {
            self.repeat(chance);
        }
        if chance.percent(5) {
            self.lie(order, now, chance);
        }
    }

    fn promise(
        &mut self,
        order: OrderId,
        obeyed: Vec<BoardIndex>,
        failed: Vec<(BoardIndex, Arc<str>)>,
        due: Moment,
    ) {
        if !obeyed.is_empty() || !failed.is_empty() {
            self.answers.push(Answer { due, order, obeyed, failed });
        }
    }

    /// Says something twice.
    fn repeat(&mut self, chance: &mut Chance) {
        if let Some(mut again) = chance.pick(&self.answers).cloned() {
            again.due = again.due.plus_ms(chance.below(30_000));
            self.answers.push(again);
        }
    }

    /// Says what makes no sense: of boards nobody asked about, of orders never given, good and bad at once.
    fn lie(&mut self, order: &Order, now: Moment, chance: &mut Chance) {
        let any = BoardIndex(chance.below(40) as u32);
        let grant = Grant(chance.below(order.id.grant.0 + 3));
        let other = OrderId { grant, step: chance.below(3) as u32 };
        let own = order.boards.first().copied().unwrap_or_default();
        let (order, boards) =
            chance.one_of(&[(order.id, (any, own)), (other, (any, any)), (order.id, (own, own))]);
        self.promise(order, vec![boards.0, boards.0], vec![(boards.1, "or not".into())], now);
    }

    /// What is said by now, in an order of chance.
    pub fn speak(&mut self, now: Moment, chance: &mut Chance) -> Option<Outcome> {
        let ready: Vec<_> = (0..self.answers.len()).filter(|at| self.answers[*at].due <= now).collect();
        let Answer { order, obeyed, failed, .. } = self.answers.swap_remove(*chance.pick(&ready)?);
        Some(Outcome { order, obeyed, failed })
    }

    /// When something more is said.
    pub fn speaks_at(&self) -> Option<Moment> {
        self.answers.iter().map(|answer| answer.due).min()
    }

    /// Somebody pulled the plug: nothing that was promised is said.
    pub fn fall_silent(&mut self) {
        self.answers.clear();
    }
}
