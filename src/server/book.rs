//! What the server remembers of boards beside the lab: what came of switching each last, and what its sensors said last.
//!
//! No facts, so nothing of it is kept over a restart, and nothing is decided by it. Reading it needs no visit to the desk.
//! An order may go to millions of boards, so what came of it is one note that they share, in a table by board.

use crate::allocator::BoardIndex;
use crate::clock::Moment;
use crate::controller::{ControllerError, Outcome, Reading};
use crate::lab::command::{Consult, Consultation};
use crate::lab::effect::{Action, Order};
use crate::lab::fact::{BoardRef, MachineName, OrderId};
use crate::service::plan::{BoardBook, BoardRecord, PowerResult, SensorReadings};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The sensors of so many boards are remembered; of more, those are forgotten that were read longest ago.
pub const SENSORS_REMEMBERED_MAX: usize = 65_536;

/// So many orders are known by what they were to do; of more, the oldest is forgotten, and what comes of it is not noted.
pub const ORDERS_REMEMBERED_MAX: usize = 65_536;

/// See above.
#[derive(Default)]
pub struct Book(Mutex<Inside>);

/// Its pages.
#[derive(Default)]
struct Inside {
    /// What came of switching the boards of each machine, by board, as far up as boards were switched.
    power: BTreeMap<MachineName, Vec<Option<Arc<Note>>>>,
    /// Orders that were given and not answered whole.
    orders: BTreeMap<OrderId, Given>,
    /// What sensors said, and when in the order of all that was read.
    sensors: BTreeMap<BoardRef, (u64, SensorReadings)>,
    /// The same boards in that order.
    turns: BTreeMap<u64, BoardRef>,
    last_turn: u64,
}

/// What came of an order on some boards.
struct Note {
    order: OrderId,
    power: PowerResult,
}

/// An order that was given.
struct Given {
    machine: MachineName,
    action: &'static str,
    /// How many boards have not answered.
    open: usize,
    /// Above the highest of its boards.
    boards_end: u32,
}

impl Book {
    /// An order is given.
    pub fn note_order(&self, order: &Order) {
        let mut inside = self.inside();
        let (action, open) = (word(&order.action), order.boards.len());
        let boards_end = order.boards.iter().map(|board| board.0.saturating_add(1)).max().unwrap_or(0);
        inside.orders.insert(order.id, Given { machine: order.machine.clone(), action, open, boards_end });
        if inside.orders.len() > ORDERS_REMEMBERED_MAX {
            inside.orders.pop_first();
        }
    }

    /// Something came of an order.
    pub fn note_outcome(&self, now: Moment, outcome: &Outcome) {
        let mut inside = self.inside();
        let Some(given) = inside.orders.remove(&outcome.order) else { return };
        let note = |failed| {
            let power = PowerResult { action: given.action, at: now, failed };
            Arc::new(Note { order: outcome.order, power })
        };
        let obeyed = note(None);
        let page = inside.power.entry(given.machine.clone()).or_default();
        for board in &outcome.obeyed {
            enter(page, given.boards_end, *board, &obeyed);
        }
        for (board, why) in &outcome.failed {
            enter(page, given.boards_end, *board, &note(Some(why.clone())));
        }
        let left = given.open.saturating_sub(outcome.obeyed.len() + outcome.failed.len());
        if left > 0 {
            inside.orders.insert(outcome.order, Given { open: left, ..given });
        }
    }

    /// A board was asked something and this is what it said.
    pub fn note_consult(
        &self,
        now: Moment,
        at: &Consultation,
        what: &Consult,
        said: &Result<Reading, ControllerError>,
    ) {
        let mut inside = self.inside();
        match (what, said) {
            (Consult::PowerCycle, _) => {
                let failed = said.as_ref().err().map(|error| error.fault().msg.into());
                let power = PowerResult { action: "cycle", at: now, failed };
                let page = inside.power.entry(at.board.machine.clone()).or_default();
                let (board, note) = (at.board.board, Note { order: at.order, power });
                enter(page, board.0.saturating_add(1), board, &Arc::new(note));
            }
            (Consult::ReadSensors, Ok(Reading::Sensors(values))) => {
                inside.note_sensors(&at.board, SensorReadings { at: now, values: values.clone() });
            }
            _ => {}
        }
    }

    /// Only these machines are there still.
    pub fn retain(&self, stays: impl Fn(&MachineName) -> bool) {
        let mut inside = self.inside();
        inside.power.retain(|machine, _| stays(machine));
        inside.orders.retain(|_, given| stays(&given.machine));
        inside.sensors.retain(|board, _| stays(&board.machine));
        inside.turns.retain(|_, board| stays(&board.machine));
    }

