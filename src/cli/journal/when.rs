//! Times as operators write them: a day, a day and a time (UTC), or a span that is counted back from now.

use crate::cli::span::parse_seconds;
use crate::clock::Moment;
use std::str::FromStr;

/// A day.
const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// A point in time, said in one way or another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// Then.
    At(Moment),
    /// So many milliseconds ago.
    Ago(u64),
}

impl When {
    /// The moment that is meant.
    pub fn moment(self, now: Moment) -> Moment {
        match self {
            When::At(at) => at,
            When::Ago(ms) => Moment(now.0.saturating_sub(ms)),
        }
    }
}

impl FromStr for When {
    type Err = String;

    fn from_str(text: &str) -> Result<When, String> {
        if let Some(at) = moment(text) {
            return Ok(When::At(at));
        }
        let seconds = parse_seconds(text).map_err(|_| {
            format!("'{text}' is no time such as 2026-11-21, 2026-11-21T14:08:00Z, or 2d for two days ago")
        })?;
        Ok(When::Ago((seconds * 1000.0) as u64))
    }
}

/// A day, or a day and a time: `2026-11-21`, `2026-11-21T14:08`, `2026-11-21 14:08:30.250Z`.
fn moment(text: &str) -> Option<Moment> {
    let text = text.strip_suffix('Z').unwrap_or(text);
    let (day, time) = text.split_once(['T', ' ']).unwrap_or((text, "00:00"));
    let mut parts = day.splitn(3, '-').map(|part| number(part, ""));
    let (year, month, day) = (parts.next()??, parts.next()??, parts.next()??);
    let mut parts = time.splitn(3, ':');
    let (hour, minute) = (number(parts.next()?, "")?, number(parts.next()?, "")?);
    let (second, fraction) = parts.next().map_or(Some((0, 0)), |text| {
        let (second, fraction) = text.split_once('.').unwrap_or((text, "0"));
        Some((number(second, "")?, number(fraction.get(..3).unwrap_or(fraction), "000")?))
    })?;
    let sound = (1970..=9999).contains(&year)
        && (1..=12).contains(&month)
        && (1..=days_in(year, month)).contains(&day)
        && hour < 24
        && minute < 60
        && second < 60;
    let ms = ((hour * 60 + minute) * 60 + second) * 1000 + fraction;
    sound.then(|| Moment(days_before(year, month, day) * DAY_MS + ms))
}

/// Digits and nothing else, filled up with these on the right.
fn number(text: &str, filling: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.len() <= 4 && text.bytes().all(|byte| byte.is_ascii_digit());
    let filled = format!("{text}{}", filling.get(text.len()..).unwrap_or(""));
    digits.then(|| filled.parse().ok()).flatten()
}

fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

fn days_in(year: u64, month: u64) -> u64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 => 28 + u64::from(is_leap(year)),
        _ => 31,
    }
}

/// How many days lie between 1970-01-01 and this one.
fn days_before(year: u64, month: u64, day: u64) -> u64 {
    let years: u64 = (1970..year).map(|year| 365 + u64::from(is_leap(year))).sum();
    let months: u64 = (1..month).map(|month| days_in(year, month)).sum();
    years + months + day - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_they_are_printed() {
        for at in [0, 1_000, 951_782_400_123, 1_709_164_799_999, 1_795_270_088_900, 4_102_444_800_000] {
            assert_eq!(Moment(at).to_string().parse(), Ok(When::At(Moment(at))));
        }
        for (text, at) in [
            ("2026-11-21", 1_795_219_200_000),
            ("2026-11-21T14:08", 1_795_270_080_000),
            ("2026-11-21 14:08:08.9Z", 1_795_270_088_900),
            ("2024-02-29", 1_709_164_800_000),
        ] {
            assert_eq!(text.parse(), Ok(When::At(Moment(at))), "{text}");
        }
        assert_eq!("2d".parse::<When>().unwrap().moment(Moment(DAY_MS * 3)), Moment(DAY_MS));
        assert_eq!("90".parse(), Ok(When::Ago(90_000)));
        assert_eq!("9d".parse::<When>().unwrap().moment(Moment(5)), Moment(0));
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            "yesterday",
            "2026-02-29",
            "2026-13-01",
            "2026-00-10",
            "2026-11-21T24:00",
            "2026-11-21T1",
            "1969-12-31",
            "2026-11-21T10:60",
            "2026-11-21T10:00:00.x",
            "-5",
            "2026-11",
        ] {
            assert!(text.parse::<When>().is_err(), "{text}");
        }
    }
}
