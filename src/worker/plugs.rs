//! Boards that are plugged in and unplugged while the worker runs.

use super::device::serial::{OnUsb, Places};
use super::device::sysfs::scan;
use super::host::Host;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// A board that was not seen for so long is unplugged: while it is given firmware it goes and comes back.
const GONE_AFTER: Duration = Duration::from_secs(15);

/// Looks for boards on USB.
pub struct Plugs {
    places: Places,
    /// Only these, if any are named.
    serials: BTreeSet<String>,
    seen: BTreeMap<String, Instant>,
}

impl Plugs {
    /// All boards of these places, or those with one of these serials.
    pub fn new(places: Places, serials: BTreeSet<String>) -> Plugs {
        Plugs { places, serials, seen: BTreeMap::new() }
    }

    /// Looks once, and lets the host know.
    pub fn look(&mut self, host: &Arc<Host>, now: Instant) {
        for found in scan(&self.places.sys) {
            if !self.serials.is_empty() && !self.serials.contains(&found.serial) {
                continue;
            }
            if self.seen.insert(found.serial.clone(), now).is_none() {
                let device = Box::new(OnUsb::new(&found.serial, self.places.clone()));
                if let Err(error) = host.plug(&found.serial, &found.model, device) {
                    tracing::error!(%error, serial = found.serial, "the board cannot be used");
                }
            }
        }
        let gone = |(_, seen): &(&String, &Instant)| now.saturating_duration_since(**seen) >= GONE_AFTER;
        let gone: Vec<String> = self.seen.iter().filter(gone).map(|(serial, _)| serial.clone()).collect();
        for serial in gone {
            self.seen.remove(&serial);
            host.unplug(&serial);
        }
    }

    /// Goes on looking, on a thread of its own.
    pub fn watch(mut self, host: &Arc<Host>) -> std::io::Result<()> {
        let host = Arc::downgrade(host);
        let look = move || {
            while let Some(host) = host.upgrade() {
                self.look(&host, Instant::now());
                drop(host);
                std::thread::sleep(LOOK_EVERY);
            }
        };
        std::thread::Builder::new().name("plugs".into()).spawn(look).map(drop)
    }
}
