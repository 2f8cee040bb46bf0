//! The functions that are known, and what they answer.

use super::evaluate::Evaluator;
use super::machine::{self, Machine, Setup};
use super::syntax::{Expr, Form};
use super::value::{Function, Items, TEXT_MAX, Value};
use crate::allocator::{Chip, Torus, Triad};
use std::rc::Rc;

/// How long a range may be.
const RANGE_MAX: i64 = 1_000_000;
/// The widest field of a number in a text.
const FIELD_MAX: usize = 20;

/// An argument and where it stands.
#[derive(Clone, Debug)]
pub struct Argument {
    /// The byte at which it begins.
    pub at: usize,
    /// Its value.
    pub value: Value,
}

/// Arguments, those without a name first.
#[derive(Default)]
pub struct Arguments<'t> {
    positional: Vec<Argument>,
    named: Vec<(&'t str, Argument)>,
}

impl Arguments<'_> {
    /// The arguments by their parameters; a complaint with its place when they do not belong there.
    pub fn bind<const N: usize>(
        &self,
        at: usize,
        names: [&str; N],
    ) -> Result<[Option<Argument>; N], (usize, String)> {
        let mut bound = [const { None }; N];
        if let Some(extra) = self.positional.get(N) {
            return Err((extra.at, format!("at most {N} arguments are taken here")));
        }
        for (slot, argument) in bound.iter_mut().zip(&self.positional) {
            *slot = Some(argument.clone());
        }
        for (name, argument) in &self.named {
            let slot = names.iter().position(|known| known == name).and_then(|place| bound.get_mut(place));
            match slot {
                Some(slot @ None) => *slot = Some(argument.clone()),
                Some(_) => return Err((at, format!("the argument '{name}' is given twice"))),
                None => return Err((argument.at, format!("there is no argument '{name}' here"))),
            }
        }
        Ok(bound)
    }
}

type Answer = Result<Value, (usize, String)>;

