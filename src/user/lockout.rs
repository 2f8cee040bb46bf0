//! How guessing passwords is slowed down: a wait that grows with every wrong password and shrinks again with time.
//!
//! Nobody is ever locked out for good. Three counters are kept, each with its own measure (`Limits`):
//!
//! | counter | measure | slows down |
//! |---|---|---|
//! | (user, address) | strict | one guesser at one account |
//! | user | looser | many addresses guessing at one account |
//! | address | looser | one address trying many accounts |
//!
//! A pair of user and address that has succeeded before is **trusted**: only its own counter counts, and its mistakes
//! are billed to nobody else. So a flood from elsewhere, or from a neighbour behind the same address against other
//! accounts, does not keep out somebody who is known to log in from there.
//!
//! A user that does not exist is counted like one that does, so nothing here tells who exists. Once the free tries are
//! used up, a `check` that passes takes the turn: others wait as if it had failed already, so that a hundred
//! tries at once are not a hundred free ones. Deliberately not here: checking passwords, and how many may wait to be
//! checked (`server::hasher`).

use super::UserName;
use crate::clock::Moment;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};

/// How one counter slows down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Measure {
    /// So many wrong passwords cause the first wait; fewer cause none.
    pub free_tries: u32,
    /// The first wait; each further wrong password doubles it.
    pub wait_ms_min: u64,
    /// The longest wait.
    pub wait_ms_max: u64,
    /// One wrong password is forgiven each time this has passed.
    pub forgiven_after_ms: u64,
}

/// All measures, and how much is remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// For one user from one address.
    pub pair: Measure,
    /// For one user from all addresses that are not trusted.
    pub user: Measure,
    /// For one address and all users that are not trusted there.
    pub address: Measure,
    /// So long a success makes a user trusted at an address.
    pub trusted_ms: u64,
    /// The most entries of each of the four tables; the one that was quiet the longest is forgotten first.
    pub remembered_max: usize,
}

impl Limits {
    /// The measures in force: in the long run about 100 guesses a day at one account from one address, and 1,440 at
    /// one account from all addresses together.
    pub const DEFAULT: Limits = Limits {
        pair: Measure {
            free_tries: 5,
            wait_ms_min: 1_000,
            wait_ms_max: 15 * 60_000,
            forgiven_after_ms: 15 * 60_000,
        },
        user: Measure { free_tries: 50, wait_ms_min: 1_000, wait_ms_max: 60_000, forgiven_after_ms: 60_000 },
        address: Measure {
            free_tries: 20,
            wait_ms_min: 1_000,
            wait_ms_max: 5 * 60_000,
            forgiven_after_ms: 60_000,
        },
        trusted_ms: 30 * 24 * 3_600_000,
        remembered_max: 10_000,
    };
}

impl Default for Limits {
    fn default() -> Limits {
        Limits::DEFAULT
    }
}

/// The counters of wrong passwords.
pub struct Lockout {
    /// The measures.
    limits: Limits,
    /// Wrong passwords of one user from one address.
    pairs: Remembered<(UserKey, AddressKey), Mistakes>,
    /// Wrong passwords of one user, less those from where the user is trusted.
    users: Remembered<UserKey, Mistakes>,
    /// Wrong passwords from one address, less those of users trusted there.
    addresses: Remembered<AddressKey, Mistakes>,
    /// Who last succeeded from where, and when.
    successes: Remembered<(UserKey, AddressKey), Moment>,
}

impl Lockout {
    /// No mistakes yet.
    pub fn new(limits: Limits) -> Lockout {
        let max = limits.remembered_max;
        Lockout {
            limits,
            pairs: Remembered::new(max),
            users: Remembered::new(max),
            addresses: Remembered::new(max),
            successes: Remembered::new(max),
        }
    }

    /// Whether an attempt may be made now; if not, in how many milliseconds. Ask once per attempt, right before it.
    pub fn check(&mut self, now: Moment, user: &str, address: IpAddr) -> Result<(), u64> {
        let mut counters = self.counters(now, user, address);
        let wait_ms = counters.iter().map(|(counter, _)| counter.wait_until.ms_since(now)).max();
        if let Some(wait_ms @ 1..) = wait_ms {
            return Err(wait_ms);
        }
        counters.iter_mut().for_each(|(counter, measure)| counter.take_turn(now, measure));
        Ok(())
    }

