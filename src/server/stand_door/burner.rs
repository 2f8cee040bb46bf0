//! A burner at this door: an agent of the stand's pool with one board, which is called by the burner's UID.
//!
//! What it could burn is what its board offers. The order to prepare the board is `BURN`, and it is obeyed when the burner says
//! that it burns; when it says `PASS` the job is done. When it fails, or does something else, or its connection ends, the job is put
//! back in the line. All other orders are obeyed as soon as the burner is told: there is nothing to be done for them but, after a
//! burn, to open the tray where that is wanted.
//!
//! A burner that comes when its board is lent already (the server was started again, or it lost its connection without our
//! noticing) is not told anything before it has said what it does: if it burns that image still, the loan goes on.

use super::super::bucket::Bucket;
use super::super::house::House;
use super::super::post::check_new;
use super::stand::{Letter, Mailbox, Slot};
use crate::clock::Moment;
use crate::controller::Reading;
use crate::controller::agent::{AgentRefusal, Hub, Introduction, Offered, Report, Serial, Stay, Told};
use crate::lab::command::Consult;
use crate::lab::effect::Action;
use crate::lab::fact::{Grant, JobId, OrderId};
use crate::lab::job::{BURN_KIND, image_of};
use crate::stand::burner::{Failing, Told as Way};
use crate::stand::{Burner, ErrorCode, Follows, Hash, Medium, Reply, Said, Status, Tray, Uid};
use std::sync::Arc;

/// What boards of burners can be asked, in the language of their agents.
const OPEN_COMMAND: &str = "open";

/// So often a second a burner may offer other images than before; what it says beyond that counts with a later status.
const OFFERS_PER_S_MAX: u64 = 10;

/// After so long the lab is told again what it was told already, in case somebody else has said otherwise in between.
const OFFERS_AGAIN_MS: u64 = 60_000;

/// See above. It lasts as long as its connection.
pub struct BurnerTalk {
    house: Arc<House>,
    uid: Uid,
    serial: Serial,
    /// The connection's number.
    number: u64,
    burner: Burner,
    mailbox: Arc<Mailbox>,
    hub: Option<(Arc<Hub>, Stay)>,
    /// How often it joined.
    stays: u64,
    work: Option<Work>,
    /// It has said what it holds or does, so that others see it.
    is_shown: bool,
    /// It was told to burn since its board was last cleaned.
    burnt: bool,
    /// Another connection speaks for it.
    is_replaced: bool,
    /// What its connection is busy with.
    passing: Passing,
    /// What the hub took last of what its board offers, and when; none in this stay.
    offered: Option<(Vec<Hash>, Moment)>,
    /// The images it offered last, and their labels.
    labels: (Vec<Hash>, Arc<[Arc<str>]>),
    /// Other offers take tokens from here.
    bucket: Bucket,
}

/// Which file its connection passes, so that the burner could not be told anything, or not answer.
#[derive(Clone, Copy, PartialEq)]
enum Passing {
    /// None.
    Nothing,
    /// One that it fetches: until it has that, no letters are opened.
    Fetched,
    /// One that it brings: until that is here, no message comes.
    Brought,
}

/// What the board is lent for.
struct Work {
    job: JobId,
    grant: Grant,
    image: Hash,
    /// The order that is not obeyed yet.
    order: Option<OrderId>,
    /// The burner came when it was lent already, and has not said yet what it does.
    is_recalled: bool,
}

impl BurnerTalk {
    /// A burner that introduced itself on the connection with this number.
    pub fn new(
        house: Arc<House>,
        uid: Uid,
        medium: Medium,
        number: u64,
        mailbox: Arc<Mailbox>,
    ) -> BurnerTalk {
        let (burner, serial) = (Burner::new(medium), uid.to_string().into());
        let bucket = Bucket::full(house.clock.now());
        BurnerTalk {
            house,
            uid,
            serial,
            number,
            burner,
            mailbox,
            hub: None,
            stays: 0,
            work: None,
            is_shown: false,
            burnt: false,
            is_replaced: false,
            passing: Passing::Nothing,
            offered: None,
            labels: (Vec::new(), [].into()),
            bucket,
        }
    }

    /// What it burns at most.
    pub fn medium(&self) -> Medium {
        self.burner.medium()
    }

