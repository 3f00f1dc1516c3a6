//! Traffic selectors (RFC 7296 3.13, RFC 4301 4.4.1).

use ipnet::{IpNet, Ipv4Net, Ipv4Subnets, Ipv6Net, Ipv6Subnets};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::IpAddr;

/// A range of addresses, one IP protocol (or any) and a range of ports.
///
/// `start` and `end` are of one family and `start <= end`; likewise the ports. OPAQUE ports
/// (RFC 4301) are kept as the wire has them: 65535 to 0.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct TrafficSelector {
    /// IP protocol number; 0: any.
    pub protocol: u8,
    /// First port, or ICMP type and code (RFC 7296 3.13.1).
    pub port_start: u16,
    /// Last port.
    pub port_end: u16,
    /// First address.
    pub start: IpAddr,
    /// Last address.
    pub end: IpAddr,
}

impl TrafficSelector {
    /// Every protocol and port of a network.
    pub fn from_net(net: IpNet) -> Self {
        let (start, end) = match net {
            IpNet::V4(n) => (IpAddr::V4(n.network()), IpAddr::V4(n.broadcast())),
            IpNet::V6(n) => (IpAddr::V6(n.network()), IpAddr::V6(n.broadcast())),
        };
        Self {
            protocol: 0,
            port_start: 0,
            port_end: u16::MAX,
            start,
            end,
        }
    }

    /// Everything of IPv4: `0.0.0.0/0`.
    pub fn any_v4() -> Self {
        Self::from_net(IpNet::V4(Ipv4Net::default()))
    }

    /// Everything of IPv6: `::/0`.
    pub fn any_v6() -> Self {
        Self::from_net(IpNet::V6(Ipv6Net::default()))
    }

    /// Whether every port is meant.
    pub fn is_any_port(&self) -> bool {
        self.port_start == 0 && self.port_end == u16::MAX
    }

    /// Whether only packets are meant that show no ports (OPAQUE, RFC 4301 4.4.1.1).
    pub fn is_opaque(&self) -> bool {
        self.port_start > self.port_end
    }

    /// Whether the selector speaks of IPv4.
    pub fn is_v4(&self) -> bool {
        self.start.is_ipv4()
    }

    /// Whether `address` is inside.
    pub fn contains_address(&self, address: IpAddr) -> bool {
        address.is_ipv4() == self.is_v4() && self.start <= address && address <= self.end
    }

    /// Whether a packet of this end of the selector fits. `port` is `None` where the packet shows
    /// none (another protocol, a later fragment): then only a selector of any port, or of OPAQUE
    /// ones, fits.
    pub fn matches(&self, address: IpAddr, protocol: u8, port: Option<u16>) -> bool {
        self.contains_address(address)
            && (self.protocol == 0 || self.protocol == protocol)
            && match port {
                Some(port) => self.port_start <= port && port <= self.port_end,
                None => self.is_any_port() || self.is_opaque(),
            }
    }

    /// The ports that both allow. OPAQUE is no range, and part of ANY only.
    fn common_ports(&self, other: &Self) -> Option<(u16, u16)> {
        if self.is_opaque() || other.is_opaque() {
            let allows = |ts: &Self| ts.is_opaque() || ts.is_any_port();
            return (allows(self) && allows(other)).then_some((u16::MAX, 0));
        }
        let start = self.port_start.max(other.port_start);
        let end = self.port_end.min(other.port_end);
        (start <= end).then_some((start, end))
    }

    /// What both allow; `None` where that is nothing.
    pub fn intersect(&self, other: &Self) -> Option<Self> {
        if self.is_v4() != other.is_v4() {
            return None;
        }
        let protocol = match (self.protocol, other.protocol) {
            (0, p) | (p, 0) => p,
            (a, b) if a == b => a,
            _ => return None,
        };
        let (port_start, port_end) = self.common_ports(other)?;
        let both = Self {
            protocol,
            port_start,
            port_end,
            start: self.start.max(other.start),
            end: self.end.min(other.end),
        };
        (both.start <= both.end).then_some(both)
    }

