//! Which ports of boards may be reached: a list, or any.

use super::raw::{Body, Node};
use std::collections::BTreeSet;
use std::fmt;

/// The word for all ports.
const ANY: &str = "any";

/// Ports, none of them 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ports {
    /// All there are.
    Any,
    /// These.
    Listed(BTreeSet<u16>),
}

impl Ports {
    /// Whether a port is one of them.
    pub fn allow(&self, port: u16) -> bool {
        match self {
            Ports::Any => port != 0,
            Ports::Listed(ports) => ports.contains(&port),
        }
    }

    /// Reads a list of numbers, or one text with commas between them as variables and flags have it, or the word for all.
    pub(super) fn read(body: &Body) -> Result<Ports, String> {
        let one = |node: &Node| match &node.body {
            Body::Whole(number) => port(*number),
            other => Err(format!("needs numbers of ports, not {}", other.noun())),
        };
        match body {
            Body::Text(text) if text == ANY => Ok(Ports::Any),
            Body::Text(text) => {
                let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
                let number = |part: &str| part.parse().map_err(|_| not_a_port(part)).and_then(port);
                parts.map(number).collect::<Result<_, _>>().map(Ports::Listed)
            }
            Body::List(items) => items.iter().map(one).collect::<Result<_, _>>().map(Ports::Listed),
            other => Err(format!("needs a list of ports, or \"{ANY}\", not {}", other.noun())),
        }
    }
}

impl fmt::Display for Ports {
    /// As TOML writes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Ports::Any => write!(f, "\"{ANY}\""),
            Ports::Listed(ports) => {
                let listed: Vec<_> = ports.iter().map(u16::to_string).collect();
                write!(f, "[{}]", listed.join(", "))
            }
        }
    }
}

fn port(number: i64) -> Result<u16, String> {
    let port = u16::try_from(number).ok().filter(|port| *port > 0);
    port.ok_or_else(|| not_a_port(&number.to_string()))
}

fn not_a_port(text: &str) -> String {
    format!("{}: a port is a number from 1 to 65535", super::key::quoted(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: Body) -> Result<String, String> {
        Ports::read(&body).map(|ports| ports.to_string())
    }

    fn list(numbers: &[i64]) -> Body {
        Body::List(numbers.iter().map(|number| Node { at: 0, body: Body::Whole(*number) }).collect())
    }

    #[test]
    fn ports_are_listed_or_any() {
        let text = |text: &str| Body::Text(text.to_owned());
        assert_eq!(read(list(&[54_321, 17_893, 17_893])), Ok("[17893, 54321]".to_owned()));
        assert_eq!(read(text("54321, 17893,")), Ok("[17893, 54321]".to_owned()));
        assert_eq!((read(text("any")), read(list(&[]))), (Ok("\"any\"".to_owned()), Ok("[]".to_owned())));
        for body in [list(&[0]), list(&[65_536]), list(&[-1]), text("1,x"), text("all")] {
            assert!(read(body).is_err_and(|why| why.ends_with("a port is a number from 1 to 65535")));
        }
        assert_eq!(read(Body::Whole(7)), Err("needs a list of ports, or \"any\", not a whole number".into()));
        assert_eq!(
            read(Body::List(vec![Node { at: 0, body: Body::Truth(true) }])),
            Err("needs numbers of ports, not true or false".into())
        );
    }

    #[test]
    fn a_port_is_one_of_them_or_is_not() {
        let listed = Ports::Listed([17_893].into());
        assert_eq!([17_893, 1, 0].map(|port| listed.allow(port)), [true, false, false]);
        assert_eq!([17_893, 1, 0].map(|port| Ports::Any.allow(port)), [true, true, false]);
    }
}
