//! What one message comes to: who speaks, what is asked, what can be answered on the spot and what takes time.
//!
//! A message whose calls only read is answered at once, from the lab as last kept. A message with a wish goes
//! to the desk as one visit; what takes longer still (waiting for a job, asking a board) follows after the
//! visit. The session is taken from each message, never from the socket.

use super::bell::Bell;
use super::errand::{Begun, Errand, Waits};
use super::herald::Watcher;
use super::house::{End, House, Poke};
use super::login::{self, Claim};
use super::post::Post;
use super::quick;
use super::tunnel::Tunnel;
use crate::clock::Moment;
use crate::config::Config;
use crate::error::{Code, Fault};
use crate::lab::command::{Caller, Command};
use crate::lab::fact::{SessionEnd, SessionKey};
use crate::service::plan::{Came, Watched};
use crate::service::{self, Plan, Planned};
use crate::session::{Found, Session, SessionId};
use crate::user::Role;
use crate::wire::answer::Envelope;
use crate::wire::envelope::{self, Data, Message};
use crate::wire::handshake::{self, ACCEPTED, CAP_NOTICES, Proof};
use crate::wire::json::Raw;
use crate::wire::{self, call};
use std::borrow::Cow;
use std::cell::RefCell;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

thread_local! {
    /// Where the text of an answer is built before it is framed.
    static TEXT: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    /// Where the plans of a message are put that is answered on the spot.
    static PLANS: RefCell<Plans> = const { RefCell::new(Vec::new()) };
}

/// A text buffer that grew beyond this is given back.
const TEXT_BYTES_KEPT: usize = 256 * 1024;

/// Memory for more plans than this is given back.
const PLANS_KEPT: usize = 256;

/// What the calls of one message come to.
type Plans = Vec<Result<Planned, Fault>>;

/// An answer that takes time.
pub type Later = Pin<Box<dyn Future<Output = Said> + Send>>;

/// How messages leave a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// As frames.
    Frames,
    /// As texts, each with `TEXT_END` behind it.
    Texts,
}

/// What ends a text. It cannot be part of one: JSON has it in no place.
pub const TEXT_END: u8 = 0x1e;

/// An answer in the form of its conversation, and the session it opened if it did.
pub struct Said {
    frame: Vec<u8>,
    session: Option<SessionId>,
}

impl From<Vec<u8>> for Said {
    fn from(frame: Vec<u8>) -> Said {
        Said { frame, session: None }
    }
}

/// What a message came to.
pub enum Handled {
    /// Its answer is in the buffer.
    Answered {
        /// Whether it carries an id, and so may leave before earlier ones.
        has_id: bool,
    },
    /// Its answer takes time.
    Later {
        /// Whether it carries an id.
        has_id: bool,
        /// The answer.
        answer: Later,
    },
    /// It is a hand-shake that is being checked: nothing else is taken before it is over.
    Handshake {
        /// Whether it carries an id.
        has_id: bool,
        /// The answer.
        answer: Later,
    },
    /// It ended the server; its answer is in the buffer.
    Quit,
}

/// A message of somebody who is known.
struct Known<'m, 'a> {
    session: Arc<Session>,
    message: &'m Message<'a>,
    /// When it was taken.
    now: Moment,
    /// Earlier ones are not answered yet.
    waiting: bool,
}

/// See above.
pub struct Conversation {
    house: Arc<House>,
    peer: SocketAddr,
    number: u64,
    bell: Arc<Bell>,
    /// The last session that was named here, which errors without a session and broadcasts carry.
    last_session: String,
    /// The same as an id, once it was read.
    last_id: Option<SessionId>,
    watcher: Option<Watcher>,
    /// How all that is said leaves.
    form: Form,
    /// The hand-shake that is being checked asked for all notices.
    wants_notices: bool,
    waits: Arc<Waits>,
    tunnel: Arc<Tunnel>,
    post: Post,
}

