//! What one client keeps of all it asked: what was acknowledged, and what was sent and cut off before its answer came.
//! Nobody else touches what is a client's own, so its ledger says what must be.

use crate::simulator::chance::Chance;
use berth::client::Request;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Something asked of the server that changes it. Texts in it are nobody else's, so that it can be found again.
#[derive(Clone, Debug)]
pub enum Wish {
    /// A job; `size` is as `create_job` takes it.
    Create { note: String, size: Vec<(&'static str, Value)>, keepalive: Value },
    /// Its end.
    Destroy { job: u64, reason: String },
    /// Its boards on or off.
    Power { job: u64, on: bool },
    /// A word on a board of its own.
    Report { serial: String, reason: String },
    /// A user.
    MakeUser { user: String, role: &'static str, password: String },
    /// Another password for a user, which ends all sessions of the user.
    SetPassword { user: String, password: String },
    /// Another role for a user.
    SetRole { user: String, role: &'static str },
    /// The end of a user.
    DeleteUser { user: String },
    /// A session by a client that calls itself so.
    Open { name: String, user: String },
    /// Its end.
    End { name: String, id: String },
}

impl Wish {
    /// The call that asks for it; a session is opened by a handshake instead.
    pub fn request(&self) -> Request {
        match self.clone() {
            Wish::Create { note, size, keepalive } => size.into_iter().fold(
                Request::new("create_job").with("note", note).with("keepalive", keepalive),
                |request, (name, value)| request.with(name, value),
            ),
            Wish::Destroy { job, reason } => {
                Request::new("destroy_job").with("job_id", job).with("reason", reason)
            }
            Wish::Power { job, on: true } => Request::new("power_on_job_boards").with("job_id", job),
            Wish::Power { job, on: false } => Request::new("power_off_job_boards").with("job_id", job),
            Wish::Report { serial, reason } => {
                Request::new("report_board").with("serial", serial).with("reason", reason)
            }
            Wish::MakeUser { user, role, password } => {
                Request::new("create_user").with("user", user).with("role", role).with("password", password)
            }
            Wish::SetPassword { user, password } => {
                Request::new("set_password").with("user", user).with("password", password)
            }
            Wish::SetRole { user, role } => Request::new("set_role").with("user", user).with("role", role),
            Wish::DeleteUser { user } => Request::new("delete_user").with("user", user),
            Wish::End { id, .. } => Request::new("end_session").with("session", id),
            Wish::Open { .. } => Request::new("whoami"),
        }
    }
}

/// A job that is known to have been kept.
#[derive(Debug, Default)]
pub struct Job {
    /// Its note.
    pub note: String,
    /// Whether it may end because nobody mentioned it.
    pub may_lapse: bool,
    /// Whether its boards may fail.
    pub may_fail: bool,
    /// For which reason its end was asked for, and kept.
    pub asked: Option<String>,
    /// Why and when it ended, as was seen once.
    pub ended: Option<(Value, Value)>,
    /// The numbers of the grants it was seen with.
    pub grants: BTreeSet<u64>,
    /// How often its power was switched off and on.
    pub powered: [u64; 2],
}

/// A user that lives.
#[derive(Clone, Debug)]
pub struct User {
    /// What the user may do.
    pub role: String,
    /// The password.
    pub password: String,
}

/// A session that was kept.
#[derive(Clone, Debug)]
pub struct Session {
    /// Its id, unless the answer was cut off.
    pub id: Option<String>,
    /// Whose it is.
    pub user: String,
    /// Whether it has not ended.
    pub lives: bool,
}

/// See above.
pub struct Ledger {
    /// What the client's texts begin with.
    pub name: String,
    /// The client's chance.
    pub chance: Chance,
    /// How many texts it has made.
    texts: u64,
    /// Its jobs.
    pub jobs: BTreeMap<u64, Job>,
    /// Notes of jobs that were cut off and not kept; they must never appear.
    pub lost: BTreeSet<String>,
    /// Its users.
    pub users: BTreeMap<String, User>,
    /// Its sessions, by what they call themselves.
    pub sessions: BTreeMap<String, Session>,
    /// Its words on boards, and those that were cut off.
    pub reports: BTreeSet<String>,
    /// Words on boards that were cut off: they may be there or not.
    pub reports_cut_off: BTreeSet<String>,
    /// The message that was sent and not answered.
    pub unanswered: Vec<Wish>,
    /// How many calls were acknowledged.
    pub acknowledged: u64,
    /// The jobs it had to do with since it was last audited.
    pub touched: BTreeSet<u64>,
}

impl Ledger {
    /// An empty one.
    pub fn new(number: u64, seed: u64) -> Ledger {
        Ledger {
            name: format!("c{number}"),
            chance: Chance::new(seed),
            texts: 0,
            jobs: BTreeMap::new(),
            lost: BTreeSet::new(),
            users: BTreeMap::new(),
            sessions: BTreeMap::new(),
            reports: BTreeSet::new(),
            reports_cut_off: BTreeSet::new(),
            unanswered: Vec::new(),
            acknowledged: 0,
            touched: BTreeSet::new(),
        }
    }

    /// A text that nobody ever used.
    pub fn text(&mut self) -> String {
        self.texts += 1;
        format!("{}-{}", self.name, self.texts)
    }

    /// The jobs that nobody has ended, as far as is known.
    pub fn live_jobs(&self) -> Vec<u64> {
        let live = self.jobs.iter().filter(|(_, job)| job.asked.is_none() && job.ended.is_none());
        live.map(|(id, _)| *id).collect()
    }

    /// The sessions that live and whose id is known, with their ids.
    pub fn live_sessions(&self) -> Vec<(String, String)> {
        let live = self.sessions.iter().filter(|(_, session)| session.lives);
        live.filter_map(|(name, session)| Some((name.clone(), session.id.clone()?))).collect()
    }

    /// A wish was granted, with this answer.
    pub fn granted(&mut self, wish: &Wish, answer: &Value) {
        match wish {
            Wish::Create { note, size, keepalive } => {
                let id = answer.as_u64().expect("the number of a job");
                self.touched.insert(id);
                let on_good_boards = size.contains(&("machine", json!("m")));
                let job = Job {
                    note: note.clone(),
                    may_lapse: keepalive.as_f64().is_some_and(|s| s < 1.0),
                    may_fail: !on_good_boards,
                    ..Job::default()
                };
                let before = self.jobs.insert(id, job);
                assert!(before.is_none(), "job {id} was made twice: as {note} and as {before:?}");
            }
            Wish::Destroy { job, reason } => self.job(*job).asked = Some(reason.clone()),
            Wish::Power { job, on } => self.job(*job).powered[usize::from(*on)] += 1,
            Wish::Report { reason, .. } => drop(self.reports.insert(reason.clone())),
            Wish::MakeUser { user, role, password } => {
                let made = User { role: (*role).to_owned(), password: password.clone() };
                self.users.insert(user.clone(), made);
            }
            Wish::SetPassword { user, password } => {
                self.users.get_mut(user).expect("a user").password.clone_from(password);
                self.end_sessions_of(user);
            }
            Wish::SetRole { user, role } => {
                self.users.get_mut(user).expect("a user").role = (*role).to_owned();
            }
            Wish::DeleteUser { user } => {
                self.users.remove(user);
                self.end_sessions_of(user);
            }
            Wish::Open { name, user } => {
                let id = answer.as_str().map(str::to_owned);
                self.sessions.insert(name.clone(), Session { id, user: user.clone(), lives: true });
            }
            Wish::End { name, .. } => self.sessions.get_mut(name).expect("a session").lives = false,
        }
    }

    fn job(&mut self, id: u64) -> &mut Job {
        self.touched.insert(id);
        self.jobs.get_mut(&id).expect("a job of its own")
    }

    fn end_sessions_of(&mut self, user: &str) {
        self.sessions
            .values_mut()
            .filter(|session| session.user == user)
            .for_each(|session| session.lives = false);
    }
}
