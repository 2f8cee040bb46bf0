//! Who is speaking, and until when: the table of living sessions that every connection reads for each message.
//!
//! Reading order: this file, `id` (why an id may be looked up in a hash table), `wheel` (why nobody scans for sessions that
//! ran out). A session belongs to no socket and outlives them all; it ends by its span, or because somebody ends it.
//!
//! Two halves, so that the frequent thing waits for nobody. `touch`, once per message, is a look-up and one relaxed store in
//! a sharded table. All else (opening, ending, counting, sweeping) is rare and keeps its books under one mutex. The
//! mutex is always taken first and the table's guards never leave the one expression that made them, so no order of
//! locks can be wrong and no guard can live across an `.await`.
//!
//! Deliberately not here: the journal. Whoever ends a session keeps that fact first and then calls `end`;
//! `poll_expired` only names those whose time has come.

mod id;
mod wheel;

pub use id::{NoSessionId, SessionId};
pub use wheel::{Due, Wheel};

use crate::clock::Moment;
use crate::user::{Role, UserName};
use dashmap::{DashMap, Entry as Slot};
use foldhash::fast::RandomState;
use std::collections::{BTreeMap, HashSet, VecDeque};
use std::fmt;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

/// So long an ended session is answered with "expired" rather than "unknown".
pub const OVER_REMEMBERED_MS: u64 = 24 * 3_600_000;
/// So many ended sessions are remembered at most; the one that ended first is forgotten first.
pub const OVER_REMEMBERED_MAX: usize = 100_000;
/// So many sessions one sweep looks at, a few milliseconds' work: after a restart a million may fall due at once.
pub const LOOKS_PER_SWEEP_MAX: usize = 10_000;
/// A session that ran out and was not ended (the journal may be full) is named again after this time.
pub const EXPIRED_AGAIN_MS: u64 = 10_000;

/// One session.
pub struct Session {
    /// Its id.
    pub id: SessionId,
    /// Who speaks.
    pub user: UserName,
    /// The client's own name, as it gave it.
    pub client: Arc<str>,
    /// When it was opened.
    pub opened: Moment,
    /// So long it lives without being used; 0 is for ever.
    pub span_ms: u64,
    /// The number of the role the user has at present.
    role: AtomicU8,
    /// When it was last used.
    last_used_ms: AtomicU64,
    /// The deadline under which the wheel holds it. Only the holder of the books reads or writes it.
    held_until_ms: AtomicU64,
}

impl Session {
    /// A session used at this moment for the first time.
    pub fn new(
        id: SessionId,
        user: UserName,
        role: Role,
        client: Arc<str>,
        opened: Moment,
        span_ms: u64,
    ) -> Session {
        let (role, last_used_ms) = (AtomicU8::new(role as u8), AtomicU64::new(opened.0));
        Session { id, user, client, opened, span_ms, role, last_used_ms, held_until_ms: AtomicU64::new(0) }
    }

    /// The role its user has at present.
    pub fn role(&self) -> Role {
        let number = self.role.load(Ordering::Relaxed);
        Role::ALL.get(usize::from(number)).copied().unwrap_or(Role::Guest)
    }

    /// When it was last used.
    pub fn last_used(&self) -> Moment {
        Moment(self.last_used_ms.load(Ordering::Relaxed))
    }

    /// When it runs out unless it is used again; never without a span.
    pub fn expires(&self) -> Option<Moment> {
        (self.span_ms > 0).then(|| self.last_used().plus_ms(self.span_ms))
    }

    /// Starts the span anew: at each use, and at a restart, which nobody shall pay for.
    pub fn renew(&self, now: Moment) {
        // Two threads may store in the wrong order and the span end by the instant between them too early. That is
        // cheaper than an atomic maximum for every message.
        self.last_used_ms.store(now.0, Ordering::Relaxed);
    }

    /// Notes the deadline under which the wheel holds it from now on.
    fn held_until(&self, deadline: Moment) -> Moment {
        self.held_until_ms.store(deadline.0, Ordering::Relaxed);
        deadline
    }

