//! What must be true after a restart: the server knows what the ledgers know, no more and no less, and says nothing
//! else than it said before.

use super::Figures;
use super::ledger::{Ledger, Session, Wish};
use crate::served::{Place, Served};
use crate::simulator::chance::Chance;
use berth::client::{Client, ClientError, Request};
use berth::error::Code;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// So many jobs and sessions that had nothing to do with the last life are looked at more closely.
const SAMPLE: usize = 8;

/// So many times the lab is looked at until it holds still.
const LOOKS_MAX: usize = 1000;

/// The lab as the server shows it.
struct Shown {
    jobs: BTreeMap<u64, Value>,
    boards: Vec<Value>,
    users: BTreeMap<String, String>,
    /// Sessions by what they call themselves.
    sessions: BTreeMap<String, Value>,
}

fn rows(list: &Value) -> &[Value] {
    list.as_array().expect("a list")
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}")).to_owned()
}

impl Shown {
    /// Looks at everything at one instant: until two looks show the same jobs.
    fn by(master: &mut Client) -> Shown {
        let call = Request::new;
        let requests = [
            call("list_jobs"),
            call("list_jobs").with("state", "destroyed"),
            call("list_boards"),
            call("list_users"),
            call("list_sessions"),
            call("list_jobs"),
        ];
        let mut looks = (0..LOOKS_MAX).map(|_| {
            let answers = master.call_many(&requests).expect("answers");
            answers.into_iter().map(|answer| answer.expect("no refusal")).collect::<Vec<_>>()
        });
        let still = looks.find(|look| look[0] == look[5]).expect("the lab comes to rest");
        let jobs = rows(&still[0]).iter().chain(rows(&still[1]));
        let user = |row: &Value| (text(&row["user"]), text(&row["role"]));
        let mut sessions = BTreeMap::new();
        for row in rows(&still[4]).iter().filter(|row| row["client"] != "local") {
            let twice = sessions.insert(text(&row["client"]), row.clone());
            assert!(twice.is_none(), "two sessions call themselves {row}");
        }
        Shown {
            jobs: jobs.map(|job| (job["job_id"].as_u64().expect("a number"), job.clone())).collect(),
            boards: rows(&still[2]).to_vec(),
            users: rows(&still[3]).iter().map(user).collect(),
            sessions,
        }
    }
}

/// Who looks at the books after each restart.
#[derive(Default)]
pub struct Auditor {
    /// The greatest number of a grant that was ever seen.
    grant_max: u64,
    /// The grants that were seen, and whose they are.
    grants: BTreeMap<u64, u64>,
    /// How many times it logged in.
    log_ins: u64,
}

impl Auditor {
    /// Finds out what came of the messages that were cut off, then holds everything against the ledgers.
    pub fn audit(
        &mut self,
        served: &Served,
        place: &Place,
        ledgers: &mut [Ledger],
        chance: &mut Chance,
        figures: &mut Figures,
    ) {
        let mut master = served.master(place);
        let shown = Shown::by(&mut master);
        for ledger in ledgers.iter_mut() {
            let cut_off = std::mem::take(&mut ledger.unanswered);
            figures.cut_off += u64::from(!cut_off.is_empty());
            figures.kept += u64::from(self.find_out(served, &mut master, ledger, &shown, cut_off));
        }
        self.check_jobs(&shown, ledgers);
        check_boards(&shown);
        check_users(&shown, ledgers);
        for ledger in ledgers.iter_mut() {
            let mut ids = std::mem::take(&mut ledger.touched);
            ids.extend(sample(chance, ledger.jobs.keys().copied()));
            check_histories(&mut master, ledger, &ids);
            check_sessions_in_use(served, ledger, chance);
        }
        if chance.percent(30) {
            let ledger = &mut ledgers[chance.below(ledgers.len() as u64) as usize];
            self.check_passwords(served, ledger, chance);
        }
    }

