//! Spans of time as people write and read them: `45s`, `5m`, `1h30m`, `2d`.

use serde_json::Value;
use std::str::FromStr;
use std::time::Duration;

/// The units, largest first, and their seconds.
const UNITS: [(&str, f64); 5] = [("d", 86_400.0), ("h", 3600.0), ("m", 60.0), ("s", 1.0), ("ms", 0.001)];

/// A span that may be endless.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Span {
    /// So many seconds.
    Seconds(f64),
    /// For ever.
    Never,
}

impl Span {
    /// As functions take it: seconds, or null.
    pub fn to_value(self) -> Value {
        match self {
            Span::Seconds(seconds) => seconds.into(),
            Span::Never => Value::Null,
        }
    }

    /// The span, unless it is endless.
    pub fn duration(self) -> Option<Duration> {
        match self {
            Span::Seconds(seconds) => Duration::try_from_secs_f64(seconds).ok(),
            Span::Never => None,
        }
    }
}

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Span, String> {
        match text {
            "never" => Ok(Span::Never),
            _ => parse_seconds(text).map(Span::Seconds),
        }
    }
}

/// Reads a span that has an end: a number of seconds, or numbers with units, each unit once and larger ones first.
pub fn parse_seconds(text: &str) -> Result<f64, String> {
    let wrong = || format!("'{text}' is no span such as 90, 30s, 5m, 1h30m or 2d");
    let (mut rest, mut total, mut last_unit) = (text, 0.0, None);
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let number: f64 = rest[..digits].parse().map_err(|_| wrong())?;
        rest = &rest[digits..];
        let letters = rest.find(|c: char| !c.is_ascii_lowercase()).unwrap_or(rest.len());
        let unit = match (&rest[..letters], last_unit) {
            ("", None) if rest.is_empty() => 3,
            (word, _) => UNITS.iter().position(|(name, _)| *name == word).ok_or_else(wrong)?,
        };
        if last_unit.is_some_and(|last| last >= unit) {
            return Err(wrong());
        }
        (total, last_unit) = (total + number * UNITS[unit].1, Some(unit));
        rest = &rest[letters..];
    }
    let sound = last_unit.is_some() && Duration::try_from_secs_f64(total).is_ok();
    if sound { Ok(total) } else { Err(wrong()) }
}

/// A span to be read: its two largest units; below ten seconds with tenths.
pub fn span_text(seconds: f64) -> String {
    if seconds < 9.95 {
        let text = format!("{:.1}", seconds.max(0.0));
        return format!("{}s", text.strip_suffix(".0").unwrap_or(&text));
    }
    let mut left = seconds.round() as u64;
    let mut text = String::new();
    for (name, unit) in &UNITS[..4] {
        let count = left / *unit as u64;
        left %= *unit as u64;
        if count > 0 {
            text.push_str(&format!("{count}{name}"));
        }
        let units = text.chars().filter(char::is_ascii_lowercase).count();
        // The second of the two largest units may be zero.
        if units == 2 || (units == 1 && count == 0) {
            break;
        }
    }
    text
}

/// A span that may be endless, to be read.
pub fn keepalive_text(seconds: Option<f64>) -> String {
    seconds.map_or_else(|| "never".to_owned(), span_text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read() {
        for (text, seconds) in [
            ("90", 90.0),
            ("0.5", 0.5),
            ("30s", 30.0),
            ("5m", 300.0),
            ("1h30m", 5400.0),
            ("1d3h", 97_200.0),
            ("1.5h", 5400.0),
            ("250ms", 0.25),
            ("1m1ms", 60.001),
            ("0", 0.0),
        ] {
            assert_eq!(text.parse(), Ok(Span::Seconds(seconds)), "{text}");
        }
        assert_eq!("never".parse(), Ok(Span::Never));
        assert_eq!((Span::Never.to_value(), Span::Never.duration()), (Value::Null, None));
        let long = "9".repeat(40);
        for text in [
            "", "s", "5x", "5 m", "-5", "1m1h", "1m1m", "1m30", "nan", "inf", "1..2", "5M", "never1",
            "\u{e9}", &long,
        ] {
            assert!(text.parse::<Span>().is_err(), "{text}");
        }
    }

    #[test]
    fn spans_are_written() {
        for (seconds, text) in [
            (0.0, "0s"),
            (0.25, "0.2s"),
            (4.0, "4s"),
            (9.97, "10s"),
            (59.6, "1m"),
            (61.0, "1m1s"),
            (3600.0, "1h"),
            (3601.0, "1h"),
            (5400.0, "1h30m"),
            (90_000.0, "1d1h"),
            (-3.0, "0s"),
        ] {
            assert_eq!(span_text(seconds), text, "{seconds}");
        }
        assert_eq!(keepalive_text(None), "never");
    }
}
