//! A machine: what it is made of, where its boards stand, and the state of each of them.
//!
//! The states of boards are kept in columns, because a machine may have three million of them; what only few
//! boards have (trouble, reports, marks) is kept beside, by board.

use super::board::{Board, BoardState, Note, Tally, Trouble};
use super::fact::{Grant, MachineName, Mark};
use super::offers::Offers;
use super::snapshot::{BoardRun, BoardWords};
use crate::allocator::link::Link;
use crate::allocator::torus::{Torus, Triad};
use crate::allocator::{Allocator, BoardIndex, Pool, Triads};
use crate::clock::Moment;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A machine as the configuration describes it.
#[derive(Clone, Debug, PartialEq)]
pub struct MachineSpec {
    /// Its name, unique in the lab.
    pub name: MachineName,
    /// What it is made of.
    pub shape: Shape,
    /// What requests can ask for.
    pub tags: BTreeSet<Arc<str>>,
    /// As what its boards can be prepared; the first is the default.
    pub kinds: Vec<Arc<str>>,
    /// How long freed boards cool down.
    pub settle_ms: u64,
    /// How long the controller may take over one order.
    pub order_ms_max: u64,
    /// Whether its boards come and go with agents: they are offline until their agent announces them, and a pool takes
    /// boards that it does not know yet.
    pub agents: bool,
    /// Whether the controller can boot boards for a job that asks for it.
    pub boots: bool,
}

/// Whether a board can be called so.
pub fn is_serial(text: &str) -> bool {
    let good = |char: char| char.is_ascii_alphanumeric() || matches!(char, '.' | '_' | '-');
    (1..=SERIAL_BYTES_MAX).contains(&text.len()) && text.chars().all(good)
}

/// The longest serial.
pub const SERIAL_BYTES_MAX: usize = 64;

/// So many boards agents may add to one pool.
pub const ANNOUNCED_BOARDS_MAX: usize = 10_000;

/// Why a board is dead that no operator declared so.
pub const DEAD_BY_CONFIGURATION: &str = "dead in the configuration";

/// The two shapes of machines.
#[derive(Clone, Debug, PartialEq)]
pub enum Shape {
    /// Triads of three SpiNNaker boards on a torus.
    Triads(TriadsSpec),
    /// Plain boards by serial.
    Pool {
        /// The serials, in order.
        serials: Vec<Arc<str>>,
    },
}

/// A torus of triads.
#[derive(Clone, Debug, PartialEq)]
pub struct TriadsSpec {
    /// Triads in x.
    pub width: u32,
    /// Triads in y.
    pub height: u32,
    /// Boards that do not exist or do not work.
    pub dead_boards: Vec<Triad>,
    /// Links that do not work, seen from one board.
    pub dead_links: Vec<(Triad, Link)>,
    /// Where boards stand and answer.
    pub places: Places,
    /// The BMP of each (cabinet, frame), where one is named.
    pub bmps: BTreeMap<(u32, u32), Arc<str>>,
}

/// Where a board stands: the cabinet, the frame in it, the board in that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Physical {
    /// The cabinet.
    pub cabinet: u32,
    /// The frame in the cabinet.
    pub frame: u32,
    /// The board in the frame.
    pub board: u32,
}

/// Where the boards of a torus stand, and at which host each answers.
#[derive(Clone, Debug, PartialEq)]
pub enum Places {
    /// By a rule: boards numbered with x slowest and z fastest fill frame after frame.
    Rule(PlaceRule),
    /// By a table; a board that is not in it has no place and no host.
    Table(PlaceTable),
}

/// The rule of places: address = base + cabinet, frame and board times their strides.
#[derive(Clone, Debug, PartialEq)]
pub struct PlaceRule {
    /// How many boards fill a frame.
    pub boards_per_frame: u32,
    /// How many frames fill a cabinet.
    pub frames_per_cabinet: u32,
    /// The IPv4 address everything is added to.
    pub base: u32,
    /// What a cabinet, a frame and a board add.
    pub strides: [u32; 3],
}

