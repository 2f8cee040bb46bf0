//! The lab as clients of iCEFARM use it: what they ask becomes wishes of one account, under whatever name each gives
//! himself, and what becomes of their reservations is told as it happens.

use super::super::bell::Bell;
use super::super::errand::consult_all;
use super::super::herald::{Watch, Watcher};
use super::super::house::House;
use super::super::quick;
use crate::error::{Code, Fault};
use crate::http::Later;
use crate::http::icefarm::{Admission, Answer, Ask, Boards, Farm, Held, News, Reserved};
use crate::lab::ask::{Ask as Wish, Reply};
use crate::lab::command::{Caller, Command, Consult, Pick, Reservation};
use crate::lab::fact::JobId;
use crate::lab::job::{JobState, Reason};
use crate::lab::view::{Devices, JobFilter, JobView, Query, Reservable, View};
use crate::service::plan::Workforce;
use crate::user::{Role, UserName};
use async_channel::{Receiver, Sender};
use async_std::task;
use futures_util::future::select;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The account of all clients of iCEFARM.
const ACCOUNT: &str = "icefarm";

/// News that wait for the web door; whoever tells them waits when there are more.
const NEWS_WAITING_MAX: usize = 1024;

/// See above.
pub struct IceFarm(Arc<Ledger>);

/// Who reserved what, and who is told of it.
struct Ledger {
    house: Arc<House>,
    bell: Arc<Bell>,
    watcher: Watcher,
    inside: Mutex<Inside>,
}

/// What was reserved here.
#[derive(Default)]
struct Inside {
    live: BTreeMap<JobId, Live>,
    /// Those that have to be looked at, beside those that changed.
    unseen: BTreeSet<JobId>,
    /// The number of boards has to be looked at.
    counting: bool,
}

/// A reservation that has not ended, as it was told.
struct Live {
    held: Held,
    is_ready: bool,
}

impl IceFarm {
    /// A farm of which nobody has asked anything yet.
    pub fn open(house: &Arc<House>) -> IceFarm {
        let bell = Arc::new(Bell::default());
        let watcher = house.counter.herald.subscribe(bell.clone());
        IceFarm(Arc::new(Ledger { house: house.clone(), bell, watcher, inside: Mutex::default() }))
    }
}

impl Ledger {
    fn caller(&self) -> Result<Caller, Fault> {
        let closed = || Fault::new(Code::NOT_PERMITTED, "nobody is served (icefarm.role = \"refused\")");
        let role = self.house.config().icefarm.role.ok_or_else(closed)?;
        Ok(Caller { user: UserName::door(ACCOUNT), role })
    }

    async fn answer(self: Arc<Ledger>, ask: Ask) -> Result<Answer, Fault> {
        let caller = self.caller()?;
        let any = || Reservable { machine: None, kind: None, now: self.house.clock.now() };
        match ask {
            Ask::Available => match quick::see(&self.house, &Query::Available(any()))? {
                Reply::Seen(View::Available(amount)) => Ok(Answer::Amount(amount)),
                _ => Err(unexpected()),
            },
            Ask::Devices => match quick::see(&self.house, &Query::Devices(any()))? {
                Reply::Seen(View::Devices(serials)) => Ok(Answer::Serials(serials)),
                _ => Err(unexpected()),
            },
            Ask::Reserve { name, boards, kind, args } => {
                let pick = match boards {
                    Boards::Any(count) => Pick::Any(count),
                    Boards::These(serials) => Pick::Serials(serials),
                };
                let wish = Reservation { owner: name, pick, machine: None, kind, kind_args: args };
                let devices = self.change(caller, Command::Reserve(wish)).await?;
                Ok(self.reserved(devices))
            }
            Ask::Extend { name, serials } => {
                let command = Command::ExtendReserved { owner: name, serials };
                self.change(caller, command).await.map(named)
            }
            Ask::End { name, serials } => {
                let command = Command::EndReserved { owner: name, serials };
                self.change(caller, command).await.map(named)
            }
            Ask::Reboot(serials) => {
                let mut seen = BTreeSet::new();
                let serials = serials.into_iter().filter(|serial| seen.insert(serial.clone())).collect();
                let obeyed = consult_all(&self.house, serials, Consult::PowerCycle, &caller).await?;
                Ok(Answer::Serials(obeyed))
            }
            Ask::Delete(serials) => {
                let devices = self.change(caller, Command::RenewBoards { serials }).await?;
                Ok(Answer::Serials(devices.renewed))
            }
            Ask::Clear => self.clear(caller).await,
        }
    }