impl Conversation {
    /// A conversation with somebody who has said nothing yet; `bell` wakes the connection it is held on.
    pub fn new(
        house: Arc<House>,
        peer: SocketAddr,
        number: u64,
        bell: Arc<Bell>,
        form: Form,
    ) -> Conversation {
        Conversation {
            tunnel: Tunnel::new(house.clone(), number, bell.clone()),
            post: Post::new(house.clone(), peer.ip(), bell.clone()),
            house,
            peer,
            number,
            bell,
            last_session: String::new(),
            last_id: None,
            watcher: None,
            form,
            wants_notices: false,
            waits: Arc::default(),
        }
    }

    /// Who is at the other end.
    pub fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// Whether a living session was ever named here.
    pub fn is_known(&self) -> bool {
        !self.last_session.is_empty()
    }

    /// The peer will say no more.
    pub fn hear_end(&self) {
        self.waits.hear_end();
    }

    /// Says the first word.
    pub fn greet(&self, out: &mut Vec<u8>) {
        let greeting = self.house.greeting();
        framed(self.form, out, |text| {
            self.envelope("", None, &self.house.config()).push_data(text, &greeting)
        });
    }

    /// Refuses something that was no message.
    pub fn push_error(&self, fault: &Fault, out: &mut Vec<u8>) {
        self.refuse(&self.last_session, None, fault, out);
    }

    /// Passes on a command that somebody else gave.
    pub fn push_command(&self, command: envelope::Command, out: &mut Vec<u8>) {
        framed(self.form, out, |text| {
            self.envelope(&self.last_session, None, &self.house.config()).push_command(text, command)
        });
    }

    /// Tells what changed and what boards said and workers are told, if this connection asked to hear of it. True if there is more.
    pub fn push_notices(&mut self, out: &mut Vec<u8>) -> bool {
        let config = self.house.config();
        if let Some(watcher) = &self.watcher {
            let envelope = self.envelope(&self.last_session, None, &config);
            quick::push_notices(&self.house, self.form, &envelope, &watcher.take(), out);
        }
        let more = self.post.push(self.form, &config.name, out);
        self.tunnel.push(self.form, &config.name, out) || more
    }

    /// Takes in an answer that took time.
    pub fn finish(&mut self, said: Said, out: &mut Vec<u8>) {
        if let Some(session) = said.session {
            (self.last_session, self.last_id) = (session.to_string(), Some(session));
            if std::mem::take(&mut self.wants_notices) {
                self.watch_everything();
            }
        }
        out.extend_from_slice(&said.frame);
    }

    /// Answers one message, or says how it will be answered. `waiting` tells that earlier ones are not answered
    /// yet: then questions wait in line at the desk as well, so that they see what those changed.
    pub fn handle(&mut self, body: &[u8], waiting: bool, out: &mut Vec<u8>) -> Handled {
        let config = self.house.config();
        let message = match envelope::decode(body, config.limits.json_depth_max) {
            Ok(message) => message,
            Err(refused) => {
                self.refuse(&self.last_session, refused.id, &refused.fault, out);
                return Handled::Answered { has_id: refused.id.is_some() };
            }
        };
        let has_id = message.id.is_some();
        if let Data::Command(envelope::Command::RequestAuth) = message.kind() {
            let greeting = self.house.greeting();
            framed(self.form, out, |text| {
                self.envelope(&message.session, message.id, &config).push_data(text, &greeting)
            });
            return Handled::Answered { has_id };
        }
        let now = self.house.clock.now();
        match self.session_of(&message, now) {
            Ok(Some(session)) => {
                self.handle_known(Known { session, message: &message, now, waiting }, &config, out)
            }
            Ok(None) => self.handle_stranger(&message, &config, out),
            Err(fault) => {
                self.refuse(&message.session, message.id, &fault, out);
                Handled::Answered { has_id }
            }
        }
    }

    /// The session a message names; none when it names none.
    fn session_of(&mut self, message: &Message<'_>, now: Moment) -> Result<Option<Arc<Session>>, Fault> {
        if message.session.is_empty() {
            return Ok(None);
        }
        let unknown =
            || Fault::new(Code::AUTH_REQUIRED, "this session is not known; hand-shake with session \"\"");
        // What the peer named here before it may be compared with in any way.
        let same = self.last_id.filter(|_| self.last_session == *message.session);
        let id: SessionId = same.map_or_else(|| message.session.parse(), Ok).map_err(|_| unknown())?;
        match self.house.counter.sessions.touch(&id, now) {
            Found::Living(session) => {
                if same.is_none() {
                    (self.last_session, self.last_id) = (id.to_string(), Some(id));
                }
                Ok(Some(session))
            }
            Found::Over => {
                let msg = format!(
                    "session '{}' has expired or was ended; hand-shake with session \"\"",
                    message.session
                );
                Err(Fault::new(Code::SESSION_EXPIRED, msg))
            }
            Found::Unknown => Err(unknown()),
        }
    }

