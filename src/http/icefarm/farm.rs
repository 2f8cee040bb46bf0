//! What the routes of iCEFARM ask of a server, and what it tells them.

use crate::error::Fault;
use crate::http::house::Later;
use async_channel::Receiver;
use std::net::IpAddr;
use std::sync::Arc;

/// A server, as clients of iCEFARM use it: boards by serial, lent to whoever calls himself something. Nothing here blocks.
pub trait Farm: Send + Sync + 'static {
    /// Whether somebody from this address may speak with the farm at all.
    fn admits(&self, peer: IpAddr) -> Admission;

    /// How clients reach this door, if not by the address they called.
    fn own_url(&self) -> Option<String>;

    /// Asks for something; a fault is a refusal.
    fn ask(&self, ask: Ask) -> Later<'static, Result<Answer, Fault>>;

    /// What happens from now on to what was reserved here. Closed when the server ends.
    fn news(&self) -> Receiver<News>;

    /// Whether anybody wants to know how many boards are available; at first nobody does.
    fn watch_available(&self, wanted: bool);
}

/// Whether somebody is let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// Let in.
    Welcome,
    /// Of a network that is not allowed in.
    Stranger,
    /// The farm is closed to all.
    Closed,
}

/// What a client asks for.
#[derive(Clone, Debug, PartialEq)]
pub enum Ask {
    /// How many boards can be reserved.
    Available,
    /// Which boards can be reserved.
    Devices,
    /// Boards.
    Reserve {
        /// Who asks.
        name: Arc<str>,
        /// Which boards.
        boards: Boards,
        /// As what they are prepared.
        kind: Arc<str>,
        /// What the kind needs to know, as the JSON text of an object.
        args: Arc<str>,
    },
    /// That reservations last longer: those of these serials, or all.
    Extend {
        /// Whose.
        name: Arc<str>,
        /// Which.
        serials: Option<Vec<Arc<str>>>,
    },
    /// That reservations end: those of these serials, or all.
    End {
        /// Whose.
        name: Arc<str>,
        /// Which.
        serials: Option<Vec<Arc<str>>>,
    },
    /// That boards are switched off and on.
    Reboot(Vec<Arc<str>>),
    /// That boards are found anew.
    Delete(Vec<Arc<str>>),
    /// That all reservations of all clients end.
    Clear,
}

/// Which boards a client wants.
#[derive(Clone, Debug, PartialEq)]
pub enum Boards {
    /// So many, whichever they are.
    Any(u32),
    /// These.
    These(Vec<Arc<str>>),
}

/// What came of an ask.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// So many boards.
    Amount(usize),
    /// These boards.
    Serials(Vec<Arc<str>>),
    /// These were reserved.
    Reserved(Vec<Reserved>),
    /// It was done.
    Done,
}

/// A board that was reserved.
#[derive(Clone, Debug, PartialEq)]
pub struct Reserved {
    /// Which.
    pub serial: Arc<str>,
    /// Where its agent answers; none for a board without one, for which this door speaks.
    pub url: Option<String>,
}

/// Something that clients are told.
#[derive(Clone, Debug, PartialEq)]
pub enum News {
    /// A board without an agent is ready for its holder.
    Ready(Held),
    /// A lease ends soon.
    EndingSoon(Held),
    /// A board failed its holder; that the reservation ended is told apart.
    Failed(Held),
    /// A reservation ended.
    Ended(Held),
    /// So many boards can be reserved now.
    Available(usize),
}

/// A board and its holder.
#[derive(Clone, Debug, PartialEq)]
pub struct Held {
    /// The client.
    pub name: Arc<str>,
    /// The board.
    pub serial: Arc<str>,
}
