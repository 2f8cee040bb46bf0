//! The arguments of `create_job`, made into a request.
//!
//! Whatever raises in the reference raises here before a job is made; there it may leave half a job behind. What no
//! machine could meet is no error: it becomes a request for no boards, which is taken and ends at once.

use super::call::Named;
use super::value::{Value, push_list, push_text, repr};
use super::wish::unhashable;
use crate::lab::demand::DEFAULT_KIND;
use crate::lab::fact::MachineName;
use crate::lab::job::{JobSpec, Want};
use std::collections::BTreeSet;
use std::sync::Arc;

/// A keepalive of more than some thirty years is for ever.
const KEEPALIVE_S_MAX: f64 = 1e9;

/// What a keepalive is unless it is given.
const KEEPALIVE: Value = Value::Float(60.0);

/// The names that say what is wanted.
const OPTIONS: [&str; 4] = ["min_ratio", "max_dead_boards", "max_dead_links", "require_torus"];

/// The options that further numbers mean, behind the three of a board.
const SPILLED: [&str; 2] = ["max_dead_boards", "max_dead_links"];

/// Nothing: no machine has it.
const NOTHING: Want = Want::Boards(0);

/// How Python calls what the options go to.
const ALLOCATOR: &str = "Allocator._alloc_type()";

/// A request as its arguments have it, or what they raise.
pub fn read(args: &[Value], mut kwargs: Named) -> Result<JobSpec, String> {
    let owner = match take(&mut kwargs, "owner") {
        None | Some(Value::Null) => return Err("owner must be specified for all jobs".to_owned()),
        Some(owner) => owner.to_text(),
    };
    let keepalive_ms = keepalive_ms(&take(&mut kwargs, "keepalive").unwrap_or(KEEPALIVE))?;
    let tags = listed_tags(&mut kwargs)?;
    let machine = machine(&kwargs)?;
    if machine.is_some() && tags.is_some() {
        return Err("Only one of machine and tags may be specified for a job.".to_owned());
    }
    let echo = echo(args, &kwargs);
    let mut options = Options::default();
    let numbers = options.spill(args)?;
    for (name, value) in kwargs.into_iter().filter(|(name, _)| name != "machine" && name != "tags") {
        options.set(name, value)?;
    }
    let mut spec = JobSpec::new(&owner, NOTHING);
    options.size(numbers, &mut spec)?;
    spec.tags = match &machine {
        Some(_) => BTreeSet::new(),
        None => tags.unwrap_or(spec.tags),
    };
    Ok(JobSpec { machine, keepalive_ms, kind: Some(DEFAULT_KIND.into()), echo: echo.into(), ..spec })
}

fn take(kwargs: &mut Named, name: &str) -> Option<Value> {
    let at = kwargs.iter().position(|(given, _)| given == name)?;
    Some(kwargs.remove(at).1)
}

/// What lists repeat of a request, as the reference writes it.
fn echo(args: &[Value], kwargs: &Named) -> String {
    let mut out = String::from("{\"args\": ");
    push_list(&mut out, args, |out, value| value.push_json(out));
    out.push_str(", \"kwargs\": {");
    for (index, (name, value)) in kwargs.iter().enumerate() {
        out.push_str(if index > 0 { ", " } else { "" });
        push_text(&mut out, name);
        out.push_str(": ");
        value.push_json(&mut out);
    }
    out.push_str("}}");
    out
}

/// A keepalive through Python's `float()`; null is for ever.
fn keepalive_ms(value: &Value) -> Result<Option<u64>, String> {
    let seconds = match value {
        Value::Null => return Ok(None),
        Value::Text(text) => float(text)?,
        other => other.number().ok_or_else(|| {
            format!("float() argument must be a string or a real number, not '{}'", other.type_name())
        })?,
    };
    match seconds {
        _ if seconds.is_nan() => Err("keepalive must be a number of seconds, or null for ever".to_owned()),
        _ if seconds > KEEPALIVE_S_MAX => Ok(None),
        _ if seconds <= 0.0 => Ok(Some(0)),
        // A little is not nothing.
        _ => Ok(Some(((seconds * 1000.0).round() as u64).max(1))),
    }
}