impl<'t> Evaluator<'t, '_> {
    /// Calls something.
    pub fn call(&mut self, at: usize, callee: &Expr<'t>, args: &[(Option<&'t str>, Expr<'t>)]) -> Value {
        let callee = self.value(callee);
        let mut arguments = Arguments::default();
        for (name, arg) in args {
            let argument = Argument { at: arg.at, value: self.value(arg) };
            match name {
                Some(name) => arguments.named.push((name, argument)),
                None => arguments.positional.push(argument),
            }
        }
        let function = match callee {
            Value::Function(function) => function,
            unknown @ Value::Unknown(_) => return unknown,
            other => return self.doubt(at, format!("{} cannot be called", other.noun())),
        };
        if !self.spend_on(arguments.all()) {
            return self.doubt(at, "this takes too long to work out");
        }
        self.answer(at, &function, &arguments).unwrap_or_else(|(at, what)| self.doubt(at, what))
    }

    fn answer(&mut self, at: usize, function: &Function, args: &Arguments) -> Answer {
        match function {
            Function::Configuration => self.configuration(at, args),
            Function::Machine => {
                let args = args.bind(at, machine::MACHINE)?;
                let machine = Machine::plain(at, args, self.doubts);
                self.built(at, machine)
            }
            Function::SingleBoard => {
                let args = args.bind(at, machine::SINGLE_BOARD)?;
                let machine = Machine::single_board(at, args, self.doubts);
                self.built(at, machine)
            }
            Function::WithStandardIps => {
                let args = args.bind(at, machine::WITH_STANDARD_IPS)?;
                let machine = Machine::with_standard_ips(at, args, self.doubts);
                self.built(at, machine)
            }
            // What follows is simple: an argument that was not understood makes the answer so.
            _ if args.unknown().is_some() => Ok(args.unknown().unwrap_or(Value::None)),
            Function::BoardLocationsFromSpinner => {
                let [name] = args.bind(at, ["filename"])?;
                self.board_locations(at, name)
            }
            Function::ChipToBoard => self.chip_to_board(at, args),
            Function::BoardToChip => {
                let [x, y, z] = numbers(at, args, ["x", "y", "z"])?;
                let chip = Triad::new(x, y, z.min(2)).chip();
                Ok(Value::numbers(&[chip.x, chip.y]))
            }
            Function::Set => self.collect(at, Form::Set, args),
            Function::List => self.collect(at, Form::List, args),
            Function::Tuple => self.collect(at, Form::Tuple, args),
            Function::Sorted => self.sorted(at, args),
            Function::Dict => self.dict(at, args),
            Function::Range => self.range(at, args),
            Function::Str => {
                let value = one(at, args)?.value;
                let text = display(&value)
                    .ok_or_else(|| (at, format!("the text of {} is not known", value.noun())))?;
                Ok(Value::text(&text))
            }
            Function::Int => int(at, &one(at, args)?.value),
            Function::Len => {
                let members = one(at, args)?.value.members();
                let members = members.ok_or_else(|| (at, "this has no length".to_owned()))?;
                Ok(Value::Whole(members.len() as i64))
            }
            Function::Format(text) => {
                let values: Vec<_> = args.positional.iter().map(|argument| argument.value.clone()).collect();
                let named: Vec<_> =
                    args.named.iter().map(|(name, argument)| (*name, &argument.value)).collect();
                format(text, &values, &named)
                    .ok_or_else(|| (at, "this way to format a text is not known".into()))
            }
            Function::Keys(dict) => Ok(self.container(at, Form::List, halves(dict, 0))),
            Function::Values(dict) => Ok(self.container(at, Form::List, halves(dict, 1))),
            Function::Pairs(dict) => {
                let pairs =
                    dict.items.chunks_exact(2).map(|pair| self.container(at, Form::Tuple, pair.to_vec()));
                let pairs = pairs.collect();
                Ok(self.container(at, Form::List, pairs))
            }
        }
    }

    /// A machine; that each of its boards was looked at takes its time, too.
    fn built(&mut self, at: usize, machine: Machine) -> Answer {
        let triads = u64::from(machine.width) * u64::from(machine.height);
        match self.spend(triads) {
            true => Ok(Value::Machine(Rc::new(machine))),
            false => Err((at, "this takes too long to work out".into())),
        }
    }

    fn configuration(&mut self, at: usize, args: &Arguments) -> Answer {
        let names =
            ["machines", "port", "ip", "timeout_check_interval", "max_retired_jobs", "seconds_before_free"];
        let args = args.bind(at, names)?;
        Ok(Value::Setup(Rc::new(Setup::of(at, args, self.doubts))))
    }

    /// A list, a tuple or a set of what another container holds.
    fn collect(&mut self, at: usize, form: Form, args: &Arguments) -> Answer {
        let [source] = args.bind(at, ["iterable"])?;
        let members = match source {
            Some(source) => self.members(source.at, &source.value),
            None => Ok(Vec::new()),
        };
        Ok(match members {
            Ok(members) => self.container(at, form, members),
            Err(unknown) => unknown,
        })
    }

    fn sorted(&mut self, at: usize, args: &Arguments) -> Answer {
        let source = one(at, args)?;
        let mut members = match self.members(source.at, &source.value) {
            Ok(members) => members,
            Err(unknown) => return Ok(unknown),
        };
        if members.iter().any(|member| member.key().is_none()) {
            return Err((at, "these cannot be sorted here".into()));
        }
        members.sort_by_cached_key(Value::key);
        Ok(self.container(at, Form::List, members))
    }

    fn dict(&mut self, at: usize, args: &Arguments) -> Answer {
        let mut items = Vec::new();
        match args.positional.as_slice() {
            [] => {}
            [Argument { value: Value::Dict(dict), .. }] => items.extend(dict.items.iter().cloned()),
            [source] => {
                let pairs = match self.members(source.at, &source.value) {
                    Ok(pairs) => pairs,
                    Err(unknown) => return Ok(unknown),
                };
                for pair in pairs {
                    let pair = pair.members().filter(|pair| pair.len() == 2);
                    items.extend(pair.ok_or_else(|| (source.at, "pairs are needed here".to_owned()))?);
                }
            }
            [_, second, ..] => return Err((second.at, "a dict is made of one thing".into())),
        }
        for (name, argument) in &args.named {
            items.extend([Value::text(name), argument.value.clone()]);
        }
        Ok(self.container(at, Form::Dict, items))
    }

    fn range(&mut self, at: usize, args: &Arguments) -> Answer {
        let number = |argument: &Argument| match argument.value {
            Value::Whole(number) => Ok(number),
            _ => Err((argument.at, "a whole number is needed here".to_owned())),
        };
        let numbers = args.positional.iter().map(number).collect::<Result<Vec<_>, _>>()?;
        let (start, stop, step) = match numbers.as_slice() {
            [stop] => (0, *stop, 1),
            [start, stop] => (*start, *stop, 1),
            [start, stop, step] if *step > 0 => (*start, *stop, *step),
            _ => return Err((at, "one to three numbers are needed here, the step above zero".into())),
        };
        let length = stop.saturating_sub(start).max(0).checked_div(step).unwrap_or(0);
        if length > RANGE_MAX || !self.spend(length.unsigned_abs()) {
            return Err((at, "this range is too long".into()));
        }
        let stepped = (start..stop).step_by(usize::try_from(step).unwrap_or(usize::MAX));
        let items = stepped.map(Value::Whole).collect();
        Ok(self.container(at, Form::List, items))
    }

    fn chip_to_board(&mut self, at: usize, args: &Arguments) -> Answer {
        let [x, y, w, h] = numbers(at, args, ["x", "y", "w", "h"])?;
        let torus = Torus { width: w.div_ceil(12), height: h.div_ceil(12) };
        if torus.width == 0 || torus.height == 0 || torus.width.max(torus.height) > machine::SIDE_MAX {
            return Err((at, "there is no machine of this size".into()));
        }
        let (board, _) = torus.board_at_chip(Chip { x, y });
        Ok(Value::numbers(&[board.x, board.y, board.z]))
    }

    fn board_locations(&mut self, at: usize, name: Option<Argument>) -> Answer {
        let Some(Argument { at: name_at, value: Value::Text(name) }) = name else {
            return Err((at, "the name of a file is needed here".into()));
        };
        let text = (self.file)(&name).map_err(|why| (name_at, format!("'{name}' cannot be read: {why}")))?;
        let places = machine::read_spinner(&text).map_err(|why| (name_at, format!("'{name}': {why}")))?;
        let items = places
            .iter()
            .flat_map(|(board, place)| [Value::numbers(&[board.x, board.y, board.z]), Value::numbers(place)]);
        let items = items.collect();
        Ok(self.container(at, Form::Dict, items))
    }
}

