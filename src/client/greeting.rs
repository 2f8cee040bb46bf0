//! What a server says first, as a client reads it.

use serde::Deserialize;
use std::collections::BTreeMap;

/// The data of a server's first message. What an older server leaves out is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Greeting {
    /// What the server calls itself.
    #[serde(skip)]
    pub server: String,
    /// Its versions.
    pub version: Versions,
    /// Whether one may come in without a name.
    pub guest_allowed: bool,
    /// The revision of the protocol.
    pub protocol: u32,
    /// What the server understands beyond the protocol of old.
    pub capabilities: Vec<String>,
    /// The limits a client has to keep.
    pub limits: BTreeMap<String, u64>,
}

/// Versions, each as major, minor and patch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Versions {
    /// Of the server.
    pub core: [u32; 3],
    /// Of its journal.
    pub db: [u32; 3],
}
