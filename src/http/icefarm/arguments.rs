//! What callers say: JSON in the body of a GET, or in the address behind `json=`.

use super::farm::{Ask, Boards};
use serde_json::{Map, Value};
use std::sync::Arc;

/// Characters of a name; the rest is cut off.
pub const NAME_CHARS_MAX: usize = 255;

/// How deep what a kind needs to know may be, and everything else.
type Object = Map<String, Value>;

/// What was said cannot be understood.
#[derive(Debug, PartialEq, Eq)]
pub struct Nonsense;

/// A line that somebody wants to see in the log, and how much it matters.
#[derive(Debug, PartialEq)]
pub struct LogLine {
    /// As Python counts: 10 for debugging, 20 to inform, 30 to warn, 40 for errors.
    pub level: i64,
    /// What it says.
    pub text: String,
}

/// What was said, as an object.
pub fn object(text: &[u8]) -> Result<Object, Nonsense> {
    match serde_json::from_slice(text) {
        Ok(Value::Object(object)) => Ok(object),
        _ => Err(Nonsense),
    }
}

/// `/reserve`. None where an amount is no amount any board has.
pub fn reserve(said: &Object) -> Result<Option<Ask>, Nonsense> {
    let amount = match said.get("amount") {
        Some(Value::Number(amount)) if amount.is_i64() || amount.is_u64() => amount,
        _ => return Err(Nonsense),
    };
    let boards = amount.as_u64().and_then(|amount| u32::try_from(amount).ok()).map(Boards::Any);
    let (name, kind, args) = (name(said)?, text(said, "kind")?, args(said)?);
    Ok(boards.map(|boards| Ask::Reserve { name, boards, kind, args }))
}

/// `/reserveserials`.
pub fn reserve_serials(said: &Object) -> Result<Ask, Nonsense> {
    let boards = Boards::These(serials(said)?);
    Ok(Ask::Reserve { name: name(said)?, boards, kind: text(said, "kind")?, args: args(said)? })
}

/// Whose.
pub fn name(said: &Object) -> Result<Arc<str>, Nonsense> {
    text(said, "name").map(|name| cut(&name))
}

/// A name, as long as names are.
pub fn cut(name: &str) -> Arc<str> {
    match name.char_indices().nth(NAME_CHARS_MAX) {
        Some((end, _)) => name[..end].into(),
        None => name.into(),
    }
}

/// Which boards.
pub fn serials(said: &Object) -> Result<Vec<Arc<str>>, Nonsense> {
    let Some(Value::Array(serials)) = said.get("serials") else { return Err(Nonsense) };
    serials.iter().map(|serial| serial.as_str().map(Arc::from).ok_or(Nonsense)).collect()
}

/// `/log`: a name, and lines.
pub fn log(said: &Object) -> Result<(Arc<str>, Vec<LogLine>), Nonsense> {
    let Some(Value::Array(lines)) = said.get("logs") else { return Err(Nonsense) };
    let lines = lines.iter().map(|line| match line.as_array().map(Vec::as_slice) {
        Some([Value::Number(level), Value::String(text)]) => {
            Ok(LogLine { level: level.as_i64().ok_or(Nonsense)?, text: text.clone() })
        }
        _ => Err(Nonsense),
    });
    Ok((name(said)?, lines.collect::<Result<_, _>>()?))
}

fn text(said: &Object, key: &str) -> Result<Arc<str>, Nonsense> {
    said.get(key).and_then(Value::as_str).map(Arc::from).ok_or(Nonsense)
}

/// What a kind needs to know, as text.
fn args(said: &Object) -> Result<Arc<str>, Nonsense> {
    match said.get("args") {
        Some(args @ Value::Object(_)) => Ok(args.to_string().into()),
        _ => Err(Nonsense),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> Object {
        object(text.as_bytes()).expect("an object")
    }

    #[test]
    fn types_are_those_of_the_protocol() {
        for (amount, wanted) in [
            ("2", Ok(Some(2))),
            ("0", Ok(Some(0))),
            ("-1", Ok(None)),
            ("99999999999", Ok(None)),
            ("1.0", Err(Nonsense)),
            ("\"1\"", Err(Nonsense)),
            ("true", Err(Nonsense)),
            ("null", Err(Nonsense)),
        ] {
            let text = format!(r#"{{"amount": {amount}, "name": "me", "kind": "k", "args": {{"a": 1}}}}"#);
            let asked = reserve(&said(&text)).map(|ask| {
                ask.map(|ask| match ask {
                    Ask::Reserve { boards: Boards::Any(count), args, .. } if &*args == r#"{"a":1}"# => count,
                    other => panic!("{other:?}"),
                })
            });
            assert_eq!(asked, wanted, "{amount}");
        }
        for text in [
            r#"{}"#,
            r#"{"amount": 1, "name": "me", "kind": "k"}"#,
            r#"{"amount": 1, "name": "me", "kind": "k", "args": []}"#,
            r#"{"amount": 1, "name": 7, "kind": "k", "args": {}}"#,
        ] {
            assert_eq!(reserve(&said(text)), Err(Nonsense), "{text}");
        }
        for text in [r#"{"serials": "a"}"#, r#"{"serials": [1]}"#, "{}"] {
            assert_eq!(serials(&said(text)), Err(Nonsense), "{text}");
        }
        assert_eq!(serials(&said(r#"{"serials": []}"#)), Ok(vec![]));
        for text in [&b"[]"[..], b"", b"1", b"{", b"{}{}"] {
            assert_eq!(object(text), Err(Nonsense));
        }
    }

    #[test]
    fn long_names_are_cut_between_characters() {
        assert_eq!(&*cut(""), "");
        assert_eq!(*cut(&"é".repeat(255)), "é".repeat(255));
        assert_eq!(*cut(&"é".repeat(300)), "é".repeat(255));
    }

    #[test]
    fn lines_of_a_log_have_a_level_and_a_text() {
        let (name, lines) = log(&said(r#"{"name": "w", "logs": [[20, "hello"]]}"#)).expect("lines");
        assert_eq!((&*name, lines), ("w", vec![LogLine { level: 20, text: "hello".to_owned() }]));
        for text in
            [r#"{"name": "w", "logs": [["a", 1]]}"#, r#"{"name": "w", "logs": [[1]]}"#, r#"{"name": "w"}"#]
        {
            assert_eq!(log(&said(text)), Err(Nonsense), "{text}");
        }
    }
}
