//! What the messages of a peer come to, one after the other: an answer at once, something that must be waited for, or raw bytes.
//!
//! Displays and command clients ask and command here; what a burner says of itself is passed on to `burner`.

use super::super::bell::Bell;
use super::super::desk::Counter;
use super::super::house::House;
use super::burner::BurnerTalk;
use super::images::{Arrival, Images, NotKept, Note};
use super::stand::{Letter, Mailbox, caller};
use crate::lab::Lab;
use crate::lab::ask::Ask;
use crate::lab::command::{Caller, Command};
use crate::lab::fact::JobId;
use crate::lab::job::{BURN_KIND, JobSpec, JobState, Want};
use crate::lab::view::BoardAddress;
use crate::stand::message::{Complaint, IMAGES_MAX, Info};
use crate::stand::{ClientType, ErrorCode, Hash, Line, Priority, Reply, Said, Then, Uid};
use crate::user::Role;
use async_std::task;
use std::collections::BTreeSet;
use std::fs::File;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;

/// So many jobs are ended with one visit to the desk.
const ENDED_AT_ONCE_MAX: usize = 512;

/// What is said to callers of a door for looking only.
const LOOK_ONLY: &str = "this door is for looking only (stand.role = \"guest\")";

/// See above.
pub struct Talk {
    house: Arc<House>,
    /// The connection's number.
    number: u64,
    bell: Arc<Bell>,
    who: Option<Who>,
    /// Images that the peer was asked about.
    asked: BTreeSet<Hash>,
}

/// Who is at the other end.
enum Who {
    /// Somebody who looks on, and was told of changes so often; or also commands.
    Display { client: ClientType, told: u64 },
    /// A burner.
    Burner(Box<BurnerTalk>),
}

/// How to go on after a message.
pub enum Step {
    /// With the next one.
    GoOn,
    /// When this is sent, which many are told.
    Share(Arc<[u8]>),
    /// When this has come.
    Wait(Wait),
    /// When so many bytes of an image have come.
    Receive(Box<Arrival>, u64),
    /// When so many bytes are passed over.
    Skip(u64),
    /// Not at all.
    HangUp,
}

/// What must be waited for.
pub type Wait = Pin<Box<dyn Future<Output = Came> + Send>>;

/// What came of it.
pub enum Came {
    /// This is to be said.
    Said(Reply),
    /// An image was looked for: its file, and its size.
    Found(Hash, io::Result<(File, u64)>),
    /// More of a file to be sent.
    Read(File, io::Result<Vec<u8>>),
    /// Bytes of an image were written; more may follow unless it is kept.
    Wrote(Result<Option<Box<Arrival>>, NotKept>),
}

impl Talk {
    /// A talk with somebody who has said nothing yet.
    pub fn new(house: Arc<House>, number: u64, bell: Arc<Bell>) -> Talk {
        Talk { house, number, bell, who: None, asked: BTreeSet::new() }
    }

    /// Whether it is known who the peer is.
    pub fn is_known(&self) -> bool {
        self.who.is_some()
    }

    /// Whether the peer is a burner that the lab does not count on.
    pub fn is_idle(&self) -> bool {
        matches!(&self.who, Some(Who::Burner(burner)) if !burner.has_joined())
    }

    /// Whether nothing more is to be said to this peer.
    pub fn is_over(&self) -> bool {
        matches!(&self.who, Some(Who::Burner(burner)) if burner.is_over())
    }

    /// Whether there is something to be said that the peer did not ask for.
    pub fn has_letters(&self) -> bool {
        matches!(&self.who, Some(Who::Burner(burner)) if burner.has_letters())
    }

    /// Says what a burner is to be told.
    pub fn open_letters(&mut self, out: &mut Vec<u8>) {
        if let Some(Who::Burner(burner)) = &mut self.who {
            burner.open_letters(out);
        }
    }

    /// Bytes of a file went one way or the other, so the peer is there, though it says nothing.
    pub fn see_moving(&self) {
        if let Some(Who::Burner(burner)) = &self.who {
            burner.see_moving();
        }
    }

    /// What changed since the peer was told last, if it is a display.
    pub fn news(&mut self) -> Option<Arc<[u8]>> {
        let Some(Who::Display { told, .. }) = &mut self.who else { return None };
        let (number, news) = self.house.stand.lists.news(*told)?;
        *told = number;
        Some(news)
    }

