//! Who may: the names of users, their roles, their passwords, and the wait after a wrong password.
//!
//! Read this file first, then `password` (what is kept of a password and how one is checked) and `lockout` (how
//! guessing is slowed down). Everything here is pure: salts and time are arguments, and the expensive hashing is
//! a plain function that `server::hasher` calls on its own threads. Deliberately not here: which users exist
//! (the lab knows) and who is speaking at the moment (`session`).

pub mod lockout;
pub mod password;

pub use password::Phc;

use crate::error::{Code, Fault};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// What a caller may do. The order is the order of power: each role may do all that the ones before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Somebody who gave no name: may look.
    Guest,
    /// May create jobs and act on one's own.
    User,
    /// May act on every job and board, and set priorities.
    Operator,
    /// May manage users, the configuration and the server itself.
    Admin,
}

impl Role {
    /// All roles, the least powerful first; a role stands at the index that is its number.
    pub const ALL: [Role; 4] = [Role::Guest, Role::User, Role::Operator, Role::Admin];

    /// The word for the role on the wire, in the configuration and on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Role::Guest => "guest",
            Role::User => "user",
            Role::Operator => "operator",
            Role::Admin => "admin",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Role {
    type Err = UserError;

    fn from_str(text: &str) -> Result<Role, UserError> {
        Role::ALL.into_iter().find(|role| role.name() == text).ok_or(UserError::UnknownRole)
    }
}

/// The name of a user: 1 to 64 ASCII letters, digits, '.', '_' and '-'. A copy costs nothing.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserName(Arc<str>);

impl UserName {
    /// The longest name.
    pub const BYTES_MAX: usize = 64;

    /// The name under which every guest speaks.
    const GUEST: &'static str = "guest";

    /// Checks the name of an account. "guest", however it is written, belongs to guests: nobody shall look like one.
    pub fn parse(text: &str) -> Result<UserName, UserError> {
        if is_well_formed(text) && !text.eq_ignore_ascii_case(Self::GUEST) {
            return Ok(UserName(text.into()));
        }
        Err(UserError::BadName)
    }

    /// Reads back a name that was kept: that of an account, or the guests' own.
    pub fn parse_or_guest(text: &str) -> Result<UserName, UserError> {
        if text == Self::GUEST { Ok(UserName::guest()) } else { UserName::parse(text) }
    }

    /// The name under which the server itself acts. No account has it: '/' is not in the alphabet.
    pub fn server() -> UserName {
        UserName("/server".into())
    }

    /// The name under which a door acts whose protocol knows no users.
    pub fn door(name: &str) -> UserName {
        UserName(format!("/{name}").into())
    }

    /// Whether a door acts under this name, or the server itself.
    pub fn is_door(&self) -> bool {
        self.0.starts_with('/')
    }

    /// The name of all guests.
    pub fn guest() -> UserName {
        UserName(Self::GUEST.into())
    }

    /// Whether this is the name of the guests.
    pub fn is_guest(&self) -> bool {
        &*self.0 == Self::GUEST
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The alphabet leaves out everything beyond ASCII, so that no two names look alike.
fn is_well_formed(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    (1..=UserName::BYTES_MAX).contains(&text.len()) && text.bytes().all(allowed)
}

impl fmt::Display for UserName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for UserName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

/// Why a name, a role or a password is refused. None of these ever repeats a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UserError {
    /// Not a name an account may have.
    BadName,
    /// Not one of the four roles.
    UnknownRole,
    /// A new password is shorter or longer than allowed.
    PasswordLength {
        /// How long it is.
        bytes: usize,
    },
    /// A password that is tried is longer than any password can be, so it is wrong without a look.
    AttemptTooLong,
    /// A kept hash is not one this server can check; the words say what is the matter with it.
    BadHash(&'static str),
}

impl UserError {
    /// The row of the table this belongs to.
    pub const fn code(self) -> Code {
        match self {
            UserError::BadName => Code::BAD_USER_NAME,
            UserError::UnknownRole => Code::UNKNOWN_NAME,
            UserError::PasswordLength { .. } => Code::BAD_PASSWORD,
            UserError::AttemptTooLong => Code::WRONG_CREDENTIALS,
            UserError::BadHash(_) => Code::BAD_ARGUMENT,
        }
    }
}

impl fmt::Display for UserError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use password::Password;
        match self {
            UserError::BadName => f.write_str(
                "a user name has 1 to 64 letters, digits, '.', '_' and '-', and \"guest\" is the guests' own",
            ),
            UserError::UnknownRole => f.write_str("a role is one of guest, user, operator, admin"),
            UserError::PasswordLength { bytes } => {
                let (min, max) = (Password::BYTES_MIN, Password::BYTES_MAX);
                write!(f, "a new password has {min} to {max} bytes, this one has {bytes}")
            }
            UserError::AttemptTooLong => f.write_str("the user is unknown or the password is wrong"),
            UserError::BadHash(what) => write!(f, "not a usable argon2id password hash: {what}"),
        }
    }
}

impl std::error::Error for UserError {}

impl From<UserError> for Fault {
    fn from(error: UserError) -> Fault {
        Fault::new(error.code(), error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_are_ordered_by_power_and_stand_at_their_number() {
        assert!(Role::ALL.is_sorted());
        for (index, role) in Role::ALL.into_iter().enumerate() {
            assert_eq!(role as usize, index);
            assert_eq!(role.to_string().parse(), Ok(role));
        }
        assert_eq!("Admin".parse::<Role>(), Err(UserError::UnknownRole));
        assert_eq!("".parse::<Role>(), Err(UserError::UnknownRole));
    }

    #[test]
    fn names_are_accepted_and_nearly_the_same_refused() {
        let longest = "x".repeat(64);
        for good in ["a", "Ada", "ada.lovelace", "ci-7_b", "guests", "0", longest.as_str()] {
            assert_eq!(UserName::parse(good).unwrap().as_str(), good);
        }
        let too_long = "x".repeat(65);
        for bad in ["", " ", "a b", "a/b", "a\n", "a\0", "zoë", "a@b", "guest", "Guest", "GUEST", &too_long]
        {
            assert_eq!(UserName::parse(bad), Err(UserError::BadName), "{bad:?}");
        }
    }

    #[test]
    fn guests_have_a_name_of_their_own() {
        assert!(UserName::guest().is_guest());
        assert!(!UserName::parse("ada").unwrap().is_guest());
        assert_eq!(UserName::parse_or_guest("guest"), Ok(UserName::guest()));
        assert_eq!(UserName::parse_or_guest("ada"), UserName::parse("ada"));
        assert_eq!(UserName::parse_or_guest("Guest"), Err(UserError::BadName));
    }

    #[test]
    fn every_refusal_has_its_row() {
        let rows = [
            (UserError::BadName, Code::BAD_USER_NAME),
            (UserError::UnknownRole, Code::UNKNOWN_NAME),
            (UserError::PasswordLength { bytes: 7 }, Code::BAD_PASSWORD),
            (UserError::AttemptTooLong, Code::WRONG_CREDENTIALS),
            (UserError::BadHash("no salt"), Code::BAD_ARGUMENT),
        ];
        for (error, code) in rows {
            let fault = Fault::from(error);
            assert_eq!((fault.code, fault.msg), (code, error.to_string()));
        }
    }
}
