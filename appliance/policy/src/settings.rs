//! Settings of the whole gateway.

use crate::log::LogSettings;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// Where IKE and UDP-encapsulated ESP are received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen {
    /// Outer addresses; unspecified ones (`0.0.0.0`, `::`) mean every address of the family.
    pub addresses: Vec<IpAddr>,
    /// IKE port, default 500.
    pub port: u16,
    /// NAT traversal port (RFC 3948), default 4500.
    pub nat_port: u16,
    /// Take native ESP (IP protocol 50) from raw sockets where that is possible.
    pub native_esp: bool,
}

/// When an IKE_SA_INIT must return a cookie (RFC 7296 2.6).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CookieMode {
    /// From this number of half-open SAs on.
    Threshold(u32),
    /// Always (threshold 0 would say the same; kept apart for what operators read).
    Always,
}

/// Limits for what is not authenticated yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admission {
    /// Cookies.
    pub cookies: CookieMode,
    /// Half-open SAs of a shard at most; more are refused.
    pub max_half_open: u32,
    /// IKE_SA_INIT requests a second from one IPv4 address or IPv6 /64 (burst of the same size).
    pub source_rate: u32,
    /// How long a half-open SA may take to authenticate.
    pub half_open_timeout: Duration,
}

impl Default for Admission {
    fn default() -> Self {
        Self {
            cookies: CookieMode::Threshold(100),
            max_half_open: 10_000,
            source_rate: 200,
            half_open_timeout: Duration::from_secs(30),
        }
    }
}

/// Exponential back-off of requests (RFC 7296 2.4), jittered by a tenth.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Retransmission {
    /// First interval, 100 ms to 60 s.
    pub initial: Duration,
    /// Each interval is the one before times this, in percent: 100 to 300.
    pub backoff_percent: u16,
    /// No interval is longer.
    pub max: Duration,
    /// Retransmissions before the peer is given up: 1 to 20.
    pub tries: u8,
}

impl Default for Retransmission {
    /// 1, 1.8, 3.2, 5.8, 10.5, 18.9, 30 s: given up after about 71 s.
    fn default() -> Self {
        Self {
            initial: Duration::from_secs(1),
            backoff_percent: 180,
            max: Duration::from_secs(30),
            tries: 6,
        }
    }
}

/// Metrics and log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observability {
    /// Prometheus listener; `None`: off.
    pub metrics: Option<SocketAddr>,
    /// Octets of each device's flight recorder: 1024 to 65536.
    pub recorder: usize,
    /// The file of incidents; `None`: nothing is kept beyond the recorders.
    pub incidents: Option<PathBuf>,
    /// Who may open the admin socket may have the keys of what is captured.
    pub capture_keys: bool,
    /// The log.
    pub log: LogSettings,
}

impl Default for Observability {
    /// No listener, 4 KiB a device, no file; the log goes to the standard error.
    fn default() -> Self {
        Self {
            metrics: None,
            recorder: 4096,
            incidents: None,
            capture_keys: false,
            log: LogSettings::default(),
        }
    }
}