    /// Takes a message.
    pub fn handle(&mut self, message: &[u8], out: &mut Vec<u8>) -> Step {
        let client = match &self.who {
            None => None,
            Some(Who::Display { client, .. }) => Some(*client),
            Some(Who::Burner(burner)) => Some(ClientType::Burner(burner.medium())),
        };
        match Said::hear(message, client) {
            Ok(said) => self.handle_said(said, out),
            Err(Complaint { answer, then }) => {
                answer.encode(out);
                match then {
                    Then::GoOn => Step::GoOn,
                    Then::Skip(bytes) => Step::Skip(bytes),
                    Then::HangUp => Step::HangUp,
                }
            }
        }
    }

    fn handle_said(&mut self, said: Said, out: &mut Vec<u8>) -> Step {
        if let Said::Id { client, uid } = said {
            return self.introduce(client, uid, out);
        }
        if let Some(Who::Burner(burner)) = &mut self.who {
            burner.hear(&said, out);
        }
        match said {
            Said::Cap { images, .. } => self.ask_about(&images, out),
            Said::Info(Info::Known { image, file, description }) => self.learn(image, file, description),
            Said::QReport => return Step::Share(self.house.stand.lists.answer_queue(&self.house)),
            Said::SReport => return Step::Share(self.house.stand.lists.answer_burners(&self.house)),
            Said::AskCapab => Reply::Cap { images: self.house.stand.images_known() }.encode(out),
            Said::WhatIs { image } => Reply::Info(self.house.stand.images.info(image)).encode(out),
            Said::Get { image } => return self.find(image),
            Said::Push { image, bytes } => return self.receive(image, bytes, out),
            Said::Queue { .. } | Said::QClear | Said::QDel { .. } | Said::Name { .. } | Said::Open { .. } => {
                return self.command(said, out);
            }
            Said::Id { .. } | Said::Status(_) | Said::Error { .. } | Said::Info(Info::NoIdea) => {}
        }
        Step::GoOn
    }

    fn introduce(&mut self, client: ClientType, uid: Uid, out: &mut Vec<u8>) -> Step {
        self.who = Some(match client.burner() {
            Some(medium) => {
                let mailbox = Mailbox::new(self.bell.clone());
                Who::Burner(Box::new(BurnerTalk::new(self.house.clone(), uid, medium, self.number, mailbox)))
            }
            None => {
                Who::Display { client, told: self.house.stand.lists.enter(self.number, self.bell.clone()) }
            }
        });
        Reply::Capab.encode(out);
        Step::GoOn
    }

    /// Asks about each image that nobody has told about, and the peer was not asked about before.
    fn ask_about(&mut self, images: &[Hash], out: &mut Vec<u8>) {
        for image in images {
            let known = self.house.stand.images.has_title(image);
            if !known && self.asked.len() < IMAGES_MAX && self.asked.insert(*image) {
                Reply::WhatIs { image: *image }.encode(out);
            }
        }
    }

    /// Believes what was asked for.
    fn learn(&self, image: Hash, file: Line, description: crate::stand::Text) {
        if !self.asked.contains(&image) {
            return;
        }
        let images_max = self.house.config().stand.images_max;
        let note: Option<Note> = self.house.stand.images.name(image, file, description, images_max);
        // Nobody waits until it is written down.
        note.into_iter().for_each(|note| drop(task::spawn_blocking(move || note.keep())));
    }

    fn find(&self, image: Hash) -> Step {
        let house = self.house.clone();
        let open = move || Came::Found(image, house.stand.images.open(image));
        Step::Wait(Box::pin(task::spawn_blocking(open)))
    }

    fn receive(&mut self, image: Hash, bytes: u64, out: &mut Vec<u8>) -> Step {
        if caller(&self.house).role < Role::User {
            Reply::error(ErrorCode::NOTALLOWED, LOOK_ONLY).encode(out);
            return Step::Skip(bytes);
        }
        match Images::expect(&self.house, image, bytes) {
            Ok(arrival) => Step::Receive(Box::new(arrival), bytes),
            Err(why) => {
                why.reply().encode(out);
                Step::Skip(bytes)
            }
        }
    }

    /// A file came: whoever brought it is asked what it is.
    pub fn ask_what(&mut self, image: Hash, out: &mut Vec<u8>) {
        self.ask_about(&[image], out);
    }

