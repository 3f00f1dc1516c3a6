//! A NAT in front of one machine.

use std::net::{IpAddr, SocketAddr};

/// Maps ports 500 and 4500 of one inside address. Another `port` is a rebind: what was sent to
/// the ports before is lost.
pub struct Nat {
    pub inside: IpAddr,
    pub outside: IpAddr,
    pub port: u16,
}

/// Inside ports, and how far above the NAT's first port they appear outside.
const PORTS: [(u16, u16); 2] = [(500, 0), (4500, 500)];

impl Nat {
    /// What an inside port looks like outside.
    pub fn translate(&self, inside: u16) -> SocketAddr {
        let at = PORTS.iter().find(|(port, _)| *port == inside);
        let (_, offset) = at.expect("a port of IKE");
        SocketAddr::new(self.outside, self.port + offset)
    }

    /// Where what is sent to an outside address ends.
    pub fn resolve(&self, outside: SocketAddr) -> Option<SocketAddr> {
        let maps = |port: &u16| self.translate(*port) == outside;
        let inside = PORTS.iter().map(|(port, _)| *port).find(maps)?;
        Some(SocketAddr::new(self.inside, inside))
    }
}

pub fn nat(n: u8) -> Nat {
    Nat {
        inside: "192.168.1.100".parse().unwrap(),
        outside: format!("198.51.100.{n}").parse().unwrap(),
        port: 10_000,
    }
}