    /// Finds out whether a message that was cut off was kept, and enters it if so: wholly or not at all.
    fn find_out(
        &mut self,
        served: &Served,
        master: &mut Client,
        ledger: &mut Ledger,
        shown: &Shown,
        cut_off: Vec<Wish>,
    ) -> bool {
        let found: Vec<Option<Value>> =
            cut_off.iter().map(|wish| self.found(served, master, ledger, shown, wish)).collect();
        let kept = found.iter().filter(|found| found.is_some()).count();
        assert!(kept == 0 || kept == found.len(), "{kept} parts of one message were kept: {cut_off:?}");
        for (wish, found) in cut_off.into_iter().zip(found) {
            match (found, wish) {
                (Some(answer), wish) => ledger.granted(&wish, &answer),
                (None, Wish::Create { note, .. }) => drop(ledger.lost.insert(note)),
                (None, Wish::Report { reason, .. }) => drop(ledger.reports_cut_off.insert(reason)),
                (None, Wish::Open { name, user }) => {
                    drop(ledger.sessions.insert(name, Session { id: None, user, lives: false }));
                }
                _ => {}
            }
        }
        kept > 0
    }

    /// What a wish would have been answered, if it was kept.
    fn found(
        &mut self,
        served: &Served,
        master: &mut Client,
        ledger: &mut Ledger,
        shown: &Shown,
        wish: &Wish,
    ) -> Option<Value> {
        let kept = match wish {
            Wish::Create { note, .. } => {
                let found = shown.jobs.iter().find(|(_, job)| job["note"] == **note);
                return found.map(|(id, _)| json!(id));
            }
            Wish::Destroy { job, reason } => {
                let why = &shown.jobs[job]["reason"];
                why.as_str().is_some_and(|why| why.ends_with(&format!(": {reason}")))
            }
            Wish::Power { job, on } => {
                powered(&history(master, &[*job])[0])[usize::from(*on)]
                    > ledger.jobs[job].powered[usize::from(*on)]
            }
            Wish::Report { .. } => false,
            Wish::MakeUser { user, .. } => shown.users.contains_key(user),
            Wish::SetRole { user, role } => shown.users[user] == *role,
            Wish::DeleteUser { user } => !shown.users.contains_key(user),
            Wish::Open { name, .. } => shown.sessions.contains_key(name),
            Wish::End { name, .. } => !shown.sessions.contains_key(name),
            Wish::SetPassword { user, password } => {
                let kept = self.log_in(served, ledger, user, password).is_ok();
                let before = ledger.users[user].password.clone();
                assert!(kept || self.log_in(served, ledger, user, &before).is_ok(), "{user} has no password");
                kept
            }
        };
        kept.then_some(Value::Null)
    }

    /// Tries a password; the session is ended again, so that the books stay as they are.
    fn log_in(
        &mut self,
        served: &Served,
        ledger: &mut Ledger,
        user: &str,
        password: &str,
    ) -> Result<(), ClientError> {
        self.log_ins += 1;
        let mut client = served.connect();
        client.call_myself(&format!("auditor-{}-{}", ledger.name, self.log_ins));
        client.handshake(user, password)?;
        let me = client.call("whoami", &[]).expect("an answer");
        assert_eq!(me["user"], *user);
        client.command(berth::wire::envelope::Command::Logout).map(drop)
    }

    /// Every job that was kept is there, no other one is, and none is or was otherwise than it may be.
    fn check_jobs(&mut self, shown: &Shown, ledgers: &mut [Ledger]) {
        let known: BTreeSet<_> = ledgers.iter().flat_map(|ledger| ledger.jobs.keys().copied()).collect();
        let there: BTreeSet<_> = shown.jobs.keys().copied().collect();
        let lost: Vec<_> = known.difference(&there).collect();
        assert!(lost.is_empty(), "jobs {lost:?} were acknowledged and are gone");
        let more: Vec<_> = there.difference(&known).map(|id| &shown.jobs[id]).collect();
        assert!(more.is_empty(), "nobody knows of these jobs, or they were lost before: {more:?}");
        let grant_max = self.grant_max;
        for (id, known) in ledgers.iter_mut().flat_map(|ledger| &mut ledger.jobs) {
            let job = &shown.jobs[id];
            assert_eq!(job["note"], *known.note, "job {id} is another one now");
            if let Some(grant) = job["grant"].as_u64() {
                known.grants.insert(grant);
                let before = self.grants.insert(grant, *id);
                assert!(
                    before.is_none_or(|before| before == *id),
                    "grant {grant} was of {before:?}, now of {id}"
                );
                assert!(
                    before.is_some() || grant > grant_max,
                    "grant {grant} is new, and {grant_max} was before"
                );
                self.grant_max = self.grant_max.max(grant);
            }
            check_end(*id, known, job);
        }
    }

