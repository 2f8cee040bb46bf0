//! What the sensors of a board read, by name and with units. What is not fitted has no name.

use crate::spinnaker::bmp::{Rail, Status};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The rails, with their names and their bits among the warnings.
const RAILS: [(Rail, &str); 6] = [
    (Rail::V12a, "voltage_1v2a"),
    (Rail::V12b, "voltage_1v2b"),
    (Rail::V12c, "voltage_1v2c"),
    (Rail::V18, "voltage_1v8"),
    (Rail::V33, "voltage_3v3"),
    (Rail::Supply, "supply_12v"),
];

/// Temperatures on the board; the first two have places.
const INTERNAL: [&str; 4] =
    ["temperature_top", "temperature_bottom", "temperature_internal_2", "temperature_internal_3"];

/// Temperatures around it.
const EXTERNAL: [&str; 4] =
    ["temperature_external_0", "temperature_external_1", "temperature_external_2", "temperature_external_3"];

/// Fans.
const FANS: [&str; 4] = ["fan_0", "fan_1", "fan_2", "fan_3"];

/// The first bits of each group among the warnings.
const BITS: [u32; 3] = [8, 12, 16];

/// Values with units, by name.
pub type Readings = BTreeMap<Arc<str>, (f64, Arc<str>)>;

/// All there is to say: every sensor that is fitted, and `warning_...` or `shutdown_...` for each that is or was out of its
/// range.
pub fn readings(status: &Status) -> Readings {
    let mut rows: Vec<(&str, f64, &str, u32)> = Vec::new();
    rows.extend(RAILS.map(|(rail, name)| (name, status.volts(rail), "V", rail as u32)));
    let [internal_bit, external_bit, fan_bit] = BITS;
    let groups = [(INTERNAL, status.internal, internal_bit), (EXTERNAL, status.external, external_bit)];
    for (names, values, first_bit) in groups {
        for ((name, value), bit) in names.into_iter().zip(values).zip(first_bit..) {
            rows.extend(Status::celsius(value).map(|celsius| (name, celsius, "C", bit)));
        }
    }
    for ((name, value), bit) in FANS.into_iter().zip(status.fans).zip(fan_bit..) {
        rows.extend((value != Status::NO_FAN).then(|| (name, f64::from(value), "rpm", bit)));
    }
    let mut readings = Readings::new();
    for (name, value, unit, bit) in rows {
        readings.insert(name.into(), (rounded(value), unit.into()));
        for (word, flags) in [("warning", status.warnings), ("shutdown", status.shutdown)] {
            if flags >> bit & 1 == 1 {
                readings.insert(format!("{word}_{name}").into(), (1.0, "flag".into()));
            }
        }
    }
    readings
}

/// To the thousandth, beyond which a converter of 12 bits says nothing.
fn rounded(value: f64) -> f64 {
    (value * 1_000.0).round() / 1_000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_fitted_is_read_and_what_warns_is_named() {
        let none = Status::NO_TEMPERATURE;
        let status = Status {
            voltages: [9, 1_966, 1_967, 1_968, 2_949, 9, 3_604, 3_277],
            internal: [5_376, -128, none, none],
            external: [none; 4],
            fans: [2_400, Status::NO_FAN, Status::NO_FAN, 0],
            warnings: 1 << 7 | 1 << 8 | 1 << 9,
            shutdown: 1 << 16 | 1 << 17 | 1 << 1,
        };
        let readings = readings(&status);
        let text: Vec<_> =
            readings.iter().map(|(name, (value, unit))| format!("{name} {value} {unit}")).collect();
        assert_eq!(
            text,
            [
                "fan_0 2400 rpm",
                "fan_3 0 rpm",
                "shutdown_fan_0 1 flag",
                "shutdown_voltage_1v2c 1 flag",
                "supply_12v 12.001 V",
                "temperature_bottom -0.5 C",
                "temperature_top 21 C",
                "voltage_1v2a 1.201 V",
                "voltage_1v2b 1.201 V",
                "voltage_1v2c 1.2 V",
                "voltage_1v8 1.8 V",
                "voltage_3v3 3.3 V",
                "warning_supply_12v 1 flag",
                "warning_temperature_bottom 1 flag",
                "warning_temperature_top 1 flag",
            ]
        );
    }
}
