//! The kind `variance`: how much the output of a bitstream's circuit moves, by samples of a converter.

use super::{ArgForm, ArgSpec, Args, FLUSH_INTERVAL, FLUSH_REMAINING, FlushRule, Kind, Row, pulsecount};
use serde_json::{Value, json};
use std::sync::Arc;

/// See `KINDS`.
pub static ROW: Row = Row {
    name: "variance",
    args: &[
        ArgSpec { name: "send_waveform", form: ArgForm::Flag, default: "false" },
        FLUSH_INTERVAL,
        FLUSH_REMAINING,
    ],
    make: |args: &Args| {
        Ok(Arc::new(Variance { flush: FlushRule::of(args), send_waveform: args.flag("send_waveform") }))
    },
};

/// What stands before the samples.
const SAMPLES: &str = "samples:";
/// So many samples are taken.
const SAMPLES_TAKEN: usize = 500;
/// So many are read at most.
const SAMPLES_MAX: usize = 10_000;
/// Told where nothing moved: readers take a result of exactly zero for none at all.
const VALUE_MIN: f64 = 1e-9;

/// See above.
struct Variance {
    flush: FlushRule,
    send_waveform: bool,
}

impl Kind for Variance {
    fn row(&self) -> &'static Row {
        &ROW
    }

    fn flush(&self) -> FlushRule {
        self.flush
    }

    fn bitstream_bytes(&self) -> Option<usize> {
        Some(pulsecount::BITSTREAM_BYTES)
    }

    fn read(&self, line: &str) -> Option<Value> {
        let (_, rest) = line.split_once(SAMPLES)?;
        let words = rest.split(',').map(str::trim).filter(|word| !word.is_empty()).take(SAMPLES_MAX);
        let samples: Vec<i64> =
            words.map(|word| word.parse::<i32>().map(i64::from)).collect::<Result<_, _>>().ok()?;
        let value = movement(&samples)?;
        Some(if self.send_waveform { json!([value, samples]) } else { json!(value) })
    }

    fn simulate(&self, bits: u64) -> String {
        let mut bits = bits | 1;
        let samples = (0..SAMPLES_TAKEN).map(|_| {
            // A short generator of its own keeps results the same everywhere.
            bits ^= bits << 13;
            bits ^= bits >> 7;
            bits ^= bits << 17;
            (bits % 4096).to_string()
        });
        format!("{SAMPLES} {}", samples.collect::<Vec<_>>().join(", "))
    }
}

/// The sum of all steps, whichever way they go, for each sample; none without samples.
fn movement(samples: &[i64]) -> Option<f64> {
    let steps: i64 = samples.iter().zip(samples.iter().skip(1)).map(|(a, b)| (a - b).abs()).sum();
    (!samples.is_empty()).then(|| (steps as f64 / samples.len() as f64).max(VALUE_MIN))
}

#[cfg(test)]
mod tests {
    use super::super::make;
    use serde_json::json;

    #[test]
    fn the_value_is_a_number_or_a_number_with_its_samples() {
        let plain = make("variance", &json!([false])).expect("a kind");
        let waved = make("variance", &json!([true])).expect("a kind");
        assert_eq!(plain.read("samples: 1, 3, 0, 0"), Some(json!(1.25)));
        assert_eq!(waved.read("samples: 1, 3, 0, 0,"), Some(json!([1.25, [1, 3, 0, 0]])));
        assert_eq!(plain.read("samples: 7, 7"), Some(json!(1e-9)), "never exactly zero");
        assert_eq!((plain.read("samples:"), plain.read("samples: 1, x")), (None, None));
        assert_eq!(plain.read(&format!("samples: {}", i64::MAX)), None);
    }
}
