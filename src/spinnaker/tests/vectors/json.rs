//! Vectors as they are written.

use serde_json::Value;
use std::fmt;
use std::path::Path;

/// A vector, or a part of one.
pub struct Vector(Value);

pub fn load(file: &str) -> Vec<Vector> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/spinnaker");
    let text = std::fs::read(folder.join(format!("{file}.json"))).unwrap();
    let mut value: Value = serde_json::from_slice(&text).unwrap();
    let Value::Array(vectors) = value["vectors"].take() else { panic!("{file}") };
    vectors.into_iter().map(Vector).collect()
}

pub fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

impl fmt::Display for Vector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.0["id"], self.0["kind"], self.0["description"])
    }
}

impl Vector {
    pub fn kind(&self) -> &str {
        self.0["kind"].as_str().unwrap()
    }

    pub fn op(&self) -> &str {
        self.0["op"].as_str().unwrap()
    }

    pub fn hex(&self) -> Vec<u8> {
        self.bytes("hex")
    }

    pub fn at(&self, name: &str) -> Vector {
        Vector(self.0[name].clone())
    }

    pub fn is_null(&self) -> bool {
        self.0.is_null()
    }

    pub fn has(&self, name: &str) -> bool {
        !self.0[name].is_null()
    }

    pub fn u64(&self, name: &str) -> u64 {
        self.0[name].as_u64().unwrap_or_else(|| panic!("{name} in {}", self.0))
    }

    pub fn u32(&self, name: &str) -> u32 {
        self.u64(name).try_into().unwrap()
    }

    pub fn u16(&self, name: &str) -> u16 {
        self.u64(name).try_into().unwrap()
    }

    pub fn u8(&self, name: &str) -> u8 {
        self.u64(name).try_into().unwrap()
    }

    pub fn bool(&self, name: &str) -> bool {
        self.0[name].as_bool().unwrap()
    }

    pub fn f64(&self, name: &str) -> f64 {
        self.0[name].as_f64().unwrap()
    }

    pub fn i64(&self, name: &str) -> i64 {
        self.0[name].as_i64().unwrap()
    }

    pub fn text(&self, name: &str) -> &str {
        self.0[name].as_str().unwrap_or_else(|| panic!("{name} in {}", self.0))
    }

    pub fn bytes(&self, name: &str) -> Vec<u8> {
        unhex(self.text(name))
    }

    pub fn as_bytes(&self) -> Vec<u8> {
        unhex(self.0.as_str().unwrap())
    }

    pub fn as_u64(&self) -> Option<u64> {
        self.0.as_u64()
    }

    pub fn item(&self, index: usize) -> Vector {
        Vector(self.0[index].clone())
    }

    pub fn item_u8(&self, index: usize) -> u8 {
        self.0[index].as_u64().unwrap().try_into().unwrap()
    }

    pub fn list(&self, name: &str) -> impl Iterator<Item = Vector> + use<'_> {
        self.0[name].as_array().unwrap().iter().cloned().map(Vector)
    }

    pub fn numbers(&self, name: &str) -> Vec<u32> {
        self.list(name).map(|item| item.0.as_u64().unwrap().try_into().unwrap()).collect()
    }

    pub fn integers(&self, name: &str) -> Vec<i64> {
        self.list(name).map(|item| item.0.as_i64().unwrap()).collect()
    }

    pub fn entries(&self) -> impl Iterator<Item = (String, u64)> + use<'_> {
        self.0.as_object().unwrap().iter().map(|(name, value)| (name.clone(), value.as_u64().unwrap()))
    }
}
