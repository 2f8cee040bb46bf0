//! The way between hosts and hardware: datagrams that are lost, doubled, late, or overtaken, by seed.
//!
//! A datagram comes in, and zero, one or two come out, now or later. What befalls an address goes before what befalls all, for
//! each kind of ill and each way by itself. The same seed and the same datagrams at the same times meet the same fate.

use super::faults::{Ill, Share, Way};
use crate::spinnaker::exchange::At;
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddrV4};

/// For how long a datagram that others overtake is held back at most.
pub const REORDER_MS_MAX: u64 = 20;
/// So many datagrams are on their way at most; any more are lost, as a full queue would lose them.
pub const UNDERWAY_MAX: usize = 16_384;
/// So many addresses may have ills of their own.
const ADDRESSES_MAX: usize = 65_536;

/// A datagram on its way, and where it is bound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Datagram {
    /// Who sent it.
    pub from: SocketAddrV4,
    /// Who gets it.
    pub to: SocketAddrV4,
    /// All of it.
    pub bytes: Vec<u8>,
}

/// The ills of one way; what is not set is as for all addresses.
#[derive(Clone, Copy, Debug, Default)]
struct Ills {
    loss: Option<Share>,
    double: Option<Share>,
    reorder: Option<Share>,
    delay_ms: Option<(u64, u64)>,
    /// So many are lost before anything else.
    lose: u32,
}

impl Ills {
    fn set(&mut self, ill: Ill) {
        match ill {
            Ill::Loss(share) => self.loss = Some(share),
            Ill::Double(share) => self.double = Some(share),
            Ill::Reorder(share) => self.reorder = Some(share),
            Ill::Delay(least, most) => self.delay_ms = Some((least, most)),
            Ill::Lose(times) => self.lose = times,
        }
    }

    /// Whether one of those that must be lost is lost now.
    fn loses(&mut self) -> bool {
        let loses = self.lose > 0;
        self.lose = self.lose.saturating_sub(1);
        loses
    }
}

/// See above.
#[derive(Clone, Debug)]
pub struct Network {
    chance: Chance,
    /// For both ways.
    all: [Ills; 2],
    at: BTreeMap<(Ipv4Addr, Way), Ills>,
    /// By the time of arrival and, at the same time, by departure.
    underway: BTreeMap<(At, u64), (Way, Datagram)>,
    departed: u64,
    /// So many were lost because too many were on their way.
    pub crowded_out: u64,
}

impl Network {
    /// A network on which nothing goes wrong yet.
    pub fn new(seed: u64) -> Network {
        Network {
            chance: Chance(seed),
            all: [Ills::default(); 2],
            at: BTreeMap::new(),
            underway: BTreeMap::new(),
            departed: 0,
            crowded_out: 0,
        }
    }

    /// From now on this befalls datagrams; false when too many addresses have ills of their own.
    pub fn set(&mut self, ill: Ill, way: Option<Way>, at: Option<Ipv4Addr>) -> bool {
        for way in Way::BOTH.into_iter().filter(|one| way.is_none_or(|way| way == *one)) {
            let Some(address) = at else {
                self.all[way as usize].set(ill);
                continue;
            };
            if self.at.len() >= ADDRESSES_MAX && !self.at.contains_key(&(address, way)) {
                return false;
            }
            self.at.entry((address, way)).or_default().set(ill);
        }
        true
    }

    /// Nothing goes wrong any more; what is on its way arrives.
    pub fn clear(&mut self) {
        self.all = [Ills::default(); 2];
        self.at.clear();
    }

    /// A datagram departs. Those that arrive at once are put into `arrived`.
    pub fn send(&mut self, now: At, way: Way, datagram: Datagram, arrived: &mut Vec<Datagram>) {
        let hardware = match way {
            Way::In => *datagram.to.ip(),
            Way::Out => *datagram.from.ip(),
        };
        let (all, own) = (&mut self.all[way as usize], self.at.get_mut(&(hardware, way)));
        let lost = own.is_some_and(Ills::loses) || all.loses();
        let ills = self.ills(hardware, way);
        if lost || self.chance.befalls(ills.loss) {
            return;
        }
        if self.chance.befalls(ills.double) {
            self.depart(now, way, &ills, datagram.clone(), arrived);
        }
        self.depart(now, way, &ills, datagram, arrived);
    }

    /// What befalls an address.
    fn ills(&self, address: Ipv4Addr, way: Way) -> Ills {
        let all = self.all[way as usize];
        let Some(own) = self.at.get(&(address, way)) else { return all };
        Ills {
            loss: own.loss.or(all.loss),
            double: own.double.or(all.double),
            reorder: own.reorder.or(all.reorder),
            delay_ms: own.delay_ms.or(all.delay_ms),
            lose: 0,
        }
    }

    fn depart(&mut self, now: At, way: Way, ills: &Ills, datagram: Datagram, arrived: &mut Vec<Datagram>) {
        let (least, most) = ills.delay_ms.unwrap_or_default();
        let mut ms = self.chance.between(least, most);
        if self.chance.befalls(ills.reorder) {
            ms += self.chance.between(1, REORDER_MS_MAX);
        }
        if ms == 0 {
            arrived.push(datagram);
        } else if self.underway.len() < UNDERWAY_MAX {
            self.departed += 1;
            self.underway.insert((now.plus_ms(ms), self.departed), (way, datagram));
        } else {
            self.crowded_out += 1;
        }
    }

    /// When the next datagram arrives.
    pub fn wake_at(&self) -> Option<At> {
        self.underway.first_key_value().map(|((at, _), _)| *at)
    }

