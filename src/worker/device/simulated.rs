//! Devices that are not there: they take the times they are given, and their results depend on the bitstream, the seed and
//! the serial alone.

use super::{Device, Halt};
use crate::worker::board::Image;
use crate::worker::kind::Kind;
use serde_json::Value;
use std::time::Duration;

/// How long simulated devices take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// To be given firmware.
    pub flash: Duration,
    /// To be tested.
    pub test: Duration,
    /// For a bitstream.
    pub evaluate: Duration,
}

/// See above.
pub struct Simulated {
    serial: String,
    seed: u64,
    times: Times,
    image: Option<Image>,
    /// It breaks with the first bitstream.
    breaks: bool,
    /// It did, for good.
    broken: bool,
}

impl Simulated {
    /// A device with this serial.
    pub fn new(serial: &str, seed: u64, times: Times) -> Simulated {
        Simulated { serial: serial.to_owned(), seed, times, image: None, breaks: false, broken: false }
    }

    /// One that works until it is given a bitstream, and never again.
    pub fn breaking(self) -> Simulated {
        Simulated { breaks: true, ..self }
    }

    fn check(&self) -> Result<(), String> {
        if self.broken { Err("it is broken".to_owned()) } else { Ok(()) }
    }
}

impl Device for Simulated {
    fn flash(&mut self, image: Image, halt: &Halt) -> Result<(), String> {
        self.image = None;
        halt.wait(self.times.flash)?;
        self.check()?;
        self.image = Some(image);
        Ok(())
    }

    fn test(&mut self, halt: &Halt) -> Result<(), String> {
        halt.wait(self.times.test)?;
        self.check()?;
        match self.image {
            Some(Image::Default) => Ok(()),
            _ => Err("the default firmware does not run".to_owned()),
        }
    }

    fn evaluate(&mut self, kind: &dyn Kind, bitstream: &[u8], halt: &Halt) -> Result<Value, String> {
        halt.wait(self.times.evaluate)?;
        self.broken |= self.breaks;
        self.check()?;
        if self.image != Some(Image::Kind(kind.row().name)) {
            return Err("another firmware runs".to_owned());
        }
        let bits = hash(&[&self.seed.to_le_bytes(), self.serial.as_bytes(), bitstream]);
        kind.read(&kind.simulate(bits)).ok_or_else(|| "the firmware gave no result".to_owned())
    }
}

/// FNV-1a: the same everywhere and for ever.
fn hash(parts: &[&[u8]]) -> u64 {
    parts
        .iter()
        .flat_map(|part| part.iter())
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::worker::kind;

    const TIMES: Times = Times { flash: Duration::ZERO, test: Duration::ZERO, evaluate: Duration::ZERO };

    #[test]
    fn results_depend_on_bitstream_seed_and_serial_alone() {
        let kind = kind::make("pulsecount", &Value::Null).expect("a kind");
        let result = |serial: &str, seed, bitstream: &[u8]| {
            let mut device = Simulated::new(serial, seed, TIMES);
            device.flash(Image::Kind("pulsecount"), &Halt::default()).expect("flashed");
            device.evaluate(&*kind, bitstream, &Halt::default()).expect("a result")
        };
        assert_eq!(result("A", 1, b"x"), result("A", 1, b"x"));
        let others = [result("B", 1, b"x"), result("A", 2, b"x"), result("A", 1, b"y")];
        assert!(others.iter().all(|other| *other != result("A", 1, b"x")));
        assert_eq!(hash(&[b"a"]), 0xaf63_dc4c_8601_ec8c, "the published value");
    }

    #[test]
    fn one_that_breaks_works_until_then_and_never_again() {
        let kind = kind::make("pulsecount", &Value::Null).expect("a kind");
        let (mut device, halt) = (Simulated::new("A", 1, TIMES).breaking(), Halt::default());
        device.flash(Image::Default, &halt).expect("flashed");
        assert_eq!(device.test(&halt), Ok(()));
        device.flash(Image::Kind("pulsecount"), &halt).expect("flashed");
        let broken = Err("it is broken".to_owned());
        assert_eq!(device.evaluate(&*kind, b"x", &halt).map(drop), broken);
        assert_eq!((device.flash(Image::Default, &halt), device.test(&halt)), (broken.clone(), broken));
    }

    #[test]
    fn it_must_have_the_right_firmware_and_gives_up_when_told() {
        let kind = kind::make("variance", &Value::Null).expect("a kind");
        let (mut device, halt) = (Simulated::new("A", 1, TIMES), Halt::default());
        assert!(device.test(&halt).is_err() && device.evaluate(&*kind, b"x", &halt).is_err());
        device.flash(Image::Default, &halt).expect("flashed");
        assert_eq!(device.test(&halt), Ok(()));
        halt.halt();
        assert_eq!(device.test(&halt), Err("it was told to give up".to_owned()));
    }
}
