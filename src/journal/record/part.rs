//! What bodies are made of: text, names, runs of boards, exact numbers, and the specs of machines and jobs.
//!
//! Each part has a way in from the lab (`From` or `of`) and a way back. A way back that can meet a value which
//! cannot be returns a `RecordError`. Changing a part changes every shape that holds it; see `record`.

use super::RecordError;
use crate::allocator::BoardIndex;
use crate::allocator::link::Link;
use crate::allocator::torus::Triad;
use crate::lab::fact::{Grant, Mark, OrderId, SessionEnd, SessionKey};
use crate::lab::job::{JobSpec, Reason, Want};
use crate::lab::machine::{MachineSpec, Physical, PlaceRule, PlaceTable, Places, Shape, TriadsSpec};
use crate::user::{Phc, Role, UserName};
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::sync::Arc;

/// So many boards can be in one list; twenty times the largest machine. A longer list in a record is damage.
pub const BOARDS_MAX: usize = 1 << 26;

/// Text, read straight into the shared form that facts hold.
#[derive(Clone)]
pub struct Text(pub Arc<str>);

impl From<&Arc<str>> for Text {
    fn from(text: &Arc<str>) -> Text {
        Text(text.clone())
    }
}

impl Serialize for Text {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Text, D::Error> {
        deserializer.deserialize_str(TextVisitor)
    }
}

/// Takes text as it lies in the input.
struct TextVisitor;

impl Visitor<'_> for TextVisitor {
    type Value = Text;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Text, E> {
        Ok(Text(text.into()))
    }
}

/// Texts, in their order.
pub fn texts<'a>(texts: impl IntoIterator<Item = &'a Arc<str>>) -> Vec<Text> {
    texts.into_iter().map(Text::from).collect()
}

/// Texts, back again.
pub fn shared<C: FromIterator<Arc<str>>>(texts: Vec<Text>) -> C {
    texts.into_iter().map(|text| text.0).collect()
}

/// A list of boards as runs `[first, count]`: grants are nearly contiguous and can be long. The order is kept.
pub struct Runs(pub Vec<BoardIndex>);

impl From<&[BoardIndex]> for Runs {
    fn from(boards: &[BoardIndex]) -> Runs {
        Runs(boards.to_vec())
    }
}

impl Serialize for Runs {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let runs = self.0.chunk_by(|a, b| a.0.checked_add(1) == Some(b.0));
        serializer.collect_seq(runs.map(|run| (run[0].0, run.len())))
    }
}

impl<'de> Deserialize<'de> for Runs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Runs, D::Error> {
        let mut boards = Vec::new();
        for (first, count) in Vec::<(u32, u32)>::deserialize(deserializer)? {
            let last = count.checked_sub(1).and_then(|more| first.checked_add(more));
            let last =
                last.ok_or_else(|| D::Error::custom("a run of boards is empty or leaves the machine"))?;
            if boards.len() + count as usize > BOARDS_MAX {
                return Err(D::Error::custom("a list names more boards than any machine has"));
            }
            boards.extend((first..=last).map(BoardIndex));
        }
        Ok(Runs(boards))
    }
}

/// A number with a fraction, as the shortest text that reads back as exactly the same.
pub struct Exact(pub f64);

impl Serialize for Exact {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:?}", self.0))
    }
}

impl<'de> Deserialize<'de> for Exact {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Exact, D::Error> {
        let text = Text::deserialize(deserializer)?.0;
        text.parse().map(Exact).map_err(|_| D::Error::custom("a number is none"))
    }
}

/// A session's key as 32 hexadecimal digits.
pub struct Key(pub SessionKey);

impl Serialize for Key {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:032x}", self.0.0))
    }
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Key, D::Error> {
        let text = Text::deserialize(deserializer)?.0;
        let hex = text.len() == 32 && text.bytes().all(|digit| digit.is_ascii_hexdigit());
        let key = u128::from_str_radix(&text, 16).ok().filter(|_| hex);
        key.map(|key| Key(SessionKey(key))).ok_or_else(|| D::Error::custom("a session has not 32 digits"))
    }
}

/// An order: its grant, its step.
#[derive(Serialize, Deserialize)]
pub struct Order(u64, u32);

impl From<OrderId> for Order {
    fn from(order: OrderId) -> Order {
        Order(order.grant.0, order.step)
    }
}

