//! The arguments of one call: bound to the names a function declares, then taken by type.
//!
//! What an argument may be stands in the function's list of arguments and nowhere else: takers check
//! against it, and complaints quote it. A name that is not declared or a missing argument makes the call
//! malformed (403); a wrong type or a value out of range is a bad argument (404). `null` is the same as
//! leaving an argument out, except where a function looks at
//! `is_null`. Numbers are read from their text, so that a huge one is refused rather than rounded.

use super::nearest::hint;
use super::{Arg, ArgType, Function};
use crate::error::{Code, Fault};
use crate::lab::fact::JobId;
use crate::lab::job::JobState;
use crate::wire::base64;
use crate::wire::json::Raw;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::sync::Arc;

/// So many arguments a function may declare.
pub const ARGS_MAX: usize = 24;

/// A name (of a machine, a board, an owner, a kind) has at most so many bytes.
pub const NAME_BYTES_MAX: usize = 256;

/// The words for the states of jobs.
const JOB_STATES: [&str; 5] = ["unknown", "queued", "power", "ready", "destroyed"];

/// A complaint quotes so many characters of what came.
const QUOTED_CHARS_MAX: usize = 48;

/// Every whole number up to this has an exact form as a floating-point number.
const EXACT_MAX: f64 = 9_007_199_254_740_992.0;

/// The arguments of a call, each in the place its function declares it at.
pub struct Arguments<'a> {
    function: &'static Function,
    given: [Option<Raw<'a>>; ARGS_MAX],
}

/// What a taker gives: none when the argument was left out.
type Taken<T> = Result<Option<T>, Fault>;

