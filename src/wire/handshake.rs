//! Who speaks: the greeting a server begins with, and what a client may say to be let in.
//!
//! Any message with an empty session that is no command is an attempt to be let in. Its data proves who speaks: a guest
//! by saying nothing of weight, a user by name and password. Whether the password is right is decided elsewhere.

use super::json::{self, Raw};
use crate::error::{Code, Fault};
use serde::Serialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

/// The revision of the protocol: native.md.
pub const PROTOCOL: u32 = 1;

/// What a server understands beyond the protocol of old: ids in messages, and notices for who asks in the hand-shake.
pub const CAPABILITIES: &[&str] = &["ids", CAP_NOTICES];

/// A client that lists this in its hand-shake hears of every change of jobs and machines.
pub const CAP_NOTICES: &str = "notices";

/// The data of the answer that lets a client in.
pub const ACCEPTED: &str = "Authenticated";

/// The data of the first message on every connection.
#[derive(Clone, Debug, Serialize)]
pub struct Greeting {
    /// The server's versions.
    pub version: Versions,
    /// Whether a client may come in without a name.
    pub guest_allowed: bool,
    /// The revision of this protocol.
    pub protocol: u32,
    /// What the server understands beyond the protocol of old.
    pub capabilities: Vec<&'static str>,
    /// The limits a client has to keep, by name.
    pub limits: BTreeMap<&'static str, u64>,
}

/// Versions, each as major, minor and patch.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Versions {
    /// Of the server.
    pub core: [u32; 3],
    /// Of its journal.
    pub db: [u32; 3],
    /// Of nothing here; clients of old expect it.
    pub torrent: [u32; 3],
}

/// What a client says about itself.
#[derive(PartialEq, Eq)]
pub enum Proof<'a> {
    /// Nothing: a guest.
    Guest,
    /// A user's name and password, both still to be checked.
    Password {
        /// The name.
        user: Cow<'a, str>,
        /// The password.
        password: Cow<'a, str>,
    },
}

/// Never shows the password.
impl fmt::Debug for Proof<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Proof::Guest => f.write_str("Guest"),
            Proof::Password { user, .. } => write!(f, "Password {{ user: {user:?} }}"),
        }
    }
}

/// What the data of a message with an empty session proves. A list of calls proves nothing and is not a guest's
/// greeting: it is refused, so that nobody believes it was carried out.
pub fn prove(data: Raw<'_>, guests_allowed: bool) -> Result<Proof<'_>, Fault> {
    if data.get().starts_with('[') {
        let msg = "calls need a session; hand-shake first with {} or {\"user\": ..., \"password\": ...}";
        return Err(Fault::new(Code::AUTH_REQUIRED, msg));
    }
    let mut claim = Claim::default();
    if data.get().starts_with('{') {
        // The text was read as JSON before, so this cannot fail.
        let _ = serde_json::Deserializer::from_str(data.get()).deserialize_map(&mut claim);
    }
    if guests_allowed { claim.beside_guests() } else { claim.without_guests(data) }
}

/// The keys of a handshake as found, the last of each.
#[derive(Default)]
struct Claim<'a> {
    /// `user`.
    user: Option<&'a RawValue>,
    /// `password`.
    password: Option<&'a RawValue>,
    /// Whether there are other keys.
    more: bool,
}

impl<'a> Claim<'a> {
    /// Where guests are let in, whoever names nobody is one.
    fn beside_guests(self) -> Result<Proof<'a>, Fault> {
        match (self.user, self.password) {
            (None, None) => Ok(Proof::Guest),
            (Some(user), Some(password)) if is_empty(user) && is_empty(password) => Ok(Proof::Guest),
            (Some(user), Some(password)) => check(user, password),
            (Some(_), None) => Err(wrong("a user was named, but no password")),
            (None, Some(_)) => Err(wrong("a password was given, but no user")),
        }
    }

    /// Where guests are refused, exactly the two keys are wanted.
    fn without_guests(self, data: Raw<'_>) -> Result<Proof<'a>, Fault> {
        let msg = match (self.user, self.password) {
            _ if !data.get().starts_with('{') => "an object with user and password was expected",
            (None, _) => "the key \"user\" is missing",
            (_, None) => "the key \"password\" is missing",
            _ if self.more => "there are other keys than user and password",
            (Some(user), Some(password)) if is_empty(user) && is_empty(password) => {
                return Err(Fault::new(Code::AUTH_REQUIRED, "guests are refused here; name a user"));
            }
            (Some(user), Some(password)) => return check(user, password),
        };
        Err(Fault::new(Code::MISSING_CREDENTIALS, msg))
    }
}

