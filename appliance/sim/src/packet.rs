//! Inner packets: who sends what to whom is in them, so that whoever gets one can tell whether it
//! was his.

use std::net::Ipv4Addr;

/// No outer datagram may hold this.
pub const MARKER: &[u8; 8] = b"IN-CLEAR";

/// The host at headquarters that every branch talks to, in every tenant.
pub const HOST: Ipv4Addr = Ipv4Addr::new(192, 168, 100, 10);

const IP_HEADER: usize = 20;
const UDP_HEADER: usize = 8;
const LEN: usize = IP_HEADER + UDP_HEADER + 24;

/// Which way a probe runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A branch asks.
    BranchAsks,
    /// Headquarters answers that.
    HostAnswers,
    /// Headquarters asks.
    HostAsks,
    /// The branch answers that.
    BranchAnswers,
}

impl Kind {
    /// Whether the packet is for a branch.
    pub fn is_for_branch(self) -> bool {
        matches!(self, Self::HostAnswers | Self::HostAsks)
    }

    /// What answers it.
    pub fn answer(self) -> Option<Self> {
        match self {
            Self::BranchAsks => Some(Self::HostAnswers),
            Self::HostAsks => Some(Self::BranchAnswers),
            Self::HostAnswers | Self::BranchAnswers => None,
        }
    }
}

/// What an inner packet says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Probe {
    /// Tenant of the branch.
    pub tenant: u16,
    /// Number of the branch.
    pub branch: u16,
    /// Which way.
    pub kind: Kind,
    /// When the question was asked, in milliseconds of the run.
    pub asked_ms: u32,
}

/// The inside host of a branch: the second network of a number is another tenant's of the same.
pub fn inside(lan: u16) -> Ipv4Addr {
    let [high, low] = lan.to_be_bytes();
    Ipv4Addr::new(10, high, low, 5)
}

impl Probe {
    /// The IPv4 packet of UDP; `lan`: number of the branch's network.
    pub fn packet(&self, lan: u16) -> Vec<u8> {
        let (source, destination) = if self.kind.is_for_branch() {
            (HOST, inside(lan))
        } else {
            (inside(lan), HOST)
        };
        let mut packet = Vec::with_capacity(LEN);
        packet.extend([0x45, 0, 0, LEN as u8, 0, 0, 0, 0, 64, 17, 0, 0]);
        packet.extend(source.octets());
        packet.extend(destination.octets());
        packet.extend([0x10, 0, 0x20, 0, 0, (LEN - IP_HEADER) as u8, 0, 0]);
        packet.extend(MARKER);
        packet.extend(self.tenant.to_be_bytes());
        packet.extend(self.branch.to_be_bytes());
        packet.extend(self.asked_ms.to_be_bytes());
        packet.push(self.kind as u8);
        packet.resize(LEN, 0);
        packet
    }

    /// Reads such a packet.
    pub fn parse(packet: &[u8]) -> Option<Self> {
        let body = packet.get(IP_HEADER + UDP_HEADER..)?;
        let body = body.strip_prefix(MARKER)?;
        let (tenant, body) = body.split_first_chunk()?;
        let (branch, body) = body.split_first_chunk()?;
        let (asked_ms, body) = body.split_first_chunk()?;
        let kinds = [
            Kind::BranchAsks,
            Kind::HostAnswers,
            Kind::HostAsks,
            Kind::BranchAnswers,
        ];
        Some(Self {
            tenant: u16::from_be_bytes(*tenant),
            branch: u16::from_be_bytes(*branch),
            asked_ms: u32::from_be_bytes(*asked_ms),
            kind: *kinds.get(usize::from(*body.first()?))?,
        })
    }
}

/// Whether a datagram shows an inner packet.
pub fn is_clear(datagram: &[u8]) -> bool {
    datagram.windows(MARKER.len()).any(|w| w == MARKER)
}
