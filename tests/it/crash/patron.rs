//! A client that borrows boards, makes users and opens sessions, one message after the other, until its server is gone.
//! Everything goes into its ledger: before it is sent, and when it is answered.

use super::ledger::{Ledger, Wish};
use crate::served::PATIENCE;
use berth::client::{Answer, Client, ClientError, Credentials};
use berth::error::Code;
use serde_json::{Value, json};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::mpsc::Sender;

/// So many jobs a client has at most.
const JOBS_MAX: usize = 10;

/// So many users.
const USERS_MAX: usize = 3;

/// What users may be.
const ROLES: &[&str] = &["guest", "user", "operator"];

/// Works until the server is gone.
pub fn work(ledger: &mut Ledger, address: SocketAddr, master: &str, acknowledge: &Sender<()>) {
    let mut work = || -> Result<Infallible, ClientError> {
        let mut patron = Patron::arrive(ledger, address, master)?;
        loop {
            patron.step()?;
            // Nobody listens any more when the server is about to end.
            acknowledge.send(()).ok();
        }
    };
    let Err(end) = work();
    assert!(end.is_connection() && !end.is_time_out() || end.is(Code::STOPPING), "{end}");
}

/// A client at work.
struct Patron<'a> {
    ledger: &'a mut Ledger,
    address: SocketAddr,
    /// What it does with jobs, it does as a guest.
    guest: Client,
    /// Under this session, by its name.
    own_session: String,
    /// What only administrators may.
    master: Client,
}

