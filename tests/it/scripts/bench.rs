//! The stage of the lab's scripts: one lab, a clock that a line moves, a journal that is a list, and hardware
//! that says what a line tells it to.
//!
//! After each line the lab comes to rest and must not contradict itself. The lines:
//!
//! - `machine`, `pool`, `agents`, `remove`, `arrange`: how the lab is configured from now on; `options`: its limits.
//! - `announce POOL SERIALS`, `lose POOL BOARDS`, `break POOL BOARDS`: agents come with boards, are gone, or say they are broken.
//! - `offer BOARD LABELS`: a board offers these now; `putback J WHY`, `finish J WORDS`: what came of a job under its present grant.
//! - `NAME> ...`: what a person wishes (see `words`).
//! - `power J`, `clean J`, `test BOARD`, `order N.M`, followed by `ok [BOARDS]` and `fail BOARD WHY`: what hardware
//!   says to the last order of that kind; `obedient` lets it do all it is told, at once, from now on.
//! - `note J`: a sign of life; `wait 61s`: time passes, deadline by deadline.
//! - `restart`: all facts into a new lab, which must answer every question as the old one does, and so must one made
//!   of its pieces; `restart 90s` when the server was away so long.
//! - `list`, `ended`, `job J`, `explain J`, `history J`, `boards`, `available`, `devices`, `status`, `users`: questions.

use super::telling::{self, START};
use super::words::{self, Options, number};
use berth::allocator::BoardIndex;
use berth::clock::Moment;
use berth::lab::command::{Caller, Command};
use berth::lab::effect::{Action, Effect, Order};
use berth::lab::fact::{Fact, Grant, JobId, OrderId};
use berth::lab::job::JobState;
use berth::lab::machine::MachineSpec;
use berth::lab::view::{BoardFilter, JobFilter, Query, Reservable};
use berth::lab::{self, Lab};
use std::sync::Arc;

/// The most that one line may bring about.
const LINES_MAX: usize = 5000;

/// How much of a line is shown.
const LINE_CHARS_MAX: usize = 300;

/// See above.
pub struct Bench {
    lab: Lab,
    options: lab::Options,
    now: Moment,
    kept: Vec<Fact>,
    machines: Vec<Arc<MachineSpec>>,
    /// Orders in the order in which they were given.
    given: Vec<Order>,
    /// Orders are carried out at once, from this one on.
    obedient: Option<usize>,
    said: Vec<String>,
}

impl Bench {
    /// An empty lab.
    pub fn new() -> Bench {
        let options = lab::Options::default();
        Bench {
            lab: Lab::new(options.clone()),
            options,
            now: START,
            kept: Vec::new(),
            machines: Vec::new(),
            given: Vec::new(),
            obedient: None,
            said: Vec::new(),
        }
    }

    /// Plays one line and answers what came of it.
    pub fn play(&mut self, line: &str) -> Vec<String> {
        self.said.clear();
        match line.split_once("> ") {
            Some((who, wish)) => {
                let words: Vec<_> = wish.split_whitespace().collect();
                self.wish(&words::caller(who), &words::wish(who, &words));
            }
            None => self.play_stage(&line.split_whitespace().collect::<Vec<_>>()),
        }
        self.rest();
        self.said.iter().map(|line| shortened(line)).collect()
    }

