//! Expressions to values. What has no meaning here becomes `Unknown` and is written down; nothing is ever given up.

use super::syntax::{Clause, Expr, Form, Kind};
use super::value::{Function, Items, Key, TEXT_MAX, Value};
use super::{DoubtId, Doubts};
use std::collections::{BTreeMap, BTreeSet};

/// So many steps an evaluation takes at most, in all.
const STEPS_MAX: u64 = 5_000_000;

/// So many things that a container holds are looked at within one step.
const WEIGHT_PER_STEP: u64 = 8;

/// Works expressions out.
pub struct Evaluator<'t, 'd> {
    /// What names stand for.
    pub names: BTreeMap<&'t str, Value>,
    /// Names that comprehensions have given meanings to, the inner ones last.
    locals: Vec<(&'t str, Value)>,
    /// Names whose containers something else may hold too, so that a change through them could go unseen.
    pub shared: BTreeSet<&'t str>,
    /// What was not understood.
    pub doubts: &'d mut Doubts,
    /// The contents of files.
    pub file: &'d dyn Fn(&str) -> Result<String, String>,
    steps_left: u64,
}

impl<'t, 'd> Evaluator<'t, 'd> {
    /// Knows the names that spalloc_server puts in scope, and Python's own.
    pub fn new(
        doubts: &'d mut Doubts,
        file: &'d dyn Fn(&str) -> Result<String, String>,
    ) -> Evaluator<'t, 'd> {
        let function = |(name, function): (&'static str, Function)| (name, Value::Function(function));
        let mut names: BTreeMap<&'t str, Value> = FUNCTIONS.iter().cloned().map(function).collect();
        names.insert("Links", Value::Links);
        names.insert("None", Value::None);
        names.insert("True", Value::Truth(true));
        names.insert("False", Value::Truth(false));
        let (locals, shared) = (Vec::new(), BTreeSet::new());
        Evaluator { names, locals, shared, doubts, file, steps_left: STEPS_MAX }
    }

    /// Writes down that something was not understood.
    pub fn doubt(&mut self, at: usize, what: impl Into<String>) -> Value {
        Value::Unknown(self.doubts.add(at, what))
    }

    /// Whether there is time left for so much work.
    pub fn spend(&mut self, steps: u64) -> bool {
        self.steps_left = self.steps_left.saturating_sub(steps);
        self.steps_left > 0
    }

    /// Whether there is time left to look through all of these.
    pub fn spend_on<'v>(&mut self, values: impl IntoIterator<Item = &'v Value>) -> bool {
        let weight: u64 = values.into_iter().map(Value::weight).sum();
        self.spend(weight / WEIGHT_PER_STEP)
    }

    /// What an expression comes to.
    pub fn value(&mut self, expr: &Expr<'t>) -> Value {
        if !self.spend(1) {
            return self.doubt(expr.at, "this takes too long to work out");
        }
        match &expr.kind {
            Kind::Whole(number) => Value::Whole(*number),
            Kind::Decimal(number) => Value::Decimal(*number),
            Kind::Text(text) => Value::text(text),
            Kind::Name(name) => self.name(expr.at, name),
            Kind::Container(form, items) => {
                let items = items.iter().map(|item| self.value(item)).collect();
                self.container(expr.at, *form, items)
            }
            Kind::Dict(items) => {
                let items = items.iter().map(|item| self.value(item)).collect();
                self.container(expr.at, Form::Dict, items)
            }
            Kind::Comprehension(form, items, clauses) => self.comprehension(expr.at, *form, items, clauses),
            Kind::Attribute(of, name) => self.attribute(expr.at, of, name),
            Kind::Index(of, index) => self.index(expr.at, of, index),
            Kind::Call(callee, args) => self.call(expr.at, callee, args),
            Kind::Chain(first, rest) => self.chain(first, rest),
            Kind::Minus(of) => match self.value(of) {
                Value::Whole(number) if number != i64::MIN => Value::Whole(-number),
                Value::Decimal(number) => Value::Decimal(-number),
                unknown @ Value::Unknown(_) => unknown,
                other => self.doubt(expr.at, format!("{} has no sign", other.noun())),
            },
            Kind::Not(of) => {
                let of = self.value(of);
                self.truth(&of).map_or_else(Value::Unknown, |truth| Value::Truth(!truth))
            }
            Kind::Choice(three) => {
                let [then, condition, otherwise] = &**three;
                let condition = self.value(condition);
                match self.truth(&condition) {
                    Ok(truth) => self.value(if truth { then } else { otherwise }),
                    Err(doubt) => Value::Unknown(doubt),
                }
            }
            Kind::Strange(what) => self.doubt(expr.at, what),
        }
    }