/// Places by table, to be asked both ways.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PlaceTable {
    by_board: BTreeMap<BoardIndex, (Physical, Arc<str>)>,
    by_place: BTreeMap<Physical, BoardIndex>,
}

impl PlaceTable {
    /// Enters a board; false when the board or the place is in the table already.
    pub fn enter(&mut self, board: BoardIndex, place: Physical, host: Arc<str>) -> bool {
        if self.by_board.contains_key(&board) || self.by_place.contains_key(&place) {
            return false;
        }
        self.by_board.insert(board, (place, host));
        self.by_place.insert(place, board);
        true
    }

    /// Every board with its place and its host, in the order of the boards.
    pub fn iter(&self) -> impl Iterator<Item = (BoardIndex, Physical, &Arc<str>)> {
        self.by_board.iter().map(|(board, (place, host))| (*board, *place, host))
    }
}

impl TriadsSpec {
    /// Its size, to reckon with.
    pub fn torus(&self) -> Torus {
        Torus { width: self.width, height: self.height }
    }

    fn fault(&self) -> Option<String> {
        if let Places::Rule(PlaceRule { boards_per_frame: 0, .. } | PlaceRule { frames_per_cabinet: 0, .. }) =
            &self.places
        {
            return Some("a frame without boards, or a cabinet without frames".to_owned());
        }
        Triads::new(self.width, self.height, &self.dead_boards, &self.dead_links)
            .err()
            .map(|why| why.to_string())
    }

    /// Where a board stands.
    pub fn place(&self, board: BoardIndex) -> Option<Physical> {
        match &self.places {
            Places::Table(table) => table.by_board.get(&board).map(|(place, _)| *place),
            Places::Rule(rule) => Some(rule.place(board)),
        }
    }

    /// Which board stands there.
    pub fn board_at(&self, place: Physical) -> Option<BoardIndex> {
        match &self.places {
            Places::Table(table) => table.by_place.get(&place).copied(),
            Places::Rule(rule) => rule.board_at(place).filter(|board| board.0 < self.torus().board_count()),
        }
    }

    /// The host at which a board answers; empty when none is known.
    pub fn host(&self, board: BoardIndex) -> Arc<str> {
        match &self.places {
            Places::Table(table) => {
                table.by_board.get(&board).map_or_else(|| "".into(), |(_, host)| host.clone())
            }
            Places::Rule(rule) => rule.host(board).into(),
        }
    }
}

impl PlaceRule {
    fn place(&self, board: BoardIndex) -> Physical {
        let frame = board.0 / self.boards_per_frame;
        Physical {
            cabinet: frame / self.frames_per_cabinet,
            frame: frame % self.frames_per_cabinet,
            board: board.0 % self.boards_per_frame,
        }
    }

    fn board_at(&self, place: Physical) -> Option<BoardIndex> {
        if place.board >= self.boards_per_frame || place.frame >= self.frames_per_cabinet {
            return None;
        }
        let frame = place.cabinet.checked_mul(self.frames_per_cabinet)?.checked_add(place.frame)?;
        frame.checked_mul(self.boards_per_frame)?.checked_add(place.board).map(BoardIndex)
    }

    fn host(&self, board: BoardIndex) -> String {
        let place = self.place(board);
        let steps = [place.cabinet, place.frame, place.board];
        let sum = steps
            .iter()
            .zip(self.strides)
            .fold(self.base, |sum, (n, stride)| sum.wrapping_add(n.wrapping_mul(stride)));
        std::net::Ipv4Addr::from(sum).to_string()
    }
}

impl MachineSpec {
    /// How many boards the machine has, dead ones counted.
    pub fn board_count(&self) -> u32 {
        match &self.shape {
            Shape::Triads(triads) => triads.torus().board_count(),
            Shape::Pool { serials } => serials.len() as u32,
        }
    }

    /// Whether it has the same boards in the same places as another, so that loans may go on.
    pub fn same_boards(&self, other: &MachineSpec) -> bool {
        self.agents == other.agents && self.same_shape(other)
    }