impl<'a> Arguments<'a> {
    /// Puts arguments into their places; a name nobody declared, or one argument under two names, is refused.
    pub fn bind(
        function: &'static Function,
        passed: &[(Cow<'_, str>, Raw<'a>)],
    ) -> Result<Arguments<'a>, Fault> {
        let mut bound = Arguments { function, given: [None; ARGS_MAX] };
        for (name, value) in passed {
            let place =
                function.args.iter().position(|arg| arg.name == name || arg.aliases.contains(&&**name));
            let slot =
                place.and_then(|place| bound.given.get_mut(place)).ok_or_else(|| unknown(function, name))?;
            if slot.replace(*value).is_some() {
                return Err(malformed(format!(
                    "argument '{name}' of {} is given twice, by two names",
                    function.name
                )));
            }
        }
        Ok(bound)
    }

    /// Whether an argument was given, and not as null.
    pub fn is_given(&self, name: &str) -> bool {
        self.passed(name).is_some()
    }

    /// Whether an argument was given as null, for the few to which that is a value.
    pub fn is_null(&self, name: &str) -> bool {
        self.raw(name).is_some_and(|(_, value)| value.get() == "null")
    }

    /// An argument that must be there.
    pub fn need<T>(&self, name: &str, take: impl FnOnce(&Self, &str) -> Taken<T>) -> Result<T, Fault> {
        take(self, name)?.ok_or_else(|| {
            let kind = self
                .function
                .args
                .iter()
                .find(|arg| arg.name == name)
                .map_or(ArgType::Secret, |arg| arg.kind);
            malformed(format!("{} needs the argument '{name}', {kind}", self.function.name))
        })
    }

    /// True or false.
    pub fn bool(&self, name: &str) -> Taken<bool> {
        self.take(name, |_, value| match value.get() {
            "true" => Some(true),
            "false" => Some(false),
            _ => None,
        })
    }

    /// A whole number in its declared range.
    pub fn int(&self, name: &str) -> Taken<i64> {
        self.take(name, |kind, value| {
            let (ArgType::Int(min, max), Some(number)) = (kind, integer(value.get())) else { return None };
            i64::try_from(number).ok().filter(|number| (min..=max).contains(number))
        })
    }

    /// A whole number in its declared range, which lies in that of `u32`.
    pub fn u32(&self, name: &str) -> Taken<u32> {
        let Some(number) = self.int(name)? else { return Ok(None) };
        u32::try_from(number).map(Some).map_err(|_| self.bad(name))
    }

    /// A number in its declared range.
    pub fn number(&self, name: &str) -> Taken<f64> {
        self.take(name, |kind, value| {
            let (ArgType::Number(min, max), Some(number)) = (kind, number(value.get())) else { return None };
            (min..=max).contains(&number).then_some(number)
        })
    }

    /// A number of seconds, as milliseconds; less than one counts as one.
    pub fn seconds_ms(&self, name: &str) -> Taken<u64> {
        self.take(name, |kind, value| {
            let seconds = number(value.get())?;
            let allowed = match kind {
                ArgType::Seconds(max) => seconds > 0.0 && seconds <= max,
                ArgType::Number(min, max) => (min..=max).contains(&seconds),
                _ => false,
            };
            let at_least = if matches!(kind, ArgType::Seconds(_)) { 1.0 } else { 0.0 };
            allowed.then(|| (seconds * 1000.0).round().max(at_least) as u64)
        })
    }

    /// A text within its declared length.
    pub fn text(&self, name: &str) -> Taken<Cow<'a, str>> {
        let Some(text) = self.take(name, |_, value| text(value))? else { return Ok(None) };
        match self.kind(name) {
            Some(ArgType::Name(_)) if text.is_empty() => Err(self.bad(name)),
            Some(ArgType::Name(max) | ArgType::Text(max)) if text.len() > max => {
                Err(too_long(name, text.len(), max))
            }
            _ => Ok(Some(text)),
        }
    }

    /// A text within its declared length, to be kept.
    pub fn shared(&self, name: &str) -> Taken<Arc<str>> {
        Ok(self.text(name)?.map(Arc::from))
    }

    /// A list of texts, none of them empty.
    pub fn names(&self, name: &str) -> Taken<Vec<Arc<str>>> {
        self.list(name, |value| {
            let item = text(value)?;
            (1..=NAME_BYTES_MAX).contains(&item.len()).then(|| item.into())
        })
    }

    /// A list of whole numbers.
    pub fn u32s(&self, name: &str) -> Taken<Vec<u32>> {
        self.list(name, |value| u32::try_from(integer(value.get())?).ok())
    }

    /// A list of bytes, each a text in base64.
    pub fn blobs(&self, name: &str) -> Taken<Vec<Vec<u8>>> {
        self.list(name, |value| base64::decode(&text(value)?))
    }

    /// Any JSON, as its text.
    pub fn json(&self, name: &str) -> Taken<&'a str> {
        let Some((arg, value)) = self.passed(name) else { return Ok(None) };
        match arg.kind {
            ArgType::Json(max) if value.get().len() > max => Err(too_long(name, value.get().len(), max)),
            _ => Ok(Some(value.get())),
        }
    }

    /// The number of a job.
    pub fn job(&self, name: &str) -> Taken<JobId> {
        self.take(name, |_, value| u64::try_from(integer(value.get())?).ok().map(JobId))
    }

    /// The state of a job, by word or number.
    pub fn job_state(&self, name: &str) -> Taken<JobState> {
        let Some((_, value)) = self.passed(name) else { return Ok(None) };
        if let Some(word) = text(value) {
            let unknown = || self.unknown_word(name, &word, &JOB_STATES);
            return JobState::from_word(&word).map(Some).ok_or_else(unknown);
        }
        self.take(name, |_, value| JobState::ALL.get(usize::try_from(integer(value.get())?).ok()?).copied())
    }

    /// One of the declared words; another one is an unknown name (409).
    pub fn word(&self, name: &str) -> Taken<&'static str> {
        let Some(given) = self.take(name, |_, value| text(value))? else { return Ok(None) };
        let Some(ArgType::Word(words)) = self.kind(name) else { return Err(self.bad(name)) };
        let known = words.iter().find(|word| **word == given).copied();
        known.map(Some).ok_or_else(|| self.unknown_word(name, &given, words))
    }

    /// Which of several forms the arguments have: the place of the one whose names, and no others of any
    /// form, are given. Otherwise the complaint tells what is missing, or what does not go together.
    pub fn form(&self, forms: &[&[&str]], is_given: impl Fn(&str) -> bool) -> Result<usize, Fault> {
        let mut given: Vec<&str> = Vec::with_capacity(ARGS_MAX);
        for name in forms.iter().copied().flatten() {
            if is_given(name) && !given.contains(name) {
                given.push(name);
            }
        }
        let has_all = |form: &&[&str]| given.iter().all(|name| form.contains(name));
        if let Some(exact) = forms.iter().position(|form| form.len() == given.len() && has_all(form)) {
            return Ok(exact);
        }
        let nearest = forms.iter().copied().filter(has_all).min_by_key(|form| form.len());
        let what = match nearest {
            Some(form) => format!("without {}", listed(form.iter().filter(|name| !given.contains(name)))),
            None => format!("with {}, which do not go together", listed(given.iter())),
        };
        let forms: Vec<_> =
            forms.iter().filter(|form| !form.is_empty()).map(|form| form.join(", ")).collect();
        let msg = format!("{} takes {}; it was called {what}", self.function.name, forms.join(" | "));
        Err(Fault::new(Code::BAD_ARGUMENT, msg))
    }

    fn unknown_word(&self, name: &str, given: &str, words: &[&str]) -> Fault {
        let hint = hint(given, words.iter().copied());
        let msg =
            format!("argument '{name}' is {}, and is to be one of {}{hint}", quoted(given), words.join(", "));
        Fault::new(Code::UNKNOWN_NAME, msg)
    }

    /// The complaint that an argument has the wrong type or is out of its range.
    pub fn bad(&self, name: &str) -> Fault {
        let Some((arg, value)) = self.raw(name) else {
            return Fault::new(Code::BAD_ARGUMENT, format!("argument '{name}' is missing"));
        };
        let came = came(value, arg.kind != ArgType::Secret);
        Fault::new(Code::BAD_ARGUMENT, format!("argument '{name}' must be {}, and is {came}", arg.kind))
    }

    /// What was given under a declared name.
    fn raw(&self, name: &str) -> Option<(&'static Arg, Raw<'a>)> {
        let place = self.function.args.iter().position(|arg| arg.name == name);
        debug_assert!(place.is_some(), "{} does not declare '{name}'", self.function.name);
        let place = place?;
        Some((self.function.args.get(place)?, (*self.given.get(place)?)?))
    }

    /// What was given under a declared name, unless it is null.
    fn passed(&self, name: &str) -> Option<(&'static Arg, Raw<'a>)> {
        self.raw(name).filter(|(_, value)| value.get() != "null")
    }

    fn kind(&self, name: &str) -> Option<ArgType> {
        self.raw(name).map(|(arg, _)| arg.kind)
    }

    /// What `read` makes of an argument; nothing is a complaint.
    fn take<T>(&self, name: &str, read: impl FnOnce(ArgType, Raw<'a>) -> Option<T>) -> Taken<T> {
        let Some((arg, value)) = self.passed(name) else { return Ok(None) };
        read(arg.kind, value).map(Some).ok_or_else(|| self.bad(name))
    }

    fn list<T>(&self, name: &str, read: impl Fn(Raw<'a>) -> Option<T>) -> Taken<Vec<T>> {
        self.take(name, |kind, value| {
            let (ArgType::Names(max) | ArgType::Ints(max) | ArgType::Blobs(max)) = kind else { return None };
            let items: Vec<&'a RawValue> = serde_json::from_str(value.get()).ok()?;
            if items.len() > max { None } else { items.into_iter().map(|item| read(item.into())).collect() }
        })
    }
}

fn listed<'n>(names: impl Iterator<Item = &'n &'n str>) -> String {
    names.copied().collect::<Vec<_>>().join(", ")
}