    /// Whether everything of `other` is inside of `self`.
    pub fn covers(&self, other: &Self) -> bool {
        self.intersect(other) == Some(*other)
    }

    /// Narrowing (RFC 7296 2.9): every intersection of a proposed selector with an allowed one,
    /// in the order proposed, without those that another result covers.
    pub fn narrow(proposed: &[Self], allowed: &[Self]) -> Vec<Self> {
        let mut result: Vec<Self> = Vec::new();
        for both in proposed
            .iter()
            .flat_map(|p| allowed.iter().filter_map(|a| p.intersect(a)))
        {
            if !result.iter().any(|r| r.covers(&both)) {
                result.retain(|r| !both.covers(r));
                result.push(both);
            }
        }
        result
    }

    /// The fewest prefixes that make up the address range, for routes.
    pub fn to_nets(&self) -> Vec<IpNet> {
        match (self.start, self.end) {
            (IpAddr::V4(a), IpAddr::V4(b)) => Ipv4Subnets::new(a, b, 0).map(IpNet::V4).collect(),
            (IpAddr::V6(a), IpAddr::V6(b)) => Ipv6Subnets::new(a, b, 0).map(IpNet::V6).collect(),
            _ => Vec::new(),
        }
    }

    /// Reads `NET[[PROTOCOL[/PORT[-PORT]]]]`, as strongSwan writes selectors: `10.0.0.0/8`,
    /// `10.0.0.0/8[tcp/443]`, `2001:db8::/32[17]`, `10.0.0.1-10.0.0.9`, `10.0.0.0/8[udp/opaque]`.
    pub fn parse(text: &str) -> Option<Self> {
        let (range, rest) = match text.split_once('[') {
            Some((range, rest)) => (range, rest.strip_suffix(']')?),
            None => (text, ""),
        };
        let mut selector = parse_range(range)?;
        if rest.is_empty() {
            return (!text.contains('[')).then_some(selector);
        }
        let (protocol, ports) = rest.split_once('/').unwrap_or((rest, ""));
        selector.protocol = parse_protocol(protocol)?;
        if ports == "opaque" {
            (selector.port_start, selector.port_end) = (u16::MAX, 0);
            return Some(selector);
        }
        if !ports.is_empty() {
            let (from, to) = ports.split_once('-').unwrap_or((ports, ports));
            (selector.port_start, selector.port_end) = (from.parse().ok()?, to.parse().ok()?);
        }
        (selector.port_start <= selector.port_end).then_some(selector)
    }
}

fn parse_range(text: &str) -> Option<TrafficSelector> {
    if let Some((from, to)) = text.split_once('-') {
        let (start, end): (IpAddr, IpAddr) = (from.parse().ok()?, to.parse().ok()?);
        let ordered = start.is_ipv4() == end.is_ipv4() && start <= end;
        return ordered.then_some(TrafficSelector {
            start,
            end,
            ..TrafficSelector::any_v4()
        });
    }
    let net = match text.parse::<IpNet>() {
        Ok(net) => net.trunc(),
        Err(_) => IpNet::from(text.parse::<IpAddr>().ok()?),
    };
    Some(TrafficSelector::from_net(net))
}

fn parse_protocol(text: &str) -> Option<u8> {
    match text {
        "icmp" => Some(1),
        "tcp" => Some(6),
        "udp" => Some(17),
        "gre" => Some(47),
        "icmpv6" | "ipv6-icmp" => Some(58),
        "sctp" => Some(132),
        number => number.parse().ok(),
    }
}