    fn play_stage(&mut self, words: &[&str]) {
        match words {
            [kind @ ("machine" | "pool" | "agents"), name, size, rest @ ..] => {
                let spec = Arc::new(words::machine(kind, name, size, rest));
                match self.machines.iter_mut().find(|known| known.name == spec.name) {
                    Some(known) => *known = spec,
                    None => self.machines.push(spec),
                }
                self.configure();
            }
            ["remove", name] => {
                self.machines.retain(|spec| *spec.name != **name);
                self.configure();
            }
            ["arrange", names @ ..] => {
                self.machines.sort_by_key(|spec| names.iter().position(|name| *spec.name == **name));
                self.configure();
            }
            ["announce", machine, serials @ ..] => {
                let serials = serials.iter().copied().map(Arc::from).collect();
                let machine = (*machine).into();
                self.wish(&Caller::server(), &Command::AnnounceBoards { machine, serials });
            }
            [verb @ ("lose" | "break" | "drain" | "undrain"), machine, boards @ ..] => {
                let spec = telling::spec_of(&self.lab, machine);
                let index = |text: &&str| spec.as_ref().map(|spec| words::board_index(spec, text));
                let boards = boards.iter().filter_map(index).collect();
                let (machine, reason) = ((*machine).into(), "its worker is silent".into());
                let command = match *verb {
                    "lose" => Command::LoseBoards { machine, boards, reason },
                    "drain" => Command::DrainBoards { machine, boards, draining: true },
                    "undrain" => Command::DrainBoards { machine, boards, draining: false },
                    _ => Command::BreakBoards { machine, boards, reason: "it has no serial port".into() },
                };
                self.wish(&Caller::server(), &command);
            }
            ["offer", board, labels @ ..] => {
                let (machine, _) = board.split_once('/').unwrap_or_else(|| panic!("'{board}' is no board"));
                let spec = telling::spec_of(&self.lab, machine).expect("the pool is there");
                let (machine, board) = (machine.into(), words::board_index(&spec, board));
                let offers = labels.iter().map(|label| words::image(label)).collect();
                self.wish(&Caller::server(), &Command::OfferOnBoard { machine, board, offers });
            }
            [verb @ ("putback" | "finish"), job, said @ ..] => {
                let (job, said) = (JobId(number(job)), said.join(" ").into());
                let grant = self.grant_of(job);
                let command = match *verb {
                    "putback" => Command::PutBackJob { job, grant, reason: said },
                    _ => Command::FinishJob { job, grant, words: said },
                };
                self.wish(&Caller::server(), &command);
            }
            ["options", rest @ ..] => self.set_options(rest),
            ["obedient"] => self.obedient = Some(0),
            ["disobedient"] => self.obedient = None,
            ["power", job, answer @ ..] => self.answer(self.last_order(job, false), answer),
            ["clean", job, answer @ ..] => self.answer(self.last_order(job, true), answer),
            ["test", board, answer @ ..] => self.answer(self.last_test(board), answer),
            ["order", id, answer @ ..] => self.answer(order_id(id), answer),
            ["note", job] => self.lab.note(&[(JobId(number(job)), self.now)]),
            ["wait", time] => self.wait(words::ms(time)),
            ["restart"] => self.restart(),
            ["restart", time] => {
                self.now = self.now.plus_ms(words::ms(time));
                self.restart();
            }
            question => self.ask(question),
        }
    }

    fn wish(&mut self, caller: &Caller, command: &Command) {
        match self.lab.decide(self.now, caller, command) {
            Ok(facts) => facts.into_iter().for_each(|fact| self.apply(fact)),
            Err(refusal) => self.said.push(telling::refusal(&refusal)),
        }
    }

    fn apply(&mut self, fact: Fact) {
        let mut line = telling::fact(&self.lab, &fact);
        self.lab.apply(&fact);
        for effect in self.lab.react(&fact) {
            if let Effect::Order(order) = effect {
                line = format!("{line} | {}", telling::order(&self.lab, &order));
                self.given.push(order);
            }
        }
        self.kept.push(fact);
        self.said.push(line);
    }

    /// Lets everything happen that is due, and obedient hardware obey.
    fn rest(&mut self) {
        loop {
            while let Some(fact) = self.lab.settle(self.now) {
                self.apply(fact);
                assert!(self.said.len() < LINES_MAX, "the lab finds no rest: {:?}", self.said.last());
            }
            let Some(order) = self.obedient.and_then(|next| self.given.get(next)).cloned() else { break };
            self.obedient = self.obedient.map(|next| next + 1);
            self.tell_outcome(order.id, order.boards.to_vec(), Vec::new());
        }
        if let Err(why) = self.lab.check() {
            panic!("the lab contradicts itself: {why}\nafter {:#?}", self.said);
        }
    }

    fn tell_outcome(&mut self, order: OrderId, obeyed: Vec<BoardIndex>, failed: Vec<(BoardIndex, Arc<str>)>) {
        self.wish(&Caller::server(), &Command::AnswerOrder { order, obeyed, failed });
    }

