//! Agents that come with their boards, and go.

use super::Decision;
use crate::allocator::BoardIndex;
use crate::clock::Moment;
use crate::lab::Lab;
use crate::lab::board::{BoardState, Note};
use crate::lab::fact::{BoardRef, Event, MachineName, Mark};
use crate::lab::job::{Job, JobState};
use crate::lab::machine::{ANNOUNCED_BOARDS_MAX, Machine, is_serial};
use crate::lab::refusal::Refusal;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Why a board that came with its agent is not lent yet.
const JOINED: &str = "its agent came; it is tested before it is lent";

/// Why a board is set aside whose agent wants no new work.
const DRAINED: &str = "its agent wants no new work";

/// Why a board is not lent yet whose agent wants work again.
const WANTED: &str = "its agent wants work again; it is tested before it is lent";

/// Who sets boards aside for their agents; no user's name can be like it.
const DRAIN: &str = "/drain";

impl Lab {
    /// Boards that nobody knows join the pool; they and all that were offline are tested at once.
    pub(super) fn announce_boards(
        &self,
        now: Moment,
        name: &MachineName,
        serials: &Arc<[Arc<str>]>,
    ) -> Decision {
        let machine = self.agents_machine(name)?;
        let new = self.new_boards(machine, serials)?;
        let first = machine.spec.board_count();
        let known = serials.iter().filter_map(|serial| machine.board_with_serial(serial));
        let back = known.filter(|board| machine.state(*board) == BoardState::Offline);
        let came: BTreeSet<_> = back.chain((first..).take(new.len()).map(BoardIndex)).collect();
        let joined =
            (!new.is_empty()).then(|| Event::BoardsAnnounced { machine: name.clone(), serials: new.into() });
        let tested = came.into_iter().map(|board| Event::BoardQuarantined {
            board: BoardRef { machine: name.clone(), board },
            reason: JOINED.into(),
            retest_at: Some(now),
        });
        Ok(joined.into_iter().chain(tested).collect())
    }

    /// The serials that the pool does not have yet, each once; another machine must not have them.
    fn new_boards(&self, machine: &Machine, serials: &[Arc<str>]) -> Result<Vec<Arc<str>>, Refusal> {
        let new: BTreeSet<_> =
            serials.iter().filter(|serial| machine.board_with_serial(serial).is_none()).collect();
        if new.is_empty() {
            return Ok(Vec::new());
        }
        if machine.spec.triads().is_some() {
            let what =
                format!("machine '{}' has no place for boards that it does not know", machine.spec.name);
            return Err(Refusal::BadArgument(what));
        }
        if new.iter().any(|serial| !is_serial(serial)) {
            let what = "a serial has 1 to 64 letters, digits, '.', '_' and '-'";
            return Err(Refusal::BadArgument(what.to_owned()));
        }
        if machine.spec.board_count() as usize + new.len() > ANNOUNCED_BOARDS_MAX {
            let what = format!("machine '{}' has room for {ANNOUNCED_BOARDS_MAX} boards", machine.spec.name);
            return Err(Refusal::BadArgument(what));
        }
        let taken = self.machines.iter().find_map(|other| {
            new.iter().find(|serial| other.board_with_serial(serial).is_some()).map(|serial| (other, serial))
        });
        if let Some((other, serial)) = taken {
            let what = format!("machine '{}' has a board '{serial}' already", other.spec.name);
            return Err(Refusal::BadArgument(what));
        }
        Ok(new.into_iter().cloned().collect())
    }

    /// First the jobs that hold the boards get others or end, then the boards are offline.
    pub(super) fn lose_boards(
        &self,
        name: &MachineName,
        boards: &[BoardIndex],
        reason: &Arc<str>,
    ) -> Decision {
        let machine = self.agents_machine(name)?;
        let there = |board: &BoardIndex| {
            board.0 < machine.spec.board_count()
                && match machine.state(*board) {
                    BoardState::Offline | BoardState::Dead => false,
                    BoardState::Maintenance => machine.note(*board).is_some_and(is_drained),
                    _ => true,
                }
        };
        let lost: BTreeSet<_> = boards.iter().copied().filter(there).collect();
        let mut events = self.bereave(machine, &lost, reason);
        // A board that an operator has in hand stays where it is, and offers nothing all the same.
        let known: BTreeSet<_> = boards.iter().filter(|board| board.0 < machine.spec.board_count()).collect();
        let silent = known.into_iter().filter(|board| !lost.contains(board));
        let silent = silent.filter(|board| !machine.board(**board).offers.is_empty());
        events.extend(silent.map(|board| Event::BoardOffers {
            board: BoardRef { machine: name.clone(), board: *board },
            offers: [].into(),
        }));
        events.extend(lost.iter().map(|board| Event::BoardOffline {
            board: BoardRef { machine: name.clone(), board: *board },
            reason: reason.clone(),
        }));
        Ok(events)
    }