    /// The attempt was made and the password was wrong, or there is no such user.
    pub fn failed(&mut self, now: Moment, user: &str, address: IpAddr) {
        let (user, address) = (user_key(user), AddressKey::of(address));
        if !self.is_trusted(now, &user, address) {
            self.users.renew(user.clone()).add(now, &self.limits.user);
            self.addresses.renew(address).add(now, &self.limits.address);
        }
        self.pairs.renew((user, address)).add(now, &self.limits.pair);
    }

    /// The attempt was made and the password was right: the mistakes of this user at this address are forgotten.
    ///
    /// The mistakes of the user and of the address stay, or whoever has an account of his own could wipe the slate
    /// between two guesses; only the turn that `check` took is given back.
    pub fn succeeded(&mut self, now: Moment, user: &str, address: IpAddr) {
        for (counter, _) in self.counters(now, user, address) {
            counter.wait_until = now;
        }
        let pair = (user_key(user), AddressKey::of(address));
        self.pairs.forget(&pair);
        *self.successes.renew(pair) = now;
    }

    /// The counters that an attempt is held to, as far as there are any, with their measures.
    fn counters(&mut self, now: Moment, user: &str, address: IpAddr) -> Vec<(&mut Mistakes, Measure)> {
        let (user, address) = (user_key(user), AddressKey::of(address));
        let trusted = self.is_trusted(now, &user, address);
        let common = if trusted { None } else { Some(()) };
        let of_user = common.and_then(|()| self.users.find(&user)).map(|c| (c, self.limits.user));
        let of_address =
            common.and_then(|()| self.addresses.find(&address)).map(|c| (c, self.limits.address));
        let of_pair = self.pairs.find(&(user, address)).map(|c| (c, self.limits.pair));
        [of_user, of_address, of_pair].into_iter().flatten().collect()
    }

    /// Whether this user has lately succeeded from this address.
    fn is_trusted(&mut self, now: Moment, user: &UserKey, address: AddressKey) -> bool {
        let success = self.successes.find(&(user.clone(), address));
        success.is_some_and(|at| now.ms_since(*at) < self.limits.trusted_ms)
    }
}

/// The user an attempt names. All words that no user can bear share `None`, so they take no room.
type UserKey = Option<UserName>;

/// Who is meant by this word.
fn user_key(user: &str) -> UserKey {
    UserName::parse(user).ok()
}

/// An address as far as it tells people apart: of IPv6 the first 64 bits, since the rest is the owner's to choose.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct AddressKey(IpAddr);

impl AddressKey {
    /// The part of an address that counts; an IPv4 address written as IPv6 is the IPv4 address.
    fn of(address: IpAddr) -> AddressKey {
        match address.to_canonical() {
            IpAddr::V6(v6) => AddressKey(Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64).into()),
            v4 => AddressKey(v4),
        }
    }
}

/// One counter.
#[derive(Clone, Copy, Default)]
struct Mistakes {
    /// Wrong passwords not yet forgiven.
    count: u32,
    /// Since when the time runs after which the next one is forgiven.
    counted_from: Moment,
    /// No attempt before this.
    wait_until: Moment,
}

impl Mistakes {
    /// One more wrong password.
    fn add(&mut self, now: Moment, measure: &Measure) {
        self.forgive(now, measure);
        self.count = self.count.saturating_add(1).min(measure.count_max());
        self.wait_until = now.plus_ms(measure.wait_ms(self.count));
    }

    /// An attempt is under way: the next one waits as if this one had changed nothing.
    fn take_turn(&mut self, now: Moment, measure: &Measure) {
        self.forgive(now, measure);
        self.wait_until = now.plus_ms(measure.wait_ms(self.count));
    }