    fn configure(&mut self) {
        self.wish(&Caller::server(), &Command::Configure(self.machines.clone()));
    }

    fn set_options(&mut self, words: &[&str]) {
        let mut said = Options::of(words);
        let options = &mut self.options;
        options.retired_jobs_max = said.number("retired").unwrap_or(options.retired_jobs_max);
        options.grant_attempts_max = said.number("attempts").unwrap_or(options.grant_attempts_max);
        options.jobs_max = said.number("jobs").unwrap_or(options.jobs_max);
        options.jobs_per_owner_max = said.number("own_jobs").unwrap_or(options.jobs_per_owner_max);
        options.keepalive_ms_max = said.ms("keepalive").unwrap_or(options.keepalive_ms_max);
        options.users_max = said.number("users").unwrap_or(options.users_max);
        options.sessions_per_user_max = said.number("sessions").unwrap_or(options.sessions_per_user_max);
        options.patience_ms = said.ms("patience").unwrap_or(options.patience_ms);
        options.retest_after_ms = said.ms("retest").unwrap_or(options.retest_after_ms);
        options.reports_to_quarantine = said.number("reports").unwrap_or(options.reports_to_quarantine);
        options.restart_grace_ms = said.ms("grace").unwrap_or(options.restart_grace_ms);
        options.reservation_ms = said.ms("span").unwrap_or(options.reservation_ms);
        options.warning.before_ms = said.ms("warn").unwrap_or(options.warning.before_ms);
        options.warning.every_ms = said.ms("every").unwrap_or(options.warning.every_ms);
        said.end();
        self.lab.set_options(options.clone());
    }

    /// The grant of the last order that was given for a job to switch its boards; of none, the first there could be.
    fn grant_of(&self, job: JobId) -> Grant {
        let of_job = |order: &&Order| order.job == Some(job) && order.action != Action::Clean;
        self.given.iter().rev().find(of_job).map_or(Grant(1), |order| order.id.grant)
    }

    /// The last order that was given for a job, to clean its boards or to switch them.
    fn last_order(&self, job: &str, clean: bool) -> OrderId {
        let job = Some(JobId(number(job)));
        let of_kind = |order: &&Order| order.job == job && (order.action == Action::Clean) == clean;
        self.given.iter().rev().find(of_kind).unwrap_or_else(|| panic!("{job:?} has no such order")).id
    }

    fn last_test(&self, board: &str) -> OrderId {
        let of_board = |order: &&Order| {
            order.action == Action::Test && telling::boards(&self.lab, &order.machine, &order.boards) == board
        };
        self.given.iter().rev().find(of_board).unwrap_or_else(|| panic!("{board} was not tested")).id
    }

    /// `ok`, `ok a b`, `fail a it is burnt`, `ok a fail b burnt`.
    fn answer(&mut self, id: OrderId, words: &[&str]) {
        let given = self.given.iter().rev().find(|order| order.id == id);
        let order = given.unwrap_or_else(|| panic!("there was no order {id}")).clone();
        let spec = telling::spec_of(&self.lab, &order.machine);
        let index = |text: &str| spec.as_ref().map_or(BoardIndex(0), |spec| words::board_index(spec, text));
        let split = words.iter().position(|word| *word == "fail").unwrap_or(words.len());
        let (well, ill) = words.split_at(split);
        let obeyed = match well {
            ["ok"] => order.boards.to_vec(),
            ["ok", boards @ ..] => boards.iter().map(|board| index(board)).collect(),
            _ => Vec::new(),
        };
        let failed = match ill {
            ["fail"] => order.boards.iter().map(|board| (*board, "broken".into())).collect(),
            ["fail", board, why @ ..] => vec![(index(board), why.join(" ").into())],
            _ => Vec::new(),
        };
        self.tell_outcome(id, obeyed, failed);
    }

    /// Time passes; what falls due on the way happens at its moment.
    fn wait(&mut self, ms: u64) {
        let until = self.now.plus_ms(ms);
        while let Some((at, why)) = self.lab.wake_at().filter(|(at, _)| *at <= until) {
            self.now = self.now.max(at);
            let before = self.said.len();
            self.rest();
            assert!(self.said.len() > before, "the lab wakes for {why:?} and does nothing");
            self.said[before..].iter_mut().for_each(|line| *line = format!("{} {line}", telling::time(at)));
        }
        self.now = until;
    }

