//! Who may read the data of a server is its master anyway: such a one finds there an administrator's session, and
//! where the server listens. It is not journalled and ends with the server.

use super::house::House;
use super::write_secret;
use crate::session::{Session, SessionId};
use crate::user::{Role, UserName};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// The file, in the data directory.
const FILE: &str = "local-access";

/// What the file says.
pub struct LocalAccess {
    /// The session.
    pub session: String,
    /// Where the native door is.
    pub address: String,
}

/// A file that is removed with this.
pub struct Granted(PathBuf);

impl LocalAccess {
    /// Opens the session and writes the file.
    pub(super) fn open(house: &House, data_dir: &Path, address: SocketAddr) -> std::io::Result<Granted> {
        let (id, now) = (SessionId::new(uuid::Uuid::new_v4()), house.clock.now());
        house.counter.sessions.open(Session::new(id, UserName::server(), Role::Admin, "local".into(), now, 0));
        let file = data_dir.join(FILE);
        write_secret(&file, &format!("{id} {address}"))?;
        Ok(Granted(file))
    }

    /// Reads what a server that runs on this data has written; none when there is none, or it is not ours to read.
    pub fn read(data_dir: &Path) -> Option<LocalAccess> {
        let text = std::fs::read_to_string(data_dir.join(FILE)).ok()?;
        let (session, address) = text.trim().split_once(' ')?;
        Some(LocalAccess { session: session.to_owned(), address: address.to_owned() })
    }
}

impl Drop for Granted {
    fn drop(&mut self) {
        // One that stays behind names a session nobody knows.
        let _ = std::fs::remove_file(&self.0);
    }
}