    /// A message of somebody who has no session: a hand-shake, or nothing we can do.
    fn handle_stranger(&mut self, message: &Message<'_>, config: &Arc<Config>, out: &mut Vec<u8>) -> Handled {
        let proof = match message.kind() {
            Data::Command(command) => {
                let msg = format!("'{}' needs a session; hand-shake first", command.word());
                Err(Fault::new(Code::AUTH_REQUIRED, msg))
            }
            _ => handshake::prove(message.data, config.native.guests.is_some()),
        };
        let claim = match proof {
            Ok(Proof::Guest) => Claim::Guest,
            Ok(Proof::Password { user, password }) => {
                Claim::Password { user: user.into_owned(), password: password.into_owned() }
            }
            Err(fault) => {
                self.refuse("", message.id, &fault, out);
                return Handled::Answered { has_id: message.id.is_some() };
            }
        };
        self.wants_notices = message.caps.iter().any(|cap| cap == CAP_NOTICES);
        Handled::Handshake { has_id: message.id.is_some(), answer: self.shake_hands(claim, message, config) }
    }

    fn shake_hands(&self, claim: Claim, message: &Message<'_>, config: &Arc<Config>) -> Later {
        let (house, address, config) = (self.house.clone(), self.peer.ip(), config.clone());
        let (client, id) =
            (message.name.clone().into_owned(), message.id.map(|id| Box::<str>::from(id.get())));
        let (before, form) = (self.last_session.clone(), self.form);
        Box::pin(async move {
            let came = login::log_in(&house, address, claim, &client).await;
            let (session, mut frame) = (came.as_ref().ok().copied(), Vec::new());
            framed(form, &mut frame, |text| {
                let named = session.map_or(before, |session| session.to_string());
                let envelope =
                    Envelope { session: &named, name: &config.name, id: id.as_deref().map(Raw::known) };
                match &came {
                    Ok(_) => envelope.push_data(text, ACCEPTED),
                    Err(fault) => envelope.push_error(text, fault),
                }
            });
            Said { frame, session }
        })
    }

    fn handle_known(&mut self, known: Known<'_, '_>, config: &Arc<Config>, out: &mut Vec<u8>) -> Handled {
        let message = known.message;
        let has_id = message.id.is_some();
        match message.kind() {
            Data::Calls(list) => self.handle_calls(known, list, config, out),
            Data::Command(envelope::Command::Logout) => {
                Handled::Later { has_id, answer: self.log_out(known.session, message, config) }
            }
            Data::Command(command) => self.handle_end(&known.session, message, command, out),
            Data::Other(_) => {
                let msg = "data must be a list of calls or a server command; to hand-shake again, name session \"\"";
                self.refuse(&message.session, message.id, &Fault::new(Code::INVALID_MESSAGE, msg), out);
                Handled::Answered { has_id }
            }
        }
    }

    /// serverquit, serverrestart: everybody is told, then it happens.
    fn handle_end(
        &self,
        session: &Session,
        message: &Message<'_>,
        command: envelope::Command,
        out: &mut Vec<u8>,
    ) -> Handled {
        if session.role() < Role::Admin {
            let msg = format!(
                "'{}' needs the role admin; this session has the role {}",
                command.word(),
                session.role()
            );
            self.refuse(&message.session, message.id, &Fault::new(Code::NOT_PERMITTED, msg), out);
            return Handled::Answered { has_id: message.id.is_some() };
        }
        tracing::info!(user = %session.user, command = command.word(), "ordered to end");
        let config = self.house.config();
        framed(self.form, out, |text| {
            self.envelope(&message.session, message.id, &config).push_command(text, command)
        });
        self.house.poke_all(Poke::Command(command), Some(self.number));
        let end = if command == envelope::Command::ServerRestart { End::Restart } else { End::Quit };
        self.house.begin_end(end);
        Handled::Quit
    }