    /// All facts into a new lab, and that lab into pieces and together again. It and the old one, each with whole
    /// keepalives, must be alike in all they answer.
    fn restart(&mut self) {
        let mut told = Lab::new(self.options.clone());
        self.kept.iter().for_each(|fact| told.apply(fact));
        let mut new = Lab::new(self.options.clone());
        new.restore(told.pieces()).expect("a lab can be put together again");
        assert_eq!(new.pieces(), told.pieces());
        let (ours, theirs) = (self.lab.resume(self.now), new.resume(self.now));
        assert_eq!(format!("{ours:?}"), format!("{theirs:?}"), "after replay other orders are given");
        for query in questions(&self.lab) {
            let (old, new) = (self.lab.see(&query), new.see(&query));
            assert_eq!(
                format!("{old:?}"),
                format!("{new:?}"),
                "after replay the answer to {query:?} differs"
            );
        }
        assert_eq!(self.lab.wake_at(), new.wake_at());
        self.lab = new;
        for effect in theirs {
            let Effect::Order(order) = effect else { continue };
            self.said.push(format!("again {}", telling::order(&self.lab, &order)));
            self.given.push(order);
        }
    }

    fn reservable(&self, words: &[&str]) -> Reservable {
        let mut said = Options::of(words);
        let (machine, kind) = (said.take("machine").map(Arc::from), said.take("kind").map(Arc::from));
        said.end();
        Reservable { machine, kind, now: self.now }
    }

    fn ask(&mut self, question: &[&str]) {
        let query = match question {
            ["list"] => Query::Jobs(JobFilter::default()),
            ["ended"] => Query::Jobs(JobFilter { state: Some(JobState::Destroyed), ..JobFilter::default() }),
            ["job", job] => Query::Job(JobId(number(job))),
            ["explain", job] => Query::Explain(JobId(number(job))),
            ["history", job] => Query::JobHistory(JobId(number(job))),
            ["available", rest @ ..] => Query::Available(self.reservable(rest)),
            ["devices", rest @ ..] => Query::Devices(self.reservable(rest)),
            ["boards"] => Query::Boards(BoardFilter::default()),
            ["status"] => Query::Status,
            ["users"] => Query::Users,
            other => panic!("not understood: {other:?}"),
        };
        // Who only reads sees a lab that made no pass over its queue, and sees the same.
        if let Query::Available(_) | Query::Devices(_) = query {
            let mut told = Lab::new(self.options.clone());
            self.kept.iter().for_each(|fact| told.apply(fact));
            assert_eq!(format!("{:?}", told.see(&query)), format!("{:?}", self.lab.see(&query)));
        }
        match self.lab.see(&query) {
            Ok(view) => self.said.extend(telling::view(&view)),
            Err(refusal) => self.said.push(telling::refusal(&refusal)),
        }
    }
}

/// A line, with its end cut off if it is long.
fn shortened(line: &str) -> String {
    let mut shown: String = line.chars().take(LINE_CHARS_MAX).collect();
    if shown.len() < line.len() {
        shown.push_str("...");
    }
    shown
}

/// Every question there is to ask of a lab of this size.
pub fn questions(lab: &Lab) -> Vec<Query> {
    let mut all = vec![Query::Status, Query::Machines, Query::Boards(BoardFilter::default()), Query::Users];
    all.extend(
        JobState::ALL.map(|state| Query::Jobs(JobFilter { state: Some(state), ..JobFilter::default() })),
    );
    let Ok(berth::lab::view::View::Jobs(jobs)) = lab.see(&Query::Jobs(JobFilter::default())) else {
        return all;
    };
    for job in jobs {
        all.extend([
            Query::Job(job.id),
            Query::Explain(job.id),
            Query::JobHistory(job.id),
            Query::JobMachine(job.id),
        ]);
    }
    all
}

fn order_id(text: &str) -> OrderId {
    let (grant, step) = text.split_once('.').unwrap_or_else(|| panic!("'{text}' is no order"));
    OrderId { grant: Grant(number(grant)), step: number(step) }
}
