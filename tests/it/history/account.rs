//! A lab that leads a random life, and an account of every loan in it made for each job by itself.

use crate::simulator::chance::Chance;
use berth::allocator::BoardIndex;
use berth::clock::Moment;
use berth::journal::{EmbeddedJournal, Journal, Keeping};
use berth::lab::command::{Caller, Command};
use berth::lab::effect::{Effect, Order};
use berth::lab::fact::{Event, Fact, Grant, JobId, Mark, OrderId};
use berth::lab::history::Row;
use berth::lab::job::{JobEvent, JobSpec, Reason, Want};
use berth::lab::machine::{MachineSpec, Shape};
use berth::lab::snapshot::Piece;
use berth::lab::view::{BoardAddress, Query, View};
use berth::lab::{Lab, Options};
use std::path::Path;
use std::sync::Arc;

/// What is known of one loan, or of one wait without one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Account {
    pub job: u64,
    pub waits_since: u64,
    pub grant: Option<u64>,
    pub owner: String,
    pub boards: Vec<String>,
    pub count: usize,
    pub granted_at: Option<u64>,
    pub ready_at: Option<u64>,
    pub ended_at: Option<u64>,
    pub state: &'static str,
    pub reason: Option<String>,
    pub failed: usize,
    pub powerings: usize,
}

impl Account {
    /// What a row says.
    pub fn of_row(row: &Row) -> Account {
        let loan = row.loan.as_ref();
        Account {
            job: row.job.0,
            waits_since: row.waits_since.0,
            grant: loan.map(|loan| loan.grant.0),
            owner: row.spec.owner.to_string(),
            boards: loan
                .map(|loan| loan.boards().map(|board| board.text_in(&loan.machine)).collect())
                .unwrap_or_default(),
            count: loan.map_or(0, |loan| loan.count),
            granted_at: loan.map(|loan| loan.granted_at.0),
            ready_at: loan.and_then(|loan| loan.ready_at).map(|at| at.0),
            ended_at: row.ended_at.map(|at| at.0),
            state: row.state.word(),
            reason: row.reason.clone(),
            failed: loan.map_or(0, |loan| loan.failed as usize),
            powerings: loan.map_or(0, |loan| loan.powerings as usize),
        }
    }
}

/// Accounts in an order of their own.
pub fn sorted(mut accounts: Vec<Account>) -> Vec<Account> {
    accounts
        .sort_by_key(|account| (account.job, account.waits_since, account.grant.is_none(), account.grant));
    accounts
}

/// The job a fact queues.
pub fn queued(fact: &Fact) -> Option<JobId> {
    match fact.event {
        Event::JobQueued { job, .. } => Some(job),
        _ => None,
    }
}

/// A lab, everything that happened in it, and what was true after each fact.
pub struct Life {
    pub lab: Lab,
    pub facts: Vec<Fact>,
    pub pieces: Vec<Vec<Piece>>,
    now: Moment,
    orders: Vec<Order>,
    chance: Chance,
}

impl Life {
    /// The life of a seed.
    pub fn led(seed: u64, steps: usize) -> Life {
        let options = Options { retired_jobs_max: 1_000_000, retest_after_ms: 20_000, ..Options::default() };
        let lab = Lab::new(options);
        let pieces = vec![lab.pieces()];
        let (facts, orders, chance) = (Vec::new(), Vec::new(), Chance::new(seed));
        let mut life = Life { lab, facts, pieces, now: Moment(1_800_000_000_000), orders, chance };
        life.wish(Command::Configure(vec![pool("p", 6), pool("q", 3)]));
        (0..steps).for_each(|_| life.step());
        life
    }

    fn step(&mut self) {
        self.now = self.now.plus_ms(self.chance.below(9000));
        match self.chance.below(20) {
            0..6 => self.answer_one(),
            6..10 => {
                let want = Want::Boards(self.chance.within(1, 3) as u32);
                let mut spec = JobSpec::new(self.chance.one_of(&["ada", "bob"]), want);
                spec.keepalive_ms = Some(self.chance.within(30_000, 300_000));
                self.wish(Command::CreateJob(spec));
            }
            10..12 => {
                let job = self.some_job();
                self.wish(Command::DestroyJob { job, reason: None });
            }
            12..15 => {
                let (job, power) = (self.some_job(), self.chance.percent(50));
                self.wish(Command::PowerJob { job, power });
            }
            15..17 => {
                let board = self.some_board();
                let mark = self.chance.one_of(&[Mark::Free, Mark::Maintenance, Mark::Free]);
                self.wish(Command::MarkBoard { board, mark, reason: "work".into() });
            }
            17..19 => {
                let board = self.some_board();
                self.wish(Command::RetestBoard { board });
            }
            _ => {
                let machines = match self.chance.below(3) {
                    0 => vec![pool("p", 6)],
                    1 => vec![pool("q", 3), pool("p", 6)],
                    _ => vec![pool("p", 6), pool("q", 3)],
                };
                self.wish(Command::Configure(machines));
            }
        }
        self.settle();
    }