impl From<Order> for OrderId {
    fn from(order: Order) -> OrderId {
        OrderId { grant: Grant(order.0), step: order.1 }
    }
}

/// The name of a user.
#[derive(Serialize, Deserialize)]
pub struct Name(Text);

impl From<&UserName> for Name {
    fn from(user: &UserName) -> Name {
        Name(Text(user.as_str().into()))
    }
}

impl Name {
    /// The name it is.
    pub fn user(self) -> Result<UserName, RecordError> {
        let server = UserName::server();
        if *self.0.0 == *server.as_str() {
            return Ok(server);
        }
        UserName::parse_or_guest(&self.0.0).map_err(|_| RecordError::Value("a user's name is none"))
    }
}

/// What is kept of a password, as text.
#[derive(Serialize, Deserialize)]
pub struct Hash(String);

impl From<&Phc> for Hash {
    fn from(phc: &Phc) -> Hash {
        Hash(phc.to_string())
    }
}

impl Hash {
    /// The hash it is.
    pub fn phc(&self) -> Result<Phc, RecordError> {
        self.0.parse().map_err(|_| RecordError::Value("a password's hash is none"))
    }
}

/// Writes an enum whose variants carry nothing, by their words.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident of $of:ident { $($variant:ident),* }) => {
        $(#[$doc])*
        #[derive(Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum $name { $(#[doc = concat!("`", stringify!($of::$variant), "`.")] $variant),* }

        impl From<$of> for $name {
            fn from(value: $of) -> $name {
                match value { $($of::$variant => $name::$variant),* }
            }
        }

        impl From<$name> for $of {
            fn from(word: $name) -> $of {
                match word { $($name::$variant => $of::$variant),* }
            }
        }
    };
}
pub(super) use words;

words! {
    /// A role, by its word.
    RoleWord of Role { Guest, User, Operator, Admin }
}
words! {
    /// An operator's mark, by its word.
    MarkWord of Mark { Free, Maintenance, Dead }
}
words! {
    /// Why a session ended, by its word.
    EndWord of SessionEnd { Expired, LoggedOut, Ended, UserChanged }
}

/// Why a job ended.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Why {
    /// Somebody ended it.
    Asked {
        by: Text,
        #[serde(skip_serializing_if = "Option::is_none")]
        text: Option<Text>,
    },
    /// Its keepalive ran out.
    Lapsed,
    /// Its lease was over.
    LeaseOver,
    /// No machine could meet it any more.
    Impossible(Text),
    /// Its machine left, or changed its boards.
    MachineRemoved(Text),
    /// Boards failed once too often.
    BoardsFailed(Text),
    /// What it was for is done.
    Done(Text),
}

impl From<&Reason> for Why {
    fn from(reason: &Reason) -> Why {
        match reason {
            Reason::Asked { by, text } => Why::Asked { by: by.into(), text: text.as_ref().map(Text::from) },
            Reason::Lapsed => Why::Lapsed,
            Reason::LeaseOver => Why::LeaseOver,
            Reason::Impossible(why) => Why::Impossible(why.into()),
            Reason::MachineRemoved(machine) => Why::MachineRemoved(machine.into()),
            Reason::BoardsFailed(why) => Why::BoardsFailed(why.into()),
            Reason::Done(words) => Why::Done(words.into()),
        }
    }
}

impl From<Why> for Reason {
    fn from(why: Why) -> Reason {
        match why {
            Why::Asked { by, text } => Reason::Asked { by: by.0, text: text.map(|text| text.0) },
            Why::Lapsed => Reason::Lapsed,
            Why::LeaseOver => Reason::LeaseOver,
            Why::Impossible(why) => Reason::Impossible(why.0),
            Why::MachineRemoved(machine) => Reason::MachineRemoved(machine.0),
            Why::BoardsFailed(why) => Reason::BoardsFailed(why.0),
            Why::Done(words) => Reason::Done(words.0),
        }
    }
}

/// Which boards a job wants.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Wanted {
    /// So many.
    Boards(u32),
    /// Triads in x and in y.
    Triads(u32, u32),
    /// The board at x, y, z.
    Exact(u32, u32, u32),
    /// The boards with these serials.
    Serials(Vec<Text>),
}

impl From<&Want> for Wanted {
    fn from(want: &Want) -> Wanted {
        match want {
            Want::Boards(count) => Wanted::Boards(*count),
            Want::Triads { width, height } => Wanted::Triads(*width, *height),
            Want::Exact { x, y, z } => Wanted::Exact(*x, *y, *z),
            Want::Serials(serials) => Wanted::Serials(texts(serials)),
        }
    }
}

