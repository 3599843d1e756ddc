//! Which addresses may be connected to.
//!
//! A server name, or a URL, is chosen by whoever writes it: without this, anyone could make us send requests into our own network.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// A range of addresses, written `10.0.0.0/8`, `fd00::/8` or as a single address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    base: u128,
    mask: u128,
}

/// Why a string is not a [`Network`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a network: write it as 10.0.0.0/8, fd00::/8 or a single address")]
pub struct NetworkError(String);

/// Refuses addresses that are not of the public internet, except in networks that the operator allows.
#[derive(Debug, Clone, Default)]
pub struct AddressPolicy {
    allowed: Vec<Network>,
}

impl Network {
    /// Whether the address is in it. IPv4 addresses and their IPv4-mapped form are the same.
    pub fn contains(&self, address: IpAddr) -> bool {
        bits(address) & self.mask == self.base
    }
}

impl FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let error = || NetworkError(text.to_owned());
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length.parse::<u32>().map_err(|_| error())?)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| error())?;
        // IPv4 networks are kept in IPv4-mapped form, behind 96 fixed bits.
        let (fixed, own) = if address.is_ipv4() { (96, 32) } else { (0, 128) };
        let length = length.unwrap_or(own);
        if length > own {
            return Err(error());
        }
        let mask = match fixed + length {
            0 => 0,
            ones => u128::MAX << (128 - ones),
        };
        Ok(Self { base: bits(address) & mask, mask })
    }
}

impl From<IpAddr> for Network {
    fn from(address: IpAddr) -> Self {
        Self { base: bits(address), mask: u128::MAX }
    }
}

impl std::fmt::Display for Network {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let address = Ipv6Addr::from(self.base);
        match address.to_ipv4_mapped().filter(|_| self.mask.leading_ones() >= 96) {
            Some(v4) => write!(f, "{v4}/{}", self.mask.leading_ones() - 96),
            None => write!(f, "{address}/{}", self.mask.leading_ones()),
        }
    }
}

impl serde::Serialize for Network {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Network {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
    }
}

impl AddressPolicy {
    /// Public addresses and those in `allowed`.
    pub fn new(allowed: Vec<Network>) -> Self {
        Self { allowed }
    }

    /// Whether a connection may be opened to this address.
    pub fn permits(&self, address: IpAddr) -> bool {
        is_public(address) || self.allowed.iter().any(|network| network.contains(address))
    }
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().to_bits(),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => is_public_v6(v6),
    }
}

/// The special-purpose registry of RFC 6890 as it stands, and multicast.
fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let special = matches!(
        (a, b, c),
        (0 | 10 | 127, _, _)
            | (100, 64..=127, _)
            | (169, 254, _)
            | (172, 16..=31, _)
            | (192, 0, 0 | 2)
            | (192, 88, 99)
            | (192, 168, _)
            | (198, 18..=19, _)
            | (198, 51, 100)
            | (203, 0, 113)
            | (224.., _, _)
    );
    !special
}

/// Global unicast only, and where an IPv4 address is wrapped, a public one.
fn is_public_v6(address: Ipv6Addr) -> bool {
    if let Some(v4) = wrapped_v4(address) {
        return is_public_v4(v4);
    }
    let [a, b, ..] = address.segments();
    let global_unicast = a & 0xe000 == 0x2000;
    // IETF protocol assignments with Teredo and ORCHID, and documentation.
    let special = matches!((a, b), (0x2001, 0x0000..=0x01ff | 0x0db8) | (0x3fff, 0x0000..=0x0fff));
    global_unicast && !special
}

/// The IPv4 address inside an IPv4-mapped, NAT64 or 6to4 address.
fn wrapped_v4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let segments = address.segments();
    let join = |high: u16, low: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    match segments {
        [0, 0, 0, 0, 0, 0xffff, high, low] => Some(join(high, low)),
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => Some(join(high, low)),
        [0x2002, high, low, ..] => Some(join(high, low)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn permits(policy: &AddressPolicy, address: &str) -> bool {
        policy.permits(address.parse().unwrap())
    }

    #[test]
    fn public_addresses_pass() {
        let policy = AddressPolicy::default();
        for address in ["1.1.1.1", "93.184.216.34", "172.32.0.1", "2606:4700::1111", "64:ff9b::101:101"] {
            assert!(permits(&policy, address), "{address}");
        }
    }

    #[test]
    fn special_addresses_do_not() {
        let policy = AddressPolicy::default();
        let special = "0.0.0.0 10.1.2.3 100.64.0.1 127.0.0.1 127.255.255.254 169.254.169.254 172.16.0.1 172.31.255.255 \
             192.0.0.1 192.0.2.1 192.88.99.1 192.168.1.1 198.18.0.1 198.51.100.7 203.0.113.9 224.0.0.1 240.0.0.1 \
             255.255.255.255 :: ::1 ::ffff:127.0.0.1 ::ffff:10.0.0.1 64:ff9b::7f00:1 64:ff9b:1::1 2002:7f00:1:: \
             2002:a00:1::1 fe80::1 fec0::1 fc00::1 fd12::1 ff02::1 100::1 2001::1 2001:db8::1 3fff::1 ::127.0.0.1";
        for address in special.split_whitespace() {
            assert!(!permits(&policy, address), "{address}");
        }
    }

    #[test]
    fn networks_are_allowed_in_either_form() {
        let policy = AddressPolicy::new(vec!["127.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()]);
        for address in ["127.0.0.1", "::ffff:127.1.2.3", "fd01::5"] {
            assert!(permits(&policy, address), "{address}");
        }
        for address in ["10.0.0.1", "::1", "fc00::1"] {
            assert!(!permits(&policy, address), "{address}");
        }
    }

    #[test]
    fn network_notation() {
        for text in ["10.0.0.0/8", "192.168.1.7/32", "0.0.0.0/0", "fd00::/8", "::/0"] {
            assert_eq!(text.parse::<Network>().unwrap().to_string(), text);
        }
        assert_eq!("10.9.8.7".parse::<Network>().unwrap().to_string(), "10.9.8.7/32");
        assert_eq!("10.9.8.7/8".parse::<Network>().unwrap().to_string(), "10.0.0.0/8");
        for text in ["", "10.0.0.0/33", "::/129", "10.0.0/8", "10.0.0.0/x", "10.0.0.0/-1"] {
            assert!(text.parse::<Network>().is_err(), "{text}");
        }
    }
}