    fn truth(&self, value: &Value) -> Result<bool, DoubtId> {
        match (value, value.truth()) {
            (_, Some(truth)) => Ok(truth),
            (Value::Unknown(doubt), None) => Err(*doubt),
            (_, None) => Ok(false),
        }
    }

    fn name(&mut self, at: usize, name: &'t str) -> Value {
        if let Some((_, value)) = self.locals.iter().rev().find(|(local, _)| *local == name) {
            return value.clone();
        }
        self.shared.insert(name);
        match self.names.get(name) {
            Some(value) => value.clone(),
            None => self.doubt(at, format!("the name '{name}' is not known")),
        }
    }

    /// A container of items; of a dict keys and values in turns.
    pub fn container(&mut self, at: usize, form: Form, items: Vec<Value>) -> Value {
        if !self.spend(items.len() as u64) {
            return self.doubt(at, "this takes too long to work out");
        }
        let items = match form {
            Form::Tuple | Form::List => Ok(items),
            Form::Set => self.each_once(at, items),
            Form::Dict => self.last_of_each(at, items),
        };
        let items = match items {
            Ok(items) => Items::of(items),
            Err(unknown) => return unknown,
        };
        match (items, form) {
            (None, _) => self.doubt(at, "this holds too much"),
            (Some(items), Form::Tuple) => Value::Tuple(items),
            (Some(items), Form::List) => Value::List(items),
            (Some(items), Form::Set) => Value::Set(items),
            (Some(items), Form::Dict) => Value::Dict(items),
        }
    }

    /// What makes a value equal to others. What was not understood is equal to nothing.
    fn key(&mut self, at: usize, value: &Value) -> Result<Option<Key>, Value> {
        match value.key() {
            Some(key) => Ok(Some(key)),
            None if value.doubt().is_some() => Ok(None),
            None => Err(self.doubt(at, format!("{} cannot be a key or in a set", value.noun()))),
        }
    }

    fn each_once(&mut self, at: usize, items: Vec<Value>) -> Result<Vec<Value>, Value> {
        let (mut seen, mut kept) = (BTreeSet::new(), Vec::new());
        for item in items {
            if self.key(at, &item)?.is_none_or(|key| seen.insert(key)) {
                kept.push(item);
            }
        }
        Ok(kept)
    }

    fn last_of_each(&mut self, at: usize, items: Vec<Value>) -> Result<Vec<Value>, Value> {
        let (mut places, mut kept) = (BTreeMap::new(), Vec::new());
        let mut items = items.into_iter();
        while let (Some(key), Some(value)) = (items.next(), items.next()) {
            let place = match self.key(at, &key)? {
                Some(key) => *places.entry(key).or_insert(kept.len()),
                None => kept.len(),
            };
            match kept.get_mut(place + 1) {
                Some(slot) => *slot = value,
                None => kept.extend([key, value]),
            }
        }
        Ok(kept)
    }

    fn comprehension(&mut self, at: usize, form: Form, items: &[Expr<'t>], clauses: &[Clause<'t>]) -> Value {
        let mut made = Vec::new();
        let before = self.locals.len();
        let outcome = self.go_through(items, clauses, &mut made);
        self.locals.truncate(before);
        match outcome {
            Ok(()) => self.container(at, form, made),
            Err(unknown) => unknown,
        }
    }