    fn log_out(&self, session: Arc<Session>, message: &Message<'_>, config: &Arc<Config>) -> Later {
        let (house, config, id) =
            (self.house.clone(), config.clone(), message.id.map(|id| Box::<str>::from(id.get())));
        let form = self.form;
        Box::pin(async move {
            let caller = Caller { user: session.user.clone(), role: session.role() };
            let ended =
                Command::EndSession { session: SessionKey(session.id.to_bits()), why: SessionEnd::LoggedOut };
            let came = house.counter.command(caller, ended).await;
            let (named, mut frame) = (session.id.to_string(), Vec::new());
            framed(form, &mut frame, |text| {
                let envelope =
                    Envelope { session: &named, name: &config.name, id: id.as_deref().map(Raw::known) };
                match &came {
                    Ok(_) => envelope.push_command(text, envelope::Command::Logout),
                    Err(fault) => envelope.push_error(text, fault),
                }
            });
            frame.into()
        })
    }

    fn handle_calls(
        &mut self,
        known: Known<'_, '_>,
        list: Raw<'_>,
        config: &Arc<Config>,
        out: &mut Vec<u8>,
    ) -> Handled {
        let Known { session, message, now, waiting } = known;
        let has_id = message.id.is_some();
        let calls = match call::parse(list, config.limits.calls_max) {
            Ok(calls) => calls,
            Err(fault) => {
                self.refuse(&message.session, message.id, &fault, out);
                return Handled::Answered { has_id };
            }
        };
        let house = self.house.clone();
        let asker = quick::asker(&house, config, &session, now);
        let mut plans = PLANS.take();
        plans.extend(calls.iter().map(|call| service::plan(call.fname, call.args, &asker)));
        let quick = |plan: &Result<Planned, Fault>| {
            plan.as_ref().map_or(true, |known| quick::is_quick(&house, known, waiting))
        };
        if plans.iter().all(quick) {
            self.answer_now(&calls, &mut plans, &asker, message, config, out);
            keep_plans(plans);
            return Handled::Answered { has_id };
        }
        let entries = calls.iter().zip(plans).map(|(call, plan)| {
            let plan = plan.and_then(|planned| self.begin(planned, &asker));
            (Cow::into_owned(call.fname.clone()), plan)
        });
        let entries = entries.collect();
        let (house, config, waits) = (house.clone(), config.clone(), self.waits.clone());
        let (session, form, tunnel) = (session.clone(), self.form, self.tunnel.clone());
        let errand = Errand { house, config, session, entries, waiting, waits, form, tunnel };
        let (named, id) = (message.session.to_string(), message.id.map(|id| Box::<str>::from(id.get())));
        Handled::Later { has_id, answer: Box::pin(errand.run(named, id)) }
    }

    /// Carries out calls that need no waiting, and answers them.
    fn answer_now(
        &mut self,
        calls: &call::Calls<'_>,
        plans: &mut [Result<Planned, Fault>],
        asker: &service::Asker<'_>,
        message: &Message<'_>,
        config: &Config,
        out: &mut Vec<u8>,
    ) {
        let bytes_max = config.limits.answer_bytes_max;
        let envelope = Envelope { session: &message.session, name: &config.name, id: message.id };
        if let [Ok(planned)] = &*plans
            && let Some(list) = self.house.lists.answer(&self.house.counter, planned, asker)
            && list.text().len() < bytes_max
        {
            return push_list(self.form, &envelope, planned.function.name, &list, out);
        }
        framed(self.form, out, |text| {
            envelope.begin_list(text);
            // Plans are large: they stay where they are.
            for (call, plan) in calls.iter().zip(plans.iter_mut()) {
                let function = plan.as_ref().ok().map(|planned| planned.function);
                let came = match plan {
                    // What could not be told any more is not worked out either.
                    Ok(_) if text.len() > bytes_max => Err(quick::too_large()),
                    Ok(planned) => self.do_now(planned, asker),
                    Err(fault) => Err(fault.clone()),
                };
                quick::push_entry(text, call.fname, function, came, asker, bytes_max);
            }
            envelope.end_list(text);
        });
    }