    fn some_job(&mut self) -> JobId {
        let jobs = self.jobs().count() as u64;
        JobId(jobs.saturating_sub(self.chance.below(8)))
    }

    fn some_board(&mut self) -> BoardAddress {
        let serial = format!("p-{}", self.chance.below(6)).into();
        BoardAddress::Serial { machine: None, serial }
    }

    /// One of the open orders is answered, mostly well.
    fn answer_one(&mut self) {
        if self.orders.is_empty() {
            return;
        }
        let order = self.orders.remove(self.chance.below(self.orders.len() as u64) as usize);
        let (mut obeyed, mut failed) = (Vec::new(), Vec::new());
        for board in order.boards.iter() {
            match self.chance.percent(15) {
                true => failed.push((*board, "it smokes".into())),
                false => obeyed.push(*board),
            }
        }
        self.wish(Command::AnswerOrder { order: order.id, obeyed, failed });
    }

    fn wish(&mut self, command: Command) {
        let facts = self.lab.decide(self.now, &Caller::server(), &command).unwrap_or_default();
        facts.into_iter().for_each(|fact| self.apply(fact));
        self.settle();
    }

    fn settle(&mut self) {
        while let Some(fact) = self.lab.settle(self.now) {
            self.apply(fact);
        }
    }

    fn apply(&mut self, fact: Fact) {
        self.lab.apply(&fact);
        for effect in self.lab.react(&fact) {
            if let Effect::Order(order) = effect {
                self.orders.push(order);
            }
        }
        self.facts.push(fact);
        self.pieces.push(self.lab.pieces());
    }

    /// All jobs there ever were.
    pub fn jobs(&self) -> impl Iterator<Item = JobId> {
        self.facts.iter().filter_map(queued)
    }

    /// What the lab remembers of a job.
    pub fn log(&self, job: JobId) -> Vec<(Moment, JobEvent)> {
        match self.lab.see(&Query::JobHistory(job)) {
            Ok(View::JobHistory(log)) => log,
            other => panic!("{other:?} of job {job}"),
        }
    }

    /// Every loan and every wait, job by job.
    pub fn accounts(&self) -> Vec<Account> {
        self.jobs().flat_map(|job| self.accounts_of(job)).collect()
    }

    fn accounts_of(&self, job: JobId) -> Vec<Account> {
        let log = self.log(job);
        let ends = |event: &JobEvent| matches!(event, JobEvent::Requeued(_) | JobEvent::Destroyed(_));
        let mut since = log[0].0.0;
        let mut accounts = Vec::new();
        let begins_anew = !matches!(log.last(), Some((_, JobEvent::Destroyed(_))));
        let mut stretches: Vec<_> = log.split_inclusive(|(_, event)| ends(event)).collect();
        if begins_anew && log.last().is_some_and(|(_, event)| ends(event)) {
            stretches.push(&[]);
        }
        for stretch in stretches {
            accounts.push(self.account_of(job, since, stretch));
            since = stretch.last().map_or(since, |(at, _)| at.0);
        }
        accounts
    }

