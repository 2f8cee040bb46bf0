//! What clients say at a worker's own door: msgpack of `{serial, event, contents}`.
//!
//! Decoded straight into what it may be, so that a message takes no more memory than its bytes suggest.

use serde::Deserialize;
use serde::de::{Deserializer, Error, Visitor};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// The longest message, in bytes.
pub const REQUEST_BYTES_MAX: usize = 83_360_000;

/// Boards that one request may name.
pub const SERIALS_MAX: usize = 1_000;

/// How deeply it may be nested; what a reader allows by itself is more than the stack of a thread holds.
const DEPTH_MAX: usize = 8;

/// A request of a client.
#[derive(Debug, PartialEq)]
pub struct Request {
    /// The boards it is for.
    pub serials: Vec<String>,
    /// The bitstreams, by their ids.
    pub batch: Batch,
}

/// Bitstreams to be evaluated.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// What the client calls it.
    pub id: String,
    /// The bitstreams, by the client's ids.
    pub files: Vec<(String, Arc<[u8]>)>,
}

/// As it is written.
#[derive(Deserialize)]
struct Written {
    serial: Serials,
    event: String,
    contents: Contents,
}

/// One board or several.
#[derive(Deserialize)]
#[serde(untagged)]
enum Serials {
    One(String),
    Many(Vec<String>),
}

/// The arguments of `evaluate`.
#[derive(Deserialize)]
struct Contents {
    files: BTreeMap<String, Bytes>,
    batch_id: String,
}

/// Bytes in one copy.
struct Bytes(Arc<[u8]>);

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Bytes, D::Error> {
        struct Read;
        impl Visitor<'_> for Read {
            type Value = Bytes;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("bytes")
            }
            fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Bytes, E> {
                Ok(Bytes(bytes.into()))
            }
        }
        deserializer.deserialize_bytes(Read)
    }
}

/// Reads a request; an error says for the log what is wrong with it.
pub fn decode(bytes: &[u8]) -> Result<Request, String> {
    if bytes.len() > REQUEST_BYTES_MAX {
        return Err(format!("it has more than {REQUEST_BYTES_MAX} bytes"));
    }
    let mut reader = rmp_serde::Deserializer::from_read_ref(bytes);
    reader.set_max_depth(DEPTH_MAX);
    let written = Written::deserialize(&mut reader).map_err(|error| error.to_string())?;
    if written.event != "evaluate" {
        return Err(format!("there is no command '{}'", written.event.escape_default()));
    }
    let serials = match written.serial {
        Serials::One(serial) => vec![serial],
        Serials::Many(serials) => serials,
    };
    if serials.len() > SERIALS_MAX {
        return Err(format!("it names more than {SERIALS_MAX} boards"));
    }
    let Contents { files, batch_id } = written.contents;
    let files = files.into_iter().map(|(id, Bytes(bytes))| (id, bytes)).collect();
    Ok(Request { serials, batch: Batch { id: batch_id, files } })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Short texts, maps, lists and bytes of msgpack by hand.
    fn text(text: &str) -> Vec<u8> {
        [&[0xa0 | text.len() as u8], text.as_bytes()].concat()
    }

    fn map(entries: &[(&str, Vec<u8>)]) -> Vec<u8> {
        let pairs = entries.iter().flat_map(|(key, value)| [text(key), value.clone()].concat());
        std::iter::once(0x80 | entries.len() as u8).chain(pairs).collect()
    }

    fn evaluate(serial: Vec<u8>, event: &str) -> Vec<u8> {
        let files = map(&[("f1", vec![0xc4, 3, 1, 0, 255])]);
        map(&[
            ("serial", serial),
            ("event", text(event)),
            ("contents", map(&[("files", files), ("batch_id", text("b"))])),
        ])
    }

    #[test]
    fn a_request_is_for_one_board_or_for_several() {
        let files = vec![("f1".to_owned(), Arc::from([1, 0, 255]))];
        let batch = Batch { id: "b".to_owned(), files };
        let one = Request { serials: vec!["A".to_owned()], batch: batch.clone() };
        assert_eq!(decode(&evaluate(text("A"), "evaluate")), Ok(one));
        let both = [vec![0x92], text("A"), text("B")].concat();
        let two = Request { serials: vec!["A".to_owned(), "B".to_owned()], batch };
        assert_eq!(decode(&evaluate(both, "evaluate")), Ok(two));
    }

    #[test]
    fn what_is_no_request_is_refused_and_nothing_more() {
        let whole = evaluate(text("A"), "evaluate");
        for end in 0..whole.len() {
            assert!(decode(&whole[..end]).is_err(), "{end} bytes");
        }
        assert_eq!(decode(&evaluate(text("A"), "export")), Err("there is no command 'export'".to_owned()));
        assert!(decode(&map(&[])).is_err());
        // A list of four thousand million things that are not there.
        assert!(decode(&evaluate(vec![0xdd, 255, 255, 255, 255], "evaluate")).is_err());
        assert!(decode(&vec![0x91; 1_000_000]).is_err(), "nested too deeply");
    }
}
