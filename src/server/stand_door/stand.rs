//! What all connections of the stand door share: which burners are there and what each said last, the images, and the lists.

use super::super::bell::Bell;
use super::super::house::House;
use super::images::Images;
use super::lists::Lists;
use crate::controller::agent::{Ears, Told};
use crate::lab::command::Caller;
use crate::stand::message::{IMAGES_MAX, Showing};
use crate::stand::{Burner, Hash, Medium, Uid};
use crate::user::UserName;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The name under which command clients of this door act.
pub const DOOR: &str = "stand";

/// So much may wait for one burner to be told.
const LETTERS_MAX: usize = 1_000;

/// See above.
#[derive(Default)]
pub struct Stand {
    /// The images.
    pub images: Images,
    /// What displays are told.
    pub lists: Lists,
    burners: Mutex<BTreeMap<Uid, Known>>,
    /// Grows with all that the list of burners shows beside the lab.
    version: AtomicU64,
    /// Rung when it grows.
    pub changed: Arc<Bell>,
}

/// A burner that is connected, or was since the server was started.
struct Known {
    medium: Medium,
    showing: Showing,
    images: BTreeSet<Hash>,
    /// The connection's number, and how it is reached; none for one that is away.
    connection: Option<(u64, Arc<Mailbox>)>,
}

impl Stand {
    /// A burner came by this connection.
    pub fn enter(&self, uid: Uid, number: u64, burner: &Burner, mailbox: Arc<Mailbox>) {
        let known = Known {
            medium: burner.medium(),
            showing: Showing::Silent,
            images: BTreeSet::new(),
            connection: Some((number, mailbox)),
        };
        self.burners().insert(uid, known);
        self.count_change();
    }

    /// A burner said something; a connection that another one of the same burner has replaced says nothing here.
    pub fn see(&self, uid: Uid, number: u64, burner: &Burner) {
        let mut burners = self.burners();
        let Some(known) = burners.get_mut(&uid).filter(|known| known.is_at(number)) else { return };
        known.images.clone_from(burner.images());
        let showing = burner.status().map_or(Showing::Silent, Showing::Says);
        if (known.medium, known.showing) == (burner.medium(), showing) {
            return;
        }
        (known.medium, known.showing) = (burner.medium(), showing);
        drop(burners);
        self.count_change();
    }

    /// A burner that is connected was silent for so long that the lab counts on it no more.
    pub fn miss(&self, uid: Uid, number: u64) {
        let mut burners = self.burners();
        let Some(known) = burners.get_mut(&uid).filter(|known| known.is_at(number)) else { return };
        known.showing = Showing::Away;
        drop(burners);
        self.count_change();
    }

    /// A connection of a burner is gone. One that the lab does not know is forgotten.
    pub fn leave(&self, house: &House, uid: Uid, number: u64) {
        let machine = house.config().stand.machine.clone();
        let serial: Arc<str> = uid.to_string().into();
        let is_board = house.counter.see(|lab| !lab.boards_called(&machine, &[serial]).is_empty());
        let mut burners = self.burners();
        let Some(known) = burners.get_mut(&uid).filter(|known| known.is_at(number)) else { return };
        (known.showing, known.connection) = (Showing::Away, None);
        known.images.clear();
        if !is_board {
            burners.remove(&uid);
        }
        drop(burners);
        self.count_change();
    }

    /// How a burner that is connected is reached.
    pub fn mailbox(&self, uid: Uid) -> Option<Arc<Mailbox>> {
        self.burners().get(&uid)?.connection.as_ref().map(|(_, mailbox)| mailbox.clone())
    }

    /// What each burner burns and does.
    pub fn shown(&self) -> BTreeMap<Uid, (Medium, Showing)> {
        self.burners().iter().map(|(uid, known)| (*uid, (known.medium, known.showing))).collect()
    }

    /// The images that the server knows, or a burner that is connected holds; not more than one message can name.
    pub fn images_known(&self) -> Vec<Hash> {
        let mut images: BTreeSet<_> = self.images.known().into_iter().collect();
        images.extend(self.burners().values().flat_map(|known| &known.images).take(IMAGES_MAX));
        images.into_iter().take(IMAGES_MAX).collect()
    }

    /// The number of what the list of burners shows beside the lab.
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    fn count_change(&self) {
        self.version.fetch_add(1, Ordering::AcqRel);
        self.changed.ring();
    }

    /// The map is whole between calls, so a panic elsewhere does no harm.
    fn burners(&self) -> MutexGuard<'_, BTreeMap<Uid, Known>> {
        self.burners.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn is_at(&self, number: u64) -> bool {
        self.connection.as_ref().is_some_and(|(at, _)| *at == number)
    }
}

/// Under whom command clients act.
pub fn caller(house: &House) -> Caller {
    Caller { user: UserName::door(DOOR), role: house.config().stand.role }
}

/// What waits for the connection of a burner to be heard.
pub enum Letter {
    /// Its hub said this to the stay with this number.
    Told(u64, Told),
    /// Somebody wants to see its tray open.
    Open,
}

/// See `Letter`.
pub struct Mailbox {
    bell: Arc<Bell>,
    letters: Mutex<VecDeque<Letter>>,
}

impl Mailbox {
    /// An empty one; the bell is rung whenever something is put in.
    pub fn new(bell: Arc<Bell>) -> Arc<Mailbox> {
        Arc::new(Mailbox { bell, letters: Mutex::default() })
    }

    /// Puts a letter in; false when there are too many already.
    pub fn put(&self, letter: Letter) -> bool {
        let mut letters = self.letters();
        let has_room = letters.len() < LETTERS_MAX;
        if has_room {
            letters.push_back(letter);
        }
        drop(letters);
        self.bell.ring();
        has_room
    }

    /// The first of them.
    pub fn take(&self) -> Option<Letter> {
        self.letters().pop_front()
    }

    /// Whether there is anything.
    pub fn is_empty(&self) -> bool {
        self.letters().is_empty()
    }

    /// Whether more came than one that listens leaves lying.
    pub fn is_full(&self) -> bool {
        self.letters().len() >= LETTERS_MAX
    }

    /// The queue is whole between calls, so a panic elsewhere does no harm.
    fn letters(&self) -> MutexGuard<'_, VecDeque<Letter>> {
        self.letters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The ears of one stay.
pub struct Slot {
    /// The stay's number on its connection.
    pub stay: u64,
    /// Where the connection finds what it is told.
    pub mailbox: Arc<Mailbox>,
}

impl Ears for Slot {
    fn tell(&self, told: Told) {
        self.mailbox.put(Letter::Told(self.stay, told));
    }
}