    fn same_shape(&self, other: &MachineSpec) -> bool {
        match (&self.shape, &other.shape) {
            (Shape::Pool { serials: a }, Shape::Pool { serials: b }) => a == b,
            (Shape::Triads(a), Shape::Triads(b)) => {
                (a.width, a.height) == (b.width, b.height) && a.places == b.places && a.bmps == b.bmps
            }
            _ => false,
        }
    }

    /// The same description with the boards that agents added to the machine since, if it is one that takes them and
    /// begins with the boards described here.
    pub fn with_announced(self: &Arc<MachineSpec>, known: &MachineSpec) -> Arc<MachineSpec> {
        match (&self.shape, &known.shape) {
            (Shape::Pool { serials }, Shape::Pool { serials: all })
                if self.agents && known.agents && all.len() > serials.len() && all.starts_with(serials) =>
            {
                let shape = Shape::Pool { serials: all.clone() };
                Arc::new(MachineSpec { shape, ..MachineSpec::clone(self) })
            }
            _ => self.clone(),
        }
    }

    /// The serials of a pool, in order.
    pub fn serials(&self) -> &[Arc<str>] {
        match &self.shape {
            Shape::Triads(_) => &[],
            Shape::Pool { serials } => serials,
        }
    }

    /// The torus, when it is one.
    pub fn triads(&self) -> Option<&TriadsSpec> {
        match &self.shape {
            Shape::Triads(triads) => Some(triads),
            Shape::Pool { .. } => None,
        }
    }

    /// A board as people write it: `m[3,1,2]` or `devices/devices-3`.
    pub fn board_text(&self, board: BoardIndex) -> String {
        self.board_name(board).text_in(&self.name)
    }

    /// What is wrong with the description, if anything: such a machine cannot be.
    pub fn fault(&self) -> Option<String> {
        let fault = match &self.shape {
            Shape::Triads(triads) => triads.fault(),
            Shape::Pool { serials } => {
                let known: BTreeSet<_> = serials.iter().collect();
                (known.len() < serials.len()).then(|| "two boards have one serial".to_owned())
            }
        };
        let no_time = || {
            (self.order_ms_max == 0).then(|| "its controller has no time to carry out an order".to_owned())
        };
        let fault = fault.or_else(no_time);
        fault.map(|why| format!("machine '{}': {why}", self.name))
    }

    fn allocator(&self) -> Allocator {
        match &self.shape {
            Shape::Triads(t) => match Triads::new(t.width, t.height, &t.dead_boards, &t.dead_links) {
                Ok(triads) => Allocator::Triads(triads),
                Err(why) => panic!("machine '{}' was not checked before it came here: {why:?}", self.name),
            },
            Shape::Pool { serials } => Allocator::Pool(Pool::new(serials.len() as u32)),
        }
    }
}

/// A machine as it is now.
#[derive(Clone)]
pub struct Machine {
    /// What it is made of.
    pub spec: Arc<MachineSpec>,
    /// Which boards are free, and where requests fit.
    pub allocator: Allocator,
    by_serial: BTreeMap<Arc<str>, BoardIndex>,
    states: Vec<BoardState>,
    grants: Vec<Grant>,
    since: Vec<Moment>,
    counts: [u32; BoardState::COUNT],
    troubles: BTreeMap<BoardIndex, Trouble>,
    marks: BTreeMap<BoardIndex, Note>,
    notes: BTreeMap<BoardIndex, Note>,
    reports: BTreeMap<BoardIndex, BTreeMap<Arc<str>, Arc<str>>>,
    offers: Offers,
    names: BTreeMap<BoardIndex, Arc<str>>,
    tallies: BTreeMap<BoardIndex, Tally>,
}

