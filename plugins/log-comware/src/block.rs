//! The block `SA information`.

use hawser_log_text::{ChildSa, host_port};
use hawser_sdk::log::Event;
use hawser_sdk::net::Selector;
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr};

/// Appends the block about the pair of Child SAs that an event names.
pub(crate) fn write(text: &mut String, event: &Event<'_>, sa: Option<&ChildSa>) {
    let selectors = |own: &str, known: Option<&str>| -> String {
        event.text(own).or(known).unwrap_or_default().to_owned()
    };
    let local = selectors("local", sa.map(|sa| sa.local.as_str()));
    let remote = selectors("remote", sa.map(|sa| sa.remote.as_str()));
    let address = |endpoint: Option<&str>| -> String {
        let endpoint = endpoint.unwrap_or_default();
        host_port(endpoint).0.to_owned()
    };
    let inside = event.tenant.filter(|t| *t != "default");
    let mut line = |name: &str, value: &str| {
        let space = if value.is_empty() { "" } else { " " };
        let _ = writeln!(text, "{name}:{space}{value}");
    };
    line("SA information", "");
    line("Role", sa.map_or("", |sa| sa.our_role));
    line("Local address", &address(event.local));
    line("Remote address", &address(event.remote));
    flows(&mut line, "Sour addr", &local);
    flows(&mut line, "Dest addr", &remote);
    line("Inside VPN instance", inside.unwrap_or_default());
    line("Outside VPN instance", "");
    line("Inbound AH SPI", "0");
    line("Outbound AH SPI", "0");
    let spi = |name| event.unsigned(name).unwrap_or(0).to_string();
    line("Inbound ESP SPI", &spi("spi_in"));
    line("Outbound ESP SPI", &spi("spi_out"));
    line("ACL number", "");
}

/// One line for each selector; one without any where they are not known.
fn flows(line: &mut impl FnMut(&str, &str), name: &str, selectors: &str) {
    if selectors.is_empty() {
        line(name, "");
    }
    for selector in selectors.split(' ').filter(|s| !s.is_empty()) {
        let flow = selector
            .parse()
            .map_or_else(|_| selector.to_owned(), |s| flow(&s));
        line(name, &flow);
    }
}

/// `192.168.100.0/255.255.255.0 Port: 0 Protocol: IP`.
fn flow(selector: &Selector) -> String {
    let range = &selector.range;
    let addresses = match (range.first(), range.prefix()) {
        (IpAddr::V4(first), Some(bits)) => {
            let mask = u32::MAX.checked_shl(32 - bits).unwrap_or(0);
            format!("{first}/{}", Ipv4Addr::from_bits(mask))
        }
        _ => range.to_string(),
    };
    let ports = selector.ports.as_deref().unwrap_or("0");
    let (protocol, port) = ports.split_once('/').unwrap_or((ports, "0"));
    let protocol = match protocol {
        "0" => "IP",
        "1" => "ICMP",
        "6" => "TCP",
        "17" => "UDP",
        other => other,
    };
    format!("{addresses} Port: {port} Protocol: {protocol}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_as_comware_writes_flows() {
        let flow = |text: &str| flow(&text.parse().expect("a selector"));
        assert_eq!(
            flow("172.16.19.0/24"),
            "172.16.19.0/255.255.255.0 Port: 0 Protocol: IP"
        );
        assert_eq!(flow("0.0.0.0/0"), "0.0.0.0/0.0.0.0 Port: 0 Protocol: IP");
        assert_eq!(
            flow("10.0.0.1/32[6/443]"),
            "10.0.0.1/255.255.255.255 Port: 443 Protocol: TCP"
        );
        assert_eq!(
            flow("2001:db8::/32[50]"),
            "2001:db8::/32 Port: 0 Protocol: 50"
        );
        assert_eq!(
            flow("10.0.0.1-10.0.0.9"),
            "10.0.0.1-10.0.0.9 Port: 0 Protocol: IP"
        );
    }
}
