//! The kind `pulsecount`: pulses that a bitstream's circuit gives in a second.

use super::{Args, FLUSH_INTERVAL, FLUSH_REMAINING, FlushRule, Kind, Row};
use serde_json::Value;
use std::sync::Arc;

/// Bytes of a bitstream for the FPGA of these boards.
pub const BITSTREAM_BYTES: usize = 104_090;

/// See `KINDS`.
pub static ROW: Row = Row {
    name: "pulsecount",
    args: &[FLUSH_INTERVAL, FLUSH_REMAINING],
    make: |args: &Args| Ok(Arc::new(Pulsecount(FlushRule::of(args)))),
};

/// What stands before the number.
const PULSES: &str = "pulses:";

/// See above.
struct Pulsecount(FlushRule);

impl Kind for Pulsecount {
    fn row(&self) -> &'static Row {
        &ROW
    }

    fn flush(&self) -> FlushRule {
        self.0
    }

    fn bitstream_bytes(&self) -> Option<usize> {
        Some(BITSTREAM_BYTES)
    }

    /// The count as decimal text: that is how its readers expect it.
    fn read(&self, line: &str) -> Option<Value> {
        let (_, rest) = line.split_once(PULSES)?;
        let digits: String = rest.trim_start().chars().take_while(char::is_ascii_digit).collect();
        (!digits.is_empty()).then_some(Value::String(digits))
    }

    fn simulate(&self, bits: u64) -> String {
        format!("{PULSES} {}", bits % 100_000)
    }
}

#[cfg(test)]
mod tests {
    use super::super::make;
    use serde_json::{Value, json};

    #[test]
    fn the_count_is_decimal_text() {
        let kind = make("pulsecount", &Value::Null).expect("a kind");
        assert_eq!(kind.read("pulses: 12345"), Some(json!("12345")));
        assert_eq!(kind.read("> pulses:0 in a second"), Some(json!("0")));
        assert_eq!(kind.read("pulses: none"), None);
        assert_eq!(kind.simulate(712_345), "pulses: 12345");
    }
}
