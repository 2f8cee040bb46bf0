//! What chance has in store for a simulated board: drawn from the seed and from what is asked, never from what
//! was drawn before, so that an order that is given again meets the same fate.

use super::SimulatedBoard;
use crate::allocator::BoardIndex;
use crate::controller::SimulatedSettings;
use crate::lab::fact::OrderId;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What a board does about a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It does it.
    Obeys,
    /// It says that it failed.
    Fails,
    /// It never answers.
    Silent,
}

/// A draw: what happens, and how much later than usual.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Draw {
    /// What happens.
    pub fate: Fate,
    /// How much is added to the time it takes.
    pub jitter_ms: u64,
}

/// Numbers that look like chance, from one number (splitmix64).
#[derive(Clone, Debug)]
pub struct Chance(u64);

impl Chance {
    /// Chance that starts from these numbers, in this order.
    pub fn of(numbers: &[u64]) -> Chance {
        numbers.iter().fold(Chance(0), |chance, number| Chance(chance.0 ^ *number).stirred())
    }

    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// The next share: at least 0, below 1.
    pub fn share(&mut self) -> f64 {
        (self.number() >> 11) as f64 / (1u64 << 53) as f64
    }

    fn stirred(mut self) -> Chance {
        Chance(self.number())
    }
}

/// Draws what a board does about an order, or about the consultation with this ticket under that order.
pub fn draw(settings: &SimulatedSettings, order: OrderId, board: BoardIndex, ticket: Option<u64>) -> Draw {
    let ticket = ticket.map_or(0, |ticket| ticket.wrapping_add(1));
    let numbers = [settings.seed, order.grant.0, order.step.into(), board.0.into(), ticket];
    let mut chance = Chance::of(&numbers);
    let share = chance.share();
    let fate = match share {
        share if share < settings.silent_share => Fate::Silent,
        share if share < settings.silent_share + settings.fail_share => Fate::Fails,
        _ => Fate::Obeys,
    };
    let jitter_ms = match settings.jitter_ms.checked_add(1) {
        Some(choices) => chance.number() % choices,
        None => chance.number(),
    };
    Draw { fate, jitter_ms }
}

/// What the sensors of a board read: the names and units of a SpiNNaker board's, and values that differ from
/// board to board and stay.
pub fn sensors(seed: u64, board: BoardIndex, state: &SimulatedBoard) -> BTreeMap<Arc<str>, (f64, Arc<str>)> {
    let mut chance = Chance::of(&[seed, board.0.into()]);
    let mut near = |value: f64, spread: f64| hundredths(value + spread * (2.0 * chance.share() - 1.0));
    let (heat, core, fan) = if state.power { (14.0, 1.0, 2400.0) } else { (0.0, 0.0, 0.0) };
    let readings = [
        ("temperature_top", near(24.0 + heat, 1.5), "C"),
        ("temperature_bottom", near(23.0 + heat, 1.5), "C"),
        ("supply_12v", near(12.0, 0.1), "V"),
        ("voltage_3v3", near(3.3, 0.03) * core, "V"),
        ("voltage_1v8", near(1.8, 0.02) * core, "V"),
        ("voltage_1v2", near(1.2, 0.01) * core, "V"),
        ("fan", near(fan, 0.02 * fan).round(), "rpm"),
    ];
    readings.into_iter().map(|(name, value, unit)| (name.into(), (value, unit.into()))).collect()
}

/// A value to the hundredth, as a converter of that kind gives it.
fn hundredths(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::fact::Grant;

    fn fates(settings: &SimulatedSettings) -> [usize; 3] {
        let order = |grant| OrderId { grant: Grant(grant), step: 0 };
        let drawn: Vec<_> = (0..10_000)
            .map(|n| draw(settings, order(n / 100), BoardIndex(n as u32 % 100), None).fate)
            .collect();
        [Fate::Obeys, Fate::Fails, Fate::Silent]
            .map(|fate| drawn.iter().filter(|drawn| **drawn == fate).count())
    }

    #[test]
    fn splitmix_gives_its_published_numbers() {
        let mut chance = Chance(1_234_567);
        let numbers = [chance.number(), chance.number(), chance.number()];
        assert_eq!(
            numbers,
            [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]
        );
    }

    #[test]
    fn shares_are_kept() {
        assert_eq!(fates(&SimulatedSettings::default()), [10_000, 0, 0]);
        assert_eq!(fates(&SimulatedSettings { fail_share: 1.0, ..Default::default() }), [0, 10_000, 0]);
        assert_eq!(
            fates(&SimulatedSettings { silent_share: 1.0, fail_share: 1.0, ..Default::default() })[2],
            10_000
        );
        let mixed = SimulatedSettings { fail_share: 0.2, silent_share: 0.1, ..Default::default() };
        let [obeyed, failed, silent] = fates(&mixed);
        assert!((6_800..7_200).contains(&obeyed) && (1_850..2_150).contains(&failed), "{obeyed} {failed}");
        assert!((850..1_150).contains(&silent), "{silent}");
    }

    #[test]
    fn a_draw_depends_on_all_it_is_drawn_from_and_on_nothing_else() {
        let settings = SimulatedSettings { jitter_ms: u64::MAX, ..Default::default() };
        let other = SimulatedSettings { seed: 1, ..settings.clone() };
        let id = |grant, step| OrderId { grant: Grant(grant), step };
        let draws = [
            draw(&settings, id(1, 0), BoardIndex(0), None),
            draw(&other, id(1, 0), BoardIndex(0), None),
            draw(&settings, id(0, 1), BoardIndex(0), None),
            draw(&settings, id(1, 0), BoardIndex(1), None),
            draw(&settings, id(1, 0), BoardIndex(0), Some(0)),
        ];
        let different: std::collections::BTreeSet<_> = draws.iter().map(|draw| draw.jitter_ms).collect();
        assert_eq!(different.len(), draws.len());
        assert_eq!(draw(&settings, id(1, 0), BoardIndex(0), None), draws[0]);
    }

    #[test]
    fn a_board_that_is_on_is_warmer_and_has_voltage() {
        let off = sensors(7, BoardIndex(3), &SimulatedBoard::default());
        let on = sensors(7, BoardIndex(3), &SimulatedBoard { power: true, ..Default::default() });
        assert!(on["temperature_top"].0 > off["temperature_top"].0 + 10.0);
        assert_eq!(off["voltage_1v2"], (0.0, "V".into()));
        assert!((on["voltage_1v2"].0 - 1.2).abs() < 0.02);
        assert_eq!(on["supply_12v"], off["supply_12v"]);
        assert_ne!(on, sensors(7, BoardIndex(4), &SimulatedBoard { power: true, ..Default::default() }));
    }
}