impl Machine {
    /// A machine all of whose boards are free, but for the dead ones; offline, if agents have them.
    pub fn new(spec: Arc<MachineSpec>, at: Moment) -> Machine {
        let count = spec.board_count() as usize;
        let mut machine = Machine {
            allocator: spec.allocator(),
            by_serial: spec.serials().iter().cloned().zip((0..).map(BoardIndex)).collect(),
            states: vec![BoardState::Free; count],
            grants: vec![Grant(0); count],
            since: vec![at; count],
            counts: [0; BoardState::COUNT],
            troubles: BTreeMap::new(),
            marks: BTreeMap::new(),
            notes: BTreeMap::new(),
            reports: BTreeMap::new(),
            offers: Offers::default(),
            names: BTreeMap::new(),
            tallies: BTreeMap::new(),
            spec,
        };
        machine.counts[BoardState::Free as usize] = count as u32;
        for board in machine.spec_dead() {
            machine.write(board, BoardState::Dead, at);
        }
        if machine.spec.agents {
            machine.boards().for_each(|board| machine.set_aside(board, BoardState::Offline, None, at));
        }
        machine
    }

    /// Boards join a pool, offline for now.
    pub fn announce(&mut self, serials: &[Arc<str>], at: Moment) {
        let Shape::Pool { serials: known } = &self.spec.shape else { return };
        let first = known.len() as u32;
        let all = known.iter().chain(serials).cloned().collect();
        self.spec =
            Arc::new(MachineSpec { shape: Shape::Pool { serials: all }, ..MachineSpec::clone(&self.spec) });
        self.by_serial.extend(serials.iter().cloned().zip((first..).map(BoardIndex)));
        let count = self.spec.board_count() as usize;
        self.states.resize(count, BoardState::Offline);
        self.grants.resize(count, Grant(0));
        self.since.resize(count, at);
        self.recount();
    }

    /// The boards the configuration calls dead.
    fn spec_dead(&self) -> Vec<BoardIndex> {
        self.spec.triads().map_or_else(Vec::new, |torus| {
            torus.dead_boards.iter().map(|dead| torus.torus().index(*dead)).collect()
        })
    }

    /// Takes another description of the same boards; loans go on, boards that died or came to life change.
    /// Answers the troubles that ended with a death.
    pub fn change_spec(&mut self, spec: Arc<MachineSpec>, at: Moment) -> Vec<(BoardIndex, Trouble)> {
        debug_assert!(self.spec.same_boards(&spec));
        let before: BTreeSet<_> = self.spec_dead().into_iter().collect();
        self.spec = spec;
        let after: BTreeSet<_> = self.spec_dead().into_iter().collect();
        before.difference(&after).for_each(|board| self.revive(*board, at));
        let troubles =
            after.difference(&before).filter_map(|board| Some((*board, self.die(*board, at)?))).collect();
        self.recount();
        troubles
    }

    /// The configuration no longer calls a board dead. What an operator said of it stands.
    fn revive(&mut self, board: BoardIndex, at: Moment) {
        if self.marks.get(&board).is_some_and(Note::is_of_config) {
            self.marks.remove(&board);
        }
        let by_operator = self.notes.get(&board).is_some_and(|note| !note.is_of_config());
        if self.state(board) == BoardState::Dead && !by_operator {
            self.notes.remove(&board);
            self.write(board, BoardState::Free, at);
        }
    }

    /// The configuration calls a board dead: at once, or when it comes back. Answers the trouble this ended.
    fn die(&mut self, board: BoardIndex, at: Moment) -> Option<Trouble> {
        if self.state(board).is_held() {
            self.marks.insert(board, Note::of_config(Mark::Dead, DEAD_BY_CONFIGURATION));
        } else if self.state(board) != BoardState::Dead {
            self.notes.remove(&board);
            self.write(board, BoardState::Dead, at);
        }
        self.reports.remove(&board);
        self.troubles.remove(&board)
    }

    /// Makes the allocator and the counts anew from the states; the order of wear stays.
    pub(super) fn recount(&mut self) {
        let order = self.allocator.order();
        self.allocator = self.spec.allocator();
        order.into_iter().for_each(|order| self.allocator.put_last(&order));
        self.counts = [0; BoardState::COUNT];
        for at in 0..self.states.len() {
            let (board, state) = (BoardIndex(at as u32), self.states[at]);
            self.counts[state as usize] += 1;
            // Whatever the configuration says: a lent board is not dead, nor is one an operator brought back.
            if self.allocator.is_dead(board) != (state == BoardState::Dead) {
                self.allocator.set_dead(board, state == BoardState::Dead);
            }
            if state.is_out_of_service() {
                self.allocator.set_out_of_service(board, true);
            }
            if state.is_held() {
                self.allocator.take(&[board]);
            }
        }
    }

