//! What `hawser capture` writes: outer packets for pcapng, keys as Wireshark reads them.

pub(crate) mod datagram;
pub(crate) mod pcapng;
pub(crate) mod wireshark;