impl fmt::Display for TrafficSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.to_nets().as_slice() {
            [net] => net.fmt(f)?,
            _ => write!(f, "{}-{}", self.start, self.end)?,
        }
        if self.is_opaque() {
            return write!(f, "[{}/opaque]", self.protocol);
        }
        match (self.protocol, self.is_any_port()) {
            (0, true) => Ok(()),
            (protocol, true) => write!(f, "[{protocol}]"),
            (protocol, false) if self.port_start == self.port_end => {
                write!(f, "[{protocol}/{}]", self.port_start)
            }
            (protocol, false) => write!(f, "[{protocol}/{}-{}]", self.port_start, self.port_end),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn ts(text: &str) -> TrafficSelector {
        TrafficSelector::parse(text).unwrap()
    }

    #[test]
    fn reads_and_prints() {
        for text in [
            "10.0.0.0/8",
            "10.0.0.0/8[6]",
            "10.0.0.0/8[6/443]",
            "2001:db8::/32[17/1-9]",
            "10.0.0.1-10.0.0.9",
            "10.0.0.0/8[17/opaque]",
            "0.0.0.0/0",
        ] {
            assert_eq!(ts(text).to_string(), text);
        }
        assert_eq!(ts("10.0.0.1"), ts("10.0.0.1/32"));
        assert_eq!(ts("10.0.0.0/8[tcp/443]"), ts("10.0.0.0/8[6/443]"));
        for bad in [
            "",
            "10.0.0.0/33",
            "10.0.0.9-10.0.0.1",
            "10.0.0.0/8[",
            "10.0.0.0/8[tcp/9-1]",
        ] {
            assert!(TrafficSelector::parse(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn narrows() {
        let got =
            TrafficSelector::narrow(&[ts("0.0.0.0/0"), ts("10.0.0.0/8")], &[ts("10.1.0.0/16")]);
        assert_eq!(got, [ts("10.1.0.0/16")]);
        let got = TrafficSelector::narrow(&[ts("10.0.0.0/8[tcp]")], &[ts("10.1.0.0/16[6/80]")]);
        assert_eq!(got, [ts("10.1.0.0/16[6/80]")]);
        assert!(
            TrafficSelector::narrow(&[ts("10.0.0.0/8[tcp]")], &[ts("10.1.0.0/16[udp]")]).is_empty()
        );
        assert!(TrafficSelector::narrow(&[ts("::/0")], &[ts("0.0.0.0/0")]).is_empty());
    }

    #[test]
    fn port_selector_refuses_packets_without_ports() {
        let http = ts("10.0.0.0/8[tcp/80]");
        let a = "10.0.0.1".parse().unwrap();
        assert!(http.matches(a, 6, Some(80)));
        assert!(!http.matches(a, 6, None));
        assert!(!http.matches(a, 17, Some(80)));
        assert!(ts("10.0.0.0/8[tcp]").matches(a, 6, None));
    }

    #[test]
    fn opaque_means_packets_that_show_no_ports() {
        let opaque = ts("10.0.0.0/8[udp/opaque]");
        let a = "10.0.0.1".parse().unwrap();
        assert!(opaque.matches(a, 17, None));
        assert!(!opaque.matches(a, 17, Some(53)));
        assert!(!opaque.matches(a, 6, None));
        assert!(
            ts("10.0.0.0/8[udp]").matches(a, 17, None),
            "ANY includes it"
        );
        let narrow = |a: &str, b: &str| TrafficSelector::narrow(&[ts(a)], &[ts(b)]);
        assert_eq!(
            narrow("10.0.0.0/8[udp/opaque]", "10.1.0.0/16"),
            [ts("10.1.0.0/16[udp/opaque]")]
        );
        assert_eq!(
            narrow("10.0.0.0/8[udp/opaque]", "10.0.0.0/8[udp/opaque]"),
            [opaque]
        );
        assert!(narrow("10.0.0.0/8[udp/opaque]", "10.0.0.0/8[udp/53]").is_empty());
        assert!(ts("10.0.0.0/8").covers(&opaque) && !opaque.covers(&ts("10.0.0.0/8[udp]")));
    }
}