    /// Takes off what time has healed.
    fn forgive(&mut self, now: Moment, measure: &Measure) {
        let forgiven = now.ms_since(self.counted_from) / measure.forgiven_after_ms.max(1);
        self.count = self.count.saturating_sub(u32::try_from(forgiven).unwrap_or(u32::MAX));
        self.counted_from = match self.count {
            0 => now,
            _ => self.counted_from.plus_ms(forgiven * measure.forgiven_after_ms),
        };
    }
}

impl Measure {
    /// The wait after so many mistakes.
    fn wait_ms(&self, count: u32) -> u64 {
        match count.checked_sub(self.free_tries) {
            None => 0,
            Some(doublings) => {
                let factor = 1u64.checked_shl(doublings).unwrap_or(u64::MAX);
                self.wait_ms_min.saturating_mul(factor).min(self.wait_ms_max)
            }
        }
    }

    /// Counting further than the longest wait would only delay forgiveness.
    fn count_max(&self) -> u32 {
        let doublings = (self.wait_ms_max / self.wait_ms_min.max(1)).max(1).ilog2() + 1;
        self.free_tries.saturating_add(doublings)
    }
}

/// A table of bounded size that forgets the entry whose last renewal is the longest ago.
struct Remembered<K, V> {
    /// The entries, each with the number of its last renewal.
    entries: BTreeMap<K, (u64, V)>,
    /// The keys in the order of their last renewal.
    by_age: BTreeMap<u64, K>,
    /// The number of the next renewal.
    renewal: u64,
    /// The most entries.
    max: usize,
}

impl<K: Ord + Clone, V: Default> Remembered<K, V> {
    /// An empty table for so many entries, at least one.
    fn new(max: usize) -> Remembered<K, V> {
        Remembered { entries: BTreeMap::new(), by_age: BTreeMap::new(), renewal: 0, max: max.max(1) }
    }

    /// The entry of this key, its age unchanged.
    fn find(&mut self, key: &K) -> Option<&mut V> {
        self.entries.get_mut(key).map(|(_, value)| value)
    }

    /// The entry of this key, made if missing, and now the youngest.
    fn renew(&mut self, key: K) -> &mut V {
        if !self.entries.contains_key(&key) && self.entries.len() >= self.max {
            self.forget_oldest();
        }
        self.renewal += 1;
        self.by_age.insert(self.renewal, key.clone());
        let (renewal, value) = self.entries.entry(key).or_default();
        self.by_age.remove(renewal);
        *renewal = self.renewal;
        value
    }

    /// Takes an entry out.
    fn forget(&mut self, key: &K) {
        if let Some((renewal, _)) = self.entries.remove(key) {
            self.by_age.remove(&renewal);
        }
    }