    /// Carries out what a command client wants.
    fn command(&mut self, said: Said, out: &mut Vec<u8>) -> Step {
        let caller = caller(&self.house);
        if caller.role < Role::User {
            Reply::error(ErrorCode::NOTALLOWED, LOOK_ONLY).encode(out);
            return Step::GoOn;
        }
        let asks = match said {
            Said::Queue { image, priority } => vec![Command::CreateJob(self.job(&caller, image, priority))],
            Said::QDel { id } => self.ends(&caller, Some(JobId(id))),
            Said::QClear => self.ends(&caller, None),
            Said::Name { uid, ref name } => vec![self.naming(uid, name)],
            Said::Open { uid } => {
                self.open_tray(&caller, uid).encode(out);
                return Step::GoOn;
            }
            _ => return Step::GoOn,
        };
        if asks.is_empty() {
            // There is nothing that could be taken out.
            if matches!(said, Said::QClear) { Reply::QOk } else { Reply::QNo }.encode(out);
            return Step::GoOn;
        }
        let house = self.house.clone();
        Step::Wait(Box::pin(async move { Came::Said(carry_out(&house.counter, caller, asks).await) }))
    }

    /// An image to be burnt, as a job.
    fn job(&self, caller: &Caller, image: Hash, priority: Priority) -> JobSpec {
        let note: Arc<str> = match self.house.stand.images.info(image) {
            Info::Known { file, .. } => file.as_str().into(),
            Info::NoIdea => "".into(),
        };
        JobSpec {
            machine: Some(self.house.config().stand.machine.clone()),
            tags: BTreeSet::new(),
            keepalive_ms: None,
            kind: Some(BURN_KIND.into()),
            kind_args: format!("{{\"image\":\"{image}\"}}").into(),
            priority: priority.in_lab(),
            note,
            ..JobSpec::new(caller.user.as_str(), Want::Boards(1))
        }
    }

    /// What ends one job of the stand, waiting or burning; or all that wait.
    fn ends(&self, caller: &Caller, job: Option<JobId>) -> Vec<Command> {
        let machine = self.house.config().stand.machine.clone();
        let is_live = |lab: &Lab, job| {
            matches!(lab.state_of(job), JobState::Queued | JobState::Power | JobState::Ready)
        };
        let jobs: Vec<JobId> = self.house.counter.see(|lab| match job {
            Some(job) => {
                let ours =
                    |job: &JobId| lab.spec_of(*job).is_some_and(|spec| lab.is_for(spec, &machine, BURN_KIND));
                Some(job).filter(ours).filter(|job| is_live(lab, *job)).into_iter().collect()
            }
            None => {
                let waiting = lab.waiting_for(&machine, BURN_KIND);
                waiting.filter(|(_, spec)| caller.may_act_on(spec)).map(|(job, _)| job).collect()
            }
        });
        jobs.into_iter().map(|job| Command::DestroyJob { job, reason: None }).collect()
    }

    fn naming(&self, uid: Uid, name: &Line) -> Command {
        let machine = Some(self.house.config().stand.machine.clone());
        let board = BoardAddress::Serial { machine, serial: uid.to_string().into() };
        Command::NameBoard { board, name: name.as_str().into() }
    }

    fn open_tray(&self, caller: &Caller, uid: Uid) -> Reply {
        let mailbox = self.house.stand.mailbox(uid).filter(|_| caller.role >= Role::Operator);
        match mailbox.is_some_and(|mailbox| mailbox.put(Letter::Open)) {
            true => Reply::QOk,
            false => Reply::QNo,
        }
    }
}

impl Drop for Talk {
    fn drop(&mut self) {
        if let Some(Who::Display { .. }) = &self.who {
            self.house.stand.lists.leave(self.number);
        }
    }
}

impl NotKept {
    /// What whoever brought the image is told.
    pub fn reply(&self) -> Reply {
        match self {
            NotKept::TooBig(why) => Reply::error(ErrorCode::TOOBIG, why),
            NotKept::OtherHash(found) => {
                Reply::error(ErrorCode::BADHASH, &format!("the md5 of what came is {found}; nothing is kept"))
            }
            NotKept::Disk(why) => Reply::error(ErrorCode::TOOBIG, &format!("it could not be kept: {why}")),
        }
    }
}

/// Carries out wishes that belong together, so many at a time.
async fn carry_out(counter: &Counter, caller: Caller, wishes: Vec<Command>) -> Reply {
    let mut wishes = wishes.into_iter().map(Ask::Command).peekable();
    let mut all_done = true;
    while wishes.peek().is_some() {
        let some: Vec<_> = wishes.by_ref().take(ENDED_AT_ONCE_MAX).collect();
        let answers = counter.visit(caller.clone(), some).await;
        all_done &= answers.iter().all(Result::is_ok);
    }
    if all_done { Reply::QOk } else { Reply::QNo }
}
