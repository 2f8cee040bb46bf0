//! What the journal itself must hold in the end, told by a model of its own that is as plain as can be: who has which
//! board, who is a user, which sessions live.

use super::Figures;
use super::ledger::Ledger;
use crate::served::{Place, facts_of};
use berth::allocator::BoardIndex;
use berth::clock::Moment;
use berth::lab::fact::{BoardRef, Event, Fact, MachineName, Mark};
use std::collections::{BTreeMap, BTreeSet};

/// Why nobody can have a board.
#[derive(Debug, PartialEq)]
enum Taken {
    /// It is lent to this job.
    Lent(u64),
    /// It was given back and is not clean yet.
    Cleaning,
    /// It failed.
    SetAside,
}

/// The lab, as far as facts alone tell.
#[derive(Default)]
struct Past {
    at: Moment,
    grant: u64,
    grants: u64,
    boards: BTreeMap<BoardRef, Taken>,
    /// Each job's note, and its grants.
    jobs: BTreeMap<u64, (String, BTreeSet<u64>)>,
    /// For which reasons jobs ended.
    ended: BTreeMap<u64, String>,
    /// How often their power was switched off and on.
    powered: BTreeMap<u64, [u64; 2]>,
    users: BTreeMap<String, String>,
    /// Sessions that live, by what they call themselves.
    sessions: BTreeMap<u128, String>,
    /// All sessions that ever were.
    opened: BTreeSet<u128>,
    reports: Vec<String>,
}

impl Past {
    fn take(&mut self, fact: &Fact) {
        assert!(fact.at >= self.at, "time ran back: {fact:?}");
        self.at = fact.at;
        match &fact.event {
            Event::JobQueued { job, spec } => {
                assert!(self.jobs.keys().all(|before| *before < job.0), "the number was used: {fact:?}");
                self.jobs.insert(job.0, (spec.note.to_string(), BTreeSet::new()));
            }
            Event::JobGranted { job, grant, machine, boards, .. } => {
                self.grants += 1;
                assert_eq!(grant.0, self.grant + 1, "{fact:?}");
                self.grant = grant.0;
                self.living(job.0).1.insert(grant.0);
                for board in boards.iter() {
                    let board = BoardRef { machine: machine.clone(), board: *board };
                    let before = self.boards.insert(board, Taken::Lent(job.0));
                    assert_eq!(before, None, "{fact:?}");
                }
            }
            Event::JobPowering { job, power, .. } => {
                self.living(job.0);
                self.powered.entry(job.0).or_default()[usize::from(*power)] += 1;
            }
            Event::JobReady { job, .. } => drop(self.living(job.0)),
            Event::JobRequeued { job, .. } => {
                self.living(job.0);
                self.give_back(job.0);
            }
            Event::JobDestroyed { job, reason, .. } => {
                self.living(job.0);
                self.ended.insert(job.0, reason.to_string());
                self.give_back(job.0);
            }
            Event::BoardsCleaned { machine, boards, .. } => self.clean(machine, boards),
            Event::BoardQuarantined { board, .. } => {
                self.boards.insert(board.clone(), Taken::SetAside);
            }
            Event::BoardSet { board, mark, .. } => {
                let before = self.boards.remove(board);
                assert!(matches!(before, None | Some(Taken::SetAside)), "{fact:?}: {before:?}");
                assert_eq!(*mark, Mark::Free, "nobody asked for anything else: {fact:?}");
            }
            Event::BoardTested { order, .. } => {
                assert!(order.grant.0 <= self.grant + 1, "{fact:?}");
                self.grant = self.grant.max(order.grant.0);
            }
            Event::BoardReported { reason, .. } => self.reports.push(reason.to_string()),
            _ => self.take_of_people(fact),
        }
    }

