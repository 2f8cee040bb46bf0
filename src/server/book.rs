//! What the server remembers of boards beside the lab: what came of switching each last, and what its sensors said last.
//!
//! No facts, so nothing of it is kept over a restart, and nothing is decided by it. Reading it needs no visit to the desk.

use crate::clock::Moment;
use crate::controller::{ControllerError, Outcome, Reading};
use crate::lab::command::{Consult, Consultation};
use crate::lab::effect::{Action, Order};
use crate::lab::fact::{MachineName, OrderId};
use crate::lab::machine::MachineSpec;
use crate::lab::view::BoardName;
use crate::service::plan::{BoardBook, BoardRecord, PowerResult, SensorReadings};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// So many boards are remembered; of more, those are forgotten of which nothing was heard for longest.
pub const BOARDS_REMEMBERED_MAX: usize = 65_536;

/// So many orders are known by what they were to do; of more, the oldest is forgotten, and what comes of it is not noted.
pub const ORDERS_REMEMBERED_MAX: usize = 65_536;

/// See above.
#[derive(Default)]
pub struct Book(Mutex<Inside>);

/// Its pages.
#[derive(Default)]
struct Inside {
    boards: BTreeMap<Key, Entry>,
    /// The boards in the order in which something was noted of them.
    turns: BTreeMap<u64, Key>,
    last_turn: u64,
    /// Orders that were given: what to do, and how many boards have not answered.
    orders: BTreeMap<OrderId, (MachineName, &'static str, usize)>,
}

/// A board.
type Key = (MachineName, BoardName);

/// What is noted of one.
#[derive(Default)]
struct Entry {
    record: BoardRecord,
    /// The order that switched it last.
    order: Option<OrderId>,
    turn: u64,
}

impl Book {
    /// An order is given.
    pub fn note_order(&self, order: &Order) {
        let mut inside = self.inside();
        let known = (order.machine.clone(), word(&order.action), order.boards.len());
        inside.orders.insert(order.id, known);
        if inside.orders.len() > ORDERS_REMEMBERED_MAX {
            inside.orders.pop_first();
        }
    }

    /// Something came of an order to boards of this machine.
    pub fn note_outcome(&self, now: Moment, spec: &MachineSpec, outcome: &Outcome) {
        let mut inside = self.inside();
        let Some((machine, action, open)) = inside.orders.remove(&outcome.order) else { return };
        let obeyed = outcome.obeyed.iter().map(|board| (board, None));
        let failed = outcome.failed.iter().map(|(board, why)| (board, Some(why.clone())));
        for (board, failed) in obeyed.chain(failed) {
            let power = PowerResult { action, at: now, failed };
            inside.note_power((machine.clone(), spec.board_name(*board)), outcome.order, power);
        }
        let left = open.saturating_sub(outcome.obeyed.len() + outcome.failed.len());
        if left > 0 {
            inside.orders.insert(outcome.order, (machine, action, left));
        }
    }

    /// A board was asked something and this is what it said.
    pub fn note_consult(
        &self,
        now: Moment,
        board: BoardName,
        at: &Consultation,
        what: &Consult,
        said: &Result<Reading, ControllerError>,
    ) {
        let key = (at.board.machine.clone(), board);
        match (what, said) {
            (Consult::PowerCycle, _) => {
                let failed = said.as_ref().err().map(|error| error.fault().msg.into());
                let power = PowerResult { action: "cycle", at: now, failed };
                self.inside().note_power(key, at.order, power);
            }
            (Consult::ReadSensors, Ok(Reading::Sensors(values))) => {
                let readings = SensorReadings { at: now, values: values.clone() };
                self.inside().entry(key).record.sensors = Some(readings);
            }
            _ => {}
        }
    }

    /// Only these machines are there still.
    pub fn retain(&self, stays: impl Fn(&MachineName) -> bool) {
        let mut inside = self.inside();
        inside.boards.retain(|(machine, _), _| stays(machine));
        inside.turns.retain(|_, (machine, _)| stays(machine));
        inside.orders.retain(|_, (machine, ..)| stays(machine));
    }

    /// The pages are whole between calls, so a panic elsewhere does no harm.
    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inside {
    /// What came of a switch, unless a later order's is known already.
    fn note_power(&mut self, key: Key, order: OrderId, power: PowerResult) {
        let entry = self.entry(key);
        if entry.order <= Some(order) {
            entry.order = Some(order);
            entry.record.power = Some(power);
        }
    }

    /// The entry of a board of which something is noted now.
    fn entry(&mut self, key: Key) -> &mut Entry {
        self.last_turn += 1;
        let turn = self.last_turn;
        if let Some(known) = self.boards.get(&key) {
            self.turns.remove(&known.turn);
        } else if self.boards.len() >= BOARDS_REMEMBERED_MAX
            && let Some((_, oldest)) = self.turns.pop_first()
        {
            self.boards.remove(&oldest);
        }
        self.turns.insert(turn, key.clone());
        let entry = self.boards.entry(key).or_default();
        entry.turn = turn;
        entry
    }
}

impl BoardBook for Book {
    fn record(&self, machine: &MachineName, board: &BoardName) -> BoardRecord {
        let key = (machine.clone(), board.clone());
        self.inside().boards.get(&key).map(|entry| entry.record.clone()).unwrap_or_default()
    }
}

impl fmt::Debug for Book {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a book of {} boards", self.inside().boards.len())
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
    use crate::allocator::BoardIndex;
    use crate::lab::fact::{BoardRef, Grant};
    use crate::lab::machine::Shape;