    /// Makes room.
    fn forget_oldest(&mut self) {
        if let Some((_, key)) = self.by_age.pop_first() {
            self.entries.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HOME: &str = "192.0.2.1";
    const AWAY: &str = "198.51.100.7";
    const START: Moment = Moment(1_000_000_000_000);

    /// A lock-out and the time, driven by one line per step.
    struct Bench {
        lockout: Lockout,
        now: Moment,
    }

    impl Bench {
        fn new() -> Bench {
            Bench { lockout: Lockout::new(Limits::DEFAULT), now: START }
        }

        fn check(&mut self, user: &str, address: &str) -> Result<(), u64> {
            self.lockout.check(self.now, user, address.parse().unwrap())
        }

        /// One attempt with a wrong password, waiting first if need be; returns the wait in seconds.
        fn guess(&mut self, user: &str, address: &str) -> u64 {
            let wait_ms = self.check(user, address).err().unwrap_or(0);
            self.now = self.now.plus_ms(wait_ms);
            if wait_ms > 0 {
                assert_eq!(self.check(user, address), Ok(()), "the wait that was named is enough");
            }
            self.lockout.failed(self.now, user, address.parse().unwrap());
            wait_ms / 1000
        }

        fn log_in(&mut self, user: &str, address: &str) {
            assert_eq!(self.check(user, address), Ok(()));
            self.lockout.succeeded(self.now, user, address.parse().unwrap());
        }
    }

    #[test]
    fn the_wait_doubles_after_the_free_tries_up_to_its_limit() {
        let mut bench = Bench::new();
        let waits: Vec<_> = (0..14).map(|_| bench.guess("ada", HOME)).collect();
        assert_eq!(waits, [0, 0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 64, 128, 256]);
        // From here on forgiveness and mistakes are in balance below the limit.
        for _ in 0..50 {
            assert!((256..=900).contains(&bench.guess("ada", HOME)));
        }
    }

    #[test]
    fn a_success_forgets_the_mistakes_of_the_pair() {
        let mut bench = Bench::new();
        for _ in 0..8 {
            bench.guess("ada", HOME);
        }
        bench.now = bench.now.plus_ms(8_000);
        bench.log_in("ada", HOME);
        let waits: Vec<_> = (0..7).map(|_| bench.guess("ada", HOME)).collect();
        assert_eq!(waits, [0, 0, 0, 0, 0, 1, 2]);
    }

    #[test]
    fn time_forgives_one_mistake_after_the_other() {
        let mut bench = Bench::new();
        for _ in 0..5 {
            bench.guess("ada", HOME);
        }
        bench.now = bench.now.plus_ms(2 * 15 * 60_000);
        let waits: Vec<_> = (0..4).map(|_| bench.guess("ada", HOME)).collect();
        assert_eq!(waits, [0, 0, 1, 2]);
        bench.now = bench.now.plus_ms(24 * 3_600_000);
        assert_eq!((0..5).map(|_| bench.guess("ada", HOME)).sum::<u64>(), 0);
    }

    #[test]
    fn a_user_that_does_not_exist_waits_like_one_that_does() {
        let (mut known, mut unknown) = (Bench::new(), Bench::new());
        known.log_in("ada", AWAY);
        for _ in 0..20 {
            assert_eq!(known.guess("ada", HOME), unknown.guess("nobody", HOME));
        }
    }

    #[test]
    fn a_flood_from_elsewhere_does_not_keep_out_who_is_known_here() {
        let mut bench = Bench::new();
        bench.log_in("ada", HOME);
        for host in 0..2000u32 {
            let address = format!("203.0.{}.{}", 113 + host / 250, host % 250);
            let address = address.parse().unwrap();
            if bench.lockout.check(bench.now, "ada", address).is_ok() {
                bench.lockout.failed(bench.now, "ada", address);
            }
        }
        assert!(bench.check("ada", AWAY).is_err(), "at a new address ada waits");
        assert!(bench.check("ada", AWAY).unwrap_err() <= 60_000, "but not for long");
        assert_eq!(bench.check("ada", HOME), Ok(()));
        assert_eq!(bench.check("bob", AWAY), Ok(()), "other users are not touched");
    }

    #[test]
    fn a_neighbour_at_the_same_address_does_not_keep_out_who_is_known_there() {
        let mut bench = Bench::new();
        bench.log_in("ada", HOME);
        for n in 0..40 {
            bench.guess(&format!("user{n}"), HOME);
        }
        assert!(bench.check("bob", HOME).is_err(), "the address has tried many users");
        assert_eq!(bench.check("ada", HOME), Ok(()));
    }

    #[test]
    fn mistakes_where_one_is_trusted_are_billed_to_nobody_else() {
        let mut bench = Bench::new();
        bench.log_in("ada", HOME);
        for _ in 0..30 {
            bench.guess("ada", HOME);
        }
        assert!(bench.check("ada", HOME).is_err());
        assert_eq!(bench.check("ada", AWAY), Ok(()));
        assert_eq!(bench.check("bob", HOME), Ok(()));
    }

    #[test]
    fn trust_ends() {
        let mut bench = Bench::new();
        bench.log_in("ada", HOME);
        bench.now = bench.now.plus_ms(Limits::DEFAULT.trusted_ms);
        for n in 0..30 {
            bench.guess(&format!("user{n}"), HOME);
        }
        assert!(bench.check("ada", HOME).is_err());
    }

    #[test]
    fn an_account_of_ones_own_does_not_wipe_the_slate() {
        let mut bench = Bench::new();
        for n in 0..30 {
            bench.guess(&format!("user{n}"), HOME);
            if n % 3 == 0 && bench.check("mallory", HOME).is_ok() {
                bench.lockout.succeeded(bench.now, "mallory", HOME.parse().unwrap());
            }
        }
        assert!(bench.check("ada", HOME).is_err());
    }

    #[test]
    fn of_many_tries_at_once_one_has_its_turn() {
        let mut bench = Bench::new();
        for _ in 0..5 {
            bench.guess("ada", HOME);
        }
        bench.now = bench.now.plus_ms(1_000);
        let passed = (0..100).filter(|_| bench.check("ada", HOME).is_ok()).count();
        assert_eq!(passed, 1);
    }

    #[test]
    fn a_first_success_gives_the_turn_back() {
        let mut bench = Bench::new();
        for n in 0..25 {
            bench.guess(&format!("user{n}"), HOME);
        }
        bench.now = bench.now.plus_ms(5 * 60_000);
        for user in ["ada", "bob", "eve"] {
            bench.log_in(user, HOME);
        }
    }

    #[test]
    fn addresses_of_one_network_are_one_address() {
        let rows = [
            ("192.0.2.1", "::ffff:192.0.2.1", true),
            ("192.0.2.1", "192.0.2.2", false),
            ("2001:db8::1", "2001:db8::ffff:1", true),
            ("2001:db8::1", "2001:db8:0:1::1", false),
            ("::1", "127.0.0.1", false),
        ];
        for (one, other, same) in rows {
            let key = |text: &str| AddressKey::of(text.parse().unwrap());
            assert_eq!(key(one) == key(other), same, "{one} {other}");
        }
    }

    #[test]
    fn memory_is_bounded_and_the_oldest_is_forgotten() {
        let mut table = Remembered::<u32, u32>::new(3);
        for key in [1, 2, 3, 1, 4] {
            *table.renew(key) += 1;
        }
        assert_eq!(table.find(&2), None);
        assert_eq!([1, 3, 4].map(|key| table.find(&key).copied()), [Some(2), Some(1), Some(1)]);
        table.forget(&3);
        (10..1000).for_each(|key| *table.renew(key) = key);
        assert_eq!((table.entries.len(), table.by_age.len()), (3, 3));
    }

    #[test]
    fn names_nobody_can_bear_take_no_room() {
        let mut bench = Bench::new();
        for n in 0..1000 {
            bench.lockout.failed(bench.now, &format!("no such/{n}"), HOME.parse().unwrap());
        }
        assert_eq!(bench.lockout.users.entries.len(), 1);
        assert_eq!(bench.lockout.pairs.entries.len(), 1);
    }

    proptest! {
        /// Whatever happens: no wait is longer than its limit, the wait that is named is enough, tables stay bounded.
        #[test]
        fn waits_are_bounded_and_true(
            steps in proptest::collection::vec((0u8..6, 0u8..5, 0u8..3, 0u64..400_000), 1..300),
            remembered_max in 1usize..8,
        ) {
            let limits = Limits { remembered_max, ..Limits::DEFAULT };
            let (mut lockout, mut now) = (Lockout::new(limits), START);
            for (user, host, outcome, ms) in steps {
                now = now.plus_ms(ms / 100 * u64::from(host % 2));
                let (user, address) = (format!("user{user}"), IpAddr::from([192, 0, 2, host]));
                if let Err(wait_ms) = lockout.check(now, &user, address) {
                    prop_assert!(wait_ms <= limits.pair.wait_ms_max);
                    now = now.plus_ms(wait_ms);
                    prop_assert_eq!(lockout.check(now, &user, address), Ok(()));
                }
                match outcome {
                    0 => lockout.succeeded(now, &user, address),
                    1 => lockout.failed(now, &user, address),
                    _ => {}
                }
                prop_assert!(lockout.pairs.entries.len() <= remembered_max);
                prop_assert_eq!(lockout.pairs.entries.len(), lockout.pairs.by_age.len());
                prop_assert!(lockout.successes.entries.len() <= remembered_max);
            }
        }
    }
}