    /// Carries out a plan that needs no waiting, and may take it away.
    fn do_now(&mut self, planned: &mut Planned, asker: &service::Asker<'_>) -> Came {
        if !is_own(&planned.plan) {
            return quick::carry_out(&self.house, planned, asker);
        }
        match std::mem::replace(&mut planned.plan, Plan::Ready(Cow::Borrowed(b""))) {
            Plan::Watch(change) => self.watch(change.what, change.on).map(|()| service::Outcome::Nothing),
            Plan::UseChannel(what) => self.tunnel.carry_out(what, asker),
            Plan::Agent(what) => self.post.carry_out(what, asker),
            _ => Ok(service::Outcome::Nothing),
        }
    }

    /// Does what of a plan belongs to this connection alone, before the rest of it takes its time.
    fn begin(&mut self, mut planned: Planned, asker: &service::Asker<'_>) -> Result<Begun, Fault> {
        if !is_own(&planned.plan) {
            return Ok(Begun::Planned(planned));
        }
        let function = planned.function;
        Ok(Begun::Done(function, self.do_now(&mut planned, asker)))
    }

    fn watch(&mut self, what: Watched, on: bool) -> Result<(), Fault> {
        let what = match what {
            Watched::Job(job) => super::herald::Watch::Job(job),
            Watched::Machine(machine) => super::herald::Watch::Machine(machine),
            Watched::Available => super::herald::Watch::Available,
        };
        if !on {
            if let Some(watcher) = &self.watcher {
                watcher.unwatch(what);
            }
            return Ok(());
        }
        let watcher =
            self.watcher.get_or_insert_with(|| self.house.counter.herald.subscribe(self.bell.clone()));
        Ok(watcher.watch(what)?)
    }

    fn watch_everything(&mut self) {
        // Watching all names nothing, so it cannot be one watch too many.
        let _ = self.watch(Watched::Job(None), true);
        let _ = self.watch(Watched::Machine(None), true);
    }

    fn refuse(&self, session: &str, id: Option<Raw<'_>>, fault: &Fault, out: &mut Vec<u8>) {
        framed(self.form, out, |text| {
            self.envelope(session, id, &self.house.config()).push_error(text, fault)
        });
    }

    fn envelope<'a>(&self, session: &'a str, id: Option<Raw<'a>>, config: &'a Config) -> Envelope<'a> {
        Envelope { session, name: &config.name, id }
    }
}

/// Whether a plan concerns one connection alone.
fn is_own(plan: &Plan) -> bool {
    matches!(plan, Plan::Watch(_) | Plan::UseChannel(_) | Plan::Agent(_))
}

/// Keeps the memory of plans that were carried out for the next message.
fn keep_plans(mut plans: Plans) {
    plans.clear();
    if plans.capacity() <= PLANS_KEPT {
        PLANS.set(plans);
    }
}

/// Appends the answer to a single call whose result many have in common.
fn push_list(form: Form, envelope: &Envelope<'_>, fname: &str, list: &wire::Packed, out: &mut Vec<u8>) {
    let mut head = Vec::new();
    envelope.begin_list(&mut head);
    call::begin_data(&mut head, fname);
    let mut tail = Vec::new();
    call::end_data(&mut tail);
    envelope.end_list(&mut tail);
    match form {
        Form::Frames => wire::encode_around(&head, list, &tail, out),
        Form::Texts => {
            [&head, list.text(), &tail].into_iter().for_each(|part| out.extend_from_slice(part));
            out.push(TEXT_END);
        }
    }
}

/// Writes a text and gives it the form in which it leaves.
pub fn framed(form: Form, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    TEXT.with_borrow_mut(|text| {
        text.clear();
        write(text);
        match form {
            Form::Frames => wire::encode(text, out),
            Form::Texts => {
                out.extend_from_slice(text);
                out.push(TEXT_END);
            }
        }
        if text.capacity() > TEXT_BYTES_KEPT {
            *text = Vec::new();
        }
    });
}