    async fn change(&self, caller: Caller, command: Command) -> Result<Devices, Fault> {
        match self.house.counter.visit(caller, vec![Wish::Devices(command)]).await.pop() {
            Some(Ok(Reply::Seen(View::Changed(devices)))) => Ok(devices),
            Some(Err(fault)) => Err(fault),
            _ => Err(unexpected()),
        }
    }

    /// From now on what becomes of these is told.
    fn reserved(&self, devices: Devices) -> Answer {
        let mut inside = self.inside();
        for board in &devices.reserved {
            let held = Held { name: board.owner.clone(), serial: board.serial.clone() };
            self.follow(&mut inside, board.job, held);
        }
        drop(inside);
        self.bell.ring();
        let rows = devices.reserved.into_iter();
        Answer::Reserved(
            rows.map(|board| Reserved { url: self.agent_of(&board.serial), serial: board.serial }).collect(),
        )
    }

    /// Where the agent of a board answers, if one has it.
    fn agent_of(&self, serial: &str) -> Option<String> {
        self.house.hardware.url_of(serial).map(|url| url.to_string())
    }

    fn follow(&self, inside: &mut Inside, job: JobId, held: Held) {
        if self.watcher.watch(Watch::Job(Some(job))).is_err() {
            // There are too many to name; all of them is always allowed, and what is not ours is passed over.
            let _ = self.watcher.watch(Watch::Job(None));
        }
        inside.live.insert(job, Live { held, is_ready: false });
        inside.unseen.insert(job);
    }

    /// Ends everything that was reserved here, whoever by.
    async fn clear(&self, caller: Caller) -> Result<Answer, Fault> {
        if caller.role < Role::Operator {
            return Err(Fault::new(
                Code::NOT_PERMITTED,
                "only an operator may end all reservations (icefarm.role)",
            ));
        }
        let jobs: Vec<JobId> = self.inside().live.keys().copied().collect();
        let end = |job| Wish::Command(Command::DestroyJob { job, reason: None });
        match self
            .house
            .counter
            .visit(caller, jobs.into_iter().map(end).collect())
            .await
            .into_iter()
            .find_map(kept)
        {
            Some(fault) => Err(fault),
            None => Ok(Answer::Done),
        }
    }

    /// Takes up what was reserved before the server was started.
    fn resume(&self) {
        let Ok(Reply::Seen(View::Jobs(jobs))) = quick::see(&self.house, &Query::Jobs(JobFilter::default()))
        else {
            return;
        };
        let own = UserName::door(ACCOUNT);
        let mut inside = self.inside();
        for job in jobs.iter().filter(|job| job.spec.reserved && *job.spec.by == *own.as_str()) {
            if let Some(held) = held(job) {
                self.follow(&mut inside, job.id, held);
            }
        }
    }

    /// Tells what happens until the house closes or nobody hears it any more.
    async fn tell(self: Arc<Ledger>, news: Sender<News>) {
        self.resume();
        loop {
            for one in self.gather() {
                if news.send(one).await.is_err() {
                    return;
                }
            }
            if self.house.end().is_some() {
                return;
            }
            select(pin!(self.bell.heard()), pin!(self.house.closing())).await;
        }
    }

