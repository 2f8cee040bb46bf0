//! Users and sessions.

use crate::lab::fact::{Event, Fact, SessionKey};
use crate::lab::{Lab, SESSIONS_REMEMBERED_MAX, SessionRecord, User};
use crate::user::{Role, UserName};

impl Lab {
    /// Makes a fact about users and sessions true.
    pub(super) fn apply_to_users(&mut self, fact: &Fact) {
        let at = fact.at;
        match &fact.event {
            Event::UserCreated { user, role, phc } => {
                self.users.insert(user.clone(), User { role: *role, phc: phc.clone(), created: at });
            }
            Event::PasswordSet { user, phc } => {
                if let Some(known) = self.users.get_mut(user) {
                    known.phc = phc.clone();
                }
            }
            Event::RoleSet { user, role } => self.set_user_role(user, *role),
            Event::UserDeleted { user } => {
                self.users.remove(user);
            }
            Event::SessionOpened { session, user, role, client, span_ms } => {
                let record = SessionRecord {
                    user: user.clone(),
                    role: *role,
                    client: client.clone(),
                    opened: at,
                    span_ms: *span_ms,
                };
                self.sessions.insert(*session, record);
                *self.sessions_of_user.entry(user.clone()).or_default() += 1;
            }
            Event::SessionEnded { session, .. } => self.forget_session(*session),
            _ => {}
        }
    }

    fn set_user_role(&mut self, user: &UserName, role: Role) {
        if let Some(known) = self.users.get_mut(user) {
            known.role = role;
        }
        let own = self.sessions.values_mut().filter(|session| session.user == *user);
        own.for_each(|session| session.role = role);
    }

    fn forget_session(&mut self, session: SessionKey) {
        let Some(record) = self.sessions.remove(&session) else { return };
        if let Some(count) = self.sessions_of_user.get_mut(&record.user) {
            *count -= 1;
            if *count == 0 {
                self.sessions_of_user.remove(&record.user);
            }
        }
        self.sessions_over.push_back(session);
        if self.sessions_over.len() > SESSIONS_REMEMBERED_MAX {
            self.sessions_over.pop_front();
        }
    }
}
