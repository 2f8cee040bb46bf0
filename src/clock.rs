//! Time: the number everybody uses, the system's clock that never runs back, and a clock that a test moves.
//!
//! Only this file looks at a clock. Everything pure takes a `Moment` as an argument.

use async_channel::{Receiver, Sender};
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A point in time: milliseconds since 1970-01-01 UTC. It can be stored, printed and compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(pub u64);

impl Moment {
    /// This moment and so many milliseconds more.
    pub fn plus_ms(self, ms: u64) -> Moment {
        Moment(self.0.saturating_add(ms))
    }

    /// Milliseconds from `earlier` to this moment; zero when it lies ahead.
    pub fn ms_since(self, earlier: Moment) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// Seconds since 1970 with a fraction, as every protocol here writes time.
    pub fn unix_s(self) -> f64 {
        self.0 as f64 / 1000.0
    }
}

impl fmt::Display for Moment {
    /// ISO 8601 in UTC, to the millisecond.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (days, ms) = (self.0 / 86_400_000, self.0 % 86_400_000);
        let (year, month, day) = civil_from_days(days);
        let (h, m, s, ms) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60, ms % 1000);
        write!(f, "{year:04}-{month:02}-{day:02}T{h:02}:{m:02}:{s:02}.{ms:03}Z")
    }
}

/// The calendar day that lies so many days after 1970-01-01 (the usual algorithm over eras of 400 years).
fn civil_from_days(days: u64) -> (u64, u64, u64) {
    let z = days + 719_468;
    let (era, doe) = (z / 146_097, z % 146_097);
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let day = doy - (153 * mp + 2) / 5 + 1;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    (yoe + era * 400 + u64::from(month <= 2), month, day)
}

/// A clock: the system's, or one that stands still until it is moved. Copies show the same time.
#[derive(Clone)]
pub struct Clock(Kind);

#[derive(Clone)]
enum Kind {
    /// Wall time at the start, carried on by the monotonic clock, so that a step of the wall clock is not felt.
    System { start: Instant, wall_ms: u64 },
    /// Time as a test set it, and who waits for it to move.
    Moved(Arc<Mutex<Moved>>),
}

/// The inside of a clock that a test moves.
struct Moved {
    /// The present.
    now: Moment,
    /// Those who sleep: until when, and how to wake them.
    sleepers: Vec<(Moment, Sender<()>)>,
}

impl Clock {
    /// The system's time.
    pub fn system() -> Clock {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Clock(Kind::System { start: Instant::now(), wall_ms: wall.as_millis() as u64 })
    }

    /// A clock that stands at `now` until `advance` moves it.
    pub fn moved(now: Moment) -> Clock {
        Clock(Kind::Moved(Arc::new(Mutex::new(Moved { now, sleepers: Vec::new() }))))
    }

    /// The present.
    pub fn now(&self) -> Moment {
        match &self.0 {
            Kind::System { start, wall_ms } => Moment(wall_ms + start.elapsed().as_millis() as u64),
            Kind::Moved(inside) => lock(inside).now,
        }
    }

    /// Moves a clock that can be moved and wakes everyone whose time has come; the system's stays as it is.
    pub fn advance(&self, ms: u64) {
        let Kind::Moved(inside) = &self.0 else { return };
        let mut inside = lock(inside);
        inside.now = inside.now.plus_ms(ms);
        let now = inside.now;
        inside.sleepers.retain(|(until, wake)| {
            let due = *until <= now;
            if due {
                wake.try_send(()).ok();
            }
            !due && !wake.is_closed()
        });
    }

    /// How long it is until then by the system's clock; a clock that is moved says only whether it is then already.
    pub fn left_until(&self, until: Moment) -> Option<Duration> {
        let left_ms = until.ms_since(self.now());
        match self.0 {
            Kind::Moved(_) if left_ms > 0 => None,
            _ => Some(Duration::from_millis(left_ms)),
        }
    }

    /// Returns when a clock that is moved shows `until` or later; never with the system's, of which `left_until` tells.
    pub async fn moved_to(&self, until: Moment) {
        match self.0 {
            Kind::System { .. } => std::future::pending().await,
            Kind::Moved(_) => self.sleep_until(until).await,
        }
    }

    /// Whether anybody waits for a clock to be moved.
    #[cfg(test)]
    pub fn has_sleepers(&self) -> bool {
        matches!(&self.0, Kind::Moved(inside) if !lock(inside).sleepers.is_empty())
    }

    /// Returns when this clock shows `until` or later.
    pub async fn sleep_until(&self, until: Moment) {
        match &self.0 {
            Kind::System { .. } => {
                let ms = until.ms_since(self.now());
                if ms > 0 {
                    async_io::Timer::after(Duration::from_millis(ms)).await;
                }
            }
            Kind::Moved(inside) => {
                if let Some(woken) = wait_for(inside, until) {
                    woken.recv().await.ok();
                }
            }
        }
    }
}

/// Enters a sleeper, unless its time has come already.
fn wait_for(inside: &Mutex<Moved>, until: Moment) -> Option<Receiver<()>> {
    let mut inside = lock(inside);
    if inside.now >= until {
        return None;
    }
    let (wake, woken) = async_channel::bounded(1);
    inside.sleepers.push((until, wake));
    Some(woken)
}

/// The clock's state is a number and a list; a panic elsewhere cannot leave it half-written.
fn lock(inside: &Mutex<Moved>) -> std::sync::MutexGuard<'_, Moved> {
    inside.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_print_as_iso_8601() {
        assert_eq!(Moment(0).to_string(), "1970-01-01T00:00:00.000Z");
        assert_eq!(Moment(1_795_270_088_123).to_string(), "2026-11-21T14:08:08.123Z");
        assert_eq!(Moment(951_782_400_000).to_string(), "2000-02-29T00:00:00.000Z");
    }

    #[test]
    fn a_moved_clock_wakes_whom_it_passes() {
        let clock = Clock::moved(Moment(1000));
        let other = clock.clone();
        let sleeper = std::thread::spawn(move || {
            async_io::block_on(other.sleep_until(Moment(3000)));
            other.now()
        });
        while sleepers(&clock) == 0 {
            std::thread::yield_now();
        }
        clock.advance(1000);
        assert_eq!(sleepers(&clock), 1);
        clock.advance(1000);
        assert_eq!(sleeper.join().unwrap(), Moment(3000));
    }

    fn sleepers(clock: &Clock) -> usize {
        let Kind::Moved(inside) = &clock.0 else { return 0 };
        lock(inside).sleepers.len()
    }
}
