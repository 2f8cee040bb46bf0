//! Networks by their prefix, as `10.0.0.0/8`: who may come in at a door that asks for no name.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// All addresses that begin with the same bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    /// An address of it, all of whose other bits are zero.
    base: IpAddr,
    /// How many bits they share.
    bits: u32,
}

impl Network {
    /// Whether an address is of this network. IPv4 in the dress of IPv6 is taken for what it is.
    pub fn has(&self, address: IpAddr) -> bool {
        match (self.base, address.to_canonical()) {
            (IpAddr::V4(base), IpAddr::V4(address)) => masked_v4(address, self.bits) == base,
            (IpAddr::V6(base), IpAddr::V6(address)) => masked_v6(address, self.bits) == base,
            _ => false,
        }
    }
}

fn masked_v4(address: Ipv4Addr, bits: u32) -> Ipv4Addr {
    Ipv4Addr::from_bits(address.to_bits() & u32::MAX.checked_shl(32 - bits.min(32)).unwrap_or(0))
}

fn masked_v6(address: Ipv6Addr, bits: u32) -> Ipv6Addr {
    Ipv6Addr::from_bits(address.to_bits() & u128::MAX.checked_shl(128 - bits.min(128)).unwrap_or(0))
}

impl FromStr for Network {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Network, &'static str> {
        const WANT: &str = "a network is needed, as 10.0.0.0/8 or fe80::/10, or one address";
        let (address, bits) =
            text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
        let address: IpAddr = address.parse().map_err(|_| WANT)?;
        let bits_max = if address.is_ipv4() { 32 } else { 128 };
        let plain = |bits: &&str| !bits.is_empty() && bits.bytes().all(|byte| byte.is_ascii_digit());
        let bits = match bits {
            None => bits_max,
            Some(bits) => Some(bits).filter(plain).and_then(|bits| bits.parse().ok()).ok_or(WANT)?,
        };
        if bits > bits_max {
            return Err("an IPv4 network has at most 32 bits, an IPv6 network at most 128");
        }
        let base = match address {
            IpAddr::V4(address) => IpAddr::V4(masked_v4(address, bits)),
            IpAddr::V6(address) => IpAddr::V6(masked_v6(address, bits)),
        };
        match base == address {
            true => Ok(Network { base, bits }),
            false => Err("bits behind the prefix are set; write the network's own address"),
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.base, self.bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_have_the_addresses_that_share_their_prefix() {
        for (network, inside, outside) in [
            ("127.0.0.0/8", "127.9.9.9", "128.0.0.1"),
            ("10.1.2.3", "10.1.2.3", "10.1.2.4"),
            ("0.0.0.0/0", "255.1.2.3", "::1"),
            ("::/0", "fe80::1", "10.0.0.1"),
            ("::1/128", "::1", "::2"),
            ("fe80::/10", "febf::1", "fec0::1"),
            ("10.0.0.0/8", "::ffff:10.1.2.3", "::ffff:11.1.2.3"),
        ] {
            let parsed: Network = network.parse().unwrap();
            assert!(parsed.has(inside.parse().unwrap()), "{network} {inside}");
            assert!(!parsed.has(outside.parse().unwrap()), "{network} {outside}");
            assert!(parsed.to_string().starts_with(network), "{network} {parsed}");
        }
    }

    #[test]
    fn what_is_nearly_a_network_is_refused() {
        for text in
            ["", "x", "10.0.0.0/", "10.0.0.0/33", "::/129", "10.0.0.1/8", "10.0.0/8", "10.0.0.0/+8", "::1/x"]
        {
            assert!(text.parse::<Network>().is_err(), "{text}");
        }
    }
}