    /// The password of one user works, and another one does not.
    fn check_passwords(&mut self, served: &Served, ledger: &mut Ledger, chance: &mut Chance) {
        let users: Vec<_> = ledger.users.clone().into_iter().collect();
        let Some((name, user)) = chance.pick(&users) else { return };
        self.log_in(served, ledger, name, &user.password)
            .unwrap_or_else(|error| panic!("the password of {name} was acknowledged: {error}"));
        let wrong = self.log_in(served, ledger, name, "another one").expect_err("a wrong password");
        assert!(wrong.is(Code::WRONG_CREDENTIALS), "{wrong}");
    }
}

/// A job is over if its end was acknowledged, for that reason; else only if it may end by itself; and stays so.
fn check_end(id: u64, known: &mut super::ledger::Job, job: &Value) {
    let ended = (job["state_name"] == "destroyed").then(|| (job["reason"].clone(), job["ended_at"].clone()));
    let why = ended.as_ref().map(|(reason, _)| text(reason));
    match (&known.asked, &why) {
        (Some(asked), Some(why)) => {
            assert!(why.ends_with(&format!(": {asked}")), "job {id}: {asked}, not {why}")
        }
        (Some(asked), None) => panic!("the end of job {id} was acknowledged ({asked}), and it lives: {job}"),
        (None, Some(why)) => {
            let may = known.may_lapse && why == "keepalive lapsed"
                || known.may_fail && why.starts_with("boards failed: ");
            assert!(may, "nobody asked for the end of job {id}: {why}");
        }
        (None, None) => {}
    }
    if known.ended.is_some() {
        assert_eq!(known.ended, ended, "job {id} ended otherwise before");
    }
    known.ended = ended;
}

/// A board that is lent is of exactly one job that lives, and that job knows it.
fn check_boards(shown: &Shown) {
    let mut held = BTreeMap::new();
    for (id, job) in shown.jobs.iter().filter(|(_, job)| job["state_name"] != "destroyed") {
        let Some(machine) = job["allocated_machine_name"].as_str() else { continue };
        for board in rows(&job["boards"]) {
            let before = held.insert((machine.to_owned(), board.to_string()), *id);
            assert!(before.is_none(), "{machine} {board} is of job {id} and of job {before:?}");
        }
    }
    let mut lent = BTreeMap::new();
    for board in shown.boards.iter().filter(|board| board["state"] == "lent") {
        let id = board["job_id"].as_u64().unwrap_or_else(|| panic!("lent to nobody: {board}"));
        lent.insert((text(&board["machine"]), board["board"].to_string()), id);
    }
    assert_eq!(held, lent, "what jobs hold, and what boards are lent");
}

/// Users and sessions are those of the ledgers.
fn check_users(shown: &Shown, ledgers: &[Ledger]) {
    let users = ledgers.iter().flat_map(|ledger| &ledger.users);
    let mut users: BTreeMap<_, _> = users.map(|(name, user)| (name.clone(), user.role.clone())).collect();
    users.insert("admin".to_owned(), "admin".to_owned());
    assert_eq!(users, shown.users);
    let sessions = ledgers.iter().flat_map(|ledger| &ledger.sessions).filter(|(_, session)| session.lives);
    let sessions: BTreeMap<_, _> =
        sessions.map(|(name, session)| (name.clone(), session.user.clone())).collect();
    let there = shown.sessions.iter().map(|(name, session)| (name.clone(), text(&session["user"])));
    assert_eq!(sessions, there.collect());
}