impl Arguments<'_> {
    /// The values of all.
    fn all(&self) -> impl Iterator<Item = &Value> {
        let all = self.positional.iter().chain(self.named.iter().map(|(_, argument)| argument));
        all.map(|argument| &argument.value)
    }

    /// The first that was not understood as a whole.
    fn unknown(&self) -> Option<Value> {
        self.all().find(|value| matches!(value, Value::Unknown(_))).cloned()
    }
}

fn one(at: usize, args: &Arguments) -> Result<Argument, (usize, String)> {
    let [only] = args.bind(at, ["object"])?;
    only.ok_or_else(|| (at, "something is needed here".into()))
}

fn numbers<const N: usize>(
    at: usize,
    args: &Arguments,
    names: [&str; N],
) -> Result<[u32; N], (usize, String)> {
    let mut numbers = [0; N];
    for (number, argument) in numbers.iter_mut().zip(args.bind(at, names)?) {
        let whole = argument.and_then(|argument| match argument.value {
            Value::Whole(number) => u32::try_from(number).ok().filter(|number| *number <= 1 << 20),
            _ => None,
        });
        *number =
            whole.ok_or_else(|| (at, format!("{N} whole numbers that are not too large are needed here")))?;
    }
    Ok(numbers)
}

fn halves(dict: &Items, half: usize) -> Vec<Value> {
    dict.items.iter().skip(half).step_by(2).cloned().collect()
}