impl From<Wanted> for Want {
    fn from(wanted: Wanted) -> Want {
        match wanted {
            Wanted::Boards(count) => Want::Boards(count),
            Wanted::Triads(width, height) => Want::Triads { width, height },
            Wanted::Exact(x, y, z) => Want::Exact { x, y, z },
            Wanted::Serials(serials) => Want::Serials(shared(serials)),
        }
    }
}

/// What a job asked for.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Asked {
    owner: Text,
    /// Left out when it is the owner.
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<Text>,
    want: Wanted,
    #[serde(skip_serializing_if = "Option::is_none")]
    machine: Option<Text>,
    tags: Vec<Text>,
    ratio: Exact,
    #[serde(skip_serializing_if = "Option::is_none")]
    dead_boards: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dead_links: Option<u32>,
    torus: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    keepalive_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lease_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<Text>,
    args: Text,
    priority: i32,
    note: Text,
    /// Left out when it is empty.
    #[serde(skip_serializing_if = "Option::is_none")]
    echo: Option<Text>,
    /// Left out when it is not.
    #[serde(default, skip_serializing_if = "is_false")]
    reserved: bool,
}

/// Whether a word is left out.
fn is_false(word: &bool) -> bool {
    !*word
}

impl From<&JobSpec> for Asked {
    fn from(spec: &JobSpec) -> Asked {
        Asked {
            owner: (&spec.owner).into(),
            by: Some(&spec.by).filter(|by| **by != spec.owner).map(Text::from),
            want: (&spec.want).into(),
            machine: spec.machine.as_ref().map(Text::from),
            tags: texts(&spec.tags),
            ratio: Exact(spec.min_ratio),
            dead_boards: spec.max_dead_boards,
            dead_links: spec.max_dead_links,
            torus: spec.require_torus,
            keepalive_ms: spec.keepalive_ms,
            lease_ms: spec.lease_ms,
            kind: spec.kind.as_ref().map(Text::from),
            args: (&spec.kind_args).into(),
            priority: spec.priority,
            note: (&spec.note).into(),
            echo: Some(&spec.echo).filter(|echo| !echo.is_empty()).map(Text::from),
            reserved: spec.reserved,
        }
    }
}

impl From<Asked> for JobSpec {
    fn from(asked: Asked) -> JobSpec {
        JobSpec {
            by: asked.by.unwrap_or_else(|| asked.owner.clone()).0,
            owner: asked.owner.0,
            want: asked.want.into(),
            machine: asked.machine.map(|machine| machine.0),
            tags: shared(asked.tags),
            min_ratio: asked.ratio.0,
            max_dead_boards: asked.dead_boards,
            max_dead_links: asked.dead_links,
            require_torus: asked.torus,
            keepalive_ms: asked.keepalive_ms,
            lease_ms: asked.lease_ms,
            kind: asked.kind.map(|kind| kind.0),
            kind_args: asked.args.0,
            priority: asked.priority,
            note: asked.note.0,
            echo: asked.echo.map_or_else(|| "".into(), |echo| echo.0),
            reserved: asked.reserved,
        }
    }
}

/// A machine.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Made {
    name: Text,
    shape: MadeOf,
    tags: Vec<Text>,
    kinds: Vec<Text>,
    settle_ms: u64,
    order_ms_max: u64,
    #[serde(default, skip_serializing_if = "is_false")]
    agents: bool,
    /// Written only where it is false, which it never was before there was such a thing.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    boots: bool,
}

/// What `Made::boots` is when nothing is written.
fn yes() -> bool {
    true
}

fn is_yes(said: &bool) -> bool {
    *said
}

/// The two shapes of machines.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum MadeOf {
    /// Triads on a torus.
    Triads(Torus),
    /// Boards with these serials.
    Pool(Vec<Text>),
}

/// A torus of triads. Boards are `[x, y, z]`, dead links `[x, y, z, link]`, BMPs `[cabinet, frame, host]`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Torus {
    width: u32,
    height: u32,
    dead_boards: Vec<(u32, u32, u32)>,
    dead_links: Vec<(u32, u32, u32, u32)>,
    places: PlacesAt,
    bmps: Vec<(u32, u32, Text)>,
}