    fn go_through(
        &mut self,
        items: &[Expr<'t>],
        clauses: &[Clause<'t>],
        made: &mut Vec<Value>,
    ) -> Result<(), Value> {
        let Some((clause, inner)) = clauses.split_first() else {
            made.extend(items.iter().map(|item| self.value(item)).collect::<Vec<_>>());
            return Ok(());
        };
        let source = self.value(&clause.source);
        for member in self.members(clause.source.at, &source)? {
            if !self.spend(1) {
                return Err(self.doubt(clause.source.at, "this takes too long to work out"));
            }
            let before = self.locals.len();
            self.give(&clause.target, member)?;
            let mut holds = true;
            for condition in &clause.conditions {
                let value = self.value(condition);
                holds = holds && self.truth(&value).map_err(Value::Unknown)?;
            }
            if holds {
                self.go_through(items, inner, made)?;
            }
            self.locals.truncate(before);
        }
        Ok(())
    }

    /// The members of a container.
    pub fn members(&mut self, at: usize, value: &Value) -> Result<Vec<Value>, Value> {
        match (value.members(), value) {
            (Some(members), _) if self.spend(members.len() as u64) => Ok(members),
            (Some(_), _) => Err(self.doubt(at, "this takes too long to work out")),
            (None, Value::Unknown(_)) => Err(value.clone()),
            (None, _) => Err(self.doubt(at, format!("{} cannot be gone through", value.noun()))),
        }
    }

    /// Gives names their meanings in a comprehension.
    fn give(&mut self, target: &Expr<'t>, value: Value) -> Result<(), Value> {
        match &target.kind {
            Kind::Name(name) => self.locals.push((name, value)),
            Kind::Container(Form::Tuple | Form::List, targets) => {
                let members = self.members(target.at, &value)?;
                if members.len() != targets.len() {
                    let what = format!("{} values for {} names", members.len(), targets.len());
                    return Err(self.doubt(target.at, what));
                }
                for (target, member) in targets.iter().zip(members) {
                    self.give(target, member)?;
                }
            }
            _ => return Err(self.doubt(target.at, "only names can be given values here")),
        }
        Ok(())
    }

    fn attribute(&mut self, at: usize, of: &Expr<'t>, name: &str) -> Value {
        let function = match (self.value(of), name) {
            (Value::Links, _) => {
                let link = crate::allocator::Link::ALL
                    .into_iter()
                    .find(|link| link.name().replace('-', "_") == name);
                return match link {
                    Some(link) => Value::Whole(link.number().into()),
                    None => self.doubt(at, format!("there is no link '{name}'")),
                };
            }
            (Value::Function(Function::Machine), "single_board") => Function::SingleBoard,
            (Value::Function(Function::Machine), "with_standard_ips") => Function::WithStandardIps,
            (Value::Text(text), "format") => Function::Format(text),
            (Value::Dict(items), "keys") => Function::Keys(items),
            (Value::Dict(items), "values") => Function::Values(items),
            (Value::Dict(items), "items") => Function::Pairs(items),
            (unknown @ Value::Unknown(_), _) => return unknown,
            (other, _) => {
                let what = format!("'.{name}' of {} is not understood", other.noun());
                return self.doubt(at, what);
            }
        };
        Value::Function(function)
    }

    fn index(&mut self, at: usize, of: &Expr<'t>, index: &Expr<'t>) -> Value {
        let (of, index) = (self.value(of), self.value(index));
        if let Some(doubt) = [&of, &index].into_iter().find_map(|value| match value {
            Value::Unknown(doubt) => Some(*doubt),
            _ => None,
        }) {
            return Value::Unknown(doubt);
        }
        let found = match (&of, &index) {
            (Value::Tuple(items) | Value::List(items), Value::Whole(number)) => {
                let length = items.items.len() as i64;
                let place = if *number < 0 { number.saturating_add(length) } else { *number };
                usize::try_from(place).ok().and_then(|place| items.items.get(place).cloned())
            }
            (Value::Dict(items), _) if self.spend(items.items.len() as u64) => {
                let wanted = index.key();
                items
                    .pairs()
                    .find(|(key, _)| wanted.is_some() && key.key() == wanted)
                    .map(|(_, value)| value.clone())
            }
            _ => None,
        };
        found.unwrap_or_else(|| self.doubt(at, format!("this part of {} is not there", of.noun())))
    }

    fn chain(&mut self, first: &Expr<'t>, rest: &[(&'static str, Expr<'t>)]) -> Value {
        let mut left = self.value(first);
        let compares = rest.first().is_some_and(|(op, _)| COMPARISONS.contains(op));
        if compares && rest.len() > 1 {
            return self.comparisons(left, rest);
        }
        for (op, right) in rest {
            left = match *op {
                "and" | "or" => match self.truth(&left) {
                    Err(doubt) => Value::Unknown(doubt),
                    Ok(truth) if truth == (*op == "and") => self.value(right),
                    Ok(_) => left,
                },
                _ => {
                    let value = self.value(right);
                    self.operate(right.at, left, op, value)
                }
            };
        }
        left
    }

    /// `a < b < c`: every neighbouring pair must compare.
    fn comparisons(&mut self, first: Value, rest: &[(&'static str, Expr<'t>)]) -> Value {
        let mut left = first;
        for (op, right) in rest {
            let value = self.value(right);
            match self.operate(right.at, left, op, value.clone()) {
                Value::Truth(true) => left = value,
                other => return other,
            }
        }
        Value::Truth(true)
    }

    /// One operator on two values.
    pub fn operate(&mut self, at: usize, left: Value, op: &str, right: Value) -> Value {
        match (&left, &right) {
            (Value::Unknown(_), _) => return left,
            (_, Value::Unknown(_)) => return right,
            _ => {}
        }
        if !self.spend_on([&left, &right]) {
            return self.doubt(at, "this takes too long to work out");
        }
        let nouns = format!("'{op}' of {} and {} is not understood", left.noun(), right.noun());
        let done = match (&left, &right) {
            _ if COMPARISONS.contains(&op) => compare(&left, op, &right).map(Value::Truth),
            (Value::Whole(a), Value::Whole(b)) => whole(*a, op, *b),
            (Value::Text(a), Value::Text(b)) if op == "+" && a.len() + b.len() <= TEXT_MAX => {
                Some(Value::text(&format!("{a}{b}")))
            }
            (Value::Text(a), _) if op == "%" => {
                let args = match &right {
                    Value::Tuple(items) => items.items.clone(),
                    other => vec![other.clone()],
                };
                super::call::percent(a, &args)
            }
            (Value::Tuple(a), Value::Tuple(b)) if op == "+" => {
                return self.container(at, Form::Tuple, [&a.items[..], &b.items[..]].concat());
            }
            (Value::List(a), Value::List(b)) if op == "+" => {
                return self.container(at, Form::List, [&a.items[..], &b.items[..]].concat());
            }
            (Value::Set(a), Value::Set(b)) => {
                return self.sets(at, a, op, b).unwrap_or_else(|| self.doubt(at, nouns));
            }
            _ => decimal(&left, op, &right),
        };
        done.unwrap_or_else(|| self.doubt(at, nouns))
    }

    fn sets(&mut self, at: usize, a: &Items, op: &str, b: &Items) -> Option<Value> {
        let doubtful = a.items.iter().chain(&b.items).any(|item| item.doubt().is_some());
        let other: BTreeSet<Key> = b.items.iter().filter_map(Value::key).collect();
        let within = |item: &&Value| item.key().is_some_and(|key| other.contains(&key));
        let items = match op {
            "|" => [&a.items[..], &b.items[..]].concat(),
            "-" if !doubtful => a.items.iter().filter(|item| !within(item)).cloned().collect(),
            "&" if !doubtful => a.items.iter().filter(within).cloned().collect(),
            _ => return None,
        };
        Some(self.container(at, Form::Set, items))
    }
}

/// The functions that are in scope.
const FUNCTIONS: &[(&str, Function)] = &[
    ("Configuration", Function::Configuration),
    ("Machine", Function::Machine),
    ("board_locations_from_spinner", Function::BoardLocationsFromSpinner),
    ("chip_to_board", Function::ChipToBoard),
    ("board_to_chip", Function::BoardToChip),
    ("set", Function::Set),
    ("frozenset", Function::Set),
    ("list", Function::List),
    ("tuple", Function::Tuple),
    ("dict", Function::Dict),
    ("range", Function::Range),
    ("str", Function::Str),
    ("int", Function::Int),
    ("len", Function::Len),
    ("sorted", Function::Sorted),
];

/// Operators that come to True or False.
const COMPARISONS: &[&str] = &["in", "not in", "is", "is not", "<", ">", "<=", ">=", "==", "!="];

fn compare(left: &Value, op: &str, right: &Value) -> Option<bool> {
    if let "in" | "not in" = op {
        let key = left.key()?;
        let found = right.members()?.iter().any(|member| member.key().as_ref() == Some(&key));
        let certain = found || right.doubt().is_none();
        return certain.then_some(found == (op == "in"));
    }
    let (a, b) = (left.key()?, right.key()?);
    let same_sort = std::mem::discriminant(&a) == std::mem::discriminant(&b);
    match op {
        "==" | "is" => Some(a == b),
        "!=" | "is not" => Some(a != b),
        _ if !same_sort => None,
        "<" => Some(a < b),
        ">" => Some(a > b),
        "<=" => Some(a <= b),
        _ => Some(a >= b),
    }
}

fn whole(a: i64, op: &str, b: i64) -> Option<Value> {
    let number = match op {
        "+" => a.checked_add(b),
        "-" => a.checked_sub(b),
        "*" => a.checked_mul(b),
        // Python rounds down; so does this, for divisors above zero.
        "//" if b > 0 => a.checked_div_euclid(b),
        "%" if b > 0 => a.checked_rem_euclid(b),
        "&" => Some(a & b),
        "|" => Some(a | b),
        "/" => return (b != 0).then(|| Value::Decimal(a as f64 / b as f64)),
        _ => None,
    };
    number.map(Value::Whole)
}

fn decimal(left: &Value, op: &str, right: &Value) -> Option<Value> {
    let number = |value: &Value| match value {
        Value::Whole(number) => Some(*number as f64),
        Value::Decimal(number) => Some(*number),
        _ => None,
    };
    let (a, b) = (number(left)?, number(right)?);
    let result = match op {
        "+" => a + b,
        "-" => a - b,
        "*" => a * b,
        "/" if b != 0.0 => a / b,
        _ => return None,
    };
    result.is_finite().then_some(Value::Decimal(result))
}