    /// Whether another connection speaks for it now, or it does not listen.
    pub fn is_over(&self) -> bool {
        self.is_replaced || self.mailbox.is_full()
    }

    /// Whether the lab counts on it.
    pub fn has_joined(&self) -> bool {
        self.hub.is_some()
    }

    /// Whether there is something to be told to it.
    pub fn has_letters(&self) -> bool {
        !self.mailbox.is_empty()
    }

    /// A sign of life without a word.
    pub fn see_moving(&self) {
        if let Some((hub, stay)) = &self.hub {
            // A stay that is over is found out when the burner speaks of itself.
            hub.beat(*stay).ok();
        }
    }

    /// Takes in what the burner says of itself; once it has joined, other messages are a sign of life.
    pub fn hear(&mut self, said: &Said, out: &mut Vec<u8>) {
        if !matches!(said, Said::Cap { .. } | Said::Status(_) | Said::Error { .. }) {
            self.see_moving();
            self.pass(match said {
                Said::Get { .. } => Passing::Fetched,
                Said::Push { .. } => Passing::Brought,
                _ => Passing::Nothing,
            });
            return;
        }
        self.passing = Passing::Nothing;
        let joined = self.join(out);
        if !std::mem::replace(&mut self.is_shown, true) {
            self.house.stand.enter(self.uid, self.number, &self.burner, self.mailbox.clone());
        }
        match said {
            Said::Cap { burner, images } => {
                self.burner.hear_cap(*burner, images.iter().copied());
                if let Err(why) = &joined {
                    Reply::error(ErrorCode::NOTALLOWED, why).encode(out);
                }
            }
            Said::Status(status) => self.hear_status(*status),
            Said::Error { code, .. } => {
                let follows = self.burner.hear_error(code);
                self.follow(follows);
            }
            _ => return,
        }
        self.house.stand.see(self.uid, self.number, &self.burner);
        self.offer();
    }

    /// While a file is passed nothing is offered: an order to burn would become overdue behind it.
    fn pass(&mut self, passing: Passing) {
        if std::mem::replace(&mut self.passing, passing) != passing {
            self.offer();
        }
    }

    fn hear_status(&mut self, status: Status) {
        // A board that was taken from its job for not obeying may never be told to do anything again.
        let is_tray = matches!(status, Status::Tray { .. });
        if is_tray && self.work.as_ref().is_some_and(|work| !self.is_standing(work.grant, None)) {
            self.let_go();
        }
        let recalled =
            self.work.as_mut().and_then(|work| std::mem::take(&mut work.is_recalled).then_some(work.image));
        if let Some(image) = recalled {
            // It was told before, by the server that was here, or over another connection.
            self.burner.resume(image);
            self.burnt = true;
        }
        let follows = self.burner.hear_status(status);
        self.follow(follows);
    }

    /// Whether the board is lent under this grant by the lab's account, and this order the last of that loan if one is named.
    fn is_standing(&self, grant: Grant, order: Option<OrderId>) -> bool {
        let machine = self.house.config().stand.machine.clone();
        let standing = self.house.counter.see(|lab| lab.standing_order(&machine, &self.serial));
        standing.is_some_and(|standing| {
            standing.id.grant == grant && order.is_none_or(|order| standing.id == order)
        })
    }

    /// What the lab hears of what follows.
    fn follow(&mut self, follows: Follows) {
        match follows {
            Follows::Nothing => {}
            Follows::Began(_) => self.confirm(),
            Follows::Passed(_) => {
                self.confirm();
                let words = format!("burnt by {}", self.serial).into();
                self.end_work(|work| Report::Finished(work.job, work.grant, words));
            }
            Follows::Failed(_, failing) => {
                // A burner that refused has burnt nothing.
                self.burnt &= !matches!(failing, Failing::Refused(_));
                let why = match failing {
                    Failing::Bad => "FAIL".to_owned(),
                    Failing::Dropped => "it does not burn it".to_owned(),
                    Failing::Refused(code) => format!("ERROR {}", code.word()),
                };
                self.put_back(&why);
            }
        }
    }

    /// The order that the burner's work began with is obeyed.
    fn confirm(&mut self) {
        if let Some(order) = self.work.as_mut().and_then(|work| work.order.take()) {
            self.answer(order, Ok(()));
        }
    }