    /// A stretch of a job's life, from a wait to the end of the loan that followed it.
    fn account_of(&self, job: JobId, waits_since: u64, stretch: &[(Moment, JobEvent)]) -> Account {
        let first = |is: fn(&JobEvent) -> bool| stretch.iter().find(|(_, event)| is(event));
        let count = |is: fn(&JobEvent) -> bool| stretch.iter().filter(|(_, event)| is(event)).count();
        let granted = first(|event| matches!(event, JobEvent::Granted { .. }));
        let grant = granted.and_then(|(_, event)| match event {
            JobEvent::Granted { grant, .. } => Some(*grant),
            _ => None,
        });
        let (state, ended_at, reason) = match stretch.last() {
            Some((at, JobEvent::Requeued(why))) => ("requeued", Some(at.0), Some(why.to_string())),
            Some((at, JobEvent::Destroyed(why))) => ("destroyed", Some(at.0), Some(why.to_string())),
            _ => {
                let Ok(View::Job(view)) = self.lab.see(&Query::Job(job)) else { panic!("job {job} is lost") };
                (view.state.word(), None, None)
            }
        };
        let Ok(View::Job(view)) = self.lab.see(&Query::Job(job)) else { panic!("job {job} is lost") };
        let boards = grant.map_or_else(Vec::new, |grant| self.boards_of(grant));
        Account {
            job: job.0,
            waits_since,
            grant: grant.map(|grant| grant.0),
            owner: view.spec.owner.to_string(),
            count: boards.len(),
            boards,
            granted_at: granted.map(|(at, _)| at.0),
            ready_at: first(|event| matches!(event, JobEvent::Ready { .. })).map(|(at, _)| at.0),
            ended_at,
            state,
            reason,
            failed: count(|event| matches!(event, JobEvent::BoardFailed { .. })),
            powerings: count(|event| matches!(event, JobEvent::Powering { .. })),
        }
    }

    /// The boards of a grant as people write them; all machines here are pools.
    fn boards_of(&self, wanted: Grant) -> Vec<String> {
        let of = |fact: &Fact| match &fact.event {
            Event::JobGranted { grant, machine, boards, .. } if *grant == wanted => {
                Some(boards.iter().map(|board| format!("{machine}/{machine}-{}", board.0)).collect())
            }
            _ => None,
        };
        self.facts.iter().find_map(of).expect("a grant")
    }
}

fn pool(name: &str, boards: u32) -> Arc<MachineSpec> {
    let serials = (0..boards).map(|number| format!("{name}-{number}").into()).collect();
    Arc::new(MachineSpec {
        name: name.into(),
        shape: Shape::Pool { serials },
        tags: ["default".into()].into(),
        kinds: vec!["spinnaker".into()],
        settle_ms: 500,
        order_ms_max: 10_000,
        agents: false,
        boots: true,
    })
}

/// Keeps a life in a journal whose beginning is deleted meanwhile; answers the number of the first fact that is left.
pub fn keep_late(life: &Life, dir: &Path) -> usize {
    let keeping = Keeping { snapshot_facts: 60, history_ms: Some(1) };
    let mut journal = EmbeddedJournal::open(dir).unwrap().keeping(keeping);
    for (number, fact) in life.facts.iter().enumerate() {
        journal.append(std::slice::from_ref(fact)).unwrap();
        if journal.wants_snapshot() {
            journal.begin_snapshot(fact.at, life.pieces[number + 1].clone());
        }
        // Deleting is put off a little, so that some facts before the snapshot are left.
        let now = Moment(fact.at.0.saturating_sub(120_000));
        while journal.tend(now, true).unwrap().is_some_and(|again| again <= now) {}
    }
    drop(journal);
    berth::journal::JournalReader::open(dir).unwrap().first() as usize
}

/// The facts of so many jobs that come and go, after `before` others.
pub fn round_of_jobs(before: u64, at: Moment, jobs: u64) -> Vec<Fact> {
    let mut events = Vec::new();
    if before == 0 {
        events.push(Event::MachineAdded { spec: pool("p", 6), position: 0 });
    }
    for number in before + 1..=before + jobs {
        let (job, grant) = (JobId(number), Grant(number));
        let board = BoardIndex((number % 6) as u32);
        let order = |step| OrderId { grant, step };
        let spec = Arc::new(JobSpec::new("ada", Want::Boards(1)));
        let reason = Reason::Asked { by: "ada".into(), text: None };
        events.extend([
            Event::JobQueued { job, spec },
            Event::JobGranted { job, grant, machine: "p".into(), boards: [board].into(), region: None },
            Event::OrderAnswered { order: order(0), obeyed: vec![board], failed: Vec::new() },
            Event::JobReady { job, order: order(0), power: true },
            Event::JobDestroyed { job, order: Some(order(1)), reason },
            Event::OrderAnswered { order: order(1), obeyed: vec![board], failed: Vec::new() },
            Event::BoardsCleaned { order: order(1), machine: "p".into(), boards: vec![board], free_at: at },
        ]);
    }
    events.into_iter().map(|event| Fact { at, event }).collect()
}