    /// Whether its span has run out.
    fn is_over(&self, now: Moment) -> bool {
        self.expires().is_some_and(|at| at <= now)
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "session {:?} of {} ({})", self.id, self.user, self.role())
    }
}

/// What an id leads to.
#[derive(Clone, Debug)]
pub enum Found {
    /// A session that may speak.
    Living(Arc<Session>),
    /// One that ran out or was ended a while ago (408).
    Over,
    /// None that is known here (407).
    Unknown,
}

/// All sessions. Shared by reference; every method may be called from any thread.
pub struct Sessions {
    /// What each id leads to.
    table: DashMap<SessionId, Entry, RandomState>,
    /// The rest, which `touch` does not need. Only its holder adds to the table or takes from it.
    books: Mutex<Books>,
}

/// What stands in the table.
enum Entry {
    /// A session that was not ended, though its span may have run out.
    Living(Arc<Session>),
    /// One that ended at this moment.
    Over(Moment),
}

/// Who has which sessions, which are to be looked at when, and which ended when.
#[derive(Default)]
struct Books {
    /// The living sessions of each user who has any.
    of_user: BTreeMap<UserName, HashSet<SessionId, RandomState>>,
    /// How many sessions live.
    living: usize,
    /// When to look whether a session has run out, by the bits of its id.
    wheel: Wheel<u128>,
    /// The ended sessions that are remembered, in the order in which they ended.
    over: VecDeque<(Moment, SessionId)>,
}

impl Sessions {
    /// No sessions.
    pub fn new() -> Sessions {
        Sessions { table: DashMap::with_hasher(RandomState::default()), books: Mutex::default() }
    }

    /// What this id leads to; a living session is thereby used and lives its whole span again.
    pub fn touch(&self, id: &SessionId, now: Moment) -> Found {
        let found = self.find(id, now);
        if let Found::Living(session) = &found {
            session.renew(now);
        }
        found
    }

    /// What this id leads to. A session whose span has run out is over at once, swept or not.
    pub fn find(&self, id: &SessionId, now: Moment) -> Found {
        let found = self.table.view(id, |_, entry| match entry {
            Entry::Living(session) if session.is_over(now) => Found::Over,
            Entry::Living(session) => Found::Living(session.clone()),
            Entry::Over(at) if now.ms_since(*at) < OVER_REMEMBERED_MS => Found::Over,
            Entry::Over(_) => Found::Unknown,
        });
        found.unwrap_or(Found::Unknown)
    }

    /// Enters a session. None when its id is taken, by a living session or by one that is over.
    pub fn open(&self, session: Session) -> Option<Arc<Session>> {
        let mut books = self.books();
        let session = Arc::new(session);
        match self.table.entry(session.id) {
            Slot::Occupied(_) => return None,
            Slot::Vacant(slot) => drop(slot.insert(Entry::Living(session.clone()))),
        }
        books.living += 1;
        books.of_user.entry(session.user.clone()).or_default().insert(session.id);
        if let Some(at) = session.expires() {
            books.wheel.add(session.id.to_bits(), session.held_until(at));
        }
        Some(session)
    }

    /// Ends a session, whether or not it had run out. None when there was none to end.
    pub fn end(&self, id: &SessionId, now: Moment) -> Option<Arc<Session>> {
        self.bury(&mut self.books(), id, now)
    }

    /// Ends all sessions of a user and names them, the oldest first.
    pub fn end_of_user(&self, user: &UserName, now: Moment) -> Vec<SessionId> {
        let mut books = self.books();
        let sessions = self.living_of(&books, user);
        sessions.iter().filter_map(|session| self.bury(&mut books, &session.id, now)).map(|s| s.id).collect()
    }

    /// Gives all sessions of a user the role the user has from now on.
    pub fn role_changed(&self, user: &UserName, role: Role) {
        let books = self.books();
        for session in self.living_of(&books, user) {
            session.role.store(role as u8, Ordering::Relaxed);
        }
    }

    /// How many sessions a user has, those included that ran out less than a sweep ago.
    pub fn count_of(&self, user: &UserName) -> usize {
        self.books().of_user.get(user).map_or(0, HashSet::len)
    }