fn int(at: usize, value: &Value) -> Answer {
    let number = match value {
        Value::Whole(number) => Some(*number),
        Value::Truth(truth) => Some(i64::from(*truth)),
        Value::Decimal(number) if number.abs() < 1e15 => Some(*number as i64),
        Value::Text(text) => text.trim().parse().ok(),
        _ => None,
    };
    number.map(Value::Whole).ok_or_else(|| (at, format!("{} is no whole number", value.noun())))
}

fn display(value: &Value) -> Option<String> {
    match value {
        Value::Text(text) => Some(text.to_string()),
        Value::Whole(number) => Some(number.to_string()),
        _ => None,
    }
}

/// A number or a text in a field: `02d`, `3`, `s` or nothing.
fn field(form: &str, value: &Value) -> Option<String> {
    let text = display(value)?;
    let form = form.trim_end_matches(['d', 'i', 's']);
    let is_number = matches!(value, Value::Whole(number) if *number >= 0);
    if form.is_empty() {
        return Some(text);
    }
    let width: usize = form.parse().ok().filter(|width| *width <= FIELD_MAX && is_number)?;
    Some(if form.starts_with('0') { format!("{text:0>width$}") } else { format!("{text:>width$}") })
}

/// `text % arguments`, for whole numbers and texts.
pub fn percent(text: &str, args: &[Value]) -> Option<Value> {
    let (mut made, mut args) = (String::new(), args.iter());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('%') {
        made += before;
        let end = after.find(|c: char| !c.is_ascii_digit())?;
        let (form, kind) = (after.get(..end)?, after.get(end..end + 1)?);
        match kind {
            "%" if form.is_empty() => made.push('%'),
            "d" | "i" => made += &field(form, args.next().filter(|arg| matches!(arg, Value::Whole(_)))?)?,
            "s" if form.is_empty() => made += &field("", args.next()?)?,
            _ => return None,
        }
        rest = after.get(end + 1..)?;
        if made.len() > TEXT_MAX {
            return None;
        }
    }
    (args.next().is_none()).then(|| Value::text(&(made + rest)))
}

/// `text.format(...)`, for whole numbers and texts.
fn format(text: &str, args: &[Value], named: &[(&str, &Value)]) -> Option<Value> {
    let (mut made, mut next) = (String::new(), 0);
    let mut rest = text;
    while let Some(brace) = rest.find(['{', '}']) {
        made += rest.get(..brace)?;
        let from = rest.get(brace..)?;
        if let Some(after) = from.strip_prefix("{{").or_else(|| from.strip_prefix("}}")) {
            made.push_str(from.get(..1)?);
            rest = after;
            continue;
        }
        let (inside, after) = from.strip_prefix('{')?.split_once('}')?;
        let (name, form) = inside.split_once(':').unwrap_or((inside, ""));
        let value = match (name, name.parse::<usize>()) {
            ("", _) => {
                next += 1;
                args.get(next - 1)
            }
            (_, Ok(place)) => args.get(place),
            (name, _) => named.iter().find(|(known, _)| *known == name).map(|(_, value)| *value),
        };
        made += &field(form, value?)?;
        rest = after;
        if made.len() > TEXT_MAX {
            return None;
        }
    }
    Some(Value::text(&(made + rest)))
}
