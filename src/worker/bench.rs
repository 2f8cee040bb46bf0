//! All boards of a worker, and the clients who hear of them. Pure: news goes in, what follows comes out of `poll`.

use super::board::{Board, BoardSettings, Deed as BoardDeed, Work};
use super::mailbox::{Mailbox, Packet, Socket};
use super::request;
use super::task::Task;
use crate::clock::Moment;
use serde_json::Value;
use std::collections::{BTreeMap, VecDeque};

/// How a bench is run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BenchSettings {
    /// How boards are treated.
    pub board: BoardSettings,
    /// How long `initialized` is held back.
    pub initialized_delay_ms: u64,
}

/// What follows for the outside.
pub enum Deed {
    /// A device begins something.
    Begin {
        /// Whose.
        serial: String,
        /// What comes of it is told with this number.
        number: u64,
        /// What.
        work: Work,
    },
    /// A device gives up what it does.
    Cancel {
        /// Whose.
        serial: String,
    },
    /// The server hears something.
    Say(Word),
    /// Clients hear something.
    Emit(Packet),
    /// The stay is over, and why.
    Over(String),
}

/// Something the server hears.
#[derive(Clone, Debug, PartialEq)]
pub enum Word {
    /// What came of an order.
    Order {
        /// Its number.
        id: String,
        /// The board.
        serial: String,
        /// Why it failed, if it did.
        failed: Option<String>,
    },
    /// What is said to a question.
    Answer {
        /// Its number.
        ticket: u64,
        /// What.
        answer: Result<Value, String>,
    },
    /// A board broke.
    Break {
        /// The board.
        serial: String,
        /// Why.
        reason: String,
    },
}

/// A board as it is offered to the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offered {
    /// Its serial.
    pub serial: String,
    /// What it is.
    pub model: String,
    /// The order it stands by.
    pub holds: Option<String>,
}

/// See above.
pub struct Bench {
    settings: BenchSettings,
    boards: BTreeMap<String, Place>,
    mailbox: Mailbox,
    deeds: VecDeque<Deed>,
}

/// A board where it is plugged in.
struct Place {
    model: String,
    board: Board,
}

impl Bench {
    /// One without boards.
    pub fn new(settings: BenchSettings) -> Bench {
        let mailbox = Mailbox::new(settings.initialized_delay_ms);
        Bench { settings, boards: BTreeMap::new(), mailbox, deeds: VecDeque::new() }
    }

    /// A board was plugged in.
    pub fn plug(&mut self, now: Moment, serial: &str, model: &str) {
        let place = Place { model: model.to_owned(), board: Board::new(now, self.settings.board) };
        self.boards.insert(serial.to_owned(), place);
    }

    /// A board was unplugged.
    pub fn unplug(&mut self, now: Moment, serial: &str) {
        self.with(now, serial, |board| board.rest("it was unplugged"));
        self.boards.remove(serial);
    }

    /// All boards, as they are offered.
    pub fn offered(&self) -> Vec<Offered> {
        let offer = |(serial, place): (&String, &Place)| Offered {
            serial: serial.clone(),
            model: place.model.clone(),
            holds: place.board.holds().map(str::to_owned),
        };
        self.boards.iter().map(offer).collect()
    }

    /// Whether a job has one of the boards.
    pub fn is_lent(&self) -> bool {
        self.boards.values().any(|place| place.board.is_lent())
    }

    /// What the server says.
    pub fn handle_task(&mut self, now: Moment, task: Task) {
        match task {
            Task::Order(order) => {
                for serial in &order.boards {
                    if !self.with(now, serial, |board| board.handle_order(now, order.clone())) {
                        let failed = Some("the worker does not have this board".to_owned());
                        let word = Word::Order { id: order.id.clone(), serial: serial.clone(), failed };
                        self.deeds.push_back(Deed::Say(word));
                    }
                }
            }
            Task::Question(question) => {
                let asked = |board: &mut Board| board.handle_question(now, question.ticket, &question.what);
                if !self.with(now, &question.board, asked) {
                    let answer = Err("the worker does not have this board".to_owned());
                    self.deeds.push_back(Deed::Say(Word::Answer { ticket: question.ticket, answer }));
                }
            }
            Task::Over(why) => {
                self.rest(now, &why);
                self.deeds.push_back(Deed::Over(why));
            }
        }
    }

