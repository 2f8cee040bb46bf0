//! What displays are told: the queue and the burners, written once for each state of what they show, whoever asks, and told to all
//! displays when they change, at most so often.

use super::super::bell::Bell;
use super::super::herald::{Watch, Watcher};
use super::super::house::House;
use crate::lab::job::{BURN_KIND, image_of};
use crate::stand::message::{BurnerRow, QueueRow, Reply, Showing};
use crate::stand::{Hash, Line, Priority, Uid};
use async_std::task;
use futures_util::future::{Either, select};
use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// See above.
#[derive(Default)]
pub struct Lists {
    queue: Mutex<Kept<u64>>,
    burners: Mutex<Kept<(u64, u64)>>,
    told: Mutex<Told>,
}

/// A message and the number of what it shows; none was made yet.
type Kept<Number> = Option<(Number, Arc<[u8]>)>;

/// What displays were told last.
#[derive(Default)]
struct Told {
    /// How often something was told.
    number: u64,
    /// Both lists.
    bytes: Arc<[u8]>,
    /// Somebody who asked was answered otherwise since.
    is_outdated: bool,
    /// Who is to be woken: the bells of displays, by the numbers of their connections.
    bells: BTreeMap<u64, Arc<Bell>>,
}

impl Lists {
    /// `QLIST`, for whoever asks.
    pub fn answer_queue(&self, house: &House) -> Arc<[u8]> {
        let queue = self.queue(house);
        let mut told = lock(&self.told);
        told.is_outdated |= !told.bytes.starts_with(&queue);
        queue
    }

    /// `SLIST`, for whoever asks.
    pub fn answer_burners(&self, house: &House) -> Arc<[u8]> {
        let burners = self.burners(house);
        let mut told = lock(&self.told);
        told.is_outdated |= !told.bytes.ends_with(&burners);
        burners
    }

    /// `QLIST`.
    fn queue(&self, house: &House) -> Arc<[u8]> {
        let mut kept = lock(&self.queue);
        let now = house.counter.version();
        if let Some((_, message)) = kept.as_ref().filter(|(number, _)| *number == now) {
            return message.clone();
        }
        let machine = house.config().stand.machine.clone();
        let (number, rows) = house.counter.see_numbered(|lab| {
            let waiting = lab.waiting_for(&machine, BURN_KIND);
            waiting
                .filter_map(|(job, spec)| {
                    let image = Hash::of_text(&image_of(&spec.kind_args)?)?;
                    Some(QueueRow { id: job.0, image, priority: Priority::of_lab(spec.priority) })
                })
                .collect()
        });
        let message = encoded(&Reply::QList(rows));
        *kept = Some((number, message.clone()));
        message
    }

    /// `SLIST`.
    fn burners(&self, house: &House) -> Arc<[u8]> {
        let mut kept = lock(&self.burners);
        let now = (house.counter.version(), house.stand.version());
        if let Some((_, message)) = kept.as_ref().filter(|(number, _)| *number == now) {
            return message.clone();
        }
        // What changes from here on makes what is written old at once.
        let said = house.stand.version();
        let shown = house.stand.shown();
        let machine = house.config().stand.machine.clone();
        let (kept_number, mut names) = house.counter.see_numbered(|lab| {
            let boards = lab.boards_by_serial(&machine);
            let named =
                boards.filter_map(|(serial, called)| Some((Uid::of_text(serial)?, Line::new(called))));
            named.collect::<BTreeMap<_, _>>()
        });
        for uid in shown.keys() {
            names.entry(*uid).or_default();
        }
        let row = |(uid, name): (Uid, Line)| {
            let shown = shown.get(&uid);
            let (medium, showing) =
                (shown.map(|(medium, _)| *medium), shown.map_or(Showing::Away, |(_, showing)| *showing));
            BurnerRow { uid, name, medium, showing }
        };
        let message = encoded(&Reply::SList(names.into_iter().map(row).collect()));
        *kept = Some(((kept_number, said), message.clone()));
        message
    }

    /// A display came: it is woken when something is told from now on. Answers what it need not be told.
    pub fn enter(&self, number: u64, bell: Arc<Bell>) -> u64 {
        let mut told = lock(&self.told);
        told.bells.insert(number, bell);
        told.number
    }

    /// A display is gone.
    pub fn leave(&self, number: u64) {
        lock(&self.told).bells.remove(&number);
    }

    /// What there is to be told to a display that was told so often.
    pub fn news(&self, told_before: u64) -> Option<(u64, Arc<[u8]>)> {
        let told = lock(&self.told);
        (told.number != told_before).then(|| (told.number, told.bytes.clone()))
    }

    /// Tells all displays what changed, if anything did since they were told, or since one of them was answered; what is there at
    /// first is no change.
    fn tell(&self, house: &House, is_first: bool) {
        let bytes: Arc<[u8]> = [&*self.queue(house), &*self.burners(house)].concat().into();
        let mut told = lock(&self.told);
        let was_outdated = std::mem::take(&mut told.is_outdated);
        if told.bytes == bytes && !was_outdated {
            return;
        }
        told.bytes = bytes;
        if !is_first {
            told.number += 1;
            told.bells.values().for_each(|bell| bell.ring());
        }
    }
}

/// Begins to tell displays of changes: of those that come from now on.
pub fn start_telling(house: &Arc<House>) {
    let watcher = house.counter.herald.subscribe(house.stand.changed.clone());
    let machine = house.config().stand.machine.clone();
    // Two watches are within any limit.
    for what in [Watch::Job(None), Watch::Machine(Some(machine))] {
        if let Err(error) = watcher.watch(what) {
            tracing::error!(?error, "displays are not told of changes (limits.watches_max)");
        }
    }
    house.stand.lists.tell(house, true);
    task::spawn(tell_displays(house.clone(), watcher));
}

/// Tells displays of changes, until the house closes.
async fn tell_displays(house: Arc<House>, watcher: Watcher) {
    let mut closing = pin!(house.closing());
    loop {
        let rung = pin!(house.stand.changed.heard());
        if let Either::Right(_) = select(rung, closing.as_mut()).await {
            return;
        }
        // What changed is looked up; what is asked for here is only that it did.
        watcher.take();
        house.stand.lists.tell(&house, false);
        let until = house.clock.now().plus_ms(house.config().stand.report_ms);
        if let Either::Right(_) = select(pin!(house.clock.sleep_until(until)), closing.as_mut()).await {
            return;
        }
    }
}

fn encoded(reply: &Reply) -> Arc<[u8]> {
    let mut bytes = Vec::new();
    reply.encode(&mut bytes);
    bytes.into()
}

/// What is kept is whole at any time, so a panic elsewhere does no harm.
fn lock<T>(kept: &Mutex<T>) -> MutexGuard<'_, T> {
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}