/// The past of each of these jobs.
fn history(master: &mut Client, ids: &[u64]) -> Vec<Value> {
    let requests: Vec<_> = ids.iter().map(|id| Request::new("job_history").with("job_id", *id)).collect();
    let answers = master.call_many(&requests).expect("answers");
    answers.into_iter().map(|answer| answer.expect("a past")).collect()
}

/// How often the power of a job was switched off and on.
fn powered(history: &Value) -> [u64; 2] {
    let count = |on: bool| {
        rows(history).iter().filter(|past| past["event"] == "powering" && past["power"] == on).count() as u64
    };
    [count(false), count(true)]
}

/// The past of a job begins and ends as it must, and has in it all that was acknowledged and seen.
fn check_histories(master: &mut Client, ledger: &Ledger, ids: &BTreeSet<u64>) {
    let ids: Vec<_> = ids.iter().copied().collect();
    for (id, past) in ids.iter().zip(history(master, &ids)) {
        let known = &ledger.jobs[id];
        let told = || format!("job {id}, {known:?}: {past}");
        let mut lent = false;
        for (place, event) in rows(&past).iter().enumerate() {
            let (word, last) = (text(&event["event"]), place + 1 == rows(&past).len());
            match word.as_str() {
                "queued" => assert_eq!(place, 0, "{}", told()),
                "granted" => assert!(!std::mem::replace(&mut lent, true), "{}", told()),
                "ready" | "powering" | "board_failed" => assert!(lent, "{}", told()),
                "requeued" => assert!(std::mem::take(&mut lent), "{}", told()),
                "destroyed" => assert!(last, "{}", told()),
                _ => panic!("{}", told()),
            }
            assert!(place > 0 || word == "queued", "{}", told());
            // One that may end by itself may have done so since the lab was looked at.
            let may_be_over = known.ended.is_some() || known.may_lapse || known.may_fail;
            assert!(may_be_over || word != "destroyed", "{}", told());
            assert!(!last || known.ended.is_none() || word == "destroyed", "{}", told());
        }
        assert!(rows(&past).is_sorted_by_key(|event| event["at"].as_f64()), "{}", told());
        let grants: Vec<_> = rows(&past).iter().filter_map(|event| event["grant"].as_u64()).collect();
        assert!(grants.is_sorted_by(|a, b| a < b), "{}", told());
        assert!(known.grants.iter().all(|grant| grants.contains(grant)), "{}", told());
        assert_eq!(powered(&past), known.powered, "{}", told());
    }
}

/// Sessions that live can be used, on a connection they were never seen on; those that ended cannot.
fn check_sessions_in_use(served: &Served, ledger: &Ledger, chance: &mut Chance) {
    let ids = |lives: bool| {
        let sessions = ledger.sessions.iter().filter(move |(_, session)| session.lives == lives);
        sessions.filter_map(|(name, session)| Some((name, session.id.clone()?, &session.user)))
    };
    let mut client = served.connect();
    for (name, id, user) in sample(chance, ids(true)) {
        client.join(&id);
        let me = client.call("whoami", &[]).unwrap_or_else(|error| panic!("session {name}: {error}"));
        assert_eq!((&me["user"], &me["client"]), (&json!(user), &json!(name)));
    }
    for (name, id, _) in sample(chance, ids(false)) {
        client.join(&id);
        let over = client.call("whoami", &[]).expect_err("a session that ended");
        assert!(over.is(Code::SESSION_EXPIRED), "session {name}: {over}");
    }
}

/// A few of many, the newest among them.
fn sample<T: Clone>(chance: &mut Chance, all: impl Iterator<Item = T>) -> Vec<T> {
    let all: Vec<_> = all.collect();
    let newest = all.iter().rev().take(SAMPLE / 2).cloned();
    let others: Vec<_> = (0..SAMPLE / 2).filter_map(|_| chance.pick(&all).cloned()).collect();
    newest.chain(others).collect()
}