    fn answer(&mut self, order: OrderId, came: Result<(), &str>) {
        let Some((hub, stay)) = &self.hub else { return };
        let serial = std::slice::from_ref(&self.serial);
        let answered = match came {
            Ok(()) => hub.answer_order(*stay, order, serial, &[]),
            Err(why) => hub.answer_order(*stay, order, &[], &[(self.serial.clone(), why.into())]),
        };
        if answered.is_err() {
            self.lose();
        }
    }

    fn put_back(&mut self, why: &str) {
        let reason = format!("burner {}: {why}", self.serial).into();
        self.end_work(|work| Report::PutBack(work.job, work.grant, reason));
    }

    fn end_work(&mut self, report: impl FnOnce(Work) -> Report) {
        if let (Some(work), Some((hub, _))) = (self.work.take(), &self.hub) {
            // First of all it offers nothing, so that it is not lent again before its tray is known.
            hub.pass_on(Report::Offers(self.serial.clone(), [].into()));
            self.offered = Some((Vec::new(), self.house.clock.now()));
            hub.pass_on(report(work));
        }
    }

    /// Has it join its pool, unless it has; it must do so anew when its stay is over.
    fn join(&mut self, out: &mut Vec<u8>) -> Result<(), String> {
        if let Some((hub, stay)) = &self.hub {
            if hub.beat(*stay).is_ok() {
                return Ok(());
            }
            // They say why: whoever was replaced must not take its place back.
            self.open_letters(out);
            if self.hub.is_some() {
                self.lose();
            }
        }
        if self.is_replaced {
            return Ok(());
        }
        let machine = self.house.config().stand.machine.clone();
        let hub = self.house.agents(&machine).ok_or("no burners are taken here (stand.machine)")?;
        check_new(&self.house, &machine, [self.serial.clone()].into_iter()).map_err(|fault| fault.msg)?;
        let board = Offered {
            serial: self.serial.clone(),
            model: self.burner.medium().burner_word().into(),
            holds: None,
        };
        let who = Introduction {
            name: self.serial.clone(),
            version: crate::stand::message::VERSION.into(),
            url: None,
            boards: vec![board],
            draining: false,
        };
        self.stays += 1;
        let slot = Arc::new(Slot { stay: self.stays, mailbox: self.mailbox.clone() });
        let stay = hub.join(who, slot).map_err(|refusal| refusal.to_string())?;
        self.hub = Some((hub, stay));
        // What it says now is heard as that of a burner that may have been told already what its board is lent for.
        self.burner.forget_status();
        self.offered = None;
        self.open_letters(out);
        Ok(())
    }

    /// Its stay is over: the lab knows, and has put its job back.
    fn lose(&mut self) {
        self.hub = None;
        self.let_go();
        self.house.stand.miss(self.uid, self.number);
    }

    /// Reports what its board offers now, if that is news.
    fn offer(&mut self) {
        let Some((hub, stay)) = &self.hub else { return };
        let now = self.house.clock.now();
        let mut images = match (&self.work, self.passing) {
            (None, Passing::Nothing) => self.burner.offers(|image| self.house.stand.images.bytes(image)),
            _ => Vec::new(),
        };
        let is_new = self.offered.as_ref().is_none_or(|(offered, _)| *offered != images);
        if is_new && !images.is_empty() && self.bucket.take(now, OFFERS_PER_S_MAX).is_err() {
            images.clear();
        }
        let is_known =
            |(offered, at): &(Vec<Hash>, Moment)| *offered == images && now.ms_since(*at) < OFFERS_AGAIN_MS;
        if self.offered.as_ref().is_some_and(is_known) {
            return;
        }
        if self.labels.0 != images && !images.is_empty() {
            let labels = images.iter().map(|image| Arc::from(image.to_string())).collect();
            self.labels = (images.clone(), labels);
        }
        let labels = if images.is_empty() { [].into() } else { self.labels.1.clone() };
        // While the lab is behind nothing is offered; the next status comes soon.
        if hub.offer(*stay, &self.serial, labels).is_ok() {
            self.offered = Some((images, now));
        }
    }

