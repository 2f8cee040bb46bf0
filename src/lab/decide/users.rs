//! Users, their sessions, and whether the service takes jobs.

use super::{Decision, require, require_short};
use crate::lab::Lab;
use crate::lab::command::Caller;
use crate::lab::fact::{Event, SessionEnd, SessionKey};
use crate::lab::refusal::Refusal;
use crate::user::{Phc, Role, UserName};
use std::sync::Arc;

impl Lab {
    pub(super) fn create_user(&self, caller: &Caller, user: &UserName, role: Role, phc: &Phc) -> Decision {
        require(caller, Role::Admin, "only an administrator may create users")?;
        if self.users.contains_key(user) {
            return Err(Refusal::UserExists(user.clone()));
        }
        if self.users.len() >= self.options.users_max {
            return Err(Refusal::TooManyUsers(self.options.users_max));
        }
        Ok(vec![Event::UserCreated { user: user.clone(), role, phc: phc.clone() }])
    }

    pub(super) fn set_password(&self, caller: &Caller, user: &UserName, phc: &Phc) -> Decision {
        if caller.user != *user {
            require(caller, Role::Admin, "only an administrator may set another user's password")?;
        }
        self.known_user(user)?;
        let mut events = self.ends_of(user);
        events.push(Event::PasswordSet { user: user.clone(), phc: phc.clone() });
        Ok(events)
    }

    pub(super) fn set_role(&self, caller: &Caller, user: &UserName, role: Role) -> Decision {
        require(caller, Role::Admin, "only an administrator may set roles")?;
        self.known_user(user)?;
        if role < Role::Admin {
            self.require_other_admin(user)?;
        }
        Ok(vec![Event::RoleSet { user: user.clone(), role }])
    }

    pub(super) fn delete_user(&self, caller: &Caller, user: &UserName) -> Decision {
        require(caller, Role::Admin, "only an administrator may delete users")?;
        self.known_user(user)?;
        self.require_other_admin(user)?;
        let mut events = self.ends_of(user);
        events.push(Event::UserDeleted { user: user.clone() });
        Ok(events)
    }

    /// The ends of all sessions of a user.
    fn ends_of(&self, user: &UserName) -> Vec<Event> {
        let own = self.sessions.iter().filter(|(_, session)| session.user == *user);
        own.map(|(key, _)| Event::SessionEnded { session: *key, why: SessionEnd::UserChanged }).collect()
    }

    pub(super) fn open_session(
        &self,
        session: SessionKey,
        user: &UserName,
        role: Role,
        client: &Arc<str>,
        span_ms: u64,
    ) -> Decision {
        if self.sessions.contains_key(&session) {
            return Err(Refusal::BadArgument("a session has this id already".to_owned()));
        }
        require_short("client", client)?;
        // The user may have got another role while the password was being checked.
        let role = match self.users.get(user) {
            Some(known) => role.min(known.role),
            None if user.is_guest() => role,
            None => return Err(Refusal::UserUnknown(user.clone())),
        };
        let have = self.sessions_of_user.get(user).copied().unwrap_or(0);
        if have >= self.options.sessions_per_user_max {
            return Err(Refusal::TooManySessions(self.options.sessions_per_user_max));
        }
        Ok(vec![Event::SessionOpened { session, user: user.clone(), role, client: client.clone(), span_ms }])
    }

    pub(super) fn end_session(&self, caller: &Caller, session: SessionKey, why: SessionEnd) -> Decision {
        let record = self.sessions.get(&session).ok_or(Refusal::SessionUnknown)?;
        if record.user != caller.user {
            require(caller, Role::Admin, "only an administrator may end another user's session")?;
        }
        Ok(vec![Event::SessionEnded { session, why }])
    }

    pub(super) fn set_service(&self, caller: &Caller, accept: bool, reason: &Arc<str>) -> Decision {
        require(caller, Role::Admin, "only an administrator may open or drain the service")?;
        require_short("reason", reason)?;
        Ok(vec![Event::ServiceSet { accept, by: caller.user.as_str().into(), reason: reason.clone() }])
    }

    fn known_user(&self, user: &UserName) -> Result<(), Refusal> {
        self.users.get(user).map(|_| ()).ok_or_else(|| Refusal::UserUnknown(user.clone()))
    }

    fn require_other_admin(&self, user: &UserName) -> Result<(), Refusal> {
        let other = self.users.iter().any(|(name, known)| name != user && known.role == Role::Admin);
        match other || self.users.get(user).is_some_and(|known| known.role < Role::Admin) {
            true => Ok(()),
            false => Err(Refusal::LastAdmin(user.clone())),
        }
    }
}
