//! What a client asks, and what it hears unasked.

use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::Value;

/// One call to be made: a function's name and its arguments.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// The function.
    pub fname: String,
    /// Its arguments.
    pub args: Vec<(String, Value)>,
}

impl Request {
    /// A call without arguments.
    pub fn new(fname: &str) -> Request {
        Request { fname: fname.to_owned(), args: Vec::new() }
    }

    /// The same call with one argument more.
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Request {
        self.args.push((name.to_owned(), value.into()));
        self
    }

    /// The same call with an argument more, if there is one.
    pub fn with_some(self, name: &str, value: Option<impl Into<Value>>) -> Request {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }
}

/// As it goes over the wire.
impl Serialize for Request {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.args.len() + 1))?;
        map.serialize_entry("fname", &self.fname)?;
        for (name, value) in &self.args {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

/// Something the server said without having been asked.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// Its name: `jobs_changed`, `machines_changed`, or the command that is about to be carried out, `serverquit` or
    /// `serverrestart`.
    pub name: String,
    /// What it tells.
    pub data: Value,
}

impl Event {
    /// Whether the server is about to end this connection.
    pub fn is_farewell(&self) -> bool {
        matches!(self.name.as_str(), "serverquit" | "serverrestart")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_an_object_of_its_arguments() {
        let request = Request::new("create_job").with("boards", 3).with_some("note", None::<String>);
        let text = serde_json::to_string(&request.with("tags", vec!["a", "b\""])).unwrap();
        assert_eq!(text, r#"{"fname":"create_job","boards":3,"tags":["a","b\""]}"#);
    }
}
