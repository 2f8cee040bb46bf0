//! Points in time as people write them: `2026-11-01`, `2026-11-01T12:00Z`, or how long ago: `7d`, `12h`. All in UTC.

use super::span::parse_seconds;
use crate::clock::Moment;
use std::str::FromStr;

/// A point in time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum When {
    /// This one.
    At(Moment),
    /// So many milliseconds before now.
    Ago(u64),
}

impl When {
    /// The point, seen from now.
    pub fn seen_from(self, now: Moment) -> Moment {
        match self {
            When::At(at) => at,
            When::Ago(ms) => Moment(now.0.saturating_sub(ms)),
        }
    }
}

impl FromStr for When {
    type Err = String;

    fn from_str(text: &str) -> Result<When, String> {
        let wrong = || {
            format!(
                "'{text}' is neither a time such as 2026-11-01 or 2026-11-01T12:00Z nor a span back such as 7d or 12h"
            )
        };
        if !text.contains('-') {
            let seconds = parse_seconds(text).map_err(|_| wrong())?;
            return Ok(When::Ago((seconds * 1000.0) as u64));
        }
        moment(text).map(When::At).ok_or_else(wrong)
    }
}

/// A date, or a date and a time of day, in UTC.
fn moment(text: &str) -> Option<Moment> {
    let (date, time) = text.split_once(['T', ' ']).map_or((text, None), |(date, time)| (date, Some(time)));
    let mut parts = date.split('-');
    let (year, month, day) =
        (digits(parts.next()?, 4)?, digits(parts.next()?, 2)?, digits(parts.next()?, 2)?);
    if parts.next().is_some()
        || year < 1970
        || !(1..=12).contains(&month)
        || !(1..=days_in(year, month)).contains(&day)
    {
        return None;
    }
    let ms = time.map_or(Some(0), time_of_day_ms)?;
    Some(Moment(days_from_civil(year, month, day) * 86_400_000 + ms))
}

/// `12:00`, `12:00:30` or `12:00:30.250`, with or without a Z.
fn time_of_day_ms(text: &str) -> Option<u64> {
    let text = text.strip_suffix('Z').unwrap_or(text);
    let (text, fraction) = text.split_once('.').unwrap_or((text, "000"));
    let mut parts = text.split(':');
    let (hour, minute) = (digits(parts.next()?, 2)?, digits(parts.next()?, 2)?);
    let second = parts.next().map_or(Some(0), |second| digits(second, 2))?;
    let sound = parts.next().is_none() && hour < 24 && minute < 60 && second < 60;
    let ms = digits(fraction, 3)?;
    sound.then_some(((hour * 60 + minute) * 60 + second) * 1000 + ms)
}

/// A number of exactly so many digits.
fn digits(text: &str, count: usize) -> Option<u64> {
    let sound = text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| sound)
}

fn days_in(year: u64, month: u64) -> u64 {
    match month {
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// How many days after 1970-01-01 a day lies; years begin in March, so that the leap day is the last.
fn days_from_civil(year: u64, month: u64, day: u64) -> u64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let (era, of_era) = (year / 400, year % 400);
    let of_year = (153 * month + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_day_is_read_as_it_is_written() {
        for days in (0..60_000).step_by(7) {
            let at = Moment(days * 86_400_000 + 45_296_789);
            let text = at.to_string();
            assert_eq!(text.parse(), Ok(When::At(at)), "{text}");
            assert_eq!(text[..10].parse(), Ok(When::At(Moment(days * 86_400_000))), "{text}");
        }
    }

    #[test]
    fn times_and_spans_back_are_read() {
        let now = Moment(1_795_270_088_123);
        for (text, at) in [
            ("2026-11-21", 1_795_219_200_000),
            ("2026-11-21T14:08Z", 1_795_270_080_000),
            ("2026-11-21 14:08:08", 1_795_270_088_000),
            ("2000-02-29", 951_782_400_000),
            ("1d", now.0 - 86_400_000),
            ("90", now.0 - 90_000),
            ("99999d", 0),
        ] {
            assert_eq!(text.parse::<When>().unwrap().seen_from(now), Moment(at), "{text}");
        }
        for text in [
            "",
            "yesterday",
            "2026-11",
            "2026-13-01",
            "2026-02-29",
            "2026-11-31",
            "1969-12-31",
            "2026-11-21T24:00",
            "2026-11-21T12",
            "2026-11-21T12:00+01:00",
            "26-11-21",
            "-7d",
            "2026-11-21T12:00:00.5",
            "2026-1\u{661}-01",
        ] {
            assert!(text.parse::<When>().is_err(), "{text}");
        }
    }
}
