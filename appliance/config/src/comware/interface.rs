//! Interfaces and VPN instances.

use super::args::{Args, Done, Fault, Outcome};
use super::model::{self, Config, Interface, PolicyName};
use super::view::{Opened, View};
use crate::problem::At;

/// `interface NAME`; the number may stand apart from the type.
pub(super) fn open(config: &mut Config, args: &mut Args<'_>) -> Opened {
    let name = name(args)?;
    // A sub-interface of a point-to-multipoint type says so behind its name.
    args.rest();
    Ok((
        View::Interface(model::open(&mut config.interfaces, name)),
        Done::Taken,
    ))
}

/// `GigabitEthernet1/0/1` or `GigabitEthernet 1/0/1`.
pub(super) fn name(args: &mut Args<'_>) -> Result<At<String>, Fault> {
    let mut name = args.name("the name of the interface")?;
    let digits = |word: &str| word.starts_with(|c: char| c.is_ascii_digit());
    let complete = name.value.contains(|c: char| c.is_ascii_digit());
    if !complete && args.peek().is_some_and(digits) {
        name.value
            .push_str(&args.name("the number of the interface")?.value);
    }
    Ok(name)
}

/// `ip vpn-instance NAME`.
pub(super) fn vpn_instance(config: &mut Config, args: &mut Args<'_>) -> Opened {
    args.one_of(&["vpn-instance"])?;
    let name = args.name("the name of the VPN instance")?;
    if !config.vpn_instances.iter().any(|v| v.value == name.value) {
        config.vpn_instances.push(name);
    }
    Ok((View::VpnInstance, Done::Taken))
}

/// A command of interface view; most are other features'.
pub(super) fn command(interface: &mut Interface, args: &mut Args<'_>) -> Outcome {
    let word = args.word("a command")?;
    match (word.text, args.peek()) {
        ("ip" | "ipv6", Some("address")) => address(interface, word.text == "ipv6", args),
        ("ip" | "ipv6", Some("binding")) => {
            args.take("binding");
            args.one_of(&["vpn-instance"])?;
            interface.vrf = Some(args.name("the name of the VPN instance")?);
            Ok(Done::Taken)
        }
        ("ipsec", _) => apply(interface, args),
        ("tunnel", Some("protection")) => {
            Err(Fault::unsupported(word.place, "`tunnel protection`"))
        }
        _ => Ok(Done::NoEffect("another feature")),
    }
}

/// `ip address A MASK [sub]`, `ipv6 address A/LENGTH`, or an address from elsewhere (DHCP and so on).
/// What is wrong with it matters only if a policy is applied to the interface.
fn address(interface: &mut Interface, ipv6: bool, args: &mut Args<'_>) -> Outcome {
    args.take("address");
    let elsewhere = |word: &str| {
        let first = word.chars().next().unwrap_or(' ');
        first.is_ascii_alphabetic() && !word.contains(['.', ':'])
    };
    if args.peek().is_some_and(elsewhere) {
        return Ok(Done::NoEffect("the address is not known here"));
    }
    let net = if ipv6 {
        v6_network(args)
    } else {
        v4_network(args)
    };
    args.rest();
    let net = net.map_err(|fault| At::new(fault.place, fault.message));
    interface.addresses.push(net);
    Ok(Done::Taken)
}

fn v4_network(args: &mut Args<'_>) -> Result<ipnet::IpNet, Fault> {
    let address = args.address("the address of the interface")?;
    if args.is_empty() {
        return Err(Fault::new(address.place, "the mask is missing"));
    }
    args.mask_for(address.value)
}

fn v6_network(args: &mut Args<'_>) -> Result<ipnet::IpNet, Fault> {
    args.parsed(
        "the address of the interface",
        "an IPv6 address with a prefix length",
    )
    .map(|at| at.value)
}

/// `ipsec apply {policy|ipv6-policy} NAME`.
fn apply(interface: &mut Interface, args: &mut Args<'_>) -> Outcome {
    args.one_of(&["apply"])?;
    let ipv6 = args.one_of(&["policy", "ipv6-policy"])? == 1;
    let name = args.name("the name of the policy")?;
    interface
        .applied
        .push(name.map(|name| PolicyName { ipv6, name }));
    Ok(Done::Taken)
}