    /// The next datagram that has arrived by now.
    pub fn next_arrived(&mut self, now: At) -> Option<(Way, Datagram)> {
        let next = self.underway.first_entry()?;
        (next.key().0 <= now).then(|| next.remove())
    }
}

/// Numbers that look like chance, from a seed (splitmix64).
#[derive(Clone, Debug)]
struct Chance(u64);

impl Chance {
    fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Whether something befalls this share of all.
    fn befalls(&mut self, share: Option<Share>) -> bool {
        let share = share.map_or(0.0, Share::number);
        share > 0.0 && ((self.number() >> 11) as f64 / (1u64 << 53) as f64) < share
    }

    /// A number between two, both included.
    fn between(&mut self, least: u64, most: u64) -> u64 {
        if least >= most {
            return least;
        }
        least + self.number() % (most - least + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(127, 0, 0, 1), 40_000);

    fn hardware(last: u8) -> SocketAddrV4 {
        SocketAddrV4::new(Ipv4Addr::new(127, 9, 0, last), 17_893)
    }

    fn inward(to: u8, number: u8) -> Datagram {
        Datagram { from: HOST, to: hardware(to), bytes: vec![number] }
    }

    /// Sends a hundred and tells which arrived until the end of time, in their order.
    fn hundred(network: &mut Network, to: u8) -> Vec<u8> {
        let mut arrived = Vec::new();
        for number in 0..100 {
            network.send(At(1_000 + u64::from(number)), Way::In, inward(to, number), &mut arrived);
            let now = At(1_000 + u64::from(number));
            while let Some((_, datagram)) = network.next_arrived(now) {
                arrived.push(datagram);
            }
        }
        while let Some((_, datagram)) = network.next_arrived(At(1_000_000)) {
            arrived.push(datagram);
        }
        arrived.iter().map(|datagram| datagram.bytes[0]).collect()
    }

    fn share(share: f64) -> Share {
        Share::new(share).unwrap()
    }

    #[test]
    fn a_network_without_ills_passes_all_at_once_and_in_order() {
        let mut network = Network::new(1);
        assert_eq!(hundred(&mut network, 1), (0..100).collect::<Vec<_>>());
        assert_eq!(network.wake_at(), None);
    }

    #[test]
    fn shares_are_about_right_and_the_same_for_the_same_seed() {
        let run = |seed, ill| {
            let mut network = Network::new(seed);
            network.set(ill, None, None);
            hundred(&mut network, 1)
        };
        let lossy = run(7, Ill::Loss(share(0.3)));
        assert!((55..=85).contains(&lossy.len()), "{}", lossy.len());
        assert_eq!(lossy, run(7, Ill::Loss(share(0.3))));
        assert_ne!(lossy, run(8, Ill::Loss(share(0.3))));
        let doubled = run(7, Ill::Double(share(0.3)));
        assert!((115..=145).contains(&doubled.len()), "{}", doubled.len());
        let mut reordered = run(7, Ill::Reorder(share(0.3)));
        assert!(!reordered.is_sorted());
        reordered.sort_unstable();
        assert_eq!(reordered, (0..100).collect::<Vec<_>>());
        assert!(run(7, Ill::Loss(share(1.0))).is_empty());
        assert_eq!(run(7, Ill::Loss(share(0.0))).len(), 100);
    }

    #[test]
    fn an_address_and_a_way_may_have_ills_of_their_own() {
        let mut network = Network::new(1);
        network.set(Ill::Loss(Share::ALL), Some(Way::In), None);
        network.set(Ill::Loss(share(0.0)), None, Some(*hardware(2).ip()));
        assert!(hundred(&mut network, 1).is_empty());
        assert_eq!(hundred(&mut network, 2).len(), 100);
        let outward = Datagram { from: hardware(1), to: HOST, bytes: vec![1] };
        let mut arrived = Vec::new();
        network.send(At(0), Way::Out, outward.clone(), &mut arrived);
        assert_eq!(arrived, [outward]);
        network.clear();
        assert_eq!(hundred(&mut network, 1).len(), 100);
    }

    #[test]
    fn so_many_are_lost_and_no_more() {
        let mut network = Network::new(1);
        network.set(Ill::Lose(3), Some(Way::In), Some(*hardware(1).ip()));
        assert_eq!(hundred(&mut network, 2).len(), 100);
        assert_eq!(hundred(&mut network, 1), (3..100).collect::<Vec<_>>());
        assert_eq!(hundred(&mut network, 1).len(), 100);
    }

    #[test]
    fn what_is_late_arrives_when_it_is_due() {
        let mut network = Network::new(1);
        network.set(Ill::Delay(50, 50), Some(Way::Out), None);
        let mut arrived = Vec::new();
        let outward = |number| Datagram { from: hardware(1), to: HOST, bytes: vec![number] };
        network.send(At(100), Way::Out, outward(1), &mut arrived);
        network.send(At(100), Way::Out, outward(2), &mut arrived);
        assert!(arrived.is_empty());
        assert_eq!(network.wake_at(), Some(At(150)));
        assert_eq!(network.next_arrived(At(149)), None);
        assert_eq!(network.next_arrived(At(150)), Some((Way::Out, outward(1))));
        assert_eq!(network.next_arrived(At(150)), Some((Way::Out, outward(2))));
        assert_eq!(network.wake_at(), None);
    }

    #[test]
    fn there_is_an_end_to_what_is_on_its_way() {
        let mut network = Network::new(1);
        network.set(Ill::Delay(60_000, 60_000), None, None);
        let mut arrived = Vec::new();
        for _ in 0..UNDERWAY_MAX + 10 {
            network.send(At(0), Way::In, inward(1, 0), &mut arrived);
        }
        assert_eq!(network.underway.len(), UNDERWAY_MAX);
        assert_eq!(network.crowded_out, 10);
    }
}
