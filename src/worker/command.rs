//! Commands of the native door that carry bitstreams, out of JSON.

use super::board::FILES_PER_COMMAND_MAX;
use super::request::Batch;
use base64ct::{Base64, Encoding};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// What a batch is called that was not given a name.
const BATCH_ID: &str = "batch";

/// The arguments of `evaluate`: bitstreams as base64 by their ids.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Evaluate {
    files: BTreeMap<String, String>,
    batch_id: Option<String>,
}

/// The bitstreams of an `evaluate`.
pub fn batch(args: &Value) -> Result<Batch, String> {
    let Evaluate { files, batch_id } = Evaluate::deserialize(args).map_err(|error| {
        format!("evaluate needs {{\"files\": {{id: base64}}, \"batch_id\": text}}: {error}")
    })?;
    if files.is_empty() || files.len() > FILES_PER_COMMAND_MAX {
        return Err(format!("evaluate takes 1 to {FILES_PER_COMMAND_MAX} bitstreams"));
    }
    let decoded = files.into_iter().map(|(id, text)| match Base64::decode_vec(&text) {
        Ok(bytes) => Ok((id, bytes.into())),
        Err(_) => Err(format!("'{id}' is not base64")),
    });
    Ok(Batch {
        id: batch_id.unwrap_or_else(|| BATCH_ID.to_owned()),
        files: decoded.collect::<Result<_, _>>()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn bitstreams_come_as_base64() {
        let read = batch(&json!({"files": {"a": "AQID"}})).expect("a batch");
        assert_eq!(read, Batch { id: "batch".into(), files: vec![("a".into(), [1, 2, 3].into())] });
        assert_eq!(batch(&json!({"files": {"a": "?"}})), Err("'a' is not base64".to_owned()));
        assert!(batch(&json!({"files": {}})).is_err() && batch(&json!(null)).is_err());
        assert!(batch(&json!({"files": {"a": ""}, "more": 1})).is_err());
    }
}