fn malformed(msg: String) -> Fault {
    Fault::new(Code::INVALID_MESSAGE, msg)
}

fn unknown(function: &Function, name: &str) -> Fault {
    let hint = hint(name, function.args.iter().map(|arg| arg.name));
    malformed(format!("{} has no argument {}{hint}", function.name, quoted(name)))
}

fn too_long(name: &str, bytes: usize, max: usize) -> Fault {
    Fault::new(Code::TEXT_TOO_LONG, format!("argument '{name}' has {bytes} bytes and may have {max}"))
}

/// The string a value is; none for anything else, and for half a surrogate pair, which stands for no text.
fn text(value: Raw<'_>) -> Option<Cow<'_, str>> {
    let inside = value.get().strip_prefix('"')?.strip_suffix('"')?;
    if !inside.contains('\\') {
        return Some(Cow::Borrowed(inside));
    }
    serde_json::from_str(value.get()).ok().map(Cow::Owned)
}

/// The number a JSON text is. Out of the range of numbers, or minus nought, is none.
fn number(text: &str) -> Option<f64> {
    let is_number = text.bytes().find(|byte| *byte != b'-').is_some_and(|byte| byte.is_ascii_digit());
    let number: f64 = if is_number { text.parse().ok()? } else { return None };
    (number.is_finite() && !(number == 0.0 && number.is_sign_negative())).then_some(number)
}

/// The whole number a JSON text is, with or without a point.
fn integer(text: &str) -> Option<i128> {
    match text.parse() {
        Ok(0) if text.starts_with('-') => None,
        Ok(whole) => Some(whole),
        Err(_) => number(text).filter(|n| n.fract() == 0.0 && n.abs() <= EXACT_MAX).map(|n| n as i128),
    }
}

/// What came instead, for a complaint.
fn came(value: Raw<'_>, may_quote: bool) -> Cow<'static, str> {
    let text = value.get();
    match text.as_bytes().first() {
        Some(b'[') => "a list".into(),
        Some(b'{') => "an object".into(),
        Some(b'"') if !may_quote => "a string that is no text".into(),
        _ if !may_quote => "something else".into(),
        _ => shortened(text).into(),
    }
}

/// A word of the caller's for a complaint.
fn quoted(word: &str) -> String {
    let short: String = word.chars().take(QUOTED_CHARS_MAX).collect();
    let dots = if short.len() < word.len() { "..." } else { "" };
    format!("{short:?}{dots}")
}

/// The beginning of a text.
fn shortened(text: &str) -> String {
    match text.char_indices().nth(QUOTED_CHARS_MAX) {
        Some((end, _)) => format!("{}...", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}