/// A text as Python's `float()` reads it.
fn float(text: &str) -> Result<f64, String> {
    let refused = || format!("could not convert string to float: {}", repr(text));
    let trimmed = text.trim();
    let bytes = trimmed.as_bytes();
    let digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
    let between = |at: usize| at > 0 && digit(at - 1) && digit(at + 1);
    if (0..bytes.len()).any(|at| bytes[at] == b'_' && !between(at)) {
        return Err(refused());
    }
    trimmed.replace('_', "").parse().map_err(|_| refused())
}

/// The tags, if any are given. In `kwargs` a list of them takes their place, each once, as the reference repeats it.
fn listed_tags(kwargs: &mut Named) -> Result<Option<BTreeSet<Arc<str>>>, String> {
    let Some((_, given)) = kwargs.iter_mut().find(|(name, _)| name == "tags") else { return Ok(None) };
    let items: Vec<Value> = match given {
        Value::Null => return Ok(None),
        Value::List(items) => std::mem::take(items),
        Value::Text(text) => text.chars().map(|c| Value::Text(c.into())).collect(),
        Value::Object(entries) => entries.iter().map(|(key, _)| Value::Text(key.clone())).collect(),
        other => return Err(format!("'{}' object is not iterable", other.type_name())),
    };
    if let Some(item) = items.iter().find(|item| !item.is_hashable()) {
        return Err(unhashable(item));
    }
    let (mut tags, mut kept) = (BTreeSet::new(), Vec::new());
    for item in items {
        if tags.insert(name_of(&item)) {
            kept.push(item);
        }
    }
    *given = Value::List(kept);
    Ok(Some(tags))
}

fn machine(kwargs: &Named) -> Result<Option<MachineName>, String> {
    match kwargs.iter().find(|(name, _)| name == "machine").map(|(_, value)| value) {
        None | Some(Value::Null) => Ok(None),
        Some(value) if value.is_hashable() => Ok(Some(name_of(value))),
        Some(value) => Err(unhashable(value)),
    }
}

/// A name as it is looked up. What is no text gets one that no machine and no tag can have.
fn name_of(value: &Value) -> Arc<str> {
    match value {
        Value::Text(text) => text.as_str().into(),
        other => format!("{} ({})", other.to_text(), other.type_name()).into(),
    }
}