    /// All boards, neighbours that are alike together.
    pub fn runs(&self) -> Vec<BoardRun> {
        let mut runs: Vec<BoardRun> = Vec::new();
        for ((state, grant), since) in self.states.iter().zip(&self.grants).zip(&self.since) {
            let next = BoardRun { count: 1, state: *state, grant: *grant, since: *since };
            match runs.last_mut() {
                Some(run) if (BoardRun { count: 1, ..*run }) == next => run.count += 1,
                _ => runs.push(next),
            }
        }
        runs
    }

    /// The order in which the boards wear, longest idle first, if it is not that of their numbers.
    pub fn wear(&self) -> Vec<BoardIndex> {
        self.allocator.order().unwrap_or_default()
    }

    /// Takes what a snapshot says of the order in which boards wear.
    pub(super) fn restore_wear(&mut self, boards: &[BoardIndex]) -> Result<(), String> {
        let count = self.states.len();
        match boards.iter().all(|board| (board.0 as usize) < count) {
            true => self.allocator.put_last(boards),
            false => return Err(format!("{} has fewer boards than wear", self.spec.name)),
        }
        Ok(())
    }

    /// What only few boards have, board by board.
    pub fn words(&self) -> Vec<BoardWords> {
        let boards: BTreeSet<_> = (self.troubles.keys())
            .chain(self.marks.keys())
            .chain(self.notes.keys())
            .chain(self.reports.keys())
            .chain(self.offers.boards())
            .chain(self.names.keys())
            .chain(self.tallies.keys())
            .collect();
        let words = |board: &BoardIndex| BoardWords {
            board: *board,
            trouble: self.troubles.get(board).cloned(),
            mark: self.marks.get(board).cloned(),
            note: self.notes.get(board).cloned(),
            reports: self.reports.get(board).cloned().unwrap_or_default(),
            offers: self.offers.of(*board).into(),
            called: self.names.get(board).cloned().unwrap_or_default(),
            tally: self.tallies.get(board).copied().unwrap_or_default(),
        };
        boards.into_iter().map(words).collect()
    }

    /// Takes what a snapshot says of the boards from this one on. `recount` follows when all have been told of.
    pub(super) fn restore_run(&mut self, first: u32, run: BoardRun) -> Result<(), String> {
        let boards = first as usize..first as usize + run.count as usize;
        if boards.end > self.states.len() {
            return Err(format!("{} has fewer boards", self.spec.name));
        }
        self.states[boards.clone()].fill(run.state);
        self.grants[boards.clone()].fill(run.grant);
        self.since[boards].fill(run.since);
        Ok(())
    }

    /// Takes what a snapshot says of one board.
    pub(super) fn restore_words(&mut self, words: BoardWords) -> Result<(), String> {
        let board = words.board;
        if board.0 as usize >= self.states.len() {
            return Err(format!("{} has no board number {}", self.spec.name, board.0));
        }
        let known = self.troubles.contains_key(&board) || self.marks.contains_key(&board);
        let known = known || self.names.contains_key(&board) || self.tallies.contains_key(&board);
        if known
            || !self.offers.of(board).is_empty()
            || self.notes.contains_key(&board)
            || self.reports.contains_key(&board)
        {
            return Err(format!("{} is spoken of twice", self.spec.board_text(board)));
        }
        words.trouble.map(|trouble| self.troubles.insert(board, trouble));
        words.mark.map(|mark| self.marks.insert(board, mark));
        words.note.map(|note| self.notes.insert(board, note));
        if !words.reports.is_empty() {
            self.reports.insert(board, words.reports);
        }
        self.offers.set(board, words.offers);
        self.set_name(board, words.called);
        if words.tally != Tally::default() {
            self.tallies.insert(board, words.tally);
        }
        Ok(())
    }