    fn pool(count: usize) -> MachineSpec {
        let serials = (0..count).map(|n| format!("p-{n:06}").into()).collect();
        MachineSpec {
            name: "p".into(),
            shape: Shape::Pool { serials },
            tags: Default::default(),
            kinds: vec!["board".into()],
            settle_ms: 0,
            order_ms_max: 1,
            agents: false,
            boots: true,
        }
    }

    fn id(grant: u64) -> OrderId {
        OrderId { grant: Grant(grant), step: 0 }
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

    fn power_of(book: &Book, board: &str) -> Option<(&'static str, u64, Option<String>)> {
        let record = book.record(&"p".into(), &BoardName::Serial(board.into()));
        record.power.map(|power| (power.action, power.at.0, power.failed.map(|why| why.to_string())))
    }

    #[test]
    fn what_came_last_of_orders_is_noted_board_by_board() {
        let (book, spec) = (Book::default(), pool(2));
        book.note_order(&order(1, Action::Test, &[0, 1]));
        let some = |grant, board, failed: Option<&str>| Outcome {
            order: id(grant),
            obeyed: if failed.is_none() { vec![BoardIndex(board)] } else { Vec::new() },
            failed: failed.map(|why| (BoardIndex(board), why.into())).into_iter().collect(),
        };
        book.note_outcome(Moment(5), &spec, &some(1, 0, None));
        assert_eq!(power_of(&book, "p-000000"), Some(("test", 5, None)));
        assert_eq!(power_of(&book, "p-000001"), None);
        book.note_order(&order(2, Action::PowerOff, &[1]));
        book.note_outcome(Moment(6), &spec, &some(2, 1, Some("smoke")));
        // What an older order comes to later changes nothing; nor does an order nobody gave.
        book.note_outcome(Moment(7), &spec, &some(1, 1, None));
        book.note_outcome(Moment(8), &spec, &some(3, 1, None));
        assert_eq!(power_of(&book, "p-000001"), Some(("power_off", 6, Some("smoke".to_owned()))));
        assert!(book.inside().orders.is_empty());
    }

    #[test]
    fn consultations_are_noted_and_machines_that_go_are_forgotten() {
        let book = Book::default();
        let board = || BoardName::Serial("p-000000".into());
        let at = Consultation {
            board: BoardRef { machine: "p".into(), board: BoardIndex(0) },
            order: id(1),
            held: None,
        };
        let values = BTreeMap::from([("fan".into(), (7.0, "rpm".into()))]);
        let read = Ok(Reading::Sensors(values.clone()));
        book.note_consult(Moment(1), board(), &at, &Consult::ReadSensors, &read);
        book.note_consult(Moment(2), board(), &at, &Consult::PowerCycle, &Err(ControllerError::Silent));
        book.note_consult(Moment(3), board(), &at, &Consult::ReadSensors, &Err(ControllerError::Silent));
        let record = book.record(&"p".into(), &board());
        assert_eq!(record.sensors, Some(SensorReadings { at: Moment(1), values }));
        assert!(record.power.is_some_and(|power| power.action == "cycle" && power.failed.is_some()));
        book.retain(|machine| **machine != *"p");
        assert_eq!(book.record(&"p".into(), &board()), BoardRecord::default());
    }

    #[test]
    fn of_too_many_boards_the_longest_unheard_of_are_forgotten() {
        let (book, count) = (Book::default(), BOARDS_REMEMBERED_MAX + 10);
        let spec = pool(count);
        let all: Vec<u32> = (0..count as u32).collect();
        book.note_order(&order(1, Action::Clean, &all));
        let obeyed = all.iter().copied().map(BoardIndex).collect();
        book.note_outcome(Moment(1), &spec, &Outcome { order: id(1), obeyed, failed: Vec::new() });
        assert_eq!(power_of(&book, "p-000009"), None);
        assert_eq!(power_of(&book, "p-000010"), Some(("clean", 1, None)));
        let inside = book.inside();
        assert_eq!((inside.boards.len(), inside.turns.len()), (BOARDS_REMEMBERED_MAX, BOARDS_REMEMBERED_MAX));
    }
}