    /// Takes in what it is to be told.
    pub fn open_letters(&mut self, out: &mut Vec<u8>) {
        if self.passing == Passing::Fetched {
            self.pass(Passing::Nothing);
        }
        while let Some(letter) = self.mailbox.take() {
            match letter {
                Letter::Open => Reply::Open.encode(out),
                Letter::Told(stay, told) if stay == self.stays && self.hub.is_some() => {
                    self.take_in(told, out)
                }
                Letter::Told(..) => {}
            }
        }
    }

    fn take_in(&mut self, told: Told, out: &mut Vec<u8>) {
        match told {
            Told::Order { id, action: Action::Prepare { kind, args }, job, .. } => {
                self.give_way(id, out);
                let image = image_of(&args).filter(|_| *kind == *BURN_KIND);
                match (image.and_then(|image| Hash::of_text(&image)), job) {
                    (Some(image), Some(job)) => self.begin(id, job, image, out),
                    _ => self.answer(id, Err("a burner burns an image and does nothing else")),
                }
            }
            Told::Order { id, action, .. } => {
                self.give_way(id, out);
                if action == Action::Clean {
                    self.clean(out);
                }
                self.answer(id, Ok(()));
            }
            Told::Question { ticket, what, .. } => self.answer_question(ticket, &what, out),
            Told::Replaced => {
                self.is_replaced = true;
                self.lose();
            }
            Told::Over(reason) => {
                tracing::info!(burner = %self.uid, %reason, "a burner is not counted on any more");
                self.lose();
            }
        }
    }

    /// An order of a later loan says that the one before is over, whether anything else did or not.
    fn give_way(&mut self, order: OrderId, out: &mut Vec<u8>) {
        if self.work.as_ref().is_some_and(|work| work.grant < order.grant) {
            self.clean(out);
        }
    }

    /// Its board is lent for an image.
    fn begin(&mut self, order: OrderId, job: JobId, image: Hash, out: &mut Vec<u8>) {
        // It may have waited here for longer than the lab does, and somebody else burns the image by now.
        if !self.is_standing(order.grant, Some(order)) {
            return;
        }
        let is_recalled = self.burner.status().is_none();
        self.work = Some(Work { job, grant: order.grant, image, order: Some(order), is_recalled });
        if is_recalled {
            return;
        }
        match self.burner.tell(image) {
            Way::Burn => {
                Reply::Burn { image }.encode(out);
                self.burnt = true;
                self.offer();
            }
            Way::Already => {}
            Way::Burning => self.confirm(),
        }
    }

    /// Nobody has its board any more. It may burn to the end what it was told to.
    fn clean(&mut self, out: &mut Vec<u8>) {
        let is_open = matches!(self.burner.status(), Some(Status::Tray { tray: Tray::Open, .. }));
        if std::mem::take(&mut self.burnt) && self.house.config().stand.open && !is_open {
            Reply::Open.encode(out);
        }
        self.let_go();
    }

    /// What its board was lent for is not its affair any more.
    fn let_go(&mut self) {
        self.work = None;
        self.burner.forget();
    }

    fn answer_question(&mut self, ticket: u64, what: &Consult, out: &mut Vec<u8>) {
        let answer = match what {
            Consult::Identify { on: Some(false) } => Ok(Reading::Done),
            Consult::Identify { .. } => Ok(Reading::Done).inspect(|_| Reply::Open.encode(out)),
            Consult::Send { command, .. } if **command == *OPEN_COMMAND => {
                Ok(Reading::Done).inspect(|_| Reply::Open.encode(out))
            }
            _ => {
                Err("a burner can open its tray, by identify or the command 'open', and nothing else".into())
            }
        };
        if let Some((hub, stay)) = &self.hub {
            // A stay that is over is found out at the next message.
            hub.answer_question(*stay, ticket, answer).ok();
        }
    }
}

impl Drop for BurnerTalk {
    /// Its connection is gone. When the server ends the burner may come back to the next one and find its job as it was.
    fn drop(&mut self) {
        self.house.stand.leave(&self.house, self.uid, self.number);
        let Some((hub, stay)) = self.hub.clone() else { return };
        // If another connection speaks for it, what the board does is that one's affair.
        if self.house.end().is_none() && hub.beat(stay).is_ok() {
            self.put_back("its connection ended");
            if hub.offer(stay, &self.serial, [].into()) == Err(AgentRefusal::Busy) {
                hub.pass_on(Report::Offers(self.serial.clone(), [].into()));
            }
            hub.hang_up(stay);
        }
    }
}