impl<'a> Patron<'a> {
    /// Comes in with a session of an earlier life, or with a new one.
    fn arrive(ledger: &'a mut Ledger, address: SocketAddr, master: &str) -> Result<Patron<'a>, ClientError> {
        let mut of_master = Client::connect(&address.to_string(), PATIENCE)?;
        of_master.join(master);
        let own =
            ledger.live_sessions().into_iter().filter(|(name, _)| ledger.sessions[name].user == "guest");
        let own: Vec<_> = own.collect();
        let known = ledger.chance.pick(&own).cloned().filter(|_| ledger.chance.percent(60));
        let (own_session, guest) = match known {
            Some((name, id)) => {
                let mut guest = Client::connect(&address.to_string(), PATIENCE)?;
                guest.join(&id);
                (name, guest)
            }
            None => open(ledger, address, Credentials::Guest, "guest")?,
        };
        Ok(Patron { ledger, address, guest, own_session, master: of_master })
    }

    /// One message and its answer.
    fn step(&mut self) -> Result<(), ClientError> {
        let jobs = self.ledger.live_jobs();
        let job = self.ledger.chance.pick(&jobs).copied();
        match (self.ledger.chance.below(100), job) {
            (0..35, _) if jobs.len() < JOBS_MAX => self.create(),
            (0..60, Some(job)) => {
                let reason = self.ledger.text();
                self.ask(vec![Wish::Destroy { job, reason }])
            }
            (60..72, Some(job)) => {
                let on = self.ledger.chance.percent(50);
                self.ask(vec![Wish::Power { job, on }])
            }
            (72..80, Some(job)) => self.look(job),
            (80..84, _) => {
                let (serial, reason) =
                    (format!("devices-{}", self.ledger.chance.below(8)), self.ledger.text());
                self.ask(vec![Wish::Report { serial, reason }])
            }
            (84..89, _) => open(self.ledger, self.address, Credentials::Guest, "guest").map(drop),
            (89..93, _) => self.end_session(),
            (93.., _) => self.change_users(),
            _ => self.create(),
        }
    }

    /// Asks for boards, at times for several jobs in one message.
    fn create(&mut self) -> Result<(), ClientError> {
        let count = if self.ledger.chance.percent(20) { 3 } else { 1 };
        let wishes = (0..count).map(|_| self.want()).collect();
        self.ask(wishes)
    }

    fn want(&mut self) -> Wish {
        let chance = &mut self.ledger.chance;
        let on_m = ("machine", json!("m"));
        let size = match chance.below(10) {
            0 => vec![("boards", json!(1))],
            1 | 2 => vec![("boards", json!(1)), on_m],
            3 => vec![("boards", json!(4)), on_m],
            4 | 5 => vec![("width", json!(1)), ("height", json!(chance.within(1, 2))), on_m],
            6 => vec![("x", json!(chance.below(4))), ("y", json!(0)), ("z", json!(chance.below(3))), on_m],
            7 => vec![("boards", json!(2)), ("machine", json!("devices"))],
            _ => vec![
                ("serials", json!([format!("devices-{}", chance.below(8))])),
                ("machine", json!("devices")),
            ],
        };
        let keepalive = match chance.below(10) {
            0 => json!(0.2),
            1..4 => json!(3600.0),
            _ => Value::Null,
        };
        Wish::Create { note: self.ledger.text(), size, keepalive }
    }

    /// Whatever is shown of a job was kept before.
    fn look(&mut self, job: u64) -> Result<(), ClientError> {
        let seen = self.guest.call("get_job", &[("job_id", json!(job))])?;
        if let (Some(grant), Some(known)) = (seen["grant"].as_u64(), self.ledger.jobs.get_mut(&job)) {
            known.grants.insert(grant);
            self.ledger.touched.insert(job);
        }
        Ok(())
    }

    fn end_session(&mut self) -> Result<(), ClientError> {
        let others: Vec<_> =
            self.ledger.live_sessions().into_iter().filter(|(name, _)| *name != self.own_session).collect();
        match self.ledger.chance.pick(&others).cloned() {
            Some((name, id)) => self.ask(vec![Wish::End { name, id }]),
            None => Ok(()),
        }
    }

    fn change_users(&mut self) -> Result<(), ClientError> {
        let users: Vec<_> = self.ledger.users.keys().cloned().collect();
        let text = self.ledger.text();
        let chance = &mut self.ledger.chance;
        let (role, way) = (chance.one_of(ROLES), chance.below(10));
        let user = match chance.pick(&users).cloned() {
            Some(user) if users.len() >= USERS_MAX || way > 1 => user,
            _ => {
                let password = format!("password of {text}");
                return self.ask(vec![Wish::MakeUser { user: text, role, password }]);
            }
        };
        match way {
            0..3 => self.ask(vec![Wish::SetPassword { user, password: text }]),
            3..7 => self.ask(vec![Wish::SetRole { user, role }]),
            7..9 => {
                let password = self.ledger.users[&user].password.clone();
                open(self.ledger, self.address, Credentials::user(&user, password), &user).map(drop)
            }
            _ => self.ask(vec![Wish::DeleteUser { user }]),
        }
    }

    /// Sends wishes in one message and enters what came of each.
    fn ask(&mut self, wishes: Vec<Wish>) -> Result<(), ClientError> {
        let requests: Vec<_> = wishes.iter().map(Wish::request).collect();
        self.ledger.unanswered = wishes;
        let by_guest = matches!(
            self.ledger.unanswered[0],
            Wish::Create { .. } | Wish::Destroy { .. } | Wish::Power { .. } | Wish::Report { .. }
        );
        let client = if by_guest { &mut self.guest } else { &mut self.master };
        let answers = client.call_many(&requests);
        if answers.as_ref().is_err_and(|error| error.refusal().is_some()) {
            self.ledger.unanswered.clear();
        }
        let answers = answers?;
        for (wish, answer) in std::mem::take(&mut self.ledger.unanswered).iter().zip(answers) {
            self.enter(wish, answer)?;
        }
        Ok(())
    }

    /// Enters an answer; a refusal must have a reason that we know of.
    fn enter(&mut self, wish: &Wish, answer: Answer) -> Result<(), ClientError> {
        let refusal = match answer {
            Ok(answer) => {
                self.ledger.granted(wish, &answer);
                self.ledger.acknowledged += 1;
                return Ok(());
            }
            Err(refusal) => refusal,
        };
        let code = u16::try_from(refusal.code).ok().and_then(Code::from_number);
        let ends_by_itself =
            |job: &u64| self.ledger.jobs.get(job).is_some_and(|job| job.may_lapse || job.may_fail);
        match (wish, code) {
            (_, Some(Code::STOPPING)) => Err(ClientError::Call(refusal)),
            (Wish::Destroy { job, .. } | Wish::Power { job, .. }, Some(Code::JOB_OVER))
                if ends_by_itself(job) =>
            {
                Ok(())
            }
            (Wish::Power { .. }, Some(Code::JOB_WITHOUT_BOARDS)) => Ok(()),
            (Wish::Report { .. }, Some(Code::NOT_PERMITTED)) => Ok(()),
            _ => panic!("{wish:?} was refused: {refusal:?}"),
        }
    }
}

/// Opens a session on a connection of its own; its name and the connection.
pub fn open(
    ledger: &mut Ledger,
    address: SocketAddr,
    who: Credentials,
    user: &str,
) -> Result<(String, Client), ClientError> {
    let name = ledger.text();
    let mut client = Client::connect(&address.to_string(), PATIENCE)?;
    client.call_myself(&name);
    let wish = Wish::Open { name: name.clone(), user: user.to_owned() };
    ledger.unanswered = vec![wish.clone()];
    let opened = client.handshake_as(who);
    if opened.as_ref().err().is_none_or(|error| error.refusal().is_some()) {
        ledger.unanswered.clear();
    }
    opened?;
    ledger.granted(&wish, &json!(client.session()));
    ledger.acknowledged += 1;
    Ok((name, client))
}