    /// First the jobs that hold the boards get others or end, so that their boards are cleaned, which shows how broken they
    /// are; a board that nobody has is quarantined.
    pub(super) fn break_boards(
        &self,
        now: Moment,
        name: &MachineName,
        boards: &[BoardIndex],
        reason: &Arc<str>,
    ) -> Decision {
        let machine = self.agents_machine(name)?;
        let known = boards.iter().copied().filter(|board| board.0 < machine.spec.board_count());
        let broken: BTreeSet<_> = known.collect();
        let mut events = self.bereave(machine, &broken, reason);
        let free = broken.into_iter().filter(|board| machine.state(*board) == BoardState::Free);
        events.extend(free.map(|board| {
            let board = BoardRef { machine: name.clone(), board };
            let retest_at = self.retest_at(now, &board);
            Event::BoardQuarantined { board, reason: reason.clone(), retest_at }
        }));
        Ok(events)
    }

    /// Boards whose agent wants no new work are set aside once they are free and well; only those come back with the agent's
    /// word, and are tested first.
    pub(super) fn drain_boards(
        &self,
        now: Moment,
        name: &MachineName,
        boards: &[BoardIndex],
        draining: bool,
    ) -> Decision {
        let machine = self.agents_machine(name)?;
        let known: BTreeSet<_> =
            boards.iter().copied().filter(|board| board.0 < machine.spec.board_count()).collect();
        let event = |board: &BoardIndex| match draining {
            true => drained(machine, *board),
            false => wanted_again(now, machine, *board),
        };
        Ok(known.iter().filter_map(event).collect())
    }

    /// What becomes of the jobs that hold these boards.
    fn bereave(&self, machine: &Machine, lost: &BTreeSet<BoardIndex>, reason: &Arc<str>) -> Vec<Event> {
        let holders: BTreeSet<_> =
            lost.iter().filter_map(|board| self.holder(machine, *board)).map(|job| job.id).collect();
        let holders = holders.iter().filter_map(|id| self.jobs.get(id));
        holders.map(|job| self.bereaved(machine, job, lost, reason)).collect()
    }

    /// What becomes of a job whose board went with its agent: one that never had its boards gets others.
    fn bereaved(
        &self,
        machine: &Machine,
        job: &Job,
        lost: &BTreeSet<BoardIndex>,
        reason: &Arc<str>,
    ) -> Event {
        let board = self.lent_boards(job).find(|board| lost.contains(board));
        let at = board.map_or_else(String::new, |board| machine.spec.board_text(board));
        let reason: Arc<str> = format!("{at}: {reason}").into();
        let ready_once = job.loan.as_ref().is_some_and(|loan| loan.was_ready);
        self.deprived(job, !ready_once && job.state == JobState::Power, reason)
    }

    pub(super) fn agents_machine(&self, name: &MachineName) -> Result<&Machine, Refusal> {
        let machine = self.machine(name).ok_or_else(|| Refusal::MachineUnknown(name.clone()))?;
        match machine.spec.agents {
            true => Ok(machine),
            false => Err(Refusal::BadArgument(format!("the boards of machine '{name}' have no agents"))),
        }
    }
}

/// Whether it was an agent that wanted no new work, and nobody else, who had this written.
fn is_drained(note: &Note) -> bool {
    *note.by == *DRAIN
}

/// What becomes of a board whose agent wants no new work; what somebody else decided on it stands.
fn drained(machine: &Machine, board: BoardIndex) -> Option<Event> {
    let (by, reason) = (Arc::from(DRAIN), Arc::from(DRAINED));
    let at = BoardRef { machine: machine.spec.name.clone(), board };
    let marked = machine.marks().contains_key(&board);
    match machine.state(board) {
        _ if marked => None,
        BoardState::Dead | BoardState::Maintenance => None,
        BoardState::Free => Some(Event::BoardSet { board: at, mark: Mark::Maintenance, by, reason }),
        _ => Some(Event::BoardMarked { board: at, mark: Mark::Maintenance, by, reason }),
    }
}

/// What becomes of a board whose agent wants work again.
fn wanted_again(now: Moment, machine: &Machine, board: BoardIndex) -> Option<Event> {
    let at = BoardRef { machine: machine.spec.name.clone(), board };
    if machine.state(board) == BoardState::Maintenance && machine.note(board).is_some_and(is_drained) {
        return Some(Event::BoardQuarantined { board: at, reason: WANTED.into(), retest_at: Some(now) });
    }
    let marked = machine.marks().get(&board).is_some_and(is_drained);
    let (by, reason) = (Arc::from(DRAIN), Arc::from(WANTED));
    marked.then_some(Event::BoardMarked { board: at, mark: Mark::Free, by, reason })
}
