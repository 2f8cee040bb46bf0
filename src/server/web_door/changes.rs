//! What changes, for pages that look on: woken like any watcher, told from what is remembered, so that one who comes back
//! with a cursor hears what the others heard meanwhile.

use super::super::bell::Bell;
use super::super::herald::{Herald, Watch, Watcher};
use super::super::house::House;
use crate::error::{Code, Fault};
use crate::http::{Change, Changes, Later};
use crate::notice::recall::{Cursor, Recall};
use crate::session::{Found, SessionId};
use futures_util::future::select;
use std::pin::pin;
use std::sync::Arc;

/// See above.
pub struct Looking {
    house: Arc<House>,
    session: SessionId,
    watcher: Watcher,
    bell: Arc<Bell>,
    /// Up to where everything was told.
    cursor: Cursor,
}

impl Looking {
    /// Looks on from now, or from a cursor.
    pub fn begin(house: &Arc<House>, session: &str, cursor: Option<&str>) -> Result<Looking, Fault> {
        let session = living(house, session)?;
        let bell = Arc::new(Bell::default());
        let watcher = house.counter.herald.subscribe(bell.clone());
        // First it is woken, then it looks: so nothing falls in between.
        watcher.watch(Watch::Job(None))?;
        watcher.watch(Watch::Machine(None))?;
        let cursor = recall(house, |recall| match cursor.map(str::parse) {
            None => recall.cursor(),
            Some(known) => known.unwrap_or_else(|_| recall.nowhere()),
        });
        Ok(Looking { house: house.clone(), session, watcher, bell, cursor })
    }

    /// What there is to tell now.
    fn look(&mut self) -> Option<Change> {
        self.watcher.take();
        let Some(since) = recall(&self.house, |recall| recall.since(self.cursor)) else {
            self.cursor = recall(&self.house, Recall::cursor);
            return Some(Change::Reset);
        };
        self.cursor = since.cursor;
        let machines: Vec<String> = since.machines.iter().map(|name| name.to_string()).collect();
        let empty = since.jobs.is_empty() && machines.is_empty();
        (!empty).then_some(Change::These { jobs: since.jobs, machines })
    }

    async fn wait(&mut self) -> Option<Change> {
        loop {
            if let Some(change) = self.look() {
                return Some(change);
            }
            if self.house.end().is_some() {
                return None;
            }
            select(pin!(self.bell.heard()), pin!(self.house.closing())).await;
        }
    }
}

impl Changes for Looking {
    fn next(&mut self) -> Later<'_, Option<Change>> {
        Box::pin(self.wait())
    }

    fn cursor(&self) -> String {
        self.cursor.to_string()
    }

    fn touch(&self) -> Result<(), Fault> {
        touched(&self.house, &self.session)
    }
}

/// What changed lately.
fn recall<T>(house: &House, look: impl FnOnce(&Recall) -> T) -> T {
    let herald: &Herald = &house.counter.herald;
    let begin = || Recall::new(uuid::Uuid::new_v4().as_u64_pair().0, house.config().web.changes_max);
    herald.recall(begin, look)
}

/// The living session of this name.
fn living(house: &House, session: &str) -> Result<SessionId, Fault> {
    let unknown = || Fault::new(Code::AUTH_REQUIRED, "this session is not known; hand-shake anew");
    let id: SessionId = session.parse().map_err(|_| unknown())?;
    touched(house, &id).map(|()| id)
}

/// Whoever looks on uses the session.
fn touched(house: &House, id: &SessionId) -> Result<(), Fault> {
    match house.counter.sessions.touch(id, house.clock.now()) {
        Found::Living(_) => Ok(()),
        Found::Over => Err(Fault::new(Code::SESSION_EXPIRED, "this session has expired or was ended")),
        Found::Unknown => Err(Fault::new(Code::AUTH_REQUIRED, "this session is not known; hand-shake anew")),
    }
}
