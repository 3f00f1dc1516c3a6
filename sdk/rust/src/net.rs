//! Addresses, networks and traffic selectors as the evidence writes them.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// A range of addresses of one family: `10.0.0.0/8`, `10.0.0.1` or `10.0.0.1-10.0.0.9`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Range {
    first: IpAddr,
    last: IpAddr,
}

/// Text that is not what it should be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NotValid(String);

impl fmt::Display for NotValid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is not an address, a network or a range", self.0)
    }
}

impl std::error::Error for NotValid {}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(a) => u128::from(a.to_bits()),
        IpAddr::V6(a) => a.to_bits(),
    }
}

/// The mask of the host part of a prefix of `bits` out of `width`.
fn host_mask(width: u32, bits: u32) -> u128 {
    match width - bits {
        128 => u128::MAX,
        host => (1 << host) - 1,
    }
}

impl Range {
    fn width(&self) -> u32 {
        if self.first.is_ipv4() { 32 } else { 128 }
    }

    fn with_numbers(&self, first: u128, last: u128) -> Self {
        let address = |n: u128| match self.first {
            // The number came out of an IPv4 address.
            IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::from_bits(n as u32)),
            IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::from_bits(n)),
        };
        Self {
            first: address(first),
            last: address(last),
        }
    }

    /// Whether this address is in it.
    pub fn contains(&self, address: IpAddr) -> bool {
        let same = address.is_ipv4() == self.first.is_ipv4();
        same && (number(self.first)..=number(self.last)).contains(&number(address))
    }

    /// What both have in common.
    #[must_use]
    pub fn intersect(&self, other: &Self) -> Option<Self> {
        if self.first.is_ipv4() != other.first.is_ipv4() {
            return None;
        }
        let first = number(self.first).max(number(other.first));
        let last = number(self.last).min(number(other.last));
        (first <= last).then(|| self.with_numbers(first, last))
    }

    /// The length of its prefix, if it is one.
    pub fn prefix(&self) -> Option<u32> {
        let (first, last) = (number(self.first), number(self.last));
        let host = first ^ last;
        let bits = self.width() - (128 - host.leading_zeros());
        (host == host_mask(self.width(), bits) && first & host == 0).then_some(bits)
    }

    /// Its first address.
    pub fn first(&self) -> IpAddr {
        self.first
    }
}

impl FromStr for Range {
    type Err = NotValid;

    fn from_str(text: &str) -> Result<Self, NotValid> {
        let wrong = || NotValid(text.to_owned());
        let address = |t: &str| t.parse::<IpAddr>().map_err(|_| wrong());
        if let Some((first, last)) = text.split_once('-') {
            let (first, last) = (address(first)?, address(last)?);
            let ordered = first.is_ipv4() == last.is_ipv4() && number(first) <= number(last);
            return ordered.then_some(Self { first, last }).ok_or_else(wrong);
        }
        let (start, bits) = text.split_once('/').unwrap_or((text, ""));
        let start = address(start)?;
        let plain = Self {
            first: start,
            last: start,
        };
        let bits = match bits {
            "" if !text.contains('/') => plain.width(),
            bits => bits.parse().map_err(|_| wrong())?,
        };
        if bits > plain.width() {
            return Err(wrong());
        }
        let host = host_mask(plain.width(), bits);
        let first = number(start) & !host;
        Ok(plain.with_numbers(first, first | host))
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.prefix() {
            Some(bits) => write!(f, "{}/{bits}", self.first),
            None => write!(f, "{}-{}", self.first, self.last),
        }
    }
}

/// A traffic selector as the evidence writes it: `10.0.0.0/8`, `10.0.0.0/8[6/443]`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Selector {
    /// The addresses.
    pub range: Range,
    /// Protocol and ports as `6/443`, `17` or `6/1-1023`; none is any.
    pub ports: Option<String>,
}

impl Selector {
    /// The part of the selector within this range, protocol and ports kept.
    #[must_use]
    pub fn within(&self, range: &Range) -> Option<Self> {
        let range = self.range.intersect(range)?;
        let ports = self.ports.clone();
        Some(Self { range, ports })
    }
}

impl FromStr for Selector {
    type Err = NotValid;

    fn from_str(text: &str) -> Result<Self, NotValid> {
        let (range, ports) = match text.split_once('[') {
            None => (text, None),
            Some((range, ports)) => {
                let ports = ports.strip_suffix(']');
                (range, Some(ports.ok_or_else(|| NotValid(text.to_owned()))?))
            }
        };
        Ok(Self {
            range: range.parse()?,
            ports: ports.map(str::to_owned),
        })
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.range.fmt(f)?;
        match &self.ports {
            Some(ports) => write!(f, "[{ports}]"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(text: &str) -> Range {
        text.parse().expect("a range")
    }

    #[test]
    fn ranges_are_written_as_they_were_read() {
        for text in [
            "0.0.0.0/0",
            "10.0.0.0/8",
            "10.1.2.3/32",
            "10.0.0.1-10.0.0.9",
            "::/0",
            "2001:db8::/32",
            "2001:db8::1/128",
        ] {
            assert_eq!(range(text).to_string(), text);
        }
        assert_eq!(range("10.0.0.1"), range("10.0.0.1/32"));
        assert_eq!(range("10.9.9.9/8"), range("10.0.0.0/8"));
        assert_eq!(range("10.0.0.0-10.255.255.255").to_string(), "10.0.0.0/8");
        for bad in [
            "",
            "10.0.0.0/33",
            "10.0.0.0/",
            "10.0.0.9-10.0.0.1",
            "10.0.0.1-::1",
            "x",
        ] {
            assert!(bad.parse::<Range>().is_err(), "{bad}");
        }
    }

    #[test]
    fn families_do_not_mix() {
        assert!(!range("::/0").contains("10.0.0.1".parse().expect("an address")));
        assert_eq!(range("::/0").intersect(&range("0.0.0.0/0")), None);
    }

    #[test]
    fn selectors_are_narrowed_and_keep_their_ports() {
        let selector: Selector = "10.0.0.0/8[6/443]".parse().expect("a selector");
        let narrow = selector.within(&range("10.7.0.0/16")).expect("they meet");
        assert_eq!(narrow.to_string(), "10.7.0.0/16[6/443]");
        assert_eq!(selector.within(&range("11.0.0.0/8")), None);
        assert!("10.0.0.0/8[6".parse::<Selector>().is_err());
    }
}
