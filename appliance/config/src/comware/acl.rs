//! Advanced ACLs, which say what an IPsec policy protects.

use super::args::{Args, Done, Fault, Outcome};
use super::model::{Acl, Config, Rule, open as open_named};
use super::view::{Opened, View};
use hawser_policy::TrafficSelector;
use ipnet::{IpNet, Ipv4Net};
use std::net::Ipv4Addr;

/// `acl [ipv6] {advanced|number} {N|name X}`; other kinds are another feature's.
pub(super) fn open(config: &mut Config, args: &mut Args<'_>) -> Opened {
    args.take("ipv6");
    let advanced = args.take("advanced");
    if !advanced && !args.take("number") {
        args.rest();
        return Ok((View::Other, Done::NoEffect("another feature")));
    }
    args.take("name");
    let name = args.name("the number or name of the ACL")?;
    // `acl number N name X`, `match-order` and so on change nothing here.
    args.rest();
    Ok((View::Acl(open_named(&mut config.acls, name)), Done::Taken))
}

/// A command of ACL view. A rule that cannot be used matters only if an IPsec policy uses the ACL.
pub(super) fn command(acl: &mut Acl, args: &mut Args<'_>) -> Outcome {
    let word = args.word("a command")?;
    if word.text == "rule" {
        let next = acl.next_id();
        if let Some(rule) = rule(args, next).transpose() {
            acl.rules.push(rule);
        }
    }
    args.rest();
    Ok(Done::Taken)
}

impl Acl {
    /// The number of a rule that is written without one: the next multiple of five.
    fn next_id(&self) -> u16 {
        let highest = self
            .rules
            .iter()
            .filter_map(|r| r.as_ref().ok())
            .map(|r| r.id)
            .max();
        highest.map_or(0, |id| (id / 5 + 1).saturating_mul(5))
    }
}

/// `rule [ID] permit PROTOCOL [source ...] [destination ...] ...`; `None`: a remark.
fn rule(args: &mut Args<'_>, next: u16) -> Result<Option<Rule>, Fault> {
    let place = args.place();
    let numbered = args
        .peek()
        .is_some_and(|w| w.starts_with(|c: char| c.is_ascii_digit()));
    let id = if numbered {
        args.number("the rule", 0..=65_534)?.value
    } else {
        next
    };
    match args.one_of(&["permit", "deny", "comment"])? {
        0 => {}
        1 => {
            let message = "a `deny` rule cannot say what is protected: leave it out";
            return Err(Fault::new(args.place(), message));
        }
        _ => return Ok(None),
    }
    let protocol = protocol(args)?;
    let ends = Ends::read(args)?;
    let with_protocol = |end: TrafficSelector| TrafficSelector { protocol, ..end };
    let (local, remote) = ends.complete();
    Ok(Some(Rule {
        place,
        id,
        local: with_protocol(local),
        remote: with_protocol(remote),
    }))
}

fn protocol(args: &mut Args<'_>) -> Result<u8, Fault> {
    const NAMES: [(&str, u8); 10] = [
        ("ip", 0),
        ("ipv6", 0),
        ("icmp", 1),
        ("igmp", 2),
        ("tcp", 6),
        ("udp", 17),
        ("gre", 47),
        ("icmpv6", 58),
        ("ospf", 89),
        ("sctp", 132),
    ];
    match args
        .peek()
        .and_then(|word| NAMES.iter().find(|(name, _)| *name == word))
    {
        Some((name, number)) => {
            args.take(name);
            Ok(*number)
        }
        None => args.number("the protocol", 1..=255).map(|at| at.value),
    }
}

/// Both ends of a rule as far as they are written.
#[derive(Default)]
struct Ends {
    source: Option<IpNet>,
    destination: Option<IpNet>,
    source_ports: Option<(u16, u16)>,
    destination_ports: Option<(u16, u16)>,
}

impl Ends {
    fn read(args: &mut Args<'_>) -> Result<Self, Fault> {
        const WORDS: [&str; 7] = [
            "source",
            "destination",
            "source-port",
            "destination-port",
            "counting",
            "logging",
            "vpn-instance",
        ];
        let mut ends = Self::default();
        while !args.is_empty() {
            match args.one_of(&WORDS)? {
                0 => ends.source = network(args)?,
                1 => ends.destination = network(args)?,
                2 => ends.source_ports = Some(ports(args)?),
                3 => ends.destination_ports = Some(ports(args)?),
                6 => {
                    args.name("the name of the VPN instance")?;
                }
                _ => {}
            }
        }
        Ok(ends)
    }

    /// Our side and the peer's; an end that is not written is every address of the family of the
    /// other.
    fn complete(self) -> (TrafficSelector, TrafficSelector) {
        let ipv6 = [self.source, self.destination]
            .iter()
            .flatten()
            .any(|n| n.addr().is_ipv6());
        let any = if ipv6 {
            TrafficSelector::any_v6()
        } else {
            TrafficSelector::any_v4()
        };
        let end = |net: Option<IpNet>, ports: Option<(u16, u16)>| {
            let all = net.map_or(any, TrafficSelector::from_net);
            let (port_start, port_end) = ports.unwrap_or((all.port_start, all.port_end));
            TrafficSelector {
                port_start,
                port_end,
                ..all
            }
        };
        (
            end(self.source, self.source_ports),
            end(self.destination, self.destination_ports),
        )
    }
}

/// `{A WILDCARD|any}`, or `{A LENGTH|A/LENGTH|any}` of IPv6; `None`: any.
fn network(args: &mut Args<'_>) -> Result<Option<IpNet>, Fault> {
    if args.take("any") {
        return Ok(None);
    }
    if args.peek().is_some_and(|w| w.contains(':')) {
        return v6_network(args).map(Some);
    }
    let address = args.parsed::<Ipv4Addr>("the address", "an IPv4 address")?;
    if args.take("0") {
        return Ok(Some(IpNet::V4(address.value.into())));
    }
    let wildcard = args.parsed::<Ipv4Addr>("the wildcard", "a wildcard")?;
    let mask = Ipv4Addr::from(!u32::from(wildcard.value));
    match Ipv4Net::with_netmask(address.value, mask) {
        Ok(net) => Ok(Some(IpNet::V4(net.trunc()))),
        Err(_) => {
            let message = format!(
                "the wildcard {} has gaps: no prefix is like it",
                wildcard.value
            );
            Err(Fault::new(wildcard.place, message))
        }
    }
}

fn v6_network(args: &mut Args<'_>) -> Result<IpNet, Fault> {
    if args.peek().is_some_and(|w| w.contains('/')) {
        return args
            .parsed::<IpNet>("the network", "a network")
            .map(|at| at.value.trunc());
    }
    let address = args.parsed::<std::net::Ipv6Addr>("the address", "an IPv6 address")?;
    args.prefix_for(address.value)
}

/// `{eq P|range LOW HIGH}`.
fn ports(args: &mut Args<'_>) -> Result<(u16, u16), Fault> {
    let eq = args.one_of(&["eq", "range"])? == 0;
    let low = args.number("the port", 0..=65_535_u16)?;
    if eq {
        return Ok((low.value, low.value));
    }
    let high = args.number("the port", 0..=65_535_u16)?;
    if low.value > high.value {
        return Err(Fault::new(
            low.place,
            "the first port must not be above the last one",
        ));
    }
    Ok((low.value, high.value))
}