    /// How many sessions there are, those included that ran out less than a sweep ago.
    pub fn count(&self) -> usize {
        self.books().living
    }

    /// The living sessions of a user, the oldest first.
    pub fn of_user(&self, user: &UserName, now: Moment) -> Vec<Arc<Session>> {
        let mut sessions = self.living_of(&self.books(), user);
        sessions.retain(|session| !session.is_over(now));
        sessions
    }

    /// All living sessions as they are now, the oldest first.
    pub fn snapshot(&self, now: Moment) -> Vec<Arc<Session>> {
        let living = self.table.iter().filter_map(|entry| match entry.value() {
            Entry::Living(session) if !session.is_over(now) => Some(session.clone()),
            _ => None,
        });
        in_order(living.collect())
    }

    /// Names sessions whose span ran out: each is to be ended, or it is named again later. One call looks at a bounded
    /// number; there may be more as long as `next_expiry` is not in the future.
    pub fn poll_expired(&self, now: Moment) -> Vec<SessionId> {
        let mut expired = Vec::new();
        let books = &mut *self.books();
        self.forget_over(books, now);
        books.wheel.turn(now, LOOKS_PER_SWEEP_MAX, |bits| {
            let Some(session) = self.living(&SessionId::from_bits(bits)) else { return Due::Gone };
            let again = session.expires().filter(|at| *at > now).unwrap_or_else(|| {
                expired.push(session.id);
                now.plus_ms(EXPIRED_AGAIN_MS)
            });
            Due::Later(session.held_until(again))
        });
        expired
    }

    /// `poll_expired` names nobody before this, and is worth calling then.
    pub fn next_expiry(&self) -> Option<Moment> {
        self.books().wheel.due_at()
    }

    /// Turns a living session into one that is over.
    fn bury(&self, books: &mut Books, id: &SessionId, now: Moment) -> Option<Arc<Session>> {
        let session = self.living(id)?;
        self.table.insert(*id, Entry::Over(now));
        books.living -= 1;
        books.wheel.remove(id.to_bits(), Moment(session.held_until_ms.load(Ordering::Relaxed)));
        if let Some(ids) = books.of_user.get_mut(&session.user) {
            ids.remove(id);
            if ids.is_empty() {
                books.of_user.remove(&session.user);
            }
        }
        books.over.push_back((now, *id));
        if books.over.len() > OVER_REMEMBERED_MAX {
            self.forget_first(books);
        }
        Some(session)
    }

    /// Forgets ended sessions whose time of remembrance has passed.
    fn forget_over(&self, books: &mut Books, now: Moment) {
        for _ in 0..LOOKS_PER_SWEEP_MAX {
            match books.over.front() {
                Some((at, _)) if now.ms_since(*at) >= OVER_REMEMBERED_MS => self.forget_first(books),
                _ => break,
            }
        }
    }

    /// Forgets the session that ended first.
    fn forget_first(&self, books: &mut Books) {
        if let Some((_, id)) = books.over.pop_front() {
            self.table.remove(&id);
        }
    }

    /// The session of this id if it was not ended.
    fn living(&self, id: &SessionId) -> Option<Arc<Session>> {
        let session = self.table.view(id, |_, entry| match entry {
            Entry::Living(session) => Some(session.clone()),
            Entry::Over(_) => None,
        });
        session.flatten()
    }

    /// The sessions of a user that were not ended, the oldest first.
    fn living_of(&self, books: &Books, user: &UserName) -> Vec<Arc<Session>> {
        let ids = books.of_user.get(user).into_iter().flatten();
        in_order(ids.filter_map(|id| self.living(id)).collect())
    }

    /// The books. They are consistent after every statement that could panic, so a panic elsewhere does not spoil them.
    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Default for Sessions {
    fn default() -> Sessions {
        Sessions::new()
    }
}

/// By age, and by id among those opened at one moment, so that two lists of the same sessions are the same.
fn in_order(mut sessions: Vec<Arc<Session>>) -> Vec<Arc<Session>> {
    sessions.sort_unstable_by_key(|session| (session.opened, session.id.to_bits()));
    sessions
}

#[cfg(test)]
mod tests;