    /// The pages are whole between calls, so a panic elsewhere does no harm.
    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Notes what came of a switch, unless a later order's is known already, or no such board was switched.
fn enter(page: &mut Vec<Option<Arc<Note>>>, boards_end: u32, board: BoardIndex, note: &Arc<Note>) {
    if board.0 >= boards_end {
        return;
    }
    if page.len() <= board.0 as usize {
        page.resize(boards_end as usize, None);
    }
    if let Some(known) = page.get_mut(board.0 as usize)
        && known.as_ref().is_none_or(|known| known.order <= note.order)
    {
        *known = Some(note.clone());
    }
}

impl Inside {
    fn note_sensors(&mut self, board: &BoardRef, readings: SensorReadings) {
        self.last_turn += 1;
        let turn = self.last_turn;
        if let Some((before, _)) = self.sensors.insert(board.clone(), (turn, readings)) {
            self.turns.remove(&before);
        }
        self.turns.insert(turn, board.clone());
        if self.sensors.len() > SENSORS_REMEMBERED_MAX
            && let Some((_, oldest)) = self.turns.pop_first()
        {
            self.sensors.remove(&oldest);
        }
    }
}

impl BoardBook for Book {
    fn record(&self, board: &BoardRef) -> BoardRecord {
        let inside = self.inside();
        let page = inside.power.get(&board.machine);
        let note = page.and_then(|page| page.get(board.board.0 as usize)?.as_ref());
        let sensors = inside.sensors.get(board).map(|(_, readings)| readings.clone());
        BoardRecord { power: note.map(|note| note.power.clone()), sensors }
    }
}

impl fmt::Debug for Book {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let boards: usize = self.inside().power.values().map(Vec::len).sum();
        write!(f, "a book of {boards} boards")
    }
}

/// The word for what a board was to do.
fn word(action: &Action) -> &'static str {
    match action {
        Action::Prepare { .. } => "prepare",
        Action::PowerOff => "power_off",
        Action::Clean => "clean",
        Action::Test => "test",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::fact::Grant;

    fn id(grant: u64) -> OrderId {
        OrderId { grant: Grant(grant), step: 0 }
    }

    fn board(number: u32) -> BoardRef {
        BoardRef { machine: "p".into(), board: BoardIndex(number) }
    }

    fn order(grant: u64, action: Action, boards: &[u32]) -> Order {
        let boards: Vec<_> = boards.iter().copied().map(BoardIndex).collect();
        Order {
            id: id(grant),
            machine: "p".into(),
            action,
            mates: boards.clone().into(),
            boards: boards.into(),
            job: None,
        }
    }

    fn outcome(grant: u64, number: u32, failed: Option<&str>) -> Outcome {
        Outcome {
            order: id(grant),
            obeyed: if failed.is_none() { vec![BoardIndex(number)] } else { Vec::new() },
            failed: failed.map(|why| (BoardIndex(number), why.into())).into_iter().collect(),
        }
    }

    fn power_of(book: &Book, number: u32) -> Option<(&'static str, u64, Option<String>)> {
        let power = book.record(&board(number)).power;
        power.map(|power| (power.action, power.at.0, power.failed.map(|why| why.to_string())))
    }

    #[test]
    fn what_came_last_of_orders_is_noted_board_by_board() {
        let book = Book::default();
        book.note_order(&order(1, Action::Test, &[0, 1]));
        book.note_outcome(Moment(5), &outcome(1, 0, None));
        assert_eq!(power_of(&book, 0), Some(("test", 5, None)));
        assert_eq!(power_of(&book, 1), None);
        book.note_order(&order(2, Action::PowerOff, &[1]));
        book.note_outcome(Moment(6), &outcome(2, 1, Some("smoke")));
        // What an older order comes to later changes nothing; nor does an order nobody gave.
        book.note_outcome(Moment(7), &outcome(1, 1, None));
        book.note_outcome(Moment(8), &outcome(3, 1, None));
        assert_eq!(power_of(&book, 1), Some(("power_off", 6, Some("smoke".to_owned()))));
        assert!(book.inside().orders.is_empty());
    }

    #[test]
    fn boards_that_were_given_no_order_take_no_room() {
        let book = Book::default();
        book.note_order(&order(1, Action::Clean, &[2]));
        book.note_outcome(Moment(1), &outcome(1, u32::MAX, Some("the machine has no such board")));
        assert!(book.inside().power.values().all(Vec::is_empty));
        assert_eq!(power_of(&book, u32::MAX), None);
    }

    #[test]
    fn consultations_are_noted_and_machines_that_go_are_forgotten() {
        let book = Book::default();
        let at = Consultation { board: board(0), order: id(1), held: None };
        let values = BTreeMap::from([("fan".into(), (7.0, "rpm".into()))]);
        let read = Ok(Reading::Sensors(values.clone()));
        book.note_consult(Moment(1), &at, &Consult::ReadSensors, &read);
        book.note_consult(Moment(2), &at, &Consult::PowerCycle, &Err(ControllerError::Silent));
        book.note_consult(Moment(3), &at, &Consult::ReadSensors, &Err(ControllerError::Silent));
        let record = book.record(&board(0));
        assert_eq!(record.sensors, Some(SensorReadings { at: Moment(1), values }));
        assert!(record.power.is_some_and(|power| power.action == "cycle" && power.failed.is_some()));
        book.retain(|machine| **machine != *"p");
        assert_eq!(book.record(&board(0)), BoardRecord::default());
        assert!(book.inside().turns.is_empty());
    }

    #[test]
    fn of_too_many_sensors_those_read_longest_ago_are_forgotten() {
        let (book, count) = (Book::default(), SENSORS_REMEMBERED_MAX as u32 + 10);
        let read = Ok(Reading::Sensors(BTreeMap::new()));
        for number in [0].into_iter().chain(0..count) {
            let at = Consultation { board: board(number), order: id(1), held: None };
            book.note_consult(Moment(u64::from(number)), &at, &Consult::ReadSensors, &read);
        }
        assert_eq!(book.record(&board(9)).sensors, None);
        assert!(book.record(&board(10)).sensors.is_some());
        let inside = book.inside();
        assert_eq!(
            (inside.sensors.len(), inside.turns.len()),
            (SENSORS_REMEMBERED_MAX, SENSORS_REMEMBERED_MAX)
        );
    }
}
