//! The arguments of `create_job`, made into a request.
//!
//! Whatever raises in the reference raises here before a job is made; there it may leave half a job behind. What no
//! machine could meet is no error: it becomes a request for no boards, which is taken and ends at once.

use super::call::Named;
use super::value::{Value, push_list, push_text, repr};
use super::wish::unhashable;
use crate::lab::demand::DEFAULT_KIND;
use crate::lab::fact::MachineName;
use crate::lab::job::{JOB_TEXT_BYTES_MAX, JobSpec, Want};
use crate::lab::refusal::Refusal;
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
    check_length(&echo)?;
    spec.tags = match &machine {
        Some(_) => BTreeSet::new(),
        None => tags.unwrap_or(spec.tags),
    };
    Ok(JobSpec { machine, keepalive_ms, kind: Some(DEFAULT_KIND.into()), echo: echo.into(), ..spec })
}

/// Refuses what the lab would refuse, before the one thread that owns the lab has to copy a million tags.
fn check_length(echo: &str) -> Result<(), String> {
    let refusal = Refusal::TextTooLong { what: "the request as it was sent", max: JOB_TEXT_BYTES_MAX };
    if echo.len() > JOB_TEXT_BYTES_MAX { Err(refusal.fault().msg) } else { Ok(()) }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spalloc::value::parse;

    /// A request of these arguments; `owner` is added.
    fn asked(args: &str, kwargs: &str) -> Result<JobSpec, String> {
        let (Some(Value::List(args)), Some(Value::Object(mut kwargs))) = (parse(args), parse(kwargs)) else {
            panic!("{args} {kwargs}");
        };
        if !kwargs.iter().any(|(name, _)| name == "owner") {
            kwargs.push(("owner".to_owned(), Value::Text("ada".to_owned())));
        }
        read(&args, kwargs)
    }

    #[test]
    fn a_request_too_long_to_be_kept_never_reaches_the_lab() {
        let tagged = |count: usize| asked("[]", &format!("{{\"tags\": [{}\"t\"]}}", "1,".repeat(count)));
        assert!(tagged(2_000).is_ok(), "a tag counts once");
        let numbers: String = (0..2_000).map(|tag| format!("{tag},")).collect();
        let refused = asked("[]", &format!("{{\"tags\": [{numbers} 1]}}"));
        assert!(refused.is_err_and(|text| text.contains("1024 bytes")));
    }

    fn want(args: &str) -> Result<Want, String> {
        asked(args, "{}").map(|spec| spec.want)
    }

    #[test]
    fn sizes_are_read_as_the_reference_reads_them() {
        let triads = |width, height| Want::Triads { width, height };
        for (args, expected) in [
            ("[]", Want::Boards(1)),
            ("[null, null]", Want::Boards(1)),
            ("[1]", Want::Boards(1)),
            ("[true]", Want::Boards(1)),
            ("[1.0, null, null]", Want::Boards(1)),
            ("[25.5]", Want::Boards(26)),
            ("[0]", NOTHING),
            ("[-3]", NOTHING),
            ("[-0.5]", NOTHING),
            ("[123456789012345678901234567890]", Want::Boards(u32::MAX)),
            ("[2, 3]", triads(2, 3)),
            ("[2.1, 0]", triads(3, 0)),
            ("[-2, 3]", triads(0, 3)),
            ("[3, 1, 2.0]", Want::Exact { x: 3, y: 1, z: 2 }),
            ("[3, 1.5, 2]", NOTHING),
            ("[-1, 0, 0]", NOTHING),
            ("[0, 0, \"0\"]", NOTHING),
            ("[1, 2, 3, 4, 5]", Want::Exact { x: 1, y: 2, z: 3 }),
        ] {
            assert_eq!(want(args), Ok(expected), "{args}");
        }
        for (args, text) in [
            ("[\"3\"]", "unsupported operand type(s) for /: 'str' and 'float'"),
            ("[NaN]", "cannot convert float NaN to integer"),
            ("[Infinity]", "cannot convert float infinity to integer"),
            ("[null, 1]", "'<=' not supported between instances of 'NoneType' and 'int'"),
            ("[1, 2, [3]]", "unhashable type: 'list'"),
            ("[1, 2, 3, 4, 5, 6]", "create_job takes at most 5 positional arguments but 6 were given"),
        ] {
            assert_eq!(want(args), Err(text.to_owned()), "{args}");
        }
    }

    #[test]
    fn every_null_is_the_default() {
        let nulls = r#"{"keepalive": 60.0, "machine": null, "tags": null, "min_ratio": null, "max_dead_boards": null,
            "max_dead_links": null, "require_torus": null}"#;
        for args in ["[]", "[2]", "[2, 1]", "[0, 0, 0]"] {
            let (plain, with_nulls) = (asked(args, "{}").unwrap(), asked(args, nulls).unwrap());
            assert_eq!(JobSpec { echo: plain.echo.clone(), ..with_nulls }, plain, "{args}");
            assert_eq!((plain.keepalive_ms, plain.tags.contains("default")), (Some(60_000), true));
        }
    }

    #[test]
    fn a_keepalive_goes_through_pythons_float() {
        let keepalive =
            |value: &str| asked("[]", &format!("{{\"keepalive\": {value}}}")).map(|spec| spec.keepalive_ms);
        for (value, ms) in [
            ("null", None),
            ("12", Some(12_000)),
            ("\" 1_0.5\\n\"", Some(10_500)),
            ("true", Some(1_000)),
            ("0", Some(0)),
            ("-5", Some(0)),
            ("1e-9", Some(1)),
            ("1e300", None),
            ("\"inf\"", None),
            ("Infinity", None),
        ] {
            assert_eq!(keepalive(value), Ok(ms), "{value}");
        }
        for (value, text) in [
            ("\"abc\"", "could not convert string to float: 'abc'"),
            ("\"1__0\"", "could not convert string to float: '1__0'"),
            ("\"_1\"", "could not convert string to float: '_1'"),
            ("[]", "float() argument must be a string or a real number, not 'list'"),
            ("NaN", "keepalive must be a number of seconds, or null for ever"),
        ] {
            assert_eq!(keepalive(value), Err(text.to_owned()), "{value}");
        }
    }

    #[test]
    fn options_count_where_the_reference_looks_at_them() {
        let spec = asked(
            "[7]",
            r#"{"min_ratio": 4, "max_dead_boards": 1.9, "max_dead_links": 0, "require_torus": 1}"#,
        );
        let spec = spec.unwrap();
        assert_eq!((spec.min_ratio, spec.max_dead_boards, spec.max_dead_links), (0.25, Some(1), Some(0)));
        assert!(spec.require_torus);
        // One board has no shape and nothing missing.
        let one = asked("[]", r#"{"min_ratio": "x", "max_dead_boards": -1, "max_dead_links": []}"#).unwrap();
        assert_eq!((one.min_ratio, one.max_dead_boards, one.want), (0.0, None, Want::Boards(1)));
        assert_eq!(asked("[2, 2]", r#"{"min_ratio": "x"}"#).unwrap().min_ratio, 0.0);
        assert_eq!(asked("[2, 2]", r#"{"max_dead_links": -0.1}"#).unwrap().want, NOTHING);
        for (args, kwargs, text) in [
            ("[]", r#"{"require_torus": true}"#, "require_torus must be False when allocating boards."),
            ("[0, 0, 0]", r#"{"require_torus": "x"}"#, "require_torus must be False when allocating boards."),
            ("[1]", r#"{"require_torus": 0}"#, ""),
            ("[2]", r#"{"min_ratio": -1}"#, "Aspect ratio cannot be negative."),
            ("[2]", r#"{"min_ratio": "x"}"#, "'<' not supported between instances of 'str' and 'float'"),
            ("[2]", r#"{"max_dead_boards": "x"}"#, "'>' not supported between instances of 'int' and 'str'"),
            (
                "[2]",
                r#"{"bogus": null}"#,
                "Allocator._alloc_type() got an unexpected keyword argument 'bogus'",
            ),
            (
                "[1, 2, 3, 4]",
                r#"{"max_dead_boards": 1}"#,
                "Allocator._alloc_type() got multiple values for argument 'max_dead_boards'",
            ),
        ] {
            assert_eq!(asked(args, kwargs), Err(text.to_owned()), "{args} {kwargs}");
        }
    }

    #[test]
    fn machine_and_tags_exclude_each_other() {
        let tags = |kwargs: &str| {
            asked("[]", kwargs)
                .map(|spec| spec.tags.into_iter().map(|tag| tag.to_string()).collect::<Vec<_>>())
        };
        let words = |words: &[&str]| Ok(words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>());
        assert_eq!(tags("{}"), words(&["default"]));
        assert_eq!(tags(r#"{"tags": []}"#), words(&[]));
        assert_eq!(tags(r#"{"tags": "abca"}"#), words(&["a", "b", "c"]));
        assert_eq!(tags(r#"{"tags": {"x": 1}}"#), words(&["x"]));
        assert_eq!(tags(r#"{"tags": [5, null, "5"]}"#), words(&["5", "5 (int)", "None (NoneType)"]));
        assert_eq!(tags(r#"{"machine": "m"}"#), words(&[]));
        let both = "Only one of machine and tags may be specified for a job.";
        assert_eq!(tags(r#"{"machine": "m", "tags": []}"#), Err(both.to_owned()));
        assert_eq!(tags(r#"{"tags": 5}"#), Err("'int' object is not iterable".to_owned()));
        assert_eq!(tags(r#"{"tags": [["a"]]}"#), Err("unhashable type: 'list'".to_owned()));
        assert_eq!(tags(r#"{"machine": {}}"#), Err("unhashable type: 'dict'".to_owned()));
        assert_eq!(asked("[]", r#"{"machine": 5}"#).unwrap().machine.as_deref(), Some("5 (int)"));
        assert_eq!(asked("[]", r#"{"owner": null}"#), Err("owner must be specified for all jobs".to_owned()));
        assert_eq!(&*asked("[]", r#"{"owner": 5}"#).unwrap().owner, "5");
    }

    #[test]
    fn what_was_sent_is_repeated_without_owner_and_keepalive() {
        let spec =
            asked("[1.0, null]", r#"{"tags": "aab", "keepalive": 5, "machine": null, "min_ratio": 0.333}"#);
        let echo =
            r#"{"args": [1.0, null], "kwargs": {"tags": ["a", "b"], "machine": null, "min_ratio": 0.333}}"#;
        assert_eq!(&*spec.unwrap().echo, echo);
    }
}