/// Where boards stand.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum PlacesAt {
    /// By a rule.
    Rule { boards_per_frame: u32, frames_per_cabinet: u32, base: u32, strides: [u32; 3] },
    /// By rows of board, cabinet, frame, board in the frame, host.
    Table(Vec<(u32, u32, u32, u32, Text)>),
}

impl From<&MachineSpec> for Made {
    fn from(spec: &MachineSpec) -> Made {
        Made {
            name: (&spec.name).into(),
            shape: (&spec.shape).into(),
            tags: texts(&spec.tags),
            kinds: texts(&spec.kinds),
            settle_ms: spec.settle_ms,
            order_ms_max: spec.order_ms_max,
            agents: spec.agents,
            boots: spec.boots,
        }
    }
}

impl Made {
    /// The machine it is.
    pub fn spec(self) -> Result<MachineSpec, RecordError> {
        let shape = match self.shape {
            MadeOf::Triads(torus) => Shape::Triads(torus.spec()?),
            MadeOf::Pool(serials) => Shape::Pool { serials: shared(serials) },
        };
        Ok(MachineSpec {
            name: self.name.0,
            shape,
            tags: shared(self.tags),
            kinds: shared(self.kinds),
            settle_ms: self.settle_ms,
            order_ms_max: self.order_ms_max,
            agents: self.agents,
            boots: self.boots,
        })
    }
}

impl From<&Shape> for MadeOf {
    fn from(shape: &Shape) -> MadeOf {
        match shape {
            Shape::Triads(torus) => MadeOf::Triads(torus.into()),
            Shape::Pool { serials } => MadeOf::Pool(texts(serials)),
        }
    }
}

impl From<&TriadsSpec> for Torus {
    fn from(spec: &TriadsSpec) -> Torus {
        let dead_link = |(at, link): &(Triad, Link)| (at.x, at.y, at.z, link.number());
        Torus {
            width: spec.width,
            height: spec.height,
            dead_boards: spec.dead_boards.iter().map(|at| (at.x, at.y, at.z)).collect(),
            dead_links: spec.dead_links.iter().map(dead_link).collect(),
            places: (&spec.places).into(),
            bmps: spec.bmps.iter().map(|((cabinet, frame), host)| (*cabinet, *frame, host.into())).collect(),
        }
    }
}

impl Torus {
    fn spec(self) -> Result<TriadsSpec, RecordError> {
        let dead_link = |(x, y, z, link)| {
            let link = Link::from_number(link).ok_or(RecordError::Value("a dead link has no such number"))?;
            Ok((Triad::new(x, y, z), link))
        };
        Ok(TriadsSpec {
            width: self.width,
            height: self.height,
            dead_boards: self.dead_boards.into_iter().map(|(x, y, z)| Triad::new(x, y, z)).collect(),
            dead_links: self.dead_links.into_iter().map(dead_link).collect::<Result<_, _>>()?,
            places: self.places.places()?,
            bmps: self.bmps.into_iter().map(|(cabinet, frame, host)| ((cabinet, frame), host.0)).collect(),
        })
    }
}

impl From<&Places> for PlacesAt {
    fn from(places: &Places) -> PlacesAt {
        let row = |(board, at, host): (BoardIndex, Physical, &Arc<str>)| {
            (board.0, at.cabinet, at.frame, at.board, Text::from(host))
        };
        match places {
            Places::Table(table) => PlacesAt::Table(table.iter().map(row).collect()),
            Places::Rule(rule) => PlacesAt::Rule {
                boards_per_frame: rule.boards_per_frame,
                frames_per_cabinet: rule.frames_per_cabinet,
                base: rule.base,
                strides: rule.strides,
            },
        }
    }
}

impl PlacesAt {
    fn places(self) -> Result<Places, RecordError> {
        match self {
            PlacesAt::Rule { boards_per_frame, frames_per_cabinet, base, strides } => {
                Ok(Places::Rule(PlaceRule { boards_per_frame, frames_per_cabinet, base, strides }))
            }
            PlacesAt::Table(rows) => {
                let mut table = PlaceTable::default();
                for (index, cabinet, frame, board, host) in rows {
                    if !table.enter(BoardIndex(index), Physical { cabinet, frame, board }, host.0) {
                        return Err(RecordError::Value("a board or a place is in the table twice"));
                    }
                }
                Ok(Places::Table(table))
            }
        }
    }
}
