//! Who a client says it is, and where it says so.

use super::{Client, ClientError};
use serde::ser::{Serialize, SerializeMap, Serializer};
use std::fmt;
use std::time::Duration;
use zeroize::Zeroizing;

/// Who a client says it is; kept by the client, so that it can say so again when its session is over.
#[derive(Clone)]
pub enum Credentials {
    /// Nobody in particular.
    Guest,
    /// A user of the server.
    User {
        /// The name.
        user: String,
        /// The password.
        password: Zeroizing<String>,
    },
    /// Whoever has this session already.
    Session(Zeroizing<String>),
}

impl Credentials {
    /// A user and the password.
    pub fn user(user: impl Into<String>, password: impl Into<String>) -> Credentials {
        Credentials::User { user: user.into(), password: Zeroizing::new(password.into()) }
    }
}

/// Never shows the password.
impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Credentials::Guest => f.write_str("Guest"),
            Credentials::User { user, .. } => write!(f, "User({user:?})"),
            Credentials::Session(_) => f.write_str("Session"),
        }
    }
}

/// As the data of a handshake.
impl Serialize for Credentials {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        if let Credentials::User { user, password } = self {
            map.serialize_entry("user", user)?;
            map.serialize_entry("password", &**password)?;
        }
        map.end()
    }
}

/// Where a server is and who calls: all it takes to connect, once or again.
#[derive(Clone, Debug)]
pub struct Dial {
    /// Host and port.
    pub address: String,
    /// What the client calls itself.
    pub name: String,
    /// Who calls.
    pub credentials: Credentials,
    /// How long a connection and each answer may take.
    pub timeout: Duration,
}

impl Dial {
    /// Connects and opens a session.
    pub fn open(&self) -> Result<Client, ClientError> {
        let mut client = self.connect()?;
        client.handshake_as(self.credentials.clone())?;
        Ok(client)
    }

    /// Connects and joins a session, without a handshake unless the session turns out to be over.
    pub fn join(&self, session: &str) -> Result<Client, ClientError> {
        let mut client = self.connect()?;
        client.remember(self.credentials.clone());
        client.join(session);
        Ok(client)
    }

    fn connect(&self) -> Result<Client, ClientError> {
        let mut client = Client::connect(&self.address, self.timeout)?;
        client.call_myself(&self.name);
        Ok(client)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_a_handshake_and_show_no_password() {
        let ada = Credentials::user("ada", "secret");
        assert_eq!(serde_json::to_string(&ada).unwrap(), r#"{"user":"ada","password":"secret"}"#);
        assert_eq!(serde_json::to_string(&Credentials::Guest).unwrap(), "{}");
        assert_eq!(format!("{ada:?}"), "User(\"ada\")");
    }
}