    fn take_of_people(&mut self, fact: &Fact) {
        match &fact.event {
            Event::UserCreated { user, role, .. } => {
                let before = self.users.insert(user.to_string(), role.to_string());
                assert_eq!(before, None, "{fact:?}");
            }
            Event::RoleSet { user, role } => {
                *self.users.get_mut(user.as_str()).expect("a user") = role.to_string();
            }
            Event::PasswordSet { user, .. } => assert!(self.users.contains_key(user.as_str()), "{fact:?}"),
            Event::UserDeleted { user } => assert!(self.users.remove(user.as_str()).is_some(), "{fact:?}"),
            Event::SessionOpened { session, client, .. } => {
                assert!(self.opened.insert(session.0), "the id was used: {fact:?}");
                self.sessions.insert(session.0, client.to_string());
            }
            Event::SessionEnded { session, .. } => {
                assert!(self.sessions.remove(&session.0).is_some(), "{fact:?}");
            }
            _ => {}
        }
    }

    fn living(&mut self, job: u64) -> &mut (String, BTreeSet<u64>) {
        assert!(!self.ended.contains_key(&job), "something happened to job {job} after its end");
        self.jobs.get_mut(&job).unwrap_or_else(|| panic!("job {job} was never queued"))
    }

    fn give_back(&mut self, job: u64) {
        self.boards
            .values_mut()
            .filter(|taken| **taken == Taken::Lent(job))
            .for_each(|taken| *taken = Taken::Cleaning);
    }

    fn clean(&mut self, machine: &MachineName, boards: &[BoardIndex]) {
        for board in boards {
            let before = self.boards.remove(&BoardRef { machine: machine.clone(), board: *board });
            assert!(before == Some(Taken::Cleaning), "{board:?} of {machine}: {before:?}");
        }
    }
}

/// Reads the journal of the stopped server and holds it against the ledgers.
pub fn check(place: &Place, ledgers: &[Ledger], figures: &mut Figures) {
    let facts = facts_of(&place.data()).expect("a journal that is whole");
    let mut past = Past::default();
    facts.iter().for_each(|fact| past.take(fact));
    figures.facts += facts.len() as u64;
    figures.grants += past.grants;
    let known: BTreeMap<_, _> = ledgers.iter().flat_map(|ledger| &ledger.jobs).collect();
    assert!(past.jobs.keys().eq(known.keys().copied()), "the jobs of the journal and of the ledgers");
    for (id, job) in known {
        let (note, grants) = &past.jobs[id];
        assert_eq!(*note, job.note, "job {id}");
        assert!(
            grants.is_superset(&job.grants),
            "job {id} had {grants:?} and was seen with {:?}",
            job.grants
        );
        assert_eq!(past.powered.get(id).copied().unwrap_or_default(), job.powered, "job {id}");
        if let Some(asked) = &job.asked {
            let why = past.ended.get(id).unwrap_or_else(|| panic!("the end of job {id} is not there"));
            assert!(why.ends_with(&format!(": {asked}")), "job {id}: {asked}, not {why}");
        }
    }
    check_people(&past, ledgers);
    check_reports(&past, ledgers);
}

fn check_people(past: &Past, ledgers: &[Ledger]) {
    let users = ledgers.iter().flat_map(|ledger| &ledger.users);
    let mut users: BTreeMap<_, _> = users.map(|(name, user)| (name.clone(), user.role.clone())).collect();
    users.insert("admin".to_owned(), "admin".to_owned());
    assert_eq!(past.users, users);
    let sessions = ledgers.iter().flat_map(|ledger| &ledger.sessions).filter(|(_, session)| session.lives);
    let sessions: BTreeSet<_> = sessions.map(|(name, _)| name).collect();
    assert_eq!(past.sessions.values().collect::<BTreeSet<_>>(), sessions);
    assert_eq!(past.sessions.len(), sessions.len());
}

fn check_reports(past: &Past, ledgers: &[Ledger]) {
    let once: BTreeSet<_> = past.reports.iter().collect();
    assert_eq!(once.len(), past.reports.len(), "a report was kept twice");
    for ledger in ledgers {
        assert!(ledger.reports.iter().all(|reason| once.contains(reason)), "a report is lost");
    }
    let all = ledgers.iter().flat_map(|ledger| ledger.reports.iter().chain(&ledger.reports_cut_off));
    let all: BTreeSet<_> = all.collect();
    assert!(once.is_subset(&all), "nobody made these reports: {once:?}");
}
