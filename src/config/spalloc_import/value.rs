//! What expressions come to. Containers share their items, so copies are cheap; how deep and how large one may
//! become is bounded.

use super::DoubtId;
use super::machine::{Machine, Setup};
use std::rc::Rc;

/// How deeply containers may hold containers.
const DEPTH_MAX: u32 = 20;
/// How many values a container may hold, those of containers in it counted.
pub const WEIGHT_MAX: u64 = 1_000_000;
/// The longest text, in bytes.
pub const TEXT_MAX: usize = 4096;

/// A value.
#[derive(Clone, Debug)]
pub enum Value {
    /// None.
    None,
    /// True or False.
    Truth(bool),
    /// A whole number.
    Whole(i64),
    /// A number with a fraction.
    Decimal(f64),
    /// A text.
    Text(Rc<str>),
    /// A tuple.
    Tuple(Rc<Items>),
    /// A list.
    List(Rc<Items>),
    /// A set: no two items are equal.
    Set(Rc<Items>),
    /// A dict: keys and values in turns, no two keys equal.
    Dict(Rc<Items>),
    /// A machine.
    Machine(Rc<Machine>),
    /// The whole configuration.
    Setup(Rc<Setup>),
    /// Something that can be called.
    Function(Function),
    /// The class of links.
    Links,
    /// What was not understood.
    Unknown(DoubtId),
}

/// Everything that can be called, by its name in Python.
#[derive(Clone, Debug)]
pub enum Function {
    /// The whole configuration.
    Configuration,
    /// A machine, described piece by piece.
    Machine,
    /// A machine of one board.
    SingleBoard,
    /// A machine whose addresses follow the usual rule.
    WithStandardIps,
    /// Places out of a table in a file.
    BoardLocationsFromSpinner,
    /// The board of a chip.
    ChipToBoard,
    /// The Ethernet chip of a board.
    BoardToChip,
    /// `set` and `frozenset`.
    Set,
    /// A list.
    List,
    /// A tuple.
    Tuple,
    /// A dict.
    Dict,
    /// Numbers in a row.
    Range,
    /// The text of something.
    Str,
    /// The number in something.
    Int,
    /// How much something holds.
    Len,
    /// A list in order.
    Sorted,
    /// `format` of this text.
    Format(Rc<str>),
    /// `keys` of this dict.
    Keys(Rc<Items>),
    /// `values` of this dict.
    Values(Rc<Items>),
    /// `items` of this dict.
    Pairs(Rc<Items>),
}

/// The items of a container.
#[derive(Debug, Default)]
pub struct Items {
    /// In order.
    pub items: Vec<Value>,
    depth: u32,
    weight: u64,
}

/// What makes two values equal and what sorts them; not every value has one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    /// None.
    None,
    /// A number.
    Whole(i64),
    /// A text.
    Text(Rc<str>),
    /// A tuple.
    Tuple(Vec<Key>),
}

impl Items {
    /// Holds these; None when that is too much.
    pub fn of(items: Vec<Value>) -> Option<Rc<Items>> {
        let depth =
            1 + items.iter().map(|item| item.inner().map_or(0, |inner| inner.depth)).max().unwrap_or(0);
        let weight = items.iter().map(|item| 1 + item.inner().map_or(0, |inner| inner.weight)).sum();
        (depth <= DEPTH_MAX && weight <= WEIGHT_MAX).then(|| Rc::new(Items { items, depth, weight }))
    }

    /// The pairs of a dict.
    pub fn pairs(&self) -> impl Iterator<Item = (&Value, &Value)> {
        self.items.chunks_exact(2).map(|pair| (&pair[0], &pair[1]))
    }
}

impl Value {
    fn inner(&self) -> Option<&Items> {
        match self {
            Value::Tuple(items) | Value::List(items) | Value::Set(items) | Value::Dict(items) => Some(items),
            _ => None,
        }
    }

    /// How much it holds, at every depth.
    pub fn weight(&self) -> u64 {
        self.inner().map_or(0, |inner| inner.weight)
    }

    /// A text.
    pub fn text(text: &str) -> Value {
        Value::Text(text.into())
    }

    /// A tuple of whole numbers.
    pub fn numbers(numbers: &[u32]) -> Value {
        let items: Vec<Value> = numbers.iter().map(|number| Value::Whole((*number).into())).collect();
        let weight = items.len() as u64;
        Value::Tuple(Rc::new(Items { items, depth: 1, weight }))
    }

    /// What it is, for a sentence.
    pub fn noun(&self) -> &'static str {
        match self {
            Value::None => "None",
            Value::Truth(_) => "True or False",
            Value::Whole(_) => "a whole number",
            Value::Decimal(_) => "a number with a fraction",
            Value::Text(_) => "a text",
            Value::Tuple(_) => "a tuple",
            Value::List(_) => "a list",
            Value::Set(_) => "a set",
            Value::Dict(_) => "a dict",
            Value::Machine(_) => "a machine",
            Value::Setup(_) => "a configuration",
            Value::Function(_) | Value::Links => "a function or class",
            Value::Unknown(_) => "something that was not understood",
        }
    }

    /// What makes it equal to others.
    pub fn key(&self) -> Option<Key> {
        Some(match self {
            Value::None => Key::None,
            Value::Truth(truth) => Key::Whole(i64::from(*truth)),
            Value::Whole(number) => Key::Whole(*number),
            Value::Text(text) => Key::Text(text.clone()),
            Value::Tuple(items) => Key::Tuple(items.items.iter().map(Value::key).collect::<Option<_>>()?),
            _ => return None,
        })
    }

    /// Whether it counts as true; None when that is not known.
    pub fn truth(&self) -> Option<bool> {
        Some(match self {
            Value::None => false,
            Value::Truth(truth) => *truth,
            Value::Whole(number) => *number != 0,
            Value::Decimal(number) => *number != 0.0,
            Value::Text(text) => !text.is_empty(),
            Value::Unknown(_) => return None,
            other => other.inner().is_none_or(|inner| !inner.items.is_empty()),
        })
    }

    /// What is gone through when it is gone through; a dict's keys.
    pub fn members(&self) -> Option<Vec<Value>> {
        match self {
            Value::Tuple(items) | Value::List(items) | Value::Set(items) => Some(items.items.clone()),
            Value::Dict(items) => Some(items.pairs().map(|(key, _)| key.clone()).collect()),
            Value::Text(text) => {
                Some(text.chars().map(|c| Value::text(c.encode_utf8(&mut [0; 4]))).collect())
            }
            _ => None,
        }
    }

    /// The first thing in it that was not understood.
    pub fn doubt(&self) -> Option<DoubtId> {
        match self {
            Value::Unknown(doubt) => Some(*doubt),
            other => other.inner()?.items.iter().find_map(Value::doubt),
        }
    }
}