    /// The board with a serial.
    pub fn board_with_serial(&self, serial: &str) -> Option<BoardIndex> {
        self.by_serial.get(serial).copied()
    }

    /// Whether anybody has marked or reported any board.
    pub fn has_words(&self) -> bool {
        !self.marks.is_empty() || !self.reports.is_empty()
    }

    /// Whether a board is to be set aside when it is free: it is marked, or was reported by so many that it is to
    /// be quarantined (zero: never).
    pub fn is_unwanted(&self, board: BoardIndex, reports_to_quarantine: usize) -> bool {
        let reports = self.reports.get(&board).map_or(0, |reports| reports.len());
        self.marks.contains_key(&board) || (reports_to_quarantine > 0 && reports >= reports_to_quarantine)
    }

    /// All boards, in order.
    pub fn boards(&self) -> impl Iterator<Item = BoardIndex> + use<> {
        (0..self.states.len() as u32).map(BoardIndex)
    }

    /// The state of a board.
    pub fn state(&self, board: BoardIndex) -> BoardState {
        self.states[board.0 as usize]
    }

    /// How many boards are in a state.
    pub fn count(&self, state: BoardState) -> u32 {
        self.counts[state as usize]
    }

    /// Everything known of a board.
    pub fn board(&self, board: BoardIndex) -> Board<'_> {
        Board {
            state: self.state(board),
            grant: self.grants[board.0 as usize],
            since: self.since[board.0 as usize],
            trouble: self.troubles.get(&board),
            mark: self.marks.get(&board),
            reports: self.reports.get(&board),
            offers: self.offers.of(board),
            called: self.names.get(&board).map_or("", |name| name),
            tally: self.tallies.get(&board).copied().unwrap_or_default(),
        }
    }

    /// Whether its boards say what they offer: only then is it asked of them.
    pub fn has_offers(&self) -> bool {
        self.spec.agents && self.spec.triads().is_none()
    }

    /// The boards in service that offer a label, in order.
    pub fn offering(&self, label: &str) -> impl Iterator<Item = BoardIndex> {
        let in_service =
            |board: &BoardIndex| self.state(*board) == BoardState::Free || self.state(*board).is_held();
        self.offers.with(label).filter(in_service)
    }

    /// Writes down what a board offers.
    pub fn set_offers(&mut self, board: BoardIndex, offers: Arc<[Arc<str>]>) {
        self.offers.set(board, offers);
    }

    /// Calls a board by a name, or by none.
    pub fn set_name(&mut self, board: BoardIndex, name: Arc<str>) {
        match name.is_empty() {
            true => self.names.remove(&board),
            false => self.names.insert(board, name),
        };
    }

    /// What became of the jobs that were to be done on a board, to be counted on.
    pub fn tally_mut(&mut self, board: BoardIndex) -> &mut Tally {
        self.tallies.entry(board).or_default()
    }

    /// The last grant under which a board was touched.
    pub fn grant(&self, board: BoardIndex) -> Grant {
        self.grants[board.0 as usize]
    }

    /// Writes down that a board was touched under a grant.
    pub fn touch(&mut self, board: BoardIndex, grant: Grant) {
        self.grants[board.0 as usize] = grant;
    }

    /// Lends free boards.
    pub fn lend(&mut self, boards: &[BoardIndex], grant: Grant, at: Moment) {
        self.allocator.take(boards);
        for board in boards {
            debug_assert_eq!(self.state(*board), BoardState::Free);
            self.touch(*board, grant);
            self.write(*board, BoardState::Lent, at);
        }
    }

    /// Takes lent boards back to be cleaned.
    pub fn take_back(&mut self, boards: &[BoardIndex], at: Moment) {
        for board in boards {
            debug_assert_eq!(self.state(*board), BoardState::Lent);
            self.write(*board, BoardState::Cleaning, at);
        }
    }

    /// Frees boards that are clean.
    pub fn free(&mut self, boards: &[BoardIndex], at: Moment) {
        for board in boards {
            debug_assert_eq!(self.state(*board), BoardState::Cleaning);
            self.write(*board, BoardState::Free, at);
        }
        self.allocator.give_back(boards);
    }

    /// Brings one board to a state in which nobody holds it, from any state.
    pub fn set_aside(&mut self, board: BoardIndex, state: BoardState, trouble: Option<Trouble>, at: Moment) {
        let before = self.state(board);
        self.write(board, state, at);
        if before.is_held() {
            self.allocator.give_back(&[board]);
        }
        self.allocator.set_dead(board, state == BoardState::Dead);
        self.allocator.set_out_of_service(board, state.is_out_of_service());
        match trouble {
            Some(trouble) => self.troubles.insert(board, trouble),
            None => self.troubles.remove(&board),
        };
    }

    fn write(&mut self, board: BoardIndex, state: BoardState, at: Moment) {
        let slot = board.0 as usize;
        self.counts[self.states[slot] as usize] -= 1;
        self.counts[state as usize] += 1;
        self.states[slot] = state;
        self.since[slot] = at;
    }

    /// What is wrong with boards that are set aside.
    pub fn troubles(&self) -> &BTreeMap<BoardIndex, Trouble> {
        &self.troubles
    }

    /// The trouble of one board, to be changed.
    pub fn trouble_mut(&mut self, board: BoardIndex) -> Option<&mut Trouble> {
        self.troubles.get_mut(&board)
    }

    /// Marks of operators that wait for their board to come back.
    pub fn marks(&self) -> &BTreeMap<BoardIndex, Note> {
        &self.marks
    }

    /// Writes a mark down, or lifts it.
    pub fn set_mark(&mut self, board: BoardIndex, mark: Option<Note>) {
        match mark {
            Some(mark) => self.marks.insert(board, mark),
            None => self.marks.remove(&board),
        };
    }

    /// Why an operator put a board where it is.
    pub fn note(&self, board: BoardIndex) -> Option<&Note> {
        self.notes.get(&board)
    }

    /// Writes down why an operator put a board where it is, or forgets it.
    pub fn set_note(&mut self, board: BoardIndex, note: Option<Note>) {
        match note {
            Some(note) => self.notes.insert(board, note),
            None => self.notes.remove(&board),
        };
    }

    /// What holders said of boards, by who said it.
    pub fn reports(&self) -> &BTreeMap<BoardIndex, BTreeMap<Arc<str>, Arc<str>>> {
        &self.reports
    }

    /// Writes down what somebody said of a board.
    pub fn report(&mut self, board: BoardIndex, by: Arc<str>, reason: Arc<str>) {
        self.reports.entry(board).or_default().insert(by, reason);
    }

    /// Forgets what was said of a board.
    pub fn forget_reports(&mut self, board: BoardIndex) {
        self.reports.remove(&board);
    }

    /// Only boards of agents that are there offer anything.
    fn check_offers(&self) -> Result<(), String> {
        self.offers.check()?;
        let wrong = |board: &&BoardIndex| {
            !self.has_offers() || self.states.get(board.0 as usize).is_none_or(|s| *s == BoardState::Offline)
        };
        match self.offers.boards().find(wrong) {
            Some(board) => Err(format!("board {} of {} offers what it cannot", board.0, self.spec.name)),
            None => Ok(()),
        }
    }

    /// Says what must always hold of a machine.
    pub fn check(&self) -> Result<(), String> {
        let mut counts = [0; BoardState::COUNT];
        for board in self.boards() {
            let state = self.state(board);
            counts[state as usize] += 1;
            let free = state == BoardState::Free;
            if self.allocator.is_free(board) != free {
                return Err(format!(
                    "{} is {state:?} but the allocator disagrees",
                    self.spec.board_text(board)
                ));
            }
            if self.troubles.contains_key(&board) != (state == BoardState::Quarantined) {
                return Err(format!("{} is {state:?} and its trouble is wrong", self.spec.board_text(board)));
            }
        }
        self.check_offers()?;
        if counts != self.counts {
            return Err(format!("{} counts {:?}, has {counts:?}", self.spec.name, self.counts));
        }
        Ok(())
    }
}