    /// What came of a device's work.
    pub fn handle_done(
        &mut self,
        now: Moment,
        serial: &str,
        number: u64,
        outcome: Result<Option<Value>, String>,
    ) {
        self.with(now, serial, |board| board.handle_done(now, number, outcome));
    }

    /// What a client says. Nobody is told when it cannot be used, but for the log, which gets the reasons.
    pub fn handle_request(&mut self, now: Moment, client: &str, bytes: &[u8]) -> Vec<String> {
        let request = match request::decode(bytes) {
            Ok(request) => request,
            Err(why) => return vec![format!("it cannot be understood: {why}")],
        };
        let mut refused = Vec::new();
        for serial in &request.serials {
            let mut taken = Ok(());
            let there = self.with(now, serial, |board| {
                taken = board.handle_batch(now, client, &request.batch);
            });
            match taken {
                _ if !there => refused.push(format!("{}: no such board", serial.escape_default())),
                Ok(()) => {}
                Err(why) => refused.push(format!("{serial}: {why}")),
            }
        }
        refused
    }

    /// A client connects. False if there is no room for it.
    pub fn come(&mut self, now: Moment, client: &str, socket: Socket) -> bool {
        self.mailbox.come(now, client, socket)
    }

    /// A socket is gone.
    pub fn go(&mut self, now: Moment, client: &str, socket: Socket) {
        self.mailbox.go(now, client, socket);
    }

    /// Time has passed.
    pub fn handle_time(&mut self, now: Moment) {
        for serial in self.boards.keys().cloned().collect::<Vec<_>>() {
            self.with(now, &serial, |board| board.handle_time(now));
        }
    }

    /// Nobody speaks for the boards any more: whatever they did is over.
    pub fn rest(&mut self, now: Moment, why: &str) {
        for serial in self.boards.keys().cloned().collect::<Vec<_>>() {
            self.with(now, &serial, |board| board.rest(why));
        }
    }

    /// When something is due.
    pub fn wake_at(&self) -> Option<Moment> {
        let boards = self.boards.values().filter_map(|place| place.board.wake_at());
        boards.chain(self.mailbox.wake_at()).min()
    }

    /// The next thing that follows.
    pub fn poll(&mut self, now: Moment) -> Option<Deed> {
        self.deeds.pop_front().or_else(|| self.mailbox.poll(now).map(Deed::Emit))
    }

    /// Does something with a board and takes what follows. False if there is no such board.
    fn with(&mut self, now: Moment, serial: &str, act: impl FnOnce(&mut Board)) -> bool {
        let Some(Place { board, .. }) = self.boards.get_mut(serial) else { return false };
        act(board);
        let serial = || serial.to_owned();
        while let Some(deed) = board.poll() {
            self.deeds.push_back(match deed {
                BoardDeed::Begin { number, work } => Deed::Begin { serial: serial(), number, work },
                BoardDeed::Cancel => Deed::Cancel { serial: serial() },
                BoardDeed::Obeyed(id) => Deed::Say(Word::Order { id, serial: serial(), failed: None }),
                BoardDeed::Failed(id, why) => {
                    Deed::Say(Word::Order { id, serial: serial(), failed: Some(why) })
                }
                BoardDeed::Broken(reason) => Deed::Say(Word::Break { serial: serial(), reason }),
                BoardDeed::Answer(ticket, answer) => Deed::Say(Word::Answer { ticket, answer }),
                BoardDeed::Event { client, contents } => {
                    self.mailbox.put(now, &client, &serial(), contents);
                    continue;
                }
            });
        }
        true
    }
}

#[cfg(test)]
mod tests;