/// What is wanted beside a size.
#[derive(Default)]
struct Options {
    given: Vec<(&'static str, Value)>,
}

/// How much may be missing.
enum Limit {
    /// Any number.
    None,
    /// So many.
    Some(u32),
    /// Less than nothing.
    Never,
}

impl Options {
    /// The numbers of a size; those behind them are options.
    fn spill<'a>(&mut self, args: &'a [Value]) -> Result<&'a [Value], String> {
        let given = args.iter().rposition(|value| *value != Value::Null).map_or(0, |last| last + 1);
        let args = args.get(..given).unwrap_or_default();
        let Some((size, rest)) = args.split_at_checked(3) else { return Ok(args) };
        if rest.len() > SPILLED.len() {
            let most = 3 + SPILLED.len();
            return Err(format!(
                "create_job takes at most {most} positional arguments but {given} were given"
            ));
        }
        self.given = SPILLED.into_iter().zip(rest.iter().cloned()).collect();
        Ok(size)
    }

    fn set(&mut self, name: String, value: Value) -> Result<(), String> {
        let Some(known) = OPTIONS.into_iter().find(|known| *known == name) else {
            return Err(format!("{ALLOCATOR} got an unexpected keyword argument {}", repr(&name)));
        };
        if self.given.iter().any(|(given, _)| *given == known) {
            return Err(format!("{ALLOCATOR} got multiple values for argument '{known}'"));
        }
        self.given.push((known, value));
        Ok(())
    }

    fn value(&self, name: &str) -> &Value {
        self.given.iter().find(|(given, _)| *given == name).map_or(&Value::Null, |(_, value)| value)
    }

    /// Enters what the numbers and the options mean.
    fn size(&self, numbers: &[Value], spec: &mut JobSpec) -> Result<(), String> {
        match numbers {
            [] => self.one_board(spec, Want::Boards(1)),
            [count] => match rounded(count, |name| {
                format!("unsupported operand type(s) for /: '{name}' and 'float'")
            })? {
                1 => self.one_board(spec, Want::Boards(1)),
                count => {
                    spec.min_ratio = self.min_ratio()?;
                    self.many(spec, Want::Boards(count))
                }
            },
            [width, height] => {
                let side = |value| {
                    rounded(value, |name| {
                        format!("'<=' not supported between instances of '{name}' and 'int'")
                    })
                };
                let (width, height) = (side(width)?, side(height)?);
                self.many(spec, Want::Triads { width, height })
            }
            [x, y, z] => {
                if let Some(value) = [x, y, z].into_iter().find(|value| !value.is_hashable()) {
                    return Err(unhashable(value));
                }
                let place = |value: &Value| u32::try_from(value.whole()?).ok();
                let want = match (place(x), place(y), place(z)) {
                    (Some(x), Some(y), Some(z)) => Want::Exact { x, y, z },
                    _ => NOTHING,
                };
                self.one_board(spec, want)
            }
            _ => Err("create_job takes no more than three numbers".to_owned()),
        }
    }

    /// One board has no shape and nothing can be missing of it, so all options but one are idle.
    fn one_board(&self, spec: &mut JobSpec, want: Want) -> Result<(), String> {
        match self.value("require_torus") {
            Value::Null | Value::Bool(false) => {}
            value if value.is_truthy() => {
                return Err("require_torus must be False when allocating boards.".to_owned());
            }
            // The reference asserts that it is False itself.
            _ => return Err(String::new()),
        }
        spec.want = want;
        Ok(())
    }

    fn many(&self, spec: &mut JobSpec, want: Want) -> Result<(), String> {
        spec.require_torus = self.value("require_torus").is_truthy();
        spec.want = want;
        for (name, place) in
            [("max_dead_boards", &mut spec.max_dead_boards), ("max_dead_links", &mut spec.max_dead_links)]
        {
            match self.limit(name)? {
                Limit::None => *place = None,
                Limit::Some(most) => *place = Some(most),
                Limit::Never => spec.want = NOTHING,
            }
        }
        Ok(())
    }

    fn limit(&self, name: &str) -> Result<Limit, String> {
        let value = self.value(name);
        if *value == Value::Null {
            return Ok(Limit::None);
        }
        let most = value.number().ok_or_else(|| {
            format!("'>' not supported between instances of 'int' and '{}'", value.type_name())
        })?;
        Ok(match most {
            _ if most < 0.0 => Limit::Never,
            // Nothing is more than what is no number.
            _ if most.is_nan() || most >= f64::from(u32::MAX) => Limit::None,
            _ => Limit::Some(most as u32),
        })
    }

    /// The least ratio; 3 to 1 is 1 to 3.
    fn min_ratio(&self) -> Result<f64, String> {
        let value = self.value("min_ratio");
        if *value == Value::Null {
            return Ok(0.0);
        }
        let ratio = value.number().ok_or_else(|| {
            format!("'<' not supported between instances of '{}' and 'float'", value.type_name())
        })?;
        match ratio {
            _ if ratio.is_nan() => Err("min_ratio must be a number of 0 or more".to_owned()),
            _ if ratio < 0.0 => Err("Aspect ratio cannot be negative.".to_owned()),
            _ if ratio > 1.0 => Ok(1.0 / ratio),
            _ => Ok(ratio),
        }
    }
}

/// A count, rounded up; less than nothing is nothing, and that no machine has.
fn rounded(value: &Value, complaint: impl Fn(&str) -> String) -> Result<u32, String> {
    let number = value.number().ok_or_else(|| complaint(value.type_name()))?;
    match number {
        _ if number.is_nan() => Err("cannot convert float NaN to integer".to_owned()),
        _ if number.is_infinite() => Err("cannot convert float infinity to integer".to_owned()),
        // Too many, and less than none, become the last and the first there are.
        _ => Ok(number.ceil() as u32),
    }
}
