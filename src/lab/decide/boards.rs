//! What people say of boards, and what hardware answers.

use super::{Decision, board_ref, require, require_short};
use crate::allocator::BoardIndex;
use crate::clock::Moment;
use crate::lab::board::{BOARD_NAME_CHARS_MAX, BoardState, Note};
use crate::lab::command::Caller;
use crate::lab::effect::Action;
use crate::lab::fact::{BoardRef, Event, Grant, MachineName, Mark, OrderId};
use crate::lab::job::JOB_TEXT_BYTES_MAX;
use crate::lab::refusal::Refusal;
use crate::lab::view::BoardAddress;
use crate::lab::{Lab, Outstanding, Purpose};
use crate::user::Role;
use std::collections::BTreeSet;
use std::sync::Arc;

impl Lab {
    pub(super) fn report_board(
        &self,
        caller: &Caller,
        address: &BoardAddress,
        reason: &Arc<str>,
    ) -> Decision {
        require_short("reason", reason)?;
        let (machine, board) = self.find_board(address)?;
        let holds = self.holder(machine, board).is_some_and(|job| caller.may_act_on(&job.spec));
        if !holds && caller.role < Role::Operator {
            return Err(Refusal::NeedsRole("only the holder of a board or an operator may report it"));
        }
        let by = caller.user.as_str().into();
        Ok(vec![Event::BoardReported { board: board_ref(machine, board), by, reason: reason.clone() }])
    }

    pub(super) fn mark_board(
        &self,
        caller: &Caller,
        address: &BoardAddress,
        mark: Mark,
        reason: &Arc<str>,
    ) -> Decision {
        require(caller, Role::Operator, "only an operator may set the state of a board")?;
        require_short("reason", reason)?;
        let (machine, board) = self.find_board(address)?;
        let state = machine.state(board);
        let by = caller.user.as_str().into();
        let at = board_ref(machine, board);
        if state.is_held() || (mark == Mark::Free && state == BoardState::Free) {
            return Ok(vec![Event::BoardMarked { board: at, mark, by, reason: reason.clone() }]);
        }
        if state == BoardState::Offline && mark == Mark::Free {
            return Err(Refusal::BoardState("the board is offline; it comes back with its agent".to_owned()));
        }
        Ok(vec![Event::BoardSet { board: at, mark, by, reason: reason.clone() }])
    }

    pub(super) fn name_board(&self, caller: &Caller, address: &BoardAddress, name: &Arc<str>) -> Decision {
        require(caller, Role::Operator, "only an operator may name a board")?;
        if name.chars().count() > BOARD_NAME_CHARS_MAX || name.chars().any(char::is_control) {
            let what = format!("a name has at most {BOARD_NAME_CHARS_MAX} characters, no control characters");
            return Err(Refusal::BadArgument(what));
        }
        let (machine, board) = self.find_board(address)?;
        let news = *machine.board(board).called != **name;
        let named = news.then(|| Event::BoardNamed { board: board_ref(machine, board), name: name.clone() });
        Ok(named.into_iter().collect())
    }

    pub(super) fn retest_board(&self, caller: &Caller, address: &BoardAddress) -> Decision {
        require(caller, Role::Operator, "only an operator may have a board tested")?;
        let (machine, board) = self.find_board(address)?;
        match machine.board(board).trouble {
            Some(trouble) if trouble.testing.is_none() => Ok(vec![self.tested(board_ref(machine, board))]),
            Some(_) => Err(Refusal::BoardState("the board is being tested already".to_owned())),
            None => {
                let state = machine.state(board).word();
                Err(Refusal::BoardState(format!(
                    "only a quarantined board can be tested; this one is {state}"
                )))
            }
        }
    }

    /// The test of a board, under a grant number of its own.
    pub(in crate::lab) fn tested(&self, board: BoardRef) -> Event {
        Event::BoardTested { board, order: OrderId { grant: Grant(self.last_grant.0 + 1), step: 0 } }
    }

    /// What an answer of hardware comes to. Answers to orders that are over or overtaken change nothing.
    pub(super) fn answer_order(
        &self,
        now: Moment,
        order: OrderId,
        obeyed: &[BoardIndex],
        failed: &[(BoardIndex, Arc<str>)],
    ) -> Vec<Event> {
        let Some(open) = self.orders.get(&order) else { return Vec::new() };
        let is_open =
            |board: &BoardIndex| open.boards.binary_search(board).is_ok() && !open.answered.contains(board);
        let failed: Vec<_> = failed.iter().filter(|(board, _)| is_open(board)).cloned().collect();
        let ill: BTreeSet<_> = failed.iter().map(|(board, _)| *board).collect();
        let obeyed: BTreeSet<_> =
            obeyed.iter().filter(|board| is_open(board) && !ill.contains(board)).copied().collect();
        let obeyed: Vec<_> = obeyed.into_iter().collect();
        if obeyed.is_empty() && failed.is_empty() {
            return Vec::new();
        }
        let failed: Vec<_> = failed.into_iter().map(|(board, why)| (board, shortened(why))).collect();
        self.heard(now, order, open, obeyed, failed)
    }

    /// What news of some boards comes to, by what the order was for.
    fn heard(
        &self,
        now: Moment,
        order: OrderId,
        open: &Outstanding,
        obeyed: Vec<BoardIndex>,
        failed: Vec<(BoardIndex, Arc<str>)>,
    ) -> Vec<Event> {
        let all_well = failed.is_empty() && open.failed.is_empty();
        let complete = open.answered.len() + obeyed.len() == open.boards.len();
        match (&open.purpose, obeyed.first()) {
            (Purpose::Switch { job, action }, _) if all_well && complete => {
                let power = matches!(action, Action::Prepare { .. });
                vec![Event::JobReady { job: *job, order, power }]
            }
            (Purpose::Test, Some(board)) if all_well => vec![self.test_passed(&open.machine, *board)],
            (Purpose::Clean { .. }, Some(_)) => {
                let clean = self.cleaned(now, order, &open.machine, obeyed);
                let any_ill = !failed.is_empty();
                let ill = any_ill.then(|| Event::OrderAnswered { order, obeyed: Vec::new(), failed });
                std::iter::once(clean).chain(ill).collect()
            }
            _ => vec![Event::OrderAnswered { order, obeyed, failed }],
        }
    }

    /// A quarantined board works again: it is free, unless an operator marked it while it was lent.
    fn test_passed(&self, machine: &MachineName, board: BoardIndex) -> Event {
        let passed = || Note { mark: Mark::Free, by: "/retest".into(), reason: "passed its test".into() };
        let marked = self.machine(machine).and_then(|machine| machine.board(board).mark.cloned());
        let Note { mark, by, reason } = marked.unwrap_or_else(passed);
        let board = BoardRef { machine: machine.clone(), board };
        Event::BoardSet { board, mark, by, reason }
    }

    fn cleaned(&self, now: Moment, order: OrderId, machine: &MachineName, boards: Vec<BoardIndex>) -> Event {
        let settle_ms = self.machine(machine).map_or(0, |machine| machine.spec.settle_ms);
        Event::BoardsCleaned { order, machine: machine.clone(), boards, free_at: now.plus_ms(settle_ms) }
    }
}

/// The words of hardware, cut where they are longer than a text may be.
fn shortened(text: Arc<str>) -> Arc<str> {
    if text.len() <= JOB_TEXT_BYTES_MAX {
        return text;
    }
    let end = (0..=JOB_TEXT_BYTES_MAX).rev().find(|at| text.is_char_boundary(*at));
    text[..end.unwrap_or(0)].into()
}
