//! The language of `schema`, read and held against real answers.

use crate::service::schema::expanded;
use serde_json::Value;

/// A shape as read.
#[derive(Debug, PartialEq)]
enum Shape {
    /// A word for a type, or a literal.
    Word(String),
    /// A string that must be this one.
    Exactly(String),
    /// Keys, whether each may be missing, and their shapes.
    Object(Vec<(String, bool, Shape)>),
    /// Any keys.
    Map(Box<Shape>),
    /// Any length.
    List(Box<Shape>),
    /// This length.
    Tuple(Vec<Shape>),
    /// One of these.
    Either(Vec<Shape>),
}

/// A shape that is being read.
struct Reader<'a>(&'a str);

impl Reader<'_> {
    fn skip(&mut self, mark: char) -> bool {
        self.0 = self.0.trim_start();
        let rest = self.0.strip_prefix(mark);
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }

    fn word(&mut self) -> String {
        self.0 = self.0.trim_start();
        let end =
            self.0.find(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '*').unwrap_or(self.0.len());
        let (word, rest) = self.0.split_at(end);
        assert!(!word.is_empty(), "a word before {rest}");
        self.0 = rest;
        word.to_owned()
    }

    fn shape(&mut self) -> Shape {
        let mut shapes = vec![self.term()];
        while self.skip('|') {
            shapes.push(self.term());
        }
        if shapes.len() == 1 { shapes.remove(0) } else { Shape::Either(shapes) }
    }

    fn term(&mut self) -> Shape {
        if self.skip('[') {
            return self.list();
        }
        if self.skip('{') {
            return self.object();
        }
        if self.skip('"') {
            let word = self.word();
            assert!(self.skip('"'));
            return Shape::Exactly(word);
        }
        let word = self.word();
        assert!(
            ["int", "num", "str", "bool", "null", "any"].contains(&word.as_str()),
            "no shape is called {word}"
        );
        Shape::Word(word)
    }

    fn list(&mut self) -> Shape {
        let mut items = vec![self.shape()];
        while self.skip(',') {
            items.push(self.shape());
        }
        assert!(self.skip(']'), "] before {}", self.0);
        if items.len() == 1 { Shape::List(Box::new(items.remove(0))) } else { Shape::Tuple(items) }
    }

    fn object(&mut self) -> Shape {
        let mut keys = Vec::new();
        while !self.skip('}') {
            assert!(keys.is_empty() || self.skip(','), ", before {}", self.0);
            let (key, optional) = (self.word(), self.skip('?'));
            assert!(self.skip(':'), ": before {}", self.0);
            let shape = self.shape();
            if key == "*" {
                assert!(self.skip('}'));
                return Shape::Map(Box::new(shape));
            }
            keys.push((key, optional, shape));
        }
        Shape::Object(keys)
    }
}

fn read(shape: &str) -> Shape {
    let text = expanded(shape);
    let mut reader = Reader(&text);
    let shape = reader.shape();
    assert_eq!(reader.0.trim(), "", "nothing is left");
    shape
}

impl Shape {
    fn holds(&self, value: &Value, path: &str) -> Result<(), String> {
        let wrong = || Err(format!("{path} is {value}, not {self:?}"));
        match (self, value) {
            (Shape::Word(word), _) => {
                if is_of(word, value) {
                    Ok(())
                } else {
                    wrong()
                }
            }
            (Shape::Exactly(word), Value::String(text)) if word == text => Ok(()),
            (Shape::Either(shapes), _) if shapes.iter().any(|shape| shape.holds(value, path).is_ok()) => {
                Ok(())
            }
            (Shape::List(item), Value::Array(items)) => items
                .iter()
                .enumerate()
                .try_for_each(|(at, value)| item.holds(value, &format!("{path}[{at}]"))),
            (Shape::Tuple(shapes), Value::Array(items)) if shapes.len() == items.len() => {
                shapes.iter().zip(items).try_for_each(|(shape, value)| shape.holds(value, path))
            }
            (Shape::Map(shape), Value::Object(map)) => {
                map.iter().try_for_each(|(key, value)| shape.holds(value, &format!("{path}.{key}")))
            }
            (Shape::Object(keys), Value::Object(map)) => {
                if let Some(extra) = map.keys().find(|key| !keys.iter().any(|(known, ..)| known == *key)) {
                    return Err(format!("{path} has {extra}, which is not declared"));
                }
                keys.iter().try_for_each(|(key, optional, shape)| match map.get(key) {
                    Some(value) => shape.holds(value, &format!("{path}.{key}")),
                    None if *optional => Ok(()),
                    None => Err(format!("{path} lacks {key}")),
                })
            }
            _ => wrong(),
        }
    }
}

fn is_of(word: &str, value: &Value) -> bool {
    match word {
        "int" => value.is_i64() || value.is_u64(),
        "num" => value.is_number(),
        "str" => value.is_string(),
        "bool" => value.is_boolean(),
        "null" => value.is_null(),
        _ => true,
    }
}

/// Whether an answer has the shape that was declared.
pub fn conforms(answer: &str, shape: &str) -> Result<(), String> {
    let value: Value =
        serde_json::from_str(answer).map_err(|error| format!("{answer} is not JSON: {error}"))?;
    read(shape).holds(&value, "data")
}

#[test]
fn shapes_hold_what_they_say_and_no_more() {
    let rows = [
        ("int", "1", "1.5"),
        ("num", "1", "\"1\""),
        ("num|null", "null", "false"),
        ("[int]", "[]", "[1, null]"),
        ("[int, str]", "[1, \"a\"]", "[1]"),
        ("{a:int, b?:str}", "{\"a\": 1}", "{\"b\": \"x\"}"),
        ("{a:int}", "{\"a\": 1}", "{\"a\": 1, \"b\": 2}"),
        ("{*:[int]}", "{\"x\": [1]}", "{\"x\": 1}"),
        ("\"on\"|\"off\"", "\"off\"", "\"of\""),
        ("[BOARDNAME]", "[[1,2,3], \"s\"]", "[[1,2]]"),
        ("any", "{\"x\": []}", "{"),
    ];
    for (shape, good, bad) in rows {
        assert_eq!(conforms(good, shape), Ok(()), "{shape}");
        assert!(conforms(bad, shape).is_err(), "{shape}");
    }
}

#[test]
fn every_declared_shape_can_be_read() {
    crate::service::all().for_each(|function| drop(read(function.result)));
    crate::service::schema::NAMED.iter().for_each(|named| drop(read(named.shape)));
}
