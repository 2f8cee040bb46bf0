//! Hand-shakes: who is let in, and with which session. Passwords are checked on threads of their own; nobody
//! else waits for them.

use super::house::House;
use crate::error::{Code, Fault};
use crate::lab::command::{Caller, Command};
use crate::lab::fact::{SessionEnd, SessionKey};
use crate::session::SessionId;
use crate::user::password::Password;
use crate::user::{Phc, Role, UserName};
use std::net::IpAddr;
use std::sync::{Arc, PoisonError};

/// The longest name a client may call itself, in bytes; what is longer is cut.
const CLIENT_NAME_BYTES_MAX: usize = 128;

/// What somebody offers to be let in.
pub enum Claim {
    /// Nothing.
    Guest,
    /// A name and a password.
    Password {
        /// The name.
        user: String,
        /// The password.
        password: String,
    },
}

/// Lets somebody in, or says why not. The session that comes back is kept.
pub async fn log_in(
    house: &Arc<House>,
    address: IpAddr,
    claim: Claim,
    client: &str,
) -> Result<SessionId, Fault> {
    let proven = match claim {
        Claim::Guest => Proven { user: UserName::guest(), role: guest_role(house)?, against: None },
        Claim::Password { user, password } => prove(house, address, &user, password).await?,
    };
    let id = SessionId::new(uuid::Uuid::new_v4());
    let command = Command::OpenSession {
        session: SessionKey(id.to_bits()),
        user: proven.user.clone(),
        role: proven.role,
        client: shortened(client).into(),
        span_ms: house.config().native.session_span_ms,
    };
    house.counter.command(Caller::server(), command).await?;
    match still_holds(house, &proven) {
        true => Ok(id),
        false => {
            let session = SessionKey(id.to_bits());
            let ended = Command::EndSession { session, why: SessionEnd::UserChanged };
            house.counter.command(Caller::server(), ended).await?;
            Err(wrong_credentials())
        }
    }
}

/// Who somebody was found to be.
struct Proven {
    user: UserName,
    role: Role,
    /// The hash the password was checked against; none for a guest.
    against: Option<Phc>,
}

/// Whether the password that was checked is still the user's: another one may have been set meanwhile, which
/// ended all sessions there were, but not the one that came a moment later.
fn still_holds(house: &House, proven: &Proven) -> bool {
    let Some(against) = &proven.against else { return true };
    house.counter.see(|lab| lab.user(&proven.user).is_some_and(|known| known.phc == *against))
}

fn wrong_credentials() -> Fault {
    Fault::new(Code::WRONG_CREDENTIALS, "unknown user or wrong password")
}

fn guest_role(house: &House) -> Result<Role, Fault> {
    let refused =
        || Fault::new(Code::AUTH_REQUIRED, "guests are refused here; hand-shake with a user and a password");
    house.config().native.guests.ok_or_else(refused)
}

/// Checks a password. An unknown user costs as much time as a wrong password, and is told the same.
async fn prove(house: &House, address: IpAddr, user: &str, password: String) -> Result<Proven, Fault> {
    let wait = with_lockout(house, |lockout| lockout.check(house.clock.now(), user, address));
    if let Err(wait_ms) = wait {
        let wait_s = wait_ms.div_ceil(1000);
        return Err(Fault::new(
            Code::LOGIN_DELAYED,
            format!("too many wrong passwords; try again in {wait_s} s"),
        ));
    }
    let name = UserName::parse(user).ok();
    let known = name.as_ref().and_then(|name| house.counter.see(|lab| lab.user(name).cloned()));
    let phc = known.as_ref().map_or_else(Phc::dummy, |known| known.phc.clone());
    let right = match Password::attempt(password) {
        Ok(password) => house.hasher.verify(password, phc).await?,
        Err(_) => false,
    };
    match (right, name, known) {
        (true, Some(name), Some(known)) => {
            with_lockout(house, |lockout| lockout.succeeded(house.clock.now(), user, address));
            Ok(Proven { user: name, role: known.role, against: Some(known.phc) })
        }
        _ => {
            with_lockout(house, |lockout| lockout.failed(house.clock.now(), user, address));
            Err(wrong_credentials())
        }
    }
}

fn with_lockout<T>(house: &House, act: impl FnOnce(&mut crate::user::lockout::Lockout) -> T) -> T {
    act(&mut house.lockout.lock().unwrap_or_else(PoisonError::into_inner))
}

/// A name, cut at a character's edge.
fn shortened(name: &str) -> &str {
    &name[..name.floor_char_boundary(CLIENT_NAME_BYTES_MAX)]
}
