//! The shell around a bench: a thread for each device, one for what is due, and whoever else calls.
//!
//! Everything is done under one lock that is held for no longer than the work of it; nothing that is called with it held waits.

use super::bench::{Bench, BenchSettings, Deed, Offered};
use super::board::Work;
use super::device::{Device, Halt, carry_out};
use super::link::{News, Teller};
use super::mailbox::Socket;
use super::task::Task;
use crate::clock::{Clock, Moment};
use crate::http::{Callers, Ear};
use std::collections::BTreeMap;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

/// Even when nothing is due the bench is looked at so often: a clock may be set.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// See above.
pub struct Host {
    clock: Clock,
    teller: Teller,
    inside: Mutex<Inside>,
    /// Something is due sooner.
    sooner: Condvar,
}

/// What is behind the lock.
struct Inside {
    bench: Bench,
    hands: BTreeMap<String, Hand>,
    ears: BTreeMap<Socket, Ear>,
}

/// The way to a device's thread.
struct Hand {
    work: Sender<(u64, Work, Halt)>,
    halt: Halt,
}

impl Host {
    /// One without boards; words for the server go to the teller.
    pub fn start(settings: BenchSettings, clock: Clock, teller: Teller) -> std::io::Result<Arc<Host>> {
        let inside = Inside { bench: Bench::new(settings), hands: BTreeMap::new(), ears: BTreeMap::new() };
        let host = Arc::new(Host { clock, teller, inside: Mutex::new(inside), sooner: Condvar::new() });
        let weak = Arc::downgrade(&host);
        std::thread::Builder::new().name("due".into()).spawn(move || watch_time(&weak))?;
        Ok(host)
    }

    /// A board was plugged in; the server is told if it is not being told anyway.
    pub fn plug(self: &Arc<Host>, serial: &str, model: &str, device: Box<dyn Device>) -> std::io::Result<()> {
        let (work, waiting) = mpsc::channel();
        let (host, name) = (Arc::downgrade(self), serial.to_owned());
        let thread = std::thread::Builder::new().name(format!("board {serial}"));
        thread.spawn(move || drive(&host, &name, device, &waiting))?;
        let mut inside = self.inside();
        inside.hands.insert(serial.to_owned(), Hand { work, halt: Halt::default() });
        inside.bench.plug(self.clock.now(), serial, model);
        drop(inside);
        let offered = Offered { serial: serial.to_owned(), model: model.to_owned(), holds: None };
        self.teller.tell(News::Plugged(offered));
        Ok(())
    }

    /// A board was unplugged.
    pub fn unplug(&self, serial: &str) {
        self.act(|inside, now| inside.bench.unplug(now, serial));
        self.inside().hands.remove(serial);
        self.teller.tell(News::Unplugged(serial.to_owned()));
    }

    /// All boards, as they are offered.
    pub fn offered(&self) -> Vec<Offered> {
        self.inside().bench.offered()
    }

    /// Whether a job has one of the boards.
    pub fn is_lent(&self) -> bool {
        self.inside().bench.is_lent()
    }

    /// What the server says.
    pub fn handle_task(&self, task: Task) {
        self.act(|inside, now| inside.bench.handle_task(now, task));
    }

    /// Nobody speaks for the boards any more.
    pub fn rest(&self, why: &str) {
        self.act(|inside, now| inside.bench.rest(now, why));
    }

    /// Does something and all that follows from it.
    fn act<T>(&self, act: impl FnOnce(&mut Inside, Moment) -> T) -> T {
        let mut inside = self.inside();
        let now = self.clock.now();
        let done = act(&mut inside, now);
        while let Some(deed) = inside.bench.poll(now) {
            self.carry(&mut inside, deed);
        }
        drop(inside);
        self.sooner.notify_all();
        done
    }

    fn carry(&self, inside: &mut Inside, deed: Deed) {
        match deed {
            Deed::Begin { serial, number, work } => {
                let Some(hand) = inside.hands.get_mut(&serial) else { return };
                hand.halt = Halt::default();
                // A thread that is gone is found by the bound of the work.
                let _ = hand.work.send((number, work, hand.halt.clone()));
            }
            Deed::Cancel { serial } => {
                if let Some(hand) = inside.hands.get(&serial) {
                    hand.halt.halt();
                }
            }
            Deed::Say(word) => self.teller.tell(News::Word(word)),
            Deed::Over(why) => self.teller.tell(News::Over(why)),
            Deed::Emit(packet) => {
                for socket in packet.sockets {
                    let full = inside
                        .ears
                        .get(&socket)
                        .is_some_and(|ear| ear.try_send(packet.text.clone()).is_err());
                    if full {
                        // It reads nothing; its door hangs up when it finds its ear gone.
                        inside.ears.remove(&socket);
                    }
                }
            }
        }
    }

    /// The bench is whole between calls, so a panic elsewhere does no harm.
    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Clients at the worker's own door.
impl Callers for Host {
    fn come(&self, client: &str, socket: u64, ear: Ear) -> bool {
        self.act(|inside, now| {
            let room = inside.bench.come(now, client, socket);
            if room {
                inside.ears.insert(socket, ear);
            }
            room
        })
    }

    fn go(&self, client: &str, socket: u64) {
        self.act(|inside, now| {
            inside.ears.remove(&socket);
            inside.bench.go(now, client, socket);
        });
    }

    fn hear(&self, client: &str, request: &[u8]) {
        for why in self.act(|inside, now| inside.bench.handle_request(now, client, request)) {
            tracing::warn!(client, "a request was dropped: {why}");
        }
    }
}

/// The thread of a device.
fn drive(
    host: &Weak<Host>,
    serial: &str,
    mut device: Box<dyn Device>,
    waiting: &Receiver<(u64, Work, Halt)>,
) {
    for (number, work, halt) in waiting {
        let outcome = carry_out(&mut *device, &work, &halt);
        if let Err(why) = &outcome {
            tracing::info!(serial, "its device failed: {why}");
        }
        let Some(host) = host.upgrade() else { return };
        host.act(|inside, now| inside.bench.handle_done(now, serial, number, outcome));
    }
}

/// The thread that sees to what is due.
fn watch_time(host: &Weak<Host>) {
    while let Some(host) = host.upgrade() {
        host.act(|inside, now| inside.bench.handle_time(now));
        let inside = host.inside();
        let wait = inside
            .bench
            .wake_at()
            .map_or(LOOK_EVERY, |at| Duration::from_millis(at.ms_since(host.clock.now())).min(LOOK_EVERY));
        if !wait.is_zero() {
            // Woken early it only looks early.
            drop(host.sooner.wait_timeout(inside, wait));
        }
    }
}
