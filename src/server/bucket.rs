//! How fast one connection may call, or a channel pass datagrams: a bucket of tokens that fills steadily and holds those of one second.

use crate::clock::Moment;

/// A token in thousandths, which is what a rate of one brings in a millisecond.
const TOKEN: u64 = 1000;

/// See above.
#[derive(Debug)]
pub struct Bucket {
    thousandths: u64,
    filled: Moment,
}

impl Bucket {
    /// A full bucket, whatever its size will be.
    pub fn full(now: Moment) -> Bucket {
        Bucket { thousandths: u64::MAX, filled: now }
    }

    /// Takes a token; or says when there will be one. A rate of zero is no limit.
    pub fn take(&mut self, now: Moment, rate_per_s: u64) -> Result<(), Moment> {
        if rate_per_s == 0 {
            return Ok(());
        }
        let gained = now.ms_since(self.filled).saturating_mul(rate_per_s);
        self.thousandths = self.thousandths.saturating_add(gained).min(rate_per_s.saturating_mul(TOKEN));
        self.filled = self.filled.max(now);
        match self.thousandths.checked_sub(TOKEN) {
            Some(left) => {
                self.thousandths = left;
                Ok(())
            }
            None => Err(now.plus_ms((TOKEN - self.thousandths).div_ceil(rate_per_s))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_come_at_their_rate_and_do_not_pile_up() {
        let mut bucket = Bucket::full(Moment(0));
        let mut taken = |now: u64| (0..100).take_while(|_| bucket.take(Moment(now), 4).is_ok()).count();
        assert_eq!(
            [taken(0), taken(0), taken(250), taken(400), taken(500), taken(9_000)],
            [4, 0, 1, 0, 1, 4]
        );
        assert_eq!(bucket.take(Moment(9_000), 4), Err(Moment(9_250)));
        assert_eq!(bucket.take(Moment(9_000), 0), Ok(()));
    }
}