/// Name and password as strings.
fn check<'a>(user: &'a RawValue, password: &'a RawValue) -> Result<Proof<'a>, Fault> {
    match (json::exact_text(user), json::exact_text(password)) {
        (Some(user), Some(password)) => Ok(Proof::Password { user, password }),
        _ => Err(wrong("user and password have to be strings")),
    }
}

fn wrong(msg: &str) -> Fault {
    Fault::new(Code::WRONG_CREDENTIALS, msg)
}

/// Null is as good as no text: some clients fill in both keys before they know a user.
fn is_empty(raw: &RawValue) -> bool {
    matches!(raw.get(), "\"\"" | "null")
}

impl<'de> Visitor<'de> for &mut Claim<'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("user and password")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(json::Text(key)) = map.next_key()? {
            match &*key {
                "user" => self.user = Some(map.next_value()?),
                "password" => self.password = Some(map.next_value()?),
                _ => {
                    self.more = true;
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The outcome in a few words.
    fn outcome(data: &str, guests_allowed: bool) -> String {
        match prove(Raw::known(data), guests_allowed) {
            Ok(Proof::Guest) => "guest".to_string(),
            Ok(Proof::Password { user, password }) => format!("{user}/{password}"),
            Err(fault) => fault.code.number().to_string(),
        }
    }

    #[test]
    fn every_kind_of_data_beside_guests_and_without() {
        for (data, beside, without) in [
            ("{}", "guest", "412"),
            ("null", "guest", "412"),
            ("17", "guest", "412"),
            ("true", "guest", "412"),
            ("\"hello\"", "guest", "412"),
            ("[]", "407", "407"),
            (r#"[{"fname":"get_version"}]"#, "407", "407"),
            (r#"["requestauth"]"#, "407", "407"),
            (r#"{"else":1}"#, "guest", "412"),
            (r#"{"user":"","password":""}"#, "guest", "407"),
            (r#"{"user":null,"password":null}"#, "guest", "407"),
            (r#"{"user":"","password":"","else":1}"#, "guest", "412"),
            (r#"{"user":"ada","password":"x"}"#, "ada/x", "ada/x"),
            (r#"{"password":"x","user":"ada","else":{}}"#, "ada/x", "412"),
            (r#"{"user":"ada","password":""}"#, "ada/", "ada/"),
            (r#"{"user":"","password":"x"}"#, "/x", "/x"),
            (r#"{"user":"\u0061da","password":"\u00e9"}"#, "ada/\u{e9}", "ada/\u{e9}"),
            (r#"{"user":"bob","user":"ada","password":"x"}"#, "ada/x", "ada/x"),
            (r#"{"user":"ada"}"#, "411", "412"),
            (r#"{"password":"x"}"#, "411", "412"),
            (r#"{"user":"ada","password":1}"#, "411", "411"),
            (r#"{"user":["ada"],"password":"x"}"#, "411", "411"),
            (r#"{"user":"ada","password":"\ud800"}"#, "411", "411"),
        ] {
            assert_eq!(outcome(data, true), beside, "{data} beside guests");
            assert_eq!(outcome(data, false), without, "{data} without guests");
        }
    }

    #[test]
    fn a_password_cannot_be_printed() {
        let data = Raw::known(r#"{"user":"ada","password":"secret"}"#);
        assert_eq!(format!("{:?}", prove(data, true).unwrap()), "Password { user: \"ada\" }");
    }
}
