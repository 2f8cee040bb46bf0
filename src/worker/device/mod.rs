//! Devices: what carries out a board's work. Each is driven by a thread of its own, blocks as long as it must, and looks at its
//! `Halt` while it does.

pub mod serial;
pub mod simulated;
pub mod sysfs;

pub use simulated::{Simulated, Times};

use super::board::{Image, Work};
use super::kind::Kind;
use serde_json::Value;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Something that can be given firmware and bitstreams.
pub trait Device: Send {
    /// Loads firmware and returns when it runs.
    fn flash(&mut self, image: Image, halt: &Halt) -> Result<(), String>;
    /// Whether the default firmware runs.
    fn test(&mut self, halt: &Halt) -> Result<(), String>;
    /// Gives a bitstream to a kind's firmware and reads what it says.
    fn evaluate(&mut self, kind: &dyn Kind, bitstream: &[u8], halt: &Halt) -> Result<Value, String>;
}

/// Does a piece of work; only a bitstream gives a value.
pub fn carry_out(device: &mut dyn Device, work: &Work, halt: &Halt) -> Result<Option<Value>, String> {
    match work {
        Work::Flash(image) => device.flash(*image, halt).map(|()| None),
        Work::Test => device.test(halt).map(|()| None),
        Work::Evaluate { kind, bitstream } => device.evaluate(&**kind, bitstream, halt).map(Some),
    }
}

/// How a device is told to give up what it does.
#[derive(Clone, Default)]
pub struct Halt(Arc<(Mutex<bool>, Condvar)>);

impl Halt {
    /// Gives up.
    pub fn halt(&self) {
        *self.0.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.0.1.notify_all();
    }

    /// Waits; an error if it is to give up.
    pub fn wait(&self, span: Duration) -> Result<(), String> {
        let (halted, until) =
            (self.0.0.lock().unwrap_or_else(PoisonError::into_inner), Instant::now() + span);
        let mut halted = halted;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match (*halted, left.is_zero()) {
                (true, _) => return Err("it was told to give up".to_owned()),
                (false, true) => return Ok(()),
                (false, false) => {
                    let woken = self.0.1.wait_timeout(halted, left);
                    halted = woken.unwrap_or_else(PoisonError::into_inner).0;
                }
            }
        }
    }

    /// An error if it is to give up.
    pub fn check(&self) -> Result<(), String> {
        self.wait(Duration::ZERO)
    }
}