    /// What there is to tell now.
    fn gather(&self) -> Vec<News> {
        let pending = self.watcher.take();
        let mut inside = self.inside();
        let mut news = Vec::new();
        for job in pending.ending.iter().map(|job| JobId(*job)) {
            news.extend(inside.live.get(&job).map(|live| News::EndingSoon(live.held.clone())));
        }
        let mut jobs = std::mem::take(&mut inside.unseen);
        jobs.extend(pending.jobs.iter().map(|job| JobId(*job)));
        if pending.lost > 0 {
            jobs.extend(inside.live.keys());
        }
        for job in jobs {
            self.look(&mut inside, job, &mut news);
        }
        let counted = std::mem::take(&mut inside.counting).then(|| self.count()).flatten();
        news.extend(pending.available.or(counted).map(News::Available));
        news
    }

    fn count(&self) -> Option<usize> {
        let any = Reservable { machine: None, kind: None, now: self.house.clock.now() };
        match quick::see(&self.house, &Query::Available(any)) {
            Ok(Reply::Seen(View::Available(amount))) => Some(amount),
            _ => None,
        }
    }

    /// What is new about a reservation.
    fn look(&self, inside: &mut Inside, job: JobId, news: &mut Vec<News>) {
        let Some(live) = inside.live.get_mut(&job) else { return };
        let view = match quick::see(&self.house, &Query::Job(job)) {
            Ok(Reply::Seen(View::Job(view))) => Some(view),
            _ => None,
        };
        let state = view.as_ref().map_or(JobState::Destroyed, |view| view.state);
        if state != JobState::Destroyed {
            let is_ready = state == JobState::Ready;
            let was_ready = std::mem::replace(&mut live.is_ready, is_ready);
            // What has an agent says so itself.
            if is_ready && !was_ready && self.agent_of(&live.held.serial).is_none() {
                news.push(News::Ready(live.held.clone()));
            }
            return;
        }
        let Some(Live { held, .. }) = inside.live.remove(&job) else { return };
        self.watcher.unwatch(Watch::Job(Some(job)));
        if let Some(Reason::BoardsFailed(_)) = view.and_then(|view| view.reason) {
            news.push(News::Failed(held.clone()));
        }
        news.push(News::Ended(held));
    }

    /// What is inside stays whole, so a panic elsewhere does no harm.
    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The board of a reservation, and whose it is.
fn held(job: &JobView) -> Option<Held> {
    let serial = job.boards.first()?.to_string().into();
    Some(Held { name: job.spec.owner.clone(), serial })
}

/// The serials of what was changed.
fn named(devices: Devices) -> Answer {
    Answer::Serials(devices.reserved.into_iter().map(|board| board.serial).collect())
}

/// Why something is as it was before; who was faster and ended it is no reason.
fn kept(answer: Result<Reply, Fault>) -> Option<Fault> {
    answer.err().filter(|fault| !matches!(fault.code, Code::JOB_OVER | Code::JOB_UNKNOWN))
}

fn unexpected() -> Fault {
    Fault::new(Code::STOPPING, "the server is shutting down; connect again later")
}

/// The farm, as the web door asks for it.
impl Farm for IceFarm {
    fn admits(&self, peer: IpAddr) -> Admission {
        let farm = &self.0.house.config().icefarm;
        match (farm.role, farm.allow.iter().any(|network| network.has(peer))) {
            (None, _) => Admission::Closed,
            (Some(_), true) => Admission::Welcome,
            (Some(_), false) => Admission::Stranger,
        }
    }

    fn own_url(&self) -> Option<String> {
        self.0.house.config().icefarm.url.clone()
    }

    fn ask(&self, ask: Ask) -> Later<'static, Result<Answer, Fault>> {
        Box::pin(self.0.clone().answer(ask))
    }

    fn news(&self) -> Receiver<News> {
        let (tell, news) = async_channel::bounded(NEWS_WAITING_MAX);
        drop(task::spawn(self.0.clone().tell(tell)));
        news
    }

    fn watch_available(&self, wanted: bool) {
        match wanted {
            true => {
                // Watching an amount never fails; what it is now is told first.
                let _ = self.0.watcher.watch(Watch::Available);
                self.0.inside().counting = true;
                self.0.bell.ring();
            }
            false => self.0.watcher.unwatch(Watch::Available),
        }
    }
}
